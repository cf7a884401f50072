"""Files of vectors: what is written comes back, others can read it, what is damaged or hostile is refused."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featlib.errors import FeatlibError
from featlib.features import Origin, VectorTable, load_vectors, save_vectors, to_csv, to_npz
from featlib.features.files import coordinates_to_csv
from featlib.images import ImageProblem, list_pending
from featlib.text import escape_formula, unescape_formula

READ = (".npz", ".parquet")
N, D = 30, 40


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    return VectorTable(
        X=rng.normal(size=(N, D)).astype(np.float32),
        ids=tuple(rng.bytes(20).hex() for _ in range(N)),
        names=("a/é.jpg", "日本.png", *(f"im{i}.png" for i in range(N - 2))),
        labels={"folder": np.array([f"c{i % 3}" for i in range(N)]), "a/b": np.array(["", "x"] * (N // 2))},
        origin=Origin(
            model="net",
            fingerprint="f" * 40,
            layers=("block/add", "head"),
            columns=(*(f"block/add:{i}" for i in range(30)), *(f"head:{i}" for i in range(10))),
            pooling="max",
        ),
        problems=(ImageProblem("bad.png", "'bad.png' is damaged, \"é\"."),),
    )


def assert_same(found: VectorTable, table: VectorTable) -> None:
    np.testing.assert_array_equal(found.X, table.X)
    assert found.X.dtype == np.float32
    for name in ("ids", "names", "origin", "columns", "layers", "pooling", "model", "fingerprint", "problems"):
        assert getattr(found, name) == getattr(table, name), name
    assert {name: list(values) for name, values in found.labels.items()} == {
        name: list(values) for name, values in table.labels.items()
    }


@pytest.mark.parametrize("suffix", READ)
def test_round_trip(table, tmp_path, suffix):
    odd = replace(table, origin=replace(table.origin, columns=tuple(f"component {i}" for i in range(D))))
    empty = replace(table, X=table.X[:0], ids=(), names=(), labels={}, problems=())
    for each in (table, odd, empty, replace(table, labels={})):
        assert_same(load_vectors(save_vectors(each, tmp_path / f"vectors{suffix}")), each)


@pytest.mark.parametrize("suffix", READ)
def test_names_that_no_format_can_hold_are_replaced(table, tmp_path, suffix):
    names = ("a\0b", "lone \ud800", *table.names[2:])
    found = load_vectors(save_vectors(replace(table, names=names), tmp_path / f"v{suffix}"))
    assert found.names == ("a\N{REPLACEMENT CHARACTER}b", "lone ?", *table.names[2:])


def test_other_readers_read_it(table, tmp_path):
    for suffix in (*READ, ".h5", ".npy"):
        save_vectors(table, tmp_path / f"v{suffix}")
    np.testing.assert_array_equal(np.load(tmp_path / "v.npy", allow_pickle=False), table.X)
    with np.load(tmp_path / "v.npz", allow_pickle=False) as data:
        np.testing.assert_array_equal(data["X"], table.X)
    with h5py.File(tmp_path / "v.h5") as file:
        np.testing.assert_array_equal(file["X"][:], table.X)
        for name in ("ids", "names"):
            assert file[name].asstr()[:].tolist() == list(getattr(table, name))
        assert file["label:a_b"].asstr()[:].tolist() == list(table.labels["a/b"])
        assert file["problem_reasons"].asstr()[:].tolist() == [table.problems[0].reason]
        assert json.loads(file["featlib"][()])["labels"] == {"label:folder": "folder", "label:a_b": "a/b"}
    rows = pq.read_table(tmp_path / "v.parquet")
    assert rows.schema.field("vector").type == pa.list_(pa.float32(), D)
    assert rows["name"].to_pylist() == [*table.names, "bad.png"]
    np.testing.assert_array_equal(np.array(rows["vector"].to_pylist()[:N], np.float32), table.X)
    assert rows["vector"].to_pylist()[N] is None
    assert rows["error"].to_pylist() == [None] * N + [table.problems[0].reason]
    names = list(csv.DictReader(io.StringIO((tmp_path / "v.npy.rows.csv").read_text(encoding="utf-8"))))
    assert [row["id"] for row in names] == list(table.ids)
    assert [row["label:folder"] for row in names] == list(table.labels["folder"])


def test_csv_holds_names_labels_origin_and_exact_values(table):
    rows = list(csv.DictReader(io.StringIO(to_csv(table).decode())))
    assert [row["name"] for row in rows] == list(table.names)
    assert [row["label:folder"] for row in rows] == list(table.labels["folder"])
    assert rows[0]["fingerprint"] == table.fingerprint
    values = np.array([[row[column] for column in table.columns] for row in rows], np.float32)
    np.testing.assert_array_equal(values, table.X)


def test_no_cell_of_a_csv_is_a_formula(table, tmp_path):
    """Names and labels may come from somebody else's archive."""
    evil = ["=cmd|'calc'!A0", "+1", "-1+1", "@SUM(A1)", "\t=1", "a\rb", "'=1", "''@x", "'plain'", "a=b"]
    names = tuple(f"{name}.png" for name in evil)
    values = np.arange(-2, len(evil) - 2, dtype=np.float32)[:, np.newaxis]
    origin = replace(table.origin, model="=model", columns=("=layer:0",), layers=("=layer",))
    bad = VectorTable(values, tuple(map(str, range(len(evil)))), names, {"=kind": np.array(evil)}, origin)
    cells = list(csv.reader(io.StringIO(to_csv(bad).decode(), newline="")))
    numbers = [row.pop() for row in cells]
    assert not [cell for row in cells for cell in row if cell.startswith(tuple("=+-@\t\r"))]
    assert numbers[1:] == [f"{value:g}" for value in values[:, 0]]
    assert numbers[0] == "'=layer:0"
    coordinates = coordinates_to_csv(bad, np.ones((len(evil), 2))).decode()
    assert not re.search(r'(^|,|")[=+@\t]', coordinates, re.MULTILINE)
    rows = [
        "path,kind",
        *(f'"{escape_formula(name)}","{escape_formula(kind)}"' for name, kind in zip(names, evil, strict=True)),
    ]
    (tmp_path / "list.csv").write_text("\n".join(rows), newline="")
    found = list_pending(tmp_path / "list.csv")
    assert [image.path.name for image in found[:4]] == list(names[:4])
    assert [image.labels["kind"] for image in found[:4]] == evil[:4]
    assert [unescape_formula(escape_formula(text)) for text in evil] == evil


