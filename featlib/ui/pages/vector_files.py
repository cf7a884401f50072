"""Parts of the page for sets of vectors: opening one, and what is computed from it in pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st

from featlib.analysis import Projection, StreamedPCA, fit_pca, perplexity_bounds
from featlib.errors import FeatlibError
from featlib.features.files import Row, VectorDataset, files_fingerprint, open_vectors, sample_rows
from featlib.images.read import exists, to_path
from featlib.images.sources.names import clean_name
from featlib.text import format_bytes, printable
from featlib.ui.compute import NotYetError, Task, compute_projection
from featlib.ui.pages.projection import METHODS, MIN_IMAGES, PERPLEXITY_STEP, TOOLS
from featlib.ui.session import Session, bind
from featlib.ui.text import plain

LOCAL = ("localhost", "127.0.0.1", "::1")
SIZES = (500, 1000, 2000, 5000, 10_000)
AXES = 50  # what t-SNE begins from
FEW = 8
PROBLEMS_HEIGHT = 220  # pixels; more of them are scrolled
POOLINGS = {"avg": "average pooling", "max": "maximum pooling", "flatten": "flattened", "none": "as it comes"}


@dataclass(frozen=True, eq=False)
class View:
    """What is drawn of a set.

    Attributes:
        pca: of all rows.
        numbers: (m,) which rows are drawn.
        rows: m images.
        result: their coordinates.
        by: the label column of which each label has its share; None where the rows are drawn regardless.
    """

    pca: StreamedPCA
    numbers: np.ndarray
    rows: list[Row]
    result: Projection
    by: str | None


def serves_this_machine_alone() -> bool:
    """Whether nobody else can open the app: else a path would let strangers look at files of this machine."""
    return st.get_option("server.address") in LOCAL


def choose_vectors(session: Session) -> VectorDataset | None:
    """Asks for a file or folder on this machine, or an upload; None while there is none.

    Raises:
        FeatlibError: what is given holds no featlib vectors.
    """
    local = serves_this_machine_alone()
    if local:
        st.text_input(
            "A .parquet file, or a folder of part-*.parquet, on this machine",
            placeholder="/data/vectors.parquet",
            **bind("file"),
        )
        with st.expander("Or upload a .parquet file", expanded=False):
            _take_upload(session)
    else:
        _take_upload(session)
    if local and session.file.strip():
        return _open(session.file)
    if session.file.strip():
        st.info("The link names a file on the server's machine; others than its owner can only upload a file.")
    uploaded = own_vectors()
    if uploaded:
        return uploaded[0]
    st.info("There is no set yet. One is written by: `featlib extract photos/ -o vectors.parquet`")
    return None


@st.cache_resource(scope="session", show_spinner=False)
def own_vectors() -> list[VectorDataset]:
    """Where the set that a person has uploaded lives until the session ends."""
    return []


def program_path(session: Session) -> str | None:
    """The path that the page's program opens; None for an upload."""
    return _written_path(session.file) or None if serves_this_machine_alone() else None


def show_facts(dataset: VectorDataset) -> None:
    """Where the vectors come from, how many there are, and what could not be read."""
    origin = dataset.origin
    pooling = POOLINGS.get(origin.pooling, origin.pooling)
    labels = f"Labels: {_listed(dataset.label_columns)}." if dataset.label_columns else "Without labels."
    st.markdown(
        f"**{plain(printable(dataset.name))}**: {_listed(origin.layers, ' + ')} of {_listed([origin.model])}, "
        f"{_listed([pooling])}. {labels}"
    )
    facts = st.columns(4)
    facts[0].metric("Rows", f"{len(dataset):,}", help="One image each.")
    facts[1].metric("Dimensions", f"{dataset.width:,}")
    facts[2].metric("Size", format_bytes(4 * len(dataset) * dataset.width), help="What all rows would take in memory.")
    facts[3].metric("Could not be read", f"{dataset.problem_count:,}", help="Images without a vector.")
    if dataset.problem_count:
        with st.expander(f"Why {dataset.problem_count:,} images could not be read"):
            height = PROBLEMS_HEIGHT if len(dataset.problems) > FEW else "content"
            with st.container(height=height, border=False):  # type: ignore[arg-type]
                st.text("\n".join(_reason(problem.name, problem.reason) for problem in dataset.problems))
            if dataset.problem_count > len(dataset.problems):
                st.caption(f"The first {len(dataset.problems):,}.")


