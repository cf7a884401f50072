"""Keras' own records of a model's calls, read into one flat list of steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from featlib.models.graph.recording import join_path, parts_of
from featlib.models.graph.steps import LayerCall, Ref, Step, Tensor, graph_of, is_graph

if TYPE_CHECKING:
    import keras


class NodeReader:
    """Reads the nodes of a model and of its inner models, each inner graph in place of its call.

    Args:
        model: A built Keras model. One without a graph becomes a single composite step.

    Attributes:
        steps: What runs, in order.
        calls: The calls, as `model.summary()` lists them.
        image_inputs: The model's inputs that take the image, each with its symbolic tensor, or None without a graph.
        blocked: Tensors no image leads to, each with the reason.
    """

    def __init__(self, model: keras.Model) -> None:
        self.steps: list[Step] = []
        self.calls: list[LayerCall] = []
        self.image_inputs: list[tuple[Ref, Any]] = []
        self.blocked: dict[Ref, str] = {}
        self._aliases: dict[Ref, Ref] = {}
        if not is_graph(model):
            self.image_inputs = [(("", 0), None)]
            self.steps = [Step(model.name, model, None, (("", 0),), (), is_composite=True)]
            return
        inputs = graph_of(model).inputs
        first = next((tensor for tensor in inputs if len(tensor.shape) == 4), None)
        for tensor in inputs:
            ref = ("", id(tensor))
            if first is not None and tuple(tensor.shape) == tuple(first.shape):
                self.image_inputs.append((ref, tensor))
            else:
                self.blocked[ref] = f"it needs the input '{tensor.name}', {_why_not_fed(tensor)}"
        self._read_model(model, "")

    def resolve(self, scope: str, tensor: Tensor) -> Ref:
        """Return the reference of a symbolic tensor; the output of an inner model is that of its last layer."""
        ref = (scope, id(tensor))
        return self._aliases.get(ref, ref)

    def _read_model(self, model: keras.Model, scope: str) -> None:
        graph = graph_of(model)
        own = {id(node) for nodes in graph._nodes_by_depth.values() for node in nodes}
        position = {id(operation): i for i, operation in enumerate(graph.operations)}
        for depth in sorted(graph._nodes_by_depth, reverse=True):
            for node in sorted(graph._nodes_by_depth[depth], key=lambda node: position[id(node.operation)]):
                calls = [n for n in node.operation._inbound_nodes if id(n) in own]
                call = LayerCall(join_path(scope, node.operation.name, calls.index(node) + 1), node.operation)
                self.calls.append(call)
                if is_graph(node.operation) and _takes_only_inputs(node):
                    self._read_inner_model(node, call.path, scope)
                elif not node.is_input:
                    inputs = tuple(self.resolve(scope, tensor) for tensor in node.input_tensors)
                    outputs = tuple((scope, id(tensor)) for tensor in node.outputs)
                    is_composite = next(iter(parts_of(node.operation)), None) is not None
                    self.steps.append(Step(call.path, node.operation, node, inputs, outputs, is_composite))
                call.outputs = [self.resolve(scope, tensor) for tensor in node.outputs]

    def _read_inner_model(self, node: Any, path: str, scope: str) -> None:  # noqa: ANN401 - private Keras class
        import keras

        graph = graph_of(node.operation)
        arguments = node.arguments.args[0] if node.arguments.args else node.arguments.kwargs["inputs"]
        if isinstance(arguments, dict) and not isinstance(graph._inputs_struct, dict):
            arguments = [arguments[tensor.name] for tensor in graph.inputs]
        for tensor, inside in zip(keras.tree.flatten(arguments), graph.inputs, strict=True):
            self.steps.append(Step(path, inside, None, (self.resolve(scope, tensor),), ((path, id(inside)),)))
        self._read_model(node.operation, path)
        for tensor, inside in zip(node.outputs, graph.outputs, strict=True):
            self._aliases[scope, id(tensor)] = self.resolve(path, inside)


def _why_not_fed(tensor: keras.KerasTensor) -> str:
    """Say why an input of the model gets nothing when one image is shown."""
    shape = tuple(tensor.shape[1:])
    return f"which takes a second image, {shape}" if len(shape) == 3 else f"which is not an image but {shape}"


def _takes_only_inputs(node: Any) -> bool:  # noqa: ANN401 - private Keras class
    """Tell whether an inner model is called with its inputs only, without arguments that could change its output."""
    others = (
        *node.arguments.args[1:],
        *(v for k, v in node.arguments.kwargs.items() if k not in ("inputs", "training")),
    )
    return all(value is None for value in others)
