"""Load images from any source into an ImageSet, or list them to be read later."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from featlib.checks import instance, whole_number
from featlib.errors import CancelledError, ImageError
from featlib.images.folders import OpenFolder
from featlib.images.imageset import ImageSet
from featlib.images.item import ImageEntry, ImageItem, ImageProblem, open_image
from featlib.images.names import clean_name
from featlib.images.read import file_like_name, to_path
from featlib.images.sources import MAX_TOTAL_BYTES, find_images, is_glob, too_many
from featlib.progress import OnProgress, check_progress

# More files than this usually mean a wrong folder, such as the whole home folder.
MAX_IMAGES = 10_000
UNLIMITED = 10**9
MAX_REASONS_SHOWN = 3


def list_pending(images: object, *, path_column: str | None = None) -> list[ImageEntry]:
    """List images without reading them.

    Args:
        images: Anything that `load_images` accepts, in any number, or a list that this function returned.
        path_column: The column of a table that contains the paths; None finds it.

    Returns:
        One entry per image, in order; unread images have no id yet. Entries that are known not to be images are
        ImageProblems.

    Raises:
        ImageError: If a path does not exist, or the source is of an unknown kind.
    """
    return _list(images, UNLIMITED, path_column)


def as_image_set(images: object) -> ImageSet:
    """Return all the images as a set, so that row i of a result belongs to image i.

    Args:
        images: Anything that `load_images` accepts, in any number.

    Raises:
        ImageError: If one of the images cannot be read.
    """
    loaded = load_images(images, max_images=UNLIMITED)
    if loaded.problems and not isinstance(images, ImageSet):
        reasons = " ".join(problem.reason for problem in loaded.problems[:MAX_REASONS_SHOWN])
        raise ImageError(
            f"{len(loaded.problems)} of {len(loaded) + len(loaded.problems)} images cannot be read: {reasons} "
            "To skip them, load the images with featlib.load_images first; it lists them in .problems."
        )
    return loaded


def load_images(
    source: object,
    *,
    name: str | None = None,
    max_images: int = MAX_IMAGES,
    path_column: str | None = None,
    on_progress: OnProgress | None = None,
    within: OpenFolder | None = None,
) -> ImageSet:
    """Load images from a folder, files, a zip, uploads or arrays.

    Every image is decoded once to check it, and its pixels are dropped: an image on disk is read again when its
    pixels are needed. Unreadable images are listed in `.problems`, and the others are loaded. Sub-folders become
    the label column "folder"; of nested folders it is the innermost one.

    Args:
        source: A folder (with its sub-folders), an image file, a .zip or its bytes, a glob, a list of paths,
            bytes, open files, uploads, PIL images, arrays, ImageItems or (name, bytes) pairs, an (n, h, w, 3)
            uint8 array, a DataFrame with one column of paths, or an ImageSet, which is returned as it is. Not a set or
            a dict, which have no order. Also a .txt with one path per line, or a .csv,
            .tsv or .parquet table with a path column: its other columns of text and whole numbers become labels,
            and relative paths start from its folder. A list contains either tables or other sources.
        name: The set's name. By default the folder's or file's own.
        max_images: More files than this are refused.
        path_column: The column of a table that contains the paths. By default "path", "file", "filename" or "image",
            or else the only one whose values end like image files.
        on_progress: Called with (images done, images in all) in the calling thread; returning True stops.
        within: The open folder that `source`, a path, and every file that it names must be in, now and whenever an
            image is read; None for any file.

    Returns:
        The images in the order given; files of a folder, zip or glob in natural order of their names.

    Raises:
        ImageError: If a path does not exist, there are too many files, a table is unreadable, or the source is of an
            unknown kind.
        CancelledError: If `on_progress` returned True.
    """
    instance("name", name, (str, type(None)), "a text or None")
    whole_number("max_images", max_images, 0)
    instance("within", within, (OpenFolder, type(None)), "an OpenFolder or None")
    check_progress(on_progress)
    if isinstance(source, ImageSet):
        return source if name is None else replace(source, name=name)
    entries = _list(source, max_images, path_column, within)
    found = _read_all(entries, on_progress)
    return ImageSet(
        name or _default_name(source),
        tuple(entry for entry in found if isinstance(entry, ImageItem)),
        tuple(entry for entry in found if isinstance(entry, ImageProblem)),
    )


def _list(
    source: object, max_images: int, path_column: str | None, within: OpenFolder | None = None
) -> list[ImageEntry]:
    instance("path_column", path_column, (str, type(None)), "a text or None")
    if isinstance(source, ImageSet):
        return list(source.items)
    if isinstance(source, list) and all(isinstance(entry, ImageItem | ImageProblem) for entry in source):
        if len(source) > max_images:
            raise ImageError(too_many(max_images))
        return source
    return find_images(source, max_images=max_images, max_bytes=MAX_TOTAL_BYTES, path_column=path_column, within=within)


def _read_all(entries: list[ImageEntry], on_progress: OnProgress | None) -> list[ImageEntry]:
    """Read and check every image that has no id yet, and turn those that fail into problems."""
    if all(isinstance(entry, ImageProblem) or entry.id for entry in entries):
        return entries
    found = []
    # Few threads, because each one has a decoded image of up to 200 MB in memory.
    pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="featlib-images")
    try:
        for entry in pool.map(_check, entries):
            found.append(entry)
            if on_progress is not None and on_progress(len(found), len(entries)):
                raise CancelledError(f"Stopped after {len(found):,} of {len(entries):,} images.")
    finally:
        pool.shutdown(cancel_futures=True)
    return found


def _check(entry: ImageEntry) -> ImageEntry:
    if isinstance(entry, ImageProblem) or entry.id:
        return entry
    try:
        opened = open_image(entry)
        opened.check()
    except ImageError as error:
        return ImageProblem(entry.name, str(error))
    return opened.item


def _default_name(source: object) -> str:
    if isinstance(source, str) and is_glob(source):
        return clean_name(source)
    if isinstance(source, str | os.PathLike):
        path = to_path(source).resolve()
        return clean_name(path.name if path.is_dir() else path.stem)
    shown = file_like_name(source)
    return clean_name(Path(shown).stem) if shown else "images"
