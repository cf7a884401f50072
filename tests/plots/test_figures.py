import json
from itertools import pairwise

import numpy as np
import pytest

from featlib.analysis import ProbeResult, Projection, cosine_similarity, linear_probe, project
from featlib.errors import FeatlibError
from featlib.plots import (
    accuracy_bars,
    channel_bars,
    channel_histogram,
    confusion_heatmap,
    prediction_bars,
    projection_scatter,
    similarity_heatmap,
    vector_heatmap,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 6))
NAMES = [f"photo {i}" for i in range(12)]
IDS = [f"id{i}" for i in range(12)]


def all_figures():
    labels = ["a", "b", "c"] * 4
    flat, deep = project(X), project(X, n_components=3)
    probe = linear_probe(X, labels, cv=2)
    return {
        "predictions": prediction_bars(["cat", "dog"], [0.7, 0.2]),
        "accuracies": accuracy_bars([("head", 0.9, 0.05), ("majority", 0.5, None)]),
        "channels": channel_bars(X[0], selected=2, title="vector"),
        "many channels": channel_bars(RNG.normal(size=1280), selected=7),
        "histogram": channel_histogram(np.maximum(X, 0)),
        "vectors": vector_heatmap(X, NAMES),
        "similarity": similarity_heatmap(cosine_similarity(X), NAMES),
        "confusion": confusion_heatmap(probe.confusion, probe.classes),
        "flat": projection_scatter(flat, ids=IDS, names=NAMES, labels=labels),
        "deep": projection_scatter(deep, ids=IDS, names=NAMES, labels=labels),
    }


@pytest.mark.parametrize("name", list(all_figures()))
def test_no_figure_fixes_a_color_of_the_page(name):
    figure = all_figures()[name]
    layout = json.loads(figure.to_json())["layout"]
    del layout["template"]
    assert layout["paper_bgcolor"] == layout["plot_bgcolor"] == "rgba(0,0,0,0)"
    assert '"font"' not in json.dumps(layout)
    assert '"textfont"' not in json.dumps([trace.to_plotly_json() for trace in figure.data], default=str)
    assert 60 < figure.layout.height < 800
    assert max(figure.layout.margin[side] for side in "lrtb" if figure.layout.margin[side]) <= 110


def test_predictions_keep_their_order_and_equal_names_stay_apart():
    figure = prediction_bars(["cat", "cat", "<b>dog</b>"], [0.5, 0.3, 0.001])
    bars = figure.data[0]
    assert list(bars.x) == [0.5, 0.3, 0.001]
    assert list(bars.text) == ["50.0%", "30.0%", "0.1%"]
    axis = figure.layout.yaxis
    assert list(axis.ticktext) == ["cat", "cat", "&lt;b&gt;dog&lt;/b&gt;"]
    assert axis.range[0] > axis.range[1]  # the first on top
    with pytest.raises(FeatlibError, match="names has 1.*probabilities has 2"):
        prediction_bars(["cat"], [0.5, 0.5])


def test_accuracies_carry_their_error_bars():
    figure = accuracy_bars([("head", 0.9, 0.05), ("majority", 0.5, None)])
    bars = figure.data[0]
    assert list(bars.x) == [0.9, 0.5]
    assert list(bars.error_x.array) == [0.05, 0]
    assert [note.text for note in figure.layout.annotations] == ["90.0 ± 5.0%", "50.0%"]
    assert bars.marker.color[0] != bars.marker.color[1]
    assert "accuracy" in figure.layout.xaxis.title.text
    with pytest.raises(FeatlibError, match="no accuracies"):
        accuracy_bars([])


