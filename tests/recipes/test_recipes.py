"""Every program is run, and what it leaves behind is what the library computes for the same choices."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import featlib
from featlib.analysis import linear_probe, project
from featlib.errors import FeatlibError
from featlib.images import load_samples
from featlib.models import load_backbone
from featlib.recipes import (
    CodeContext,
    feature_maps_code,
    layer_probe_code,
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


def lite0_context():
    return CodeContext(network(), layer="block4_add", channel=12)


def small():
    return CodeContext(network(weights=None, include_top=False, size=96), "shapes", layer="block4_add")


def mobilenet_context():
    return CodeContext(network("MobileNetV2"), image_index=3, layer="block_6_expand_relu")


def convnext():
    """Inner models, and operations that are no layers."""
    name = "convnext_tiny_stem/convnext_tiny_stem_layernorm"
    return CodeContext(network("ConvNeXtTiny", None, size=64), image_index=1, layer=name, also="add_2")


def mobilenet_v3():
    """Operations that are no layers, with names that Keras counts."""
    return CodeContext(network("MobileNetV3Small", None, size=64), layer="activation_3", also="multiply_4")


@pytest.fixture(scope="module")
def own_file(tmp_path_factory):
    """A user's own file, with inner models."""
    base = network("MobileNetV2(alpha=0.35)", None, False, 64).model
    image = keras.Input((64, 64, 3))
    pooled = keras.layers.GlobalAveragePooling2D(name="gap")(base(image))
    outputs = keras.layers.Dense(3, activation="softmax", name="answer")(pooled)
    path = tmp_path_factory.mktemp("own") / "pets.keras"
    keras.Model(image, outputs, name="pets").save(path)
    return path


@pytest.fixture(scope="module")
def own_context(own_file):
    backbone = load_backbone(own_file, class_names=["cat", "dog's", "owl"])
    base = next(layer.path for layer in backbone.layers if layer.class_name == "Functional")
    return CodeContext(backbone, layer=f"{base}/block_3_expand", also="gap", image_index=2)


KERAS_HOME, SLOW = pytest.mark.keras_home, pytest.mark.slow
NETWORKS = [
    lite0_context,
    pytest.param(small, marks=SLOW),
    pytest.param(mobilenet_context, marks=(KERAS_HOME, SLOW)),
    mobilenet_v3,
    pytest.param(convnext, marks=SLOW),
]


def images_of(context):
    return load_samples(context.images)


@pytest.mark.parametrize(
    "make",
    [
        lite0_context,
        pytest.param(mobilenet_context, marks=KERAS_HOME),
        pytest.param(mobilenet_v3, marks=SLOW),
        pytest.param(convnext, marks=SLOW),
    ],
)
def test_predict_names_what_is_in_the_photo(run, capsys, make):
    context = make()
    found = run(predict_code(context))
    backbone, photo = context.backbone, images_of(context)[context.image_index]
    expected = backbone.model.predict(backbone.prepare([photo]), verbose=0)[0]
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-6)
    best = np.argsort(expected)[::-1][:5]
    assert list(found["top"]) == list(best)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("%")[1].strip() for line in lines] == [backbone.class_name(i) for i in best]


@pytest.mark.parametrize("name", ["EfficientNetLite0", pytest.param("MobileNetV2", marks=(KERAS_HOME, SLOW))])
def test_predict_brings_the_top_along(run, name):
    found = run(predict_code(CodeContext(network(name, include_top=False))))
    assert found["probabilities"].shape == (1000,)
    assert found["probabilities"].sum() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("make", NETWORKS)
def test_summary_lists_the_layers_and_both_ends(run, make):
    context = make()
    found = run(summary_code(context))
    expected = [(info.class_name, info.output_shape, info.params) for info in featlib.list_layers(context.backbone)]
    assert [row[1:] for row in found["layers"]] == expected
    without = network(context.backbone.name, None, False, context.backbone.input_shape[0])
    assert found["outputs"] == [(1000,), without.model.output_shape[1:]]


