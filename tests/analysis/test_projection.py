import warnings

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness

from featlib.analysis import perplexity_bounds, project
from featlib.errors import CancelledError, FeatlibError

RNG = np.random.default_rng(3)


@pytest.fixture(scope="module")
def digits():
    return load_digits().data


@pytest.fixture(scope="module")
def clusters():
    """Three well separated clouds of 40 points in 30 dimensions."""
    centres = np.random.default_rng(0).normal(scale=20, size=(3, 30))
    points = np.random.default_rng(1).normal(size=(3, 40, 30)) + centres[:, None]
    return points.reshape(-1, 30), np.repeat(np.arange(3), 40)


def same_up_to_sign(a, b, tolerance):
    signs = np.sign((a * b).sum(axis=0))
    np.testing.assert_allclose(a, b * signs, atol=tolerance * np.abs(b).max())


@pytest.mark.parametrize("n_components", [2, 3, 10])
@pytest.mark.parametrize("rows", [20, 500, 1797])  # fewer rows than columns, more, many more
def test_pca_is_scikit_learns(digits, rows, n_components):
    X = digits[:rows]
    reference = PCA(n_components, svd_solver="full").fit(X)
    result = project(X.astype(np.float32), n_components=n_components)
    same_up_to_sign(result.coordinates, reference.transform(X), 1e-6)
    np.testing.assert_allclose(result.explained_variance_ratio, reference.explained_variance_ratio_, rtol=1e-6)
    assert result.coordinates.dtype == np.float64
    assert (result.method, result.n_components, result.perplexity, result.kl_divergence) == (
        "pca",
        n_components,
        None,
        None,
    )


def test_wide_pca_is_close_to_the_exact_one_and_repeats():
    base = RNG.normal(size=(60, 4)) * [50, 30, 20, 10]
    X = (base @ RNG.normal(size=(4, 40_000)) + RNG.normal(size=(60, 40_000))).astype(np.float32)  # 2.4 million values
    result = project(X, n_components=3, random_state=5)
    reference = PCA(3, svd_solver="full").fit_transform(X.astype(np.float64))
    same_up_to_sign(result.coordinates, reference, 1e-3)
    np.testing.assert_array_equal(result.coordinates, project(X, n_components=3, random_state=5).coordinates)


def test_tsne_repeats_with_its_seed_and_keeps_who_is_near_whom(clusters):
    X, labels = clusters
    first = project(X, method="tsne", random_state=1)
    again = project(X, method="tsne", random_state=1, on_progress=lambda *_: None)
    np.testing.assert_array_equal(first.coordinates, again.coordinates)
    assert not np.array_equal(first.coordinates, project(X, method="tsne", random_state=2).coordinates)
    assert first.perplexity == 30 and first.explained_variance_ratio is None and first.kl_divergence > 0
    assert trustworthiness(X, first.coordinates, n_neighbors=10) > 0.9
    distances = np.linalg.norm(first.coordinates[:, None] - first.coordinates[None], axis=-1)
    same = labels[:, None] == labels[None]
    assert distances[same].max() < distances[~same].min()


def test_tsne_in_three_dimensions(clusters):
    result = project(clusters[0], method="tsne", n_components=3, perplexity=10)
    assert result.coordinates.shape == (120, 3)
    assert result.perplexity == 10
    assert trustworthiness(clusters[0], result.coordinates, n_neighbors=10) > 0.9


