"""Vectors to two or three coordinates: PCA (scikit-learn) and t-SNE (openTSNE), repeatable, cancellable."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from featlib.analysis.checks import checked_vectors, report
from featlib.errors import FeatlibError

Method = Literal["pca", "tsne"]
OnProgress = Callable[[float, np.ndarray | None], bool | None]

DEFAULT_PERPLEXITY = 30.0
MIN_TSNE_ROWS = 4
MAX_COVARIANCE = 4096  # columns
MAX_EXACT = 2_000_000  # values
PCA_BEFORE_TSNE = 50
EARLY_ITERATIONS, MAIN_ITERATIONS, CALLBACK_EVERY = 250, 500, 10


@dataclass(frozen=True, eq=False)
class Projection:
    """Coordinates of n vectors in k dimensions, and how they were found.

    Attributes:
        coordinates: (n, k) float64, rows in the order of the vectors.
        method: "pca" or "tsne".
        n_components: k.
        explained_variance_ratio: (k,) share of the whole variance on each axis, 0..1; None for t-SNE.
        perplexity: The perplexity that was used; None for PCA.
        kl_divergence: How far the picture is from the neighbourhoods it shows (0 is perfect); None for PCA.
        random_state: The seed that repeats this result.
    """

    coordinates: np.ndarray
    method: Method
    n_components: int
    explained_variance_ratio: np.ndarray | None
    perplexity: float | None
    kl_divergence: float | None
    random_state: int


def perplexity_bounds(n: int) -> tuple[float, float]:
    """Return the smallest and largest perplexity that t-SNE can use for n vectors.

    Perplexity is roughly how many neighbours each point looks at. Three times as many are searched, and there
    are only n - 1 others, so the largest is (n - 1) / 3.

    Raises:
        FeatlibError: If n is below 4.
    """
    if n < MIN_TSNE_ROWS:
        raise FeatlibError(f"t-SNE needs at least {MIN_TSNE_ROWS} vectors and received {n}. Add images, or use PCA.")
    return 1.0, (n - 1) / 3


def project(
    X: np.ndarray,
    *,
    method: Method = "pca",
    n_components: int = 2,
    perplexity: float | None = None,
    random_state: int = 0,
    on_progress: OnProgress | None = None,
) -> Projection:
    """Project vectors to a few coordinates that can be drawn.

    Equal vectors only (nothing to spread out) give zeros.

    Args:
        X: (n, D) vectors.
        method: "pca" keeps the directions of the largest variance; "tsne" keeps who is near whom.
        n_components: 2 or 3 (PCA takes any number up to min(n, D), for a plot of explained variance).
        perplexity: t-SNE only, within `perplexity_bounds(n)`; None takes 30, or the upper bound if less.
        random_state: Seed; the same seed, vectors and machine give the same coordinates.
        on_progress: Called with the share done (0..1) and the (n, k) coordinates so far, or None. Answering
            True cancels.

    Returns:
        The projection.

    Raises:
        FeatlibError: If X holds NaN, is too small, or an option is out of its bounds.
        CancelledError: If `on_progress` answered True.
    """
    if method not in ("pca", "tsne"):
        raise FeatlibError(f"Unknown projection method {method!r}. Choose one of: pca, tsne.")
    X = checked_vectors(X, min_rows=2)
    _check_n_components(n_components, X.shape, method)
    used = _checked_perplexity(perplexity, len(X)) if method == "tsne" else None
    report(on_progress, 0.0, None)
    if not np.ptp(X, axis=0).any():
        result = _Fit(np.zeros((len(X), n_components)), np.zeros(n_components), 0.0)
    elif used is None:
        result = _pca(X, n_components, random_state)
    else:
        result = _tsne(X, n_components, used, random_state, on_progress)
    report(on_progress, 1.0, result.coordinates)
    return Projection(
        coordinates=result.coordinates,
        method=method,
        n_components=n_components,
        explained_variance_ratio=result.explained_variance_ratio if method == "pca" else None,
        perplexity=used,
        kl_divergence=result.kl_divergence if method == "tsne" else None,
        random_state=random_state,
    )


@dataclass(frozen=True, eq=False)
class _Fit:
    coordinates: np.ndarray
    explained_variance_ratio: np.ndarray | None = None
    kl_divergence: float | None = None


def _check_n_components(n_components: int, shape: tuple[int, ...], method: Method) -> None:
    if method == "tsne" and n_components not in (2, 3):
        raise FeatlibError(f"t-SNE draws in 2 or 3 dimensions; received n_components={n_components}.")
    if not 1 <= n_components <= min(shape):
        raise FeatlibError(
            f"n_components={n_components} is not between 1 and {min(shape)}, the smaller side of the "
            f"vectors' shape {shape}. Add images, or ask for fewer components."
        )


def _checked_perplexity(perplexity: float | None, n: int) -> float:
    low, high = perplexity_bounds(n)
    if perplexity is None:
        return min(DEFAULT_PERPLEXITY, high)
    if not low <= perplexity <= high:
        raise FeatlibError(
            f"perplexity={perplexity:g} is outside {low:g} to {high:.4g}, the bounds for {n} vectors. "
            "Choose one between them, or add images."
        )
    return float(perplexity)


def _pca(X: np.ndarray, n_components: int, random_state: int) -> _Fit:
    from sklearn.decomposition import PCA

    solver = _pca_solver(*X.shape)
    # The exact solvers square the data: in float32 that costs half of the digits.
    X = X if solver == "randomized" else X.astype(np.float64, copy=False)
    pca = PCA(n_components, svd_solver=solver, random_state=random_state)
    coordinates = pca.fit_transform(X).astype(np.float64, copy=False)
    return _Fit(coordinates, pca.explained_variance_ratio_.astype(np.float64, copy=False))


def _pca_solver(n: int, d: int) -> str:
    """Choose the quickest exact solver; where exact would take seconds, the randomized one."""
    if d <= n and d <= MAX_COVARIANCE:
        return "covariance_eigh"
    return "full" if n * d <= MAX_EXACT else "randomized"


def _tsne(
    X: np.ndarray, n_components: int, perplexity: float, random_state: int, on_progress: OnProgress | None
) -> _Fit:
    from openTSNE import TSNE

    reduced = _pca(X, min(PCA_BEFORE_TSNE, *X.shape), random_state).coordinates
    report(on_progress, 0.05, None)
    embedding = TSNE(
        n_components=n_components,
        perplexity=perplexity,
        early_exaggeration_iter=EARLY_ITERATIONS,
        n_iter=MAIN_ITERATIONS,
        # Named, not "auto": with pynndescent installed, "auto" compiles for 20 s on the first call.
        neighbors="exact" if len(X) <= 1000 else "annoy",
        # The interpolation of "fft" pays from 10,000 points on, and exists in two dimensions only.
        negative_gradient_method="fft" if len(X) > 10_000 and n_components == 2 else "bh",
        callbacks=None if on_progress is None else _callback(on_progress),
        callbacks_every_iters=CALLBACK_EVERY,
        # One thread: the approximate neighbours of a large batch depend on the number of threads, and threads wait for
        # each other 750 times, which takes longer than it saves on a machine that has other work.
        n_jobs=1,
        random_state=random_state,
    ).fit(reduced)
    return _Fit(np.array(embedding), kl_divergence=float(embedding.kl_divergence))


def _callback(on_progress: OnProgress) -> Callable[[int, float, np.ndarray], None]:
    done = itertools.count(CALLBACK_EVERY, CALLBACK_EVERY)  # openTSNE starts again at 0 for its second phase

    def callback(_iteration: int, _error: float, embedding: np.ndarray) -> None:
        share = next(done) / (EARLY_ITERATIONS + MAIN_ITERATIONS)
        report(on_progress, 0.1 + 0.9 * share, np.array(embedding))

    return callback
