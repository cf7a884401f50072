"""Weights files: those that fit, and one sentence about those that do not."""

import shutil

import h5py
import numpy as np
import pytest

from featlib.errors import ModelError, WeightsNotFoundError
from featlib.models import load_backbone
from featlib.models.applications.facts import FAMILIES, KERAS_FACTS

NAME = "MobileNet(alpha=0.25, classes=7)"
SHAPE = (32, 32, 3)
FORMATS = (".weights.h5", ".h5", ".keras")
ENDINGS = [*FORMATS[:2], pytest.param(".keras", marks=pytest.mark.slow)]  # a .keras file has weights like .weights.h5


def load(weights=None, name=NAME, **options):
    return load_backbone(name, weights=weights, input_shape=SHAPE, **options)


def save(model, path):
    (model.save_weights if path.name.endswith(".weights.h5") else model.save)(path)
    return path


def refusal(weights, **options):
    with pytest.raises(ModelError) as refused:
        load(weights, **options)
    message = str(refused.value)
    assert len(message.splitlines()) == 1
    return message


@pytest.fixture(scope="module")
def network():
    """A small network whose weights are not those that "random" would give."""
    backbone = load()
    rng = np.random.default_rng(0)
    backbone.model.set_weights([rng.random(weight.shape, np.float32) for weight in backbone.model.weights])
    return backbone


@pytest.fixture(scope="module")
def files(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    return {ending: save(network.model, folder / f"mine{ending}") for ending in FORMATS}


@pytest.fixture(scope="module")
def topless_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("topless")
    model = load(include_top=False).model
    return {ending: save(model, folder / f"topless{ending}") for ending in FORMATS}


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("name", [None, "copy.h5"])
def test_what_is_in_the_file_counts_and_not_its_ending(files, network, tmp_path, ending, name):
    path = shutil.copy(files[ending], tmp_path / name) if name else files[ending]
    again = load(path)
    assert again.fingerprint == network.fingerprint
    assert again.weights == path.name


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_layer_that_differs_is_named_with_both_shapes(files, ending):
    message = refusal(files[ending], name="MobileNet(alpha=0.25, classes=5)")
    assert f"'mine{ending}' does not fit 'MobileNet(alpha=0.25, classes=5)'" in message
    assert "layer 'conv_preds' expects weights of shape (1, 1, 256, 5), and the file has (1, 1, 256, 7)." in message


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_first_layer_that_differs_is_named(files, ending):
    message = refusal(files[ending], name="MobileNet(alpha=0.5, classes=7)")
    assert "layer 'conv1' expects weights of shape (3, 3, 3, 16), and the file has (3, 3, 3, 8)." in message


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_layer_too_many(files, ending):
    message = refusal(files[ending], include_top=False)
    assert "the file has weights for a layer 'conv_preds'" in message
    assert "include_top=True" in message


def test_the_name_of_a_layer_acts_on_no_terminal(topless_files, tmp_path):
    path = shutil.copy(topless_files[".h5"], tmp_path / "evil.h5")
    name = "\x1b]0;PWNED\x07\u202eevil"
    with h5py.File(path, "r+") as file:
        weights = file["model_weights"]
        group = weights.create_group(name)
        group.create_dataset("w", data=np.zeros(3, np.float32))
        group.attrs["weight_names"] = ["w"]
        weights.attrs["layer_names"] = [*weights.attrs["layer_names"], name]
    message = refusal(path, include_top=False)
    assert "weights for a layer '" in message
    assert message.isprintable()


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_missing_layer(topless_files, ending):
    message = refusal(topless_files[ending])
    assert "the file has no weights for layer 'conv_preds'" in message
    assert "include_top=False" in message


@pytest.mark.parametrize("ending", [".weights.h5", ".h5"])
def test_a_layer_missing_in_the_middle(files, tmp_path, ending):
    path = tmp_path / f"cut{ending}"
    shutil.copy(files[ending], path)
    with h5py.File(path, "r+") as file:
        if ending == ".h5":
            group = file["model_weights"]
            group.attrs["layer_names"] = [name for name in group.attrs["layer_names"] if name != "conv_pw_5"]
        else:
            del file["layers/conv2d_5"]
    assert "the file has no weights for layer 'conv_pw_5'" in refusal(path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_weights_of_another_network(files, ending):
    message = refusal(files[ending], name="MobileNetV3Small")
    assert "layers with weights are not the " in message


def check_round_trip(name, path, input_shape=SHAPE):
    one = load_backbone(name, weights=None, include_top=False, input_shape=input_shape)
    rng = np.random.default_rng(1)
    one.model.set_weights([rng.random(np.shape(weight), np.float32) for weight in one.model.get_weights()])
    again = load_backbone(name, weights=save(one.model, path), include_top=False, input_shape=input_shape)
    assert again.fingerprint == one.fingerprint
    path.unlink()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "ending"), [("EfficientNetB0", ".h5"), ("ConvNeXtTiny", ".weights.h5")])
def test_normalisation_and_nested_models_keep_their_weights(name, ending, tmp_path):
    check_round_trip(name, tmp_path / f"one{ending}")


@pytest.mark.slow
@pytest.mark.parametrize("module", [family.module for family in FAMILIES if family.module != "inception_resnet_v2"])
def test_every_family_takes_its_weights(module, tmp_path):
    """All but the family whose smallest network is larger than the 200 MB that are read."""
    name = min((facts.params, name) for name, facts in KERAS_FACTS.items() if facts.module == module)[1]
    check_round_trip(name, tmp_path / "one.weights.h5", input_shape=(75, 75, 3))


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("share", [0.01, 0.99])
def test_a_cut_off_file(files, tmp_path, ending, share):
    data = files[ending].read_bytes()
    path = tmp_path / f"cut{ending}"
    path.write_bytes(data[: int(len(data) * share)])
    message = refusal(path)
    assert f"The file 'cut{ending}' cannot be used. " in message


@pytest.mark.slow
@pytest.mark.parametrize("ending", ENDINGS)
def test_overwritten_bytes_are_one_error_or_none(files, network, tmp_path, ending):
    """Where only numbers are hit, HDF5 has no checksum that would tell."""
    data = files[ending].read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for start in (1000, *rng.integers(0, len(data) if ending == ".keras" else 60_000, 3)):
        path = tmp_path / f"hit{ending}"
        path.write_bytes(data[:start] + rng.bytes(4000) + data[start + 4000 :])
        try:
            load(path)
        except ModelError as error:
            assert "'hit" in str(error)
            refused += 1
    assert refused


@pytest.mark.slow
def test_garbage(tmp_path):
    for content in (b"", b"garbage" * 1000, b"\x89HDF\r\n\x1a\n" + bytes(5000), b"PK\x03\x04" + bytes(500)):
        path = tmp_path / "garbage.h5"
        path.write_bytes(content)
        assert "'garbage.h5' cannot be used" in refusal(path)


def test_hdf5_without_layers(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["numbers"] = np.zeros(3)
    assert "contains no layers" in refusal(tmp_path / "other.h5")
    with h5py.File(tmp_path / "old.weights.h5", "w") as file:
        file["_layer_checkpoint_dependencies/conv2d/vars/0"] = np.zeros(3)
    assert "TensorFlow 2.12 to 2.15" in refusal(tmp_path / "old.weights.h5")


def test_no_file():
    with pytest.raises(WeightsNotFoundError, match="No weights file at 'nowhere.h5'"):
        load("nowhere.h5")
