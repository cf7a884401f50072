"""A process that misbehaves, for the tests of the limits; run as `python -m tests.models.untrusted.greedy WHAT`."""

import json
import os
import signal
import sys
from pathlib import Path

from featlib.models.untrusted.child import limit_files_and_time, limit_memory


def main():
    limit_files_and_time(1)
    limit_memory(300_000_000)
    answer = {
        "memory": _memory,
        "processor": _spin,
        "disk": _disk,
        "crash": os.abort,
        "exit": lambda: sys.exit(3),
        "signal": lambda: os.kill(os.getpid(), signal.SIGTERM),
        "no answer": lambda: None,
        "nonsense": lambda: "nonsense",
        "surroundings": _surroundings,
    }[sys.argv[1]]()
    if sys.argv[1] != "no answer":
        print(json.dumps(answer))


def _memory():
    try:
        bytearray(400_000_000)
    except MemoryError:
        return {"refused": "no memory"}
    return {}


def _spin():
    while True:
        pass


def _disk():
    Path("small").write_bytes(bytes(1000))
    try:
        Path("large").write_bytes(bytes(1_000_000))
    except OSError as error:
        return {"refused": type(error).__name__}
    return {}


def _surroundings():
    files = [path.name for path in Path().iterdir()]
    return {"environment": sorted(os.environ), "files": files, "home": os.environ["HOME"], "here": str(Path.cwd())}


if __name__ == "__main__":
    main()
