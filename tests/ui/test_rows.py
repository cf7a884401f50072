"""Vectors by image: right, found where they are kept, and computed once however many ask."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from PIL import Image

from featlib.features import Engine, extract_vectors
from featlib.features.store.store import VectorStore
from featlib.images import load_images, load_samples
from featlib.models import load_backbone
from featlib.ui.compute import rows as rows_module
from featlib.ui.compute.cache import ResultStore
from featlib.ui.compute.rows import Rows, Shared

LAYERS = ["join", "pixels", "classes"]


@pytest.fixture
def shared(tmp_path):
    return Shared(ResultStore(), VectorStore(tmp_path / "vectors.db"))


@pytest.fixture
def ran(monkeypatch):
    """(layer paths, number of images) of each run of the engine, and ids of the images whose rows came out of it."""
    runs, ids = [], []

    class Spy(Engine):
        def stream(self, images, n_images=None):
            runs.append((tuple(tap.layer for tap in self.taps), len(images)))
            for chunk in super().stream(images, n_images):
                ids.extend(item.id for item in chunk.items)
                yield chunk

    monkeypatch.setattr(rows_module, "Engine", Spy)
    return runs, ids


def shapes(n):
    return load_samples("shapes").sample(n)


def computed(shared, backbone, images, layers, pooling="avg"):
    rows = Rows(shared, backbone, images, layers, pooling)
    rows.compute(lambda left: None)
    return rows


def check(rows, backbone, images, pooling="avg"):
    for layer, found in rows.found.items():
        wanted = extract_vectors(backbone, images, layer, pooling=pooling).X
        got = np.stack([found[image_id] for image_id in images.ids])
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pooling", ["avg", "max", "flatten"])
def test_each_layer_gets_its_own_rows(shared, tiny, photos, pooling):
    rows = computed(shared, tiny, photos, LAYERS, pooling)
    check(rows, tiny, photos, pooling)
    assert not rows.missing


def test_what_is_in_memory_or_on_disk_is_not_computed_again(shared, tiny, ran):
    runs, ids = ran
    images = shapes(20)
    first = computed(shared, tiny, images[:12], ["join"])
    assert computed(shared, tiny, images[:12], ["join"]).found["join"].keys() == first.found["join"].keys()
    assert runs == [(("join",), 12)]
    after_a_restart = Shared(ResultStore(), VectorStore(shared.store.path))
    rows = computed(after_a_restart, tiny, images, ["join"])
    assert runs[1:] == [(("join",), 8)]
    assert len(ids) == len(set(ids)) == 20
    check(rows, tiny, images)


def test_only_the_layers_that_are_missing_run(shared, tiny, ran):
    images = shapes(6)
    computed(shared, tiny, images, ["join"])
    computed(shared, tiny, images, ["join", "pool"])
    assert ran[0] == [(("join",), 6), (("pool",), 6)]


def test_an_image_that_is_there_twice_runs_once(shared, tiny, ran):
    images = shapes(6)[[0, 1, 1, 2, 0]]
    rows = computed(shared, tiny, images, ["join"])
    assert ran[0] == [(("join",), 3)]
    check(rows, tiny, images)


def test_a_network_with_own_code_leaves_nothing_on_disk(shared, photos, ran):
    import keras

    inputs = keras.Input((16, 16, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 3, name="conv")(inputs))
    own = load_backbone(model, preprocessing=lambda x: x / 255.0)
    assert own.has_own_code
    computed(shared, own, photos, ["conv"])
    assert not computed(shared, own, photos, ["conv"]).missing
    assert len(ran[0]) == 1, "memory has them"
    assert shared.store.info().vectors == 0


@pytest.mark.parametrize("what", ["gone", "changed"])
def test_an_image_that_has_gone_or_changed_is_told_and_the_others_go_on(shared, tiny, tmp_path, what):
    for i, item in enumerate(shapes(5)):
        Image.fromarray(item.pixels).save(tmp_path / f"{i}.png")
    images = load_images(tmp_path)
    if what == "gone":
        (tmp_path / "2.png").unlink()
    else:
        Image.new("RGB", (9, 9)).save(tmp_path / "2.png")
    rows = computed(shared, tiny, images, ["join"])
    [(image_id, problem)] = rows.problems.items()
    assert image_id == images.ids[2]
    assert "2.png" in problem.reason
    check(rows, tiny, images[[0, 1, 3, 4]])


def test_two_who_ask_for_the_same_at_the_same_time_compute_it_once(shared, tiny, ran, monkeypatch):
    monkeypatch.setattr(rows_module, "PART", 8)
    runs, ids = ran
    images = shapes(48)
    together = threading.Barrier(3)
    seen = [[], [], []]
    results = [None] * 3

    def session(number):
        rows = Rows(shared, tiny, images, ["join", "pool"], "avg")
        assert len(rows.missing) == 48
        together.wait(30)
        rows.compute(seen[number].append)
        results[number] = rows

    threads = [threading.Thread(target=session, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(ids) == len(set(ids)) == 48
    assert sum(n for _, n in runs) == 48
    for rows, moves in zip(results, seen, strict=True):
        check(rows, tiny, images)
        assert moves[-1] == 0
        assert moves == sorted(moves, reverse=True)


def test_who_waits_sees_progress_and_can_leave(shared, tiny):
    images = shapes(4)
    waits = Rows(shared, tiny, images, ["join"], "avg")
    moves = []

    def moved(left):
        moves.append(left)
        if len(moves) == 1:  # somebody else has made two meanwhile
            for image_id in images.ids[:2]:
                shared.memory.put(("vector", tiny.fingerprint, "join", "avg", image_id), np.zeros(8, np.float32), 32)
        if left == 2:
            raise KeyboardInterrupt

    with shared.turns(tiny.fingerprint).turn():
        with pytest.raises(KeyboardInterrupt):
            waits.compute(moved)
        assert moves == [4, 2]
    with shared.turns(tiny.fingerprint).turn(waiting=lambda: pytest.fail("it has left its place")):
        pass
