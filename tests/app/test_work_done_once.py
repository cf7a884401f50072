"""One forward pass per image, one extraction for all pages; stopped work is kept and gone on with."""

from __future__ import annotations

import threading

import pytest
import streamlit as st
from PIL import Image

from featlib.images import load_images, load_samples
from featlib.ui.compute import background, cache, rows, turns, work
from featlib.ui.pages import home
from tests.app.driver import choices, go, has, labelled, open_page, pick, press, run, said

pytestmark = pytest.mark.usefixtures("fresh")


@pytest.fixture
def passes(monkeypatch):
    """Names of the images that were traced, in order."""
    seen = []
    original = cache.trace_image
    monkeypatch.setattr(cache, "trace_image", lambda backbone, item: seen.append(item.name) or original(backbone, item))
    return seen


def test_after_the_first_look_no_layer_runs_the_network(passes, extracted, monkeypatch):
    at = open_page("feature_maps")
    assert passes == ["china"]
    backbone = cache.backbone("EfficientNetLite0", "imagenet", True, 96)

    def never(*args, **kwargs):
        raise AssertionError("the network may not run")

    from featlib.features import taps

    monkeypatch.setattr(taps, "tap_layers", never)
    monkeypatch.setattr(type(backbone.model), "__call__", never)
    for layer in ("input", "block5_expand_conv", "head_relu", "avg_pool", "predictions"):
        labelled(at.selectbox, "Layer").set_value(layer)
        run(at)
        assert at.query_params["layer"] == layer
    labelled(at.selectbox, "Layer").set_value("head_relu")
    run(at)
    labelled(at.selectbox, "Sort by").set_value("max")
    pick(run(at), "maps", 3)
    go(at, "layers")
    go(at, "feature_maps")
    assert passes == ["china"]
    assert extracted == []


def test_each_image_is_looked_at_once(passes):
    at = open_page("feature_maps")
    for image in (1, 2, 1, 0):
        pick(at, "shelf", image)
    assert passes == ["china", "flower", "astronaut"]


def test_another_visit_needs_no_pass_either(passes):
    open_page("feature_maps")
    open_page("feature_maps", layer="head_relu")
    assert passes == ["china"]
    open_page("feature_maps", weights="random")
    assert passes == ["china", "china"]


def test_vectors_are_computed_once_for_all_pages(extracted):
    at = open_page("vectors", images="views", layer="block4_add")
    assert extracted == [("imagenet", ("block4_add",), "avg", n) for n in (96, 24)]
    extracted.clear()
    go(at, "projection")
    labelled(at.segmented_control, "Dimensions").set_value(3)
    run(at)
    assert extracted == []
    go(at, "transfer")
    assert {weights for weights, *_ in extracted} == {"random"}
    assert extracted.images("random") == 120
    extracted.clear()
    for page in ("vectors", "projection", "transfer", "vectors"):
        go(at, page)
    assert extracted == []
    go(at, "")
    assert {layers for _, layers, _, _ in extracted} == {("head_relu",)}
    extracted.clear()
    go(at, "projection")
    labelled(at.selectbox, "Layer").set_value("head_relu")
    run(at)
    assert extracted == [], "Home has made these"


def test_a_server_that_starts_again_finds_what_was_computed(extracted):
    at = open_page("vectors", images="views", layer="block4_add")
    shown = metrics(at)
    for one in (cache.results, cache.shared, background.preparer):
        one.clear()
    extracted.clear()
    assert metrics(open_page("vectors", images="views", layer="block4_add")) == shown
    assert extracted == []


def metrics(at):
    return [(metric.label, metric.value) for metric in at.metric]


def test_a_page_and_another_session_that_ask_for_the_same_set_compute_it_once(extracted, monkeypatch):
    monkeypatch.setattr(rows, "PART", 16)
    open_page("projection", images="views", layer="block4_add")  # with a network that is loaded
    extracted.clear()
    network = cache.backbone("EfficientNetLite0", "imagenet", True, 96)
    other = rows.Rows(cache.shared(), network, load_samples("views"), ["block9_add"], "avg")
    inside, page_is_there = threading.Event(), threading.Event()

    def moved(left):
        inside.set()
        page_is_there.wait(180)

    thread = threading.Thread(target=other.compute, args=[moved], name="other session")
    thread.start()
    assert inside.wait(180)
    original = turns.Turns.turn
    # AppTest stands for one session at a time, so the other one is a thread that waits until the page waits for it.
    monkeypatch.setattr(turns.Turns, "turn", lambda self, *args: page_is_there.set() or original(self, *args))
    at = open_page("projection", images="views", layer="block9_add")
    thread.join(180)
    assert other.missing == []
    ids = extracted.rows["imagenet"]
    assert len(ids) == len(set(ids)) == 120
    assert {layers for _, layers, _, _ in extracted} == {("block9_add",)}
    assert has(at, "plotly_chart", "scatter")


def test_an_image_that_has_changed_is_told_and_the_others_are_used(tmp_path, extracted, monkeypatch):
    images = load_samples("views")[:12]
    for i, item in enumerate(images):
        Image.fromarray(item.pixels).save(tmp_path / f"{i:02}.png")
    ours = load_images(tmp_path)
    monkeypatch.setattr("featlib.ui.frame.load_samples", lambda name: ours)
    (tmp_path / "03.png").unlink()
    Image.new("RGB", (9, 9)).save(tmp_path / "07.png")
    at = open_page("vectors", layer="block4_add")
    [warning] = at.warning
    assert "2 of 12 images cannot be used" in warning.value
    assert "03.png" in warning.value
    assert "07.png" in warning.value
    assert ("Shape", "(10, 40)") in metrics(at)
    assert has(go(at, "projection"), "plotly_chart", "scatter")
    assert len(at.warning) == 1


