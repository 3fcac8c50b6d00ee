"""Tiny exports folders, written row by row."""

import csv
from collections.abc import Iterable, Mapping
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

from sca_analysis.exports import Exports

Row = Mapping[str, Any]
#: An exports.yaml under which claims get their network from a file beside them, extra.csv (claim_id, net).
JOINED = (
    "claims: {path: claims.csv, join: [{path: extra.csv, on: {claim_id: claim_id}}], columns: {network_id: net}}\n"
    "directory: {path: directory.csv}\n"
)


def npi(number: int) -> str:
    """Return the number-th NPI with a right check digit (Luhn over 80840 and the nine digits)."""
    body = f"1{number:08d}"
    digits = [int(d) for d in reversed("80840" + body)]
    total = sum(sum(divmod(2 * d, 10)) if i % 2 == 0 else d for i, d in enumerate(digits))
    return body + str(-total % 10)


def write_tables(folder: Path, **tables: Iterable[Row]) -> Path:
    """Write each table as canonical CSV, without the columns that no row fills: None is a blank."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, given in tables.items():
        rows = list(given)
        columns = list(dict.fromkeys(c for row in rows for c, v in row.items() if v is not None))
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows({k: "" if v is None else v for k, v in row.items()} for row in rows)
    return folder


def open_tables(folder: Path, **tables: Iterable[Row]) -> Exports:
    """Write and open a folder; no row may be set aside, so that a test tests what it says."""
    exports = Exports.open(write_tables(folder, **tables))
    assert exports.set_aside.empty, exports.set_aside
    return exports


def claim(member: str, provider: int, day: str | date = "2026-01-01", **columns: Any) -> dict[str, Any]:
    """Return a claim line with a number of its own; billed 100.00 unless said."""
    line = {
        "claim_id": f"C{next(_NUMBERS):06d}",
        "line_number": "1",
        "claim_version": None,
        "member_id": member,
        "provider_npi": npi(provider),
        "taxonomy_code": None,
        "service_date": str(day),
        "procedure_code": "90837",
        "units": None,
        "billed_amount": "100.00",
        "allowed_amount": None,
        "paid_amount": None,
        "claim_status": None,
        "network_status": None,
        "network_id": None,
    }
    return line | columns


def listing(provider: int, **columns: Any) -> dict[str, Any]:
    """Return a directory row: a psychiatrist in Augusta, ME, in every network, always, panel unknown."""
    row = {
        "npi": npi(provider),
        "provider_name": f"Provider {provider}",
        "taxonomy_code": "2084P0800X",
        "network_id": None,
        "zip": "04330",
        "latitude": None,
        "longitude": None,
        "effective_date": None,
        "termination_date": None,
        "accepting_new_patients": None,
        "location_id": f"L{next(_NUMBERS):06d}",
    }
    return row | columns


def span(member: str, **columns: Any) -> dict[str, Any]:
    """Return a coverage span: in Augusta, ME (Kennebec County, 23011), always, network blank."""
    row = {
        "member_id": member,
        "zip": "04330",
        "county_fips": None,
        "latitude": None,
        "longitude": None,
        "network_id": None,
        "effective_date": None,
        "termination_date": None,
    }
    return row | columns


_NUMBERS = count(1)
