"""HDF5 files of vectors. A stranger's file is opened in a process of its own, for the HDF5 library hangs on some.

Run as `python -m featlib.features.files.hdf5 FILE`, it writes what the file holds as JSON, without the vectors:
they lie in one piece, so that the place where they begin is enough.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from featlib.errors import ModelError
from featlib.features.files.records import LABEL_PREFIX, Contents, Origin, Row, pieces
from featlib.features.vectors import VectorTable
from featlib.images import ImageProblem
from featlib.models.untrusted.child import run_child
from featlib.models.untrusted.limits import limit_files_and_time, limit_memory

SECONDS = 30  # and one more for every so many bytes of text
BYTES_A_SECOND = 20_000_000
ROOM = 8_000_000_000
META = "featlib"
PIECE = 10_000  # texts at once


def write_h5(contents: Contents, path: Path) -> None:
    """Writes vectors as HDF5: X, ids, names, paths, label:<column>, problem_names, problem_reasons; featlib is JSON."""
    import h5py

    names = {f"{LABEL_PREFIX}{column.replace('/', '_')}": column for column in contents.label_columns}
    if len(names) < len(contents.label_columns):
        names = {f"{LABEL_PREFIX}{i}": column for i, column in enumerate(contents.label_columns)}
    with path.open("wb+", buffering=0) as raw:
        stream = _Stream(raw)
        with h5py.File(stream, "w") as file:
            _fill(file, contents, names, stream)
        stream.check()


def _fill(file: Any, contents: Contents, names: dict[str, str], stream: _Stream) -> None:  # noqa: ANN401
    file.create_dataset(META, data=json.dumps({"origin": contents.origin.to_json(), "labels": names}))
    X = file.create_dataset("X", contents.X.shape, "<f4")
    start = 0
    for piece in contents.vectors():
        X[start : start + len(piece)] = piece
        start += len(piece)
        stream.check()
    columns = {name: _label(column) for name, column in names.items()}
    own: dict[str, Callable[[Row], str]] = {"ids": _id, "names": _name, "paths": _path, **columns}
    _write_texts(file, own, len(contents.X), contents.good())
    stream.check()
    bad: dict[str, Callable[[Row], str]] = {"problem_names": _name, "problem_reasons": _error}
    _write_texts(file, bad, sum(1 for _ in _bad(contents)), _bad(contents))


class _Stream:
    """A file that takes everything, and tells afterwards that the disk was full: HDF5 itself crashes on that."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.error: OSError | None = None
        self.read, self.seek, self.tell, self.flush = file.read, file.seek, file.tell, file.flush

    def write(self, data: Any) -> int:  # noqa: ANN401 - a buffer
        view = memoryview(data).cast("B")
        start, done = self.file.tell(), 0
        try:
            while self.error is None and done < len(view):
                done += self.file.write(view[done:])
        except OSError as error:
            self.error = error
        self.file.seek(start + len(view))
        return len(view)

    def readinto(self, data: Any) -> int:  # noqa: ANN401 - a buffer
        view = memoryview(data).cast("B")
        done = self.file.readinto(view)  # type: ignore[attr-defined]
        view[done:] = bytes(len(view) - done)
        return len(view)

    def truncate(self, size: int) -> int:
        try:
            return self.file.truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size

    def check(self) -> None:
        """Raises what went wrong."""
        if self.error is not None:
            raise self.error


def _bad(contents: Contents) -> Iterator[Row]:
    return (row for row in contents.rows() if row.error is not None)


def _id(row: Row) -> str:
    return row.id


def _name(row: Row) -> str:
    return row.name


def _path(row: Row) -> str:
    return row.path


def _error(row: Row) -> str:
    return row.error or ""


def _label(column: str) -> Callable[[Row], str]:
    return lambda row: row.labels.get(column, "")


def _write_texts(file: Any, columns: dict[str, Callable[[Row], str]], count: int, rows: Iterator[Row]) -> None:  # noqa: ANN401
    import h5py

    sets = {name: file.create_dataset(name, (count,), h5py.string_dtype()) for name in columns}
    start = 0
    for piece in pieces(rows, PIECE):
        for name, of_row in columns.items():
            sets[name][start : start + len(piece)] = [of_row(row) for row in piece]
        start += len(piece)
    if start != count:
        raise ValueError(f"{count} vectors for {start} images")


