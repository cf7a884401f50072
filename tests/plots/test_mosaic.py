import io
import warnings

import numpy as np
import pytest
from PIL import Image

from featlib.errors import FeatlibError
from featlib.plots import channel_tiles, color_table, mosaic
from featlib.plots.captions import drawable, format_range, format_value, load_font, shorten, text_mask
from featlib.plots.colors import DIVERGING, MISSING_COLOR


@pytest.fixture
def maps():
    """Seven by five positions, twelve channels of different ranges."""
    values = np.random.default_rng(0).normal(size=(7, 5, 12)) * np.arange(1, 13) + np.arange(12)
    return values.astype(np.float32)


def tile_corner(picture, number):
    row, column = divmod(number, picture.columns)
    return column * picture.tile_width, row * picture.tile_height


def position_colors(picture, number, shape):
    """The color in the middle of every position of a tile."""
    left, top = tile_corner(picture, number)
    rows = top + ((np.arange(shape[0]) + 0.5) * picture.map_height / shape[0]).astype(int)
    columns = left + ((np.arange(shape[1]) + 0.5) * picture.map_width / shape[1]).astype(int)
    return picture.image[rows[:, None], columns]


def expected_colors(values, low, high, colormap="viridis"):
    places = np.clip(np.floor((values - low) / (high - low) * 240), 0, 239).astype(int)
    return color_table(colormap)[places]


def assert_one_step(colors, values, low, high, colormap="viridis"):
    """Equal to the table, up to one of its 240 steps for rounding."""
    table = color_table(colormap).astype(int)
    steps = np.abs(np.diff(table, axis=0)).max()
    assert np.abs(colors.astype(int) - expected_colors(values, low, high, colormap).astype(int)).max() <= steps


def test_every_position_has_the_color_of_its_value(maps):
    channels = [11, 0, 3, 3, 7]
    picture = mosaic(maps, channels, columns=2, colormap="cividis")
    for number, channel in enumerate(channels):
        values = maps[..., channel]
        colors = position_colors(picture, number, values.shape)
        assert_one_step(colors[..., :3], values, values.min(), values.max(), "cividis")
        assert (colors[..., 3] == 255).all()
    assert picture.channels == tuple(channels)


def test_a_shared_scale_spans_all_channels_also_those_not_drawn(maps):
    maps[0, 0, 11] = 500
    picture = mosaic(maps, [2, 5], scale="shared", colormap="viridis")
    low, high = maps.min(), 500
    for number, channel in enumerate([2, 5]):
        assert_one_step(position_colors(picture, number, (7, 5))[..., :3], maps[..., channel], low, high)
    np.testing.assert_allclose(picture.limits, [[low, high]] * 2)
    np.testing.assert_array_equal(picture.ranges, [[maps[..., c].min(), maps[..., c].max()] for c in (2, 5)])


def test_ranges_are_those_of_each_channel(maps):
    picture = mosaic(maps, colormap="viridis")
    np.testing.assert_array_equal(picture.ranges, np.stack([maps.min(axis=(0, 1)), maps.max(axis=(0, 1))], axis=1))
    np.testing.assert_array_equal(picture.limits, picture.ranges)


@pytest.mark.parametrize("scale", ["channel", "shared"])
def test_signed_maps_have_zero_in_the_middle_of_their_colors(maps, scale):
    maps[3, 2] = 0
    maps[..., 4] = 0
    picture = mosaic(maps, scale=scale)
    assert picture.colormap == DIVERGING
    np.testing.assert_array_equal(picture.limits[:, 0], -picture.limits[:, 1])
    for number in range(12):
        most = np.abs(maps[..., number] if scale == "channel" else maps).max() or 1
        assert picture.limits[number, 1] == most
        colors = position_colors(picture, number, (7, 5))[..., :3]
        np.testing.assert_allclose(colors[3, 2].astype(int), 247, atol=2)
        assert_one_step(colors, maps[..., number], -most, most, DIVERGING)
    assert mosaic(np.abs(maps)).colormap == "viridis"


