"""The frame around every page: page settings, navigation, the choice of network and images, errors.

Nothing here imports TensorFlow, so the frame is on screen before the network is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlencode

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from featlib.errors import FeatlibError, WeightsNotFoundError
from featlib.images import PLACE_PREFIX, ImageSet, load_samples
from featlib.models import DEFAULT_MODEL, Backbone
from featlib.recipes import CodeContext
from featlib.text import printable
from featlib.ui.compute import (
    DownloadNeededError,
    NotYetError,
    Stopped,
    UnloadedModelError,
    computing_device,
    folder_images,
)
from featlib.ui.resolve import resolve_choices
from featlib.ui.session import (
    OWN,
    UPLOADS,
    Session,
    choose,
    current_session,
    noting_failure,
    open_session,
    start_over,
)
from featlib.ui.sidebar import choose_images, choose_network
from featlib.ui.text import plain, shorten_paths
from featlib.ui.uploads import is_key
from featlib.ui.widgets import ask_for_model, copy_link, take_own_model

# section -> (script, name, icon) of each page; the name is that of the script and of the URL
SECTIONS = {
    "Start": (("app.py", "Home", ":material/home:"),),
    "One image": (
        ("pages/preprocessing.py", "Preprocessing", ":material/tune:"),
        ("pages/layers.py", "Layers", ":material/layers:"),
        ("pages/feature_maps.py", "Feature maps", ":material/grid_view:"),
    ),
    "Many images": (
        ("pages/vectors.py", "Vectors", ":material/view_week:"),
        ("pages/projection.py", "Projection", ":material/scatter_plot:"),
        ("pages/vector_files.py", "Vector files", ":material/database:"),
    ),
    "Transfer learning": (
        ("pages/layer_probe.py", "Layer probe", ":material/stacked_line_chart:"),
        ("pages/compare.py", "Compare", ":material/compare:"),
        ("pages/transfer.py", "Transfer", ":material/school:"),
    ),
}
# What a parameter of the URL shows to others, unless it names a place in an opened folder.
PRIVATE = {"upload": "your images", "own": "your model", "file": "your vectors"}
# More of the page at once; no second Stop button, whose stop leaves a page without a way to resume; no old results
# beside the progress of new ones, but an old plot, marked; and where columns stack, on a phone, what is picked from
# comes before what is picked.
STYLE = """<style>
[data-testid="stMainBlockContainer"] { padding: 3.75rem clamp(1rem, 2.5vw, 3rem) 3rem; }
[data-testid="stMain"] { scrollbar-gutter: stable; }
[data-testid="stMain"] h2 { padding: 0; }
[data-testid="stStatusWidget"] button { display: none; }
[data-testid="stMain"] [data-variant="segmented_control"] { min-height: 2.5rem; }
.st-key-results:has([data-testid="stProgress"]) [data-stale="true"]:not(.st-key-plot *) { display: none; }
.st-key-plot:has([data-stale="true"])::before { content: "Outdated: the new plot is being computed"; position: absolute;
  z-index: 1; padding: 0.2rem 0.6rem; border-radius: 0.5rem; font-size: 0.875rem; color: #fff; background: #9a5b00;
  animation: appear 0.5s step-end both; }
[data-testid="stLayoutWrapper"]:has(> .st-key-canvas) { height: clamp(360px, calc(100vh - 400px), 900px); flex: none; }
.st-key-canvas { height: 100%; overflow: hidden; }
@keyframes appear { from { visibility: hidden; } to { visibility: visible; } }
.st-key-navigation { gap: 0.25rem; }
.st-key-navigation .section { margin: 0.6rem 0 0; font-size: 0.8rem; opacity: 0.65; }
@media (max-width: 640px), (max-height: 800px) {
  [data-testid="stMainBlockContainer"] > [data-testid="stVerticalBlock"] { gap: 0.75rem; }
  .st-key-heading h2 { font-size: 1.75rem; }
}
@media (max-width: 640px) {
  .st-key-beside > div > [data-testid="stHorizontalBlock"] > [data-testid="stColumn"]:last-child { order: -1; }
}
</style>"""
PRESENTING = """<style>
[data-testid="stSidebar"], [data-testid="stExpandSidebarButton"], .st-key-code { display: none; }
[data-testid="stMainBlockContainer"] { padding-left: 2rem; padding-right: 2rem; }
</style>"""
FAVICON = "👁️"  # an emoji: a material icon would be fetched from a font host


@contextmanager
def page(name: str, question: str, advice: str) -> Iterator[Session]:
    """Draw the frame, then the page inside it.

    Args:
        name: The page's name in the navigation.
        question: What a user finds out here; the heading.
        advice: What to do here, in one sentence.

    Yields:
        The session, with choices that are available.
    """
    st.set_page_config(page_title=f"{name} · featlib", page_icon=FAVICON, layout="wide")
    st.html(STYLE)
    session = open_session()
    if session.present:
        st.html(PRESENTING)
    with noting_failure(session):
        resolve_choices(session)
    _show_heading(session, name, question)
    st.markdown(advice)
    notices = st.container()
    _show_notices(session, notices)
    _show_failure(session)
    with st.sidebar:
        _show_navigation(session)
        st.divider()
        with error_boundary(session):
            choose_images(session)
            choose_network(session)
        device = st.empty()
        _show_device(device)
    with error_boundary(session):
        take_own_model(session)
        yield session
    _show_notices(session, notices)
    _show_device(device)  # TensorFlow may have been imported by now


@contextmanager
def error_boundary(session: Session) -> Iterator[None]:
    """Show an error as one sentence with the ways out, so that the rest of the page stays; log an unexpected one."""
    with noting_failure(session), _expected_errors(session):
        yield
    _show_failure(session)


@contextmanager
def _expected_errors(session: Session) -> Iterator[None]:
    """Show a FeatlibError, with the ways out if there are any; offer to resume what was stopped."""
    try:
        yield
    except DownloadNeededError as error:
        st.info(plain(error))
        with st.container(horizontal=True):
            st.button(f"Download {error.size}", on_click=session.downloads.add, args=(error.name,), type="primary")
            _show_substitutes()
    except WeightsNotFoundError as error:
        st.error(plain(error))
        with st.container(horizontal=True):
            _show_substitutes()
    except Stopped:
        st.info("Stopped.")
        st.button("Resume", on_click=setattr, args=(session, "stopped", ""))
    except UnloadedModelError as error:
        st.info(plain(error))
        st.button("Load it", key="load linked model", type="primary", on_click=ask_for_model, args=(error.place,))
    except NotYetError as error:
        st.info(plain(error))
    except FeatlibError as error:
        st.error(plain(error))


@contextmanager
def results(session: Session) -> Iterator[None]:
    """Hold the part of a page that is computed: an error, or a stopped computation, leaves the rest of the page."""
    with st.container(key="results"), error_boundary(session):
        yield


def image_set(session: Session) -> ImageSet:
    """Return the images that a user has chosen: built in, in an opened folder, or their own.

    Raises:
        ImageError: There is no such folder, or no image in it can be read.
    """
    if session.images == UPLOADS and session.uploads is not None:
        return session.uploads
    if session.images.startswith(PLACE_PREFIX):
        return folder_images(session, session.images)
    return load_samples(session.images)


def code_context(session: Session, backbone: Backbone, pooling: str = "avg") -> CodeContext:
    """Return the choices that the page's program needs."""
    return CodeContext(
        backbone=backbone,
        images=None if session.has_own_images else session.images,
        image_index=session.image,
        image_name=_unique_name(image_set(session), session.image) if session.has_own_images else None,
        layer=session.layer or None,
        pooling=pooling,
        channel=session.channel,
    )


