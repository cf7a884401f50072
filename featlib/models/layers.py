"""`model.summary()` as data."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from featlib.errors import LayerNotFoundError
from featlib.models.graph.graph import ModelGraph, Ref, Step
from featlib.models.graph.receptive_field import Field, Reach, follow
from featlib.models.graph.stages import stage_ends

if TYPE_CHECKING:
    from featlib.models.backbone import Backbone

FLOAT32_BYTES = 4
Shape = tuple[int | None, ...]
TOKENS = {"EinsumDense"}  # (tokens, heads, values): three axes, but no picture


@dataclass(frozen=True)
class LayerInfo:
    """One row of `model.summary(expand_nested=True)`.

    Attributes:
        index: position in the list, from 0: graph order, an inner model before its layers.
        path: what to ask for it by: the names from the outer model down, joined by "/"; "#2" marks the second call of a
            layer, "[0]" or "[name]" one of several outputs.
        class_name: the Keras class, for example "Conv2D".
        output_shape: shape of the output for one image, without the batch dimension, channels last.
        params: number of weights; of an inner model, of all its layers.
        trainable_params: how many of them training would change.
        kind: "maps" (height, width, channels), "vector" (values,), "probabilities" (the softmax output) or "other".
        bytes_per_image: memory of the output for one image in bytes, as float32; None where the shape varies.
        stage_end: whether the layer closes a stage, the run of layers between two halvings of the resolution.
        receptive_field: height and width in pixels of what one unit sees of the input, padding included; None where it
            is not defined, as after a pooling over the whole map.
        stride: pixels of the input from one unit to the next, vertically and horizontally; None like `receptive_field`.
        channels_first: whether Keras holds the output as (channels, height, width); featlib turns it round.
        reason: why the output cannot be had; empty where it can.
    """

    index: int
    path: str
    class_name: str
    output_shape: Shape
    params: int
    trainable_params: int
    kind: str
    bytes_per_image: int | None
    stage_end: bool
    receptive_field: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    channels_first: bool = False
    reason: str = ""

    @property
    def depth(self) -> int:
        """How many models the layer is inside of: 0 for a layer of the model itself."""
        return self.path.count("/")


def list_layers(backbone: Backbone) -> list[LayerInfo]:
    """Lists every layer and `keras.ops` operation of the model, those of inner models and composite layers too.

    Args:
        backbone: from `load_backbone`.

    Returns:
        One `LayerInfo` for each output of each call of each layer, in graph order, inputs first.
    """
    return list(backbone.layers)


def find_layer(backbone: Backbone, path: str) -> LayerInfo:
    """Finds one layer by its path.

    Raises:
        LayerNotFoundError: there is no such layer, and the message gives the close matches; or its output cannot be
            had, and the message says why.
    """
    layers = {layer.path: layer for layer in backbone.layers}
    if path not in layers:
        raise LayerNotFoundError(_no_such_layer(path, backbone.name, layers))
    if layers[path].reason:
        raise LayerNotFoundError(f"The output of '{path}' in '{backbone.name}' cannot be had: {layers[path].reason}.")
    return layers[path]


def describe_layers(graph: ModelGraph) -> tuple[LayerInfo, ...]:
    """Describes every call of every operation of a model, in graph order."""
    views = _follow_graph(graph)
    ends = stage_ends(graph, {ref: view.shape for ref, view in views.items()})
    # An inner model and its last layer put out the same: one mark for both, where the stages come in order.
    marked = {ref: path for path, (_, ref) in graph.targets.items() if ref in ends}
    rows = []
    for i, (path, (place, ref)) in enumerate(graph.targets.items()):
        view, is_end = (views.get(ref), marked.get(ref) == path) if ref else (None, False)
        rows.append(_describe(i, path, place.operation, view, place.reason, is_end, ref in graph.outputs))
    return tuple(rows)


@dataclass(frozen=True)
class _View:
    """How one tensor lies over the input."""

    shape: Shape
    field: Field | None
    channels_first: bool


def _follow_graph(graph: ModelGraph) -> dict[Ref, _View]:
    """Follows data format and receptive field through the graph: tensor -> what it is."""
    start = (Reach(), Reach())
    views = {ref: _view(graph, ref, start, graph.channels_first) for ref, _ in graph.images}
    for step in graph.steps:
        sources = [views[ref] for ref in step.needs if ref in views]
        channels_first = _channels_first(step.operation, sources[0] if sources else None)
        for ref in step.gives:
            views[ref] = _view(graph, ref, _next_field(step, sources), channels_first)
    for ref, step in graph.recorded.items():
        around = views.get(step.needs[0])
        operation = next(place.operation for place in graph.places if ref in place.refs)
        views[ref] = _view(graph, ref, None, _channels_first(operation, around))
    return {**{ref: _view(graph, ref, None, False) for ref in graph.specs}, **views}


def _view(graph: ModelGraph, ref: Ref, field: Field | None, channels_first: bool) -> _View:
    shape = tuple(graph.specs[ref].shape[1:])
    turned = channels_first and len(shape) == 3
    return _View((*shape[1:], shape[0]) if turned else shape, field if len(shape) == 3 else None, turned)


def _next_field(step: Step, sources: list[_View]) -> Field | None:
    if not sources or len(sources) < len(step.needs):
        return None
    if step.node is None:
        return sources[0].field
    return follow(step.operation, [source.field for source in sources], sources[0].shape[:2])


def _channels_first(operation: Any, source: _View | None) -> bool:  # noqa: ANN401
    """The data format of an operation's output: its own word, or that of what it reads."""
    before = source.channels_first if source else False
    turn = getattr(operation, "dims", None) or tuple(axis for axis in getattr(operation, "axes", None) or () if axis)
    if turn in ((2, 3, 1), (3, 1, 2)):
        return turn == (3, 1, 2)
    said = getattr(operation, "data_format", None)
    return said == "channels_first" if said in ("channels_first", "channels_last") else before


