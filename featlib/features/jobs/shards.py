"""A folder of Parquet shards, each written whole or not at all, in which an interrupted run is resumed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from featlib.errors import FeatlibError
from featlib.features.files import (
    DAMAGE,
    PART,
    SHARDS,
    Row,
    VectorFileContents,
    open_parquet,
    piece_rows,
    read_schema,
    why,
    write_file,
    write_whole,
)
from featlib.features.jobs.job import Job
from featlib.features.runtimes import cores
from featlib.images import ImageItem, ImageProblem

JOB, LOCK = "_job.json", ".lock"  # Parquet readers skip names that begin like this

Found = Sequence[ImageItem | ImageProblem]


@dataclass(frozen=True)
class ShardFolder:
    """The shards of one job. It is only names and numbers, so it travels to other machines.

    Attributes:
        path: The folder, absolute; every machine sees it there.
        job: What is computed.
        shard_size: Images in a shard; the last one may have fewer.
    """

    path: Path
    job: Job
    shard_size: int

    def __len__(self) -> int:
        """Return how many shards there will be; one without rows where there are no images."""
        return max(1, -(-self.job.total // self.shard_size))

    def shard(self, number: int) -> Path:
        """Return the file of a shard."""
        return self.path / f"part-{number:05}.parquet"

    def images(self, number: int) -> range:
        """Return which images belong to a shard."""
        start = number * self.shard_size
        return range(start, min(start + self.shard_size, self.job.total))

    def begin(self, *, resume: bool) -> None:
        """Prepare the folder: shards of an earlier run of the same job stay.

        Args:
            resume: With False, what an earlier run left is removed.

        Raises:
            FeatlibError: It holds another job, or shards of an unknown job; or it cannot be written.
        """
        description = {**self.job.to_dict(), "shard_size": self.shard_size}
        try:
            earlier = read_job(self.path)
            if earlier is not None and not resume:
                self.discard()
                earlier = None
            if earlier is None and any(self.path.glob(SHARDS)):
                raise FeatlibError(
                    f"'{self.path}' holds {SHARDS} files without the {JOB} that describes them. "
                    "Remove them, or choose another place."
                )
            if earlier is None:
                write_whole(self.path / JOB, json.dumps(description).encode())
                earlier = description
            self.tidy()
        except OSError as error:
            raise unwritable(self.path, error) from error
        differences = [
            f"{name} (was {earlier.get(name)!r}, is {value!r})"
            for name, value in description.items()
            if value != earlier.get(name)
        ]
        if differences:
            raise FeatlibError(
                f"The earlier run into '{self.path}' computed something else: {', '.join(differences)}. "
                "Resume it with its own settings, choose another place, or start over without resume."
            )

    def discard(self) -> None:
        """Remove the shards and the description.

        Raises:
            OSError: One cannot be removed.
        """
        # The shards go first: as long as the description is there, they are known to be of an earlier run.
        for shard in self.path.glob(SHARDS):
            shard.unlink(missing_ok=True)
        (self.path / JOB).unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove what killed processes left behind."""
        for pattern in (f".{'[0-9a-f]' * 32}{PART}", ".tries-*"):
            for left in self.path.glob(pattern):
                left.unlink(missing_ok=True)

    def count_try(self, number: int) -> int:
        """Count an attempt at a shard, and return how many there were in this run.

        Raises:
            FeatlibError: The folder cannot be written.
        """
        try:
            with (self.path / f".tries-{number:05}").open("ab") as file:
                file.write(b".")
                return file.tell()
        except OSError as error:
            raise unwritable(self.path, error) from error

    def missing(self) -> list[int]:
        """Return the shards that do not exist yet, or are damaged."""
        with ThreadPoolExecutor(cores()) as pool:
            whole = pool.map(self._is_whole, range(len(self)))
            return [number for number, is_whole in enumerate(whole) if not is_whole]

    def _is_whole(self, number: int) -> bool:
        import pyarrow as pa

        try:
            with open_parquet(self.shard(number)) as file:
                if read_schema(file.schema_arrow) != (self.job.origin, [*self.job.label_columns]):
                    return False
                count = sum(len(batch) for batch in file.iter_batches(piece_rows(self.job.width)))
        except (*DAMAGE, pa.ArrowException):
            return False
        return count == len(self.images(number))

    def write(self, number: int, found: Found, X: np.ndarray) -> None:
        """Write a shard whole; writing it again changes nothing.

        Args:
            number: Which one.
            found: Its images in order, readable or not.
            X: (good, D) float32, one row for each ImageItem in `found`.

        Raises:
            FeatlibError: The file cannot be written; the others stay.
        """
        contents = VectorFileContents.of_rows(self.job.origin, [*map(Row.of, found)], X, self.job.label_columns)
        try:
            write_file(contents, self.shard(number))
        except OSError as error:
            raise self.interrupted(error) from error

    def fill(self, missing: Iterable[int], computed: Iterable[tuple[Found, np.ndarray]]) -> Iterator[int]:
        """Write shards of images that come in pieces of any size.

        Args:
            missing: The shards to write, ascending.
            computed: The images of these shards in order, readable or not, and one vector for each ImageItem.

        Yields:
            How many of these images came so far, after each piece.

        Raises:
            FeatlibError: A file cannot be written; the others stay.
        """
        found, parts = list[ImageItem | ImageProblem](), list[np.ndarray]()
        done, numbers = 0, iter(missing)
        number = next(numbers, None)
        for piece, X in computed:
            found += piece
            parts.append(X)
            while number is not None and len(found) >= (size := len(self.images(number))):
                X = np.concatenate(parts)
                good = sum(isinstance(image, ImageItem) for image in found[:size])
                self.write(number, found[:size], X[:good])
                found, parts = found[size:], [X[good:]]
                number = next(numbers, None)
            done += len(piece)
            yield done
        if number is not None and not len(self.images(number)):
            self.write(number, [], np.empty((0, self.job.width), np.float32))

    def interrupted(self, error: BaseException) -> FeatlibError:
        """Return the error for a disk that is full or cannot be written, which says how much is done."""
        kept = sum(1 for _ in self.path.glob(SHARDS))
        return FeatlibError(
            f"'{self.path}' cannot be written ({why(error)}): {kept:,} of {len(self):,} parts are kept there. "
            "Make room and run it again with resume."
        )