@pytest.mark.parametrize("make", NETWORKS)
def test_feature_maps_of_one_image(run, tmp_path, make):
    context = make()
    found = run(feature_maps_code(context))
    maps = featlib.feature_maps(context.backbone, images_of(context)[[context.image_index]], context.info.path)[0]
    limit = 1e-4 * max(1, np.abs(maps).max())
    np.testing.assert_allclose(found["maps"], maps, atol=limit)
    np.testing.assert_allclose(found["vector"], maps.mean(axis=(0, 1)), atol=limit)

    saved = np.asarray(Image.open(tmp_path / f"channel_{context.channel}.png"))
    assert saved.shape == (448, 448)
    channel = maps[:, :, context.channel]
    brightest = np.unravel_index(channel.argmax(), channel.shape)
    scale = 448 / channel.shape[0]
    assert saved[tuple(int((i + 0.5) * scale) for i in brightest)] >= 254


@pytest.mark.parametrize("layer", ["predictions", "avg_pool"])
def test_a_layer_without_height_and_width_has_a_vector_only(run, lite0, photos, layer):
    found = run(feature_maps_code(CodeContext(lite0, layer=layer)))
    expected = featlib.extract_vectors(lite0, photos[:1], layer, pooling=None).X[0]
    np.testing.assert_allclose(found["vector"], expected, atol=1e-5)
    assert "maps" not in found


@pytest.mark.parametrize(
    ("make", "pooling"),
    [
        (lite0_context, "avg"),
        (small, "max"),
        pytest.param(small, "flatten", marks=SLOW),
        pytest.param(mobilenet_context, "avg", marks=(KERAS_HOME, SLOW)),
        pytest.param(mobilenet_v3, "max", marks=SLOW),
        (convnext, "avg"),
    ],
)
def test_vectors_of_a_batch(run, tmp_path, make, pooling):
    context = replace(make(), pooling=pooling)
    found = run(vectors_code(context, limit=6))
    layers = [info.path for info in context.infos]
    table = featlib.extract_vectors(context.backbone, images_of(context).sample(6), layers, pooling=pooling)
    np.testing.assert_allclose(found["X"], table.X, rtol=1e-4, atol=1e-4)
    with np.load(tmp_path / "vectors.npz") as archive:
        np.testing.assert_array_equal(archive["X"], found["X"])
        assert tuple(archive["ids"]) == table.ids
        assert tuple(archive["names"]) == table.names


def test_two_layers_of_length_one_side_by_side(run, lite0, photos):
    found = run(vectors_code(replace(lite0_context(), also="predictions"), l2=True))
    expected = featlib.extract_vectors(lite0, photos, ["block4_add", "predictions"], l2_normalize=True)
    np.testing.assert_allclose(found["X"], expected.X, atol=1e-5)
    alone = run(vectors_code(small(), l2=True, limit=5))
    np.testing.assert_allclose(np.linalg.norm(alone["X"], axis=1), 1, atol=1e-5)


def test_own_images_come_from_a_folder(run, tmp_path, lite0, photos):
    for folder, photo in [("cats", "chelsea"), ("cups", "coffee"), ("cups", "china")]:
        (tmp_path / "photos" / folder).mkdir(parents=True, exist_ok=True)
        pixels = photos[photos.names.index(photo)].pixels
        Image.fromarray(pixels).save(tmp_path / "photos" / folder / f"{photo}.png")
    found = run(vectors_code(CodeContext(lite0, images=None)))
    assert found["images"].names == ("cats/chelsea.png", "cups/china.png", "cups/coffee.png")
    chosen = photos[[photos.names.index(name) for name in ("chelsea", "china", "coffee")]]
    np.testing.assert_allclose(found["X"], featlib.extract_vectors(lite0, chosen, "head_relu").X, atol=1e-4)


def test_an_image_of_ones_own_is_found_by_its_name(run, tmp_path, lite0, photos):
    (tmp_path / "photos").mkdir()
    for name, photo in [("a.png", "coffee"), ("IMG_1.JPG", "chelsea")]:
        Image.fromarray(photos[photos.names.index(photo)].pixels).save(tmp_path / "photos" / name, format="PNG")
    context = CodeContext(lite0, images=None, image_index=0, image_name="IMG_1.JPG", layer="block4_add")
    code = feature_maps_code(context)
    assert 'image = images[images.names.index("IMG_1.JPG")]' in code
    chelsea = photos[photos.names.index("chelsea")]
    np.testing.assert_allclose(run(code)["maps"], featlib.feature_maps(lite0, [chelsea], "block4_add")[0], atol=1e-4)
    assert 'images.names.index("IMG_1.JPG")' in predict_code(context)


