"""A bug leaves the heading, the navigation and a way out, wherever it strikes."""

from __future__ import annotations

import logging

from featlib.ui.session import Session
from tests.app.driver import PAGES, ROOT, choices, elements, labelled, open_page, pick, press, run, said

FAULT = "a bug in <b>:red[featlib]</b> \ud800 of '/srv/my photos/a.png'"
SENTENCE = "Something here has failed."


def fail(*args, **kwargs):
    raise RuntimeError(FAULT)


def assert_shown(at, heading, where="main"):
    assert at.header[0].value.startswith(heading)
    links = [link for link in at.sidebar if link.type == "page_link"]
    assert len(links) == len(PAGES)
    assert len(at.error) == 1
    assert at.error[0].value.startswith(SENTENCE)
    details = labelled(at.expander, "Details")
    [code] = [element.proto.code_text for element in details if element.type == "code"]
    assert code.startswith("Traceback")
    assert "RuntimeError: a bug in <b>:red[featlib]</b> \N{REPLACEMENT CHARACTER} of '…/a.png'" in code
    assert 'File "featlib/ui/' in code
    assert str(ROOT) not in code
    assert labelled(at.button, "Start over")


def test_a_page_that_raises_keeps_its_frame_and_starts_over(monkeypatch, caplog):
    with monkeypatch.context() as patch, caplog.at_level(logging.ERROR, "featlib"):
        patch.setattr("featlib.ui.compute.networks.load_backbone", fail)
        at = open_page("feature_maps", size=160, weights="random", image=3)
        assert_shown(at, "What does each channel respond to?")
        assert choices(at).image == 3
        assert any(FAULT[:10] in str(record.exc_info[1]) for record in caplog.records)
    press(at, "Start over")
    assert not at.error
    assert choices(at).to_query().items() >= {"image": "0", "layer": "block4_add"}.items()
    assert dict(at.query_params) == Session().to_query()


def test_a_result_that_fails_leaves_the_rest_of_the_page(monkeypatch):
    monkeypatch.setattr("featlib.ui.pages.vectors.cosine_similarity", fail)
    at = open_page("vectors", layer="block4_add")
    assert_shown(at, "What is an image to the network?")
    assert "Nearest images" in said(at)
    assert labelled(at.expander, "**The code**")


def test_a_fragment_that_fails_leaves_the_rest_of_the_page(monkeypatch):
    monkeypatch.setattr("featlib.plots.projection_scatter", fail)
    at = open_page("projection", layer="block4_add")
    assert_shown(at, "Do similar pictures end up together?")
    assert labelled(at.expander, "**The code**")


def test_a_callback_that_fails_leaves_the_page(monkeypatch):
    at = open_page("feature_maps")
    with monkeypatch.context() as patch:
        patch.setattr(Session, "choose", fail)
        pick(at, "shelf", 3)
    assert_shown(at, "What does each channel respond to?")
    assert len(elements(at, "bidi_component")) > 1, "the page itself is there"
    assert not run(at).error


def test_a_sidebar_that_fails_leaves_the_page(monkeypatch):
    monkeypatch.setattr("featlib.ui.sidebar.choose_own_model", fail)
    at = open_page("layers", model="own")
    assert_shown(at, "What is inside the network?")
    assert "no model of your own yet" in said(at)
