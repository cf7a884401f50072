"""A lock on a file that ends with the process that holds it, however that process ends."""

from __future__ import annotations

import os
import sys
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    def _try(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _try(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def hold_lock(path: Path) -> int | None:
    """Locks a file, which is made where it is missing, with the folder around it.

    Returns:
        The open handle: closing it frees the lock. None where another holds it.

    Raises:
        OSError: the file cannot be made, or the file system has no locks.
    """
    while True:
        path.parent.mkdir(exist_ok=True)
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:  # its folder was removed just now
            continue
        try:
            _try(handle)
        except (BlockingIOError, PermissionError):
            os.close(handle)
            return None
        except OSError:
            os.close(handle)
            raise
        if _is_still(handle, path):
            return handle
        os.close(handle)


def drop_lock(handle: int, path: Path) -> None:
    """Removes the locked file and frees the lock."""
    if sys.platform == "win32":  # an open file cannot be removed there
        os.close(handle)
        path.unlink(missing_ok=True)
    else:
        path.unlink(missing_ok=True)
        os.close(handle)


def _is_still(handle: int, path: Path) -> bool:
    """False for a file that its former holder has removed while this one was waiting."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
