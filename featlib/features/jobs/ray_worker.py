"""What runs on the machines of a Ray cluster: a network that is loaded once, and shard after shard of images."""

from __future__ import annotations

import os
import pickle
import platform
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from featlib.errors import FeatlibError, FeatlibWarning
from featlib.features.engine import Engine, EngineOptions
from featlib.features.jobs.shards import ShardFolder
from featlib.features.runtimes import THREADS, Precision, RuntimeName
from featlib.features.taps import Pooling
from featlib.features.vectors import combine_layers, vector_engine
from featlib.images import Pending
from featlib.models import load_backbone

TRIES = 5  # of a shard whose worker dies: an image that kills each of them must not be tried for ever


@dataclass(frozen=True)
class Plan:
    """How vectors are computed, in names and numbers: each machine loads the network by its name.

    Attributes:
        model: what `load_backbone` takes as text.
        network_options: its keyword arguments.
        layers: one layer path, several, or None for the network's feature layer.
        pooling: "avg", "max", "flatten" or None.
        l2_normalize: whether each layer's part is scaled to length 1.
        batch_size: images in one forward pass.
        runtime: "auto", "tensorflow" or "openvino".
        precision: "float32" or "bfloat16".
    """

    model: str
    network_options: Mapping[str, Any]
    layers: str | Sequence[str] | None
    pooling: Pooling | None
    l2_normalize: bool
    batch_size: int
    runtime: RuntimeName
    precision: Precision

    def load(self) -> Engine:
        """Load the network and make the engine.

        Raises:
            FeatlibError: as for `load_backbone` and `extract_vectors`.
        """
        options = EngineOptions(self.batch_size, self.runtime, self.precision)
        return vector_engine(load_backbone(self.model, **self.network_options), self.layers, self.pooling, options)


class ShardWorker:
    """Computes and writes shards. Ray starts it anew, and the shard too, where its process or machine is lost."""

    def __init__(self, plan: Plan, folder: ShardFolder, threads: int) -> None:
        _use_threads(threads)
        self._plan, self._folder = plan, folder
        self._engine: Engine | None = None

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[Any]]:
        """Takes one row {shard, images}; returns {shard, error, notes}, with error "" when the shard is written."""
        number, images = int(batch["shard"][0]), pickle.loads(batch["images"][0])
        said = ""
        with warnings.catch_warnings(record=True) as caught:  # nobody hears a worker
            warnings.simplefilter("always", FeatlibWarning)
            try:
                self._compute(number, images)
            except FeatlibError as error:
                said = str(error)
        notes = [str(one.message) for one in caught if issubclass(one.category, FeatlibWarning)]
        return {"shard": [number], "error": [said], "notes": ["\n".join(notes)]}

    def _compute(self, number: int, images: Sequence[Pending]) -> None:
        if self._folder.count_try(number) > TRIES:
            raise FeatlibError(
                f"Workers died {TRIES} times at the images from '{images[0].name}' to '{images[-1].name}'. Often the "
                "memory is too small for so many workers, or one image ends the process. Go on with "
                "fewer workers; what is done stays."
            )
        engine = self._engine = self._engine or self._load()
        found, parts = engine.run(images, n_images=self._folder.job.total)
        layers = [tap.layer for tap in engine.taps]
        self._folder.write(number, found, combine_layers(parts, layers, self._plan.l2_normalize))

    def _load(self) -> Engine:
        engine = self._plan.load()
        backbone, job = engine.backbone, self._folder.job
        if not backbone.has_own_code and backbone.fingerprint != job.fingerprint:
            raise FeatlibError(
                f"'{backbone.name}' on the machine {platform.node()} is another network than on the first one "
                f"(fingerprints {backbone.fingerprint[:8]} and {job.fingerprint[:8]}). "
                "Give all machines the same weights, and the same versions of Keras and featlib."
            )
        return engine


def _use_threads(threads: int) -> None:
    """Lets this process use its share of the machine, before TensorFlow and OpenVINO count the cores."""
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", THREADS)
    os.environ.update(dict.fromkeys(names, str(threads)))