def test_bytes_and_file_are_the_same(table, tmp_path):
    assert save_vectors(table, tmp_path / "v.npz").read_bytes() == to_npz(table)
    assert save_vectors(table, tmp_path / "v.csv").read_bytes() == to_csv(table)


def test_shards_are_one_set_in_their_order(table, tmp_path):
    def part(rows: slice, **others: object) -> VectorTable:
        labels = {name: values[rows] for name, values in table.labels.items()}
        some = replace(table, X=table.X[rows], ids=table.ids[rows], names=table.names[rows], labels=labels)
        return replace(some, **others)

    folder = tmp_path / "set"
    folder.mkdir()
    with pytest.raises(FeatlibError, match=r"holds no part-\*\.parquet"):
        load_vectors(folder)
    save_vectors(part(slice(0, 7), problems=()), folder / "part-2.parquet")
    save_vectors(part(slice(7, N), labels={"other": np.array(["o"] * (N - 7))}), folder / "part-10.parquet")
    (folder / "_SUCCESS").write_text("")
    found = load_vectors(folder)
    np.testing.assert_array_equal(found.X, table.X)
    assert (found.ids, found.problems) == (table.ids, table.problems)
    assert list(found.labels["folder"]) == [*table.labels["folder"][:7], *[""] * (N - 7)]
    assert list(found.labels["other"]) == [""] * 7 + ["o"] * (N - 7)
    save_vectors(part(slice(0, 7), origin=replace(table.origin, pooling="avg")), folder / "part-3.parquet")
    with pytest.raises(FeatlibError, match=r"'part-3.parquet' comes from another network, layer or pooling"):
        load_vectors(folder)


