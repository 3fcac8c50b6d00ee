"""Medicare rates: the formula by hand, the whole file of 2022, and small files with what goes wrong.

The files of CMS are never part of the project; where ../shared is absent those tests are skipped.
"""

import csv
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sca_analysis.errors import ExportError, ParameterError
from sca_analysis.exports import Exports
from sca_analysis.medicare import NATIONAL, Gpci, locality_rate, percent_of_medicare

CENT = Decimal("0.01")
TENTH = Decimal("0.1")
D = Decimal

# ---- the formula ----


def by_fractions(work: D, expense: D, malpractice: D, gpci: Gpci, factor: D) -> D:
    """Do the same sum with fractions and whole numbers only."""
    parts = ((work, gpci.work), (expense, gpci.practice_expense), (malpractice, gpci.malpractice))
    exact = sum((Fraction(rvu) * Fraction(index) for rvu, index in parts), Fraction(0)) * Fraction(factor)
    return D(int(exact * 100 + Fraction(1, 2))) / 100  # half up, since nothing is below zero


# RVUs of the January 2022 release, GPCIs of addendum E of 2022
RVUS = {"90837": ("3.31", "0.94", "0.11"), "99213": ("1.30", "1.26", "0.10"), "90791": ("3.84", "1.21", "0.12")}
MANHATTAN, ALABAMA, ALASKA = ("1.056", "1.203", "2.031"), ("1", "0.888", "0.921"), ("1.5", "1.118", "0.614")


@pytest.mark.parametrize(
    ("code", "indices", "expected"),
    [
        ("90837", MANHATTAN, "167.83"),
        ("99213", ALABAMA, "86.90"),
        ("90791", ALASKA, "248.70"),
        ("90837", ("1", "1", "1"), "150.88"),
        ("99213", ("1", "1", "1"), "92.05"),
        ("90791", ("1", "1", "1"), "178.91"),
    ],
)
def test_rate_by_hand(code: str, indices: tuple[str, str, str], expected: str) -> None:
    """By hand, with the factor of 2022, 34.6062 USD/RVU.

    90837 in Manhattan: 3.31 x 1.056 + 0.94 x 1.203 + 0.11 x 2.031 = 3.49536 + 1.13082 + 0.22341
        = 4.84959; x 34.6062 = 167.825881... = 167.83
    99213 in Alabama: 1.30 x 1 + 1.26 x 0.888 + 0.10 x 0.921 = 1.30 + 1.11888 + 0.0921 = 2.51098;
        x 34.6062 = 86.895476... = 86.90
    90791 in Alaska: 3.84 x 1.5 + 1.21 x 1.118 + 0.12 x 0.614 = 5.76 + 1.35278 + 0.07368 = 7.18646;
        x 34.6062 = 248.696072... = 248.70
    National: 4.36 x 34.6062 = 150.883032; 2.66 x 34.6062 = 92.052492; 5.17 x 34.6062 = 178.914054
    """
    work, expense, malpractice = map(D, RVUS[code])
    gpci = Gpci(*map(D, indices))
    assert locality_rate(work, expense, malpractice, gpci, D("34.6062")) == D(expected)
    assert by_fractions(work, expense, malpractice, gpci, D("34.6062")) == D(expected)


rvus = st.decimals(0, 1500, places=2)
indices = st.decimals(0, 3, places=3)
gpcis = st.builds(Gpci, indices, indices, indices)
factors = st.decimals(1, 100, places=4)


@given(rvus, rvus, rvus, gpcis, factors)
def test_rate_is_exact(work: D, expense: D, malpractice: D, gpci: Gpci, factor: D) -> None:
    rate = locality_rate(work, expense, malpractice, gpci, factor)
    assert rate == by_fractions(work, expense, malpractice, gpci, factor)
    assert rate.as_tuple().exponent == -2


@given(rvus, rvus, rvus, gpcis, factors, st.integers(0, 6), st.decimals(0, 5, places=3))
def test_rate_never_falls_when_a_value_rises(
    work: D, expense: D, malpractice: D, gpci: Gpci, factor: D, which: int, more: D
) -> None:
    before = [work, expense, malpractice, gpci.work, gpci.practice_expense, gpci.malpractice, factor]
    after = [v + more if i == which else v for i, v in enumerate(before)]
    low, high = (locality_rate(*v[:3], Gpci(*v[3:6]), v[6]) for v in (before, after))
    assert low <= high


