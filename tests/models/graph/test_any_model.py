"""Models of every make: what is listed, and that each tap equals a run of the whole model."""

import gc

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import featlib
from featlib.errors import FeatlibWarning, LayerNotFoundError, ModelError
from featlib.features import Tap, feature_maps, make_runtime, tap_layers, trace_image
from featlib.images import load_samples
from featlib.models import find_layer, list_layers, load_backbone
from tests.models.oracle import check_all_taps


def some_images(backbone, n=2):
    return np.random.default_rng(0).uniform(0, 255, (n, *backbone.input_shape)).astype("float32")


def wrap(model, **arguments):
    return load_backbone(model, **{"preprocessing": "none", **arguments})


def paths(backbone):
    return [layer.path for layer in list_layers(backbone)]


def encoder(name="encoder"):
    parts = [layers.Input((None, None, 3)), layers.Conv2D(4, 3, padding="same", name="conv"), layers.ReLU(name="act")]
    return keras.Sequential(parts, name=name)


def test_a_model_called_twice_has_its_layers_twice():
    image, inner = layers.Input((24, 20, 3), name="image"), encoder()
    both = layers.Concatenate(name="both")([inner(image), inner(layers.Rescaling(0.5, name="darker")(image))])
    backbone = wrap(keras.Model(image, both, name="siamese"))
    assert [path for path in paths(backbone) if "conv" in path] == ["encoder/conv", "encoder#2/conv"]
    x = some_images(backbone)
    first, second = tap_layers(backbone, ["encoder/conv", "encoder#2/conv"])(x)
    np.testing.assert_allclose(first, inner.get_layer("conv")(x), rtol=1e-5)
    np.testing.assert_allclose(second, inner.get_layer("conv")(x * 0.5), rtol=1e-5)
    assert check_all_taps(backbone, x) == 8


def test_a_layer_called_twice_has_one_path_a_call():
    image, shared = layers.Input((16, 16, 3), name="image"), layers.Conv2D(3, 3, padding="same", name="shared")
    backbone = wrap(keras.Model(image, shared(shared(image)), name="again"))
    assert paths(backbone) == ["image", "shared", "shared#2"]
    x = some_images(backbone)
    once, twice = tap_layers(backbone, ["shared", "shared#2"])(x)
    np.testing.assert_allclose(once, shared(x), rtol=1e-5)
    np.testing.assert_allclose(twice, shared(shared(x)), rtol=1e-5)


def test_the_same_name_in_two_inner_models_and_three_levels():
    image = layers.Input((16, 16, 3), name="image")
    deep = keras.Sequential([layers.Input((16, 16, 3)), encoder("left"), layers.Dropout(0.5)], name="deep")
    outer = keras.Model(image, layers.Add(name="sum")([deep(image), encoder("right")(image)]), name="outer")
    backbone = wrap(outer)
    assert [path for path in paths(backbone) if path.endswith("conv")] == ["deep/left/conv", "right/conv"]
    assert find_layer(backbone, "deep/left/conv").depth == 2
    assert check_all_taps(backbone, some_images(backbone)) == 9
    with pytest.raises(LayerNotFoundError, match="Did you mean 'deep/left/conv' or 'right/conv'"):
        find_layer(backbone, "conv")


def test_keras_ops_between_layers():
    image = layers.Input((16, 16, 3), name="image")
    maps = keras.ops.relu(layers.Conv2D(4, 3, name="conv")(image) - 0.5)
    backbone = wrap(keras.Model(image, keras.ops.mean(maps, axis=(1, 2))))
    assert [layer.class_name for layer in list_layers(backbone)] == ["InputLayer", "Conv2D", "Subtract", "Relu", "Mean"]
    assert check_all_taps(backbone, some_images(backbone)) == 4


