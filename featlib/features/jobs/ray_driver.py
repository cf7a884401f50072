"""Long runs on many machines: Ray Data distributes shards of images to workers, each with its own network."""

from __future__ import annotations

import importlib.util
import logging
import os
import pickle
import re
import socket
import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featlib.checks import file_path, flag, instance, whole_number
from featlib.errors import CancelledError, FeatlibError, FeatlibWarning, ImageError
from featlib.features.engine import EngineOptions
from featlib.features.files import open_vectors, why
from featlib.features.jobs.job import Job
from featlib.features.jobs.ray_worker import Plan, ShardWorker
from featlib.features.jobs.shards import ShardFolder, locked_folder
from featlib.features.runtimes import Precision, RuntimeName
from featlib.features.taps import Pooling
from featlib.images import ImageEntry, ImageProblem, ImageSet, list_pending, open_image
from featlib.progress import OnProgress, check_progress

MAX_CORES = 8  # of one worker: more do not get more out of one Python process
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing leaves the machine
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # it writes to the terminal past Python's logging
}

ShardResult = tuple[int, str, str]  # shard, error or "" for one that is written, warnings one per line


@dataclass(frozen=True)
class RayRun:
    """A finished run.

    Attributes:
        output: The folder of `part-00000.parquet` …, for `load_vectors`.
        shards: How many files there are.
        images: How many images they describe, readable or not.
        problems: The images without a vector, in order.
    """

    output: Path
    shards: int
    images: int
    problems: tuple[ImageProblem, ...]

    def __repr__(self) -> str:
        skipped = f"; {len(self.problems):,} skipped" if self.problems else ""
        return f"RayRun({str(self.output)!r}; {self.images:,} images in {self.shards:,} shards{skipped})"


def extract_with_ray(
    model: str | Path,
    images: object,
    output: str | Path,
    *,
    network_options: Mapping[str, Any] | None = None,
    layers: str | Sequence[str] | None = None,
    pooling: Pooling | None = "avg",
    l2_normalize: bool = False,
    batch_size: int = 32,
    runtime: RuntimeName = "auto",
    precision: Precision = "float32",
    shard_size: int = 512,
    address: str | None = None,
    workers: int | None = None,
    resume: bool = True,
    on_progress: OnProgress | None = None,
) -> RayRun:
    """Compute one vector per image on a Ray cluster, or in several processes of this machine.

    Paths are read where the work is done: images, output and model files are on a disk that all machines see at the
    same path, and featlib is installed on each. Bytes, arrays and members of zips are sent along.

    A shard is written whole or not at all. When a process or a machine is lost, another computes its shard again, and
    when everything is lost, the next run with the same arguments computes only what is missing.

    Args:
        model: A name or a path, as for `load_backbone`; never a live model.
        images: As for `extract_vectors`.
        output: The folder to write; it is created if missing.
        network_options: Further arguments of `load_backbone`.
        layers: As for `extract_vectors`.
        pooling: As for `extract_vectors`.
        l2_normalize: Whether each layer's part is scaled to length 1.
        batch_size: Images in one forward pass.
        runtime: "auto", "tensorflow" or "openvino".
        precision: "float32" or "bfloat16".
        shard_size: Images in a file; a worker holds the vectors of one in memory.
        address: Of a cluster: "auto", "host:6379" or "ray://host:10001". None takes RAY_ADDRESS, or else starts Ray on
            this machine for the duration of the work. A Ray that already runs in this process is used as it is.
        workers: Processes with a network; None means one for every 8 cores, and at least one per machine.
        resume: Whether shards of an earlier run of the same job stay; False starts over.
        on_progress: Called with (images done, n) after each shard; returning True stops the work.

    Returns:
        What was written. Rows are in the order of the images.

    Raises:
        FeatlibError: Ray is not installed or does not answer, the folder holds another job or cannot be written, a
            network or layer is not available, or an option is wrong.
        ImageError: There are no such images at all.
        CancelledError: `on_progress` returned True.

    Warns:
        FeatlibWarning: The runtime cannot run this network as Keras does and another is used; or what bfloat16 costs.
    """
    if not isinstance(model, str | Path):
        raise FeatlibError(f"Workers load a network by its name or path. Received: {type(model).__name__}.")
    whole_number("shard_size", shard_size)
    if workers is not None:
        whole_number("workers", workers)
    instance("address", address, (str, type(None)), "a text or None")
    instance("network_options", network_options, (Mapping, type(None)), "a dict or None")
    output = file_path("output", output)
    flag("resume", resume)
    flag("l2_normalize", l2_normalize)
    check_progress(on_progress)
    if importlib.util.find_spec("ray") is None or importlib.util.find_spec("pandas") is None:
        raise FeatlibError("Ray is not installed. Install it, on all machines, with: pip install 'ray[data]'")
    options = EngineOptions(batch_size, runtime, precision)
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    _check_answers(address)
    plan = Plan(str(model), dict(network_options or {}), layers, pooling, l2_normalize, options)
    known = images.problems if isinstance(images, ImageSet) else ()
    sources = [*known, *map(_portable, list_pending(images))]
    # The network is loaded here too, so that errors are raised before other machines begin.
    job = Job.of(plan.load(), sources, l2_normalize=l2_normalize)
    folder = ShardFolder(output.absolute(), job, shard_size)
    with locked_folder(folder.path, folder.path):
        folder.begin(resume=resume)
        missing = folder.missing()
        tasks = [(number, [sources[i] for i in folder.images(number)]) for number in missing]
        with closing(_compute(plan, folder, tasks, address, workers)) as results:
            follow_shards(folder, missing, results, on_progress)
        folder.tidy()
        problems = open_vectors(folder.path, max_problems=None).problems
    return RayRun(folder.path, len(folder), len(sources), problems)


