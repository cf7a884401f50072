"""Sets of vectors that need not fit into memory: Parquet files, read in pieces."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from featlib.checks import flag, instance, sequence, whole_number
from featlib.errors import CancelledError, FeatlibError
from featlib.features.files.atomic import DAMAGE, why
from featlib.features.files.parquet import SHARDS, TEXTS, open_parquet, read_schema
from featlib.features.files.records import LABEL_PREFIX, Row, VectorFileContents, piece_rows
from featlib.features.vectors import Origin, VectorTable
from featlib.images import ImageProblem, OpenFolder
from featlib.progress import OnProgress, check_progress
from featlib.text import natural_key, printable

if TYPE_CHECKING:
    import pyarrow as pa

TEXT_ROWS = 2**16
MAX_PROBLEMS = 200
MAX_BATCH = 10**9
MAX_LABELS = 10_000  # a column with more distinct values names images, not classes
ALLOWED = "Allowed: a .parquet file from 'featlib extract', or a folder of its part-*.parquet files."

Missing = TypeVar("Missing", str, None)


class VectorBatch(NamedTuple):
    """Some rows of a set, one after the other.

    Attributes:
        start: The number of the first of them in the set.
        rows: m images; empty where they were not asked for.
        X: (m, D) float32.
    """

    start: int
    rows: list[Row]
    X: np.ndarray


@dataclass(frozen=True)
class _Source:
    """A file of the set, or its bytes, and the text columns in it."""

    place: Path | bytes
    texts: tuple[str, ...]


@dataclass(frozen=True)
class _Group:
    """A row group: where it is, and which of the set's rows are in it."""

    source: int
    number: int
    start: int
    count: int


