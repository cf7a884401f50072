"""The vectors of many images as an (n, D) array: to look at, compare and download."""

from dataclasses import replace

from featlib.recipes import vectors_code
from featlib.ui.compute import network, warn_skipped
from featlib.ui.frame import code_context, image_set, page, results
from featlib.ui.pages.vectors import (
    compute_table,
    pick_vector,
    show_download,
    show_matrix,
    show_neighbors,
    show_similarity,
)
from featlib.ui.widgets import pick_layer, pick_part, sample_column, show_code

with page(
    "Vectors", "What is an image to the network?", "A row of numbers: similar images have similar rows."
) as session:
    backbone = network(session)
    layer = pick_layer(session, backbone)
    pick_vector(session, backbone)
    images = image_set(session)
    part = pick_part(session, images)
    with results(session):
        batch, table = compute_table(session, backbone, part)
        warn_skipped(batch.skipped)
        show_matrix(table)
        show_neighbors(session, images, batch.images, table)
        show_similarity(table)
        show_download(table, len(images))
    code = vectors_code(
        replace(code_context(session, backbone, session.pooling), also=session.second_layer),
        l2=session.l2,
        limit=len(part) if len(part) < len(images) else None,
        sample_by=sample_column(images),
    )
    show_code(code)
