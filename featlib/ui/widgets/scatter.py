"""A projection as a scatter plot: its settings, the points, and a panel for the points that are picked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from featlib import plots
from featlib.analysis import Projection, perplexity_bounds
from featlib.ui.session import Session, bind, widget_value
from featlib.ui.widgets.charts import PickedPoints, show_chart

METHODS = {"pca": "PCA", "tsne": "t-SNE"}
TOOLS = {"click": "click one", "lasso": "lasso many"}
MIN_POINTS = 4  # t-SNE and a plane need at least this many points to say anything
MAX_SHOWN = 24  # pictures in the panel
PERPLEXITY_STEP = 0.5


@dataclass(frozen=True, eq=False)
class Points:
    """The points of a scatter plot.

    Attributes:
        result: Their coordinates.
        ids: (n,) what tells the points apart.
        names: (n,) shown on hover.
        labels: (n,) categories for the colors; None for one color.
        label_title: What the labels are; empty for none.
        description: What they are, for the alternative text.
    """

    result: Projection
    ids: Sequence[str]
    names: Sequence[str]
    labels: Sequence[object] | np.ndarray | None
    label_title: str
    description: str


def resolve_color(session: Session, columns: Sequence[str]) -> str:
    """Return the label column that colors the points: the chosen one, else the first; empty if there is none."""
    if session.color in columns:
        return session.color
    shown = columns[0] if columns else ""
    if session.color:
        session.report("color", shown or "one color")
    return shown


def pick_projection(session: Session, n_points: int, columns: Sequence[str], unit: str = "images") -> None:
    """Show method, dimensions, perplexity, color, and what the mouse does."""
    st.segmented_control("Method", list(METHODS), format_func=METHODS.__getitem__, required=True, **bind("method"))
    st.segmented_control("Dimensions", [2, 3], format_func=lambda n: f"{n}-D", required=True, **bind("dimensions"))
    if session.method == "tsne" and n_points >= MIN_POINTS:
        low, high = _perplexity_range(n_points)
        if low == high:  # a slider needs two ends
            st.caption(f"Perplexity {low:g}, the only one for {n_points:,} {unit}.")
        else:
            st.slider(
                f"Perplexity ({low:g} to {high:g})",
                low,
                high,
                step=PERPLEXITY_STEP,
                width=210,
                help=f"About how many neighbors each point tries to stay close to. {n_points:,} {unit} allow {high:g}.",
                **bind("perplexity", shown=bounded_perplexity(session, n_points)),
            )
    if columns:
        shown = session.color if session.color in columns else columns[0]
        st.selectbox("Color", columns, width=150, **bind("color", shown=shown))
    if session.dimensions == 2:
        st.segmented_control("Mouse", list(TOOLS), format_func=TOOLS.__getitem__, required=True, **bind("tool"))


def bounded_perplexity(session: Session, n_points: int) -> float:
    """Return the perplexity nearest to the chosen one that so many points allow; the choice stays for a larger set."""
    if n_points < MIN_POINTS:
        return session.perplexity
    shown = float(np.clip(session.perplexity, *_perplexity_range(n_points)))
    if shown != session.perplexity:
        session.report("perplexity", f"{shown:g}")
    return shown


def _perplexity_range(n_points: int) -> tuple[float, float]:
    low, high = perplexity_bounds(n_points)
    return low, high // PERPLEXITY_STEP * PERPLEXITY_STEP


def show_scatter(
    session: Session,
    points: Points,
    key: str,
    show_picked: Callable[[list[int]], None],
    *,
    pick_in_3d: Callable[[], list[int]] = list,
    hint_in_3d: str,
    on_pick: Callable[[list[int]], None] | None = None,
) -> None:
    """Draw points, and beside them the ones that are picked.

    Args:
        session: The choices.
        points: The points.
        key: Tells the set of points from all others.
        show_picked: Called with the positions of at most 24 picked points, in the panel.
        pick_in_3d: Shows another way to pick in the panel and returns positions: Plotly has no selection in 3-D, and
            Streamlit does not pass on clicks.
        hint_in_3d: What to do while nothing is picked in 3-D.
        on_pick: Called with the positions of the picked points before the page runs again.
    """
    flat = session.dimensions == 2
    key = f"scatter {session.method} {session.dimensions} {session.tool} {key}"

    def picked() -> list[int]:
        event = widget_value(key)
        return picked_positions(points.ids, event["selection"]["points"] if event else [])

    plot, panel = st.container(key="plot").columns([2.2, 1], gap="medium")
    with panel:
        positions = picked() if flat else pick_in_3d()
        if positions:
            more = f", the first {MAX_SHOWN} shown" if len(positions) > MAX_SHOWN else ""
            st.markdown(f"**{len(positions):,} selected**{more}")
            show_picked(positions[:MAX_SHOWN])
        elif flat and session.tool == "click":
            st.info("Click a point to see its picture here.")
        else:
            st.info("Draw a lasso around points to see their pictures here." if flat else hint_in_3d)
    with plot.container(key="canvas", height=560, border=False):
        show_chart(
            plots.projection_scatter(
                points.result,
                ids=points.ids,
                names=points.names,
                labels=points.labels,
                label_title=points.label_title or "label",
                mode=session.tool,
            ),
            key=key,
            on_select=("rerun" if on_pick is None else lambda _: on_pick(picked())) if flat else None,
            selection=("points",) if session.tool == "click" else ("points", "box", "lasso"),
            alt=f"{METHODS[session.method]} of {points.description} in {session.dimensions} dimensions, "
            f"colored by {points.label_title or 'nothing'}.",
            name=f"{METHODS[session.method]} of {points.description}",
            height="stretch",
        )


def picked_positions(ids: Sequence[str], points: PickedPoints) -> list[int]:
    """Return the positions of picked points in `ids`, each once."""
    picked = [str(np.ravel(point["customdata"])[0]) for point in points if point.get("customdata") is not None]
    position = {point_id: i for i, point_id in enumerate(ids)}
    return list(dict.fromkeys(position[own] for own in picked if own in position))


def tsne_note(result: Projection) -> str:
    """Say how a t-SNE was computed and how to read it."""
    return (
        f"Perplexity {result.perplexity:g}, seed {result.random_state}. Nearby points are similar; the distances "
        "between groups and the axes mean nothing."
    )
