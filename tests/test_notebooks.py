"""What records show in a shell and in a notebook, and their tables."""

from __future__ import annotations

import re

import numpy as np
import pytest

import featlib


@pytest.fixture(scope="module")
def views():
    return featlib.load_samples("views")


@pytest.fixture(scope="module")
def table(tiny):
    return featlib.extract_vectors(tiny, featlib.load_samples("digits")[:12], "conv")


def records(tiny, table):
    y = ["a", "b", "c"] * 4
    return {
        "Backbone": tiny,
        "VectorTable": table,
        "Origin": table.origin,
        "Projection": featlib.project(table.X),
        "ProbeResult": featlib.linear_probe(table.X, y, cv=2),
        "LayerProbe": featlib.probe_layers(tiny, featlib.load_samples("digits")[:12], ["conv"], y=y, cv=2),
        "Neighbors": featlib.find_neighbors(table.X, 3),
        "ChannelStatistics": featlib.channel_statistics(table.X),
        "Trace": featlib.trace_image(tiny, featlib.load_samples("digits")[0]),
        "LayerList": featlib.list_layers(tiny),
        "ImageSet": featlib.load_samples("views"),
        "VectorStore": featlib.VectorStore("vectors.db"),
    }


def test_every_record_is_one_line(tiny, table):
    for name, record in records(tiny, table).items():
        shown = repr(record)
        assert shown.startswith(f"{name}("), shown
        assert "\n" not in shown
        assert len(shown) < 200, shown


def test_tables(tiny, table):
    found = records(tiny, table)
    frame = table.to_frame()
    assert frame.index.tolist() == list(table.names)
    assert list(frame.columns) == ["label:digit", *table.columns]
    np.testing.assert_array_equal(frame[list(table.columns)], table.X)
    np.testing.assert_array_equal(found["Projection"].to_frame()[["x", "y"]], found["Projection"].coordinates)
    probe = found["ProbeResult"].to_frame()
    assert (probe["label"] == probe["prediction"]).mean() == pytest.approx(1 - len(found["ProbeResult"].mistakes) / 12)
    assert found["LayerProbe"].to_frame().loc["conv", "mean_accuracy"] == found["LayerProbe"].mean_accuracies[0]
    assert found["Neighbors"].to_frame()["row"].tolist() == found["Neighbors"].indices.tolist()
    assert found["ChannelStatistics"].to_frame()["mean"].tolist() == pytest.approx(table.X.mean(axis=0), rel=1e-5)
    layers = found["LayerList"].to_frame()
    assert layers.loc["conv", "class_name"] == "Conv2D"
    assert layers.index.tolist() == [layer.path for layer in tiny.layers]
    assert found["ImageSet"].to_frame().shape == (len(found["ImageSet"]), 3)


def test_layers_are_a_list_and_a_table(tiny):
    layers = featlib.list_layers(tiny)
    assert isinstance(layers, list)
    html = layers._repr_html_()
    assert html.count("<tr>") == len(layers) + 1
    assert "color: inherit" in html
    assert "Conv2D" in html


def test_images_show_small_pictures(views):
    html = views._repr_html_()
    assert html.count("<img ") == 24
    assert f"and {len(views) - 24:,} more" in html
    assert all(source.startswith("data:image/jpeg;base64,") for source in re.findall(r'src="([^"]*)"', html))
    assert len(html) < 300_000
    assert "background" not in html
    one = views[0]._repr_html_()
    assert one in html
    assert views[0].name in one


def test_names_of_images_are_escaped():
    pixels = np.zeros((8, 8, 3), np.uint8)
    html = featlib.load_images([('<script>"a".png', pixels)])._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;&quot;a&quot;.png" in html


def test_an_image_that_has_changed_says_so(tmp_path):
    from PIL import Image

    path = tmp_path / "a.png"
    Image.new("RGB", (300, 300)).save(path)
    item = featlib.load_images(path)[0]
    Image.new("RGB", (300, 200)).save(path)
    assert "has changed since it was loaded" in item._repr_html_()


def test_pandas_output_has_the_names_as_its_index(tiny):
    from sklearn.base import clone

    twins = [("same.png", featlib.load_samples("digits")[i].pixels) for i in range(2)]
    extractor = featlib.FeatureExtractor(tiny, layers="conv").set_output(transform="pandas")
    frame = extractor.fit_transform(twins)
    assert frame.index.tolist() == ["same.png", "same.png"]
    assert frame.columns.tolist() == extractor.get_feature_names_out().tolist()
    assert clone(extractor).fit_transform(twins).index.tolist() == ["same.png", "same.png"]
    assert isinstance(featlib.FeatureExtractor(tiny, layers="conv").fit_transform(twins), np.ndarray)


def test_frames_of_one_column_of_paths(tiny, tmp_path):
    import pandas as pd
    from sklearn.compose import ColumnTransformer

    paths = []
    for i, image in enumerate(featlib.load_samples("digits")[:3]):
        from PIL import Image

        paths.append(str(tmp_path / f"{i}.png"))
        Image.fromarray(image.pixels).save(paths[-1])
    frame = pd.DataFrame({"path": paths, "weight": [1, 2, 3]}, index=[10, 11, 12])
    extractor = featlib.FeatureExtractor(tiny, layers="conv")
    expected = extractor.fit_transform(paths)
    np.testing.assert_array_equal(extractor.transform(frame[["path"]]), expected)
    np.testing.assert_array_equal(extractor.transform(frame[["path"]].to_numpy()), expected)
    columns = ColumnTransformer([("images", extractor, ["path"])])
    np.testing.assert_array_equal(columns.fit_transform(frame), expected)
    framed = extractor.set_output(transform="pandas").transform(frame[["path"]])
    assert framed.index.tolist() == [10, 11, 12]
    with pytest.raises(featlib.FeatlibError, match=r"a DataFrame of 2 columns: pass the one with the paths"):
        featlib.load_images(frame)
