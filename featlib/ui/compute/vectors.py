"""The vectors of a set of images: one pass through the network for all stage outputs, cached for all visitors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from featlib.errors import FeatlibError, ImageError
from featlib.features import Engine, EngineOptions, Pooling, Tap
from featlib.features.store import CACHEABLE_POOLINGS
from featlib.images import ImageItem, ImageSet
from featlib.models import Backbone
from featlib.text import format_bytes
from featlib.transfer import stage_layers
from featlib.ui.compute.cache import vector_store
from featlib.ui.compute.progress import Task
from featlib.ui.session import Session
from featlib.ui.text import plain
from featlib.ui.uploads import KEEP_SECONDS

MAX_BYTES = 256 * 2**20  # of the vectors that a page asks for
MAX_REASONS_SHOWN = 3

Arrays = dict[str, np.ndarray]  # layer path -> (n, D) float32


@dataclass(frozen=True)
class Batch:
    """Vectors of a set of images.

    Attributes:
        images: The images that have a row: those that could be read.
        vectors: Layer path -> (n, D) float32.
        skipped: Which images have no row, and why, in one sentence; empty if all have one.
    """

    images: ImageSet
    vectors: Arrays
    skipped: str = ""


class _IncompleteError(Exception):
    """Carries a result past the cache: images that cannot be read now may be readable later."""

    def __init__(self, arrays: Arrays, reasons: dict[int, str]) -> None:
        self.arrays, self.reasons = arrays, reasons  # position -> why the image cannot be read


def compute_vectors(
    session: Session, backbone: Backbone, images: ImageSet, layers: Sequence[str], pooling: Pooling = "avg"
) -> Batch:
    """Return the vectors of several layers.

    The first call for a set computes all stage outputs as well, so that another layer needs no further pass. An image
    that has gone or changed is skipped.

    Args:
        session: Knows whether the user has stopped this computation.
        backbone: The network.
        images: The images.
        layers: Layer paths.
        pooling: "avg", "max" or "flatten".

    Raises:
        FeatlibError: The vectors would not fit into memory.
        ImageError: No image can be read.
        Stopped: The user has stopped this computation.
    """
    _check_size(backbone, images, layers, pooling)
    wanted = tuple(dict.fromkeys(layers))
    stages = _stages_to_add(backbone, images, wanted, pooling)
    arrays: Arrays = {}
    reasons: dict[int, str] = {}
    try:
        if stages:
            # The layers wanted first are computed along with the stages, in the same pass, and are not part of its key.
            every = tuple(dict.fromkeys([*stages, *wanted]))
            arrays = _compute_once(session, backbone, images, every, pooling, distinct=())
        missing = tuple(layer for layer in wanted if layer not in arrays)
        if missing:
            arrays |= _compute_once(session, backbone, images, missing, pooling, distinct=missing)
    except _IncompleteError as found:
        reasons = found.reasons
        kept = [i for i in range(len(images)) if i not in reasons]
        arrays = {layer: array[kept] for layer, array in arrays.items()} | found.arrays
    skipped = _describe_skipped(len(images), list(reasons.values()))
    if len(reasons) == len(images):
        raise ImageError(skipped or "There are no images.")
    if reasons:
        images = images[kept]
    return Batch(images, {layer: arrays[layer] for layer in wanted}, skipped)


def compute_all_vectors(session: Session, backbone: Backbone, images: ImageSet, layers: Sequence[str]) -> Arrays:
    """Return average-pooled vectors as `compute_vectors`, where each image needs its row.

    Raises:
        FeatlibError: The vectors would not fit into memory.
        ImageError: An image cannot be read.
        Stopped: The user has stopped this computation.
    """
    batch = compute_vectors(session, backbone, images, layers)
    if batch.skipped:
        raise ImageError(batch.skipped)
    return batch.vectors


def warn_skipped(skipped: str) -> None:
    """Name the images that a page does without."""
    if skipped:
        st.warning(plain(skipped))


def _compute_once(
    session: Session,
    backbone: Backbone,
    images: ImageSet,
    layers: tuple[str, ...],
    pooling: Pooling,
    distinct: tuple[str, ...],
) -> Arrays:
    """Return vectors, from the cache if they are there; `distinct` is what tells passes over the same images apart."""
    key = (backbone.fingerprint, images.fingerprint, pooling, *distinct)
    # Flattened vectors, those of uploads and those of models with own code are not in the store.
    is_stored = pooling in CACHEABLE_POOLINGS and not backbone.has_own_code and not _are_uploads(images)
    task = Task(
        session,
        " ".join(["vectors", *key]),
        f"Running {plain(backbone.name)}",
        unit="images",
        note="" if is_stored else "These vectors are not stored on disk: if you stop, the computation starts over.",
    )
    return _run(key, backbone, images, layers, pooling, task)


@st.cache_data(ttl=KEEP_SECONDS, show_spinner=False)
def _run(
    key: tuple[str, ...],
    _backbone: Backbone,
    _images: ImageSet,
    _layers: tuple[str, ...],
    _pooling: Pooling,
    _task: Task,
) -> Arrays:
    options = EngineOptions(store=None if _are_uploads(_images) else vector_store())
    engine = Engine(_backbone, [Tap(layer, _pooling) for layer in _layers], options)
    with _task.running(at_once=True) as on_progress:
        found, parts = engine.run(_images.items, on_progress=on_progress)
    arrays = dict(zip(_layers, parts, strict=True))
    reasons = {i: entry.reason for i, entry in enumerate(found) if not isinstance(entry, ImageItem)}
    if reasons:
        raise _IncompleteError(arrays, reasons)
    return arrays


def _are_uploads(images: ImageSet) -> bool:
    """Return whether the images are in memory only, as uploads and members of zips; none of it goes to the disk."""
    return any(item.is_encoded for item in images)


def _stages_to_add(backbone: Backbone, images: ImageSet, wanted: Sequence[str], pooling: Pooling) -> tuple[str, ...]:
    """Return the layers to compute in the first pass over a set besides those wanted; none if that is too large."""
    if pooling not in CACHEABLE_POOLINGS:
        return ()
    stages = (*stage_layers(backbone), *([backbone.prediction_layer] if backbone.prediction_layer else []))
    return stages if 4 * len(images) * _row_size(backbone, {*stages, *wanted}, pooling) <= MAX_BYTES else ()


def _row_size(backbone: Backbone, layers: Iterable[str], pooling: Pooling) -> int:
    return sum(shape[0] for shape in Engine(backbone, [Tap(layer, pooling) for layer in layers]).shapes)


def _check_size(backbone: Backbone, images: ImageSet, layers: Sequence[str], pooling: Pooling) -> None:
    size = _row_size(backbone, layers, pooling)
    if 4 * len(images) * size > MAX_BYTES:
        raise FeatlibError(
            f"{len(images):,} vectors of {size:,} numbers take {format_bytes(size * len(images) * 4)}; at most "
            f"{format_bytes(MAX_BYTES)} are allowed here. Choose average pooling, a later layer or fewer images."
        )


def _describe_skipped(n_images: int, reasons: Sequence[str]) -> str:
    if not reasons:
        return ""
    more = f" And {len(reasons) - MAX_REASONS_SHOWN:,} more." if len(reasons) > MAX_REASONS_SHOWN else ""
    shown = " ".join(reasons[:MAX_REASONS_SHOWN])
    return f"{len(reasons):,} of {n_images:,} images were skipped: {shown}{more}"
