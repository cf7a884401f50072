"""Programs about the input of a network, and about two networks on the same images."""

from __future__ import annotations

from dataclasses import replace

from featlib.models import PREPROCESSING
from featlib.recipes.context import CodeContext
from featlib.recipes.networks import is_plain, layer_output, network, network_imports, prepare
from featlib.recipes.parts import BATCH, chosen_image, labels_of, sample
from featlib.recipes.program import FEATLIB, KERAS, NUMPY, literal, program

EVALUATION = {
    "from sklearn.linear_model import LogisticRegression",
    "from sklearn.model_selection import StratifiedKFold, cross_val_predict",
    "from sklearn.neighbors import NearestNeighbors",
    "from sklearn.pipeline import make_pipeline",
    "from sklearn.preprocessing import StandardScaler",
}
EVALUATE = f'''
def evaluate(tap, prepare):
    """Return a layer's output for the image, and how well its vectors tell the labels of all images."""
    rows = []
    for i in range(0, len(labeled), {BATCH}):
        outputs = tap(prepare(labeled[i : i + {BATCH}]))
        rows.append(outputs.reshape(len(outputs), -1, outputs.shape[-1]).mean(axis=1))  # global average pooling
    X = np.concatenate(rows)  # (n, channels)

    # Layers with random weights give tiny values, whose squares vanish in float32.
    nearest = NearestNeighbors(n_neighbors=min(5, len(X) - 1), metric="cosine").fit(X.astype("float64"))
    neighbors = y[nearest.kneighbors(return_distance=False)]  # (n, 5), without the image itself
    votes = (neighbors[:, :, np.newaxis] == classes).sum(axis=1)  # (n, classes)
    agreement = np.mean(classes[votes.argmax(axis=1)] == y)

    head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    predictions = cross_val_predict(head, X, y, cv=folds)  # (n,), each from a head that was not fitted on the image
    accuracies = np.array([np.mean(predictions[test] == y[test]) for _, test in folds.split(X, y)])
    return tap(prepare([image]))[0], agreement, accuracies, predictions
'''
COMPARE = """
print(f"5-nearest-neighbor accuracy: left {left_agreement:.1%}, right {right_agreement:.1%}")
print(f"linear probe: left {left_accuracies.mean():.1%}, right {right_accuracies.mean():.1%}")
gains = right_accuracies - left_accuracies  # (folds,)
print(f"right minus left: {gains.mean():+.1%} +- {gains.std():.1%}")
left_correct, right_correct = left_predictions == y, right_predictions == y
print("correct on the left only:", np.array(labeled.names)[left_correct & ~right_correct])
print("correct on the right only:", np.array(labeled.names)[right_correct & ~left_correct])
"""


def preprocessing_code(context: CodeContext, wrong: str, layer: str) -> str:
    """Write the program that preprocesses the image correctly and wrongly: `right`, `wrong`, `cosine`.

    Args:
        context: The choices.
        wrong: Name of a simple preprocessing.
        layer: Path of the layer whose vectors are compared.
    """
    prepared = f"""
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
    return program(imports, network(context), *prepare(context), chosen_image(context), prepared, compared)


def compare_code(
    left: CodeContext,
    right: CodeContext,
    left_layer: str,
    right_layer: str,
    label_column: str = "",
    *,
    limit: int | None = None,
    skip_single: bool = False,
) -> str:
    """Write the program that evaluates a layer of two networks on the same images and labels.

    For the one image it computes `left_output` and `right_output`; for all images `left_agreement` and
    `right_agreement`, the 5-nearest-neighbor accuracies, and of a linear probe `left_accuracies` and
    `right_accuracies` (folds,), `left_predictions` and `right_predictions` (n,).

    Args:
        left: The choices for the network on the left, and the image.
        right: The choices for the other network.
        left_layer: Path of the layer on the left.
        right_layer: Path of the layer on the right.
        label_column: Labels of the images; empty to evaluate on the built-in views instead.
        limit: Number of images to use, equally many of each label; None for all.
        skip_single: Whether to skip the classes with a single image.
    """
    labeled = "images" + sample(left, limit, label_column) if label_column else 'featlib.load_samples("views")'
    images = f"""
{chosen_image(left)}
labeled = {labeled}
{labels_of("labeled", label_column or "photo", skip_single=skip_single)}
folds = StratifiedKFold(min(5, counts.min()), shuffle=True, random_state=0)
"""
    left, right = replace(left, layer=left_layer, also=""), replace(right, layer=right_layer, also="")
    imports, sides = {NUMPY, FEATLIB, *EVALUATION}, []
    for name, side in (("left", left), ("right", right)):
        tap, run = _tap(side)
        function = "tap.predict_on_batch" if is_plain(side) else f"lambda x: {run.format(x='x')}"
        results = ", ".join(f"{name}_{part}" for part in ("output", "agreement", "accuracies", "predictions"))
        imports |= network_imports(side) | ({KERAS} if is_plain(side) else set())
        sides += [network(side), *prepare(side), tap, f"{results} = evaluate({function}, prepare)"]
    return program(imports, images, EVALUATE, *sides, COMPARE)


def _tap(context: CodeContext) -> tuple[str, str]:
    """Write the line that makes `tap`, and the expression that runs it on `{x}`."""
    if is_plain(context):
        line = f"tap = keras.Model(model.inputs[0], {layer_output(context, context.info)})"
        return f"{line}  # the network up to this layer", "tap.predict_on_batch({x})"
    line = f"layer = {literal(context.info.path)}\ntap = featlib.tap_layers(backbone, [layer])"
    return f"{line}  # the network up to this layer", "np.asarray(tap({x})[0])"
