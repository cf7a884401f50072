"""Every way in gives the same pictures under the same ids; what cannot be read is named, and the rest goes on."""

from __future__ import annotations

import io
import os
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featlib.errors import CancelledError, FeatlibError, ImageError
from featlib.images import ImageItem, ImageSet, as_image_set, decode_image, list_pending, load_images, open_image
from tests.images.corpus import corpus, encode, oriented, photo, zipped

PNG = encode(photo(), "PNG")
TURNED = oriented(6)
GREY = encode(photo().convert("L"), "PNG")
# Natural order: 2 before 10, as people count.
NAMES = ("cats/img1.png", "cats/img2.png", "cats/img10.png", "dogs/a.png", "dogs/b.png")


class Upload(io.BytesIO):
    """Like Streamlit's UploadedFile: bytes with a name, which has the path where a folder was uploaded."""

    def __init__(self, name: str, data: bytes) -> None:
        super().__init__(data)
        self.name = name


@pytest.fixture
def folder(tmp_path):
    """Five different pictures in pets/cats and pets/dogs, written in no order."""
    root = tmp_path / "pets"
    for index, name in enumerate(sorted(NAMES, reverse=True)):
        write(root / name, encode(photo().crop((index, 0, 40, 40)), "PNG"))
    return root


def write(path: Path, data: bytes = PNG) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def ways_in(folder: Path) -> dict[str, object]:
    files = {name: (folder / name).read_bytes() for name in NAMES}
    archive = write(folder.parent / "pets.zip", zipped(dict(reversed(files.items()))))
    return {
        "folder": folder,
        "folder as text": str(folder),
        "list of one folder": [folder],
        "glob": f"{folder}/**/*.png",
        "glob with a set": f"{folder}/[cd]*/*",
        "list of paths": [folder / name for name in NAMES],
        "list of texts": [str(folder / name) for name in NAMES],
        "array of texts": np.array([str(folder / name) for name in NAMES]),
        "zip": archive,
        "zip as text": str(archive),
        "list of one zip": [archive],
        "zip bytes": archive.read_bytes(),
        "uploaded zip": [Upload("pets.zip", archive.read_bytes())],
        "open zip": archive.open("rb"),
        "uploaded folder": [Upload(name, data) for name, data in files.items()],
        "named bytes": list(files.items()),
        "named paths": [(name, folder / name) for name in NAMES],
        "generator": ((name, data) for name, data in files.items()),
        "items": list(load_images(folder)),
    }


def test_every_way_in_gives_the_same_set(folder):
    reference = load_images(folder)
    pixels = [np.array(Image.open(folder / name)) for name in NAMES]
    assert len(set(reference.ids)) == 5
    for way, source in ways_in(folder).items():
        found = load_images(source)
        assert found.problems == (), way
        assert found.names == NAMES, way
        assert found.label_columns == ("folder",), way
        assert found.labels.tolist() == ["cats"] * 3 + ["dogs"] * 2, way
        assert found.ids == reference.ids, way
        assert found.fingerprint == reference.fingerprint, way
        for item, expected in zip(found, pixels, strict=True):
            np.testing.assert_array_equal(item.pixels, expected, err_msg=way)


def test_a_folder_uploaded_zipped_or_opened_is_one_set(tmp_path):
    """Browsers send a folder's files in no order and with its own name first; a zip of a folder has that name too."""
    from featlib.images import list_uploads

    names = ["img2.png", "img10.png", "Zebra/a.png", "ant/IMG_2.png", "ant/img_10.png", "ant/old/x.png"]
    folder = tmp_path / "pets"
    for index, name in enumerate(names):
        write(folder / name, encode(photo().crop((index, 0, 40, 40)), "PNG"))
    write(folder / ".hidden" / "b.png")
    write(folder / "ant" / ".DS_Store", b"x")
    files = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    backwards = dict(sorted(files.items(), reverse=True))
    reference = load_images(folder)
    assert reference.names == ("ant/IMG_2.png", "ant/img_10.png", "ant/old/x.png", *names[:3])
    ways = {
        "uploaded folder": load_images(list_uploads([Upload(name, data) for name, data in backwards.items()])),
        "uploaded zip": load_images(list_uploads([Upload("pets.zip", zipped(backwards))])),
        "zip with another name": load_images([("my pets.zip", zipped(backwards))]),
        "zip from inside the folder": load_images(
            zipped({name.removeprefix("pets/"): data for name, data in backwards.items()})
        ),
        "path of a zip": load_images(write(tmp_path / "x.zip", zipped(backwards))),
    }
    for way, found in ways.items():
        assert found.names == reference.names, way
        assert found.ids == reference.ids, way
        assert [dict(item.labels) for item in found] == [dict(item.labels) for item in reference], way


