"""The packaged standard against CMS's workbook and the NUCC file; overrides; exact minima."""

import csv
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sca_analysis import standards
from sca_analysis.errors import ExportError

SHARED = Path(__file__).resolve().parents[2] / "shared" / "exports" / "codesets"
WORKBOOK = SHARED / "cms-ma-hsd" / "ma_reference_file_12-17-2025.xlsx"
NUCC = SHARED / "nucc" / "nucc_taxonomy_240.csv"


def sheet(name):
    if not WORKBOOK.exists():
        pytest.skip(f"CMS's workbook is not at {WORKBOOK}")
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.load_workbook(WORKBOOK, read_only=True, data_only=True)
    return list(book[name].iter_rows(values_only=True))


def override(**cells):
    row = {"specialty": "Psychiatry", "county_type": "Metro", "max_miles": 20, "required_share": "0.95"}
    return pd.DataFrame([row | cells])


def test_standards_equal_the_cms_workbook():
    expected = {}
    for row in sheet("Master"):
        if isinstance(row[2], (int, float)):
            for i, county_type in enumerate(standards.COUNTY_TYPES):
                name = " ".join(row[1].split())
                expected[name, county_type] = (row[11 + 2 * i], row[10 + 2 * i], Decimal(str(row[2 + i])))
    packaged = standards.load_standards()
    columns = ["specialty", "county_type", "max_miles", "max_minutes", "providers_per_1000"]
    got = {(s, t): tuple(rest) for s, t, *rest in packaged[columns].itertuples(index=False)}
    assert len(expected) == 145
    assert got == expected


def test_facility_standards_equal_the_cms_workbook():
    expected = {}
    for row in sheet("Master"):
        if isinstance(row[24], (int, float)):
            for i, county_type in enumerate(standards.COUNTY_TYPES):
                ratio, minutes, miles = row[23 + 3 * i : 26 + 3 * i]
                ratio = None if ratio == "NA" else Decimal(str(ratio))
                expected[" ".join(row[22].split()), county_type] = (miles, minutes, ratio, f"code {row[21]}")
    packaged = standards.load_standards(kind="facility")
    got = {
        (r.specialty, r.county_type): (
            *(r.max_miles, r.max_minutes, r.providers_per_1000),
            r.source.split("Master, ")[1].split(";")[0],
        )
        for r in packaged.itertuples()
    }
    assert len(expected) == 14 * 5
    assert got == expected


def test_facility_types_are_no_specialties_and_have_the_shares_of_the_regulation():
    facilities = standards.load_standards(kind="facility")
    assert not set(facilities["specialty"]) & set(standards.load_standards()["specialty"])
    assert list(facilities) == list(standards.load_standards())
    for _, rows in facilities.groupby("specialty"):
        assert rows["county_type"].tolist() == list(standards.COUNTY_TYPES)
        assert rows["required_share"].tolist() == [Decimal("0.90")] * 2 + [Decimal("0.85")] * 3
    with_ratio = facilities[facilities["providers_per_1000"].notna()]
    assert with_ratio["specialty"].unique().tolist() == ["Acute Inpatient Hospitals"]
    assert with_ratio["source"].str.contains("beds, not facilities").all()


def test_minima_equal_those_of_the_cms_workbook():
    """CMS rounds up beneficiaries to cover x ratio: ours must give every number it prints."""
    rows = sheet("Minimum Provider #s")
    names = {c: " ".join(str(n).replace("(see Notes)", "").replace("/ ", "/").split()) for c, n in enumerate(rows[1])}
    ratio = standards.load_standards().set_index(["specialty", "county_type"])["providers_per_1000"]
    counted = 0
    for row in rows[3:]:
        if not row[3]:
            continue
        for column in range(14, 43):
            got = standards.required_providers(row[7], ratio[names[column], row[5]])
            assert got == row[column], (row[2], names[column])
            counted += 1
    assert counted == 3262 * 29


@pytest.mark.parametrize(
    ("specialty", "miles"),
    [
        ("Primary Care", [5, 10, 20, 30, 60]),
        ("Psychiatry", [10, 30, 45, 60, 100]),
        ("Cardiology", [10, 20, 35, 60, 85]),
    ],
)
def test_standards_give_the_distances_of_the_regulation(specialty, miles):
    rows = standards.load_standards().query("specialty == @specialty")
    assert rows["county_type"].tolist() == list(standards.COUNTY_TYPES)
    assert rows["max_miles"].tolist() == miles
    assert rows["required_share"].tolist() == [Decimal("0.90")] * 2 + [Decimal("0.85")] * 3