@dataclass(frozen=True)
class VectorDataset:
    """Vectors of n images in Parquet files. Rows are numbered from 0; images without a vector have no number.

    Attributes:
        name: The name of the file or folder.
        origin: The network, layers, pooling and D columns that the vectors come from.
        label_columns: The names of the label columns.
        n: How many vectors there are.
        problem_count: How many images have no vector.
        problems: Those of them that `open_vectors` was to list, with the reasons.
        fingerprint: Changes when a file changes.
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

    def __repr__(self) -> str:
        skipped = f"; {self.problem_count:,} skipped" if self.problem_count else ""
        return f"VectorDataset({self.name!r}; {self.n:,} × {self.width:,}; {self.origin!r}{skipped})"

    def __len__(self) -> int:
        return self.n

    @property
    def width(self) -> int:
        """D, the length of a vector."""
        return len(self.origin.columns)

    def batches(self, size: int | None = None, *, texts: bool = True) -> Iterator[VectorBatch]:
        """Iterate over all rows in order; one batch at a time is in memory.

        Args:
            size: The most rows in a batch; None for what takes 8 MB.
            texts: Whether ids, names, paths and labels are read too, which takes longer.

        Raises:
            FeatlibError: `size` is below 1; a file is damaged, or has changed since the set was opened.
        """
        size = piece_rows(self.width) if size is None else whole_number("size", size, 1, MAX_BATCH)
        columns = [*(self._text_columns() if flag("texts", texts) else ()), "vector"]
        for start, batch in self._read(self._groups, size, columns):
            yield VectorBatch(start, self._rows(batch) if texts else [], self._matrix(batch))

    def take(self, rows: Sequence[int] | np.ndarray, *, on_progress: OnProgress | None = None) -> VectorBatch:
        """Read some rows, in the order asked; `start` of the result means nothing.

        Args:
            rows: Row numbers, any of them more than once.
            on_progress: Called with (rows passed, n); returning True stops the reading.

        Raises:
            FeatlibError: There is no such row; a file is damaged, or has changed since the set was opened.
            CancelledError: `on_progress` returned True.
        """
        check_progress(on_progress)
        numbers = sequence("rows", rows, "a list of row numbers")
        asked = np.array([whole_number(f"rows of '{self.name}'", row, 0, self.n - 1) for row in numbers], np.int64)
        wanted = np.unique(asked)
        X, found = np.empty((len(wanted), self.width), np.float32), list[Row]()
        groups = [group for group in self._groups if _between(wanted, group.start, group.start + group.count).size]
        for start, batch in self._read(groups, piece_rows(self.width), [*self._text_columns(), "vector"]):
            own = _between(wanted, start, start + len(batch))
            if own.size:
                part = batch.take(own - start)
                X[len(found) : len(found) + len(own)] = self._matrix(part)
                found += self._rows(part)
            if on_progress is not None and on_progress(start + len(batch), self.n):
                raise CancelledError(f"Stopped after {start + len(batch):,} of {self.n:,} rows.")
        order = np.searchsorted(wanted, asked)
        return VectorBatch(0, [found[i] for i in order], X[order])

    def labels(self, column: str) -> Iterator[list[str]]:
        """Iterate over one label column in pieces, all rows in order; "" where an image has none.

        Raises:
            FeatlibError: There is no such column; a file is damaged, or has changed since the set was opened.
        """
        if instance("column", column, str, "the name of a label column") not in self.label_columns:
            raise FeatlibError(
                f"'{self.name}' has no label column '{column}'. It has: {', '.join(self.label_columns)}."
            )
        for _start, batch in self._read(self._groups, TEXT_ROWS, [LABEL_PREFIX + column]):
            yield _texts(batch, LABEL_PREFIX + column, "")

    def load(self) -> VectorTable:
        """Read everything into memory.

        Raises:
            FeatlibError: A file is damaged, or has changed since the set was opened.
        """
        X, rows = np.empty((self.n, self.width), np.float32), list[Row]()
        for batch in self.batches():
            X[batch.start : batch.start + len(batch.X)] = batch.X
            rows += batch.rows
        return VectorTable(
            X=X,
            ids=tuple(row.id for row in rows),
            names=tuple(row.name for row in rows),
            labels={
                column: np.array([row.labels[column] for row in rows], dtype=np.str_) for column in self.label_columns
            },
            origin=self.origin,
            problems=self.problems,
        )

    def contents(self) -> VectorFileContents:
        """Return the set as what another file is written from: images without a vector too, in their places."""

        def rows() -> Iterator[Row]:
            for _start, batch in self._read(self._groups, TEXT_ROWS, self._text_columns(), good=False):
                yield from self._rows(batch)

        vectors = lambda: (batch.X for batch in self.batches(texts=False))  # noqa: E731
        return VectorFileContents(self.origin, (self.n, self.width), self.label_columns, rows, vectors)

    def _text_columns(self) -> list[str]:
        return [*TEXTS, *(LABEL_PREFIX + column for column in self.label_columns)]

    def _read(
        self, groups: Sequence[_Group], size: int, columns: Sequence[str], *, good: bool = True
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield batches of row groups, each with the number of its first row; with or without bad images."""
        for number, own in groupby(groups, lambda group: group.source):
            source = self._sources[number]
            texts = [name for name in source.texts if name in columns or name == "error"]
            asked = [*texts, *({"vector"} & set(columns))]
            with _report_damage(self.name), open_parquet(source.place, texts) as file:
                for group in own:
                    done = 0
                    for batch in file.iter_batches(size, row_groups=[group.number], columns=asked):
                        kept = batch.filter(batch.column("error").is_null()) if good else batch
                        if done + batch.column("error").null_count > group.count:
                            break
                        yield group.start + done, kept
                        done += batch.column("error").null_count
                    if done != group.count:
                        raise ValueError("it has changed since it was opened")

    def _matrix(self, batch: pa.RecordBatch) -> np.ndarray:
        with _report_damage(self.name):
            vectors = batch.column("vector")
            values = vectors.flatten()
            if vectors.null_count or values.null_count:
                raise ValueError("an image without an error has no vector")
            return values.to_numpy().reshape(len(batch), self.width)

    def _rows(self, batch: pa.RecordBatch) -> list[Row]:
        with _report_damage(self.name):
            texts = [_texts(batch, name, "") for name in TEXTS]
            labels = [_texts(batch, LABEL_PREFIX + column, "") for column in self.label_columns]
            own_labels = zip(*labels, strict=True) if labels else ((),) * len(batch)
            return [
                Row(image, name, path, dict(zip(self.label_columns, values, strict=True)), error)
                for image, name, path, values, error in zip(
                    *texts, own_labels, _texts(batch, "error", None), strict=True
                )
            ]


