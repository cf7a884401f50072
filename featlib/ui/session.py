"""What a user has chosen. The only module that names `st.session_state` and `st.query_params`.

Choices are names and numbers, so they fit into the URL: every view is a link. A choice writes the URL, one step in the
browser's history; it is read when a session begins and after Back or Forward. Nothing else reads or writes it.
"""

from __future__ import annotations

import functools
import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, ParamSpec, TypedDict, get_args, get_type_hints

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from featlib.analysis import ChannelOrder, ProjectionMethod
from featlib.errors import FeatlibError
from featlib.features import Pooling
from featlib.images import PLACE_PREFIX, ImageProblem, ImageSet
from featlib.models import DEFAULT_MODEL, Backbone
from featlib.ui.uploads import OwnModel, find_upload, keep_upload

KEY = "featlib"
OWN = "own"  # the model that the user has uploaded
UPLOADS = "uploads"  # the images that the user has uploaded
ALWAYS_IN_URL = ("model", "images", "layer", "image")
KEYS = ("upload", "own_key")  # they open what the user has brought; Back does not take it away
# What has no meaning any more once another value is chosen.
FOLLOWS = {
    "model": ("layer", "also", "size", "page", "channel"),
    "images": ("image", "color", "label", "cell"),
    "upload": ("image", "color", "label", "cell"),
    "own_key": ("layer", "also", "page", "channel", "pixels"),
    "label": ("cell",),
    "layer": ("page", "channel"),
    "file": ("row", "color"),
    "other": ("other_layer",),
}
PAGE_AFTER = {"channel": 0, "sort": 1}  # another order starts on its first page

Weights = Literal["imagenet", "random"]
P = ParamSpec("P")


