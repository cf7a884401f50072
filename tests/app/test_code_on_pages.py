"""The program at the end of a page, run as it stands there, makes what the page shows."""

from __future__ import annotations

import numpy as np
import pytest

from tests.app.driver import element, open_page, traces


def numbers(at, key, name):
    return np.array(traces(at, key)[0][name], float)


def test_feature_maps(outcome):
    at = open_page("feature_maps", layer="block9_add", channel=5, image=2)
    maps = outcome(at)["maps"]
    np.testing.assert_allclose(
        np.ravel(numbers(at, "vector", "y")), maps.reshape(-1, 112).mean(axis=0), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("model", ["EfficientNetLite0", pytest.param("MobileNetV2", marks=pytest.mark.slow)])
def test_layers_without_height_and_width(outcome, model):
    at = open_page("feature_maps", model=model, layer="predictions", weights="random", image=2)
    made = outcome(at)
    assert "maps" not in made
    np.testing.assert_allclose(np.ravel(numbers(at, "vector", "y")), made["vector"], rtol=1e-3, atol=1e-6)


def test_vectors_of_two_layers_of_a_part_of_the_images(outcome):
    at = open_page("vectors", layer="block4_add", also="head_relu", pooling="max", l2=1, images="digits", limit=300)
    X = outcome(at)["X"]
    assert X.shape == (300, 1320)
    np.testing.assert_allclose(numbers(at, "matrix", "z"), X[:40], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_projection(outcome):
    at = open_page("projection", images="views", layer="block9_add", dimensions=3)
    coordinates = outcome(at)["coordinates"]
    drawn = np.concatenate([np.transpose([np.ravel(t[axis]) for axis in "xyz"]) for t in traces(at, "scatter")])
    assert coordinates.shape == drawn.shape == (120, 3)
    # Axes may be mirrored, and the chart draws one label after the other: the views come in that order too.
    np.testing.assert_allclose(
        np.sort(np.abs(coordinates), axis=0), np.sort(np.abs(drawn), axis=0), rtol=0.01, atol=0.01
    )


@pytest.mark.slow
def test_transfer(outcome):
    at = open_page("transfer", images="shapes", layer="block4_add", label="color", limit=300)
    made = outcome(at)
    assert f"block4_add {np.mean(made['accuracies']):.0%};" in element(at, "plotly_chart", "accuracy").proto.alt
    wrong = int((made["predictions"] != made["y"]).sum())
    assert f"{wrong} of 300 are wrong" in element(at, "plotly_chart", "confusion").proto.alt
