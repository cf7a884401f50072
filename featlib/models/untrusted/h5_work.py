"""Works on the HDF5 file that comes on standard input, in the process that `h5_reader` starts.

Run as `python -m featlib.models.untrusted.h5_work [rewrite | copy]`; nothing imports it that runs before it.
"""

from __future__ import annotations

import io
import json
import sys
from typing import Any

from featlib.errors import ModelError
from featlib.models.untrusted.h5_reader import LENGTH, SECONDS
from featlib.models.untrusted.hdf5 import check_h5
from featlib.models.untrusted.limits import limit_files_and_time, limit_memory

ROOM = 2_000_000_000  # bytes, for a file of 200 MB in some copies


def main() -> None:
    """Does the work, in the other process."""
    import h5py  # noqa: F401 - before the memory is limited

    limit_files_and_time(SECONDS)
    limit_memory(ROOM)
    given = sys.stdin.buffer.read()
    if sys.argv[1:] == ["rewrite"]:
        end = LENGTH + int.from_bytes(given[:LENGTH], "big")
        sys.stdout.buffer.write(rewrite(given[end:], given[LENGTH:end]))
    elif sys.argv[1:] == ["copy"]:
        sys.stdout.buffer.write(copy(given))
    else:
        sys.stdout.buffer.write(json.dumps(facts(given)).encode())


def facts(data: bytes) -> dict[str, Any]:
    """What a file holds, as `H5Facts` takes it, or why it is refused."""
    try:
        layout, text = check_h5(data)
    except ModelError as error:
        return {"refused": str(error)}
    config = None if text is None else text.decode("utf-8", "surrogateescape")
    return {"arrays": layout.arrays, "model_config": config}


def copy(data: bytes) -> bytes:
    """The file, written anew."""
    import h5py

    stream = io.BytesIO()
    with h5py.File(io.BytesIO(data), "r") as source, h5py.File(stream, "w") as target:
        for name, value in source.attrs.items():
            target.attrs[name] = value
        for name in source:
            source.copy(name, target)
    return stream.getvalue()


def rewrite(data: bytes, config: bytes) -> bytes:
    """The file with another model config."""
    import h5py

    stream = io.BytesIO(data)
    with h5py.File(stream, "r+") as file:
        file.attrs["model_config"] = config
    return stream.getvalue()


if __name__ == "__main__":
    main()
