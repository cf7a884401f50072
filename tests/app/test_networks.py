"""The choice of network: weights, top, input size, and a network whose weights are not here."""

from __future__ import annotations

import numpy as np
import pytest

from featlib.errors import WeightsNotFoundError
from featlib.features import feature_maps
from featlib.models import load_backbone
from featlib.ui.compute import networks
from tests.app.driver import (
    PAGES,
    WITH_NETWORK,
    choices,
    elements,
    go,
    has,
    labelled,
    open_page,
    press,
    programs,
    run,
    said,
    traces,
    values,
)

MESSAGE = (
    "The ImageNet weights of MobileNetV2 are not on this machine. Download "
    "https://storage.googleapis.com/tensorflow/keras-applications/a_b.h5"
)


@pytest.fixture
def offline(monkeypatch):
    """MobileNetV2's ImageNet weights are unavailable, as on a machine without a network."""

    def load(model, *, weights, **options):
        if weights == "imagenet" and model == "MobileNetV2":
            raise WeightsNotFoundError(MESSAGE)
        return load_backbone(model, weights=weights, **options)

    monkeypatch.setattr(networks, "load_backbone", load)


def test_random_weights_are_another_network(photos):
    at = open_page("feature_maps", layer="block4_add")
    trained = np.ravel(traces(at, "vector")[0]["y"])
    labelled(at.segmented_control, "Weights").set_value("random")
    run(at)
    assert at.query_params["weights"] == "random"
    random = np.ravel(traces(at, "vector")[0]["y"])
    wanted = load_backbone("EfficientNetLite0", weights=None, input_shape=(96, 96, 3))
    maps = feature_maps(wanted, photos[:1], "block4_add")[0]
    np.testing.assert_allclose(random, maps.mean(axis=(0, 1)), rtol=1e-3, atol=1e-5)
    assert not np.allclose(random, trained)
    assert "weights=None" in programs(at)[0]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("choice", [{"weights": "random"}, {"top": "0"}], ids=["random", "no top"])
def test_every_page_works_with_random_weights_and_without_the_top(page, choice):
    at = open_page(page, images="views", layer="block4_add", limit=300, **choice)
    assert not at.error
    assert not at.warning
    assert choice.items() <= at.query_params.items()


def test_taking_the_weights_choice_away_keeps_it():
    at = open_page("layers", weights="random")
    labelled(at.segmented_control, "Weights").set_value(None)
    run(at)
    assert choices(at).weights == "random"


def test_without_the_top_home_says_why_there_are_no_classes():
    at = open_page(top=0)
    assert not has(at, "plotly_chart", "prediction")
    assert "ends at head_relu and has no classification head" in said(at)
    labelled(at.toggle, "Include top").set_value(True)
    run(at)
    assert has(at, "plotly_chart", "prediction")
    assert "top" not in at.query_params


@pytest.mark.parametrize(("size", "side"), [(96, 12), (128, 16), (224, 28)])
def test_the_input_size_is_the_size_of_the_maps(size, side):
    at = open_page("feature_maps", size=size)
    assert any(f"{side} × {side} × 40 → 40" in text.value for text in at.markdown)
    assert f"input_shape=({size}, {size}, 3)" in programs(at)[0] or size == 224


def test_another_input_size_is_chosen_in_the_sidebar():
    at = open_page("layers")
    labelled(at.selectbox, "Input size").set_value(128)
    run(at)
    assert at.query_params["size"] == "128"
    assert next(metric.value for metric in at.metric if metric.label == "Input") == "128 × 128"


@pytest.mark.slow
@pytest.mark.keras_home
def test_mobilenet_on_every_page(photos):
    """But side by side, where it is seen with its own weights in the tests of that page, and costs most."""
    at = open_page(model="MobileNetV2", size=224, image=4)
    assert not at.error
    likeliest = next(chart.proto.alt for chart in elements(at, "plotly_chart") if chart.key == "prediction")
    assert "espresso" in likeliest
    wanted = load_backbone("MobileNetV2")
    assert choices(at).layer in [info.path for info in wanted.layers]
    for page in [page for page in PAGES[1:] if page != "compare"]:
        go(at, page)
        assert not at.error
        assert not at.warning
        assert at.query_params["model"] == "MobileNetV2"
    go(at, "feature_maps")
    labelled(at.selectbox, "Layer").set_value("out_relu")
    run(at)
    maps = feature_maps(wanted, photos[4:5], "out_relu")[0]
    np.testing.assert_allclose(np.ravel(traces(at, "vector")[0]["y"]), maps.mean(axis=(0, 1)), rtol=1e-3, atol=1e-4)


