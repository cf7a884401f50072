"""`model.summary()` as data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from featlib.models.graph import (
    LayerCall,
    ModelGraph,
    ReceptiveField1D,
    ReceptiveField2D,
    Ref,
    next_receptive_field,
    stage_ends,
)

if TYPE_CHECKING:
    import keras

LayerKind = Literal["maps", "vector", "probabilities", "other"]
Shape = tuple[int | None, ...]
FLOAT32_BYTES = 4
TOKEN_LAYERS = {"EinsumDense"}  # (tokens, heads, values): three axes, but no feature map


@dataclass(frozen=True)
class LayerInfo:
    """One row of `model.summary(expand_nested=True)`.

    Attributes:
        index: Position in the list, from 0: graph order, an inner model before its layers.
        path: The name to request it by: the names from the outer model down, joined by "/"; "#2" marks the second call
            of a layer, "[0]" or "[name]" one of several outputs.
        class_name: The Keras class, for example "Conv2D".
        output_shape: Shape of the output for one image, without the batch dimension, channels last.
        params: Number of weights; of an inner model, of all its layers.
        trainable_params: How many of them training would change.
        kind: "maps" (height, width, channels), "vector" (values,), "probabilities" (the softmax output) or "other".
        bytes_per_image: Memory of the output for one image in bytes, as float32; None where the shape varies.
        stage_end: Whether the layer closes a stage, the run of layers between two halvings of the resolution.
        receptive_field: (height, width) in pixels of the input region one unit sees, padding included; None where it is
            undefined, as after a pooling over the whole map.
        stride: Pixels of the input from one unit to the next, vertically and horizontally; None like `receptive_field`.
        channels_first: Whether Keras stores the output as (channels, height, width); featlib transposes it.
        reason: Why the layer has no accessible output; empty if it has one.
    """

    index: int
    path: str
    class_name: str
    output_shape: Shape
    params: int
    trainable_params: int
    kind: LayerKind
    bytes_per_image: int | None
    stage_end: bool
    receptive_field: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    channels_first: bool = False
    reason: str = ""

    @property
    def depth(self) -> int:
        """The number of models the layer is nested in: 0 for a layer of the model itself."""
        return self.path.count("/")


@dataclass(frozen=True)
class _Geometry:
    """How one tensor lies over the input image."""

    shape: Shape
    field: ReceptiveField2D | None
    channels_first: bool


def describe_layers(graph: ModelGraph) -> tuple[LayerInfo, ...]:
    """Describe every call of every operation of a model, in graph order."""
    geometry = _follow_graph(graph)
    ends = stage_ends(graph, {ref: found.shape for ref, found in geometry.items()})
    # An inner model and its last layer share their output: only the row that comes last closes the stage.
    closing = {ref: path for path, (_, ref) in graph.targets.items() if ref in ends}
    return tuple(
        _describe(
            i,
            path,
            call,
            geometry.get(ref) if ref else None,
            stage_end=ref is not None and closing.get(ref) == path and not call.reason,
            is_output=ref in graph.outputs,
        )
        for i, (path, (call, ref)) in enumerate(graph.targets.items())
    )


def _follow_graph(graph: ModelGraph) -> dict[Ref, _Geometry]:
    """Follow data format and receptive field through the graph."""

    def geometry(ref: Ref, field: ReceptiveField2D | None, channels_first: bool) -> _Geometry:
        """Describe a tensor with channels last."""
        shape = tuple(graph.specs[ref].shape[1:])
        channels_first = channels_first and len(shape) == 3
        shape = (*shape[1:], shape[0]) if channels_first else shape
        return _Geometry(shape, field if len(shape) == 3 else None, channels_first)

    start = (ReceptiveField1D(), ReceptiveField1D())
    found = {ref: geometry(ref, start, graph.channels_first) for ref, _ in graph.image_inputs}
    for step in graph.steps:
        sources = [found[ref] for ref in step.inputs if ref in found]
        channels_first = _is_channels_first(step.operation, sources[0] if sources else None)
        field = sources[0].field if sources and len(sources) == len(step.inputs) else None
        if field is not None and step.node is not None:
            fields = [source.field for source in sources]
            field = next_receptive_field(step.operation, fields, sources[0].shape[:2])
        for ref in step.outputs:
            found[ref] = geometry(ref, field, channels_first)
    calls = {ref: call for call in reversed(graph.calls) for ref in call.outputs}
    for ref, step in graph.recorded.items():
        outer = found.get(step.inputs[0])
        found[ref] = geometry(ref, None, _is_channels_first(calls[ref].operation, outer))
    return {**{ref: geometry(ref, None, False) for ref in graph.specs}, **found}


def _is_channels_first(operation: keras.Operation, source: _Geometry | None) -> bool:
    """Tell the data format of an operation's output: the one it declares, or that of its input."""
    order = getattr(operation, "dims", None) or tuple(axis for axis in getattr(operation, "axes", None) or () if axis)
    if order in ((2, 3, 1), (3, 1, 2)):  # a Permute layer or a transpose operation
        return order == (3, 1, 2)
    declared = getattr(operation, "data_format", None)
    if declared in ("channels_first", "channels_last"):
        return declared == "channels_first"
    return source.channels_first if source else False


def _describe(
    index: int, path: str, call: LayerCall, geometry: _Geometry | None, *, stage_end: bool, is_output: bool
) -> LayerInfo:
    operation = call.operation
    shape, field = (geometry.shape, geometry.field) if geometry else ((), None)
    sides = [side for side in shape if side is not None]
    known = geometry is not None and len(sides) == len(shape)
    return LayerInfo(
        index=index,
        path=path,
        class_name=type(operation).__name__,
        output_shape=shape,
        params=operation.count_params() if getattr(operation, "built", False) else 0,
        trainable_params=sum(math.prod(w.shape) for w in getattr(operation, "trainable_weights", [])),
        kind=_find_kind(operation, shape, is_output),
        bytes_per_image=math.prod(sides) * FLOAT32_BYTES if known else None,
        stage_end=stage_end,
        receptive_field=(field[0].size, field[1].size) if field else None,
        stride=(field[0].stride, field[1].stride) if field else None,
        channels_first=geometry is not None and geometry.channels_first,
        reason=call.reason,
    )


def _find_kind(operation: keras.Operation, shape: Shape, is_output: bool) -> LayerKind:
    if len(shape) == 3 and type(operation).__name__ not in TOKEN_LAYERS:
        return "maps"
    if len(shape) != 1:
        return "other"
    activation = getattr(getattr(operation, "activation", None), "__name__", type(operation).__name__.lower())
    return "probabilities" if is_output and activation == "softmax" else "vector"
