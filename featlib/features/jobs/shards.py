"""A folder of Parquet shards that several machines fill, each shard at once, and that is resumed where it stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from featlib.errors import FeatlibError
from featlib.features.files.atomic import DAMAGE, why, write_whole, write_with
from featlib.features.files.formats import WRITERS
from featlib.features.files.parquet import SHARDS, open_parquet, read_schema
from featlib.features.files.records import Contents, piece_rows, row_of
from featlib.features.jobs.lock import drop_lock, hold_lock
from featlib.features.jobs.partial import Job
from featlib.features.runtimes import cores
from featlib.features.vectors import Origin, layer_columns
from featlib.images import ImageItem, ImageProblem

JOB, LOCK = "_job.json", ".lock"  # Parquet readers pass over names that begin like this


@dataclass(frozen=True)
class ShardFolder:
    """The shards of one job. It is only names and numbers, so it travels to other machines.

    Attributes:
        path: the folder, absolute; every machine sees it there.
        job: what is computed.
        shard_size: images in a shard, the last one apart.
        label_columns: the columns of which any image has a label: those of every shard.
    """

    path: Path
    job: Job
    shard_size: int
    label_columns: tuple[str, ...]

    def __len__(self) -> int:
        """How many shards there will be; one without rows where there are no images."""
        return max(1, -(-self.job.total // self.shard_size))

    def shard(self, number: int) -> Path:
        """The file of a shard."""
        return self.path / f"part-{number:05}.parquet"

    def images(self, number: int) -> slice:
        """Which images belong to a shard."""
        start = number * self.shard_size
        return slice(start, min(start + self.shard_size, self.job.total))

    def begin(self, *, resume: bool) -> None:
        """Makes the folder ready: what an earlier run of the same job left stays.

        Args:
            resume: with False, what an earlier run left is removed.

        Raises:
            FeatlibError: it holds another job, or shards that nothing is known of; or it cannot be written.
        """
        try:
            before = self._earlier_job()
            if before is not None and not resume:
                self._discard()
                before = None
            if before is not None:
                self._check_same(before)
            elif any(self.path.glob(SHARDS)):
                raise FeatlibError(
                    f"'{self.path}' holds {SHARDS} files without the {JOB} that says what they are. "
                    "Choose another folder."
                )
            else:
                write_whole(self.path / JOB, json.dumps(self._said()).encode())
            self.tidy()
        except OSError as error:
            raise unwritable(self.path, error) from error

    def _said(self) -> dict[str, Any]:
        return {**asdict(self.job), "shard_size": self.shard_size}

    def _earlier_job(self) -> dict[str, Any] | None:
        try:
            found = json.loads((self.path / JOB).read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def _check_same(self, before: dict[str, Any]) -> None:
        differences = self.job.differences(before)
        if before.get("shard_size") != self.shard_size:
            differences.append(f"shard_size (was {before.get('shard_size')!r}, is {self.shard_size!r})")
        if differences:
            raise FeatlibError(
                f"The earlier run into '{self.path}' computed something else: {', '.join(differences)}. "
                "Go on with what it had, choose another folder, or begin anew without resume."
            )

    def _discard(self) -> None:
        # The shards go first: as long as the job is there, they are known to be of an earlier run.
        for shard in self.path.glob(SHARDS):
            shard.unlink(missing_ok=True)
        (self.path / JOB).unlink(missing_ok=True)

    def tidy(self) -> None:
        """Removes what workers that died have left."""
        for pattern in (f".{'[0-9a-f]' * 32}.part", ".tries-*"):
            for left in self.path.glob(pattern):
                left.unlink(missing_ok=True)

    def count_try(self, number: int) -> int:
        """Notes that a shard is begun, and returns how often it was in this run.

        Raises:
            FeatlibError: the folder cannot be written.
        """
        try:
            with (self.path / f".tries-{number:05}").open("ab") as file:
                file.write(b".")
                return file.tell()
        except OSError as error:
            raise unwritable(self.path, error) from error

    def missing(self) -> list[int]:
        """The shards that are not there yet, or damaged."""
        with ThreadPoolExecutor(cores()) as pool:
            whole = pool.map(self._is_whole, range(len(self)))
            return [number for number, is_whole in enumerate(whole) if not is_whole]

    def _is_whole(self, number: int) -> bool:
        import pyarrow as pa

        images = self.images(number)
        try:
            with open_parquet(self.shard(number)) as file:
                if read_schema(file.schema_arrow) != (self._origin(), [*self.label_columns]):
                    return False
                count = sum(len(batch) for batch in file.iter_batches(piece_rows(sum(self.job.widths))))
        except (*DAMAGE, pa.ArrowException):
            return False
        return count == images.stop - images.start

    def write(self, number: int, found: Sequence[ImageItem | ImageProblem], X: np.ndarray) -> None:
        """Writes a shard; under its name there is never half of it, and writing it again changes nothing.

        Args:
            number: which one.
            found: its images, good and bad, in order.
            X: (good, D) float32, one row for each ImageItem in `found`.

        Raises:
            FeatlibError: the file cannot be written.
        """
        contents = Contents(self._origin(), X, self.label_columns, lambda: map(row_of, found))
        write_with(self.shard(number), lambda part: WRITERS[".parquet"](contents, part))

    def _origin(self) -> Origin:
        job = self.job
        return Origin(job.model, job.fingerprint, job.layers, layer_columns(job.layers, job.widths), job.pooling)

    def problems(self) -> tuple[ImageProblem, ...]:
        """The images without a vector, in order, as the shards tell them."""
        found: list[ImageProblem] = []
        for number in range(len(self)):
            with open_parquet(self.shard(number)) as file:
                for batch in file.iter_batches(columns=["name", "error"]):
                    bad = batch.filter(batch.column("error").is_valid())
                    found += map(ImageProblem, bad.column("name").to_pylist(), bad.column("error").to_pylist())
        return tuple(found)


@contextmanager
def locked_folder(path: Path) -> Iterator[None]:
    """Makes a folder and keeps other processes from writing a set there. A shared disk without locks has to do.

    Raises:
        FeatlibError: it cannot be made, or another process writes there.
    """
    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        lock = hold_lock(path / LOCK)
    except OSError:
        yield
        return
    if lock is None:
        raise FeatlibError(f"Another process is writing to '{path}' now. Wait for it, or choose another folder.")
    try:
        yield
    finally:
        drop_lock(lock, path / LOCK)


def unwritable(path: Path, error: OSError) -> FeatlibError:
    """The sentence for a folder that cannot be written."""
    is_file = os.path.isfile(path)  # noqa: PTH113 - unlike Path's own, it never raises
    reason = "there is a file of this name" if is_file else why(error)
    return FeatlibError(f"The folder '{path}' cannot be written ({reason}). Choose another place.")
