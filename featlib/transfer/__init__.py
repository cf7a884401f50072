"""Transfer learning: linear probes over the depth of a model."""

from featlib.transfer.probing import LayerProbe, probe_layers, stage_layers

__all__ = ["LayerProbe", "probe_layers", "stage_layers"]
