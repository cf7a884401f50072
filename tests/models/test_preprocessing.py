import pickle

import keras
import numpy as np
import pytest

from featlib.errors import ModelError
from featlib.models import PREPROCESSING, Preprocessing, find_preprocessing, load_backbone
from featlib.models.applications import keras_networks

MODULES = sorted({function.__module__.split(".")[-1] for _, function in keras_networks(keras)})
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3)).astype(np.uint8)


@pytest.mark.parametrize("module", MODULES)
def test_each_family_equals_keras_own(module):
    expected = getattr(keras.applications, module).preprocess_input(PIXELS.astype("float32"))
    preprocessing = find_preprocessing(module)
    for pixels in (PIXELS, PIXELS.astype(np.float32), PIXELS.astype(np.float64)):
        before = pixels.copy()
        result = preprocessing(pixels)
        np.testing.assert_array_equal(result, expected)
        np.testing.assert_array_equal(pixels, before)
        assert result.dtype == np.float32
        assert result.flags.c_contiguous
        assert not np.shares_memory(result, pixels)
    np.testing.assert_array_equal(preprocessing(PIXELS[0, 0]), expected[0, 0])


@pytest.mark.parametrize("mode", ["tf", "torch", "caffe"])
def test_the_modes_equal_keras_own(mode):
    expected = keras.applications.imagenet_utils.preprocess_input(PIXELS.astype("float32"), mode=mode)
    np.testing.assert_allclose(find_preprocessing(mode)(PIXELS), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "low", "high"), [("none", 0, 255), ("unit", 0, 1), ("lite0", -127 / 128, 1)])
def test_ranges(name, low, high):
    result = find_preprocessing(name)(np.array([[0, 0, 0], [255, 255, 255]], np.uint8))
    np.testing.assert_allclose(result, [[low] * 3, [high] * 3], atol=1e-6)


@pytest.mark.parametrize("name", PREPROCESSING)
def test_the_code_does_the_same(name):
    preprocessing = find_preprocessing(name)
    scope = {"x": PIXELS.astype(np.float32), "keras": keras}
    exec(preprocessing.code, scope)
    np.testing.assert_allclose(scope["x"], preprocessing(PIXELS), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "description"),
    [
        ("vgg16", "BGR, minus the ImageNet mean"),
        ("mobilenet_v2", "x / 127.5 − 1, so 0…255 becomes −1…1"),
        ("densenet", "(x / 255 − mean) / std of ImageNet, so 0…255 becomes about −2…2.6"),
        ("efficientnet", "none: pixels enter as 0…255 (the network rescales inside)"),
        ("none", "none: pixels enter as 0…255"),
        ("unit", "x / 255, so 0…255 becomes 0…1"),
        ("lite0", "(x − 127) / 128, so 0…255 becomes −0.99…1"),
    ],
)
def test_descriptions_follow_from_what_is_done(name, description):
    assert find_preprocessing(name).description == description


def test_a_preprocessing_of_its_own_is_described_by_its_range():
    assert Preprocessing("half", "x = x / 510", lambda x: x / 510).description == "its own: 0…255 becomes 0…0.5"


def test_unknown_names_list_the_allowed_ones():
    with pytest.raises(ModelError, match="'mobilenetv2'. Did you mean 'mobilenet_v2'.*'none', 'unit', 'tf', 'torch'"):
        find_preprocessing("mobilenetv2")
    for wrong in (None, "imagenet_utils", "VGG16", ""):
        with pytest.raises(ModelError, match="No preprocessing named"):
            find_preprocessing(wrong)


def test_families_of_a_newer_keras_are_found(monkeypatch):
    monkeypatch.delitem(PREPROCESSING, "resnet")
    assert find_preprocessing("resnet").description == "BGR, minus the ImageNet mean"


@pytest.mark.parametrize("name", PREPROCESSING)
def test_a_live_model_can_ask_for_each(name):
    inputs = keras.Input((32, 32, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 3)(inputs))
    backbone = load_backbone(model, preprocessing=name)
    assert backbone.preprocessing == find_preprocessing(name)


def test_they_can_be_pickled():
    for preprocessing in PREPROCESSING.values():
        copy = pickle.loads(pickle.dumps(preprocessing))
        assert copy == preprocessing
        np.testing.assert_array_equal(copy(PIXELS), preprocessing(PIXELS))


@pytest.mark.parametrize("name", ["torch", "caffe", "densenet"])
def test_a_preprocessing_of_three_channels_is_refused_by_a_gray_network(name):
    image = keras.Input((32, 24, 1))
    backbone = load_backbone(keras.Model(image, keras.layers.Conv2D(2, 3)(image)), preprocessing=name)
    with pytest.raises(ModelError, match=r"takes \(32, 24, 1\), and .* makes \(32, 24, 3\)"):
        backbone.preprocess(np.zeros((2, 32, 24, 3), np.uint8))
