"""The list of networks, against the truth: what the installed Keras builds."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from types import SimpleNamespace

import keras
import pytest

from featlib.errors import ModelError
from featlib.models import list_models, load_backbone, weights_on_disk
from featlib.models.applications import catalog
from featlib.models.applications.catalog import (
    check_options,
    find_choice,
    keras_networks,
    keras_options,
    weights_file,
    write_model_name,
)
from featlib.models.applications.facts import FAMILIES, KERAS_FACTS
from featlib.models.applications.layer_names import all_operations
from featlib.models.applications.names import parse_model_name

NETWORKS = dict(keras_networks(keras))
SMALL = ("MobileNetV3Small", "EfficientNetB0", "VGG16", "MobileNet", "ConvNeXtTiny")
MIDDLE = ("NASNetMobile", "DenseNet121")  # many layers


def build_afresh(name, weights=None, **options):
    """What Keras alone builds in a fresh process: it counts automatic names for each thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(NETWORKS[name], weights=weights, **options).result()


def names(model):
    return [operation.name for operation in all_operations(model)]


def compare_with_truth(name, model):
    """Default size, parameters, feature layer."""
    choice = find_choice(name)
    assert model.input_shape[1] in (choice.input_size, None)
    assert model.count_params() == choice.params
    assert choice.megabytes == pytest.approx(choice.params * 4 / 1e6, abs=0.06)
    maps = [op.name for op in model.operations if len(op.output.shape) == 4 and op.output.shape[1] != 1]
    assert maps[-1] == choice.feature_layer


@pytest.fixture
def asked_files(monkeypatch):
    """The weights files that Keras asks for; the networks keep their first weights, since nothing can be downloaded."""
    asked = []

    def get_file(fname, *args, **kwargs):
        asked.append(fname)
        return fname

    monkeypatch.setattr(sys.modules["keras.src.utils.file_utils"], "get_file", get_file)
    monkeypatch.setattr(keras.Model, "load_weights", lambda self, path: None)
    return asked


def test_the_table_has_every_network_of_this_keras():
    """Where this fails, Keras has new networks: measure them and add them to applications/facts.py."""
    assert sorted(NETWORKS) == sorted(KERAS_FACTS)


def test_modules_and_options_are_those_of_keras():
    choices = {choice.name: choice for choice in list_models() if not choice.embedded}
    for name, function in NETWORKS.items():
        assert choices[name].module == function.__module__.split(".")[-1]
        assert choices[name].options == keras_options(function)
        assert hasattr(getattr(keras.applications, choices[name].module), "preprocess_input")


@pytest.mark.parametrize("name", [*SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in MIDDLE)])
def test_facts_of_small_networks(name):
    compare_with_truth(name, build_afresh(name))


@pytest.mark.parametrize("name", ["MobileNet", "MobileNetV3Small"])
def test_weights_files_are_named_as_keras_names_them(name, asked_files):
    for include_top in (True, False):
        NETWORKS[name](include_top=include_top)
        assert asked_files.pop() == weights_file(find_choice(name), include_top)


@pytest.mark.parametrize(("name", "alpha"), [("MobileNet", 0.25), ("MobileNetV2", 0.35), ("MobileNetV3Small", 0.75)])
def test_each_width_has_its_own_file(name, alpha, asked_files):
    NETWORKS[name](include_top=False, alpha=alpha)
    assert asked_files == [weights_file(find_choice(name), include_top=False, alpha=alpha)]


@pytest.mark.slow
@pytest.mark.parametrize("name", KERAS_FACTS)
def test_every_network(name, asked_files):
    choice = find_choice(name)
    backbone = load_backbone(name)
    compare_with_truth(name, backbone.model)
    assert backbone.feature_layer == choice.feature_layer
    assert backbone.input_shape == (choice.input_size, choice.input_size, 3)
    assert asked_files == [weights_file(choice, include_top=True)]


@pytest.mark.slow
@pytest.mark.parametrize("module", [family.module for family in FAMILIES])
def test_every_family_without_top(module, asked_files):
    smallest = min((facts.params, name) for name, facts in KERAS_FACTS.items() if facts.module == module)
    load_backbone(smallest[1], include_top=False)
    assert asked_files == [weights_file(find_choice(smallest[1]), include_top=False)]


def test_embedded_first_then_by_family():
    choices = list_models()
    assert [choice.embedded for choice in choices] == [True] + [False] * (len(choices) - 1)
    families = [choice.family for choice in choices]
    assert sum(one != two for one, two in pairwise(families)) == len(set(families)) - 1
    for choice in choices:
        assert choice.input_sizes[-1] == choice.input_size
        assert 224 in choice.input_sizes
        assert choice.description.endswith(".")
        assert hash(choice) is not None


def test_the_embedded_network_is_described_right(lite0):
    choice = list_models()[0]
    assert (choice.params, choice.feature_layer) == (lite0.model.count_params(), lite0.feature_layer)
    assert lite0.input_shape == (choice.input_size, choice.input_size, 3)


