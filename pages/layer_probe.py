"""Which layer suits these images: a linear probe on each stage output."""

from dataclasses import replace

import streamlit as st

from featlib.recipes import layer_probe_code
from featlib.transfer import stage_layers
from featlib.ui.compute import network, warn_skipped
from featlib.ui.frame import code_context, image_set, link_to, page, results
from featlib.ui.pages.layer_probe import compute_curve, show_curve
from featlib.ui.pages.transfer import pick_label
from featlib.ui.widgets import pick_part, resolve_layer, show_code

with page(
    "Layer probe",
    "Which layer is best for these images?",
    "Early layers see edges and colors, late ones objects. What your labels need lies somewhere in between.",
) as session:
    images = image_set(session)
    column = pick_label(session, images)
    if column is None:
        backbone = network(session)
        resolve_layer(session, backbone)
        context = replace(code_context(session, backbone), images="views")
        code = layer_probe_code(context, stage_layers(backbone), "photo")
        show_code(code, "this curve from the built-in views, which have labels")
    else:
        part = pick_part(session, images, column)
        backbone = network(session)
        resolve_layer(session, backbone)
        with results(session):
            curve = compute_curve(session, backbone, part, column)
            warn_skipped(curve.skipped)
            show_curve(session, backbone, curve, column)
            with st.container(horizontal=True):
                link_to("Transfer", "What this layer confuses")
                link_to("Projection", "How its vectors cluster")
        limit = len(part) if len(part) < len(images) else None
        show_code(layer_probe_code(code_context(session, backbone), stage_layers(backbone), column, limit=limit))
