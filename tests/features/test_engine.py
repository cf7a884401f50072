"""The engine: any images, any batch size, any runtime, in order; nothing is computed twice, and nothing is lost."""

from __future__ import annotations

import os
import threading
import zipfile
from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image

import featlib
import featlib.features.engine as engine
from featlib.errors import CancelledError, FeatlibError
from featlib.features import Engine, EngineOptions, Tap, VectorStore, extract_vectors
from featlib.features.jobs.local import extract_to_file
from featlib.features.taps import run_eagerly
from featlib.images import ImageItem, ImageProblem, list_pending, resizer_name, use_resizer
from featlib.models import load_backbone
from tests.images.corpus import corpus


@pytest.fixture
def store(tmp_path):
    return VectorStore(tmp_path / "home" / "vectors.db")


@pytest.fixture
def folder(tmp_path):
    """Thirteen photographs as files whose time stamps can be trusted."""
    (tmp_path / "set").mkdir()
    for i, image in enumerate(featlib.load_samples("views")[:13]):
        path = tmp_path / "set" / f"{i:02}.png"
        Image.fromarray(image.pixels).save(path)
        os.utime(path, (1e9, 1e9))
    return tmp_path / "set"


@pytest.fixture
def forwarded(monkeypatch):
    """Count the images that run through a network."""
    counted = []
    make_runtime = engine.make_runtime

    def counting(*args, **options):
        runtime = make_runtime(*args, **options)
        return replace(runtime, run=lambda batch: counted.extend(batch) or runtime.run(batch))

    monkeypatch.setattr(engine, "make_runtime", counting)
    return counted


@pytest.mark.parametrize("runtime", ["tensorflow", "openvino"])
@pytest.mark.parametrize("batch_size", [1, 3, 8, 100])
def test_odd_batch_sizes_give_a_plain_forward_pass(tiny, folder, batch_size, runtime):
    if runtime == "openvino":
        pytest.importorskip("openvino", reason="needs OpenVINO: pip install openvino")
    taps = [Tap("join"), Tap("side", "max"), Tap("conv", None)]
    found, arrays = Engine(tiny, taps, EngineOptions(batch_size, runtime)).run(list_pending(folder))
    assert [item.name for item in found] == [f"{i:02}.png" for i in range(13)]
    expected = run_eagerly(tiny, taps, tiny.prepare(featlib.load_images(folder)))
    for one, other in zip(arrays, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4 * np.abs(other).max())


@pytest.mark.parametrize("n", [0, 1, 4, 5])
def test_few_images(lite0, photos, n):
    table = extract_vectors(lite0, photos[:n])
    assert table.X.shape == (n, 1280)
    expected = run_eagerly(lite0, [Tap("head_relu")], lite0.prepare(photos[: max(n, 1)]))[0][:n]
    np.testing.assert_allclose(table.X, expected, rtol=1e-4, atol=1e-5)