@dataclass
class Session:
    """The choices of one user; each field down to `own_key` is a URL parameter.

    Attributes:
        model: Name of the network, with options as in "MobileNetV2(alpha=0.35)", or "own" for the user's own file.
        weights: What the network has learned from.
        top: Whether to keep the classification layers.
        size: Height and width of the network's input in pixels; 0 for the network's own.
        images: The image set: a built-in name, "uploads", or "folder:NAME/PATH" in an opened folder.
        image: Index of the chosen image.
        layer: Path of the chosen layer, or a stage that any network has, such as "stage:last"; empty for the default.
        pooling: How maps become vectors.
        also: Path or stage of a second layer whose vector is appended; empty for none.
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
        cell: Cell of the confusion matrix whose images are shown, "true → predicted"; empty for all mistakes.
        limit: The most images that a page computes vectors of; of more, a sample is used.
        pixels: Preprocessing of the user's own model; empty for that of the file.
        wrong: Name of the mismatched preprocessing; empty for the first that differs from the right one.
        other: Name of the network on the right; empty for the same one.
        both: Whether the layer probe shows the network on the right too.
        other_weights: Weights of the network on the right; empty for those that differ from the network on the left.
        other_layer: Path of the layer on the right; empty for the one that is most like the layer on the left.
        file: The vectors: "folder:NAME/PATH" in an opened folder, or the key of an upload; empty for none.
        drawn: The most rows of it that are drawn.
        row: The chosen row of it, from 1; 0 for none.
        present: Whether the page is shown to an audience, without sidebar and code.
        upload: Key of the images that the user has uploaded; empty for none.
        own_key: Key of the user's own model, or its "folder:NAME/PATH"; empty for none. In the URL it is called `own`.
        folder: The place in an opened folder whose images were chosen last.
        asked_model: The place of a model file that the user has asked to load.
        loaded: Place of a model file in an opened folder -> key of what this user sees of it.
        forgotten: How often the user has had what they brought forgotten.
        own_problem: Why the last model file cannot be used.
        upload_problems: What of the last upload cannot be used.
        vectors_problem: Why the last file of vectors cannot be used.
        taken: What was loaded already from each upload widget.
        stopped: Key of the computation that the user stopped.
        downloads: The networks whose weights the user wants downloaded.
        stages: The stage of the layers shown, by field, for a network that is chosen next.
        notices: What to say once.
        linked: The fields whose value comes from the URL and is not yet known to be possible.
        failure: Details of an unexpected error that the page has yet to show.
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
    cell: str = ""
    limit: int = 2000
    pixels: str = ""
    wrong: str = ""
    other: str = ""
    both: bool = False
    other_weights: Literal["", "imagenet", "random"] = ""
    other_layer: str = ""
    file: str = ""
    drawn: int = 2000
    row: int = 0
    present: bool = False
    upload: str = ""
    own_key: str = field(default="", metadata={"url": "own"})
    folder: str = field(default="", metadata={"url": False})
    asked_model: str = field(default="", metadata={"url": False})
    loaded: dict[str, str] = field(default_factory=dict, metadata={"url": False})
    forgotten: int = field(default=0, metadata={"url": False})
    own_problem: str = field(default="", metadata={"url": False})
    upload_problems: tuple[ImageProblem, ...] = field(default=(), metadata={"url": False})
    vectors_problem: str = field(default="", metadata={"url": False})
    taken: dict[str, str] = field(default_factory=dict, metadata={"url": False})
    stopped: str = field(default="", metadata={"url": False})
    downloads: set[str] = field(default_factory=set, metadata={"url": False})
    stages: dict[str, str] = field(default_factory=dict, compare=False, metadata={"url": False})
    notices: list[str] = field(default_factory=list, metadata={"url": False})
    linked: set[str] = field(default_factory=set, compare=False, metadata={"url": False})
    failure: str = field(default="", metadata={"url": False})

    @property
    def has_own_images(self) -> bool:
        """Whether the images are the user's own: uploaded, or in an opened folder."""
        return self.images == UPLOADS or self.images.startswith(PLACE_PREFIX)

    @property
    def uploads(self) -> ImageSet | None:
        """The user's own images, or None."""
        return find_upload(self.upload, "images")

    @property
    def own(self) -> Backbone | None:
        """The user's own model as its file describes it, or None."""
        return None if self.own_model is None else self.own_model.backbone

    @property
    def own_model(self) -> OwnModel | None:
        """The user's own model with the names of its classes, or None."""
        return find_upload(self.loaded.get(self.own_key, self.own_key), "model")

    @property
    def own_names(self) -> str:
        """Class names of the user's own model as they wrote them, one per line."""
        return "" if self.own_model is None else self.own_model.class_names

    @own_names.setter
    def own_names(self, text: str) -> None:
        if self.own_model is not None:  # what is under a key never changes
            named = replace(self.own_model, class_names=text)
            self.own_key = keep_upload(named, "model", named.nbytes)

    @property
    def second_layer(self) -> str:
        """The layer whose vector is appended; empty if that is the chosen layer itself."""
        return "" if self.also == self.layer else self.also

    def choose(self, name: str, value: object) -> None:
        """Set the field `name` to a user's choice, and what follows from it; the URL stays. See `choose`."""
        if value != getattr(self, name):
            for follower in FOLLOWS.get(name, ()):
                setattr(self, follower, getattr(Session(), follower))
                self.linked.discard(follower)
            if name in ("model", "own_key"):  # the same stage of the other network, whose layers are not known yet
                self.layer, self.also = self.stages.get("layer", ""), self.stages.get("also", "")
        setattr(self, name, value)
        self.stages.pop(name, None)
        self.linked.discard(name)
        self.page = PAGE_AFTER.get(name, self.page)
        self.stopped = ""  # another choice is another computation

    def report(self, name: str, shown: object) -> None:
        """Note, once, that a link asks for a value that cannot be shown; what the user has chosen needs no note.

        Args:
            name: The field; it is not changed.
            shown: What is shown instead.
        """
        if name in self.linked:
            self.linked.discard(name)
            self.notices.append(unavailable(name, getattr(self, name), shown))

    def take_choices(self, other: Session) -> None:
        """Take the choices of another session, read from the URL; what the user has brought stays."""
        for name in url_fields().values():
            if name not in KEYS or getattr(other, name):
                setattr(self, name, getattr(other, name))
        self.notices, self.linked, self.stages, self.stopped = other.notices, other.linked, {}, ""

    def take_notices(self) -> list[str]:
        """Return what to say in this run."""
        notices, self.notices = self.notices, []
        return notices

    def to_query(self) -> dict[str, str]:
        """Return the choices as URL parameters: the main ones always, the others if they differ from the default."""
        defaults = Session()
        query = {}
        for parameter, name in url_fields().items():
            value = getattr(self, name)
            if value != "" and (name in ALWAYS_IN_URL or value != getattr(defaults, name)):
                query[parameter] = _write(value)
        return query


class Binding(TypedDict):
    """The arguments that tie a Streamlit widget to a field of the session."""

    key: str
    on_change: Callable[[], None]


def url_fields() -> dict[str, str]:
    """Return the URL parameters, each with the name of its field."""
    urls = {f.name: f.metadata.get("url", f.name) for f in fields(Session)}
    return {parameter: name for name, parameter in urls.items() if parameter}


