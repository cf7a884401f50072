"""Sets read in pieces hold what was written, and whatever else a file holds gives one sentence."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featlib.errors import FeatlibError
from featlib.features import Origin, VectorTable, load_vectors, save_vectors
from featlib.features.files.dataset import files_fingerprint, open_vectors, sample_rows, shares
from featlib.features.files.parquet import METADATA, record_batch, vector_schema
from featlib.features.files.records import Row
from featlib.features.vectors import layer_columns
from featlib.images import ImageProblem, open_folders

ROOT = Path(__file__).resolve().parents[3]
WIDTHS = (5, 3)
ORIGIN = Origin("tiny", "f00", ("a/b", "c"), layer_columns(("a/b", "c"), WIDTHS), "avg")
RANDOM = np.random.default_rng(3)


def images(count: int, start: int = 0, bad: int = 7) -> list[Row]:
    """Every seventh image is bad, kinds are unevenly frequent, names are of many scripts."""
    rows = []
    for i in range(start, start + count):
        labels = {"kind": "ab"[i % 3 == 0], "odd/column": f"größe {i % 5}"}
        error = f"'{i}.png' is empty." if i % bad == bad - 1 else None
        rows.append(Row("" if error else f"{i:040x}", f"犬/{i}.png", f"/pictures/{i}.png", labels, error))
    return rows


def write(path, rows, labels=("kind", "odd/column"), group=11, origin=ORIGIN):
    """Writes images as featlib does, with small row groups. Returns the vectors of the good ones."""
    schema = vector_schema(origin, labels)
    vectors = RANDOM.normal(size=(len(rows), len(origin.columns))).astype(np.float32)
    good = np.array([row.error is None for row in rows], bool)
    table = pa.Table.from_batches([record_batch(rows, vectors[good], schema)])
    pq.write_table(table, path, row_group_size=group)
    return vectors[good]


@pytest.fixture
def file(tmp_path):
    rows = images(100)
    return tmp_path / "set.parquet", rows, write(tmp_path / "set.parquet", rows)


def collected(dataset, **asked):
    parts = list(dataset.batches(**asked))
    assert [part.start for part in parts] == np.cumsum([0, *(len(part.X) for part in parts)])[:-1].tolist()
    return [row for part in parts for row in part.rows], np.concatenate([part.X for part in parts])


@pytest.mark.parametrize("size", [1, 4, 1000, None])
def test_a_file_in_pieces_is_the_file(file, size):
    path, rows, X = file
    dataset = open_vectors(path)
    assert (len(dataset), dataset.width, dataset.name) == (86, 8, "set.parquet")
    assert dataset.origin == ORIGIN
    assert dataset.label_columns == ("kind", "odd/column")
    assert dataset.problem_count == 14
    assert [problem.reason for problem in dataset.problems] == [row.error for row in rows if row.error]
    found, values = collected(dataset, size=size)
    assert found == [row for row in rows if row.error is None]
    np.testing.assert_array_equal(values, X)
    assert size is None or max(len(part.X) for part in dataset.batches(size)) <= size
    assert not collected(dataset, size=size, texts=False)[0]


def test_shards_are_one_set_in_natural_order_and_may_lack_labels(tmp_path):
    numbers, counts = (1, 2, 10), (20, 0, 30)
    parts, wanted = [], []
    for number, count in zip(numbers, counts, strict=True):
        rows = images(count, start=100 * number)
        labels = ("kind",) if number == 1 else ("odd/column", "kind")
        parts.append(write(tmp_path / f"part-{number}.parquet", rows, labels))
        wanted += [row._replace(labels={name: row.labels[name] for name in labels}) for row in rows if not row.error]
    (tmp_path / "notes.txt").write_text("not one of them")
    dataset = open_vectors(tmp_path)
    found, X = collected(dataset)
    assert [row.id for row in found] == [row.id for row in wanted]
    assert found[0].labels == {"kind": wanted[0].labels["kind"], "odd/column": ""}
    assert found[-1].labels == wanted[-1].labels
    np.testing.assert_array_equal(X, np.concatenate(parts))
    assert [label for piece in dataset.labels("odd/column") for label in piece] == [
        r.labels["odd/column"] for r in found
    ]


def test_what_featlib_saves_is_read_as_load_vectors_reads_it(tmp_path):
    table = VectorTable(
        X=RANDOM.normal(size=(5000, 8)).astype(np.float32),
        ids=tuple(f"{i:040x}" for i in range(5000)),
        names=tuple(f"{i}.png" for i in range(5000)),
        labels={"kind": np.array(["ab"[i % 2] for i in range(5000)])},
        origin=ORIGIN,
        problems=(ImageProblem("x.png", "'x.png' is empty."),),
    )
    dataset = open_vectors(save_vectors(table, tmp_path / "saved.parquet"))
    whole = load_vectors(tmp_path / "saved.parquet")
    rows, X = collected(dataset)
    np.testing.assert_array_equal(X, whole.X)
    assert tuple(row.id for row in rows) == whole.ids
    assert [row.labels["kind"] for row in rows] == whole.labels["kind"].tolist()
    assert dataset.problems == whole.problems
    assert dataset.origin.columns == whole.columns


def test_rows_are_taken_in_the_order_asked(file):
    path, rows, X = file
    asked = [85, 0, 3, 3, 40, 41, 12]
    taken = open_vectors(path).take(asked)
    good = [row for row in rows if row.error is None]
    assert taken.rows == [good[i] for i in asked]
    np.testing.assert_array_equal(taken.X, X[asked])
    assert open_vectors(path.read_bytes()).take([]).X.shape == (0, 8)
    for wrong, rule in ((86, "at most 85"), (-1, "at least 0")):
        with pytest.raises(FeatlibError, match=f"must be {rule}. Received: {wrong}"):
            open_vectors(path).take([wrong])


def test_a_file_that_changes_is_noticed(file):
    path, _, _ = file
    dataset = open_vectors(path)
    write(path, images(90))
    assert open_vectors(path).fingerprint != dataset.fingerprint
    with pytest.raises(FeatlibError, match="changed since it was opened"):
        list(dataset.batches())
    path.unlink()
    with pytest.raises(FeatlibError, match="set.parquet"):
        list(dataset.batches())


def test_a_sample_is_honest(file):
    path, rows, _ = file
    dataset = open_vectors(path)
    good = [row for row in rows if row.error is None]
    whole = Counter(row.labels["odd/column"] for row in good)
    drawn = sample_rows(dataset, 30, by="odd/column")
    assert len(set(drawn.tolist())) == 30
    assert drawn.tolist() == sorted(drawn)
    for label, count in Counter(good[i].labels["odd/column"] for i in drawn).items():
        assert abs(count - 30 * whole[label] / 86) < 1
    assert drawn.tolist() == sample_rows(dataset, 30, by="odd/column").tolist()
    assert drawn.tolist() != sample_rows(dataset, 30, by="odd/column", random_state=1).tolist()
    assert sample_rows(dataset, 86, by="kind").tolist() == list(range(86))
    assert len(set(sample_rows(dataset, 30).tolist())) == 30


def test_every_row_is_drawn_as_often_as_every_other(file):
    dataset = open_vectors(file[0])
    for by in ("kind", None):
        times = np.bincount(np.concatenate([sample_rows(dataset, 43, by, seed) for seed in range(150)]), minlength=86)
        assert abs(times.mean() - 75) < 0.01
        assert np.abs(times - 75).max() < 6 * np.sqrt(150 / 4)  # six standard deviations


def test_shares_add_up():
    assert shares({"a": 97, "b": 2, "c": 1}, 10) == {"a": 10, "b": 0, "c": 0}
    assert shares({"a": 1, "b": 1, "c": 1}, 2) == {"a": 1, "b": 1, "c": 0}
    assert sum(shares({str(i): i * i + 1 for i in range(37)}, 100).values()) == 100


def with_metadata(path, **changed):
    table = pq.read_table(path)
    said = json.loads(table.schema.metadata[METADATA]) | changed
    pq.write_table(table.replace_schema_metadata({METADATA: json.dumps(said)}), path)


def foreign(path):
    pq.write_table(pa.table({"a": [1, 2, 3]}), path)


def no_parquet(path):
    path.write_bytes(b"PAR1 nothing of the kind PAR1")


def cut(path):
    path.write_bytes(path.read_bytes()[:-30])


def wrong_column(path):
    table = pq.read_table(path)
    pq.write_table(table.set_column(0, "id", pa.array(range(len(table)))), path)


HOSTILE = {
    "foreign": foreign,
    "no parquet": no_parquet,
    "cut": cut,
    "wrong column": wrong_column,
    "a million million columns": lambda path: with_metadata(path, widths=[10**12, 8 - 10**12]),
    "columns of text": lambda path: with_metadata(path, widths=["8"]),
    "other widths": lambda path: with_metadata(path, widths=[4, 3]),
    "a list": lambda path: pq.write_table(pq.read_table(path).replace_schema_metadata({METADATA: b"[1]"}), path),
    "deep": lambda path: pq.write_table(pq.read_table(path).replace_schema_metadata({METADATA: b"[" * 100_000}), path),
}


@pytest.mark.parametrize("harm", HOSTILE)
def test_what_is_no_set_of_vectors_is_told_in_one_sentence(file, harm):
    path = file[0]
    HOSTILE[harm](path)
    for source in (path, path.read_bytes()):
        with pytest.raises(FeatlibError, match="featlib"):
            open_vectors(source, "set.parquet")


def test_an_image_without_error_and_vector_is_told(file):
    path = file[0]
    table = pq.read_table(path)
    nothing = pa.nulls(len(table), pa.string())
    pq.write_table(table.set_column(table.schema.get_field_index("error"), "error", nothing), path)
    with pytest.raises(FeatlibError, match="has no vector"):
        list(open_vectors(path).batches())


def test_shards_of_different_networks_are_no_set(tmp_path):
    write(tmp_path / "part-0.parquet", images(5))
    other = Origin("other", "f01", ("a/b", "c"), ORIGIN.columns, "avg")
    write(tmp_path / "part-1.parquet", images(5), origin=other)
    with pytest.raises(
        FeatlibError, match="'part-1.parquet' comes from another network, layer or pooling than 'part-0.parquet'"
    ):
        open_vectors(tmp_path)


def test_what_is_not_there_is_told(tmp_path):
    for path in (tmp_path / "none.parquet", tmp_path / ("x" * 5000), f"{tmp_path}/a\0b", tmp_path):
        with pytest.raises(FeatlibError, match=r"Allowed: a \.parquet file"):
            open_vectors(path)


def test_a_small_file_of_long_texts_does_not_fill_the_memory(tmp_path):
    """Each text of 2 MB is in the file once and named 30,000 times: 60 GB, if each time were another copy."""
    resource = pytest.importorskip("resource")
    n, bad, long = 30_000, 20_000, "x" * 2_000_000
    schema = vector_schema(ORIGIN, ["kind"])
    texts = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int8)), [long])
    errors = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int8), mask=np.arange(n) >= bad), [long])
    vectors = pa.FixedSizeListArray.from_arrays(
        pa.array(np.zeros(n * 8, np.float32)), type=schema.field("vector").type, mask=pa.array(np.arange(n) < bad)
    )
    own = {"error": errors, "vector": vectors}
    table = pa.table({name: own.get(name, texts) for name in schema.names})
    said = {METADATA: ORIGIN.to_json(), "ARROW:schema": base64.b64encode(schema.serialize())}
    with pq.ParquetWriter(tmp_path / "long.parquet", table.schema, store_schema=False) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata(said)
    assert (tmp_path / "long.parquet").stat().st_size < 2_000_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    dataset = open_vectors(tmp_path / "long.parquet")
    assert (len(dataset), dataset.problem_count) == (n - bad, bad)
    dataset.take(sample_rows(dataset, 500, by="kind"))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kB


PEAK = """
import sys
from pathlib import Path
import numpy as np, pyarrow.parquet, scipy.linalg
from featlib.analysis import fit_pca, stream_neighbors
from featlib.features.files import open_vectors, sample_rows
dataset = open_vectors(sys.argv[1])
fit_pca((batch.X for batch in dataset.batches(texts=False)), 50)
taken = dataset.take(sample_rows(dataset, 200, "kind"))
stream_neighbors((batch.X for batch in dataset.batches(texts=False)), taken.X[0])
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(len(dataset), int(status["VmHWM"].split()[0]) // 1024)  # ru_maxrss would begin with what the parent had
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the peak")
def test_memory_does_not_grow_with_rows(tmp_path):
    origin = Origin("wide", "f00", ("a",), layer_columns(("a",), (512,)), "avg")
    peaks = []
    for count in (4_000, 44_000):
        path = tmp_path / f"{count}.parquet"
        write(path, images(count, bad=10**9), origin=origin, group=4000)
        done = subprocess.run([sys.executable, "-c", PEAK, path], cwd=ROOT, capture_output=True, text=True, check=True)
        rows, peak = map(int, done.stdout.split())
        assert rows == count
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 40, "MB; the rows more are 78 MB"


def test_broken_bytes_never_give_anything_but_one_sentence(file):
    data = bytearray(file[0].read_bytes())
    random = np.random.default_rng(11)
    told = 0
    for _ in range(300):
        broken = bytearray(data)
        for place in random.integers(0, len(data), random.integers(1, 9)):
            broken[place] = random.integers(256)
        try:
            dataset = open_vectors(bytes(broken))
            list(dataset.batches())
            sample_rows(dataset, 5, by="kind")
        except FeatlibError as error:
            told += 1
            assert "\n" not in str(error)
    assert told > 30


def test_a_set_in_an_open_folder_reads_nothing_outside(tmp_path):
    root, outside = tmp_path / "course", tmp_path / "outside"
    for folder in (root / "good", root / "bad", root / "gone", root / "pipe", outside):
        folder.mkdir(parents=True)
    for path in (root / "good/part-00000.parquet", root / "bad/part-00000.parquet", outside / "part-00001.parquet"):
        write(path, images(8))
    (root / "bad/part-00001.parquet").symlink_to(outside / "part-00001.parquet")
    (root / "gone/part-00001.parquet").symlink_to(tmp_path / "nowhere")
    os.mkfifo(root / "pipe/part-00001.parquet")
    (course,) = open_folders([root])
    assert len(open_vectors(root / "good", within=course)) == 7
    for own in (root / "bad", root / "gone", root / "pipe"):
        for opening in (open_vectors, files_fingerprint):
            with pytest.raises(FeatlibError) as caught:
                opening(own, within=course)
            assert str(caught.value) == (
                "There is no file or folder 'part-00001.parquet' in the open folder 'course': check its name."
            )
    for own in (outside, outside / "part-00001.parquet", root / "nothing", root / "bad/part-00001.parquet"):
        with pytest.raises(FeatlibError, match="There is no file or folder '.*' in the open folder"):
            open_vectors(own, within=course)
