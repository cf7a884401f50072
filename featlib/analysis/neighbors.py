"""Which rows of X are most alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from featlib.analysis.checks import checked_vectors
from featlib.errors import FeatlibError


@dataclass(frozen=True, eq=False)
class Neighbors:
    """The rows nearest to one row, nearest first.

    Attributes:
        indices: (k,) int rows of X.
        similarities: (k,) float64 cosines of the angles, -1..1.
    """

    indices: np.ndarray
    similarities: np.ndarray


def find_neighbors(X: np.ndarray, query: int, *, n_neighbors: int = 8) -> Neighbors:
    """Find the rows of X most alike to the row `query` in direction, without the row itself.

    Args:
        X: (n, D) vectors. A vector of zeros has no direction: its cosine with any other is 0.
        query: Row index, 0..n-1.
        n_neighbors: How many to return; all n - 1 others where there are fewer.

    Returns:
        The neighbours, nearest first; equally near ones in row order.

    Raises:
        FeatlibError: If `query` or `n_neighbors` is out of bounds, or X holds NaN.
    """
    X = checked_vectors(X)
    if not 0 <= query < len(X):
        raise FeatlibError(f"query={query} is not a row of X; choose one of 0 to {len(X) - 1}.")
    if n_neighbors < 1:
        raise FeatlibError(f"n_neighbors={n_neighbors}; at least 1 is needed.")
    directions = _directions(X)
    similarities = np.clip(directions @ directions[query], -1.0, 1.0)
    order = np.argsort(-similarities, kind="stable")
    indices = order[order != query][:n_neighbors]
    return Neighbors(indices, similarities[indices])


def cosine_similarity(X: np.ndarray) -> np.ndarray:
    """Compare every row of X with every other by the cosine of the angle between them.

    Args:
        X: (n, D) vectors. A row of zeros has similarity 0 with every row, itself included.

    Returns:
        (n, n) float32, -1..1.

    Raises:
        FeatlibError: If X is empty, not (n, D), or holds NaN.
    """
    directions = _directions(checked_vectors(X))
    return np.clip(directions @ directions.T, -1.0, 1.0).astype(np.float32)


def neighbor_accuracy(X: np.ndarray, y: np.ndarray, *, n_neighbors: int = 5) -> float:
    """Share of rows whose nearest other rows, by cosine, vote for the row's own label.

    Leave-one-out k-nearest-neighbour accuracy, as scikit-learn's KNeighborsClassifier under LeaveOneOut.

    Args:
        X: (n, D) vectors.
        y: (n,) labels.
        n_neighbors: How many neighbours vote; all n - 1 others where there are fewer. Of equally many votes the label
            first in sorted order wins.

    Returns:
        0..1.

    Raises:
        FeatlibError: If X has fewer than 2 rows or holds NaN, or there is not one label per row.
    """
    X = checked_vectors(X, min_rows=2)
    classes, codes = np.unique(np.asarray(y), return_inverse=True)
    if codes.shape != (len(X),):
        raise FeatlibError(f"Received {codes.size} labels for {len(X)} vectors; one each is needed.")
    similarity = cosine_similarity(X)
    np.fill_diagonal(similarity, -np.inf)
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, : min(n_neighbors, len(X) - 1)]
    votes = np.zeros((len(X), len(classes)), int)
    np.add.at(votes, (np.arange(len(X))[:, None], codes[nearest]), 1)
    return float((votes.argmax(axis=1) == codes).mean())


def _directions(X: np.ndarray) -> np.ndarray:
    """Rows of length 1 in float64; rows of zeros stay zeros.

    Each row is first divided by its largest value: random deep layers give values of 1e-10, whose squares would vanish.
    """
    largest = np.abs(X).max(axis=1, keepdims=True).astype(np.float64)
    scaled = X / np.where(largest > 0, largest, 1.0)
    lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
    return scaled / np.where(lengths > 0, lengths, 1.0)
