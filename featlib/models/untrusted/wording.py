"""A stranger's words inside our messages: short, and nothing that a terminal or a page would act on."""

from __future__ import annotations

from typing import Any

LONGEST = 60
MEGABYTE = 1_000_000


def shown(value: Any) -> str:  # noqa: ANN401
    """A value out of a model file, quoted, printable and short.

    Returns:
        For example "'block_1_expand'"; control characters, quotes and lone surrogates are escaped.
    """
    text = value if isinstance(value, str) else f"a {type(value).__name__}" if _deep(value) else repr(value)
    text = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return "'" + "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text) + "'"


def megabytes(count: int) -> str:
    """A number of bytes for people, for example "17,180 MB"."""
    return f"{count / MEGABYTE:,.0f} MB" if count >= MEGABYTE else f"{count:,} bytes"


def _deep(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, dict | list)
