"""ByteLRU: a least-recently-used cache bounded by bytes instead of by number of entries."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ByteLRU(Generic[K, V]):
    """Cache values up to a total number of bytes, dropping the least recently used first. Thread-safe.

    The newest value always stays, even if it is larger than the bound.

    Args:
        max_bytes: The most bytes that all values together may have.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.nbytes = 0
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: K) -> V | None:
        """Return the value cached under `key`, or None."""
        with self._lock:
            if key not in self._entries:
                return None
            self._entries.move_to_end(key)
            return self._entries[key][0]

    def put(self, key: K, value: V, nbytes: int) -> None:
        """Cache `value`, which occupies `nbytes` bytes, under `key`, replacing the previous value."""
        with self._lock:
            self.nbytes += nbytes - self._entries.pop(key, (None, 0))[1]
            self._entries[key] = (value, nbytes)
            while self.nbytes > self.max_bytes and len(self._entries) > 1:
                _, (_, dropped) = self._entries.popitem(last=False)
                self.nbytes -= dropped

    def drop(self, where: Callable[[K], bool]) -> None:
        """Drop all values whose key fulfils a condition."""
        with self._lock:
            for key in [key for key in self._entries if where(key)]:
                self.nbytes -= self._entries.pop(key)[1]

    def __len__(self) -> int:
        return len(self._entries)
