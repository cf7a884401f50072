"""Rewrite an untrusted HDF5 file as a new one that holds groups and plain arrays, and nothing else.

Everything is checked in the headers before anything is read: no link, external or virtual array is followed, and
nothing larger than its declared size is unpacked.
"""

from __future__ import annotations

import io
import itertools
import math
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5l, h5o, h5t

from featlib.errors import ModelError
from featlib.models.untrusted.wording import SAVE_AGAIN, quoted
from featlib.text import format_bytes

SIGNATURE = b"\x89HDF\r\n\x1a\n"
MAX_BYTES = 200 * 2**20  # of all arrays together, and of all attributes together
MAX_ATTRIBUTE = 2**30  # bytes that reading one attribute could take
MAX_OBJECTS = 50_000
MAX_DEPTH = 64
MAX_CHUNKS = 65_536
GZIP, SHUFFLE = 1, 2
FILTERS = ((), (GZIP,), (SHUFFLE,), (SHUFFLE, GZIP))
TEXT_BLOCK = re.compile(rb"GCOL\x01.{3}(.{8})", re.DOTALL)  # where variable-length text is stored; its size follows
TEXT_HEADER = struct.Struct("<H6xQ")  # number, count and reserved bytes, length
TYPE_NAMES = {
    h5t.STRING: "text",
    h5t.COMPOUND: "records",
    h5t.REFERENCE: "references",
    h5t.VLEN: "objects of varying length",
    h5t.ARRAY: "arrays of arrays",
    h5t.OPAQUE: "raw bytes",
}
# Attributes that Keras and featlib read. No other is opened.
ATTRIBUTES = ("name", "dtype", "backend", "keras_version", "model_config")
NAME_LISTS = ("layer_names", "weight_names")  # a long list is split into layer_names0, layer_names1, …
DAMAGE = (OSError, RuntimeError, ValueError, TypeError, OverflowError, LookupError, AttributeError, MemoryError)


def rewrite_h5(data: bytes, model_config: bytes | None = None) -> tuple[bytes, int]:
    """Write the arrays of an HDF5 file contiguously and unfiltered into a new file.

    Args:
        data: The content of the file.
        model_config: The text that replaces the attribute `model_config`; None copies the attribute as it is.

    Returns:
        The content of the new file and the number of arrays in it.

    Raises:
        ModelError: The file is damaged, or holds something that Keras never writes; the message gives its path.
    """
    with (
        _reading(data) as source,
        h5py.File("copy", "w", driver="core", backing_store=False, block_size=2**22) as target,
    ):
        rewriter = _Rewriter(data, target)
        rewriter.copy(source)
        if model_config is not None:
            target.attrs["model_config"] = model_config
        target.flush()
        return target.id.get_file_image(), rewriter.arrays


def read_model_config(data: bytes) -> bytes | None:
    """Read the JSON text that describes the model of a legacy `.h5` file.

    Returns:
        The text; None for a file of weights only.

    Raises:
        ModelError: The file is damaged, or the attribute is not a text.
    """
    with _reading(data) as file:
        if "model_config" not in file.attrs:
            return None
        _check_attribute(file, "model_config", "/", _largest_text(data))
        text = file.attrs["model_config"]
    if isinstance(text, str):
        return text.encode("utf-8", "surrogateescape")
    if not isinstance(text, bytes):
        raise ModelError("Attribute 'model_config' is not one text, which Keras always writes.")
    return bytes(text)


@contextmanager
def _reading(data: bytes) -> Iterator[h5py.File]:
    """Open a file that lies in memory, and refuse it for whatever the HDF5 library refuses in it."""
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            yield file
    except ModelError:
        raise
    except DAMAGE as error:
        raise ModelError(f"The HDF5 file is damaged or cut off ({quoted(str(error))}). {SAVE_AGAIN}") from error


