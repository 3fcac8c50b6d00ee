"""What checking adds to the plain read of a CSV: `uv run python tests/benchmarks/bench_check.py [LINES] [--repeats N]`.

Ours reads the claims of bench_claims, checks every cell of every row, tells duplicates and versions apart and sets the
bad rows aside. The others read the same file into memory and do nothing else: DuckDB with all columns as text, and as
the types that it finds, Polars, and pandas. All must find all rows. In turns, each run in a process of its own.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from bench_claims import LAST, make
from record import peak_memory, record

LINES, REPEATS = 2_000_000, 5


def ours(folder: Path) -> int:
    """Read, check, set aside."""
    from sca_analysis import check, intake
    from sca_analysis.folder import find_files, read_config
    from sca_analysis.tables import CLAIMS

    files = [(t, s, find_files(folder, s)) for t, s in read_config(folder).sources() if t == CLAIMS]
    con, work = intake.connect((folder / "claims.csv").stat().st_size)
    loaded, _ = intake.load(con, work, folder, files, LAST)
    check.resolve_repeats(con, CLAIMS)
    [(accepted, reasons)] = check.count_reasons(con, loaded)
    check.list_findings(con, loaded)
    if len(check.list_set_aside(con, loaded)) != sum(reasons.values()):
        raise SystemExit("rows set aside and their reasons do not add up")
    return accepted + sum(reasons.values())


def _duckdb(folder: Path, more: str) -> int:
    import duckdb

    con = duckdb.connect()
    con.execute(f"CREATE TABLE claims AS SELECT * FROM read_csv('{folder}/claims.csv', header=true, {more})")
    return int(con.execute("SELECT count(*) FROM claims").fetchall()[0][0])


def by_polars(folder: Path) -> int:
    """All columns as text."""
    import polars

    return len(polars.read_csv(folder / "claims.csv", infer_schema=False))


def by_pandas(folder: Path) -> int:
    """All columns as text."""
    import pandas

    return len(pandas.read_csv(folder / "claims.csv", dtype=str, keep_default_na=False))


CONTESTANTS: dict[str, Callable[[Path], int]] = {
    "ours, all checked": ours,
    "DuckDB, as text": lambda folder: _duckdb(folder, "all_varchar=true"),
    "DuckDB, types it finds": lambda folder: _duckdb(folder, "sample_size=20480"),
    "Polars, as text": by_polars,
    "pandas, as text": by_pandas,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lines", nargs="?", type=int, default=LINES)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        import duckdb  # noqa: F401 - imports are nobody's concern here
        import pandas as pd  # noqa: F401
        import polars  # noqa: F401

        import sca_analysis.intake  # noqa: F401

        began = time.perf_counter()
        rows = CONTESTANTS[given.child](Path(given.folder))
        print(json.dumps([rows, time.perf_counter() - began, peak_memory()]))
        return
    times: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    peaks = dict.fromkeys(CONTESTANTS, 0.0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(given.folder or Path(name) / "exports")
        if not folder.exists():
            make(folder, given.lines)
        for _ in range(given.repeats):
            for contestant, taken in times.items():
                command = [sys.executable, __file__, "--child", contestant, "--folder", str(folder)]
                rows, seconds, peak = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
                if rows != given.lines:
                    raise SystemExit(f"{contestant} finds {rows:,} of {given.lines:,} rows")
                taken.append(seconds)
                peaks[contestant] = max(peaks[contestant], peak)
    base = median(times["ours, all checked"])
    print(f"{given.lines:,} claim lines; medians of {given.repeats} runs")
    for contestant, taken in times.items():
        ratio, peak = base / median(taken), peaks[contestant]
        print(f"{contestant:<24}{median(taken):>8.2f} s   ours / this: {ratio:5.2f}   peak {peak:,.0f} MiB")
    figures = [(c, median(t), median(t) / base, peaks[c]) for c, t in times.items()]
    record(f"checking: {given.lines:,} claim lines", figures)


if __name__ == "__main__":
    main()
