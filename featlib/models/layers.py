"""`model.summary()` as data."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from featlib.errors import LayerNotFoundError, ModelError

if TYPE_CHECKING:
    import keras

    from featlib.models.backbone import Backbone

FLOAT32_BYTES = 4
Shape = tuple[int | None, ...]
MERGES = {"Add", "Concatenate", "Multiply", "Average", "Maximum", "Minimum", "Subtract"}


@dataclass(frozen=True)
class LayerInfo:
    """One row of `model.summary()`.

    Attributes:
        index: position in graph order, from 0.
        path: the name to ask for it by.
        class_name: the Keras class, for example "Conv2D".
        output_shape: shape of the output for one image, without the batch dimension; None where it varies.
        params: number of weights.
        trainable_params: how many of them training would change.
        kind: "maps" (height, width, channels), "vector" (values,), "probabilities" (the softmax output) or "other".
        bytes_per_image: memory of the output for one image in bytes, as float32; None where the shape varies.
        stage_end: whether the layer closes a stage, the run of layers between two halvings of the resolution.
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


def list_layers(backbone: Backbone) -> list[LayerInfo]:
    """Lists every layer and `keras.ops` operation of the model, in graph order.

    Args:
        backbone: from `load_backbone`.

    Returns:
        One `LayerInfo` a layer, inputs first.
    """
    return list(backbone.layers)


def describe_layers(model: keras.Model) -> tuple[LayerInfo, ...]:
    """Describes every operation of a model, in graph order.

    Raises:
        ModelError: the model has no graph of layers.
    """
    operations, outputs = graph_operations(model), graph_outputs(model)
    shapes = {name: tuple(output.shape[1:]) if hasattr(output, "shape") else () for name, output in outputs.items()}
    ends = _stage_ends(operations, shapes)
    final = model.outputs[0]
    return tuple(
        _describe(i, op, shapes[op.name], op.name in ends, outputs[op.name] is final) for i, op in enumerate(operations)
    )


def find_layer(backbone: Backbone, path: str) -> LayerInfo:
    """Finds one layer by its path.

    Raises:
        LayerNotFoundError: there is no such layer; the message gives the close matches.
    """
    layers = {layer.path: layer for layer in backbone.layers}
    if path not in layers:
        raise LayerNotFoundError(_no_such_layer(path, backbone.name, layers))
    return layers[path]


def graph_operations(model: keras.Model) -> list[Any]:
    """The operations of a Functional or built Sequential model, in graph order.

    Raises:
        ModelError: the model has no graph, because it is subclassed or not built.
    """
    graph = getattr(model, "_functional", None) or model
    if not hasattr(graph, "operations"):
        raise ModelError(
            f"'{model.name}' has no graph of layers. Received {type(model).__name__}; allowed are Functional models "
            "and Sequential models that are built. Call model.build((None, height, width, 3)) on a Sequential first."
        )
    return list(graph.operations)


def graph_outputs(model: keras.Model) -> dict[str, Any]:
    """Layer path -> the symbolic tensor that the layer puts out in this model's own graph.

    `layer.output` would be the tensor of the layer's first call, which lies in another graph where the layer was
    built elsewhere: an inner model, or a layer taken from another network.
    """
    graph = getattr(model, "_functional", None) or model
    own = {id(node) for nodes in graph._nodes_by_depth.values() for node in nodes}
    outputs = {}
    for operation in graph_operations(model):
        calls = [node for node in operation._inbound_nodes if id(node) in own]
        tensors = calls[0].output_tensors
        outputs[operation.name] = tensors[0] if len(tensors) == 1 else tensors
    return outputs


def _describe(index: int, operation: Any, shape: Shape, stage_end: bool, is_output: bool) -> LayerInfo:  # noqa: ANN401
    size = None if None in shape else math.prod(shape) * FLOAT32_BYTES  # type: ignore[arg-type]
    return LayerInfo(
        index=index,
        path=operation.name,
        class_name=type(operation).__name__,
        output_shape=shape,
        params=operation.count_params() if hasattr(operation, "count_params") else 0,
        trainable_params=sum(math.prod(w.shape) for w in getattr(operation, "trainable_weights", [])),
        kind=_kind(operation, shape, is_output),
        bytes_per_image=size,
        stage_end=stage_end,
    )


def _kind(operation: Any, shape: Shape, is_output: bool) -> str:  # noqa: ANN401
    if len(shape) == 3:
        return "maps"
    if len(shape) != 1:
        return "other"
    activation = getattr(getattr(operation, "activation", None), "__name__", type(operation).__name__.lower())
    return "probabilities" if is_output and activation == "softmax" else "vector"


def _stage_ends(operations: list[Any], shapes: dict[str, Shape]) -> set[str]:
    """Names of the layers that close a stage, and the last one with height and width.

    A stage is the run of layers at one resolution. Its end is the last layer that all later ones depend on; a widening
    that only prepares the next halving (the expansion of MobileNet's blocks) is left to the next stage.
    """
    maps = [op for op in _bottlenecks(operations) if len(shapes[op.name]) == 3]
    resolutions: dict[Any, list[Any]] = {}
    for operation in maps:
        resolutions.setdefault(shapes[operation.name][:2], []).append(operation)
    if not resolutions:
        return set()
    if len(resolutions) > 1:
        resolutions.pop(shapes[operations[0].name][:2], None)  # the image itself is no stage
    return {_stage_end(stage, shapes).name for stage in resolutions.values()} | {maps[-1].name}


def _stage_end(stage: list[Any], shapes: dict[str, Shape]) -> Any:  # noqa: ANN401
    widening = stage[-1]
    width = shapes[widening.name][-1] or 0
    for operation in reversed(stage):
        channels = shapes[operation.name][-1] or 0
        if channels != width:
            return operation if channels < width else widening
        if type(operation).__name__ in MERGES:
            return widening
    return widening


def _bottlenecks(operations: list[Any]) -> Iterable[Any]:
    """The operations that no edge of the graph goes around."""
    position = {id(operation): i for i, operation in enumerate(operations)}
    furthest = 0  # the last position that anything so far feeds into
    for i, operation in enumerate(operations):
        if furthest <= i:
            yield operation
        consumers = [position.get(id(node.operation), i) for node in operation._outbound_nodes]
        furthest = max([furthest, *consumers])


def _no_such_layer(path: str, model: str, layers: Iterable[str]) -> str:
    names = list(layers)
    close = difflib.get_close_matches(str(path), names, n=3)
    hint = (
        "Did you mean " + " or ".join(f"'{name}'" for name in close) + "?" if close else f"The last is '{names[-1]}'."
    )
    return f"No layer named '{path}' in '{model}' ({len(names)} layers). {hint}"
