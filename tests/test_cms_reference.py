"""CMS's reference workbook: read exactly, matched to our counties, refused in any other layout."""

import contextlib
import json
import random
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
from click.testing import CliRunner

from sca_analysis import standards
from sca_analysis.cli import main
from sca_analysis.errors import ExportError
from sca_analysis.readers.cms_reference import SPECIALTIES, read_county_standards
from tests.folders import claim, listing, span, write_tables

SHARED = Path(__file__).resolve().parents[2] / "shared" / "exports" / "codesets"
WORKBOOK = SHARED / "cms-ma-hsd" / "ma_reference_file_12-17-2025.xlsx"
MINIMA, DISTANCES = "Minimum Provider #s", "Provider Time & Distance"
CODES = [f"{n:03d}" for n in range(1, 7)] + list(SPECIALTIES)
KENNEBEC = ("Kennebec", "ME", "20050", "Metro")


def layout(*counties, minutes=45, miles=30, least=2):
    """Return the two sheets as CMS lays them out: every county with the same numbers."""
    blank = [None] * 6
    place = ["COUNTY", "ST", "COUNTY_STATE", "SSACD"]
    population = ["95th PERCENTILE BASE POPULATION RATIO", "BENEFICIARIES REQUIRED TO COVER"]
    of_codes = [f"{c} (see Notes)" for c in CODES]
    minima = [
        ["Meeting the time / distance criteria may require more."],
        [*place, "TOTAL BENEFICIARIES", "COUNTY DESIGNATION", *population, *of_codes],
        [None] * 8 + CODES,
    ]
    distances = [
        ["Meeting the time / distance criteria may require more."],
        [*place, "COUNTY DESIGNA-TION", *(x for c in of_codes for x in (c, None))],
        [None] * 5 + [x for c in CODES for x in (c, None)],
        [None] * 5 + ["Time", "Distance"] * len(CODES),
    ]
    for county, state, ssa, kind in counties:
        name = [county, state, f"{county}, {state}", ssa]
        minima.append([*name, 1000, kind, 0.1, 100, *blank, *[least] * 29])
        distances.append([*name, kind, *blank, *blank, *[minutes, miles] * 29])
    return {MINIMA: minima, DISTANCES: distances, "Notes": [["as CMS has it"]]}


