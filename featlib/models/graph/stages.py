"""Where the stages of a network end: the layers that people take features from first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from featlib.models.graph.graph import ModelGraph, Ref

MERGES = {"Add", "Concatenate", "Multiply", "Average", "Maximum", "Minimum", "Subtract"}
PADS = {"ZeroPadding2D", "Cropping2D"}  # they only make room for the next window
HALVED, DOUBLED = 0.6, 1.6  # sides as a share of the stage's first; windows without padding only shave a little off


@dataclass(frozen=True)
class _Call:
    operation: Any
    ref: Ref
    depth: int
    shape: tuple[int | None, ...]

    @property
    def side(self) -> int:
        return self.shape[0] or 1

    @property
    def channels(self) -> int:
        return self.shape[-1] or 0


def stage_ends(graph: ModelGraph, shapes: Mapping[Ref, tuple[int | None, ...]]) -> set[Ref]:
    """The tensors that close a stage, and the last one with height and width.

    A stage is the run of layers between two halvings of the resolution. Its end is the last layer that all later ones
    depend on; a widening that only prepares the next halving (the expansion of MobileNet's blocks) is left to the next
    stage. Where every block has ways around it (NASNet), the last merge of each stage is taken.

    Args:
        graph: the model.
        shapes: tensor -> (height, width, channels), or another shape for what has no height and width.
    """
    calls = [
        _Call(operation, ref, depth, shapes[ref])
        for operation, ref, depth in _calls(graph)
        if len(shapes[ref]) == 3 and shapes[ref][:2] != (1, 1) and type(operation).__name__ not in PADS
    ]
    first = next((i for i, call in enumerate(calls) if _has_kernel(call.operation)), 0)  # the image itself is no stage
    calls = calls[first:]
    free = _stems(graph)
    stems = list(_split(call for call in calls if call.ref in free))
    merges = list(_split(call for call in calls if type(call.operation).__name__ in MERGES))
    ends = {stage[-1].ref for stage in merges} if len(merges) > len(stems) else {_end(stage).ref for stage in stems}
    return ends | {call.ref for call in calls[-1:]}


def _split(calls: Iterable[_Call]) -> Iterator[list[_Call]]:
    stage: list[_Call] = []
    for call in calls:
        if stage and not HALVED < call.side / stage[0].side < DOUBLED:
            yield stage
            stage = []
        stage.append(call)
    if stage:
        yield stage


def _end(stage: list[_Call]) -> _Call:
    """The last call, or the last before a widening by one pointwise convolution."""
    kernels: list[Any] = []
    for i in range(len(stage) - 1, -1, -1):
        call = stage[i]
        if call.channels != stage[-1].channels:
            widened = call.channels < stage[-1].channels and len(kernels) == 1 and _is_pointwise(kernels[0])
            return call if widened else stage[-1]
        if type(call.operation).__name__ in MERGES:  # what follows it in an inner model belongs to the next stage
            return next(later for later in reversed(stage[i:]) if later.depth <= call.depth)
        if _has_kernel(call.operation):
            kernels.append(call.operation)
    return stage[-1]


def _has_kernel(operation: Any) -> bool:  # noqa: ANN401
    return any(len(weight.shape) >= 3 for weight in getattr(operation, "weights", []))


def _is_pointwise(operation: Any) -> bool:  # noqa: ANN401
    return tuple(getattr(operation, "kernel_size", ())) == (1, 1)


def _calls(graph: ModelGraph) -> Iterator[tuple[Any, Ref, int]]:
    for step in graph.steps:
        if step.node is not None:
            yield step.operation, step.gives[0], step.path.count("/")
        elif step.inner:  # a model without a graph: the calls as they came
            for place in graph.places:
                if place.refs and not place.reason:
                    yield place.operation, place.refs[0], place.path.count("/")


def _stems(graph: ModelGraph) -> set[Ref]:
    """The tensors that no edge of the graph goes around; of a model without a graph all."""
    reader: dict[Ref, int] = {}  # tensor -> the last step that reads it
    for i, step in enumerate(graph.steps):
        reader.update(dict.fromkeys(step.needs, i))
    stems = {ref for ref, step in graph.recorded.items() if not step.gives}
    furthest = max((reader.get(ref, 0) for ref, _ in graph.images), default=0)
    for i, step in enumerate(graph.steps):
        if furthest <= i:
            stems.update(step.gives)
        furthest = max([furthest, *(reader.get(ref, i) for ref in step.gives)])
    return stems
