"""Every hostile or broken file is refused with its reason, or read without what is hostile in it, and harms nothing."""

from __future__ import annotations

import io
import json
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest

from featlib.errors import ModelError
from featlib.models.untrusted import inspect_model_file, open_model_file, read_weights
from featlib.models.untrusted.inspection import inspect_model, inspect_weights
from featlib.models.untrusted.opening import load_copy
from featlib.models.untrusted.trial import find_problem
from tests.models.untrusted.files import CONFIG, WEIGHTS, edited_h5, h5, members_of, write
from tests.models.untrusted.hostile import HARMLESS, INSPECTED, MARKER, TRIED

MAX_RSS = 4_000_000  # kB
# One of each class of attack goes all the way in every run; the others do in the slow ones.
ALL_THE_WAY = {
    "missing", "folder", "too large", "web page", "twice", "symlink", "deep json", "name twice", "lambda bytecode",
    "vocabulary file", "kernel", "weights cut", "external array", "virtual array", "large gzip bomb", "loop",
    "one text for all names",
}  # fmt: skip


def _names(folder):
    return sorted(path.name for path in folder.rglob("*"))


@pytest.fixture(autouse=True)
def nothing_written(tmp_path):
    MARKER.unlink(missing_ok=True)
    yield
    assert not MARKER.exists()
    assert len(_names(tmp_path)) <= 1


def _check_message(message, reason):
    assert reason in message
    assert len(message) < 500
    assert message.isprintable()


@pytest.mark.parametrize("case", [case for case in INSPECTED if case not in ("missing", "folder", "too large")])
def test_refused_by_the_inspection(case, good, tmp_path):
    make, reason = INSPECTED[case]
    data = make(tmp_path, good).read_bytes()
    with pytest.raises(ModelError) as refusal:
        inspect_model(data)
    _check_message(str(refusal.value), reason)


@pytest.mark.parametrize(
    "case", [case if case in ALL_THE_WAY else pytest.param(case, marks=pytest.mark.slow) for case in INSPECTED]
)
def test_refused_in_a_process_of_its_own(case, good, tmp_path):
    make, reason = INSPECTED[case]
    path = make(tmp_path, good)
    with pytest.raises(ModelError) as refusal:
        inspect_model_file(path)
    _check_message(str(refusal.value), reason)
    assert path.name in str(refusal.value)


