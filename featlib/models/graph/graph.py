"""A Keras model as one flat program: every call of every operation, at any depth, in the order they run.

A layer inside an inner model belongs to the inner model's graph, and a layer that is called twice has only its first
`output`. So the calls are read from the nodes of the graphs, inner graphs are put in the place of their call, and
running the calls one after the other on tensors gives the output of each; only those that lead to the wanted ones run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from featlib.errors import ModelError
from featlib.models.graph.folding import find_folds, run_folded
from featlib.models.graph.recording import Recorder, direct_parts, join_path, name_outputs, parts_of

if TYPE_CHECKING:
    import keras

NO_ROWS = "it does not put out one row for each image"
PROBED = 13  # images that shapes are worked out for: an output has a row for each where it has 13 rows
Ref = tuple[str, int]  # a tensor: the path of the model call it belongs to, and a number within


@dataclass(frozen=True, eq=False)
class Step:
    """One thing that happens when the model runs.

    Attributes:
        path: path of the call; of the inner model for an entry.
        operation: the layer or operation; for an entry the symbolic input of the inner model.
        node: Keras' record of the call, which says where each tensor goes; None for an entry, and for a model without
            a graph.
        needs: the tensors it reads.
        gives: the tensors it makes.
        inner: whether layers inside it can only be seen while it runs.
    """

    path: str
    operation: Any
    node: Any
    needs: tuple[Ref, ...]
    gives: tuple[Ref, ...]
    inner: bool = False


@dataclass(eq=False)
class Place:
    """One row of the model's list of layers.

    Attributes:
        path: the layer path.
        operation: the layer or operation.
        refs: its outputs.
        suffixes: which output each is: "" for an only one, else "[0]" or "[name]".
        reason: why it cannot be tapped; empty where it can.
    """

    path: str
    operation: Any
    refs: list[Ref] = field(default_factory=list)
    suffixes: list[str] = field(default_factory=list)
    reason: str = ""


class ModelGraph:
    """All calls of a model, and how to run those that lead to the wanted tensors.

    Args:
        model: a built Keras model.
        input_shape: (height, width, channels) of one image as the person counts it, channels last.
        channels_first: whether the model wants (channels, height, width).

    Raises:
        ModelError: the model has no graph and cannot be run on an image of this shape.
    """

    def __init__(self, model: keras.Model, input_shape: Sequence[int | None], channels_first: bool = False) -> None:
        self.model = model
        self.channels_first = channels_first
        self.input_shape = tuple(input_shape)
        self.steps: list[Step] = []
        self.places: list[Place] = []
        self.images: list[tuple[Ref, Any]] = []  # the model's inputs that take the image
        self._blocked: dict[Ref, str] = {}  # tensors that no image leads to -> why
        self.recorded: dict[Ref, Step] = {}  # tensors that are only seen while a step runs
        self.specs: dict[Ref, Any] = {}  # tensor -> its shape and type
        if is_graph(model):
            self._open(model)
        else:
            self.images = [(("", 0), None)]
            self.steps.append(Step(model.name, model, None, (("", 0),), (), inner=True))
        self._infer_specs()
        self._look_inside()
        self._explain()

    @cached_property
    def outputs(self) -> frozenset[Ref]:
        """The model's own outputs."""
        if not is_graph(self.model):
            return frozenset(ref for place in self.places if place.operation is self.model for ref in place.refs)
        return frozenset(self._resolve("", tensor) for tensor in graph_of(self.model).outputs)

    def run(self, refs: Sequence[Ref], images: Any, *, folded: bool = False) -> list[Any]:  # noqa: ANN401
        """Runs what leads to the wanted tensors.

        Args:
            refs: the wanted tensors.
            images: (n, height, width, channels) tensor, preprocessed.
            folded: whether batch normalizations are folded into the convolutions before them, which is for graphs
                that run often: it costs a multiplication of each kernel.

        Returns:
            One tensor each, as Keras makes it.
        """
        values = self._feed(images)
        wanted = set(refs)
        steps = self._ancestors(wanted)
        folds = find_folds(steps, wanted) if folded else {}
        done = {id(step) for step in folds.values()}
        for step in steps:
            if step.gives and step.gives[0] in folds:
                norm = folds[step.gives[0]]
                values[norm.gives[0]] = run_folded(step, norm, values[step.needs[0]])
            elif id(step) not in done:
                record = step.inner and any(self.recorded.get(ref) is step for ref in wanted)
                self._run_step(step, values, Recorder(self._scope(step)) if record else None)
        missing = next((ref[0] for ref in refs if ref not in values), None)
        if missing is not None:  # the way through a composite layer may depend on the images
            raise ModelError(f"'{missing}' in '{self.model.name}' was not called for these images.")
        return [values[ref] for ref in refs]

    @cached_property
    def targets(self) -> dict[str, tuple[Place, Ref | None]]:
        """Layer path -> its place and the tensor; one path an output, None where the layer was never called."""
        found: dict[str, tuple[Place, Ref | None]] = {}
        for place in self.places:
            refs: list[Ref | None] = list(place.refs) or [None]
            for ref, suffix in zip(refs, place.suffixes or [""], strict=True):
                path, twin = place.path + suffix, 2
                while path in found:
                    path, twin = f"{place.path}{suffix}#{twin}", twin + 1
                found[path] = (place, ref)
        return found

    # --- reading the graphs

    def _open(self, model: keras.Model) -> None:
        self._aliases: dict[Ref, Ref] = {}
        inputs = graph_of(model).inputs
        first = next((tensor for tensor in inputs if len(tensor.shape) == 4), None)
        for tensor in inputs:
            ref = ("", id(tensor))
            if first is not None and tuple(tensor.shape) == tuple(first.shape):
                self.images.append((ref, tensor))
            else:
                self._blocked[ref] = f"it needs the input '{tensor.name}', which is no image"
        self._read(model, "")

    def _read(self, model: keras.Model, scope: str) -> None:
        graph = graph_of(model)
        own = {id(node) for nodes in graph._nodes_by_depth.values() for node in nodes}
        position = {id(operation): i for i, operation in enumerate(graph.operations)}
        for depth in sorted(graph._nodes_by_depth, reverse=True):
            for node in sorted(graph._nodes_by_depth[depth], key=lambda node: position[id(node.operation)]):
                calls = [n for n in node.operation._inbound_nodes if id(n) in own]
                path = join_path(scope, node.operation.name, calls.index(node) + 1)
                self._read_node(node, path, scope)

    def _read_node(self, node: Any, path: str, scope: str) -> None:  # noqa: ANN401
        place = Place(path, node.operation)
        self.places.append(place)
        if is_graph(node.operation) and _takes_only_inputs(node):
            self._read_inner(node, path, scope)
        elif not node.is_input:
            needs = tuple(self._resolve(scope, tensor) for tensor in node.input_tensors)
            gives = tuple((scope, id(tensor)) for tensor in node.outputs)
            inner = next(iter(parts_of(node.operation)), None) is not None
            self.steps.append(Step(path, node.operation, node, needs, gives, inner))
        place.refs = [self._resolve(scope, tensor) for tensor in node.outputs]

    def _read_inner(self, node: Any, path: str, scope: str) -> None:  # noqa: ANN401
        import keras

        graph = graph_of(node.operation)
        arguments = node.arguments.args[0] if node.arguments.args else node.arguments.kwargs["inputs"]
        if isinstance(arguments, dict) and not isinstance(graph._inputs_struct, dict):
            arguments = [arguments[tensor.name] for tensor in graph.inputs]
        for tensor, inside in zip(keras.tree.flatten(arguments), graph.inputs, strict=True):
            gives = ((path, id(inside)),)
            self.steps.append(Step(path, inside, None, (self._resolve(scope, tensor),), gives))
        self._read(node.operation, path)
        for tensor, inside in zip(node.outputs, graph.outputs, strict=True):
            self._aliases[scope, id(tensor)] = self._resolve(path, inside)

    def _resolve(self, scope: str, tensor: Any) -> Ref:  # noqa: ANN401
        ref = (scope, id(tensor))
        return self._aliases.get(ref, ref)

    # --- running

    def _feed(self, images: Any) -> dict[Ref, Any]:  # noqa: ANN401
        import keras

        if self.channels_first:
            images = keras.ops.transpose(images, (0, 3, 1, 2))
        return {ref: images if inside is None else _enter(images, inside) for ref, inside in self.images}

    def _ancestors(self, wanted: set[Ref]) -> list[Step]:
        needed = {ref for ref in wanted if ref not in self.recorded}
        recording = {id(self.recorded[ref]) for ref in wanted if ref in self.recorded}
        steps = []
        for step in reversed(self.steps):
            if id(step) in recording or not needed.isdisjoint(step.gives):
                needed.update(step.needs)
                steps.append(step)
        return steps[::-1]

    def _run_step(self, step: Step, values: dict[Ref, Any], recorder: Recorder | None = None) -> None:
        import keras

        with recorder.watch(step.operation) if recorder else nullcontext():
            result = _call(step, values)
        values.update(zip(step.gives, keras.tree.flatten(result), strict=False))
        if recorder:
            if step.node is None:
                recorder.add(step.path, step.operation, result)  # a model without a graph has no other row of its own
            for path, call in recorder.calls.items():
                values.update({(path, i): tensor for i, tensor in enumerate(call.outputs)})

    @staticmethod
    def _scope(step: Step) -> str:
        return "" if step.node is None else step.path

    # --- shapes

    def _infer_specs(self) -> None:
        import keras

        height, width, channels = self.input_shape
        sides = (channels, height, width) if self.channels_first else (height, width, channels)
        shape = (PROBED, *sides)
        for ref, tensor in self.images:
            self.specs[ref] = keras.KerasTensor(shape, tensor.dtype if tensor is not None else "float32")
        for place in self.places:
            place.suffixes = [""] if len(place.refs) == 1 else [f"[{i}]" for i in range(len(place.refs))]
        places = {tuple(place.refs): place for place in self.places}
        for step in self.steps:
            if step.node is not None or not step.inner:
                self._infer_step(step, places)

    def _infer_step(self, step: Step, places: dict[tuple[Ref, ...], Place]) -> None:
        blocked = next((self._blocked[ref] for ref in step.needs if ref in self._blocked), None)
        if blocked:
            self._blocked.update(dict.fromkeys(step.gives, blocked))
            known = step.node.outputs if step.node is not None else [step.operation]
            self.specs.update(zip(step.gives, known, strict=True))
            return
        tensors, suffixes = name_outputs(_spec(step, self.specs))
        self.specs.update(zip(step.gives, tensors, strict=True))
        if step.gives in places and len(suffixes) == len(step.gives):
            places[step.gives].suffixes = suffixes

    # --- layers that only show while their composite runs

    def _look_inside(self) -> None:
        """Runs every composite layer once, on symbolic tensors, to learn what is called inside."""
        import tensorflow as tf

        composites = [s for s in self.steps if s.inner and not any(ref in self._blocked for ref in s.needs)]
        if not composites:
            return
        found: list[tuple[Step, Recorder, Any]] = []

        def trace(images: Any) -> list[Any]:  # noqa: ANN401
            values = self._feed(images)
            for step in self._ancestors({ref for composite in composites for ref in composite.needs}):
                self._run_step(step, values)
            for step in composites:
                recorder = Recorder(self._scope(step))
                self._run_step(step, values, recorder)
                found.append((step, recorder, tf.compat.v1.get_default_graph()))
            return []

        try:
            tf.function(trace, autograph=False).get_concrete_function(
                tf.TensorSpec((None, *self.input_shape), tf.float32)
            )
        except (ValueError, TypeError, AttributeError, NotImplementedError, RuntimeError) as error:
            raise ModelError(
                f"'{self.model.name}' cannot be run on images of {self.input_shape}: {keras_reason(error)}"
            ) from error
        for step, recorder, graph in found:
            self._list_inside(step, recorder, graph)

    def _list_inside(self, step: Step, recorder: Recorder, graph: Any) -> None:  # noqa: ANN401
        import keras

        rows = []
        for call in recorder.calls.values():
            refs = [(call.path, i) for i in range(len(call.outputs))]
            place = Place(call.path, call.operation, refs, call.suffixes)
            if any(getattr(tensor, "graph", graph) is not graph for tensor in call.outputs):
                place.reason = "it runs inside a loop"
            elif not call.outputs:
                place.reason = "it puts out no tensor"
            for ref, tensor in zip(refs, call.outputs, strict=True):
                self.recorded[ref] = step
                self.specs[ref] = keras.KerasTensor(tuple(tensor.shape), keras.backend.standardize_dtype(tensor.dtype))
            rows.append(place)
        called = {id(place.operation): place.path for place in reversed(rows)}
        rows += [
            Place(path, part, reason="it was not called when the model ran")
            for path, part in _uncalled(step.operation, self._scope(step), called)
        ]
        parent = next((i for i, place in enumerate(self.places) if place.path == step.path), -1)
        self.places[parent + 1 : parent + 1] = rows

    def _explain(self) -> None:
        for place in self.places:
            blocked = next((self._blocked[ref] for ref in place.refs if ref in self._blocked), "")
            folded = any(ref in self.specs and not self._has_rows(ref) for ref in place.refs)
            place.reason = place.reason or blocked or (NO_ROWS if folded else "")

    def _has_rows(self, ref: Ref) -> bool:
        shape = self.specs[ref].shape
        return len(shape) > 1 and shape[0] in (PROBED, None)


