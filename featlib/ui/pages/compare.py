"""Parts of the compare page: one image in two networks side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import streamlit as st

from featlib import plots
from featlib.errors import FeatlibError
from featlib.features import feature_maps
from featlib.images import ImageItem, load_samples
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
from featlib.ui.compute import compute_all_vectors, load_network, neighbor_agreement, raw_pixels
from featlib.ui.frame import code_context
from featlib.ui.session import OWN, Session, Weights, bind
from featlib.ui.text import plain
from featlib.ui.widgets import TILE, format_shape, layer_title, show_chart, show_prediction

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
        weights = WEIGHTS.get(self.backbone.weights, f"weights: {self.backbone.weights}")
        size = format_shape(self.backbone.input_shape[:2])
        return f"**{plain(self.backbone.name)}** · {plain(weights)} · {size}"


def pick_other(session: Session) -> Session:
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
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Network on the right",
            [name for name, options in possible.items() if options],
            format_func=describe,
            width=340,
            help="ImageNet weights are offered if their file is on this machine.",
            **bind("other", shown=name),
        )
        st.segmented_control(
            "Weights on the right",
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


def show_vector_quality(session: Session, models: list[ComparedModel]) -> None:
    """Show how well the vectors of both tell the photos of the built-in views apart."""
    st.subheader("How good are the vectors?", anchor=False)
    st.markdown(
        "Twelve views of each of ten photos: cropped, mirrored, darker, gray. Good vectors put the views of one photo "
        "next to each other: the 5 nearest neighbors of a view show its photo. 5-nearest-neighbor accuracy:"
    )
    images = load_samples("views")
    labels = images.labels_for("photo")
    vectors = []
    for model in models:
        # The layer shown, and the one that transfer learning usually starts from.
        layers = [model.layer.path, model.backbone.feature_layer]
        vectors.append(compute_all_vectors(session, model.backbone, images, layers))
    for column, model, part in zip(st.columns(len(models), border=True), models, vectors, strict=True):
        column.markdown(model.title)
        for path, X in part.items():
            column.metric(plain(path), f"{neighbor_agreement(X, labels):.0%}", help="Global average of each channel")
    raw = neighbor_agreement(raw_pixels(images), labels)
    st.caption(f"Without any network, from the pixels themselves, shrunk to 16 × 16: {raw:.0%}. Chance level: 10%.")


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


@st.cache_data(show_spinner=False)
def _outputs(
    fingerprint: str, image_id: str, layers: list[str], _backbone: Backbone, _item: ImageItem
) -> dict[str, np.ndarray]:
    return {layer: output[0] for layer, output in feature_maps(_backbone, [_item], layers).items()}
