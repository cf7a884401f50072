import io
import warnings

import numpy as np
import pytest
from PIL import Image

from featlib.errors import FeatlibError
from featlib.plots import (
    channel_image,
    color_bar,
    color_table,
    film_strip,
    joined,
    jpeg_bytes,
    overlay,
    png_bytes,
    resized,
    titled,
)
from featlib.plots.colors import DIVERGING
from tests.plots.photos import photo


def test_a_channel_is_enlarged_without_smoothing():
    values = np.arange(12.0).reshape(3, 4)
    image = channel_image(values, size=400)
    assert image.shape == (300, 400, 3)
    assert len(np.unique(image.reshape(-1, 3), axis=0)) == 12
    np.testing.assert_array_equal(image[0, 0], color_table()[0])
    np.testing.assert_array_equal(image[150, 250], color_table()[int(6 / 11 * 240)])
    np.testing.assert_array_equal(image[299, 399], color_table()[239])


def test_a_channel_can_keep_a_given_scale():
    image = channel_image(np.array([[0.0, 5.0]]), 64, vmin=0, vmax=10)
    np.testing.assert_array_equal(image[5, 60], color_table()[120])


def test_a_large_map_keeps_its_own_range():
    values = np.zeros((200, 200))
    values[0, 0] = 4  # averaged away: still the range is 0 to 4
    np.testing.assert_array_equal(channel_image(values, 50)[0, 0], color_table()[int(4 / 16 / 4 * 240)])


def test_overlay_mixes_photo_and_colors_by_value():
    image, low, high = photo(size=(224, 160)), color_table()[0], color_table()[239]
    values = np.zeros((160, 224))
    values[:, 112:] = 1  # same size: nothing is smoothed
    mixed = overlay(image, values, alpha=0.6)
    assert mixed.shape == image.shape and mixed.dtype == np.uint8
    np.testing.assert_allclose(mixed[:, :112], image[:, :112] * 0.8 + low * 0.2, atol=0.51)
    np.testing.assert_allclose(mixed[:, 112:], image[:, 112:] * 0.4 + high * 0.6, atol=0.51)


def test_a_signed_map_leaves_the_photo_bare_at_zero():
    image = photo(size=(224, 160))
    values = np.zeros((160, 224))
    values[:, :60], values[:, 150:] = -2, 1
    mixed, table = overlay(image, values, alpha=0.6), color_table(DIVERGING)
    np.testing.assert_array_equal(mixed[:, 60:150], image[:, 60:150])
    np.testing.assert_allclose(mixed[:, :60], image[:, :60] * 0.4 + table[0] * 0.6, atol=0.51)
    np.testing.assert_allclose(mixed[:, 150:], image[:, 150:] * 0.7 + table[180] * 0.3, atol=2)
    enlarged = channel_image(values, 224)
    np.testing.assert_array_equal(enlarged[0, [0, 100]], table[[0, 120]])


def test_overlay_finds_the_place():
    """A hot corner of a small map is the corner of the photo."""
    image, values = np.full((100, 100, 3), 128, np.uint8), np.zeros((4, 4))
    values[0, 3] = 1
    change = np.abs(overlay(image, values).astype(int) - overlay(image, np.zeros((4, 4)))).sum(axis=-1)
    assert change[5, 95] > 50
    assert change[50:, :50].max() == 0
    assert 0 < change[5, 70] < change[5, 95]  # smooth


def test_overlay_limits():
    image = photo(size=(64, 64))
    np.testing.assert_array_equal(overlay(image, np.eye(4), alpha=0), image)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        overlay(image, np.full((4, 4), 3.0))
        overlay(image, np.array([[np.nan, 1], [np.inf, 0]]))
    for arguments, message in [
        ((image[..., 0], np.eye(4)), r"\(64, 64\)"),
        ((image / 255, np.eye(4)), "float64"),
        ((image, np.zeros((4, 4, 2))), r"\(4, 4, 2\)"),
        ((image, np.zeros((0, 4))), r"\(0, 4\)"),
    ]:
        with pytest.raises(FeatlibError, match=message):
            overlay(*arguments)
    with pytest.raises(FeatlibError, match=r"alpha=1\.5"):
        overlay(image, np.eye(4), alpha=1.5)


def test_film_strip_shows_photo_planes_and_labels():
    plane = np.array([[0.0, 1.0], [0.5, 0.25]])
    text_color = (9, 8, 7)
    stages = [("photo", photo(size=(50, 50))), ("conv\nmean", plane), ("wide\na very very very long name", plane[:1])]
    strip = film_strip(stages, tile=100, text_color=text_color)
    assert strip.shape[1] == 3 * 100 + 2 * 25
    np.testing.assert_array_equal(strip[:100, :100][::2, ::2, :3], photo(size=(50, 50)))
    np.testing.assert_array_equal(strip[25, 150, :3], color_table()[0])
    np.testing.assert_array_equal(strip[25, 200, :3], color_table()[239])
    np.testing.assert_array_equal(strip[50, 275, :3], color_table()[0])
    assert strip[:20, 250:350, 3].max() == 0, "a wide plane is centred, not stretched"
    assert strip[50, 100:125, 3].max() == 255  # an arrow
    assert strip[101:, :100, 3].max() > 200 and strip[101:, 250:, 3].max() > 200, "labels"
    assert (strip[105:, :, :3] == text_color).all()


