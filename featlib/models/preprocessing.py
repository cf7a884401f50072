"""What each network wants done to the pixels before they enter it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Preprocessing:
    """One network's preprocessing of RGB pixels.

    Attributes:
        name: short name, for example "mobilenet_v2".
        description: what it does, for people.
        code: one line of Python that does the same to an array named `x`.
        scale: pixels are divided by this after `offset` is subtracted.
        offset: subtracted from pixels of 0…255.
    """

    name: str
    description: str
    code: str
    offset: float
    scale: float
    makes_channels: bool = False

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Preprocesses RGB pixels of 0…255, any shape, into a new float32 array; the input is unchanged."""
        return (np.asarray(pixels, dtype=np.float32) - np.float32(self.offset)) / np.float32(self.scale)


PREPROCESSING = {
    "lite0": Preprocessing("lite0", "(x − 127) / 128, so 0…255 becomes −0.99…1", "x = (x - 127) / 128", 127, 128),
    "mobilenet_v2": Preprocessing(
        "mobilenet_v2",
        "x / 127.5 − 1, so 0…255 becomes −1…1",
        "x = keras.applications.mobilenet_v2.preprocess_input(x)",
        127.5,
        127.5,
    ),
    "none": Preprocessing("none", "none: pixels enter as 0…255", "x = x  # pixels enter as 0...255", 0, 1),
}


def to_grey(pixels: np.ndarray) -> np.ndarray:
    """(n, h, w, 3) uint8 RGB -> (n, h, w, 1) uint8 brightness, ITU-R BT.601 as `PIL.Image.convert("L")` has it."""
    return np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in pixels])[..., np.newaxis]


def resize_and_crop(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scales an image until it just covers (height, width), then keeps the centre.

    Bicubic with antialiasing, as `PIL.Image.resize` does it; the picture is not squashed.

    Args:
        pixels: (h, w, 3) uint8 RGB.
        height: wanted height in pixels.
        width: wanted width in pixels.

    Returns:
        (height, width, 3) uint8.
    """
    image = Image.fromarray(pixels)
    ratio = max(height / image.height, width / image.width)
    left = max(0.0, (image.width - width / ratio) / 2)
    top = max(0.0, (image.height - height / ratio) / 2)
    box = (left, top, image.width - left, image.height - top)
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC, box=box))
