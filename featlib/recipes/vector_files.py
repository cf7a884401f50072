"""The program behind a set of vectors in Parquet files."""

from __future__ import annotations

from featlib.recipes.program import NUMPY, literal, program

UPLOADED = "vectors.parquet"

READ = """
files = sorted(path.glob("part-*.parquet")) if path.is_dir() else [path]
vectors = ds.dataset(files)
D = vectors.schema.field("vector").type.list_size
"""
BATCHES = '''
def batches(rows):
    """The vectors of all images that could be read, in pieces of at least so many rows."""
    kept = []
    for batch in vectors.to_batches(columns=["vector"], filter=ds.field("error").is_null()):
        kept.append(batch["vector"].flatten().to_numpy().reshape(-1, D))
        if sum(len(X) for X in kept) >= rows:
            yield np.concatenate(kept)
            kept = []
    if kept:
        yield np.concatenate(kept)
'''


def vector_files_code(path: str | None, n_components: int = 2) -> str:
    """The program that makes the PCA coordinates of all rows: `coordinates` (n, n_components), one piece in memory.

    Args:
        path: a .parquet file or a folder of `part-*.parquet`; None for a file that was uploaded.
        n_components: 2 or 3.
    """
    told = "  # your file" if path is None else ""
    steps = f"""
pca = IncrementalPCA()  # all axes: with only {n_components}, each batch would lose what they do not hold
for X in batches(rows=max(D, 4096)):
    pca.partial_fit(X.astype(np.float64))

axes = pca.components_[:{n_components}]  # ({n_components}, D)
coordinates = np.concatenate([(X - pca.mean_) @ axes.T for X in batches(rows=4096)])  # (n, {n_components})
print(pca.explained_variance_ratio_[:{n_components}])
"""
    imports = {
        NUMPY,
        "import pyarrow.dataset as ds",
        "from pathlib import Path",
        "from sklearn.decomposition import IncrementalPCA",
    }
    return program(imports, f"path = Path({literal(path or UPLOADED)}){told}{READ.rstrip()}", BATCHES, steps)
