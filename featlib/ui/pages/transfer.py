"""Parts of the transfer page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st

from featlib import plots
from featlib.analysis import ProbeResult
from featlib.images import ImageSet
from featlib.models import Backbone, LayerInfo
from featlib.ui.compute import compute_all_vectors, compute_vectors, load_network, raw_pixels, train_probe
from featlib.ui.session import Session, bind, choose
from featlib.ui.text import plain
from featlib.ui.widgets import PickedPoints, show_chart, show_predicted


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


def compute_probes(
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
        f"cross-validation over {probe.n_used:,} images with a fixed seed; error bars are the standard deviation "
        "over the folds. Compared with the same layer with random weights, with 16 × 16 raw pixels, and with always "
        "predicting the majority class."
    )


def show_confusion(session: Session, probe: ProbeResult) -> None:
    """Show the confusion matrix; a click on a cell chooses it."""

    def choose_cell(points: PickedPoints) -> None:
        true, predicted = (int(i) for i in np.ravel(points[0]["customdata"]))
        choose("cell", _write_cell(probe.classes[true], probe.classes[predicted]))

    cells = [_write_cell(true, predicted) for true in probe.classes for predicted in probe.classes]
    st.subheader("Confusion matrix", anchor=False)
    selected = divmod(cells.index(session.cell), len(probe.classes)) if session.cell in cells else None
    show_chart(
        plots.confusion_heatmap(probe.confusion, probe.classes, selected=selected),
        key=f"confusion {' '.join(map(str, probe.classes))}",
        name=f"{session.layer} confusion matrix",
        width="content",
        on_select=choose_cell,
        alt=f"Confusion matrix of {len(probe.classes)} labels: {len(probe.mistakes)} of {probe.n_used} are wrong.",
    )


def show_mistakes(session: Session, probe: ProbeResult, part: ImageSet, images: ImageSet) -> None:
    """Show the misclassified images, or those of a cell of the confusion matrix, the most confident first.

    Args:
        session: The choices.
        probe: The probe.
        part: The images learned from, in the order of the probe's rows.
        images: The whole set.
    """
    cells = _list_cells(probe, session.cell)
    if session.cell and session.cell not in cells:
        session.report("cell", "every misclassified image")
    cell = session.cell if session.cell in cells else ""
    counts = {name: f"{name} ({len(rows):,})" for name, rows in cells.items()}
    st.subheader("Images of one cell" if cell else "Misclassified images", anchor=False)
    st.selectbox(
        "Images shown",
        ["", *cells],
        format_func={"": f"all misclassified ({len(probe.mistakes):,})", **counts}.__getitem__,
        width=320,
        help="True class → predicted class. A click on a cell of the matrix chooses it too.",
        **bind("cell", shown=cell),
    )
    rows = cells[cell] if cell else probe.mistakes
    if not len(rows):
        st.success("None." if cell else f"None: all {probe.n_used:,} images were classified correctly when held out.")
        return
    what = f"are {cell}" if cell else "were misclassified"
    st.markdown(f"{len(rows):,} of {probe.n_used:,} images {plain(what)} when held out, the most confident first.")
    show_predicted(f"mistakes {cell}", images, part, rows, probe)


def _list_cells(probe: ProbeResult, chosen: str) -> dict[str, np.ndarray]:
    """Return the rows of each cell of the confusion matrix that has any or is chosen, the largest mistakes first."""
    cells = {}
    order = np.argsort(-(probe.confusion - np.diag(np.diag(probe.confusion))), axis=None, kind="stable")
    for i, j in zip(*np.unravel_index(order, probe.confusion.shape), strict=True):
        true, predicted = probe.classes[[i, j]]
        cell = _write_cell(true, predicted)
        if probe.confusion[i, j] or cell == chosen:
            cells[cell] = np.flatnonzero((probe.labels == true) & (probe.predictions == predicted))
    return cells


def _write_cell(true: object, predicted: object) -> str:
    """Name a cell of the confusion matrix, on screen and in a link."""
    return f"{true} → {predicted}"
