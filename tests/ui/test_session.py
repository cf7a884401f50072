"""Choices to URL and back, and widgets tied to choices."""

from __future__ import annotations

from dataclasses import fields

import pytest
from streamlit.runtime.scriptrunner_utils.script_run_context import ScriptRunContext
from streamlit.testing.v1 import AppTest

from featlib.errors import FeatlibError
from featlib.ui.session import ALWAYS_IN_URL, Session, allowed_values, came_by_history, read_query, url_fields
from tests.app.driver import travel

CHANGED = Session(
    model="MobileNetV2",
    weights="random",
    top=False,
    size=96,
    images="digits",
    image=17,
    layer="outer/inner#2",
    pooling="flatten",
    also="block4_add",
    l2=True,
    channel=1279,
    sort="sparsity",
    scale="shared",
    page=27,
    method="tsne",
    dimensions=3,
    perplexity=12.5,
    color="predicted class",
    tool="lasso",
    label="größe & farbe",
    cell="a → b & c",
    limit=1797,
    pixels="tf",
    wrong="caffe",
    other="ResNet50",
    both=True,
    other_weights="random",
    other_layer="inner/conv#2",
    file="/data/größe & more/part",
    drawn=500,
    row=12,
    present=True,
    upload="a-key",
    own_key="another-key",
)


def test_every_choice_survives_the_url():
    query = CHANGED.to_query()
    assert set(query) == set(url_fields()), "CHANGED differs from the default in every field"
    assert all(isinstance(value, str) for value in query.values())
    again = read_query(query)
    assert again == CHANGED
    assert again.to_query() == query
    assert again.notices == []


@pytest.mark.parametrize("name", url_fields())
def test_one_choice_alone_survives_the_url(name):
    session = Session()
    setattr(session, url_fields()[name], getattr(CHANGED, url_fields()[name]))
    assert read_query(session.to_query()) == session


def test_the_url_of_the_default_is_short():
    assert Session().to_query() == {"model": "EfficientNetLite0", "images": "photos", "image": "0"}
    assert set(ALWAYS_IN_URL) <= set(url_fields())


def test_no_url_is_the_default():
    assert read_query({}) == Session()


def test_what_a_person_brought_is_not_in_the_url():
    session = Session(taken={"files": "a"}, stopped="job", notices=["hello"])
    assert session.to_query() == Session().to_query()
    inside = {
        "uploads",
        "upload_problems",
        "taken",
        "folder",
        "asked_model",
        "forgotten",
        "vectors_problem",
        "stopped",
        "notices",
        "linked",
        "failure",
        "own_key",
    }
    assert not inside & set(url_fields())


def test_a_choice_takes_back_what_has_no_meaning_with_it():
    session = read_query(CHANGED.to_query())
    session.choose("layer", "block4_add")
    assert (session.channel, session.page) == (0, 0)
    session.choose("images", "photos")
    assert (session.image, session.color, session.label) == (0, "", "")
    session.choose("model", "ResNet50V2")
    assert (session.layer, session.also, session.size) == ("", "", 0)
    session.choose("other", "VGG16")
    assert session.other_layer == ""


def test_only_what_a_link_asks_for_is_reported_and_once():
    session = read_query({"channel": "5000", "row": "7"})
    session.report("perplexity", 3)
    assert session.notices == []
    session.choose("row", 8)
    session.report("row", 1)
    session.report("channel", 39)
    session.report("channel", 39)
    assert session.notices == ["The link asks for channel=5000, which is not available; 39 is shown."]


def test_back_keeps_what_the_user_has_brought():
    session = Session(upload="a-key", own_key="another", layer="block4_add", stopped="job")
    session.take_choices(read_query({"image": "3"}))
    assert (session.image, session.layer, session.stopped) == (3, "", "")
    assert (session.upload, session.own_key) == ("a-key", "another")
    session.take_choices(read_query({"upload": "an-earlier-one"}))
    assert session.upload == "an-earlier-one"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("top", "True"),
        ("top", ""),
        ("l2", "-1"),
        ("size", "96.0"),
        ("size", ""),
        ("image", "-1"),
        ("image", "1e3"),
        ("channel", "two"),
        ("page", "-2"),
        ("dimensions", "3-D"),
        ("perplexity", "nan"),
        ("perplexity", "inf"),
        ("perplexity", "-5"),
        ("perplexity", "30,5"),
        ("limit", "9" * 5000),
    ],
)
def test_what_cannot_be_read_is_named_and_the_default_kept(name, value):
    session = read_query({name: value, "layer": "block4_add"})
    assert getattr(session, name) == getattr(Session(), name)
    assert session.layer == "block4_add", "the rest of the link is read"
    assert len(session.notices) == 1
    assert f"{name}={value}" in session.notices[0]


