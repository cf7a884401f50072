"""Who computes when: people in the order in which they ask, and what nobody waits for only while nobody waits."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOOK_UP = 0.2  # seconds after which somebody who waits is told


class Turns:
    """A lock that goes to who has waited longest; whoever waits can show it, and leave."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()  # the first one has the turn

    @contextmanager
    def turn(self, waiting: Callable[[], object] = lambda: None) -> Iterator[None]:
        """Holds the turn.

        Args:
            waiting: called again and again until it is one's turn; what it raises gives up the place.
        """
        ticket = object()
        with self._changed:
            self._queue.append(ticket)
        try:
            while not self._is_first(ticket):
                waiting()
            yield
        finally:
            with self._changed:
                self._queue.remove(ticket)
                self._changed.notify_all()

    def _is_first(self, ticket: object) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._queue[0] is ticket, LOOK_UP)


class Front:
    """Knows whether anybody on this server is waiting for something to be computed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting = 0
        self._since = float("-inf")

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Somebody waits for what happens in here."""
        with self._lock:
            self._waiting += 1
        try:
            yield
        finally:
            with self._lock:
                self._waiting -= 1
                self._since = time.monotonic()

    def is_quiet(self, seconds: float) -> bool:
        """Whether nobody has waited for anything for so long."""
        with self._lock:
            return not self._waiting and time.monotonic() - self._since >= seconds


FRONT = Front()
