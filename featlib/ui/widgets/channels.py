"""What a layer makes of one image: its channels as tiles, one channel large, its vector, all stages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st

from featlib import plots
from featlib.analysis import ChannelStatistics, channel_statistics, pool, sort_channels
from featlib.features import Trace
from featlib.images import ImageItem
from featlib.models import Backbone, LayerInfo
from featlib.ui.session import Session, bind, choose, current_session, guarded, widget_value
from featlib.ui.text import code
from featlib.ui.widgets.charts import RGB, SCALE, PickedPoints, save_picture, show_chart
from featlib.ui.widgets.gallery import Picture, short_name, show_pictures
from featlib.ui.widgets.pickers import format_shape

CHANNELS_PER_PAGE = 48
TILE = 84  # pixels
COLUMNS = 8  # of tiles in a saved picture
LARGE = 336  # pixels of a single channel
STAGE = 96
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


def maps_controls(output: LayerOutput) -> None:
    """Show how the channels are sorted, colored and paged, and which one is selected."""
    sorting = bind("sort")

    @guarded
    def sort() -> None:
        """Sort, and go to the strongest channel if the chosen one is not among the first."""
        order = sort_channels(output.statistics, widget_value(sorting["key"]))
        session = current_session()
        if session.channel not in order[:CHANNELS_PER_PAGE]:
            session.choose("channel", int(order[0]))  # one step in the history, with the order
        choose("sort", widget_value(sorting["key"]))

    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Sort by", list(SORTS), format_func=SORTS.__getitem__, width=190, key=sorting["key"], on_change=sort
        )
        st.segmented_control(
            "Color scale",
            list(SCALES),
            format_func=SCALES.__getitem__,
            required=True,
            help="A scale per channel shows its structure; a shared one makes the tiles comparable.",
            **bind("scale"),
        )
        st.number_input("Channel", 0, len(output.order) - 1, step=1, width=110, **bind("channel"))
        if output.n_pages > 1:
            st.pagination(output.n_pages, width="stretch", **bind("page", shown=output.page))


def show_maps(
    session: Session, output: LayerOutput, item: ImageItem, *, page: int, per_page: int = CHANNELS_PER_PAGE
) -> None:
    """Show one page of the layer's channels as tiles to pick from, with the session's color scale."""
    channels = output.order[(page - 1) * per_page : page * per_page]
    tiles = plots.channel_tiles(output.maps, channels, scale=session.scale, tile=TILE * SCALE)
    height, width, count = output.maps.shape
    path = output.layer.path
    show_pictures(
        f"maps {path}",
        [
            Picture(
                value=channel,
                data=tiles.png(i),
                title=f"Channel {channel}: {low:.3g} to {high:.3g}",
                caption=str(channel),
                note=plots.format_range(low, high),
            )
            for i, (channel, (low, high)) in enumerate(zip(tiles.channels, tiles.ranges.tolist(), strict=True))
        ],
        lambda channel: choose("channel", channel),
        label=f"{len(channels)} of {count:,} channels of {path}, {height} × {width} positions each.",
        selected=session.channel,
        side=TILE,
        layout="tiles",
    )
    signed = tiles.limits[0, 0] < 0
    own_ends = ("-largest size of each channel", "+largest") if signed else ("lowest of each channel", "highest")
    ends = None if session.scale == "shared" else own_ends

    def draw(text: RGB) -> np.ndarray:
        picture = plots.mosaic(
            output.maps, channels, scale=session.scale, tile=TILE * SCALE, columns=COLUMNS, text_color=text
        )
        bar = plots.color_bar(
            *tiles.limits[0], colormap=tiles.colormap, width=SCALE * LARGE, labels=ends, text_color=text
        )
        return plots.joined([picture.image, bar])

    with st.container(horizontal=True, vertical_alignment="center"):
        _show_scale(*tiles.limits[0], colormap=tiles.colormap, labels=ends)
        title = f"{short_name(item.name)}: {len(channels)} of {count:,} channels of {path}, {height} × {width}"
        save_picture(draw, title, key=f"save maps {path}", name=f"{short_name(item.name)} {path} channels")


def show_channel(session: Session, trace: Trace, output: LayerOutput, item: ImageItem) -> None:
    """Show one channel: over the photo, enlarged, its statistics and the distribution of its values."""
    channel, stats = session.channel, output.statistics
    values = output.maps[..., channel]
    path = output.layer.path
    over = plots.overlay(trace.image, values)
    colormap = plots.fitting_colormap(values)
    low, high = plots.color_limits(*plots.value_range(values), colormap)
    sides = st.columns(2)
    sides[0].image(trace.image, output_format="PNG", width="stretch", alt="What the network sees.", caption="input")
    sides[1].image(
        over,
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

    def draw(text: RGB) -> np.ndarray:
        pictures = [plots.resized(picture, LARGE * SCALE) for picture in (trace.image, over)]
        pictures.append(plots.channel_image(values, LARGE * SCALE))
        bar = plots.color_bar(low, high, colormap=colormap, width=LARGE * SCALE, text_color=text)
        return plots.joined([plots.joined(pictures, horizontal=True), bar])

    with st.container(horizontal=True, vertical_alignment="center"):
        _show_scale(low, high, colormap=colormap)
        title = f"{short_name(item.name)}: channel {channel} of {path}, {format_shape(values.shape)}"
        save_picture(draw, title, key="save channel", name=f"{short_name(item.name)} {path} channel {channel}")
    numbers = {
        "mean": f"{stats.mean[channel]:.3g}",
        "max": f"{stats.max[channel]:.3g}",
        "zeros": f"{stats.sparsity[channel]:.0%}",
    }
    for column, (label, number) in zip(st.columns(3), numbers.items(), strict=True):
        column.metric(label, number)
    if stats.dead[channel]:
        st.caption("This channel is zero everywhere for this image.")
    show_chart(
        plots.channel_histogram(values, height=200),
        key="histogram",
        alt=f"The {values.size:,} values of channel {channel}, from {values.min():.3g} to {values.max():.3g}.",
        name=f"{path} channel {channel} values",
    )


def show_vector(session: Session, output: LayerOutput) -> None:
    """Show the layer's vector for one image as bars to pick a channel from, with the selected one marked."""
    vector, source = output.vector, "its output"
    if output.layer.kind == "maps":
        source = f"global average of each channel: {format_shape(output.maps.shape)} → {len(vector):,}"
    st.markdown(f"**The vector** of {code(output.layer.path)} · {source}")
    top = int(vector.argmax())

    def pick(points: PickedPoints) -> None:
        clicked = [point["customdata"] for point in points if point.get("customdata") is not None]
        if clicked:
            choose("channel", int(np.ravel(clicked)[0]))

    show_chart(
        plots.channel_bars(vector, selected=session.channel),
        key="vector",
        alt=f"{len(vector):,} values from {vector.min():.3g} to {vector.max():.3g}; channel {top} is the largest. "
        "A click chooses a channel.",
        name=f"{output.layer.path} vector",
        on_select=pick,
    )


