"""Vectors by image: found in memory or on disk, else computed, once however many people ask at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from featlib.features.engine import Chunk, Engine, EngineOptions
from featlib.features.store.lookup import POOLED, space_of
from featlib.features.store.store import VectorStore
from featlib.features.taps import Pooling, Tap
from featlib.images import ImageItem, ImageProblem
from featlib.models import Backbone
from featlib.ui.compute.turns import Turns

if TYPE_CHECKING:
    from featlib.ui.compute.cache import ResultStore

PART = 96  # images after which others get their turn
BATCH = 32


@dataclass(frozen=True)
class Shared:
    """Where vectors are kept, and who is computing some.

    Attributes:
        memory: what is there at once.
        store: the machine's store.
    """

    memory: ResultStore
    store: VectorStore
    _turns: dict[str, Turns] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def turns(self, fingerprint: str) -> Turns:
        """The turns at a network."""
        with self._lock:
            return self._turns.setdefault(fingerprint, Turns())


class Rows:
    """The vectors of some images from some layers, as far as they are there.

    Args:
        shared: where vectors are kept.
        backbone: the network.
        images: the images; one that is there twice counts once.
        layers: layer paths.
        pooling: "avg", "max" or "flatten".

    Attributes:
        found: layer -> image id -> (D,) float32.
        problems: image id -> why the image cannot be read.
    """

    def __init__(
        self, shared: Shared, backbone: Backbone, images: Iterable[ImageItem], layers: Sequence[str], pooling: Pooling
    ) -> None:
        self._shared, self._backbone, self._pooling = shared, backbone, pooling
        self._items = {item.id: item for item in images}
        self.found: dict[str, dict[str, np.ndarray]] = {layer: {} for layer in layers}
        self.problems: dict[str, ImageProblem] = {}
        self._look_into_memory(self._items)
        self._look_into_store()

    @property
    def total(self) -> int:
        """The number of different images."""
        return len(self._items)

    @property
    def missing(self) -> list[ImageItem]:
        """The images that lack a vector and can be read as far as is known."""
        return [item for item in self._items.values() if item.id not in self.problems and self._lacks(item.id)]

    def compute(self, moved: Callable[[int], object]) -> None:
        """Computes what is missing, in parts, between which others get their turn.

        Args:
            moved: called with the number of images still missing when that may have changed, and while others have
                their turn; what it raises stops the work, and what is done is kept.
        """

        def waiting() -> None:
            self._look_into_memory(item.id for item in self.missing)
            moved(len(self.missing))

        while missing := self.missing:
            self.compute_part(missing[:PART], lambda: moved(len(self.missing)), waiting)

    def compute_part(
        self,
        part: Sequence[ImageItem],
        moved: Callable[[], object] = lambda: None,
        waiting: Callable[[], object] = lambda: None,
    ) -> None:
        """Computes what these images lack when it is one's turn, but for what others have computed until then."""
        with self._shared.turns(self._backbone.fingerprint).turn(waiting):
            self._look_into_memory(item.id for item in part)
            rest = [item for item in part if self._lacks(item.id)]
            layers = [layer for layer, rows in self.found.items() if any(item.id not in rows for item in rest)]
            taps = [Tap(layer, self._pooling) for layer in layers]
            if not rest:
                moved()
                return
            done = 0
            engine = Engine(self._backbone, taps, EngineOptions(BATCH, store=self._shared.store))
            with closing(engine.stream(rest, n_images=self.total)) as chunks:
                for chunk in chunks:
                    self._take(rest[done : done + len(chunk.found)], chunk, layers)
                    done += len(chunk.found)
                    moved()

    def _take(self, items: Sequence[ImageItem], chunk: Chunk, layers: Sequence[str]) -> None:
        for item, found in zip(items, chunk.found, strict=True):
            if isinstance(found, ImageProblem):
                self.problems[item.id] = found
        for layer, output in zip(layers, chunk.outputs, strict=True):
            for item, row in zip(chunk.items, output, strict=True):
                self._keep(layer, item.id, row.copy())  # the row alone, not the chunk that it is a part of

    def _keep(self, layer: str, image_id: str, row: np.ndarray) -> None:
        self.found[layer][image_id] = row
        self._shared.memory.put(self._key(layer, image_id), row, row.nbytes)

    def _lacks(self, image_id: str) -> bool:
        return any(image_id not in rows for rows in self.found.values())

    def _look_into_memory(self, ids: Iterable[str]) -> None:
        for image_id in ids:
            for layer, rows in self.found.items():
                row = None if image_id in rows else self._shared.memory.get(self._key(layer, image_id))
                if row is not None:
                    rows[image_id] = row

    def _look_into_store(self) -> None:
        if self._pooling not in POOLED or self._backbone.has_own_code:
            return
        for layer, rows in self.found.items():
            missing = [image_id for image_id in self._items if image_id not in rows]
            if missing:
                space = space_of(self._backbone, Tap(layer, self._pooling))
                for image_id, row in zip(missing, self._shared.store.get(space, missing), strict=True):
                    if row is not None:
                        self._keep(layer, image_id, row)

    def _key(self, layer: str, image_id: str) -> tuple[str, ...]:
        return ("vector", self._backbone.fingerprint, layer, self._pooling, image_id)
