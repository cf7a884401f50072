"""What is seen of a set of vectors: the scatter, pictures of what is picked, neighbours, a file to take away."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import streamlit as st

from featlib import plots
from featlib.analysis import Neighbors, stream_neighbors
from featlib.errors import FeatlibError, ImageError
from featlib.features.files import Row, VectorDataset, write_coordinates
from featlib.images import ImageItem
from featlib.images.item import digest_bytes
from featlib.images.read import read_path
from featlib.images.sources.names import clean_name
from featlib.text import printable
from featlib.ui.compute import Task
from featlib.ui.pages.projection import METHODS, PANEL
from featlib.ui.pages.vector_files import View, serves_this_machine_alone
from featlib.ui.session import Session, bind, widget_value
from featlib.ui.text import plain
from featlib.ui.widgets import thumbnail_row

NEIGHBORS = 8
MOST_IN_CSV = 500_000  # rows; the file is made in memory
FEW = 3


def show_view(session: Session, dataset: VectorDataset, view: View) -> None:
    """The scatter, what it shows of the whole, and the pictures of the points that are picked."""
    _say_variance(dataset, view)
    flat = session.dimensions == 2
    key = f"scatter {session.method} {session.dimensions} {session.tool} {session.drawn} {dataset.fingerprint}"
    plot, panel = st.columns([2.2, 1], gap="medium")
    with panel:
        _show_picked(session, view, _picked(view, widget_value(key)) if flat else [])
    with plot:
        labels = [printable(row.labels[session.color]) for row in view.rows] if session.color else None
        st.plotly_chart(
            plots.projection_scatter(
                view.result,
                ids=[str(number) for number in view.numbers],
                names=[
                    f"{number + 1} · {clean_name(row.name)}"
                    for number, row in zip(view.numbers, view.rows, strict=True)
                ],
                labels=labels,
                label_title=session.color or "label",
                mode=session.tool,
            ),
            key=key,
            on_select=_row_picker(session, view, key) if flat else "ignore",
            selection_mode=("points",) if session.tool == "click" else ("points", "box", "lasso"),
            alt=f"{METHODS[session.method]} of {len(view.rows):,} rows in {session.dimensions} dimensions, "
            f"coloured by {session.color or 'nothing'}.",
        )
        st.caption(_caption(dataset, view))


def show_neighbors(session: Session, dataset: VectorDataset) -> None:
    """The rows most alike to one row, among all."""
    st.subheader("Nearest among all rows", anchor=False)
    session.row = min(session.row, len(dataset))
    st.number_input(
        f"Row (1 to {len(dataset):,})",
        1,
        len(dataset),
        step=1,
        width=240,
        placeholder="click a point, or write a number",
        **bind("row", shown=session.row or None),
    )
    if not session.row:
        return
    row = session.row - 1
    task = Task(session, f"neighbors {dataset.fingerprint} {row}", "Comparing", unit="rows")
    query, neighbors, rows = _find(dataset.fingerprint, row, dataset, task)
    st.markdown(f"Nearest to **{plain(clean_name(query.name))}** by cosine similarity, the most alike first.")
    similarities = [f"{similarity:.3f}" for similarity in neighbors.similarities]
    numbers = [row, *neighbors.indices.tolist()]
    captions = [f"row {row + 1}", *similarities]
    _show_pictures(session, f"near {row} {dataset.fingerprint}", [query, *rows], numbers, captions, pick=True)
    table = {
        "row": [number + 1 for number in numbers[1:]],
        "name": [clean_name(own.name) for own in rows],
        "cosine": similarities,
        **{f"label: {column}": [printable(own.labels[column]) for own in rows] for column in dataset.label_columns},
    }
    st.dataframe(table, hide_index=True, width="stretch", key=f"table {row} {dataset.fingerprint}")


def show_download(dataset: VectorDataset, view: View) -> None:
    """The coordinates as CSV: of the rows drawn, and of all rows where they come from PCA."""
    st.subheader("Take them away", anchor=False)
    name = f"{Path(dataset.name).stem}_{view.result.method}"
    whole = len(view.rows) == len(dataset)
    with st.container(horizontal=True):
        st.download_button(
            f"Coordinates of {'all' if whole else 'the'} {len(view.rows):,} rows{'' if whole else ' drawn'}",
            lambda: drawn_csv(dataset, view),
            f"{name}.csv",
            "text/csv",
            on_click="ignore",
        )
        if view.result.method == "pca" and not whole and len(dataset) <= MOST_IN_CSV:
            st.download_button(
                f"Coordinates of all {len(dataset):,} rows",
                lambda: all_csv(dataset, view),
                f"{name}_all.csv",
                "text/csv",
                on_click="ignore",
            )
    if view.result.method == "pca" and len(dataset) > MOST_IN_CSV:
        st.caption(f"Those of all {len(dataset):,} rows come from the program below.")


def drawn_csv(dataset: VectorDataset, view: View) -> bytes:
    """The coordinates of the rows that are drawn: id, name, labels, x, y (and z)."""
    return _csv(dataset, view.result.coordinates, view.rows)


def all_csv(dataset: VectorDataset, view: View) -> bytes:
    """The PCA coordinates of all rows."""
    k = view.result.n_components
    parts = [view.pca.transform(batch.X)[:, :k] for batch in dataset.batches(texts=False)]
    return _csv(dataset, np.concatenate(parts), (row for batch in dataset.batches() for row in batch.rows))


def _csv(dataset: VectorDataset, coordinates: np.ndarray, rows: Iterable[Row]) -> bytes:
    file = io.BytesIO()
    write_coordinates(file, dataset.label_columns, rows, coordinates)
    return file.getvalue()


def _say_variance(dataset: VectorDataset, view: View) -> None:
    held = np.cumsum(view.pca.explained_variance_ratio)
    counts = sorted({k for k in (view.result.n_components, 10, len(held)) if k <= len(held)})
    shares = ", ".join(f"{k} hold {held[k - 1]:.0%}" for k in counts)
    st.markdown(f"PCA of **all {len(dataset):,} rows**: of the variance, the first {shares}.")


def _caption(dataset: VectorDataset, view: View) -> str:
    if len(view.rows) == len(dataset):
        drawn = f"All {len(dataset):,} rows are drawn."
    else:
        share = f", each label of “{plain(view.by)}” its share" if view.by else ""
        drawn = f"{len(view.rows):,} of {len(dataset):,} rows drawn at random (seed 0){share}."
    if view.result.method == "pca":
        return drawn
    return (
        f"{drawn} t-SNE of these rows after the PCA of all, perplexity {view.result.perplexity:g}, seed "
        f"{view.result.random_state}. Close means alike; the distances between groups and the axes mean nothing."
    )


def _picked(view: View, event: dict | None) -> list[int]:
    """Positions in the view of the points that the mouse has picked, each once."""
    points = event["selection"]["points"] if event else []
    ids = (point.get("customdata") for point in points)
    ids = (str(found[0] if isinstance(found, list | tuple) else found) for found in ids if found is not None)
    position = {str(number): i for i, number in enumerate(view.numbers.tolist())}
    return list(dict.fromkeys(position[own] for own in ids if own in position))


def _row_picker(session: Session, view: View, key: str) -> Callable[[], None]:
    def picked() -> None:
        positions = _picked(view, widget_value(key))
        if len(positions) == 1:
            session.row = int(view.numbers[positions[0]]) + 1

    return picked


def _show_picked(session: Session, view: View, positions: list[int]) -> None:
    if not positions:
        if session.dimensions == 3:
            st.info("A drag turns the plot. Hold the mouse over a point to see its row; click and lasso work in 2-D.")
        elif session.tool == "click":
            st.info("Click a point to see what it is, and its neighbours below.")
        else:
            st.info("Draw a lasso around points to see what they are.")
        return
    more = f", the first {PANEL} shown" if len(positions) > PANEL else ""
    st.markdown(f"**{len(positions):,} selected**{more}")
    shown = positions[:PANEL]
    rows = [view.rows[i] for i in shown]
    captions = [printable(row.labels[session.color]) if session.color else clean_name(row.name) for row in rows]
    _show_pictures(session, "selected", rows, view.numbers[shown].tolist(), captions)
    lines = [f"{view.numbers[i] + 1:,} · {clean_name(view.rows[i].name)}" for i in shown]
    st.text("\n".join(lines))


def _show_pictures(
    session: Session,
    key: str,
    rows: Sequence[Row],
    numbers: Sequence[int],
    captions: Sequence[str],
    *,
    pick: bool = False,
) -> None:
    """The pictures of rows where they are still on this machine, and why others are not shown."""
    if not serves_this_machine_alone():
        st.caption("Pictures are shown only where nobody but this machine can open the app.")
        return
    items, missing = dict[int, ImageItem](), list[str]()
    for i, row in enumerate(rows):
        try:
            items[i] = find_picture(row)
        except ImageError as error:
            missing.append(str(error))
    if items:
        thumbnail_row(
            key,
            list(items.values()),
            [numbers[i] for i in items],
            captions=[captions[i] for i in items],
            on_pick=(lambda number: setattr(session, "row", number + 1)) if pick else None,
            side=200 if len(rows) == 1 else 96,
        )
    if missing:
        more = f" And {len(missing) - FEW:,} more." if len(missing) > FEW else ""
        st.caption(f":material/hide_image: {plain(' '.join(missing[:FEW]))}{more}")


def find_picture(row: Row) -> ImageItem:
    """The image of a row, read from the file that the set names.

    Raises:
        ImageError: the file has gone, cannot be decoded, or is no longer the one that the vector was made from.
    """
    name = clean_name(row.name)
    if not row.path:
        raise ImageError(f"The set does not say where '{name}' is.")
    if row.path.startswith(("\\\\", "//")) or "\0" in row.path:
        raise ImageError(f"'{name}' is on another machine.")
    data = read_path(Path(row.path), name)
    if digest_bytes(data) != row.id:
        raise ImageError(f"'{name}' has changed since its vector was made.")
    item = ImageItem(row.id, name, {}, data)
    item.thumbnail(192)
    return item


@st.cache_data(show_spinner=False)
def _find(fingerprint: str, row: int, _dataset: VectorDataset, _task: Task) -> tuple[Row, Neighbors, list[Row]]:
    n = len(_dataset)
    if not 0 <= row < n:
        raise FeatlibError(f"Rows are numbered 1 to {n:,}. Received: {row + 1}.")
    with _task.running(at_once=True) as report:
        query = _dataset.take([row])
        batches = (batch.X for batch in _dataset.batches(texts=False))
        found = stream_neighbors(batches, query.X[0], without=row, n_neighbors=NEIGHBORS, total=n, on_progress=report)
        return query.rows[0], found, _dataset.take(found.indices).rows
