"""CMS's Physician Fee Schedule as rates: relative values (PPRRVU*.csv) by locality indices (GPCI*.csv).

``medicare-fees`` gives the non-facility rate (an office), ``medicare-fees-facility`` the facility rate
(42 CFR 414.22(b)(5)). Each row of the file is set aside or becomes a row of ``fees``: procedure_code,
locality, medicare_rate. Without ``keep`` the rate is national (every GPCI 1), its locality blank. ``keep:
{locality: [NY-01, NY-99]}`` takes localities, as CMS's state and two-digit number, from the one GPCI*.csv
beside the file; ``national`` and ``all`` (the nation and every locality) may stand there too. With n of
them a payable row is n rows of ``fees``, locality by locality; a row set aside still counts once.

Only status A, R and T have a price, on the row without a modifier (CMS, RVUPUF, attachment A). Set aside:
``modifier_row`` (26, TC, 53: parts of the row without one), ``not_payable`` (bundled, excluded, not
covered), ``carrier_priced`` (status C, or R without RVUs), ``not_paid_in_facility`` (NA in that column),
``footnote``, and damage. Where practice expense is NA in the office, CMS shows and pays the facility's.
Imaging is capped at the hospital outpatient amount (Social Security Act 1848(b)(4)): the lesser counts.
"""

import csv
import re
import tempfile
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import NamedTuple

import duckdb

from sca_analysis.errors import ExportError
from sca_analysis.medicare import NATIONAL, Gpci, locality_rate
from sca_analysis.readers.source import Malformed, Raw, Source, name, quote
from sca_analysis.tables import FEES, Table

# fmt: off
# what CMS's headings say, one below the other, over each column that is read: names repeat, positions do not
_HEADINGS = {
    0: "HCPCS", 1: "MOD", 3: "STATUS CODE", 5: "WORK RVU", 6: "NON-FAC PE RVU", 8: "FACILITY PE RVU",
    9: "FACILITY NA INDICATOR", 10: "MP RVU", 11: "NON-FACILITY TOTAL", 12: "FACILITY TOTAL", 24: "CONV FACTOR",
    28: "NON-FACILITY PE USED FOR OPPS PAYMENT AMOUNT", 29: "FACILITY PE USED FOR OPPS PAYMENT AMOUNT",
    30: "MP USED FOR OPPS PAYMENT AMOUNT",
}
_GPCI_HEADINGS = (
    "Medicare Administrative Contractor", "State", "Locality Number", "Locality Name",
    "YEAR PW GPCI.*", "YEAR PE GPCI", "YEAR MP GPCI",
)
# fmt: on
_WIDTH = 31
_CODE = re.compile(r"[0-9A-Z][0-9]{3}[0-9A-Z]")
_NUMBER = re.compile(r"[0-9]{1,4}(\.[0-9]{0,6})?|\.[0-9]{1,6}")
_GPCI_SHAPES = (".*", "[A-Z]{2}", "[0-9]{1,2}", ".*", *[_NUMBER.pattern] * 3)
_UNPAID = tuple("BDEFGHIJMNPQX")  # D, F, G, H and Q in earlier years only
_COLUMNS = ("procedure_code", "locality", "medicare_rate")


class _Values(NamedTuple):
    """The numbers of a payable row: RVUs, those behind the hospital outpatient amount, and USD/RVU."""

    work: Decimal
    expense: Decimal
    malpractice: Decimal
    total: Decimal
    outpatient_expense: Decimal
    outpatient_malpractice: Decimal
    factor: Decimal

    def rate(self, gpci: Gpci) -> Decimal:
        """Return USD a unit; without outpatient RVUs there is no cap."""
        rate = locality_rate(self.work, self.expense, self.malpractice, gpci, self.factor)
        if not self.outpatient_expense:
            return rate
        cap = locality_rate(self.work, self.outpatient_expense, self.outpatient_malpractice, gpci, self.factor)
        return min(rate, cap)


