"""Draw every combination of shape, color, size, rotation and texture once, each of them a label of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from itertools import product

import numpy as np
from PIL import Image, ImageDraw

SIDE = 96
_SCALE = 4  # supersampling factor, for smooth edges
_BACKGROUND = (247, 245, 240)
_MAX_SHIFT = 4  # pixels
_OUTLINE_WIDTH = 2  # pixels

# Areas as shares of the picture, so that a large star is as large as a large circle.
SIZES = {"small": 0.085, "large": 0.25}
ROTATIONS = {"upright": 0.0, "tilted": 25.0}  # degrees
TEXTURES = ("plain", "striped", "dotted")
COLORS = {
    "red": (211, 47, 47),
    "orange": (245, 124, 0),
    "yellow": (250, 200, 30),
    "green": (46, 140, 70),
    "blue": (30, 100, 200),
    "purple": (126, 50, 160),
}


def _regular_polygon(corners: int, *, start: float) -> np.ndarray:
    """Return the corners of a regular polygon of radius 1, (n, 2), the first one at `start` degrees."""
    angles = np.radians(start) + np.arange(corners) * 2 * np.pi / corners
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


_CROSS_ARM = [(-1, -3), (1, -3), (1, -1), (3, -1), (3, 1), (1, 1)]
_T = np.linspace(0, 2 * np.pi, 120, endpoint=False)
_HEART_Y = 13 * np.cos(_T) - 5 * np.cos(2 * _T) - 2 * np.cos(3 * _T) - np.cos(4 * _T)

# Upright polygons, (n, 2), y pointing down, of any size: they are scaled to the areas above.
SHAPES = {
    "circle": _regular_polygon(120, start=0),
    "square": _regular_polygon(4, start=45),
    "triangle": _regular_polygon(3, start=-90),
    "star": _regular_polygon(10, start=-90) * np.where(np.arange(10) % 2, 0.45, 1.0)[:, np.newaxis],
    "cross": np.array([*_CROSS_ARM, *((-x, -y) for x, y in _CROSS_ARM)], dtype=np.float64),
    "heart": np.stack([16 * np.sin(_T) ** 3, -_HEART_Y], axis=1),
}
SHAPES_COUNT = len(SHAPES) * len(COLORS) * len(SIZES) * len(ROTATIONS) * len(TEXTURES)


def draw_shapes() -> Iterator[tuple[dict[str, str], np.ndarray]]:
    """Draw all combinations, always the same pictures in the same order.

    Yields:
        The labels and the pixels, (96, 96, 3) uint8, of each combination.
    """
    random = np.random.default_rng(0)
    for shape in SHAPES:
        # Drawn once, then painted in every color.
        forms = {form: _coverage(shape, *form) for form in product(SIZES, ROTATIONS, TEXTURES)}
        for color, (form, coverage) in product(COLORS, forms.items()):
            size, rotation, texture = form
            # The name of the column is part of links and of scripts.
            labels = {"shape": shape, "color": color, "size": size, "rotation": rotation, "texture": texture}
            base = np.array(COLORS[color], dtype=np.float64)
            inks = np.stack([base, base * 0.25 + 255 * 0.75, base * 0.62])
            background = (1 - coverage.sum(axis=2, keepdims=True)) * _BACKGROUND
            pixels = np.rint(coverage @ inks + background).astype(np.uint8)
            shift = random.integers(-_MAX_SHIFT, _MAX_SHIFT, size=2, endpoint=True)
            yield labels, np.roll(pixels, shift, axis=(0, 1))


def _coverage(shape: str, size: str, rotation: str, texture: str) -> np.ndarray:
    """Return how much of each pixel base, accent and outline cover: (96, 96, 3) from 0 to 1, in total at most 1."""
    angle = math.radians(ROTATIONS[rotation])
    polygon = SHAPES[shape]
    # The shoelace formula gives the signed area and the center of area.
    x, y = polygon.T
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    area = cross.sum() / 2
    center = ((polygon + np.roll(polygon, -1, axis=0)) * cross[:, np.newaxis]).sum(axis=0) / (6 * area)
    points = (polygon - center) * math.sqrt(SIZES[size] / abs(area)) @ _rotation(angle).T
    # Rounded, because an upright side that leans by a float's last digit would get a step.
    corners = [tuple(point) for point in np.round((points + 0.5) * (SIDE * _SCALE), 3)]
    filled, stroke = Image.new("1", (SIDE * _SCALE,) * 2), Image.new("1", (SIDE * _SCALE,) * 2)
    ImageDraw.Draw(filled).polygon(corners, fill=1)
    # Closed, with one more side for the joint at the first corner. Half of the stroke lies outside the polygon.
    ImageDraw.Draw(stroke).line([*corners, *corners[:2]], fill=1, width=2 * _OUTLINE_WIDTH * _SCALE, joint="curve")
    inside = np.asarray(filled)
    outline = inside & np.asarray(stroke)
    accent = inside & ~outline & _texture(texture, angle)
    masks = (inside & ~outline & ~accent, accent, outline)
    return np.stack([np.asarray(Image.fromarray(mask).convert("L").reduce(_SCALE)) for mask in masks], 2) / 255


@cache
def _texture(texture: str, angle: float) -> np.ndarray:
    """Return where a texture shows its accent color, rotated with the shape: (384, 384) bool."""
    steps = np.arange(SIDE * _SCALE) / _SCALE - SIDE / 2 + 0.5 / _SCALE
    x, y = np.meshgrid(steps, steps)
    rotated = np.stack([x, y], axis=-1) @ _rotation(angle)
    if texture == "striped":
        return (rotated[..., 1] / 8) % 1 < 0.5
    if texture == "dotted":
        return np.hypot(*np.moveaxis((rotated / 9 + 0.5) % 1 - 0.5, -1, 0)) < 0.29
    return np.zeros(x.shape, dtype=bool)


def _rotation(angle: float) -> np.ndarray:
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
