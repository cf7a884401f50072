"""What each network expects to be done to the pixels before they enter it."""

from __future__ import annotations

import difflib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import get_args

import numpy as np
from PIL import Image

from featlib.checks import shown
from featlib.errors import ModelError
from featlib.models.applications import FAMILIES, SimplePreprocessing

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # RGB, of pixels in 0…1
IMAGENET_STD = (0.229, 0.224, 0.225)
IMAGENET_MEAN_BGR = (103.939, 116.779, 123.68)  # of pixels in 0…255
SIMPLE_PREPROCESSING: tuple[str, ...] = get_args(SimplePreprocessing)

PixelFunction = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Preprocessing:
    """One network's preprocessing of RGB pixels.

    Attributes:
        name: Short name: the family's module in keras.applications, for example "mobilenet_v2", or "none", "unit",
            "tf", "torch", "caffe", "lite0".
        code: One line of Python that does the same to a float array named `x`.
        function: Does it to a C-contiguous float32 array, in place or not.
        is_own: Whether it is a user's function, which may return any number of channels.
    """

    name: str
    code: str
    function: PixelFunction = field(repr=False, compare=False)
    is_own: bool = False

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Preprocess RGB pixels in 0…255, (…, 3), into a new float32 array; the input is unchanged."""
        copy = np.array(pixels, dtype=np.float32, order="C")  # the function may work in place
        return np.ascontiguousarray(self.function(copy), dtype=np.float32)

    @cached_property
    def description(self) -> str:
        """What it does, in words: found by trying it on every pixel value."""
        if self.is_own:
            return f"your own function {self.name.split()[0]}"
        values = np.random.default_rng(0).permutation(np.arange(768, dtype=np.float32) % 256).reshape(256, 3)
        result = self(values)
        for name, (function, _, description) in _SIMPLE.items():
            if np.allclose(result, function(values.copy()), rtol=0, atol=1e-4):
                inside = name == "none" and self.name != "none"
                return f"{description} (the network rescales inside)" if inside else description
        return f"its own: 0…255 becomes {result.min():.3g}…{result.max():.3g}"


def find_preprocessing(name: str) -> Preprocessing:
    """Find a preprocessing by its name.

    Args:
        name: "none", "unit", "tf", "torch", "caffe", "lite0", or a family's module in keras.applications.

    Raises:
        ModelError: There is none of that name; the message lists the names.
    """
    if isinstance(name, str) and name in PREPROCESSING:
        return PREPROCESSING[name]
    import keras

    module = getattr(keras.applications, name, None) if isinstance(name, str) else None
    if hasattr(module, "preprocess_input") and name != "imagenet_utils":  # a family that a newer Keras has added
        return Preprocessing(name, _keras_code(name), partial(_run_keras, name))
    close = difflib.get_close_matches(str(name), PREPROCESSING, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    raise ModelError(f"No preprocessing named {shown(name)}.{hint} Allowed: {', '.join(map(repr, PREPROCESSING))}.")


def as_preprocessing(given: str | PixelFunction) -> Preprocessing:
    """Turn a name or a function into a `Preprocessing`.

    Raises:
        ModelError: There is none of that name.
    """
    if not callable(given):
        return find_preprocessing(given)
    name = getattr(given, "__name__", type(given).__name__)
    # Two functions may have one name, and what a function does cannot be compared: each counts as a new one.
    return Preprocessing(f"{name} {secrets.token_hex(4)}", f"x = {name}(x)", given, is_own=True)


def to_gray(pixels: np.ndarray) -> np.ndarray:
    """Turn (n, h, w, 3) uint8 RGB into (n, h, w, 1) uint8 luma, ITU-R BT.601 like `PIL.Image.convert("L")`."""
    return np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in pixels])[..., np.newaxis]


def _keras_code(module: str) -> str:
    return f"x = keras.applications.{module}.preprocess_input(x)"


def _run_keras(module: str, x: np.ndarray) -> np.ndarray:
    import keras

    return getattr(keras.applications, module).preprocess_input(x, data_format="channels_last")


def _normalize(
    x: np.ndarray,
    divisor: float = 1,
    mean: float | tuple[float, ...] = 0,
    std: float | tuple[float, ...] = 1,
    bgr: bool = False,
) -> np.ndarray:
    """Compute (x / divisor - mean) / std in place where possible, and skip what changes nothing."""
    if isinstance(mean, tuple) and x.shape[-1] == 1:
        x = np.repeat(x, len(mean), axis=-1)
    if bgr:
        x[..., 0], x[..., 2] = x[..., 2], x[..., 0].copy()
    width = x.shape[-2] if x.ndim > 1 else 1
    rows = x.reshape(-1, width * x.shape[-1])
    for operation, values, neutral in ((np.divide, divisor, 1), (np.subtract, mean, 0), (np.divide, std, 1)):
        if values != neutral:  # broadcasting a whole row is fast, broadcasting three values is not
            row = np.asarray(values, np.float32)
            operation(rows, np.tile(row, width) if row.ndim else row, out=rows)
    return x


# name -> (function, code, description)
_SIMPLE: dict[SimplePreprocessing, tuple[PixelFunction, str, str]] = {
    "none": (_normalize, "x = x  # pixels enter as 0...255", "none: pixels enter as 0…255"),
    "unit": (partial(_normalize, divisor=255), "x = x / 255", "x / 255, so 0…255 becomes 0…1"),
    "tf": (
        partial(_normalize, divisor=127.5, mean=1),
        "x = x / 127.5 - 1",
        "x / 127.5 − 1, so 0…255 becomes −1…1",
    ),
    "torch": (
        partial(_normalize, divisor=255, mean=IMAGENET_MEAN, std=IMAGENET_STD),
        f"x = (x / 255 - {list(IMAGENET_MEAN)}) / {list(IMAGENET_STD)}",
        "(x / 255 − mean) / std of ImageNet, so 0…255 becomes about −2…2.6",
    ),
    "caffe": (
        partial(_normalize, mean=IMAGENET_MEAN_BGR, bgr=True),
        f"x = x[..., ::-1] - {list(IMAGENET_MEAN_BGR)}",
        "BGR, minus the ImageNet mean",
    ),
    "lite0": (
        partial(_normalize, mean=127, std=128),
        "x = (x - 127) / 128",
        "(x − 127) / 128, so 0…255 becomes −0.99…1",
    ),
}

PREPROCESSING = {name: Preprocessing(name, code, function) for name, (function, code, _) in _SIMPLE.items()} | {
    family.module: Preprocessing(family.module, _keras_code(family.module), _SIMPLE[family.preprocessing][0])
    for family in FAMILIES
}
