import pickle
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from featlib import FeatureExtractor
from featlib.errors import FeatlibError, LayerNotFoundError
from featlib.features import extract_vectors
from featlib.images import load_samples
from featlib.models import load_backbone


@pytest.fixture(scope="module")
def shapes():
    return load_samples("shapes").sample(24, by="shape")


def test_gives_the_default_layers_vectors(lite0, photos):
    X = FeatureExtractor().fit_transform(photos)
    assert X.shape == (len(photos), 1280)
    assert X.dtype == np.float32
    np.testing.assert_allclose(X, extract_vectors(lite0, photos, "head_relu").X, rtol=1e-4, atol=1e-5)


def test_takes_whatever_holds_images(photos, tmp_path):
    from PIL import Image

    pixels = photos[0].pixels
    Image.fromarray(pixels).save(tmp_path / "a.png")
    extractor = FeatureExtractor(layers="block2_add", input_shape=(64, 64, 3)).fit()
    ways = [photos[:1], [photos[0]], [tmp_path / "a.png"], [Image.fromarray(pixels)], [pixels], pixels[None]]
    ways.append([(tmp_path / "a.png").read_bytes()])
    rows = [extractor.transform(way) for way in ways]
    for row in rows[1:]:
        np.testing.assert_allclose(row, rows[0], rtol=1e-5)


def test_constructor_only_stores_and_clone_copies_no_network(lite0):
    wrong = FeatureExtractor("NoSuchNet", layers=["a"], pooling="sum")
    assert clone(wrong).get_params() == wrong.get_params()
    with pytest.raises(FeatlibError):
        wrong.fit()
    assert clone(FeatureExtractor(lite0)).backbone is lite0


def test_pickle_is_small_and_gives_the_same_vectors(photos):
    extractor = FeatureExtractor(layers="block4_add").fit(photos)
    data = pickle.dumps(extractor)
    assert len(data) < 10_000
    np.testing.assert_array_equal(pickle.loads(data).transform(photos), extractor.transform(photos))


def test_pickle_notices_another_network():
    extractor = FeatureExtractor(layers="block2_add", input_shape=(64, 64, 3)).fit()
    again = pickle.loads(pickle.dumps(extractor))
    again.fingerprint_ = "0" * 32
    with pytest.raises(FeatlibError, match="not the network"):
        again.transform([])


def test_in_a_pipeline_with_grid_search_over_layers(shapes):
    pipeline = make_pipeline(
        FeatureExtractor(input_shape=(96, 96, 3)), StandardScaler(), LogisticRegression(max_iter=500)
    )
    search = GridSearchCV(pipeline, {"featureextractor__layers": ["stem_relu", ["block4_add", "head_relu"]]}, cv=3)
    search.fit(shapes, shapes.labels_for("shape"))
    assert search.best_params_["featureextractor__layers"] == ["block4_add", "head_relu"]
    assert search.predict(shapes).shape == (24,)


def test_feature_names(photos):
    extractor = FeatureExtractor(layers=["block2_add", "block4_add"]).fit()
    names = extractor.get_feature_names_out()
    assert names[0] == "block2_add:0"
    assert names[-1] == "block4_add:39"
    assert len(names) == extractor.n_features_out_ == extractor.transform(photos[:1]).shape[1]


def test_must_be_fitted_and_layers_are_checked(photos):
    with pytest.raises(NotFittedError):
        FeatureExtractor().transform(photos)
    with pytest.raises(LayerNotFoundError, match="block4_add"):
        FeatureExtractor(layers="blok4_add").fit()


def test_a_live_keras_model(tiny):
    extractor = FeatureExtractor(tiny, layers="conv").fit()
    assert extractor.transform(load_samples("digits")[:4]).shape == (4, 8)
    with pytest.raises(FeatlibError, match="preprocessing"):
        FeatureExtractor(tiny.model, layers="conv").fit()


@pytest.mark.slow
def test_a_weights_file_that_changed_is_read_again(tmp_path, photos):
    path = tmp_path / "mine.weights.h5"
    vectors = []
    for seed_weights in (None, "imagenet"):
        backbone = load_backbone("EfficientNetLite0", weights=seed_weights, input_shape=(64, 64, 3))
        backbone.model.save_weights(path)
        extractor = FeatureExtractor(weights=str(path), input_shape=(64, 64, 3), layers="block2_add")
        vectors.append(extractor.fit_transform(photos[:2]))
    assert np.abs(vectors[0] - vectors[1]).max() > 0.1


def test_importing_featlib_stays_light():
    """TensorFlow, Streamlit and scikit-learn are imported when used, not with the package."""
    code = (
        "import featlib, featlib.images, featlib.models, featlib.features, featlib.analysis, featlib.cli, sys;"
        "print([m for m in ('tensorflow', 'keras', 'streamlit', 'sklearn', 'skimage', 'openTSNE') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
