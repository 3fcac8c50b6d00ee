"""CMS's Medicare Advantage HSD reference workbook (.xlsx): its own numbers for every county and specialty.

42 CFR 422.116(a)(4)(i) has CMS publish them yearly: maximum time and distance (sheet "Provider Time &
Distance"), customised where the base of the county type cannot be met, and the minimum number of
providers ("Minimum Provider #s"). A user hands in a copy; none of it is packaged.

CMS names counties by SSA code. They are matched by name and state, without accents, spaces and the ways
of writing "City"; ``reference/county_names.csv`` holds the few rows of CMS that are part of a county of
ours, or several of them. A county of several rows takes the strictest of their numbers.
"""

import re
import unicodedata
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import openpyxl
import pandas as pd
from openpyxl.utils.exceptions import InvalidFileException

from sca_analysis.errors import ExportError
from sca_analysis.standards import COUNTY_TYPES, load_counties, load_county_names

# fmt: off
#: CMS's codes of the provider specialties of 42 CFR 422.116(b)(1)
SPECIALTIES = {
    "S03": "Primary Care", "007": "Allergy and Immunology", "008": "Cardiology", "010": "Chiropractor",
    "011": "Dermatology", "012": "Endocrinology", "013": "ENT/Otolaryngology", "014": "Gastroenterology",
    "015": "General Surgery", "016": "Gynecology, OB/GYN", "017": "Infectious Diseases", "018": "Nephrology",
    "019": "Neurology", "020": "Neurosurgery", "021": "Oncology - Medical, Surgical",
    "022": "Oncology - Radiation/Radiation Oncology", "023": "Ophthalmology", "025": "Orthopedic Surgery",
    "026": "Physiatry, Rehabilitative Medicine", "027": "Plastic Surgery", "028": "Podiatry", "029": "Psychiatry",
    "030": "Pulmonology", "031": "Rheumatology", "033": "Urology", "034": "Vascular Surgery",
    "035": "Cardiothoracic Surgery", "036": "Clinical Psychology", "037": "Clinical Social Work",
}
# fmt: on
_PARTS_OF_PRIMARY_CARE = {f"{n:03d}" for n in range(1, 7)}  # CMS counts them as S03 and leaves them blank
_MINIMA, _DISTANCES = "Minimum Provider #s", "Provider Time & Distance"
_PLACE = ("county", "st", "countystate", "ssacd")
_POPULATION = ("95thpercentilebasepopulationratio", "beneficiariesrequiredtocover")
#: what the headings of a sheet say, letters and digits only, and the number of rows above the first county
_HEADINGS = {
    _MINIMA: ((*_PLACE, "totalbeneficiaries", "countydesignation", *_POPULATION), 3),
    _DISTANCES: ((*_PLACE, "countydesignation"), 4),
}
# all that zipfile, the XML parser and openpyxl raise on a file that is no workbook or a damaged one
_UNREADABLE = (
    *(BadZipFile, InvalidFileException, zlib.error, EOFError, SyntaxError),
    *(AttributeError, LookupError, RuntimeError, TypeError, ValueError),
)

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class CountyStandards:
    """What a workbook says of counties, and which of its counties are not ours.

    Attributes
    ----------
    table : DataFrame
        county_fips, specialty, max_miles [miles], max_minutes [minutes], required_providers, county_type;
        one row a county and specialty with any number, blanks NA.
    unmatched : DataFrame
        county, state and ssa of the workbook's counties that match none of ours.
    counties : int
        Counties of the workbook, matched or not.

    """

    table: pd.DataFrame
    unmatched: pd.DataFrame
    counties: int


def read_county_standards(path: Path) -> CountyStandards:
    """Read a copy of CMS's workbook.

    Raises
    ------
    ExportError
        If the file is no workbook in CMS's layout: other sheets, headings or codes, a county twice, a
        county type that 42 CFR 422.116(c) does not have, or a number that is none.

    """
    sheets = _read_sheets(path)
    minima = _melt(path, sheets, _MINIMA, {"required_providers": 0})
    distances = _melt(path, sheets, _DISTANCES, {"max_minutes": 0, "max_miles": 1})
    both = distances.merge(minima, on=["ssa", "county", "state", "county_type", "specialty"], how="outer")
    found = both[["county", "state", "ssa", "county_type"]].drop_duplicates().drop(columns="county_type")
    if found["ssa"].duplicated().any():
        raise ExportError(f"{path.name}: {_MINIMA} and {_DISTANCES} differ in county or type; use CMS's own copy.")
    ours = _match(found)
    unmatched = found[~found["ssa"].isin(ours["ssa"])].reset_index(drop=True)
    rows = both.merge(ours, on="ssa")
    rows["county_type"] = pd.Categorical(rows["county_type"], COUNTY_TYPES, ordered=True)
    strictest = {"max_miles": "min", "max_minutes": "min", "required_providers": "max", "county_type": "min"}
    table = rows.groupby(["county_fips", "specialty"], as_index=False).agg(strictest)
    table = table.dropna(subset=["max_miles", "max_minutes", "required_providers"], how="all", ignore_index=True)
    table["county_type"] = table["county_type"].astype("str")
    return CountyStandards(table, unmatched, len(found))


