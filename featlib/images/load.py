"""load_images: from anything that holds images to an ImageSet."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from featlib.errors import ImageError
from featlib.images.decode import decode_array, decode_bytes, decode_pil
from featlib.images.imageset import ImageSet
from featlib.images.item import ImageItem, ImageProblem, Source, digest_bytes, digest_pixels
from featlib.images.read import file_like_name, read_path, to_path
from featlib.images.sources.listing import MAX_TOTAL_BYTES, Candidate, find_candidates
from featlib.images.sources.names import clean_name
from featlib.images.sources.walk import is_glob

# More files than this in one load are most often a wrong folder, such as the whole home folder.
MAX_IMAGES = 10_000

# Called with (images done, images in all).
Progress = Callable[[int, int], None]


def load_images(
    source: object,
    *,
    name: str | None = None,
    max_images: int = MAX_IMAGES,
    path_column: str | None = None,
    on_progress: Progress | None = None,
) -> ImageSet:
    """Loads images from a folder, files, a zip, uploads or arrays.

    Every image is decoded once to check it, and its pixels are let go: an image on disk is read again when
    its pixels are asked for. What cannot be read is listed in `.problems`, and the rest goes on. Sub-folders
    become the label column "folder"; of nested folders it is the innermost one.

    Args:
        source: A folder (with its sub-folders), an image file, a .zip or its bytes, a glob, a list of paths,
            bytes, open files, uploads, PIL images, arrays, ImageItems or (name, bytes) pairs, an (n, h, w, 3)
            uint8 array, or an ImageSet, which is returned as it is. Also a .txt with one path a line, or a .csv,
            .tsv or .parquet table with a path column: its other columns of text and whole numbers become labels,
            and relative paths count from its folder. In a list, tables stay among themselves.
        name: The set's name. By default the folder's or file's own.
        max_images: More files than this are refused.
        path_column: The column of a table that holds the paths. By default "path", "file", "filename" or "image",
            or else the only one whose values end like images.
        on_progress: Called with (images done, images in all) in the calling thread.

    Returns:
        The images in the order given; files of a folder, zip or glob in natural order of their names.

    Raises:
        ImageError: A path that does not exist, too many files, an unreadable table, or a source of an unknown kind.
    """
    if isinstance(source, ImageSet):
        return source if name is None else replace(source, name=name)
    candidates = find_candidates(source, max_images=max_images, max_bytes=MAX_TOTAL_BYTES, path_column=path_column)
    checked = list(_check_all(candidates, on_progress))
    return ImageSet(
        name or _default_name(source),
        tuple(found for found in checked if isinstance(found, ImageItem)),
        tuple(found for found in checked if isinstance(found, ImageProblem)),
    )


def _check_all(
    candidates: Sequence[Candidate | ImageProblem], on_progress: Progress | None
) -> Iterator[ImageItem | ImageProblem]:
    # Few threads: each holds one decoded image, of up to 200 MB.
    pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="featlib-images")
    try:
        for done, found in enumerate(pool.map(_check, candidates), start=1):
            if on_progress is not None:
                on_progress(done, len(candidates))
            yield found
    finally:
        pool.shutdown(cancel_futures=True)


def _check(candidate: Candidate | ImageProblem) -> ImageItem | ImageProblem:
    if isinstance(candidate, ImageProblem):
        return candidate
    if isinstance(candidate.source, ImageItem):
        return candidate.source
    try:
        digest, source = _decode_once(candidate.source, candidate.name)
    except ImageError as error:
        return ImageProblem(candidate.name, str(error))
    return ImageItem(digest, candidate.name, dict(candidate.labels), source)


def _decode_once(source: Source | Image.Image, name: str) -> tuple[str, Source]:
    """Decodes an image to check it. Returns its id, and what to keep to decode it again."""
    if isinstance(source, Path):
        data = read_path(source, name)
        decode_bytes(data, name)
        return digest_bytes(data), source.absolute()
    if isinstance(source, bytes):
        decode_bytes(source, name)
        return digest_bytes(source), source
    if isinstance(source, np.ndarray):
        return digest_pixels(decode_array(source, name)), source
    pixels = decode_pil(source, name)
    return digest_pixels(pixels), pixels


def _default_name(source: object) -> str:
    if isinstance(source, str) and is_glob(source):
        return clean_name(source)
    if isinstance(source, str | os.PathLike):
        path = to_path(source).resolve()
        return clean_name(path.name if path.is_dir() else path.stem)
    shown = file_like_name(source)
    return clean_name(Path(shown).stem) if shown else "images"
