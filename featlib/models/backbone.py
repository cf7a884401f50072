"""A Keras model with everything needed to feed it, and its layers."""

from __future__ import annotations

import difflib
import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from featlib.checks import instance, rgb_pixels
from featlib.errors import LayerNotFoundError, ModelError
from featlib.images import as_image_set, cover
from featlib.models.graph import ModelGraph, parts_of
from featlib.models.layers import LayerInfo, describe_layers
from featlib.models.preprocessing import Preprocessing, to_gray

if TYPE_CHECKING:
    import keras

# How Keras serializes a function that is not one of its own.
_CUSTOM_FUNCTION = re.compile(r'"class_name": "(function|__lambda__)"')


@dataclass(frozen=True, eq=False)
class Backbone:
    """A Keras model and its preprocessing. The model is shared: it is never compiled, trained or renamed.

    Attributes:
        name: The name it was requested by, for example "EfficientNetLite0".
        model: The Keras model; layers are read from it, never changed.
        input_shape: (height, width, channels) of one image as the model receives it.
        preprocessing: What is done to the pixels after resizing.
        weights: "imagenet", "random", a file name, or "own" for a live model.
        include_top: Whether the model includes the classification layers.
        class_names: The names of the outputs in order, or None if unknown.
        channels_first: Whether the model itself expects (channels, height, width); featlib transposes.
        notes: What was guessed or repaired when the model was opened, one sentence each.
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
        """Return the backbone itself: it never changes, so cloning an estimator copies no network."""
        return self

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of architecture, weights, input size and preprocessing: equal means equal features.

        A model with custom classes or functions gets a new one each time it is loaded.
        """
        digest = hashlib.blake2b(digest_size=16)
        digest.update(repr((self.input_shape, self.preprocessing.name)).encode())
        digest.update(self._architecture.encode())
        if self._has_custom_parts:
            digest.update(secrets.token_bytes(8))  # what custom code computes cannot be compared
        for variable in self.model.weights:
            digest.update(np.ascontiguousarray(variable.numpy()).data)
        return digest.hexdigest()

    @cached_property
    def has_own_code(self) -> bool:
        """Whether custom code takes part, so that the fingerprint differs each time the model is loaded."""
        return self.preprocessing.is_own or self._has_custom_parts

    @cached_property
    def _has_custom_parts(self) -> bool:
        """Whether the model has custom classes or functions; of functions, Keras stores only the names."""
        parts = (self.model, *parts_of(self.model))
        return _CUSTOM_FUNCTION.search(self._architecture) is not None or any(
            not type(part).__module__.startswith("keras.") for part in parts
        )

    @property
    def _architecture(self) -> str:
        try:
            return self.model.to_json()
        except (NotImplementedError, TypeError, ValueError):  # a custom class need not be serializable
            return repr(self.layers)

    @cached_property
    def graph(self) -> ModelGraph:
        """All calls of the model's layers, and how to run them."""
        return ModelGraph(self.model, self.input_shape, self.channels_first)

    @cached_property
    def layers(self) -> tuple[LayerInfo, ...]:
        """The model's layers in graph order, including those of inner models."""
        return describe_layers(self.graph)

    @cached_property
    def _layers_by_path(self) -> dict[str, LayerInfo]:
        return {layer.path: layer for layer in self.layers}

    def find_layer(self, path: str) -> LayerInfo:
        """Find one layer by its path.

        Raises:
            LayerNotFoundError: There is no such layer (the message gives close matches), or it has no accessible output
                (the message says why).
        """
        instance("layer", path, str, "a layer path")
        layer = self._layers_by_path.get(path)
        if layer is not None and not layer.reason:
            return layer
        if layer is not None:
            raise LayerNotFoundError(f"'{path}' in '{self.name}' has no accessible output: {layer.reason}.")
        paths = list(self._layers_by_path)
        inside = [name for name in paths if name.endswith(f"/{path}") or name.startswith(f"{path}[")]
        close = [f"'{name}'" for name in inside[:3] or difflib.get_close_matches(str(path), paths, n=3)]
        hint = f"Did you mean {' or '.join(close)}?" if close else f"The last is '{paths[-1]}'."
        raise LayerNotFoundError(f"No layer named '{path}' in '{self.name}' ({len(paths)} layers). {hint}")

    @cached_property
    def feature_layer(self) -> str:
        """Path of the last layer with height and width: where transfer learning usually starts.

        Raises:
            LayerNotFoundError: No layer can be computed from one image.
        """
        usable = [layer for layer in self.layers if not layer.reason and layer.class_name != "InputLayer"]
        if not usable:
            raise LayerNotFoundError(self._why_nothing_is_visible())
        pooled = max(
            (layer.index for layer in usable if layer.class_name.startswith("Global")), default=len(self.layers)
        )
        # Maps of 1 × 1 after a global pooling, such as MobileNet's logits, are vectors in another form.
        candidates = [layer for layer in usable if layer.index < pooled or layer.output_shape[:2] != (1, 1)]
        maps = [layer.path for layer in candidates if layer.kind == "maps"]
        path = maps[-1] if maps else usable[-1].path
        while path.rpartition("/")[0] in maps:  # the inner model or block around it ends after it
            path = path.rpartition("/")[0]
        return path

    def _why_nothing_is_visible(self) -> str:
        first = next((layer for layer in self.layers if layer.reason and layer.class_name != "InputLayer"), None)
        if first is None:
            return f"'{self.name}' has no layers besides its input, so there is nothing to look at."
        return f"No layer of '{self.name}' can be computed from one image ('{first.path}': {first.reason})."

    @cached_property
    def prediction_layer(self) -> str | None:
        """Path of the layer that outputs class probabilities, or None."""
        found = [layer.path for layer in self.layers if layer.kind == "probabilities" and not layer.reason]
        return found[-1] if found else None

    def adapted(self, **changes: Any) -> Backbone:  # noqa: ANN401 - any field
        """Return a backbone of the same model and input with other fields; its graph is not read again."""
        other = replace(self, **changes)
        vars(other).update({name: vars(self)[name] for name in ("graph", "layers") if name in vars(self)})
        return other

    def resize(self, pixels: np.ndarray) -> np.ndarray:
        """Scale and center-crop (h, w, 3) uint8 RGB to the network's input: (height, width, 3) uint8.

        Raises:
            FeatlibError: These are no such pixels.
        """
        pixels = rgb_pixels("pixels", pixels, "(h, w, 3)").astype(np.uint8, copy=False)
        return cover(Image.fromarray(pixels), *self.input_shape[:2])

    def prepare(self, images: object) -> np.ndarray:
        """Turn images into the tensor that enters the network.

        Args:
            images: An ImageSet, a list of paths, bytes, PIL images or uint8 arrays, or one (n, h, w, 3) array.

        Returns:
            (n, height, width, channels) float32.

        Raises:
            ImageError: An image cannot be read.
        """
        resized = [item.resized(*self.input_shape[:2]) for item in as_image_set(images)]
        if not resized:
            return np.zeros((0, *self.input_shape), np.float32)
        return self.preprocess(np.stack(resized))

    def preprocess(self, pixels: np.ndarray) -> np.ndarray:
        """Turn resized pixels, (n, height, width, 3) uint8 RGB, into the tensor that enters the network, float32.

        Raises:
            FeatlibError: These are no such pixels.
            ModelError: The preprocessing makes another number of channels than the model takes.
        """
        pixels = rgb_pixels("pixels", pixels, "(n, h, w, 3)")
        gray = self.input_shape[-1] == 1 and not self.preprocessing.is_own
        x = self.preprocessing(to_gray(pixels) if gray else pixels)
        if x.shape[1:] != self.input_shape:
            function = self.preprocessing.name.split()[0]
            raise ModelError(
                f"'{self.name}' takes {self.input_shape}, and '{function}' makes {x.shape[1:]} of an image. "
                "Give load_backbone your own function from RGB pixels as preprocessing=."
            )
        return x

    def class_name(self, index: int) -> str:
        """Return the name of output `index`: "espresso", or "class 967" where names are unknown."""
        return self.class_names[index] if self.class_names else f"class {index}"


def top_classes(probabilities: np.ndarray, k: int = 5) -> Sequence[int]:
    """Return the indices of the `k` largest of (classes,) probabilities, largest first."""
    return [int(i) for i in np.argsort(probabilities)[::-1][:k]]
