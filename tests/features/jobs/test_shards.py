"""Shards are written whole, reused by the same job only, and computed again where they are damaged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from featlib.errors import FeatlibError
from featlib.features import Origin, load_vectors, open_vectors
from featlib.features.jobs.job import Job
from featlib.features.jobs.shards import ShardFolder, locked_folder
from featlib.images import ImageItem, ImageProblem

ORIGIN = Origin("m", "f" * 32, ("a", "b"), ("a:0", "a:1", "b:0"), "avg")
JOB = Job(ORIGIN, False, "float32", "digest", 5, ("kind",))
MAX = replace(JOB, origin=replace(ORIGIN, pooling="max"))


def shards(path: Path, job: Job = JOB) -> ShardFolder:
    return ShardFolder(path, job, 2)


def found_and_vectors(numbers) -> tuple[list, np.ndarray]:
    found = [ImageProblem("bad", "no") if i == 3 else ImageItem(f"{i}", f"{i}.png", {"kind": "x"}) for i in numbers]
    return found, np.array([[i, i, -i] for i in numbers if i != 3], np.float32).reshape(-1, 3)


def fill(folder: ShardFolder) -> None:
    for number in folder.missing():
        folder.write(number, *found_and_vectors(folder.images(number)))


def test_a_folder_is_resumed_by_its_own_job_only(tmp_path):
    folder = shards(tmp_path)
    folder.begin(resume=True)
    fill(folder)
    assert (len(folder), folder.missing()) == (3, [])
    assert open_vectors(tmp_path).problems == (ImageProblem("bad", "no"),)
    assert load_vectors(tmp_path).X[:, 2].tolist() == [0, -1, -2, -4]
    folder.begin(resume=True)
    assert folder.missing() == []
    for other in (shards(tmp_path, MAX), replace(folder, shard_size=3)):
        with pytest.raises(FeatlibError, match=r"computed something else: (pooling \(was 'avg'|shard_size \(was 2)"):
            other.begin(resume=True)
    assert folder.missing() == []
    shards(tmp_path, MAX).begin(resume=False)
    assert [path.name for path in tmp_path.iterdir()] == ["_job.json"]
    assert json.loads((tmp_path / "_job.json").read_text())["pooling"] == "max"


def test_a_damaged_shard_is_computed_again(tmp_path):
    folder = shards(tmp_path)
    folder.begin(resume=True)
    fill(folder)
    whole = folder.shard(1).read_bytes()
    for damaged in (b"", whole[:-9], folder.shard(2).read_bytes()):
        folder.shard(1).write_bytes(damaged)
        assert folder.missing() == [1]
    fill(folder)
    assert folder.shard(1).read_bytes() == whole


def test_a_flipped_bit_is_found_or_does_no_harm(tmp_path):
    folder = shards(tmp_path)
    folder.begin(resume=True)
    fill(folder)
    expected = load_vectors(tmp_path)
    whole, found = folder.shard(1).read_bytes(), 0
    for position in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        folder.shard(1).write_bytes(damaged)
        if folder.missing():
            found += 1
            continue
        table = load_vectors(tmp_path)
        np.testing.assert_array_equal(table.X, expected.X)
        assert (table.ids, table.names, table.problems) == (expected.ids, expected.names, expected.problems)
    assert found > len(whole) // 6


def test_shards_of_somebody_else_are_left_alone(tmp_path):
    (tmp_path / "part-00000.parquet").write_bytes(b"mine")
    for resume in (True, False):
        with pytest.raises(FeatlibError, match="Remove them, or choose another place"):
            shards(tmp_path).begin(resume=resume)
    assert [path.name for path in tmp_path.iterdir()] == ["part-00000.parquet"]


def test_no_images_are_an_empty_set(tmp_path):
    folder = shards(tmp_path, replace(JOB, total=0))
    folder.begin(resume=True)
    fill(folder)
    assert load_vectors(tmp_path).X.shape == (0, 3)


def test_two_runs_into_one_folder_are_refused(tmp_path):
    refused = pytest.raises(FeatlibError, match="Another process is writing 'set' now")
    with locked_folder(tmp_path / "set", "set"), refused, locked_folder(tmp_path / "set", "set"):
        pass
    with locked_folder(tmp_path / "set", "set"):
        assert (tmp_path / "set" / ".lock").exists()
    assert list((tmp_path / "set").iterdir()) == []
    with locked_folder(tmp_path / "set", "set", temporary=True):
        pass
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_pieces_of_any_size_fill_the_missing_shards(tmp_path, size):
    folder = shards(tmp_path)
    folder.begin(resume=True)
    fill(folder)
    expected = [folder.shard(number).read_bytes() for number in range(3)]
    for missing in ([0, 1, 2], [0, 2], [1]):
        for number in missing:
            folder.shard(number).unlink()
        numbers = [i for number in missing for i in folder.images(number)]
        pieces = [found_and_vectors(numbers[start : start + size]) for start in range(0, len(numbers), size)]
        assert list(folder.fill(folder.missing(), iter(pieces)))[-1] == len(numbers)
        assert [folder.shard(number).read_bytes() for number in range(3)] == expected


def test_vectors_that_do_not_fit_the_images_are_refused(tmp_path):
    folder = shards(tmp_path)
    folder.begin(resume=True)
    found, X = found_and_vectors([0, 1])
    for wrong in (X[:1], np.concatenate([X, X])):
        with pytest.raises(ValueError, match="(fewer|more) vectors than images"):
            folder.write(0, found, wrong)
    assert folder.missing() == [0, 1, 2]
