"""The choices that lead to what is on screen."""

from __future__ import annotations

from dataclasses import dataclass

UPLOADS = "uploads"
UPLOADS_FOLDER = "photos/"


@dataclass(frozen=True)
class Scene:
    """What a person has chosen.

    Attributes:
        model: "EfficientNetLite0" or "MobileNetV2".
        weights: "imagenet" or "random".
        include_top: whether the network has its classification layers.
        input_size: height and width in pixels of what the network looks at.
        images: a built-in set's name, or "uploads" for a person's own, which the program reads from `photos/`.
        image_index: which of the images is looked at.
        layer: path of the layer.
        pooling: "avg", "max", "flatten", or None for a layer without height and width.
        channel: which of the layer's channels is looked at.
        without_maps: paths of the network's layers that put out no maps, but one row of numbers an image.
    """

    model: str = "EfficientNetLite0"
    weights: str = "imagenet"
    include_top: bool = True
    input_size: int = 224
    images: str = "photos"
    image_index: int = 0
    layer: str = "head_relu"
    pooling: str | None = "avg"
    channel: int = 0
    without_maps: frozenset[str] = frozenset()

    @property
    def is_mobilenet(self) -> bool:
        """Whether the network is keras.applications' MobileNetV2, not featlib's own."""
        return self.model.lower() == "mobilenetv2"

    def has_maps(self, layer: str) -> bool:
        """Whether the layer's output has height and width."""
        return layer not in self.without_maps
