"""One forward pass per image, one extraction for all pages and sessions; what was stopped can be resumed."""

from __future__ import annotations

import threading
import time

import pytest
import streamlit as st
from PIL import Image

from featlib.images import load_images, load_samples
from featlib.transfer import stage_layers
from featlib.ui.compute import compute_vectors, load_network, traces, vector_store
from featlib.ui.compute.queue import QUEUE
from featlib.ui.session import Session
from tests.app.driver import SIZE, choices, go, has, labelled, open_page, pick, press, run, said
from tests.app.uploading import pictures, upload

pytestmark = pytest.mark.usefixtures("fresh")


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """These tests count: 24 views count as well as 120."""
    whole = load_samples("views")
    part = whole[:24]
    monkeypatch.setattr("featlib.ui.frame.load_samples", lambda name: part if name == "views" else load_samples(name))
    monkeypatch.setattr("featlib.ui.pages.home.load_samples", lambda name: part)
    return part


def metrics(at):
    return [(metric.label, metric.value) for metric in at.metric]


def test_after_the_first_trace_no_layer_runs_the_network(passes):
    at = open_page("feature_maps")
    assert passes == [("imagenet", 1)]
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
    assert passes == [("imagenet", 1)]


def test_each_image_is_traced_once_for_all_visits(passes):
    at = open_page("feature_maps")
    for image in (1, 2, 1, 0):
        pick(at, "shelf", image)
    assert passes == [("imagenet", 1)] * 3
    open_page("feature_maps", layer="head_relu")
    assert len(passes) == 3
    open_page("feature_maps", weights="random")
    assert passes[3:] == [("random", 1)]


def test_the_first_page_computes_all_stages_for_all_pages(passes):
    at = open_page("vectors", images="views", layer="block4_add")
    network = load_network("EfficientNetLite0", "imagenet", True, SIZE)
    assert passes.images() == 24
    go(at, "projection")
    for layer in stage_layers(network):
        labelled(at.selectbox, "Layer").set_value(layer)
        run(at)
    labelled(at.selectbox, "Color").set_value("predicted class")
    run(at)
    go(at, "layer_probe")
    assert passes.images() == 24
    go(at, "transfer")
    assert passes.images("random") == 24
    for page in ("vectors", "projection", "transfer", "vectors"):
        go(at, page)
    assert passes.images() == passes.images("random") == 24


def test_a_layer_inside_of_a_stage_takes_one_more_pass(passes):
    at = open_page("vectors", images="views", layer="block4_add")
    labelled(at.selectbox, "Layer").set_value("block5_expand_conv")
    run(at)
    assert passes.images() == 48
    labelled(at.selectbox, "Layer").set_value("block4_add")
    run(at)
    labelled(at.selectbox, "Layer").set_value("block5_expand_conv")
    run(at)
    assert passes.images() == 48


def test_a_layer_inside_of_a_stage_comes_along_with_the_first_pass(passes):
    at = open_page("vectors", images="views", layer="block5_expand_conv")
    go(at, "layer_probe")
    assert passes.images() == 24


def test_a_server_that_starts_again_finds_what_was_computed(passes):
    at = open_page("vectors", images="views", layer="block4_add")
    shown = metrics(at)
    for one in (st.cache_data, vector_store, traces):
        one.clear()
    passes.clear()
    assert metrics(open_page("vectors", images="views", layer="block4_add")) == shown
    assert passes == []


def test_two_sessions_that_ask_for_the_same_set_compute_it_once(passes, monkeypatch, few):
    """AppTest stands for one session at a time, so the second one is a thread that asks for the same meanwhile."""
    network = load_network("EfficientNetLite0", "imagenet", True, SIZE)
    original, sessions, found = type(QUEUE).turn, [], []

    def ask():
        found.append(compute_vectors(Session(), network, few, ["block4_add"]))

    def turn(self, key, on_wait):
        if not sessions:
            sessions.append(threading.Thread(target=ask))
            sessions[0].start()
            time.sleep(2)  # it reaches the computation that this one holds
        return original(self, key, on_wait)

    monkeypatch.setattr(type(QUEUE), "turn", turn)
    at = open_page("vectors", images="views", layer="block4_add")
    sessions[0].join(60)
    assert ("Shape", "(24, 40)") in metrics(at)
    assert found[0].vectors["block4_add"].shape == (24, 40)
    assert passes.images() == 24


