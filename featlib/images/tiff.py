"""What a TIFF holds that featlib does not read: RAW photos of cameras, and pixels of unusual types."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Any

from PIL import TiffImagePlugin

WHITELESS = "has 32-bit values, which have no defined white level: save it with 8 or 16 bits."
STARTS = (b"II*\x00", b"MM\x00*")
# Numbers of tags.
NEW_SUBFILE_TYPE, BITS, PHOTOMETRIC, MAKE, SUB_IMAGES, SAMPLE_FORMAT, DNG_VERSION = 254, 258, 262, 271, 330, 339, 50706
FLOAT = 3
COLOR_FILTER_ARRAY = 32803
# What Pillow raises for damaged tags.
_DAMAGE = (OSError, ValueError, SyntaxError, TypeError, LookupError, ArithmeticError, RuntimeError, struct.error)


def is_raw(data: bytes) -> bool:
    """Return whether this is the RAW photo of a camera (CR2, NEF, ARW, DNG, …), whose first picture is its preview."""
    if not data.startswith(STARTS):
        return False
    if data[8:10] == b"CR":
        return True
    tags = _read_tags(data)
    preview = tags.get(NEW_SUBFILE_TYPE) == 1 and SUB_IMAGES in tags and MAKE in tags
    return preview or DNG_VERSION in tags or tags.get(PHOTOMETRIC) == COLOR_FILTER_ARRAY


def why_not_tiff(data: bytes) -> str:
    """Return why Pillow cannot read a TIFF, as what follows its name; "" if the tags do not tell."""
    tags = _read_tags(data)
    kinds, bits = (
        value if isinstance(value, tuple) else (value,) for value in (tags.get(SAMPLE_FORMAT), tags.get(BITS))
    )
    wide = any(isinstance(count, int) and count > 16 for count in bits)
    return WHITELESS if wide or FLOAT in kinds else ""


def _read_tags(data: bytes) -> dict[int, Any]:
    """Read the tags of the first picture; none if they are damaged."""
    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(data[:8])
        file = BytesIO(data)
        file.seek(tags.next)
        tags.load(file)
        return dict(tags)
    except _DAMAGE:
        return {}
