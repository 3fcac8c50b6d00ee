"""Writers of other formats, for tests only: canonical rows as X12 837P and 835, FHIR Plan-Net and Parquet.

Each is written from the guides, not from our readers, so that what comes back can be compared row for row. The
functions named ``carried_by_…`` say what a format can carry of a row, and so what must come back.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any

import narwhals as nw

from sca_analysis.exports import Exports
from tests.x12_files import BILLER, isa

Row = dict[str, Any]
ZERO = Decimal(0)
#: Days of submission and of payment of each version of a claim.
SUBMITTED = {1: "20260701", 2: "20260901"}
PAID = {1: "20260801", 2: "20261001"}


def rows_of(exports: Exports, table: str) -> list[Row]:
    """Return the accepted rows of a table as plain values: amounts Decimal, days date, blanks None."""
    rows = nw.to_native(exports.table(table).collect(backend="pyarrow")).to_pylist()
    days = [c for c, v in rows[0].items() if hasattr(v, "date")] if rows else []
    return [{c: v.date() if c in days and v is not None else v for c, v in row.items()} for row in rows]


def in_order(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: [(v is not None, str(v)) for v in row.values()])


# ---- X12 ----


def day_of(day: date) -> str:
    return f"{day:%Y%m%d}"


def plain(amount: Decimal) -> str:
    """As X12 writes amounts: no zeros at the end, no point without decimals."""
    text = format(amount, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def envelope(kind: str, day: str, segments: Iterable[str]) -> str:
    group, guide = {"837": ("HC", "005010X222A1"), "835": ("HP", "005010X221A1")}[kind]
    body = [f"ST*{kind}*0001*{guide}", *segments]
    head = [f"GS*{group}*SENDER*RECEIVER*{day}*1200*1*X*{guide}"]
    tail = [f"SE*{len(body) + 1}*0001", "GE*1*1", "IEA*1*000000001"]
    return isa() + "".join(s + "~\n" for s in [*head, *body, *tail])


def claims_of(rows: Iterable[Row], version: int) -> Iterator[list[Row]]:
    """The lines of each claim of one version."""
    mine = sorted((r for r in rows if r["claim_version"] == version), key=lambda r: (r["claim_id"], r["line_number"]))
    for _, lines in groupby(mine, key=lambda r: r["claim_id"]):
        yield list(lines)


def submitted_number(line: Row) -> str:
    """CLM01: a provider gives a replacement a number of its own, and names the original in REF*F8."""
    return line["claim_id"] if line["claim_version"] == 1 else f"{line['claim_id']}R"


def payer_number(line: Row) -> str:
    """CLP07: the payer numbers each claim anew."""
    return f"P{line['claim_id']}{line['claim_version']}"


def original(line: Row) -> str:
    """REF*F8: by the guide the payer's number of the original; many name its own number."""
    return f"P{line['claim_id']}1" if int(line["claim_id"][-2]) % 2 else line["claim_id"]


def write_837(path: Path, rows: list[Row], births: dict[str, int | None], apart: bool = False) -> None:
    """Write claim lines as 837P: an interchange, or a file, for each version; a second one replaces or voids."""
    texts = {v: envelope("837", SUBMITTED[v], _submissions(claims_of(rows, v), v, births)) for v in SUBMITTED}
    if apart:
        for version, text in texts.items():
            path.with_stem(f"{path.stem}{version}").write_text(text, encoding="utf-8")
    else:
        path.write_text("".join(texts.values()), encoding="utf-8")


