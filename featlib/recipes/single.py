"""Programs about one image, or about the network alone."""

from __future__ import annotations

from featlib.errors import FeatlibError
from featlib.recipes.context import CodeContext
from featlib.recipes.networks import is_keras_application, is_plain, layer_output, network, network_imports, prepare
from featlib.recipes.parts import chosen_image
from featlib.recipes.program import FEATLIB, KERAS, NUMPY, PILLOW, literal, program

KERAS_TABLE = """
layers = [
    (layer.name, type(layer).__name__, layer.output.shape[1:], layer.count_params())
    for layer in model.layers
]
for name, kind, shape, params in layers:
    print(f"{name:28} {kind:24} {str(shape):18} {params:>9,}")
"""


def predict_code(context: CodeContext) -> str:
    """Write the program that classifies the image: `top`, the five most probable of `probabilities` (classes,).

    A network loaded by name gets its classification layers in the program even if the user has excluded them.

    Raises:
        FeatlibError: If the user's own network has no classification head.
    """
    plain, named = is_plain(context), context.backbone.weights in ("imagenet", "random")
    imports, names = network_imports(context) | {NUMPY}, "backbone.class_name(i)"
    if plain and is_keras_application(context.backbone):
        imports, names = imports | {"from featlib.models import imagenet_names"}, "imagenet_names()[i]"
    if plain:
        height, width, channels = context.backbone.input_shape
        classify = f"""x = prepare([image])  # (1, {height}, {width}, {channels})
probabilities = model.predict(x, verbose=0)[0]  # (classes,)"""
    else:
        # Without the top, "predictions" is the name in keras.applications.
        layer = context.backbone.prediction_layer or ("predictions" if named else None)
        if layer is None:
            raise FeatlibError(f"'{context.backbone.name}' has no classification head, so it cannot name the image.")
        maps = f"featlib.feature_maps(backbone, [image], {literal(layer)})"
        classify = f"probabilities = {maps}[0]  # (classes,)"
    predict = f"""
{classify}
top = np.argsort(probabilities)[::-1][:5]
for i in top:
    print(f"{{probabilities[i]:6.1%}}  {{{names}}}")
"""
    feed = prepare(context) if plain else []
    model = network(context, include_top=True if named else None)
    return program(imports, model, *feed, chosen_image(context), predict)


def summary_code(context: CodeContext) -> str:
    """Write the program that lists the layers: `layers` as rows of data.

    For a network loaded by name also `outputs`, its output shapes with and without the top.
    """
    backbone, keras_own = context.backbone, is_plain(context) and is_keras_application(context.backbone)
    imports = {KERAS} if keras_own else {FEATLIB}
    # Without inner models and operations that are no layers, `model.layers` has everything.
    if is_plain(context) and len(backbone.model.layers) == len(backbone.layers):
        table = KERAS_TABLE
    else:
        imports |= {FEATLIB}
        source = 'featlib.load_backbone(model, preprocessing="none")' if keras_own else "backbone"
        table = f"""
layers = [
    (layer.path, layer.class_name, layer.output_shape, layer.params)
    for layer in featlib.list_layers({source})
]
for path, kind, shape, params in layers:
    print(f"{{path:44}} {{kind:24}} {{str(shape):18}} {{params:>9,}}")
"""
    if backbone.weights not in ("imagenet", "random"):
        return program(imports, network(context), table)
    with_top, without = ("model", "other_model") if backbone.include_top else ("other_model", "model")
    outputs = f"""
# With the top the network ends in class probabilities, without it in feature maps.
outputs = [{with_top}.output.shape[1:], {without}.output.shape[1:]]
print("with top:", outputs[0], " without:", outputs[1])
"""
    other = network(context, "other_model", include_top=not backbone.include_top)
    return program(imports, network(context), table, other, outputs)


def feature_maps_code(context: CodeContext) -> str:
    """Write the program that computes a layer's `maps` of the image and its `vector`, and draws one channel.

    A layer without height and width has only the `vector`.
    """
    plain, has_maps = is_plain(context), context.info.kind == "maps"
    imports = network_imports(context) | ({KERAS} if plain or has_maps else set())
    if not has_maps:
        steps = _vector(context)
    else:
        imports |= {PILLOW}
        channel = context.channel
        steps = f"""{_maps(context)}
channel = maps[:, :, {channel}:{channel + 1}]  # (height, width, 1)
picture = keras.utils.array_to_img(channel)  # gray: black is its smallest value, white its largest
picture.resize((448, 448), Image.Resampling.NEAREST).save("channel_{channel}.png")
"""
    feed = prepare(context) if plain else []
    return program(imports, network(context), *feed, chosen_image(context), steps)


def _maps(context: CodeContext) -> str:
    height, width, channels = context.backbone.input_shape
    if not is_plain(context):
        return f"""
maps = featlib.feature_maps(backbone, [image], {literal(context.info.path)})[0]
vector = maps.mean(axis=(0, 1))  # global average pooling
print(maps.shape, vector.shape)  # (height, width, channels), (channels,)
"""
    return f"""
output = {layer_output(context, context.info)}  # (n, height, width, channels)
pooled = keras.layers.GlobalAveragePooling2D()(output)  # (n, channels)
tap = keras.Model(model.inputs[0], [output, pooled])  # the network up to this layer

x = prepare([image])  # (1, {height}, {width}, {channels})
maps, vectors = tap.predict(x, verbose=0)
maps, vector = maps[0], vectors[0]  # (height, width, channels), (channels,)
print(maps.shape, vector.shape)
"""


def _vector(context: CodeContext) -> str:
    height, width, channels = context.backbone.input_shape
    if not is_plain(context):
        return f"""
vector = featlib.feature_maps(backbone, [image], {literal(context.info.path)})[0]
print(vector.shape)  # this layer has no height and width
"""
    return f"""
tap = keras.Model(model.inputs[0], {layer_output(context, context.info)})

x = prepare([image])  # (1, {height}, {width}, {channels})
vector = tap.predict(x, verbose=0)[0]  # this layer has no height and width: (D,)
print(vector.shape, vector[{context.channel}])
"""
