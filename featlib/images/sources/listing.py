"""Find the single images in whatever a person passes: folders, zips, lists, uploads, arrays."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from featlib.errors import ImageError
from featlib.images.decode import pil_name
from featlib.images.item import ImageEntry, ImageItem, ImageProblem
from featlib.images.names import clean_name, folder_labels, is_system_junk
from featlib.images.read import (
    MAX_BYTES,
    exists,
    file_like_name,
    is_file,
    is_file_like,
    is_folder,
    read_file_like,
    to_path,
    why_no_file,
)
from featlib.images.sniff import is_zip
from featlib.images.sources.archive import read_archive
from featlib.images.sources.tables import is_table, read_table
from featlib.images.sources.walk import common_folder, find_files, glob_files, is_glob, name_below
from featlib.text import format_bytes, printable

# The most encoded bytes that one load keeps in memory: uploads, bytes and the members of zips.
MAX_TOTAL_BYTES = 2**30


Found = Iterator[ImageEntry]


class LoadBudget:
    """What one load may still hold: files, and bytes in memory; also the path column of its tables."""

    def __init__(self, max_images: int, max_bytes: int, path_column: str | None = None) -> None:
        self.max_images = max_images
        self.path_column = path_column
        self.bytes_left = max_bytes

    def take(self, count: int) -> bool:
        """Take this many bytes of the budget; return False, and take nothing, if they do not fit."""
        fits = count <= self.bytes_left
        self.bytes_left -= count if fits else 0
        return fits


def find_images(source: object, *, max_images: int, max_bytes: int, path_column: str | None = None) -> list[ImageEntry]:
    """List the images in any source, in order, without decoding them.

    Args:
        source: Whatever `load_images` takes but an ImageSet.
        max_images: More files than this are refused.
        max_bytes: The most encoded bytes that are kept in memory.
        path_column: The column of a table that holds the paths; None finds it.

    Raises:
        ImageError: A path that does not exist, too many images, an unreadable table, or a source of an unknown kind.
    """
    entries = _entries(source, max_images)
    tables = not is_glob(source) and all(_names_table(entry) for entry in entries)
    if path_column is not None and not (tables and entries):
        raise ImageError(f"Received path_column={path_column!r} without a table: pass a .csv, .tsv or .parquet file.")
    if len(entries) == 1 and isinstance(source, str | os.PathLike) and not is_glob(source):
        _check_exists(to_path(source))
    budget = LoadBudget(max_images, max_bytes, path_column)
    root = common_folder([to_path(entry) for entry in entries if isinstance(entry, str | os.PathLike)])
    found: list[ImageEntry] = []
    for number, entry in enumerate(entries, start=1):
        expanded = (
            _expand_table(to_path(entry), budget)
            if tables
            else _expand(entry, number, root, budget, alone=len(entries) == 1)
        )
        for image in expanded:
            found.append(image)
            if len(found) > max_images:
                raise ImageError(too_many(max_images))
    return found


def too_many(max_images: int) -> str:
    """Return the sentence for a source with more images than allowed."""
    return f"Received more than {max_images:,} files: load at most that many at once (max_images sets the limit)."


def _entries(source: Any, max_images: int) -> list[Any]:  # noqa: ANN401 - the point is to sort out what it is
    if isinstance(source, str) and is_glob(source):
        return glob_files(source, max_images)
    if isinstance(source, np.ndarray):
        return _array_entries(source)
    single = str | os.PathLike | bytes | bytearray | memoryview | Image.Image | ImageItem
    if isinstance(source, single) or is_file_like(source) or _is_named(source):
        return [source]
    if isinstance(source, Iterable) and not isinstance(source, Mapping):
        return list(source)
    raise ImageError(_unknown(source))


def _array_entries(array: np.ndarray) -> list[Any]:
    if array.dtype.kind in "OUS" and array.ndim == 1:
        return array.tolist()
    if array.ndim != 4:
        return [array]
    if array.dtype not in (np.uint8, np.uint16, np.bool_) or array.shape[3] not in (1, 3, 4):
        raise ImageError(
            f"Received an array of shape {array.shape} and dtype {array.dtype}: a batch is (n, height, width,"
            " 3) of uint8 0..255, with the channels last."
        )
    return list(array)


def _is_named(entry: object) -> bool:
    return (
        isinstance(entry, tuple)
        and len(entry) == 2
        and isinstance(entry[0], str)
        and not isinstance(entry[1], str | os.PathLike)
    )


def _names_table(entry: object) -> bool:
    return isinstance(entry, str | os.PathLike) and is_table(to_path(entry)) and is_file(to_path(entry))


def _check_exists(path: Path) -> None:
    if not exists(path):
        raise ImageError(why_no_file(path, printable(str(path))))


def _expand(entry: Any, number: int, root: Path | None, budget: LoadBudget, *, alone: bool) -> Found:  # noqa: ANN401
    if isinstance(entry, ImageItem):
        yield entry
    elif isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[0], str):
        yield from _expand_named(entry[0], entry[1], budget)
    elif isinstance(entry, str | os.PathLike):
        yield from _expand_path(to_path(entry), root, budget, alone=alone)
    elif is_file_like(entry):
        yield from _expand_named(file_like_name(entry) or f"image {number}", entry, budget)
    elif isinstance(entry, Image.Image):
        yield ImageItem("", clean_name(pil_name(entry) or f"image {number}"), {}, entry)
    elif isinstance(entry, bytes | bytearray | memoryview):
        data = bytes(entry)
        yield from _expand_bytes(f"zip {number}.zip" if is_zip(data) else f"image {number}", data, budget)
    elif isinstance(entry, np.ndarray):
        yield ImageItem("", f"image {number}", {}, entry)
    else:
        raise ImageError(_unknown(entry))


def _expand_named(name: str, thing: Any, budget: LoadBudget) -> Found:  # noqa: ANN401
    shown = clean_name(name)
    if isinstance(thing, str | os.PathLike):
        yield ImageItem("", shown, folder_labels(shown), to_path(thing))
    elif isinstance(thing, np.ndarray | Image.Image):
        yield ImageItem("", shown, folder_labels(shown), thing)
    elif is_system_junk(name):
        return
    elif isinstance(thing, bytes | bytearray | memoryview):
        yield from _expand_bytes(name, bytes(thing), budget)
    elif is_file_like(thing):
        limit = MAX_TOTAL_BYTES if "." not in name or name.lower().endswith(".zip") else MAX_BYTES
        yield from _or_problem(shown, lambda: _expand_bytes(name, read_file_like(thing, shown, limit), budget))
    else:
        raise ImageError(_unknown(thing))


def _expand_bytes(name: str, data: bytes, budget: LoadBudget) -> Found:
    shown = clean_name(name)
    if name.lower().endswith(".zip") and is_zip(data):
        yield from _expand_zip(data, shown, budget)
    elif len(data) <= MAX_BYTES and not budget.take(len(data)):
        yield ImageProblem(
            shown, f"'{shown}' is left out because the batch would take too much memory: load less at once."
        )
    else:
        yield ImageItem("", shown, folder_labels(shown), data)


def _expand_path(path: Path, root: Path | None, budget: LoadBudget, *, alone: bool) -> Found:
    if is_folder(path):
        yield from _expand_folder(path, path if alone else path.parent, budget)
    elif path.suffix.lower() == ".zip" and is_file(path):
        yield from _expand_zip(path, clean_name(path.name), budget)
    else:
        shown = clean_name(name_below(path, root))
        yield ImageItem("", shown, folder_labels(shown), path)


def _expand_folder(folder: Path, root: Path, budget: LoadBudget) -> Found:
    empty = True
    for found in find_files(folder, budget.max_images):
        empty = False
        if isinstance(found, ImageProblem):
            yield found
        else:
            shown = clean_name(found.relative_to(root).as_posix())
            yield ImageItem("", shown, folder_labels(shown), found)
    if empty:
        yield _no_files(clean_name(folder.resolve().name))


def _expand_table(path: Path, budget: LoadBudget) -> Found:
    shown = clean_name(path.name)
    yield from read_table(path, shown, max_rows=budget.max_images, path_column=budget.path_column)


def _expand_zip(source: Path | bytes, shown: str, budget: LoadBudget) -> Found:
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    if size > MAX_TOTAL_BYTES:
        reason = f"'{shown}' is {format_bytes(size)}, and a zip may have at most 1 GB: split it."
        yield ImageProblem(shown, reason)
        return
    yield from _or_problem(shown, lambda: _zip_members(source, shown, budget))


def _zip_members(source: Path | bytes, shown: str, budget: LoadBudget) -> Found:
    empty = True
    for member in read_archive(source, shown, max_members=budget.max_images, take=budget.take):
        empty = False
        if isinstance(member, ImageProblem):
            yield member
        else:
            name, data = member
            yield ImageItem("", name, folder_labels(name), data)
    if empty:
        yield _no_files(shown)


def _or_problem(shown: str, found: Callable[[], Found]) -> Found:
    try:
        yield from found()
    except ImageError as error:
        yield ImageProblem(shown, str(error))


def _no_files(shown: str) -> ImageProblem:
    return ImageProblem(shown, f"'{shown}' holds no files: choose one with images in it.")


def _unknown(thing: object) -> str:
    return (
        f"Received {type(thing).__name__} as images: pass a folder, a zip, a glob, or a list of paths, bytes,"
        " open files, PIL images or uint8 arrays."
    )