def read_h5(path: Path) -> VectorTable:
    """Reads a file of `write_h5`. Nothing in it is run, and no other file is opened for it.

    Raises:
        ValueError, LookupError, TypeError, OSError: it is damaged or holds something else.
    """
    found = json.loads(_ask(path))
    if "refused" in found:
        raise ValueError(found["refused"])
    origin = Origin.from_json(found["origin"])
    n, width = found["shape"]
    if width != len(origin.columns):
        raise ValueError("it has not as many columns as names of them")
    X = np.fromfile(path, "<f4", n * width, offset=found["offset"]) if n * width else np.empty(0, np.float32)
    texts = found["texts"]
    return VectorTable(
        X=X.reshape(n, width),
        ids=tuple(texts["ids"]),
        names=tuple(texts["names"]),
        labels={column: np.array(texts[name], dtype=np.str_) for name, column in found["labels"].items()},
        columns=origin.columns,
        layers=origin.layers,
        pooling=origin.pooling,
        model=origin.model,
        fingerprint=origin.fingerprint,
        problems=tuple(map(ImageProblem, texts["problem_names"], texts["problem_reasons"])),
    )


def _ask(path: Path) -> bytes:
    seconds = SECONDS + path.stat().st_size // BYTES_A_SECOND
    try:
        with tempfile.TemporaryDirectory(prefix="featlib-", ignore_cleanup_errors=True) as folder:
            return run_child(__name__, [str(path.resolve()), str(seconds)], folder=Path(folder), timeout=seconds)
    except ModelError as error:
        raise ValueError("reading it broke off") from error


def main() -> None:
    """Does the work, in the other process."""
    import h5py

    path, seconds = Path(sys.argv[1]), int(sys.argv[2])
    limit_files_and_time(seconds)
    limit_memory(ROOM)
    try:
        with h5py.File(path, "r") as file:
            answer = _describe(file, path.stat().st_size)
    except (OSError, RuntimeError, ValueError, LookupError, TypeError, AttributeError, MemoryError) as error:
        answer = {"refused": " ".join(str(error).split())[:300]}
    json.dump(answer, sys.stdout)


def _describe(file: Any, size: int) -> dict[str, Any]:  # noqa: ANN401
    meta = json.loads(_dataset(file, META, size)[()])
    labels = {str(name): str(column) for name, column in meta["labels"].items()}
    X = _dataset(file, "X", size)
    if X.ndim != 2 or X.dtype != np.dtype("<f4"):
        raise ValueError("X is not (n, D) float32")
    lengths = {name: len(X) for name in ("ids", "names", *labels)} | dict.fromkeys(("problem_names", "problem_reasons"))
    texts = {name: _texts(_dataset(file, name, size), name) for name in lengths}
    if any(length is not None and len(texts[name]) != length for name, length in lengths.items()):
        raise ValueError("its columns are not equally long")
    place = {"shape": X.shape, "offset": X.id.get_offset() or 0}
    return {**place, "origin": meta["origin"], "labels": labels, "texts": texts}


def _dataset(file: Any, name: str, size: int) -> Any:  # noqa: ANN401 - h5py's own
    """An array that lies in one piece within the file itself."""
    import h5py
    from h5py import h5d

    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"{name} is a link to another place or file")
    found = file[name]
    if not isinstance(found, h5py.Dataset):
        raise ValueError(f"{name} is no array")
    plan = found.id.get_create_plist()
    if plan.get_layout() != h5d.CONTIGUOUS or plan.get_external_count():
        raise ValueError(f"{name} does not lie in one piece within the file")
    end = (found.id.get_offset() or 0) + found.size * found.id.get_type().get_size()
    if found.size and (found.id.get_offset() is None or end > size):
        raise ValueError(f"{name} is cut off")
    return found


def _texts(found: Any, name: str) -> list[str]:  # noqa: ANN401 - h5py's own
    import h5py

    if found.ndim != 1 or h5py.check_string_dtype(found.dtype) is None:
        raise ValueError(f"{name} is no list of texts")
    return found.asstr()[:].tolist()


if __name__ == "__main__":
    main()
