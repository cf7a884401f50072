import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from featlib.analysis import cosine_similarity, find_neighbors, neighbor_accuracy
from featlib.errors import FeatlibError


@pytest.fixture(scope="module", name="X")
def vectors():
    return np.random.default_rng(0).normal(size=(80, 24))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("query", [0, 17, 79])
def test_neighbours_are_scikit_learns(X, query, dtype):
    distances, indices = NearestNeighbors(n_neighbors=9, metric="cosine").fit(X).kneighbors(X[query : query + 1])
    found = find_neighbors(X.astype(dtype), query)
    assert indices[0, 0] == query
    np.testing.assert_array_equal(found.indices, indices[0, 1:])
    np.testing.assert_allclose(found.similarities, 1 - distances[0, 1:], rtol=1e-4)


def test_cosine_similarities_by_hand():
    X = np.array([[1.0, 0], [2, 0], [0, 5], [-3, 0], [1, 1]])
    found = find_neighbors(X, 0)
    assert found.indices.tolist() == [1, 4, 2, 3]
    np.testing.assert_allclose(found.similarities, [1, np.sqrt(0.5), 0, -1], atol=1e-12)


def test_the_query_is_left_out_even_among_its_copies():
    found = find_neighbors(np.ones((4, 3)), 2)
    assert found.indices.tolist() == [0, 1, 3]
    np.testing.assert_allclose(found.similarities, 1)


def test_vectors_of_zeros_have_similarity_zero():
    X = np.array([[0.0, 0], [1, 0], [-1, 0]])
    np.testing.assert_array_equal(find_neighbors(X, 0).similarities, [0, 0])
    assert find_neighbors(X, 1).similarities.tolist() == [0, -1]
    np.testing.assert_array_equal(cosine_similarity(X)[0], [0, 0, 0])


def test_few_rows_give_few_neighbours():
    assert find_neighbors(np.eye(3), 1, n_neighbors=50).indices.tolist() == [0, 2]
    assert find_neighbors(np.eye(3), 1, n_neighbors=1).indices.tolist() == [0]
    alone = find_neighbors(np.ones((1, 3)), 0)
    assert alone.indices.shape == alone.similarities.shape == (0,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"query": 80}, "query.*at most 79.*80"),
        ({"query": -1}, "query.*at least 0.*-1"),
        ({"query": 0, "n_neighbors": 0}, "n_neighbors.*at least 1.*0"),
    ],
)
def test_bad_options_are_refused(X, options, message):
    with pytest.raises(FeatlibError, match=message):
        find_neighbors(X, **options)


def test_nan_and_emptiness_are_refused():
    with pytest.raises(FeatlibError, match="NaN"):
        find_neighbors(np.array([[1.0], [np.nan]]), 0)
    with pytest.raises(FeatlibError, match=r"\(0, 3\)"):
        cosine_similarity(np.zeros((0, 3)))


def test_similarity_matrix_by_hand(X):
    S = cosine_similarity(X)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    np.testing.assert_allclose(S, unit @ unit.T, atol=1e-6)
    assert S.dtype == np.float32 and S.max() <= 1


@pytest.mark.parametrize("k", [1, 5])
def test_neighbor_accuracy_equals_leave_one_out(k):
    from sklearn.model_selection import LeaveOneOut, cross_val_score
    from sklearn.neighbors import KNeighborsClassifier

    rng = np.random.default_rng(3)
    y = np.repeat(["a", "b", "c"], 15)
    X = rng.normal(size=(45, 8)) + np.repeat(rng.normal(size=(3, 8)), 15, axis=0)
    expected = cross_val_score(KNeighborsClassifier(k, metric="cosine", algorithm="brute"), X, y, cv=LeaveOneOut())
    assert 0.4 < expected.mean() < 1
    assert neighbor_accuracy(X, y, n_neighbors=k) == pytest.approx(expected.mean())


def test_neighbor_accuracy_says_what_is_wrong():
    with pytest.raises(FeatlibError, match=r"\(2,\) for 3 vectors"):
        neighbor_accuracy(np.eye(3), np.array(["a", "b"]))
    with pytest.raises(FeatlibError):
        neighbor_accuracy(np.eye(1), np.array(["a"]))


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_the_scale_of_the_vectors_does_not_matter(scale):
    """Deep layers with random weights give values of 1e-10."""
    X = np.random.default_rng(1).normal(size=(20, 6)).astype(np.float32)
    small = (X * np.float32(scale)).astype(np.float32)
    np.testing.assert_allclose(cosine_similarity(small), cosine_similarity(X), atol=1e-5)
    np.testing.assert_array_equal(find_neighbors(small, 3).indices, find_neighbors(X, 3).indices)