class _Rewriter:
    """Copies one file into another and counts what it holds."""

    def __init__(self, data: bytes, target: h5py.File) -> None:
        self.arrays = 0
        self._target = target
        self._declared = self._chunks = 0
        self._largest_text = _largest_text(data)
        self._seen: set[Any] = set()

    def copy(self, source: h5py.File) -> None:
        """Copy everything in a file."""
        waiting = [(h5o.get_info(source.id), source.id, self._target, "", 0)]
        objects = 0
        while waiting:
            info, group, target, path, depth = waiting.pop()
            self._mark(info, path or "/")
            self._copy_attributes(h5py.Group(group), target, path or "/")
            objects += group.get_num_objs()
            if objects > MAX_OBJECTS:
                raise ModelError(f"It has more than {MAX_OBJECTS:,} groups and arrays. {SAVE_AGAIN}")
            if depth > MAX_DEPTH:
                raise ModelError(f"Group {quoted(path)} is nested more than {MAX_DEPTH} groups deep. {SAVE_AGAIN}")
            for name in list(h5py.Group(group)):
                here, key = f"{path}/{name}", name.encode("utf-8", "surrogateescape")
                if group.links.get_info(key).type != h5l.TYPE_HARD:
                    raise ModelError(f"{quoted(here)} is a link to another place or file; only arrays are allowed.")
                info = h5o.get_info(group, key)
                if info.type == h5o.TYPE_GROUP:
                    waiting.append((info, h5g.open(group, key), target.create_group(name), here, depth + 1))
                elif info.type == h5o.TYPE_DATASET:
                    self._mark(info, here)
                    array = h5d.open(group, key)
                    self._check_array(array, here)
                    copied = target.create_dataset(name, data=h5py.Dataset(array)[()])
                    self._copy_attributes(h5py.Dataset(array), copied, here)
                else:
                    raise ModelError(f"{quoted(here)} is neither a group nor an array, which Keras never writes.")

    def _mark(self, info: Any, path: str) -> None:  # noqa: ANN401
        if (info.fileno, info.addr) in self._seen:
            raise ModelError(
                f"{quoted(path)} is a second path to an object of the same file (a loop of groups, or one array twice)."
            )
        self._seen.add((info.fileno, info.addr))

    def _copy_attributes(self, source: h5py.HLObject, target: h5py.HLObject, path: str) -> None:
        names = [*ATTRIBUTES, *NAME_LISTS]
        for name in NAME_LISTS:
            parts = (f"{name}{i}" for i in itertools.count())
            names += itertools.takewhile(source.attrs.__contains__, parts)
        for name in names:
            if name in source.attrs:
                _check_attribute(source, name, path, self._largest_text)
                value = source.attrs[name]
                texts = isinstance(value, np.ndarray) and value.dtype == object
                target.attrs.create(name, value, dtype=h5py.string_dtype() if texts else None)  # else ASCII only
            if self._target.id.get_filesize() > 2 * MAX_BYTES:
                raise ModelError(f"Its attributes (in {quoted(path)}) take more than {format_bytes(MAX_BYTES)}.")

    def _check_array(self, array: Any, path: str) -> None:  # noqa: ANN401
        """Refuse an array whose values lie in other files, are not numbers, or are too many."""
        plan, kind = array.get_create_plist(), array.get_type()
        if plan.get_layout() == h5d.VIRTUAL or plan.get_external_count():
            raise ModelError(f"Array {quoted(path)} keeps its values in other files. Only plain arrays are allowed.")
        number = kind.get_class() in (h5t.INTEGER, h5t.FLOAT, h5t.ENUM) and kind.get_size() <= 8
        bfloat16 = kind.get_class() == h5t.OPAQUE and kind.get_size() == 2
        if not number and not bfloat16:
            held = TYPE_NAMES.get(kind.get_class(), "an unknown type")
            raise ModelError(f"Array {quoted(path)} holds {held}; allowed are numbers. {SAVE_AGAIN}")
        size = math.prod(array.shape) * max(kind.get_size(), array.dtype.itemsize)
        self.arrays += 1
        self._declared += size
        if self._declared > MAX_BYTES:
            raise ModelError(
                f"Array {quoted(path)} of shape {quoted(str(tuple(array.shape)))} takes {format_bytes(size)}, and all "
                f"arrays together more than {format_bytes(MAX_BYTES)}, the most that is allowed."
            )
        filters = tuple(plan.get_filter(i)[0] for i in range(plan.get_nfilters()))
        if filters not in FILTERS:
            raise ModelError(
                f"Array {quoted(path)} is compressed with filter {filters}; allowed are gzip and shuffle. {SAVE_AGAIN}"
            )
        if plan.get_layout() == h5d.CHUNKED:
            self._check_chunks(array, math.prod(plan.get_chunk()) * kind.get_size(), GZIP in filters, path)

    def _check_chunks(self, array: Any, size: int, gzip: bool, path: str) -> None:  # noqa: ANN401
        """Refuse chunks that unpack to more than `size` bytes, which the HDF5 library would allocate."""
        count = array.get_num_chunks()
        self._chunks += count
        if size > MAX_BYTES or self._chunks > MAX_CHUNKS:
            raise ModelError(f"Array {quoted(path)} has chunks that are too large or too many. {SAVE_AGAIN}")
        for i in range(count) if gzip else ():
            unfiltered, packed = array.read_direct_chunk(array.get_chunk_info(i).chunk_offset)
            try:
                fits = unfiltered or len(zlib.decompressobj().decompress(packed, size + 1)) == size
            except zlib.error:
                fits = False
            if not fits:
                raise ModelError(f"Array {quoted(path)} does not unpack to the size it declares. {SAVE_AGAIN}")


def _largest_text(data: bytes) -> int:
    """Return the size in bytes of the largest block in which the file can keep a variable-length text.

    The HDF5 library loops and takes more and more memory in a block that its texts do not fill, so that is refused.
    """
    largest = 0
    for match in TEXT_BLOCK.finditer(data):
        size = int.from_bytes(match.group(1), "little")
        at, end = match.end(), match.start() + size
        while at + TEXT_HEADER.size <= end <= len(data):
            number, length = TEXT_HEADER.unpack_from(data, at)
            # Number 0 is the free space, header included; a text is padded to 8 bytes.
            at += length if number == 0 else TEXT_HEADER.size + (length + 7) // 8 * 8
            if number == 0 and length < TEXT_HEADER.size:
                break
        if not end - TEXT_HEADER.size < at <= end:
            raise ModelError(f"The HDF5 file is damaged: a block of texts does not fit. {SAVE_AGAIN}")
        largest = max(largest, size)
    return largest


def _check_attribute(owner: h5py.HLObject, name: str, path: str, largest_text: int) -> None:
    attribute = h5a.open(owner.id, name.encode())
    kind, values = attribute.get_type(), math.prod(attribute.shape)
    if kind.get_class() not in (h5t.INTEGER, h5t.FLOAT, h5t.STRING):
        held = TYPE_NAMES.get(kind.get_class(), "an unknown type")
        raise ModelError(f"Attribute {quoted(name)} of {quoted(path)} holds {held}; allowed is text.")
    variable = kind.get_class() == h5t.STRING and kind.is_variable_str()
    size = values * (largest_text if variable else kind.get_size())  # every value could be the same long text
    if size > MAX_ATTRIBUTE:
        raise ModelError(
            f"Attribute {quoted(name)} of {quoted(path)} could take {format_bytes(size)} in memory; at most "
            f"{format_bytes(MAX_ATTRIBUTE)} are allowed. {SAVE_AGAIN}"
        )
