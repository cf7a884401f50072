"""Open untrusted model files: the app reads no file but the copy that the inspecting process wrote."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from featlib.errors import ModelError
from featlib.models.untrusted.child import ask_child
from featlib.models.untrusted.wording import quoted
from featlib.text import escaped, format_bytes, keras_reason

if TYPE_CHECKING:
    import keras

MAX_FILE = 200 * 2**20
INSPECTION_SECONDS = 20
INSPECTION = "featlib.models.untrusted.inspection"
TRIAL = "featlib.models.untrusted.trial"
ALLOWED_FILES = "Allowed are model files of Keras: .keras, or .h5 with the whole model."


@dataclass(frozen=True)
class InspectedFile:
    """A model file that passed the inspection.

    Attributes:
        content: The file as it was rewritten: its repaired config and its arrays, and nothing else.
        format: "keras" (a zip of Keras 3) or "h5" (HDF5), by its content.
        repairs: What was repaired in its config, one sentence each; the file itself stays as it is.
    """

    content: bytes
    format: str
    repairs: tuple[str, ...]


@dataclass(frozen=True)
class OpenedModel:
    """A model out of an untrusted file.

    Attributes:
        model: The model, not compiled.
        repairs: What was repaired in its config, one sentence each; the file itself stays as it is.
    """

    model: keras.Model
    repairs: tuple[str, ...]


def open_model_file(path: Path, *, timeout: float = 60) -> OpenedModel:
    """Open an untrusted model file.

    One process inspects the file without Keras and rewrites it; another one loads and runs the rewritten copy, with
    little memory and time. Only then is the copy loaded here.

    Args:
        path: A `.keras` file, or a legacy `.h5` of a whole model.
        timeout: Seconds that the trial may take.

    Raises:
        ModelError: The file is refused; the message says why.
    """
    inspected = inspect_model_file(path)
    with tempfile.TemporaryDirectory(prefix="featlib-", ignore_cleanup_errors=True) as folder, _named(path):
        copy = Path(folder) / f"model.{inspected.format}"
        copy.write_bytes(inspected.content)
        ask_child(TRIAL, [str(copy), str(max(1, round(timeout)))], timeout=timeout)
        try:
            return OpenedModel(load_copy(copy), inspected.repairs)
        except Exception as error:  # whatever an untrusted file makes Keras raise
            raise ModelError(f"Keras refused it: {keras_reason(error)}") from error


def inspect_model_file(path: Path) -> InspectedFile:
    """Inspect and rewrite a model file in a separate process, without Keras and without running anything in it.

    Args:
        path: A `.keras` file, or a legacy `.h5` of a whole model. The content decides, not the suffix.

    Raises:
        ModelError: The file is anything else, is damaged, or holds something that is not allowed.
    """
    with _open(Path(path)) as file:
        answer, content = ask_child(INSPECTION, ["model"], timeout=INSPECTION_SECONDS, stdin=file)
    return InspectedFile(content, str(answer["format"]), tuple(escaped(str(repair)) for repair in answer["repairs"]))


def read_weights(path: Path) -> bytes:
    """Read the weights of a `.weights.h5`, a legacy `.h5` or a `.keras` file in a separate process.

    Returns:
        The content of a new HDF5 file with the same arrays and names.

    Raises:
        ModelError: The file is anything else, is damaged, or holds something that Keras never writes.
    """
    with _open(Path(path)) as file:
        return ask_child(INSPECTION, ["weights"], timeout=INSPECTION_SECONDS, stdin=file)[1]


def load_copy(path: Path) -> keras.Model:
    """Load a rewritten file, in the trial and after it in the same way."""
    import keras

    return keras.saving.load_model(str(path), compile=False, safe_mode=True)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Put the name of the file in front of a refusal, and let nothing in it act on a terminal or a page."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"The file {quoted(path.name)} cannot be used. {escaped(str(error))}") from error


@contextmanager
def _open(path: Path) -> Iterator[IO[bytes]]:
    if not path.is_file():
        raise ModelError(f"{quoted(path.name)} {'is a folder' if path.is_dir() else 'is not a file'}. {ALLOWED_FILES}")
    size = path.stat().st_size
    if size > MAX_FILE:
        raise ModelError(
            f"{quoted(path.name)} has {format_bytes(size)}; at most {format_bytes(MAX_FILE)} are read. "
            "A trained model keeps its optimizer in the file, twice the size of its weights: load it with "
            "compile=False and save it again."
        )
    try:
        file = path.open("rb")
    except OSError as error:
        raise ModelError(f"{quoted(path.name)} cannot be read: {error.strerror}.") from error
    with file, _named(path):
        yield file
