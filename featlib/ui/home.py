"""Parts of the home page: the first look, and the ways to bring one's own images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from featlib import plots
from featlib.analysis import neighbor_accuracy
from featlib.images import MAX_BYTES, ImageSet, load_images
from featlib.models import Backbone
from featlib.ui import cache
from featlib.ui.frame import UPLOADS
from featlib.ui.session import Session
from featlib.ui.work import move_bar, projection, vectors

TYPES = ["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff"]
PROBLEMS_SHOWN = 8


def bring_images(session: Session) -> None:
    """Upload files, a folder or a zip, or take a picture. What cannot be read is named; the rest is used."""
    with st.expander("**Use your own images** · they stay on this machine"):
        files, folder, archive, camera = st.tabs(["Files", "Folder", "Zip", "Camera"])
        limit = MAX_BYTES // 2**20
        with files:
            _offer(
                session,
                st.file_uploader(f"Image files, up to {limit} MB each", TYPES, accept_multiple_files=True, key="files"),
            )
        with folder:
            _offer(
                session,
                st.file_uploader(
                    "A folder; the names of its sub-folders become the labels",
                    TYPES,
                    accept_multiple_files="directory",
                    key="folder",
                ),
            )
        with archive:
            _offer(session, st.file_uploader("A zip of images; its folders become the labels", ["zip"], key="zip"))
        with camera:
            if st.toggle("Use the camera", help="Works on this machine, or over https."):
                _offer(session, st.camera_input("Take a picture", key="camera"))
        _report(session)


def _offer(session: Session, uploaded: Any) -> None:  # noqa: ANN401 - an upload, or a list of them
    """Loads what was uploaded, once."""
    if not uploaded:
        return
    files = uploaded if isinstance(uploaded, list) else [uploaded]
    upload_id = " ".join(file.file_id for file in files)
    if upload_id in session.seen_uploads:
        return
    session.seen_uploads.add(upload_id)
    bar = st.progress(0.0, text="Reading …")
    try:
        loaded = load_images(
            uploaded,
            name="your images",
            on_progress=lambda done, n: move_bar(bar, done / n, f"Reading {done:,} of {n:,} images"),
        )
    finally:
        bar.empty()
    session.uploads = loaded
    if len(loaded):
        session.images, session.image = UPLOADS, 0
        st.rerun()


def _report(session: Session) -> None:
    loaded = session.uploads
    if loaded is None:
        return
    if len(loaded):
        labels = f", labelled by {', '.join(loaded.label_columns)}" if loaded.label_columns else ""
        st.success(f"{len(loaded):,} of your images are in use{labels}. Choose “Your images” in the sidebar.")
    if loaded.problems:
        st.warning(f"{len(loaded.problems):,} could not be used:")
        for problem in loaded.problems[:PROBLEMS_SHOWN]:
            st.text(problem.reason)
        if len(loaded.problems) > PROBLEMS_SHOWN:
            st.caption(f"and {len(loaded.problems) - PROBLEMS_SHOWN:,} more.")


def show_views(session: Session, backbone: Backbone, layers: Sequence[str]) -> None:
    """A projection of twelve views of each photo, from two layers: what looks alike, and what is alike."""
    images: ImageSet = cache.samples("views")
    parts = vectors(session, backbone, images, layers)
    if parts is None:
        return
    labels = images.labels_for("photo")
    for column, (path, X) in zip(st.columns(len(parts)), parts.items(), strict=True):
        with column:
            right = neighbor_accuracy(X, labels)
            st.markdown(f"**`{path}`** · the 5 nearest images name the photo right for **{right:.0%}**")
            result = projection(session, (backbone.fingerprint, path, images.fingerprint), X, "tsne", 2, 10.0)
            if result is None:
                return
            figure = plots.projection_scatter(
                result, ids=images.ids, names=images.names, labels=labels, label_title="photo", height=420
            )
            st.plotly_chart(
                figure, key=f"views {path}", alt=f"t-SNE of 12 views of each photo from {path}, coloured by photo."
            )