@pytest.mark.keras_home
def test_another_network_begins_at_a_layer_and_a_size_of_its_own():
    at = open_page("feature_maps", layer="block9_add", also="head_relu", size=96, top=0)
    labelled(at.selectbox, "Network").set_value("MobileNetV2")
    run(at)
    assert not at.error
    assert not at.warning
    assert (choices(at).layer, choices(at).also) == ("block_12_add", "out_relu")
    assert at.query_params.items() >= {"layer": "stage:16", "also": "stage:last"}.items()
    assert "size" not in at.query_params
    again = open_page("vectors", **{**at.query_params, "size": 0})
    assert (choices(again).layer, choices(again).also) == ("block_12_add", "out_relu")
    labelled(again.selectbox, "Network").set_value("EfficientNetLite0")
    run(again)
    assert (choices(again).layer, choices(again).also) == ("block10_add", "head_relu")


@pytest.fixture
def loads(monkeypatch):
    """Which networks are loaded; each fails as without a network connection."""
    asked = []

    def load(model, **options):
        asked.append(model)
        raise WeightsNotFoundError(MESSAGE)

    monkeypatch.setattr(networks, "load_backbone", load)
    return asked


@pytest.mark.parametrize("page", WITH_NETWORK)
def test_a_link_downloads_nothing(loads, page):
    at = open_page(page, model="VGG16", size=0, images="views")
    assert not at.error
    assert loads == []
    assert "ImageNet weights of VGG16 are not on this machine" in said(at)
    assert {"Download 553 MB", "Use random weights", "Use EfficientNetLite0"} <= {b.label for b in at.button}


def test_a_download_is_one_click_each_time(loads):
    at = open_page("layers", model="VGG16", size=0)
    press(at, "Download 553 MB")
    assert loads == ["VGG16"]
    assert [error.value for error in at.error] == [MESSAGE]
    run(at)
    assert loads == ["VGG16"]
    assert labelled(at.button, "Download 553 MB")


def test_choosing_a_family_chooses_weights_that_are_there(loads, tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "vgg19_weights_tf_dim_ordering_tf_kernels.h5").touch()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    at = open_page("layers", model="ResNet50", size=0)
    labelled(at.selectbox, "Network").set_value("VGG19")
    run(at)
    assert loads == ["VGG19"]


def test_the_sidebar_says_what_computes():
    at = open_page("layers")
    assert any("Computed on the CPU" in caption.value for caption in at.sidebar.caption)


@pytest.mark.parametrize("page", WITH_NETWORK)
def test_missing_weights_are_a_message_and_two_ways_on(offline, page):
    at = press(open_page(page, model="MobileNetV2", size=128, images="views", layer="block_2_add"), "Download 14 MB")
    assert [error.value for error in at.error] == [MESSAGE]
    assert {"Use random weights", "Use EfficientNetLite0"} <= {button.label for button in at.button}
    assert labelled(at.selectbox, "Version").value == "MobileNetV2"
    assert at.query_params["model"] == "MobileNetV2"


@pytest.mark.parametrize(
    ("button", "query", "layer"),
    [
        ("Use random weights", {"weights": "random", "model": "MobileNetV2"}, "block_5_add"),
        ("Use EfficientNetLite0", {"model": "EfficientNetLite0"}, "block4_add"),
    ],
)
def test_missing_weights_something_else_instead(offline, button, query, layer):
    at = press(open_page("feature_maps", model="MobileNetV2", size=128), "Download 14 MB")
    press(at, button)
    assert not at.error
    assert query.items() <= at.query_params.items()
    assert choices(at).layer == layer
    assert len(values(at, "maps")) > 10


def test_missing_weights_leave_the_other_pages_and_choices_alone(offline):
    at = open_page("feature_maps", model="MobileNetV2", size=128, image=3)
    press(go(at, "layers"), "Download 14 MB")
    assert [error.value for error in at.error] == [MESSAGE]
    labelled(at.selectbox, "Network").set_value("EfficientNetLite0")
    go(run(at), "feature_maps")
    assert not at.error
    assert at.query_params["image"] == "3"
