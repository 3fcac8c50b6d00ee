"""FHIR: resources one by one from damaged and hostile files, and ExplanationOfBenefit as claims.

Counts of real files are made here by json alone; the files are no part of the project (see conftest).
"""

import gzip
import json
import sys
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sca_analysis import intake, readers
from sca_analysis.errors import ExportError
from sca_analysis.exports import Exports
from sca_analysis.folder import find_files, read_config
from sca_analysis.readers import fhir
from sca_analysis.readers.fhir import read_resources
from sca_analysis.readers.fhir_claims import recognise
from tests.folders import npi

D = Decimal
ORG = {
    "resourceType": "Organization",
    "id": "o1",
    "name": "Clinic",
    "identifier": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": npi(1)}],
}
DOCTOR = {
    "resourceType": "Practitioner",
    "id": "d1",
    "identifier": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": npi(2)}],
    "qualification": [{"code": {"coding": [{"system": "http://nucc.org/provider-taxonomy", "code": "2084P0800X"}]}}],
}
PATIENT = {"resourceType": "Patient", "id": "m1", "address": [{"postalCode": "04330"}]}
CARIN = "http://hl7.org/fhir/us/carin-bb/CodeSystem/"


def coded(code: str, system: str = "") -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code} if system else {"code": code}]}


def amount(category: str, value: Any, currency: str = "USD") -> dict[str, Any]:
    return {"category": coded(category), "amount": {"value": value, "currency": currency}}


def item(sequence: int = 1, *adjudication: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "sequence": sequence,
        "productOrService": coded("90837", "http://www.ama-assn.org/go/cpt"),
        "servicedDate": "2026-01-05",
        "adjudication": list(adjudication) or [amount("submitted", 100)],
    } | more


def eob(number: int = 1, *items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "ExplanationOfBenefit",
        "id": f"e{number}",
        "identifier": [{"type": coded("uc", CARIN + "C4BBIdentifierType"), "value": f"C{number}"}],
        "status": "active",
        "use": "claim",
        "outcome": "complete",
        "patient": {"reference": "Patient/m1"},
        "provider": {"reference": "Organization/o1"},
        "item": list(items) or [item()],
    } | more


def bundle(*resources: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in resources]}


def write_config(folder: Path, path: str, entry: str = "") -> None:
    (folder / "directory.csv").write_text("npi,provider_name,taxonomy_code,zip\n", encoding="utf-8")
    (folder / "exports.yaml").write_text(
        f"claims: {{path: '{path}', format: fhir-eob{entry}}}\ndirectory: {{path: directory.csv}}\n", encoding="utf-8"
    )


def open_claims(folder: Path, path: str, entry: str = "") -> Exports:
    write_config(folder, path, entry)
    return Exports.open(folder)


def claims(folder: Path, *resources: Any, entry: str = "") -> Exports:
    """Open NDJSON of resources; text is a line as it stands."""
    lines = [r if isinstance(r, str) else json.dumps(r) for r in resources]
    (folder / "eob.ndjson").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return open_claims(folder, "eob.ndjson", entry)


def line(folder: Path, *items: dict[str, Any], entry: str = "", **more: Any) -> dict[str, Any]:
    """The accepted line of a claim."""
    exports = claims(folder, ORG, DOCTOR, PATIENT, eob(1, *items, **more), entry=entry)
    rows = exports.frame("claims").astype(object)
    found: list[dict[str, Any]] = rows.where(rows.notna(), None).to_dict("records")
    assert len(found) == 1, exports.set_aside
    return found[0]


def reasons(exports: Exports) -> dict[str, int]:
    [file] = exports.files[exports.files["table"] == "claims"].to_dict("records")
    assert file["rows_read"] == file["accepted"] + file["set_aside"]
    return dict(file["reasons"])


def found(path: Path) -> list[tuple[int, str, str]]:
    return [(f.place, f.body.get("id", ""), f.reason) for f in read_resources(path)]


# ---- resources, one by one ----

A, B, C = ({"resourceType": "Patient", "id": i} for i in "abc")


