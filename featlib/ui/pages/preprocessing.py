"""Parts of the preprocessing page: an image on its way into the network, preprocessed right and wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st

from featlib import plots
from featlib.analysis import cosine_similarity
from featlib.errors import ModelError
from featlib.images import ImageItem, ImageSet
from featlib.models import PREPROCESSING, SIMPLE_PREPROCESSING, Backbone, find_layer
from featlib.ui.compute import compute_all_vectors
from featlib.ui.session import Session, bind
from featlib.ui.text import plain
from featlib.ui.uploads import KEEP_SECONDS
from featlib.ui.widgets import format_shape, show_chart, show_prediction

SEVERAL = 10  # images over which the effect is averaged
IMAGE_SIDE = 448
HARMLESS = 0.99
FRAME = 160  # a gray that is seen on white and on black

Affine = tuple[np.ndarray, np.ndarray]  # (channels, channels) and (channels,): pixels @ first + second


@dataclass(frozen=True, eq=False)
class PreprocessedInput:
    """One image as it enters a network.

    Attributes:
        backbone: The network, with the preprocessing in question.
        is_right: Whether the preprocessing is the network's own.
        tensor: (1, height, width, channels) float32: what enters.
        image: (height, width, 3) uint8: what the network takes it for.
    """

    backbone: Backbone
    is_right: bool
    tensor: np.ndarray
    image: np.ndarray


@dataclass(frozen=True, eq=False)
class PreprocessingEffect:
    """What wrong preprocessing changes.

    Attributes:
        cosine: Similarity of the right and the wrong vector of the chosen image.
        cosines: The same for each of several images.
        others: Mean similarity of the right vectors of two different images; NaN for a single image.
        probabilities: (classes,) of the chosen image, right and wrong; None without a classification head.
    """

    cosine: float
    cosines: np.ndarray
    others: float
    probabilities: list[np.ndarray] | None


def pick_wrong(session: Session, backbone: Backbone) -> Backbone | None:
    """Return the network with a wrong preprocessing that the user picks; None if none fits its channels."""
    names = mismatched_preprocessings(backbone)
    if not names:
        st.info("This network preprocesses its input by a function of its own; there is no simple one to compare with.")
        return None

    def describe(name: str) -> str:
        description = PREPROCESSING[name].description
        return description if description.startswith(name) else f"{name} · {description}"

    chosen = session.wrong if session.wrong in names else names[0]
    st.selectbox(
        "What if the pixels were preprocessed like this?",
        names,
        format_func=describe,
        width=520,
        help="Each of these is right for some networks: “tf” for MobileNetV2, “caffe” for ResNet50 and VGG16, "
        "“torch” for DenseNet. The network raises no error when it gets another one's.",
        **bind("wrong", shown=chosen),
    )
    return backbone.adapted(preprocessing=PREPROCESSING[chosen])


def mismatched_preprocessings(backbone: Backbone) -> list[str]:
    """Return the simple preprocessings that fit the network's channels and differ from its own."""
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


def preprocess_inputs(backbone: Backbone, wrong: Backbone | None, item: ImageItem) -> list[PreprocessedInput]:
    """Return the image as it enters, preprocessed right and, if there is one, wrong."""
    resized = _resized(item.id, backbone.input_shape[:2], backbone, item)[0][np.newaxis]
    affine = find_affine(backbone)
    inputs = []
    for network in (backbone, *([wrong] if wrong else [])):
        tensor = network.preprocess(resized)
        inputs.append(PreprocessedInput(network, network is backbone, tensor, _as_image(tensor[0], affine)))
    return inputs


def find_affine(backbone: Backbone) -> Affine | None:
    """Return the network's preprocessing as a matrix and an offset, found by trying it; None if it is not affine."""
    channels = backbone.input_shape[2]
    if backbone.preprocessing.is_own or channels not in (1, 3):
        return None
    probes = np.vstack([np.zeros(channels), 255 * np.eye(channels)])
    black, *colors = backbone.preprocessing(probes).astype(np.float64)
    return (np.array(colors) - black) / 255, black


def channel_names(backbone: Backbone) -> list[str]:
    """Return the color of each input channel."""
    affine = find_affine(backbone)
    if affine is None:
        return [f"channel {i}" for i in range(backbone.input_shape[2])]
    return ["RGB"[i] for i in affine[0].argmax(axis=0)] if len(affine[1]) == 3 else ["brightness"]


def compare_preprocessing(
    session: Session, inputs: list[PreprocessedInput], images: ImageSet, position: int
) -> PreprocessingEffect | None:
    """Run the chosen image and several more, preprocessed right and wrong; return None if there is no wrong.

    Raises:
        Stopped: The user has stopped the computation.
    """
    if len(inputs) < 2:
        return None
    right, wrong = (side.backbone for side in inputs)
    used = sorted({position, *range(min(SEVERAL, len(images)))})
    classes, layer = right.prediction_layer, right.feature_layer
    layers = [layer, *([classes] if classes else [])]
    vectors = [compute_all_vectors(session, backbone, images[used], layers) for backbone in (right, wrong)]
    here = used.index(position)
    cosines = np.array(
        [cosine_similarity(np.stack(pair))[0, 1] for pair in zip(vectors[0][layer], vectors[1][layer], strict=True)]
    )
    pairs = cosine_similarity(vectors[0][layer])[np.triu_indices(len(used), 1)]
    return PreprocessingEffect(
        cosine=float(cosines[here]),
        cosines=cosines,
        others=float(pairs.mean()) if len(pairs) else float("nan"),
        probabilities=[part[classes][here] for part in vectors] if classes else None,
    )


