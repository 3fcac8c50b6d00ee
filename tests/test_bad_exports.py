"""Bad input of every kind ends in an account of every row or in one sentence: never a traceback, hang or wrong total.

The corpus is in ``tests/bad_*.py``. Every case runs through ``sca
check`` and ``sca gaps``. A folder is read once: the commands get what was read from memory, as they do from the cache.
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sca_analysis import report as report_module
from sca_analysis.cli import main, show_all
from sca_analysis.errors import CaseError, ExportError, SCAError
from sca_analysis.exports import Exports
from sca_analysis.quotes import load_case
from sca_analysis.report import make_report
from tests.bad_cuts import cut_cases
from tests.bad_exports import BILLED, GOOD, MEMBER, MONTH, Case, Told, cell_cases, write
from tests.bad_files import file_cases
from tests.bad_quotes import Quoted, quote_cases
from tests.bad_sense import sense_cases
from tests.bad_settings import config_cases, fact_cases
from tests.bad_text import text_cases

EXPORTS = [*cell_cases(), *file_cases(), *cut_cases(), *text_cases(), *config_cases(), *fact_cases(), *sense_cases()]
#: Seconds that a command may take on a folder of a few kilobytes; a loaded machine needs some of them.
LIMIT = 30
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0

#: Folders of which the cases are listed too: those whose oddity reaches the reckoning of costs.
RECKONED = (
    "claims all denied",
    "claims all reversed",
    "units below zero",
    "units beyond counting",
    "amounts at the end of what fits",
    "amounts of 1e15 and many units",
    "fees at the end of what fits",
    "benefits at the end of what fits",
    "agreements at the end of what fits",
    "agreements of sessions beyond counting",
)


class TooSlowError(BaseException):
    """A command that has not ended; no ``except Exception`` of the code under test may catch it."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """End what hangs with an error that names the test, instead of the run."""

    def end(*_: object) -> None:
        raise TooSlowError(f"not ended after {seconds:g} seconds")

    former = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


@pytest.fixture
def read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the commands of one test share what was read, or the sentence that refused it."""
    read: dict[str, Exports | SCAError] = {}
    open_folder = Exports.open

    def remember(folder: str | Path, *more: Any) -> Exports:
        if str(folder) not in read:
            try:
                read[str(folder)] = open_folder(folder, *more)
            except SCAError as error:
                read[str(folder)] = error
        found = read[str(folder)]
        if isinstance(found, SCAError):
            raise found
        return found

    monkeypatch.setenv("SCA_CACHE", "off")
    monkeypatch.setattr(Exports, "open", remember)


def run(*arguments: str) -> Result:
    with within(LIMIT):
        result = CliRunner().invoke(main, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code in (0, 2), result.stderr
    return result


def sentence_of(result: Result) -> str:
    """The one sentence of a refusal."""
    assert result.exit_code == 2
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert line.startswith("sca: ")
    assert line.endswith(".")
    assert "Traceback" not in line
    assert len(line) < 1500
    return line


def no_constant(word: str) -> None:
    raise AssertionError(f"{word} is no JSON")


def json_of(result: Result) -> Any:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout, parse_constant=no_constant, parse_float=Decimal)


def account(folder: Path, told: Told) -> None:
    """Hold what was read against what the case says that it wrote."""
    answer = json_of(run("check", "--data", str(folder), "--json"))
    for one in answer["files"]:
        assert one["rows_read"] == one["accepted"] + one["set_aside"]
        assert sum(one["reasons"].values()) == one["set_aside"]
    mine = [one for one in answer["files"] if one["path"] == told.path]
    others = [one for one in answer["files"] if one["path"] != told.path]
    assert mine, f"{told.path} is not among the files read"
    assert not sum(one["set_aside"] for one in others), "rows of a file that is good"
    if told.rows is not None:
        assert sum(one["rows_read"] for one in mine) == told.rows, "rows read, by an independent count"
    assert sum(one["set_aside"] for one in mine) == told.aside, mine
    if told.reasons:
        assert {reason for one in mine for reason in one["reasons"]} <= set(told.reasons)
    exports = Exports.open(folder)
    if told.counts:
        first = exports.set_aside["row"].min() - next(n for n, reason in enumerate(told.counts) if reason)
        listed = dict(zip(exports.set_aside["row"] - first, exports.set_aside["reason"], strict=True))
        assert listed == {n: reason for n, reason in enumerate(told.counts) if reason}, "each row for its own reason"
    assert len(exports.set_aside) <= told.aside
    assert not exports.set_aside["value_class"].str.contains(MEMBER).any()
    if told.billed is not None:
        total = sum(exports.frame("claim_versions")["billed_amount"].dropna(), Decimal(0))
        assert total == told.billed, "what the accepted lines bill"


