"""Read the images of a zip in memory: nothing is written to disk, and no declared size is trusted."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import BinaryIO

from featlib.errors import ImageError
from featlib.images.item import ImageProblem
from featlib.images.names import clean_name, is_ignored, top_folder
from featlib.images.read import MAX_BYTES, check_length
from featlib.images.sniff import is_zip
from featlib.text import format_bytes, natural_key

# A member that expands by more than this is no photo: flat pixels at best, a decompression bomb at worst.
MAX_RATIO = 500
_MIN_BYTES_FOR_RATIO = 2**20

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x41  # the flags of both kinds of encryption
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
# Absolute paths, backslashes, "..", and control characters.
_UNSAFE_NAME = re.compile(r"^[A-Za-z]:|^/|\\|(^|/)\.\.(/|$)|[\x00-\x1f]")


def read_archive(
    file: BinaryIO, name: str, *, max_members: int, reserve: Callable[[int, str], None], alone: bool = False
) -> Iterator[tuple[str, bytes] | ImageProblem]:
    """Read the members of a zip in natural order.

    Args:
        file: The zip.
        name: The zip's name, for messages.
        max_members: A zip with more members is refused before any of them is read.
        reserve: Called with a member's size and name before it is read; raises ImageError if it does not fit in
            the memory left.
        alone: Whether it is the whole source: then names start below the folder that was zipped, as they do where that
            folder itself is loaded.

    Yields:
        (name, bytes) of each member, or the reason why it was skipped.

    Raises:
        ImageError: If the zip is damaged or has too many members.
    """
    too_many = f"'{name}' contains more than {max_members:,} files{{}}, the limit for one load: split it."
    try:
        # Checked before `zipfile` makes an object of each entry. An entry has at least 46 bytes, seldom over 1,000.
        if _directory_size(file) > max_members * 1000 + 2**20:
            raise ImageError(too_many.format(""))
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if len(members) > max_members:
                raise ImageError(too_many.format(f" ({len(members):,})"))
            files = [info for info in members if not info.is_dir() and not is_ignored(info.filename)]
            top = _zipped_folder([clean_name(info.filename) for info in files], name) if alone else ""
            for info in sorted(files, key=lambda info: natural_key(info.filename)):
                shown = clean_name(info.filename).removeprefix(top)
                try:
                    entry: tuple[str, bytes] | ImageProblem = shown, _read_member(archive, info, shown, reserve)
                except ImageError as error:
                    entry = ImageProblem(shown, str(error))
                yield entry
    except ImageError:
        raise
    except _DAMAGE as error:
        raise ImageError(f"'{name}' is a damaged zip archive: create or download it again.") from error


def _zipped_folder(names: list[str], archive: str) -> str:
    """Return the folder that was zipped, with "/" at its end, or "" if all members merely have one class."""
    top = top_folder(names)
    has_classes = any("/" in name.removeprefix(top) for name in names)
    return top if has_classes or top == f"{PurePosixPath(archive).stem}/" else ""


def _directory_size(file: BinaryIO) -> int:
    """Return the size of a zip's central directory in bytes, as its end record declares it."""
    start = max(0, file.seek(0, 2) - 2**16 - 100)
    file.seek(start)
    tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or len(tail) < end + 22:
        raise zipfile.BadZipFile("no end of central directory")
    zip64 = tail[max(0, end - 20) :].startswith(b"PK\x06\x07") and end >= 76
    size = struct.unpack_from("<Q", tail, end - 76 + 40) if zip64 else struct.unpack_from("<L", tail, end + 12)
    file.seek(0)
    return size[0]


def _read_member(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, reserve: Callable[[int, str], None]
) -> bytes:
    """Read one member, unless its directory entry shows already that it is unsafe or unsupported.

    Raises:
        ImageError: If the member is refused or damaged.
    """
    nested = f"'{name}' is a zip within a zip: unpack it first, or load it by itself."
    if _UNSAFE_NAME.search(info.orig_filename):
        raise ImageError(f"'{name}' was skipped because its name in the zip points outside of it: rename it.")
    if info.flag_bits & _ENCRYPTED:
        raise ImageError(f"'{name}' is encrypted: unpack the zip with its password and load the folder.")
    if name.lower().endswith(".zip"):
        raise ImageError(nested)
    if info.compress_type not in _METHODS:
        raise ImageError(
            f"'{name}' uses an unsupported compression method ({info.compress_type}): create the zip with Deflate."
        )
    check_length(info.file_size, name)
    if info.file_size > _MIN_BYTES_FOR_RATIO and info.file_size > MAX_RATIO * info.compress_size:
        raise ImageError(
            f"'{name}' would unpack from {format_bytes(info.compress_size)} to {format_bytes(info.file_size)}, as no"
            " photo does: unpack it yourself if you trust it."
        )
    reserve(info.file_size, name)
    try:
        with archive.open(info) as member:
            data = member.read(MAX_BYTES + 1)
    except _DAMAGE as error:
        raise ImageError(f"'{name}' is damaged inside the zip: create or download the zip again.") from error
    check_length(len(data), name)
    if is_zip(data):
        raise ImageError(nested)
    return data
