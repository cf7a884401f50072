"""One's own images: the good ones in use, the bad ones named, and nothing lost."""

from __future__ import annotations

import numpy as np
import pytest

from featlib.images import decode_image, load_samples
from featlib.text import natural_key
from featlib.ui.uploads import UploadStore, upload_store
from tests.app.driver import choices, data, element, go, labelled, open_page, press, programs, run, said, values
from tests.app.uploading import brought, pictures, upload
from tests.images.corpus import corpus, encode, photo, zipped

GOOD = sorted((odd for odd in corpus() if odd.ok), key=lambda odd: natural_key(odd.name))  # as the app lists them
BAD = [odd for odd in corpus() if not odd.ok]


def texts(at):
    return [line for text in at.text for line in text.value.splitlines()]


def test_every_good_image_of_the_corpus_is_in_use():
    at = upload(open_page(), [(odd.name, odd.data) for odd in GOOD])
    assert not at.error
    assert not texts(at)
    uploads = choices(at).uploads
    assert uploads.names == tuple(odd.name for odd in GOOD)
    assert f"{len(GOOD)} of your own images are loaded" in said(at)
    assert labelled(at.selectbox, "Images").value == "uploads"
    assert at.query_params["images"] == "uploads"
    for item, odd in zip(uploads, GOOD, strict=True):
        np.testing.assert_array_equal(item.pixels, decode_image(odd.data, odd.name))
    go(at, "vectors")
    assert not at.error
    assert next(metric.value for metric in at.metric if metric.label == "Shape") == f"({len(GOOD)}, 40)"
    assert data(at, "shelf")["pictures"][0]["title"] == GOOD[0].name


@pytest.mark.parametrize("name", ["one_pixel.png", "wide.png", "tall.png", "cmyk.jpg", "grey_16_bits.png"])
def test_an_odd_image_can_be_looked_at(name):
    at = upload(open_page(), [(odd.name, odd.data) for odd in GOOD if odd.name == name])
    assert not at.error
    go(at, "feature_maps")
    assert not at.error
    assert len(values(at, "maps")) == 40


@pytest.mark.parametrize("start", range(0, len(BAD), 7))
def test_every_bad_image_is_named_with_its_reason_and_the_good_one_is_used(start):
    bad = BAD[start : start + 7]
    at = upload(open_page(), [("fine.png", encode(photo(), "PNG")), *((odd.name, odd.data) for odd in bad)])
    assert choices(at).uploads.names == ("fine.png",)
    assert not at.error
    assert any(warning.value == _count(len(bad)) for warning in at.warning)
    assert len(texts(at)) == len(bad)
    for odd, text in zip(sorted(bad, key=lambda odd: natural_key(odd.name)), texts(at), strict=True):
        assert odd.name in text
        assert odd.reason_contains in text


def test_many_bad_ones_are_all_named():
    at = upload(open_page(), [(f"{i}.jpg", b"no picture") for i in range(11)])
    assert "11 files could not be used" in " ".join(warning.value for warning in at.warning)
    assert all(any(f"'{i}.jpg'" in line for line in texts(at)) for i in range(11))


def _count(n):
    return f"{n} {'file' if n == 1 else 'files'} could not be used:"


def test_earlier_images_stay_when_a_later_upload_is_all_bad():
    at = brought(2)
    upload(at, [("broken.jpg", b"\xff\xd8\xff"), ("empty.png", b"")])
    assert len(choices(at).uploads) == 2
    assert len(texts(at)) == 2
    assert "2 of your own images are loaded" in said(at)
    assert at.query_params["images"] == "uploads"
    assert not go(at, "feature_maps").error
    assert values(at, "shelf") == [0, 1]


def test_only_bad_ones_leave_the_built_in_set_in_use():
    at = upload(open_page(), [("notes.txt", b"milk, eggs")])
    assert choices(at).uploads is None
    assert choices(at).images == "photos"
    assert "notes.txt" in texts(at)[0]
    assert values(at, "shelf") == list(range(10))


def test_a_good_upload_takes_the_place_of_the_last_one_and_of_its_problems():
    at = upload(open_page(), [("broken.jpg", b"\xff\xd8\xff")])
    assert texts(at)
    upload(at, pictures(3))
    assert not texts(at)
    assert len(choices(at).uploads) == 3


def test_uploads_are_read_once(monkeypatch):
    from featlib.ui.widgets import own_images

    calls = []
    original = own_images.load_images
    monkeypatch.setattr(own_images, "load_images", lambda *args, **kwargs: calls.append(1) or original(*args, **kwargs))
    at = brought(3)
    run(run(at))
    assert len(calls) == 1


