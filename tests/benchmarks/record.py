"""What benchmarks share: their figures go to `run_all`, which puts those of all into one table; peak memory."""

import json
import os
import resource
from collections.abc import Iterable
from pathlib import Path

#: Environment variable: file that the figures are added to.
PLACE = "BENCH_RECORD"


def record(benchmark: str, rows: Iterable[tuple[str, float, float, float | None]]) -> None:
    """Add the rows of a benchmark: contestant, seconds, ratio, peak memory [MiB] if it was measured."""
    if place := os.environ.get(PLACE):
        with Path(place).open("a", encoding="utf-8") as stream:
            stream.writelines(json.dumps([benchmark, *row]) + "\n" for row in rows)


def peak_memory() -> float:
    """Return the most memory that this process has held [MiB].

    Not ``ru_maxrss``: on Linux a child begins with what its parent has held until then.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    [line] = [line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024
