"""Curves over the depth of a network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from featlib.errors import FeatlibError
from featlib.plots.colors import ACCENT, HIGHLIGHT, NEUTRAL
from featlib.plots.layout import check_lengths, new_figure, safe, shortened

NAME_LENGTH = 18  # letters below the axis; hovering tells the whole name
APART = 0.06  # of the axis, so that the words beside two lines do not touch


def accuracy_curve(
    layers: Sequence[str],
    means: Sequence[float] | np.ndarray,
    stds: Sequence[float] | np.ndarray,
    *,
    notes: Sequence[str] | None = None,
    baselines: Sequence[tuple[str, float]] = (),
    chosen: str | None = None,
    height: int = 420,
) -> go.Figure:
    """Draw accuracy over depth: one point a layer with an error bar, and baselines as lines across.

    Args:
        layers: L layer paths, the first on the left; each point carries its path in `customdata`.
        means: (L,) accuracies, 0..1.
        stds: (L,) standard deviations over the folds.
        notes: A second line below each layer's name, such as its shape.
        baselines: (name, accuracy) pairs.
        chosen: Layer to mark, or None.
        height: Height in pixels.

    Raises:
        FeatlibError: If there are no layers, or not one mean, deviation and note for each.
    """
    count = check_lengths(layers=layers, means=means, stds=stds, notes=notes)
    if not count:
        raise FeatlibError("Received no layers; at least one is needed for a curve.")
    figure = new_figure([_curve(layers, np.asarray(means), np.asarray(stds), chosen)], height=height)
    _draw_baselines(figure, baselines)
    names = [shortened(layer.rpartition("/")[2], NAME_LENGTH) for layer in layers]
    lines = [f"{name}<br>{safe(note)}" for name, note in zip(names, notes, strict=True)] if notes else names
    figure.update_xaxes(
        tickmode="array", tickvals=list(range(count)), ticktext=lines, range=[-0.5, count - 0.5], showgrid=False
    )
    figure.update_yaxes(range=[0, 1.05], tickformat=".0%", title="accuracy on held-out images")
    figure.update_layout(dragmode="pan")  # with a tool that draws, a click would pick nothing
    return figure


def _draw_baselines(figure: go.Figure, baselines: Sequence[tuple[str, float]]) -> None:
    """Draws lines across, the lowest first, and names them on the right, where no point can lie."""
    lowest = 0.0
    for name, accuracy in sorted(baselines, key=lambda baseline: baseline[1]):
        figure.add_hline(accuracy, line={"color": NEUTRAL, "width": 1.5, "dash": "dash"})
        place = max(accuracy, lowest)
        lowest = place + APART
        text = f"{safe(name)} {accuracy:.0%}"
        figure.add_annotation(x=1, xref="paper", xanchor="left", xshift=6, y=place, text=text, showarrow=False)
    if baselines:
        figure.update_layout(margin_r=8 + 7 * max(len(name) + 5 for name, _ in baselines))


def _curve(layers: Sequence[str], means: np.ndarray, stds: np.ndarray, chosen: str | None) -> go.Scatter:
    marked = [layer == chosen for layer in layers]
    return go.Scatter(
        x=list(range(len(layers))),
        y=means,
        error_y={"type": "data", "array": stds, "color": NEUTRAL, "thickness": 1.5, "width": 5},
        mode="lines+markers",
        line={"color": ACCENT, "width": 2.5},
        marker={
            "size": [15 if mark else 11 for mark in marked],
            "color": [HIGHLIGHT if mark else ACCENT for mark in marked],
            "opacity": 1,
        },
        customdata=list(layers),
        text=[
            f"{safe(layer)}: {m * 100:.1f} ± {s * 100:.1f}%" for layer, m, s in zip(layers, means, stds, strict=True)
        ],
        hovertemplate="%{text}<extra></extra>",
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 1}},
    )
