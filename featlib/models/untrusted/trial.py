"""Loads one model file in a process of its own with little room, and says how it went.

Run as `python -m featlib.models.untrusted.trial FILE SECONDS`; the answer is one line of JSON on standard output.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featlib.models.untrusted.limits import limit_files_and_time, limit_memory
from featlib.models.untrusted.loading import first_line, load

if TYPE_CHECKING:
    import keras

ROOM = 2_200_000_000  # bytes that loading may take on top of TensorFlow itself, which takes 1.8 GB of addresses
MAX_ACTIVATIONS = 1_000_000_000  # bytes for one image


def main() -> None:
    """Tries the file that the command line names."""
    path, seconds = Path(sys.argv[1]), int(sys.argv[2])
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what TensorFlow and Keras print belongs to no answer
    limit_files_and_time(seconds)
    import keras

    limit_memory(ROOM)
    answer.write(json.dumps(_try(keras, path)) + "\n")
    answer.flush()
    os._exit(0)  # nothing that a model left behind gets to run


def activation_bytes(model: keras.Model) -> int:
    """Memory that the outputs of all layers take for one image, in bytes."""
    from featlib.models.graph import image_graph
    from featlib.models.layers import describe_layers

    return sum(info.bytes_per_image or 0 for info in describe_layers(image_graph(model)))


def run_once(model: keras.Model) -> None:
    """Runs every layer on one black image: what a layer makes on the way is in no list of outputs."""
    import numpy as np

    from featlib.models.graph import NOT_PER_IMAGE, image_graph

    graph = image_graph(model)
    refs = [ref for call, ref in graph.targets.values() if ref and call.reason in ("", NOT_PER_IMAGE)]
    graph.run(refs, np.zeros((1, *graph.input_shape), np.float32))


def _try(keras: Any, path: Path) -> dict[str, Any]:  # noqa: ANN401
    try:
        model = load(path)
        needed = activation_bytes(model)
        if needed > MAX_ACTIVATIONS:
            reason = (
                f"The outputs of its layers take {needed / 1e6:,.0f} MB for one image; at most "
                f"{MAX_ACTIVATIONS / 1e6:,.0f} MB are allowed. Give it a smaller input."
            )
            return {"ok": False, "reason": reason}
        run_once(model)
    except MemoryError:
        return {"ok": False, "reason": "memory"}
    except Exception as error:  # noqa: BLE001 - whatever a stranger's file makes Keras raise
        exhausted = "ResourceExhausted" in type(error).__name__
        return {"ok": False, "reason": "memory" if exhausted else first_line(error)}
    return {"ok": True, "reason": ""}


if __name__ == "__main__":
    main()
