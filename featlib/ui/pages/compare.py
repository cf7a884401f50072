"""Parts of the page that shows one image to two networks side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

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
from featlib.ui.session import OWN, Session, bind
from featlib.ui.text import plain
from featlib.ui.widgets import TILE, format_shape, layer_title, show_prediction

CHANNELS, COLUMNS = 15, 5
USUAL_SIZE = 224
WEIGHTS = {"imagenet": "ImageNet weights", "random": "random weights"}


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two networks, and the layer looked at."""

    name: str
    session: Session
    backbone: Backbone
    layer: LayerInfo

    @property
    def scene(self) -> CodeContext:
        """The choices that a program about this side needs."""
        return replace(code_context(self.session, self.backbone), layer=self.layer.path)

    @property
    def layers(self) -> list[str]:
        """The layer looked at, and the one that transfer learning usually starts from."""
        return list(dict.fromkeys([self.layer.path, self.backbone.feature_layer]))


def pick_other(session: Session) -> Session:
    """The choices of the network on the right: a person's, or what is most worth comparing with."""
    choices = _choices(session)
    possible = {name: _possible_weights(session, name, choice) for name, choice in choices.items()}
    usual = session.model if possible.get(session.model) else DEFAULT_MODEL
    name = session.other if possible.get(session.other) else usual
    weights = session.other_weights if session.other_weights in possible[name] else possible[name][0]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Network on the right",
            [name for name, options in possible.items() if options],
            format_func=lambda name: _describe(name, session, possible[name]),
            width=340,
            help="ImageNet weights are offered where their file is on this machine.",
            **bind("other", shown=name),
        )
        st.segmented_control(
            "Its weights",
            possible[name],
            format_func=lambda weights: WEIGHTS[weights],
            required=True,
            **bind("other_weights", shown=weights),
        )
    return replace(session, model=name, weights=weights, size=_size(session, name, choices[name], weights))


def load_other(other: Session) -> Backbone:
    """The network on the right."""
    return load_network(other.model, other.weights, other.top, other.size)


def pick_other_layer(session: Session, left: Side, backbone: Backbone) -> LayerInfo:
    """The same layer of the same network; of another the end of the stage most like it, or the person's choice."""
    paths = [info.path for info in backbone.layers if not info.reason]
    if backbone.name == left.backbone.name and left.layer.path in paths:
        return find_layer(backbone, left.layer.path)
    usual = _most_like(left.layer, backbone)
    if session.other_layer and session.other_layer not in paths:
        _say_missing(session, backbone, usual)
    infos = {info.path: info for info in backbone.layers}
    path = session.other_layer or usual
    st.selectbox(
        f"Right layer ({len(paths)})",
        paths,
        format_func=lambda path: layer_title(infos[path]),
        width=340,
        **bind("other_layer", shown=path),
    )
    return infos[path]


def show_sides(sides: list[Side], item: ImageItem) -> None:
    """The classes and the first channels of both."""
    outputs = [
        _outputs(side.backbone.fingerprint, item.id, [side.layer.path, *_classes(side)], side.backbone, item)
        for side in sides
    ]
    longest = max(
        (float(part[path].max()) for side, part in zip(sides, outputs, strict=True) for path in _classes(side)),
        default=1,
    )
    for column, side, part in zip(st.columns(len(sides), border=True), sides, outputs, strict=True):
        with column:
            _show_side(side, part, longest)
    st.caption(
        "Tiles with the same number are not the same thing: which channel learns what is chance, "
        "so the channels of two networks have no common order."
    )


def show_worth(session: Session, sides: list[Side]) -> None:
    """How well the vectors of both tell the photos of the built-in views apart."""
    st.subheader("What are the vectors worth?", anchor=False)
    st.markdown(
        "Twelve views of each of ten photos: cropped, mirrored, darker, grey. Good vectors put the views of one photo "
        "next to each other, so the 5 nearest others name a view's photo. How often they are right:"
    )
    images = load_samples("views")
    labels = images.labels_for("photo")
    parts = [compute_all_vectors(session, side.backbone, images, side.layers) for side in sides]
    for column, side, part in zip(st.columns(len(sides), border=True), sides, parts, strict=True):
        column.markdown(_title(side))
        for path, X in part.items():
            column.metric(plain(path), f"{neighbor_agreement(X, labels):.0%}", help="global average of each channel")
    raw = neighbor_agreement(raw_pixels(images), labels)
    st.caption(f"Without any network, the pixels themselves, shrunk to 16 × 16: {raw:.0%}. Guessing: 10%.")


