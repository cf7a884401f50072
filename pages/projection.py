"""The vectors of many images in two or three dimensions."""

import streamlit as st

from featlib.recipes import projection_code
from featlib.ui.compute import network, warn_skipped
from featlib.ui.frame import code_context, image_set, page, results
from featlib.ui.pages.projection import color_columns, compute, show_agreement, show_projection
from featlib.ui.widgets import (
    bounded_perplexity,
    pick_layer,
    pick_part,
    pick_projection,
    positions_in,
    resolve_color,
    sample_column,
    show_code,
)

with page(
    "Projection", "Do similar pictures end up together?", "Each point is an image. Change the layer and compare."
) as session:
    backbone = network(session)
    layer = pick_layer(session, backbone)
    images = image_set(session)
    part = pick_part(session, images)
    columns = color_columns(backbone, part)
    color = resolve_color(session, columns)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        pick_projection(session, len(part), columns)
    with results(session):
        batch, result, labels = compute(session, backbone, part, layer, color)
        warn_skipped(batch.skipped)
        show_agreement(session, batch.vectors[layer.path], labels, color)
        positions = positions_in(images, batch.images)
        show_projection(session, positions, batch.images, result, labels, color, session.image)
    code = projection_code(
        code_context(session, backbone),
        session.method,
        session.dimensions,
        bounded_perplexity(session, len(part)),
        limit=len(part) if len(part) < len(images) else None,
        sample_by=sample_column(images),
    )
    show_code(code)
