"""Take the README's pictures of the report and of the widgets: `uv run python -m tests.renew_picture [FOLDER]`.

Tests take the same pictures into a folder of their own, with the pages that they have open anyway.
"""

import shutil
import struct
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from sca_analysis.report import make_report
from tests.browser import serve, visit
from tests.conftest import ROOT

DATA = ROOT / "data"


def take_report(browser: Browser, report: Path, target: Path) -> None:
    """Take a picture of the top of a report."""
    page = browser.new_page(viewport={"width": 1560, "height": 1300})
    page.goto(report.as_uri())
    page.wait_for_function("""() => document.querySelector('figure .main-svg') &&
        [...document.querySelectorAll('figure')].every(f => f.querySelector('.main-svg[role=img]'))""")
    page.screenshot(path=target)
    page.close()


def take_widgets(page: Page, target: Path) -> None:
    """Take a picture of the talk on one case in the open what-if app."""
    page.wait_for_selector(".sca-figure-portfolio .main-svg", timeout=180_000)
    before = page.viewport_size
    page.set_viewport_size({"width": 1400, "height": 1900})  # what is out of sight would stay blank
    top = page.locator(".sca-what-if").first
    page.wait_for_timeout(1000)  # the charts take the width of the page
    top.evaluate("node => node.scrollIntoView()")
    page.wait_for_timeout(200)
    box = top.bounding_box()
    assert box
    assert box["y"] > -1  # it may begin between two pixels
    assert box["y"] + box["height"] <= 1900, "the talk is taller than the picture"
    top.screenshot(path=target)
    if before:
        page.set_viewport_size(before)


def measure_picture(path: Path) -> tuple[int, int, int]:
    """Return width and height of a PNG [pixels], and its bytes: an empty page takes few."""
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", content[16:24])
    return width, height, len(content)


def renew(folder: Path) -> None:
    """Make the report of the sample and the what-if app, and take both pictures into a folder."""
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        work = Path(name)
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        take_report(chromium, make_report("2026-06", DATA / "sample", work) / "report.html", folder / "report.png")
        with serve(["voila", str(ROOT / "notebooks" / "04_what_if_fees.ipynb")], work) as address:
            page = chromium.new_page(viewport={"width": 1400, "height": 1250})
            visit(page, address)
            take_widgets(page, folder / "what_if.png")
        chromium.close()


if __name__ == "__main__":
    renew(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA)
