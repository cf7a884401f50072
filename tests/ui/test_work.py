"""Sizes, limits and the splitting of one extraction into layers."""

from __future__ import annotations

import pytest

from featlib.errors import FeatlibError
from featlib.features import Engine, Tap, extract_vectors
from featlib.ui.compute import work


@pytest.mark.parametrize("pooling", ["avg", "max", "flatten"])
@pytest.mark.parametrize("layer", ["input", "block4_add", "head_relu", "avg_pool", "predictions"])
def test_the_size_of_a_vector_is_known_before_it_is_computed(lite0, photos, layer, pooling):
    X = extract_vectors(lite0, photos[:1], layer, pooling=pooling).X
    assert Engine(lite0, [Tap(layer, pooling)]).shapes == (X.shape[1:],)


def test_what_would_not_fit_is_refused_with_the_sizes(tiny, photos, monkeypatch):
    size = 2 * Engine(tiny, [Tap("conv", "flatten")]).shapes[0][0] * len(photos) * 4
    monkeypatch.setattr(work, "MAX_BATCH_BYTES", size)
    work._check_size(tiny, photos, ["conv", "conv"], "flatten")
    monkeypatch.setattr(work, "MAX_BATCH_BYTES", size - 1)
    with pytest.raises(FeatlibError, match="10 vectors of 4,096 numbers take .* Choose average pooling"):
        work._check_size(tiny, photos, ["conv", "conv"], "flatten")
    work._check_size(tiny, photos, ["conv", "conv"], "avg")
