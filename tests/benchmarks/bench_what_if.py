"""How long until a slider's move is drawn, beside a bare FigureWidget.

`uv run python tests/benchmarks/bench_what_if.py`

Makes exports of many courses (or takes a folder of exports: `--data DIR`), opens the what-if notebook and a notebook
with nothing but a slider, a number and a FigureWidget in Voila, presses an arrow key in headless Chromium, and takes
the time from the key until number and bars have changed and a frame was drawn. Prints median and 95th percentile.
"""

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[2]
BARE = """import ipywidgets as widgets, plotly.graph_objects as go
figure = go.FigureWidget(go.Figure(go.Bar(x=["plan", "member", "provider"], y=[1, 2, 3])))
slider, number = widgets.FloatSlider(min=0, max=300, value=150, step=1, readout=False), widgets.HTML("150")
slider.add_class("sca-slider-bare")
def move(change):
    number.value = f'<p class="sca-finding">{change["new"]}</p>'
    with figure.batch_update():
        figure.data[0].y = [change["new"], 300 - change["new"], 100]
slider.observe(move, "value")
move({"new": 150.0})
box = widgets.Box([figure]); box.add_class("sca-figure-bare")
widgets.VBox([slider, number, box])"""
#: Resolves with the milliseconds from the key until the number and the bars differ and the next frame is drawn.
WATCH = """([root, finding, figure]) => {
  const read = () => [document.querySelectorAll(finding)[root]?.textContent,
    [...document.querySelectorAll(figure + " .plot path")].map((p) => p.getAttribute("d")).join()];
  const [number, bars] = read();
  window.__taken = new Promise((done) => {
    setTimeout(() => done(-1), 5000);
    document.addEventListener("keydown", () => {
      const start = performance.now();
      const look = () => {
        const [n, b] = read();
        if (n !== number && b !== bars) done(performance.now() - start);
        else requestAnimationFrame(look);
      };
      requestAnimationFrame(look);
    }, { once: true, capture: true });
  });
}"""


@contextmanager
def voila(notebook: Path) -> Iterator[str]:
    """Serve a notebook by Voila and stop it again."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "voila", str(notebook), "--no-browser", f"--port={port}"]
    environment = os.environ | {"JUPYTER_PATH": str(ROOT / "sca_analysis" / "jupyter")}
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            yield f"http://localhost:{port}/"
        finally:
            server.terminate()
            server.wait(timeout=30)


def open_page(browser: Browser, address: str, ready: str) -> Page:
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    for _ in range(100):
        try:
            page.goto(address, timeout=600_000)
            break
        except Exception:  # noqa: BLE001 - the server is not up yet
            time.sleep(0.5)
    page.wait_for_selector(f"{ready} .main-svg", timeout=600_000)
    page.wait_for_timeout(3000)
    return page


def measure(page: Page, name: str, moves: int, root: int = 0) -> list[float]:
    """Return the milliseconds of each move of a slider by an arrow key."""
    handle = page.locator(f".sca-slider-{name} .noUi-handle").first
    figure = {"bare": ".sca-figure-bare", "percent": ".sca-figure-portfolio"}.get(name, ".sca-figure-case")
    taken = []
    for number in range(moves + 5):
        handle.focus()
        page.evaluate(WATCH, [root, ".sca-finding", figure])
        page.keyboard.press("ArrowLeft" if number % 40 < 20 else "ArrowRight")
        taken.append(page.evaluate("window.__taken"))
        page.wait_for_timeout(30 if number % 2 else 300)  # both while it moves and after it rested
    return taken[5:]  # the first ones warm up


def parametrize(data: str, folder: Path) -> Path:
    """Return the what-if notebook with other exports; its paths are relative to the notebooks."""
    book = nbformat.read(ROOT / "notebooks" / "04_what_if_fees.ipynb", as_version=4)
    cell = next(c for c in book.cells if "parameters" in c.metadata.get("tags", []))
    cell.source = cell.source.replace('"../data/sample"', repr(data)).replace('"../data/', f'"{ROOT}/data/')
    cell.source = cell.source.replace("open_days = 90", "open_days = None")
    path = folder / "what_if.ipynb"
    nbformat.write(book, path)
    return path


def bare(folder: Path) -> Path:
    """Return a notebook with a slider, a number and a figure widget."""
    book = nbformat.read(ROOT / "notebooks" / "04_what_if_fees.ipynb", as_version=4)
    book.cells = [nbformat.v4.new_code_cell(BARE)]
    path = folder / "bare.ipynb"
    nbformat.write(book, path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="")
    parser.add_argument("--members", type=int, default=200_000)
    parser.add_argument("--moves", type=int, default=100)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        data = given.data or str(folder / "exports")
        if not given.data:
            from sca_analysis.cli import main as sca

            sca(["sample", "--out", data, "--members", str(given.members), "--seed", "1"], standalone_mode=False)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        with voila(parametrize(data, folder)) as one, voila(bare(folder)) as other:
            page = open_page(browser, one, ".sca-figure-portfolio")
            plain = open_page(browser, other, ".sca-figure-bare")
            results: dict[str, list[float]] = {}
            for _ in range(2):  # in turns, so that a busy machine weighs on all alike
                for label, where, slider, root in (
                    ("bare FigureWidget", plain, "bare", 0),
                    ("fee slider", page, "fee", 0),
                    ("visits slider", page, "visits", 0),
                    ("portfolio slider", page, "percent", 1),
                ):
                    where.bring_to_front()
                    results.setdefault(label, []).extend(measure(where, slider, given.moves // 2, root))
        browser.close()
    results = {label: [t if t >= 0 else 5000.0 for t in taken] for label, taken in results.items()}
    print(f"{'time from key to drawn [ms]':<28}{'moves':>7}{'median':>9}{'p95':>9}{'p95 / bare':>12}")
    base = statistics.quantiles(results["bare FigureWidget"], n=20)[18]
    for label, taken in results.items():
        late = statistics.quantiles(taken, n=20)[18]
        print(f"{label:<28}{len(taken):>7}{statistics.median(taken):>9.0f}{late:>9.0f}{late / base:>12.2f}")
    lost = sum(t == 5000.0 for taken in results.values() for t in taken)
    print(f"{lost} moves were not drawn within 5 s (counted as 5,000 ms)")


if __name__ == "__main__":
    main()
