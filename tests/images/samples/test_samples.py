"""The built-in sets against the packages that they come from."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from featlib.errors import ImageError
from featlib.images import ImageSet, SampleInfo, list_samples, load_samples
from featlib.images.samples import catalog, shapes
from featlib.images.samples.views import VIEWS, draw_views

NAMES = ("photos", "views", "digits", "shapes")


def test_the_list_matches_the_sets():
    listed = list_samples()
    assert tuple(info.name for info in listed) == NAMES
    for info in listed:
        assert isinstance(info, SampleInfo)
        assert info.count == len(load_samples(info.name))
        assert load_samples(info.name).name == info.name
        assert info.title
        assert info.description.endswith((".", "?", "…"))


@pytest.mark.parametrize("name", NAMES)
def test_every_set_is_valid(name):
    found = load_samples(name)
    assert isinstance(found, ImageSet)
    assert found.problems == ()
    assert len(set(found.ids)) == len(found)
    assert len(set(found.names)) == len(found)
    assert found.label_columns
    for column in found.label_columns:
        assert "" not in found.labels_for(column)
    assert load_samples(name) is found


def test_an_unknown_set_is_named_with_a_guess():
    with pytest.raises(ImageError) as error:
        load_samples("photo")
    assert (
        str(error.value)
        == "No samples named 'photo': choose one of photos, views, digits, shapes. Did you mean 'photos'?"
    )


def test_photos_are_the_packages_own():
    sklearn_datasets = pytest.importorskip("sklearn.datasets")
    skimage_data = pytest.importorskip("skimage.data")
    photos = {item.name: item for item in load_samples("photos")}
    china, flower = sklearn_datasets.load_sample_images().images
    expected = {"china": china, "flower": flower}
    for name in ("astronaut", "chelsea", "coffee", "rocket", "retina"):
        expected[name] = getattr(skimage_data, name)()
    expected["ihc"] = skimage_data.immunohistochemistry()
    expected["hubble"] = skimage_data.hubble_deep_field()
    expected["motorcycle"] = skimage_data.stereo_motorcycle()[0]
    assert set(photos) == set(expected)
    for name, pixels in expected.items():
        np.testing.assert_array_equal(photos[name].pixels, pixels, err_msg=name)
        assert photos[name].labels == {"photo": name}


def test_digits_are_scikit_learns():
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    found = load_samples("digits")
    assert found.labels.tolist() == [str(digit) for digit in digits.target]
    assert found.label_columns == ("digit",)
    for item, image in zip(found, digits.images, strict=True):
        pixels = item.pixels
        assert pixels.shape == (32, 32, 3)
        assert (pixels == pixels[..., :1]).all()
        large = np.kron(image, np.ones((4, 4)))  # every value as a square of 4 × 4
        assert np.abs(pixels[..., 0] - large * 255 / 16).max() <= 0.5


def test_twelve_views_of_each_photo():
    found = load_samples("views")
    photos = load_samples("photos").names
    pairs = list(zip(found.labels_for("photo").tolist(), found.labels_for("view").tolist(), strict=True))
    assert pairs == list(product(photos, VIEWS))
    assert len(VIEWS) == 12
    assert found.names[:2] == ("china · original", "china · left")
    for item in found:
        height, width = item.pixels.shape[:2]
        assert 260 <= max(height, width) <= 320, item.name


def views_of(photo: str) -> dict[str, np.ndarray]:
    found = load_samples("views")
    return {item.labels["view"]: item.pixels for item in found if item.labels["photo"] == photo}


@pytest.mark.parametrize("photo", ["china", "astronaut", "rocket"])
def test_views_match_their_names(photo):
    views = views_of(photo)
    original = views["original"].astype(int)
    # On average: a view is drawn before it is reduced, which clips a little elsewhere at hard edges.
    assert difference(views["flip"][:, ::-1], original) < 0.5
    assert np.ptp(views["grey"], axis=2).max() == 0
    assert difference(views["grey"][..., 0], original @ [0.299, 0.587, 0.114]) < 1
    assert difference(views["darker"], original * 0.5) < 1
    assert views["brighter"].mean() > original.mean() * 1.2
    assert detail(views["blurred"]) < 0.7 * detail(original)
    assert np.abs(views["blurred"].mean(axis=(0, 1)) - original.mean(axis=(0, 1))).max() < 2


def difference(pixels: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(pixels - expected).mean())


def detail(pixels: np.ndarray) -> float:
    return float(np.abs(np.diff(pixels.astype(int), axis=1)).mean())


BOXES = {"left": (0, 0.15, 0.7), "right": (0.3, 0.15, 0.7), "top": (0.15, 0, 0.7), "bottom": (0.15, 0.3, 0.7)}


@pytest.mark.parametrize("view", [*BOXES, "zoom"])
def test_crops_show_their_part_of_the_photo(view):
    left, top, share = BOXES.get(view, (0.2, 0.2, 0.6))
    photo = Image.fromarray(load_samples("photos")[0].pixels)
    box = (left * photo.width, top * photo.height, (left + share) * photo.width, (top + share) * photo.height)
    drawn = views_of("china")[view]
    expected = photo.resize(drawn.shape[1::-1], Image.Resampling.LANCZOS, box=box)
    assert np.abs(drawn.astype(int) - np.asarray(expected)).mean() < 8


def test_the_turned_view_has_no_empty_corner():
    white = np.full((400, 700, 3), 255, np.uint8)
    for size in [(400, 700), (700, 400), (500, 500)]:
        views = dict(draw_views(np.full((*size, 3), 255, np.uint8)))
        assert views["turned"].min() == 255
        height, width = views["turned"].shape[:2]
        assert abs(width / height - size[1] / size[0]) < 0.02
    ramp = white.copy()
    ramp[:, :, 0] = np.linspace(0, 255, 700).astype(np.uint8)
    turned = dict(draw_views(ramp))["turned"][..., 0].astype(int)
    across, down = turned[:, -1] - turned[:, 0], turned[-1] - turned[0]
    # Turned by 12 degrees, the ramp rises mostly across, and tan(12°) as much down as across.
    slope = (down.mean() / turned.shape[0]) / (across.mean() / turned.shape[1])
    assert abs(abs(slope) - np.tan(np.radians(12))) < 0.02


def test_small_photos_are_not_enlarged():
    for name, view in draw_views(np.asarray(ImageOps.pad(Image.new("RGB", (9, 9)), (60, 40)))):
        assert max(view.shape) <= 60, name


def test_shapes_come_in_every_combination_once():
    found = load_samples("shapes")
    assert found.label_columns == ("shape", "color", "size", "rotation", "texture")
    combinations = [tuple(item.labels.values()) for item in found]
    everything = product(shapes.SHAPES, shapes.COLORS, shapes.SIZES, shapes.ROTATIONS, shapes.TEXTURES)
    assert sorted(combinations) == sorted(everything)
    assert 240 <= len(found) <= 480
    for column in found.label_columns:
        assert len(set(Counter(found.labels_for(column).tolist()).values())) == 1
    assert {item.pixels.shape for item in found} == {(96, 96, 3)}


def ink(item) -> np.ndarray:
    """Where a shape is: (96, 96) bool."""
    return np.abs(item.pixels.astype(int) - item.pixels[0, 0]).sum(axis=2) > 20


def test_shapes_share_one_background_and_touch_no_edge():
    for item in load_samples("shapes"):
        edges = np.concatenate([item.pixels[[0, -1]].reshape(-1, 3), item.pixels[:, [0, -1]].reshape(-1, 3)])
        np.testing.assert_array_equal(edges, np.broadcast_to((247, 245, 240), edges.shape), err_msg=item.name)


def test_shapes_have_the_area_color_and_position_of_their_labels():
    areas = {"small": 0.085 * 96**2, "large": 0.25 * 96**2}
    for item in load_samples("shapes"):
        mask = ink(item)
        assert abs(mask.sum() / areas[item.labels["size"]] - 1) < 0.16, item.name
        rows, columns = np.nonzero(mask)
        assert abs(rows.mean() - 47.5) < 6, item.name
        assert abs(columns.mean() - 47.5) < 6, item.name
        if item.labels["texture"] == "plain":
            middle = item.pixels[round(rows.mean()), round(columns.mean())]
            np.testing.assert_array_equal(middle, shapes.COLORS[item.labels["color"]], err_msg=item.name)


def test_textures_differ():
    shares = {}
    for item in load_samples("shapes"):
        accent = np.array(shapes.COLORS[item.labels["color"]]) * 0.25 + 255 * 0.75
        near = np.abs(item.pixels - accent).max(axis=2) < 12
        shares.setdefault(item.labels["texture"], []).append((near & ink(item)).sum() / ink(item).sum())
    assert max(shares["plain"]) < 0.1
    assert min(shares["striped"]) > 0.1
    assert min(shares["dotted"]) > 0.03
    assert np.mean(shares["striped"]) > 1.5 * np.mean(shares["dotted"])


def test_shapes_are_the_same_at_every_drawing():
    first = [pixels for _, pixels in shapes.draw_shapes()]
    again = load_samples("shapes")
    for pixels, item in zip(first, again, strict=True):
        np.testing.assert_array_equal(pixels, item.pixels)


def test_a_package_that_lacks_its_file(monkeypatch):
    monkeypatch.setattr(catalog, "find_spec", lambda package: None)
    for load in (catalog.load_photos, catalog.load_digits):
        with pytest.raises(ImageError, match="of the package 'sklearn' is missing: reinstall it"):
            load()


def test_digits_in_a_damaged_file(tmp_path, monkeypatch):
    (tmp_path / "digits.csv.gz").write_bytes(b"no gzip")
    monkeypatch.setattr(catalog, "packaged_file", lambda *_: Path(tmp_path, "digits.csv.gz"))
    with pytest.raises(ImageError, match=r"'digits.csv.gz' cannot be read \(.*\): reinstall scikit-learn"):
        catalog.load_digits()


def test_samples_import_none_of_the_packages_they_come_from():
    program = (
        "import sys; from featlib.images import load_samples\n"
        f"for name in {NAMES}: load_samples(name)\n"
        "heavy = {'sklearn', 'skimage', 'scipy', 'tensorflow', 'keras', 'streamlit', 'plotly'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "[]\n"


def test_every_set_is_drawn_within_two_seconds_of_work():
    load_samples("photos")
    for load in (catalog.load_views, catalog.load_shapes, catalog.load_digits):
        start = time.process_time()
        load()
        assert time.process_time() - start < 2
