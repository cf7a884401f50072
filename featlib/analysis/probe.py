"""Linear probes: how well a linear classifier predicts the labels from the vectors alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from featlib.analysis.checks import checked_labels, checked_vectors
from featlib.checks import finite_number, instance, seed, whole_number
from featlib.errors import FeatlibError
from featlib.progress import OnProgress, report_progress

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class ProbeResult:
    """Cross-validated result of a linear probe on n vectors with k classes.

    A class with a single image cannot be both learned and tested, so it is skipped: its row is in no fold and counts
    nowhere. Its prediction is that of a classifier fitted on all other rows.

    Attributes:
        accuracies: (cv,) accuracy on each held-out fold, 0..1.
        mean_accuracy: Mean of `accuracies`.
        std_accuracy: Standard deviation of `accuracies`.
        majority_accuracy: Accuracy of always predicting the majority class.
        classes: (k,) the labels that were learned, sorted.
        labels: (n,) the true label of each row, as used.
        predictions: (n,) the label predicted for each row when it was held out.
        probabilities: (n, k) float64 probability of each class for each row when it was held out, in the order of
            `classes`.
        confusion: (k, k) int counts: rows are true classes, columns predicted ones, in the order of `classes`.
        mistakes: Rows whose prediction is wrong, ascending.
        cv: Number of folds used.
        skipped: The classes with a single image, sorted.
    """

    accuracies: np.ndarray
    mean_accuracy: float
    std_accuracy: float
    majority_accuracy: float
    classes: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray
    probabilities: np.ndarray
    confusion: np.ndarray
    mistakes: np.ndarray
    cv: int
    skipped: np.ndarray

    def __repr__(self) -> str:
        score = f"{self.mean_accuracy:.1%} ± {self.std_accuracy:.1%} in {self.cv} folds"
        wrong = f"{len(self.mistakes):,} of {self.n_used:,} misclassified"
        return f"ProbeResult({score}; {wrong}; majority class {self.majority_accuracy:.1%})"

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas DataFrame: its label, prediction when held out, and confidence for each vector."""
        import pandas as pd

        return pd.DataFrame({"label": self.labels, "prediction": self.predictions, "confidence": self.confidences})

    @property
    def n_used(self) -> int:
        """Number of rows of the classes that were learned."""
        return len(self.labels) - len(self.skipped)

    @property
    def confidences(self) -> np.ndarray:
        """(n,) probability of the predicted class, 0..1."""
        return self.probabilities.max(axis=1)


@dataclass(frozen=True, eq=False)
class ProbeDifference:
    """How two linear probes on the same images and folds differ.

    Attributes:
        gains: (cv,) accuracy of the second minus that of the first on each held-out fold, -1..1.
        only_first: Rows that only the first probe predicts correctly, ascending.
        only_second: Rows that only the second probe predicts correctly, ascending.
    """

    gains: np.ndarray
    only_first: np.ndarray
    only_second: np.ndarray

    def __repr__(self) -> str:
        only = f"{len(self.only_first):,} rows only by the first, {len(self.only_second):,} only by the second"
        return f"ProbeDifference({self.mean_gain:+.1%} ± {self.std_gain:.1%}; {only})"

    @property
    def mean_gain(self) -> float:
        """Mean of `gains`."""
        return float(self.gains.mean())

    @property
    def std_gain(self) -> float:
        """Standard deviation of `gains`."""
        return float(self.gains.std())

    @property
    def is_clear(self) -> bool:
        """Whether the mean gain is larger than its standard deviation over the folds."""
        return abs(self.mean_gain) > self.std_gain


