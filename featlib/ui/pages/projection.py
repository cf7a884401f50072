"""Parts of the projection page."""

from __future__ import annotations

import numpy as np
import streamlit as st

from featlib.analysis import Projection
from featlib.errors import FeatlibError
from featlib.images import ImageSet
from featlib.models import Backbone, LayerInfo
from featlib.ui.compute import Batch, compute_projection, compute_vectors, neighbor_agreement
from featlib.ui.frame import error_boundary
from featlib.ui.session import Session, choose
from featlib.ui.text import plain
from featlib.ui.widgets import MIN_POINTS, Points, bounded_perplexity, gallery, show_scatter, tsne_note

PREDICTED = "predicted class"
MAX_COMPARED = 3000  # images; every one is compared with every other
AXES = {2: "The two axes explain", 3: "The three axes explain"}


def color_columns(backbone: Backbone, images: ImageSet) -> list[str]:
    """Return what the points can be colored by."""
    return [*images.label_columns, *([PREDICTED] if backbone.prediction_layer else [])]


def compute(
    session: Session, backbone: Backbone, images: ImageSet, layer: LayerInfo, color: str
) -> tuple[Batch, Projection, np.ndarray | None]:
    """Return the images with their vectors, their coordinates and the labels of `color`.

    Raises:
        FeatlibError: If there are too few images.
        Stopped: If the user has stopped this computation.
    """
    if len(images) < MIN_POINTS:
        raise FeatlibError(
            f"A projection needs at least {MIN_POINTS} images; this set has {len(images)}. "
            "Choose another set in the sidebar, or upload more on Home."
        )
    predicted = backbone.prediction_layer if color == PREDICTED else None
    layers = list(dict.fromkeys([layer.path, *([predicted] if predicted else [])]))
    batch = compute_vectors(session, backbone, images, layers)
    images = batch.images
    perplexity = bounded_perplexity(session, len(images))
    X = batch.vectors[layer.path]
    result = compute_projection(session, X, session.method, session.dimensions, perplexity)
    if predicted:
        classes = batch.vectors[predicted].argmax(axis=1)
        return batch, result, np.array([backbone.class_name(int(i)) for i in classes])
    return batch, result, images.labels_for(color) if color else None


def show_agreement(session: Session, X: np.ndarray, labels: np.ndarray | None, color: str) -> None:
    """Show how many images share the label of their neighbors before the projection, which can separate neighbors."""
    if session.images == "photos":
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown("Ten different photos have no near neighbors. There are twelve views of each:")
            st.button("Use the views", on_click=choose, args=("images", "views"))
    if labels is None or len(X) > MAX_COMPARED or not 1 < len(set(labels)) < len(labels):
        return
    st.markdown(
        f"In the full {X.shape[1]:,}-D space, **{neighbor_agreement(X, labels):.0%}** of the images share the "
        f"{plain(color)} of most of their 5 nearest neighbors."
    )


@st.fragment
def show_projection(
    session: Session,
    positions: list[int],
    images: ImageSet,
    result: Projection,
    labels: np.ndarray | None,
    color: str,
    chosen: int,
) -> None:
    """Show the scatter plot and the pictures of the picked points.

    Args:
        session: The choices.
        positions: (n,) where the images stand in the whole set.
        images: n images.
        result: Their coordinates.
        labels: (n,) what colors them, or None.
        color: What the labels are.
        chosen: The chosen image when the page was drawn.
    """
    if session.image != chosen:
        st.rerun()  # the links of the page, outside of this fragment, lead to the chosen image
    titles = [f"{i + 1} · {name}" for i, name in enumerate(images.names)]
    flat = result.n_components == 2
    description = f"{len(images):,} images from {session.layer}"
    points = Points(result, images.ids, images.names if flat else titles, labels, color, description)

    def pick_in_3d() -> list[int]:
        row = st.selectbox(
            "Show picture",
            range(len(images)),
            index=None,
            format_func=lambda i: titles[i],
            placeholder="number or name",
            help="Hover over a point to see its number and name. Click and lasso work in 2-D.",
            key=f"one of {images.fingerprint}",
        )
        return [] if row is None else [row]

    def show_picked(rows: list[int]) -> None:
        notes = ["" if labels is None else str(labels[i]) for i in rows]
        side = 200 if len(rows) == 1 else 96
        gallery("selected", images[rows], [positions[i] for i in rows], notes=notes, side=side, link=True)

    with error_boundary(session):  # a fragment runs again without its page
        show_scatter(
            session,
            points,
            f"{session.layer} {images.fingerprint}",
            show_picked,
            pick_in_3d=pick_in_3d,
            hint_in_3d="Drag to rotate. Hover over a point for its number, then pick it here to see the picture.",
        )
        if result.explained_variance_ratio is None:
            st.caption(tsne_note(result))
        else:
            share = result.explained_variance_ratio.sum()
            st.caption(f"{AXES[result.n_components]} {share:.0%} of the variance. PCA is exact and repeatable.")