def _describe(
    index: int,
    path: str,
    operation: Any,  # noqa: ANN401
    view: _View | None,
    reason: str,
    stage_end: bool,
    is_output: bool,
) -> LayerInfo:
    shape = view.shape if view else ()
    sides = view.field if view else None
    return LayerInfo(
        index=index,
        path=path,
        class_name=type(operation).__name__,
        output_shape=shape,
        params=operation.count_params() if getattr(operation, "built", False) else 0,
        trainable_params=sum(math.prod(w.shape) for w in getattr(operation, "trainable_weights", [])),
        kind=_kind(operation, shape, is_output),
        bytes_per_image=None if view is None or None in shape else math.prod(shape) * FLOAT32_BYTES,  # type: ignore[arg-type]
        stage_end=stage_end and not reason,
        receptive_field=(sides[0].size, sides[1].size) if sides else None,
        stride=(sides[0].stride, sides[1].stride) if sides else None,
        channels_first=view.channels_first if view else False,
        reason=reason,
    )


def _kind(operation: Any, shape: Shape, is_output: bool) -> str:  # noqa: ANN401
    if len(shape) == 3 and type(operation).__name__ not in TOKENS:
        return "maps"
    if len(shape) != 1:
        return "other"
    activation = getattr(getattr(operation, "activation", None), "__name__", type(operation).__name__.lower())
    return "probabilities" if is_output and activation == "softmax" else "vector"


def _no_such_layer(path: str, model: str, layers: Iterable[str]) -> str:
    names = list(layers)
    inside = [name for name in names if name.endswith(f"/{path}") or name.startswith(f"{path}[")]
    close = inside[:3] or difflib.get_close_matches(str(path), names, n=3)
    hint = (
        "Did you mean " + " or ".join(f"'{name}'" for name in close) + "?" if close else f"The last is '{names[-1]}'."
    )
    return f"No layer named '{path}' in '{model}' ({len(names)} layers). {hint}"
