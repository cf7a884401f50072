"""The tensors, the pictures and the effect of wrong preprocessing are the library's."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import streamlit as st

from featlib.features import feature_maps
from featlib.models import SIMPLE_PREPROCESSING, find_preprocessing, load_backbone
from featlib.ui.compute import vector_store
from featlib.ui.pages.preprocessing import find_affine, mismatched_preprocessings, preprocess_inputs
from tests.app.driver import choices, element, elements, has, labelled, open_page, press, run, said, traces


def cosine(a, b):
    return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))


def drawn_counts(at, key):
    return [np.asarray(trace["y"]).sum() for trace in traces(at, key)]


def test_the_numbers_are_those_that_enter_the_network(lite96, photos):
    at = open_page("preprocessing", image=4, wrong="caffe")
    right = lite96.prepare([photos[4]])
    wrong = replace(lite96, preprocessing=find_preprocessing("caffe")).prepare([photos[4]])
    for x, channels in ((right, "RGB"), (wrong, "BGR")):
        means = ", ".join(f"{name} {x[..., i].mean():.3g}" for i, name in enumerate(channels))
        assert f"range **{x.min():.3g} … {x.max():.3g}**" in said(at)
        assert f"mean **{means}**" in said(at)
    assert said(at).count("shape **(1, 96, 96, 3)**, float32") == 2
    for i, channels in enumerate(("RGB", "BGR")):
        assert [trace["name"] for trace in traces(at, f"numbers {i}")] == list(channels)
        assert drawn_counts(at, f"numbers {i}") == [96 * 96] * 3


@pytest.mark.parametrize(
    "name", ["tf", "caffe", *(pytest.param(name, marks=pytest.mark.slow) for name in ("none", "unit", "torch"))]
)
def test_the_effect_is_the_cosine_of_the_pooled_feature_layer(lite96, photos, name):
    at = open_page("preprocessing", image=2, wrong=name)
    wrong = replace(lite96, preprocessing=find_preprocessing(name))
    right_rows, wrong_rows = (feature_maps(b, photos, "head_relu").mean(axis=(1, 2)) for b in (lite96, wrong))
    expected = [cosine(a, b) for a, b in zip(right_rows, wrong_rows, strict=True)]
    assert float(at.metric[0].value) == pytest.approx(expected[2], abs=6e-4)
    assert f"mean {np.mean(expected):.2f}" in said(at)
    others = [cosine(right_rows[i], right_rows[j]) for i in range(10) for j in range(i)]
    assert f"both preprocessed correctly: {np.mean(others):.2f} on average" in said(at)
    assert ("has no effect to speak of" in said(at)) == (name == "tf")


def test_the_classes_are_side_by_side_on_one_scale(lite96, photos):
    at = open_page("preprocessing", image=4)
    wrong = replace(lite96, preprocessing=find_preprocessing(choices(at).wrong or "none"))
    for i, backbone in enumerate((lite96, wrong)):
        probabilities = feature_maps(backbone, [photos[4]], "predictions")[0]
        shown = np.ravel(traces(at, f"classes {i}")[0]["x"])
        np.testing.assert_allclose(shown, np.sort(probabilities)[::-1][:5], rtol=1e-3)
    charts = [json.loads(element(at, "plotly_chart", f"classes {i}").proto.spec) for i in (0, 1)]
    assert charts[0]["layout"]["xaxis"]["range"] == charts[1]["layout"]["xaxis"]["range"]


def test_without_the_top_there_are_no_classes_but_the_effect_is_shown():
    at = open_page("preprocessing", top=0)
    assert not has(at, "plotly_chart", "classes")
    assert 0 < float(at.metric[0].value) < 0.9


def test_the_right_one_is_not_offered_as_wrong():
    at = open_page("preprocessing", wrong="lite0")
    box = labelled(at.selectbox, "What if")
    assert len(box.options) == len(SIMPLE_PREPROCESSING) - 1
    assert box.value == "none"
    box.set_value("torch")
    run(at)
    assert at.query_params["wrong"] == "torch"


def test_the_program_gives_the_numbers_on_screen(outcome):
    at = open_page("preprocessing", image=3, wrong="torch")
    made = outcome(at)
    assert f"{made['cosine']:.3f}" == at.metric[0].value
    for name in ("right", "wrong"):
        x = made[name]
        assert x.dtype == np.float32
        assert f"range **{x.min():.3g} … {x.max():.3g}**" in said(at)


def test_a_changed_image_or_preprocessing_runs_only_what_is_new(fresh, passes):
    at = open_page("preprocessing")
    before = passes.images()
    labelled(at.selectbox, "What if").set_value("unit")
    run(at)
    assert 10 <= passes.images() - before < 20, "the right vectors are there"


def test_one_image_alone_has_no_others_to_compare_with(photos, monkeypatch):
    from featlib.ui import frame

    monkeypatch.setattr(frame, "image_set", lambda session: photos[:1])
    at = open_page("preprocessing")
    assert float(at.metric[0].value) < 0.9
    assert "on average" not in said(at)


def test_a_right_tensor_is_drawn_as_the_picture_it_comes_from(lite96, photos):
    for name in (*SIMPLE_PREPROCESSING, "mobilenet_v2", "resnet"):
        backbone = replace(lite96, preprocessing=find_preprocessing(name))
        (right,) = preprocess_inputs(backbone, None, photos[4])
        np.testing.assert_array_equal(right.image, lite96.resize(photos[4].pixels), err_msg=name)
        np.testing.assert_array_equal(right.tensor, backbone.prepare([photos[4]]))


def test_a_wrong_tensor_is_drawn_as_what_the_network_takes_it_for(lite96, photos):
    wrong = replace(lite96, preprocessing=find_preprocessing("unit"))
    _, shown = preprocess_inputs(lite96, wrong, photos[4])
    pixels = lite96.resize(photos[4].pixels) / 255
    np.testing.assert_allclose(shown.image, np.clip(pixels * 128 + 127, 0, 255), atol=0.51)


def test_networks_with_one_channel_or_a_function_of_their_own(photos):
    import keras

    def flat(channels):
        image = keras.Input((32, 32, channels))
        return keras.Model(image, keras.layers.Conv2D(4, 3)(image))

    grey = load_backbone(flat(1), preprocessing="unit")
    assert mismatched_preprocessings(grey) == ["none", "tf", "lite0"]
    (shown,) = preprocess_inputs(grey, None, photos[4])
    assert shown.image.shape == (32, 32, 3)
    assert (shown.image[..., 0] == shown.image[..., 2]).all()
    np.testing.assert_allclose(shown.image[..., :1], shown.tensor[0] * 255, atol=0.51)

    five = load_backbone(flat(5), preprocessing=lambda x: np.repeat(x[..., :1], 5, axis=-1) * 7)
    assert mismatched_preprocessings(five) == []
    assert find_affine(five) is None
    (shown,) = preprocess_inputs(five, None, photos[4])
    assert (shown.image.min(), shown.image.max()) == (0, 255)


def test_every_picture_says_what_it_is():
    at = open_page("preprocessing", image=3)
    pictures = [part for image in elements(at, "image") for part in image.proto.imgs]
    steps = ("1 · The file", "2 · Resized and cropped", "3 · Preprocessed correctly", "3 · Preprocessed incorrectly")
    assert [picture.alt for picture in pictures] == [f"{step}: chelsea." for step in steps]
    assert pictures[0].caption == "chelsea: 451 × 300 pixels, 0…255"
    assert pictures[1].caption == "96 × 96 pixels"
    charts = elements(at, "plotly_chart")
    assert len(charts) == 4
    assert all(chart.proto.alt for chart in charts)


def test_stopped_work_leaves_the_numbers_and_resumes(fresh, stop_after):
    effect = open_page("preprocessing", layer="block4_add").metric[0].value
    st.cache_data.clear()
    vector_store().clear()
    stop_after(1)
    at = open_page("preprocessing", layer="block4_add")
    assert not at.metric
    assert "range **-0.992 …" in said(at)
    press(at, "Resume")
    assert at.metric[0].value == effect
    assert not [button for button in at.button if button.label in ("Resume", "Stop")]


def test_an_own_model_with_an_inner_one(monkeypatch):
    import keras

    from featlib.ui import compute

    image = keras.Input((40, 32, 3))
    inner = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(6, 3, name="conv")], name="inner")
    backbone = load_backbone(keras.Model(image, inner(keras.layers.Rescaling(1 / 255)(image)), name="mine"))
    monkeypatch.setattr(compute, "network", lambda session: backbone)
    at = open_page("preprocessing", image=4)
    assert labelled(at.selectbox, "What if").value == "unit"
    assert "Correct: mine’s own preprocessing" in said(at)
    assert "**inner**" in said(at)
    assert not has(at, "plotly_chart", "classes")
    at = open_page("compare", image=4, layer="inner/conv")
    assert "**mine** · weights: own · 40 × 32" in said(at)
