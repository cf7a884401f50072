"""Turn images into one vector each, with a record of where it comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from featlib.checks import finite_number, flag, sequence, whole_number
from featlib.errors import FeatlibError
from featlib.features.engine import Engine, EngineOptions
from featlib.features.runtimes import Precision, RuntimeName
from featlib.features.store import VectorStore
from featlib.features.taps import Pooling, Tap, as_layers
from featlib.images import ImageItem, ImageProblem, ImageSet, as_image_set, cover, list_pending, resizer_name
from featlib.models import Backbone, as_backbone
from featlib.progress import OnProgress

if TYPE_CHECKING:
    import pandas as pd

RAW_PIXEL_SIDE = 16
MAX_WEIGHT = 1e6  # of a layer: larger ones exceed what float32 holds


@dataclass(frozen=True)
class Origin:
    """Where vectors come from.

    Attributes:
        model: The backbone's name.
        fingerprint: The backbone's fingerprint.
        layers: The layer paths, in the order of the columns.
        columns: D names, `layer:channel`.
        pooling: "avg", "max", "flatten" or "none".
        resizer: What resized the images: "cykooz" or "pillow".
    """

    model: str
    fingerprint: str
    layers: tuple[str, ...]
    columns: tuple[str, ...]
    pooling: str
    resizer: str = "pillow"

    def __repr__(self) -> str:
        layers = " + ".join(self.layers)
        return f"Origin({layers!r} of {self.model!r}, pooling={self.pooling!r}, {len(self.columns):,} columns)"

    @classmethod
    def of(cls, engine: Engine) -> Origin:
        """Describe the vectors that an engine computes."""
        backbone, layers = engine.backbone, tuple(tap.layer for tap in engine.taps)
        columns = layer_columns(layers, [shape[0] for shape in engine.shapes])
        pooling = str(engine.taps[0].pooling).lower()
        return cls(backbone.name, backbone.fingerprint, layers, columns, pooling, resizer_name())

    def to_json(self) -> str:
        """Write one JSON object; of columns that are `layer:channel`, only the number per layer."""
        plain = {name: getattr(self, name) for name in ("model", "fingerprint", "layers", "pooling", "resizer")}
        widths = [sum(column.rpartition(":")[0] == layer for column in self.columns) for layer in self.layers]
        named = layer_columns(self.layers, widths) == self.columns
        return json.dumps(plain | ({"widths": widths} if named else {"columns": self.columns}))

    @classmethod
    def from_json(cls, text: str | bytes) -> Origin:
        """Read what `to_json` wrote; files written before there was a choice of resizers used Pillow.

        Raises:
            ValueError, TypeError, LookupError, AttributeError: It is something else.
        """
        given = json.loads(text)
        layers = tuple(str(layer) for layer in given["layers"])
        columns = layer_columns(layers, given["widths"]) if "widths" in given else tuple(map(str, given["columns"]))
        model, fingerprint, pooling = (str(given[name]) for name in ("model", "fingerprint", "pooling"))
        return cls(model, fingerprint, layers, columns, pooling, str(given.get("resizer", "pillow")))


@dataclass(frozen=True)
class VectorTable:
    """Vectors of n images and everything needed to describe them.

    Attributes:
        X: (n, D) float32, one row per image.
        ids: n content digests.
        names: n image names.
        labels: Label column -> n labels.
        origin: The network, layers, D columns and pooling that the vectors come from.
        problems: The images that have no row, and why.
    """

    X: np.ndarray
    ids: tuple[str, ...]
    names: tuple[str, ...]
    labels: Mapping[str, np.ndarray]
    origin: Origin
    problems: tuple[ImageProblem, ...] = ()

    def __repr__(self) -> str:
        parts = [f"{len(self.X):,} × {len(self.columns):,} {self.X.dtype}", repr(self.origin)]
        if self.labels:
            parts.append(f"labels {', '.join(self.labels)}")
        if self.problems:
            parts.append(f"{len(self.problems):,} skipped")
        return f"VectorTable({'; '.join(parts)})"

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas DataFrame: one row per image, with its name as index, its labels, and the D columns."""
        import pandas as pd

        frame = pd.DataFrame(self.X, index=pd.Index(self.names, name="name"), columns=list(self.columns))
        for i, (column, values) in enumerate(self.labels.items()):
            frame.insert(i, f"label:{column}", np.asarray(values))
        return frame

    @property
    def columns(self) -> tuple[str, ...]:
        """D names, `layer:channel`."""
        return self.origin.columns

    @property
    def layers(self) -> tuple[str, ...]:
        """The layer paths, in the order of the columns."""
        return self.origin.layers

    @property
    def pooling(self) -> str:
        """How height and width were removed: "avg", "max", "flatten" or "none"."""
        return self.origin.pooling

    @property
    def model(self) -> str:
        """The backbone's name."""
        return self.origin.model

    @property
    def fingerprint(self) -> str:
        """The backbone's fingerprint."""
        return self.origin.fingerprint


