"""Opening a folder: nothing is lost, nothing is counted twice, and what is accepted is what was written."""

import csv
import gc
import io
import tempfile
from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sca_analysis import exports as module
from sca_analysis.errors import ExportError
from sca_analysis.exports import Exports
from sca_analysis.tables import EXPORTS

SHARED = Path(__file__).resolve().parents[2] / "shared"
REAL = Path(__file__).parent / "exports"
NPI = "1234567893"
HEADER = ["claim_id", "line_number", "member_id", "provider_npi", "service_date", "procedure_code", "billed_amount"]
GOOD = ["C1", "1", "M1", NPI, "2026-01-05", "90837", "200.00"]
DIRECTORY = f"npi,provider_name,taxonomy_code,zip\n{NPI},Ada Ng,2084P0800X,02138\n"

needs_shared = pytest.mark.skipif(not (SHARED / "exports").is_dir(), reason=f"no example exports in {SHARED}")


def claims_text(rows, header=HEADER, **dialect):
    out = io.StringIO(newline="")
    csv.writer(out, **dialect).writerows([header, *rows])
    return out.getvalue()


def write(folder, claims=None, **files):
    claims = claims_text([GOOD]) if claims is None else claims
    folder.mkdir(exist_ok=True, parents=True)
    for name, text in {"claims": claims, "directory": DIRECTORY, **files}.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8", newline="")
    return folder


def configure(folder, **tables):
    config = {"period_end": "2026-06-30", "claims": {"path": "claims.csv"}, "directory": {"path": "directory.csv"}}
    (folder / "exports.yaml").write_text(yaml.safe_dump(config | tables))
    return folder


def account(exports):
    """Check that every row of every file is accepted or set aside, once."""
    for file in exports.files.itertuples():
        assert file.rows_read == file.accepted + file.set_aside
        assert sum(file.reasons.values()) == file.set_aside
    listed = exports.set_aside
    assert len(listed) == exports.files["set_aside"].sum()
    assert Counter(listed["reason"]) == sum((Counter(r) for r in exports.files["reasons"]), Counter())
    return exports


# Python's writer leaves a lone carriage return unquoted, where it ends the line
odd = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=8)
nasty = st.sampled_from(
    ["", " ", '"', '""', ",", "\n", "\r\n", "\n\n", '"\n', "a,b", "NULL", "'", "|", "é", "\ufeff", "#"]
)
cell = odd | nasty


@st.composite
def lines(draw):
    """A claim row, good or bad, with odd texts in its diagnosis and sometimes elsewhere; or a row of another width."""
    number = draw(st.integers(0, 30))
    row = [f"C{number}", *GOOD[1:], draw(cell)]
    kind = draw(st.sampled_from(["good", "good", "good", "cell", "short", "long"]))
    if kind == "cell":
        row[draw(st.integers(0, 6))] = draw(cell)
    return {"short": row[: draw(st.integers(2, 7))], "long": [*row, draw(cell)]}.get(kind, row)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(lines(), max_size=20),
    st.sampled_from(
        [{}, {"lineterminator": "\n"}, {"quoting": csv.QUOTE_ALL}, {"delimiter": "|"}, {"delimiter": "\t"}]
    ),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_every_row_is_accepted_or_set_aside(tmp_path, rows, dialect, encoding):
    folder = write(tmp_path)
    text = claims_text(rows, [*HEADER, "diagnosis_code"], **dialect)
    (folder / "claims.csv").write_bytes(text.encode(encoding))
    exports = account(Exports.open(folder))
    files = exports.files.set_index("table")
    assert files.loc["claims", "rows_read"] == len(rows)
    gone = exports.set_aside["row"].tolist()
    assert len(set(gone)) == len(gone)
    assert set(gone) <= set(range(2, len(rows) + 2))
    kept = [row for number, row in enumerate(rows, start=2) if number not in gone]
    wanted = [(row[0], plain(row[7])) for row in kept]
    found = exports.connection.execute("SELECT claim_id, diagnosis_code FROM claim_versions").fetchall()
    assert [(c, plain(d)) for c, d in found] == [(plain(c), d) for c, d in wanted]
    for number, reason in zip(gone, exports.set_aside["reason"], strict=True):
        row = rows[number - 2]
        width = len(row) - (row[8:] == [""])  # a delimiter at the end of a line opens no field
        assert reason == {8: reason}.get(width, "too_few_fields" if width < 8 else "too_many_fields")


