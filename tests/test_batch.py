"""Many reports at once: none stops another, none is made twice without need, and the log says what was done."""

import hashlib
import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nbformat
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from sca_analysis import batch
from sca_analysis.batch import Run, make_reports, read_plans
from sca_analysis.cli import main
from sca_analysis.errors import ParameterError, ReportError
from sca_analysis.exports import Exports
from sca_analysis.months import MOST_MONTHS, parse_months
from sca_analysis.pseudonyms import find_key, name_key
from sca_analysis.report import FILES, NOTEBOOK, is_current
from sca_analysis.saving import hash_inputs
from tests.folders import JOINED, claim, listing, write_tables

# what the monthly notebook leaves in its folder, without the analysis; hashes made another way than by the package
STUB = """
import hashlib, json, pathlib, time
from importlib.metadata import version
from sca_analysis.pseudonyms import find_key, name_key
out, src = pathlib.Path(folder), pathlib.Path(data)
(src / f"{month}.begun").write_text("")
others = [src / f"{m}.begun" for m in ("2026-01", "2026-02")]
end = time.monotonic() + 60
while not all(o.exists() for o in others):
    assert time.monotonic() < end, "the other run did not begin: they are not made at the same time"
    time.sleep(0.05)
if month == "2026-02":
    raise ValueError("M0000001")
(out / "tables").mkdir()
(out / "tables.xlsx").touch(), (out / "set_aside.csv").touch()
inputs = [{"path": n, "sha256": hashlib.sha256((src / n).read_bytes()).hexdigest()}
          for n in ("claims.csv", "directory.csv")]
manifest = {"parameters": {"month": month, "data": data, "pseudonym_key": name_key(find_key())},
            "inputs": inputs, "looked_for": [],
            "versions": {"sca-analysis": version("sca-analysis")}}
(out / "manifest.json").write_text(json.dumps(manifest))
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An exports folder of two files."""
    return write_tables(tmp_path / "data", claims=[claim("M1", 1)], directory=[listing(1)])


