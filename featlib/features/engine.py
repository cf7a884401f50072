"""Streams images of any number through a network: decoded beside it, batch by batch, in order, bad ones told.

Threads read, decode and resize ahead of the network, never more than a few batches. What the store knows is not read
or computed again.
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from featlib.errors import CancelledError, FeatlibError, ImageError
from featlib.features.cores import cores
from featlib.features.runtimes import Precision, Runtime, RuntimeName, check_runtime, make_runtime
from featlib.features.store.lookup import KeptVectors
from featlib.features.store.store import VectorStore
from featlib.features.taps import Tap, check_pooling
from featlib.images import Candidate, ImageItem, ImageProblem, Pending, open_image
from featlib.models import Backbone, find_layer
from featlib.progress import OnProgress

LOOKED_UP = 256  # images asked for in the store at once
MAX_CHUNK = 1024  # images in a chunk that need no network


@dataclass(frozen=True)
class Chunk:
    """What became of the next images.

    Attributes:
        found: one entry an image, in order: an ImageItem, or an ImageProblem where it could not be read.
        outputs: one float32 array a tap, with a row for each ImageItem, in order.
    """

    found: tuple[ImageItem | ImageProblem, ...]
    outputs: tuple[np.ndarray, ...]

    @property
    def items(self) -> tuple[ImageItem, ...]:
        """The images that the rows belong to."""
        return tuple(found for found in self.found if isinstance(found, ImageItem))


@dataclass
class _Slot:
    """One image on its way: its pixels where the network is to run, else its rows, or what is wrong with it."""

    found: ImageItem | ImageProblem
    pixels: np.ndarray | None = None
    rows: list[np.ndarray] | None = None
    seen: os.stat_result | None = None  # what its file looked like before it was read; None where it was not


@dataclass
class _Part:
    """The next images, with at most one batch for the network among them."""

    slots: list[_Slot]
    runtime: Runtime | None = None
    job: Future[list[_Slot]] | None = None


@dataclass(frozen=True)
class EngineOptions:
    """How an engine runs; checked when they are made.

    Attributes:
        batch_size: Images in one forward pass, at least 1.
        runtime: "auto", "tensorflow" or "openvino"; see `make_runtime`.
        precision: "float32" or "bfloat16".
        store: The cache of vectors, so that none is computed twice; None for no cache.

    Raises:
        FeatlibError: A batch size below 1, an unknown runtime or precision, or one that is not available.
    """

    batch_size: int = 32
    runtime: RuntimeName = "auto"
    precision: Precision = "float32"
    store: VectorStore | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.batch_size, int | np.integer) or self.batch_size < 1:
            raise FeatlibError(f"batch_size must be a whole number of at least 1. Received: {self.batch_size!r}.")
        check_runtime(self.runtime, self.precision)


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

    def stream(self, images: Sequence[Pending], n_images: int | None = None) -> Generator[Chunk, None, None]:
        """Yield the results of the next images, in order; closing the iterator stops after the running batch.

        Args:
            images: From `list_pending`, or the items of an ImageSet. The problem of an image that cannot be read takes
                its place, and the other images are computed.
            n_images: The number of images of which these are a part, by which "auto" chooses the runtime; None for all.

        Raises:
            FeatlibError: The runtime cannot run this network.
        """
        backbone, taps, options = self.backbone, self.taps, self.options
        kept = KeptVectors(options.store, backbone, taps, options.precision)
        workers = cores()
        whole = len(images) if n_images is None else n_images
        pool = ThreadPoolExecutor(workers, thread_name_prefix="featlib-engine")
        running: deque[_Part] = deque()
        try:
            slots = _slots(backbone, images, kept, pool, ahead=options.batch_size + workers)
            for part in _parts(slots, options.batch_size):
                if any(slot.pixels is not None for slot in part.slots):
                    part.runtime = make_runtime(
                        backbone, taps, options.runtime, precision=options.precision, n_images=whole
                    )
                    part.job = pool.submit(_compute, part.slots, backbone, part.runtime)
                running.append(part)
                while len(running) > (part.runtime.at_once if part.runtime else 1):
                    yield _finish(running.popleft(), self.shapes, kept)
            while running:
                yield _finish(running.popleft(), self.shapes, kept)
        finally:
            pool.shutdown(cancel_futures=True)

    def run(
        self, images: Sequence[Pending], n_images: int | None = None, on_progress: OnProgress | None = None
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


def _slots(
    backbone: Backbone, images: Sequence[Pending], kept: KeptVectors, pool: ThreadPoolExecutor, ahead: int
) -> Iterator[_Slot]:
    """Reads and decodes in threads, a bounded number of images ahead, and gives them back in order."""
    waiting: deque[_Slot | Future[_Slot]] = deque()
    for entry in _looked_up(images, kept):
        if isinstance(entry, _Slot):
            waiting.append(entry)
        else:
            waiting.append(pool.submit(_read, entry, backbone.input_shape[:2], kept))
        if len(waiting) > ahead:
            yield _result(waiting.popleft())
    while waiting:
        yield _result(waiting.popleft())


def _looked_up(images: Sequence[Pending], kept: KeptVectors) -> Iterator[_Slot | Pending]:
    rest = iter(images)
    while part := list(islice(rest, LOOKED_UP)):
        known = kept.look_up(part)
        for image in part:
            if isinstance(image, ImageProblem):
                yield _Slot(image)
            elif id(image) in known:
                item, rows = known[id(image)]
                yield _Slot(item, rows=rows)
            else:
                yield image


def _read(image: Pending, size: tuple[int, int], kept: KeptVectors) -> _Slot:
    if isinstance(image, ImageProblem):
        return _Slot(image)
    try:
        seen = _look_at(image)
        opened = open_image(image)
        rows = kept.rows_of(opened.item)
        if rows:  # an item's file was not opened for that, and may hold something else by now
            return _Slot(opened.item, rows=rows, seen=None if isinstance(image, ImageItem) else seen)
        return _Slot(opened.item, opened.resized(*size), seen=seen)
    except ImageError as error:
        return _Slot(ImageProblem(image.name, str(error)))


def _look_at(image: Candidate | ImageItem) -> os.stat_result | None:
    path = image.path if isinstance(image, ImageItem) else image.source
    try:
        return path.stat() if isinstance(path, Path) else None
    except (OSError, ValueError):
        return None  # reading it will tell what is wrong


def _result(entry: _Slot | Future[_Slot]) -> _Slot:
    return entry if isinstance(entry, _Slot) else entry.result()


def _parts(slots: Iterator[_Slot], batch_size: int) -> Iterator[_Part]:
    part: list[_Slot] = []
    needed = 0
    for slot in slots:
        part.append(slot)
        needed += slot.pixels is not None
        if needed == batch_size or len(part) == MAX_CHUNK:
            yield _Part(part)
            part, needed = [], 0
    if part:
        yield _Part(part)


def _compute(part: Sequence[_Slot], backbone: Backbone, network: Runtime) -> list[_Slot]:
    """Runs the network for those that need it, and returns them."""
    slots = [slot for slot in part if slot.pixels is not None]
    outputs = network.run(backbone.preprocess(np.stack([slot.pixels for slot in slots])))  # type: ignore[misc]
    for i, slot in enumerate(slots):
        slot.rows, slot.pixels = [output[i] for output in outputs], None
    return slots


def _finish(part: _Part, shapes: Sequence[tuple[int, ...]], kept: KeptVectors) -> Chunk:
    if part.job is not None:
        computed = part.job.result()
        kept.keep([(slot.found, slot.rows) for slot in computed if isinstance(slot.found, ImageItem) and slot.rows])
    kept.note(list(_read_files(part.slots)))
    rows = [slot.rows for slot in part.slots if slot.rows is not None]
    outputs = [np.empty((len(rows), *shape), np.float32) for shape in shapes]
    for i, row in enumerate(rows):
        for output, value in zip(outputs, row, strict=True):
            output[i] = value
    return Chunk(tuple(slot.found for slot in part.slots), tuple(outputs))


def _read_files(part: Sequence[_Slot]) -> Iterator[tuple[Path, os.stat_result, str]]:
    for slot in part:
        if isinstance(slot.found, ImageItem) and slot.found.path is not None and slot.seen is not None:
            yield slot.found.path, slot.seen, slot.found.id
