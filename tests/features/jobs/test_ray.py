"""Shards of vectors from Ray's workers: equal to the engine's, whole whatever is killed, resumed, and quiet."""

from __future__ import annotations

import importlib.util
import os
import pickle
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from featlib.errors import CancelledError, FeatlibError, FeatlibWarning
from featlib.features import Origin, extract_vectors, extract_with_ray, load_vectors
from featlib.features.jobs.job import Job
from featlib.features.jobs.ray_driver import follow_shards, share_cores
from featlib.features.jobs.ray_worker import MAX_TRIES, Plan, ShardWorker
from featlib.features.jobs.shards import ShardFolder
from featlib.images import ImageItem, load_samples

ROOT = Path(__file__).resolve().parents[3]
SHARD = 8
LAYERS = ["block2_add", "block4_add"]
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray: pip install 'ray[data]'")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")  # its own
linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three dozens of real photographs in folders, and three files that are none."""
    root = tmp_path_factory.mktemp("ray") / "photos"
    for number, item in enumerate(load_samples("views")[:36]):
        place = root / item.labels["photo"]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(item.pixels).save(place / f"{number}.{'png' if number % 3 else 'jpg'}")
    for name in ("cat.jpg", "astronaut/1b.jpg", "zebra.png"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"\x89PNG no more")
    return root


@pytest.fixture(scope="module")
def cluster():
    """A Ray that is used by all tests here, so that it starts once; its address."""
    ray = pytest.importorskip("ray")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


def workers_below(pid: int) -> list[int]:
    """Processes with a network that descend from a process."""
    parents, names = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
            names[int(stat.parent.name)] = (stat.parent / "cmdline").read_bytes()
        except (OSError, IndexError):
            continue

    def descends(child: int) -> bool:
        while child > 1 and child != pid:
            child = parents.get(child, 0)
        return child == pid

    return [child for child, name in names.items() if b"ShardWorker" in name and descends(child)]


def check_equal(output: Path, expected, images: int) -> None:
    """The set has the rows of `expected`, in order, once, in whole shards."""
    found = load_vectors(output)
    np.testing.assert_allclose(found.X, expected.X, rtol=0, atol=1e-5 * np.abs(expected.X).max())
    assert (found.ids, found.names) == (expected.ids, expected.names)
    assert {name: values.tolist() for name, values in found.labels.items()} == {
        name: values.tolist() for name, values in expected.labels.items()
    }
    assert (found.model, found.fingerprint, found.layers, found.columns, found.pooling) == (
        expected.model,
        expected.fingerprint,
        expected.layers,
        expected.columns,
        expected.pooling,
    )
    assert sorted(found.problems, key=str) == sorted(expected.problems, key=str)
    count = -(-images // SHARD)
    assert sorted(path.name for path in output.iterdir()) == [
        "_job.json",
        *(f"part-{number:05}.parquet" for number in range(count)),
    ]
    assert [pq.read_metadata(path).num_rows for path in sorted(output.glob("part-*"))] == [
        min(SHARD, images - start) for start in range(0, images, SHARD)
    ]


@pytest.mark.slow
@needs_ray
def test_a_few_images_have_the_engine_s_vectors(lite0, tmp_path):
    photos = load_samples("photos")[:3]
    told = []
    run = extract_with_ray(
        "EfficientNetLite0",
        photos,
        tmp_path / "set",
        layers="block2_add",
        shard_size=2,
        workers=1,
        on_progress=lambda *done: told.append(done),
    )
    assert told == [(0, 3), (2, 3), (3, 3)]
    assert (run.shards, run.images, run.problems) == (2, 3, ())
    expected, found = extract_vectors(lite0, photos, "block2_add", runtime="tensorflow"), load_vectors(run.output)
    np.testing.assert_allclose(found.X, expected.X, rtol=0, atol=1e-5 * np.abs(expected.X).max())
    assert (found.ids, found.names, found.origin) == (expected.ids, expected.names, expected.origin)


@needs_ray
@linux
@pytest.mark.slow
def test_vectors_are_the_engine_s_though_it_was_cancelled_and_a_worker_is_killed(
    cluster, folder, lite0, tmp_path, monkeypatch
):
    some = next(folder.glob("*/*.jpg")).read_bytes()
    pixels = load_samples("photos")[1].pixels
    monkeypatch.chdir(folder.parent)  # the workers are elsewhere
    images = ["photos", some, ("given.png", pixels), b"nothing"]
    options = {"layers": LAYERS, "pooling": "max", "l2_normalize": True}
    expected = extract_vectors(lite0, images, **options, runtime="tensorflow")
    output = tmp_path / "set"

    def go(on_progress, workers):
        return extract_with_ray(
            "EfficientNetLite0", images, output, **options, shard_size=SHARD, workers=workers, on_progress=on_progress
        )

    with pytest.raises(CancelledError, match="Stopped after 8 of 42 images"):
        go(lambda done, _: done > 0, workers=1)
    wait_until(lambda: not workers_below(os.getpid()))
    assert (output / "part-00000.parquet").exists()

    told, killed = [], []

    def kill_one(done: int, total: int) -> None:
        told.append((done, total))
        if len(told) == 2 and (found := workers_below(os.getpid())):
            killed.append(found[0])
            os.kill(found[0], signal.SIGKILL)

    run = go(kill_one, workers=2)
    assert killed
    assert told == sorted(set(told))
    assert told[0][0] >= SHARD
    assert told[-1] == (42, 42)
    assert (run.output, run.shards, run.images) == (output, 6, 42)
    assert run.problems == expected.problems
    check_equal(output, expected, 42)
    rows = pq.read_table(output).to_pylist()  # plainly, without featlib
    assert [row["name"] for row in rows if row["error"]] == [problem.name for problem in expected.problems]
    assert all(Path(row["path"]).is_relative_to(folder) for row in rows if row["path"])
    assert [bool(row["path"]) for row in rows if not row["error"]] == [True] * 36 + [False] * 2
    assert rows[-2]["name"] == "given.png"

    before = {path.name: path.stat().st_mtime_ns for path in output.glob("part-*")}
    assert go(lambda *_: True, workers=1) == run  # the same job: nothing is missing
    assert before == {path.name: path.stat().st_mtime_ns for path in output.glob("part-*")}


DRIVER = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a process started in the background ignores it
from featlib.features import extract_with_ray

def tell(done, total):
    print(done, flush=True)

print("ray" in sys.modules, flush=True)
extract_with_ray("EfficientNetLite0", sys.argv[1], sys.argv[2], layers="block2_add", shard_size=8, workers=1,
                 address=sys.argv[3] if sys.argv[3:] else None, on_progress=tell)
"""


