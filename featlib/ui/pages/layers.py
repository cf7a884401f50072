"""Parts of the layers page: the table to pick from, the model's facts, the network with and without its top."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import streamlit as st

from featlib.errors import LayerNotFoundError
from featlib.models import Backbone, LayerInfo, find_layer, list_models
from featlib.ui.frame import link_to
from featlib.ui.session import Session, widget_value
from featlib.ui.text import plain
from featlib.ui.widgets import format_shape

KINDS = {
    "maps": "feature maps",
    "vector": "vector",
    "probabilities": "class probabilities",
    "other": "other",
}
ALL, SUGGESTED, REFUSED = "all", "suggested", "cannot be had"
INDENT = "\u2003\u2003"  # wide spaces, which the table keeps
FEW_STEPS = 8


def model_facts(backbone: Backbone) -> None:
    """Size, input and preprocessing of the network in one row, and what was guessed when it was opened."""
    channels = backbone.input_shape[2]
    facts = {
        "Layers": f"{len(backbone.layers):,}",
        "Parameters": f"{backbone.model.count_params() / 1e6:.2f} M",
        "Weights": plain(backbone.weights),
        "Input": format_shape(backbone.input_shape if channels != 3 else backbone.input_shape[:2]),
        "Output": format_shape(_output(backbone).output_shape),
    }
    for column, (name, value) in zip(st.columns(len(facts)), facts.items(), strict=True):
        column.metric(name, value)
    st.caption(
        f"Before an image enters it is scaled to cover the input, cropped to its centre, and preprocessed: "
        f"{plain(backbone.preprocessing.description)}. Fingerprint {backbone.fingerprint[:12]}."
    )
    link_to("What goes in", "See what that does to an image")
    for note in backbone.notes:
        st.info(plain(note))


def layer_table(session: Session, backbone: Backbone, chosen: LayerInfo) -> None:
    """All layers as a table; a click on a row chooses its layer."""
    filters = _filters(backbone)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        search = st.text_input("Search", placeholder="name, class or shape, for example: add, Conv2D, 28 × 28")
        shown = st.segmented_control("Show", list(filters), default=ALL, required=True)
    keep = filters[shown or ALL]
    infos = [info for info in backbone.layers if keep(info) and _matches(info, search)]
    if not infos:
        st.info(
            f"No layer matches “{plain(search)}” here. Clear the search and show all {len(backbone.layers)} layers."
        )
        return
    paths = [info.path for info in infos]
    key = f"layers {backbone.fingerprint} {shown} {search}"
    st.markdown(
        f"Chosen: **{plain(_title(chosen))}**. Good first choices: ★ the feature layer, the last one with height and "
        "width, where transfer learning usually starts; ◆ the end of a stage, the last layer before the maps shrink."
    )
    st.dataframe(
        _columns(backbone, infos, chosen),
        hide_index=True,
        height=420,
        key=key,
        on_select=lambda: _choose(session, backbone, paths, key),
        selection_mode="single-cell",
        column_config=_column_config(),
        alt=f"{len(infos)} layers with class, output shape, what they see, parameters and memory per image.",
    )
    with st.container(horizontal=True):
        link_to("Feature maps", "Its feature maps")
        link_to("Vectors", "Its vectors")
        link_to("Projection", "Their projection")


def show_top(session: Session, backbone: Backbone) -> None:
    """The network with and without top side by side, for networks that can be had both ways: those by name."""
    if not {session.model, backbone.name} <= {choice.name for choice in list_models()}:
        return
    st.subheader("With and without the top", anchor=False)
    with_top, without = st.columns(2, border=True)
    last = find_layer(backbone, backbone.feature_layer)
    maps = f"{_step(last)}  \n"
    with_top.markdown(
        f"**`include_top=True`**{' · now' if backbone.include_top else ''}\n\n"
        + maps
        + ("  \n".join(_top_steps(backbone)) if backbone.include_top else "↓ the layers that name ImageNet's classes")
    )
    sides = ", ".join(f"{side:,}" for side in last.output_shape)
    end = f"maps **({sides})**  \n" if backbone.include_top else maps  # which layer ends it is not known before
    without.markdown(
        f"**`include_top=False`**{'' if backbone.include_top else ' · now'}\n\n" + end + "and there it ends.  \n"
        "The class outputs are missing because the layers that make them are not built: "
        "they know ImageNet's 1,000 classes and nothing of yours.  \n"
        f"Add `GlobalAveragePooling2D` to get a vector ({last.output_shape[-1]:,}), and your own head on it."
    )
    st.button(
        "Show it without the top" if session.top else "Show it with the top",
        on_click=setattr,
        args=(session, "top", not session.top),
    )


def _output(backbone: Backbone) -> LayerInfo:
    """The layer that puts out the network's output; the first of several."""
    targets = backbone.graph.targets
    outputs = [info for info in backbone.layers if targets[info.path][1] in backbone.graph.outputs]
    return outputs[0] if outputs else backbone.layers[-1]


