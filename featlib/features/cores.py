"""How many processor cores this process may use."""

import os

THREADS = "FEATLIB_THREADS"  # where several processes share a machine, each is told its part


def cores() -> int:
    """The number in the environment variable FEATLIB_THREADS, else all cores of the machine."""
    return int(os.environ.get(THREADS) or os.cpu_count() or 1)
