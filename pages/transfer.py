"""A simple classifier on frozen vectors: the first step of transfer learning."""

from dataclasses import replace

from featlib.recipes import transfer_code
from featlib.ui.compute import network, warn_skipped
from featlib.ui.frame import code_context, image_set, page, results
from featlib.ui.pages.transfer import compute_probes, show_accuracy, show_confusion, show_mistakes
from featlib.ui.widgets import has_several, pick_label, pick_layer, pick_part, resolve_layer, show_code, warn_single

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
        labels = part.labels_for(column)
        warn_single(labels)
        with results(session):
            comparison = compute_probes(session, backbone, part, layer, column)
            warn_skipped(comparison.skipped)
            show_accuracy(session, comparison, column)
            show_confusion(session, comparison.layer)
            show_mistakes(session, comparison.layer, comparison.images, images)
        limit = len(part) if len(part) < len(images) else None
        skip_single = not has_several(labels).all()
        show_code(transfer_code(code_context(session, backbone), column, limit=limit, skip_single=skip_single))
