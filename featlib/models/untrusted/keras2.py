"""Files of older Keras versions, put into the words of Keras 3 where that changes no value.

Each repair was checked against the outputs that the older Keras computed. What would change a value is left alone,
and Keras then says what it refuses.
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
Done = Counter[str]


def repair_config(config: Node) -> tuple[Node, tuple[str, ...]]:
    """Puts a checked config into the words of Keras 3.

    Args:
        config: the config of a model, already checked.

    Returns:
        The repaired copy without compile settings, which are never used, and one sentence for each kind of repair.
    """
    config = copy.deepcopy(config)
    done: Done = Counter()
    for node in list(_nodes(config)):
        node.pop("compile_config", None)
        _repair_node(node, done)
    return config, tuple(text.format(n=f"{count:,}", s="s" * (count > 1)) for text, count in sorted(done.items()))


def _nodes(value: Any) -> Iterator[Node]:  # noqa: ANN401
    """Every dict inside, outer ones first."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _repair_node(node: Node, done: Done) -> None:
    module = node.get("module")
    if isinstance(module, str) and module in OLD_MODULES:
        node["module"] = OLD_MODULES[module]
        if node.get("class_name") not in MODULES[node["module"]]:
            node["module"] = "keras.models"
        done["Renamed the old module of {n} model{s}: Keras 3 keeps them elsewhere."] += 1
    if node.get("class_name") == "Sequential":
        _repair_sequential(node, done)
    for layer in node["layers"] if isinstance(node.get("layers"), list) else []:
        _name_module(layer, done)
    config = node.get("config")
    if isinstance(node.get("layers"), list) and "output_layers" in node:
        _repair_functional(node, node["layers"], done)
    if isinstance(node.get("class_name"), str) and isinstance(config, dict):
        _repair_layer(node["class_name"], config, done)


def _repair_layer(name: str, config: Node, done: Done) -> None:
    _drop(config, "groups", 1, name in GROUPLESS, name, "has no such option, and 1 changes nothing", done)
    _drop(config, "time_major", False, name in RECURRENT, name, "has no such option, and False changes nothing", done)
    _drop(config, "noise_shape", None, name in SPATIAL_DROPOUT, name, "has no such option", done)
    if name in SPATIAL_DROPOUT and config.pop("trainable", None) is not None:
        done["Removed trainable from {n} SpatialDropout layer{s}: they have no weights to train."] += 1
    if name.startswith("Random") and config.pop("rng_type", None) is not None:
        done["Removed rng_type from {n} augmentation layer{s}: they do nothing when a model only looks."] += 1
    if name in SEPARABLE and [config.pop(key) for key in KERNEL_OPTIONS if key in config]:
        done["Removed the kernel options of {n} SeparableConv layer{s}: Keras 2 wrote them but never used them."] += 1
    axis = config.get("axis")
    if name == "BatchNormalization" and isinstance(axis, list) and len(axis) == 1:
        config["axis"] = axis[0]
        done["Wrote the axis of {n} BatchNormalization layer{s} as one number, as Keras 3 does."] += 1
    _repair_dtype(config, done)
    if name == "InputLayer" and "batch_input_shape" in config and "batch_shape" not in config:
        config["batch_shape"] = config.pop("batch_input_shape")


def _drop(config: Node, key: str, value: Any, here: bool, name: str, why: str, done: Done) -> None:  # noqa: ANN401
    if here and key in config and config[key] == value and type(config[key]) is type(value):
        del config[key]
        done[f"Removed {key}={value} from {{n}} {name} layer{{s}}: Keras 3 {why}."] += 1


def _repair_dtype(config: Node, done: Done) -> None:
    dtype = config.get("dtype")
    if isinstance(dtype, dict) and dtype.get("class_name") == "Policy" and isinstance(dtype.get("config"), dict):
        config["dtype"] = dtype["config"].get("name")
        done["Wrote the precision of {n} layer{s} by its name, as Keras 3 does."] += 1


