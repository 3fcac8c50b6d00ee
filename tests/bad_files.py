"""Whole files spoiled: cut short, of another format, badly encoded, no file at all; see ``tests/bad_exports.py``."""

# ruff: noqa: RUF001 - characters that look like others are what is tried

import csv
import gzip
import json
import os
import random
import zipfile
from collections.abc import Callable, Iterable
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.bad_exports import BILLED, GOOD, MEMBER, Case, Rows, Told, another, as_text, claims, directory, put, write
from tests.folders import npi
from tests.x12_files import text_of, transaction

N = len(claims())
TEXT = as_text(claims())
BYTES = TEXT.encode()
LINES = TEXT.splitlines(keepends=True)
_EXTRA = Decimal("7.77")


def parquet(rows: Rows) -> bytes:
    """Rows as the bytes of a Parquet file."""
    buffer = BytesIO()
    pq.write_table(pa.table({c: [row[c] for row in rows] for c in rows[0]}), buffer)
    return buffer.getvalue()


# ---- other formats, good ----

DOCTOR = npi(1)


def x837(count: int = 3) -> list[str]:
    """Segments of an 837P of so many claims, each of one line over 100.00."""
    found = ["BHT*0019*00*1*20260105*1200*CH", "HL*1**20*1", f"NM1*85*2*CLINIC*****XX*{DOCTOR}"]
    for n in range(count):
        found += [f"HL*{n + 2}*1*22*0", "SBR*P*18*******CI", f"NM1*IL*1*DOE*JO****MI*{MEMBER}0{n + 1}"]
        found += ["N4*AUGUSTA*ME*04330", f"CLM*A{n}*100***11:B:1*Y*A*Y*Y", f"NM1*82*1*DOE*SAM****XX*{DOCTOR}"]
        found += ["LX*1", "SV1*HC:90837*100*UN*1***1", f"DTP*472*D8*2026060{n + 1}"]
    return transaction("837", *found)


def x835(count: int = 3) -> list[str]:
    """Segments of an 835 of so many payments, each of one line over 100.00."""
    found = ["BPR*I*1*C*CHK************20260610", "TRN*1*1*1", "N1*PR*PLAN", f"N1*PE*CLINIC*XX*{DOCTOR}", "LX*1"]
    for n in range(count):
        found += [f"CLP*A{n}*1*100*60*20*12*P{n}", f"NM1*QC*1*DOE*JO****MI*{MEMBER}0{n + 1}"]
        found += [f"NM1*82*1*DOE*SAM****XX*{DOCTOR}", "SVC*HC:90837*100*60**1", f"DTM*472*2026060{n + 1}"]
        found += ["CAS*CO*45*20", "CAS*PR*2*20"]
    return transaction("835", *found)


def eob(number: int, **changed: Any) -> dict[str, Any]:
    """An ExplanationOfBenefit of one line over 100.00."""
    item = {
        "sequence": 1,
        "productOrService": {"coding": [{"system": "http://www.ama-assn.org/go/cpt", "code": "90837"}]},
        "servicedDate": f"2026-06-0{number}",
        "quantity": {"value": 1},
        "adjudication": [
            {"category": {"coding": [{"code": "submitted"}]}, "amount": {"value": 100.0, "currency": "USD"}}
        ],
    }
    return {
        "resourceType": "ExplanationOfBenefit",
        "id": f"E{number}",
        "identifier": [{"value": f"E{number}"}],
        "status": "active",
        "type": {"coding": [{"code": "professional"}]},
        "use": "claim",
        "patient": {"reference": f"Patient/{MEMBER}0{number}"},
        "created": "2026-06-10",
        "outcome": "complete",
        "provider": {"identifier": {"system": "http://hl7.org/fhir/sid/us-npi", "value": DOCTOR}},
        "item": [item],
    } | changed


def provider(number: int) -> dict[str, Any]:
    """An entry of a marketplace plan's providers.json."""
    return {
        "npi": npi(number),
        "type": "INDIVIDUAL",
        "name": {"first": "Pat", "last": f"Doe {number}"},
        "addresses": [{"address": "1 Main St", "city": "Augusta", "state": "ME", "zip": "04330"}],
        "specialty": ["Psychiatry"],
        "accepting": "accepting",
        "plans": [{"plan_id_type": "HIOS-PLAN-ID", "plan_id": "N1", "network_tier": "PREFERRED", "years": [2026]}],
    }


def tic(count: int = 3) -> dict[str, Any]:
    """A file of in-network rates of so many procedures."""
    price = {"negotiated_type": "negotiated", "negotiated_rate": 120.0, "billing_class": "professional"}
    price |= {"expiration_date": "9999-12-31", "service_code": ["11"]}
    group = {"npi": [int(DOCTOR)], "tin": {"type": "ein", "value": "00-0000000"}}
    return {
        "reporting_entity_name": "Plan",
        "reporting_entity_type": "insurer",
        "last_updated_on": "2026-06-01",
        "version": "1.0.0",
        "in_network": [
            {
                "negotiation_arrangement": "ffs",
                "name": "visit",
                "billing_code_type": "CPT",
                "billing_code_type_version": "2026",
                "billing_code": f"9083{n}",
                "description": "visit",
                "negotiated_rates": [{"provider_groups": [group], "negotiated_prices": [price]}],
            }
            for n in range(count)
        ],
    }


