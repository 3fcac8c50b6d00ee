"""What the tests in a real browser share: a server of this machine, and pages that tell what went wrong."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Error, Page

from tests.conftest import ROOT


@contextmanager
def serve(command: list[str], tmp_path: Path) -> Iterator[str]:
    """Run a server on a free port and end it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # until the package is installed with its Voila template, as `pip install` does
    environment = os.environ | {"JUPYTER_PATH": str(ROOT / "sca_analysis" / "jupyter")}
    with (tmp_path / "server.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", *command, "--no-browser", f"--port={port}"],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
        )
        try:
            yield f"http://localhost:{port}"
        finally:
            server.terminate()
            server.wait(timeout=30)


def visit(page: Page, address: str) -> tuple[list[str], list[str]]:
    """Open an address once its server is up; return lists that fill with errors and with requests elsewhere."""
    problems: list[str] = []
    asked: list[str] = []
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: problems.append(str(e)))
    local = ("http://localhost:", "ws://localhost:", "data:", "blob:")
    page.on("request", lambda r: asked.append(r.url) if not r.url.startswith(local) else None)
    page.on("websocket", lambda w: asked.append(w.url) if not w.url.startswith(local) else None)
    for _ in range(240):
        try:
            page.goto(address, timeout=120_000)
            break
        except Error:
            time.sleep(0.25)
    problems.clear()
    return problems, asked


def find_barriers(page: Page, within: str | None = None) -> list[tuple[str, str]]:
    """Return the serious and critical findings of axe: rule and first place."""
    found = Axe().run(page, context=within).response["violations"]
    return [(v["id"], v["nodes"][0]["html"]) for v in found if v["impact"] in ("serious", "critical")]