def test_two_inputs_and_a_dict_of_outputs():
    image, age = layers.Input((16, 16, 3), name="image"), layers.Input((4,), name="age")
    vector = layers.GlobalAveragePooling2D(name="gap")(layers.Conv2D(4, 3, name="conv")(image))
    joined = layers.Concatenate(name="joined")([vector, age])
    outputs = {
        "classes": layers.Dense(2, activation="softmax", name="classes")(vector),
        "boxes": layers.Dense(4, name="boxes")(joined),
    }
    backbone = wrap(keras.Model([image, age], outputs, name="two_inputs"))
    assert [layer.path for layer in list_layers(backbone) if layer.reason] == ["age", "joined", "boxes"]
    assert find_layer(backbone, "classes").kind == "probabilities"
    x = some_images(backbone)
    assert check_all_taps(backbone, x, inputs=[x, np.zeros((2, 4), "float32")]) == 3
    with pytest.raises(
        LayerNotFoundError, match="'joined' in 'two_inputs' has no accessible output: it needs .* 'age'"
    ):
        feature_maps(backbone, load_samples("digits")[:1], "joined")


def test_two_image_inputs_get_the_same_image():
    left, right = layers.Input((16, 16, 3), name="left"), layers.Input((16, 16, 3), name="right")
    apart = layers.Subtract(name="apart")([encoder("a")(left), encoder("b")(right)])
    backbone = wrap(keras.Model({"left": left, "right": right}, apart))
    x = some_images(backbone)
    assert check_all_taps(backbone, x, inputs={"left": x, "right": x}) == 7


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ((10, 10, 3), r"needs the input 'other', which takes a second image, \(10, 10, 3\)"),
        ((8, 8, 1), r"needs the input 'other', which takes a second image, \(8, 8, 1\)"),
        ((5,), r"needs the input 'other', which is not an image but \(5,\)"),
    ],
)
def test_what_a_second_input_takes_is_named(other, reason):
    image, second = layers.Input((8, 8, 3), name="image"), layers.Input(other, name="other")
    both = layers.Concatenate(name="both")([layers.Flatten()(image), layers.Flatten(name="flat")(second)])
    backbone = wrap(keras.Model([image, second], both))
    with pytest.raises(LayerNotFoundError, match=reason):
        find_layer(backbone, "both")


def rgbd():
    rgb, depth = layers.Input((20, 20, 3), name="rgb"), layers.Input((20, 20, 1), name="depth")
    return keras.Model([rgb, depth], layers.Conv2D(3, 3, name="conv")(layers.Concatenate()([rgb, depth])), name="rgbd")


def identity():
    image = layers.Input((8, 8, 3), name="image")
    return keras.Model(image, image, name="identity")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (
            rgbd,
            r"No layer of 'rgbd' can be computed from one image .*it needs the input 'depth', .* \(20, 20, 1\)",
        ),
        (identity, "'identity' has no layers besides its input"),
    ],
)
def test_a_model_of_which_nothing_is_visible_opens_and_says_so(make, reason):
    backbone, photos = wrap(make()), load_samples("digits")[:4]
    assert backbone.layers
    assert list_layers(backbone).to_frame().shape[0] == len(backbone.layers)
    assert trace_image(backbone, photos[0]).outputs.keys() <= {"rgb", "image"}
    for work in (
        lambda: backbone.feature_layer,
        lambda: featlib.extract_vectors(backbone, photos),
        lambda: featlib.FeatureExtractor(backbone).fit(),
        lambda: featlib.probe_layers(backbone, photos),
    ):
        with pytest.raises(LayerNotFoundError, match=reason):
            work()


def test_layers_that_put_out_lists_and_dicts():
    class Parts(layers.Layer):
        def call(self, x):
            return {"bright": keras.ops.relu(x), "sums": [keras.ops.sum(x, axis=1), keras.ops.sum(x, axis=2)]}

        def compute_output_spec(self, x):
            n, h, w, c = x.shape
            spec = keras.KerasTensor
            return {"bright": spec((n, h, w, c)), "sums": [spec((n, w, c)), spec((n, h, c))]}

    image = layers.Input((12, 14, 3), name="image")
    parts = Parts(name="parts")(image)
    state = layers.LSTM(5, return_state=True, name="lstm")(parts["sums"][0])
    backbone = wrap(keras.Model(image, [parts["bright"], state[0]]))
    assert [p for p in paths(backbone) if p.startswith("parts")] == [
        "parts[bright]",
        "parts[sums][0]",
        "parts[sums][1]",
    ]
    x = some_images(backbone)
    (whole,) = tap_layers(backbone, ["parts[sums][1]"])(x)
    np.testing.assert_allclose(whole, x.sum(axis=2), rtol=1e-5)
    np.testing.assert_allclose(tap_layers(backbone, ["lstm[0]"])(x)[0], backbone.model(x)[1], rtol=1e-5)
    with pytest.raises(LayerNotFoundError, match=r"Did you mean 'lstm\[0\]'"):
        find_layer(backbone, "lstm")


