"""Take the README's picture of the report: `uv run python tests/renew_picture.py`."""

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from sca_analysis.report import make_report

ROOT = Path(__file__).parents[1]

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as out, sync_playwright() as playwright:
        folder = make_report("2026-06", ROOT / "data" / "sample", Path(out))
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1180, "height": 1320})
        page.goto((folder / "report.html").as_uri())
        page.wait_for_function("document.querySelectorAll('figure .main-svg').length >= 10")
        page.screenshot(path=ROOT / "data" / "report.png")
        browser.close()
