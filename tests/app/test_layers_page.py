"""The table to pick from, and the network with and without its top."""

from __future__ import annotations

import pytest

from tests.app.driver import choices, data, go, open_page, press, run, said, select


def test_the_table_lists_every_layer_of_the_network(lite96):
    table = open_page("layers").dataframe[0].value
    assert list(table["Layer"]) == [info.path for info in lite96.layers]
    assert list(table["Class"]) == [info.class_name for info in lite96.layers]
    assert table["Parameters"].sum() == lite96.model.count_params()
    row = table.set_index("Layer").loc["block4_add"]
    assert row["Output shape"] == "12 × 12 × 40"
    assert row["Memory per image"] == 12 * 12 * 40 * 4 / 1024
    assert row["◆"] == "◆"
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
    assert data(go(at, "feature_maps"), "maps")["alt"].startswith("48 of 112 channels of block9_add")


@pytest.mark.parametrize("column", ["●", "#", "◆", "Class", "Memory per image"])
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
    for shape in ("**(3, 3, 1,280)**", "the vector **(1,280)**", "class probabilities **(1,000)**"):
        assert shape in said(at)
    press(at, "Show it without the top")
    assert "**`include_top=False`** · now" in said(at)
    assert list(at.dataframe[0].value["Layer"])[-1] == "head_relu"
    assert "include_top=False" in at.code[0].value


def test_without_the_top_a_layer_of_the_top_is_missed_and_named():
    at = press(open_page("layers", layer="predictions"), "Show it without the top")
    assert "'predictions'" in at.warning[0].value
    assert at.query_params["layer"] == "block4_add"
