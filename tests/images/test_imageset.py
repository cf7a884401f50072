"""ImageSet and ImageItem: what a batch of images offers, in the words of sequences."""

from __future__ import annotations

import pickle
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from featlib.errors import FeatlibError
from featlib.images import ImageItem, ImageProblem, ImageSet, decode_image, load_images, load_samples
from tests.images.corpus import corpus, encode, photo

SIZES = {"cat": 30, "dog": 9, "eel": 2}


@pytest.fixture(scope="module")
def pets() -> ImageSet:
    """41 images: 30 cats, 9 dogs and 2 eels, mixed; some with a second label."""
    labels = np.random.default_rng(3).permutation(np.repeat(list(SIZES), list(SIZES.values())))
    items = []
    for index, label in enumerate(labels):
        columns = {"animal": str(label)} | ({"place": "sea"} if label == "eel" else {})
        items.append(ImageItem(f"{index:040x}", f"{label} {index}", columns))
    return ImageSet("pets", tuple(items), (ImageProblem("x.png", "'x.png' is empty."),))


def test_columns(pets):
    assert len(pets) == 41
    assert pets.ids[3] == pets[3].id == f"{3:040x}"
    assert pets.names == tuple(item.name for item in pets)
    assert pets.label_columns == ("animal", "place")
    assert Counter(pets.labels.tolist()) == SIZES
    assert pets.labels.dtype.kind == "U"
    np.testing.assert_array_equal(pets.labels, pets.labels_for("animal"))
    np.testing.assert_array_equal(pets.labels_for("place"), np.where(pets.labels == "eel", "sea", ""))


def test_a_column_that_is_not_there(pets):
    with pytest.raises(FeatlibError) as error:
        pets.labels_for("color")
    assert str(error.value) == "'pets' has no label column 'color': it has 'animal', 'place'."
    bare = ImageSet("bare", (ImageItem("0", "a"),))
    assert bare.labels is None
    assert bare.label_columns == ()
    with pytest.raises(FeatlibError, match="it has no labels; put each class into its own folder"):
        bare.labels_for("folder")


def test_repr_says_what_is_in_it(pets):
    assert repr(pets) == "ImageSet('pets'; 41 images; labels animal, place; 1 problem)"
    assert repr(pets[pets.labels == "eel"][:1]) == "ImageSet('pets'; 1 image; labels animal, place)"
    assert repr(ImageSet("none", ())) == "ImageSet('none'; 0 images)"


@pytest.mark.parametrize(
    "index",
    [
        *(slice(None), slice(3, 9), slice(None, None, -1), slice(-4, None), slice(50, 60)),
        *([4, 2, 2], [-1, 0], (1, 2), range(5), np.array([7, 5]), np.array([], int)),
        *(np.arange(41) % 3 == 0, [True] * 41, [False] * 41),
    ],
    ids=str,
)
def test_parts_are_as_numpy_takes_them(pets, index):
    expected = np.array(pets.ids)[index if isinstance(index, slice) else np.asarray(index)]
    part = pets[index]
    assert isinstance(part, ImageSet)
    assert part.ids == tuple(expected)
    assert part.name == "pets"
    assert part.problems == ()


def test_an_empty_list_is_an_empty_part(pets):
    assert len(pets[[]]) == 0


def test_single_images(pets):
    assert pets[0] is pets.items[0]
    assert pets[-1] is pets.items[-1]
    assert pets[np.int64(3)] is pets.items[3]
    assert list(pets) == list(pets.items)
    assert list(reversed(pets)) == list(pets.items)[::-1]
    assert pets[5] in pets
    assert pets.index(pets[5]) == 5
    assert ImageItem("elsewhere", "x") not in pets


@pytest.mark.parametrize("index", [41, -42, [0, 41], [True] * 40])
def test_indices_out_of_range(pets, index):
    with pytest.raises(IndexError, match="41 images|-42.*41 images|The mask has 40 values, and the set has 41 images"):
        pets[index]


@pytest.mark.parametrize("index", [1.0, "a", [1.5], [["a"]], np.zeros((2, 2), int), None])
def test_things_that_are_no_index(pets, index):
    with pytest.raises(TypeError, match="use an int, a slice, a list of ints or a mask of 41 bools"):
        pets[index]


def test_images_are_equal_by_content():
    assert ImageItem("a", "x", {"l": "1"}) == ImageItem("a", "y")
    assert ImageItem("a", "x") != ImageItem("b", "x")
    assert len({ImageItem("a", "x", {"l": "1"}), ImageItem("a", "y")}) == 1


def test_the_fingerprint_goes_by_content_and_order(pets):
    renamed = ImageSet("other", tuple(ImageItem(item.id, "x") for item in pets))
    assert renamed.fingerprint == pets.fingerprint
    assert pets[::-1].fingerprint != pets.fingerprint
    assert pets[:40].fingerprint != pets.fingerprint
    assert ImageSet("none", ()).fingerprint != pets.fingerprint


def test_a_set_cannot_be_changed(pets):
    with pytest.raises(AttributeError):
        pets.items = ()
    with pytest.raises(AttributeError):
        pets[0].name = "x"


