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
TOLERANCE = 0.06  # mean difference, 0..1: fonts differ between machines, a changed page differs by more


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
    difference = np.abs(_blurred(kept) - _blurred(taken)).mean()
    assert difference < TOLERANCE, "the page has changed: run pytest tests/browser --update-pictures and look at it"


def _blurred(image: Image.Image) -> np.ndarray:
    return np.asarray(image.resize((image.width // 12, image.height // 12), Image.Resampling.BOX), float) / 255
