"""Open folders: what is below is read, and nothing else, whoever names it."""

from __future__ import annotations

import os
import socket

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featlib.errors import ImageError
from featlib.images import OpenFolder, find_place, load_images, open_file, open_folders, read_path
from tests.images.corpus import encode, photo, zipped

PNG = encode(photo(), "PNG")
SENTENCE = "There is no file or folder '{}' in the open folder 'course': check its name."


@pytest.fixture
def course(tmp_path):
    """An open folder with two classes, and beside it a secret that several things inside lead to."""
    root, outside = tmp_path / "course", tmp_path / "outside"
    for name in ("course/birds/a.png", "course/cats/b.png", "course/.hidden/c.png", "outside/secret.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PNG)
    (root / "out.png").symlink_to(outside / "secret.png")
    (root / "out").symlink_to(outside)
    (root / "gone").symlink_to(tmp_path / "nowhere")
    (root / "loop").symlink_to(root / "loop")
    (root / "back").symlink_to(root / "birds")
    (root / "zero").symlink_to("/dev/zero")
    (root / "to_hidden").symlink_to(root / ".hidden")
    os.mkfifo(root / "pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "socket"))
    return open_folders([root])[0]


@pytest.mark.parametrize("below", ["", ".", "birds", "birds/a.png", "back", "back/a.png", "birds//a.png", "./birds/."])
def test_what_is_below_is_found(course, below):
    assert course.find(below).is_relative_to(course.root)


@pytest.mark.parametrize(
    "below",
    [
        "nothing.png", "birds/nothing.png", "x" * 5000,
        "../outside/secret.png", "birds/../../outside/secret.png", "birds/../cats/b.png", "..",
        "/etc/passwd", "//server/share/a.png", "\\\\server\\share\\a.png", "~/a.png", "C:\\a.png",
        "birds/a.png\0.txt", "\0", ".hidden/c.png", ".hidden", "...",
        "out.png", "out", "out/secret.png", "gone", "loop", "to_hidden", "to_hidden/c.png",
        "zero", "pipe.png", "socket", "birds/a.png/x",
    ],
)  # fmt: skip
def test_all_else_is_as_good_as_missing(course, below):
    with pytest.raises(ImageError, match="There is no file or folder") as caught:
        course.find(below)
    assert str(caught.value).endswith("in the open folder 'course': check its name.")


def test_an_image_is_looked_up_again_whenever_it_is_read(course):
    images = load_images(course.root / "birds", within=course)
    assert images.names == ("a.png",)
    (course.root / "birds/a.png").unlink()
    (course.root / "birds/a.png").symlink_to(course.root.parent / "outside/secret.png")
    with pytest.raises(ImageError, match="There is no file or folder 'a.png' in the open folder 'course'"):
        _ = images[0].pixels


def test_a_folder_is_walked_without_leaving_it(course):
    found = load_images(course.root, within=course)
    assert set(found.names) == {"birds/a.png", "cats/b.png"} or set(found.names) == {"back/a.png", "cats/b.png"}
    reasons = {problem.name: problem.reason for problem in found.problems}
    for name in ("out.png", "out", "gone", "loop", "to_hidden", "zero", "pipe.png", "socket"):
        assert reasons[name] == SENTENCE.format(name)


OUTSIDE = (
    "{outside}/secret.png",
    "../outside/secret.png",
    "out.png",
    "/dev/zero",
    "pipe.png",
    ".hidden/c.png",
    "~",
    "..",
)


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".parquet"])
def test_a_table_names_no_file_outside(course, suffix, monkeypatch):
    monkeypatch.chdir(course.root.parent / "outside")  # relative paths do not start from here
    paths = ["birds/a.png", str(course.root / "cats/b.png"), "secret.png"]
    paths += [text.format(outside=course.root.parent / "outside") for text in OUTSIDE]
    table = course.root / f"list{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.table({"path": paths}), table)
    else:
        table.write_text("\n".join(paths if suffix == ".txt" else ["path", *paths]))
    found = load_images(course.find(f"list{suffix}"), within=course)
    assert len(found) == 2
    assert len(found.problems) == len(paths) - 2
    assert all("in the open folder 'course': check its name." in problem.reason for problem in found.problems)
    assert len({problem.reason.replace(problem.name, "") for problem in found.problems}) == 1


@pytest.mark.parametrize("source", ["../outside/secret.png", "../outside", "out", "pipe.png", "zero"])
def test_nothing_outside_is_a_source(course, source):
    with pytest.raises(ImageError, match="There is no file or folder"):
        load_images(course.root / source, within=course)


