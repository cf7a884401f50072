"""Runs a set of images through a network batch by batch, into arrays allocated once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from featlib.errors import CancelledError, FeatlibError
from featlib.features.taps import check_pooling, run_tap
from featlib.images import ImageSet
from featlib.models import Backbone

Progress = Callable[[int, int], bool | None]


def run_batches(
    backbone: Backbone,
    images: ImageSet,
    layers: Sequence[str],
    pooling: str | None,
    batch_size: int,
    on_progress: Progress | None = None,
) -> list[np.ndarray]:
    """Computes the pooled outputs of several layers for all images in one pass.

    Args:
        backbone: from `load_backbone`.
        images: n images.
        layers: layer paths; results come in this order.
        pooling: "avg", "max", "flatten" or None.
        batch_size: images in one forward pass, at least 1.
        on_progress: called with (images done, n) after each batch; returning True stops the work.

    Returns:
        One float32 array a layer, with n rows.

    Raises:
        FeatlibError: unknown pooling, or a batch size below 1.
        CancelledError: `on_progress` returned True.
    """
    check_pooling(pooling)
    if batch_size < 1:
        raise FeatlibError(f"batch_size must be at least 1. Received: {batch_size}.")
    if not len(images):
        return [row[:0] for row in run_tap(backbone, layers, pooling, np.zeros((1, *backbone.input_shape), np.float32))]
    results: list[np.ndarray] = []
    for start in range(0, len(images), batch_size):
        outputs = run_tap(backbone, layers, pooling, backbone.prepare(images[start : start + batch_size]))
        if not results:
            results = [np.empty((len(images), *output.shape[1:]), np.float32) for output in outputs]
        done = start + len(outputs[0])
        for result, output in zip(results, outputs, strict=True):
            result[start:done] = output
        if on_progress and on_progress(done, len(images)) and done < len(images):
            raise CancelledError(f"Stopped after {done} of {len(images)} images.")
    return results
