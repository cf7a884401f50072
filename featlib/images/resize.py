"""Fit an image to a network's input: the one resize behind every pixel that a network sees."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import PIL
from PIL import Image

from featlib.errors import FeatlibError, ImageError

try:
    import cykooz_resizer as cykooz
except ImportError:  # no wheel for this platform
    cykooz = None

ResizerName = Literal["cykooz", "pillow"]
RESIZERS: tuple[ResizerName, ...] = get_args(ResizerName)

# cykooz reads the C structure of Pillow's images, which Pillow may change in a new major version.
_MAX_PILLOW = 13
_available: tuple[ResizerName, ...] = RESIZERS
if cykooz is None or int(PIL.__version__.partition(".")[0]) > _MAX_PILLOW:
    _available = ("pillow",)
_active: ResizerName = _available[0]


def resizer_name() -> ResizerName:
    """Return the name of the resizer in use in this process: the fastest one available, unless `use_resizer` chose.

    Their pixels differ by up to one gray level in a few places, so vectors are stored together with this name.
    """
    return _active


def use_resizer(name: str) -> None:
    """Select the resizer of this process, so that several processes or machines use the same one.

    Args:
        name: One of `RESIZERS`.

    Raises:
        FeatlibError: If there is no such resizer, or it is not available here.
    """
    global _active
    if name not in RESIZERS:
        raise FeatlibError(f"No resizer named {name!r}: choose one of {', '.join(RESIZERS)}.")
    found = next((resizer for resizer in _available if resizer == name), None)
    if found is None:
        raise FeatlibError(
            f"The resizer {name!r} is not available on this machine: install cykooz-resizer and a version of Pillow "
            f"below {_MAX_PILLOW + 1}, or use 'pillow' on all machines."
        )
    _active = found


def cover(image: Image.Image, height: int, width: int) -> np.ndarray:
    """Scale an image until it just covers (height, width), and keep the center.

    Bicubic with antialiasing, as `PIL.Image.resize`; the aspect ratio is preserved.

    Args:
        image: A PIL image of mode RGB.
        height: The height of the result in pixels, at least 1.
        width: The width of the result in pixels, at least 1.

    Returns:
        (height, width, 3) uint8, read-only.

    Raises:
        ImageError: If the image is not RGB.
    """
    if image.mode != "RGB":
        raise ImageError(f"Received a PIL image of mode {image.mode!r} to resize: convert it with .convert('RGB').")
    ratio = max(height / image.height, width / image.width)
    left = max(0.0, (image.width - width / ratio) / 2)
    top = max(0.0, (image.height - height / ratio) / 2)
    if _active == "pillow":
        box = (left, top, image.width - left, image.height - top)
        return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC, box=box))
    # Two calls, one per axis, because a single call of cykooz 4.0.1 has two faults: it reads outside its buffer when
    # it enlarges some cropped images, and it clips overshoots in another order than Pillow (up to 10 gray levels).
    # The cropped axis comes first, so that nothing outside of the crop is computed.
    algorithm = cykooz.ResizeAlg.convolution(cykooz.FilterType.catmull_rom)
    for axis in ("y", "x") if image.height * width > image.width * height else ("x", "y"):
        if axis == "x":
            size, crop = (width, image.height), cykooz.CropBox(left, 0, image.width - 2 * left, image.height)
        else:
            size, crop = (image.width, height), cykooz.CropBox(0, top, image.width, image.height - 2 * top)
        resized = Image.new("RGB", size)
        # A new Resizer for each call: it must not be shared by threads, and costs nothing to make.
        cykooz.Resizer().resize_pil(image, resized, cykooz.ResizeOptions(algorithm, crop_box=crop))
        image = resized
    return np.asarray(image)
