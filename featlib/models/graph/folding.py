"""Batch normalization folded into the convolution before it: the same numbers for less work.

At inference y = gamma * (x - mean) / sqrt(variance + epsilon) + beta is one scale and one shift per channel, and a
convolution's kernel can absorb the scale (Jacob et al. 2018, https://arxiv.org/abs/1712.05877, section 3.2).
TensorFlow does this on a GPU only. The shift is written as a bias, which TensorFlow then fuses with the convolution.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from featlib.models.graph.steps import Ref, Step, Tensor


def find_folds(steps: Sequence[Step], wanted: set[Ref]) -> dict[Ref, Step]:
    """Find the convolutions whose output is read by a batch normalization and by nothing else.

    Args:
        steps: What is going to run.
        wanted: The requested tensors; the output of a folded convolution no longer exists.

    Returns:
        The convolution's output -> the batch normalization that reads it.
    """
    import keras

    readers = Counter(ref for step in steps for ref in step.inputs)
    convolutions = {step.outputs[0] for step in steps if _is_foldable_convolution(step)}
    return {
        step.inputs[0]: step
        for step in steps
        if step.node is not None
        and type(step.operation) is keras.layers.BatchNormalization
        and step.operation.axis in (-1, 3)
        and step.operation.compute_dtype == "float32"
        and step.inputs[0] in convolutions
        and readers[step.inputs[0]] == 1
        and step.inputs[0] not in wanted
    }


def run_folded(convolution: Step, normalization: Step, x: Tensor) -> Tensor:
    """Compute the output of the batch normalization from the input of the convolution."""
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
    else:  # a kernel (h, w, channels, multiplier) has channels * multiplier outputs
        y = keras.ops.depthwise_conv(x, layer.kernel * keras.ops.reshape(scale, layer.kernel.shape[2:]), **options)
    return tf.nn.bias_add(y, shift)


def _is_foldable_convolution(step: Step) -> bool:
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
