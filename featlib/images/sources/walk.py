"""Find image files on disk: folders with their sub-folders, and globs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import islice, takewhile
from pathlib import Path

from featlib.errors import ImageError
from featlib.images.folders import OpenFolder
from featlib.images.item import ImageProblem
from featlib.images.names import clean_name, is_ignored
from featlib.images.read import exists, to_path
from featlib.text import natural_key, printable

_WEB = ("http:/", "https:/")


def find_files(folder: Path, max_files: int, within: OpenFolder | None = None) -> list[Path | ImageProblem]:
    """List the files below a folder in natural order, without hidden files and system junk.

    Folders that cannot be opened, and those that a link leads to outside of `within`, follow the files as problems.

    Raises:
        ImageError: If there are more than `max_files` files; the rest of them are not listed.
    """
    files: list[Path] = []
    errors: list[OSError] = []
    outside: list[ImageProblem] = []
    # Linked folders are followed, so a link to a parent folder must not lead to an endless loop.
    visited: set[str] = set()
    for directory, folders, names in os.walk(folder, followlinks=True, onerror=errors.append):
        real = os.path.realpath(directory)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(name for name in folders if not is_ignored(name))
        if within is not None:
            out = [name for name in folders if not within.holds(os.path.realpath(Path(directory, name)))]
            outside += (ImageProblem(clean_name(name), str(within.missing(name))) for name in out)
            folders[:] = [name for name in folders if name not in out]
        found = (Path(directory, name) for name in names if not is_ignored(name))
        files += islice(found, max_files + 1 - len(files))
        if len(files) > max_files:
            shown = printable(str(folder) if within is None else folder.name)
            raise ImageError(
                f"'{shown}' contains more than {max_files:,} files: choose one of its sub-folders, or raise max_images."
            )
    root = folder.as_posix()
    unreadable = [clean_name(Path(str(error.filename)).name) for error in errors]
    return [
        *sorted(files, key=lambda path: natural_key(path.as_posix().removeprefix(root))),
        *(ImageProblem(name, f"The folder '{name}' cannot be opened: check its permissions.") for name in unreadable),
        *outside,
    ]


def is_glob(source: object) -> bool:
    """Return whether this is a string with wildcards that is neither an existing path nor a web address."""
    return (
        isinstance(source, str)
        and _has_wildcard(source)
        and not source.startswith(_WEB)
        and not exists(to_path(source))
    )


def _has_wildcard(part: str) -> bool:
    return any(char in part for char in "*?[")


def glob_files(pattern: str, max_files: int) -> list[Path]:
    """List the files that match a pattern such as `photos/**/*.jpg`, in natural order.

    Raises:
        ImageError: If no file matches, or more than `max_files` do.
    """
    path = to_path(pattern)
    shown = printable(pattern)
    # Hidden files are skipped, except in a hidden folder that the pattern spells out.
    base = Path(*takewhile(lambda part: not _has_wildcard(part), path.parts))
    matches = (p for p in base.glob(str(path.relative_to(base))) if not is_ignored(p.relative_to(base).as_posix()))
    try:
        files = list(islice((p for p in matches if p.is_file()), max_files + 1))
    except ValueError as error:
        raise ImageError(f"'{shown}' is not a valid file pattern ({error}): write for example **/*.jpg.") from error
    if not files:
        raise ImageError(f"No file matches '{shown}': check the path, and use ** for sub-folders.")
    if len(files) > max_files:
        raise ImageError(f"'{shown}' matches more than {max_files:,} files: narrow it, or raise max_images.")
    return sorted(files, key=lambda p: natural_key(p.as_posix()))


def name_below(path: Path, root: str) -> str:
    """Return a file's path relative to `root`, with "/" between its parts, or its own name if it is not below it."""
    full = os.path.abspath(path)  # noqa: PTH100 - keeps links
    return full.removeprefix(root).replace(os.sep, "/") if root and full.startswith(root) else path.name


def common_folder(folders: Iterable[str]) -> str:
    """Return the deepest folder that contains all the folders, with a separator at its end.

    Returns "" where there is none: without folders, on two drives, or for relative and absolute paths together.
    """
    try:
        return os.path.join(os.path.commonpath(list(folders)), "")  # noqa: PTH118 - with its separator
    except ValueError:
        return ""
