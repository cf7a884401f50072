"""Texts in messages: nothing of them acts on a terminal or a page."""

from __future__ import annotations

import pytest

from featlib.text import MAX_REASON, keras_reason

DUMP = "<class 'Dense'> could not be deserialized properly.\n\nconfig={'a': 1}.\n\nException encountered: No 'b'"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("\n\x1b[1mWrong shape.\x1b[0m\n\nmore"), "Wrong shape."),
        (
            ValueError("Exception encountered when calling Add.call().\n\n\x1b[1;31mOther shapes.\x1b[0m"),
            "Other shapes.",
        ),
        (TypeError(DUMP), "No 'b'"),
        (
            ValueError("A total of 4 objects could not be loaded. Example:\nLayer 'a' has 2 weights"),
            "Example: Layer 'a'",
        ),
        (KeyError("offset"), "'offset' is missing"),
        (IndexError("list index out of range"), "IndexError list index out of range"),
        (RuntimeError(), "RuntimeError"),
        (ValueError("no \x1b]0;PWNED\x07\u202e\ud800 dtype"), r"no \x1b]0;PWNED\x07\u202e\ud800 dtype"),
    ],
)
def test_what_keras_says_is_one_harmless_line(error, reason):
    found = keras_reason(error)
    assert reason in found
    assert found.isprintable()


def test_what_keras_says_is_short():
    assert len(keras_reason(ValueError("\x07" * 1000))) == MAX_REASON
