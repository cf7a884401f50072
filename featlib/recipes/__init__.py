"""The code behind each screen: programs in plain Keras, scikit-learn and NumPy, as text. Nothing is run here."""

from featlib.recipes.batches import layer_probe_code, projection_code, transfer_code, vectors_code
from featlib.recipes.inputs import compare_code, preprocessing_code
from featlib.recipes.scene import UPLOADS, Scene
from featlib.recipes.single import feature_maps_code, predict_code, summary_code

__all__ = [
    "UPLOADS",
    "Scene",
    "compare_code",
    "feature_maps_code",
    "layer_probe_code",
    "predict_code",
    "preprocessing_code",
    "projection_code",
    "summary_code",
    "transfer_code",
    "vectors_code",
]