def test_who_waited_for_another_session_that_left_computes_it(passes, few):
    network = load_network("EfficientNetLite0", "imagenet", True, SIZE)
    key = f"vectors {network.fingerprint} {few.fingerprint} avg"
    asked = threading.Event()

    def leave():
        with QUEUE.turn(key, lambda ahead: None):
            asked.set()
            time.sleep(2)

    other = threading.Thread(target=leave)
    other.start()
    assert asked.wait(30)
    at = open_page("vectors", images="views")
    other.join(30)
    assert has(at, "plotly_chart", "matrix")
    assert passes.images() == 24


def test_an_image_that_has_changed_is_named_and_the_others_are_used(tmp_path, monkeypatch):
    for i, item in enumerate(load_samples("views")[:12]):
        Image.fromarray(item.pixels).save(tmp_path / f"{i:02}.png")
    ours = load_images(tmp_path)
    monkeypatch.setattr("featlib.ui.frame.load_samples", lambda name: ours)
    content = (tmp_path / "03.png").read_bytes()
    (tmp_path / "03.png").unlink()
    Image.new("RGB", (9, 9)).save(tmp_path / "07.png")
    at = open_page("vectors", layer="block4_add")
    [warning] = at.warning
    assert "2 of 12 images were skipped" in warning.value
    assert "03.png" in warning.value
    assert "07.png" in warning.value
    assert ("Shape", "(10, 40)") in metrics(at)
    assert has(go(at, "projection"), "plotly_chart", "scatter")
    assert len(at.warning) == 1
    (tmp_path / "03.png").write_bytes(content)
    go(at, "vectors")
    assert ("Shape", "(11, 40)") in metrics(at), "what lacked an image was not cached"


def test_another_pooling_is_other_vectors(passes):
    at = open_page("vectors", images="views", layer="block9_add")
    labelled(at.segmented_control, "Pooling").set_value("max")
    run(at)
    labelled(at.segmented_control, "Pooling").set_value("avg")
    run(at)
    assert passes.images() == 48


@pytest.mark.slow
def test_more_images_only_need_the_new_ones(passes):
    at = open_page("vectors", images="digits", limit=300, layer="block4_add")
    assert passes.images() == 300
    labelled(at.selectbox, "Images used").set_value(1000)
    run(at)
    digits = load_samples("digits")
    few, many = digits.sample(300, by="digit"), digits.sample(1000, by="digit")
    assert passes.images() == len(set(few.ids) | set(many.ids))


@pytest.fixture
def turns(monkeypatch):
    """The keys of all that went through the queue."""
    seen = []
    original = type(QUEUE).turn
    monkeypatch.setattr(
        type(QUEUE), "turn", lambda self, key, on_wait: seen.append(key) or original(self, key, on_wait)
    )
    return seen


def test_a_projection_is_computed_once(turns):
    at = open_page("projection", images="views", method="tsne", perplexity=5)
    assert [key.split()[0] for key in turns] == ["vectors", "t-SNE"]
    labelled(at.slider, "Perplexity").set_value(4.0)
    run(at)
    assert [key.split()[0] for key in turns] == ["vectors", "t-SNE", "t-SNE"]
    labelled(at.segmented_control, "Method").set_value("pca")
    run(at)
    labelled(at.segmented_control, "Method").set_value("tsne")
    run(at)
    assert len(turns) == 3


