"""One image in the app: all its layers one after the other, as the page of feature maps shows them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np

from featlib import plots
from featlib.analysis import channel_statistics, sort_channels
from featlib.images import load_images
from featlib.models import ModelGraph
from featlib.ui.compute import cache
from featlib.ui.widgets.channels import CHANNELS_PER_PAGE, TILE
from tests.benchmarks.networks import Network


@dataclass(frozen=True)
class Looked:
    """What looking at one image took.

    Attributes:
        first_runs: runs of the network for the first layer.
        further_runs: runs for all others together.
        first: seconds until the first layer stands, median.
        further: (layers,) seconds of each further layer, medians.
    """

    first_runs: int
    further_runs: int
    first: float
    further: np.ndarray


def look_at_images(network: Network, files: list[str], repeats: int) -> Looked:
    """Looks at an image a repeat, each of them new to the server; the first one is not counted."""
    found = [_look(network, item) for item in load_images(files[: repeats + 1])][1:]
    return Looked(
        max(first_runs for first_runs, *_ in found),
        max(further_runs for _, further_runs, *_ in found),
        float(np.median([seconds[0] for *_, seconds in found])),
        np.median([seconds[1:] for *_, seconds in found], axis=0),
    )


def _look(network: Network, item: Any) -> tuple[int, int, list[float]]:
    layers = [info.path for info in network.backbone.layers if info.kind == "maps" and not info.reason]
    layers.sort(key=lambda path: path != network.layer)  # people begin with the last one
    seconds, runs = [], []
    with mock.patch.object(ModelGraph, "run", autospec=True, side_effect=ModelGraph.run) as run:
        for layer in layers:
            start = time.perf_counter()
            _draw(cache.trace(network.backbone, item).outputs[layer])
            seconds.append(time.perf_counter() - start)
            runs.append(run.call_count)
    return runs[0], runs[-1] - runs[0], seconds


def _draw(maps: np.ndarray) -> list[bytes]:
    order = sort_channels(channel_statistics(maps[np.newaxis]), "mean")
    tiles = plots.channel_tiles(maps, order[:CHANNELS_PER_PAGE], tile=2 * TILE)
    return [tiles.png(i) for i in range(len(tiles.channels))]
