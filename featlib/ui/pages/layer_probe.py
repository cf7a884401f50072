"""Parts of the layer probe page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st

from featlib import plots
from featlib.analysis import ProbeResult
from featlib.images import ImageSet
from featlib.models import Backbone, find_layer
from featlib.transfer import LayerProbe, stage_layers
from featlib.ui.compute import compute_vectors, raw_pixels, train_probe
from featlib.ui.session import Session, bind, choose
from featlib.ui.text import plain
from featlib.ui.widgets import PickedPoints, format_shape, show_chart


@dataclass(frozen=True)
class DepthCurve:
    """What a linear probe reaches at each depth, and without any network.

    Attributes:
        layers: The probes on the layers.
        pixels: The probe on raw pixels.
        skipped: Which images were skipped, and why.
    """

    layers: LayerProbe
    pixels: ProbeResult
    skipped: str


def compute_curve(session: Session, backbone: Backbone, images: ImageSet, column: str) -> DepthCurve:
    """Train a probe on each stage output, from one forward pass.

    Raises:
        Stopped: The user has stopped the computation.
    """
    paths = stage_layers(backbone)
    batch = compute_vectors(session, backbone, images, paths)
    y = batch.images.labels_for(column)
    results = tuple(train_probe(session, batch.vectors[path], y, path) for path in paths)
    pixels = train_probe(session, raw_pixels(batch.images), y, "raw pixels")
    return DepthCurve(LayerProbe(paths, results), pixels, batch.skipped)


def show_curve(session: Session, backbone: Backbone, curve: DepthCurve, column: str) -> None:
    """Show accuracy over depth; a click on a point chooses its layer."""
    probes, pixels = curve.layers, curve.pixels
    means = probes.mean_accuracies
    best = int(means.argmax())
    st.subheader(_headline(probes, column), anchor=False)
    if pixels.mean_accuracy > means[best] + max(pixels.std_accuracy, probes.std_accuracies[best]):
        st.info("Here raw pixels do better than any of these layers: the network drops what the task needs.")
    key = f"depth {backbone.fingerprint}"

    def choose_clicked(points: PickedPoints) -> None:
        layer = points[0].get("customdata")
        if layer is not None:
            choose("layer", str(np.ravel(layer)[0]))

    summary = "; ".join(f"{path} {mean:.0%}" for path, mean in zip(probes.layers, means, strict=True))
    show_chart(
        plots.accuracy_curve(
            probes.layers,
            means,
            probes.std_accuracies,
            notes=[format_shape(find_layer(backbone, path).output_shape) for path in probes.layers],
            baselines=[("raw pixels", pixels.mean_accuracy), ("majority class", probes.majority_accuracy)],
            chosen=session.layer,
        ),
        key=key,
        on_select=choose_clicked,
        name=f"{backbone.name} accuracy over depth",
        alt=f"Accuracy of each stage output, the first on the left: {summary}. "
        f"Raw pixels {pixels.mean_accuracy:.0%}, majority class {probes.majority_accuracy:.0%}.",
    )
    accuracies = dict(zip(probes.layers, means, strict=True))
    st.segmented_control(
        "Continue with",
        list(accuracies),
        format_func=lambda path: f"{path} · {accuracies[path]:.0%}",
        help="The layer that the other pages show. A click on a point of the curve chooses it too.",
        **bind("layer", second="_probed", shown=session.layer if session.layer in accuracies else None),
    )
    st.caption(_method(probes))


def _method(probes: LayerProbe) -> str:
    """Say how the accuracies were measured, and whether the best layer stands out."""
    result, means, best = probes.results[0], probes.mean_accuracies, int(probes.mean_accuracies.argmax())
    near = int(np.sum(means + probes.std_accuracies[best] >= means[best]))
    text = (
        f"A logistic regression on each layer's average-pooled vectors, the network frozen. {result.cv}-fold "
        f"stratified cross-validation over {len(result.labels):,} images, the same folds for each layer; error bars "
        "are the standard deviation over the folds."
    )
    if near == 1:
        return text
    return (
        f"{text} {near} of {len(means)} layers lie within one standard deviation of the best: the difference is within "
        "the noise; more images would settle it."
    )


def _headline(probes: LayerProbe, column: str) -> str:
    means = probes.mean_accuracies
    top = means.max()
    best = [plain(path) for path, mean in zip(probes.layers, means, strict=True) if mean == top]
    if len(best) == 1:
        return f"Best layer for “{plain(column)}”: {best[0]}, {top:.0%} correct"
    names = f"{', '.join(best[:-1])} and {best[-1]}"
    return f"{len(best)} layers tie for “{plain(column)}” at {top:.0%}: {names}"
