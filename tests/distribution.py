"""How tests are distributed over two processes: long ones first, and all browser tests in one, which share a server."""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling

# Each of these tests builds a network of its own.
NETWORKS = ("tests/models/graph/test_matrix.py::", "tests/models/applications/test_catalog.py::test_every_")
BROWSER = "tests/browser"
LONG = (
    "tests/models/untrusted",  # measures the memory of child processes, which start with that of this one
    *NETWORKS,
    BROWSER,
    "tests/app",
    "tests/test_readme.py",
    "tests/test_cli.py",
    "tests/recipes",
)


def place(nodeid: str) -> int:
    """Return the rank of a test: long ones first, so that short ones fill the gap at the end."""
    return next((i for i, path in enumerate(LONG) if nodeid.startswith(path)), len(LONG))


class Scheduler(LoadFileScheduling):
    """Distribute by file, in the order of collection; all browser tests together, and networks one by one."""

    def __init__(self, config, log=None):
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid):
        if nodeid.startswith(NETWORKS):
            return nodeid
        return BROWSER if nodeid.startswith(BROWSER) else super()._split_scope(nodeid)
