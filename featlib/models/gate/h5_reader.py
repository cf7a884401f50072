"""Reads a stranger's HDF5 file in a process of its own: the HDF5 library itself hangs on some damaged files.

Run as `python -m featlib.models.gate.h5_reader [rewrite | copy]`; it reads the file from standard input.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from featlib.errors import ModelError
from featlib.models.gate.child import run_child
from featlib.models.gate.h5_layout import check_h5
from featlib.models.gate.limits import limit_files_and_time, limit_memory

SECONDS = 20
ROOM = 2_000_000_000  # bytes, for a file of 200 MB in some copies
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
        return run_child(__name__, arguments, folder=Path(folder), timeout=SECONDS, given=given)


def main() -> None:
    """Does the work, in the other process."""
    import h5py  # noqa: F401 - before the memory is limited

    limit_files_and_time(SECONDS)
    limit_memory(ROOM)
    given = sys.stdin.buffer.read()
    if sys.argv[1:] == ["rewrite"]:
        end = LENGTH + int.from_bytes(given[:LENGTH], "big")
        sys.stdout.buffer.write(_rewrite(given[end:], given[LENGTH:end]))
    elif sys.argv[1:] == ["copy"]:
        sys.stdout.buffer.write(_copy(given))
    else:
        sys.stdout.buffer.write(json.dumps(_facts(given)).encode())


def _facts(data: bytes) -> dict[str, Any]:
    try:
        layout, text = check_h5(data)
    except ModelError as error:
        return {"refused": str(error)}
    config = None if text is None else text.decode("utf-8", "surrogateescape")
    return asdict(H5Facts(layout.arrays, config))


def _copy(data: bytes) -> bytes:
    import h5py

    stream = io.BytesIO()
    with h5py.File(io.BytesIO(data), "r") as source, h5py.File(stream, "w") as target:
        for name, value in source.attrs.items():
            target.attrs[name] = value
        for name in source:
            source.copy(name, target)
    return stream.getvalue()


def _rewrite(data: bytes, config: bytes) -> bytes:
    import h5py

    stream = io.BytesIO(data)
    with h5py.File(stream, "r+") as file:
        file.attrs["model_config"] = config
    return stream.getvalue()


if __name__ == "__main__":
    main()
