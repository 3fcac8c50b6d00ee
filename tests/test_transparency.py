"""Transparency in Coverage: CMS's samples and a payer's file against plain json.load, small files, random ones, damage.

The files of CMS and of the payer are never part of the project; where ../shared is absent those tests are skipped.
By hand, for a file of 2 GB with its peak of memory: ``python -m tests.test_transparency 2000``.
"""

import csv
import gzip
import io
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sca_analysis.errors import ExportError
from sca_analysis.exports import Exports
from sca_analysis.readers import transparency_ledger, transparency_prices, transparency_stream
from sca_analysis.readers.source import Source
from sca_analysis.readers.transparency import read_in_network_rates, recognise
from sca_analysis.tables import FEES

D = Decimal
Json = dict[str, Any]
RATES = "in_network_rate", "out_of_network_allowed", "usual_charge"


# ---- an independent reading: the whole file in memory, every price written out once an NPI ----


def cent(amount: D) -> D:
    return amount.quantize(D("0.01"), ROUND_HALF_UP)


def middle(amounts: list[D]) -> D:
    """The median by exact fractions, half up to the cent."""
    exact = statistics.median(map(Fraction, amounts))
    return D(int(exact * 100 + Fraction(1, 2))) / 100


def amount_of(price: Json, key: str) -> D | str:
    value = price.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, D)) or not (isinstance(value, int) or value.is_finite()):
        return "not_an_amount"
    if abs(value) >= 10**13:
        return "not_an_amount"
    if value < 0:
        return "negative_amount"
    return cent(D(value)) or "zero_amount"


def npis_of(groups: list[Json], npis: set[str] | None) -> list[str]:
    """One entry for each NPI, and one for each group that has none."""
    found = {str(n) for g in groups for n in g.get("npi", [])}
    if npis is not None:
        return sorted(found & npis)
    return sorted(found) + ["" for g in groups if not g.get("npi")]


def read_plainly(
    document: Json, classes: tuple[str, ...] = ("professional",), on: str = "", npis: set[str] | None = None
) -> tuple[dict[str, dict[str, D]], Counter[str], int]:
    """Return rates by code, reasons and the number of prices accepted."""
    amounts: dict[tuple[str, str], list[D]] = {}
    reasons: Counter[str] = Counter()
    accepted = 0
    on = on or document.get("last_updated_on", "")[:10]
    unknown = "not_selected:npi" if npis is not None else "no_provider"
    elsewhere = {p["provider_group_id"] for p in document.get("provider_references", []) if "location" in p}
    references: dict[Any, list[list[Json]]] = {}
    for one in document.get("provider_references", []):
        if "location" not in one:
            references.setdefault(one["provider_group_id"], []).append(one["provider_groups"])
    for item in document.get("in_network", []):
        for rate in item["negotiated_rates"]:
            who = npis_of(rate.get("provider_groups", []), npis)
            without = unknown if rate.get("provider_groups") else "no_provider"
            for number in rate.get("provider_references", []):
                who += [n for groups in references.get(number, []) for n in npis_of(groups, npis)]
                if number in elsewhere and number not in references:
                    without = "providers_elsewhere"
                elif number not in references and without != "providers_elsewhere":
                    without = "unknown_provider_group"
                elif number in references and without == "no_provider":
                    without = unknown
            for price in rate["negotiated_prices"]:
                amount = amount_of(price, "negotiated_rate")
                kind, expiry = price["negotiated_type"], price.get("expiration_date", "9999-12-31")
                checks = [
                    (item["negotiation_arrangement"] != "ffs", item["negotiation_arrangement"]),
                    (item["billing_code_type"] not in ("CPT", "HCPCS"), "code_type"),
                    (len(item["billing_code"]) != 5, "procedure_code_shape"),
                    (kind in ("percentage", "per diem"), kind.replace(" ", "_")),
                    (bool(price.get("billing_code_modifier")), "not_selected:billing_code_modifier"),
                    (price["billing_class"] not in (*classes, "both"), "not_selected:billing_class"),
                    (bool(on) and expiry[:10] < on, "expired"),
                    (not who, without),
                    (isinstance(amount, str), amount),
                ]
                if reason := next((str(r) for is_so, r in checks if is_so), ""):
                    reasons[reason] += 1
                else:
                    accepted += 1
                    amounts.setdefault((item["billing_code"], RATES[0]), []).extend([D(amount)] * len(who))
    for item in document.get("out_of_network", []):
        for allowed in item["allowed_amounts"]:
            for payment in allowed["payments"]:
                who = npis_of(payment["providers"], npis)
                amount = amount_of(payment, "allowed_amount")
                checks = [
                    (item["billing_code_type"] not in ("CPT", "HCPCS"), "code_type"),
                    (len(item["billing_code"]) != 5, "procedure_code_shape"),
                    (bool(payment.get("billing_code_modifier")), "not_selected:billing_code_modifier"),
                    (allowed["billing_class"] not in (*classes, "both"), "not_selected:billing_class"),
                    (not who, unknown if payment["providers"] else "no_provider"),
                    (isinstance(amount, str), amount),
                ]
                if reason := next((str(r) for is_so, r in checks if is_so), ""):
                    reasons[reason] += 1
                    continue
                accepted += 1
                amounts.setdefault((item["billing_code"], RATES[1]), []).extend([D(amount)] * len(who))
                for provider in payment["providers"]:
                    billed = amount_of(provider, "billed_charge")
                    if isinstance(billed, D) and (some := npis_of([provider], npis)):
                        amounts.setdefault((item["billing_code"], RATES[2]), []).extend([billed] * len(some))
    rates: dict[str, dict[str, D]] = {}
    for (code, column), listed in amounts.items():
        rates.setdefault(code, {})[column] = middle(listed)
    return rates, reasons, accepted


# ---- folders of ours ----


