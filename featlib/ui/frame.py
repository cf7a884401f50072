"""The frame around every page: page settings, navigation, the choice of network and images, errors.

Nothing here imports TensorFlow, so the frame is on screen before the network is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from featlib.errors import FeatlibError, WeightsNotFoundError
from featlib.images import ImageSet, list_samples, load_samples
from featlib.models import (
    DEFAULT_MODEL,
    PREPROCESSING,
    SIMPLE_PREPROCESSING,
    Backbone,
    ModelChoice,
    check_options,
    find_choice,
    list_models,
    parse_model_name,
    weights_on_disk,
    write_model_name,
)
from featlib.recipes import CodeContext
from featlib.text import printable
from featlib.ui.compute import NotYetError, Stopped
from featlib.ui.session import (
    OWN,
    UPLOADS,
    Session,
    allowed_values,
    bind,
    choose,
    current_session,
    noting_failure,
    open_session,
    start_over,
    unavailable,
)
from featlib.ui.text import plain
from featlib.ui.widgets import choose_own_model

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
# More of the page at once; no second Stop button, whose stop leaves a page without a way to resume; no old results
# beside the progress of new ones; and where columns stack, on a phone, what is picked from comes before what is picked.
STYLE = """<style>
[data-testid="stMainBlockContainer"] { padding-top: 2.5rem; }
[data-testid="stStatusWidget"] button { display: none; }
[data-testid="stMain"] [data-variant="segmented_control"] { min-height: 2.5rem; }
.st-key-results:has([data-testid="stProgress"]) [data-stale="true"] { display: none; }
.st-key-navigation { gap: 0.25rem; }
.st-key-navigation .section { margin: 0.6rem 0 0; font-size: 0.8rem; opacity: 0.65; }
@media (max-width: 640px) {
  .st-key-beside > div > [data-testid="stHorizontalBlock"] > [data-testid="stColumn"]:last-child { order: -1; }
}
</style>"""
WIDTHS = (0.25, 0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
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
    with noting_failure(session):
        _resolve_choices(session)
    st.header(question, anchor=False)
    st.markdown(advice)
    notices = st.container()
    _show_notices(session, notices)
    _show_failure(session)
    with st.sidebar:
        _show_navigation(session)
        st.divider()
        with error_boundary(session):
            _choose_images(session)
            _choose_network(session)
    with error_boundary(session):
        yield session
    _show_notices(session, notices)


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
    except WeightsNotFoundError as error:
        st.error(plain(error))
        with st.container(horizontal=True):
            st.button("Use random weights", on_click=choose, args=("weights", "random"))
            st.button(f"Use {DEFAULT_MODEL}", on_click=choose, args=("model", DEFAULT_MODEL), type="primary")
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
    with st.container(key="results"), error_boundary(session):
        yield


def image_set(session: Session) -> ImageSet:
    """Return the images that a user has chosen: built in or their own."""
    if session.images == UPLOADS and session.uploads is not None:
        return session.uploads
    return load_samples(session.images)


def code_context(session: Session, backbone: Backbone, pooling: str = "avg") -> CodeContext:
    """Return the choices that the page's program needs."""
    return CodeContext(
        backbone=backbone,
        images=None if session.images == UPLOADS else session.images,
        image_index=session.image,
        layer=session.layer or None,
        pooling=pooling,
        channel=session.channel,
    )


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
        st.code("\n".join(printable(line) for line in details.splitlines()), language=None)
    st.button("Start over", key=f"start over {hash(details)}", help="Resets all choices.", on_click=start_over)


def _show_notices(session: Session, place: DeltaGenerator) -> None:
    for notice in session.take_notices():
        place.warning(plain(notice))


def _show_navigation(session: Session) -> None:
    query = session.to_query()  # with it, going to another page is one step in the browser's history
    st.markdown("### featlib")
    with st.container(key="navigation"):
        for section, pages in SECTIONS.items():
            st.html(f'<p class="section">{section}</p>')
            for path, name, icon in pages:
                st.page_link(path, label=name, icon=icon, query_params=query)


def _choose_images(session: Session) -> None:
    titles = {sample.name: f"{sample.title} ({sample.count:,})" for sample in list_samples()}
    if session.uploads is not None:
        titles[UPLOADS] = f"Your images ({len(session.uploads):,})"
    st.selectbox("Images", list(titles), format_func=titles.__getitem__, **bind("images"))


