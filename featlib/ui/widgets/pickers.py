"""Choosing an image, a layer, a part of a large set."""

from __future__ import annotations

import streamlit as st

from featlib.errors import FeatlibError
from featlib.images import ImageSet
from featlib.models import Backbone, LayerInfo, find_layer
from featlib.ui.session import Session, bind
from featlib.ui.text import plain
from featlib.ui.widgets.clickable import thumbnail_row

SHELF = 10  # thumbnails shown at a time
LIMITS = (300, 1000, 3000)  # images a batch page may be limited to


def pick_image(session: Session, images: ImageSet, part: ImageSet | None = None) -> int:
    """Shows a shelf of thumbnails around the chosen image.

    Args:
        session: knows the chosen image, as a position in `images`.
        images: the whole set.
        part: the images to choose from; all if None.

    Returns:
        The chosen image's position in `part`.

    Raises:
        FeatlibError: there are no images.
    """
    if not len(images):
        raise FeatlibError("There is no image to look at. Choose another set in the sidebar, or upload some on Home.")
    positions = positions_in(images, images if part is None else part)
    if session.image not in positions:
        session.image = positions[0]
    here = positions.index(session.image)
    first = here // SHELF * SHELF
    shelf = positions[first : first + SHELF]
    if len(positions) > SHELF:
        _pick_by_name(session, images, positions, first)
    thumbnail_row(
        f"shelf {images.fingerprint} {first}",
        images[shelf],
        shelf,
        selected=session.image,
        on_pick=lambda value: setattr(session, "image", value),
        side=84,
    )
    return here


def positions_in(images: ImageSet, part: ImageSet) -> list[int]:
    """Where in `images` each item of its part stands. Goes by the item, since the same picture may be there twice."""
    where = {id(item): i for i, item in enumerate(images.items)}
    return [where[id(item)] for item in part.items]


def _pick_by_name(session: Session, images: ImageSet, positions: list[int], first: int) -> None:
    last = min(first + SHELF, len(positions))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            f"Image ({first + 1}–{last} of {len(positions):,})",
            positions,
            format_func=lambda i: f"{i + 1} · {images.names[i]}",
            width=320,
            **bind("image"),
        )
        for icon, start, words in (
            (":material/chevron_left:", first - SHELF, "before"),
            (":material/chevron_right:", first + SHELF, "after"),
        ):
            usable = 0 <= start < len(positions)
            st.button(
                "",
                key=f"shelf {words}",
                icon=icon,
                disabled=not usable,
                help=f"The {SHELF} images {words}",
                on_click=setattr,
                args=(session, "image", positions[start] if usable else session.image),
            )


def pick_layer(session: Session, backbone: Backbone) -> LayerInfo:
    """Shows all layers to search in, and the ends of the stages to jump to; returns the chosen layer."""
    chosen = settle_layer(session, backbone)
    infos = {info.path: info for info in backbone.layers}
    ends = [info.path for info in backbone.layers if info.stage_end]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            f"Layer ({len(infos)})",
            list(infos),
            format_func=lambda path: layer_title(infos[path]),
            width=290,
            **bind("layer"),
        )
        st.segmented_control(
            "Ends of the stages",
            ends,
            format_func=lambda path: format_shape(infos[path].output_shape),
            help="The last layer at each resolution, a good first choice: " + ", ".join(f"`{end}`" for end in ends),
            **bind("layer", second="_end", shown=chosen.path if chosen.path in ends else None),
        )
    return chosen


def settle_layer(session: Session, backbone: Backbone) -> LayerInfo:
    """Makes sure that the chosen layers are layers of this network, says so where they are not; returns the first."""
    if not session.layer:
        session.layer = default_layer(backbone)
    for name, default in (("layer", default_layer(backbone)), ("also", "")):
        path = getattr(session, name)
        if not path:
            continue
        try:
            find_layer(backbone, path)
        except FeatlibError as error:
            setattr(session, name, default)
            st.warning(plain(f"{error}{f' Showing {default!r}.' if default else ''}"))
    if session.also == session.layer:
        session.also = ""
    return find_layer(backbone, session.layer)


def default_layer(backbone: Backbone) -> str:
    """A layer in the middle of the network: small enough to see forms, large enough to see places."""
    ends = [info.path for info in backbone.layers if info.stage_end]
    return ends[min(2, len(ends) - 1)] if ends else backbone.feature_layer


def layer_title(info: LayerInfo) -> str:
    """A layer in one line: its name, the shape of its output, and the models it is inside of."""
    around, _, name = info.path.rpartition("/")
    title = f"{name} · {format_shape(info.output_shape)}"
    return f"{title} · in {around}" if around else title


def format_shape(shape: tuple[int | None, ...]) -> str:
    """(28, 28, 40) as "28 × 28 × 40"."""
    return " × ".join("?" if side is None else f"{side:,}" for side in shape)


def pick_part(session: Session, images: ImageSet, by: str | None = None) -> ImageSet:
    """The part of a large set that a batch page works on, drawn with a fixed seed.

    Args:
        session: knows how many images to use.
        images: the whole set.
        by: the label column of which each label gets an equal share; the first if None.

    Returns:
        The part, or the set itself where it is small.
    """
    if len(images) <= min(LIMITS):
        return images
    by = by or sample_column(images)
    options = [limit for limit in LIMITS if limit < len(images)] + [len(images)]
    shown = min(options, key=lambda option: abs(option - session.limit))
    st.selectbox(
        "Images used",
        options,
        format_func=lambda n: f"all {n:,}" if n == len(images) else f"{n:,} of {len(images):,}",
        width=220,
        help=f"Drawn with a fixed seed{f', an equal share of each {by}' if by else ''}.",
        **bind("limit", shown=shown),
    )
    return images.sample(shown, by=by)


def sample_column(images: ImageSet) -> str | None:
    """The label column that a part of the set is drawn by: the first."""
    return images.label_columns[0] if images.label_columns else None
