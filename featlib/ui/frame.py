"""The frame around every page: page settings, navigation, the choice of network and images, errors, the URL.

Nothing here imports TensorFlow, so the frame is on screen before the network is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import streamlit as st

from featlib.errors import FeatlibError, WeightsNotFoundError
from featlib.images import ImageSet, list_samples, load_samples
from featlib.models import (
    DEFAULT_MODEL,
    PREPROCESSING,
    SIMPLE_PREPROCESSING,
    Backbone,
    ModelChoice,
    Option,
    check_options,
    find_choice,
    list_models,
    parse_model_name,
    weights_on_disk,
    write_model_name,
)
from featlib.recipes import CodeContext
from featlib.ui.compute import NotYetError, Stopped
from featlib.ui.session import OWN, UPLOADS, Session, bind, current_session, write_url
from featlib.ui.text import plain
from featlib.ui.widgets.own_model import choose_own_model

PAGES = (
    ("app.py", "Home", ":material/home:"),
    ("pages/preprocessing.py", "What goes in", ":material/tune:"),
    ("pages/layers.py", "Layers", ":material/layers:"),
    ("pages/feature_maps.py", "Feature maps", ":material/grid_view:"),
    ("pages/vectors.py", "Vectors", ":material/view_week:"),
    ("pages/projection.py", "Projection", ":material/scatter_plot:"),
    ("pages/vector_files.py", "Vector files", ":material/database:"),
    ("pages/compare.py", "Side by side", ":material/compare:"),
    ("pages/layer_probe.py", "Best layer", ":material/stacked_line_chart:"),
    ("pages/transfer.py", "Transfer", ":material/school:"),
)
# More of the page at once; no second Stop button, whose stop leaves a page without a way to go on; and where columns
# stack, on a phone, what is picked from comes before what is picked.
STYLE = """<style>
[data-testid="stMainBlockContainer"] { padding-top: 2.5rem; }
[data-testid="stStatusWidget"] button { display: none; }
[data-testid="stMain"] [data-variant="segmented_control"] { min-height: 2.5rem; }
@media (max-width: 640px) {
  .st-key-beside > div > [data-testid="stHorizontalBlock"] > [data-testid="stColumn"]:last-child { order: -1; }
}
</style>"""
WIDTHS = (0.25, 0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
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
    for notice in session.take_notices():
        st.warning(plain(notice))
    with error_boundary(session):
        yield session
    write_url(session)


@contextmanager
def error_boundary(session: Session) -> Iterator[None]:
    """Show a FeatlibError as one sentence, with the ways out if there are any; offer to resume what was stopped."""
    try:
        yield
    except WeightsNotFoundError as error:
        st.error(plain(error))
        with st.container(horizontal=True):
            st.button("Use random weights", on_click=setattr, args=(session, "weights", "random"))
            st.button(f"Use {DEFAULT_MODEL}", on_click=session.choose, args=("model", DEFAULT_MODEL), type="primary")
    except Stopped:
        st.info("Stopped.")
        st.button("Resume", on_click=setattr, args=(session, "stopped", ""))
    except NotYetError as error:
        st.info(plain(error))
    except FeatlibError as error:
        st.error(plain(error))


@contextmanager
def results(session: Session) -> Iterator[None]:
    """Hold the part of a page that is computed: an error, or a stopped computation, leaves the rest of the page."""
    with st.container(), error_boundary(session):
        yield


def image_set(session: Session) -> ImageSet:
    """The images a person has chosen: built in or their own."""
    if session.images == UPLOADS and session.uploads is not None:
        return session.uploads
    return load_samples(session.images)


def code_context(session: Session, backbone: Backbone, pooling: str = "avg") -> CodeContext:
    """The choices that the page's program needs."""
    return CodeContext(
        backbone=backbone,
        images=None if session.images == UPLOADS else session.images,
        image_index=session.image,
        layer=session.layer or None,
        pooling=pooling,
        channel=session.channel,
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
    families = _families()
    family = "" if session.model == OWN else _choice(session).family
    st.selectbox(
        "Network",
        [members[0].name for members in families.values()] + [OWN],
        format_func=_family_title,
        help="The embedded network needs no download. The others are those of keras.applications.",
        **bind("model", second="_family", shown=families[family][0].name if family else OWN),
    )
    if session.model == OWN:
        choose_own_model(session)
    else:
        _choose_member(session, families[family])
        _network_settings(session)
    st.caption(":material/lock: Nothing you load leaves this machine.")


def _families() -> dict[str, list[ModelChoice]]:
    families: dict[str, list[ModelChoice]] = {}
    for choice in list_models():
        families.setdefault(choice.family, []).append(choice)
    return families


def _family_title(name: str) -> str:
    if name == OWN:
        return "Your own model"
    choice = find_choice(name)
    return f"{choice.family} · embedded" if choice.embedded else choice.family


def _choice(session: Session) -> ModelChoice:
    return find_choice(parse_model_name(session.model)[0])


def _choose_member(session: Session, members: list[ModelChoice]) -> None:
    choice = _choice(session)
    if len(members) > 1:
        st.selectbox(
            "Version",
            [member.name for member in members],
            format_func=lambda name: _member_title(find_choice(name)),
            **bind("model", shown=choice.name),
        )
    if choice.embedded:
        st.caption(choice.description)
    elif weights_on_disk(choice, session.top, session.size or None):
        st.caption(":material/check: Its ImageNet weights are on this machine.")
    elif session.weights == "imagenet":
        size = "" if choice.megabytes is None else f" ({choice.megabytes:,.0f} MB)"
        st.caption(f":material/download: Its ImageNet weights{size} are downloaded once. Random ones need no download.")


def _member_title(choice: ModelChoice) -> str:
    size = "" if choice.megabytes is None else f" · {choice.megabytes:,.0f} MB"
    return f"{choice.name}{size}{' · on disk' if weights_on_disk(choice) else ''}"


def _network_settings(session: Session) -> None:
    choice = _choice(session)
    with st.expander("Network settings"):
        st.segmented_control(
            "Weights",
            ["imagenet", "random"],
            help="Random weights show what training has added.",
            **bind("weights"),
        )
        st.toggle("Include top", help="Keep the layers that name one of 1,000 classes.", **bind("top"))
        usual = choice.input_size or Session().size
        st.selectbox(
            "Input size",
            choice.input_sizes or (usual,),
            format_func=lambda size: f"{size} × {size}" if size else "the network's own",
            **bind("size", shown=session.size or usual),
        )
        if "alpha" in choice.options:
            _choose_width(session, choice)
    unusual = _unusual(session, choice)
    if unusual:
        st.caption(f":material/tune: {unusual}")


def _choose_width(session: Session, choice: ModelChoice) -> None:
    options = parse_model_name(session.model)[1]
    alpha = options.get("alpha", choice.options["alpha"])
    names = {write_model_name(choice, {**options, "alpha": width}): width for width in sorted({*WIDTHS, float(alpha)})}
    st.selectbox(
        "Width (alpha)",
        list(names),
        format_func=lambda name: f"{names[name]:g}",
        help="Share of the channels in each layer. ImageNet weights exist for some widths only.",
        **bind("model", second="_alpha", shown=write_model_name(choice, {**options, "alpha": float(alpha)})),
    )


def _unusual(session: Session, choice: ModelChoice) -> str:
    """What is not as usual about the network; the settings may be closed."""
    states = {
        session.model.removeprefix(choice.name): session.model != choice.name,
        "random weights": session.weights == "random",
        "no top": not session.top,
        f"{session.size} × {session.size}": session.size not in (0, choice.input_size),
    }
    return ", ".join(state for state, true in states.items() if true)


def _check_choices(session: Session) -> None:
    """Replaces what the link asks for and cannot be had, and says so."""
    allowed: dict[str, Sequence[object]] = {
        "weights": ["imagenet", "random"],
        "images": [sample.name for sample in list_samples()] + [UPLOADS] * (session.uploads is not None),
        "pooling": ["avg", "max", "flatten"],
        "sort": ["index", "mean", "max", "sparsity"],
        "scale": ["channel", "shared"],
        "method": ["pca", "tsne"],
        "dimensions": [2, 3],
        "tool": ["click", "lasso"],
        "pixels": ["", *PREPROCESSING],
        "wrong": ["", *SIMPLE_PREPROCESSING],
        "other_weights": ["", "imagenet", "random"],
    }
    defaults = Session()
    for name, values in allowed.items():
        _check_choice(session, name, values, getattr(defaults, name))
    _check_model(session)
    _check_other(session)
    if session.model != OWN:
        _check_choice(session, "size", (0, *_choice(session).input_sizes), defaults.size)


def _check_model(session: Session) -> None:
    if session.model == OWN:
        return
    try:
        session.model = write_model_name(*_find_network(session.model))
    except FeatlibError as error:
        session.notices.append(f"The link says model={session.model}. {error} {DEFAULT_MODEL} is shown.")
        session.choose("model", DEFAULT_MODEL)


def _check_other(session: Session) -> None:
    if not session.other:
        return
    try:
        session.other = write_model_name(*_find_network(session.other))
    except FeatlibError:
        session.notices.append(_unavailable("other", session.other))
        session.other = ""


def _find_network(name: str) -> tuple[ModelChoice, dict[str, Option]]:
    base, options = parse_model_name(name)
    choice = find_choice(base)
    return choice, check_options(choice, options)


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
