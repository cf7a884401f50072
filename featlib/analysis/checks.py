"""Validation of vectors and labels, shared by all functions that take them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from featlib.checks import as_array
from featlib.errors import FeatlibError

LARGEST = 1e15  # the sums of squares of larger values exceed what float32 holds


def checked_vectors(X: np.ndarray, *, min_rows: int = 1) -> np.ndarray:
    """Return X as an (n, D) float array (float32 stays float32).

    Args:
        X: (n, D) vectors.
        min_rows: The smallest number of rows allowed.

    Raises:
        FeatlibError: If X is not two-dimensional, too small, not numeric, or holds NaN, infinite or huge values.
    """
    X = as_array("X", X)
    if X.ndim != 2:
        raise FeatlibError(
            f"Received vectors of shape {X.shape}; (n, D) is needed. Turn feature maps into vectors with pool()."
        )
    if len(X) < min_rows or X.shape[1] == 0:
        raise FeatlibError(
            f"Received vectors of shape {X.shape}; at least {min_rows} row(s) and 1 column are needed. Add images."
        )
    if X.dtype.kind not in "fiub":
        raise FeatlibError(f"Received vectors of dtype {X.dtype}; numbers are needed.")
    X = X if X.dtype in (np.float32, np.float64) else X.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(X).all(axis=1))
    if len(bad):
        raise FeatlibError(
            f"{len(bad)} of {len(X)} vectors hold NaN or infinite values (the first is row {bad[0]}). "
            "Remove those rows, or check the layer and the weights."
        )
    largest = max(float(X.max(initial=0)), -float(X.min(initial=0)))
    if largest > LARGEST:
        raise FeatlibError(
            f"Received vectors with values up to {largest:.3g}; at most {LARGEST:g} are allowed. "
            "Scale them, or check the layer and the weights."
        )
    return X


def checked_labels(y: Sequence[object] | np.ndarray, n: int) -> np.ndarray:
    """Return one label per vector as an (n,) array that can be sorted.

    Raises:
        FeatlibError: If there is not one label for each of n vectors, or one is missing (None or NaN).
    """
    labels = as_array("y", y)
    if labels.shape != (n,):
        raise FeatlibError(f"Received labels of shape {labels.shape} for {n} vectors; one label per vector is needed.")
    missing = np.array([label is None or label != label for label in labels.tolist()])
    if missing.any():
        raise FeatlibError(
            f"{missing.sum()} of {n} images have no label (the first is row {missing.argmax()}). "
            "Label them, or remove them."
        )
    return labels.astype(str) if labels.dtype == object else labels
