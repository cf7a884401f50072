"""An image on its way into a network, with the network's own preprocessing or with another one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st

from featlib.errors import ModelError
from featlib.images import ImageItem
from featlib.models import PREPROCESSING, SIMPLE_PREPROCESSING, Backbone

Affine = tuple[np.ndarray, np.ndarray]  # (channels, channels) and (channels,): pixels @ first + second


@dataclass(frozen=True, eq=False)
class Entrance:
    """One image on its way into a network.

    Attributes:
        backbone: the network, with the preparation that is looked at.
        title: what it is called on the page.
        tensor: (1, height, width, channels) float32: what enters.
        picture: (height, width, 3) uint8: what the network takes it for.
    """

    backbone: Backbone
    title: str
    tensor: np.ndarray
    picture: np.ndarray


def enter(backbone: Backbone, wrong: Backbone | None, item: ImageItem) -> list[Entrance]:
    """The image as it enters, prepared right and, where there is one, wrong."""
    resized = resize(backbone, item)[0][np.newaxis]
    scale = find_affine(backbone)
    sides = {f"Right: as {backbone.name} wants it": backbone, "Wrong": wrong}
    tensors = {title: side.preprocess(resized) for title, side in sides.items() if side}
    return [Entrance(sides[title], title, x, _picture(x[0], scale)) for title, x in tensors.items()]  # type: ignore[arg-type]


def resize(backbone: Backbone, item: ImageItem) -> tuple[np.ndarray, tuple[int, int]]:
    """The resized and cropped picture, and (height, width) of the file; a large file is decoded only once."""
    return _resized(item.id, backbone.input_shape[:2], backbone, item)


@st.cache_data(show_spinner=False)
def _resized(
    image_id: str, size: tuple[int, int], _backbone: Backbone, _item: ImageItem
) -> tuple[np.ndarray, tuple[int, int]]:
    pixels = _item.pixels
    return _backbone.resize(pixels), pixels.shape[:2]


def wrong_names(backbone: Backbone) -> list[str]:
    """The simple preprocessings that fit the network's channels and give other numbers than its own."""
    height, width = backbone.input_shape[:2]
    pixels = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
    right, names = backbone.preprocess(pixels), []
    for name in SIMPLE_PREPROCESSING:
        try:
            wrong = backbone.adapted(preprocessing=PREPROCESSING[name]).preprocess(pixels)
        except ModelError:
            continue
        if not np.allclose(wrong, right, rtol=0, atol=1e-4):
            names.append(name)
    return names


def find_affine(backbone: Backbone) -> Affine | None:
    """The network's preprocessing as a matrix and an offset, found by trying it; None where it is no such thing."""
    channels = backbone.input_shape[2]
    if backbone.preprocessing.is_own or channels not in (1, 3):
        return None
    probes = np.vstack([np.zeros(channels), 255 * np.eye(channels)])
    black, *colors = backbone.preprocessing(probes).astype(np.float64)
    return (np.array(colors) - black) / 255, black


def channel_names(backbone: Backbone) -> list[str]:
    """Which colour is in which channel."""
    affine = find_affine(backbone)
    if affine is None:
        return [f"channel {i}" for i in range(backbone.input_shape[2])]
    return ["RGB"[i] for i in affine[0].argmax(axis=0)] if len(affine[1]) == 3 else ["brightness"]


def _picture(pixels: np.ndarray, affine: Affine | None) -> np.ndarray:
    """(h, w, channels) prepared numbers as a picture, (h, w, 3) uint8."""
    if affine is None:
        low, high = float(pixels.min()), float(pixels.max())
        colors = (pixels - low) / ((high - low) or 1) * 255
    else:
        colors = (pixels - affine[1]) @ np.linalg.inv(affine[0])
    shown = np.rint(np.clip(colors, 0, 255)).astype(np.uint8)
    return shown[..., :3] if shown.shape[-1] >= 3 else np.repeat(shown[..., :1], 3, axis=-1)