@pytest.mark.parametrize("size", [6, 1280])
def test_channels_are_one_trace_and_the_selected_one_is_marked(size):
    vector = RNG.normal(size=size)
    figure = channel_bars(vector, selected=5)
    np.testing.assert_array_equal(figure.data[0].y, vector)
    assert list(figure.data[0].customdata) == list(range(size)), "a click tells the channel"
    assert len(figure.data) == 2
    assert list(figure.data[1].x) == [5, 5] and figure.data[1].y[1] == vector[5]
    assert len(channel_bars(vector).data) == 1
    with pytest.raises(FeatlibError, match=f"selected.*at most {size - 1:,}.*{size}"):
        channel_bars(vector, selected=size)
    with pytest.raises(FeatlibError, match=r"\(2, 2\)"):
        channel_bars(np.eye(2))


def test_the_histogram_counts_all_but_zeros():
    values = np.array([[0.0, 0, 0, 1, 2], [2, 3, 4, np.nan, np.inf]])
    figure = channel_histogram(values, bins=4)
    bars = figure.data[0]
    counts, edges = np.histogram([1, 2, 2, 3, 4], bins=4)
    np.testing.assert_array_equal(bars.y, counts)
    np.testing.assert_allclose(bars.x, (edges[1:] + edges[:-1]) / 2)
    assert "38%" in figure.layout.xaxis.title.text  # 3 of 8
    assert "under 1%" in channel_histogram(np.arange(500)).layout.xaxis.title.text
    assert "exactly 0" not in channel_histogram(np.ones(3)).layout.xaxis.title.text


@pytest.mark.parametrize("values", [np.zeros(4), np.zeros(0), np.full(3, np.nan), np.full(4, 2.0)])
def test_the_histogram_of_nothing_is_a_figure(values):
    assert channel_histogram(values).data[0].y.sum() == np.count_nonzero(np.isfinite(values) & (values != 0))


def test_signed_vectors_and_similarities_have_zero_in_the_middle():
    values = RNG.normal(size=(12, 50))
    values[0, 0] = -100
    heatmap = vector_heatmap(values, NAMES).data[0]
    assert heatmap.zmax == -heatmap.zmin == pytest.approx(np.quantile(np.abs(values), 0.995))
    assert heatmap.colorscale == similarity_heatmap(cosine_similarity(X), NAMES).data[0].colorscale
    similar = similarity_heatmap(np.array([[1.0, -0.5], [-0.5, 1.0]]), ["a", "b"]).data[0]
    assert (similar.zmin, similar.zmax) == (-1, 1)
    positive = vector_heatmap(np.abs(values), NAMES).data[0]
    assert positive.zmin == 0 or positive.zmin > 0
    assert positive.colorscale != heatmap.colorscale


def test_vector_heatmap_has_a_row_per_image():
    values = RNG.exponential(size=(12, 200))
    values[3, 7] = 1e4
    figure = vector_heatmap(values, NAMES)
    heatmap = figure.data[0]
    np.testing.assert_allclose(heatmap.z, values, rtol=1e-6)
    assert heatmap.zmax == pytest.approx(np.quantile(values, 0.995)) and heatmap.zmax < 100
    assert list(figure.layout.yaxis.ticktext) == NAMES
    assert figure.layout.yaxis.autorange == "reversed"
    with pytest.raises(FeatlibError, match="vectors has 12, names has 2"):
        vector_heatmap(values, ["a", "b"])
    with pytest.raises(FeatlibError, match=r"\(3,\)"):
        vector_heatmap(np.zeros(3), ["a"] * 3)


def test_heatmaps_of_many_images_drop_names_and_stay_bounded():
    names = [f"image {i}" for i in range(300)]
    figure = similarity_heatmap(np.eye(300), names)
    assert figure.layout.yaxis.ticktext is None
    assert figure.layout.height <= 720
    assert figure.data[0].customdata is None
    assert vector_heatmap(np.zeros((300, 100)), names).layout.height <= 720


def test_similarity_is_square_and_names_both_images():
    figure = similarity_heatmap(cosine_similarity(X), NAMES)
    np.testing.assert_array_equal(figure.data[0].z, cosine_similarity(X))
    assert list(figure.data[0].customdata[2][5]) == ["photo 2", "photo 5"]
    assert figure.layout.yaxis.scaleanchor == "x"
    with pytest.raises(FeatlibError, match=r"\(2, 3\)"):
        similarity_heatmap(np.zeros((2, 3)), ["a", "b"])


