import keras
import numpy as np
import pytest
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import normalize

from featlib.errors import FeatlibError
from featlib.features import (
    extract_vectors,
    feature_maps,
    normalize_rows,
    raw_pixel_vectors,
)
from featlib.images import load_samples


@pytest.mark.parametrize(
    ("pooling", "layer", "path"),
    [
        ("avg", keras.layers.GlobalAveragePooling2D, "head_relu"),
        ("max", keras.layers.GlobalMaxPooling2D, "block4_add"),
        ("flatten", keras.layers.Flatten, "block4_add"),
    ],
)
def test_pooling_equals_keras_own_layer(lite0, photos, pooling, layer, path):
    model = keras.Model(lite0.model.inputs[0], lite0.model.get_layer(path).output)
    expected = layer()(model(lite0.prepare(photos), training=False)).numpy()
    table = extract_vectors(lite0, photos, path, pooling=pooling)
    np.testing.assert_allclose(table.X, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    assert table.columns[5] == f"{path}:5"


@pytest.mark.keras_home
def test_the_question_everybody_asks(mobilenet, photos):
    """(num_images, 1280) out of MobileNetV2 with global average pooling, as Keras itself gives it."""
    own = keras.applications.MobileNetV2(include_top=False, pooling="avg")
    expected = own(mobilenet.prepare(photos), training=False).numpy()
    table = extract_vectors(mobilenet, photos)
    assert table.X.shape == (len(photos), 1280)
    np.testing.assert_allclose(table.X, expected, rtol=1e-3, atol=1e-4)


def test_a_table_says_where_its_rows_come_from(lite0):
    views = load_samples("views")[:5]
    table = extract_vectors(lite0, views, ["block4_add", "predictions"])
    assert table.X.shape == (5, 40 + 1000)
    assert (table.ids, table.names) == (views.ids, views.names)
    assert table.labels["photo"].tolist() == list(views.labels)
    assert (table.model, table.fingerprint) == (lite0.name, lite0.fingerprint)
    assert table.columns[39:41] == ("block4_add:39", "predictions:0")


def test_a_layer_without_height_and_width_is_its_own_vector(lite0, photos):
    for pooling in ("avg", "max", "flatten", None):
        X = extract_vectors(lite0, photos[:2], "predictions", pooling=pooling).X
        np.testing.assert_allclose(X.sum(axis=1), 1, atol=1e-4)


def test_several_layers_normalised_and_weighted(lite0, photos):
    layers, weights = ["block4_add", "head_relu"], [2.0, 0.5]
    X = extract_vectors(lite0, photos, layers, l2_normalize=True, layer_weights=weights).X
    parts = [normalize(extract_vectors(lite0, photos, layer).X) * w for layer, w in zip(layers, weights, strict=True)]
    np.testing.assert_allclose(X, np.concatenate(parts, axis=1), rtol=1e-3, atol=1e-5)


def test_rows_of_zeros_stay_zeros():
    np.testing.assert_allclose(normalize_rows(np.array([[0, 0], [3, 4]], np.float32)), [[0, 0], [0.6, 0.8]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "mean"}, "'avg', 'max', 'flatten' or None. Received: 'mean'"),
        ({"pooling": None}, "is not a vector"),
        ({"layers": []}, "layers is empty"),
        ({"layer_weights": [1, 2]}, "one number per layer: 1. Received: 2"),
        ({"batch_size": 0}, "at least 1"),
    ],
)
def test_bad_options_say_what_is_allowed(lite0, photos, options, message):
    with pytest.raises(FeatlibError, match=message):
        extract_vectors(lite0, photos, **options)


def test_like_pictures_lie_together(lite0):
    """12 views of each photo: the vectors know the photo, raw pixels do so much less."""
    views = load_samples("views")

    def score(X):
        return cross_val_score(KNeighborsClassifier(5, metric="cosine"), X, views.labels, cv=4).mean()

    network, pixels = score(extract_vectors(lite0, views, "head_relu").X), score(raw_pixel_vectors(views))
    print(f"5-NN of the photo: head_relu {network:.3f}, raw pixels {pixels:.3f}")
    assert network > 0.95
    assert network > pixels + 0.15


def test_raw_pixels_are_the_shrunken_image(photos):
    X = raw_pixel_vectors(photos, side=8)
    assert X.shape == (len(photos), 8 * 8 * 3)
    assert 0 <= X.min() < X.max() <= 1
    means = [item.pixels.mean() / 255 for item in photos if item.pixels.shape[0] == item.pixels.shape[1]]
    squares = [i for i, item in enumerate(photos) if item.pixels.shape[0] == item.pixels.shape[1]]
    np.testing.assert_allclose(X[squares].mean(axis=1), means, atol=0.01)
    assert raw_pixel_vectors([]).shape == (0, 768)


def test_vectors_equal_pooled_maps(lite0, photos):
    maps = feature_maps(lite0, photos, "block10_add")
    np.testing.assert_allclose(
        extract_vectors(lite0, photos, "block10_add").X, maps.mean(axis=(1, 2)), rtol=1e-3, atol=1e-5
    )
