"""A process of its own for work on a stranger's file: an empty folder, a clean environment, an end."""

from __future__ import annotations

import os
import signal
import site
import subprocess
import sys
from pathlib import Path

from featlib.errors import ModelError

KEPT = ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "KERAS_BACKEND")
QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    "PYTHONDONTWRITEBYTECODE": "1",
}
OUT_OF_MEMORY = (-signal.SIGABRT, -getattr(signal, "SIGKILL", signal.SIGABRT))
OUT_OF_TIME = -getattr(signal, "SIGXCPU", 0) or None


def run_child(module: str, arguments: list[str], *, folder: Path, timeout: float, given: bytes = b"") -> bytes:
    """Runs `python -m module arguments`.

    Args:
        module: the module to run.
        arguments: its command line.
        folder: an empty folder, which is its home, its temporary folder and where it runs.
        timeout: seconds after which it is killed.
        given: what it reads on standard input.

    Returns:
        What it wrote on standard output.

    Raises:
        ModelError: it took too long, too much memory, or died.
    """
    slow = f"took longer than the {timeout:g} seconds that are allowed. Give a smaller network"
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", module, *arguments],
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=_environment(folder),
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"Loading it {slow}.") from error
    if done.returncode in OUT_OF_MEMORY:
        raise ModelError("Loading it needs more memory than the 4 GB that a model may take. Give a smaller network.")
    if done.returncode == OUT_OF_TIME:
        raise ModelError(f"Loading it {slow}.")
    if done.returncode:
        raise ModelError(
            f"Reading it broke off (status {done.returncode}), as it does for damaged files. Save it again."
        )
    return done.stdout


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    package = Path(__file__).resolve().parents[3]
    paths = [str(package), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {
        **kept,
        **QUIET,
        "PYTHONPATH": os.pathsep.join(str(Path(entry).resolve()) for entry in paths if entry),
        "PYTHONUSERBASE": site.getuserbase(),
        **dict.fromkeys(("HOME", "KERAS_HOME", "TMPDIR", "TEMP", "TMP"), str(folder)),
    }
