"""Long work on a page: shown as it goes, stopped on request, never done twice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import streamlit as st

from featlib.analysis import ProbeResult, Projection, linear_probe, neighbor_accuracy, project
from featlib.errors import FeatlibError, ImageError
from featlib.features import Engine, Pooling, Tap, Trace
from featlib.images import ImageItem, ImageSet
from featlib.models import Backbone
from featlib.ui.compute import background, cache
from featlib.ui.compute.rows import Rows
from featlib.ui.compute.turns import FRONT
from featlib.ui.session import OWN, Session
from featlib.ui.text import plain
from featlib.ui.widgets.own_model import own_network

T = TypeVar("T")
Move = Callable[[float, str], None]

TOLD = 3  # reasons told of images that cannot be used
MAX_BATCH_BYTES = 256 * 2**20


def network(session: Session, by: str | None = None) -> Backbone:
    """The chosen network; the first time TensorFlow is imported and the weights are read.

    The vectors of the chosen images are prepared in the background from then on.

    Args:
        session: the choices.
        by: the label column by which the page draws a part of a large set; the first if None.

    Raises:
        FeatlibError: the network cannot be had, or the person has chosen to bring one and not brought it yet.
    """
    with FRONT.waiting():
        backbone = _network(session)
    background.prepare(session, backbone, by)
    return backbone


def _network(session: Session) -> Backbone:
    if session.model == OWN:
        return own_network(session)
    with st.spinner(f"Waking up TensorFlow and {session.model} …", show_time=True):
        return cache.backbone(session.model, session.weights, session.top, session.size)


def look(backbone: Backbone, item: ImageItem) -> Trace:
    """All layers' outputs for one image, from one forward pass."""
    with st.spinner("Looking at the image …"), FRONT.waiting():
        return cache.trace(backbone, item)


@dataclass(frozen=True)
class Batch:
    """Vectors of a batch.

    Attributes:
        images: the images that have a row: those that can still be read, or were once.
        vectors: layer path -> (n, D) float32.
        left_out: what to say of images that have no row; empty where all have one.
    """

    images: ImageSet
    vectors: dict[str, np.ndarray]
    left_out: str = ""


def batch(
    session: Session, backbone: Backbone, images: ImageSet, layers: Sequence[str], pooling: Pooling = "avg"
) -> Batch | None:
    """The vectors of several layers. What is kept is not computed again; the rest comes from one pass.

    An image that has gone or changed meanwhile is left out; the page says so beside the results.

    Args:
        session: knows whether the person stopped this work.
        backbone: the network.
        images: the images.
        layers: layer paths.
        pooling: "avg", "max" or "flatten".

    Returns:
        The images and their vectors; None where the person has stopped the work.

    Raises:
        FeatlibError: the vectors would not fit into memory.
        ImageError: no image can be read.
    """
    rows = _compute(session, backbone, images, layers, pooling)
    if rows is None:
        return None
    left_out = _left_out(images, rows)
    if left_out and len(rows.problems) == rows.total:
        raise ImageError(left_out)
    if left_out:
        images = images[[i for i, image_id in enumerate(images.ids) if image_id not in rows.problems]]
    return Batch(images, _stacked(rows, images), left_out)


def say_left_out(left_out: str) -> None:
    """Names the images that a page does without."""
    if left_out:
        st.warning(plain(left_out))


def vectors(
    session: Session, backbone: Backbone, images: ImageSet, layers: Sequence[str], pooling: Pooling = "avg"
) -> dict[str, np.ndarray] | None:
    """As `batch`, where each image needs its row: layer path -> (n, D) float32.

    Raises:
        FeatlibError: the vectors would not fit into memory.
        ImageError: an image has gone or changed meanwhile.
    """
    rows = _compute(session, backbone, images, layers, pooling)
    if rows is not None and rows.problems:
        raise ImageError(_left_out(images, rows))
    return None if rows is None else _stacked(rows, images)


