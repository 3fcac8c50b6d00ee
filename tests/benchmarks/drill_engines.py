"""Whether engines give the same, row for row: `uv run --all-extras python tests/benchmarks/drill_engines.py`.

Of a synthetic plan (100,000 members: a million claim lines; `--members`), the claim lines that count as every engine
hands them out, and every table of a month's report, compared with DuckDB's; with the seconds that each took.
"""

import argparse
import gc
import tempfile
import time
from datetime import date
from pathlib import Path

import pandas as pd

from sca_analysis.claims import service_lines
from sca_analysis.engines import ENGINES
from sca_analysis.exports import Exports, to_pandas
from sca_analysis.monthly import analyse_month
from sca_analysis.sample import write_sample

_KEY = ["claim_id", "line_number"]
_EVER = date(1900, 1, 1)


def work_out(folder: Path, engine: str) -> tuple[dict[str, pd.DataFrame], dict[str, float]]:
    """Return what an engine makes of the exports, and the seconds of each part."""
    took, began = {}, time.perf_counter()
    exports = Exports.open(folder, engine)
    took["opened"] = time.perf_counter() - began
    began = time.perf_counter()
    lines = to_pandas(service_lines(exports, _EVER, exports.last_day).sort(*_KEY))
    took["lines"] = time.perf_counter() - began
    began = time.perf_counter()
    month = analyse_month(folder, f"{exports.last_day:%Y-%m}", engine, identified=True)
    tables = {name: table for name, table in month.tables.items() if name != "files"}
    took["a month"] = time.perf_counter() - began
    return {"claim lines": lines[sorted(lines)]} | tables, took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=100_000)
    parser.add_argument("--engines", nargs="*", choices=ENGINES, default=list(ENGINES))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "exports"
        write_sample(folder, given.members, 1)
        Exports.open(folder)  # read and checked once, for all
        ours, took = work_out(folder, "duckdb")
        print(f"{len(ours['claim lines']):,} claim lines that count; {len(ours) - 1} tables of a month")
        print("duckdb: " + ", ".join(f"{what} {seconds:.1f} s" for what, seconds in took.items()), flush=True)
        for engine in given.engines:
            if engine == "duckdb":
                continue
            theirs, took = work_out(folder, engine)
            for table, rows in ours.items():
                pd.testing.assert_frame_equal(theirs[table], rows, check_exact=True, obj=f"{table} of {engine}")
            seconds = ", ".join(f"{what} {seconds:.1f} s" for what, seconds in took.items())
            print(f"{engine}: the same in every row, column, type and digit; {seconds}", flush=True)
            del theirs
            gc.collect()


if __name__ == "__main__":
    main()
