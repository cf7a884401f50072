"""Format text for messages and screens: safe names, natural sorting, sizes in bytes."""

from __future__ import annotations

import re

# The most characters of a name that are shown; a longer one is an attack on the screen or a mistake.
MAX_NAME = 200
MAX_REASON = 300
# The beginning of a cell that spreadsheets compute, or of one that is escaped already.
FORMULA = re.compile(r"'*[=+\-@\t\r]")


def printable(text: str) -> str:
    """Return a text for messages: without control characters, and of a long path only the end, with the file name."""
    if text.isprintable() and len(text) <= MAX_NAME:
        return text
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return shown if len(shown) <= MAX_NAME else "…" + shown[1 - MAX_NAME :]


def escaped(text: str) -> str:
    """Escape control characters, bidirectional marks and lone surrogates, as `repr` does."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def keras_reason(error: BaseException) -> str:
    """Say in one line what Keras says is wrong: escaped, without color codes, boilerplate and dumped configs."""
    text = re.sub(r"\x1b\[[\d;]*m", "", str(error)).rsplit("Exception encountered: ", maxsplit=1)[-1]
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("Exception encountered when calling")] or [""]
    reason = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]  # a colon only announces the next line
    if isinstance(error, KeyError) and reason:
        reason = f"{reason} is missing"
    elif isinstance(error, LookupError) or not reason:
        reason = f"{type(error).__name__} {reason}".strip()
    reason = escaped(reason)
    return reason if len(reason) <= MAX_REASON else reason[: MAX_REASON - 1] + "…"


def escape_formula(text: str) -> str:
    """Return the cell of a CSV file with a text: behind an apostrophe if a spreadsheet would take it for a formula."""
    return f"'{text}" if FORMULA.match(text) else text


def unescape_formula(cell: str) -> str:
    """Return the text that `escape_formula` was given."""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell


def natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Return a sort key that puts `img2` before `img10`, and sorts a folder like its zip on any system."""
    return [_piece_key(piece) for piece in re.split(r"([0-9]+|/)", name) if piece], name


def _piece_key(piece: str) -> tuple[int, int, str]:
    if piece == "/":  # first, so that the files of one folder stay together
        return 0, 0, ""
    if piece.isascii() and piece.isdigit():
        return 1, int(piece[:1000]), ""
    return 2, 0, piece.casefold()


def format_bytes(count: int) -> str:
    """Return a size with its unit, `61.2 MB` (of 2**20 bytes) or `3 bytes`."""
    if count < 1024:
        return f"{count} bytes"
    value = float(count)
    for unit in ("KB", "MB"):
        value /= 1024
        if value < 1024:
            return f"{value:.1f} {unit}"
    return f"{value / 1024:.1f} GB"
