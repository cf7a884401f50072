"""Parts of the compare page: one image in two networks side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import streamlit as st

from featlib import plots
from featlib.analysis import ProbeDifference, compare_probes
from featlib.errors import FeatlibError
from featlib.features import feature_maps
from featlib.images import ImageItem, ImageSet, load_samples
from featlib.models import (
    DEFAULT_MODEL,
    Backbone,
    LayerInfo,
    ModelChoice,
    find_choice,
    find_layer,
    list_models,
    parse_model_name,
    weights_on_disk,
)
from featlib.recipes import CodeContext
from featlib.ui.compute import (
    compute_all_vectors,
    compute_vectors,
    load_network,
    neighbor_agreement,
    raw_pixels,
    train_probe,
    warn_skipped,
)
from featlib.ui.frame import code_context
from featlib.ui.session import OWN, Session, Weights, bind
from featlib.ui.text import plain
from featlib.ui.uploads import KEEP_SECONDS
from featlib.ui.widgets import (
    RGB,
    SCALE,
    TILE,
    find_obstacle,
    format_shape,
    has_several,
    layer_title,
    pick_column,
    pick_part,
    save_picture,
    show_chart,
    show_predicted,
    show_prediction,
    warn_single,
)

CHANNELS, COLUMNS = 15, 5
USUAL_SIZE = 224
WEIGHTS = {"imagenet": "ImageNet weights", "random": "random weights"}


@dataclass(frozen=True, eq=False)
class ComparedModel:
    """One of the two networks.

    Attributes:
        side: "left" or "right".
        session: The choices with this network.
        backbone: The network.
        layer: The layer shown.
    """

    side: str
    session: Session
    backbone: Backbone
    layer: LayerInfo

    @property
    def context(self) -> CodeContext:
        """The choices that a program about this network needs."""
        return replace(code_context(self.session, self.backbone), layer=self.layer.path)

    @property
    def title(self) -> str:
        """Name, weights and input size, in Markdown."""
        name, weights = network_title(self.backbone).split(" · ", 1)
        return f"**{plain(name)}** · {plain(weights)} · {format_shape(self.backbone.input_shape[:2])}"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Labeled images on which the vectors of both networks are evaluated.

    Attributes:
        images: The images; no label has a single one.
        column: Their label column.
        is_chosen: Whether they are of the set that the user has chosen, not the built-in views.
        limit: The size of the sample that they are of; None for all images.
        skip_single: Whether classes with a single image were skipped.
    """

    images: ImageSet
    column: str
    is_chosen: bool
    limit: int | None = None
    skip_single: bool = False


def network_title(backbone: Backbone) -> str:
    """Return the name and the weights of a network."""
    return f"{backbone.name} · {WEIGHTS.get(backbone.weights, f'weights: {backbone.weights}')}"


def pick_other(session: Session, labels: tuple[str, str] = ("Network on the right", "Weights on the right")) -> Session:
    """Return the choices of the network on the right: the user's, or what is most worth comparing with."""
    choices = {choice.name: choice for choice in list_models()}
    # What is on a side already and has options, such as a width, is offered too.
    written = [name for name in (session.model, session.other) if name not in ("", OWN, *choices)]
    choices = {name: find_choice(parse_model_name(name)[0]) for name in written} | choices
    possible = {name: _possible_weights(session, name, choice) for name, choice in choices.items()}

    def describe(name: str) -> str:
        if name == session.model:
            return f"{name} (the same network)"
        return name if "imagenet" in possible[name] else f"{name} (random weights only)"

    usual = session.model if possible.get(session.model) else DEFAULT_MODEL
    name = session.other if possible.get(session.other) else usual
    weights = session.other_weights if session.other_weights in possible[name] else possible[name][0]
    for field, shown in (("other", name), ("other_weights", weights)):
        if getattr(session, field) not in ("", shown):
            session.report(field, shown)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            labels[0],
            [name for name, options in possible.items() if options],
            format_func=describe,
            width=340,
            help="ImageNet weights are offered if their file is on this machine.",
            **bind("other", shown=name),
        )
        st.segmented_control(
            labels[1],
            possible[name],
            format_func=WEIGHTS.__getitem__,
            required=True,
            **bind("other_weights", shown=weights),
        )
    # Another network gets images of the size it was trained on; an untrained one those of the network on the left.
    same_size = name == session.model or (weights == "random" and session.size in choices[name].input_sizes)
    size = session.size if same_size else choices[name].input_size or USUAL_SIZE
    return replace(session, model=name, weights=cast("Weights", weights), size=size)


