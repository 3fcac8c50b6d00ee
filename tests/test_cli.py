"""The command line: its JSON is the contract, and a fault of the input is one sentence and exit code 2."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sca_analysis.cli import main
from sca_analysis.monthly import Month
from sca_analysis.tables import CASES, GAPS
from tests.conftest import ROOT, SAMPLE


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def fails(*arguments: str | Path) -> str:
    """Run a command that has to fail with one sentence; return it."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    [line] = result.stderr.strip().splitlines()
    assert line.startswith("sca: ")
    assert line.endswith(".")
    return line


def test_check_json_adds_up() -> None:
    result = run("check", "--data", SAMPLE, "--json")
    assert result.exit_code == 0
    files = json.loads(result.stdout)["files"]
    tables = ["claims", "directory", "members", "benefits", "fees", "agreements", "entered"]
    assert [f["table"] for f in files] == tables
    for file in files:
        assert set(file) == {"table", "path", "format", "rows_read", "accepted", "set_aside", "reasons"}
        assert file["rows_read"] == file["accepted"] + file["set_aside"]
        assert sum(file["reasons"].values()) == file["set_aside"]
        lines = (SAMPLE / file["path"]).read_text(encoding="utf-8").splitlines()
        assert file["rows_read"] == len(lines) - 1


def test_check_in_words() -> None:
    result = run("check", "--data", SAMPLE)
    assert "claims.csv (claims, csv): 21,447 rows read = 21,406 accepted + 41 set aside" in result.stdout
    assert "Not in this folder: standards, counties, providers, travel_times." in result.stdout


def test_cases_json_has_grounds_and_evidence(june: Month) -> None:
    result = run("cases", "--data", SAMPLE, "--json")
    assert result.exit_code == 0
    rows = json.loads(result.stdout)
    assert [row["case_id"] for row in rows] == june.cases["case_id"].tolist()
    for row in rows:
        assert list(row) == [*CASES.names, "evidence", "providers_searched"]
        assert re.fullmatch(r"-?[0-9]+\.[0-9]{2}", row["rate_high"])
        assert {"S1", "S3", "S8", "S9"} <= {one["statement"] for one in row["evidence"]}
        within = [one for one in row["providers_searched"] if not one["why_not"].startswith("beyond")]
        assert len(within) == row["searched"]


def test_cases_in_words_name_no_member(june: Month) -> None:
    result = run("cases", "--data", SAMPLE)
    assert "104 cases as of 2026-06-30" in result.stdout
    assert not [member for member in june.cases["member_id"] if member in result.output]


@pytest.mark.parametrize("audience", ["provider", "plan"])
def test_dossier_writes_the_letter_and_prints_no_member(tmp_path: Path, june: Month, audience: str) -> None:
    out = tmp_path / "letter.html"
    result = run("dossier", "SCA000028", "--data", SAMPLE, "--for", audience, "--out", out)
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    member = june.cases.set_index("case_id").loc["SCA000028", "member_id"]
    assert member in out.read_text(encoding="utf-8")
    assert member not in result.stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["dossier", "NOBODY", "--out", "x.docx"], "is no case as of 2026-06-30"),
        (["dossier", "SCA000028", "--out", "x.pdf"], ".docx or .html"),
        (["cases", "--collected", "2"], "is no share"),
        (["cases", "--as-of", "June"], "is no date"),
        (["map", "nowhere"], "there is no folder"),
    ],
)
def test_faults_of_the_new_commands_are_one_sentence(args: list[str], words: str) -> None:
    data = [] if args[0] == "map" else ["--data", SAMPLE]
    assert words in fails(*args, *data)


def test_gaps_json_is_the_contract(june: Month) -> None:
    result = run("gaps", "--data", SAMPLE, "--json")
    rows = json.loads(result.stdout)
    assert len(rows) == len(june.gaps.table)
    for row in rows:
        assert list(row) == list(GAPS.names)
        assert type(row["members"]) is type(row["listed"]) is type(row["seen_in_claims"]) is int
        assert isinstance(row["share_within"], int | float)
        assert isinstance(row["required_share"], float)
        assert row["status"] in {"met", "closed", "no_provider", "too_far", "too_few"}
    assert {r["county_fips"] for r in rows} == set(june.gaps.table["county_fips"])


def test_gaps_as_of_another_day() -> None:
    text = run("gaps", "--data", SAMPLE, "--as-of", "2025-12-31").stdout
    assert "do not meet the standard on 2025-12-31" in text


def test_quote_reads_a_case() -> None:
    case = ROOT / "data" / "example_case.json"
    assert json.loads(run("quote", case, "--json").stdout)["arrangements"]["sca"]["totals"]["plan_paid"] == "3112.00"
    assert "Bargaining zone" in run("quote", case).stdout


def test_sample_is_written_and_checks(tmp_path: Path) -> None:
    result = run("sample", "--out", tmp_path / "s", "--members", "150", "--seed", "7")
    assert result.exit_code == 0, result.stderr
    files = json.loads(run("check", "--data", tmp_path / "s", "--json").stdout)["files"]
    assert all(f["rows_read"] == f["accepted"] + f["set_aside"] for f in files)


def test_faults_are_one_sentence(tmp_path: Path) -> None:
    assert "there is no exports folder" in fails("check", "--data", tmp_path / "absent")
    assert "claims and directory are required" in fails("check", "--data", tmp_path)
    assert "'June' is no month" in fails("report", "June", "--data", SAMPLE, "--out", tmp_path)
    assert "'soon' is no date" in fails("gaps", "--data", SAMPLE, "--as-of", "soon")
    assert "case.json" in fails("quote", tmp_path / "case.json")
    (tmp_path / "case.json").write_text("{}", encoding="utf-8")
    assert "case.json" in fails("quote", tmp_path / "case.json")
    assert "members" in fails("sample", "--out", tmp_path / "s", "--members", "1")
    (tmp_path / "exports.yaml").write_text("claims: [", encoding="utf-8")
    assert "exports.yaml is not valid YAML: correct line 1." in fails("gaps", "--data", tmp_path)


def test_usage_faults_are_one_sentence() -> None:
    assert re.fullmatch(r"sca: missing argument 'MONTH': see `\w+ report --help`\.", fails("report"))
    assert "no such command 'nothing'" in fails("nothing")
    assert "no such option '--odd'" in fails("check", "--odd")
    assert "no such option '--odd'" in fails("--odd")
    assert "'x' is not a valid integer: see" in fails("sample", "--out", "s", "--members", "x")


def test_without_a_command_the_help_is_shown() -> None:
    result = run()
    assert result.exit_code == 2
    assert "Commands:" in result.stderr


def test_gaps_tells_each_reason_to_its_end(june: Month) -> None:
    text = run("gaps", "--data", SAMPLE).stdout
    for reason in june.gaps.table.query("status != 'met'")["reason"]:
        assert reason in text


def test_report_of_a_month_without_claims_names_the_span(tmp_path: Path) -> None:
    line = fails("report", "2027-01", "--data", SAMPLE, "--out", tmp_path)
    assert "there are no claims in 2027-01" in line
    assert "covers 2025-01 to 2026-06" in line
    assert not (tmp_path / "2027-01").exists()


@pytest.mark.parametrize("command", ["report", "check", "gaps", "quote", "sample"])
def test_help_says_what_a_command_does(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert result.stdout.count("\n") > 5
