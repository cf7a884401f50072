"""A batch in two or three dimensions: like pictures lie together."""

import streamlit as st

from featlib.recipes import projection_code
from featlib.ui.compute.work import network, say_left_out
from featlib.ui.frame import code_context, image_set, page
from featlib.ui.pages.projection import compute, perplexity_used, pick_projection, show_agreement, show_projection
from featlib.ui.widgets.panels import show_code
from featlib.ui.widgets.pickers import pick_layer, pick_part, sample_column

with page("Projection", "Do like pictures lie together?", "Change the layer and watch them move.") as session:
    backbone = network(session)
    layer = pick_layer(session, backbone)
    images = image_set(session)
    part = pick_part(session, images)
    pick_projection(session, backbone, part)
    place = st.empty()  # what is computed takes the place of the old plot, so that no stale one is seen
    with place.container():
        result = compute(session, backbone, part, layer)
    if result is not None:
        found, projection, labels = result
        with place.container():
            say_left_out(found.left_out)
            show_agreement(session, found.vectors[layer.path], labels)
            show_projection(session, found.images, projection, labels)
    code = projection_code(
        code_context(session, backbone),
        session.method,
        session.dimensions,
        perplexity_used(session, part),
        limit=len(part) if len(part) < len(images) else None,
        sample_by=sample_column(images),
    )
    show_code(code)
