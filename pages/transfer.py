"""A simple classifier on frozen vectors: the first step of transfer learning."""

from dataclasses import replace

from featlib.recipes import transfer_code
from featlib.ui.compute import network, warn_skipped
from featlib.ui.frame import code_context, image_set, page, results
from featlib.ui.pages.transfer import compare_probes, pick_label, show_accuracy, show_confusion, show_mistakes
from featlib.ui.widgets import pick_layer, pick_part, resolve_layer, show_code

with page(
    "Transfer",
    "What can be learned from frozen features?",
    "A simple classifier on one layer's vectors; the network itself is not trained.",
) as session:
    images = image_set(session)
    column = pick_label(session, images)
    if column is None:
        backbone = network(session)
        resolve_layer(session, backbone)
        code = transfer_code(replace(code_context(session, backbone), images="views"), "photo")
        show_code(code, "these results from the built-in views, which have labels")
    else:
        part = pick_part(session, images, column)
        backbone = network(session)
        layer = pick_layer(session, backbone)
        with results(session):
            comparison = compare_probes(session, backbone, part, layer, column)
            warn_skipped(comparison.skipped)
            show_accuracy(session, comparison, column)
            show_confusion(comparison)
            show_mistakes(images, comparison)
        limit = len(part) if len(part) < len(images) else None
        show_code(transfer_code(code_context(session, backbone), column, limit=limit))
