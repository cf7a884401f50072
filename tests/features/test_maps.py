import gc
import weakref

import keras
import numpy as np
import pytest

from featlib.errors import CancelledError, LayerNotFoundError
from featlib.features import feature_maps, tap_layers, trace_image
from featlib.images import load_samples
from featlib.models import Backbone, list_layers, load_backbone

LAYERS = [
    "input",
    "stem_conv",
    "stem_relu",
    "block0_dw_bn",
    "block2_add",
    "block4_add",
    "block7_expand_relu",
    "block10_add",
    "block13_project_conv",
    "head_relu",
    "avg_pool",
    "top_dropout",
    "predictions",
]


def keras_own(backbone: Backbone, layer: str, x: np.ndarray) -> np.ndarray:
    """The oracle: the way Keras' documentation shows."""
    return keras.Model(backbone.model.inputs[0], backbone.model.get_layer(layer).output)(x, training=False).numpy()


@pytest.mark.parametrize("layer", LAYERS)
def test_maps_equal_keras_own_sub_model(lite0, photos, layer):
    alone = lite0.adapted()  # a graph that another test has compiled would be used, and rounds differently
    maps = feature_maps(alone, photos[:2], layer)
    assert maps.dtype == np.float32
    np.testing.assert_allclose(maps, keras_own(lite0, layer, lite0.prepare(photos[:2])), rtol=1e-4, atol=1e-5)


def test_a_compiled_batch_equals_one_image_at_a_time(lite0, photos):
    batch = feature_maps(lite0, photos, "block4_add", batch_size=6)  # 10 photos: a full batch and a rest
    single = np.concatenate([feature_maps(lite0, [photo], "block4_add") for photo in photos])
    np.testing.assert_allclose(batch, single, rtol=1e-3, atol=1e-4)


def test_several_layers_come_from_one_pass_in_the_order_asked(lite0, photos):
    several = feature_maps(lite0, photos[:2], ["head_relu", "block2_add"])
    assert list(several) == ["head_relu", "block2_add"]
    for layer, maps in several.items():
        np.testing.assert_allclose(maps, feature_maps(lite0, photos[:2], layer), rtol=1e-4, atol=1e-5)


def test_only_what_is_needed_runs(lite0, photos, monkeypatch):
    def never(*args, **kwargs):
        raise RuntimeError("this layer is not needed")

    names = [layer.name for layer in lite0.model.layers]
    for name in names[names.index("block2_add") + 1 :]:
        monkeypatch.setitem(vars(lite0.model.get_layer(name)), "call", never)
    tap = tap_layers(lite0, ["block2_add"])
    assert tap(lite0.prepare(photos[:1]))[0].shape == (1, 56, 56, 24)
    with pytest.raises(RuntimeError, match="not needed"):
        tap_layers(lite0, ["block3_expand_conv"])(lite0.prepare(photos[:1]))


def test_tapping_leaves_the_model_as_it_was(lite0, photos):
    x = lite0.prepare(photos[:1])
    before = lite0.model(x, training=False).numpy()
    nodes = [len(layer._outbound_nodes) for layer in lite0.model.layers]
    feature_maps(lite0, photos, [layer.path for layer in list_layers(lite0)[5:40]], batch_size=5)
    trace_image(lite0, photos[0])
    np.testing.assert_array_equal(lite0.model(x, training=False).numpy(), before)
    assert [len(layer._outbound_nodes) for layer in lite0.model.layers] == nodes


def test_a_dropped_backbone_is_freed(photos):
    backbone = load_backbone("EfficientNetLite0", weights=None, input_shape=(64, 64, 3))
    feature_maps(backbone, photos, "block2_add")
    gone = weakref.ref(backbone)
    del backbone
    gc.collect()
    assert gone() is None


def test_trace_holds_every_layer(lite0, photos):
    trace = trace_image(lite0, photos[3])
    assert list(trace.outputs) == [layer.path for layer in list_layers(lite0)]
    np.testing.assert_array_equal(trace.image, lite0.resize(photos[3].pixels))
    for layer in LAYERS:
        expected = keras_own(lite0, layer, lite0.prepare([photos[3]]))[0]
        np.testing.assert_allclose(trace.outputs[layer], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.keras_home
@pytest.mark.parametrize("layer", ["Conv1", "block_3_expand_relu", "block_5_add", "block_13_project_BN", "out_relu"])
def test_mobilenet_maps_equal_keras_own_sub_model(mobilenet, photos, layer):
    expected = keras_own(mobilenet, layer, mobilenet.prepare(photos[:2]))
    np.testing.assert_allclose(feature_maps(mobilenet, photos[:2], layer), expected, rtol=1e-4, atol=1e-5)


def test_ops_that_are_no_layers_can_be_tapped(tiny):
    images = load_samples("digits")[:3]
    op = next(layer for layer in list_layers(tiny) if layer.class_name.lower() == "relu")
    joined = feature_maps(tiny, images, "join")
    np.testing.assert_allclose(feature_maps(tiny, images, op.path), np.maximum(joined, 0))


def test_no_images_give_no_rows(lite0):
    assert feature_maps(lite0, [], "block4_add").shape == (0, 28, 28, 40)


def test_unknown_layer_says_which_are_close(lite0, photos):
    with pytest.raises(LayerNotFoundError, match="'block4_add'"):
        feature_maps(lite0, photos, "block4_ad")


def test_progress_and_cancelling(tiny):
    images = load_samples("digits")[:20]
    calls = []
    feature_maps(tiny, images, "conv", batch_size=8, on_progress=lambda done, n: calls.append((done, n)))
    assert calls == [(8, 20), (16, 20), (20, 20)]
    with pytest.raises(CancelledError, match="after 8 of 20"):
        feature_maps(tiny, images, "conv", batch_size=8, on_progress=lambda done, n: True)


def test_a_layer_that_was_built_in_another_model_is_tapped_in_this_one():
    """An inner model as a layer, and a layer shared by two models: `layer.output` lies in the wrong graph."""
    base = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(4, 3, name="inner_conv")], name="base")
    model = keras.Sequential([keras.Input((32, 32, 3)), base, keras.layers.GlobalAveragePooling2D(name="gap")])
    backbone = load_backbone(model, preprocessing="none")
    images = load_samples("digits")[:3]
    maps = feature_maps(backbone, images, "base")
    np.testing.assert_allclose(maps, base(backbone.prepare(images)).numpy(), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(feature_maps(backbone, images, "gap"), maps.mean(axis=(1, 2)), rtol=1e-4, atol=1e-3)
    assert backbone.feature_layer == "base"
