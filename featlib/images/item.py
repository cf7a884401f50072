"""ImageItem: one image with its digest, name and labels, which decodes its pixels on demand."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from featlib.checks import whole_number
from featlib.errors import ImageError
from featlib.images.decode import decode_array, decode_bytes, decode_pil, decode_resized
from featlib.images.folders import OpenFolder
from featlib.images.html import figure_html, picture_html
from featlib.images.read import read_path
from featlib.images.resize import cover
from featlib.lru import ByteLRU
from featlib.text import printable

Source = Path | bytes | np.ndarray | Image.Image

MAX_SIDE = 65_536
THUMBNAIL_SIDE = 96  # pixels, in a row of images
THUMBNAIL_BYTES = 2000 * THUMBNAIL_SIDE**2 * 3
_thumbnails: ByteLRU[tuple[str, int], np.ndarray] = ByteLRU(THUMBNAIL_BYTES)


def forget_thumbnails(ids: Collection[str]) -> None:
    """Drop the thumbnails of images from memory."""
    _thumbnails.drop(lambda key: key[0] in ids)


def digest_bytes(data: bytes) -> str:
    """Return the id of an encoded image: 40 hex digits that depend only on its bytes."""
    return hashlib.blake2b(data, digest_size=20).hexdigest()


def digest_pixels(pixels: np.ndarray) -> str:
    """Return the id of an image without a file, from its (h, w, 3) uint8 pixels."""
    digest = hashlib.blake2b(f"pixels {pixels.shape}".encode(), digest_size=20)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


@dataclass(frozen=True)
class ImageProblem:
    """One image that was skipped.

    Attributes:
        name: The image's name, or the name of the folder or archive that could not be read.
        reason: One sentence with the name, the reason and what to do.
    """

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class ImageItem:
    """One image. Equal to every other item with the same content, whatever its name.

    Attributes:
        id: A digest of the content: of the file's bytes, or of the pixels if there is no file. Empty until
            the image was read; such an item equals only itself.
        name: The name to show, with "/" between folders.
        labels: From label column to value, such as `{"folder": "dogs"}`.
    """

    id: str
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    _source: Source = field(repr=False, default=b"")
    _within: OpenFolder | None = field(repr=False, default=None)  # the file is in it whenever it is read

    @property
    def path(self) -> Path | None:
        """The image's file; None if it was passed as bytes or pixels, or is a member of a zip."""
        return self._source if isinstance(self._source, Path) else None

    @property
    def nbytes(self) -> int:
        """How many bytes it takes in memory; 0 if it is in a file."""
        match self._source:
            case bytes():
                return len(self._source)
            case np.ndarray():
                return self._source.nbytes
            case Image.Image():
                return 4 * self._source.width * self._source.height
        return 0

    @property
    def is_encoded(self) -> bool:
        """Whether its encoded bytes are in memory, so that its id is known without reading a file or decoding."""
        return isinstance(self._source, bytes)

    @property
    def pixels(self) -> np.ndarray:
        """Decode the image: a new (h, w, 3) uint8 RGB array at each access, never cached.

        Raises:
            ImageError: If the image cannot be read, or has changed since it was loaded.
        """
        data = open_image(self)._data
        return decode_bytes(data, self.name) if isinstance(data, bytes) else data

    def resized(self, height: int, width: int) -> np.ndarray:
        """Decode the image for a network's input: scaled until it covers (height, width), then cropped to the center.

        Returns:
            (height, width, 3) uint8.

        Raises:
            FeatlibError: If a side is no whole number from 1 to 65,536.
            ImageError: If the image cannot be read, or has changed since it was loaded.
        """
        height, width = (whole_number("height and width", side, 1, MAX_SIDE) for side in (height, width))
        return open_image(self).resized(height, width)

    def thumbnail(self, size: int = THUMBNAIL_SIDE) -> np.ndarray:
        """Shrink the image (never enlarge it) to a long side of at most `size`: (h, w, 3) uint8, read-only.

        Raises:
            FeatlibError: If `size` is no whole number from 1 to 65,536.
            ImageError: If the image cannot be read, or has changed since it was loaded.
        """
        size = whole_number("size", size, 1, MAX_SIDE)
        key = (self.id, size)
        thumbnail = _thumbnails.get(key)
        if thumbnail is None:
            data = open_image(self)._data
            if isinstance(data, bytes):
                thumbnail = decode_bytes(data, self.name, max_side=size)
            else:
                image = Image.fromarray(data)
                image.thumbnail((size, size), Image.Resampling.LANCZOS)
                thumbnail = np.array(image)
            thumbnail.flags.writeable = False  # shared by all callers
            if self.id:
                _thumbnails.put(key, thumbnail, thumbnail.nbytes)
        return thumbnail

    def with_id(self, digest: str) -> ImageItem:
        """Return the image with its id, found by reading it, and with an absolute path."""
        source = self._source.absolute() if isinstance(self._source, Path) else self._source
        return replace(self, id=digest, labels=dict(self.labels), _source=source)

    def _repr_html_(self) -> str:
        try:
            picture = picture_html(self.thumbnail(), self.name)
        except ImageError as error:
            picture = f"<em>{escape(printable(str(error)))}</em>"
        return figure_html(picture, self.name, self.labels, THUMBNAIL_SIDE)

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("An ImageItem is decoded at each call, so copy=False is not possible.")
        return self.pixels if dtype is None else self.pixels.astype(dtype, copy=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ImageItem):
            return NotImplemented
        return self is other or (self.id != "" and self.id == other.id)

    def __hash__(self) -> int:
        return hash(self.id) if self.id else object.__hash__(self)


ImageEntry = ImageItem | ImageProblem


@dataclass(frozen=True)
class OpenedImage:
    """An image that was read but not decoded yet.

    Attributes:
        item: The image, with its id.
    """

    item: ImageItem
    _data: bytes | np.ndarray

    def check(self) -> None:
        """Decode the image, and drop its pixels.

        Raises:
            ImageError: If it cannot be decoded.
        """
        if isinstance(self._data, bytes):
            decode_bytes(self._data, self.item.name)

    def resized(self, height: int, width: int) -> np.ndarray:
        """Decode as `ImageItem.resized`, without reading the file again: (height, width, 3) uint8."""
        if isinstance(self._data, bytes):
            return decode_resized(self._data, self.item.name, height, width)
        return cover(Image.fromarray(self._data), height, width)


def open_image(item: ImageItem) -> OpenedImage:
    """Read an image as far as its digest needs.

    Raises:
        ImageError: If it cannot be read, or has changed since it was loaded.
    """
    source = item._source
    data: bytes | np.ndarray
    if isinstance(source, Path):
        data = read_path(source, item.name, item._within)
    elif isinstance(source, bytes):
        data = source
    elif isinstance(source, np.ndarray):
        data = decode_array(source, item.name)
    else:
        data = decode_pil(source, item.name)
    if item.id and data is source:  # bytes never change
        return OpenedImage(item, data)
    digest = digest_bytes(data) if isinstance(data, bytes) else digest_pixels(data)
    if not item.id:
        # The pixels stand in for a PIL image, which may be closed later.
        own_source = data if isinstance(source, Image.Image) else source
        return OpenedImage(replace(item, _source=own_source).with_id(digest), data)
    if digest != item.id:
        raise ImageError(f"'{item.name}' has changed since it was loaded: load the images again.")
    return OpenedImage(item, data)
