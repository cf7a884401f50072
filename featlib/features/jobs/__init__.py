"""Long runs into files, which can be resumed however they ended."""

from featlib.features.jobs.local import WrittenVectors, extract_to_file
from featlib.features.jobs.ray_driver import RayRun, extract_with_ray

__all__ = ["RayRun", "WrittenVectors", "extract_to_file", "extract_with_ray"]
