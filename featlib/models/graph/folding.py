"""Batch normalization folded into the convolution before it: the same numbers for less work.

At inference y = gamma * (x - mean) / sqrt(variance + epsilon) + beta is a scale and a shift a channel, and a
convolution's kernel can take the scale (Jacob et al. 2018, https://arxiv.org/abs/1712.05877, section 3.2). TensorFlow
does it on a GPU only. The shift is written as the bias that TensorFlow then joins with the convolution.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featlib.models.graph.graph import Ref, Step


def find_folds(steps: Sequence[Step], wanted: set[Ref]) -> dict[Ref, Step]:
    """Finds the convolutions whose output goes to a batch normalization and nowhere else.

    Args:
        steps: what is going to run.
        wanted: the tensors that are asked for; a folded convolution's own output does not exist any more.

    Returns:
        The convolution's output -> the batch normalization that it goes to.
    """
    readers = Counter(ref for step in steps for ref in step.needs)
    makers = {step.gives[0]: step for step in steps if _is_convolution(step)}
    return {
        step.needs[0]: step
        for step in steps
        if _is_normalization(step) and step.needs[0] in makers
        if readers[step.needs[0]] == 1 and step.needs[0] not in wanted
    }


def run_folded(convolution: Step, normalization: Step, x: Any) -> Any:  # noqa: ANN401 - tensors
    """What the batch normalization puts out for the input of the convolution."""
    import keras
    import tensorflow as tf

    layer, norm = convolution.operation, normalization.operation
    scale = keras.ops.rsqrt(norm.moving_variance + norm.epsilon)
    if norm.scale:
        scale = scale * norm.gamma
    shift = -norm.moving_mean * scale
    if norm.center:
        shift = shift + norm.beta
    if layer.use_bias:
        shift = shift + layer.bias * scale
    options = {
        "strides": layer.strides,
        "padding": layer.padding,
        "dilation_rate": layer.dilation_rate,
        "data_format": layer.data_format,
    }
    if type(layer) is keras.layers.Conv2D:
        y = keras.ops.conv(x, layer.kernel * scale, **options)
    else:  # (h, w, channels, multiplier) puts out channels * multiplier
        y = keras.ops.depthwise_conv(x, layer.kernel * keras.ops.reshape(scale, layer.kernel.shape[2:]), **options)
    return tf.nn.bias_add(y, shift)


def _is_convolution(step: Step) -> bool:
    import keras

    layer = step.operation
    return (
        step.node is not None
        and type(layer) in (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
        and layer.activation is keras.activations.linear
        and layer.data_format == "channels_last"
        and layer.compute_dtype == "float32"
        and layer.quantization_mode is None
        and not getattr(layer, "lora_enabled", False)
    )


def _is_normalization(step: Step) -> bool:
    import keras

    layer = step.operation
    return (
        step.node is not None
        and type(layer) is keras.layers.BatchNormalization
        and layer.axis in (-1, 3)
        and layer.compute_dtype == "float32"
    )
