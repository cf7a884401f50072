"""List the images of any source: folders, zips, globs, lists of paths, tables, uploads, arrays."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from featlib.errors import ImageError
from featlib.images.decode import pil_name
from featlib.images.folders import OpenFolder
from featlib.images.item import ImageEntry, ImageItem, ImageProblem
from featlib.images.names import clean_name, folder_labels, is_ignored, is_system_junk, top_folder
from featlib.images.read import (
    MAX_BYTES,
    exists,
    file_like_name,
    is_file,
    is_file_like,
    is_folder,
    open_file,
    read_file_like,
    to_path,
    why_no_file,
)
from featlib.images.sniff import is_zip
from featlib.images.sources.archive import read_archive
from featlib.images.sources.tables import is_table, read_table
from featlib.images.sources.walk import common_folder, find_files, glob_files, is_glob, name_below
from featlib.text import format_bytes, natural_key, printable

# The most encoded bytes that one load keeps in memory: uploads, bytes and the members of zips.
MAX_TOTAL_BYTES = 2**30


@dataclass
class LoadBudget:
    """The limits of one load.

    Attributes:
        max_images: The most files of one folder or zip.
        bytes_left: The encoded bytes that may still be kept in memory.
    """

    max_images: int
    bytes_left: int

    def reserve(self, count: int, name: str) -> None:
        """Reserve memory for `count` bytes of the image `name`.

        Raises:
            ImageError: If they do not fit; nothing is reserved then.
        """
        if count > self.bytes_left:
            raise ImageError(
                f"'{name}' was skipped because all images together would take too much memory: load fewer at once."
            )
        self.bytes_left -= count


def find_images(
    source: object,
    *,
    max_images: int,
    max_bytes: int,
    path_column: str | None = None,
    within: OpenFolder | None = None,
) -> list[ImageEntry]:
    """List the images of any source, in order, without decoding them.

    Args:
        source: Anything that `load_images` accepts, except an ImageSet.
        max_images: More images than this are refused.
        max_bytes: The most encoded bytes that are kept in memory.
        path_column: The column of a table that contains the paths; None finds it.
        within: The open folder that `source`, a path in it, and all files that it names must be in; None for any file.

    Raises:
        ImageError: If a path does not exist, there are too many images, a table is unreadable, or the source is of
            an unknown kind.
    """
    if within is not None:
        source = _below(source, within)
    entries = _split(source, max_images)
    paths = [to_path(entry) for entry in entries if isinstance(entry, str | os.PathLike)]
    all_tables = (
        not is_glob(source) and len(paths) == len(entries) and all(is_table(path) and is_file(path) for path in paths)
    )
    if path_column is not None and not (all_tables and entries):
        raise ImageError(f"Received path_column={path_column!r} without a table: pass a .csv, .tsv or .parquet file.")
    if isinstance(source, str | os.PathLike) and not is_glob(source) and not exists(paths[0]):
        raise ImageError(why_no_file(paths[0], printable(str(paths[0]))))
    budget = LoadBudget(max_images, max_bytes)
    parents = {os.path.dirname(path) for path in paths if not is_folder(path)}  # noqa: PTH120 - may be a million
    root = common_folder(os.path.abspath(parent) for parent in parents)  # noqa: PTH100 - keeps links
    found: list[ImageEntry] = []
    for number, entry in enumerate(entries, start=1):
        if all_tables:
            path = to_path(entry)
            images = read_table(
                path, clean_name(path.name), max_rows=max_images, path_column=path_column, within=within
            )
        else:
            images = _expand(entry, number, root, budget, alone=len(entries) == 1, within=within)
        for image in images:
            found.append(image)
            if len(found) > max_images:
                raise ImageError(too_many(max_images))
    return found


def _below(source: object, within: OpenFolder) -> Path:
    if not isinstance(source, str | os.PathLike):
        raise ImageError(f"Received {type(source).__name__} with an open folder: pass a path below it.")
    path = to_path(source)
    return within.resolve(path, path.name)


def too_many(max_images: int) -> str:
    """Return the error message for a source with more images than allowed."""
    return f"Received more than {max_images:,} files: load at most that many at once (max_images sets the limit)."


def list_uploads(files: Iterable[Any]) -> list[tuple[str, Any]]:
    """List what was uploaded at once as its folder would be listed: in natural order, hidden files skipped.

    Args:
        files: Uploads with a `name`. Browsers name the files of a folder with the path from that folder on; its own
            name, with which all begin, is removed.

    Returns:
        (name, upload) pairs for `load_images`.
    """
    named = [(str(file.name).replace("\\", "/"), file) for file in files]
    named = [(name, file) for name, file in named if not ("/" in name and is_ignored(name))]
    top = top_folder([name for name, _ in named])
    return sorted(((name.removeprefix(top), file) for name, file in named), key=lambda pair: natural_key(pair[0]))


def _split(source: Any, max_images: int) -> list[Any]:  # noqa: ANN401 - of any kind
    """Split a source into its entries; a single path, image or upload is one entry."""
    match source:
        case str() if is_glob(source):
            return glob_files(source, max_images)
        case np.ndarray() if source.dtype.kind in "OUS" and (source.ndim == 1 or source.shape[1:] == (1,)):
            return source.ravel().tolist()
        case np.ndarray() if source.ndim == 4:
            if source.dtype not in (np.uint8, np.uint16, np.bool_) or source.shape[3] not in (1, 3, 4):
                raise ImageError(
                    f"Received an array of shape {source.shape} and dtype {source.dtype}: a batch is (n, height, width,"
                    " 3) of uint8 0..255, with the channels last."
                )
            return list(source)
        case str() | os.PathLike() | bytes() | bytearray() | memoryview() | np.ndarray() | Image.Image() | ImageItem():
            return [source]
        case tuple((str(), data)) if not isinstance(data, str | os.PathLike):
            return [source]
    if is_file_like(source):
        return [source]
    if hasattr(source, "iloc") and hasattr(
        source, "columns"
    ):  # a DataFrame, as scikit-learn's ColumnTransformer passes
        if len(source.columns) != 1:
            raise ImageError(
                f"Received a DataFrame of {len(source.columns)} columns: pass the one with the paths, such as"
                " frame['path']."
            )
        return source.iloc[:, 0].tolist()
    if isinstance(source, set | frozenset | Mapping):
        raise ImageError(
            f"Received a {type(source).__name__} of images: pass a list, in which each image has its place."
        )
    if isinstance(source, Iterable):
        return list(source)
    raise ImageError(_unknown(source))


def _expand(
    entry: Any,  # noqa: ANN401
    number: int,
    root: str,
    budget: LoadBudget,
    *,
    alone: bool,
    within: OpenFolder | None,
) -> Iterator[ImageEntry]:
    """List the images of one entry of a source; names start below `root`, or in a single folder."""
    match entry:
        case ImageItem():
            yield entry
        case tuple((str(name), data)):
            yield from _expand_named(name, data, budget, alone=alone)
        case str() | os.PathLike():
            path = to_path(entry)
            if is_folder(path):
                found = find_files(path, budget.max_images, within)
                for file in found:
                    if isinstance(file, Path):
                        name = clean_name(file.relative_to(path if alone else path.parent).as_posix())
                        yield ImageItem("", name, folder_labels(name), file, within)
                    else:
                        yield file
                if not found:
                    yield _no_files(clean_name(path.resolve().name))
            elif path.suffix.lower() == ".zip" and is_file(path):
                yield from _expand_zip(path, clean_name(path.name), budget, alone=alone, within=within)
            else:
                name = clean_name(name_below(path, root))
                yield ImageItem("", name, folder_labels(name), path, within)
        case bytes() | bytearray() | memoryview():
            data = bytes(entry)
            name = f"zip {number}.zip" if is_zip(data) else f"image {number}"
            yield from _expand_named(name, data, budget, alone=alone)
        case _:
            own_name = pil_name(entry) if isinstance(entry, Image.Image) else file_like_name(entry)
            yield from _expand_named(own_name or f"image {number}", entry, budget, alone=alone)


def _expand_named(name: str, data: Any, budget: LoadBudget, *, alone: bool) -> Iterator[ImageEntry]:  # noqa: ANN401
    """List the images of a path, array, PIL image, bytes or open file that has a name."""
    shown = clean_name(name)
    if isinstance(data, np.ndarray | Image.Image | str | os.PathLike):
        image = to_path(data) if isinstance(data, str | os.PathLike) else data
        yield ImageItem("", shown, folder_labels(shown), image)
        return
    if is_system_junk(name):
        return
    if not (is_file_like(data) or isinstance(data, bytes | bytearray | memoryview)):
        raise ImageError(_unknown(data))
    try:
        if is_file_like(data):
            limit = MAX_TOTAL_BYTES if "." not in name or name.lower().endswith(".zip") else MAX_BYTES
            data = read_file_like(data, shown, limit)
        data = bytes(data)
        zipped = name.lower().endswith(".zip") and is_zip(data)
        if not zipped and len(data) <= MAX_BYTES:  # a larger image is refused when it is read
            budget.reserve(len(data), shown)
    except ImageError as error:
        yield ImageProblem(shown, str(error))
        return
    if zipped:
        yield from _expand_zip(data, shown, budget, alone=alone)
    else:
        yield ImageItem("", shown, folder_labels(shown), data)


def _expand_zip(
    source: Path | bytes, shown: str, budget: LoadBudget, *, alone: bool, within: OpenFolder | None = None
) -> Iterator[ImageEntry]:
    """List the images of a zip; an unreadable zip is a problem."""
    empty = True
    try:
        with BytesIO(source) if isinstance(source, bytes) else open_file(source, shown, within) as file:
            size = file.seek(0, os.SEEK_END)
            if size > MAX_TOTAL_BYTES:
                raise ImageError(f"'{shown}' is {format_bytes(size)}, and a zip may have at most 1 GB: split it.")
            members = read_archive(file, shown, max_members=budget.max_images, reserve=budget.reserve, alone=alone)
            for member in members:
                empty = False
                if isinstance(member, ImageProblem):
                    yield member
                else:
                    name, data = member
                    yield ImageItem("", name, folder_labels(name), data)
    except ImageError as error:
        yield ImageProblem(shown, str(error))
    else:
        if empty:
            yield _no_files(shown)


def _no_files(shown: str) -> ImageProblem:
    return ImageProblem(shown, f"'{shown}' contains no files: choose one with images in it.")


def _unknown(thing: object) -> str:
    return (
        f"Received {type(thing).__name__} as images: pass a folder, a zip, a glob, or a list of paths, bytes,"
        " open files, PIL images or uint8 arrays."
    )
