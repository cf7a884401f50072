"""The frame around every page: page settings, navigation, the choice of network and images, errors, the URL.

Nothing here imports TensorFlow, so the frame is on screen before the network is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import streamlit as st

from featlib.errors import FeatlibError, WeightsNotFoundError
from featlib.images import ImageSet, list_samples, load_samples
from featlib.models import DEFAULT_MODEL, Backbone, list_models
from featlib.recipes import UPLOADS, Scene
from featlib.ui.session import Session, bind, current_session, write_url
from featlib.ui.text import plain

PAGES = (
    ("app.py", "Home", ":material/home:"),
    ("pages/preprocessing.py", "What goes in", ":material/tune:"),
    ("pages/layers.py", "Layers", ":material/layers:"),
    ("pages/feature_maps.py", "Feature maps", ":material/grid_view:"),
    ("pages/vectors.py", "Vectors", ":material/view_week:"),
    ("pages/projection.py", "Projection", ":material/scatter_plot:"),
    ("pages/compare.py", "Side by side", ":material/compare:"),
    ("pages/transfer.py", "Transfer", ":material/school:"),
)
# More of the page at once; no second Stop button, whose stop leaves a page without a way to go on; and where columns
# stack, on a phone, what is picked from comes before what is picked.
STYLE = """<style>
[data-testid="stMainBlockContainer"] { padding-top: 2.5rem; }
[data-testid="stStatusWidget"] button { display: none; }
@media (max-width: 640px) {
  .st-key-beside > div > [data-testid="stHorizontalBlock"] > [data-testid="stColumn"]:last-child { order: -1; }
}
</style>"""
FAVICON = "👁️"  # an emoji: a material icon would be fetched from a font host


@contextmanager
def page(name: str, question: str, advice: str) -> Iterator[Session]:
    """Draws the frame, then the page inside it.

    Args:
        name: the page's name in the navigation.
        question: what a person finds out here; the heading.
        advice: what to do here, in one sentence.

    Yields:
        The session, with choices that are possible.
    """
    st.set_page_config(page_title=f"{name} · featlib", page_icon=FAVICON, layout="wide")
    st.html(STYLE)
    session = current_session()
    _check_choices(session)
    with st.sidebar:
        _navigation()
        _choose_images(session)
        _choose_network(session)
    st.header(question, anchor=False)
    st.markdown(advice)
    for notice in session.notices:
        st.warning(plain(notice))
    session.notices.clear()
    with error_boundary(session):
        yield session
    write_url(session)


@contextmanager
def error_boundary(session: Session) -> Iterator[None]:
    """Shows a FeatlibError as one sentence, with the ways out where there are some."""
    try:
        yield
    except WeightsNotFoundError as error:
        st.error(plain(error))
        with st.container(horizontal=True):
            st.button("Use random weights", on_click=setattr, args=(session, "weights", "random"))
            st.button(f"Use {DEFAULT_MODEL}", on_click=setattr, args=(session, "model", DEFAULT_MODEL), type="primary")
    except FeatlibError as error:
        st.error(plain(error))


def image_set(session: Session) -> ImageSet:
    """The images a person has chosen: built in or their own."""
    if session.images == UPLOADS and session.uploads is not None:
        return session.uploads
    return load_samples(session.images)


def scene(session: Session, backbone: Backbone, pooling: str = "avg") -> Scene:
    """The choices that the page's program needs."""
    return Scene(
        model=session.model,
        weights=session.weights,
        include_top=session.top,
        input_size=session.size,
        images=session.images,
        image_index=session.image,
        layer=session.layer,
        pooling=pooling,
        channel=session.channel,
        without_maps=frozenset(info.path for info in backbone.layers if info.kind != "maps"),
    )


def link_to(name: str, label: str) -> None:
    """A link to another page, with its icon."""
    path, _, icon = next(entry for entry in PAGES if entry[1] == name)
    st.page_link(path, label=label, icon=icon)


def _navigation() -> None:
    st.markdown("### featlib")
    for path, name, icon in PAGES:
        st.page_link(path, label=name, icon=icon)


def _choose_images(session: Session) -> None:
    st.divider()
    titles = {sample.name: f"{sample.title} ({sample.count:,})" for sample in list_samples()}
    if session.uploads is not None:
        titles[UPLOADS] = f"Your images ({len(session.uploads):,})"
    st.selectbox("Images", list(titles), format_func=lambda name: titles[name], **bind("images"))


def _choose_network(session: Session) -> None:
    choices = {choice.name: choice for choice in list_models()}
    st.selectbox("Network", list(choices), help=choices[session.model].description, **bind("model"))
    with st.expander("Network settings"):
        st.segmented_control(
            "Weights",
            ["imagenet", "random"],
            help="Random weights show what training has added.",
            **bind("weights"),
        )
        st.toggle("Include top", help="Keep the layers that name one of 1,000 classes.", **bind("top"))
        st.selectbox(
            "Input size",
            choices[session.model].input_sizes,
            format_func=lambda size: f"{size} × {size}",
            **bind("size"),
        )
    unusual = _unusual(session)
    if unusual:
        st.caption(f":material/tune: {unusual}")
    st.caption(":material/lock: Nothing you load leaves this machine.")


def _unusual(session: Session) -> str:
    """What is not as usual about the network; the settings may be closed."""
    size = f"{session.size} × {session.size}"
    states = {
        "random weights": session.weights == "random",
        "no top": not session.top,
        size: session.size != Session().size,
    }
    return ", ".join(state for state, true in states.items() if true)


def _check_choices(session: Session) -> None:
    """Replaces what the link asks for and cannot be had, and says so."""
    allowed: dict[str, Sequence[object]] = {
        "model": [choice.name for choice in list_models()],
        "weights": ["imagenet", "random"],
        "images": [sample.name for sample in list_samples()] + [UPLOADS] * (session.uploads is not None),
        "pooling": ["avg", "max", "flatten"],
        "sort": ["index", "mean", "max", "sparsity"],
        "scale": ["channel", "shared"],
        "method": ["pca", "tsne"],
        "dimensions": [2, 3],
        "tool": ["click", "lasso"],
        "wrong": ["", "none", "unit", "tf", "torch", "caffe", "lite0"],
        "other": ["", *(choice.name for choice in list_models())],
        "other_weights": ["", "imagenet", "random"],
    }
    defaults = Session()
    for name, values in allowed.items():
        _check_choice(session, name, values, getattr(defaults, name))
    sizes = next(choice.input_sizes for choice in list_models() if choice.name == session.model)
    _check_choice(session, "size", sizes, defaults.size)


def _check_choice(session: Session, name: str, allowed: Sequence[object], default: object) -> None:
    value = getattr(session, name)
    if value not in allowed:
        session.notices.append(_unavailable(name, value))
        setattr(session, name, default)


def _unavailable(name: str, value: object) -> str:
    if value == UPLOADS:
        return (
            "This link shows images that somebody uploaded. They never left that visit; upload them again on Home. "
            "Built-in photos are shown."
        )
    return f"The link says {name}={value}, which is not available; the default is shown."
