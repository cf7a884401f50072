"""Decode images of any kind to (h, w, 3) uint8 RGB, or explain in one sentence why that is not possible."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

# Without these imports, Pillow would import all of its forty readers at the first WebP.
from PIL import (  # noqa: F401
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from featlib.errors import ImageError
from featlib.images.names import clean_name
from featlib.images.read import (
    MAX_BYTES,
    check_length,
    file_like_name,
    is_file_like,
    read_file_like,
    read_path,
    to_path,
)
from featlib.images.resize import cover
from featlib.images.sniff import FORMATS, READABLE, describe, image_format
from featlib.images.tiff import WHITELESS, is_raw, why_not_tiff

__all__ = ["MAX_BYTES", "MAX_PIXELS", "decode_array", "decode_bytes", "decode_image", "decode_pil"]

# The most pixels of one image: 192 MB decoded. The header declares them, so larger images are refused undecoded.
MAX_PIXELS = 64_000_000

# The exceptions that Pillow's readers raise on damaged files, found by decoding many of them.
_DAMAGE = (
    OSError,
    ValueError,
    SyntaxError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    EOFError,
    RuntimeError,
    struct.error,
)
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
_ORIENTATION = 0x0112
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FROM_16_BIT = ((np.arange(2**16) * 255 + 32767) // 65535).astype(np.uint8)


def decode_image(source: object, name: str | None = None) -> np.ndarray:
    """Decode one image.

    EXIF orientation is applied, transparency is blended onto white, 16-bit values are scaled to 8, CMYK, gray and
    palettes become RGB, and of an animation the first frame is taken.

    Args:
        source: A path, encoded bytes, a PIL image, an open file or upload, or an array: (h, w), (h, w, 1),
            (h, w, 3) or (h, w, 4) of uint8, uint16 or bool.
        name: The name to use in messages. By default the file's own.

    Returns:
        A new array, (h, w, 3) uint8 RGB.

    Raises:
        ImageError: If it cannot be read, with the name, the reason and what to do in one sentence.
    """
    if isinstance(source, np.ndarray):
        return decode_array(source, clean_name(name or "array"))
    if isinstance(source, Image.Image):
        return decode_pil(source, clean_name(name or pil_name(source) or "PIL image"))
    if isinstance(source, str | os.PathLike):
        path = to_path(source)
        shown = clean_name(name or path.name or str(path))
        return decode_bytes(read_path(path, shown), shown)
    if isinstance(source, bytes | bytearray | memoryview):
        return decode_bytes(bytes(source), clean_name(name or "image"))
    if is_file_like(source):
        shown = clean_name(name or file_like_name(source) or "image")
        return decode_bytes(read_file_like(source, shown), shown)
    raise ImageError(
        f"Received {type(source).__name__} as an image: pass a path, bytes, a PIL image, a NumPy array or an open file."
    )


def pil_name(image: Image.Image) -> str | None:
    """Return the file name that a PIL image was opened from, if any."""
    filename = getattr(image, "filename", "")
    return Path(filename).name if isinstance(filename, str) and filename else None


def decode_bytes(data: bytes, name: str, *, max_side: int | None = None) -> np.ndarray:
    """Decode the bytes of one image file to (h, w, 3) uint8, shrunk to `max_side` pixels if given."""
    return _decode(data, name, lambda image: _pixels(image, name, max_side))


def decode_resized(data: bytes, name: str, height: int, width: int) -> np.ndarray:
    """Decode the bytes of one image file and resize it as `cover` does: (height, width, 3) uint8.

    JPEGs are decoded whole. Pillow's `draft`, which decodes them at a half or a quarter of their size in less time,
    changes the features: at 2, 3 and 5 times the requested size, the cosine to those of the full decode falls to
    0.98, 0.999 and 0.9994 (EfficientNet-Lite0 and MobileNetV2, real photographs).
    """
    return _decode(data, name, lambda image: cover(_upright(image, name), height, width))


def _decode(data: bytes, name: str, read: Callable[[Image.Image], np.ndarray]) -> np.ndarray:
    check_length(len(data), name)
    if is_raw(data):
        raise ImageError(
            f"'{name}' is a RAW photo, which cameras write and only some programs read: export it as JPEG."
        )
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            # The header declares the size, so it is checked before any pixel is decoded.
            _check_size(*image.size, name)
            return read(image)
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        kind = image_format(data)
        if kind == "TIFF" and (reason := why_not_tiff(data)):
            reason = f"'{name}' {reason}"
        elif kind is not None:
            reason = f"'{name}' begins like a {kind} but is damaged or cut off: export or download it again."
        else:
            reason = f"'{name}' is {describe(data)}, not an image that featlib reads: it reads {READABLE}."
        raise ImageError(reason) from error
    except _BOMBS as error:
        raise ImageError(_too_many_pixels(name)) from error
    except MemoryError as error:
        raise ImageError(f"'{name}' does not fit in memory: make it smaller.") from error
    except _DAMAGE as error:
        what = "cut off" if "truncated" in str(error).lower() else "damaged"
        raise ImageError(
            f"'{name}' is a {what} {image_format(data) or 'image'} file: export or download it again."
        ) from error


def decode_pil(image: Image.Image, name: str) -> np.ndarray:
    """Turn a PIL image into (h, w, 3) uint8 by the same rules as a file."""
    try:
        _check_size(*image.size, name)
        return np.array(_upright(image, name))
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError(f"'{name}' does not fit in memory: make it smaller.") from error
    except _DAMAGE as error:
        raise ImageError(f"'{name}' cannot be decoded ({error}): open the PIL image again.") from error


def decode_array(array: np.ndarray, name: str) -> np.ndarray:
    """Turn (h, w), (h, w, 1), (h, w, 3) or (h, w, 4) of uint8, uint16 or bool into (h, w, 3) uint8."""
    _check_array(array, name)
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * np.uint8(255)
    elif array.dtype == np.uint16:
        array = _FROM_16_BIT[array]
    if array.ndim == 2:
        array = array[:, :, np.newaxis]
    if array.shape[2] == 4:
        return np.array(_to_rgb(Image.fromarray(np.ascontiguousarray(array)), name))
    return np.array(np.broadcast_to(array, (*array.shape[:2], 3)))


def _check_array(array: np.ndarray, name: str) -> None:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        hint = "move the channels last" if array.ndim == 3 and array.shape[0] in (1, 3, 4) else "reshape it"
        raise ImageError(
            f"'{name}' has shape {array.shape}, and an image array is (height, width), (height, width, 1),"
            f" (height, width, 3) or (height, width, 4): {hint}."
        )
    if array.dtype not in (np.uint8, np.uint16, np.bool_):
        raise ImageError(
            f"'{name}' has dtype {array.dtype}, and an image array is uint8 0..255 (or uint16 0..65535, or"
            " bool): scale and convert it, for example (x * 255).astype('uint8') for values from 0 to 1."
        )
    _check_size(array.shape[1], array.shape[0], name)


def _check_size(width: int, height: int, name: str) -> None:
    if width < 1 or height < 1:
        raise ImageError(f"'{name}' is {width} × {height} pixels: an image has at least one pixel.")
    if width * height > MAX_PIXELS:
        raise ImageError(_too_many_pixels(name, f" ({width:,} × {height:,})"))


def _too_many_pixels(name: str, size: str = "") -> str:
    limit = MAX_PIXELS // 1_000_000
    return f"'{name}' has more than {limit} megapixels{size}, the limit for one image: make it smaller."


def _pixels(image: Image.Image, name: str, max_side: int | None) -> np.ndarray:
    if max_side is not None:
        image.draft(None, (2 * max_side, 2 * max_side))
    rgb = _upright(image, name)
    if max_side is not None:
        rgb = rgb.copy()
        rgb.thumbnail((max_side, max_side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return np.array(rgb)


def _upright(image: Image.Image, name: str) -> Image.Image:
    image.load()
    turn = _TRANSPOSE.get(_orientation(image))
    rgb = _to_rgb(image, name)
    return rgb if turn is None else rgb.transpose(turn)


def _orientation(image: Image.Image) -> Any:  # noqa: ANN401 - an untrusted file may have anything in this tag
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except _DAMAGE:
        return 1  # an image with a damaged tag is still readable
    return value if isinstance(value, int) else 1


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
    if image.mode.startswith("I;16"):
        image = Image.fromarray(_FROM_16_BIT[np.asarray(image)])
    if image.mode in ("I", "F"):
        raise ImageError(f"'{name}' {WHITELESS}")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
