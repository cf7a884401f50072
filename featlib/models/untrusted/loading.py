"""How a file that passed the inspection is loaded: the same way in the trial and after it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


def load(path: Path) -> keras.Model:
    """Loads a file that passed the inspection, the one way it is ever loaded."""
    import keras

    return keras.saving.load_model(str(path), compile=False, safe_mode=True)


def first_line(error: BaseException) -> str:
    """Why Keras refused, without the dump of the config that it adds."""
    text = str(error)
    reason = text.rsplit("Exception encountered: ", maxsplit=1)[-1].strip()
    line = next(iter(reason.splitlines()), "") or type(error).__name__
    return line if len(line) <= 300 else line[:299] + "…"
