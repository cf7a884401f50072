"""The engine on many machines: Ray Data deals shards of images out to workers, each with a network of its own."""

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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from featlib.errors import CancelledError, FeatlibError, FeatlibWarning, ImageError
from featlib.features.files.atomic import why
from featlib.features.files.records import plain_text
from featlib.features.jobs.local import digest_of
from featlib.features.jobs.partial import Job
from featlib.features.jobs.ray_worker import Plan, ShardWorker
from featlib.features.jobs.shards import ShardFolder, locked_folder
from featlib.features.runtimes import Precision, RuntimeName
from featlib.features.taps import Pooling
from featlib.images import ImageProblem, ImageSet, Pending, list_pending
from featlib.images.pending import open_image
from featlib.images.sources.listing import Candidate
from featlib.progress import OnProgress

CORES = 8  # of one worker: more do not get more out of one Python process
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing leaves the machine
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # it writes to the terminal past Python's logging
}
_WEB = ("http:/", "https:/")


@dataclass(frozen=True)
class RayRun:
    """A finished run.

    Attributes:
        output: the folder of `part-00000.parquet` …, for `load_vectors`.
        shards: how many files there are.
        images: how many images they tell of, good and bad.
        problems: those among them that have no vector, in order.
    """

    output: Path
    shards: int
    images: int
    problems: tuple[ImageProblem, ...]


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
    """Computes one vector an image on a Ray cluster, or in several processes of this machine.

    Paths are read where the work is done: images, output and model files are on a disk that all machines see at the
    same path, and featlib is installed on each. Bytes, arrays and members of zips are sent along.

    A shard is written whole or not at all. Where a process or a machine is lost, its shard is computed again by
    another, and where everything is lost, the next run with the same arguments computes only what is missing.

    Args:
        model: a name or a path, as for `load_backbone`; never a live model.
        images: as for `extract_vectors`.
        output: the folder to write; it is made where it is missing.
        network_options: further arguments of `load_backbone`.
        layers: as for `extract_vectors`.
        pooling: as for `extract_vectors`.
        l2_normalize: whether each layer's part is scaled to length 1.
        batch_size: images in one forward pass.
        runtime: "auto", "tensorflow" or "openvino".
        precision: "float32" or "bfloat16".
        shard_size: images in a file; a worker holds the vectors of one in memory.
        address: of a cluster: "auto", "host:6379" or "ray://host:10001". None takes RAY_ADDRESS, or else starts Ray on
            this machine for the time of the work. A Ray that runs in this process already is used as it is.
        workers: processes with a network; None is one for every 8 cores, and at least one a machine.
        resume: whether shards of an earlier run of the same job stay; False begins anew.
        on_progress: called with (images done, n) after each shard; returning True stops the work.

    Returns:
        What was written. Rows are in the order of the images.

    Raises:
        FeatlibError: Ray is not installed or does not answer, the folder holds another job or cannot be written, a
            network or layer cannot be had, or an option is wrong.
        ImageError: there are no such images at all.
        CancelledError: `on_progress` returned True.

    Warns:
        FeatlibWarning: a runtime cannot run this network as Keras does and another was taken; or what bfloat16 costs.
    """
    _check(model, shard_size, batch_size, workers)
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    _check_answers(address)
    plan = Plan(str(model), dict(network_options or {}), layers, pooling, l2_normalize, batch_size, runtime, precision)
    sources = _list_sources(images)
    folder = ShardFolder(Path(output).absolute(), _job(plan, sources), shard_size, _label_columns(sources))
    with locked_folder(folder.path):
        folder.begin(resume=resume)
        _fill(plan, folder, sources, address, workers, on_progress)
        folder.tidy()
        return RayRun(folder.path, len(folder), len(sources), folder.problems())


def _check(model: object, shard_size: int, batch_size: int, workers: int | None) -> None:
    if not isinstance(model, str | Path):
        raise FeatlibError(f"Workers load a network by its name or path. Received: {type(model).__name__}.")
    for name, value in (("shard_size", shard_size), ("batch_size", batch_size), ("workers", workers)):
        if value is not None and value < 1:
            raise FeatlibError(f"{name} must be at least 1. Received: {value}.")
    if importlib.util.find_spec("ray") is None or importlib.util.find_spec("pandas") is None:
        raise FeatlibError("Ray is not installed. Install it, on all machines, with: pip install 'ray[data]'")


def _list_sources(images: object) -> list[Pending]:
    known = images.problems if isinstance(images, ImageSet) else ()
    return [*known, *map(_portable, list_pending(images))]


def _portable(entry: Pending) -> Pending:
    """What a process with another current folder can read: an absolute path, or the image itself."""
    if not isinstance(entry, Candidate):
        return entry
    if isinstance(entry.source, Path):
        is_web = str(entry.source).startswith(_WEB)  # whoever reads it says that it is a web address
        return entry if is_web else replace(entry, source=entry.source.absolute())
    try:
        return open_image(entry).item
    except ImageError as error:
        return ImageProblem(entry.name, str(error))


def _label_columns(sources: Sequence[Pending]) -> tuple[str, ...]:
    labels = (entry.labels for entry in sources if not isinstance(entry, ImageProblem))
    return tuple(dict.fromkeys(plain_text(column) for own in labels for column in own))