def test_confusion_shows_counts_and_shares_of_the_true_class():
    figure = confusion_heatmap(np.array([[3, 1, 0], [0, 0, 0], [0, 2, 2]]), ["cat", 7, "<i>dog</i>"])
    heatmap = figure.data[0]
    np.testing.assert_allclose(heatmap.z, [[0.75, 0.25, 0], [0, 0, 0], [0, 0.5, 0.5]])
    assert heatmap.text[0].tolist() == ["3", "1", ""]
    cells = figure.data[1]
    place = [cell.tolist() for cell in cells.customdata].index([0, 1])
    assert (cells.x[place], cells.y[place]) == (1, 0), "what a click tells lies on the cell"
    assert cells.text[place] == "true: cat<br>predicted: 7<br>1 images, 25% of the true class"
    assert len(cells.x) == 9
    assert list(figure.layout.yaxis.ticktext) == ["cat", "7", "&lt;i&gt;dog&lt;/i&gt;"]
    assert figure.layout.xaxis.title.text == "predicted class"
    assert figure.layout.yaxis.title.text == "true class"
    with pytest.raises(FeatlibError, match="rows has 2, classes has 3"):
        confusion_heatmap(np.eye(2), ["a", "b", "c"])


def test_the_selected_cell_is_marked():
    counts = np.array([[3, 1, 0], [0, 0, 0], [0, 2, 2]])
    [mark] = confusion_heatmap(counts, ["cat", "dog", "owl"], selected=(2, 1)).layout.shapes
    assert (mark.x0, mark.x1, mark.y0, mark.y1) == (0.5, 1.5, 1.5, 2.5)
    assert not confusion_heatmap(counts, ["cat", "dog", "owl"]).layout.shapes


def scatter(n_components=2, method="pca", **options):
    projection = project(X, n_components=n_components, method=method)
    return projection, projection_scatter(projection, ids=IDS, names=NAMES, **options)


@pytest.mark.parametrize("n_components", [2, 3])
def test_every_point_carries_its_own_id_and_place(n_components):
    labels = np.array(["dog", "cat", "cat", "fish"] * 3)
    projection, figure = scatter(n_components, labels=labels, label_title="animal")
    seen = {}
    for trace in figure.data:
        columns = [trace[axis] for axis in "xyz"[:n_components]]
        for image_id, *place in zip(trace.customdata, *columns, strict=True):
            seen[image_id] = (trace.name, place)
    assert sorted(seen) == sorted(IDS)
    for row, image_id in enumerate(IDS):
        name, place = seen[image_id]
        assert name == labels[row]
        np.testing.assert_array_equal(place, projection.coordinates[row])
    assert [trace.name for trace in figure.data] == ["cat", "dog", "fish"]
    assert figure.layout.legend.title.text == "animal" and figure.layout.showlegend


@pytest.mark.parametrize(("n_components", "count"), [(2, 24), (3, 24)])
def test_categories_differ_in_the_pair_of_color_and_symbol(n_components, count):
    points = Projection(RNG.normal(size=(48, n_components)), "tsne", n_components, None, 5.0, 1.0, 0)
    labels = [f"class {i % count}" for i in range(48)]
    figure = projection_scatter(points, ids=range(48), names=labels, labels=labels)
    looks = [(trace.marker.color, trace.marker.symbol) for trace in figure.data]
    assert len(set(looks)) == len(looks) == count
    assert len({color for color, _ in looks[:10]}) == 10
    assert all(a[1] != b[1] for a, b in pairwise(looks[:7]))
    assert [trace.name for trace in figure.data][:3] == ["class 0", "class 1", "class 2"]  # not 0, 1, 10