@given(rvus, rvus, rvus, factors)
def test_indices_of_one_give_the_national_rate(work: D, expense: D, malpractice: D, factor: D) -> None:
    total = work + expense + malpractice
    assert locality_rate(work, expense, malpractice, NATIONAL, factor) == (total * factor).quantize(CENT, ROUND_HALF_UP)


@pytest.mark.parametrize("wrong", ["-0.01", "NaN", "Infinity"])
def test_values_that_are_none_are_refused(wrong: str) -> None:
    with pytest.raises(ParameterError, match="below zero or no number"):
        locality_rate(D(1), D(wrong), D(1), NATIONAL, D(34))


def test_half_a_cent_is_rounded_up_once_at_the_end() -> None:
    """0.15 x 34.30 = 5.145 -> 5.15; the parts alone, 3 x 1.715, would give 3 x 1.72 = 5.16."""
    assert locality_rate(D("0.05"), D("0.05"), D("0.05"), NATIONAL, D("34.30")) == D("5.15")


@pytest.mark.parametrize(
    ("rate", "medicare", "percent"),
    [
        ("150.88", "150.88", "100.0"),
        ("200", "150.88", "132.6"),  # 132.555...
        ("1.0005", "1", "100.1"),  # half up
        ("0", "150.88", "0.0"),
        (None, "150.88", None),
        ("200", None, None),
        ("200", "0", None),
    ],
)
def test_percent_of_medicare(rate: str | None, medicare: str | None, percent: str | None) -> None:
    given_rate, given_medicare = (None if v is None else D(v) for v in (rate, medicare))
    assert percent_of_medicare(given_rate, given_medicare) == (None if percent is None else D(percent))


# ---- small files in CMS's layout, with numbers of our own ----

WIDTH = 31
STACKED = {  # the headings as they stand one below the other, by column
    0: ("", "", "", "", "HCPCS"),
    1: ("", "", "", "", "MOD"),
    2: ("", "", "", "", "DESCRIPTION"),
    3: ("", "", "", "STATUS", "CODE"),
    4: ("", "NOT USED", "FOR", "MEDICARE ", "PAYMENT"),
    5: ("", "", "", "WORK", "RVU"),
    6: ("", "", "", "NON-FAC", "PE RVU"),
    7: ("", "", "NON-FAC", "NA", "INDICATOR"),
    8: ("", "", "", "FACILITY", "PE RVU"),
    9: ("", "", "FACILITY ", "NA", "INDICATOR"),
    10: ("", "", "", "MP", "RVU"),
    11: ("", "", "", "NON-FACILITY", "TOTAL"),
    12: ("", "", "", "FACILITY", "TOTAL"),
    24: ("", "", "", "CONV", "FACTOR"),
    28: ("NON-FACILITY", "PE USED", "FOR OPPS", "PAYMENT", "AMOUNT"),
    29: ("FACILITY", "PE USED", "FOR OPPS", "PAYMENT", "AMOUNT"),
    30: ("", "MP USED", "FOR OPPS", "PAYMENT", "AMOUNT"),
}
TITLES = ["2031 National Physician Fee Schedule Relative Value File", "Made up, for tests", "", "", ""]


def fee(code: str, work: str, office: str, facility: str, malpractice: str, /, **other: str) -> list[str]:
    """Return one row of 31 cells whose totals add up; ``other`` overwrites cells by name."""
    total, in_facility = (str(D(work) + D(e) + D(malpractice)) for e in (office, facility))
    named = {"mod": 1, "status": 3, "work": 5, "office": 6, "na": 9, "total": 11, "factor": 24}
    named |= {"outpatient": 28, "outpatient_facility": 29, "outpatient_malpractice": 30}
    row = [code, "", "Ours", "A", "", work, office, "", facility, "", malpractice, total, in_facility]
    row += ["0", "XXX", *["0.00"] * 3, *["0"] * 5, "", "10.0000", "09", "0", "99", "0.00", "0.00", "0.00"]
    for key, value in other.items():
        row[named[key]] = value
    return row