def open_fees(folder: Path, *entries: str) -> Exports:
    claim = "claim_id line_number member_id provider_npi service_date procedure_code billed_amount"
    for name, header in (("claims", claim), ("directory", "npi provider_name taxonomy_code zip")):
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(header.split())
    listed = ", ".join(f"{{{entry}}}" for entry in entries)
    (folder / "exports.yaml").write_text(
        f"claims: {{path: claims.csv}}\ndirectory: {{path: directory.csv}}\nfees: [{listed}]\n", encoding="utf-8"
    )
    return Exports.open(folder)


def open_file(folder: Path, path: Path | str, keep: str = "") -> Exports:
    return open_fees(folder, f'path: "{path}", format: tic-in-network-rates' + (f", keep: {{{keep}}}" if keep else ""))


def open_text(folder: Path, text: str | bytes, keep: str = "") -> Exports:
    (folder / "tic.json").write_bytes(text.encode() if isinstance(text, str) else text)
    return open_file(folder, "tic.json", keep)


def open_document(folder: Path, document: Json, keep: str = "") -> Exports:
    return open_text(folder, json.dumps(document, default=float), keep)


def read_text(
    text: bytes, keep: dict[str, list[str]] | None = None
) -> tuple[dict[str, dict[str, D]], Counter[str], int]:
    """Read without the checks of a folder, as ``read_plainly`` gives it."""
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as con:
        path, source = Path(folder) / "tic.json", Source(path="tic.json", keep=keep or {})
        path.write_bytes(text)
        raw = read_in_network_rates(con, path, FEES, source, Path(folder))
        columns = [c for c in RATES if c in raw.columns]
        sql = ", ".join([raw.columns["procedure_code"], raw.stands_for, *(raw.columns[c] for c in columns)])
        rows = con.execute(f"SELECT {sql} FROM {raw.relation}").fetchall()
        reasons: Counter[str] = Counter()
        places = [m.row for m in raw.malformed()]
        assert len(set(places)) == len(places)
        for one in raw.malformed():
            reasons[one.reason] += one.rows
        accepted = sum(row[1] for row in rows)
        assert all(0 < place <= accepted + reasons.total() for place in places)
        found = {row[0]: {c: D(v) for c, v in zip(columns, row[2:], strict=True) if v is not None} for row in rows}
        return found, reasons, accepted


def rates(exports: Exports) -> dict[str, dict[str, D]]:
    fees = exports.frame("fees").set_index("procedure_code")
    assert fees.index.is_unique
    assert fees[["locality", "medicare_rate"]].isna().all(axis=None)
    return {code: {c: v for c, v in row.items() if not pd.isna(v)} for code, row in fees[[*RATES]].iterrows()}


def counts(exports: Exports) -> Json:
    [file] = exports.files[exports.files["table"] == "fees"].to_dict("records")
    aside = exports.set_aside[exports.set_aside["table"] == "fees"]
    assert file["rows_read"] == file["accepted"] + file["set_aside"]
    assert file["set_aside"] == sum(file["reasons"].values()) == aside["rows"].sum()
    return file


def aside(exports: Exports) -> dict[int, str]:
    rows = exports.set_aside[exports.set_aside["table"] == "fees"]
    assert (rows["rows"] == 1).all()
    return dict(zip(rows["row"].tolist(), rows["reason"], strict=True))


def group(*npis: int, tin: str = "11-1111111") -> Json:
    return {"npi": list(npis), "tin": {"type": "ein", "value": tin}}


def price(amount: Any, **other: Any) -> Json:
    base = {"negotiated_type": "negotiated", "negotiated_rate": amount, "expiration_date": "2031-12-31"}
    return base | {"service_code": ["11"], "billing_class": "professional", "setting": "outpatient"} | other


def rate(*prices: Any, groups: list[Json] | None = None, references: list[Any] | None = None) -> Json:
    found: Json = {"negotiated_prices": list(prices)}
    if references is None or groups is not None:
        found["provider_groups"] = [group(1000000001)] if groups is None else groups
    return found | ({} if references is None else {"provider_references": references})


def item(code: str, *rates: Any, **other: Any) -> Json:
    base = {"negotiation_arrangement": "ffs", "name": "Ours", "billing_code_type": "CPT"}
    return base | {"billing_code_type_version": "2031", "billing_code": code, "negotiated_rates": list(rates)} | other


def document(*items: Any, **other: Any) -> Json:
    base = {"reporting_entity_name": "Ours", "reporting_entity_type": "issuer", "last_updated_on": "2031-06-30"}
    return base | other | {"version": "2.0.0", "in_network": list(items)}


