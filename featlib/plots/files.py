"""Pictures for files: encoded, put together, with a title on a background."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from featlib.checks import flag, instance, sequence
from featlib.errors import FeatlibError
from featlib.plots.captions import drawable, line_height, load_font
from featlib.plots.checks import RGB, check_area, checked_color, checked_picture, checked_side
from featlib.plots.tiles import tile_shape


def png_bytes(image: np.ndarray) -> bytes:
    """Encode an RGB or RGBA uint8 picture as a PNG file, with fast compression.

    Raises:
        FeatlibError: If it is no such picture.
    """
    image, file = checked_picture("image", image), io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=1)
    return file.getvalue()


def jpeg_bytes(image: np.ndarray) -> bytes:
    """Encode an RGB uint8 photo as a small JPEG file.

    Raises:
        FeatlibError: If it is no such photo.
    """
    image, file = checked_picture("image", image, (3,)), io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=88)
    return file.getvalue()


def resized(image: np.ndarray, side: int) -> np.ndarray:
    """Resize an RGB uint8 photo smoothly, so that its longer side has `side` pixels.

    Raises:
        FeatlibError: If it is no such photo, or `side` is out of bounds.
    """
    image = checked_picture("image", image, (3,))
    height, width = tile_shape(image.shape[:2], checked_side("side", side))
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS))


def titled(
    picture: np.ndarray, title: str, *, background: RGB = (255, 255, 255), text_color: RGB = (27, 37, 41)
) -> np.ndarray:
    """Put a picture on a background, with a margin around it and a title above.

    Args:
        picture: (h, w, 3) RGB or (h, w, 4) RGBA uint8.
        title: One or more lines; the canvas is as wide as the longest of them needs.
        background: RGB.
        text_color: RGB of the title.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        FeatlibError: If it is no such picture, the title no text, a color no RGB, or the canvas too large.
    """
    picture = checked_picture("picture", picture)
    instance("title", title, str, "a text")
    background, text_color = checked_color("background", background), checked_color("text_color", text_color)
    size, margin = 24, 24
    font, lines = load_font(size), [drawable(line) for line in title.splitlines()]
    wide = max(picture.shape[1], *(round(font.getlength(line)) for line in lines), 0)
    top = margin + len(lines) * line_height(size) + margin // 2
    height, width = top + picture.shape[0] + margin, wide + 2 * margin
    check_area(height, width)
    canvas = Image.new("RGB", (width, height), background)
    draw = ImageDraw.Draw(canvas)
    for number, line in enumerate(lines):
        draw.text((margin, margin + number * line_height(size)), line, font=font, fill=text_color)
    shown = Image.fromarray(picture)
    canvas.paste(shown, (margin, top), shown if shown.mode == "RGBA" else None)
    return np.asarray(canvas)


def joined(pictures: Sequence[np.ndarray], *, horizontal: bool = False, gap: int = 16) -> np.ndarray:
    """Put pictures one below the other, or side by side: (H, W, 4) uint8 RGBA, transparent between them.

    Args:
        pictures: (h, w, 3) RGB or (h, w, 4) RGBA uint8 each.
        horizontal: Whether side by side.
        gap: Pixels between them.

    Raises:
        FeatlibError: If there are no pictures, one is none, an option is invalid, or the result would be too large.
    """
    pictures = [checked_picture("pictures", one) for one in sequence("pictures", pictures, "a list of pictures")]
    if not pictures:
        raise FeatlibError("pictures is empty; at least one picture is needed.")
    flag("horizontal", horizontal)
    gap = checked_side("gap", gap, 0)
    axis, other = (1, 0) if horizontal else (0, 1)
    size = [0, 0]
    size[axis] = sum(picture.shape[axis] for picture in pictures) + gap * (len(pictures) - 1)
    size[other] = max(picture.shape[other] for picture in pictures)
    check_area(*size)
    canvas, place = Image.new("RGBA", (size[1], size[0]), (0, 0, 0, 0)), [0, 0]
    for picture in pictures:
        canvas.paste(Image.fromarray(picture), (place[1], place[0]))
        place[axis] += picture.shape[axis] + gap
    return np.asarray(canvas)
