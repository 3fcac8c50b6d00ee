"""Every notebook in JupyterLab as a person runs it: opened, Run All, looked at, saved."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from playwright.sync_api import Browser, Page

from sca_analysis.page import FIGURE
from tests.browser import serve, visit
from tests.conftest import ROOT

NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
#: Figures inside widgets, which a saved notebook does not hold as figures.
WIDGETS = {"04_what_if_fees": (".sca-figure-case", ".sca-figure-portfolio")}
FAILED = "[data-mime-type='application/vnd.jupyter.error'], [data-mime-type='application/vnd.jupyter.stderr']"
PROMPTS = "() => [...document.querySelectorAll('.jp-Notebook .jp-CodeCell .jp-InputPrompt')].map(p => p.textContent)"
# a fresh kernel counts the cells from 1; counts that were saved with checked outputs do not pass for these
RUN = f"""failed => document.querySelector(failed) ||
  ({PROMPTS})().every((text, place) => text.includes(`[${{place + 1}}]`))"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """JupyterLab over a copy of the notebooks: its address and the folder of the copies."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "notebooks", folder / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    (folder / "data").symlink_to(ROOT / "data")
    settings = folder / "settings" / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text('{"windowingMode": "none"}', encoding="utf-8")  # every cell is on the page, also out of sight
    options = ["--allow-root", "--ServerApp.token=", "--ServerApp.password=", "--ServerApp.disable_check_xsrf=True"]
    options += [f"--ServerApp.root_dir={folder}", f"--LabApp.user_settings_dir={folder / 'settings'}"]
    options += [f"--LabApp.workspaces_dir={folder / 'workspaces'}", "--LabApp.news_url=None"]
    options.append("--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate")
    with serve(["jupyterlab", *options], folder) as address:
        yield address, folder / "notebooks"


def run_all(page: Page) -> None:
    """Run All by the menu, once the kernel is there; return when all is done or something failed."""
    page.wait_for_selector("#jp-main-statusbar >> text=ipykernel) | Idle", timeout=60_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.locator('[data-command="runmenu:run-all"]').click()
    page.wait_for_function(RUN, arg=FAILED, timeout=180_000)


def save(page: Page, path: Path) -> NotebookNode:
    """Save by the keyboard and return the notebook as saved."""
    page.locator(".jp-Notebook .jp-InputPrompt").first.click()
    with page.expect_response(lambda answer: answer.request.method == "PUT" and path.name in answer.url):
        page.keyboard.press("Control+s")
    return nbformat.read(path, as_version=4)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_runs_all_with_everything_drawn(browser: Browser, lab: tuple[str, Path], tmp_path: Path, name: str) -> None:
    address, folder = lab
    path = folder / f"{name}.ipynb"
    code = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    page = browser.new_page(viewport={"width": 1500, "height": 1000})
    # a workspace of its own: else JupyterLab opens the notebooks of the last one as well
    problems, asked = visit(page, f"{address}/lab/workspaces/{name}/tree/notebooks/{name}.ipynb")
    run_all(page)
    assert page.locator(FAILED).all_inner_texts() == []
    assert [re.findall(r"\d+", prompt) for prompt in page.evaluate(PROMPTS)] == [[str(n + 1)] for n in range(len(code))]
    saved = save(page, path)
    outputs = [output for cell in saved.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type in ("error", "stream")]
    figures = sum(FIGURE in output.get("data", {}) for output in outputs)
    widgets = WIDGETS.get(name, ())
    drawn = page.locator(".jp-Notebook .js-plotly-plot:has(.main-svg)")
    page.wait_for_function(
        "n => document.querySelectorAll('.jp-Notebook .js-plotly-plot .main-svg:first-child').length >= n",
        arg=figures + len(widgets),
    )
    assert drawn.count() == page.locator(".jp-Notebook .js-plotly-plot").count() == figures + len(widgets) > 0
    for widget in widgets:
        assert page.locator(f"{widget} .barlayer path").count() > 0
    assert page.locator("[data-title^='Share']").count() == 0, "a chart can be uploaded"
    page.screenshot(path=tmp_path / "lab.png")
    assert (problems, asked) == ([], [])
    for session in page.request.get(f"{address}/api/sessions").json():
        page.request.delete(f"{address}/api/sessions/{session['id']}")
    page.close()
