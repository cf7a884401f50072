"""Linear probes: how well a linear classifier predicts the labels from the vectors alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from featlib.analysis.checks import checked_vectors
from featlib.errors import FeatlibError
from featlib.progress import OnProgress, report_progress


@dataclass(frozen=True, eq=False)
class ProbeResult:
    """Cross-validated result of a linear probe on n vectors with k classes.

    Attributes:
        accuracies: (cv,) accuracy on each held-out fold, 0..1.
        mean_accuracy: Mean of `accuracies`.
        std_accuracy: Standard deviation of `accuracies`.
        majority_accuracy: Accuracy of always predicting the majority class.
        classes: (k,) the labels, sorted.
        labels: (n,) the true label of each row, as used.
        predictions: (n,) the label predicted for each row when it was held out.
        confusion: (k, k) int counts: rows are true classes, columns predicted ones, in the order of `classes`.
        mistakes: Rows whose prediction is wrong, ascending.
        cv: Number of folds used.
    """

    accuracies: np.ndarray
    mean_accuracy: float
    std_accuracy: float
    majority_accuracy: float
    classes: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray
    confusion: np.ndarray
    mistakes: np.ndarray
    cv: int


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
        y: (n,) labels, text or numbers.
        cv: Number of folds, at least 2; lowered to the size of the smallest class.
        random_state: Seed of the shuffle into folds.
        C: Inverse regularization strength, above 0.
        on_progress: Called with (folds done, folds in all) before each fold. Returning True cancels.

    Returns:
        The result; its `cv` is the number of folds used.

    Raises:
        FeatlibError: If labels are missing or all equal, a class has a single image, or an option is invalid.
        CancelledError: If `on_progress` returned True.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import confusion_matrix
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    X = checked_vectors(X, min_rows=2)
    labels = _checked_labels(y, len(X))
    classes, counts = np.unique(labels, return_counts=True)
    folds = _checked_folds(classes, counts, cv)
    if C <= 0:
        raise FeatlibError(f"C={C:g} is not above 0; smaller values regularize more, 1 is the default.")
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=1000))
    predictions, accuracies = np.empty_like(labels), []
    splitter = StratifiedKFold(folds, shuffle=True, random_state=random_state)
    for done, (train, test) in enumerate(splitter.split(X, labels)):
        report_progress(on_progress, done, folds)
        # One thread: a hundred small steps, between which threads on a busy machine wait for each other 15 to 40 times
        # longer than the arithmetic takes.
        with threadpool_limits(1):
            predictions[test] = classifier.fit(X[train], labels[train]).predict(X[test])
        accuracies.append(np.mean(predictions[test] == labels[test]))
    return ProbeResult(
        accuracies=np.array(accuracies),
        mean_accuracy=float(np.mean(accuracies)),
        std_accuracy=float(np.std(accuracies)),
        majority_accuracy=float(counts.max() / len(labels)),
        classes=classes,
        labels=labels,
        predictions=predictions,
        confusion=confusion_matrix(labels, predictions, labels=classes),
        mistakes=np.flatnonzero(predictions != labels),
        cv=folds,
    )


def _checked_labels(y: Sequence[object] | np.ndarray | None, n: int) -> np.ndarray:
    if y is None:
        raise FeatlibError("There are no labels to predict. Put the images in one sub-folder per class.")
    labels = np.asarray(y)
    if labels.shape != (n,):
        raise FeatlibError(f"Received labels of shape {labels.shape} for {n} vectors; one label per vector is needed.")
    missing = np.array([label is None or label != label for label in labels.tolist()])
    if missing.any():
        raise FeatlibError(
            f"{missing.sum()} of {n} images have no label (the first is row {missing.argmax()}). "
            "Label them, or remove them."
        )
    return labels.astype(str) if labels.dtype == object else labels


def _checked_folds(classes: np.ndarray, counts: np.ndarray, cv: int) -> int:
    if cv < 2:
        raise FeatlibError(f"cv={cv}; at least 2 folds are needed, so that every image is held out once.")
    if len(classes) < 2:
        raise FeatlibError(f"Every image has the label '{classes[0]}'. Add images of at least one more class.")
    single = classes[counts == 1]
    if len(single):
        names = ", ".join(f"'{name}'" for name in single[:5]) + (", …" if len(single) > 5 else "")
        raise FeatlibError(
            f"{len(single)} class(es) have a single image: {names}. Each class needs at least 2, one for "
            "training and one for testing: add images, or remove these classes."
        )
    return int(min(cv, counts.min()))
