"""The image sizes that a network can be asked for."""

from __future__ import annotations

from collections.abc import Sequence

from featlib.errors import ModelError

DEFAULT_SHAPE = (224, 224, 3)
MIN_SIZE, MAX_SIZE = 32, 1024  # below 32 a network that halves five times has nothing left


def check_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    """Checks a (height, width, 3) in pixels.

    Raises:
        ModelError: it is not one, or too small or large.
    """
    valid = len(shape) == 3 and shape[2] == 3 and all(MIN_SIZE <= side <= MAX_SIZE for side in shape[:2])
    if not valid:
        raise ModelError(
            f"input_shape must be (height, width, 3) with sides of {MIN_SIZE} to {MAX_SIZE} pixels. "
            f"Received: {tuple(shape)}. The usual one is {DEFAULT_SHAPE}."
        )
    return int(shape[0]), int(shape[1]), 3
