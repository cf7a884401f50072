"""Pooled vectors kept on disk: what was computed once is read afterwards, by any process.

SQLite, with 16 kB pages, because it comes with Python and nothing reads clearly faster: of 10,000 rows of 1,280 float32
in chunks of 256, each takes 51 µs to write and 16 / 13 µs to read cold / warm; LMDB takes 13 and 18 / 10, half as much
disk again; diskcache 128 and 23 / 26 (2 shared cores, checksums included). Computing a vector takes some 8,000 µs.
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

from featlib.features.store import database as store_file
from featlib.features.store.database import LOCKED, MISTAKES, DamagedError, StoreFile, circumstance
from featlib.features.store.encoding import pack_id, pack_path, pack_stamp, pack_vector, text_bytes, unpack_id
from featlib.features.store.queries import clear, count, read, read_digests, write, write_digests

Result = TypeVar("Result")

# A file changed twice within one tick of its disk's clock looks unchanged; FAT's tick is 2 s.
_RACY_NS = 2 * 10**9
# After a lock that lasted, calls do not wait for it again for so many seconds.
_IMPATIENT = 30.0


@dataclass(frozen=True)
class StoreInfo:
    """What a store holds.

    Attributes:
        path: The file.
        vectors: How many vectors are kept.
        bytes: What they and everything around them take on disk.
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

    A space is any text that says how the vectors were made. Nobody's work stops here: what cannot be read counts as not
    kept, what cannot be written is not kept, and `problem` says why. The file belongs on a disk of this machine:
    processes of several machines cannot share it.

    Args:
        path: The file; None means `$FEATLIB_HOME/vectors.db`, else `~/.featlib/vectors.db`. Made by the first `put`.
        max_bytes: The size at which the vectors that were not used for longest are removed.
    """

    def __init__(self, path: str | Path | None = None, max_bytes: int = 2 * 2**30) -> None:
        home = Path(os.environ.get("FEATLIB_HOME") or Path.home() / ".featlib")
        self._file = StoreFile(Path(path if path is not None else home / "vectors.db").absolute())
        self.max_bytes = max_bytes
        self._problems = {"reading": "", "writing": ""}
        self._impatient_until = 0.0

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    @property
    def problem(self) -> str:
        """One sentence when the last write, or the last read, had to do without the file; else ""."""
        return self._problems["writing"] or self._problems["reading"]

    def __reduce__(self) -> tuple[type[VectorStore], tuple[Path, int]]:
        return VectorStore, (self.path, self.max_bytes)

    def get(self, space: str, ids: Sequence[str]) -> list[np.ndarray | None]:
        """Reads the vectors of n images.

        Returns:
            n read-only (D,) float32 arrays, exactly as they were put; None where none is kept, or a damaged one.
        """
        keys = [pack_id(image) for image in ids]
        nothing: dict[bytes, np.ndarray] = {}
        found = self._run(lambda connection: read(connection, text_bytes(space), keys), nothing)
        return [found.get(key) for key in keys]

    def read_into(self, space: str, ids: Sequence[str | None], out: np.ndarray) -> np.ndarray:
        """Read the vectors of n images into the rows of a matrix.

        Args:
            space: How they were made.
            ids: n image ids; None for an image that is not known.
            out: (n, D) float32; the rows of other images stay as they are.

        Returns:
            (n,) bool: which rows were read.
        """
        keys = [None if image is None else pack_id(image) for image in ids]
        empty: dict[bytes, np.ndarray] = {}
        asked = [key for key in keys if key is not None]
        found = self._run(lambda connection: read(connection, text_bytes(space), asked), empty) if asked else empty
        known = np.zeros(len(keys), dtype=bool)
        for i, key in enumerate(keys):
            if key is not None and (vector := found.get(key)) is not None and vector.shape == out.shape[1:]:
                out[i], known[i] = vector, True
        return known

    def put(self, space: str, rows: Mapping[str, np.ndarray]) -> None:
        """Keeps vectors, all or none of them, in place of what was kept for the same images.

        Args:
            space: How they were made.
            rows: From image id to (D,) float32.

        Raises:
            FeatlibError: A row is not (D,).
        """
        name = text_bytes(space)
        packed = {key: pack_vector(name, key, row) for key, row in zip(map(pack_id, rows), rows.values(), strict=True)}
        if packed:
            self._run(lambda connection: write(connection, name, packed, self.max_bytes), None, create=True)

    def digests(self, files: Sequence[Path]) -> list[str | None]:
        """Looks up the content's digest of n files without opening them; None where unknown, or changed since noted."""
        seen = _look_at(files)
        nothing: dict[tuple[bytes, bytes], bytes] = {}
        known = self._run(lambda connection: read_digests(connection, [path for path, _ in seen]), nothing)
        return [None if (key := known.get(mark)) is None else unpack_id(key) for mark in seen]

    def note_digests(self, digests: Mapping[Path, tuple[os.stat_result, str]]) -> None:
        """Notes the digests of files for `digests`.

        Args:
            digests: From file to what `os.stat` said before the file was read, and the digest of what was read. A file
                changed less than 2 s ago is not noted: it may change once more without a sign.
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
        """Counts what is kept; nothing is made by this."""
        nothing: tuple[int, tuple[tuple[str, int, int], ...]] = (0, ())
        used, spaces = self._run(count, nothing)
        return StoreInfo(self.path, sum(vectors for _, vectors, _ in spaces), used, self.max_bytes, spaces)

    def clear(self) -> None:
        """Removes everything, and gives the disk back."""
        self._run(clear, None)

    def _run(self, job: Callable[[sqlite3.Connection], Result], otherwise: Result, create: bool = False) -> Result:
        """Does a job; where the file is damaged, once more on a new one."""
        kind = "writing" if create else "reading"
        timeout = store_file.TIMEOUT if time.monotonic() > self._impatient_until else 0.0
        reason = "it is damaged again and again"
        for _ in range(3):
            try:
                with self._file.connection(create, timeout) as connection:
                    result = otherwise if connection is None else job(connection)
                self._problems[kind] = ""
                return result
            except MISTAKES:
                raise
            except DamagedError:
                continue
            except (sqlite3.Error, OSError) as error:
                reason = circumstance(error, self.path) or str(error)
                if reason == LOCKED:
                    self._impatient_until = time.monotonic() + _IMPATIENT
                break
        self._problems[kind] = f"The vectors kept in '{self.path}' are left aside, and work goes on: {reason}."
        return otherwise


def _look_at(files: Sequence[Path]) -> list[tuple[bytes, bytes]]:
    """The path and the stamp of each file; a stamp that none has where there is no such file."""
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
