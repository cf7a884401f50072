"""Walls that the import rules do not see."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_only_the_session_names_session_state():
    sources = [ROOT / "app.py", *(ROOT / "pages").glob("*.py"), *(ROOT / "featlib").rglob("*.py")]
    naming = [str(path.relative_to(ROOT)) for path in sources if "session_state" in path.read_text(encoding="utf-8")]
    assert naming == ["featlib/ui/session.py"]
