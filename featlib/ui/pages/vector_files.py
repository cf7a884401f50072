"""Parts of the page for vector files: open a set, project it in pieces, look at points, neighbors and pictures."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st

from featlib.analysis import Neighbors, Projection, StreamedPCA, fit_pca, stream_neighbors
from featlib.errors import FeatlibError, ImageError
from featlib.features.files import Row, VectorDataset, files_fingerprint, open_vectors, sample_rows, write_coordinates
from featlib.images import (
    PLACE_PREFIX,
    ImageItem,
    OpenFolder,
    clean_name,
    digest_bytes,
    find_place,
    open_folders,
    read_path,
)
from featlib.text import format_bytes, printable
from featlib.ui.compute import Task, compute_projection
from featlib.ui.session import Session, bind, choose, upload_key
from featlib.ui.text import plain
from featlib.ui.uploads import find_upload, is_key, keep_upload, why_gone
from featlib.ui.widgets import (
    MIN_POINTS,
    Points,
    bounded_perplexity,
    browse_folders,
    gallery,
    pick_projection,
    place_title,
    resolve_color,
    show_how_to_open,
    show_problems,
    show_scatter,
    tsne_note,
)

SIZES = (500, 1000, 2000, 5000, 10_000)
N_COMPONENTS = 50  # of the PCA, from which t-SNE starts
N_NEIGHBORS = 8
MAX_CSV_ROWS = 500_000  # the file is made in memory
MAX_LISTED = 8
MAX_REASONS = 3
POOLINGS = {"avg": "average pooling", "max": "maximum pooling", "flatten": "flattened", "none": "no pooling"}


@dataclass(frozen=True, eq=False)
class DrawnRows:
    """The rows of a set that are drawn.

    Attributes:
        pca: Fitted on all rows.
        numbers: (m,) their positions in the set.
        rows: The m rows.
        result: Their coordinates.
        by: The label column by which the sample is stratified, or None.
    """

    pca: StreamedPCA
    numbers: np.ndarray
    rows: list[Row]
    result: Projection
    by: str | None


def choose_vectors(session: Session) -> VectorDataset | None:
    """Ask for a file or folder in an opened folder, or an upload; return None while there is none.

    Raises:
        FeatlibError: If what is given holds no featlib vectors.
    """
    with st.expander("**Open vectors**", expanded=not session.file):
        upload, opened = st.tabs(["Upload", "Open folder"], default="Open folder" if open_folders() else "Upload")
        with upload:
            _take_upload(session)
        with opened:
            if open_folders():
                _choose_place(session)
            else:
                show_how_to_open("vector files")
    if session.vectors_problem:
        st.error(plain(session.vectors_problem))
    if session.file.startswith(PLACE_PREFIX):
        return _open(session.file)
    dataset = find_upload(session.file, "vectors")
    if dataset is None and is_key(session.file):
        st.info(f"The vectors of this link {why_gone(session.file)}. Upload the file again.")
    elif dataset is None and session.file:
        st.info(
            "The link names a file by its path on this machine. Only files in an open folder are read: start the app "
            "with 'featlib app FOLDER' and choose the file above."
        )
    elif dataset is None:
        st.info("No vectors loaded. Create a file with: `featlib extract photos/ -o vectors.parquet`")
    return dataset


def _choose_place(session: Session) -> None:
    place, _is_file = browse_folders("vectors", (".parquet",), session.file)
    st.button(
        f"Open {plain(place_title(place))}",
        key="open vectors",
        type="primary",
        disabled=place == session.file,
        on_click=choose,
        args=("file", place),
        help="A .parquet file, or a folder of part-*.parquet.",
    )


def program_path(session: Session) -> str | None:
    """Return the path that the page's program opens, from where the opened folder is; None for an upload."""
    return session.file.removeprefix(PLACE_PREFIX) if session.file.startswith(PLACE_PREFIX) else None


def show_facts(dataset: VectorDataset) -> None:
    """Show where the vectors come from, how many there are, and which images could not be read."""
    origin = dataset.origin
    labels = f"Labels: {_listed(dataset.label_columns)}." if dataset.label_columns else "No labels."
    st.markdown(
        f"**{plain(printable(dataset.name))}**: {_listed(origin.layers, ' + ')} of {_listed([origin.model])}, "
        f"{_listed([POOLINGS.get(origin.pooling, origin.pooling)])}. {labels}"
    )
    facts = st.columns(4)
    facts[0].metric("Rows", f"{len(dataset):,}", help="One per image.")
    facts[1].metric("Dimensions", f"{dataset.width:,}")
    facts[2].metric("Size", format_bytes(4 * len(dataset) * dataset.width), help="Of all rows in memory.")
    facts[3].metric("Unreadable", f"{dataset.problem_count:,}", help="Images without a vector.")
    if dataset.problem_count:
        with st.expander(f"Why {dataset.problem_count:,} images could not be read"):
            show_problems([_reason(problem.name, problem.reason) for problem in dataset.problems])
            if dataset.problem_count > len(dataset.problems):
                st.caption(f"The first {len(dataset.problems):,}.")


