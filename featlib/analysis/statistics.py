"""Statistics of a layer's channels over a batch, and pooling of feature maps in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from featlib.checks import as_array, choice, instance
from featlib.errors import FeatlibError

if TYPE_CHECKING:
    import pandas as pd

ChannelOrder = Literal["index", "mean", "max", "sparsity"]
CHANNEL_ORDERS: tuple[ChannelOrder, ...] = get_args(ChannelOrder)


@dataclass(frozen=True, eq=False)
class ChannelStatistics:
    """Statistics of c channels over all images and positions of a batch; every array has shape (c,).

    Attributes:
        mean: Mean value, float64.
        max: Largest value.
        min: Smallest value.
        std: Standard deviation (of the population), float64.
        sparsity: Share of values that are exactly zero, 0..1.
        dead: True where the channel is zero at every position of every image.
        n_images: Number of images.
    """

    mean: np.ndarray
    max: np.ndarray
    min: np.ndarray
    std: np.ndarray
    sparsity: np.ndarray
    dead: np.ndarray
    n_images: int

    def __repr__(self) -> str:
        return f"ChannelStatistics({self.n_channels:,} channels, {self.n_images:,} images, {self.dead.sum():,} dead)"

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas DataFrame: one row per channel, with its statistics as columns."""
        import pandas as pd

        columns = {name: getattr(self, name) for name in ("mean", "max", "min", "std", "sparsity", "dead")}
        return pd.DataFrame(columns).rename_axis("channel")

    @property
    def n_channels(self) -> int:
        """The number of channels."""
        return len(self.mean)


def channel_statistics(maps: np.ndarray) -> ChannelStatistics:
    """Compute statistics for each channel of a batch of feature maps or vectors.

    NaN and infinite values propagate, as in NumPy.

    Args:
        maps: (n, h, w, c) feature maps, or (n, d) vectors, treated as d channels.

    Returns:
        The statistics, each of shape (c,) or (d,).

    Raises:
        FeatlibError: If `maps` has another number of axes, is empty or not numeric.
    """
    maps = _checked_maps(maps)
    axes = tuple(range(maps.ndim - 1))
    mean = maps.mean(axis=axes, dtype=np.float64, keepdims=True)
    sparsity = 1.0 - np.count_nonzero(maps, axis=axes) / (maps.size // maps.shape[-1])
    return ChannelStatistics(
        mean=mean.reshape(-1),
        max=maps.max(axis=axes),
        min=maps.min(axis=axes),
        std=maps.std(axis=axes, dtype=np.float64, mean=mean),
        sparsity=sparsity,
        dead=sparsity == 1.0,
        n_images=len(maps),
    )


def sort_channels(stats: ChannelStatistics, by: ChannelOrder = "index") -> np.ndarray:
    """Return channel indices, most active first.

    Args:
        stats: From `channel_statistics`.
        by: "index" keeps the model's order; "mean" and "max" sort the largest first, "sparsity" the least
            sparse first. Ties keep the model's order; NaN comes last.

    Returns:
        (c,) int indices of the channels.

    Raises:
        FeatlibError: If `by` is unknown, or `stats` is something else.
    """
    choice("by", by, CHANNEL_ORDERS)
    instance("stats", stats, ChannelStatistics, "the result of channel_statistics")
    if by == "index":
        return np.arange(stats.n_channels)
    keys = {"mean": -stats.mean, "max": -stats.max, "sparsity": stats.sparsity}
    return np.argsort(keys[by], kind="stable")


def pool(maps: np.ndarray) -> np.ndarray:
    """Pool feature maps to vectors: the mean of each channel (global average pooling).

    Args:
        maps: (n, h, w, c) feature maps; (n, d) vectors are returned unchanged.

    Returns:
        (n, c) vectors in the dtype of `maps`.

    Raises:
        FeatlibError: If `maps` has another number of axes, is empty or not numeric.
    """
    maps = _checked_maps(maps)
    return maps.mean(axis=tuple(range(1, maps.ndim - 1)), dtype=np.float64).astype(maps.dtype)


def _checked_maps(maps: np.ndarray) -> np.ndarray:
    maps = as_array("maps", maps)
    if maps.ndim not in (2, 4):
        raise FeatlibError(
            f"Received an array of shape {maps.shape}. Pass feature maps (n, h, w, c) or vectors (n, d); "
            "the maps of a single image need a batch axis: maps[None]."
        )
    if maps.size == 0:
        raise FeatlibError(f"Received an array of shape {maps.shape}, which is empty.")
    if maps.dtype.kind not in "fiub":
        raise FeatlibError(f"Received feature maps of dtype {maps.dtype}; numbers are needed.")
    return maps if np.issubdtype(maps.dtype, np.floating) else maps.astype(np.float64)
