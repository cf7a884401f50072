"""The app's caches are the process's: they outlive a test. Networks and image sets may, since they never change."""

from __future__ import annotations

import gc
from functools import cache

import pytest

from tests.app.driver import ROOT, SIZE


@pytest.fixture(autouse=True, scope="session")
def settings():
    """Those of .streamlit/config.toml, whatever folder an earlier test was in when they were first asked for."""
    from streamlit import config

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        config.get_config_options(force_reparse=True)
        yield


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """BLAS threads that wait for each other on two busy cores take twenty times as long as one."""
    import scipy.linalg  # noqa: F401 - brings a BLAS of its own, which must be there to be limited
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


@pytest.fixture(autouse=True, scope="session")
def packages_searched_once():
    """A server looks through all installed packages for components when it starts; AppTest for each page it opens."""
    from streamlit.components.v2 import manifest_scanner

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests))
        yield


@pytest.fixture(autouse=True, scope="module")
def little_to_collect():
    """Streamlit collects garbage after each run of a page; it need not go through what stays as long as the process."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def nothing_beside(monkeypatch):
    """What is computed in the background would make the others' counts and times a matter of chance."""
    from featlib.ui.compute import background

    monkeypatch.setattr(background, "MAX_IMAGES", 0)


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """For tests that count or stop work: nothing has been computed yet, in memory or on disk."""
    from featlib.ui.compute import background, cache

    monkeypatch.setenv("FEATLIB_HOME", str(tmp_path / "home"))
    caches = (cache.results, cache.traces, cache.shared, background.preparer)
    for one in caches:
        one.clear()
    yield
    for one in caches:  # they would write into a folder that pytest removes
        one.clear()


@pytest.fixture(scope="session")
def lite96():
    """The oracle: the same network as the app's, loaded past the app."""
    from featlib.models import load_backbone

    return load_backbone("EfficientNetLite0", input_shape=(SIZE, SIZE, 3))


@pytest.fixture
def outcome(tmp_path, monkeypatch):
    """Runs a page's program and gives its variables."""
    monkeypatch.chdir(tmp_path)

    def execute(at):
        variables = {"__name__": "program"}
        exec(compile(at.code[0].value, "program.py", "exec"), variables)
        return variables

    return execute


class Extractions(list):
    """(weights, layers, pooling, number of images) of each run of the engine, in order."""

    rows: dict[str, list[str]]  # weights -> ids of the images whose rows came out

    def images(self, weights="imagenet"):
        return len(self.rows.get(weights, ()))

    def clear(self):
        super().clear()
        self.rows.clear()


@pytest.fixture
def extracted(monkeypatch):
    seen = Extractions()
    seen.rows = {}
    from featlib.features import Engine
    from featlib.ui.compute import rows

    class Spy(Engine):
        def stream(self, images, n_images=None):
            weights, layers = self.backbone.weights, tuple(tap.layer for tap in self.taps)
            seen.append((weights, layers, self.taps[0].pooling, len(images)))
            for chunk in super().stream(images, n_images):
                seen.rows.setdefault(weights, []).extend(item.id for item in chunk.items)
                yield chunk

    monkeypatch.setattr(rows, "Engine", Spy)
    return seen
