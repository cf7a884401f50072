"""Programs about what goes into a network, and about two networks that see the same."""

from __future__ import annotations

from dataclasses import replace

from featlib.models import PREPROCESSING
from featlib.recipes.networks import is_plain, layer_output, network, network_imports, prepare
from featlib.recipes.parts import BATCH, image_set
from featlib.recipes.program import FEATLIB, KERAS, NUMPY, literal, program
from featlib.recipes.scene import Scene

RESIZE = "from featlib.models.preprocessing import resize_and_crop"
NEAREST = (
    "from sklearn.model_selection import LeaveOneOut, cross_val_predict",
    "from sklearn.neighbors import KNeighborsClassifier",
)
VIEWS = 120  # how many there are


def preprocessing_code(scene: Scene, wrong: str, layer: str) -> str:
    """The program that prepares the image as the network wants it and wrongly: `right`, `wrong`, `cosine`.

    Args:
        scene: the choices.
        wrong: name of a simple preprocessing.
        layer: path of the layer whose vectors are compared.
    """
    prepared = f"""
image = images[{scene.image_index}]
right = prepare([image])  # (1, height, width, channels): what enters the network

height, width = right.shape[1:3]
x = resize_and_crop(image.pixels, height, width)[np.newaxis].astype("float32")  # 0...255
{PREPROCESSING[wrong].code}
wrong = x.astype("float32")
for name, x in {{"right": right, "wrong": wrong}}.items():
    print(f"{{name}}: {{x.min():.3g}} ... {{x.max():.3g}}, mean of each channel {{x.mean(axis=(0, 1, 2)).round(3)}}")
"""
    scene = replace(scene, layer=layer, also="")
    tap, run = _tap(scene)
    compared = f"""
{tap}
outputs = {run.format(x="np.concatenate([right, wrong])")}  # (2, height, width, channels)
vectors = outputs.reshape(2, -1, outputs.shape[-1]).mean(axis=1)  # (2, channels): global average pooling
vectors = vectors.astype("float64")  # squares of tiny values vanish in float32
lengths = np.linalg.norm(vectors, axis=1)
cosine = vectors[0] @ vectors[1] / (lengths[0] * lengths[1])
print(f"cosine similarity of the two vectors: {{cosine:.3f}}")  # 1: the same direction
"""
    imports = network_imports(scene) | {NUMPY, RESIZE} | ({KERAS} if is_plain(scene) else set())
    return program(imports, network(scene), prepare(scene), image_set(scene), prepared, compared)


def compare_code(left: Scene, right: Scene, left_layer: str, right_layer: str) -> str:
    """The program that shows the same images to two networks: an output and an agreement of each.

    `left_output` and `right_output` are of the one image; `left_agreement` and `right_agreement` are the shares of the
    built-in views whose five nearest others show the same photo.

    Args:
        left: the choices of the network on the left, and the image.
        right: the choices of the other network.
        left_layer: path of the layer looked at on the left.
        right_layer: path of the layer looked at on the right.
    """
    look = f'''
def look(tap, prepare):
    """A layer's output for the image, and how often the nearest views name a view's photo right."""
    rows = []
    for i in range(0, len(views), {BATCH}):
        outputs = tap(prepare(views[i : i + {BATCH}]))
        rows.append(outputs.reshape(len(outputs), -1, outputs.shape[-1]).mean(axis=1))  # global average pooling
    # Layers with random weights give tiny values, whose squares vanish in float32.
    X = np.concatenate(rows).astype("float64")  # ({VIEWS}, channels)
    nearest = KNeighborsClassifier(5, metric="cosine")
    named = cross_val_predict(nearest, X, labels, cv=LeaveOneOut())
    return tap(prepare([image]))[0], np.mean(named == labels)
'''
    images = f"""
{image_set(left)}
image = images[{left.image_index}]
views = featlib.load_samples("views")
labels = views.labels_for("photo")  # ({VIEWS},)
"""
    left, right = replace(left, layer=left_layer, also=""), replace(right, layer=right_layer, also="")
    imports = network_imports(left) | network_imports(right) | {NUMPY, FEATLIB, *NEAREST}
    imports |= {KERAS} if is_plain(left) or is_plain(right) else set()
    end = 'print(f"nearest views: left {left_agreement:.1%}, right {right_agreement:.1%}")'
    sides = [*_side("left", left), *_side("right", right)]
    return program(imports, images, look, *sides, end)


def _side(name: str, scene: Scene) -> list[str]:
    tap, run = _tap(scene)
    called = f"lambda x: {run.format(x='x')}" if not is_plain(scene) else "tap.predict_on_batch"
    return [network(scene), prepare(scene), tap, f"{name}_output, {name}_agreement = look({called}, prepare)"]


def _tap(scene: Scene) -> tuple[str, str]:
    """The line that makes `tap`, and the expression that runs it on `{x}`."""
    if is_plain(scene):
        made = f"tap = keras.Model(model.inputs[0], {layer_output(scene, scene.info)})"
        return f"{made}  # the network up to there, and nothing beyond", "tap.predict_on_batch({x})"
    made = f"layer = {literal(scene.info.path)}\ntap = featlib.tap_layers(backbone, [layer])"
    return f"{made}  # the network up to there, and nothing beyond", "np.asarray(tap({x})[0])"
