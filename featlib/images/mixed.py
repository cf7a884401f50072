"""List the images of several sources of different kinds, as on a command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from featlib.errors import FeatlibError
from featlib.images.item import ImageEntry
from featlib.images.load import list_pending
from featlib.images.samples import load_samples
from featlib.images.sources import is_glob, is_table

SAMPLES = "samples:"


def list_sources(sources: Sequence[str], path_column: str | None = None) -> list[ImageEntry]:
    """List the images of several sources in order, without reading them.

    Paths next to each other are one source, so that images of different folders keep their folder's name.

    Args:
        sources: Paths of folders, zips, images and lists, globs, tables of paths, or built-in sets ("samples:NAME").
        path_column: The column of paths in tables; None finds it.

    Returns:
        One entry per image, in order.

    Raises:
        ImageError: If a path does not exist, or a source is of an unknown kind.
        FeatlibError: If a built-in set is unknown, or `path_column` is given without a table.
    """
    if path_column is not None and not any(is_table(Path(source)) for source in sources):
        raise FeatlibError("--path-column is for a .csv, .tsv or .parquet table, but none of the sources is one.")
    if len(sources) == 1 and not sources[0].startswith(SAMPLES):
        return list_pending(sources[0], path_column=path_column)
    listed: list[ImageEntry] = []
    paths: list[str] = []
    for source in sources:
        table = is_table(Path(source))
        if not (table or source.startswith(SAMPLES) or is_glob(source)):
            paths.append(source)
            continue
        listed += list_pending(paths) if paths else []
        paths = []
        if source.startswith(SAMPLES):
            listed += load_samples(source.removeprefix(SAMPLES)).items
        else:
            listed += list_pending(source, path_column=path_column if table else None)
    return listed + (list_pending(paths) if paths else [])
