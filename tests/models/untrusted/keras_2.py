"""Writes a legacy `.h5` of Keras 3 as Keras 2 wrote it: with the differences found between files of the two."""

from __future__ import annotations

from typing import Any

from tests.models.untrusted.files import edited_h5

GROUPED = {"DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose"}
KERNEL = {"kernel_initializer": None, "kernel_regularizer": None, "kernel_constraint": None}
MODELS = {"Functional", "Sequential"}


def as_keras_2(data: bytes) -> bytes:
    import json

    def rewrite(file):
        config = _node(json.loads(file.attrs["model_config"]))
        file.attrs["model_config"] = json.dumps(config).encode()
        file.attrs["keras_version"] = b"2.15.0"

    return edited_h5(data, rewrite)


def _node(node: dict[str, Any]) -> dict[str, Any]:
    for key in ("module", "registered_name", "build_config"):
        node.pop(key, None)
    node["config"] = _config(node["class_name"], node["config"])
    return node


def _config(name: str, config: dict[str, Any]) -> dict[str, Any]:
    config = {key: _value(value) for key, value in config.items()}
    if name in GROUPED:
        config["groups"] = 1
    if name == "SeparableConv2D":
        config |= KERNEL
    if name == "SpatialDropout2D":
        config |= {"trainable": True, "noise_shape": None}
    if name == "BatchNormalization":
        config["axis"] = [3]
    if name.startswith("Random"):
        config["rng_type"] = "stateful"
    if name == "InputLayer":
        config["batch_input_shape"] = config.pop("batch_shape")
    if name in MODELS:
        _rewire(config)
        _shape_of_first_layer(config)
    return config


def _value(value: Any) -> Any:
    if isinstance(value, dict) and value.get("class_name") == "DTypePolicy":
        return value["config"]["name"]
    if isinstance(value, dict) and "module" in value:
        return {"class_name": value["class_name"], "config": value["config"]}
    return value


def _rewire(config: dict[str, Any]) -> None:
    """Calls as lists, the calls of inner models counted from 1, single ends as lists of one."""
    config["layers"] = [_node(layer) for layer in config["layers"]]
    inner = {layer["config"]["name"] for layer in config["layers"] if layer["class_name"] in MODELS}
    for layer in config["layers"]:
        if "inbound_nodes" in layer:
            layer["inbound_nodes"] = [
                [_reference(tensor, inner) for tensor in _tensors(call["args"])] for call in layer["inbound_nodes"]
            ]
    for key in ("input_layers", "output_layers"):
        if isinstance(config.get(key, [[]])[0], str):
            config[key] = [config[key]]


def _tensors(value: Any) -> list[Any]:
    if isinstance(value, list):
        return [tensor for item in value for tensor in _tensors(item)]
    return [value["config"]["keras_history"]]


def _reference(history: list[Any], inner: set[str]) -> list[Any]:
    name, call, tensor = history
    return [name, call + (name in inner), tensor, {}]


def _shape_of_first_layer(config: dict[str, Any]) -> None:
    if "input_layers" not in config and config["layers"][0]["class_name"] == "InputLayer":
        first, second = config["layers"][0]["config"], config["layers"][1]
        if second["class_name"] not in MODELS:
            second["config"]["batch_input_shape"] = first["batch_input_shape"]
