"""The page for sets of vectors: what it shows is what scikit-learn finds in the whole set."""

from __future__ import annotations

import csv
import io
import itertools
import os
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.decomposition import PCA

from featlib.analysis import find_neighbors
from featlib.errors import ImageError
from featlib.features.files import Row, open_vectors
from featlib.features.files.parquet import record_batch, vector_schema
from featlib.features.vectors import Origin, layer_columns
from featlib.images import digest_bytes, load_samples, open_folders
from featlib.ui.pages import vector_files
from tests.app.driver import (
    choices,
    data,
    element,
    elements,
    go,
    has,
    labelled,
    open_page,
    press,
    programs,
    run,
    said,
    select,
    traces,
    values,
)
from tests.images.corpus import encode

ORIGIN = Origin("MobileNetV2", "f00", ("block/out_relu",), layer_columns(("block/out_relu",), (24,)), "avg")
N, WITH_PICTURE = 900, 12
SHARES = (0.6, 0.3, 0.1)


def write(folder, rows, X, parts):
    """Shards with small row groups, as a run on several machines leaves them."""
    schema = vector_schema(ORIGIN, ["kind", "light"])
    ends = np.linspace(0, len(rows), parts + 1).astype(int)
    start = 0
    for number, (low, high) in enumerate(itertools.pairwise(ends)):
        good = sum(row.error is None for row in rows[low:high])
        table = pa.Table.from_batches([record_batch(rows[low:high], X[start : start + good], schema)])
        pq.write_table(table, folder / f"part-{number:05}.parquet", row_group_size=70)
        start += good


@pytest.fixture(scope="module")
def vectors_set(tmp_path_factory):
    """A folder of shards, its good rows and their vectors; the first twelve images are on the disk."""
    folder, random = tmp_path_factory.mktemp("sets"), np.random.default_rng(5)
    shapes, rows = load_samples("shapes"), []
    kinds = random.choice(3, N, p=SHARES)
    for i in range(N):
        labels = {"kind": f"kind {kinds[i]}", "light": "day" if i % 2 else "night"}
        path, image_id = folder / f"{i}.png", f"{i:040x}"
        if i < WITH_PICTURE:
            path.write_bytes(encode(Image.fromarray(shapes[i * 31].pixels), "PNG"))
            image_id = digest_bytes(path.read_bytes())
        error = f"'{i}.png' is empty (0 bytes)." if i % 100 == 99 else None
        rows.append(Row("" if error else image_id, f"{kinds[i]}/{i}.png", str(path), labels, error))
    good = [row for row in rows if row.error is None]
    places = random.normal(size=(3, 24)) * 3
    X = np.array([places[int(row.labels["kind"][-1])] for row in good]) + random.normal(size=(len(good), 24))
    write(folder, rows, X.astype(np.float32), 4)
    return folder, good, X.astype(np.float32)


@pytest.fixture(autouse=True)
def base(tmp_path_factory, monkeypatch):
    """The folder that is open: that of all temporary ones."""
    base = tmp_path_factory.getbasetemp().resolve()
    monkeypatch.setenv("FEATLIB_DATA", str(base))
    monkeypatch.chdir(base.parent)  # where the page's program finds it
    return base


def opened(path, **query):
    (base,) = open_folders()
    return open_page("vector_files", file=f"folder:{base.name}/{path.resolve().relative_to(base.root)}", **query)


def drawn(at):
    """Row number -> coordinates, as drawn."""
    points = {}
    for trace in traces(at, "scatter"):
        axes = [np.ravel(trace[axis]) for axis in "xyz" if axis in trace]
        for i, own in enumerate(trace.get("customdata", [])):
            points[int(np.ravel(own)[0])] = [axis[i] for axis in axes]
    return points


def pick_points(at, *numbers):
    points = [{"customdata": [str(number)]} for number in numbers]
    return select(at, element(at, "plotly_chart", "scatter"), points=points, point_indices=[], box=[], lasso=[])


def test_the_set_is_described(vectors_set):
    at = opened(vectors_set[0])
    assert not at.error
    assert {metric.label: metric.value for metric in at.metric} == {
        "Rows": "891",
        "Dimensions": "24",
        "Size": "83.5 KB",
        "Unreadable": "9",
    }
    text = said(at)
    assert "block/out_relu of MobileNetV2, average pooling. Labels: kind, light." in text
    assert "'99.png' is empty (0 bytes)." in text


