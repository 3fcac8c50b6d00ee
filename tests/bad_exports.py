"""A corpus of bad exports, written by code: each case is a tiny good folder, and one thing spoiled in it.

A case is a function that writes a folder and says, from what it wrote and not from what the product does with it, how
many records the spoiled file holds, how many of them cannot be used, and what the usable claim lines bill in all; or
which words the refusal must hold. ``tests/test_bad_exports.py`` runs them; the other ``tests/bad_*.py`` spoil whole
files, text, exports.yaml, rows that make no sense and the case files of ``sca quote``.
"""

# ruff: noqa: RUF001 - characters that look like others are what is tried

import csv
import gzip
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.folders import npi

Rows = list[dict[str, Any]]
#: Begins every member identifier of the corpus, so that one that leaks into a message is found.
MEMBER = "QX70"
MONTH = "2026-06"
PERIOD_END = "2026-06-30"


@dataclass(frozen=True)
class Told:
    """What a case must come to.

    ``says`` are words of the one sentence with which the folder is refused; without them it opens, and then ``path``
    holds ``rows`` records of which ``aside`` are set aside, each for one of ``reasons``. ``billed`` is what the
    accepted claim lines bill [USD]. ``counts`` is the reason of each of the last rows, blank where it is accepted.
    ``rows`` of None: the damage leaves nothing that could be counted.
    """

    says: tuple[str, ...] = ()
    path: str = "claims.csv"
    rows: int | None = None
    aside: int = 0
    reasons: tuple[str, ...] = ()
    billed: Decimal | None = None
    counts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """A bad export with a name of its own; ``kind`` groups those that are spoiled alike."""

    kind: str
    name: str
    spoil: Callable[[Path], Told]
    tags: frozenset[str] = field(default=frozenset())


# ---- the good base ----


def claims() -> Rows:
    """Twelve claim lines of three members; each bills another amount, so that a line lost or doubled shows."""
    rows: Rows = []
    for number in range(12):
        member, is_out = number % 3 + 1, number % 3 == 0
        rows.append(
            {
                "claim_id": f"C{number:05d}",
                "line_number": "1",
                "member_id": f"{MEMBER}0{member}",
                "provider_npi": npi(9 if is_out else 1),
                "taxonomy_code": "2084P0800X",
                "service_date": f"2026-{4 + number % 2:02d}-{3 + 2 * number:02d}" if number < 11 else "2026-06-17",
                "procedure_code": "90837",
                "units": "1",
                "billed_amount": f"{200 + number}.{10 + number}",
                "allowed_amount": "" if is_out else "120.00",
                "paid_amount": "" if is_out else "90.00",
                "claim_status": "paid",
                "network_status": "out" if is_out else "in",
                "member_zip": "04330",
            }
        )
    return rows


BILLED = sum((Decimal(row["billed_amount"]) for row in claims()), Decimal(0))


def directory() -> Rows:
    """Three listings around Augusta, Maine."""
    return [
        {
            "npi": npi(n),
            "provider_name": f"Provider {n}",
            "taxonomy_code": code,
            "network_id": "N1",
            "zip": place,
            "latitude": "",
            "longitude": "",
            "effective_date": "2020-01-01",
            "termination_date": "",
            "accepting_new_patients": "yes",
            "location_id": f"L{n}",
        }
        for n, code, place in ((1, "2084P0800X", "04330"), (2, "103TC0700X", "04330"), (3, "2084P0800X", "04401"))
    ]


def members() -> Rows:
    """Four members, one of whom has no claims."""
    return [
        {
            "member_id": f"{MEMBER}0{n}",
            "zip": "04330",
            "county_fips": "23011",
            "latitude": "",
            "longitude": "",
            "network_id": "N1",
            "effective_date": "2020-01-01",
            "termination_date": "",
            "birth_year": "1980",
        }
        for n in range(1, 5)
    ]


