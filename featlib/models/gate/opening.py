"""A stranger's model file, opened: inspected, tried in a process of its own, then loaded."""

from __future__ import annotations

import io
import json
import math
import os
import signal
import site
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featlib.errors import ModelError
from featlib.models.gate.inspecting import InspectedFile, inspect_bytes, read_file, refusal
from featlib.models.gate.trial import first_line, load
from featlib.models.gate.wording import shown

if TYPE_CHECKING:
    import keras

KEPT = ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "KERAS_BACKEND")
QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    "PYTHONDONTWRITEBYTECODE": "1",
}


@dataclass(frozen=True)
class OpenedModel:
    """A model out of a stranger's file.

    Attributes:
        model: not compiled.
        repairs: what was repaired in the file's words, one sentence each; the file itself is as it was.
        format: "keras" or "h5".
    """

    model: keras.Model
    repairs: tuple[str, ...]
    format: str


def open_model_file(path: Path, *, timeout: float = 60) -> OpenedModel:
    """Opens a model file that a stranger may have written.

    The file is inspected without Keras, copied with its repairs to a temporary folder, loaded once in a process
    of its own that has little memory, little time and may write nothing, and only then loaded here.

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
            return OpenedModel(_load(copy), inspected.repairs, inspected.format)
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
    import h5py

    copy, stream = folder / "model.h5", io.BytesIO(data)
    try:
        with h5py.File(stream, "r+") as file:
            file.attrs["model_config"] = config
        copy.write_bytes(stream.getvalue())
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise refusal(inspected.path, ModelError(f"The HDF5 file is damaged ({shown(str(error))}).")) from error
    return copy


def _try_out(copy: Path, folder: Path, timeout: float) -> None:
    seconds = max(1, math.ceil(timeout))
    command = [sys.executable, "-P", "-m", "featlib.models.gate.trial", str(copy), str(seconds)]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=_environment(folder),
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(_too_slow(seconds)) from error
    answer = _answer(done.stdout)
    if answer.get("ok") is True:
        return
    raise ModelError(_reason(answer, done.returncode, seconds))


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    package = Path(__file__).resolve().parents[3]
    paths = [str(package), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {
        **kept,
        **QUIET,
        "PYTHONPATH": os.pathsep.join(str(Path(entry).resolve()) for entry in paths if entry),
        "PYTHONUSERBASE": site.getuserbase(),
        **dict.fromkeys(("HOME", "KERAS_HOME", "TMPDIR", "TEMP", "TMP"), str(folder)),
    }


def _answer(output: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(output)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _reason(answer: dict[str, Any], status: int, seconds: int) -> str:
    reason = answer.get("reason")
    if reason == "memory" or (not reason and -status in (signal.SIGABRT, getattr(signal, "SIGKILL", None))):
        return "Loading it needs more memory than the 4 GB that a model may take. Give a smaller network."
    if not reason and -status == getattr(signal, "SIGXCPU", None):
        return _too_slow(seconds)
    if not reason:
        return f"Loading it broke off without a reason (status {status}), as it does for damaged files. Save it again."
    return f"Keras refused it: {reason}"


def _too_slow(seconds: int) -> str:
    return f"Loading it took longer than the {seconds} seconds that are allowed. Give a smaller network, or more time."


def _load(copy: Path) -> keras.Model:
    try:
        return load(copy)
    except Exception as error:  # whatever a stranger's file makes Keras raise
        raise ModelError(f"Keras refused it: {first_line(error)}") from error
