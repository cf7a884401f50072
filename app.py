"""featlib: see what a convolutional network sees. Run it with `streamlit run app.py`."""

from dataclasses import replace

import streamlit as st

from featlib.recipes import feature_maps_code, predict_code, projection_code
from featlib.ui.compute import network, trace
from featlib.ui.frame import code_context, image_set, link_to, page, results
from featlib.ui.pages.home import describe_overview, pick_overview, show_overview
from featlib.ui.text import code
from featlib.ui.widgets import (
    bring_images,
    pick_image,
    resolve_channels,
    resolve_layer,
    show_code,
    show_image,
    show_maps,
    show_prediction,
    show_vector,
)

with page(
    "Home",
    "See what a convolutional network sees",
    "Pick a photo, look inside the network, compare many photos at once.",
) as session:
    bring_images(session)
    images = image_set(session)
    item = images[pick_image(session, images)]
    backbone = network(session)
    layer = resolve_layer(session, backbone)
    traced = trace(backbone, item)
    output = resolve_channels(session, layer, traced.outputs[layer.path])

    photo, answer, maps = st.columns([1, 1.2, 1.8], gap="medium")
    with photo:
        st.markdown("**Input**")
        show_image(traced, item)
    with answer:
        st.markdown("**Prediction**")
        show_prediction(backbone, traced.outputs.get(backbone.prediction_layer or ""))
    with maps:
        st.markdown(f"**Feature maps** of {code(layer.path)}")
        if layer.kind == "maps":
            show_maps(session, output, item, page=1, per_page=15)
            link_to("Feature maps", "All channels, any layer")
    show_vector(session, output)

    st.subheader("Many images at once", anchor=False)
    overview = pick_overview(session, images)
    st.markdown(describe_overview(backbone, overview))
    layers = list(dict.fromkeys([session.layer, backbone.feature_layer]))
    with results(session):
        show_overview(session, backbone, overview, layers)
    link_to("Projection", "Your images, any layer, PCA or t-SNE")
    context = code_context(session, backbone)
    show_code(
        {
            "The prediction": predict_code(context),
            "The maps and the vector": feature_maps_code(context),
            "The projection": projection_code(
                context if overview.is_own else replace(context, images="views"),
                "tsne",
                2,
                overview.perplexity,
                limit=overview.limit,
                sample_by=overview.column or None,
            ),
        }
    )
