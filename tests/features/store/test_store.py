"""The store: what is read is what was put, whatever other processes, crashes and damaged disks do."""

from __future__ import annotations

import os
import pickle
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from featlib.cli import main
from featlib.errors import FeatlibError
from featlib.features.store import VectorStore, default_path
from featlib.features.store.database import PAGE_SIZE
from featlib.features.store.queries import USED_AGAIN_AFTER
from tests.features.store.storing import check, image_id, rows

ROOT = Path(__file__).resolve().parents[3]
slow = pytest.mark.slow
posix = pytest.mark.skipif(sys.platform == "win32", reason="needs signals, fork or limits of POSIX")


@pytest.fixture
def store(tmp_path):
    return VectorStore(tmp_path / "vectors.db")


def old_file(path: Path, content: bytes) -> Path:
    """A file that was written an hour ago."""
    path.write_bytes(content)
    hour_ago = time.time_ns() - 3600 * 10**9
    os.utime(path, ns=(hour_ago, hour_ago))
    return path


def script(code: str, *arguments: object, **options) -> subprocess.Popen:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, **options)


def test_what_was_put_is_read_by_this_store_and_by_another(store):
    store.put("a", rows("a", range(600)))
    for reader in (store, VectorStore(store.path), pickle.loads(pickle.dumps(store))):
        assert check(reader, "a", range(700)) == 600
    found = store.get("a", [image_id(3), image_id(9999), image_id(3)])
    assert [kept is None for kept in found] == [False, True, False]
    assert found[0].dtype == np.float32
    assert not found[0].flags.writeable
    assert store.problem == ""


def test_spaces_do_not_mix_and_a_later_put_replaces(store):
    store.put("a", rows("a", range(5)))
    store.put("b", rows("b", range(3)))
    assert (check(store, "a", range(5)), check(store, "b", range(5)), check(store, "c", range(5))) == (5, 3, 0)
    store.put("a", {image_id(1): np.arange(7, dtype=np.float32)})
    assert store.get("a", [image_id(1)])[0].tolist() == list(range(7))
    assert store.info().vectors == 8


@pytest.mark.parametrize("space", ["", "MobileNetV2/out_relu ü 'x'\0", "x" * 5000, "\udcff"])
def test_any_text_is_a_space_and_an_id(store, space):
    digest = image_id(1)
    ids = [
        digest,
        digest.upper(),
        digest[:20],
        "",
        "\xff" * 20,
        " " * 40,
        "ä/b.png",
        "\udcff",
        bytes(20).hex(),
        "\0" * 20,
    ]
    kept = {image: np.array([number, np.nan], np.float32) for number, image in enumerate(ids)}
    store.put(space, kept)
    assert [found[0] for found in store.get(space, ids)] == list(range(len(ids)))


def test_vectors_of_any_length_and_type_and_nothing_else(store):
    values = [
        np.zeros(0),
        np.arange(3.0),
        np.arange(6)[::2],
        np.array([np.inf, -0.0]),
        np.arange(25088, dtype=np.float16),
    ]
    store.put("a", {str(i): value for i, value in enumerate(values)})
    for value, found in zip(values, store.get("a", list("01234")), strict=True):
        assert found.tobytes() == value.astype(np.float32).tobytes()
    with pytest.raises(FeatlibError, match=r"Received: shape \(2, 3\)"):
        store.put("a", {"5": np.zeros((2, 3))})


def test_nothing_is_made_before_something_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("FEATLIB_HOME", str(tmp_path / "home"))
    store = VectorStore()
    assert store.path == tmp_path / "home" / "vectors.db"
    assert store.get("a", ["1"]) == [None]
    assert store.digests([tmp_path / "none.png"]) == [None]
    store.put("a", {})
    store.clear()
    assert (store.info().vectors, store.info().bytes, store.info().spaces) == (0, 0, ())
    assert not any(tmp_path.iterdir())
    store.put("a", rows("a", [1]))
    assert store.path.exists()


