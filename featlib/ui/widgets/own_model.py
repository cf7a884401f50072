"""The user's own model: a file that is uploaded or in an opened folder, checked, and fed as the user says."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import streamlit as st

from featlib.errors import FeatlibError, ImageError
from featlib.images import PLACE_PREFIX, find_place, open_file, open_folders
from featlib.models import (
    PREPROCESSING,
    SIMPLE_PREPROCESSING,
    Backbone,
    list_models,
    load_backbone,
    load_model_file,
    read_class_names,
)
from featlib.text import format_bytes
from featlib.ui.compute import class_count, forget_model, import_tensorflow, written_class_names
from featlib.ui.session import (
    OWN,
    Session,
    bind,
    choose,
    current_session,
    drop_files,
    guarded,
    upload_key,
    widget_value,
)
from featlib.ui.text import plain
from featlib.ui.uploads import LABELS, OwnModel, find_upload, forget_upload, keep_upload, place_key, stop_using
from featlib.ui.widgets.folder_browser import browse_folders, place_title

WHOLE = "the whole model"
MODELS = (".keras", ".h5", ".hdf5")
MAX_NAME = 120  # bytes
MAX_MODEL_BYTES = 2**30
MAX_LABEL_BYTES = 2**20  # more than class names may take
UPLOAD, CONTENT, CLASSES = "own model", "own model content", "own model classes"  # keys of the widgets


@dataclass(frozen=True)
class _File:
    """A model file that was brought: its name, its bytes, and those of the file with its class names, if any."""

    name: str
    data: bytes
    labels: bytes | None


def choose_own_model(session: Session) -> None:
    """Show in the sidebar where to bring a model, what was read from its file, and how its pixels are preprocessed."""
    content = st.selectbox(
        "File contains", [WHOLE, *(f"weights of {choice.name}" for choice in list_models())], key=CONTENT
    )
    if content != WHOLE:
        st.number_input(
            "Classes", 0, 65_536, 1000, key=CLASSES, help="Number of classes of its top; 0 for weights without top."
        )
    st.file_uploader(
        ".keras or .h5, and labels.txt if there is one",
        type=["keras", "h5", "hdf5", "txt"],
        accept_multiple_files=True,
        key=upload_key(UPLOAD),
        help="The file is inspected before Keras reads it; nothing in it is run.",
    )
    if open_folders():
        with st.expander("Or a file in an open folder"):
            place, is_file = browse_folders("models", MODELS, session.own_key)
            name = plain(place_title(place)) if is_file else "the file"
            st.button(f"Load {name}", key="load model", disabled=not is_file, on_click=ask_for_model, args=(place,))
    if session.own_problem:
        st.error(plain(session.own_problem))
    if session.own is not None:
        _show_settings(session, session.own)


@guarded
def ask_for_model(place: str) -> None:
    """Have the page load a model file in an opened folder: in a callback, since a link never loads one."""
    session = current_session()
    session.asked_model = place
    choose("model", OWN)


def take_own_model(session: Session) -> None:
    """Open a model file that was brought, once. An earlier model stays if the new one is refused.

    It is called in the page, so that this says what is going on.
    """
    if session.model != OWN:
        return
    files = widget_value(upload_key(UPLOAD)) or []
    content, classes = widget_value(CONTENT) or WHOLE, int(widget_value(CLASSES) or 0)
    upload = " ".join([*(file.file_id for file in files), content, str(classes)])
    models = [file for file in files if not file.name.lower().endswith(".txt")]
    place = session.asked_model
    if not place and (not models or session.taken.get(OWN) == upload):
        return
    name = place_title(place) if place else models[-1].name  # the one that was added last
    try:
        key = place_key(place, "" if content == WHOLE else f"{content} {classes}") if place else ""
        if find_upload(key, "model") is None:
            with st.spinner(f"Checking “{plain(name)}” (about 10 s) …", show_time=True):
                file = _read_place(place) if place else _read_uploads(files, models)
                own = OwnModel(_open(file, content.removeprefix("weights of "), classes))
                key = keep_upload(own, "model", own.nbytes, key)
    except FeatlibError as error:
        key, session.own_problem = "", str(error)
    session.asked_model = ""
    if not place:
        session.taken[OWN] = upload  # only now: after a click in between, it starts over
    if key:
        session.own_problem = ""
        if place:
            session.loaded[place] = key
        choose("own_key", place or key)
    st.rerun()


def _read_uploads(files: list[Any], models: list[Any]) -> _File:
    labels = [file.getvalue() for file in files if file not in models]
    return _File(models[-1].name, models[-1].getvalue(), labels[-1] if labels else None)


def _read_place(place: str) -> _File:
    """Read a model file in an opened folder, and the file with its class names beside it."""
    folder, below = find_place(place)
    path = folder.find(below)
    with open_file(path, path.name, folder) as file:
        data = file.read(MAX_MODEL_BYTES + 1)
    if len(data) > MAX_MODEL_BYTES:
        raise FeatlibError(f"'{path.name}' is larger than {format_bytes(MAX_MODEL_BYTES)}: load it in Python.")
    try:
        with open_file(path.with_name(LABELS), LABELS, folder) as file:
            return _File(path.name, data, file.read(MAX_LABEL_BYTES))
    except ImageError:
        return _File(path.name, data, None)


def _open(file: _File, content: str, classes: int) -> Backbone:
    import_tensorflow()
    names = read_class_names(file.labels) if file.labels is not None else None
    # The end of the name, in a length that every file system takes.
    name = PurePosixPath(file.name.replace("\\", "/")).name.encode()[-MAX_NAME:].decode(errors="ignore").lstrip(".")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / (name or "model")
        path.write_bytes(file.data)
        if content != WHOLE:
            network = f"{content}(classes={classes})" if classes not in (0, 1000) else content
            return load_backbone(network, weights=path, include_top=classes > 0, class_names=names)
        return load_model_file(path, None, None, names, default_preprocessing="none")


def _show_settings(session: Session, own: Backbone) -> None:
    st.caption(f":material/check: {plain(own.name)}, {own.model.count_params():,} parameters")
    st.selectbox(
        "Pixels enter as",
        list(dict.fromkeys([own.preprocessing.name, *SIMPLE_PREPROCESSING])),
        format_func=lambda name: PREPROCESSING[name].description,
        help="What the network was trained with. “Preprocessing” shows the effect of a wrong choice.",
        **bind("pixels", shown=session.pixels or own.preprocessing.name),
    )
    count = class_count(own)
    if count and own.class_names is None:
        st.text_area(f"Names of its {count} classes, one per line", placeholder="cat\ndog", **bind("own_names"))
        if session.own_names.strip() and written_class_names(session, own) is None:
            lines = len([line for line in session.own_names.splitlines() if line.strip()])
            st.caption(f":material/warning: {lines} names for {count} classes: not used yet.")
    in_folder = session.own_key.startswith(PLACE_PREFIX)
    st.button(
        "Forget my model",
        icon=":material/delete:",
        on_click=_forget_model,
        help="Its file stays in the open folder, and others go on with it."
        if in_folder
        else "It stays in this server's memory for your visit and one hour; whoever has the link can use it. This "
        "deletes it now, for everybody, unless somebody else has brought it, who is still here.",
    )


@guarded
def _forget_model() -> None:
    session = current_session()
    if session.own_key.startswith(PLACE_PREFIX):
        session.loaded.pop(session.own_key, None)
        stop_using("model")
    elif session.own is not None:
        fingerprint = session.own.fingerprint
        if forget_upload(session.own_key):
            forget_model(fingerprint)
        else:
            stop_using("model")
    drop_files()
    session.own_problem = ""
    choose("own_key", "")