def _submissions(claims: Iterable[list[Row]], version: int, births: dict[str, int | None]) -> Iterator[str]:
    yield f"BHT*0019*00*1*{SUBMITTED[version]}*1200*CH"
    yield from ("NM1*41*2*CLEARING HOUSE*****46*1", "PER*IC*DESK*TE*2075550100", "NM1*40*2*PLAN*****46*2")
    yield from ("HL*1**20*1", f"NM1*85*2*CLINIC*****XX*{BILLER}", "N3*1 MAIN ST", "N4*AUGUSTA*ME*043300001")
    for number, lines in enumerate(claims, start=2):
        first = lines[0]
        member, born = first["member_id"], births.get(first["member_id"])
        yield from (f"HL*{number}*1*22*0", "SBR*P*18*******CI", f"NM1*IL*1*DOE*JO****MI*{member}", "N3*2 MAIN ST")
        yield f"N4*AUGUSTA*ME*{first['member_zip']}" if first["member_zip"] else "N4*AUGUSTA*ME"
        if born:
            yield f"DMG*D8*{born}0704*U"
        yield "NM1*PR*2*PLAN*****PI*1"
        frequency = 1 if version == 1 else 8 if first["claim_status"] == "reversed" else 7
        total = sum((abs(r["billed_amount"]) for r in lines), ZERO)
        place = first["place_of_service"]
        yield f"CLM*{submitted_number(first)}*{plain(total)}***{place}:B:{frequency}*Y*A*Y*Y"
        if version > 1:
            yield f"REF*F8*{original(first)}"
        if first["diagnosis_code"]:
            yield f"HI*ABK:{first['diagnosis_code'].replace('.', '')}"
        if first["network_status"] == "out":
            yield f"HCP*00*{plain(ZERO)}***********T1"
        yield f"NM1*82*1*DOE*SAM****XX*{first['provider_npi']}"
        if first["taxonomy_code"]:
            yield f"PRV*PE*PXC*{first['taxonomy_code']}"
        for line in lines:
            pointer = "1" if line["diagnosis_code"] else ""
            elsewhere = line["place_of_service"] if line["place_of_service"] != place else ""
            service = f"HC:{line['procedure_code']}*{plain(abs(line['billed_amount']))}*UN*{plain(line['units'])}"
            yield from (f"LX*{line['line_number']}", f"SV1*{service}*{elsewhere}**{pointer}")
            yield f"DTP*472*D8*{day_of(line['service_date'])}"
            if has_reference(line):
                yield f"REF*6R*{reference_of(line)}"


def has_reference(line: Row) -> bool:
    """Half of the lines bear the provider's number of the line; the others are found by what was done and when."""
    return int(line["claim_id"][-1]) % 2 == 0


def reference_of(line: Row) -> str:
    return f"X{line['claim_id']}{line['line_number']}"


def write_835(path: Path, rows: list[Row]) -> None:
    """Write the payments of claim lines as 835: an interchange for each version."""
    texts = (envelope("835", PAID[v], _payments(claims_of(rows, v), v)) for v in PAID)
    path.write_text("".join(texts), encoding="utf-8")


def _payments(claims: Iterable[list[Row]], version: int) -> Iterator[str]:
    yield f"BPR*I*1*C*CHK************{PAID[version]}"
    yield from ("TRN*1*1*1", f"DTM*405*{PAID[version]}", "N1*PR*PLAN", f"N1*PE*CLINIC*XX*{BILLER}", "LX*1")
    for lines in claims:
        first = lines[0]
        is_reversal = first["claim_status"] == "reversed"
        # a reversal repeats the number of the payment that it undoes; denials are "processed" too (X12 RFI 1423)
        number = first["claim_id"] if is_reversal else submitted_number(first)
        billed, paid, member = (
            plain(sum((r[c] for r in lines), ZERO)) for c in ("billed_amount", "paid_amount", "member_amount")
        )
        status = "22" if is_reversal else "1"
        yield f"CLP*{number}*{status}*{billed}*{paid}*{'' if is_reversal else member}*12*{payer_number(first)}"
        yield f"NM1*QC*1*DOE*JO****MI*{first['member_id']}"
        yield f"NM1*82*1*DOE*SAM****XX*{first['provider_npi']}"
        for line in lines:
            amounts = f"{plain(line['billed_amount'])}*{plain(line['paid_amount'])}"
            yield f"SVC*HC:{line['procedure_code']}*{amounts}**{plain(line['units'])}"
            yield f"DTM*472*{day_of(line['service_date'])}"
            yield from _adjustments(line)
            if has_reference(line):
                yield f"REF*6R*{reference_of(line)}"
            if line["allowed_amount"] is not None and not is_plain(line):
                yield f"AMT*B6*{plain(line['allowed_amount'])}"


def is_plain(line: Row) -> bool:
    """Whether what is allowed follows from the adjustments, so that AMT*B6 may be left out."""
    return line["claim_status"] != "denied" and line["allowed_amount"] == line["paid_amount"] + line["member_amount"]


def _adjustments(line: Row) -> Iterator[str]:
    """CAS: the member's share, then the contractual part, then the rest, so that the line balances."""
    member, allowed = line["member_amount"], line["allowed_amount"]
    rest = line["billed_amount"] - line["paid_amount"] - member
    contractual = line["billed_amount"] - allowed if allowed is not None and line["claim_status"] != "denied" else ZERO
    if member:
        yield f"CAS*PR*2*{plain(member)}"
    if contractual:
        yield f"CAS*CO*45*{plain(contractual)}"
    if rest - contractual:
        reason = "CO*197" if line["claim_status"] == "denied" else "OA*94"  # no authorisation; more than charged
        yield f"CAS*{reason}*{plain(rest - contractual)}"


