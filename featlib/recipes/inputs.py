"""Programs about the input of a network, and about two networks on the same images."""

from __future__ import annotations

from dataclasses import replace

from featlib.models import PREPROCESSING
from featlib.recipes.context import CodeContext
from featlib.recipes.networks import is_plain, layer_output, network, network_imports, prepare
from featlib.recipes.parts import BATCH, image_set
from featlib.recipes.program import FEATLIB, KERAS, NUMPY, literal, program

NEAREST = {
    "from sklearn.model_selection import LeaveOneOut, cross_val_predict",
    "from sklearn.neighbors import KNeighborsClassifier",
}
N_VIEWS = 120  # in the built-in set


def preprocessing_code(context: CodeContext, wrong: str, layer: str) -> str:
    """Write the program that preprocesses the image correctly and wrongly: `right`, `wrong`, `cosine`.

    Args:
        context: The choices.
        wrong: Name of a simple preprocessing.
        layer: Path of the layer whose vectors are compared.
    """
    prepared = f"""
image = images[{context.image_index}]
right = prepare([image])  # (1, height, width, channels): what enters the network

x = backbone.resize(image.pixels)[np.newaxis].astype("float32")  # 0...255
{PREPROCESSING[wrong].code}
wrong = x.astype("float32")
for name, x in {{"right": right, "wrong": wrong}}.items():
    print(f"{{name}}: {{x.min():.3g}} ... {{x.max():.3g}}, mean of each channel {{x.mean(axis=(0, 1, 2)).round(3)}}")
"""
    context = replace(context, layer=layer, also="")
    tap, run = _tap(context)
    compared = f"""
{tap}
outputs = {run.format(x="np.concatenate([right, wrong])")}  # (2, height, width, channels)
vectors = outputs.reshape(2, -1, outputs.shape[-1]).mean(axis=1)  # (2, channels): global average pooling
vectors = vectors.astype("float64")  # squares of tiny values vanish in float32
lengths = np.linalg.norm(vectors, axis=1)
cosine = vectors[0] @ vectors[1] / (lengths[0] * lengths[1])
print(f"cosine similarity of the two vectors: {{cosine:.3f}}")  # 1: the same direction
"""
    imports = network_imports(context) | {NUMPY} | ({KERAS} if is_plain(context) else set())
    return program(imports, network(context), *prepare(context), image_set(context), prepared, compared)


def compare_code(left: CodeContext, right: CodeContext, left_layer: str, right_layer: str) -> str:
    """Write the program that runs two networks on the same images: an output and an agreement of each.

    `left_output` and `right_output` are of the one image; `left_agreement` and `right_agreement` are the
    5-nearest-neighbor accuracies on the built-in views.

    Args:
        left: The choices for the network on the left, and the image.
        right: The choices for the other network.
        left_layer: Path of the layer on the left.
        right_layer: Path of the layer on the right.
    """
    evaluate = f'''
def evaluate(tap, prepare):
    """Return a layer's output for the image, and its 5-nearest-neighbor accuracy on the views."""
    rows = []
    for i in range(0, len(views), {BATCH}):
        outputs = tap(prepare(views[i : i + {BATCH}]))
        rows.append(outputs.reshape(len(outputs), -1, outputs.shape[-1]).mean(axis=1))  # global average pooling
    # Layers with random weights give tiny values, whose squares vanish in float32.
    X = np.concatenate(rows).astype("float64")  # ({N_VIEWS}, channels)
    nearest = KNeighborsClassifier(5, metric="cosine")
    predicted = cross_val_predict(nearest, X, labels, cv=LeaveOneOut())
    return tap(prepare([image]))[0], np.mean(predicted == labels)
'''
    images = f"""
{image_set(left)}
image = images[{left.image_index}]
views = featlib.load_samples("views")
labels = views.labels_for("photo")  # ({N_VIEWS},)
"""
    left, right = replace(left, layer=left_layer, also=""), replace(right, layer=right_layer, also="")
    imports, sides = {NUMPY, FEATLIB, *NEAREST}, []
    for name, side in (("left", left), ("right", right)):
        tap, run = _tap(side)
        function = "tap.predict_on_batch" if is_plain(side) else f"lambda x: {run.format(x='x')}"
        result = f"{name}_output, {name}_agreement = evaluate({function}, prepare)"
        imports |= network_imports(side) | ({KERAS} if is_plain(side) else set())
        sides += [network(side), *prepare(side), tap, result]
    end = 'print(f"5-nearest-neighbor accuracy: left {left_agreement:.1%}, right {right_agreement:.1%}")'
    return program(imports, images, evaluate, *sides, end)


def _tap(context: CodeContext) -> tuple[str, str]:
    """Write the line that makes `tap`, and the expression that runs it on `{x}`."""
    if is_plain(context):
        line = f"tap = keras.Model(model.inputs[0], {layer_output(context, context.info)})"
        return f"{line}  # the network up to this layer", "tap.predict_on_batch({x})"
    line = f"layer = {literal(context.info.path)}\ntap = featlib.tap_layers(backbone, [layer])"
    return f"{line}  # the network up to this layer", "np.asarray(tap({x})[0])"