def test_variable_input_size_is_set_when_loading():
    backbone = wrap(keras.Model(*(lambda i: (i, encoder()(i)))(layers.Input((None, None, 3)))), input_shape=(20, 28, 3))
    assert find_layer(backbone, "encoder/conv").output_shape == (20, 28, 4)
    assert backbone.prepare(load_samples("photos")[:2]).shape == (2, 20, 28, 3)
    assert check_all_taps(backbone, some_images(backbone)) == 3


def test_grey_images():
    image = layers.Input((28, 28, 1), name="image")
    backbone = wrap(keras.Model(image, layers.Conv2D(4, 3, name="conv")(image)), preprocessing="unit")
    photo = load_samples("photos")[0]
    prepared = backbone.prepare([photo])
    assert prepared.shape == (1, 28, 28, 1)
    red, green, blue = np.moveaxis(backbone.resize(photo.pixels).astype(float), -1, 0)
    np.testing.assert_allclose(prepared[0, ..., 0] * 255, 0.299 * red + 0.587 * green + 0.114 * blue, atol=1.01)
    assert check_all_taps(backbone, some_images(backbone)) == 1


def test_other_channel_counts_take_a_function_of_ones_own():
    image = layers.Input((16, 16, 5), name="image")
    model = keras.Model(image, layers.Conv2D(4, 3, name="conv")(image), name="five")
    photos = load_samples("photos")[:2]
    with pytest.raises(ModelError, match=r"'five' takes \(16, 16, 5\), and 'none' makes \(16, 16, 3\)"):
        wrap(model).prepare(photos)

    def with_position(pixels):
        rows = np.broadcast_to(np.arange(16.0)[:, None, None], (16, 16, 1))
        place = np.concatenate([rows, rows.swapaxes(0, 1)], -1)
        return np.concatenate([pixels / 255, np.broadcast_to(place, (len(pixels), 16, 16, 2))], axis=-1)

    backbone = load_backbone(model, preprocessing=with_position)
    assert backbone.prepare(photos).dtype == np.float32
    np.testing.assert_allclose(feature_maps(backbone, photos, "conv"), model(backbone.prepare(photos)), rtol=1e-5)
    assert load_backbone(model, preprocessing=lambda x: x).fingerprint != backbone.fingerprint


def test_channels_first_comes_out_channels_last():
    image = layers.Input((3, 32, 24), name="image")
    first = {"data_format": "channels_first"}
    x = layers.MaxPooling2D(name="pool", **first)(layers.AveragePooling2D(2, name="mean", **first)(image))
    x = layers.BatchNormalization(axis=1, name="norm")(x)
    turned = layers.Permute((2, 3, 1), name="turned")(x)
    model = keras.Model(image, [x, layers.Conv2D(5, 3, name="conv")(turned)], name="first")
    backbone = wrap(model)
    assert backbone.input_shape == (32, 24, 3)
    shapes = {layer.path: layer.output_shape for layer in list_layers(backbone)}
    assert shapes == {
        "image": (32, 24, 3), "mean": (16, 12, 3), "pool": (8, 6, 3), "norm": (8, 6, 3), "turned": (8, 6, 3),
        "conv": (6, 4, 5),
    }  # fmt: skip
    x = some_images(backbone)
    assert check_all_taps(backbone, x, inputs=np.moveaxis(x, -1, 1)) == 5
    photos = load_samples("photos")[:2]
    expected = tf.nn.avg_pool2d(backbone.prepare(photos), 2, 2, "VALID")
    expected = tf.nn.max_pool2d(expected, 2, 2, "VALID")
    np.testing.assert_allclose(feature_maps(backbone, photos, "pool"), expected, rtol=1e-5)


