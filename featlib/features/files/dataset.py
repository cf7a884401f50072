"""Sets of vectors that need not fit into memory: Parquet files, read in pieces."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from featlib.errors import FeatlibError
from featlib.features.files.atomic import DAMAGE, why
from featlib.features.files.parquet import SHARDS, TEXTS, open_parquet, read_schema
from featlib.features.files.records import LABEL_PREFIX, Row, piece_rows
from featlib.features.vectors import Origin
from featlib.images import ImageProblem
from featlib.text import natural_key

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

TEXT_ROWS = 2**16
KEPT_PROBLEMS = 200
ALLOWED = "Allowed: a .parquet file from 'featlib extract', or a folder of its part-*.parquet files."


class VectorBatch(NamedTuple):
    """Some rows of a set, one after the other.

    Attributes:
        start: number of the first of them in the set.
        rows: m images; empty where they were not asked for.
        X: (m, D) float32.
    """

    start: int
    rows: list[Row]
    X: np.ndarray


@dataclass(frozen=True)
class _Source:
    """A file of the set, or its bytes, and the columns of texts that are in it."""

    place: Path | bytes
    texts: tuple[str, ...]


@dataclass(frozen=True)
class _Group:
    """A row group: which it is, and which of the set's rows are in it."""

    source: int
    number: int
    start: int
    count: int