def test_classes_with_a_single_image_are_skipped_where_there_are_some(run):
    context = CodeContext(network(include_top=False, size=96), "shapes", layer="head_relu")
    images = images_of(context).sample(9, by="shape")
    y = images.labels_for("shape")
    assert sorted(np.unique(y, return_counts=True)[1]) == [1, 1, 1, 2, 2, 2]
    X = featlib.extract_vectors(context.backbone, images, context.layer).X
    expected = linear_probe(X, y)
    found = run(transfer_code(context, "shape", limit=9, skip_single=True))
    np.testing.assert_allclose(found["accuracies"], expected.accuracies)
    np.testing.assert_array_equal(found["classes"], expected.classes)
    curve = run(layer_probe_code(context, ["head_relu"], "shape", limit=9, skip_single=True))
    np.testing.assert_allclose(curve["accuracies"]["head_relu"], expected.accuracies)


@pytest.mark.slow
def test_a_model_of_ones_own_is_read_from_its_file(run, tmp_path, capsys, photos, own_file, own_context):
    """Its layers at any depth, by the same programs; names with quotes stay names."""
    shutil.copy(own_file, tmp_path)
    context = own_context
    expected = featlib.feature_maps(context.backbone, photos[[2]], [context.info.path, "answer"])
    found = run(feature_maps_code(context))
    np.testing.assert_allclose(found["maps"], expected[context.info.path][0], atol=1e-4)
    np.testing.assert_allclose(run(predict_code(context))["probabilities"], expected["answer"][0], atol=1e-5)
    assert "dog's" in capsys.readouterr().out
    table = featlib.extract_vectors(context.backbone, photos.sample(3), [context.info.path, "gap"])
    np.testing.assert_allclose(run(vectors_code(context, limit=3))["X"], table.X, atol=1e-4)
    assert len(run(summary_code(context))["layers"]) == len(context.backbone.layers)


@pytest.mark.keras_home
def test_layers_that_keras_names_by_counting_are_found_in_a_later_network(run, photos, mobilenet):
    found = run(vectors_code(replace(mobilenet_context(), layer="global_average_pooling2d"), limit=5))
    assert found["model"].layers[-2].name != "global_average_pooling2d"
    expected = featlib.extract_vectors(mobilenet, photos.sample(5), "global_average_pooling2d", pooling=None)
    np.testing.assert_allclose(found["X"], expected.X, atol=1e-4)
    found = run(feature_maps_code(CodeContext(mobilenet, layer="input_layer")))
    np.testing.assert_allclose(found["maps"], mobilenet.prepare(photos[:1])[0], atol=1e-6)


