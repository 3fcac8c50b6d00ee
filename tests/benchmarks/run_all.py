"""All benchmarks, one after the other, and one table: `uv run --with access python tests/benchmarks/run_all.py`.

Each compares its contestants for equality first, and side by side in one run. `--quick` takes small sizes, to see that
all of them work; without it they take hours. `--only gaps costs` runs some. What they print meanwhile goes to stderr.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

from grow import describe_machine
from record import PLACE

HERE = Path(__file__).parent
#: Arguments of each benchmark: at full size, and quick.
RUNS: dict[str, tuple[list[list[str]], list[list[str]]]] = {
    "claims": ([["1000000"], ["10000000", "--repeats", "2"]], [["50000", "--repeats", "1"]]),
    "check": ([["2000000"]], [["50000", "--repeats", "1"]]),
    "gaps": (
        [["5000000", "500000", "--specialties", "50"], ["1000000", "100000", "--own-places"]],
        [["20000", "5000"], ["5000", "5000", "--own-places"]],
    ),
    "costs": ([[]], [[]]),
    "report": ([[]], [["--repeats", "1"]]),
    "what_if": ([[]], [["--members", "2000", "--moves", "20"]]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="*", choices=RUNS, default=list(RUNS))
    given = parser.parse_args()
    print(f"{date.today()}, {describe_machine()}\n")
    print("| benchmark | contestant | seconds | ratio | peak [MiB] |\n|---|---|--:|--:|--:|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name) / "figures.jsonl"
        for benchmark in given.only:
            for arguments in RUNS[benchmark][given.quick]:
                place.write_text("", encoding="utf-8")
                command = [sys.executable, str(HERE / f"bench_{benchmark}.py"), *arguments]
                subprocess.run(command, check=True, stdout=sys.stderr, env=os.environ | {PLACE: str(place)})
                print_rows(place)


def print_rows(place: Path) -> None:
    """Print the figures of one benchmark as rows of the table, so that what was measured is there if another fails."""
    for line in place.read_text(encoding="utf-8").splitlines():
        benchmark, contestant, seconds, ratio, peak = json.loads(line)
        memory = "" if peak is None else f"{peak:,.0f}"
        print(f"| {benchmark} | {contestant} | {seconds:,.3f} | {ratio:,.2f} | {memory} |", flush=True)


if __name__ == "__main__":
    main()
