"""How well a linear model tells the labels from the vectors alone: the first lesson of transfer learning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from featlib.analysis.checks import checked_vectors, report
from featlib.errors import FeatlibError

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True, eq=False)
class ProbeResult:
    """Cross-validated result of a linear probe on n vectors with k classes.

    Attributes:
        accuracies: (cv,) accuracy on each held-out fold, 0..1.
        mean_accuracy: Mean of `accuracies`.
        std_accuracy: Standard deviation of `accuracies`.
        majority_accuracy: What always answering the most frequent class would score.
        classes: (k,) the labels, sorted.
        labels: (n,) the true label of each row, as it was used.
        predictions: (n,) the label predicted for each row by a model that had not seen it.
        confusion: (k, k) int counts: rows are true classes, columns predicted, in the order of `classes`.
        mistakes: Rows whose prediction is wrong, ascending.
        cv: Number of folds that were used.
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
    on_progress: Callable[[float], bool | None] | None = None,
) -> ProbeResult:
    """Score scikit-learn's StandardScaler + LogisticRegression on the vectors by stratified cross-validation.

    Args:
        X: (n, D) vectors.
        y: (n,) labels, text or numbers.
        cv: Number of folds, at least 2; lowered to the size of the smallest class where that is less.
        random_state: Seed of the shuffle into folds.
        C: Inverse strength of the regularisation, above 0.
        on_progress: Called with the share of folds done, 0..1; answering True cancels.

    Returns:
        The result; `cv` in it says how many folds were used.

    Raises:
        FeatlibError: If labels are missing, all equal or lonely (a class of one image), or an option is bad.
        CancelledError: If `on_progress` answered True.
    """
    from sklearn.metrics import confusion_matrix
    from sklearn.model_selection import StratifiedKFold
    from threadpoolctl import threadpool_limits

    X = checked_vectors(X, min_rows=2)
    labels = _checked_labels(y, len(X))
    classes, counts = np.unique(labels, return_counts=True)
    folds = _checked_folds(classes, counts, cv)
    if C <= 0:
        raise FeatlibError(f"C={C:g} is not above 0; smaller values regularise more, 1 is the default.")
    predictions, accuracies = np.empty_like(labels), []
    splitter = StratifiedKFold(folds, shuffle=True, random_state=random_state)
    for done, (train, test) in enumerate(splitter.split(X, labels)):
        report(on_progress, done / folds)
        # One thread: a hundred small steps, between which threads on a busy machine wait for each other 15 to 40 times
        # longer than the arithmetic takes.
        with threadpool_limits(1):
            predictions[test] = _classifier(C).fit(X[train], labels[train]).predict(X[test])
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


def _classifier(C: float) -> Pipeline:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=1000))


def _checked_labels(y: Sequence[object] | np.ndarray | None, n: int) -> np.ndarray:
    if y is None:
        raise FeatlibError("There are no labels to learn. Put the images in one sub-folder per class.")
    labels = np.asarray(y)
    if labels.shape != (n,):
        raise FeatlibError(f"Received labels of shape {labels.shape} for {n} vectors; one label per vector is needed.")
    missing = np.array([label is None or label != label for label in labels.tolist()])
    if missing.any():
        raise FeatlibError(
            f"{missing.sum()} of {n} images have no label (the first is row {missing.argmax()}). "
            "Label them, or leave them out."
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
            f"{len(single)} class(es) have a single image: {names}. Each class needs at least 2, one to learn "
            "from and one to be tested on: add images, or leave these classes out."
        )
    return int(min(cv, counts.min()))