@pytest.mark.parametrize("dimensions", [2, 3])
def test_points_are_a_fair_part_of_the_pca_of_all_rows(vectors_set, dimensions):
    folder, rows, X = vectors_set
    at = opened(folder, drawn=500, dimensions=dimensions)
    pca = PCA(10, svd_solver="full").fit(X.astype(np.float64))
    wanted, points = pca.transform(X), drawn(at)
    assert len(points) == 500
    for number, place in points.items():
        np.testing.assert_allclose(place, wanted[number, :dimensions], rtol=1e-4, atol=1e-4)
    whole = Counter(row.labels["kind"] for row in rows)
    for kind, count in Counter(rows[number].labels["kind"] for number in points).items():
        assert abs(count - 500 * whole[kind] / len(rows)) < 1
    held = np.cumsum(pca.explained_variance_ratio_)
    text = said(at)
    assert "PCA of **all 891 rows**: of the variance" in text
    assert f"the first {dimensions} explain {held[dimensions - 1]:.0%}" in text
    assert f"10 explain {held[9]:.0%}" in text
    assert "A random sample of 500 of 891 rows (seed 0), stratified by “kind”." in text


def test_tsne_of_the_part_keeps_kinds_together_and_color_moves_nothing(vectors_set):
    at = opened(vectors_set[0], drawn=500, method="tsne", perplexity=10)
    assert "t-SNE of these rows after the PCA of all. Perplexity 10, seed 0" in said(at)
    before = drawn(at)
    assert {trace["name"] for trace in traces(at, "scatter")} == {"kind 0", "kind 1", "kind 2"}
    centers = {trace["name"]: (np.mean(trace["x"]), np.mean(trace["y"])) for trace in traces(at, "scatter")}
    for trace in traces(at, "scatter"):
        own = np.array([trace["x"], trace["y"]]).T
        nearest = [min(centers, key=lambda name: np.hypot(*(place - centers[name]))) for place in own]
        assert np.mean(np.array(nearest) == trace["name"]) > 0.9
    labelled(at.selectbox, "Color").set_value("light")
    run(at)
    assert {trace["name"] for trace in traces(at, "scatter")} == {"day", "night"}
    assert drawn(at) == before


def test_a_click_shows_the_picture_and_the_neighbours_among_all_rows(vectors_set):
    folder, rows, X = vectors_set
    at = opened(folder, drawn=1000)
    assert "All 891 rows are drawn." in said(at)
    assert "Click a point" in said(at)
    pick_points(at, 3)
    assert values(at, "selected") == [3]
    assert rows[3].name in data(at, "selected")["pictures"][0]["title"]
    assert at.query_params["row"] == "4"
    wanted = find_neighbors(X, 3)
    table = at.dataframe[0].value
    assert table["row"].tolist() == (wanted.indices + 1).tolist()
    assert table["name"].tolist() == [rows[i].name for i in wanted.indices]
    assert table["cosine"].tolist() == [f"{value:.3f}" for value in wanted.similarities]
    assert 3 in values(at, "near")
    assert "in an open folder" in said(at)  # most neighbours have no file here


def test_a_lasso_shows_each_once_and_only_rows_that_are_drawn(vectors_set):
    at = opened(vectors_set[0], drawn=1000, tool="lasso")
    pick_points(at, *range(30), 0, 10**9, "x")
    assert "**30 selected**, the first 24 shown" in said(at)
    assert values(at, "selected") == list(range(WITH_PICTURE))
    assert "row" not in at.query_params


def test_a_file_that_is_another_by_now_is_not_shown_as_if_it_were_the_same(tmp_path):
    picture = tmp_path / "a.png"
    picture.write_bytes(encode(Image.new("RGB", (40, 30), "red"), "PNG"))
    row = Row(digest_bytes(picture.read_bytes()), "a.png", str(picture), {})
    assert vector_files.find_picture(row).pixels.shape == (30, 40, 3)
    picture.write_bytes(encode(Image.new("RGB", (40, 30), "blue"), "PNG"))
    secret = tmp_path / "secret.txt"
    secret.write_text("a secret")
    cases = {
        "has changed since its vector was made": row,
        "There is no file 'a.png' in an open folder": row._replace(path=str(tmp_path / "b.png")),
        "does not say where": row._replace(path=""),
        "not an image": row._replace(path=str(secret), id=digest_bytes(b"a secret")),
        "in the open folder": row._replace(path=str(tmp_path)),
    }
    for said_why, own in cases.items():
        with pytest.raises(ImageError, match=said_why) as caught:
            vector_files.find_picture(own)
        assert "a secret" not in str(caught.value)


