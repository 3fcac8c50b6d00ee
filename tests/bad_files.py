"""Whole files spoiled: of another format, no file at all; and good files of each format; see ``bad_exports.py``."""

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

from tests.bad_exports import BILLED, MEMBER, Case, Rows, Told, as_text, claims, put, write
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


# ---- what cases share ----


def claims_of(content: bytes, name: str = "claims.csv", **told: Any) -> Callable[[Path], Told]:
    """A folder whose claims are these bytes."""

    def spoil(folder: Path) -> Told:
        write(folder, claims_x=b"")
        (folder / "claims.x").unlink()
        put(folder / name, content)
        return Told(**({"path": name} | told))

    return spoil


def all_good(rows: int = N, billed: Decimal = BILLED, **told: Any) -> dict[str, Any]:
    return {"rows": rows, "billed": billed} | told