def write_large(path: Path, megabytes: int, seed: int = 5) -> int:
    """Write an in-network file of about a size, half by reference and half inline; return the number of prices.

    Items of 50 MB are made up; a larger file repeats them.
    """
    chance, body, prices = random.Random(seed), io.StringIO(), 0
    numbers = range(1, 50_000 if megabytes > 100 else 50)
    while body.tell() < min(megabytes, 50) * 1_000_000:
        rates = []
        for n in range(chance.randrange(1, 2000 if megabytes > 100 else 20)):
            listed = [price(chance.randrange(1, 90_000) / 100) for _ in range(chance.randrange(1, 4))]
            listed[-1]["billing_class"] = chance.choice(["professional", "institutional"])
            inline = [group(*chance.sample(range(1_000_000_000, 1_000_900_000), chance.randrange(1, 60)))]
            by = {"references": chance.sample(numbers, chance.randrange(1, 5))} if n % 2 else {"groups": inline}
            rates.append(rate(*listed, **by))
            prices += len(listed)
        body.write(("," if body.tell() else "") + json.dumps(item(str(chance.randrange(10_000, 99_999)), *rates)))
    with (gzip.open if path.suffix == ".gz" else open)(path, "wt", encoding="ascii") as file:
        file.write('{"reporting_entity_name": "Ours", "last_updated_on": "2031-06-30", "provider_references": [')
        for number in numbers:
            npis = sorted(chance.sample(range(1_000_000_000, 1_000_900_000), chance.randrange(1, 30)))
            one = {"provider_group_id": number, "provider_groups": [group(*npis)]}
            file.write(("" if number == 1 else ",") + json.dumps(one))
        file.write('], "in_network": [' + body.getvalue())
        repeats = max(megabytes // 50, 1)
        for _ in range(repeats - 1):
            file.write(",\n" + body.getvalue())
        file.write("]}")
    return prices * repeats


_MEASURED = """
import re, sys, time
from pathlib import Path
from sca_analysis.exports import Exports
def peak():  # getrusage would give that of the process that started this one
    return int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024
before, began = peak(), time.process_time()
exports = Exports.open(Path(sys.argv[1]))
file = exports.files[exports.files["table"] == "fees"].to_dict("records")[0]
print(file["rows_read"], file["accepted"], peak(), before, round(time.process_time() - began, 1))
"""


def measure(folder: Path) -> list[float]:
    """Return prices read, accepted, peak [MiB], that before reading [MiB] and processor time [s]."""
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of memory is read from /proc, which only Linux has")
    done = subprocess.run([sys.executable, "-c", _MEASURED, str(folder)], capture_output=True, text=True, check=True)
    return [float(n) for n in done.stdout.split()]


# ---- rates ----


def test_a_rate_is_the_median_over_npis_and_every_price_is_accounted_for(tmp_path: Path) -> None:
    """99213: 10, 20, 20, 30.01 by NPI, so (20 + 20) / 2; 99214: 1.00 and 1.01, whose mean 1.005 goes up."""
    two, three = [group(1000000001, 1000000002)], [group(1000000001), group(1000000001, 1000000003)]
    found = open_document(
        tmp_path,
        document(
            item("99213", rate(price(10)), rate(price(20), groups=three), rate(price(D("30.005")))),
            item("99214", rate(price(D("1.00")), price(D("1.01")), groups=two)),
            item("99215", rate(price(5), price(7, billing_class="institutional"), price(6, billing_class="both"))),
            item("99216", rate(price(D("1.005")))),
        ),
    )
    assert rates(found) == {
        "99213": {RATES[0]: D("20.00")},
        "99214": {RATES[0]: D("1.01")},
        "99215": {RATES[0]: D("5.50")},
        "99216": {RATES[0]: D("1.01")},
    }
    assert aside(found) == {7: "not_selected:billing_class"}
    file = counts(found)
    assert (file["rows_read"], file["accepted"], file["format"]) == (9, 8, "tic-in-network-rates")


def test_prices_that_are_no_rate_of_a_unit(tmp_path: Path) -> None:
    wrong = {
        "percentage": price(65, negotiated_type="percentage"),
        "per_diem": price(65, negotiated_type="per diem"),
        "unknown_value:negotiated_type": price(65, negotiated_type="gift"),
        "not_selected:billing_code_modifier": price(65, billing_code_modifier=["26"]),
        "not_selected:billing_class": price(65, billing_class="institutional"),
        "expired": price(65, expiration_date="2031-06-29"),
        "not_a_date:expiration_date": price(65, expiration_date="06/30/2031"),
        "not_an_amount": price("a lot"),
        "negative_amount": price(-1),
        "zero_amount": price(0),
        "malformed_record": 65,
    }
    items = [
        item("27447", rate(price(1)), negotiation_arrangement="bundle"),
        item("27447", rate(price(1)), negotiation_arrangement="capitation"),
        item("27447", rate(price(1)), negotiation_arrangement="barter"),
        item("0200", rate(price(1)), billing_code_type="RC"),
        item("CSTM-ALL", rate(price(1)), billing_code_type="CPT"),
        item("99213", rate(*wrong.values())),
        item("99213", rate(price(1), groups=[])),
        item("99213", rate(price(2, expiration_date="2031-06-30"), price(2, expiration_date="9999-12-31"))),
    ]
    found = open_document(tmp_path, document(*items))
    by_item = ["bundle", "capitation", "unknown_value:negotiation_arrangement", "code_type", "procedure_code_shape"]
    assert aside(found) == dict(enumerate([*by_item, *wrong, "no_provider"], start=1))
    assert rates(found) == {"99213": {RATES[0]: D(2)}}
    assert counts(found)["rows_read"] == 19


@pytest.mark.parametrize("order", ["first", "last"])
def test_provider_references(tmp_path: Path, order: str) -> None:
    """By NPI: 10 twice, 30 three times, since the groups of one number are all its groups; 50 for a group without."""
    references = [
        {"provider_group_id": 1, "provider_groups": [group(1000000001, 1000000002)]},
        {"provider_group_id": 2, "provider_groups": [group(1000000003)]},
        {"provider_group_id": 3, "location": "https://example.org/providers.json"},
        {"provider_group_id": 4, "provider_groups": [group()]},
        {"provider_group_id": 2, "provider_groups": [group(1000000004), group(1000000005)]},
    ]
    items = [
        item("99213", rate(price(10), references=[1]), rate(price(30), references=["2"])),
        item("99214", rate(price(1), references=[3]), rate(price(2), references=[9]), rate(price(3), references=[])),
        item("99215", rate(price(50), references=[3, 9, 4]), rate(price(1), references=[9, 3])),
    ]
    whole = document(*items, provider_references=references)
    if order == "last":
        whole["provider_references"] = whole.pop("provider_references")
    found = open_document(tmp_path, whole)
    assert rates(found) == {"99213": {RATES[0]: D(30)}, "99215": {RATES[0]: D(50)}}
    assert aside(found) == {
        3: "providers_elsewhere",
        4: "unknown_provider_group",
        5: "no_provider",
        7: "providers_elsewhere",
    }


def test_too_many_references_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transparency_prices, "MAX_REFERENCES", 2)
    references = [{"provider_group_id": n, "provider_groups": [group(1000000001)]} for n in range(3)]
    with pytest.raises(ExportError, match=r"tic\.json has more than 2 provider references"):
        open_document(tmp_path, document(provider_references=references))


