"""Drawn shapes: every mix of shape, colour, size, rotation and texture once, each a label of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from itertools import product

import numpy as np
from PIL import Image, ImageDraw

SIDE = 96
_SCALE = 4  # drawn this much larger and averaged down: smooth edges
_PAPER = (247, 245, 240)
_MAX_SHIFT = 4
_OUTLINE = 2  # pixels

# Areas as shares of the picture, so that a large star is as large as a large circle.
SIZES = {"small": 0.085, "large": 0.25}
ROTATIONS = {"upright": 0.0, "tilted": 25.0}
TEXTURES = ("plain", "striped", "dotted")
COLOURS = {
    "red": (211, 47, 47),
    "orange": (245, 124, 0),
    "yellow": (250, 200, 30),
    "green": (46, 140, 70),
    "blue": (30, 100, 200),
    "purple": (126, 50, 160),
}
SHAPES = ("circle", "square", "triangle", "star", "cross", "heart")
SHAPES_COUNT = len(SHAPES) * len(COLOURS) * len(SIZES) * len(ROTATIONS) * len(TEXTURES)


def draw_shapes() -> Iterator[tuple[dict[str, str], np.ndarray]]:
    """Yield (labels, (96, 96, 3) uint8) of every mix, always the same pictures in the same order."""
    random = np.random.default_rng(0)
    for shape in SHAPES:
        # Drawn once, painted in every colour.
        forms = {form: _coverage(shape, *form) for form in product(SIZES, ROTATIONS, TEXTURES)}
        for colour, (form, coverage) in product(COLOURS, forms.items()):
            size, rotation, texture = form
            labels = {"shape": shape, "colour": colour, "size": size, "rotation": rotation, "texture": texture}
            shift = random.integers(-_MAX_SHIFT, _MAX_SHIFT, size=2, endpoint=True)
            yield labels, np.roll(_paint(coverage, COLOURS[colour]), shift, axis=(0, 1))


def _paint(coverage: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Lay colour, light accent and dark outline on paper by their coverage, (96, 96, 3) from 0 to 1."""
    base = np.array(colour, dtype=np.float64)
    inks = np.stack([base, base * 0.25 + 255 * 0.75, base * 0.62])
    paper = (1 - coverage.sum(axis=2, keepdims=True)) * _PAPER
    return np.rint(coverage @ inks + paper).astype(np.uint8)


def _coverage(shape: str, size: str, rotation: str, texture: str) -> np.ndarray:
    """How much of each pixel is base, accent and outline: (96, 96, 3) from 0 to 1, together at most 1."""
    angle = math.radians(ROTATIONS[rotation])
    points = _scaled(_outline(shape), SIZES[size]) @ _rotation(angle).T
    inside, edge = _filled(points)
    accent = inside & ~edge & _texture(texture, angle)
    layers = (inside & ~edge & ~accent, accent, edge)
    return np.stack([np.asarray(Image.fromarray(layer).convert("L").reduce(_SCALE)) for layer in layers], 2) / 255


def _filled(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What lies inside of a polygon, and which part of it is the outline: two (384, 384) bool."""
    # Rounded: an upright side must not lean by a float's last digit, which would make a step.
    corners = [tuple(point) for point in np.round((points + 0.5) * (SIDE * _SCALE), 3)]
    inside, line = Image.new("1", (SIDE * _SCALE,) * 2), Image.new("1", (SIDE * _SCALE,) * 2)
    ImageDraw.Draw(inside).polygon(corners, fill=1)
    # Closed, and one side more for the joint at the first corner. Half of the line lies outside.
    ImageDraw.Draw(line).line([*corners, *corners[:2]], fill=1, width=2 * _OUTLINE * _SCALE, joint="curve")
    return np.asarray(inside), np.asarray(inside) & np.asarray(line)


@cache
def _texture(texture: str, angle: float) -> np.ndarray:
    """The accent's pattern over the whole picture, turned with the shape: (384, 384) bool."""
    steps = np.arange(SIDE * _SCALE) / _SCALE - SIDE / 2 + 0.5 / _SCALE
    x, y = np.meshgrid(steps, steps)
    turned = np.stack([x, y], axis=-1) @ _rotation(angle)
    if texture == "striped":
        return (turned[..., 1] / 8) % 1 < 0.5
    if texture == "dotted":
        return np.hypot(*np.moveaxis((turned / 9 + 0.5) % 1 - 0.5, -1, 0)) < 0.29
    return np.zeros(x.shape, dtype=bool)


def _rotation(angle: float) -> np.ndarray:
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def _scaled(points: np.ndarray, area: float) -> np.ndarray:
    """Move a polygon (n, 2) to its center of area and scale it to that area."""
    x, y = points.T
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    own = cross.sum() / 2
    centre = ((points + np.roll(points, -1, axis=0)) * cross[:, np.newaxis]).sum(axis=0) / (6 * own)
    return (points - centre) * math.sqrt(area / abs(own))


def _outline(shape: str) -> np.ndarray:
    """The polygon of an upright shape, (n, 2), y pointing down, of any size."""
    if shape == "square":
        return _ring(4, start=45)
    if shape == "triangle":
        return _ring(3, start=-90)
    if shape == "star":
        return _ring(10, start=-90) * np.where(np.arange(10) % 2, 0.45, 1.0)[:, np.newaxis]
    if shape == "cross":
        arm = [(-1, -3), (1, -3), (1, -1), (3, -1), (3, 1), (1, 1)]
        return np.array([*arm, *((-x, -y) for x, y in arm)], dtype=np.float64)
    if shape == "heart":
        t = np.linspace(0, 2 * np.pi, 120, endpoint=False)
        y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
        return np.stack([16 * np.sin(t) ** 3, -y], axis=1)
    return _ring(120, start=0)


def _ring(corners: int, *, start: float) -> np.ndarray:
    """The corners of a regular polygon, the first at `start` degrees."""
    angles = np.radians(start) + np.arange(corners) * 2 * np.pi / corners
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)