def test_unknown_parameters_are_ignored():
    session = read_query({"utm_source": "mail", "uploads": "x", "notices": "y", "stopped": "z"})
    assert session == Session()


def _bound():
    import streamlit as st

    from featlib.ui.session import bind, open_session, start_over

    session = open_session()
    st.number_input("Channel", 0, 100, **bind("channel"))
    st.number_input("Again", 0, 100, **bind("channel", second="_2"))
    st.selectbox("Shown", [300, 1000], **bind("limit", shown=1000))
    st.segmented_control("Sort", ["index", "mean"], **bind("sort"))
    st.text(f"{session.channel} {session.limit} {session.sort}")
    st.text(str(session.notices))
    st.text(session.failure)
    st.button("Start over", on_click=start_over)


@pytest.fixture
def at():
    app = AppTest.from_function(_bound)
    app.query_params["channel"] = "7"
    return app.run()


def test_a_bound_widget_starts_with_the_choice(at):
    assert [widget.value for widget in at.number_input] == [7, 7]
    assert at.text[0].value == "7 2000 index"


def test_a_bound_widget_writes_back_before_the_page_runs(at):
    at.number_input[0].set_value(8).run()
    assert [widget.value for widget in at.number_input] == [8, 8]
    assert at.text[0].value.startswith("8 ")
    assert at.query_params["channel"] == "8"
    at.number_input[1].set_value(9).run()
    assert [widget.value for widget in at.number_input] == [9, 9]


def test_what_a_widget_shows_may_differ_from_the_choice(at):
    assert at.selectbox[0].value == 1000
    assert at.session_state["featlib"].limit == 2000
    assert "limit" not in at.query_params


def test_a_choice_changed_by_code_moves_the_widget(at):
    at.session_state["featlib"].channel = 50
    at.run()
    assert [widget.value for widget in at.number_input] == [50, 50]


def test_nothing_chosen_keeps_the_choice(at):
    at.segmented_control[0].set_value("mean").run()
    at.segmented_control[0].set_value(None).run()
    assert at.session_state["featlib"].sort == "mean"
    assert at.segmented_control[0].value == "mean"


def test_the_url_is_read_at_the_beginning_and_after_back_and_forward_only(at):
    at.query_params["channel"] = "1"
    at.run()
    assert at.session_state["featlib"].channel == 7
    at.number_input[0].set_value(9).run()
    assert at.query_params["channel"] == "9"
    travel(at, {"channel": "7"})
    assert [widget.value for widget in at.number_input] == [7, 7]
    assert at.query_params == {"channel": "7"}
    assert at.number_input[0].set_value(8).run().query_params["channel"] == "8"
    assert travel(at, {}).number_input[0].value == 0


def test_streamlit_says_that_back_or_forward_has_started_a_run():
    """The one thing of Streamlit that is not documented; without it Back would change the URL and not the page."""
    assert "is_history_navigation" in {field.name for field in fields(ScriptRunContext)}
    assert not came_by_history(), "and without a run there is no Back"


def test_starting_over_resets_the_choices_and_keeps_what_the_user_has_brought(at):
    at.session_state["featlib"].upload = "a-key"
    at.button[0].click().run()
    assert at.text[0].value == "0 2000 index"
    assert at.query_params == {**Session().to_query(), "upload": "a-key"}


@pytest.mark.parametrize(("error", "shown"), [(KeyError("a bug"), 2), (FeatlibError("No such channel."), 1)])
def test_an_error_in_a_callback_is_left_for_the_page_to_show(at, monkeypatch, error, shown):
    def fail(self, name, value):
        raise error

    monkeypatch.setattr(Session, "choose", fail)
    at.number_input[0].set_value(8).run()
    assert not at.exception
    assert str(error) in at.text[shown].value
    assert [text.value for text in at.text if text.value in ("", "[]")], "either a notice or a failure"
    assert at.number_input[0].value == 7


def test_the_values_that_a_choice_can_take_stand_in_its_type():
    assert allowed_values("sort") == ("index", "mean", "max", "sparsity")
    assert allowed_values("dimensions") == (2, 3)
    assert allowed_values("layer") == ()
    for name in url_fields().values():
        assert not allowed_values(name) or getattr(Session(), name) in allowed_values(name)


@pytest.mark.parametrize(("name", "value"), [("sort", "beauty"), ("dimensions", "4"), ("pooling", "AVG"), ("tool", "")])
def test_a_value_that_is_not_allowed_is_named_and_the_default_kept(name, value):
    session = read_query({name: value})
    assert getattr(session, name) == getattr(Session(), name)
    assert [f"{name}={value}" in notice for notice in session.notices] == [True]


def test_another_choice_is_another_computation():
    session = Session(stopped="vectors")
    session.choose("layer", "block4_add")
    assert session.stopped == ""
