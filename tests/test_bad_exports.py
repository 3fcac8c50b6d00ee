"""Bad input of every kind ends in an account of every row or in one sentence: never a traceback, hang or wrong total.

The corpus is in ``tests/bad_exports.py``, ``bad_files.py`` and ``bad_settings.py``. Every case runs through ``sca
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
from sca_analysis.cli import main
from sca_analysis.errors import CaseError, ExportError, SCAError
from sca_analysis.exports import Exports
from sca_analysis.quotes import load_case
from sca_analysis.report import make_report
from tests.bad_exports import BILLED, GOOD, MEMBER, MONTH, Case, Told, cell_cases, claims, write
from tests.bad_files import cut_cases, file_cases, text_cases
from tests.bad_settings import Quoted, config_cases, fact_cases, quote_cases, sense_cases

EXPORTS = [*cell_cases(), *file_cases(), *cut_cases(), *text_cases(), *config_cases(), *fact_cases(), *sense_cases()]
#: Seconds that a command may take on a folder of a few kilobytes; a loaded machine needs some of them.
LIMIT = 30
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0

#: Cases that wait for a mend in the readers' core: why, by name.
_TOO_LARGE = "no rule sets a row aside whose amount, units or sessions no reckoning can hold"
_YAML = "exports.yaml is not read by readers.plain_yaml, which refuses this"
_INFLATES = "a .csv.gz may inflate without limit"
AWAITED: dict[str, str] = {
    "gz of good lines and a line of 1 GB": _INFLATES,
    "gz of good lines and 1 GB of blank lines": _INFLATES,
    "gz of good lines and 1 GB of zeros": _INFLATES,
    "gz of 1 GB of zeros": _INFLATES,
    "gz of 1 GB of lines": _INFLATES,
    "ends of U+2028": "a header with line separators in its names is taken for a header alone",
    "a lone surrogate in the plan": _YAML,
    "nested 3,000 deep": _YAML,
    "nested 20,000 deep": _YAML,
    "5 MB of comments": _YAML,
    "a key that is a list": _YAML,
    "a pipe in its place": _YAML,
    "a device in its place": _YAML,
    "a broken link in its place": "a broken link is as if there were no exports.yaml",
    "a link to itself in its place": "a broken link is as if there were no exports.yaml",
    "units beyond counting": _TOO_LARGE,
    "amounts at the end of what fits": _TOO_LARGE,
    "amounts of 1e15 and many units": _TOO_LARGE,
    "fees at the end of what fits": _TOO_LARGE,
    "benefits at the end of what fits": _TOO_LARGE,
    "agreements at the end of what fits": _TOO_LARGE,
    "agreements of sessions beyond counting": _TOO_LARGE,
}

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


def pending(case: Case | Quoted) -> None:
    if case.name in AWAITED and (isinstance(case, Case) and case.kind != "entered facts"):
        pytest.skip(f"awaited: {AWAITED[case.name]}")
    if IS_ROOT and isinstance(case, Case) and "not root" in case.tags:
        pytest.skip("root may read every file, so none can be closed to it")


def test_corpus_is_large_and_each_case_has_its_name() -> None:
    names = [f"{case.kind}: {case.name}" for case in EXPORTS]
    assert len(set(names)) == len(names) >= 200
    assert set(AWAITED) <= {case.name for case in EXPORTS}
    assert set(RECKONED) <= {case.name for case in EXPORTS}


@pytest.mark.usefixtures("read_once")
@pytest.mark.parametrize("case", EXPORTS, ids=lambda case: f"{case.kind}: {case.name}")
def test_bad_export(case: Case, tmp_path: Path) -> None:
    pending(case)
    told = case.spoil(tmp_path)
    data = ("--data", str(tmp_path), "--json")
    if told.says:
        line = sentence_of(run("check", *data))
        assert not [word for word in told.says if word not in line], line
        assert MEMBER not in line
        assert sentence_of(run("gaps", *data)) == sentence_of(run("cases", *data)) == line
        with pytest.raises(SCAError) as caught, within(LIMIT):
            make_report(MONTH, tmp_path, tmp_path / "out")
        assert f"sca: {caught.value}" == line
        assert not (tmp_path / "out").exists()
        return
    account(tmp_path, told)
    good = len(GOOD[told.path.split(".")[0]]()) if told.path.split(".")[0] in GOOD else 0
    if case.kind != "makes no sense" and (told.rows or 0) - told.aside == good and told.billed == BILLED:
        return  # the accepted rows are those of the good folder again, and the commands see no others
    has_claims = told.billed != 0 or told.rows != told.aside
    found = run("gaps", *data)
    if not Exports.open(tmp_path).frame("claims").empty:
        assert {row["status"] for row in json_of(found)} <= {"met", "closed", "no_provider", "too_far", "too_few"}
    else:
        assert not has_claims or told.billed is None
        assert sentence_of(found) == sentence_of(run("cases", *data))
    assert MEMBER not in found.stderr
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


def test_report_of_a_folder_with_bad_rows_in_every_table(tmp_path: Path) -> None:
    """All that was set aside is counted; what is left gives the same figures as if it had never been there."""
    write(tmp_path / "in", "members", "benefits", "fees", "agreements", "entered", claims=claims())
    for table, column in (
        ("claims", "provider_npi"),
        ("directory", "npi"),
        ("members", "zip"),
        ("fees", "usual_charge"),
    ):
        text = (tmp_path / "in" / f"{table}.csv").read_text(encoding="utf-8").splitlines()
        cells = text[1].split(",")
        cells[text[0].split(",").index(column)] = "1.23E+09x"
        bad = ",".join(cells)
        (tmp_path / "in" / f"{table}.csv").write_text("\n".join([*text, bad, ""]), encoding="utf-8")
    with within(120):
        folder = make_report(MONTH, tmp_path / "in", tmp_path / "out")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    rows = {one["table"]: one for one in manifest["rows"]}
    assert all(one["rows_read"] == one["accepted"] + one["set_aside"] for one in rows.values())
    assert {table: one["set_aside"] for table, one in rows.items() if one["set_aside"]} == dict.fromkeys(
        ("claims", "directory", "members", "fees"), 1
    )
    assert rows["claims"]["rows_read"] == len(claims()) + 1
    for path in folder.rglob("*"):
        if path.suffix in (".html", ".csv", ".json", ".ipynb"):
            assert MEMBER not in path.read_text(encoding="utf-8"), path.name
    assert sum(Exports.open(tmp_path / "in").frame("claims")["billed_amount"]) == BILLED


def test_report_says_what_a_cell_finds_out(tmp_path: Path) -> None:
    """What only the notebook can find, such as a month without claims, is one sentence too."""
    write(tmp_path / "in")
    result = run("report", "2020-01", "--data", str(tmp_path / "in"), "--out", str(tmp_path / "out"))
    line = sentence_of(result)
    assert "there are no claims in 2020-01" in line
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["2020-01.failed.ipynb"]


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
