"""Text of strangers in messages."""

from __future__ import annotations

import re

MARKDOWN = re.compile(r"([\\`*\[\]<>$])")  # no more than these: an address in a message stays a link


def plain(text: object) -> str:
    """The Markdown that shows `text` as it is: a link or a file name must not bring in pictures, code or colours."""
    return MARKDOWN.sub(r"\\\1", str(text))
