"""Write the results as Markdown, for a terminal and for the README of this folder."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from featlib.images import resizer_name
from tests.benchmarks.goals import (
    GOALS,
    LOOK_RUNS,
    LOOK_SECONDS,
    MEDIAN_COSINE,
    MEMORY_BYTES,
    MEMORY_RATIO,
    MIN_COSINE,
    PARTS,
)
from tests.benchmarks.growth import Points, short
from tests.benchmarks.looking import Looked
from tests.benchmarks.measure import Times, ratios

PICTURE = "growth.svg"
HEAD = """# Benchmarks

How fast featlib is compared with the ways in which people extract features. Written by

```
python -m tests.benchmarks --update-readme    # needs an idle machine; --quick shows whether it works
```

Numbers are times per image of the old way → of featlib, and their ratio. What misses its requirement is marked.
"""


@dataclass
class Results:
    """The measurements; what was not requested is empty. `processes` is the network of memory and growth."""

    title: str = ""
    weights: dict[str, str] = field(default_factory=dict)
    times: dict[str, Times] = field(default_factory=dict)
    processes: str = ""
    cosines: dict[str, np.ndarray] = field(default_factory=dict)
    looked: dict[str, Looked] = field(default_factory=dict)
    memory: Points = field(default_factory=dict)
    growth: dict[str, Points] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the medians in ms per image, and the ratios of the goals."""
        return {
            "title": self.title,
            "ms": {
                network: {way: float(np.median(found)) * 1e3 for way, found in times.items()}
                for network, times in self.times.items()
            },
            "ratios": {
                network: {
                    f"{goal.way} / {goal.against}": ratios(*_pair(goal, times))
                    for goal in GOALS
                    if goal.way in times and goal.against in times
                }
                for network, times in self.times.items()
            },
            "cosines": {
                network: [float(found.min()), float(np.median(found))] for network, found in self.cosines.items()
            },
            "looking": {
                network: [looked.first_runs, looked.further_runs, float(looked.further.max()) * 1e3]
                for network, looked in self.looked.items()
            },
            "memory": self.memory,
            "growth": self.growth,
        }


def about(photos: int, repeats: int, weights: Mapping[str, str]) -> str:
    """Describe the machine, date, versions and method in one paragraph."""
    versions = ", ".join(f"{name} {found}" for name in ("tensorflow", "keras", "openvino") if (found := _version(name)))
    trained = ", ".join(f"{network} {kind}" for network, kind in weights.items())
    return (
        f"{_processor()}, {os.cpu_count()} cores, {platform.system()}; {date.today():%Y-%m-%d}; Python "
        f"{platform.python_version()}, {versions}. {photos} JPEGs of 1000 × 750 pixels, global average pooling of the "
        f"last layer at 224 pixels; weights: {trained}; resizer: {resizer_name()}. Medians of {repeats} repeats, all "
        "ways interleaved in one process; in brackets the smallest and largest ratio of a repeat. The system's file "
        "cache is warm for all."
    )


def markdown(results: Results) -> str:
    """Write everything as Markdown."""
    parts = [results.title]
    networks = list(results.times) or list(results.cosines) or list(results.looked)
    rows = [*_goal_rows(results), *_cosine_rows(results), *_look_rows(results)]
    if rows:
        parts.append(_table(["per image", "required", "aim", *networks], rows))
    if results.memory:
        parts.append(_memory(results.memory, results.processes))
    rows = list(_part_rows(results.times))
    if rows:
        parts.append("Where the time goes, ms per image, each part by itself on all cores:")
        parts.append(_table(["each alone", *networks], rows))
    return "\n\n".join(parts)


def update_readme(folder: Path, text: str, minutes: float) -> None:
    """Write the README of this folder."""
    took = f"The whole run took {minutes:.0f} minutes."
    (folder / "README.md").write_text(f"{HEAD}{took}\n\n{text}\n", encoding="utf-8")


def growth_picture(growth: Mapping[str, Points], network: str) -> str:
    """Link the plot, with its numbers as alternative text."""
    said = "; ".join(
        f"{way} {', '.join(f'{n:,}: {short(ms)}' for n, ms in line.items())}" for way, line in growth.items()
    )
    return f"![{network}: milliseconds per image by the number of images, start included. {said}]({PICTURE})"


