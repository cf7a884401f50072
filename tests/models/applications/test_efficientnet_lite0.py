import numpy as np
import pytest

from featlib.models import imagenet_names, load_backbone, top_classes

EXPECTED = {
    "china": {"palace", "bell cote", "monastery"},
    "flower": {"daisy"},
    "chelsea": {"tabby", "tiger cat", "Egyptian cat"},
    "coffee": {"espresso"},
    "rocket": {"missile", "projectile"},
    "motorcycle": {"moped", "motor scooter"},
}


def predict(backbone, images):
    return backbone.model(backbone.prepare(images), training=False).numpy()


@pytest.mark.parametrize("name", EXPECTED)
def test_names_real_photographs(lite0, photos, name):
    probabilities = predict(lite0, [photos[photos.names.index(name)]])[0]
    assert lite0.class_name(top_classes(probabilities)[0]) in EXPECTED[name]
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_has_the_published_number_of_parameters(lite0):
    assert lite0.model.count_params() == 4_694_024


def test_stem_equals_a_convolution_by_hand(lite0, photos):
    """One output pixel of the first convolution, from the file's own tensors and the definition of a convolution."""
    from featlib.models.applications.efficientnet_lite0 import read_weights_file
    from featlib.models.applications.torch_weights import read_torch_tensors

    kernel = read_torch_tensors(read_weights_file())["_conv_stem.weight"]  # (32, 3, 3, 3): out, in, row, column
    x = lite0.prepare(photos[:1])[0]  # (224, 224, 3)
    row, column = 40, 61
    window = x[2 * row : 2 * row + 3, 2 * column : 2 * column + 3]  # padding "same" pads below and right only
    by_hand = np.einsum("oirc,rci->o", kernel, window)
    stem = lite0.model.get_layer("stem_conv")(x[None]).numpy()[0, row, column]
    np.testing.assert_allclose(stem, by_hand, rtol=1e-4, atol=1e-5)


def test_other_input_sizes_and_no_top(photos):
    small = load_backbone("EfficientNetLite0", include_top=False, input_shape=(128, 160, 3))
    assert small.model.output_shape == (None, 4, 5, 1280)
    assert predict(small, photos[:2]).shape == (2, 4, 5, 1280)


def test_wrong_preprocessing_hurts(lite0, photos):
    """What a person would get by feeding pixels of 0…255 or 0…1 to this network: the right names lose their weight."""
    right = lite0.prepare([photos[photos.names.index(name)] for name in EXPECTED])
    pixels = right * 128 + 127
    columns = [[imagenet_names().index(name) for name in names] for names in EXPECTED.values()]

    def weight_of_right_names(x):
        rows = lite0.model(x, training=False).numpy()
        return np.mean([row[column].sum() for row, column in zip(rows, columns, strict=True)])

    correct = weight_of_right_names(right)
    assert correct > 0.6
    assert weight_of_right_names(pixels) < correct / 5
    assert weight_of_right_names(pixels / 255) < correct


def test_random_weights_are_repeatable_and_different_from_trained(lite0):
    one, two = (load_backbone("EfficientNetLite0", weights=None) for _ in range(2))
    assert one.fingerprint == two.fingerprint != lite0.fingerprint
    assert one.weights == "random"
