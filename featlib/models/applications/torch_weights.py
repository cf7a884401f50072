"""Read tensors from PyTorch's old (pre-zip) checkpoint format, without torch and without running code.

The format is five pickles (magic number, protocol, system info, the state dict, the storage keys), then for each key
an int64 element count and the raw little-endian elements. See `torch.serialization._legacy_save`. The caller has
checked the SHA-256 of the bytes, so their layout is known.
"""

import io
import pickle
from collections import OrderedDict
from typing import Any

import numpy as np

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
DTYPES: dict[str, np.dtype] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class _TensorUnpickler(pickle.Unpickler):
    """Knows the few names a state dict needs; any other name is refused before it is imported."""

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - pickle's own signature
        """Return what stands for a name: a storage type, or a tensor as (key, offset, shape, strides)."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: (storage, offset, shape, strides)
        if module == "torch" and name in DTYPES:
            return name
        raise pickle.UnpicklingError(f"'{module}.{name}' is not allowed in a weights file")

    def persistent_load(self, pid: Any) -> tuple[str, str]:  # noqa: ANN401 - pickle's own signature
        """Return the key and type of a storage."""
        _, storage_type, key, *_ = pid
        return key, storage_type


def read_torch_tensors(data: bytes) -> dict[str, np.ndarray]:
    """Read the state dict of an old-format `.pth` file.

    Args:
        data: The whole file, of a known SHA-256.

    Returns:
        Tensor name -> array, in the file's order and layout.

    Raises:
        pickle.UnpicklingError: The file is of another format, or names anything but tensors.
    """
    file = io.BytesIO(data)
    magic, _protocol, _system, tensors, keys = (_TensorUnpickler(file, encoding="utf-8").load() for _ in range(5))
    if magic != MAGIC_NUMBER:
        raise pickle.UnpicklingError("not the old PyTorch format")
    types = dict(storage for storage, *_ in tensors.values())
    storages = {}
    for key in keys:
        dtype = DTYPES[types[key]]
        count = int.from_bytes(file.read(8), "little")
        storages[key] = np.frombuffer(file.read(count * dtype.itemsize), dtype)
    arrays = {}
    for name, ((key, _), offset, shape, strides) in tensors.items():
        storage = storages[key]
        size = storage.itemsize
        arrays[name] = np.ndarray(shape, storage.dtype, storage, offset * size, [stride * size for stride in strides])
    return arrays
