"""What is prepared before anybody asks: the right things, once, and only as long as somebody wants them."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
import weakref
from dataclasses import replace

import pytest

from featlib.features import Engine
from featlib.images import load_samples
from featlib.transfer import stage_layers
from featlib.ui.compute import background, cache, rows
from featlib.ui.compute.background import Job, Preparer
from featlib.ui.compute.rows import Rows
from featlib.ui.compute.turns import FRONT
from featlib.ui.session import Session
from tests.app.driver import ROOT, choices, go, labelled, open_page, run, said

PATIENCE = 60  # seconds


@pytest.fixture(autouse=True)
def beside(fresh, nothing_beside, monkeypatch):
    """Here the background works; it ends before the test does."""
    monkeypatch.setattr(background, "MAX_IMAGES", 2000)
    monkeypatch.setattr(background, "QUIET_SECONDS", 0.05)
    preparers = []
    original = Preparer.__init__

    def remembered(self, shared):
        original(self, shared)
        preparers.append(self)

    monkeypatch.setattr(Preparer, "__init__", remembered)
    yield
    for preparer in preparers:
        preparer.stop(PATIENCE)
        assert preparer._thread is None or not preparer._thread.is_alive()


@pytest.fixture
def ran(monkeypatch):
    """(fingerprint, layer, image id) of each row that came out of the engine."""
    seen = []

    class Spy(Engine):
        def stream(self, images, n_images=None):
            for chunk in super().stream(images, n_images):
                seen.extend(
                    (self.backbone.fingerprint, tap.layer, item.id) for tap in self.taps for item in chunk.items
                )
                yield chunk

    monkeypatch.setattr(rows, "Engine", Spy)
    return seen


def until(true):
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def finished(at):
    until(lambda: background.preparer().wish_of(choices(at)).finished)


def test_all_stages_are_there_when_a_page_asks(ran):
    at = open_page("preprocessing", images="views")
    finished(at)
    network = cache.backbone("EfficientNetLite0", "imagenet", True, 96)
    ready = {(layer, image_id) for _, layer, image_id in ran}
    assert {(layer, i) for layer in stage_layers(network) for i in load_samples("views").ids} <= ready
    ran.clear()
    go(at, "projection")
    for layer in stage_layers(network):
        labelled(at.selectbox, "Layer").set_value(layer)
        run(at)
    go(at, "layer_probe")
    assert ran == []
    assert "Preparing" not in said(at)


def test_page_and_background_together_compute_each_vector_once(ran):
    at = open_page("layer_probe", images="views")
    finished(at)
    assert (
        len(ran) == len(set(ran)) == 120 * len(stage_layers(cache.backbone("EfficientNetLite0", "imagenet", True, 96)))
    )


@pytest.mark.parametrize("link", [{}, {"limit": 1000}, {"label": "digit"}])
def test_it_prepares_the_very_part_that_the_pages_use(ran, link, monkeypatch):
    monkeypatch.setattr(background, "QUIET_SECONDS", 1e9)  # nothing runs
    at = open_page("projection", images="digits", layer="block4_add", **link)
    job = background.preparer().wish_of(choices(at)).job
    assert set(job.images().sample(job.count, by=job.by).ids) == {image_id for _, _, image_id in ran}


def test_the_line_counts_and_goes(monkeypatch):
    monkeypatch.setattr(background, "QUIET_SECONDS", 1e9)
    at = open_page("layers", images="views")
    assert "Preparing all stages: 0 of 120 images" in said(at)
    monkeypatch.setattr(background, "QUIET_SECONDS", 0.0)
    finished(at)
    assert "Preparing" not in said(run(at))


def test_what_the_page_has_said_stays_when_the_line_goes(monkeypatch):
    original, runs = Preparer.want, []

    def want(self, session, job):
        wish = original(self, session, job)
        until(lambda: wish.finished)
        runs.append(job)
        return replace(wish, finished=len(runs) > 1)  # it has ended when the line is drawn, which runs the page again

    monkeypatch.setattr(Preparer, "want", want)
    at = open_page("layers", images="uploads")
    assert len(runs) == 2
    assert "They never left that visit" in said(at)
    assert "They never left that visit" not in said(run(at))


def test_nothing_is_prepared_of_sets_that_are_too_large(monkeypatch):
    monkeypatch.setattr(background, "MAX_IMAGES", 119)
    at = open_page("layers", images="views")
    assert background.preparer().wish_of(choices(at)) is None
    monkeypatch.setattr(background, "MAX_IMAGES", 120)
    monkeypatch.setattr(background, "MAX_BYTES", 1000)
    finished(run(at))
    assert cache.shared().store.info().vectors == 0


def test_another_choice_ends_the_work(monkeypatch):
    monkeypatch.setattr(background, "QUIET_SECONDS", 1e9)
    at = open_page("layers", images="views")
    first = background.preparer().wish_of(choices(at))
    labelled(at.selectbox, "Images").set_value("photos")
    run(at)
    until(lambda: first.finished)
    assert first.done == 0
    assert background.preparer().wish_of(choices(at)).job.images() is load_samples("photos")


def wanted(preparer, network, images):
    session = Session()
    return session, preparer.want(session, Job(weakref.ref(network), weakref.ref(images), len(images), None))


def test_nobody_is_kept_alive(lite96, monkeypatch):
    monkeypatch.setattr(background, "QUIET_SECONDS", 1e9)
    preparer = Preparer(cache.shared())
    images = load_samples("views")[:20]
    session, wish = wanted(preparer, lite96, images)
    seen, uploads = weakref.ref(session), weakref.ref(images)
    del session, images
    gc.collect()
    assert seen() is None, "a session that has ended is gone"
    until(lambda: preparer._thread is None)
    assert wish.done == 0
    gc.collect()
    assert uploads() is None


def test_who_waits_comes_first(lite96):
    preparer = Preparer(cache.shared())
    images = load_samples("views")[:20]
    with FRONT.waiting():
        session, wish = wanted(preparer, lite96, images)
        mine = Rows(cache.shared(), lite96, images, ["block4_add"], "avg")
        mine.compute(lambda left: None)
        assert wish.done == 0
        assert cache.shared().store.info().vectors == 20
    until(lambda: wish.finished)
    assert cache.shared().store.info().vectors == 20 * len(stage_layers(lite96))
    assert session is not None


def test_what_cannot_be_computed_is_left_to_the_page(lite96, monkeypatch):
    def broken(*args, **options):
        raise MemoryError

    monkeypatch.setattr(rows, "stream", broken)
    preparer = Preparer(cache.shared())
    images = load_samples("photos")
    session, wish = wanted(preparer, lite96, images)
    until(lambda: wish.finished)
    other, second = wanted(preparer, lite96, images[:3])
    until(lambda: second.finished)
    assert session is not other
    assert not Rows(cache.shared(), lite96, images, ["block4_add"], "avg").found["block4_add"]


def test_a_process_ends_while_it_is_at_work():
    program = """
import weakref, time
from concurrent.futures import ThreadPoolExecutor
import featlib
from featlib.features.store.store import VectorStore
from featlib.ui.compute.background import Job, Preparer
from featlib.ui.compute.cache import ResultStore
from featlib.ui.compute.rows import Shared
from featlib.ui.session import Session
network = featlib.load_backbone("EfficientNetLite0", input_shape=(96, 96, 3))
images, session = featlib.load_samples("shapes"), Session()
wish = Preparer(Shared(ResultStore(), VectorStore())).want(
    session, Job(weakref.ref(network), weakref.ref(images), len(images), None)
)
while not wish.done:
    time.sleep(0.01)
print("leaving", wish.finished)
ThreadPoolExecutor().submit(time.sleep, 3)  # the process waits for it, and no pool takes work any more
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "leaving False\n"
    assert "Traceback" not in done.stderr