@contextmanager
def driver(*arguments) -> Iterator[subprocess.Popen]:
    """A driver in a process of its own, which prints how many images are done, first when it begins."""
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    try:
        assert process.stdout.readline() == "False\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@needs_ray
@linux
@pytest.mark.slow
def test_a_killed_driver_and_ctrl_c_leave_whole_shards_and_no_process(cluster, folder, tmp_path):
    output = tmp_path / "set"
    with driver(folder, output) as process:  # it starts a Ray of its own
        assert process.stdout.readline() == "0\n"
        assert process.stdout.readline() == "8\n", process.stderr.read()
        workers = workers_below(process.pid)
        process.kill()
        said = process.communicate()[1]
    assert workers
    assert not re.search(r"\bray\b", said, re.IGNORECASE)
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    before = {path.name: path.stat().st_mtime_ns for path in output.glob("part-*")}
    assert 1 <= len(before) < 5

    with driver(folder, output, cluster) as process:
        assert int(process.stdout.readline()) >= 8 * (len(before) - 1) + 7  # the last shard has 7
        wait_until(lambda: workers_below(os.getpid()))
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    assert process.returncode in (1, -signal.SIGINT)
    assert said[said.index("Traceback") :].rstrip().endswith("KeyboardInterrupt")
    assert not re.search(r"\bray\b", said[: said.index("Traceback")], re.IGNORECASE)
    wait_until(lambda: not workers_below(os.getpid()))
    assert not list(output.glob(".*"))
    assert before.items() <= {path.name: path.stat().st_mtime_ns for path in output.glob("part-*")}.items()


def wait_until(true, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.1)
    assert true()


@needs_ray
def test_what_is_wrong_is_told_in_one_sentence_before_anything_begins(folder, tmp_path):
    with pytest.raises(FeatlibError, match="No layer named 'nose'"):
        extract_with_ray("EfficientNetLite0", folder, tmp_path / "a", layers="nose")
    assert not (tmp_path / "a").exists()
    for options, message in (
        ({"shard_size": 0}, "shard_size must be at least 1"),
        ({"workers": 0}, "workers must be at least 1"),
        ({"address": "nowhere"}, r"'host:6379' or 'ray://host:10001'. Received: 'nowhere'"),
        ({"address": "ray://127.0.0.1:1"}, "No Ray cluster answers at 'ray://127.0.0.1:1' "),
    ):
        with pytest.raises(FeatlibError, match=message):
            extract_with_ray("EfficientNetLite0", folder, tmp_path / "b", **options)
    with pytest.raises(FeatlibError, match="by its name or path. Received: ndarray"):
        extract_with_ray(np.zeros(3), folder, tmp_path / "b")
    (tmp_path / "file").write_text("")
    with pytest.raises(FeatlibError, match="there is a file of this name"):
        extract_with_ray("EfficientNetLite0", folder, tmp_path / "file")


