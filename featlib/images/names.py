"""Clean the names of images for display, find their folder labels, and recognize system junk.

These names are never used to open files.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import PurePosixPath

from featlib.text import MAX_NAME, printable

# The label column of images in folders.
LABEL_COLUMN = "folder"
_JUNK = {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", ".ds_store", "@eadir", "icon\r"}
_DRIVE = re.compile(r"^[A-Za-z]:")
# Names that clean_name returns unchanged: most of them, and lists may have a million.
_CLEAN = re.compile(r"[\w-][\w .,+()-]*(?:/[\w-][\w .,+()-]*)*", re.ASCII)


def clean_name(name: str) -> str:
    r"""Return a name that is safe to show: relative, "/" between parts, no "..", no control characters.

    `"C:\\photos\\..\\a.png"` becomes `"photos/a.png"`. An empty result becomes `"image"`.
    """
    if len(name) <= MAX_NAME and _CLEAN.fullmatch(name):
        return name
    parts = PurePosixPath(_DRIVE.sub("", name.replace("\\", "/"))).parts
    return printable("/".join(part for part in parts if part not in ("/", "//", "..", "."))) or "image"


def folder_labels(name: str) -> dict[str, str]:
    """Return `{"folder": parent}` for a name with a parent folder, else no labels."""
    parent = name.rpartition("/")[0].rpartition("/")[2] if _CLEAN.fullmatch(name) else PurePosixPath(name).parent.name
    return {LABEL_COLUMN: parent} if parent else {}


def top_folder(names: Collection[str]) -> str:
    """Return the folder that all the names begin with, with "/" at its end, or "" if there is none."""
    tops = {name.partition("/")[0] if "/" in name else "" for name in names}
    top = tops.pop() if len(tops) == 1 else ""
    return f"{top}/" if top else ""


def is_system_junk(name: str) -> bool:
    """Return whether an operating system added this file: `.DS_Store`, `__MACOSX/…`, `Thumbs.db`, `._a.jpg`."""
    parts = name.replace("\\", "/").split("/")
    return any(part.lower() in _JUNK for part in parts) or parts[-1].startswith("._")


def is_ignored(name: str) -> bool:
    """Return whether a file found in a folder or zip is ignored: system junk, or hidden by a dot before its name.

    A part `..` is a traversal, which is not hidden.
    """
    parts = name.replace("\\", "/").split("/")
    return is_system_junk(name) or any(part.startswith(".") and part not in (".", "..") for part in parts)
