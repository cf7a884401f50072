"""Encode what the store writes: vectors, image ids and file stamps as bytes, with checksums that include the key."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np

from featlib.errors import FeatlibError

_FLOAT = np.dtype("<f4")
_CHECKSUM = struct.Struct("<I")
_STAMP = struct.Struct("<qqqQ")
# Prefix of ids that are not digests: longer than a digest, so that they never look like one.
_OTHER_ID = b"\xff" * 21


def text_bytes(text: str) -> bytes:
    """Encode any text, including the names of undecodable files."""
    return text.encode("utf-8", "surrogatepass")


def pack_id(image: str) -> bytes:
    """Encode 40 hex digits as 20 bytes, and any other text as something longer."""
    if len(image) == 40:
        try:
            key = bytes.fromhex(image)
        except ValueError:
            key = b""
        if key.hex() == image:  # fromhex accepts capitals and blanks too
            return key
    return _OTHER_ID + text_bytes(image)


def unpack_id(key: bytes) -> str:
    """Decode what `pack_id` encoded."""
    return key.hex() if len(key) == 20 else key[len(_OTHER_ID) :].decode("utf-8", "surrogatepass")


def pack_vector(space: bytes, key: bytes, vector: np.ndarray) -> bytes:
    """Encode a (D,) array as float32 bytes and a checksum of them, the image and the space.

    Raises:
        FeatlibError: The array is not (D,).
    """
    if np.ndim(vector) != 1:
        raise FeatlibError(f"The store holds one vector (D,) per image. Received: shape {np.shape(vector)}.")
    body = np.ascontiguousarray(vector, _FLOAT).tobytes()
    return body + _CHECKSUM.pack(_checksum(body, key, zlib.crc32(space)))


def unpack_vector(space_sum: int, key: object, blob: object) -> np.ndarray | None:
    """Decode a (D,) float32 array, read-only; None where anything differs from what was packed.

    Args:
        space_sum: `zlib.crc32` of the space.
        key: The image's key as it was read.
        blob: The result of `pack_vector` as it was read.
    """
    if not isinstance(key, bytes) or not isinstance(blob, bytes) or len(blob) < 4 or len(blob) % 4:
        return None
    body = memoryview(blob)[:-4]
    if _checksum(body, key, space_sum) != _CHECKSUM.unpack_from(blob, len(body))[0]:
        return None
    return np.frombuffer(blob, _FLOAT, len(body) // 4)


def pack_path(file: str | Path, folder: str) -> bytes:
    """Encode a file's path, which is below `folder` if it is relative."""
    return os.fsencode(os.path.join(folder, file))  # noqa: PTH118 - for each image of a folder, so the quick one


def pack_stamp(found: os.stat_result) -> bytes:
    """Encode what changes whenever a file does: size, times and inode. `st_ctime_ns` reveals a time set back."""
    return _STAMP.pack(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino & (2**64 - 1))


def file_checksum(path: object, stamp: object, digest: object) -> int:
    """Return the checksum of a noted file; -1, which no row has, where one of the three is not bytes."""
    if not isinstance(path, bytes) or not isinstance(stamp, bytes) or not isinstance(digest, bytes):
        return -1
    return _checksum(digest, stamp, zlib.crc32(path))


def _checksum(body: bytes | memoryview, key: bytes, start: int) -> int:
    return zlib.crc32(body, zlib.crc32(key, start))
