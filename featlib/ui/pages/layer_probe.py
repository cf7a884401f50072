"""Parts of the page that asks which layer is best."""

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
from featlib.ui.session import Session, bind, widget_value
from featlib.ui.text import plain
from featlib.ui.widgets import format_shape


@dataclass(frozen=True)
class Curve:
    """What a head reaches at each depth, and without any network.

    Attributes:
        layers: the probes on the layers.
        pixels: the probe on shrunken raw pixels.
        skipped: which images were skipped, and why.
    """

    layers: LayerProbe
    pixels: ProbeResult
    skipped: str


def compute(session: Session, backbone: Backbone, images: ImageSet, column: str) -> Curve:
    """Probe the end of each stage, from one forward pass.

    Raises:
        Stopped: The person has stopped the computation.
    """
    paths = stage_layers(backbone)
    found = compute_vectors(session, backbone, images, paths)
    y = found.images.labels_for(column)
    results = tuple(train_probe(session, found.vectors[path], y, path) for path in paths)
    pixels = train_probe(session, raw_pixels(found.images), y, "raw pixels")
    return Curve(LayerProbe(paths, results), pixels, found.skipped)


def show_curve(session: Session, backbone: Backbone, curve: Curve, column: str) -> None:
    """Accuracy over depth; a click on a point chooses its layer."""
    found = curve.layers
    best = found.layers.index(found.best)
    top = found.mean_accuracies[best]
    equal = int((found.mean_accuracies == top).sum())
    said = (
        f"{plain(found.best)} is best" if equal == 1 else f"{equal} layers are equally good, {plain(found.best)} first"
    )
    st.subheader(f"{plain(column)}: {said}, {top:.0%} right", anchor=False)
    if curve.pixels.mean_accuracy > top + max(curve.pixels.std_accuracy, found.std_accuracies[best]):
        st.info("Here raw pixels do better than any of these layers: the network drops what the task needs.")
    key = f"depth {backbone.fingerprint}"
    said = "; ".join(f"{path} {mean:.0%}" for path, mean in zip(found.layers, found.mean_accuracies, strict=True))
    st.plotly_chart(
        plots.accuracy_curve(
            found.layers,
            found.mean_accuracies,
            found.std_accuracies,
            notes=[format_shape(find_layer(backbone, path).output_shape) for path in found.layers],
            baselines=[("raw pixels", curve.pixels.mean_accuracy), ("commonest label", found.majority_accuracy)],
            chosen=session.layer,
        ),
        key=key,
        on_select=lambda: _choose(session, widget_value(key)),
        selection_mode=("points",),
        config={"displayModeBar": False},
        alt=f"Accuracy at the end of each stage, the first on the left: {said}. "
        f"Raw pixels {curve.pixels.mean_accuracy:.0%}, the commonest label {found.majority_accuracy:.0%}.",
    )
    _show_choice(session, found)
    _explain(found)


def _choose(session: Session, event: dict | None) -> None:
    points = event["selection"]["points"] if event else []
    for point in points:
        layer = point.get("customdata")
        session.choose("layer", layer[0] if isinstance(layer, list | tuple) else layer)


def _show_choice(session: Session, found: LayerProbe) -> None:
    accuracies = dict(zip(found.layers, found.mean_accuracies, strict=True))
    st.segmented_control(
        "Go on with",
        list(accuracies),
        format_func=lambda path: f"{path} · {accuracies[path]:.0%}",
        help="The layer that the other pages show. A click on a point of the curve chooses it too.",
        **bind("layer", second="_probed", shown=session.layer if session.layer in accuracies else None),
    )


def _explain(found: LayerProbe) -> None:
    result = found.results[0]
    spread = _spread(found)
    st.caption(
        f"A logistic regression on each layer's average-pooled vectors, the network frozen. {result.cv}-fold "
        f"stratified cross-validation over {len(result.labels):,} images, the same folds for each layer; error bars "
        f"are the standard deviation over the folds.{spread}"
    )


def _spread(found: LayerProbe) -> str:
    """Warns where the best layer is not clearly better than another one."""
    means, stds = found.mean_accuracies, found.std_accuracies
    best = int(np.argmax(means))
    near = [path for path, mean in zip(found.layers, means, strict=True) if mean + stds[best] >= means[best]]
    if len(near) < 2:
        return ""
    return f" {len(near)} of {len(means)} layers lie within one deviation of the best: more images would tell."
