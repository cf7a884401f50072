"""Reads a stranger's HDF5 file in a process of its own: the HDF5 library itself hangs on some damaged files."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from featlib.errors import ModelError
from featlib.models.untrusted.child import run_child

SECONDS = 20
LENGTH = 8  # bytes of the number that says how long the config is


@dataclass(frozen=True)
class H5Facts:
    """What an HDF5 file that passed holds.

    Attributes:
        arrays: how many arrays.
        model_config: the JSON text of the model; None for weights only.
    """

    arrays: int
    model_config: str | None


def read_h5(data: bytes) -> H5Facts:
    """Checks an HDF5 file that lies in memory, by `check_h5`.

    Raises:
        ModelError: it is damaged, or holds something that Keras never writes.
    """
    answer = json.loads(_run([], data))
    if "refused" in answer:
        raise ModelError(answer["refused"])
    return H5Facts(**answer)


def rewrite_h5(data: bytes, config: bytes) -> bytes:
    """The file with another model config.

    Raises:
        ModelError: it cannot be written anew.
    """
    return _run(["rewrite"], len(config).to_bytes(LENGTH, "big") + config + data)


def copy_h5(data: bytes) -> bytes:
    """The arrays and names of a file that passed, in a file that the HDF5 library of the other process has made.

    Raises:
        ModelError: it cannot be read through.
    """
    return _run(["copy"], data)


def _run(arguments: list[str], given: bytes) -> bytes:
    with tempfile.TemporaryDirectory(prefix="featlib-", ignore_cleanup_errors=True) as folder:
        return run_child(
            "featlib.models.untrusted.h5_work", arguments, folder=Path(folder), timeout=SECONDS, given=given
        )