def test_images_of_all_kinds_bad_ones_among_them(tiny, tmp_path, photos):
    odd = list(corpus())
    (tmp_path / "set").mkdir()
    for i, image in enumerate(odd):
        (tmp_path / "set" / f"{i:03} {image.name}").write_bytes(image.data)
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.write(tmp_path / "set" / f"000 {odd[0].name}", "inside.png")
    sources = [tmp_path / "set", tmp_path / "more.zip", photos[0], photos[1].pixels, tmp_path / "missing.png"]
    table = extract_vectors(tiny, [*sources, Image.fromarray(photos[2].pixels)], "join", batch_size=7)
    good = [image for image in odd if image.ok]
    assert len(table.X) == len(good) + (odd[0].ok) + 3
    assert [name.split(" ", 1)[1] for name in table.names[: len(good)]] == [image.name for image in good]
    bad = [image for image in odd if not image.ok]
    assert len(table.problems) == len(bad) + (not odd[0].ok) + 1
    for problem, image in zip(table.problems, bad, strict=False):
        assert image.reason_contains in problem.reason
    assert "There is no file" in table.problems[-1].reason
    expected = run_eagerly(tiny, [Tap("join")], tiny.prepare([image.data for image in good]))[0]
    np.testing.assert_allclose(table.X[: len(good)], expected, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(table.X[-3:], run_eagerly(tiny, [Tap("join")], tiny.prepare(photos[:3]))[0], rtol=1e-4)


def test_a_file_that_changes_after_loading_is_told(tiny, folder):
    images = featlib.load_images(folder)
    Image.new("RGB", (40, 40)).save(folder / "03.png")
    (folder / "05.png").unlink()
    table = extract_vectors(tiny, images, "join")
    assert [problem.name for problem in table.problems] == ["03.png", "05.png"]
    assert "has changed since it was loaded" in table.problems[0].reason
    assert len(table.X) == 11
    assert "03.png" not in " ".join(table.names)


def test_progress_and_cancellation(tiny, folder):
    steps = []
    extract_vectors(tiny, folder, "join", batch_size=5, on_progress=lambda done, n: steps.append((done, n)))
    assert steps == [(5, 13), (10, 13), (13, 13)]
    with pytest.raises(CancelledError, match="Stopped after 5 of 13 images"):
        extract_vectors(tiny, folder, "join", batch_size=5, on_progress=lambda done, n: True)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("featlib-engine")]


def test_no_more_is_read_ahead_than_a_few_batches(tiny, folder, monkeypatch):
    opened = []
    inner = engine.open_image
    monkeypatch.setattr(engine, "open_image", lambda image: opened.append(1) or inner(image))
    many = list_pending(folder) * 40
    chunks = Engine(tiny, [Tap("join")], EngineOptions(4)).stream(many)
    next(chunks)
    chunks.close()
    assert 4 <= len(opened) <= 4 * (2 + 2 * (os.cpu_count() or 1)) + 2 * (os.cpu_count() or 1)


def test_a_mistake_in_the_network_surfaces(tiny, folder, monkeypatch):
    monkeypatch.setattr(engine, "make_runtime", lambda *_, **__: None)
    with pytest.raises(AttributeError):
        extract_vectors(tiny, folder, "join")


# --- the store


def test_only_what_is_new_is_computed(tiny, folder, store, forwarded, tmp_path):
    first = extract_vectors(tiny, folder, "join", store=store)
    assert len(forwarded) == 13
    forwarded.clear()
    again = extract_vectors(tiny, folder, "join", store=store)
    np.testing.assert_array_equal(again.X, first.X)
    assert (again.ids, again.names, dict(again.labels)) == (first.ids, first.names, dict(first.labels))
    assert not forwarded

    for i, image in enumerate(featlib.load_samples("views")[20:23]):
        Image.fromarray(image.pixels).save(folder / f"0{i}b.png")
    more = extract_vectors(tiny, folder, "join", store=store)
    assert len(forwarded) == 3
    np.testing.assert_allclose(more.X, extract_vectors(tiny, folder, "join").X, rtol=1e-5, atol=1e-4)
    forwarded.clear()
    (folder / "03.png").rename(tmp_path / "elsewhere.png")  # the content counts, not the name
    assert extract_vectors(tiny, [tmp_path / "elsewhere.png"], "join", store=store).ids == (first.ids[3],)
    assert not forwarded


def test_each_thing_that_matters_has_its_own_vectors(tiny, folder, store, forwarded):
    cases = [
        (tiny, "join", "avg"),
        (tiny, "join", "max"),
        (tiny, "side", "avg"),
        (tiny.adapted(preprocessing=load_backbone(tiny.model, preprocessing="tf").preprocessing), "join", "avg"),
    ]
    for i, (backbone, layer, pooling) in enumerate(cases, start=1):
        expected = extract_vectors(backbone, folder, layer, pooling=pooling).X
        found = extract_vectors(backbone, folder, layer, pooling=pooling, store=store)
        np.testing.assert_allclose(found.X, expected, rtol=1e-5, atol=1e-5)
        assert store.info().vectors == 13 * i
    forwarded.clear()
    both = extract_vectors(tiny, folder, ["join", "side"], store=store)  # each was kept by itself
    assert not forwarded
    np.testing.assert_array_equal(both.X[:, 8:], extract_vectors(tiny, folder, "side", store=store).X)