def benefits() -> Rows:
    return [
        {
            "network_id": "N1",
            "plan_year": "2026",
            "plan_year_start": "01-01",
            "in_network_deductible": "500.00",
            "in_network_coinsurance": "0.20",
            "in_network_deductible_applies": "true",
            "in_network_out_of_pocket_max": "3000.00",
            "out_of_network_deductible": "1500.00",
            "out_of_network_coinsurance": "0.40",
            "out_of_network_out_of_pocket_max": "8000.00",
        }
    ]


def fees() -> Rows:
    return [
        {
            "procedure_code": "90837",
            "in_network_rate": "120.00",
            "medicare_rate": "150.00",
            "out_of_network_allowed": "130.00",
            "usual_charge": "220.00",
        }
    ]


def agreements() -> Rows:
    return [
        {
            "case_id": "SCA000001",
            "member_id": f"{MEMBER}01",
            "provider_npi": npi(9),
            "taxonomy_code": "2084P0800X",
            "procedure_code": "90837",
            "ground": "gap",
            "requested_date": "2026-04-01",
            "decision_date": "2026-04-20",
            "decision": "approved",
            "requested_rate": "210.00",
            "agreed_rate": "180.00",
            "sessions_authorized": "12",
            "effective_date": "2026-04-20",
            "expiry_date": "2026-12-31",
        }
    ]


def entered() -> Rows:
    return [
        {
            "case_id": "SCA000001",
            "fact": "setback",
            "value": "yes",
            "entered_by": "the clinic",
            "entered_on": "2026-05-01",
        }
    ]


GOOD: dict[str, Callable[[], Rows]] = {
    f.__name__: f for f in (claims, directory, members, benefits, fees, agreements, entered)
}
#: Columns whose value tells one row of a table from another.
KEYS = {
    "claims": "claim_id",
    "directory": "location_id",
    "members": "member_id",
    "benefits": "plan_year",
    "fees": "procedure_code",
    "agreements": "case_id",
    "entered": "entered_on",
}
_OTHER = {
    "claims": "C9{:04d}",
    "directory": "L9{:02d}",
    "members": MEMBER + "9{:02d}",
    "benefits": "20{:02d}",
    "fees": "900{:02d}",
    "agreements": "SCA0009{:02d}",
    "entered": "2026-04-{:02d}",
}


def another(table: str, number: int = 1, **cells: str) -> dict[str, Any]:
    """A good row of a table with a key of its own, changed in these cells."""
    return GOOD[table]()[0] | {KEYS[table]: _OTHER[table].format(number + 1)} | cells


