"""What is computed from vectors, cached for all visitors by the content of the arrays."""

from __future__ import annotations

import hashlib

import numpy as np
import streamlit as st

from featlib.analysis import ProbeResult, Projection, linear_probe, neighbor_accuracy, project
from featlib.features import raw_pixel_vectors
from featlib.images import ImageSet
from featlib.ui.compute.progress import Task
from featlib.ui.session import Session
from featlib.ui.text import plain
from featlib.ui.uploads import KEEP_SECONDS


def array_digest(*arrays: np.ndarray) -> str:
    """Return a digest of the content of arrays. Streamlit hashes large ones from a sample only."""
    state = hashlib.blake2b(digest_size=20)
    for array in arrays:
        state.update(f"{array.shape} {array.dtype}".encode())
        state.update(np.ascontiguousarray(array).view(np.uint8).data)
    return state.hexdigest()


def compute_projection(
    session: Session, X: np.ndarray, method: str, n_components: int, perplexity: float | None = None
) -> Projection:
    """Return the coordinates of vectors.

    Args:
        session: Knows whether the user has stopped this computation.
        X: (n, D) vectors.
        method: "pca" or "tsne".
        n_components: 2 or 3.
        perplexity: Of t-SNE.

    Raises:
        Stopped: The user has stopped this computation.
    """
    digest = array_digest(X)
    if method == "pca":
        return _pca(digest, n_components, X)
    task = Task(
        session, f"t-SNE {digest} {n_components} {perplexity}", f"t-SNE of {len(X):,} points", unit="iterations"
    )
    return _tsne(digest, n_components, perplexity, X, task)


def train_probe(session: Session, X: np.ndarray, y: np.ndarray, name: str) -> ProbeResult:
    """Return the cross-validated accuracy of a simple classifier on vectors.

    Args:
        session: Knows whether the user has stopped this computation.
        X: (n, D) vectors.
        y: (n,) labels.
        name: What the classifier is trained on, for the progress bar.

    Raises:
        Stopped: The user has stopped this computation.
    """
    digest = array_digest(X, y)
    return _probe(digest, X, y, Task(session, f"probe {digest}", f"Training a classifier on {plain(name)}"))


def neighbor_agreement(X: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of rows whose label is that of most of their 5 nearest neighbors, 0..1."""
    return _agreement(array_digest(X, labels), X, labels)


def raw_pixels(images: ImageSet) -> np.ndarray:
    """Return each image shrunk to 16 × 16 pixels as a vector: the baseline without a network."""
    return _raw_pixels(images.fingerprint, images)


# PCA is quick: it does not wait in the queue.
@st.cache_data(ttl=KEEP_SECONDS, show_spinner=False)
def _pca(digest: str, n_components: int, _X: np.ndarray) -> Projection:
    return project(_X, method="pca", n_components=n_components)


@st.cache_data(ttl=KEEP_SECONDS, show_spinner=False)
def _tsne(digest: str, n_components: int, perplexity: float | None, _X: np.ndarray, _task: Task) -> Projection:
    with _task.running(at_once=True) as report:
        return project(_X, method="tsne", n_components=n_components, perplexity=perplexity, on_progress=report)


@st.cache_data(ttl=KEEP_SECONDS, show_spinner=False)
def _probe(digest: str, _X: np.ndarray, _y: np.ndarray, _task: Task) -> ProbeResult:
    with _task.running() as report:
        return linear_probe(_X, _y, on_progress=report)


@st.cache_data(ttl=KEEP_SECONDS, show_spinner=False)
def _agreement(digest: str, _X: np.ndarray, _labels: np.ndarray) -> float:
    return neighbor_accuracy(_X, _labels)


@st.cache_data(ttl=KEEP_SECONDS, show_spinner="Reading the pixels …")
def _raw_pixels(images_fingerprint: str, _images: ImageSet) -> np.ndarray:
    return raw_pixel_vectors(_images)
