"""What the store knows of images on their way through the engine."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from featlib.features.store.store import VectorStore
from featlib.features.taps import Tap
from featlib.images import Candidate, ImageItem, Pending
from featlib.models import Backbone

POOLED = ("avg", "max")  # what is small enough to keep
VERSION = 1  # of how pixels come to the network; a new one leaves what was kept before behind


def space_of(backbone: Backbone, tap: Tap, precision: str = "float32") -> str:
    """The name under which the store keeps a layer's vectors: everything that they depend on but the image."""
    return f"{backbone.name} {tap.layer} {tap.pooling} {precision} {backbone.fingerprint}/{VERSION}"


@dataclass(frozen=True)
class KeptVectors:
    """The part of a store that belongs to some layers of a network; without a store it knows nothing.

    Attributes:
        store: the store, or None.
        backbone: the network.
        taps: layers and poolings.
        precision: "float32" or "bfloat16".
    """

    store: VectorStore | None
    backbone: Backbone
    taps: Sequence[Tap]
    precision: str

    def look_up(self, images: Sequence[Pending]) -> dict[int, tuple[ImageItem, list[np.ndarray]]]:
        """Finds what the store knows without reading a file: id(image) -> the item, and one row a tap."""
        spaces = self._spaces()
        if self.store is None or not spaces:
            return {}
        items = {id(image): item for image, item in self._identify(images)}
        rows = self._rows(self.store, spaces, [item.id for item in items.values()])
        return {key: (item, row) for (key, item), row in zip(items.items(), rows, strict=True) if row}

    def rows_of(self, item: ImageItem) -> list[np.ndarray] | None:
        """One row a tap, or None where one of them is not kept."""
        spaces = self._spaces()
        return self._rows(self.store, spaces, [item.id])[0] if self.store is not None and spaces else None

    def keep(self, computed: Sequence[tuple[ImageItem, list[np.ndarray]]]) -> None:
        """Puts rows into the store: for each image one row a tap."""
        if self.store is not None:
            for i, tap in enumerate(self.taps):
                if self._is_kept(tap):
                    space = space_of(self.backbone, tap, self.precision)
                    self.store.put(space, {item.id: rows[i] for item, rows in computed})

    def note(self, files: Sequence[tuple[Path, os.stat_result, str]]) -> None:
        """Notes digests of files, with what the files looked like before they were read."""
        if self.store is not None and files:
            self.store.note_digests({path: (seen, digest) for path, seen, digest in files})

    def _spaces(self) -> list[str]:
        """The names of all taps, or none where one of them is not kept, so that the network has to run anyway."""
        if not all(self._is_kept(tap) for tap in self.taps):
            return []
        return [space_of(self.backbone, tap, self.precision) for tap in self.taps]

    def _is_kept(self, tap: Tap) -> bool:
        return tap.pooling in POOLED and not self.backbone.has_own_code

    @staticmethod
    def _rows(store: VectorStore, spaces: Sequence[str], ids: Sequence[str]) -> list[list[np.ndarray] | None]:
        columns = [store.get(space, ids) for space in spaces]
        return [
            [row for row in rows if row is not None] if all(row is not None for row in rows) else None
            for rows in zip(*columns, strict=True)
        ]

    def _identify(self, images: Sequence[Pending]) -> Iterable[tuple[Pending, ImageItem]]:
        yield from ((image, image) for image in images if isinstance(image, ImageItem))
        files = [(c, c.source) for c in images if isinstance(c, Candidate) and isinstance(c.source, Path)]
        digests = self.store.digests([path for _, path in files]) if self.store else []
        for (candidate, path), digest in zip(files, digests, strict=True):
            if digest is not None:
                yield candidate, ImageItem(digest, candidate.name, dict(candidate.labels), path.absolute())
