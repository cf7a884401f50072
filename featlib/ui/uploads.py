"""What visitors have brought: images, models and vectors in the server's memory, each under a random key.

The key stands in the visitor's address, so a reload or a second tab finds everything again, and whoever has the whole
link sees it too, and can have it forgotten once the visit that brought it has ended. What is under a key never changes:
each upload gets a new one. A key is never written to a program, a download or a log.
"""

from __future__ import annotations

import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from threading import RLock, Thread
from typing import TYPE_CHECKING, Any, Literal

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from featlib.errors import FeatlibError, ImageError
from featlib.images import find_place
from featlib.text import format_bytes

if TYPE_CHECKING:
    from featlib.models import Backbone, Preprocessing

Kind = Literal["images", "model", "vectors"]
Gone = Literal["expired", "dropped", "forgotten", "unknown"]

LABELS = "labels.txt"  # the class names beside a model file
KEEP_SECONDS = 3600  # after the last visit that used it
MAX_BYTES = 2 * 2**30  # of all visitors together
MAX_BYTES_PER_VISITOR = 2**30
SWEEP_SECONDS = 60
MAX_REMEMBERED = 1000  # keys of which it is known why they open nothing
WHY_GONE: dict[Gone, str] = {
    "expired": "were deleted an hour after their last visit",
    "dropped": "were dropped to make room for others",
    "forgotten": "were deleted by “Forget”",
    "unknown": "are not on this server",
}


@dataclass(frozen=True, eq=False)
class OwnModel:
    """A model that a visitor has brought.

    Attributes:
        backbone: The model as its file describes it.
        class_names: The names of its classes as the visitor wrote them, one per line.
    """

    backbone: Backbone
    class_names: str = ""
    _adapted: list[Backbone] = field(default_factory=list, repr=False)

    @property
    def nbytes(self) -> int:
        """How many bytes its weights take."""
        return 4 * self.backbone.model.count_params()

    def adapted(self, preprocessing: Preprocessing, class_names: tuple[str, ...] | None) -> Backbone:
        """Return the model with other preprocessing or class names; the last one is kept with its graph."""
        for own in (self.backbone, *self._adapted):
            if (own.preprocessing.name, own.class_names) == (preprocessing.name, class_names):
                return own
        adapted = self.backbone.adapted(preprocessing=preprocessing, class_names=class_names)
        self._adapted[:] = [adapted]
        return adapted


@dataclass
class _Entry:
    value: Any  # an ImageSet, an OwnModel or a VectorDataset, as its kind says
    kind: Kind
    nbytes: int
    visitor: str  # who brought it
    ends: float  # unless a visit uses it then
    on_remove: Callable[[], None] | None = None
    before: str = ""  # key of what it took the place of


