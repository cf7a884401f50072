"""Choices that a link makes and that are not available: what is shown instead."""

from __future__ import annotations

from contextlib import suppress

from featlib.errors import FeatlibError, ImageError
from featlib.images import PLACE_PREFIX, find_place, list_samples
from featlib.models import (
    DEFAULT_MODEL,
    PREPROCESSING,
    SIMPLE_PREPROCESSING,
    ModelChoice,
    check_options,
    find_choice,
    parse_model_name,
    write_model_name,
)
from featlib.ui.session import OWN, UPLOADS, Session, drop_files, unavailable
from featlib.ui.uploads import place_key, why_gone


def resolve_choices(session: Session) -> None:
    """Replace what a link asks for and is not available, and say so."""
    if session.uploads is None and (session.upload or session.images == UPLOADS):
        drop_files()  # of what was forgotten in another tab
        if session.images == UPLOADS:
            session.notices.append(
                f"The images of this link {why_gone(session.upload)}: uploads are kept for the visit and one hour. "
                "Upload them again on Home; built-in photos are shown meanwhile."
            )
            session.images = Session().images
        session.upload = ""
    if session.images.startswith(PLACE_PREFIX):
        try:
            folder, below = find_place(session.images)
            folder.find(below)
        except ImageError as error:
            session.notices.append(f"{error} Built-in photos are shown meanwhile.")
            session.images = Session().images
    if session.own_key.startswith(PLACE_PREFIX) and session.own_key not in session.loaded:
        with suppress(FeatlibError):  # others may have loaded it, as it is now
            session.loaded[session.own_key] = place_key(session.own_key)
    counts = {sample.name: sample.count for sample in list_samples()}
    available = {
        "images": (UPLOADS, *counts, *([session.images] if session.images.startswith(PLACE_PREFIX) else [])),
        "pixels": ("", *PREPROCESSING),
        "wrong": ("", *SIMPLE_PREPROCESSING),
    }
    for name, values in available.items():
        _replace_unavailable(session, name, values)
    count = len(session.uploads or ()) if session.images == UPLOADS else counts.get(session.images, 0)
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
        _replace_unavailable(session, "size", (0, *chosen_model(session).input_sizes))


def _full_name(model: str) -> str:
    name, options = parse_model_name(model)
    choice = find_choice(name)
    return write_model_name(choice, check_options(choice, options))


def _replace_unavailable(session: Session, name: str, values: tuple[object, ...]) -> None:
    value = getattr(session, name)
    if value not in values:
        session.notices.append(unavailable(name, value))
        setattr(session, name, getattr(Session(), name))


def chosen_model(session: Session) -> ModelChoice:
    """Return the catalog entry of the chosen network, which is not the user's own."""
    return find_choice(parse_model_name(session.model)[0])