def plain(text):
    """A cell without what reading may change: line ends, blanks around it, words for blank."""
    text = (text or "").replace("\r\n", "\n").replace("\r", "\n").strip(" \t\r\n\u00a0\ufeff")
    return "" if text.lower() in ("null", "none", "na", "n/a", "nan", "nat", "#n/a", "\\n") else text


def test_files_that_overlap(tmp_path):
    rows = [[f"C{n}", *GOOD[1:]] for n in range(6)]
    folder = configure(write(tmp_path), claims={"path": "c*.csv"})
    (folder / "c1.csv").write_text(claims_text(rows[:4]))
    (folder / "c2.csv").write_text(claims_text(rows[2:]) + "short,row\n")
    (folder / "claims.csv").unlink()
    exports = account(Exports.open(folder))
    assert exports.files["accepted"].tolist()[:2] == [4, 2]
    assert exports.files["reasons"].tolist()[:2] == [{}, {"duplicate_row": 2, "too_few_fields": 1}]
    assert exports.set_aside["row"].tolist() == [2, 3, 6]


def test_one_file_under_two_entries(tmp_path):
    """Each entry counts what it read, even where both read one file."""
    rows = [[*GOOD, "A"], ["C2", *GOOD[1:], "B"], ["C3", *GOOD[1:], "B"], ["short"]]
    entries = [{"path": "claims.csv", "keep": {"kind": kind}} for kind in "AB"]
    folder = configure(write(tmp_path, claims_text(rows, [*HEADER, "kind"])), claims=entries)
    exports = account(Exports.open(folder))
    assert exports.files["accepted"].tolist() == [1, 2, 1]
    assert exports.files["reasons"].tolist()[:2] == [{"not_selected:kind": n, "too_few_fields": 1} for n in (2, 1)]


def test_one_file_for_two_tables(tmp_path):
    rows = [[*GOOD, "02138"], ["short"], ["C2", *GOOD[1:], "02138"]]
    folder = configure(write(tmp_path, claims_text(rows, [*HEADER, "zip"])), members={"path": "claims.csv"})
    exports = account(Exports.open(folder))
    assert exports.files[["table", "rows_read", "accepted"]].to_numpy().tolist() == [
        ["claims", 3, 2],
        ["directory", 1, 1],
        ["members", 3, 1],
    ]


def test_files_of_one_name_in_two_folders(tmp_path):
    for year in ("2025", "2026"):
        write(tmp_path / year, claims_text([[f"C{year}", *GOOD[1:]], ["short"]]))
    paths = [{"path": str(tmp_path / y / "claims.csv")} for y in ("2025", "2026")]
    exports = account(Exports.open(configure(write(tmp_path / "exports"), claims=paths)))
    assert exports.files["path"].tolist()[:2] == ["../2025/claims.csv", "../2026/claims.csv"]
    assert exports.files["accepted"].tolist() == [1, 1, 1]


def test_time_and_distance_below_zero_are_set_aside(tmp_path):
    times = "origin,destination,minutes\n04330,04101,-0.5\n04330,04102,0\n"
    standards = "specialty,county_type,max_miles,max_minutes,required_share\nUrology,Rural,-1,5,0.9\n"
    exports = Exports.open(write(tmp_path, travel_times=times, standards=standards))
    assert exports.set_aside["reason"].tolist() == ["negative_number:max_miles", "negative_number:minutes"]
    assert exports.frame("travel_times")["minutes"].tolist() == [0]


def test_without_exports_yaml(tmp_path):
    exports = account(Exports.open(str(write(tmp_path, fees="procedure_code,usual_charge\n90837,200\n"))))
    assert exports.files["path"].tolist() == ["claims.csv", "directory.csv", "fees.csv"]
    assert exports.missing == (
        "members",
        "benefits",
        "agreements",
        "standards",
        "counties",
        "providers",
        "travel_times",
        "entered",
    )
    assert exports.plan.name == "Plan"
    assert [p.name for p in exports.paths] == ["claims.csv", "directory.csv", "fees.csv"]


