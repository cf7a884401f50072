"""The common layout of all figures: transparent background, thin gray lines, tight margins, escaped text."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence, Set
from typing import Any

import plotly.graph_objects as go

from featlib.checks import instance, shown, whole_number
from featlib.errors import FeatlibError

TRANSPARENT = "rgba(0,0,0,0)"
GRID = "rgba(128,128,128,0.22)"
LINE = "rgba(128,128,128,0.75)"
ROW_HEIGHT = 30
MAX_HEIGHT = 1_000_000


def new_figure(traces: Sequence[Any], *, height: int, title: str | None = None, **layout: object) -> go.Figure:
    """Return a figure for light and dark pages: background and text color are the page's own.

    Raises:
        FeatlibError: If the height is no number of pixels, or the title no text.
    """
    height = whole_number("height, in pixels,", height, 10, MAX_HEIGHT)
    instance("title", title, (str, type(None)), "a text or None")
    figure = go.Figure(list(traces))
    figure.update_layout(
        height=height,
        paper_bgcolor=TRANSPARENT,
        plot_bgcolor=TRANSPARENT,
        margin={"l": 8, "r": 8, "t": 44 if title else 12, "b": 8},
        title={"text": safe(title), "x": 0} if title else None,
        showlegend=False,
        **layout,
    )
    figure.update_xaxes(gridcolor=GRID, zerolinecolor=LINE, zerolinewidth=1, automargin=True)
    figure.update_yaxes(gridcolor=GRID, zerolinecolor=LINE, zerolinewidth=1, automargin=True)
    return figure


def safe(text: object) -> str:
    """Escape text, since Plotly interprets HTML tags."""
    return html.escape(str(text), quote=False)


def shortened(text: object, length: int = 34) -> str:
    """Escape text for an axis and shorten it in the middle, so that the ends of file names stay readable."""
    plain = str(text)
    if len(plain) > length:
        half = (length - 1) // 2
        plain = f"{plain[:half]}…{plain[-half:]}"
    return safe(plain)


def format_accuracy(mean: float, std: float | None) -> str:
    """Write an accuracy in percent, with its standard deviation if there is one."""
    return f"{mean:.1%}" if std is None else f"{mean * 100:.1f} ± {std * 100:.1f}%"


def check_lengths(**columns: Any) -> int:  # noqa: ANN401
    """Return the common length of columns of values.

    Raises:
        FeatlibError: If one is no column of values, or the lengths differ.
    """
    for name, column in columns.items():
        ordered = hasattr(column, "__len__") and not isinstance(column, str | bytes | Set | Mapping)
        if not ordered or getattr(column, "ndim", 1) == 0:
            raise FeatlibError(f"{name} must be a list or an array. Received: {shown(column)}.")
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise FeatlibError(f"The columns of a figure must have the same length, but {found}.")
    return next(iter(lengths.values()), 0)
