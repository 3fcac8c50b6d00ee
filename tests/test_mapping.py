"""The mapping assistant: our own tables under other names come back as they were, and what does not fit is said."""

import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sca_analysis.cli import main
from sca_analysis.errors import ParameterError
from sca_analysis.exports import Exports
from sca_analysis.mapping import as_yaml, propose, write_config
from tests.conftest import SAMPLE

CLAIMS = {
    "claim_id": "CLM_NO",
    "line_number": "Line #",
    "member_id": "Subscriber ID",
    "provider_npi": "Rendering NPI",
    "service_date": "FROM_DT",
    "procedure_code": "CPT",
    "billed_amount": "Charge Amount",
    "paid_amount": "PaidAmt",
    "network_status": "INN_OON",
}
DIRECTORY = {"npi": "NPI", "provider_name": "Provider Name", "taxonomy_code": "Taxonomy", "zip": "Practice ZIP"}


def rename(folder, table, names, rows=200, delimiter=",", dates=None, file_name=None):
    """Write part of a table of the sample under other column names."""
    frame = pd.read_csv(SAMPLE / f"{table}.csv", dtype=str, keep_default_na=False)[[*names]].head(rows)
    if dates:
        frame[dates[0]] = pd.to_datetime(frame[dates[0]], errors="coerce").dt.strftime(dates[1]).fillna("")
    folder.mkdir(exist_ok=True)
    frame.rename(columns=names).to_csv(folder / (file_name or f"{table}.csv"), index=False, sep=delimiter)


def by_path(folder):
    return {p.path: p for p in propose(folder)}


def test_the_sample_maps_to_itself(tmp_path):
    for name in ("claims", "directory", "members", "benefits", "fees", "agreements", "entered"):
        (tmp_path / f"{name}.csv").write_bytes((SAMPLE / f"{name}.csv").read_bytes())
    write_config(tmp_path, propose(tmp_path))
    ours, theirs = Exports.open(SAMPLE), Exports.open(tmp_path)
    pd.testing.assert_frame_equal(
        ours.files.drop(columns="path").reset_index(drop=True), theirs.files.drop(columns="path").reset_index(drop=True)
    )


def test_other_names_delimiters_and_dates(tmp_path):
    rename(tmp_path, "claims", CLAIMS, delimiter="|", dates=("service_date", "%m/%d/%Y"), file_name="extract_0626.txt")
    rename(tmp_path, "directory", DIRECTORY, delimiter="\t", file_name="roster.tsv")
    found = by_path(tmp_path)
    claims, roster = found["extract_0626.txt"], found["roster.tsv"]
    assert (claims.table, claims.columns, claims.date_format) == ("claims", CLAIMS, "%m/%d/%Y")
    assert (roster.table, roster.columns) == ("directory", DIRECTORY)
    write_config(tmp_path, [claims, roster], "Mine")
    exports = Exports.open(tmp_path)
    assert exports.plan.name == "Mine"
    assert exports.files["rows_read"].tolist() == [200, 200]
    assert exports.files["accepted"].iloc[0] > 190
    # without network and location, rows of one provider repeat
    assert set(exports.files["reasons"].iloc[1]) <= {"duplicate_row", "duplicate_key"}


@pytest.mark.parametrize(
    ("values", "form", "is_noted"),
    [
        (["2026-06-30", "2026-07-01"], None, False),
        (["20260630"], None, False),
        (["06/30/2026"], "%m/%d/%Y", False),
        (["30/06/2026"], "%d/%m/%Y", False),
        (["06/07/2026"], "%m/%d/%Y", True),
        (["30-Jun-2026"], "%d-%b-%Y", False),
    ],
)
def test_dates(tmp_path, values, form, is_noted):
    frame = pd.DataFrame({"member_id": "M1", "zip": "04330", "eff_date": values})
    frame.to_csv(tmp_path / "eligibility.csv", index=False)
    [found] = propose(tmp_path)
    assert (found.table, found.date_format) == ("members", form)
    assert any("month first" in note for note in found.notes) == is_noted


def test_values_decide_against_a_name(tmp_path):
    frame = pd.DataFrame({"npi": ["Dr. A", "Dr. B"], "provider_name": "x", "taxonomy": "2084P0800X", "zip": "04330"})
    frame.to_csv(tmp_path / "directory.csv", index=False)
    [found] = propose(tmp_path)
    assert found.table == "directory"
    assert found.missing == ("npi",)
    assert not found.is_usable
    assert "# not used: directory.csv (directory without npi)" in as_yaml([found])


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ("a,b\n1,2\n", "looks like none of the tables"),
        ("1000000012,2084P0800X,04330\n1000000020,2084P0800X,04330\n", "has no header row"),
        ("", "has no header row"),
    ],
)
def test_what_is_no_table_is_said(tmp_path, content, note):
    (tmp_path / "odd.csv").write_text(content)
    [found] = propose(tmp_path)
    assert found.table == "" or not found.is_usable
    assert any(note in one for one in found.notes)


def test_no_folder_no_files_and_no_overwriting(tmp_path):
    with pytest.raises(ParameterError, match="there is no folder"):
        propose(tmp_path / "none")
    with pytest.raises(ParameterError, match="holds no file"):
        propose(tmp_path)
    (tmp_path / "exports.yaml").write_text("plan: {name: Kept}\n")
    with pytest.raises(ParameterError, match="exists already"):
        write_config(tmp_path, [])
    assert "Kept" in (tmp_path / "exports.yaml").read_text()


def test_synthea_from_files_to_checked_data_in_two_commands(tmp_path, shared_exports):
    for file in (shared_exports / "claims" / "synthea").glob("*.csv"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    run = CliRunner().invoke(main, ["map", str(tmp_path), "--write", "--plan", "Synthea"])
    assert run.exit_code == 0, run.output
    run = CliRunner().invoke(main, ["check", "--data", str(tmp_path)])
    assert run.exit_code == 0, run.output
    exports = Exports.open(tmp_path)
    assert exports.files["format"].unique().tolist() == ["synthea"]
    assert set(exports.files["table"]) == {"claims", "directory", "members"}
    assert exports.files["accepted"].min() > 100


def test_command_prints_yaml_alone_on_stdout(tmp_path):
    rename(tmp_path, "claims", CLAIMS)
    run = CliRunner().invoke(main, ["map", str(tmp_path)])
    assert run.exit_code == 0
    assert run.stdout.startswith("# Proposed by")
    assert "CLM_NO" in run.stdout
    assert not (tmp_path / "exports.yaml").exists()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_any_bytes_are_proposed_or_refused_with_a_note(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("any")
    (folder / "file.csv").write_bytes(content)
    [found] = propose(folder)
    assert found.notes or found.table
    as_yaml([found])
