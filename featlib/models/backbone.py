"""A Keras model with everything needed to feed it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from featlib.images import as_image_set
from featlib.models.layers import LayerInfo, describe_layers
from featlib.models.preprocessing import Preprocessing, resize_and_crop

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, eq=False)
class Backbone:
    """A Keras model and its preprocessing. The model is shared: it is never compiled, trained or renamed.

    Attributes:
        name: what the person asked for, for example "EfficientNetLite0".
        model: the Keras model; layers are read from it, never changed.
        input_shape: (height, width, 3) of one image as the model receives it.
        preprocessing: what is done to the pixels after resizing.
        weights: "imagenet", "random", a file name, or "own" for a live model.
        include_top: whether the classification layers are there.
        class_names: the names of the outputs in order, or None where they are unknown.
    """

    name: str
    model: keras.Model
    input_shape: tuple[int, int, int]
    preprocessing: Preprocessing
    weights: str
    include_top: bool
    class_names: tuple[str, ...] | None = None

    def __repr__(self) -> str:
        top = "with top" if self.include_top else "without top"
        return f"Backbone({self.name!r}, weights={self.weights!r}, {top}, input_shape={self.input_shape})"

    def __deepcopy__(self, memo: dict[int, object]) -> Backbone:
        """Returns itself: a backbone never changes, so cloning an estimator copies no network."""
        return self

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of architecture, weights, input size and preprocessing: equal means equal features."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(repr((self.input_shape, self.preprocessing.name)).encode())
        digest.update(self.model.to_json().encode())
        for variable in self.model.weights:
            digest.update(np.ascontiguousarray(variable.numpy()).data)
        return digest.hexdigest()

    @cached_property
    def layers(self) -> tuple[LayerInfo, ...]:
        """The model's layers in graph order."""
        return describe_layers(self.model)

    @cached_property
    def feature_layer(self) -> str:
        """Path of the last layer with height and width: where transfer learning usually starts."""
        maps = [layer.path for layer in self.layers if layer.kind == "maps"]
        return maps[-1] if maps else self.layers[-1].path

    def resize(self, pixels: np.ndarray) -> np.ndarray:
        """Scales and centre-crops (h, w, 3) uint8 RGB to (height, width, 3) uint8: what the network looks at."""
        return resize_and_crop(pixels, *self.input_shape[:2])

    def prepare(self, images: object) -> np.ndarray:
        """Turns images into the very tensor that enters the network.

        Args:
            images: an ImageSet, a list of paths, bytes, PIL images or uint8 arrays, or one (n, h, w, 3) array.

        Returns:
            (n, height, width, 3) float32.

        Raises:
            ImageError: an image cannot be read.
        """
        resized = [self.resize(item.pixels) for item in as_image_set(images)]
        if not resized:
            return np.zeros((0, *self.input_shape), np.float32)
        return self.preprocessing(np.stack(resized))

    def class_name(self, index: int) -> str:
        """Names output `index`: "espresso", or "class 967" where names are unknown."""
        return self.class_names[index] if self.class_names else f"class {index}"


def top_classes(probabilities: np.ndarray, k: int = 5) -> Sequence[int]:
    """Indices of the `k` largest of (classes,) probabilities, largest first."""
    return [int(i) for i in np.argsort(probabilities)[::-1][:k]]
