"""Read and write the tables of the store; each function works on one connection."""

from __future__ import annotations

import contextlib
import sqlite3
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from featlib.features.store.database import DamagedError, first_integer
from featlib.features.store.encoding import file_checksum, unpack_vector

# Seconds after which a read counts as a new use, so that most reads write nothing.
USED_AGAIN_AFTER = 600
_CHUNK = 256
_SHARE_AFTER_EVICTION = 0.9
# A page is free when its last vector is gone, so it can take several rounds.
_ROUNDS = 20

_READ = """SELECT image, vector, used FROM entry JOIN data USING (row)
           WHERE space = (SELECT id FROM space WHERE name = ?) AND image IN ({})"""
_TOUCH = "UPDATE entry SET used = ? WHERE space = (SELECT id FROM space WHERE name = ?) AND image = ?"
_SPACES = """SELECT name, count(*), CAST(total(bytes) AS INTEGER) FROM entry JOIN space ON space.id = entry.space
             GROUP BY entry.space ORDER BY 3 DESC, 1"""


@contextmanager
def _writing(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def read(connection: sqlite3.Connection, space: bytes, keys: Sequence[bytes]) -> dict[bytes, np.ndarray]:
    """Read the undamaged vectors of these images, and record now and then that they were used."""
    now, space_sum = int(time.time()), zlib.crc32(space)
    found, again = {}, []
    for chunk in _chunks(list(dict.fromkeys(keys))):
        for key, blob, used in connection.execute(_READ.format(_marks(chunk)), (space, *chunk)):
            vector = unpack_vector(space_sum, key, blob)
            if vector is None:
                continue
            found[key] = vector
            if not isinstance(used, int) or abs(now - used) > USED_AGAIN_AFTER:
                again.append((now, space, key))
    if again and not connection.in_transaction:
        connection.execute("PRAGMA busy_timeout = 0")  # another writer goes first
        with contextlib.suppress(sqlite3.OperationalError), _writing(connection):
            connection.executemany(_TOUCH, again)
    return found


def write(connection: sqlite3.Connection, space: bytes, packed: Mapping[bytes, bytes], max_bytes: int) -> None:
    """Write packed vectors, in one transaction.

    Raises:
        DamagedError: They cannot be read back.
    """
    now = int(time.time())
    with _writing(connection):
        connection.execute("INSERT OR IGNORE INTO space (name) VALUES (?)", (space,))
        number = first_integer(connection, "SELECT id FROM space WHERE name = ?", (space,))
        places = _places(connection, number, list(packed))
        rows = ((places[key], blob) for key, blob in packed.items())
        connection.executemany("INSERT OR REPLACE INTO data VALUES (?, ?)", rows)
        entries = ((number, key, places[key], now, len(blob)) for key, blob in packed.items())
        connection.executemany("INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?, ?)", entries)
        if len(read(connection, space, list(packed))) < len(packed):
            raise DamagedError("The index of the rows is damaged: what was just written cannot be found.")
        _evict(connection, max_bytes)
    _shrink(connection, max_bytes)


def read_digests(connection: sqlite3.Connection, paths: Sequence[bytes]) -> dict[tuple[bytes, bytes], bytes]:
    """Read the digests noted for these paths, by (path, stamp)."""
    known = {}
    for chunk in _chunks(paths):
        query = f"SELECT path, stamp, digest, checksum FROM file WHERE path IN ({_marks(chunk)})"
        for path, stamp, digest, checksum in connection.execute(query, chunk):
            if checksum == file_checksum(path, stamp, digest):
                known[path, stamp] = digest
    return known


def write_digests(connection: sqlite3.Connection, marks: Sequence[tuple[bytes, bytes, bytes]], max_bytes: int) -> None:
    """Write (path, stamp, digest), in one transaction."""
    with _writing(connection):
        rows = ((*mark, file_checksum(*mark)) for mark in marks)
        connection.executemany("INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?)", rows)
        _evict(connection, max_bytes)
    _shrink(connection, max_bytes)


def _places(connection: sqlite3.Connection, space: int, keys: Sequence[bytes]) -> dict[bytes, int]:
    """Return the row number of each image: the one it has, or a new one."""
    places: dict[bytes, int] = {}
    for chunk in _chunks(keys):
        query = f"SELECT image, row FROM entry WHERE space = ? AND image IN ({_marks(chunk)})"
        rows = connection.execute(query, (space, *chunk))
        places.update((key, row) for key, row in rows if isinstance(row, int))
    row = first_integer(connection, "SELECT coalesce(max(row), 0) FROM data")
    return places | {key: row + i for i, key in enumerate((key for key in keys if key not in places), 1)}


def _evict(connection: sqlite3.Connection, max_bytes: int) -> None:
    """Remove the least recently used vectors where the file is too large, until there is some room."""
    used, goal = _bytes_in_use(connection), int(max_bytes * _SHARE_AFTER_EVICTION)
    if used <= max_bytes:
        return
    for _ in range(_ROUNDS):
        if used <= goal or not (oldest := _oldest(connection, (used - goal) / used)):
            break
        connection.executemany("DELETE FROM data WHERE row = ?", ((row,) for _, _, row in oldest))
        connection.executemany("DELETE FROM entry WHERE space = ? AND image = ?", (entry[:2] for entry in oldest))
        used = _bytes_in_use(connection)
    connection.execute("DELETE FROM file WHERE digest NOT IN (SELECT image FROM entry)")
    connection.execute("DELETE FROM space WHERE id NOT IN (SELECT space FROM entry)")


def _shrink(connection: sqlite3.Connection, max_bytes: int) -> None:
    """Free the unused pages where the file is larger than the limit."""
    allowed = max_bytes // first_integer(connection, "PRAGMA page_size")
    too_many = first_integer(connection, "PRAGMA page_count") - allowed
    if too_many > 0 and first_integer(connection, "PRAGMA freelist_count"):
        connection.executescript(f"PRAGMA incremental_vacuum({too_many})")  # execute() would free one page only


def _oldest(connection: sqlite3.Connection, share: float) -> list[tuple[int, bytes, int]]:
    """Return the least recently used (space, image, row) whose vectors make up this share of all bytes."""
    wanted = share * first_integer(connection, "SELECT CAST(total(bytes) AS INTEGER) FROM entry")
    oldest, size = [], 0
    for space, image, row, count in connection.execute("SELECT space, image, row, bytes FROM entry ORDER BY used, row"):
        oldest.append((space, image, row))
        size += count if isinstance(count, int) else 0
        if size >= wanted:
            break
    return oldest


def _bytes_in_use(connection: sqlite3.Connection) -> int:
    pages = first_integer(connection, "PRAGMA page_count") - first_integer(connection, "PRAGMA freelist_count")
    return pages * first_integer(connection, "PRAGMA page_size")


def count(connection: sqlite3.Connection) -> tuple[int, tuple[tuple[str, int, int], ...]]:
    """Return the bytes in use, and for each space its name, vectors and their bytes."""
    rows = connection.execute(_SPACES).fetchall()
    spaces = tuple(
        (name.decode(errors="replace"), count, size) for name, count, size in rows if isinstance(name, bytes)
    )
    return _bytes_in_use(connection), spaces


def clear(connection: sqlite3.Connection) -> None:
    """Empty all tables and shrink the file."""
    with _writing(connection):
        for table in ("data", "entry", "file", "space"):
            connection.execute(f"DELETE FROM {table}")
    connection.execute("VACUUM")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _chunks(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    return (keys[start : start + _CHUNK] for start in range(0, len(keys), _CHUNK))


def _marks(chunk: Sequence[bytes]) -> str:
    return ",".join("?" * len(chunk))