def _repair_sequential(node: Node, done: Done) -> None:
    """Gives a Sequential model its Input layer, and takes the input shape from the layers behind it."""
    if isinstance(node.get("config"), list):
        node["config"] = {"name": "sequential", "layers": node["config"]}
        done["Named {n} Sequential model{s} that had no name."] += 1
    layers = node["config"].get("layers") if isinstance(node.get("config"), dict) else None
    if not isinstance(layers, list):
        return
    for i, layer in enumerate(list(layers)):
        config = layer.get("config") if isinstance(layer, dict) else None
        if not isinstance(config, dict) or layer.get("class_name") == "InputLayer" or "batch_input_shape" not in config:
            continue
        shape = config.pop("batch_input_shape")
        done["Moved the input shape of {n} layer{s} to an Input layer, as Keras 3 does."] += 1
        if i == 0:
            layers.insert(0, _input_layer(shape, config, layer.get("module")))


def _input_layer(shape: Any, config: Node, module: str | None) -> Node:  # noqa: ANN401
    dtype = config.get("dtype") if isinstance(config.get("dtype"), str) else "float32"
    named = {"batch_shape": shape, "dtype": dtype, "name": f"{config.get('name')}_input"}
    node = {"class_name": "InputLayer", "config": named}
    return node if module is None else {"module": "keras.layers", "registered_name": None, **node}


def _repair_functional(config: Node, layers: list[Any], done: Done) -> None:
    """Puts the wiring of Keras 2 (lists; Keras 3 writes dicts) into the way Keras 3 counts and nests."""
    called = [layer for layer in layers if isinstance(layer, dict) and layer.get("inbound_nodes")]
    if not called or not all(_is_old_wiring(layer["inbound_nodes"]) for layer in called):
        return
    inner = [ref for layer in called for call in layer["inbound_nodes"] for ref in call]
    outer = [ref for key in ENDS if isinstance(config.get(key), list) for ref in config[key] if _is_reference(ref)]
    for layer in called:
        if layer.get("class_name") in MODELS:
            references = inner + (
                outer if layer["class_name"] == "Sequential" else []
            )  # the others Keras 3 counts itself
            _count_from_zero([ref for ref in references if ref[0] == layer.get("name")], done)
    for key in ENDS:
        if isinstance(config.get(key), list) and len(config[key]) == 1 and _is_reference(config[key][0]):
            config[key] = config[key][0]
            done["Wrote {n} single input{s} or output{s} of models as one tensor, as Keras 3 does."] += 1


def _count_from_zero(references: list[list[Any]], done: Done) -> None:
    """The first call of an inner model is number 1 in Keras 2, which counts its building as number 0."""
    if references and min(ref[1] for ref in references) >= 1:
        for ref in references:
            ref[1] -= 1
        done["Counted the calls of {n} inner model{s} from 0, as Keras 3 does."] += 1


def _is_old_wiring(calls: Any) -> bool:  # noqa: ANN401
    return isinstance(calls, list) and all(isinstance(call, list) and all(map(_is_reference, call)) for call in calls)


def _is_reference(value: Any) -> bool:  # noqa: ANN401
    """Whether a value is `[layer name, call, tensor]`, with or without arguments."""
    return isinstance(value, list) and len(value) in (3, 4) and isinstance(value[0], str) and isinstance(value[1], int)


def _name_module(layer: Any, done: Done) -> None:  # noqa: ANN401
    """Keras 3 writes `.h5` files with operations that it cannot find again: it leaves their module out."""
    if not isinstance(layer, dict) or layer.get("module") is not None or not isinstance(layer.get("config"), dict):
        return
    name = layer.get("class_name")
    calls = layer.get("inbound_nodes")
    of_keras_3 = isinstance(calls, list) and any(isinstance(call, dict) for call in calls)
    homes = {**APPLICATIONS, **(OPERATIONS if of_keras_3 and "trainable" not in layer["config"] else {})}
    module = next((home for home, names in homes.items() if name in names), None)
    if module:
        layer["module"], layer["registered_name"] = module, name
        done["Wrote where {n} operation{s} come from, which Keras leaves out of .h5 files."] += 1
