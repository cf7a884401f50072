"""Look up the vectors of images on their way through the engine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from featlib.features.store.store import VectorStore
from featlib.features.taps import Tap
from featlib.images import ImageEntry, ImageItem, open_image, resizer_name
from featlib.models import Backbone

CACHEABLE_POOLINGS = ("avg", "max")  # small enough to store
VERSION = 2  # of the way from pixels to the network; a new one ignores all vectors stored before


def cache_key(backbone: Backbone, tap: Tap, precision: str = "float32") -> str:
    """Name a layer's vectors in the store by everything that they depend on except the image."""
    origin = f"{backbone.name} {tap.layer} {tap.pooling} {precision}"
    return f"{origin} {resizer_name()} {backbone.fingerprint}/{VERSION}"


class VectorLookup:
    """The part of a store that belongs to some layers of a network; without a store it knows nothing.

    Args:
        store: The store, or None.
        backbone: The network.
        taps: Layers and poolings.
        precision: "float32" or "bfloat16".
    """

    def __init__(
        self, store: VectorStore | None, backbone: Backbone, taps: Sequence[Tap], precision: str = "float32"
    ) -> None:
        cached = store is not None and not backbone.has_own_code
        self._store = store
        self._keys = [
            cache_key(backbone, tap, precision) if cached and tap.pooling in CACHEABLE_POOLINGS else None
            for tap in taps
        ]
        # Where one tap is not cached the network has to run anyway.
        self._readable = store if all(self._keys) else None

    def identify(self, images: Sequence[ImageEntry]) -> list[ImageItem | None]:
        """Identify images without reading a file; None where that is not possible."""
        if self._readable is None:
            return [None] * len(images)
        paths = {
            i: path
            for i, image in enumerate(images)
            if isinstance(image, ImageItem) and not image.id and (path := image.path)
        }
        digests = dict(zip(paths, self._readable.digests([*paths.values()]), strict=True)) if paths else {}
        items: list[ImageItem | None] = []
        for i, image in enumerate(images):
            item = None
            if isinstance(image, ImageItem):
                if image.id:
                    item = image
                elif digest := digests.get(i):
                    item = image.with_id(digest)
                elif image.is_encoded:
                    item = open_image(image).item
            items.append(item)
        return items

    def read(self, images: Sequence[ImageEntry | None], rows: Sequence[np.ndarray]) -> np.ndarray:
        """Read the vectors of identified images.

        Args:
            images: n entries; what is not an ImageItem counts as unknown.
            rows: One (n, D) float32 array per tap, into which the vectors are written.

        Returns:
            (n,) bool: where all taps are known.
        """
        known = np.zeros(len(images), dtype=bool)
        items = {i: image for i, image in enumerate(images) if isinstance(image, ImageItem)}
        if self._readable is None or not items:
            return known
        at = list(items)
        known[at] = True
        for key, matrix in zip(self._keys, rows, strict=True):
            part = matrix if len(at) == len(matrix) else np.empty((len(at), *matrix.shape[1:]), np.float32)
            known[at] &= self._readable.read_into(str(key), [image.id for image in items.values()], part)
            if part is not matrix:
                matrix[at] = part
        return known

    def write(self, items: Sequence[ImageEntry], outputs: Sequence[np.ndarray]) -> None:
        """Store one (n, D) matrix per tap, with a row for each image."""
        for key, matrix in zip(self._keys, outputs, strict=True):
            if self._store is not None and key is not None:
                rows = {item.id: row for item, row in zip(items, matrix, strict=True) if isinstance(item, ImageItem)}
                self._store.put(key, rows)

    def note(self, files: Sequence[tuple[ImageEntry, os.stat_result | None]]) -> None:
        """Note the digests of files that were read, with their state before that."""
        if self._store is not None:
            self._store.note_digests(
                {
                    item.path: (seen, item.id)
                    for item, seen in files
                    if isinstance(item, ImageItem) and item.path is not None and seen is not None
                }
            )


def path_of(image: ImageEntry) -> Path | None:
    """Return the file of an image; None where it comes from memory or an archive."""
    return image.path if isinstance(image, ImageItem) else None