def test_digests_are_known_until_a_file_changes(store, tmp_path, monkeypatch):
    files = [old_file(tmp_path / f"{i}.png", b"content") for i in range(300)]
    store.note_digests({file: (file.stat(), image_id(i)) for i, file in enumerate(files)})
    assert store.digests([*files, tmp_path / "none.png"]) == [*map(image_id, range(300)), None]
    monkeypatch.chdir(tmp_path)
    assert store.digests([Path("7.png")]) == [image_id(7)]
    old_file(files[0], b"another")  # as long, and (within the clock's tick) as old
    files[1].write_bytes(b"longer than before")
    shutil.copy2(files[2], tmp_path / "copy.png")
    (tmp_path / "copy.png").replace(files[2])
    stamp = files[3].stat()
    files[3].write_bytes(b"CONTENT")
    os.utime(files[3], ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # hides the change from all but the ctime
    files[4].unlink()
    assert store.digests(files[:6]) == [None] * 5 + [image_id(5)]


def test_a_file_that_was_just_written_is_not_noted(store, tmp_path):
    fresh, old = tmp_path / "fresh.png", old_file(tmp_path / "old.png", b"1")
    fresh.write_bytes(b"1")
    store.note_digests({file: (file.stat(), image_id(1)) for file in (fresh, old)})
    assert store.digests([fresh, old]) == [None, image_id(1)]


def test_info_and_clear(store):
    store.put("a", rows("a", range(200)))
    store.put("b", rows("b", range(300)))
    info = store.info()
    assert [(name, vectors) for name, vectors, _ in info.spaces] == [("b", 300), ("a", 200)]
    assert info.vectors == 500
    assert 500 * 320 * 4 < sum(size for _, _, size in info.spaces) < info.bytes < 2 * 500 * 320 * 4
    store.clear()
    assert check(store, "a", range(200)) == 0
    assert store.info().vectors == 0
    assert store.path.stat().st_size < 200_000
    store.put("a", rows("a", range(5)))
    assert check(VectorStore(store.path), "a", range(5)) == 5


def disk_use(path: Path) -> int:
    return sum(file.stat().st_size for file in path.parent.iterdir())


def test_what_was_not_used_for_longest_goes_first(tmp_path, monkeypatch):
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    store = VectorStore(tmp_path / "vectors.db", max_bytes=2_000_000)
    for first in range(0, 1000, 100):  # 1.3 MB
        store.put("a", rows("a", range(first, first + 100)))
        now += 1
    now += 2 * USED_AGAIN_AFTER
    assert check(store, "a", range(200)) == 200  # used again
    now += 1
    store.put("b", rows("b", range(700)))  # 0.9 MB more
    assert check(store, "b", range(700)) == 700
    kept = [check(store, "a", range(first, first + 100)) for first in range(0, 1000, 100)]
    assert kept[:3] == [100, 100, 0]
    assert kept[2:] == sorted(kept[2:])
    assert 1_500_000 < store.info().bytes <= 2_000_000


def test_the_limit_is_one_of_the_disk(tmp_path):
    store = VectorStore(tmp_path / "vectors.db", max_bytes=2_000_000)
    for first in range(0, 6000, 200):
        store.put("a", rows("a", range(first, first + 200)))
        assert store.info().bytes <= 2_000_000
    assert check(store, "a", range(5800, 6000)) == 200
    assert store.info().vectors > 1000
    smaller = VectorStore(store.path, max_bytes=1_000_000)
    smaller.put("a", rows("a", [1]))
    del store, smaller  # closed, so the log is in the file
    assert disk_use(tmp_path / "vectors.db") <= 1_000_000


@slow
def test_eight_processes_read_and_write(tmp_path):
    path = tmp_path / "vectors.db"
    code = "import sys; from tests.features.store.storing import *; print(flush=True); input(); "
    code += "print(read_and_write(*sys.argv[1:], 15))"
    processes = [script(code, path, worker, stdin=subprocess.PIPE, bufsize=1) for worker in range(8)]
    for process in processes:
        process.stdout.readline()
    for process in processes:  # all are there, and begin together
        process.stdin.write("\n")
    assert [process.communicate(timeout=300)[0] for process in processes] == ["\n"] * 8, "no problem"
    assert check(VectorStore(path), "shared", range(60)) == 60


@slow
@posix
def test_killed_while_writing(tmp_path):
    path, written = tmp_path / "vectors.db", -1
    for attempt in range(3):
        code = (
            "import sys; from tests.features.store.storing import *; write_until_killed(sys.argv[1], int(sys.argv[2]))"
        )
        with script(code, path, attempt * 100_000) as process:
            for _ in range(3):
                written = int(process.stdout.readline())
            time.sleep(random.uniform(0, 0.05))
            process.kill()
            written = int((process.stdout.read().split() or [written])[-1])  # earlier ones may be evicted by now
        store = VectorStore(path, max_bytes=2**20)
        assert check(store, "shared", range(written, written + 16)) == 16
        check(
            store,
            "shared",
            [number for start in range(attempt + 1) for number in range(start * 100_000, start * 100_000 + 1000)],
        )
        assert store.problem == ""


def damaged_copies(store: VectorStore, count: int, damage):
    """Stores on copies of a file, each damaged in its own way."""
    content = store.path.read_bytes()
    for seed in range(count):
        folder = store.path.parent / str(seed)
        folder.mkdir()
        copy = folder / "vectors.db"
        copy.write_bytes(damage(bytearray(content), random.Random(seed)))
        yield VectorStore(copy)
        shutil.rmtree(folder)


def flip(content: bytearray, chance: random.Random) -> bytes:
    for _ in range(chance.choice([1, 3, 30, 1000])):
        content[chance.randrange(len(content))] = chance.randrange(256)
    return bytes(content)


def flip_structure(content: bytearray, chance: random.Random) -> bytes:
    """Damages the beginnings of pages, where SQLite keeps what leads to the rows."""
    page = chance.randrange(len(content) // PAGE_SIZE) * PAGE_SIZE
    for _ in range(chance.choice([1, 3, 10])):
        content[page + chance.randrange(150)] = chance.randrange(256)
    return bytes(content)


def cut(content: bytearray, chance: random.Random) -> bytes:
    return bytes(content[: chance.randrange(len(content))])


@pytest.mark.parametrize(
    ("damage", "copies"), [(cut, 12), pytest.param(flip, 40, marks=slow), pytest.param(flip_structure, 70, marks=slow)]
)
def test_damage_is_found_and_healed(store, tmp_path, damage, copies):
    store.put("shared", rows("shared", range(60)))
    store.put("other", rows("other", range(60)))
    file = old_file(tmp_path / "a.png", b"1")
    store.note_digests({file: (file.stat(), image_id(1))})
    path = store.path
    store.__init__(path)  # closed, so that the file is whole without its log
    lost = 0
    for damaged in damaged_copies(store, copies, damage):
        kept = check(damaged, "shared", range(60)) + check(damaged, "other", range(60))
        assert damaged.digests([file]) in ([None], [image_id(1)])
        assert damaged.info().vectors >= 0
        damaged.put("shared", rows("shared", range(60)))
        assert check(damaged, "shared", range(60)) == 60
        check(damaged, "other", range(60))
        assert damaged.problem == ""
        lost += kept < 120
    assert lost > 5, "there must be damage that matters"


@pytest.mark.parametrize("content", [b"", b"no database at all" * 1000, None])
def test_a_file_that_is_no_store_is_set_aside(store, content):
    if content is None:
        with sqlite3.connect(store.path) as connection:
            connection.execute("CREATE TABLE own (a)")
        connection.close()
    else:
        store.path.write_bytes(content)
    before = store.path.read_bytes()
    assert check(store, "a", range(3)) == 0
    store.put("a", rows("a", range(3)))
    assert check(store, "a", range(3)) == 3
    assert store.problem == ""
    if before:
        assert store.path.with_name("vectors.db.damaged").read_bytes() == before


def test_a_store_of_another_version_is_replaced_by_a_new_one(store):
    store.put("a", rows("a", range(3)))
    with sqlite3.connect(store.path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    other = VectorStore(store.path)
    assert check(other, "a", range(3)) == 0
    other.put("a", rows("a", range(3)))
    assert check(other, "a", range(3)) == 3
    assert not store.path.with_name("vectors.db.damaged").exists(), "it is outdated, not damaged"


def test_a_damaged_store_is_set_aside(store):
    store.put("a", rows("a", range(3)))
    path = store.path
    store.__init__(path)  # closed
    damaged = bytes(PAGE_SIZE) + path.read_bytes()[PAGE_SIZE:]
    path.write_bytes(damaged)
    assert check(store, "a", range(3)) == 0
    store.put("a", rows("a", range(3)))
    assert (check(store, "a", range(3)), store.problem) == (3, "")
    assert path.with_name("vectors.db.damaged").read_bytes() == damaged
    store.clear()
    assert not path.with_name("vectors.db.damaged").exists()


def test_rows_are_read_into_a_matrix(store):
    store.put("a", rows("a", range(5)) | {image_id(7): np.ones(3, np.float32)})
    matrix = np.full((4, 320), -1, np.float32)
    known = store.read_into("a", [image_id(number) for number in (3, 9, 7, 0)], matrix)
    assert known.tolist() == [True, False, False, True]  # 7 has another length
    np.testing.assert_array_equal(matrix[[0, 3]], [*rows("a", [3, 0]).values()])
    assert (matrix[1:3] == -1).all()


def test_where_the_store_is_by_default(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name, **_: tmp_path / "caches" / name)
    monkeypatch.setenv("FEATLIB_HOME", str(tmp_path / "own"))
    assert default_path() == tmp_path / "own" / "vectors.db"
    monkeypatch.delenv("FEATLIB_HOME")
    assert default_path() == tmp_path / "caches" / "featlib" / "vectors.db"
    earlier = VectorStore(tmp_path / ".featlib" / "vectors.db")  # where earlier versions put it
    earlier.put("a", rows("a", range(3)))
    assert check(VectorStore(), "a", range(3)) == 3
    monkeypatch.setenv("FEATLIB_HOME", str(tmp_path / "own"))
    assert check(VectorStore(), "a", range(3)) == 0


def test_a_file_replaced_or_removed_while_it_is_open(store):
    other = VectorStore(store.path)
    for harm in (
        lambda: store.path.write_bytes(b"rubbish" * 9999),
        store.path.unlink,
        lambda: os.truncate(store.path, 50_000),
    ):
        store.put("a", rows("a", range(50)))
        assert check(other, "a", range(50)) == 50
        harm()
        check(other, "a", range(50))
        for writer in (other, store):
            writer.put("a", rows("a", range(50)))
        for reader in (store, other, VectorStore(store.path)):
            assert check(reader, "a", range(50)) == 50
            assert reader.problem == ""


def open_descriptors(path: Path) -> int:
    """How often this process has a file open; 0 where the system does not tell."""
    folder = Path("/proc/self/fd")
    links = [link for link in folder.iterdir() if link.is_symlink()] if folder.is_dir() else []
    return [str(link.readlink()) for link in links].count(str(path))


def test_many_threads_share_few_connections(store):
    def work(number: int) -> int:
        store.put("a", rows("a", range(number, number + 5)))
        return check(store, "a", range(number, number + 5))

    for _ in range(4):
        with ThreadPoolExecutor(12) as threads:
            assert list(threads.map(work, range(12))) == [5] * 12
    assert check(store, "a", range(16)) == 16
    assert open_descriptors(store.path) <= 16  # SQLite keeps some open a little longer


@slow
@posix
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_of_a_process_that_reads_and_writes(store):
    store.put("a", rows("a", range(50)))
    stop = threading.Event()

    def keep_writing() -> None:
        while not stop.is_set():
            store.put("a", rows("a", range(20)))

    writer = threading.Thread(target=keep_writing)
    writer.start()
    children = []
    for number in range(4):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                inherited = open_descriptors(store.path)
                store.put("child", rows("child", range(number * 10, number * 10 + 10)))
                status = int(check(store, "a", range(50)) != 50 or bool(store.problem) or inherited > 0)
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    stop.set()
    writer.join(timeout=60)
    assert (check(store, "a", range(50)), check(store, "child", range(40)), store.problem) == (50, 40, "")


def test_a_lock_that_lasts(tmp_path):
    store = VectorStore(tmp_path / "vectors.db", timeout=3.0)
    store.put("a", rows("a", range(5)))
    holder = sqlite3.connect(store.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    store.put("a", rows("a", range(5, 10)))
    assert "it is locked by another process" in store.problem
    assert check(store, "a", range(10)) == 5
    assert store.problem, "reading works, but writing does not"
    start = time.monotonic()
    store.put("a", rows("a", range(5, 10)))
    assert time.monotonic() - start < 2, "it does not wait again"
    holder.execute("COMMIT")
    holder.close()
    store.put("a", rows("a", range(5, 10)))
    assert (check(store, "a", range(10)), store.problem) == (10, "")


def test_a_place_where_nothing_can_be_kept(tmp_path):
    (tmp_path / "file").write_bytes(b"1")
    for path in (tmp_path / "file" / "vectors.db", tmp_path / "file" / "deeper" / "vectors.db", tmp_path):
        store = VectorStore(path)
        store.put("a", rows("a", range(5)))
        assert str(path) in store.problem
        assert store.get("a", [image_id(1)]) == [None]


@slow
@posix
def test_a_full_disk(tmp_path):
    code = """
import resource, sys
from tests.features.store.storing import *
resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))
store, problems = VectorStore(sys.argv[1]), 0
for first in range(0, 3000, 100):
    store.put("a", rows("a", range(first, first + 100)))
    problems += "the disk is full" in store.problem
    check(store, "a", range(3000))
print(problems, check(store, "a", range(3000)))
"""
    with script(code, tmp_path / "vectors.db") as process:
        problems, kept = map(int, process.stdout.read().split())
    assert problems > 5
    assert 100 <= kept < 3000
    assert check(VectorStore(tmp_path / "vectors.db"), "a", range(3000)) == kept


def test_the_command_shows_and_clears(tmp_path, monkeypatch):
    monkeypatch.setenv("FEATLIB_HOME", str(tmp_path))
    store = VectorStore()
    store.put("MobileNetV2 out_relu avg", rows("a", range(1200)))
    store.put("short", rows("a", range(3)))
    shown = CliRunner().invoke(main, ["cache"])
    assert shown.exit_code == 0
    assert shown.output.splitlines()[0] == str(store.path)
    assert "1,203 vectors, 1." in shown.output
    assert "MB of 2.0 GB (0.1%)" in shown.output
    assert shown.output.splitlines()[4].split() == ["MobileNetV2", "out_relu", "avg", "1,200", "1.5", "MB"]
    cleared = CliRunner().invoke(main, ["cache", "--clear"])
    assert cleared.exit_code == 0
    assert "removed 1,203 vectors, freed 1." in cleared.output
    assert store.info().vectors == 0
    assert "0 vectors" in CliRunner().invoke(main, ["cache"]).output


def test_the_command_tells_what_is_wrong_and_needs_no_tensorflow(tmp_path, monkeypatch):
    code = """
import sys
from featlib.cli import main
try:
    main(["cache"])
finally:
    print([name for name in ("tensorflow", "keras", "streamlit", "sklearn") if name in sys.modules])
"""
    with script(code, env={**os.environ, "FEATLIB_HOME": str(tmp_path)}) as process:
        assert process.stdout.read().endswith("[]\n")
    (tmp_path / "vectors.db").mkdir()
    monkeypatch.setenv("FEATLIB_HOME", str(tmp_path))
    result = CliRunner().invoke(main, ["cache"])
    assert result.exit_code == 2
    assert "it cannot be opened" in result.output