def pick_view(session: Session, dataset: VectorDataset) -> None:
    """Show how many rows are drawn, and the settings of the projection."""
    n_drawn = drawn_rows(session, dataset)
    if len(dataset) > SIZES[0] and session.drawn not in _sizes(dataset):
        session.report("drawn", n_drawn)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if len(dataset) > SIZES[0]:
            st.selectbox(
                "Rows drawn",
                _sizes(dataset),
                format_func=lambda n: f"all {n:,}" if n == len(dataset) else f"{n:,} of {len(dataset):,}",
                width=200,
                help="PCA is computed on all rows in any case.",
                **bind("drawn", shown=n_drawn),
            )
        pick_projection(session, n_drawn, dataset.label_columns, "rows")


def drawn_rows(session: Session, dataset: VectorDataset) -> int:
    """Return how many rows are drawn: the chosen number, or the nearest one that is offered."""
    return min(_sizes(dataset), key=lambda size: abs(size - session.drawn))


def compute(session: Session, dataset: VectorDataset) -> DrawnRows:
    """Return the PCA of all rows and the coordinates of the rows that are drawn.

    Raises:
        FeatlibError: If there are too few rows or columns, or the files are damaged.
        Stopped: If the user has stopped this computation.
    """
    if len(dataset) < MIN_POINTS or dataset.width < session.dimensions:
        raise FeatlibError(
            f"A projection to {session.dimensions} dimensions needs at least {MIN_POINTS} rows of that many numbers; "
            f"this set has {len(dataset):,} of {dataset.width:,}. Extract more images, or another layer."
        )
    key, k = dataset.fingerprint, session.dimensions
    pca = _pca(key, dataset, Task(session, f"pca {key}", "PCA", unit="rows"))
    most, by = drawn_rows(session, dataset), dataset.label_columns[0] if dataset.label_columns else None
    task = Task(session, f"sample {key} {most}", f"Reading {most:,} rows", unit="rows")
    numbers, rows, coordinates = _sample(key, most, by, dataset, pca, task)
    if session.method == "tsne":
        perplexity = bounded_perplexity(session, len(coordinates))
        result = compute_projection(session, coordinates, "tsne", k, perplexity)
    else:
        result = Projection(coordinates[:, :k], "pca", k, pca.explained_variance_ratio[:k], None, None, 0)
    return DrawnRows(pca, numbers, rows, result, by)


@st.cache_data(show_spinner=False)
def _pca(fingerprint: str, _dataset: VectorDataset, _task: Task) -> StreamedPCA:
    with _task.running(at_once=True) as report:
        batches = (batch.X for batch in _dataset.batches(texts=False))
        return fit_pca(batches, N_COMPONENTS, total=len(_dataset), on_progress=report)


@st.cache_data(show_spinner=False)
def _sample(
    fingerprint: str, most: int, by: str | None, _dataset: VectorDataset, _pca: StreamedPCA, _task: Task
) -> tuple[np.ndarray, list[Row], np.ndarray]:
    with _task.running(at_once=True) as report:
        numbers = sample_rows(_dataset, most, by)
        taken = _dataset.take(numbers, on_progress=report)
        return numbers, taken.rows, _pca.transform(taken.X)


