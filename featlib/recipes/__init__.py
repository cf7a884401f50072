"""The code behind each screen: programs in plain Keras, scikit-learn and NumPy, as text. Nothing is run here."""

from featlib.recipes.batches import projection_code, transfer_code, vectors_code
from featlib.recipes.scene import UPLOADS, Scene
from featlib.recipes.single import feature_maps_code, predict_code, summary_code

__all__ = [
    "UPLOADS",
    "Scene",
    "feature_maps_code",
    "predict_code",
    "projection_code",
    "summary_code",
    "transfer_code",
    "vectors_code",
]
