"""Stream any number of images through a network, batch by batch and in order.

Threads read, decode and resize a few batches ahead of the network, each writing its pixels into the batch that will
enter it. From there on vectors stay in matrices. What the vector cache knows is neither read nor computed.
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from featlib.checks import instance, whole_number
from featlib.errors import CancelledError, ImageError
from featlib.features.runtimes import Precision, RuntimeName, check_runtime, cores, make_runtime
from featlib.features.store import VectorLookup, VectorStore, path_of
from featlib.features.taps import Tap, check_pooling
from featlib.images import ImageEntry, ImageItem, ImageProblem, open_image
from featlib.models import Backbone, find_layer
from featlib.progress import OnProgress, check_progress

MAX_BATCH = 65_536


@dataclass(frozen=True)
class Chunk:
    """The results of the next images.

    Attributes:
        found: One entry per image, in order: an ImageItem, or an ImageProblem where it could not be read.
        outputs: One float32 array per tap, with a row for each ImageItem, in order.
    """

    found: tuple[ImageItem | ImageProblem, ...]
    outputs: tuple[np.ndarray, ...]

    @property
    def items(self) -> tuple[ImageItem, ...]:
        """The images that the rows belong to."""
        return tuple(found for found in self.found if isinstance(found, ImageItem))


@dataclass(frozen=True)
class EngineOptions:
    """How an engine runs; checked when they are made.

    Attributes:
        batch_size: Images in one forward pass, 1 to 65,536.
        runtime: "auto", "tensorflow" or "openvino"; see `make_runtime`.
        precision: "float32" or "bfloat16".
        store: The cache of vectors, so that none is computed twice; None for no cache.

    Raises:
        FeatlibError: A batch size out of bounds, another store, an unknown runtime or precision, or an unavailable one.
    """

    batch_size: int = 32
    runtime: RuntimeName = "auto"
    precision: Precision = "float32"
    store: VectorStore | None = None

    def __post_init__(self) -> None:
        whole_number("batch_size", self.batch_size, 1, MAX_BATCH)
        check_runtime(self.runtime, self.precision)
        instance("store", self.store, (VectorStore, type(None)), "a VectorStore or None")


class Engine:
    """Computes the pooled outputs of several layers for any number of images, in one pass and in order.

    Args:
        backbone: From `load_backbone`.
        taps: Layers and poolings.
        options: Batch size, runtime, precision and cache.

    Attributes:
        backbone: The network.
        taps: Layers and poolings.
        options: How the engine runs.
        shapes: The shape of one row per tap: (D,), or with pooling None the layer's own shape.

    Raises:
        FeatlibError: An unknown pooling.
        LayerNotFoundError: A path is unknown, or the layer has no accessible output.
    """

    def __init__(self, backbone: Backbone, taps: Sequence[Tap], options: EngineOptions | None = None) -> None:
        self.backbone = backbone
        self.taps = tuple(taps)
        self.options = options or EngineOptions()
        self.shapes = tuple(_row_shape(backbone, tap) for tap in self.taps)

    def stream(self, images: Sequence[ImageEntry], n_images: int | None = None) -> Generator[Chunk, None, None]:
        """Yield the results of the next images, in order; closing the iterator stops after the running batch.

        Args:
            images: From `list_pending`, or the items of an ImageSet. The problem of an image that cannot be read takes
                its place, and the other images are computed.
            n_images: The number of images of which these are a part, by which "auto" chooses the runtime; None for all.

        Raises:
            FeatlibError: The runtime cannot run this network.
        """
        size, total = self.options.batch_size, len(images) if n_images is None else n_images
        lookup = VectorLookup(self.options.store, self.backbone, self.taps, self.options.precision)
        pool = ThreadPoolExecutor(cores(), thread_name_prefix="featlib-engine")
        parts = (images[start : start + size] for start in range(0, len(images), size))
        running: deque[_Batch] = deque()
        try:
            for batch in _start_ahead((_Batch(self, part, lookup, pool) for part in parts), 1 + cores() // size):
                batch.compute(total)
                running.append(batch)
                while len(running) > batch.at_once:
                    yield running.popleft().finish()
            while running:
                yield running.popleft().finish()
        finally:
            pool.shutdown(cancel_futures=True)

    def run(
        self, images: Sequence[ImageEntry], n_images: int | None = None, on_progress: OnProgress | None = None
    ) -> tuple[list[ImageItem | ImageProblem], list[np.ndarray]]:
        """Compute all images into arrays that are allocated once.

        Args:
            images: As for `stream`.
            n_images: As for `stream`.
            on_progress: Called with (images done, n) after each batch; returning True stops the work.

        Returns:
            One entry per image, and one float32 array per tap with a row for each image that could be read.

        Raises:
            FeatlibError: As for `stream`.
            CancelledError: `on_progress` returned True.
        """
        check_progress(on_progress)
        found: list[ImageItem | ImageProblem] = []
        arrays = [np.empty((len(images), *shape), np.float32) for shape in self.shapes]
        rows = 0
        with closing(self.stream(images, n_images)) as chunks:
            for chunk in chunks:
                found += chunk.found
                for array, output in zip(arrays, chunk.outputs, strict=True):
                    array[rows : rows + len(output)] = output
                rows += len(chunk.items)
                if on_progress and on_progress(len(found), len(images)) and len(found) < len(images):
                    raise CancelledError(f"Stopped after {len(found)} of {len(images)} images.")
        return found, arrays if rows == len(images) else [array[:rows].copy() for array in arrays]


class _Batch:
    """The next images on their way through the engine; making it starts to read those that the cache does not know.

    Attributes:
        at_once: The number of batches that the network should compute at the same time.
    """

    at_once = 1

    def __init__(
        self, engine: Engine, images: Sequence[ImageEntry], lookup: VectorLookup, pool: ThreadPoolExecutor
    ) -> None:
        self._engine, self._lookup, self._pool = engine, lookup, pool
        self._rows = [np.empty((len(images), *shape), np.float32) for shape in engine.shapes]
        self._items = lookup.identify(images)
        self._known = lookup.read(self._items, self._rows)
        # A file whose vectors are not known is read again under its own digest: it may have changed since.
        self._found: list[Any] = [
            item if item and (known or not path_of(image)) else image
            for image, item, known in zip(images, self._items, self._known, strict=True)
        ]
        self._unread = [i for i in np.flatnonzero(~self._known).tolist() if not isinstance(images[i], ImageProblem)]
        self._pixels = np.empty((len(self._unread), *engine.backbone.input_shape[:2], 3), np.uint8)
        jobs = zip(self._unread, self._pixels, strict=True)
        self._reads = [pool.submit(_read_image, self._found[i], pixels) for i, pixels in jobs]
        self._network: Future[list[np.ndarray]] | None = None
        self._computed: list[int] = []

    def compute(self, n_images: int) -> None:
        """Wait until the images are read, and start the network on those that the cache does not know.

        Args:
            n_images: By which "auto" chooses the runtime.
        """
        for i, read in zip(self._unread, self._reads, strict=True):
            self._found[i] = read.result()[0]
        identified_late = [None if item else found for item, found in zip(self._items, self._found, strict=True)]
        self._known |= self._lookup.read(identified_late, self._rows)
        todo = [j for j, i in enumerate(self._unread) if isinstance(self._found[i], ImageItem) and not self._known[i]]
        if not todo:
            return
        backbone, options = self._engine.backbone, self._engine.options
        runtime = make_runtime(
            backbone, self._engine.taps, options.runtime, precision=options.precision, n_images=n_images
        )
        self.at_once = runtime.at_once
        self._computed = [self._unread[j] for j in todo]
        pixels = self._pixels if len(todo) == len(self._pixels) else self._pixels[todo]
        self._network = self._pool.submit(lambda: runtime.run(backbone.preprocess(pixels)))

    def finish(self) -> Chunk:
        """Wait for the network, store what it computed, and put the rows together."""
        rows = self._rows
        if self._network is not None:
            outputs = self._network.result()
            self._lookup.write([self._found[i] for i in self._computed], outputs)
            if len(self._computed) == len(self._found):
                rows = outputs
            else:
                for matrix, output in zip(rows, outputs, strict=True):
                    matrix[self._computed] = output
        states = (read.result()[1] for read in self._reads)
        self._lookup.note([(self._found[i], state) for i, state in zip(self._unread, states, strict=True)])
        good = [isinstance(found, ImageItem) for found in self._found]
        return Chunk(tuple(self._found), tuple(rows if all(good) else (matrix[good] for matrix in rows)))


def _start_ahead(batches: Iterator[_Batch], count: int) -> Iterator[_Batch]:
    """Yield each batch when `count` more have been started."""
    started: deque[_Batch] = deque()
    for batch in batches:
        started.append(batch)
        if len(started) > count:
            yield started.popleft()
    yield from started


def _read_image(image: ImageItem, pixels: np.ndarray) -> tuple[ImageItem | ImageProblem, os.stat_result | None]:
    """Read an image into (height, width, 3) pixels; return it, and the state of its file before it was read."""
    seen = None
    if path := path_of(image):
        with suppress(OSError, ValueError):  # reading it will say what is wrong
            seen = path.stat()
    try:
        opened = open_image(image)
        pixels[...] = opened.resized(*pixels.shape[:2])
        return opened.item, seen
    except ImageError as error:
        return ImageProblem(image.name, str(error)), None


def raise_for_problems(found: Sequence[ImageItem | ImageProblem]) -> None:
    """Raise ImageError where an image could not be read, for callers that need a row for each."""
    problems = [entry.reason for entry in found if isinstance(entry, ImageProblem)]
    if problems:
        raise ImageError(
            f"{len(problems)} of {len(found)} images cannot be read: {' '.join(problems[:3])} "
            "To skip them, load the images with featlib.load_images first; it lists them in .problems."
        )


def _row_shape(backbone: Backbone, tap: Tap) -> tuple[int, ...]:
    check_pooling(tap.pooling)
    shape = tuple(side or 1 for side in find_layer(backbone, tap.layer).output_shape)
    if tap.pooling == "flatten":
        return (math.prod(shape),)
    return shape if tap.pooling is None else shape[-1:]