def positions(part: ImageSet) -> list[int]:
    return [int(id_, 16) for id_ in part.ids]


@pytest.mark.parametrize("n", [1, 2, 5, 17, 40])
@pytest.mark.parametrize("by", [None, "animal"])
def test_a_sample_has_n_images_in_their_order(pets, n, by):
    drawn = positions(pets.sample(n, by=by))
    assert len(drawn) == n
    assert drawn == sorted(set(drawn))


@pytest.mark.parametrize("n", [41, 42, 10**6])
def test_a_sample_of_all_is_the_set(pets, n):
    assert pets.sample(n) is pets
    assert pets.sample(n, by="animal") is pets


@pytest.mark.parametrize(
    ("n", "shares"),
    [
        (3, {"cat": 1, "dog": 1, "eel": 1}),
        (6, {"cat": 2, "dog": 2, "eel": 2}),
        (12, {"cat": 5, "dog": 5, "eel": 2}),
        (20, {"cat": 9, "dog": 9, "eel": 2}),
        (30, {"cat": 19, "dog": 9, "eel": 2}),
    ],
)
@pytest.mark.parametrize("random_state", range(5))
def test_each_label_gets_an_equal_share_as_far_as_it_goes(pets, n, shares, random_state):
    assert Counter(pets.sample(n, by="animal", random_state=random_state).labels.tolist()) == shares


@pytest.mark.parametrize("by", [None, "animal"])
def test_a_sample_is_drawn_by_its_seed(pets, by):
    first = positions(pets.sample(9, by=by, random_state=1))
    assert first == positions(pets.sample(9, by=by, random_state=1))
    assert len({tuple(positions(pets.sample(9, by=by, random_state=seed))) for seed in range(10)}) == 10


def test_every_image_is_drawn_some_time(pets):
    drawn = {place for seed in range(60) for place in positions(pets.sample(8, by="animal", random_state=seed))}
    assert drawn == set(range(41))


def test_samples_that_cannot_be_drawn(pets):
    with pytest.raises(FeatlibError, match="images to draw, must be at least 1. Received: 0"):
        pets.sample(0)
    with pytest.raises(FeatlibError, match="no label column 'color'"):
        pets.sample(5, by="color")
    with pytest.raises(FeatlibError, match="no label column 'color'"):
        pets.sample(500, by="color")


def test_an_item_is_an_array():
    (item,) = load_images([photo()])
    np.testing.assert_array_equal(np.asarray(item), np.asarray(photo()))
    assert np.asarray(item, dtype=np.float32).dtype == np.float32
    assert np.stack([item, item]).shape == (2, 43, 64, 3)
    with pytest.raises(ValueError, match="copy=False"):
        np.array(item, copy=False)


def test_pixels_are_the_callers_own():
    (item,) = load_images([photo()])
    item.pixels[:] = 0
    assert item.pixels.any()
    digit = load_samples("digits")[0]
    digit.pixels[:] = 0
    assert digit.pixels.any()


@pytest.mark.parametrize("size", [7, 32, 96])
@pytest.mark.parametrize("image", [image for image in corpus() if image.ok], ids=lambda image: image.name)
def test_thumbnails_of_odd_images(image, size):
    (item,) = load_images([(image.name, image.data)])
    pixels = decode_image(image.data)
    small = item.thumbnail(size)
    height, width = pixels.shape[:2]
    scale = min(1, size / max(height, width))
    assert small.dtype == np.uint8
    assert max(small.shape[:2]) == min(size, max(height, width))
    assert abs(small.shape[0] - max(1, height * scale)) <= 1
    assert abs(small.shape[1] - max(1, width * scale)) <= 1
    if scale == 1:
        np.testing.assert_array_equal(small, pixels)
    else:
        exact = Image.fromarray(pixels).resize(small.shape[1::-1], Image.Resampling.LANCZOS)
        assert np.abs(small.astype(int) - np.asarray(exact)).mean() < 6


def test_a_thumbnail_of_a_large_photo_looks_like_the_photo():
    large = photo().resize((3000, 2000), Image.Resampling.BICUBIC)
    (item,) = load_images([("large.jpg", encode(large, "JPEG", quality=95))])
    exact = large.resize((96, 64), Image.Resampling.LANCZOS)
    assert np.abs(item.thumbnail().astype(int) - np.asarray(exact)).max() < 12


def test_thumbnails_are_cached_and_shared():
    (item,) = load_images([("a.png", encode(photo().rotate(90), "PNG"))])
    assert item.thumbnail() is item.thumbnail()
    assert item.thumbnail(20) is not item.thumbnail()
    assert not item.thumbnail().flags.writeable


def test_a_set_survives_pickling_and_threads(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encode(photo(), "PNG"))
    found = load_images([path, photo(), path.read_bytes()])
    again = pickle.loads(pickle.dumps(found))
    assert again == found
    assert again.fingerprint == found.fingerprint
    with ThreadPoolExecutor(4) as pool:
        for pixels in pool.map(lambda index: again[index % 3].pixels, range(24)):
            np.testing.assert_array_equal(pixels, np.asarray(photo()))
