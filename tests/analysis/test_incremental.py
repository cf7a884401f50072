"""In batches or at once: the same components, the same neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from featlib.analysis import find_neighbors, fit_pca, stream_neighbors
from featlib.errors import CancelledError, FeatlibError


def vectors(n: int, d: int, seed: int = 0) -> np.ndarray:
    """Correlated vectors with a spectrum that falls and a mean far from zero."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(n, d)) @ random.normal(size=(d, d)) * np.geomspace(1, 0.05, d) + 40
    return X.astype(np.float32)


def in_batches(X, size):
    return (X[i : i + size] for i in range(0, len(X), size))


@pytest.mark.parametrize("size", [1, 37, 500])
@pytest.mark.parametrize("shape", [(500, 30), (40, 120)])
def test_pca_is_that_of_scikit_learn_with_its_signs(shape, size):
    X = vectors(*shape)
    found = fit_pca(in_batches(X, size), 5)
    wanted = PCA(5, svd_solver="full").fit(X.astype(np.float64))
    np.testing.assert_allclose(found.transform(X), wanted.transform(X.astype(np.float64)), rtol=1e-6, atol=1e-4)
    np.testing.assert_allclose(found.components, wanted.components_, atol=1e-6)
    np.testing.assert_allclose(found.explained_variance_ratio, wanted.explained_variance_ratio_, rtol=1e-6)
    assert found.n == len(X)


def test_a_large_common_part_costs_no_digits():
    X = vectors(300, 6).astype(np.float64) + 1e7
    wanted = PCA(2, svd_solver="full").fit(X)
    np.testing.assert_allclose(fit_pca(in_batches(X, 50), 2).components, wanted.components_, atol=1e-6)


def test_there_are_no_more_components_than_vectors_or_columns():
    assert fit_pca(in_batches(vectors(3, 20), 2), 50).components.shape == (3, 20)
    assert fit_pca(in_batches(vectors(60, 4), 7), 50).components.shape == (4, 4)


def test_equal_vectors_have_no_spread():
    found = fit_pca(in_batches(np.full((10, 4), 3.0, np.float32), 3), 2)
    assert not found.explained_variance_ratio.any()
    assert not found.transform(np.full((2, 4), 3.0)).any()


@pytest.mark.parametrize("without", [None, 17])
def test_neighbours_are_those_of_the_whole(without):
    X = vectors(300, 12)
    X[200] = X[17]  # an equal one is found first, and a copy of the query is no reason to leave it out
    wanted = find_neighbors(X, 17, n_neighbors=7)
    found = stream_neighbors(in_batches(X, 41), X[17], without=without, n_neighbors=7 if without else 8)
    indices = wanted.indices if without else np.array([17, *wanted.indices])
    np.testing.assert_array_equal(found.indices, indices)
    np.testing.assert_allclose(found.similarities[-7:], wanted.similarities, rtol=1e-12)


@pytest.mark.parametrize("work", [fit_pca, lambda batches, **how: stream_neighbors(batches, np.ones(4), **how)])
def test_progress_and_cancellation(work):
    seen = []
    work(in_batches(vectors(10, 4), 3), total=10, on_progress=lambda *done: seen.append(done))
    assert seen == [(3, 10), (6, 10), (9, 10), (10, 10)]
    read = []
    with pytest.raises(CancelledError):
        work((read.append(len(X)) or X for X in in_batches(vectors(10, 4), 3)), on_progress=lambda n, _: n >= 6)
    assert read == [3, 3]


def test_what_cannot_be_is_told():
    X = vectors(10, 4)
    bad = X.copy()
    bad[7, 2] = np.nan
    with pytest.raises(FeatlibError, match="NaN"):
        fit_pca(in_batches(bad, 3))
    with pytest.raises(FeatlibError, match="NaN"):
        stream_neighbors(in_batches(bad, 3), X[0])
    with pytest.raises(FeatlibError, match="at least 2 vectors and received 1"):
        fit_pca([X[:1]])
    with pytest.raises(FeatlibError, match="at least 2 vectors and received 0"):
        fit_pca([])
    with pytest.raises(FeatlibError, match=r"at most 4,096 numbers\. Received: 4,097"):
        fit_pca([np.zeros((2, 4097), np.float32)])
    with pytest.raises(FeatlibError, match="n_components must be at least 1.*0"):
        fit_pca([X], 0)
