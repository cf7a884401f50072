"""The table to pick from, and the network with and without its top."""

from __future__ import annotations

import pytest

from featlib.ui.text import plain
from tests.app.driver import WITH_NETWORK, choices, data, go, labelled, open_page, press, run, said, select


def test_the_table_lists_every_layer_of_the_network(lite96):
    table = open_page("layers").dataframe[0].value
    assert list(table["Layer"]) == [info.path for info in lite96.layers]
    assert list(table["Class"]) == [info.class_name for info in lite96.layers]
    assert table["Parameters"].sum() == lite96.model.count_params()
    row = table.set_index("Layer").loc["block4_add"]
    assert row["Output shape"] == "12 × 12 × 40"
    assert row["Memory"] == 12 * 12 * 40 * 4
    assert row["★◆"] == "◆"
    assert row["Output"] == "feature maps"
    assert table.set_index("Layer").loc["predictions", "Output"] == "class probabilities"


def test_a_picked_row_is_the_chosen_layer_on_every_page(lite96):
    at = open_page("layers")
    number = next(info.index for info in lite96.layers if info.path == "block9_add")
    assert not at.dataframe[0].value["●"][number]
    select(at, at.dataframe[0], rows=[], columns=[], cells=[[number, "Layer"]])
    assert at.query_params["layer"] == "block9_add"
    assert [row for row, mark in enumerate(at.dataframe[0].value["●"]) if mark] == [number]
    assert "**block9_add (Add), 6 × 6 × 112**" in said(at)
    assert data(go(at, "feature_maps"), "maps")["label"].startswith("48 of 112 channels of block9_add")


@pytest.mark.parametrize("column", ["●", "#", "★◆", "Class", "Receptive field", "Memory"])
def test_any_cell_is_as_good_as_its_row(column):
    at = open_page("layers")
    select(at, at.dataframe[0], rows=[], columns=[], cells=[[5, column]])
    assert choices(at).layer == at.dataframe[0].value["Layer"][5]


def test_one_pick_after_another():
    at = open_page("layers")
    for row in (5, 0, 143):
        select(at, at.dataframe[0], rows=[], columns=[], cells=[[row, "Layer"]])
        assert choices(at).layer == at.dataframe[0].value["Layer"][row]


def test_taking_the_selection_away_keeps_the_layer():
    at = open_page("layers", layer="block9_add")
    select(at, at.dataframe[0], rows=[], columns=[], cells=[])
    assert choices(at).layer == "block9_add"


@pytest.mark.parametrize("row", [-1, 10_000])
def test_a_row_that_is_not_there_is_ignored(row):
    at = open_page("layers", layer="block9_add")
    select(at, at.dataframe[0], rows=[], columns=[], cells=[[row, "Layer"]])
    assert choices(at).layer == "block9_add"


def test_a_row_of_a_search_is_the_row_that_is_seen():
    at = open_page("layers")
    at.text_input[0].set_value("ADD 6 × 6")
    run(at)
    table = at.dataframe[0].value
    assert set(table["Class"]) == {"Add"}
    assert set(table["Output shape"].str[:5]) == {"6 × 6"}
    wanted = table["Layer"][2]
    select(at, at.dataframe[0], rows=[], columns=[], cells=[[2, "Layer"]])
    assert choices(at).layer == wanted
    assert list(at.dataframe[0].value["Layer"]) == list(table["Layer"]), "the search stays"


def test_a_search_without_result_says_so():
    at = open_page("layers")
    at.text_input[0].set_value("transformer")
    run(at)
    assert not at.dataframe
    assert "No layer matches “transformer”" in said(at)
    assert choices(at).layer == "block4_add"


def test_the_facts_are_the_networks(lite96):
    at = open_page("layers")
    facts = {metric.label: metric.value for metric in at.metric}
    assert facts["Layers"] == str(len(lite96.layers))
    assert facts["Parameters"] == f"{lite96.model.count_params() / 1e6:.2f} M"
    assert facts["Input"] == "96 × 96"
    assert facts["Output"] == "1,000"
    assert lite96.fingerprint[:12] in said(at)


def test_with_and_without_the_top_are_side_by_side():
    at = open_page("layers")
    assert "**`include_top=True`** · now" in said(at)
    for shape in ("**(3, 3, 1,280)**", "a vector **(1,280)**", "class probabilities **(1,000)**"):
        assert shape in said(at)
    press(at, "Show it without the top")
    assert "**`include_top=False`** · now" in said(at)
    assert list(at.dataframe[0].value["Layer"])[-1] == "head_relu"
    assert "include_top=False" in at.code[0].value


def test_without_the_top_a_layer_of_the_top_is_missed_and_named():
    at = press(open_page("layers", layer="predictions"), "Show it without the top")
    assert "'predictions'" in at.warning[0].value
    assert choices(at).layer == "block4_add"


@pytest.fixture
def nested(monkeypatch):
    """Puts a person's own model in the place of the chosen network: an inner model, and an output that needs more."""
    import keras

    from featlib.models import load_backbone
    from featlib.ui import compute

    image, age = keras.Input((32, 48, 3), name="image"), keras.Input((4,), name="age")
    encoder = keras.Sequential(
        [
            keras.layers.Input((None, None, 3)),
            keras.layers.Conv2D(8, 3, strides=2, padding="same", name="conv"),
            keras.layers.Conv2D(8, (1, 5), padding="same", activation="relu", name="wide"),
        ],
        name="encoder",
    )
    vector = keras.layers.GlobalAveragePooling2D(name="gap")(encoder(keras.layers.Rescaling(1 / 255)(image)))
    joined = keras.layers.Concatenate(name="joined")([vector, age])
    outputs = {"scores": keras.layers.Dense(2, name="scores")(vector), "both": joined}
    backbone = load_backbone(keras.Model([image, age], outputs, name="two_inputs"))
    monkeypatch.setattr(compute, "network", lambda session: backbone)
    return backbone


