"""What each network wants done to the pixels before they enter it."""

from __future__ import annotations

import difflib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial

import numpy as np
from PIL import Image

from featlib.errors import ModelError
from featlib.images.decode import cover
from featlib.models.applications.facts import FAMILIES

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # RGB, of pixels of 0…1
IMAGENET_STD = (0.229, 0.224, 0.225)
IMAGENET_MEAN_BGR = (103.939, 116.779, 123.68)  # of pixels of 0…255


@dataclass(frozen=True)
class Preprocessing:
    """One network's preprocessing of RGB pixels.

    Attributes:
        name: short name: that of the family's module in keras.applications, for example "mobilenet_v2", or "none",
            "unit", "tf", "torch", "caffe", "lite0".
        code: one line of Python that does the same to a float array named `x`.
        function: does it to a float32 array, in place or not.
        is_own: whether it is a person's own function, which makes of RGB what the model takes, other channels too.
    """

    name: str
    code: str
    function: Callable[[np.ndarray], np.ndarray] = field(repr=False, compare=False)
    is_own: bool = False

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Preprocesses RGB pixels of 0…255, (…, 3), into a new float32 array; the input is unchanged."""
        copy = np.array(pixels, dtype=np.float32, order="C")  # Keras' functions work in place
        return np.ascontiguousarray(self.function(copy), dtype=np.float32)

    @cached_property
    def description(self) -> str:
        """What it does, for people: found by trying it on every value of a pixel."""
        if self.is_own:
            return f"your own function {self.name.split()[0]}"
        probe = np.random.default_rng(0).permutation(np.arange(768, dtype=np.float32) % 256).reshape(256, 3)
        result = self(probe)
        for name, (function, _, description) in _SIMPLE.items():
            if np.allclose(result, function(probe.copy()), rtol=0, atol=1e-4):
                inside = name == "none" and self.name != "none"
                return f"{description} (the network rescales inside)" if inside else description
        return f"its own: 0…255 becomes {result.min():.3g}…{result.max():.3g}"


def find_preprocessing(name: str) -> Preprocessing:
    """Finds a preprocessing by its name.

    Args:
        name: "none", "unit", "tf", "torch", "caffe", "lite0", or a family's module in keras.applications.

    Raises:
        ModelError: there is none of that name; the message gives the names.
    """
    if name in PREPROCESSING:
        return PREPROCESSING[name]
    if _keras_has(name):
        return _family(name)
    close = difflib.get_close_matches(str(name), PREPROCESSING, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    raise ModelError(f"No preprocessing named {name!r}.{hint} Allowed: {', '.join(map(repr, PREPROCESSING))}.")


def as_preprocessing(given: str | Callable[[np.ndarray], np.ndarray]) -> Preprocessing:
    """A name or a person's own function as a `Preprocessing`.

    Raises:
        ModelError: there is none of that name.
    """
    if not callable(given):
        return find_preprocessing(given)
    name = getattr(given, "__name__", type(given).__name__)
    # Two functions may have one name, and what a function does cannot be compared: each is taken as a new one.
    return Preprocessing(f"{name} {secrets.token_hex(4)}", f"x = {name}(x)", given, is_own=True)


@lru_cache
def _family(module: str) -> Preprocessing:
    return Preprocessing(module, f"x = keras.applications.{module}.preprocess_input(x)", partial(_run_family, module))


def _run_family(module: str, x: np.ndarray) -> np.ndarray:
    import keras

    return getattr(keras.applications, module).preprocess_input(x, data_format="channels_last")


def _keras_has(name: object) -> bool:
    """Whether this Keras has a family of that name that the table does not know."""
    import keras

    module = getattr(keras.applications, name, None) if isinstance(name, str) else None
    return hasattr(module, "preprocess_input") and name != "imagenet_utils"


def _none(x: np.ndarray) -> np.ndarray:
    return x


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.float32(255)


def _tf(x: np.ndarray) -> np.ndarray:
    x /= np.float32(127.5)
    x -= np.float32(1)
    return x


def _lite0(x: np.ndarray) -> np.ndarray:
    x -= np.float32(127)
    x /= np.float32(128)
    return x


def _caffe(x: np.ndarray) -> np.ndarray:
    return x[..., ::-1] - np.array(IMAGENET_MEAN_BGR, np.float32)


def _torch(x: np.ndarray) -> np.ndarray:
    return (x / np.float32(255) - np.array(IMAGENET_MEAN, np.float32)) / np.array(IMAGENET_STD, np.float32)


# name -> (function, code, description)
_SIMPLE: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str, str]] = {
    "none": (_none, "x = x  # pixels enter as 0...255", "none: pixels enter as 0…255"),
    "unit": (_unit, "x = x / 255", "x / 255, so 0…255 becomes 0…1"),
    "tf": (_tf, "x = x / 127.5 - 1", "x / 127.5 − 1, so 0…255 becomes −1…1"),
    "torch": (
        _torch,
        f"x = (x / 255 - {list(IMAGENET_MEAN)}) / {list(IMAGENET_STD)}",
        "(x / 255 − mean) / std of ImageNet, so 0…255 becomes about −2…2.6",
    ),
    "caffe": (_caffe, f"x = x[..., ::-1] - {list(IMAGENET_MEAN_BGR)}", "BGR, minus the ImageNet mean"),
    "lite0": (_lite0, "x = (x - 127) / 128", "(x − 127) / 128, so 0…255 becomes −0.99…1"),
}

SIMPLE_PREPROCESSING = tuple(_SIMPLE)
PREPROCESSING = {name: Preprocessing(name, code, function) for name, (function, code, _) in _SIMPLE.items()} | {
    family.module: _family(family.module) for family in FAMILIES
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
    return cover(Image.fromarray(pixels), height, width)
