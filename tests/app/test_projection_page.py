"""The scatter shows what featlib computes, and the pictures of what is picked."""

from __future__ import annotations

import numpy as np
import pytest

from featlib.analysis import project
from featlib.features import extract_vectors
from featlib.images import load_samples
from tests.app.driver import (
    SIZE,
    choices,
    data,
    element,
    elements,
    go,
    has,
    labelled,
    open_page,
    run,
    said,
    select,
    traces,
    values,
)
from tests.app.uploading import brought

LAYER = "block9_add"


@pytest.fixture(scope="module")
def views():
    return load_samples("views")


@pytest.fixture(scope="module")
def vectors(lite96, views):
    return extract_vectors(lite96, views, LAYER).X


def drawn(at):
    """Image id -> coordinates, as drawn."""
    points = {}
    for trace in traces(at, "scatter"):
        axes = [np.ravel(trace[axis]) for axis in "xyz" if axis in trace]
        for i, custom in enumerate(trace.get("customdata", [])):
            points[np.ravel(custom)[0]] = [axis[i] for axis in axes]
    return points


def legend(at):
    return {trace["name"] for trace in traces(at, "scatter") if trace.get("name")}


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_the_points_are_those_of_featlib(method, dimensions, views, vectors):
    from featlib.ui.compute import compute_vectors, load_network

    at = open_page("projection", images="views", layer=LAYER)
    labelled(at.segmented_control, "Method").set_value(method)
    labelled(at.segmented_control, "Dimensions").set_value(dimensions)
    run(at)
    backbone = load_network("EfficientNetLite0", "imagenet", True, SIZE)
    X = compute_vectors(choices(at), backbone, views, [LAYER]).vectors[LAYER]
    np.testing.assert_allclose(X, vectors, rtol=1e-4, atol=1e-5)
    # From the app's own vectors: t-SNE makes another picture of vectors that differ in the last bit.
    wanted = project(X, method=method, n_components=dimensions).coordinates
    points = drawn(at)
    assert set(points) == set(views.ids)
    shown = np.array([points[image_id] for image_id in views.ids])
    assert shown.shape == (120, dimensions)
    np.testing.assert_allclose(shown, wanted, rtol=1e-4, atol=1e-4)
    assert ("of the variance" if method == "pca" else "Perplexity 30, seed 0") in said(at)
    assert at.query_params.get("method", "pca") == method
    assert at.query_params.get("dimensions", "2") == str(dimensions)


@pytest.mark.parametrize("column", ["photo", "view"])
def test_color_by_a_label_column(column, views):
    at = open_page("projection", images="views", layer=LAYER)
    labelled(at.selectbox, "Color").set_value(column)
    run(at)
    assert legend(at) == set(views.labels_for(column))
    assert labelled(at.selectbox, "Color").value == column
    assert f"of the images share the {column} of most of their 5 nearest neighbors" in said(at)


def test_color_by_the_predicted_class(lite96, views):
    at = open_page("projection", images="views", layer=LAYER)
    labelled(at.selectbox, "Color").set_value("predicted class")
    run(at)
    probabilities = extract_vectors(lite96, views, "predictions").X
    predicted = {lite96.class_names[i] for i in probabilities.argmax(axis=1)}
    assert len(predicted) > 5
    alike = {name for name in legend(at) if name in predicted}
    assert len(alike) >= min(len(predicted), 8) - 1  # where there are many, the rare ones share one color
    assert set(drawn(at)) == set(views.ids)


def test_without_the_top_there_is_no_predicted_class():
    at = open_page("projection", images="views", layer=LAYER, top=0, color="predicted class")
    assert labelled(at.selectbox, "Color").options == ["photo", "view"]
    assert labelled(at.selectbox, "Color").value == "photo"
    assert ["color=predicted class" in warning.value for warning in at.warning] == [True]


def test_labels_that_stand_alone_are_not_scored():
    assert "of their 5 nearest neighbors" not in said(open_page("projection"))
    assert "of their 5 nearest neighbors" in said(open_page("projection", images="views"))


def test_a_click_shows_the_picture(views):
    at = open_page("projection", images="views", layer=LAYER)
    assert "Click a point" in said(at)
    assert not has(at, "bidi_component", "selected")
    chart = element(at, "plotly_chart", "scatter")
    select(at, chart, points=[{"customdata": [views.ids[17]]}], point_indices=[17], box=[], lasso=[])
    assert values(at, "selected") == [17]
    assert data(at, "selected")["pictures"][0]["title"].startswith(views.names[17])
    assert "**1 selected**" in said(at)


