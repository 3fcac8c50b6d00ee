"""The same exports give the same bytes: `uv run python tests/benchmarks/drill_numbers.py [--data FOLDER] [--month M]`.

Writes every table of a month, and what `sca gaps`, `cases`, `check` and `quote` print and write, again and again: with
other hash seeds, time zones, locales, numbers of threads, amounts of memory, with and without what an earlier run kept,
from another folder, with the rows of the exports in another order, and with other Pythons (`SCA_PYTHONS`: interpreters
that have the package, parted as in PATH). SHA-256 of each file beside those of the first run; exit code 1 if one is not
the same. A locale that is not installed is said to be missing.
"""

import argparse
import csv
import hashlib
import json
import locale
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).parents[2]
CASE = ROOT / "data" / "example_case.json"
#: Files that name rows of the exports, or their hashes: another order of rows is another input to them.
OF_ROWS = {f"{kind}/{name}" for kind in ("report", "identified") for name in ("set_aside.csv", "manifest.json")}
_VARIABLES = ("LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "PYTHONHASHSEED", "PYTHONUTF8", "SCA_CACHE", "SCA_MEMORY", "TZ")


@dataclass(frozen=True)
class Setting:
    """Something that must not matter: variables of the environment, and options of ``write``."""

    name: str
    variables: dict[str, str] = field(default_factory=dict)
    options: Sequence[str] = ()
    python: str = sys.executable
    shuffle: int | None = None  # seed of another order of rows


def write(data: Path, month: str, out: Path, threads: int | None = None, engine: str = "duckdb") -> None:
    """Write all tables and what the commands say into a folder, in this process."""
    if "LC_ALL" in os.environ:
        locale.setlocale(locale.LC_ALL, "")  # as a program would that shows dates in the user's language
    import duckdb

    if threads:
        connect = duckdb.connect
        duckdb.connect = lambda *given, **more: connect(*given, **{"config": {"threads": threads}} | more)
    write_commands(data, write_month(data, month, out, engine), out, engine)


def write_month(data: Path, month: str, out: Path, engine: str = "duckdb") -> str:
    """Write the tables and words of a month, to be shared and identified, and return its last day."""
    from sca_analysis.monthly import analyse_month, list_limits, summarize
    from sca_analysis.saving import save_month

    shared = analyse_month(data, month, engine)
    for name, found in {"report": shared, "identified": replace(shared, is_identified=True)}.items():
        save_month(found, out / name)
        manifest = out / name / "manifest.json"
        said = json.loads(manifest.read_text(encoding="utf-8"))
        for what in ("made_at", "versions", "parameters"):  # when, by what and where it was made
            del said[what]
        manifest.write_text(json.dumps(said, indent=1), encoding="utf-8")
        words = f"{summarize(found)}\n{list_limits(found)}\n{found.source}\n"
        (out / name / "words.md").write_text(words, encoding="utf-8")
    return shared.as_of.isoformat()


def write_commands(data: Path, day: str, out: Path, engine: str) -> None:
    """Write what the commands print, and the tables that they write, as of a day."""
    from click.testing import CliRunner

    from sca_analysis.cli import main

    asked = ["--data", str(data), "--as-of", day, "--engine", engine]
    for name, call in {
        "gaps.txt": ["gaps", *asked, "--out", str(out / "gaps")],
        "gaps.json": ["gaps", *asked, "--json"],
        "cases.txt": ["cases", *asked, "--out", str(out / "cases")],
        "cases.json": ["cases", *asked, "--json"],
        "check.json": ["check", "--data", str(data), "--json"],
        "quote.txt": ["quote", str(CASE)],
        "quote.json": ["quote", str(CASE), "--json"],
    }.items():
        done = CliRunner().invoke(main, call, catch_exceptions=False)
        if done.exit_code:
            raise SystemExit(f"{call}: {done.output}")
        (out / name).write_bytes(done.stdout_bytes)


def hash_tree(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below a folder."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def run(setting: Setting, data: Path, month: str, out: Path, cwd: Path = ROOT) -> dict[str, str]:
    """Write all tables in a process of its own with a setting; return their hashes."""
    own = {k: v for k, v in os.environ.items() if k not in _VARIABLES}
    command = [setting.python, str(Path(__file__)), "--write", str(out), "--data", str(data), "--month", month]
    done = subprocess.run(
        [*command, *setting.options],
        env=own | {"PYTHONPATH": str(ROOT), "SCA_CACHE": "off"} | setting.variables,
        cwd=cwd,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=900,
    )
    if done.returncode:
        raise RuntimeError(f"{setting.name}: exit code {done.returncode}: {done.stderr}")
    return hash_tree(out)


def shuffle(source: Path, target: Path, seed: int) -> Path:
    """Copy an exports folder with the rows of each CSV file in another order.

    Rows that begin with the same value stay as they follow each other: of those that repeat a key the first
    counts, which is a rule and no accident.
    """
    shutil.copytree(source, target)
    for path in sorted(target.glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        groups: dict[tuple[str, ...], list[list[str]]] = {}
        for row in rows:
            groups.setdefault(tuple(row[:1]), []).append(row)
        order = list(groups.values())
        random.Random(seed).shuffle(order)
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([header, *(row for group in order for row in group)])
    return target


def has_locale(name: str) -> bool:
    """Return whether a locale is installed."""
    command = [sys.executable, "-c", "import locale; locale.setlocale(locale.LC_ALL, '')"]
    return subprocess.run(command, env=os.environ | {"LC_ALL": name}, capture_output=True).returncode == 0


def list_settings(kept: Path) -> Iterable[Setting]:
    """Yield the settings, the first being what all others are held against."""
    yield Setting("first run, nothing kept", {"PYTHONHASHSEED": "0", "SCA_CACHE": str(kept)})
    yield Setting("again, from what was kept", {"PYTHONHASHSEED": "0", "SCA_CACHE": str(kept)})
    yield Setting("hash seed 1", {"PYTHONHASHSEED": "1"})
    yield Setting("hash seed 4294967295, from what was kept", {"PYTHONHASHSEED": "4294967295", "SCA_CACHE": str(kept)})
    for zone in ("UTC", "Pacific/Kiritimati", "America/St_Johns"):
        yield Setting(f"TZ={zone}", {"TZ": zone})
    for name in ("C", "de_DE.UTF-8", "tr_TR.UTF-8", "de_DE.ISO-8859-1", "tr_TR.ISO-8859-9"):
        yield Setting(f"LC_ALL={name}", {"LC_ALL": name})
    for count in (1, 2, 8):
        pools = {"OMP_NUM_THREADS": str(count), "OPENBLAS_NUM_THREADS": str(count), "POLARS_MAX_THREADS": str(count)}
        yield Setting(f"threads: {count}", pools, ["--threads", str(count)])
    yield Setting("SCA_MEMORY=300MB", {"SCA_MEMORY": "300MB"})
    yield Setting("engine polars", options=["--engine", "polars"])
    for seed in (1, 2, 3):
        yield Setting(f"rows in another order ({seed})", shuffle=seed)
    for python in filter(None, os.environ.get("SCA_PYTHONS", "").split(os.pathsep)):
        told = subprocess.run([python, "-V"], check=True, capture_output=True, text=True).stdout.strip()
        yield Setting(told, python=python)
        yield Setting(f"{told}, threads: 1", {"PYTHONHASHSEED": "7"}, ["--threads", "1"], python)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "sample", help="exports folder")
    parser.add_argument("--month", default="2026-06")
    parser.add_argument("--only", help="of the settings, the first and those whose names this pattern finds")
    parser.add_argument("--write", type=Path, help="write all tables into this folder, here and now")
    parser.add_argument("--threads", type=int, help="of DuckDB")
    parser.add_argument("--engine", default="duckdb")
    given = parser.parse_args()
    if given.write:
        write(given.data, given.month, given.write, given.threads, given.engine)
        return
    failed = 0
    os.environ.setdefault("SCA_KEY", "a key for this drill alone")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        first: dict[str, str] = {}
        print(f"{'setting':<44}{'files':>6}{'same':>6}{'s':>7}  not the same")
        for number, setting in enumerate(list_settings(work / "kept")):
            if first and given.only and not re.search(given.only, setting.name):
                continue
            wanted = setting.variables.get("LC_ALL", "C")
            if not has_locale(wanted):
                print(f"{setting.name:<44}{'':>19}  not tried: the locale {wanted} is not installed")
                continue
            began, data, left_out = time.perf_counter(), given.data.resolve(), set()
            if setting.shuffle is not None:
                data, left_out = shuffle(data, work / f"shuffled-{number}", setting.shuffle), OF_ROWS
            found = run(setting, data, given.month, work / str(number), work)
            first = first or found
            names = (first.keys() | found.keys()) - left_out
            differ = sorted(n for n in names if first.get(n) != found.get(n))
            failed += bool(differ)
            took = time.perf_counter() - began
            print(
                f"{setting.name:<44}{len(names):>6}{len(names) - len(differ):>6}{took:>7.1f}  {', '.join(differ)}",
                flush=True,
            )
    raise SystemExit(failed > 0)


if __name__ == "__main__":
    main()
