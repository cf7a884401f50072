"""What is held in memory by other means than `st.cache_data`: traces, the store of vectors."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Collection

import streamlit as st

from featlib.errors import FeatlibError
from featlib.features import Trace, VectorStore, trace_image
from featlib.images import ImageItem
from featlib.lru import ByteLRU
from featlib.models import Backbone
from featlib.text import format_bytes

TRACE_BYTES = 512 * 2**20  # of all images together; a small network takes about 80 MB per image
MAX_TRACE_BYTES = 10**9

TraceKey = tuple[str, str]  # fingerprint and image id


@st.cache_resource(show_spinner=False)
def vector_store() -> VectorStore:
    """Return this machine's store of vectors."""
    return VectorStore()


@st.cache_resource(show_spinner=False)
def traces() -> tuple[ByteLRU[TraceKey, Trace], defaultdict[TraceKey, threading.Lock]]:
    """Return the server's traces, and a lock for each that is being computed."""
    return ByteLRU(TRACE_BYTES), defaultdict(threading.Lock)


def forget_traces(ids: Collection[str]) -> None:
    """Drop the outputs of images from memory."""
    traces()[0].drop(lambda key: key[1] in ids)


def forget_model(fingerprint: str) -> None:
    """Drop the outputs of a model from memory."""
    traces()[0].drop(lambda key: key[0] == fingerprint)


def trace(backbone: Backbone, item: ImageItem) -> Trace:
    """Return all layers' outputs for one image: the one forward pass behind every view of it.

    Raises:
        FeatlibError: The outputs together would not fit into memory.
    """
    cached, locks = traces()
    key = (backbone.fingerprint, item.id)
    found = cached.get(key)
    if found is not None:
        return found
    needed = sum(layer.bytes_per_image or 0 for layer in backbone.layers)
    if needed > MAX_TRACE_BYTES:
        raise FeatlibError(
            f"The outputs of all layers of '{backbone.name}' take {format_bytes(needed)} for one image of "
            f"{backbone.input_shape[0]} × {backbone.input_shape[1]} pixels; at most {format_bytes(MAX_TRACE_BYTES)} "
            "are allowed here. Choose a smaller input size in the network settings, or a smaller network."
        )
    with st.spinner("Running the model (about 1 s) …"), locks[key]:  # visitors with the same image run it once
        found = cached.get(key)
        if found is None:
            found = trace_image(backbone, item)
            cached.put(key, found, sum(output.nbytes for output in found.outputs.values()))
    locks.pop(key, None)
    return found
