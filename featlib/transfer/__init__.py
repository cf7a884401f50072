"""What is learned on top of a network: probes over its depth."""

from featlib.transfer.probing import LayerProbe, probe_layers, stage_layers

__all__ = ["LayerProbe", "probe_layers", "stage_layers"]
