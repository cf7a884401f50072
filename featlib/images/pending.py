"""Images that are not read yet: each is read when its turn comes, once, so that a set may be of any size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from featlib.images.decode import decode_array, decode_pil, decode_resized
from featlib.images.given import UNLIMITED
from featlib.images.imageset import ImageSet
from featlib.images.item import ImageItem, ImageProblem, digest_bytes, digest_pixels
from featlib.images.read import read_path
from featlib.images.resize import cover
from featlib.images.sources.listing import MAX_TOTAL_BYTES, Candidate, find_candidates

Pending = Candidate | ImageItem | ImageProblem


def list_pending(images: object, *, path_column: str | None = None) -> list[Pending]:
    """Lists images without reading them.

    Args:
        images: whatever `load_images` takes, of any number, or what this function returned.
        path_column: of a table, the column with the paths; None finds it.

    Returns:
        One entry an image, in order; what is known already not to be an image is there as an ImageProblem.

    Raises:
        ImageError: a path that does not exist, or a source of an unknown kind.
    """
    if isinstance(images, ImageSet):
        return [*images.items]
    if isinstance(images, list) and all(isinstance(image, Candidate | ImageItem | ImageProblem) for image in images):
        return images
    return [*find_candidates(images, max_images=UNLIMITED, max_bytes=MAX_TOTAL_BYTES, path_column=path_column)]


@dataclass(frozen=True)
class OpenedImage:
    """An image that was read, and not decoded yet.

    Attributes:
        item: the image as it stands in a set.
    """

    item: ImageItem
    _data: bytes | np.ndarray | None = None

    def resized(self, height: int, width: int) -> np.ndarray:
        """As `ImageItem.resized`, without reading the file again: (height, width, 3) uint8."""
        if isinstance(self._data, bytes):
            return decode_resized(self._data, self.item.name, height, width)
        if self._data is not None:
            return cover(Image.fromarray(self._data), height, width)
        return self.item.resized(height, width)


def open_image(pending: Candidate | ImageItem) -> OpenedImage:
    """Reads an image as far as its digest needs.

    Raises:
        ImageError: it cannot be read.
    """
    if isinstance(pending, ImageItem):
        return OpenedImage(pending)
    source, name = pending.source, pending.name
    if isinstance(source, ImageItem):
        return OpenedImage(source)
    if isinstance(source, Path):
        data = read_path(source, name)
        return OpenedImage(ImageItem(digest_bytes(data), name, dict(pending.labels), source.absolute()), data)
    if isinstance(source, bytes):
        return OpenedImage(ImageItem(digest_bytes(source), name, dict(pending.labels), source), source)
    if isinstance(source, np.ndarray):
        pixels = decode_array(source, name)
        return OpenedImage(ImageItem(digest_pixels(pixels), name, dict(pending.labels), source), pixels)
    pixels = decode_pil(source, name)
    return OpenedImage(ImageItem(digest_pixels(pixels), name, dict(pending.labels), pixels), pixels)
