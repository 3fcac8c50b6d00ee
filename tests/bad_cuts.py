"""Files cut short, packed twice or far too large; see ``tests/bad_exports.py``."""

import gzip
import json
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.bad_exports import BILLED, Case, Told, another, as_text, claims, write
from tests.bad_files import (
    BYTES,
    FORMATS,
    LINES,
    TEXT,
    N,
    all_good,
    claims_of,
    configure,
    eob,
    ndjson,
    provider,
    tic,
    x835,
    x837,
)
from tests.x12_files import text_of


def _other(kind: str, content: bytes, **told: Any) -> Callable[[Path], Told]:
    """A folder with a file of this format."""
    table, name, _ = FORMATS[kind]

    def spoil(folder: Path) -> Told:
        write(folder)
        (folder / f"{table}.csv").unlink(missing_ok=True)
        (folder / name).write_bytes(content)
        configure(folder, table, name, kind)
        return Told(**({"path": name} | told))

    return spoil


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _until(text: str, mark: str) -> bytes:
    return text[: text.rindex(mark)].encode()


def _deep(levels: int) -> str:
    return "[" * levels + "]" * levels


def cut_cases() -> Iterable[Case]:
    gz = gzip.compress(BYTES, 1, mtime=0)
    pq_bytes = FORMATS["parquet"][2]
    cut = "".join(LINES[:-1]) + LINES[-1][: len(LINES[-1]) // 2]
    without = BILLED - Decimal(claims()[-1]["billed_amount"])
    few = {"rows": N, "aside": 1, "reasons": ("too_few_fields",), "billed": without}
    named: dict[str, Callable[[Path], Told]] = {
        "csv in the middle of a row": claims_of(cut.encode(), **few),
        "csv in the header": claims_of(LINES[0][:40].encode(), says=("claims.csv", "columns")),
        "csv in a quoted value": claims_of((TEXT + '"C99').encode(), rows=N + 1, aside=1, billed=BILLED),
        "csv.gz in the middle": claims_of(_half(gz), "claims.csv.gz", says=("claims.csv.gz",)),
        "csv.gz without its check sum": claims_of(gz[:-8], "claims.csv.gz", says=("claims.csv.gz",)),
        "csv.gz with a wrong check sum": claims_of(gz[:-8] + bytes(8), "claims.csv.gz", says=("claims.csv.gz",)),
        "csv.gz with rubbish behind": claims_of(gz + b"rubbish", "claims.csv.gz", says=("claims.csv.gz",)),
        "csv.gz that is plain": claims_of(BYTES, "claims.csv.gz", says=("claims.csv.gz",)),
        "csv.gz packed twice": claims_of(gzip.compress(gz), "claims.csv.gz", says=("claims.csv.gz", "not delimited")),
        "csv that is packed": claims_of(gz, says=("claims.csv", "not delimited")),
        "csv.gz in two members": claims_of(
            gzip.compress("".join(LINES[:5]).encode()) + gzip.compress("".join(LINES[5:]).encode()),
            "claims.csv.gz",
            **all_good(),
        ),
        "parquet in the middle": claims_of(_half(pq_bytes), "claims.parquet", says=("claims.parquet",)),
        "parquet without its foot": claims_of(pq_bytes[:-8], "claims.parquet", says=("claims.parquet",)),
        "parquet without its head": claims_of(pq_bytes[8:], "claims.parquet", says=("claims.parquet",)),
        "parquet with a byte turned in its pages": claims_of(
            pq_bytes[:40] + bytes([pq_bytes[40] ^ 0xFF]) + pq_bytes[41:], "claims.parquet", says=("claims.parquet",)
        ),
        "837 in the middle of a claim": _other(
            "x12-837", _until(text_of(x837()), "SV1"), rows=3, aside=1, reasons=("truncated",), billed=Decimal(200)
        ),
        "837 before its envelope ends": _other("x12-837", _until(text_of(x837()), "SE*"), rows=3, aside=1),
        "835 in the middle of a payment": _other("x12-835", _until(text_of(x835()), "SVC"), rows=3, aside=1),
        "837 in its ISA": _other("x12-837", text_of(x837())[:60].encode(), says=("claims.837", "not X12")),
        "ndjson in the middle of a line": _other(
            "fhir-eob", _until(ndjson(eob(1), eob(2), eob(3)), "adjudication"), rows=3, aside=1, billed=Decimal(200)
        ),
        "json array in the middle": _other(
            "qhp-providers", _until(json.dumps([provider(n) for n in (1, 2, 3)]), "years"), rows=3, aside=1
        ),
        "rates in the middle": _other("tic-in-network-rates", _until(json.dumps(tic()), "expiration"), rows=3, aside=1),
        "a 10 MB cell": claims_of(_with_cell("x" * 10_000_000), rows=N + 1, aside=1, billed=BILLED),
        "a 10 MB quoted cell of many lines": claims_of(
            _with_cell("x" * 99 + "\n", 100_000), rows=N + 1, aside=1, billed=BILLED
        ),
        "a 2 MB cell": claims_of(
            _with_cell("x" * 2_000_000), rows=N + 1, aside=1, reasons=("zip_shape:member_zip",), billed=BILLED
        ),
        "4,000 columns": claims_of(_wide(4000), **all_good()),
        "200,000 blank lines": claims_of(BYTES + b"\n" * 200_000, **all_good()),
        "NUL bytes to the end": claims_of(BYTES + bytes(100_000), says=("claims.csv",)),
        "gz of 1 GB of zeros": claims_of(_bomb(), "claims.csv.gz", says=("claims.csv.gz",)),
        "gz of 1 GB of zeros as json": _other("fhir-eob", _bomb(), says=("claims.ndjson",)),
        "gz of 1 GB of zeros as X12": _other("x12-837", _bomb(), says=("claims.837",)),
        "gz of 1 GB of zeros as rates": _other("tic-in-network-rates", _bomb(), says=("rates.json",)),
        "gz of 1 GB of lines": claims_of(_bomb(b"a,b\n"), "claims.csv.gz", says=("claims.csv.gz",)),
        "gz of good lines and 1 GB of zeros": claims_of(gz + _bomb(), "claims.csv.gz", says=("claims.csv.gz",)),
        "gz of good lines and a line of 1 GB": claims_of(gz + _bomb(b"x"), "claims.csv.gz", says=("claims.csv.gz",)),
        "gz of good lines and 1 GB of blank lines": claims_of(
            gz + _bomb(b"\n"), "claims.csv.gz", says=("claims.csv.gz",)
        ),
        "deep json lines": _other(
            "fhir-eob", (ndjson(eob(1)) + _deep(100_000) + "\n" + ndjson(eob(2))).encode(), rows=3, aside=1
        ),
        "deep json providers": _other(
            "qhp-providers", f"[{json.dumps(provider(1))},{_deep(100_000)}]".encode(), rows=2, aside=1
        ),
        "deep json rates": _other(
            "tic-in-network-rates", f'{{"in_network": {_deep(100_000)}}}'.encode(), rows=1, aside=1
        ),
        "ndjson with NaN and Infinity": _other(
            "fhir-eob",
            ndjson(eob(1), eob(2) | {"x": float("nan")}, eob(3) | {"x": float("inf")}).encode(),
            rows=3,
            aside=2,
            billed=Decimal(100),
        ),
        "ndjson with a name twice": _other(
            "fhir-eob",
            (ndjson(eob(1)) + ndjson(eob(2)).replace('"use"', '"status": "draft", "use"')).encode(),
            rows=2,
            aside=1,
            billed=Decimal(100),
        ),
        "ndjson with a lone surrogate": _other(
            "fhir-eob",
            (ndjson(eob(1)) + ndjson(eob(2)).replace("E2", "\\ud800")).encode(),
            rows=2,
            aside=1,
            billed=Decimal(100),
        ),
        "ndjson with an amount of 1e400": _other(
            "fhir-eob",
            (ndjson(eob(1)) + ndjson(eob(2)).replace("100.0", "1e400")).encode(),
            rows=2,
            aside=1,
            billed=Decimal(100),
        ),
        "ndjson of scalars": _other("fhir-eob", b'1\n"two"\nnull\ntrue\n', says=("claims.ndjson",)),
        "providers with wrong types throughout": _other(
            "qhp-providers",
            json.dumps([provider(1), 7, None, {"npi": [1], "plans": 5}, {"npi": {}, "plans": [[]]}]).encode(),
            rows=5,
            aside=4,
        ),
    }
    for name, spoil in named.items():
        yield Case("cut, packed or huge", name, spoil)


def _with_cell(value: str, times: int = 1) -> bytes:
    """The good claims and one more row whose ZIP is far too long."""
    row = as_text([another("claims", member_zip="§")]).splitlines()[1]
    quoted = f'"{value * times}"' if "\n" in value else value
    return (TEXT + row.replace("§", quoted) + "\n").encode()


def _wide(columns: int) -> bytes:
    head, *rows = TEXT.splitlines()
    more = "".join(f",extra_{n}" for n in range(columns))
    return "\n".join([head + more, *(row + "," * columns for row in rows), ""]).encode()


def _bomb(unit: bytes = b"\0") -> bytes:
    """1 GB that packs into about 1 MB, of members that are alike, so that it is made at once."""
    member = gzip.compress(unit * (16_777_216 // len(unit)), 9, mtime=0)
    return member * 64
