"""A weights file -> a new model with these weights, or the one sentence that says why not."""

from __future__ import annotations

import itertools
import re
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from featlib.errors import ModelError, WeightsNotFoundError
from featlib.models.graph import parts_of
from featlib.models.untrusted import read_weights
from featlib.text import keras_reason, printable

if TYPE_CHECKING:
    import h5py
    import keras

# What h5py and Keras raise for damaged files.
DAMAGE = (OSError, KeyError, ValueError, RuntimeError, TypeError, AttributeError, IndexError, EOFError, OverflowError)
# How Keras reports weights of another shape: in its own format, and in that of Keras 2.
SHAPE_MISMATCHES = (
    r"for object <\w+ name=([^,>]+).*variable\.shape=(\([^)]*\)), Received: value\.shape=(\([^)]*\))",
    r"\(named ([^)]+)\).*expects shape (\([^)]*\)).*with shape (\([^)]*\))",
)


def load_weights_file(build: Callable[[], keras.Model], weights: str | Path, name: str) -> keras.Model:
    """Build a model with the weights of a file: .h5 as Keras 2 wrote it, .weights.h5, or those inside a .keras file.

    Args:
        build: Builds the model, once the file has proved to contain weights.
        weights: Path of the file; its content decides, not its suffix.
        name: The network's name, for messages.

    Raises:
        WeightsNotFoundError: There is no such file.
        ModelError: It is damaged, no weights file, or does not fit; the message names the first layer that differs.
    """
    path = Path(weights)
    if not path.is_file():
        raise WeightsNotFoundError(
            f"No weights file at '{path}'. Allowed: \"imagenet\", None for random weights, or the path of an .h5 file."
        )
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "weights"
        copy.write_bytes(read_weights(path))  # a checked copy: Keras never reads the untrusted file itself
        try:
            is_legacy, stored = _list_stored_layers(copy)
            copy = copy.rename(copy.with_suffix(".h5" if is_legacy else ".weights.h5"))  # Keras goes by the suffix
            model = build()
            difference = _load(model, copy, is_legacy, stored)
        except ModelError:
            raise
        except DAMAGE as error:
            raise ModelError(
                f"The weights file '{path.name}' cannot be read: it is damaged, or not a weights file of Keras "
                f"(.h5, .weights.h5 or .keras): {keras_reason(error)}"
            ) from error
    if difference:
        raise ModelError(f"The weights file '{path.name}' does not fit '{name}': {difference}.")
    return model


def _list_stored_layers(path: Path) -> tuple[bool, list[str]]:
    """Tell whether a file has the format of Keras 2, and list the names of its layers with weights."""
    import h5py

    with h5py.File(path, "r") as file:
        if "layer_names" in file.attrs or "layer_names0" in file.attrs or "model_weights" in file:
            group = file.get("model_weights", file)
            names = _read_names(group, "layer_names")
            return True, [name for name in names if _read_names(group[name], "weight_names")]
        if "_layer_checkpoint_dependencies" in file:
            raise ValueError("it has the format of TensorFlow 2.12 to 2.15, which Keras 3 does not read; save as .h5")
        if "layers" not in file:
            raise ValueError("it contains no layers")
        paths: list[str] = []
        file.visit(paths.append)
        # Not the states of optimizers, and those of random layers, which lie deeper.
        groups = [file[path] for path in paths if re.fullmatch(r"(layers/[^/]+/)+vars", path)]
        return False, [str(group.attrs.get("name", group.name)) for group in groups if len(group)]


def _read_names(group: h5py.Group, attribute: str) -> list[str]:
    """Read a list of names from an attribute, or from several (layer_names0, layer_names1) if it is long."""
    chunks = [group.attrs[attribute]] if attribute in group.attrs else []
    keys = itertools.takewhile(lambda key: key in group.attrs, (f"{attribute}{i}" for i in itertools.count()))
    chunks += [group.attrs[key] for key in keys]
    return [name.decode() if isinstance(name, bytes) else str(name) for chunk in chunks for name in chunk]


def _load(model: keras.Model, path: Path, is_legacy: bool, stored: list[str]) -> str | None:
    """Load the weights; if they do not fit, say which layer differs first."""
    layers = model.layers if is_legacy else [part for part in parts_of(model) if not hasattr(part, "layers")]
    expected = [layer.name for layer in layers if getattr(layer, "weights", None)]
    if len(stored) == len(expected):  # Keras would ignore layers that only the file has
        try:
            with warnings.catch_warnings(action="ignore", category=UserWarning):  # the error tells more
                model.load_weights(path)
            return None
        except ValueError as error:
            for pattern in SHAPE_MISMATCHES:
                if match := re.search(pattern, str(error), re.DOTALL):
                    return f"layer '{match[1]}' expects weights of shape {match[2]}, and the file has {match[3]}"
            return keras_reason(error).removesuffix(".")
    missing = [name for name in expected if name not in stored]
    extra = [name for name in stored if name not in expected]
    if missing and not extra:
        hint = "if the file was saved without the top, use include_top=False"
        return f"the file has no weights for layer '{missing[0]}' ({hint})"
    if extra and not missing:
        hint = "if the file was saved with the top, use include_top=True"
        return f"the file has weights for a layer '{printable(extra[0])}' that the network does not have ({hint})"
    return f"its {len(stored)} layers with weights are not the {len(expected)} of this network"
