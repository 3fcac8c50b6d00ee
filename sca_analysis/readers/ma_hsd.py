"""``ma-hsd``: Medicare Advantage HSD tables (health service delivery) of providers and facilities, as a directory.

Two layouts: CMS's own upload (SSA State/County Code … Specialty Code … Provider Zip Code; as ``sca_analysis.hsd``
writes it), and the directory variant of plans and states (National Provider Number … Specialty Type … Network IDs).
What the second is like: tab-delimited cp1252, each row with a number that the header does not name, blanks
written NA, and a specialty such as "011 Dermatology" or "Pharmacy".

A directory needs a NUCC code, but HSD tables give CMS's: ``reference/hsd_taxonomy.csv`` chooses one for each. Types
that no NUCC code identifies (catheterisation, intensive care, transplants, "000 OTHER") are set aside as no taxonomy
code; read them with ``columns`` of your own. CMS's table repeats a provider for each county, which a directory
does not know: the repeats are set aside as duplicate rows.
"""

import csv
import gzip
import re
import shutil
import tempfile
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import BinaryIO, cast

from sca_analysis.readers.csv import DELIMITERS
from sca_analysis.readers.presets import HEAD, Layout, header_of, read_preset, recognise
from sca_analysis.readers.source import Source, quote

_NUMBER = "National Provider Number (NPI)"


def load_hsd_taxonomy() -> dict[str, str]:
    """Return the NUCC code chosen for each of CMS's specialty codes (three digits) and names without a code."""
    with files("sca_analysis").joinpath("reference", "hsd_taxonomy.csv").open(encoding="utf-8") as stream:
        return {row["code"]: row["taxonomy_code"] for row in csv.DictReader(stream)}


def _mend_header(path: Path, source: Source, work: Path) -> Path:
    """Return ``path`` or, where each row begins with a number that the header does not name, a copy that names it."""

    def opened() -> BinaryIO:
        return cast(BinaryIO, gzip.open(path) if path.suffix == ".gz" else path.open("rb"))

    with opened() as stream:
        first, _, rest = stream.read(HEAD).partition(b"\n")
    header, row = header_of(first, source), header_of(rest.partition(b"\n")[0], source)
    at = header.index(_NUMBER) if _NUMBER in header else len(header) - 1
    # one field too many may also be a delimiter at the end
    if len(row) != len(header) + 1 or not _is_npi(row[at + 1]):
        return path
    delimiter = source.delimiter or max(DELIMITERS, key=lambda d: first.count(d.encode()))
    # the copy keeps the name, which errors show
    target = Path(tempfile.mkdtemp(dir=work)) / path.name.removesuffix(".gz")
    with opened() as stream, target.open("wb") as copy:
        copy.write(b"row_number" + delimiter.encode())
        shutil.copyfileobj(stream, copy)
    return target


def _is_npi(text: str) -> bool:
    return re.fullmatch(r"[12]\d{9}", text) is not None


def _code(column: str) -> str:
    """SQL for the NUCC code of a specialty; what none is chosen for stays as it is, to be set aside."""
    codes = load_hsd_taxonomy()
    # a constant map, since as many branches of a CASE take seconds to plan; square brackets would mean a column
    keys, values = (
        f"list_value({', '.join(map(quote, texts))})" for texts in (map(str.casefold, codes), codes.values())
    )
    padded = f"lpad({column}, 3, '0')"  # spreadsheets drop zeros
    key = f"CASE WHEN regexp_full_match({column}, '\\d{{1,3}}') THEN {padded} ELSE {column} END"
    numbered = f"CASE WHEN regexp_matches({column}, '^\\d{{3}} ') THEN left({column}, 3) ELSE lower({key}) END"
    return f"coalesce(list_extract(map_extract(map({keys}, {values}), {numbered}), 1), {column})"


def _known(column: str) -> str:
    return f"nullif([{column}], 'NA')"


_NAMES = ("First Name of Provider", "Middle Initial of Provider", "Last Name of Provider", "Suffix of Provider")
_NPI = "National Provider Identifier (NPI) Number"
_PLACE = ("Provider Zip Code", "Provider Street Address")
_UPLOAD = {
    "npi": f"[{_NPI}]",
    "zip": "[Provider Zip Code]",
    "taxonomy_code": _code("coalesce([Specialty Code], [Provider Specialty Code], [Facility Specialty Code])"),
}

LAYOUTS = (
    Layout(
        "directory",
        (_NUMBER, "Last Name of Provider", "Zip", "Network IDs"),
        {
            "npi": f"[{_NUMBER}]",
            "provider_name": f"nullif(concat_ws(' ', {', '.join(map(_known, _NAMES))}), '')",
            "taxonomy_code": _code(
                "coalesce([Specialty Type  (area of medicine)], [Specialty Type (area of medicine)], [Facility Type*], "
                "[Facility Type])"
            ),
            "network_id": _known("Network IDs"),
            "zip": _known("Zip"),
        },
        mend=_mend_header,
    ),
    Layout(
        "directory",
        ("SSA State/County Code", _NPI, "Name of Physician or Mid-Level Practitioner", *_PLACE),
        {**_UPLOAD, "provider_name": "[Name of Physician or Mid-Level Practitioner]"},
    ),
    Layout(
        "directory",
        ("SSA State/County Code", _NPI, "Facility Name", *_PLACE),
        {**_UPLOAD, "provider_name": "[Facility Name]"},
    ),
)

read_ma_hsd = partial(read_preset, format_name="ma-hsd", layouts=LAYOUTS)
recognise_ma_hsd = partial(recognise, layouts=LAYOUTS)
