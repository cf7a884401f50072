"""Every page by its link, one after the other in one visit, and what stands in the URL."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest

from featlib.ui.session import Session, url_fields
from tests.app.driver import (
    PAGES,
    SIZE,
    choices,
    data,
    go,
    labelled,
    open_page,
    press,
    programs,
    run,
    said,
    select,
    travel,
)

HEADINGS = {
    "": "See what a convolutional network sees",
    "preprocessing": "Why are my features no good?",
    "layers": "What is inside the network?",
    "feature_maps": "What does each channel respond to?",
    "vectors": "What is an image to the network?",
    "projection": "Do similar pictures end up together?",
    "vector_files": "What is in a file of vectors?",
    "compare": "What has training added?",
    "layer_probe": "Which layer is best for these images?",
    "transfer": "What can be learned from frozen features?",
}

# A link that says something else than the default in every field.
EVERYTHING = {
    "model": "MobileNetV2",
    "weights": "random",
    "top": "0",
    "size": "96",
    "images": "views",
    "image": "17",
    "layer": "block_5_expand_relu",
    "pooling": "max",
    "also": "block_2_add",
    "l2": "1",
    "channel": "7",
    "sort": "mean",
    "scale": "shared",
    "page": "2",
    "method": "tsne",
    "dimensions": "3",
    "perplexity": "12.5",
    "color": "view",
    "tool": "lasso",
    "label": "view",
    "cell": "flip → grey",
    "limit": "1000",
    "pixels": "tf",
    "wrong": "caffe",
    "other": "EfficientNetLite0",
    "both": "1",
    "other_weights": "random",
    "other_layer": "block7_add",
    "file": "/not/on/this/machine.parquet",
    "drawn": "500",
    "row": "12",
    "present": "1",
    "upload": "a-key",
    "own": "another-key",
}

IMPOSSIBLE = {
    "model": "ResNet500",
    "weights": "mine",
    "top": "yes",
    "images": "cats",
    "image": "first",
    "pooling": "sum",
    "l2": "2",
    "channel": "-1",
    "sort": "beauty",
    "scale": "log",
    "page": "1.5",
    "method": "umap",
    "dimensions": "4",
    "perplexity": "nan",
    "tool": "pen",
    "limit": "many",
    "both": "2",
    "pixels": "blue",
    "wrong": "sepia",
    "other": "ResNet",
    "other_weights": "mine",
    "drawn": "-1",
    "row": "first",
}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_works_alone_and_leads_to_every_page(page):
    at = open_page(page)
    assert at.header[0].value == HEADINGS[page]
    assert not at.error
    assert not at.warning
    if page not in ("layer_probe", "transfer"):  # there, photos of one each are nothing to learn from
        assert labelled(at.expander, "**The code**")
        assert "import" in programs(at)[0]
    assert at.query_params == {"size": str(SIZE)}, "a page settles its own choices without a word in the URL"
    links = [link.proto for link in at.sidebar if link.type == "page_link"]
    assert [link.page.rsplit("/", 1)[-1] for link in links] == list(PAGES)
    query = {"model": "EfficientNetLite0", "images": "photos", "image": "0", "size": str(SIZE)}
    assert all(dict(parse_qsl(link.query_string)) == query for link in links)


@pytest.mark.parametrize("order", [PAGES, PAGES[::-1]], ids=["forwards", "backwards"])
def test_choices_survive_a_walk_through_all_pages(order):
    at = open_page(order[0], layer="block9_add", image=3, images="views", pooling="max")
    for page in (*order[1:], order[0]):
        go(at, page)
        assert at.header[0].value == HEADINGS[page]
        assert not at.error
        assert not at.warning
        wanted = {"layer": "block9_add", "image": "3", "images": "views", "pooling": "max", "size": str(SIZE)}
        assert wanted.items() <= at.query_params.items()


def test_the_link_of_these_tests_says_everything():
    assert set(EVERYTHING) == set(url_fields())
    default = Session()
    assert not [name for name, value in EVERYTHING.items() if str(getattr(default, url_fields()[name])) == value]


@pytest.mark.parametrize("page", PAGES)
def test_a_link_that_says_everything_shows_just_that(page):
    at = open_page(page, **EVERYTHING)
    assert not at.error
    assert not at.warning
    assert dict(at.query_params) == EVERYTHING


def test_a_link_sets_the_widgets():
    at = open_page("feature_maps", **EVERYTHING)
    assert labelled(at.selectbox, "Images").value == "views"
    assert labelled(at.selectbox, "Network").value in ("MobileNet", "MobileNetV2")  # the family
    assert labelled(at.selectbox, "Version").value == "MobileNetV2"
    assert labelled(at.selectbox, "Input size").value == 96
    assert labelled(at.toggle, "Include top").value is False
    assert labelled(at.segmented_control, "Weights").value == "random"
    assert labelled(at.selectbox, "Image (").value == 17
    assert labelled(at.selectbox, "Layer").value == "block_5_expand_relu"
    assert labelled(at.selectbox, "Sort by").value == "mean"
    assert labelled(at.segmented_control, "Color scale").value == "shared"
    assert labelled(at.number_input, "Channel").value == 7
    assert at.pagination[0].value == 2
    at = open_page("vectors", **EVERYTHING)
    assert labelled(at.segmented_control, "Pooling").value == "max"
    assert labelled(at.selectbox, "Append").value == "block_2_add"
    assert labelled(at.toggle, "L2-normalize").value is True
    at = open_page("projection", **EVERYTHING)
    assert labelled(at.segmented_control, "Method").value == "tsne"
    assert labelled(at.segmented_control, "Dimensions").value == 3
    assert labelled(at.slider, "Perplexity").value == 12.5
    assert labelled(at.selectbox, "Color").value == "view"
    at = open_page("projection", **EVERYTHING | {"dimensions": "2"})
    assert labelled(at.segmented_control, "Mouse").value == "lasso"
    at = open_page("transfer", **EVERYTHING)
    assert labelled(at.segmented_control, "Label to predict").value == "view"


@pytest.mark.parametrize("page", PAGES)
def test_what_a_link_cannot_mean_is_named_and_the_default_shown(page):
    at = open_page(page, **IMPOSSIBLE)
    assert not at.error
    assert len(at.warning) == len(IMPOSSIBLE)
    for name, value in IMPOSSIBLE.items():
        assert any(f"{name}={value}" in warning.value for warning in at.warning), name
        assert getattr(choices(at), name) == getattr(Session(), name)
    assert not run(at).warning, "said once is enough"


@pytest.mark.parametrize("size", ["97", "big", "-96"])
def test_an_impossible_input_size_is_named(size):
    at = open_page("layers", size=size)
    assert [f"size={size}" in warning.value for warning in at.warning] == [True]
    assert choices(at).size == 0


def test_a_link_to_somebodys_uploads_says_that_they_are_not_here():
    at = open_page("vectors", images="uploads")
    assert ["Upload them again on Home" in warning.value for warning in at.warning] == [True]
    assert choices(at).images == "photos"


@pytest.mark.parametrize("page", ["", "layers", "feature_maps", "vectors", "projection"])
def test_a_layer_that_is_not_there_is_named_and_another_shown(page):
    at = open_page(page, layer="block4_ad", also="nothing")
    assert len(at.warning) == 2
    assert "'block4_ad'" in at.warning[0].value
    assert "'block4_add'" in at.warning[0].value
    assert "'nothing'" in at.warning[1].value
    assert (choices(at).layer, choices(at).also) == ("block4_add", "")


@pytest.mark.parametrize("page", PAGES)
def test_numbers_out_of_range_do_no_harm(page):
    at = open_page(page, image=10**30, channel=10**30, page=10**30, limit=10**30, perplexity=1e30, images="views")
    assert not at.error
    assert any(f"image={10**30}" in warning.value for warning in at.warning), "on every page"
    assert choices(at).image == 0
    assert programs(at)
    assert all(programs(at))


@pytest.mark.parametrize(
    ("page", "query"),
    [
        ("vectors", {"images": "digits", "limit": 7}),
        ("compare", {"other": "ResNet50V3"}),
        ("compare", {"other": "EfficientNetLite0", "other_weights": "imagenet"}),
    ],
)
def test_a_choice_that_is_not_offered_is_named_and_another_shown(page, query):
    at = open_page(page, **query)
    name, value = list(query.items())[-1]
    assert [f"{name}={value}" in warning.value for warning in at.warning] == [True]
    assert not at.error


def test_columns_that_are_not_there_are_named_and_the_first_shown():
    at = open_page("projection", color="mood", images="views")
    assert labelled(at.selectbox, "Color").value == "photo"
    assert ["color=mood" in warning.value for warning in at.warning] == [True]
    at = open_page("transfer", label="mood", images="views", limit=300)
    assert labelled(at.segmented_control, "Label to predict").value == "photo"
    assert ["label=mood" in warning.value for warning in at.warning] == [True]
    assert not at.error


def test_no_page_changes_the_choices_of_another():
    """It shows something else where it must: here an image among the 300 of 1,797 that it uses."""
    at = open_page("vectors", images="digits", image=3, layer="block4_add", limit=300)
    assert ["image=3" in warning.value for warning in at.warning] == [True]
    assert "the first of the 300 used here" in at.warning[0].value
    assert choices(at).image == 3
    assert not run(at).warning
    go(at, "feature_maps")
    assert (at.query_params["image"], data(at, "shelf")["selected"]) == ("3", 3)
    at = open_page("projection", images="views", color="view", label="view", layer="block4_add")
    go(at, "vector_files")
    go(at, "projection")
    assert labelled(at.selectbox, "Color").value == "view"
    assert not at.warning


@pytest.mark.parametrize("name", ["model", "layer", "also", "sort", "image"])
def test_a_link_brings_no_pictures_or_markup_into_the_page(name):
    at = open_page("layers", **{name: "![x](http://example.org/x.png) `a` <b> :red[c] $x$"})
    assert len(at.warning) == 1
    text = at.warning[0].value
    assert r"!\[x\](http\://example.org/x.png) \`a\` \<b\> \:red\[c\] \$x\$" in text


def test_a_changed_choice_is_written_into_the_url():
    at = open_page("feature_maps")
    labelled(at.selectbox, "Layer").set_value("block9_add")
    run(at)
    assert at.query_params["layer"] == "block9_add"
    assert "sort" not in at.query_params
    labelled(at.selectbox, "Sort by").set_value("sparsity")
    labelled(at.selectbox, "Images").set_value("views")
    run(at)
    assert at.query_params["sort"] == "sparsity"
    assert at.query_params["images"] == "views"
    again = open_page("feature_maps", **dict(at.query_params))
    assert said(again) == said(at)


def test_back_and_forward_restore_the_choices():
    at = open_page("layers")
    begun = dict(at.query_params)
    select(at, at.dataframe[0], rows=[], columns=[], cells=[[5, "Layer"]])
    first = dict(at.query_params)
    press(at, "Show it without the top")
    second = dict(at.query_params)
    go(at, "feature_maps")
    third = dict(at.query_params)
    labelled(at.number_input, "Channel").set_value(3)
    run(at)
    fourth = dict(at.query_params)
    assert [first["layer"], second["top"], fourth["channel"]] == [choices(at).layer, "0", "3"]
    assert third == second, "another page is another entry, not another choice"
    travel(at, third)
    assert labelled(at.number_input, "Channel").value == 0
    travel(at, first, "layers")
    assert labelled(at.toggle, "Include top").value is True
    travel(at, begun)
    assert choices(at).layer == "block4_add"
    assert at.query_params == begun, "what the page settles is not written"
    travel(at, second)
    assert labelled(at.toggle, "Include top").value is False
    travel(at, fourth, "feature_maps")
    assert labelled(at.number_input, "Channel").value == 3
    assert choices(at).layer == first["layer"]
    assert not at.warning


def test_switching_back_to_a_default_takes_it_out_of_the_url():
    at = open_page("layers", top=0)
    assert at.query_params["top"] == "0"
    press(at, "Show it with the top")
    assert "top" not in at.query_params


def test_a_link_to_copy_has_no_key_to_what_the_view_does_not_show():
    keys = {"upload": "a-key", "own": "another"}
    at = open_page("feature_maps", layer="block9_add", image=3, file="a.parquet", **keys)
    shown = data(at, "copy link")
    query = dict(parse_qsl(shown["query"]))
    assert query.items() >= {"layer": "block9_add", "image": "3", "size": str(SIZE)}.items()
    assert {"upload", "own", "file"}.isdisjoint(query)
    assert shown["note"] == ""


def test_a_presenter_view_has_a_way_out():
    at = press(open_page("feature_maps"), "Present")
    assert at.query_params["present"] == "1"
    go(at, "layers")
    press(at, "Leave presenter view")
    assert "present" not in at.query_params


def test_two_visits_do_not_share_choices():
    one, other = open_page("layers", layer="block9_add"), open_page("layers")
    assert choices(run(one)).layer == "block9_add"
    assert choices(run(other)).layer == "block4_add"
