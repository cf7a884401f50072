"""The process that works on untrusted files has little of everything, and its end is always a refusal."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from featlib.errors import ModelError
from featlib.models.untrusted.child import ask_child

GREEDY = "tests.models.untrusted.greedy"


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        pytest.param(
            "memory", "no memory", marks=pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits memory")
        ),
        ("processor", "took longer than"),
        ("disk", "OSError"),
        ("crash", "more memory than the 4 GB"),
        ("exit", "status 3"),
        ("signal", "SIGTERM"),
        ("no answer", "as happens with damaged files"),
        ("nonsense", "as happens with damaged files"),
    ],
)
def test_refusals(what, reason):
    with pytest.raises(ModelError, match=reason):
        ask_child(GREEDY, [what], timeout=60)


def test_the_deadline():
    with pytest.raises(ModelError, match=r"took longer than the 0\.2 seconds"):
        ask_child(GREEDY, ["processor"], timeout=0.2)


def test_it_is_alone(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "s3cret")
    answer, content = ask_child(GREEDY, ["surroundings"], timeout=60)
    assert content == b""
    assert answer["files"] == []
    assert "SECRET_TOKEN" not in answer["environment"]
    assert Path(answer["home"]) == Path(answer["here"])
    assert not Path(answer["home"]).exists()
