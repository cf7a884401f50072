"""A real server and a real Chromium."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.server import Server
from tests.browser.visitor import CHROMIUM, FLAGS, Visitor

WALK = "test_walk.py"  # the one browser test of the default tier


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in (item for item in items if item.path.is_relative_to(here)):
        item.add_marker(pytest.mark.browser)
        if item.path.name != WALK:
            item.add_marker(pytest.mark.slow)
        if CHROMIUM is None:
            item.add_marker(pytest.mark.skip(reason="needs Chromium (Debian: apt-get install chromium)"))


@pytest.fixture(scope="session")
def server():
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def fresh_server():
    server = Server()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def chromium():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visitor(chromium):
    visitor = Visitor(chromium)
    yield visitor
    visitor.page.context.close()


@pytest.fixture
def dark_visitor(chromium):
    visitor = Visitor(chromium, "dark")
    yield visitor
    visitor.page.context.close()
