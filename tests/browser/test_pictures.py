"""The README's pictures: taken here, so that they show the app as it is. `pytest --update-pictures` writes them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PICTURES = Path(__file__).parent / "pictures"
VIEWS = {
    "feature_maps": ("/feature_maps?images=photos&image=3&layer=block10_add&channel=7&sort=max", "light"),
    "projection": ("/projection?images=views&layer=head_relu&method=tsne&perplexity=10", "dark"),
    "home": ("/?images=photos&image=0", "light"),
}
WIDTH = 1100
CELL = 12  # pixels; smaller differences than a cell do not count
CHANGED = 0.12  # a cell that differs by more, 0..1, has changed
TOLERANCE = 0.08  # share of changed cells: fonts differ between machines


@pytest.mark.parametrize("name", VIEWS)
def test_the_picture_shows_the_page_as_it_is(server, visitor, dark_visitor, name, request):
    link, scheme = VIEWS[name]
    person = visitor if scheme == "light" else dark_visitor
    person.open(server.url + link)
    person.assert_no_exception()
    person.page.mouse.move(5, 5)
    taken = Image.open(io.BytesIO(person.page.screenshot())).convert("RGB")
    taken = taken.resize((WIDTH, round(taken.height * WIDTH / taken.width)), Image.Resampling.LANCZOS)
    path = PICTURES / f"{name}.webp"
    if request.config.getoption("--update-pictures"):
        taken.save(path, quality=82, method=6)
    kept = Image.open(path).convert("RGB")
    assert kept.size == taken.size
    hint = "the page has changed: run pytest tests/browser --update-pictures and look at it"
    assert changed_share(kept, taken) < TOLERANCE, hint


def test_other_pages_and_blank_ones_are_told_apart():
    kept = [Image.open(PICTURES / f"{name}.webp").convert("RGB") for name in VIEWS]
    for i, picture in enumerate(kept):
        blank = Image.new("RGB", picture.size, picture.getpixel((picture.width // 2, 12)))
        for other in [blank, *kept[:i], *kept[i + 1 :]]:
            assert changed_share(picture, other) > TOLERANCE


def changed_share(one: Image.Image, two: Image.Image) -> float:
    """Share of the cells that show something in either picture and differ between the two, 0..1."""
    a, b = _cells(one), _cells(two)
    drawn = (np.abs(a - np.median(a, axis=(0, 1))) > 0.04).any(-1) | (np.abs(b - np.median(b, axis=(0, 1))) > 0.04).any(
        -1
    )
    return float((np.abs(a - b).max(-1) > CHANGED)[drawn].mean())


def _cells(image: Image.Image) -> np.ndarray:
    small = image.resize((image.width // CELL, image.height // CELL), Image.Resampling.BOX)
    return np.asarray(small, float) / 255
