"""Parts of the projection page."""

from __future__ import annotations

import numpy as np
import streamlit as st

from featlib import plots
from featlib.analysis import Projection, perplexity_bounds
from featlib.errors import FeatlibError
from featlib.images import ImageSet
from featlib.models import Backbone, LayerInfo
from featlib.ui.compute import Batch, compute_projection, compute_vectors, neighbor_agreement
from featlib.ui.frame import error_boundary
from featlib.ui.session import Session, bind, widget_value
from featlib.ui.text import plain
from featlib.ui.widgets import thumbnail_row

METHODS = {"pca": "PCA", "tsne": "t-SNE"}
TOOLS = {"click": "click one", "lasso": "lasso many"}
PREDICTED = "predicted class"
MIN_IMAGES = 4  # t-SNE and a plane need at least this many points to say anything
PANEL = 24
MOST_COMPARED = 3000  # images; every one is compared with every other
PERPLEXITY_STEP = 0.5


def pick_projection(session: Session, backbone: Backbone, images: ImageSet) -> None:
    """Method, dimensions, perplexity, colour, and what the mouse does."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control(
            "Method", list(METHODS), format_func=lambda method: METHODS[method], required=True, **bind("method")
        )
        st.segmented_control("Dimensions", [2, 3], format_func=lambda n: f"{n}-D", required=True, **bind("dimensions"))
        if session.method == "tsne" and len(images) >= MIN_IMAGES:
            _pick_perplexity(session, images)
        columns = [*images.label_columns, *([PREDICTED] if backbone.prediction_layer else [])]
        if columns:
            if session.color not in columns:
                session.color = columns[0]
            st.selectbox("Colour", columns, width=180, **bind("color"))
        else:
            session.color = ""
        if session.dimensions == 2:
            st.segmented_control(
                "Mouse", list(TOOLS), format_func=lambda tool: TOOLS[tool], required=True, **bind("tool")
            )


def _pick_perplexity(session: Session, images: ImageSet) -> None:
    low, high = _perplexity_range(images)
    if low == high:  # a slider needs two ends
        st.caption(f"Perplexity {low:g}, the only one for {len(images):,} images.")
        return
    st.slider(
        f"Perplexity ({low:g} to {high:g} for {len(images):,} images)",
        low,
        high,
        step=PERPLEXITY_STEP,
        width=280,
        help="About how many neighbours each image tries to keep close.",
        **bind("perplexity", shown=perplexity_used(session, images)),
    )


def perplexity_used(session: Session, images: ImageSet) -> float:
    """The chosen perplexity, or the nearest one that so many images allow. The choice stays, for a larger set."""
    if len(images) < MIN_IMAGES:
        return session.perplexity
    return float(np.clip(session.perplexity, *_perplexity_range(images)))


def _perplexity_range(images: ImageSet) -> tuple[float, float]:
    low, high = perplexity_bounds(len(images))
    return low, high // PERPLEXITY_STEP * PERPLEXITY_STEP


def compute(
    session: Session, backbone: Backbone, images: ImageSet, layer: LayerInfo
) -> tuple[Batch, Projection, np.ndarray | None]:
    """The images with their vectors, their coordinates and what colours them.

    Raises:
        FeatlibError: there are too few images.
        Stopped: the person has stopped the work.
    """
    if len(images) < MIN_IMAGES:
        raise FeatlibError(
            f"A projection needs at least {MIN_IMAGES} images; this set has {len(images)}. "
            "Choose another set in the sidebar, or upload more on Home."
        )
    predicted = backbone.prediction_layer if session.color == PREDICTED else None
    layers = list(dict.fromkeys([layer.path, *([predicted] if predicted else [])]))
    found = compute_vectors(session, backbone, images, layers)
    perplexity = perplexity_used(session, found.images)
    result = compute_projection(session, found.vectors[layer.path], session.method, session.dimensions, perplexity)
    return found, result, _labels(session, backbone, found.images, found.vectors.get(predicted or ""))


def _labels(
    session: Session, backbone: Backbone, images: ImageSet, probabilities: np.ndarray | None
) -> np.ndarray | None:
    if probabilities is not None:
        return np.array([backbone.class_name(int(i)) for i in probabilities.argmax(axis=1)])
    return images.labels_for(session.color) if session.color in images.label_columns else None


def show_agreement(session: Session, X: np.ndarray, labels: np.ndarray | None) -> None:
    """How far like lies beside like before the projection, which can tear neighbours apart."""
    if session.images == "photos":
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(
                "Ten photos of ten things have nothing like them to lie beside. There are twelve views of each:"
            )
            st.button("Use the views", on_click=setattr, args=(session, "images", "views"))
    if labels is None or len(X) > MOST_COMPARED or not 1 < len(set(labels)) < len(labels):
        return
    right = neighbor_agreement(X, labels)
    st.markdown(
        f"Before projecting, in all {X.shape[1]:,} dimensions, **{right:.0%}** of the images have the same "
        f"{plain(session.color)} as most of their 5 nearest."
    )


@st.fragment
def show_projection(session: Session, images: ImageSet, result: Projection, labels: np.ndarray | None) -> None:
    """The scatter, and the pictures of the points that are picked."""
    with error_boundary(session):  # a fragment runs again without its page
        _show_plot_and_panel(session, images, result, labels)


def _show_plot_and_panel(session: Session, images: ImageSet, result: Projection, labels: np.ndarray | None) -> None:
    flat = session.dimensions == 2
    key = f"scatter {session.method} {session.dimensions} {session.tool} {session.layer} {images.fingerprint}"
    plot, panel = st.columns([2.2, 1], gap="medium")
    with panel:
        rows = _rows_of_points(images, widget_value(key)) if flat else _pick_from_list(images)
        _show_selected(session, images, rows, labels)
    with plot:
        st.plotly_chart(
            plots.projection_scatter(
                result,
                ids=images.ids,
                names=images.names if flat else [_title(images, i) for i in range(len(images))],
                labels=labels,
                label_title=session.color or "label",
                mode=session.tool,
            ),
            key=key,
            on_select="rerun" if flat else "ignore",
            selection_mode=("points",) if session.tool == "click" else ("points", "box", "lasso"),
            alt=f"{METHODS[session.method]} of {len(images):,} images in {session.dimensions} dimensions, "
            f"from {session.layer}, coloured by {session.color or 'nothing'}.",
        )
        _caption(result)


def _rows_of_points(images: ImageSet, event: dict | None) -> list[int]:
    """The images whose points the mouse has picked, each once."""
    points = event["selection"]["points"] if event else []
    ids = (point.get("customdata") for point in points)
    ids = (found[0] if isinstance(found, list | tuple) else found for found in ids if found)
    position = {image_id: i for i, image_id in enumerate(images.ids)}
    return list(dict.fromkeys(position[image_id] for image_id in ids if image_id in position))


def _pick_from_list(images: ImageSet) -> list[int]:
    """Picks from a list: Plotly has no selection in 3-D, and Streamlit does not pass on the click."""
    row = st.selectbox(
        "Picture of a point",
        range(len(images)),
        index=None,
        format_func=lambda i: _title(images, i),
        placeholder="number or name",
        help="Hold the mouse over a point to see its number and name. Click and lasso work in 2-D.",
        key=f"one of {images.fingerprint}",
    )
    return [] if row is None else [row]


def _title(images: ImageSet, row: int) -> str:
    return f"{row + 1} · {images.names[row]}"


def _show_selected(session: Session, images: ImageSet, rows: list[int], labels: np.ndarray | None) -> None:
    if not rows:
        if session.dimensions == 3:
            st.info("A drag turns the plot. Hold the mouse over a point: its number and name lead to its picture here.")
        elif session.tool == "click":
            st.info("Click a point to see its picture here.")
        else:
            st.info("Draw a lasso around points to see their pictures here.")
        return
    st.markdown(f"**{len(rows):,} selected**" + (f", the first {PANEL} shown" if len(rows) > PANEL else ""))
    shown = rows[:PANEL]
    thumbnail_row(
        "selected",
        images[shown],
        shown,
        captions=[str(labels[i]) if labels is not None else images.names[i] for i in shown],
        side=200 if len(shown) == 1 else 96,
    )


def _caption(result: Projection) -> None:
    if result.explained_variance_ratio is not None:
        share = result.explained_variance_ratio.sum()
        st.caption(f"The axes together hold {share:.0%} of the variance of the vectors. PCA is exact and repeatable.")
    else:
        st.caption(
            f"Perplexity {result.perplexity:g}, seed {result.random_state}. Close means alike; the distances between "
            "groups and the axes mean nothing."
        )