def _show_substitutes() -> None:
    st.button("Use random weights", on_click=choose, args=("weights", "random"))
    st.button(f"Use {DEFAULT_MODEL}", on_click=choose, args=("model", DEFAULT_MODEL))


def _unique_name(images: ImageSet, index: int) -> str | None:
    """Return the name of an image if no other has it, else None."""
    name = images.names[index] if index < len(images) else ""
    return name if images.names.count(name) == 1 else None


def link_to(name: str, label: str) -> None:
    """Draw a link to the page of this name, with its icon."""
    path, _, icon = next(entry for pages in SECTIONS.values() for entry in pages if entry[1] == name)
    st.page_link(path, label=label, icon=icon, query_params=current_session().to_query())


def _show_failure(session: Session) -> None:
    """Show an unexpected error, of this part of the page or of the callback before it."""
    if not session.failure:
        return
    details, session.failure = session.failure, ""
    st.error("Something here has failed. That is a fault of featlib, not yours. Your choices are kept.")
    with st.expander("Details, for a bug report"):
        # Whoever can open the app sees this; the log has the whole paths.
        st.code("\n".join(printable(line) for line in shorten_paths(details).splitlines()), language=None)
    st.button("Start over", key=f"start over {hash(details)}", help="Resets all choices.", on_click=start_over)


def _show_notices(session: Session, place: DeltaGenerator) -> None:
    for notice in session.take_notices():
        place.warning(plain(notice))


def _show_heading(session: Session, name: str, question: str) -> None:
    with st.container(key="heading", horizontal=True, vertical_alignment="center"):
        st.header(question, anchor=False)
        query = session.to_query()
        for parameter in hidden_parameters(session, name):
            query.pop(parameter, None)
        private = [what for parameter, what in PRIVATE.items() if is_key(query.get(parameter, ""))]
        copy_link(urlencode(query), f"It shows {' and '.join(private)}." if private else "")
        if session.present:
            label, icon = "Leave presenter view", ":material/fullscreen_exit:"
        else:
            label, icon = "Present", ":material/fullscreen:"
        advice = "Hides the sidebar and the code, for an audience."
        st.button(
            label, icon=icon, type="tertiary", help=advice, on_click=choose, args=("present", not session.present)
        )


def hidden_parameters(session: Session, name: str) -> set[str]:
    """Return the parameters of the URL that the page `name` does not show: a link to it need not give them away."""
    hidden = set() if name == "Vector files" else {"file", "drawn", "row"}
    if session.images != UPLOADS:
        hidden |= {"upload"}
    if session.model != OWN:
        hidden |= {"own"}
    if name in ("Layers", "Vector files"):
        hidden |= {"images", "image", "upload"}
    if name == "Vector files":
        hidden |= {"model", "own", "layer"}
    return hidden


def _show_device(place: DeltaGenerator) -> None:
    if device := computing_device():
        place.caption(f":material/memory: Computed on the {device}.")


def _show_navigation(session: Session) -> None:
    query = session.to_query()  # with it, going to another page is one step in the browser's history
    st.markdown("### featlib")
    with st.container(key="navigation"):
        for section, pages in SECTIONS.items():
            st.html(f'<p class="section">{section}</p>')
            for path, name, icon in pages:
                st.page_link(path, label=name, icon=icon, query_params=query)
