"""Folders that the owner of the machine has opened: chosen in the app, named in links, and nothing else is read."""

from __future__ import annotations

import os

import keras
import pytest
from keras import layers

from tests.app.driver import choices, data, go, labelled, open_page, press, programs, run, said, values
from tests.app.uploading import pictures
from tests.images.corpus import zipped


@pytest.fixture
def course(tmp_path, monkeypatch):
    """An open folder with two classes of four images, a zip, and a table that also names an image outside."""
    root = tmp_path / "course"
    files = pictures(8, ("cats", "dogs"))
    for name, png in [*((f"pets/{name}", png) for name, png in files), ("../outside.png", files[0][1])]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(png)
    (root / "pets.zip").write_bytes(zipped(dict(files)))
    (root / "list.csv").write_text(f"path,kind\npets/cats/0.png,a\npets/dogs/1.png,b\n{tmp_path}/outside.png,c\n")
    monkeypatch.setenv("FEATLIB_DATA", str(root))
    return root


def choose(at, *entries):
    """Goes down in the select boxes, and uses the place."""
    for number, entry in enumerate(entries):
        [box for box in at.selectbox if (box.key or "").startswith("images ")][number].set_value(entry)
        run(at)
    return press(at, "Use course")


def test_without_an_open_folder_the_command_is_shown(monkeypatch):
    monkeypatch.delenv("FEATLIB_DATA", raising=False)
    at = open_page()
    assert "featlib app path/to/folder" in [code.value for code in at.code]
    at = open_page("feature_maps", images="folder:course/pets")
    (warning,) = at.warning
    assert "The folder 'course' is not open on this machine" in warning.value
    assert values(at, "shelf") == list(range(10)), "built-in photos"
    assert labelled(at.selectbox, "Images").options[0].startswith("Photos")


def test_a_sub_folder_is_used_in_place_and_its_link_is_the_same_view_for_everybody(course):
    at = choose(open_page(layer="head_relu"), "pets")
    assert at.query_params["images"] == "folder:course/pets"
    assert "8 images of course/pets are in use, labeled by folder" in said(at)
    assert values(at, "shelf") == list(range(8))
    again = open_page("feature_maps", **at.query_params)
    assert values(again, "shelf") == list(range(8))
    assert "course/pets" in labelled(again.selectbox, "Images").options
    labelled(again.selectbox, "Images").set_value("photos")
    labelled(run(again).selectbox, "Images").set_value("folder:course/pets")
    assert values(run(again), "shelf") == list(range(8))
    for shown in (at, again, go(again, "vectors")):
        assert str(course.parent) not in "".join([said(shown), *programs(shown), *shown.query_params.values()])


def test_a_zip_and_a_table_are_used_and_what_the_table_names_outside_is_not_read(course):
    at = choose(open_page(layer="head_relu"), "pets.zip")
    assert at.query_params["images"] == "folder:course/pets.zip"
    assert values(at, "shelf") == list(range(8))
    at = choose(at, "list.csv")
    assert "2 images of course/list.csv are in use, labeled by kind" in said(at)
    assert "There is no file or folder 'outside.png' in the open folder 'course'" in said(at)
    assert len(data(at, "shelf")["pictures"]) == 2


def test_folders_that_cannot_be_read_leave_the_way_to_all_others(course, monkeypatch):
    monkeypatch.setenv("FEATLIB_DATA", f"{course}{os.pathsep}{course.parent}/gone")
    (course / "lost+found").mkdir()
    original, scanned = os.scandir, []

    def scandir(path="."):
        scanned.append(str(path))
        if str(path).endswith("lost+found"):
            raise PermissionError(13, "Permission denied", str(path))
        return original(path)

    monkeypatch.setattr("os.scandir", scandir)
    at = open_page(layer="head_relu")
    assert not at.error
    box = labelled(at.selectbox, "In “course”")
    assert {"lost+found/", "pets/ · 2 folders", "list.csv"} <= set(box.options)
    box.set_value("lost+found")
    (error,) = run(at).error
    assert "There is no file or folder 'lost+found'" in error.value
    scanned.clear()
    labelled(at.selectbox, "Open folder").set_value("gone")
    (error,) = run(at).error
    assert "The open folder 'gone' is missing or cannot be read" in error.value
    assert len(values(at, "shelf")) == 10
    labelled(at.selectbox, "Open folder").set_value("course")
    labelled(run(at).selectbox, "In “course”").set_value("pets")
    assert not run(at).error
    assert str(course / "pets" / "cats") in scanned
    scanned.clear()
    run(at)
    assert [path for path in scanned if "pets/" in path] == [], "they are counted once"


