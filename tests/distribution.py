"""How the tests are dealt out to two processes: the long ones first, and what shares a server together."""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling

# Each of these tests is about one network.
NETWORKS = ("tests/models/graph/test_matrix.py::", "tests/models/applications/test_catalog.py::test_every_")
BROWSER = "tests/browser"
LONG = (
    "tests/models/untrusted",  # measures the memory of other processes, which begin with as much as this one has
    *NETWORKS,
    BROWSER,
    "tests/app",
    "tests/test_readme.py",
    "tests/test_cli.py",
    "tests/recipes",
)


def place(nodeid: str) -> int:
    """Where a test belongs in the order; the short ones come last and fill the gap at the end."""
    return next((i for i, path in enumerate(LONG) if nodeid.startswith(path)), len(LONG))


class Scheduler(LoadFileScheduling):
    """A file at a time, as they are collected; all of the browser at once; networks one by one."""

    def __init__(self, config, log=None):
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid):
        if nodeid.startswith(NETWORKS):
            return nodeid
        return BROWSER if nodeid.startswith(BROWSER) else super()._split_scope(nodeid)
