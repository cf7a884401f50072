"""The batch as (n, D): what is on screen and in the files is what featlib computes."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
import streamlit as st

from featlib.analysis import find_neighbors
from featlib.features import extract_vectors, load_vectors
from featlib.images import load_samples
from tests.app.driver import choices, data, element, elements, labelled, open_page, pick, run, said, traces, values


@pytest.fixture
def offered(monkeypatch):
    """What the download buttons of the last run hand out: label -> (function that makes it, file name)."""
    found = {}
    original = st.download_button

    def spy(label, make, file_name, *args, **kwargs):
        found[label] = (make, file_name)
        return original(label, make, file_name, *args, **kwargs)

    monkeypatch.setattr(st, "download_button", spy)
    return found


def downloaded(offered, tmp_path):
    """The table in the .npz file."""
    make, name = offered["Download .npz"]
    (tmp_path / name).write_bytes(make())
    return load_vectors(tmp_path / name)


def shape(at):
    return next(metric.value for metric in at.metric if metric.label == "Shape")


@pytest.mark.parametrize("pooling", ["avg", "max", "flatten"])
def test_the_vectors_are_those_of_featlib(pooling, lite96, photos, offered, tmp_path):
    at = open_page("vectors", layer="block9_add")
    labelled(at.segmented_control, "Pooling").set_value(pooling)
    run(at)
    X = extract_vectors(lite96, photos, "block9_add", pooling=pooling).X
    assert X.shape == (10, 6 * 6 * 112 if pooling == "flatten" else 112)
    assert shape(at) == f"(10, {X.shape[1]:,})"
    np.testing.assert_allclose(downloaded(offered, tmp_path).X, X, rtol=1e-4, atol=1e-5)
    drawn = np.array(traces(at, "matrix")[0]["z"])
    np.testing.assert_allclose(drawn, X[:, :: -(-X.shape[1] // 2048)], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("choice", "drawn"),
    [
        ({}, None),
        ({"images": "views"}, "Drawn: the first 40 of 120 rows."),
        ({"pooling": "flatten"}, "Drawn: 2,016 of 4,032 columns, evenly spaced."),
        (
            {"images": "views", "pooling": "flatten"},
            "Drawn: the first 40 of 120 rows and 2,016 of 4,032 columns, evenly spaced.",
        ),
    ],
)
def test_what_is_left_out_of_the_heat_map_is_said(choice, drawn):
    at = open_page("vectors", layer="block9_add", **choice)
    if drawn is None:
        assert "Drawn" not in said(at)
    else:
        assert drawn in said(at)


def test_a_second_layer_is_appended_and_each_scaled(lite96, photos, offered, tmp_path):
    at = open_page("vectors", layer="head_relu")
    labelled(at.selectbox, "Append").set_value("block4_add")
    run(at)
    assert shape(at) == "(10, 1,320)"
    assert at.query_params["also"] == "block4_add"
    labelled(at.toggle, "L2-normalize").set_value(True)
    run(at)
    table = downloaded(offered, tmp_path)
    assert table.layers == ("head_relu", "block4_add")
    assert (table.columns[0], table.columns[1279], table.columns[1280]) == (
        "head_relu:0",
        "head_relu:1279",
        "block4_add:0",
    )
    np.testing.assert_allclose(np.linalg.norm(table.X[:, :1280], axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(table.X[:, 1280:], axis=1), 1, rtol=1e-5)
    wanted = extract_vectors(lite96, photos, ["head_relu", "block4_add"], l2_normalize=True).X
    np.testing.assert_allclose(table.X, wanted, rtol=1e-3, atol=1e-5)


def test_a_layer_is_not_appended_to_itself():
    at = open_page("vectors", layer="head_relu", also="block4_add")
    labelled(at.selectbox, "Layer").set_value("block4_add")
    run(at)
    assert shape(at) == "(10, 40)"
    assert labelled(at.selectbox, "Append").value == ""
    assert at.code[0].value.count("block4_add") == 1
    labelled(at.selectbox, "Layer").set_value("head_relu")
    assert labelled(run(at).selectbox, "Append").value == "block4_add", "the page has changed no choice"


def test_the_files_say_what_they_hold(lite96, photos, offered, tmp_path):
    open_page("vectors", layer="block4_add", pooling="max")
    assert offered["Download .npz"][1] == "EfficientNetLite0_block4_add_max.npz"
    table = downloaded(offered, tmp_path)
    assert table.ids == photos.ids
    assert table.names == photos.names
    assert table.labels["photo"].tolist() == photos.labels.tolist()
    assert (table.layers, table.pooling, table.model) == (("block4_add",), "max", "EfficientNetLite0")
    assert table.fingerprint == lite96.fingerprint

    make, name = offered["Download .csv"]
    assert name == "EfficientNetLite0_block4_add_max.csv"
    header, *rows = csv.reader(io.StringIO(make().decode()))
    assert header[:4] == ["id", "name", "label:photo", "model"]
    assert [row[1] for row in rows] == list(photos.names)
    first = header.index("block4_add:0")
    np.testing.assert_allclose(np.array([row[first:] for row in rows], float), table.X, rtol=1e-6)


def test_too_much_to_flatten_is_refused_before_it_is_computed(passes):
    at = open_page("vectors", images="digits", limit=1797, pooling="flatten", layer="block1_expand_relu")
    assert len(at.error) == 1
    assert "1,797 vectors of 221,184 numbers take 1.5 GB; at most 256.0 MB" in at.error[0].value
    assert not elements(at, "plotly_chart")
    assert not passes


@pytest.mark.parametrize(("room", "refusals"), [(0, 0), (-1, 1)])
def test_vectors_that_just_fit_are_computed(monkeypatch, room, refusals):
    monkeypatch.setattr("featlib.ui.compute.vectors.MAX_BYTES", 10 * 3 * 3 * 1280 * 4 + room)
    at = open_page("vectors", layer="head_relu", pooling="flatten")
    assert len(at.error) == refusals
    assert len(elements(at, "plotly_chart")) == 2 * (1 - refusals)


def test_the_neighbours_are_the_nearest_by_cosine(lite96):
    views = load_samples("views")
    X = extract_vectors(lite96, views, "head_relu").X
    at = open_page("vectors", images="views", layer="head_relu", image=17)
    found = find_neighbors(X, 17, n_neighbors=8)
    assert values(at, "neighbors") == found.indices.tolist()
    nearest = data(at, "neighbors")["pictures"][0]
    assert nearest["caption"] == views.names[found.indices[0]]
    assert nearest["note"] == f"{found.similarities[0]:.3f}"
    assert {views.names[i].split(" · ")[0] for i in values(at, "neighbors")[:5]} == {views.names[17].split(" · ")[0]}

    nearest = int(found.indices[0])
    pick(at, "neighbors", nearest)
    assert choices(at).image == nearest
    assert values(at, "neighbors") == find_neighbors(X, nearest, n_neighbors=8).indices.tolist()


def test_a_part_of_a_large_set(lite96):
    digits = load_samples("digits")
    part = digits.sample(300, by="digit")
    at = open_page("vectors", images="digits", layer="block9_add", limit=300)
    assert shape(at) == "(300, 112)"
    assert labelled(at.selectbox, "Images used").value == 300
    assert labelled(at.selectbox, "Images used").options == ["300 of 1,797", "1,000 of 1,797", "all 1,797"]
    assert data(at, "shelf")["selected"] == digits.items.index(part.items[0])
    assert choices(at).image == 0, "the choice stays for other pages"

    # Picking goes by the place in the part, the choice by the place in the whole set.
    place = values(at, "neighbors")[3]
    pick(at, "neighbors", place)
    assert choices(at).image == place
    row = [id(item) for item in part.items].index(id(digits.items[place]))
    X = extract_vectors(lite96, part, "block9_add").X
    near = find_neighbors(X, row, n_neighbors=8).indices
    assert [id(digits.items[i]) for i in values(at, "neighbors")] == [id(part.items[i]) for i in near]
    assert "the first 40 of 300 rows" in said(at)


def test_every_image_is_like_itself():
    similarity = np.array(traces(open_page("vectors", layer="head_relu"), "similarity")[0]["z"])
    assert similarity.shape == (10, 10)
    np.testing.assert_allclose(np.diag(similarity), 1, atol=1e-5)
    np.testing.assert_allclose(similarity, similarity.T, atol=1e-5)
    assert element(open_page("vectors"), "plotly_chart", "similarity").proto.alt.startswith("Cosine similarity")