def extract_vectors(
    backbone: str | Path | Backbone,
    images: object,
    layers: str | Sequence[str] | None = None,
    *,
    pooling: Pooling | None = "avg",
    l2_normalize: bool = False,
    layer_weights: Sequence[float] | None = None,
    batch_size: int = 32,
    runtime: RuntimeName = "auto",
    precision: Precision = "float32",
    store: VectorStore | None = None,
    on_progress: OnProgress | None = None,
) -> VectorTable:
    """Compute one vector per image from one layer, or from several concatenated.

    Images are read and decoded while the network runs, and then dropped. An image that cannot be read has no row: it
    is listed in `.problems` of the result, and the other images are computed.

    Args:
        backbone: From `load_backbone`, or the name or file of a network.
        images: An ImageSet, or what `load_images` takes: a folder, a zip, a table of paths, a list of paths, bytes, PIL
            images or uint8 arrays, one (n, h, w, 3) array; any number of images.
        layers: One layer path or several; None means `backbone.feature_layer`.
        pooling: "avg" (global average pooling), "max", "flatten", or None for layers that have no height and width.
        l2_normalize: Whether each layer's part is scaled to length 1.
        layer_weights: One factor per layer, applied after the normalization.
        batch_size: Images in one forward pass.
        runtime: "auto", "tensorflow" or "openvino".
        precision: "float32", or "bfloat16", which is faster and makes vectors that differ by a few percent.
        store: The cache of vectors, so that none is computed twice; None for no cache.
        on_progress: Called with (images done, n); returning True stops the work.

    Returns:
        The vectors with ids, names and labels.

    Raises:
        FeatlibError: Unknown pooling, layer weights that do not match, or None for a layer with height and width.
        LayerNotFoundError: A layer path is unknown.
        ImageError: The source of the images does not exist.
        CancelledError: `on_progress` returned True.

    Warns:
        FeatlibWarning: A runtime cannot run this network as Keras does and another is used; or the error of bfloat16.
    """
    options = EngineOptions(batch_size, runtime, precision, store)
    engine = vector_engine(backbone, layers, pooling, options, l2_normalize=l2_normalize, layer_weights=layer_weights)
    origin = Origin.of(engine)
    found, parts = engine.run(list_pending(images), on_progress=on_progress)
    read = ImageSet("", tuple(image for image in found if isinstance(image, ImageItem)))
    known = images.problems if isinstance(images, ImageSet) else ()
    return VectorTable(
        X=combine_layers(parts, origin.layers, l2_normalize, layer_weights),
        ids=read.ids,
        names=read.names,
        labels={column: read.labels_for(column) for column in read.label_columns},
        origin=origin,
        problems=(*known, *(image for image in found if isinstance(image, ImageProblem))),
    )


