"""Nearest neighbors and cosine similarity of vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from featlib.analysis.checks import checked_labels, checked_vectors
from featlib.checks import whole_number

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Neighbors:
    """The rows nearest to one row, nearest first.

    Attributes:
        indices: (k,) int rows of X.
        similarities: (k,) float64 cosine similarities, -1..1.
    """

    indices: np.ndarray
    similarities: np.ndarray

    def __repr__(self) -> str:
        nearest = f", nearest row {self.indices[0]} ({self.similarities[0]:.3f})" if len(self.indices) else ""
        return f"Neighbors({len(self.indices):,} rows{nearest})"

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas DataFrame with the columns row and similarity, nearest first."""
        import pandas as pd

        return pd.DataFrame({"row": self.indices, "similarity": self.similarities})


def find_neighbors(X: np.ndarray, query: int, *, n_neighbors: int = 8) -> Neighbors:
    """Find the rows of X with the highest cosine similarity to row `query`, excluding that row.

    Args:
        X: (n, D) vectors. A zero vector has similarity 0 with any other.
        query: Row index, 0..n-1.
        n_neighbors: How many to return; at most n - 1.

    Returns:
        The neighbors, nearest first; ties in row order.

    Raises:
        FeatlibError: If `query` or `n_neighbors` is out of bounds, or X holds NaN.
    """
    X = checked_vectors(X)
    query = whole_number("query, a row of X,", query, 0, len(X) - 1)
    n_neighbors = whole_number("n_neighbors", n_neighbors)
    directions = _directions(X)
    similarities = np.clip(directions @ directions[query], -1.0, 1.0)
    order = np.argsort(-similarities, kind="stable")
    indices = order[order != query][:n_neighbors]
    return Neighbors(indices, similarities[indices])


def cosine_similarity(X: np.ndarray) -> np.ndarray:
    """Compute the cosine similarity of every pair of rows.

    Args:
        X: (n, D) vectors. A zero vector has similarity 0 with every row, itself included.

    Returns:
        (n, n) float32, -1..1.

    Raises:
        FeatlibError: If X is empty, not (n, D), or holds NaN.
    """
    directions = _directions(checked_vectors(X))
    return np.clip(directions @ directions.T, -1.0, 1.0).astype(np.float32)


def neighbor_accuracy(X: np.ndarray, y: np.ndarray, *, n_neighbors: int = 5) -> float:
    """Return the leave-one-out accuracy of a k-nearest-neighbor classifier under cosine similarity.

    Equal to scikit-learn's KNeighborsClassifier under LeaveOneOut.

    Args:
        X: (n, D) vectors.
        y: (n,) labels.
        n_neighbors: How many neighbors vote; at most n - 1. A tie goes to the label that sorts first.

    Returns:
        The accuracy, 0..1.

    Raises:
        FeatlibError: If X has fewer than 2 rows or holds NaN, or there is not one label per row.
    """
    X = checked_vectors(X, min_rows=2)
    classes, codes = np.unique(checked_labels(y, len(X)), return_inverse=True)
    n_neighbors = whole_number("n_neighbors", n_neighbors)
    similarity = cosine_similarity(X)
    np.fill_diagonal(similarity, -np.inf)
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, : min(n_neighbors, len(X) - 1)]
    votes = np.zeros((len(X), len(classes)), int)
    np.add.at(votes, (np.arange(len(X))[:, None], codes[nearest]), 1)
    return float((votes.argmax(axis=1) == codes).mean())


def _directions(X: np.ndarray) -> np.ndarray:
    """Scale rows to length 1 in float64; zero rows stay zero.

    Each row is first divided by its largest value: deep layers with random weights give values near 1e-10, whose
    squares would underflow.
    """
    largest = np.abs(X).max(axis=1, keepdims=True).astype(np.float64)
    scaled = X / np.where(largest > 0, largest, 1.0)
    lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
    return scaled / np.where(lengths > 0, lengths, 1.0)