@pytest.mark.parametrize(
    ("make", "changes", "n_components"),
    [
        (small, {"pooling": "max"}, 2),
        (small, {}, 3),
        pytest.param(lite0_context, {"layer": "predictions", "pooling": None}, 2, marks=SLOW),
    ],
)
def test_pca_is_the_one_on_screen(run, make, changes, n_components):
    context = replace(make(), **changes, images="shapes")
    found = run(projection_code(context, "pca", n_components, limit=40, sample_by="shape"))
    images = images_of(context).sample(40, by="shape")
    X = featlib.extract_vectors(context.backbone, images, context.layer, pooling=context.pooling).X
    expected = project(X, n_components=n_components)
    np.testing.assert_allclose(found["coordinates"], expected.coordinates, atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(found["pca"].explained_variance_ratio_, expected.explained_variance_ratio, rtol=1e-4)


@pytest.mark.parametrize(("n", "d"), [(50, 40), (40, 50), (1200, 2048), (5000, 4097)])
def test_the_program_takes_the_solver_that_the_library_takes(n, d):
    """Exact for small data, randomized for large: the lines as they stand, on shapes without the data."""
    from featlib.analysis.projection import pca_solver
    from featlib.recipes.batches import SOLVER

    scope = {"X": np.broadcast_to(np.float32(0), (n, d))}
    exec(SOLVER, scope)
    assert scope["solver"] == pca_solver(n, d)


@pytest.mark.parametrize(("n_components", "perplexity"), [(2, 5.0), (3, None)])
def test_tsne_is_the_one_on_screen(run, n_components, perplexity):
    found = run(projection_code(small(), "tsne", n_components, perplexity, 3, limit=40, sample_by="shape"))
    X = featlib.extract_vectors(small().backbone, load_samples("shapes").sample(40, by="shape"), "block4_add").X
    np.testing.assert_allclose(found["X"], X, rtol=1e-4, atol=1e-5)
    options = {"method": "tsne", "n_components": n_components, "perplexity": perplexity}
    expected = project(found["X"], **options, random_state=3).coordinates  # it magnifies the last digits of X
    np.testing.assert_allclose(found["coordinates"], expected, atol=1e-6)


@pytest.mark.parametrize(("column", "cv"), [("color", 5), pytest.param("shape", 4, marks=SLOW)])
def test_transfer_learns_the_same_head(run, column, cv):
    context = CodeContext(network(include_top=False, size=96), "shapes", layer="head_relu")
    found = run(transfer_code(context, column, cv, 1, 40))
    images = images_of(context).sample(40, by=column)
    X = featlib.extract_vectors(context.backbone, images, context.layer).X
    expected = linear_probe(X, images.labels_for(column), cv=cv, random_state=1)
    assert len(found["y"]) == 40
    np.testing.assert_allclose(found["accuracies"], expected.accuracies)
    np.testing.assert_array_equal(found["predictions"], expected.predictions)
    np.testing.assert_array_equal(found["classes"], expected.classes)


@pytest.mark.parametrize(
    ("make", "layers"),
    [(small, ["block2_add", "block15_project_bn", "head_relu"]), (mobilenet_v3, ["activation_3", "multiply_4"])],
    ids=["Keras alone", "with featlib"],
)
def test_the_curve_over_depth_is_that_of_probe_layers(run, make, layers):
    context = replace(make(), images="shapes")
    found = run(layer_probe_code(context, layers, "shape", 4, 1, 40))
    images = images_of(context).sample(40, by="shape")
    expected = featlib.probe_layers(
        context.backbone, images, layers, y=images.labels_for("shape"), cv=4, random_state=1
    )
    assert list(found["accuracies"]) == layers
    for layer, result in zip(layers, expected.results, strict=True):
        np.testing.assert_allclose(found["accuracies"][layer], result.accuracies, atol=0.051)  # one image of ten


@pytest.mark.parametrize("pooling", [None, "none", "mean"])
def test_maps_need_a_pooling(pooling):
    for make in (vectors_code, projection_code):
        with pytest.raises(FeatlibError, match=r"'block4_add' outputs feature maps.*Received"):
            make(replace(lite0_context(), pooling=pooling))


def test_a_limit_that_leaves_all_is_not_written():
    assert ".sample(" not in vectors_code(replace(lite0_context(), images="views"), limit=120)
    assert '.sample(119, by="photo")' in vectors_code(
        replace(lite0_context(), images="views"), limit=119, sample_by="photo"
    )


@pytest.mark.parametrize("text", ['"]); import os; os.abort()  #', "a\nb", "\u2028 \\ ' \" é 🐈", "\x00\x7f"])
def test_names_stay_names(text):
    """A program never contains more than it should, whatever a layer, a file or a label column is called."""
    import ast

    own = replace(small().backbone, name=f"{text}.keras", weights=f"{text}.keras", class_names=(text,) * 2)
    context = CodeContext(own, layer="block4_add")
    tree = ast.parse(transfer_code(context, text))
    strings = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    assert strings.count(text) == 3
    assert strings.count(f"{text}.keras") == 1
    assert not any(isinstance(node, ast.Name) and node.id == "os" for node in ast.walk(tree))


@pytest.mark.parametrize("make", [lite0_context, small, mobilenet_v3, convnext, pytest.param(None, marks=SLOW)])
def test_programs_are_tidy(tmp_path, make, request):
    context = replace(make() if make else request.getfixturevalue("own_context"), images=None)
    last = context.backbone.layers[-1].path
    programs = {
        "predict": predict_code(context),
        "summary": summary_code(context),
        "maps": feature_maps_code(context),
        "vector": feature_maps_code(replace(context, layer=last)),
        "vectors": vectors_code(replace(context, also=last)),
        "pca": projection_code(context),
        "tsne": projection_code(context, "tsne", 3, 12.5),
        "transfer": transfer_code(context, "folder"),
        "depth": layer_probe_code(context, [context.info.path, last], "folder"),
    }
    for name, code in programs.items():
        (tmp_path / f"{name}.py").write_text(code)
    rules = ["--isolated", "--select=E,F,W,I,B,UP", "--line-length=120", "--target-version=py311"]
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", *rules, "."], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
