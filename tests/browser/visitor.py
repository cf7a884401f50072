"""A user with a real Chromium."""

from __future__ import annotations

import shutil
import time
from urllib.parse import parse_qsl, urlparse

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]

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

TIMEOUT = 60_000  # ms; a slow machine is no fault


class Visitor:
    """A user with a browser, who opens a page, waits until it is complete, and looks for errors."""

    def __init__(self, browser, scheme: str = "light") -> None:
        context = browser.new_context(viewport={"width": 1400, "height": 900}, color_scheme=scheme)
        context.set_default_timeout(TIMEOUT)
        self.page = context.new_page()
        self.requests: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, url: str) -> None:
        self.page.goto(url)
        self.settle()

    def settle(self) -> None:
        """Wait until the script has finished, nothing is being computed, and every element is drawn."""
        running = '[data-testid="stApp"][data-test-script-state="running"], [data-testid="stSpinner"]'
        running += ', [data-testid="stSkeleton"], [data-testid="stAppSkeleton"]'  # an element's script is on its way
        self.page.wait_for_selector('[data-testid="stApp"]')
        quiet = 0
        for _ in range(1200):
            quiet = 0 if self.page.locator(running).count() else quiet + 1
            if quiet >= 10:
                return
            time.sleep(0.1)
        raise AssertionError("The page did not come to rest within two minutes.")

    def see(self, text: str):
        """Wait for the element that shows the text."""
        found = self.page.get_by_text(text).first
        found.wait_for()
        return found

    def assert_no_exception(self) -> None:
        boxes = self.page.locator('[data-testid="stException"]').all_inner_texts()
        assert not boxes, boxes
        assert not self.errors, self.errors

    def assert_all_is_seen(self) -> None:
        """Nothing sticks out of the page or is cut off, and no picture lacks a text."""
        assert self.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        main = self.page.get_by_test_id("stMain")
        assert main.evaluate("main => main.scrollWidth - main.clientWidth") <= 0
        assert self.page.evaluate(MISSED) == []
        assert self.page.locator("img:not([alt]), img[alt='']").count() == 0

    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlparse(self.page.url).query))
