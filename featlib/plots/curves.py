"""Curves over the depth of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from featlib.checks import finite_number, instance, sequence, shown
from featlib.errors import FeatlibError
from featlib.plots.checks import checked_numbers, checked_texts
from featlib.plots.colors import ACCENT, CATEGORY_COLORS, HIGHLIGHT, NEUTRAL
from featlib.plots.layout import check_lengths, format_accuracy, new_figure, safe, shortened

SECOND = CATEGORY_COLORS[2]
NAME_LENGTH = 18  # letters below the axis; the hover text has the whole name
LABEL_DISTANCE = 0.06  # of the axis, so that the labels of two baselines do not overlap


def accuracy_curve(
    layers: Sequence[str],
    means: Sequence[float] | np.ndarray,
    stds: Sequence[float] | np.ndarray,
    *,
    notes: Sequence[str] | None = None,
    baselines: Sequence[tuple[str, float]] = (),
    chosen: str | None = None,
    name: str = "",
    height: int = 420,
) -> go.Figure:
    """Draw accuracy over depth: one point with an error bar per layer, and baselines as horizontal lines.

    `add_accuracy_curve` adds another network.

    Args:
        layers: L layer paths, the first on the left; each point has its path as `customdata`.
        means: (L,) accuracies, 0..1.
        stds: (L,) standard deviations over the folds.
        notes: A second line below each layer's name, such as its shape.
        baselines: (name, accuracy) pairs.
        chosen: Layer to mark, or None.
        name: The network's, for the legend.
        height: Height in pixels.

    Raises:
        FeatlibError: If there are no layers, or the columns differ in length.
    """
    layers, means, stds = _checked_columns(layers, means, stds)
    count = check_lengths(layers=layers, **({} if notes is None else {"notes": notes}))
    if not count:
        raise FeatlibError("Received no layers; at least one is needed for a curve.")
    instance("chosen", chosen, (str, type(None)), "a layer path or None")
    instance("name", name, str, "a text")
    curve = go.Scatter(
        name=safe(name),
        x=list(range(count)),
        y=np.asarray(means),
        error_y={"type": "data", "array": np.asarray(stds), "color": NEUTRAL, "thickness": 1.5, "width": 5},
        mode="lines+markers",
        line={"color": ACCENT, "width": 2.5},
        marker={
            "size": [15 if layer == chosen else 11 for layer in layers],
            "color": [HIGHLIGHT if layer == chosen else ACCENT for layer in layers],
            "opacity": 1,
        },
        customdata=list(layers),
        text=[f"{safe(layer)}: {format_accuracy(m, s)}" for layer, m, s in zip(layers, means, stds, strict=True)],
        hovertemplate="%{text}<extra></extra>",
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 1}},
    )
    figure = new_figure([curve], height=height)
    _draw_baselines(figure, baselines)
    names = [shortened(layer.rpartition("/")[2], NAME_LENGTH) for layer in layers]
    lines = [f"{name}<br>{safe(note)}" for name, note in zip(names, notes, strict=True)] if notes is not None else names
    figure.update_xaxes(
        tickmode="array", tickvals=list(range(count)), ticktext=lines, range=[-0.5, count - 0.5], showgrid=False
    )
    figure.update_yaxes(range=[0, 1.05], tickformat=".0%", title="accuracy on held-out images")
    figure.update_layout(dragmode="pan")  # with a drawing tool active, a click selects nothing
    figure.update_xaxes(fixedrange=True)
    figure.update_yaxes(fixedrange=True)
    return figure


def add_accuracy_curve(
    figure: go.Figure,
    layers: Sequence[str],
    means: Sequence[float] | np.ndarray,
    stds: Sequence[float] | np.ndarray,
    *,
    name: str,
) -> None:
    """Draw the layers of another network into a figure of `accuracy_curve`, from its first layer to its last.

    Args:
        figure: The figure; gets a legend.
        layers: L layer paths; on hover, since the axis names those of the first network.
        means: (L,) accuracies, 0..1.
        stds: (L,) standard deviations over the folds.
        name: The network's.

    Raises:
        FeatlibError: If the columns differ in length.
    """
    instance("figure", figure, go.Figure, "a figure of accuracy_curve")
    if not figure.data or getattr(figure.data[0], "x", None) is None:
        raise FeatlibError("figure has no curve: make it with accuracy_curve.")
    instance("name", name, str, "a text")
    layers, means, stds = _checked_columns(layers, means, stds)
    figure.add_scatter(
        name=safe(name),
        x=np.linspace(0, len(figure.data[0].x) - 1, len(layers)),
        y=np.asarray(means),
        error_y={"type": "data", "array": np.asarray(stds), "color": NEUTRAL, "thickness": 1.5, "width": 5},
        mode="lines+markers",
        line={"color": SECOND, "width": 2.5, "dash": "dot"},
        marker={"size": 10, "symbol": "square", "color": SECOND, "opacity": 1},
        text=[f"{safe(layer)}: {format_accuracy(m, s)}" for layer, m, s in zip(layers, means, stds, strict=True)],
        hovertemplate="%{text}<extra></extra>",
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 1}},
    )
    legend = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"}
    figure.update_layout(showlegend=True, legend=legend, margin_t=44)


def _checked_columns(layers: Any, means: Any, stds: Any) -> tuple[list[str], np.ndarray, np.ndarray]:  # noqa: ANN401
    paths = checked_texts("layers", layers)
    means, stds = checked_numbers("means", means), checked_numbers("stds", stds)
    check_lengths(layers=paths, means=means, stds=stds)
    for name, column in (("means", means), ("stds", stds)):
        if column.ndim != 1:
            raise FeatlibError(f"{name} must be one number per layer. Received: {shown(column)}.")
    return paths, means, stds


def _draw_baselines(figure: go.Figure, baselines: Sequence[tuple[str, float]]) -> None:
    """Draw horizontal lines, the lowest first, with their names on the right, where no point can be."""
    rule = "a list of (name, accuracy) pairs"
    pairs = [sequence("baselines", pair, rule) for pair in sequence("baselines", baselines, rule)]
    for pair in pairs:
        if len(pair) != 2 or not isinstance(pair[0], str):
            raise FeatlibError(f"baselines must be {rule}. Received: {shown(pair)}.")
        finite_number("the accuracy of a baseline", pair[1])
    lowest = 0.0
    for name, accuracy in sorted(pairs, key=lambda baseline: baseline[1]):
        figure.add_hline(accuracy, line={"color": NEUTRAL, "width": 1.5, "dash": "dash"})
        y = max(accuracy, lowest)
        lowest = y + LABEL_DISTANCE
        text = f"{safe(name)} {accuracy:.0%}"
        figure.add_annotation(x=1, xref="paper", xanchor="left", xshift=6, y=y, text=text, showarrow=False)
    if pairs:
        figure.update_layout(margin_r=8 + 7 * max(len(name) + 5 for name, _ in pairs))