def _read(
    con: duckdb.DuckDBPyConnection, path: Path, table: Table, source: Source, work: Path, *, facility: bool
) -> Raw:
    """Map a PPRRVU file, with the GPCI file beside it, onto ``fees``; see the module.

    Raises
    ------
    ExportError
        If exports.yaml asks for what is not here, or a file is not in CMS's layout and of one year.

    """
    del con
    chosen = "medicare-fees-facility" if facility else "medicare-fees"
    if table.name != FEES.name:
        raise ExportError(f"exports.yaml: {table.name}: format {chosen} is for {FEES.name} only.")
    surplus = source.model_fields_set - {"path", "format", "keep", "rules", "encoding"}
    if surplus := surplus | (source.keep.keys() - {"locality"}):
        raise ExportError(f"exports.yaml: fees: format {chosen} takes only `keep: locality`, not {min(surplus)}.")
    rows = _rows(path, source)
    first = _find_headings(rows, path.name)
    indices = _choose_localities(path, source, rows[:first])
    rates: dict[str, _Values] = {}
    malformed: list[Malformed] = []
    for number, row in enumerate(_restore_codes(rows[first:]), start=first + 1):
        values = _judge(row, facility)
        if isinstance(values, _Values) and (before := rates.setdefault(row[0], values)) is not values:
            values = "duplicate_row" if before == values else "duplicate_key"
        if isinstance(values, str):
            malformed.append(Malformed(number, values))
    with tempfile.NamedTemporaryFile("w", dir=work, suffix=".csv", delete=False, newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows((code, k, v.rate(gpci)) for k, gpci in indices.items() for code, v in rates.items())
    columns = ", ".join(f"{quote(c)}: 'VARCHAR'" for c in _COLUMNS)
    return Raw(
        path=path,
        format=chosen,
        relation=f"read_csv({quote(file.name)}, delim=',', header=false, auto_detect=false, columns={{{columns}}})",
        columns={c: name(c) for c in _COLUMNS},
        first_row=first + 1,
        beside=tuple(_find_gpci(path)),
        malformed=lambda: malformed,
    )


read_non_facility = partial(_read, facility=False)
read_facility = partial(_read, facility=True)


def _rows(path: Path, source: Source) -> list[list[str]]:
    """Return the trimmed cells of each line that is not blank, split on its own so that damage stays in its row."""
    try:
        text = path.read_text(encoding=source.encoding or "utf-8-sig", errors="replace")
        rows = (next(csv.reader([line]), []) for line in text.split("\n"))
        return [[cell.strip() for cell in row] for row in rows if row]
    except (OSError, LookupError, UnicodeError, csv.Error) as error:
        raise ExportError(f"{path.name} cannot be read as CSV: check the file, its permissions, `encoding`.") from error


def _find_headings(rows: list[list[str]], where: str) -> int:
    """Return the number of rows above the first code, once the headings are found to be CMS's."""
    found = rows[: next((i for i, row in enumerate(rows[:20], start=1) if row[0].upper() == "HCPCS"), 0)]
    for position, expected in _HEADINGS.items():
        heading = " ".join(" ".join(row[position] for row in found if len(row) > position).upper().split())
        if heading != expected or len(found[-1]) != _WIDTH:
            raise ExportError(
                f"{where}: not the layout of CMS's PPRRVU file of 2022: {_WIDTH} columns with {expected!r} over "
                f"column {position + 1} were expected; take the .csv of CMS's RVU release of that layout."
            )
    return len(found)


def _restore_codes(rows: list[list[str]]) -> list[list[str]]:
    """Return the rows with leading zeros of codes restored where a spreadsheet dropped them all.

    The file proves it: no code of five digits begins with 0, and with zeros the codes stand in the
    order in which CMS sorts them, EBCDIC. Otherwise a short code is left as it is, to be set aside.
    """
    padded = [row[0].zfill(5) if row[0].isdecimal() else row[0] for row in rows]
    ordered = [code.encode("cp037") for code in padded if _CODE.fullmatch(code)]
    if any(re.fullmatch(r"0\d{4}", row[0]) for row in rows) or ordered != sorted(ordered):
        return rows
    return [[code, *row[1:]] for code, row in zip(padded, rows, strict=True)]


def _judge(row: list[str], facility: bool) -> _Values | str:
    """Return the numbers of a row that has a price, or the reason why it has none."""
    if not _CODE.fullmatch(row[0]):
        return "procedure_code_shape" if any(row[3:]) else "footnote"
    if len(row) != _WIDTH:
        return "too_few_fields" if len(row) < _WIDTH else "too_many_fields"
    if row[1]:
        return "modifier_row"
    if row[3] not in ("A", "R", "T"):
        return {"C": "carrier_priced"}.get(row[3], "not_payable" if row[3] in _UNPAID else "unknown_status")
    if facility and row[9] == "NA":
        return "not_paid_in_facility"
    read = (5, 8, 10, 12, 29, 30, 24) if facility else (5, 6, 10, 11, 28, 30, 24)
    if wrong := [i for i in read if not _NUMBER.fullmatch(row[i])]:
        return f"not_a_number:{_HEADINGS[wrong[0]]}"
    values = _Values(*(Decimal(row[i]) for i in read))
    if not values.factor:
        return f"not_a_number:{_HEADINGS[24]}"
    if values.work + values.expense + values.malpractice != values.total:
        return "rvus_do_not_add_up"
    return values if values.total else {"R": "carrier_priced"}.get(row[3], "no_rvus")


def _choose_localities(path: Path, source: Source, preamble: list[list[str]]) -> dict[str, Gpci]:
    """Return the indices of each locality asked for; blank is the nation."""
    wanted = {w.strip().casefold() for w in source.keep.get("locality") or ["national"]}
    if wanted == {"national"}:
        return {"": NATIONAL}
    beside = _find_gpci(path)
    if len(beside) != 1:
        raise ExportError(f"{path.name}: localities need one GPCI*.csv of CMS beside it; {len(beside)} are there.")
    title = re.search(r"(\d{4}) National Physician Fee Schedule", " ".join(c for row in preamble for c in row))
    localities = {"": NATIONAL} | _read_localities(beside[0], source, title[1] if title else "")
    if unknown := sorted(wanted - {(k or "national").casefold() for k in localities} - {"all"}):
        raise ExportError(
            f"exports.yaml: fees: keep: locality {unknown[0]!r} is not in {beside[0].name}: write the state and the "
            "two-digit locality number, such as NY-01, or national or all."
        )
    return {k: v for k, v in localities.items() if wanted & {"all", (k or "national").casefold()}}


def _find_gpci(path: Path) -> list[Path]:
    """Return CMS's files of geographic indices beside the fees."""
    return sorted(p for p in path.parent.iterdir() if re.fullmatch(r"(?i)gpci.*\.csv", p.name))


def _read_localities(path: Path, source: Source, year: str) -> dict[str, Gpci]:
    """Return the indices of every locality of a GPCI file of ``year``, zeros of the number restored."""
    rows = _rows(path, source)
    headings = tuple(pattern.replace("YEAR", year) for pattern in _GPCI_HEADINGS)
    start = next((i for i, row in enumerate(rows[:10], start=1) if _fits(headings, row)), None)
    if start is None or not year:
        raise ExportError(
            f"{path.name}: not the layout of CMS's GPCI file of the year in the title of the fees: the columns "
            f"{', '.join(headings).replace('.*', '')} were expected."
        )
    found: dict[str, Gpci] = {}
    for number, row in enumerate(rows[start:], start=start + 1):
        if not any(row[1:]):
            continue  # a footnote
        locality = f"{row[1]}-{row[2].zfill(2)}" if _fits(_GPCI_SHAPES, row) else ""
        if not locality or locality in found:
            raise ExportError(f"{path.name} row {number}: no locality with three indices, or one again; correct it.")
        found[locality] = Gpci(*map(Decimal, row[4:]))
    return found


def _fits(patterns: tuple[str, ...], row: list[str]) -> bool:
    return len(row) == len(patterns) and all(map(re.fullmatch, patterns, row))
