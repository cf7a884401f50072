"""A stranger's model file, read without Keras: accepted, or refused with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featlib.errors import ModelError
from featlib.models.untrusted.archive import read_members
from featlib.models.untrusted.config_rules import check_config
from featlib.models.untrusted.h5_reader import copy_h5, read_h5
from featlib.models.untrusted.hdf5 import SIGNATURE
from featlib.models.untrusted.json_text import parse_json
from featlib.models.untrusted.keras2 import repair_config
from featlib.models.untrusted.wording import megabytes, shown

MAX_FILE = 200_000_000
KINDS = "Allowed are model files of Keras: .keras, or .h5 with the whole model."
FORMATS = {  # first bytes -> what the file is
    b"\x80\x02": "a PyTorch or pickle file",
    b"\x80\x03": "a pickle file",
    b"\x80\x04": "a pickle file",
    b"\x80\x05": "a pickle file",
    b"version https://git-lfs": "a Git LFS pointer that only names the file: run git lfs pull",
    b"<!DOCTYPE": "a web page: the download went wrong",
    b"<html": "a web page: the download went wrong",
    b"\x08": "an ONNX or TensorFlow graph",
    b"{": "JSON text: a network's layers without its weights",
    b"\x1f\x8b": "a gzip archive: unpack it first",
}


@dataclass(frozen=True)
class InspectedFile:
    """A model file that passed.

    Attributes:
        path: the file.
        format: "keras" (a zip of Keras 3) or "h5" (a full model in the legacy form), by its content.
        config: the repaired model config, `{"class_name": …, "config": …}`, without compile settings.
        repairs: what was repaired, one sentence each.
    """

    path: Path
    format: str
    config: dict[str, Any]
    repairs: tuple[str, ...]


def inspect_model_file(path: Path) -> InspectedFile:
    """Reads a model file without importing Keras or TensorFlow, and without running anything in it.

    Args:
        path: a `.keras` file, or a legacy `.h5` of a whole model. The content decides, not the suffix.

    Raises:
        ModelError: the file is anything else, is damaged, or holds something that is not allowed.
    """
    return inspect_bytes(Path(path), read_file(Path(path)))[0]


def read_weights(path: Path) -> bytes:
    """Reads and checks the HDF5 content of a `.weights.h5`, a legacy `.h5`, or the one inside a `.keras` file.

    Returns:
        The content of an HDF5 file that was written anew, in a process of its own, with the same arrays and names.

    Raises:
        ModelError: the file is anything else, is damaged, or holds something that Keras never writes.
    """
    data = read_file(path)
    try:
        weights = read_members(data)["model.weights.h5"] if data.startswith(b"PK\x03\x04") else data
        if not weights.startswith(SIGNATURE):
            raise ModelError(f"It is {_kind(weights)}. Allowed are weights of Keras: .weights.h5, .h5 or .keras.")
        if not read_h5(weights).arrays:
            raise ModelError("It holds no weights at all. Save them with model.save_weights('name.weights.h5').")
        return copy_h5(weights)
    except ModelError as error:
        raise refusal(path, error) from error


def inspect_bytes(path: Path, data: bytes) -> tuple[InspectedFile, dict[str, bytes]]:
    """Inspects the content of a file that was read before.

    Returns:
        The report, and for a `.keras` file its members by name.

    Raises:
        ModelError: as `inspect_model_file`.
    """
    try:
        if data.startswith(b"PK\x03\x04"):
            return _inspect_keras(path, data)
        if data.startswith(SIGNATURE):
            return _inspect_h5(path, data), {}
        raise ModelError(f"It is {_kind(data)}. {KINDS}")
    except ModelError as error:
        raise refusal(path, error) from error


def read_file(path: Path) -> bytes:
    """Reads a file of at most 200 MB.

    Raises:
        ModelError: there is no such file, it cannot be read, or it is larger.
    """
    if not path.is_file():
        raise ModelError(f"{shown(path.name)} {'is a folder' if path.is_dir() else 'is not a file'}. {KINDS}")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1) if path.stat().st_size <= MAX_FILE else None
    except OSError as error:
        raise ModelError(f"{shown(path.name)} cannot be read: {error.strerror}.") from error
    if data is None or len(data) > MAX_FILE:
        raise ModelError(
            f"{shown(path.name)} has {megabytes(path.stat().st_size)}; at most {megabytes(MAX_FILE)} are read. "
            "A trained model keeps its optimizer in the file, twice the size of its weights: load it with "
            "compile=False and save it again."
        )
    return data


def refusal(path: Path, error: Exception) -> ModelError:
    """The reason with the name of the file in front."""
    return ModelError(f"The file {shown(path.name)} cannot be used. {error}")


def _inspect_keras(path: Path, data: bytes) -> tuple[InspectedFile, dict[str, bytes]]:
    members = read_members(data)
    parse_json(members["metadata.json"], "metadata.json")
    config = parse_json(members["config.json"], "config.json")
    check_config(config)
    if not members["model.weights.h5"].startswith(SIGNATURE):
        raise ModelError(
            "Member 'model.weights.h5' is not an HDF5 file. Save the model again with model.save('name.keras')."
        )
    read_h5(members["model.weights.h5"])
    config, repairs = repair_config(config)
    return InspectedFile(path, "keras", config, repairs), members


def _inspect_h5(path: Path, data: bytes) -> InspectedFile:
    facts = read_h5(data)
    if facts.model_config is None:
        raise ModelError(
            "It holds weights only and does not say of which network. Choose the network and give this file as its "
            "weights, or save the whole model with model.save('name.keras')."
        )
    config = parse_json(facts.model_config.encode("utf-8", "surrogateescape"), "model_config")
    check_config(config)
    config, repairs = repair_config(config)
    return InspectedFile(path, "h5", config, repairs)


def _kind(data: bytes) -> str:
    if not data:
        return "empty"
    if data[4:8] == b"TFL3":
        return "a TensorFlow Lite file"
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "a zip archive"
    if data.startswith(SIGNATURE):
        return "an HDF5 file"
    return next((kind for start, kind in FORMATS.items() if data.startswith(start)), "of no kind that is known here")
