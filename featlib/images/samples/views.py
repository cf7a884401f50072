"""Twelve views of one photo: what changes while the thing in it stays the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

MAX_SIDE = 320
_ANGLE = 12.0
_CLOSEST = 0.6


def draw_views(pixels: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (name, (h, w, 3) uint8) of the twelve views of a photo, each at most 320 pixels wide or high."""
    image = Image.fromarray(pixels)
    # Larger than the views by as much as the closest crop takes away: no view is ever enlarged.
    side = math.ceil(MAX_SIDE / _CLOSEST)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    for name, draw in VIEWS.items():
        view = draw(image)
        view.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
        yield name, np.array(view)


def _crop(left: float, top: float, size: float) -> Callable[[Image.Image], Image.Image]:
    """A window of `size` × the photo's width and height, at fractions of it."""

    def crop(image: Image.Image) -> Image.Image:
        width, height = image.size
        box = (left * width, top * height, (left + size) * width, (top + size) * height)
        return image.crop(tuple(round(edge) for edge in box))  # type: ignore[arg-type]

    return crop


def _rotate(image: Image.Image) -> Image.Image:
    """Turn the photo and crop it to its own proportions, so that no empty corner shows."""
    width, height = image.size
    angle = math.radians(_ANGLE)
    share = 1 / (math.cos(angle) + math.sin(angle) * max(width / height, height / width))
    turned = image.rotate(_ANGLE, Image.Resampling.BICUBIC)
    return _crop((1 - share) / 2, (1 - share) / 2, share)(turned)


def _blur(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(max(image.size) / 200))


VIEWS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "original": lambda image: image.copy(),
    "left": _crop(0.0, 0.15, 0.7),
    "right": _crop(0.3, 0.15, 0.7),
    "top": _crop(0.15, 0.0, 0.7),
    "bottom": _crop(0.15, 0.3, 0.7),
    "zoom": _crop(0.2, 0.2, _CLOSEST),
    "flip": ImageOps.mirror,
    "turned": _rotate,
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.5),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.5),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "blurred": _blur,
}
