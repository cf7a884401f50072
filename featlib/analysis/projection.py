"""Projection of vectors to two or three coordinates by PCA (scikit-learn) or t-SNE (openTSNE)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from featlib.analysis.checks import checked_vectors
from featlib.checks import choice, finite_number, seed, whole_number
from featlib.errors import FeatlibError
from featlib.progress import OnProgress, report_progress

if TYPE_CHECKING:
    import pandas as pd

ProjectionMethod = Literal["pca", "tsne"]
PROJECTION_METHODS: tuple[ProjectionMethod, ...] = get_args(ProjectionMethod)

DEFAULT_PERPLEXITY = 30.0
MIN_TSNE_ROWS = 4
MAX_COVARIANCE = 4096  # columns
MAX_EXACT = 2_000_000  # values
PCA_BEFORE_TSNE = 50
EARLY_ITERATIONS, MAIN_ITERATIONS, CALLBACK_EVERY = 250, 500, 10
N_ITERATIONS = EARLY_ITERATIONS + MAIN_ITERATIONS


@dataclass(frozen=True, eq=False)
class Projection:
    """Coordinates of n vectors in k dimensions, and how they were computed.

    Attributes:
        coordinates: (n, k) float64, rows in the order of the vectors.
        method: "pca" or "tsne".
        n_components: k.
        explained_variance_ratio: (k,) share of the total variance on each axis, 0..1; None for t-SNE.
        perplexity: The perplexity used; None for PCA.
        kl_divergence: How far the map is from the neighborhoods it shows (0 is perfect); None for PCA.
        random_state: The seed that reproduces this result.
    """

    coordinates: np.ndarray
    method: ProjectionMethod
    n_components: int
    explained_variance_ratio: np.ndarray | None
    perplexity: float | None
    kl_divergence: float | None
    random_state: int

    def __repr__(self) -> str:
        how = [f"{len(self.coordinates):,} × {self.n_components} by {self.method}", f"random_state={self.random_state}"]
        if self.explained_variance_ratio is not None:
            how.append(f"{self.explained_variance_ratio.sum():.0%} of the variance")
        if self.perplexity is not None:
            how.append(f"perplexity={self.perplexity:g}")
        return f"Projection({', '.join(how)})"

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas DataFrame: one row per vector, with the columns x, y (and z), or 0 to k - 1 for more."""
        import pandas as pd

        columns = list("xyz"[: self.n_components]) if self.n_components <= 3 else list(range(self.n_components))
        return pd.DataFrame(self.coordinates, columns=columns)


def perplexity_bounds(n: int) -> tuple[float, float]:
    """Return the smallest and largest perplexity that t-SNE can use for n vectors.

    Perplexity is roughly the number of neighbors that count for each point. t-SNE searches three times as many, and
    there are only n - 1 others, so the largest is (n - 1) / 3.

    Raises:
        FeatlibError: If n is below 4.
    """
    if whole_number("n, the number of vectors,", n, 0) < MIN_TSNE_ROWS:
        raise FeatlibError(f"t-SNE needs at least {MIN_TSNE_ROWS} vectors and received {n}. Add images, or use PCA.")
    return 1.0, (n - 1) / 3


