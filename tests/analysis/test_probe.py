import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from featlib.analysis import compare_probes, linear_probe
from featlib.errors import CancelledError, FeatlibError


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    return data.data[:300], np.array([f"digit {y}" for y in data.target[:300]])


@pytest.mark.parametrize("C", [1.0, 0.001])
def test_the_probe_is_cross_validation_by_hand(digits, C):
    X, y = digits
    model = make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=1000))
    folds = StratifiedKFold(4, shuffle=True, random_state=7)
    predictions = cross_val_predict(model, X, y, cv=folds)
    accuracies = cross_val_score(model, X, y, cv=folds)
    result = linear_probe(X, y, cv=4, random_state=7, C=C)
    np.testing.assert_array_equal(result.predictions, predictions)
    probabilities = cross_val_predict(model, X, y, cv=folds, method="predict_proba")
    np.testing.assert_allclose(result.probabilities, probabilities, atol=1e-12)
    np.testing.assert_allclose(result.confidences, probabilities.max(axis=1))
    np.testing.assert_allclose(result.accuracies, accuracies)
    assert result.mean_accuracy == pytest.approx(accuracies.mean())
    assert result.std_accuracy == pytest.approx(accuracies.std())
    assert result.cv == 4
    np.testing.assert_array_equal(result.labels, y)


def test_confusion_mistakes_and_majority_fit_the_predictions(digits):
    X, y = digits
    result = linear_probe(X, y, C=0.001)
    wrong = [row for row in range(len(y)) if result.predictions[row] != y[row]]
    assert wrong and result.mistakes.tolist() == wrong
    assert result.classes.tolist() == sorted(set(y))
    for i, true in enumerate(result.classes):
        for j, predicted in enumerate(result.classes):
            assert result.confusion[i, j] == ((y == true) & (result.predictions == predicted)).sum()
    assert result.majority_accuracy == max(np.mean(y == name) for name in set(y))


def test_the_seed_decides_the_folds(digits):
    X, y = digits
    first, again, other = (linear_probe(X, y, C=0.001, random_state=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.accuracies, again.accuracies)
    assert not np.array_equal(first.predictions, other.predictions)


def test_tiny_classes_lower_the_number_of_folds():
    X = np.concatenate([np.zeros((3, 2)), np.ones((9, 2))])
    result = linear_probe(X, ["a"] * 3 + ["b"] * 9)
    assert result.cv == len(result.accuracies) == 3
    assert result.mean_accuracy == 1
    assert result.std_accuracy == 0
    assert result.majority_accuracy == 0.75
    assert result.mistakes.size == 0


def test_a_class_with_a_single_image_is_skipped_and_named(digits):
    X, y = digits
    y = y.copy()
    y[[7, 20]] = ["unicorn", "griffin"]
    several = np.isin(y, ["unicorn", "griffin"], invert=True)
    expected, found = linear_probe(X[several], y[several]), linear_probe(X, y)
    assert found.skipped.tolist() == ["griffin", "unicorn"]
    assert expected.skipped.tolist() == []
    np.testing.assert_array_equal(found.accuracies, expected.accuracies)
    np.testing.assert_array_equal(found.classes, expected.classes)
    np.testing.assert_array_equal(found.confusion, expected.confusion)
    np.testing.assert_array_equal(found.predictions[several], expected.predictions)
    np.testing.assert_array_equal(found.mistakes, np.flatnonzero(several)[expected.mistakes])
    assert found.majority_accuracy == expected.majority_accuracy
    assert (found.n_used, len(found.labels)) == (len(y) - 2, len(y))
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(X[several], y[several])
    np.testing.assert_allclose(found.probabilities[~several], model.predict_proba(X[~several]))


def test_two_probes_are_compared_fold_by_fold_and_image_by_image(digits):
    X, y = digits
    first, second = linear_probe(X[:, :20], y), linear_probe(X, y)
    found = compare_probes(first, second)
    np.testing.assert_allclose(found.gains, second.accuracies - first.accuracies)
    assert found.mean_gain == pytest.approx(second.mean_accuracy - first.mean_accuracy)
    assert found.is_clear
    right = [set(np.flatnonzero(probe.predictions == y)) for probe in (first, second)]
    assert set(found.only_first) == right[0] - right[1]
    assert set(found.only_second) == right[1] - right[0]
    assert not compare_probes(first, first).is_clear
    with pytest.raises(FeatlibError, match="200 labels with cv=5"):
        compare_probes(linear_probe(X[:200], y[:200]), second)


def test_vectors_that_tell_nothing_score_the_majority():
    result = linear_probe(np.ones((20, 4)), ["a"] * 5 + ["b"] * 15)
    assert result.mean_accuracy == pytest.approx(0.75)
    assert result.confusion.tolist() == [[0, 5], [0, 15]]


def test_numbers_are_labels_too(digits):
    X, y = digits
    numbers = np.array([int(label[-1]) for label in y])
    result = linear_probe(X, numbers)
    assert result.classes.tolist() == list(range(10))
    np.testing.assert_allclose(result.accuracies, linear_probe(X, y).accuracies)


def test_progress_and_cancelling(digits):
    X, y = digits
    seen = []
    linear_probe(X, y, cv=4, on_progress=lambda *done: seen.append(done))
    assert seen == [(0, 4), (1, 4), (2, 4), (3, 4)]
    with pytest.raises(CancelledError):
        linear_probe(X, y, on_progress=lambda done, _: done >= 2)


@pytest.mark.parametrize(
    ("y", "options", "message"),
    [
        (None, {}, "no labels.*sub-folder"),
        (["a", "b", "a"], {}, r"\(3,\) for 4"),
        (["cat"] * 4, {}, "'cat'.*one more class"),
        (["a", "a", "a", "lonely"], {}, "1 of the 2 classes.*'lonely'.*at least 2"),
        (list("abcd"), {}, "4 of the 4 classes.*'a', 'b', 'c', 'd'"),
        (["a", None, "b", "a"], {}, "1 of 4.*row 1"),
        ([1.0, 2.0, 1.0, float("nan")], {}, "1 of 4.*row 3"),
        (["a", "a", "b", "b"], {"cv": 1}, "cv.*at least 2.*1"),
        (["a", "a", "b", "b"], {"C": 0}, "C=0"),
    ],
)
def test_labels_that_cannot_be_learned_are_refused(y, options, message):
    with pytest.raises(FeatlibError, match=message):
        linear_probe(np.eye(4), y, **options)


def test_nan_vectors_and_empty_batches_are_refused():
    with pytest.raises(FeatlibError, match="row 3"):
        linear_probe(np.diag([1, 1, 1, np.nan]), ["a", "a", "b", "b"])
    with pytest.raises(FeatlibError, match=r"\(0, 2\)"):
        linear_probe(np.zeros((0, 2)), [])