def _read_sheets(path: Path) -> dict[str, Rows]:
    """Return the rows of the two sheets."""
    try:
        with path.open("rb") as file:
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
            sheets = {}
            for name in _HEADINGS.keys() & set(book.sheetnames):
                book[name].reset_dimensions()  # some programs write a wrong size, and rows would be lost
                sheets[name] = [tuple(row) for row in book[name].iter_rows(values_only=True)]
    except _UNREADABLE as error:
        raise ExportError(f"{path.name} cannot be read as an .xlsx workbook; use CMS's own copy.") from error
    for name in _HEADINGS:
        if name not in sheets:
            raise _refusal(path, f"there is no sheet {name!r}")
    return sheets


def _melt(path: Path, sheets: dict[str, Rows], name: str, values: dict[str, int]) -> pd.DataFrame:
    """Return ssa, county, state, county_type, specialty and numbers; ``values``: column after the code's."""
    headings, first = _HEADINGS[name]
    width = max((len(row) for row in sheets[name]), default=0) + 1
    rows = [row + (None,) * (width - len(row)) for row in sheets[name]]
    if len(rows) < first or tuple(map(_letters, rows[1][: len(headings)])) != headings:
        raise _refusal(path, f"the headings of sheet {name!r} differ")
    codes = {column: _code(value) for column, value in enumerate(rows[2]) if _letters(value)}
    at = {code: column for column, code in codes.items() if code in SPECIALTIES}
    if len(codes) != len(set(codes.values())) or set(codes.values()) - _PARTS_OF_PRIMARY_CARE != set(SPECIALTIES):
        raise _refusal(path, f"the specialty codes of sheet {name!r} differ")
    if name == _DISTANCES and any(
        [_letters(v) for v in rows[3][column : column + 2]] != ["time", "distance"] for column in at.values()
    ):
        raise _refusal(path, f"the headings of sheet {name!r} differ")
    counties = [row for row in rows[first:] if any(_letters(v) for v in row[:4])]
    if not counties:
        raise _refusal(path, f"sheet {name!r} has no county")
    place = pd.DataFrame(
        {
            "ssa": [_code(row[3], 5) for row in counties],
            "county": [_text(row[0]) for row in counties],
            "state": [_text(row[1]).upper() for row in counties],
            "county_type": [_type(row[headings.index("countydesignation")]) for row in counties],
        }
    )
    if bad := int(place["ssa"].duplicated().sum()):
        raise ExportError(f"{path.name}: sheet {name!r} repeats the SSACD of {bad} rows; use CMS's own copy.")
    if bad := int(place["county_type"].isna().sum()):
        raise ExportError(f"{path.name}: sheet {name!r} has {bad} rows without a known county type; correct them.")
    parts = []
    for code, column in at.items():
        numbers = {k: _numbers(path, name, (row[column + i] for row in counties)) for k, i in values.items()}
        parts.append(place.assign(specialty=SPECIALTIES[code], **numbers))
    return pd.concat(parts, ignore_index=True)


def _numbers(path: Path, name: str, cells: Iterable[Any]) -> pd.Series:
    """Return whole numbers or NA for blanks; anything else is refused."""
    values = [None if v is None or v == "" else v for v in cells]
    bad = sum(v is not None and (type(v) not in (int, float) or v < 0 or v != v // 1) for v in values)
    if bad:
        raise ExportError(f"{path.name}: sheet {name!r} has {bad} cells that are no whole number; correct them.")
    return pd.Series(values, dtype="Int64")


def _match(found: pd.DataFrame) -> pd.DataFrame:
    """Return ssa and county_fips: a pair for each county of ours that a row of CMS is of."""
    counties, irregular = load_counties(), load_county_names()
    ours: dict[tuple[str, str], set[str]] = {}
    for name, state, fips in irregular[["county_name", "state", "county_fips"]].itertuples(index=False):
        ours.setdefault((_plain(name), state), set()).add(fips)
    for name, state, fips in counties[["county_name", "state", "county_fips"]].itertuples(index=False):
        ours.setdefault((_plain(name), state), {fips})
    theirs = {(_plain(name), state) for name, state in found[["county", "state"]].itertuples(index=False)}
    pairs = []
    for name, state, ssa in found.itertuples(index=False):
        whole, bare = (_plain(name), state), (_plain(name).removesuffix("city"), state)
        # "Suffolk City" is our Suffolk, but where CMS has "Bedford" too, "Bedford City" is another place
        key = whole if whole in ours or bare in theirs else bare
        pairs += [(ssa, fips) for fips in sorted(ours.get(key, ()))]
    return pd.DataFrame(pairs, columns=["ssa", "county_fips"])


def _plain(county: str) -> str:
    """Return a county's name as a key: without "(formerly ...)", accents, spaces, marks and capitals."""
    text = unicodedata.normalize("NFKD", re.sub(r"\(.*?\)", "", county))
    return "".join(c for c in text.casefold() if c.isalnum())


def _letters(value: Any) -> str:
    """Return a heading as its letters and digits in lower case: CMS breaks lines and words in it at will."""
    return "".join(c for c in _text(value).casefold() if c.isalnum())


def _code(value: Any, digits: int = 3) -> str:
    """Return a code as text; where it became a number, its leading zeros are gone."""
    return (f"{value:.0f}" if isinstance(value, float) else _text(value).upper()).zfill(digits)


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _type(value: Any) -> str | None:
    """Return a county type in our spelling, None if it is none."""
    return next((t for t in COUNTY_TYPES if _letters(t) == _letters(value)), None)


def _refusal(path: Path, what: str) -> ExportError:
    return ExportError(f"{path.name} is not CMS's MA HSD reference workbook as we know it: {what}; use CMS's own copy.")
