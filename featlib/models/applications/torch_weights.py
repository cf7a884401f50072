"""Reads tensors from PyTorch's old (pre-zip) checkpoint format, without torch and without running code.

The format is five pickles (magic number, protocol, system info, the state dict, the storage keys), then for
each key an int64 element count and the raw little-endian elements. See `torch.serialization._legacy_save`.
"""

import io
import pickle
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np

from featlib.errors import ModelError

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001
STORAGE_DTYPES: dict[str, np.dtype] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}
# What unpickling damaged bytes has been seen to raise.
DAMAGE = (
    pickle.UnpicklingError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    AttributeError,
    MemoryError,
    ArithmeticError,
)


@dataclass(frozen=True)
class _TensorRef:
    key: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild_tensor(
    storage: tuple[str, str], offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> _TensorRef:
    return _TensorRef(storage[0], offset, tuple(shape), tuple(strides))


class _TensorUnpickler(pickle.Unpickler):
    """Knows the few names a state dict needs. Any other name is refused before it is imported."""

    KNOWN: dict[tuple[str, str], Any] = {  # noqa: RUF012 - a constant
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
        ("torch", "FloatStorage"): "FloatStorage",
        ("torch", "LongStorage"): "LongStorage",
    }

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, encoding="utf-8")
        self.storage_types: dict[str, str] = {}

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - pickle's own signature
        try:
            return self.KNOWN[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"'{module}.{name}' is not allowed in a weights file") from None

    def persistent_load(self, pid: Any) -> tuple[str, str]:  # noqa: ANN401 - pickle's own signature
        kind, storage_type, key, _location, _size, view = pid
        if kind != "storage" or storage_type not in STORAGE_DTYPES or view is not None:
            raise pickle.UnpicklingError(f"unknown storage {pid!r}")
        self.storage_types[key] = storage_type
        return key, storage_type


def read_torch_tensors(data: bytes) -> dict[str, np.ndarray]:
    """Reads the state dict of an old-format `.pth` file.

    Args:
        data: the whole file.

    Returns:
        Tensor name -> array, in the file's order and layout.

    Raises:
        ModelError: the bytes are not such a file, are damaged, or name anything but tensors.
    """
    file = io.BytesIO(data)
    try:
        refs, storage_types = _read_pickles(file)
        storages = _read_storages(file, storage_types)
        return {name: _view(storages[ref.key], ref) for name, ref in refs.items()}
    except DAMAGE as error:
        raise ModelError(
            f"The weights file cannot be read as PyTorch tensors ({error}). Install the package it came from again."
        ) from error


def _read_pickles(file: io.BytesIO) -> tuple[dict[str, _TensorRef], list[tuple[str, str]]]:
    magic, protocol, _system = (_TensorUnpickler(file).load() for _ in range(3))
    if magic != MAGIC_NUMBER or protocol != PROTOCOL_VERSION:
        raise pickle.UnpicklingError("not the old PyTorch format")
    state = _TensorUnpickler(file)
    refs = state.load()
    keys = _TensorUnpickler(file).load()
    return refs, [(key, state.storage_types[key]) for key in keys]


def _read_storages(file: io.BytesIO, storage_types: list[tuple[str, str]]) -> dict[str, np.ndarray]:
    storages = {}
    for key, storage_type in storage_types:
        count = int.from_bytes(file.read(8), "little", signed=True)
        dtype = STORAGE_DTYPES[storage_type]
        raw = file.read(count * dtype.itemsize) if count >= 0 else b""
        storages[key] = np.frombuffer(raw, dtype, count)
    if file.read(1):
        raise pickle.UnpicklingError("there is more in the file than its tensors")
    return storages


def _view(storage: np.ndarray, ref: _TensorRef) -> np.ndarray:
    last = ref.offset + sum((n - 1) * stride for n, stride in zip(ref.shape, ref.strides, strict=True))
    if min(ref.shape, default=1) < 1 or min((ref.offset, *ref.strides)) < 0 or last >= storage.size:
        raise pickle.UnpicklingError("a tensor lies outside its storage")
    strides = [stride * storage.itemsize for stride in ref.strides]
    return np.lib.stride_tricks.as_strided(storage[ref.offset :], ref.shape, strides, writeable=False)
