"""Compare: the right half is another network, and both halves are the library's."""

from __future__ import annotations

import numpy as np
import pytest

from featlib.analysis import neighbor_accuracy
from featlib.features import extract_vectors, feature_maps
from featlib.images import load_samples
from featlib.models import load_backbone
from tests.app.driver import SIZE, choices, has, labelled, open_page, run, said, traces


@pytest.fixture(scope="module")
def random96():
    return load_backbone("EfficientNetLite0", weights=None, input_shape=(SIZE, SIZE, 3))


def worth(backbone, layer):
    views = load_samples("views")
    return f"{neighbor_accuracy(extract_vectors(backbone, views, layer).X, views.labels_for('photo')):.0%}"


def test_trained_and_random_weights_of_the_same_network(lite96, random96, photos):
    at = open_page("compare", image=3, layer="block9_add")
    assert "**EfficientNetLite0** · ImageNet weights · 96 × 96" in said(at)
    assert "**EfficientNetLite0** · random weights · 96 × 96" in said(at)
    assert said(at).count("**block9_add** · 6 × 6 × 112") == 2
    assert not [box for box in at.selectbox if box.label.startswith("Right layer")]
    for name, backbone in (("left", lite96), ("right", random96)):
        probabilities = feature_maps(backbone, [photos[3]], "predictions")[0]
        shown = np.ravel(traces(at, f"classes {name}")[0]["x"])
        np.testing.assert_allclose(shown, np.sort(probabilities)[::-1][:5], rtol=1e-3)
    assert [(metric.label, metric.value) for metric in at.metric] == [
        (layer, worth(backbone, layer)) for backbone in (lite96, random96) for layer in ("block9_add", "head_relu")
    ]
    assert int(at.metric[1].value[:-1]) > int(at.metric[3].value[:-1]), "training has added something"


def test_a_random_network_is_compared_with_the_trained_one():
    at = open_page("compare", weights="random")
    assert labelled(at.segmented_control, "Weights on the right").options == ["ImageNet weights"]
    assert "**EfficientNetLite0** · ImageNet weights" in said(at)


@pytest.mark.slow
@pytest.mark.parametrize("link", [{}, {"other": "MobileNetV2(alpha=0.35)"}], ids=["by itself", "by link"])
def test_a_network_with_options_is_compared_with_its_own_random_weights(monkeypatch, link):
    from featlib.ui.compute import networks

    def load(model, *, weights, **options):  # its ImageNet weights are not here
        return load_backbone(model, weights="random", **options).adapted(weights=weights)

    monkeypatch.setattr(networks, "load_backbone", load)
    at = open_page("compare", model="MobileNetV2(alpha=0.35)", layer="block_5_add", size=128, **link)
    assert not at.warning
    assert "**MobileNetV2(alpha=0.35)** · ImageNet weights · 128 × 128" in said(at)
    assert "**MobileNetV2(alpha=0.35)** · random weights · 128 × 128" in said(at)
    assert said(at).count("**block_5_add** · 16 × 16 × 16") == 2
    options = labelled(at.selectbox, "Network on the right").options
    assert options[0] == "MobileNetV2(alpha=0.35) (the same network)"
    assert "EfficientNetLite0" in options
    labelled(at.selectbox, "Width").set_value("MobileNetV2(alpha=0.5)")
    assert not run(at).warning
    assert f"**MobileNetV2(alpha={'0.35' if link else '0.5'})** · random weights" in said(at)


@pytest.mark.slow
def test_another_network_starts_with_the_stage_of_nearest_resolution():
    at = open_page("compare", layer="block4_add", other="MobileNetV2", other_weights="random")
    assert labelled(at.selectbox, "Right layer").value == "block_5_add"
    assert "**block_5_add** · 12 × 12 × 32" in said(at)
    labelled(at.selectbox, "Right layer").set_value("block_2_add")
    run(at)
    assert at.query_params["other_layer"] == "block_2_add"
    assert "**block_2_add** · 24 × 24 × 24" in said(at)
    assert {"other": "MobileNetV2", "other_weights": "random"}.items() <= at.query_params.items()
    labelled(at.selectbox, "Network on the right").set_value("EfficientNetLite0")
    run(at)
    assert "**EfficientNetLite0** · random weights" in said(at)
    assert not at.warning


def test_a_layer_without_maps_is_compared_with_its_like():
    at = open_page("compare", layer="avg_pool", other="MobileNetV2", other_weights="random")
    assert labelled(at.selectbox, "Right layer").value == "global_average_pooling2d"
    for name in ("left", "right"):
        assert len(np.ravel(traces(at, f"vector {name}")[0]["y"])) == 1280


def test_a_right_layer_that_is_not_there_is_named_and_another_shown():
    at = open_page("compare", other="MobileNetV2", other_weights="random", other_layer="block_2_ad")
    assert ["'block_2_ad'" in warning.value for warning in at.warning] == [True]
    assert "'block_5_add'" in at.warning[0].value
    assert choices(at).other_layer == ""
    assert not run(at).warning


@pytest.mark.parametrize("name", ["ResNet50", "NASNetLarge"])
def test_weights_that_are_not_here_are_not_offered(name, monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    at = open_page("compare")
    options = labelled(at.selectbox, "Network on the right").options
    assert f"{name} (random weights only)" in options
    assert "EfficientNetLite0 (the same network)" in options


@pytest.mark.slow
@pytest.mark.keras_home
def test_weights_that_are_here_are_offered_and_wanted_first():
    at = open_page("compare", size=224, other="MobileNetV2")
    assert labelled(at.segmented_control, "Weights on the right").options == ["ImageNet weights", "random weights"]
    assert "**MobileNetV2** · ImageNet weights · 224 × 224" in said(at)
    assert not at.error


@pytest.mark.slow
def test_without_the_top_there_are_no_classes():
    at = open_page("compare", top=0)
    assert not has(at, "plotly_chart", "classes")
    assert said(at).count("It ends at head_relu and has no classification head.") == 2
    assert len(at.code) == 1


def test_the_program_gives_what_is_on_screen(outcome, lite96, photos):
    at = open_page("compare", image=2, layer="block10_add", other="MobileNetV2", other_weights="random")
    made = outcome(at)
    shown = {metric.label: metric.value for metric in at.metric}
    assert shown["block10_add"] == f"{made['left_agreement']:.0%}"
    assert shown[choices(at).other_layer or "block_12_add"] == f"{made['right_agreement']:.0%}"
    np.testing.assert_allclose(made["left_output"], feature_maps(lite96, [photos[2]], "block10_add")[0], atol=1e-3)
