"""What several tests share: the committed sample, its month, the fetched exports, a real browser."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from sca_analysis import keeping
from sca_analysis.monthly import Month, analyse_month

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "data" / "sample"
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Exports read once are taken up by every test of a run, but never by another run; pseudonyms have a key."""
    with pytest.MonkeyPatch.context() as patch:
        key = tmp_path_factory.mktemp("key") / "pseudonym.key"
        key.write_text("a key for tests alone", encoding="utf-8")
        patch.setenv("SCA_KEY_FILE", str(key))
        base = tmp_path_factory.getbasetemp()
        run = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base  # workers of one run share it
        patch.setenv("SCA_CACHE", str(run / "cache"))
        yield


@pytest.fixture(scope="session")
def june() -> Month:
    """The last month of the committed sample, analysed, as the plan sees it."""
    return analyse_month(SAMPLE, "2026-06", identified=True)


@pytest.fixture(scope="session")
def shared_june() -> Month:
    """The same month, de-identified."""
    return analyse_month(SAMPLE, "2026-06")


@pytest.fixture(scope="session")
def shared_exports() -> Path:
    """The folder of real export files, which is never part of the project."""
    if not (SHARED / "exports").is_dir():
        pytest.skip("the real export files (../shared/exports) are not here")
    return SHARED / "exports"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, headless, with background networking off."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no Chromium: install Debian's package `chromium` to run the browser tests")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=chromium, args=[*arguments, "--disable-sync", "--no-first-run"]
        )
        yield launched
        launched.close()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of what is kept, new and empty."""
    monkeypatch.setenv(keeping.PLACE, str(tmp_path / "cache"))
    found = keeping.place()
    assert found
    return found
