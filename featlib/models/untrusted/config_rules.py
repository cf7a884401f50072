"""What the config of an untrusted model may contain: Keras' own classes, numbers of a sane size, and no file names."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Any

from featlib.errors import ModelError
from featlib.models.untrusted.allow_lists import (
    ACTIVATIONS,
    ARRAY_DTYPES,
    LAYERS,
    LOOKUPS,
    MODELS,
    MODULES,
    REFUSED,
    VALUE_FORMS,
    WITHOUT_MODULE,
    names,
)
from featlib.models.untrusted.wording import quoted
from featlib.text import format_bytes

MAX_INTEGER = 65_536
MAX_SHAPE = 2**30 // 4  # values of one float32 tensor of 1 GB
MAX_WEIGHTS = 200 * 2**20  # bytes of one layer's kernel
MAX_LAYERS = 10_000
MAX_CALLS = 100_000  # layer calls when the model runs once
MAX_MODELS = 16  # models nested in each other
MAX_ARRAY = 1_000_000  # numbers of one array in the config
MAX_NAME = 200
NAME = re.compile(rf"[\w.:/> -]{{1,{MAX_NAME}}}")  # nothing that a page or a terminal would take for markup
# Ids, seeds and values to look up: large ones cost no memory.
ANY_INTEGER = names(
    "shared_object_id seed salt vocabulary bin_boundaries mean variance input_mean input_variance mask_value"
)
INSTEAD = "Build the network without it, or load the file in Python yourself and pass the keras.Model."
FUNCTION_MODULES = frozenset({"builtins", "keras.activations", "keras.ops"})


@dataclass(frozen=True)
class _Context:
    """Where in the config a value is."""

    layer: str = "the model"
    key: str = ""
    in_shape: bool = False
    models: int = 0


def check_config(config: Any) -> None:  # noqa: ANN401
    """Check a model config before Keras sees it.

    Args:
        config: Parsed JSON, `{"class_name": …, "config": …}`, as Keras 3 or Keras 2 writes it.

    Raises:
        ModelError: It names a class, a function, a file or a number that is not allowed; the message names the layer.
    """
    if not isinstance(config, dict) or config.get("class_name") is None or "config" not in config:
        raise ModelError("It describes no Keras model. Save one with model.save('name.keras').")
    name = config["class_name"]
    if isinstance(name, str) and name in LAYERS:
        raise ModelError(
            f"It holds a single layer of class {quoted(name)}; a Functional or Sequential model is needed."
        )
    _visit(config, _Context(), layers=[0])
    if name not in MODELS:
        raise ModelError(f"It holds a {quoted(name)}; a Functional or Sequential model is needed.")
    if _count_calls(config) > MAX_CALLS:
        raise ModelError(
            f"Its inner models call each other so often that running it once would call more than {MAX_CALLS:,} "
            "layers, the most that are allowed."
        )


def _visit(value: Any, context: _Context, layers: list[int]) -> None:  # noqa: ANN401
    """Check a value and everything in it; `layers` holds the number of layers found so far."""
    if isinstance(value, dict):
        if "class_name" in value:
            context = _check_class(value, context)
            if value["class_name"] in ("__numpy__", "__tensor__"):
                return
        for key, child in value.items():
            if key == "compile_config":
                continue  # removed from the copy that Keras reads
            if key == "layers" and isinstance(child, list):
                layers[0] += len(child)
                if layers[0] > MAX_LAYERS:
                    raise ModelError(f"It has more than {MAX_LAYERS:,} layers, the most that are allowed.")
            in_shape = context.in_shape or key == "build_config" or key.endswith(("shape", "shapes", "shapes_dict"))
            _visit(child, replace(context, key=key, in_shape=in_shape), layers)
    elif isinstance(value, list):
        sides = [abs(item) or 1 for item in value if isinstance(item, int) and not isinstance(item, bool)]
        if context.in_shape and math.prod(sides) > MAX_SHAPE:
            raise ModelError(
                f"Layer {quoted(context.layer)} has {quoted(context.key)} = {quoted(str(value))}, a tensor of "
                f"{format_bytes(4 * math.prod(sides))} per image; at most {format_bytes(4 * MAX_SHAPE)} are allowed."
            )
        for item in value:
            _visit(item, context, layers)
    elif isinstance(value, int) and not isinstance(value, bool):
        limit = MAX_SHAPE if context.in_shape else MAX_INTEGER
        if abs(value) > limit and context.key not in ANY_INTEGER:
            raise ModelError(
                f"Layer {quoted(context.layer)} has {quoted(context.key)} = {value:,}; at most {limit:,} is allowed."
            )


def _count_calls(model: Any) -> int:  # noqa: ANN401
    """Count the layers that run when the model runs once, those of an inner model once for each of its calls."""
    config = model.get("config") if isinstance(model, dict) else None
    layers = config.get("layers") if isinstance(config, dict) else config
    if not isinstance(layers, list):
        return 1
    nodes = [layer.get("inbound_nodes") if isinstance(layer, dict) else None for layer in layers]
    times = [max(1, len(calls)) if isinstance(calls, list) else 1 for calls in nodes]
    return sum(_count_calls(layer) * count for layer, count in zip(layers, times, strict=True))


def _check_class(value: dict[str, Any], context: _Context) -> _Context:
    """Check a serialized object, and return the context of what is inside it."""
    name, config = value["class_name"], value.get("config")
    if not isinstance(name, str):
        raise ModelError(f"Layer {quoted(context.layer)} names a class by {quoted(name)}; a class name is text.")
    if name in ("__numpy__", "__tensor__"):
        _check_array(config, context)
    if name in VALUE_FORMS:
        return context
    inner = config if isinstance(config, dict) else {}
    given = [text for text in (value.get("name"), inner.get("name")) if isinstance(text, str)]
    for text in given:
        if not NAME.fullmatch(text):
            raise ModelError(
                f"A layer is named {quoted(text)}; allowed are at most {MAX_NAME} letters, digits, spaces and "
                "'_', '-', '.', ':', '/', '>'. Give it another name and save the model again."
            )
    context = replace(context, layer=given[0] if given else context.layer, models=context.models + (name in MODELS))
    if context.models > MAX_MODELS:
        raise ModelError(f"Model {quoted(context.layer)} is nested in more than {MAX_MODELS} others, the most allowed.")
    if name in REFUSED:
        raise ModelError(
            f"Layer {quoted(context.layer)} is of class {quoted(name)}, which is refused: {REFUSED[name]}. {INSTEAD}"
        )
    _check_origin(value, context)
    for key in ("vocabulary", "idf_weights") if name in LOOKUPS else ():
        if isinstance(inner.get(key), str | dict):
            raise ModelError(
                f"Layer {quoted(context.layer)} has {quoted(key)} = {quoted(inner[key])}, which Keras would open as a "
                "file; only a list of words is allowed."
            )
    _check_kernel(value, context)
    return context


def _check_origin(value: dict[str, Any], context: _Context) -> None:
    """Refuse a class that is not one of Keras' own, or a function that is not one of its activations."""
    name, module, registered = value["class_name"], value.get("module"), value.get("registered_name")
    if name == "function":
        function = value.get("config")
        known = isinstance(function, str) and function in ACTIVATIONS and registered in (None, "function", function)
        if not known or not (module is None or (isinstance(module, str) and module in FUNCTION_MODULES)):
            raise ModelError(
                f"Layer {quoted(context.layer)} names the function {quoted(function)} of {quoted(module)}; allowed "
                "are only Keras' activations, such as 'relu'."
            )
        return
    if module is None:
        known = name in WITHOUT_MODULE
    else:
        known = isinstance(module, str) and name in MODULES.get(module, frozenset())
    if not known or registered not in (None, name):
        raise ModelError(
            f"Layer {quoted(context.layer)} is of class {quoted(registered or name)}"
            f"{f' from {quoted(module)}' if module else ''}, which is not one of Keras' own; "
            f"only files made of Keras' own layers are read. {INSTEAD}"
        )


