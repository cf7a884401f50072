"""What all people on this server share: networks, image sets and results, kept by names and digests."""

from __future__ import annotations

import gc
import os
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Hashable
from functools import cache
from typing import Any

import streamlit as st

from featlib.errors import FeatlibError
from featlib.features import Trace, trace_image
from featlib.features.store.store import VectorStore
from featlib.images import ImageItem, ImageSet
from featlib.models import Backbone, load_backbone
from featlib.text import format_bytes
from featlib.ui.compute.rows import Shared

STORE_BYTES = 512 * 2**20
TRACE_BYTES = 512 * 2**20  # of all images together; a small network takes about 80 MB an image
MAX_TRACE_BYTES = 10**9


class ResultStore:
    """Computed arrays by key, up to a number of bytes; the least recently used go first."""

    def __init__(self, max_bytes: int = STORE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._values: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Any | None:  # noqa: ANN401 - whatever was put
        """The value kept under `key`, or None."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key][0]

    def put(self, key: Hashable, value: Any, nbytes: int) -> None:  # noqa: ANN401
        """Keeps `value`, of `nbytes` bytes, under `key`."""
        with self._lock:
            if key in self._values:
                self._bytes -= self._values.pop(key)[1]
            self._values[key] = (value, nbytes)
            self._bytes += nbytes
            while self._bytes > self._max_bytes and len(self._values) > 1:
                self._bytes -= self._values.popitem(last=False)[1][1]


@st.cache_resource(show_spinner=False)
def results() -> ResultStore:
    """The server's one store of computed vectors and projections."""
    return ResultStore()


@st.cache_resource(max_entries=4, show_spinner=False)
def backbone(model: str, weights: str, include_top: bool, size: int) -> Backbone:
    """The network by its names."""
    import_tensorflow()
    shape = (size, size, 3) if size else None
    return load_backbone(model, weights=weights, include_top=include_top, input_shape=shape)


@cache
def import_tensorflow() -> None:
    """Imports TensorFlow, once, in the way that suits a server."""
    # Without this the terminal of everybody without a graphics card shows an error from CUDA. What goes wrong in
    # TensorFlow's C++ code still comes as an exception, and what ends the process is still logged.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Streamlit collects garbage twice after every run, and no page moves meanwhile: 0.3 s each with TensorFlow's
    # 350,000 objects, which are never garbage; 0.01 s without them. What belongs to the sessions of this moment is
    # not collected either, which is why uploads live in `own_images`.
    import keras  # noqa: F401

    gc.collect()
    gc.freeze()


@st.cache_resource(scope="session", show_spinner=False)
def own_images() -> list[ImageSet]:
    """Where one person's uploads live until the session ends. Other places only refer to them weakly."""
    return []


@st.cache_resource(scope="session", show_spinner=False)
def own_models() -> list[Backbone]:
    """Where one person's own model lives until the session ends: as the file shows it, and as the person says."""
    return []


@st.cache_resource(show_spinner=False)
def traces() -> tuple[ResultStore, defaultdict[Hashable, threading.Lock]]:
    """The server's one store of all layers' outputs for an image, and a lock for each that is being computed."""
    return ResultStore(TRACE_BYTES), defaultdict(threading.Lock)


def trace(backbone: Backbone, item: ImageItem) -> Trace:
    """All layers' outputs for one image: the one forward pass behind every view of it.

    Raises:
        FeatlibError: the outputs together would not fit into memory.
    """
    store, locks = traces()
    key = (backbone.fingerprint, item.id)
    found = store.get(key)
    if found is not None:
        return found
    _check_trace(backbone)
    with locks[key]:  # two people who look at the same picture make the network run once
        found = store.get(key)
        if found is None:
            found = trace_image(backbone, item)
            store.put(key, found, sum(output.nbytes for output in found.outputs.values()))
    locks.pop(key, None)
    return found


def _check_trace(backbone: Backbone) -> None:
    needed = sum(layer.bytes_per_image or 0 for layer in backbone.layers)
    if needed > MAX_TRACE_BYTES:
        raise FeatlibError(
            f"All layers of '{backbone.name}' put out {format_bytes(needed)} for one image of "
            f"{backbone.input_shape[0]} × {backbone.input_shape[1]} pixels; at most {format_bytes(MAX_TRACE_BYTES)} "
            "are allowed here. Choose a smaller input size in the network settings, or a smaller network."
        )


@st.cache_resource(show_spinner=False)
def shared() -> Shared:
    """Where the server keeps vectors: its memory, and this machine's store behind it."""
    return Shared(results(), VectorStore())
