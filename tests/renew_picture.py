"""Take the README's pictures of the report and of the widgets: `uv run python -m tests.renew_picture`."""

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from sca_analysis.report import make_report
from tests.test_controls import NOTEBOOK, serve, visit

DATA = Path(__file__).parents[1] / "data"


def take_report(browser: Browser, work: Path, target: Path) -> None:
    """Take a picture of the top of the sample's report."""
    folder = make_report("2026-06", DATA / "sample", work)
    page = browser.new_page(viewport={"width": 1560, "height": 1300})
    page.goto((folder / "report.html").as_uri())
    page.wait_for_function("document.querySelectorAll('figure .main-svg').length >= 10")
    page.screenshot(path=target)
    page.close()


def take_widgets(browser: Browser, work: Path, target: Path) -> None:
    """Take a picture of the what-if app with the example case."""
    with serve(["voila", str(NOTEBOOK)], work) as address:
        page = browser.new_page(viewport={"width": 1400, "height": 1250})
        visit(page, address)
        page.wait_for_selector(".sca-figure-portfolio .main-svg", timeout=180_000)
        page.wait_for_timeout(1000)
        top = page.locator(".sca-what-if").first
        top.scroll_into_view_if_needed()
        top.screenshot(path=target)
        page.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as out, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        take_report(chromium, Path(out), DATA / "report.png")
        take_widgets(chromium, Path(out), DATA / "what_if.png")
        chromium.close()
