"""The built-in sets of images."""

from featlib.images.samples.catalog import SampleInfo, list_samples, load_samples

__all__ = ["SampleInfo", "list_samples", "load_samples"]