def project(
    X: np.ndarray,
    *,
    method: ProjectionMethod = "pca",
    n_components: int = 2,
    perplexity: float | None = None,
    random_state: int = 0,
    on_progress: OnProgress | None = None,
) -> Projection:
    """Project vectors to a few coordinates that can be plotted.

    Identical vectors, which have no spread, give zeros.

    Args:
        X: (n, D) vectors.
        method: "pca" keeps the directions of largest variance; "tsne" keeps neighbors together.
        n_components: 2 or 3 (PCA takes any number up to min(n, D), for a plot of explained variance).
        perplexity: For t-SNE, within `perplexity_bounds(n)`; None takes 30, or the upper bound if that is less.
        random_state: Seed; the same seed, vectors and machine give the same coordinates.
        on_progress: Called with (iterations done, iterations in all), which is (0, 1) and (1, 1) for PCA. Returning
            True cancels.

    Returns:
        The projection.

    Raises:
        FeatlibError: If X holds NaN or is too small, or an option is out of bounds.
        CancelledError: If `on_progress` returned True.
    """
    choice("method", method, PROJECTION_METHODS)
    random_state, n_components = seed(random_state), whole_number("n_components", n_components)
    X = checked_vectors(X, min_rows=2)
    tsne = method == "tsne"
    if tsne and n_components not in (2, 3):
        raise FeatlibError(f"t-SNE maps to 2 or 3 dimensions; received n_components={n_components}.")
    if n_components > min(X.shape):
        raise FeatlibError(
            f"n_components={n_components} is not between 1 and {min(X.shape)}, the smaller side of the "
            f"vectors' shape {X.shape}. Add images, or ask for fewer components."
        )
    used = _checked_perplexity(perplexity, len(X)) if tsne else None
    steps = N_ITERATIONS if tsne else 1
    report_progress(on_progress, 0, steps)
    coordinates, ratios, divergence = np.zeros((len(X), n_components)), np.zeros(n_components), 0.0
    if np.ptp(X, axis=0).any():
        if used is None:
            coordinates, ratios = _pca(X, n_components, random_state)
        else:
            coordinates, divergence = _tsne(X, n_components, used, random_state, on_progress)
    report_progress(on_progress, steps, steps)
    return Projection(
        coordinates=coordinates,
        method=method,
        n_components=n_components,
        explained_variance_ratio=None if tsne else ratios,
        perplexity=used,
        kl_divergence=divergence if tsne else None,
        random_state=random_state,
    )


def pca_solver(n: int, width: int) -> str:
    """Choose the fastest exact PCA solver for an (n, width) array, or "randomized" if that would take seconds."""
    if width <= n and width <= MAX_COVARIANCE:
        return "covariance_eigh"
    return "full" if n * width <= MAX_EXACT else "randomized"


def _checked_perplexity(perplexity: float | None, n: int) -> float:
    low, high = perplexity_bounds(n)
    if perplexity is None:
        return min(DEFAULT_PERPLEXITY, high)
    perplexity = finite_number("perplexity", perplexity)
    if not low <= perplexity <= high:
        raise FeatlibError(
            f"perplexity={perplexity:g} is outside {low:g} to {high:.4g}, the bounds for {n} vectors. "
            "Choose one between them, or add images."
        )
    return perplexity


def _pca(X: np.ndarray, n_components: int, random_state: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (n, k) coordinates and (k,) explained variance ratios, float64."""
    from sklearn.decomposition import PCA

    solver = pca_solver(*X.shape)
    # The exact solvers square the data, which in float32 costs half of the digits.
    X = X if solver == "randomized" else X.astype(np.float64, copy=False)
    pca = PCA(n_components, svd_solver=solver, random_state=random_state)
    coordinates = pca.fit_transform(X).astype(np.float64, copy=False)
    return coordinates, pca.explained_variance_ratio_.astype(np.float64, copy=False)


def _tsne(
    X: np.ndarray, n_components: int, perplexity: float, random_state: int, on_progress: OnProgress | None
) -> tuple[np.ndarray, float]:
    """Return (n, k) coordinates and the KL divergence."""
    from openTSNE import TSNE

    reduced, _ = _pca(X, min(PCA_BEFORE_TSNE, *X.shape), random_state)
    report_progress(on_progress, 0, N_ITERATIONS)
    done = itertools.count(CALLBACK_EVERY, CALLBACK_EVERY)  # openTSNE counts from 0 again in its second phase

    def report_iterations(*_: object) -> None:
        report_progress(on_progress, next(done), N_ITERATIONS)

    embedding = TSNE(
        n_components=n_components,
        perplexity=perplexity,
        early_exaggeration_iter=EARLY_ITERATIONS,
        n_iter=MAIN_ITERATIONS,
        # Explicit, since "auto" takes pynndescent where that is installed, which compiles for 20 s on the first call.
        neighbors="exact" if len(X) <= 1000 else "annoy",
        # The interpolation of "fft" pays off from 10,000 points on, and exists in two dimensions only.
        negative_gradient_method="fft" if len(X) > 10_000 and n_components == 2 else "bh",
        callbacks=None if on_progress is None else report_iterations,
        callbacks_every_iters=CALLBACK_EVERY,
        # One thread: the approximate neighbors of a large batch depend on the number of threads, and threads wait for
        # each other 750 times, which takes longer than it saves on a machine that has other work.
        n_jobs=1,
        random_state=random_state,
    ).fit(reduced)
    return np.array(embedding), float(embedding.kl_divergence)
