"""Every hostile or broken file is refused with its reason, and harms nothing."""

from __future__ import annotations

import io
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from featlib.errors import ModelError
from featlib.models.untrusted import inspect_model_file, open_model_file, read_weights
from tests.models.untrusted.files import WEIGHTS, h5, write
from tests.models.untrusted.hostile import INSPECTED, MARKER, TRIED

ROOM = 4_000_000  # kB


def _inside(folder):
    return sorted(path.name for path in folder.rglob("*"))


@pytest.fixture(autouse=True)
def nothing_written(tmp_path):
    MARKER.unlink(missing_ok=True)
    yield
    assert not MARKER.exists()
    assert len(_inside(tmp_path)) <= 1


@pytest.mark.parametrize("case", INSPECTED)
def test_refused_by_the_inspector(case, good, tmp_path):
    make, reason = INSPECTED[case]
    path = make(tmp_path, good)
    with pytest.raises(ModelError) as refusal:
        inspect_model_file(path)
    assert reason in str(refusal.value)
    assert path.name in str(refusal.value)
    assert len(str(refusal.value)) < 500
    assert str(refusal.value).isprintable()


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
        return str(refusal.value), time.monotonic() - before, _inside(folder)

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(TRIED, pool.map(try_one, TRIED), strict=True))


@pytest.mark.parametrize("case", TRIED)
def test_refused_by_the_trial(case, tried):
    message, seconds, files = tried[case]
    assert TRIED[case][1] in message
    assert seconds < 65
    assert len(files) == 1
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < ROOM


def test_at_least_45_files():
    assert len(INSPECTED) + len(TRIED) >= 45


def test_the_inspector_imports_neither_keras_nor_what_other_processes_run(good, tmp_path):
    """Python warns, and runs a module twice, where its package has imported what the process is to run."""
    path = write(tmp_path, "model.keras", good.keras)
    code = (
        "import sys; from featlib.models.untrusted import inspect_model_file; inspect_model_file(sys.argv[1]);"
        "print({'keras', 'tensorflow', 'featlib.models.untrusted.trial', 'featlib.models.untrusted.h5_work'}"
        " & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("case", ["soft link", "external array", "loop", "gzip bomb", "huge array", "objects"])
def test_the_same_rules_for_weights_files(case, good, tmp_path):
    import zipfile

    make, reason = INSPECTED[case]
    archive = make(tmp_path, good)
    with zipfile.ZipFile(io.BytesIO(archive.read_bytes())) as members:
        path = write(tmp_path, "model.keras", members.read(WEIGHTS))
    with pytest.raises(ModelError, match="model.keras") as refusal:
        read_weights(path)
    assert reason in str(refusal.value)


def _arrays(data):
    """Name -> values of all arrays and attributes in an HDF5 file."""
    import h5py

    found = {}

    def visit(name, item):
        found[name] = {key: str(value) for key, value in item.attrs.items()}
        if isinstance(item, h5py.Dataset):
            found[name]["values"] = item[()].tobytes()

    with h5py.File(io.BytesIO(data)) as file:
        visit("", file)
        file.visititems(visit)
    return found


def test_weights_files_that_pass(good, tmp_path):
    for data in (good.members[WEIGHTS], good.keras):
        assert _arrays(read_weights(write(tmp_path, "model.weights.h5", data))) == _arrays(good.members[WEIGHTS])
    assert _arrays(read_weights(write(tmp_path, "model.weights.h5", good.h5))) == _arrays(good.h5)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no weights", "of no kind that is known"),
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
        inspect_model_file(tmp_path / "named.keras")


def test_what_a_layer_takes_on_the_way_is_found_by_running_it(tmp_path):
    """Its outputs are small, as the list of layers says; one image would take 36 GB."""
    import keras

    image = keras.Input((224, 224, 3), name="image")
    many = keras.ops.mean(keras.ops.repeat(image, 60_000, axis=0), axis=0, keepdims=True)
    keras.Model(image, keras.layers.Flatten(name="flat")(many)).save(tmp_path / "bomb.keras")
    with pytest.raises(ModelError, match="bomb.keras.*needs more memory"):
        open_model_file(tmp_path / "bomb.keras")