def test_files_uploaded_one_by_one_are_in_natural_order():
    from featlib.images import list_uploads

    files = [Upload(name, PNG) for name in ("b.png", "a10.png", "a9.png")]
    assert [name for name, _ in list_uploads(files)] == ["a9.png", "a10.png", "b.png"]


@pytest.mark.parametrize(
    ("names", "label"),
    [
        (["cats/1.png", "cats/2.png"], "cats"),  # a zip of one class
        (["set/1.png", "set/2.png"], None),  # a zip of the folder "set"
    ],
)
def test_a_zip_of_one_folder_keeps_its_class_and_drops_its_own_name(names, label):
    found = load_images([("set.zip", zipped(dict.fromkeys(names, PNG)))])
    assert found.label_columns == (("folder",) if label else ())
    assert label is None or set(found.labels) == {label}


def test_several_zips_keep_their_folders():
    found = load_images([(f"{name}.zip", zipped({f"{name}/1.png": PNG})) for name in ("cats", "dogs")])
    assert found.names == ("cats/1.png", "dogs/1.png")


@pytest.mark.parametrize("data", [PNG, TURNED, GREY], ids=["png", "turned", "grey"])
def test_one_file_has_one_id_however_it_comes(tmp_path, data):
    path = write(tmp_path / "a.png", data)
    ways = [path, str(path), data, bytearray(data), io.BytesIO(data), Upload("x.jpg", data), path.open("rb")]
    ways += [[way] for way in ways]
    ways += [("x/y.png", data), [("x/y.png", path)], zipped({"b.png": data})]
    ids = set()
    for way in ways:
        (item,) = load_images(way)
        np.testing.assert_array_equal(item.pixels, decode_image(data))
        ids.add(item.id)
    assert len(ids) == 1
    assert len(ids.pop()) == 40


def test_pictures_without_a_file_go_by_their_pixels():
    pixels = np.asarray(photo())
    ways = [
        pixels,
        [pixels],
        pixels[None],
        [pixels[:, ::-1].copy()[:, ::-1]],
        photo(),
        [photo()],
        [Image.open(io.BytesIO(PNG))],
        [Image.open(io.BytesIO(encode(photo(), "BMP")))],
        [("dogs/a.png", pixels)],
        [("dogs/a.png", photo())],
    ]
    ids = {load_images(way)[0].id for way in ways}
    assert len(ids) == 1
    assert ids != {load_images(PNG)[0].id}
    assert load_images([("dogs/a.png", pixels)]).labels.tolist() == ["dogs"]


def test_the_shape_is_part_of_a_picture():
    flat = np.zeros((2, 6, 3), np.uint8)
    assert load_images(flat)[0].id != load_images(flat.reshape(3, 4, 3))[0].id


def test_an_array_of_images():
    batch = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3), dtype=np.uint8)
    found = load_images(batch)
    assert found.names == ("image 1", "image 2", "image 3", "image 4")
    np.testing.assert_array_equal(np.stack([item.pixels for item in found]), batch)
    np.testing.assert_array_equal(load_images(batch[..., :1])[2].pixels, np.repeat(batch[2, ..., :1], 3, axis=2))


@pytest.mark.parametrize("batch", [np.zeros((2, 4, 4, 3)), np.zeros((2, 3, 4, 4), np.uint8)[..., :2]])
def test_an_array_that_is_not_a_batch_is_refused_whole(batch):
    with pytest.raises(ImageError, match=r"a batch is \(n, height, width, 3\) of uint8"):
        load_images(batch)


def test_the_whole_corpus_at_once():
    """Each bad file is named with its reason; nothing is lost, and the others keep their order."""
    files = corpus()
    found = load_images([(image.name, image.data) for image in files])
    bad = [image for image in files if not image.ok]
    assert found.names == tuple(image.name for image in files if image.ok)
    assert [problem.name for problem in found.problems] == [image.name for image in bad]
    for problem, image in zip(found.problems, bad, strict=True):
        assert image.reason_contains in problem.reason
        assert problem.reason.startswith(f"'{image.name}' ")