MIXED = document(
    item(
        "99213",
        rate(price(1), price(3), price(8), groups=[group(1000000001, 1000000002)]),
        rate(price(100, setting="inpatient", service_code=["21"]), groups=[group(1000000003, tin="22-2222222")]),
        rate(price(200, negotiated_type="derived", billing_code_modifier=["95"])),
        rate(price(300, expiration_date="2030-12-31", billing_class="institutional", service_code=["CSTM-00"])),
    )
)


@pytest.mark.parametrize(
    ("keep", "expected", "accepted"),
    [
        ("", "3", 4),
        ("statistic: min", "1", 4),
        ("statistic: max", "100", 4),
        ("statistic: highest", "100", 4),
        ("npi: 1000000003", "100", 1),
        ("npi: [1000000001, 1000000009]", "3", 3),
        ("tin: 22-2222222", "100", 1),
        ("tin: 222222222", "100", 1),
        ("setting: inpatient", "100", 1),
        ("service_code: [21, 31]", "100", 1),
        ("billing_code_modifier: 95", "200", 1),
        ("billing_code_modifier: 95, negotiated_type: derived", "200", 1),
        ("negotiated_type: [fee schedule, negotiated]", "3", 4),
        ("in_force_on: 2030-12-31, billing_class: institutional", "300", 1),
        ("in_force_on: 2030-12-31, billing_class: institutional, service_code: 11", "300", 1),
    ],
)
def test_what_keep_selects(tmp_path: Path, keep: str, expected: str, accepted: int) -> None:
    found = open_document(tmp_path, MIXED, keep)
    assert rates(found) == {"99213": {RATES[0]: D(expected)}}
    assert (counts(found)["rows_read"], counts(found)["accepted"]) == (6, accepted)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (", keep: {class: professional}", "'class' is not known here; known are billing_class"),
        (", keep: {statistic: mean}", "statistic is one of median, min, max, highest"),
        (", keep: {in_force_on: 6/30/2031}", "in_force_on is one day"),
        (", keep: {negotiated_type: percentage}", "others are no rate"),
        (", constants: {locality: NY-01}", "takes only `keep`, not constants"),
    ],
)
def test_what_cannot_be_done_is_refused(tmp_path: Path, entry: str, expected: str) -> None:
    (tmp_path / "tic.json").write_text(json.dumps(MIXED))
    with pytest.raises(ExportError, match=expected):
        open_fees(tmp_path, f"path: tic.json, format: tic-in-network-rates{entry}")


def test_only_for_fees(tmp_path: Path) -> None:
    open_document(tmp_path, MIXED)
    config = tmp_path / "exports.yaml"
    config.write_text(config.read_text().replace("fees:", "benefits:"))
    with pytest.raises(ExportError, match="benefits: format tic-in-network-rates is for fees only"):
        Exports.open(tmp_path)


def test_allowed_amounts(tmp_path: Path) -> None:
    """Allowed 25 by 4 NPIs, 40 by 1; billed 50 by 3, 60 by 1, 90 by 1; a charge that is none counts for nothing."""
    providers = [{"billed_charge": 50, "npi": [1000000001, 1000000002, 1000000003]}]
    providers += [{"billed_charge": 60, "npi": [1000000004]}, {"billed_charge": "?", "npi": [1000000004]}]
    one = {"tin": {"type": "ein", "value": "11-1111111"}, "service_code": ["11"], "billing_class": "professional"}
    payments = [
        {"allowed_amount": 25, "providers": providers},
        {"allowed_amount": D("40.00"), "providers": [{"billed_charge": 90, "npi": [1000000009]}]},
        {"allowed_amount": 30, "billing_code_modifier": ["25"], "providers": providers},
        {"allowed_amount": 30, "providers": []},
        {"allowed_amount": None, "providers": providers},
    ]
    whole = document()
    del whole["in_network"]
    whole["out_of_network"] = [
        {"billing_code_type": "CPT", "billing_code": "99214", "allowed_amounts": [one | {"payments": payments}]},
        {"billing_code_type": "NDC", "billing_code": "99214", "allowed_amounts": [one | {"payments": payments[:1]}]},
    ]
    found = open_document(tmp_path, whole)
    assert rates(found) == {"99214": {RATES[1]: D(25), RATES[2]: D(50)}}
    assert aside(found) == {
        3: "not_selected:billing_code_modifier",
        4: "no_provider",
        5: "not_an_amount",
        6: "code_type",
    }
    assert counts(found)["format"] == "tic-allowed-amounts"
    highest = rates(open_document(tmp_path, whole, "statistic: highest"))
    assert highest == {"99214": {RATES[1]: D(40), RATES[2]: D(50)}}
    assert rates(open_document(tmp_path, whole, "npi: 1000000009")) == {"99214": {RATES[1]: D(40), RATES[2]: D(90)}}


def test_files_complete_each_other_and_a_second_one_of_a_kind_is_set_aside_with_its_prices(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(document(item("99213", rate(price(1), price(2))))))
    (tmp_path / "b.json").write_text(json.dumps(document(item("99213", rate(price(5), price(5), price(5))))))
    (tmp_path / "own.csv").write_text("procedure_code,medicare_rate\n99213,7.00\n")
    formats = (f"path: {name}.json, format: tic-in-network-rates" for name in "ab")
    found = open_fees(tmp_path, "path: own.csv", *formats)
    [row] = found.frame("fees").to_dict("records")
    assert (row["medicare_rate"], row["in_network_rate"]) == (D("7.00"), D("1.50"))
    read = found.files[found.files["table"] == "fees"].set_index("path")
    assert read["rows_read"].to_dict() == {"own.csv": 1, "a.json": 2, "b.json": 3}
    assert read["accepted"].to_dict() == {"own.csv": 1, "a.json": 2, "b.json": 0}
    assert read.loc["b.json", "reasons"] == {"duplicate_key": 3}
    assert found.set_aside["rows"].tolist() == [3]


