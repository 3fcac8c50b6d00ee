"""How long until a slider's move is drawn, beside a bare FigureWidget.

`uv run python tests/benchmarks/bench_what_if.py`

Makes exports of many courses (or takes a folder of exports: `--data DIR`), opens the what-if notebook and a notebook
with nothing but a slider, a number and a FigureWidget in Voila, presses an arrow key in headless Chromium, and takes
the time from the key until number and bars have changed and that frame was drawn. Prints median and 95th percentile;
what it does meanwhile goes to stderr. It ends with an error if the page is not ready or moves are not drawn in time.
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
from contextlib import ExitStack, contextmanager
from pathlib import Path

import nbformat
from playwright.sync_api import Browser, Page, sync_playwright
from record import record

ROOT = Path(__file__).parents[2]
SERVER_UP = 60  # seconds until a server answers
READY = 150  # seconds until the widgets are drawn: all courses of a year are built before
LOST = 5  # seconds after which a move counts as not drawn
MOST_LOST = 3  # moves not drawn after which nothing is measured any more
#: Pauses between moves [ms], in turns: while it moves, when the ranges are just being reckoned, after it rested.
PAUSES = (30, 300, 30, 200, 90, 600)
#: A slider: its class, the class of the figure it moves, and which of the findings it changes.
SLIDERS = {
    "bare FigureWidget": ("bare", "bare", 0),
    "fee slider": ("fee", "case", 0),
    "visits slider": ("visits", "case", 0),
    "portfolio slider": ("percent", "portfolio", 1),
}
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
#: How many bars a figure has drawn.
BARS = "figure => document.querySelectorAll(figure + ' .barlayer path').length"
#: Sets a promise: the milliseconds from the key until number and bars differ and that frame was drawn, or -1.
WATCH = """([place, figure, lost]) => {
  const read = () => [document.querySelectorAll(".sca-finding")[place].textContent,
    [...document.querySelectorAll(figure + " .barlayer path")].map((p) => p.getAttribute("d")).join()];
  const [number, bars] = read();
  window.__taken = new Promise((done) => {
    document.addEventListener("keydown", () => {
      const start = performance.now();
      const drawn = new MessageChannel();  // its message comes after the frame
      drawn.port1.onmessage = () => done(performance.now() - start);
      const look = () => {
        const [n, b] = read();
        if (n !== number && b !== bars) drawn.port2.postMessage(0);
        else if (performance.now() - start > lost) done(-1);
        else requestAnimationFrame(look);
      };
      requestAnimationFrame(look);
    }, { once: true, capture: true });
  });
}"""
START = time.monotonic()


def say(words: str) -> None:
    """Say on stderr what is being done."""
    print(f"{time.monotonic() - START:6.1f} s  {words}", file=sys.stderr, flush=True)


@contextmanager
def voila(notebook: Path) -> Iterator[str]:
    """Serve a notebook by Voila and stop it again."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "voila", str(notebook), "--no-browser", f"--port={port}"]
    environment = os.environ | {"JUPYTER_PATH": str(ROOT / "sca_analysis" / "jupyter")}
    log = notebook.with_suffix(".log")
    with log.open("w") as file:
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=file)
        try:
            yield f"http://localhost:{port}/"
        except BaseException:
            sys.stderr.write("".join(log.read_text(encoding="utf-8").splitlines(keepends=True)[-15:]))
            raise
        finally:
            server.terminate()
            server.wait(timeout=30)


def wait_for_server(address: str) -> None:
    """Wait until the port answers: a page that is asked for before would fail."""
    port = int(address.rstrip("/").rsplit(":", 1)[1])
    end = time.monotonic() + SERVER_UP
    while time.monotonic() < end:
        with socket.socket() as asked:
            if asked.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    sys.exit(f"no server answers at {address} after {SERVER_UP} s")


def open_page(browser: Browser, address: str, figure: str) -> Page:
    """Open a notebook once its server is up; wait until the bars of a figure are drawn."""
    wait_for_server(address)
    asked = time.monotonic()
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(READY * 1000)
    page.on("pageerror", lambda error: say(f"error of the page: {error}"))
    page.goto(address)
    page.wait_for_function(BARS, arg=figure)
    say(f"{figure} is drawn {time.monotonic() - asked:.1f} s after the page was asked for")
    page.wait_for_timeout(2000)
    return page


def measure(page: Page, label: str, moves: int) -> list[float]:
    """Return the milliseconds of each move of a slider by an arrow key; -1: not drawn."""
    slider, figure, place = SLIDERS[label]
    handle = page.locator(f".sca-slider-{slider} .noUi-handle").first
    taken: list[float] = []
    for number in range(moves + 5):
        handle.focus()
        page.evaluate(WATCH, [place, f".sca-figure-{figure}", LOST * 1000])
        page.keyboard.press("ArrowLeft" if number % 20 < 10 else "ArrowRight")  # to and fro: never to an end
        taken.append(page.evaluate("window.__taken"))
        if taken.count(-1) >= MOST_LOST:
            sys.exit(f"{label}: {MOST_LOST} of {len(taken)} moves were not drawn within {LOST} s")
        page.wait_for_timeout(PAUSES[number % len(PAUSES)])
    say(f"{label}: {moves} moves")
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
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        data = str(Path(given.data).resolve()) if given.data else str(folder / "exports")
        if not given.data:
            from sca_analysis.cli import main as sca

            say(f"making exports of {given.members:,} members")
            sca(["sample", "--out", data, "--members", str(given.members), "--seed", "1"], standalone_mode=False)
        chromium = stack.enter_context(sync_playwright()).chromium
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        # a browser for each page: one in the background would be slowed down
        browser, plain = (chromium.launch(executable_path=shutil.which("chromium"), args=options) for _ in range(2))
        one = stack.enter_context(voila(parametrize(data, folder)))
        other = stack.enter_context(voila(bare(folder)))
        say("servers are starting")
        page = open_page(browser, one, ".sca-figure-portfolio")
        offered = page.get_by_text("courses are listed").inner_text()
        pages = dict.fromkeys(SLIDERS, page) | {"bare FigureWidget": open_page(plain, other, ".sca-figure-bare")}
        results: dict[str, list[float]] = {label: [] for label in SLIDERS}
        for _ in range(2):  # in turns, so that a busy machine weighs on all alike
            for label, taken in results.items():
                taken += measure(pages[label], label, given.moves // 2)
        browser.close()
        plain.close()
    lost = sum(t < 0 for taken in results.values() for t in taken)
    results = {label: [t if t >= 0 else LOST * 1000.0 for t in taken] for label, taken in results.items()}
    print(f"{offered} Load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.")
    print(f"{'from key to drawn [ms]':<24}{'moves':>7}{'median':>9}{'p95':>9}{'p95 / bare':>12}")
    base = statistics.quantiles(results["bare FigureWidget"], n=20)[18]
    for label, taken in results.items():
        late = statistics.quantiles(taken, n=20)[18]
        print(f"{label:<24}{len(taken):>7}{statistics.median(taken):>9.0f}{late:>9.0f}{late / base:>12.2f}")
        record(f"what-if, 95th percentile of {len(taken)} moves", [(label, late / 1000, late / base, None)])
    print(f"{lost} moves were not drawn within {LOST} s (counted as {LOST * 1000:,} ms)")


if __name__ == "__main__":
    main()
