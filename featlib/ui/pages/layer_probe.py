"""Parts of the layer probe page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from featlib import plots
from featlib.analysis import ProbeResult, compare_probes
from featlib.images import ImageSet
from featlib.models import Backbone, find_layer
from featlib.transfer import LayerProbe, stage_layers
from featlib.ui.compute import compute_vectors, raw_pixels, train_probe
from featlib.ui.pages.compare import describe_gain, network_title, pick_other
from featlib.ui.session import Session, bind, choose
from featlib.ui.text import plain
from featlib.ui.widgets import PickedPoints, format_shape, show_chart

COUNTS = {2: "Two", 3: "Three", 4: "Four", 5: "Five", 6: "Six"}


def pick_second(session: Session) -> Session | None:
    """Return the choices of the second network whose curve is drawn, or None."""
    st.toggle(
        "Compare with a second network",
        help="The curves of both on the same images and folds. The second network is that of the Compare page.",
        **bind("both"),
    )
    return pick_other(session, labels=("Second network", "Weights of the second network")) if session.both else None


def compute_curve(session: Session, backbone: Backbone, images: ImageSet, column: str) -> tuple[LayerProbe, str]:
    """Train a probe on each stage output, from one forward pass.

    Returns:
        The probes, and which images were skipped and why.

    Raises:
        Stopped: The user has stopped the computation.
    """
    paths = stage_layers(backbone)
    batch = compute_vectors(session, backbone, images, paths)
    y = batch.images.labels_for(column)
    results = tuple(train_probe(session, batch.vectors[path], y, path) for path in paths)
    return LayerProbe(paths, results, batch.images, column), batch.skipped


def compute_pixels(session: Session, curve: LayerProbe) -> ProbeResult:
    """Train a probe on the raw pixels of the same images.

    Raises:
        Stopped: The user has stopped the computation.
    """
    return train_probe(session, raw_pixels(curve.images), curve.results[0].labels, "raw pixels")


def show_curves(
    session: Session, backbones: Sequence[Backbone], curves: Sequence[LayerProbe], pixels: ProbeResult
) -> None:
    """Show accuracy over depth; a click on a point chooses its layer.

    Args:
        session: The choices.
        backbones: The network, and a second one if two are compared.
        curves: The probes on each.
        pixels: The probe on raw pixels.
    """
    probes, names = curves[0], [network_title(backbone) for backbone in backbones]
    means = probes.mean_accuracies
    best = int(means.argmax())
    st.subheader(_headline(curves), anchor=False)
    if len(curves) == 2:
        st.markdown(_compare_best(curves, names))
    if pixels.mean_accuracy > means[best] + max(pixels.std_accuracy, probes.std_accuracies[best]):
        st.info("Here raw pixels do better than any of these layers: the network drops what the task needs.")

    def choose_clicked(points: PickedPoints) -> None:
        layer = points[0].get("customdata")
        if layer is not None:  # no point of the second network has it
            choose("layer", str(np.ravel(layer)[0]))

    figure = plots.accuracy_curve(
        probes.layers,
        means,
        probes.std_accuracies,
        notes=[format_shape(find_layer(backbones[0], path).output_shape) for path in probes.layers],
        baselines=[("raw pixels", pixels.mean_accuracy), ("majority class", probes.majority_accuracy)],
        chosen=session.layer,
        name=names[0],
    )
    for curve, name in zip(curves[1:], names[1:], strict=True):
        plots.add_accuracy_curve(figure, curve.layers, curve.mean_accuracies, curve.std_accuracies, name=name)
    summary = ". ".join(f"{name}: {_list_accuracies(curve)}" for name, curve in zip(names, curves, strict=True))
    show_chart(
        figure,
        key=f"depth {' '.join(backbone.fingerprint for backbone in backbones)}",
        on_select=choose_clicked,
        name=f"{' and '.join(backbone.name for backbone in backbones)} accuracy over depth",
        alt=f"Accuracy of each stage output, the first on the left. {summary}. "
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
    st.caption(_method(probes, pixels))


def _list_accuracies(probes: LayerProbe) -> str:
    return "; ".join(f"{path} {mean:.0%}" for path, mean in zip(probes.layers, probes.mean_accuracies, strict=True))


def _method(probes: LayerProbe, pixels: ProbeResult) -> str:
    """Say how the accuracies were measured, and whether the best layer stands out."""
    result, means, best = probes.results[0], probes.mean_accuracies, int(probes.mean_accuracies.argmax())
    near = int(np.sum(means + probes.std_accuracies[best] >= means[best]))
    text = (
        f"A logistic regression on each layer's average-pooled vectors, the network frozen. {result.cv}-fold "
        f"stratified cross-validation over {result.n_used:,} images, the same folds for each layer; error bars "
        "are the standard deviation over the folds."
    )
    if near > 1:
        text += (
            f" {near} of {len(means)} layers lie within one standard deviation of the best: these images do not tell "
            "which of them is better."
        )
    if abs(pixels.mean_accuracy - means[best]) <= probes.std_accuracies[best]:
        text += " Raw pixels do as well: the task is too easy to compare layers by."
    return text


def _headline(curves: Sequence[LayerProbe]) -> str:
    probes = curves[0]
    if len(curves) == 2:
        return f"Best layer of each network for “{plain(probes.column)}”"
    means = probes.mean_accuracies
    best = [plain(path) for path, mean in zip(probes.layers, means, strict=True) if mean == means.max()]
    if len(best) == 1:
        return f"Best layer for “{plain(probes.column)}”: {best[0]}, {means.max():.0%} correct"
    names = f"{', '.join(best[:-1])} and {best[-1]}"
    return f"{COUNTS.get(len(best), len(best))} layers tie at {means.max():.0%} for “{plain(probes.column)}”: {names}"


def _compare_best(curves: Sequence[LayerProbe], names: Sequence[str]) -> str:
    """Say how the best layers of two networks differ."""
    best = [curve.results[int(curve.mean_accuracies.argmax())] for curve in curves]
    reached = [
        f"**{plain(name)}**: {plain(curve.best)}, {result.mean_accuracy:.0%} correct"
        for name, curve, result in zip(names, curves, best, strict=True)
    ]
    return f"{'; '.join(reached)}. {plain(describe_gain(compare_probes(*best), *names))}"
