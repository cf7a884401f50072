"""The user's own images: uploaded, taken with the camera, or in an opened folder."""

from __future__ import annotations

from functools import partial
from typing import Any

import streamlit as st

from featlib.errors import FeatlibError
from featlib.images import (
    MAX_BYTES,
    PLACE_PREFIX,
    ImageProblem,
    ImageSet,
    forget_thumbnails,
    list_uploads,
    load_images,
    open_folders,
)
from featlib.ui.compute import folder_images, forget_traces, read_again
from featlib.ui.session import UPLOADS, Session, choose, current_session, drop_files, guarded, upload_key
from featlib.ui.text import plain
from featlib.ui.uploads import forget_upload, keep_upload, stop_using
from featlib.ui.widgets.folder_browser import browse_folders, place_title, show_how_to_open
from featlib.ui.widgets.panels import show_problems

FILES, FOLDER, CAMERA, OPENED = "Files or a zip", "Upload a folder", "Camera", "Open folder"
TABLES = (".zip", ".csv", ".tsv", ".parquet", ".txt")
BYTES_PER_IMAGE = 1000  # its name and labels


def bring_images(session: Session) -> None:
    """Show the ways to bring images, and what came of it. Files that cannot be read are listed."""
    with st.expander("**Use your own images** · they stay on this machine"):
        is_open = bool(open_folders())
        uploads = session.uploads
        tabs = st.tabs([FILES, FOLDER, CAMERA, OPENED], default=OPENED if is_open and uploads is None else FILES)
        replaced = "" if uploads is None else " New ones take the place of yours."
        with tabs[0]:
            formats = f"JPEG, PNG, WebP, BMP, GIF or TIFF of up to {MAX_BYTES // 2**20} MB each"
            label = f"{formats}, or a zip of them of up to 1 GB.{replaced}"
            _take(session, "files", st.file_uploader(label, accept_multiple_files=True, key=upload_key("files")))
        with tabs[1]:
            label = f"A folder: the names of its sub-folders become the labels.{replaced}"
            key = upload_key("folder")
            _take(session, "folder", st.file_uploader(label, accept_multiple_files="directory", key=key))
        with tabs[2]:
            if st.toggle("Use the camera", help="Works on this machine, or over https."):
                _take(session, "camera", st.camera_input("Take a picture", key=upload_key("camera")))
        with tabs[3]:
            if is_open:
                _choose_place(session)
            else:
                show_how_to_open("images")
        if session.images.startswith(PLACE_PREFIX):
            _show_place(session)
        else:
            _show_uploads(session)


def _take(session: Session, widget: str, uploaded: Any) -> None:  # noqa: ANN401 - an upload, or a list of them
    """Load new files of a widget, once. Earlier images stay if none of the new ones is usable."""
    files = uploaded if isinstance(uploaded, list) else [uploaded] if uploaded else []
    upload_id = " ".join(file.file_id for file in files)
    if not files or session.taken.get(widget) == upload_id:
        return
    bar = st.progress(0.0, text="Reading …")

    def report(done: int, n: int) -> None:
        bar.progress(done / n, text=f"Reading {done:,} of {n:,} images")

    key, problems = "", tuple[ImageProblem, ...]()
    try:
        loaded = load_images(list_uploads(files), name="your images", on_progress=report)
        problems = loaded.problems
        if len(loaded):
            nbytes = sum(item.nbytes + BYTES_PER_IMAGE for item in loaded)
            on_remove = partial(_forget_pictures, frozenset(loaded.ids))
            key = keep_upload(loaded, "images", nbytes, on_remove=on_remove, before=session.upload)
    except FeatlibError as error:
        problems = (*problems, ImageProblem("upload", str(error)))
    session.taken[widget] = upload_id  # only now: after a click in between, it starts over
    session.upload_problems = problems
    if key:
        session.choose("upload", key)
        choose("images", UPLOADS)
    st.rerun()


def _choose_place(session: Session) -> None:
    place, _is_file = browse_folders("images", TABLES, session.folder)
    st.button(
        f"Use {plain(place_title(place))}",
        key="use place",
        type="primary",
        disabled=place == session.images,
        on_click=choose,
        args=("images", place),
        help="The images are read in this place: nothing is uploaded, and a link to this view works for everybody who "
        "can open the app.",
    )


def _show_place(session: Session) -> None:
    images = folder_images(session, session.images)
    title = plain(place_title(session.images))
    st.success(f"{len(images):,} images of {title} are in use{_labels(images)}.")
    st.button("Read them again", on_click=read_again, args=(session.images,), help="If its files have changed.")
    _list_problems(images.problems)


def _show_uploads(session: Session) -> None:
    uploads = session.uploads
    if uploads is not None:
        are = "is" if len(uploads) == 1 else "are"
        st.success(f"{len(uploads):,} of your own images {are} loaded{_labels(uploads)}: “Your images” in the sidebar.")
        st.caption(
            "They stay in this server's memory for your visit and one hour, and what is computed from them for "
            "about an hour. Nothing of it is written to its disk. Whoever has the full link to a view of them can see "
            "them."
        )
        st.button(
            "Forget my images",
            icon=":material/delete:",
            on_click=_forget_images,
            help="Deletes them, and those that they took the place of, from the server's memory now, for everybody who "
            "has a link to them. What was computed from them, such as vectors, follows after about an hour. What "
            "somebody else has brought, who is still here, stays.",
        )
    _list_problems(session.upload_problems)


def _labels(images: ImageSet) -> str:
    return f", labeled by {plain(', '.join(images.label_columns))}" if images.label_columns else ""


def _list_problems(problems: tuple[ImageProblem, ...]) -> None:
    if problems:
        st.warning(f"{len(problems):,} {'file' if len(problems) == 1 else 'files'} could not be used:")
        show_problems([problem.reason for problem in problems])


def _forget_pictures(ids: frozenset[str]) -> None:
    forget_thumbnails(ids)
    forget_traces(ids)


@guarded
def _forget_images() -> None:
    session = current_session()
    if not forget_upload(session.upload):
        stop_using("images")
        session.notices.append("The images stay with the visitor who has brought them; you no longer see them.")
    drop_files()
    session.upload, session.upload_problems = "", ()
    choose("images", Session().images if session.images == UPLOADS else session.images)
