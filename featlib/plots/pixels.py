"""Histogram of a picture's pixel values, per channel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from featlib.errors import FeatlibError
from featlib.plots.checks import bin_edges, checked_numbers, checked_texts
from featlib.plots.colors import NEUTRAL
from featlib.plots.layout import new_figure, safe

# Okabe & Ito's red, green and blue, which the color-blind can tell apart; the dashes distinguish them in gray, too.
LINES = {"R": ("#D55E00", "solid"), "G": ("#009E73", "dash"), "B": ("#0072B2", "dot")}
OTHER = (NEUTRAL, "solid")


def pixel_histogram(pixels: np.ndarray, names: Sequence[str], *, bins: int = 48, height: int = 190) -> go.Figure:
    """Draw a histogram of pixel values, one line per channel.

    Args:
        pixels: (h, w, c) values.
        names: c channel names; "R", "G" and "B" are drawn in red, green and blue.
        bins: Number of bins, the same for all channels.
        height: Height in pixels.

    Raises:
        FeatlibError: If `pixels` is not (h, w, c), there is not one name per channel, or an option is out of bounds.
    """
    pixels, names = checked_numbers("pixels", pixels), checked_texts("names", names)
    if pixels.ndim != 3 or pixels.shape[-1] != len(names):
        raise FeatlibError(
            f"Received pixels of shape {pixels.shape} and {len(names)} names; (h, w, c) and c are needed."
        )
    edges = bin_edges("pixels", pixels, bins)
    traces = []
    for values, name in zip(np.moveaxis(pixels, -1, 0), names, strict=True):
        color, dash = LINES.get(name, OTHER)
        line = go.Scatter(
            x=(edges[1:] + edges[:-1]) / 2,
            y=np.histogram(values, edges)[0],
            name=safe(name),
            mode="lines",
            line={"color": color, "dash": dash, "width": 2, "shape": "hvh"},
            hovertemplate="%{y} pixels",
        )
        traces.append(line)
    figure = new_figure(traces, height=height, hovermode="x unified", dragmode=False)
    figure.update_layout(showlegend=True, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0})
    figure.update_xaxes(title="value")
    figure.update_yaxes(title="pixels")
    return figure
