"""Lists of paths (.txt) and tables with a path column (.csv, .tsv, .parquet) -> the files they name, with labels."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featlib.errors import ImageError
from featlib.images.item import ImageEntry, ImageItem, ImageProblem
from featlib.images.names import clean_name, folder_labels
from featlib.text import format_bytes, printable

if TYPE_CHECKING:
    import pyarrow as pa

LIST_ENDING = ".txt"
TABLE_ENDINGS = (".csv", ".tsv", ".parquet")
PATH_COLUMNS = ("path", "file", "filename", "image")
IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
MAX_LIST_BYTES = 2**30
LOOKED_AT = 1000  # values of a column that are looked at to tell whether they are images
_BLOCK = 2**22
_WEB = ("http://", "https://")


@dataclass
class _Rows:
    """What was read of a table: the paths as written, and the labels as columns."""

    paths: list[str] = field(default_factory=list)
    labels: dict[str, list[str]] = field(default_factory=dict)


def is_table(path: Path) -> bool:
    """Return whether a file lists images, by its ending: .txt, .csv, .tsv or .parquet."""
    return path.suffix.lower() in (LIST_ENDING, *TABLE_ENDINGS)


def read_table(path: Path, shown: str, *, max_rows: int, path_column: str | None = None) -> Iterator[ImageEntry]:
    """List the images that a list or table names, in its order. None of them is opened.

    Args:
        path: The file, which ends in .txt (one path per line), .csv, .tsv or .parquet.
        shown: Its name for messages.
        max_rows: One row more than this may come, and the rest is not read.
        path_column: The column with the paths; None takes "path", "file", "filename" or "image", or else the only
            column whose values end like images.

    Yields:
        (name, path, labels) of each row, or the reason why it names no file. Labels are all other columns of
        strings, whole numbers or booleans; without any, the folder. Relative paths start from the table's folder,
        or from the current one if nothing is there.

    Raises:
        ImageError: It cannot be read as a list or table, is empty, or its path column is not clear.
    """
    rows = _read(path, shown, max_rows, path_column)
    if not rows.paths:
        raise ImageError(f"'{shown}' lists no images: write one row an image.")
    root = _common_folder(rows.paths)
    place = _placer(path.parent)
    label = lru_cache(maxsize=100_000)(lambda *values: _labels(tuple(rows.labels), values))
    columns = list(rows.labels.values())
    for number, written in enumerate(rows.paths):
        if not written or "\0" in written:
            what = "has no path" if not written else "has a path with a zero byte"
            name = f"{shown} row {number + 1}"
            yield ImageProblem(name, f"Row {number + 1:,} of '{shown}' {what}: correct it.")
            continue
        name = clean_name(written.removeprefix(root))
        labels = label(*[column[number] for column in columns]) if columns else folder_labels(name)
        yield ImageItem("", name, labels, place(written))


def _read(path: Path, shown: str, max_rows: int, path_column: str | None) -> _Rows:
    if path.suffix.lower() == LIST_ENDING:
        if path_column is not None:
            raise ImageError(f"'{shown}' is a list, which has no column {path_column!r}: leave path_column out.")
        return _Rows(_read_lines(path, shown, max_rows))
    import pyarrow as pa

    try:
        return (_read_parquet if path.suffix.lower() == ".parquet" else _read_csv)(path, shown, max_rows, path_column)
    except ImageError:
        raise
    # UnicodeError is a ValueError, and so are most of Arrow's own.
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError, MemoryError) as error:
        raise ImageError(_unreadable(shown, error)) from error


def _unreadable(shown: str, error: BaseException) -> str:
    reason = printable(" ".join((getattr(error, "strerror", None) or str(error)).split())) or type(error).__name__
    if isinstance(error, UnicodeError) or "UTF8" in reason:
        return f"'{shown}' is not written in UTF-8: save it as 'CSV UTF-8'."
    return f"'{shown}' cannot be read as a table ({reason.rstrip('.')}): export it again."


def _read_lines(path: Path, shown: str, max_rows: int) -> list[str]:
    try:
        size = path.stat().st_size
        if size > MAX_LIST_BYTES:
            raise ImageError(f"'{shown}' is {format_bytes(size)}, and a list may have at most 1 GB: split it.")
        # Paths are bytes on most systems, so what is no UTF-8 still finds its file.
        with path.open(encoding=_encoding(path), errors="surrogateescape") as file:
            lines = list(islice((line for text in file if (line := text.strip())), max_rows + 1))
    except (OSError, UnicodeError) as error:
        raise ImageError(f"'{shown}' cannot be read as a list of paths ({error}): check it.") from error
    if any("\0" in line for line in lines):
        raise ImageError(f"'{shown}' is no list of paths, for it has zero bytes: write one path a line, in UTF-8.")
    return lines


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(2)
    return "utf-16" if head in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def _read_csv(path: Path, shown: str, max_rows: int, path_column: str | None) -> _Rows:
    import pyarrow as pa
    from pyarrow import csv

    if not path.stat().st_size:
        raise ImageError(f"'{shown}' is empty (0 bytes): write a header line and one row an image.")
    encoding = "utf16" if _encoding(path) == "utf-16" else "utf8"
    reading = csv.ReadOptions(block_size=_BLOCK, encoding=encoding)
    parsing = csv.ParseOptions(delimiter=_delimiter(path), newlines_in_values=True)
    with csv.open_csv(path, read_options=reading, parse_options=parsing) as file:
        first = next(iter(file), None)
        if any(pa.types.is_binary(kind) for kind in file.schema.types):
            raise UnicodeError("not UTF-8")
        if not first:
            raise ImageError(f"'{shown}' lists no images: write one row an image.")
        columns = _Columns(file.schema, first, shown, path_column)
    # As text, for a block far down may not fit the types that were told from the first one.
    texts = csv.ConvertOptions(
        include_columns=columns.wanted,
        column_types=dict.fromkeys(columns.wanted, pa.string()),
        strings_can_be_null=False,
    )
    with csv.open_csv(path, read_options=reading, parse_options=parsing, convert_options=texts) as file:
        return columns.collect(file, max_rows)


def _delimiter(path: Path) -> str:
    if path.suffix.lower() == ".tsv":
        return "\t"
    with path.open(encoding=_encoding(path), errors="replace") as file:
        header = file.readline(2**16)
    return max(",;\t", key=header.count)


def _read_parquet(path: Path, shown: str, max_rows: int, path_column: str | None) -> _Rows:
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        texts = [field.name for field in file.schema_arrow if _is_text(field.type)]
        first = next(file.iter_batches(LOOKED_AT, columns=texts), None)
        columns = _Columns(file.schema_arrow, first, shown, path_column)
        return columns.collect(file.iter_batches(2**16, columns=columns.wanted), max_rows)


class _Columns:
    """The columns of a table that are read: the one with the paths, and the labels."""

    def __init__(self, schema: pa.Schema, first: pa.RecordBatch | None, shown: str, path_column: str | None) -> None:
        self._check_names(schema.names, shown)
        self.path = self._find_path(schema, first, shown, path_column)
        labels = [entry.name for entry in schema if entry.name != self.path and _is_label(entry.type)]
        self.labels = {name: printable(name) for name in labels}
        self.wanted = [self.path, *self.labels]

    def collect(self, batches: Any, max_rows: int) -> _Rows:  # noqa: ANN401 - two kinds of readers
        """Read the wanted columns, as text, until there is one row too many."""
        rows = _Rows(labels={name: [] for name in self.labels.values()})
        for batch in batches:
            rows.paths += [text.strip() for text in _texts(batch.column(self.path))]
            for name, label in self.labels.items():
                rows.labels[label] += _texts(batch.column(name))
            if len(rows.paths) > max_rows:
                break
        del rows.paths[max_rows + 1 :]
        return rows

    @staticmethod
    def _check_names(names: Sequence[str], shown: str) -> None:
        seen = [printable(name) for name in names]  # as labels are named
        twice = next((name for name in seen if seen.count(name) > 1), None) if len(set(seen)) < len(seen) else None
        if twice is not None:
            raise ImageError(f"'{shown}' has two columns named '{twice}': give each its own name.")
        first = next((name for name in names if name.lower().endswith(IMAGE_ENDINGS)), None)
        if first is not None:
            raise ImageError(
                f"'{shown}' begins with '{printable(first)}' where the names of the columns should be: "
                "write a first line such as path,label."
            )

    @staticmethod
    def _find_path(schema: pa.Schema, first: pa.RecordBatch | None, shown: str, asked: str | None) -> str:
        texts = [entry.name for entry in schema if _is_text(entry.type)]
        if asked is not None:
            if asked in texts:
                return asked
            raise ImageError(f"'{shown}' has no column of text named {asked!r}. {_listed(schema)}")
        by_name = {name.lower().strip(): name for name in reversed(texts)}
        named = next((by_name[name] for name in PATH_COLUMNS if name in by_name), None)
        if named is not None:
            return named
        like = [name for name in texts if first is not None and _are_images(first.column(name))]
        if len(like) == 1:
            return like[0]
        which = "Several columns" if like else "No column"
        raise ImageError(
            f"{which} of '{shown}' can be the paths of the images: name one 'path', or choose it with path_column. "
            + _listed(schema)
        )


def _listed(schema: pa.Schema) -> str:
    names = ", ".join(f"'{printable(entry.name)}' ({printable(str(entry.type))})" for entry in list(schema)[:30])
    more = f" and {len(schema) - 30:,} more" if len(schema) > 30 else ""
    return f"Its columns: {names or 'none'}{more}."


def _is_text(kind: pa.DataType) -> bool:
    from pyarrow import types

    if types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)


def _is_label(kind: pa.DataType) -> bool:
    from pyarrow import types

    if types.is_dictionary(kind):
        return _is_label(kind.value_type)
    return _is_text(kind) or types.is_integer(kind) or types.is_boolean(kind)


def _are_images(column: pa.Array) -> bool:
    values = [value for value in column.slice(0, LOOKED_AT).to_pylist() if value]
    return bool(values) and all(value.strip().lower().endswith(IMAGE_ENDINGS) for value in values)


def _texts(column: pa.Array) -> list[str]:
    import pyarrow as pa
    from pyarrow import types

    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.cast(pa.string()).fill_null("").to_pylist()


def _labels(columns: tuple[str, ...], values: tuple[str, ...]) -> dict[str, str]:
    return {column: printable(value) for column, value in zip(columns, values, strict=True) if value}


def _common_folder(paths: Sequence[str]) -> str:
    """The folder above all absolute paths, with "/" at its end, or ""; names are shown without it."""
    folders = {os.path.dirname(path) for path in paths if os.path.isabs(path)}  # noqa: PTH117, PTH120 - a million
    try:
        return os.path.join(os.path.commonpath(folders), "") if folders else ""  # noqa: PTH118
    except ValueError:  # two drives
        return ""


def _placer(folder: Path) -> Callable[[str], Path]:
    """Return a function from a path as written in the table to the path to read."""
    here = os.path.abspath(folder)  # noqa: PTH100 - keeps links
    elsewhere = here != os.path.abspath(".")  # noqa: PTH100

    def place(written: str) -> Path:
        if written.startswith(_WEB) or os.path.isabs(written):  # noqa: PTH117
            return Path(written)
        if written.startswith("~"):
            return Path(os.path.expanduser(written))  # noqa: PTH111 - Path's raises where there is no such user
        path = f"{here}{os.sep}{written}"
        if elsewhere and not os.path.exists(path) and os.path.exists(written):  # noqa: PTH110 - a million of them
            return Path(os.path.abspath(written))  # noqa: PTH100
        return Path(path)

    return place
