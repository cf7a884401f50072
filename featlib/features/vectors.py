"""Images -> one vector each, with the names that say where it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from featlib.errors import FeatlibError
from featlib.features.engine import Progress, output_shape, run_batches
from featlib.features.store.store import VectorStore
from featlib.features.taps import Tap, check_pooling
from featlib.images import ImageItem, ImageProblem, ImageSet, as_image_set, list_pending
from featlib.models import Backbone

RAW_PIXEL_SIDE = 16


@dataclass(frozen=True)
class VectorTable:
    """Vectors of n images and everything needed to say what they are.

    Attributes:
        X: (n, D) float32, one row an image.
        ids: n content digests.
        names: n image names.
        labels: label column -> n labels.
        columns: D names, `layer:channel`.
        layers: the layer paths, in the order of the columns.
        pooling: "avg", "max", "flatten", or "none".
        model: the backbone's name.
        fingerprint: the backbone's fingerprint.
        problems: the images that have no row, and why.
    """

    X: np.ndarray
    ids: tuple[str, ...]
    names: tuple[str, ...]
    labels: Mapping[str, np.ndarray]
    columns: tuple[str, ...]
    layers: tuple[str, ...]
    pooling: str
    model: str
    fingerprint: str
    problems: tuple[ImageProblem, ...] = ()


def extract_vectors(
    backbone: Backbone,
    images: object,
    layers: str | Sequence[str] | None = None,
    *,
    pooling: str | None = "avg",
    l2_normalize: bool = False,
    layer_weights: Sequence[float] | None = None,
    batch_size: int = 32,
    runtime: str = "auto",
    precision: str = "float32",
    store: VectorStore | None = None,
    on_progress: Progress | None = None,
) -> VectorTable:
    """Computes one vector an image from one layer, or from several concatenated.

    Images are read, decoded and let go while the network runs. One that cannot be read has no row; `.problems` of the
    result says why, and the rest goes on.

    Args:
        backbone: from `load_backbone`.
        images: an ImageSet, or what `load_images` takes: a folder, a zip, a table of paths, a list of paths, bytes, PIL
            images or uint8 arrays, one (n, h, w, 3) array; of any number.
        layers: one layer path or several; None means `backbone.feature_layer`.
        pooling: "avg" (global average pooling), "max", "flatten", or None for layers that have no height and width.
        l2_normalize: whether each layer's part is scaled to length 1.
        layer_weights: one factor a layer, applied after the normalisation.
        batch_size: images in one forward pass.
        runtime: "auto", "tensorflow" or "openvino".
        precision: "float32", or "bfloat16" which is faster and makes vectors that differ by some percent.
        store: where vectors are kept, so that none is computed twice; None keeps nothing.
        on_progress: called with (images done, images in all); returning True stops the work.

    Returns:
        The vectors with ids, names and labels.

    Raises:
        FeatlibError: unknown pooling, layer weights that do not match, or None for a layer with height and width.
        LayerNotFoundError: a layer path is unknown.
        ImageError: there are no such images at all.
        CancelledError: `on_progress` returned True.

    Warns:
        FeatlibWarning: a runtime cannot run this network as Keras does and another was taken; or what bfloat16 costs.
    """
    paths = resolve_layers(backbone, layers)
    taps = [Tap(path, pooling) for path in paths]
    check_vectors(backbone, taps, layer_weights)
    found, parts = run_batches(
        backbone,
        list_pending(images),
        taps,
        batch_size=batch_size,
        runtime=runtime,
        precision=precision,
        store=store,
        on_progress=on_progress,
    )
    read = ImageSet("", tuple(image for image in found if isinstance(image, ImageItem)))
    known = images.problems if isinstance(images, ImageSet) else ()
    return VectorTable(
        X=combine_layers(parts, paths, l2_normalize, layer_weights),
        ids=read.ids,
        names=read.names,
        labels={column: read.labels_for(column) for column in read.label_columns},
        columns=column_names(backbone, taps),
        layers=tuple(paths),
        pooling=str(pooling).lower(),
        model=backbone.name,
        fingerprint=backbone.fingerprint,
        problems=(*known, *(image for image in found if isinstance(image, ImageProblem))),
    )


def column_names(backbone: Backbone, taps: Sequence[Tap]) -> tuple[str, ...]:
    """Names the columns of concatenated vectors: `layer:channel`."""
    return tuple(f"{tap.layer}:{i}" for tap in taps for i in range(output_shape(backbone, tap)[0]))


def check_vectors(backbone: Backbone, taps: Sequence[Tap], layer_weights: Sequence[float] | None = None) -> None:
    """Checks, before any work, that the taps give vectors that can be concatenated.

    Raises:
        FeatlibError: one gives maps, a pooling is unknown, or there are not as many weights as layers.
        LayerNotFoundError: a layer path is unknown.
    """
    for tap in taps:
        check_pooling(tap.pooling)
    nothing = [np.empty((0, *output_shape(backbone, tap)), np.float32) for tap in taps]
    combine_layers(nothing, [tap.layer for tap in taps], layer_weights=layer_weights)


def resolve_layers(backbone: Backbone, layers: str | Sequence[str] | None) -> list[str]:
    """The layer paths as a list; None is the backbone's feature layer."""
    if layers is None:
        return [backbone.feature_layer]
    paths = [layers] if isinstance(layers, str) else list(layers)
    if not paths:
        raise FeatlibError("layers is empty. Give at least one layer path, or None for the feature layer.")
    return paths


