"""Heat maps: vectors side by side, similarity of images, confusion of classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from featlib.checks import sequence, shown, whole_number
from featlib.errors import FeatlibError
from featlib.plots.checks import checked_numbers
from featlib.plots.colors import DIVERGING, HIGHLIGHT, Colormap, checked_colormap, value_range
from featlib.plots.layout import TRANSPARENT, check_lengths, new_figure, safe, shortened

MAX_NAMES, MAX_COUNTED = 40, 24


def vector_heatmap(
    X: np.ndarray, names: Sequence[str], *, columns: Sequence[int] | None = None, colormap: Colormap | None = None
) -> go.Figure:
    """Draw vectors as rows of colors: one row per image, one column per component.

    The last color stands for the 99.5th percentile of all values (of their sizes, if some are negative) and everything
    above it; hover shows the value.

    Args:
        X: (n, D) vectors.
        names: (n,) image names.
        columns: (D,) column numbers, where X is part of a wider array; 0 to D - 1 if None.
        colormap: One of `COLORMAPS`; if None, a diverging one with zero in its middle where any value is negative, else
            "viridis".

    Raises:
        FeatlibError: If X is not (n, D) or the names do not fit it.
    """
    X = _checked_matrix(X)
    count = check_lengths(vectors=X, names=names)
    colormap = checked_colormap(colormap, X)
    if columns is not None:
        columns = sequence("columns", columns, "a list of column numbers")
        if len(columns) != X.shape[1]:
            raise FeatlibError(f"columns must name the {X.shape[1]} columns of X. Received: {len(columns)}.")
        columns = [whole_number("columns", column, 0) for column in columns]
    sizes = np.abs(X) if colormap == DIVERGING else X
    # A few values of a ReLU layer are far above all others; scaled to them, everything else would be dark.
    top = float(np.nanquantile(sizes, 0.995)) or float(np.nanmax(sizes))
    heatmap = go.Heatmap(
        z=X.astype(np.float32, copy=False),
        x=columns,
        zmax=top,
        zmin=-top if colormap == DIVERGING else float(np.nanmin(X)),
        colorscale=colormap,
        customdata=np.repeat(_texts(names)[:, None], X.shape[1], axis=1) if X.size <= 20_000 else None,
        hovertemplate=("%{customdata}" if X.size <= 20_000 else "row %{y}")
        + "<br>column %{x}: %{z:.3g}<extra></extra>",
        colorbar={"title": {"text": "value", "side": "right"}, "thickness": 12, "outlinewidth": 0},
    )
    figure = new_figure([heatmap], height=int(np.clip(120 + 18 * count, 220, 720)))
    figure.update_xaxes(title="column", showgrid=False, zeroline=False)
    _name_axis(figure.layout.yaxis, names, "image")
    return figure


def similarity_heatmap(similarity: np.ndarray, names: Sequence[str], *, colormap: Colormap | None = None) -> go.Figure:
    """Draw the similarity of every image to every other.

    Args:
        similarity: (n, n) similarities, as returned by `cosine_similarity`.
        names: (n,) image names.
        colormap: As in `vector_heatmap`.

    Raises:
        FeatlibError: If the matrix is not square or the names do not fit it.
    """
    similarity = _checked_matrix(similarity, square=True)
    count = check_lengths(similarities=similarity, names=names)
    colormap, most = checked_colormap(colormap, similarity), value_range(np.abs(similarity))[1]
    texts = _texts(names)
    pairs = np.dstack([np.repeat(texts[:, None], count, axis=1), np.repeat(texts[None], count, axis=0)])
    heatmap = go.Heatmap(
        z=similarity.astype(np.float32, copy=False),
        zmin=-most if colormap == DIVERGING else None,
        zmax=most if colormap == DIVERGING else None,
        colorscale=colormap,
        customdata=pairs if count <= 100 else None,
        hovertemplate=("%{customdata[0]}<br>%{customdata[1]}" if count <= 100 else "rows %{y} and %{x}")
        + "<br>similarity %{z:.3f}<extra></extra>",
        colorbar=_flat_bar("cosine similarity"),
    )
    figure = new_figure([heatmap], height=int(np.clip(160 + 20 * count, 320, 640)))
    _name_axis(figure.layout.xaxis, names, "image", angle=-60)
    _name_axis(figure.layout.yaxis, names, "image")
    figure.update_yaxes(scaleanchor="x", constrain="domain")
    figure.update_xaxes(constrain="domain")
    return figure


def confusion_heatmap(
    confusion: np.ndarray,
    classes: Sequence[object] | np.ndarray,
    *,
    selected: tuple[int, int] | None = None,
) -> go.Figure:
    """Draw a confusion matrix: rows are true classes, columns predicted ones; colors are shares of a row.

    A click selects a cell: Plotly selects points only, so an unseen one is on each. Its `customdata` are the positions
    of the true and of the predicted class.

    Args:
        confusion: (k, k) counts, as in `ProbeResult.confusion`.
        classes: (k,) class names.
        selected: (row, column) of the cell to mark, or None.

    Raises:
        FeatlibError: If the matrix is not square or the names do not fit it.
    """
    confusion = _checked_matrix(confusion, square=True)
    count = check_lengths(rows=confusion, classes=classes)
    totals = confusion.sum(axis=1, keepdims=True)
    names = _texts([str(name) for name in classes])
    heatmap = go.Heatmap(
        z=confusion / np.maximum(totals, 1),
        zmin=0,
        zmax=1,
        colorscale="viridis",
        xgap=1,
        ygap=1,
        text=np.where(confusion == 0, "", confusion.astype(str)),
        texttemplate="%{text}" if count <= MAX_COUNTED else None,
        hoverinfo="skip",
        showscale=count > MAX_COUNTED,
        colorbar=_flat_bar("share of the true class") | {"tickformat": ".0%"},
    )
    true, predicted = np.divmod(np.arange(count * count), count)
    shares = (confusion / np.maximum(totals, 1)).ravel()
    cells = go.Scatter(
        x=predicted,
        y=true,
        mode="markers",
        marker={"symbol": "square", "size": 24, "opacity": 0},
        selected={"marker": {"opacity": 0}},
        unselected={"marker": {"opacity": 0}},
        customdata=np.stack([true, predicted], axis=1),
        text=[
            f"true: {names[i]}<br>predicted: {names[j]}<br>{n} images, {share:.0%} of the true class"
            for i, j, n, share in zip(true, predicted, confusion.ravel(), shares, strict=True)
        ],
        hovertemplate="%{text}<extra></extra>",
    )
    figure = new_figure([heatmap, cells], height=int(np.clip(150 + 30 * count, 240, 760)), dragmode=False)
    if selected is not None:
        cell = sequence("selected", selected, "(row, column)")
        if len(cell) != 2:
            raise FeatlibError(f"selected must be (row, column). Received: {shown(selected)}.")
        row, column = (whole_number("selected", position, 0, count - 1) for position in cell)
        edges = {"x0": column - 0.5, "x1": column + 0.5, "y0": row - 0.5, "y1": row + 0.5}
        figure.add_shape(type="rect", line={"color": HIGHLIGHT, "width": 3}, **edges)
    names_shown = [str(name) for name in classes]
    _name_axis(figure.layout.xaxis, names_shown, "predicted class", angle=-45 if count > 6 else None)
    _name_axis(figure.layout.yaxis, names_shown, "true class")
    return figure


def _flat_bar(title: str) -> dict[str, object]:
    """Return a color bar above a square matrix; on a wide page, one beside it would be far away."""
    position = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"}
    size = {"thickness": 10, "len": 240, "lenmode": "pixels", "outlinewidth": 0}
    return {"title": {"text": title, "side": "top"}, **size, **position}


def _name_axis(axis: go.layout.XAxis, names: Sequence[str], title: str, angle: int | None = None) -> None:
    """Label rows or columns with names, or with their numbers where there are too many names."""
    axis.update(title=title, showgrid=False, zeroline=False, constraintoward="top")
    if axis.plotly_name == "yaxis":
        axis.update(autorange="reversed", ticks="outside", ticklen=6, tickcolor=TRANSPARENT)
    else:
        axis.update(constraintoward="left")
    if len(names) <= MAX_NAMES:
        axis.update(tickvals=list(range(len(names))), ticktext=[shortened(name, 22) for name in names])
    if angle is not None and len(names) <= MAX_NAMES:
        axis.tickangle = angle


def _texts(names: Sequence[str]) -> np.ndarray:
    return np.array([safe(name) for name in names], dtype=object)


def _checked_matrix(matrix: np.ndarray, *, square: bool = False) -> np.ndarray:
    matrix = checked_numbers("the matrix", matrix)
    if matrix.ndim != 2 or matrix.size == 0 or (square and matrix.shape[0] != matrix.shape[1]):
        raise FeatlibError(f"Received a matrix of shape {matrix.shape}; {'(n, n)' if square else '(n, D)'} is needed.")
    return matrix
