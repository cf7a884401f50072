"""What enters the network, and what a wrong preprocessing does."""

from featlib.recipes import preprocessing_code
from featlib.ui.compute import network
from featlib.ui.frame import code_context, image_set, page, results
from featlib.ui.pages.entrance import enter
from featlib.ui.pages.preprocessing import measure, pick_wrong, show_harm, show_sides, show_way
from featlib.ui.widgets import pick_image, show_code

with page(
    "What goes in",
    "Why are my features no good?",
    "Often the pixels were prepared for another network. Nothing gives an error, but look what it does.",
) as session:
    images = image_set(session)
    position = pick_image(session, images)
    backbone = network(session)
    wrong = pick_wrong(session, backbone)
    item = images[position]
    entrances = enter(backbone, wrong, item)
    harm = None
    with results(session):
        harm = measure(session, entrances, images, position)
        if harm is not None:
            show_harm(entrances, harm)
    show_way(item, entrances)
    show_sides(entrances, harm)
    if wrong is not None:
        code = preprocessing_code(code_context(session, backbone), wrong.preprocessing.name, backbone.feature_layer)
        show_code(code, "both tensors and the cosine of their vectors")
