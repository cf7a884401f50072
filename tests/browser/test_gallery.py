"""Pictures lead somewhere, are walked by the keyboard, are saved, and fit on the screen."""

from __future__ import annotations

import io
import re

import pytest
from PIL import Image

MAPS = "/feature_maps?images=photos&image=3&layer=block5_expand_relu"
# The element that has the focus, also inside of a component.
FOCUSED = (
    "(() => { let e = document.activeElement; while (e.shadowRoot) e = e.shadowRoot.activeElement; return e.title })()"
)
PAGES = (
    "",
    "preprocessing",
    "layers",
    "feature_maps",
    "vectors",
    "projection?images=views",
    "layer_probe?images=views",
)
PAGES += ("compare?images=views", "transfer?images=views")
# What a reader misses: text that sticks out of its chart or does not fit into its line, and what a chart's buttons
# cover.
MISSED = """() => {
  const found = [];
  const inside = (a, b) =>
    a.left >= b.left - 1 && a.right <= b.right + 1 && a.top >= b.top - 1 && a.bottom <= b.bottom + 1;
  const apart = (a, b) => a.right < b.left + 1 || a.left > b.right - 1 || a.bottom < b.top + 2 || a.top > b.bottom - 1;
  for (const chart of document.querySelectorAll(".js-plotly-plot")) {
    const box = chart.getBoundingClientRect(), bar = chart.querySelector(".modebar").getBoundingClientRect();
    for (const part of chart.querySelectorAll("text, .nsewdrag")) {
      const place = part.getBoundingClientRect();
      if (!place.width) continue;
      if (!inside(place, box)) found.push(`cut off by its chart: ${part.textContent}`);
      if (!apart(place, bar)) found.push(`below the buttons: ${part.textContent || "the plot"}`);
    }
  }
  const look = (root) => {
    for (const element of root.querySelectorAll("*")) {
      if (element.shadowRoot) look(element.shadowRoot);
      const shortened = getComputedStyle(element).textOverflow === "ellipsis" && element.innerText;
      if (shortened && element.scrollWidth > element.clientWidth + 1) found.push(`cut off: ${element.innerText}`);
    }
  };
  look(document.querySelector('[data-testid="stMain"]'));
  return found;
}"""


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


@pytest.mark.parametrize("page", ["transfer?images=views&layer=block4_add&size=96", MAPS.lstrip("/")])
def test_no_text_is_cut_off_and_no_button_of_a_chart_covers_it(server, visitor, page):
    visitor.page.set_viewport_size({"width": 1280, "height": 720})
    visitor.open(f"{server.url}/{page}")
    assert visitor.page.locator(".js-plotly-plot .modebar").count() >= 2
    assert visitor.page.evaluate(MISSED) == []


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
    sizes = {}
    for width, height in ((1280, 720), (1920, 1080)):
        visitor.page.set_viewport_size({"width": width, "height": height})
        visitor.open(server.url + "/feature_maps?images=views&image=3")
        tiles = visitor.page.get_by_role("button", name=re.compile("^Channel "))
        boxes = [tile.bounding_box() for tile in tiles.all()[:12]]
        assert sum(box["y"] + box["height"] < height for box in boxes) >= 6, "a row of maps is seen without scrolling"
        sizes[width] = tiles.first.locator("xpath=..").bounding_box()["width"]
        visitor.open(server.url + "/projection?images=views")
        plot = visitor.page.locator(".js-plotly-plot").bounding_box()
        assert min(height, plot["y"] + plot["height"]) - plot["y"] > 0.45 * height
    assert sizes[1920] > 1.5 * sizes[1280]


def test_nothing_scrolls_sideways_or_is_cut_off_on_a_phone(server, visitor):
    visitor.page.set_viewport_size({"width": 390, "height": 844})
    for page in PAGES:
        visitor.open(f"{server.url}/{page}")
        assert visitor.page.evaluate("document.documentElement.scrollWidth") <= 390, page
        main = visitor.page.get_by_test_id("stMain")
        assert main.evaluate("e => e.scrollWidth - e.clientWidth") <= 0, page
        assert visitor.page.evaluate(MISSED) == [], page
        visitor.assert_no_exception()
