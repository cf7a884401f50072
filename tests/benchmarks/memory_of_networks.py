"""`python -m tests.benchmarks.memory_of_networks`: what ten networks cost a real server, opened one after the other.

Each is opened through the pages in a real browser: a trace of all its layers, its vectors, its probes. Trained weights
where they are on this machine, random ones elsewhere: they take as much memory.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from urllib.parse import urlencode

from featlib.models import find_choice, weights_on_disk
from featlib.text import format_bytes
from tests.browser.server import Server
from tests.browser.visitor import CHROMIUM, FLAGS, Visitor

NETWORKS = (  # less than 100 MB of weights each
    "EfficientNetLite0",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
    "MobileNetV3Large",
    "NASNetMobile",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "DenseNet121",
    "Xception",
)
PAGES = ("", "feature_maps", "vectors", "projection", "layer_probe")
ALLOWED = 1_500_000_000  # bytes that all networks may take beyond the first
SECONDS = 5  # until what a page has left behind is collected


def measure(networks: Sequence[str] = NETWORKS, pages: Sequence[str] = PAGES) -> list[int]:
    """Opens the networks on the pages of one server, and returns its resident bytes after each network."""
    from playwright.sync_api import sync_playwright

    found: list[int] = []
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        server = Server(FEATLIB_HOME=home)
        try:
            visitor = Visitor(playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS))
            for name in networks:
                weights = "imagenet" if weights_on_disk(find_choice(name)) else "random"
                for page in pages:
                    query = urlencode({"model": name, "weights": weights, "images": "views"})
                    visitor.open(f"{server.url}/{page}?{query}")
                    visitor.assert_no_exception()
                time.sleep(SECONDS)
                found.append(server.memory())
                more = format_bytes(found[-1] - found[0])
                print(f"{name} ({weights}): {format_bytes(found[-1])}, {more} more than the first", flush=True)
            assert not server.alarms(), server.alarms()
        finally:
            server.stop()
    return found


if __name__ == "__main__":
    found = measure()
    more = found[-1] - found[0]
    print(
        f"{len(found)} networks take {format_bytes(more)} more than one; at most {format_bytes(ALLOWED)} are allowed."
    )
    sys.exit(more > ALLOWED)
