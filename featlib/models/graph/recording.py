"""Record what the layers inside a composite layer output while it runs, since Keras has no graph of them."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from featlib.models.graph.steps import LayerCall, Ref, Step, Tensor

if TYPE_CHECKING:
    import keras

TENSORFLOW_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")
_patched = threading.RLock()  # held while methods of layers are replaced


class Recorder:
    """Records the calls inside one run of a composite layer, in order, each layer before the layers it contains.

    Args:
        path: The path of the composite layer, "" for the model itself.

    Attributes:
        calls: The calls, in order.
        values: The output tensors of all calls.
    """

    def __init__(self, path: str) -> None:
        self.calls: list[LayerCall] = []
        self.values: dict[Ref, Tensor] = {}
        self._stack = [path]
        self._counts: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def watch(self, layer: keras.Operation) -> Iterator[None]:
        """Record whatever runs inside `layer` in this thread; restore the layer afterwards."""
        parts = list(parts_of(layer))
        with _patched:
            before = [vars(part).get("call") for part in parts]
            for part in parts:
                vars(part)["call"] = self._recording_call(part, threading.get_ident())
            try:
                yield
            finally:
                for part, call in zip(parts, before, strict=True):
                    vars(part).pop("call") if call is None else vars(part).update(call=call)

    def _recording_call(self, part: keras.Operation, thread: int) -> Callable[..., Any]:
        original = part.call

        def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - any layer's signature
            """Run the layer and record its outputs."""
            if threading.get_ident() != thread:
                return original(*args, **kwargs)
            parent = self._stack[-1]
            self._counts[parent, part.name] += 1
            record = LayerCall(join_path(parent, part.name, self._counts[parent, part.name]), part)
            self.calls.append(record)
            self._stack.append(record.path)
            try:
                result = original(*args, **kwargs)
            finally:
                self._stack.pop()
            self.add_outputs(record, result, record.path)
            return result

        return call

    def add_outputs(self, call: LayerCall, result: Any, scope: str) -> None:  # noqa: ANN401 - any structure of tensors
        """Add the output tensors of a call, numbered from 1 within the scope."""
        tensors, call.suffixes = name_outputs(result)
        call.outputs = [(scope, i + 1) for i in range(len(tensors))]
        self.values.update(zip(call.outputs, tensors, strict=True))


def run_step(step: Step, values: dict[Ref, Tensor]) -> Any:  # noqa: ANN401 - any structure of tensors
    """Run one step and add its output tensors to `values`.

    Returns:
        The output in its own structure.
    """
    import keras

    with _names_hidden(step.operation):
        result = step.call(values)
    values.update(zip(step.outputs, keras.tree.flatten(result), strict=False))
    return result


@contextmanager
def _names_hidden(operation: keras.Operation) -> Iterator[None]:
    """Keep the names that TensorFlow refuses in graphs, those with spaces or letters such as ö, away from it."""
    odd = [
        part
        for part in (operation, *parts_of(operation))
        if hasattr(part, "_open_name_scope") and not TENSORFLOW_NAME.fullmatch(part.name)
    ]
    with _patched if odd else nullcontext():
        for part in odd:
            vars(part)["_open_name_scope"] = nullcontext
        try:
            yield
        finally:
            for part in odd:
                vars(part).pop("_open_name_scope", None)


def run_recorded(step: Step, values: dict[Ref, Tensor]) -> Recorder:
    """Run a composite step, and also add the output tensors of the layers inside it to `values`."""
    recorder = Recorder(step.scope)
    with recorder.watch(step.operation):
        result = run_step(step, values)
    if step.node is None:  # a model without a graph has no other row of its own
        recorder.calls.append(LayerCall(step.path, step.operation))
        recorder.add_outputs(recorder.calls[-1], result, step.scope)
    values.update(recorder.values)
    return recorder


def parts_of(layer: keras.Operation) -> Iterator[Any]:
    """Iterate over all layers and operations inside `layer`, at any depth, each once."""
    seen = {id(layer)}
    waiting = _direct_parts(layer)[::-1]
    while waiting:
        part = waiting.pop()
        if id(part) not in seen:
            seen.add(id(part))
            yield part
            waiting.extend(_direct_parts(part)[::-1])


def list_uncalled(layer: keras.Operation, path: str, called: Mapping[int, str]) -> Iterator[tuple[str, Any]]:
    """Iterate over the layers inside `layer` that were not called, without the layers inside those.

    Args:
        layer: A composite layer.
        path: Its path.
        called: id of a layer that was called -> its path.

    Yields:
        The path and the layer.
    """
    for part in _direct_parts(layer):
        if id(part) in called:
            yield from list_uncalled(part, called[id(part)], called)
        else:
            yield join_path(path, part.name), part


def name_outputs(result: Any) -> tuple[list[Tensor], list[str]]:  # noqa: ANN401 - any structure of tensors
    """Flatten the output of a layer.

    Returns:
        The tensors, and the suffix of each path: [""] for a single one, else "[0]" or "[name]" each.
    """
    import keras

    found = [(path, x) for path, x in keras.tree.flatten_with_path(result) if hasattr(x, "shape")]
    if len(found) == 1:
        return [found[0][1]], [""]
    return [x for _, x in found], ["".join(f"[{part}]" for part in path) for path, _ in found]


def join_path(parent: str, name: str, call: int = 1) -> str:
    """Join the path of a layer's n-th call inside a model: `outer/conv`, `outer/conv#2`."""
    name = name if call == 1 else f"{name}#{call}"
    return f"{parent}/{name}" if parent else name


def _direct_parts(layer: keras.Operation) -> list[Any]:
    """List the layers and operations directly inside `layer`; those of a graph without its inputs."""
    graph = getattr(layer, "_functional", None) or layer
    if hasattr(graph, "operations"):
        return [operation for operation in graph.operations if type(operation).__name__ != "InputLayer"]
    return list(getattr(layer, "_layers", []))
