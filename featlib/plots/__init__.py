"""Draw results as pictures (NumPy arrays, PNG bytes) and Plotly figures; nothing is shown or saved here."""

from featlib.plots.bars import (
    accuracy_bars,
    channel_bars,
    channel_histogram,
    prediction_bars,
)
from featlib.plots.captions import format_range
from featlib.plots.colorbar import color_bar
from featlib.plots.colors import (
    ACCENT,
    COLORMAPS,
    Colormap,
    color_limits,
    color_table,
    colorize,
    fitting_colormap,
    value_range,
)
from featlib.plots.curves import accuracy_curve, add_accuracy_curve
from featlib.plots.files import joined, jpeg_bytes, png_bytes, resized, titled
from featlib.plots.heatmaps import confusion_heatmap, similarity_heatmap, vector_heatmap
from featlib.plots.pictures import channel_image, film_strip, overlay
from featlib.plots.pixels import pixel_histogram
from featlib.plots.scatter import projection_scatter
from featlib.plots.tiles import ChannelTiles, Mosaic, channel_tiles, mosaic

__all__ = [
    "ACCENT",
    "COLORMAPS",
    "ChannelTiles",
    "Colormap",
    "Mosaic",
    "accuracy_bars",
    "accuracy_curve",
    "add_accuracy_curve",
    "channel_bars",
    "channel_histogram",
    "channel_image",
    "channel_tiles",
    "color_bar",
    "color_limits",
    "color_table",
    "colorize",
    "confusion_heatmap",
    "film_strip",
    "fitting_colormap",
    "format_range",
    "joined",
    "jpeg_bytes",
    "mosaic",
    "overlay",
    "pixel_histogram",
    "png_bytes",
    "prediction_bars",
    "projection_scatter",
    "resized",
    "similarity_heatmap",
    "titled",
    "value_range",
    "vector_heatmap",
]
