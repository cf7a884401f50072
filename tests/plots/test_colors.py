import warnings

import numpy as np
import plotly.colors
import pytest

from featlib.errors import FeatlibError
from featlib.plots import color_bar, color_limits, color_table, colorize, fitting_colormap
from featlib.plots.colors import CATEGORY_COLORS, DIVERGING, MISSING_COLOR, TEXT_COLOR


def luminance(rgb):
    share = np.asarray(rgb) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast(a, b):
    low, high = sorted([luminance(a), luminance(b)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", ["viridis", "cividis", "magma"])
def test_tables_are_plotlys_colors_and_rise_in_brightness(name):
    table = color_table(name)
    points = np.linspace(0, 1, len(table)).tolist()
    expected = plotly.colors.sample_colorscale(name.capitalize(), points, colortype="tuple")
    np.testing.assert_allclose(table, np.array(expected) * 255, atol=1)
    assert table.shape == (240, 3) and table.dtype == np.uint8
    assert np.diff(luminance(table)).min() > -0.001
    with pytest.raises(ValueError, match="read-only"):
        table[0] = 0


def test_signed_values_get_a_table_with_a_nearly_white_zero_and_equal_sides():
    table = color_table(DIVERGING)
    light = luminance(table)
    assert light[[119, 120]].min() > 0.85, "zero is seen"
    assert np.diff(light[:120]).min() > -0.001 and np.diff(light[120:]).max() < 0.001
    assert table[0, 2] > table[0, 0] and table[239, 0] > table[239, 2], "negative blue, positive red"
    assert contrast(table[60], table[180]) < 1.6, "one side is not darker than the other"


@pytest.mark.parametrize(
    ("values", "colormap", "limits"),
    [
        ([0.0, 3.0], "viridis", (0, 3)),
        ([2.0, 3.0], "viridis", (2, 3)),
        ([-1.0, 3.0], DIVERGING, (-3, 3)),
        ([-4.0, -2.0], DIVERGING, (-4, 4)),
        ([0.0, np.nan, -np.inf], "viridis", (0, 0)),
    ],
)
def test_the_color_map_fits_the_signs_and_zero_is_in_its_middle(values, colormap, limits):
    finite = np.array(values)[np.isfinite(values)]
    assert fitting_colormap(np.array(values)) == colormap
    assert color_limits(finite.min(), finite.max(), colormap) == limits
    assert color_limits(0.0, 0.0, DIVERGING) == (-1, 1), "of zeros only, all have the color of zero"


def test_values_take_their_place_in_the_table():
    table = color_table("magma")
    image = colorize(np.array([[-1.0, 0.0, 5.0], [9.99, 10.0, 99.0]]), 0, 10, "magma")
    np.testing.assert_array_equal(image, table[[[0, 0, 120], [239, 239, 239]]])
    assert image.dtype == np.uint8


def test_the_range_is_the_values_own_unless_given():
    table = color_table()
    np.testing.assert_array_equal(colorize(np.array([-4.0, 0, 4])), table[[0, 120, 239]])
    np.testing.assert_array_equal(colorize(np.array([0.0, 4]), vmax=8), table[[0, 120]])


def test_missing_values_are_gray_and_do_not_stretch_the_range():
    image = colorize(np.array([0.0, np.nan, 1.0, np.inf, -np.inf]))
    np.testing.assert_array_equal(image[[1, 3, 4]], [MISSING_COLOR] * 3)
    np.testing.assert_array_equal(image[[0, 2]], color_table()[[0, 239]])


@pytest.mark.parametrize("values", [np.zeros((2, 2)), np.full(3, 7.5), np.full(3, np.nan), np.zeros((0, 3))])
def test_constant_and_empty_values_do_not_divide_by_zero(values):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = colorize(values)
    assert image.shape == (*values.shape, 3)
    assert len(np.unique(image.reshape(-1, 3), axis=0)) <= 1


def test_the_limits_of_numbers_are_numbers():
    low, high = color_limits(-1, 2, "RdBu_r")
    assert (low, high) == (-2, 2)
    np.testing.assert_array_equal(color_bar(low, high), color_bar(-2, 2))


def test_an_unknown_color_map_says_what_there_is():
    with pytest.raises(FeatlibError, match="'viridis', 'cividis', 'magma' or 'RdBu_r'.*'jet'"):
        colorize(np.zeros(2), colormap="jet")


def test_captions_can_be_read_on_light_and_dark_pages():
    assert contrast(TEXT_COLOR, (255, 255, 255)) > 4
    assert contrast(TEXT_COLOR, (14, 17, 23)) > 4


def test_categories_differ_and_none_vanishes_on_a_dark_page():
    colors = [plotly.colors.hex_to_rgb(color) for color in CATEGORY_COLORS]
    assert len(set(colors)) == 10
    assert min(contrast(color, (14, 17, 23)) for color in colors) > 3
    distances = [np.abs(np.subtract(a, b)).sum() for i, a in enumerate(colors) for b in colors[:i]]
    assert min(distances) > 60