def open_vectors(
    source: str | Path | bytes,
    name: str | None = None,
    *,
    max_problems: int | None = MAX_PROBLEMS,
    within: OpenFolder | None = None,
) -> VectorDataset:
    """Open a set of vectors without reading the vectors. No code in the files is run.

    Args:
        source: A .parquet file, a folder of shards `part-*.parquet`, or the bytes of a file.
        name: What it is called in messages; the file's own name if None.
        max_problems: How many images without a vector to list in `problems`; None for all.
        within: The open folder that all files must be in; None for any file.

    Raises:
        FeatlibError: There is no such file or folder, or it does not hold featlib vectors.
    """
    instance("source", source, (str, Path, bytes), "a path or the bytes of a file")
    instance("name", name, (str, type(None)), "a text or None")
    instance("within", within, (OpenFolder, type(None)), "an OpenFolder or None")
    if max_problems is not None:
        whole_number("max_problems", max_problems, 0, 10**9)
    shown = name or ("vectors" if isinstance(source, bytes) else Path(source).absolute().name or str(source))
    places: Sequence[Path | bytes] = [source] if isinstance(source, bytes) else _find_files(Path(source), within)
    first: Origin | None = None
    labels = dict[str, None]()
    sources, groups, problems = list[_Source](), list[_Group](), list[ImageProblem]()
    n = problem_count = 0
    for place in places:
        with _report_damage(shown):
            with open_parquet(place) as file:
                origin, own_labels = read_schema(file.schema_arrow)
            first = first or origin  # the names of the columns, which may be a million, are in memory once
            if origin != first:
                names = [Path(str(path)).name for path in (place, places[0])]
                raise FeatlibError(
                    f"'{names[0]}' comes from another network, layer or pooling than '{names[1]}'. "
                    "Keep one run in a folder."
                )
            with open_parquet(place, ["name", "error"]) as file:
                for number in range(file.num_row_groups):
                    good = 0
                    for batch in file.iter_batches(TEXT_ROWS, row_groups=[number], columns=["name", "error"]):
                        good += batch.column("error").null_count
                        bad = batch.filter(batch.column("error").is_valid())
                        problem_count += len(bad)
                        few = bad if max_problems is None else bad.slice(0, max_problems - len(problems))
                        problems += map(ImageProblem, _texts(few, "name", ""), _texts(few, "error", ""))
                    groups.append(_Group(len(sources), number, n, good))
                    n += good
        sources.append(_Source(place, (*TEXTS, *(LABEL_PREFIX + label for label in own_labels), "error")))
        labels |= dict.fromkeys(own_labels)
    return VectorDataset(
        name=shown,
        origin=first,  # type: ignore[arg-type]
        label_columns=tuple(labels),
        n=n,
        problem_count=problem_count,
        problems=tuple(problems),
        fingerprint=files_fingerprint(source, within),
        _sources=tuple(sources),
        _groups=tuple(groups),
    )


def files_fingerprint(source: str | Path | bytes, within: OpenFolder | None = None) -> str:
    """Return a digest that changes when the files at a place change; they are not read.

    Raises:
        FeatlibError: There is no such file or folder.
    """
    if isinstance(source, bytes):
        return hashlib.blake2b(source, digest_size=16).hexdigest()
    digest = hashlib.blake2b(digest_size=16)
    for path in _find_files(Path(source), within):
        try:
            found = path.stat()
        except OSError as error:
            raise FeatlibError(f"'{path.name}' cannot be opened ({why(error)}). {ALLOWED}") from error
        digest.update(repr((str(path.absolute()), found.st_size, found.st_mtime_ns, found.st_ino)).encode())
    return digest.hexdigest()