def write_report(folder: Path, month: str, data: Path, **changes: Any) -> Path:
    """Write what a report's folder holds, made from ``data``."""
    (folder / "tables").mkdir(parents=True)
    for name in FILES:
        if name != "tables":
            (folder / name).write_text("")
    manifest = {
        "parameters": {"month": month, "data": str(data.resolve()), "pseudonym_key": name_key(find_key())},
        "inputs": [
            {"path": p.name, "sha256": hashlib.sha256(p.read_bytes()).hexdigest()} for p in sorted(data.glob("*.csv"))
        ],
        "looked_for": [],
        "versions": {"sca-analysis": version("sca-analysis")},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest | changes))
    return folder


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The months of reports made by a stand-in that runs no notebook; 2026-02 fails, 2026-03 breaks."""
    months: list[str] = []

    def stand_in(month: str, data: Path, out: Path, *_: Any) -> Path:
        months.append(month)
        if month == "2026-02":
            raise ReportError("the report 2026-02 failed.")
        if month == "2026-03":
            raise KeyError("M0000001")
        return write_report(out / month, month, data) if not (out / month).exists() else out / month

    monkeypatch.setattr(batch, "make_report", stand_in)
    return months


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["report", *(str(a) for a in arguments)])


@given(st.integers(1900 * 12, 9999 * 12), st.integers(0, MOST_MONTHS - 1))
def test_a_range_is_every_month_once(first: int, more: int) -> None:
    more = min(more, 9999 * 12 + 11 - first)
    text = "..".join(f"{n // 12:04}-{n % 12 + 1:02}" for n in (first, first + more))
    months = parse_months(text)
    assert len(months) == more + 1
    walked, (year, month) = [], divmod(first, 12)
    for _ in range(more + 1):  # step by step, as on a calendar
        walked.append(f"{year:04}-{month + 1:02}")
        year, month = (year + 1, 0) if month == 11 else (year, month + 1)
    assert months == walked
    assert parse_months(months[0]) == [months[0]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2026-06..2026-05", "runs backwards"),
        ("2026-06..", "'' is no month"),
        ("..2026-06", "'' is no month"),
        ("2026-06...2026-07", "'.2026-07' is no month"),
        ("2026-13..2027-01", "'2026-13' is no month"),
        ("2000-01..2026-06", "240 at most"),
    ],
)
def test_a_bad_range_is_one_sentence(text: str, said: str) -> None:
    with pytest.raises(ParameterError, match=re.escape(said)):
        parse_months(text)


def test_runs_are_made_at_the_same_time_and_one_that_fails_stops_none(data: Path, tmp_path: Path) -> None:
    book = nbformat.v4.new_notebook(metadata=nbformat.read(NOTEBOOK, as_version=4).metadata)
    parameters = nbformat.v4.new_code_cell('month = ""\ndata = ""\nfolder = ""', metadata={"tags": ["parameters"]})
    book.cells = [parameters, nbformat.v4.new_code_cell(STUB)]
    nbformat.write(book, tmp_path / "stub.ipynb")
    runs = [Run("A", f"2026-0{m}", data, tmp_path / "out") for m in (1, 2, 3)]
    lines: list[str] = []
    results = make_reports(runs, jobs=2, log=lines.append, notebook=tmp_path / "stub.ipynb")
    assert [r.outcome for r in results] == ["made", "failed", "made"]
    assert "failed in cell 3" in results[1].why
    assert is_current(tmp_path / "out" / "2026-01", "2026-01", data)
    left = {p.name for p in (tmp_path / "out").iterdir()}
    assert left == {"2026-01", "2026-03", "2026-02.failed.ipynb"}
    text = "\n".join(lines)
    assert "M0000001" not in text
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", line) for line in lines)
    assert len(re.findall(r"Z (?:made|failed) A 2026-0\d in \d+\.\d s: ", text)) == 3
    assert re.search(r"2 made, 0 skipped, 1 failed of 3 in \d+\.\d s; failed: A 2026-02$", lines[-1])


def test_only_a_report_of_the_same_is_skipped(data: Path, tmp_path: Path) -> None:
    folder = write_report(tmp_path / "r" / "2026-01", "2026-01", data)
    assert is_current(folder, "2026-01", data)
    assert not is_current(folder, "2026-02", data)
    assert not is_current(folder, "2025-12", data)
    as_it_was = (data / "claims.csv").read_text()
    (data / "claims.csv").write_text("changed")
    assert not is_current(folder, "2026-01", data)
    (data / "claims.csv").write_text(as_it_was)
    assert is_current(folder, "2026-01", data)
    (data / "members.csv").write_text("a file more")
    assert not is_current(folder, "2026-01", data)
    (data / "members.csv").unlink()
    for name in FILES:
        moved = (folder / name).rename(tmp_path / "aside")
        assert not is_current(folder, "2026-01", data), f"whole without {name}"
        moved.rename(folder / name)
    for place, changes in enumerate(
        ({"versions": {"sca-analysis": "0.0.9"}}, {"inputs": []}, {"parameters": {}}, {"inputs": [{"path": 1}]})
    ):
        assert not is_current(write_report(tmp_path / f"c{place}", "2026-01", data, **changes), "2026-01", data)
    (folder / "manifest.json").write_text("{")
    assert not is_current(folder, "2026-01", data)


def test_files_beside_are_inputs(data: Path, tmp_path: Path) -> None:
    (data / "exports.yaml").write_text(JOINED)
    number = (data / "claims.csv").read_text().splitlines()[1].split(",")[0]
    (data / "extra.csv").write_text(f"claim_id,net\n{number},A1\n")
    inputs = [{"path": p, "sha256": h} for p, h in hash_inputs(Exports.open(data))]
    assert [one["path"] for one in inputs] == ["exports.yaml", "claims.csv", "directory.csv", "extra.csv"]
    folder = write_report(tmp_path / "2026-01", "2026-01", data, inputs=inputs, looked_for=["later.csv"])
    assert is_current(folder, "2026-01", data)
    (data / "later.csv").write_text("it was looked for, and was not there")
    assert not is_current(folder, "2026-01", data)
    (data / "later.csv").unlink()
    (data / "extra.csv").write_text(f"claim_id,net\n{number},B2\n")
    assert not is_current(folder, "2026-01", data)


def test_a_standard_of_the_plans_own_is_an_input(data: Path, tmp_path: Path) -> None:
    (data / "exports.yaml").write_text(
        "plan: {standard: own.csv}\nclaims: {path: 'c*.csv'}\ndirectory: {path: directory.csv}"
    )
    (data / "own.csv").write_text("1")
    folder = write_report(tmp_path / "2026-01", "2026-01", data)
    manifest = json.loads((folder / "manifest.json").read_text())
    digest = hashlib.sha256((data / "exports.yaml").read_bytes()).hexdigest()
    manifest["inputs"].append({"path": "exports.yaml", "sha256": digest})
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert is_current(folder, "2026-01", data)
    (data / "own.csv").write_text("2")
    assert not is_current(folder, "2026-01", data)
    (data / "own.csv").write_text("1")
    (data / "c2.csv").write_text("a file more of the pattern")
    assert not is_current(folder, "2026-01", data)


def test_range_on_the_command_line(data: Path, tmp_path: Path, made: list[str]) -> None:
    out = tmp_path / "out"
    result = run("2026-01..2026-04", "--data", data, "--out", out, "--jobs", "1")
    assert result.exit_code == 1, "some failed"
    assert result.stdout.split() == [str(out / m / "report.html") for m in ("2026-01", "2026-04")]
    assert "2 made, 0 skipped, 2 failed of 4" in result.stderr
    assert "failed with KeyError" in result.stderr
    assert "M0000001" not in result.output
    assert made == ["2026-01", "2026-02", "2026-03", "2026-04"]
    again = run("2026-01..2026-05", "--data", data, "--out", out, "--resume", "--log", tmp_path / "log")
    assert sorted(made[4:]) == ["2026-02", "2026-03", "2026-05"]
    assert again.exit_code == 1
    log = (tmp_path / "log").read_text()
    assert "1 made, 2 skipped, 2 failed of 5" in log
    assert again.stderr.count("\n") == 2, "with a log, stderr has what failed alone"
    good = run("2026-04..2026-05", "--data", data, "--out", out, "--resume", "--log", tmp_path / "log")
    assert (good.exit_code, good.stderr) == (0, "")
    assert (tmp_path / "log").read_text().startswith(log), "a log is added to"


def test_single_month_is_as_it_was(data: Path, tmp_path: Path, made: list[str]) -> None:
    result = run("2026-01", "--data", data, "--out", tmp_path)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{tmp_path / '2026-01' / 'report.html'}\n"
    failed = run("2026-02", "--data", data, "--out", tmp_path, "--log", tmp_path / "log")
    assert (failed.exit_code, failed.stdout) == (2, "")
    assert failed.stderr == "sca: the report 2026-02 failed.\n"
    assert "failed 2026-02 in " in (tmp_path / "log").read_text()
    assert isinstance(run("2026-03", "--data", data, "--out", tmp_path).exception, KeyError), (
        "a mistake of ours is seen"
    )


def test_pdf_is_extra(data: Path, tmp_path: Path, made: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[Path] = []

    def stand_in(page: Path) -> Path:
        if page.parent.name == "2026-04":
            raise ReportError("there is no PDF.")
        printed.append(page)
        return page.with_suffix(".pdf")

    monkeypatch.setattr(batch, "print_pdf", stand_in)
    result = run("2026-01", "--data", data, "--out", tmp_path, "--no-pdf")
    assert printed == []
    result = run("2026-01", "--data", data, "--out", tmp_path, "--pdf", "--resume")
    assert printed == [tmp_path / "2026-01" / "report.html"], "of a report that is skipped, if it has none"
    (tmp_path / "2026-01" / "report.pdf").touch()
    run("2026-01", "--data", data, "--out", tmp_path, "--pdf", "--resume")
    assert len(printed) == 1
    result = run("2026-04", "--data", data, "--out", tmp_path, "--pdf")
    assert (result.exit_code, result.stderr) == (0, "there is no PDF.\n")
    result = run("2026-04..2026-05", "--data", data, "--out", tmp_path, "--pdf")
    assert result.exit_code == 0
    assert result.stderr.count("there is no PDF.") == 1


def test_plans_of_a_file(data: Path, tmp_path: Path, made: list[str]) -> None:
    plans = tmp_path / "plans.yaml"
    plans.write_text(
        "- {name: 007, data: data, out: out/a, months: 2025-12..2026-01}\n"
        "- {name: NO, data: data, out: out/b, months: [2026-06, 2026-04..2026-06]}\n"
    )
    runs = read_plans(plans)
    assert [(r.name, r.month) for r in runs] == [
        *(("007", m) for m in ("2025-12", "2026-01")),
        *(("NO", m) for m in ("2026-06", "2026-04", "2026-05")),
    ]
    assert {r.data for r in runs} == {data}, "relative to the file"
    result = run("--plans", plans, "--jobs", "2")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "b" / "2026-05" / "report.html").exists()
    made.clear()
    assert run("2026-01", "--plans", plans, "--resume").exit_code == 0
    assert made == ["2026-01"], "MONTH counts for all plans; one of them had it already"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- {name: A", "line 1 is not valid YAML"),
        ("name: A", "should be a list of plans"),
        ("[]", "should be a list of plans"),
        ("- {name: A, data: d, months: 2026-01}", "plan 1.out: field required"),
        ("- {name: A, data: d, out: o, month: 2026-01}", "plan 1.month: is not a name that is known"),
        ("- {name: A, data: d, out: o}", "the plan 'A' has no months"),
        ("- {name: A, data: d, out: o, months: 2026-1}", "'2026-1' is no month"),
        ("- &a {name: A, data: d, out: o, months: 2026-01}\n- *a", "two plans would write"),
        (
            "- {name: A, data: d, out: o, months: 2026-01}\n- {name: B, data: d, out: x/../o, months: 2026-01}",
            "two plans would write",
        ),
    ],
)
def test_a_bad_file_of_plans_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "plans.yaml").write_text(text)
    result = run("--plans", tmp_path / "plans.yaml")
    assert result.exit_code == 2
    [line] = result.stderr.splitlines()
    assert said in line


def test_bad_calls_are_one_sentence(tmp_path: Path, data: Path) -> None:
    (tmp_path / "plans.yaml").write_text("- {name: A, data: data, out: o, months: 2026-01}")
    for arguments, said in (
        (("--plans", tmp_path / "absent.yaml"), "cannot be read"),
        (("--plans", tmp_path / "plans.yaml", "--out", tmp_path), "leave --out out"),
        (("2026-01..2026-02", "--data", data, "--jobs", "0"), "--jobs is 1 or more"),
        (("2026-02..2026-01",), "runs backwards"),
        ((), "missing argument 'MONTH'"),
    ):
        result = run(*arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert said in result.stderr
        assert result.stderr.count("\n") == 1
