"""Channels: picked, sorted, scaled, paged; and layers that have none."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from featlib.analysis import channel_statistics, sort_channels
from featlib.features import feature_maps
from featlib.images import load_samples
from featlib.plots import channel_image
from tests.app.driver import (
    choices,
    data,
    element,
    has,
    labelled,
    open_page,
    pick,
    run,
    said,
    select,
    traces,
    values,
)

WIDE = "block5_expand_relu"  # 240 channels: five pages


@pytest.fixture(scope="module")
def maps(lite96, photos):
    return feature_maps(lite96, photos[:2], WIDE)


def test_a_channel_by_its_number():
    at = open_page("feature_maps", layer=WIDE)
    labelled(at.number_input, "Channel").set_value(5)
    run(at)
    assert at.query_params["channel"] == "5"
    assert data(at, "maps")["selected"] == 5
    assert f"Channel 5 of {WIDE}, enlarged." in [image.alt for image in _images(at)]


def test_a_channel_by_its_tile():
    at = pick(open_page("feature_maps", layer=WIDE), "maps", 7)
    assert at.query_params["channel"] == "7"
    assert labelled(at.number_input, "Channel").value == 7
    assert data(at, "maps")["selected"] == 7
    assert choices(pick(at, "maps", 0)).channel == 0, "channel 0 is a channel"


def test_a_tile_on_home_is_picked_too():
    at = pick(open_page(layer=WIDE), "maps", 3)
    assert at.query_params["channel"] == "3"


def test_home_shows_the_first_channels_whatever_page_was_looked_at():
    at = open_page(layer="block4_add", page=20)
    assert not at.error
    assert values(at, "maps") == list(range(15))


def test_an_image_by_its_thumbnail():
    at = pick(open_page("feature_maps"), "shelf", 3)
    assert at.query_params["image"] == "3"
    assert data(at, "shelf")["selected"] == 3
    assert [picture["caption"] for picture in data(at, "shelf")["pictures"]][3] == "chelsea"


def test_the_channels_numbers_are_those_of_the_network(maps):
    at = open_page("feature_maps", layer=WIDE, channel=9)
    channel = maps[0, ..., 9]
    shown = {metric.label: metric.value for metric in at.metric}
    assert shown == {
        "mean": f"{channel.mean():.3g}",
        "max": f"{channel.max():.3g}",
        "zeros": f"{(channel == 0).mean():.0%}",
    }
    tile = data(at, "maps")["pictures"][9]
    assert tile["title"] == f"Channel 9: {channel.min():.3g} to {channel.max():.3g}"


@pytest.mark.parametrize("sort", ["index", "mean", "max", "sparsity"])
def test_channels_are_sorted(maps, sort):
    at = open_page("feature_maps", layer=WIDE)
    labelled(at.selectbox, "Sort by").set_value(sort)
    run(at)
    order = sort_channels(channel_statistics(maps[:1]), sort)
    assert values(at, "maps") == order[:48].tolist()
    if sort != "index":
        assert values(at, "maps") != list(range(48))


def test_a_shared_scale_changes_the_colors_and_not_the_order():
    at = open_page("feature_maps", layer=WIDE)
    before = data(at, "maps")
    labelled(at.segmented_control, "Color scale").set_value("shared")
    after = data(run(at), "maps")
    pictures = list(zip(before["pictures"], after["pictures"], strict=True))
    assert sum(old["source"] != new["source"] for old, new in pictures) > 40
    assert all(old["title"] == new["title"] for old, new in pictures)


def test_channels_are_paged():
    at = open_page("feature_maps", layer=WIDE)
    at.pagination[0].set_value(5)
    run(at)
    assert at.query_params["page"] == "5"
    assert values(at, "maps") == list(range(192, 240))
    at = pick(at, "maps", 200)
    assert choices(at).channel == 200
    assert at.pagination[0].value == 5
    assert values(at, "maps") == list(range(192, 240))


def test_the_page_of_the_channel_is_shown_until_the_person_turns_to_another():
    at = open_page("feature_maps", layer=WIDE, channel=100)
    assert at.pagination[0].value == 3
    assert values(at, "maps") == list(range(96, 144))
    assert "page" not in at.query_params
    at.pagination[0].set_value(1)
    run(at)
    assert at.query_params["page"] == "1"
    assert values(at, "maps") == list(range(48))
    assert choices(at).channel == 100, "turning pages is looking around"
    labelled(at.number_input, "Channel").set_value(239)
    run(at)
    assert values(at, "maps")[-1] == 239


def test_another_order_is_shown_from_its_beginning_and_a_link_where_the_channel_is(maps):
    order = sort_channels(channel_statistics(maps[:1]), "mean").tolist()
    last = order[-1]
    at = open_page("feature_maps", layer=WIDE, channel=last)
    labelled(at.selectbox, "Sort by").set_value("mean")
    run(at)
    assert values(at, "maps") == order[:48]
    at = open_page("feature_maps", layer=WIDE, channel=last, sort="mean")
    assert values(at, "maps") == order[192:]


def test_sorting_shows_a_channel_that_is_on_the_page(maps):
    order = sort_channels(channel_statistics(maps[:1]), "max").tolist()
    for channel, wanted in ((order[100], order[0]), (order[20], order[20])):
        at = open_page("feature_maps", layer=WIDE, channel=channel)
        labelled(at.selectbox, "Sort by").set_value("max")
        run(at)
        assert data(at, "maps")["selected"] == wanted
        assert wanted in values(at, "maps")
        assert (at.query_params["sort"], at.query_params["channel"]) == ("max", str(wanted))


def test_a_bar_of_the_vector_is_its_channel():
    at = open_page("feature_maps", layer=WIDE)
    select(
        at, element(at, "plotly_chart", "vector"), points=[{"customdata": 200}], point_indices=[200], box=[], lasso=[]
    )
    assert at.query_params["channel"] == "200"
    assert data(at, "maps")["selected"] == 200


def test_a_link_may_name_another_page_than_the_channels():
    at = open_page("feature_maps", layer=WIDE, channel=100, page=5)
    assert values(at, "maps") == list(range(192, 240))
    assert at.query_params["page"] == "5"


def test_another_layer_begins_at_its_first_channel():
    """The same number means nothing in another layer, and may be out of its range."""
    at = open_page("feature_maps", layer=WIDE, page=5, channel=200)
    labelled(at.selectbox, "Layer").set_value("block4_add")
    run(at)
    assert not at.pagination
    assert values(at, "maps") == list(range(40))
    assert labelled(at.number_input, "Channel").value == 0
    assert {"channel", "page"}.isdisjoint(at.query_params)
    assert not at.warning


def test_a_channel_and_a_page_that_a_layer_lacks_are_named():
    at = open_page("feature_maps", layer=WIDE, page=6, channel=5000)
    assert not at.error
    warnings = [warning.value for warning in at.warning]
    assert ["channel=5000" in warnings[0], "page=6" in warnings[1]] == [True, True]
    assert "239 is shown" in warnings[0]
    assert labelled(at.number_input, "Channel").value == 239
    assert at.pagination[0].value == 5
    assert not run(at).warning


def test_the_end_of_a_stage_is_one_click():
    at = open_page("feature_maps")
    ends = labelled(at.segmented_control, "Stage outputs")
    assert ends.value == "block4_add"
    ends.set_value("block10_add")
    run(at)
    assert at.query_params["layer"] == "block10_add"
    assert labelled(at.selectbox, "Layer").value == "block10_add"
    labelled(at.selectbox, "Layer").set_value("block9_add")
    assert labelled(run(at).segmented_control, "Stage outputs").value is None


def test_the_vector_is_the_mean_of_each_channel(maps):
    at = open_page("feature_maps", layer=WIDE, image=1)
    np.testing.assert_allclose(np.ravel(traces(at, "vector")[0]["y"]), maps[1].mean(axis=(0, 1)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("page", ["", "feature_maps"])
@pytest.mark.parametrize(("layer", "size"), [("avg_pool", 1280), ("predictions", 1000)])
def test_a_layer_without_height_and_width_shows_its_vector(page, layer, size, lite96, photos):
    at = open_page(page, layer=layer)
    assert not at.error
    assert not has(at, "bidi_component", "maps")
    vector = np.ravel(traces(at, "vector")[0]["y"])
    assert len(vector) == size
    np.testing.assert_allclose(vector, feature_maps(lite96, photos[:1], layer)[0], rtol=1e-3, atol=1e-6)
    if page:
        assert f"`{layer}` has no height and width" in said(at)


@pytest.mark.parametrize(
    ("page", "layer"), [("vectors", "input"), ("projection", "predictions"), ("transfer", "avg_pool")]
)
def test_any_kind_of_layer_is_fine_on_any_page(page, layer):
    at = open_page(page, layer=layer, images="views")
    assert not at.error
    assert not at.warning
    assert at.query_params["layer"] == layer


def test_the_input_is_a_layer_with_three_channels():
    at = open_page("feature_maps", layer="input")
    assert values(at, "maps") == [0, 1, 2]


def test_the_film_strip_goes_through_the_stages(lite96):
    ends = [info for info in lite96.layers if info.stage_end]
    at = open_page("feature_maps", layer="predictions")
    strip = data(at, "stages")
    assert f"end of each of {len(ends)} stages" in strip["label"]
    assert [picture["caption"] for picture in strip["pictures"]] == ["input", *(info.path for info in ends)]
    at = pick(at, "stages", 3)
    assert at.query_params["layer"] == ends[2].path
    assert data(at, "stages")["selected"] == 3


def test_a_stage_of_signed_channels_is_drawn_by_their_sizes(lite96, photos):
    """The ends of the stages are linear: their channels have both signs, which cancel in a plain mean."""
    layer = next(info.path for info in lite96.layers if info.stage_end and info.path.endswith("_add"))
    maps = feature_maps(lite96, photos[3:4], layer)[0]
    assert np.abs(maps.mean(-1)).mean() < np.abs(maps).mean() / 4, "a plain mean would be noise"
    strip = data(open_page("feature_maps", image=3), "stages")
    [picture] = [picture for picture in strip["pictures"] if picture["caption"] == layer]
    drawn = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture["source"].partition(",")[2]))))
    wanted = channel_image(np.abs(maps).mean(-1), drawn.shape[0])
    assert np.abs(drawn.astype(int) - wanted.astype(int)).mean() < 1


def test_a_long_set_is_walked_in_steps():
    at = open_page("feature_maps", images="views")
    shelf = data(at, "shelf")
    assert values(at, "shelf") == list(range(30))
    assert (shelf["before"], shelf["after"]) == (None, 30)
    at = pick(at, "shelf", shelf["after"])
    assert values(at, "shelf") == list(range(30, 60))
    assert at.query_params["image"] == "30"
    labelled(at.selectbox, "Image (").set_value(119)
    run(at)
    shelf = data(at, "shelf")
    assert values(at, "shelf") == list(range(90, 120))
    assert (shelf["before"], shelf["after"]) == (89, None)


def test_images_are_filtered_by_class_and_the_choice_stays():
    views = load_samples("views")
    at = open_page("feature_maps", images="views", image=5)
    kinds = views.labels_for("photo")
    other = next(kind for kind in kinds if kind != kinds[5])
    labelled(at.selectbox, "Filter").set_value(other)
    run(at)
    assert values(at, "shelf") == np.flatnonzero(kinds == other).tolist()
    assert choices(at).image == 5
    assert at.query_params["image"] == "5"


def test_a_smaller_set_begins_at_its_first_image():
    at = open_page("feature_maps", images="views", image=119)
    labelled(at.selectbox, "Images").set_value("photos")
    run(at)
    assert at.query_params["image"] == "0"
    assert data(at, "shelf")["selected"] == 0


def test_an_image_that_is_not_there_is_named_and_the_first_shown():
    at = open_page("feature_maps", image=999)
    assert ["image=999" in warning.value for warning in at.warning] == [True]
    assert data(at, "shelf")["selected"] == choices(at).image == 0
    assert not run(at).warning


def test_home_names_what_is_in_the_photo(lite96, photos):
    at = open_page(image=4)
    bars = traces(at, "prediction")[0]
    probabilities = feature_maps(lite96, photos[4:5], "predictions")[0]
    best = lite96.class_names[probabilities.argmax()]
    assert best == "coffeepot", "an espresso, seen in 96 pixels"
    assert f"Top 5 predictions: {best} {probabilities.max():.0%}" in element(at, "plotly_chart", "prediction").proto.alt
    np.testing.assert_allclose(np.sort(np.ravel(bars["x"]))[::-1], np.sort(probabilities)[::-1][:5], rtol=1e-3)


def _images(at):
    return [image for element in at.image for image in element.proto.imgs]
