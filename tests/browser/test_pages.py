"""Each page in a real browser: by link, with the mouse, the keyboard and files."""

from __future__ import annotations

import time
from urllib.parse import urlparse

import pytest

LINKS = {
    "/": "See what a convolutional network sees",
    "/layers?layer=block10_add": "What is inside the network?",
    "/feature_maps?images=photos&image=3&layer=block10_add&channel=7": "What does each channel respond to?",
    "/vectors?images=views&layer=head_relu": "What is an image to the network?",
    "/projection?images=views&layer=head_relu&method=tsne&perplexity=12": "Do similar pictures end up together?",
    "/layer_probe?images=views&size=96": "Which layer is best for these images?",
    "/preprocessing?images=photos&image=4&wrong=caffe&size=96": "Why are my features no good?",
    "/compare?images=views&image=3&layer=block9_add&size=96": "What has training added?",
    "/transfer?images=views&layer=block4_add&size=96": "What can be learned from frozen features?",
}

SCREENS = ({"width": 1280, "height": 720}, {"width": 390, "height": 844})


@pytest.mark.parametrize("link", LINKS)
def test_a_link_works_when_opened_first_and_all_is_seen_from_desk_to_phone(server, visitor, link):
    check_link(server, visitor, link)
    for size in SCREENS:
        visitor.page.set_viewport_size(size)
        visitor.settle()
        visitor.assert_all_is_seen()


def test_home_shows_its_frame_before_tensorflow(fresh_server, visitor):
    assert_the_frame_is_there_before_tensorflow(fresh_server, visitor)
    check_link(fresh_server, visitor, "/")


def check_link(server, visitor, link):
    visitor.open(server.url + link)
    visitor.see(LINKS[link])
    visitor.assert_no_exception()
    assert not visitor.page.locator('[data-testid="stAlertContentError"]').count()
    asked = dict(part.split("=") for part in urlparse(link).query.split("&") if part)
    assert visitor.query().items() >= asked.items()
    visitor.see("The code")
    outside = [url for url in visitor.requests if url.startswith("http") and urlparse(url).hostname != "localhost"]
    assert not outside, "everything comes from this machine"
    assert not server.alarms()


def assert_the_frame_is_there_before_tensorflow(server, visitor):
    start = time.perf_counter()
    visitor.page.goto(server.url + "/")
    visitor.see("Nothing you load leaves this machine.")
    visitor.see("coffee")  # the photos to choose from
    frame = time.perf_counter() - start
    assert not visitor.page.get_by_text("Top 5").count(), "the network is not there yet"
    visitor.see("Starting TensorFlow")
    visitor.see("as the network sees it")
    print(f"frame after {frame:.1f} s, prediction after {time.perf_counter() - start:.1f} s")


def test_the_old_plot_stays_marked_while_the_new_one_is_computed(server, visitor):
    visitor.open(server.url + "/projection?images=shapes&limit=432&layer=head_relu&method=pca&size=96")
    assert visitor.page.locator(".js-plotly-plot").count() == 1
    mark = "getComputedStyle(document.querySelector('.st-key-plot'), '::before').content"
    assert visitor.page.evaluate(mark) == "none"
    visitor.page.get_by_text("t-SNE", exact=True).click()
    seen_at_work, marks = 0, set()
    for _ in range(400):
        if visitor.page.locator('[data-testid="stProgress"]:visible').count():
            plots, found = visitor.page.locator(".js-plotly-plot:visible").count(), visitor.page.evaluate(mark)
            if visitor.page.locator('[data-testid="stProgress"]:visible').count():
                seen_at_work += 1
                assert plots == 1, "the old plot is there until the new one is"
                marks.add(found)
        elif seen_at_work:
            break
        time.sleep(0.05)
    assert seen_at_work, "the work was long enough to be seen"
    assert any("Outdated" in found for found in marks)
    visitor.settle()
    assert visitor.page.evaluate(mark) == "none"
    assert "t-SNE" in visitor.page.get_by_test_id("stPlotlyChart").get_attribute("aria-label")