def show_effect(inputs: list[PreprocessedInput], effect: PreprocessingEffect) -> None:
    """Show the effect as one number and in words."""
    backbone = inputs[0].backbone
    number, words = st.columns([1, 3.2], gap="medium", vertical_alignment="center")
    number.metric(
        "Cosine similarity",
        f"{effect.cosine:.3f}",
        help="Of the vectors with correct and with wrong preprocessing. 1: the two vectors point in the same "
        "direction. 0: they have nothing in common.",
    )
    if effect.cosine >= HARMLESS:
        verdict = "**Nearly the same numbers: this has no effect to speak of.**"
    elif effect.cosine < effect.others:
        verdict = "**Wrong preprocessing changes the vector more than switching to another image does.**"
    else:
        verdict = "**The features have changed, and no error was raised.**"
    layer = find_layer(backbone, backbone.feature_layer)
    made = "the mean of each channel" if layer.kind == "maps" else "the output"
    sentences = [
        verdict,
        f"Compared are two vectors of {layer.output_shape[-1]:,} numbers, {made} of **{plain(layer.path)}**: "
        "what transfer learning builds on.",
    ]
    if len(effect.cosines) > 1:
        sentences.append(
            f"Over {len(effect.cosines)} images: {effect.cosines.min():.2f} to {effect.cosines.max():.2f}, "
            f"mean {effect.cosines.mean():.2f}. Two *different* images, both preprocessed correctly: "
            f"{effect.others:.2f} on average."
        )
    words.markdown(" ".join(sentences))


def show_steps(item: ImageItem, inputs: list[PreprocessedInput]) -> None:
    """Show the file, the crop, and what the network takes the preprocessed numbers for."""
    right = inputs[0].backbone
    resized, (height, width) = _resized(item.id, right.input_shape[:2], right, item)
    steps = [
        ("1 · The file", item.thumbnail(IMAGE_SIDE), f"{plain(item.name)}: {width} × {height} pixels, 0…255"),
        ("2 · Resized and cropped", resized, f"{format_shape(right.input_shape[1::-1])} pixels"),
    ]
    for side in inputs:
        title = f"3 · Preprocessed {'correctly' if side.is_right else 'incorrectly'}"
        steps.append((title, side.image, f"preprocessing “{plain(side.backbone.preprocessing.name)}”"))
    for column, (title, image, caption) in zip(st.columns(len(steps), gap="medium"), steps, strict=True):
        column.markdown(f"**{title}**")
        # A thin frame: an image that is all white would not be seen on a white page.
        framed = np.pad(image[1:-1, 1:-1], ((1, 1), (1, 1), (0, 0)), constant_values=FRAME)
        column.image(framed, output_format="PNG", width="stretch", caption=caption, alt=f"{title}: {item.name}.")
    st.caption(
        "The preprocessed numbers are not colors: they are drawn from their smallest (black) to their largest (white)."
        if find_affine(right) is None
        else "The network receives numbers, not colors. They are drawn as the image that gives these numbers with "
        f"{plain(right.name)}'s own preprocessing: what it takes them for. Values beyond black or white are clipped."
    )


def show_inputs(inputs: list[PreprocessedInput], effect: PreprocessingEffect | None) -> None:
    """Show the very numbers that enter, and what the network makes of them, right and wrong side by side."""
    probabilities = effect.probabilities if effect else None
    for i, (column, side) in enumerate(zip(st.columns(len(inputs), border=True), inputs, strict=True)):
        with column:
            name = plain(side.backbone.name)
            st.markdown(f"**{f'Correct: {name}’s own preprocessing' if side.is_right else 'Wrong'}**")
            st.markdown(f"```python\n{side.backbone.preprocessing.code}\n```")
            _show_numbers(side, f"numbers {i}")
            if probabilities:
                st.markdown("**Top 5 predictions**")
                longest = max(float(part.max()) for part in probabilities)
                show_prediction(side.backbone, probabilities[i], f"classes {i}", longest)
    if probabilities and inputs[0].backbone.weights == "random":
        st.caption("The weights are random, so these predictions mean nothing. Choose ImageNet weights.")


def _show_numbers(side: PreprocessedInput, key: str) -> None:
    pixels = side.tensor[0]
    names = channel_names(side.backbone)
    means = ", ".join(f"{name} {mean:.3g}" for name, mean in zip(names, pixels.mean(axis=(0, 1)), strict=True))
    st.markdown(
        f"range **{pixels.min():.3g} … {pixels.max():.3g}**  \n"
        f"mean **{means}**  \n"
        f"shape **{side.tensor.shape}**, {side.tensor.dtype}"
    )
    show_chart(
        plots.pixel_histogram(pixels, names),
        key=key,
        alt=f"Histogram of the values of each channel, from {pixels.min():.3g} to {pixels.max():.3g}.",
        name=f"pixels preprocessed as {side.backbone.preprocessing.name}",
    )


# A large file is decoded only once: the resized image, and (height, width) of the file.
@st.cache_data(ttl=KEEP_SECONDS, show_spinner=False)
def _resized(
    image_id: str, size: tuple[int, int], _backbone: Backbone, _item: ImageItem
) -> tuple[np.ndarray, tuple[int, int]]:
    pixels = _item.pixels
    return _backbone.resize(pixels), pixels.shape[:2]


def _as_image(pixels: np.ndarray, affine: Affine | None) -> np.ndarray:
    """Return (h, w, channels) preprocessed numbers as an image, (h, w, 3) uint8."""
    if affine is None:
        low, high = float(pixels.min()), float(pixels.max())
        colors = (pixels - low) / ((high - low) or 1) * 255
    else:
        colors = (pixels - affine[1]) @ np.linalg.inv(affine[0])
    shown = np.rint(np.clip(colors, 0, 255)).astype(np.uint8)
    return shown[..., :3] if shown.shape[-1] >= 3 else np.repeat(shown[..., :1], 3, axis=-1)
