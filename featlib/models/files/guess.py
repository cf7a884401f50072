"""The preprocessing that a model's layers suggest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from featlib.models.graph import parts_of

if TYPE_CHECKING:
    import keras

RESCALES = {"Rescaling", "Normalization"}
ARITHMETIC = {
    "Divide",
    "TrueDivide",
    "Subtract",
    "Multiply",
    "Add",
    "GetItem",
    "Stack",
}  # of preprocess_input
FAMILIES = {  # the names that keras.applications gives its models -> the module with their preprocess_input
    r"mobilenetv2": "mobilenet_v2", r"mobilenet_\d": "mobilenet", r"resnet\d+v2": "resnet_v2", r"resnet\d+": "resnet",
    **{name: name for name in (
        "vgg16", "vgg19", "densenet", "inception_resnet_v2", "inception_v3", "xception", "nasnet",
    )},
}  # fmt: skip
MOBILENET_V2_LAYER = "expanded_conv_depthwise"  # for exports that rename the inner model


def guess_preprocessing(model: keras.Model) -> tuple[str, str] | None:
    """Guess the preprocessing from the layers before the first kernel and from the networks inside a model.

    Args:
        model: A built Keras model.

    Returns:
        The preprocessing's name and the reason as one sentence; None if nothing shows it.
    """
    parts = [model, *parts_of(model)]
    for part in parts:
        name = type(part).__name__
        if name in RESCALES:
            return "none", f"'{part.name}' ({name}) inside the model scales the pixels, so they enter as 0…255."
        if name in ARITHMETIC:
            return "none", f"The model preprocesses its pixels itself ('{part.name}'), so they enter as 0…255."
        if any(len(weight.shape) >= 3 for weight in getattr(part, "weights", [])) and not hasattr(part, "layers"):
            break
    for part in parts:
        name = str(part.name)
        family = next((module for pattern, module in FAMILIES.items() if re.match(pattern, name.lower())), None)
        if family and hasattr(part, "layers"):
            return family, f"'{name}' is a network of keras.applications, whose preprocessing is '{family}'."
        if name == MOBILENET_V2_LAYER:
            return "mobilenet_v2", f"'{name}' is a layer of MobileNetV2, whose preprocessing is 'mobilenet_v2' (−1…1)."
    return None
