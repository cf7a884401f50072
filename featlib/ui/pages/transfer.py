"""Parts of the transfer page."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import streamlit as st

from featlib import plots
from featlib.analysis import ProbeResult
from featlib.images import ImageSet
from featlib.models import Backbone, LayerInfo
from featlib.ui.compute import compute_all_vectors, compute_vectors, load_network, raw_pixels, train_probe
from featlib.ui.session import Session, bind
from featlib.ui.text import plain
from featlib.ui.widgets import thumbnail_row

MISTAKES = 18


@dataclass(frozen=True)
class Lesson:
    """What a linear probe reaches on a layer, and on what the layer is compared with.

    Attributes:
        images: what was learned from.
        skipped: which images were skipped, and why.
        layer: the probe on the chosen layer's vectors.
        random: the same layer with random weights; None where the network itself has random weights.
        pixels: the probe on shrunken raw pixels.
    """

    images: ImageSet
    skipped: str
    layer: ProbeResult
    random: ProbeResult | None
    pixels: ProbeResult


def pick_label(session: Session, images: ImageSet) -> str | None:
    """The label column to learn, or None where the set has none that can be learned."""
    if images.label_columns:
        if session.label not in images.label_columns:
            session.label = images.label_columns[0]
        if len(images.label_columns) > 1:
            st.segmented_control("Learn to name the", list(images.label_columns), required=True, **bind("label"))
    obstacle = _obstacle(images, session.label) if images.label_columns else "These images have no labels."
    if not obstacle:
        return session.label
    st.info(
        f"{plain(obstacle)} Learning needs labels, and at least two images of each, since part of them is held back "
        "to test on. Upload a folder with one sub-folder for each class on Home, or take a built-in set:"
    )
    with st.container(horizontal=True):
        for name in ("shapes", "views", "digits"):
            st.button(f"Use the {name}", on_click=setattr, args=(session, "images", name))
    return None


def _obstacle(images: ImageSet, column: str) -> str:
    """Why the labels cannot be learned; empty where they can."""
    counts = Counter(images.labels_for(column).tolist())
    single = [label for label, count in counts.items() if count < 2]
    if single:
        return f"{len(single)} of the {len(counts)} labels in “{column}” have one image only, such as “{single[0]}”."
    return "" if len(counts) > 1 else f"All {len(images)} images have the same “{column}”."


def compute(session: Session, backbone: Backbone, images: ImageSet, layer: LayerInfo, column: str) -> Lesson:
    """Probe the layer and what it is compared with.

    Raises:
        Stopped: The person has stopped the computation.
    """
    batch = compute_vectors(session, backbone, images, [layer.path])
    images = batch.images
    y = images.labels_for(column)
    random = None
    if backbone.weights == "imagenet":
        untrained = load_network(session.model, "random", session.top, session.size)
        random = compute_all_vectors(session, untrained, images, [layer.path])[layer.path]
    return Lesson(
        images,
        batch.skipped,
        layer=train_probe(session, batch.vectors[layer.path], y, layer.path),
        random=None if random is None else train_probe(session, random, y, "random weights"),
        pixels=train_probe(session, raw_pixels(images), y, "raw pixels"),
    )


def show_accuracy(session: Session, lesson: Lesson, column: str) -> None:
    """The accuracies side by side."""
    probe = lesson.layer
    st.subheader(f"{plain(column)}: {probe.mean_accuracy:.0%} right", anchor=False)
    rows: list[tuple[str, float, float | None]] = [(session.layer, probe.mean_accuracy, probe.std_accuracy)]
    if lesson.random is not None:
        rows.append(("random weights", lesson.random.mean_accuracy, lesson.random.std_accuracy))
    rows.append(("raw pixels", lesson.pixels.mean_accuracy, lesson.pixels.std_accuracy))
    rows.append(("commonest label", probe.majority_accuracy, None))
    best = max(rows[1:-1], key=lambda row: row[1])
    if best[1] > probe.mean_accuracy + max(probe.std_accuracy, best[2] or 0):  # not by chance
        st.info(
            f"Here {best[0]} {'do' if best[0].endswith('s') else 'does'} better: this layer has dropped what the task "
            "needs. Try another layer."
        )
    said = "; ".join(f"{name} {mean:.0%}" for name, mean, _ in rows)
    st.plotly_chart(plots.accuracy_bars(rows), key="accuracy", alt=f"Accuracy: {said}.")
    st.caption(
        f"A logistic regression on the layer's average-pooled vectors, the network frozen. {probe.cv}-fold stratified "
        f"cross-validation over {len(probe.labels):,} images with a fixed seed; error bars are the standard deviation "
        "over the folds. Compared with the same layer under random weights, with 16 × 16 raw pixels, and with always "
        "answering the commonest label."
    )


def show_confusion(lesson: Lesson) -> None:
    """Which label is taken for which."""
    probe = lesson.layer
    st.subheader("What is taken for what", anchor=False)
    st.plotly_chart(
        plots.confusion_heatmap(probe.confusion, probe.classes),
        key="confusion",
        width="content",
        alt=f"Confusion matrix of {len(probe.classes)} labels: {len(probe.mistakes)} of {len(probe.labels)} are wrong.",
    )


def show_mistakes(lesson: Lesson) -> None:
    """The images that got the wrong label."""
    images, probe = lesson.images, lesson.layer
    st.subheader("The mistakes", anchor=False)
    if not len(probe.mistakes):
        st.success(f"None: all {len(images):,} images got the right label while they were held back.")
        return
    shown = probe.mistakes[:MISTAKES].tolist()
    st.markdown(
        f"{len(probe.mistakes):,} of {len(images):,} images got the wrong label while they were held back"
        + (f"; the first {MISTAKES}:" if len(probe.mistakes) > MISTAKES else ":")
    )
    thumbnail_row(
        "mistakes",
        images[shown],
        shown,
        captions=[f"{probe.labels[i]} → {probe.predictions[i]}" for i in shown],
        side=120,
    )
