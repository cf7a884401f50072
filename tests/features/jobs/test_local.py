"""A file of vectors in the making: killed, damaged, out of room and resumed, it ends as if nothing had happened."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest

from featlib.errors import FeatlibError
from featlib.features.jobs.local import finish, open_partial, shard_size
from featlib.images import ImageItem, ImageProblem
from tests.features.jobs.growing import FORMATS, JOB, ORIGIN, SHARD, TOTAL, WIDTHS, image, vector, work

ROOT = Path(__file__).resolve().parents[3]
IMAGES = [image(number) for number in range(TOTAL)]
GOOD = [number for number, one in enumerate(IMAGES) if isinstance(one, ImageItem)]
X = np.array([vector(number) for number in GOOD])
COLUMNS = [*(f"a/b:{i}" for i in range(WIDTHS[0])), *(f"c:{i}" for i in range(WIDTHS[1]))]
posix = pytest.mark.skipif(sys.platform == "win32", reason="forks")


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """The folder of files written by processes that died, and what happened to them."""
    folder = tmp_path_factory.mktemp("grown")
    seed = int(time.time())
    done = subprocess.run(
        [sys.executable, "-m", "tests.features.jobs.growing", folder, str(seed)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, (seed, done.stderr)
    print(f"seed {seed}")
    return folder, json.loads((folder / "told.json").read_text())


def read_plainly(path: Path) -> dict[str, list]:
    """A file's columns by its format's own reader, without featlib."""
    if path.suffix == ".parquet":
        rows = pq.read_table(path).to_pylist()
        good = [row for row in rows if row["error"] is None]
        return {
            "X": [row["vector"] for row in good],
            **{name: [row[name] for row in good] for name in ("id", "name", "label:kind", "label:odd/column", "path")},
            "problems": [(row["name"], row["error"]) for row in rows if row["error"] is not None],
            "no vector": [row["vector"] for row in rows if row["error"] is not None],
            "order": [row["name"] for row in rows],
        }
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            texts = {
                own: file[name].asstr()[:].tolist()
                for own, name in {"id": "ids", "name": "names", "path": "paths", "label:kind": "label:kind"}.items()
            }
            texts["label:odd/column"] = file["label:odd_column"].asstr()[:].tolist()
            problems = zip(file["problem_names"].asstr()[:], file["problem_reasons"].asstr()[:], strict=True)
            return {"X": file["X"][:].tolist(), **texts, "problems": list(problems)}
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as data:
            texts = {"id": "ids", "name": "names", "label:kind": "label:kind", "label:odd/column": "label:odd/column"}
            problems = list(zip(data["problem_names"].tolist(), data["problem_reasons"].tolist(), strict=True))
            assert data["columns"].tolist() == COLUMNS
            return {
                "X": data["X"].tolist(),
                **{own: data[name].tolist() for own, name in texts.items()},
                "problems": problems,
            }
    names = path.with_name(f"{path.name}.rows.csv") if path.suffix == ".npy" else path
    with names.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    own = {name: [row[name] for row in rows] for name in ("id", "name", "label:kind", "label:odd/column")}
    if path.suffix == ".npy":
        return {"X": np.load(path, allow_pickle=False).tolist(), **own}
    return {"X": np.array([[row[name] for name in COLUMNS] for row in rows], np.float32).tolist(), **own}


def expected() -> dict[str, list]:
    good = [IMAGES[number] for number in GOOD]
    problems = [one for one in IMAGES if isinstance(one, ImageProblem)]
    return {
        "X": X.tolist(),
        "id": [one.id for one in good],
        "name": [one.name for one in good],
        "path": [str(one.path) for one in good],
        "label:kind": [one.labels["kind"] for one in good],
        "label:odd/column": [one.labels.get("odd/column", "") for one in good],
        "problems": [(one.name, one.reason) for one in problems],
        "no vector": [None] * len(problems),
        "order": [one.name for one in IMAGES],
    }


def check(path: Path) -> None:
    """Every column that the format has is there, with its values in order."""
    found = read_plainly(path)
    assert {"X", "id", "name", "label:kind", "label:odd/column"} <= set(found)
    for name, values in found.items():
        assert values == expected()[name], (path, name)


@posix
@pytest.mark.slow
@pytest.mark.parametrize("suffix", FORMATS)
def test_killed_more_than_20_times_nothing_is_lost_doubled_or_computed_again(grown, suffix):
    folder, told = grown
    killed = told[suffix]["killed"]
    print(f"{suffix}: {killed['deaths']} deaths, {killed['reused']} times a finished shard was there")
    assert killed["deaths"] >= 20
    assert set(killed["statuses"]) <= {0, -9}
    assert killed["statuses"][0] == killed["statuses"][-1] == 0
    assert killed["reused"] >= 50
    assert killed["wrong"] == []
    names = {f"{name}{suffix}" for name in ("whole", "killed")}
    assert set(killed["left"]) == names | ({f"{name}.rows.csv" for name in names} if suffix == ".npy" else set())
    whole, resumed = (folder / suffix[1:] / f"{name}{suffix}" for name in ("whole", "killed"))
    check(resumed)
    assert resumed.read_bytes() == whole.read_bytes()


@posix
@pytest.mark.slow
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_full_disk_is_told_and_what_is_there_is_kept(grown, suffix):
    folder, told = grown
    full = told[suffix]["full"]
    *interrupted, last = full["statuses"]
    assert last == 0
    assert interrupted[:3] == [3, 3, 3]
    # The HDF5 library ends a process that cannot write on; the shards stay all the same.
    assert interrupted[3] == 3 or (suffix == ".h5" and interrupted[3] < 0)
    assert not full["appeared"]
    assert full["wrong"] == []
    for text, kept in zip(full["said"], (0, 2, 6, 9), strict=False):
        assert f"file too large): {kept} of 9 parts are kept there. Make room and run it again with resume." in text
    check(folder / suffix[1:] / f"full{suffix}")


def begun(target: Path, end: int = 40) -> Path:
    """The folder of a run that stopped in the middle."""
    with open_partial(target, JOB, SHARD, resume=False) as folder:
        work(folder, end=end)
    assert not target.exists()
    return folder.path


def resumed(target: Path) -> None:
    with open_partial(target, JOB, SHARD, resume=True) as folder:
        work(folder)
        finish(folder, target)
    check(target)


def test_shards_are_neither_too_many_nor_too_large():
    def size(total: int, batch_size: int, width: int = 8) -> int:
        columns = tuple(f"a:{i}" for i in range(width))
        return shard_size(replace(JOB, origin=replace(ORIGIN, columns=columns), total=total), batch_size)

    assert size(TOTAL, SHARD) == SHARD
    assert size(0, 32) == size(100, 32) == size(2048, 32) == 32
    assert size(6400, 32) == 96  # whole batches of at most a 64th
    assert size(10**6, 32) == 512
    assert size(10**6, 500) == 500
    assert size(10**6, 32, width=100_000) == 64  # 32 MB
    assert size(10**6, 32, width=2**20) == 32  # one batch


def test_a_shard_that_was_damaged_on_the_disk_is_computed_again(tmp_path):
    kept = begun(tmp_path / "v.npy")
    assert sorted(path.name for path in kept.glob("part-*")) == [f"part-0000{i}.parquet" for i in range(5)]
    data = bytearray((kept / "part-00003.parquet").read_bytes())
    data[len(data) // 3] ^= 1
    (kept / "part-00003.parquet").write_bytes(data)
    before = {path.name: path.stat().st_mtime_ns for path in kept.glob("part-*")}
    with open_partial(tmp_path / "v.npy", JOB, SHARD, resume=True) as folder:
        assert folder.missing() == [3, 5, 6, 7, 8]
        work(folder)
        changed = {name for name, seen in before.items() if (kept / name).stat().st_mtime_ns != seen}
        assert changed == {"part-00003.parquet"}
        finish(folder, tmp_path / "v.npy")
    check(tmp_path / "v.npy")
    assert not kept.exists()


def test_half_of_it_is_never_taken_for_the_whole(tmp_path):
    begun(tmp_path / "v.npy")
    with open_partial(tmp_path / "v.npy", JOB, SHARD, resume=True) as folder:
        with pytest.raises(FeatlibError, match="has 5 of 9 parts: it is not whole yet"):
            finish(folder, tmp_path / "v.npy")
        assert folder.missing() == [5, 6, 7, 8]


def test_another_job_is_not_resumed_and_starts_over_only_when_asked(tmp_path):
    target = tmp_path / "v.npz"
    kept = begun(target)
    other = replace(JOB, origin=replace(ORIGIN, pooling="max", layers=("a/b", "d"), resizer="cykooz"))
    with pytest.raises(FeatlibError) as error, open_partial(target, other, SHARD, resume=True):
        pass
    for difference in (
        "layers (was ['a/b', 'c'], is ['a/b', 'd'])",
        "pooling (was 'avg', is 'max')",
        "resizer (was 'pillow', is 'cykooz')",
    ):
        assert difference in str(error.value)
    with open_partial(target, JOB, SHARD, resume=True) as folder:
        assert folder.missing() == [5, 6, 7, 8]
    with open_partial(target, other, SHARD, resume=False) as folder:
        assert len(folder.missing()) == len(folder)
    assert [path.name for path in kept.iterdir()] == ["_job.json"]


def test_another_batch_size_resumes_the_shards_that_are_there(tmp_path):
    begun(tmp_path / "v.npz")
    with open_partial(tmp_path / "v.npz", JOB, 16, resume=True) as folder:
        assert (folder.shard_size, folder.missing()) == (SHARD, [5, 6, 7, 8])
    with open_partial(tmp_path / "v.npz", JOB, 16, resume=False) as folder:
        assert (folder.shard_size, len(folder.missing())) == (16, 4)


def test_what_an_earlier_featlib_left_is_started_over(tmp_path):
    folder = tmp_path / ".v.npz.partial"
    folder.mkdir()
    for name in ("job.json", "vectors.npy", "rows.jsonl", "lock"):
        (folder / name).write_text("{}")
    resumed(tmp_path / "v.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["v.npz"]


def test_a_run_is_not_begun_on_a_disk_that_is_too_small(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    needed = 2 * 4 * TOTAL * sum(WIDTHS)  # the shards, and the file
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=needed - 1000))
    with (
        pytest.raises(FeatlibError, match=r"'v\.npz' needs about .* while it is written, and the disk has less"),
        open_partial(tmp_path / "v.npz", JOB, SHARD, resume=True),
    ):
        pass
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=needed))
    resumed(tmp_path / "v.npz")


def test_two_at_once_are_refused_and_a_dead_one_s_lock_is_none(tmp_path):
    target = tmp_path / "v.h5"
    code = f"""
