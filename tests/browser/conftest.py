"""A real server and a real Chromium."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]


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


class Server:
    """`streamlit run app.py` on a free port, in a fresh process."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("localhost", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://localhost:{self.port}"
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the server runs
        options = ["--server.headless", "true", "--server.port", str(self.port), "--server.fileWatcherType", "none"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "app.py", *options],
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"},
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self._wait()

    def _wait(self) -> None:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=1).read()
                return
            except OSError:
                time.sleep(0.25)
        raise RuntimeError("The server did not start within a minute.")

    def alarms(self) -> list[str]:
        """Errors and warnings in the server's output, those of TensorFlow's C++ code included."""
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").splitlines()
        return [line for line in lines if re.match(r"[EWF]\d{4} |Traceback|.*(Error|Warning):", line)]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        self._log.close()


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


class Visitor:
    """A user with a browser, who opens a page, waits until it is complete, and looks for errors."""

    def __init__(self, browser, scheme: str = "light") -> None:
        context = browser.new_context(viewport={"width": 1400, "height": 900}, color_scheme=scheme)
        self.page = context.new_page()
        self.requests: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, url: str) -> None:
        self.page.goto(url)
        self.settle()

    def settle(self) -> None:
        """Wait until the script has finished and nothing is being computed."""
        running = '[data-testid="stApp"][data-test-script-state="running"], [data-testid="stSpinner"]'
        self.page.wait_for_selector('[data-testid="stApp"]', timeout=60_000)
        quiet = 0
        for _ in range(1200):
            quiet = 0 if self.page.locator(running).count() else quiet + 1
            if quiet >= 10:
                return
            time.sleep(0.1)
        raise AssertionError("The page did not come to rest within two minutes.")

    def see(self, text: str):
        """Wait for the element that shows the text."""
        found = self.page.get_by_text(text).first
        found.wait_for(timeout=30_000)
        return found

    def assert_no_exception(self) -> None:
        boxes = self.page.locator('[data-testid="stException"]').all_inner_texts()
        assert not boxes, boxes
        assert not self.errors, self.errors

    def query(self) -> dict[str, str]:
        from urllib.parse import parse_qsl, urlparse

        return dict(parse_qsl(urlparse(self.page.url).query))


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