def load_other(other: Session) -> Backbone:
    """Load the network on the right."""
    return load_network(other.model, other.weights, other.top, other.size)


def pick_other_layer(session: Session, left: ComparedModel, backbone: Backbone) -> LayerInfo:
    """Return the layer on the right: of the same network the same one, else the user's choice or the most similar."""
    paths = [info.path for info in backbone.layers if not info.reason]
    if backbone.name == left.backbone.name and left.layer.path in paths:
        return find_layer(backbone, left.layer.path)
    path = session.other_layer or _most_similar(left.layer, backbone)
    try:
        find_layer(backbone, path)
    except FeatlibError as error:
        session.other_layer, path = "", _most_similar(left.layer, backbone)
        st.warning(plain(f"{error} Showing '{path}'."))
    infos = {info.path: info for info in backbone.layers}
    st.selectbox(
        f"Right layer ({len(paths)})",
        paths,
        format_func=lambda path: layer_title(infos[path]),
        width=340,
        **bind("other_layer", shown=path),
    )
    return infos[path]


def show_models(models: list[ComparedModel], item: ImageItem) -> None:
    """Show the predictions and the first channels of both."""
    outputs = []
    for model in models:
        paths = [model.layer.path, *filter(None, [model.backbone.prediction_layer])]
        outputs.append(_outputs(model.backbone.fingerprint, item.id, paths, model.backbone, item))
    predictions = [part.get(model.backbone.prediction_layer or "") for model, part in zip(models, outputs, strict=True)]
    longest = max((float(part.max()) for part in predictions if part is not None), default=1.0)
    columns = st.columns(len(models), border=True)
    for column, model, part, probabilities in zip(columns, models, outputs, predictions, strict=True):
        with column:
            st.markdown(model.title)
            if probabilities is None:
                st.info(f"It ends at {plain(model.backbone.feature_layer)} and has no classification head.")
            else:
                show_prediction(model.backbone, probabilities, f"classes {model.side}", longest)
            _show_layer(model, part[model.layer.path])
    st.caption(
        "Tiles with the same number do not correspond: which channel learns what is random, "
        "so the channels of two networks have no common order."
    )


def pick_evaluation(session: Session, images: ImageSet) -> Evaluation:
    """Return the chosen images if they have labels that can be learned, else the built-in views."""
    st.subheader("How good are the vectors?", anchor=False)
    column = pick_column(session, images)
    if find_obstacle(images, column):
        st.markdown(
            "Twelve views of each of ten photos: cropped, mirrored, darker, gray. Good vectors put the views of one "
            "photo next to each other. Images of your own with a sub-folder per class take their place."
        )
        return Evaluation(load_samples("views"), "photo", is_chosen=False)
    part = pick_part(session, images, column)
    labels = part.labels_for(column)
    warn_single(labels)
    several = has_several(labels)
    st.markdown(f"Evaluated on {several.sum():,} of these {len(images):,} images by their “{plain(column)}”.")
    limit = len(part) if len(part) < len(images) else None
    return Evaluation(part[several], column, is_chosen=True, limit=limit, skip_single=not several.all())


