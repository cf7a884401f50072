"""The SQLite file below the store: opened, shared by threads, given up around a fork, begun anew when damaged.

Replacing a file that others have open does them no harm: SQLite leaves the log of a file that has moved alone, every
call compares the file's inode with the one it has open, and files are opened and replaced under one lock only.
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

# Seconds that a call waits for another process before it goes on without the store.
TIMEOUT = 5.0
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
# UnicodeDecodeError: the message of an error quotes a damaged name.
_ERRORS = (sqlite3.Error, UnicodeDecodeError)
# What says that this program is wrong, not the file.
MISTAKES = (sqlite3.ProgrammingError, sqlite3.InterfaceError)
LOCKED = "another process has kept it locked"
# What says nothing about the file: locks, rights, full disks. All else means that the file is damaged.
_CIRCUMSTANCES = {
    sqlite3.SQLITE_BUSY: LOCKED,
    sqlite3.SQLITE_LOCKED: LOCKED,
    sqlite3.SQLITE_PROTOCOL: LOCKED,
    sqlite3.SQLITE_SCHEMA: "another process has just begun it anew",
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


def circumstance(error: Exception, path: Path) -> str | None:
    """Says in a few words what keeps the file from being used; None where the file itself is damaged."""
    if isinstance(error, OSError):
        return LOCKED if isinstance(error, BlockingIOError) else error.strerror or str(error)
    if isinstance(error, MISTAKES):
        return str(error)
    code = getattr(error, "sqlite_errorcode", None)
    if code is None or code in _DAMAGED:
        return None
    # A damaged header can say these two as well.
    if code & 0xFF == sqlite3.SQLITE_READONLY and os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        return None
    if code & 0xFF == sqlite3.SQLITE_FULL and shutil.disk_usage(path.parent).free > _MUCH_SPACE:
        return None
    return _CIRCUMSTANCES.get(code & 0xFF)


class StoreFile:
    """One database file and its connections. A connection serves one call at a time and any thread.

    Attributes:
        path: where the file is, or will be once something is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._gate = threading.Condition(threading.Lock())
        self._idle: list[_Opened] = []
        self._busy = 0
        _FILES.add(self)

    @contextmanager
    def connection(self, create: bool, timeout: float) -> Iterator[sqlite3.Connection | None]:
        """Lends a connection, or None where there is no file and `create` is False.

        Raises:
            DamagedError: the file was damaged. It has been removed, so that the call can be repeated on a new one.
            sqlite3.Error: the file cannot be used now (see `circumstance`).
            OSError: the folder cannot be used.
        """
        with self._gate:
            self._busy += 1
            opened = self._idle.pop() if self._idle else None
        try:
            yield from self._lend(opened, create, timeout)
        finally:
            with self._gate:
                self._busy -= 1
                self._gate.notify_all()

    def _lend(self, opened: _Opened | None, create: bool, timeout: float) -> Iterator[sqlite3.Connection | None]:
        if opened is not None and opened.identity != self._identity():  # replaced or removed by somebody
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
            if not isinstance(error, _ERRORS) or circumstance(error, self.path) is not None:
                raise
            self._begin_anew(opened.identity, timeout)
            raise DamagedError(str(error)) from error
        self._give_back(opened)

    def _give_back(self, opened: _Opened) -> None:
        with self._gate:
            if len(self._idle) < _IDLE_CONNECTIONS:
                self._idle.append(opened)
                return
        opened.connection.close()

    def _open(self, create: bool, timeout: float) -> _Opened | None:
        if not create and self._identity() is None:
            return None
        if create:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._locked(timeout) as ours:
            if self._identity() is None:
                if not create:
                    return None
                self._remove_logs()
            connection = sqlite3.connect(self.path, timeout=timeout, isolation_level=None, check_same_thread=False)
            try:
                _prepare(connection)
            except _ERRORS as error:
                connection.close()
                if circumstance(error, self.path) is not None:
                    raise
                self._remove(ours)
                raise DamagedError(str(error)) from error
            return _Opened(connection, self._identity())

    def _begin_anew(self, identity: Identity | None, timeout: float) -> None:
        with self._locked(timeout) as ours:
            if self._identity() == identity:  # else somebody else was quicker
                self._remove(ours)

    def _remove(self, ours: bool) -> None:
        """Removes a damaged file; one that was there before any store was is somebody's, so it is only renamed."""
        with contextlib.suppress(FileNotFoundError):
            if ours:
                self.path.unlink()
            else:
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
    def _locked(self, timeout: float) -> Iterator[bool]:
        """Holds the lock that opening and replacing need; yields whether a store has been here before."""
        path = self._beside(".lock")
        ours = path.exists()
        with path.open("a") as lock:
            if sys.platform != "win32":
                _wait_for(lock.fileno(), timeout)
            yield ours

    def __del__(self) -> None:
        for opened in self._idle:
            opened.connection.close()

    def pause(self) -> None:
        """Closes all connections and lets none be opened until `resume`: SQLite's state must not pass a fork."""
        self._gate.acquire()
        self._gate.wait_for(lambda: not self._busy, TIMEOUT)
        while self._idle:
            self._idle.pop().connection.close()

    def resume(self, in_child: bool) -> None:
        """Ends what `pause` began."""
        if in_child:
            self._busy = 0  # the threads of the parent are not here
        self._gate.release()


def _wait_for(lock: int, timeout: float) -> None:
    give_up = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.005)


def _prepare(connection: sqlite3.Connection) -> None:
    connection.text_factory = bytes  # a damaged type must not end in a decoding error
    if not first_integer(connection, "PRAGMA page_count"):
        connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        marks = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION};"
        connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} {marks} COMMIT")
    elif (
        first_integer(connection, "PRAGMA application_id") != APPLICATION_ID
        or first_integer(connection, "PRAGMA user_version") != VERSION
    ):
        raise DamagedError("The file is of another version.")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA secure_delete = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_BYTES // PAGE_SIZE}")


def first_integer(connection: sqlite3.Connection, query: str, values: tuple[object, ...] = ()) -> int:
    """The first value of a query, which has to be an integer that leaves room to count on.

    Raises:
        DamagedError: it is not.
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
