"""Read the images of a zip in memory. Nothing is written to disk, and no declared size is believed."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

from featlib.errors import ImageError
from featlib.images.item import ImageProblem
from featlib.images.names import clean_name, is_hidden, is_system_junk
from featlib.images.read import MAX_BYTES, check_length
from featlib.images.sniff import is_zip
from featlib.text import format_bytes, natural_key

# A member this much larger than its compressed form is no photo: flat pixels at best, a bomb at worst.
MAX_RATIO = 500
_RATIO_FROM = 2**20

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
    LookupError,
    struct.error,
    MemoryError,
)
_UNSAFE = re.compile(r"^[A-Za-z]:|^/|\\|(^|/)\.\.(/|$)|[\x00-\x1f]")


def read_archive(
    source: Path | bytes, name: str, *, max_members: int, take: Callable[[int], bool]
) -> Iterator[tuple[str, bytes] | ImageProblem]:
    """Yield the members of a zip as (name, bytes), in natural order, or the reason why one is skipped.

    Args:
        source: The zip's path or its bytes.
        name: The zip's name, for messages.
        max_members: A zip with more members is refused before any of them is read.
        take: Asks for room for so many bytes; False says that the whole batch would become too large.

    Raises:
        ImageError: The zip itself is damaged or holds too many members.
    """
    try:
        with BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
            _check_directory(file.seek(0, 2), file.read, file.seek, name, max_members)
            with zipfile.ZipFile(file) as archive:
                _check_count(len(archive.infolist()), name, max_members)
                for info in _members(archive):
                    yield _read_or_explain(archive, info, take)
    except ImageError:
        raise
    except _DAMAGE as error:
        raise ImageError(f"'{name}' is a damaged zip archive: make or download it again.") from error


def _check_directory(
    length: int, read: Callable[[int], bytes], seek: Callable[[int], int], name: str, max_members: int
) -> None:
    """Refuse a zip with a huge list of members before `zipfile` builds an object for each of them."""
    start = max(0, length - 2**16 - 100)
    seek(start)
    tail = read(length - start)
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or len(tail) < end + 22:
        raise zipfile.BadZipFile("no end of central directory")
    size = struct.unpack_from("<L", tail, end + 12)[0]
    if tail[max(0, end - 20) :].startswith(b"PK\x06\x07") and end >= 76:
        size = struct.unpack_from("<Q", tail, end - 76 + 40)[0]
    # An entry has at least 46 bytes, with its names and notes seldom 1,000.
    if size > max_members * 1000 + 2**20:
        raise ImageError(_too_many(name, max_members))
    seek(0)


def _check_count(count: int, name: str, max_members: int) -> None:
    if count > max_members:
        raise ImageError(_too_many(name, max_members, f" ({count:,})"))


def _too_many(name: str, max_members: int, count: str = "") -> str:
    return f"'{name}' holds more than {max_members:,} files{count}, the most for one load: split it."


def _members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    kept = [
        info
        for info in archive.infolist()
        if not info.is_dir() and not is_system_junk(info.filename) and not is_hidden(info.filename)
    ]
    return sorted(kept, key=lambda info: natural_key(info.filename))


def _read_or_explain(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, take: Callable[[int], bool]
) -> tuple[str, bytes] | ImageProblem:
    name = clean_name(info.filename)
    try:
        _check_member(info, name)
        if not take(info.file_size):
            raise ImageError(f"'{name}' is left out because the batch would take too much memory: load less at once.")
        data = _read(archive, info, name)
        if is_zip(data):
            raise ImageError(_nested(name))
    except ImageError as error:
        return ImageProblem(name, str(error))
    return name, data


def _check_member(info: zipfile.ZipInfo, name: str) -> None:
    if _UNSAFE.search(info.orig_filename):
        raise ImageError(f"'{name}' is left out because its name in the zip points outside of it: rename it.")
    if info.flag_bits & 0x41:
        raise ImageError(f"'{name}' is encrypted: unpack the zip with its password and load the folder.")
    if name.lower().endswith(".zip"):
        raise ImageError(_nested(name))
    if info.compress_type not in _METHODS:
        raise ImageError(f"'{name}' is packed in a rare way (method {info.compress_type}): make a plain zip.")
    check_length(info.file_size, name)
    if info.file_size > _RATIO_FROM and info.file_size > MAX_RATIO * info.compress_size:
        raise ImageError(
            f"'{name}' would unpack from {format_bytes(info.compress_size)} to"
            f" {format_bytes(info.file_size)}, as no photo does: unpack it yourself if you trust it."
        )


def _nested(name: str) -> str:
    return f"'{name}' is a zip within a zip: unpack it first, or load it by itself."


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> bytes:
    try:
        with archive.open(info) as member:
            data = member.read(MAX_BYTES + 1)
    except _DAMAGE as error:
        raise ImageError(f"'{name}' is damaged inside the zip: make or download the zip again.") from error
    check_length(len(data), name)
    return data
