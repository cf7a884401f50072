"""The lines that load a network, feed it, and reach its layers: in plain Keras where Keras can, else with featlib."""

from __future__ import annotations

import re

from featlib.models import DEFAULT_MODEL, Backbone, LayerInfo, list_models, parse_model_name
from featlib.models.applications.layer_names import GIVEN, snake_case
from featlib.recipes.program import FEATLIB, KERAS, NUMPY, literal
from featlib.recipes.scene import Scene

KINDS = {"maps", "vector", "probabilities"}


def is_plain(scene: Scene) -> bool:
    """Whether the network goes by a name, and `keras.Model(model.inputs, layer.output)` reaches the scene's layers."""
    named = scene.backbone.weights in ("imagenet", "random")
    return named and all(_is_plain(scene.backbone, info) for info in scene.infos)


def is_keras_own(backbone: Backbone) -> bool:
    """Whether the network is one of keras.applications."""
    return backbone.weights in ("imagenet", "random") and not backbone.name.startswith(DEFAULT_MODEL)


def network_imports(scene: Scene) -> set[str]:
    """The imports that `network` and `prepare` need."""
    if not is_plain(scene):
        return {FEATLIB}
    if is_keras_own(scene.backbone):
        return {KERAS, NUMPY, FEATLIB, "from PIL import Image, ImageOps"}
    return {NUMPY, FEATLIB}


def network(scene: Scene, name: str = "model", *, include_top: bool | None = None) -> str:
    """The lines that load the network into a variable.

    Args:
        scene: the choices.
        name: the variable.
        include_top: to load it with or without its classification layers; None as the person has chosen.
    """
    top = scene.backbone.include_top if include_top is None else include_top
    if is_plain(scene) and is_keras_own(scene.backbone):
        return _keras_network(scene.backbone, name, top)
    backbone = name.replace("model", "backbone")
    return f"{backbone} = {_load_backbone(scene.backbone, top)}\n{name} = {backbone}.model  # a keras.Model"


def prepare(scene: Scene) -> str:
    """The function from images to what enters the network: resized, cropped, preprocessed."""
    height, width, channels = scene.backbone.input_shape
    if not is_plain(scene):
        return (
            f"prepare = backbone.prepare  # images -> (n, {height}, {width}, {channels}), scaled, cropped, preprocessed"
        )
    if is_keras_own(scene.backbone):
        resized = f"ImageOps.fit(Image.fromarray(image.pixels), ({width}, {height}), Image.Resampling.BICUBIC)"
    else:
        resized = "backbone.resize(image.pixels)"
    return f'''
def prepare(images):
    """Scales and crops images as the network expects them: (n, {height}, {width}, 3) float32."""
    x = [{resized} for image in images]
    x = np.stack(x).astype("float32")  # 0...255
    {scene.backbone.preprocessing.code}
    return x
'''


def layer_output(scene: Scene, info: LayerInfo) -> str:
    """The Keras expression for the output of a layer that is plain."""
    if _counted(info):  # such a name only holds for the first network of a process
        return f"model.operations[{info.index}].output"
    return f"model.get_layer({literal(info.path)}).output"


def _is_plain(backbone: Backbone, info: LayerInfo) -> bool:
    flat = not any(layer.depth for layer in backbone.layers)
    plain = not re.search(r"[/#\[]", info.path) and info.kind in KINDS and not info.channels_first
    return plain and (flat or not _counted(info))


def _counted(info: LayerInfo) -> bool:
    """Whether Keras made the name by counting, or the layer is an operation that `get_layer` does not find."""
    automatic = re.fullmatch(rf"{snake_case(info.class_name)}(_\d+)?", info.path)
    return automatic is not None and info.path not in GIVEN


def _load_backbone(backbone: Backbone, include_top: bool) -> str:
    name, options = parse_model_name(backbone.name)
    choice = next((choice for choice in list_models() if choice.name == name), None)
    if choice is None:
        return _load_own(backbone)
    arguments = [literal(name), *(f"{key}={value!r}" for key, value in options.items())]
    if backbone.weights != "imagenet":
        arguments.append("weights=None" if backbone.weights == "random" else f"weights={literal(backbone.weights)}")
    if not include_top:
        arguments.append("include_top=False")
    if backbone.input_shape != (choice.input_size, choice.input_size, 3):
        arguments.append(f"input_shape={backbone.input_shape}")
    return f"featlib.load_backbone({', '.join(arguments)})"


def _load_own(backbone: Backbone) -> str:
    arguments = [literal(backbone.name), f"preprocessing={literal(backbone.preprocessing.name)}"]
    if backbone.class_names is not None:
        arguments.append(f"class_names={list(backbone.class_names)!r}")
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
            f"for seed, weight in enumerate({name}.trainable_weights):  # random, but each time the same",
            "    if len(weight.shape) >= 2:",
            "        weight.assign(keras.initializers.GlorotUniform(seed=seed)(weight.shape))",
        ]
    return "\n".join(lines)