def test_the_whole_corpus_from_disk_and_from_a_zip_is_the_same(tmp_path):
    small = [image for image in corpus() if len(image.data) < 2**20]
    for image in small:
        write(tmp_path / "odd" / image.name, image.data)
    archive = write(tmp_path / "odd.zip", zipped({image.name: image.data for image in small}))
    of_folder, of_zip = load_images(tmp_path / "odd"), load_images(archive)
    assert set(of_folder.names) == {image.name for image in small if image.ok}
    assert {problem.name for problem in of_folder.problems} == {image.name for image in small if not image.ok}
    assert (of_folder.names, of_folder.ids) == (of_zip.names, of_zip.ids)
    # The zip that calls itself a PNG is refused as a zip within a zip.
    differing = {a.name for a, b in zip(of_folder.problems, of_zip.problems, strict=True) if a.reason != b.reason}
    assert differing <= {"really_a_zip.png", "huge_400_megapixels.png", "huge_65_megapixels.png"}


def test_a_folder_is_read_with_its_sub_folders_and_without_junk(tmp_path):
    root = tmp_path / "set"
    for name in ["top.png", "dogs/a.PNG", "dogs/young/b.png", "дом/c.png"]:
        write(root / name)
    for name in [".hidden.png", ".git/a.png", "Thumbs.db", "dogs/.DS_Store", "__MACOSX/a.png", "dogs/._a.png"]:
        write(root / name)
    write(root / "dogs/notes.txt", b"Two dogs.")
    found = load_images(root)
    assert dict(zip(found.names, found.labels, strict=True)) == {
        "top.png": "",
        "dogs/a.PNG": "dogs",
        "dogs/young/b.png": "young",
        "дом/c.png": "дом",
    }
    assert [problem.name for problem in found.problems] == ["dogs/notes.txt"]
    assert "is a text file, not an image" in found.problems[0].reason
    assert found.name == "set"


def test_links_are_followed_only_once(tmp_path):
    write(tmp_path / "set/a/x.png")
    write(tmp_path / "elsewhere/y.png")
    (tmp_path / "set/a/up").symlink_to(tmp_path / "set")
    (tmp_path / "set/b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set/lost.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(tmp_path / "set/pipe.png")
    os.mkfifo(tmp_path / "set/pipe.zip")
    found = load_images(tmp_path / "set")
    assert found.names == ("a/x.png", "b/y.png")
    assert {problem.name for problem in found.problems} == {"lost.png", "pipe.png", "pipe.zip"}
    (problem,) = load_images(tmp_path / "set/pipe.zip").problems  # opening it would wait for ever
    assert "is not a regular file" in problem.reason


def test_a_hidden_folder_that_is_named_is_meant(tmp_path):
    write(tmp_path / ".cache/a.png")
    write(tmp_path / ".cache/.b.png")
    for source in (tmp_path / ".cache", f"{tmp_path}/.cache/*.png", f"{tmp_path}/.cache/*"):
        assert load_images(source).names == ("a.png",)


def test_a_file_with_wildcards_in_its_name(tmp_path):
    path = write(tmp_path / "cat[1].png")
    assert load_images(str(path)).names == ("cat[1].png",)


def test_names_that_are_not_unicode(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9.png"
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(PNG)
    (item,) = load_images(tmp_path)
    assert item.name == "caf\N{REPLACEMENT CHARACTER}.png"
    assert item.pixels.shape == (43, 64, 3)


def test_names_of_one_folder_carry_no_labels(tmp_path):
    paths = [write(tmp_path / "dogs" / name) for name in ("b.png", "a.png")]
    found = load_images(paths)
    assert found.names == ("b.png", "a.png")  # a list keeps its order
    assert found.labels is None
    assert load_images(paths[0]).name == "b"


HOSTILE = {
    "../../../etc/passwd.png": "etc/passwd.png",
    "/root/.ssh/id.png": "root/.ssh/id.png",
    "C:\\Users\\me\\a.png": "Users/me/a.png",
    "\\\\server\\share\\a.png": "server/share/a.png",
    "a\nb\x1b[2J\x00.png": "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}.png",
    "photo\u202egnp.exe": "photo\N{REPLACEMENT CHARACTER}gnp.exe",
    "<script>alert(1)</script>.png": "<script>alert(1)</script>.png",
    "x" * 10_000 + ".png": "…" + "x" * 195 + ".png",
    "../": "image",
    "": "image",
}


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name)[:20])
def test_hostile_names_are_text_and_nothing_else(name):
    (item,) = load_images([(name, PNG)])
    assert item.name == HOSTILE[name]
    (problem,) = load_images([(name, b"")]).problems
    assert problem.name == HOSTILE[name]
    assert problem.reason.startswith(f"'{HOSTILE[name]}' is empty")


def test_an_uploaded_name_never_becomes_a_path(tmp_path):
    secret = write(tmp_path / "secret.png")
    (problem,) = load_images([Upload(str(secret), b"text")]).problems
    assert problem.name == "secret.png"
    found = load_images([Upload("dogs/../../cats/a.png", PNG), Upload("./dogs/a.png", PNG)])
    assert found.labels.tolist() == ["cats", "dogs"]