@pytest.mark.parametrize(
    ("name", "text", "places"),
    [
        ("one.json", json.dumps(A, indent=2), [1]),
        ("one.json", json.dumps(bundle(A, B, C), indent=2), [1, 2, 3]),
        ("one.json", json.dumps(bundle(A, B, C)), [1, 2, 3]),
        ("one.json", json.dumps([A, B, C]), [1, 2, 3]),
        ("one.ndjson", "\n".join(map(json.dumps, (A, B, C))), [1, 2, 3]),
        ("one.txt", "\r\n\r\n".join(map(json.dumps, (A, B, C))) + "\n", [1, 3, 5]),
        ("one.json", json.dumps(A, indent=1) + json.dumps(B, indent=1) + json.dumps(C, indent=1), [1, 2, 3]),
        ("one.ndjson", json.dumps(bundle(A, B)) + "\n" + json.dumps(C), [1, 1, 2]),
        ("one.json", json.dumps(bundle(bundle(A, B), C)), [1, 1, 2]),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gzip"])
@pytest.mark.parametrize("block", [1, 7, 1024 * 1024])
def test_every_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, places: list[int], encoding: str, block: int
) -> None:
    path = tmp_path / (name + (".gz" if encoding == "gzip" else ""))
    path.write_bytes(gzip.compress(text.encode()) if encoding == "gzip" else text.encode(encoding))
    # NDJSON is recognised in the first block
    monkeypatch.setattr(fhir, "_BLOCK", block if "\n{" not in text or block > 1000 else 400)
    assert [(p, i) for p, i, _ in found(path)] == list(zip(places, "abc"[: len(places)], strict=True))


def test_numbers_stay_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"resourceType": "X", "a": 0.10000000000000000055, "b": 1E2, "c": ' + "9" * 5000 + "}")
    [one] = read_resources(path)
    assert (one.body["a"], one.body["b"], len(one.body["c"])) == ("0.10000000000000000055", "1E2", 5000)


DAMAGE = [
    ('{"resourceType": "Patient", "id": "x",}', "malformed_record"),
    ('{"resourceType": "Patient", "id": NaN}', "malformed_record"),
    ('{"resourceType": "Patient", "id": "x", "id": "y"}', "repeated_name"),
    ('{"resourceType": "Patient", "id": "\\u0000"}', "nul_byte"),
    ('{"resourceType": "Patient", "id": "\\ud800"}', "malformed_record"),
    ('{"resourceType": "Patient", "id": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested_too_deep"),
    ('{"id": "x"}', "no_resource_type"),
    ('{"resourceType": 5}', "no_resource_type"),
]


@pytest.mark.parametrize(("damaged", "reason"), DAMAGE, ids=range(len(DAMAGE)))
def test_damage_costs_its_own_line(tmp_path: Path, damaged: str, reason: str) -> None:
    path = tmp_path / "a.ndjson"
    path.write_text(f"{json.dumps(A)}\n{damaged}\n{json.dumps(B)}\n", encoding="utf-8")
    assert found(path) == [(1, "a", ""), (2, "", reason), (3, "b", "")]


@pytest.mark.parametrize(("damaged", "reason"), DAMAGE, ids=range(len(DAMAGE)))
@pytest.mark.parametrize("block", [64, 1024 * 1024])
def test_damage_costs_its_own_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damaged: str, reason: str, block: int
) -> None:
    monkeypatch.setattr(fhir, "_BLOCK", block)
    path = tmp_path / "a.json"
    entries = ", ".join(
        f'{{"fullUrl": "urn:uuid:{i}", "resource": {r}}}' for i, r in enumerate((json.dumps(A), damaged, json.dumps(B)))
    )
    path.write_text(f'{{"resourceType": "Bundle", "entry": [{entries}]}}', encoding="utf-8")
    assert found(path) == [(1, "a", ""), (2, "", reason), (3, "b", "")]


def test_bytes_that_are_no_utf_8_cost_their_line(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(b'{"resourceType": "Patient", "id": "\xff"}\n' + json.dumps(B).encode())
    assert found(path) == [(1, "", "bytes_not_in_encoding"), (2, "b", "")]


@pytest.mark.parametrize("block", [64, 1024 * 1024])
def test_a_resource_that_is_too_long_costs_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(fhir, "MAX_RESOURCE", 1000)
    monkeypatch.setattr(fhir, "_BLOCK", block)
    long = A | {"text": "x" * 5000}
    for name, text in (
        ("a.ndjson", "\n".join(map(json.dumps, (B, long, C)))),
        ("a.json", json.dumps(bundle(B, long, C))),
        ("b.json", json.dumps([B, long, C])),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert found(tmp_path / name) == [(1, "b", ""), (2, "", "record_too_long"), (3, "c", "")], name


def test_a_string_of_100_mb_stays_out_of_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    with path.open("w", encoding="utf-8") as file:
        file.write(json.dumps(A) + '\n{"resourceType": "Patient", "id": "')
        for _ in range(100):
            file.write("x" * 1024 * 1024)
        file.write('"}\n' + json.dumps(B))
    assert found(path) == [(1, "a", ""), (2, "", "record_too_long"), (3, "b", "")]


@pytest.mark.parametrize("cut", [5, 40, 55, 70, 90, 110])
def test_a_file_cut_off_says_so(tmp_path: Path, cut: int) -> None:
    text = json.dumps(bundle(A, B))
    path = tmp_path / "a.json"
    path.write_text(text[:-cut], encoding="utf-8")
    last = found(path)[-1]
    assert last[2] == "truncated"
    assert [i for _, i, r in found(path) if not r] == list("ab"[: len(found(path)) - 1])


def test_gzip_that_inflates_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fhir, "FREE_SIZE", 1024 * 1024)
    path = tmp_path / "a.ndjson.gz"
    path.write_bytes(gzip.compress(json.dumps(A).encode() + b"\n" + b" " * 20_000_000))
    with pytest.raises(ExportError, match="inflates to more than 200 times its size"):
        found(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n ", "is empty"),
        (b"<Bundle xmlns='http://hl7.org/fhir'/>", "begins like XML"),
        (b"claim_id,line\n1,2\n", "is no FHIR in JSON"),
        (b'{"claims": []}', "no resource in it can be read"),
        (b"[1, 2]", "no resource in it can be read"),
        (b"\x1f\x8b\x08\x00damaged", "cannot be read to its end"),
        (gzip.compress(b'{"resourceType": "Patient"}' * 100, mtime=0)[:-20], "cannot be read to its end"),
    ],
)
def test_what_is_no_fhir_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(ExportError, match=message):
        found(path)
    assert not recognise(content, "a.json") or b"resourceType" in content or content[:2] == b"\x1f\x8b"


def test_an_empty_bundle_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"resourceType": "Bundle", "total": 0}', encoding="utf-8")
    assert found(path) == []


