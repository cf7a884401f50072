"""Draw twelve views of one photo: crops, flips and changes of light that keep the subject."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

MAX_SIDE = 320
_ANGLE = 12.0  # degrees
_SMALLEST_CROP = 0.6


def draw_views(pixels: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Draw the views of a photo.

    Args:
        pixels: The photo, (h, w, 3) uint8.

    Yields:
        The name and the pixels of each view, (h, w, 3) uint8 with a long side of at most 320 pixels.
    """
    image = Image.fromarray(pixels)
    # Larger than the views by as much as the smallest crop takes away, so no view is enlarged.
    side = math.ceil(MAX_SIDE / _SMALLEST_CROP)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    for name, draw in VIEWS.items():
        view = draw(image)
        view.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
        yield name, np.array(view)


def _crop(image: Image.Image, left: float, top: float, size: float) -> Image.Image:
    """Cut out a window of `size` times the image's width and height, at fractions of it."""
    width, height = image.size
    box = (left * width, top * height, (left + size) * width, (top + size) * height)
    return image.crop(tuple(round(edge) for edge in box))  # type: ignore[arg-type]


def _rotate(image: Image.Image) -> Image.Image:
    """Rotate the image and crop it to its own proportions, so that no empty corner shows."""
    width, height = image.size
    angle = math.radians(_ANGLE)
    share = 1 / (math.cos(angle) + math.sin(angle) * max(width / height, height / width))
    rotated = image.rotate(_ANGLE, Image.Resampling.BICUBIC)
    return _crop(rotated, (1 - share) / 2, (1 - share) / 2, share)


VIEWS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "original": lambda image: image.copy(),
    "left": partial(_crop, left=0.0, top=0.15, size=0.7),
    "right": partial(_crop, left=0.3, top=0.15, size=0.7),
    "top": partial(_crop, left=0.15, top=0.0, size=0.7),
    "bottom": partial(_crop, left=0.15, top=0.3, size=0.7),
    "zoom": partial(_crop, left=0.2, top=0.2, size=_SMALLEST_CROP),
    "flip": ImageOps.mirror,
    "turned": _rotate,
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.5),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.5),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(max(image.size) / 200)),
}