def test_telehealth_credit_is_given_to_the_fourteen_specialties():
    rows = standards.load_standards()
    credited = rows[rows["telehealth_credit"].notna()]
    assert set(credited["telehealth_credit"]) == {Decimal("0.10")}
    assert credited["specialty"].nunique() == 14
    assert {"Psychiatry", "Clinical Psychology", "Clinical Social Work"} <= set(credited["specialty"])
    assert "Podiatry" not in set(credited["specialty"])


def test_every_packaged_row_has_a_source_and_no_key_repeats():
    for rows, key in [
        (standards.load_standards(), ["specialty", "county_type"]),
        (standards.load_standards(kind="facility"), ["specialty", "county_type"]),
        (standards.load_county_names(), ["county_name", "state", "county_fips"]),
        (standards.load_counties(), ["county_fips"]),
        (standards.load_counties(), ["county_name", "state"]),
        (standards.load_taxonomy(), ["taxonomy_code"]),
    ]:
        assert (rows["source"].str.len() > 0).all()
        assert not rows.duplicated(key).any()


def test_override_replaces_one_row_and_adds_another():
    rows = pd.concat(
        [
            override(specialty=" psychiatry", county_type="METRO "),
            override(specialty="Acupuncture", county_type="ceac"),
        ]
    )
    got = standards.load_standards(rows)
    assert len(got) == 145 + 1
    row = got.set_index(["specialty", "county_type"]).loc[("Psychiatry", "Metro")]
    assert (row["max_miles"], row["required_share"]) == (20.0, Decimal("0.95"))
    assert row["providers_per_1000"] is None
    assert row["source"]
    assert ("Acupuncture", "CEAC") in set(zip(got["specialty"], got["county_type"], strict=True))


def test_override_may_be_the_whole_standard():
    got = standards.load_standards(override(providers_per_1000=Decimal("1.5")), replace=True)
    assert len(got) == 1
    assert got["providers_per_1000"].tolist() == [Decimal("1.5")]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (override(county_type="Suburb"), "county_type of 1 override rows"),
        (override(county_type=None), "county_type of 1 override rows"),
        (pd.concat([override(), override(county_type="metro")]), "1 override rows repeat"),
    ],
)
def test_override_that_cannot_be_used_is_named(rows, words):
    with pytest.raises(ExportError, match=words):
        standards.load_standards(rows)


def test_override_may_come_with_decimals_and_blanks():
    rows = override(max_miles=Decimal("12.5"), max_minutes=None, telehealth_credit=pd.NA).convert_dtypes()
    got = standards.load_standards(rows, replace=True).iloc[0]
    assert got["max_miles"] == 12.5
    assert np.isnan(got["max_minutes"])
    assert got["telehealth_credit"] is None


def test_no_share_or_ratio_is_a_float():
    got = standards.load_standards(override(required_share=0.1, providers_per_1000=0.3))
    for column in ("required_share", "providers_per_1000", "telehealth_credit"):
        assert {type(v) for v in got[column]} <= {Decimal, type(None)}
    assert Decimal("0.1") in set(got["required_share"])


def test_a_caller_cannot_change_the_packaged_tables():
    for load in (standards.load_standards, standards.load_counties, standards.load_taxonomy):
        rows = load()
        rows.iloc[:, -1] = "changed"
        assert "changed" not in set(load()["source"])


def test_county_designations_equal_the_cms_workbook():
    by_ssa = {row[3]: row[4] for row in sheet("Provider Time & Distance") if row[3] and row[3] != "SSACD"}
    assert len(by_ssa) == 3262
    found = {}
    for county_type, source in standards.load_counties()[["county_type", "source"]].itertuples(index=False):
        for ssa in source.split("SSA ")[1].split("(")[0].split():
            found[ssa] = county_type
    missing = set(by_ssa) - set(found)
    # All of Guam, and four of American Samoa: villages of one county, designated differently.
    assert {ssa[:2] for ssa in missing} == {"64", "65"}
    assert len(missing) == 26
    assert found == {ssa: by_ssa[ssa] for ssa in found}


