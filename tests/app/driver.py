"""Drives the app as a browser does. All that these tests need to know of AppTest's inside is in here."""

from __future__ import annotations

import base64
import json
from functools import partial
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np
import pytest
from streamlit.components.v2.bidi_component.main import _make_trigger_id
from streamlit.runtime.scriptrunner import RerunData
from streamlit.testing.v1 import AppTest, local_script_runner

ROOT = Path(__file__).resolve().parents[2]
SIZE = 96
PAGES = (
    "", "preprocessing", "layers", "feature_maps", "vectors", "projection", "vector_files", "layer_probe", "compare",
    "transfer",
)  # fmt: skip
WITH_NETWORK = tuple(page for page in PAGES if page != "vector_files")


def open_page(page: str = "", /, **query: object) -> AppTest:
    """Opens a page by its link, as the first thing on a fresh server; `query` is what stands in the URL."""
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=180)
    if page:
        at.switch_page(f"pages/{page}.py")
    for name, value in {"size": SIZE, **query}.items():
        at.query_params[name] = str(value)
    return run(at)


def go(at: AppTest, page: str) -> AppTest:
    """Goes to another page of the same visit, by its link in the sidebar: the URL is that of the link."""
    [link] = [link.proto for link in at.sidebar if link.type == "page_link" and link.proto.page.split("/")[-1] == page]
    at.query_params = dict(parse_qsl(link.query_string))
    at.switch_page(f"pages/{page}.py" if page else "app.py")
    return run(at)


def travel(at: AppTest, query: dict[str, str], page: str | None = None) -> AppTest:
    """Goes Back or Forward to an entry of the browser's history: what a browser sends is its URL, and a flag."""
    at.query_params = dict(query)
    if page is not None:
        at.switch_page(f"pages/{page}.py" if page else "app.py")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_script_runner, "RerunData", partial(RerunData, is_history_navigation=True))
        return run(at)


def run(at: AppTest) -> AppTest:
    """Runs the page again; fails if anything on it is an exception."""
    return checked(at.run())


def checked(at: AppTest) -> AppTest:
    """Fails if anything on the page is an exception."""
    assert not at.exception, [(e.message, e.stack_trace) for e in at.exception]
    return at


def choices(at: AppTest):
    """The session's choices."""
    return at.session_state["featlib"]


def labelled(widgets, label: str):
    """The one widget whose label begins like this."""
    found = [widget for widget in widgets if widget.label.startswith(label)]
    assert len(found) == 1, f"{len(found)} widgets begin with {label!r}: {[w.label for w in widgets]}"
    return found[0]


def press(at: AppTest, label: str) -> AppTest:
    """Presses the one button with this label."""
    labelled(at.button, label).click()
    return run(at)


def elements(at: AppTest, kind: str) -> list:
    """All elements of a kind that AppTest has no class for, such as "plotly_chart" or "bidi_component"."""
    return [element for element in at._tree if element.type == kind]


def element(at: AppTest, kind: str, key: str):
    """The one element whose key begins like this."""
    found = [e for e in elements(at, kind) if (e.key or "").startswith(key)]
    assert len(found) == 1, f"{len(found)} of {kind} begin with {key!r}: {[e.key for e in elements(at, kind)]}"
    return found[0]


def has(at: AppTest, kind: str, key: str) -> bool:
    """Whether there is an element whose key begins like this."""
    return any((e.key or "").startswith(key) for e in elements(at, kind))


def data(at: AppTest, key: str) -> dict:
    """What was given to one of our own components: a picture grid or a row of thumbnails."""
    proto = element(at, "bidi_component", key).proto
    return json.loads(proto.json or proto.mixed.json)


def values(at: AppTest, key: str) -> list[int]:
    """What picking each of the tiles or thumbnails would mean, in order."""
    shown = data(at, key)
    return [part["value"] for part in shown.get("tiles", shown.get("pictures"))]


def pick(at: AppTest, key: str, value: int) -> AppTest:
    """Picks a tile or a thumbnail: what the component's `setTriggerValue("picked", value)` sends."""
    states = at._tree.get_widget_states()
    state = states.widgets.add()
    state.id = _make_trigger_id(element(at, "bidi_component", key).proto.id, "events")
    state.json_trigger_value = json.dumps([{"event": "picked", "value": value}])
    return checked(at._run(states))


def select(at: AppTest, selectable, **selection: object) -> AppTest:
    """Selects in a table or a chart: what the browser sends."""
    states = at._tree.get_widget_states()
    state = states.widgets.add()
    state.id = selectable.proto.id
    state.string_value = json.dumps({"selection": selection})
    return checked(at._run(states))


def traces(at: AppTest, key: str) -> list[dict]:
    """The traces of a Plotly chart, their arrays decoded."""
    return [_decode(trace) for trace in json.loads(element(at, "plotly_chart", key).proto.spec)["data"]]


def _decode(value):
    if isinstance(value, dict) and "bdata" in value:
        array = np.frombuffer(base64.b64decode(value["bdata"]), value["dtype"])
        return array.reshape([int(side) for side in value["shape"].split(",")]) if "shape" in value else array
    if isinstance(value, dict):
        return {name: _decode(part) for name, part in value.items()}
    return value


def programs(at: AppTest) -> list[str]:
    """The programs in "The code"."""
    return [code.value for code in at.code if code.language == "python"]


def said(at: AppTest) -> str:
    """All text on the page."""
    kinds = (at.header, at.subheader, at.markdown, at.caption, at.text, at.info, at.warning, at.error, at.success)
    return "\n".join(str(e.value) for kind in kinds for e in kind)