def vector_engine(
    backbone: str | Path | Backbone,
    layers: str | Sequence[str] | None = None,
    pooling: Pooling | None = "avg",
    options: EngineOptions | None = None,
    *,
    l2_normalize: bool = False,
    layer_weights: Sequence[float] | None = None,
) -> Engine:
    """Make the engine for vectors of one or several layers, and check before any work that they can be concatenated.

    Args:
        backbone: From `load_backbone`, or the name or file of a network.
        layers: One layer path or several; None means `backbone.feature_layer`.
        pooling: As for `extract_vectors`.
        options: Batch size, runtime, precision and cache.
        l2_normalize: As for `extract_vectors`.
        layer_weights: As for `extract_vectors`.

    Raises:
        FeatlibError: No layers, one twice, an unknown pooling, a layer with maps, or not one weight per layer.
        LayerNotFoundError: A layer path is unknown.
    """
    paths = None if layers is None else as_layers(layers, distinct=True)
    backbone = as_backbone(backbone)
    paths = paths or [backbone.feature_layer]
    engine = Engine(backbone, [Tap(path, pooling) for path in paths], options)
    empty = [np.empty((0, *shape), np.float32) for shape in engine.shapes]
    combine_layers(empty, paths, flag("l2_normalize", l2_normalize), layer_weights)
    return engine


def layer_columns(layers: Sequence[str], widths: Sequence[int]) -> tuple[str, ...]:
    """Name the columns of the concatenated vectors of several layers: `layer:channel`."""
    return tuple(f"{layer}:{i}" for layer, width in zip(layers, widths, strict=True) for i in range(width))


def combine_layers(
    parts: Sequence[np.ndarray],
    layers: Sequence[str],
    l2_normalize: bool = False,
    layer_weights: Sequence[float] | None = None,
) -> np.ndarray:
    """Concatenate the vectors of several layers: [(n, D1), (n, D2), …] -> (n, D1 + D2 + …) float32.

    Raises:
        FeatlibError: A part is not (n, D), or there is not one weight per layer.
    """
    for path, part in zip(layers, parts, strict=True):
        if part.ndim != 2:
            raise FeatlibError(
                f"'{path}' outputs {part.shape[1:]} per image, which is not a vector. "
                "Use pooling 'avg', 'max' or 'flatten', or feature_maps for the maps themselves."
            )
    weights = [1.0] * len(parts)
    if layer_weights is not None:
        given = sequence("layer_weights", layer_weights, "a list of one number per layer")
        weights = [finite_number("layer_weights", weight, most=MAX_WEIGHT) for weight in given]
    if len(weights) != len(parts):
        raise FeatlibError(f"layer_weights needs one number per layer: {len(parts)}. Received: {len(weights)}.")
    if len(parts) == 1 and not l2_normalize and weights == [1]:
        return parts[0]  # a copy would double the memory
    scaled = [normalize_rows(part) if l2_normalize else part for part in parts]
    return np.concatenate([part * np.float32(w) for part, w in zip(scaled, weights, strict=True)], axis=1)


def normalize_rows(X: np.ndarray) -> np.ndarray:
    """Scale each row of (n, D) to Euclidean length 1; rows of zeros stay zeros."""
    lengths = np.linalg.norm(X.astype(np.float64), axis=1, keepdims=True)  # squares of 1e-25 vanish in float32
    return (X / np.where(lengths == 0, 1, lengths)).astype(X.dtype)


def raw_pixel_vectors(images: object, side: int = RAW_PIXEL_SIDE) -> np.ndarray:
    """Shrink each image to side × side RGB and flatten it: the baseline without a network.

    Args:
        images: As for `extract_vectors`.
        side: Height and width in pixels.

    Returns:
        (n, side * side * 3) float32 in 0…1.

    Raises:
        FeatlibError: `side` is no whole number from 1 to 1,024.
        ImageError: An image cannot be read.
    """
    side = whole_number("side", side, 1, 1024)
    rows = [cover(Image.fromarray(item.pixels), side, side).reshape(-1) for item in as_image_set(images)]
    return np.array(rows, np.float32).reshape(len(rows), side * side * 3) / 255
