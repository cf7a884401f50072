"""The app's caches are the process's: they outlive a test. Networks and image sets may, since they never change."""

from __future__ import annotations

import gc
from functools import cache

import pytest

from tests.app.driver import ROOT, SIZE, programs
from tests.shared_networks import load_shared


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


@pytest.fixture(autouse=True, scope="session")
def networks_built_once():
    """The app keeps a few networks; these tests go through many, again and again."""
    from featlib.ui.compute import networks

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "load_backbone", load_shared)
        yield


@pytest.fixture(autouse=True, scope="module")
def little_to_collect():
    """Streamlit collects garbage after each run of a page; it need not go through what stays as long as the process."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """For tests that count or stop work: nothing has been computed yet, in memory or on disk."""
    import streamlit as st

    from featlib.ui.compute import traces, vector_store

    monkeypatch.setenv("FEATLIB_HOME", str(tmp_path / "home"))
    caches = (st.cache_data, traces, vector_store)
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
        exec(compile(programs(at)[0], "program.py", "exec"), variables)
        return variables

    return execute


CHECKED = 2  # images on which a runtime is checked against Keras


class Passes(list):
    """(weights, number of images) of each batch that went through a network, in order."""

    def images(self, weights="imagenet"):
        return sum(n for own, n in self if own == weights)


@pytest.fixture
def passes(monkeypatch):
    """What goes through networks, whichever way."""
    from featlib.models import Backbone

    seen = Passes()
    original = Backbone.preprocess

    def counted(self, pixels):
        if len(pixels) != CHECKED:
            seen.append((self.weights, len(pixels)))
        return original(self, pixels)

    monkeypatch.setattr(Backbone, "preprocess", counted)
    return seen


@pytest.fixture
def stop_after(monkeypatch):
    """Presses "Stop" after so many reports of progress: the run ends there, and the page runs again."""
    import streamlit as st

    from featlib.ui.compute.queue import Queue
    from featlib.ui.session import current_session

    def arrange(reports):
        seen = []
        original = Queue.share

        def share(self, turn, on_wait):
            seen.append(turn.key)
            if len(seen) == reports:
                current_session().stopped = turn.key
                st.rerun()
            original(self, turn, on_wait)

        monkeypatch.setattr(Queue, "share", share)

    return arrange
