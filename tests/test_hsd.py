"""CMS's HSD tables: who counts for which county, against a brute force, and read back as a directory."""

import math
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sca_analysis import hsd
from sca_analysis.errors import ParameterError
from sca_analysis.exports import Exports
from sca_analysis.network import read_network
from sca_analysis.readers.ma_hsd import load_hsd_taxonomy
from sca_analysis.standards import load_counties, load_facility_taxonomy, load_hsd_codes, load_standards, load_taxonomy
from tests.folders import claim, listing, npi, open_tables, span, write_tables

DAY = date(2026, 1, 31)
KENNEBEC, SSA_KENNEBEC = "23011", "20050"
PSYCHIATRY, HOSPITAL = "2084P0800X", "282N00000X"


def north(miles: float) -> dict[str, float]:
    """Return coordinates so many miles north of Augusta, ME: a degree of latitude is 69.09... miles."""
    return {"latitude": 44.31 + math.degrees(miles * 1.609344 / 6371.0088), "longitude": -69.78}


def folder(tmp_path: Path, rows: list[dict[str, object]], members: list[dict[str, object]] | None = None) -> Exports:
    home = members or [span("M1", county_fips=KENNEBEC, **north(0))]
    return open_tables(tmp_path, claims=[claim("M1", 1)], directory=rows, members=home)


def table_of(exports: Exports) -> pd.DataFrame:
    return hsd.provider_table(exports, read_network(exports, DAY))


def test_provider_within_the_distance_counts_and_one_beyond_does_not(tmp_path: Path) -> None:
    # Kennebec is Metro: psychiatry 30 miles
    [limit] = load_standards().query("specialty == 'Psychiatry' and county_type == 'Metro'")["max_miles"]
    assert load_counties().set_index("county_fips").loc[KENNEBEC, ["county_type", "ssa_code"]].tolist() == [
        "Metro",
        SSA_KENNEBEC,
    ]
    rows = [listing(1, **north(limit - 0.01)), listing(2, **north(limit + 0.01))]
    table = table_of(folder(tmp_path, rows))
    assert list(table.columns) == list(hsd.PROVIDER_COLUMNS)
    assert table.to_dict("records") == [
        dict.fromkeys(hsd.PROVIDER_COLUMNS, "")
        | {
            "SSA State/County Code": SSA_KENNEBEC,
            "Name of Physician or Mid-Level Practitioner": "Provider 1",
            "National Provider Identifier (NPI) Number": npi(1),
            "Specialty": "Psychiatry",
            "Specialty Code": "029",
            "Provider Zip Code": "04330",
        }
    ]


def test_blank_columns_are_blank_and_the_others_are_not(tmp_path: Path) -> None:
    table = table_of(folder(tmp_path, [listing(1, **north(1)), listing(2, taxonomy_code="207Q00000X", **north(1))]))
    is_blank = (table == "").all()
    assert tuple(is_blank[is_blank].index) == hsd.blank_columns()
    assert not (table[is_blank[~is_blank].index] == "").any().any()


def test_a_provider_stands_in_every_county_in_range_and_at_every_place(tmp_path: Path) -> None:
    members = [span("M1", county_fips=KENNEBEC, **north(0)), span("M2", county_fips="23013", **north(-5))]
    rows = [
        listing(1, **north(1)),
        listing(1, zip="04901", **north(15)),
        listing(1, **north(1), accepting_new_patients="no"),
        listing(2, termination_date="2025-12-31", **north(1)),
    ]
    table = table_of(folder(tmp_path, rows, members))
    found = set(zip(table["SSA State/County Code"], table["Provider Zip Code"], strict=True))
    ssa = load_counties().set_index("county_fips")["ssa_code"]
    assert found == {(ssa[f], z) for f in (KENNEBEC, "23013") for z in ("04330", "04901")}
    assert len(table) == 4, "a repeat of one place is no row, nor is a provider who left"


def test_rows_of_another_network_do_not_count(tmp_path: Path) -> None:
    members = [span("M1", county_fips=KENNEBEC, network_id="A", **north(0))]
    rows = [listing(1, network_id="A", **north(1)), listing(2, network_id="B", **north(1)), listing(3, **north(1))]
    table = table_of(folder(tmp_path, rows, members))
    assert table["National Provider Identifier (NPI) Number"].tolist() == sorted([npi(1), npi(3)])


@pytest.mark.parametrize(
    ("taxonomy_code", "code"),
    [
        ("208D00000X", "001"),
        ("208000000X", "001"),
        ("207QS0010X", "002"),
        ("207R00000X", "003"),
        ("207QG0300X", "004"),
        ("207RG0300X", "004"),
        ("363LF0000X", "006"),
    ],
)
def test_primary_care_has_the_code_of_its_part(taxonomy_code: str, code: str, tmp_path: Path) -> None:
    table = table_of(folder(tmp_path, [listing(1, taxonomy_code=taxonomy_code, **north(1))]))
    assert table[["Specialty", "Specialty Code"]].to_numpy().tolist() == [["Primary Care", code]]


def test_every_primary_care_code_has_a_part() -> None:
    codes = load_taxonomy().query("specialty == 'Primary Care'")["taxonomy_code"]
    assert all(hsd._primary_care_code(c) for c in codes)
    assert hsd._primary_care_code("2084P0800X") == hsd._primary_care_code(None) == ""


