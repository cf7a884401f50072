"""A stranger's model file, opened: inspected, tried in a process of its own, then loaded."""

from __future__ import annotations

import json
import math
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from featlib.errors import ModelError
from featlib.models.untrusted.child import run_child
from featlib.models.untrusted.h5_reader import rewrite_h5
from featlib.models.untrusted.inspection import InspectedFile, inspect_bytes, read_file, refusal
from featlib.models.untrusted.loading import first_line, load

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class OpenedModel:
    """A model out of a stranger's file.

    Attributes:
        model: not compiled.
        repairs: what was repaired in the file's words, one sentence each; the file itself is as it was.
    """

    model: keras.Model
    repairs: tuple[str, ...]


def open_model_file(path: Path, *, timeout: float = 60) -> OpenedModel:
    """Opens a model file that a stranger may have written.

    The file is inspected without Keras, copied with its repairs to a temporary folder, loaded once in a process
    of its own that has little memory, little time and little room to write, and only then loaded here.

    Args:
        path: a `.keras` file, or a legacy `.h5` of a whole model.
        timeout: seconds that the trial may take.

    Raises:
        ModelError: the file is refused; the message says by which step and why.
    """
    path = Path(path)
    data = read_file(path)
    inspected, members = inspect_bytes(path, data)
    with tempfile.TemporaryDirectory(prefix="featlib-", ignore_cleanup_errors=True) as folder:
        copy = _write_copy(inspected, members, data, Path(folder))
        del data, members
        try:
            _try_out(copy, Path(folder), timeout)
            return OpenedModel(_load(copy), inspected.repairs)
        except ModelError as error:
            raise refusal(path, error) from error


def _write_copy(inspected: InspectedFile, members: dict[str, bytes], data: bytes, folder: Path) -> Path:
    """Writes the file anew, so that Keras reads what was inspected and nothing else."""
    config = json.dumps(inspected.config).encode()
    if inspected.format == "keras":
        copy = folder / "model.keras"
        with zipfile.ZipFile(copy, "w") as archive:
            for name, content in {**members, "config.json": config}.items():
                archive.writestr(name, content)
        return copy
    copy = folder / "model.h5"
    try:
        copy.write_bytes(rewrite_h5(data, config))
    except ModelError as error:
        raise refusal(inspected.path, error) from error
    return copy


def _try_out(copy: Path, folder: Path, timeout: float) -> None:
    seconds = max(1, math.ceil(timeout))
    output = run_child("featlib.models.untrusted.trial", [str(copy), str(seconds)], folder=folder, timeout=timeout)
    try:
        answer = json.loads(output)
    except ValueError as error:
        raise ModelError(
            "Loading it broke off without a reason, as it does for damaged files. Save it again."
        ) from error
    if answer["reason"] == "memory":
        raise ModelError("Loading it needs more memory than the 4 GB that a model may take. Give a smaller network.")
    if not answer["ok"]:
        raise ModelError(f"Keras refused it: {answer['reason']}")


def _load(copy: Path) -> keras.Model:
    try:
        return load(copy)
    except Exception as error:  # whatever a stranger's file makes Keras raise
        raise ModelError(f"Keras refused it: {first_line(error)}") from error
