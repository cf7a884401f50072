import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest

from featlib.errors import ModelError, WeightsNotFoundError
from featlib.models import imagenet_names, load_backbone, top_classes
from featlib.models.applications.catalog import find_choice
from featlib.models.applications.layer_names import all_operations


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


def test_preprocessing_leaves_its_input_alone(lite0):
    pixels = np.full((1, 4, 4, 3), 200.0, np.float32)
    first, second = lite0.preprocessing(pixels), lite0.preprocessing(pixels)
    np.testing.assert_array_equal(first, second)
    assert (pixels == 200).all()


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
        ({"model": "MobileNetV2", "input_shape": (160, 192, 3)}, r"Use \(224, 224, 3\), or include_top=False"),
        ({"model": "InceptionV3", "input_shape": (224, 224, 3)}, r"Use \(299, 299, 3\), or include_top=False"),
        ({"model": "Xception", "weights": None, "input_shape": (64, 64, 3)}, "at least 71 × 71 pixels"),
        ({"model": "InceptionV3", "weights": None, "input_shape": (64, 64, 3)}, "at least 75 × 75 pixels"),
        ({"model": "MobileNetV2(alpha=0.3)"}, "0.35, 0.50, 0.75, 1.0, 1.3 or 1.4 only; Received alpha=0.3"),
        ({"model": "MobileNetV3Small", "alpha": 0.5}, "alpha can be one of 0.75, 1.0"),
        ({"model": "MobileNet", "depth_multiplier": 2}, "depth multiplier must be 1"),
        ({"model": "MobileNet", "dropout": 3, "weights": None}, "between 0 and 1. Received: rate=3.0"),
        ({"model": "ResNet50", "classes": 5}, "for 1,000 classes. Received.*weights=None"),
        ({"model": "ResNet50", "alpha": 0.5}, "no option 'alpha'. Allowed: classes=1000"),
        ({"model": "MobileNetV2(alpha=0.35)", "alpha": 0.5}, "'alpha' is given twice"),
        ({"model": "EfficientNetLite0", "alpha": 0.5}, "no option 'alpha'. Allowed: none"),
        ({"model": 5, "alpha": 0.5}, "Options are for networks by name"),
        ({"model": "VGG61"}, "Did you mean 'VGG19' or 'VGG16'.*41 names"),
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


@pytest.mark.slow
def test_offline_says_what_to_download_from_where_and_where_to_put_it(tmp_path):
    code = """
import featlib
for name in ("MobileNetV2", "NASNetMobile"):
    try: featlib.load_backbone(name)
    except featlib.FeatlibError as error: print("MESSAGE", type(error).__name__, error)
"""
    dead = "http://127.0.0.1:9"  # nothing listens there: a machine without network
    env = {**os.environ, "KERAS_HOME": str(tmp_path), "http_proxy": dead, "https_proxy": dead, "no_proxy": ""}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    messages = [line for line in done.stdout.splitlines() if line.startswith("MESSAGE")]
    files = ("mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5", "NASNet-mobile.h5")
    for message, file in zip(messages, files, strict=True):
        assert WeightsNotFoundError.__name__ in message
        assert re.search(f"Download https://[^ ]+/{re.escape(file)} ", message)
        assert str(tmp_path / "models") in message
    assert "models as nasnet_mobile.h5," in messages[1]


@pytest.mark.parametrize("name", ["efficientnetlite0", "mobilenetv3small", "MobileNet"])
def test_choices_load(name, photos):
    choice = find_choice(name)
    backbone = load_backbone(name, weights=None, input_shape=(64, 64, 3))
    assert backbone.name == choice.name
    assert backbone.preprocessing.name == choice.module
    assert backbone.model.count_params() == choice.params
    assert backbone.model(backbone.prepare(photos[:1])).shape == (1, 1000)
    assert backbone.class_names == imagenet_names()


def test_another_input_size_without_top_gives_4_4_1280(photos):
    backbone = load_backbone("MobileNetV2", weights=None, include_top=False, input_shape=(128, 128, 3))
    assert backbone.model(backbone.prepare(photos[:1])).shape == (1, 4, 4, 1280)


def test_the_default_size_is_the_networks_own():
    assert load_backbone("Xception", weights=None, include_top=False).input_shape == (299, 299, 3)


