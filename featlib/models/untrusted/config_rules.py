"""What the config of a model may say: Keras' own classes, numbers of a sane size, and no file names."""

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
from featlib.models.untrusted.wording import megabytes, shown

MAX_INTEGER = 65_536
MAX_SHAPE = 1_000_000_000 // 4  # values of one float32 tensor of 1 GB
MAX_WEIGHTS = 200_000_000  # bytes of one layer's kernel
MAX_LAYERS = 10_000
MAX_CALLS = 100_000  # of layers, when all inner models are written out
MAX_MODELS = 16  # models inside each other
MAX_ARRAY = 1_000_000  # numbers of one array written into the config
# Names of numbers, seeds and words to look up: their size costs nothing.
MAX_NAME = 200
NAME = re.compile(rf"[\w.:/> -]{{1,{MAX_NAME}}}")  # nothing that a page or a terminal would take for markup
ANY_INTEGER = names(
    "shared_object_id seed salt vocabulary bin_boundaries mean variance input_mean input_variance mask_value"
)
INSTEAD = "Build the network without it, or load it in Python yourself and give the keras.Model."
FUNCTION_MODULES = frozenset({None, "builtins", "keras.activations", "keras.ops"})


@dataclass(frozen=True)
class _Place:
    layer: str = "the model"
    key: str = ""
    in_shape: bool = False
    models: int = 0


def check_config(config: Any) -> None:  # noqa: ANN401
    """Checks a model config before Keras sees it.

    Args:
        config: parsed JSON, `{"class_name": …, "config": …}`, in the form of Keras 3 or Keras 2.

    Raises:
        ModelError: it names a class, a function, a file or a number that is not allowed; the message names the layer.
    """
    if not isinstance(config, dict) or config.get("class_name") is None or "config" not in config:
        raise ModelError("It describes no Keras model. Save one with model.save('name.keras').")
    name = config["class_name"]
    if isinstance(name, str) and name in LAYERS:
        raise ModelError(f"It holds a single layer of class {shown(name)}; a Functional or Sequential model is needed.")
    _visit(config, _Place(), layers=[0])
    if name not in MODELS:
        raise ModelError(f"It holds a {shown(name)}; a Functional or Sequential model is needed.")
    if _calls(config) > MAX_CALLS:
        raise ModelError(
            f"Running it once would call more than {MAX_CALLS:,} layers, because its inner models call each other over "
            "and over; that is the most that is allowed."
        )


def _visit(value: Any, place: _Place, layers: list[int]) -> None:  # noqa: ANN401
    if isinstance(value, dict):
        _visit_dict(value, place, layers)
    elif isinstance(value, list):
        _check_shape(value, place)
        for item in value:
            _visit(item, place, layers)
    elif isinstance(value, int) and not isinstance(value, bool):
        _check_integer(value, place)


def _visit_dict(value: dict[str, Any], place: _Place, layers: list[int]) -> None:
    if "class_name" in value:
        place = _check_class(value, place)
        if value["class_name"] in ("__numpy__", "__tensor__"):
            return
    for key, child in value.items():
        if key == "compile_config":
            continue  # dropped from the copy that Keras reads
        if key == "layers" and isinstance(child, list):
            _count_layers(len(child), layers)
        shape = place.in_shape or key == "build_config" or key.endswith(("shape", "shapes", "shapes_dict"))
        _visit(child, replace(place, key=key, in_shape=shape), layers)


def _count_layers(count: int, layers: list[int]) -> None:
    layers[0] += count
    if layers[0] > MAX_LAYERS:
        raise ModelError(f"It has more than {MAX_LAYERS:,} layers, the most that are allowed.")


def _calls(model: Any) -> int:  # noqa: ANN401
    """How many layers run when the model runs once, with inner models counted for each of their calls."""
    config = model.get("config") if isinstance(model, dict) else None
    layers = config.get("layers") if isinstance(config, dict) else config
    if not isinstance(layers, list):
        return 1
    return sum(_calls(layer) * _times(layer) for layer in layers)


def _times(layer: Any) -> int:  # noqa: ANN401
    nodes = layer.get("inbound_nodes") if isinstance(layer, dict) else None
    return max(1, len(nodes)) if isinstance(nodes, list) else 1


def _check_integer(value: int, place: _Place) -> None:
    limit = MAX_SHAPE if place.in_shape else MAX_INTEGER
    if abs(value) > limit and place.key not in ANY_INTEGER:
        raise ModelError(
            f"Layer {shown(place.layer)} has {shown(place.key)} = {value:,}; at most {limit:,} is allowed."
        )


def _check_shape(value: list[Any], place: _Place) -> None:
    if not place.in_shape:
        return
    values = math.prod(abs(item) or 1 for item in value if isinstance(item, int) and not isinstance(item, bool))
    if values > MAX_SHAPE:
        raise ModelError(
            f"Layer {shown(place.layer)} has {shown(place.key)} = {shown(str(value))}, a tensor of "
            f"{megabytes(4 * values)} for one image; at most {megabytes(4 * MAX_SHAPE)} are allowed."
        )


