"""How cost grows with the claim lines: `uv run python tests/benchmarks/grow.py [LINES ...] [--write]`.

For each size, the suite alone on the path of bench_claims: a first run that reads, checks and keeps the tables as
Parquet, and a second one that begins there. `--write` puts the table into CONTRIBUTING.md, with machine and date.
Memory is bounded by SCA_MEMORY, 3GB unless set.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from bench_claims import make

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "CONTRIBUTING.md"
MARKS = "<!-- how cost grows: begin -->\n", "<!-- how cost grows: end -->"
SIZES = (1_000_000, 10_000_000, 100_000_000)


def measure(folder: Path, work: Path) -> dict[str, float]:
    """Run the path once on what the cache holds; return seconds and peak memory [MiB]."""
    target = work / "out"
    target.mkdir()
    command = [sys.executable, str(Path(__file__).with_name("bench_claims.py")), "--child", "ours"]
    command += ["--folder", str(folder), "--source", "csv", "--target", str(target)]
    places = {"SCA_CACHE": str(work / "cache"), "PYTHONPATH": str(ROOT), "TMPDIR": str(work)}
    subprocess.run(command, check=True, env={"SCA_MEMORY": "3GB"} | os.environ | places)
    about: dict[str, float] = json.loads((target / "about.json").read_text())
    shutil.rmtree(target)
    return about


def describe_machine() -> str:
    """Say on what it ran."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lines", nargs="*", type=int, default=list(SIZES))
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    rows = []
    for lines in given.lines:
        with tempfile.TemporaryDirectory() as name:
            work = Path(name)
            began = time.perf_counter()
            make(work / "exports", lines)
            size = (work / "exports" / "claims.csv").stat().st_size / 1e9
            print(f"{lines:,} lines made in {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
            first, second = measure(work / "exports", work), measure(work / "exports", work)
            kept = sum(p.stat().st_size for p in (work / "cache").rglob("*.parquet")) / 1e9
        rows.append(
            f"| {lines:,} | {size:.2f} | {first['seconds']:,.0f} | {second['seconds']:,.1f} | {kept:.2f} | "
            f"{max(first['peak'], second['peak']):,.0f} |"
        )
        print(rows[-1], file=sys.stderr, flush=True)
    bound = os.environ.get("SCA_MEMORY", "3GB")
    table = "\n".join(
        [
            f"Measured on {date.today()} ({describe_machine()}, SCA_MEMORY={bound}) by",
            "`tests/benchmarks/grow.py --write`: claims read, checked, kept; the version that counts; in or out of",
            "network; sums by specialty, county and month; median and 80th percentile of charges by procedure.",
            "",
            "| claim lines | CSV [GB] | first run [s] | later runs [s] | kept [GB] | peak memory [MiB] |",
            "|--:|--:|--:|--:|--:|--:|",
            *rows,
            "",
        ]
    )
    print(table)
    if given.write:
        text = TARGET.read_text(encoding="utf-8")
        before, after = text.split(MARKS[0])[0], text.split(MARKS[1])[1]
        TARGET.write_text(f"{before}{MARKS[0]}{table}{MARKS[1]}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