def test_each_resizer_has_its_own_vectors(tiny, folder, store):
    fastest = resizer_name()
    try:
        for i, name in enumerate(dict.fromkeys([fastest, "pillow"]), start=1):
            use_resizer(name)
            expected = extract_vectors(tiny, folder, "join")
            assert expected.origin.resizer == name
            for _ in range(2):
                np.testing.assert_allclose(extract_vectors(tiny, folder, "join", store=store).X, expected.X, rtol=1e-5)
            assert store.info().vectors == 13 * i
    finally:
        use_resizer(fastest)


def test_what_cannot_be_told_apart_is_not_kept(tiny, folder, store):
    own = load_backbone(tiny.model, preprocessing=lambda x: x / 3)
    extract_vectors(own, folder, "join", store=store)
    extract_vectors(tiny, folder, "join", pooling="flatten", store=store)
    assert store.info().vectors == 0


def test_a_file_that_changed_is_computed_again(tiny, folder, store):
    extract_vectors(tiny, folder, "join", store=store)
    other = featlib.load_samples("views")[40].pixels
    Image.fromarray(other).save(folder / "03.png")
    os.utime(folder / "03.png", (1e9 + 5, 1e9 + 5))
    found = extract_vectors(tiny, folder, "join", store=store)
    expected = run_eagerly(tiny, [Tap("join")], tiny.prepare([other]))[0]
    np.testing.assert_allclose(found.X[3:4], expected, rtol=1e-4)


def test_a_file_that_was_not_read_is_not_noted(tiny, folder, store):
    pixels = [image.pixels for image in featlib.load_samples("views")[:40]]
    for i in range(13, 40):
        Image.fromarray(pixels[i]).save(folder / f"{i}.png")
    Image.fromarray(pixels[0]).save(folder / "99.png")  # equal to 00.png: its vector is there before its turn
    images = featlib.load_images(folder)
    Image.fromarray(pixels[30][::-1]).save(folder / "99.png")
    os.utime(folder / "99.png", (1e9, 1e9))
    extract_vectors(tiny, images, "join", batch_size=1, store=store)
    found = extract_vectors(tiny, folder / "99.png", "join", store=store)
    np.testing.assert_allclose(found.X, extract_vectors(tiny, folder / "99.png", "join").X, rtol=1e-5)
    assert found.ids != images.ids[:1]


def test_a_network_with_functions_of_one_s_own_is_not_kept(folder, store):
    def network(factor):
        def scaled(x):
            return x * factor

        keras.utils.set_random_seed(1)
        inputs = keras.Input((32, 32, 3), name="pixels")
        outputs = keras.layers.Conv2D(4, 3, activation=scaled, name="conv")(inputs)
        return load_backbone(keras.Model(inputs, outputs, name="own"), preprocessing="none")

    one = extract_vectors(network(2.0), folder, "conv", store=store).X
    np.testing.assert_allclose(extract_vectors(network(3.0), folder, "conv", store=store).X, one * 1.5, rtol=1e-5)


