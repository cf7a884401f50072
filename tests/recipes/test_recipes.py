"""Every program is run, and what it leaves behind is what the library computes for the same choices."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import featlib
from featlib.analysis import linear_probe, project
from featlib.errors import FeatlibError
from featlib.images import load_samples
from featlib.models import load_backbone
from featlib.recipes import (
    Scene,
    feature_maps_code,
    predict_code,
    projection_code,
    summary_code,
    transfer_code,
    vectors_code,
)

ROOT = Path(__file__).resolve().parents[2]


@cache
def network(name="EfficientNetLite0", weights="imagenet", include_top=True, size=224):
    return load_backbone(name, weights=weights, include_top=include_top, input_shape=(size, size, 3))


def lite0_scene():
    return Scene(network(), layer="block4_add", channel=12)


def small():
    return Scene(network(weights=None, include_top=False, size=96), "shapes", layer="block4_add")


def mobilenet_scene():
    return Scene(network("MobileNetV2"), image_index=3, layer="block_6_expand_relu")


def convnext():
    """Inner models, and operations that are no layers."""
    name = "convnext_tiny_stem/convnext_tiny_stem_layernorm"
    return Scene(network("ConvNeXtTiny", None, size=64), image_index=1, layer=name, also="add_2")


def mobilenet_v3():
    """Operations that are no layers, with names that Keras counts."""
    return Scene(network("MobileNetV3Small", None, size=64), layer="activation_3", also="multiply_4")


def own_file(tmp_path):
    """A person's own file, with inner models."""
    base = network("MobileNetV2(alpha=0.35)", None, False, 64).model
    image = keras.Input((64, 64, 3))
    pooled = keras.layers.GlobalAveragePooling2D(name="gap")(base(image))
    outputs = keras.layers.Dense(3, activation="softmax", name="answer")(pooled)
    keras.Model(image, outputs, name="pets").save(tmp_path / "pets.keras")
    backbone = load_backbone(tmp_path / "pets.keras", class_names=["cat", "dog's", "owl"])
    return Scene(backbone, layer=f"{base.name}/block_3_expand", also="gap", image_index=2)


