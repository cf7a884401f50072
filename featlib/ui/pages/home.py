"""Parts of the home page: the user's own images, and a first projection."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import streamlit as st

from featlib import plots
from featlib.errors import ImageError
from featlib.images import MAX_BYTES, ImageProblem, ImageSet, load_images, load_samples
from featlib.models import Backbone
from featlib.ui.compute import compute_all_vectors, compute_projection, neighbor_agreement, own_images
from featlib.ui.session import UPLOADS, Session, choose
from featlib.ui.text import plain
from featlib.ui.widgets import show_chart, show_problems

VIEWS_PERPLEXITY = 10.0


def bring_images(session: Session) -> None:
    """Show the ways to bring images: files, a folder, a zip or the camera. Files that cannot be read are listed."""
    with st.expander("**Use your own images** · they stay on this machine"):
        files, folder, camera = st.tabs(["Files or a zip", "Folder", "Camera"])
        with files:
            label = f"JPEG, PNG, WebP, BMP, GIF or TIFF of up to {MAX_BYTES // 2**20} MB each, or a zip of them"
            _take(session, "files", st.file_uploader(label, accept_multiple_files=True, key="files"))
        with folder:
            label = "A folder: the names of its sub-folders become the labels"
            _take(session, "folder", st.file_uploader(label, accept_multiple_files="directory", key="folder"))
        with camera:
            if st.toggle("Use the camera", help="Works on this machine, or over https."):
                _take(session, "camera", st.camera_input("Take a picture", key="camera"))
        _show_result(session)


def _take(session: Session, widget: str, uploaded: Any) -> None:  # noqa: ANN401 - an upload, or a list of them
    """Load new files of a widget, once. Earlier images stay if none of the new ones is usable."""
    files = uploaded if isinstance(uploaded, list) else [uploaded] if uploaded else []
    upload_id = " ".join(file.file_id for file in files)
    if not files or session.taken.get(widget) == upload_id:
        return
    bar = st.progress(0.0, text="Reading …")

    def report(done: int, n: int) -> None:
        bar.progress(done / n, text=f"Reading {done:,} of {n:,} images")

    try:
        loaded = load_images(files, name="your images", on_progress=report)
    except ImageError as error:
        loaded = ImageSet("your images", (), (ImageProblem("upload", str(error)),))
    session.taken[widget] = upload_id
    session.upload_problems = loaded.problems
    if len(loaded):
        own_images()[:] = [loaded]
        session.uploads_ref = weakref.ref(loaded)
        session.image = 0
        choose("images", UPLOADS)
    st.rerun()


def _show_result(session: Session) -> None:
    if session.uploads is not None:
        columns = session.uploads.label_columns
        labels = f", labeled by {plain(', '.join(columns))}" if columns else ""
        st.success(f"{len(session.uploads):,} of your own images are loaded{labels}: “Your images” in the sidebar.")
    problems = session.upload_problems
    if problems:
        st.warning(f"{len(problems):,} {'file' if len(problems) == 1 else 'files'} could not be used:")
        show_problems([problem.reason for problem in problems])


def show_views(session: Session, backbone: Backbone, layers: Sequence[str]) -> None:
    """Show a projection of twelve views of each photo, from each of the layers."""
    images = load_samples("views")
    labels = images.labels_for("photo")
    vectors = compute_all_vectors(session, backbone, images, layers)
    results = {path: compute_projection(session, X, "tsne", 2, VIEWS_PERPLEXITY) for path, X in vectors.items()}
    for column, (path, result) in zip(st.columns(len(results)), results.items(), strict=True):
        accuracy = neighbor_agreement(vectors[path], labels)
        column.markdown(f"**`{path}`** · 5-nearest-neighbor accuracy: **{accuracy:.0%}**")
        figure = plots.projection_scatter(
            result, ids=images.ids, names=images.names, labels=labels, label_title="photo", height=420
        )
        with column:
            alt = f"t-SNE of 12 views of each photo from {path}, colored by photo."
            show_chart(figure, key=f"views {path}", alt=alt, name=f"t-SNE of views from {path}")
