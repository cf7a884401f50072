"""Honest files pass, and what they load computes what the original computed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from featlib.errors import ModelError
from featlib.models import load_backbone
from featlib.models.untrusted import inspect_model_file, open_model_file
from featlib.models.untrusted.inspection import inspect_model
from tests.models.oracle import check_all_taps
from tests.models.untrusted.files import CONFIG, METADATA, edited_h5_config, members_of, with_config, write
from tests.models.untrusted.keras_2 import as_keras_2


def _saved(model, path):
    import keras

    # Fresh BatchNormalization layers do nothing: give every weight a value of its own.
    random = np.random.default_rng(0)
    for weight in model.weights:
        if weight.dtype == "float32":
            weight.assign(keras.ops.convert_to_numpy(weight) + random.uniform(0.01, 0.1, weight.shape))
    model.save(path)
    return path


def _outputs(model, image):
    import keras

    return [keras.ops.convert_to_numpy(x) for x in keras.tree.flatten(model(image, training=False))]


def _check_equal(model, opened):
    image = np.random.default_rng(1).uniform(0, 1, (2, *model.input_shape[1:])).astype("float32")
    expected, received = _outputs(model, image), _outputs(opened.model, image)
    assert len(expected) == len(received)
    for a, b in zip(expected, received, strict=True):
        assert a.shape == b.shape
        assert np.abs(a).max() > 0
        np.testing.assert_allclose(a, b, atol=1e-6)


def _base(shape=(96, 96, 3)):
    import keras

    return keras.applications.MobileNetV2(shape, alpha=0.35, weights=None, include_top=False)


def _mobilenet_v2():
    import keras

    return keras.applications.MobileNetV2((96, 96, 3), alpha=0.35, weights=None)


def _mobilenet_v3():
    import keras

    return keras.applications.MobileNetV3Small((64, 64, 3), weights=None)


def _many_things():
    """Augmentation, Rescaling, Normalization, an inner Sequential, an operation, LayerScale, two outputs, compiled."""
    import keras
    from keras.src.applications.convnext import LayerScale

    inputs = keras.Input((32, 32, 3))
    x = keras.Sequential([keras.layers.RandomFlip(), keras.layers.RandomRotation(0.1)])(inputs)
    x = keras.layers.Rescaling(1 / 255)(x)
    x = keras.layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])(x)
    block = keras.Sequential([keras.layers.Conv2D(8, 3, kernel_regularizer="l2"), keras.layers.BatchNormalization()])
    x = LayerScale(0.5, 8)(keras.layers.LeakyReLU()(block(x)))
    x = keras.ops.mean(x * 2.0, axis=(1, 2))
    outputs = {"kind": keras.layers.Dense(4, activation="softmax")(x), "size": keras.layers.Dense(2)(x[:, :4])}
    model = keras.Model(inputs, outputs)
    model.compile("adam", loss={"kind": keras.losses.CategoricalCrossentropy(), "size": "mse"})
    return model


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "name"),
    [(_mobilenet_v2, "model.keras"), (_mobilenet_v3, "model.h5"), (_many_things, "model.keras")],
    ids=["MobileNetV2 .keras", "MobileNetV3Small .h5", "many things .keras"],
)
def test_equal_outputs(build, name, tmp_path):
    model = build()
    path = _saved(model, tmp_path / name)
    before = path.read_bytes()
    opened = open_model_file(path)
    _check_equal(model, opened)
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == [name]
    operations = "Wrote where 18 operations come from, which Keras leaves out of .h5 files."
    assert opened.repairs == ((operations,) if build is _mobilenet_v3 else ())


def test_teachable_machine(tmp_path):
    import keras

    features = keras.Sequential([keras.Input((96, 96, 3)), _base(), keras.layers.GlobalAveragePooling2D()])
    head = keras.Sequential(
        [
            keras.Input((1280,)),
            keras.layers.Dense(100, activation="relu"),
            keras.layers.Dense(3, activation="softmax", use_bias=False),
        ]
    )
    model = keras.Sequential([keras.Input((96, 96, 3)), features, head])
    path = _saved(model, tmp_path / "keras_model.h5")
    path.write_bytes(as_keras_2(path.read_bytes()))
    with pytest.raises(Exception, match="groups"):
        keras.saving.load_model(path, compile=False)
    opened = open_model_file(path)
    _check_equal(model, opened)
    assert (
        "Removed groups=1 from 17 DepthwiseConv2D layers: Keras 3 has no such option, and 1 changes nothing."
        in opened.repairs
    )


@pytest.mark.slow
def test_transfer_network_of_keras_2(tmp_path):
    """An inner Sequential that augments and an inner Functional, called from an outer Functional."""
    import keras

    inner = keras.Input((32, 32, 3))
    x = keras.layers.SeparableConv2D(4, 3, use_bias=False)(inner)
    x = keras.layers.SpatialDropout2D(0.1)(keras.layers.BatchNormalization()(x))
    base = keras.Model(inner, keras.layers.Conv2DTranspose(4, 3)(x), name="base")
    inputs = keras.Input((32, 32, 3))
    x = keras.Sequential([keras.layers.RandomRotation(0.1), keras.layers.RandomZoom(0.1)], name="augment")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(base(x))
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    path = _saved(model, tmp_path / "model.h5")
    path.write_bytes(as_keras_2(path.read_bytes()))
    opened = open_model_file(path)
    _check_equal(model, opened)
    assert len([repair for repair in opened.repairs if "2 inner models" in repair or "2 augmentation" in repair]) == 2


@pytest.mark.slow
def test_sequential_of_early_keras_2(tmp_path):
    """A bare list of layers, the first of which has the input shape: no name, no Input layer."""
    import keras

    layers = [keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.Flatten(), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers])
    path = _saved(model, tmp_path / "model.h5")

    def bare(config):
        return config | {"config": config["config"]["layers"][1:]}

    path.write_bytes(edited_h5_config(as_keras_2(path.read_bytes()), bare))
    opened = open_model_file(path)
    _check_equal(model, opened)
    assert opened.repairs == (
        "Moved the input shape of 1 layer to an Input layer, as Keras 3 does.",
        "Named 1 Sequential model that had no name.",
    )


def _oddly_named():
    """Two inputs of one image, an inner model called twice, a layer called twice, two outputs: names of all kinds."""
    import keras

    inner_image = keras.Input((16, 16, 3), name="in[0]")
    inner = keras.Model(inner_image, keras.layers.Conv2D(3, 3, padding="same", name="conv #1")(inner_image), name="a,b")
    image = keras.Input((16, 16, 3), name="image (RGB)")
    shared = keras.layers.BatchNormalization(name="norm+act")
    x = inner(shared(inner(image)))
    x = keras.layers.Add(name="\N{SNOWMAN}\ufe0f")([shared(x), image])
    pooled = keras.layers.GlobalAveragePooling2D(name="norm_act")(x)
    head = keras.Sequential([keras.layers.Dense(4, name="dense[4]")], name="head[a]")
    outputs = [head(pooled), keras.layers.Dense(2, name="\N{WOMAN}\u200d\N{PERSONAL COMPUTER}")(pooled)]
    return keras.Model(image, outputs, name="net, #2")


@pytest.mark.parametrize(
    "kind", ["model.keras", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("model.h5", "keras_2.h5"))]
)
def test_layers_with_odd_names_are_renamed(tmp_path, kind):
    model = _oddly_named()
    path = _saved(model, tmp_path / kind)
    if kind == "keras_2.h5":
        path.write_bytes(as_keras_2(path.read_bytes()))
    backbone = load_backbone(path, preprocessing="none")
    _check_equal(model, backbone)
    assert [note for note in backbone.notes if note.startswith("Renamed ")] == [
        "Renamed 10 layers: 'a,b' is now 'a_b', 'conv #1' is now 'conv _1', 'dense[4]' is now 'dense_4_', …."
    ]
    names = [layer.name for layer in backbone.model.layers]
    assert {"norm_act", "norm_act_1", "a_b", "head_a_", "image _RGB_"} <= set(names)
    assert len(set(names)) == len(names)
    assert check_all_taps(backbone, np.ones((2, 16, 16, 3), np.float32)) > 8


def test_what_one_repair_of_names_says(good):
    config = good.config
    text = json.dumps(config).replace('"conv"', '"conv[1]"')
    report = inspect_model(with_config(good, text.encode()))
    assert report.repairs == ("Renamed 1 layer: 'conv[1]' is now 'conv_1_'.",)
    assert "conv[1]" not in json.dumps(_config(report))


def test_what_keras_lacks_is_named(good, tmp_path):
    """Keras raises a bare KeyError."""
    layer = {"module": "keras.layers", "class_name": "Rescaling", "config": {"name": "scale", "scale": 2.0}}
    config = {"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": [layer]}}
    path = write(tmp_path, "model.keras", with_config(good, config))
    with pytest.raises(ModelError, match="Keras refused it: 'offset' is missing"):
        open_model_file(path)


def test_old_homes_of_models(good):
    config = good.config
    config["module"] = "keras.src.engine.functional"
    report = inspect_model(with_config(good, config))
    assert _config(report)["module"] == "keras.src.models.functional"
    assert report.repairs == ("Renamed the old module of 1 model: Keras 3 keeps them elsewhere.",)


def test_groups_of_2_are_left_alone(good):
    config = good.config
    next(x for x in config["config"]["layers"] if x["class_name"] == "DepthwiseConv2D")["config"]["groups"] = 2
    report = inspect_model(with_config(good, config))
    assert report.repairs == ()
    assert [x["config"].get("groups") for x in _config(report)["config"]["layers"]].count(2) == 1


def test_content_decides_not_the_suffix(good, tmp_path):
    assert inspect_model_file(write(tmp_path, "model.keras", good.h5)).format == "h5"
    assert inspect_model_file(write(tmp_path, "model.h5", good.keras)).format == "keras"


def _config(report):
    return json.loads(members_of(report.content)[CONFIG])


def _without_compile_config(value):
    if isinstance(value, list):
        return [_without_compile_config(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_compile_config(item) for key, item in value.items() if key != "compile_config"}
    return value


def test_what_the_inspection_reports(good, tmp_path):
    report = inspect_model_file(write(tmp_path, "model.keras", good.keras))
    assert (report.format, report.repairs) == ("keras", ())
    assert _config(report) == _without_compile_config(good.config)
    assert json.loads(members_of(report.content)[METADATA]) == json.loads(good.members[METADATA])