FEES = [
    fee("V9001", "1.00", "1.00", "0.50", "0.10"),
    fee("00100", "0.00", "0.00", "0.00", "0.00", status="J"),
    fee("90001", "2.00", "1.00", "0.40", "0.20"),
    fee("90002", "0.00", "0.00", "0.00", "0.00", status="R"),
    fee("90002", "0.00", "0.00", "0.00", "0.00", status="C", mod="TC"),
    fee("90003", "0.50", "1.00", "1.00", "0.01", na="NA"),
    fee("90003", "0.50", "0.20", "0.20", "0.01", mod="26"),
    fee("90004", "0.00", "0.00", "0.00", "0.00", status="C"),
    fee("90005", "9.00", "9.00", "9.00", "9.00", status="N"),
]
INDICES = [
    ["1001", "NY", "1", "OURS", "1.1", "1.2", "2"],
    ["1001", "NY", "99", "REST OF OURS", "1", "0.9", "0.5"],
    ["2001", "AK", "1", "THEIRS*", "1.5", "1.1", "0.6"],
]


def write(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def headings(changed: Mapping[int, tuple[str, ...]] | None = None) -> list[list[str]]:
    stacked = STACKED | dict(changed or {})
    titles = [["", "", title, *[""] * (WIDTH - 3)] for title in TITLES]
    return titles + [[stacked.get(i, ("",) * 5)[line] for i in range(WIDTH)] for line in range(5)]


def make(
    folder: Path,
    rows: list[list[str]],
    *,
    above: list[list[str]] | None = None,
    gpci: list[list[str]] | None = INDICES,
    year: str = "2031",
    entry: str = "",
    format: str = "medicare-fees",
) -> Exports:
    """Write and open an exports folder whose fees are a PPRRVU file of ours."""
    write(folder / "PPRRVU31.csv", [*(above or headings()), *rows])
    if gpci is not None:
        top = ["Medicare Administrative Contractor", "State", "Locality Number", "Locality Name"]
        top += [f"{year} PW GPCI (with 1.0 Floor)", f"{year} PE GPCI", f"{year} MP GPCI"]
        foot = [["*A footnote", *[""] * 6]]
        write(folder / "GPCI2031.csv", [["ADDENDUM E", *[""] * 6], [""] * 7, top, *gpci, [""] * 7, *foot])
    return open_fees(folder, f"path: PPRRVU31.csv, format: {format}{entry}")


def open_fees(folder: Path, *entries: str) -> Exports:
    claim = "claim_id line_number member_id provider_npi service_date procedure_code billed_amount"
    write(folder / "claims.csv", [claim.split()])
    write(folder / "directory.csv", [["npi", "provider_name", "taxonomy_code", "zip"]])
    listed = ", ".join(f"{{{entry}}}" for entry in entries)
    (folder / "exports.yaml").write_text(
        f"claims: {{path: claims.csv}}\ndirectory: {{path: directory.csv}}\nfees: [{listed}]\n", encoding="utf-8"
    )
    return Exports.open(folder)


def rates(exports: Exports) -> dict[tuple[str, str], D]:
    fees = exports.frame("fees")
    assert fees[["in_network_rate", "out_of_network_allowed", "usual_charge"]].isna().all(axis=None)
    keys = zip(fees["procedure_code"], fees["locality"].fillna(""), strict=True)
    return dict(zip(keys, fees["medicare_rate"], strict=True))


def aside(exports: Exports) -> dict[int, str]:
    rows = exports.set_aside[exports.set_aside["table"] == "fees"]
    return dict(zip(rows["row"].tolist(), rows["reason"], strict=True))


def counts(exports: Exports) -> dict[str, Any]:
    [file] = exports.files[exports.files["table"] == "fees"].to_dict("records")
    assert file["rows_read"] == file["accepted"] + file["set_aside"]
    assert file["set_aside"] == sum(file["reasons"].values())
    return file


def test_national_rates_and_every_row_accounted_for(tmp_path: Path) -> None:
    """2.1 x 10 = 21; (2 + 1 + 0.2) x 10 = 32; 1.51 x 10 = 15.10. The first code is in row 11 of the file."""
    exports = make(tmp_path, [*FEES, ["\x1a", *[""] * 30]], gpci=None)
    assert rates(exports) == {("V9001", ""): D("21.00"), ("90001", ""): D("32.00"), ("90003", ""): D("15.10")}
    assert aside(exports) == {
        12: "not_payable",
        14: "carrier_priced",
        15: "modifier_row",
        17: "modifier_row",
        18: "carrier_priced",
        19: "not_payable",
        20: "footnote",
    }
    assert (counts(exports)["rows_read"], counts(exports)["accepted"]) == (10, 3)


def test_facility_rates(tmp_path: Path) -> None:
    """1.6 x 10 and 2.6 x 10; 90003 has NA in the facility's column, in row 16."""
    exports = make(tmp_path, FEES, format="medicare-fees-facility")
    assert rates(exports) == {("V9001", ""): D("16.00"), ("90001", ""): D("26.00")}
    assert aside(exports)[16] == "not_paid_in_facility"
    assert counts(exports)["format"] == "medicare-fees-facility"


def test_rates_of_localities(tmp_path: Path) -> None:
    """90001 in NY-01: 2 x 1.1 + 1 x 1.2 + 0.2 x 2 = 3.8; in NY-99: 2 + 0.9 + 0.1 = 3; in AK-01: 3 + 1.1 + 0.12."""
    one = make(tmp_path, FEES, entry=", keep: {locality: ny-01}")
    assert {k: v for k, v in rates(one).items() if k[0] == "90001"} == {("90001", "NY-01"): D("38.00")}
    assert (counts(one)["rows_read"], counts(one)["accepted"]) == (9, 3)
    two = rates(make(tmp_path, FEES, entry=", keep: {locality: [national, NY-99]}"))
    assert {k: v for k, v in two.items() if k[0] == "90001"} == {("90001", ""): D(32), ("90001", "NY-99"): D(30)}
    every = make(tmp_path, FEES, entry=", keep: {locality: all}")
    assert rates(every)["90001", "AK-01"] == D("42.20")
    assert {locality for _, locality in rates(every)} == {"", "NY-01", "NY-99", "AK-01"}
    assert (counts(every)["rows_read"], counts(every)["accepted"]) == (4 * 3 + 6, 4 * 3)
    assert aside(every) == aside(one), "row numbers do not move"


def test_imaging_is_capped_at_the_outpatient_amount(tmp_path: Path) -> None:
    """Office 1 + 5 + 0.1, outpatient 1 + 3 + 0.2: the lesser counts, 4.2 x 10; where it is above, 6.1 x 10."""
    capped = {"outpatient": "3.00", "outpatient_facility": "3.00", "outpatient_malpractice": "0.20"}
    rows = [
        fee("70001", "1.00", "5.00", "5.00", "0.10", **capped),
        fee("70002", "1.00", "5.00", "5.00", "0.10", **capped | {"outpatient": "9.00"}),
    ]
    assert rates(make(tmp_path, rows)) == {("70001", ""): D(42), ("70002", ""): D(61)}


def test_damage_is_set_aside_with_row_and_reason(tmp_path: Path) -> None:
    good = fee("90001", "2.00", "1.00", "0.40", "0.20")
    rows = {
        "not_a_number:WORK RVU": fee("90011", "2.00", "1.00", "0.40", "0.20", work="2,oo"),
        "not_a_number:NON-FAC PE RVU": fee("90012", "2.00", "1.00", "0.40", "0.20", office="-1.00"),
        "not_a_number:CONV FACTOR": fee("90013", "2.00", "1.00", "0.40", "0.20", factor="0.0000"),
        "not_a_number:NON-FACILITY TOTAL": fee("90014", "2.00", "1.00", "0.40", "0.20", total=""),
        "rvus_do_not_add_up": fee("90015", "2.00", "1.00", "0.40", "0.20", work="20.0"),
        "unknown_status": fee("90016", "2.00", "1.00", "0.40", "0.20", status="?"),
        "no_rvus": fee("90017", "0.00", "0.00", "0.00", "0.00"),
        "too_few_fields": fee("90018", "2.00", "1.00", "0.40", "0.20")[:20],
        "too_many_fields": [*fee("90019", "2.00", "1.00", "0.40", "0.20"), "1"],
        "procedure_code_shape": fee("9002", "2.00", "1.00", "0.40", "0.20"),
        "duplicate_row": good,
        "duplicate_key": fee("90001", "3.00", "1.00", "0.40", "0.20"),
    }
    exports = make(tmp_path, [fee("00100", "1.00", "1.00", "1.00", "1.00"), good, *rows.values()])
    assert rates(exports) == {("00100", ""): D("30.00"), ("90001", ""): D("32.00")}
    assert aside(exports) == dict(enumerate(rows, start=13))
    assert counts(exports)["rows_read"] == 14


def test_an_open_quote_damages_its_own_row_only(tmp_path: Path) -> None:
    make(tmp_path, FEES)
    path = tmp_path / "PPRRVU31.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("90001,,Ours", '90001,,"Ours'), encoding="utf-8")
    exports = open_fees(tmp_path, "path: PPRRVU31.csv, format: medicare-fees")
    assert set(rates(exports)) == {("V9001", ""), ("90003", "")}
    assert aside(exports)[13] == "too_few_fields"


def test_a_file_without_a_price_gives_no_rates(tmp_path: Path) -> None:
    exports = make(tmp_path, FEES[-1:])
    assert rates(exports) == {}
    assert counts(exports)["rows_read"] == 1


def test_leading_zeros_are_restored_where_all_are_lost(tmp_path: Path) -> None:
    """Without one code that begins with 0, in CMS's order: letters, then 00036, 00100, 90001."""
    values = ("1.00", "1.00", "1.00", "1.00")
    rows = [fee(code, *values) for code in ("V9001", "36", "100", "0101T", "90001")]
    assert [code for code, _ in rates(make(tmp_path, rows))] == ["V9001", "00036", "00100", "0101T", "90001"]


@pytest.mark.parametrize(
    "codes",
    [("V9001", "00035", "36", "90001"), ("V9001", "90001", "36")],
    ids=["another code has its zeros", "not where it would stand in order"],
)
def test_leading_zeros_are_not_guessed(tmp_path: Path, codes: tuple[str, ...]) -> None:
    exports = make(tmp_path, [fee(code, "1.00", "1.00", "1.00", "1.00") for code in codes])
    assert {code for code, _ in rates(exports)} == set(codes) - {"36"}
    assert aside(exports) == {11 + codes.index("36"): "procedure_code_shape"}


def test_a_fee_of_the_plan_and_a_national_rate_have_one_key(tmp_path: Path) -> None:
    """The first in file order counts; the other is set aside by its own row. A locality has a key of its own."""
    make(tmp_path, FEES)
    write(tmp_path / "own.csv", [["procedure_code", "medicare_rate"], ["90003", "1.00"]])
    medicare = "path: PPRRVU31.csv, format: medicare-fees"
    both = open_fees(tmp_path, "path: own.csv", medicare)
    assert rates(both)["90003", ""] == D("1.00")
    assert aside(both)[16] == "duplicate_key"
    assert len(rates(open_fees(tmp_path, "path: own.csv", f"{medicare}, keep: {{locality: NY-01}}"))) == 1 + 3


def test_national_rates_complete_the_fees_of_the_plan(tmp_path: Path) -> None:
    """The plan's rate and Medicare's stand in one row; of two that disagree the first counts, and it is said."""
    make(tmp_path, FEES)
    own = [["procedure_code", "in_network_rate", "medicare_rate"], ["90001", "5.00", ""], ["90003", "7.00", "1.00"]]
    write(tmp_path / "own.csv", own)
    both = open_fees(tmp_path, "path: own.csv", "path: PPRRVU31.csv, format: medicare-fees")
    fees = both.frame("fees").set_index("procedure_code")
    alone = rates(open_fees(tmp_path, "path: PPRRVU31.csv, format: medicare-fees"))
    assert fees.index.is_unique
    assert (fees.loc["90001", "in_network_rate"], fees.loc["90001", "medicare_rate"]) == (D("5.00"), alone["90001", ""])
    assert (fees.loc["90003", "in_network_rate"], fees.loc["90003", "medicare_rate"]) == (D("7.00"), D("1.00"))
    disagree = both.findings[both.findings["rule"] == "fees_disagree"]
    assert disagree[["column", "rows"]].to_numpy().tolist() == [["medicare_rate", 1]]


def test_the_locality_of_the_plan_counts_as_its_own(tmp_path: Path) -> None:
    make(tmp_path, FEES, entry=", keep: {locality: all}")
    alone = rates(open_fees(tmp_path, "path: PPRRVU31.csv, format: medicare-fees, keep: {locality: NY-01}"))
    config = (tmp_path / "exports.yaml").read_text(encoding="utf-8")
    (tmp_path / "exports.yaml").write_text(config + "plan: {locality: NY-01}\n", encoding="utf-8")
    fees = Exports.open(tmp_path).frame("fees").set_index("procedure_code")
    own = fees[fees["locality"].isna()]["medicare_rate"]
    assert own.to_dict() == {code: rate for (code, _), rate in alone.items()}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({5: ("", "", "", "", "")}, "'WORK RVU' over column 6"),
        ({6: STACKED[8], 8: STACKED[6]}, "'NON-FAC PE RVU' over column 7"),
        ({6: ("", "", "TRANSITIONED", "NON-FAC", "PE RVU")}, "'NON-FAC PE RVU' over column 7"),
        ({0: ("", "", "", "", "CODE")}, "'HCPCS' over column 1"),
    ],
)
def test_another_layout_is_refused(tmp_path: Path, changed: dict[int, tuple[str, ...]], expected: str) -> None:
    with pytest.raises(ExportError, match=f"PPRRVU31.csv: not the layout .* 31 columns with {expected} were expected"):
        make(tmp_path, FEES, above=headings(changed))


