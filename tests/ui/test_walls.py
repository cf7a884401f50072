"""Walls that the import rules do not see."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["session_state", "st.query_params"])
def test_only_the_session_names_the_state_and_the_url(name):
    sources = [ROOT / "app.py", *(ROOT / "pages").glob("*.py"), *(ROOT / "featlib").rglob("*.py")]
    naming = [str(path.relative_to(ROOT)) for path in sources if name in path.read_text(encoding="utf-8")]
    assert naming == ["featlib/ui/session.py"]
