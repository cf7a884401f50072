"""Arrays to results: channel statistics, projections, neighbors, linear probes. No models and no plots here."""

from featlib.analysis.incremental import StreamedPCA, fit_pca, stream_neighbors
from featlib.analysis.neighbors import Neighbors, cosine_similarity, find_neighbors, neighbor_accuracy
from featlib.analysis.probe import ProbeDifference, ProbeResult, compare_probes, linear_probe
from featlib.analysis.projection import (
    DEFAULT_PERPLEXITY,
    EARLY_ITERATIONS,
    MAIN_ITERATIONS,
    MAX_COVARIANCE,
    MAX_EXACT,
    PCA_BEFORE_TSNE,
    Projection,
    ProjectionMethod,
    perplexity_bounds,
    project,
)
from featlib.analysis.statistics import (
    ChannelOrder,
    ChannelStatistics,
    channel_statistics,
    pool,
    sort_channels,
)

__all__ = [
    "DEFAULT_PERPLEXITY",
    "EARLY_ITERATIONS",
    "MAIN_ITERATIONS",
    "MAX_COVARIANCE",
    "MAX_EXACT",
    "PCA_BEFORE_TSNE",
    "ChannelOrder",
    "ChannelStatistics",
    "Neighbors",
    "ProbeDifference",
    "ProbeResult",
    "Projection",
    "ProjectionMethod",
    "StreamedPCA",
    "channel_statistics",
    "compare_probes",
    "cosine_similarity",
    "find_neighbors",
    "fit_pca",
    "linear_probe",
    "neighbor_accuracy",
    "perplexity_bounds",
    "pool",
    "project",
    "sort_channels",
    "stream_neighbors",
]
