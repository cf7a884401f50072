"""Programs about a batch of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from featlib.analysis import (
    DEFAULT_PERPLEXITY,
    EARLY_ITERATIONS,
    MAIN_ITERATIONS,
    MAX_COVARIANCE,
    MAX_EXACT,
    PCA_BEFORE_TSNE,
)
from featlib.recipes.context import CodeContext
from featlib.recipes.networks import is_plain, network, network_imports, prepare
from featlib.recipes.parts import image_set, labels_of, several_vectors, vectors
from featlib.recipes.program import KERAS, NUMPY, program

PROBE = {
    NUMPY,
    "from sklearn.linear_model import LogisticRegression",
    "from sklearn.pipeline import make_pipeline",
    "from sklearn.preprocessing import StandardScaler",
}
SOLVER = f"""
solver = "covariance_eigh" if X.shape[1] <= min(len(X), {MAX_COVARIANCE}) else "full"  # both are exact
if solver == "full" and X.size > {MAX_EXACT}:
    solver = "randomized"
else:
    X = X.astype("float64")
"""


def vectors_code(
    context: CodeContext, *, l2: bool = False, limit: int | None = None, sample_by: str | None = None
) -> str:
    """Write the program that turns the images into `X` (n, D) and saves it to a file.

    Args:
        context: The choices.
        l2: Whether each layer's part is L2-normalized.
        limit: Number of images to use; None for all.
        sample_by: Label column; the sample has equally many of each of its labels.

    Raises:
        FeatlibError: If a layer has height and width, and there is no pooling.
    """
    save = """
print(X.shape, X.dtype)
np.savez("vectors.npz", X=X, ids=images.ids, names=images.names)
"""
    return _batch_program(context, {NUMPY}, image_set(context, limit, sample_by), vectors(context, l2), save)


def projection_code(
    context: CodeContext,
    method: str = "pca",
    n_components: int = 2,
    perplexity: float | None = None,
    random_state: int = 0,
    *,
    limit: int | None = None,
    sample_by: str | None = None,
) -> str:
    """Write the program that projects the images' vectors to the `coordinates` (n, n_components) on screen.

    Args:
        context: The choices.
        method: "pca" or "tsne".
        n_components: 2 or 3.
        perplexity: For t-SNE only; None for the default.
        random_state: Seed.
        limit: Number of images to use; None for all.
        sample_by: Label column; the sample has equally many of each of its labels.

    Raises:
        FeatlibError: If a layer has height and width, and there is no pooling.
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
    return _batch_program(context, imports, image_set(context, limit, sample_by), vectors(context), SOLVER, steps)


def transfer_code(
    context: CodeContext,
    label_column: str,
    cv: int = 5,
    random_state: int = 0,
    limit: int | None = None,
    *,
    skip_single: bool = False,
) -> str:
    """Write the program that fits a head on the frozen vectors: `accuracies` (folds,), `predictions` (n,).

    Args:
        context: The choices.
        label_column: Labels to predict.
        cv: Number of folds; at most the size of the smallest class.
        random_state: Seed of the shuffle into folds.
        limit: Number of images to use, equally many of each label; None for all.
        skip_single: Whether to skip the classes with a single image.

    Raises:
        FeatlibError: If a layer has height and width, and there is no pooling.
    """
    imports = PROBE | {
        "from sklearn.metrics import confusion_matrix",
        "from sklearn.model_selection import StratifiedKFold, cross_val_predict",
    }
    learn = f"""
head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
folds = StratifiedKFold(min({cv}, counts.min()), shuffle=True, random_state={random_state})

predictions = cross_val_predict(head, X, y, cv=folds)  # (n,), each from a head that was not fitted on the image
accuracies = [np.mean(predictions[test] == y[test]) for _, test in folds.split(X, y)]  # (folds,)
print(f"accuracy {{np.mean(accuracies):.1%}} +- {{np.std(accuracies):.1%}}")
print(f"always the most common class: {{counts.max() / len(y):.1%}}")
print(confusion_matrix(y, predictions))  # rows: true, columns: predicted
"""
    images = [image_set(context, limit, label_column), labels_of("images", label_column, skip_single=skip_single)]
    return _batch_program(context, imports, *images, vectors(context), learn)


def layer_probe_code(
    context: CodeContext,
    layers: Sequence[str],
    label_column: str,
    cv: int = 5,
    random_state: int = 0,
    limit: int | None = None,
    *,
    skip_single: bool = False,
) -> str:
    """Write the program that scores a head on each of several layers: `accuracies`, layer -> (folds,).

    Args:
        context: The choices.
        layers: Layer paths.
        label_column: Labels to predict.
        cv: Number of folds; at most the size of the smallest class.
        random_state: Seed of the shuffle into folds.
        limit: Number of images to use, equally many of each label; None for all.
        skip_single: Whether to skip the classes with a single image.

    Raises:
        FeatlibError: If a layer has height and width, and there is no pooling.
        LayerNotFoundError: If there is no such layer.
    """
    imports = PROBE | {"from sklearn.model_selection import StratifiedKFold, cross_val_score"}
    learn = f"""
folds = StratifiedKFold(min({cv}, counts.min()), shuffle=True, random_state={random_state})
accuracies = {{}}
for layer, X in zip(layers, parts, strict=True):
    head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    accuracies[layer] = cross_val_score(head, X, y, cv=folds)
    print(f"{{layer:<30}} {{np.mean(accuracies[layer]):.1%}} +- {{np.std(accuracies[layer]):.1%}}")
print(f"{{'always the most common class':<30}} {{counts.max() / len(y):.1%}}")
"""
    contexts = [replace(context, layer=layer, also="") for layer in layers]
    first = next((one for one in contexts if not is_plain(one)), contexts[0])  # one decides for the whole program
    images = [image_set(context, limit, label_column), labels_of("images", label_column, skip_single=skip_single)]
    return _batch_program(first, imports, *images, several_vectors(contexts), learn)


def _batch_program(context: CodeContext, imports: set[str], *blocks: str) -> str:
    keras = {KERAS, NUMPY} if is_plain(context) else set()
    feed = prepare(context) if is_plain(context) else []
    return program(network_imports(context) | keras | imports, network(context), *feed, *blocks)


def _tsne_steps(n_components: int, perplexity: float | None, random_state: int) -> str:
    value = f"min({DEFAULT_PERPLEXITY}, (len(X) - 1) / 3)" if perplexity is None else f"{float(perplexity)}"
    return f"""
pca = PCA(min({PCA_BEFORE_TSNE}, *X.shape), svd_solver=solver, random_state={random_state})
# t-SNE amplifies rounding: on another machine the same groups may appear rotated or elsewhere.
tsne = TSNE(
    n_components={n_components},
    perplexity={value},
    early_exaggeration_iter={EARLY_ITERATIONS},
    n_iter={MAIN_ITERATIONS},
    neighbors="exact" if len(X) <= 1000 else "annoy",
    negative_gradient_method="bh",
    n_jobs=1,
    random_state={random_state},
)
coordinates = np.array(tsne.fit(pca.fit_transform(X)))  # (n, {n_components})
"""
