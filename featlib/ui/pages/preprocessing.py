"""Parts of the page about what goes in: an image on its way into the network, prepared right and wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st

from featlib import plots
from featlib.analysis import cosine_similarity
from featlib.images import ImageItem, ImageSet
from featlib.models import PREPROCESSING, Backbone, find_layer
from featlib.ui.compute import compute_all_vectors
from featlib.ui.pages.entrance import Entrance, channel_names, find_affine, resize, wrong_names
from featlib.ui.session import Session, bind
from featlib.ui.text import plain
from featlib.ui.widgets import format_shape, show_prediction

SEVERAL = 10  # images over which the harm is averaged
PICTURE_SIDE = 448
HARMLESS = 0.99
FRAME = 160  # a grey that is seen on white and on black


@dataclass(frozen=True, eq=False)
class Harm:
    """What a wrong preparation changes.

    Attributes:
        cosine: of the angle between the right and the wrong vector of the chosen image.
        cosines: the same for each of several images.
        others: mean cosine between the right vectors of two different images; NaN where there is only one.
        probabilities: (classes,) of the chosen image, right and wrong; None where the network names no classes.
    """

    cosine: float
    cosines: np.ndarray
    others: float
    probabilities: list[np.ndarray] | None


def pick_wrong(session: Session, backbone: Backbone) -> Backbone | None:
    """The same network with a wrong preparation that the person picks; None where none fits its channels."""
    names = wrong_names(backbone)
    if not names:
        st.info("This network takes its pixels by a function of its own; there is no simple one to compare with.")
        return None
    chosen = session.wrong if session.wrong in names else names[0]
    st.selectbox(
        "And if the pixels were prepared like this instead?",
        names,
        format_func=_describe,
        width=520,
        help="Each of these is right for some networks: “tf” for MobileNetV2, “caffe” for ResNet50 and VGG16, "
        "“torch” for DenseNet. The network gives no error when it gets another one's.",
        **bind("wrong", shown=chosen),
    )
    return backbone.adapted(preprocessing=PREPROCESSING[chosen])


def show_way(item: ImageItem, entrances: list[Entrance]) -> None:
    """The file, the crop, and what the network takes the prepared numbers for."""
    right = entrances[0].backbone
    resized, (height, width) = resize(right, item)
    steps = [
        ("1 · The file", item.thumbnail(PICTURE_SIDE), f"{plain(item.name)}: {width} × {height} pixels, 0…255"),
        ("2 · Resized and cropped", resized, f"{format_shape(right.input_shape[1::-1])} pixels"),
        *(
            (
                f"3 · {_short(entrance)}",
                entrance.picture,
                f"preprocessing “{plain(entrance.backbone.preprocessing.name)}”",
            )
            for entrance in entrances
        ),
    ]
    for column, (title, picture, caption) in zip(st.columns(len(steps), gap="medium"), steps, strict=True):
        column.markdown(f"**{title}**")
        column.image(
            _framed(picture), output_format="PNG", width="stretch", caption=caption, alt=f"{title}: {item.name}."
        )
    st.caption(_how_drawn(right))


def measure(session: Session, entrances: list[Entrance], images: ImageSet, position: int) -> Harm | None:
    """Runs the image, and several more, right and wrong; None where there is no wrong."""
    if len(entrances) < 2:
        return None
    right, wrong = (entrance.backbone for entrance in entrances)
    used = sorted({position, *range(min(SEVERAL, len(images)))})
    classes = right.prediction_layer
    layers = list(dict.fromkeys([right.feature_layer, *([classes] if classes else [])]))
    rows = [compute_all_vectors(session, backbone, images[used], layers) for backbone in (right, wrong)]
    here, layer = used.index(position), right.feature_layer
    cosines = np.array([_cosine(a, b) for a, b in zip(rows[0][layer], rows[1][layer], strict=True)])
    pairs = cosine_similarity(rows[0][layer])[np.triu_indices(len(used), 1)]
    return Harm(
        cosine=float(cosines[here]),
        cosines=cosines,
        others=float(pairs.mean()) if len(pairs) else float("nan"),
        probabilities=[part[classes][here] for part in rows] if classes else None,
    )


def show_harm(entrances: list[Entrance], harm: Harm) -> None:
    """The harm in one number and in words."""
    backbone = entrances[0].backbone
    number, words = st.columns([1, 3.2], gap="medium", vertical_alignment="center")
    number.metric(
        "Right and wrong vector: cosine",
        f"{harm.cosine:.3f}",
        help="1: the two vectors point in the same direction. 0: they have nothing in common.",
    )
    layer = find_layer(backbone, backbone.feature_layer)
    made = "the mean of each channel" if layer.kind == "maps" else "the output"
    told = [
        _verdict(harm),
        f"Compared are two rows of {layer.output_shape[-1]:,} numbers, {made} of **{plain(layer.path)}**: "
        "what transfer learning builds on.",
    ]
    if len(harm.cosines) > 1:
        told.append(
            f"Over {len(harm.cosines)} images: {harm.cosines.min():.2f} to {harm.cosines.max():.2f}, "
            f"mean {harm.cosines.mean():.2f}. Two *different* images of these, both prepared right: {harm.others:.2f} "
            "on average."
        )
    words.markdown(" ".join(told))


def show_sides(entrances: list[Entrance], harm: Harm | None) -> None:
    """The very numbers that enter, and what the network makes of them, right and wrong side by side."""
    for i, (column, entrance) in enumerate(zip(st.columns(len(entrances), border=True), entrances, strict=True)):
        with column:
            preprocessing = entrance.backbone.preprocessing
            st.markdown(f"**{plain(entrance.title)}**")
            st.markdown(f"```python\n{preprocessing.code}\n```")
            _show_numbers(entrance, f"numbers {i}")
            if harm and harm.probabilities:
                st.markdown("**Top 5 predictions**")
                longest = max(float(part.max()) for part in harm.probabilities)
                show_prediction(entrance.backbone, harm.probabilities[i], f"classes {i}", longest)
    if harm and harm.probabilities and entrances[0].backbone.weights == "random":
        st.caption("The weights are random, so these classes mean nothing. Choose ImageNet weights to see the harm.")


def _show_numbers(entrance: Entrance, key: str) -> None:
    pixels = entrance.tensor[0]
    names = channel_names(entrance.backbone)
    means = ", ".join(f"{name} {mean:.3g}" for name, mean in zip(names, pixels.mean(axis=(0, 1)), strict=True))
    st.markdown(
        f"range **{pixels.min():.3g} … {pixels.max():.3g}**  \n"
        f"mean **{means}**  \n"
        f"shape **{entrance.tensor.shape}**, {entrance.tensor.dtype}"
    )
    st.plotly_chart(
        plots.pixel_histogram(pixels, names),
        key=key,
        alt=f"How often each channel takes which value, from {pixels.min():.3g} to {pixels.max():.3g}.",
        config={"displayModeBar": False},
    )


def _verdict(harm: Harm) -> str:
    if harm.cosine >= HARMLESS:
        return "**Nearly the same numbers: this does no harm to speak of.**"
    if harm.cosine < harm.others:
        return "**No good: the wrong preparation changes the vector more than taking another image would.**"
    return "**Not the same features any more, and nothing gave an error.**"


def _describe(name: str) -> str:
    description = PREPROCESSING[name].description
    return description if description.startswith(name) else f"{name} · {description}"


def _short(entrance: Entrance) -> str:
    return "Prepared wrong" if entrance.title == "Wrong" else "Prepared right"


def _how_drawn(backbone: Backbone) -> str:
    if find_affine(backbone) is None:
        return (
            "The prepared numbers are not colours any more: drawn from their smallest (black) to their largest (white)."
        )
    return (
        "What the network is given are numbers, not colours. They are drawn as the picture that stands for them with "
        f"{plain(backbone.name)}'s own preparation: what it takes them for. What is beyond black or white is cut off."
    )


def _framed(picture: np.ndarray) -> np.ndarray:
    """The picture with a thin grey frame: one that is all white would not be seen on a white page."""
    return np.pad(picture[1:-1, 1:-1], ((1, 1), (1, 1), (0, 0)), constant_values=FRAME)


def _cosine(right: np.ndarray, wrong: np.ndarray) -> float:
    return float(cosine_similarity(np.stack([right, wrong]))[0, 1])
