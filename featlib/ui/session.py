"""What a user has chosen. The only module that names `st.session_state`.

Choices are names and numbers, so they fit into the URL: every view is a link.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypedDict, get_args, get_type_hints

import streamlit as st

from featlib.analysis import ChannelOrder, ProjectionMethod
from featlib.features import Pooling
from featlib.images import ImageProblem, ImageSet
from featlib.models import DEFAULT_MODEL, Backbone

KEY = "featlib"
OWN = "own"  # the model that the user has uploaded
UPLOADS = "uploads"  # the images that the user has uploaded
ALWAYS_IN_URL = ("model", "images", "layer", "image")
PAGE_AFTER = {"layer": 0, "channel": 0, "sort": 1}  # another order starts on its first page

Weights = Literal["imagenet", "random"]


@dataclass
class Session:
    """The choices of one user; each field down to `row` is a URL parameter.

    Attributes:
        model: Name of the network, with options as in "MobileNetV2(alpha=0.35)", or "own" for the user's own file.
        weights: What the network has learned from.
        top: Whether to keep the classification layers.
        size: Height and width of the network's input in pixels; 0 for the network's own.
        images: Name of the image set.
        image: Index of the chosen image.
        layer: Path of the chosen layer; empty until the network is loaded.
        pooling: How maps become vectors.
        also: Path of a second layer whose vector is appended; empty for none.
        l2: Whether vectors are scaled to length 1.
        channel: Index of the chosen channel.
        sort: Order of the channels.
        scale: Whether each channel has its own color scale.
        page: Page of channels, from 1; 0 for the page with the chosen channel.
        method: Of the projection.
        dimensions: Of the projection.
        perplexity: Of t-SNE.
        color: Label column that colors the projection; empty for the first.
        tool: What the mouse does.
        label: Label column to predict; empty for the first.
        limit: The most images that a page computes vectors of.
        pixels: Preprocessing of the user's own model; empty for that of the file.
        wrong: Name of the mismatched preprocessing; empty for the first that differs from the right one.
        other: Name of the network on the right; empty for the same one.
        other_weights: Weights of the network on the right; empty for those that differ from the network on the left.
        other_layer: Path of the layer on the right; empty for the one that is most like the layer on the left.
        file: Path of a file or folder of vectors on the server's machine; empty for none.
        drawn: The most rows of it that are drawn.
        row: The chosen row of it, from 1; 0 for none.
        uploads_ref: Returns the user's own images while the session lasts, else None.
        own_ref: Returns the user's own model while the session lasts, else None.
        own_names: Class names of their model as the user wrote them, one per line.
        own_problem: Why the last model file cannot be used.
        upload_problems: What of the last upload cannot be used.
        taken: What was loaded already from each upload widget.
        stopped: Key of the computation that the user stopped.
        notices: What to say once.
    """

    model: str = DEFAULT_MODEL
    weights: Weights = "imagenet"
    top: bool = True
    size: int = 0
    images: str = "photos"
    image: int = 0
    layer: str = ""
    pooling: Pooling = "avg"
    also: str = ""
    l2: bool = False
    channel: int = 0
    sort: ChannelOrder = "index"
    scale: Literal["channel", "shared"] = "channel"
    page: int = 0
    method: ProjectionMethod = "pca"
    dimensions: Literal[2, 3] = 2
    perplexity: float = 30.0
    color: str = ""
    tool: Literal["click", "lasso"] = "click"
    label: str = ""
    limit: int = 300
    pixels: str = ""
    wrong: str = ""
    other: str = ""
    other_weights: Literal["", "imagenet", "random"] = ""
    other_layer: str = ""
    file: str = ""
    drawn: int = 2000
    row: int = 0
    uploads_ref: Callable[[], ImageSet | None] = field(default=lambda: None, metadata={"url": False})
    own_ref: Callable[[], Backbone | None] = field(default=lambda: None, metadata={"url": False})
    own_names: str = field(default="", metadata={"url": False})
    own_problem: str = field(default="", metadata={"url": False})
    upload_problems: tuple[ImageProblem, ...] = field(default=(), metadata={"url": False})
    taken: dict[str, str] = field(default_factory=dict, metadata={"url": False})
    stopped: str = field(default="", metadata={"url": False})
    notices: list[str] = field(default_factory=list, metadata={"url": False})

    @property
    def uploads(self) -> ImageSet | None:
        """The user's own images, or None."""
        return self.uploads_ref()

    @property
    def own(self) -> Backbone | None:
        """The user's own model, or None."""
        return self.own_ref()

    def choose(self, name: str, value: object) -> None:
        """Set the field `name` to a user's choice, and what follows from it."""
        if name == "model" and value != self.model:  # another network has other layers and another size
            self.layer, self.also, self.size, self.page = "", "", 0, 0
        if name == "file" and value != self.file:
            self.row = 0
        if name == "images" and value != self.images:
            self.image = 0
        setattr(self, name, value)
        self.page = PAGE_AFTER.get(name, self.page)
        self.stopped = ""  # another choice is another computation

    def take_notices(self) -> list[str]:
        """Return what to say in this run."""
        notices, self.notices = self.notices, []
        return notices

    def to_query(self) -> dict[str, str]:
        """Return the choices as URL parameters: the main ones always, the others if they differ from the default."""
        defaults = Session()
        query = {}
        for name in url_fields():
            value = getattr(self, name)
            if value != "" and (name in ALWAYS_IN_URL or value != getattr(defaults, name)):
                query[name] = _write(value)
        return query


