"""Open the SQLite file of a store: shared by threads, closed around a fork, replaced by a new one when damaged.

Replacing a file that others have open is harmless: SQLite does not touch the log of a file that has moved, every call
compares the file's inode with the one it has open, and files are opened and replaced under one lock only.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

if sys.platform != "win32":  # Windows refuses to replace a file that is open, so nothing needs the lock there
    import fcntl

Identity = tuple[int, int]

APPLICATION_ID = 0x66656174  # "feat"
VERSION = 1
PAGE_SIZE = 16384  # three vectors of 1,280 float32 fill one page
_LOG_BYTES = 16 * 2**20
_MUCH_SPACE = 2**28
_IDLE_CONNECTIONS = 4

_SCHEMA = """
CREATE TABLE space (id INTEGER PRIMARY KEY, name BLOB UNIQUE);
CREATE TABLE entry (space INTEGER, image BLOB, row INTEGER, used INTEGER, bytes INTEGER,
                    PRIMARY KEY (space, image)) WITHOUT ROWID;
CREATE TABLE data (row INTEGER PRIMARY KEY, vector BLOB);
CREATE TABLE file (path BLOB PRIMARY KEY, stamp BLOB, digest BLOB, checksum INTEGER) WITHOUT ROWID;
"""
# UnicodeDecodeError: an error message may quote a damaged name.
_ERRORS = (sqlite3.Error, UnicodeDecodeError)
# Errors of this program, not of the file.
PROGRAM_ERRORS = (sqlite3.ProgrammingError, sqlite3.InterfaceError)
LOCKED = "it is locked by another process"
# Locks, permissions and full disks say nothing about the file. All other errors mean that it is damaged.
_REASONS = {
    sqlite3.SQLITE_BUSY: LOCKED,
    sqlite3.SQLITE_LOCKED: LOCKED,
    sqlite3.SQLITE_PROTOCOL: LOCKED,
    sqlite3.SQLITE_SCHEMA: "another process has just replaced it",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "it cannot be written to",
    sqlite3.SQLITE_PERM: "it cannot be written to",
    sqlite3.SQLITE_AUTH: "it cannot be written to",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
    sqlite3.SQLITE_IOERR: "the disk is full or does not answer",
    sqlite3.SQLITE_NOLFS: "it is too large for this disk",
}
_DAMAGED = {sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS, sqlite3.SQLITE_READONLY_DBMOVED}


@dataclass(frozen=True)
class _Opened:
    connection: sqlite3.Connection
    identity: Identity | None


class DamagedError(sqlite3.DatabaseError):
    """The file is not what this version wrote."""


class OtherVersionError(DamagedError):
    """The file was written by another version of featlib."""


def unavailable_reason(error: Exception, path: Path) -> str | None:
    """Return in a few words what prevents using the file; None where the file itself is damaged."""
    if isinstance(error, OSError):
        return LOCKED if isinstance(error, BlockingIOError) else error.strerror or str(error)
    if isinstance(error, PROGRAM_ERRORS):
        return str(error)
    code = getattr(error, "sqlite_errorcode", None)
    if code is None or code in _DAMAGED:
        return None
    # A damaged header can cause these two as well.
    if code & 0xFF == sqlite3.SQLITE_READONLY and os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        return None
    if code & 0xFF == sqlite3.SQLITE_FULL and shutil.disk_usage(path.parent).free > _MUCH_SPACE:
        return None
    return _REASONS.get(code & 0xFF)


class StoreFile:
    """A database file and its connections. A connection serves one call at a time and any thread.

    Args:
        path: Where the file is, or will be once something is written.
        timeout: Seconds that a fork waits for running calls.
    """

    def __init__(self, path: Path, timeout: float) -> None:
        self.path = path
        self._timeout = timeout
        self._gate = threading.Condition(threading.Lock())
        self._idle: list[_Opened] = []
        self._busy = 0
        _FILES.add(self)

    @contextmanager
    def connection(self, create: bool, timeout: float) -> Iterator[sqlite3.Connection | None]:
        """Lend a connection, or None where there is no file and `create` is False.

        Raises:
            DamagedError: The file was damaged. It has been set aside, so the call can be repeated on a new one.
            sqlite3.Error: The file is unavailable (see `unavailable_reason`).
            OSError: The folder is unavailable.
        """
        with self._gate:
            self._busy += 1
            opened = self._idle.pop() if self._idle else None
        try:
            if opened is not None and opened.identity != self._identity():  # another process replaced or removed it
                opened.connection.close()
                opened = None
            opened = opened or self._open(create, timeout)
            if opened is None:
                yield None
                return
            try:
                opened.connection.execute(f"PRAGMA busy_timeout = {round(timeout * 1000)}")
                yield opened.connection
            except BaseException as error:
                opened.connection.close()  # rolls back
                if not isinstance(error, _ERRORS) or unavailable_reason(error, self.path) is not None:
                    raise
                with self._locked(timeout):
                    if self._identity() == opened.identity:  # otherwise another process was quicker
                        self._set_aside()
                raise DamagedError(str(error)) from error
            with self._gate:
                if len(self._idle) < _IDLE_CONNECTIONS:
                    self._idle.append(opened)
                    return
            opened.connection.close()
        finally:
            with self._gate:
                self._busy -= 1
                self._gate.notify_all()

    def _open(self, create: bool, timeout: float) -> _Opened | None:
        if not create and self._identity() is None:
            return None
        if create:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._locked(timeout):
            if self._identity() is None:
                if not create:
                    return None
                self._remove_logs()
            connection = sqlite3.connect(self.path, timeout=timeout, isolation_level=None, check_same_thread=False)
            try:
                _prepare(connection)
            except _ERRORS as error:
                connection.close()
                if unavailable_reason(error, self.path) is not None:
                    raise
                if isinstance(error, OtherVersionError):
                    self.path.unlink(missing_ok=True)
                    self._remove_logs()
                else:
                    self._set_aside()
                raise DamagedError(str(error)) from error
            return _Opened(connection, self._identity())

    def remove_damaged(self) -> None:
        """Remove the damaged file that was set aside, if there is one and the folder allows it."""
        with contextlib.suppress(OSError):
            self._beside(".damaged").unlink()

    def _set_aside(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.path.replace(self._beside(".damaged"))
        self._remove_logs()

    def _remove_logs(self) -> None:
        for suffix in ("-wal", "-shm", "-journal"):
            self._beside(suffix).unlink(missing_ok=True)

    def _identity(self) -> Identity | None:
        try:
            found = os.stat(self.path)  # noqa: PTH116 - at each call, so the quick one
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_dev, found.st_ino

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)

    @contextmanager
    def _locked(self, timeout: float) -> Iterator[None]:
        """Hold the lock that opening and replacing need."""
        with self._beside(".lock").open("a") as lock:
            give_up = time.monotonic() + timeout
            while sys.platform != "win32":
                try:
                    fcntl.flock(lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > give_up:
                        raise
                    time.sleep(0.005)
            yield

    def __del__(self) -> None:
        for opened in self._idle:
            opened.connection.close()

    def pause(self) -> None:
        """Close all connections and open none until `resume`, since SQLite's state must not pass a fork."""
        self._gate.acquire()
        self._gate.wait_for(lambda: not self._busy, self._timeout)
        while self._idle:
            self._idle.pop().connection.close()

    def resume(self, in_child: bool) -> None:
        """End what `pause` began."""
        if in_child:
            self._busy = 0  # the threads of the parent do not exist here
        self._gate.release()


