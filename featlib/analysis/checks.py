"""Validation of vectors, shared by all functions that take them."""

from __future__ import annotations

import numpy as np

from featlib.errors import FeatlibError


def checked_vectors(X: np.ndarray, *, min_rows: int = 1) -> np.ndarray:
    """Return X as an (n, D) float array (float32 stays float32).

    Args:
        X: (n, D) vectors.
        min_rows: The smallest number of rows allowed.

    Raises:
        FeatlibError: If X is not two-dimensional, too small, not numeric, or holds NaN or infinite values.
    """
    X = np.asarray(X)
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
    return X
