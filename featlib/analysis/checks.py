"""The checks that every function on vectors begins with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from featlib.errors import CancelledError, FeatlibError


def checked_vectors(X: np.ndarray, *, min_rows: int = 1) -> np.ndarray:
    """Return X as an (n, D) float array (float32 stays float32).

    Args:
        X: (n, D) vectors.
        min_rows: The fewest rows the caller can work with.

    Raises:
        FeatlibError: If X is not two-dimensional, too small, not numeric, or holds NaN or infinite values.
    """
    X = np.asarray(X)
    if X.ndim != 2:
        raise FeatlibError(
            f"Received vectors of shape {X.shape}; (n, D) is needed. Feature maps become vectors by pool()."
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
            "Leave those rows out, or check the layer and the weights."
        )
    return X


def report(on_progress: Callable[..., bool | None] | None, *progress: object) -> None:
    """Tell the caller how far the work is.

    Raises:
        CancelledError: If the caller answers True.
    """
    if on_progress is not None and on_progress(*progress):
        raise CancelledError("The work was cancelled before it was complete.")
