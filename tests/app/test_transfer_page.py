"""The first lesson of transfer learning: the numbers on screen are linear_probe's."""

from __future__ import annotations

import numpy as np
import pytest

from featlib.analysis import linear_probe
from featlib.features import extract_vectors, raw_pixel_vectors
from featlib.images import load_samples
from featlib.models import load_backbone
from tests.app.driver import (
    SIZE,
    choices,
    data,
    element,
    elements,
    has,
    labelled,
    open_page,
    pick,
    press,
    run,
    said,
    select,
    traces,
)

LAYER = "block9_add"


@pytest.fixture(scope="module")
def shapes():
    return load_samples("shapes").sample(300, by="shape")


@pytest.fixture(scope="module")
def at():
    return open_page("transfer", images="shapes", limit=300, layer=LAYER)


def accuracies(at):
    """Bar -> accuracy, from the chart."""
    return {
        str(name): float(value)
        for trace in traces(at, "accuracy")
        for name, value in zip(np.ravel(trace["y"]), np.ravel(trace["x"]), strict=True)
    }


def test_the_bars_are_those_of_the_probe(at, lite96, shapes):
    y = shapes.labels_for("shape")
    untrained = load_backbone("EfficientNetLite0", weights=None, input_shape=(SIZE, SIZE, 3))
    layer = linear_probe(extract_vectors(lite96, shapes, LAYER).X, y)
    random = linear_probe(extract_vectors(untrained, shapes, LAYER).X, y)
    pixels = linear_probe(raw_pixel_vectors(shapes), y)
    shown = accuracies(at)
    assert sorted(shown.values()) == pytest.approx(
        sorted([layer.mean_accuracy, random.mean_accuracy, pixels.mean_accuracy, layer.majority_accuracy]), abs=0.011
    )
    assert max(shown.values()) == pytest.approx(layer.mean_accuracy, abs=0.011), "trained beats all others"
    assert layer.mean_accuracy > random.mean_accuracy
    assert layer.mean_accuracy > layer.majority_accuracy + 0.5
    alt = element(at, "plotly_chart", "accuracy").proto.alt
    for name in (LAYER, "random weights", "raw pixels", "majority class"):
        assert name in alt
    assert f"{layer.cv}-fold stratified" in said(at)
    assert "over 300 images" in said(at)


def test_the_heading_says_the_layers_accuracy(at):
    assert f"shape: {max(accuracies(at).values()):.0%} correct" in [h.value for h in at.subheader]


def test_the_confusion_and_the_mistakes_tell_the_same(at, lite96, shapes):
    y = shapes.labels_for("shape")
    probe = linear_probe(extract_vectors(lite96, shapes, LAYER).X, y)
    confusion = np.array(traces(at, "confusion")[0]["z"], float)
    assert confusion.shape == (6, 6)
    assert f"{len(probe.mistakes)} of 300 are wrong" in element(at, "plotly_chart", "confusion").proto.alt
    assert f"all misclassified ({len(probe.mistakes)})" == labelled(at.selectbox, "Images shown").options[0]


def test_another_label_column():
    at = open_page("transfer", images="shapes", limit=300, layer="block4_add", label="color")
    assert labelled(at.segmented_control, "Label to predict").value == "color"
    assert any(h.value.startswith("color: ") for h in at.subheader)
    labelled(at.segmented_control, "Label to predict").set_value("size")
    run(at)
    assert at.query_params["label"] == "size"
    assert any(h.value.startswith("size: ") for h in at.subheader)
    assert np.array(traces(at, "confusion")[0]["z"]).shape == (2, 2)


def test_another_label_of_the_very_same_images():
    at = open_page("transfer", images="views", layer="block4_add")
    assert np.array(traces(at, "confusion")[0]["z"]).shape == (10, 10)
    labelled(at.segmented_control, "Label to predict").set_value("view")
    run(at)
    assert np.array(traces(at, "confusion")[0]["z"]).shape == (12, 12)