class Binding(TypedDict):
    """The arguments that tie a Streamlit widget to a field of the session."""

    key: str
    on_change: Callable[[], None]


def url_fields() -> tuple[str, ...]:
    """Return the names of the fields that stand in the URL."""
    return tuple(f.name for f in fields(Session) if f.metadata.get("url", True))


def allowed_values(name: str) -> tuple[Any, ...]:
    """Return the values that the field `name` can take; empty if its type does not list them."""
    return get_args(get_type_hints(Session)[name])


def read_query(query: dict[str, str]) -> Session:
    """Build a session from URL parameters. What cannot be read keeps its default and is noted."""
    session = Session()
    for name in url_fields():
        if name not in query:
            continue
        try:
            setattr(session, name, _read(query[name], getattr(session, name), allowed_values(name)))
        except ValueError:
            session.notices.append(unavailable(name, query[name]))
    return session


def unavailable(name: str, value: object) -> str:
    """Say that a link asks for something that is not there."""
    return f"The link asks for {name}={value}, which is not available; the default is shown."


def current_session() -> Session:
    """Return the session of the user looking at the page, read from the URL when it begins."""
    if KEY not in st.session_state:
        st.session_state[KEY] = read_query(st.query_params.to_dict())
    return st.session_state[KEY]


def write_url(session: Session) -> None:
    """Put the choices into the address bar."""
    query = session.to_query()
    if st.query_params.to_dict() != query:
        st.query_params.from_dict(query)


def bind(name: str, *, shown: Any = ..., second: str = "") -> Binding:  # noqa: ANN401
    """Tie a widget to a field: the widget starts with the field's value, and a change is written back.

    Args:
        name: A field of `Session`.
        shown: What the widget shows, if that is not the field's value.
        second: Distinguishes a second widget of the same field from the first.

    Returns:
        `key` and `on_change` for the widget, which gets no default of its own.
    """
    session = current_session()
    key = f"widget_{name}{second}"
    st.session_state[key] = getattr(session, name) if shown is ... else shown

    def store() -> None:
        if st.session_state[key] is not None:
            session.choose(name, st.session_state[key])

    return Binding(key=key, on_change=store)


def widget_value(key: str) -> Any:  # noqa: ANN401 - a widget's value is anything
    """Return the value of a widget that is not tied to a field."""
    return st.session_state.get(key)


def _write(value: object) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _read(text: str, default: Any, allowed: tuple[Any, ...]) -> Any:  # noqa: ANN401
    if isinstance(default, bool):
        allowed, text = (True, False), {"1": "True", "0": "False"}.get(text, "")
    if allowed:
        named = {str(value): value for value in allowed}
        if text not in named:
            raise ValueError(text)
        return named[text]
    value = type(default)(text)
    if not isinstance(value, str) and not 0 <= value < float("inf"):  # nan is refused too
        raise ValueError(text)
    return value
