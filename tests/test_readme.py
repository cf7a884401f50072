"""The README is true: its programs run, its commands work, and no page or command is missing from it."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.shared_networks import load_shared

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINES = README.splitlines()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.fixture
def photos_folder(tmp_path, monkeypatch):
    """A folder of real photographs with a sub-folder for each class, as the README's reader would have."""
    from featlib.images import load_samples

    for item in load_samples("views"):
        if item.labels["photo"] in ("chelsea", "coffee", "rocket"):
            folder = tmp_path / "photos" / item.labels["photo"]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(item.pixels).save(folder / f"{item.labels['view']}.png".replace("/", "-"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("featlib.models.load_backbone", load_shared)  # its programs begin with the same network
    return tmp_path


def test_the_python_blocks_run_and_give_what_they_say(photos_folder, capsys):
    scope: dict = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), scope)
    assert scope["maps"].shape == (4, 28, 28, 40)
    assert scope["X"].shape == (36, 1280)
    assert scope["classifier"].score(scope["photos"], scope["photos"].labels) > 0.9
    assert "(36, 2)" in capsys.readouterr().out


def test_the_commands_run(photos_folder, monkeypatch):
    from click.testing import CliRunner

    from featlib.cli import main

    commands = [line for block in blocks("bash") for line in block.splitlines() if line.startswith("featlib ")]
    assert {shlex.split(command)[1] for command in commands} == set(main.commands), "every command is shown"
    monkeypatch.setattr(runpy, "run_module", lambda *_, **__: None)  # `featlib app` would start a server
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setenv("FEATLIB_DATA", "")
    for command in commands:
        result = CliRunner().invoke(main, shlex.split(command)[1:])
        assert result.exit_code == 0, f"{command}\n{result.output}"
    assert (photos_folder / "projection.html").stat().st_size > 100_000


def test_every_page_is_described():
    pages = ["home", *(path.stem for path in (ROOT / "pages").glob("*.py"))]
    described = re.findall(r"^\| (\w+) \|", README, re.MULTILINE)
    assert sorted(described) == sorted([*pages, "page"])


def test_the_first_screen_of_the_readme_has_what_a_newcomer_needs():
    picture = next(i for i, line in enumerate(LINES, 1) if line.startswith("!["))
    commands = [i for i, line in enumerate(LINES, 1) if line.startswith("pip install")]
    python = next(i for i, line in enumerate(LINES, 1) if line == "```python")
    assert picture <= 15
    assert len(commands) == 2
    assert max(commands) <= 25
    assert python <= 40


def test_pictures_are_there_and_small():
    paths = re.findall(r"\]\(([^)]+\.(?:webp|svg))\)", README)
    assert len(paths) == 2
    for path in paths:
        assert (ROOT / path).stat().st_size < 1_000_000


def test_it_is_short_and_its_links_lead_somewhere():
    assert len(LINES) <= 150
    for folder in (ROOT, ROOT / ".github", ROOT / "featlib", ROOT / "tests"):
        for page in folder.glob("*.md"):
            for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
                assert (folder / target).exists(), f"{page}: {target}"


def test_a_page_has_one_name():
    """Its file, its entry and section in the navigation, and its row in the README agree."""
    from featlib.ui.frame import SECTIONS

    for section, pages in SECTIONS.items():
        for path, name, _ in pages:
            page = "home" if path == "app.py" else Path(path).stem
            assert name == page.replace("_", " ").capitalize()
            assert f"| {page} | {section} |" in README
