"""Which layer suits these images: a linear probe on each stage output."""

from dataclasses import replace

import streamlit as st

from featlib.recipes import layer_probe_code
from featlib.transfer import stage_layers
from featlib.ui.compute import network, warn_skipped
from featlib.ui.frame import code_context, image_set, link_to, page, results
from featlib.ui.pages.compare import load_other, network_title
from featlib.ui.pages.layer_probe import compute_curve, compute_pixels, pick_second, show_curves
from featlib.ui.widgets import has_several, pick_label, pick_part, resolve_layer, show_code, warn_single

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
        labels = part.labels_for(column)
        warn_single(labels)
        backbone = network(session)
        resolve_layer(session, backbone)
        second = pick_second(session)
        backbones = [backbone, *([load_other(second)] if second else [])]
        with results(session):
            curve, skipped = compute_curve(session, backbone, part, column)
            warn_skipped(skipped)
            curves = [curve, *(compute_curve(session, other, curve.images, column)[0] for other in backbones[1:])]
            show_curves(session, backbones, curves, compute_pixels(session, curve))
            with st.container(horizontal=True):
                link_to("Transfer", "What this layer confuses")
                link_to("Projection", "How its vectors cluster")
        limit = len(part) if len(part) < len(images) else None
        skip_single = not has_several(labels).all()
        programs = {}
        for choices, own in zip([session, second or session], backbones, strict=False):
            context = code_context(choices, own)
            programs[network_title(own)] = layer_probe_code(
                context, stage_layers(own), column, limit=limit, skip_single=skip_single
            )
        show_code(programs if second else programs.popitem()[1])
