"""How long work reports its progress and learns that it should stop."""

from __future__ import annotations

from collections.abc import Callable

from featlib.checks import shown
from featlib.errors import CancelledError, FeatlibError

# Called with (units done, units in all); returning True stops the work, which then raises CancelledError.
OnProgress = Callable[[int, int], bool | None]


def check_progress(on_progress: object) -> None:
    """Raise FeatlibError unless this is a function or None."""
    if on_progress is not None and not callable(on_progress):
        raise FeatlibError(f"on_progress must be a function of (done, total) or None. Received: {shown(on_progress)}.")


def report_progress(on_progress: OnProgress | None, done: int, total: int) -> None:
    """Report that `done` of `total` units are done.

    Raises:
        FeatlibError: If `on_progress` is no function.
        CancelledError: If `on_progress` returned True.
    """
    check_progress(on_progress)
    if on_progress is not None and on_progress(done, total):
        raise CancelledError("The work was cancelled before it was complete.")
