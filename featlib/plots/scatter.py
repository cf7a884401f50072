"""Projections as scatter plots: one point per image, which carries the image's id."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go

from featlib.analysis import Projection
from featlib.errors import FeatlibError
from featlib.plots.colors import ACCENT, CATEGORY_COLORS, NEUTRAL
from featlib.plots.layout import TRANSPARENT, check_lengths, new_figure, safe, shortened

SYMBOLS_2D = ("circle", "square", "diamond", "triangle-up", "cross", "x", "triangle-down", "star")
SYMBOLS_3D = (
    "circle",
    "square",
    "diamond",
    "cross",
    "circle-open",
    "square-open",
    "diamond-open",
)  # "x" lacks in many fonts
MAX_CATEGORIES = 24
MAX_SVG_POINTS = 2_000
OUTLINE = "rgba(128,128,128,0.7)"
GRID_3D = "rgb(140,140,140)"  # WebGL loses thin transparent lines on white


def projection_scatter(
    projection: Projection,
    *,
    ids: Sequence[str],
    names: Sequence[str],
    labels: Sequence[object] | np.ndarray | None = None,
    label_title: str = "label",
    mode: Literal["click", "lasso"] = "click",
    height: int = 560,
) -> go.Figure:
    """Draw a projection in two or three dimensions, coloured by label; categories differ in symbol, too.

    Every point's `customdata` is its image's id: read selections by it, since point numbers count per category.

    Args:
        projection: Coordinates (n, 2) or (n, 3).
        ids: (n,) image ids.
        names: (n,) image names, shown on hover.
        labels: (n,) categories, or None for one colour. Of more than 24, the rarest are drawn as one grey group.
        label_title: What the labels are; title of the legend and in the hover text.
        mode: "click" lets a click select one point and a drag move the view; "lasso" lets a drag select many
            (in 2-D; a drag turns a 3-D view in both modes).
        height: Height in pixels.

    Raises:
        FeatlibError: If the projection is not 2-D or 3-D, a column has another length, or `mode` is unknown.
    """
    if projection.n_components not in (2, 3):
        raise FeatlibError(f"A projection of {projection.n_components} components cannot be drawn; project to 2 or 3.")
    if mode not in ("click", "lasso"):
        raise FeatlibError(f"Unknown mode {mode!r}. Choose one of: click, lasso.")
    check_lengths(coordinates=projection.coordinates, ids=ids, names=names, labels=labels)
    texts, keys = _hover_texts(names, labels, label_title), np.array([str(i) for i in ids], dtype=object)
    traces = [
        _points(projection.coordinates[rows], keys[rows], texts[rows], style, len(keys))
        for rows, style in _categories(labels, projection.n_components, len(keys))
    ]
    figure = new_figure(traces, height=height, uirevision=_digest(projection.coordinates))
    figure.update_layout(
        dragmode="lasso" if mode == "lasso" else "pan",
        hovermode="closest",
        showlegend=labels is not None,
        legend={"title": {"text": safe(label_title)}, "itemsizing": "constant"},
    )
    return _style_axes_2d(figure, projection) if projection.n_components == 2 else _style_axes_3d(figure, projection)


def _hover_texts(names: Sequence[str], labels: Sequence[object] | np.ndarray | None, title: str) -> np.ndarray:
    texts = [f"<b>{safe(name)}</b>" for name in names]
    if labels is not None:
        texts = [f"{text}<br>{safe(title)}: {safe(label)}" for text, label in zip(texts, labels, strict=True)]
    return np.array(texts, dtype=object)


def _categories(
    labels: Sequence[object] | np.ndarray | None, n_components: int, n: int
) -> list[tuple[np.ndarray, dict[str, Any]]]:
    """Rows and style of each category, in the order of the legend."""
    if labels is None:
        return [(np.arange(n), {"name": "images", "color": ACCENT, "symbol": "circle"})]
    texts = np.array([str(label) for label in labels], dtype=object)
    shown, symbols = _legend_order(texts.tolist()), SYMBOLS_2D if n_components == 2 else SYMBOLS_3D
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


def _legend_order(texts: list[str]) -> list[str]:
    """The most frequent categories, in natural order."""
    counts = Counter(texts)
    kept = [
        text for text, _ in counts.most_common(MAX_CATEGORIES if len(counts) <= MAX_CATEGORIES else MAX_CATEGORIES - 1)
    ]
    return sorted(kept, key=_natural)


def _natural(text: str) -> list[tuple[int, str]]:
    """Sort key that puts "class 2" before "class 10"."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)]


def _points(
    coordinates: np.ndarray, ids: np.ndarray, texts: np.ndarray, style: dict[str, Any], n: int
) -> go.Scatter | go.Scattergl | go.Scatter3d:
    shared = {
        "mode": "markers",
        "name": style["name"],
        "customdata": ids,
        "text": texts,
        "hovertemplate": "%{text}<extra></extra>",
    }
    marker = {"color": style["color"], "symbol": style["symbol"], "opacity": 0.9}
    if coordinates.shape[1] == 3:
        # Open symbols and crosses look larger in 3-D; a thin outline would be drawn black.
        return go.Scatter3d(**_xyz(coordinates), **shared, marker=marker | {"size": _size(n) * 0.55})
    kind = go.Scatter if n <= MAX_SVG_POINTS else go.Scattergl
    return kind(
        **_xyz(coordinates),
        **shared,
        marker=marker | {"size": _size(n), "line": {"width": 0.7, "color": OUTLINE}},
        unselected={"marker": {"opacity": 0.25}},
    )


def _xyz(coordinates: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip("xyz", coordinates.T, strict=False))


def _size(n: int) -> int:
    return 11 if n <= 200 else 9 if n <= 1000 else 7 if n <= 5000 else 5


def _digest(coordinates: np.ndarray) -> str:
    """Zoom and camera stay while the coordinates do, whatever else is redrawn."""
    return hashlib.blake2b(np.ascontiguousarray(coordinates).tobytes(), digest_size=8).hexdigest()


def _axis_title(projection: Projection, axis: int) -> str:
    if projection.method == "tsne":
        return f"t-SNE {axis + 1}"
    if projection.explained_variance_ratio is None:
        return f"PC {axis + 1}"
    told = " of the variance" if projection.n_components == 2 else ""  # long titles are cut off in 3-D
    return f"PC {axis + 1} ({projection.explained_variance_ratio[axis]:.1%}{told})"


def _style_axes_2d(figure: go.Figure, projection: Projection) -> go.Figure:
    # The distances of t-SNE have no unit: numbers on its axes would only mislead.
    style = {"showticklabels": projection.method == "pca", "zeroline": projection.method == "pca"}
    figure.update_xaxes(title=_axis_title(projection, 0), **style)
    figure.update_yaxes(title=_axis_title(projection, 1), scaleanchor="x", scaleratio=1, **style)
    return figure


def _style_axes_3d(figure: go.Figure, projection: Projection) -> go.Figure:
    axes = {
        f"{letter}axis": {
            "title": {"text": _axis_title(projection, number)},
            "showticklabels": projection.method == "pca",
            "showbackground": False,
            "gridcolor": GRID_3D,
            "zerolinecolor": GRID_3D,
            "showspikes": False,
        }
        for number, letter in enumerate("xyz")
    }
    figure.update_layout(scene={"aspectmode": "data", "bgcolor": TRANSPARENT, "dragmode": "turntable", **axes})
    figure.update_layout(scene_camera_eye={"x": 1.65, "y": 1.65, "z": 1.0})
    return figure