@dataclass(frozen=True)
class VectorDataset:
    """Vectors of n images in Parquet files. Rows are numbered from 0; images without a vector have no number.

    Attributes:
        name: the name of the file or folder.
        origin: the network, layers, pooling and D columns that the vectors come from.
        label_columns: names of the label columns.
        n: how many vectors there are.
        problem_count: how many images have no vector.
        problems: the first 200 of those, with the reasons.
        fingerprint: changes when a file changes.
    """

    name: str
    origin: Origin
    label_columns: tuple[str, ...]
    n: int
    problem_count: int
    problems: tuple[ImageProblem, ...]
    fingerprint: str
    _sources: tuple[_Source, ...]
    _groups: tuple[_Group, ...]

    def __len__(self) -> int:
        return self.n

    @property
    def width(self) -> int:
        """D, the length of a vector."""
        return len(self.origin.columns)

    def batches(self, size: int | None = None, *, texts: bool = True) -> Iterator[VectorBatch]:
        """Goes through all rows in order; one batch at a time is in memory.

        Args:
            size: the most rows in a batch; None for what takes 8 MB.
            texts: whether ids, names, paths and labels are read too, which takes longer.

        Raises:
            FeatlibError: a file is damaged, or has changed since the set was opened.
        """
        for start, batch in self._read(self._groups, size or piece_rows(self.width), self._columns(texts)):
            yield VectorBatch(start, self._rows(batch) if texts else [], self._matrix(batch))

    def take(
        self, rows: Sequence[int] | np.ndarray, *, on_progress: Callable[[int], object] | None = None
    ) -> VectorBatch:
        """Reads some rows, in the order asked; `start` of the result means nothing.

        Args:
            rows: row numbers, any of them more than once.
            on_progress: called with how many rows have been passed.

        Raises:
            FeatlibError: there is no such row; a file is damaged, or has changed since the set was opened.
        """
        asked = np.asarray(rows, dtype=np.int64)
        wanted = np.unique(asked)
        if len(wanted) and not 0 <= wanted[0] <= wanted[-1] < self.n:
            raise FeatlibError(
                f"Rows of '{self.name}' are numbered 0 to {self.n - 1:,}. Received: {asked.tolist()[:5]}."
            )
        X, found = np.empty((len(wanted), self.width), np.float32), list[Row]()
        groups = [group for group in self._groups if _between(wanted, group.start, group.start + group.count).size]
        for start, batch in self._read(groups, piece_rows(self.width), self._columns(texts=True)):
            own = _between(wanted, start, start + len(batch))
            if own.size:
                part = batch.take(own - start)
                X[len(found) : len(found) + len(own)] = self._matrix(part)
                found += self._rows(part)
            if on_progress is not None:
                on_progress(start + len(batch))
        order = np.searchsorted(wanted, asked)
        return VectorBatch(0, [found[i] for i in order], X[order])

    def labels(self, column: str) -> Iterator[list[str]]:
        """Goes through one label column in pieces, all rows in order; "" where an image has none.

        Raises:
            FeatlibError: there is no such column; a file is damaged, or has changed since the set was opened.
        """
        if column not in self.label_columns:
            raise FeatlibError(
                f"'{self.name}' has no label column '{column}'. It has: {', '.join(self.label_columns)}."
            )
        for _start, batch in self._read(self._groups, TEXT_ROWS, [LABEL_PREFIX + column]):
            yield _texts(batch, LABEL_PREFIX + column)

    def _columns(self, texts: bool) -> list[str]:
        labels = [LABEL_PREFIX + column for column in self.label_columns]
        return [*TEXTS, *labels, "vector"] if texts else ["vector"]

    def _read(
        self, groups: Sequence[_Group], size: int, columns: Sequence[str]
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        for number, source in enumerate(self._sources):
            own = [group for group in groups if group.source == number]
            if own:
                texts = [name for name in source.texts if name in columns or name == "error"]
                with _told(self.name), open_parquet(source.place, texts) as file:
                    yield from _read_groups(file, own, size, [*texts, *({"vector"} & set(columns))])

    def _matrix(self, batch: pa.RecordBatch) -> np.ndarray:
        with _told(self.name):
            vectors = batch.column("vector")
            values = vectors.flatten()
            if vectors.null_count or values.null_count:
                raise ValueError("an image without an error has no vector")
            return values.to_numpy().reshape(len(batch), self.width)

    def _rows(self, batch: pa.RecordBatch) -> list[Row]:
        with _told(self.name):
            texts = [_texts(batch, name) for name in TEXTS]
            labels = [_texts(batch, LABEL_PREFIX + column) for column in self.label_columns]
            own_labels = zip(*labels, strict=True) if labels else ((),) * len(batch)
            return [
                Row(image, name, path, dict(zip(self.label_columns, values, strict=True)))
                for image, name, path, values in zip(*texts, own_labels, strict=True)
            ]


def open_vectors(source: str | Path | bytes, name: str | None = None) -> VectorDataset:
    """Opens a set of vectors without reading the vectors. Nothing in the files is run.

    Args:
        source: a .parquet file, a folder of shards `part-*.parquet`, or the bytes of a file.
        name: what it is called in messages; the file's own name if None.

    Raises:
        FeatlibError: there is no such file or folder, or it does not hold featlib vectors.
    """
    shown = name or ("vectors" if isinstance(source, bytes) else Path(source).absolute().name or str(source))
    places: tuple[Path | bytes, ...] = (source,) if isinstance(source, bytes) else _find_files(Path(source))
    index, origins, labels, sources = _Index(), list[Origin](), dict[str, None](), list[_Source]()
    for number, one in enumerate(places):
        with _told(shown):
            with open_parquet(one) as file:
                origin, own_labels = read_schema(file.schema_arrow)
            with open_parquet(one, ["name", "error"]) as file:
                index.add(number, file)
        origins.append(origin)
        sources.append(_Source(one, (*TEXTS, *(LABEL_PREFIX + label for label in own_labels), "error")))
        labels |= dict.fromkeys(own_labels)
        if origin != origins[0]:
            raise FeatlibError(
                f"The files of '{shown}' come from different networks, layers or poolings. Keep one run in a folder."
            )
    return VectorDataset(
        name=shown,
        origin=origins[0],
        label_columns=tuple(labels),
        n=index.n,
        problem_count=index.problem_count,
        problems=tuple(index.problems),
        fingerprint=files_fingerprint(source),
        _sources=tuple(sources),
        _groups=tuple(index.groups),
    )


def files_fingerprint(source: str | Path | bytes) -> str:
    """Tells the files at a place from others and from what they were before, without reading them.

    Raises:
        FeatlibError: there is no such file or folder.
    """
    if isinstance(source, bytes):
        return hashlib.blake2b(source, digest_size=16).hexdigest()
    digest = hashlib.blake2b(digest_size=16)
    for path in _find_files(Path(source)):
        try:
            found = path.stat()
        except OSError as error:
            raise FeatlibError(f"'{path}' cannot be opened ({why(error)}). {ALLOWED}") from error
        digest.update(repr((str(path.absolute()), found.st_size, found.st_mtime_ns, found.st_ino)).encode())
    return digest.hexdigest()


class _Index:
    """Which rows are where, and which images have no vector."""

    def __init__(self) -> None:
        self.groups: list[_Group] = []
        self.problems: list[ImageProblem] = []
        self.n = self.problem_count = 0

    def add(self, source: int, file: parquet.ParquetFile) -> None:
        """Adds the row groups of a file."""
        for number in range(file.num_row_groups):
            good = 0
            for batch in file.iter_batches(TEXT_ROWS, row_groups=[number], columns=["name", "error"]):
                good += batch.column("error").null_count
                self._add_problems(batch)
            self.groups.append(_Group(source, number, self.n, good))
            self.n += good

    def _add_problems(self, batch: pa.RecordBatch) -> None:
        bad = batch.filter(batch.column("error").is_valid())
        self.problem_count += len(bad)
        few = bad.slice(0, KEPT_PROBLEMS - len(self.problems))
        self.problems += map(ImageProblem, _texts(few, "name"), _texts(few, "error"))


def _find_files(path: Path) -> tuple[Path, ...]:
    try:
        if path.is_file():  # no pipe or device, which would be waited for
            return (path,)
        found = [shard for shard in path.glob(SHARDS) if shard.is_file()] if path.is_dir() else None
    except (OSError, ValueError) as error:
        raise FeatlibError(f"'{path}' cannot be opened ({why(error)}). {ALLOWED}") from error
    if found is None:
        raise FeatlibError(f"There is no file or folder '{path}' on this machine. {ALLOWED}")
    if not found:
        raise FeatlibError(f"The folder '{path}' holds no {SHARDS}. {ALLOWED}")
    return tuple(sorted(found, key=lambda shard: natural_key(shard.name)))


def _read_groups(
    file: parquet.ParquetFile, groups: Sequence[_Group], size: int, columns: Sequence[str]
) -> Iterator[tuple[int, pa.RecordBatch]]:
    for group in groups:
        done = 0
        for batch in file.iter_batches(size, row_groups=[group.number], columns=columns):
            good = batch.filter(batch.column("error").is_null())
            if done + len(good) > group.count:
                break
            yield group.start + done, good
            done += len(good)
        if done != group.count:
            raise ValueError("it has changed since it was opened")


def _texts(batch: pa.RecordBatch, name: str) -> list[str]:
    if name not in batch.schema.names:
        return [""] * len(batch)
    column = batch.column(name)
    values = column.dictionary.to_pylist()  # without this, a small file of one long text can fill the memory
    return [values[i] if i is not None else "" for i in column.indices.to_pylist()]


def _between(rows: np.ndarray, start: int, end: int) -> np.ndarray:
    """Those of sorted rows that are in start…end - 1."""
    return rows[np.searchsorted(rows, start) : np.searchsorted(rows, end)]


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Tells what a damaged file raises in one sentence."""
    import pyarrow as pa

    try:
        yield
    except FeatlibError:
        raise
    except (*DAMAGE, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:300]
        raise FeatlibError(f"'{name}' does not hold vectors written by featlib ({reason}). {ALLOWED}") from error
