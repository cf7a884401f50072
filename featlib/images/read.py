"""Read the encoded bytes of a path or an open file, never more than the limit."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from featlib.errors import ImageError
from featlib.images.folders import OpenFolder
from featlib.text import format_bytes

# The largest file that is read as one image. JPEGs of cameras have 2 to 20 MB.
MAX_BYTES = 50 * 2**20


def check_length(length: int, name: str) -> None:
    """Raise ImageError for a file that is empty or above `MAX_BYTES`."""
    if length == 0:
        raise ImageError(f"'{name}' is empty (0 bytes): export or download it again.")
    if length > MAX_BYTES:
        # The actual size is unknown here, since open files and zips are read up to the limit only.
        raise ImageError(
            f"'{name}' is larger than {format_bytes(MAX_BYTES)}, the limit for one image: save it smaller."
        )


def to_path(source: str | os.PathLike[str]) -> Path:
    """Return a path that a user gave as a Path; `~` is the home folder.

    Raises:
        ImageError: If it is empty, which would mean the current folder.
    """
    text = os.fspath(source)
    if not text:
        raise ImageError("Received an empty path: pass a file or a folder, '.' for the current one.")
    if not text.startswith("~"):
        return source if isinstance(source, Path) else Path(text)
    return Path(os.path.expanduser(source))  # noqa: PTH111 - Path's raises where there is no such user


def is_folder(path: Path) -> bool:
    """Return whether this is a folder; False also for a name that is longer than the system allows."""
    return os.path.isdir(path)  # noqa: PTH112 - Path's raises for such a name


def is_file(path: Path) -> bool:
    """Return whether this is a regular file, no pipe or device; False also for a name longer than the system allows."""
    return os.path.isfile(path)  # noqa: PTH113 - Path's raises for such a name


def exists(path: Path) -> bool:
    """Return whether there is anything at a path; False also for a name that is longer than the system allows."""
    return os.path.exists(path)  # noqa: PTH110 - Path's raises for such a name


def read_path(path: Path, name: str, within: OpenFolder | None = None) -> bytes:
    """Read one image file.

    Args:
        path: The file.
        name: What to call it in messages.
        within: The open folder that the file must be in; None for any file.

    Raises:
        ImageError: If there is no such file, or it is not a regular file, cannot be opened, is empty or too large.
    """
    with open_file(path, name, within) as file:
        try:
            check_length(os.fstat(file.fileno()).st_size, name)
            data = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise _unreadable(name, error) from error
    check_length(len(data), name)
    return data


def open_file(path: Path, name: str, within: OpenFolder | None = None) -> BinaryIO:
    """Open a regular file to read it; no pipe is waited for, and no device is touched.

    Args:
        path: The file.
        name: What to call it in messages.
        within: The open folder that the file must be in; None for any file.

    Raises:
        ImageError: If there is no such file, or it is not a regular file or cannot be opened.
    """
    try:
        path = path if within is None else within.resolve(path, name)
        if path.is_file():
            # It may be another by now: a pipe is not waited for, and its mode gives it away.
            file = open(path, "rb", opener=lambda own, flags: os.open(own, flags | getattr(os, "O_NONBLOCK", 0)))  # noqa: SIM115
            found = os.fstat(file.fileno())
            with suppress(ImageError):
                # So may a folder on its path: what is open must still be what is found there.
                if stat.S_ISREG(found.st_mode) and (
                    within is None or os.path.samestat(found, os.lstat(within.resolve(path, name)))
                ):
                    return file
            file.close()
    except OSError as error:
        raise _unreadable(name, error) from error
    raise ImageError(why_no_file(path, name)) if within is None else within.missing(name)


def _unreadable(name: str, error: OSError) -> ImageError:
    reason = error.strerror or type(error).__name__
    return ImageError(f"'{name}' cannot be opened ({reason.lower()}): check the path and its permissions.")


def why_no_file(path: Path, name: str) -> str:
    """Explain in one sentence why a path cannot be read as a file."""
    if is_folder(path):
        return f"'{name}' is a folder, not an image: load_images reads folders."
    if exists(path):
        return f"'{name}' is not a regular file, so it cannot be read as an image."
    if str(path).startswith(("http:/", "https:/")):
        return f"'{name}' is a web address: download the image first and pass the file."
    return f"There is no file or folder '{name}': check the path."


def is_file_like(source: object) -> bool:
    """Return whether this is an open file or an upload: it has `getvalue` or `read`."""
    return hasattr(source, "getvalue") or hasattr(source, "read")


def read_file_like(file: Any, name: str, limit: int = MAX_BYTES) -> bytes:  # noqa: ANN401 - any kind of open file
    """Read an open binary file or an upload from its beginning, at most `limit` + 1 bytes.

    Raises:
        ImageError: If it is closed, or opened as text.
    """
    try:
        if hasattr(file, "getvalue"):
            data = file.getvalue()
        else:
            if hasattr(file, "seekable") and file.seekable():
                file.seek(0)
            data = file.read(limit + 1)
    except (OSError, ValueError) as error:
        raise ImageError(f"'{name}' cannot be read ({error}): pass an open file or its bytes.") from error
    if not isinstance(data, bytes | bytearray | memoryview):
        raise ImageError(f"'{name}' is opened as text: open it with mode 'rb'.")
    return bytes(data)


def file_like_name(file: object) -> str | None:
    """Return the name of an upload or open file, if any; of an absolute path only its last part."""
    name = getattr(file, "name", None)
    if not isinstance(name, str | Path) or not str(name):
        return None
    return Path(name).name if Path(name).is_absolute() else str(name)
