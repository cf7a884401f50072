"""Times of several ways, taken in turns, and their ratios."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tests.benchmarks.ways import Way

WARM_UP = 32  # images
AGREE = 0.9995  # the smallest cosine of a vector to the engine's: what is compared has to do the same work
AGREE_BFLOAT16 = 0.99
Times = dict[str, np.ndarray]


def least_seconds(run: Callable[[], object], repeats: int) -> float:
    """The quickest of `repeats` runs."""
    return min(_seconds(run) for _ in range(repeats))


def measure(ways: Mapping[str, Way], repeats: int, tell: Callable[[str], None]) -> Times:
    """Runs each way once without counting, then all of them in turns, each time beginning with another one.

    Returns:
        Way -> (repeats,) seconds an image.
    """
    check_agreement({name: way.run(min(WARM_UP, way.images)) for name, way in ways.items()})
    times: Times = {name: np.zeros(repeats) for name in ways}
    names = list(ways)
    for repeat in range(repeats):
        for name in names[repeat % len(names) :] + names[: repeat % len(names)]:
            way = ways[name]
            times[name][repeat] = _seconds(lambda way=way: way.run(way.images)) / way.images
        tell(f"repeat {repeat + 1} of {repeats}")
    return times


def check_agreement(found: Mapping[str, np.ndarray | None]) -> None:
    """Ends the program where two ways do not give the same vectors: their times could not be compared."""
    vectors = {name: X for name, X in found.items() if X is not None and "5 layers" not in name}
    if not vectors:
        return
    first = next(iter(vectors))
    for name, X in vectors.items():
        n = min(len(X), len(vectors[first]))
        cosine = cosines(X[:n], vectors[first][:n]).min()
        if cosine < (AGREE_BFLOAT16 if "bfloat16" in name else AGREE):
            raise SystemExit(f"'{name}' and '{first}' give other vectors (cosine {cosine:.4f}).")


def ratios(slower: np.ndarray, faster: np.ndarray) -> tuple[float, float, float]:
    """Median, smallest and largest ratio of the repeats, each within its own repeat."""
    found = slower / faster
    return float(np.median(found)), float(found.min()), float(found.max())


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the cosine of each row of `a` to the same row of `b`."""
    return (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))


def _seconds(run: Callable[[], object]) -> float:
    gc.collect()
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