def compare_probes(first: ProbeResult, second: ProbeResult) -> ProbeDifference:
    """Compare two probes fold by fold and image by image.

    Args:
        first: From `linear_probe`.
        second: From `linear_probe` with the same labels, `cv` and `random_state`.

    Raises:
        FeatlibError: If the probes have other labels or another number of folds.
    """
    for probe in (first, second):
        instance("first and second", probe, ProbeResult, "results of linear_probe")
    if first.cv != second.cv or not np.array_equal(first.labels, second.labels):
        raise FeatlibError(
            f"Received probes of {len(first.labels)} labels with cv={first.cv} and {len(second.labels)} labels with "
            f"cv={second.cv}: only probes of the same labels and folds can be compared."
        )
    used = np.isin(first.labels, first.classes)
    correct = [used & (probe.predictions == probe.labels) for probe in (first, second)]
    return ProbeDifference(
        gains=second.accuracies - first.accuracies,
        only_first=np.flatnonzero(correct[0] & ~correct[1]),
        only_second=np.flatnonzero(correct[1] & ~correct[0]),
    )


def linear_probe(
    X: np.ndarray,
    y: Sequence[object] | np.ndarray | None,
    *,
    cv: int = 5,
    random_state: int = 0,
    C: float = 1.0,
    on_progress: OnProgress | None = None,
) -> ProbeResult:
    """Score scikit-learn's StandardScaler + LogisticRegression on the vectors by stratified cross-validation.

    Args:
        X: (n, D) vectors.
        y: (n,) labels, text or numbers. A class with a single image is skipped.
        cv: Number of folds, at least 2; lowered to the size of the smallest class.
        random_state: Seed of the shuffle into folds.
        C: Inverse regularization strength, above 0.
        on_progress: Called with (folds done, folds in all) before each fold. Returning True cancels.

    Returns:
        The result; its `cv` is the number of folds used.

    Raises:
        FeatlibError: If labels are missing, fewer than two classes have two images, or an option is invalid.
        CancelledError: If `on_progress` returned True.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import confusion_matrix
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    X = checked_vectors(X, min_rows=2)
    if y is None:
        raise FeatlibError("There are no labels to predict. Put the images in one sub-folder per class.")
    labels = checked_labels(y, len(X))
    classes, counts = _learnable(labels)
    whole_number("cv, the number of folds,", cv, 2)
    C, random_state = finite_number("C", C), seed(random_state)
    if C <= 0:
        raise FeatlibError(f"C={C:g} is not above 0; smaller values regularize more, 1 is the default.")
    used = np.flatnonzero(np.isin(labels, classes))
    lonely = np.setdiff1d(np.arange(len(labels)), used)
    splitter = StratifiedKFold(min(cv, counts.min()), shuffle=True, random_state=random_state)
    folds = [(used[train], used[test]) for train, test in splitter.split(used, labels[used])]
    parts = [*folds, (used, lonely)] if len(lonely) else folds
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=1000))
    probabilities = np.empty((len(labels), len(classes)))
    for done, (train, test) in enumerate(parts):
        report_progress(on_progress, done, len(parts))
        # One thread: a hundred small steps, between which threads on a busy machine wait for each other 15 to 40 times
        # longer than the arithmetic takes.
        with threadpool_limits(1):
            probabilities[test] = classifier.fit(X[train], labels[train]).predict_proba(X[test])
    predictions = classes[probabilities.argmax(axis=1)]
    accuracies = np.array([np.mean(predictions[test] == labels[test]) for _, test in folds])
    return ProbeResult(
        accuracies=accuracies,
        mean_accuracy=float(accuracies.mean()),
        std_accuracy=float(accuracies.std()),
        majority_accuracy=float(counts.max() / len(used)),
        classes=classes,
        labels=labels,
        predictions=predictions,
        probabilities=probabilities,
        confusion=confusion_matrix(labels[used], predictions[used], labels=classes),
        mistakes=used[predictions[used] != labels[used]],
        cv=len(folds),
        skipped=np.unique(labels[lonely]),
    )


def _learnable(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes with at least two images, one to learn from and one to test, and the size of each."""
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2:
        raise FeatlibError(f"Every image has the label '{classes[0]}'. Add images of at least one more class.")
    several = counts > 1
    if several.sum() < 2:
        single = classes[~several]
        names = ", ".join(f"'{name}'" for name in single[:5]) + (", …" if len(single) > 5 else "")
        raise FeatlibError(
            f"{len(single)} of the {len(classes)} classes have a single image ({names}), and at least 2 classes need 2 "
            "images each, one for training and one for testing: add images."
        )
    return classes[several], counts[several]
