"""Images with the class that a probe predicts for them, some at a time."""

from __future__ import annotations

import numpy as np
import streamlit as st

from featlib.analysis import ProbeResult
from featlib.images import ImageSet
from featlib.ui.widgets.gallery import choose_image, gallery
from featlib.ui.widgets.pickers import positions_in

PER_PAGE = 30
NO_LABEL = "(no label)"


def show_predicted(
    key: str, images: ImageSet, part: ImageSet, rows: np.ndarray, probe: ProbeResult, *, built_in: str = ""
) -> None:
    """Show images by name with the class that is predicted for them, the most confident predictions first.

    Args:
        key: Unique on the page.
        images: The whole set.
        part: The images that the probe has learned from, in the order of its rows.
        rows: Which of them to show.
        probe: The probe.
        built_in: The name of `images` if it is a built-in set in place of the user's choice: a click chooses it too.
    """
    rows = rows[np.argsort(-probe.confidences[rows], kind="stable")]
    n_pages = -(-len(rows) // PER_PAGE)
    page = st.pagination(n_pages, key=f"{key} page") if n_pages > 1 else 1
    shown = rows[(page - 1) * PER_PAGE : page * PER_PAGE].tolist()
    positions = positions_in(images, part)
    gallery(
        key,
        part[shown],
        [positions[i] for i in shown],
        notes=[f"{probe.confidences[i]:.0%} {probe.predictions[i] or NO_LABEL}" for i in shown],
        on_pick=(lambda value: choose_image(value, built_in)) if built_in else None,
        side=112,
        link=True,
    )
