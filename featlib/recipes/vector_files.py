"""The program about vectors in Parquet files."""

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
    """Yield the vectors of all readable images, at least `rows` at a time."""
    parts = []
    for batch in vectors.to_batches(columns=["vector"], filter=ds.field("error").is_null()):
        parts.append(batch["vector"].flatten().to_numpy().reshape(-1, D))
        if sum(len(X) for X in parts) >= rows:
            yield np.concatenate(parts)
            parts = []
    if parts:
        yield np.concatenate(parts)
'''


def vector_files_code(path: str | None, n_components: int = 2) -> str:
    """Write the program that computes the PCA `coordinates` (n, n_components) of all rows, in pieces.

    Args:
        path: A .parquet file or a folder of `part-*.parquet`; None for an uploaded file.
        n_components: 2 or 3.
    """
    comment = "  # your file" if path is None else ""
    steps = f"""
pca = IncrementalPCA()  # all axes: keeping only {n_components} would lose information with each batch
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
    return program(imports, f"path = Path({literal(path or UPLOADED)}){comment}{READ.rstrip()}", BATCHES, steps)
