"""A growing file of vectors: killed, cut, out of room and resumed, it ends as if nothing had happened."""

from __future__ import annotations

import csv
import json
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
from featlib.features import load_vectors
from featlib.features.jobs.partial import PartialFile
from featlib.images import ImageItem, ImageProblem
from tests.features.jobs.growing import FORMATS, JOB, TOTAL, WIDTHS, image, vector

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
@pytest.mark.parametrize("suffix", FORMATS)
def test_killed_more_than_20_times_nothing_is_lost_or_doubled(grown, suffix):
    folder, told = grown
    deaths, statuses, left = (told[suffix]["killed"][name] for name in ("deaths", "statuses", "left"))
    print(f"{suffix}: {deaths} deaths")
    assert deaths >= 20
    assert set(statuses) <= {0, -9}
    assert statuses[0] == statuses[-1] == 0
    names = {f"{name}{suffix}" for name in ("whole", "killed")}
    assert set(left) == names | ({f"{name}.rows.csv" for name in names} if suffix == ".npy" else set())
    for name in ("whole", "killed"):
        check(folder / suffix[1:] / f"{name}{suffix}")


@posix
@pytest.mark.parametrize("suffix", [suffix for suffix in FORMATS if suffix != ".h5"])
def test_a_full_disk_is_told_and_what_is_there_is_kept(grown, suffix):
    folder, told = grown
    full = told[suffix]["full"]
    assert set(full["statuses"]) <= {0, 3}
    assert full["statuses"][0] == 3
    assert full["statuses"][-1] == 0
    assert not full["appeared"]
    kept = [text for text in full["said"] if "are kept in" in text]
    assert kept
    assert all("file too large" in text and "again with resume" in text for text in kept)
    check(folder / suffix[1:] / f"full{suffix}")


def append(file: PartialFile, end: int) -> None:
    numbers = range(file.done, end)
    good = [vector(n) for n in numbers if isinstance(IMAGES[n], ImageItem)]
    file.append([IMAGES[n] for n in numbers], np.array(good, np.float32).reshape(-1, sum(WIDTHS)))


def begun(target: Path, end: int = 40) -> Path:
    with PartialFile.open(target, JOB, resume=False) as file:
        append(file, 11)
        append(file, end)
    assert not target.exists()
    return target.with_name(f".{target.name}.partial")


def test_whatever_was_written_last_is_cut_to_what_both_files_agree_on(tmp_path):
    target = tmp_path / "v.parquet"
    kept = begun(target)
    before = {name: (kept / name).read_bytes() for name in ("vectors.npy", "rows.jsonl")}
    rng = np.random.default_rng(5)
    seen = set()
    for _ in range(60):
        for name, data in before.items():
            end = int(rng.integers(0, len(data) + 1))
            junk = [b"", b"\0" * 50, b'{"id": "x"', b'{"name": 3}\n', b"\xff\xff\n"][rng.integers(5)]
            (kept / name).write_bytes(data[:end] + junk)
        with PartialFile.open(target, JOB, resume=True) as file:
            seen.add(file.done)
            assert file.done <= 40
            assert file.problems == [one for one in IMAGES[: file.done] if isinstance(one, ImageProblem)]
            append(file, TOTAL)
            file.finish()
        check(target)
        target.unlink()
        kept.mkdir()
        (kept / "job.json").write_text(json.dumps(json.loads(json.dumps(JOB.__dict__))))
    assert len(seen) > 10


def test_a_vector_that_was_damaged_on_the_disk_is_computed_again(tmp_path):
    target = tmp_path / "v.npy"
    kept = begun(target)
    with (kept / "vectors.npy").open("rb+") as file:
        file.seek(128 + 4 * sum(WIDTHS) * 12)
        file.write(b"\0\0\0\0")
    with PartialFile.open(target, JOB, resume=True) as file:
        assert file.done == GOOD[12]
        append(file, TOTAL)
        assert file.finish() == target
    check(target)


def test_half_of_it_is_never_taken_for_the_whole(tmp_path):
    kept = begun(tmp_path / "v.npy")
    assert np.load(kept / "vectors.npy").shape == (0, 8)
    with PartialFile.open(tmp_path / "v.npy", JOB, resume=True) as file:
        with pytest.raises(FeatlibError, match="has 40 of 61 images: it is not whole yet"):
            file.finish()
        assert file.done == 40


def test_another_job_is_not_resumed_and_begins_anew_only_when_asked(tmp_path):
    target = tmp_path / "v.npz"
    begun(target)
    other = replace(JOB, pooling="max", layers=("a/b", "d"))
    with pytest.raises(FeatlibError) as error:
        PartialFile.open(target, other, resume=True)
    assert "layers (was ['a/b', 'c'], is ['a/b', 'd']), pooling (was 'avg', is 'max')" in str(error.value)
    with PartialFile.open(target, JOB, resume=True) as file:
        assert file.done == 40
    with PartialFile.open(target, other, resume=False) as file:
        assert (file.done, file.problems) == (0, [])