def show_rows(session: Session, dataset: VectorDataset, drawn: DrawnRows) -> None:
    """Show the scatter plot, how much of the set it shows, and the pictures of the picked rows."""
    pca, rows, numbers = drawn.pca, drawn.rows, drawn.numbers
    color = resolve_color(session, dataset.label_columns)
    explained = np.cumsum(pca.explained_variance_ratio)
    counts = sorted({k for k in (drawn.result.n_components, 10, len(explained)) if k <= len(explained)})
    shares = ", ".join(f"{k} explain {explained[k - 1]:.0%}" for k in counts)
    st.markdown(f"PCA of **all {len(dataset):,} rows**: of the variance, the first {shares}.")
    points = Points(
        drawn.result,
        ids=[str(number) for number in numbers],
        names=[f"{number + 1} · {clean_name(row.name)}" for number, row in zip(numbers, rows, strict=True)],
        labels=[printable(row.labels[color]) for row in rows] if color else None,
        label_title=color,
        description=f"{len(rows):,} rows",
    )

    def show_picked(positions: list[int]) -> None:
        picked = [rows[i] for i in positions]
        captions = [printable(row.labels[color]) if color else clean_name(row.name) for row in picked]
        _show_pictures(session, "selected", picked, numbers[positions].tolist(), captions)
        st.text("\n".join(f"{numbers[i] + 1:,} · {clean_name(rows[i].name)}" for i in positions))

    def select_row(positions: list[int]) -> None:
        if len(positions) == 1:
            choose("row", int(numbers[positions[0]]) + 1)

    show_scatter(
        session,
        points,
        f"{session.drawn} {dataset.fingerprint}",
        show_picked,
        hint_in_3d="Drag to rotate. Hover over a point for its row, then enter it below to see the picture.",
        on_pick=select_row,
    )
    if len(rows) == len(dataset):
        caption = f"All {len(dataset):,} rows are drawn."
    else:
        share = f", stratified by “{plain(drawn.by)}”" if drawn.by else ""
        caption = f"A random sample of {len(rows):,} of {len(dataset):,} rows (seed 0){share}."
    if drawn.result.method == "tsne":
        caption += f" t-SNE of these rows after the PCA of all. {tsne_note(drawn.result)}"
    st.caption(caption)


def show_neighbors(session: Session, dataset: VectorDataset) -> None:
    """Show the rows most similar to the selected one, among all rows."""
    st.subheader("Nearest among all rows", anchor=False)
    selected = min(session.row, len(dataset))
    if session.row > len(dataset):
        session.report("row", f"row {selected}")
    st.number_input(
        f"Row (1 to {len(dataset):,})",
        1,
        len(dataset),
        step=1,
        width=240,
        placeholder="click or type a row",
        **bind("row", shown=selected or None),
    )
    if not selected:
        return
    row = selected - 1
    task = Task(session, f"neighbors {dataset.fingerprint} {row}", "Comparing", unit="rows")
    query, neighbors, rows = _find_neighbors(dataset.fingerprint, row, dataset, task)
    st.markdown(f"Nearest to **{plain(clean_name(query.name))}** by cosine similarity, the most similar first.")
    similarities = [f"{similarity:.3f}" for similarity in neighbors.similarities]
    numbers = [row, *neighbors.indices.tolist()]
    notes = [f"row {row + 1}", *similarities]
    key = f"{row} {dataset.fingerprint}"
    _show_pictures(session, f"near {key}", [query, *rows], numbers, notes)
    table = {
        "row": [number + 1 for number in numbers[1:]],
        "name": [clean_name(own.name) for own in rows],
        "cosine": similarities,
        **{f"label: {column}": [printable(own.labels[column]) for own in rows] for column in dataset.label_columns},
    }
    st.dataframe(table, hide_index=True, width="stretch", key=f"table {key}")


@st.cache_data(show_spinner=False)
def _find_neighbors(
    fingerprint: str, row: int, _dataset: VectorDataset, _task: Task
) -> tuple[Row, Neighbors, list[Row]]:
    with _task.running(at_once=True) as report:
        query = _dataset.take([row])
        found = stream_neighbors(
            (batch.X for batch in _dataset.batches(texts=False)),
            query.X[0],
            without=row,
            n_neighbors=N_NEIGHBORS,
            total=len(_dataset),
            on_progress=report,
        )
        return query.rows[0], found, _dataset.take(found.indices).rows


def show_download(dataset: VectorDataset, drawn: DrawnRows) -> None:
    """Offer the coordinates as CSV: of the rows that are drawn, and of all rows if they come from PCA."""
    st.subheader("Download", anchor=False)
    name = f"{Path(dataset.name).stem}_{drawn.result.method}"
    whole, is_pca = len(drawn.rows) == len(dataset), drawn.result.method == "pca"
    with st.container(horizontal=True):
        st.download_button(
            f"Coordinates of {'all' if whole else 'the'} {len(drawn.rows):,} rows{'' if whole else ' drawn'}",
            lambda: drawn_csv(dataset, drawn),
            f"{name}.csv",
            "text/csv",
            on_click="ignore",
        )
        if is_pca and not whole and len(dataset) <= MAX_CSV_ROWS:
            st.download_button(
                f"Coordinates of all {len(dataset):,} rows",
                lambda: all_csv(dataset, drawn),
                f"{name}_all.csv",
                "text/csv",
                on_click="ignore",
            )
    if is_pca and len(dataset) > MAX_CSV_ROWS:
        st.caption(f"The program below computes those of all {len(dataset):,} rows.")


