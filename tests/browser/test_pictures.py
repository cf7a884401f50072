"""The README's pictures show the app as it is: their content is compared, not their pixels.

Fonts, and the last digits of a t-SNE map, differ between machines. `--update-pictures` takes the pictures again.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image

PICTURES = Path(__file__).parent / "pictures"
VIEWS = {
    "feature_maps": ("/feature_maps?images=photos&image=3&layer=block10_add&channel=7&sort=max", "light"),
    "projection": ("/projection?images=views&layer=head_relu&method=tsne&perplexity=10", "dark"),
    "home": ("/?images=photos&image=0", "light"),
}
TOUR = (
    "/?images=photos&image=3",
    "/feature_maps?images=photos&image=3&layer=block2_add&channel=7",
    "/feature_maps?images=photos&image=3&layer=block10_add&channel=7&sort=max",
    "/projection?images=views&layer=block2_add&method=tsne&perplexity=10",
    "/projection?images=views&layer=block10_add&method=tsne&perplexity=10",
    "/projection?images=views&layer=head_relu&method=tsne&perplexity=10",
)
WIDTH = 1100
SIZE_TOLERANCE = 0.05  # of a picture's or a plot's width and height

# What a person sees on the first screen: headings, buttons, and the sizes of images and plots.
CONTENT = """() => {
  const main = document.querySelector('[data-testid="stMain"]');
  const seen = (element) => {
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.top + box.height / 2 < window.innerHeight;  // an edge is seen or not by a pixel
  };
  const texts = (selector) => [...main.querySelectorAll(selector)].filter(seen).map((e) => e.innerText.trim());
  const sizes = (selector) => [...main.querySelectorAll(selector)].filter(seen).map((e) => {
    const box = e.getBoundingClientRect();
    return [Math.round(box.width), Math.round(box.height)];
  });
  return {
    headings: texts('h1, h2, h3'),
    labels: texts('[data-testid="stWidgetLabel"]'),
    pictures: [...main.querySelectorAll('img')].filter(seen).map((e) => e.alt),
    pictureSizes: sizes('img'),
    plotSizes: sizes('.js-plotly-plot'),
  };
}"""


@pytest.mark.parametrize("name", VIEWS)
def test_the_picture_shows_the_page_as_it_is(server, visitor, dark_visitor, name, request):
    link, scheme = VIEWS[name]
    person = visitor if scheme == "light" else dark_visitor
    person.open(server.url + link)
    person.assert_no_exception()
    person.page.mouse.move(5, 5)
    found = person.page.evaluate(CONTENT)
    taken = screenshot(person.page, WIDTH)
    picture, content = PICTURES / f"{name}.webp", PICTURES / f"{name}.json"
    if request.config.getoption("--update-pictures"):
        taken.save(picture, quality=82, method=6)
        content.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    shown = json.loads(content.read_text(encoding="utf-8"))
    hint = "the page has changed: run pytest tests/browser -m slow --update-pictures and look at the pictures"
    for kind in ("headings", "labels", "pictures"):
        assert found[kind] == shown[kind], hint
    for kind in ("pictureSizes", "plotSizes"):
        assert len(found[kind]) == len(shown[kind]), hint
        for size, before in zip(found[kind], shown[kind], strict=True):
            assert size == pytest.approx(before, rel=SIZE_TOLERANCE, abs=4), hint
    assert Image.open(picture).size == taken.size


def test_the_animation_is_there_and_small(server, visitor, request):
    path = PICTURES / "tour.webp"
    if request.config.getoption("--update-pictures"):
        frames = []
        for link in TOUR:
            visitor.open(server.url + link)
            visitor.assert_no_exception()
            visitor.page.mouse.move(5, 5)
            frames.append(screenshot(visitor.page, 900))
        options = {"duration": 2200, "loop": 0, "quality": 75, "method": 6}
        frames[0].save(path, save_all=True, append_images=frames[1:], **options)
    assert path.stat().st_size < 1_000_000
    assert Image.open(path).n_frames == len(TOUR)


def screenshot(page, width: int) -> Image.Image:
    taken = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    return taken.resize((width, round(taken.height * width / taken.width)), Image.Resampling.LANCZOS)
