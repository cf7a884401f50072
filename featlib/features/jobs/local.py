"""Images of any number -> a file of vectors, written in shards as they come, and resumed after an interruption."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from featlib.checks import file_path, flag
from featlib.errors import CancelledError, FeatlibError
from featlib.features.engine import EngineOptions
from featlib.features.files import FORMATS, UNWRITABLE, check_destination, open_vectors, write_file
from featlib.features.jobs.job import Job
from featlib.features.jobs.shards import ShardFolder, locked_folder, read_job
from featlib.features.runtimes import Precision, RuntimeName
from featlib.features.store import VectorStore
from featlib.features.taps import Pooling
from featlib.features.vectors import combine_layers, vector_engine
from featlib.images import ImageProblem, ImageSet, list_pending
from featlib.models import Backbone
from featlib.progress import OnProgress, check_progress
from featlib.text import format_bytes

SHARDS_PER_JOB = 64
MAX_SHARD_IMAGES = 512
MAX_SHARD_BYTES = 32 * 2**20
CSV_BYTES_PER_VALUE = 16  # "-1.23456789e-05,"
EARLIER_VERSION = ("job.json", "vectors.npy", "rows.jsonl", "lock")  # featlib 0.1 kept an interrupted run in these


@dataclass(frozen=True)
class WrittenVectors:
    """A file that was written.

    Attributes:
        path: The file.
        shape: (n, D).
        layers: The layer paths, in the order of the columns.
        problems: The images that have no row, and why, including those of earlier runs.
    """

    path: Path
    shape: tuple[int, int]
    layers: tuple[str, ...]
    problems: tuple[ImageProblem, ...]

    def __repr__(self) -> str:
        skipped = f"; {len(self.problems):,} skipped" if self.problems else ""
        return f"WrittenVectors({str(self.path)!r}; {self.shape[0]:,} × {self.shape[1]:,}{skipped})"


def extract_to_file(
    backbone: str | Path | Backbone,
    images: object,
    path: str | Path,
    layers: str | Sequence[str] | None = None,
    *,
    pooling: Pooling | None = "avg",
    l2_normalize: bool = False,
    batch_size: int = 32,
    runtime: RuntimeName = "auto",
    precision: Precision = "float32",
    store: VectorStore | None = None,
    resume: bool = False,
    on_progress: OnProgress | None = None,
) -> WrittenVectors:
    """Compute one vector per image into a file; only a few batches and the list of images are in memory.

    While the work runs, finished parts are in `.<name>.partial` beside the file, which itself appears only when it is
    whole. However the work ends, by cancellation, by a full disk or with the process, `resume=True` continues there.

    Args:
        backbone: From `load_backbone`, or the name or file of a network.
        images: As for `extract_vectors`, or a list from `list_pending`.
        path: Ends in .npy, .npz, .parquet, .h5 or .csv.
        layers: One layer path or several, concatenated; None means `backbone.feature_layer`.
        pooling: "avg", "max", "flatten", or None for layers that have no height and width.
        l2_normalize: Whether each layer's part is scaled to length 1.
        batch_size: Images in one forward pass.
        runtime: "auto", "tensorflow" or "openvino".
        precision: "float32" or "bfloat16".
        store: The cache of vectors; None for no cache.
        resume: Whether to continue an earlier run of the same work; where there was none, the work begins.
        on_progress: Called with (images done, images in all), including those of an earlier run; True stops the work.

    Returns:
        What was written.

    Raises:
        FeatlibError: No image could be read, the file cannot be written, the earlier run computed something else, or
            as for `extract_vectors`.
        LayerNotFoundError: A layer path is unknown.
        CancelledError: `on_progress` returned True.

    Warns:
        FeatlibWarning: The runtime cannot run this network as Keras does and another is used; or what bfloat16 costs.
    """
    options, path = EngineOptions(batch_size, runtime, precision, store), file_path("path", path)
    flag("resume", resume)
    check_progress(on_progress)
    engine = vector_engine(backbone, layers, pooling, options, l2_normalize=l2_normalize)
    known = images.problems if isinstance(images, ImageSet) else ()
    pending = [*known, *list_pending(images)]
    job = Job.of(engine, pending, l2_normalize=l2_normalize)
    with open_partial(path, job, batch_size, resume=resume) as folder:
        missing = folder.missing()
        rest = [pending[i] for number in missing for i in folder.images(number)]
        earlier = job.total - len(rest)
        # The engine hears of all images, so that a resumed run computes like the one before.
        with closing(engine.stream(rest, n_images=job.total)) as chunks:
            layers = job.origin.layers
            computed = ((chunk.found, combine_layers(chunk.outputs, layers, l2_normalize)) for chunk in chunks)
            for done in folder.fill(missing, computed):
                if on_progress and on_progress(earlier + done, job.total) and done < len(rest):
                    raise CancelledError(
                        f"Stopped after {earlier + done} of {job.total} images; resume=True continues the work."
                    )
        problems = finish(folder, path)
    return WrittenVectors(path, (job.total - len(problems), job.width), job.origin.layers, problems)


@contextmanager
def open_partial(target: Path, job: Job, batch_size: int = 1, *, resume: bool) -> Iterator[ShardFolder]:
    """Begin or continue the folder of shards beside a file, locked against other processes.

    Args:
        target: The file to write in the end; its ending chooses the format.
        job: What is computed.
        batch_size: The least number of images in a shard.
        resume: Whether to continue an earlier run; without one, or with False, the work begins.

    Raises:
        FeatlibError: An unusable target or too small a disk, another process is writing it, or the earlier run
            computed something else.
    """
    real = Path(os.path.realpath(check_destination(target, FORMATS)))  # a link stays a link
    path = real.with_name(f".{real.name}.partial")
    if path.is_symlink():  # others may write where the target is, and lead to a folder of this user's
        raise FeatlibError(f"'{path}' is a link, which featlib never makes. Remove it, or choose another file.")
    with locked_folder(path, target, temporary=True):
        earlier = (read_job(path) or {}) if resume else {}
        size = earlier.get("shard_size")  # a run may be resumed with another batch size
        folder = ShardFolder(path, job, size if type(size) is int and size > 0 else shard_size(job, batch_size))
        folder.begin(resume=resume)
        for name in EARLIER_VERSION:
            with suppress(OSError):
                (path / name).unlink()
        _check_space(folder, real)
        yield folder


def shard_size(job: Job, batch_size: int) -> int:
    """Return how many images a shard holds: a 64th of all, at most 512 or 32 MB of vectors, at least one batch."""
    most = min(MAX_SHARD_IMAGES, MAX_SHARD_BYTES // (4 * job.width))
    images = min(-(-job.total // SHARDS_PER_JOB), most)
    return max(1, images // batch_size) * batch_size  # whole batches, so that a resumed run forms the same ones


def _check_space(folder: ShardFolder, target: Path) -> None:
    """Check, before the work, that both the shards and the file written from them fit on the disk."""
    values = folder.job.total * folder.job.width
    file = values * (CSV_BYTES_PER_VALUE if target.suffix.lower() == ".csv" else 4)
    there = sum(path.stat().st_size for path in folder.path.iterdir() if path.is_file())
    needed = max(0, 4 * values - there) + file
    if shutil.disk_usage(folder.path).free < needed:
        raise FeatlibError(
            f"'{target.name}' needs about {format_bytes(needed)} while it is written, and the disk has less. "
            "Make room there, or choose another place."
        )


def finish(folder: ShardFolder, target: Path) -> tuple[ImageProblem, ...]:
    """Write the file from its shards, and remove them.

    Args:
        folder: Whose shards are all written.
        target: The file.

    Returns:
        The images without a vector.

    Raises:
        FeatlibError: Images are missing, none could be read, or the disk is full; then the shards stay.
    """
    there = sum(folder.shard(number).exists() for number in range(len(folder)))
    if there < len(folder):
        raise FeatlibError(f"'{target.name}' has {there:,} of {len(folder):,} parts: it is not whole yet.")
    dataset = open_vectors(folder.path, max_problems=None)
    if folder.job.total == dataset.problem_count:
        folder.discard()
        why_not = f" {dataset.problems[0].reason}" if dataset.problems else ""
        raise FeatlibError(f"No image could be read, so no file is written.{why_not}")
    try:
        write_file(dataset.contents(), Path(os.path.realpath(target)), folder.path)
    except UNWRITABLE as error:
        raise folder.interrupted(error) from error
    folder.discard()
    return dataset.problems