def _check_array(config: Any, context: _Context) -> None:  # noqa: ANN401
    """Refuse an array in the config that does not consist of a reasonable amount of numbers."""
    dtype = config.get("dtype") if isinstance(config, dict) else None
    if not isinstance(config, dict) or not isinstance(dtype, str) or dtype not in ARRAY_DTYPES:
        raise ModelError(
            f"Layer {quoted(context.layer)} holds an array of type {quoted(dtype)}; only numbers are allowed."
        )
    waiting, count = [config.get("value")], 0
    while waiting:
        value = waiting.pop()
        count += 1
        if isinstance(value, dict | str):
            raise ModelError(f"An array in the config holds {quoted(value)}; only numbers are allowed.")
        if isinstance(value, list):
            waiting += value
    if count > MAX_ARRAY:
        raise ModelError(
            f"Layer {quoted(context.layer)} holds an array of more than {MAX_ARRAY:,} numbers in its config."
        )


def _check_kernel(value: dict[str, Any], context: _Context) -> None:
    """Refuse a kernel that cannot fit the file, where the config gives its size."""
    name, config, built = value["class_name"], value.get("config"), value.get("build_config")
    if not isinstance(config, dict) or not isinstance(built, dict) or not isinstance(built.get("input_shape"), list):
        return
    channels = built["input_shape"][-1] if built["input_shape"] else 1
    if name == "Dense":
        factors = [channels, config.get("units")]
    elif name in ("Conv1D", "Conv2D", "Conv3D") and config.get("data_format") != "channels_first":
        kernel = config.get("kernel_size")
        factors = [channels, config.get("filters"), *(kernel if isinstance(kernel, list) else [kernel])]
    else:
        return
    groups = config.get("groups")
    size = 4 * math.prod(factor for factor in factors if isinstance(factor, int))
    size //= groups if isinstance(groups, int) and groups > 0 else 1
    if size > MAX_WEIGHTS:
        raise ModelError(
            f"Layer {quoted(context.layer)} would have weights of {format_bytes(size)}; at most "
            f"{format_bytes(MAX_WEIGHTS)} are allowed."
        )
