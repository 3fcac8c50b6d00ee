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


def seconds(command: list[str], cache: Path) -> float:
    """Run a command to its end."""
    began = time.perf_counter()
    subprocess.run(
        command,
        check=True,
        cwd=ROOT / "notebooks",
        # with compiled modules, as people have them, where a machine is set to write none
        env={k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | {"SCA_CACHE": str(cache)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        floor, cache = make_floor(work), work / "cache"
        report = [SCA, "report", "2026-06", "--data", str(ROOT / "data" / "sample"), "--out", str(work / "out")]
        empty = [sys.executable, "-m", "papermill", str(floor), str(work / "done.ipynb"), "--no-progress-bar"]
        seconds(empty, cache), seconds(report, work / "other")  # modules are compiled
        first = seconds(report, cache)
        taken: dict[str, list[float]] = {"empty notebook with the same imports": [], "sca report": []}
        for _ in range(given.repeats):
            taken["empty notebook with the same imports"].append(seconds(empty, cache))
            taken["sca report"].append(seconds(report, cache))
    base = median(taken["empty notebook with the same imports"])
    print(f"medians of {given.repeats} runs in turns; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for label, times in [*taken.items(), ("sca report, nothing kept (once)", [first])]:
        print(f"{label:<38}{median(times):8.1f} s   ratio to the empty notebook {median(times) / base:5.2f}")
        record("report of the sample", [(label, median(times), median(times) / base, None)])


if __name__ == "__main__":
    main()
