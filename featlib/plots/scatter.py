"""Projections as scatter plots: one point per image, which carries the image's id."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import plotly.graph_objects as go

from featlib.analysis import Projection
from featlib.checks import choice, instance
from featlib.errors import FeatlibError
from featlib.plots.colors import ACCENT, CATEGORY_COLORS, NEUTRAL
from featlib.plots.layout import TRANSPARENT, check_lengths, new_figure, safe, shortened
from featlib.text import natural_key

Mode = Literal["click", "lasso"]

SYMBOLS_2D = ("circle", "square", "diamond", "triangle-up", "cross", "x", "triangle-down", "star")
# "x" is missing in many fonts.
SYMBOLS_3D = ("circle", "square", "diamond", "cross", "circle-open", "square-open", "diamond-open")
MAX_CATEGORIES = 24
MAX_SVG_POINTS = 2_000
OUTLINE = "rgba(128,128,128,0.7)"
GRID_3D = "rgb(140,140,140)"  # opaque: WebGL loses thin transparent lines on white


def projection_scatter(
    projection: Projection,
    *,
    ids: Sequence[str],
    names: Sequence[str],
    labels: Sequence[object] | np.ndarray | None = None,
    label_title: str = "label",
    mode: Mode = "click",
    height: int = 560,
) -> go.Figure:
    """Draw a projection in two or three dimensions; categories differ in color and symbol.

    Every point's `customdata` is its image's id: use it to read selections, since points are numbered per category.

    Args:
        projection: Coordinates (n, 2) or (n, 3).
        ids: (n,) image ids.
        names: (n,) image names, shown on hover.
        labels: (n,) categories, or None for one color. Beyond 24, the rarest are drawn as one gray group.
        label_title: Name of the labels, for the legend and the hover text.
        mode: With "click", a click selects one point and a drag moves the view; with "lasso", a drag selects many
            points (in 2-D; a drag rotates a 3-D view in both modes).
        height: Height in pixels.

    Raises:
        FeatlibError: If the projection is not 2-D or 3-D, the columns differ in length, or `mode` is unknown.
    """
    instance("projection", projection, Projection, "the result of project")
    if projection.n_components not in (2, 3):
        raise FeatlibError(f"A projection of {projection.n_components} components cannot be drawn; project to 2 or 3.")
    choice("mode", mode, get_args(Mode))
    instance("label_title", label_title, str, "a text")
    categories = {} if labels is None else {"labels": labels}
    check_lengths(coordinates=projection.coordinates, ids=ids, names=names, **categories)
    texts = [f"<b>{safe(name)}</b>" for name in names]
    if labels is not None:
        texts = [f"{text}<br>{safe(label_title)}: {safe(label)}" for text, label in zip(texts, labels, strict=True)]
    hover, keys = np.array(texts, dtype=object), np.array([str(i) for i in ids], dtype=object)
    traces = [
        _points(projection.coordinates[rows], keys[rows], hover[rows], style, len(keys))
        for rows, style in _categories(labels, projection.n_components, len(keys))
    ]
    # Zoom and camera are kept as long as the coordinates are the same, whatever else is redrawn.
    digest = hashlib.blake2b(np.ascontiguousarray(projection.coordinates).tobytes(), digest_size=8).hexdigest()
    figure = new_figure(traces, height=height, uirevision=digest)
    figure.update_layout(
        dragmode="lasso" if mode == "lasso" else "pan",
        hovermode="closest",
        showlegend=labels is not None,
        legend={"title": {"text": safe(label_title)}, "itemsizing": "constant"},
    )
    _style_axes(figure, projection)
    return figure


def _categories(
    labels: Sequence[object] | np.ndarray | None, n_components: int, n: int
) -> list[tuple[np.ndarray, dict[str, Any]]]:
    """Return rows and style of each category, the most frequent ones in natural order, then the others as one."""
    if labels is None:
        return [(np.arange(n), {"name": "images", "color": ACCENT, "symbol": "circle"})]
    texts = np.array([str(label) for label in labels], dtype=object)
    symbols, counts = SYMBOLS_2D if n_components == 2 else SYMBOLS_3D, Counter(texts.tolist())
    n_shown = MAX_CATEGORIES if len(counts) <= MAX_CATEGORIES else MAX_CATEGORIES - 1
    shown = sorted((text for text, _ in counts.most_common(n_shown)), key=natural_key)
    categories = []
    for number, text in enumerate(shown):
        color, symbol = CATEGORY_COLORS[number % len(CATEGORY_COLORS)], symbols[number % len(symbols)]
        style = {"name": shortened(text), "color": color, "symbol": symbol}
        categories.append((np.flatnonzero(texts == text), style))
    rest = np.flatnonzero(~np.isin(texts, shown))
    if len(rest):
        name = f"{len(set(texts[rest]))} others"
        categories.append((rest, {"name": name, "color": NEUTRAL, "symbol": "circle"}))
    return categories


def _points(
    coordinates: np.ndarray, ids: np.ndarray, texts: np.ndarray, style: dict[str, Any], n: int
) -> go.Scatter | go.Scattergl | go.Scatter3d:
    size = 11 if n <= 200 else 9 if n <= 1000 else 7 if n <= 5000 else 5
    shared = {
        **dict(zip("xyz", coordinates.T, strict=False)),
        "mode": "markers",
        "name": style["name"],
        "customdata": ids,
        "text": texts,
        "hovertemplate": "%{text}<extra></extra>",
    }
    marker = {"color": style["color"], "symbol": style["symbol"], "opacity": 0.9}
    if coordinates.shape[1] == 3:
        # Open symbols and crosses look larger in 3-D; a thin outline would be drawn black.
        return go.Scatter3d(**shared, marker=marker | {"size": size * 0.55})
    kind = go.Scatter if n <= MAX_SVG_POINTS else go.Scattergl
    return kind(
        **shared,
        marker=marker | {"size": size, "line": {"width": 0.7, "color": OUTLINE}},
        unselected={"marker": {"opacity": 0.25}},
    )


def _axis_title(projection: Projection, axis: int) -> str:
    if projection.method == "tsne":
        return f"t-SNE {axis + 1}"
    if projection.explained_variance_ratio is None:
        return f"PC {axis + 1}"
    suffix = " of the variance" if projection.n_components == 2 else ""  # long titles are cut off in 3-D
    return f"PC {axis + 1} ({projection.explained_variance_ratio[axis]:.1%}{suffix})"


def _style_axes(figure: go.Figure, projection: Projection) -> None:
    # The distances of t-SNE have no unit, so numbers on its axes would only mislead.
    ticks = projection.method == "pca"
    instance("projection", projection, Projection, "the result of project")
    if projection.n_components == 2:
        figure.update_xaxes(title=_axis_title(projection, 0), showticklabels=ticks, zeroline=ticks)
        figure.update_yaxes(title=_axis_title(projection, 1), showticklabels=ticks, zeroline=ticks)
        figure.update_yaxes(scaleanchor="x", scaleratio=1)
        return
    axes = {
        f"{letter}axis": {
            "title": {"text": _axis_title(projection, number)},
            "showticklabels": ticks,
            "showbackground": False,
            "gridcolor": GRID_3D,
            "zerolinecolor": GRID_3D,
            "showspikes": False,
        }
        for number, letter in enumerate("xyz")
    }
    figure.update_layout(scene={"aspectmode": "data", "bgcolor": TRANSPARENT, "dragmode": "turntable", **axes})
    figure.update_layout(scene_camera_eye={"x": 1.65, "y": 1.65, "z": 1.0})