def follow_shards(
    folder: ShardFolder,
    missing: Sequence[int],
    results: Iterator[ShardResult],
    on_progress: OnProgress | None = None,
) -> None:
    """Report the progress, errors and warnings of workers.

    Args:
        folder: What the workers fill.
        missing: The shards that they write.
        results: Yields one result for each of them, in any order; nothing is asked of it where none is missing.
        on_progress: Called with (images done, n), the first time before any result.

    Raises:
        FeatlibError: A worker failed.
        CancelledError: `on_progress` returned True before the last shard.

    Warns:
        FeatlibWarning: Each warning of the workers, once.
    """
    total, shown = folder.job.total, set[str]()
    done = total - sum(len(folder.images(number)) for number in missing)
    left = len(missing)
    while not (on_progress and on_progress(done, total) and left) and left:
        number, error, notes = next(results)
        for note in sorted({*notes.splitlines()} - shown):
            warnings.warn(note, FeatlibWarning, stacklevel=3)
            shown.add(note)
        if error:
            raise FeatlibError(error)
        done += len(folder.images(number))
        left -= 1
    if left:
        raise CancelledError(f"Stopped after {done} of {total} images. The finished shards stay.")


def _portable(entry: ImageEntry) -> ImageEntry:
    """Return what a process with another current folder can read: an absolute path, or the image itself."""
    if isinstance(entry, ImageProblem) or entry.id:
        return entry
    if entry.path is not None:
        is_web = str(entry.path).startswith(("http:/", "https:/"))  # reading it says that it is a web address
        return entry if is_web else entry.with_id("")
    try:
        return open_image(entry).item
    except ImageError as error:
        return ImageProblem(entry.name, str(error))


def _compute(
    plan: Plan,
    folder: ShardFolder,
    tasks: Sequence[tuple[int, Sequence[ImageEntry]]],
    address: str,
    workers: int | None,
) -> Generator[ShardResult, None, None]:
    """Start or join the cluster when the first result is asked for, and yield results as shards are written."""
    with _cluster(address) as ray:
        count, cores = share_cores([node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]], workers)
        rows = [{"shard": number, "images": pickle.dumps(images)} for number, images in tasks]
        data = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            ShardWorker,
            fn_constructor_args=(plan, folder, max(1, int(cores))),
            batch_size=1,
            batch_format="numpy",
            compute=ray.data.ActorPoolStrategy(size=min(count, len(rows)), max_tasks_in_flight_per_actor=1),
            num_cpus=cores,
        )
        for batch in data.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=0):
            yield from zip(*(batch[name].tolist() for name in ("shard", "error", "notes")), strict=True)


def share_cores(nodes: Sequence[float], workers: int | None) -> tuple[int, float]:
    """Divide the cores of a cluster, so that workers × threads do not exceed them.

    Args:
        nodes: Cores of each machine.
        workers: How many workers; None chooses.

    Returns:
        How many workers, and how many cores each has: below 1 where there are more workers than cores.

    Raises:
        FeatlibError: There are no cores.
    """
    whole = [int(cores) for cores in nodes if cores >= 1]
    if not whole:
        raise FeatlibError("No machine of the Ray cluster offers a processor core now. Start one with: ray start")
    if workers is None:
        each = min(MAX_CORES, *whole)
        return sum(cores // each for cores in whole), each
    # Workers do not span machines, so the largest share that fits often enough is used.
    fitting = [each for each in range(1, max(whole) + 1) if sum(cores // each for cores in whole) >= workers]
    return workers, max(fitting) if fitting else sum(whole) / workers


@contextmanager
def _cluster(address: str) -> Iterator[Any]:
    """Join a cluster, or start Ray here for the duration of the work."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    import ray
    import ray.data

    ours = not ray.is_initialized()
    alone = {"include_dashboard": False} if address == "local" else {}
    try:
        if ours:
            with _silent_stderr():
                ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL, **alone)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise FeatlibError(_no_answer(address, why(error).partition(". ")[0])) from error
    context = ray.data.DataContext.get_current().copy()
    context.enable_progress_bars = context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    try:
        with ray.data.DataContext.current(context):
            yield ray
    finally:
        if ours:
            ray.shutdown()


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Discard what Ray's C++ code prints when it starts, past Python's streams."""
    stderr = os.dup(2)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def _check_answers(address: str) -> None:
    """Look for a cluster before Ray does, which waits for minutes where there is none."""
    if address in ("auto", "local"):
        return
    match = re.fullmatch(r"(?:ray://)?\[?(.+?)\]?:(\d{1,5})", address)
    if match is None or int(match[2]) > 65_535:
        raise FeatlibError(f"address must be 'auto', 'host:6379' or 'ray://host:10001'. Received: {address!r}.")
    try:
        socket.create_connection((match[1], int(match[2])), timeout=5).close()
    except OSError as error:
        raise FeatlibError(_no_answer(address, why(error))) from error


def _no_answer(address: str, reason: str) -> str:
    return (
        f"No Ray cluster answers at '{address}' ({reason}). "
        "Check the address, or leave it out to work on this machine alone."
    )
