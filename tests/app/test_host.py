"""Who may open the app: only pages that this machine itself has served."""

from __future__ import annotations

import base64
import os
import socket

import pytest

from tests.browser.server import Server


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.stop()


def status(server, host):
    """What the server answers to a page of this host, whose name may have been rebound to this machine."""
    lines = (
        "GET /_stcore/stream HTTP/1.1",
        f"Host: {host}:{server.port}",
        f"Origin: http://{host}:{server.port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        "Sec-WebSocket-Version: 13",
    )
    with socket.create_connection(("localhost", server.port), timeout=30) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return int(connection.recv(1024).split()[1])


def test_only_this_machine_s_own_names_open_the_app(server):
    opened = {host: status(server, host) == 101 for host in ("localhost", "127.0.0.1", "[::1]")}
    assert all(opened.values()), opened
    refused = {host: status(server, host) for host in ("evil.example", "localhost.evil.example", "192.0.2.1")}
    assert set(refused.values()) == {403}, refused
