"""Layer names that are the same in every process, whatever was built before."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

GIVEN = {"reshape_2"}  # looks automatic, but MobileNet itself names its layer so


def rename_as_in_a_fresh_process(model: Any) -> Any:  # noqa: ANN401 - keras.Model, which mypy does not see
    """Numbers the automatic names of a fresh model from the start, in the order in which the layers were made.

    Keras names what has no name after its class and counts on as long as the process lives (conv2d, conv2d_1, …), so
    the second InceptionV3 of a process would begin at conv2d_94, and links and caches would miss.

    Args:
        model: a model that nothing else uses yet. Operations that are no layers and nested models count too.

    Returns:
        The same model.
    """
    numbered: dict[str, list[tuple[int, Any]]] = defaultdict(list)
    for operation in all_operations(model):
        base = snake_case(type(operation).__name__)
        match = re.fullmatch(rf"{base}(?:_(\d+))?", operation.name)
        if match and operation.name not in GIVEN:
            numbered[base].append((int(match[1] or 0), operation))
    for base, found in numbered.items():
        for i, (_, operation) in enumerate(sorted(found, key=lambda entry: entry[0])):
            operation.name = f"{base}_{i}" if i else base
    return model


def all_operations(model: Any) -> Iterator[Any]:  # noqa: ANN401
    """The operations of a model and of the models inside it."""
    for operation in (getattr(model, "_functional", None) or model).operations:
        yield operation
        if hasattr(operation, "operations") or getattr(operation, "_functional", None):
            yield from all_operations(operation)


def snake_case(name: str) -> str:
    """As Keras does it: DepthwiseConv2D -> depthwise_conv2d."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
