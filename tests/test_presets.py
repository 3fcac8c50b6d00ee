"""Named tabular formats: real files by independent counts, and small files with what goes wrong.

The real files are never part of the project; where ../shared is absent those tests are skipped.
"""

import csv
import gzip
import io
import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sca_analysis import readers as formats
from sca_analysis.errors import ExportError
from sca_analysis.exports import Exports
from sca_analysis.readers import ma_hsd, nppes, qhp, rif, synthea, tuva
from sca_analysis.readers.presets import add_up, fill_names, header_of
from sca_analysis.readers.source import Source
from sca_analysis.tables import CLAIMS, DIRECTORY, EXPORTS
from tests.folders import npi

FORMATS = {
    "synthea": (synthea.read_synthea, synthea.recognise_synthea),
    "rif-carrier": (rif.read_carrier, rif.recognise_carrier),
    "rif-outpatient": (rif.read_outpatient, rif.recognise_outpatient),
    "rif-beneficiary": (rif.read_beneficiary, rif.recognise_beneficiary),
    "tuva-medical-claim": (tuva.read_medical_claim, tuva.recognise_medical_claim),
    "tuva-eligibility": (tuva.read_eligibility, tuva.recognise_eligibility),
    "nppes": (nppes.read_nppes, nppes.recognise_nppes),
    "ma-hsd": (ma_hsd.read_ma_hsd, ma_hsd.recognise_ma_hsd),
    "qhp-providers": (qhp.read_qhp_providers, qhp.recognise_qhp_providers),
}
Row = dict[str, Any]


