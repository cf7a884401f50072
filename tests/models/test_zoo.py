import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from featlib.errors import ModelError, WeightsNotFoundError
from featlib.models import imagenet_names, list_models, load_backbone, top_classes


@pytest.mark.keras_home
def test_mobilenet_names_real_photographs(mobilenet, photos):
    expected = {
        "coffee": {"espresso"},
        "chelsea": {"tabby", "tiger cat", "Egyptian cat"},
        "china": {"palace"},
        "motorcycle": {"moped", "motor scooter"},
    }
    for name, allowed in expected.items():
        x = mobilenet.prepare([photos[photos.names.index(name)]])
        assert mobilenet.class_name(top_classes(mobilenet.model(x).numpy()[0])[0]) in allowed


@pytest.mark.keras_home
def test_names_equal_keras_own():
    import json

    from tests.conftest import KERAS_HOME

    index = json.loads((KERAS_HOME / "models" / "imagenet_class_index.json").read_text())
    differing = [
        (i, ours, index[str(i)][1])
        for i, ours in enumerate(imagenet_names())
        if ours.lower().replace(" ", "_") != index[str(i)][1].lower()
    ]
    assert not differing


@pytest.mark.keras_home
def test_mobilenet_without_top_gives_7_7_1280(photos):
    backbone = load_backbone("MobileNetV2", include_top=False)
    assert backbone.model(backbone.prepare(photos[:2])).shape == (2, 7, 7, 1280)
    assert backbone.class_names is None


@pytest.mark.keras_home
def test_a_weights_file(tmp_path):
    from tests.conftest import KERAS_HOME

    path = KERAS_HOME / "models" / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
    from_file = load_backbone("MobileNetV2", weights=path, include_top=False)
    by_name = load_backbone("MobileNetV2", include_top=False)
    assert from_file.weights == path.name
    for ours, theirs in zip(from_file.model.weights, by_name.model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(ModelError, match="does not fit"):
        load_backbone("EfficientNetLite0", weights=path)


@pytest.mark.parametrize("name", ["EfficientNetLite0", "MobileNetV2"])
def test_loading_twice_gives_the_same_names_and_fingerprint(name, photos):
    """Links, caches and pickled estimators carry layer names and fingerprints."""
    one, two = (load_backbone(name, weights=None, input_shape=(64, 64, 3)) for _ in range(2))
    assert [layer.path for layer in one.layers] == [layer.path for layer in two.layers]
    assert one.fingerprint == two.fingerprint
    assert one.layers[0].path in ("input", "input_layer")
    x = one.prepare(photos[:1])
    np.testing.assert_array_equal(one.model(x), two.model(x))


def test_own_weights_round_trip(tmp_path, lite0):
    lite0.model.save_weights(tmp_path / "mine.weights.h5")
    again = load_backbone("EfficientNetLite0", weights=tmp_path / "mine.weights.h5")
    assert again.fingerprint == lite0.fingerprint


def test_preprocessing_equals_keras_own(photos):
    backbone = load_backbone("MobileNetV2", weights=None)
    pixels = np.stack([backbone.resize(photos[0].pixels)])
    expected = keras.applications.mobilenet_v2.preprocess_input(pixels.astype("float32"))
    np.testing.assert_allclose(backbone.preprocessing(pixels), expected, atol=1e-6)


def test_preprocessing_leaves_its_input_alone(lite0):
    pixels = np.full((1, 4, 4, 3), 200.0, np.float32)
    first, second = lite0.preprocessing(pixels), lite0.preprocessing(pixels)
    np.testing.assert_array_equal(first, second)
    assert (pixels == 200).all()


def test_the_code_of_each_preprocessing_does_the_same():
    from featlib.models import PREPROCESSING

    pixels = np.arange(256, dtype=np.float32).reshape(1, 16, 16, 1).repeat(3, axis=-1)
    for preprocessing in PREPROCESSING.values():
        scope = {"x": pixels.copy(), "keras": keras}
        exec(preprocessing.code, scope)
        np.testing.assert_allclose(scope["x"], preprocessing(pixels), atol=1e-6)


def test_resize_keeps_the_aspect_and_the_centre(lite0):
    wide = np.zeros((100, 300, 3), np.uint8)
    wide[:, 100:200] = 255  # the central square
    assert (lite0.resize(wide) == 255)[:, 8:-8].all()
    square = np.asarray(np.random.default_rng(0).integers(0, 255, (224, 224, 3)), np.uint8)
    np.testing.assert_array_equal(lite0.resize(square), square)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "VGG99"}, "No network named 'VGG99'.*'EfficientNetLite0'.*'MobileNetV2'"),
        ({"model": 5}, "Received: int"),
        ({"model": "EfficientNetLite0", "input_shape": (8, 8, 3)}, "32 to 1024"),
        ({"model": "EfficientNetLite0", "input_shape": (224, 224, 1)}, r"\(height, width, 3\)"),
        ({"model": "EfficientNetLite0", "weights": "nowhere.h5"}, "No weights file at"),
        ({"model": "MobileNetV2", "input_shape": (160, 192, 3)}, "include_top=False"),
    ],
)
def test_bad_requests_say_what_is_allowed(arguments, message):
    model = arguments.pop("model")
    with pytest.raises(ModelError, match=message):
        load_backbone(model, **arguments)


def test_a_live_model_that_takes_no_images_is_refused():
    inputs = keras.Input((10,))
    with pytest.raises(ModelError, match=r"takes inputs of shape \[\(10,\)\]. Allowed: images"):
        load_backbone(keras.Model(inputs, keras.layers.Dense(2)(inputs)), preprocessing="none")


def test_offline_says_what_to_download_from_where_and_where_to_put_it(tmp_path):
    code = "import featlib; featlib.load_backbone('MobileNetV2')"
    dead = "http://127.0.0.1:9"  # nothing listens there: a machine without network
    env = {**os.environ, "KERAS_HOME": str(tmp_path), "http_proxy": dead, "https_proxy": dead, "no_proxy": ""}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode != 0
    message = done.stderr.strip().splitlines()[-1]
    assert WeightsNotFoundError.__name__ in message
    assert "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5" in message
    assert "https://" in message
    assert str(tmp_path / "models") in message


def test_every_choice_loads():
    for choice in list_models():
        backbone = load_backbone(choice.name, weights=None, input_shape=(choice.input_sizes[0],) * 2 + (3,))
        assert backbone.name == choice.name
        assert backbone.preprocessing.name == choice.preprocessing


def test_a_live_model_must_say_how_it_wants_its_pixels():
    inputs = keras.Input((32, 32, 3))
    with pytest.raises(ModelError, match="Say how.*'mobilenet_v2'"):
        load_backbone(keras.Model(inputs, keras.layers.Conv2D(2, 3)(inputs)))
    rescaled = keras.layers.Conv2D(2, 3)(keras.layers.Rescaling(1 / 255)(inputs))
    assert load_backbone(keras.Model(inputs, rescaled)).preprocessing.name == "none"


@pytest.mark.keras_home
def test_a_damaged_weights_file_is_told_as_that(tmp_path):
    from tests.conftest import KERAS_HOME

    name = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5"
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / name).write_bytes((KERAS_HOME / "models" / name).read_bytes()[:100_000])
    done = subprocess.run(
        [sys.executable, "-c", "import featlib; featlib.load_backbone('MobileNetV2')"],
        env={**os.environ, "KERAS_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert "is damaged" in done.stderr.strip().splitlines()[-1]
