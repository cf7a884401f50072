"""Exact PCA and nearest neighbors of vectors that come in batches and are never in memory all at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from featlib.analysis.checks import checked_vectors
from featlib.analysis.neighbors import Neighbors, find_neighbors
from featlib.checks import as_array, shown, whole_number
from featlib.errors import FeatlibError
from featlib.progress import OnProgress, report_progress

MAX_WIDTH = 4096  # columns; the covariance of more takes more than 134 MB and minutes


@dataclass(frozen=True, eq=False)
class StreamedPCA:
    """The principal components of n vectors.

    Attributes:
        n: Number of vectors.
        mean: (D,) float64.
        components: (k, D) float64, orthonormal rows, largest variance first; signs as in scikit-learn's PCA.
        explained_variance_ratio: (k,) share of the total variance on each axis, 0..1.
    """

    n: int
    mean: np.ndarray
    components: np.ndarray
    explained_variance_ratio: np.ndarray

    def __repr__(self) -> str:
        share = self.explained_variance_ratio.sum()
        axes = f"{len(self.components)} of {len(self.mean):,} axes"
        return f"StreamedPCA({self.n:,} vectors, {axes}, {share:.0%} of the variance)"

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Project (m, D) vectors to (m, k) float64 coordinates.

        Raises:
            FeatlibError: If these are no such vectors.
        """
        X = checked_vectors(X, min_rows=0)
        if X.shape[1] != len(self.mean):
            raise FeatlibError(f"Received vectors of {X.shape[1]:,} numbers; PCA was fitted on {len(self.mean):,}.")
        return (X - self.mean) @ self.components.T


def fit_pca(
    batches: Iterable[np.ndarray],
    n_components: int = 2,
    *,
    total: int | None = None,
    on_progress: OnProgress | None = None,
) -> StreamedPCA:
    """Compute the principal components of all vectors, as PCA with all of them in memory would.

    The covariance matrix is summed in float64, batch by batch. (scikit-learn's IncrementalPCA drops what its
    components do not capture with each batch, and takes longer.)

    Args:
        batches: (m, D) vectors each, m of any size.
        n_components: Number of axes, at most min(n, D).
        total: Number of vectors in all, for `on_progress`; None reports the number read so far.
        on_progress: Called with (vectors done, total). Returning True cancels.

    Raises:
        FeatlibError: If there are fewer than 2 vectors, more than 4,096 columns, or NaN among the vectors.
        CancelledError: If `on_progress` returned True.
    """
    n_components = whole_number("n_components", n_components)
    if total is not None:
        whole_number("total", total, 0)
    sums: _CovarianceSums | None = None
    for X in _batches(batches):
        sums = sums or _CovarianceSums(X)
        sums.add(X)
        report_progress(on_progress, sums.n, total or sums.n)
    if sums is None or sums.n < 2:
        raise FeatlibError(f"PCA needs at least 2 vectors and received {sums.n if sums else 0}. Add images.")
    return sums.solve(min(n_components, sums.n, len(sums.shift)))


def stream_neighbors(
    batches: Iterable[np.ndarray],
    query: np.ndarray,
    *,
    without: int | None = None,
    n_neighbors: int = 8,
    total: int | None = None,
    on_progress: OnProgress | None = None,
) -> Neighbors:
    """Find the vectors with the highest cosine similarity to `query`; `find_neighbors` for batches.

    Args:
        batches: (m, D) vectors each; rows are numbered across batches.
        query: (D,).
        without: A row to exclude, such as the query's own.
        n_neighbors: How many to return, at most all.
        total: Number of vectors in all, for `on_progress`; None reports the number read so far.
        on_progress: Called with (vectors done, total). Returning True cancels.

    Raises:
        FeatlibError: If `n_neighbors` is out of bounds, or there is NaN among the vectors.
        CancelledError: If `on_progress` returned True.
    """
    n_neighbors = whole_number("n_neighbors", n_neighbors)
    query = checked_vectors(np.atleast_2d(as_array("query", query)))
    if len(query) > 1:
        raise FeatlibError(f"query must be one vector, (D,). Received: an array of shape {query.shape}.")
    if total is not None:
        whole_number("total", total, 0)
    if without is not None:
        whole_number("without", without, 0)
    indices, similarities, start = np.empty(0, int), np.empty(0), 0
    for X in _batches(batches):
        if X.shape[1:] != query.shape[1:]:
            raise FeatlibError(f"Received vectors of shape {X.shape} and a query of {query.shape[1]:,} numbers.")
        found = find_neighbors(np.vstack([query, X]), 0, n_neighbors=n_neighbors + 1)
        rows = found.indices - 1 + start
        wanted = rows != without
        indices = np.concatenate([indices, rows[wanted]])
        similarities = np.concatenate([similarities, found.similarities[wanted]])
        order = np.argsort(-similarities, kind="stable")[:n_neighbors]
        indices, similarities = indices[order], similarities[order]
        start += len(X)
        report_progress(on_progress, start, total or start)
    return Neighbors(indices, similarities)


def _batches(batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Iterate over the batches that are not empty, as arrays."""
    if not isinstance(batches, Iterable) or getattr(batches, "ndim", 1) == 0:
        raise FeatlibError(f"batches must be an iterable of (m, D) arrays. Received: {shown(batches)}.")
    for batch in batches:
        X = as_array("batches", batch)
        if X.ndim != 2 or X.size:
            yield checked_vectors(X)


class _CovarianceSums:
    """Running sums of a covariance matrix.

    Vectors are shifted by the mean of the first batch: the squares of a large common part would cost digits.
    """

    def __init__(self, first: np.ndarray) -> None:
        if first.shape[1] > MAX_WIDTH:
            raise FeatlibError(
                f"PCA on all rows takes vectors of at most {MAX_WIDTH:,} numbers. Received: {first.shape[1]:,}. "
                "Extract with average or maximum pooling, or from a layer with fewer channels."
            )
        self.shift = first.mean(axis=0, dtype=np.float64)
        self.n, self.total = 0, np.zeros_like(self.shift)
        self.products = np.zeros((len(self.shift), len(self.shift)), order="F")

    def add(self, X: np.ndarray) -> None:
        """Add (m, D) vectors."""
        from scipy.linalg.blas import dsyrk

        if X.shape[1] != len(self.shift):
            raise FeatlibError(f"Received batches of {len(self.shift):,} and of {X.shape[1]:,} columns.")
        shifted = X - self.shift
        self.total += shifted.sum(axis=0)
        self.products = dsyrk(1.0, shifted.T, beta=1.0, c=self.products, overwrite_c=1)  # the upper triangle
        self.n += len(X)

    def solve(self, k: int) -> StreamedPCA:
        """Return the k axes of largest variance. Uses up the sums."""
        from scipy.linalg import eigh
        from scipy.linalg.blas import dsyr

        width = len(self.shift)
        covariance = dsyr(-1.0 / self.n, self.total, a=self.products, overwrite_a=1)
        variance = float(np.trace(covariance))
        values, vectors = eigh(
            covariance, lower=False, subset_by_index=(width - k, width - 1), overwrite_a=True, check_finite=False
        )
        components = vectors[:, ::-1].T
        signs = np.sign(components[np.arange(k), np.abs(components).argmax(axis=1)])
        ratios = np.clip(values[::-1], 0.0, None) / variance if variance > 0 else np.zeros(k)
        mean = self.shift + self.total / self.n
        return StreamedPCA(self.n, mean, np.ascontiguousarray(components * signs[:, np.newaxis]), ratios)
