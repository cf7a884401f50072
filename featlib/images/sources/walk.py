"""Find image files on disk: folders with their sub-folders, and globs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice, takewhile
from pathlib import Path

from featlib.errors import ImageError
from featlib.images.item import ImageProblem
from featlib.images.names import clean_name, is_hidden, is_system_junk
from featlib.images.read import exists, is_folder, to_path
from featlib.text import natural_key, printable

_WEB = ("http:/", "https:/")


def find_files(folder: Path, max_files: int) -> list[Path | ImageProblem]:
    """List the files below a folder in natural order, without hidden files and system junk.

    Raises:
        ImageError: There are more than `max_files`; found out without walking through all of them.
    """
    problems: list[ImageProblem] = []
    files = list(islice(_walk(folder, problems), max_files + 1))
    if len(files) > max_files:
        raise ImageError(
            f"'{printable(str(folder))}' holds more than {max_files:,} files:"
            " choose a folder within it, or raise max_images."
        )
    above = folder.as_posix()
    return [*sorted(files, key=lambda path: natural_key(path.as_posix().removeprefix(above))), *problems]


def _walk(folder: Path, problems: list[ImageProblem]) -> Iterator[Path]:
    def note(error: OSError) -> None:
        name = clean_name(Path(str(error.filename)).name)
        problems.append(ImageProblem(name, f"The folder '{name}' cannot be opened: check its permissions."))

    # Linked folders are followed, so a link to a folder above must not lead around for ever.
    seen: set[str] = set()
    for directory, folders, files in os.walk(folder, followlinks=True, onerror=note):
        real = os.path.realpath(directory)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not _is_skipped(name))
        yield from (Path(directory, name) for name in files if not _is_skipped(name))


def _is_skipped(name: str) -> bool:
    return is_hidden(name) or is_system_junk(name)


def is_glob(source: object) -> bool:
    """Return whether this is a string with wildcards that is not itself the name of a file, nor a web address."""
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
        ImageError: No file matches, or more than `max_files` do.
    """
    path = to_path(pattern)
    shown = printable(pattern)
    # Hidden files are left out, but a hidden folder that is spelled out is meant.
    base = Path(*takewhile(lambda part: not _has_wildcard(part), path.parts))
    matches = (p for p in base.glob(str(path.relative_to(base))) if not _is_skipped(p.relative_to(base).as_posix()))
    try:
        files = list(islice((p for p in matches if p.is_file()), max_files + 1))
    except ValueError as error:
        raise ImageError(f"'{shown}' is no pattern to find files by ({error}): write for example **/*.jpg.") from error
    if not files:
        raise ImageError(f"No file matches '{shown}': check the path, and use ** for folders within folders.")
    if len(files) > max_files:
        raise ImageError(f"'{shown}' matches more than {max_files:,} files: narrow it, or raise max_images.")
    return sorted(files, key=lambda p: natural_key(p.as_posix()))


def name_below(path: Path, root: Path | None) -> str:
    """Return a file's path as it is seen from a folder above it, with "/", or the file's own name."""
    if root is None:
        return path.name
    above = os.path.join(root, "")  # noqa: PTH118 - with its separator
    full = os.path.abspath(path)  # noqa: PTH100 - keeps links
    return full.removeprefix(above).replace(os.sep, "/") if full.startswith(above) else path.name


def common_folder(paths: Sequence[Path]) -> Path | None:
    """Return the deepest folder that holds all the files, or None (two drives, no files)."""
    parents = {os.path.dirname(path) for path in paths if not is_folder(path)}  # noqa: PTH120 - a million of them
    try:
        return Path(os.path.commonpath([os.path.abspath(parent) for parent in parents]))  # noqa: PTH100 - keeps links
    except ValueError:
        return None