@pytest.mark.parametrize(
    ("fips", "name", "state", "county_type"),
    [
        ("25025", "Suffolk", "MA", "Large Metro"),
        ("51800", "Suffolk", "VA", "Metro"),
        ("51760", "Richmond city", "VA", "Metro"),
        ("51159", "Richmond", "VA", "Rural"),
        ("24510", "Baltimore city", "MD", "Large Metro"),
        ("46102", "Oglala Lakota", "SD", "CEAC"),
        ("02158", "Kusilvak", "AK", "CEAC"),
        ("09001", "Fairfield", "CT", "Large Metro"),
        ("11001", "District of Columbia", "DC", "Large Metro"),
    ],
)
def test_known_counties(fips, name, state, county_type):
    row = standards.load_counties().set_index("county_fips").loc[fips]
    assert (row["county_name"], row["state"], row["county_type"]) == (name, state, county_type)


def test_county_override_replaces_and_adds():
    rows = pd.DataFrame(
        {
            "county_fips": ["25025", "66010"],
            "county_name": ["Suffolk", "Guam"],
            "state": ["MA", "GU"],
            "county_type": ["metro", "Metro"],
        }
    )
    got = standards.load_counties(rows).set_index("county_fips")["county_type"]
    assert len(got) == len(standards.load_counties()) + 1
    assert (got["25025"], got["66010"]) == ("Metro", "Metro")


def test_taxonomy_is_complete():
    if not NUCC.exists():
        pytest.skip(f"the NUCC code set is not at {NUCC}")
    with NUCC.open(encoding="utf-8-sig", errors="replace") as file:
        nucc = {row["Code"]: row for row in csv.DictReader(file)}
    rows = standards.load_taxonomy().set_index("taxonomy_code")
    assert set(rows.index) == set(nucc)
    for code, row in nucc.items():
        organisation = row["Section"] != "Individual" or row["Grouping"] == "Group"
        assert rows["entity"][code] == ("group_or_facility" if organisation else "individual")


def test_taxonomy_rolls_up_to_names_of_the_standard_and_never_from_a_group():
    rows = standards.load_taxonomy()
    assert set(rows["specialty"].dropna()) == set(standards.load_standards()["specialty"])
    assert rows.loc[rows["entity"] == "group_or_facility", "specialty"].isna().all()


@pytest.mark.parametrize(
    ("code", "specialty"),
    [
        ("2084P0800X", "Psychiatry"),
        ("2084P0804X", "Psychiatry"),  # child and adolescent
        ("2084N0400X", "Neurology"),
        ("2084N0402X", "Neurology"),  # child neurology
        ("103TC0700X", "Clinical Psychology"),
        ("1041C0700X", "Clinical Social Work"),
        ("207N00000X", "Dermatology"),
        ("207RC0000X", "Cardiology"),
        ("207RI0011X", "Cardiology"),  # interventional
        ("207Q00000X", "Primary Care"),
        ("207R00000X", "Primary Care"),
        ("207RG0300X", "Primary Care"),  # geriatrics
        ("208000000X", "Primary Care"),
        ("363LP2300X", "Primary Care"),
        (" 207xs0114x ", "Orthopedic Surgery"),
        ("2086S0122X", "Plastic Surgery"),
        ("2086X0206X", "Oncology - Medical, Surgical"),
        ("207RC0200X", None),  # critical care
        ("101YP2500X", None),  # professional counselor
        ("106H00000X", None),  # marriage and family therapist
        ("104100000X", None),  # social worker, not said to be clinical
        ("152W00000X", None),  # optometrist
        ("261QM0850X", None),  # mental health clinic
        ("193200000X", None),  # group practice
        ("999999999X", None),
        ("", None),
        (None, None),
    ],
)
def test_specialty_of(code, specialty):
    got = standards.specialty_of(pd.Series([code], index=[7], dtype="object"))
    assert got.index.tolist() == [7]
    assert got[7] is pd.NA if specialty is None else got[7] == specialty


@pytest.mark.parametrize(
    ("members", "per_1000", "expected"),
    [
        (1000, "7", 7),
        (1001, "7", 8),
        (0, "1.67", 0),
        (1, "0.01", 1),
        (10_000, "0.29", 3),
        (100_000, "0.07", 7),
    ],
)
def test_required_providers_rounds_up_exactly(members, per_1000, expected):
    assert standards.required_providers(members, Decimal(per_1000)) == expected


def test_required_providers_is_none_where_none_is_set():
    assert standards.required_providers(1000, None) is None


@given(st.integers(0, 10**9), st.decimals(0, 100, places=3))
def test_required_providers_is_the_least_that_suffices(members, per_1000):
    need, got = Fraction(members) * Fraction(per_1000) / 1000, standards.required_providers(members, per_1000)
    assert got >= need > got - 1