def test_places_beyond_those_listed_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transparency_ledger, "MAX_LISTED", 3)
    monkeypatch.setattr(transparency_ledger, "_MAX_AMOUNTS", 2)
    prices = [price(n, billing_class="professional" if n % 2 else "institutional") for n in range(1, 21)]
    bundle = item("99214", rate(*prices[:7]), negotiation_arrangement="bundle")
    found = open_document(tmp_path, document(item("99213", rate(*prices)), bundle))
    assert rates(found) == {"99213": {RATES[0]: D(10)}}
    assert counts(found)["reasons"] == {"not_selected:billing_class": 10, "bundle": 7}
    listed = found.set_aside[["row", "rows", "reason"]].to_numpy().tolist()
    assert sorted(listed) == [
        [2, 1, "not_selected:billing_class"],
        [4, 1, "not_selected:billing_class"],
        [6, 8, "not_selected:billing_class"],
        [21, 1, "bundle"],
        [22, 1, "bundle"],
        [23, 5, "bundle"],
    ]


# ---- what files look like ----

SMALL = document(item("99213", rate(price(10)), rate(price(20), references=[7])), item("99214", rate(price(D("1.5")))))
SMALL["provider_references"] = [{"provider_group_id": 7, "provider_groups": [group(1000000001, 1000000002)]}]
SMALL_RATES = {"99213": {RATES[0]: D(20)}, "99214": {RATES[0]: D("1.50")}}


def seven_zip(files: dict[str, bytes]) -> bytes:
    py7zr = pytest.importorskip("py7zr")
    packed = io.BytesIO()
    with py7zr.SevenZipFile(packed, "w") as archive:
        for name, text in files.items():
            archive.writestr(text, name)
    return packed.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return packed.getvalue()


def shapes() -> Iterator[tuple[str, bytes]]:
    text = json.dumps(SMALL, default=float)
    yield "plain", text.encode()
    yield "indented", json.dumps(SMALL, default=float, indent=2).encode()
    yield "mark", b"\xef\xbb\xbf" + text.encode()
    yield "utf16", text.encode("utf-16")
    yield "gzip", gzip.compress(text.encode())
    yield "two gzip members", gzip.compress(text[:100].encode()) + gzip.compress(text[100:].encode())
    yield "zip", zipped({"2031_ours_in-network-rates.json": text.encode()})
    yield "7z", seven_zip({"2031_ours_in-network-rates.json": text.encode()})
    # an object has no order
    yield "backwards", json.dumps(backwards(SMALL), default=float).encode()
    yield "escaped", text.replace('"negotiated_rate"', '"negotiated\\u005frate"').encode()
    yield "control characters", text.replace('"Ours"', '"Ou\x01\trs"').encode()


def backwards(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: backwards(v) for k, v in reversed(value.items())}
    return [backwards(v) for v in value] if isinstance(value, list) else value


@pytest.mark.parametrize(("shape", "text"), [pytest.param(*s, id=s[0]) for s in shapes()])
@pytest.mark.parametrize("block", [7, 1024 * 1024])
def test_shapes_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: str, text: bytes, block: int) -> None:
    monkeypatch.setattr(transparency_stream, "_BLOCK", block)
    found = open_text(tmp_path, text)
    assert rates(found) == SMALL_RATES
    assert counts(found)["rows_read"] == counts(found)["accepted"] == 3
    assert recognise(text[: 64 * 1024], "2031_ours_in-network-rates.json") or shape == "two gzip members"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", "is empty, where"),
        (b"  \n", "is empty, where"),
        (b"code,rate\n99213,1\n", "is no JSON object"),
        (b"[]", "is no JSON object"),
        (b"<html>", "is XML or HTML: take the payer's JSON file"),
        (b"{}", "has neither in_network nor out_of_network"),
        (b'{"provider_groups": [], "version": "1"}', "has neither in_network nor out_of_network"),
        (b'{"reporting_structure": [{}]}', "is a table of contents: take the in-network and allowed-amount files"),
        (b'{"in_network": [], "out_of_network": []}', "holds both"),
        (b"\x1f\x8bnothing", "is empty, where"),
        (b"\x1f\x8b", "is empty, where"),
        (b"PK\x03\x04nothing", "cannot be opened"),
        (b"7z\xbc\xaf\x27\x1cnothing", "cannot be unpacked"),
        (zipped({"a": b"{}", "b": b"{}"}), "holds 2 files, where one is expected"),
        (zipped({}) + b"", "is no JSON object"),
        (b"\x00\xff" * 100, "is no JSON object"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: bytes, expected: str) -> None:
    with pytest.raises(ExportError, match=expected) as refused:
        open_text(tmp_path, text)
    assert str(refused.value).count(". ") == 0


def test_what_is_recognised() -> None:
    assert recognise(b'{"reporting_entity_name": "Ours", "provider_references": [', "a.json")
    assert recognise(gzip.compress(json.dumps(SMALL, default=float).encode())[:500], "a.json.gz")
    assert recognise(b"7z\xbc\xaf\x27\x1c", "2031_ours_allowed-amounts.7z")
    assert recognise(b'<?xml version="1.0"?><root><in_network>', "a.xml")
    for other in (b'{"resourceType": "Bundle"}', b"npi,in_network\n", b"PK\x03\x04", b"", b"\x1f\x8b", b"ISA*00"):
        assert not recognise(other, "a.json")


# ---- damage ----


def broken(text: str) -> str:
    """A file of three rates, the second of which holds ``text`` where its amount is."""
    whole = json.dumps(document(item("99213", rate(price(1)), rate(price("@")), rate(price(3)))))
    return whole.replace('"@"', text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("NaN", "not_an_amount"),
        ("-Infinity", "not_an_amount"),
        ("1e999", "not_an_amount"),
        ("1e15", "not_an_amount"),
        ("null", "not_an_amount"),
        ("true", "not_an_amount"),
        ("[1]", "not_an_amount"),
        ("9" * 5000, "malformed_record"),
        ("1.2.3", "malformed_record"),
        ("01", "malformed_record"),
        ("nope", "malformed_record"),
        ("", "malformed_record"),
        ('{"a" 1}', "malformed_record"),
        ('"\\q"', "malformed_record"),
        ("[" * 5000 + "]" * 5000, "nested_too_deep"),
        ('1, "negotiated_rate": 2', "repeated_key"),
        ('1}], "negotiated_prices": [{"negotiated_rate": 2', "repeated_key"),
    ],
)
def test_damage_costs_the_rate_that_it_is_in(tmp_path: Path, text: str, reason: str) -> None:
    found = open_text(tmp_path, broken(text))
    assert rates(found) == {"99213": {RATES[0]: D(2)}}
    assert aside(found) == {2: reason}