def _takes_only_inputs(node: Any) -> bool:  # noqa: ANN401
    """Whether an inner model is called with its inputs and nothing else that would change what it computes."""
    others = (
        *node.arguments.args[1:],
        *(v for k, v in node.arguments.kwargs.items() if k not in ("inputs", "training")),
    )
    return all(value is None for value in others)


def keras_reason(error: BaseException) -> str:
    """The line of a Keras error that says what is wrong, without colours and without what Keras puts around it."""
    lines = [re.sub(r"\x1b\[\d*m", "", line).strip() for line in str(error).splitlines()]
    told = [line for line in lines if line and not line.startswith("Exception encountered when calling")]
    return told[0] if told else type(error).__name__


def is_graph(operation: Any) -> bool:  # noqa: ANN401
    """Whether a model's layers hang together in a graph that Keras knows: Functional, or a built Sequential."""
    import keras
    from keras.src.models.functional import Functional  # keras.Model(inputs, outputs) makes one; it has no public name

    call = getattr(type(operation), "call", None)
    if call is keras.Sequential.call:
        return operation._functional is not None
    return call is Functional.call


def graph_of(model: Any) -> Any:  # noqa: ANN401
    """The object that holds the nodes: the model itself, or what a Sequential is made of."""
    return getattr(model, "_functional", None) or model