def test_a_layer_is_picked_in_the_table(server, visitor):
    visitor.open(server.url + "/layers")
    table = visitor.page.get_by_test_id("stDataFrame")
    box = table.bounding_box()
    row_height = 35
    table.locator("canvas").first.wait_for()
    visitor.settle()
    top = visitor.page.evaluate("document.querySelector('.dvn-scroller').scrollTop")
    chosen = 42  # the row of block4_add
    seen = min(box["height"], visitor.page.viewport_size["height"] - box["y"]) - 2 * row_height
    assert top < chosen * row_height < top + seen, "the table is scrolled to the chosen layer"
    visitor.page.evaluate("document.querySelector('.dvn-scroller').scrollTop = 0")
    visitor.page.wait_for_timeout(500)  # it is drawn again
    visitor.page.mouse.click(box["x"] + 300, box["y"] + row_height * 3.5)  # the third row, on its name
    visitor.see("stem_bn (BatchNormalization)")
    visitor.settle()
    assert visitor.query()["layer"] == "stem_bn"
    visitor.page.get_by_role("link", name="Its feature maps").click()
    visitor.see("channel 0 of stem_bn")


def test_a_channel_is_enlarged_by_a_click_and_by_keyboard(server, visitor):
    visitor.open(server.url + "/feature_maps?images=photos&image=3&layer=block10_add")
    visitor.page.get_by_role("button", name="Channel 7:").click()
    visitor.see("channel 7 of block10_add: 14 × 14 positions")
    visitor.settle()
    assert visitor.query()["channel"] == "7"
    assert visitor.page.get_by_role("button", name="Channel 7:").get_attribute("aria-pressed") == "true"
    visitor.page.get_by_role("button", name="Channel 9:").focus()
    visitor.page.keyboard.press("Enter")
    visitor.see("channel 9 of block10_add")
    visitor.settle()
    visitor.page.keyboard.press("Tab")
    visitor.page.keyboard.press("Enter")
    visitor.see("channel 10 of block10_add")
    visitor.assert_no_exception()


def test_on_a_phone_the_maps_come_before_the_large_pictures(server, visitor):
    visitor.open(server.url + "/feature_maps?image=3&layer=block10_add&channel=100")
    tops = {}
    for width in (1400, 390):
        visitor.page.set_viewport_size({"width": width, "height": 844})
        visitor.settle()
        places = [visitor.page.get_by_role("button", name="Channel 100:"), visitor.see("channel 100 overlaid")]
        tops[width] = [place.bounding_box()["y"] for place in places]
    assert tops[390][0] < tops[390][1] - 300
    assert abs(tops[1400][0] - tops[1400][1]) < 300, "side by side"


def test_another_photo_is_picked_on_the_shelf(server, visitor):
    visitor.open(server.url)
    visitor.page.get_by_role("button", name="coffee").click()
    visitor.see("coffee as the network sees it")
    visitor.settle()
    assert visitor.query()["image"] == "4"
    chart = visitor.page.locator('[aria-label*="Top 5 predictions"], [alt*="Top 5 predictions"]')
    assert "espresso" in (chart.first.get_attribute("aria-label") or chart.first.get_attribute("alt"))


def test_a_lasso_shows_the_pictures(server, visitor):
    visitor.open(server.url + "/projection?images=views&layer=head_relu&method=pca&tool=lasso")
    plot = visitor.page.locator(".js-plotly-plot .draglayer .nsewdrag").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    corners = [(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98), (0.02, 0.02)]
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    visitor.page.mouse.move(*points[0])
    visitor.page.mouse.down()
    for point in points[1:]:
        visitor.page.mouse.move(*point, steps=12)
    visitor.page.mouse.up()
    visitor.see("120 selected")
    visitor.page.locator(".gallery img").nth(23).wait_for()
    visitor.assert_no_exception()


def test_a_click_on_a_point_shows_its_picture(server, visitor):
    visitor.open(server.url + "/projection?images=photos&layer=head_relu")
    point = visitor.page.locator(".js-plotly-plot .scatterlayer .point").first
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    visitor.page.mouse.move(x - 3, y)
    visitor.page.mouse.move(x, y, steps=3)
    visitor.page.locator(".js-plotly-plot .hoverlayer .hovertext").wait_for(state="attached")
    visitor.page.mouse.click(x, y)
    visitor.see("1 selected")


