"""Let a benchmark say its figures to `run_all`, which puts those of all into one table."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

#: Environment variable: file that the figures are added to.
PLACE = "BENCH_RECORD"


def record(benchmark: str, rows: Iterable[tuple[str, float, float, float | None]]) -> None:
    """Add the rows of a benchmark: contestant, seconds, ratio, peak memory [MiB] if it was measured."""
    if place := os.environ.get(PLACE):
        with Path(place).open("a", encoding="utf-8") as stream:
            stream.writelines(json.dumps([benchmark, *row]) + "\n" for row in rows)
