"""How the time for an image falls with the number of images, and how memory does not grow."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path

from tests.benchmarks.child import run_child
from tests.benchmarks.ways import Sizes

Points = dict[int, float]
WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 150, 56, 52
COLORS = ("a", "b", "c", "d")
STYLE = """
text{font:13px system-ui,sans-serif;fill:#1f2328} .title{font-weight:600;font-size:15px}
.page{fill:#fff} .grid{stroke:#d1d9e0} path.line{fill:none;stroke-width:2.5}
.a{color:#0969da} .b{color:#1a7f37} .c{color:#bc4c00} .d{color:#8250df}
path.line{stroke:currentColor} circle,text.way{fill:currentColor}
@media (prefers-color-scheme:dark){text{fill:#f0f6fc} .page{fill:#0d1117} .grid{stroke:#3d444d}
.a{color:#4493f8} .b{color:#3fb950} .c{color:#f0883e} .d{color:#ab7df8} text.way{fill:currentColor}}
"""


def measure_growth(
    network: str, folder: Path, sizes: Sizes, runtimes: list[str], tell: Callable[[str], None]
) -> dict[str, Points]:
    """Way -> number of images -> ms per image, the start of the process included; the most with the fastest runtime."""
    found: dict[str, Points] = {}
    for way in ("tutorial loop", *runtimes):
        numbers = sizes.growth_loop if way == "tutorial loop" else sizes.growth
        if way not in ("tutorial loop", runtimes[-1]):
            numbers = numbers[:-1]  # the last one takes minutes
        found[way] = {}
        for n in numbers:
            seconds, _ = run_child(way, network, n, folder)
            found[way][n] = seconds / n * 1e3
            tell(f"growth: {way}, {n:,} images: {found[way][n]:,.1f} ms per image")
    return found


def measure_memory(network: str, folder: Path, sizes: Sizes, runtime: str, tell: Callable[[str], None]) -> Points:
    """Number of images -> peak of memory in bytes."""
    found: Points = {}
    for n in sizes.memory:
        _, found[n] = run_child(runtime, network, n, folder)
        tell(f"memory: {n:,} images: {found[n] / 1e6:,.0f} MB")
    return found


def draw_growth(growth: Mapping[str, Points], title: str) -> str:
    """The plot as an SVG that brings its own background, light or dark as the reader's system is."""
    points = [(n, ms) for line in growth.values() for n, ms in line.items()]
    x_end = max(2, *(n for n, _ in points))
    low, high = (math.log10(end([ms for _, ms in points])) for end in (min, max))
    low, high = math.floor(low * 2) / 2, math.ceil(high * 2) / 2

    def x(n: float) -> float:
        return LEFT + math.log10(n) / math.log10(x_end) * (WIDTH - LEFT - RIGHT)

    def y(ms: float) -> float:
        return HEIGHT - BOTTOM - (math.log10(ms) - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="page" width="{WIDTH}" height="{HEIGHT}" rx="8"/>',
        f'<text class="title" x="{LEFT}" y="26">{escape(title)}</text>',
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">images</text>',
        f'<text x="{LEFT - 8}" y="{TOP - 10}" text-anchor="middle">ms per image</text>',
    ]
    for ms in (m * 10**e for e in range(6) for m in (1, 3)):
        if low <= math.log10(ms) <= high:
            parts.append(f'<path class="grid" d="M{LEFT} {y(ms):.1f}H{WIDTH - RIGHT}"/>')
            parts.append(f'<text x="{LEFT - 8}" y="{y(ms) + 4:.1f}" text-anchor="end">{ms:,}</text>')
    parts += [
        f'<text x="{x(n):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{n:,}</text>'
        for n in sorted({n for n, _ in points})
    ]
    for color, (way, line) in zip(COLORS, growth.items(), strict=False):
        path = "L".join(f"{x(n):.1f} {y(ms):.1f}" for n, ms in line.items())
        parts.append(f'<path class="line {color}" d="M{path}"/>')
        parts += [f'<circle class="{color}" cx="{x(n):.1f}" cy="{y(ms):.1f}" r="3.5"/>' for n, ms in line.items()]
        n, ms = list(line.items())[-1]
        parts.append(
            f'<text class="way {color}" x="{x(n) + 8:.1f}" y="{y(ms) - 8:.1f}">{escape(way)}: {short(ms)} ms</text>'
        )
    return "\n".join([*parts, "</svg>\n"])


def short(number: float) -> str:
    """Three digits, and no exponent."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
