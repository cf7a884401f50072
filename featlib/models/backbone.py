"""A Keras model with everything needed to feed it."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from featlib.errors import ModelError
from featlib.images import as_image_set
from featlib.models.graph.graph import ModelGraph
from featlib.models.graph.recording import parts_of
from featlib.models.layers import LayerInfo, describe_layers
from featlib.models.preprocessing import Preprocessing, resize_and_crop, to_grey

if TYPE_CHECKING:
    import keras

# How Keras writes a function that is none of its own.
_OWN_FUNCTION = re.compile(r'"class_name": "(function|__lambda__)"')


@dataclass(frozen=True, eq=False)
class Backbone:
    """A Keras model and its preprocessing. The model is shared: it is never compiled, trained or renamed.

    Attributes:
        name: what the person asked for, for example "EfficientNetLite0".
        model: the Keras model; layers are read from it, never changed.
        input_shape: (height, width, channels) of one image as the model receives it.
        preprocessing: what is done to the pixels after resizing.
        weights: "imagenet", "random", a file name, or "own" for a live model.
        include_top: whether the classification layers are there.
        class_names: the names of the outputs in order, or None where they are unknown.
        channels_first: whether the model itself wants (channels, height, width); featlib turns the axes.
        notes: what was guessed or repaired when the model was opened, one sentence each.
    """

    name: str
    model: keras.Model
    input_shape: tuple[int, int, int]
    preprocessing: Preprocessing
    weights: str
    include_top: bool
    class_names: tuple[str, ...] | None = None
    channels_first: bool = False
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        top = "with top" if self.include_top else "without top"
        return f"Backbone({self.name!r}, weights={self.weights!r}, {top}, input_shape={self.input_shape})"

    def __deepcopy__(self, memo: dict[int, object]) -> Backbone:
        """Returns itself: a backbone never changes, so cloning an estimator copies no network."""
        return self

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of architecture, weights, input size and preprocessing: equal means equal features.

        A model with classes or functions of one's own gets a new one each time it is loaded.
        """
        digest = hashlib.blake2b(digest_size=16)
        digest.update(repr((self.input_shape, self.preprocessing.name)).encode())
        digest.update(self._architecture().encode())
        if self._has_own_parts:
            digest.update(secrets.token_bytes(8))  # what code of one's own computes cannot be compared
        for variable in self.model.weights:
            digest.update(np.ascontiguousarray(variable.numpy()).data)
        return digest.hexdigest()

    @cached_property
    def has_own_code(self) -> bool:
        """Whether code of a person's own takes part, so that the fingerprint is another one at each loading."""
        return self.preprocessing.is_own or self._has_own_parts

    @property
    def _has_own_parts(self) -> bool:
        """Whether there are classes or functions of a person's own: of functions, Keras tells nothing but the names."""
        layers = (self.model, *parts_of(self.model))
        return _OWN_FUNCTION.search(self._architecture()) is not None or any(
            not type(part).__module__.startswith("keras.") for part in layers
        )

    def _architecture(self) -> str:
        try:
            return self.model.to_json()
        except (NotImplementedError, TypeError, ValueError):  # a class of one's own need not say how it is made
            return repr(self.layers)

    @cached_property
    def graph(self) -> ModelGraph:
        """All calls of the model's layers, and how to run them."""
        return ModelGraph(self.model, self.input_shape, self.channels_first)

    @cached_property
    def layers(self) -> tuple[LayerInfo, ...]:
        """The model's layers in graph order, those of inner models too."""
        return describe_layers(self.graph)

    @cached_property
    def feature_layer(self) -> str:
        """Path of the last layer with height and width: where transfer learning usually starts."""
        usable = [layer for layer in self.layers if not layer.reason and layer.class_name != "InputLayer"]
        pooled = max(
            (layer.index for layer in usable if layer.class_name.startswith("Global")), default=len(self.layers)
        )
        # Maps of 1 × 1 behind a global pooling are vectors in another form, such as MobileNet's logits.
        real = [layer for layer in usable if layer.index < pooled or layer.output_shape[:2] != (1, 1)]
        maps = [layer.path for layer in real if layer.kind == "maps"]
        path = maps[-1] if maps else usable[-1].path
        while path.rpartition("/")[0] in maps:  # what is around it comes after it: an inner model, a block
            path = path.rpartition("/")[0]
        return path

    @cached_property
    def prediction_layer(self) -> str | None:
        """Path of the layer that puts out class probabilities, or None."""
        found = [layer.path for layer in self.layers if layer.kind == "probabilities" and not layer.reason]
        return found[-1] if found else None

    def adapted(self, **changes: Any) -> Backbone:  # noqa: ANN401 - any field
        """The same model and input with other words or another preprocessing around it; its graph is not read again."""
        other = replace(self, **changes)
        vars(other).update({name: vars(self)[name] for name in ("graph", "layers") if name in vars(self)})
        return other

    def resize(self, pixels: np.ndarray) -> np.ndarray:
        """Scales and centre-crops (h, w, 3) uint8 RGB to (height, width, 3) uint8: what the network looks at."""
        return resize_and_crop(pixels, *self.input_shape[:2])

    def prepare(self, images: object) -> np.ndarray:
        """Turns images into the very tensor that enters the network.

        Args:
            images: an ImageSet, a list of paths, bytes, PIL images or uint8 arrays, or one (n, h, w, 3) array.

        Returns:
            (n, height, width, channels) float32.

        Raises:
            ImageError: an image cannot be read.
        """
        resized = [item.resized(*self.input_shape[:2]) for item in as_image_set(images)]
        if not resized:
            return np.zeros((0, *self.input_shape), np.float32)
        return self.preprocess(np.stack(resized))

    def preprocess(self, pixels: np.ndarray) -> np.ndarray:
        """Turns resized pixels, (n, height, width, 3) uint8 RGB, into the tensor that enters the network, float32.

        Raises:
            ModelError: the model takes another number of channels than the preprocessing makes.
        """
        grey = self.input_shape[-1] == 1 and not self.preprocessing.is_own
        x = self.preprocessing(to_grey(pixels) if grey else pixels)
        if x.shape[1:] != self.input_shape:
            maker = self.preprocessing.name.split()[0]
            raise ModelError(
                f"'{self.name}' takes {self.input_shape}, and '{maker}' makes {x.shape[1:]} of a picture. "
                "Give load_backbone your own function from RGB pixels as preprocessing=."
            )
        return x

    def class_name(self, index: int) -> str:
        """Names output `index`: "espresso", or "class 967" where names are unknown."""
        return self.class_names[index] if self.class_names else f"class {index}"


def top_classes(probabilities: np.ndarray, k: int = 5) -> Sequence[int]:
    """Indices of the `k` largest of (classes,) probabilities, largest first."""
    return [int(i) for i in np.argsort(probabilities)[::-1][:k]]
