"""Small pictures of images, the most recently used kept."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

import numpy as np
from PIL import Image


class ThumbnailCache:
    """Keeps the most recently used thumbnails by (image id, size); shared by threads."""

    def __init__(self, max_items: int) -> None:
        self.max_items = max_items
        self._kept: OrderedDict[tuple[str, int], np.ndarray] = OrderedDict()
        self._lock = Lock()

    def get(self, key: tuple[str, int]) -> np.ndarray | None:
        """Returns the thumbnail, or None if it is not kept (any more)."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: tuple[str, int], thumbnail: np.ndarray) -> None:
        """Keeps a thumbnail, which becomes read-only because all callers share it."""
        thumbnail.flags.writeable = False
        with self._lock:
            self._kept[key] = thumbnail
            while len(self._kept) > self.max_items:
                self._kept.popitem(last=False)

    def __len__(self) -> int:
        return len(self._kept)


# 2,048 thumbnails of the usual 96 pixels are 57 MB at most.
THUMBNAILS = ThumbnailCache(max_items=2048)


def shrink(pixels: np.ndarray, size: int) -> np.ndarray:
    """Shrinks (h, w, 3) uint8 to a long side of at most `size`; a smaller image stays as it is."""
    image = Image.fromarray(pixels)
    image.thumbnail((size, size), Image.Resampling.LANCZOS)
    return np.array(image)