def test_corpus_is_large_and_each_case_has_its_name() -> None:
    names = [f"{case.kind}: {case.name}" for case in EXPORTS]
    assert len(set(names)) == len(names) >= 200
    assert set(RECKONED) <= {case.name for case in EXPORTS}


@pytest.mark.usefixtures("read_once")
@pytest.mark.parametrize("case", EXPORTS, ids=lambda case: f"{case.kind}: {case.name}")
def test_bad_export(case: Case, tmp_path: Path) -> None:
    if IS_ROOT and "not root" in case.tags:
        pytest.skip("root may read every file, so none can be closed to it")
    told = case.spoil(tmp_path)
    data = ("--data", str(tmp_path), "--json")
    if told.says:
        line = sentence_of(run("check", *data))
        assert not [word for word in told.says if word not in line], line
        assert MEMBER not in line
        assert sentence_of(run("gaps", *data)) == sentence_of(run("cases", *data)) == line
        with pytest.raises(SCAError) as caught, within(LIMIT):
            make_report(MONTH, tmp_path, tmp_path / "out")
        assert f"sca: {show_all(str(caught.value))}" == line
        assert not (tmp_path / "out").exists()
        return
    account(tmp_path, told)
    good = len(GOOD[told.path.split(".")[0]]()) if told.path.split(".")[0] in GOOD else 0
    if case.kind != "makes no sense" and (told.rows or 0) - told.aside == good and told.billed == BILLED:
        return  # the accepted rows are those of the good folder again, and the commands see no others
    has_claims = told.billed != 0 or told.rows != told.aside
    found = run("gaps", *data)
    assert MEMBER not in found.stderr
    if Exports.open(tmp_path).frame("claims").empty:
        assert not has_claims or told.billed is None
        assert sentence_of(found) == sentence_of(run("cases", *data))
        return
    assert {row["status"] for row in json_of(found)} <= {"met", "closed", "no_provider", "too_far", "too_few"}
    if case.name in RECKONED:
        listed = run("cases", *data)
        assert MEMBER not in listed.stderr
        assert {row["rank"] for row in json_of(listed)} == set(range(1, len(json_of(listed)) + 1))


@pytest.mark.parametrize("case", list(quote_cases()), ids=lambda case: case.name)
def test_bad_case_file(case: Quoted, tmp_path: Path) -> None:
    path = case.write(tmp_path)
    if "\0" in str(path):  # no shell can pass it on
        with pytest.raises(CaseError, match=r"NUL byte: correct it\.$"):
            load_case(path)
        return
    result = run("quote", str(path), "--json")
    if not case.fine:
        assert path.name[:20] in sentence_of(result)
        return
    arrangements = json_of(result)["arrangements"]
    for arrangement in arrangements.values():
        for amount in ("billed", "allowed", "plan_paid", "member_cost_share", "balance_bill"):
            assert sum(Decimal(visit[amount]) for visit in arrangement["visits"]) == Decimal(
                arrangement["totals"][amount]
            )
        for visit in arrangement["visits"]:
            assert Decimal(visit["plan_paid"]) + Decimal(visit["member_cost_share"]) == Decimal(visit["allowed"])
            assert 0 <= Decimal(visit["plan_paid"]) <= Decimal(visit["billed"])


# ---- the report itself ----


def test_report_starts_no_notebook_for_what_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_module, "_execute", lambda *_: pytest.fail("a notebook was started"))
    began = time.monotonic()
    for number, spoil in enumerate((b"", b"a,b\n1,2\n", b"PK\x03\x04", b"\x1f\x8b")):
        folder = tmp_path / str(number)
        write(folder, claims=spoil)
        with pytest.raises(ExportError, match=r"claims\.csv"):
            make_report(MONTH, folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert time.monotonic() - began < LIMIT
