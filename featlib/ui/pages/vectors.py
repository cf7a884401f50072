"""Parts of the vectors page."""

from __future__ import annotations

import streamlit as st

from featlib import plots
from featlib.analysis import cosine_similarity, find_neighbors
from featlib.features import Origin, VectorTable, combine_layers, to_csv, to_npz, vector_engine
from featlib.images import ImageSet
from featlib.models import Backbone
from featlib.text import format_bytes
from featlib.ui.compute import Batch, compute_vectors
from featlib.ui.session import Session, bind
from featlib.ui.text import code
from featlib.ui.widgets import format_shape, gallery, layer_title, pick_image, positions_in, show_chart

POOLINGS = {"avg": "average (GAP)", "max": "maximum", "flatten": "flatten"}
HEATMAP_ROWS, HEATMAP_COLUMNS = 40, 2048
SIMILARITY_ROWS = 300
N_NEIGHBORS = 8


def pick_vector(session: Session, backbone: Backbone) -> None:
    """Show how a layer's output becomes a vector: pooling, a second layer, L2 normalization."""
    infos = {info.path: info for info in backbone.layers}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control(
            "Pooling",
            list(POOLINGS),
            format_func=POOLINGS.__getitem__,
            required=True,
            help="How height and width are removed. Flatten keeps every position.",
            **bind("pooling"),
        )
        st.selectbox(
            "Append a second layer",
            ["", *(path for path in infos if path != session.layer)],
            format_func=lambda path: layer_title(infos[path]) if path else "none",
            width=340,
            help="Concatenates the vectors of both layers.",
            **bind("also", shown=session.second_layer),
        )
        st.toggle("L2-normalize", help="Divide each layer's part by its Euclidean length.", **bind("l2"))


def compute_table(session: Session, backbone: Backbone, images: ImageSet) -> tuple[Batch, VectorTable]:
    """Return the images, and their vectors with all that describes them.

    Raises:
        Stopped: If the user has stopped this computation.
    """
    layers = [session.layer, *filter(None, [session.second_layer])]
    batch = compute_vectors(session, backbone, images, layers, session.pooling)
    images = batch.images
    return batch, VectorTable(
        X=combine_layers(list(batch.vectors.values()), layers, session.l2),
        ids=images.ids,
        names=images.names,
        labels={column: images.labels_for(column) for column in images.label_columns},
        origin=Origin.of(vector_engine(backbone, layers, session.pooling)),
    )


def show_matrix(table: VectorTable) -> None:
    """Show the array's shape and size, and the array as a heat map."""
    n, width = table.X.shape
    facts = st.columns(4)
    facts[0].metric("Shape", f"({n:,}, {width:,})")
    facts[1].metric("Memory", format_bytes(table.X.nbytes), help="float32: 4 bytes per number")
    facts[2].metric("Zeros", f"{(table.X == 0).mean():.0%}")
    facts[3].metric("Range", f"{table.X.min():.2g} … {table.X.max():.2g}")
    columns = range(0, width, -(-width // HEATMAP_COLUMNS))
    shown = table.X[:HEATMAP_ROWS, columns]
    show_chart(
        plots.vector_heatmap(shown, table.names[:HEATMAP_ROWS], columns=columns),
        key="matrix",
        name=f"{'+'.join(table.layers)} vectors",
        alt=f"Heat map of the vectors: {len(shown)} rows, one per image, and {len(columns):,} columns.",
    )
    parts = [
        *([f"the first {len(shown):,} of {n:,} rows"] if len(shown) < n else []),
        *([f"{len(columns):,} of {width:,} columns, evenly spaced"] if len(columns) < width else []),
    ]
    if parts:
        st.caption(f"Drawn: {' and '.join(parts)}.")


def show_neighbors(session: Session, images: ImageSet, part: ImageSet, table: VectorTable) -> None:
    """Show the images of `part` nearest to the selected one."""
    st.subheader("Nearest images", anchor=False)
    row = pick_image(session, images, part)
    if len(part) < 2:
        st.info("One image has no neighbors. Load more to compare them.")
        return
    positions = positions_in(images, part)
    found = find_neighbors(table.X, row, n_neighbors=N_NEIGHBORS)
    st.markdown(
        f"Nearest by cosine similarity of {code(' + '.join(table.layers))}, the most similar first. "
        "Click one to see its neighbors."
    )
    gallery(
        f"neighbors {part.fingerprint}",
        part[found.indices],
        [positions[i] for i in found.indices],
        notes=[f"{similarity:.3f}" for similarity in found.similarities],
        side=104,
    )


def show_similarity(table: VectorTable) -> None:
    """Show the cosine similarity of every pair of images."""
    st.subheader("All pairs of images", anchor=False)
    n = min(len(table.X), SIMILARITY_ROWS)
    show_chart(
        plots.similarity_heatmap(cosine_similarity(table.X[:n]), table.names[:n]),
        key="similarity",
        name=f"{'+'.join(table.layers)} similarity",
        alt=f"Cosine similarity matrix of {n} images: bright where two images are similar.",
    )
    if n < len(table.X):
        st.caption(f"Drawn: the first {n} of {len(table.X):,} images.")


def show_download(table: VectorTable, n_images: int) -> None:
    """Offer the vectors as files, with all that describes them; `n_images` is the size of the whole set."""
    st.subheader("Download", anchor=False)
    name = f"{table.model}_{'+'.join(table.layers)}_{table.pooling}".replace("/", "-")
    with st.container(horizontal=True):
        st.download_button("Download .npz", lambda: to_npz(table), f"{name}.npz", on_click="ignore")
        st.download_button("Download .csv", lambda: to_csv(table), f"{name}.csv", "text/csv", on_click="ignore")
    n = len(table.X)
    st.caption(
        f"{f'{n:,} of {n_images:,}' if n < n_images else f'{n:,}'} images: {format_shape(table.X.shape)} numbers with "
        "ids, names and labels, the layer, and the network's fingerprint. "
        "In Python: `featlib.load_vectors(path)`, or `numpy.load(path)['X']`."
    )
