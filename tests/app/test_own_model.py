"""A person's own model: brought as a file, shown on every page, refused in one sentence."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from featlib.features import feature_maps
from featlib.models import find_layer, load_backbone
from tests.app.driver import PAGES, WITH_NETWORK, choices, element, go, labelled, open_page, run, said, traces, values
from tests.app.uploading import upload


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """A small model with a model inside, which does not show how it wants its pixels; its file, and labels."""
    keras.utils.set_random_seed(5)
    inner = keras.Sequential(
        [layers.Input((32, 32, 3)), layers.Conv2D(6, 3, strides=2, name="conv"), layers.ReLU(name="act")], name="inner"
    )
    image = layers.Input((32, 32, 3), name="image")
    x = layers.GlobalAveragePooling2D(name="gap")(inner(image))
    model = keras.Model(image, layers.Dense(2, activation="softmax", name="answer")(x), name="pets")
    path = tmp_path_factory.mktemp("own") / "pets.keras"
    model.save(path)
    return model, [(path.name, path.read_bytes()), ("labels.txt", b"0 Cat\n1 Owl\n")]


def bring(files, page="", **query):
    return upload(open_page(page, model="own", **query), files, "own model")


def test_without_a_file_every_page_says_where_to_give_one():
    at = open_page(model="own")
    assert ["Upload its file in the sidebar" in info.value for info in at.info] == [True]
    for page in WITH_NETWORK[1:]:
        go(at, page)
        assert not at.error
        assert "no model of your own yet" in said(at)


def test_a_file_is_shown_on_every_page_and_stays_when_another_is_refused(pets):
    model, files = pets
    at = bring(files)
    assert not at.error
    for page in PAGES[1:]:
        go(at, page)
        assert not at.error
        assert not at.warning
        assert at.query_params["model"] == "own"
    go(at, "feature_maps")
    labelled(at.selectbox, "Layer").set_value("inner/conv")
    run(at)
    backbone = load_backbone(model, preprocessing="none")
    from featlib.images import load_samples

    maps = feature_maps(backbone, load_samples("photos")[:1], "inner/conv")[0]
    shown = np.ravel(traces(at, "vector")[0]["y"])
    np.testing.assert_allclose(shown, maps.mean(axis=(0, 1)), rtol=1e-3, atol=1e-3)
    assert 'featlib.load_backbone("pets.keras"' in at.code[0].value
    upload(at, [("evil.keras", b"PK\x03\x04 this is no model")], "own model")
    assert len(at.error) == 1
    assert "'evil.keras' cannot be used" in at.error[0].value
    assert choices(at).own.name == "pets.keras"
    assert values(at, "maps")


def test_the_stage_stays(pets):
    at = open_page("feature_maps", layer="stem_relu")
    labelled(at.selectbox, "Network").set_value("own")
    upload(run(at), pets[1], "own model")
    assert find_layer(choices(at).own, choices(at).layer).stride == (2, 2)


@pytest.mark.slow
def test_the_pixels_enter_as_the_person_says(pets):
    model, files = pets
    at = bring(files, "feature_maps")
    assert labelled(at.selectbox, "Pixels enter as").value == "none"
    labelled(at.selectbox, "Layer").set_value("inner/act")
    before = np.ravel(traces(run(at), "vector")[0]["y"])
    labelled(at.selectbox, "Pixels enter as").set_value("unit")
    after = np.ravel(traces(run(at), "vector")[0]["y"])
    assert at.query_params["pixels"] == "unit"
    from featlib.images import load_samples

    backbone = load_backbone(model, preprocessing="unit")
    assert find_layer(backbone, "inner/act").output_shape == (15, 15, 6)
    maps = feature_maps(backbone, load_samples("photos")[:1], "inner/act")[0]
    np.testing.assert_allclose(after, maps.mean(axis=(0, 1)), rtol=1e-3, atol=1e-5)
    assert not np.allclose(before, after)


@pytest.mark.slow
def test_the_classes_get_names(pets):
    _, files = pets
    at = bring(files[:1])
    assert "class 0" in element(at, "plotly_chart", "prediction").proto.alt
    labelled(at.text_area, "Names of its 2 classes").set_value("Katze")
    assert "1 names for 2 classes" in said(run(at))
    labelled(at.text_area, "Names of its 2 classes").set_value("Katze\nEule")
    alt = element(run(at), "plotly_chart", "prediction").proto.alt
    assert "Katze" in alt
    assert "Eule" in alt
    go(at, "feature_maps")
    assert element(go(at, ""), "plotly_chart", "prediction").proto.alt == alt


@pytest.mark.slow
def test_weights_alone_are_given_to_the_network_they_belong_to(tmp_path):
    backbone = load_backbone("MobileNetV2(alpha=0.35, classes=4)", weights=None, input_shape=(96, 96, 3))
    backbone.model.save_weights(tmp_path / "mine.weights.h5")
    at = open_page("layers", model="own")
    labelled(at.selectbox, "File contains").set_value("weights of MobileNetV2")
    labelled(run(at).number_input, "Classes").set_value(4)
    upload(run(at), [("mine.weights.h5", (tmp_path / "mine.weights.h5").read_bytes())], "own model")
    assert "expects weights" in at.error[0].value, "alpha is another: the message names the first layer that differs"

    whole = load_backbone("MobileNetV2(classes=4)", weights=None)
    whole.model.save_weights(tmp_path / "whole.weights.h5")
    upload(at, [("whole.weights.h5", (tmp_path / "whole.weights.h5").read_bytes())], "own model")
    assert not at.error
    assert choices(at).own.fingerprint == whole.fingerprint
