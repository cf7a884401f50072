"""The lines that load images and compute vectors of a batch."""

from __future__ import annotations

from collections.abc import Sequence

from featlib.errors import FeatlibError
from featlib.images import list_samples
from featlib.models import LayerInfo
from featlib.recipes.context import CodeContext
from featlib.recipes.networks import is_plain, layer_output
from featlib.recipes.program import literal

POOLING_LAYERS = {
    "avg": "keras.layers.GlobalAveragePooling2D()",
    "max": "keras.layers.GlobalMaxPooling2D()",
    "flatten": "keras.layers.Flatten()",
}
BATCH = 32
UPLOADS_FOLDER = "photos/"


def image_set(context: CodeContext, limit: int | None = None, by: str | None = None) -> str:
    """Write the line that loads the images, or a sample of them with equally many of each label in column `by`."""
    if context.images is None:
        code, comment = f"featlib.load_images({literal(UPLOADS_FOLDER)})", "  # the folder with your images"
    else:
        code, comment = f"featlib.load_samples({literal(context.images)})", ""
    count = next((sample.count for sample in list_samples() if sample.name == context.images), None)
    if limit is not None and (count is None or limit < count):
        code += f".sample({limit}, by={literal(by)})" if by else f".sample({limit})"
    return f"images = {code}{comment}"


def vectors(context: CodeContext, l2: bool = False) -> str:
    """Write the lines that turn `images` into `X` (n, D), batch by batch.

    Raises:
        FeatlibError: If a layer has height and width, and there is no pooling.
    """
    outputs = [_pooled_output(context, info) for info in context.infos]
    if not is_plain(context):
        layers = "".join(f"    {literal(info.path)},\n" for info in context.infos)
        scaled = ", l2_normalize=True" if l2 else ""
        return f"""
layers = [
{layers}]
table = featlib.extract_vectors(backbone, images, layers, pooling={_pooling(context)}{scaled})
X = table.X  # (n, D)
"""
    width = "height * width * channels" if context.pooling == "flatten" else "channels"
    lines = [f"output = {outputs[0]}  # (n, {width if context.info.kind == 'maps' else 'D'})"]
    if len(outputs) > 1:
        lines = ["outputs = [", *(f"    {output}," for output in outputs), "]"]
        if l2:
            lines.append("outputs = [keras.layers.UnitNormalization()(output) for output in outputs]  # length 1")
        lines.append("output = keras.layers.Concatenate()(outputs)  # side by side")
    elif l2:
        lines.append("output = keras.layers.UnitNormalization()(output)  # length 1")
    lines += [
        "tap = keras.Model(model.inputs[0], output)  # the network up to this layer",
        "",
        f"batches = [images[i : i + {BATCH}] for i in range(0, len(images), {BATCH})]",
        "X = np.concatenate([tap.predict_on_batch(prepare(batch)) for batch in batches])  # (n, D)",
    ]
    return "\n".join(lines)


def several_vectors(contexts: Sequence[CodeContext]) -> str:
    """Write the lines that turn `images` into `parts`, one X per layer, in one pass; one context per layer.

    Raises:
        FeatlibError: If a layer has height and width, and there is no pooling.
    """
    outputs = "".join(f"    {_pooled_output(context, context.info)},\n" for context in contexts)
    names = "".join(f"    {literal(context.info.path)},\n" for context in contexts)
    if not all(is_plain(context) for context in contexts):
        return f"""
layers = [
{names}]
table = featlib.extract_vectors(backbone, images, layers, pooling={_pooling(contexts[0])})  # all layers in one pass
layer_of = np.array([column.rpartition(":")[0] for column in table.columns])
parts = [table.X[:, layer_of == layer] for layer in layers]  # one (n, D) per layer
"""
    return f"""
layers = [
{names}]
outputs = [
{outputs}]
taps = keras.Model(model.inputs[0], outputs)  # all layers in one pass

batches = [images[i : i + {BATCH}] for i in range(0, len(images), {BATCH})]
results = [taps.predict_on_batch(prepare(batch)) for batch in batches]
parts = [np.concatenate(part) for part in zip(*results, strict=True)]  # one (n, D) per layer
"""


def _pooled_output(context: CodeContext, info: LayerInfo) -> str:
    if info.kind != "maps":
        return layer_output(context, info)
    if context.pooling not in POOLING_LAYERS:
        raise FeatlibError(
            f"'{info.path}' outputs feature maps, so vectors need a pooling: one of "
            f"{', '.join(map(repr, POOLING_LAYERS))}. Received: {context.pooling!r}."
        )
    return f"{POOLING_LAYERS[context.pooling]}({layer_output(context, info)})"


def _pooling(context: CodeContext) -> str:
    return literal(context.pooling) if context.pooling else "None"
