"""The two networks that are measured, and which of their layers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from featlib.models import Backbone, find_choice, load_backbone, weights_on_disk

EARLY = {"MobileNetV2": "block_2_add", "EfficientNetLite0": "block2_add"}
CORES = os.cpu_count() or 1


@dataclass(frozen=True, eq=False)
class Network:
    """A network twice: for featlib, and as a plain Keras model for the ways that it is compared with.

    Attributes:
        name: of the network.
        weights: "imagenet", or "random" where ImageNet's are not on this machine.
    """

    name: str
    weights: str

    @cached_property
    def backbone(self) -> Backbone:
        return load_backbone(self.name, weights=self.weights, include_top=False)

    @cached_property
    def model(self) -> Any:
        return load_backbone(self.name, weights=self.weights, include_top=False).model

    @property
    def layer(self) -> str:
        return self.backbone.feature_layer

    @property
    def early(self) -> str:
        return EARLY[self.name]

    @property
    def five(self) -> list[str]:
        return [info.path for info in self.backbone.layers if info.stage_end][-5:]

    def read(self, files: list[str]) -> np.ndarray:
        """What everybody writes: one image after the other with PIL, scaled and cropped as featlib does it."""
        size = self.backbone.input_shape[:2]
        pictures = [ImageOps.fit(Image.open(file).convert("RGB"), size, Image.Resampling.BICUBIC) for file in files]
        return self.backbone.preprocess(np.stack([np.asarray(picture) for picture in pictures]))


def open_network(name: str) -> Network:
    """Trained weights where they are on this machine; nothing is downloaded for a measurement."""
    there = weights_on_disk(find_choice(name), include_top=False)
    return Network(name, "imagenet" if there else "random")