def test_recognised_by_content(tmp_path: Path) -> None:
    head = json.dumps(eob()).encode()
    assert recognise(head, "x")
    assert recognise(gzip.compress(head), "x")
    assert recognise(b"\xef\xbb\xbf " + head, "x")
    assert not recognise(b'{"reporting_entity_name": "x"}', "x")
    assert not recognise(b'a,"resourceType": "ExplanationOfBenefit"', "x")


# ---- claims ----


def test_a_line_by_hand(tmp_path: Path) -> None:
    """70.10 + 9.95 + 20 = 100.05, beside which floats would give 100.05000000000001."""
    one = item(
        3,
        amount("submitted", 300.10),
        amount("eligible", 250),
        amount("benefit", 149.95),
        amount("deductible", 70.10),
        amount("coinsurance", 9.95),
        amount("copay", 20),
        amount("noncovered", 50),
        {"category": coded("benefitpaymentstatus"), "reason": coded("outofnetwork")},
        careTeamSequence=[2],
        diagnosisSequence=[2, 1],
        locationCodeableConcept=coded("11", "https://www.cms.gov/place-of-service"),
        quantity={"value": 2.5},
    )
    team = [
        {"sequence": 1, "provider": {"reference": "Organization/o1"}, "role": coded("referring")},
        {
            "sequence": 2,
            "provider": {"reference": "http://a.b/fhir/Practitioner/d1/_history/4"},
            "role": coded("rendering"),
        },
    ]
    diagnosis = [
        {"sequence": 1, "diagnosisCodeableConcept": coded("F32.9", "http://hl7.org/fhir/sid/icd-10-cm")},
        {"sequence": 2, "diagnosisCodeableConcept": coded("F41.1", "http://hl7.org/fhir/sid/icd-10-cm")},
    ]
    found = line(tmp_path, one, careTeam=team, diagnosis=diagnosis, created="2026-02-03T01:30:00+02:00")
    assert {k: v for k, v in found.items() if v is not None} == {
        "claim_id": "C1",
        "line_number": "3",
        "claim_version": 20260202233000,
        "member_id": "m1",
        "provider_npi": npi(2),
        "taxonomy_code": "2084P0800X",
        "service_date": found["service_date"],
        "procedure_code": "90837",
        "diagnosis_code": "F41.1",
        "place_of_service": "11",
        "units": D("2.500"),
        "billed_amount": D("300.10"),
        "allowed_amount": D("250.00"),
        "paid_amount": D("149.95"),
        "member_amount": D("100.05"),
        "network_status": "out",
        "member_zip": "04330",
    }
    assert str(found["service_date"])[:10] == "2026-01-05"


