"""What programs are put together from: imports, the network, the images, a layer's output."""

from __future__ import annotations

from collections.abc import Iterable

from featlib.errors import FeatlibError
from featlib.images import list_samples
from featlib.models import PREPROCESSING
from featlib.recipes.scene import UPLOADS, UPLOADS_FOLDER, Scene

POOLING_LAYERS = {
    "avg": "keras.layers.GlobalAveragePooling2D()",
    "max": "keras.layers.GlobalMaxPooling2D()",
    "flatten": "keras.layers.Flatten()",
}
BATCH = 32
NUMPY, KERAS, FEATLIB, PILLOW = "import numpy as np", "import keras", "import featlib", "from PIL import Image"


def program(imports: Iterable[str], *blocks: str) -> str:
    """Joins imports, sorted as isort does, and blocks of code into one program."""
    lines = "\n".join(sorted(set(imports), key=_import_order))
    return "\n\n".join([lines, *(_spaced(block.strip("\n")) for block in blocks)]) + "\n"


def _spaced(block: str) -> str:
    return f"\n{block}\n" if block.startswith("def ") else block


def _import_order(line: str) -> tuple[bool, str]:
    return line.startswith("from"), line.lower()


def literal(text: str) -> str:
    """A string as a Python literal in double quotes. Whatever a name holds, it stays a string."""
    quoted = repr(text)
    return quoted if '"' in text or "'" in text else f'"{quoted[1:-1]}"'


def network_imports(scene: Scene) -> set[str]:
    """The imports that `network` and `prepare` need."""
    if scene.is_mobilenet:
        return {KERAS, NUMPY, FEATLIB, "from PIL import Image, ImageOps"}
    return {NUMPY, FEATLIB}


def network(scene: Scene, name: str = "model") -> str:
    """The lines that load the network into a variable."""
    if not scene.is_mobilenet:
        backbone = name.replace("model", "backbone")
        return f"{backbone} = {_lite0(scene)}\n{name} = {backbone}.model  # a keras.Model"
    weights = "None" if scene.weights == "random" else '"imagenet"'
    shape = f"({scene.input_size}, {scene.input_size}, 3)"
    lines = [
        f"{name} = keras.applications.MobileNetV2(",
        f"    input_shape={shape}, include_top={scene.include_top}, weights={weights}",
        ")",
    ]
    if scene.weights == "random":
        lines += [
            f"for seed, weight in enumerate({name}.trainable_weights):  # random, but each time the same",
            "    if len(weight.shape) >= 2:",
            "        weight.assign(keras.initializers.GlorotUniform(seed=seed)(weight.shape))",
        ]
    return "\n".join(lines)


def _lite0(scene: Scene) -> str:
    options = [literal(scene.model)]
    if scene.weights == "random":
        options.append("weights=None")
    if not scene.include_top:
        options.append("include_top=False")
    if scene.input_size != 224:
        options.append(f"input_shape=({scene.input_size}, {scene.input_size}, 3)")
    return f"featlib.load_backbone({', '.join(options)})"


def prepare(scene: Scene) -> str:
    """The function from images to what enters the network: resized, cropped, preprocessed."""
    size = f"({scene.input_size}, {scene.input_size})"
    if scene.is_mobilenet:
        resized = f"ImageOps.fit(Image.fromarray(image.pixels), {size}, Image.Resampling.BICUBIC)"
        code = PREPROCESSING["mobilenet_v2"].code
    else:
        resized, code = "backbone.resize(image.pixels)", PREPROCESSING["lite0"].code
    return f'''
def prepare(images):
    """Scales and crops images as the network expects them: (n, {scene.input_size}, {scene.input_size}, 3) float32."""
    x = [{resized} for image in images]
    x = np.stack(x).astype("float32")  # 0...255
    {code}
    return x
'''


def image_set(scene: Scene, limit: int | None = None, by: str | None = None) -> str:
    """The line that loads the images, or an equal share of them for each label of column `by`."""
    counts = {sample.name: sample.count for sample in list_samples()}
    if scene.images == UPLOADS:
        code = f"featlib.load_images({literal(UPLOADS_FOLDER)})"
    else:
        code = f"featlib.load_samples({literal(scene.images)})"
    if limit is not None and limit < counts.get(scene.images, limit + 1):
        code += f".sample({limit}, by={literal(by)})" if by else f".sample({limit})"
    told = "  # the folder with your images" if scene.images == UPLOADS else ""
    return f"images = {code}{told}"


def layer_output(scene: Scene, layer: str) -> str:
    """The expression for the layer's output."""
    # Keras counts the names that it gives by itself: they only hold for the first network of a process.
    if scene.is_mobilenet and layer == "global_average_pooling2d":
        return "model.layers[-2].output"
    if scene.is_mobilenet and layer == "input_layer":
        return "model.inputs[0]"
    return f"model.get_layer({literal(layer)}).output"


def vector_output(scene: Scene, layer: str) -> str:
    """The expression for the layer's output as one vector an image.

    Raises:
        FeatlibError: the layer has height and width, and there is no pooling to take them away.
    """
    if not scene.has_maps(layer):
        return layer_output(scene, layer)
    if scene.pooling not in POOLING_LAYERS:
        raise FeatlibError(
            f"'{layer}' puts out maps, so it takes a pooling to make vectors: 'avg', 'max' or 'flatten'. "
            f"Received: {scene.pooling!r}."
        )
    return f"{POOLING_LAYERS[scene.pooling]}({layer_output(scene, layer)})"


def vectors(scene: Scene, also: str = "", l2: bool = False) -> str:
    """The lines that turn `images` into `X`, batch by batch."""
    outputs = [vector_output(scene, layer) for layer in (scene.layer, also) if layer]
    lines = [f"output = {outputs[0]}  # (n, {_width(scene)})"]
    if len(outputs) > 1:
        lines = ["outputs = [", *(f"    {output}," for output in outputs), "]"]
        if l2:
            lines.append("outputs = [keras.layers.UnitNormalization()(output) for output in outputs]  # length 1")
        lines.append("output = keras.layers.Concatenate()(outputs)  # side by side")
    elif l2:
        lines.append("output = keras.layers.UnitNormalization()(output)  # length 1")
    return "\n".join(
        [
            *lines,
            "tap = keras.Model(model.inputs[0], output)  # the network up to there, and nothing beyond",
            "",
            f"batches = [images[i : i + {BATCH}] for i in range(0, len(images), {BATCH})]",
            "X = np.concatenate([tap.predict_on_batch(prepare(batch)) for batch in batches])  # (n, D)",
        ]
    )


def _width(scene: Scene) -> str:
    if not scene.has_maps(scene.layer):
        return "D"
    return "height * width * channels" if scene.pooling == "flatten" else "channels"
