"""Write the programs behind each screen as text, in Keras, scikit-learn and NumPy; nothing is run here."""

from featlib.recipes.batches import layer_probe_code, projection_code, transfer_code, vectors_code
from featlib.recipes.context import CodeContext
from featlib.recipes.inputs import compare_code, preprocessing_code
from featlib.recipes.single import feature_maps_code, predict_code, summary_code
from featlib.recipes.vector_files import vector_files_code

__all__ = [
    "CodeContext",
    "compare_code",
    "feature_maps_code",
    "layer_probe_code",
    "predict_code",
    "preprocessing_code",
    "projection_code",
    "summary_code",
    "transfer_code",
    "vector_files_code",
    "vectors_code",
]
