"""Translate model configs of older Keras versions to Keras 3 where that changes no value.

Each repair was checked against the outputs that the older Keras computed. Whatever would change a value is left alone,
and Keras then reports what it refuses.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from typing import Any

from featlib.models.untrusted.allow_lists import APPLICATIONS, MODELS, MODULES, OLD_MODULES, OPERATIONS, names

GROUPLESS = names(
    """
    DepthwiseConv1D DepthwiseConv2D SeparableConv1D SeparableConv2D Conv1DTranspose Conv2DTranspose Conv3DTranspose
    """
)
RECURRENT = names("GRU LSTM SimpleRNN RNN ConvLSTM1D ConvLSTM2D ConvLSTM3D")
SEPARABLE = frozenset({"SeparableConv1D", "SeparableConv2D"})
SPATIAL_DROPOUT = frozenset({"SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"})
KERNEL_OPTIONS = ("kernel_initializer", "kernel_regularizer", "kernel_constraint")

ENDS = ("input_layers", "output_layers")

Node = dict[str, Any]
Repairs = Counter[str]


def repair_config(config: Node) -> tuple[Node, tuple[str, ...]]:
    """Translate a checked config to Keras 3.

    Args:
        config: The config of a model that `check_config` accepted.

    Returns:
        The repaired copy without compile settings, which are never used, and one sentence for each kind of repair.
    """
    repaired = copy.deepcopy(config)
    repairs: Repairs = Counter()
    for node in list(_nodes(repaired)):
        module, name, layers = (node.get(key) for key in ("module", "class_name", "layers"))
        if isinstance(module, str) and module in OLD_MODULES:
            node["module"] = OLD_MODULES[module]
            if name not in MODULES[node["module"]]:
                node["module"] = "keras.models"
            repairs["Renamed the old module of {n} model{s}: Keras 3 keeps them elsewhere."] += 1
        if name == "Sequential":
            _repair_sequential(node, repairs)
        if isinstance(layers, list):
            for layer in layers:
                _name_module(layer, repairs)
            if "output_layers" in node:
                _repair_functional(node, layers, repairs)
        if isinstance(name, str) and isinstance(node.get("config"), dict):
            _repair_layer(name, node["config"], repairs)
    texts = sorted(repairs.items())
    return repaired, tuple(text.format(n=f"{count:,}", s="s" * (count > 1)) for text, count in texts)


def _nodes(value: Any) -> Iterator[Node]:  # noqa: ANN401
    """Yield every dict that was checked, outer ones first, and remove the compile settings."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            value.pop("compile_config", None)
            yield value
            waiting += () if value.get("class_name") in ("__numpy__", "__tensor__") else value.values()
        elif isinstance(value, list):
            waiting += value


def _repair_layer(name: str, config: Node, repairs: Repairs) -> None:
    useless = [  # options that Keras 3 does not have, at the value that changes nothing
        ("groups", 1, name in GROUPLESS, "has no such option, and 1 changes nothing"),
        ("time_major", False, name in RECURRENT, "has no such option, and False changes nothing"),
        ("noise_shape", None, name in SPATIAL_DROPOUT, "has no such option"),
    ]
    for key, value, applies, why in useless:
        if applies and key in config and config[key] == value and type(config[key]) is type(value):
            del config[key]
            repairs[f"Removed {key}={value} from {{n}} {name} layer{{s}}: Keras 3 {why}."] += 1
    if name in SPATIAL_DROPOUT and config.pop("trainable", None) is not None:
        repairs["Removed trainable from {n} SpatialDropout layer{s}: they have no weights to train."] += 1
    if name.startswith("Random") and config.pop("rng_type", None) is not None:
        repairs["Removed rng_type from {n} augmentation layer{s}: they are inactive outside training."] += 1
    if name in SEPARABLE and [config.pop(key) for key in KERNEL_OPTIONS if key in config]:
        repairs[
            "Removed the kernel options of {n} SeparableConv layer{s}: Keras 2 wrote them but never used them."
        ] += 1
    axis, dtype = config.get("axis"), config.get("dtype")
    if name == "BatchNormalization" and isinstance(axis, list) and len(axis) == 1:
        config["axis"] = axis[0]
        repairs["Wrote the axis of {n} BatchNormalization layer{s} as one number, as Keras 3 does."] += 1
    if isinstance(dtype, dict) and dtype.get("class_name") == "Policy" and isinstance(dtype.get("config"), dict):
        config["dtype"] = dtype["config"].get("name")
        repairs["Wrote the precision of {n} layer{s} by its name, as Keras 3 does."] += 1
    if name == "InputLayer" and "batch_input_shape" in config and "batch_shape" not in config:
        config["batch_shape"] = config.pop("batch_input_shape")


