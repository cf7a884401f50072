"""One run in a process of its own, for what a process takes: `python -m tests.benchmarks.child WAY NETWORK N FOLDER`.

Prints the peak of its memory in bytes.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from functools import cache
from pathlib import Path


@cache
def run_child(way: str, network: str, n: int, folder: Path) -> tuple[float, int]:
    """Runs it, and returns its seconds from start to end and its peak of memory in bytes; the same is run once."""
    command = [sys.executable, "-m", "tests.benchmarks.child", way, network, str(n), str(folder)]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return seconds, int(done.stdout.split()[-1])


def _peak() -> int:
    """The peak of this process' resident memory; the engine has no other processes."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    # ru_maxrss would be that of the large process that started this one.
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def main(way: str, name: str, n: str, folder: str) -> None:
    from tests.benchmarks.networks import open_network

    files = [str(file) for file in sorted(Path(folder).glob("*.jpg"))[: int(n)]]
    network = open_network(name)
    if way == "tutorial loop":
        from tests.benchmarks.ways import loop_of_the_tutorials, pooled_model

        X = loop_of_the_tutorials(pooled_model(network), network, files)
    else:
        import featlib

        X = featlib.extract_vectors(network.backbone, files, runtime=way).X
    if X.shape[0] != int(n):
        raise SystemExit(f"{len(X)} rows for {n} images.")
    print(_peak())


if __name__ == "__main__":
    main(*sys.argv[1:])
