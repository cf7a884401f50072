"""Colors that everyone can tell apart: tables for values and a palette for categories."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal, get_args

import numpy as np

from featlib.checks import choice, finite_number, shown
from featlib.errors import FeatlibError
from featlib.plots.checks import checked_numbers

Colormap = Literal["viridis", "cividis", "magma", "RdBu_r"]
COLORMAPS: tuple[Colormap, ...] = get_args(Colormap)
SEQUENTIAL: Colormap = "viridis"
DIVERGING: Colormap = "RdBu_r"  # negative values are blue, positive ones red, zero nearly white

# 240 steps, not 256: the other codes of a byte stand for missing values and for captions, so that a whole mosaic is
# one palette image.
LEVELS = 240
MISSING = 240
MISSING_COLOR = (190, 190, 190)

# Okabe & Ito's colors without black, which would vanish on a dark page, then three more to reach ten; yellow comes
# last, as it is faint on white.
CATEGORY_COLORS = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#9467BD", "#8C8C00", "#AA3377", "#F0E442",
)  # fmt: skip
ACCENT, HIGHLIGHT, NEUTRAL = "#2F89C5", "#D55E00", "#8B939C"
# As far from a white page as from a nearly black one: readable on both.
TEXT_COLOR = (115, 122, 133)


def color_table(colormap: Colormap = "viridis") -> np.ndarray:
    """Return the (240, 3) uint8 colors of a color map, lowest value first (read-only).

    "RdBu_r" is for values of both signs; the others are perceptually uniform.

    Raises:
        FeatlibError: If the color map is not one of `COLORMAPS`.
    """
    return _read_table(choice("colormap", colormap, COLORMAPS))


@cache
def _read_table(colormap: Colormap) -> np.ndarray:
    from plotly.colors import get_colorscale, hex_to_rgb, unlabel_rgb

    colors = [color for _, color in get_colorscale(colormap)]
    stops = np.array([hex_to_rgb(c) if c.startswith("#") else unlabel_rgb(c) for c in colors], dtype=float)
    where = np.linspace(0, len(stops) - 1, LEVELS)
    table = np.stack([np.interp(where, np.arange(len(stops)), band) for band in stops.T], axis=1)
    table = np.rint(table).astype(np.uint8)
    table.flags.writeable = False
    return table


def fitting_colormap(values: np.ndarray) -> Colormap:
    """Return the color map that shows where values are zero: a diverging one if any of them is negative.

    Raises:
        FeatlibError: If `values` are no numbers.
    """
    return DIVERGING if value_range(values)[0] < 0 else SEQUENTIAL


def checked_colormap(colormap: Colormap | None, values: np.ndarray) -> Colormap:
    """Return the color map asked for, or the one that fits the values if None."""
    return fitting_colormap(values) if colormap is None else choice("colormap", colormap, COLORMAPS)


def color_limits(low: np.ndarray | float, high: np.ndarray | float, colormap: Colormap) -> tuple[Any, Any]:
    """Return the values of the first and the last color: as far below zero as above it if the map is diverging.

    Raises:
        FeatlibError: If the limits are no numbers, or the color map is unknown.
    """
    for name, limit in (("low", low), ("high", high)):
        checked_numbers(name, limit)
    if np.ndim(low) and np.ndim(high) and np.shape(low) != np.shape(high):
        raise FeatlibError(f"low and high must have the same shape. Received: {shown(low)} and {shown(high)}.")
    choice("colormap", colormap, COLORMAPS)
    if colormap != DIVERGING:
        return low, high
    most = np.maximum(np.abs(low), np.abs(high))
    most = np.where(most > 0, most, 1)[()]  # of zeros only: the color of zero, not the first one; [()]: no 0-d arrays
    return -most, most


def quantize(values: np.ndarray, low: float | np.ndarray, high: float | np.ndarray) -> np.ndarray:
    """Turn values into color codes: 0..239 from `low` to `high`, 240 for NaN and infinite values.

    Args:
        values: Any shape.
        low: Value of the first color, also used for lower values. Broadcast against `values`.
        high: Value of the last color. Where it is not above `low`, everything takes the first color.

    Returns:
        uint8 codes in the shape of `values`.
    """
    values = np.asarray(values, dtype=np.float32)
    span = np.asarray(high, dtype=np.float32) - np.asarray(low, dtype=np.float32)
    steps = np.where(span > 0, LEVELS / np.where(span > 0, span, 1), 0).astype(np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        codes = np.clip((values - low) * steps, 0, LEVELS - 1)
    finite = np.isfinite(values)
    return np.where(finite, codes, MISSING).astype(np.uint8)


def colorize(
    values: np.ndarray, vmin: float | None = None, vmax: float | None = None, colormap: Colormap = SEQUENTIAL
) -> np.ndarray:
    """Turn values into colors.

    Args:
        values: Any shape (…).
        vmin: Value of the first color; the smallest finite value if None.
        vmax: Value of the last color; the largest finite value if None.
        colormap: One of `COLORMAPS`.

    Returns:
        (…, 3) uint8 RGB; NaN and infinite values are light gray.

    Raises:
        FeatlibError: If the values are no numbers, or the color map is unknown.
    """
    values = checked_numbers("values", values)
    low, high = value_range(values)
    low = low if vmin is None else finite_number("vmin", vmin)
    high = high if vmax is None else finite_number("vmax", vmax)
    codes = quantize(values, low, high)
    return np.concatenate([color_table(colormap), [MISSING_COLOR]]).astype(np.uint8)[codes]


def value_range(values: np.ndarray) -> tuple[float, float]:
    """Return the smallest and largest finite value, or (0, 0) if there is none.

    Raises:
        FeatlibError: If `values` are no numbers.
    """
    values = checked_numbers("values", values)
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
