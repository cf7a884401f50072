"""Widgets to choose an image, a layer, or a sample of a large set."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from featlib.errors import FeatlibError
from featlib.images import ImageSet
from featlib.models import Backbone, LayerInfo, find_layer
from featlib.text import natural_key, printable
from featlib.ui.session import Session, bind
from featlib.ui.text import code, plain
from featlib.ui.widgets.gallery import gallery
from featlib.ui.widgets.stages import PREFIX, find_stage, name_stage

SHELF = 30  # thumbnails shown at a time
LIMITS = (300, 1000, 2000)  # sizes of the sample that a page with many images may use instead of all


def resolve_image(session: Session, images: ImageSet) -> int:
    """Return the index of the selected image; if there is no such image, select the first.

    Raises:
        FeatlibError: If there are no images.
    """
    if not len(images):
        raise FeatlibError("There are no images to show. Choose another set in the sidebar, or upload some on Home.")
    if session.image >= len(images):
        session.report("image", "the first image")
        session.image = 0
    return session.image


def pick_image(
    session: Session, images: ImageSet, part: ImageSet | None = None, *, row: DeltaGenerator | None = None
) -> int:
    """Show a strip of thumbnails with the selected image; for a large set, a list and a filter by class or name too.

    Args:
        session: The choices; the selected image is a position in `images`.
        images: The whole set.
        part: The images to choose from; all if None. If the selected image is not one of them, the first is shown,
            and the choice stays for other pages.
        row: Where the list and the filter stand; above the strip if None.

    Returns:
        The position in `part` of the image to show.
    """
    selected = resolve_image(session, images)
    positions = positions_in(images, images if part is None else part)
    here = positions.index(selected) if selected in positions else 0
    if selected not in positions:
        session.report("image", f"image {positions[here]}, the first of the {len(positions):,} used here,")
    shown, image = positions, positions[here]
    if len(positions) > SHELF:
        with row or st.container(horizontal=True, vertical_alignment="bottom"):
            shown = _filter_images(images, positions)
            place = st.container(width=230)
    place_in_shown = shown.index(image) if image in shown else 0
    first = place_in_shown // SHELF * SHELF
    shelf = shown[first : first + SHELF]
    if len(positions) > SHELF:
        place.selectbox(
            f"Image ({first + 1}–{first + len(shelf)} of {len(shown):,})",
            shown if image in shown else [image, *shown],
            format_func=lambda i: f"{i + 1} · {images.names[i]}",
            **bind("image", shown=image),
        )
    gallery(
        f"shelf {images.fingerprint}",
        images[shelf],
        shelf,
        selected=image,
        side=64,
        layout="strip",
        beyond=(shown[first - 1] if first else None, shown[first + SHELF] if first + SHELF < len(shown) else None),
    )
    return here


def _filter_images(images: ImageSet, positions: list[int]) -> list[int]:
    """Show a filter by class or by words; return the positions that match, or all if none does."""
    classes = {printable(value) for i in positions for value in images[i].labels.values()}
    wanted = st.selectbox(
        "Filter",
        sorted(classes, key=natural_key),
        index=None,
        placeholder="class or name",
        accept_new_options=True,
        width=170,
        key=f"filter {images.fingerprint}",
    )
    found = matching_images(images, positions, wanted) if wanted else positions
    if not found:
        st.caption(f"No image matches “{plain(wanted)}”.")
    return found or positions


def matching_images(images: ImageSet, positions: Sequence[int], wanted: str) -> list[int]:
    """Return which positions have the class `wanted`, or, if none does, all of its words in their names and labels."""
    labels = {i: [printable(value) for value in images[i].labels.values()] for i in positions}
    found = [i for i in positions if wanted in labels[i]]
    if found:
        return found
    words = wanted.lower().split()
    texts = {i: " ".join([images.names[i], *labels[i]]).lower() for i in positions}
    return [i for i in positions if all(word in texts[i] for word in words)]


def positions_in(images: ImageSet, part: ImageSet) -> list[int]:
    """Return where in `images` each item of `part` is; compares items, since a picture may occur twice."""
    where = {id(item): i for i, item in enumerate(images.items)}
    return [where[id(item)] for item in part.items]


def resolve_layer(session: Session, backbone: Backbone) -> LayerInfo:
    """Return the selected layer, found by its path or its stage; if there is none, say so and select the default."""
    default = default_layer(backbone)
    session.layer = session.layer or default
    for name, fallback in (("layer", default), ("also", "")):
        path = getattr(session, name)
        if path.startswith(PREFIX):
            path = find_stage(backbone, path)
            setattr(session, name, path)
        if not path:
            continue
        try:
            session.stages[name] = name_stage(backbone, path)
        except FeatlibError as error:
            setattr(session, name, fallback)
            st.warning(plain(f"{error}{f' Showing {fallback!r}.' if fallback else ''}"))
    return find_layer(backbone, session.layer)


def pick_layer(session: Session, backbone: Backbone, *, row: DeltaGenerator | None = None) -> LayerInfo:
    """Show a searchable list of all layers and the stage outputs to jump to; return the selected layer.

    Args:
        session: The choices.
        backbone: The network.
        row: Where they stand; in a row of their own if None.
    """
    selected = resolve_layer(session, backbone)
    infos = {info.path: info for info in backbone.layers}
    ends = [info.path for info in backbone.layers if info.stage_end]

    sizes = [infos[end].output_shape[:2] for end in ends]

    def resolution(path: str) -> str:
        height, width, channels = infos[path].output_shape
        size = f"{height}²" if height == width else format_shape((height, width))
        return size if sizes.count((height, width)) == 1 else f"{size} × {channels:,}"

    with row or st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            f"Layer ({len(infos)})",
            list(infos),
            format_func=lambda path: layer_title(infos[path]),
            filter_mode="contains",  # in the network's order
            width=270,
            **bind("layer"),
        )
        st.segmented_control(
            "Stage outputs",
            ends,
            format_func=resolution,
            help="The last layer at each resolution, a good first choice: "
            + ", ".join(f"{code(end)} {format_shape(infos[end].output_shape)}" for end in ends),
            **bind("layer", second="_end", shown=selected.path if selected.path in ends else None),
        )
    return selected


def default_layer(backbone: Backbone) -> str:
    """Return a layer in the middle of the network: small enough to show shapes, large enough to show positions."""
    ends = [info.path for info in backbone.layers if info.stage_end]
    return ends[min(2, len(ends) - 1)] if ends else backbone.feature_layer


def layer_title(info: LayerInfo) -> str:
    """Describe a layer in one line: its name, the shape of its output, and the models that contain it."""
    outer, _, name = info.path.rpartition("/")
    title = f"{name} · {format_shape(info.output_shape)}"
    return f"{title} · in {outer}" if outer else title


def format_shape(shape: tuple[int | None, ...]) -> str:
    """Write (28, 28, 40) as "28 × 28 × 40"."""
    return " × ".join("?" if side is None else f"{side:,}" for side in shape)


def pick_part(session: Session, images: ImageSet, by: str | None = None) -> ImageSet:
    """Show how many images of a large set are used, and return that sample, drawn with a fixed seed.

    Args:
        session: The choices.
        images: The whole set.
        by: Label column; the sample has equally many of each of its labels. The first column if None.

    Returns:
        The sample, or `images` if the set is small.
    """
    if len(images) <= min(LIMITS):
        return images
    by = by or sample_column(images)
    options = [limit for limit in LIMITS if limit < len(images)] + [len(images)]
    shown = min(options, key=lambda option: abs(option - session.limit))
    if session.limit < len(images) and session.limit != shown:
        session.report("limit", f"{shown:,}")
    st.selectbox(
        "Images used",
        options,
        format_func=lambda n: f"all {n:,}" if n == len(images) else f"{n:,} of {len(images):,}",
        width=220,
        help=f"A random sample with a fixed seed{f', equally many of each {plain(by)}' if by else ''}.",
        **bind("limit", shown=shown),
    )
    return images.sample(shown, by=by)


def sample_column(images: ImageSet) -> str | None:
    """Return the label column by which a set is sampled: the first."""
    return images.label_columns[0] if images.label_columns else None