class UploadStore:
    """Values under random keys, within limits of bytes and time. Thread-safe.

    A visit uses one value of each kind: the last one that it put or got. What a visit uses stays; what none uses stays
    for `keep_seconds`, unless others need its room. A value is never replaced: nobody changes what another uses.

    Args:
        max_bytes: The most bytes of all visitors together.
        max_bytes_per_visitor: The most bytes that one visitor has brought.
        keep_seconds: How long a value stays after the last visit that used it.
        clock: Returns the time in seconds.
    """

    def __init__(
        self,
        max_bytes: int = MAX_BYTES,
        max_bytes_per_visitor: int = MAX_BYTES_PER_VISITOR,
        keep_seconds: float = KEEP_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_bytes, self._max_bytes_per_visitor = max_bytes, max_bytes_per_visitor
        self._keep_seconds, self._clock = keep_seconds, clock
        self._entries: OrderedDict[str, _Entry] = OrderedDict()  # the least recently used first
        self._in_use: dict[tuple[str, Kind], str] = {}
        self._gone: OrderedDict[str, Gone] = OrderedDict()
        self._lock = RLock()

    def put(
        self,
        value: object,
        kind: Kind,
        nbytes: int,
        visitor: str,
        key: str = "",
        on_remove: Callable[[], None] | None = None,
        before: str = "",
    ) -> str:
        """Keep a value that a visitor has brought, who uses it from now on.

        Args:
            value: The value.
            kind: What it is.
            nbytes: How many bytes it takes.
            visitor: Who brought it.
            key: The key to keep it under, for what anybody may see who knows its name; "" for a new random one. What
                is there already under this key stays, and is used.
            on_remove: Called when it is deleted, for whatever reason.
            before: Key of what it takes the place of, which is forgotten with it.

        Returns:
            Its key.

        Raises:
            FeatlibError: It does not fit beside what is in use. All else stays as it was.
        """
        with self._lock:
            self.sweep()
            if key in self._entries:
                self._use(key, visitor)
                return key
            if nbytes > self._max_bytes_per_visitor:
                raise FeatlibError(
                    f"It takes {format_bytes(nbytes)} of memory, and a visitor may bring "
                    f"{format_bytes(self._max_bytes_per_visitor)} at a time: bring less, or open its folder with "
                    "'featlib app FOLDER'."
                )
            used = {own for use, own in self._in_use.items() if use != (visitor, kind)}
            free = [own for own in self._entries if own not in used]
            own_free = [own for own in free if self._entries[own].visitor == visitor]
            dropped = self._oldest(own_free, self._bytes_of(visitor) + nbytes - self._max_bytes_per_visitor)
            freed = sum(self._entries[own].nbytes for own in dropped)
            others = [own for own in free if own not in dropped]
            dropped += self._oldest(others, self._bytes_of() - freed + nbytes - self._max_bytes)
            for own in dropped:
                self._remove(own, "dropped")
            key = key or secrets.token_urlsafe(16)
            self._entries[key] = _Entry(value, kind, nbytes, visitor, 0.0, on_remove, before)
            self._use(key, visitor)
            return key

    def get(self, key: str, kind: Kind, visitor: str = "") -> Any:  # noqa: ANN401 - of the kind asked for
        """Return the value under a key, or None if there is none of this kind; its time starts again.

        Args:
            key: The key.
            kind: What it should be.
            visitor: Who uses it from now on; "" for nobody.
        """
        with self._lock:
            self.sweep()
            entry = self._entries.get(key)
            if entry is None or entry.kind != kind:
                return None
            self._use(key, visitor)
            return entry.value

    def forget(self, key: str, visitor: str) -> bool:
        """Delete a value, whoever uses it, and those that it took the place of.

        Args:
            key: The key.
            visitor: Who asks for it: the visitor who brought it, or, once that visit has ended, anybody with the key.

        Returns:
            Whether it is deleted.
        """
        with self._lock:
            is_deleted = self._may_delete(key, visitor)
            while self._may_delete(key, visitor):
                before = self._entries[key].before
                self._remove(key, "forgotten")
                key = before
            return is_deleted

    def leave(self, visitor: str, kind: Kind | None = None) -> None:
        """End a visit, or its use of one kind only: the time of what it used starts."""
        with self._lock:
            for use in [use for use in self._in_use if use[0] == visitor and kind in (None, use[1])]:
                self._release(use)

    def sweep(self) -> None:
        """Delete what has stayed its time."""
        with self._lock:
            used, now = set(self._in_use.values()), self._clock()
            for key in [key for key, entry in self._entries.items() if key not in used and entry.ends <= now]:
                self._remove(key, "expired")

    def why_gone(self, key: str) -> Gone:
        """Return why a key opens nothing."""
        return self._gone.get(key, "unknown")

    def _use(self, key: str, visitor: str) -> None:
        entry = self._entries[key]
        if visitor and self._in_use.get((visitor, entry.kind)) != key:
            self._release((visitor, entry.kind))
            self._in_use[visitor, entry.kind] = key
        entry.ends = self._clock() + self._keep_seconds
        self._entries.move_to_end(key)

    def _may_delete(self, key: str, visitor: str) -> bool:
        entry = self._entries.get(key)
        return entry is not None and (
            entry.visitor == visitor or all(present != entry.visitor for present, _ in self._in_use)
        )

    def _release(self, use: tuple[str, Kind]) -> None:
        key = self._in_use.pop(use, "")
        if key in self._entries:
            self._entries[key].ends = self._clock() + self._keep_seconds

    def _remove(self, key: str, why: Gone) -> None:
        on_remove = self._entries.pop(key).on_remove
        if on_remove is not None:
            on_remove()
        for use in [use for use, own in self._in_use.items() if own == key]:
            del self._in_use[use]
        self._gone[key] = why
        self._gone.move_to_end(key)
        if len(self._gone) > MAX_REMEMBERED:
            self._gone.popitem(last=False)

    def _bytes_of(self, visitor: str = "") -> int:
        return sum(entry.nbytes for entry in self._entries.values() if visitor in ("", entry.visitor))

    def _oldest(self, keys: list[str], excess: int) -> list[str]:
        """Return the first of the keys that together take at least `excess` bytes.

        Raises:
            FeatlibError: All of them take less.
        """
        taken: list[str] = []
        for key in keys:
            if excess <= 0:
                break
            taken.append(key)
            excess -= self._entries[key].nbytes
        if excess > 0:
            raise FeatlibError(
                "The server's memory for uploads is in use: try again later, bring less, or forget what you have "
                "brought before."
            )
        return taken


@cache
def upload_store() -> UploadStore:
    """Return the server's store, which is also swept while nobody uses it."""
    store = UploadStore()

    def sweep_forever() -> None:
        while True:
            time.sleep(SWEEP_SECONDS)
            store.sweep()

    Thread(target=sweep_forever, name="featlib-uploads", daemon=True).start()
    return store


def _leave(visitor: str) -> None:
    upload_store().leave(visitor)


@st.cache_resource(scope="session", show_spinner=False, on_release=_leave)
def _visit() -> str:
    """Return the name of this visit; it is released when the connection is lost, and another one is made after that."""
    return secrets.token_hex(16)


def _visitor() -> str:
    return "" if get_script_run_ctx(suppress_warning=True) is None else _visit()


def keep_upload(
    value: object,
    kind: Kind,
    nbytes: int,
    key: str = "",
    on_remove: Callable[[], None] | None = None,
    before: str = "",
) -> str:
    """Keep what the visitor of this page has brought. The arguments are those of `UploadStore.put`.

    Returns:
        Its key.

    Raises:
        FeatlibError: It does not fit beside what is in use.
    """
    return upload_store().put(value, kind, nbytes, _visitor(), key, on_remove, before)


def find_upload(key: str, kind: Kind) -> Any:  # noqa: ANN401 - of the kind asked for
    """Return what was brought under a key, in use by the visitor of this page from now on; None if there is nothing."""
    return upload_store().get(key, kind, _visitor()) if key else None


def forget_upload(key: str) -> bool:
    """Delete what was brought under a key, for everybody, if the visitor of this page may; see `UploadStore.forget`."""
    return upload_store().forget(key, _visitor())


def is_key(text: str) -> bool:
    """Whether a text looks like the key of an upload."""
    return re.fullmatch(r"[\w-]{22}", text) is not None


def stop_using(kind: Kind) -> None:
    """End the use that the visitor of this page makes of a kind; others go on with it."""
    upload_store().leave(_visitor(), kind)


def place_key(place: str, content: str = "") -> str:
    """Return the key of a model file in an opened folder: another one once the file or its class names have changed.

    Args:
        place: `folder:NAME/PATH`.
        content: What the file is taken for; "" for a whole model.

    Raises:
        ImageError: There is no such file.
    """
    folder, below = find_place(place)
    path = folder.find(below)
    versions: list[tuple[int, ...]] = []
    for own in (path, path.with_name(LABELS)):
        with suppress(ImageError, OSError):
            found = folder.resolve(own, own.name).stat()
            versions.append((found.st_size, found.st_mtime_ns, found.st_ino))
    return f"{place} {content} {versions}"


def why_gone(key: str) -> str:
    """Return why a key opens nothing, as the end of a sentence about several things."""
    return WHY_GONE[upload_store().why_gone(key)]