def _choose_network(session: Session) -> None:
    families: dict[str, list[ModelChoice]] = {}
    for choice in list_models():
        families.setdefault(choice.family, []).append(choice)
    titles = {
        members[0].name: f"{family} · embedded" if members[0].embedded else family
        for family, members in families.items()
    }
    family = "" if session.model == OWN else _choice(session).family
    st.selectbox(
        "Network",
        [*titles, OWN],
        format_func={**titles, OWN: "Your own model"}.__getitem__,
        help="The embedded network needs no download. The others are those of keras.applications.",
        **bind("model", second="_family", shown=families[family][0].name if family else OWN),
    )
    if session.model == OWN:
        choose_own_model(session)
    else:
        _choose_version(session, families[family])
        _choose_settings(session)
    st.caption(":material/lock: Nothing you load leaves this machine.")


def _choice(session: Session) -> ModelChoice:
    return find_choice(parse_model_name(session.model)[0])


def _choose_version(session: Session, members: list[ModelChoice]) -> None:
    def title(name: str) -> str:
        choice = find_choice(name)
        size = "" if choice.megabytes is None else f" · {choice.megabytes:,.0f} MB"
        return f"{name}{size}{' · on disk' if weights_on_disk(choice) else ''}"

    choice = _choice(session)
    if len(members) > 1:
        names = [member.name for member in members]
        st.selectbox("Version", names, format_func=title, **bind("model", shown=choice.name))
    if choice.embedded:
        st.caption(choice.description)
    elif weights_on_disk(choice, session.top, session.size or None):
        st.caption(":material/check: Its ImageNet weights are on this machine.")
    elif session.weights == "imagenet":
        size = "" if choice.megabytes is None else f" ({choice.megabytes:,.0f} MB)"
        st.caption(f":material/download: Its ImageNet weights{size} are downloaded once. Random ones need no download.")


def _choose_settings(session: Session) -> None:
    choice = _choice(session)
    with st.expander("Network settings"):
        st.segmented_control(
            "Weights", allowed_values("weights"), help="Random weights show what training has added.", **bind("weights")
        )
        st.toggle("Include top", help="Keep the classification layers, for ImageNet's 1,000 classes.", **bind("top"))
        usual = choice.input_size or Session().size
        st.selectbox(
            "Input size",
            choice.input_sizes or (usual,),
            format_func=lambda size: f"{size} × {size}" if size else "the network's own",
            **bind("size", shown=session.size or usual),
        )
        if "alpha" in choice.options:
            _choose_width(session, choice)
    states = {
        session.model.removeprefix(choice.name): session.model != choice.name,
        "random weights": session.weights == "random",
        "no top": not session.top,
        f"{session.size} × {session.size}": session.size not in (0, choice.input_size),
    }
    changed = ", ".join(state for state, is_changed in states.items() if is_changed)
    if changed:  # the settings may be closed
        st.caption(f":material/tune: {changed}")


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


def _resolve_choices(session: Session) -> None:
    """Replace what a link asks for and is not available, and say so."""
    if session.images == UPLOADS and session.uploads is None:
        session.images = Session().images
        session.notices.append(
            "Uploaded images are not stored, so this link cannot show them. Upload them again on Home; built-in photos "
            "are shown meanwhile."
        )
    counts = {sample.name: sample.count for sample in list_samples()}
    available = {
        "images": (UPLOADS, *counts),
        "pixels": ("", *PREPROCESSING),
        "wrong": ("", *SIMPLE_PREPROCESSING),
    }
    for name, values in available.items():
        _replace_unavailable(session, name, values)
    count = counts.get(session.images, len(session.uploads or ()))
    if count and session.image >= count:
        session.report("image", "the first image")
        session.image = 0
    try:
        session.other = _full_name(session.other) if session.other else ""
    except FeatlibError:
        session.notices.append(unavailable("other", session.other))
        session.other = ""
    if session.model != OWN:
        try:
            session.model = _full_name(session.model)
        except FeatlibError as error:
            session.notices.append(f"The link asks for model={session.model}. {error} {DEFAULT_MODEL} is shown.")
            session.choose("model", DEFAULT_MODEL)
        _replace_unavailable(session, "size", (0, *_choice(session).input_sizes))


def _full_name(model: str) -> str:
    name, options = parse_model_name(model)
    choice = find_choice(name)
    return write_model_name(choice, check_options(choice, options))


def _replace_unavailable(session: Session, name: str, values: tuple[object, ...]) -> None:
    value = getattr(session, name)
    if value not in values:
        session.notices.append(unavailable(name, value))
        setattr(session, name, getattr(Session(), name))
