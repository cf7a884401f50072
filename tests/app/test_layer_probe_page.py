"""Which layer is best: the curve on screen is probe_layers', and a click chooses a layer."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from featlib.features.store import VectorStore
from featlib.images import load_samples
from featlib.models import load_backbone
from featlib.transfer import probe_layers, stage_layers
from tests.app.driver import SIZE, choices, element, go, has, labelled, open_page, press, run, said, select, traces
from tests.app.uploading import upload
from tests.images.corpus import encode


@pytest.fixture(scope="module")
def shapes():
    return load_samples("shapes").sample(300, by="shape")


@pytest.fixture(scope="module")
def at():
    return open_page("layer_probe", images="shapes", limit=300, layer="block4_add")


def test_the_curve_is_that_of_probe_layers(at, lite96, shapes):
    expected = probe_layers(lite96, shapes, store=VectorStore())
    [curve] = traces(at, "depth")
    assert curve["customdata"] == list(stage_layers(lite96))
    np.testing.assert_allclose(np.ravel(curve["y"]), expected.mean_accuracies, atol=0.011)
    np.testing.assert_allclose(np.ravel(curve["error_y"]["array"]), expected.std_accuracies, atol=0.011)
    best = expected.mean_accuracies.max()
    equal = [path for path, mean in zip(expected.layers, expected.mean_accuracies, strict=True) if mean == best]
    assert len(equal) == 2
    assert f"Two layers tie at {best:.0%} for “shape”: {' and '.join(equal)}" in said(at).replace("\\", "")
    assert "over 300 images" in said(at)
    alt = element(at, "plotly_chart", "depth").proto.alt
    for layer, mean in zip(expected.layers, np.ravel(curve["y"]), strict=True):
        assert f"{layer} {mean:.0%}" in alt
    assert "majority class 17%" in alt


def test_a_click_chooses_the_layer_for_all_pages():
    at = open_page("layer_probe", images="views", layer="block4_add")
    chart = element(at, "plotly_chart", "depth")
    select(at, chart, points=[{"customdata": "block10_add", "point_index": 3}], point_indices=[3], box=[], lasso=[])
    assert choices(at).layer == at.query_params["layer"] == "block10_add"
    assert labelled(at.segmented_control, "Continue with").value == "block10_add"
    labelled(at.segmented_control, "Continue with").set_value("head_relu")
    run(at)
    assert at.query_params["layer"] == "head_relu"
    go(at, "transfer")
    assert labelled(at.selectbox, "Layer").value == "head_relu"


def test_another_label_is_another_curve():
    at = open_page("layer_probe", images="views", layer="block4_add")
    photos = np.ravel(traces(at, "depth")[0]["y"])
    labelled(at.segmented_control, "Label to predict").set_value("view")
    views = np.ravel(traces(run(at), "depth")[0]["y"])
    assert photos.mean() > 0.5 > views.mean(), "which photo it is, is easier to tell than which view"


def test_a_layer_that_is_no_end_of_a_stage_stays_chosen():
    at = open_page("layer_probe", images="views", layer="block9_add")
    assert labelled(at.segmented_control, "Continue with").value is None
    assert at.query_params["layer"] == "block9_add"


def test_a_task_that_is_too_easy_to_compare_layers_by_is_called_so():
    """Bright and dark images."""
    files = [
        (f"set/{name}/{i}.png", encode(Image.new("RGB", (32, 32), (level + i,) * 3), "PNG"))
        for name, level in (("dark", 20), ("bright", 200))
        for i in range(6)
    ]
    at = go(upload(open_page(), files, "folder"), "layer_probe")
    assert "Raw pixels do as well: the task is too easy to compare layers by." in said(at)
    assert "these images do not tell which of them is better" in said(at)


def test_images_of_one_each_cannot_be_learned():
    at = open_page("layer_probe")
    assert "10 of the 10 labels in “photo” have only one image" in said(at)
    assert not at.error
    assert not has(at, "plotly_chart", "depth")
    assert 'load_samples("views")' in at.code[0].value
    assert has(press(at, "Use the views"), "plotly_chart", "depth")


def test_two_networks_stand_on_one_curve(lite96):
    at = open_page("layer_probe", images="views", layer="block4_add")
    labelled(at.toggle, "Compare with a second network").set_value(True)
    run(at)
    assert at.query_params["both"] == "1"
    first, second = traces(at, "depth")
    assert first["name"] == "EfficientNetLite0 · ImageNet weights"
    assert second["name"] == "EfficientNetLite0 · random weights"
    views = load_samples("views")
    untrained = load_backbone("EfficientNetLite0", weights=None, input_shape=(SIZE, SIZE, 3))
    for curve, backbone in ((first, lite96), (second, untrained)):
        expected = probe_layers(backbone, views, y="photo", store=VectorStore())
        np.testing.assert_allclose(np.ravel(curve["y"]), expected.mean_accuracies, atol=0.02)
    assert "EfficientNetLite0 · ImageNet weights is better by" in said(at).replace("\\", "")
    assert "over 5 folds, more than the spread" in said(at)
    assert "weights=None" in at.code[1].value
    chart = element(at, "plotly_chart", "depth")
    select(at, chart, points=[{"point_index": 2, "curve_number": 1}], point_indices=[2], box=[], lasso=[])
    assert choices(at).layer == "block4_add", "the layers of the second network are not those of the first"
