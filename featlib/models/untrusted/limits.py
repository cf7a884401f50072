"""Limits that a process sets for itself before it touches a stranger's file. Windows has none of them."""

from __future__ import annotations

import contextlib
from pathlib import Path

LARGEST_FILE = 4096  # bytes that may be written; TensorFlow tries out the temporary folder when it is imported
OPEN_FILES = 256


def limit_files_and_time(seconds: int) -> None:
    """From here on: no file of any size is written, few are open, and `seconds` of processor time are left."""
    for kind, limit in (("FSIZE", LARGEST_FILE), ("CPU", seconds), ("NOFILE", OPEN_FILES), ("CORE", 0)):
        _limit(kind, limit)


def limit_memory(room: int) -> None:
    """From here on: at most `room` bytes more than now."""
    with contextlib.suppress(OSError, ImportError):  # systems without /proc, Windows
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        _limit("AS", pages * resource.getpagesize() + room)


def _limit(kind: str, limit: int) -> None:
    with contextlib.suppress(ImportError, AttributeError, ValueError, OSError):  # a system without this limit
        import resource

        number = getattr(resource, f"RLIMIT_{kind}")
        hard = resource.getrlimit(number)[1]
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(number, (limit, limit))