def test_without_ray_the_command_to_install_it_is_told(monkeypatch, tmp_path):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ray" else found(name))
    with pytest.raises(FeatlibError, match=r"pip install 'ray\[data\]'"):
        extract_with_ray("EfficientNetLite0", [], tmp_path / "set")
    assert not (tmp_path / "set").exists()


def shards(path: Path, resizer: str = "pillow") -> ShardFolder:
    origin = Origin("m", "f" * 32, ("a",), ("a:0",), "avg", resizer)
    folder = ShardFolder(path, Job(origin, False, "float32", "digest", 5), 2)
    folder.begin(resume=True)
    return folder


@pytest.fixture
def environment():
    """A worker sets how many threads its process uses."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def test_warnings_of_workers_are_shown_by_the_driver_once(environment, tmp_path):
    note = "OpenVINO cannot run 'm', so it is not used."

    class Noting(ShardWorker):
        def compute(self, number, images):
            warnings.warn(note, FeatlibWarning, stacklevel=2)

    folder = shards(tmp_path)
    batch = {"shard": np.array([2]), "images": np.array([pickle.dumps([])], dtype=object)}
    assert Noting(Plan("m", {}), folder, 1)(batch) == {"shard": [2], "error": [""], "notes": [note]}
    told = []
    with pytest.warns(FeatlibWarning, match="OpenVINO cannot run 'm'") as warned:
        follow_shards(
            folder, [0, 1, 2], iter([(1, "", note), (2, "", note), (0, "", "")]), lambda *done: told.append(done)
        )
    assert len(warned) == 1
    assert told == [(0, 5), (2, 5), (3, 5), (5, 5)]


def test_a_failed_worker_and_a_stop_end_the_run(tmp_path):
    folder = shards(tmp_path)
    with pytest.raises(FeatlibError, match="no such layer"):
        follow_shards(folder, [0, 1], iter([(0, "no such layer", "")]))
    with pytest.raises(CancelledError, match="Stopped after 4 of 5 images"):
        follow_shards(folder, [0, 2], iter([(0, "", "")]), lambda done, _: done > 2)
    follow_shards(folder, [], iter([]), lambda *_: True)


def test_a_shard_at_which_workers_die_is_not_tried_for_ever(environment, tmp_path):
    folder = shards(tmp_path)
    assert [folder.count_try(1) for _ in range(MAX_TRIES)] == list(range(1, MAX_TRIES + 1))
    images = pickle.dumps([ImageItem("1", "one.png"), ImageItem("2", "two.png")])
    said = ShardWorker(Plan("nothing", {}), folder, 1)({"shard": np.array([1]), "images": np.array([images], object)})
    assert said["shard"] == [1]
    assert "Workers died 5 times at the images from 'one.png' to 'two.png'" in said["error"][0]


def test_a_worker_takes_the_driver_s_resizer_or_says_that_it_cannot(environment, tmp_path):
    folder = shards(tmp_path, resizer="magic")
    images = pickle.dumps([ImageItem("1", "one.png")])
    said = ShardWorker(Plan("nothing", {}), folder, 1)({"shard": np.array([1]), "images": np.array([images], object)})
    assert "No resizer named 'magic'" in said["error"][0]


@pytest.mark.parametrize(
    ("nodes", "workers", "expected"),
    [
        ([2], None, (1, 2)),
        ([64], None, (8, 8)),
        ([0, 16, 16], None, (4, 8)),
        ([4, 16], None, (5, 4)),
        ([2], 2, (2, 1)),
        ([2], 3, (3, 2 / 3)),
        ([16, 4], 2, (2, 8)),
        ([3, 3], 2, (2, 3)),
        ([3, 3], 4, (4, 1)),
    ],
)
def test_workers_times_threads_are_the_cores(nodes, workers, expected):
    assert share_cores(nodes, workers) == pytest.approx(expected)


def test_a_cluster_without_cores_is_told():
    with pytest.raises(FeatlibError, match="offers a processor core"):
        share_cores([0, 0], None)