def show_vector_quality(
    session: Session, models: list[ComparedModel], evaluation: Evaluation, images: ImageSet
) -> None:
    """Show how well the vectors of both tell the labels, and which images only one gets right.

    Args:
        session: The choices.
        models: Both networks.
        evaluation: The labeled images.
        images: The set that the user has chosen.
    """
    # The layer shown, and the one that transfer learning usually starts from.
    layers = [list(dict.fromkeys([model.layer.path, model.backbone.feature_layer])) for model in models]
    batch = compute_vectors(session, models[0].backbone, evaluation.images, layers[0])
    warn_skipped(batch.skipped)
    labels = batch.images.labels_for(evaluation.column)
    vectors = [batch.vectors, compute_all_vectors(session, models[1].backbone, batch.images, layers[1])]
    probes = []
    for column, model, part in zip(st.columns(2, border=True), models, vectors, strict=True):
        with column:
            st.markdown(model.title)
            for path, X in part.items():
                agreement = neighbor_agreement(X, labels)
                st.metric(f"5 nearest neighbors, {plain(path)}", f"{agreement:.0%}", help="Leave-one-out accuracy")
            probes.append(train_probe(session, part[model.layer.path], labels, model.layer.path))
            accuracy = f"{probes[-1].mean_accuracy:.0%} ± {probes[-1].std_accuracy:.0%}"
            st.metric(f"Linear probe, {plain(model.layer.path)}", accuracy, help="± standard deviation over the folds")
    difference = compare_probes(*probes)
    names = [f"{network_title(model.backbone)}, {model.layer.path}" for model in models]
    st.markdown(f"Linear probes: {plain(describe_gain(difference, *names))}")
    pixels = neighbor_agreement(raw_pixels(batch.images), labels)
    st.caption(
        f"Global average of each channel. {probes[0].cv}-fold stratified cross-validation, the same folds for both. "
        f"Without a network, from raw pixels shrunk to 16 × 16, 5 nearest neighbors: {pixels:.0%}. "
        f"Always the majority class: {probes[0].majority_accuracy:.0%}."
    )
    for name, rows, wrong in zip(names, (difference.only_first, difference.only_second), probes[::-1], strict=True):
        if len(rows):
            st.markdown(f"**Correct with {plain(name)} only: {len(rows):,}** · below, what the other one predicts")
            whole = images if evaluation.is_chosen else evaluation.images
            built_in = "" if evaluation.is_chosen else evaluation.images.name
            show_predicted(f"only {name}", whole, batch.images, rows, wrong, built_in=built_in)


def describe_gain(difference: ProbeDifference, first: str, second: str) -> str:
    """Say which of two networks has the better probe, unless the difference is within its spread over the folds."""
    points = (
        f"{abs(difference.mean_gain) * 100:.1f} ± {difference.std_gain * 100:.1f} percentage points over "
        f"{len(difference.gains)} folds"
    )
    if not difference.is_clear:
        return f"the difference of {points} is within its spread, so these images do not tell which network is better."
    better = second if difference.mean_gain > 0 else first
    return f"{better} is better by {points}, more than the spread."


def _possible_weights(session: Session, name: str, choice: ModelChoice) -> list[str]:
    """Return the weights that a network can have on the right; the network on the left needs others than it has."""
    same = name == session.model
    size = session.size if same else choice.input_size
    usual = name == choice.name  # which files networks with options have is not known
    options = ["imagenet"] if usual and weights_on_disk(choice, session.top, size) else []
    return [weights for weights in [*options, "random"] if not (same and weights == session.weights)]


def _most_similar(layer: LayerInfo, backbone: Backbone) -> str:
    """Return the stage output with the nearest resolution; for a layer without maps, the last of its kind."""
    if layer.kind != "maps":
        alike = [info.path for info in backbone.layers if info.kind == layer.kind and not info.reason]
        return alike[-1] if alike else backbone.feature_layer
    ends = [info for info in backbone.layers if info.stage_end and info.output_shape[0]]
    if not ends:
        return backbone.feature_layer
    wanted = math.log(layer.output_shape[0] or 1)
    return min(reversed(ends), key=lambda end: abs(math.log(end.output_shape[0] or 1) - wanted)).path


def _show_layer(model: ComparedModel, output: np.ndarray) -> None:
    layer = model.layer
    st.markdown(f"**{plain(layer.path)}** · {format_shape(layer.output_shape)}")
    if layer.kind != "maps":
        figure = plots.channel_bars(output.reshape(-1))
        alt = f"The {output.size:,} values of {layer.path}."
        show_chart(figure, key=f"vector {model.side}", alt=alt, name=f"{layer.path} vector")
        return
    count = min(CHANNELS, output.shape[-1])
    picture = plots.mosaic(output, range(count), tile=TILE, columns=COLUMNS)
    st.image(
        picture.png,
        width=picture.codes.shape[1],
        alt=f"The first {count} of {output.shape[-1]:,} channels of {layer.path}, on the {model.side}.",
    )

    def draw(text: RGB) -> np.ndarray:
        return plots.mosaic(output, range(count), tile=TILE * SCALE, columns=COLUMNS, text_color=text).image

    name = f"{network_title(model.backbone)}, {layer.path}"
    title = f"{name}: {count} of {output.shape[-1]:,} channels"
    save_picture(draw, title, key=f"save {model.side}", name=name)


@st.cache_data(ttl=KEEP_SECONDS, show_spinner=False)
def _outputs(
    fingerprint: str, image_id: str, layers: list[str], _backbone: Backbone, _item: ImageItem
) -> dict[str, np.ndarray]:
    return {layer: output[0] for layer, output in feature_maps(_backbone, [_item], layers).items()}
