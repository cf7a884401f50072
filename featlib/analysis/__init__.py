"""Arrays to results: channel statistics, projections, neighbours, linear probes. No networks, no drawing."""

from featlib.analysis.neighbors import Neighbors, cosine_similarity, find_neighbors, neighbor_accuracy
from featlib.analysis.probe import ProbeResult, linear_probe
from featlib.analysis.projection import Projection, perplexity_bounds, project
from featlib.analysis.statistics import ChannelStatistics, channel_statistics, pool, sort_channels

__all__ = [
    "ChannelStatistics",
    "Neighbors",
    "ProbeResult",
    "Projection",
    "channel_statistics",
    "cosine_similarity",
    "find_neighbors",
    "linear_probe",
    "neighbor_accuracy",
    "perplexity_bounds",
    "pool",
    "project",
    "sort_channels",
]