def test_a_reload_a_second_tab_and_a_link_find_the_uploads_again_until_they_are_forgotten():
    at = brought(6, ("cats", "dogs"))
    again = open_page("feature_maps", **at.query_params)
    assert not again.warning
    assert choices(again).uploads.names == choices(at).uploads.names
    assert values(again, "shelf") == list(range(6))
    key = at.query_params["upload"]
    for page in ("", "feature_maps", "vectors"):
        go(again, page)
        assert key not in "".join([said(again), *programs(again)])
    assert choices(open_page(images="uploads")).uploads is None
    assert "Your images (6)" not in labelled(open_page().selectbox, "Images").options
    assert "Whoever has the full link to a view of them can see them." in said(at)
    upload(at, pictures(2))
    assert at.query_params["upload"] != key
    press(at, "Forget my images")
    assert at.query_params["images"] == "photos"
    assert "upload" not in at.query_params
    assert {box.key for box in go(again, "").file_uploader} == {"files 1", "folder 1"}, "its files are dropped"
    (warning,) = again.warning
    assert "The images of this link were deleted by “Forget”" in warning.value
    assert values(again, "shelf") == list(range(10))
    assert not run(again).warning, "said once"


def test_what_somebody_else_has_brought_is_not_theirs_to_delete():
    images = load_samples("photos")[:3]
    key = upload_store().put(images, "images", 1, "somebody")
    at = press(open_page(images="uploads", upload=key), "Forget my images")
    assert "The images stay with the visitor who has brought them" in said(at)
    assert choices(at).uploads is None
    assert upload_store().get(key, "images") is images
    assert upload_store().forget(key, "somebody")


def test_every_upload_gets_a_new_key_and_the_one_before_is_still_there():
    at = brought(2)
    first = dict(at.query_params)
    upload(at, pictures(3))
    assert at.query_params["upload"] != first["upload"]
    assert len(choices(open_page(**first)).uploads) == 2


def test_what_was_dropped_or_has_expired_is_told_once(monkeypatch):
    now = [0.0]
    size = sum(len(png) + 1000 for _, png in pictures(3))
    store = UploadStore(max_bytes=2 * size, max_bytes_per_visitor=size, keep_seconds=3600, clock=lambda: now[0])
    monkeypatch.setattr("featlib.ui.uploads.upload_store", lambda: store)
    at = brought(2)
    link = dict(at.query_params)
    upload(at, pictures(8))
    assert "a visitor may bring" in said(at)
    assert len(choices(at).uploads) == 2, "the earlier ones stay"
    upload(at, pictures(3))
    dropped = open_page("feature_maps", **link)
    assert "The images of this link were dropped to make room" in said(dropped)
    assert "Upload them again on Home" in said(dropped)
    assert not run(dropped).warning
    key = store.put(choices(at).uploads, "images", 1, "somebody")
    store.leave("somebody")
    now[0] = 3601.0
    assert "were deleted an hour after their last visit" in said(open_page("layers", images="uploads", upload=key))
    assert len(choices(at).uploads) == 3, "those in use stay"


def test_pictures_of_what_is_deleted_leave_memory_too(monkeypatch, lite96):
    from featlib.ui.compute import traces

    now = [0.0]
    store = UploadStore(keep_seconds=3600, clock=lambda: now[0])
    monkeypatch.setattr("featlib.ui.uploads.upload_store", lambda: store)

    def kept(item, thumbnail):
        return item.thumbnail() is thumbnail, traces()[0].get((lite96.fingerprint, item.id)) is not None

    at = brought(1)
    old = choices(at).uploads[0]
    upload(at, pictures(2)[1:])
    new = choices(at).uploads[0]
    thumbnails = old.thumbnail(), new.thumbnail()
    assert [kept(old, thumbnails[0]), kept(new, thumbnails[1])] == [(True, True)] * 2
    now[0] = 3601.0
    store.sweep()
    assert [kept(old, thumbnails[0]), kept(new, thumbnails[1])] == [(False, False), (True, True)]
    press(at, "Forget my images")
    assert kept(new, thumbnails[1]) == (False, False)


def test_vectors_of_uploads_are_not_written_to_the_disk(fresh):
    from featlib.ui.compute import vector_store

    at = brought(5)
    before = vector_store().info().vectors  # of the built-in views on Home
    assert not go(at, "vectors").error
    assert vector_store().info().vectors == before
    open_page("vectors", layer="head_relu")
    assert vector_store().info().vectors > before


def test_a_person_may_go_back_to_a_built_in_set_and_to_the_uploads_again():
    at = brought(2)
    labelled(at.selectbox, "Images").set_value("photos")
    run(at)
    assert at.query_params["images"] == "photos"
    assert len(values(at, "shelf")) == 10
    go(at, "layers")
    assert labelled(at.selectbox, "Images").options[-1] == "Your images (2)"
    labelled(at.selectbox, "Images").set_value("uploads")
    go(run(at), "feature_maps")
    assert values(at, "shelf") == [0, 1]