def test_mixed_precision_comes_out_as_float32():
    policy = keras.mixed_precision.DTypePolicy("mixed_float16")
    image = layers.Input((32, 32, 3), name="image")
    inner = keras.Sequential([layers.Conv2D(4, 3, dtype=policy, name="conv"), layers.ReLU(dtype=policy)], name="inner")
    x = inner(layers.BatchNormalization(dtype=policy)(layers.Conv2D(8, 3, dtype=policy, name="stem")(image)))
    backbone = wrap(keras.Model(image, x))
    x = some_images(backbone) / 255
    maps = tap_layers(backbone, ["inner/conv"])(x)[0]
    assert maps.dtype == "float32"
    assert backbone.model.get_layer("inner").get_layer("conv").compute_dtype == "float16"
    assert check_all_taps(backbone, x) == 5


class Block(layers.Layer):
    def __init__(self, channels, **arguments):
        super().__init__(**arguments)
        self.conv = layers.Conv2D(channels, 3, padding="same", name="conv")
        self.norm = layers.BatchNormalization(name="norm")
        self.spare = layers.Dense(2, name="spare")

    def build(self, shape):
        self.conv.build(shape)
        self.norm.build((*shape[:-1], self.conv.filters))

    def call(self, x, training=None):
        return keras.ops.relu(self.norm(self.conv(x), training=training))


class Subclassed(keras.Model):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.stem = encoder("stem")
        self.block = Block(4, name="block")
        self.gap = layers.GlobalAveragePooling2D(name="gap")
        self.out = layers.Dense(3, activation="softmax", name="out")

    def call(self, x, training=None):
        x = self.block(self.block(self.stem(x), training=training), training=training)
        return self.out(self.gap(x))


def test_subclassed_models_show_their_layers_at_every_depth():
    with pytest.raises(ModelError, match="input_shape="):
        wrap(Subclassed(name="mine"))
    backbone = wrap(Subclassed(name="mine"), input_shape=(20, 24, 3))
    assert paths(backbone) == [
        "stem", "stem/conv", "stem/act", "block", "block/conv", "block/norm", "block#2", "block#2/conv", "block#2/norm",
        "gap", "out", "mine", "block/spare",
    ]  # fmt: skip
    assert backbone.feature_layer == "block#2"
    assert find_layer(backbone, "mine").output_shape == (3,)
    x = some_images(backbone)
    assert check_all_taps(backbone, x) == 12
    maps = tap_layers(backbone, ["block/conv"])(x)[0]
    np.testing.assert_allclose(maps, backbone.model.block.conv(backbone.model.stem(x)), rtol=1e-4, atol=1e-4)
    with pytest.raises(LayerNotFoundError, match="not called when the model ran"):
        find_layer(backbone, "block/spare")


def test_a_subclassed_model_may_be_named_like_one_of_its_layers():
    backbone = wrap(Subclassed(name="stem"), input_shape=(20, 24, 3))
    assert (find_layer(backbone, "stem").kind, find_layer(backbone, "stem#2").kind) == ("maps", "vector")
    assert check_all_taps(backbone, some_images(backbone)) == 12


def test_composite_layers_inside_a_graph():
    image = layers.Input((16, 16, 3), name="image")
    rows = layers.Reshape((-1, 4), name="rows")(Block(4, name="block")(image))
    model = keras.Model(image, layers.MultiHeadAttention(2, 4, name="attention")(rows, rows), name="attentive")
    backbone = wrap(model)
    assert {"block/conv", "attention/query", "attention/attention_output"} <= set(paths(backbone))
    assert check_all_taps(backbone, some_images(backbone)) == 9


