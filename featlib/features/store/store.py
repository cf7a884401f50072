"""Cache pooled vectors on disk, so that any process reads what was computed once.

SQLite, with 16 kB pages, because it comes with Python and nothing reads clearly faster: of 10,000 rows of 1,280 float32
in chunks of 256, each takes 51 µs to write and 16 / 13 µs to read cold / warm; LMDB takes 13 and 18 / 10, with 50 %
more disk; diskcache 128 and 23 / 26 (2 shared cores, checksums included). Computing a vector takes some 8,000 µs.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import platformdirs

from featlib.checks import file_path, finite_number, whole_number
from featlib.errors import FeatlibError
from featlib.features.store.database import LOCKED, PROGRAM_ERRORS, DamagedError, StoreFile, unavailable_reason
from featlib.features.store.encoding import pack_id, pack_path, pack_stamp, pack_vector, text_bytes, unpack_id
from featlib.features.store.queries import clear, count, read, read_digests, write, write_digests

Result = TypeVar("Result")

# A file changed twice within one tick of its disk's clock looks unchanged; FAT's tick is 2 s.
_RACY_NS = 2 * 10**9
# Seconds in which calls do not wait again after one has waited in vain for a lock.
_IMPATIENT = 30.0


@dataclass(frozen=True)
class StoreInfo:
    """The contents of a store.

    Attributes:
        path: The file.
        vectors: The number of vectors.
        bytes: The size of the whole file in use.
        max_bytes: The limit.
        spaces: (space, vectors, bytes of the vectors), the largest first.
    """

    path: Path
    vectors: int
    bytes: int
    max_bytes: int
    spaces: tuple[tuple[str, int, int], ...]


class VectorStore:
    """Vectors by space and image, on disk, shared by threads and processes.

    A space is any text that says how the vectors were made. A store never stops the work: what cannot be read counts
    as unknown, what cannot be written is dropped, and `problem` says why. The file belongs on a local disk: processes
    of several machines cannot share it.

    Args:
        path: The file, which the first `put` makes; None means `default_path()`.
        max_bytes: The size at which the least recently used vectors are removed.
        timeout: Seconds that a call waits for another process before it continues without the store.

    Raises:
        FeatlibError: An argument is of another type or negative.
    """

    def __init__(self, path: str | Path | None = None, max_bytes: int = 2 * 2**30, timeout: float = 5.0) -> None:
        path = default_path() if path is None else file_path("path", path)
        whole_number("max_bytes", max_bytes, 0)
        if finite_number("timeout", timeout) < 0:
            raise FeatlibError(f"timeout must be at least 0 seconds. Received: {timeout}.")
        self._file = StoreFile(path.absolute(), timeout)
        self.max_bytes = max_bytes
        self.timeout = timeout
        self._problems = {"reading": "", "writing": ""}
        self._impatient_until = 0.0

    def __repr__(self) -> str:
        return f"VectorStore({str(self.path)!r})"

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    @property
    def problem(self) -> str:
        """One sentence where the last write, or the last read, failed; else ""."""
        return self._problems["writing"] or self._problems["reading"]

    def __reduce__(self) -> tuple[type[VectorStore], tuple[Path, int, float]]:
        return VectorStore, (self.path, self.max_bytes, self.timeout)

    def get(self, space: str, ids: Sequence[str]) -> list[np.ndarray | None]:
        """Read the vectors of n images.

        Returns:
            n read-only (D,) float32 arrays, exactly as they were put; None where there is none, or a damaged one.
        """
        keys = [pack_id(image) for image in ids]
        empty: dict[bytes, np.ndarray] = {}
        found = self._run(lambda connection: read(connection, text_bytes(space), keys), empty)
        return [found.get(key) for key in keys]

    def read_into(self, space: str, ids: Sequence[str], out: np.ndarray) -> np.ndarray:
        """Read the vectors of n images into the rows of a matrix.

        Args:
            space: How they were made.
            ids: n image ids.
            out: (n, D) float32; rows of unknown images are left unchanged.

        Returns:
            (n,) bool: which rows were read.
        """
        known = np.zeros(len(ids), dtype=bool)
        for i, vector in enumerate(self.get(space, ids)):
            if vector is not None and vector.shape == out.shape[1:]:
                out[i], known[i] = vector, True
        return known

    def put(self, space: str, rows: Mapping[str, np.ndarray]) -> None:
        """Store vectors, all or none of them, and replace those of the same images.

        Args:
            space: How they were made.
            rows: Image id -> (D,) float32.

        Raises:
            FeatlibError: A row is not (D,).
        """
        name = text_bytes(space)
        packed = {key: pack_vector(name, key, row) for key, row in zip(map(pack_id, rows), rows.values(), strict=True)}
        if packed:
            self._run(lambda connection: write(connection, name, packed, self.max_bytes), None, create=True)

    def digests(self, files: Sequence[Path]) -> list[str | None]:
        """Look up the digests of n files without opening them; None where unknown, or changed since noted."""
        seen = _look_at(files)
        empty: dict[tuple[bytes, bytes], bytes] = {}
        known = self._run(lambda connection: read_digests(connection, [path for path, _ in seen]), empty)
        return [None if (key := known.get(mark)) is None else unpack_id(key) for mark in seen]

    def note_digests(self, digests: Mapping[Path, tuple[os.stat_result, str]]) -> None:
        """Note the digests of files for `digests`.

        Args:
            digests: File -> its `os.stat` from before it was read, and the digest of its content. A file changed less
                than 2 s ago is not noted, since it may change once more without a sign.
        """
        before = time.time_ns() - _RACY_NS
        folder = _working_folder()
        marks = [
            (pack_path(file, folder), pack_stamp(found), pack_id(digest))
            for file, (found, digest) in digests.items()
            if found.st_mtime_ns < before
        ]
        if marks:
            self._run(lambda connection: write_digests(connection, marks, self.max_bytes), None, create=True)

    def info(self) -> StoreInfo:
        """Count the vectors; this makes no file."""
        empty: tuple[int, tuple[tuple[str, int, int], ...]] = (0, ())
        used, spaces = self._run(count, empty)
        return StoreInfo(self.path, sum(vectors for _, vectors, _ in spaces), used, self.max_bytes, spaces)

    def clear(self) -> None:
        """Remove everything, a damaged file that was set aside included, and free the disk."""
        self._run(clear, None)
        self._file.remove_damaged()

    def _run(self, job: Callable[[sqlite3.Connection], Result], default: Result, create: bool = False) -> Result:
        """Run a job; where the file is damaged, run it again on a new one."""
        kind = "writing" if create else "reading"
        timeout = self.timeout if time.monotonic() > self._impatient_until else 0.0
        reason = "it is damaged again and again"
        for _ in range(3):
            try:
                with self._file.connection(create, timeout) as connection:
                    result = default if connection is None else job(connection)
                self._problems[kind] = ""
                return result
            except PROGRAM_ERRORS:
                raise
            except DamagedError:
                continue
            except (sqlite3.Error, OSError) as error:
                reason = unavailable_reason(error, self.path) or str(error)
                if reason == LOCKED:
                    self._impatient_until = time.monotonic() + _IMPATIENT
                break
        self._problems[kind] = f"The vector cache at '{self.path}' is unavailable ({reason}); continuing without it."
        return default


def default_path() -> Path:
    """Return where the store of this machine is: in `$FEATLIB_HOME`, or else in the user's cache folder.

    A store that an earlier version left in `~/.featlib` is used where it is.
    """
    if home := os.environ.get("FEATLIB_HOME"):
        return Path(home, "vectors.db")
    earlier = Path.home() / ".featlib" / "vectors.db"
    return earlier if earlier.exists() else platformdirs.user_cache_path("featlib", appauthor=False) / "vectors.db"


def _look_at(files: Sequence[Path]) -> list[tuple[bytes, bytes]]:
    """Return the path and the stamp of each file; where there is no such file, a stamp that none has."""
    folder = _working_folder()
    seen = []
    for file in files:
        try:
            stamp = pack_stamp(os.stat(file))  # noqa: PTH116 - for each image of a folder, so the quick one
        except (OSError, ValueError):  # ValueError: a null byte in the name
            stamp = b""
        seen.append((pack_path(file, folder), stamp))
    return seen


def _working_folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - text is what is needed
    except OSError:  # it was removed
        return ""