def carried_by_837(row: Row) -> Row:
    """What an 837 says of a claim line.

    No amount but the charge, which a void repeats without a sign, and no status but void. That a provider is out of
    network a repricer may say, that it is in network nobody; the plan's network has no element.
    """
    version, is_void = row["claim_version"], row["claim_status"] == "reversed"
    return row | {
        "claim_version": int(f"{SUBMITTED[version]}0{1 if version == 1 else 8 if is_void else 7}"),
        "billed_amount": abs(row["billed_amount"]),
        "allowed_amount": None,
        "paid_amount": None,
        "member_amount": None,
        "claim_status": "reversed" if is_void else None,
        "network_status": "out" if row["network_status"] == "out" else None,
        "network_id": None,
    }


def carried_by_835(row: Row) -> Row:
    """What a claim line is once the 835 was joined to its 837: a blank status is paid; else as of the 837."""
    version, is_reversal = row["claim_version"], row["claim_status"] == "reversed"
    return row | {
        "claim_version": int(f"{PAID[version]}{51 if is_reversal else 50}"),
        "claim_status": row["claim_status"] or "paid",
        "network_status": "out" if row["network_status"] == "out" else None,
        "network_id": None,
    }


# ---- FHIR Plan-Net ----

PLAN_NET = "http://hl7.org/fhir/us/davinci-pdex-plan-net/StructureDefinition/"


def write_plan_net(folder: Path, rows: list[Row]) -> None:
    """Write directory rows as the NDJSON of Plan-Net, a file for each type of resource."""
    folder.mkdir(parents=True, exist_ok=True)
    people, places, networks, roles = {}, {}, {}, []
    services = {
        word: _resource("HealthcareService", word, extension=[_delivery(word)]) for word in ("virtual", "physical")
    }
    for number, row in enumerate(rows):
        person, place = f"P{row['npi']}", row["location_id"]
        people[person] = _resource(
            "Practitioner",
            person,
            identifier=[{"system": "http://hl7.org/fhir/sid/us-npi", "value": row["npi"]}],
            name=[{"text": row["provider_name"]}],
            communication=[{"coding": [{"display": w}]} for w in (row["languages"] or "").split(";") if w],
        )
        position = {"position": {k: row[k] for k in ("latitude", "longitude")}} if row["latitude"] is not None else {}
        places[place] = _resource(
            "Location", place, status="active", address={"postalCode": row["zip"], "country": "US"}, **position
        )
        extension = []
        if row["accepting_new_patients"] is not None:
            coding = [{"code": "newpt" if row["accepting_new_patients"] else "nopt"}]
            said = {"url": "acceptingPatients", "valueCodeableConcept": {"coding": coding}}
            extension.append({"url": PLAN_NET + "newpatients", "extension": [said]})
        if row["network_id"]:
            networks[row["network_id"]] = _resource(
                "Organization", row["network_id"], name=f"Network {row['network_id']}"
            )
            reference = {"reference": f"Organization/{row['network_id']}"}
            extension.append({"url": PLAN_NET + "network-reference", "valueReference": reference})
        period = {
            k: row[c].isoformat()
            for k, c in (("start", "effective_date"), ("end", "termination_date"))
            if row[c] is not None
        }
        service = {None: None, True: "virtual", False: "physical"}[row["telehealth"]]
        roles.append(
            _resource(
                "PractitionerRole",
                f"R{number}",
                extension=extension,
                period=period,
                practitioner={"reference": f"Practitioner/{person}"},
                specialty=[{"coding": [{"system": "http://nucc.org/provider-taxonomy", "code": row["taxonomy_code"]}]}],
                location=[{"reference": f"Location/{place}"}],
                healthcareService=[{"reference": f"HealthcareService/{service}"}] if service else [],
            )
        )
    for kind, resources in (
        ("Practitioner", people.values()),
        ("Location", places.values()),
        ("Organization", networks.values()),
        ("HealthcareService", services.values()),
        ("PractitionerRole", roles),
    ):
        text = "".join(json.dumps(r) + "\n" for r in resources)
        (folder / f"{kind}.ndjson").write_text(text, encoding="utf-8")


def _resource(kind: str, key: str, **more: Any) -> Row:
    filled = {k: v for k, v in more.items() if v not in ([], {}, None)}
    return {"resourceType": kind, "id": key, "active": True, **filled}


def _delivery(word: str) -> Row:
    kind = {"url": "type", "valueCodeableConcept": {"coding": [{"code": word}]}}
    return {"url": PLAN_NET + "delivery-method", "extension": [kind]}


# ---- Parquet ----


def write_parquet(folder: Path, exports: Exports, tables: Iterable[str]) -> None:
    """Write the accepted rows of each table with their types, as DuckDB writes them."""
    for table in tables:
        target = str(folder / f"{table}.parquet").replace("'", "''")
        view = "claim_versions" if table == "claims" else table
        exports.connection.execute(f"COPY (SELECT * FROM {view}) TO '{target}' (FORMAT parquet)")
