"""Names of images: what to show, what is system junk, which folder labels. Never used to open files."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

# The label column of images that lie in folders.
LABEL_COLUMN = "folder"
# Characters of a name that are shown; what is longer is an attack on the screen or a mistake.
MAX_NAME = 200

_JUNK = {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", ".ds_store", "@eadir", "icon\r"}
_DRIVE = re.compile(r"^[A-Za-z]:")
# What clean_name returns as it is; most names are such, and lists of a million names are read.
_CLEAN = re.compile(r"[\w-][\w .,+()-]*(?:/[\w-][\w .,+()-]*)*", re.ASCII)


def clean_name(name: str) -> str:
    r"""Returns a name that is safe to show: relative, "/" between parts, no "..", no control characters.

    `"C:\\photos\\..\\a.png"` becomes `"photos/a.png"`. An empty result becomes `"image"`.
    """
    if len(name) <= MAX_NAME and _CLEAN.fullmatch(name):
        return name
    parts = PurePosixPath(_DRIVE.sub("", name.replace("\\", "/"))).parts
    kept = "/".join(part for part in parts if part not in ("/", "//", "..", "."))
    return printable(kept) or "image"


def printable(text: str) -> str:
    """Returns a text for messages: no control characters, and of a long one the end, which holds the file name."""
    if text.isprintable() and len(text) <= MAX_NAME:
        return text
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return shown if len(shown) <= MAX_NAME else "…" + shown[1 - MAX_NAME :]


def folder_labels(name: str) -> dict[str, str]:
    """Returns `{"folder": parent}` for a name with a parent folder, else no labels."""
    parent = name.rpartition("/")[0].rpartition("/")[2] if _CLEAN.fullmatch(name) else PurePosixPath(name).parent.name
    return {LABEL_COLUMN: parent} if parent else {}


def is_system_junk(name: str) -> bool:
    """Tells files an operating system adds by itself: `.DS_Store`, `__MACOSX/…`, `Thumbs.db`, `._a.jpg`."""
    parts = name.replace("\\", "/").split("/")
    return any(part.lower() in _JUNK for part in parts) or parts[-1].startswith("._")


def is_hidden(name: str) -> bool:
    """Tells names with a part that begins with a dot (`..` is no hidden file but a traversal)."""
    parts = name.replace("\\", "/").split("/")
    return any(part.startswith(".") and part not in (".", "..") for part in parts)


def natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Sorts `img2` before `img10`, and a folder the same way as its zip, on any system."""
    return [_piece_key(piece) for piece in re.split(r"([0-9]+|/)", name) if piece], name


def _piece_key(piece: str) -> tuple[int, int, str]:
    if piece == "/":  # first, so that the files of one folder stay together
        return 0, 0, ""
    if piece.isascii() and piece.isdigit():
        return 1, int(piece[:1000]), ""
    return 2, 0, piece.casefold()


def format_bytes(count: int) -> str:
    """Writes a size as people do: `61.2 MB` (of 2**20 bytes), `3 bytes`."""
    if count < 1024:
        return f"{count} bytes"
    value = float(count)
    for unit in ("KB", "MB"):
        value /= 1024
        if value < 1024:
            return f"{value:.1f} {unit}"
    return f"{value / 1024:.1f} GB"
