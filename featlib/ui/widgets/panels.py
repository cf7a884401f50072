"""Parts of pages: a layer's maps, a channel, a vector, a prediction, the code."""

from __future__ import annotations

import numpy as np
import streamlit as st

from featlib import plots
from featlib.analysis import channel_statistics, pool, sort_channels
from featlib.features import Trace
from featlib.images import ImageItem
from featlib.models import Backbone, LayerInfo, top_classes
from featlib.ui.session import Session, bind
from featlib.ui.text import plain
from featlib.ui.widgets.clickable import Tile, picture_grid
from featlib.ui.widgets.pickers import format_shape

CHANNELS_ON_A_PAGE = 48
TILE = 84
SORTS = {
    "index": "index",
    "mean": "mean, highest first",
    "max": "maximum, highest first",
    "sparsity": "share of zeros, lowest first",
}
SCALES = {"channel": "each channel", "shared": "all channels"}


def show_prediction(backbone: Backbone, trace: Trace) -> None:
    """The five likeliest classes, or why there are none."""
    if backbone.prediction_layer is None:
        end = backbone.layers[-1].path
        advice = " Switch on “Include top”." if backbone.weights in ("imagenet", "random") else ""
        st.info(plain(f"This network ends at {end} and names no classes.{advice}"))
        return
    probabilities = trace.outputs[backbone.prediction_layer]
    best = top_classes(probabilities)
    names = [backbone.class_name(i) for i in best]
    figure = plots.prediction_bars(names, probabilities[best])
    said = ", ".join(f"{name} {probabilities[i]:.0%}" for name, i in zip(names, best, strict=True))
    st.plotly_chart(
        figure, key="prediction", alt=f"The five likeliest classes: {said}.", config={"displayModeBar": False}
    )


def show_maps(
    session: Session,
    layer: LayerInfo,
    maps: np.ndarray,
    *,
    count: int = CHANNELS_ON_A_PAGE,
    columns: int = 6,
    page: int = 1,
) -> None:
    """One page of the layer's channels as tiles to pick from, sorted and scaled as the session says."""
    order = _channel_order(session, maps)
    first = (page - 1) * count
    picture = plots.mosaic(maps, order[first : first + count], scale=session.scale, tile=TILE, columns=columns)  # type: ignore[arg-type]
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
    picture_grid(
        f"maps {layer.path}",
        picture.png,
        (picture.codes.shape[1], picture.codes.shape[0]),
        tiles,
        alt=f"{len(tiles)} of {maps.shape[-1]} channels of {layer.path}, {format_shape(maps.shape[:2])} places each.",
        selected=session.channel,
        on_pick=lambda channel: session.choose("channel", channel),
    )


def _channel_order(session: Session, maps: np.ndarray) -> np.ndarray:
    return sort_channels(channel_statistics(maps[np.newaxis]), session.sort)  # type: ignore[arg-type]


