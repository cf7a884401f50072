"""Model files, SavedModel folders, class names: what a person brings."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from featlib.errors import ModelError
from featlib.features import FeatureExtractor, extract_vectors, feature_maps, tap_layers
from featlib.images import load_samples
from featlib.models import list_layers, load_backbone, load_model_file, read_class_names


@pytest.fixture(scope="module")
def pets():
    """A transfer-learning model: augmentation, scaling, a network inside, a head."""
    keras.utils.set_random_seed(3)
    base = keras.applications.MobileNetV2(weights=None, alpha=0.35, include_top=False, input_shape=(64, 64, 3))
    image = layers.Input((64, 64, 3), name="image")
    x = layers.Rescaling(1 / 127.5, -1, name="scale")(layers.RandomFlip(name="flip")(image))
    x = layers.GlobalAveragePooling2D(name="gap")(base(x, training=False))
    return keras.Model(image, layers.Dense(3, activation="softmax", name="answer")(x), name="pets")


@pytest.fixture(scope="module", params=[".keras", pytest.param(".h5", marks=pytest.mark.slow)])
def pets_file(request, pets, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / f"pets{request.param}"
    pets.save(path)
    path.with_name("labels.txt").write_text("0 Cat\n1 Guinea pig\n2 Owl\n", encoding="utf-8")
    return path


def test_a_file_is_the_model_it_was(pets_file, pets, photos):
    backbone = load_backbone(str(pets_file))
    assert (backbone.name, backbone.weights) == (pets_file.name, pets_file.name)
    assert backbone.class_names == ("Cat", "Guinea pig", "Owl")
    assert backbone.preprocessing.name == "none"
    assert any("'scale' (Rescaling)" in note for note in backbone.notes)
    assert backbone.notes[-1] == "The class names are those of labels.txt."
    x = backbone.prepare(photos[:3])
    np.testing.assert_allclose(tap_layers(backbone, ["answer"])(x)[0], pets(x, training=False), atol=1e-5)
    layer = f"{pets.layers[3].name}/block_6_expand"
    assert FeatureExtractor(backbone, layers=layer).fit_transform(photos[:3]).shape == (3, 96)


@pytest.mark.slow
def test_the_person_s_own_names_and_preprocessing_win(pets_file):
    backbone = load_backbone(pets_file, class_names=["a", "b", "c"], preprocessing="tf")
    assert backbone.class_names == ("a", "b", "c")
    assert backbone.preprocessing.name == "tf"
    with pytest.raises(ModelError, match="'pets' has 3 class outputs. Received: 2 class names"):
        load_backbone(pets_file, class_names=["a", "b"])


@pytest.mark.slow
def test_what_the_file_does_not_show_is_asked_for_or_assumed(tmp_path):
    image = layers.Input((16, 16, 3), name="image")
    keras.Model(image, layers.Conv2D(2, 3, name="conv")(image), name="plain").save(tmp_path / "plain.keras")
    with pytest.raises(ModelError, match="The preprocessing of 'plain' is unknown"):
        load_backbone(tmp_path / "plain.keras")
    backbone = load_model_file(tmp_path / "plain.keras", None, None, None, default_preprocessing="unit")
    assert backbone.preprocessing.name == "unit"
    assert "Nothing in the model shows how it expects its pixels" in backbone.notes[0]


@pytest.mark.parametrize("path", ["none.keras", "folder/none.h5", "none.hdf5"])
def test_a_file_that_is_not_there(path):
    with pytest.raises(ModelError, match=rf"'{path.split('/')[-1]}' is not a file"):
        load_backbone(path)


@pytest.mark.parametrize("given", [{"alpha": 0.35}, {"include_top": False}, {"weights": None}])
def test_options_are_for_names(given):
    with pytest.raises(ModelError, match="for networks by name"):
        load_backbone("some.keras", **given)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (b"0 Cat\n1 Guinea pig\n", ("Cat", "Guinea pig")),
        ("\ufeffKatze\r\nHündin\r\n\r\n".encode(), ("Katze", "Hündin")),
        (b"7 of 9\n8 of 9\n", ("7 of 9", "8 of 9")),  # numbers that do not count are part of the names
    ],
)
def test_class_names(text, names):
    assert read_class_names(text) == names


@pytest.mark.parametrize(
    ("text", "message"),
    [(b"\xff\xfe\x00", "not UTF-8"), (b" \n\n", "no class names"), (b"cat\n" * 300_000, "at most 1,000,000 bytes")],
)
def test_no_class_names(text, message):
    with pytest.raises(ModelError, match=message):
        read_class_names(text)


class Hub(tf.Module):
    """What TF Hub calls a feature vector: pixels of 0…1 in, (n, 5) out."""

    def __init__(self):
        super().__init__()
        self.kernel = tf.Variable(np.arange(15, dtype="float32").reshape(3, 5))

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32, name="images")])
    def features(self, images):
        return {"default": tf.reduce_mean(images, (1, 2)) @ self.kernel}


@pytest.mark.parametrize("endpoint", ["serving_default", "default", "other"])
def test_a_saved_model_is_a_vector_extractor_by_explicit_choice(tmp_path, endpoint):
    hub = Hub()
    tf.saved_model.save(hub, str(tmp_path / "hub"), signatures={endpoint: hub.features})
    with pytest.raises(ModelError, match="is a SavedModel, a program.*trust_saved_model=True"):
        load_backbone(tmp_path / "hub")
    backbone = load_backbone(tmp_path / "hub", trust_saved_model=True, preprocessing="unit", input_shape=(20, 24, 3))
    assert [(layer.path, layer.output_shape) for layer in list_layers(backbone)] == [
        ("images", (20, 24, 3)),
        ("saved_model", (5,)),
    ]
    images = load_samples("views")[:7]
    X = extract_vectors(backbone, images, "saved_model").X
    np.testing.assert_allclose(X, backbone.prepare(images).mean(axis=(1, 2)) @ hub.kernel.numpy(), rtol=1e-4)


@pytest.mark.slow
def test_an_exported_keras_model(tmp_path, pets, photos):
    pets.export(tmp_path / "exported", verbose=False)
    backbone = load_backbone(tmp_path / "exported", trust_saved_model=True, preprocessing="none")
    expected = pets(backbone.prepare(photos[:2]), training=False)
    np.testing.assert_allclose(feature_maps(backbone, photos[:2], "saved_model"), expected, atol=1e-5)


def test_a_saved_model_that_takes_no_images(tmp_path):
    words = tf.Module()
    words.count = tf.function(lambda x: x + 1, input_signature=[tf.TensorSpec((None,), tf.float32, name="x")])
    tf.saved_model.save(words, str(tmp_path / "words"), signatures={"serving_default": words.count})
    with pytest.raises(ModelError, match="Allowed: one input of images"):
        load_backbone(tmp_path / "words", trust_saved_model=True, preprocessing="none")


def test_a_broken_saved_model(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"no")
    with pytest.raises(ModelError, match="cannot be read as a SavedModel"):
        load_backbone(tmp_path, trust_saved_model=True, preprocessing="none")


@pytest.mark.parametrize(
    ("build", "name", "reason"),
    [
        (lambda i: layers.Normalization(mean=0.5, variance=1.0, name="norm")(i), "none", "'norm' (Normalization)"),
        (lambda i: keras.applications.mobilenet_v2.preprocess_input(i), "none", "preprocesses its pixels itself"),
        (lambda i: keras.applications.vgg16.preprocess_input(i), "none", "preprocesses its pixels itself"),
        (lambda i: keras.applications.densenet.preprocess_input(i), "none", "preprocesses its pixels itself"),
        (
            lambda i: keras.applications.ResNet50(weights=None, include_top=False)(i),
            "resnet",
            "'resnet50' is a network",
        ),
        (
            lambda i: layers.DepthwiseConv2D(3, name="expanded_conv_depthwise")(i),
            "mobilenet_v2",
            "layer of MobileNetV2",
        ),
    ],
)
def test_the_preprocessing_is_guessed_with_the_reason(build, name, reason):
    image = layers.Input((64, 64, 3), name="image")
    model = keras.Model(image, layers.Conv2D(2, 1, name="after")(build(image)))
    backbone = load_backbone(model)
    assert backbone.preprocessing.name == name
    assert reason in backbone.notes[0]


def test_a_layer_behind_the_first_kernel_says_nothing_about_the_pixels():
    image = layers.Input((32, 32, 3), name="image")
    model = keras.Model(image, layers.Rescaling(2.0)(layers.Conv2D(2, 3, name="conv")(image)), name="late")
    with pytest.raises(ModelError, match="The preprocessing of 'late' is unknown"):
        load_backbone(model)
