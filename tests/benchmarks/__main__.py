"""`python -m tests.benchmarks`: compare featlib's speed with other ways, and print a table."""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

import click

FOLDER = Path(__file__).resolve().parent
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns about what other ways do

from featlib.features.runtimes import has_openvino  # noqa: E402 - before TensorFlow is imported by anything
from tests.benchmarks.goals import GOALS, GROUPS, PARTS  # noqa: E402
from tests.benchmarks.growth import draw_growth, measure_growth, measure_memory  # noqa: E402
from tests.benchmarks.measure import Times, measure  # noqa: E402
from tests.benchmarks.networks import EARLY, Network, open_network  # noqa: E402
from tests.benchmarks.photos import make_photos  # noqa: E402
from tests.benchmarks.report import PICTURE, Results, about, growth_picture, markdown, update_readme  # noqa: E402
from tests.benchmarks.ways import QUICK, Sizes, compare_resizers, make_ways  # noqa: E402


@click.command()
@click.option("--quick", is_flag=True, help="Few images and two repeats: does it work?")
@click.option("--only", "only", multiple=True, type=click.Choice(GROUPS), help="Only this; may be repeated.")
@click.option("--network", "networks", multiple=True, type=click.Choice(list(EARLY)), help="Only this network.")
@click.option("--repeats", type=click.IntRange(1), help="How often each way runs.")
@click.option("--update-readme", "update", is_flag=True, help="Write README.md and growth.svg beside this file.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the numbers into this file.")
def main(
    quick: bool,
    only: tuple[str, ...],
    networks: tuple[str, ...],
    repeats: int | None,
    update: bool,
    json_file: Path | None,
) -> None:
    """Compare featlib with the ways in which people extract features, and print a table."""
    if update and (quick or only or networks):
        raise click.UsageError("The README needs a whole run: use --update-readme without the others.")
    sizes = QUICK if quick else Sizes()
    groups = only or GROUPS
    results = Results()
    with tempfile.TemporaryDirectory(prefix="featlib-benchmarks-") as folder, _home(folder):
        _run(results, groups, networks or tuple(EARLY), sizes, repeats or sizes.repeats, Path(folder))
    text = markdown(results)
    click.echo(text)
    if json_file:
        json_file.write_text(json.dumps(results.as_json(), indent=1), encoding="utf-8")
    if update:
        title = f"{results.processes}: files to vectors, the start of the process included"
        (FOLDER / PICTURE).write_text(draw_growth(results.growth, title), encoding="utf-8")
        picture = growth_picture(results.growth, results.processes)
        update_readme(FOLDER, f"{text}\n\n{picture}", (time.monotonic() - _started) / 60)


def _home(folder: str):
    """Leave the user's own cache alone."""
    return mock.patch.dict(os.environ, FEATLIB_HOME=folder)


def _run(
    results: Results, groups: tuple[str, ...], names: tuple[str, ...], sizes: Sizes, repeats: int, folder: Path
) -> None:
    files = make_photos(folder / "photos", sizes.engine)
    networks = [open_network(name) for name in names]
    results.weights = {network.name: network.weights for network in networks}
    results.title = about(len(files), repeats, results.weights)
    for network in networks:
        times = _times(network, groups, files, folder, sizes, repeats)
        if times:
            results.times[network.name] = times
        if "resizer" in groups:
            _tell(f"{network.name}: comparing resizers")
            results.cosines[network.name] = compare_resizers(network, files[: sizes.predict])
        if "looking" in groups:
            results.looked[network.name] = _look(network, files, repeats)
    _run_processes(results, groups, names[0], sizes, folder)


def _times(
    network: Network, groups: tuple[str, ...], files: list[str], folder: Path, sizes: Sizes, repeats: int
) -> Times:
    goals = [goal for goal in GOALS if goal.group in groups]
    wanted = {way for goal in goals for way in (goal.way, goal.against)}
    if "floor" in groups:
        wanted |= set(PARTS)
    ways = {name: make for name, make in make_ways(network, files, folder, sizes).items() if name in wanted}
    _tell(f"{network.name}: making {len(ways)} ways")
    return measure({name: make() for name, make in ways.items()}, repeats, _tell) if ways else {}


def _look(network: Network, files: list[str], repeats: int):
    from tests.benchmarks.looking import look_at_images

    _tell(f"{network.name}: looking at images")
    return look_at_images(network, files, repeats)


def _run_processes(results: Results, groups: tuple[str, ...], network: str, sizes: Sizes, folder: Path) -> None:
    """Measure what needs processes of its own: memory, and times with the start."""
    results.processes = network
    runtimes = ["tensorflow", "openvino"] if has_openvino() else ["tensorflow"]
    most = max([0, *(sizes.memory if "memory" in groups else ()), *(sizes.growth if "growth" in groups else ())])
    if most:
        make_photos(folder / "photos", most)
    if "memory" in groups:
        results.memory = measure_memory(network, folder / "photos", sizes, runtimes[-1], _tell)
    if "growth" in groups:
        results.growth = measure_growth(network, folder / "photos", sizes, runtimes, _tell)


_started = time.monotonic()


def _tell(text: str) -> None:
    print(f"{time.monotonic() - _started:6.0f} s  {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