def test_uploaded_junk_is_skipped_silently():
    found = load_images([Upload("dogs/.DS_Store", b"x"), Upload("dogs/a.png", PNG), Upload("Thumbs.db", b"x")])
    assert found.names == ("dogs/a.png",)
    assert found.problems == ()


def test_one_bad_file_between_good_ones(tmp_path):
    good = write(tmp_path / "good.png")
    found = load_images([good, tmp_path / "gone.png", b"", np.zeros((2, 2)), PNG, photo().convert("F")])
    assert found.names == ("good.png", "image 5")
    assert [problem.reason.split(":")[0] for problem in found.problems] == [
        "There is no file or folder 'gone.png'",
        "'image 3' is empty (0 bytes)",
        "'image 4' has dtype float64, and an image array is uint8 0..255 (or uint16 0..65535, or bool)",
        "'image 6' has 32-bit values, which have no defined white level",
    ]


def test_nothing_usable_is_a_set_of_problems(tmp_path):
    write(tmp_path / "set/notes.txt", b"text")
    assert len(load_images(tmp_path / "set")) == 0
    assert len(load_images(tmp_path / "set").problems) == 1
    (tmp_path / "bare").mkdir()
    assert load_images(tmp_path / "bare").problems[0].reason.startswith("'bare' contains no files")
    assert load_images([]) == ImageSet("images", ())


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("no/such/folder", "There is no file or folder 'no/such/folder'"),
        (Path("no.zip"), "There is no file or folder 'no.zip'"),
        ("no/such/*.png", "No file matches 'no/such/*.png'"),
        ("**oops.png", "'**oops.png' is not a valid file pattern|No file matches '**oops.png'"),
        ("https://example.org/a.png?size=9", "is a web address"),
        ("", "Received an empty path"),
        ([""], "Received an empty path"),
        ("x" * 5000, "There is no file or folder '…xxx"),
        ("x" * 5000 + "*", "No file matches '…xxx"),
        ("a\x00\x1b\n", "There is no file or folder 'a" + 3 * "\N{REPLACEMENT CHARACTER}" + "'"),
        ("~no_such_user/photos", "There is no file or folder '~no_such_user/photos'"),
        (3, "Received int as images"),
        (None, "Received NoneType as images"),
        ({"a.png": PNG}, "Received a dict of images: pass a list"),
        ([[PNG]], "Received list as images"),
        ([("a.png", 3)], "Received int as images"),
    ],
    ids=lambda value: ascii(value)[:25],
)
def test_sources_that_are_refused_whole(source, words):
    with pytest.raises(ImageError) as error:
        load_images(source)
    assert any(part in str(error.value) for part in words.split("|"))
    assert len(str(error.value)) < 400


def test_a_name_too_long_for_the_disk_is_one_problem_in_a_list():
    found = load_images(["x" * 5000, ("a.png", PNG)])
    assert found.names == ("a.png",)
    assert "file name too long" in found.problems[0].reason


def test_too_many_images(folder):
    for way, source in ways_in(folder).items():
        if way.startswith(("zip", "uploaded zip", "open zip", "list of one zip")):
            continue
        with pytest.raises(ImageError, match="more than 4 files"):
            load_images(source, max_images=4)
    for way, source in ways_in(folder).items():
        assert len(load_images(source, max_images=5)) == 5, way


def test_too_many_are_found_out_without_reading_them_all(tmp_path, monkeypatch):
    for index in range(30):
        write(tmp_path / "set" / f"{index}.png")
    monkeypatch.setattr("featlib.images.item.read_path", None)
    with pytest.raises(ImageError, match=r"'.*set' contains more than 20 files: choose one of its sub-folders"):
        load_images(tmp_path / "set", max_images=20)


def test_uploads_beyond_the_memory_limit_are_skipped_by_name(monkeypatch):
    monkeypatch.setattr("featlib.images.load.MAX_TOTAL_BYTES", 2 * len(PNG) + len(GREY))
    found = load_images([("a.png", PNG), ("b.png", PNG), ("c.png", PNG), ("d.png", GREY)])
    assert found.names == ("a.png", "b.png", "d.png")
    assert found.problems[0].reason.startswith(
        "'c.png' was skipped because all images together would take too much memory"
    )


def test_files_on_disk_take_no_memory_of_that_limit(folder, monkeypatch):
    monkeypatch.setattr("featlib.images.load.MAX_TOTAL_BYTES", 1)
    assert len(load_images(folder)) == 5


