"""Batch normalization folded into convolutions: the same numbers as Keras' own layers, for every kind of pair."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from featlib.features import tap_layers
from featlib.models import load_backbone


def trained_norm(**options) -> keras.layers.BatchNormalization:
    """A batch normalization whose numbers are those of no fresh one."""
    layer = keras.layers.BatchNormalization(name="norm", **options)
    layer.build((None, None, None, 6))
    rng = np.random.default_rng(3)
    for weight in layer.weights:
        low = 0.5 if "variance" in weight.path or "gamma" in weight.path else -1
        weight.assign(rng.uniform(low, 2, weight.shape))
    return layer


def network(convolution: keras.layers.Layer, norm: keras.layers.Layer, *more: keras.layers.Layer):
    keras.utils.set_random_seed(5)
    inputs = keras.Input((17, 15, 3), name="pixels")
    x = norm(convolution(inputs))
    for layer in more:
        x = layer(x)
    return load_backbone(keras.Model(inputs, x), preprocessing="none")


def operations(backbone, layers) -> list[str]:
    tap = tf.function(tap_layers(backbone, layers, folded=True), autograph=False)
    graph = tap.get_concrete_function(tf.TensorSpec((None, *backbone.input_shape))).graph
    return [operation.type for operation in graph.get_operations()]


CONVOLUTIONS = {
    "plain": lambda: keras.layers.Conv2D(6, 3, use_bias=False, name="conv"),
    "bias": lambda: keras.layers.Conv2D(6, 3, strides=2, padding="same", bias_initializer="normal", name="conv"),
    "dilated": lambda: keras.layers.Conv2D(6, 3, dilation_rate=2, name="conv"),
    "groups": lambda: keras.layers.Conv2D(6, 1, groups=3, name="conv"),
    "depthwise": lambda: keras.layers.DepthwiseConv2D(3, depth_multiplier=2, strides=2, name="conv"),
    "depthwise bias": lambda: keras.layers.DepthwiseConv2D(
        3, depth_multiplier=2, padding="same", bias_initializer="normal", name="conv"
    ),
}


@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False, "epsilon": 0.1}])
@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_folded_equals_keras(kind, options):
    backbone = network(CONVOLUTIONS[kind](), trained_norm(**options))
    x = np.random.default_rng(0).normal(size=(3, 17, 15, 3)).astype(np.float32)
    found = tap_layers(backbone, ["norm"], folded=True)(x)[0]
    np.testing.assert_allclose(found, backbone.model(x, training=False), rtol=1e-4, atol=1e-5)
    assert operations(backbone, ["norm"]).count("BiasAdd") == 1


def test_a_convolution_that_is_asked_for_or_read_by_others_stays():
    backbone = network(CONVOLUTIONS["plain"](), trained_norm())
    x = np.random.default_rng(0).normal(size=(2, 17, 15, 3)).astype(np.float32)
    asked = tap_layers(backbone, ["conv", "norm"], folded=True)(x)
    np.testing.assert_allclose(asked[0], backbone.model.get_layer("conv")(x), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(asked[1], backbone.model(x, training=False), rtol=1e-5, atol=1e-6)
    assert "BiasAdd" not in operations(backbone, ["conv", "norm"])

    inputs = keras.Input((17, 15, 3))
    y = keras.layers.Conv2D(6, 3, name="conv")(inputs)
    model = keras.Model(inputs, keras.layers.Add(name="both")([y, trained_norm()(y)]))
    both = load_backbone(model, preprocessing="none")
    np.testing.assert_allclose(tap_layers(both, ["both"], folded=True)(x)[0], model(x, training=False), rtol=1e-4)


@pytest.mark.parametrize(
    "convolution",
    [
        lambda: keras.layers.Conv2D(6, 3, activation="relu", name="conv"),  # something stands between
        lambda: keras.layers.Conv2D(6, 3, dtype="mixed_float16", name="conv"),
        lambda: keras.layers.SeparableConv2D(6, 3, name="conv"),
    ],
    ids=["activation", "float16", "separable"],
)
def test_what_cannot_be_folded_is_left_as_it_is(convolution):
    backbone = network(convolution(), trained_norm())
    x = np.random.default_rng(0).normal(size=(2, 17, 15, 3)).astype(np.float32)
    found = tap_layers(backbone, ["norm"], folded=True)(x)[0]
    np.testing.assert_array_equal(found, backbone.model(x, training=False))
