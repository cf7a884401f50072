"""Parts of the layers page: the table to pick from, the model's facts, the network with and without its top."""

from __future__ import annotations

import re
from typing import Any

import streamlit as st

from featlib.models import Backbone, LayerInfo, find_layer
from featlib.ui.frame import link_to
from featlib.ui.pickers import format_shape
from featlib.ui.session import Session, widget_value
from featlib.ui.text import plain

KINDS = {
    "maps": "feature maps",
    "vector": "vector",
    "probabilities": "class probabilities",
    "other": "other",
}


def model_facts(backbone: Backbone) -> None:
    """Size, input and preprocessing of the network in one row."""
    params = sum(info.params for info in backbone.layers)
    facts = {
        "Layers": f"{len(backbone.layers)}",
        "Parameters": f"{params / 1e6:.2f} M",
        "Weights": backbone.weights,
        "Input": format_shape(backbone.input_shape[:2]),
        "Output": format_shape(backbone.layers[-1].output_shape),
    }
    for column, (name, value) in zip(st.columns(len(facts)), facts.items(), strict=True):
        column.metric(name, value)
    st.caption(
        f"Before an image enters it is scaled to cover the input, cropped to its centre, and preprocessed: "
        f"{backbone.preprocessing.description}. Fingerprint {backbone.fingerprint[:12]}."
    )


def layer_table(session: Session, backbone: Backbone, chosen: LayerInfo) -> None:
    """All layers as a table; a click on a row chooses its layer."""
    search = st.text_input("Search", placeholder="name, class or shape, for example: add, Conv2D, 28 × 28")
    infos = [info for info in backbone.layers if _matches(info, search)]
    if not infos:
        st.info(f"No layer matches “{plain(search)}”. Clear the search to see all {len(backbone.layers)} layers.")
        return
    paths = [info.path for info in infos]
    key = f"layers {backbone.fingerprint} {search}"
    st.markdown(f"Chosen: **{_title(chosen)}**. ◆ marks the end of a stage: a good first choice.")
    st.dataframe(
        _columns(infos, chosen),
        hide_index=True,
        height=420,
        key=key,
        on_select=lambda: _choose(session, paths, key),
        selection_mode="single-cell",
        column_config={
            "●": st.column_config.TextColumn(width=30, help="The chosen layer"),
            "◆": st.column_config.TextColumn(width=30, help="The end of a stage"),
            "#": st.column_config.NumberColumn(width=40),
            "Memory per image": st.column_config.NumberColumn(format="%.0f kB"),
            "Parameters": st.column_config.NumberColumn(format="localized"),
        },
        alt=f"{len(infos)} layers with class, output shape, parameters, kind of output and memory per image.",
    )
    with st.container(horizontal=True):
        link_to("Feature maps", "Its feature maps")
        link_to("Vectors", "Its vectors")
        link_to("Projection", "Their projection")


def show_top(session: Session, backbone: Backbone) -> None:
    """The network with and without top side by side: what is cut off, and why the class outputs are missing."""
    st.subheader("With and without the top", anchor=False)
    height, width, channels = find_layer(backbone, backbone.feature_layer).output_shape
    with_top, without = st.columns(2, border=True)
    classes = len(backbone.class_names or ()) or 1000
    with_top.markdown(
        f"**`include_top=True`**{' · now' if backbone.include_top else ''}\n\n"
        f"`{backbone.feature_layer}` **({height}, {width}, {channels:,})**  \n"
        f"↓ global average pooling: the mean of each channel  \n"
        f"the vector **({channels:,})** — the bottleneck  \n"
        f"↓ dense layer + softmax: {channels:,} × {classes:,} weights  \n"
        f"class probabilities **({classes:,})**"
    )
    without.markdown(
        f"**`include_top=False`**{'' if backbone.include_top else ' · now'}\n\n"
        f"`{backbone.feature_layer}` **({height}, {width}, {channels:,})**  \n"
        "and there it ends.  \n"
        "The class outputs are missing because the layers that make them are not built: "
        "they know ImageNet's 1,000 classes and nothing of yours.  \n"
        f"Add `GlobalAveragePooling2D` to get the vector ({channels:,}), and your own head on it."
    )
    st.button(
        "Show it without the top" if session.top else "Show it with the top",
        on_click=setattr,
        args=(session, "top", not session.top),
    )


def _matches(info: LayerInfo, search: str) -> bool:
    text = f"{info.path} {info.class_name} {format_shape(info.output_shape)} {KINDS[info.kind]}"
    return all(word in _joined(text) for word in _joined(search).split())


def _joined(text: str) -> str:
    """Lower case, with a shape as one word: "28 x 28" and "28×28" are the same."""
    return re.sub(r"(?<=[\d?,])\s*[x×]\s*(?=[\d?])", "×", text.lower())


def _columns(infos: list[LayerInfo], chosen: LayerInfo) -> dict[str, list[Any]]:
    return {
        "●": ["●" if info == chosen else "" for info in infos],
        "#": [info.index for info in infos],
        "◆": ["◆" if info.stage_end else "" for info in infos],
        "Layer": [info.path for info in infos],
        "Class": [info.class_name for info in infos],
        "Output shape": [format_shape(info.output_shape) for info in infos],
        "Parameters": [info.params for info in infos],
        "Output": [KINDS[info.kind] for info in infos],
        "Memory per image": [None if b is None else b / 1024 for b in (i.bytes_per_image for i in infos)],
    }


def _choose(session: Session, paths: list[str], key: str) -> None:
    cells = widget_value(key)["selection"]["cells"]
    if cells and 0 <= cells[0][0] < len(paths):
        session.choose("layer", paths[cells[0][0]])


def _title(info: LayerInfo) -> str:
    return f"{info.path} ({info.class_name}), {format_shape(info.output_shape)}"
