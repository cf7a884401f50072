"""Untrusted text inside our messages: short, and with nothing that a terminal or a page would act on."""

from __future__ import annotations

from typing import Any

from featlib.text import escaped

MAX_QUOTED = 60
SAVE_AGAIN = "Save the model again with Keras."


def quoted(value: Any) -> str:  # noqa: ANN401
    """Quote a value out of a model file, for example "'block_1_expand'": escaped, and cut to 60 characters."""
    if isinstance(value, dict | list):
        value = f"a {type(value).__name__}"
    text = value if isinstance(value, str) else repr(value)
    return f"'{escaped(text if len(text) <= MAX_QUOTED else text[: MAX_QUOTED - 1] + '…')}'"
