"""The histogram of a picture's numbers, against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from featlib.errors import FeatlibError
from featlib.plots import pixel_histogram

PIXELS = np.random.default_rng(0).normal(size=(20, 30, 3)).astype(np.float32)


def test_each_channel_is_counted_over_the_same_bins():
    figure = pixel_histogram(PIXELS, ["B", "G", "R"], bins=16)
    edges = np.linspace(PIXELS.min(), PIXELS.max(), 17)
    for i, (trace, name) in enumerate(zip(figure.data, "BGR", strict=True)):
        counts, _ = np.histogram(PIXELS[..., i], edges)
        assert trace.name == name
        assert np.abs(np.asarray(trace.y) - counts).sum() <= 2, "a value at an edge may fall on either side"
        assert sum(trace.y) == 600


def test_colors_belong_to_names_not_places():
    colors = [{t.name: t.line.color for t in pixel_histogram(PIXELS, list(names)).data} for names in ("RGB", "BGR")]
    assert colors[0] == colors[1]
    assert len({(t.line.color, t.line.dash) for t in pixel_histogram(PIXELS, list("RGB")).data}) == 3


def test_a_flat_picture_and_one_channel_can_be_drawn():
    (trace,) = pixel_histogram(np.zeros((4, 4, 1)), ["<b>x"]).data
    assert sum(trace.y) == 16
    assert trace.name == "&lt;b&gt;x"


@pytest.mark.parametrize("pixels", [PIXELS[0], PIXELS[..., :2]])
def test_shapes_that_do_not_fit_are_named(pixels):
    with pytest.raises(FeatlibError, match=r"shape \(.*3 names"):
        pixel_histogram(pixels, list("RGB"))
