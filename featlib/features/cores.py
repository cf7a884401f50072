"""How many processor cores this process may use."""

import os

from featlib.errors import FeatlibError

THREADS = "FEATLIB_THREADS"  # where several processes share a machine, each is told its part


def cores() -> int:
    """The number in the environment variable FEATLIB_THREADS, else the cores that the system lets this process use.

    Raises:
        FeatlibError: the variable holds something else than a whole number of 1 or more.
    """
    told = os.environ.get(THREADS, "").strip()
    if not told:
        return _allowed()
    if not told.isdecimal() or not int(told):
        raise FeatlibError(f"{THREADS} must be a whole number of at least 1. Received: {told!r}.")
    return int(told)


def _allowed() -> int:
    """Below all cores of the machine where `taskset`, a scheduler or a container has set some of them aside."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
