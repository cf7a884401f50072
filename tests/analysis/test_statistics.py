import numpy as np
import pytest

from featlib.analysis import channel_statistics, pool, sort_channels
from featlib.errors import FeatlibError


@pytest.fixture
def maps():
    values = np.random.default_rng(0).normal(size=(5, 6, 7, 4)).astype(np.float32)
    values = np.maximum(values, 0)
    values[..., 2] = 0  # dead in every image
    values[1:, ..., 3] = 0  # alive in one image only
    return values


def test_statistics_equal_numpy_channel_by_channel(maps):
    stats = channel_statistics(maps)
    for channel in range(4):
        values = maps[..., channel].astype(np.float64)
        assert stats.mean[channel] == pytest.approx(values.mean(), abs=1e-12)
        assert stats.max[channel] == values.max()
        assert stats.min[channel] == values.min()
        assert stats.std[channel] == pytest.approx(values.std(), abs=1e-12)
        assert stats.sparsity[channel] == pytest.approx((values == 0).sum() / values.size)
    assert stats.n_images == 5
    assert stats.n_channels == 4


def test_dead_means_zero_in_the_whole_batch(maps):
    assert channel_statistics(maps).dead.tolist() == [False, False, True, False]
    assert channel_statistics(maps[1:]).dead.tolist() == [False, False, True, True]


def test_a_negative_channel_is_not_dead():
    assert channel_statistics(np.full((1, 2, 2, 1), -1.0)).dead.tolist() == [False]


def test_the_mean_of_many_float32_values_keeps_its_digits():
    values = np.full((1, 1000, 1000, 1), 0.1, np.float32)
    assert channel_statistics(values).mean[0] == pytest.approx(np.float64(np.float32(0.1)), rel=1e-12)


def test_vectors_count_as_maps_of_one_position(maps):
    vectors = maps[:, 0, 0, :]
    flat, stats = channel_statistics(vectors), channel_statistics(vectors[:, None, None, :])
    for name in ("mean", "max", "min", "std", "sparsity", "dead"):
        np.testing.assert_array_equal(getattr(flat, name), getattr(stats, name))


def test_nan_is_not_hidden(maps):
    maps[0, 0, 0, 1] = np.nan
    stats = channel_statistics(maps)
    assert np.isnan(stats.mean[1]) and np.isnan(stats.max[1])
    assert not np.isnan(stats.mean[0])
    assert sort_channels(stats, "mean")[-1] == 1


@pytest.mark.parametrize("shape", [(4,), (3, 4, 5), (0, 4, 4, 2), (1, 0, 4, 2), (2, 0)])
def test_wrong_shapes_are_refused_by_name(shape):
    for call in (channel_statistics, pool):
        with pytest.raises(FeatlibError, match=str(shape).replace("(", r"\(").replace(")", r"\)")):
            call(np.zeros(shape))


def test_order_is_largest_first_and_least_sparse_first():
    maps = np.zeros((1, 2, 2, 4))
    maps[0, :, :, 0] = 1  # mean 1, max 1, never zero
    maps[0, 0, 0, 1] = 8  # mean 2, max 8, mostly zero
    maps[0, 0, :, 3] = 3  # mean 1.5, max 3, half zero
    stats = channel_statistics(maps)
    assert sort_channels(stats).tolist() == [0, 1, 2, 3]
    assert sort_channels(stats, "mean").tolist() == [1, 3, 0, 2]
    assert sort_channels(stats, "max").tolist() == [1, 3, 0, 2]
    assert sort_channels(stats, "sparsity").tolist() == [0, 3, 1, 2]


def test_ties_keep_the_order_of_the_network():
    assert sort_channels(channel_statistics(np.ones((1, 2, 2, 40))), "mean").tolist() == list(range(40))


def test_an_unknown_order_says_what_there_is():
    with pytest.raises(FeatlibError, match="'index', 'mean', 'max' or 'sparsity'.*'name'"):
        sort_channels(channel_statistics(np.ones((1, 3))), "name")


def test_pooling_equals_numpy(maps):
    np.testing.assert_allclose(pool(maps), maps.astype(np.float64).mean(axis=(1, 2)), rtol=1e-6)
    assert pool(maps).dtype == np.float32
    np.testing.assert_array_equal(pool(maps[:, 0, 0, :]), maps[:, 0, 0, :])