def test_all_mistakes_are_shown_by_name_the_most_confident_first(lite96):
    """In pages of 30; a click chooses the image for all pages."""
    at = open_page("transfer", images="shapes", limit=300, layer="input")
    whole = load_samples("shapes")
    part = whole.sample(300, by="shape")
    probe = linear_probe(extract_vectors(lite96, part, "input").X, part.labels_for("shape"))
    assert len(probe.mistakes) > 60
    ordered = probe.mistakes[np.argsort(-probe.confidences[probe.mistakes], kind="stable")]
    positions = {id(item): i for i, item in enumerate(whole)}
    seen = []
    for page in range(1, at.pagination[0].proto.num_pages + 1):
        at.pagination[0].set_value(page)
        seen += data(run(at), "mistakes")["pictures"]
    assert [picture["value"] for picture in seen] == [positions[id(part[int(i)])] for i in ordered]
    for picture, row in zip(seen, ordered, strict=True):
        assert picture["caption"] == part.names[row]
        assert picture["note"] == f"{probe.confidences[row]:.0%} {probe.predictions[row]}"
        assert part.names[row] in picture["title"]
    pick(at, "mistakes", seen[-1]["value"])
    assert at.query_params["image"] == str(seen[-1]["value"])
    assert f"Open “{seen[-1]['caption']}” on Feature maps" in [link.proto.label for link in elements(at, "page_link")]


def test_a_cell_of_the_confusion_matrix_shows_its_images(lite96):
    at = open_page("transfer", images="shapes", limit=300, layer="input")
    part = load_samples("shapes").sample(300, by="shape")
    probe = linear_probe(extract_vectors(lite96, part, "input").X, part.labels_for("shape"))
    counts = probe.confusion.copy()
    np.fill_diagonal(counts, 0)
    row, column = np.unravel_index(counts.argmax(), counts.shape)
    true, predicted = probe.classes[[row, column]]
    chart = element(at, "plotly_chart", "confusion")
    select(at, chart, points=[{"customdata": [int(row), int(column)]}], point_indices=[0], box=[], lasso=[])
    assert at.query_params["cell"] == f"{true} → {predicted}"
    pictures = data(at, "mistakes")["pictures"]
    assert len(pictures) == min(30, counts.max())
    assert f"{counts.max()} of 300 images are {true} → {predicted} when held out" in said(at)
    whole = load_samples("shapes")
    assert {whole[picture["value"]].labels["shape"] for picture in pictures} == {true}
    again = open_page("transfer", **dict(at.query_params))
    assert data(again, "mistakes")["pictures"] == pictures
    labelled(again.selectbox, "Images shown").set_value("")
    assert "cell" not in run(again).query_params


def test_a_cell_that_is_not_there_is_named():
    at = open_page("transfer", images="views", layer="block4_add", cell="cat → dog")
    assert ["cell=cat → dog" in warning.value for warning in at.warning] == [True]
    assert not at.error


def test_a_random_network_is_not_compared_with_itself():
    at = open_page("transfer", images="shapes", limit=300, layer="block4_add", weights="random")
    assert "random weights" not in accuracies(at)
    assert len(accuracies(at)) == 3


def test_images_of_one_each_cannot_be_learned():
    at = open_page("transfer")
    assert "10 of the 10 labels in “photo” have only one image, such as “china”." in said(at)
    assert not at.error
    assert not elements(at, "plotly_chart")
    [shown] = [expander.label for expander in at.expander if "The code" in expander.label]
    assert "from the built-in views" in shown, "of nothing on this page"
    assert 'load_samples("views")' in at.code[0].value


@pytest.mark.parametrize("name", ["shapes", "views"])
def test_a_set_with_labels_is_one_click_away(name):
    at = press(open_page("transfer", layer="block4_add"), f"Use the {name}")
    assert at.query_params["images"] == name
    assert choices(at).images == name
    assert has(at, "plotly_chart", "accuracy")
    assert not at.error
