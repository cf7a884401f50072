"""The classes that a network names, on pages that show more than one answer."""

from __future__ import annotations

import numpy as np
import streamlit as st

from featlib import plots
from featlib.models import Backbone, top_classes


def show_classes(backbone: Backbone, probabilities: np.ndarray, key: str, longest: float) -> None:
    """The five likeliest classes as bars.

    Args:
        backbone: names the classes.
        probabilities: (classes,) of one image.
        key: unique on the page.
        longest: the probability of the longest bar on the page, so that all can be compared.
    """
    best = top_classes(probabilities)
    names = [backbone.class_name(i) for i in best]
    said = ", ".join(f"{name} {probabilities[i]:.0%}" for name, i in zip(names, best, strict=True))
    figure = plots.prediction_bars(names, probabilities[best])
    figure.update_xaxes(range=[0, longest * 1.3])
    st.plotly_chart(
        figure,
        key=key,
        alt=f"The five likeliest classes: {said}.",
        config={"displayModeBar": False},
    )