def _choices(session: Session) -> dict[str, ModelChoice]:
    """The networks by name; what is on a side already and has options, such as a width, is among them."""
    choices = {choice.name: choice for choice in list_models()}
    written = [name for name in (session.model, session.other) if name not in ("", OWN, *choices)]
    return {name: find_choice(parse_model_name(name)[0]) for name in written} | choices


def _possible_weights(session: Session, name: str, choice: ModelChoice) -> list[str]:
    """What weights a network can have on the right; for the network on the left, only others than it has."""
    same = name == session.model
    size = session.size if same else choice.input_size
    usual = name == choice.name  # which files networks with options have is not known
    options = ["imagenet"] if usual and weights_on_disk(choice, session.top, size) else []
    return [weights for weights in [*options, "random"] if not (same and weights == session.weights)]


def _size(session: Session, name: str, choice: ModelChoice, weights: str) -> int:
    """Another network looks at pictures of the size it was trained for; an untrained one at those of the left."""
    same = name == session.model or (weights == "random" and session.size in choice.input_sizes)
    return session.size if same else choice.input_size or USUAL_SIZE


def _describe(name: str, session: Session, options: list[str]) -> str:
    if name == session.model:
        return f"{name} (the same network)"
    return name if "imagenet" in options else f"{name} (random weights only)"


def _most_like(layer: LayerInfo, backbone: Backbone) -> str:
    """Path of the end of a stage with the nearest resolution; of a layer without maps, the last of its kind."""
    if layer.kind != "maps":
        alike = [info.path for info in backbone.layers if info.kind == layer.kind and not info.reason]
        return alike[-1] if alike else backbone.feature_layer
    ends = [info for info in backbone.layers if info.stage_end and info.output_shape[0]]
    if not ends:
        return backbone.feature_layer
    wanted = math.log(layer.output_shape[0] or 1)
    return min(reversed(ends), key=lambda end: abs(math.log(end.output_shape[0] or 1) - wanted)).path


def _say_missing(session: Session, backbone: Backbone, usual: str) -> None:
    try:
        find_layer(backbone, session.other_layer)
    except FeatlibError as error:
        st.warning(plain(f"{error} Showing '{usual}'."))
    session.other_layer = ""


def _title(side: Side) -> str:
    backbone = side.backbone
    weights = WEIGHTS.get(backbone.weights, f"weights: {backbone.weights}")
    return f"**{plain(backbone.name)}** · {plain(weights)} · {format_shape(backbone.input_shape[:2])}"


def _classes(side: Side) -> list[str]:
    path = side.backbone.prediction_layer
    return [path] if path else []


def _show_side(side: Side, outputs: dict[str, np.ndarray], longest: float) -> None:
    st.markdown(_title(side))
    for path in _classes(side):
        show_prediction(side.backbone, outputs[path], f"classes {side.name}", longest)
    if not _classes(side):
        st.info(f"It ends at {plain(side.backbone.feature_layer)} and has no classification head.")
    st.markdown(f"**{plain(side.layer.path)}** · {format_shape(side.layer.output_shape)}")
    output = outputs[side.layer.path]
    if side.layer.kind != "maps":
        figure = plots.channel_bars(output.reshape(-1))
        st.plotly_chart(figure, key=f"vector {side.name}", alt=f"The {output.size:,} values of {side.layer.path}.")
        return
    count = min(CHANNELS, output.shape[-1])
    picture = plots.mosaic(output, range(count), tile=TILE, columns=COLUMNS)
    st.image(
        picture.png,
        width=picture.codes.shape[1],
        alt=f"The first {count} of {output.shape[-1]:,} channels of {side.layer.path}, on the {side.name}.",
    )


@st.cache_data(show_spinner=False)
def _outputs(
    fingerprint: str, image_id: str, layers: list[str], _backbone: Backbone, _item: ImageItem
) -> dict[str, np.ndarray]:
    """Return the outputs of some layers for one image: layer path -> array without the batch dimension."""
    return {layer: output[0] for layer, output in feature_maps(_backbone, [_item], layers).items()}