def once(
    session: Session, key: tuple[object, ...], text: str, compute: Callable[[Move], T], nbytes: Callable[[T], int]
) -> T | None:
    """Does work once for each `key`, with a bar and a button to stop; None where the person has stopped it.

    Args:
        session: knows whether the person stopped this work.
        key: tells this work from all other.
        text: what it is, for the bar.
        compute: is given what moves the bar, a function of the share of the work done and what to say of it.
        nbytes: how much memory a result takes.
    """
    found = cache.results().get(key)
    if found is not None:
        return found
    job = job_of(key)
    if session.stopped == job:
        _offer_to_go_on(session)
        return None
    bar, button = _progress(session, job, text)
    with FRONT.waiting():
        result = compute(lambda share, said: move_bar(bar, share, said))
    bar.empty()
    button.empty()
    cache.results().put(key, result, nbytes(result))
    return result


def job_of(key: tuple[object, ...]) -> str:
    """What a session calls the work of a key where the person has stopped it."""
    return hashlib.blake2b(repr(key).encode(), digest_size=16).hexdigest()


def projection(
    session: Session, key: tuple[object, ...], X: np.ndarray, method: str, n_components: int, perplexity: float
) -> Projection | None:
    """The batch's coordinates, computed once for each `key`; None where the person has stopped the work."""

    def compute(move: Move) -> Projection:
        return project(
            X,
            method=method,  # type: ignore[arg-type]
            n_components=n_components,
            perplexity=perplexity if method == "tsne" else None,
            on_progress=lambda done, n: move(done / n, f"{done / n:.0%}"),
        )

    full_key = (*key, method, n_components, perplexity if method == "tsne" else 0)
    text = f"{method.upper()} of {len(X):,} images"
    return once(session, full_key, text, compute, lambda result: result.coordinates.nbytes)


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
    text = f"Training a head on {name}"

    def compute(move: Move) -> ProbeResult:
        return linear_probe(make_vectors(), y, on_progress=lambda done, n: move(done / n, f"{text}: {done / n:.0%}"))

    return once(
        session, ("probe", *key), text, compute, lambda result: result.predictions.nbytes + result.labels.nbytes
    )


def agreement(X: np.ndarray, labels: np.ndarray) -> float:
    """The share of images whose nearest others have the same label, 0…1, computed once."""
    content = hashlib.blake2b(np.ascontiguousarray(X).data).hexdigest()
    key = ("agreement", content, tuple(labels.tolist()))
    found = cache.results().get(key)
    if found is None:
        found = neighbor_accuracy(X, labels)
        cache.results().put(key, found, labels.nbytes)
    return found


def _compute(
    session: Session, backbone: Backbone, images: ImageSet, layers: Sequence[str], pooling: Pooling
) -> Rows | None:
    """Finds and computes vectors, with a bar and a button to stop; None where the person has stopped the work."""
    _check_size(backbone, images, layers, pooling)
    with FRONT.waiting():
        rows = Rows(cache.shared(), backbone, images, layers, pooling)
        missing = len(rows.missing)
        if not missing:
            return rows
        job = f"{backbone.fingerprint} {images.fingerprint} {pooling} {' '.join(layers)}"
        if session.stopped == job:
            _offer_to_go_on(session)
            return None
        bar, button = _progress(session, job, f"0 of {missing:,} images")

        def moved(left: int) -> None:
            done = missing - left
            move_bar(bar, done / missing, f"{done:,} of {missing:,} images")

        rows.compute(moved)
        bar.empty()
        button.empty()
        return rows


def _stacked(rows: Rows, images: ImageSet) -> dict[str, np.ndarray]:
    return {layer: np.stack([found[image_id] for image_id in images.ids]) for layer, found in rows.found.items()}


def _left_out(images: ImageSet, rows: Rows) -> str:
    if not rows.problems:
        return ""
    count = sum(image_id in rows.problems for image_id in images.ids)
    reasons = [problem.reason for problem in rows.problems.values()]
    more = f" And {len(reasons) - TOLD:,} more." if len(reasons) > TOLD else ""
    return f"{count:,} of {len(images):,} images cannot be used: {' '.join(reasons[:TOLD])}{more}"


def _check_size(backbone: Backbone, images: ImageSet, layers: Sequence[str], pooling: Pooling) -> None:
    size = sum(shape[0] for shape in Engine(backbone, [Tap(layer, pooling) for layer in layers]).shapes)
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