def _check_class(value: dict[str, Any], place: _Place) -> _Place:
    name = value["class_name"]
    if not isinstance(name, str):
        raise ModelError(f"Layer {shown(place.layer)} names a class by {shown(name)}; a class name is text.")
    if name in VALUE_FORMS:
        _check_value_form(value, place)
        return place
    place = replace(place, layer=_layer_name(value, place))
    _check_known(name, value, place)
    if name == "function":
        _check_function(value, place)
    if name in LOOKUPS:
        _check_vocabulary(value, place)
    _check_kernel(name, value, place)
    if name in MODELS:
        place = replace(place, models=place.models + 1)
    if place.models > MAX_MODELS:
        raise ModelError(f"Model {shown(place.layer)} lies inside more than {MAX_MODELS} others, the most allowed.")
    return place


def _layer_name(value: dict[str, Any], place: _Place) -> str:
    config = value.get("config")
    found = [value.get("name"), config.get("name") if isinstance(config, dict) else None]
    names = [name for name in found if isinstance(name, str)]
    for name in names:
        if not NAME.fullmatch(name):
            raise ModelError(
                f"A layer is named {shown(name)}; allowed are at most {MAX_NAME} letters, digits, spaces and "
                "'_', '-', '.', ':', '/', '>'. Give it another name and save the model again."
            )
    return names[0] if names else place.layer


def _check_known(name: str, value: dict[str, Any], place: _Place) -> None:
    module, registered = value.get("module"), value.get("registered_name")
    if name in REFUSED:
        raise ModelError(
            f"Layer {shown(place.layer)} is of class {shown(name)}, which is refused: {REFUSED[name]}. {INSTEAD}"
        )
    if name == "function":
        return
    if module is None:
        known = name in WITHOUT_MODULE
    else:
        known = isinstance(module, str) and name in MODULES.get(module, frozenset())
    if not known or registered not in (None, name):
        raise ModelError(
            f"Layer {shown(place.layer)} is of class {shown(registered or name)}"
            f"{f' from {shown(module)}' if module else ''}, which is not one of Keras' own; "
            f"only files made of Keras' own layers are read. {INSTEAD}"
        )


def _check_function(value: dict[str, Any], place: _Place) -> None:
    name, module, registered = value.get("config"), value.get("module"), value.get("registered_name")
    fits = registered in (None, "function", name) and (module is None or isinstance(module, str))
    if not isinstance(name, str) or name not in ACTIVATIONS or module not in FUNCTION_MODULES or not fits:
        raise ModelError(
            f"Layer {shown(place.layer)} names the function {shown(name)} of {shown(module)}; allowed are only Keras' "
            "activations, such as 'relu'."
        )


def _check_vocabulary(value: dict[str, Any], place: _Place) -> None:
    config = value.get("config")
    for key in ("vocabulary", "idf_weights"):
        if isinstance(config, dict) and isinstance(config.get(key), str | dict):
            raise ModelError(
                f"Layer {shown(place.layer)} has {shown(key)} = {shown(config[key])}, which Keras would open as a "
                "file; only a list of words is allowed."
            )


def _check_value_form(value: dict[str, Any], place: _Place) -> None:
    if value["class_name"] not in ("__numpy__", "__tensor__"):
        return
    config = value.get("config")
    dtype = config.get("dtype") if isinstance(config, dict) else None
    if not isinstance(config, dict) or not isinstance(dtype, str) or dtype not in ARRAY_DTYPES:
        raise ModelError(f"Layer {shown(place.layer)} holds an array of type {shown(dtype)}; only numbers are allowed.")
    if _numbers(config.get("value")) > MAX_ARRAY:
        raise ModelError(f"Layer {shown(place.layer)} holds an array of more than {MAX_ARRAY:,} numbers in its config.")


def _numbers(value: Any) -> int:  # noqa: ANN401
    if isinstance(value, list):
        return sum(map(_numbers, value))
    if isinstance(value, dict | str):
        raise ModelError(f"An array in the config holds {shown(value)}; only numbers are allowed.")
    return 1


def _check_kernel(name: str, value: dict[str, Any], place: _Place) -> None:
    """Refuses a kernel that cannot fit the file, where the config tells its size."""
    config, built = value.get("config"), value.get("build_config")
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
    numbers = [factor for factor in factors if isinstance(factor, int)]
    groups = config.get("groups")
    size = 4 * math.prod(numbers) // (groups if isinstance(groups, int) and groups > 0 else 1)
    if size > MAX_WEIGHTS:
        raise ModelError(
            f"Layer {shown(place.layer)} would have weights of {megabytes(size)}; at most {megabytes(MAX_WEIGHTS)} are "
            "allowed."
        )
