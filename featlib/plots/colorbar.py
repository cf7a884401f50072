"""The scale of colors, with its range in numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from featlib.plots.captions import drawable, format_value, line_height, load_font
from featlib.plots.colors import LEVELS, TEXT_COLOR, Colormap, color_table

TICK = 4  # pixels


def color_bar(
    low: float,
    high: float,
    *,
    colormap: Colormap = "viridis",
    width: int = 320,
    labels: Sequence[str] | None = None,
    text_color: tuple[int, int, int] = TEXT_COLOR,
) -> np.ndarray:
    """Draw the colors from `low` to `high` as a bar, with the ends and the zero between them in numbers.

    Args:
        low: Value of the first color.
        high: Value of the last color.
        colormap: One of `COLORMAPS`.
        width: In pixels.
        labels: Texts at the ends instead of the numbers.
        text_color: RGB of the numbers.

    Returns:
        (H, width, 4) uint8 RGBA, transparent around the bar and its numbers.
    """
    size = max(10, width // 27)
    thick, font = size, load_font(size)
    canvas = Image.new("RGBA", (width, thick + TICK + line_height(size) + 2), (*text_color, 0))
    colors = color_table(colormap)[np.arange(width) * LEVELS // width]
    canvas.paste(Image.fromarray(np.repeat(colors[None], thick, axis=0)), (0, 0))
    draw = ImageDraw.Draw(canvas)
    first, last = labels or (format_value(low), format_value(high))
    places = [(0.0, first), (1.0, last)]
    if low < 0 < high:
        places.insert(1, (-low / (high - low), "0"))
    for share, text in ((share, drawable(text)) for share, text in places):
        x, length = round(share * (width - 1)), font.getlength(text)
        draw.line([(x, thick), (x, thick + TICK)], fill=text_color)
        left = min(max(x - length / 2, 0), width - length)
        draw.text((round(left), thick + TICK), text, font=font, fill=text_color)
    return np.asarray(canvas)
