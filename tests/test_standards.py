"""The packaged standard against CMS's workbook and the NUCC file; overrides; exact minima."""

import csv
import re
import statistics
import unicodedata
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sca_analysis import standards
from sca_analysis.errors import ExportError, ParameterError
from sca_analysis.readers.cms_reference import SPECIALTIES

SHARED = Path(__file__).resolve().parents[2] / "shared" / "exports" / "codesets"
WORKBOOK = SHARED / "cms-ma-hsd" / "ma_reference_file_12-17-2025.xlsx"
NUCC = SHARED / "nucc" / "nucc_taxonomy_240.csv"
KINDS = ("provider", "facility")


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


# The twelve of the final rule of 2020, the two that the rule of 2023 added, and the facility type of 2024.
CREDITED_2020 = {
    *("Allergy and Immunology", "Cardiology", "Dermatology", "Endocrinology", "Gynecology, OB/GYN"),
    *("Infectious Diseases", "Nephrology", "Neurology", "Ophthalmology", "ENT/Otolaryngology"),
    *("Primary Care", "Psychiatry"),
}


@pytest.mark.parametrize(
    ("kind", "specialties"),
    [
        ("provider", CREDITED_2020 | {"Clinical Psychology", "Clinical Social Work"}),
        ("facility", {"Outpatient Behavioral Health"}),
    ],
)
def test_telehealth_credit_is_given_to_the_specialties_of_the_regulation(kind, specialties):
    rows = standards.load_standards(kind=kind)
    credited = rows[rows["telehealth_credit"].notna()]
    assert set(credited["telehealth_credit"]) == {Decimal("0.10")}
    assert set(credited["specialty"]) == specialties
    assert len(credited) == 5 * len(specialties)
    assert (credited["source"].str.contains(r"\(d\)\(5\)")).all()
    assert not rows.loc[rows["telehealth_credit"].isna(), "source"].str.contains(r"\(d\)\(5\)").any()


