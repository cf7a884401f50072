"""Long computations on a page: a progress bar, a Stop button, a place in the server's queue."""

from __future__ import annotations

import contextvars
import time
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from featlib.errors import FeatlibError
from featlib.progress import OnProgress
from featlib.ui.compute.queue import POLL_SECONDS, QUEUE
from featlib.ui.session import Session

QUICK_SECONDS = 0.3  # a bar that comes and goes in this time only flickers


class Stopped(Exception):  # noqa: N818 - not an error
    """The user has stopped this computation; the frame offers to resume it."""


class Task:
    """A computation that may take long, from the view of one session.

    Create it before calling the cached function that computes, and enter `running` inside of that function: nothing is
    drawn when the result is cached. While another session computes the same, creating it waits and shows that progress.

    Args:
        session: Knows whether the user has stopped this computation.
        key: Tells this computation from all others; equal where the cached function's arguments are.
        title: What it does, for the bar.
        unit: What is counted; empty for percent.
        note: What to know before stopping it.
    """

    def __init__(self, session: Session, key: str, title: str, *, unit: str = "", note: str = "") -> None:
        self._session, self._key, self._title, self._unit, self._note = session, key, title, unit, note
        self._slot = st.empty()
        self._bar: st.delta_generator.DeltaGenerator | None = None
        self._n_drawn = 0  # one key cannot be used twice in a run, even if the first button is gone
        # What is drawn in this context is not recorded by the cache to be shown again with each cached result.
        self._context = contextvars.copy_context()
        while (other := QUEUE.find(key)) is not None:
            self._check_stopped()
            self._show(other.fraction, f"Already being computed for another visitor. {other.text}")
            time.sleep(POLL_SECONDS)
        self._clear()

    @contextmanager
    def running(self, *, at_once: bool = False) -> Iterator[OnProgress]:
        """Wait in the queue, then show the progress that is reported, with a button to stop.

        Args:
            at_once: Whether to show the bar from the beginning; else it appears if the work is not quickly done.

        Raises:
            Stopped: The user has stopped this computation before.
        """
        self._check_stopped()
        try:
            with QUEUE.turn(self._key, self._show_position) as turn:
                began = time.monotonic()

                def report(done: int, n: int) -> None:
                    turn.fraction = done / n if n else 1.0
                    counted = f"{done:,} of {n:,} {self._unit}" if self._unit else f"{turn.fraction:.0%}"
                    turn.text = f"{self._title}: {counted}"
                    if at_once or time.monotonic() - began > QUICK_SECONDS:
                        self._show(turn.fraction, turn.text)
                    QUEUE.share(turn, self._show_position)

                if at_once:
                    turn.text = f"{self._title} …"
                    self._show(0.0, turn.text)
                yield report
        except FeatlibError:
            self._clear()
            raise
        self._clear()

    def _check_stopped(self) -> None:
        if self._session.stopped == self._key:
            raise Stopped

    def _show_position(self, ahead: int) -> None:
        self._show(0.0, f"Waiting: {ahead} {'computation' if ahead == 1 else 'computations'} ahead in the queue")

    def _show(self, fraction: float, text: str) -> None:
        """Draw the bar or move it. This is also where a click of the user ends the run."""
        if self._bar is None:
            self._context.run(self._draw)
        self._context.run(self._bar.progress, min(1.0, fraction), text=text)  # type: ignore[union-attr]

    def _draw(self) -> None:
        self._n_drawn += 1
        with self._slot.container():
            self._bar = st.progress(0.0)
            if self._note:
                st.caption(self._note)
            key = f"stop {self._key} {self._n_drawn}"
            st.button("Stop", key=key, on_click=setattr, args=(self._session, "stopped", self._key))

    def _clear(self) -> None:
        if self._bar is not None:
            self._context.run(self._slot.empty)
            self._bar = None