def show_film_strip(session: Session, backbone: Backbone, trace: Trace, item: ImageItem) -> None:
    """Show the image and its feature maps at the end of each stage; a click on one chooses its layer."""
    ends = [info for info in backbone.layers if info.stage_end]
    # The sizes of the values: channels with both signs would cancel.
    planes = {info.path: np.abs(trace.outputs[info.path]).mean(-1) for info in ends}
    shapes = {info.path: format_shape(info.output_shape) for info in ends}
    frames = [
        (path, plots.channel_image(plane, STAGE * SCALE), f"{path}: {shapes[path]}", path.rpartition("/")[2])
        for path, plane in planes.items()
    ]
    entrance = next((info.path for info in backbone.layers if info.kind == "maps" and not info.reason), None)
    if entrance is not None:
        frames.insert(0, (entrance, plots.resized(trace.image, STAGE * SCALE), "input", "input"))
        shapes = {entrance: format_shape(trace.image.shape[:2])} | shapes
    paths = [path for path, *_ in frames]
    show_pictures(
        "stages",
        [
            Picture(i, plots.png_bytes(frame), title, caption, shapes[path])
            for i, (path, frame, title, caption) in enumerate(frames)
        ],
        lambda i: choose("layer", paths[i]),
        label=f"The image and the mean size of the values at the end of each of {len(ends)} stages.",
        selected=paths.index(session.layer) if session.layer in paths else None,
        side=STAGE,
        layout="steps",
    )
    stages = [("input", trace.image), *((f"{path}\n{shapes[path]}", plane) for path, plane in planes.items())]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            "The mean of the absolute values of all channels at the end of each stage, each picture with its own color "
            "scale. Click one to go to its layer.",
            width="stretch",
        )
        save_picture(
            lambda text: plots.film_strip(stages, tile=STAGE * SCALE, text_color=text),
            f"{short_name(item.name)} through {backbone.name}",
            key="save stages",
            name=f"{short_name(item.name)} through {backbone.name}",
        )


def _show_scale(low: float, high: float, *, colormap: plots.Colormap, labels: tuple[str, str] | None = None) -> None:
    bar = plots.color_bar(low, high, colormap=colormap, width=SCALE * LARGE, labels=labels)
    text = " to ".join(labels) if labels else f"{low:.3g} to {high:.3g}"
    st.image(bar, output_format="PNG", width=LARGE, alt=f"Color scale: {text}.")
