"""Parts of the layers page: the table to pick from, the model's facts, the network with and without its top."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import streamlit as st

from featlib.errors import LayerNotFoundError
from featlib.models import Backbone, LayerInfo, find_layer, list_models
from featlib.ui.frame import link_to
from featlib.ui.session import Session, choose, guarded, set_widget_value, widget_value
from featlib.ui.text import code, plain
from featlib.ui.widgets import format_shape, resolve_layer

KINDS = {"maps": "feature maps", "vector": "vector", "probabilities": "class probabilities", "other": "other"}
ALL, SUGGESTED, UNAVAILABLE = "all", "suggested", "unavailable"
INDENT = "\u2003\u2003"  # wide spaces, which the table does not collapse
MAX_STEPS = 8
COLUMN_CONFIG = {
    "●": st.column_config.TextColumn(width=30, help="The selected layer"),
    "★◆": st.column_config.TextColumn(width=40, help="★ the feature layer, ◆ a stage output"),
    "#": st.column_config.NumberColumn(width=40),
    "Receptive field": st.column_config.Column(
        help="Height and width, in input pixels, of the region that one value depends on, padding included."
    ),
    "Stride": st.column_config.Column(width=55, help="Input pixels from one position to the next."),
    "Parameters": st.column_config.NumberColumn(format="localized"),
    "Memory": st.column_config.NumberColumn(format="bytes", help="Of the output for one image, as float32."),
}
ROW_HEIGHT = 35  # pixels, of a row and of the header

# A table cannot scroll to a row itself. It may come after this part of the page, and not yet be as high as its rows.
SCROLL_JS = """
export default function({ data, parentElement }) {
  const place = parentElement.host ?? parentElement;
  if (place.dataset.row === String(data.row)) return;
  const top = data.row * data.height;
  const started = Date.now();
  const timer = setInterval(() => {
    const table = document.querySelector(`[data-testid="stDataFrame"] .dvn-scroller`);
    if (Date.now() - started > 10000) clearInterval(timer);
    if (!table || table.scrollHeight <= table.clientHeight) return;
    const room = window.innerHeight - table.getBoundingClientRect().top;  // the window may end before the table
    const rows = Math.min(table.clientHeight, Math.max(room, 4 * data.height)) - data.height;  // without the header
    if (top < table.scrollTop || top + data.height > table.scrollTop + rows) table.scrollTop = top - rows / 2;
    place.dataset.row = String(data.row);
    clearInterval(timer);
  }, 100);
  return () => clearInterval(timer);
}
"""

_scroll = st.components.v2.component("featlib_scroll", js=SCROLL_JS)


def model_facts(backbone: Backbone) -> None:
    """Show the size, input and preprocessing of the network, and what was guessed when it was loaded."""
    targets = backbone.graph.targets
    outputs = [info for info in backbone.layers if targets[info.path][1] in backbone.graph.outputs]
    shape = backbone.input_shape
    facts = {
        "Layers": f"{len(backbone.layers):,}",
        "Parameters": f"{backbone.model.count_params() / 1e6:.2f} M",
        "Weights": plain(backbone.weights),
        "Input": format_shape(shape if shape[2] != 3 else shape[:2]),
        "Output": format_shape((outputs or backbone.layers[-1:])[0].output_shape),
    }
    with st.container(horizontal=True, gap="medium"):
        for name, value in facts.items():
            st.metric(name, value, width="content")
    st.caption(
        f"Images are resized to cover the input, center-cropped and preprocessed: "
        f"{plain(backbone.preprocessing.description)}. Fingerprint {backbone.fingerprint[:12]}."
    )
    link_to("Preprocessing", "See what that does to an image")
    if backbone.notes:
        count = len(backbone.notes)
        with st.expander(f"{count} {'repair or assumption' if count == 1 else 'repairs and assumptions'}"):
            st.markdown("\n".join(f"- {plain(note)}" for note in backbone.notes))


def find_selected(session: Session, backbone: Backbone) -> LayerInfo | None:
    """Return the selected layer; None, with the reason on screen, if no layer can be computed from one image."""
    if all(info.reason or info.class_name == "InputLayer" for info in backbone.layers):
        reasons = dict.fromkeys(info.reason for info in backbone.layers if info.reason)
        st.info(plain(f"No layer of {backbone.name} can be computed from one image: {'; '.join(reasons)}."))
        return None
    return resolve_layer(session, backbone)


def layer_table(session: Session, backbone: Backbone, selected: LayerInfo | None) -> None:
    """Show all layers as a table; a click on a row selects its layer."""
    feature_layer = backbone.feature_layer if selected else ""
    filters: dict[str, Callable[[LayerInfo], bool]] = {
        ALL: lambda info: True,
        SUGGESTED: lambda info: bool(_mark(feature_layer, info)),
        **{
            name: lambda info, kind=kind: info.kind == kind and not info.reason  # type: ignore[misc]
            for kind, name in KINDS.items()
        },
        UNAVAILABLE: lambda info: bool(info.reason),
    }
    usable = [name for name, keep in filters.items() if any(map(keep, backbone.layers))]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        search = st.text_input("Search", placeholder="name, class or shape, for example: add, Conv2D, 28 × 28")
        shown = st.segmented_control("Show", usable, default=ALL, required=True) or ALL
    words = _normalized(search).split()
    infos = [info for info in backbone.layers if filters[shown](info) and all(w in _searchable(info) for w in words)]
    if not infos:
        st.info(
            f"No layer matches “{plain(search)}” here. Clear the search and show all {len(backbone.layers)} layers."
        )
        return
    if selected:
        title = f"{selected.path} ({selected.class_name}), {format_shape(selected.output_shape)}"
        st.markdown(
            f"Selected: **{plain(title)}**. Good first choices: ★ the feature layer, the last one with height and "
            "width, where transfer learning usually starts; ◆ a stage output, the last layer before the maps shrink."
        )
    key = f"layers {backbone.fingerprint} {shown} {search}"
    rows = [row for row, info in enumerate(infos) if info == selected]
    cells = [[row, "Layer"] for row in rows]
    set_widget_value(key, {"selection": {"rows": [], "columns": [], "cells": cells}})
    st.dataframe(
        _columns(feature_layer, infos, selected),
        hide_index=True,
        height=520,
        key=key,
        on_select=lambda: _select(session, backbone, [info.path for info in infos], selected, key),
        selection_mode="single-cell",
        column_config=COLUMN_CONFIG,
        placeholder="–",
        alt=f"{len(infos)} layers with class, output shape, receptive field, parameters and memory per image.",
    )
    if rows:
        _scroll_table(rows[0], key)
    if selected:
        with st.container(horizontal=True):
            link_to("Feature maps", "Its feature maps")
            link_to("Vectors", "Its vectors")
            link_to("Projection", "A projection of its vectors")


def _scroll_table(row: int, key: str) -> None:
    """Scroll the page's table so that a row is seen, once for each `key` and row.

    Args:
        row: The row's position, from 0.
        key: Tells the table, with its filters, from others.
    """
    _scroll(key=f"scroll {key}", data={"row": row, "height": ROW_HEIGHT}, height=1)


def show_top(session: Session, backbone: Backbone) -> None:
    """Show the network with and without top side by side, if it can be loaded both ways: by name."""
    if not {session.model, backbone.name} <= {choice.name for choice in list_models()}:
        return
    st.subheader("With and without the top", anchor=False)
    with_top, without = st.columns(2, border=True)
    last = find_layer(backbone, backbone.feature_layer)
    steps, end = ["↓ the layers that predict ImageNet's classes"], _step(last)
    if backbone.include_top:
        steps = [f"↓ {_step(info)}" for info in backbone.layers[last.index + 1 :] if not info.reason]
        # Without the top, the last layer may have another name.
        end = f"maps **({', '.join(f'{side:,}' for side in last.output_shape)})**"
    if len(steps) > MAX_STEPS:
        half = MAX_STEPS // 2
        steps = [*steps[:half], f"↓ {len(steps) - MAX_STEPS} more layers", *steps[-half:]]
    with_top.markdown(
        f"**`include_top=True`**{' · now' if backbone.include_top else ''}\n\n" + "  \n".join([_step(last), *steps])
    )
    without.markdown(
        f"**`include_top=False`**{'' if backbone.include_top else ' · now'}\n\n{end}  \nand there it ends.  \n"
        "There are no class outputs because the layers that compute them are not built: "
        "they know ImageNet's 1,000 classes and nothing of yours.  \n"
        f"Add `GlobalAveragePooling2D` to get a vector ({last.output_shape[-1]:,}), and your own head on top of it."
    )
    st.button(
        "Show it without the top" if session.top else "Show it with the top",
        on_click=choose,
        args=("top", not session.top),
    )


def _step(info: LayerInfo) -> str:
    kind = {"vector": "a vector ", "probabilities": "class probabilities "}.get(info.kind, "")
    weights = f", {info.params:,} weights" if info.params and info.kind != "maps" else ""
    shape = ", ".join(f"{side:,}" if side else "?" for side in info.output_shape)
    return f"{code(info.path)} ({info.class_name}{weights}) {kind}**({shape})**"


def _mark(feature_layer: str, info: LayerInfo) -> str:
    return "★" if info.path == feature_layer else "◆" if info.stage_end else ""


def _searchable(info: LayerInfo) -> str:
    return _normalized(f"{info.path} {info.class_name} {format_shape(info.output_shape)} {KINDS[info.kind]}")


def _normalized(text: str) -> str:
    """Lower the case and join shapes: "28 x 28" and "28×28" are the same word."""
    return re.sub(r"(?<=[\d?,])\s*[x×]\s*(?=[\d?])", "×", text.lower())


def _columns(feature_layer: str, infos: list[LayerInfo], selected: LayerInfo | None) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {
        "●": ["●" if info == selected else "" for info in infos],
        "#": [info.index for info in infos],
        "★◆": [_mark(feature_layer, info) for info in infos],
        "Layer": [INDENT * info.depth + info.path.rpartition("/")[2] for info in infos],
        "Class": [info.class_name for info in infos],
        "Output shape": [format_shape(info.output_shape) for info in infos],
        "Receptive field": _sides([info.receptive_field for info in infos]),
        "Stride": _sides([info.stride for info in infos]),
        "Parameters": [info.params for info in infos],
        "Memory": [info.bytes_per_image for info in infos],
        "Output": ["" if info.reason else KINDS[info.kind] for info in infos],
    }
    if any(info.reason for info in infos):
        columns["Unavailable"] = [info.reason for info in infos]
    return columns


def _sides(pairs: list[tuple[int, int] | None]) -> list[Any]:
    """Return numbers, which can be sorted; text if a height differs from its width."""
    if all(pair is None or pair[0] == pair[1] for pair in pairs):
        return [pair[0] if pair else None for pair in pairs]
    return [format_shape(pair) if pair else None for pair in pairs]


@guarded
def _select(session: Session, backbone: Backbone, paths: list[str], selected: LayerInfo | None, key: str) -> None:
    """Select the clicked row's layer; if its output is unavailable, say why and keep the selection."""
    cells = widget_value(key)["selection"]["cells"]
    if not cells or not 0 <= cells[0][0] < len(paths):
        return
    path = paths[cells[0][0]]
    if selected and path == selected.path:  # the browser may send back what the table was drawn with
        return
    try:
        find_layer(backbone, path)
    except LayerNotFoundError as error:
        session.notices.append(str(error))
    else:
        choose("layer", path)
