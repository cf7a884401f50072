"""Compare: the right half is another network, and both halves are the library's."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from featlib.analysis import ProbeDifference, compare_probes, linear_probe, neighbor_accuracy
from featlib.features import extract_vectors, feature_maps
from featlib.images import load_samples
from featlib.models import load_backbone
from featlib.ui.pages.compare import describe_gain
from tests.app.driver import SIZE, choices, data, go, has, labelled, open_page, pick, press, run, said, traces
from tests.app.uploading import upload
from tests.images.corpus import encode, photo


@pytest.fixture(scope="module")
def random96():
    return load_backbone("EfficientNetLite0", weights=None, input_shape=(SIZE, SIZE, 3))


def worth(backbone, layer, images=None, column="photo"):
    images = images or load_samples("views")
    return f"{neighbor_accuracy(extract_vectors(backbone, images, layer).X, images.labels_for(column)):.0%}"


def metrics(at):
    """Title -> value of each metric, on the left and on the right."""
    half = len(at.metric) // 2
    return [{metric.label: metric.value for metric in part} for part in (at.metric[:half], at.metric[half:])]


def test_trained_and_random_weights_of_the_same_network(lite96, random96, photos):
    at = open_page("compare", image=3, layer="block9_add")
    assert "**EfficientNetLite0** · ImageNet weights · 96 × 96" in said(at)
    assert "**EfficientNetLite0** · random weights · 96 × 96" in said(at)
    assert said(at).count("**block9_add** · 6 × 6 × 112") == 2
    assert not [box for box in at.selectbox if box.label.startswith("Right layer")]
    for name, backbone in (("left", lite96), ("right", random96)):
        probabilities = feature_maps(backbone, [photos[3]], "predictions")[0]
        shown = np.ravel(traces(at, f"classes {name}")[0]["x"])
        np.testing.assert_allclose(shown, np.sort(probabilities)[::-1][:5], rtol=1e-3)
    for shown, backbone in zip(metrics(at), (lite96, random96), strict=True):
        for layer in ("block9_add", "head_relu"):
            assert shown[f"5 nearest neighbors, {layer}"] == worth(backbone, layer)
    trained, untrained = (int(shown["5 nearest neighbors, head_relu"][:-1]) for shown in metrics(at))
    assert trained > untrained, "training has added something"
    assert [has(at, "download_button", f"save {side}") for side in ("left", "right")] == [True, True]
    only = "only EfficientNetLite0 · ImageNet weights, block9_add"
    shown = data(at, only)["pictures"][0]
    pick(at, only, shown["value"])
    assert (choices(at).images, choices(at).image) == ("views", shown["value"])
    assert shown["title"].startswith(load_samples("views").names[shown["value"]])


def test_both_are_evaluated_on_the_labels_of_the_persons_own_images(lite96, random96, outcome, tmp_path):
    """What only one gets right is named; a click shows that image in both; the program computes the same."""
    views = load_samples("views")
    names = [f"pets/{view.labels['photo']}/{i:03}.png" for i, view in enumerate(views)]
    lonely = ("pets/unicorn/x.png", encode(photo(), "PNG"))
    files = [*zip(names, (encode(Image.fromarray(view.pixels), "PNG") for view in views), strict=True), lonely]
    at = upload(open_page(layer="block4_add"), files[::-1], "folder")
    uploads = choices(at).uploads
    go(at, "compare")
    kept = uploads[[i for i, name in enumerate(uploads.names) if not name.startswith("unicorn")]]
    assert "Evaluated on 120 of these 121 images by their “folder”" in said(at)
    assert "1 class with a single image is skipped: “unicorn”" in said(at)
    probes = []
    for shown, backbone in zip(metrics(at), (lite96, random96), strict=True):
        X = extract_vectors(backbone, kept, "block4_add").X
        probes.append(linear_probe(X, kept.labels))
        assert shown["5 nearest neighbors, block4_add"] == worth(backbone, "block4_add", kept, "folder")
        probe = probes[-1]
        assert shown["Linear probe, block4_add"] == f"{probe.mean_accuracy:.0%} ± {probe.std_accuracy:.0%}"
    difference = compare_probes(*probes)
    gain = f"{abs(difference.mean_gain) * 100:.1f} ± {difference.std_gain * 100:.1f} percentage points over 5 folds"
    assert gain in said(at)
    assert ("more than the spread" if difference.is_clear else "within its spread") in said(at)
    assert len(difference.only_first)
    shown = data(at, "only EfficientNetLite0 · ImageNet weights, block4_add")["pictures"]
    assert {uploads.names[picture["value"]] for picture in shown} <= {kept.names[i] for i in difference.only_first}
    assert len(shown) == min(30, len(difference.only_first))
    made_from = tmp_path / "photos"
    for name, content in files:
        path = made_from / name.removeprefix("pets/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    made = outcome(at)
    assert made["labeled"].names == kept.names
    np.testing.assert_allclose(made["left_accuracies"], probes[0].accuracies, atol=0.05)
    np.testing.assert_allclose(made["right_accuracies"], probes[1].accuracies, atol=0.1)
    pick(at, "only EfficientNetLite0 · ImageNet weights, block4_add", shown[0]["value"])
    assert choices(at).image == shown[0]["value"]


@pytest.mark.parametrize(
    ("gains", "says"),
    [
        ([0.1, 0.12, 0.11], "B is better by 11.0 ± 0.8 percentage points over 3 folds, more than the spread."),
        ([-0.1, -0.12, -0.11], "A is better by 11.0 ± 0.8"),
        ([0.1, -0.1, 0.05], "within its spread"),
        ([0.0, 0.0], "within its spread"),
    ],
)
def test_a_difference_within_its_spread_is_no_gain(gains, says):
    none = np.array([], int)
    assert says in describe_gain(ProbeDifference(np.array(gains), none, none), "A", "B")


def test_a_random_network_is_compared_with_the_trained_one():
    at = open_page("compare", weights="random")
    assert labelled(at.segmented_control, "Weights on the right").options == ["ImageNet weights"]
    assert "**EfficientNetLite0** · ImageNet weights" in said(at)


@pytest.mark.slow
@pytest.mark.parametrize("link", [{}, {"other": "MobileNetV2(alpha=0.35)"}], ids=["by itself", "by link"])
def test_a_network_with_options_is_compared_with_its_own_random_weights(monkeypatch, tmp_path, link):
    from featlib.ui.compute import networks

    def load(model, *, weights, **options):  # "downloads" in no time
        return load_backbone(model, weights="random", **options).adapted(weights=weights)

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(networks, "load_backbone", load)
    at = open_page("compare", model="MobileNetV2(alpha=0.35)", layer="block_5_add", size=128, **link)
    assert "The ImageNet weights of MobileNetV2(alpha=0.35) are not on this machine." in said(at)
    press(at, "Download up to 14 MB")
    assert not at.warning
    assert "**MobileNetV2(alpha=0.35)** · ImageNet weights · 128 × 128" in said(at)
    assert "**MobileNetV2(alpha=0.35)** · random weights · 128 × 128" in said(at)
    assert said(at).count("**block_5_add** · 16 × 16 × 16") == 2
    options = labelled(at.selectbox, "Network on the right").options
    assert options[0] == "MobileNetV2(alpha=0.35) (the same network)"
    assert "EfficientNetLite0" in options
    labelled(at.selectbox, "Width").set_value("MobileNetV2(alpha=0.5)")
    run(at)
    assert not press(at, "Download up to 14 MB").warning
    assert f"**MobileNetV2(alpha={'0.35' if link else '0.5'})** · random weights" in said(at)


@pytest.mark.slow
def test_another_network_starts_with_the_stage_of_nearest_resolution():
    at = open_page("compare", layer="block4_add", other="MobileNetV2", other_weights="random")
    assert labelled(at.selectbox, "Right layer").value == "block_5_add"
    assert "**block_5_add** · 12 × 12 × 32" in said(at)
    labelled(at.selectbox, "Right layer").set_value("block_2_add")
    run(at)
    assert at.query_params["other_layer"] == "block_2_add"
    assert "**block_2_add** · 24 × 24 × 24" in said(at)
    assert {"other": "MobileNetV2", "other_weights": "random"}.items() <= at.query_params.items()
    labelled(at.selectbox, "Network on the right").set_value("EfficientNetLite0")
    run(at)
    assert "**EfficientNetLite0** · random weights" in said(at)
    assert not at.warning


def test_a_layer_without_maps_is_compared_with_its_like():
    at = open_page("compare", layer="avg_pool", other="MobileNetV2", other_weights="random")
    assert labelled(at.selectbox, "Right layer").value == "global_average_pooling2d"
    for name in ("left", "right"):
        assert len(np.ravel(traces(at, f"vector {name}")[0]["y"])) == 1280


def test_a_right_layer_that_is_not_there_is_named_and_another_shown():
    at = open_page("compare", other="MobileNetV2", other_weights="random", other_layer="block_2_ad")
    assert ["'block_2_ad'" in warning.value for warning in at.warning] == [True]
    assert "'block_5_add'" in at.warning[0].value
    assert choices(at).other_layer == ""
    assert not run(at).warning


@pytest.mark.parametrize("name", ["ResNet50", "NASNetLarge"])
def test_weights_that_are_not_here_are_not_offered(name, monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    at = open_page("compare")
    options = labelled(at.selectbox, "Network on the right").options
    assert f"{name} (random weights only)" in options
    assert "EfficientNetLite0 (the same network)" in options


@pytest.mark.slow
@pytest.mark.keras_home
def test_weights_that_are_here_are_offered_and_wanted_first():
    at = open_page("compare", size=224, other="MobileNetV2")
    assert labelled(at.segmented_control, "Weights on the right").options == ["ImageNet weights", "random weights"]
    assert "**MobileNetV2** · ImageNet weights · 224 × 224" in said(at)
    assert not at.error


@pytest.mark.slow
def test_without_the_top_there_are_no_classes():
    at = open_page("compare", top=0)
    assert not has(at, "plotly_chart", "classes")
    assert said(at).count("It ends at head_relu and has no classification head.") == 2
    assert len(at.code) == 1


def test_the_program_gives_what_is_on_screen(outcome, lite96, photos):
    at = open_page("compare", image=2, layer="block10_add", other="MobileNetV2", other_weights="random")
    made = outcome(at)
    left, right = metrics(at)
    assert left["5 nearest neighbors, block10_add"] == f"{made['left_agreement']:.0%}"
    assert (
        right[f"5 nearest neighbors, {choices(at).other_layer or 'block_12_add'}"] == f"{made['right_agreement']:.0%}"
    )
    np.testing.assert_allclose(made["left_output"], feature_maps(lite96, [photos[2]], "block10_add")[0], atol=1e-3)
