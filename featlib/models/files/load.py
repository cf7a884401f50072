"""A model file, or a folder in the SavedModel format -> `Backbone`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from featlib.errors import ModelError
from featlib.models.backbone import Backbone
from featlib.models.files.saved_model import is_saved_model, load_saved_model
from featlib.models.files.wrap import wrap_model
from featlib.models.preprocessing import PixelFunction
from featlib.models.untrusted import open_model_file

SUFFIXES = (".keras", ".h5", ".hdf5")
MAX_CLASS_FILE = 1_000_000  # bytes
CLASS_FILE = "labels.txt"  # what Teachable Machine puts beside its keras_model.h5


def is_model_path(model: str | Path) -> bool:
    """Tell whether this is meant as a path rather than the name of a network."""
    text = str(model)
    return isinstance(model, Path) or text.lower().endswith(SUFFIXES) or "/" in text or "\\" in text


def load_model_file(
    path: Path,
    input_shape: Sequence[int] | None,
    preprocessing: str | PixelFunction | None,
    class_names: Sequence[str] | None,
    trust_saved_model: bool = False,
    default_preprocessing: str | None = None,
) -> Backbone:
    """Load a model file as an untrusted one, or a SavedModel that the user trusts.

    Args:
        path: A `.keras` or `.h5` file, or a SavedModel folder.
        input_shape: (height, width, channels) if the file does not declare it.
        preprocessing: As for `load_backbone`.
        class_names: Names of the outputs; None means those in a `labels.txt` beside the file, if there is one.
        trust_saved_model: Whether a SavedModel, which is a program, is allowed to run.
        default_preprocessing: The preprocessing to assume if it cannot be guessed; None to refuse the file then.

    Raises:
        ModelError: The file is refused, or its preprocessing is unknown.
    """
    if is_saved_model(path):
        if not trust_saved_model:
            raise ModelError(
                f"'{path}' is a SavedModel, a program that may read and write files. Only if you trust its author, "
                "allow it: load_backbone(path, trust_saved_model=True), or --trust-saved-model on the command line."
            )
        model = load_saved_model(path, input_shape)
        backbone = wrap_model(model, input_shape, preprocessing, class_names, default_preprocessing)
        return backbone.adapted(name=path.resolve().name)
    opened = open_model_file(path)
    notes = list(opened.repairs)
    labels = path.with_name(CLASS_FILE)
    from_labels = class_names is None and labels.is_file()
    if from_labels:
        class_names = read_class_names(labels.read_bytes())
    backbone = wrap_model(opened.model, input_shape, preprocessing, class_names, default_preprocessing)
    notes += backbone.notes
    if from_labels:
        notes.append(f"The class names are those of {labels.name}.")
    return backbone.adapted(name=path.name, weights=path.name, notes=tuple(notes))


def read_class_names(text: bytes) -> tuple[str, ...]:
    """Read class names, one per line, dropping the leading numbers that Teachable Machine writes.

    Args:
        text: The content of a text file, UTF-8.

    Raises:
        ModelError: It is not text, too long, or contains no names.
    """
    if len(text) > MAX_CLASS_FILE:
        raise ModelError(f"A file of class names has at most {MAX_CLASS_FILE:,} bytes, and this one has more.")
    try:
        lines = [line.strip() for line in text.decode("utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise ModelError("The class names are not UTF-8 text. Give a text file with one name per line.") from error
    if not lines:
        raise ModelError("The file contains no class names. Give a text file with one name per line.")
    numbered = all(re.match(rf"{i}\s+\S", line) for i, line in enumerate(lines))
    return tuple(line.split(maxsplit=1)[1] if numbered else line for line in lines)