@pytest.mark.parametrize("block", [100, 101])  # an escape falls on either side of the end of a block
def test_a_rate_of_any_size_is_passed_over(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(transparency_stream, "MAX_VALUE", 4000)
    monkeypatch.setattr(transparency_stream, "_BLOCK", block)
    for giant in ('"' + 'ab\\"{' * 2000 + '"', f"[{'[1],' * 3000}1]", '"' + "\\\\" * 5000 + '"'):
        expected = {"99213": {RATES[0]: D(2)}}, {"record_too_long": 1}, 2
        assert read_text(broken(giant).encode()) == expected
        assert read_text(broken("2").replace('"Ours"', giant).encode())[2] == 3


@pytest.mark.parametrize(
    ("old", "new", "reasons", "accepted"),
    [
        ('"billing_code": "99213"', '"billing_code": nope', {"procedure_code_shape": 2}, 1),
        ('"billing_code": "99213"', '"billing_code": "1", "billing_code": "2"', {"repeated_key": 2}, 1),
        ('"billing_code": "99213"', '"billing_code" "99213"', {"malformed_record": 1}, 1),
        ('"name": "Ours"', '"name": {"a": [nope}]', {}, 3),
        ('"last_updated_on": "2031-06-30"', '"last_updated_on": nope', {}, 3),
        ('"version": "2.0.0"', '"version" "2.0.0", "in_network": []', None, 0),
        ('"name": "Ours"', '"name": "Ours", nope', {"malformed_record": 1}, 1),
        ('}, {"negotiation', ']}, {"negotiation', {"malformed_record": 3, "truncated": 1}, 0),
        ('"in_network": [', '"in_network": [5, [], {}, ', {"malformed_record": 2}, 3),
        ('"in_network": [', '"in_network": [,', {"malformed_record": 1}, 3),
        ('"in_network": [', '"in_network": {}, "in_network": [', {"malformed_record": 1}, 3),
        ('"in_network": [', '"in_network": null, "in_network": [', {}, 3),
        ('"negotiated_rates": [', '"negotiated_rates": {}, "negotiated_rates": [', {"malformed_record": 1}, 3),
        ('"provider_group_id": 7', '"provider_group_id": nope', {"unknown_provider_group": 1}, 2),
        ("]}", "]} {", {"truncated": 1}, 3),
    ],
)
def test_damage_around_rates(tmp_path: Path, old: str, new: str, reasons: dict[str, int] | None, accepted: int) -> None:
    text = json.dumps(SMALL, default=float)
    at = text.rindex(old) if old == "]}" else text.index(old)
    text = text[:at] + new + text[at + len(old) :]
    if reasons is None:  # no price stands before the damage
        with pytest.raises(ExportError, match="check that it was fetched whole"):
            open_text(tmp_path, text)
        return
    found = open_text(tmp_path, text)
    assert counts(found)["reasons"] == reasons
    assert counts(found)["accepted"] == accepted


def test_bytes_outside_the_encoding(tmp_path: Path) -> None:
    text = json.dumps(SMALL, default=float).encode()
    assert rates(open_text(tmp_path, text.replace(b'"Ours"', b'"Ou\xff\xc3rs"'))) == SMALL_RATES
    found = open_text(tmp_path, text.replace(b'"99214"', b'"9921\xff"'))
    assert aside(found) == {3: "procedure_code_shape"}


def test_what_was_complete_before_the_end_is_kept() -> None:
    """Wherever a file is cut, the rates that end before the cut count, and what is missing is said once."""
    items = [item(f"9921{n}", rate(price(n + 1))) for n in range(9)]
    whole = json.dumps(document(*items))
    ends = [whole.index(one) + len(one) for one in (json.dumps(i["negotiated_rates"][0]) for i in items)]
    for cut in [*range(whole.index("in_network") + 15, len(whole), 61), *ends, *(e - 1 for e in ends), len(whole) - 1]:
        found, reasons, _ = read_text(whole[:cut].encode())
        assert reasons == {"truncated": 1}
        assert sorted(found) == [f"9921{n}" for n, end in enumerate(ends) if end <= cut]


def test_a_compressed_file_is_read_to_where_it_breaks_off(tmp_path: Path) -> None:
    whole = document(*(item(f"{n:05}", rate(price(n + 1))) for n in range(3000)))
    packed = gzip.compress(json.dumps(whole).encode())
    for at in range(len(packed) // 10, len(packed), len(packed) // 5):
        for text in (packed[:at], packed[:at] + b"\xff" * 20 + packed[at + 20 :]):
            found = open_text(tmp_path, text)
            assert "truncated" in counts(found)["reasons"]
            assert 0 < len(rates(found)) < 3000


def test_memory_stays_bounded(tmp_path: Path) -> None:
    """A .gz that inflates two hundred times: one unread string of 100 MB, and rates after it."""
    path = tmp_path / "tic.json.gz"
    with gzip.open(path, "wt", compresslevel=1) as file:
        file.write('{"name": "')
        for _ in range(100):
            file.write("x" * 1_000_000)
        file.write('", "in_network": ' + json.dumps([item("99213", rate(price(2)))]) + "}")
    assert path.stat().st_size < 1_000_000
    assert rates(open_file(tmp_path, path.name)) == {"99213": {RATES[0]: D(2)}}
    read, accepted, peak, before, _ = measure(tmp_path)
    assert (read, accepted) == (1, 1)
    assert peak - before < 90


def test_a_generated_file_against_the_plain_reading(tmp_path: Path) -> None:
    path = tmp_path / "tic.json.gz"
    prices = write_large(path, 5)
    with gzip.open(path, "rt") as file:
        expected, reasons, accepted = read_plainly(json.load(file, parse_float=D))
    found = open_file(tmp_path, path.name)
    assert rates(found) == expected
    assert counts(found)["reasons"] == reasons
    assert (counts(found)["rows_read"], counts(found)["accepted"]) == (prices, accepted)
    _, _, peak, before, _ = measure(tmp_path)
    assert peak - before < 200


# ---- random files ----

amounts = st.one_of(
    st.decimals(-5, 2000, places=2), st.decimals(0, 3, places=4), st.integers(-2, 30), st.none(), st.booleans()
)
some_npis = st.lists(st.integers(1000000000, 1000000009), max_size=5)
groups = st.lists(st.builds(lambda n: group(*n), some_npis), max_size=3)
some_prices = st.builds(
    price,
    amounts,
    negotiated_type=st.sampled_from(["negotiated"] * 4 + ["derived", "fee schedule", "percentage", "per diem"]),
    billing_class=st.sampled_from(["professional"] * 3 + ["institutional", "both"]),
    expiration_date=st.sampled_from(["9999-12-31", "2031-06-30", "2031-06-29T00:00:00", "2031-12-31"]),
    billing_code_modifier=st.sampled_from([[], [], [], ["26"]]),
)
some_rates = st.builds(
    lambda prices, groups, references: rate(*prices, groups=groups, references=references),
    st.lists(some_prices, max_size=4),
    st.none() | groups,
    st.none() | st.lists(st.integers(1, 5), max_size=3),
)
some_items = st.builds(
    lambda code, rates, **other: item(code, *rates, **other),
    st.sampled_from(["99213", "99214", "G0008", "0001F", "CSTM-ALL"]),
    st.lists(some_rates, max_size=4),
    negotiation_arrangement=st.sampled_from(["ffs"] * 5 + ["bundle", "capitation"]),
    billing_code_type=st.sampled_from(["CPT", "CPT", "HCPCS", "MS-DRG"]),
)
some_references = st.lists(
    st.one_of(
        st.builds(lambda n, g: {"provider_group_id": n, "provider_groups": g}, st.integers(1, 4), groups),
        st.builds(lambda n: {"provider_group_id": n, "location": "https://example.org"}, st.integers(1, 4)),
    ),
    max_size=5,
)


def shuffled(value: Any, chance: random.Random) -> Any:
    if isinstance(value, dict):
        keys = list(value)
        chance.shuffle(keys)
        return {k: shuffled(value[k], chance) for k in keys}
    return [shuffled(v, chance) for v in value] if isinstance(value, list) else value


def text_of(value: Any) -> str:
    """JSON in which a decimal stands digit by digit."""
    marked = json.dumps(value, default=lambda d: f"@{d}@")
    return marked.replace('"@', "").replace('@"', "")


@settings(max_examples=200, deadline=None)
@given(
    st.lists(some_items, max_size=5),
    some_references,
    st.sampled_from([None, "2031-06-30"]),
    st.sampled_from([None, {"1000000001", "1000000002"}]),
    st.randoms(use_true_random=False),
    st.sampled_from([13, 1000, 1024 * 1024]),
)
def test_random_in_network_files(
    items: list[Json], references: list[Json], day: str | None, npis: set[str] | None, chance: Any, block: int
) -> None:
    whole = document(*items, provider_references=references)
    if day is None:
        del whole["last_updated_on"]
    text = text_of(shuffled(whole, chance))
    expected, reasons, accepted = read_plainly(json.loads(text, parse_float=D), npis=npis)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transparency_stream, "_BLOCK", block)
        assert read_text(text.encode(), {"npi": sorted(npis)} if npis else {}) == (expected, reasons, accepted)


some_payments = st.builds(
    lambda amount, modifier, providers: {
        "allowed_amount": amount,
        "billing_code_modifier": modifier,
        "providers": [{"billed_charge": billed, "npi": npis} for billed, npis in providers],
    },
    amounts,
    st.sampled_from([[], [], ["25"]]),
    st.lists(st.tuples(amounts, some_npis), max_size=4),
)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["99213", "99214", "CSTM-ALL"]),
            st.sampled_from(["CPT", "CPT", "RC"]),
            st.sampled_from(["professional", "professional", "institutional"]),
            st.lists(some_payments, max_size=4),
        ),
        max_size=5,
    ),
    st.randoms(use_true_random=False),
)
def test_random_allowed_amounts_files(items: list[tuple[str, str, str, list[Json]]], chance: Any) -> None:
    whole: Json = {"reporting_entity_name": "Ours", "out_of_network": []}
    for code, kind, billing_class, payments in items:
        allowed = [{"tin": {}, "service_code": ["11"], "billing_class": billing_class, "payments": payments}]
        whole["out_of_network"].append({"billing_code_type": kind, "billing_code": code, "allowed_amounts": allowed})
    text = text_of(shuffled(whole, chance))
    assert read_text(text.encode()) == read_plainly(json.loads(text, parse_float=D))