def test_another_pooling_is_other_vectors(extracted):
    at = open_page("vectors", layer="block9_add")
    labelled(at.segmented_control, "Pooling").set_value("max")
    run(at)
    labelled(at.segmented_control, "Pooling").set_value("avg")
    run(at)
    assert [pooling for _, _, pooling, _ in extracted] == ["avg", "max"]


def test_more_images_only_need_the_new_ones(extracted):
    at = open_page("vectors", images="digits", limit=300, layer="block4_add")
    assert extracted.images() == 300
    extracted.clear()
    labelled(at.selectbox, "Images used").set_value(1000)
    run(at)
    digits = load_samples("digits")
    few, many = digits.sample(300, by="digit"), digits.sample(1000, by="digit")
    assert extracted.images() == len(set(many.ids) - set(few.ids)) < 1000


def test_a_projection_is_computed_once(monkeypatch):
    calls = []
    original = work.project
    monkeypatch.setattr(work, "project", lambda X, **kwargs: calls.append(kwargs["method"]) or original(X, **kwargs))
    at = open_page("projection", images="views", method="tsne")
    labelled(at.selectbox, "Colour").set_value("view")
    run(at)
    assert calls == ["tsne"]
    labelled(at.slider, "Perplexity").set_value(5.0)
    run(at)
    assert calls == ["tsne", "tsne"]
    labelled(at.segmented_control, "Method").set_value("pca")
    run(at)
    labelled(at.segmented_control, "Method").set_value("tsne")
    run(at)
    assert calls == ["tsne", "tsne", "pca"]


def test_probes_are_trained_once(monkeypatch):
    calls = []
    original = work.linear_probe
    monkeypatch.setattr(work, "linear_probe", lambda *a, **k: calls.append(1) or original(*a, **k))
    at = open_page("transfer", images="views", layer="block4_add")
    assert len(calls) == 3
    go(run(at), "layers")
    go(at, "transfer")
    assert len(calls) == 3
    labelled(at.selectbox, "Layer").set_value("block9_add")
    run(at)
    assert len(calls) == 5, "the raw pixels are the same for every layer"


@pytest.fixture
def stop_after(monkeypatch):
    """Presses "Stop" when the bar has moved so many times: the run ends where the bar moves, and the page runs anew."""

    def arrange(moves, module=work):
        pressed = []
        jobs = []
        original_progress, original_move = work._progress, work.move_bar

        def progress(session, job, text):
            jobs.append((session, job))
            return original_progress(session, job, text)

        def move(bar, fraction, text):
            original_move(bar, fraction, text)
            pressed.append(fraction)
            if len(pressed) == moves:
                session, job = jobs[-1]
                session.stopped = job
                st.rerun()

        monkeypatch.setattr(work, "_progress", progress)
        monkeypatch.setattr(module, "move_bar", move)

    return arrange


@pytest.mark.parametrize("page", ["vectors", "projection", "layer_probe", "transfer", ""])
def test_stopped_work_says_so_keeps_what_is_done_and_goes_on(page, extracted, stop_after):
    stop_after(2)
    at = open_page(page, images="views", layer="block4_add")
    assert "Stopped." in said(at)
    assert not at.error
    assert "The code" in str([expander.label for expander in at.expander])
    assert extracted.images() == 64
    run(at)
    assert extracted.images() == 64, "it does not go on by itself"

    press(at, "Go on")
    assert "Stopped" not in said(at)
    assert choices(at).stopped == ""
    assert extracted.images() == 120, "nothing was computed twice"
    shown = {"vectors": "matrix", "projection": "scatter", "layer_probe": "depth", "transfer": "accuracy", "": "views"}[
        page
    ]
    assert has(at, "plotly_chart", shown)


def test_a_stopped_projection_leaves_no_old_plot_and_goes_on(stop_after):
    at = open_page("projection", images="views", layer="block4_add")
    assert has(at, "plotly_chart", "scatter")
    stop_after(3)
    labelled(at.segmented_control, "Method").set_value("tsne")
    run(at)
    assert "Stopped" in said(at)
    assert not has(at, "plotly_chart", "scatter")
    press(at, "Go on")
    assert has(at, "plotly_chart", "scatter")
    assert "Perplexity 30" in said(at)


def test_a_head_that_is_trained_can_be_stopped_and_gone_on_with(stop_after):
    at = open_page("vectors", images="views", layer="block4_add", weights="random")
    stop_after(2)  # the vectors are there: the bar is that of the first head
    go(at, "transfer")
    assert "Stopped." in said(at)
    assert not has(at, "plotly_chart", "accuracy")
    press(at, "Go on")
    assert "Stopped." not in said(at)
    assert has(at, "plotly_chart", "accuracy")


def test_what_was_stopped_on_one_layer_does_not_stop_another(stop_after):
    stop_after(1)
    at = open_page("vectors", images="views", layer="block4_add")
    assert "Stopped" in said(at)
    labelled(at.selectbox, "Layer").set_value("block9_add")
    run(at)
    assert "Stopped" not in said(at)
    assert has(at, "plotly_chart", "matrix")


def test_a_stopped_upload_is_not_taken_for_read(monkeypatch):
    from tests.app.uploading import pictures, upload

    interrupted = []
    original = home.move_bar

    def move(*args):
        original(*args)
        if not interrupted:
            interrupted.append(1)
            st.rerun()

    monkeypatch.setattr(home, "move_bar", move)
    at = upload(open_page(), pictures(3))
    assert interrupted
    assert len(choices(at).uploads) == 3
