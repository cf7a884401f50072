"""Which pixels of the input one unit of a layer sees.

A layer's unit i sees the input pixels from i * stride + first to i * stride + last on each axis; these three numbers
follow from kernel, stride and padding, layer after layer (Araujo, Norris and Sim, "Computing Receptive Fields of
Convolutional Neural Networks", Distill 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

WINDOWS = {"Conv2D", "DepthwiseConv2D", "SeparableConv2D", "MaxPooling2D", "AveragePooling2D"}
POINTWISE = {  # each unit reads only the units at its own position
    "InputLayer", "Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "BatchNormalization", "Identity", "Dropout",
    "SpatialDropout2D", "AlphaDropout", "GaussianDropout", "GaussianNoise", "ActivityRegularization", "Rescaling",
    "Normalization", "LayerScale", "StochasticDepth", "CustomScaleLayer", "Dense", "Add", "Subtract", "Multiply",
    "Average", "Maximum", "Minimum", "Concatenate", "Divide", "TrueDivide", "Relu", "Relu6", "HardSigmoid",
    "HardSwish", "HardSilu", "Silu", "Sigmoid", "Gelu", "Tanh", "RandomFlip", "RandomRotation", "RandomZoom",
    "RandomTranslation", "RandomContrast", "RandomBrightness",
}  # fmt: skip
SHIFTS = {"ZeroPadding2D": ("padding", -1), "Cropping2D": ("cropping", 1)}


@dataclass(frozen=True)
class ReceptiveField1D:
    """What one unit sees along one axis of the input.

    Attributes:
        first: The first pixel that unit 0 sees; negative inside the padding.
        last: The last pixel that unit 0 sees.
        stride: Pixels from one unit to the next.
    """

    first: int = 0
    last: int = 0
    stride: int = 1

    @property
    def size(self) -> int:
        """The receptive field in pixels."""
        return self.last - self.first + 1

    def through_window(self, kernel: int, stride: int, dilation: int, padded_size: int | None) -> ReceptiveField1D:
        """Return the receptive field after a window that slides over the units.

        Args:
            kernel: Size of the window in units.
            stride: Units from one position of the window to the next.
            dilation: Units from one of its elements to the next.
            padded_size: Number of units with padding "same"; None without padding.
        """
        padding = 0
        if padded_size is not None:
            span = (kernel - 1) * dilation + 1
            padding = max((-(-padded_size // stride) - 1) * stride + span - padded_size, 0) // 2
        first = self.first - padding * self.stride
        last = self.last + ((kernel - 1) * dilation - padding) * self.stride
        return ReceptiveField1D(first, last, self.stride * stride)

    def shifted(self, units: int) -> ReceptiveField1D:
        """Return the receptive field after `units` were cut off in front."""
        return ReceptiveField1D(self.first + units * self.stride, self.last + units * self.stride, self.stride)


ReceptiveField2D = tuple[ReceptiveField1D, ReceptiveField1D]  # height, width


def next_receptive_field(
    operation: keras.Operation, fields: Sequence[ReceptiveField2D | None], size: Sequence[int | None]
) -> ReceptiveField2D | None:
    """Compute the receptive field after an operation.

    Args:
        operation: The Keras layer or operation.
        fields: The receptive fields of its inputs.
        size: (height, width) of its first input in units; None where unknown.

    Returns:
        Height and width, or None where it is undefined: the operation reads the whole map, or is unknown.
    """
    name = type(operation).__name__
    merged = _merge(fields)
    if merged is None or not type(operation).__module__.startswith("keras."):
        return None
    if name in POINTWISE or (name == "LayerNormalization" and list(operation.axis) in ([-1], [3])):
        return merged
    if name in WINDOWS:
        kernel = getattr(operation, "kernel_size", None) or operation.pool_size
        dilation = getattr(operation, "dilation_rate", (1, 1))
        same = operation.padding == "same"
        height, width = (
            # Of an unknown size: one that the stride divides.
            field.through_window(k, s, d, (s if n is None else n) if same else None)
            for field, k, s, d, n in zip(merged, kernel, operation.strides, dilation, size, strict=True)
        )
        return height, width
    if name in SHIFTS:
        attribute, sign = SHIFTS[name]
        (top, _), (left, _) = getattr(operation, attribute)
        return merged[0].shifted(sign * top), merged[1].shifted(sign * left)
    return None


def _merge(fields: Sequence[ReceptiveField2D | None]) -> ReceptiveField2D | None:
    """Return the union of what several inputs see, or None where it is undefined."""
    known = [field for field in fields if field is not None]
    if not known or len(known) < len(fields):
        return None
    axes = []
    for along in zip(*known, strict=True):
        if len({field.stride for field in along}) > 1:
            return None
        first, last = min(field.first for field in along), max(field.last for field in along)
        axes.append(ReceptiveField1D(first, last, along[0].stride))
    return axes[0], axes[1]
