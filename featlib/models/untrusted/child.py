"""Run work on an untrusted file in a separate process: an empty folder, a clean environment, limits and a deadline.

The process answers on standard output with one line of JSON, and whatever bytes follow it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import site
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

from featlib.errors import ModelError

KEPT_VARIABLES = ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "KERAS_BACKEND")
VARIABLES = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    "PYTHONDONTWRITEBYTECODE": "1",
}
MAX_FILE = 4096  # bytes that may be written; TensorFlow tries out the temporary folder when it is imported
MAX_OPEN_FILES = 256
OUT_OF_MEMORY = (-signal.SIGABRT, -getattr(signal, "SIGKILL", signal.SIGABRT))
OUT_OF_TIME = -getattr(signal, "SIGXCPU", 0) or None
NEEDS_MEMORY = "It needs more memory than the 4 GB that a model may use. Use a smaller network."


def ask_child(
    module: str, arguments: list[str], *, timeout: float, stdin: IO[bytes] | int = subprocess.DEVNULL
) -> tuple[dict[str, Any], bytes]:
    """Run `python -m module arguments` and return its answer.

    Args:
        module: The module to run.
        arguments: Its command line.
        timeout: Seconds after which it is killed.
        stdin: What it reads on standard input.

    Returns:
        The line of JSON, and the bytes behind it.

    Raises:
        ModelError: It took too long, took too much memory, crashed, or gave the reason for a refusal.
    """
    too_slow = (
        f"It took longer than the {timeout:g} seconds that are allowed: the file is damaged, or the network too large."
    )
    with tempfile.TemporaryDirectory(prefix="featlib-", ignore_cleanup_errors=True) as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-m", module, *arguments],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=folder,
                env=_environment(folder),
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ModelError(too_slow) from error
    if done.returncode == OUT_OF_TIME:
        raise ModelError(too_slow)
    if done.returncode in OUT_OF_MEMORY:
        raise ModelError(NEEDS_MEMORY)
    line, _, content = done.stdout.partition(b"\n")
    try:
        answer = None if done.returncode else json.loads(line)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise ModelError(
            f"Reading it was aborted ({_cause(done.returncode)}), as happens with damaged files. Save it again."
        )
    if "refused" in answer:
        raise ModelError(str(answer["refused"]))
    return answer, content


def _cause(status: int) -> str:
    """Name what ended a process: a signal, or its exit status."""
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"status {status}"


def limit_files_and_time(seconds: int) -> None:
    """Limit this process to tiny files, few open ones, and `seconds` of processor time. Windows has no such limits."""
    for kind, limit in (("FSIZE", MAX_FILE), ("CPU", seconds), ("NOFILE", MAX_OPEN_FILES), ("CORE", 0)):
        _limit(kind, limit)


def limit_memory(more: int) -> None:
    """Limit this process to `more` bytes than it has now. Only Linux has such a limit."""
    with contextlib.suppress(OSError, ImportError):  # systems without /proc, Windows
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        _limit("AS", pages * resource.getpagesize() + more)


def _limit(kind: str, limit: int) -> None:
    with contextlib.suppress(ImportError, AttributeError, ValueError, OSError):  # a system without this limit
        import resource

        number = getattr(resource, f"RLIMIT_{kind}")
        hard = limit + (kind == "CPU")  # a process at its hard limit of processor time is killed without a reason
        if (old := resource.getrlimit(number)[1]) != resource.RLIM_INFINITY:
            hard = min(hard, old)
        resource.setrlimit(number, (min(limit, hard), hard))


def _environment(folder: str) -> dict[str, str]:
    package = Path(__file__).resolve().parents[3]
    paths = [str(package), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {
        **{name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ},
        **VARIABLES,
        "PYTHONPATH": os.pathsep.join(str(Path(entry).resolve()) for entry in paths if entry),
        "PYTHONUSERBASE": site.getuserbase(),
        **dict.fromkeys(("HOME", "KERAS_HOME", "TMPDIR", "TEMP", "TMP"), folder),
    }