def odd_names():
    """Names that TensorFlow refuses for operations: at the front, further down, and of a layer of layers."""
    image = layers.Input((16, 16, 3), name="das Bild")
    x = layers.Conv2D(4, 3, name="my conv")(image)
    x = layers.BatchNormalization(name="größe")(x)
    x = Block(4, name="mein Block")(x)
    return keras.Model(image, layers.ReLU(name="am Ende")(x), name="Netz mit Namen")


def test_names_that_tensorflow_refuses_cost_nothing(recwarn):
    backbone = wrap(odd_names())
    assert check_all_taps(backbone, some_images(backbone)) == 6
    network = make_runtime(backbone, [Tap("am Ende"), Tap("größe", "max")], "tensorflow")
    assert network.name == "tensorflow"
    assert network.note == ""
    assert not [warning for warning in recwarn if issubclass(warning.category, FeatlibWarning)]
    assert all("_open_name_scope" not in vars(layer) for layer in backbone.model.layers)


def test_compiled_taps_equal_eager_ones_for_layers_that_show_only_while_they_run():
    backbone = wrap(Subclassed(name="mine"), input_shape=(20, 20, 3))
    images = load_samples("views")[:9]  # more than run eagerly
    for path in ("block#2/conv", "stem/act", "mine"):
        expected = tap_layers(backbone, [path])(backbone.prepare(images))[0]
        np.testing.assert_allclose(feature_maps(backbone, images, path), expected, rtol=1e-3, atol=1e-3)


def test_recording_leaves_the_layers_as_they_were():
    model = Subclassed(name="mine")
    backbone = wrap(model, input_shape=(20, 20, 3))
    tap_layers(backbone, ["block/conv"])(some_images(backbone))
    assert not any("call" in vars(part) for part in model._flatten_layers())


@pytest.mark.parametrize("how", ["built", "unbuilt", "called"])
def test_sequential_models(how):
    parts = [layers.Conv2D(3, 3, name="conv"), layers.Flatten(name="flat"), layers.Dense(2, name="out")]
    model = keras.Sequential([layers.Input((12, 14, 3)), *parts] if how == "built" else parts, name="row")
    if how == "called":
        model(np.zeros((1, 12, 14, 3), "float32"))
    backbone = wrap(model, **({"input_shape": (12, 14, 3)} if how == "unbuilt" else {}))
    assert [path for path in paths(backbone) if not path.startswith("input")] == ["conv", "flat", "out"]
    assert check_all_taps(backbone, some_images(backbone)) == 3


def test_an_unbuilt_sequential_says_what_it_needs():
    with pytest.raises(ModelError, match="'row' is not built.*input_shape="):
        wrap(keras.Sequential([layers.Dense(2)], name="row"))


def test_a_model_that_cannot_be_built_says_why():
    model = keras.Sequential([layers.Conv2D(2, 5), layers.Conv2D(2, 5)], name="deep")
    with pytest.raises(ModelError, match=r"'deep' cannot be built for images of \(6, 6, 3\): .*size"):
        wrap(model, input_shape=(6, 6, 3))


def test_augmentation_is_off():
    image = layers.Input((16, 16, 3), name="image")
    model = keras.Model(image, layers.RandomFlip(seed=0, name="flip")(layers.Dropout(0.9, name="drop")(image)))
    backbone = wrap(model)
    x = some_images(backbone, 8)
    for output in tap_layers(backbone, ["flip", "drop"])(x):
        np.testing.assert_array_equal(output, x)


def test_training_said_in_the_model_is_overruled_as_keras_does_it():
    image = layers.Input((16, 16, 3), name="image")
    model = keras.Model(image, layers.Dropout(0.5, seed=0, name="drop")(image, training=True))
    backbone = wrap(model)
    x = some_images(backbone)
    np.testing.assert_array_equal(tap_layers(backbone, ["drop"])(x)[0], model(x, training=False))