def _repair_sequential(node: Node, repairs: Repairs) -> None:
    """Give a Sequential model its Input layer, and take the input shape from the layers that have it."""
    if isinstance(node.get("config"), list):
        node["config"] = {"name": "sequential", "layers": node["config"]}
        repairs["Named {n} Sequential model{s} that had no name."] += 1
    layers = node["config"].get("layers") if isinstance(node.get("config"), dict) else None
    if not isinstance(layers, list):
        return
    for i, layer in enumerate(list(layers)):
        config = layer.get("config") if isinstance(layer, dict) else None
        if not isinstance(config, dict) or layer.get("class_name") == "InputLayer" or "batch_input_shape" not in config:
            continue
        shape = config.pop("batch_input_shape")
        repairs["Moved the input shape of {n} layer{s} to an Input layer, as Keras 3 does."] += 1
        if i == 0:
            dtype = config.get("dtype") if isinstance(config.get("dtype"), str) else "float32"
            entry = {"batch_shape": shape, "dtype": dtype, "name": f"{config.get('name')}_input"}
            module = {} if layer.get("module") is None else {"module": "keras.layers", "registered_name": None}
            layers.insert(0, {**module, "class_name": "InputLayer", "config": entry})


def _repair_functional(config: Node, layers: list[Any], repairs: Repairs) -> None:
    """Count and nest the connections of Keras 2, which are lists, as Keras 3 does, which writes dicts."""
    called = [layer for layer in layers if isinstance(layer, dict) and layer.get("inbound_nodes")]
    for layer in called:
        calls = layer["inbound_nodes"]
        if not isinstance(calls, list) or not all(isinstance(x, list) and all(map(_is_reference, x)) for x in calls):
            return
    inner = [ref for layer in called for call in layer["inbound_nodes"] for ref in call]
    outer = [ref for key in ENDS if isinstance(config.get(key), list) for ref in config[key] if _is_reference(ref)]
    for layer in called:
        if layer.get("class_name") not in MODELS:
            continue
        # Keras 3 itself adjusts the outer references to inner models, except to a Sequential.
        references = inner + (outer if layer["class_name"] == "Sequential" else [])
        references = [ref for ref in references if ref[0] == layer.get("name")]
        # Keras 2 counts the building of an inner model as call 0, so that its first call is number 1.
        if references and min(ref[1] for ref in references) >= 1:
            for ref in references:
                ref[1] -= 1
            repairs["Counted the calls of {n} inner model{s} from 0, as Keras 3 does."] += 1
    for key in ENDS if called else ():
        if isinstance(config.get(key), list) and len(config[key]) == 1 and _is_reference(config[key][0]):
            config[key] = config[key][0]
            repairs["Wrote {n} single input{s} or output{s} of models as one tensor, as Keras 3 does."] += 1


def _is_reference(value: Any) -> bool:  # noqa: ANN401
    """Whether a value is `[layer name, call, tensor]`, with or without arguments."""
    return isinstance(value, list) and len(value) in (3, 4) and isinstance(value[0], str) and isinstance(value[1], int)


def _name_module(layer: Any, repairs: Repairs) -> None:  # noqa: ANN401
    """Add the module of an operation: Keras 3 leaves it out of `.h5` files, and then cannot find the operation."""
    if not isinstance(layer, dict) or layer.get("module") is not None or not isinstance(layer.get("config"), dict):
        return
    name, calls = layer.get("class_name"), layer.get("inbound_nodes")
    is_keras_3 = isinstance(calls, list) and any(isinstance(call, dict) for call in calls)
    homes = {**APPLICATIONS, **(OPERATIONS if is_keras_3 and "trainable" not in layer["config"] else {})}
    module = next((home for home, names in homes.items() if name in names), None)
    if module:
        layer["module"], layer["registered_name"] = module, name
        repairs["Wrote where {n} operation{s} come from, which Keras leaves out of .h5 files."] += 1