import sys
from pathlib import Path
from featlib.features.jobs.local import open_partial
from tests.features.jobs.growing import JOB
with open_partial(Path({str(target)!r}), JOB, 7, resume=True):
    print("open", flush=True)
    sys.stdin.read()
"""
    other = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    refused = pytest.raises(FeatlibError, match=r"Another process is writing '.*v\.h5' now")
    try:
        assert other.stdout.readline() == b"open\n"
        for resume in (True, False):
            with refused, open_partial(target, JOB, SHARD, resume=resume):
                pass
    finally:
        other.kill()
        other.communicate()
    with open_partial(target, JOB, SHARD, resume=True), refused, open_partial(target, JOB, SHARD, resume=True):
        pass
    resumed(target)


def test_a_file_that_cannot_be_meant_is_refused(tmp_path):
    with pytest.raises(FeatlibError, match="must end in"), open_partial(tmp_path / "v.txt", JOB, resume=False):
        pass
    assert list(tmp_path.iterdir()) == []


def test_nothing_of_anybody_else_is_removed(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.tex").write_text("years")
    (tmp_path / ".v.npz.partial").symlink_to(tmp_path / "precious")
    link = pytest.raises(FeatlibError, match="is a link, which featlib never makes")
    with link, open_partial(tmp_path / "v.npz", JOB, resume=False):
        pass
    (tmp_path / ".w.npz.partial" / "mine").mkdir(parents=True)
    resumed(tmp_path / "w.npz")
    assert [path.name for path in (tmp_path / ".w.npz.partial").iterdir()] == ["mine"]
    assert [path.name for path in (tmp_path / "precious").iterdir()] == ["thesis.tex"]


def test_an_older_target_stays_until_the_new_one_is_whole_and_a_link_stays_a_link(tmp_path):
    (tmp_path / "far").mkdir()
    old = tmp_path / "far" / "v.npz"
    old.write_bytes(b"old")
    link = tmp_path / "link.npz"
    link.symlink_to(old)
    with open_partial(link, JOB, SHARD, resume=False) as folder:
        work(folder)
        assert old.read_bytes() == b"old"
        finish(folder, link)
    assert link.is_symlink()
    check(old)
    assert [path.name for path in (tmp_path / "far").iterdir()] == ["v.npz"]


MEMORY = """
import sys
from dataclasses import replace
from pathlib import Path
import numpy as np
import h5py, pyarrow as pa, pyarrow.parquet
from featlib.features.jobs.local import finish, open_partial
from featlib.images import ImageItem
from tests.features.jobs.growing import JOB, ORIGIN

total = int(sys.argv[2])
columns = tuple(f"a:{i}" for i in range(10000))
job = replace(JOB, origin=replace(ORIGIN, layers=("a",), columns=columns), total=total)
X = np.random.default_rng(0).normal(size=(100, 10000)).astype("f4")
images = [ImageItem(f"{i:040x}", f"{i}.png") for i in range(total)]
for suffix in (".npy", ".npz", ".parquet", ".h5"):
    target = Path(sys.argv[1]) / f"v{suffix}"
    with open_partial(target, job, 100, resume=False) as folder:
        for _ in folder.fill(folder.missing(), ((images[i : i + 100], X) for i in range(0, total, 100))):
            pass
        finish(folder, target)
    assert target.stat().st_size > 36_000 * total
    target.unlink()
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(int(status["VmHWM"].split()[0]) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_memory_does_not_grow_with_the_rows(tmp_path):
    """Writing 120 MB of vectors more, in each format, takes hardly more memory."""
    peaks = []
    for total in (600, 3600):
        command = [sys.executable, "-c", MEMORY, tmp_path, str(total)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout))
    print(peaks)
    assert peaks[1] - peaks[0] < 40
