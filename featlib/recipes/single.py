"""Programs about one image, or about the network alone."""

from __future__ import annotations

from dataclasses import replace

from featlib.recipes.parts import (
    FEATLIB,
    KERAS,
    PILLOW,
    image_set,
    layer_output,
    network,
    network_imports,
    prepare,
    program,
)
from featlib.recipes.scene import Scene


def predict_code(scene: Scene) -> str:
    """The program that names what is in the image: `top`, the five likeliest of `probabilities` (1000,).

    Only the classification layers can tell, so they are in the program even where the scene leaves them out.
    """
    scene = replace(scene, include_top=True)
    imports = network_imports(scene) | ({"from featlib.models import imagenet_names"} if scene.is_mobilenet else set())
    names = "imagenet_names()" if scene.is_mobilenet else "backbone.class_names"
    predict = f"""
x = prepare([images[{scene.image_index}]])  # (1, {scene.input_size}, {scene.input_size}, 3)
probabilities = model.predict(x, verbose=0)[0]  # (1000,)
names = {names}
top = np.argsort(probabilities)[::-1][:5]
for i in top:
    print(f"{{probabilities[i]:6.1%}}  {{names[i]}}")
"""
    return program(imports, network(scene), prepare(scene), image_set(scene), predict)


def summary_code(scene: Scene) -> str:
    """The program that lists the layers: `layers` as rows of data, and `outputs` with and without the top."""
    imports = {KERAS} if scene.is_mobilenet else {FEATLIB}
    table = """
layers = [
    (layer.name, type(layer).__name__, layer.output.shape[1:], layer.count_params())
    for layer in model.layers
]
for name, kind, shape, params in layers:
    print(f"{name:28} {kind:24} {str(shape):18} {params:>9,}")
"""
    other = replace(scene, include_top=not scene.include_top)
    names = ("model", "other_model") if scene.include_top else ("other_model", "model")
    outputs = f"""
# With the top the network ends in class probabilities, without it in maps.
outputs = [{names[0]}.output.shape[1:], {names[1]}.output.shape[1:]]
print("with top:", outputs[0], " without:", outputs[1])
"""
    return program(imports, network(scene), table, network(other, "other_model"), outputs)


def feature_maps_code(scene: Scene) -> str:
    """The program that computes one layer's `maps` of the image, its `vector`, and draws one channel.

    For a layer without height and width there is only the `vector`.
    """
    look = _maps(scene) if scene.has_maps(scene.layer) else _vector(scene)
    imports = network_imports(scene) | {KERAS}
    if scene.has_maps(scene.layer) and not scene.is_mobilenet:
        imports |= {PILLOW}
    return program(imports, network(scene), prepare(scene), image_set(scene), look)


def _maps(scene: Scene) -> str:
    return f"""
output = {layer_output(scene, scene.layer)}  # (n, height, width, channels)
pooled = keras.layers.GlobalAveragePooling2D()(output)  # (n, channels)
tap = keras.Model(model.inputs[0], [output, pooled])  # the network up to there, and nothing beyond

x = prepare([images[{scene.image_index}]])  # (1, {scene.input_size}, {scene.input_size}, 3)
maps, vectors = tap.predict(x, verbose=0)
maps, vector = maps[0], vectors[0]  # (height, width, channels), (channels,)
print(maps.shape, vector.shape)

channel = maps[:, :, {scene.channel}:{scene.channel + 1}]  # (height, width, 1)
picture = keras.utils.array_to_img(channel)  # grey: black is its smallest value, white its largest
picture.resize((448, 448), Image.Resampling.NEAREST).save("channel_{scene.channel}.png")
"""


def _vector(scene: Scene) -> str:
    return f"""
tap = keras.Model(model.inputs[0], {layer_output(scene, scene.layer)})

x = prepare([images[{scene.image_index}]])  # (1, {scene.input_size}, {scene.input_size}, 3)
vector = tap.predict(x, verbose=0)[0]  # this layer has no height and width: (D,)
print(vector.shape, vector[{scene.channel}])
"""
