"""A set of vectors of any size, read in pieces from Parquet files."""

from featlib.recipes.vector_files import vector_files_code
from featlib.ui.frame import page, results
from featlib.ui.pages.vector_files import choose_vectors, compute, pick_view, program_path, show_facts
from featlib.ui.pages.vector_view import show_download, show_neighbors, show_view
from featlib.ui.widgets import show_code

with page(
    "Vector files",
    "What is in a set of vectors?",
    "Open what `featlib extract` wrote. It may be larger than the memory: it is read in pieces.",
) as session:
    dataset = choose_vectors(session)
    if dataset is not None:
        show_facts(dataset)
        pick_view(session, dataset)
        with results(session):
            view = compute(session, dataset)
            show_view(session, dataset, view)
            show_neighbors(session, dataset)
            show_download(dataset, view)
    show_code(vector_files_code(program_path(session), session.dimensions), "the PCA coordinates of all rows")