def test_options_in_the_name_or_beside_it():
    one = load_backbone("mobilenetv2(alpha=0.35)", weights=None, input_shape=(32, 32, 3))
    two = load_backbone("MobileNetV2", alpha=0.35, weights="random", input_shape=(32, 32, 3))
    plain = keras.applications.MobileNetV2(alpha=0.35, weights=None, input_shape=(32, 32, 3))
    assert one.name == two.name == "MobileNetV2(alpha=0.35)"
    assert one.fingerprint == two.fingerprint
    assert one.model.count_params() == plain.count_params()


def test_an_extractor_takes_a_name_with_options(photos):
    from featlib.features import FeatureExtractor

    extractor = FeatureExtractor("MobileNet(alpha=0.25)", weights=None, include_top=False, input_shape=(32, 32, 3))
    assert extractor.fit_transform(photos[:2]).shape == (2, 256)


@pytest.mark.keras_home
def test_imagenet_weights_of_a_narrower_network():
    ours = load_backbone("MobileNetV2(alpha=0.35)", include_top=False)
    theirs = keras.applications.MobileNetV2(alpha=0.35, include_top=False, input_shape=(224, 224, 3))
    for one, two in zip(ours.model.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_own_classes():
    backbone = load_backbone("MobileNet(alpha=0.25, classes=3)", weights=None, input_shape=(32, 32, 3))
    assert backbone.model.output_shape == (None, 3)
    assert backbone.class_names is None
    named = load_backbone(
        "MobileNet", alpha=0.25, classes=3, weights=None, input_shape=(32, 32, 3), class_names=["cat", "dog", "owl"]
    )
    assert named.class_name(2) == "owl"
    with pytest.raises(ModelError, match="must name the 3 outputs.*Received: 2"):
        load_backbone("MobileNet(alpha=0.25, classes=3)", weights=None, class_names=["cat", "dog"])


def test_another_preprocessing_can_be_forced():
    backbone = load_backbone("MobileNet(alpha=0.25)", weights=None, input_shape=(32, 32, 3), preprocessing="caffe")
    assert backbone.preprocessing.name == "caffe"
    with pytest.raises(ModelError, match="No preprocessing named 'caffee'. Did you mean 'caffe'"):
        load_backbone("MobileNet(alpha=0.25)", weights=None, input_shape=(32, 32, 3), preprocessing="caffee")


NAMES_AND_FINGERPRINT = """
import json, featlib
from featlib.models.applications.layer_names import all_operations
def describe(name):
    backbone = featlib.load_backbone(name, weights=None, include_top=False, input_shape=(75, 75, 3))
    return [op.name for op in all_operations(backbone.model)], backbone.fingerprint
"""


@pytest.mark.slow
def test_names_and_fingerprints_are_those_of_a_fresh_process():
    """Links, caches and pickled estimators carry layer names and fingerprints."""
    networks = ("InceptionV3", "MobileNetV3Small")
    code = NAMES_AND_FINGERPRINT + f"print(json.dumps([describe(name) for name in {networks}]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    fresh = json.loads(done.stdout.splitlines()[-1])
    scope: dict = {}
    exec(NAMES_AND_FINGERPRINT, scope)
    for name, (names, fingerprint) in zip(networks, fresh, strict=True):
        for _ in range(2):
            assert scope["describe"](name) == (names, fingerprint)
        function = getattr(keras.applications, name)
        with ThreadPoolExecutor(1) as pool:  # Keras counts for each thread: what a fresh process of Keras alone names
            plain = pool.submit(function, weights=None, include_top=False, input_shape=(75, 75, 3)).result()
        assert names == [op.name for op in all_operations(plain)]


def test_names_that_only_look_automatic_stay():
    assert [layer.path for layer in load_backbone("MobileNet", weights=None).layers].count("reshape_2") == 1


def test_a_live_model_must_say_how_it_wants_its_pixels():
    inputs = keras.Input((32, 32, 3))
    with pytest.raises(ModelError, match="is unknown.*'mobilenet_v2'"):
        load_backbone(keras.Model(inputs, keras.layers.Conv2D(2, 3)(inputs)))
    rescaled = keras.layers.Conv2D(2, 3)(keras.layers.Rescaling(1 / 255)(inputs))
    assert load_backbone(keras.Model(inputs, rescaled)).preprocessing.name == "none"


@pytest.mark.slow
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