def mutate(text: bytes, chance: random.Random) -> bytes:
    """Return a text with one to four bytes or runs of bytes changed, removed, repeated or put in."""
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(text) + 1)
        to = min(len(text), at + chance.choice([1, 1, 2, 20, 300]))
        token = chance.choice(
            [b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"NaN", b"\x00", b"\xff", b"1e9", b"null"]
        )
        text = text[:at] + chance.choice([token, b"", text[at:to] * 2, token + text[at:to]]) + text[to:]
    return text


def check_mutated(text: bytes) -> str:
    """Read a damaged file: it is refused with a sentence, or read, every price being accounted for."""
    try:
        found, _, _ = read_text(text)
    except ExportError:
        return "refused"
    assert all(rate > 0 for row in found.values() for rate in row.values())
    return "read"


def samples() -> list[bytes]:
    text = json.dumps(SMALL, default=float).encode()
    allowed = {"out_of_network": [{"billing_code_type": "CPT", "billing_code": "99214", "allowed_amounts": []}]}
    payments = [{"allowed_amount": 2, "providers": [{"billed_charge": 5, "npi": [1000000001]}]}] * 2
    allowed["out_of_network"][0]["allowed_amounts"] = [{"billing_class": "professional", "payments": payments}]
    return [text, json.dumps(MIXED, indent=1).encode(), json.dumps(allowed).encode()]