def test_no_picture_outside_of_the_open_folders_is_read(tmp_path, monkeypatch):
    picture, course = tmp_path / "a.png", tmp_path / "course"
    course.mkdir()
    picture.write_bytes(encode(Image.new("RGB", (40, 30), "red"), "PNG"))
    (course / "link.png").symlink_to(picture)
    row = Row(digest_bytes(picture.read_bytes()), "a.png", str(picture), {})
    monkeypatch.setenv("FEATLIB_DATA", str(course))
    reasons = set()
    for path in (picture, tmp_path / "nothing.png", course / "nothing.png", course / "../a.png", course / "link.png",
                 "/dev/zero", "//server/share/a.png", "\\\\server\\a.png", "a\0.png", "a.png"):  # fmt: skip
        with pytest.raises(ImageError) as caught:
            vector_files.find_picture(row._replace(path=str(path)))
        reasons.add(str(caught.value))
    assert reasons == {"There is no file 'a.png' in an open folder."}


def test_an_uploaded_set_does_not_tell_where_an_open_folder_is(base, tmp_path):
    picture = tmp_path / "a.png"
    picture.write_bytes(encode(Image.new("RGB", (40, 30), "red"), "PNG"))
    below = picture.resolve().relative_to(base)
    row = Row(digest_bytes(picture.read_bytes()), "a.png", str(below), {})
    assert vector_files.find_picture(row, is_uploaded=True).pixels.shape == (30, 40, 3)
    for path in (picture, f"../{base.name}/{below}", f"{tmp_path}/nothing.png"):
        for image_id in (row.id, "0" * 40):
            with pytest.raises(ImageError, match="There is no file 'a.png' in an open folder"):
                vector_files.find_picture(row._replace(path=str(path), id=image_id), is_uploaded=True)


def test_coordinates_as_csv(vectors_set):
    folder, rows, X = vectors_set
    at = opened(folder, drawn=500)
    assert [button.label for button in elements_labelled(at)] == [
        "Coordinates of the 500 rows drawn",
        "Coordinates of all 891 rows",
    ]
    dataset = open_vectors(folder)
    view = vector_files.compute(choices(at), dataset)
    wanted = PCA(2, svd_solver="full").fit_transform(X.astype(np.float64))
    for text, numbers in (
        (vector_files.drawn_csv(dataset, view), view.numbers),
        (vector_files.all_csv(dataset, view), range(891)),
    ):
        read = list(csv.DictReader(io.StringIO(text.decode())))
        assert [line["id"] for line in read] == [rows[i].id for i in numbers]
        assert [line["label:light"] for line in read] == [rows[i].labels["light"] for i in numbers]
        found = np.array([[float(line["x"]), float(line["y"])] for line in read])
        np.testing.assert_allclose(found, wanted[list(numbers)], rtol=1e-4, atol=1e-4)


def elements_labelled(at):
    return [own.proto for own in elements(at, "download_button")]


@pytest.mark.parametrize("one_file", [False, True])
def test_the_program_makes_the_same_coordinates(vectors_set, one_file):
    folder = vectors_set[0]
    path = folder / "part-00001.parquet" if one_file else folder
    at = opened(path, drawn=1000, dimensions=3)
    made = {"__name__": "program"}
    exec(compile(programs(at)[0], "program.py", "exec"), made)
    points = drawn(at)
    assert len(points) == len(made["coordinates"]) == len(open_vectors(path))
    shown = np.array([points[number] for number in range(len(points))])
    np.testing.assert_allclose(np.abs(shown), np.abs(made["coordinates"]), rtol=1e-4, atol=1e-4)


def test_an_upload_is_opened_and_stays_over_pages(vectors_set):
    at = open_page("vector_files")
    assert "No vectors loaded" in said(at)
    content = (vectors_set[0] / "part-00000.parquet").read_bytes()
    labelled(at.file_uploader, "A .parquet").set_value(("mine.parquet", content, "application/octet-stream"))
    run(at)
    assert not at.error
    assert "**mine.parquet**" in said(at)
    assert '"vectors.parquet")  # your file' in programs(at)[0]
    choices(at).model = "own"  # which is not there, so that the other page has nothing to compute
    go(at, "layers")
    go(at, "vector_files")
    assert "**mine.parquet**" in said(at)
    labelled(at.file_uploader, "A .parquet").set_value(("bad.parquet", content[:-9], "application/octet-stream"))
    run(at)
    assert "'bad.parquet' does not hold vectors" in at.error[0].value
    assert "**mine.parquet**" in said(at), "the earlier one stays"


