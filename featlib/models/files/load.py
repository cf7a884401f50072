"""A model file, or a folder in the SavedModel format -> `Backbone`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from featlib.errors import ModelError
from featlib.models.backbone import Backbone
from featlib.models.files.saved_model import is_saved_model, load_saved_model
from featlib.models.files.wrap import PixelFunction, wrap_model
from featlib.models.untrusted import open_model_file

SUFFIXES = (".keras", ".h5", ".hdf5")
MAX_CLASS_FILE = 1_000_000  # bytes
CLASS_FILE = "labels.txt"  # what Teachable Machine puts beside its keras_model.h5


def is_model_path(model: str | Path) -> bool:
    """Whether this is meant as a path and not as the name of a network."""
    text = str(model)
    return isinstance(model, Path) or text.lower().endswith(SUFFIXES) or "/" in text or "\\" in text


def load_model_file(
    path: Path,
    input_shape: Sequence[int] | None,
    preprocessing: str | PixelFunction | None,
    class_names: Sequence[str] | None,
    trust_saved_model: bool = False,
    otherwise: str | None = None,
) -> Backbone:
    """Opens a model file through the gate, or a SavedModel that the person trusts.

    Args:
        path: a `.keras` or `.h5` file, or a SavedModel folder.
        input_shape: (height, width, channels) where the file does not say.
        preprocessing: as for `load_backbone`.
        class_names: names of the outputs; None means those in a `labels.txt` beside the file, if there is one.
        trust_saved_model: whether the person allows a SavedModel, which is a program, to run.
        otherwise: the preprocessing to assume where the file does not show it; None to refuse the file then.

    Raises:
        ModelError: the file is refused, or it cannot be told how it wants its images.
    """
    if is_saved_model(path):
        if not trust_saved_model:
            raise ModelError(
                f"'{path}' is a SavedModel, a program that may read and write files. Only if you trust its maker, "
                "allow it: load_backbone(path, trust_saved_model=True), or --trust-saved-model on the command line."
            )
        backbone = wrap_model(load_saved_model(path, input_shape), input_shape, preprocessing, class_names, otherwise)
        return backbone.adapted(name=path.resolve().name)
    opened = open_model_file(path)
    labels = path.with_name(CLASS_FILE)
    beside = class_names is None and labels.is_file()
    names = read_class_names(labels.read_bytes()) if beside else class_names
    backbone = wrap_model(opened.model, input_shape, preprocessing, names, otherwise)
    notes = (*opened.repairs, *backbone.notes, *((f"The class names are those of {labels.name}.",) if beside else ()))
    return backbone.adapted(name=path.name, weights=path.name, notes=notes)


def read_class_names(text: bytes) -> tuple[str, ...]:
    """Reads class names, one a line; a number in front, as Teachable Machine writes it, is dropped.

    Args:
        text: the content of a text file, UTF-8.

    Raises:
        ModelError: it is no text, too long, or holds no names.
    """
    if len(text) > MAX_CLASS_FILE:
        raise ModelError(f"A file of class names has at most {MAX_CLASS_FILE:,} bytes. Received: {len(text):,}.")
    try:
        lines = [line.strip() for line in text.decode("utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise ModelError("The class names are no UTF-8 text. Give a text file with one name a line.") from error
    if not lines:
        raise ModelError("There are no class names in the file. Give a text file with one name a line.")
    numbered = all(re.match(rf"{i}\s+\S", line) for i, line in enumerate(lines))
    return tuple(line.split(maxsplit=1)[1] if numbered else line for line in lines)
