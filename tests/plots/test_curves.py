"""Accuracy over depth."""

import json

import pytest

from featlib.errors import FeatlibError
from featlib.plots import accuracy_curve, add_accuracy_curve

LAYERS = ["stem", "stage/<b>add</b>", "a_very_long_name_of_a_layer_at_the_end"]


def figure(**options):
    return accuracy_curve(LAYERS, [0.5, 0.9, 0.7], [0.05, 0.01, 0.1], **options)


def test_a_point_a_layer_with_its_error_bar_and_its_path():
    curve = figure(chosen=LAYERS[1]).data[0]
    assert list(curve.y) == [0.5, 0.9, 0.7]
    assert list(curve.error_y.array) == [0.05, 0.01, 0.1]
    assert list(curve.customdata) == LAYERS
    colors = curve.marker.color
    assert colors[0] == colors[2] != colors[1]
    assert "90.0 ± 1.0%" in curve.text[1]


def test_names_are_short_and_harmless():
    ticks = figure(notes=["1 × 1", "2 × 2", "3 × 3"]).layout.xaxis.ticktext
    assert ticks[0] == "stem<br>1 × 1"
    assert "<b>" not in ticks[1]
    assert ticks[1].endswith("<br>2 × 2")
    assert len(ticks[2]) < 30
    assert "<b>" not in json.dumps(figure().data[0].text)


def test_baselines_are_lines_whose_names_do_not_touch():
    drawn = figure(baselines=[("raw pixels", 0.2), ("always the most common class", 0.19)])
    assert [shape.y0 for shape in drawn.layout.shapes] == [0.19, 0.2]
    notes = drawn.layout.annotations
    assert [note.text for note in notes] == ["always the most common class 19%", "raw pixels 20%"]
    assert notes[1].y - notes[0].y >= 0.05


def test_another_network_is_drawn_from_first_layer_to_last():
    drawn = figure(name="one")
    assert not drawn.layout.showlegend
    add_accuracy_curve(drawn, ["a", "b", "c", "<b>d</b>", "e"], [0.1, 0.2, 0.3, 0.4, 0.5], [0.1] * 5, name="<i>two</i>")
    first, second = drawn.data
    assert list(second.x) == [0, 0.5, 1, 1.5, 2]
    assert list(second.y) == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert second.text[3] == "&lt;b&gt;d&lt;/b&gt;: 40.0 ± 10.0%"
    assert (first.name, second.name) == ("one", "&lt;i&gt;two&lt;/i&gt;")
    assert second.customdata is None, "its layers are not those of the first network"
    assert (first.line.color, first.line.dash) != (second.line.color, second.line.dash)
    assert drawn.layout.showlegend
    with pytest.raises(FeatlibError, match="means has 1"):
        add_accuracy_curve(drawn, ["a", "b"], [0.1], [0.1, 0.1], name="two")


def test_no_color_of_the_page_is_fixed():
    layout = json.loads(figure(baselines=[("guess", 0.1)]).to_json())["layout"]
    del layout["template"]
    assert layout["paper_bgcolor"] == layout["plot_bgcolor"] == "rgba(0,0,0,0)"
    assert '"font"' not in json.dumps(layout)


def test_what_does_not_fit_is_refused():
    with pytest.raises(FeatlibError, match="no layers"):
        accuracy_curve([], [], [])
    with pytest.raises(FeatlibError, match="means has 1"):
        accuracy_curve(LAYERS, [0.5], [0.1, 0.1, 0.1])
