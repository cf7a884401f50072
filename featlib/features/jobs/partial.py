"""A file of vectors that grows while the work runs, and is resumed where the work stopped, however it stopped."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from featlib.errors import FeatlibError
from featlib.features.files.atomic import UNWRITABLE, check_destination, put_in_place, why
from featlib.features.files.csv import write_names
from featlib.features.files.formats import WRITERS, names_beside
from featlib.features.files.npy import HEADER_BYTES, npy_header
from featlib.features.files.records import Contents, Row, VectorsOnDisk, row_of
from featlib.features.jobs.lock import drop_lock, hold_lock
from featlib.features.vectors import Origin, layer_columns
from featlib.images import ImageItem, ImageProblem

JOB, VECTORS, ROWS, LOCK = "job.json", "vectors.npy", "rows.jsonl", "lock"


@dataclass(frozen=True)
class Job:
    """What is computed: all of it must be equal for the work to be resumed.

    Attributes:
        model: the backbone's name.
        fingerprint: the backbone's fingerprint.
        layers: the layer paths.
        widths: how many columns each layer gives.
        pooling: "avg", "max", "flatten" or "none".
        l2_normalize: whether each layer's part is scaled to length 1.
        precision: "float32", or what else was chosen.
        images: a digest of the list of sources.
        total: how many sources there are, good and bad.
        layer_weights: one factor a layer, or None.
    """

    model: str
    fingerprint: str
    layers: tuple[str, ...]
    widths: tuple[int, ...]
    pooling: str
    l2_normalize: bool
    precision: str
    images: str
    total: int
    layer_weights: tuple[float, ...] | None = None

    def differences(self, other: dict[str, Any]) -> list[str]:
        """Names what a job read from a file has otherwise: "pooling (was 'max', is 'avg')"."""
        mine = json.loads(json.dumps(asdict(self)))
        return [
            f"{name} (was {other.get(name)!r}, is {mine[name]!r})" for name in mine if mine[name] != other.get(name)
        ]


class PartialFile:
    """Takes vectors as they come, in `.<name>.partial` beside the target, and writes the target when it has all.

    Attributes:
        done: images recorded so far, good and bad, of this and earlier runs.
        problems: those among them that have no vector.
    """

    done: int
    problems: list[ImageProblem]

    def __init__(self, target: Path, job: Job, folder: Path, lock: int) -> None:
        self.done, self.problems = 0, []
        self._target, self._job, self._folder = target, job, folder
        self._lock: int | None = lock
        self._width = sum(job.widths)
        self._labels: dict[str, None] = {}
        self._good = self._rows_end = 0
        self._files: list[IO[bytes]] = []
        self._moved = False

    @classmethod
    def open(cls, target: Path, job: Job, *, resume: bool) -> PartialFile:
        """Begins a file, or goes on with one.

        Args:
            target: the file to write in the end; its ending chooses the format.
            job: what is computed.
            resume: whether to go on where an earlier run stopped; without one, or with False, the work begins anew.

        Raises:
            FeatlibError: an unusable target, another process is writing it, or the earlier run computed another thing.
        """
        real = Path(os.path.realpath(check_destination(target, tuple(WRITERS))))  # a link stays a link
        folder = real.with_name(f".{real.name}.partial")
        if folder.is_symlink():  # others may write where the target is, and lead to a folder of this person's
            raise FeatlibError(f"'{folder}' is a link, which featlib never makes. Remove it, or choose another file.")
        try:
            lock = hold_lock(folder / LOCK)
            if lock is None:
                raise FeatlibError(f"Another process is writing '{target}' now. Wait for it, or choose another file.")
            self = cls(real, job, folder, lock)
        except OSError as error:
            raise FeatlibError(f"'{target}' cannot be written ({why(error)}). Choose another place.") from error
        try:
            self._begin(resume)
        except OSError as error:
            self.close()
            raise FeatlibError(f"'{target}' cannot be written ({why(error)}). Choose another place.") from error
        except BaseException:
            self.close()
            raise
        return self

    def _begin(self, resume: bool) -> None:
        before = self._earlier_job() if resume else None
        if before is None:
            self._discard()
            (self._folder / ROWS).write_bytes(b"")
            (self._folder / VECTORS).write_bytes(npy_header(0, self._width))
            new = self._folder / f"{JOB}.new"
            new.write_text(json.dumps(asdict(self._job)), encoding="utf-8")
            put_in_place(new, self._folder / JOB)
        else:
            self._check_same(before)
            self._read_back()
        if not self._moved:
            self._files = [(self._folder / name).open("rb+", buffering=0) for name in (VECTORS, ROWS)]
            self._cut()

    def _earlier_job(self) -> dict[str, Any] | None:
        try:
            found = json.loads((self._folder / JOB).read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        return found if isinstance(found, dict) and (self._folder / ROWS).exists() else None

    def _check_same(self, before: dict[str, Any]) -> None:
        differences = self._job.differences(before)
        if differences:
            raise FeatlibError(
                f"The interrupted run of '{self._target.name}' computed something else: {', '.join(differences)}. "
                "Resume it with what it had, or begin anew without resume."
            )

    def _discard(self) -> None:
        # The job goes first: without it nothing is resumed, so a half-removed folder is no trap.
        (self._folder / JOB).unlink(missing_ok=True)
        for name in (VECTORS, ROWS, f"{JOB}.new", *(f"whole{suffix}" for suffix in WRITERS)):
            (self._folder / name).unlink(missing_ok=True)

    def _read_back(self) -> None:
        """Finds how far both files agree."""
        vectors = self._folder / VECTORS
        self._moved = not vectors.exists() and self._is_target_whole()
        if not self._moved and (not vectors.exists() or vectors.stat().st_size < HEADER_BYTES):
            vectors.write_bytes(npy_header(0, self._width))
        data = self._target if self._moved else vectors
        with (self._folder / ROWS).open("rb") as lines, data.open("rb", buffering=2**20) as numbers:
            numbers.seek(HEADER_BYTES)
            for line in lines:
                row = _complete_row(line, numbers, 4 * self._width)
                if row is None or self.done == self._job.total:
                    break
                self._note(row)
                self._rows_end += len(line)

    def _is_target_whole(self) -> bool:
        """Tells whether the run was killed after its .npy had got its name, and before the rest was removed."""
        try:
            with (self._folder / ROWS).open("rb") as lines:
                rows = [_read_row(json.loads(line)).error is None for line in lines if line.endswith(b"\n")]
        except (ValueError, LookupError, TypeError):  # a damaged line
            return False
        if self._target.suffix.lower() != ".npy" or len(rows) != self._job.total or not self._target.is_file():
            return False
        with self._target.open("rb") as file:
            return file.read(HEADER_BYTES) == npy_header(sum(rows), self._width)

    def _note(self, row: Row) -> None:
        self.done += 1
        if row.error is None:
            self._good += 1
            self._labels.update(dict.fromkeys(row.labels))
        else:
            self.problems.append(ImageProblem(row.name, row.error))

    def _cut(self) -> None:
        for file, end in zip(self._files, self._ends(), strict=True):
            file.truncate(end)

    def _ends(self) -> tuple[int, int]:
        return HEADER_BYTES + 4 * self._width * self._good, self._rows_end

    def append(self, found: Sequence[ImageItem | ImageProblem], X: np.ndarray) -> None:
        """Records images in order.

        Args:
            found: the next images, good and bad.
            X: (good, D) float32, one row for each ImageItem in `found`.

        Raises:
            FeatlibError: X does not fit, there are more images than the job has, or the disk is full; what was there
                before stays and can be resumed.
        """
        X = np.ascontiguousarray(X, dtype="<f4")
        good = sum(isinstance(image, ImageItem) for image in found)
        if X.shape != (good, self._width):
            raise FeatlibError(
                f"Received vectors of shape {X.shape} for {good} images: ({good}, {self._width}) is due."
            )
        if self.done + len(found) > self._job.total or not (self._files or not found):
            raise FeatlibError(f"Received {len(found)} images more, but {self.done} of {self._job.total} are there.")
        vectors = iter(X)
        rows = [row_of(image) for image in found]
        lines = "".join(_line(row, None if row.error is not None else next(vectors)) for row in rows).encode()
        try:
            for file, end, data in zip(self._files, self._ends(), (X.tobytes(), lines), strict=True):
                file.seek(end)
                _write_all(file, data)
        except BaseException as error:  # a full disk, or Ctrl+C between the two files
            with suppress(OSError):
                self._cut()
            if isinstance(error, OSError):
                raise self._stopped(error) from error
            raise
        self._rows_end += len(lines)
        for row in rows:
            self._note(row)

    def _stopped(self, error: BaseException) -> FeatlibError:
        return FeatlibError(
            f"'{self._target.name}' cannot be written on ({why(error)}): the first {self.done:,} of "
            f"{self._job.total:,} images are kept in '{self._folder}'. Make room there and run it again with resume."
        )

    def finish(self) -> Path:
        """Writes the target whole and removes the rest.

        Returns:
            The target.

        Raises:
            FeatlibError: images are missing, or the disk is full; everything is kept and can be resumed.
        """
        if self.done != self._job.total:
            raise FeatlibError(
                f"'{self._target.name}' has {self.done:,} of {self._job.total:,} images: it is not whole yet."
            )
        try:
            self._close_files()
            if not self._moved:
                self._write_target()
        except UNWRITABLE as error:
            raise self._stopped(error) from error
        self.discard()
        return self._target

    def _write_target(self) -> None:
        suffix = self._target.suffix.lower()
        part = self._folder / f"whole{suffix}"
        if suffix != ".npy":
            WRITERS[suffix](self._contents(), part)
            put_in_place(part, self._target)
            return
        write_names(self._contents(), part)
        with (self._folder / VECTORS).open("rb+") as file:
            file.write(npy_header(self._good, self._width))
        put_in_place(part, names_beside(self._target))
        put_in_place(self._folder / VECTORS, self._target)

    def _contents(self) -> Contents:
        job = self._job
        origin = Origin(job.model, job.fingerprint, job.layers, layer_columns(job.layers, job.widths), job.pooling)
        X = VectorsOnDisk(self._folder / VECTORS, HEADER_BYTES, (self._good, self._width))
        return Contents(origin, X, tuple(self._labels), self._rows)

    def _rows(self) -> Iterator[Row]:
        with (self._folder / ROWS).open("rb") as lines:
            for line in lines:
                yield _read_row(json.loads(line))

    def discard(self) -> None:
        """Removes what was kept; the work begins anew the next time."""
        self._close_files()
        with suppress(OSError):
            self._discard()
        if self._lock is not None:
            with suppress(OSError):
                drop_lock(self._lock, self._folder / LOCK)
            self._lock = None
        with suppress(OSError):
            self._folder.rmdir()

    def _close_files(self) -> None:
        for file in self._files:
            file.close()
        self._files = []

    def close(self) -> None:
        """Stops writing. What is there can be resumed; after `finish` there is nothing to do."""
        self._close_files()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> PartialFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _line(row: Row, vector: np.ndarray | None) -> str:
    if vector is None:
        return json.dumps({"name": row.name, "error": row.error}) + "\n"
    said = {"id": row.id, "name": row.name, "path": row.path, "labels": row.labels, "crc": zlib.crc32(vector.data)}
    return json.dumps(said) + "\n"


def _read_row(said: dict[str, Any]) -> Row:
    if "error" in said:
        return Row("", said["name"], "", {}, said["error"])
    return Row(said["id"], said["name"], said["path"], said["labels"])


def _complete_row(line: bytes, numbers: IO[bytes], size: int) -> Row | None:
    """The row of a line that is whole and whose vector is there and whole."""
    try:
        said = json.loads(line) if line.endswith(b"\n") else {}
        row = _read_row(said)
        return row if row.error is not None or zlib.crc32(_exactly(numbers, size)) == said["crc"] else None
    except (ValueError, LookupError, TypeError):
        return None


def _exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise ValueError("cut off")
    return data


def _write_all(file: IO[bytes], data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
