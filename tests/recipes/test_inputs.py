"""The programs about inputs are run, and what they leave behind is what the library computes."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from featlib.analysis import linear_probe, neighbor_accuracy
from featlib.features import extract_vectors, feature_maps
from featlib.images import load_samples
from featlib.models import find_preprocessing, load_backbone
from featlib.recipes import CodeContext, compare_code, preprocessing_code


@cache
def network(name="EfficientNetLite0", weights="imagenet"):
    return load_backbone(name, weights=weights, input_shape=(96, 96, 3))


def lite0(weights="imagenet"):
    return CodeContext(network(weights=weights), image_index=3)


def mobilenet():
    return CodeContext(network("MobileNetV2", None), image_index=3)


def convnext():
    """Its layers are inside inner models."""
    return CodeContext(network("ConvNeXtTiny", None), image_index=3)


STEM = "convnext_tiny_stem/convnext_tiny_stem_conv"


@pytest.mark.parametrize(
    ("context", "layer", "wrong"),
    [
        (lite0, "head_relu", "none"),
        (lite0, "avg_pool", "caffe"),
        (mobilenet, "out_relu", "unit"),
        (convnext, STEM, "torch"),
    ],
)
def test_both_tensors_and_their_cosine(run, photos, context, layer, wrong):
    found = run(preprocessing_code(context(), wrong, layer))
    right = context().backbone
    other = replace(right, preprocessing=find_preprocessing(wrong))
    for backbone, name in ((right, "right"), (other, "wrong")):
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], backbone.prepare([photos[3]]), atol=1e-4)
    a, b = (feature_maps(side, [photos[3]], layer)[0] for side in (right, other))
    a, b = (x.reshape(-1, x.shape[-1]).mean(axis=0, dtype=np.float64) for x in (a, b))
    assert found["cosine"] == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("other", "other_layer"), [(mobilenet, "out_relu"), (convnext, STEM)])
def test_two_networks_see_the_same(run, photos, other, other_layer):
    found = run(compare_code(lite0(), other(), "block4_add", other_layer))
    views = load_samples("views")
    for side, context, layer in (("left", lite0(), "block4_add"), ("right", other(), other_layer)):
        backbone = context.backbone
        maps = feature_maps(backbone, [photos[3]], layer)[0]
        np.testing.assert_allclose(found[f"{side}_output"], maps, atol=1e-4 * np.abs(maps).max())
        wanted = neighbor_accuracy(extract_vectors(backbone, views, layer).X, views.labels_for("photo"))
        assert found[f"{side}_agreement"] == pytest.approx(wanted, abs=1.5 / len(views))


def test_two_networks_are_evaluated_on_the_labels_of_the_images(run):
    left, right = (replace(lite0(weights), images="shapes") for weights in ("imagenet", "random"))
    found = run(compare_code(left, right, "head_relu", "block4_add", "shape", limit=21, skip_single=True))
    y = found["y"]
    for side, context, layer in (("left", left, "head_relu"), ("right", right, "block4_add")):
        X = extract_vectors(context.backbone, found["labeled"], layer).X
        expected = linear_probe(X, y)
        assert found[f"{side}_agreement"] == pytest.approx(neighbor_accuracy(X, y), abs=1.5 / len(y))
        np.testing.assert_allclose(found[f"{side}_accuracies"], expected.accuracies, atol=1 / 4 + 1e-6)
        assert np.mean(found[f"{side}_predictions"] == expected.predictions) > 0.9
    assert len(found["labeled"]) == 21


def test_programs_are_tidy(tmp_path):
    uploads = replace(mobilenet(), images=None, image_name="IMG 1.png")
    programs = [
        *(
            preprocessing_code(lite0(), wrong, "head_relu")
            for wrong in ("none", "unit", "tf", "torch", "caffe", "lite0")
        ),
        preprocessing_code(uploads, "caffe", "out_relu"),
        preprocessing_code(convnext(), "tf", STEM),
        compare_code(lite0(), lite0("random"), "head_relu", "head_relu"),
        compare_code(lite0(), uploads, "head_relu", "out_relu"),
        compare_code(uploads, lite0(), "out_relu", "head_relu"),
        compare_code(uploads, lite0(), "out_relu", "head_relu", "folder", limit=2000, skip_single=True),
        compare_code(convnext(), lite0(), STEM, "head_relu"),
    ]
    for i, code in enumerate(programs):
        (tmp_path / f"{i}.py").write_text(code)
    rules = ["--isolated", "--select=E,F,W,I,B,UP", "--line-length=120", "--target-version=py311"]
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", *rules, "."], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_names_stay_names():
    text = '"]); import os; os.abort()  #.keras'
    own = CodeContext(replace(network(), name=text, weights=text))
    for code in (preprocessing_code(own, "unit", "head_relu"), compare_code(own, own, "head_relu", "head_relu")):
        tree = ast.parse(code)
        assert text in [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        assert not any(isinstance(node, ast.Name) and node.id == "os" for node in ast.walk(tree))