def drawn_csv(dataset: VectorDataset, drawn: DrawnRows) -> bytes:
    """Return the coordinates of the rows that are drawn: id, name, labels, x, y (and z)."""
    return _csv(dataset, drawn.result.coordinates, drawn.rows)


def all_csv(dataset: VectorDataset, drawn: DrawnRows) -> bytes:
    """Return the PCA coordinates of all rows."""
    k = drawn.result.n_components
    parts = [drawn.pca.transform(batch.X)[:, :k] for batch in dataset.batches(texts=False)]
    return _csv(dataset, np.concatenate(parts), (row for batch in dataset.batches() for row in batch.rows))


def _csv(dataset: VectorDataset, coordinates: np.ndarray, rows: Iterable[Row]) -> bytes:
    file = io.BytesIO()
    write_coordinates(file, dataset.label_columns, rows, coordinates)
    return file.getvalue()


def find_picture(row: Row, *, is_uploaded: bool = False) -> ImageItem:
    """Return the image of a row, read from the file that the set names, if that is in an opened folder.

    Args:
        row: The row.
        is_uploaded: Whether its set was uploaded. Such a set names files by their paths below an opened folder only: by
            absolute ones its visitor could guess where the folder is.

    Raises:
        ImageError: If the file is missing or may not be read, cannot be decoded, or has changed since the vector was
            made.
    """
    name = clean_name(row.name)
    if not row.path:
        raise ImageError(f"The set does not say where '{name}' is.")
    for folder in open_folders():
        try:
            path = folder.find(row.path) if is_uploaded else folder.resolve(Path(row.path), name)
        except ImageError:
            continue
        data = read_path(path, name, folder)
        if digest_bytes(data) != row.id:
            raise ImageError(f"'{name}' has changed since its vector was made.")
        item = ImageItem(row.id, name, {}, data)
        item.thumbnail(192)
        return item
    raise ImageError(f"There is no file '{name}' in an open folder.")


def _show_pictures(
    session: Session,
    key: str,
    rows: Sequence[Row],
    numbers: Sequence[int],
    notes: Sequence[str],
) -> None:
    """Show the pictures of rows that are in an opened folder, and why others are missing."""
    items, missing = dict[int, ImageItem](), list[str]()
    for i, row in enumerate(rows):
        try:
            items[i] = find_picture(row, is_uploaded=not session.file.startswith(PLACE_PREFIX))
        except ImageError as error:
            missing.append(str(error))
    if items:
        gallery(
            key,
            list(items.values()),
            [numbers[i] for i in items],
            notes=[notes[i] for i in items],
            on_pick=lambda number: choose("row", number + 1),
            side=200 if len(rows) == 1 else 96,
        )
    if missing:
        more = f" And {len(missing) - MAX_REASONS:,} more." if len(missing) > MAX_REASONS else ""
        st.caption(f":material/hide_image: {plain(' '.join(missing[:MAX_REASONS]))}{more}")


def _open(place: str) -> VectorDataset:
    folder, below = find_place(place)
    path = folder.find(below)
    return _opened(files_fingerprint(path, folder), path, folder)


@st.cache_resource(max_entries=8, show_spinner="Opening the vectors …")
def _opened(fingerprint: str, _path: Path, _folder: OpenFolder) -> VectorDataset:
    return open_vectors(_path, within=_folder)


def _take_upload(session: Session) -> None:
    """Open a new upload, once. Earlier vectors stay if the new file is refused."""
    file = st.file_uploader("A .parquet file of vectors", type=["parquet"], key=upload_key("vector file"))
    if file is None or session.taken.get("vectors") == file.file_id:
        return
    session.taken["vectors"] = file.file_id
    try:
        data = file.getvalue()
        key = keep_upload(open_vectors(data, clean_name(file.name)), "vectors", len(data))
    except FeatlibError as error:
        session.vectors_problem = str(error)
    else:
        session.vectors_problem = ""
        choose("file", key)
    st.rerun()


def _sizes(dataset: VectorDataset) -> list[int]:
    fewer = [size for size in SIZES if size < len(dataset)]
    return [*fewer, len(dataset)] if len(dataset) <= SIZES[-1] else fewer


def _listed(names: Sequence[str], separator: str = ", ") -> str:
    """List names from a file as plain text, at most eight."""
    more = f" and {len(names) - MAX_LISTED:,} more" if len(names) > MAX_LISTED else ""
    return plain(separator.join(printable(name) for name in names[:MAX_LISTED])) + more


def _reason(name: str, reason: str) -> str:
    """Return a reason that names its image."""
    shown = printable(clean_name(name))
    return printable(reason) if shown in reason else f"'{shown}': {printable(reason)}"