def test_a_folder_gives_its_sub_folders_as_labels():
    at = brought(6, ("cats", "dogs"))
    uploads = choices(at).uploads
    assert uploads.label_columns == ("folder",)
    assert uploads.labels.tolist() == ["cats"] * 3 + ["dogs"] * 3
    assert "labeled by folder" in said(at)
    go(at, "projection")
    assert labelled(at.selectbox, "Color").options == ["folder", "predicted class"]
    go(at, "transfer")
    assert not at.error
    assert any(heading.value.startswith("folder: ") for heading in at.subheader)


@pytest.mark.parametrize("name", ["../../etc/cats/a.png", "/etc/cats/a.png", "C:\\photos\\cats\\a.png"])
def test_a_hostile_folder_name_is_text_only(name):
    png = encode(photo(), "PNG")
    at = upload(open_page(), [(name, png), ("dogs/b.png", png)], "folder")
    assert not at.error
    uploads = choices(at).uploads
    assert uploads.names[0] in ("etc/cats/a.png", "photos/cats/a.png", "a.png")
    assert uploads.labels.tolist() == ["" if uploads.names[0] == "a.png" else "cats", "dogs"]


def test_a_zip_is_opened_and_its_bad_members_named():
    good = dict(pictures(4, ("cats", "dogs")))
    archive = zipped({**good, "dogs/broken.jpg": b"\xff\xd8\xff", "../evil.png": encode(photo(), "PNG")})
    at = upload(open_page(), [("pets.zip", archive)])
    assert sorted(choices(at).uploads.labels) == ["cats", "cats", "dogs", "dogs"]
    assert len(texts(at)) == 2
    assert any("broken.jpg" in text for text in texts(at))
    assert any("evil.png" in text for text in texts(at))


def test_a_file_name_is_shown_as_text():
    name = "![x](http://example.org/x.png).png"
    at = upload(open_page(), [(name, encode(photo(), "PNG")), (f"bad {name}", b"")])
    assert data(at, "shelf")["pictures"][0]["title"] == choices(at).uploads.names[0]
    assert len(texts(at)) == 1
    for page in ("", "feature_maps", "vectors", "transfer"):
        go(at, page)
        assert not at.error
        assert "![x](" not in said(at).replace("\n".join(texts(at)), "")


def test_the_camera():
    at = open_page()
    assert not at.camera_input
    labelled(at.toggle, "Use the camera").set_value(True)
    run(at)
    at.camera_input[0].set_value(("snap.jpg", encode(photo(), "JPEG"), "image/jpeg"))
    run(at)
    assert not at.error
    assert len(choices(at).uploads) == 1
    assert at.query_params["images"] == "uploads"


def test_images_without_labels_are_offered_sets_with_labels():
    at = go(brought(4), "transfer")
    assert "These images have no labels." in said(at)
    press(at, "Use the views")
    assert at.query_params["images"] == "views"
    assert not at.error


def test_the_same_picture_twice_is_two_images_and_one_computation(fresh, passes):
    png = encode(photo(), "PNG")
    at = upload(open_page(), [("0a.png", png), ("0b.png", png), *((f"1 {name}", data) for name, data in pictures(3))])
    passes.clear()
    go(at, "vectors")
    assert not at.error
    assert choices(at).uploads.ids[0] == choices(at).uploads.ids[1]
    assert passes.images() <= 5
    assert values(at, "neighbors")[0] == 1
    nearest = data(at, "neighbors")["pictures"][0]
    assert (nearest["caption"], nearest["note"]) == ("0b", "1.000")


def test_a_picture_taken_out_of_the_widget_leaves_the_set():
    first, second = pictures(2)
    at = upload(open_page(), [first])
    upload(at, [first, second])
    assert len(choices(at).uploads) == 2
    upload(at, [first])
    assert choices(at).uploads.names == (first[0],)


def test_the_same_pictures_in_other_folders_are_probed_again():
    """Results are shared by all people on a server, so the labels belong to what they are kept by."""
    go(brought(8, ("cats", "dogs")), "transfer")
    re_sorted = [(f"{'Anna' if i < 4 else 'Berta'}/{i}.png", data) for i, (_, data) in enumerate(pictures(8))]
    other = go(upload(open_page(layer="head_relu"), re_sorted, "folder"), "transfer")
    confusion = element(other, "plotly_chart", "confusion").proto.spec
    assert "Anna" in confusion
    assert "cats" not in confusion