def _prepare(connection: sqlite3.Connection) -> None:
    connection.text_factory = bytes  # a damaged type must not end in a decoding error
    if not first_integer(connection, "PRAGMA page_count"):
        connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        marks = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION};"
        connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} {marks} COMMIT")
    elif first_integer(connection, "PRAGMA application_id") != APPLICATION_ID:
        raise DamagedError("The file is not a vector cache.")
    elif first_integer(connection, "PRAGMA user_version") != VERSION:
        raise OtherVersionError("The file is of another version.")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA secure_delete = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_BYTES // PAGE_SIZE}")


def first_integer(connection: sqlite3.Connection, query: str, values: tuple[object, ...] = ()) -> int:
    """Return the first value of a query, which must be an integer that leaves room for counting.

    Raises:
        DamagedError: It is not.
    """
    row = connection.execute(query, values).fetchone()
    if row is None or not isinstance(row[0], int) or not 0 <= row[0] < 2**62:
        raise DamagedError("The file has a number that was never written.")
    return row[0]


_FILES: weakref.WeakSet[StoreFile] = weakref.WeakSet()
_FORK = threading.Lock()
_PAUSED: list[StoreFile] = []


def _before_fork() -> None:
    _FORK.acquire()
    _PAUSED.extend(_FILES)
    for file in _PAUSED:
        file.pause()


def _after_fork(in_child: bool) -> None:
    while _PAUSED:
        _PAUSED.pop().resume(in_child)
    _FORK.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=lambda: _after_fork(in_child=False),
        after_in_child=lambda: _after_fork(in_child=True),
    )
