"""The same stage in another network: what to show when a user switches networks."""

from __future__ import annotations

import math

from featlib.models import Backbone, LayerInfo, find_layer

PREFIX = "stage:"
LAST = "last"


def name_stage(backbone: Backbone, path: str) -> str:
    """Name the stage of a layer so that it can be found in any network.

    Returns:
        "stage:last" for the feature layer; "stage:8" for maps of an eighth of the input's resolution; "stage:vector",
        "stage:probabilities" or "stage:other" for a layer without maps.
    """
    info = find_layer(backbone, path)
    if path == backbone.feature_layer:
        return PREFIX + LAST
    if info.kind != "maps":
        return PREFIX + info.kind
    return f"{PREFIX}{_reduction(backbone, info):g}"


def find_stage(backbone: Backbone, stage: str) -> str:
    """Return the path of the layer at a stage that `name_stage` has named in this or another network.

    Args:
        backbone: The network to look in.
        stage: Maps are found by their resolution relative to the input, at the nearest stage output; for what the
            network lacks its feature layer is returned.
    """
    name = stage.removeprefix(PREFIX)
    try:
        wanted = math.log2(float(name))
    except ValueError:
        alike = [info.path for info in backbone.layers if info.kind == name and not info.reason]
        return alike[-1] if alike else backbone.feature_layer
    ends = [info for info in backbone.layers if info.stage_end]
    if not ends:
        return backbone.feature_layer
    return min(reversed(ends), key=lambda end: abs(math.log2(_reduction(backbone, end)) - wanted)).path


def _reduction(backbone: Backbone, info: LayerInfo) -> float:
    """Return how many pixels of the input's height there are to one position of a layer."""
    return round(backbone.input_shape[0] / (info.output_shape[0] or 1), 2)
