"""Widgets that several pages use."""

from featlib.ui.widgets.channels import (
    TILE,
    maps_controls,
    resolve_channels,
    show_channel,
    show_film_strip,
    show_maps,
    show_vector,
)
from featlib.ui.widgets.charts import RGB, SCALE, PickedPoints, save_picture, show_chart
from featlib.ui.widgets.copy_link import copy_link
from featlib.ui.widgets.folder_browser import browse_folders, place_title, show_how_to_open
from featlib.ui.widgets.gallery import choose_image, gallery, short_name
from featlib.ui.widgets.labels import find_obstacle, has_several, pick_column, pick_label, warn_single
from featlib.ui.widgets.own_images import bring_images
from featlib.ui.widgets.own_model import ask_for_model, choose_own_model, take_own_model
from featlib.ui.widgets.panels import show_code, show_image, show_prediction, show_problems
from featlib.ui.widgets.pickers import (
    default_layer,
    format_shape,
    layer_title,
    matching_images,
    pick_image,
    pick_layer,
    pick_part,
    positions_in,
    resolve_image,
    resolve_layer,
    sample_column,
)
from featlib.ui.widgets.predicted import show_predicted
from featlib.ui.widgets.scatter import (
    MIN_POINTS,
    Points,
    bounded_perplexity,
    pick_projection,
    picked_positions,
    resolve_color,
    show_scatter,
    tsne_note,
)

__all__ = [
    "MIN_POINTS",
    "RGB",
    "SCALE",
    "TILE",
    "PickedPoints",
    "Points",
    "ask_for_model",
    "bounded_perplexity",
    "bring_images",
    "browse_folders",
    "choose_image",
    "choose_own_model",
    "copy_link",
    "default_layer",
    "find_obstacle",
    "format_shape",
    "gallery",
    "has_several",
    "layer_title",
    "maps_controls",
    "matching_images",
    "pick_column",
    "pick_image",
    "pick_label",
    "pick_layer",
    "pick_part",
    "pick_projection",
    "picked_positions",
    "place_title",
    "positions_in",
    "resolve_channels",
    "resolve_color",
    "resolve_image",
    "resolve_layer",
    "sample_column",
    "save_picture",
    "short_name",
    "show_channel",
    "show_chart",
    "show_code",
    "show_film_strip",
    "show_how_to_open",
    "show_image",
    "show_maps",
    "show_predicted",
    "show_prediction",
    "show_problems",
    "show_scatter",
    "show_vector",
    "take_own_model",
    "tsne_note",
    "warn_single",
]