def test_layers_of_inner_models_stand_indented_under_it(nested):
    at = open_page("layers", layer="encoder/conv")
    table = at.dataframe[0].value
    names = dict(zip([info.path for info in nested.layers], table["Layer"], strict=True))
    assert names["encoder"] == "encoder"
    assert names["encoder/conv"] == "\u2003\u2003conv"
    assert "**encoder/conv (Conv2D), 16 × 24 × 8**" in said(at)
    facts = {metric.label: metric.value for metric in at.metric}
    assert facts["Parameters"] == f"{nested.model.count_params() / 1e6:.2f} M"
    assert table["Parameters"].sum() > nested.model.count_params(), "the inner model and its layers are both listed"
    assert facts["Output"] in ("2", "12")
    at.text_input[0].set_value("encoder/wide")
    run(at)
    assert list(at.dataframe[0].value["Layer"]) == ["\u2003\u2003wide"]
    assert list(at.dataframe[0].value["Receptive field"]) == ["3 × 11"]
    assert list(at.dataframe[0].value["Stride"]) == [2]


def test_what_was_guessed_is_said_and_the_top_of_an_own_model_is_not_explained(nested):
    at = open_page("layers")
    [notes] = [expander for expander in at.expander if "assumption" in expander.label]
    assert notes.label == "1 repair or assumption"
    assert not notes.proto.expanded
    assert [text.value for text in notes.markdown] == [f"- {plain(nested.notes[0])}"]
    assert "With and without the top" not in said(at)


def test_an_unavailable_layer_says_why_and_the_choice_stays(nested):
    at = open_page("layers", layer="encoder/conv")
    table = at.dataframe[0].value
    number = next(info.index for info in nested.layers if info.path == "joined")
    assert table["Unavailable"][number] == nested.layers[number].reason != ""
    select(at, at.dataframe[0], rows=[], columns=[], cells=[[number, "Layer"]])
    assert choices(at).layer == "encoder/conv"
    assert [nested.layers[number].reason in warning.value for warning in at.warning] == [True]
    assert not run(at).warning, "said once is enough"


def test_the_filters_are_the_kinds_that_there_are(nested):
    at = open_page("layers")
    show = labelled(at.segmented_control, "Show")
    assert show.options == ["all", "suggested", "feature maps", "vector", "unavailable"]
    for name, wanted in {
        "vector": {info.path for info in nested.layers if info.kind == "vector" and not info.reason},
        "unavailable": {info.path for info in nested.layers if info.reason},
        "suggested": {i.path for i in nested.layers if i.stage_end or i.path == nested.feature_layer},
    }.items():
        labelled(at.segmented_control, "Show").set_value(name)
        run(at)
        assert {layer.strip() for layer in at.dataframe[0].value["Layer"]} == {path.split("/")[-1] for path in wanted}


def test_suggested_layers_are_marked_and_can_be_picked_from_the_short_list(lite96):
    at = open_page("layers")
    labelled(at.segmented_control, "Show").set_value("suggested")
    run(at)
    table = at.dataframe[0].value
    assert list(table["Layer"]) == [info.path for info in lite96.layers if info.stage_end]
    assert list(table["★◆"]) == ["◆"] * (len(table) - 1) + ["★"]
    assert table["Layer"].iloc[-1] == lite96.feature_layer
    info = next(info for info in lite96.layers if info.path == table["Layer"][1])
    assert (table["Receptive field"][1], table["Stride"][1]) == (info.receptive_field[0], info.stride[0])
    select(at, at.dataframe[0], rows=[], columns=[], cells=[[1, "Layer"]])
    assert choices(at).layer == info.path


@pytest.fixture
def color_and_depth(monkeypatch):
    """A network whose first layer takes two images."""
    import keras

    from featlib.models import load_backbone
    from featlib.ui import compute

    rgb, depth = keras.Input((20, 20, 3), name="rgb"), keras.Input((20, 20, 1), name="depth")
    fused = keras.layers.Conv2D(3, 3, name="conv")(keras.layers.Concatenate(name="fused")([rgb, depth]))
    backbone = load_backbone(keras.Model([rgb, depth], fused), preprocessing="none")
    monkeypatch.setattr(compute, "network", lambda session: backbone)


@pytest.mark.usefixtures("color_and_depth")
def test_a_model_of_which_one_image_shows_nothing_is_listed_with_the_reason():
    at = open_page("layers")
    assert not at.error
    assert any("can be computed from one image" in info.value and "depth" in info.value for info in at.info)
    assert {"fused", "conv"} <= set(at.dataframe[0].value["Layer"])
    select(at, at.dataframe[0], rows=[], columns=[], cells=[[3, "Layer"]])
    assert any("has no accessible output" in warning.value for warning in at.warning)


@pytest.mark.usefixtures("color_and_depth")
def test_pages_that_need_an_image_say_in_one_sentence_why_they_show_nothing():
    for page in WITH_NETWORK:
        if page == "layers":
            continue
        at = open_page(page)
        [error] = at.error
        assert error.value == (
            "No layer of 'functional' can be computed from one image ('fused': it needs the input 'depth', which "
            "takes a second image, (20, 20, 1))."
        )
        assert at.header
