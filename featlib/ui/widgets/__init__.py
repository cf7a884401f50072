"""Widgets that several pages use."""

from featlib.ui.widgets.clickable import Tile, picture_grid, thumbnail_row
from featlib.ui.widgets.own_model import choose_own_model
from featlib.ui.widgets.panels import (
    TILE,
    maps_controls,
    resolve_channels,
    show_channel,
    show_code,
    show_film_strip,
    show_image,
    show_maps,
    show_prediction,
    show_vector,
)
from featlib.ui.widgets.pickers import (
    default_layer,
    format_shape,
    layer_title,
    pick_image,
    pick_layer,
    pick_part,
    positions_in,
    resolve_image,
    resolve_layer,
    sample_column,
)

__all__ = [
    "TILE",
    "Tile",
    "choose_own_model",
    "default_layer",
    "format_shape",
    "layer_title",
    "maps_controls",
    "pick_image",
    "pick_layer",
    "pick_part",
    "picture_grid",
    "positions_in",
    "resolve_channels",
    "resolve_image",
    "resolve_layer",
    "sample_column",
    "show_channel",
    "show_code",
    "show_film_strip",
    "show_image",
    "show_maps",
    "show_prediction",
    "show_vector",
    "thumbnail_row",
]
