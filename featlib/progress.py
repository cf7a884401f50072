"""How long work reports its progress and learns that it should stop."""

from __future__ import annotations

from collections.abc import Callable

from featlib.errors import CancelledError

# Called with (units done, units in all); returning True stops the work, which then raises CancelledError.
OnProgress = Callable[[int, int], bool | None]


def report_progress(on_progress: OnProgress | None, done: int, total: int) -> None:
    """Report that `done` of `total` units are done.

    Raises:
        CancelledError: If `on_progress` returned True.
    """
    if on_progress is not None and on_progress(done, total):
        raise CancelledError("The work was cancelled before it was complete.")
