"""What other processes do to a store. Nothing here imports TensorFlow, so that they start quickly."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import numpy as np

from featlib.features.store import VectorStore


def image_id(number: int) -> str:
    return hashlib.blake2b(str(number).encode(), digest_size=20).hexdigest()


def vector(space: str, number: int, size: int = 320) -> np.ndarray:
    """The one right vector of an image in a space."""
    seed = int.from_bytes(hashlib.blake2b(f"{space} {number}".encode(), digest_size=8).digest(), "little")
    return np.random.default_rng(seed).standard_normal(size).astype(np.float32)


def rows(space: str, numbers) -> dict[str, np.ndarray]:
    return {image_id(number): vector(space, number) for number in numbers}


def check(store: VectorStore, space: str, numbers) -> int:
    """How many of the images are kept. Raises where one has another vector than its own."""
    found = store.get(space, [image_id(number) for number in numbers])
    for number, kept in zip(numbers, found, strict=True):
        if kept is not None and not np.array_equal(kept, vector(space, number)):
            raise ValueError(f"A wrong vector for image {number} in {space!r}.")
    return sum(kept is not None for kept in found)


def read_and_write(path: str, worker: str, rounds: int) -> str:
    """Writes the same and different images as the others do, and reads all; returns the problem, if there was one."""
    store, chance = VectorStore(Path(path)), random.Random(worker)
    for _ in range(rounds):
        space = chance.choice(["shared", f"own {worker}"])
        store.put(space, rows(space, chance.sample(range(60), 12)))
        if store.problem:
            break
        check(store, "shared", range(60))
    return store.problem


def write_until_killed(path: Path, first: int) -> None:
    store = VectorStore(path, max_bytes=2**20)
    for number in range(first, 10**9, 16):
        store.put("shared", rows("shared", range(number, number + 16)))
        print(number, flush=True)
