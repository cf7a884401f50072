"""Load a rewritten model file and run it once, in a process with little memory and time.

Run as `python -m featlib.models.untrusted.trial FILE SECONDS`, it answers as `ask_child` reads it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from featlib.errors import ModelError
from featlib.models.graph import NOT_PER_IMAGE, image_graph
from featlib.models.layers import describe_layers
from featlib.models.untrusted.child import NEEDS_MEMORY, limit_files_and_time, limit_memory
from featlib.models.untrusted.opening import load_copy
from featlib.text import format_bytes, keras_reason

MEMORY = 2_200_000_000  # bytes that loading may take on top of TensorFlow itself, which takes 1.8 GB of addresses
MAX_ACTIVATIONS = 2**30  # bytes per image


def main() -> None:
    """Try the file that the command line names."""
    path, seconds = Path(sys.argv[1]), int(sys.argv[2])
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what TensorFlow and Keras print is no part of the answer
    limit_files_and_time(seconds)
    import keras  # noqa: F401 - before the memory is limited

    limit_memory(MEMORY)
    reason = find_problem(path)
    output.write(json.dumps({"refused": reason} if reason else {}) + "\n")
    output.flush()
    os._exit(0)  # skips whatever the model left to run at exit


def find_problem(path: Path) -> str:
    """Load a model and run every layer on one black image.

    Returns:
        Why the model cannot be used; empty where it can.
    """
    import numpy as np

    try:
        graph = image_graph(load_copy(path))
        needed = sum(info.bytes_per_image or 0 for info in describe_layers(graph))
        if needed > MAX_ACTIVATIONS:
            return (
                f"The outputs of its layers take {format_bytes(needed)} per image; at most "
                f"{format_bytes(MAX_ACTIVATIONS)} are allowed. Give it a smaller input."
            )
        # The list of outputs does not show what a layer needs while it runs.
        calls = [ref for call, ref in graph.targets.values() if ref and call.reason in ("", NOT_PER_IMAGE)]
        graph.run(calls, np.zeros((1, *graph.input_shape), np.float32))
    except MemoryError:
        return NEEDS_MEMORY
    except Exception as error:  # noqa: BLE001 - whatever an untrusted file makes Keras raise
        if "ResourceExhausted" in type(error).__name__:
            return NEEDS_MEMORY
        return f"{'' if isinstance(error, ModelError) else 'Keras refused it: '}{keras_reason(error)}"
    return ""


if __name__ == "__main__":
    main()
