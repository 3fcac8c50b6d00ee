"""What is planted in the exports, and the answer key that lists it.

Cells are spoiled in the finished text of a block: rows are chosen, cut at their commas,
changed and put back, so that the faults cost nothing where there are none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO

import numpy as np

from sca_analysis.sample.facts import Ints
from sca_analysis.tables import Table

COLUMNS = (
    "kind",
    "file",
    "row",
    "expected",
    "npi",
    "member_id",
    "case_id",
    "specialty",
    "county_fips",
    "network_id",
    "note",
)


class Planted:
    """The answer key, written out block by block so that it never grows in memory.

    Parameters
    ----------
    file : binary file
        Open for writing; the header is written at once.

    """

    def __init__(self, file: IO[bytes]) -> None:
        """Write the header."""
        self._file = file
        file.write((",".join(COLUMNS) + "\n").encode())

    def add(self, kind: str, **cells: str | int) -> None:
        """Write one line; ``cells`` are columns of ``COLUMNS``."""
        values = [kind, *(str(cells.pop(c, "")) for c in COLUMNS[1:])]
        if cells:
            raise KeyError(*cells)
        quoted = (f'"{v}"' if "," in v else v for v in values)
        self._file.write((",".join(quoted) + "\n").encode())


@dataclass(frozen=True)
class Fault:
    """One way to spoil a row: ``change`` gets the cell and returns what stands there instead.

    ``extra`` keeps the row and adds the spoilt one behind it.
    """

    kind: str  # bad_row: set aside; repair: accepted after repair; warning: accepted as it is
    expected: str  # rule and column, as counted by ``sca check``
    column: str
    change: Callable[[str], str]
    extra: bool = False


def _wrong_check_digit(npi: str) -> str:
    return npi[:9] + str((int(npi[9:]) + 1) % 10)


def _blank(_: str) -> str:
    return ""


def _same(cell: str) -> str:
    return cell


def _constant(value: str) -> Callable[[str], str]:
    return lambda _: value


def _dollars(cell: str) -> str:
    text = f"${float(cell):,.2f}"
    return f'"{text}"' if "," in text else text


def _missing(column: str) -> Fault:
    return Fault("bad_row", f"missing:{column}", column, _blank)


CLAIM_FAULTS = (
    *map(
        _missing,
        (
            "claim_id",
            "line_number",
            "member_id",
            "provider_npi",
            "service_date",
            "procedure_code",
            "billed_amount",
        ),
    ),
    Fault("bad_row", "not_a_date:service_date", "service_date", _constant("2025-02-30")),
    Fault("bad_row", "date_in_future:service_date", "service_date", _constant("2999-12-31")),
    Fault("bad_row", "npi_check_digit:provider_npi", "provider_npi", _wrong_check_digit),
    Fault("bad_row", "npi_shape:provider_npi", "provider_npi", _constant("1.23E+09")),
    Fault("bad_row", "taxonomy_shape:taxonomy_code", "taxonomy_code", _constant("2084P08")),
    Fault("bad_row", "zip_shape:member_zip", "member_zip", _constant("0440A")),
    Fault("bad_row", "not_an_amount:billed_amount", "billed_amount", _constant("see EOB")),
    Fault("bad_row", "not_an_amount:paid_amount", "paid_amount", _constant("pending")),
    Fault("bad_row", "negative_amount:billed_amount", "billed_amount", lambda cell: "-" + cell),
    Fault("bad_row", "negative_amount:member_amount", "member_amount", _constant("-12.50")),
    Fault("bad_row", "unknown_value:claim_status", "claim_status", _constant("in review")),
    Fault("bad_row", "unknown_value:network_status", "network_status", _constant("tier 2")),
    Fault("bad_row", "duplicate_row", "claim_id", _same, extra=True),
    Fault("bad_row", "duplicate_key", "billed_amount", lambda cell: f"{float(cell) + 1:.2f}", extra=True),
)
CLAIM_REPAIRS = (
    Fault("repair", "zip_repaired:member_zip", "member_zip", lambda cell: cell.lstrip("0")),
    Fault("repair", "amount_cleaned:billed_amount", "billed_amount", _dollars),
    Fault("repair", "", "procedure_code", lambda cell: f" {cell} "),  # spaces: nothing to report
)
CLAIM_WARNING = Fault("warning", "allowed_above_billed", "billed_amount", _same)  # against the allowed amount
DIRECTORY_FAULTS = (
    Fault("duplicate_listing", "duplicate_row", "npi", _same),
    Fault("bad_row", "npi_check_digit:npi", "npi", _wrong_check_digit),
    Fault("bad_row", "npi_shape:npi", "npi", _constant("1.23E+09")),
    Fault("duplicate_listing", "duplicate_row", "npi", _same),
    Fault("bad_row", "missing:provider_name", "provider_name", _blank),
    Fault("bad_row", "taxonomy_shape:taxonomy_code", "taxonomy_code", _constant("Psychiatry")),
    Fault("duplicate_listing", "duplicate_row", "npi", _same),
    Fault("bad_row", "zip_shape:zip", "zip", _constant("MAINE")),
    Fault("bad_row", "not_a_date:effective_date", "effective_date", _constant("2025-02-30")),
    Fault("duplicate_listing", "duplicate_row", "npi", _same),
    Fault("bad_row", "ends_before_start:termination_date", "termination_date", _constant("1999-12-31")),
)
DIRECTORY_REPAIRS = (
    Fault("lost_zero_zip", "zip_repaired:zip", "zip", lambda cell: cell.lstrip("0")),
    Fault("zip_plus_4", "", "zip", lambda cell: cell + "-1234"),  # a usual form: nothing to report
)
MEMBER_FAULTS = (
    _missing("member_id"),
    _missing("zip"),
    Fault("bad_row", "zip_shape:zip", "zip", _constant("0440A")),
    Fault("bad_row", "not_a_date:effective_date", "effective_date", _constant("2025-02-30")),
    Fault("bad_row", "ends_before_start:termination_date", "termination_date", _constant("1999-12-31")),
    Fault("bad_row", "duplicate_row", "member_id", _same),
    Fault("bad_row", "duplicate_key", "birth_year", lambda cell: str(int(cell or 1980) + 1)),
)
MEMBER_REPAIRS = (Fault("lost_zero_zip", "zip_repaired:zip", "zip", lambda cell: cell.lstrip("0")),)


def spoil(
    text: bytes, table: Table, edits: Sequence[tuple[int, Fault]], first_row: int, planted: Planted
) -> tuple[bytes, int]:
    """Spoil rows of a block of text and list them.

    Parameters
    ----------
    text : bytes
        Rows without header and without quotes.
    table : Table
        Whose rows they are.
    edits : sequence of (int, Fault)
        Which row of the block (from 0) gets which fault.
    first_row : int
        Number of the first row of the block in its file; the header is row 1.
    planted : Planted
        Is told of every fault.

    Returns
    -------
    (bytes, int)
        The new text and the number of rows added.

    """
    ends = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == ord("\n")) + 1
    pieces, done, added = [], 0, 0
    for i, fault in sorted(edits, key=lambda e: e[0]):
        begin, end = int(ends[i - 1]) if i else 0, int(ends[i])
        cells = text[begin : end - 1].decode().split(",")
        at = table.names.index(fault.column)
        pieces.append(text[done : end if fault.extra else begin])
        added += fault.extra
        if fault is CLAIM_WARNING:
            cells[at] = f"{float(cells[table.names.index('allowed_amount')]) - 5:.2f}"
        else:
            cells[at] = fault.change(cells[at])
        pieces.append((",".join(cells) + "\n").encode())
        done = end
        planted.add(fault.kind, file=f"{table.name}.csv", row=first_row + i + added, expected=fault.expected)
    pieces.append(text[done:])
    return b"".join(pieces), added


def append_spoilt(
    text: bytes, table: Table, copies: Sequence[tuple[int, Fault]], first_row: int, planted: Planted
) -> tuple[bytes, int]:
    """Append spoilt copies of rows to a block of text and list them; arguments as of ``spoil``."""
    lines = text.split(b"\n")
    rows = len(lines) - 1
    for n, (i, fault) in enumerate(copies):
        cells = lines[i].decode().split(",")
        at = table.names.index(fault.column)
        cells[at] = fault.change(cells[at])
        text += (",".join(cells) + "\n").encode()
        npi = cells[0] if fault.kind == "duplicate_listing" else ""
        planted.add(fault.kind, file=f"{table.name}.csv", row=first_row + rows + n, expected=fault.expected, npi=npi)
    return text, len(copies)


def assign(rng: np.random.Generator, candidates: Ints, faults: Sequence[Fault], number: int) -> list[tuple[int, Fault]]:
    """Choose ``number`` rows among ``candidates`` and deal the faults out to them in turn."""
    number = min(number, len(candidates))
    rows = rng.permutation(candidates)[:number].tolist()
    return [(row, faults[n % len(faults)]) for n, row in enumerate(rows)]