def load(folder: Path, table: str, path: object, name: str, **more: object) -> Exports:
    """Open a folder of which one table is a file of a named format, and claims and directory otherwise empty."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = {table: {"path": str(path), "format": name, **more}}
    for empty in (CLAIMS, DIRECTORY):
        (folder / f"no_{empty.name}.csv").write_text(",".join(empty.names) + "\n")
        entries.setdefault(empty.name, {"path": f"no_{empty.name}.csv"})
    # YAML holds JSON
    (folder / "exports.yaml").write_text(json.dumps({"period_end": "2026-11-24", **entries}))
    return Exports.open(folder)


def counts(exports: Exports, table: str) -> tuple[int, int, dict[str, int]]:
    """Return rows read, accepted and the reasons of those set aside, once the three agree."""
    [one] = exports.files[exports.files["table"] == table].to_dict("records")
    assert one["rows_read"] == one["accepted"] + one["set_aside"]
    assert one["set_aside"] == sum(one["reasons"].values()) == (exports.set_aside["table"] == table).sum()
    assert one["accepted"] == len(exports.frame(table))
    return one["rows_read"], one["accepted"], one["reasons"]


def rows_of(path: Path, delimiter: str = ",", encoding: str = "utf-8-sig") -> list[Row]:
    with path.open(encoding=encoding, newline="") as stream:
        return list(csv.DictReader(stream, delimiter=delimiter))


def write(path: Path, rows: Sequence[Row], delimiter: str = ",") -> Path:
    names = list(dict.fromkeys(n for row in rows for n in row))
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, names, delimiter=delimiter, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def luhn(number: str) -> bool:
    digits = [int(d) for d in reversed("80840" + number)]
    return sum(d if i % 2 == 0 else sum(divmod(2 * d, 10)) for i, d in enumerate(digits)) % 10 == 0


# ---- real files ----

CLAIM_FILES = {
    "synthea/claims_transactions.csv": ("synthea", ",", "AMOUNT"),
    "rif-synthetic/carrier.csv": ("rif-carrier", "|", "LINE_SBMTD_CHRG_AMT"),
    "rif-synthetic/dme.csv": ("rif-carrier", "|", "LINE_SBMTD_CHRG_AMT"),
    "rif-static/sample-a-bcarrier-multiple-lines.txt": ("rif-carrier", "|", "LINE_SBMTD_CHRG_AMT"),
    "rif-synthetic/outpatient.csv": ("rif-outpatient", "|", "REV_CNTR_TOT_CHRG_AMT"),
    "rif-synthetic/inpatient.csv": ("rif-outpatient", "|", "REV_CNTR_TOT_CHRG_AMT"),
    "rif-synthetic/snf.csv": ("rif-outpatient", "|", "REV_CNTR_TOT_CHRG_AMT"),
    "rif-synthetic/hha.csv": ("rif-outpatient", "|", "REV_CNTR_TOT_CHRG_AMT"),
    "rif-synthetic/hospice.csv": ("rif-outpatient", "|", "REV_CNTR_TOT_CHRG_AMT"),
    "rif-static/sample-a-outpatient.txt": ("rif-outpatient", "|", "REV_CNTR_TOT_CHRG_AMT"),
    "rif-static/sample-a-inpatient.txt": ("rif-outpatient", "|", "REV_CNTR_TOT_CHRG_AMT"),
}


@pytest.mark.parametrize("file", CLAIM_FILES)
def test_claim_lines_and_billed_sums(file: str, shared_exports: Path, tmp_path: Path) -> None:
    name, delimiter, amount = CLAIM_FILES[file]
    path = shared_exports / "claims" / file
    lines = rows_of(path, delimiter)
    billed = [r for r in lines if r.get("TYPE", "CHARGE") == "CHARGE"]
    exports = load(tmp_path, "claims", path, name)
    read, accepted, reasons = counts(exports, "claims")
    assert (read, accepted) == (len(lines), len(billed))
    assert reasons == ({"not_selected:TYPE": len(lines) - len(billed)} if len(lines) > len(billed) else {})
    assert exports.files.set_index("table").loc["claims", "format"] == name
    claims = exports.frame("claims")
    assert sum(claims["billed_amount"]) == sum(Decimal(r[amount]).quantize(Decimal("0.01")) for r in billed)
    key = "CLAIMID" if name == "synthea" else "CLM_ID"
    assert set(claims["claim_id"]) == {r[key] for r in billed}


def test_carrier_money_and_dates_line_by_line(shared_exports: Path, tmp_path: Path) -> None:
    path = shared_exports / "claims/rif-synthetic/carrier.csv"
    claims = load(tmp_path, "claims", path, "rif-carrier").frame("claims").set_index(["claim_id", "line_number"])
    for row in rows_of(path, "|"):
        line = claims.loc[(row["CLM_ID"], row["LINE_NUM"])]
        assert line["allowed_amount"] == Decimal(row["LINE_ALOWD_CHRG_AMT"])
        assert line["paid_amount"] == Decimal(row["LINE_NCH_PMT_AMT"])
        own = Decimal(row["LINE_COINSRNC_AMT"]) + Decimal(row["LINE_BENE_PTB_DDCTBL_AMT"])
        assert line["member_amount"] == own
        assert f"{line['service_date']:%d-%b-%Y}" == row["LINE_1ST_EXPNS_DT"]
        assert line["provider_npi"] == row["PRF_PHYSN_NPI"]


def test_synthea_directory_and_members(shared_exports: Path, tmp_path: Path) -> None:
    folder = shared_exports / "claims/synthea"
    providers = load(tmp_path / "p", "directory", folder / "providers.csv", "synthea")
    assert counts(providers, "directory") == (166, 166, {})
    assert providers.frame("directory")["taxonomy_code"].isin(synthea.SPECIALTIES.values()).all()
    patients = load(tmp_path / "m", "members", folder / "patients.csv", "synthea")
    assert counts(patients, "members") == (27, 27, {})
    assert patients.frame("members")["zip"].isna().sum() == 12
    insured = [r for r in rows_of(folder / "payer_transitions.csv") if not r["PAYER"].startswith("b1c428d6")]
    spans = load(tmp_path / "s", "members", folder / "payer_transitions.csv", "synthea")
    assert counts(spans, "members") == (1051, len(insured), {"not_selected:PAYER": 1051 - len(insured)})
    members = spans.frame("members")
    assert set(members["member_id"]) == {r["PATIENT"] for r in insured}
    assert f"{members['effective_date'].min():%Y-%m-%d}" == min(r["START_YEAR"][:10] for r in insured)


def test_beneficiaries(shared_exports: Path, tmp_path: Path) -> None:
    folder = shared_exports / "claims"
    exports = load(tmp_path / "a", "members", folder / "rif-synthetic/beneficiary_2020.csv", "rif-beneficiary")
    assert counts(exports, "members") == (3, 2, {"missing:zip": 1})
    members = exports.frame("members")
    assert members[["zip", "county_fips", "birth_year"]].to_numpy().tolist() == [
        ["01730", "25017", 1942],
        ["02563", "25001", 1945],
    ]
    exports = load(tmp_path / "b", "members", folder / "rif-synthetic/beneficiary_history.csv", "rif-beneficiary")
    assert counts(exports, "members")[0] == 3
    exports = load(tmp_path / "c", "members", folder / "rif-static/sample-a-beneficiaries.txt", "rif-beneficiary")
    assert counts(exports, "members") == (1, 0, {"fips_shape:county_fips": 1})


@pytest.mark.parametrize("table", ["directory", "providers"])
def test_nppes_primary_taxonomy_and_names(table: str, shared_exports: Path, tmp_path: Path) -> None:
    folder = shared_exports / "network/nppes"
    for file, total in (("practitioner_20181204-data", 2000), ("organization-data", 40)):
        path = folder / f"sample-nppes-{file}.csv"
        exports = load(tmp_path / file, table, path, "nppes")
        assert counts(exports, table) == (total, total, {}), "all of the 30 deactivated were activated again"
        found = exports.frame(table).set_index("npi")
        switched = 0
        for row in rows_of(path):
            numbers = [n for n in range(1, 16) if row[f"Healthcare Provider Primary Taxonomy Switch_{n}"] == "Y"]
            code = row[f"Healthcare Provider Taxonomy Code_{(numbers or [1])[0]}"]
            assert found.loc[row["NPI"], "taxonomy_code"] == code
            assert (
                found.loc[row["NPI"], "zip"]
                == (row["Provider Business Practice Location Address Postal Code"].zfill(5)[:5])
            )
            last = row["Provider Last Name (Legal Name)"] or row["Provider Organization Name (Legal Business Name)"]
            assert last in found.loc[row["NPI"], "provider_name"]
            switched += bool(numbers and numbers[0] > 1)
        assert switched == {2000: 195, 40: 8}[total]
        if table == "providers":
            assert found["deactivation_date"].isna().all()


@pytest.mark.parametrize("file", ["sample_prov_data.txt", "sample_fac_data.txt"])
def test_hsd_directory_variant(file: str, shared_exports: Path, tmp_path: Path) -> None:
    path = shared_exports / "network/ma-hsd" / file
    with path.open(encoding="cp1252", newline="") as stream:
        rows = list(csv.reader(stream, delimiter="\t"))[1:]
    without = {"000", "041", "042", "043", "061", "062", "064", "065", "066", "067"}
    valid = [r for r in rows if luhn(r[1])]
    good = [r for r in valid if r[8][:3] not in without]
    exports = load(tmp_path, "directory", path, "ma-hsd")
    reasons = {
        "npi_check_digit:npi": len(rows) - len(valid),
        "taxonomy_shape:taxonomy_code": len(valid) - len(good),
    }
    assert counts(exports, "directory") == (5000, len(good), reasons)
    found = exports.frame("directory")
    assert sorted(found["npi"]) == sorted(r[1] for r in good)
    assert set(found["network_id"]) == {"NEN001", "MIN003"}
    assert not found["provider_name"].str.contains(r"\bNA\b").any()
    dermatologists = found.loc[found["taxonomy_code"] == "207N00000X", "npi"]
    assert sorted(dermatologists) == sorted(r[1] for r in good if r[8] == "011 Dermatology")
    # row numbers are those of the file, in which the header is row 1
    bad = exports.set_aside[exports.set_aside["reason"] == "npi_check_digit:npi"]["row"]
    assert bad.tolist() == [i for i, r in enumerate(rows, start=2) if not luhn(r[1])]


def test_qhp_sample(shared_exports: Path, tmp_path: Path) -> None:
    path = shared_exports / "network/qhp/providers.json"
    providers = json.loads(path.read_text(encoding="utf-8"))
    expected = [
        (p["npi"], s, plan, a["address"])
        for p in providers
        for s in p.get("specialty", p.get("facility_type"))
        for plan in sorted({q["plan_id"] for q in p["plans"]})
        for a in p["addresses"]
    ]
    exports = load(tmp_path, "directory", path, "qhp-providers")
    read, accepted, reasons = counts(exports, "directory")
    assert (read, accepted) == (len(expected), 2)
    assert reasons == {
        "npi_check_digit:npi": sum(not luhn(p) for p, *_ in expected),
        "taxonomy_shape:taxonomy_code": sum(s == "Oncology" and luhn(p) for p, s, *_ in expected),
    }
    found = exports.frame("directory")
    assert set(found["taxonomy_code"]) == {"207N00000X"}
    assert found["accepting_new_patients"].tolist() == [False, False]
    assert f"{found['effective_date'].min():%F} {found['termination_date'].max():%F}" == "2019-01-01 2020-12-31"


RECOGNISED = {
    "claims/synthea/claims_transactions.csv": "synthea",
    "claims/synthea/providers.csv": "synthea",
    "claims/synthea/patients.csv": "synthea",
    "claims/synthea/payer_transitions.csv": "synthea",
    **{f"claims/{file}": name for file, (name, *_) in CLAIM_FILES.items()},
    "claims/rif-synthetic/beneficiary_2020.csv": "rif-beneficiary",
    "claims/rif-synthetic/beneficiary_history.csv": "rif-beneficiary",
    "claims/rif-static/sample-a-beneficiaries.txt": "rif-beneficiary",
    "claims/tuva/medical_claim.csv": "tuva-medical-claim",
    "claims/tuva/eligibility.csv": "tuva-eligibility",
    "network/nppes/sample-nppes-practitioner_20181204-data.csv": "nppes",
    "network/nppes/sample-nppes-organization-data.csv": "nppes",
    "network/ma-hsd/sample_prov_data.txt": "ma-hsd",
    "network/ma-hsd/sample_fac_data.txt": "ma-hsd",
    "network/qhp/providers.json": "qhp-providers",
}


def test_every_file_is_recognised_as_what_it_is_and_no_other(shared_exports: Path) -> None:
    found = {}
    for path in sorted(p for p in shared_exports.rglob("*") if p.is_file()):
        with path.open("rb") as stream:
            head = stream.read(64 * 1024)
        names = [name for name, (_, recognise) in FORMATS.items() if recognise(head, path.name)]
        if names:
            [found[path.relative_to(shared_exports).as_posix()]] = names
    assert found == RECOGNISED


# ---- the engine ----


def evaluate(sql: str, row: dict[str, str | None]) -> str | None:
    columns = ", ".join(f'CAST(? AS VARCHAR) AS "{c}"' for c in row)
    query = f"SELECT CAST({fill_names(sql, list(row))} AS VARCHAR) FROM (SELECT {columns})"
    [(value,)] = duckdb.execute(query, list(row.values())).fetchall()
    return value


cents = st.decimals(-9999, 9999, places=2)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.none(), cents), min_size=3, max_size=3))
def test_add_up_is_exact_and_blank_where_all_are(amounts: list[Decimal | None]) -> None:
    row = {c: None if a is None else str(a) for c, a in zip("abc", amounts, strict=True)}
    total = evaluate(add_up("a", "b", "c"), row)
    known = [a for a in amounts if a is not None]
    assert (None if total is None else Decimal(total)) == (sum(known) if known else None)


def test_add_up_passes_on_what_is_no_amount() -> None:
    assert evaluate(add_up("a", "b"), {"a": "1.00", "b": "x"}) == "x"
    assert evaluate(add_up("a", "b"), {"b": "2.50"}) == "2.5000"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["", "A", "B", "C"]), st.sampled_from(["", "N", "X", "Y"])), max_size=5))
def test_primary_taxonomy_is_the_switched_else_the_first(pairs: list[tuple[str, str]]) -> None:
    row: dict[str, str | None] = {}
    for n, (code, switch) in enumerate(pairs, start=1):
        row[f"Healthcare Provider Taxonomy Code_{n}"] = code
        row[f"Healthcare Provider Primary Taxonomy Switch_{n}"] = switch
    switched = next((code for code, switch in pairs if switch == "Y"), "")
    first = next((code for code, _ in pairs if code), "")
    expected = switched or first or None
    assert evaluate(nppes.LAYOUTS[0].columns["taxonomy_code"], row or {"x": None}) == expected


@pytest.mark.parametrize(
    ("head", "names"),
    [
        (b"a,b,c\n1,2,3\n", ["a", "b", "c"]),
        ("\ufeffa|b, or c|d\r\n".encode(), ["a", "b, or c", "d"]),
        ("a\tb\n".encode("utf-16"), ["a", "b"]),
        (b'\n\n"a ";" b"\n', ["a", "b"]),
        (b"", []),
        (b"\x00\xff\x1f", None),
        (b'"never ends', None),
    ],
)
def test_header_of(head: bytes, names: list[str] | None) -> None:
    assert header_of(head) == names or names is None


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_break_recognition(head: bytes) -> None:
    for _, recognise in FORMATS.values():
        assert recognise(head, "x") in (True, False)


def carrier_line(**columns: str) -> Row:
    """Return one line of a carrier claim as CMS lays it out, with its identifiers."""
    line = {
        "DML_IND": "INSERT", "BENE_ID": "-1", "CLM_ID": "-10", "FINAL_ACTION": "F", "NCH_WKLY_PROC_DT": "06-Nov-2020",
        "CARR_CLM_PMT_DNL_CD": "1", "PRNCPAL_DGNS_CD": "F329", "LINE_NUM": "1", "PRF_PHYSN_NPI": npi(1),
        "LINE_SRVC_CNT": "1", "LINE_PLACE_OF_SRVC_CD": "11", "LINE_1ST_EXPNS_DT": "30-OCT-2020", "HCPCS_CD": "90837",
        "LINE_NCH_PMT_AMT": "80", "LINE_BENE_PTB_DDCTBL_AMT": "", "LINE_COINSRNC_AMT": "20",
        "LINE_SBMTD_CHRG_AMT": "150.00", "LINE_ALOWD_CHRG_AMT": "100", "LINE_PRCSG_IND_CD": "A",
    }  # fmt: skip
    return line | columns


def test_the_users_own_entries_win(tmp_path: Path) -> None:
    rows = [carrier_line(OTHER="77.00", FINAL_ACTION=f, LINE_NUM=n, PRF_PHYSN_NPI=n * 10) for f, n in ("F1", "N2")]
    rows.append(carrier_line(OTHER="77.00", FINAL_ACTION="N", LINE_NUM="3"))
    write(tmp_path / "c.csv", rows, "|")
    exports = load(
        tmp_path,
        "claims",
        "c.csv",
        "rif-carrier",
        columns={"billed_amount": "OTHER"},
        constants={"network_id": "EX1", "place_of_service": "12"},
        values={"procedure_code": {"90837": "90834"}, "member_amount": {"20": "21"}},
        keep={"FINAL_ACTION": ["N"]},
        rules={"npi_check_digit": "set_aside"},
    )
    reasons = {"not_selected:FINAL_ACTION": 1, "npi_check_digit:provider_npi": 1}
    assert counts(exports, "claims") == (3, 1, reasons)
    [line] = exports.frame("claims").to_dict("records")
    assert (line["line_number"], line["billed_amount"]) == ("3", Decimal("77.00"))
    assert (line["network_id"], line["place_of_service"], line["procedure_code"]) == ("EX1", "12", "90834")
    assert line["allowed_amount"] == Decimal("100.00"), "what the user does not name stays as the format has it"


def test_values_apply_to_computed_columns(tmp_path: Path) -> None:
    write(tmp_path / "c.csv", [carrier_line(PRF_PHYSN_NPI="", PRVDR_NPI="S-1")], "|")
    exports = load(tmp_path, "claims", "c.csv", "rif-carrier", values={"provider_npi": {"s-1": npi(7)}})
    assert exports.frame("claims")["provider_npi"].tolist() == [npi(7)]


@pytest.mark.parametrize(
    ("table", "name", "text", "message"),
    [
        ("directory", "rif-carrier", "a,b\n", "format rif-carrier is for claims only"),
        ("claims", "rif-carrier", "a,b\n1,2\n", "is no rif-carrier file for claims: its header row lacks 'BENE_ID'"),
        ("directory", "nppes", "NPI,Name\n1,2\n", "its header row lacks 'Entity Type Code'"),
        ("members", "synthea", "PATIENT,PAYER,OWNERSHIP\n1,2,3\n", "x.csv needs patients.csv beside it"),
        ("members", "qhp-providers", "[]", "format qhp-providers is for directory only"),
        ("directory", "qhp-providers", '{"npi": "1"}', "is no JSON array of providers"),
        ("directory", "qhp-providers", '[{"npi": ', "holds no provider that can be read as JSON"),
        ("directory", "ma-hsd", "", "is no ma-hsd file for directory"),
    ],
)
def test_refused_in_one_sentence(table: str, name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(ExportError, match=message) as error:
        load(tmp_path, table, "x.csv", name)
    assert "\n" not in str(error.value)


# ---- RIF ----


def test_rif_versions_denials_and_deletions(tmp_path: Path) -> None:
    rows = [
        carrier_line(),
        carrier_line(DML_IND="UPDATE", LINE_ALOWD_CHRG_AMT="90"),  # of the same week, so the action decides
        carrier_line(CLM_ID="-11", NCH_WKLY_PROC_DT="13-Nov-2020", LINE_ALOWD_CHRG_AMT="70"),
        carrier_line(CLM_ID="-11", NCH_WKLY_PROC_DT="06-Nov-2020"),
        carrier_line(CLM_ID="-12"),
        carrier_line(CLM_ID="-12", DML_IND="DELETE"),
        carrier_line(CLM_ID="-13", CARR_CLM_PMT_DNL_CD="0"),
        carrier_line(CLM_ID="-14", LINE_PRCSG_IND_CD="C"),
        carrier_line(CLM_ID="-15", FINAL_ACTION="N"),
        carrier_line(CLM_ID="-16", LINE_BENE_PTB_DDCTBL_AMT="12.34"),
    ]
    write(tmp_path / "c.csv", rows, "|")
    exports = load(tmp_path, "claims", "c.csv", "rif-carrier")
    [one] = exports.files[exports.files["table"] == "claims"].to_dict("records")
    assert (one["rows_read"], one["accepted"], one["reasons"]) == (10, 9, {"not_selected:FINAL_ACTION": 1})
    claims = exports.frame("claims").set_index("claim_id")
    assert claims["allowed_amount"].astype(str).loc[["-10", "-11"]].tolist() == ["90.00", "70.00"]
    assert claims["claim_status"].fillna("paid").to_dict() == {
        "-10": "paid", "-11": "paid", "-12": "reversed", "-13": "denied", "-14": "denied", "-16": "paid",
    }  # fmt: skip
    assert claims["member_amount"].astype(str).loc[["-10", "-16"]].tolist() == ["20.00", "32.34"]


#: Codes of ResDAC's tables that say who was paid, or that a line was allowed.
PAID_CODES = {"CARR_CLM_PMT_DNL_CD": "123456789AB", "LINE_PRCSG_IND_CD": "AORS"}
MSP_CODES = ["E", "F", "G", "H", "J", "K", "Q", "T", "U", "V", "X", "Y", "00", "12", "18", "21", "26"]


@pytest.mark.parametrize("column", PAID_CODES)
def test_rif_carrier_denials_by_code(column: str, tmp_path: Path) -> None:
    refused = {"CARR_CLM_PMT_DNL_CD": [*"0DP"], "LINE_PRCSG_IND_CD": [*"BCDILMNPZ"]}[column] + MSP_CODES
    expected = dict.fromkeys(refused, "denied") | dict.fromkeys([*PAID_CODES[column], ""], "paid")
    rows = [carrier_line(CLM_ID=f"-{n}", **{column: code}) for n, code in enumerate(expected, start=10)]
    write(tmp_path / "c.csv", rows, "|")
    claims = load(tmp_path, "claims", "c.csv", "rif-carrier").frame("claims").set_index("claim_id")["claim_status"]
    assert {code: claims.fillna("paid")[f"-{n}"] for n, code in enumerate(expected, start=10)} == expected


@pytest.mark.parametrize(("code", "status"), [("B", "denied"), ("N", "denied"), ("12", "denied"), ("P", ""), ("Z", "")])
def test_rif_reason_for_non_payment(code: str, status: str, tmp_path: Path) -> None:
    row = {"BENE_ID": "-1", "CLM_ID": "-2", "CLM_LINE_NUM": "1", "REV_CNTR": "0450", "REV_CNTR_TOT_CHRG_AMT": "100"}
    row |= {"CLM_FROM_DT": "01-Nov-2020", "HCPCS_CD": "99213", "AT_PHYSN_NPI": npi(1), "CLM_MDCR_NON_PMT_RSN_CD": code}
    write(tmp_path / "o.csv", [row], "|")
    claims = load(tmp_path, "claims", "o.csv", "rif-outpatient").frame("claims")
    assert claims["claim_status"].fillna("").tolist() == [status]


def test_rif_total_line_and_provider_of_an_institution(tmp_path: Path) -> None:
    base = {
        "BENE_ID": "1", "CLM_ID": "2", "CLM_FROM_DT": "20201101", "REV_CNTR_DT": "", "ORG_NPI_NUM": npi(3),
        "AT_PHYSN_NPI": "", "RNDRNG_PHYSN_NPI": "", "HCPCS_CD": "90837", "REV_CNTR": "0914",
        "REV_CNTR_TOT_CHRG_AMT": "100.00", "REV_CNTR_UNIT_CNT": "1",
    }  # fmt: skip
    rows = [
        base | {"CLM_LINE_NUM": "1"},
        base | {"CLM_LINE_NUM": "2", "AT_PHYSN_NPI": npi(2)},
        base | {"CLM_LINE_NUM": "3", "AT_PHYSN_NPI": npi(2), "RNDRNG_PHYSN_NPI": npi(1)},
        base | {"CLM_LINE_NUM": "4", "REV_CNTR": "0001", "HCPCS_CD": "", "REV_CNTR_TOT_CHRG_AMT": "300.00"},
    ]
    write(tmp_path / "o.csv", rows, "|")
    exports = load(tmp_path, "claims", "o.csv", "rif-outpatient")
    assert counts(exports, "claims") == (4, 3, {"not_selected:REV_CNTR": 1})
    claims = exports.frame("claims").sort_values("line_number")
    assert claims["provider_npi"].tolist() == [npi(3), npi(2), npi(1)]
    assert sum(claims["billed_amount"]) == 300, "the total line would count the claim twice"
    assert set(claims["service_date"]) == {pd.Timestamp("2020-11-01")}


# ---- Tuva ----

TUVA_CLAIMS: list[Row] = [
    {
        "claim_id": "C1", "claim_line_number": 1, "claim_type": "professional", "person_id": "P1", "member_id": "M1",
        "claim_start_date": "2025-01-02", "claim_line_start_date": "2025-01-03", "place_of_service_code": "11",
        "service_unit_quantity": 2, "hcpcs_code": "90837", "rendering_npi": npi(1), "billing_npi": npi(2),
        "facility_npi": npi(3), "paid_amount": 80.0, "allowed_amount": 100.25, "charge_amount": 150.5,
        "coinsurance_amount": 5.05, "copayment_amount": 10.1, "deductible_amount": 5.1, "diagnosis_code_1": "F329",
        "data_source": "x",
    },
]  # fmt: skip
TUVA_CLAIMS += [
    TUVA_CLAIMS[0] | {"claim_line_number": 2, "rendering_npi": None, "claim_line_start_date": None},
    TUVA_CLAIMS[0]
    | {"claim_id": "C2", "claim_type": "institutional", "rendering_npi": None, "hcpcs_code": None, "member_id": "M9"},
    TUVA_CLAIMS[0] | {"claim_id": "C3", "charge_amount": None},
]
TUVA_PEOPLE: list[Row] = [
    {
        "person_id": "P1", "member_id": "M1", "birth_date": "1980-02-03", "enrollment_start_date": "2025-01-01",
        "enrollment_end_date": "2025-12-31", "plan": "HMO", "zip_code": "01730", "data_source": "x",
    },
]  # fmt: skip
TUVA_PEOPLE += [TUVA_PEOPLE[0] | {"person_id": "P2", "zip_code": "1730"}, TUVA_PEOPLE[0] | {"zip_code": None}]


def write_csv(path: Path, rows: list[Row]) -> Path:
    return write(path.with_suffix(".csv"), [{k: "" if v is None else v for k, v in row.items()} for row in rows])


def write_parquet(path: Path, rows: list[Row]) -> Path:
    frame = pd.DataFrame(rows)
    for column in [c for c in frame if c.endswith("_date")]:
        frame[column] = pd.to_datetime(frame[column])
    frame.to_parquet(path.with_suffix(".parquet"))
    return path.with_suffix(".parquet")


@pytest.mark.parametrize("writer", [write_csv, write_parquet])
def test_tuva(writer: Callable[[Path, list[Row]], Path], tmp_path: Path) -> None:
    exports = load(tmp_path, "claims", writer(tmp_path / "medical_claim", TUVA_CLAIMS), "tuva-medical-claim")
    assert counts(exports, "claims") == (4, 3, {"missing:billed_amount": 1})
    claims = exports.frame("claims").sort_values(["claim_id", "line_number"])
    assert claims["provider_npi"].tolist() == [npi(1), npi(2), npi(3)]
    assert [f"{d:%F}" for d in claims["service_date"]] == ["2025-01-03", "2025-01-02", "2025-01-03"]
    first = claims.iloc[0]
    assert (first["member_id"], first["diagnosis_code"], str(first["units"])) == ("P1", "F329", "2.000")
    amounts = [str(first[f"{a}_amount"]) for a in ("billed", "allowed", "paid", "member")]
    assert amounts == ["150.50", "100.25", "80.00", "20.25"]
    assert claims["network_status"].isna().all()
    exports = load(tmp_path, "members", writer(tmp_path / "eligibility", TUVA_PEOPLE), "tuva-eligibility")
    assert counts(exports, "members") == (3, 2, {"missing:zip": 1})
    members = exports.frame("members").sort_values("member_id")
    assert members[["member_id", "zip", "birth_year"]].to_numpy().tolist() == [
        ["P1", "01730", 1980],
        ["P2", "01730", 1980],
    ]
    assert [f"{d:%F}" for d in members["termination_date"]] == ["2025-12-31"] * 2


def test_tuva_of_later_releases(tmp_path: Path) -> None:
    renamed = [
        {k.replace("_npi", "_id"): v for k, v in row.items()} | {"in_network_flag": flag}
        for row, flag in zip(TUVA_CLAIMS[:3], (1, 0, None), strict=True)
    ]
    exports = load(tmp_path, "claims", write_csv(tmp_path / "medical_claim", renamed), "tuva-medical-claim")
    claims = exports.frame("claims").sort_values(["claim_id", "line_number"])
    assert claims["provider_npi"].tolist() == [npi(1), npi(2), npi(3)]
    assert claims["network_status"].fillna("").tolist() == ["in", "out", ""]


@pytest.mark.parametrize("table", ["claims", "members"])
def test_tuva_parquet_is_told_by_its_column_names(table: str, tmp_path: Path) -> None:
    """As CSV is; a mapping of columns, another table or damage make it Parquet, which says what it lacks."""
    rows = {"claims": TUVA_CLAIMS[:1], "members": TUVA_PEOPLE[:1]}[table]
    path = write_parquet(tmp_path / "export.parquet", rows)
    name = {"claims": "tuva-medical-claim", "members": "tuva-eligibility"}[table]
    assert formats.recognise(path, EXPORTS[table], Source(path=path.name)) == name
    mapped = Source(path=path.name, columns={"member_id": "person_id"})
    assert formats.recognise(path, EXPORTS[table], mapped) == "parquet"
    assert formats.recognise(path, EXPORTS["directory"], Source(path=path.name)) == "parquet"
    exports = load(tmp_path, table, path.name, "")
    assert counts(exports, table)[:2] == (1, 1)
    assert exports.files.set_index("table").loc[table, "format"] == name
    path.write_bytes(path.read_bytes()[:-9])
    assert formats.recognise(path, EXPORTS[table], Source(path=path.name)) == "parquet"
    with pytest.raises(ExportError, match="not a readable Parquet file"):
        load(tmp_path, table, path.name, "")


def test_parquet_with_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "export.parquet", TUVA_PEOPLE[:1])
    path.write_bytes(path.read_bytes().replace(b"birth_date", b"birth\xff\xfeate"))
    for name in ("tuva-eligibility", "parquet", ""):
        with pytest.raises(ExportError, match="export"):
            load(tmp_path, "members", path.name, name)


def test_tuva_headers_alone(shared_exports: Path, tmp_path: Path) -> None:
    folder = shared_exports / "claims/tuva"
    claims = load(tmp_path / "c", "claims", folder / "medical_claim.csv", "tuva-medical-claim")
    assert counts(claims, "claims") == (0, 0, {})
    members = load(tmp_path / "m", "members", folder / "eligibility.csv", "tuva-eligibility")
    assert counts(members, "members")[0] == 0


# ---- NPPES ----


def nppes_row(number: int, **columns: str) -> Row:
    row = {
        "NPI": npi(number), "Entity Type Code": "1", "Replacement NPI": "",
        "Provider Organization Name (Legal Business Name)": "", "Provider Last Name (Legal Name)": "DOE",
        "Provider First Name": "ANN", "Provider Middle Name": "B", "Provider Name Suffix Text": "",
        "Provider Credential Text": "M.D.",
        "Provider Business Practice Location Address Postal Code": "043301234",
        "Provider Enumeration Date": "05/23/2005", "NPI Deactivation Date": "", "NPI Reactivation Date": "",
        "Healthcare Provider Taxonomy Code_1": "2084P0800X", "Healthcare Provider Primary Taxonomy Switch_1": "Y",
    }  # fmt: skip
    return row | {k.replace("_", " ") if k not in row else k: v for k, v in columns.items()}


def test_nppes_deactivation(tmp_path: Path) -> None:
    blank = dict.fromkeys(nppes_row(1), "")
    rows = [
        nppes_row(1),
        blank | {"NPI": npi(2), "NPI Deactivation Date": "01/31/2024"},  # as CMS publishes them
        nppes_row(3) | {"NPI Deactivation Date": "01/31/2024", "NPI Reactivation Date": "01/31/2024"},
        nppes_row(4) | {"NPI Deactivation Date": "01/31/2024", "NPI Reactivation Date": "01/30/2023"},
        nppes_row(5) | {"NPI Deactivation Date": "31.1.2024"},
        nppes_row(6)
        | {"Provider Last Name (Legal Name)": "", "Provider Organization Name (Legal Business Name)": "CLINIC, INC."},
        nppes_row(7) | {"Provider Business Practice Location Address Postal Code": "SW1A 1AA"},
    ]
    path = write(tmp_path / "npidata.csv", rows)
    directory = load(tmp_path / "d", "directory", path, "nppes")
    reasons = {"not_selected:NPI Deactivation Date": 3, "zip_shape:zip": 1}
    assert counts(directory, "directory") == (7, 3, reasons)
    found = directory.frame("directory").set_index("npi")
    assert found["provider_name"].to_dict()[npi(1)] == "ANN B DOE M.D."
    assert found["provider_name"].to_dict()[npi(6)] == "CLINIC, INC."
    providers = load(tmp_path / "p", "providers", path, "nppes")
    reasons = {"missing:zip": 1, "not_a_date:deactivation_date": 1, "zip_shape:zip": 1}
    assert counts(providers, "providers") == (7, 4, reasons)
    days = providers.frame("providers").set_index("npi")["deactivation_date"]
    assert f"{days[npi(4)]:%F}" == "2024-01-31"
    assert days.drop(npi(4)).isna().all()


# ---- HSD ----


def test_hsd_without_row_numbers_reads_the_same(tmp_path: Path) -> None:
    header = (
        "National Provider Number (NPI)\tFirst Name of Provider\tLast Name of Provider\tSpecialty Type  "
        "(area of medicine)\tZip\tNetwork IDs\n"
    )
    body = [f"{npi(n)}\tNA\tNA{n}\t{s}\t4330\tN1\n" for n, s in enumerate(("29", "029 Psychiatry", "pharmacy", "x"), 1)]
    (tmp_path / "a.txt").write_text(header + "".join(body))
    numbered = header + "".join(f"{n}\t{line}" for n, line in enumerate(body, 1))
    (tmp_path / "b.txt").write_text(numbered)
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress(numbered.encode()))
    (tmp_path / "d.txt").write_text(header + "".join(body).replace("\n", "\t\n"))
    found = []
    for file in ("a.txt", "b.txt", "c.txt.gz", "d.txt"):
        exports = load(tmp_path, "directory", file, "ma-hsd")
        assert counts(exports, "directory") == (4, 3, {"taxonomy_shape:taxonomy_code": 1})
        assert exports.files.set_index("table").loc["directory", "path"] == file
        found.append(exports.frame("directory"))
    for other in found[1:]:
        pd.testing.assert_frame_equal(found[0], other)
    assert found[0]["taxonomy_code"].tolist() == ["2084P0800X", "2084P0800X", "333600000X"]
    assert found[0]["provider_name"].tolist() == ["NA1", "NA2", "NA3"]
    assert set(found[0]["zip"]) == {"04330"}


# ---- QHP ----


def provider(**fields: object) -> Row:
    one = {
        "npi": npi(1),
        "type": "INDIVIDUAL",
        "name": {"first": "Ann", "last": "Doe"},
        "addresses": [{"address": "1 Main St", "zip": "04330"}],
        "specialty": ["Psychiatry"],
        "accepting": "accepting",
        "plans": [{"plan_id": "P1", "network_tier": "A", "years": [2025]}],
    }
    return one | fields


def directory_of(tmp_path: Path, providers: object, **more: object) -> Exports:
    (tmp_path / "providers.json").write_text(json.dumps(providers))
    return load(tmp_path, "directory", "providers.json", "qhp-providers", **more)


def test_qhp_tiers_are_one_row_and_years_a_span(tmp_path: Path) -> None:
    plans = [
        {"plan_id": "P1", "network_tier": "A", "years": [2024]},
        {"plan_id": "P1", "network_tier": "B", "years": [2025, 2027]},
        {"plan_id": "P2", "network_tier": "A"},
    ]
    exports = directory_of(tmp_path, [provider(plans=plans)])
    assert counts(exports, "directory") == (3, 3, {})
    found = exports.frame("directory").sort_values(["network_id", "effective_date"])
    spans = found[["network_id", "effective_date", "termination_date"]].astype("str").fillna("").to_numpy().tolist()
    assert spans == [
        ["P1", "2024-01-01", "2025-12-31"],
        ["P1", "2027-01-01", "2027-12-31"],
        ["P2", "", ""],
    ]


def test_qhp_panels_specialties_and_older_spelling(tmp_path: Path) -> None:
    people = [
        provider(accepting="not accepting", languages=["English", "Español"]),
        provider(npi=npi(2), accepting="accepting in some locations", specialty=None, speciality="  psychiatry "),
        provider(npi=npi(3), accepting=True, specialty=["Psychiatry", "psychiatry"]),
        provider(npi=npi(4), specialty=["Mind reading"]),
        provider(npi=npi(5), specialty=[]),
        provider(npi=npi(6), address={"zip": "04330"}, addresses=None),
        provider(npi=npi(7), addresses=[]),
    ]
    exports = directory_of(tmp_path, people)
    reasons = {"missing:taxonomy_code": 1, "missing:zip": 1, "taxonomy_shape:taxonomy_code": 1}
    assert counts(exports, "directory") == (7, 4, reasons)
    assert exports.set_aside["row"].tolist() == [4, 5, 7], "places are numbers of providers"
    found = exports.frame("directory").set_index("npi")
    assert found["accepting_new_patients"].astype("str").fillna("").tolist() == ["False", "", "True", "True"]
    assert found.loc[npi(1), "languages"] == "English; Español"
    again = directory_of(tmp_path, people, values={"taxonomy_code": {"mind reading": "2084P0800X"}})
    assert counts(again, "directory")[1] == 5


def test_qhp_damage_sets_aside_the_rest_as_one(tmp_path: Path) -> None:
    whole = json.dumps([provider(), "no provider", provider(npi=npi(2), plans=[]), provider(npi=npi(3))])
    (tmp_path / "providers.json.gz").write_bytes(gzip.compress(("\ufeff" + whole[:-9]).encode()))
    exports = load(tmp_path, "directory", "providers.json.gz", "qhp-providers")
    assert counts(exports, "directory") == (4, 1, {"malformed_record": 1, "no_plan": 1, "not_a_resource": 1})
    assert exports.set_aside["row"].tolist() == [2, 3, 4]


def test_qhp_keeps_what_is_asked_for(tmp_path: Path) -> None:
    plans = [{"plan_id": p} for p in ("P1", "P2", "P3")]
    exports = directory_of(tmp_path, [provider(plans=plans)], keep={"network_id": ["P2"]})
    assert counts(exports, "directory") == (3, 1, {"not_selected:network_id": 2})
    assert exports.frame("directory")["network_id"].tolist() == ["P2"]


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5)
)
anything = st.recursive(
    scalars, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.sampled_from(["zip", "plan_id", "years"]), x)
)
keys = st.sampled_from(["npi", "type", "name", "addresses", "specialty", "facility_type", "plans", "accepting"])
records = st.one_of(
    anything, st.dictionaries(keys, anything), st.builds(lambda d: provider(**d), st.dictionaries(keys, anything))
)


@settings(max_examples=40, deadline=None)
@given(providers=st.lists(records, min_size=1, max_size=4), cut=st.integers(0, 30))
def test_qhp_loses_no_row_and_never_breaks(
    providers: list[object], cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = json.dumps(providers)
    folder = tmp_path_factory.mktemp("qhp")
    (folder / "p.json").write_text(text[: len(text) - cut])
    try:
        exports = load(folder, "directory", "p.json", "qhp-providers")
    except ExportError:
        assert cut or len(text) < 40, "only damage may be refused"
        return
    [one] = exports.files[exports.files["table"] == "directory"].to_dict("records")
    assert one["rows_read"] == one["accepted"] + one["set_aside"]
    places = set(exports.set_aside["row"])
    assert len(places) <= len(providers) + 1
    if not cut:
        assert one["rows_read"] >= len(providers), "each element is a row at least, or set aside"


def test_specialty_names_mean_codes_of_the_set() -> None:
    names = qhp.load_specialty_names()
    reference = Path(qhp.__file__).parents[1] / "reference" / "taxonomy.csv"
    codes = {r["taxonomy_code"] for r in csv.DictReader(io.StringIO(reference.read_text(encoding="utf-8")))}
    assert set(names.values()) <= codes
    assert set(synthea.SPECIALTIES.values()) <= codes
    assert (names["dermatology"], names["neurology"], names["social worker, clinical"]) == (
        "207N00000X",
        "2084N0400X",
        "1041C0700X",
    )
    assert "hospital" not in names
    assert "neurology " not in names


def test_formats_speak_of_known_columns_only() -> None:
    for layouts in (synthea.LAYOUTS, rif.CARRIER, rif.OUTPATIENT, rif.BENEFICIARY, tuva.MEDICAL_CLAIM, nppes.LAYOUTS):
        for layout in layouts:
            assert set(layout.columns) <= set(EXPORTS[layout.table].names)
