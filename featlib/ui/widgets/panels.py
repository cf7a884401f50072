"""Parts of many pages: the image, the predictions, what could not be used, the page's code."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from featlib import plots
from featlib.features import Trace
from featlib.images import ImageItem
from featlib.models import Backbone, top_classes
from featlib.ui.text import plain
from featlib.ui.widgets.charts import show_chart

MAX_LISTED = 8
PROBLEMS_HEIGHT = 220  # pixels; more of them are scrolled


def show_prediction(
    backbone: Backbone, probabilities: np.ndarray | None, key: str = "prediction", longest: float | None = None
) -> None:
    """Show the five most probable classes as bars, or why there are none.

    Args:
        backbone: Names the classes.
        probabilities: (classes,) of one image; None if the network has no classification head.
        key: Unique on the page.
        longest: The probability of the longest bar on the page, to draw several charts on one scale.
    """
    if probabilities is None:
        advice = " Switch on “Include top”." if backbone.weights in ("imagenet", "random") else ""
        end = plain(backbone.layers[-1].path)
        st.info(f"This network ends at {end} and has no classification head.{advice}")
        return
    best = top_classes(probabilities)
    names = [backbone.class_name(i) for i in best]
    figure = plots.prediction_bars(names, probabilities[best])
    if longest is not None:
        figure.update_xaxes(range=[0, longest * 1.3])
    listed = ", ".join(f"{name} {probabilities[i]:.0%}" for name, i in zip(names, best, strict=True))
    name = f"Top 5 predictions of {backbone.name}"
    show_chart(figure, key=key, alt=f"Top 5 predictions: {listed}.", name=name)


def show_image(trace: Trace, item: ImageItem) -> None:
    """Show the image as the network sees it."""
    height, width = trace.image.shape[:2]
    st.image(
        trace.image,
        output_format="PNG",
        width="stretch",
        caption=f"{plain(item.name)} as the network sees it: {width}\u00a0×\u00a0{height}",
        alt=f"{item.name}, resized and cropped to {width} by {height} pixels.",
    )


def show_problems(reasons: Sequence[str]) -> None:
    """List why images cannot be used, one line each; a long list is scrolled."""
    with st.container(height=PROBLEMS_HEIGHT if len(reasons) > MAX_LISTED else "content", border=False):
        st.text("\n".join(reasons))


def show_code(code: str | dict[str, str], made: str = "what is on this page") -> None:
    """Show the program that reproduces the page, or several by title; `made` says what it reproduces."""
    with st.container(key="code"):
        st.divider()
        place = st.expander(f"**The code** · the program that makes {made}")
    with place:
        if isinstance(code, str):
            st.code(code, language="python")
            return
        for tab, program in zip(st.tabs([plain(title) for title in code]), code.values(), strict=True):
            tab.code(program, language="python")