def test_names_of_blue_button_1(tmp_path: Path) -> None:
    """STU3, as BCDA's first version: variables for categories, `service`, link ids, NPIs inline."""
    url = "https://bluebutton.cms.gov/resources/variables/"
    one = {
        "sequence": 1,
        "careTeamLinkId": [2],
        "diagnosisLinkId": [1],
        "service": coded("99213", "https://bluebutton.cms.gov/resources/codesystem/hcpcs"),
        "servicedPeriod": {"start": "2026-01-05", "end": "2026-01-06"},
        "locationCodeableConcept": coded("11", url + "line_place_of_srvc_cd"),
        "adjudication": [
            amount(url + v, a)
            for v, a in (
                ("line_sbmtd_chrg_amt", 75.0),
                ("line_alowd_chrg_amt", 50),
                ("line_nch_pmt_amt", 40),
                ("line_prvdr_pmt_amt", 39),
                ("line_coinsrnc_amt", 10),
            )
        ],
    }
    inline = {"identifier": {"system": "http://hl7.org/fhir/sid/us-npi", "value": npi(5)}}
    found = line(
        tmp_path,
        one,
        identifier=[{"system": url + "clm_grp_id", "value": "1"}, {"system": url + "clm_id", "value": "-77"}],
        careTeam=[{"sequence": 2, "provider": inline, "role": coded("primary")}],
        diagnosis=[{"sequence": 1, "diagnosisCodeableConcept": coded("F329", "http://hl7.org/fhir/sid/icd-10")}],
    )
    shown = ("claim_id", "provider_npi", "procedure_code", "diagnosis_code", "place_of_service")
    assert [found[c] for c in shown] == ["-77", npi(5), "99213", "F329", "11"]
    assert [found[f"{c}_amount"] for c in ("billed", "allowed", "paid", "member")] == [D(75), D(50), D(40), D(10)]


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({}, None),
        ({"status": "cancelled"}, "reversed"),
        ({"related": [{"relationship": coded("replacedby"), "reference": {"value": "C9"}}]}, "reversed"),
        ({"adjudication": [{"category": coded("denialreason"), "reason": coded("96")}]}, "denied"),
        ({"disposition": "Denied"}, "denied"),
        ({"extension": [{"url": "https://x/carr_clm_pmt_dnl_cd", "valueCoding": {"code": "0"}}]}, "denied"),
        ({"extension": [{"url": "https://x/carr_clm_pmt_dnl_cd", "valueCoding": {"code": "1"}}]}, None),
    ],
)
def test_status(tmp_path: Path, more: dict[str, Any], status: str | None) -> None:
    assert line(tmp_path, **more)["claim_status"] == status


def test_a_reason_beside_a_payment_is_no_denial(tmp_path: Path) -> None:
    why = {"category": coded("denialreason"), "reason": coded("45")}
    assert line(tmp_path, item(1, amount("submitted", 9), amount("benefit", 5), why))["claim_status"] is None
    assert line(tmp_path, item(1, amount("submitted", 9), amount("benefit", 0.0), why))["claim_status"] == "denied"


@pytest.mark.parametrize(
    ("of_item", "of_claim", "status"),
    [
        ("innetwork", "outofnetwork", "in"),
        (None, "outofnetwork", "out"),
        ("other", None, None),
        (None, None, None),
    ],
)
def test_network_status(tmp_path: Path, of_item: str | None, of_claim: str | None, status: str | None) -> None:
    said = [[{"category": coded("benefitpaymentstatus"), "reason": coded(s)}] if s else [] for s in (of_item, of_claim)]
    found = line(tmp_path, item(1, amount("submitted", 1), *said[0]), adjudication=said[1])
    assert found["network_status"] == status


