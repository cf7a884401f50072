"""A batch in two or three dimensions: like pictures lie together."""

from featlib.recipes import projection_code
from featlib.ui.compute import network, warn_skipped
from featlib.ui.frame import code_context, image_set, page, results
from featlib.ui.pages.projection import compute, perplexity_used, pick_projection, show_agreement, show_projection
from featlib.ui.widgets import pick_layer, pick_part, sample_column, show_code

with page("Projection", "Do like pictures lie together?", "Change the layer and watch them move.") as session:
    backbone = network(session)
    layer = pick_layer(session, backbone)
    images = image_set(session)
    part = pick_part(session, images)
    pick_projection(session, backbone, part)
    with results(session):
        found, projection, labels = compute(session, backbone, part, layer)
        warn_skipped(found.skipped)
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