def test_more_columns_are_another_layout(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="31 columns"):
        make(tmp_path, FEES, above=[[*row, "NEW"] for row in headings()])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"gpci": None}, "need one GPCI"),
        ({"year": "2030"}, r"GPCI2031.csv: not the layout .* 2031 PW GPCI, 2031 PE GPCI, 2031 MP GPCI were expected"),
        ({"gpci": [*INDICES, ["1", "NY", "5", "X", "1.0", "O.9", "1"]]}, "GPCI2031.csv row 7: no locality"),
        ({"gpci": [*INDICES, INDICES[0]]}, "GPCI2031.csv row 7: .* or one again"),
        ({"entry": ", keep: {locality: NY-1}"}, "'ny-1' is not in GPCI2031.csv: write the state"),
        ({"entry": ", keep: {STATUS: A}"}, "takes only `keep: locality`, not STATUS"),
        ({"entry": ", constants: {locality: NY-01}"}, "takes only `keep: locality`, not constants"),
    ],
)
def test_what_cannot_be_done_is_refused(tmp_path: Path, options: dict[str, Any], expected: str) -> None:
    with pytest.raises(ExportError, match=expected):
        make(tmp_path, FEES, **{"entry": ", keep: {locality: all}"} | options)


def test_only_for_fees(tmp_path: Path) -> None:
    make(tmp_path, FEES)
    config = tmp_path / "exports.yaml"
    config.write_text(config.read_text().replace("fees:", "benefits:"))
    with pytest.raises(ExportError, match="benefits: format medicare-fees is for fees only"):
        Exports.open(tmp_path)


