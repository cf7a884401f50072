"""Which layer is best for these images: one forward pass, one probe a layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from featlib.analysis import ProbeResult, linear_probe
from featlib.errors import FeatlibError
from featlib.features.engine import run_batches
from featlib.features.store.store import VectorStore
from featlib.features.taps import Tap
from featlib.features.vectors import check_vectors
from featlib.images import ImageItem, ImageProblem, ImageSet, list_pending
from featlib.models import Backbone

PASS_SHARE = 0.8  # of the whole work, about, that the forward pass takes


@dataclass(frozen=True, eq=False)
class LayerProbe:
    """Linear probes on several layers of a network, all over the same images and folds.

    Attributes:
        layers: L layer paths.
        results: one result a layer.
        problems: the images that could not be read, which no probe has seen.
    """

    layers: tuple[str, ...]
    results: tuple[ProbeResult, ...]
    problems: tuple[ImageProblem, ...] = ()

    @property
    def mean_accuracies(self) -> np.ndarray:
        """(L,) mean accuracy over the held-out folds, 0..1."""
        return np.array([result.mean_accuracy for result in self.results])

    @property
    def std_accuracies(self) -> np.ndarray:
        """(L,) standard deviation over the folds."""
        return np.array([result.std_accuracy for result in self.results])

    @property
    def majority_accuracy(self) -> float:
        """What always answering the most frequent class would score."""
        return self.results[0].majority_accuracy

    @property
    def best(self) -> str:
        """Path of the layer with the highest mean accuracy; of equals the first, which is quicker to compute."""
        return self.layers[int(self.mean_accuracies.argmax())]


def stage_layers(backbone: Backbone) -> tuple[str, ...]:
    """Paths of the ends of the network's stages and of its feature layer, in order of depth."""
    chosen = [info.path for info in backbone.layers if info.stage_end or info.path == backbone.feature_layer]
    return tuple(dict.fromkeys(chosen))


def probe_layers(
    backbone: Backbone,
    images: object,
    layers: Sequence[str] | None = None,
    *,
    y: Sequence[object] | np.ndarray | None = None,
    pooling: str = "avg",
    cv: int = 5,
    random_state: int = 0,
    C: float = 1.0,
    batch_size: int = 32,
    store: VectorStore | None = None,
    on_progress: Callable[[float], bool | None] | None = None,
) -> LayerProbe:
    """Scores a linear probe on the vectors of each layer; the images pass through the network once.

    Args:
        backbone: from `load_backbone`.
        images: as for `extract_vectors`; one that cannot be read is left out and told in the result.
        layers: layer paths; None means the ends of the stages and the feature layer.
        y: (n,) labels, one for each of the images; None takes the images' first label column.
        pooling: "avg", "max" or "flatten".
        cv: folds, at least 2; lowered to the size of the smallest class where that is less.
        random_state: seed of the shuffle into folds.
        C: inverse strength of the regularisation, above 0.
        batch_size: images in one forward pass.
        store: where vectors are kept; None keeps nothing.
        on_progress: called with the share of the work done, 0..1; returning True stops it.

    Returns:
        One result for each layer, in the order asked.

    Raises:
        FeatlibError: no layers, unknown pooling, labels that are missing, all equal or lonely, or a bad option.
        LayerNotFoundError: a layer path is unknown.
        ImageError: there are no such images at all.
        CancelledError: `on_progress` returned True.
    """
    paths = stage_layers(backbone) if layers is None else tuple(layers)
    if not paths:
        raise FeatlibError("layers is empty. Give at least one layer path, or None for the ends of the stages.")
    taps = [Tap(path, pooling) for path in paths]
    check_vectors(backbone, taps)
    pending = list_pending(images)
    given = None if y is None else np.asarray(y)
    if given is not None and given.shape != (len(pending),):
        raise FeatlibError(f"Received labels of shape {given.shape} for {len(pending)} images; each needs one label.")
    report = on_progress or (lambda _share: None)
    found, parts = run_batches(
        backbone,
        pending,
        taps,
        batch_size=batch_size,
        store=store,
        on_progress=lambda done, n: report(PASS_SHARE * done / n),
    )
    labels = _labels(found, given)
    results = []
    for i, X in enumerate(parts):
        share = _part_of(report, i, len(parts))
        results.append(linear_probe(X, labels, cv=cv, random_state=random_state, C=C, on_progress=share))
    report(1.0)
    return LayerProbe(paths, tuple(results), tuple(entry for entry in found if isinstance(entry, ImageProblem)))


def _labels(found: Sequence[ImageItem | ImageProblem], y: np.ndarray | None) -> np.ndarray | None:
    """The labels of the images that could be read, or None where there are none."""
    if y is None:
        return ImageSet("", tuple(entry for entry in found if isinstance(entry, ImageItem))).labels
    return y[[isinstance(entry, ImageItem) for entry in found]]


def _part_of(report: Callable[[float], bool | None], i: int, n: int) -> Callable[[float], bool | None]:
    return lambda share: report(PASS_SHARE + (1 - PASS_SHARE) * (i + share) / n)