def test_each_channel_is_a_small_file_with_a_pixel_per_position(maps):
    tiles = channel_tiles(maps, [4, 0, 4], colormap="magma")
    for number, channel in enumerate(tiles.channels):
        with Image.open(io.BytesIO(tiles.png(number))) as file:
            assert file.size == (5, 7)
            colors = np.asarray(file.convert("RGB"))
        assert_one_step(colors, maps[..., channel], maps[..., channel].min(), maps[..., channel].max(), "magma")
    assert tiles.channels == (4, 0, 4)
    large = channel_tiles(np.zeros((64, 32, 1)), tile=16)
    assert large.codes.shape == (1, 16, 8), "averaged down"


@pytest.mark.parametrize("columns", [1, 3, 8, 50, None])
def test_tiles_lie_where_the_layout_says(maps, columns):
    channels = [4, 9, 0, 1, 2, 8, 11, 10, 3, 5]
    picture = mosaic(maps, channels, columns=columns, tile=64)
    assert picture.columns == min(columns or 8, 10)
    assert picture.rows == -(-10 // picture.columns)
    for number in range(len(channels)):
        left, top = tile_corner(picture, number)
        assert (picture.image[top : top + picture.map_height, left : left + picture.map_width, 3] == 255).all()
        assert picture.image[top:, left + picture.map_width :][: picture.tile_height, :8, 3].max(initial=0) == 0, "gap"


def test_an_unfilled_place_holds_nothing(maps):
    picture = mosaic(maps, [0, 1, 2], columns=2)
    left, top = tile_corner(picture, 3)
    assert picture.image[top:, left:, 3].max() == 0


def test_tiles_keep_the_proportions_of_the_map(maps):
    picture = mosaic(maps, [0], tile=140)
    assert (picture.map_height, picture.map_width) == (140, 100)


def test_gaps_are_transparent_and_captions_are_not(maps):
    picture = mosaic(maps, [0, 1], tile=96)
    image = picture.image
    assert image[:, picture.map_width : picture.tile_width, 3].max() == 0
    assert image[picture.map_height :, : picture.map_width, 3].max() == 255
    assert image.shape[1] == picture.tile_width + picture.map_width


def test_captions_tell_the_number_and_the_range():
    maps = np.zeros((4, 4, 30), np.float32)
    maps[0, 0] = 3.41
    caption = mosaic(maps, [12], tile=96, text_color=(1, 2, 3)).image[98:]
    number, values = text_mask("12", 11), text_mask("0.00…3.41", 11)
    for mask, area in [
        (number, caption[: len(number), : number.shape[1]]),
        (values, caption[: len(values), 96 - values.shape[1] :]),
    ]:
        assert mask.max() > 200
        np.testing.assert_allclose(area[..., 3], mask, atol=10)
    assert (caption[..., :3] == (1, 2, 3)).all()


def test_a_caption_without_room_keeps_the_number(maps):
    caption = mosaic(maps, [7], tile=24).image[26:, :, 3]
    number = text_mask("7", 9)
    np.testing.assert_allclose(caption[: len(number), : number.shape[1]], number, atol=10)
    assert caption[:, number.shape[1] :].max() == 0


@pytest.mark.parametrize("scale", ["channel", "shared"])
@pytest.mark.parametrize("value", [0.0, -3.0, 1e30])
def test_constant_maps_do_not_divide_by_zero(scale, value):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = mosaic(np.full((4, 4, 2), value), scale=scale)
    first = color_table(picture.colormap)[0]
    np.testing.assert_array_equal(position_colors(picture, 1, (4, 4))[..., :3], np.full((4, 4, 3), first))


def test_missing_values_are_gray_and_left_out_of_the_range(maps):
    maps[2, 3, 0], maps[1, 1, 0], maps[..., 1] = np.nan, np.inf, np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = mosaic(maps, [0, 1])
    finite = maps[..., 0][np.isfinite(maps[..., 0])]
    np.testing.assert_array_equal(picture.ranges, [[finite.min(), finite.max()], [0, 0]])
    colors = position_colors(picture, 0, (7, 5))[..., :3]
    gray = (colors == MISSING_COLOR).all(axis=-1)
    np.testing.assert_array_equal(np.argwhere(gray), [[1, 1], [2, 3]])
    assert (position_colors(picture, 1, (7, 5))[..., :3] == MISSING_COLOR).all()


@pytest.mark.parametrize("side", [112, 150, 192])
def test_larger_maps_are_averaged_down(side):
    """A fine checkerboard becomes even gray: skipping positions would leave stripes."""
    board = np.indices((side, side)).sum(axis=0) % 2
    picture = mosaic(board[..., None].astype(np.float32), tile=48)
    places = picture.codes[1:47, 1:47].astype(int)
    assert places.min() > 80 and places.max() < 160
    if side % 48 == 0:
        assert set(np.unique(places)) == {120}


def test_averaging_keeps_the_mean():
    values = np.random.default_rng(0).random((100, 130)).astype(np.float32)
    from featlib.plots.tiles import shrink

    small = shrink(values, 33, 47)
    assert small.shape == (33, 47)
    assert small.mean() == pytest.approx(values.mean(), rel=1e-5)
    blocks = values[:99, :130].reshape(33, 3, 65, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(shrink(values[:99], 33, 65), blocks, rtol=1e-5)


def test_the_png_holds_the_same_picture(maps):
    picture = mosaic(maps)
    with Image.open(io.BytesIO(picture.png)) as file:
        assert (file.format, file.mode) == ("PNG", "P")
        np.testing.assert_array_equal(np.asarray(file.convert("RGBA")), picture.image)


def test_one_position_is_one_flat_tile():
    picture = mosaic(np.array([[[1.0, 2.0]]]), scale="shared", tile=32)
    np.testing.assert_array_equal(picture.image[:32, :32, :3], np.full((32, 32, 3), color_table()[0]))
    left = picture.tile_width
    np.testing.assert_array_equal(picture.image[:32, left : left + 32, :3], np.full((32, 32, 3), color_table()[239]))


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((4, 4), {}, r"\(4, 4\)"),
        ((1, 4, 4, 3), {}, r"\(1, 4, 4, 3\)"),
        ((0, 4, 3), {}, r"\(0, 4, 3\)"),
        ((4, 4, 3), {"channels": [3]}, "0 to 2"),
        ((4, 4, 3), {"channels": [-1]}, "0 to 2"),
        ((4, 4, 3), {"channels": []}, "0 to 2"),
        ((4, 4, 3), {"scale": "global"}, "'channel' or 'shared'.*'global'"),
        ((4, 4, 3), {"columns": 0}, "columns must be at least 1.*0"),
        ((4, 4, 3), {"tile": 4}, "tile, in pixels, must be at least 8.*4"),
        ((4, 4, 3), {"colormap": "jet"}, "'jet'"),
    ],
)
def test_bad_input_is_refused(shape, options, message):
    with pytest.raises(FeatlibError, match=message):
        mosaic(np.zeros(shape), **options)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.00"),
        (3.414, "3.41"),
        (-0.2, "-0.20"),
        (27.46, "27.5"),
        (1280.4, "1280"),
        (0.001, "1e-03"),
        (2.5e7, "2e+07"),
    ],
)
def test_values_are_written_short(value, text):
    assert format_value(value) == text


def test_ranges_are_written_without_a_dash():
    assert format_range(-1.5, 2) == "-1.50…2.00"
    assert format_range(0, 0) == "all 0.00"


def test_text_is_written_with_the_letters_the_font_has():
    assert drawable("Café – 7×7 · naïve → ok…") == "Cafe - 7x7 · naive › ok…"
    assert drawable("北京.jpg") == "??.jpg"
    unknown = bytes(load_font(20).getmask("\ue123"))
    for character in drawable("—−×→←éñß…·‘’“”«»"):
        assert bytes(load_font(20).getmask(character)) != unknown


def test_long_text_is_cut_to_its_width():
    cut = shorten("a very long file name.jpg", 60, 12)
    assert cut.endswith("…") and cut.startswith("a very")
    assert load_font(12).getlength(cut) <= 60
    assert shorten("short", 60, 12) == "short"
