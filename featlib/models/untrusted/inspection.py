"""Inspect an untrusted model file without Keras, and rewrite what is allowed in it as a new file.

Run as `python -m featlib.models.untrusted.inspection {model | weights}` with the file on standard input, it answers as
`ask_child` reads it. No other process parses the file.
"""

from __future__ import annotations

import json
import sys

from featlib.errors import ModelError
from featlib.models.untrusted import archive, hdf5
from featlib.models.untrusted.child import NEEDS_MEMORY, limit_files_and_time, limit_memory
from featlib.models.untrusted.config_rules import check_config
from featlib.models.untrusted.json_text import parse_json
from featlib.models.untrusted.keras2 import repair_config
from featlib.models.untrusted.layer_names import rename_layers
from featlib.models.untrusted.opening import ALLOWED_FILES, INSPECTION_SECONDS, MAX_FILE, InspectedFile
from featlib.models.untrusted.wording import SAVE_AGAIN
from featlib.text import keras_reason

MEMORY = 2_000_000_000  # bytes, for several copies of a file of 200 MB
FORMATS = {  # first bytes -> what the file is
    b"PK\x05\x06": "an empty zip archive",
    b"\x80\x02": "a PyTorch or pickle file",
    b"\x80\x03": "a pickle file",
    b"\x80\x04": "a pickle file",
    b"\x80\x05": "a pickle file",
    b"version https://git-lfs": "a Git LFS pointer that only names the file: run git lfs pull",
    b"<!DOCTYPE": "a web page: the download failed",
    b"<html": "a web page: the download failed",
    b"\x08": "an ONNX or TensorFlow graph",
    b"{": "JSON text: a network's layers without its weights",
    b"\x1f\x8b": "a gzip archive: unpack it first",
}


def main() -> None:
    """Inspect the file on standard input, in a process with little memory and time."""
    limit_files_and_time(INSPECTION_SECONDS)
    limit_memory(MEMORY)
    inspect = {"model": inspect_model, "weights": inspect_weights}[sys.argv[1]]
    try:
        inspected = inspect(sys.stdin.buffer.read(MAX_FILE))
        answer, content = {"format": inspected.format, "repairs": inspected.repairs}, inspected.content
    except ModelError as error:
        answer, content = {"refused": str(error)}, b""
    except MemoryError:
        answer, content = {"refused": NEEDS_MEMORY}, b""
    except Exception as error:  # noqa: BLE001 - whatever a damaged file makes HDF5 raise
        answer, content = (
            {"refused": f"Reading it failed: {keras_reason(error)}. The file is damaged: save it again."},
            b"",
        )
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    sys.stdout.buffer.write(content)


def inspect_model(data: bytes) -> InspectedFile:
    """Inspect and rewrite a `.keras` file, or a legacy `.h5` of a whole model.

    Raises:
        ModelError: It is anything else, is damaged, or holds something that is not allowed.
    """
    if data.startswith(archive.SIGNATURE):
        members = archive.read_members(data)
        metadata = parse_json(members[archive.METADATA], archive.METADATA)
        config, repairs = _repair(members[archive.CONFIG], archive.CONFIG)
        weights = _rewrite_member(members)[0]
        content = archive.write_members(
            {archive.METADATA: json.dumps(metadata).encode(), archive.CONFIG: config, archive.WEIGHTS: weights}
        )
        return InspectedFile(content, "keras", repairs)
    if not data.startswith(hdf5.SIGNATURE):
        raise ModelError(f"It is {_kind(data)}. {ALLOWED_FILES}")
    text = hdf5.read_model_config(data)
    if text is None:
        raise ModelError(
            "It holds weights only and does not say of which network. Choose the network and give this file as its "
            "weights, or save the whole model with model.save('name.keras')."
        )
    config, repairs = _repair(text, "model_config")
    return InspectedFile(hdf5.rewrite_h5(data, config)[0], "h5", repairs)


def inspect_weights(data: bytes) -> InspectedFile:
    """Inspect and rewrite the weights of a `.weights.h5`, a legacy `.h5`, or a `.keras` file.

    Raises:
        ModelError: It is anything else, is damaged, or holds something that Keras never writes.
    """
    if data.startswith(archive.SIGNATURE):
        content, arrays = _rewrite_member(archive.read_members(data))
    elif data.startswith(hdf5.SIGNATURE):
        content, arrays = hdf5.rewrite_h5(data)
    else:
        raise ModelError(f"It is {_kind(data)}. Allowed are weights of Keras: .weights.h5, .h5 or .keras.")
    if not arrays:
        raise ModelError("It holds no weights at all. Save them with model.save_weights('name.weights.h5').")
    return InspectedFile(content, "h5", ())


def _repair(text: bytes, name: str) -> tuple[bytes, tuple[str, ...]]:
    config, renamed = rename_layers(parse_json(text, name))
    check_config(config)
    config, repairs = repair_config(config)
    return json.dumps(config).encode(), (*renamed, *repairs)


def _rewrite_member(members: dict[str, bytes]) -> tuple[bytes, int]:
    if not members[archive.WEIGHTS].startswith(hdf5.SIGNATURE):
        raise ModelError(f"Member '{archive.WEIGHTS}' is not an HDF5 file. {SAVE_AGAIN}")
    return hdf5.rewrite_h5(members[archive.WEIGHTS])


def _kind(data: bytes) -> str:
    if not data:
        return "empty"
    if data[4:8] == b"TFL3":
        return "a TensorFlow Lite file"
    return next((kind for start, kind in FORMATS.items() if data.startswith(start)), "of an unknown kind")


if __name__ == "__main__":
    main()