def test_small_pictures_in_a_film_strip_are_enlarged_and_large_ones_reduced():
    digit = np.zeros((8, 8, 3), np.uint8)
    digit[0, 0] = 255
    strip = film_strip([("", photo()), ("", digit)], tile=96)
    assert (strip[:12, 120:132, :3] == 255).all()
    assert strip[12:96, 132:216, :3].max() == 0
    expected = np.asarray(Image.fromarray(photo()).resize((96, 64), Image.Resampling.BOX)).astype(int)
    assert np.abs(strip[16:80, :96, :3] - expected).mean() < 6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: film_strip([]), "no stages"),
        (lambda: film_strip([("x", np.zeros(4))]), r"\(4,\)"),
        (lambda: film_strip([("x", np.zeros((4, 4, 3)))]), r"\(4, 4, 3\) float64"),
        (lambda: channel_image(np.zeros((2, 2, 2))), r"\(2, 2, 2\)"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(FeatlibError, match=message):
        call()


def test_a_color_bar_runs_from_low_to_high_with_its_zero():
    bar = color_bar(-1, 3, colormap=DIVERGING, width=400)
    table = color_table(DIVERGING)
    np.testing.assert_array_equal(bar[0, [0, 399], :3], table[[0, 239]])
    assert (bar[:10, :, 3] == 255).all()
    numbers = bar[20:, :, 3].max(axis=0) > 100
    assert numbers[:40].any() and numbers[-40:].any(), "the ends in numbers"
    assert numbers[90:110].any() and not numbers[150:350].any(), "and zero, at a quarter of the way"
    assert not color_bar(0, 3, width=400)[20:, 90:310, 3].any()
    words = color_bar(0, 3, width=400, labels=("lowest", "highest"))[20:, :, 3].max(axis=0) > 100
    assert words[:30].any() and words[-30:].any()


@pytest.mark.parametrize("channels", [3, 4])
def test_a_title_stands_above_the_picture_on_an_opaque_background(channels):
    picture = np.full((40, 60, channels), 255, np.uint8)
    picture[..., 0], picture[:, 30:, 3:] = 200, 0
    made = titled(
        picture, "A title much longer than the picture is wide", background=(10, 20, 30), text_color=(250, 0, 0)
    )
    assert made.shape[2] == 3 and made.dtype == np.uint8
    assert (made[[0, -1]] == (10, 20, 30)).all() and (made[:, [0, -1]] == (10, 20, 30)).all()
    top = made.shape[0] - 24 - 40
    np.testing.assert_array_equal(made[top:-24, 24:54, 0], np.full((40, 30), 200))
    assert (made[top:-24, 54:84] == ((10, 20, 30) if channels == 4 else (200, 255, 255))).all()
    text = (np.abs(made[:top].astype(int) - (10, 20, 30)).sum(axis=-1) > 200).any(axis=0)
    assert np.flatnonzero(text).max() > made.shape[1] - 60, "no word is cut off"
    assert len(titled(picture, "two\nlines")) > len(titled(picture, "one"))


def test_pictures_are_joined_without_overlap():
    wide, tall = np.full((10, 30, 3), 9, np.uint8), np.full((20, 5, 4), 8, np.uint8)
    below, beside = joined([wide, tall], gap=4), joined([wide, tall], horizontal=True, gap=4)
    assert below.shape == (34, 30, 4) and beside.shape == (20, 39, 4)
    assert (below[:10, :, :3] == 9).all() and (below[14:, :5] == 8).all() and not below[10:14].any()
    assert (beside[:10, :30, :3] == 9).all() and (beside[:, 34:] == 8).all() and not beside[10:, :34].any()
    assert resized(photo(size=(50, 40)), 100).shape == (80, 100, 3)


def test_jpeg_bytes_look_like_the_photo():
    with Image.open(io.BytesIO(jpeg_bytes(photo()))) as file:
        assert file.format == "JPEG"
        assert np.abs(np.asarray(file).astype(int) - photo()).mean() < 6


@pytest.mark.parametrize("channels", [3, 4])
def test_png_bytes_can_be_read_back(channels):
    image = np.random.default_rng(0).integers(0, 256, (9, 7, channels), np.uint8)
    with Image.open(io.BytesIO(png_bytes(image))) as file:
        np.testing.assert_array_equal(np.asarray(file), image)
