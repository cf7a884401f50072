"""One image of a set: its digest, name and labels, and the way back to its pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from featlib.errors import ImageError
from featlib.images.decode import decode_array, decode_bytes, decode_resized
from featlib.images.read import read_path
from featlib.images.resize import cover
from featlib.lru import ByteLRU

Source = Path | bytes | np.ndarray

# 2,000 thumbnails of 96 × 96 pixels, the size in a row of images.
THUMBNAIL_BYTES = 2000 * 96 * 96 * 3
_thumbnails: ByteLRU[tuple[str, int], np.ndarray] = ByteLRU(THUMBNAIL_BYTES)


def digest_bytes(data: bytes) -> str:
    """Returns the id of an encoded image: 40 hex digits that depend on nothing but its bytes."""
    return hashlib.blake2b(data, digest_size=20).hexdigest()


def digest_pixels(pixels: np.ndarray) -> str:
    """Returns the id of an image known by its (h, w, 3) uint8 pixels only."""
    digest = hashlib.blake2b(f"pixels {pixels.shape}".encode(), digest_size=20)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


@dataclass(frozen=True)
class ImageProblem:
    """One image that was left out.

    Attributes:
        name: The image's name, or the name of the folder or archive that could not be read.
        reason: One whole sentence with the name, the reason and what to do.
    """

    name: str
    reason: str


@dataclass(frozen=True)
class ImageItem:
    """One image. Equal to every other item with the same content, whatever its name.

    Attributes:
        id: A digest of the content: of the file's bytes, or of the pixels where there never was a file.
        name: The name to show, with "/" between folders.
        labels: From label column to value, such as `{"folder": "dogs"}`.
    """

    id: str
    name: str = field(compare=False)
    labels: Mapping[str, str] = field(compare=False, default_factory=dict)
    _source: Source = field(compare=False, repr=False, default=b"")

    @property
    def path(self) -> Path | None:
        """The file it is read from; None for what came as bytes, as pixels or out of a zip."""
        return self._source if isinstance(self._source, Path) else None

    @property
    def pixels(self) -> np.ndarray:
        """Decodes the image: a new (h, w, 3) uint8 RGB array at each call, kept nowhere.

        Raises:
            ImageError: The file has gone or changed since it was loaded.
        """
        if isinstance(self._source, np.ndarray):
            return self._array_pixels(self._source)
        return decode_bytes(self._encoded(self._source), self.name)

    def resized(self, height: int, width: int) -> np.ndarray:
        """Decodes the image for a network's input: scaled until it covers (height, width), the centre kept.

        Returns:
            (height, width, 3) uint8.

        Raises:
            ImageError: The file has gone or changed since it was loaded.
        """
        if isinstance(self._source, np.ndarray):
            return cover(Image.fromarray(self._array_pixels(self._source)), height, width)
        return decode_resized(self._encoded(self._source), self.name, height, width)

    def thumbnail(self, size: int = 96) -> np.ndarray:
        """Shrinks the image (never enlarges) to a long side of at most `size`: (h, w, 3) uint8, read-only."""
        thumbnail = _thumbnails.get((self.id, size))
        if thumbnail is None:
            if isinstance(self._source, np.ndarray):
                image = Image.fromarray(self._array_pixels(self._source))
                image.thumbnail((size, size), Image.Resampling.LANCZOS)
                thumbnail = np.array(image)
            else:
                thumbnail = decode_bytes(self._encoded(self._source), self.name, max_side=size)
            thumbnail.flags.writeable = False  # shared by all callers
            _thumbnails.put((self.id, size), thumbnail, thumbnail.nbytes)
        return thumbnail

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("An ImageItem is decoded at each call, so copy=False is not possible.")
        return self.pixels if dtype is None else self.pixels.astype(dtype, copy=False)

    def _encoded(self, source: Path | bytes) -> bytes:
        if isinstance(source, bytes):
            return source
        data = read_path(source, self.name)
        if digest_bytes(data) != self.id:
            raise ImageError(self._changed())
        return data

    def _array_pixels(self, array: np.ndarray) -> np.ndarray:
        # The caller's array was not copied, so it may have been written to; but caches go by the id.
        pixels = decode_array(array, self.name)
        if digest_pixels(pixels) != self.id:
            raise ImageError(self._changed())
        return pixels

    def _changed(self) -> str:
        return f"'{self.name}' has changed since it was loaded: load the images again."
