"""The pages about what goes in and about two networks, as a person meets them."""

from __future__ import annotations

from urllib.parse import urlparse

import pytest

LINKS = {
    "/preprocessing?images=photos&image=4&wrong=caffe&size=96": "Why are my features no good?",
    "/compare?images=photos&image=3&layer=block9_add&size=96": "What has training added?",
}


@pytest.mark.parametrize("link", LINKS)
def test_no_error_and_nothing_sticks_out(server, visitor, link):
    visitor.open(server.url + link)
    visitor.see(LINKS[link])
    visitor.see("The code")
    visitor.assert_no_exception()
    assert not visitor.page.locator('[data-testid="stAlertContentError"]').count()
    asked = dict(part.split("=") for part in urlparse(link).query.split("&"))
    assert visitor.query().items() >= asked.items()
    assert visitor.page.locator("img:not([alt]), img[alt='']").count() == 0
    for width in (1400, 390):
        visitor.page.set_viewport_size({"width": width, "height": 844})
        visitor.settle()
        assert visitor.page.evaluate("document.documentElement.scrollWidth") <= width
        assert _sticking_out(visitor.page) == []
    assert not server.alarms()


def _sticking_out(page) -> list[str]:
    """What reaches beyond the main part of the page; parts that scroll by themselves may."""
    return page.evaluate("""() => {
      const main = document.querySelector('[data-testid="stMainBlockContainer"]');
      const right = main.getBoundingClientRect().right;
      const parts = main.querySelectorAll('img, .js-plotly-plot, [data-testid="stMetric"], [data-testid="stMarkdown"]');
      const beyond = [...parts].filter((part) => part.getBoundingClientRect().right > right + 1);
      return beyond.map((part) => part.outerHTML.slice(0, 120));
    }""")


def test_another_wrong_preprocessing_is_picked(server, visitor):
    visitor.open(server.url + "/preprocessing?size=96")
    visitor.page.get_by_role("combobox", name="What if the pixels").fill("BGR")
    visitor.page.keyboard.press("Enter")
    visitor.see("preprocessing “caffe”")
    visitor.settle()
    assert visitor.query()["wrong"] == "caffe"
    visitor.assert_no_exception()
