"""Charts and pictures that can be taken to a slide: a Plotly chart, and a button that saves a picture."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from PIL import ImageColor

from featlib import plots
from featlib.ui.session import guarded, widget_value

SCALE = 2  # a saved picture is twice as large as on screen
BUTTONS_HEIGHT = 34  # pixels above a chart, where its buttons cover nothing
# A drag does what the page says, and a double click resets the view.
SURPLUS = ["zoom2d", "pan2d", "select2d", "lasso2d", "autoScale2d", "zoom3d", "pan3d", "orbitRotation", "tableRotation"]
ZOOM = ["zoomIn2d", "zoomOut2d", "resetScale2d"]
THEMES = {"light": ("#ffffff", "#1b2529"), "dark": ("#11181b", "#e6edef")}  # where the settings name none
MAX_FILE_NAME = 100

RGB = tuple[int, int, int]
PickedPoints = list[dict[str, Any]]


def show_chart(
    figure: go.Figure,
    *,
    key: str,
    alt: str,
    name: str,
    on_select: Callable[[PickedPoints], None] | Literal["rerun"] | None = None,
    selection: tuple[Literal["points", "box", "lasso"], ...] = ("points",),
    width: Literal["stretch", "content"] = "stretch",
    height: Literal["stretch", "content"] = "content",
) -> None:
    """Show a Plotly chart, with room for its buttons; saved, it is twice as large and has the page's background.

    Args:
        figure: The chart; it is changed.
        key: Unique on the page.
        alt: Alternative text.
        name: What it shows; the name of the file when it is saved.
        on_select: Called with the picked points, before the page runs again; "rerun" only runs the page again. If
            None, nothing can be picked.
        selection: How points are picked.
        width: "stretch" for the width of the page, "content" for the figure's own.
        height: "stretch" for the height of the container, "content" for the figure's own.
    """
    top = figure.layout.margin.t or 0
    figure.update_layout(
        # Without a background of its own it takes the page's, also in the file.
        paper_bgcolor=None,
        plot_bgcolor=None,
        margin_t=top + BUTTONS_HEIGHT,
        height=(figure.layout.height or 450) + BUTTONS_HEIGHT,
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": "#737a85", "activecolor": plots.ACCENT},
    )
    fixed = figure.layout.dragmode is False or figure.layout.xaxis.fixedrange is True

    @guarded
    def select() -> None:
        event = widget_value(key)
        points = event["selection"]["points"] if event else []
        if points and callable(on_select):
            on_select(points)

    st.plotly_chart(
        figure,
        key=key,
        alt=alt,
        width=width,
        height=height,
        on_select=select if callable(on_select) else on_select or "ignore",
        selection_mode=selection,
        config={
            "modeBarButtonsToRemove": SURPLUS + (ZOOM if fixed else []),
            "toImageButtonOptions": {"format": "png", "scale": SCALE, "filename": file_name(name)},
        },
    )


def save_picture(draw: Callable[[RGB], np.ndarray], title: str, *, key: str, name: str) -> None:
    """Show a button that saves a picture with a title on the page's background, as a PNG file.

    Args:
        draw: Returns the picture, `SCALE` times as large as on screen, with text of the given color.
        title: What stands above it.
        key: Unique on the page.
        name: What it shows; the name of the file.
    """
    background, text = page_colors()
    st.download_button(
        "Save picture",
        lambda: plots.png_bytes(plots.titled(draw(text), title, background=background, text_color=text)),
        f"{file_name(name)}.png",
        "image/png",
        key=key,
        icon=":material/photo_camera:",
        type="tertiary",
        on_click="ignore",
        help="A PNG file of double size, for slides.",
    )


def page_colors() -> tuple[RGB, RGB]:
    """Return the page's background and text color."""
    theme = "dark" if st.context.theme.type == "dark" else "light"
    background, text = (
        ImageColor.getrgb(st.get_option(f"theme.{theme}.{name}") or default)[:3]
        for name, default in zip(("backgroundColor", "textColor"), THEMES[theme], strict=True)
    )
    return background, text


def file_name(name: str) -> str:
    """Return a name for a file that every system takes."""
    return re.sub(r"[^\w.+-]+", "_", name).strip("_.")[:MAX_FILE_NAME] or "featlib"