def sample_rows(dataset: VectorDataset, most: int, by: str | None = None, random_state: int = 0) -> np.ndarray:
    """Draw a stratified random sample of a dataset. Only labels are read, and only their counts are in memory.

    Args:
        dataset: n rows.
        most: How many rows to draw; all where there are fewer.
        by: A label column, of which each label gets its proportional share. A column of more than 10,000 labels is
            not used; None draws without strata.
        random_state: The seed.

    Returns:
        (min(n, most),) row numbers, ascending.

    Raises:
        FeatlibError: A file is damaged, or has changed since the set was opened.
    """
    if most >= len(dataset):
        return np.arange(len(dataset))
    random = np.random.default_rng(random_state)
    counts = Counter[str]()
    for piece in dataset.labels(by) if by is not None else ():
        counts.update(piece)
        if len(counts) > MAX_LABELS:
            counts.clear()
            break
    if by is None or not counts:
        return np.sort(random.choice(len(dataset), most, replace=False))
    chosen = {
        label: np.sort(random.choice(counts[label], share, replace=False))
        for label, share in shares(counts, most).items()
    }
    rows, start, seen = list[np.ndarray](), 0, defaultdict[str, int](int)
    for piece in dataset.labels(by):
        labels = np.array(piece, dtype=object)
        for label in dict.fromkeys(piece):
            own = np.flatnonzero(labels == label)
            wanted = chosen[label] - seen[label]
            rows.append(start + own[wanted[(wanted >= 0) & (wanted < len(own))]])
            seen[label] += len(own)
        start += len(piece)
    return np.sort(np.concatenate(rows))


def shares(counts: dict[str, int], most: int) -> dict[str, int]:
    """Divide `most` in proportion to the counts; what rounding leaves goes to the largest remainders."""
    labels, total = sorted(counts), sum(counts.values())
    exact = np.array([counts[label] * most / total for label in labels])
    whole = np.floor(exact).astype(int)
    rest = np.argsort(-(exact - whole), kind="stable")[: most - whole.sum()]
    whole[rest] += 1
    return dict(zip(labels, whole.tolist(), strict=True))


def _find_files(path: Path, within: OpenFolder | None) -> list[Path]:
    shown = printable(str(path) if within is None else path.name)
    if within is not None:
        path = within.resolve(path, shown)
    try:
        if path.is_file():  # no pipe or device, which would be waited for
            return [path]
        found = list(path.glob(SHARDS)) if path.is_dir() else None
    except (OSError, ValueError) as error:
        raise FeatlibError(f"'{shown}' cannot be opened ({why(error)}). {ALLOWED}") from error
    if found is None:
        raise FeatlibError(f"There is no file or folder '{shown}' on this machine. {ALLOWED}")
    found.sort(key=lambda shard: natural_key(shard.name))
    if within is None:
        found = [shard for shard in found if shard.is_file()]
    else:
        found = [within.resolve(shard, shard.name) for shard in found]
    if not found:
        raise FeatlibError(f"The folder '{shown}' holds no {SHARDS}. {ALLOWED}")
    return found


def _texts(batch: pa.RecordBatch, name: str, missing: Missing) -> list[str | Missing]:
    if name not in batch.schema.names:
        return [missing] * len(batch)
    column = batch.column(name)
    values = column.dictionary.to_pylist()  # without this, a small file of one long text can fill the memory
    return [values[i] if i is not None else missing for i in column.indices.to_pylist()]


def _between(rows: np.ndarray, start: int, end: int) -> np.ndarray:
    """Return those of sorted rows that are in start…end - 1."""
    return rows[np.searchsorted(rows, start) : np.searchsorted(rows, end)]


@contextmanager
def _report_damage(name: str) -> Iterator[None]:
    """Turn what a damaged file raises into one sentence."""
    import pyarrow as pa

    try:
        yield
    except FeatlibError:
        raise
    except (*DAMAGE, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:300]
        raise FeatlibError(f"'{name}' does not hold vectors written by featlib ({reason}). {ALLOWED}") from error
