"""A set of vectors of any size, read in pieces from Parquet files."""

import streamlit as st

from featlib.recipes import vector_files_code
from featlib.ui.frame import page
from featlib.ui.pages.vector_files import choose_vectors, compute, pick_view, program_path, show_facts
from featlib.ui.pages.vector_view import show_download, show_neighbors, show_view
from featlib.ui.widgets.panels import show_code

with page(
    "Vector files",
    "What is in a set of vectors?",
    "Open what `featlib extract` wrote. It may be larger than the memory: it is read in pieces.",
) as session:
    dataset = choose_vectors(session)
    if dataset is not None:
        show_facts(dataset)
        pick_view(session, dataset)
        place = st.empty()  # what is computed takes the place of the old plot, so that no stale one is seen
        with place.container():
            view = compute(session, dataset)
        if view is not None:
            with place.container():
                show_view(session, dataset, view)
                show_neighbors(session, dataset)
                show_download(dataset, view)
    show_code(vector_files_code(program_path(session), session.dimensions), "the PCA coordinates of all rows")
