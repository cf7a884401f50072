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
from featlib.ui.session import Session, bind, choose
from featlib.ui.text import plain
from featlib.ui.widgets import gallery, positions_in, show_chart

MISTAKES = 18


@dataclass(frozen=True)
class ProbeComparison:
    """What a linear probe reaches on a layer, and on the baselines.

    Attributes:
        images: The images learned from.
        skipped: Which images were skipped, and why.
        layer: The probe on the chosen layer's vectors.
        random: The same layer with random weights; None if the network itself has random weights.
        pixels: The probe on raw pixels.
    """

    images: ImageSet
    skipped: str
    layer: ProbeResult
    random: ProbeResult | None
    pixels: ProbeResult


def pick_label(session: Session, images: ImageSet) -> str | None:
    """Return the label column to predict, or None if the set has none that can be learned."""
    columns = images.label_columns
    column = session.label if session.label in columns else columns[0] if columns else ""
    if session.label not in ("", column):
        session.report("label", column or "no label")
    if len(columns) > 1:
        st.segmented_control("Label to predict", columns, required=True, **bind("label", shown=column))
    obstacle = _find_obstacle(images, column) if columns else "These images have no labels."
    if not obstacle:
        return column
    st.info(
        f"{plain(obstacle)} Learning needs labels, and at least two images per label, since some are held out for "
        "testing. Upload a folder with one sub-folder per class on Home, or use a built-in set:"
    )
    with st.container(horizontal=True):
        for name in ("shapes", "views", "digits"):
            st.button(f"Use the {name}", on_click=choose, args=("images", name))
    return None


def _find_obstacle(images: ImageSet, column: str) -> str:
    counts = Counter(images.labels_for(column).tolist())
    single = [label for label, count in counts.items() if count < 2]
    if single:
        return f"{len(single)} of the {len(counts)} labels in “{column}” have only one image, such as “{single[0]}”."
    return "" if len(counts) > 1 else f"All {len(images)} images have the same “{column}”."


def compare_probes(
    session: Session, backbone: Backbone, images: ImageSet, layer: LayerInfo, column: str
) -> ProbeComparison:
    """Train probes on the layer and on its baselines.

    Raises:
        Stopped: The user has stopped the computation.
    """
    batch = compute_vectors(session, backbone, images, [layer.path])
    images = batch.images
    y = images.labels_for(column)
    random = None
    if backbone.weights == "imagenet":
        untrained = load_network(session.model, "random", session.top, session.size)
        random = compute_all_vectors(session, untrained, images, [layer.path])[layer.path]
    return ProbeComparison(
        images,
        batch.skipped,
        layer=train_probe(session, batch.vectors[layer.path], y, layer.path),
        random=None if random is None else train_probe(session, random, y, "random weights"),
        pixels=train_probe(session, raw_pixels(images), y, "raw pixels"),
    )


def show_accuracy(session: Session, comparison: ProbeComparison, column: str) -> None:
    """Show the accuracies side by side."""
    probe = comparison.layer
    st.subheader(f"{plain(column)}: {probe.mean_accuracy:.0%} correct", anchor=False)
    baselines = {"raw pixels": comparison.pixels}
    if comparison.random is not None:
        baselines = {"random weights": comparison.random, **baselines}
    name, best = max(baselines.items(), key=lambda item: item[1].mean_accuracy)
    if best.mean_accuracy > probe.mean_accuracy + max(probe.std_accuracy, best.std_accuracy):  # not by chance
        st.info(f"Here {name} do better: this layer has dropped what the task needs. Try another layer.")
    rows: list[tuple[str, float, float | None]] = [
        (row, result.mean_accuracy, result.std_accuracy) for row, result in {session.layer: probe, **baselines}.items()
    ]
    rows.append(("majority class", probe.majority_accuracy, None))
    summary = "; ".join(f"{row} {mean:.0%}" for row, mean, _ in rows)
    name = f"{session.layer} accuracy"
    show_chart(plots.accuracy_bars(rows), key="accuracy", alt=f"Accuracy: {summary}.", name=name)
    st.caption(
        f"A logistic regression on the layer's average-pooled vectors, the network frozen. {probe.cv}-fold stratified "
        f"cross-validation over {len(probe.labels):,} images with a fixed seed; error bars are the standard deviation "
        "over the folds. Compared with the same layer with random weights, with 16 × 16 raw pixels, and with always "
        "predicting the majority class."
    )


def show_confusion(comparison: ProbeComparison) -> None:
    """Show the confusion matrix."""
    probe = comparison.layer
    st.subheader("Confusion matrix", anchor=False)
    show_chart(
        plots.confusion_heatmap(probe.confusion, probe.classes),
        key="confusion",
        name="confusion matrix",
        width="content",
        alt=f"Confusion matrix of {len(probe.classes)} labels: {len(probe.mistakes)} of {len(probe.labels)} are wrong.",
    )


def show_mistakes(whole: ImageSet, comparison: ProbeComparison) -> None:
    """Show the misclassified images; a click chooses one of the `whole` set."""
    images, probe = comparison.images, comparison.layer
    positions = positions_in(whole, images)
    st.subheader("Misclassified images", anchor=False)
    if not len(probe.mistakes):
        st.success(f"None: all {len(images):,} images were classified correctly when held out.")
        return
    shown = probe.mistakes[:MISTAKES].tolist()
    st.markdown(
        f"{len(probe.mistakes):,} of {len(images):,} images were misclassified when held out"
        + (f"; the first {MISTAKES}:" if len(probe.mistakes) > MISTAKES else ":")
    )
    gallery(
        "mistakes",
        images[shown],
        [positions[i] for i in shown],
        notes=[f"{probe.labels[i]} → {probe.predictions[i]}" for i in shown],
        side=120,
        link=True,
    )
