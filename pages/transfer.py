"""The first lesson of transfer learning: a simple head on frozen vectors."""

from dataclasses import replace

from featlib.recipes import transfer_code
from featlib.ui.compute import network, warn_skipped
from featlib.ui.frame import code_context, image_set, page, results
from featlib.ui.pages.transfer import compute, pick_label, show_accuracy, show_confusion, show_mistakes
from featlib.ui.widgets import pick_layer, pick_part, resolve_layer, show_code

with page(
    "Transfer",
    "What can be learned from frozen features?",
    "A simple head on one layer's vectors; the network itself is not trained.",
) as session:
    images = image_set(session)
    column = pick_label(session, images)
    if column is None:
        backbone = network(session)
        resolve_layer(session, backbone)
        code = transfer_code(replace(code_context(session, backbone), images="views"), "photo")
        show_code(code, "this lesson from the built-in views, which have labels")
    else:
        part = pick_part(session, images, column)
        backbone = network(session)
        layer = pick_layer(session, backbone)
        with results(session):
            lesson = compute(session, backbone, part, layer, column)
            warn_skipped(lesson.skipped)
            show_accuracy(session, lesson, column)
            show_confusion(lesson)
            show_mistakes(lesson)
        show_code(
            transfer_code(code_context(session, backbone), column, limit=len(part) if len(part) < len(images) else None)
        )