def test_tsne_above_a_thousand_rows_repeats(digits):
    X = digits[:1100]
    first, again = (project(X, method="tsne", random_state=0).coordinates for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert trustworthiness(X, first, n_neighbors=10) > 0.97


def test_progress_counts_iterations_up_to_the_last(clusters):
    seen = []
    project(clusters[0], method="tsne", on_progress=lambda *done: seen.append(done))
    iterations, totals = zip(*seen, strict=True)
    assert iterations[0] == 0 and list(iterations) == sorted(iterations)
    assert set(totals) == {iterations[-1]}
    assert len(set(iterations)) > 50


@pytest.mark.parametrize("stop_at", [0.0, 0.3])
def test_tsne_can_be_cancelled(clusters, stop_at):
    shares = []

    def stop(done, total):
        shares.append(done / total)
        return done >= stop_at * total

    with pytest.raises(CancelledError):
        project(clusters[0], method="tsne", on_progress=stop)
    assert shares[-1] == max(shares) and shares[-1] < 0.4


def test_pca_can_be_cancelled(clusters):
    with pytest.raises(CancelledError):
        project(clusters[0], on_progress=lambda *_: True)


def test_perplexity_bounds():
    assert perplexity_bounds(4) == (1, 1)
    assert perplexity_bounds(91) == (1, 30)
    with pytest.raises(FeatlibError, match="at least 4 .* received 3"):
        perplexity_bounds(3)


@pytest.mark.parametrize("perplexity", [0.5, 39.8, -1])
def test_a_perplexity_outside_the_bounds_is_refused_with_them(clusters, perplexity):
    with pytest.raises(FeatlibError, match=r"1 to 39\.67.*120"):
        project(clusters[0], method="tsne", perplexity=perplexity)


@pytest.mark.parametrize("n", [4, 5, 12])
def test_the_default_perplexity_fits_small_batches(n):
    X = RNG.normal(size=(n, 20))
    result = project(X, method="tsne")
    assert result.perplexity == perplexity_bounds(n)[1]
    assert np.isfinite(result.coordinates).all()
    assert project(X, method="tsne", perplexity=1).perplexity == 1


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_equal_vectors_give_zeros_without_a_warning(method):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = project(np.full((6, 5), 0.1, np.float32), method=method)
    np.testing.assert_array_equal(result.coordinates, np.zeros((6, 2)))
    if method == "pca":
        np.testing.assert_array_equal(result.explained_variance_ratio, [0, 0])
    else:
        assert result.kl_divergence == 0


def test_duplicated_vectors_stay_finite():
    X = np.repeat(RNG.normal(size=(3, 8)), 10, axis=0)
    assert np.isfinite(project(X, method="tsne").coordinates).all()


def test_two_vectors_lie_on_a_line():
    result = project(np.array([[0.0, 0, 0], [3, 4, 0]]))
    assert abs(result.coordinates[0, 0] - result.coordinates[1, 0]) == pytest.approx(5)
    np.testing.assert_allclose(result.coordinates[:, 1], 0, atol=1e-12)


@pytest.mark.parametrize(
    ("X", "options", "message"),
    [
        (np.zeros((0, 3)), {}, r"\(0, 3\)"),
        (np.zeros((1, 3)), {}, r"\(1, 3\).*at least 2"),
        (np.zeros((4, 0)), {}, r"\(4, 0\)"),
        (np.zeros(4), {}, r"\(4,\)"),
        (np.zeros((2, 4, 4, 3)), {}, "pool"),
        (np.array([["a"], ["b"]]), {}, "<U1"),
        (np.array([[1.0, 2], [np.nan, 1]]), {}, "1 of 2 .*row 1"),
        (np.array([[np.inf, 2], [0, 1]]), {}, "1 of 2 .*row 0"),
        (np.eye(2), {"n_components": 3}, r"n_components=3.*\(2, 2\)"),
        (np.eye(4), {"n_components": 0}, "n_components must be at least 1.*0"),
        (np.eye(9), {"method": "tsne", "n_components": 4}, "2 or 3"),
        (np.eye(3), {"method": "tsne"}, "at least 4"),
        (np.eye(3), {"method": "umap"}, "'pca' or 'tsne'.*'umap'"),
    ],
)
def test_bad_input_is_refused(X, options, message):
    with pytest.raises(FeatlibError, match=message):
        project(X, **options)
