"""One set of images is the same set, with the same numbers and the same programs, however it comes."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from featlib.cli import main
from featlib.images import load_images, load_samples
from featlib.recipes import CodeContext, layer_probe_code
from featlib.transfer import probe_layers
from tests.app.driver import SIZE, choices, data, element, go, open_page, pick, said, select, traces
from tests.app.uploading import upload
from tests.images.corpus import encode, zipped


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """A folder with three classes that are hard to tell, and whose files a browser would send in another order."""
    folder = tmp_path_factory.mktemp("sets") / "pets"
    views = load_samples("views")
    for view in ("left", "right", "bottom"):
        (folder / view).mkdir(parents=True)
        for i, item in enumerate(views[views.labels_for("view") == view][:8]):
            (folder / view / f"IMG_{i + 4}.png").write_bytes(encode(Image.fromarray(item.pixels), "PNG"))
    return folder


@pytest.fixture(scope="module")
def files(pets):
    """What a browser sends of it: the names begin with the folder's own, and the order is none."""
    found = {path.relative_to(pets.parent).as_posix(): path.read_bytes() for path in pets.rglob("*.png")}
    return dict(sorted(found.items(), key=lambda file: file[1]))


@pytest.fixture
def by_folder(files):
    return upload(open_page(layer="head_relu"), list(files.items()), "folder")


@pytest.fixture
def by_zip(files):
    return upload(open_page(layer="head_relu"), [("pets.zip", zipped(files))])


@pytest.mark.parametrize("way", ["by_folder", "by_zip"])
def test_order_names_labels_and_scores_are_those_of_the_path(pets, files, way, lite96, request):
    at = request.getfixturevalue(way)
    assert list(files) != sorted(files)
    images = load_images(pets)
    assert images.names[0] == "bottom/IMG_4.png"
    assert images.names[6:8] == ("bottom/IMG_10.png", "bottom/IMG_11.png")
    found = choices(at).uploads
    assert found.names == images.names
    assert found.ids == images.ids
    assert found.labels.tolist() == images.labels.tolist()
    go(at, "layer_probe")
    expected = probe_layers(lite96, pets)
    [curve] = traces(at, "depth")
    assert curve["customdata"] == list(expected.layers)
    shown = [f"{mean:.1%}" for mean in np.ravel(curve["y"])]
    assert shown == [f"{mean:.1%}" for mean in expected.mean_accuracies]
    assert len(set(shown)) > 1, "or nothing was compared"
    context = CodeContext(lite96, images=None)
    assert at.code[0].value.strip() == layer_probe_code(context, expected.layers, "folder").strip()


def test_the_command_prints_the_same_scores(pets, lite96, tmp_path, monkeypatch):
    expected = probe_layers(lite96, pets)
    monkeypatch.setenv("FEATLIB_HOME", str(tmp_path))
    done = CliRunner().invoke(main, ["probe", str(pets), "--input-size", str(SIZE)])
    printed = {line.split()[0]: line.split()[1] for line in done.stdout.splitlines() if "%" in line}
    for layer, mean in zip(expected.layers, expected.mean_accuracies, strict=True):
        assert printed[layer] == f"{mean:.1%}"


def test_the_program_is_about_the_image_on_the_page(pets, by_zip, outcome, tmp_path):
    """By its name, so that it is the same image wherever the folder lies."""
    at = go(by_zip, "feature_maps")
    pick(at, "shelf", 9)
    assert 'image = images[images.names.index("left/IMG_5.png")]' in at.code[0].value
    (tmp_path / "photos").symlink_to(pets)
    vector = outcome(at)["vector"]
    np.testing.assert_allclose(np.ravel(traces(at, "vector")[0]["y"]), vector, rtol=1e-3, atol=1e-4)


def test_home_projects_the_images_that_were_brought(by_folder):
    at = go(by_folder, "")
    assert "24 of your images, one point each, colored by folder" in said(at)
    assert "Twelve views" not in said(at)
    points = traces(at, "overview head_relu")
    assert sum(len(np.ravel(trace["x"])) for trace in points) == 24
    assert {trace["name"] for trace in points} == {"bottom", "left", "right"}
    assert 'load_images("photos/")' in at.code[2].value
    pictures = data(at, "shelf")["pictures"]
    assert (pictures[0]["caption"], pictures[0]["note"]) == ("IMG_4", "bottom")
    own_id = str(np.ravel(points[1]["customdata"][2])[0])
    select(at, element(at, "plotly_chart", "overview head_relu"), points=[{"customdata": [own_id]}], box=[], lasso=[])
    assert choices(at).uploads.ids[choices(at).image] == own_id
