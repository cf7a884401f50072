"""Photographs to measure with: JPEGs of 1000 × 750 pixels and about 180 kB, cut out of the built-in ones."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
from PIL import Image

from featlib.images import load_samples

SIZE = (1000, 750)
DIFFERENT = 512  # from there on the same pictures under other names, with other bytes after their end
_HOUR = 3600


def make_photos(folder: Path, n: int, seed: int = 0) -> list[str]:
    """Writes n JPEGs, each of its own bytes and so of its own id; those that are there already are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    photos = [Image.fromarray(item.pixels) for item in load_samples("photos")]
    files = [folder / f"{k:05d}.jpg" for k in range(n)]
    for k, file in enumerate(files):
        if file.exists():
            continue
        if k < DIFFERENT:
            _cut(photos[k % len(photos)], np.random.default_rng((seed, k))).save(file, quality=88)
        else:
            file.write_bytes(files[k % DIFFERENT].read_bytes() + k.to_bytes(4, "big"))
        hour_ago = time.time() - _HOUR  # the store notes nothing of files that were written in the last 2 s
        os.utime(file, (hour_ago, hour_ago))
    return [str(file) for file in files]


def _cut(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A part of a photograph at a random place, with the slight noise that makes a JPEG as large as a camera's."""
    width = min(int(photo.width * rng.uniform(0.7, 1)), photo.height * 4 // 3)
    height = width * 3 // 4
    left, top = int(rng.integers(0, photo.width - width + 1)), int(rng.integers(0, photo.height - height + 1))
    part = photo.crop((left, top, left + width, top + height)).resize(SIZE, Image.Resampling.BICUBIC)
    noisy = np.asarray(part, np.float32) + rng.normal(0, 4, (SIZE[1], SIZE[0], 1))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
