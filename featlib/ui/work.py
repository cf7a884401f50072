"""Long work on a page: shown as it goes, stopped on request, never done twice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import streamlit as st

from featlib.analysis import ProbeResult, Projection, linear_probe, neighbor_accuracy, project
from featlib.errors import FeatlibError
from featlib.features import Trace, extract_vectors
from featlib.images import ImageItem, ImageSet
from featlib.models import Backbone, find_layer
from featlib.ui import cache
from featlib.ui.own_model import own_network
from featlib.ui.session import OWN, Session

CHUNK = 32
MAX_BATCH_BYTES = 256 * 2**20


def network(session: Session) -> Backbone:
    """The chosen network; the first time TensorFlow is imported and the weights are read.

    Raises:
        FeatlibError: the network cannot be had, or the person has chosen to bring one and not brought it yet.
    """
    if session.model == OWN:
        return own_network(session)
    with st.spinner(f"Waking up TensorFlow and {session.model} …", show_time=True):
        return cache.backbone(session.model, session.weights, session.top, session.size)


def look(backbone: Backbone, item: ImageItem) -> Trace:
    """All layers' outputs for one image, from one forward pass."""
    with st.spinner("Looking at the image …"):
        return cache.trace(backbone, item)


def vectors(
    session: Session, backbone: Backbone, images: ImageSet, layers: Sequence[str], pooling: str = "avg"
) -> dict[str, np.ndarray] | None:
    """The batch's vectors of several layers. What is kept is not computed again; the rest comes from one pass.

    Args:
        session: knows whether the person stopped this work.
        backbone: the network.
        images: n images.
        layers: layer paths.
        pooling: "avg", "max" or "flatten".

    Returns:
        Layer path -> (n, D) float32; None where the person has stopped the work.

    Raises:
        FeatlibError: the vectors would not fit into memory.
    """
    _check_size(backbone, images, layers, pooling)
    kept = {layer: cache.vector_rows(backbone.fingerprint, layer, pooling, images.ids) for layer in layers}
    missing = [i for i in range(len(images)) if any(rows[i] is None for rows in kept.values())]
    job = f"{backbone.fingerprint} {images.fingerprint} {pooling} {' '.join(layers)}"
    if missing and not _run(session, job, backbone, images, missing, kept, pooling):
        return None
    return {layer: np.stack([row for row in rows if row is not None]) for layer, rows in kept.items()}


def projection(
    session: Session, key: tuple[object, ...], X: np.ndarray, method: str, n_components: int, perplexity: float
) -> Projection | None:
    """The batch's coordinates, computed once for each `key`; None where the person has stopped the work."""
    full_key = (*key, method, n_components, perplexity if method == "tsne" else 0)
    found = cache.results().get(full_key)
    if found is not None:
        return found
    job = str(full_key)
    if session.stopped == job:
        _offer_to_go_on(session)
        return None
    bar, button = _progress(session, job, f"{method.upper()} of {len(X):,} images")
    result = project(
        X,
        method=method,  # type: ignore[arg-type]
        n_components=n_components,
        perplexity=perplexity if method == "tsne" else None,
        on_progress=lambda fraction, _coordinates: move_bar(bar, fraction, f"{fraction:.0%}"),
    )
    bar.empty()
    button.empty()
    cache.results().put(full_key, result, result.coordinates.nbytes)
    return result


def probe(
    session: Session, key: tuple[object, ...], name: str, make_vectors: Callable[[], np.ndarray], y: np.ndarray
) -> ProbeResult | None:
    """What a head reaches on vectors, trained once for each `key`; None where the person has stopped the work.

    Args:
        session: knows whether the person stopped this work.
        key: tells these vectors and labels from all others.
        name: what the head is trained on, for the progress bar.
        make_vectors: gives (n, D) vectors; called only where the head is to be trained.
        y: (n,) labels.
    """
    full_key = ("probe", *key)
    found = cache.results().get(full_key)
    if found is not None:
        return found
    job = hashlib.blake2b(repr(full_key).encode()).hexdigest()  # all labels are in the key
    if session.stopped == job:
        _offer_to_go_on(session)
        return None
    text = f"Training a head on {name}"
    bar, button = _progress(session, job, text)
    result = linear_probe(make_vectors(), y, on_progress=lambda share: move_bar(bar, share, f"{text}: {share:.0%}"))
    bar.empty()
    button.empty()
    cache.results().put(full_key, result, result.predictions.nbytes + result.labels.nbytes)
    return result


