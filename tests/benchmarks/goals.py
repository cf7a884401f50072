"""The goals: which ways are compared, what is required, and what is aimed at."""

from __future__ import annotations

from dataclasses import dataclass

GROUPS = ("tutorials", "floor", "theirs", "layers", "store", "resizer", "looking", "memory", "growth")


@dataclass(frozen=True)
class Goal:
    """One row of the table.

    Attributes:
        group: What `--only` takes.
        title: The row's name.
        way: What is measured.
        against: What it is compared with.
        required: The limit of the ratio of their times; None where the ratio is only reported.
        aim: The ratio aimed at, or None.
        faster: Whether `way` should be that many times faster; otherwise its time should be at most so many times that
            of `against`.
    """

    group: str
    title: str
    way: str
    against: str
    required: float | None
    aim: float | None
    faster: bool

    def wanted(self, limit: float | None) -> str:
        """Write a limit."""
        if limit is None:
            return "–"
        return f"≥ {limit:g}× faster" if self.faster else f"≤ {limit:g}×"

    def reached(self, ratio: float, limit: float) -> bool:
        """Return whether a ratio reaches a limit."""
        return ratio >= limit if self.faster else ratio <= limit


def _faster(group: str, title: str, way: str, against: str, required: float | None, aim: float | None = None) -> Goal:
    return Goal(group, title, way, against, required, aim, faster=True)


def _at_most(group: str, title: str, way: str, against: str, required: float | None, aim: float | None = None) -> Goal:
    return Goal(group, title, way, against, required, aim, faster=False)


TF, OV, BF = "engine tensorflow", "engine openvino", "engine bfloat16"
FLOOR, LOOP, PREDICT = "floor", "tutorial loop", "PIL, then predict(32)"
GOALS = (
    _at_most("floor", "compiled Keras forward alone → files to vectors, TensorFlow", TF, FLOOR, 0.95, 0.85),
    _at_most("floor", "the same → OpenVINO", OV, FLOOR, None, 0.8),
    _at_most("floor", "the same → OpenVINO in bfloat16", BF, FLOOR, None, 0.6),
    _faster("tutorials", "tutorial loop (PIL, one model, `predict` of 1) → TensorFlow", TF, LOOP, 12, 14),
    _faster("tutorials", "the same, rebuilding the model in each call → TensorFlow", TF, f"{LOOP}, rebuilt", 85, 100),
    _faster("tutorials", "PIL for all, then `predict(batch_size=32)` → TensorFlow", TF, PREDICT, 3, 3.5),
    _faster("tutorials", "the same → OpenVINO", OV, PREDICT, 3, 4),
    _faster("theirs", "thingsvision's algorithm → TensorFlow", TF, "thingsvision's", 5, 6.5),
    _faster("theirs", "keract's algorithm, one call per image → TensorFlow", TF, "keract's", 15, 18),
    _faster("theirs", "keract's algorithm, 32 images per call → TensorFlow", TF, "keract's, 32 at once", None, 3.5),
    _at_most("layers", "one layer → five layers in one pass, TensorFlow", f"{TF}, 5 layers", TF, 1.1),
    _at_most("layers", "one layer → five layers in one pass, OpenVINO", f"{OV}, 5 layers", OV, 1.1),
    _at_most(
        "layers",
        "whole network → an early layer, forward alone, TensorFlow",
        "forward tensorflow, early",
        "forward tensorflow",
        0.5,
    ),
    _at_most(
        "layers",
        "whole network → an early layer, forward alone, OpenVINO",
        "forward openvino, early",
        "forward openvino",
        0.5,
    ),
    _faster("store", "computing, fastest runtime → second run, from the cache", "store", "engine fastest", 50),
)

PARTS = (  # reported beside the floor, to show where the time goes
    "decoding",
    "floor",
    "forward tensorflow",
    "engine tensorflow",
    "forward openvino",
    "engine openvino",
    "forward bfloat16",
    "engine bfloat16",
)

MIN_COSINE = 0.9995  # of each vector to the one of the same image resized by Pillow
MEDIAN_COSINE = 0.9998
MEMORY_RATIO = 1.1
MEMORY_BYTES = 2e9
LOOK_RUNS = 1  # of the network, for all layers of an image
LOOK_SECONDS = 0.05  # each further layer