CAMERA = "document.querySelector('.js-plotly-plot')._fullLayout.scene._scene.getCamera()"


def test_in_space_a_picture_is_picked_from_a_list_and_the_view_stays(server, visitor):
    visitor.open(server.url + "/projection?images=photos&layer=head_relu&dimensions=3")
    visitor.page.locator(".js-plotly-plot canvas").first.wait_for()
    box = visitor.page.locator(".js-plotly-plot").bounding_box()
    x, y = box["x"] + box["width"] / 3, box["y"] + box["height"] / 2
    before = visitor.page.evaluate(CAMERA)
    visitor.page.mouse.move(x, y)
    visitor.page.mouse.down()
    visitor.page.mouse.move(x + 120, y + 20, steps=8)
    visitor.page.mouse.up()
    visitor.settle()
    turned = visitor.page.evaluate(CAMERA)
    assert turned != before, "a drag turns the plot"
    visitor.page.get_by_role("combobox", name="Show picture").fill("chelsea")
    visitor.page.keyboard.press("Enter")
    visitor.see("1 selected")
    visitor.settle()
    assert visitor.page.locator(".gallery img").first.get_attribute("alt").startswith("chelsea")
    assert visitor.page.evaluate(CAMERA) == turned
    visitor.assert_no_exception()


def test_images_are_uploaded_and_the_bad_one_is_named(server, visitor, photos, tmp_path):
    from PIL import Image

    good = tmp_path / "my cat.png"
    Image.fromarray(photos[photos.names.index("chelsea")].pixels).save(good)
    bad = tmp_path / "broken.jpg"
    bad.write_bytes(b"this is no picture")
    visitor.open(server.url)
    visitor.page.get_by_text("Use your own images").click()
    visitor.page.locator('input[type="file"]').first.set_input_files([good, bad])
    visitor.see("my cat.png as the network sees it")
    visitor.see("'broken.jpg'")
    visitor.settle()
    assert visitor.query()["images"] == "uploads"
    visitor.page.get_by_test_id("stSidebar").get_by_role("link", name="Feature maps", exact=True).click()
    visitor.settle()
    assert visitor.page.get_by_role("button", name="my cat.png").count() == 1
    visitor.assert_no_exception()


def test_a_hostile_file_name_stays_text(server, visitor, photos, tmp_path):
    from PIL import Image

    name = "<img src=x onerror=document.title='owned'>.png"
    Image.fromarray(photos[1].pixels).save(tmp_path / name)
    visitor.open(server.url)
    visitor.page.get_by_text("Use your own images").click()
    visitor.page.locator('input[type="file"]').first.set_input_files([tmp_path / name])
    visitor.see("as the network sees it: 224 × 224")
    visitor.see("1 of your own images")
    visitor.settle()
    for page in ("Feature maps", "Vectors"):
        visitor.page.get_by_test_id("stSidebar").get_by_role("link", name=page, exact=True).click()
        visitor.settle()
        assert "owned" not in visitor.page.title()
        visitor.assert_no_exception()


def test_the_link_is_copied_and_the_presenter_view_is_left_again(server, visitor):
    visitor.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visitor.open(server.url + "/feature_maps?image=3&layer=block10_add&upload=a-key")
    visitor.page.get_by_role("button", name="Copy link").click()
    visitor.see("Copied")
    link = visitor.page.evaluate("navigator.clipboard.readText()")
    assert link == f"{server.url}/feature_maps?model=EfficientNetLite0&images=photos&image=3&layer=block10_add"
    visitor.page.get_by_role("button", name="Present").click()
    visitor.settle()
    assert visitor.query()["present"] == "1"
    assert not visitor.page.get_by_test_id("stSidebar").is_visible()
    assert not visitor.page.get_by_text("The code").is_visible()
    visitor.page.get_by_role("button", name="Leave presenter view").click()
    visitor.settle()
    assert visitor.page.get_by_test_id("stSidebar").is_visible()
    assert visitor.page.get_by_text("The code").is_visible()