def test_mutated_files() -> None:
    chance = random.Random(1)
    packed = [gzip.compress(samples()[0]), zipped({"a": samples()[0]}), seven_zip({"a": samples()[0]})]
    outcomes = Counter(check_mutated(mutate(text, chance)) for _ in range(60) for text in [*samples(), *packed])
    assert min(outcomes["read"], outcomes["refused"]) > 20


# ---- files of CMS and of a payer ----


@pytest.fixture(scope="module")
def tic(shared_exports: Path) -> Path:
    return shared_exports / "fees" / "transparency-in-coverage"


JSON_SAMPLES = {  # prices in each, counted by their keys in the text
    "allowed-amounts-multiple-plan-sample": 1,
    "allowed-amounts-single-plan-sample": 1,
    "in-network-rates-all-negotiated-types-sample": 8,
    "in-network-rates-bundle-single-plan-sample": 2,
    "in-network-rates-capitation-single-plan-sample": 2,
    "in-network-rates-fee-for-service-single-plan-sample": 5,
    "in-network-rates-multiple-plans-sample": 6,
    "in-network-rates-no-npi": 1,
}


def test_every_file_is_tested(tic: Path) -> None:
    names = {p.name for p in tic.rglob("*") if p.is_file()}
    xml = {f"in-network-rates-{kind}-sample.xml" for kind in ("bundle", "capitation", "fee-for-service")}
    payer = "2023-11-07_Evry-Health_in-network-rates.7z"
    assert names == {f"{n}.json" for n in JSON_SAMPLES} | xml | {payer, "table-of-contents-sample.json"}
    assert all(recognise(p.read_bytes()[: 64 * 1024], p.name) for p in tic.rglob("*") if p.is_file())


@pytest.mark.parametrize("classes", [("professional",), ("institutional",)])
@pytest.mark.parametrize("name", JSON_SAMPLES)
def test_samples_of_cms(tic: Path, tmp_path: Path, name: str, classes: tuple[str, ...]) -> None:
    path = tic / f"{name}.json"
    text = path.read_text(encoding="utf-8")
    expected, reasons, accepted = read_plainly(json.loads(text, parse_float=D), classes)
    found = open_file(tmp_path, path, f"billing_class: {classes[0]}")
    assert rates(found) == expected
    assert counts(found)["reasons"] == reasons
    assert counts(found)["accepted"] == accepted
    assert counts(found)["rows_read"] == text.count('"negotiated_rate"') + text.count('"allowed_amount"')
    assert counts(found)["rows_read"] == JSON_SAMPLES[name]


def test_samples_by_hand(tic: Path, tmp_path: Path) -> None:
    """27447 of several plans: 120.45 by five NPIs twice; 99214 OON: billed 50 by 3, 60 by 1, 70 by 4, so 60 and 70."""
    several = rates(open_file(tmp_path, tic / "in-network-rates-multiple-plans-sample.json"))
    assert several == {"27447": {RATES[0]: D("120.45")}, "27448": {RATES[0]: D("12003.45")}}
    allowed = rates(open_file(tmp_path, tic / "allowed-amounts-multiple-plan-sample.json"))
    assert allowed == {"99214": {RATES[1]: D(25), RATES[2]: D(65)}}


def test_other_files_of_cms_are_refused(tic: Path, tmp_path: Path) -> None:
    for path in tic.glob("*.xml"):
        with pytest.raises(ExportError, match="is XML or HTML: take the payer's JSON file"):
            open_file(tmp_path, path)
    with pytest.raises(ExportError, match=r"table-of-contents-sample\.json is a table of contents"):
        open_file(tmp_path, tic / "table-of-contents-sample.json")


@pytest.fixture(scope="module")
def evry(tic: Path) -> tuple[Path, Json]:
    py7zr = pytest.importorskip("py7zr")
    [path] = (tic / "payer").iterdir()
    with tempfile.TemporaryDirectory() as folder:
        with py7zr.SevenZipFile(path) as archive:
            archive.extractall(folder)
        [unpacked] = Path(folder).iterdir()
        return path, json.loads(unpacked.read_text(encoding="utf-8"), parse_float=D)


@pytest.mark.parametrize(
    ("keep", "options"),
    [
        ("", {}),
        ("billing_class: institutional", {"classes": ("institutional",)}),
        ("billing_class: institutional, in_force_on: 2024-01-01", {"classes": ("institutional",), "on": "2024-01-01"}),
        ("billing_class: institutional, npi: 1972519544", {"classes": ("institutional",), "npis": {"1972519544"}}),
    ],
)
def test_a_file_of_a_payer(evry: tuple[Path, Json], tmp_path: Path, keep: str, options: Json) -> None:
    path, whole = evry
    expected, reasons, accepted = read_plainly(whole, **options)
    found = open_file(tmp_path, path, keep)
    assert rates(found) == expected
    assert counts(found)["reasons"] == reasons
    assert (counts(found)["rows_read"], counts(found)["accepted"]) == (24358, accepted)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as given_folder:
        target = Path(given_folder) / "tic.json"
        open_document(Path(given_folder), document())  # writes the other files of the folder
        written = write_large(target, int(sys.argv[1]))
        size, began = target.stat().st_size / 1e6, time.monotonic()
        read, accepted, peak, before, seconds = measure(Path(given_folder))
        elapsed = time.monotonic() - began
        print(f"{size:,.0f} MB, {written:,} prices written, {read:,.0f} read, {accepted:,.0f} accepted")  # noqa: T201
        print(f"peak {peak:,.0f} MiB ({before:,.0f} before), {size / seconds:.1f} MB/s, {size / elapsed:.1f} elapsed")  # noqa: T201
