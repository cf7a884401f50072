"""Parts of the home page: a first projection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from featlib import plots
from featlib.images import ImageSet, load_samples
from featlib.models import Backbone
from featlib.ui.compute import compute_projection, compute_vectors, neighbor_agreement, warn_skipped
from featlib.ui.session import Session
from featlib.ui.text import code, plain
from featlib.ui.widgets import (
    MIN_POINTS,
    PickedPoints,
    bounded_perplexity,
    choose_image,
    pick_part,
    picked_positions,
    sample_column,
    show_chart,
)

VIEWS_PERPLEXITY = 10.0


@dataclass(frozen=True, eq=False)
class Overview:
    """Many images to project from two layers.

    Attributes:
        whole: The set that they are from.
        images: The images.
        column: The label column that colors them; empty for none.
        perplexity: Of t-SNE.
        is_own: Whether they are the user's own, not the built-in views.
        limit: The size of the sample that they are; None for all images.
    """

    whole: ImageSet
    images: ImageSet
    column: str
    perplexity: float
    is_own: bool
    limit: int | None = None


def pick_overview(session: Session, images: ImageSet) -> Overview:
    """Return the user's own images, or the built-in views where they have chosen a built-in set or too few images."""
    if not session.has_own_images or len(images) < MIN_POINTS:
        views = load_samples("views")
        return Overview(views, views, "photo", VIEWS_PERPLEXITY, is_own=False)
    part = pick_part(session, images)
    limit = len(part) if len(part) < len(images) else None
    perplexity = bounded_perplexity(session, len(part))
    return Overview(images, part, sample_column(images) or "", perplexity, is_own=True, limit=limit)


def describe_overview(backbone: Backbone, overview: Overview) -> str:
    """Say what the points are, and what to look for."""
    if overview.is_own:
        colored = f", colored by {plain(overview.column)}" if overview.column else ""
        return (
            f"{len(overview.images):,} of your images, one point each{colored}: the layer above, and the one that "
            "transfer learning usually starts from. Similar images should lie together."
        )
    views = "Twelve views of each built-in photo, one point per view: cropped, mirrored, darker, gray. "
    if backbone.weights == "imagenet":
        return f"{views}In this trained network deeper layers keep the views of one photo closer together."
    if backbone.weights == "random":
        return f"{views}These weights are random: compare with ImageNet weights, in the network settings."
    return f"{views}Does your network keep the views of one photo together?"


def show_overview(session: Session, backbone: Backbone, overview: Overview, layers: Sequence[str]) -> None:
    """Show a projection of the images from each of the layers, and how many have neighbors of their label.

    A click on a point chooses its image.
    """
    batch = compute_vectors(session, backbone, overview.images, layers)
    warn_skipped(batch.skipped)
    images, title = batch.images, overview.column
    labels = images.labels_for(title) if title else None
    results = {
        path: compute_projection(session, X, "tsne", 2, overview.perplexity) for path, X in batch.vectors.items()
    }

    def pick(points: PickedPoints) -> None:
        for position in picked_positions(overview.whole.ids, points)[:1]:
            choose_image(position, "" if overview.is_own else overview.whole.name)

    for column, (path, result) in zip(st.columns(len(results)), results.items(), strict=True):
        text = f"**{code(path)}**"
        if labels is not None and 1 < len(set(labels)) < len(labels):
            text += f" · 5-nearest-neighbor accuracy: **{neighbor_agreement(batch.vectors[path], labels):.0%}**"
        column.markdown(text)
        figure = plots.projection_scatter(
            result, ids=images.ids, names=images.names, labels=labels, label_title=title or "label", height=420
        )
        what = f"{len(images):,} images" if overview.is_own else "12 views of each photo"
        colored = f", colored by {title}" if title else ""
        with column:
            alt = f"t-SNE of {what} from {path}{colored}. A click on a point chooses its image."
            name = f"t-SNE of {what} from {path}"
            show_chart(figure, key=f"overview {path}", alt=alt, name=name, on_select=pick)