def test_loading_keeps_no_pixels(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), dtype=np.uint8)
    for index in range(12):
        pixels[0, 0] = index
        write(tmp_path / f"{index}.bmp", encode(Image.fromarray(pixels), "BMP"))
    tracemalloc.start()
    found = load_images(tmp_path)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == 12
    assert kept < 1_000_000  # of 36 MB of pixels
    assert found[3].pixels is not found[3].pixels


def test_a_file_deleted_after_loading(folder):
    found = load_images(folder)
    (folder / "dogs/a.png").unlink()
    with pytest.raises(ImageError) as error:
        _ = found[3].pixels
    assert str(error.value) == "There is no file or folder 'dogs/a.png': check the path."
    assert found[4].pixels.shape[2] == 3


@pytest.mark.parametrize("data", [GREY, b"text", b""], ids=["another picture", "text", "empty"])
def test_a_file_changed_after_loading(folder, data):
    found = load_images(folder)
    (folder / "dogs/a.png").write_bytes(data)
    for ask in (lambda: found[3].pixels, found[3].thumbnail, lambda: np.asarray(found[3])):
        with pytest.raises(ImageError, match="'dogs/a.png' (has changed since it was loaded|is empty)"):
            ask()


def test_an_array_changed_after_loading():
    pixels = np.array(photo())
    (item,) = load_images([("a", pixels)])
    pixels[0, 0] ^= 255
    with pytest.raises(ImageError, match="'a' has changed since it was loaded"):
        _ = item.pixels


def test_relative_paths_stay_where_they_were(folder, monkeypatch):
    monkeypatch.chdir(folder)
    found = load_images("cats")
    monkeypatch.chdir("/")
    assert found.name == "cats"
    assert found[0].pixels.ndim == 3


def test_progress_counts_every_file_in_the_calling_thread(folder):
    seen = []
    write(folder / "notes.txt", b"x")
    load_images(folder, on_progress=lambda done, of: seen.append((done, of, threading.current_thread())))
    assert seen == [(done, 6, threading.main_thread()) for done in range(1, 7)]


def test_loading_is_cancelled_from_the_progress(folder):
    def stop(done, _):
        if done == 2:
            raise CancelledError("Stopped.")

    with pytest.raises(CancelledError):
        load_images(folder, on_progress=stop)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("featlib-images")]


def test_a_set_is_returned_as_it_is(folder):
    found = load_images(folder)
    assert load_images(found) is found
    renamed = load_images(found, name="ours")
    assert renamed.name == "ours"
    assert renamed.items is found.items
    assert load_images(folder, name="ours").name == "ours"


def test_as_image_set_lacks_nothing_or_raises(folder):
    assert as_image_set(folder).names == NAMES
    for index in range(5):
        write(folder / f"birds/{index}.png", b"x")
    with pytest.raises(FeatlibError) as error:
        as_image_set(folder)
    message = str(error.value)
    assert message.startswith("5 of 10 images cannot be read: 'birds/0.png' is a text file")
    assert message.count("birds/") == 3
    assert "featlib.load_images" in message
    checked = load_images(folder)  # who has loaded it has seen the problems
    assert as_image_set(checked) is checked


def test_as_image_set_takes_more_than_a_page_does(monkeypatch):
    monkeypatch.setattr("featlib.images.load.MAX_IMAGES", 2)
    assert len(as_image_set(np.zeros((10_001, 1, 1, 3), np.uint8))) == 10_001


def test_images_that_were_read_come_out_as_they_are(folder, monkeypatch):
    items = list(load_images(folder))
    monkeypatch.setattr("featlib.images.load.ThreadPoolExecutor", None)
    again = as_image_set(items)
    assert all(one is other for one, other in zip(again, items, strict=True))
    assert as_image_set([items[2]])[0] is items[2]
    assert list_pending(items) is items
    assert load_images(again) is again


def test_an_image_has_its_id_once_it_is_opened(folder):
    listed = list_pending(folder)
    assert all(isinstance(item, ImageItem) and not item.id for item in listed)
    assert listed == listed[:]
    assert len(set(listed)) == len(listed)
    assert listed[0] != list_pending(folder)[0]
    opened = [open_image(item) for item in listed]
    assert [one.item for one in opened] == list(load_images(folder))
    assert [one.item.labels for one in opened] == [item.labels for item in listed]
    np.testing.assert_array_equal(opened[0].resized(20, 30), listed[0].resized(20, 30))
    np.testing.assert_array_equal(listed[0].pixels, opened[0].item.pixels)


def test_loading_stops_where_progress_says_so(folder):
    with pytest.raises(CancelledError, match="Stopped after 2 of 5 images"):
        load_images(folder, on_progress=lambda done, total: done == 2)
