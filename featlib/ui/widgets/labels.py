"""The labels of a set of images: which column is predicted, and which classes can be learned."""

from __future__ import annotations

from collections import Counter

import numpy as np
import streamlit as st

from featlib.images import ImageSet
from featlib.ui.session import Session, bind, choose
from featlib.ui.text import plain

MAX_NAMED = 5


def pick_column(session: Session, images: ImageSet) -> str:
    """Show which label column to predict, if there are several; return it, or "" for a set without labels."""
    columns = images.label_columns
    if not columns:
        return ""
    column = session.label if session.label in columns else columns[0]
    if session.label not in ("", column):
        session.report("label", column)
    if len(columns) > 1:
        st.segmented_control(
            "Label to predict", columns, format_func=plain, required=True, **bind("label", shown=column)
        )
    return column


def pick_label(session: Session, images: ImageSet) -> str | None:
    """Return the label column to predict, or None if the set has none that can be learned."""
    column = pick_column(session, images)
    obstacle = find_obstacle(images, column)
    if not obstacle:
        return column
    st.info(
        f"{plain(obstacle)} Learning needs two labels with at least two images each, since some are held out for "
        "testing. Upload a folder with one sub-folder per class on Home, or use a built-in set:"
    )
    with st.container(horizontal=True):
        for name in ("shapes", "views", "digits"):
            st.button(f"Use the {name}", on_click=choose, args=("images", name))
    return None


def find_obstacle(images: ImageSet, column: str) -> str:
    """Say why the labels of a column cannot be learned; "" if they can."""
    if not column:
        return "These images have no labels."
    sizes = Counter(images.labels_for(column).tolist())
    if len(sizes) == 1:
        return f"All {len(images):,} images have the same “{column}”."
    single = [label for label, size in sizes.items() if size == 1]
    if len(sizes) - len(single) >= 2:
        return ""
    return f"{len(single)} of the {len(sizes)} labels in “{column}” have only one image, such as “{single[0]}”."


def has_several(labels: np.ndarray) -> np.ndarray:
    """Return which images are not the only one of their label: (n,) bool."""
    classes, counts = np.unique(labels, return_counts=True)
    return np.isin(labels, classes[counts > 1])


def warn_single(labels: np.ndarray) -> None:
    """Name the classes that are skipped because they have a single image."""
    single = sorted(labels[~has_several(labels)].tolist())
    if single:
        names = ", ".join(f"“{plain(name)}”" if name else "(no label)" for name in single[:MAX_NAMED])
        more = f" and {len(single) - MAX_NAMED:,} more" if len(single) > MAX_NAMED else ""
        what = (
            "1 class with a single image is" if len(single) == 1 else f"{len(single)} classes with a single image are"
        )
        st.warning(f"{what} skipped: {names}{more}. One image cannot be both learned and tested.")
