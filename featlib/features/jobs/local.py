"""Images of any number -> a file of vectors, written as they come, and resumed where the work was interrupted."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from featlib.errors import CancelledError, FeatlibError, ImageError
from featlib.features.engine import EngineOptions
from featlib.features.jobs.partial import Job, PartialFile
from featlib.features.runtimes import Precision, RuntimeName
from featlib.features.store.store import VectorStore
from featlib.features.taps import Pooling
from featlib.features.vectors import combine_layers, vector_engine
from featlib.images import Candidate, ImageItem, ImageProblem, ImageSet, Pending, list_pending, open_image
from featlib.models import Backbone
from featlib.progress import OnProgress


@dataclass(frozen=True)
class WrittenVectors:
    """A file that was written.

    Attributes:
        path: the file.
        shape: (n, D).
        layers: the layer paths, in the order of the columns.
        problems: the images that have no row, and why, of earlier runs too.
    """

    path: Path
    shape: tuple[int, int]
    layers: tuple[str, ...]
    problems: tuple[ImageProblem, ...]


def extract_to_file(
    backbone: Backbone,
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
    """Computes one vector an image into a file; no more than a few batches are in memory, besides the list of images.

    While the work runs, what is done lies in `.<name>.partial` beside the file, which itself appears only when it is
    whole. However the work ends, by cancellation, by a full disk or with the process, `resume=True` goes on there.

    Args:
        backbone: from `load_backbone`.
        images: as for `extract_vectors`, or a list from `list_pending`.
        path: ends in .npy, .npz, .parquet, .h5 or .csv.
        layers: one layer path or several, concatenated; None means `backbone.feature_layer`.
        pooling: "avg", "max", "flatten", or None for layers that have no height and width.
        l2_normalize: whether each layer's part is scaled to length 1.
        batch_size: images in one forward pass.
        runtime: "auto", "tensorflow" or "openvino".
        precision: "float32" or "bfloat16".
        store: where vectors are kept; None keeps nothing.
        resume: whether to go on where an earlier run of the same work stopped; without one, it begins.
        on_progress: called with (images done, images in all), those of an earlier run counted; True stops the work.

    Returns:
        What was written.

    Raises:
        FeatlibError: no image could be read, the file cannot be written, the earlier run computed something else, or
            as `extract_vectors`.
        LayerNotFoundError: a layer path is unknown.
        CancelledError: `on_progress` returned True.

    Warns:
        FeatlibWarning: a runtime cannot run this network as Keras does and another was taken; or what bfloat16 costs.
    """
    engine = vector_engine(backbone, layers, pooling, EngineOptions(batch_size, runtime, precision, store))
    paths = [tap.layer for tap in engine.taps]
    known = images.problems if isinstance(images, ImageSet) else ()
    pending = [*known, *list_pending(images)]
    job = Job(
        model=backbone.name,
        fingerprint=backbone.fingerprint,
        layers=tuple(paths),
        widths=tuple(shape[0] for shape in engine.shapes),
        pooling=str(pooling).lower(),
        l2_normalize=l2_normalize,
        precision=precision,
        images=digest_of(pending),
        total=len(pending),
    )
    with PartialFile.open(Path(path), job, resume=resume) as file:
        rest = pending[file.done :]
        # Of all images, so that what is resumed is computed as what is there.
        with closing(engine.stream(rest, n_images=job.total)) as chunks:
            for chunk in chunks:
                file.append(chunk.found, combine_layers(chunk.outputs, paths, l2_normalize))
                if on_progress and on_progress(file.done, job.total) and file.done < job.total:
                    raise CancelledError(f"Stopped after {file.done} of {job.total} images; resume=True goes on there.")
        problems = tuple(file.problems)
        if len(problems) == job.total:
            file.discard()
            raise FeatlibError(_nothing(problems))
        file.finish()
    shape = (job.total - len(problems), sum(job.widths))
    return WrittenVectors(Path(path), shape, job.layers, problems)


def digest_of(images: Sequence[Pending]) -> str:
    """Tells one list of images from another: by names, labels, and the paths, or else the content, of images."""
    digest = hashlib.blake2b(digest_size=16)
    for image in images:
        if isinstance(image, ImageProblem):
            said: object = image.reason
        elif isinstance(image, ImageItem):
            said = image.id, dict(image.labels)
        else:
            said = _told_by(image), dict(image.labels)
        digest.update(repr((image.name, said)).encode(errors="surrogatepass"))
    return digest.hexdigest()


def _told_by(image: Candidate) -> str:
    if isinstance(image.source, Path):
        return str(image.source.absolute())
    try:
        return open_image(image).item.id
    except ImageError as error:
        return str(error)


def _nothing(problems: Sequence[ImageProblem]) -> str:
    why = f" {problems[0].reason}" if problems else ""
    return f"No image could be read, so no file is written.{why}"
