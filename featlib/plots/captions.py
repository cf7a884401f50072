"""Text drawn into pictures: number formats, cached glyphs, labels that fit."""

from __future__ import annotations

import unicodedata
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from featlib.checks import finite_number

# Pillow's font has ASCII and a few other characters; the rest is transliterated.
_MARKS = "©«°±·»‘’“”…‹›™"
_SUBSTITUTES = str.maketrans({"–": "-", "—": "-", "−": "-", "×": "x", "→": "›", "←": "‹", "ß": "ss", "ø": "o"})


def drawable(text: str) -> str:
    """Transliterate text to the characters of Pillow's font: accents are dropped, unknown letters become "?"."""
    plain = unicodedata.normalize("NFKD", text.translate(_SUBSTITUTES).replace("…", "\x00"))
    characters = (c for c in plain.replace("\x00", "…") if not unicodedata.combining(c))
    return "".join(c if " " <= c <= "~" or c in _MARKS else "?" for c in characters)


@cache
def load_font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's own font, so that pictures look the same everywhere."""
    return ImageFont.load_default(size)


@cache
def _glyph(character: str, size: int) -> np.ndarray:
    font = load_font(size)
    width = max(1, round(font.getlength(character)))
    image = Image.new("L", (width, line_height(size)))
    ImageDraw.Draw(image).text((0, 0), character, font=font, fill=255)
    return np.asarray(image)


def font_size(tile: int) -> int:
    """Return the size of the captions below tiles of this side, in pixels."""
    return min(max(round(tile / 8.7), 9), 28)


def line_height(size: int) -> int:
    """Return the height of a line of text, in pixels."""
    return round(size * 1.3)


def text_mask(text: str, size: int) -> np.ndarray:
    """Draw a line of text from cached glyphs: with Pillow, a hundred captions would take longer than their tiles.

    Returns:
        (line height, width) uint8 coverage, 0..255.
    """
    if not text:
        return np.zeros((line_height(size), 0), np.uint8)
    return np.hstack([_glyph(character, size) for character in text])


def format_value(value: float) -> str:
    """Format a value in three digits where possible: 0.03, 3.41, 27.5, 1280, 1e-05."""
    magnitude = abs(value)
    if magnitude == 0 or 0.005 <= magnitude < 10:
        return f"{value:.2f}"
    if 10 <= magnitude < 100_000:
        return f"{value:.{1 if magnitude < 100 else 0}f}"
    return f"{value:.0e}"


def format_range(low: float, high: float) -> str:
    """Format a range of values: 0.00…3.41 (a dash could be mistaken for a minus), or "all 0.00".

    Raises:
        FeatlibError: If an end is no finite number.
    """
    low, high = finite_number("low", low), finite_number("high", high)
    if low == high:
        return f"all {format_value(low)}"
    return f"{format_value(low)}…{format_value(high)}"


def shorten(text: str, width: float, size: int) -> str:
    """Make text drawable and shorten it to a width in pixels, with an ellipsis at the end if shortened."""
    text, font = drawable(text), load_font(size)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"