def allowed_values(name: str) -> tuple[Any, ...]:
    """Return the values that the field `name` can take; empty if its type does not list them."""
    return get_args(get_type_hints(Session)[name])


def read_query(query: dict[str, str]) -> Session:
    """Build a session from URL parameters. What cannot be read keeps its default and is noted."""
    session = Session()
    for parameter, name in url_fields().items():
        if parameter not in query:
            continue
        try:
            setattr(session, name, _read(query[parameter], getattr(session, name), allowed_values(name)))
            session.linked.add(name)
        except ValueError:
            session.notices.append(unavailable(parameter, query[parameter]))
    return session


def unavailable(name: str, value: object, shown: object = "the default") -> str:
    """Say that a link asks for something that is not there, and what is shown instead."""
    return f"The link asks for {name}={value}, which is not available; {shown} is shown."


def open_session() -> Session:
    """Return the user's session at the beginning of a page, with the choices that Back or Forward has restored."""
    if KEY in st.session_state and came_by_history():
        st.session_state[KEY].take_choices(read_query(st.query_params.to_dict()))
    return current_session()


def current_session() -> Session:
    """Return the session of the user looking at the page, read from the URL when it begins."""
    if KEY not in st.session_state:
        st.session_state[KEY] = read_query(st.query_params.to_dict())
    return st.session_state[KEY]


def came_by_history() -> bool:
    """Whether Back or Forward of the browser has started this run."""
    return bool(getattr(get_script_run_ctx(), "is_history_navigation", False))


@contextmanager
def noting_failure(session: Session) -> Iterator[None]:
    """Log an unexpected error and note it for the page, which then goes on."""
    try:
        yield
    except Exception as error:  # a bug must not take the navigation away
        logging.getLogger("featlib").exception("A page of the app has failed.")
        session.failure = "".join(traceback.format_exception(error))


def guarded(callback: Callable[P, None]) -> Callable[P, None]:
    """Let the page show what goes wrong in a widget's callback: an error would leave a page without navigation."""

    @functools.wraps(callback)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        session = current_session()
        with noting_failure(session):
            try:
                callback(*args, **kwargs)
            except FeatlibError as error:
                session.notices.append(str(error))

    return call


@guarded
def choose(name: str, value: object) -> None:
    """Make a user's choice: set a field and write the URL, one step in the browser's history.

    For the callbacks of widgets, as the last thing that they do. What a page settles by itself is no choice and is not
    written.

    Args:
        name: A field of `Session`.
        value: The value.
    """
    session = current_session()
    session.choose(name, value)
    _write_url(session)


@guarded
def start_over() -> None:
    """Reset all choices, in a callback; what the user has brought stays."""
    session = current_session()
    session.take_choices(Session())
    _write_url(session)


def bind(name: str, *, shown: Any = ..., second: str = "") -> Binding:  # noqa: ANN401
    """Tie a widget to a field: the widget starts with the field's value, and a change is a choice.

    Args:
        name: A field of `Session`.
        shown: What the widget shows, if that is not the field's value.
        second: Distinguishes a second widget of the same field from the first.

    Returns:
        `key` and `on_change` for the widget, which gets no default of its own.
    """
    key = f"widget_{name}{second}"
    st.session_state[key] = getattr(current_session(), name) if shown is ... else shown

    def store() -> None:
        if st.session_state.get(key) is not None:
            choose(name, st.session_state[key])

    return Binding(key=key, on_change=store)


def set_widget_value(key: str, value: object) -> None:
    """Set the value of a widget that is not tied to a field, before it is drawn."""
    st.session_state[key] = value


def widget_value(key: str) -> Any:  # noqa: ANN401 - a widget's value is anything
    """Return the value of a widget that is not tied to a field."""
    return st.session_state.get(key)


def drop_files() -> None:
    """Drop the files of all upload widgets from the server's memory; the widgets get other keys from now on."""
    context = get_script_run_ctx()
    if context is not None:
        context.uploaded_file_mgr.remove_session_files(context.session_id)
    current_session().forgotten += 1


def upload_key(widget: str) -> str:
    """Return the key of an upload widget."""
    forgotten = current_session().forgotten
    return f"{widget} {forgotten}" if forgotten else widget


def _write_url(session: Session) -> None:
    st.query_params.from_dict(session.to_query())
    if getattr(get_script_run_ctx(), "fragment_ids_this_run", None):
        st.rerun()  # a choice concerns the whole page: the fragment alone would leave links with the choices of before


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
