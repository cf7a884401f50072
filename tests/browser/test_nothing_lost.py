"""What a visitor brings survives a reload, a second tab and leaving, and is nobody else's; a folder link is a view."""

from __future__ import annotations

import copy
import time

import keras
import pytest
from keras import layers

from tests.app.uploading import pictures
from tests.browser.server import Server
from tests.browser.visitor import Visitor
from tests.images.corpus import zipped

SHELF = "elements => elements.map(e => e.title).filter(title => /^[^:]*[.]png$/.test(title))"


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A folder to open: two classes of four images, and a model that takes a moment to check."""
    root = tmp_path_factory.mktemp("open") / "course"
    for name, png in pictures(8, ("cats", "dogs")):
        (root / "pets" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "pets" / name).write_bytes(png)
    image = layers.Input((32, 32, 3), name="image")
    x = layers.GlobalAveragePooling2D(name="gap")(layers.Conv2D(6, 3, strides=2, name="conv")(image))
    answer = layers.Dense(2, activation="softmax", name="answer")(x)
    keras.Model(image, answer, name="pets").save(root / "pets.keras")
    return root


@pytest.fixture(scope="module")
def class_server(course):
    server = Server(FEATLIB_DATA=str(course))
    yield server
    server.stop()


@pytest.fixture
def other(chromium):
    other = Visitor(chromium)
    yield other
    other.page.context.close()


def shelf(visitor):
    """The names of the images to pick from."""
    visitor.settle()
    visitor.assert_no_exception()
    return visitor.page.locator("button").evaluate_all(SHELF)


def expand(visitor):
    visitor.page.get_by_text("Use your own images").click()


def test_uploads_are_found_again_by_their_visitor_only(class_server, visitor, other, tmp_path):
    archive = tmp_path / "pets.zip"
    archive.write_bytes(zipped(dict(pictures(8, ("cats", "dogs")))))
    visitor.open(class_server.url)
    expand(visitor)
    visitor.page.get_by_role("tab", name="Files or a zip").click()
    visitor.page.locator('input[type="file"]').first.set_input_files([archive])
    visitor.see("8 of your own images are loaded, labeled by folder")
    names = shelf(visitor)
    assert len(names) == 8
    link = visitor.page.url
    key = visitor.query()["upload"]

    visitor.page.reload()
    assert shelf(visitor) == names
    tab = copy.copy(visitor)
    tab.page = visitor.page.context.new_page()
    tab.open(link.replace("/?", "/feature_maps?"))
    assert shelf(tab) == names
    visitor.page.goto("about:blank")
    visitor.page.go_back()
    assert shelf(visitor) == names

    other.open(class_server.url + "/feature_maps?images=uploads")
    assert other.page.get_by_text("The images of this link are not on this server").count() == 1
    assert "Your images" not in other.page.get_by_test_id("stSidebar").inner_text()
    assert not set(shelf(other)) & set(names)
    other.open(link)  # handed over whole
    assert shelf(other) == names

    expand(visitor)
    visitor.page.get_by_role("button", name="Forget my images").click()
    visitor.settle()
    assert "upload" not in visitor.query()
    other.page.reload()
    other.settle()
    assert other.page.get_by_text("were deleted by “Forget”").count() == 1
    assert not set(shelf(other)) & set(names)
    assert key not in class_server.log()


SHORT = """
from functools import partial
from featlib.ui import uploads
uploads.UploadStore, uploads.SWEEP_SECONDS = partial(uploads.UploadStore, keep_seconds=3), 1
"""


def test_what_is_in_use_stays_and_the_end_of_the_last_visit_starts_its_hour(visitor, other):
    server = Server(before=SHORT)
    try:
        visitor.open(server.url)
        expand(visitor)
        visitor.page.get_by_role("tab", name="Files or a zip").click()
        [(name, png)] = pictures(1)
        file = {"name": name, "mimeType": "image/png", "buffer": png}
        visitor.page.locator('input[type="file"]').first.set_input_files([file])
        visitor.see("1 of your own images is loaded")
        visitor.settle()
        link = visitor.page.url
        time.sleep(6)
        other.open(link)
        assert shelf(other) == [name]
        visitor.page.close()
        time.sleep(6)
        other.page.reload()
        assert shelf(other) == [name]
        other.page.goto("about:blank")
        time.sleep(6)
        other.open(link)
        other.see("were deleted an hour after their last visit")
        assert not server.alarms()
    finally:
        server.stop()


def test_a_link_into_an_open_folder_is_the_same_view_in_a_fresh_browser(class_server, course, visitor, other):
    page = visitor.page
    visitor.open(class_server.url + "/?layer=block4_add")
    expand(visitor)
    page.get_by_role("combobox", name="In “course”").click()
    page.get_by_role("option", name="pets/ · 2 folders").click()
    visitor.settle()
    page.get_by_role("button", name="Use course/pets").click()
    visitor.see("8 images of course/pets are in use, labeled by folder")
    names = shelf(visitor)
    page.get_by_role("button", name=names[5]).click()
    visitor.settle()
    page.get_by_test_id("stSidebar").get_by_role("link", name="Feature maps", exact=True).click()
    visitor.settle()
    assert visitor.query().items() >= {"images": "folder:course/pets", "image": "5"}.items()
    other.open(page.url)
    assert shelf(other) == shelf(visitor) == names
    assert other.page.get_by_test_id("stMain").inner_text() == page.get_by_test_id("stMain").inner_text()
    assert str(course.parent) not in page.content()


def test_a_link_loads_no_model_and_the_page_says_what_is_being_checked(class_server, visitor, other):
    visitor.open(class_server.url + "/layers?model=own&own=folder:course/pets.keras")
    visitor.see("The link asks for the model file 'course/pets.keras'")
    visitor.page.get_by_role("button", name="Load it").click()
    checking = visitor.see("Checking “course/pets.keras”")
    assert checking.locator("xpath=ancestor::*[@data-testid='stMain']").count() == 1
    visitor.settle()
    visitor.see("pets.keras, 182 parameters")
    other.open(visitor.page.url)
    other.see("pets.keras, 182 parameters")


def test_a_refused_model_leaves_the_one_before(class_server, visitor, course, tmp_path):
    evil = tmp_path / "evil.keras"
    evil.write_bytes(b"PK\x03\x04 this is no model")
    visitor.open(class_server.url + "/layers?model=own")
    upload = visitor.page.get_by_test_id("stSidebar").locator('input[type="file"]')
    upload.set_input_files([course / "pets.keras"])
    visitor.see("pets.keras, 182 parameters")
    visitor.settle()
    address = visitor.page.url
    upload.set_input_files([evil])
    visitor.see("'evil.keras' cannot be used")
    visitor.settle()
    assert visitor.page.url == address
    visitor.see("pets.keras, 182 parameters")
    visitor.page.reload()
    visitor.see("pets.keras, 182 parameters")
    visitor.settle()
