"""Single pictures: one channel enlarged, a map over its photo, a film strip of stages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from featlib.checks import as_array, choice, finite_number, sequence, shown
from featlib.errors import FeatlibError
from featlib.plots.captions import font_size, line_height, load_font, shorten
from featlib.plots.checks import RGB, check_area, checked_color, checked_numbers, checked_picture, checked_side
from featlib.plots.colors import (
    COLORMAPS,
    DIVERGING,
    TEXT_COLOR,
    Colormap,
    checked_colormap,
    color_limits,
    colorize,
    value_range,
)
from featlib.plots.tiles import enlarge, shrink, tile_shape


def channel_image(
    map2d: np.ndarray,
    size: int = 448,
    vmin: float | None = None,
    vmax: float | None = None,
    colormap: Colormap | None = None,
) -> np.ndarray:
    """Draw one channel large, each position a flat rectangle.

    Args:
        map2d: (h, w) values.
        size: Length of the longer side of the picture, in pixels.
        vmin: Value of the first color; if None, the smallest in the map, or what puts zero in the middle of a diverging
            color map.
        vmax: Value of the last color; if None, the largest in the map, or as for `vmin`.
        colormap: One of `COLORMAPS`; if None, a diverging one where any value is negative, else "viridis".

    Returns:
        (H, W, 3) uint8 RGB, with the aspect ratio of the map.

    Raises:
        FeatlibError: If `map2d` is not (h, w), or an option is out of bounds.
    """
    map2d = _checked_map(map2d)
    size = checked_side("size", size)
    colormap = checked_colormap(colormap, map2d)
    low, high = color_limits(*value_range(map2d), colormap)
    height, width = tile_shape(map2d.shape, size)
    values = enlarge(shrink(map2d, height, width), height, width)
    return colorize(values, low if vmin is None else vmin, high if vmax is None else vmax, colormap)


def overlay(
    image: np.ndarray, map2d: np.ndarray, *, alpha: float = 0.55, colormap: Colormap | None = None
) -> np.ndarray:
    """Lay a map over the picture it was computed from: the higher the value, the more opaque its color.

    With a diverging color map, the farther a value is from zero; at zero the picture is bare.

    Args:
        image: (H, W, 3) uint8, the picture as the network saw it (resized and cropped), so that positions match.
        map2d: (h, w) values, enlarged smoothly to (H, W).
        alpha: Opacity of the largest value, 0..1; the smallest has a third of it.
        colormap: As in `channel_image`.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        FeatlibError: If a shape is wrong or `alpha` is outside 0..1.
    """
    image, alpha = checked_picture("image", image, (3,)), finite_number("alpha", alpha)
    if not 0 <= alpha <= 1:
        raise FeatlibError(f"alpha={alpha:g} is outside 0 to 1.")
    map2d = np.nan_to_num(_checked_map(map2d), nan=0.0, posinf=0.0, neginf=0.0)
    colormap = checked_colormap(colormap, map2d)
    low, high = color_limits(*value_range(map2d), colormap)
    share = ((map2d - low) / (high - low) if high > low else np.zeros_like(map2d)).astype(np.float32)
    size = (image.shape[1], image.shape[0])
    share = np.asarray(Image.fromarray(share).resize(size, Image.Resampling.BILINEAR))
    strength = np.abs(2 * share - 1) if colormap == DIVERGING else (1 + 2 * share) / 3
    opacity = (alpha * strength)[..., None]
    mixed = image * (1 - opacity) + colorize(share, 0, 1, colormap) * opacity
    return np.rint(mixed).astype(np.uint8)


def film_strip(
    stages: Sequence[tuple[str, np.ndarray]],
    *,
    tile: int = 128,
    colormap: Colormap | None = None,
    text_color: RGB = TEXT_COLOR,
) -> np.ndarray:
    """Draw an image's path through the network: one picture per stage, left to right, with arrows between.

    A frame shows one plane: pass the mean of absolute values over channels, `abs(maps).mean(-1)`. The plain mean of
    channels with both signs cancels to noise.

    Args:
        stages: (label, picture) pairs; a picture is an RGB photo (h, w, 3) uint8 or a plane (h, w), which is colored
            by its own range of values. A label may have two lines.
        tile: Length of the longer side of every frame, in pixels.
        colormap: As in `channel_image`.
        text_color: RGB of labels and arrows.

    Returns:
        (H, W, 4) uint8 RGBA, transparent around the frames.

    Raises:
        FeatlibError: If there are no stages, a picture has none of these shapes, or an option is out of bounds.
    """
    rule = "a list of (label, picture) pairs"
    pairs = [sequence("stages", stage, rule) for stage in sequence("stages", stages, rule)]
    tile, text_color = checked_side("tile", tile, 8), checked_color("text_color", text_color)
    if colormap is not None:
        choice("colormap", colormap, COLORMAPS)
    if not pairs:
        raise FeatlibError("Received no stages; at least one (label, picture) pair is needed.")
    check_area(tile, len(pairs) * (tile + tile // 4))
    for pair in pairs:
        if len(pair) != 2 or not isinstance(pair[0], str):
            raise FeatlibError(f"stages must be {rule}. Received: {shown(pair)}.")
    frames = [(label, _frame(picture, tile, colormap)) for label, picture in pairs]
    arrow, font = tile // 4, font_size(tile)
    lines = max(min(len(label.splitlines()), 2) for label, _ in frames)
    height = max(frame.height for _, frame in frames)
    width = len(frames) * (tile + arrow) - arrow
    # The transparent pixels have the text's color, so that letters get no dark fringe.
    canvas = Image.new("RGBA", (width, height + lines * line_height(font) + 6), (*text_color, 0))
    draw = ImageDraw.Draw(canvas)
    for number, (label, frame) in enumerate(frames):
        x = number * (tile + arrow)
        canvas.paste(frame, (x + (tile - frame.width) // 2, (height - frame.height) // 2))
        _write(canvas, label, x + tile / 2, height + 5, tile + arrow - 4, font, text_color)
        if number:
            tip, middle, half = x - arrow * 0.3, height / 2, arrow * 0.2
            draw.polygon([(tip - half, middle - half), (tip - half, middle + half), (tip, middle)], text_color)
    return np.asarray(canvas)


def _frame(picture: np.ndarray, side: int, colormap: Colormap | None) -> Image.Image:
    """Fit a picture into a square: reduce a photo smoothly, or enlarge it by a whole factor; color a plane."""
    picture = as_array("picture", picture)
    if picture.ndim == 2 and picture.size:
        return Image.fromarray(channel_image(picture, side, colormap=colormap))
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or picture.size == 0:
        raise FeatlibError(
            f"Received a picture of {picture.shape} {picture.dtype}; a photo (h, w, 3) uint8 or a plane (h, w) is "
            "needed."
        )
    image, longest = Image.fromarray(picture), max(picture.shape[:2])
    if longest > side:
        height, width = tile_shape(picture.shape[:2], side)
        return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)
    factor = side // longest
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def _write(canvas: Image.Image, text: str, x: float, y: float, width: float, size: int, color: RGB) -> None:
    """Write up to two centered lines, each shortened to the width."""
    draw, font = ImageDraw.Draw(canvas), load_font(size)
    for number, line in enumerate(text.splitlines()[:2]):
        line = shorten(line, width, size)
        left = x - font.getlength(line) / 2
        draw.text((round(left), y + number * line_height(size)), line, font=font, fill=color)


def _checked_map(map2d: np.ndarray) -> np.ndarray:
    map2d = checked_numbers("map2d", map2d).astype(np.float32, copy=False)
    if map2d.ndim != 2 or map2d.size == 0:
        raise FeatlibError(f"Received a map of shape {map2d.shape}; one channel (h, w) is needed.")
    return map2d
