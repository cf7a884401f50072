"""The benchmark runs; of speed only what is factors apart is asserted, and never a time."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.benchmarks import report
from tests.benchmarks.__main__ import main
from tests.benchmarks.goals import GOALS, GROUPS, PARTS, Goal
from tests.benchmarks.growth import draw_growth
from tests.benchmarks.measure import check_agreement, ratios
from tests.benchmarks.networks import open_network
from tests.benchmarks.ways import QUICK, make_ways


@pytest.mark.slow
def test_a_quick_run_gives_a_table_and_the_store_is_far_faster_than_computing(tmp_path):
    numbers = tmp_path / "numbers.json"
    options = ["--quick", "--network", "EfficientNetLite0", "--only", "store", "--json", str(numbers)]
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 0, result.output
    assert "| EfficientNetLite0 |" in result.output
    assert "weights: EfficientNetLite0 imagenet" in result.output
    found = json.loads(numbers.read_text())["ratios"]["EfficientNetLite0"]
    assert max(found["store / engine fastest"]) > 10


def test_the_readme_is_written_by_whole_runs_only():
    result = CliRunner().invoke(main, ["--quick", "--update-readme"])
    assert result.exit_code == 2
    assert "whole run" in result.output


def test_a_missed_goal_is_told_with_its_figure():
    goal = next(goal for goal in GOALS if goal.way == "engine tensorflow" and goal.against == "floor")
    results = report.Results(times={"Net": {"floor": np.array([0.01, 0.02]), goal.way: np.array([0.0115, 0.023])}})
    assert "| 15 ms → 17.2 ms: **missed: 1.15× (1.15–1.15)** |" in report.markdown(results)
    results.times["Net"][goal.way] /= 1.25
    assert "| ≤ 0.95× | ≤ 0.85× | 15 ms → 13.8 ms: 0.92× (0.92–0.92) |" in report.markdown(results)
    results.times["Net"][goal.way] /= 1.25
    assert "0.736× (0.736–0.736), aim reached |" in report.markdown(results)


def test_the_resizers_are_compared_by_their_worst_and_median_vector():
    results = report.Results(cosines={"Net": np.array([0.9996, 0.9999, 1.0])})
    assert "| 0.99960, median 0.99990 |" in report.markdown(results)
    results.cosines["Net"][0] = 0.9994
    assert "**missed: 0.99940, median 0.99990**" in report.markdown(results)


def test_a_ratio_is_taken_within_each_repeat():
    assert ratios(np.array([2.0, 40.0, 3.0]), np.array([1.0, 10.0, 1.0])) == (3.0, 2.0, 4.0)


def test_goals_say_what_they_want():
    faster = Goal("store", "", "a", "b", 10, None, faster=True)
    assert (faster.wanted(10), faster.reached(9.9, 10), faster.reached(10, 10)) == ("≥ 10× faster", False, True)
    at_most = Goal("store", "", "a", "b", None, 0.8, faster=False)
    assert (at_most.wanted(0.8), at_most.reached(0.8, 0.8), at_most.reached(0.81, 0.8)) == ("≤ 0.8×", True, False)
    assert at_most.wanted(None) == "–"
    assert {goal.group for goal in GOALS} <= set(GROUPS)


def test_every_way_of_a_goal_exists():
    pytest.importorskip("openvino")
    ways = make_ways(open_network("EfficientNetLite0"), [], Path(), QUICK)
    assert {name for goal in GOALS for name in (goal.way, goal.against)} | set(PARTS) == set(ways)


def test_ways_that_give_other_vectors_are_not_compared():
    X = np.eye(3, dtype=np.float32)
    check_agreement({"a": X, "b": X[:2], "no vectors": None})
    with pytest.raises(SystemExit, match="'b' and 'a' give other vectors"):
        check_agreement({"a": X, "b": X[::-1]})


def test_the_readme_of_this_folder_is_written(tmp_path):
    report.update_readme(tmp_path, "the table", minutes=21.6)
    text = (tmp_path / "README.md").read_text()
    assert text.startswith("# Benchmarks")
    assert text.endswith("The whole run took 22 minutes.\n\nthe table\n")


def test_the_plot_has_every_point():
    growth = {"tutorial loop": {1: 7000.0, 16: 500.0}, "openvino": {1: 9000.0, 16: 500.0, 10_000: 8.0}}
    root = ET.fromstring(draw_growth(growth, "files & vectors"))
    dots = [(float(c.get("cx")), float(c.get("cy"))) for c in root.iter("{http://www.w3.org/2000/svg}circle")]
    assert len(dots) == 5
    assert dots[0][0] == dots[2][0] < dots[1][0] < dots[4][0]  # more images: further right
    assert dots[2][1] < dots[0][1] < dots[1][1] < dots[4][1]  # less time: further down