def test_tables_without_a_file_are_empty(tmp_path):
    exports = Exports.open(write(tmp_path))
    for name, table in EXPORTS.items():
        frame = exports.frame(name)
        assert tuple(frame.columns) == table.names
        assert len(frame) == (1 if name in ("claims", "directory", "members") else 0)
    assert exports.overrides("standards") is None
    assert set(exports.coverage["table"]) == {"claims", "directory"}


def test_members_from_claims(tmp_path):
    header = [*HEADER, "member_zip", "network_id"]
    rows = [
        ["C1", "1", "M1", NPI, "2026-01-05", "90837", "1", "02138", "A"],
        ["C2", "1", "M1", NPI, "2026-03-05", "90837", "1", "02139", "B"],
        ["C3", "1", "M1", NPI, "2026-04-05", "90837", "1", "", ""],  # the newest claim says neither
        ["C4", "2", "M2", NPI, "2026-04-05", "90837", "1", "02141", "A"],
        ["C4", "1", "M2", NPI, "2026-04-05", "90837", "1", "02140", "A"],  # on one day the number decides
    ]
    exports = Exports.open(configure(write(tmp_path, claims_text(rows, header)), plan={"network_id": "EX1"}))
    members = exports.frame("members").set_index("member_id")
    assert members["zip"].to_dict() == {"M1": "02139", "M2": "02141"}
    assert members.loc["M1", "network_id"] == "EX1"
    [found] = exports.findings[exports.findings["rule"] == "members_from_claims"].itertuples()
    assert (found.rows, found.level) == (2, "information")


def test_the_network_of_the_plan_fills_blanks(tmp_path):
    rows = [[*GOOD, "A"], ["C2", *GOOD[1:], ""]]
    folder = configure(write(tmp_path, claims_text(rows, [*HEADER, "network_id"])), plan={"network_id": "E'1"})
    assert Exports.open(folder).frame("claims")["network_id"].tolist() == ["A", "E'1"]


def test_frames_keep_exact_decimals_and_far_dates(tmp_path):
    rows = [["C1", *GOOD[1:6], "9999999.99"], ["C2", *GOOD[1:6], "0.1"], ["C3", *GOOD[1:6], "0.2"]]
    members = "member_id,zip,termination_date\nM1,02138,9999-12-31\n"
    exports = Exports.open(write(tmp_path, claims_text(rows), members=members))
    billed = exports.frame("claims")["billed_amount"]
    assert billed.tolist() == [Decimal("9999999.99"), Decimal("0.10"), Decimal("0.20")]
    assert billed.iloc[1:].sum() == Decimal("0.30")
    assert exports.frame("members")["termination_date"].dt.year.tolist() == [9999]


def test_last_day_is_the_end_of_the_newest_claim_month(tmp_path):
    rows = [GOOD, ["C2", *GOOD[1:4], "2024-02-03", *GOOD[5:]]]
    assert Exports.open(write(tmp_path / "a", claims_text(rows))).last_day == date(2026, 1, 31)
    assert Exports.open(write(tmp_path / "b", claims_text(rows[1:]))).last_day == date(2024, 2, 29)
    with pytest.raises(ExportError, match=r"no claim line .* was accepted.*\.$"):
        _ = Exports.open(write(tmp_path / "c", claims_text([["x"]]))).last_day


def test_nothing_asks_the_network(tmp_path):
    con = Exports.open(write(tmp_path)).connection
    settings_of = dict(con.execute("SELECT name, value FROM duckdb_settings()").fetchall())
    assert settings_of["autoinstall_known_extensions"] == "false"
    assert settings_of["autoload_known_extensions"] == "false"
    for address in ("https://example.org/claims.csv", "s3://bucket/claims.csv"):
        with pytest.raises(ExportError, match="no file matches"):
            Exports.open(configure(tmp_path, claims={"path": address}))


