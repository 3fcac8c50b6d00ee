"""Make many reports unattended: a range of months, several plans, in parallel, without those that stand.

In: months and a parameter file. Out: one ``Result`` a run. Each run is as atomic as a single one, and one that
fails stops no other. The log names plans, months and folders, never a member.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Annotated, Literal

import yaml
from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from sca_analysis import engines, holding
from sca_analysis.errors import ParameterError, ReportError, SCAError
from sca_analysis.months import parse_months
from sca_analysis.pdf import print_pdf
from sca_analysis.readers.source import Entry
from sca_analysis.report import NOTEBOOK, explain, is_current, make_report

Outcome = Literal["made", "skipped", "failed"]


@dataclass(frozen=True)
class Run:
    """One report to make: the month (YYYY-MM) of the exports in ``data``, to ``out/month``, as `make_report` does."""

    name: str
    month: str
    data: Path
    out: Path
    engine: str = engines.DEFAULT
    identified: bool = False

    @property
    def folder(self) -> Path:
        """Folder of the report."""
        return self.out / self.month


@dataclass(frozen=True)
class Result:
    """What came of a run.

    Attributes
    ----------
    run : Run
    outcome : {"made", "skipped", "failed"}
        Skipped: the report that is there was made from the same.
    seconds : float
        Wall-clock time of this run.
    why : str
        The sentence that says why it failed, or why there is no PDF; blank if all is well.
    error : Exception, optional
        What a failed run raised.

    """

    run: Run
    outcome: Outcome
    seconds: float
    why: str = ""
    error: Exception | None = None


class _Listed(Entry):
    """One plan of a parameter file; folders are relative to that file."""

    name: str
    data: Path
    out: Path
    months: Annotated[list[str], BeforeValidator(lambda given: [given] if isinstance(given, str) else given)] = Field(
        default_factory=list
    )


_PLANS = TypeAdapter(list[_Listed])


def read_plans(
    path: Path, months: str | None = None, engine: str = engines.DEFAULT, identified: bool = False
) -> list[Run]:
    """Return the runs of a parameter file: a list of ``{name, data, out, months}``.

    Parameters
    ----------
    path : Path
        YAML. ``data`` and ``out`` are relative to its folder; ``months`` is a month, a range or a list of both.
    months : str, optional
        A month or range for all plans, in place of theirs.
    engine : str
        Of ``engines.ENGINES``, for all plans.
    identified : bool
        As of ``report.make_report``, for all plans.

    Raises
    ------
    ParameterError
        If the file cannot be read, is not such a list, a plan has no months, or two runs would write the same
        report.

    """
    if path.exists() and not path.is_file():  # a pipe or a device may never end
        raise ParameterError(f"{path} is no file: give a YAML file, saved as UTF-8, with --plans.")
    try:
        # every scalar stays text, so that a name such as 007 or NO means what it says
        given = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=yaml.BaseLoader)  # noqa: S506
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" line {mark.line + 1}" if mark else ""
        raise ParameterError(f"{path}{place} is not valid YAML: check indentation, colons and quotes there.") from error
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise ParameterError(f"{path} cannot be read: give a YAML file, saved as UTF-8, with --plans.") from error
    if not isinstance(given, list) or not given:
        raise ParameterError(f"{path} should be a list of plans, each with name, data, out and months.")
    try:
        plans = _PLANS.validate_python(given)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part + 1) if isinstance(part, int) else part for part in first["loc"])
        unknown = first["type"] == "extra_forbidden"
        what = "is not a name that is known there" if unknown else first["msg"].lower()
        raise ParameterError(f"{path}: plan {place}: {what}; each has name, data, out and months.") from error
    runs = []
    for plan in plans:
        wanted = [months] if months else plan.months
        if not wanted:
            raise ParameterError(f"{path}: the plan {plan.name!r} has no months: add them, or give MONTH.")
        listed = dict.fromkeys(month for text in wanted for month in parse_months(text))
        data, out = path.parent / plan.data, path.parent / plan.out
        runs += [Run(plan.name, month, data, out, engine, identified) for month in listed]
    twice = [
        str(run.folder) for run, n in Counter(Run("", r.month, Path(), r.out.resolve()) for r in runs).items() if n > 1
    ]
    if twice:
        raise ParameterError(f"{path}: two plans would write {twice[0]}: give each an out of its own.")
    return runs


def make_reports(
    runs: Sequence[Run],
    jobs: int | None = None,
    resume: bool = False,
    pdf: bool = False,
    log: Callable[[str], object] = lambda line: None,
    notebook: Path = NOTEBOOK,
    progress: bool = False,
) -> list[Result]:
    """Make reports, several at a time, and return what came of each, in the order of the runs.

    Each run's notebook is a process of its own, in which nearly all of the work is done.

    Parameters
    ----------
    runs : sequence of Run
    jobs : int, optional
        Runs at a time; one for each core of this machine if not given.
    resume : bool
        Skip what ``report.is_current`` says need not be made again.
    pdf : bool
        Print each to report.pdf too; without Chromium the report counts as made all the same.
    log : callable
        Gets one line when a run begins and one when it ends, with its outcome and seconds.
    notebook : Path
    progress : bool
        Show a progress bar, where there is one run at a time.

    Raises
    ------
    ParameterError
        If jobs is less than 1.

    """
    if jobs is not None and jobs < 1:
        raise ParameterError(f"{jobs} runs at a time make none: --jobs is 1 or more.")
    at_once = max(1, min(jobs or count_cores(), len(runs)))
    began, lock = time.monotonic(), Lock()

    def write(line: str) -> None:
        with lock, suppress(OSError):  # a log on a full disk stops no run
            log(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {line}")

    def make(run: Run) -> Result:
        write(f"begin {_name(run)}")
        result = _make_one(run, resume, pdf, notebook, progress and at_once == 1, write)
        write(tell(result))
        return result

    write(f"start {len(runs)} runs, {at_once} at a time")
    with ExitStack() as stack:
        try:
            stack.enter_context(holding.temporary())
        except OSError as error:
            write(why := f"no temporary folder can be made ({error.strerror}): free some room, or set TMPDIR.")
            raise ReportError(why) from error
        # a thread waits for each kernel: a process for it would only load all libraries once more
        executor = ThreadPoolExecutor(at_once, thread_name_prefix="report")
        stack.callback(executor.shutdown, cancel_futures=True)  # after Ctrl-C, those not begun are not made
        results = list(map(make, runs) if at_once == 1 else executor.map(make, runs))
    write(summarize(results, time.monotonic() - began))
    return results


def _make_one(
    run: Run, resume: bool, pdf: bool, notebook: Path, progress: bool, write: Callable[[str], None]
) -> Result:
    def say(note: str) -> None:
        write(f"note {_name(run)}: {note}")

    began = time.monotonic()
    outcome: Outcome = "made"
    why = ""
    try:
        if run.out.is_dir():
            with suppress(OSError), holding.alone(run.folder, say):  # the last good report may have to be put back
                pass
        if resume and is_current(run.folder, run.month, run.data, run.identified):
            outcome = "skipped"
        else:
            make_report(run.month, run.data, run.out, notebook, progress, run.engine, run.identified, say)
    except SCAError as error:
        return Result(run, "failed", time.monotonic() - began, str(error), error)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other runs go on; its words may hold a value
        if known := explain(type(error).__name__, str(error)):
            where = f" at {error.filename}" if isinstance(error, OSError) and error.filename else ""
            why = f"the report {run.month} failed{where}: {known}."
            return Result(run, "failed", time.monotonic() - began, why, ReportError(why))
        why = f"the report {run.month} failed with {type(error).__name__}, which is no fault of the input."
        return Result(run, "failed", time.monotonic() - began, why, error)
    if pdf and not (outcome == "skipped" and (run.folder / "report.pdf").exists()):
        try:
            print_pdf(run.folder / "report.html")
        except ReportError as error:
            why = str(error)
    return Result(run, outcome, time.monotonic() - began, why)


def tell(result: Result) -> str:
    """Return a run and what came of it as one line."""
    line = f"{result.outcome} {_name(result.run)} in {result.seconds:.1f} s: {result.run.folder / 'report.html'}"
    return f"{line}: {' '.join(result.why.split())}" if result.why else line


def summarize(results: Sequence[Result], seconds: float) -> str:
    """Return how many were made, skipped and failed, and which failed, as one line."""
    counts = Counter(result.outcome for result in results)
    failed = "; ".join(_name(r.run) for r in results if r.outcome == "failed")
    return (
        f"{counts['made']} made, {counts['skipped']} skipped, {counts['failed']} failed of {len(results)} "
        f"in {seconds:.1f} s" + (f"; failed: {failed}" if failed else "")
    )


def count_cores() -> int:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _name(run: Run) -> str:
    return f"{run.name} {run.month}" if run.name else run.month
