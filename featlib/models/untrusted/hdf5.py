"""What an HDF5 file of weights may consist of: groups and plain arrays, reached by one way each, and nothing outside.

The checks look at headers only; no array is read, so nothing large is allocated and no other file is opened.
"""

from __future__ import annotations

import io
import math
import re
import struct
import zlib
from typing import TYPE_CHECKING, Any

from featlib.errors import ModelError
from featlib.models.untrusted.wording import megabytes, shown

if TYPE_CHECKING:
    import h5py

SIGNATURE = b"\x89HDF\r\n\x1a\n"
MAX_DECLARED = 200_000_000  # bytes of all arrays together
MAX_OBJECTS = 50_000
MAX_DEPTH = 64
MAX_ATTRIBUTES = 1_000  # of one object
MAX_ATTRIBUTE = 16_000_000  # bytes of one attribute
MAX_NAMES = 4_000_000_000  # bytes that all names could at most take when read
MAX_CHUNKS = 65_536
GZIP, SHUFFLE = 1, 2
PIPELINES = ((), (GZIP,), (SHUFFLE,), (SHUFFLE, GZIP))
HEAP_OBJECT = struct.Struct("<H6xQ")
HEAP = re.compile(rb"GCOL\x01.{3}(.{8})", re.DOTALL)  # the three bytes are reserved, and nobody looks at them
AGAIN = "Save the model again with Keras."


class H5Layout:
    """Walks through one HDF5 file that lies in memory, and counts.

    Attributes:
        arrays: how many arrays the file has.
        declared: their bytes in memory.
    """

    def __init__(self, data: bytes) -> None:
        self.arrays = self.declared = 0
        self._heap = _largest_heap(data)
        self._names = self._objects = self._chunks = 0
        self._seen: set[Any] = set()

    def check(self, root: h5py.Group) -> None:
        """Checks every object below a group.

        Raises:
            ModelError: a link, an array, a type or an amount that Keras never writes; the message gives its path.
        """
        from h5py import h5o

        self._note(h5o.get_info(root.id), "/")
        waiting = [(root.id, "", 0)]
        while waiting:
            group, path, depth = waiting.pop()
            self._check_attributes(group, path or "/")
            self._count(group.get_num_objs(), path)
            if depth > MAX_DEPTH:
                raise ModelError(f"Group {shown(path)} lies more than {MAX_DEPTH} groups deep. {AGAIN}")
            waiting += [(child, f"{path}/{name}", depth + 1) for name, child in self._children(group, path)]

    def _children(self, group: Any, path: str) -> list[tuple[str, Any]]:  # noqa: ANN401
        import h5py
        from h5py import h5d, h5g, h5l, h5o

        groups = []
        for name in list(h5py.Group(group)):
            if not isinstance(name, str):
                raise ModelError(f"A name in {shown(path or '/')} is not text. {AGAIN}")
            here, key = f"{path}/{name}", name.encode("utf-8", "surrogateescape")
            if group.links.get_info(key).type != h5l.TYPE_HARD:
                raise ModelError(
                    f"{shown(here)} is a link to another place or file; only the arrays themselves may be there."
                )
            info = h5o.get_info(group, key)
            self._note(info, here)
            if info.type == h5o.TYPE_GROUP:
                groups.append((name, h5g.open(group, key)))
            elif info.type == h5o.TYPE_DATASET:
                self._check_array(h5d.open(group, key), here)
            else:
                raise ModelError(f"{shown(here)} is neither a group nor an array, which Keras never writes.")
        return groups

    def _note(self, info: Any, path: str) -> None:  # noqa: ANN401
        if (info.fileno, info.addr) in self._seen:
            raise ModelError(
                f"{shown(path)} is a second way to an object of the same file (a loop of groups, or one array twice)."
            )
        self._seen.add((info.fileno, info.addr))

    def _count(self, children: int, path: str) -> None:
        self._objects += children
        if self._objects > MAX_OBJECTS:
            raise ModelError(f"It has more than {MAX_OBJECTS:,} groups and arrays (in {shown(path or '/')}). {AGAIN}")

    def _check_array(self, array: Any, path: str) -> None:  # noqa: ANN401
        from h5py import h5d

        plan = array.get_create_plist()
        layout = plan.get_layout()
        if layout == h5d.VIRTUAL:
            raise ModelError(
                f"Array {shown(path)} is virtual: its values lie in other files. Only plain arrays are allowed."
            )
        if plan.get_external_count():
            raise ModelError(f"Array {shown(path)} keeps its values in another file. Only plain arrays are allowed.")
        _check_type(array.get_type(), path)
        self._check_size(array, path)
        self._check_attributes(array, path)
        filters = tuple(plan.get_filter(i)[0] for i in range(plan.get_nfilters()))
        if filters not in PIPELINES:
            raise ModelError(
                f"Array {shown(path)} is packed with filter {filters}; allowed are gzip and shuffle. {AGAIN}"
            )
        if layout == h5d.CHUNKED:
            self._check_chunks(array, math.prod(plan.get_chunk()) * array.get_type().get_size(), filters, path)

    def _check_size(self, array: Any, path: str) -> None:  # noqa: ANN401
        size = math.prod(array.shape) * array.get_type().get_size()
        self.arrays += 1
        self.declared += size
        if self.declared > MAX_DECLARED:
            raise ModelError(
                f"Array {shown(path)} of shape {tuple(array.shape)} takes {megabytes(size)}, and all arrays together "
                f"more than {megabytes(MAX_DECLARED)}, the most that is allowed."
            )

    def _check_chunks(self, array: Any, chunk: int, filters: tuple[int, ...], path: str) -> None:  # noqa: ANN401
        count = array.get_num_chunks()
        self._chunks += count
        if chunk > MAX_DECLARED or self._chunks > MAX_CHUNKS:
            raise ModelError(f"Array {shown(path)} is cut into chunks that are too large or too many. {AGAIN}")
        if GZIP in filters:
            for i in range(count):
                _check_gzip(array, array.get_chunk_info(i).chunk_offset, chunk, path)

    def _check_attributes(self, owner: Any, path: str) -> None:  # noqa: ANN401
        from h5py import h5a, h5t

        count = h5a.get_num_attrs(owner)
        if count > MAX_ATTRIBUTES:
            raise ModelError(f"{shown(path)} has {count:,} attributes; at most {MAX_ATTRIBUTES:,} are allowed.")
        for i in range(count):
            attribute = h5a.open(owner, index=i)
            kind, points = attribute.get_type(), math.prod(attribute.shape)
            named = f"Attribute {shown(attribute.name.decode('utf-8', 'replace'))} of {shown(path)}"
            if kind.get_class() not in (h5t.INTEGER, h5t.FLOAT, h5t.STRING, h5t.ENUM):
                raise ModelError(f"{named} is neither text nor a number, which Keras never writes.")
            if points * kind.get_size() > MAX_ATTRIBUTE:
                raise ModelError(f"{named} has more than {megabytes(MAX_ATTRIBUTE)}, the most that is allowed.")
            if kind.get_class() == h5t.STRING and kind.is_variable_str() and points > 1:
                self._names += points * self._heap  # every name could be the same long one
            if self._names > MAX_NAMES:
                raise ModelError(f"{named} holds names that could take more than {megabytes(MAX_NAMES)} when read.")


