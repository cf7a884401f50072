"""Short runs of what `memory_of_networks` and `many_visitors` measure at length."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.benchmarks import many_visitors, memory_of_networks
from tests.browser.visitor import CHROMIUM

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: apt-get install chromium)"),
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads a server's memory in /proc"),
]


def in_a_thread(measure, *arguments, **options):
    """What `measure` returns; two Playwrights do not share a thread, and the browser tests have one in this."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(measure, *arguments, **options).result()


def test_three_networks_take_little_more_than_one():
    first, *_, last = in_a_thread(
        memory_of_networks.measure, ("EfficientNetLite0", "MobileNet", "NASNetMobile"), ("feature_maps",)
    )
    assert last - first < memory_of_networks.ALLOWED / 2


def test_two_visitors_at_once_meet_no_error():
    seen = in_a_thread(many_visitors.measure, visitors=2, limits=many_visitors.Limits(actions=2, pause=0))
    print(seen)
    assert not seen.exceptions
    assert sum(seen.actions.values()) == 2 * 2
    assert len(seen.waits) == 2 * (1 + 2), "the first page, and one after each action"
    assert seen.memory > 0
