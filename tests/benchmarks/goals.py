"""What is to be reached, all of it: which ways are compared, and how far apart they should be."""

from __future__ import annotations

from dataclasses import dataclass

GROUPS = ("tutorials", "floor", "theirs", "layers", "store", "looking", "memory", "growth")


@dataclass(frozen=True)
class Goal:
    """One line of the table.

    Attributes:
        group: what `--only` takes.
        title: for people.
        way: what is measured.
        against: what it is compared with.
        limit: of the ratio of their times.
        faster: whether `way` is to be at least `limit` times faster; else its time is at most `limit` times that of
            `against`.
    """

    group: str
    title: str
    way: str
    against: str
    limit: float
    faster: bool

    @property
    def wanted(self) -> str:
        return f"≥ {self.limit:g}× faster" if self.faster else f"≤ {self.limit:g}×"

    def reached(self, ratio: float) -> bool:
        return ratio >= self.limit if self.faster else ratio <= self.limit


def _faster(group: str, title: str, way: str, against: str, limit: float) -> Goal:
    return Goal(group, title, way, against, limit, faster=True)


def _at_most(group: str, title: str, way: str, against: str, limit: float) -> Goal:
    return Goal(group, title, way, against, limit, faster=False)


GOALS = (
    _faster(
        "tutorials",
        "the loop of the tutorials (PIL, a kept model, `predict` of 1) → TensorFlow",
        "engine tensorflow",
        "tutorial loop",
        10,
    ),
    _faster(
        "tutorials",
        "the same where it makes the model anew in each call → TensorFlow",
        "engine tensorflow",
        "tutorial loop, rebuilt",
        80,
    ),
    _faster(
        "tutorials",
        "PIL for all, then `predict(batch_size=32)` → TensorFlow",
        "engine tensorflow",
        "PIL, then predict(32)",
        2,
    ),
    _faster("tutorials", "the same → OpenVINO", "engine openvino", "PIL, then predict(32)", 2.5),
    _at_most(
        "floor", "compiled Keras forward pass alone → files to vectors, TensorFlow", "engine tensorflow", "floor", 1
    ),
    _at_most("floor", "the same → OpenVINO", "engine openvino", "floor", 0.8),
    _at_most("floor", "the same → OpenVINO in bfloat16", "engine bfloat16", "floor", 0.6),
    _faster("theirs", "thingsvision's algorithm → TensorFlow", "engine tensorflow", "thingsvision's", 5),
    _faster("theirs", "keract's algorithm, a call an image → TensorFlow", "engine tensorflow", "keract's", 5),
    _faster("theirs", "keract's, 32 images a call → TensorFlow", "engine tensorflow", "keract's, 32 at once", 5),
    _at_most(
        "layers",
        "one layer → five layers in one pass, TensorFlow",
        "engine tensorflow, 5 layers",
        "engine tensorflow",
        1.1,
    ),
    _at_most(
        "layers", "one layer → five layers in one pass, OpenVINO", "engine openvino, 5 layers", "engine openvino", 1.1
    ),
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
    _faster("store", "computing, fastest runtime → second run, from the store", "store", "engine fastest", 50),
)

PARTS = (  # told beside the floor, so that a reader sees where time goes
    "decoding",
    "floor",
    "forward tensorflow",
    "engine tensorflow",
    "forward openvino",
    "engine openvino",
    "forward bfloat16",
    "engine bfloat16",
)

MEMORY_RATIO = 1.1
MEMORY_BYTES = 2e9
LOOK_RUNS = 1  # of the network, for all layers of an image
LOOK_SECONDS = 0.05  # each further layer