@pytest.mark.parametrize("good", [True, False])
def test_temporary_files_go(tmp_path, monkeypatch, good):
    """A copy in another encoding holds members: it goes once read, and its folder with the exports."""
    folder = write(tmp_path / "exports", directory=DIRECTORY if good else "npi\n1\n")
    (folder / "claims.csv").write_bytes(claims_text([GOOD]).encode("utf-16"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    if good:
        exports = Exports.open(folder)
        assert [p for p in (tmp_path / "temporary").rglob("*") if p.is_file()] == []
        del exports
    else:
        with pytest.raises(ExportError):
            Exports.open(folder)
    gc.collect()
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(ExportError, match=r"there is no exports folder .*\.$"):
        Exports.open(tmp_path / "nowhere")
    with pytest.raises(ExportError, match=r"claims.csv, directory.csv: claims and directory are required\.$"):
        Exports.open(tmp_path)
    with pytest.raises(ExportError, match=r"engine 'abacus' is not known.*\.$"):
        Exports.open(tmp_path, engine="abacus")


def test_a_damaged_database_error_shows_no_value(tmp_path, monkeypatch):
    """What DuckDB says of an error may quote a cell."""
    monkeypatch.setenv("SCA_CACHE", "off")
    monkeypatch.setattr(module.check, "staged", lambda column, present: "error('MEMBER77')")
    with pytest.raises(ExportError) as caught:
        Exports.open(write(tmp_path))
    assert "MEMBER77" not in str(caught.value)
    assert "claims.csv" in str(caught.value)


def dictionaries(path, delimiter=",", encoding="utf-8-sig"):
    with (SHARED / "exports" / path).open(newline="", encoding=encoding) as stream:
        return list(csv.DictReader(stream, delimiter=delimiter))


@needs_shared
def test_synthea_counts_as_the_csv_module_counts():
    exports = account(Exports.open(REAL / "synthea"))
    lines = dictionaries("claims/synthea/claims_transactions.csv")
    charges = [line for line in lines if line["TYPE"] == "CHARGE"]
    counts = exports.files.set_index("table")
    assert counts.loc["claims", ["rows_read", "accepted"]].tolist() == [len(lines), len(charges)] == [5228, 1545]
    assert counts.loc["members", "accepted"] == len(dictionaries("claims/synthea/patients.csv")) == 27
    assert counts.loc["directory", "accepted"] == len(dictionaries("claims/synthea/providers.csv")) == 166
    assert counts.loc["claims", "reasons"] == {"not_selected:TYPE": 5228 - 1545}
    numbers = [n for n, line in enumerate(lines, start=2) if line["TYPE"] != "CHARGE"]
    assert exports.set_aside["row"].tolist() == numbers
    frame = exports.frame("claims")
    assert frame["billed_amount"].sum() == sum(round(Decimal(c["AMOUNT"]), 2) for c in charges)
    assert frame["line_number"].tolist() == [c["CHARGEID"] for c in charges]
    heads = {h["Id"]: h["DIAGNOSIS1"] or None for h in dictionaries("claims/synthea/claims.csv")}
    assert frame["diagnosis_code"].astype(object).where(frame["diagnosis_code"].notna(), None).tolist() == [
        heads[c["CLAIMID"]] for c in charges
    ]


@needs_shared
def test_medicare_carrier_counts_as_the_csv_module_counts():
    exports = account(Exports.open(REAL / "medicare_carrier"))
    lines = dictionaries("claims/rif-synthetic/carrier.csv", "|")
    people = dictionaries("claims/rif-synthetic/beneficiary_2020.csv", "|")
    counts = exports.files.set_index("table")
    assert counts.loc["claims", "accepted"] == len(lines) == 221
    assert counts.loc["members", ["rows_read", "accepted"]].tolist() == [3, 2]
    without = [n for n, person in enumerate(people, start=2) if not person["BENE_ZIP_CD"].strip()]
    assert exports.set_aside[["row", "reason"]].to_numpy().tolist() == [[n, "missing:zip"] for n in without]
    nppes = dictionaries("network/nppes/sample-nppes-practitioner_20181204-data.csv")
    assert counts.loc["directory", "accepted"] == len({n["NPI"] for n in nppes}) == 2000
    frame = exports.frame("claims")
    assert frame["billed_amount"].sum() == sum(Decimal(line["LINE_SBMTD_CHRG_AMT"]) for line in lines)
    assert frame["paid_amount"].sum() == sum(Decimal(line["LINE_NCH_PMT_AMT"]) for line in lines)
