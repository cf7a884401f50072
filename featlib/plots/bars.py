"""Bar charts: predictions, accuracies, the channels of a vector, the values of a channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from featlib.checks import finite_number, instance, sequence, shown, whole_number
from featlib.errors import FeatlibError
from featlib.plots.checks import bin_edges, checked_numbers
from featlib.plots.colors import ACCENT, HIGHLIGHT, NEUTRAL
from featlib.plots.layout import ROW_HEIGHT, TRANSPARENT, check_lengths, format_accuracy, new_figure, safe, shortened

MAX_SEPARATE_BARS = 160
MAX_SELECTABLE = 4096


def prediction_bars(names: Sequence[str], probabilities: Sequence[float] | np.ndarray) -> go.Figure:
    """Draw class probabilities as bars, in the order given, the first on top.

    Args:
        names: Class names.
        probabilities: One per name, 0..1.

    Raises:
        FeatlibError: If there is not one probability per name.
    """
    count = check_lengths(names=names, probabilities=probabilities)
    shares = checked_numbers("probabilities", probabilities)
    if shares.ndim != 1:
        raise FeatlibError(f"probabilities must be one number per name. Received: {shown(probabilities)}.")
    bars = go.Bar(
        x=shares,
        y=list(range(count)),
        orientation="h",
        marker={"color": [ACCENT] + [NEUTRAL] * (count - 1), "cornerradius": 3},
        text=[f"{share:.1%}" for share in shares],
        textposition="outside",
        cliponaxis=False,
        customdata=[safe(name) for name in names],
        hovertemplate="%{customdata}: %{x:.2%}<extra></extra>",
    )
    figure = new_figure([bars], height=_rows_height(count), bargap=0.3, dragmode=False)
    figure.update_xaxes(range=[0, max(1e-9, float(shares.max(initial=0))) * 1.3], visible=False)
    return _name_rows(figure, names)


def accuracy_bars(rows: Sequence[tuple[str, float, float | None]], *, highlight: int | None = 0) -> go.Figure:
    """Draw accuracies as bars with error bars, the first on top.

    Args:
        rows: (label, mean, standard deviation) triples, accuracies 0..1; None where nothing varied.
        highlight: Row drawn in the accent color, or None.

    Raises:
        FeatlibError: If there are no rows, one is no such triple, or `highlight` is none of them.
    """
    rule = "a list of (label, mean, standard deviation or None)"
    rows = [_checked_row(row, rule) for row in sequence("rows", rows, rule)]
    if not rows:
        raise FeatlibError("Received no accuracies; at least one (label, mean, std) is needed.")
    if highlight is not None:
        highlight = whole_number("highlight", highlight, 0, len(rows) - 1)
    labels, means, stds = zip(*rows, strict=True)
    bars = go.Bar(
        x=means,
        y=list(range(len(rows))),
        orientation="h",
        marker={
            "color": [ACCENT if number == highlight else NEUTRAL for number in range(len(rows))],
            "cornerradius": 3,
        },
        error_x={"type": "data", "array": [std or 0 for std in stds], "color": HIGHLIGHT, "thickness": 2, "width": 5},
        customdata=[[safe(label), format_accuracy(mean, std)] for label, mean, std in rows],
        hovertemplate="%{customdata[0]}: %{customdata[1]}<extra></extra>",
    )
    figure = new_figure([bars], height=_rows_height(len(rows)) + 40, bargap=0.35, dragmode=False)
    figure.update_xaxes(range=[0, 1], tickformat=".0%", title="accuracy on held-out images")
    for number, (_, mean, std) in enumerate(rows):
        figure.add_annotation(
            x=1, xref="paper", xanchor="left", xshift=8, y=number, text=format_accuracy(mean, std), showarrow=False
        )
    figure.update_layout(margin_r=104)
    return _name_rows(figure, labels)


def channel_bars(
    vector: Sequence[float] | np.ndarray,
    selected: int | None = None,
    title: str | None = None,
    *,
    height: int = 240,
) -> go.Figure:
    """Draw a vector, one value per channel; above 160 channels as one filled outline, which is fast to draw.

    A click selects a channel; up to 4,096 of them, so that the chart stays fast.

    Args:
        vector: (D,) values.
        selected: Channel to mark, or None.
        title: Title of the figure.
        height: Height in pixels.

    Raises:
        FeatlibError: If `vector` is not (D,) or `selected` is not a channel of it.
    """
    values = checked_numbers("vector", vector)
    if values.ndim != 1 or not values.size:
        raise FeatlibError(f"Received a vector of shape {values.shape}; one image's vector (D,) is needed.")
    if selected is not None:
        selected = whole_number("selected, a channel,", selected, 0, len(values) - 1)
    hover = "channel %{x}: %{y:.3g}<extra></extra>"
    shared = {"y": values, "customdata": np.arange(len(values)), "hovertemplate": hover}
    if len(values) <= MAX_SEPARATE_BARS:
        same = {"marker": {"opacity": 1}}
        bars = go.Bar(**shared, marker={"color": ACCENT, "line": {"width": 0}}, selected=same, unselected=same)
    else:
        # Plotly selects markers, not lines; these are not seen.
        outline, unseen = {"color": ACCENT, "width": 1, "shape": "hvh"}, {"marker": {"opacity": 0}}
        bars = go.Scatter(
            **shared,
            mode="lines+markers" if len(values) <= MAX_SELECTABLE else "lines",
            **unseen,
            fill="tozeroy",
            fillcolor=ACCENT,
            line=outline,
            selected=unseen,
            unselected=unseen,
        )
    figure = new_figure([bars], height=height, title=title, bargap=0.1, hovermode="x", dragmode="pan")
    if selected is not None:
        figure.add_scatter(
            x=[selected, selected],
            y=[0, float(values[selected])],
            mode="lines+markers",
            line={"color": HIGHLIGHT, "width": 2},
            marker={"size": [0, 9], "opacity": 1},
            hovertemplate=f"channel {selected} (selected): {values[selected]:.3g}<extra></extra>",
        )
        figure.add_vline(selected, line={"color": HIGHLIGHT, "width": 1, "dash": "dot"})
    figure.update_xaxes(
        title="channel", range=[-0.5 - 0.005 * len(values), len(values) * 1.005 - 0.5], showgrid=False, fixedrange=True
    )
    figure.update_yaxes(title="value", fixedrange=True)
    return figure


def channel_histogram(values: np.ndarray, *, bins: int = 48, height: int = 240) -> go.Figure:
    """Draw the distribution of a channel's values; exact zeros are counted in the axis title, not drawn.

    After a ReLU most values are exactly zero, and their bar would flatten all others.

    Args:
        values: Any shape; NaN and infinite values are ignored.
        bins: Number of bars.
        height: Height in pixels.

    Raises:
        FeatlibError: If `values` are no numbers or too large for bins, or an option is out of bounds.
    """
    finite = checked_numbers("values", values).astype(float).ravel()
    finite = finite[np.isfinite(finite)]
    drawn = finite[finite != 0]
    zeros = 1 - len(drawn) / max(1, len(finite))
    share = "under 1%" if zeros < 0.01 else f"{zeros:.0%}"
    counts, edges = np.histogram(drawn, bin_edges("values", drawn, bins))
    bars = go.Bar(
        x=(edges[1:] + edges[:-1]) / 2,
        y=counts,
        width=np.diff(edges),
        marker={"color": ACCENT, "line": {"width": 0}},
        customdata=np.column_stack([edges[:-1], edges[1:]]),
        hovertemplate="%{customdata[0]:.3g} to %{customdata[1]:.3g}: %{y} positions<extra></extra>",
    )
    figure = new_figure([bars], height=height, bargap=0.04, dragmode=False)
    figure.update_xaxes(title="value" + (f" ({share} exactly 0, not drawn)" if zeros else ""))
    figure.update_yaxes(title="positions")
    return figure


def _checked_row(row: Any, rule: str) -> tuple[str, float, float | None]:  # noqa: ANN401
    parts = sequence("rows", row, rule)
    if len(parts) != 3:
        raise FeatlibError(f"rows must be {rule}. Received: {shown(row)}.")
    label, mean, std = parts
    instance("a row's label", label, str, "a text")
    return label, finite_number("a row's mean", mean), None if std is None else finite_number("a row's std", std)


def _rows_height(count: int) -> int:
    return 20 + ROW_HEIGHT * max(count, 1)


def _name_rows(figure: go.Figure, names: Sequence[str]) -> go.Figure:
    """Label the rows, the first on top; positions are numbers, so that equal names stay separate rows."""
    count = len(names)
    figure.update_yaxes(
        tickmode="array",
        tickvals=list(range(count)),
        ticktext=[shortened(name) for name in names],
        range=[count - 0.5, -0.5],
        showgrid=False,
        zeroline=False,
        ticks="outside",
        ticklen=6,
        tickcolor=TRANSPARENT,
    )
    return figure
