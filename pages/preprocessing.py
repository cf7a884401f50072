"""What enters the network, and what wrong preprocessing does."""

from featlib.recipes import preprocessing_code
from featlib.ui.compute import network
from featlib.ui.frame import code_context, image_set, page, results
from featlib.ui.pages.preprocessing import (
    compare_preprocessing,
    pick_wrong,
    preprocess_inputs,
    show_effect,
    show_inputs,
    show_steps,
)
from featlib.ui.widgets import pick_image, show_code

with page(
    "Preprocessing",
    "Why are my features no good?",
    "The pixels were often preprocessed for a different model. No error is raised, but the features suffer.",
) as session:
    images = image_set(session)
    position = pick_image(session, images)
    backbone = network(session)
    layer = backbone.feature_layer
    wrong = pick_wrong(session, backbone)
    item = images[position]
    inputs = preprocess_inputs(backbone, wrong, item)
    effect = None
    with results(session):
        effect = compare_preprocessing(session, inputs, images, position)
        if effect is not None:
            show_effect(inputs, effect)
    show_steps(item, inputs)
    show_inputs(inputs, effect)
    if wrong is not None:
        code = preprocessing_code(code_context(session, backbone), wrong.preprocessing.name, layer)
        show_code(code, "both tensors and the cosine of their vectors")
