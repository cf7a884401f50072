"""Draw results as pictures (NumPy arrays, PNG bytes) and Plotly figures; nothing is shown or saved here."""

from featlib.plots.bars import (
    accuracy_bars,
    channel_bars,
    channel_histogram,
    prediction_bars,
)
from featlib.plots.colors import COLORMAPS, color_table, colorize
from featlib.plots.curves import accuracy_curve
from featlib.plots.heatmaps import confusion_heatmap, similarity_heatmap, vector_heatmap
from featlib.plots.pictures import channel_image, film_strip, overlay, png_bytes
from featlib.plots.pixels import pixel_histogram
from featlib.plots.scatter import projection_scatter
from featlib.plots.tiles import Mosaic, mosaic

__all__ = [
    "COLORMAPS",
    "Mosaic",
    "accuracy_bars",
    "accuracy_curve",
    "channel_bars",
    "channel_histogram",
    "channel_image",
    "color_table",
    "colorize",
    "confusion_heatmap",
    "film_strip",
    "mosaic",
    "overlay",
    "pixel_histogram",
    "png_bytes",
    "prediction_bars",
    "projection_scatter",
    "similarity_heatmap",
    "vector_heatmap",
]
