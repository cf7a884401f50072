"""What a network computes for one image: predictions, feature maps, one channel, the vector; and the page's code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from featlib import plots
from featlib.analysis import ChannelStatistics, channel_statistics, pool, sort_channels
from featlib.features import Trace
from featlib.images import ImageItem
from featlib.models import Backbone, LayerInfo, top_classes
from featlib.ui.session import Session, bind, choose
from featlib.ui.text import plain
from featlib.ui.widgets.clickable import Tile, picture_grid
from featlib.ui.widgets.pickers import format_shape

CHANNELS_PER_PAGE = 48
MAX_LISTED = 8
PROBLEMS_HEIGHT = 220  # pixels; more of them are scrolled
TILE = 84
SORTS = {
    "index": "index",
    "mean": "mean, highest first",
    "max": "maximum, highest first",
    "sparsity": "share of zeros, lowest first",
}
SCALES = {"channel": "per channel", "shared": "shared"}


@dataclass(frozen=True, eq=False)
class LayerOutput:
    """A layer's output for one image, and how its channels are shown.

    Attributes:
        layer: The layer.
        maps: (h, w, c) float32; (1, 1, c) where the layer has no height and width.
        vector: (c,), the global average of each channel.
        statistics: Of each channel.
        order: (c,) channels in the order that the session asks for.
        page: The page of channels to show, from 1.
        n_pages: The number of pages.
    """

    layer: LayerInfo
    maps: np.ndarray
    vector: np.ndarray
    statistics: ChannelStatistics
    order: np.ndarray
    page: int
    n_pages: int


def resolve_channels(session: Session, layer: LayerInfo, output: np.ndarray) -> LayerOutput:
    """Sort the channels of a layer; of a link's channel or page that it lacks, show the last."""
    maps = output if output.ndim == 3 else output.reshape(1, 1, -1)
    statistics = channel_statistics(maps[np.newaxis])
    order = sort_channels(statistics, session.sort)
    n_pages = -(-len(order) // CHANNELS_PER_PAGE)
    if session.channel >= len(order):
        session.report("channel", len(order) - 1)
        session.channel = len(order) - 1
    if session.page > n_pages:
        session.report("page", n_pages)
    page_of_channel = int(np.flatnonzero(order == session.channel)[0]) // CHANNELS_PER_PAGE + 1
    vector = pool(maps[np.newaxis])[0]
    page = min(session.page, n_pages) or page_of_channel
    return LayerOutput(layer, maps, vector, statistics, order, page, n_pages)


def show_prediction(
    backbone: Backbone, probabilities: np.ndarray | None, key: str = "prediction", longest: float | None = None
) -> None:
    """Show the five most probable classes as bars, or why there are none.

    Args:
        backbone: Names the classes.
        probabilities: (classes,) of one image; None if the network has no classification head.
        key: Unique on the page.
        longest: The probability of the longest bar on the page, to draw several charts on one scale.
    """
    if probabilities is None:
        advice = " Switch on “Include top”." if backbone.weights in ("imagenet", "random") else ""
        end = plain(backbone.layers[-1].path)
        st.info(f"This network ends at {end} and has no classification head.{advice}")
        return
    best = top_classes(probabilities)
    names = [backbone.class_name(i) for i in best]
    figure = plots.prediction_bars(names, probabilities[best])
    if longest is not None:
        figure.update_xaxes(range=[0, longest * 1.3])
    listed = ", ".join(f"{name} {probabilities[i]:.0%}" for name, i in zip(names, best, strict=True))
    st.plotly_chart(figure, key=key, alt=f"Top 5 predictions: {listed}.", config={"displayModeBar": False})


def show_maps(
    session: Session, output: LayerOutput, *, page: int, per_page: int = CHANNELS_PER_PAGE, columns: int = 6
) -> None:
    """Show one page of the layer's channels as tiles to pick from, with the session's color scale."""
    channels = output.order[(page - 1) * per_page : page * per_page]
    picture = plots.mosaic(output.maps, channels, scale=session.scale, tile=TILE, columns=columns)
    tiles = [
        Tile(
            value=channel,
            label=f"Channel {channel}: {low:.3g} to {high:.3g}",
            x=i % picture.columns * picture.tile_width,
            y=i // picture.columns * picture.tile_height,
            width=picture.map_width,
            height=picture.map_height,
        )
        for i, (channel, (low, high)) in enumerate(zip(picture.channels, picture.ranges, strict=True))
    ]
    height, width, count = output.maps.shape
    picture_grid(
        f"maps {output.layer.path}",
        picture.png,
        (picture.codes.shape[1], picture.codes.shape[0]),
        tiles,
        alt=f"{len(tiles)} of {count:,} channels of {output.layer.path}, {height} × {width} positions each.",
        selected=session.channel,
        on_pick=lambda channel: choose("channel", channel),
    )


def maps_controls(output: LayerOutput) -> None:
    """Show how the channels are sorted, colored and paged, and which one is selected."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox("Sort by", list(SORTS), format_func=SORTS.__getitem__, width=200, **bind("sort"))
        st.segmented_control(
            "Color scale",
            list(SCALES),
            format_func=SCALES.__getitem__,
            required=True,
            help="A scale per channel shows its structure; a shared one makes the tiles comparable.",
            **bind("scale"),
        )
        st.number_input("Channel", 0, len(output.order) - 1, step=1, width=120, **bind("channel"))
        if output.n_pages > 1:
            st.pagination(output.n_pages, width="stretch", **bind("page", shown=output.page))


def show_channel(session: Session, trace: Trace, output: LayerOutput) -> None:
    """Show one channel: over the photo, enlarged, its statistics and the distribution of its values."""
    channel, stats = session.channel, output.statistics
    values = output.maps[..., channel]
    path = output.layer.path
    sides = st.columns(2)
    sides[0].image(trace.image, output_format="PNG", width="stretch", alt="What the network sees.", caption="input")
    sides[1].image(
        plots.overlay(trace.image, values),
        output_format="PNG",
        width="stretch",
        alt=f"Channel {channel} of {path} overlaid on the photo.",
        caption=f"channel {channel} overlaid",
    )
    st.image(
        plots.channel_image(values),
        output_format="PNG",
        width="stretch",
        alt=f"Channel {channel} of {path}, enlarged.",
        caption=f"channel {channel} of {path}: {format_shape(values.shape)} positions",
    )
    numbers = {
        "mean": f"{stats.mean[channel]:.3g}",
        "max": f"{stats.max[channel]:.3g}",
        "zeros": f"{stats.sparsity[channel]:.0%}",
    }
    for column, (label, number) in zip(st.columns(3), numbers.items(), strict=True):
        column.metric(label, number)
    if stats.dead[channel]:
        st.caption("This channel is zero everywhere for this image.")
    st.plotly_chart(
        plots.channel_histogram(values, height=200),
        key="histogram",
        alt=f"The {values.size:,} values of channel {channel}, from {values.min():.3g} to {values.max():.3g}.",
    )


def show_vector(session: Session, output: LayerOutput) -> None:
    """Show the layer's vector for one image as bars, with the selected channel marked."""
    vector, source = output.vector, "its output"
    if output.layer.kind == "maps":
        source = f"global average of each channel: {format_shape(output.maps.shape)} → {len(vector):,}"
    st.markdown(f"**The vector** of `{output.layer.path}` · {source}")
    top = int(vector.argmax())
    st.plotly_chart(
        plots.channel_bars(vector, selected=session.channel),
        key="vector",
        alt=f"{len(vector):,} values from {vector.min():.3g} to {vector.max():.3g}; channel {top} is the largest.",
    )


def show_film_strip(backbone: Backbone, trace: Trace) -> None:
    """Show the image and its feature maps at the end of each stage."""
    ends = [info for info in backbone.layers if info.stage_end]
    stages = [("input", trace.image)] + [
        (f"{info.path}\n{format_shape(info.output_shape)}", trace.outputs[info.path].mean(-1)) for info in ends
    ]
    st.image(
        plots.film_strip(stages),
        output_format="PNG",
        alt=f"The image and the mean over channels at the end of each of {len(ends)} stages, coarser and coarser.",
    )
    st.caption("The mean over all channels at the end of each stage, each picture with its own color scale.")


def show_image(trace: Trace, item: ImageItem) -> None:
    """Show the image as the network sees it."""
    height, width = trace.image.shape[:2]
    st.image(
        trace.image,
        output_format="PNG",
        width="stretch",
        caption=f"{plain(item.name)} as the network sees it: {width} × {height}",
        alt=f"{item.name}, resized and cropped to {width} by {height} pixels.",
    )


def show_problems(reasons: Sequence[str]) -> None:
    """List why images cannot be used, one line each; a long list is scrolled."""
    with st.container(height=PROBLEMS_HEIGHT if len(reasons) > MAX_LISTED else "content", border=False):
        st.text("\n".join(reasons))


def show_code(code: str | dict[str, str], made: str = "what is on this page") -> None:
    """Show the program that reproduces the page, or several by title; `made` says what it reproduces."""
    with st.container(key="code"):
        st.divider()
        place = st.expander(f"**The code** · the program that makes {made}")
    with place:
        if isinstance(code, str):
            st.code(code, language="python")
            return
        for tab, program in zip(st.tabs(list(code)), code.values(), strict=True):
            tab.code(program, language="python")
