"""Programs about one image, or about the network alone."""

from __future__ import annotations

from featlib.errors import FeatlibError
from featlib.recipes.networks import is_keras_own, is_plain, layer_output, network, network_imports, prepare
from featlib.recipes.parts import image_set
from featlib.recipes.program import FEATLIB, KERAS, NUMPY, PILLOW, literal, program
from featlib.recipes.scene import Scene


def predict_code(scene: Scene) -> str:
    """The program that names what is in the image: `top`, the five likeliest of `probabilities` (classes,).

    Only the classification layers of a named network can tell, so they are in the program even where the person leaves
    them out.

    Raises:
        FeatlibError: the network is a person's own and ends in no class probabilities.
    """
    plain = is_plain(scene)
    imports = network_imports(scene) | {NUMPY}
    if plain and is_keras_own(scene.backbone):
        imports |= {"from featlib.models import imagenet_names"}
        names = "imagenet_names()[i]"
    else:
        names = "backbone.class_name(i)"
    predict = f"""
{_probabilities(scene)}
top = np.argsort(probabilities)[::-1][:5]
for i in top:
    print(f"{{probabilities[i]:6.1%}}  {{{names}}}")
"""
    feed = [prepare(scene)] if plain else []
    top = True if scene.backbone.weights in ("imagenet", "random") else None
    return program(imports, network(scene, include_top=top), *feed, image_set(scene), predict)


def _probabilities(scene: Scene) -> str:
    if is_plain(scene):
        height, width, channels = scene.backbone.input_shape
        return f"""
x = prepare([images[{scene.image_index}]])  # (1, {height}, {width}, {channels})
probabilities = model.predict(x, verbose=0)[0]  # (classes,)
""".strip()
    layer = scene.backbone.prediction_layer
    if layer is None and scene.backbone.weights in ("imagenet", "random"):
        layer = "predictions"  # keras.applications' own name for it
    if layer is None:
        raise FeatlibError(f"'{scene.backbone.name}' ends in no class probabilities, so there is nothing to name.")
    asked = f"featlib.feature_maps(backbone, images[[{scene.image_index}]], {literal(layer)})"
    return f"probabilities = {asked}[0]  # (classes,)"


def summary_code(scene: Scene) -> str:
    """The program that lists the layers: `layers` as rows of data.

    For a network by name also `outputs`, the shape of what comes out with and without the top.
    """
    named = scene.backbone.weights in ("imagenet", "random")
    table = _keras_table() if _is_flat(scene) else _featlib_table(scene)
    blocks = [network(scene), table, *(_both_ends(scene) if named else [])]
    imports = {KERAS} if is_plain(scene) and is_keras_own(scene.backbone) else {FEATLIB}
    return program(imports | (set() if _is_flat(scene) else {FEATLIB}), *blocks)


def _is_flat(scene: Scene) -> bool:
    """Whether `model.layers` says all: no inner models, no operations that are no layers."""
    model = scene.backbone.model
    return is_plain(scene) and len(model.layers) == len(scene.backbone.layers)


def _keras_table() -> str:
    return """
layers = [
    (layer.name, type(layer).__name__, layer.output.shape[1:], layer.count_params())
    for layer in model.layers
]
for name, kind, shape, params in layers:
    print(f"{name:28} {kind:24} {str(shape):18} {params:>9,}")
"""


def _featlib_table(scene: Scene) -> str:
    has_backbone = not (is_plain(scene) and is_keras_own(scene.backbone))
    backbone = "backbone" if has_backbone else 'featlib.load_backbone(model, preprocessing="none")'
    return f"""
layers = [
    (layer.path, layer.class_name, layer.output_shape, layer.params)
    for layer in featlib.list_layers({backbone})
]
for path, kind, shape, params in layers:
    print(f"{{path:44}} {{kind:24}} {{str(shape):18}} {{params:>9,}}")
"""


def _both_ends(scene: Scene) -> list[str]:
    top = scene.backbone.include_top
    names = ("model", "other_model") if top else ("other_model", "model")
    outputs = f"""
# With the top the network ends in class probabilities, without it in maps.
outputs = [{names[0]}.output.shape[1:], {names[1]}.output.shape[1:]]
print("with top:", outputs[0], " without:", outputs[1])
"""
    return [network(scene, "other_model", include_top=not top), outputs]


def feature_maps_code(scene: Scene) -> str:
    """The program that computes one layer's `maps` of the image, its `vector`, and draws one channel.

    For a layer without height and width there is only the `vector`.
    """
    has_maps = scene.info.kind == "maps"
    imports = network_imports(scene) | ({KERAS} if is_plain(scene) or has_maps else set())
    if has_maps and not (is_plain(scene) and is_keras_own(scene.backbone)):
        imports |= {PILLOW}
    feed = [prepare(scene)] if is_plain(scene) else []
    look = _maps(scene) + _picture(scene) if has_maps else _vector(scene)
    return program(imports, network(scene), *feed, image_set(scene), look)


def _maps(scene: Scene) -> str:
    height, width, channels = scene.backbone.input_shape
    if not is_plain(scene):
        return f"""
maps = featlib.feature_maps(backbone, images[[{scene.image_index}]], {literal(scene.info.path)})[0]
vector = maps.mean(axis=(0, 1))  # global average pooling
print(maps.shape, vector.shape)  # (height, width, channels), (channels,)
"""
    return f"""
output = {layer_output(scene, scene.info)}  # (n, height, width, channels)
pooled = keras.layers.GlobalAveragePooling2D()(output)  # (n, channels)
tap = keras.Model(model.inputs[0], [output, pooled])  # the network up to there, and nothing beyond

x = prepare([images[{scene.image_index}]])  # (1, {height}, {width}, {channels})
maps, vectors = tap.predict(x, verbose=0)
maps, vector = maps[0], vectors[0]  # (height, width, channels), (channels,)
print(maps.shape, vector.shape)
"""


def _picture(scene: Scene) -> str:
    return f"""
channel = maps[:, :, {scene.channel}:{scene.channel + 1}]  # (height, width, 1)
picture = keras.utils.array_to_img(channel)  # grey: black is its smallest value, white its largest
picture.resize((448, 448), Image.Resampling.NEAREST).save("channel_{scene.channel}.png")
"""


def _vector(scene: Scene) -> str:
    if not is_plain(scene):
        return f"""
vector = featlib.feature_maps(backbone, images[[{scene.image_index}]], {literal(scene.info.path)})[0]
print(vector.shape)  # this layer has no height and width
"""
    height, width, channels = scene.backbone.input_shape
    return f"""
tap = keras.Model(model.inputs[0], {layer_output(scene, scene.info)})

x = prepare([images[{scene.image_index}]])  # (1, {height}, {width}, {channels})
vector = tap.predict(x, verbose=0)[0]  # this layer has no height and width: (D,)
print(vector.shape, vector[{scene.channel}])
"""
