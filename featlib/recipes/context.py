"""The choices on screen that a program reproduces."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from featlib.models import Backbone, LayerInfo, find_layer


@dataclass(frozen=True)
class CodeContext:
    """The choices that a program reproduces.

    Attributes:
        backbone: The network.
        images: Name of a built-in set, or None for the user's own images, which the program reads from `photos/`.
        image_index: Index of the selected image.
        image_name: Its name, by which the program finds it; None for the index.
        layer: Path of the layer; None for the feature layer.
        also: Path of a second layer, whose vectors are appended to those of the first; empty for none.
        pooling: "avg", "max", "flatten", or None for layers without height and width.
        channel: Index of the selected channel.
    """

    backbone: Backbone
    images: str | None = "photos"
    image_index: int = 0
    layer: str | None = None
    also: str = ""
    pooling: str | None = "avg"
    channel: int = 0
    image_name: str | None = None

    @cached_property
    def info(self) -> LayerInfo:
        """The layer.

        Raises:
            LayerNotFoundError: If there is no such layer.
        """
        return find_layer(self.backbone, self.layer or self.backbone.feature_layer)

    @cached_property
    def infos(self) -> tuple[LayerInfo, ...]:
        """The layers whose vectors are extracted, in order."""
        return (self.info, find_layer(self.backbone, self.also)) if self.also else (self.info,)