def read_job(path: Path) -> dict[str, Any] | None:
    """Return what an earlier run into a folder computed; None where there was none."""
    try:
        found = json.loads((path / JOB).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None


@contextmanager
def locked_folder(path: Path, shown: object, *, temporary: bool = False) -> Iterator[None]:
    """Make a folder and keep other processes from writing there; where the disk has no locks, go on without one.

    Args:
        path: The folder.
        shown: What is being written, for the message.
        temporary: Whether to remove the folder in the end if it is empty.

    Raises:
        FeatlibError: It cannot be made, or another process writes there.
    """
    from filelock import FileLock, Timeout

    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error
    lock = FileLock(path / LOCK, blocking=False)
    try:
        lock.acquire()
    except (Timeout, FileNotFoundError):  # another process removed the folder just now
        raise FeatlibError(f"Another process is writing '{shown}' now. Wait for it, or choose another place.") from None
    except (OSError, NotImplementedError):
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):  # Windows does not remove an open file; there, release does it
            (path / LOCK).unlink()
        lock.release()
        if temporary:
            with suppress(OSError):
                path.rmdir()


def unwritable(path: Path, error: OSError) -> FeatlibError:
    """Return the error for a folder that cannot be written."""
    is_file = os.path.isfile(path)  # noqa: PTH113 - unlike Path's own, it never raises
    reason = "there is a file of this name" if is_file else why(error)
    return FeatlibError(f"The folder '{path}' cannot be written ({reason}). Choose another place.")
