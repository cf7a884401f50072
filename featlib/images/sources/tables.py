"""List the images that lists of paths (.txt) and tables with a path column (.csv, .tsv, .parquet) name, with labels."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from featlib.errors import ImageError
from featlib.images.folders import OpenFolder
from featlib.images.item import ImageEntry, ImageItem, ImageProblem
from featlib.images.names import clean_name, folder_labels
from featlib.images.read import open_file
from featlib.images.sources.walk import common_folder
from featlib.text import format_bytes, printable, unescape_formula

if TYPE_CHECKING:
    import pyarrow as pa

LIST_SUFFIX = ".txt"
TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")
PATH_COLUMNS = ("path", "file", "filename", "image")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
MAX_LIST_BYTES = 2**30
MAX_LINE = 2**16  # characters of a list; longer than any path
MAX_COLUMNS_SHOWN = 30
N_INSPECTED = 1000  # values of a column that are checked for names of images
_BLOCK_BYTES = 2**22
_WEB = ("http://", "https://")


@dataclass
class _Rows:
    """The rows of a table, by column.

    Attributes:
        paths: The path of each row, as written in the table.
        labels: The values of each label column.
    """

    paths: list[str] = field(default_factory=list)
    labels: dict[str, list[str]] = field(default_factory=dict)


def is_table(path: Path) -> bool:
    """Return whether a file lists images, by its suffix: .txt, .csv, .tsv or .parquet."""
    return path.suffix.lower() in (LIST_SUFFIX, *TABLE_SUFFIXES)


def read_table(
    path: Path, shown: str, *, max_rows: int, path_column: str | None = None, within: OpenFolder | None = None
) -> Iterator[ImageEntry]:
    """List the images that a list or table names, in its order, without opening them.

    Args:
        path: The file: a .txt with one path per line, or a .csv, .tsv or .parquet table.
        shown: The file's name, for messages.
        max_rows: At most one row more than this is read.
        path_column: The column with the paths; None takes "path", "file", "filename" or "image", or else the only
            column whose values end like image files.
        within: The open folder that the file, and the images when they are read, must be in; None for any file.

    Yields:
        The image of each row, or the reason why it names no file. Labels are all other columns of strings, whole
        numbers or booleans; without any, the folder. Relative paths start from the table's folder, or from the
        current one if the table's has no such file.

    Raises:
        ImageError: If it cannot be read as a list or table, is empty, or its path column is ambiguous.
    """
    with open_file(path, shown, within) as file:
        rows = _read(file, path.suffix.lower(), shown, max_rows, path_column)
    if not rows.paths:
        raise ImageError(f"'{shown}' lists no images: write one row per image.")
    root = common_folder({os.path.dirname(text) for text in rows.paths if os.path.isabs(text)})  # noqa: PTH117, PTH120
    folder = os.path.abspath(path.parent)  # noqa: PTH100 - keeps links
    also_current = within is None and folder != os.path.abspath(".")  # noqa: PTH100

    @lru_cache(maxsize=100_000)
    def labels(*values: str) -> dict[str, str]:
        """Return the labels of one row, shared by the rows with the same values."""
        return {column: printable(value) for column, value in zip(rows.labels, values, strict=True) if value}

    columns = list(rows.labels.values())
    for number, text in enumerate(rows.paths):
        if not text or "\0" in text:
            what = "has no path" if not text else "has a path with a null byte"
            yield ImageProblem(f"{shown} row {number + 1}", f"Row {number + 1:,} of '{shown}' {what}: correct it.")
            continue
        name = clean_name(text.removeprefix(root))
        found = labels(*[column[number] for column in columns]) if columns else folder_labels(name)
        yield ImageItem("", name, found, _locate(text, folder, also_current=also_current), within)


def _locate(text: str, folder: str, *, also_current: bool) -> Path:
    """Return the file of a path as written in a table in `folder`; strings, because there may be a million."""
    if text.startswith(_WEB) or os.path.isabs(text):  # noqa: PTH117
        return Path(text)
    if text.startswith("~"):
        return Path(os.path.expanduser(text))  # noqa: PTH111 - Path's raises where there is no such user
    path = f"{folder}{os.sep}{text}"
    if also_current and not os.path.exists(path) and os.path.exists(text):  # noqa: PTH110
        return Path(os.path.abspath(text))  # noqa: PTH100
    return Path(path)


def _read(file: BinaryIO, suffix: str, shown: str, max_rows: int, path_column: str | None) -> _Rows:
    if suffix == LIST_SUFFIX:
        if path_column is not None:
            raise ImageError(f"'{shown}' is a list of paths, without a column {path_column!r}: omit path_column.")
        return _Rows(_read_lines(file, shown, max_rows))
    import pyarrow as pa

    try:
        if suffix == ".parquet":
            return _read_parquet(file, shown, max_rows, path_column)
        return _read_csv(file, "\t" if suffix == ".tsv" else "", shown, max_rows, path_column)
    except ImageError:
        raise
    # UnicodeError is a ValueError, and so are most of Arrow's own.
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError, MemoryError) as error:
        reason = printable(" ".join((getattr(error, "strerror", None) or str(error)).split())) or type(error).__name__
        if isinstance(error, UnicodeError) or "UTF8" in reason:
            raise ImageError(f"'{shown}' is not encoded in UTF-8: save it as 'CSV UTF-8'.") from error
        raise ImageError(f"'{shown}' cannot be read as a table ({reason.rstrip('.')}): export it again.") from error


def _read_lines(file: BinaryIO, shown: str, max_rows: int) -> list[str]:
    wrong = f"'{shown}' is not a list of paths, as it contains {{}}: write one path per line."
    lines: list[str] = []
    try:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_LIST_BYTES:
            raise ImageError(f"'{shown}' is {format_bytes(size)}, and a list may have at most 1 GB: split it.")
        # Paths are bytes on most systems, so those that are not UTF-8 still find their files.
        text = io.TextIOWrapper(file, _encoding(file), errors="surrogateescape")
        while len(lines) <= max_rows and (line := text.readline(MAX_LINE + 1)):
            if len(line) > MAX_LINE:
                raise ImageError(wrong.format(f"a line of more than {MAX_LINE:,} characters"))
            lines += [line.strip()] if line.strip() else []
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"'{shown}' cannot be read as a list of paths ({reason}): check it.") from error
    if any("\0" in line for line in lines):
        raise ImageError(wrong.format("null bytes"))
    return lines


def _encoding(file: BinaryIO) -> str:
    start = file.read(2)
    file.seek(0)
    return "utf-16" if start in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def _read_csv(file: BinaryIO, delimiter: str, shown: str, max_rows: int, path_column: str | None) -> _Rows:
    # Not with pandas, which fills short rows and shifts long ones by a column without an error.
    import pyarrow as pa
    from pyarrow import csv

    if not os.fstat(file.fileno()).st_size:
        raise ImageError(f"'{shown}' is empty (0 bytes): write a header line and one row per image.")
    encoding = _encoding(file)
    if not delimiter:
        header = file.readline(2**16).decode(encoding, errors="replace")
        delimiter = max(",;\t", key=header.count)
        file.seek(0)
    reading = csv.ReadOptions(block_size=_BLOCK_BYTES, encoding="utf16" if encoding == "utf-16" else "utf8")
    parsing = csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    with csv.open_csv(file, read_options=reading, parse_options=parsing) as reader:
        first = next(iter(reader), None)
        if any(pa.types.is_binary(kind) for kind in reader.schema.types):
            raise UnicodeError("not UTF-8")
        if not first:
            raise ImageError(f"'{shown}' lists no images: write one row per image.")
        path_column, labels = _choose_columns(reader.schema, first, shown, path_column)
    file.seek(0)
    # As text, because a later block may not fit the types inferred from the first one.
    texts = csv.ConvertOptions(
        include_columns=[path_column, *labels],
        column_types=dict.fromkeys([path_column, *labels], pa.string()),
        strings_can_be_null=False,
    )
    with csv.open_csv(file, read_options=reading, parse_options=parsing, convert_options=texts) as reader:
        rows = _collect(reader, path_column, labels, max_rows)
    return _Rows(
        [unescape_formula(text) for text in rows.paths],
        {name: [unescape_formula(text) for text in values] for name, values in rows.labels.items()},
    )


def _read_parquet(file: BinaryIO, shown: str, max_rows: int, path_column: str | None) -> _Rows:
    from pyarrow import parquet

    table = parquet.ParquetFile(file)
    texts = [column.name for column in table.schema_arrow if _is_text(column.type)]
    first = next(table.iter_batches(N_INSPECTED, columns=texts), None)
    path_column, labels = _choose_columns(table.schema_arrow, first, shown, path_column)
    return _collect(table.iter_batches(2**16, columns=[path_column, *labels]), path_column, labels, max_rows)


def _choose_columns(
    schema: pa.Schema, first: pa.RecordBatch | None, shown: str, path_column: str | None
) -> tuple[str, list[str]]:
    """Return the column with the paths and the label columns.

    Args:
        schema: The table's columns.
        first: Its first rows, if any.
        shown: Its name, for messages.
        path_column: The column with the paths; None finds it.

    Raises:
        ImageError: If the column names are missing or not unique, or the path column is missing or ambiguous.
    """
    names = [printable(name) for name in schema.names]  # as labels are named
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise ImageError(f"'{shown}' has two columns named '{repeated}': give each its own name.")
    headless = next((name for name in names if name.lower().endswith(IMAGE_SUFFIXES)), None)
    if headless is not None:
        raise ImageError(
            f"'{shown}' begins with '{headless}' instead of the column names: add a first line such as path,label."
        )
    texts = [column.name for column in schema if _is_text(column.type)]
    if path_column is None:
        by_name = {name.lower().strip(): name for name in reversed(texts)}
        likely = [by_name[name] for name in PATH_COLUMNS if name in by_name][:1]
        if not likely and first is not None:
            likely = [name for name in texts if _names_images(first.column(name))]
        problem = (
            f"{'Several columns' if likely else 'No column'} of '{shown}' could contain the paths of the images: name"
            " one 'path', or choose it with path_column."
        )
    else:
        likely = [name for name in texts if name == path_column]
        problem = f"'{shown}' has no text column named {path_column!r}."
    if len(likely) != 1:
        columns = [f"'{printable(column.name)}' ({printable(str(column.type))})" for column in schema]
        more = len(columns) - MAX_COLUMNS_SHOWN
        listed = ", ".join(columns[:MAX_COLUMNS_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
        raise ImageError(f"{problem} Its columns: {listed or 'none'}.")
    labels = [name for name in schema.names if name != likely[0] and _is_label(schema.field(name).type)]
    return likely[0], labels


def _is_text(kind: pa.DataType) -> bool:
    from pyarrow import types

    kind = kind.value_type if types.is_dictionary(kind) else kind
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)


def _is_label(kind: pa.DataType) -> bool:
    from pyarrow import types

    value_type = kind.value_type if types.is_dictionary(kind) else kind
    return _is_text(kind) or types.is_integer(value_type) or types.is_boolean(value_type)


def _names_images(column: pa.Array) -> bool:
    values = [value.strip().lower() for value in _texts(column.slice(0, N_INSPECTED)) if value]
    return bool(values) and all(value.endswith(IMAGE_SUFFIXES) for value in values)


def _collect(batches: Iterable[pa.RecordBatch], path_column: str, labels: list[str], max_rows: int) -> _Rows:
    """Read the columns as text, at most one row more than `max_rows`."""
    rows = _Rows(labels={printable(name): [] for name in labels})
    for batch in batches:
        rows.paths += [text.strip() for text in _texts(batch.column(path_column))]
        for name in labels:
            rows.labels[printable(name)] += _texts(batch.column(name))
        if len(rows.paths) > max_rows:
            break
    del rows.paths[max_rows + 1 :]
    return rows


def _texts(column: pa.Array) -> list[str]:
    import pyarrow as pa
    from pyarrow import types

    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.cast(pa.string()).fill_null("").to_pylist()
