"""How the tests run a program that was written for a person."""

from __future__ import annotations

import pytest

from tests.shared_networks import load_shared


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a program in an empty folder and returns its variables."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("featlib.models.load_backbone", load_shared)

    def run_program(code: str) -> dict:
        variables: dict = {}
        exec(compile(code, "program.py", "exec"), variables)
        return variables

    return run_program
