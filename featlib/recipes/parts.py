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
    return f"images = {code}{sample(context, limit, by)}{comment}"


def sample(context: CodeContext, limit: int | None, by: str | None = None) -> str:
    """Write the method call that draws a sample from the images; nothing if it would leave them all."""
    count = next((known.count for known in list_samples() if known.name == context.images), None)
    if limit is None or (count is not None and limit >= count):
        return ""
    return f".sample({limit}, by={literal(by)})" if by else f".sample({limit})"


def chosen_image(context: CodeContext) -> str:
    """Write the lines that load the images and choose the selected one, `image`."""
    index = str(context.image_index)
    if context.image_name is not None:
        index = f"images.names.index({literal(context.image_name)})"
    return f"{image_set(context)}\nimage = images[{index}]"


def labels_of(variable: str, column: str, *, skip_single: bool) -> str:
    """Write the lines that read the labels `y` (n,) of the images `variable`, with the `classes` and their `counts`.

    Args:
        variable: The variable of the images.
        column: Their label column.
        skip_single: Whether to drop the images that are the only one of their class.
    """
    lines = f"""
y = {variable}.labels_for({literal(column)})  # (n,)
classes, counts = np.unique(y, return_counts=True)
"""
    if not skip_single:
        return lines.strip("\n")
    return f"""{lines.strip()}
several = np.isin(y, classes[counts > 1])  # a class with a single image cannot be both learned and tested
{variable}, y = {variable}[several], y[several]
classes, counts = np.unique(y, return_counts=True)"""


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
    several = "[np.concatenate(part) for part in zip(*results, strict=True)]"
    parts = several if len(contexts) > 1 else "[np.concatenate(results)]"  # Keras returns one output without a list
    return f"""
layers = [
{names}]
outputs = [
{outputs}]
taps = keras.Model(model.inputs[0], outputs)  # all layers in one pass

batches = [images[i : i + {BATCH}] for i in range(0, len(images), {BATCH})]
results = [taps.predict_on_batch(prepare(batch)) for batch in batches]
parts = {parts}  # one (n, D) per layer
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