def ndjson(*resources: dict[str, Any]) -> str:
    return "".join(json.dumps(r) + "\n" for r in resources)


#: Format: table, file name, its content, whether the file needs its format named.
FORMATS: dict[str, tuple[str, str, bytes]] = {
    "csv": ("claims", "claims.csv", BYTES),
    "csv.gz": ("claims", "claims.csv.gz", gzip.compress(BYTES, 1, mtime=0)),
    "parquet": ("claims", "claims.parquet", parquet(claims())),
    "x12-837": ("claims", "claims.837", text_of(x837()).encode()),
    "x12-835": ("claims", "claims.835", text_of(x835()).encode()),
    "fhir-eob": ("claims", "claims.ndjson", ndjson(*map(eob, (1, 2, 3))).encode()),
    "qhp-providers": ("directory", "providers.json", json.dumps([provider(n) for n in (1, 2, 3)]).encode()),
    "tic-in-network-rates": ("fees", "rates.json", json.dumps(tic()).encode()),
}


def configure(folder: Path, table: str, name: str, kind: str, **also: str) -> None:
    """Write exports.yaml for a folder of the good base, one table of which is a file of this format."""
    paths = {"claims": "claims.csv", "directory": "directory.csv"}
    lines = [f"{t}: [{{path: {p}}}]" for t, p in (paths | also).items() if t != table]
    lines += [f"{table}: [{{path: '{name}', format: {kind}}}]", "period_end: 2026-06-30"]
    (folder / "exports.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _empty(path: Path, _: bytes) -> None:
    path.write_bytes(b"")


def _blank(path: Path, _: bytes) -> None:
    path.write_bytes(b" \r\n\t\n" * 50)


def _noise(path: Path, _: bytes) -> None:
    path.write_bytes(b"\xf0\x9f" + random.Random(9).randbytes(5000))


def _folder(path: Path, _: bytes) -> None:
    path.mkdir()


def _dangling(path: Path, _: bytes) -> None:
    path.symlink_to(path.parent / "nowhere")


def _loop(path: Path, _: bytes) -> None:
    path.symlink_to(path)


def _pipe(path: Path, _: bytes) -> None:
    os.mkfifo(path)  # nobody writes to it: whoever opens it waits for ever


def _device(path: Path, _: bytes) -> None:
    path.symlink_to("/dev/zero")  # it never ends


def _null(path: Path, _: bytes) -> None:
    path.symlink_to("/dev/null")


def _workbook(path: Path, _: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")


def _picture(path: Path, _: bytes) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))


def _unreadable(path: Path, good: bytes) -> None:
    path.write_bytes(good)
    path.chmod(0)


#: What a file cannot be, in whatever format: none of these may open.
NO_FILE = (_empty, _blank, _noise, _folder, _dangling, _loop, _pipe, _device, _null, _workbook, _picture, _unreadable)


def _spoil_file(kind: str, damage: Callable[[Path, bytes], None]) -> Callable[[Path], Told]:
    table, name, good = FORMATS[kind]

    def spoil(folder: Path) -> Told:
        write(folder)
        for old in folder.glob(f"{table}.*"):
            old.unlink()
        damage(folder / name, good)
        configure(folder, table, name, kind.removesuffix(".gz"))
        return Told(says=(name,), path=name)

    return spoil


def file_cases() -> Iterable[Case]:
    for kind in FORMATS:
        for damage in NO_FILE:
            tags = frozenset({"not root"} if damage is _unreadable else ())
            yield Case("no such file", f"{kind}{damage.__name__}", _spoil_file(kind, damage), tags)
    for kind in FORMATS:
        for other, (_, _, content) in FORMATS.items():
            if {kind, other} not in ({"csv", "csv.gz"}, {kind}) and other != "csv.gz":
                yield Case("another format", f"{kind} named, {other} given", _spoil_file(kind, _putting(content)))


def _putting(content: bytes) -> Callable[[Path, bytes], None]:
    return lambda path, _: path.write_bytes(content) and None  # type: ignore[func-returns-value]


# ---- cut short, packed twice, far too large ----


def _claims(content: bytes, name: str = "claims.csv", **told: Any) -> Callable[[Path], Told]:
    """A folder whose claims are these bytes."""

    def spoil(folder: Path) -> Told:
        write(folder, claims_x=b"")
        (folder / "claims.x").unlink()
        put(folder / name, content)
        return Told(**({"path": name} | told))

    return spoil


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


def _good(rows: int = N, billed: Decimal = BILLED, **told: Any) -> dict[str, Any]:
    return {"rows": rows, "billed": billed} | told


