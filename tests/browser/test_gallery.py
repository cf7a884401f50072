"""Pictures lead somewhere, are walked by the keyboard, are saved, and fit on the screen."""

from __future__ import annotations

import io
import re

import pytest
from PIL import Image

SCREENS = ((1280, 720), (1920, 1080))
MAPS = "/feature_maps?images=photos&image=3&layer=block5_expand_relu"
# The element that has the focus, also inside of a component.
FOCUSED = (
    "(() => { let e = document.activeElement; while (e.shadowRoot) e = e.shadowRoot.activeElement; return e.title })()"
)


def saved(visitor, click) -> tuple[str, Image.Image]:
    """The name of the file that a click saves, and the picture in it."""
    with visitor.page.expect_download() as download:
        click()
    return download.value.suggested_filename, Image.open(io.BytesIO(download.value.path().read_bytes()))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures_are_saved_at_double_size_on_the_pages_background(server, visitor, dark_visitor, scheme):
    person = dark_visitor if scheme == "dark" else visitor
    person.open(server.url + MAPS)
    buttons = person.page.get_by_role("button", name="Save picture")
    pictures = [saved(person, buttons.nth(i).click) for i in range(buttons.count())]
    assert {name for name, _ in pictures} == {
        "chelsea_block5_expand_relu_channels.png",
        "chelsea_block5_expand_relu_channel_0.png",
        "chelsea_through_EfficientNetLite0.png",
    }
    chart = person.page.locator(".js-plotly-plot").last
    shown = chart.bounding_box()
    chart.hover()
    pictures.append(saved(person, chart.locator('.modebar-btn[data-title^="Download"]').click))
    assert pictures[-1][0] == "block5_expand_relu_vector.png"
    for side, length in zip(("width", "height"), pictures[-1][1].size, strict=True):
        assert length == pytest.approx(2 * shown[side], abs=4)
    for name, picture in pictures:
        assert picture.convert("RGBA").getextrema()[3] == (255, 255), f"{name} is opaque"
        assert picture.width > 1000
        brightness = max(picture.convert("RGB").getpixel((2, 2)))
        assert brightness < 60 if scheme == "dark" else brightness > 250, name


def test_arrow_keys_walk_through_the_images(server, visitor):
    visitor.open(server.url + "/feature_maps?images=views&image=28")
    visitor.page.get_by_role("button", name="astronaut · top", exact=True).focus()
    visitor.page.keyboard.press("ArrowRight")
    for image in (28, 29, 30):
        name = visitor.page.evaluate(FOCUSED)
        visitor.page.keyboard.press("ArrowRight")
        visitor.page.wait_for_timeout(600)
        visitor.settle()
        assert visitor.query()["image"] == str(image + 1)
        assert visitor.page.evaluate(FOCUSED) != name, "the focus walks along, also to the next page"
    visitor.see("Image (31–60 of 120)")
    visitor.page.keyboard.press("ArrowLeft")
    visitor.page.keyboard.press("ArrowLeft")
    visitor.page.wait_for_timeout(600)
    visitor.settle()
    assert int(visitor.query()["image"]) < 31
    visitor.assert_no_exception()


def test_stages_and_bars_choose_layer_and_channel_and_back_undoes_it(server, visitor):
    visitor.open(server.url + MAPS)
    chart = visitor.page.locator(".js-plotly-plot").last
    chart.scroll_into_view_if_needed()
    plot = chart.locator(".nsewdrag").first.bounding_box()
    x, y = plot["x"] + plot["width"] / 2, plot["y"] + plot["height"] / 2
    visitor.page.mouse.move(x - 4, y)
    visitor.page.mouse.move(x, y, steps=3)
    chart.locator(".hoverlayer .hovertext").first.wait_for(state="attached")
    visitor.page.mouse.click(x, y)
    visitor.settle()
    channel = int(visitor.query()["channel"])
    assert channel == pytest.approx(120, abs=4), "the middle of 240"
    visitor.see(f"channel {channel} of block5_expand_relu")
    visitor.page.get_by_role("button", name="block10_add: 14 × 14 × 112").click()
    visitor.see("of block10_add: 14 × 14 positions")
    visitor.settle()
    assert visitor.query()["layer"] == "block10_add"
    visitor.page.go_back()
    visitor.see(f"channel {channel} of block5_expand_relu")
    visitor.assert_no_exception()


def test_a_misclassified_image_opens_on_feature_maps(server, visitor):
    visitor.open(server.url + "/transfer?images=views&layer=input&size=96")
    wrong = visitor.page.get_by_role("button", name=re.compile(r": \d+% ")).first  # "chelsea · brighter: 68% ihc"
    wrong.scroll_into_view_if_needed()
    name = wrong.locator(".caption").inner_text()
    wrong.click()
    visitor.page.get_by_role("link", name=f"Open “{name}” on Feature maps").click()
    visitor.see("What does each channel respond to?")
    visitor.settle()
    assert visitor.page.locator('button[aria-pressed="true"] .caption').first.inner_text() == name


def test_maps_and_plots_are_on_a_small_screen_and_use_a_large_one(server, visitor):
    def look(page, seen):
        visitor.open(f"{server.url}/{page}?images=views&image=3")
        for width, height in SCREENS:
            visitor.page.set_viewport_size({"width": width, "height": height})
            visitor.settle()
            yield seen(height)

    def maps(height):
        tiles = visitor.page.get_by_role("button", name=re.compile("^Channel "))
        boxes = [tile.bounding_box() for tile in tiles.all()[:12]]
        assert sum(box["y"] + box["height"] < height for box in boxes) >= 6, "a row of maps is seen without scrolling"
        return tiles.first.locator("xpath=..").bounding_box()["width"]

    def plot(height):
        box = visitor.page.locator(".js-plotly-plot").bounding_box()
        assert min(height, box["y"] + box["height"]) - box["y"] > 0.45 * height
        return box["width"]

    for page, seen in {"feature_maps": maps, "projection": plot}.items():
        small, large = look(page, seen)
        assert large > 1.4 * small, page
