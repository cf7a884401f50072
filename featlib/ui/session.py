"""What a person has chosen. The only module that names `st.session_state`.

Choices are names and numbers, so they fit into the URL: every view is a link.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, TypedDict

import streamlit as st

from featlib.features import Pooling
from featlib.images import ImageProblem, ImageSet
from featlib.models import DEFAULT_MODEL, Backbone

KEY = "featlib"
OWN = "own"  # the model that a person has brought
UPLOADS = "uploads"  # the images that a person has brought
ALWAYS_IN_URL = ("model", "images", "layer", "image")
PAGE_AFTER = {"layer": 0, "channel": 0, "sort": 1}  # another order is looked at from its beginning


@dataclass
class Session:
    """The choices of one person; each field down to `row` is a URL parameter.

    Attributes:
        model: name of the network, with options as in "MobileNetV2(alpha=0.35)", or "own" for the person's own file.
        weights: "imagenet" or "random".
        top: whether the classification layers are there.
        size: height and width of the network's input in pixels; 0 for the network's own.
        images: name of the image set.
        image: index of the image looked at.
        layer: path of the layer looked at; empty until the network has said what it has.
        pooling: "avg", "max" or "flatten".
        also: path of a second layer whose vector is appended; empty for none.
        l2: whether vectors are scaled to length 1.
        channel: index of the channel looked at.
        sort: order of the channels.
        scale: "channel" or "shared" colours.
        page: page of channels, from 1, where the person has turned to one; 0 for the page with the channel.
        method: "pca" or "tsne".
        dimensions: of the projection, 2 or 3.
        perplexity: of t-SNE.
        color: label column that colours the projection; empty for the first.
        tool: "click" or "lasso".
        label: label column that the probe learns; empty for the first.
        limit: the most images a batch page uses.
        pixels: preprocessing of the person's own model; empty for what the file shows.
        wrong: name of the wrong preprocessing looked at; empty for one that differs from the right one.
        other: name of the network on the right; empty for the same one.
        other_weights: "imagenet" or "random"; empty for what differs from the network on the left.
        other_layer: path of the layer on the right; empty for the one that is most like the layer on the left.
        file: path of a file or folder of vectors on the server's machine; empty for none.
        drawn: the most rows of it that are drawn.
        row: the row of it looked at, from 1; 0 for none.
        uploads_ref: gives the person's own images while the session lasts, else None.
        own_ref: gives the person's own model while the session lasts, else None.
        own_names: what the person has written as names of their model's classes, one a line.
        own_problem: why the last model file could not be used.
        upload_problems: what of the last upload could not be used.
        taken: what was loaded already from each upload widget.
        stopped: key of the work the person stopped.
        notices: what to say once.
    """

    model: str = DEFAULT_MODEL
    weights: str = "imagenet"
    top: bool = True
    size: int = 0
    images: str = "photos"
    image: int = 0
    layer: str = ""
    pooling: Pooling = "avg"
    also: str = ""
    l2: bool = False
    channel: int = 0
    sort: str = "index"
    scale: str = "channel"
    page: int = 0
    method: str = "pca"
    dimensions: int = 2
    perplexity: float = 30.0
    color: str = ""
    tool: str = "click"
    label: str = ""
    limit: int = 300
    pixels: str = ""
    wrong: str = ""
    other: str = ""
    other_weights: str = ""
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
        """The person's own images, or None."""
        return self.uploads_ref()

    @property
    def own(self) -> Backbone | None:
        """The person's own model, or None."""
        return self.own_ref()

    def choose(self, name: str, value: object) -> None:
        """Sets the field `name` as the person has chosen, and what follows from that."""
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
        """The choices as URL parameters: the main ones always, the others where they differ from the default."""
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
    """Names of the fields that stand in the URL."""
    return tuple(f.name for f in fields(Session) if f.metadata.get("url", True))


def read_query(query: dict[str, str]) -> Session:
    """Builds a session from URL parameters. What cannot be read keeps its default and is noted."""
    session = Session()
    for name in url_fields():
        if name not in query:
            continue
        try:
            setattr(session, name, _read(query[name], getattr(session, name)))
        except ValueError:
            session.notices.append(f"The link says {name}={query[name]}, which is not possible; the default is shown.")
    return session


def current_session() -> Session:
    """The session of the person looking at the page, read from the URL when it begins."""
    if KEY not in st.session_state:
        st.session_state[KEY] = read_query(st.query_params.to_dict())
    return st.session_state[KEY]


def write_url(session: Session) -> None:
    """Puts the choices into the address bar."""
    query = session.to_query()
    if st.query_params.to_dict() != query:
        st.query_params.from_dict(query)


def bind(name: str, *, shown: Any = ..., second: str = "") -> Binding:  # noqa: ANN401
    """Ties a widget to a field: the widget starts with the field's value, and a change is written back.

    Args:
        name: a field of `Session`.
        shown: what the widget shows, where that is not the field's value.
        second: tells a second widget of the same field from the first.

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
    """The value of a widget that is not tied to a field."""
    return st.session_state.get(key)


def _write(value: object) -> str:
    return (
        ("1" if value else "0") if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
    )


def _read(text: str, default: Any) -> Any:  # noqa: ANN401
    if isinstance(default, bool):
        if text not in ("0", "1"):
            raise ValueError(text)
        return text == "1"
    value = type(default)(text)
    if not isinstance(value, str) and not 0 <= value < float("inf"):  # nan is refused too
        raise ValueError(text)
    return value