def _goal_rows(results: Results) -> Iterator[list[str]]:
    for goal in GOALS:
        if any(goal.way in times and goal.against in times for times in results.times.values()):
            cells = (_goal_cell(goal, times) for times in results.times.values())
            yield [goal.title, goal.wanted(goal.required), goal.wanted(goal.aim), *cells]


def _goal_cell(goal: Any, times: Times) -> str:
    if goal.way not in times or goal.against not in times:
        return "not installed"
    ratio, low, high = ratios(*_pair(goal, times))
    verdict = f"{ratio:.3g}× ({low:.3g}–{high:.3g})"
    if goal.required is not None and not goal.reached(ratio, goal.required):
        verdict = f"**missed: {verdict}**"
    elif goal.aim is not None and goal.reached(ratio, goal.aim):
        verdict += ", aim reached"
    return f"{_ms(times[goal.against])} → {_ms(times[goal.way])}: {verdict}"


def _pair(goal: Any, times: Times) -> tuple[np.ndarray, np.ndarray]:
    pair = times[goal.against], times[goal.way]
    return pair if goal.faster else pair[::-1]


def _cosine_rows(results: Results) -> Iterator[list[str]]:
    if results.cosines:
        cells = (
            _missed(
                f"{found.min():.5f}, median {np.median(found):.5f}",
                found.min() >= MIN_COSINE and np.median(found) >= MEDIAN_COSINE,
            )
            for found in results.cosines.values()
        )
        required = f"≥ {MIN_COSINE} each, median ≥ {MEDIAN_COSINE}"
        yield ["cosine to vectors made with Pillow's resize, real photographs", required, "–", *cells]


def _look_rows(results: Results) -> Iterator[list[str]]:
    if results.looked:
        yield [
            "looking at one image: runs of the network for the first layer, for all others",
            f"{LOOK_RUNS}, 0",
            "–",
            *(_missed(f"{it.first_runs}, {it.further_runs}", _looks_once(it)) for it in results.looked.values()),
        ]
        yield [
            "the same: until the first layer is drawn; each further layer (slowest one)",
            f"≤ {LOOK_SECONDS * 1e3:g} ms per further layer",
            "–",
            *(_look_cell(it) for it in results.looked.values()),
        ]


def _looks_once(looked: Looked) -> bool:
    return (looked.first_runs, looked.further_runs) == (LOOK_RUNS, 0)


def _look_cell(looked: Looked) -> str:
    middle, slowest = float(np.median(looked.further)), float(looked.further.max())
    told = f"{looked.first * 1e3:.0f} ms; {middle * 1e3:.1f} ms ({slowest * 1e3:.1f} ms)"
    return _missed(told, slowest <= LOOK_SECONDS)


def _missed(told: str, reached: bool) -> str:
    return told if reached else f"**missed: {told}**"


def _memory(memory: Points, network: str) -> str:
    (few, less), (many, more) = memory.items()
    ratio = more / less
    told = _missed(f"{ratio:.2f}×", ratio <= MEMORY_RATIO)
    below = _missed(f"{more / 1e6:,.0f} MB", more < MEMORY_BYTES)
    return (
        f"Peak memory of a process that makes the vectors of {many:,} images with {network}, against {few:,}: "
        f"{less / 1e6:,.0f} MB → {below}, {told} (goal: ≤ {MEMORY_RATIO}×, below {MEMORY_BYTES / 1e9:g} GB)."
    )


def _part_rows(networks: Mapping[str, Times]) -> Iterator[list[str]]:
    titles = {"floor": "compiled Keras forward pass alone", "decoding": "reading, decoding, resizing alone"}
    for part in PARTS:
        if any(part in times for times in networks.values()):
            kind, _, runtime = part.partition(" ")
            title = titles.get(part) or {"forward": "the engine's network alone", "engine": "files to vectors"}[kind]
            cells = [_ms(times[part], "") if part in times else "" for times in networks.values()]
            yield [f"{title}{f', {runtime}' if runtime else ''}", *cells]


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _ms(seconds: np.ndarray, unit: str = " ms") -> str:
    return f"{short(float(np.median(seconds)) * 1e3)}{unit}"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    flags = next((line for line in lines if line.startswith("flags")), "").split()
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name} ({', '.join(flag for flag in ('avx512f', 'avx512_bf16', 'amx_bf16') if flag in flags) or 'CPU'})"
