"""All channels of one layer for one image."""

import streamlit as st

from featlib.recipes import feature_maps_code
from featlib.ui.compute import network, trace
from featlib.ui.frame import code_context, image_set, page
from featlib.ui.text import code
from featlib.ui.widgets import (
    maps_controls,
    pick_image,
    pick_layer,
    resolve_channels,
    show_channel,
    show_code,
    show_film_strip,
    show_image,
    show_maps,
    show_vector,
)

with page("Feature maps", "What does each channel respond to?", "Pick an image, a layer, a channel.") as session:
    images = image_set(session)
    row = st.container(horizontal=True, vertical_alignment="bottom")
    item = images[pick_image(session, images, row=row)]
    backbone = network(session)
    layer = pick_layer(session, backbone, row=row)
    traced = trace(backbone, item)
    output = resolve_channels(session, layer, traced.outputs[layer.path])

    left, right = st.container(key="beside").columns([1, 1.75], gap="medium")
    if layer.kind == "maps":
        with right:
            maps_controls(output)
            show_maps(session, output, item, page=output.page)
        with left:
            show_channel(session, traced, output, item)
    else:
        with left:
            show_image(traced, item)
        right.info(f"{code(layer.path)} has no height and width, so there are no maps: this is its output.")
    with right:
        show_vector(session, output)
    st.subheader("Through the network", anchor=False)
    show_film_strip(session, backbone, traced, item)
    show_code(feature_maps_code(code_context(session, backbone)))
