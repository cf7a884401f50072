"""The scale of colors, with its range in numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from featlib.checks import finite_number
from featlib.errors import FeatlibError
from featlib.plots.captions import drawable, format_value, line_height, load_font
from featlib.plots.checks import checked_color, checked_side, checked_texts
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

    Raises:
        FeatlibError: If an end is no finite number, there are not two labels, or an option is out of bounds.
    """
    low, high = finite_number("low", low), finite_number("high", high)
    width, text_color = checked_side("width", width, 8), checked_color("text_color", text_color)
    texts = [format_value(low), format_value(high)] if labels is None else checked_texts("labels", labels)
    if len(texts) != 2:
        raise FeatlibError(f"labels must be two texts, for the low and the high end. Received: {len(texts)}.")
    size = max(10, width // 27)
    thick, font = size, load_font(size)
    canvas = Image.new("RGBA", (width, thick + TICK + line_height(size) + 2), (*text_color, 0))
    colors = color_table(colormap)[np.arange(width) * LEVELS // width]
    canvas.paste(Image.fromarray(np.repeat(colors[None], thick, axis=0)), (0, 0))
    draw = ImageDraw.Draw(canvas)
    places = [(0.0, texts[0]), (1.0, texts[1])]
    if low < 0 < high:
        places.insert(1, (-low / (high - low), "0"))
    for share, text in ((share, drawable(text)) for share, text in places):
        x, length = round(share * (width - 1)), font.getlength(text)
        draw.line([(x, thick), (x, thick + TICK)], fill=text_color)
        left = min(max(x - length / 2, 0), width - length)
        draw.text((round(left), thick + TICK), text, font=font, fill=text_color)
    return np.asarray(canvas)