def cut_cases() -> Iterable[Case]:
    gz = gzip.compress(BYTES, 1, mtime=0)
    pq_bytes = FORMATS["parquet"][2]
    cut = "".join(LINES[:-1]) + LINES[-1][: len(LINES[-1]) // 2]
    without = BILLED - Decimal(claims()[-1]["billed_amount"])
    few = {"rows": N, "aside": 1, "reasons": ("too_few_fields",), "billed": without}
    named: dict[str, Callable[[Path], Told]] = {
        "csv in the middle of a row": _claims(cut.encode(), **few),
        "csv in the header": _claims(LINES[0][:40].encode(), says=("claims.csv", "columns")),
        "csv in a quoted value": _claims((TEXT + '"C99').encode(), rows=N + 1, aside=1, billed=BILLED),
        "csv.gz in the middle": _claims(_half(gz), "claims.csv.gz", says=("claims.csv.gz",)),
        "csv.gz without its check sum": _claims(gz[:-8], "claims.csv.gz", says=("claims.csv.gz",)),
        "csv.gz with a wrong check sum": _claims(gz[:-8] + bytes(8), "claims.csv.gz", says=("claims.csv.gz",)),
        "csv.gz with rubbish behind": _claims(gz + b"rubbish", "claims.csv.gz", says=("claims.csv.gz",)),
        "csv.gz that is plain": _claims(BYTES, "claims.csv.gz", says=("claims.csv.gz",)),
        "csv.gz packed twice": _claims(gzip.compress(gz), "claims.csv.gz", says=("claims.csv.gz", "not delimited")),
        "csv that is packed": _claims(gz, says=("claims.csv", "not delimited")),
        "csv.gz in two members": _claims(
            gzip.compress("".join(LINES[:5]).encode()) + gzip.compress("".join(LINES[5:]).encode()),
            "claims.csv.gz",
            **_good(),
        ),
        "parquet in the middle": _claims(_half(pq_bytes), "claims.parquet", says=("claims.parquet",)),
        "parquet without its foot": _claims(pq_bytes[:-8], "claims.parquet", says=("claims.parquet",)),
        "parquet without its head": _claims(pq_bytes[8:], "claims.parquet", says=("claims.parquet",)),
        "parquet with a byte turned in its pages": _claims(
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
        "a 10 MB cell": _claims(_with_cell("x" * 10_000_000), rows=N + 1, aside=1, billed=BILLED),
        "a 10 MB quoted cell of many lines": _claims(
            _with_cell("x" * 99 + "\n", 100_000), rows=N + 1, aside=1, billed=BILLED
        ),
        "a 2 MB cell": _claims(
            _with_cell("x" * 2_000_000), rows=N + 1, aside=1, reasons=("zip_shape:member_zip",), billed=BILLED
        ),
        "4,000 columns": _claims(_wide(4000), **_good()),
        "200,000 blank lines": _claims(BYTES + b"\n" * 200_000, **_good()),
        "NUL bytes to the end": _claims(BYTES + bytes(100_000), says=("claims.csv",)),
        "gz of 1 GB of zeros": _claims(_bomb(), "claims.csv.gz", says=("claims.csv.gz",)),
        "gz of 1 GB of zeros as json": _other("fhir-eob", _bomb(), says=("claims.ndjson",)),
        "gz of 1 GB of zeros as X12": _other("x12-837", _bomb(), says=("claims.837",)),
        "gz of 1 GB of zeros as rates": _other("tic-in-network-rates", _bomb(), says=("rates.json",)),
        "gz of 1 GB of lines": _claims(_bomb(b"a,b\n"), "claims.csv.gz", says=("claims.csv.gz",)),
        "gz of good lines and 1 GB of zeros": _claims(gz + _bomb(), "claims.csv.gz", says=("claims.csv.gz",)),
        "gz of good lines and a line of 1 GB": _claims(gz + _bomb(b"x"), "claims.csv.gz", says=("claims.csv.gz",)),
        "gz of good lines and 1 GB of blank lines": _claims(
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


# ---- text ----


def _encoded(encoding: str, name: str = "José Muñoz-Ångström, MD", **told: Any) -> Callable[[Path], Told]:
    def spoil(folder: Path) -> Told:
        rows = [*directory(), another("directory", provider_name=name)]
        write(folder, directory=as_text(rows, quoting=csv.QUOTE_ALL).encode(encoding))
        return Told(**({"path": "directory.csv", "rows": len(rows), "billed": BILLED} | told))

    return spoil


def _text(text: str, **told: Any) -> Callable[[Path], Told]:
    return _claims(text.encode("utf-8", "surrogatepass"), **(_good() | told))


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
        "a stray byte among UTF-8": _claims(
            BYTES + b"\n" * 20_000 + row.replace("90837", "9083\xff").encode("latin-1"), **_good(N + 1, aside=1)
        ),
        "an overlong NUL": _claims(
            BYTES + b"\n" * 20_000 + row.encode().replace(b"90837", b"90\xc0\x8037"), **_good(N + 1, aside=1)
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
