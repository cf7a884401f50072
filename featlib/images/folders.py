"""OpenFolder: a folder whose files others may see through the app, and nothing outside of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from featlib.errors import ImageError
from featlib.text import printable

FOLDERS_VARIABLE = "FEATLIB_DATA"
PLACE_PREFIX = "folder:"


@dataclass(frozen=True)
class OpenFolder:
    """A folder that the owner of the machine has opened to whoever can open the app.

    What may be read is a regular file whose real path is below the folder, and no part of whose path begins with a dot.
    All else is told in the same sentence as what is missing, so that nobody learns what there is elsewhere.

    Attributes:
        name: What links call it, without "/".
        root: Its real path.
    """

    name: str
    root: Path

    def find(self, below: str) -> Path:
        """Return the real path of a file or folder.

        Args:
            below: Its path below this folder, with "/" between the parts; "" for the folder itself.

        Raises:
            ImageError: There is no such file or folder, or it may not be read.
        """
        if below.startswith(("/", "\\", "~")) or ".." in below.split("/"):
            raise self.missing(below)
        return self.resolve(self.root / below, below)

    def resolve(self, path: Path, name: str) -> Path:
        """Return the real path of a file or folder that some other file, such as a table, names.

        Args:
            path: Its path, absolute or below this folder.
            name: What to call it in messages.

        Raises:
            ImageError: There is no such file or folder, or it may not be read.
        """
        full = os.path.abspath(self.root / path)  # noqa: PTH100 - removes "..", and looks at no disk
        try:
            if "\0" not in full and self.holds(full):
                real = os.path.realpath(full)
                # Only below the folder is it asked whether there is anything.
                mode = os.lstat(real).st_mode if self.holds(real) else 0
                if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
                    return Path(real)
        except OSError:  # missing, too long, or its folder may not be entered
            pass
        raise self.missing(name)

    def holds(self, path: str) -> bool:
        """Return whether an absolute path is this folder's or one below it without parts that begin with a dot."""
        own = Path(path)
        return own.is_relative_to(self.root) and not any(
            part.startswith(".") for part in own.relative_to(self.root).parts
        )

    def missing(self, name: str) -> ImageError:
        """Return the error about what is not there or may not be read: one sentence for both."""
        if not name:
            return ImageError(
                f"The open folder '{self.name}' is missing or cannot be read: ask the owner of this machine."
            )
        shown = printable(name)
        return ImageError(f"There is no file or folder '{shown}' in the open folder '{self.name}': check its name.")

    def list_entries(self, below: str) -> tuple[list[str], list[str]]:
        """List what may be read in a folder.

        Args:
            below: The folder's path below this one.

        Returns:
            The names of its sub-folders and those of its files, in no order.

        Raises:
            ImageError: There is no such folder, or it may not be listed.
        """
        folder = self.find(below)
        folders: list[str] = []
        files: list[str] = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    name = entry.name
                    if name.startswith(".") or not name.isprintable():  # no text, so it cannot stand in a link
                        continue
                    if entry.is_symlink():
                        with suppress(ImageError):
                            (folders if self.resolve(Path(entry.path), name).is_dir() else files).append(name)
                    elif entry.is_dir(follow_symlinks=False):
                        folders.append(name)
                    elif entry.is_file(follow_symlinks=False):
                        files.append(name)
        except OSError as error:
            raise self.missing(below) from error
        return folders, files


def open_folders(paths: Iterable[str | os.PathLike[str]] | None = None) -> tuple[OpenFolder, ...]:
    """Open folders, each under a name of its own: the folder's, with a number if two have the same.

    Args:
        paths: The folders; None for those of the environment variable FEATLIB_DATA, separated as in PATH.
    """
    if paths is None:
        paths = [path for path in os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep) if path]
    folders: dict[str, OpenFolder] = {}
    for path in paths:
        given = Path(os.path.abspath(os.path.expanduser(path)))  # noqa: PTH100, PTH111 - keeps links and their names
        root = Path(os.path.realpath(given))
        if root in [folder.root for folder in folders.values()]:
            continue
        name = base = printable(given.name) or "root"
        number = 2
        while name in folders:
            name, number = f"{base}-{number}", number + 1
        folders[name] = OpenFolder(name, root)
    return tuple(folders.values())


def find_place(place: str) -> tuple[OpenFolder, str]:
    """Split what a link says of a place in an open folder, `folder:NAME/PATH`, without looking at the disk.

    Returns:
        The open folder, and the path below it.

    Raises:
        ImageError: No such folder is open.
    """
    name, _, below = place.removeprefix(PLACE_PREFIX).partition("/")
    folders = open_folders()
    for folder in folders:
        if folder.name == name:
            return folder, below
    known = f"Open folders: {', '.join(folder.name for folder in folders)}." if folders else "No folder is open."
    raise ImageError(
        f"The folder '{printable(name)}' is not open on this machine. {known} The owner of the machine opens one with "
        "'featlib app FOLDER'."
    )