def test_rare_categories_are_grouped_and_none_is_lost():
    labels = [i // 2 for i in range(60)] + list(range(100, 140))
    points = Projection(RNG.normal(size=(100, 2)), "tsne", 2, None, 5.0, 1.0, 0)
    figure = projection_scatter(points, ids=range(100), names=labels, labels=labels)
    assert len(figure.data) == 24
    assert figure.data[-1].name == "47 others"
    assert sorted(int(i) for trace in figure.data for i in trace.customdata) == list(range(100))


def test_hover_tells_name_and_label_as_plain_text():
    names, labels = ["<script>x</script>", *NAMES[1:]], ["<b>cat</b> & dog"] * 12
    figure = projection_scatter(project(X), ids=IDS, names=names, labels=labels, label_title="<i>pet</i>")
    assert figure.data[0].text[0] == (
        "<b>&lt;script&gt;x&lt;/script&gt;</b><br>&lt;i&gt;pet&lt;/i&gt;: &lt;b&gt;cat&lt;/b&gt; &amp; dog"
    )
    assert figure.data[0].name == "&lt;b&gt;cat&lt;/b&gt; &amp; dog"
    assert projection_scatter(project(X), ids=IDS, names=names).data[0].text[1] == "<b>photo 1</b>"


def test_axes_tell_the_variance_of_pca_and_nothing_for_tsne():
    projection, figure = scatter()
    assert f"{projection.explained_variance_ratio[1]:.1%} of the variance" in figure.layout.yaxis.title.text
    assert figure.layout.xaxis.showticklabels
    _, tsne = scatter(method="tsne")
    assert tsne.layout.xaxis.title.text == "t-SNE 1"
    assert not tsne.layout.xaxis.showticklabels and not tsne.layout.yaxis.showticklabels
    for flat in (figure, tsne):
        assert (flat.layout.yaxis.scaleanchor, flat.layout.yaxis.scaleratio) == ("x", 1)
    _, deep = scatter(3)
    assert deep.layout.scene.aspectmode == "data"
    assert "PC 3" in deep.layout.scene.zaxis.title.text and deep.layout.scene.zaxis.showticklabels
    assert not scatter(3, "tsne")[1].layout.scene.xaxis.showticklabels


def test_click_and_lasso_set_what_a_drag_does():
    assert scatter()[1].layout.dragmode == "pan"
    assert scatter(mode="lasso")[1].layout.dragmode == "lasso"


@pytest.mark.parametrize(("n", "kind"), [(2_000, "scatter"), (2_001, "scattergl")])
def test_many_points_are_drawn_by_the_graphics_card(n, kind):
    points = Projection(np.zeros((n, 2)), "tsne", 2, None, 30.0, 1.0, 0)
    ids = [str(i) for i in range(n)]
    assert projection_scatter(points, ids=ids, names=ids).data[0].type == kind


def test_the_view_stays_while_the_coordinates_do():
    colored, plain = scatter(labels=["a", "b"] * 6)[1], scatter()[1]
    assert colored.layout.uirevision == plain.layout.uirevision
    assert plain.layout.uirevision != scatter(method="tsne")[1].layout.uirevision


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ids": IDS[:3]}, "coordinates has 12, ids has 3"),
        ({"labels": ["a"]}, "labels has 1"),
        ({"mode": "box"}, "'click' or 'lasso'.*'box'"),
    ],
)
def test_bad_input_is_refused(options, message):
    with pytest.raises(FeatlibError, match=message):
        projection_scatter(project(X), **{"ids": IDS, "names": NAMES} | options)


def test_only_two_or_three_components_are_drawn():
    with pytest.raises(FeatlibError, match="5 components"):
        projection_scatter(project(X, n_components=5), ids=IDS, names=NAMES)


def test_probe_results_fit_the_figures():
    result = linear_probe(X, ["a", "b"] * 6, cv=3)
    assert isinstance(result, ProbeResult)
    figure = accuracy_bars([("layer", result.mean_accuracy, result.std_accuracy)])
    assert figure.data[0].x[0] == result.mean_accuracy
