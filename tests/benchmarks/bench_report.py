"""The monthly report of the sample against its floor: `uv run python tests/benchmarks/bench_report.py [--repeats N]`.

The floor is papermill running a notebook with nothing but the imports of the report, in a process of its own, as
`sca report` is. Both in turns; medians. `sca report` is timed with tables kept by an earlier run, and once without.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import nbformat
from record import record

ROOT = Path(__file__).parents[2]
SCA = str(Path(sys.executable).parent / "sca")


def make_floor(folder: Path) -> Path:
    """Write the notebook that only imports what the report's first cells import."""
    book = nbformat.read(ROOT / "notebooks" / "monthly_report.ipynb", as_version=4)
    imports = [
        line for c in book.cells if c.cell_type == "code" for line in c.source.splitlines() if " import " in f" {line}"
    ]
    book.cells = [nbformat.v4.new_code_cell("\n".join(imports))]
    nbformat.write(book, folder / "floor.ipynb")
    return folder / "floor.ipynb"


def measure(command: list[str], cache: Path) -> tuple[float, float]:
    """Run a command to its end; return its seconds, and the most memory of it or its kernel [MiB]."""
    began = time.perf_counter()
    running = subprocess.Popen(
        command,
        cwd=ROOT / "notebooks",
        # with compiled modules, as people have them, where a machine is set to write none
        env={k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | {"SCA_CACHE": str(cache)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(running.pid, 0)
    running.returncode = os.waitstatus_to_exitcode(status)
    if running.returncode:
        raise SystemExit(f"{command[0]} ended with {running.returncode}")
    return time.perf_counter() - began, used.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        floor, cache = make_floor(work), work / "cache"
        report = [SCA, "report", "2026-06", "--data", str(ROOT / "data" / "sample"), "--out", str(work / "out")]
        empty = [sys.executable, "-m", "papermill", str(floor), str(work / "done.ipynb"), "--no-progress-bar"]
        measure(empty, cache), measure(report, work / "other")  # modules are compiled
        first = measure(report, cache)
        taken: dict[str, list[tuple[float, float]]] = {"empty notebook with the same imports": [], "sca report": []}
        for _ in range(given.repeats):
            taken["empty notebook with the same imports"].append(measure(empty, cache))
            taken["sca report"].append(measure(report, cache))
    base = median(seconds for seconds, _ in taken["empty notebook with the same imports"])
    print(f"medians of {given.repeats} runs in turns; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for label, runs in [*taken.items(), ("sca report, nothing kept (once)", [first])]:
        time_taken, peak = median(seconds for seconds, _ in runs), max(peak for _, peak in runs)
        print(
            f"{label:<38}{time_taken:8.1f} s   ratio to the empty notebook {time_taken / base:5.2f}   {peak:,.0f} MiB"
        )
        record("report of the sample", [(label, time_taken, time_taken / base, peak)])


if __name__ == "__main__":
    main()
