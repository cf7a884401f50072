"""A model as one flat program: its calls, the taps on them, their receptive fields and stages."""

from featlib.models.graph.graph import NOT_PER_IMAGE, ModelGraph
from featlib.models.graph.image_graph import image_graph
from featlib.models.graph.receptive_field import ReceptiveField1D, ReceptiveField2D, next_receptive_field
from featlib.models.graph.recording import parts_of
from featlib.models.graph.stages import stage_ends
from featlib.models.graph.steps import LayerCall, Ref

__all__ = [
    "NOT_PER_IMAGE",
    "LayerCall",
    "ModelGraph",
    "ReceptiveField1D",
    "ReceptiveField2D",
    "Ref",
    "image_graph",
    "next_receptive_field",
    "parts_of",
    "stage_ends",
]
