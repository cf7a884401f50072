"""The stage of a layer, found in another network."""

from __future__ import annotations

import pytest

from featlib.models import load_backbone
from featlib.ui.widgets.stages import find_stage, name_stage


@pytest.fixture(scope="module")
def mobilenet():
    return load_backbone("MobileNetV2", weights=None, input_shape=(96, 96, 3))


@pytest.mark.parametrize(
    ("layer", "stage", "other"),
    [
        ("head_relu", "stage:last", "out_relu"),
        ("block2_add", "stage:4", "block_2_add"),
        ("block4_add", "stage:8", "block_5_add"),
        ("block9_add", "stage:16", "block_12_add"),
        ("stem_conv", "stage:2", "expanded_conv_project_BN"),
        ("avg_pool", "stage:vector", "global_average_pooling2d"),
        ("predictions", "stage:probabilities", "predictions"),
    ],
)
def test_another_network_shows_the_same_stage(lite0, mobilenet, layer, stage, other):
    """Whatever the size of its input."""
    assert name_stage(lite0, layer) == stage
    assert find_stage(mobilenet, stage) == other
    assert name_stage(mobilenet, other) == stage


@pytest.mark.parametrize(
    "stage", ["stage:", "stage:0", "stage:nan", "stage:inf", "stage:-3", "stage:token", "stage:1e9"]
)
def test_a_stage_that_is_none_is_some_layer(mobilenet, stage):
    assert find_stage(mobilenet, stage) in [info.path for info in mobilenet.layers]


def test_a_network_without_classes_shows_its_last_layer():
    headless = load_backbone("MobileNetV2", weights=None, include_top=False, input_shape=(96, 96, 3))
    assert find_stage(headless, "stage:probabilities") == find_stage(headless, "stage:last") == "out_relu"