def test_facilities(tmp_path: Path) -> None:
    exports = folder(tmp_path, [listing(1, taxonomy_code=HOSPITAL, **north(1)), listing(2, **north(1))])
    network = read_network(exports, DAY, kind="facility")
    table = hsd.facility_table(exports, network)
    assert list(table.columns) == list(hsd.FACILITY_COLUMNS)
    assert table.iloc[0, :6].tolist() == [
        SSA_KENNEBEC,
        "Acute Inpatient Hospitals",
        "040",
        npi(1),
        "",
        "Provider 1",
    ]
    assert len(table) == 1
    is_blank = (table == "").all()
    assert tuple(is_blank[is_blank].index) == hsd.blank_columns("facility")


def test_the_wrong_kind_is_refused(tmp_path: Path) -> None:
    exports = folder(tmp_path, [listing(1, **north(1))])
    with pytest.raises(ParameterError, match="kind facility"):
        hsd.facility_table(exports, read_network(exports, DAY))
    with pytest.raises(ParameterError, match="kind provider"):
        hsd.provider_table(exports, read_network(exports, DAY, kind="facility"))


def test_nobody_in_range_is_an_empty_table(tmp_path: Path) -> None:
    table = table_of(folder(tmp_path, [listing(1, **north(500))]))
    assert list(table.columns) == list(hsd.PROVIDER_COLUMNS)
    assert table.empty


def haversine(a: dict[str, float], b: dict[str, float]) -> float:
    """Return miles by another formula than the package's."""
    p, q = math.radians(a["latitude"]), math.radians(b["latitude"])
    turn = math.radians(b["longitude"] - a["longitude"])
    half = math.sin((q - p) / 2) ** 2 + math.cos(p) * math.cos(q) * math.sin(turn / 2) ** 2
    return 2 * 6371.0088 * math.asin(math.sqrt(half)) / 1.609344


points = st.builds(
    lambda a, b: {"latitude": round(a, 3), "longitude": round(b, 3)}, st.floats(43.5, 45.5), st.floats(-71, -68)
)
KINDS = {"2084P0800X": "Psychiatry", "207N00000X": "Dermatology", "174400000X": None}


@settings(max_examples=12, deadline=None)
@given(
    members=st.lists(st.tuples(points, st.sampled_from(["23011", "23013", "23005"])), min_size=1, max_size=5),
    providers=st.lists(st.tuples(points, st.sampled_from(sorted(KINDS)), st.integers(1, 4)), min_size=1, max_size=8),
)
def test_rows_are_those_of_a_brute_force(
    members: list[tuple[dict[str, float], str]],
    providers: list[tuple[dict[str, float], str, int]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    rows = [listing(n, taxonomy_code=code, **point) for point, code, n in providers]
    homes = [span(f"M{i}", county_fips=fips, **point) for i, (point, fips) in enumerate(members)]
    table = table_of(folder(tmp_path_factory.mktemp("hsd"), rows, homes))
    counties = load_counties().set_index("county_fips")
    limits = load_standards().set_index(["specialty", "county_type"])["max_miles"]
    expected = {
        (counties.loc[fips, "ssa_code"], KINDS[code], npi(n))
        for home, fips in members
        for place, code, n in providers
        if KINDS[code] and haversine(home, place) <= limits[KINDS[code], counties.loc[fips, "county_type"]]
    }
    columns = ["SSA State/County Code", "Specialty", "National Provider Identifier (NPI) Number"]
    assert set(table[columns].itertuples(index=False, name=None)) == expected
    assert len(table) == len(expected), "all places are of one ZIP here"


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    members = [span("M1", county_fips=KENNEBEC, **north(0)), span("M2", county_fips="23013", **north(-5))]
    rows = [
        listing(1, provider_name="Ann Á. Nguyen, MD", **north(1)),
        listing(2, taxonomy_code="207Q00000X", zip="04901", **north(2)),
        listing(3, taxonomy_code=HOSPITAL, provider_name="Kennebec, Hospital of", **north(3)),
    ]
    exports = folder(tmp_path / "first", rows, members)
    providers = table_of(exports)
    facilities = hsd.facility_table(exports, read_network(exports, DAY, kind="facility"))
    again = write_tables(tmp_path / "again", claims=[claim("M1", 1)])
    providers.to_csv(again / "providers_hsd.csv", index=False)
    facilities.to_csv(again / "facilities_hsd.txt", index=False, sep="\t")
    (again / "exports.yaml").write_text(
        "claims: {path: claims.csv}\ndirectory:\n"
        "  - {path: providers_hsd.csv, format: ma-hsd}\n  - {path: facilities_hsd.txt, format: ma-hsd}\n"
    )
    read = Exports.open(again)
    columns = ["npi", "provider_name", "taxonomy_code", "zip"]
    assert (
        read.frame("directory")[columns].sort_values("npi").to_numpy().tolist()
        == exports.frame("directory")[columns].sort_values("npi").to_numpy().tolist()
    )
    files = read.files[read.files["table"] == "directory"]
    assert files["rows_read"].tolist() == [len(providers), len(facilities)] == [4, 2]
    assert list(files["reasons"]) == [{"duplicate_row": 2}, {"duplicate_row": 1}], "once for each county"


def test_chosen_codes_roll_up_to_the_specialty_of_the_code() -> None:
    chosen = load_hsd_taxonomy()
    provider = load_taxonomy().set_index("taxonomy_code")["specialty"]
    facility = load_facility_taxonomy().set_index("taxonomy_code")["specialty"]
    assert set(chosen.values()) <= set(provider.index)
    for row in load_hsd_codes().itertuples():
        if row.code in chosen and row.code != "005":  # no NUCC code says primary care of a physician assistant
            rolled = (provider if row.kind == "provider" else facility)[chosen[row.code]]
            assert rolled == row.specialty, row.code
    without = set(load_hsd_codes()["code"]) - set(chosen)
    assert without == {"S03", "041", "042", "043"}