def test_listing_and_simple_preprocessing_need_no_keras():
    code = """
import sys, numpy as np, featlib
from featlib.errors import ModelError
from featlib.models import find_preprocessing, list_models, load_backbone, weights_on_disk
assert len(list_models()) > 40
for choice in list_models(): weights_on_disk(choice, True)
for name in ("none", "unit", "tf", "lite0"): find_preprocessing(name)(np.zeros((2, 2, 3), np.uint8))
try: load_backbone("VGG61")
except ModelError as error: assert "'VGG16'" in str(error)
print([name for name in ("keras", "tensorflow") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_a_network_that_the_table_does_not_know(monkeypatch):
    monkeypatch.delitem(KERAS_FACTS, "MobileNet")
    choice = list_models()[-1]
    assert (choice.name, choice.module) == ("MobileNet", "mobilenet")
    assert (choice.input_size, choice.params, choice.megabytes, choice.feature_layer) == (None,) * 4
    assert choice.options["alpha"] == 1.0
    assert weights_on_disk(choice) is False
    backbone = load_backbone("mobilenet(alpha=0.25)", weights=None)
    assert (backbone.name, backbone.input_shape) == ("MobileNet(alpha=0.25)", (224, 224, 3))


def test_another_keras_is_asked_for_unknown_names(monkeypatch):
    assert catalog.keras_may_have_more()
    monkeypatch.setattr(catalog, "sys", SimpleNamespace(modules={}))
    assert not catalog.keras_may_have_more()
    monkeypatch.setattr(catalog, "MEASURED_WITH", "3.0.0")
    assert catalog.keras_may_have_more()


def test_weights_on_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    mobilenet, vgg = find_choice("MobileNetV2"), find_choice("VGG16")
    assert weights_on_disk(list_models()[0], True)
    assert not weights_on_disk(mobilenet, True)
    prefix = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0"
    for file in (f"{prefix}_224.h5", f"{prefix}_128_no_top.h5", "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"):
        (tmp_path / "models" / file).touch()
    assert weights_on_disk(mobilenet, True)
    assert not weights_on_disk(mobilenet, False)
    assert weights_on_disk(mobilenet, False, input_size=128)
    assert weights_on_disk(vgg, False, input_size=128)  # one file for all sizes
    assert not weights_on_disk(vgg, True)


@pytest.mark.keras_home
def test_downloaded_weights_are_seen():
    assert weights_on_disk(find_choice("MobileNetV2"), True)
    assert weights_on_disk(find_choice("MobileNetV2"), False)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("mobilenetv2", "MobileNetV2"),
        (" MobileNetV2( alpha = 0.50 ) ", "MobileNetV2(alpha=0.5)"),
        ("MobileNetV2(alpha=1)", "MobileNetV2"),
        ("MobileNetV3Small(minimalistic=True, alpha=0.75)", "MobileNetV3Small(alpha=0.75, minimalistic=True)"),
        ("vgg16(classes=5)", "VGG16(classes=5)"),
        ("ResNet50()", "ResNet50"),
        ("efficientnetlite0", "EfficientNetLite0"),
    ],
)
def test_names_with_options_are_written_in_one_way(text, written):
    name, options = parse_model_name(text)
    choice = find_choice(name)
    assert write_model_name(choice, check_options(choice, options)) == written
    assert parse_model_name(written)[0] == choice.name


@pytest.mark.parametrize(
    "text",
    [
        "MobileNetV2(__import__('os').getcwd())",
        "MobileNetV2(alpha=open('x'))",
        "MobileNetV2(0.35)",
        "MobileNetV2(*[1])",
        "MobileNetV2(alpha=0.35, alpha=0.5)",
        "MobileNetV2(alpha=0.35)(alpha=0.5)",
        "MobileNetV2(alpha=" + "(" * 190 + ")",
    ],
)
def test_brackets_hold_plain_options_only(text):
    with pytest.raises(ModelError, match=r"written like MobileNetV2\(alpha=0.35\)"):
        parse_model_name(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta": 1}, "no option 'beta'. Allowed: alpha=1.0, classes=1000"),
        ({"pooling": "avg"}, "no option 'pooling'"),
        ({"alpha": "wide"}, "must be a number from 0.05 to 4. Received: 'wide'"),
        ({"alpha": 1e9}, "from 0.05 to 4"),
        ({"alpha": True}, "must be a number"),
        ({"classes": 2.5}, "must be a whole number from 1 to 65,536"),
        ({"classes": 10**9}, "Received: 1000000000"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ModelError, match=message):
        check_options(find_choice("MobileNetV2"), options)


def test_families_have_one_module_each():
    assert len({family.module for family in FAMILIES}) == len(FAMILIES)
    assert {facts.module for facts in KERAS_FACTS.values()} == {family.module for family in FAMILIES}
