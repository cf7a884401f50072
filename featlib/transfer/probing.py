"""Linear probes over the depth of a model: which layer's vectors predict the labels best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from featlib.analysis import ProbeResult, linear_probe
from featlib.checks import as_array
from featlib.errors import FeatlibError
from featlib.features import EngineOptions, Pooling, VectorStore, vector_engine
from featlib.images import ImageEntry, ImageItem, ImageProblem, ImageSet, list_pending
from featlib.models import Backbone, as_backbone
from featlib.progress import OnProgress, check_progress

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class LayerProbe:
    """Linear probes on several layers of a model, all on the same images and folds.

    Attributes:
        layers: L layer paths.
        results: One result per layer.
        images: The images that could be read, in the order of the rows of each result.
        column: The label column predicted; empty for labels that were passed as an array.
        problems: The images that could not be read, which no probe has seen.
    """

    layers: tuple[str, ...]
    results: tuple[ProbeResult, ...]
    images: ImageSet
    column: str = ""
    problems: tuple[ImageProblem, ...] = ()

    def __repr__(self) -> str:
        best = int(self.mean_accuracies.argmax())
        score = f"{self.mean_accuracies[best]:.1%} ± {self.std_accuracies[best]:.1%}"
        return f"LayerProbe({len(self.layers):,} layers, best {self.best!r}: {score})"

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas DataFrame: one row per layer, with its path as index and the accuracies as columns."""
        import pandas as pd

        columns = {"mean_accuracy": self.mean_accuracies, "std_accuracy": self.std_accuracies}
        return pd.DataFrame(columns, index=pd.Index(self.layers, name="layer"))

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
        """Accuracy of always predicting the majority class."""
        return self.results[0].majority_accuracy

    @property
    def skipped(self) -> np.ndarray:
        """The classes with a single image, which were not probed."""
        return self.results[0].skipped

    @property
    def best(self) -> str:
        """Path of the layer with the highest mean accuracy; of a tie the first, which is quicker to compute."""
        return self.layers[int(self.mean_accuracies.argmax())]


def stage_layers(backbone: str | Path | Backbone) -> tuple[str, ...]:
    """Return the paths of the stage outputs and of the feature layer, in order of depth.

    An inner model is listed before its layers but computed after them; where it only repeats its last layer, that layer
    stands for it.

    Args:
        backbone: From `load_backbone`, or the name or file of a network.

    Raises:
        ModelError: If it is none of these, or cannot be loaded.
    """
    backbone = as_backbone(backbone)
    chosen = [info.path for info in backbone.layers if info.stage_end or info.path == backbone.feature_layer]
    targets = backbone.graph.targets
    computed: dict[str, int] = {}  # path -> position of the last layer inside it
    for position, path in enumerate(targets):
        parts = path.split("/")
        computed |= dict.fromkeys(("/".join(parts[: depth + 1]) for depth in range(len(parts))), position)
    layer_of: dict[object, str] = {}  # tensor -> the innermost layer that outputs it
    for path in sorted(chosen, key=lambda path: (computed[path], -path.count("/"))):
        layer_of.setdefault(targets[path][1], path)
    return tuple(layer_of.values())


def probe_layers(
    backbone: str | Path | Backbone,
    images: object,
    layers: str | Sequence[str] | None = None,
    *,
    y: str | Sequence[object] | np.ndarray | None = None,
    pooling: Pooling = "avg",
    cv: int = 5,
    random_state: int = 0,
    C: float = 1.0,
    batch_size: int = 32,
    store: VectorStore | None = None,
    on_progress: OnProgress | None = None,
) -> LayerProbe:
    """Score a linear probe on the vectors of each layer, with a single forward pass over the images.

    Args:
        backbone: From `load_backbone`, or the name or file of a network.
        images: As for `extract_vectors`; unreadable ones are skipped and listed in the result.
        layers: Layer paths; None means the stage outputs and the feature layer.
        y: (n,) labels, one per image, or the name of a label column of the images; None takes their first. A class with
            a single image is skipped.
        pooling: "avg", "max" or "flatten".
        cv: Number of folds, at least 2; lowered to the size of the smallest class.
        random_state: Seed of the shuffle into folds.
        C: Inverse regularization strength, above 0.
        batch_size: Images per forward pass.
        store: Cache of vectors on disk; None caches nothing.
        on_progress: Called with (done, total), in units of about one image's work. Returning True cancels.

    Returns:
        One result per layer, in the order given.

    Raises:
        FeatlibError: If there are no layers, labels are missing, fewer than two classes have two images, or an option
            is invalid.
        LayerNotFoundError: If a layer path is unknown.
        ImageError: If there are no images.
        CancelledError: If `on_progress` returned True.
    """
    options = EngineOptions(batch_size, store=store)
    check_progress(on_progress)
    backbone = as_backbone(backbone)
    engine = vector_engine(backbone, stage_layers(backbone) if layers is None else layers, pooling, options)
    paths = tuple(tap.layer for tap in engine.taps)
    pending = list_pending(images)
    n = len(pending)
    given = None if y is None or isinstance(y, str) else as_array("y", y)
    if given is not None and given.shape != (n,):
        raise FeatlibError(f"Received labels of shape {given.shape} for {n} images; each needs one label.")
    if isinstance(y, str):
        _check_column(pending, y)
    fits = 1 + n // 4  # units of progress: all probes together take about a fifth of the whole work
    report = on_progress or (lambda _done, _total: None)
    found, parts = engine.run(pending, on_progress=lambda done, _: report(done, n + fits))
    kept = ImageSet("", tuple(entry for entry in found if isinstance(entry, ImageItem)))
    if given is None:
        column = y if isinstance(y, str) else next(iter(kept.label_columns), "")
        labels = kept.labels_for(column) if column else None
    else:
        column, labels = "", given[[isinstance(entry, ImageItem) for entry in found]]
    results = []
    for i, X in enumerate(parts):

        def report_fold(done: int, folds: int, i: int = i) -> bool | None:
            return report(n + fits * (i * folds + done) // (len(parts) * folds), n + fits)

        results.append(linear_probe(X, labels, cv=cv, random_state=random_state, C=C, on_progress=report_fold))
    report(n + fits, n + fits)
    problems = tuple(entry for entry in found if isinstance(entry, ImageProblem))
    return LayerProbe(paths, tuple(results), kept, column, problems)


def _check_column(images: Sequence[ImageEntry], column: str) -> None:
    known = dict.fromkeys(name for image in images if isinstance(image, ImageItem) for name in image.labels)
    if column not in known:
        names = ", ".join(f"'{name}'" for name in known) or "none"
        raise FeatlibError(f"There is no label column '{column}'. The images have: {names}.")
