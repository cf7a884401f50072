"""Parts of the vectors page."""

from __future__ import annotations

import streamlit as st

from featlib import plots
from featlib.analysis import cosine_similarity, find_neighbors
from featlib.features import Origin, VectorTable, combine_layers, to_csv, to_npz, vector_engine
from featlib.images import ImageSet
from featlib.models import Backbone
from featlib.ui.compute import Batch, compute_vectors
from featlib.ui.session import Session, bind
from featlib.ui.widgets import format_shape, layer_title, pick_image, positions_in, thumbnail_row

POOLINGS = {"avg": "average (GAP)", "max": "maximum", "flatten": "flatten"}
HEATMAP_ROWS = 40
NEIGHBORS = 8


def pick_vector(session: Session, backbone: Backbone) -> None:
    """How a layer's output becomes a vector: pooling, a second layer, length 1."""
    infos = {info.path: info for info in backbone.layers}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control(
            "Pooling",
            list(POOLINGS),
            format_func=lambda key: POOLINGS[key],
            required=True,
            help="How height and width are taken away. Flatten keeps every position.",
            **bind("pooling"),
        )
        st.selectbox(
            "Append a second layer",
            ["", *(path for path in infos if path != session.layer)],
            format_func=lambda path: layer_title(infos[path]) if path else "none",
            width=340,
            help="Several layers side by side in one vector.",
            **bind("also"),
        )
        st.toggle("Length 1 (L2)", help="Divide each layer's part by its Euclidean length.", **bind("l2"))


def table(session: Session, backbone: Backbone, images: ImageSet) -> tuple[Batch, VectorTable]:
    """The images, and their chosen vectors side by side."""
    layers = [session.layer, *([session.also] if session.also and session.also != session.layer else [])]
    found = compute_vectors(session, backbone, images, layers, session.pooling)
    images = found.images
    return found, VectorTable(
        X=combine_layers(list(found.vectors.values()), layers, session.l2),
        ids=images.ids,
        names=images.names,
        labels={column: images.labels_for(column) for column in images.label_columns},
        origin=Origin.of(vector_engine(backbone, layers, session.pooling)),
    )


def show_matrix(table: VectorTable) -> None:
    """The array's shape and size, and the array as a heat map."""
    n, size = table.X.shape
    facts = st.columns(4)
    facts[0].metric("Shape", f"({n:,}, {size:,})")
    facts[1].metric("Memory", f"{table.X.nbytes / 1024:,.0f} kB", help="float32: 4 bytes a number")
    facts[2].metric("Zeros", f"{(table.X == 0).mean():.0%}")
    facts[3].metric("Range", f"{table.X.min():.2g} … {table.X.max():.2g}")
    shown, columns = table.X[:HEATMAP_ROWS], _spread(size)
    st.plotly_chart(
        plots.vector_heatmap(shown[:, columns], table.names[:HEATMAP_ROWS], columns=columns),
        key="matrix",
        alt=f"Heat map of the vectors: {len(shown)} rows, one for each image, and {len(columns):,} columns.",
    )
    rows = f"the first {len(shown):,} of {n:,} rows" if len(shown) < n else ""
    spread = f"{len(columns):,} of {size:,} columns, evenly spread" if len(columns) < size else ""
    if rows or spread:
        st.caption(f"Drawn: {' and '.join(part for part in (rows, spread) if part)}.")


def _spread(size: int, most: int = 2048) -> list[int]:
    step = -(-size // most)
    return list(range(0, size, step))


def show_neighbors(session: Session, images: ImageSet, part: ImageSet, table: VectorTable) -> None:
    """The images of `part` nearest to the chosen one."""
    st.subheader("Nearest images", anchor=False)
    row = pick_image(session, images, part)
    if len(part) < 2:
        st.info("One image has no neighbours. Load more to compare them.")
        return
    positions = positions_in(images, part)
    found = find_neighbors(table.X, row, n_neighbors=NEIGHBORS)
    st.markdown(
        f"Nearest by cosine similarity of `{' + '.join(table.layers)}`, the most alike first. Pick one to go on from."
    )
    thumbnail_row(
        f"neighbors {part.fingerprint}",
        part[found.indices],
        found.indices.tolist(),
        captions=[f"{s:.3f} {part.names[i]}" for i, s in zip(found.indices, found.similarities, strict=True)],
        on_pick=lambda value: setattr(session, "image", positions[value]),
        side=104,
    )


def show_similarity(table: VectorTable) -> None:
    """The cosine similarity of every pair of images."""
    st.subheader("Every image against every other", anchor=False)
    n = min(len(table.X), 300)
    st.plotly_chart(
        plots.similarity_heatmap(cosine_similarity(table.X[:n]), table.names[:n]),
        key="similarity",
        alt=f"Cosine similarity matrix of {n} images: bright where two images are alike.",
    )
    if n < len(table.X):
        st.caption(f"Drawn: the first {n} of {len(table.X):,} images.")


def download(table: VectorTable) -> None:
    """The vectors as files, with everything needed to say what they are."""
    st.subheader("Take them away", anchor=False)
    name = f"{table.model}_{'+'.join(table.layers)}_{table.pooling}".replace("/", "-")
    with st.container(horizontal=True):
        st.download_button("Download .npz", lambda: to_npz(table), f"{name}.npz", on_click="ignore")
        st.download_button("Download .csv", lambda: to_csv(table), f"{name}.csv", "text/csv", on_click="ignore")
    st.caption(
        f"{format_shape(table.X.shape)} numbers with the images' ids, names and labels, the layer, and the network's "
        "fingerprint. In Python: `featlib.load_vectors(path)`, or `numpy.load(path)['X']`."
    )
