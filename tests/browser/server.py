"""A real server."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START = "import runpy; runpy.run_module('streamlit', run_name='__main__', alter_sys=True)"


class Server:
    """`streamlit run app.py` on a free port, in a fresh process.

    Args:
        options: Added to the command.
        before: Python that the process runs first, such as a change of limits.
        environment: Variables that differ from those of this process.
    """

    def __init__(self, *options: str, before: str = "", **environment: str) -> None:
        with socket.socket() as free:
            free.bind(("localhost", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://localhost:{self.port}"
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the server runs
        usual = ["--server.headless", "true", "--server.port", str(self.port), "--server.fileWatcherType", "none"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", f"{before}\n{START}", "run", "app.py", *usual, *options],
            cwd=ROOT,
            env={name: text for name, text in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"} | environment,
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

    def log(self) -> str:
        """The server's output."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def alarms(self) -> list[str]:
        """Errors and warnings in the server's output, those of TensorFlow's C++ code included."""
        lines = self.log().splitlines()
        return [line for line in lines if re.match(r"[EWF]\d{4} |Traceback|.*(Error|Warning):", line)]

    def memory(self) -> int:
        """Resident bytes; on Linux only."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGESIZE")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        self._log.close()
