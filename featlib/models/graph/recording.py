"""What the layers inside a composite layer put out while it runs: Keras keeps no graph of them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_watching = threading.RLock()  # the wrapped `call` methods belong to one run at a time


@dataclass
class RecordedCall:
    """One call of a layer inside a composite layer.

    Attributes:
        path: the layer path; from the second call on with the number of the call.
        operation: the layer, or the operation of an inner graph.
        outputs: its output tensors.
        suffixes: which output each is: "" for an only one, else "[0]" or "[name]".
    """

    path: str
    operation: Any
    outputs: list[Any] = field(default_factory=list)
    suffixes: list[str] = field(default_factory=list)


class Recorder:
    """Notes the calls inside one run of a composite layer, in order, each layer before what it holds."""

    def __init__(self, path: str) -> None:
        """`path` is the composite layer's own, "" for the model itself."""
        self.calls: dict[str, RecordedCall] = {}
        self._stack = [path]
        self._counts: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def watch(self, layer: Any) -> Iterator[None]:  # noqa: ANN401
        """Records, in this thread, whatever runs inside `layer`; the layer is as before afterwards."""
        parts = list(parts_of(layer))
        with _watching:
            before = [vars(part).get("call") for part in parts]
            for part in parts:
                vars(part)["call"] = self._wrap(part, threading.get_ident())
            try:
                yield
            finally:
                for part, call in zip(parts, before, strict=True):
                    vars(part).pop("call") if call is None else vars(part).update(call=call)

    def add(self, path: str, operation: Any, result: Any) -> None:  # noqa: ANN401
        """Adds the composite's own result as the last row."""
        self.calls[path] = RecordedCall(path, operation, *name_outputs(result))

    def _wrap(self, part: Any, thread: int) -> Callable[..., Any]:  # noqa: ANN401
        original = part.call

        def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            if threading.get_ident() != thread:
                return original(*args, **kwargs)
            record = self._begin(part)
            try:
                result = original(*args, **kwargs)
            finally:
                self._stack.pop()
            record.outputs, record.suffixes = name_outputs(result)
            return result

        return call

    def _begin(self, part: Any) -> RecordedCall:  # noqa: ANN401
        parent = self._stack[-1]
        self._counts[parent, part.name] += 1
        record = RecordedCall(join_path(parent, part.name, self._counts[parent, part.name]), part)
        self.calls[record.path] = record
        self._stack.append(record.path)
        return record


def parts_of(layer: Any) -> Iterator[Any]:  # noqa: ANN401
    """All layers and operations that `layer` holds, at any depth, each once."""
    seen = {id(layer)}
    waiting = direct_parts(layer)[::-1]
    while waiting:
        part = waiting.pop()
        if id(part) not in seen:
            seen.add(id(part))
            yield part
            waiting.extend(direct_parts(part)[::-1])


def direct_parts(layer: Any) -> list[Any]:  # noqa: ANN401
    """The layers and operations that `layer` itself holds; those of a graph without its inputs."""
    graph = getattr(layer, "_functional", None) or layer
    if hasattr(graph, "operations"):
        return [operation for operation in graph.operations if type(operation).__name__ != "InputLayer"]
    return list(getattr(layer, "_layers", []))


def name_outputs(result: Any) -> tuple[list[Any], list[str]]:  # noqa: ANN401
    """The tensors of a layer's result, and what tells them apart: [""] for an only one, else "[0]" or "[name]"."""
    import keras

    found = [(path, x) for path, x in keras.tree.flatten_with_path(result) if hasattr(x, "shape")]
    if len(found) == 1:
        return [found[0][1]], [""]
    return [x for _, x in found], ["".join(f"[{part}]" for part in path) for path, _ in found]


def join_path(parent: str, name: str, call: int = 1) -> str:
    """The path of a layer's n-th call inside a model: `outer/conv`, `outer/conv#2`."""
    name = name if call == 1 else f"{name}#{call}"
    return f"{parent}/{name}" if parent else name