@pytest.mark.parametrize("below", ["nothing", "../outside.png", "/etc/passwd", "pets/../../outside.png", "a\0b"])
def test_what_is_not_there_and_what_is_not_allowed_get_one_sentence(course, below):
    at = open_page("feature_maps", images=f"folder:course/{below}")
    (warning,) = at.warning
    assert "There is no file or folder" in warning.value
    assert "in the open folder 'course'" in warning.value
    assert values(at, "shelf") == list(range(10)), "built-in photos"


def small_model(filters):
    keras.utils.set_random_seed(5)
    image = layers.Input((32, 32, 3), name="image")
    x = layers.GlobalAveragePooling2D(name="gap")(layers.Conv2D(filters, 3, strides=2, name="conv")(image))
    return keras.Model(image, layers.Dense(2, activation="softmax", name="answer")(x), name="pets")


@pytest.fixture
def pets(course):
    """A small model in the open folder, with the names of its classes; and a link to names outside."""
    model = small_model(6)
    for folder in ("models", "linked"):
        (course / folder).mkdir()
        model.save(course / folder / "pets.keras")
    (course / "models/labels.txt").write_text("0 Cat\n1 Owl\n")
    (course.parent / "labels.txt").write_text("0 Secret\n1 Names\n")
    (course / "linked/labels.txt").symlink_to(course.parent / "labels.txt")
    return "folder:course/models/pets.keras"


def test_a_link_names_a_model_file_and_loads_it_when_asked(pets):
    at = open_page("layers", model="own", own=pets)
    (info,) = at.info
    assert "The link asks for the model file 'course/models/pets.keras'" in info.value
    assert choices(at).own is None
    press(at, "Load it")
    assert not at.error
    assert choices(at).own.class_names == ("Cat", "Owl")
    assert at.query_params["own"] == pets
    again = open_page("layers", model="own", own=pets)
    assert choices(again).own is not None, "it is in the server's memory now"


def test_a_model_file_is_chosen_in_the_sidebar_and_names_outside_are_not_read(pets):
    at = open_page("layers", model="own")
    for entry in ("linked", "pets.keras"):
        [box for box in at.selectbox if (box.key or "").startswith("models ")][-1].set_value(entry)
        run(at)
    press(at, "Load course/linked/pets.keras")
    assert not at.error
    assert choices(at).own.class_names is None
    assert at.query_params["own"] == "folder:course/linked/pets.keras"


def test_class_names_without_end_are_refused_unread(pets, course):
    with (course / "models/labels.txt").open("wb") as file:
        file.truncate(2**31)
    at = press(open_page("layers", model="own", own=pets), "Load it")
    assert "A file of class names has at most 1,000,000 bytes, and this one has more." in said(at)
    assert choices(at).own is None


@pytest.mark.slow
def test_nobody_changes_or_deletes_the_model_of_another(pets, course):
    def load(at=None):
        return press(at or open_page("layers", model="own", own=pets), "Load it")

    first = load()
    wanted = choices(first).own
    small_model(9).save(course / "models/pets.keras")
    assert choices(run(first)).own is wanted
    second = load()
    assert choices(second).own.model.count_params() > wanted.model.count_params()
    assert choices(run(first)).own is wanted
    other = open_page("layers", model="own", own=pets)
    assert choices(other).own is choices(second).own, "the file as it is now is in the server's memory"
    press(second, "Forget my model")
    assert choices(second).own is None
    assert "own" not in second.query_params
    assert [choices(run(at)).own is not None for at in (first, other)] == [True, True]
    assert choices(first).own is wanted
    (course / "models/labels.txt").write_text("0 Dog\n1 Cow\n")
    assert choices(load()).own.class_names == ("Dog", "Cow")
    assert choices(run(other)).own.class_names == ("Cat", "Owl")