def as_text(rows: Rows, delimiter: str = ",", end: str = "\n", quoting: Any = csv.QUOTE_MINIMAL) -> str:
    """Rows as delimited text with their header."""
    columns = list(dict.fromkeys(c for row in rows for c in row))
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, columns, delimiter=delimiter, lineterminator=end, restval="", quoting=quoting)
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def write(folder: Path, *also: str, **changed: Rows | str | bytes) -> Path:
    """Write the good claims, directory and tables ``also``, but with these rows, this text or these bytes.

    A table in ``changed`` may be named with its file type, as ``claims_parquet`` for claims.parquet.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content: dict[str, Rows | str | bytes] = {t: GOOD[t]() for t in ("claims", "directory", *also)}
    for given, what in changed.items():
        table, _, kind = given.partition("_")
        content.pop(table, None)
        put(folder / f"{table}.{kind.replace('_', '.') or 'csv'}", what)
    for table, what in content.items():
        put(folder / f"{table}.csv", what)
    return folder


def put(path: Path, what: Rows | str | bytes) -> None:
    """Write rows, text or bytes as the suffix of the file says."""
    if path.suffix == ".parquet" and isinstance(what, list):
        columns = list(dict.fromkeys(c for row in what for c in row))
        pq.write_table(pa.table({c: pa.array([row.get(c) for row in what], pa.string()) for c in columns}), path)
        return
    text = as_text(what) if isinstance(what, list) else what
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data, 1, mtime=0) if path.suffix == ".gz" and not isinstance(what, bytes) else data)


# ---- one cell is wrong ----

#: By column: what stands in the cell, and for which rule the row is set aside; None: the row is as good as before.
_NPIS = {
    "1.23E+09": "npi_shape",
    "1.234567893E+09": "npi_shape",
    "'1234567893": "npi_shape",
    '="1234567893"': "npi_shape",
    "123456789": "npi_shape",
    "12345678930": "npi_shape",
    "3234567893": "npi_shape",
    "1234567890": "npi_check_digit",
    "1234567890.0": "npi_check_digit",
    "12345 67893": "npi_shape",
    "１２３４５６７８９３": "npi_shape",
    "123456789\u0663": "npi_shape",
    "1234567893\u200b": "npi_shape",
    "\u202e3987654321": "npi_shape",
    "123456789З": "npi_shape",
    "-1234567893": "npi_shape",
    "NaN": "missing",
    "Infinity": "npi_shape",
    "": "missing",
    "1234567893.0": None,
}
_DATES = {
    "46027": "not_a_date",
    "46027.0": "not_a_date",
    "1/2/26": "date_out_of_range",  # read as the year 1
    "01/02/2026": "not_a_date",
    "31-Dec-25": "not_a_date",
    "2026-02-30": "not_a_date",
    "2026-13-01": "not_a_date",
    "0000-00-00": "not_a_date",
    "0000-01-01": "date_out_of_range",
    "1899-12-31": "date_out_of_range",
    "1900-01-00": "not_a_date",
    "0026-06-03": "date_out_of_range",
    "20260230": "not_a_date",
    "epoch": "not_a_date",
    "infinity": "not_a_date",
    "-infinity": "not_a_date",
    "2026-06-03 (BC)": "date_out_of_range",
    "２０２６-06-03": "not_a_date",
    "2026\u201006\u201003": "not_a_date",
    "=TODAY()": "not_a_date",
    "1.7e9": "not_a_date",
    "#########": "not_a_date",
}
_AMOUNTS = {
    "Infinity": "not_an_amount",
    "-Infinity": "not_an_amount",
    "1e400": "not_an_amount",
    "1.234,56": "not_an_amount",
    "12,34": "not_an_amount",
    "-5.00": "negative_amount",
    "(5.00)": "negative_amount",
    "#REF!": "not_an_amount",
    "#####": "not_an_amount",
    "=1+1": "not_an_amount",
    "1_000": "not_an_amount",
    "0x1F": "not_an_amount",
    "$": "not_an_amount",
    "1 000.00": "not_an_amount",
    "１００": "not_an_amount",
    "100.00\u200b": "not_an_amount",
    "100.00 USD": "not_an_amount",
    "€100": "not_an_amount",
    "9" * 400: "not_an_amount",
    "1e17": "not_an_amount",
    "--5": "not_an_amount",
}
_NUMBERS = {"Infinity": "not_a_number", "1e400": "not_a_number", "two": "not_a_number", "1_0": "not_a_number"}
CELLS: dict[tuple[str, str], dict[str, str | None]] = {
    ("claims", "provider_npi"): _NPIS,
    ("directory", "npi"): dict(list(_NPIS.items())[::3]),
    ("claims", "service_date"): _DATES | {"2999-12-31": "date_in_future", "NaT": "missing", "": "missing"},
    ("members", "effective_date"): dict(list(_DATES.items())[::3]) | {"1900-01-01": None, "NaT": None},
    ("directory", "termination_date"): {"2999-12-31": None, "9999-12-31": None, "2019-12-31": "ends_before_start"},
    ("agreements", "requested_date"): dict(list(_DATES.items())[1::4]) | {"2999-12-31": "date_in_future"},
    ("claims", "billed_amount"): _AMOUNTS | {"NaN": "missing", "#N/A": "missing"},
    ("claims", "allowed_amount"): {"NaN": None, "-Infinity": "not_an_amount", "-0.01": "negative_amount"},
    ("fees", "usual_charge"): dict(list(_AMOUNTS.items())[::4]) | {"NaN": None},
    ("benefits", "in_network_deductible"): dict(list(_AMOUNTS.items())[1::4]),
    ("benefits", "in_network_coinsurance"): dict.fromkeys(("20%", "1.2", "-0.1", "Infinity", "0,2"), "not_a_number"),
    ("benefits", "in_network_deductible_applies"): dict.fromkeys(("maybe", "2", "tru"), "not_yes_no"),
    ("benefits", "plan_year_start"): dict.fromkeys(("02-29", "13-01", "Jan 1", "46023"), "not_a_month_day"),
    ("claims", "units"): _NUMBERS,
    ("claims", "claim_status"): dict.fromkeys(("P", "paid!", "ｐaid", "reversed\u200b"), "unknown_value"),
    ("claims", "member_zip"): dict.fromkeys(("O4330", "4.33E+03", "-4330", "04330-12", "0433０"), "zip_shape"),
    ("directory", "zip"): {"12": "zip_shape", "K1A 0B6": "zip_shape", "": "missing", "4330": None, "00000": None},
    ("directory", "latitude"): dict.fromkeys(("91", "1e400", "44,33", "44°19'N", "Infinity"), "not_a_number"),
    ("directory", "taxonomy_code"): dict.fromkeys(
        ("2084P0800", "2084Р0800X", "2084P0800X\u200b", "psychiatry", "2.08E+12"), "taxonomy_shape"
    ),
    ("members", "county_fips"): dict.fromkeys(("2.3E+04", "ME011", "230110"), "fips_shape"),
    ("members", "birth_year"): _NUMBERS,
    ("agreements", "sessions_authorized"): dict.fromkeys(("1.5", "many", "1e400"), "not_a_number"),
    ("agreements", "decision"): dict.fromkeys(("yes", "approvеd", "APPROVED?"), "unknown_value"),
    ("entered", "fact"): dict.fromkeys(("set back", "income; DROP TABLE", "__proto__", "sеtback"), "unknown_value"),
    ("entered", "value"): dict.fromkeys(("perhaps", "2", "yes\u200b"), "value_does_not_fit"),
    ("entered", "entered_on"): dict.fromkeys(("2999-01-01",), "date_in_future") | {"1/2/26": "date_out_of_range"},
}
#: How the spoiled table is written, taken in turn, so that each kind of cell comes in each.
WRITTEN = ("csv", "csv_gz", "parquet")


def _spoil_column(table: str, column: str, kind: str) -> Callable[[Path], Told]:
    """A good table and under it a row for each value that spoils this column, each row otherwise good."""
    values = CELLS[table, column]

    def spoil(folder: Path) -> Told:
        rows = [another(table, n) | {column: value} for n, value in enumerate(values)]
        if table == "claims":
            rows = [row | {"billed_amount": "7.77"} if column != "billed_amount" else row for row in rows]
        changed: dict[str, Any] = {f"{table}_{kind}": [*GOOD[table](), *rows]}
        write(folder, **changed)
        fine = sum(rule is None for rule in values.values())
        return Told(
            path=f"{table}.{kind.replace('_', '.')}",
            rows=len(GOOD[table]()) + len(rows),
            aside=len(rows) - fine,
            reasons=tuple(sorted({f"{rule}:{column}" for rule in values.values() if rule})),
            counts=tuple(f"{rule}:{column}" if rule else "" for rule in values.values()),
            billed=BILLED + (Decimal("7.77") * fine if table == "claims" else 0),
        )

    return spoil


def cell_cases() -> Iterable[Case]:
    for number, (table, column) in enumerate(CELLS):
        kind = WRITTEN[number % len(WRITTEN)]
        yield Case("cells", f"{table}.{column} as {kind}", _spoil_column(table, column, kind))