def test_the_provider_s_own_status_where_the_payment_says_other(tmp_path: Path) -> None:
    said = [
        ("benefitpaymentstatus", "other"),
        ("billingnetworkstatus", "innetwork"),
        ("renderingnetworkstatus", "outofnetwork"),
    ]
    found = line(tmp_path, adjudication=[{"category": coded(c), "reason": coded(r)} for c, r in said])
    assert found["network_status"] == "out"


def test_versions_and_replaced_claims(tmp_path: Path) -> None:
    prior = [{"relationship": coded("prior"), "reference": {"value": "C1"}}]
    exports = claims(
        tmp_path,
        ORG,
        eob(1, item(1, amount("submitted", 100)), created="2026-01-10"),
        eob(2, item(1, amount("submitted", 80)), created="2026-01-20", related=prior),
        eob(3, item(1, amount("submitted", 50)), created="2026-01-10"),
        eob(3, item(1, amount("submitted", 60)), created="2026-01-11"),
    )
    rows = exports.frame("claims").sort_values("claim_id")
    assert rows["claim_status"].fillna("").tolist() == ["reversed", "", ""]
    assert rows["billed_amount"].tolist() == [D(100), D(80), D(60)]


def test_a_claim_of_one_item_takes_the_claim_s_amounts(tmp_path: Path) -> None:
    bare = item() | {"adjudication": []}
    total = [amount("submitted", 20), amount("benefit", 15)]
    assert line(tmp_path, bare, total=total)["billed_amount"] == D(20)
    exports = claims(tmp_path, ORG, eob(1, bare, bare | {"sequence": 2}, total=total))
    assert reasons(exports) == {"not_selected:resource_type": 1, "missing:billed_amount": 2}


def test_what_is_no_claim_line(tmp_path: Path) -> None:
    exports = claims(
        tmp_path,
        ORG,
        eob(1, use="preauthorization"),
        eob(2, status="entered-in-error"),
        eob(3, item(1), item(2), outcome="queued"),
        eob(4, item(1, amount("submitted", 1), amount("submitted", 2))),
        eob(5, item(1, amount("submitted", 1), amount("submitted", "1.00"))),
        eob(6, item(1, amount("submitted", 1, "EUR"))),
        eob(7) | {"item": [None, item(2)]},
        eob(8) | {"item": []},
        "{not json",
    )
    assert reasons(exports) == {
        "not_selected:resource_type": 1,
        "not_a_claim": 2,
        "not_adjudicated": 2,
        "amounts_disagree": 1,
        "not_in_usd": 1,
        "malformed_record": 2,
        "missing:service_date": 1,
    }
    assert sorted(exports.frame("claims")["claim_id"]) == ["C5", "C7"]
    aside = exports.set_aside[exports.set_aside["table"] == "claims"]
    assert aside["row"].tolist() == [1, 2, 3, 4, 4, 5, 7, 8, 9, 10]


def test_resources_in_other_files_of_the_glob(tmp_path: Path) -> None:
    folder = tmp_path / "in" / "eob"
    folder.mkdir(parents=True)
    for one in (ORG, DOCTOR, PATIENT, eob()):
        (folder / f"{one['id']}.json").write_text(json.dumps(one), encoding="utf-8")
    for glob in ("in/eob/*.json", "in/*/*.json", "in/**/*.json", str(tmp_path / "in/eob/*.json")):
        exports = open_claims(tmp_path, glob)
        assert exports.frame("claims")["provider_npi"].tolist() == [npi(1)], glob
        assert exports.files["rows_read"].sum() == 4
    alone = open_claims(tmp_path, "in/eob/e1.json")
    assert alone.set_aside["reason"].tolist() == ["missing:provider_npi"]


