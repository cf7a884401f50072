"""The calls a model consists of, and how to run one of them on tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

Ref = tuple[str, int]  # a tensor: the scope (path of the model call) it belongs to, and a number within it
Tensor = Any  # a backend tensor, or a KerasTensor that only carries shape and dtype

# What Keras and TensorFlow raise when a model or a layer cannot run on its input.
KERAS_ERRORS = (ValueError, TypeError, AttributeError, NotImplementedError, RuntimeError)


@dataclass(frozen=True, eq=False)
class Step:
    """One operation executed when the model runs.

    Attributes:
        path: The path of the call; for the entry of an inner model, the path of that model.
        operation: The layer or operation; for an entry, the inner model's symbolic input.
        node: Keras' record of the call, which says where each tensor goes; None for an entry and for a model without
            a graph.
        inputs: The tensors it reads.
        outputs: The tensors it produces.
        is_composite: Whether it contains layers that are visible only while it runs.
    """

    path: str
    operation: keras.Operation
    node: Any
    inputs: tuple[Ref, ...]
    outputs: tuple[Ref, ...]
    is_composite: bool = False

    @property
    def scope(self) -> str:
        """The path that layers inside a composite step start with."""
        return "" if self.node is None else self.path

    def call(self, values: Mapping[Ref, Tensor]) -> Any:  # noqa: ANN401 - any structure of tensors
        """Run the operation in inference mode on the tensors it reads."""
        if self.node is None:
            source = values[self.inputs[0]]
            return self.operation(source, training=False) if self.is_composite else enter(source, self.operation)
        args, kwargs = self._arguments(values)
        if "training" in getattr(self.operation, "_call_context_args", ()):
            kwargs["training"] = False
        return self.operation(*args, **kwargs)

    def infer_outputs(self, specs: Mapping[Ref, keras.KerasTensor]) -> Any:  # noqa: ANN401 - any structure of specs
        """Infer the output shapes; where the operation cannot, return the shapes it was built with."""
        import keras

        if self.node is None:
            source = specs[self.inputs[0]]
            return keras.KerasTensor(_fit_rank(source.shape, self.operation.shape), self.operation.dtype)
        args, kwargs = self._arguments(specs)
        try:
            return self.operation.compute_output_spec(*args, **kwargs)
        except KERAS_ERRORS:
            return list(self.node.outputs) if len(self.node.outputs) > 1 else self.node.outputs[0]

    def _arguments(self, values: Mapping[Ref, Tensor]) -> tuple[Any, dict[str, Any]]:
        tensors = zip(self.node.input_tensors, self.inputs, strict=True)
        return self.node.arguments.fill_in({id(tensor): values[ref] for tensor, ref in tensors})


@dataclass(eq=False)
class LayerCall:
    """One call of a layer or operation, as listed by `model.summary()`.

    Attributes:
        path: The layer path.
        operation: The layer or operation.
        outputs: The tensors it produces.
        suffixes: What the path of each output ends in: [""] for a single one, else "[0]" or "[name]" each.
        reason: Why its output is not accessible; empty if it is.
    """

    path: str
    operation: keras.Operation
    outputs: list[Ref] = field(default_factory=list)
    suffixes: list[str] = field(default_factory=list)
    reason: str = ""


def is_graph(operation: keras.Operation) -> bool:
    """Tell whether Keras knows the graph of a model's layers: a Functional model or a built Sequential one."""
    import keras
    from keras.src.models.functional import Functional  # keras.Model(inputs, outputs) makes one; it has no public name

    call = getattr(type(operation), "call", None)
    if call is keras.Sequential.call:
        return operation._functional is not None
    return call is Functional.call


def graph_of(model: keras.Model) -> Any:  # noqa: ANN401 - private Keras class
    """Return the object that holds the nodes: the model itself, or the Functional model inside a Sequential one."""
    return getattr(model, "_functional", None) or model


def enter(x: Tensor, symbolic_input: keras.KerasTensor) -> Tensor:
    """Convert a tensor that enters a Functional model as Keras does: its dtype, and a last axis of size 1 if needed."""
    import keras

    mask = getattr(x, "_keras_mask", None)
    x = keras.ops.convert_to_tensor(x, dtype=symbolic_input.dtype)
    if len(x.shape) != len(symbolic_input.shape):
        x = keras.ops.reshape(x, [-1 if side is None else side for side in _fit_rank(x.shape, symbolic_input.shape)])
    if mask is not None:
        x._keras_mask = mask
    return x


def _fit_rank(shape: Iterable[int | None], expected: Iterable[int | None]) -> tuple[int | None, ...]:
    shape, expected = tuple(shape), tuple(expected)
    if len(shape) == len(expected) + 1 and shape[-1] == 1:
        return shape[:-1]
    if len(shape) == len(expected) - 1 and expected[-1] == 1:
        return (*shape, 1)
    return shape