def agreement(X: np.ndarray, labels: np.ndarray) -> float:
    """The share of images whose nearest others have the same label, 0…1, computed once."""
    content = hashlib.blake2b(np.ascontiguousarray(X).data).hexdigest()
    key = ("agreement", content, tuple(labels.tolist()))
    found = cache.results().get(key)
    if found is None:
        found = neighbor_accuracy(X, labels)
        cache.results().put(key, found, labels.nbytes)
    return found


def _run(
    session: Session,
    job: str,
    backbone: Backbone,
    images: ImageSet,
    missing: list[int],
    kept: dict[str, list[np.ndarray | None]],
    pooling: str,
) -> bool:
    if session.stopped == job:
        _offer_to_go_on(session)
        return False
    bar, button = _progress(session, job, f"0 of {len(missing):,} images")
    for start in range(0, len(missing), CHUNK):
        chunk = missing[start : start + CHUNK]
        for layer, rows in _extract(backbone, images[chunk], list(kept), pooling).items():
            for i, row in zip(chunk, rows, strict=True):
                kept[layer][i] = row
                cache.results().put(
                    ("vector", backbone.fingerprint, layer, pooling, images.ids[i]), row.copy(), row.nbytes
                )
        done = start + len(chunk)
        move_bar(bar, done / len(missing), f"{done:,} of {len(missing):,} images")
    bar.empty()
    button.empty()
    return True


def _extract(backbone: Backbone, images: ImageSet, layers: list[str], pooling: str) -> dict[str, np.ndarray]:
    X = extract_vectors(backbone, images, layers, pooling=pooling, batch_size=CHUNK).X
    widths = [vector_size(backbone, layer, pooling) for layer in layers]
    parts = np.split(X, np.cumsum(widths)[:-1], axis=1)
    return {layer: np.ascontiguousarray(part) for layer, part in zip(layers, parts, strict=True)}


def vector_size(backbone: Backbone, layer: str, pooling: str) -> int:
    """D, the length of a layer's vector."""
    sizes = [side or 1 for side in find_layer(backbone, layer).output_shape]
    return int(np.prod(sizes)) if pooling == "flatten" else sizes[-1]


def _check_size(backbone: Backbone, images: ImageSet, layers: Sequence[str], pooling: str) -> None:
    size = sum(vector_size(backbone, layer, pooling) for layer in layers)
    if size * len(images) * 4 > MAX_BATCH_BYTES:
        raise FeatlibError(
            f"{len(images):,} vectors of {size:,} numbers take {size * len(images) * 4 / 2**20:,.0f} MB; at most "
            f"{MAX_BATCH_BYTES / 2**20:,.0f} MB are allowed here. "
            "Choose average pooling, a later layer or fewer images."
        )


def _progress(session: Session, job: str, text: str) -> tuple[st.delta_generator.DeltaGenerator, ...]:
    bar = st.progress(0.0, text=text)
    button = st.empty()
    button.button("Stop", key=f"stop {job}", on_click=setattr, args=(session, "stopped", job))
    return bar, button


def move_bar(bar: st.delta_generator.DeltaGenerator, fraction: float, text: str) -> None:
    """Moves the bar. This is also where a click of the person ends the run."""
    bar.progress(min(1.0, fraction), text=text)


def _offer_to_go_on(session: Session) -> None:
    st.info("Stopped.")
    st.button("Go on", on_click=setattr, args=(session, "stopped", ""))