def _top_steps(backbone: Backbone) -> list[str]:
    """The layers after the feature layer, one line each; of a long top the first and the last ones."""
    start = find_layer(backbone, backbone.feature_layer).index
    steps = [f"↓ {_step(info)}" for info in backbone.layers[start + 1 :] if not info.reason]
    if len(steps) > FEW_STEPS:
        steps = [*steps[: FEW_STEPS // 2], f"↓ {len(steps) - FEW_STEPS} more layers", *steps[-FEW_STEPS // 2 :]]
    return steps


def _step(info: LayerInfo) -> str:
    words = {"vector": "a vector ", "probabilities": "class probabilities "}.get(info.kind, "")
    weights = f", {info.params:,} weights" if info.params and info.kind != "maps" else ""
    shape = ", ".join(f"{side:,}" if side else "?" for side in info.output_shape)
    return f"`{info.path}` ({info.class_name}{weights}) {words}**({shape})**"


def _filters(backbone: Backbone) -> dict[str, Callable[[LayerInfo], bool]]:
    """What the table can be narrowed to: name of the filter -> whether a layer stays."""
    filters: dict[str, Callable[[LayerInfo], bool]] = {
        ALL: lambda info: True,
        SUGGESTED: lambda info: bool(_mark(backbone, info)),
    }
    for kind, words in KINDS.items():
        filters[words] = lambda info, kind=kind: info.kind == kind and not info.reason  # type: ignore[misc]
    filters[REFUSED] = lambda info: bool(info.reason)
    return {name: keep for name, keep in filters.items() if any(map(keep, backbone.layers))}


def _mark(backbone: Backbone, info: LayerInfo) -> str:
    return "★" if info.path == backbone.feature_layer else "◆" if info.stage_end else ""


def _matches(info: LayerInfo, search: str) -> bool:
    text = f"{info.path} {info.class_name} {format_shape(info.output_shape)} {KINDS[info.kind]}"
    return all(word in _joined(text) for word in _joined(search).split())


def _joined(text: str) -> str:
    """Lower case, with a shape as one word: "28 x 28" and "28×28" are the same."""
    return re.sub(r"(?<=[\d?,])\s*[x×]\s*(?=[\d?])", "×", text.lower())


def _columns(backbone: Backbone, infos: list[LayerInfo], chosen: LayerInfo) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {
        "●": ["●" if info == chosen else "" for info in infos],
        "#": [info.index for info in infos],
        "★◆": [_mark(backbone, info) for info in infos],
        "Layer": [INDENT * info.depth + info.path.rpartition("/")[2] for info in infos],
        "Class": [info.class_name for info in infos],
        "Output shape": [format_shape(info.output_shape) for info in infos],
        "Sees": _sides([info.receptive_field for info in infos]),
        "Stride": _sides([info.stride for info in infos]),
        "Parameters": [info.params for info in infos],
        "Output": ["" if info.reason else KINDS[info.kind] for info in infos],
        "Memory per image": [None if b is None else b / 1024 for b in (i.bytes_per_image for i in infos)],
    }
    if any(info.reason for info in infos):
        columns["Cannot be had:"] = [info.reason for info in infos]
    return columns


def _sides(pairs: list[tuple[int, int] | None]) -> list[Any]:
    """Numbers, which can be sorted; texts where a height differs from its width."""
    if all(pair is None or pair[0] == pair[1] for pair in pairs):
        return [pair[0] if pair else None for pair in pairs]
    return [format_shape(pair) if pair else None for pair in pairs]


def _column_config() -> dict[str, Any]:
    sees = "Height and width, in pixels, of the part of the input that one value depends on. Padding counts too."
    return {
        "●": st.column_config.TextColumn(width=30, help="The chosen layer"),
        "★◆": st.column_config.TextColumn(width=40, help="★ the feature layer, ◆ the end of a stage"),
        "#": st.column_config.NumberColumn(width=40),
        "Sees": st.column_config.Column(width=50, help=sees),
        "Stride": st.column_config.Column(width=55, help="Pixels of the input from one place to the next."),
        "Memory per image": st.column_config.NumberColumn(format="%.0f kB"),
        "Parameters": st.column_config.NumberColumn(format="localized"),
    }


def _choose(session: Session, backbone: Backbone, paths: list[str], key: str) -> None:
    """Takes the clicked row's layer; where its output cannot be had, says why, and the choice stays as it was."""
    cells = widget_value(key)["selection"]["cells"]
    if not cells or not 0 <= cells[0][0] < len(paths):
        return
    path = paths[cells[0][0]]
    try:
        find_layer(backbone, path)
    except LayerNotFoundError as error:
        session.notices.append(str(error))
    else:
        session.choose("layer", path)


def _title(info: LayerInfo) -> str:
    return f"{info.path} ({info.class_name}), {format_shape(info.output_shape)}"