def test_many_small_files_are_read_as_each_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Together or alone: the same rows, accounts by file, and places of what was set aside."""
    whole = [eob(n, item(1), item(2, amount("submitted", "x"))) for n in range(5)]
    texts = [json.dumps(one) for one in whole]
    texts += [
        json.dumps(bundle(eob(6, item(1)), {"resourceType": "Patient", "id": "p"})),
        texts[0] + "\n{\n" + texts[1],
    ]
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.json").write_text(text, encoding="utf-8")
    together = open_claims(tmp_path, "*.json")
    monkeypatch.setattr(readers, "_TOGETHER", 0)
    alone = open_claims(tmp_path, "*.json")
    assert together.files["rows_read"].tolist()[:7] == [2, 2, 2, 2, 2, 2, 5]
    for name in ("files", "set_aside", "findings"):
        pd.testing.assert_frame_equal(getattr(together, name), getattr(alone, name))
    pd.testing.assert_frame_equal(together.frame("claim_versions"), alone.frame("claim_versions"))


def test_own_columns_and_selection(tmp_path: Path) -> None:
    coverage = {"resourceType": "Coverage", "id": "v1", "subscriberId": "M-9", "network": "HMO"}
    insured = [{"focal": True, "coverage": {"reference": "Coverage/v1"}}]
    kinds = [coded(k, "http://terminology.hl7.org/CodeSystem/claim-type") for k in ("professional", "pharmacy")]
    two = [eob(i, type=k, insurance=insured) for i, k in enumerate(kinds)]
    entry = ", columns: {member_id: member_number, network_id: coverage_network}, keep: {claim_type: professional}"
    exports = claims(tmp_path, coverage, ORG, *two, entry=entry)
    assert exports.frame("claims")[["member_id", "network_id"]].to_numpy().tolist() == [["M-9", "HMO"]]
    assert reasons(exports) == {"not_selected:resource_type, claim_type": 3}


def test_options_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="does not take `delimiter`"):
        claims(tmp_path, eob(), entry=", delimiter: ';'")
    (tmp_path / "exports.yaml").write_text(
        "claims: {path: eob.ndjson, format: fhir-eob}\ndirectory: {path: eob.ndjson, format: fhir-eob}\n"
    )
    with pytest.raises(ExportError, match="is for claims only"):
        Exports.open(tmp_path)


def test_references_that_lead_in_a_circle_or_nowhere(tmp_path: Path) -> None:
    role = {"resourceType": "PractitionerRole", "id": "r", "practitioner": {"reference": "PractitionerRole/r"}}
    ways = ["PractitionerRole/r", "#", "#nothing", "Practitioner/none", "http://evil.example/x", "urn:uuid:0", "/", ""]
    exports = claims(tmp_path, role, ORG, ORG, *(eob(i, provider={"reference": w}) for i, w in enumerate(ways)))
    assert reasons(exports) == {"not_selected:resource_type": 3, "missing:provider_npi": len(ways)}


# ---- the real files ----


def count_items(path: Path) -> int:
    read = json.loads(path.read_text(encoding="utf-8"))
    return len(read["item"]) if read["resourceType"] == "ExplanationOfBenefit" else 1


@pytest.fixture(scope="module")
def real(shared_exports: Path) -> Path:
    return shared_exports / "claims" / "fhir-eob"


def test_every_real_file_counted(real: Path, tmp_path: Path) -> None:
    exports = open_claims(tmp_path, str(real / "*.json"))
    files = exports.files[exports.files["table"] == "claims"]
    assert len(files) == 32
    for file in files.to_dict("records"):
        assert file["rows_read"] == count_items(real / Path(file["path"]).name), file["path"]
        assert (
            file["rows_read"]
            == file["accepted"] + file["set_aside"]
            == file["accepted"] + sum(file["reasons"].values())
        )
    assert files["rows_read"].sum() == 28 + 22  # 28 items of 10 EOBs, 22 other resources


def submitted(read: dict[str, Any]) -> list[Decimal]:
    """The billed amounts of a claim, by a plain walk: its items', or the claim's where a single item has none."""
    per_item = [
        [a["amount"]["value"] for a in i.get("adjudication", []) if "submitted" in str(a["category"]) and "amount" in a]
        for i in read["item"]
    ]
    any_amount = any("amount" in a for i in read["item"] for a in i.get("adjudication", []))
    if len(read["item"]) == 1 and not any_amount:
        per_item = [[t["amount"]["value"] for t in read["total"] if "submitted" in str(t["category"])]]
    return [D(v) for values in per_item for v in values]


def test_billed_sums_of_every_real_file(real: Path, tmp_path: Path) -> None:
    """Staged before any rule: the made-up NPIs would set nearly all aside. Three files share one claim number."""
    expected: dict[str, tuple[Decimal, int]] = {}
    for path in sorted(real.glob("*ExplanationOfBenefit*.json")):
        read = json.loads(path.read_text(encoding="utf-8"), parse_float=str, parse_int=str)
        total, lines = expected.get(read["identifier"][0]["value"], (D(0), 0))
        expected[read["identifier"][0]["value"]] = total + sum(submitted(read)), lines + len(read["item"])
    write_config(tmp_path, str(real / "*.json"))
    con, work = intake.connect()
    config = read_config(tmp_path)
    files = [(table, source, find_files(tmp_path, source)) for table, source in config.sources()]
    intake.load(con, work, tmp_path, files, date(2026, 6, 30))
    staged = con.execute(
        "SELECT claim_id, coalesce(sum(billed_amount), 0), count(*) FROM staging_claims "
        "WHERE claim_id IS NOT NULL GROUP BY 1"
    ).fetchall()
    assert {claim: (total, lines) for claim, total, lines in staged} == expected
    assert sum(total for total, _ in expected.values()) == D("8077.48")


def test_the_oracle_agrees(real: Path, tmp_path: Path) -> None:
    """fhir.resources (R4B) reads each file and finds the types and ids that we do."""
    pytest.importorskip("fhir.resources")
    from fhir.resources.R4B import get_fhir_model_class

    for path in sorted(real.glob("*.json")):
        [one] = read_resources(path)
        model = get_fhir_model_class(one.body["resourceType"]).model_validate_json(path.read_bytes())
        assert getattr(model, "id", None) == one.body.get("id")
        assert len(getattr(model, "item", None) or []) == len(one.body.get("item", []))


# ---- fuzzing ----

SEEDS: list[Callable[[], bytes]] = [
    lambda: json.dumps(bundle(ORG, DOCTOR, PATIENT, eob(1, item(1), item(2)), eob(2)), indent=1).encode(),
    lambda: "\n".join(map(json.dumps, (ORG, eob(1, item(1), item(2)), PATIENT, eob(2)))).encode(),
    lambda: json.dumps(eob(1, item(1, amount("submitted", 5), amount("benefit", 4)), careTeam=[])).encode(),
]
# fmt: off
PIECES = st.sampled_from([
    b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\", b"\x00", b"\xff", b"null", b"\n", b'"entry"', b"\xef\xbb\xbf",
    b"1e999999999", b'{"resource":', b"\\u0000", b"\\ud800", b'"resourceType"', b"-", b"true", b"[" * 2000,
])
# fmt: on
EDITS = st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 30), PIECES | st.binary(max_size=8)), max_size=6)


def mutate(seed: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for at, drop, put in edits:
        at %= len(seed) + 1
        seed = seed[:at] + put + seed[at + drop :]
    return seed


def check_accounts(folder: Path, content: bytes) -> None:
    """Whatever the file holds, it is refused in one sentence or every resource of it is accounted for."""
    (folder / "eob.json").write_bytes(content)
    try:
        resources = list(read_resources(folder / "eob.json"))
        exports = open_claims(folder, "eob.json")
    except ExportError:
        return
    items = [f.body.get("item") for f in resources if f.body.get("resourceType") == "ExplanationOfBenefit"]
    units = sum(max(len(i), 1) if isinstance(i, list) else 1 for i in items)
    units += sum(f.reason != "" or f.body.get("resourceType") != "ExplanationOfBenefit" for f in resources)
    [file] = exports.files[exports.files["table"] == "claims"].to_dict("records")
    assert file["rows_read"] == units == file["accepted"] + file["set_aside"]
    assert len(exports.set_aside) == file["set_aside"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(SEEDS), EDITS)
def test_fuzz(tmp_path: Path, seed: Callable[[], bytes], edits: list[tuple[int, int, bytes]]) -> None:
    check_accounts(tmp_path, mutate(seed(), edits))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["coding", "code", "value"]), inner),
    max_leaves=4,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_fuzz_of_shapes(tmp_path: Path, data: st.DataObject) -> None:
    """Any element may hold anything: still every item counts."""
    one = eob(
        1, item(1, careTeamSequence=[1]), careTeam=[{"sequence": 1}], diagnosis=[{}], insurance=[{}], related=[{}]
    )
    for _ in range(data.draw(st.integers(1, 3))):
        at: Any = one
        while isinstance(at, dict | list) and at:
            key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
            if not isinstance(at[key], dict | list) or data.draw(st.booleans()):
                at[key] = data.draw(VALUES)
                break
            at = at[key]
    check_accounts(tmp_path, json.dumps(one).encode())


def test_the_recursion_limit_is_left_alone() -> None:
    assert sys.getrecursionlimit() >= 1000