def test_probes_are_trained_once(turns):
    at = open_page("transfer", images="views", layer="block4_add")
    assert [key.split()[0] for key in turns].count("probe") == 3
    before = len(turns)
    go(run(at), "layers")
    go(at, "transfer")
    assert len(turns) == before
    labelled(at.selectbox, "Layer").set_value("block9_add")
    run(at)
    assert [key.split()[0] for key in turns].count("probe") == 5, "the raw pixels are the same for every layer"


@pytest.mark.parametrize("page", ["vectors", "layer_probe", "transfer", ""])
def test_stopped_work_says_so_keeps_what_is_done_and_resumes(page, passes, stop_after, monkeypatch):
    whole = load_samples("views")
    monkeypatch.setattr("featlib.ui.frame.load_samples", lambda name: whole if name == "views" else load_samples(name))
    monkeypatch.setattr("featlib.ui.pages.home.load_samples", lambda name: whole)
    stop_after(2)
    at = open_page(page, images="views", layer="block4_add")
    assert "Stopped." in said(at)
    assert not at.error
    assert "The code" in str([expander.label for expander in at.expander])
    stopped = passes.images()
    run(at)
    assert passes.images() == stopped < 120, "it does not resume by itself"
    press(at, "Resume")
    assert "Stopped" not in said(at)
    assert choices(at).stopped == ""
    assert passes.images() - stopped == 120 - 64, "the two batches that were reported are in the store"
    shown = {"vectors": "matrix", "layer_probe": "depth", "transfer": "accuracy", "": "overview"}
    assert has(at, "plotly_chart", shown[page])


def test_a_stopped_projection_leaves_no_old_plot_and_resumes(stop_after):
    at = open_page("projection", images="views", layer="block4_add", perplexity=5)
    assert has(at, "plotly_chart", "scatter")
    stop_after(3)
    labelled(at.segmented_control, "Method").set_value("tsne")
    run(at)
    assert "Stopped" in said(at)
    assert not has(at, "plotly_chart", "scatter")
    press(at, "Resume")
    assert has(at, "plotly_chart", "scatter")
    assert "Perplexity 5" in said(at)


def test_a_probe_can_be_stopped_and_resumed(stop_after):
    at = open_page("vectors", images="views", layer="block4_add", weights="random")
    stop_after(2)  # the vectors are there: the bar is that of the first probe
    go(at, "transfer")
    assert "Stopped." in said(at)
    assert not has(at, "plotly_chart", "accuracy")
    press(at, "Resume")
    assert "Stopped." not in said(at)
    assert has(at, "plotly_chart", "accuracy")


def test_another_choice_resumes_what_was_stopped(stop_after):
    stop_after(1)
    at = open_page("vectors", images="views", layer="block4_add")
    assert "Stopped" in said(at)
    labelled(at.selectbox, "Layer").set_value("block9_add")
    run(at)
    assert "Stopped" not in said(at)
    assert has(at, "plotly_chart", "matrix")


def test_flattened_vectors_say_beforehand_that_a_stopped_run_starts_over(monkeypatch):
    shown = []
    original = st.caption
    monkeypatch.setattr(st, "caption", lambda text, **options: shown.append(text) or original(text, **options))
    open_page("vectors", images="views", layer="block9_add", pooling="avg")
    assert not [text for text in shown if "starts over" in text]
    open_page("vectors", images="views", layer="block9_add", pooling="flatten")
    assert [text for text in shown if "starts over" in text]


def test_an_interrupted_upload_is_read_again(monkeypatch):
    interrupted = []
    original = st.delta_generator.DeltaGenerator.progress

    def progress(self, value, text=None, **options):
        if text and "Reading 1" in text and not interrupted:
            interrupted.append(1)
            st.rerun()
        return original(self, value, text, **options)

    monkeypatch.setattr(st.delta_generator.DeltaGenerator, "progress", progress)
    at = upload(open_page(), pictures(3))
    assert interrupted
    assert len(choices(at).uploads) == 3