def pick_view(session: Session, dataset: VectorDataset) -> None:
    """Method, dimensions, how many rows are drawn, perplexity, colour, and what the mouse does."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control("Method", list(METHODS), format_func=METHODS.__getitem__, required=True, **bind("method"))
        st.segmented_control("Dimensions", [2, 3], format_func=lambda n: f"{n}-D", required=True, **bind("dimensions"))
        if len(dataset) > SIZES[0]:
            st.selectbox(
                "Rows drawn",
                _sizes(dataset),
                format_func=lambda n: f"all {n:,}" if n == len(dataset) else f"{n:,} of {len(dataset):,}",
                width=200,
                help="PCA is computed on all rows in any case.",
                **bind("drawn", shown=drawn_rows(session, dataset)),
            )
        if session.method == "tsne" and drawn_rows(session, dataset) >= MIN_IMAGES:
            _pick_perplexity(session, drawn_rows(session, dataset))
        _pick_color(session, dataset)
        if session.dimensions == 2:
            st.segmented_control("Mouse", list(TOOLS), format_func=TOOLS.__getitem__, required=True, **bind("tool"))


def drawn_rows(session: Session, dataset: VectorDataset) -> int:
    """How many rows are drawn: the chosen number, or the nearest one that is offered."""
    return min(_sizes(dataset), key=lambda size: abs(size - session.drawn))


def compute(session: Session, dataset: VectorDataset) -> View:
    """PCA of all rows, and what is drawn.

    Raises:
        FeatlibError: there are too few rows or columns, or the files are damaged.
        Stopped: the person has stopped the work.
    """
    if len(dataset) < MIN_IMAGES or dataset.width < session.dimensions:
        raise FeatlibError(
            f"A projection to {session.dimensions} dimensions needs at least {MIN_IMAGES} rows of that many numbers; "
            f"this set has {len(dataset):,} of {dataset.width:,}. Extract more images, or another layer."
        )
    key = dataset.fingerprint
    pca = _pca(key, dataset, Task(session, f"pca {key}", "PCA", unit="rows"))
    most, by = drawn_rows(session, dataset), dataset.label_columns[0] if dataset.label_columns else None
    task = Task(session, f"sample {key} {most}", f"Reading {most:,} rows", unit="rows")
    numbers, rows, coordinates = _sample(key, most, by, dataset, pca, task)
    return View(pca, numbers, rows, _project(session, pca, coordinates), by)


@st.cache_data(show_spinner=False)
def _pca(fingerprint: str, _dataset: VectorDataset, _task: Task) -> StreamedPCA:
    n = len(_dataset)
    with _task.running(at_once=True) as report:
        batches = (batch.X for batch in _dataset.batches(texts=False))
        return fit_pca(batches, AXES, total=n, on_progress=report)


@st.cache_data(show_spinner=False)
def _sample(
    fingerprint: str, most: int, by: str | None, _dataset: VectorDataset, _pca: StreamedPCA, _task: Task
) -> tuple[np.ndarray, list[Row], np.ndarray]:
    with _task.running(at_once=True) as report:
        numbers = sample_rows(_dataset, most, by)
        taken = _dataset.take(numbers, on_progress=report)
        return numbers, taken.rows, _pca.transform(taken.X)


def _open(given: str) -> VectorDataset:
    path = Path(_written_path(given))
    if str(path).startswith(("\\\\", "//")):  # on Windows, a link must not make it send the person's password hash
        raise FeatlibError(f"'{path}' is on another machine. Copy the set to this one, or connect it as a drive.")
    if not exists(path):
        raise NotYetError(f"There is no file or folder '{path}' on this machine.")
    return _opened(files_fingerprint(path), path)


@st.cache_resource(max_entries=8, show_spinner="Looking into it …")
def _opened(fingerprint: str, _path: Path) -> VectorDataset:
    return open_vectors(_path)


def _written_path(text: str) -> str:
    """The path that a person means: file managers copy it with quotes."""
    bare = text.strip().strip("\"'")
    return str(to_path(bare)) if bare else ""


def _take_upload(session: Session) -> None:
    """Opens what the widget holds, once."""
    file = st.file_uploader("A .parquet file of vectors", type=["parquet"], key="vector file")
    if file is None or session.taken.get("vectors") == file.file_id:
        return
    session.taken["vectors"] = file.file_id
    own_vectors().clear()
    own_vectors().append(open_vectors(file.getvalue(), clean_name(file.name)))
    session.choose("file", "")
    session.row = 0
    st.rerun()


def _sizes(dataset: VectorDataset) -> list[int]:
    fewer = [size for size in SIZES if size < len(dataset)]
    return [*fewer, len(dataset)] if len(dataset) <= SIZES[-1] else fewer


def _pick_perplexity(session: Session, n: int) -> None:
    low, high = _perplexity_range(n)
    if low == high:  # a slider needs two ends
        st.caption(f"Perplexity {low:g}, the only one for {n:,} rows.")
        return
    shown = float(np.clip(session.perplexity, low, high))
    st.slider(
        f"Perplexity ({low:g} to {high:g})",
        low,
        high,
        step=PERPLEXITY_STEP,
        width=240,
        help="About how many neighbours each row tries to keep close.",
        **bind("perplexity", shown=shown),
    )


def _perplexity_range(n: int) -> tuple[float, float]:
    low, high = perplexity_bounds(n)
    return low, high // PERPLEXITY_STEP * PERPLEXITY_STEP


def _pick_color(session: Session, dataset: VectorDataset) -> None:
    if not dataset.label_columns:
        session.color = ""
        return
    if session.color not in dataset.label_columns:
        session.color = dataset.label_columns[0]
    st.selectbox("Colour", dataset.label_columns, width=160, **bind("color"))


def _project(session: Session, pca: StreamedPCA, coordinates: np.ndarray) -> Projection:
    k = session.dimensions
    if session.method == "tsne":
        perplexity = float(np.clip(session.perplexity, *_perplexity_range(len(coordinates))))
        return compute_projection(session, coordinates, "tsne", k, perplexity)
    ratios = pca.explained_variance_ratio[:k]
    return Projection(coordinates[:, :k], "pca", k, ratios, None, None, 0)


def _listed(names: Sequence[str], between: str = ", ") -> str:
    """Names out of a file, as they are, and not too many."""
    more = f" and {len(names) - FEW:,} more" if len(names) > FEW else ""
    return plain(between.join(printable(name) for name in names[:FEW])) + more


def _reason(name: str, reason: str) -> str:
    """A reason that says which image it is about."""
    shown = printable(clean_name(name))
    return printable(reason) if shown in reason else f"'{shown}': {printable(reason)}"
