"""Vectors of any number of images, read in pieces from Parquet files."""

from featlib.recipes import vector_files_code
from featlib.ui.frame import page, results
from featlib.ui.pages.vector_files import (
    choose_vectors,
    compute,
    pick_view,
    program_path,
    show_download,
    show_facts,
    show_neighbors,
    show_rows,
)
from featlib.ui.widgets import show_code

with page(
    "Vector files",
    "What is in a file of vectors?",
    "Open what `featlib extract` wrote. It may be larger than memory, since it is read in pieces.",
) as session:
    dataset = choose_vectors(session)
    if dataset is not None:
        show_facts(dataset)
        pick_view(session, dataset)
        with results(session):
            drawn = compute(session, dataset)
            show_rows(session, dataset, drawn)
            show_neighbors(session, dataset)
            show_download(dataset, drawn)
    show_code(vector_files_code(program_path(session), session.dimensions), "the PCA coordinates of all rows")
