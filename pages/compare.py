"""The same image through two networks, or through one with and without training."""

from featlib.recipes import compare_code, predict_code
from featlib.ui.compute import network
from featlib.ui.frame import image_set, page, results
from featlib.ui.pages.compare import Side, load_other, pick_other, pick_other_layer, show_sides, show_worth
from featlib.ui.widgets import pick_image, pick_layer, show_code

with page(
    "Side by side",
    "What has training added?",
    "The same image through two networks, or through one with trained and with random weights.",
) as session:
    images = image_set(session)
    item = images[pick_image(session, images)]
    backbone = network(session)
    left = Side("left", session, backbone, pick_layer(session, backbone))
    other = pick_other(session)
    other_backbone = load_other(other)
    right = Side("right", other, other_backbone, pick_other_layer(session, left, other_backbone))
    show_sides([left, right], item)
    with results(session):
        show_worth(session, [left, right])
    programs = {"Both networks": compare_code(left.scene, right.scene, left.layer.path, right.layer.path)}
    for side in (left, right):
        if side.backbone.prediction_layer:
            programs[f"The classes on the {side.name}"] = predict_code(side.scene)
    show_code(programs)
