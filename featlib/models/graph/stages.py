"""Where the stages of a network end: the layers that people extract features from first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from featlib.models.graph.graph import ModelGraph
from featlib.models.graph.steps import Ref

if TYPE_CHECKING:
    import keras

MERGES = {"Add", "Concatenate", "Multiply", "Average", "Maximum", "Minimum", "Subtract"}
PADS = {"ZeroPadding2D", "Cropping2D"}  # they only make room for the next window
HALVED, DOUBLED = 0.6, 1.6  # sides relative to the stage's first; windows without padding shave off only a little


@dataclass(frozen=True)
class _Candidate:
    """A call that may close a stage."""

    operation: keras.Operation
    ref: Ref
    depth: int
    shape: tuple[int | None, ...]

    @property
    def side(self) -> int:
        """Height of the feature maps, 1 if unknown."""
        return self.shape[0] or 1

    @property
    def channels(self) -> int:
        """Number of channels, 0 if unknown."""
        return self.shape[-1] or 0


def stage_ends(graph: ModelGraph, shapes: Mapping[Ref, tuple[int | None, ...]]) -> set[Ref]:
    """Find the tensors that close a stage, and the last one with height and width.

    A stage is the run of layers between two halvings of the resolution. Its end is the last layer that all later ones
    depend on; a widening that only prepares the next halving (the expansion of MobileNet's blocks) belongs to the next
    stage. Where every block has paths around it (NASNet), the last merge of each stage is taken.

    Args:
        graph: The model.
        shapes: Tensor -> (height, width, channels), or another shape where there is no height and width.
    """
    calls = [
        _Candidate(operation, ref, depth, shapes[ref])
        for operation, ref, depth in _list_calls(graph)
        if len(shapes[ref]) == 3 and shapes[ref][:2] != (1, 1) and type(operation).__name__ not in PADS
    ]
    first = next((i for i, call in enumerate(calls) if _has_kernel(call.operation)), 0)  # the image itself is no stage
    calls = calls[first:]
    bottlenecks = _find_bottlenecks(graph)
    stems = list(_split_stages(call for call in calls if call.ref in bottlenecks))
    merges = list(_split_stages(call for call in calls if type(call.operation).__name__ in MERGES))
    ends = {stage[-1].ref for stage in merges} if len(merges) > len(stems) else {_end_of(stage).ref for stage in stems}
    return ends | {call.ref for call in calls[-1:]}


def _split_stages(calls: Iterable[_Candidate]) -> Iterator[list[_Candidate]]:
    stage: list[_Candidate] = []
    for call in calls:
        if stage and not HALVED < call.side / stage[0].side < DOUBLED:
            yield stage
            stage = []
        stage.append(call)
    if stage:
        yield stage


def _end_of(stage: list[_Candidate]) -> _Candidate:
    """Return the last call, or the last before a widening by one pointwise convolution."""
    kernels: list[keras.Operation] = []
    for i in range(len(stage) - 1, -1, -1):
        call = stage[i]
        if call.channels != stage[-1].channels:
            widened = (
                call.channels < stage[-1].channels
                and len(kernels) == 1
                and tuple(getattr(kernels[0], "kernel_size", ())) == (1, 1)
            )
            return call if widened else stage[-1]
        if type(call.operation).__name__ in MERGES:  # what follows it in an inner model belongs to the next stage
            return next(later for later in reversed(stage[i:]) if later.depth <= call.depth)
        if _has_kernel(call.operation):
            kernels.append(call.operation)
    return stage[-1]


def _has_kernel(operation: keras.Operation) -> bool:
    return any(len(weight.shape) >= 3 for weight in getattr(operation, "weights", []))


def _list_calls(graph: ModelGraph) -> Iterator[tuple[keras.Operation, Ref, int]]:
    for step in graph.steps:
        if step.node is not None:
            yield step.operation, step.outputs[0], step.path.count("/")
        elif step.is_composite:  # a model without a graph: the calls in the order they came
            for call in graph.calls:
                if call.outputs and not call.reason:
                    yield call.operation, call.outputs[0], call.path.count("/")


def _find_bottlenecks(graph: ModelGraph) -> set[Ref]:
    """Find the tensors that no edge of the graph bypasses; in a model without a graph, all of them."""
    last_reader: dict[Ref, int] = {}  # tensor -> the last step that reads it
    for i, step in enumerate(graph.steps):
        last_reader.update(dict.fromkeys(step.inputs, i))
    bottlenecks = {ref for ref, step in graph.recorded.items() if not step.outputs}
    furthest = max((last_reader.get(ref, 0) for ref, _ in graph.image_inputs), default=0)
    for i, step in enumerate(graph.steps):
        if furthest <= i:
            bottlenecks.update(step.outputs)
        furthest = max([furthest, *(last_reader.get(ref, i) for ref in step.outputs)])
    return bottlenecks
