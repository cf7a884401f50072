"""The lines that load a network, feed it, and reach its layers: in plain Keras where possible, else with featlib."""

from __future__ import annotations

import re

from featlib.models import DEFAULT_MODEL, Backbone, LayerInfo, is_automatic_name, list_models, parse_model_name
from featlib.recipes.context import CodeContext
from featlib.recipes.program import FEATLIB, KERAS, NUMPY, literal

PLAIN_KINDS = {"maps", "vector", "probabilities"}


def is_plain(context: CodeContext) -> bool:
    """Whether the network is loaded by name, and `keras.Model(model.inputs, layer.output)` reaches its layers."""
    if context.backbone.weights not in ("imagenet", "random"):
        return False
    flat = not any(layer.depth for layer in context.backbone.layers)
    return all(
        not re.search(r"[/#\[]", info.path)
        and info.kind in PLAIN_KINDS
        and not info.channels_first
        and (flat or not _has_automatic_name(info))
        for info in context.infos
    )


def is_keras_application(backbone: Backbone) -> bool:
    """Whether the network is one of keras.applications."""
    return backbone.weights in ("imagenet", "random") and not backbone.name.startswith(DEFAULT_MODEL)


def network_imports(context: CodeContext) -> set[str]:
    """Return the imports that `network` and `prepare` need."""
    if not is_plain(context):
        return {FEATLIB}
    return {NUMPY, FEATLIB, KERAS} if is_keras_application(context.backbone) else {NUMPY, FEATLIB}


def network(context: CodeContext, name: str = "model", *, include_top: bool | None = None) -> str:
    """Write the lines that load the network.

    Args:
        context: The choices.
        name: The variable.
        include_top: Whether to load the classification layers; None for the user's choice.
    """
    top = context.backbone.include_top if include_top is None else include_top
    if is_plain(context) and is_keras_application(context.backbone):
        return _keras_network(context.backbone, name, top)
    backbone = name.replace("model", "backbone")
    return f"{backbone} = {_load_backbone(context.backbone, top)}\n{name} = {backbone}.model  # a keras.Model"


def prepare(context: CodeContext) -> list[str]:
    """Write the function from images to the input tensor, as blocks: resized, cropped, preprocessed."""
    height, width, channels = context.backbone.input_shape
    if not is_plain(context):
        shape = f"(n, {height}, {width}, {channels})"
        return [f"prepare = backbone.prepare  # images -> {shape}, resized, cropped, preprocessed"]
    blocks = []
    if is_keras_application(context.backbone):
        blocks.append('backbone = featlib.load_backbone(model, preprocessing="none")  # for its input size')
    blocks.append(f'''
def prepare(images):
    """Resize and crop images to what the network expects: (n, {height}, {width}, 3) float32."""
    # PIL's ImageOps.fit (bicubic) differs by 1 gray level in about 0.3% of the values: cosine of vectors 0.99999.
    x = [backbone.resize(image.pixels) for image in images]
    x = np.stack(x).astype("float32")  # 0...255
    {context.backbone.preprocessing.code}
    return x
''')
    return blocks


def layer_output(context: CodeContext, info: LayerInfo) -> str:
    """Write the Keras expression for the output of a plain layer."""
    if _has_automatic_name(info):  # which is the same only for the first network of a process
        return f"model.operations[{info.index}].output"
    return f"model.get_layer({literal(info.path)}).output"


def _has_automatic_name(info: LayerInfo) -> bool:
    """Whether Keras made the name by counting, or the layer is an operation that `get_layer` does not find."""
    return is_automatic_name(info.path, info.class_name)


def _load_backbone(backbone: Backbone, include_top: bool) -> str:
    name, options = parse_model_name(backbone.name)
    choice = next((choice for choice in list_models() if choice.name == name), None)
    if choice is None:  # the user's own file
        arguments = [literal(backbone.name), f"preprocessing={literal(backbone.preprocessing.name)}"]
        if backbone.class_names is not None:
            arguments.append(f"class_names={list(backbone.class_names)!r}")
        return f"featlib.load_backbone({', '.join(arguments)})"
    arguments = [literal(name), *(f"{key}={value!r}" for key, value in options.items())]
    if backbone.weights != "imagenet":
        arguments.append("weights=None" if backbone.weights == "random" else f"weights={literal(backbone.weights)}")
    if not include_top:
        arguments.append("include_top=False")
    if backbone.input_shape != (choice.input_size, choice.input_size, 3):
        arguments.append(f"input_shape={backbone.input_shape}")
    return f"featlib.load_backbone({', '.join(arguments)})"


def _keras_network(backbone: Backbone, name: str, include_top: bool) -> str:
    function, options = parse_model_name(backbone.name)
    weights = "None" if backbone.weights == "random" else '"imagenet"'
    more = "".join(f", {key}={value!r}" for key, value in options.items())
    lines = [
        f"{name} = keras.applications.{function}(",
        f"    input_shape={backbone.input_shape}, include_top={include_top}, weights={weights}{more}",
        ")",
    ]
    if backbone.weights == "random":
        lines += [
            f"for seed, weight in enumerate({name}.trainable_weights):  # random, but the same every time",
            "    if len(weight.shape) >= 2:",
            "        weight.assign(keras.initializers.GlorotUniform(seed=seed)(weight.shape))",
        ]
    return "\n".join(lines)
