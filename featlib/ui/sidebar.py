"""The choice of images and network, in the sidebar of every page."""

from __future__ import annotations

import streamlit as st

from featlib.images import PLACE_PREFIX, list_samples
from featlib.models import (
    ModelChoice,
    find_choice,
    list_models,
    parse_model_name,
    weights_on_disk,
    write_model_name,
)
from featlib.ui.compute import missing_weights
from featlib.ui.resolve import chosen_model
from featlib.ui.session import OWN, UPLOADS, Session, allowed_values, bind
from featlib.ui.widgets import choose_own_model, place_title

WIDTHS = (0.25, 0.35, 0.5, 0.75, 1.0, 1.3, 1.4)


def choose_images(session: Session) -> None:
    """Show the built-in sets, the images of the opened folder that was chosen last, and the user's own."""
    titles = {sample.name: f"{sample.title} ({sample.count:,})" for sample in list_samples()}
    if session.uploads is not None:
        titles[UPLOADS] = f"Your images ({len(session.uploads):,})"
    if session.images.startswith(PLACE_PREFIX):
        session.folder = session.images
    if session.folder:
        titles[session.folder] = place_title(session.folder)
    st.selectbox("Images", list(titles), format_func=titles.__getitem__, **bind("images"))


def choose_network(session: Session) -> None:
    """Show the networks by family, and the settings of the chosen one."""
    families: dict[str, list[ModelChoice]] = {}
    for choice in list_models():
        families.setdefault(choice.family, []).append(choice)
    family = "" if session.model == OWN else chosen_model(session).family
    # A family is chosen by its first member whose weights are on disk.
    first = {name: next(filter(weights_on_disk, members), members[0]) for name, members in families.items()}
    titles = {choice.name: f"{name} · embedded" if choice.embedded else name for name, choice in first.items()}
    st.selectbox(
        "Network",
        [*titles, OWN],
        format_func={**titles, OWN: "Your own model"}.__getitem__,
        help="The embedded network needs no download. The others are those of keras.applications.",
        **bind("model", second="_family", shown=first[family].name if family else OWN),
    )
    if session.model == OWN:
        choose_own_model(session)
    else:
        _choose_version(session, families[family])
        _choose_settings(session)
    st.caption(":material/lock: Nothing you load leaves this machine.")


def _choose_version(session: Session, members: list[ModelChoice]) -> None:
    def title(name: str) -> str:
        choice = find_choice(name)
        size = "" if choice.megabytes is None else f" · {choice.megabytes:,.0f} MB"
        return f"{name}{size}{' · on disk' if weights_on_disk(choice) else ''}"

    choice = chosen_model(session)
    if len(members) > 1:
        names = [member.name for member in members]
        st.selectbox("Version", names, format_func=title, **bind("model", shown=choice.name))
    if choice.embedded:
        st.caption(choice.description)
    elif missing_weights(session.model, session.top, session.size) is None:
        st.caption(":material/check: Its ImageNet weights are on this machine.")


def _choose_settings(session: Session) -> None:
    choice = chosen_model(session)
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