def _job(plan: Plan, sources: Sequence[Pending]) -> Job:
    """Looks at the network here, so that what is wrong is told before other machines begin."""
    engine = plan.load()
    backbone = engine.backbone
    return Job(
        model=backbone.name,
        fingerprint=backbone.fingerprint,
        layers=tuple(tap.layer for tap in engine.taps),
        widths=tuple(shape[0] for shape in engine.shapes),
        pooling=str(plan.pooling).lower(),
        l2_normalize=plan.l2_normalize,
        precision=plan.precision,
        images=digest_of(sources),
        total=len(sources),
    )


def _fill(
    plan: Plan,
    folder: ShardFolder,
    sources: Sequence[Pending],
    address: str,
    workers: int | None,
    on_progress: OnProgress | None,
) -> None:
    """Computes the shards that are missing; without such, Ray is not even started."""
    missing = folder.missing()
    done = len(sources) - sum(len(sources[folder.images(number)]) for number in missing)
    tell = on_progress or (lambda *_: None)
    if tell(done, len(sources)) and missing:
        raise _stopped(done, len(sources))
    if not missing:
        return
    rows = [{"shard": number, "images": pickle.dumps(sources[folder.images(number)])} for number in missing]
    with _cluster(address) as ray, closing(_results(ray, plan, folder, rows, workers)) as results:
        told: set[str] = set()
        for left, (number, error, notes) in zip(reversed(range(len(missing))), results, strict=True):
            for note in sorted({*notes.splitlines()} - told):
                warnings.warn(note, FeatlibWarning, stacklevel=3)
                told.add(note)
            if error:
                raise FeatlibError(error)
            done += len(sources[folder.images(number)])
            if tell(done, len(sources)) and left:
                raise _stopped(done, len(sources))


def _stopped(done: int, total: int) -> CancelledError:
    return CancelledError(f"Stopped after {done} of {total} images. The shards that are there stay.")


def _results(
    ray: Any,  # noqa: ANN401 - the module
    plan: Plan,
    folder: ShardFolder,
    rows: Sequence[Mapping[str, Any]],
    workers: int | None,
) -> Generator[tuple[int, str, str], None, None]:
    """Yields (shard, error, notes) as shards are ready; error is "" for one that is written."""
    count, cores = share_cores([node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]], workers)
    count = min(count, len(rows))
    data = ray.data.from_items(list(rows), override_num_blocks=len(rows)).map_batches(
        ShardWorker,
        fn_constructor_args=(plan, folder, max(1, int(cores))),
        batch_size=1,
        batch_format="numpy",
        compute=ray.data.ActorPoolStrategy(size=count, max_tasks_in_flight_per_actor=1),
        num_cpus=cores,
    )
    for batch in data.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=0):
        yield from zip(*(batch[name].tolist() for name in ("shard", "error", "notes")), strict=True)


def share_cores(nodes: Sequence[float], workers: int | None) -> tuple[int, float]:
    """Shares the cores of a cluster out, so that workers × threads are no more than there are.

    Args:
        nodes: cores of each machine.
        workers: how many workers; None chooses.

    Returns:
        How many workers, and how many cores each has: below 1 where there are more workers than cores.

    Raises:
        FeatlibError: there are no cores.
    """
    whole = [int(cores) for cores in nodes if cores >= 1]
    if not whole:
        raise FeatlibError("No machine of the Ray cluster offers a processor core now. Start one with: ray start")
    if workers is None:
        each = min(CORES, *whole)
        return sum(cores // each for cores in whole), each
    # Workers do not span machines, so the largest share of which enough fit is looked for.
    fitting = [each for each in range(1, max(whole) + 1) if sum(cores // each for cores in whole) >= workers]
    return workers, max(fitting) if fitting else sum(whole) / workers


@contextmanager
def _cluster(address: str) -> Iterator[Any]:
    """Connects to a cluster, or starts Ray here, quietly; afterwards everything is as before."""
    with _environment(SETTINGS):
        import ray
        import ray.data

        ours = not ray.is_initialized()
        try:
            if ours:
                _start(ray, address)
            with _quiet(ray):
                yield ray
        finally:
            if ours:
                ray.shutdown()


def _check_answers(address: str) -> None:
    """Looks for a cluster before Ray does, which waits for minutes where nobody is."""
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


def _start(ray: Any, address: str) -> None:  # noqa: ANN401 - the module
    alone = {"include_dashboard": False} if address == "local" else {}
    try:
        with _unheard():
            ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL, **alone)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise FeatlibError(_no_answer(address, why(error).partition(". ")[0])) from error


@contextmanager
def _unheard() -> Iterator[None]:
    """Ray's C++ announces on stderr, past Python, that it is to be quiet."""
    terminal = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _quiet(ray: Any) -> Iterator[None]:  # noqa: ANN401 - the module
    context = ray.data.DataContext.get_current()
    before = context.enable_progress_bars, context.print_on_execution_start
    log = logging.getLogger("ray.data")
    level = log.level
    context.enable_progress_bars = context.print_on_execution_start = False
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        context.enable_progress_bars, context.print_on_execution_start = before
        log.setLevel(level)