def test_without_an_open_folder_there_is_the_upload_and_the_command(vectors_set, monkeypatch):
    monkeypatch.delenv("FEATLIB_DATA")
    at = open_page("vector_files")
    assert "featlib app path/to/folder" in [code.value for code in at.code]
    content = (vectors_set[0] / "part-00000.parquet").read_bytes()
    labelled(at.file_uploader, "A .parquet").set_value(("mine.parquet", content, "application/octet-stream"))
    pick_points(run(at), 3)
    assert not has(at, "bidi_component", "selected")
    assert "There is no file" in said(at)
    again = open_page("vector_files", file=at.query_params["file"])  # a reload
    assert "**mine.parquet**" in said(again)
    assert at.query_params["file"] not in programs(again)[0]


def test_a_folder_is_chosen_in_the_app(vectors_set):
    (base,) = open_folders()
    parts = str(vectors_set[0].resolve().relative_to(base.root)).split("/")
    at = open_page("vector_files")
    for part in parts:
        box = [box for box in at.selectbox if box.key and box.key.startswith("vectors ")][-1]
        box.set_value(part)
        run(at)
    press(at, f"Open {base.name}/{'/'.join(parts)}")
    assert at.query_params["file"] == f"folder:{base.name}/{'/'.join(parts)}"
    assert len(elements(at, "plotly_chart")) == 1


PATH = "The link names a file by its path"
NOTHING = "There is no file or folder"


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("folder:{base}/notes.txt", "does not hold vectors written by featlib"),
        ("folder:{base}/empty", "holds no part-*.parquet"),
        ("folder:{base}/nowhere.parquet", NOTHING),
        ("folder:{base}/../secret.parquet", NOTHING),
        ("folder:{base}//etc/passwd", NOTHING),
        ("folder:{base}/pipe.parquet", NOTHING),
        ("folder:{base}/zero.parquet", NOTHING),
        ("folder:{base}/a\0b", NOTHING),
        ("folder:other/x.parquet", "The folder 'other' is not open"),
        ("//server/share/vectors.parquet", PATH),
        ("/etc/passwd", PATH),
        ("README.md", PATH),
        ("0123456789abcdefghijkl", "The vectors of this link are not on this server"),
    ],
)
def test_what_is_no_set_is_told_in_one_sentence(base, file, reason):
    (base / "notes.txt").write_text("milk, eggs")
    (base / "empty").mkdir(exist_ok=True)
    if not (base / "pipe.parquet").exists():
        os.mkfifo(base / "pipe.parquet")
        (base / "zero.parquet").symlink_to("/dev/zero")
    at = open_page("vector_files", file=file.format(base=base.name))
    (told,) = [box.value.replace("\\", "") for kind in (at.error, at.info) for box in kind]
    assert reason in told
    assert str(base.parent) not in told


def test_stopped_work_resumes_when_asked(vectors_set, fresh, stop_after):
    stop_after(1)
    at = opened(vectors_set[0])
    assert "Stopped." in said(at)
    assert not elements(at, "plotly_chart")
    press(run(at), "Resume")
    assert len(elements(at, "plotly_chart")) == 1


def test_a_file_brings_no_markup_into_the_page(tmp_path):
    evil = "![x](http://example.org/x.png) `a` <b> :red[c]"
    origin = Origin(evil, "f00", (evil,), layer_columns((evil,), (6,)), evil)
    rows = [Row(f"{i:040x}", evil, evil, {evil: evil, "row": "r"}) for i in range(20)]
    rows.append(Row("", evil, "", {}, evil))
    X = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    schema = vector_schema(origin, [evil, "row"])
    pq.write_table(pa.Table.from_batches([record_batch(rows, X, schema)]), tmp_path / "evil.parquet")
    at = opened(tmp_path / "evil.parquet", row=3)
    assert not at.error
    shown = [str(own.value) for kind in (at.markdown, at.caption, at.info) for own in kind]
    assert not [text for text in shown if "![x]" in text or "`a`" in text or "<b>" in text]
    assert at.dataframe[0].value["row"].tolist() != ["r"] * 8


def test_too_few_rows_are_told(tmp_path):
    rows = [Row(f"{i:040x}", f"{i}.png", "", {"kind": "a", "light": "b"}) for i in range(3)]
    write(tmp_path, rows, np.eye(3, 24, dtype=np.float32), 1)
    at = opened(tmp_path)
    assert "needs at least 4 rows" in at.error[0].value


def test_rows_that_a_link_cannot_mean_are_named(vectors_set):
    at = opened(vectors_set[0], row=5000, drawn=123, color="mood")
    assert not at.error
    for name, shown in {"row=5000": "row 891", "drawn=123": "500", "color=mood": "kind"}.items():
        assert [shown in warning.value for warning in at.warning if name in warning.value] == [True], name
    assert not run(at).warning