def combine_layers(
    parts: Sequence[np.ndarray],
    layers: Sequence[str],
    l2_normalize: bool = False,
    layer_weights: Sequence[float] | None = None,
) -> np.ndarray:
    """Concatenates the vectors of several layers: [(n, D1), (n, D2), …] -> (n, D1 + D2 + …) float32.

    Raises:
        FeatlibError: a part is not (n, D), or there are not as many weights as layers.
    """
    for path, part in zip(layers, parts, strict=True):
        if part.ndim != 2:
            raise FeatlibError(
                f"'{path}' puts out {part.shape[1:]} for an image, which is no vector. "
                "Use pooling 'avg', 'max' or 'flatten', or feature_maps for the maps themselves."
            )
    weights = [1.0] * len(parts) if layer_weights is None else [float(weight) for weight in layer_weights]
    if len(weights) != len(parts):
        raise FeatlibError(f"layer_weights needs one number a layer: {len(parts)}. Received: {len(weights)}.")
    if len(parts) == 1 and not l2_normalize and weights == [1]:
        return parts[0]  # a copy would double the memory
    scaled = [normalize_rows(part) if l2_normalize else part for part in parts]
    return np.concatenate([part * np.float32(w) for part, w in zip(scaled, weights, strict=True)], axis=1)


def normalize_rows(X: np.ndarray) -> np.ndarray:
    """Scales each row of (n, D) to Euclidean length 1; rows of zeros stay zeros."""
    lengths = np.linalg.norm(X.astype(np.float64), axis=1, keepdims=True)  # squares of 1e-25 vanish in float32
    return (X / np.where(lengths == 0, 1, lengths)).astype(X.dtype)


def raw_pixel_vectors(images: object, side: int = RAW_PIXEL_SIDE) -> np.ndarray:
    """The baseline without a network: each image shrunk to side × side RGB and flattened.

    Args:
        images: as for `extract_vectors`.
        side: height and width in pixels.

    Returns:
        (n, side * side * 3) float32 in 0…1.
    """
    from featlib.models.preprocessing import resize_and_crop

    rows = [resize_and_crop(item.pixels, side, side).reshape(-1) for item in as_image_set(images)]
    return np.array(rows, np.float32).reshape(len(rows), side * side * 3) / 255
