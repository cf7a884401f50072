"""The same image in two networks, or in one with and without training."""

from featlib.recipes import compare_code, predict_code
from featlib.ui.compute import network
from featlib.ui.frame import image_set, page, results
from featlib.ui.pages.compare import (
    ComparedModel,
    load_other,
    pick_evaluation,
    pick_other,
    pick_other_layer,
    show_models,
    show_vector_quality,
)
from featlib.ui.widgets import pick_image, pick_layer, show_code

with page(
    "Compare",
    "What has training added?",
    "The same image in two networks, or in one with trained and with random weights.",
) as session:
    images = image_set(session)
    item = images[pick_image(session, images)]
    backbone = network(session)
    left = ComparedModel("left", session, backbone, pick_layer(session, backbone))
    other = pick_other(session)
    other_backbone = load_other(other)
    right = ComparedModel("right", other, other_backbone, pick_other_layer(session, left, other_backbone))
    show_models([left, right], item)
    evaluation = pick_evaluation(session, images)
    with results(session):
        show_vector_quality(session, [left, right], evaluation, images)
    programs = {
        "Both networks": compare_code(
            left.context,
            right.context,
            left.layer.path,
            right.layer.path,
            evaluation.column if evaluation.is_chosen else "",
            limit=evaluation.limit,
            skip_single=evaluation.skip_single,
        )
    }
    for model in (left, right):
        if model.backbone.prediction_layer:
            programs[f"Predictions on the {model.side}"] = predict_code(model.context)
    show_code(programs)
