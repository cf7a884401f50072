import io
import warnings

import numpy as np
import pytest
from PIL import Image

from featlib.errors import FeatlibError
from featlib.plots import channel_image, color_bar, color_table, contact_sheet, film_strip, overlay, png_bytes
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


def test_overlay_mixes_photo_and_colours_by_value():
    image, low, high = photo(size=(224, 160)), color_table()[0], color_table()[239]
    values = np.zeros((160, 224))
    values[:, 112:] = 1  # same size: nothing is smoothed
    mixed = overlay(image, values, alpha=0.6)
    assert mixed.shape == image.shape and mixed.dtype == np.uint8
    np.testing.assert_allclose(mixed[:, :112], image[:, :112] * 0.8 + low * 0.2, atol=0.51)
    np.testing.assert_allclose(mixed[:, 112:], image[:, 112:] * 0.4 + high * 0.6, atol=0.51)


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


def test_contact_sheet_holds_every_picture_in_its_place():
    colors = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 200, 0), (0, 200, 200)]
    sheet = contact_sheet([np.full((40, 80, 3), color, np.uint8) for color in colors], columns=3, size=80)
    assert sheet.shape == (80 + 10 + 80, 3 * 80 + 2 * 10, 4)
    for number, color in enumerate(colors):
        x, y = number % 3 * 90 + 40, number // 3 * 90 + 40
        assert sheet[y, x].tolist() == [*color, 255]
        assert sheet[y - 30, x, 3] == 0  # a wide picture is centred, not stretched
    assert sheet[130, 220, 3] == 0  # no sixth picture


def test_contact_sheet_scales_photos_down_and_digits_up():
    digit = np.zeros((8, 8, 3), np.uint8)
    digit[0, 0] = 255
    sheet = contact_sheet([photo(), digit], size=96)
    assert sheet.shape == (96, 2 * 96 + 10, 4)
    assert (sheet[:12, 106:118, :3] == 255).all()
    assert sheet[12:, 118:, :3].max() == 0
    expected = np.asarray(Image.fromarray(photo()).resize((96, 64), Image.Resampling.BOX)).astype(int)
    assert np.abs(sheet[16:80, :96, :3] - expected).mean() < 6


def test_captions_are_written_below_and_stay_apart():
    thumbs = [np.zeros((32, 32, 3), np.uint8)] * 2
    plain = contact_sheet(thumbs, size=64)
    one = contact_sheet(thumbs, ["cat", "a very very very long name"], size=64)
    two = contact_sheet(thumbs, ["cat\nis dog", "cat"], size=64, text_color=(9, 8, 7))
    assert plain.shape[0] < one.shape[0] < two.shape[0]
    ink = one[64:, :, 3]
    assert ink[:, :64].max() > 200 and ink[:, 74:].max() > 200
    assert ink[:, 67:71].max() == 0
    assert (two[64:, :, :3] == (9, 8, 7)).all()


def test_film_strip_shows_photo_planes_and_labels():
    plane = np.array([[0.0, 1.0], [0.5, 0.25]])
    stages = [("photo", photo(size=(50, 50))), ("conv\nmean", plane), ("three", np.dstack([plane, -plane, plane]))]
    strip = film_strip(stages, tile=100)
    assert strip.shape[1] == 3 * 100 + 2 * 25
    assert strip.shape[0] > 3 * 100 + 12
    middle = (3 * 100 + 12) // 2
    np.testing.assert_array_equal(strip[middle - 25, 150, :3], color_table()[0])
    np.testing.assert_array_equal(strip[middle - 25, 200, :3], color_table()[239])
    np.testing.assert_array_equal(strip[10, 275, :3], color_table()[0])
    np.testing.assert_array_equal(strip[106 + 10, 275, :3], color_table()[239])  # the second plane is negative
    assert strip[:20, :100, 3].max() == 0
    assert strip[middle, 100:125, 3].max() == 255  # an arrow
    np.testing.assert_array_equal(strip[middle - 50 : middle + 50, :100][::2, ::2, :3], photo(size=(50, 50)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: film_strip([]), "no stages"),
        (lambda: film_strip([("x", np.zeros(4))]), r"\(4,\)"),
        (lambda: contact_sheet([]), "0 pictures"),
        (lambda: contact_sheet([np.zeros((4, 4, 3), np.uint8)], ["a", "b"]), "2 captions for 1"),
        (lambda: contact_sheet([np.zeros((4, 4, 3))]), "float64"),
        (lambda: channel_image(np.zeros((2, 2, 2))), r"\(2, 2, 2\)"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(FeatlibError, match=message):
        call()


def test_colour_bar_runs_from_the_first_to_the_last_colour():
    bar = color_bar(-1, 4, width=200, colormap="magma")
    np.testing.assert_array_equal(bar[5, [0, 199], :3], color_table("magma")[[0, 239]])
    assert bar[14:, :30, 3].max() > 200 and bar[14:, -30:, 3].max() > 200
    assert bar[14:, 60:140, 3].max() == 0


@pytest.mark.parametrize("channels", [3, 4])
def test_png_bytes_can_be_read_back(channels):
    image = np.random.default_rng(0).integers(0, 256, (9, 7, channels), np.uint8)
    with Image.open(io.BytesIO(png_bytes(image))) as file:
        np.testing.assert_array_equal(np.asarray(file), image)
