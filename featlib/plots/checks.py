"""Validation of what several plots take: numbers, texts, pictures, colors, sizes."""

from __future__ import annotations

from typing import Any

import numpy as np

from featlib.checks import as_array, instance, sequence, shown, whole_number
from featlib.errors import FeatlibError

RGB = tuple[int, int, int]

MAX_SIDE = 8_192  # pixels
MAX_PIXELS = 2**28  # of a picture: 1 GiB as RGBA
MAX_BINS = 10_000


def checked_numbers(name: str, values: Any) -> np.ndarray:  # noqa: ANN401
    """Return values as an array of numbers, of any shape."""
    array = as_array(name, values)
    if array.dtype.kind not in "biuf":
        raise FeatlibError(f"{name} must be numbers. Received: {shown(values)}.")
    return array


def checked_picture(name: str, values: Any, channels: tuple[int, ...] = (3, 4)) -> np.ndarray:  # noqa: ANN401
    """Return an RGB or RGBA picture as a contiguous uint8 array; `channels` says which of both is allowed."""
    picture = as_array(name, values)
    if picture.ndim != 3 or picture.shape[2] not in channels or picture.dtype != np.uint8 or not picture.size:
        shapes = " or ".join(f"(h, w, {count})" for count in channels)
        raise FeatlibError(f"{name} must be {shapes} uint8. Received: {picture.shape} {picture.dtype}.")
    return np.ascontiguousarray(picture)


def checked_texts(name: str, values: Any) -> list[str]:  # noqa: ANN401
    """Return a list of texts."""
    return [instance(name, text, str, "a list of texts") for text in sequence(name, values, "a list of texts")]


def checked_color(name: str, value: Any) -> RGB:  # noqa: ANN401
    """Return an RGB color as three whole numbers."""
    rule = "an RGB color: three whole numbers, 0 to 255"
    bands = sequence(name, value, rule)
    if len(bands) != 3:
        raise FeatlibError(f"{name} must be {rule}. Received: {shown(value)}.")
    red, green, blue = (whole_number(name, band, 0, 255) for band in bands)
    return red, green, blue


def checked_side(name: str, value: Any, least: int = 1) -> int:  # noqa: ANN401
    """Return a length in pixels."""
    return whole_number(f"{name}, in pixels,", value, least, MAX_SIDE)


def check_area(height: int, width: int) -> None:
    """Refuse a picture that would take gigabytes, before it does."""
    if height * width > MAX_PIXELS:
        raise FeatlibError(
            f"The picture would have {height:,} × {width:,} pixels; at most {MAX_PIXELS:,} in all are allowed. "
            "Draw fewer parts, or smaller ones."
        )


def bin_edges(name: str, values: np.ndarray, bins: Any) -> np.ndarray:  # noqa: ANN401
    """Return the edges of a histogram's bins."""
    bins = whole_number("bins", bins, 1, MAX_BINS)
    try:
        return np.histogram_bin_edges(values, bins)
    except ValueError as error:  # NaN, infinite or so large that neighboring edges would be equal
        reason = " ".join(str(error).split())
        raise FeatlibError(f"{name} cannot be put into {bins} bins: {reason}") from error
