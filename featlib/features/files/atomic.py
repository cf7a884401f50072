"""Files that appear under their name only when they are whole."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from featlib.checks import file_path
from featlib.errors import FeatlibError

# What reading a damaged file has been seen to raise; pyarrow's ArrowException comes on top.
DAMAGE = (
    LookupError,
    ValueError,
    TypeError,
    OSError,
    EOFError,
    AttributeError,
    MemoryError,
    NotImplementedError,
    RecursionError,
    zipfile.BadZipFile,
    zlib.error,
)
PART = ".part"
UNWRITABLE = (OSError, RuntimeError)  # HDF5 raises RuntimeError


def check_destination(path: str | Path, endings: Sequence[str]) -> Path:
    """Check, before any long work, that a file of this name can be written.

    Args:
        path: The file to write.
        endings: The allowed endings, such as (".npz", ".csv").

    Returns:
        The path.

    Raises:
        FeatlibError: Another ending, a folder of that name, or the folder around it does not exist.
    """
    path = file_path("path", path)
    if path.suffix.lower() not in endings:
        raise FeatlibError(f"The file's name must end in {' or '.join(endings)}. Received: '{path.name}'.")
    if not os.path.isdir(path.parent):  # noqa: PTH112 - unlike Path's own, it never raises
        raise FeatlibError(f"The folder '{path.parent}' does not exist. Create it, or choose another place.")
    if os.path.isdir(path):  # noqa: PTH112
        raise FeatlibError(f"'{path}' is a folder. Choose another name for the file.")
    return path


def check_space(folder: Path, needed: int) -> None:
    """Check that a folder's disk has `needed` bytes left.

    Raises:
        OSError: ENOSPC, as for a full disk; or the folder does not exist.
    """
    if shutil.disk_usage(folder).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that half of it never stands under its name, even when the work is interrupted.

    Raises:
        FeatlibError: The file cannot be written.
    """
    try:
        replace_file(path, lambda part: part.write_bytes(data))
    except UNWRITABLE as error:
        raise FeatlibError(f"'{path}' cannot be written ({why(error)}). Choose another place.") from error


def replace_file(path: Path, write: Callable[[Path], object], folder: Path | None = None) -> None:
    """Let `write` fill a temporary file, and rename it to `path` when it is whole.

    Args:
        path: The file. Where it is a link, the file it leads to.
        write: Receives the path of the temporary file.
        folder: Holds the temporary file, on the same disk; None for the folder of `path`.

    Raises:
        OSError, RuntimeError: The file cannot be written.
    """
    target = Path(os.path.realpath(path))  # a link stays a link
    part = (folder or target.parent) / f".{uuid.uuid4().hex}{PART}"
    try:
        write(part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def why(error: BaseException) -> str:
    """Return the reason of an operating system's error in a few words."""
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0].lower()
