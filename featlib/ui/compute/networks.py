"""The network that a user has chosen: one by name, shared by all visitors, or their own file."""

from __future__ import annotations

import gc
import os
import sys
from functools import cache

import streamlit as st

from featlib.errors import FeatlibError, WeightsNotFoundError
from featlib.images import PLACE_PREFIX
from featlib.models import (
    PREPROCESSING,
    Backbone,
    find_choice,
    find_layer,
    load_backbone,
    parse_model_name,
    weights_on_disk,
)
from featlib.text import printable
from featlib.ui.session import OWN, Session, current_session
from featlib.ui.uploads import why_gone


class NotYetError(FeatlibError):
    """Something that the user has yet to provide; not a mistake."""


class DownloadNeededError(FeatlibError):
    """A network's weights are not on this machine, and the user has not asked for a download.

    Attributes:
        name: The network.
        size: How much there is to download, such as "17 MB".
    """

    def __init__(self, name: str, size: str) -> None:
        super().__init__(f"The ImageNet weights of {name} are not on this machine.")
        self.name, self.size = name, size


class UnloadedModelError(NotYetError):
    """A link asks for a model file in an opened folder, which is loaded only when the user says so.

    Attributes:
        place: `folder:NAME/PATH`.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        shown = printable(place.removeprefix(PLACE_PREFIX))
        super().__init__(f"The link asks for the model file '{shown}'. A link never loads a model by itself.")


def network(session: Session) -> Backbone:
    """Return the chosen network; the first call imports TensorFlow and reads the weights.

    Raises:
        NotYetError: The user has chosen their own model and not uploaded it yet.
        DownloadNeededError: The weights are not on this machine.
        FeatlibError: The network is unavailable.
    """
    if session.model == OWN:
        return _own_network(session)
    return load_network(session.model, session.weights, session.top, session.size)


def load_network(model: str, weights: str, include_top: bool, size: int) -> Backbone:
    """Return a network by name, loaded once for all visitors.

    Args:
        model: The name, as for `load_backbone`.
        weights: "imagenet" or "random".
        include_top: Whether to keep the classification layers.
        size: Height and width of the input in pixels; 0 for the network's own.

    Raises:
        DownloadNeededError: The weights are not on this machine, and the user has not asked for them.
        FeatlibError: The network is unavailable.
    """
    missing = missing_weights(model, include_top, size) if weights == "imagenet" else None
    if missing is not None:
        if model not in current_session().downloads:
            raise DownloadNeededError(model, missing)
        doing = f"Downloading {missing} and loading {model}"
    elif "tensorflow" in sys.modules:
        doing = f"Loading {model} (about 3 s)"
    else:
        doing = f"Starting TensorFlow and loading {model} (about 10 s)"
    try:
        with st.spinner(f"{doing} …", show_time=True):
            return _cached_backbone(model, weights, include_top, size)
    except WeightsNotFoundError:
        current_session().downloads.discard(model)  # the next attempt is the user's again
        raise


def missing_weights(model: str, include_top: bool, size: int) -> str | None:
    """Return how much must be downloaded for a network's ImageNet weights, as text; None if they are on this machine.

    Args:
        model: The name, as for `load_backbone`.
        include_top: Whether the classification layers are wanted.
        size: Height and width of the input in pixels; 0 for the network's own.
    """
    name, options = parse_model_name(model)
    choice = find_choice(name)
    if weights_on_disk(choice, include_top, size or None, options.get("alpha", 1.0)):
        return None
    if choice.megabytes is None:
        return "the weights"
    return f"{'' if include_top and not options else 'up to '}{choice.megabytes:,.0f} MB"


def computing_device() -> str | None:
    """Return "GPU" or "CPU", whichever TensorFlow uses; None as long as it is not imported."""
    if not import_tensorflow.cache_info().currsize:
        return None
    import tensorflow

    return "GPU" if tensorflow.config.list_physical_devices("GPU") else "CPU"


@st.cache_resource(max_entries=4, show_spinner=False)
def _cached_backbone(model: str, weights: str, include_top: bool, size: int) -> Backbone:
    import_tensorflow()
    shape = (size, size, 3) if size else None
    return load_backbone(model, weights=weights, include_top=include_top, input_shape=shape)


@cache
def import_tensorflow() -> None:
    """Import TensorFlow, once, in the way that suits a server."""
    # Without this the terminal of everybody without a graphics card shows an error from CUDA. What goes wrong in
    # TensorFlow's C++ code still comes as an exception, and what ends the process is still logged.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Streamlit collects garbage twice after every run, and no page moves meanwhile: 0.3 s each with TensorFlow's
    # 350,000 objects, which are never garbage; 0.01 s without them. What belongs to the sessions of this moment is
    # not collected either, which is why sessions hold the keys of uploads only.
    import keras  # noqa: F401

    gc.collect()
    gc.freeze()


def _own_network(session: Session) -> Backbone:
    brought = session.own_model
    if brought is None:
        if session.own_key.startswith(PLACE_PREFIX):
            raise UnloadedModelError(session.own_key)
        if session.own_key:
            raise NotYetError(
                f"The model and its class names {why_gone(session.own_key)}. Upload the file again in the sidebar, "
                "under “Network”."
            )
        raise NotYetError("There is no model of your own yet. Upload its file in the sidebar, under “Network”.")
    own = brought.backbone
    preprocessing = PREPROCESSING[session.pixels] if session.pixels else own.preprocessing
    return brought.adapted(preprocessing, written_class_names(session, own) or own.class_names)


def written_class_names(session: Session, own: Backbone) -> tuple[str, ...] | None:
    """Return the class names that the user has written, if there are as many as classes."""
    lines = tuple(line.strip() for line in session.own_names.splitlines() if line.strip())
    return lines if lines and len(lines) == class_count(own) else None


def class_count(own: Backbone) -> int:
    """Return the number of classes of a model; 0 if it has no classification head."""
    return (find_layer(own, own.prediction_layer).output_shape[0] or 0) if own.prediction_layer else 0