NETWORKS = [lite0_scene, small, pytest.param(mobilenet_scene, marks=pytest.mark.keras_home), mobilenet_v3, convnext]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a program in an empty folder and returns its variables."""
    monkeypatch.chdir(tmp_path)

    def run_program(code: str) -> dict:
        variables: dict = {}
        exec(compile(code, "program.py", "exec"), variables)
        return variables

    return run_program


def library(scene: Scene):
    return _backbone(scene.model, scene.weights, scene.include_top, scene.input_size), load_samples(scene.images)


@cache
def _backbone(model, weights, include_top, size):
    return load_backbone(
        model,
        weights=None if weights == "random" else weights,
        include_top=include_top,
        input_shape=(size, size, 3),
    )


@pytest.mark.parametrize("model", ["EfficientNetLite0", pytest.param("MobileNetV2", marks=pytest.mark.keras_home)])
def test_predict_names_what_is_in_the_photo(run, capsys, model):
    scene = Scene(model, include_top=False)  # the program brings the top along
    found = run(predict_code(scene))
    backbone, photos = library(replace(scene, include_top=True))
    expected = backbone.model.predict(backbone.prepare(photos[:1]), verbose=0)[0]
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-6)
    assert list(found["top"]) == list(np.argsort(expected)[::-1][:5])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert any("palace" in line for line in lines)


@pytest.mark.parametrize("scene", NETWORKS)
def test_summary_lists_the_layers_and_both_ends(run, scene):
    found = run(summary_code(scene))
    backbone, _ = library(scene)
    expected = [(info.class_name, info.output_shape, info.params) for info in featlib.list_layers(backbone)]
    assert [row[1:] for row in found["layers"]] == expected
    side = -(-scene.input_size // 32)
    assert found["outputs"] == [(1000,), (side, side, 1280)]


@pytest.mark.parametrize("scene", NETWORKS)
def test_feature_maps_of_one_image(run, tmp_path, scene):
    found = run(feature_maps_code(scene))
    backbone, images = library(scene)
    maps = featlib.feature_maps(backbone, images[[scene.image_index]], scene.layer)[0]
    np.testing.assert_allclose(found["maps"], maps, atol=1e-4)
    np.testing.assert_allclose(found["vector"], maps.mean(axis=(0, 1)), atol=1e-4)

    saved = np.asarray(Image.open(tmp_path / f"channel_{scene.channel}.png"))
    assert saved.shape == (448, 448)
    channel = maps[:, :, scene.channel]
    brightest = np.unravel_index(channel.argmax(), channel.shape)
    scale = 448 / channel.shape[0]
    assert saved[tuple(int((i + 0.5) * scale) for i in brightest)] >= 254


@pytest.mark.parametrize("layer", ["predictions", "avg_pool"])
def test_a_layer_without_height_and_width_has_a_vector_only(run, lite0, photos, layer):
    found = run(feature_maps_code(replace(LITE0, layer=layer)))
    expected = featlib.extract_vectors(lite0, photos[:1], layer, pooling=None).X[0]
    np.testing.assert_allclose(found["vector"], expected, atol=1e-5)
    assert "maps" not in found


@pytest.mark.parametrize(
    ("scene", "pooling"),
    [
        (LITE0, "avg"),
        (SMALL, "max"),
        (SMALL, "flatten"),
        pytest.param(MOBILENET, "avg", marks=pytest.mark.keras_home),
        (replace(MOBILENET, weights="random", input_size=96), "max"),
    ],
)
def test_vectors_of_a_batch(run, tmp_path, scene, pooling):
    scene = replace(scene, pooling=pooling)
    found = run(vectors_code(scene, limit=6))
    backbone, images = library(scene)
    table = featlib.extract_vectors(backbone, images.sample(6), scene.layer, pooling=pooling)
    np.testing.assert_allclose(found["X"], table.X, atol=1e-4)
    with np.load(tmp_path / "vectors.npz") as archive:
        np.testing.assert_array_equal(archive["X"], found["X"])
        assert tuple(archive["ids"]) == table.ids
        assert tuple(archive["names"]) == table.names


def test_two_layers_of_length_one_side_by_side(run, lite0, photos):
    found = run(vectors_code(LITE0, also="predictions", l2=True))
    expected = featlib.extract_vectors(lite0, photos, ["block4_add", "predictions"], l2_normalize=True)
    np.testing.assert_allclose(found["X"], expected.X, atol=1e-5)
    alone = run(vectors_code(SMALL, l2=True, limit=5))
    np.testing.assert_allclose(np.linalg.norm(alone["X"], axis=1), 1, atol=1e-5)


def test_own_images_come_from_a_folder(run, tmp_path, lite0, photos):
    for folder, photo in [("cats", "chelsea"), ("cups", "coffee"), ("cups", "china")]:
        (tmp_path / "photos" / folder).mkdir(parents=True, exist_ok=True)
        pixels = photos[photos.names.index(photo)].pixels
        Image.fromarray(pixels).save(tmp_path / "photos" / folder / f"{photo}.png")
    found = run(vectors_code(Scene(images="uploads")))
    assert found["images"].names == ("cats/chelsea.png", "cups/china.png", "cups/coffee.png")
    chosen = photos[[photos.names.index(name) for name in ("chelsea", "china", "coffee")]]
    np.testing.assert_allclose(found["X"], featlib.extract_vectors(lite0, chosen, "head_relu").X, atol=1e-4)


@pytest.mark.keras_home
def test_layers_that_keras_names_by_counting_are_found_in_a_later_network(run, photos, mobilenet):
    found = run(vectors_code(replace(MOBILENET, layer="global_average_pooling2d"), limit=5))
    assert found["model"].layers[-2].name != "global_average_pooling2d"
    expected = featlib.extract_vectors(mobilenet, photos.sample(5), "global_average_pooling2d", pooling=None)
    np.testing.assert_allclose(found["X"], expected.X, atol=1e-4)
    found = run(feature_maps_code(Scene("MobileNetV2", layer="input_layer")))
    np.testing.assert_allclose(found["maps"], mobilenet.prepare(photos[:1])[0], atol=1e-6)


@pytest.mark.parametrize(
    ("scene", "n_components"),
    [
        (replace(SMALL, pooling="max"), 2),
        (SMALL, 3),
        (replace(SMALL, weights="imagenet", include_top=True, layer="predictions", pooling=None), 2),
    ],
)
def test_pca_is_the_one_on_screen(run, scene, n_components):
    found = run(projection_code(scene, "pca", n_components, limit=40, sample_by="shape"))
    backbone, images = library(scene)
    X = featlib.extract_vectors(backbone, images.sample(40, by="shape"), scene.layer, pooling=scene.pooling).X
    expected = project(X, n_components=n_components)
    np.testing.assert_allclose(found["coordinates"], expected.coordinates, atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(found["pca"].explained_variance_ratio_, expected.explained_variance_ratio, rtol=1e-4)


@pytest.mark.parametrize(("n_components", "perplexity"), [(2, 5.0), (3, None)])
def test_tsne_is_the_one_on_screen(run, n_components, perplexity):
    found = run(projection_code(SMALL, "tsne", n_components, perplexity, 3, limit=40, sample_by="shape"))
    backbone, images = library(SMALL)
    X = featlib.extract_vectors(backbone, images.sample(40, by="shape"), SMALL.layer).X
    options = {"method": "tsne", "n_components": n_components, "perplexity": perplexity}
    expected = project(X, **options, random_state=3).coordinates
    np.testing.assert_allclose(found["coordinates"], expected, atol=1e-6)


@pytest.mark.parametrize(("column", "cv"), [("shape", 4), ("colour", 5)])
def test_transfer_learns_the_same_head(run, column, cv):
    scene = replace(SMALL, weights="imagenet", layer="head_relu")
    found = run(transfer_code(scene, column, cv, 1, 40))
    backbone, images = library(scene)
    images = images.sample(40, by=column)
    X = featlib.extract_vectors(backbone, images, scene.layer).X
    expected = linear_probe(X, images.labels_for(column), cv=cv, random_state=1)
    assert len(found["y"]) == 40
    np.testing.assert_allclose(found["accuracies"], expected.accuracies)
    np.testing.assert_array_equal(found["predictions"], expected.predictions)
    np.testing.assert_array_equal(found["classes"], expected.classes)


@pytest.mark.parametrize("pooling", [None, "none", "mean"])
def test_maps_need_a_pooling(pooling):
    for make in (vectors_code, projection_code):
        with pytest.raises(FeatlibError, match=r"'block4_add' puts out maps.*Received"):
            make(replace(LITE0, pooling=pooling))


def test_a_limit_that_leaves_all_is_not_written():
    assert ".sample(" not in vectors_code(replace(LITE0, images="views"), limit=120)
    assert '.sample(119, by="photo")' in vectors_code(replace(LITE0, images="views"), limit=119, sample_by="photo")


@pytest.mark.parametrize("text", ['"]); import os; os.abort()  #', "a\nb", "\u2028 \\ ' \" é 🐈", "\x00\x7f"])
def test_names_stay_names(text):
    """A program never contains more than it should, whatever a layer, a file or a label column is called."""
    import ast

    scene = Scene("MobileNetV2", layer=text)
    tree = ast.parse(transfer_code(scene, text))
    strings = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    assert strings.count(text) == 2
    assert not any(isinstance(node, ast.Name) and node.id == "os" for node in ast.walk(tree))


@pytest.mark.parametrize("scene", [LITE0, SMALL, MOBILENET, replace(MOBILENET, weights="random", images="uploads")])
def test_programs_are_tidy(tmp_path, scene):
    programs = {
        "predict": predict_code(scene),
        "summary": summary_code(scene),
        "maps": feature_maps_code(scene),
        "vector": feature_maps_code(replace(scene, layer="predictions")),
        "vectors": vectors_code(scene, also="predictions"),
        "pca": projection_code(scene),
        "tsne": projection_code(scene, "tsne", 3, 12.5),
        "transfer": transfer_code(scene, "folder"),
    }
    for name, code in programs.items():
        (tmp_path / f"{name}.py").write_text(code)
    rules = ["--isolated", "--select=E,F,W,I,B,UP", "--line-length=120", "--target-version=py311"]
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", *rules, "."], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_writing_programs_imports_nothing_heavy():
    code = (
        "import sys; from featlib.recipes import *; s = Scene(); predict_code(s); summary_code(s);"
        "feature_maps_code(s); vectors_code(s); projection_code(s, 'tsne');"
        "transfer_code(s, 'photo');"
        "print([m for m in ('tensorflow', 'keras', 'sklearn', 'openTSNE', 'streamlit', 'plotly') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
