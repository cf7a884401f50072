"""The user's own model: uploaded as a file, checked, and fed as the file shows or as the user says."""

from __future__ import annotations

import tempfile
import weakref
from pathlib import Path, PurePosixPath
from typing import Any

import streamlit as st

from featlib.errors import FeatlibError
from featlib.models import (
    PREPROCESSING,
    SIMPLE_PREPROCESSING,
    Backbone,
    list_models,
    load_backbone,
    load_model_file,
    read_class_names,
)
from featlib.ui.compute import class_count, import_tensorflow, own_models, written_class_names
from featlib.ui.session import OWN, Session, bind, choose
from featlib.ui.text import plain

WHOLE = "the whole model"
MAX_NAME = 120  # bytes


def choose_own_model(session: Session) -> None:
    """Show the upload in the sidebar, what was read from the file, and how its pixels are preprocessed."""
    content = st.selectbox("File contains", [WHOLE, *(f"weights of {choice.name}" for choice in list_models())])
    classes = 0
    if content != WHOLE:
        classes = int(
            st.number_input("Classes", 0, 65_536, 1000, help="Number of classes of its top; 0 for weights without top.")
        )
    files = st.file_uploader(
        ".keras or .h5, and labels.txt if there is one",
        type=["keras", "h5", "hdf5", "txt"],
        accept_multiple_files=True,
        key="own model",
        help="The file is inspected before Keras reads it; nothing in it is run.",
    )
    _take(session, files, content.removeprefix("weights of "), classes)
    if session.own_problem:
        st.error(plain(session.own_problem))
    if session.own is not None:
        _show_settings(session, session.own)


def _take(session: Session, files: list[Any], content: str, classes: int) -> None:
    """Open new files, once. An earlier model stays if the new one is refused."""
    models = [file for file in files if not file.name.lower().endswith(".txt")]
    labels = [file for file in files if file.name.lower().endswith(".txt")]
    upload = " ".join([*(file.file_id for file in files), content, str(classes)])
    if not models or session.taken.get(OWN) == upload:
        return
    try:
        with st.spinner("Checking the file …", show_time=True):
            own = _open(models, labels, content, classes)
    except FeatlibError as error:
        session.own_problem, session.taken[OWN] = str(error), upload
        return
    session.own_problem, session.taken[OWN] = "", upload  # only now: after a click in between, it starts over
    own_models()[:] = [own]
    session.own_ref = weakref.ref(own)
    session.pixels, session.own_names = "", ""
    choose("layer", "")
    st.rerun()


def _open(files: list[Any], labels: list[Any], content: str, classes: int) -> Backbone:
    if len(files) > 1:
        raise FeatlibError(f"Received {len(files)} model files; only one at a time is possible. Remove the others.")
    import_tensorflow()
    names = read_class_names(labels[0].getvalue()) if labels else None
    # The end of the name, in a length that every file system takes.
    name = PurePosixPath(files[0].name.replace("\\", "/")).name.encode()[-MAX_NAME:].decode(errors="ignore").lstrip(".")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / (name or "model")
        path.write_bytes(files[0].getvalue())
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
    if not count or own.class_names is not None:
        return
    st.text_area(f"Names of its {count} classes, one per line", placeholder="cat\ndog", **bind("own_names"))
    if session.own_names.strip() and written_class_names(session, own) is None:
        lines = len([line for line in session.own_names.splitlines() if line.strip()])
        st.caption(f":material/warning: {lines} names for {count} classes: not used yet.")