def test_all_layers_of_one_image_with_inner_models():
    base = keras.applications.MobileNetV2(weights=None, alpha=0.35, include_top=False, input_shape=(96, 96, 3))
    image = layers.Input((96, 96, 3), name="image")
    x = layers.Rescaling(1 / 127.5, -1, name="scale")(layers.RandomFlip(name="flip")(image))
    backbone = load_backbone(keras.Model(image, layers.GlobalAveragePooling2D(name="gap")(base(x, training=False))))
    assert backbone.preprocessing.name == "none"
    assert "'scale' (Rescaling) inside the model scales the pixels" in backbone.notes[0]
    assert backbone.feature_layer == base.name
    photo = load_samples("photos")[0]
    trace = trace_image(backbone, photo)
    assert list(trace.outputs) == paths(backbone)
    inside = keras.Model(base.input, base.get_layer("block_6_expand").output)
    expected = inside(backbone.prepare([photo]) / 127.5 - 1)[0]
    np.testing.assert_allclose(trace.outputs[f"{base.name}/block_6_expand"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_hundreds_of_taps_leave_nothing_behind():
    """Neither Keras' graphs nor the number of live objects grow with the taps that are made and dropped."""
    image, inner = layers.Input((16, 16, 3), name="image"), encoder()
    backbone = wrap(keras.Model(image, layers.Add()([inner(image), inner(image)])))
    x = some_images(backbone)
    tapped = [layer.path for layer in list_layers(backbone)]

    def tap_many(times):
        for i in range(times):
            tap_layers(backbone, [tapped[i % len(tapped)], tapped[-1]])(x)
        gc.collect()
        return len(gc.get_objects())

    tap_many(20)
    nodes = [len(part._inbound_nodes) for part in inner._functional.operations]
    before, after = tap_many(20), tap_many(300)
    assert [len(part._inbound_nodes) for part in inner._functional.operations] == nodes
    assert after - before < 200


def test_layers_without_one_row_for_each_image_say_so_and_harm_no_other():
    image = layers.Input((14, 14, 3), name="image")
    windows = keras.ops.reshape(image, (-1, 7, 7, 3))  # as shifted-window networks fold places into the batch
    brightest = keras.ops.max(image)
    maps = layers.Conv2D(2, 3, name="conv")(image / brightest)
    model = keras.Model(image, [maps, keras.ops.sum(windows, axis=(1, 2, 3))])
    backbone = wrap(model)
    reasons = {layer.class_name: layer.reason for layer in list_layers(backbone)}
    assert {name for name, reason in reasons.items() if "one row per image" in reason} == {"Reshape", "Max", "Sum"}
    trace = trace_image(backbone, load_samples("photos")[0])
    assert "conv" in trace.outputs
    assert feature_maps(backbone, load_samples("photos")[:3], "conv").shape == (3, 12, 12, 2)


def test_an_inner_model_that_is_given_a_mask_keeps_it():
    inner = keras.Sequential([layers.Input((5, 4)), layers.LSTM(3, name="lstm")], name="inner")
    image = layers.Input((5, 4, 1), name="image")
    rows = layers.Reshape((5, 4), name="rows")(image)
    seen = keras.ops.greater(keras.ops.mean(rows, axis=-1), 100.0)
    backbone = wrap(keras.Model(image, inner(rows, mask=seen), name="masked"))
    x = some_images(backbone)
    np.testing.assert_allclose(tap_layers(backbone, ["inner"])(x)[0], backbone.model(x, training=False), atol=1e-6)


def test_the_inputs_own_shape_tells_where_the_channels_are():
    image = layers.Input((32, 24, 3), name="image")
    first = layers.Permute((3, 1, 2), name="first")(image)
    pooled = layers.MaxPooling2D(data_format="channels_first", name="pool")(first)
    backbone = wrap(keras.Model(image, pooled))
    assert backbone.input_shape == (32, 24, 3)
    assert find_layer(backbone, "pool").output_shape == (16, 12, 3)
    assert check_all_taps(backbone, some_images(backbone)) == 2


def test_models_with_code_of_ones_own_are_never_taken_for_each_other():
    one, two = (wrap(Subclassed(name="mine"), input_shape=(20, 20, 3)) for _ in range(2))
    two.model.set_weights(one.model.get_weights())
    assert one.fingerprint != two.fingerprint
    assert one.layers is one.adapted(name="other").layers
