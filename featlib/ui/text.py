"""Text from outside in Markdown."""

from __future__ import annotations

import re
from pathlib import Path

import featlib

ADDRESS = re.compile(r"(https://storage\.googleapis\.com/tensorflow/keras-applications/[\w./-]+)")  # Keras' own files
# What would be markup where it stands; an underscore inside a word, or a colon before a space, is none.
MARKDOWN = re.compile(
    r"([\\`*~\[\]<>$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|:(?=\w)|&(?=[#\w]+;)|(?<=http):|(?<=https):|(?<=\bwww)\.|@|^[#+-])"
)

ROOT = Path(featlib.__file__).resolve().parents[1].as_posix() + "/"
FOLDERS = re.compile(r"""(?<![\w.)\]])(?:[A-Za-z]:)?[\\/](?=\S)(?:[^\\/\n"'<>|:*?]+[\\/]+)+""")


def shorten_paths(text: str) -> str:
    """Return the details of an error without the folders of this machine, save those below featlib's own."""
    return FOLDERS.sub("…/", text.replace(ROOT, ""))


def code(text: object) -> str:
    """Return the Markdown that shows `text` as code, whatever it contains."""
    fence = "`" * (max(map(len, re.findall("`+", str(text))), default=0) + 1)
    space = " " if "`" in str(text) else ""
    return f"{fence}{space}{text}{space}{fence}"


def plain(text: object) -> str:
    """Return the Markdown that shows `text` as it is: a link or a file name must not add images, code or colors.

    Only the address of a weights file of Keras stays a link.
    """
    parts = ADDRESS.split(str(text))
    return "".join(part if i % 2 else MARKDOWN.sub(r"\\\1", part) for i, part in enumerate(parts))
