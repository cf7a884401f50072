"""One long computation at a time on this server, first come, first served."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

POLL_SECONDS = 0.2  # between two calls of `on_wait`
SLICE_SECONDS = 2.0

OnWait = Callable[[int], object]


@dataclass(eq=False)
class Turn:
    """A place in the queue; whoever stands first computes.

    Attributes:
        key: What is computed.
        fraction: How much of it is done, 0..1.
        text: What its progress bar says.
        since: When its time slice began, by the monotonic clock.
    """

    key: str
    fraction: float = 0.0
    text: str = ""
    since: float = 0.0


class Queue:
    """A first-in-first-out gate: those who wait learn their position and can leave.

    Args:
        slice_seconds: How long a computation runs while others wait, until `share` puts it at the end of the queue.
    """

    def __init__(self, slice_seconds: float = SLICE_SECONDS) -> None:
        self._slice_seconds = slice_seconds
        self._changed = threading.Condition()
        self._turns: deque[Turn] = deque()

    @contextmanager
    def turn(self, key: str, on_wait: OnWait) -> Iterator[Turn]:
        """Wait for the front of the queue and hold it.

        Args:
            key: What is computed.
            on_wait: Called again and again with the number of turns ahead; raising leaves the queue.
        """
        turn = Turn(key)
        with self._changed:
            self._turns.append(turn)
        try:
            self._wait(turn, on_wait)
            yield turn
        finally:
            with self._changed:
                self._turns.remove(turn)
                self._changed.notify_all()

    def share(self, turn: Turn, on_wait: OnWait) -> None:
        """Let those who wait go first once the time slice is over; call it between two batches."""
        with self._changed:
            if len(self._turns) == 1 or time.monotonic() - turn.since < self._slice_seconds:
                return
            self._turns.rotate(-1)
            self._changed.notify_all()
        self._wait(turn, on_wait)

    def find(self, key: str) -> Turn | None:
        """Return the turn, running or waiting, that computes `key`."""
        with self._changed:
            return next((turn for turn in self._turns if turn.key == key), None)

    def _wait(self, turn: Turn, on_wait: OnWait) -> None:
        while True:
            with self._changed:
                if self._changed.wait_for(lambda: self._turns[0] is turn, POLL_SECONDS):
                    turn.since = time.monotonic()
                    return
                ahead = self._turns.index(turn)
            on_wait(ahead)


QUEUE = Queue()
