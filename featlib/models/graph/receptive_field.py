"""Which pixels of the input one unit of a layer can see.

A layer's unit i sees the input pixels from i * stride + first to i * stride + last on each axis; layer after layer
these three numbers follow from kernel, stride and padding (Araujo, Norris and Sim, "Computing Receptive Fields of
Convolutional Neural Networks", Distill 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

WINDOWS = {"Conv2D", "DepthwiseConv2D", "SeparableConv2D", "MaxPooling2D", "AveragePooling2D"}
POINTWISE = {  # each unit reads the units at its own place only
    "InputLayer", "Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "BatchNormalization", "Identity", "Dropout",
    "SpatialDropout2D", "AlphaDropout", "GaussianDropout", "GaussianNoise", "ActivityRegularization", "Rescaling",
    "Normalization", "LayerScale", "StochasticDepth", "CustomScaleLayer", "Dense", "Add", "Subtract", "Multiply",
    "Average", "Maximum", "Minimum", "Concatenate", "Divide", "TrueDivide", "Relu", "Relu6", "HardSigmoid",
    "HardSwish", "HardSilu", "Silu", "Sigmoid", "Gelu", "Tanh", "RandomFlip", "RandomRotation", "RandomZoom",
    "RandomTranslation", "RandomContrast", "RandomBrightness",
}  # fmt: skip
MOVES = {"ZeroPadding2D": ("padding", -1), "Cropping2D": ("cropping", 1)}


@dataclass(frozen=True)
class Reach:
    """What one unit sees along one axis of the input.

    Attributes:
        first: the first pixel that unit 0 sees; below 0 it lies in the padding.
        last: the last pixel that unit 0 sees.
        stride: pixels from one unit to the next.
    """

    first: int = 0
    last: int = 0
    stride: int = 1

    @property
    def size(self) -> int:
        """The receptive field in pixels."""
        return self.last - self.first + 1

    def window(self, kernel: int, stride: int, dilation: int, padding: int) -> Reach:
        """Through a window that slides over the units."""
        first = self.first - padding * self.stride
        last = self.last + ((kernel - 1) * dilation - padding) * self.stride
        return Reach(first, last, self.stride * stride)

    def moved(self, units: int) -> Reach:
        """With `units` cut off before the first one."""
        return Reach(self.first + units * self.stride, self.last + units * self.stride, self.stride)


Field = tuple[Reach, Reach]  # height, width


def follow(operation: Any, fields: Sequence[Field | None], size: Sequence[int | None]) -> Field | None:  # noqa: ANN401
    """The receptive field after an operation.

    Args:
        operation: the Keras layer or operation.
        fields: those of its inputs.
        size: height and width of its first input in units; None where unknown.

    Returns:
        Height and width, or None where it is not defined: the operation looks at the whole map, or is not known.
    """
    merged = _merge(fields)
    name = type(operation).__name__
    if merged is None or not type(operation).__module__.startswith("keras."):
        return None
    if name in POINTWISE or (name == "LayerNormalization" and list(operation.axis) in ([-1], [3])):
        return merged
    if name in WINDOWS:
        return _slide(operation, merged, size)
    if name in MOVES:
        attribute, sign = MOVES[name]
        (top, _), (left, _) = getattr(operation, attribute)
        return merged[0].moved(sign * top), merged[1].moved(sign * left)
    return None


def _merge(fields: Sequence[Field | None]) -> Field | None:
    known = [field for field in fields if field is not None]
    if not known or len(known) < len(fields):
        return None
    axes = [_union([field[axis] for field in known]) for axis in (0, 1)]
    return None if axes[0] is None or axes[1] is None else (axes[0], axes[1])


def _union(reaches: Sequence[Reach]) -> Reach | None:
    if len({reach.stride for reach in reaches}) > 1:
        return None
    return Reach(min(r.first for r in reaches), max(r.last for r in reaches), reaches[0].stride)


def _slide(operation: Any, field: Field, size: Sequence[int | None]) -> Field:  # noqa: ANN401
    kernel = getattr(operation, "kernel_size", None) or operation.pool_size
    strides, dilation = operation.strides, getattr(operation, "dilation_rate", (1, 1))
    axes = []
    for reach, k, s, d, n in zip(field, kernel, strides, dilation, size, strict=True):
        span = (k - 1) * d + 1
        length = n if n is not None else s  # of an unknown size: one that the stride divides
        total = max((-(-length // s) - 1) * s + span - length, 0) if operation.padding == "same" else 0
        axes.append(reach.window(k, s, d, total // 2))
    return axes[0], axes[1]
