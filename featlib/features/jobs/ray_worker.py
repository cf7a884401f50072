"""What runs on the machines of a Ray cluster: a network that is loaded once, and one shard of images after another."""

from __future__ import annotations

import os
import pickle
import platform
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from featlib.errors import FeatlibError, FeatlibWarning
from featlib.features.engine import Engine, EngineOptions
from featlib.features.jobs.shards import ShardFolder
from featlib.features.runtimes import THREADS
from featlib.features.taps import Pooling
from featlib.features.vectors import combine_layers, vector_engine
from featlib.images import ImageEntry, use_resizer
from featlib.models import load_backbone

MAX_TRIES = 5  # of a shard whose worker dies: an image that kills each of them must not be tried forever


@dataclass(frozen=True)
class Plan:
    """How vectors are computed, in names and numbers: each machine loads the network by its name.

    Attributes:
        model: What `load_backbone` takes as text.
        network_options: Its keyword arguments.
        layers: One layer path, several, or None for the network's feature layer.
        pooling: "avg", "max", "flatten" or None.
        l2_normalize: Whether each layer's part is scaled to length 1.
        options: Batch size, runtime and precision; None for the defaults.
    """

    model: str
    network_options: Mapping[str, Any]
    layers: str | Sequence[str] | None = None
    pooling: Pooling | None = "avg"
    l2_normalize: bool = False
    options: EngineOptions | None = None

    def load(self) -> Engine:
        """Load the network and make the engine.

        Raises:
            FeatlibError: As for `load_backbone` and `extract_vectors`.
        """
        return vector_engine(load_backbone(self.model, **self.network_options), self.layers, self.pooling, self.options)


class ShardWorker:
    """Computes and writes shards. When its process or machine is lost, Ray starts another for the same shard."""

    def __init__(self, plan: Plan, folder: ShardFolder, threads: int) -> None:
        # This process uses its share of the machine; TensorFlow and OpenVINO count the cores later.
        names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", THREADS)
        os.environ.update(dict.fromkeys(names, str(threads)))
        self._plan, self._folder = plan, folder

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[Any]]:
        """Take one row {shard, images}; return {shard, error, notes}, with error "" when the shard is written."""
        number, images = int(batch["shard"][0]), pickle.loads(batch["images"][0])
        reason = ""
        with warnings.catch_warnings(record=True) as caught:  # the driver shows them
            warnings.simplefilter("always", FeatlibWarning)
            try:
                self.compute(number, images)
            except FeatlibError as error:
                reason = str(error)
        notes = [str(one.message) for one in caught if issubclass(one.category, FeatlibWarning)]
        return {"shard": [number], "error": [reason], "notes": ["\n".join(notes)]}

    def compute(self, number: int, images: Sequence[ImageEntry]) -> None:
        """Compute and write one shard.

        Raises:
            FeatlibError: It was tried too often, this machine loads another network, or as for `extract_vectors`.
        """
        if self._folder.count_try(number) > MAX_TRIES:
            raise FeatlibError(
                f"Workers died {MAX_TRIES} times at the images from '{images[0].name}' to '{images[-1].name}'. Often "
                "the memory is too small for so many workers, or one image ends the process. Continue with "
                "fewer workers; the finished shards stay."
            )
        found, parts = self._engine.run(images, n_images=self._folder.job.total)
        layers = [tap.layer for tap in self._engine.taps]
        self._folder.write(number, found, combine_layers(parts, layers, self._plan.l2_normalize))

    @cached_property
    def _engine(self) -> Engine:
        use_resizer(self._folder.job.origin.resizer)
        engine = self._plan.load()
        backbone, expected = engine.backbone, self._folder.job.origin.fingerprint
        if not backbone.has_own_code and backbone.fingerprint != expected:
            raise FeatlibError(
                f"'{backbone.name}' on the machine {platform.node()} is another network than on the first one "
                f"(fingerprints {backbone.fingerprint[:8]} and {expected[:8]}). "
                "Give all machines the same weights, and the same versions of Keras and featlib."
            )
        return engine
