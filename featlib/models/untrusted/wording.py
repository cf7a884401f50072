"""Untrusted text inside our messages: short, and with nothing that a terminal or a page would act on."""

from __future__ import annotations

from typing import Any

MAX_QUOTED = 60
MAX_REASON = 300
SAVE_AGAIN = "Save the model again with Keras."


def escaped(text: str) -> str:
    """Escape control characters, bidirectional marks and lone surrogates, as `repr` does."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def quoted(value: Any) -> str:  # noqa: ANN401
    """Quote a value out of a model file, for example "'block_1_expand'": escaped, and cut to 60 characters."""
    if isinstance(value, dict | list):
        value = f"a {type(value).__name__}"
    text = value if isinstance(value, str) else repr(value)
    return f"'{escaped(text if len(text) <= MAX_QUOTED else text[: MAX_QUOTED - 1] + '…')}'"


def keras_error(error: BaseException) -> str:
    """Say in one line why Keras refused a file, without the dump of the config that it adds."""
    text = str(error).rsplit("Exception encountered: ", maxsplit=1)[-1]
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [""]
    reason = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    if isinstance(error, KeyError) and reason:
        reason = f"something in it lacks {reason}, which Keras always writes"
    elif isinstance(error, LookupError) or not reason:
        reason = f"{type(error).__name__} {reason}".strip()
    return escaped(reason if len(reason) <= MAX_REASON else reason[: MAX_REASON - 1] + "…")