def test_in_space_a_picture_is_picked_from_a_list(views):
    at = open_page("projection", images="views", layer=LAYER, dimensions=3)
    assert not [control for control in at.segmented_control if control.label == "Mouse"]
    assert "Click a point" not in said(at), "a click does nothing in 3-D"
    hover = {np.ravel(trace["customdata"])[0]: np.ravel(trace["text"])[0] for trace in traces(at, "scatter")}
    assert hover[views.ids[12]].startswith(f"<b>13 · {views.names[12]}</b>")
    box = labelled(at.selectbox, "Show picture")
    assert box.options[17] == f"18 · {views.names[17]}"
    box.set_value(17)
    run(at)
    assert values(at, "selected") == [17]
    labelled(at.segmented_control, "Dimensions").set_value(2)
    run(at)
    assert "Click a point" in said(at)
    assert labelled(at.segmented_control, "Mouse").value == "click"


def test_a_lasso_shows_the_pictures_once_each_and_not_too_many(views):
    at = open_page("projection", images="views", layer=LAYER, tool="lasso")
    assert "Draw a lasso" in said(at)
    ids = [*views.ids[:30], views.ids[0], "a point of another set"]
    select(
        at,
        element(at, "plotly_chart", "scatter"),
        points=[{"customdata": [image_id]} for image_id in ids],
        point_indices=list(range(len(ids))),
        box=[],
        lasso=[],
    )
    assert values(at, "selected") == list(range(24))
    assert "**30 selected**, the first 24 shown" in said(at)


def test_another_layer_is_another_plot_without_the_old_selection(views):
    at = open_page("projection", images="views", layer=LAYER)
    chart = element(at, "plotly_chart", "scatter")
    select(at, chart, points=[{"customdata": [views.ids[3]]}], point_indices=[3], box=[], lasso=[])
    before = drawn(at)
    labelled(at.selectbox, "Layer").set_value("block4_add")
    run(at)
    assert len(elements(at, "plotly_chart")) == 1
    assert drawn(at) != before
    assert not has(at, "bidi_component", "selected")


@pytest.mark.parametrize("method", ["pca", "tsne"])
@pytest.mark.parametrize("count", [1, 3])
def test_too_few_images_are_told_how_many_are_needed(method, count):
    at = brought(count)
    choices(at).method = method
    go(at, "projection")
    assert [error.value for error in at.error] == [
        f"A projection needs at least 4 images; this set has {count}. Choose another set in the sidebar, "
        "or upload more on Home."
    ]
    assert not elements(at, "plotly_chart")


@pytest.mark.parametrize("count", [4, 5, 6])
def test_a_handful_of_images_is_enough_for_everything(count):
    at = brought(count)
    for method in ("pca", "tsne"):
        for dimensions in (2, 3):
            choices(at).method, choices(at).dimensions = method, dimensions
            go(at, "projection")
            assert not at.error
            assert len(drawn(at)) == count


def test_images_without_labels_have_no_color_without_the_top():
    at = brought(5)
    choices(at).top, choices(at).color = False, "photo"
    go(at, "projection")
    assert not [box for box in at.selectbox if box.label == "Color"]
    assert "colored by nothing" in element(at, "plotly_chart", "scatter").proto.alt


def test_perplexity_keeps_within_its_bounds_and_the_choice_waits():
    at = open_page("projection", method="tsne", layer=LAYER)
    slider = labelled(at.slider, "Perplexity")
    assert slider.label == "Perplexity (1 to 3)"
    assert (slider.min, slider.max, slider.value) == (1.0, 3.0, 3.0)
    assert "Perplexity 3, seed" in said(at)
    assert "perplexity=3.0," in at.code[0].value
    labelled(at.selectbox, "Images").set_value("views")
    run(at)
    slider = labelled(at.slider, "Perplexity")
    assert (slider.max, slider.value) == (39.5, 30.0)
    slider.set_value(12.5)
    run(at)
    assert at.query_params["perplexity"] == "12.5"
    assert "Perplexity 12.5, seed" in said(at)


def test_perplexity_of_a_link_is_clamped():
    at = open_page("projection", method="tsne", layer=LAYER, perplexity=1e9)
    assert not at.error
    assert labelled(at.slider, "Perplexity").value == 3.0
    assert ["perplexity=1000000000.0" in warning.value for warning in at.warning] == [True]
    at = open_page("projection", method="tsne", layer=LAYER, perplexity=0.1)
    assert labelled(at.slider, "Perplexity").value == 1.0