@pytest.mark.parametrize("case", HARMLESS)
def test_harmless_files_give_the_same_network(case, good, tmp_path):
    """What is hostile in them is not in the copy."""
    copy = inspect_model(HARMLESS[case](tmp_path, good).read_bytes()).content
    expected, received = good.members, members_of(copy)
    assert received.keys() == expected.keys()
    assert json.loads(received[CONFIG])["config"] == _without_compile_config(good.config)["config"]
    assert _arrays(received[WEIGHTS]) == _arrays(expected[WEIGHTS])
    (tmp_path / "model.keras").write_bytes(copy)
    loaded = load_copy(tmp_path / "model.keras")
    (tmp_path / "model.keras").write_bytes(good.keras)
    for ours, theirs in zip(loaded.get_weights(), load_copy(tmp_path / "model.keras").get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_readme_names_what_is_harmless():
    readme = Path(sys.modules[inspect_model.__module__].__file__).with_name("README.md").read_text()
    assert [case for case in HARMLESS if f"| {case} |" not in readme] == []


@pytest.fixture(scope="module")
def tried(good, tmp_path_factory):
    """Case -> (what opening it raised, seconds, files afterwards); two at a time: TensorFlow waits 10 s for memory."""

    def try_one(case):
        folder = tmp_path_factory.mktemp(case.replace(" ", "-"))
        path = TRIED[case][0](folder, good)
        inspect_model_file(path)
        before = time.monotonic()
        with pytest.raises(ModelError) as refusal:
            open_model_file(path, timeout=8 if case == "slow" else 60)
        return str(refusal.value), time.monotonic() - before, _names(folder)

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(TRIED, pool.map(try_one, TRIED), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("case", TRIED)
def test_refused_by_the_trial(case, tried):
    message, seconds, files = tried[case]
    _check_message(message, TRIED[case][1])
    assert seconds < 65
    assert len(files) == 1
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < MAX_RSS


@pytest.mark.parametrize("case", ["escapes", "lone surrogate", "groups 2", "large activations"])
def test_what_the_trial_finds(case, good, tmp_path):
    """As in the process of the trial, in this one."""
    path = TRIED[case][0](tmp_path, good)
    inspected = inspect_model(path.read_bytes())
    path.write_bytes(inspected.content)
    _check_message(find_problem(path), TRIED[case][1])


def test_a_file_that_keras_refuses_all_the_way(good, tmp_path):
    path = TRIED["escapes"][0](tmp_path, good)
    with pytest.raises(ModelError, match=r"The file 'model.h5' cannot be used. Keras refused it: ") as refusal:
        open_model_file(path)
    _check_message(str(refusal.value), TRIED["escapes"][1])


def test_at_least_45_files():
    assert len(INSPECTED) + len(TRIED) >= 45


def test_only_the_other_process_parses_the_file(good, tmp_path):
    """Nor are the modules imported that other processes run: Python warns, and runs such a module twice."""
    path = write(tmp_path, "model.keras", good.keras)
    code = (
        "import sys; from featlib.models.untrusted import inspect_model_file, read_weights;"
        "inspect_model_file(sys.argv[1]); read_weights(sys.argv[1]);"
        "ours = {f'featlib.models.untrusted.{name}' for name in 'archive hdf5 json_text inspection trial'.split()};"
        "print(ours & set(sys.modules) | {'keras', 'tensorflow', 'h5py'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("case", ["soft link", "external array", "loop", "gzip bomb", "huge array", "objects"])
def test_the_same_rules_for_weights_files(case, good, tmp_path):
    make, reason = INSPECTED[case]
    data = make(tmp_path, good).read_bytes()
    for content in (data, members_of(data)[WEIGHTS]):
        with pytest.raises(ModelError) as refusal:
            inspect_weights(content)
        assert reason in str(refusal.value)


def _arrays(data):
    """Name -> values of all arrays and attributes in an HDF5 file."""
    found = {}

    def visit(name, item):
        found[name] = {key: str(value) for key, value in item.attrs.items()}
        if isinstance(item, h5py.Dataset):
            found[name]["values"] = item[()].tobytes()

    with h5py.File(io.BytesIO(data)) as file:
        visit("", file)
        file.visititems(visit)
    return found


def _without_compile_config(value):
    if isinstance(value, list):
        return [_without_compile_config(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_compile_config(item) for key, item in value.items() if key != "compile_config"}
    return value


def test_weights_files_that_pass(good, tmp_path):
    for data in (good.members[WEIGHTS], good.keras):
        assert _arrays(read_weights(write(tmp_path, "model.weights.h5", data))) == _arrays(good.members[WEIGHTS])
    assert _arrays(read_weights(write(tmp_path, "model.weights.h5", good.h5))) == _arrays(good.h5)


def test_a_copy_is_contiguous_and_unfiltered():
    values = np.random.default_rng(0).normal(size=(40, 50)).astype("f4")

    def build(file):
        file.create_dataset("layers/conv/vars/0", data=values, chunks=(10, 50), compression="gzip", shuffle=True)
        file.create_dataset("layers/conv/vars/1", (7,), "f4", chunks=(3,), fillvalue=2.5)
        half = file.create_dataset("layers/conv/vars/2", data=values[0].view("V2"))
        half.attrs["dtype"] = "bfloat16"

    with h5py.File(io.BytesIO(inspect_weights(h5(build)).content)) as copy:
        arrays = copy["layers/conv/vars"]
        assert [(array.chunks, array.compression, array.shuffle) for array in arrays.values()] == [
            (None, None, False)
        ] * 3
        np.testing.assert_array_equal(arrays["0"], values)
        np.testing.assert_array_equal(arrays["1"], np.full(7, 2.5))
        assert arrays["2"][()].tobytes() == values[0].tobytes()
        assert arrays["2"].attrs["dtype"] == "bfloat16"


def test_long_lists_of_names_that_keras_splits(good):
    names = [f"layer_{i}_{'x' * 200}" for i in range(900)]

    def split(file):
        group = file["model_weights"]
        del group.attrs["layer_names"]
        for i in range(3):
            group.attrs[f"layer_names{i}"] = np.array(names[300 * i : 300 * (i + 1)], "S")

    data = edited_h5(good.h5, split)
    assert _arrays(inspect_weights(data).content) == _arrays(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no weights", "of an unknown kind"),
        (b"", "It is empty"),
        (h5(lambda file: file.create_group("layers")), "holds no weights at all"),
    ],
)
def test_no_weights_file(data, reason, tmp_path):
    with pytest.raises(ModelError, match=reason):
        read_weights(write(tmp_path, "model.weights.h5", data))


def test_a_layer_named_like_markup_is_refused(tmp_path):
    import keras

    image = keras.Input((8, 8, 3), name="a`![](https:example.com)")
    keras.Model(image, keras.layers.Flatten(name="flat")(image)).save(tmp_path / "named.keras")
    with pytest.raises(ModelError, match="A layer is named 'a`!.*Give it another name"):
        inspect_model((tmp_path / "named.keras").read_bytes())


@pytest.mark.slow
def test_what_a_layer_takes_on_the_way_is_found_by_running_it(tmp_path):
    """Its outputs are small, as the list of layers says; one image would take 36 GB."""
    import keras

    image = keras.Input((224, 224, 3), name="image")
    many = keras.ops.mean(keras.ops.repeat(image, 60_000, axis=0), axis=0, keepdims=True)
    keras.Model(image, keras.layers.Flatten(name="flat")(many)).save(tmp_path / "bomb.keras")
    with pytest.raises(ModelError, match="bomb.keras.*needs more memory"):
        open_model_file(tmp_path / "bomb.keras")
