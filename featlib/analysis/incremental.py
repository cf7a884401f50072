"""PCA and nearest neighbours of vectors that come in batches: exact, and never all in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from featlib.analysis.checks import checked_vectors, report
from featlib.analysis.neighbors import Neighbors, find_neighbors
from featlib.errors import FeatlibError

OnRows = Callable[[int], bool | None]

MAX_WIDTH = 4096  # columns; the covariance of more takes more than 134 MB and minutes


@dataclass(frozen=True, eq=False)
class StreamedPCA:
    """The directions of the largest variance of n vectors.

    Attributes:
        n: how many vectors there were.
        mean: (D,) float64.
        components: (k, D) float64, orthonormal rows, the largest variance first; signs as in scikit-learn's PCA.
        explained_variance_ratio: (k,) share of the whole variance on each axis, 0…1.
    """

    n: int
    mean: np.ndarray
    components: np.ndarray
    explained_variance_ratio: np.ndarray

    def transform(self, X: np.ndarray) -> np.ndarray:
        """(m, D) vectors to (m, k) float64 coordinates."""
        return (X - self.mean) @ self.components.T


def fit_pca(batches: Iterable[np.ndarray], n_components: int = 2, *, on_progress: OnRows | None = None) -> StreamedPCA:
    """Finds the principal components of all vectors, as PCA does that has all in memory.

    The covariance matrix is summed up batch by batch in float64; scikit-learn's IncrementalPCA forgets, with each
    batch, what its few components do not hold, and takes longer.

    Args:
        batches: (m, D) vectors each, m of any size.
        n_components: how many axes; all min(n, D) where there are fewer.
        on_progress: called with how many vectors are done. Answering True cancels.

    Raises:
        FeatlibError: there are fewer than 2 vectors, more than 4,096 columns, or NaN among them.
        CancelledError: `on_progress` answered True.
    """
    if n_components < 1:
        raise FeatlibError(f"n_components={n_components}; at least 1 is needed.")
    sums: _Sums | None = None
    for X in batches:
        if not len(X):
            continue
        sums = sums or _Sums(np.asarray(X))
        sums.add(X)
        report(on_progress, sums.n)
    if sums is None or sums.n < 2:
        raise FeatlibError(f"PCA needs at least 2 vectors and received {sums.n if sums else 0}. Add images.")
    return _solve(sums, min(n_components, sums.n, len(sums.shift)))


def stream_neighbors(
    batches: Iterable[np.ndarray],
    query: np.ndarray,
    *,
    without: int | None = None,
    n_neighbors: int = 8,
    on_progress: OnRows | None = None,
) -> Neighbors:
    """Finds the vectors most alike to `query` in direction; `find_neighbors` for vectors that come in batches.

    Args:
        batches: (m, D) vectors each; rows are counted on from batch to batch.
        query: (D,).
        without: a row that is left out, as the query's own.
        n_neighbors: how many to return; all where there are fewer.
        on_progress: called with how many vectors are done. Answering True cancels.

    Raises:
        FeatlibError: `n_neighbors` is out of bounds, or there is NaN among the vectors.
        CancelledError: `on_progress` answered True.
    """
    indices, similarities, start = np.empty(0, int), np.empty(0), 0
    for X in batches:
        found = find_neighbors(np.vstack([query, X]), 0, n_neighbors=n_neighbors + 1)
        own = found.indices - 1 + start
        keep = own != without
        indices = np.concatenate([indices, own[keep]])
        similarities = np.concatenate([similarities, found.similarities[keep]])
        order = np.argsort(-similarities, kind="stable")[:n_neighbors]
        indices, similarities = indices[order], similarities[order]
        start += len(X)
        report(on_progress, start)
    return Neighbors(indices, similarities)


class _Sums:
    """What the covariance is made of. Vectors are shifted first: the squares of large equal parts would eat digits."""

    def __init__(self, first: np.ndarray) -> None:
        if first.ndim == 2 and first.shape[1] > MAX_WIDTH:
            raise FeatlibError(
                f"PCA on all rows takes vectors of at most {MAX_WIDTH:,} numbers. Received: {first.shape[1]:,}. "
                "Extract with average or maximum pooling, or from a layer with fewer channels."
            )
        self.shift = checked_vectors(first).mean(axis=0, dtype=np.float64)
        self.n, self.total = 0, np.zeros_like(self.shift)
        self.products = np.zeros((len(self.shift), len(self.shift)), order="F")

    def add(self, X: np.ndarray) -> None:
        """Adds (m, D) vectors."""
        from scipy.linalg.blas import dsyrk

        shifted = checked_vectors(X) - self.shift
        self.total += shifted.sum(axis=0)
        self.products = dsyrk(1.0, shifted.T, beta=1.0, c=self.products, overwrite_c=1)  # the upper triangle
        self.n += len(X)


def _solve(sums: _Sums, k: int) -> StreamedPCA:
    from scipy.linalg import eigh
    from scipy.linalg.blas import dsyr

    width = len(sums.shift)
    covariance = dsyr(-1.0 / sums.n, sums.total, a=sums.products, overwrite_a=1)
    whole = float(np.trace(covariance))
    values, vectors = eigh(
        covariance, lower=False, subset_by_index=(width - k, width - 1), overwrite_a=True, check_finite=False
    )
    components = vectors[:, ::-1].T
    signs = np.sign(components[np.arange(k), np.abs(components).argmax(axis=1)])
    ratios = np.clip(values[::-1], 0.0, None) / whole if whole > 0 else np.zeros(k)
    mean = sums.shift + sums.total / sums.n
    return StreamedPCA(sums.n, mean, np.ascontiguousarray(components * signs[:, np.newaxis]), ratios)