# ---- the whole of 2022 ----


@pytest.fixture(scope="module")
def cms(shared_exports: Path) -> Path:
    return shared_exports / "fees" / "medicare-fee-schedule-2022"


@pytest.fixture(scope="module")
def source_rows(cms: Path) -> list[list[str]]:
    """Rows as Python's csv reads them, the ten above the first code left out."""
    with (cms / "PPRRVU22_JAN.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))[10:]


def payable(rows: list[list[str]]) -> list[list[str]]:
    return [r for r in rows if r[1] == "" and r[3] in {"A", "R", "T"} and D(r[11]) > 0]


def independent(row: list[str], gpci: tuple[str, str, str], *, facility: bool = False) -> D:
    """The lesser of the fee schedule and the outpatient amount, with plain decimals."""
    work, expense, malpractice = (D(g) for g in gpci)
    office, outpatient = (8, 29) if facility else (6, 28)
    ours = D(row[5]) * work + D(row[office]) * expense + D(row[10]) * malpractice
    cap = D(row[5]) * work + D(row[outpatient]) * expense + D(row[30]) * malpractice
    return (min(ours, cap if D(row[outpatient]) else ours) * D(row[24])).quantize(CENT, ROUND_HALF_UP)


def open_cms(cms: Path, folder: Path, entry: str = "", format: str = "medicare-fees") -> Exports:
    return open_fees(folder, f"path: {cms / 'PPRRVU22_JAN.csv'}, format: {format}{entry}")


def test_2022_national(cms: Path, source_rows: list[list[str]], tmp_path: Path) -> None:
    exports = open_cms(cms, tmp_path)
    priced = payable(source_rows)
    assert rates(exports) == {(r[0], ""): independent(r, ("1", "1", "1")) for r in priced}
    file = counts(exports)
    assert (file["rows_read"], file["accepted"]) == (len(source_rows), len(priced)) == (17601, 7260)
    status = pd.Series([r[3] for r in source_rows if r[1] == "" and r[0] != "\x1a"])
    assert file["reasons"] == {
        "modifier_row": sum(r[1] != "" for r in source_rows),
        "not_payable": int((~status.isin([*"ARTC"])).sum()),
        "carrier_priced": int((status == "C").sum())
        + sum(r[1:4:2] == ["", "R"] and D(r[11]) == 0 for r in source_rows),
        "footnote": 1,
    }
    accepted = {r[0] for r in priced}
    kept = [n for n, r in enumerate(source_rows, start=11) if not (r[1] == "" and r[0] in accepted)]
    assert sorted(aside(exports)) == kept


def test_2022_amounts_that_are_known(cms: Path, tmp_path: Path) -> None:
    """RVU totals 2.66, 4.36 and 5.17 x 34.6062, CMS's factor of 2022: 33.5983 of 86 FR 64996 and 3% of Pub. L. 117-71.

    90837 was 152.48 in 2021 (4.37 x 34.8931), a figure still quoted for 2022.
    """
    known = rates(open_cms(cms, tmp_path))
    assert [known[c, ""] for c in ("99213", "90837", "90791")] == [D("92.05"), D("150.88"), D("178.91")]


def test_2022_localities(cms: Path, source_rows: list[list[str]], tmp_path: Path) -> None:
    chosen = {
        "NY-01": ("1.056", "1.203", "2.031"),
        "AL-00": ("1", "0.888", "0.921"),
        "AK-01": ("1.5", "1.118", "0.614"),
    }
    exports = open_cms(cms, tmp_path, f", keep: {{locality: [{', '.join(chosen)}]}}")
    priced = payable(source_rows)
    assert rates(exports) == {(r[0], name): independent(r, gpci) for name, gpci in chosen.items() for r in priced}
    found = rates(exports)
    assert found["90837", "NY-01"] == D("167.83")
    assert found["99213", "AL-00"] == D("86.90")
    assert found["90791", "AK-01"] == D("248.70")


def test_2022_facility(cms: Path, source_rows: list[list[str]], tmp_path: Path) -> None:
    exports = open_cms(cms, tmp_path, format="medicare-fees-facility")
    priced = [r for r in payable(source_rows) if r[9] != "NA"]
    assert rates(exports) == {(r[0], ""): independent(r, ("1", "1", "1"), facility=True) for r in priced}
    assert counts(exports)["reasons"]["not_paid_in_facility"] == 1129
    assert counts(exports)["rows_read"] == 17601


def test_2025_reduced_to_json_is_refused(shared_exports: Path, tmp_path: Path) -> None:
    """It holds neither a conversion factor nor a status, so that no rate follows from it."""
    path = shared_exports / "fees" / "medicare-fee-schedule" / "rvu_data_2025.json"
    with pytest.raises(ExportError, match=r"rvu_data_2025.json: not the layout of CMS's PPRRVU file"):
        open_fees(tmp_path, f"path: {path}, format: medicare-fees")