def test_only_a_path_is_a_source_in_an_open_folder(course):
    with pytest.raises(ImageError, match="Received list with an open folder"):
        load_images([str(course.root.parent / "outside/secret.png")], within=course)


@pytest.mark.parametrize("name", ["pipe.png", "zero"])
def test_pipes_and_devices_do_not_hang_without_a_folder_either(course, name):
    with pytest.raises(ImageError, match="is not a regular file"):
        read_path(course.root / name, name)
    with pytest.raises(ImageError, match="is not a regular file"):
        open_file(course.root / name, name)


def test_entries_are_those_that_can_be_found(course):
    (course.root / "img10.csv").touch()
    (course.root / "img9.csv").touch()
    (course.root / "line\nbreak.csv").touch()
    assert [sorted(names) for names in course.list_entries("")] == [
        ["back", "birds", "cats"],
        ["img10.csv", "img9.csv"],
    ]
    assert course.list_entries("birds") == ([], ["a.png"])
    with pytest.raises(ImageError, match="There is no file or folder"):
        course.list_entries("out")


def test_a_missing_folder_is_told_by_its_name_only(tmp_path):
    (folder,) = open_folders([tmp_path / "gone"])
    for look in (folder.find, folder.list_entries):
        with pytest.raises(ImageError, match="The open folder 'gone' is missing or cannot be read") as caught:
            look("")
        assert str(tmp_path) not in str(caught.value)


def test_folders_of_one_name_get_different_names(tmp_path, monkeypatch):
    paths = [tmp_path / "a/data", tmp_path / "b/data", tmp_path / "data-2", tmp_path / "c/data"]
    for path in paths:
        path.mkdir(parents=True)
    monkeypatch.setenv("FEATLIB_DATA", os.pathsep.join(map(str, [*paths, paths[0], tmp_path / "b/../b/data"])))
    assert [folder.name for folder in open_folders()] == ["data", "data-2", "data-2-2", "data-3"]
    assert find_place("folder:data-3/x/y.png") == (open_folders()[3], "x/y.png")


def test_a_folder_that_is_not_open_is_told(monkeypatch):
    monkeypatch.delenv("FEATLIB_DATA", raising=False)
    assert open_folders() == ()
    with pytest.raises(ImageError, match="The folder 'course' is not open on this machine. No folder is open"):
        find_place("folder:course/birds")


@pytest.mark.parametrize("name", ["a.png", "list.csv", "list.txt", "list.parquet", "pets.zip"])
@pytest.mark.parametrize("swapped_after", [1, 2])
def test_what_is_swapped_for_a_link_while_it_is_opened_is_not_read(course, monkeypatch, name, swapped_after):
    inside, outside = course.root / "set", course.root.parent / "set"
    for folder, image in ((inside, "inside.png"), (outside, "outside.png")):
        folder.mkdir()
        (folder / "a.png").write_bytes(PNG)
        (folder / "list.csv").write_text(f"path,kind\n{image},x\n")
        (folder / "list.txt").write_text(f"{image}\n")
        pq.write_table(pa.table({"path": [image]}), folder / "list.parquet")
        (folder / "pets.zip").write_bytes(zipped({image: PNG}))
    original, calls = OpenFolder.resolve, []

    def resolve(folder, *args):
        found = original(folder, *args)
        calls.append(found)
        if len(calls) == swapped_after:
            inside.rename(inside.with_name("moved"))
            inside.symlink_to(outside)
        return found

    monkeypatch.setattr(OpenFolder, "resolve", resolve)
    try:
        loaded = load_images(inside / name, within=course)
        told = " ".join([*loaded.names, *(problem.name + problem.reason for problem in loaded.problems)])
        assert not len(loaded)
    except ImageError as error:
        told = str(error)
    assert "There is no file or folder" in told
    assert "outside" not in told


@pytest.mark.parametrize(
    ("name", "content"),
    [("list.txt", b"a.png\n" * 30), ("list.csv", b"path\na.png\n"), ("l.parquet", b""), ("birds", b"")],
)
def test_no_message_says_where_the_open_folder_is(course, monkeypatch, name, content):
    if content:
        (course.root / name).write_bytes(content)
    elif name == "l.parquet":
        pq.write_table(pa.table({"path": ["a.png"]}), course.root / name)
    monkeypatch.setattr("os.open", _refuse)
    with pytest.raises(ImageError) as caught:
        load_images(course.root / name, within=course, max_images=0 if name == "birds" else 9)
    assert f"'{name}'" in str(caught.value)
    assert str(course.root.parent) not in str(caught.value)


def _refuse(path, *_args, **_options):
    raise PermissionError(13, "Permission denied", path)
