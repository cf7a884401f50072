"""The receptive field against the gradient's extent, and against published figures."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from featlib.models import find_layer, list_layers, load_backbone

SIDE = 96


def conv(filters=2, size=3, **arguments):
    return layers.Conv2D(filters, size, kernel_initializer="ones", use_bias=False, **arguments)


def branches(x):
    """Two ways of different sight: the wider counts."""
    return layers.Add()([conv(padding="same")(x), conv(padding="same", dilation_rate=2)(conv(padding="same")(x))])


def shifted(x):
    """Two ways that look in different directions."""
    left = layers.ZeroPadding2D(((4, 0), (4, 0)))(conv(size=5)(x))
    right = layers.ZeroPadding2D(((0, 4), (0, 4)))(conv(size=5)(x))
    return layers.Add()([left, right])


NETWORKS = {
    "same": lambda x: conv(padding="same", strides=2)(conv(padding="same")(x)),
    "valid": lambda x: conv(size=5)(conv(strides=3)(x)),
    "dilated": lambda x: conv(dilation_rate=3)(conv(size=(3, 5))(x)),
    "depthwise": lambda x: layers.DepthwiseConv2D(5, strides=2, depthwise_initializer="ones")(conv()(x)),
    "separable": lambda x: layers.SeparableConv2D(2, 3, depthwise_initializer="ones", pointwise_initializer="ones")(
        conv(strides=2)(x)
    ),
    "pooled": lambda x: conv()(layers.AveragePooling2D(3, 2, padding="same")(conv()(x))),
    "padded": lambda x: conv(strides=2)(layers.ZeroPadding2D(((1, 2), (3, 0)))(conv(padding="same")(x))),
    "cropped": lambda x: conv(strides=2)(layers.Cropping2D(((3, 1), (0, 2)))(conv()(x))),
    "branches": lambda x: branches(conv(strides=2, padding="same")(x)),
    "shifted": lambda x: shifted(conv(padding="same")(x)),
    "pointwise": lambda x: layers.Dense(2, kernel_initializer="ones")(
        layers.ReLU()(layers.BatchNormalization()(conv()(x)))
    ),
}  # fmt: skip


def seen_pixels(model, place):
    """First and last row and column of the image that the unit at `place` depends on."""
    x = tf.ones((1, SIDE, SIDE, 3))
    with tf.GradientTape() as tape:
        tape.watch(x)
        unit = tf.reduce_sum(model(x, training=False)[0, place[0], place[1]])
    rows, columns = np.nonzero(np.abs(tape.gradient(unit, x)[0]).sum(axis=-1))
    return rows.min(), rows.max(), columns.min(), columns.max()


@pytest.mark.parametrize("name", NETWORKS)
def test_equals_the_extent_of_the_gradient(name):
    image = layers.Input((SIDE, SIDE, 3))
    model = keras.Model(image, NETWORKS[name](image))
    info = list_layers(load_backbone(model, preprocessing="none"))[-1]
    middle = model.output_shape[1] // 2, model.output_shape[2] // 2
    top, bottom, left, right = seen_pixels(model, middle)
    assert info.receptive_field == (bottom - top + 1, right - left + 1)
    below = seen_pixels(model, (middle[0] + 1, middle[1]))
    beside = seen_pixels(model, (middle[0], middle[1] + 1))
    assert info.stride == (below[0] - top, beside[2] - left)


@pytest.mark.parametrize(
    ("network", "layer", "size", "stride"),
    [
        ("VGG16", "block5_pool", 212, 32),
        ("MobileNet", "conv_pw_13_relu", 315, 32),
        ("ResNet50", "conv5_block3_out", 483, 32),
    ],
)
def test_equals_the_published_figures(network, layer, size, stride):
    """Table 1 of Araujo, Norris and Sim, Distill 2019."""
    model = getattr(keras.applications, network)(weights=None, include_top=False, input_shape=(224, 224, 3))
    info = find_layer(load_backbone(model, preprocessing="none"), layer)
    assert info.receptive_field == (size, size)
    assert info.stride == (stride, stride)


def test_is_not_defined_after_a_look_at_the_whole_map():
    image = layers.Input((32, 32, 3))
    x = conv()(image)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    model = keras.Model(image, [layers.Multiply(name="gated")([x, gate]), layers.UpSampling2D(name="up")(x)])
    backbone = load_backbone(model, preprocessing="none")
    for path in ("gated", "up"):
        assert find_layer(backbone, path).receptive_field is None
        assert find_layer(backbone, path).stride is None


def test_goes_through_inner_models(lite0):
    image = layers.Input((224, 224, 3))
    outer = load_backbone(keras.Model(image, lite0.model(image)), preprocessing="none")
    alone = {layer.path: (layer.receptive_field, layer.stride) for layer in list_layers(lite0)}
    inside = {
        layer.path.split("/")[1]: (layer.receptive_field, layer.stride) for layer in list_layers(outer) if layer.depth
    }
    assert inside == alone
    assert alone["stem_conv"] == ((3, 3), (2, 2))