def write(path, sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


@pytest.fixture
def book(tmp_path):
    return lambda sheets: write(tmp_path / "reference.xlsx", sheets)


def counties_of(found):
    return set(found.table["county_fips"])


@pytest.fixture(scope="module")
def shared():
    if not WORKBOOK.exists():
        pytest.skip(f"CMS's workbook is not at {WORKBOOK}")
    return read_county_standards(WORKBOOK)


def test_random_cells_equal_an_independent_reading(shared):
    book = openpyxl.load_workbook(WORKBOOK, read_only=True, data_only=True)
    minima, distances = (list(book[name].iter_rows(values_only=True)) for name in (MINIMA, DISTANCES))
    name_of = {
        row[0]: " ".join(row[1].split()) for row in book["Master"].iter_rows(min_row=7, values_only=True) if row[0]
    }
    of_ssa = {}
    for county in standards.load_counties().itertuples():
        for ssa in county.source.split("SSA ")[1].split("(")[0].split():
            of_ssa.setdefault(ssa, []).append(county.county_fips)
    rows = [(m, d) for m, d in zip(minima[3:], distances[4:], strict=False) if m[3] in of_ssa and m[0] != "Los Angeles"]
    table = shared.table.set_index(["county_fips", "specialty"])
    pick = random.Random(422)
    for _ in range(200):
        (m, d), column = pick.choice(rows), pick.randrange(14, 43)
        assert m[3] == d[3]
        at = distances[2].index(minima[2][column])
        for fips in of_ssa[m[3]]:
            cell = table.loc[fips, name_of[minima[2][column]]]
            expected = (d[at + 1], d[at], m[column], m[5])
            assert tuple(cell[["max_miles", "max_minutes", "required_providers", "county_type"]]) == expected, m[2]


def test_every_county_of_ours_has_every_specialty(shared):
    ours = standards.load_counties()
    assert counties_of(shared) == set(ours["county_fips"])
    assert len(shared.table) == len(ours) * 29
    assert set(shared.table["specialty"]) == set(standards.load_standards()["specialty"])
    assert not shared.table.isna().any(axis=None)
    types = shared.table.drop_duplicates("county_fips").set_index("county_fips")["county_type"]
    assert types.to_dict() == ours.set_index("county_fips")["county_type"].to_dict()


def test_what_matches_none_of_our_counties_is_returned_and_counted(shared):
    assert shared.counties == 3262
    assert shared.unmatched["state"].value_counts().to_dict() == {"GU": 22, "AS": 4}
    assert list(shared.unmatched) == ["county", "state", "ssa"]


def test_the_strictest_row_of_a_county_of_several_counts(shared):
    row = shared.table.set_index(["county_fips", "specialty"]).loc[("06037", "Primary Care")]
    assert (row["max_miles"], row["max_minutes"], row["required_providers"]) == (5, 10, 216)  # of 216 and 3


def test_a_tiny_workbook(book):
    sheets = layout(KENNEBEC, ("Suffolk City", "VA", "49892", "Large\nMetro "), ("Nowhere", "ME", "20999", "CEAC"))
    found = read_county_standards(book(sheets))
    assert counties_of(found) == {"23011", "51800"}
    assert found.counties == 3
    assert found.unmatched.to_dict("records") == [{"county": "Nowhere", "state": "ME", "ssa": "20999"}]
    assert len(found.table) == 2 * 29
    row = found.table.set_index(["county_fips", "specialty"]).loc[("51800", "Cardiology")]
    assert row.tolist() == [30, 45, 2, "Large Metro"]


@pytest.mark.parametrize(
    ("county", "state", "fips"),
    [
        ("Dona Ana", "NM", {"35013"}),
        ("La Porte", "IN", {"18091"}),
        ("Oglala Lakota (formerly Shannon)", "SD", {"46102"}),
        ("Richmond City", "VA", {"51760"}),
        ("richmond", "va", {"51159"}),
        ("James City", "VA", {"51095"}),
        ("St. John-Thomas", "VI", {"78020", "78030"}),
        ("Northern Islands", "MP", {"69085", "69100", "69110", "69120"}),
        ("Tau", "AS", {"60020"}),
        ("Yigo", "GU", set()),
    ],
)
def test_names_of_counties(book, county, state, fips):
    assert counties_of(read_county_standards(book(layout((county, state, "00001", "Metro"))))) == fips


def test_a_city_beside_its_county_is_another_place(book):
    found = read_county_standards(book(layout(("Bedford", "VA", "1", "Metro"), ("Bedford City", "VA", "2", "Rural"))))
    assert found.unmatched["county"].tolist() == ["Bedford City"]
    assert set(found.table["county_type"]) == {"Metro"}


def test_codes_that_became_numbers_and_rows_in_another_order_are_read(book):
    sheets = layout(KENNEBEC, ("Autauga", "AL", 1000, "Metro"))
    sheets[MINIMA][2] = [int(c) if isinstance(c, str) and c.isdigit() else c for c in sheets[MINIMA][2]]
    sheets[DISTANCES][2] = [float(c) if isinstance(c, str) and c.isdigit() else c for c in sheets[DISTANCES][2]]
    sheets[DISTANCES][4:] = [*sheets[DISTANCES][:3:-1], [None] * 20]
    sheets[DISTANCES][4][3] = "01000"
    found = read_county_standards(book(sheets))
    assert (counties_of(found), len(found.table)) == ({"23011", "01001"}, 2 * 29)


def test_blank_cells_are_no_numbers(book):
    sheets = layout(KENNEBEC)
    at = 5 + 2 * CODES.index("029")
    sheets[DISTANCES][4][at : at + 2] = [None, ""]
    cardiology = 5 + 2 * CODES.index("008")
    sheets[DISTANCES][4][cardiology : cardiology + 2] = [None, None]
    sheets[MINIMA][3][8 + CODES.index("008")] = None
    table = read_county_standards(book(sheets)).table.set_index("specialty")
    assert table.loc["Psychiatry", ["max_miles", "max_minutes"]].isna().all()
    assert table.loc["Psychiatry", "required_providers"] == 2
    assert "Cardiology" not in table.index


def change(sheet, row, column, value):
    def apply(sheets):
        sheets[sheet][row][column] = value

    return apply


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda s: s.pop(DISTANCES), "there is no sheet 'Provider Time & Distance'"),
        (lambda s: s.update({MINIMA: []}), "headings of sheet 'Minimum Provider #s' differ"),
        (change(MINIMA, 1, 7, "BENEFICIARIES"), "headings of sheet 'Minimum Provider #s' differ"),
        (lambda s: s[MINIMA].pop(0), "headings of sheet 'Minimum Provider #s' differ"),
        (change(DISTANCES, 3, 18, "Time"), "headings of sheet 'Provider Time & Distance' differ"),
        (change(DISTANCES, 3, -1, None), "headings of sheet 'Provider Time & Distance' differ"),
        (change(MINIMA, 2, -1, "038"), "specialty codes of sheet 'Minimum Provider #s' differ"),
        (change(MINIMA, 2, -1, "036"), "specialty codes of sheet 'Minimum Provider #s' differ"),
        (lambda s: s[MINIMA].pop(), "sheet 'Minimum Provider #s' has no county"),
        (change(MINIMA, 3, 20, "many"), "1 cells that are no whole number"),
        (change(DISTANCES, 4, 20, -1), "1 cells that are no whole number"),
        (change(DISTANCES, 4, 20, 1.5), "1 cells that are no whole number"),
        (change(DISTANCES, 4, 4, "Suburb"), "1 rows without a known county type"),
        (change(DISTANCES, 4, 4, "Micro"), "differ in county or type"),
        (lambda s: s[MINIMA].append(s[MINIMA][-1]), "repeats the SSACD of 1 rows"),
    ],
)
def test_another_layout_is_refused_in_one_sentence(book, spoil, words):
    sheets = layout(KENNEBEC)
    spoil(sheets)
    with pytest.raises(ExportError, match=words) as caught:
        read_county_standards(book(sheets))
    text = str(caught.value)
    assert text.startswith("reference.xlsx")
    assert text.endswith(".")
    assert "\n" not in text


