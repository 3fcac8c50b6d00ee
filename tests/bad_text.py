"""Text badly encoded, quoted, ended or laid out; see ``tests/bad_exports.py``."""

# ruff: noqa: RUF001 - characters that look like others are what is tried

import csv
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.bad_exports import BILLED, GOOD, Case, Told, another, as_text, claims, directory, write
from tests.bad_files import (
    BYTES,
    LINES,
    TEXT,
    N,
    all_good,
    claims_of,
)


def _encoded(encoding: str, name: str = "José Muñoz-Ångström, MD", **told: Any) -> Callable[[Path], Told]:
    def spoil(folder: Path) -> Told:
        rows = [*directory(), another("directory", provider_name=name)]
        write(folder, directory=as_text(rows, quoting=csv.QUOTE_ALL).encode(encoding))
        return Told(**({"path": "directory.csv", "rows": len(rows), "billed": BILLED} | told))

    return spoil


def _text(text: str, **told: Any) -> Callable[[Path], Told]:
    return claims_of(text.encode("utf-8", "surrogatepass"), **(all_good() | told))


def _named(name: str, **told: Any) -> Callable[[Path], Told]:
    return _encoded("utf-8", name, **told)


#: What a name may be and still be one: each must be accepted as it stands.
NAMES = {
    "a delimiter": "Doe, Jane",
    "quotes": 'Jane "JJ" Doe',
    "a line end": "Jane\nDoe",
    "a carriage return": "Jane\rDoe",
    "a tab": "Jane\tDoe",
    "an apostrophe": "Jane O'Doe'; DROP TABLE claims; --",
    "right-to-left override": "Jane \u202eeoD",
    "combining marks": "Ja" + "\u0301" * 500 + "ne",
    "a zero-width joiner": "Ja\u200dne",
    "an emoji": "Jane 👩🏽\u200d⚕️",
    "braces": "{{ 7 * 7 }} {% raw %}",
    "a control character": "Jane\x1bDoe\x07",
    "only punctuation": "...",
    "the word NULL": "NULL",
    "100,000 characters": "J" * 100_000,
}


def _names() -> Callable[[Path], Told]:
    def spoil(folder: Path) -> Told:
        rows = [another("directory", n, provider_name=name) for n, name in enumerate(NAMES.values())]
        write(folder, directory=as_text([*directory(), *rows], quoting=csv.QUOTE_ALL))
        return Told(path="directory.csv", rows=len(directory()) + len(rows), billed=BILLED)

    return spoil