def test_a_run_that_was_never_begun_is_simply_begun(tmp_path):
    with PartialFile.open(tmp_path / "v.npz", replace(JOB, total=0), resume=True) as file:
        assert file.done == 0
        file.finish()
    assert load_vectors(tmp_path / "v.npz").X.shape == (0, 8)
    assert [path.name for path in tmp_path.iterdir()] == ["v.npz"]


def test_two_at_once_are_refused_and_a_dead_one_s_lock_is_none(tmp_path):
    target = tmp_path / "v.h5"
    code = f"""
import sys
from pathlib import Path
from featlib.features.jobs.partial import PartialFile
from tests.features.jobs.growing import JOB
file = PartialFile.open(Path({str(target)!r}), JOB, resume=True)
print("open", flush=True)
sys.stdin.read()
"""
    other = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert other.stdout.readline() == b"open\n"
        for resume in (True, False):
            with pytest.raises(FeatlibError, match=r"Another process is writing '.*v\.h5' now"):
                PartialFile.open(target, JOB, resume=resume)
    finally:
        other.kill()
        other.communicate()
    with PartialFile.open(target, JOB, resume=True), pytest.raises(FeatlibError, match="Another process"):
        PartialFile.open(target, JOB, resume=True)
    PartialFile.open(target, JOB, resume=True).close()


def test_what_does_not_fit_is_refused(tmp_path):
    with PartialFile.open(tmp_path / "v.npz", JOB, resume=False) as file:
        with pytest.raises(FeatlibError, match=r"shape \(3, 8\) for 2 images: \(2, 8\) is due"):
            file.append([IMAGES[0], IMAGES[1], IMAGES[3]], np.zeros((3, 8)))
        with pytest.raises(FeatlibError, match="62 images more, but 0 of 61"):
            file.append([IMAGES[3]] * 62, np.zeros((0, 8)))
        assert file.done == 0
    with pytest.raises(FeatlibError, match="must end in"):
        PartialFile.open(tmp_path / "v.txt", JOB, resume=False)


def test_nothing_of_anybody_else_is_removed(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.tex").write_text("years")
    (tmp_path / ".v.npz.partial").symlink_to(tmp_path / "precious")
    with pytest.raises(FeatlibError, match="is a link, which featlib never makes"):
        PartialFile.open(tmp_path / "v.npz", JOB, resume=False)
    (tmp_path / ".w.npz.partial" / "mine").mkdir(parents=True)
    with PartialFile.open(tmp_path / "w.npz", JOB, resume=False) as file:
        append(file, TOTAL)
        file.finish()
    check(tmp_path / "w.npz")
    assert (tmp_path / ".w.npz.partial" / "mine").is_dir()
    assert [path.name for path in (tmp_path / "precious").iterdir()] == ["thesis.tex"]


def test_an_older_target_stays_until_the_new_one_is_whole_and_a_link_stays_a_link(tmp_path):
    (tmp_path / "far").mkdir()
    old = tmp_path / "far" / "v.npz"
    old.write_bytes(b"old")
    link = tmp_path / "link.npz"
    link.symlink_to(old)
    with PartialFile.open(link, JOB, resume=False) as file:
        append(file, TOTAL)
        assert old.read_bytes() == b"old"
        file.finish()
    assert link.is_symlink()
    check(old)
    assert [path.name for path in (tmp_path / "far").iterdir()] == ["v.npz"]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_memory_does_not_grow_with_the_rows(tmp_path):
    """Writing 120 MB of vectors, in each format, takes far less memory."""
    code = """
import sys
from dataclasses import replace
from pathlib import Path
import numpy as np
import h5py, pyarrow as pa, pyarrow.parquet
from featlib.features.jobs.partial import PartialFile
from featlib.images import ImageItem
from tests.features.jobs.growing import JOB

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

job = replace(JOB, layers=("a",), widths=(10000,), total=3000)
X = np.random.default_rng(0).normal(size=(100, 10000)).astype("f4")
pa.array(["x"]), pa.array(np.zeros(1))
for suffix in (".npy", ".npz", ".parquet", ".h5"):
    before = peak()
    target = Path(sys.argv[1]) / f"v{suffix}"
    with PartialFile.open(target, job, resume=False) as file:
        for start in range(0, 3000, 100):
            file.append([ImageItem(f"{i:040x}", f"{i}.png") for i in range(start, start + 100)], X)
        file.finish()
    print(suffix, (peak() - before) // 1024)
    assert target.stat().st_size > 100e6
    target.unlink()
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    assert sum(int(line.split()[1]) for line in done.stdout.splitlines()) < 110