@pytest.mark.parametrize("content", [b"", b"county,state\n", b"PK\x03\x04 cut short"])
def test_no_workbook_at_all(tmp_path, content):
    path = tmp_path / "standards.xlsx"
    path.write_bytes(content)
    with pytest.raises(ExportError, match=r"^standards.xlsx cannot be read as an .xlsx workbook"):
        read_county_standards(path)


def test_a_damaged_workbook(book):
    path = book(layout(KENNEBEC))
    whole = path.read_bytes()
    shuffle = random.Random(1)
    for _ in range(30):
        at = shuffle.randrange(len(whole))
        path.write_bytes(whole[:at] + shuffle.randbytes(40) + whole[at + 40 :])
        with contextlib.suppress(ExportError):  # any other error fails
            assert len(read_county_standards(path).table) <= 29


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path):
    return write_tables(
        tmp_path / "data",
        claims=[claim("M1", 1, "2026-01-01")],
        directory=[listing(1)],
        members=[span("M1"), span("M2", zip="04654")],
    )


def run(*arguments):
    return CliRunner().invoke(main, ["gaps", *map(str, arguments)])


def test_command_takes_the_numbers_of_the_workbook(book, data):
    path = book(layout(KENNEBEC, ("Yigo", "GU", "65210", "Micro"), miles=77, least=3))
    result = run("--data", data, "--as-of", "2026-06-30", "--json", "--standards", path)
    assert result.exit_code == 0, result.output
    assert result.stderr == "1 of 2 counties of reference.xlsx are not used: no county of that name is known (GU).\n"
    rows = pd.DataFrame(json.loads(result.stdout)).set_index(["county_fips", "specialty"])
    plain = pd.DataFrame(json.loads(run("--data", data, "--as-of", "2026-06-30", "--json").stdout))
    plain = plain.set_index(["county_fips", "specialty"])
    kennebec = rows.loc["23011"]
    assert set(kennebec["max_miles"]) == {77}
    assert set(kennebec["required_providers"]) == {3}
    assert kennebec["reason"].str.endswith("; CMS county criteria").all()
    assert kennebec.loc["Psychiatry", "status"] == "too_few"
    pd.testing.assert_frame_equal(rows.loc[["23029"]], plain.loc[["23029"]])
    assert not plain["reason"].str.contains("CMS").any()


@pytest.mark.parametrize("name", ["reference.xlsx", "absent.xlsx", "."])
def test_command_refuses_another_file_in_one_sentence(tmp_path, data, name):
    (tmp_path / "reference.xlsx").write_text("no workbook")
    result = run("--data", data, "--standards", tmp_path / name)
    assert (result.exit_code, result.stdout) == (2, "")
    [line] = result.stderr.splitlines()
    assert line.startswith("sca: ")
    assert line.endswith(".")
