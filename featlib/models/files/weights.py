"""A weights file -> the weights of a fresh model, or the one sentence that says why not."""

from __future__ import annotations

import difflib
import itertools
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featlib.errors import ModelError, WeightsNotFoundError
from featlib.models.applications.layer_names import snake_case
from featlib.models.untrusted import read_weights

if TYPE_CHECKING:
    import h5py
    import keras

Shape = tuple[int, ...]
Entry = tuple[str, tuple[Shape, ...]]  # a layer's name and the shapes of its weights
BROKEN = (OSError, KeyError, ValueError, RuntimeError, TypeError, AttributeError, IndexError, EOFError, OverflowError)


def load_weights_file(build: Callable[[], keras.Model], weights: str | Path, name: str) -> keras.Model:
    """Gives a fresh model the weights of a file: .h5 as Keras 2 wrote it, .weights.h5, or those inside a .keras file.

    Args:
        build: makes the model, once the file is found to be one of weights.
        weights: path of the file; what is in it counts, not how its name ends.
        name: the network's name, for messages.

    Returns:
        The model.

    Raises:
        WeightsNotFoundError: there is no such file.
        ModelError: it is damaged, no weights file, or does not fit; the message names the first layer that differs.
    """
    path = Path(weights)
    if not path.is_file():
        raise WeightsNotFoundError(
            f"No weights file at '{path}'. Allowed: \"imagenet\", None for random weights, or the path of an .h5 file."
        )
    with _readable(path) as (readable, is_legacy):
        model = build()
        difference = _legacy_difference(model, readable) if is_legacy else _difference(model, readable)
        if difference:
            raise ModelError(f"The weights file '{path.name}' does not fit '{name}': {difference}")
        model.load_weights(readable)
        return model


@contextmanager
def _readable(path: Path) -> Iterator[tuple[Path, bool]]:
    """The one place where a stranger's weights file is opened: a checked copy, under the ending that Keras goes by."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "weights"
        copy.write_bytes(read_weights(path))
        try:
            is_legacy = _is_legacy(copy)
            yield copy.rename(copy.with_suffix(".h5" if is_legacy else ".weights.h5")), is_legacy
        except ModelError:
            raise
        except BROKEN as error:
            raise ModelError(
                f"The weights file '{path.name}' cannot be read: it is damaged, or no weights file of Keras "
                f"(.h5, .weights.h5 or .keras): {_one_line(error)}"
            ) from error


def _is_legacy(path: Path) -> bool:
    import h5py

    with h5py.File(path, "r") as file:
        if "layer_names" in file.attrs or "layer_names0" in file.attrs or "model_weights" in file:
            return True
        if "_layer_checkpoint_dependencies" in file:
            raise ValueError("it is in the form of TensorFlow 2.12 to 2.15, which Keras 3 does not read; save as .h5")
        if "layers" not in file:
            raise ValueError("it holds no layers")
        return False


def _legacy_difference(model: keras.Model, path: Path) -> str | None:
    """The first layer in which a Keras 2 file, which goes by the order of layers, differs from a model."""
    import h5py

    with h5py.File(path, "r") as file:
        group = file.get("model_weights", file)
        found = [(name, _legacy_shapes(group[name])) for name in _names(group, "layer_names")]
    received: list[Entry] = [(name, shapes) for name, shapes in found if shapes]
    expected: list[Entry] = [(layer.name, _shapes(layer)) for layer in model.layers if layer.weights]
    return _first_difference(expected, received)


def _legacy_shapes(group: h5py.Group) -> tuple[Shape, ...]:
    return tuple(tuple(group[name].shape) for name in _names(group, "weight_names"))


def _names(group: h5py.Group, attribute: str) -> list[str]:
    """A list of names in an attribute, or where it is long in several: layer_names0 and so on."""
    if attribute in group.attrs:
        chunks = [group.attrs[attribute]]
    else:
        keys = itertools.takewhile(lambda key: key in group.attrs, (f"{attribute}{i}" for i in itertools.count()))
        chunks = [group.attrs[key] for key in keys]
    return [name.decode() if isinstance(name, bytes) else str(name) for chunk in chunks for name in chunk]


def _shapes(layer: Any) -> tuple[Shape, ...]:  # noqa: ANN401
    return tuple(tuple(weight.shape) for weight in (*layer.trainable_weights, *layer.non_trainable_weights))


def _difference(model: keras.Model, path: Path) -> str | None:
    """The first layer in which a Keras 3 file, which goes by classes and their order, differs from a model."""
    import h5py

    with h5py.File(path, "r") as file:
        received = _stored_layers(file)
    expected = _layer_paths(model)
    for where, (name, shapes) in expected.items():
        stored = received.pop(where, None)
        if stored is None or stored[1] != shapes:
            return _describe((name, shapes), stored)
    return _describe(None, next(iter(received.values()))) if received else None


def _layer_paths(model: Any, prefix: str = "") -> dict[str, Entry]:  # noqa: ANN401
    """Where Keras 3 keeps each layer that has weights: layers/conv2d_1, layers/sequential/layers/dense."""
    paths: dict[str, Entry] = {}
    counts: Counter[str] = Counter()
    for layer in model.layers:
        base = snake_case(type(layer).__name__)
        where = f"{prefix}layers/{base}_{counts[base]}" if counts[base] else f"{prefix}layers/{base}"
        counts[base] += 1
        if hasattr(layer, "layers"):
            paths |= _layer_paths(layer, f"{where}/")
        elif layer.weights:
            paths[where] = (layer.name, _shapes(layer))
    return paths


def _stored_layers(file: h5py.File) -> dict[str, Entry]:
    """Path -> name and shapes of the layers in a Keras 3 file; the states of optimizers and dropout are left out."""
    found: dict[str, Entry] = {}

    def visit(path: str, item: Any) -> None:  # noqa: ANN401 - a group or a dataset
        layer = path.removesuffix("/vars")
        if layer != path and re.fullmatch(r"(layers/[^/]+/?)+", layer) and len(item):
            shapes = tuple(tuple(item[key].shape) for key in sorted(item, key=int))
            found[layer] = (str(item.attrs.get("name", layer)), shapes)

    file.visititems(visit)
    return found


def _first_difference(expected: list[Entry], received: list[Entry]) -> str | None:
    """The first layer that differs, where layers are matched by their order and the shapes of their weights."""
    matcher = difflib.SequenceMatcher(None, [e[1] for e in expected], [r[1] for r in received], autojunk=False)
    for kind, i, _, j, _ in matcher.get_opcodes():
        if kind != "equal":
            ours = expected[i] if kind != "insert" else None
            theirs = received[j] if kind != "delete" else None
            return _describe(ours, theirs)
    return None


def _describe(expected: Entry | None, received: Entry | None) -> str:
    """One sentence about a layer that the model expects (None: it has no such layer) and what the file has."""
    if expected is None:
        name, shapes = received or ("", ())
        return (
            f"the file has weights {_write(shapes)} for a layer '{name}' that the network does not have (if the file "
            "was saved with the top, use include_top=True)."
        )
    name, shapes = expected
    if received is None:
        return (
            f"layer '{name}' expects weights {_write(shapes)}, and the file has none for it (if the file was saved "
            "without the top, use include_top=False)."
        )
    other = f" in its layer '{received[0]}'" if received[0] != name else ""
    return f"layer '{name}' expects weights {_write(shapes)}, and the file has {_write(received[1])}{other}."


def _write(shapes: tuple[Shape, ...]) -> str:
    return ", ".join(map(str, shapes))


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
