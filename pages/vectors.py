"""The batch as (n, D): looked at, compared, taken away."""

from dataclasses import replace

from featlib.recipes import vectors_code
from featlib.ui.compute import network, warn_skipped
from featlib.ui.frame import code_context, image_set, page, results
from featlib.ui.pages.vectors import download, pick_vector, show_matrix, show_neighbors, show_similarity, table
from featlib.ui.widgets import pick_layer, pick_part, sample_column, show_code

with page(
    "Vectors", "What is an image to the network?", "A row of numbers: images that are alike have rows that are alike."
) as session:
    backbone = network(session)
    layer = pick_layer(session, backbone)
    pick_vector(session, backbone)
    images = image_set(session)
    part = pick_part(session, images)
    with results(session):
        found, vectors = table(session, backbone, part)
        warn_skipped(found.skipped)
        show_matrix(vectors)
        show_neighbors(session, images, found.images, vectors)
        show_similarity(vectors)
        download(vectors)
    code = vectors_code(
        replace(code_context(session, backbone, session.pooling), also=session.also),
        l2=session.l2,
        limit=len(part) if len(part) < len(images) else None,
        sample_by=sample_column(images),
    )
    show_code(code)