def test_every_packaged_row_has_a_source_and_no_key_repeats():
    for rows, key in [
        (standards.load_standards(), ["specialty", "county_type"]),
        (standards.load_standards(kind="facility"), ["specialty", "county_type"]),
        (standards.load_county_names(), ["county_name", "state", "county_fips"]),
        (standards.load_counties(), ["county_fips"]),
        (standards.load_counties(), ["county_name", "state"]),
        (standards.load_taxonomy(), ["taxonomy_code"]),
        (standards.load_facility_taxonomy(), ["taxonomy_code"]),
        (standards.load_hsd_codes(), ["code"]),
        (standards.load_drive_speeds(), ["county_type"]),
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
    for load in (
        standards.load_standards,
        lambda: standards.load_standards(name="minnesota"),
        standards.load_counties,
        standards.load_taxonomy,
        standards.load_facility_taxonomy,
        standards.load_hsd_codes,
        standards.load_drive_speeds,
    ):
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


# --- named standards

#: provider specialties and facility types of each
SIZES = {
    "medicare-advantage": (29, 14),
    "minnesota": (29, 14),
    "montana": (1, 1),
    "nevada": (9, 1),
    "new-jersey": (25, 4),
    "new-mexico": (1, 0),
}
NAMED = [(name, kind) for name, sizes in SIZES.items() for kind, n in zip(KINDS, sizes, strict=True) if n]


@pytest.mark.parametrize(("name", "kind"), NAMED)
def test_every_packaged_standard_is_whole(name, kind):
    rows = standards.load_standards(name=name, kind=kind)
    assert list(rows) == list(standards.load_standards())
    assert rows["specialty"].nunique() == SIZES[name][KINDS.index(kind)]
    assert set(rows["specialty"]) <= set(standards.load_standards(kind=kind)["specialty"])
    assert (rows["source"].str.len() > 0).all()
    assert all(0 < share <= 1 for share in rows["required_share"])
    for specialty, cells in rows.groupby("specialty"):
        assert cells["county_type"].tolist() == list(standards.COUNTY_TYPES), specialty
        assert cells["max_miles"].is_monotonic_increasing, specialty
        assert (cells["max_miles"] > 0).all()
        assert cells["max_minutes"].isna().all() or (cells["max_minutes"] > 0).all()
    if name != "medicare-advantage":
        assert rows["providers_per_1000"].isna().all()
        assert rows["telehealth_credit"].isna().all()


def test_every_name_says_what_it_is():
    assert set(standards.STANDARDS) == set(SIZES)
    assert all(words and "\n" not in words for words in standards.STANDARDS.values())


@pytest.mark.parametrize(
    ("name", "kind", "specialty", "miles", "minutes", "share"),
    [
        ("minnesota", "provider", "Primary Care", [30] * 5, [30] * 5, "1"),
        ("minnesota", "provider", "Clinical Social Work", [30] * 5, [30] * 5, "1"),
        ("minnesota", "provider", "Cardiology", [60] * 5, [60] * 5, "1"),
        ("minnesota", "facility", "Acute Inpatient Hospitals", [30] * 5, [30] * 5, "1"),
        ("minnesota", "facility", "Mammography", [60] * 5, [60] * 5, "1"),
        ("montana", "provider", "Primary Care", [30] * 5, [None] * 5, "1"),
        ("nevada", "provider", "Primary Care", [10, 10, 20, 30, 60], [15, 15, 30, 40, 70], "0.9"),
        ("nevada", "provider", "Clinical Social Work", [30, 30, 45, 60, 100], [45, 45, 60, 75, 110], "0.9"),
        ("nevada", "provider", "Rheumatology", [40, 40, 75, 90, 130], [60, 60, 100, 110, 145], "0.9"),
        ("nevada", "facility", "Acute Inpatient Hospitals", [30, 30, 60, 60, 100], [45, 45, 80, 75, 110], "0.9"),
        ("new-jersey", "provider", "Primary Care", [10] * 5, [30] * 5, "0.9"),
        ("new-jersey", "provider", "Urology", [45] * 5, [60] * 5, "0.9"),
        ("new-jersey", "facility", "Surgical Services (Outpatient or ASC)", [20] * 5, [30] * 5, "0.9"),
        ("new-mexico", "provider", "Primary Care", [20, 20, 60, 60, 60], [20, 20, 60, 60, 60], "0.9"),
    ],
)
def test_standards_give_the_distances_of_the_states(name, kind, specialty, miles, minutes, share):
    rows = standards.load_standards(name=name, kind=kind).query("specialty == @specialty")
    assert rows["max_miles"].tolist() == miles
    assert [None if np.isnan(m) else m for m in rows["max_minutes"]] == minutes
    assert set(rows["required_share"]) == {Decimal(share)}


def test_a_standard_of_another_name_is_refused():
    with pytest.raises(ParameterError, match=r"name one of medicare-advantage, minnesota"):
        standards.load_standards(name="Texas")


def test_a_standard_without_rows_of_the_kind_is_refused_but_takes_overrides():
    with pytest.raises(ParameterError, match="new-mexico has no rows of kind facility"):
        standards.load_standards(name="new-mexico", kind="facility")
    rows = override(specialty="mammography")
    assert len(standards.load_standards(rows, name="new-mexico", kind="facility")) == 1


def test_overrides_of_a_state_are_spelt_as_the_taxonomy_rolls_up():
    got = standards.load_standards(override(specialty=" ophthalmology "), name="new-mexico")
    assert got["specialty"].tolist() == ["Primary Care"] * 5 + ["Ophthalmology"]


# --- facility types and HSD codes


def test_facility_taxonomy_is_of_nucc_codes_and_facility_types():
    rows = standards.load_facility_taxonomy()
    nucc = standards.load_taxonomy().set_index("taxonomy_code")
    types = set(standards.load_standards(kind="facility")["specialty"])
    assert set(rows["taxonomy_code"]) <= set(nucc.index)
    assert set(rows["specialty"]) | set(standards.facility_types_without_code()) == types
    people = rows[rows["taxonomy_code"].map(nucc["entity"]) == "individual"]
    therapists = {"Physical Therapy", "Occupational Therapy", "Speech Therapy", "Outpatient Behavioral Health"}
    assert set(people["specialty"]) == therapists
    # CMS: who counts as psychiatrist, psychologist or clinical social worker is no outpatient behavioral health
    mental = {"Psychiatry", "Clinical Psychology", "Clinical Social Work"}
    assert not set(rows["taxonomy_code"].map(nucc["specialty"])) & mental


def test_facility_types_without_code_are_programs_and_units_within_a_hospital():
    got = standards.facility_types_without_code()
    assert got[:2] == ("Cardiac Surgery Program", "Cardiac Catheterization Services")
    assert len(got) == 3
    assert got[2].startswith("Critical Care Services")


def test_every_therapist_of_the_nucc_set_is_a_facility_and_no_assistant_is():
    if not NUCC.exists():
        pytest.skip(f"the NUCC code set is not at {NUCC}")
    wanted = {"Physical Therapist", "Occupational Therapist", "Speech-Language Pathologist"}
    with NUCC.open(encoding="utf-8-sig", errors="replace") as file:
        expected = {row["Code"] for row in csv.DictReader(file) if row["Classification"] in wanted}
    rows = standards.load_facility_taxonomy()
    therapy = rows["specialty"].isin(["Physical Therapy", "Occupational Therapy", "Speech Therapy"])
    assert set(rows.loc[therapy, "taxonomy_code"]) == expected | {"261QP2000X"}


@pytest.mark.parametrize(
    ("code", "facility"),
    [
        ("282N00000X", "Acute Inpatient Hospitals"),
        (" 282nc0060x ", "Acute Inpatient Hospitals"),
        ("282NC2000X", None),  # children's hospital
        ("282E00000X", None),  # long term care hospital
        ("314000000X", "Skilled Nursing Facilities"),
        ("261QA1903X", "Surgical Services (Outpatient or ASC)"),
        ("261QR0206X", "Mammography"),
        ("225100000X", "Physical Therapy"),
        ("225200000X", None),  # physical therapy assistant
        ("235Z00000X", "Speech Therapy"),
        ("231H00000X", None),  # audiologist
        ("106H00000X", "Outpatient Behavioral Health"),
        ("2084P0800X", None),  # a psychiatrist is a provider of (b)(1)
        ("207N00000X", None),
        ("", None),
        (None, None),
    ],
)
def test_facility_type_of(code, facility):
    got = standards.specialty_of(pd.Series([code], index=[7], dtype="object"), "facility")
    assert got.index.tolist() == [7]
    assert got[7] is pd.NA if facility is None else got[7] == facility


def test_hsd_codes_equal_the_cms_workbook():
    expected = {}
    for row in sheet("Master"):
        if isinstance(row[12], (int, float)) or "001" <= str(row[0]) <= "006":
            part = str(row[0]) in {"001", "002", "003", "004", "005", "006"}
            expected[row[0]] = ("Primary Care" if part else " ".join(row[1].split()), "provider")
        if isinstance(row[24], (int, float)):
            expected[row[21]] = (" ".join(row[22].split()), "facility")
    got = {r.code: (r.specialty, r.kind) for r in standards.load_hsd_codes().itertuples()}
    assert len(expected) == 6 + 29 + 14
    assert got == expected


def test_hsd_codes_equal_those_the_workbook_is_read_by_and_cover_the_standard():
    rows = standards.load_hsd_codes()
    assert rows["code"].str.fullmatch(r"[0S]\d\d").all()
    whole = rows[~rows["code"].between("001", "006") & (rows["kind"] == "provider")]
    assert whole.set_index("code")["specialty"].to_dict() == SPECIALTIES
    for kind in KINDS:
        of_kind = rows.loc[rows["kind"] == kind, "specialty"]
        assert set(of_kind) == set(standards.load_standards(kind=kind)["specialty"])


# --- county codes


def test_ssa_codes_are_of_the_county_of_that_name_in_the_cms_workbook():
    def key(name):
        letters = unicodedata.normalize("NFKD", name.split("(")[0]).encode("ascii", "ignore").decode().lower()
        return re.sub("[^a-z]", "", letters)

    aliases = {
        ("st. john", "VI"): "stjohnthomas",
        ("st. thomas", "VI"): "stjohnthomas",
        ("swains", "AS"): "swainsisland",
    }
    by_ssa = {row[3]: row for row in sheet("Provider Time & Distance") if row[3] and row[3] != "SSACD"}
    for county in standards.load_counties().itertuples():
        if county.ssa_code is pd.NA:
            assert county.county_fips in {"60010", "60020"}
            continue
        name, state, _, _, county_type = by_ssa[county.ssa_code][:5]
        assert (state, county_type) == (county.state, county.county_type)
        ours = aliases.get((county.county_name.lower(), state), key(county.county_name))
        ours = "northernislands" if state == "MP" else ours
        assert ours.removesuffix("city") == key(name).removesuffix("city"), county


def test_ssa_codes_are_five_digits_and_shared_only_by_islands():
    rows = standards.load_counties()
    given = rows["ssa_code"].dropna()
    assert given.str.fullmatch(r"\d{5}").all()
    assert set(rows.loc[rows["ssa_code"].duplicated(keep=False) & rows["ssa_code"].notna(), "state"]) == {"MP", "VI"}
    assert all(code in source for code, source in rows[["ssa_code", "source"]].dropna().itertuples(index=False))
    assert rows.set_index("county_fips")["ssa_code"][["06037", "25025"]].tolist() == ["05200", "22160"]


def test_county_override_keeps_the_ssa_code_unless_it_gives_another():
    rows = pd.DataFrame(
        {
            "county_fips": ["25025", "66010", "01001"],
            "county_name": ["Suffolk", "Guam", "Autauga"],
            "state": ["MA", "GU", "AL"],
            "county_type": ["metro", "Metro", "Metro"],
            "ssa_code": [None, "", "99999"],
        }
    )
    got = standards.load_counties(rows).set_index("county_fips")["ssa_code"]
    assert got["25025"] == "22160"
    assert got["66010"] is pd.NA
    assert got["01001"] == "99999"


# --- unknown codes


@pytest.mark.parametrize("dtype", ["object", "string"])
def test_unknown_codes_are_counted(dtype):
    codes = pd.Series(["999999999X", " 999999999x", "2084P0800X", "psych", None, "", " ", "PSYCH ", "12"], dtype=dtype)
    got = standards.unknown_codes(codes)
    assert list(got) == ["taxonomy_code", "rows"]
    assert list(got.itertuples(index=False, name=None)) == [("999999999X", 2), ("PSYCH", 2), ("12", 1)]


@pytest.mark.parametrize("codes", [[], [None, ""], ["207N00000X"]])
def test_unknown_codes_may_be_none(codes):
    got = standards.unknown_codes(pd.Series(codes, dtype="object"))
    assert list(got) == ["taxonomy_code", "rows"]
    assert got.empty


@settings(deadline=None)
@given(st.lists(st.sampled_from(["207N00000X", " 207n00000x", "1", " 1 ", "x", "X", "", "  ", None])))
def test_unknown_codes_equal_a_count_by_hand(codes):
    counted = Counter(c.strip().upper() for c in codes if c and c.strip() and c.strip().upper() != "207N00000X")
    got = standards.unknown_codes(pd.Series(codes, dtype="object"))
    expected = sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))
    assert list(got.itertuples(index=False, name=None)) == expected


# --- drive speeds


def test_drive_speeds_have_ordered_ranges_and_rise_with_sparser_types():
    rows = standards.load_drive_speeds()
    assert rows["county_type"].tolist() == list(standards.COUNTY_TYPES)
    for unit, least in (("miles_per_hour", 0), ("detour", 1)):
        low, likely, high = (rows[c] for c in (f"{unit}_low", unit, f"{unit}_high"))
        assert low.dtype == likely.dtype == high.dtype == "float64"
        assert ((least < low) & (low < likely) & (likely < high)).all()
        assert all(c.is_monotonic_increasing for c in (low, likely, high))
    assert rows["source"].str.startswith("Assumption").all()


def test_likely_speeds_are_the_medians_of_the_regulation():
    speeds = standards.load_drive_speeds().set_index("county_type")["miles_per_hour"]
    rows = pd.concat([standards.load_standards(kind=kind) for kind in KINDS])
    for county_type, cells in rows.groupby("county_type"):
        pairs = [m / t * 60 for m, t in zip(cells["max_miles"], cells["max_minutes"], strict=True)]
        assert len(pairs) == 43
        assert speeds[county_type] == round(statistics.median(pairs))
