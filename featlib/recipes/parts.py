"""What programs are put together from: the images, and vectors of a batch."""

from __future__ import annotations

from collections.abc import Sequence

from featlib.images import list_samples
from featlib.models import LayerInfo
from featlib.recipes.networks import is_plain, layer_output
from featlib.recipes.program import literal
from featlib.recipes.scene import UPLOADS, UPLOADS_FOLDER, Scene

POOLING_LAYERS = {
    "avg": "keras.layers.GlobalAveragePooling2D()",
    "max": "keras.layers.GlobalMaxPooling2D()",
    "flatten": "keras.layers.Flatten()",
}
BATCH = 32


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


def vectors(scene: Scene, l2: bool = False) -> str:
    """The lines that turn `images` into `X`, batch by batch.

    Raises:
        FeatlibError: a layer has height and width, and there is no pooling to take them away.
    """
    scene.check_pooling()
    return _keras_vectors(scene, l2) if is_plain(scene) else _featlib_vectors(scene, l2)


def several_vectors(scenes: Sequence[Scene]) -> str:
    """The lines that turn `images` into `parts`, one X a layer, in one pass; a scene a layer.

    Raises:
        FeatlibError: a layer has height and width, and there is no pooling to take them away.
    """
    for scene in scenes:
        scene.check_pooling()
    names = "".join(f"    {literal(scene.info.path)},\n" for scene in scenes)
    if not all(is_plain(scene) for scene in scenes):
        pooling = literal(scenes[0].pooling) if scenes[0].pooling else "None"
        return f"""
layers = [
{names}]
table = featlib.extract_vectors(backbone, images, layers, pooling={pooling})  # all layers in one pass
layer_of = np.array([column.rpartition(":")[0] for column in table.columns])
parts = [table.X[:, layer_of == layer] for layer in layers]  # one (n, D) a layer
"""
    outputs = "".join(f"    {_vector_output(scene, scene.info)},\n" for scene in scenes)
    return f"""
layers = [
{names}]
outputs = [
{outputs}]
taps = keras.Model(model.inputs[0], outputs)  # all layers in one pass

batches = [images[i : i + {BATCH}] for i in range(0, len(images), {BATCH})]
results = [taps.predict_on_batch(prepare(batch)) for batch in batches]
parts = [np.concatenate(part) for part in zip(*results, strict=True)]  # one (n, D) a layer
"""


def _keras_vectors(scene: Scene, l2: bool) -> str:
    outputs = [_vector_output(scene, info) for info in scene.infos]
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


def _featlib_vectors(scene: Scene, l2: bool) -> str:
    layers = "".join(f"    {literal(info.path)},\n" for info in scene.infos)
    pooling = literal(scene.pooling) if scene.pooling else "None"
    scaled = ", l2_normalize=True" if l2 else ""
    return f"""
layers = [
{layers}]
table = featlib.extract_vectors(backbone, images, layers, pooling={pooling}{scaled})
X = table.X  # (n, D)
"""


def _vector_output(scene: Scene, info: LayerInfo) -> str:
    output = layer_output(scene, info)
    return f"{POOLING_LAYERS[str(scene.pooling)]}({output})" if info.kind == "maps" else output


def _width(scene: Scene) -> str:
    if scene.info.kind != "maps":
        return "D"
    return "height * width * channels" if scene.pooling == "flatten" else "channels"
