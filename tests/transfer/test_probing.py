"""One pass for all layers, and the very scores that linear_probe gives layer by layer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import featlib
from featlib.analysis import linear_probe
from featlib.errors import CancelledError, FeatlibError
from featlib.features import engine, extract_vectors
from featlib.features.store import VectorStore
from featlib.images import load_samples
from featlib.models import load_backbone
from featlib.transfer import probe_layers, stage_layers

LAYERS = ["conv", "join", "pool"]


@pytest.fixture(scope="module")
def shapes():
    return load_samples("shapes").sample(60, by="shape")


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_the_scores_are_those_of_linear_probe(tiny, shapes, pooling):
    found = featlib.probe_layers(tiny, shapes, LAYERS, pooling=pooling, cv=4, random_state=3)
    expected = [
        linear_probe(extract_vectors(tiny, shapes, layer, pooling=pooling).X, shapes.labels, cv=4, random_state=3)
        for layer in LAYERS
    ]
    assert found.layers == tuple(LAYERS)
    np.testing.assert_allclose(found.mean_accuracies, [e.mean_accuracy for e in expected], atol=0.018)  # one of 60
    np.testing.assert_allclose(found.std_accuracies, [e.std_accuracy for e in expected], atol=0.03)
    assert found.majority_accuracy == expected[0].majority_accuracy == pytest.approx(1 / 6)
    assert found.best == LAYERS[int(np.argmax(found.mean_accuracies))]
    assert isinstance(found, featlib.LayerProbe)


def test_all_layers_come_from_one_pass_and_are_kept(tiny, shapes, tmp_path, monkeypatch):
    passes = []
    make_runtime = engine.make_runtime

    def counting(*args, **options):
        runtime = make_runtime(*args, **options)
        return replace(runtime, run=lambda batch: passes.append(len(batch)) or runtime.run(batch))

    monkeypatch.setattr(engine, "make_runtime", counting)
    store = VectorStore(tmp_path / "vectors.db")
    first = probe_layers(tiny, shapes, LAYERS, store=store)
    assert sum(passes) == 60
    again = probe_layers(tiny, shapes, LAYERS, store=store)
    assert sum(passes) == 60
    np.testing.assert_array_equal(first.mean_accuracies, again.mean_accuracies)


def test_labels_of_ones_own_stay_with_their_images(tiny, tmp_path):
    """One image is broken: the labels after it must not slip."""
    files, y = [], []
    for i in range(21):
        files.append(tmp_path / f"{i:02}.png")
        y.append("light" if i % 2 else "dark")
        Image.new("RGB", (40, 40), (230, 200 + i, 210) if i % 2 else (20, 5 + i, 10)).save(files[-1])
    files[4].write_bytes(b"no picture")
    found = probe_layers(tiny, files, ["pixels"], y=y)
    assert found.mean_accuracies == [1.0]
    assert len(found.results[0].labels) == 20
    assert len(found.images) == 20
    assert "04.png" not in found.images.names
    [problem] = found.problems
    assert "04.png" in problem.reason


def test_the_layers_are_the_ends_of_the_stages_and_the_feature_layer(lite0):
    paths = stage_layers(lite0)
    assert paths[-1] == lite0.feature_layer
    assert set(paths) == {info.path for info in lite0.layers if info.stage_end} | {lite0.feature_layer}
    assert [info.path for info in lite0.layers if info.path in paths] == list(paths)


def test_an_inner_model_that_repeats_its_last_layer_is_no_point_of_the_curve(shapes):
    """A Sequential around a headless network, as Keras' own guide to transfer learning writes it."""
    import keras

    keras.utils.set_random_seed(3)
    image = x = keras.Input((32, 32, 3))
    for number in (1, 2, 3):
        x = keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name=f"conv_{number}")(x)
    head = [keras.layers.GlobalAveragePooling2D(name="gap"), keras.layers.Dense(3, activation="softmax")]
    model = keras.Sequential([image, keras.Model(image, x, name="inner"), *head])
    backbone = load_backbone(model, preprocessing="unit")
    assert backbone.feature_layer == "inner"
    paths = ("inner/conv_1", "inner/conv_2", "inner/conv_3")
    assert stage_layers(backbone) == paths
    X = extract_vectors(backbone, shapes[:5], ["inner", "inner/conv_3"]).X
    np.testing.assert_array_equal(X[:, :8], X[:, 8:])
    assert probe_layers(backbone, shapes).layers == paths


def test_a_block_with_own_code_comes_after_its_layers():
    import keras

    class Block(keras.layers.Layer):
        def __init__(self, name):
            super().__init__(name=name)
            self.parts = [keras.layers.Conv2D(4, 3, strides=2, padding="same", name=part) for part in ("a", "b")]

        def call(self, x):
            for part in self.parts:
                x = part(x)
            return 2.0 * x

    class Blocks(keras.Model):
        def __init__(self):
            super().__init__(name="blocks")
            self.first, self.second = Block("first"), Block("second")

        def call(self, x):
            return self.second(self.first(x))

    model = Blocks()
    model(np.zeros((1, 32, 32, 3), np.float32))
    backbone = load_backbone(model, preprocessing="unit", input_shape=(32, 32, 3))
    paths = stage_layers(backbone)
    listed = [info.path for info in backbone.layers]
    assert set(paths) <= set(listed)
    assert paths[-1] == backbone.feature_layer
    for container in paths:
        inner = [path for path in paths if path.startswith(f"{container}/")]
        assert all(paths.index(path) < paths.index(container) for path in inner)


def test_a_class_with_a_single_image_stops_no_other(tiny, shapes):
    labels = shapes.labels.copy()
    labels[3] = "unicorn"
    found = probe_layers(tiny, shapes, LAYERS, y=labels)
    assert found.skipped.tolist() == ["unicorn"]
    assert found.results[0].n_used == 59
    assert found.column == ""
    assert probe_layers(tiny, shapes, ["pool"]).column == "shape"
    assert probe_layers(tiny, shapes, ["pool"], y="color").column == "color"


def test_progress_goes_up_to_one_and_can_stop(tiny, shapes):
    seen = []
    probe_layers(tiny, shapes, LAYERS, on_progress=lambda *done: seen.append(done))
    done, totals = zip(*seen, strict=True)
    assert list(done) == sorted(done)
    assert 0 < done[0] < done[-1]
    assert set(totals) == {done[-1]}
    for limit in (0.1, 0.9):
        with pytest.raises(CancelledError):
            probe_layers(tiny, shapes, LAYERS, on_progress=lambda done, n, limit=limit: done > limit * n)


def test_what_cannot_be_probed_is_said_before_any_work(tiny, shapes):
    with pytest.raises(FeatlibError, match="layers is empty"):
        probe_layers(tiny, shapes, [])
    with pytest.raises(FeatlibError, match=r"shape \(59,\) for 60 images"):
        probe_layers(tiny, shapes, LAYERS, y=["a"] * 59)
    with pytest.raises(FeatlibError, match="no labels"):
        probe_layers(tiny, np.zeros((4, 32, 32, 3), np.uint8), LAYERS)
    with pytest.raises(FeatlibError, match="'jion'"):
        probe_layers(tiny, shapes, ["jion"])
