"""The choices that lead to what is on screen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from featlib.errors import FeatlibError
from featlib.models import Backbone, LayerInfo, find_layer

UPLOADS = "uploads"
UPLOADS_FOLDER = "photos/"


@dataclass(frozen=True)
class Scene:
    """What a person has chosen.

    Attributes:
        backbone: the network.
        images: a built-in set's name, or "uploads" for a person's own, which the program reads from `photos/`.
        image_index: which of the images is looked at.
        layer: path of the layer; None means the feature layer.
        also: path of a second layer, whose vectors stand to the right of the first's; empty for none.
        pooling: "avg", "max", "flatten", or None for layers without height and width.
        channel: which of the layer's channels is looked at.
    """

    backbone: Backbone
    images: str = "photos"
    image_index: int = 0
    layer: str | None = None
    also: str = ""
    pooling: str | None = "avg"
    channel: int = 0

    @cached_property
    def info(self) -> LayerInfo:
        """The layer.

        Raises:
            LayerNotFoundError: there is no such layer.
        """
        return find_layer(self.backbone, self.layer or self.backbone.feature_layer)

    @cached_property
    def infos(self) -> tuple[LayerInfo, ...]:
        """The layers whose vectors are taken, in their order."""
        return (self.info, find_layer(self.backbone, self.also)) if self.also else (self.info,)

    def check_pooling(self) -> None:
        """Raises FeatlibError where a layer has height and width, and no pooling takes them away."""
        for info in self.infos:
            if info.kind == "maps" and self.pooling not in ("avg", "max", "flatten"):
                raise FeatlibError(
                    f"'{info.path}' puts out maps, so it takes a pooling to make vectors: 'avg', 'max' or 'flatten'. "
                    f"Received: {self.pooling!r}."
                )