def test_bad_files_are_refused(table, tmp_path):
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "text.parquet").write_text("hello")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    np.savez(tmp_path / "evil.npz", X=np.array([print], dtype=object))
    pq.write_table(pa.table({"id": ["a"], "vector": [[1.0]]}), tmp_path / "other.parquet")
    schema = pq.read_schema(save_vectors(table, tmp_path / "v.parquet"))
    pq.write_table(pa.table({"id": ["a"]}).replace_schema_metadata(schema.metadata), tmp_path / "columns.parquet")
    gap = pq.read_table(tmp_path / "v.parquet").to_pylist()
    gap[3]["vector"] = None
    pq.write_table(pa.Table.from_pylist(gap, schema), tmp_path / "gap.parquet")
    for name in ("text.npz", "text.parquet", "other.npz", "evil.npz", "other.parquet", "columns.parquet"):
        with pytest.raises(FeatlibError, match=f"'{name}' does not hold vectors"):
            load_vectors(tmp_path / name)
    with pytest.raises(FeatlibError, match="an image without an error has no vector"):
        load_vectors(tmp_path / "gap.parquet")
    with pytest.raises(FeatlibError, match="No file at"):
        load_vectors(tmp_path / "missing.npz")
    with pytest.raises(FeatlibError, match=r"\.npz or \.csv"):
        save_vectors(table, tmp_path / "x.txt")
    with pytest.raises(FeatlibError, match="does not exist"):
        save_vectors(table, tmp_path / "no" / "x.npz")


@pytest.mark.parametrize(("suffix", "times", "least"), [(".npz", 150, 50), (".parquet", 150, 10)])
def test_damaged_files_are_refused_in_one_sentence(table, tmp_path, suffix, times, least):
    whole = save_vectors(table, tmp_path / f"vectors{suffix}").read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / f"damaged{suffix}"
    refused = 0
    for position in rng.integers(0, len(whole), times):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        try:
            found = load_vectors(path)
        except FeatlibError as error:
            refused += 1
            assert "\n" not in str(error)
        else:
            np.testing.assert_array_equal(found.X, table.X)
            assert (found.ids, found.names, found.problems) == (table.ids, table.names, table.problems)
    assert refused >= least
    for end in (0, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(FeatlibError, match="does not hold vectors"):
            load_vectors(path)


@pytest.mark.skipif(sys.platform == "win32", reason="limits of files")
@pytest.mark.parametrize("suffix", [*READ, ".npy", ".csv"])  # .h5 asks first
def test_a_full_disk_is_told_and_leaves_nothing(table, tmp_path, suffix):
    target = tmp_path / f"v{suffix}"
    code = """
import resource, sys
from featlib.features import load_vectors, save_vectors
from featlib.errors import FeatlibError
table = load_vectors(sys.argv[1])
import h5py, pyarrow.parquet
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
try:
    save_vectors(table, sys.argv[2])
except FeatlibError as error:
    print(error)
"""
    (tmp_path / "from").mkdir()
    source = save_vectors(table, tmp_path / "from" / "v.npz")
    done = subprocess.run(
        [sys.executable, "-c", code, source, target], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "cannot be written (" in done.stdout
    assert "Choose another place." in done.stdout
    assert {path.name for path in tmp_path.iterdir()} <= {"from", "v.npy.rows.csv"}


def test_hdf5_is_not_begun_on_a_disk_that_is_too_small(table, tmp_path, monkeypatch):
    """The HDF5 library ends the process where it cannot write on."""
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=table.X.nbytes))
    with pytest.raises(FeatlibError, match=r"'.*v\.h5' cannot be written \(no space left on device\)"):
        save_vectors(table, tmp_path / "v.h5")
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=3 * table.X.nbytes + 2**17))
    path = save_vectors(table, tmp_path / "v.h5")
    assert path.stat().st_size < 3 * table.X.nbytes + 2**17


@pytest.mark.parametrize("suffix", [".h5", ".npy", ".csv"])
def test_formats_for_other_programs_are_not_read_back(table, tmp_path, suffix):
    with pytest.raises(FeatlibError, match=r"featlib reads \.npz and \.parquet files back. Convert it by running"):
        load_vectors(save_vectors(table, tmp_path / f"v{suffix}"))


def test_a_small_parquet_file_cannot_ask_for_millions_of_names(tmp_path):
    said = {"model": "m", "fingerprint": "f", "layers": ["a"], "pooling": "avg", "widths": [10**12]}
    vector = pa.array([[1.0]], pa.list_(pa.float32(), 1))
    table = pa.table({"vector": vector}).replace_schema_metadata({"featlib": json.dumps(said)})
    pq.write_table(table, tmp_path / "v.parquet")
    with pytest.raises(FeatlibError, match="impossible number of columns"):
        load_vectors(tmp_path / "v.parquet")