def test_damaged_entries_are_computed_again(tiny, folder, store):
    first = extract_vectors(tiny, folder, "join", store=store).X
    data = bytearray(store.path.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    store.path.write_bytes(data)
    np.testing.assert_allclose(extract_vectors(tiny, folder, "join", store=store).X, first, rtol=1e-5)


def test_a_store_that_cannot_be_written_stops_nobody(tiny, folder, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    store = VectorStore(tmp_path / "file" / "vectors.db")
    np.testing.assert_array_equal(
        extract_vectors(tiny, folder, "join", store=store).X, extract_vectors(tiny, folder, "join").X
    )
    assert "is unavailable (" in store.problem


# --- to a file


def test_a_cancelled_file_goes_on_where_it_stopped(tiny, folder, tmp_path, forwarded):
    path = tmp_path / "v.npy"
    options = {"layers": ["join", "side"], "l2_normalize": True, "batch_size": 3}
    with pytest.raises(CancelledError, match="Stopped after 6 of 13 images; resume=True continues the work"):
        extract_to_file(tiny, folder, path, on_progress=lambda done, _: done >= 6, **options)
    assert not path.exists()
    forwarded.clear()
    written = extract_to_file(tiny, folder, path, resume=True, **options)
    assert len(forwarded) == 7
    assert (written.shape, written.layers, written.problems) == ((13, 16), ("join", "side"), ())
    expected = extract_vectors(tiny, folder, ["join", "side"], l2_normalize=True)
    np.testing.assert_allclose(np.load(path), expected.X, rtol=1e-4, atol=1e-6)


def test_a_file_of_images_that_changed_is_not_resumed(tiny, folder, tmp_path):
    with pytest.raises(CancelledError):
        extract_to_file(tiny, folder, tmp_path / "v.npz", "join", batch_size=3, on_progress=lambda *_: True)
    (folder / "00.png").unlink()
    with pytest.raises(FeatlibError, match=r"computed something else: images .*, total \(was 13, is 12\)"):
        extract_to_file(tiny, folder, tmp_path / "v.npz", "join", resume=True)
    extract_to_file(tiny, folder, tmp_path / "v.npz", "join")
    assert featlib.load_vectors(tmp_path / "v.npz").X.shape == (12, 8)


def test_other_pictures_without_a_file_are_not_resumed(tiny, tmp_path, photos):
    pixels = [photo.pixels for photo in photos[:3]]
    stopped = {"batch_size": 1, "on_progress": lambda *_: True}
    for one, other in ((pixels, pixels[::-1]), (list(map(Image.fromarray, pixels)), [pixels[0]] * 3)):
        with pytest.raises(CancelledError):
            extract_to_file(tiny, one, tmp_path / "v.npy", "join", **stopped)
        with pytest.raises(FeatlibError, match="computed something else: images"):
            extract_to_file(tiny, other, tmp_path / "v.npy", "join", resume=True)
        extract_to_file(tiny, one, tmp_path / "v.npy", "join", resume=True)


def test_what_is_resumed_is_computed_as_what_is_there(tiny, folder, tmp_path, monkeypatch):
    asked = []
    inner = engine.make_runtime
    monkeypatch.setattr(engine, "make_runtime", lambda *a, **k: asked.append(k["n_images"]) or inner(*a, **k))
    with pytest.raises(CancelledError):
        extract_to_file(tiny, folder, tmp_path / "v.npy", "join", batch_size=5, on_progress=lambda *_: True)
    extract_to_file(tiny, folder, tmp_path / "v.npy", "join", batch_size=5, resume=True)
    assert set(asked) == {13}


def test_what_a_set_could_not_read_is_told_with_the_file(tiny, folder, tmp_path):
    (folder / "bad.png").write_bytes(b"no image")
    images = featlib.load_images(folder)
    written = extract_to_file(tiny, images, tmp_path / "v.npz", "join")
    assert written.problems == images.problems == featlib.load_vectors(tmp_path / "v.npz").problems
    assert written.shape == (13, 8)


# --- decoding


def test_pixels_come_as_from_the_whole_picture(tmp_path, photos):
    image = Image.fromarray(photos[0].pixels).resize((3000, 2200))
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    image.save(tmp_path / "a.jpg", exif=exif)
    loaded = featlib.load_images(tmp_path / "a.jpg")[0]
    backbone = load_backbone("EfficientNetLite0", weights=None, include_top=False, input_shape=(224, 160, 3))
    np.testing.assert_array_equal(loaded.resized(224, 160), backbone.resize(loaded.pixels))
    found, _ = Engine(backbone, [Tap("stem_relu")]).run([loaded, ImageProblem("x", "y")])
    assert [type(entry) for entry in found] == [ImageItem, ImageProblem]