def text_cases() -> Iterable[Case]:
    head, rows = LINES[0], LINES[1:]
    row = as_text([another("claims")]).splitlines()[1] + "\n"
    columns = head.strip().split(",")
    doubled = head.replace("place,", "").replace("member_zip", "billed_amount")
    named: dict[str, Callable[[Path], Told]] = {
        **{f"encoded in {e}": _encoded(e) for e in ("cp1252", "latin-1", "utf-8-sig", "utf-16", "utf-16-le", "utf-32")},
        "encoded in utf-16-be": _encoded("utf-16-be"),
        "a stray byte among UTF-8": claims_of(
            BYTES + b"\n" * 20_000 + row.replace("90837", "9083\xff").encode("latin-1"), **all_good(N + 1, aside=1)
        ),
        "an overlong NUL": claims_of(
            BYTES + b"\n" * 20_000 + row.encode().replace(b"90837", b"90\xc0\x8037"), **all_good(N + 1, aside=1)
        ),
        "a lone surrogate": _text(
            TEXT + row.replace("90837", "90\ud83737"), rows=N + 1, billed=BILLED + Decimal("200.10")
        ),
        "a NUL in a code": _text(TEXT + row.replace("90837", "90\x0037"), rows=N + 1, aside=1, reasons=("nul_byte",)),
        "a byte-order mark in the middle": _text(
            TEXT + "\ufeff" + row.replace("C90002", "C90003"), rows=N + 1, billed=BILLED + Decimal("200.10")
        ),
        "a byte-order mark twice": _text("\ufeff\ufeff" + TEXT),
        "zero-width spaces around the header": _text(
            head.replace("claim_id", "\u200bclaim_id") + "".join(rows), says=("claims.csv", "claim_id")
        ),
        "homoglyphs in the header": _text(
            head.replace("member_id", "mеmber_id") + "".join(rows), says=("claims.csv", "member_id")
        ),
        "ends of CR": _text(TEXT.replace("\n", "\r")),
        "ends of CR LF": _text(TEXT.replace("\n", "\r\n")),
        "ends of all three kinds": _text(
            "".join(one[:-1] + ("\r\n", "\r", "\n")[i % 3] for i, one in enumerate(LINES))
        ),
        "ends of LF CR": _text(TEXT.replace("\n", "\n\r")),
        "ends of U+2028": _text(TEXT.replace("\n", "\u2028"), says=("claims.csv",)),
        "no end of the last line": _text(TEXT.rstrip("\n")),
        "an end of file sign of DOS": _text(TEXT + "\x1a", rows=N + 1, aside=1),
        "delimited by semicolon": _text(as_text(claims(), ";")),
        "delimited by tab": _text(as_text(claims(), "\t")),
        "delimited by pipe": _text(as_text(claims(), "|")),
        "a delimiter nobody knows": _text(as_text(claims(), "^"), says=("claims.csv", "claim_id")),
        "two delimiters": _text(
            head + "".join(rows[:6]) + "".join(r.replace(",", ";") for r in rows[6:]),
            aside=6,
            reasons=("too_few_fields",),
            billed=sum((Decimal(r["billed_amount"]) for r in claims()[:6]), Decimal(0)),
        ),
        "sep= of Excel above the header": _text("sep=,\n" + TEXT, says=("claims.csv",)),
        "a title above the header": _text("Claims of June\n\n" + TEXT, says=("claims.csv",)),
        "no header": _text("".join(rows), says=("claims.csv", "header")),
        "a header alone": _text(head, rows=0, billed=Decimal(0)),
        "the header again in the middle": _text("".join([*LINES[:6], head, *LINES[6:]]), rows=N + 1, aside=1),
        "a total under the rows": _text(TEXT + "Total" + "," * (len(columns) - 1) + "\n", rows=N + 1, aside=1),
        "a total that looks like a line": _text(
            TEXT + as_text([another("claims", claim_id="", member_id="", billed_amount=str(BILLED))]).splitlines()[1],
            rows=N + 1,
            aside=1,
            reasons=("missing:claim_id",),
        ),
        "every column twice": _text("".join(f"{line.strip()},{line}" for line in LINES), says=("claims.csv", "times")),
        "a needed column twice": _text(doubled + "".join(rows), says=("claims.csv", "billed_amount", "2 times")),
        "a column twice in other case": _text(
            head.replace("member_zip", "BILLED_AMOUNT") + "".join(rows), says=("claims.csv", "billed_amount", "2 times")
        ),
        "a blank name in the header": _text(head.replace("units", "") + "".join(rows)),
        "a name of 100,000 characters": _text(head.replace("units", "u" * 100_000) + "".join(rows)),
        "rows with a delimiter at their end": _text(
            head + "".join(r.replace("\n", ",\n") for r in rows),
        ),
        "a row with too many fields": _text(TEXT + row.replace("\n", ",x,y\n"), rows=N + 1, aside=1),
        "a row with a comma in an amount": _text(TEXT + row.replace("200.10", "1,200.10"), rows=N + 1, aside=1),
        "a quote that never ends": _text(
            TEXT + '"' + row + row.replace("C90002", "C90003"), rows=N + 2, aside=1, billed=BILLED + Decimal("200.10")
        ),
        "a quote within a value": _text(
            TEXT + row.replace("90837", '90"837'), rows=N + 1, billed=BILLED + Decimal("200.10")
        ),
        "quotes around every value": _text(
            "".join(",".join(f'"{v}"' for v in r.strip().split(",")) + "\n" for r in LINES)
        ),
        "apostrophes for quotes": _text(
            "".join(",".join(f"'{v}'" for v in r.strip().split(",")) + "\n" for r in LINES), says=("claims.csv",)
        ),
        "blank lines between rows": _text("\n\n".join(line.strip() for line in LINES)),
        "lines of delimiters alone": _text(
            TEXT + ("," * (len(columns) - 1) + "\n") * 3, rows=N + 3, aside=3, reasons=("missing:claim_id",)
        ),
        "the file twice over": _text(TEXT + "".join(rows), rows=2 * N, aside=N, reasons=("duplicate_row",)),
        "each line again with another amount": _text(
            TEXT + "".join(as_text([r | {"billed_amount": "1.00"}]).splitlines()[1] + "\n" for r in claims()),
            rows=2 * N,
            aside=N,
            reasons=("duplicate_key",),
        ),
        "names of every kind": _names(),
        "a name with a NUL": _named("Jane\0Doe", aside=1, reasons=("nul_byte",)),
        "a blank name": _named("  \u00a0 ", aside=1, reasons=("missing:provider_name",)),
    }
    for column in ("claim_id", "member_id", "provider_npi", "service_date", "billed_amount"):
        named[f"no column {column}"] = _text(
            as_text([{k: v for k, v in r.items() if k != column} for r in claims()]), says=("claims.csv", column)
        )
    for name, spoil in named.items():
        yield Case("text", name, spoil)
    for table in ("directory", "members", "benefits", "fees", "agreements", "entered"):
        yield Case(
            "text", f"{table} of a header alone", _of_table(table, as_text(GOOD[table]()[:1]).splitlines()[0], 0)
        )
        yield Case("text", f"{table} in CR", _of_table(table, as_text(GOOD[table](), end="\r"), len(GOOD[table]())))


def _of_table(table: str, text: str, rows: int) -> Callable[[Path], Told]:
    def spoil(folder: Path) -> Told:
        write(folder, **{table: text})
        return Told(path=f"{table}.csv", rows=rows, billed=BILLED)

    return spoil
