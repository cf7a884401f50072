"""The layer and the images that are offered."""

from __future__ import annotations

import numpy as np
import pytest

from featlib.images import load_images, load_samples
from featlib.ui.session import Session
from featlib.ui.text import code, plain
from featlib.ui.widgets import (
    bounded_perplexity,
    default_layer,
    format_shape,
    layer_title,
    matching_images,
    positions_in,
    sample_column,
)


def test_the_first_layer_shown_is_in_the_middle_of_the_network(lite0):
    assert default_layer(lite0) == "block4_add"


def test_a_network_with_few_stages_has_a_first_layer_too(tiny):
    ends = [info.path for info in tiny.layers if info.stage_end]
    assert default_layer(tiny) in (ends or [tiny.feature_layer])
    assert default_layer(tiny) in [info.path for info in tiny.layers]


def test_a_network_without_stages_shows_its_feature_layer():
    import keras

    from featlib.models import load_backbone

    inputs = keras.Input((32, 32, 3))
    outputs = keras.layers.Dense(2)(keras.layers.Flatten(name="flat")(inputs))
    backbone = load_backbone(keras.Model(inputs, outputs, name="flat_model"), preprocessing="none")
    assert default_layer(backbone) == backbone.layers[-1].path, "only the input has height and width"


def test_a_layer_in_one_line(lite0):
    info = next(info for info in lite0.layers if info.path == "head_relu")
    assert layer_title(info) == "head_relu · 7 × 7 × 1,280"


@pytest.mark.parametrize(
    ("shape", "text"), [((28, 28, 40), "28 × 28 × 40"), ((1280,), "1,280"), ((None, None, 3), "? × ? × 3"), ((), "")]
)
def test_a_shape_in_words(shape, text):
    assert format_shape(shape) == text


def test_a_part_stands_where_its_items_stand_in_the_whole():
    pixels = np.zeros((8, 8, 3), np.uint8)
    images = load_images([pixels, pixels + 1, pixels, pixels + 2])
    assert images.ids[0] == images.ids[2]
    assert positions_in(images, images[[2, 3]]) == [2, 3], "the same picture twice is two images"
    assert positions_in(images, images) == [0, 1, 2, 3]


def test_images_are_found_by_their_class_or_by_all_words_of_name_and_labels():
    views = load_samples("views")
    everything = range(len(views))
    kinds = views.labels_for("photo")
    assert matching_images(views, everything, "coffee") == np.flatnonzero(kinds == "coffee").tolist()
    assert matching_images(views, [5, 7, 9], "zoom COFFEE") == []
    [found] = matching_images(views, everything, "zoom COFFEE")
    assert views.names[found] == "coffee · zoom"
    assert matching_images(views, everything, "coffee tea") == []


def test_a_part_is_drawn_by_the_first_label_column():
    assert sample_column(load_samples("views")) == "photo"
    assert sample_column(load_images([np.zeros((8, 8, 3), np.uint8)])) is None


@pytest.mark.parametrize(
    ("count", "limit", "offered", "used"),
    [
        (300, 2000, [], 300),
        (2000, 2000, [300, 1000, 2000], 2000),
        (2500, 2000, [300, 1000, 2000, 2500], 2000),  # the address says nothing else
        (2500, 2500, [300, 1000, 2000, 2500], 2500),
        (2500, 300, [300, 1000, 2000, 2500], 300),
    ],
)
def test_all_images_are_used_up_to_2000_and_a_sample_of_more(count, limit, offered, used):
    from streamlit.testing.v1 import AppTest

    def script(count, limit):
        import streamlit as st

        from featlib.images import ImageItem, ImageSet
        from featlib.ui.session import current_session
        from featlib.ui.widgets import pick_part

        images = ImageSet("many", tuple(ImageItem(f"{i}", f"{i}.png") for i in range(count)))
        session = current_session()
        session.limit = limit or session.limit
        st.text(len(pick_part(session, images)))

    at = AppTest.from_function(script, kwargs={"count": count, "limit": limit if limit != 2000 else 0}).run()
    assert at.text[0].value == str(used)
    titles = [f"all {n:,}" if n == count else f"{n:,} of {count:,}" for n in offered]
    assert [box.options for box in at.selectbox] == ([titles] if titles else [])


@pytest.mark.parametrize(
    ("count", "wanted", "used"),
    [(120, 30.0, 30.0), (120, 1000.0, 39.5), (120, 0.0, 1.0), (10, 30.0, 3.0), (6, 30.0, 1.5), (5, 30.0, 1.0)],
)
def test_the_perplexity_is_the_nearest_possible(count, wanted, used):
    from featlib.analysis import perplexity_bounds

    session = Session(perplexity=wanted)
    assert bounded_perplexity(session, count) == used
    assert session.perplexity == wanted
    low, high = perplexity_bounds(count)
    assert low <= used <= high


@pytest.mark.parametrize("count", [0, 1, 3])
def test_too_few_images_for_any_perplexity_do_no_harm(count):
    assert bounded_perplexity(Session(), count) == 30.0


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("a plain sentence, of 3 words.", "a plain sentence, of 3 words."),
        ("![x](http://example.org)", r"!\[x\](http\://example.org)"),
        ("`code` *loud* $math$ <b>", r"\`code\` \*loud\* \$math\$ \<b\>"),
        (r"C:\photos", r"C:\\photos"),
        ("block4_add, __init__.jpg", r"block4_add, \_\_init\_\_.jpg"),
        ("a~~b~~ :red_circle: &lt;", r"a\~\~b\~\~ \:red_circle: \&lt;"),
        (ValueError("[x]"), r"\[x\]"),
        ("www.example.org me@example.org", r"www\.example.org me\@example.org"),
        ("# 1 of #2", r"\# 1 of #2"),
    ],
)
def test_text_of_strangers_is_shown_as_it_is(text, markdown):
    assert plain(text) == markdown


@pytest.mark.parametrize(
    ("text", "markdown"),
    [("a_b", "`a_b`"), ("`![x](http://example.org)", "`` `![x](http://example.org) ``"), ("a``b`", "``` a``b` ```")],
)
def test_names_are_code_whatever_they_contain(text, markdown):
    assert code(text) == markdown