def _uncalled(layer: Any, path: str, called: dict[int, str]) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """The layers inside that were not called, without what is inside of them."""
    for part in direct_parts(layer):
        if id(part) in called:
            yield from _uncalled(part, called[id(part)], called)
        else:
            yield join_path(path, part.name), part


def _spec(step: Step, specs: dict[Ref, Any]) -> Any:  # noqa: ANN401
    """The outputs' shapes for these input shapes; where an operation cannot tell, those it was built with."""
    import keras

    if step.node is None:
        source = specs[step.needs[0]]
        return keras.KerasTensor(_fit_rank(source.shape, step.operation.shape), step.operation.dtype)
    args, kwargs = _arguments(step, specs)
    try:
        return step.operation.compute_output_spec(*args, **kwargs)
    except (ValueError, TypeError, AttributeError, NotImplementedError, RuntimeError):
        return list(step.node.outputs) if len(step.node.outputs) > 1 else step.node.outputs[0]


def _call(step: Step, values: dict[Ref, Any]) -> Any:  # noqa: ANN401
    if step.node is None:
        source = values[step.needs[0]]
        return step.operation(source, training=False) if step.inner else _enter(source, step.operation)
    args, kwargs = _arguments(step, values)
    if "training" in getattr(step.operation, "_call_context_args", ()):
        kwargs["training"] = False
    return step.operation(*args, **kwargs)


def _arguments(step: Step, values: dict[Ref, Any]) -> tuple[Any, dict[str, Any]]:
    tensors = zip(step.node.input_tensors, step.needs, strict=True)
    return step.node.arguments.fill_in({id(tensor): values[ref] for tensor, ref in tensors})


def _enter(x: Any, inside: Any) -> Any:  # noqa: ANN401
    """What Keras does with a tensor that enters a Functional model: its type, and a last axis of 1 more or less."""
    import keras

    mask = getattr(x, "_keras_mask", None)
    x = keras.ops.convert_to_tensor(x, dtype=inside.dtype)
    if len(x.shape) != len(inside.shape):
        x = keras.ops.reshape(x, [-1 if side is None else side for side in _fit_rank(x.shape, inside.shape)])
    if mask is not None:
        x._keras_mask = mask
    return x


def _fit_rank(shape: Iterable[int | None], inside: Iterable[int | None]) -> tuple[int | None, ...]:
    shape, inside = tuple(shape), tuple(inside)
    if len(shape) == len(inside) + 1 and shape[-1] == 1:
        return shape[:-1]
    if len(shape) == len(inside) - 1 and inside[-1] == 1:
        return (*shape, 1)
    return shape
