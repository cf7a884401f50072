"""A Keras model as one flat program: every call of every operation, at any depth, in the order they run.

A layer inside an inner model belongs to the inner model's graph, and a layer that is called twice has only its first
`output`. Therefore the calls are read from the nodes of the graphs, inner graphs replace their call, and running the
calls one after the other on tensors gives the output of each. Only those leading to the requested outputs run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from featlib.errors import ModelError
from featlib.models.graph.folding import find_folds, run_folded
from featlib.models.graph.nodes import NodeReader
from featlib.models.graph.recording import Recorder, list_uncalled, name_outputs, run_recorded, run_step
from featlib.models.graph.steps import KERAS_ERRORS, LayerCall, Ref, Step, Tensor, enter, graph_of, is_graph
from featlib.text import keras_reason

if TYPE_CHECKING:
    import keras

NOT_PER_IMAGE = "it does not output one row per image"
PROBE_BATCH = 13  # shapes are inferred for a batch of 13: an output is per image if it has 13 rows


class ModelGraph:
    """All calls of a model, and how to run those leading to the requested tensors.

    Args:
        model: A built Keras model.
        input_shape: (height, width, channels) of one image, channels last.
        channels_first: Whether the model expects (channels, height, width).

    Attributes:
        steps: What runs, in order.
        calls: The calls of layers and operations, as `model.summary()` lists them, including inner layers.
        image_inputs: The model's inputs that take the image, each with its symbolic tensor, or None without a graph.
        specs: The shape and dtype of each tensor.
        recorded: Tensors visible only while a composite step runs, each with that step.

    Raises:
        ModelError: The model has no graph and cannot be run on an image of this shape.
    """

    def __init__(self, model: keras.Model, input_shape: Sequence[int], channels_first: bool = False) -> None:
        self.model = model
        self.channels_first = channels_first
        height, width, channels = input_shape
        self.input_shape = (height, width, channels)
        self._nodes = NodeReader(model)
        self._blocked = self._nodes.blocked
        self.steps = self._nodes.steps
        self.calls = self._nodes.calls
        self.image_inputs = self._nodes.image_inputs
        self.recorded: dict[Ref, Step] = {}
        self.specs: dict[Ref, Any] = {}
        self._infer_specs()
        self._look_inside_composites()
        for call in self.calls:
            blocked = next((self._blocked[ref] for ref in call.outputs if ref in self._blocked), "")
            shapes = [self.specs[ref].shape for ref in call.outputs if ref in self.specs]
            per_image = all(len(shape) > 1 and shape[0] in (PROBE_BATCH, None) for shape in shapes)
            call.reason = call.reason or blocked or ("" if per_image else NOT_PER_IMAGE)

    @cached_property
    def outputs(self) -> frozenset[Ref]:
        """The model's own outputs."""
        if not is_graph(self.model):
            return frozenset(ref for call in self.calls if call.operation is self.model for ref in call.outputs)
        return frozenset(self._nodes.resolve("", tensor) for tensor in graph_of(self.model).outputs)

    @cached_property
    def targets(self) -> dict[str, tuple[LayerCall, Ref | None]]:
        """Layer path -> its call and the tensor; one path per output, None for a layer that is never called."""
        found: dict[str, tuple[LayerCall, Ref | None]] = {}
        for call in self.calls:
            refs: list[Ref | None] = list(call.outputs) or [None]
            for ref, suffix in zip(refs, call.suffixes or [""], strict=True):
                path, twin = call.path + suffix, 2
                while path in found:
                    path, twin = f"{call.path}{suffix}#{twin}", twin + 1
                found[path] = (call, ref)
        return found

    def run(self, refs: Sequence[Ref], images: Tensor, *, folded: bool = False) -> list[Tensor]:
        """Run the steps leading to the requested tensors.

        Args:
            refs: The requested tensors.
            images: (n, height, width, channels) tensor, preprocessed.
            folded: Whether to fold batch normalizations into the convolutions before them. This pays for functions
                that run often: it costs one multiplication per kernel.

        Returns:
            One tensor per reference, as Keras computes it.

        Raises:
            ModelError: A requested layer inside a composite layer was not called for these images.
        """
        values = self._feed(images)
        wanted = set(refs)
        steps = self._steps_to(wanted)
        folds = find_folds(steps, wanted) if folded else {}
        folded_away = {id(step) for step in folds.values()}
        recorded = {id(self.recorded[ref]) for ref in wanted if ref in self.recorded}
        for step in steps:
            if step.outputs and step.outputs[0] in folds:
                norm = folds[step.outputs[0]]
                values[norm.outputs[0]] = run_folded(step, norm, values[step.inputs[0]])
            elif id(step) in recorded:
                run_recorded(step, values)
            elif id(step) not in folded_away:
                run_step(step, values)
        missing = next((ref[0] for ref in refs if ref not in values), None)
        if missing is not None:  # the path through a composite layer may depend on the images
            raise ModelError(f"'{missing}' in '{self.model.name}' was not called for these images.")
        return [values[ref] for ref in refs]

    def _feed(self, images: Tensor) -> dict[Ref, Tensor]:
        import keras

        if self.channels_first:
            images = keras.ops.transpose(images, (0, 3, 1, 2))
        return {ref: images if symbolic is None else enter(images, symbolic) for ref, symbolic in self.image_inputs}

    def _steps_to(self, wanted: Iterable[Ref]) -> list[Step]:
        """List the steps that the requested tensors depend on, in order."""
        needed = {ref for ref in wanted if ref not in self.recorded}
        recording = {id(self.recorded[ref]) for ref in wanted if ref in self.recorded}
        steps = []
        for step in reversed(self.steps):
            if id(step) in recording or not needed.isdisjoint(step.outputs):
                needed.update(step.inputs)
                steps.append(step)
        return steps[::-1]

    def _infer_specs(self) -> None:
        """Infer the shape and dtype of every tensor, and the suffixes of the outputs of each call."""
        import keras

        height, width, channels = self.input_shape
        sides = (channels, height, width) if self.channels_first else (height, width, channels)
        for ref, tensor in self.image_inputs:
            dtype = tensor.dtype if tensor is not None else "float32"
            self.specs[ref] = keras.KerasTensor((PROBE_BATCH, *sides), dtype)
        for call in self.calls:
            call.suffixes = [""] if len(call.outputs) == 1 else [f"[{i}]" for i in range(len(call.outputs))]
        calls = {tuple(call.outputs): call for call in self.calls}
        for step in self.steps:
            blocked = next((self._blocked[ref] for ref in step.inputs if ref in self._blocked), None)
            if blocked:
                self._blocked.update(dict.fromkeys(step.outputs, blocked))
                known = step.node.outputs if step.node is not None else [step.operation]
                self.specs.update(zip(step.outputs, known, strict=True))
            elif step.node is not None or not step.is_composite:
                tensors, suffixes = name_outputs(step.infer_outputs(self.specs))
                self.specs.update(zip(step.outputs, tensors, strict=True))
                if step.outputs in calls and len(suffixes) == len(step.outputs):
                    calls[step.outputs].suffixes = suffixes

    def _look_inside_composites(self) -> None:
        """Run every composite step once, on symbolic tensors, to find out which layers it calls."""
        import tensorflow as tf

        composites = [s for s in self.steps if s.is_composite and not any(ref in self._blocked for ref in s.inputs)]
        if not composites:
            return
        found: list[tuple[Step, Recorder, tf.Graph]] = []

        def trace(images: Tensor) -> list[Tensor]:
            """Run the model up to its composites and record those."""
            values = self._feed(images)
            for step in self._steps_to({ref for composite in composites for ref in composite.inputs}):
                run_step(step, values)
            graph = tf.compat.v1.get_default_graph()
            found.extend((step, run_recorded(step, values), graph) for step in composites)
            return []

        try:
            tf.function(trace, autograph=False).get_concrete_function(
                tf.TensorSpec((None, *self.input_shape), tf.float32)
            )
        except KERAS_ERRORS as error:
            raise ModelError(
                f"'{self.model.name}' cannot be run on images of {self.input_shape}: {keras_reason(error)}"
            ) from error
        for step, recorder, graph in found:
            self._add_inner_calls(step, recorder, graph)

    def _add_inner_calls(self, step: Step, recorder: Recorder, graph: Any) -> None:  # noqa: ANN401 - tf.Graph
        """List the recorded calls, and the layers that were not called, behind the composite itself."""
        import keras

        for ref, tensor in recorder.values.items():
            self.recorded[ref] = step
            self.specs[ref] = keras.KerasTensor(tuple(tensor.shape), keras.backend.standardize_dtype(tensor.dtype))
        for call in recorder.calls:
            if any(getattr(recorder.values[ref], "graph", graph) is not graph for ref in call.outputs):
                call.reason = "it runs inside a loop"
            elif not call.outputs:
                call.reason = "it has no tensor output"
        paths = {id(call.operation): call.path for call in reversed(recorder.calls)}
        uncalled = [
            LayerCall(path, part, reason="it was not called when the model ran")
            for path, part in list_uncalled(step.operation, step.scope, paths)
        ]
        parent = next((i for i, call in enumerate(self.calls) if call.path == step.path), -1)
        self.calls[parent + 1 : parent + 1] = [*recorder.calls, *uncalled]
