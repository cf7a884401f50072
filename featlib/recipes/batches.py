"""Programs about a batch of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from featlib.analysis.projection import (
    DEFAULT_PERPLEXITY,
    EARLY_ITERATIONS,
    MAIN_ITERATIONS,
    MAX_COVARIANCE,
    MAX_EXACT,
    PCA_BEFORE_TSNE,
)
from featlib.recipes.networks import is_plain, network, network_imports, prepare
from featlib.recipes.parts import image_set, several_vectors, vectors
from featlib.recipes.program import KERAS, NUMPY, literal, program
from featlib.recipes.scene import Scene

SOLVER = f"""
solver = "covariance_eigh" if X.shape[1] <= min(len(X), {MAX_COVARIANCE}) else "full"  # both are exact
if solver == "full" and X.size > {MAX_EXACT}:
    solver = "randomized"
else:
    X = X.astype("float64")
"""


def vectors_code(scene: Scene, *, l2: bool = False, limit: int | None = None, sample_by: str | None = None) -> str:
    """The program that turns the images into `X` (n, D) and writes it to a file.

    Args:
        scene: the choices.
        l2: whether each layer's part is scaled to length 1.
        limit: how many of the images are used; None for all.
        sample_by: the label column of which each label gets an equal share of the limit.

    Raises:
        FeatlibError: a layer with height and width, and no pooling.
    """
    save = """
print(X.shape, X.dtype)
np.savez("vectors.npz", X=X, ids=images.ids, names=images.names)
"""
    return _batch_program(scene, {NUMPY}, image_set(scene, limit, sample_by), vectors(scene, l2), save)


def projection_code(
    scene: Scene,
    method: str = "pca",
    n_components: int = 2,
    perplexity: float | None = None,
    random_state: int = 0,
    *,
    limit: int | None = None,
    sample_by: str | None = None,
) -> str:
    """The program that projects the images' vectors to `coordinates` (n, n_components), the same as on screen.

    Args:
        scene: the choices.
        method: "pca" or "tsne".
        n_components: 2 or 3.
        perplexity: t-SNE only; None takes the default.
        random_state: the seed.
        limit: how many of the images are used; None for all.
        sample_by: the label column of which each label gets an equal share of the limit.

    Raises:
        FeatlibError: a layer with height and width, and no pooling.
    """
    imports = {"from sklearn.decomposition import PCA"}
    if method == "tsne":
        imports |= {NUMPY, "from openTSNE import TSNE"}
        steps = _tsne_steps(n_components, perplexity, random_state)
    else:
        steps = f"""
pca = PCA({n_components}, svd_solver=solver, random_state={random_state})
coordinates = pca.fit_transform(X)  # (n, {n_components})
print(pca.explained_variance_ratio_)
"""
    return _batch_program(scene, imports, image_set(scene, limit, sample_by), vectors(scene), SOLVER, steps)


def transfer_code(scene: Scene, label_column: str, cv: int = 5, random_state: int = 0, limit: int | None = None) -> str:
    """The program that learns the labels from the frozen vectors: `accuracies` (folds,), `predictions` (n,).

    Args:
        scene: the choices.
        label_column: the labels to learn.
        cv: number of folds; the size of the smallest class where that is less.
        random_state: the seed of the shuffle into folds.
        limit: how many of the images are used, an equal share of each label; None for all.

    Raises:
        FeatlibError: a layer with height and width, and no pooling.
    """
    imports = {
        NUMPY,
        "from sklearn.linear_model import LogisticRegression",
        "from sklearn.metrics import confusion_matrix",
        "from sklearn.model_selection import StratifiedKFold, cross_val_predict",
        "from sklearn.pipeline import make_pipeline",
        "from sklearn.preprocessing import StandardScaler",
    }
    learn = f"""
y = images.labels_for({literal(label_column)})  # (n,)
classes, counts = np.unique(y, return_counts=True)
head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
folds = StratifiedKFold(min({cv}, counts.min()), shuffle=True, random_state={random_state})

predictions = cross_val_predict(head, X, y, cv=folds)  # (n,), each by a head that had not seen the image
accuracies = [np.mean(predictions[test] == y[test]) for _, test in folds.split(X, y)]  # (folds,)
print(f"accuracy {{np.mean(accuracies):.1%}} +- {{np.std(accuracies):.1%}}")
print(f"always the commonest label: {{counts.max() / len(y):.1%}}")
print(confusion_matrix(y, predictions))  # rows: true, columns: predicted
"""
    return _batch_program(scene, imports, image_set(scene, limit, label_column), vectors(scene), learn)


def layer_probe_code(
    scene: Scene, layers: Sequence[str], label_column: str, cv: int = 5, random_state: int = 0, limit: int | None = None
) -> str:
    """The program that scores a head on each of several layers: `accuracies`, a dict from layer to (folds,).

    Args:
        scene: the choices.
        layers: layer paths.
        label_column: the labels to learn.
        cv: number of folds; the size of the smallest class where that is less.
        random_state: the seed of the shuffle into folds.
        limit: how many of the images are used, an equal share of each label; None for all.

    Raises:
        FeatlibError: a layer with height and width, and no pooling.
        LayerNotFoundError: there is no such layer.
    """
    imports = {
        NUMPY,
        "from sklearn.linear_model import LogisticRegression",
        "from sklearn.model_selection import StratifiedKFold, cross_val_score",
        "from sklearn.pipeline import make_pipeline",
        "from sklearn.preprocessing import StandardScaler",
    }
    learn = f"""
y = images.labels_for({literal(label_column)})  # (n,)
counts = np.unique(y, return_counts=True)[1]
folds = StratifiedKFold(min({cv}, counts.min()), shuffle=True, random_state={random_state})
accuracies = {{}}
for layer, X in zip(layers, parts, strict=True):
    head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    accuracies[layer] = cross_val_score(head, X, y, cv=folds)
    print(f"{{layer:<30}} {{np.mean(accuracies[layer]):.1%}} +- {{np.std(accuracies[layer]):.1%}}")
print(f"{{'always the commonest label':<30}} {{counts.max() / len(y):.1%}}")
"""
    scenes = [replace(scene, layer=layer, also="") for layer in layers]
    plain = next((one for one in scenes if not is_plain(one)), scenes[0])  # one that is not makes the program so
    return _batch_program(plain, imports, image_set(scene, limit, label_column), several_vectors(scenes), learn)


def _batch_program(scene: Scene, imports: set[str], *blocks: str) -> str:
    keras = {KERAS, NUMPY} if is_plain(scene) else set()
    feed = [prepare(scene)] if is_plain(scene) else []
    return program(network_imports(scene) | keras | imports, network(scene), *feed, *blocks)


def _tsne_steps(n_components: int, perplexity: float | None, random_state: int) -> str:
    used = f"min({DEFAULT_PERPLEXITY}, (len(X) - 1) / 3)" if perplexity is None else f"{float(perplexity)}"
    return f"""
pca = PCA(min({PCA_BEFORE_TSNE}, *X.shape), svd_solver=solver, random_state={random_state})
# t-SNE magnifies the last digits of X: computed in another way, the same groups may lie turned or elsewhere.
tsne = TSNE(
    n_components={n_components},
    perplexity={used},
    early_exaggeration_iter={EARLY_ITERATIONS},
    n_iter={MAIN_ITERATIONS},
    neighbors="exact" if len(X) <= 1000 else "annoy",
    negative_gradient_method="bh",
    n_jobs=1,
    random_state={random_state},
)
coordinates = np.array(tsne.fit(pca.fit_transform(X)))  # (n, {n_components})
"""