def open_h5(data: bytes) -> h5py.File:
    """Opens an HDF5 file that lies in memory.

    Raises:
        ModelError: it is damaged or cut off.
    """
    import h5py

    try:
        return h5py.File(io.BytesIO(data), "r")
    except (OSError, RuntimeError, ValueError, TypeError, OverflowError, KeyError, MemoryError) as error:
        raise ModelError(f"The HDF5 file is damaged or cut off ({shown(str(error))}). {AGAIN}") from error


def check_h5(data: bytes) -> tuple[H5Layout, bytes | None]:
    """Checks a whole HDF5 file that lies in memory.

    Args:
        data: the file.

    Returns:
        The counts, and the text of the attribute model_config where the file has it.

    Raises:
        ModelError: it is damaged, or holds something that Keras never writes.
    """
    try:
        with open_h5(data) as file:
            layout = H5Layout(data)
            layout.check(file)
            _text(file, "keras_version")  # Keras writes it as a text, and nobody reads it here
            return layout, _text(file, "model_config")
    except ModelError:
        raise
    except (OSError, RuntimeError, ValueError, TypeError, OverflowError, KeyError, MemoryError) as error:
        raise ModelError(f"The HDF5 file is damaged ({shown(str(error))}). {AGAIN}") from error


def _text(file: h5py.File, name: str) -> bytes | None:
    value = file.attrs.get(name)
    if value is not None and not isinstance(value, str | bytes):
        raise ModelError(f"Attribute {shown(name)} is not one text, which Keras always writes.")
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value


def _check_type(kind: Any, path: str) -> None:  # noqa: ANN401
    from h5py import h5t

    plain = kind.get_class() in (h5t.INTEGER, h5t.FLOAT, h5t.ENUM) and kind.get_size() <= 8
    bfloat16 = kind.get_class() == h5t.OPAQUE and kind.get_size() == 2
    if not plain and not bfloat16:
        raise ModelError(f"Array {shown(path)} holds {_type_name(kind)}; allowed are arrays of numbers. {AGAIN}")


def _type_name(kind: Any) -> str:  # noqa: ANN401
    from h5py import h5t

    names = {
        h5t.STRING: "text",
        h5t.COMPOUND: "records",
        h5t.REFERENCE: "references",
        h5t.VLEN: "objects of varying length",
        h5t.ARRAY: "arrays of arrays",
        h5t.OPAQUE: "raw bytes",
    }
    return names.get(kind.get_class(), "an unknown type")


def _check_gzip(array: Any, offset: tuple[int, ...], chunk: int, path: str) -> None:  # noqa: ANN401
    skipped, packed = array.read_direct_chunk(offset)
    if skipped:
        return
    unpacker = zlib.decompressobj()
    try:
        size = len(unpacker.decompress(packed, chunk + 1))
    except zlib.error:
        raise ModelError(f"Array {shown(path)} is damaged: it does not unpack. {AGAIN}") from None
    if size != chunk:
        raise ModelError(f"Array {shown(path)} unpacks to another size than its chunks have: it is forged. {AGAIN}")


def _largest_heap(data: bytes) -> int:
    """Bytes of the largest block in which the file can keep texts of varying length.

    The HDF5 library never comes back from some blocks whose objects do not fill them, so these are refused here.
    """
    largest = 0
    for match in HEAP.finditer(data):
        size = int.from_bytes(match.group(1), "little")
        if not _fills(data, match.end(), match.start() + size):
            raise ModelError(f"The HDF5 file is damaged: a block of texts does not fit. {AGAIN}")
        largest = max(largest, size)
    return largest


def _fills(data: bytes, at: int, end: int) -> bool:
    """Whether heap objects (number, count, 4 bytes, size, content in steps of 8 bytes) lie from `at` to `end`."""
    if end > len(data):
        return False
    while end - at >= HEAP_OBJECT.size:
        number, size = HEAP_OBJECT.unpack_from(data, at)
        step = size if number == 0 else HEAP_OBJECT.size + (size + 7) // 8 * 8  # 0 is free room, counted whole
        if step < HEAP_OBJECT.size:
            return False
        at += step
    return at <= end
