"""`python -m tests.benchmarks.many_visitors`: eight people use one real server for five minutes, each as they like.

They walk through the pages, choose, follow links to other networks and upload photographs of their own. It prints how
often pages ran, how long people waited, what they were told meanwhile, and what the server's memory came to.
"""

from __future__ import annotations

import asyncio
import math
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import click

from featlib.text import format_bytes
from tests.benchmarks.photos import make_photos
from tests.browser.server import Server
from tests.browser.visitor import CHROMIUM, FLAGS

LINKS = (
    "/feature_maps?images=photos&image={n}&layer=block4_add",
    "/projection?images=shapes&limit=432&layer=block9_add&method=tsne&perplexity={n}",
    "/layer_probe?images=digits&limit=300&size=96",
    "/vectors?images=views&model=MobileNetV2&weights=random&size=96",
    "/compare?images=views&image={n}&size=128",
    "/transfer?images=views&layer=head_relu&size=160",
    "/preprocessing?image={n}&model=MobileNet&weights=random&size=128",
)
RUNNING = '[data-testid="stApp"][data-test-script-state="running"]'
WORDS = '[data-testid="stSpinner"], [data-testid="stProgress"]'  # what a person is told meanwhile
TURN = ("ahead in the queue", "computed for another visitor")
LOOK = """([running, words]) => [
  document.querySelector(running) !== null,
  [...document.querySelectorAll(words)].map((element) => element.innerText),
]"""
STALLED = 180  # seconds


@dataclass(frozen=True)
class Limits:
    """When a visitor stops.

    Attributes:
        seconds: No action begins later than this after the start.
        actions: How many things to do.
        pause: The most seconds between two of them.
    """

    seconds: float = math.inf
    actions: float = math.inf
    pause: float = 2


@dataclass
class Seen:
    """What all visitors saw together.

    Attributes:
        actions: How often each kind of action was done.
        waits: Seconds from each action until its page was complete.
        turns: Actions whose visitor was told to be in the queue, or that another visitor computes the same.
        silent: The longest that a running page said nothing of what it was doing, in seconds.
        errors: Sentences in red.
        exceptions: Tracebacks, errors of the page's own JavaScript, and pages that never became complete.
        memory: The most resident bytes of the server.
    """

    actions: Counter[str] = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)
    turns: int = 0
    silent: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)
    exceptions: list[str] = field(default_factory=list)
    memory: int = 0

    def __str__(self) -> str:
        waits = sorted(self.waits)
        return (
            f"{len(waits)} waits after {dict(self.actions)}: {len(self.exceptions)} exceptions; "
            f"median {waits[len(waits) // 2]:.1f} s, longest {waits[-1]:.1f} s, {self.turns} told their turn, "
            f"without a word for at most {self.silent:.1f} s; the server took up to {format_bytes(self.memory)}; "
            f"in red: {dict(self.errors)}"
        )


async def visit(page, server: Server, photos: list[str], seen: Seen, limits: Limits, number: int) -> None:
    """One visitor: opens Home, and then does one thing after the other."""
    chance = random.Random(number)
    until, done = time.monotonic() + limits.seconds, 0
    page.on("pageerror", lambda error: seen.exceptions.append(f"visitor {number}: {error}"))
    await page.goto(server.url)
    await settle(page, seen)
    while done < limits.actions and time.monotonic() < until:
        kind = chance.choices(("page", "option", "link", "upload"), (5, 4, 2, 1))[0]
        try:
            await act(page, kind, server, photos, chance)
        except Exception as error:  # noqa: BLE001 - whatever Playwright met is a finding, and the visit goes on
            seen.exceptions.append(f"visitor {number}, {kind}: {str(error).splitlines()[0]}")
        seen.actions[kind] += 1
        done += 1
        await settle(page, seen)
        await asyncio.sleep(chance.uniform(0, limits.pause))


async def act(page, kind: str, server: Server, photos: list[str], chance: random.Random) -> None:
    """Does one thing; what a page does not offer is left."""
    if kind == "link":
        await page.goto(server.url + chance.choice(LINKS).format(n=chance.randrange(5, 10)))
    elif kind == "upload":
        await page.goto(server.url)
        await page.locator('[data-testid="stMain"] input[type="file"]').first.wait_for(state="attached")
        start = chance.randrange(len(photos) - 12)
        files = page.locator('[data-testid="stMain"] input[type="file"]').first
        await files.set_input_files(photos[start : start + 12])
        await asyncio.sleep(1)
    else:
        where = '[data-testid="stSidebar"] [data-testid="stPageLink"] a'
        offered = page.locator(
            where if kind == "page" else '[data-testid="stMain"] [data-testid="stButtonGroup"] button'
        )
        if count := await offered.count():
            await offered.nth(chance.randrange(count)).click(timeout=10_000)


async def settle(page, seen: Seen) -> None:
    """Waits until the page is complete, and notes what was said meanwhile."""
    begun = word = time.monotonic()
    quiet, told = 0, False
    while quiet < 4:
        await asyncio.sleep(0.15)
        now = time.monotonic()
        try:
            running, texts = await page.evaluate(LOOK, [RUNNING, WORDS])
        except Exception:  # noqa: BLE001 - between two documents there is nothing to look at
            running, texts = True, []
        if not running or texts:
            word = now
        seen.silent = max(seen.silent, now - word)
        told = told or any(turn in text for text in texts for turn in TURN)
        quiet = 0 if running or texts else quiet + 1
        if now - begun > STALLED:
            seen.exceptions.append(f"{page.url} was not complete after {STALLED} s")
            break
    seen.waits.append(time.monotonic() - begun)
    seen.turns += told
    seen.exceptions += await page.locator('[data-testid="stException"]').all_inner_texts()
    seen.errors.update(await page.locator('[data-testid="stAlertContentError"]').all_inner_texts())


async def use(server: Server, photos: list[str], visitors: int, limits: Limits) -> Seen:
    """Lets the visitors use the server until each has reached a limit."""
    from playwright.async_api import async_playwright

    seen = Seen()

    async def watch() -> None:
        while True:
            seen.memory = max(seen.memory, server.memory())
            await asyncio.sleep(1)

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        pages = [await (await browser.new_context()).new_page() for _ in range(visitors)]
        watching = asyncio.create_task(watch())
        await asyncio.gather(*(visit(page, server, photos, seen, limits, i) for i, page in enumerate(pages)))
        watching.cancel()
    return seen


def measure(visitors: int, limits: Limits) -> Seen:
    """Starts a server and lets visitors use it."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(FEATLIB_HOME=f"{folder}/home")
        try:
            seen = asyncio.run(use(server, make_photos(Path(folder) / "photos", 60), visitors, limits))
            seen.exceptions += server.alarms()
        finally:
            server.stop()
    return seen


@click.command()
@click.option("--visitors", default=8, show_default=True)
@click.option("--minutes", default=5.0, show_default=True)
def main(visitors: int, minutes: float) -> None:
    """Let people use a server, and exit with 1 if anything went wrong."""
    seen = measure(visitors, Limits(seconds=60 * minutes))
    print(f"{visitors} visitors for {minutes:g} minutes: {seen}")
    print(*seen.exceptions, sep="\n")
    sys.exit(bool(seen.exceptions))


if __name__ == "__main__":
    main()
