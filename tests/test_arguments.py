"""Wrong arguments of all public functions: one FeatlibError with the value and the rule, and nothing else."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest

import featlib
from featlib import analysis, plots, transfer
from featlib.analysis import StreamedPCA
from featlib.features import Tap, VectorDataset
from featlib.images import ImageItem

RECORDS = {
    *("Backbone", "ImageSet", "LayerInfo", "LayerProbe", "Neighbors", "ProbeResult", "Projection", "VectorTable"),
    *("FeatlibError", "FeatlibWarning", "__version__"),
}
WRONG = [
    *(None, True, 0, 5, -1, 2.5, math.nan, math.inf, 10**30, "", "x", "\0", "x" * 5000, b"", b"x"),
    *([], {}, set(), (), [None], ["x", "x"], [[1], [1, 2]], {"a": 1}, {"x"}, object()),
    *(np.array([]), np.array(math.nan), np.full((2, 3), math.nan), np.eye(9) * 1e200),
]
OWNERS = {
    **{"analysis": analysis, "plots": plots, "transfer": transfer},
    **{kind.__name__: kind for kind in (featlib.Backbone, ImageItem, featlib.ImageSet, StreamedPCA, VectorDataset)},
}
X, Y = np.eye(6), ["a", "b"] * 3


def calls(tiny, folder):
    """Every public function, with arguments that it takes."""
    photos = featlib.load_samples("digits")[:4]
    table = featlib.extract_vectors(tiny, photos, "conv")
    file = featlib.save_vectors(table, folder / "saved.parquet")
    network = {"backbone": tiny, "images": photos}
    extractor, probe = featlib.FeatureExtractor, featlib.linear_probe(X, Y, cv=2)
    dataset, pixels = featlib.open_vectors(file), photos[0].resized(*tiny.input_shape[:2])
    return {
        "FeatureExtractor": (lambda **given: extractor(**given).fit(), {"backbone": tiny, "layers": "conv"}),
        "VectorStore": (featlib.VectorStore, {"path": folder / "store.db"}),
        "channel_statistics": (featlib.channel_statistics, {"maps": X}),
        "extract_to_file": (featlib.extract_to_file, network | {"path": folder / "v.npz", "layers": "conv"}),
        "extract_vectors": (featlib.extract_vectors, network | {"layers": "conv"}),
        "extract_with_ray": (  # nothing answers there, which is found out after the arguments
            featlib.extract_with_ray,
            {"model": "tiny.keras", "images": photos, "output": folder / "ray", "address": "127.0.0.1:9"},
        ),
        "feature_maps": (featlib.feature_maps, network | {"layer": "conv"}),
        "find_layer": (featlib.find_layer, {"backbone": tiny, "path": "conv"}),
        "find_neighbors": (featlib.find_neighbors, {"X": X, "query": 0}),
        "linear_probe": (featlib.linear_probe, {"X": X, "y": Y, "cv": 2}),
        "list_layers": (featlib.list_layers, {"backbone": tiny}),
        "list_models": (featlib.list_models, {}),
        "load_backbone": (featlib.load_backbone, {"model": tiny.model, "preprocessing": "none"}),
        "load_images": (featlib.load_images, {"source": photos}),
        "load_samples": (featlib.load_samples, {"name": "photos"}),
        "load_vectors": (featlib.load_vectors, {"path": file}),
        "make_runtime": (featlib.make_runtime, {"backbone": tiny, "taps": [Tap("conv")], "n_images": 1}),
        "open_vectors": (featlib.open_vectors, {"source": file}),
        "probe_layers": (featlib.probe_layers, network | {"layers": ["conv"], "y": Y[:4], "cv": 2}),
        "project": (featlib.project, {"X": X}),
        "save_vectors": (featlib.save_vectors, {"table": table, "path": folder / "again.npz"}),
        "tap_layers": (featlib.tap_layers, {"backbone": tiny, "layers": ["conv"]}),
        "trace_image": (featlib.trace_image, {"backbone": tiny, "image": photos[0]}),
        "analysis.compare_probes": (analysis.compare_probes, dict.fromkeys(("first", "second"), probe)),
        "analysis.cosine_similarity": (analysis.cosine_similarity, {"X": X}),
        "analysis.fit_pca": (analysis.fit_pca, {"batches": [X]}),
        "analysis.neighbor_accuracy": (analysis.neighbor_accuracy, {"X": X, "y": Y}),
        "analysis.perplexity_bounds": (analysis.perplexity_bounds, {"n": 9}),
        "analysis.pool": (analysis.pool, {"maps": X}),
        "analysis.sort_channels": (analysis.sort_channels, {"stats": analysis.channel_statistics(X)}),
        "analysis.stream_neighbors": (analysis.stream_neighbors, {"batches": [X], "query": X[0]}),
        **{f"plots.{name}": (getattr(plots, name), given) for name, given in plot_calls().items()},
        "transfer.stage_layers": (transfer.stage_layers, {"backbone": tiny}),
        "Backbone.find_layer": (tiny.find_layer, {"path": "conv"}),
        "Backbone.prepare": (tiny.prepare, {"images": photos}),
        "Backbone.preprocess": (tiny.preprocess, {"pixels": pixels[np.newaxis]}),
        "Backbone.resize": (tiny.resize, {"pixels": pixels}),
        "ImageItem.resized": (photos[0].resized, {"height": 9, "width": 9}),
        "ImageItem.thumbnail": (photos[0].thumbnail, {"size": 9}),
        "ImageSet.labels_for": (photos.labels_for, {"column": "digit"}),
        "ImageSet.sample": (photos.sample, {"n": 2}),
        "StreamedPCA.transform": (analysis.fit_pca([X]).transform, {"X": X}),
        "VectorDataset.batches": (lambda **given: list(dataset.batches(**given)), {"size": 2}),
        "VectorDataset.labels": (lambda **given: list(dataset.labels(**given)), {"column": "digit"}),
        "VectorDataset.take": (dataset.take, {"rows": [0]}),
    }


def plot_calls():
    """Every function of featlib.plots, with arguments that it takes."""
    maps, plane = np.arange(36.0).reshape(3, 3, 4), np.eye(3)
    photo, names, shares = np.zeros((8, 8, 3), np.uint8), ["a", "b"], [0.25, 0.75]
    accuracies = {"layers": names, "means": shares, "stds": shares}
    return {
        "accuracy_bars": {"rows": [("a", 0.5, 0.1), ("b", 0.4, None)]},
        "accuracy_curve": accuracies,
        "add_accuracy_curve": {"figure": plots.accuracy_curve(**accuracies), **accuracies, "name": "other"},
        "channel_bars": {"vector": shares},
        "channel_histogram": {"values": maps},
        "channel_image": {"map2d": plane},
        "channel_tiles": {"maps": maps},
        "color_bar": {"low": -1, "high": 1},
        "color_limits": {"low": -1, "high": 1, "colormap": "RdBu_r"},
        "color_table": {},
        "colorize": {"values": plane},
        "confusion_heatmap": {"confusion": np.eye(2, dtype=int), "classes": names},
        "film_strip": {"stages": [("a", photo), ("b", plane)]},
        "fitting_colormap": {"values": plane},
        "format_range": {"low": 0, "high": 1},
        "joined": {"pictures": [photo, photo]},
        "jpeg_bytes": {"image": photo},
        "mosaic": {"maps": maps},
        "overlay": {"image": photo, "map2d": plane},
        "pixel_histogram": {"pixels": photo, "names": ["R", "G", "B"]},
        "png_bytes": {"image": photo},
        "prediction_bars": {"names": names, "probabilities": shares},
        "projection_scatter": {"projection": featlib.project(X), "ids": Y, "names": Y},
        "resized": {"image": photo, "side": 9},
        "similarity_heatmap": {"similarity": np.eye(2), "names": names},
        "titled": {"picture": photo, "title": "A title"},
        "value_range": {"values": plane},
        "vector_heatmap": {"X": X, "names": Y},
    }


def parameters(name):
    owner, _, function = name.rpartition(".")
    given = inspect.signature(getattr(OWNERS.get(owner, featlib), function)).parameters.values()
    return [one.name for one in given if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL) and one.name != "self"]


METHODS = (
    *("Backbone.find_layer", "Backbone.prepare", "Backbone.preprocess", "Backbone.resize"),
    *("ImageItem.resized", "ImageItem.thumbnail", "ImageSet.labels_for", "ImageSet.sample"),
    *("StreamedPCA.transform", "VectorDataset.batches", "VectorDataset.labels", "VectorDataset.take"),
)
PUBLIC = sorted(
    {*featlib.__all__} - RECORDS
    | {
        f"{owner}.{name}"
        for owner in ("analysis", "plots", "transfer")
        for name in OWNERS[owner].__all__
        if name not in featlib.__all__ and inspect.isfunction(getattr(OWNERS[owner], name))
    }
)


@pytest.mark.parametrize("name", [*PUBLIC, *METHODS])
@pytest.mark.filterwarnings("ignore")
def test_only_featlib_errors_come_out(tiny, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    function, good = calls(tiny, tmp_path)[name]
    if name != "extract_with_ray":
        function(**good)
    others = []
    for parameter in parameters(name):
        for value in WRONG:
            try:
                function(**{**good, parameter: value})
            except featlib.FeatlibError as error:
                if "\n" in str(error):
                    others.append(f"{parameter}={str(value)[:30]!r}: several lines: {error!r}"[:200])
            except Exception as error:  # noqa: BLE001 - that is what is looked for
                others.append(f"{parameter}={str(value)[:30]!r}: {error!r}"[:200])
    assert not others, "\n".join(others)


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("FeatureExtractor", {"batch_size": "32"}, "batch_size must be a whole number.*'32'"),
        ("FeatureExtractor", {"batch_size": 2.5}, "batch_size must be a whole number.*2.5"),
        ("FeatureExtractor", {"layers": 5}, "layers must be a layer path, or several in a list. Received: 5"),
        ("FeatureExtractor", {"layers": ["conv", "conv"]}, "different from each other. Received twice: 'conv'"),
        ("FeatureExtractor", {"layers": {"conv"}}, "layers must be .* a list. Received: {'conv'}"),
        ("FeatureExtractor", {"cache": 5}, "cache must be None, True, False or a file's path. Received: 5"),
        ("FeatureExtractor", {"layer_weights": "a"}, "layer_weights must be a list of one number.*'a'"),
        ("FeatureExtractor", {"layer_weights": ["a"]}, "layer_weights must be a number.*'a'"),
        ("FeatureExtractor", {"include_top": "maybe"}, "include_top must be True or False.*'maybe'"),
        ("FeatureExtractor", {"l2_normalize": "yes"}, "l2_normalize must be True or False.*'yes'"),
        ("project", {"X": [[1], [1, 2]]}, r"X must be an array. Received: \[\[1\], \[1, 2\]\]"),
        ("project", {"X": np.eye(9) * 1e200}, r"up to 1e\+200; at most 1e\+15 are allowed"),
        ("project", {"n_components": 2.0}, "n_components must be a whole number.*2.0"),
        ("project", {"random_state": -1}, "random_state must be at least 0. Received: -1"),
        ("project", {"random_state": 2**40}, "random_state must be at most 4,294,967,295.*1099511627776"),
        ("project", {"method": "tsne", "perplexity": "5"}, "perplexity must be a number. Received: '5'"),
        ("project", {"method": "tsne", "perplexity": math.nan}, "perplexity must be a finite number. Received: nan"),
        ("feature_maps", {"layer": 999}, "^layer must be a layer path, or several in a list. Received: 999"),
        ("feature_maps", {"layer": []}, "^layer is empty"),
        ("find_neighbors", {"query": 1.5}, "query, a row of X, must be a whole number.*1.5"),
        ("linear_probe", {"C": math.nan}, "C must be a finite number. Received: nan"),
        ("plots.mosaic", {"columns": "x"}, "columns must be a whole number.*'x'"),
        ("plots.mosaic", {"tile": math.nan}, "tile, in pixels, must be a whole number, from 8 to 8,192.*nan"),
        ("plots.mosaic", {"channels": [1.5]}, r"channels \[1.5\]; choose some of 0 to 3"),
        ("plots.mosaic", {"channels": [0] * 9, "tile": 8192}, "at most 268,435,456 in all are allowed"),
        ("plots.color_bar", {"low": math.nan}, "low must be a finite number. Received: nan"),
        ("plots.color_bar", {"width": -3}, "width, in pixels, must be at least 8. Received: -3"),
        ("plots.color_bar", {"labels": ["a"]}, "labels must be two texts.*1"),
        ("plots.channel_image", {"size": -1}, "size, in pixels, must be at least 1. Received: -1"),
        ("plots.channel_image", {"size": 10**9}, "size, in pixels, must be at most 8,192. Received: 1000000000"),
        ("plots.channel_image", {"colormap": ""}, "colormap must be 'viridis', .* or 'RdBu_r'. Received: ''"),
        ("plots.joined", {"gap": -1}, "gap, in pixels, must be at least 0. Received: -1"),
        ("plots.film_strip", {"text_color": (0, 0, 256)}, "text_color must be at most 255. Received: 256"),
        ("plots.channel_histogram", {"bins": 10**9}, "bins must be at most 10,000. Received: 1000000000"),
        ("plots.prediction_bars", {"names": "ab"}, "names must be a list or an array. Received: 'ab'"),
        ("plots.channel_bars", {"height": 0}, "height, in pixels, must be at least 10. Received: 0"),
        ("plots.confusion_heatmap", {"selected": (0, 2)}, "selected must be at most 1. Received: 2"),
        ("load_images", {"source": {"a.png", "b.png"}}, "a set of images: pass a list, in which each image has its"),
        ("load_images", {"source": {"a.png": 1}}, "a dict of images: pass a list"),
    ],
)
def test_the_value_and_the_rule_are_named(tiny, tmp_path, name, wrong, message):
    function, good = calls(tiny, tmp_path)[name]
    with pytest.raises(featlib.FeatlibError, match=message):
        function(**{**good, **wrong})


def test_a_name_works_where_a_backbone_does():
    photos = featlib.load_samples("photos")[:2]
    backbone = featlib.load_backbone("EfficientNetLite0")
    assert featlib.list_layers("EfficientNetLite0") == list(backbone.layers)
    assert transfer.stage_layers("EfficientNetLite0") == transfer.stage_layers(backbone)
    found = featlib.feature_maps("EfficientNetLite0", photos, "stem_relu")
    np.testing.assert_array_equal(found, featlib.feature_maps(backbone, photos, "stem_relu"))


@pytest.mark.slow
def test_a_name_works_wherever_a_backbone_does(tmp_path):
    name, photos = "EfficientNetLite0", featlib.load_samples("photos")[:2]
    backbone = featlib.load_backbone(name)
    expected = featlib.feature_maps(backbone, photos, "stem_relu")
    np.testing.assert_array_equal(featlib.feature_maps(name, photos, "stem_relu"), expected)
    table = featlib.extract_vectors(name, photos, "block2_add", pooling="max")
    assert table.fingerprint == backbone.fingerprint
    assert featlib.list_layers(name) == list(backbone.layers)
    assert featlib.find_layer(name, "head_relu") == backbone.find_layer("head_relu")
    pixels = backbone.prepare(photos)
    np.testing.assert_array_equal(np.asarray(featlib.tap_layers(name, "stem_relu")(pixels)[0]), expected)
    for n_images in (2, None):
        network = featlib.make_runtime(name, [Tap("block2_add", "max")], "tensorflow", n_images=n_images)
        np.testing.assert_allclose(network.run(pixels)[0], table.X, rtol=1e-3, atol=1e-4)
    runtime = featlib.make_runtime(name, [Tap("block2_add", "max")], n_images=2)
    np.testing.assert_allclose(runtime.run(pixels)[0], table.X, rtol=1e-3, atol=1e-4)
    written = featlib.extract_to_file(name, photos, tmp_path / "v.npz", "block2_add")
    assert written.shape == table.X.shape
    assert featlib.trace_image(name, photos[0]).outputs["stem_relu"].shape == expected.shape[1:]


@pytest.mark.slow
def test_a_model_file_works_wherever_a_backbone_does(tmp_path):
    import keras

    image = keras.Input((16, 16, 3))
    scaled = keras.layers.Rescaling(1 / 255)(image)
    path = tmp_path / "own.keras"
    keras.Model(image, keras.layers.Conv2D(4, 3, name="conv")(scaled)).save(path)
    digits = featlib.load_samples("digits")[:20]
    maps = featlib.feature_maps(path, digits, "conv")
    assert maps.shape == (20, 14, 14, 4)
    np.testing.assert_allclose(featlib.extract_vectors(str(path), digits).X, maps.mean(axis=(1, 2)), rtol=1e-4)
    y = ["a", "b"] * 10
    assert featlib.probe_layers(path, digits, y=y, cv=2).layers[-1] == "conv"


def test_what_is_no_backbone_is_named():
    with pytest.raises(featlib.FeatlibError, match=r"backbone must be a name, a path or a Backbone. Received: 5\."):
        featlib.list_layers(5)