def maps_controls(session: Session, maps: np.ndarray) -> int:
    """How the channels are ordered, coloured and paged, and which one is looked at; returns the page to show."""
    channels = maps.shape[-1]
    pages = -(-channels // CHANNELS_ON_A_PAGE)
    session.page = min(session.page, pages) if pages > 1 else 0
    session.channel = min(max(session.channel, 0), channels - 1)
    place = int(np.flatnonzero(_channel_order(session, maps) == session.channel)[0])
    page = session.page or place // CHANNELS_ON_A_PAGE + 1
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox("Sort by", list(SORTS), format_func=lambda key: SORTS[key], width=200, **bind("sort"))
        st.segmented_control(
            "Colours span",
            list(SCALES),
            format_func=lambda key: SCALES[key],
            required=True,
            help="Each channel by itself shows its form; all channels together make the tiles comparable.",
            **bind("scale"),
        )
        st.number_input("Channel", 0, channels - 1, step=1, width=120, **bind("channel"))
        if pages > 1:
            st.pagination(pages, width="stretch", **bind("page", shown=page))
    return page


def show_channel(session: Session, trace: Trace, layer: LayerInfo, maps: np.ndarray) -> None:
    """One channel: enlarged, laid over the photo, its values as numbers and as a histogram."""
    channel = session.channel
    values = maps[..., channel]
    stats = channel_statistics(maps[np.newaxis])
    sides = st.columns(2)
    sides[0].image(
        trace.image, output_format="PNG", width="stretch", alt="What the network sees.", caption="what enters"
    )
    sides[1].image(
        plots.overlay(trace.image, values),
        output_format="PNG",
        width="stretch",
        alt=f"Channel {channel} of {layer.path} laid over the photo.",
        caption=f"channel {channel} over it",
    )
    st.image(
        plots.channel_image(values),
        output_format="PNG",
        width="stretch",
        alt=f"Channel {channel} of {layer.path}, enlarged.",
        caption=f"channel {channel} of {layer.path}: {format_shape(values.shape)} places",
    )
    numbers = {"mean": stats.mean, "max": stats.max, "zeros": stats.sparsity}
    for column, (name, value) in zip(st.columns(3), numbers.items(), strict=True):
        column.metric(name, f"{value[channel]:.0%}" if name == "zeros" else f"{value[channel]:.3g}")
    if stats.dead[channel]:
        st.caption("This channel is zero everywhere for this image.")
    st.plotly_chart(
        plots.channel_histogram(values, height=200),
        key="histogram",
        alt=f"The {values.size:,} values of channel {channel}, from {values.min():.3g} to {values.max():.3g}.",
    )


def show_vector(session: Session, layer: LayerInfo, output: np.ndarray, *, height: int = 240) -> None:
    """The layer's global-average-pooled vector for one image as bars, the picked channel marked."""
    vector = pool(output[np.newaxis])[0] if output.ndim == 3 else output.reshape(-1)
    session.channel = min(max(session.channel, 0), len(vector) - 1)
    made = (
        f"global average of each channel: {format_shape(output.shape)} → {len(vector):,}"
        if output.ndim == 3
        else "its output"
    )
    st.markdown(f"**The vector** of `{layer.path}` · {made}")
    top = int(vector.argmax())
    st.plotly_chart(
        plots.channel_bars(vector, selected=session.channel, height=height),
        key="vector",
        alt=f"{len(vector):,} values from {vector.min():.3g} to {vector.max():.3g}; channel {top} is the largest.",
    )


def show_film_strip(backbone: Backbone, trace: Trace) -> None:
    """The same image through the stages of the network."""
    ends = [info for info in backbone.layers if info.stage_end]
    stages = [("what enters", trace.image)] + [
        (f"{info.path}\n{format_shape(info.output_shape)}", trace.outputs[info.path].mean(-1)) for info in ends
    ]
    strip = plots.film_strip(stages)
    st.image(
        strip,
        output_format="PNG",
        alt=f"The image and the mean over channels at the end of each of {len(ends)} stages: ever coarser.",
    )
    st.caption("Each picture is the mean over all channels at the end of a stage, coloured over its own values.")


def show_image(trace: Trace, item: ImageItem) -> None:
    """The picture as the network sees it."""
    height, width = trace.image.shape[:2]
    st.image(
        trace.image,
        output_format="PNG",
        width="stretch",
        caption=f"{plain(item.name)} as the network sees it: {width} × {height}",
        alt=f"{item.name}, resized and cropped to {width} by {height} pixels.",
    )


def show_code(code: str | dict[str, str], made: str = "what is on this page") -> None:
    """The program that makes what is on screen, or several, each with its title; `made` says what it makes."""
    st.divider()
    with st.expander(f"**The code** · the program that makes {made}"):
        if isinstance(code, str):
            st.code(code, language="python")
            return
        for tab, program in zip(st.tabs(list(code)), code.values(), strict=True):
            tab.code(program, language="python")
