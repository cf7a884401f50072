"""Layer names that are the same in every process, whatever was built before."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

FIXED = {"reshape_2"}  # looks automatic, but MobileNet itself names its layer this way


def reset_automatic_names(model: keras.Model) -> keras.Model:
    """Number the automatic names of a new model from the start, in the order in which the layers were made.

    Keras names what has no name after its class and counts as long as the process lives (conv2d, conv2d_1, …), so the
    second InceptionV3 of a process would begin at conv2d_94, and links and caches would miss.

    Args:
        model: A model that nothing else uses yet. Operations that are not layers and nested models count too.

    Returns:
        The same model.
    """
    numbered: dict[str, list[tuple[int, Any]]] = defaultdict(list)
    for operation in all_operations(model):
        if is_automatic_name(operation.name, type(operation).__name__):
            base = snake_case(type(operation).__name__)
            numbered[base].append((int(operation.name[len(base) + 1 :] or 0), operation))
    for base, found in numbered.items():
        for i, (_, operation) in enumerate(sorted(found, key=lambda entry: entry[0])):
            operation.name = f"{base}_{i}" if i else base
    return model


def is_automatic_name(name: str, class_name: str) -> bool:
    """Tell whether Keras made a layer's name of its class and a count."""
    return re.fullmatch(rf"{snake_case(class_name)}(_\d+)?", name) is not None and name not in FIXED


def all_operations(model: keras.Model) -> Iterator[Any]:
    """Iterate over the operations of a model and of the models inside it."""
    for operation in (getattr(model, "_functional", None) or model).operations:
        yield operation
        if hasattr(operation, "operations") or getattr(operation, "_functional", None):
            yield from all_operations(operation)


def snake_case(name: str) -> str:
    """Convert a class name as Keras does: DepthwiseConv2D -> depthwise_conv2d."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
