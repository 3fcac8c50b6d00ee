"""FHIR Plan-Net as the directory: rows by hand, by a brute-force oracle, and from the real examples."""

import json
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sca_analysis import readers
from sca_analysis.errors import ExportError
from sca_analysis.exports import Exports
from sca_analysis.readers import fhir_directory
from sca_analysis.readers.fhir import read_resources
from sca_analysis.readers.fhir_directory import recognise
from tests.folders import npi
from tests.test_fhir import EDITS, bundle, coded, mutate

PLAN_NET = "http://hl7.org/fhir/us/davinci-pdex-plan-net/StructureDefinition/"
NUCC = "http://nucc.org/provider-taxonomy"
Json = dict[str, Any]


def ref(key: str) -> Json:
    return {"reference": key}


def specialty(*codes: str) -> list[Json]:
    return [coded(c, NUCC) for c in codes]


def new_patients(code: str, network: str = "") -> Json:
    parts: list[Json] = [{"url": "acceptingPatients", "valueCodeableConcept": coded(code)}]
    parts += [{"url": "fromNetwork", "valueReference": ref(network)}] if network else []
    return {"url": PLAN_NET + "newpatients", "extension": parts}


def in_networks(*keys: str) -> list[Json]:
    return [{"url": PLAN_NET + "network-reference", "valueReference": ref(k)} for k in keys]


def doctor(number: int = 1, **more: Any) -> Json:
    return {
        "resourceType": "Practitioner",
        "id": f"d{number}",
        "identifier": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": npi(number)}],
        "name": [{"family": "Solo", "given": ["Hans", "X"]}],
        "communication": [coded("ja"), coded("en")],
    } | more


def place(number: int = 1, **more: Any) -> Json:
    address = {"postalCode": f"0433{number}-1234"}
    position = {"longitude": -69.5, "latitude": 44.25}
    return {"resourceType": "Location", "id": f"l{number}", "address": address, "position": position} | more


def service(number: int = 1, method: str = "", **more: Any) -> Json:
    kind = [{"url": "type", "valueCodeableConcept": coded(method)}]
    said = [{"url": PLAN_NET + "delivery-method", "extension": kind}] if method else []
    return {"resourceType": "HealthcareService", "id": f"s{number}", "extension": said} | more


def organization(number: int = 1, **more: Any) -> Json:
    identifier = [{"system": "http://hl7.org/fhir/sid/us-npi", "value": npi(100 + number)}]
    return {"resourceType": "Organization", "id": f"n{number}", "name": f"N{number}", "identifier": identifier} | more


def role(**more: Any) -> Json:
    return {
        "resourceType": "PractitionerRole",
        "id": "r1",
        "practitioner": ref("Practitioner/d1"),
        "extension": in_networks("Organization/n1"),
        "location": [ref("Location/l1")],
        "specialty": specialty("2084P0800X"),
    } | more


def affiliation(**more: Any) -> Json:
    return {
        "resourceType": "OrganizationAffiliation",
        "id": "a1",
        "participatingOrganization": ref("Organization/n2"),
        "network": [ref("Organization/n1")],
        "location": [ref("Location/l1")],
        "specialty": specialty("261QM0801X"),
    } | more


def open_directory(folder: Path, path: str, entry: str = "") -> Exports:
    header = "claim_id,line_number,member_id,provider_npi,service_date,procedure_code,billed_amount\n"
    (folder / "claims.csv").write_text(header, encoding="utf-8")
    (folder / "exports.yaml").write_text(
        f"claims: {{path: claims.csv}}\ndirectory: {{path: '{path}', format: fhir-plan-net{entry}}}\n", encoding="utf-8"
    )
    return Exports.open(folder)


def directory(folder: Path, *resources: Json, entry: str = "") -> Exports:
    (folder / "plan.json").write_text(json.dumps(bundle(*resources)), encoding="utf-8")
    exports = open_directory(folder, "plan.json", entry)
    accounts(exports)
    return exports


def accounts(exports: Exports) -> dict[str, int]:
    found: dict[str, int] = {}
    for file in exports.files[exports.files["table"] == "directory"].to_dict("records"):
        assert file["rows_read"] == file["accepted"] + file["set_aside"]
        assert file["set_aside"] == sum(file["reasons"].values())
        found |= {k: found.get(k, 0) + v for k, v in file["reasons"].items()}
    assert len(exports.set_aside) == exports.files["set_aside"].sum()
    return found


def rows(exports: Exports) -> list[Json]:
    frame = exports.frame("directory").astype(object)
    found: list[Json] = frame.where(frame.notna(), None).to_dict("records")
    return found


def one(folder: Path, *resources: Json, entry: str = "") -> Json:
    [found] = rows(directory(folder, *resources, entry=entry))
    return found


def test_a_row_by_hand(tmp_path: Path) -> None:
    period = {"start": "2024-02", "end": "2024-02"}
    found = one(tmp_path, doctor(), place(), organization(), role(period=period))
    assert {k: v for k, v in found.items() if "date" not in k and v is not None} == {
        "npi": npi(1),
        "provider_name": "Hans X Solo",
        "taxonomy_code": "2084P0800X",
        "network_id": "n1",
        "zip": "04331",
        "latitude": 44.25,
        "longitude": -69.5,
        "languages": "en;ja",
        "location_id": "l1",
    }
    assert (str(found["effective_date"])[:10], str(found["termination_date"])[:10]) == ("2024-02-01", "2024-02-29")


def test_an_affiliation_lists_its_participating_organisation(tmp_path: Path) -> None:
    found = one(tmp_path, organization(1), organization(2), place(), affiliation(organization=ref("Organization/n9")))
    assert [found[c] for c in ("npi", "provider_name", "network_id")] == [npi(102), "N2", "n1"]


@pytest.mark.parametrize(
    ("of_role", "of_service", "of_place", "accepting"),
    [
        ([], [], [], None),
        ([new_patients("newpt")], [], [], True),
        ([new_patients("nopt")], [new_patients("newpt")], [], False),
        ([new_patients("existptonly")], [], [], False),
        ([new_patients("existptfam")], [], [], False),
        ([new_patients("newpt", "Organization/n9")], [], [], None),
        ([new_patients("nopt"), new_patients("newpt", "Organization/n1")], [], [], True),
        ([new_patients("newpt"), new_patients("nopt", "Organization/n1")], [], [], False),
        ([], [new_patients("nopt")], [new_patients("newpt")], False),
        ([], [], [new_patients("newpt")], True),
    ],
)
def test_new_patients(
    tmp_path: Path, of_role: list[Json], of_service: list[Json], of_place: list[Json], accepting: bool | None
) -> None:
    listed = role(extension=in_networks("Organization/n1") + of_role, healthcareService=[ref("HealthcareService/s1")])
    found = one(tmp_path, listed, doctor(), place(extension=of_place), service(extension=of_service))
    assert found["accepting_new_patients"] is accepting


@pytest.mark.parametrize(
    ("methods", "telehealth"), [([], None), (["physical"], False), (["virtual"], True), (["physical", "virtual"], True)]
)
def test_telehealth(tmp_path: Path, methods: list[str], telehealth: bool | None) -> None:
    services = [service(i, m) for i, m in enumerate(methods)]
    listed = role(healthcareService=[ref(f"HealthcareService/s{i}") for i in range(len(methods))])
    assert one(tmp_path, listed, doctor(), place(), *services)["telehealth"] is telehealth


def test_specialty_and_place_of_the_services_where_the_role_has_none(tmp_path: Path) -> None:
    served = service(specialty=specialty("101YP2500X"), location=[ref("Location/l2")], communication=[coded("ru")])
    bare = role(specialty=[], location=[], healthcareService=[ref("HealthcareService/s1")])
    found = one(tmp_path, bare, doctor(), place(1), place(2), served)
    assert (found["taxonomy_code"], found["location_id"], found["languages"]) == ("101YP2500X", "l2", "en;ja;ru")
    qualified = doctor(qualification=[{"code": coded("103T00000X", NUCC)}])
    assert one(tmp_path, role(specialty=[]), qualified, place())["taxonomy_code"] == "103T00000X"


def test_what_is_no_listing(tmp_path: Path) -> None:
    exports = directory(
        tmp_path,
        role(extension=[]),
        role(active=False),
        role(active=False, period={"end": "2025-03-31"}),
        role(practitioner=ref("Practitioner/d2")),
        role(location=[ref("Location/l2")]),
        role(practitioner=None),
        role(location=[]),
        role(specialty=[]),
        doctor(1),
        doctor(2, active=False),
        place(1),
        place(2, status="suspended"),
        {"resourceType": "InsurancePlan"},
        {"resourceType": "Endpoint"},
    )
    assert accounts(exports) == {
        "no_network": 1,
        "inactive": 3,
        "missing:npi": 1,
        "missing:zip": 1,
        "missing:taxonomy_code": 1,
        "not_selected:resource_type": 6,
    }
    assert [str(r["termination_date"])[:10] for r in rows(exports)] == ["2025-03-31"]
    aside = exports.set_aside
    assert aside["row"].tolist() == [1, 2, 4, 5, 6, 7, 8, *range(9, 15)]


def at_group(**more: Any) -> Json:
    """A role without a network of its own, at organisation 5."""
    return role(extension=[], organization=ref("Organization/n5"), **more)


def of_group(number: int = 1, **more: Any) -> Json:
    """The participation of organisation 5 in network 1."""
    given = {"participatingOrganization": ref("Organization/n5"), "id": f"a{number}"}
    return affiliation(**(given | more))


SOURCES = ", columns: {languages: network_source}"


def listed(exports: Exports) -> list[tuple[Any, ...]]:
    """Network, place and where the network is known from, of the practitioners' rows."""
    found = [r for r in rows(exports) if r["npi"] == npi(1)]
    return sorted((r["network_id"], r["location_id"], r["languages"]) for r in found)


def test_a_role_takes_part_through_its_organisation(tmp_path: Path) -> None:
    both = [ref("Organization/n1"), ref("Organization/n3")]
    exports = directory(tmp_path, at_group(), of_group(network=both), doctor(), place(), entry=SOURCES)
    assert listed(exports) == [("n1", "l1", "organization"), ("n3", "l1", "organization")]


def test_networks_of_its_own_come_first(tmp_path: Path) -> None:
    own = role(organization=ref("Organization/n5"))
    exports = directory(tmp_path, own, of_group(network=[ref("Organization/n3")]), doctor(), place(), entry=SOURCES)
    assert listed(exports) == [("n1", "l1", "role")]


def test_an_affiliation_counts_at_its_places(tmp_path: Path) -> None:
    many = at_group(location=[ref("Location/l1"), ref("Location/l2")])
    affiliations = [
        of_group(1, location=[ref("Location/l2")]),
        of_group(2, location=[], network=[ref("Organization/n3")]),
        of_group(3, location=[ref("Location/l9")], network=[ref("Organization/n4")]),
        of_group(4, participatingOrganization=ref("Organization/n6"), network=[ref("Organization/n7")]),
    ]
    exports = directory(tmp_path, many, *affiliations, doctor(), place(1), place(2), entry=SOURCES)
    expected = [("n1", "l2"), ("n3", "l1"), ("n3", "l2")]
    assert listed(exports) == [(*pair, "organization") for pair in expected]


@pytest.mark.parametrize(
    ("affiliations", "spans"),
    [
        ([of_group(active=False)], []),
        ([of_group(period={"start": "2020"})], ["2024-02-01 2024-06-30"]),
        ([of_group(period={"start": "2024-03-05", "end": "2024-05-05"})], ["2024-03-05 2024-05-05"]),
        ([of_group(active=False, period={"end": "2024-05"})], ["2024-02-01 2024-05-31"]),
        (
            [of_group(1, period={"end": "2024-03"}), of_group(2, period={"start": "2024-06"})],
            ["2024-02-01 2024-03-31", "2024-06-01 2024-06-30"],
        ),
    ],
)
def test_as_long_as_both_periods_last(tmp_path: Path, affiliations: list[Json], spans: list[str]) -> None:
    own = at_group(period={"start": "2024-02", "end": "2024-06"})
    exports = directory(tmp_path, own, *affiliations, doctor(), place())
    found = [r for r in rows(exports) if r["npi"] == npi(1)]
    assert sorted(f"{r['effective_date']:%Y-%m-%d} {r['termination_date']:%Y-%m-%d}" for r in found) == spans
    assert accounts(exports).get("no_network", 0) == (0 if spans else 1)


def test_an_affiliation_in_another_file_and_too_many_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, found in enumerate([at_group(), of_group(), doctor(), place()]):
        (tmp_path / f"{number}.json").write_text(json.dumps(found), encoding="utf-8")
    assert [r[0] for r in listed(open_directory(tmp_path, "*.json"))] == ["n1"]
    monkeypatch.setattr(fhir_directory, "MAX_LISTINGS", 3)
    many = of_group(network=[ref(f"Organization/n{i}") for i in range(4)], location=[])
    assert accounts(directory(tmp_path, at_group(), many, doctor(), place()))["too_many_listings"] == 2


def test_insurance_plans_of_a_network(tmp_path: Path) -> None:
    """They say which plans a listing is good for; they give a role no network."""
    plans = [
        {"resourceType": "InsurancePlan", "id": "gold", "status": "active", "network": [ref("Organization/n1")]},
        {"resourceType": "InsurancePlan", "id": "basic", "plan": [{"network": [ref("Organization/n1")]}]},
        {"resourceType": "InsurancePlan", "id": "old", "status": "retired", "network": [ref("Organization/n1")]},
        {"resourceType": "InsurancePlan", "id": "other", "network": [ref("Organization/n2")]},
    ]
    without = at_group(id="r9")
    entry = ", columns: {languages: insurance_plans, provider_name: network_name}"
    exports = directory(tmp_path, role(), without, *plans, doctor(), place(), organization(1), entry=entry)
    [found] = rows(exports)
    assert (found["languages"], found["provider_name"]) == ("basic;gold", "N1")
    assert accounts(exports) == {"no_network": 1, "not_selected:resource_type": 7}


def test_a_network_said_in_exports_yaml(tmp_path: Path) -> None:
    found = one(tmp_path, role(extension=[]), doctor(), place(), entry=", constants: {network_id: EX1}")
    assert found["network_id"] == "EX1"


def test_more_listings_than_any_role_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fhir_directory, "MAX_LISTINGS", 3)
    many = role(location=[ref(f"Location/l{i}") for i in range(4)])
    exports = directory(tmp_path, many, role(id="r2"), doctor(), place())
    assert accounts(exports)["too_many_listings"] == 1
    assert len(rows(exports)) == 1


def test_one_file_per_type_and_per_resource(tmp_path: Path) -> None:
    resources = [role(), role(id="r2", location=[ref("Location/l2")]), doctor(), place(1), place(2), organization()]
    whole = rows(directory(tmp_path, *resources))
    for split in ("resourceType", "id"):
        folder = tmp_path / split
        folder.mkdir()
        for r in resources:
            with (folder / f"{r[split]}.ndjson").open("a", encoding="utf-8") as file:
                file.write(json.dumps(r) + "\n")
        exports = open_directory(tmp_path, f"{split}/*.ndjson")
        assert rows(exports) == whole
        assert exports.files["rows_read"].sum() == len(resources)
        accounts(exports)


def test_many_small_files_are_read_as_each_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Together or alone: the same rows, accounts by file, and places of what was set aside."""
    resources = [role(), doctor(), place(), organization(), at_group(id="r2"), of_group(), affiliation(id="a9")]
    texts = [json.dumps(r) for r in resources]
    texts += [json.dumps(bundle(role(id="r3"), role(id="r4", location=[]))), "\n".join([texts[0], "{", texts[1]])]
    texts += [json.dumps(role(id="r5", location=[ref(f"Location/l{i}") for i in range(9)]))]
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.json").write_text(text, encoding="utf-8")
    monkeypatch.setattr(fhir_directory, "MAX_LISTINGS", 5)
    calls: list[int] = []
    read_all = fhir_directory.read_all
    counted = readers.READERS["fhir-plan-net"]._replace(
        read_all=lambda c, p, *a: calls.append(len(p)) or read_all(c, p, *a)
    )
    monkeypatch.setitem(readers.READERS, "fhir-plan-net", counted)
    together = open_directory(tmp_path, "*.json")
    assert calls == [10]
    monkeypatch.setattr(readers, "_TOGETHER", 0)
    alone = open_directory(tmp_path, "*.json")
    assert calls == [10]
    accounts(together)
    assert together.set_aside["path"].nunique() > 5
    assert {"too_many_listings", "malformed_record", "missing:zip"} <= set(together.set_aside["reason"])
    for name in ("files", "set_aside", "findings"):
        pd.testing.assert_frame_equal(getattr(together, name), getattr(alone, name))
    pd.testing.assert_frame_equal(together.frame("directory"), alone.frame("directory"))


def test_entries_that_refer_to_each_other_by_urn(tmp_path: Path) -> None:
    linked = role(practitioner=ref("urn:uuid:1"), location=[ref("urn:uuid:2")], extension=in_networks("urn:uuid:3"))
    entries: list[Json] = [{"resource": linked}]
    for i, r in enumerate((doctor(), place(), organization()), start=1):
        entries.append({"fullUrl": f"urn:uuid:{i}", "resource": r})
    (tmp_path / "plan.json").write_text(json.dumps({"resourceType": "Bundle", "entry": entries}), encoding="utf-8")
    [found] = rows(open_directory(tmp_path, "plan.json"))
    assert [found[c] for c in ("npi", "location_id", "network_id")] == [npi(1), "l1", "n1"]


def test_of_a_resource_that_is_there_twice_the_newer_counts(tmp_path: Path) -> None:
    old = place(address={"postalCode": "99999"}, meta={"lastUpdated": "2025-01-01T00:00:00Z"})
    new = place(meta={"lastUpdated": "2026-01-01T00:00:00Z"})
    assert one(tmp_path, old, new, old, role(), doctor())["zip"] == "04331"


def test_recognised_by_content() -> None:
    assert recognise(json.dumps(bundle(role())).encode(), "x")
    assert not recognise(b'{"resourceType": "ExplanationOfBenefit"}', "x")
    assert not recognise(b"npi,name\n", "x")


# ---- a brute-force oracle ----

KEYS = [1, 2, 3]
SUBSET = st.lists(st.sampled_from(KEYS), max_size=3, unique=True)
TAXA = ["2084P0800X", "101YP2500X", "103T00000X"]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(SUBSET, SUBSET, SUBSET, SUBSET), min_size=1, max_size=4), SUBSET, SUBSET)
def test_listings_are_the_product_of_what_a_role_has(
    tmp_path: Path, given_roles: list[tuple[list[int], ...]], served_at: list[int], served: list[int]
) -> None:
    at = [ref(f"Location/l{i}") for i in served_at]
    shared = [doctor(), *(place(i) for i in KEYS)]
    shared.append(service(location=at, specialty=specialty(*(TAXA[i - 1] for i in served))))
    roles, expected, unlisted = [], set(), 0
    for number, (places, networks, taxa, services) in enumerate(given_roles):
        roles.append(
            role(
                id=f"r{number}",
                location=[ref(f"Location/l{i}") for i in places],
                extension=in_networks(*(f"Organization/n{i}" for i in networks)),
                specialty=specialty(*(TAXA[i - 1] for i in taxa)),
                healthcareService=[ref("HealthcareService/s1")] if services else [],
            )
        )
        l_, t_ = places or (served_at if services else []), taxa or (served if services else [])
        for where, network, code in product(l_ or [0], networks or [0], t_ or [0]):
            if where and network and code:
                expected.add((f"l{where}", f"n{network}", TAXA[code - 1], f"0433{where}"))
            else:
                unlisted += 1
    exports = directory(tmp_path, *shared, *roles)
    found = {(r["location_id"], r["network_id"], r["taxonomy_code"], r["zip"]) for r in rows(exports)}
    assert found == expected
    reasons = accounts(exports)
    assert sum(n for r, n in reasons.items() if r == "no_network" or r.startswith("missing")) == unlisted
    assert reasons["not_selected:resource_type"] == len(shared)


# ---- the real examples ----


@pytest.fixture(scope="module")
def examples(shared_exports: Path) -> Path:
    return shared_exports / "network" / "fhir-plan-net" / "examples"


def count_listings(read: Json, all_of_them: dict[str, Json]) -> int:
    """Count by hand: locations x networks x NUCC codes, those of the services where the role has none."""
    services = [all_of_them[s["reference"]] for s in read.get("healthcareService", [])]

    def distinct(name: str) -> int:
        own = [json.dumps(x, sort_keys=True) for x in read.get(name, [])]
        return max(len(set(own or [json.dumps(x, sort_keys=True) for s in services for x in s.get(name, [])])), 1)

    networks = [e for e in read.get("extension", []) if e["url"].endswith("network-reference")] + read.get(
        "network", []
    )
    return distinct("location") * max(len(networks), 1) * distinct("specialty")


def test_every_example_counted(examples: Path, tmp_path: Path) -> None:
    read = {p.name: json.loads(p.read_text(encoding="utf-8")) for p in examples.glob("*.json")}
    by_key = {f"{r['resourceType']}/{r['id']}": r for r in read.values()}
    exports = open_directory(tmp_path, str(examples / "*.json"))
    accounts(exports)
    files = exports.files[exports.files["table"] == "directory"].to_dict("records")
    assert len(files) == 49
    for file in files:
        one_read = read[Path(file["path"]).name]
        listing = one_read["resourceType"] in ("PractitionerRole", "OrganizationAffiliation")
        assert file["rows_read"] == (count_listings(one_read, by_key) if listing else 1), file["path"]
    assert sum(f["rows_read"] for f in files) == 36 + 16  # 36 other resources, 16 listings of 13


def test_examples_by_hand(examples: Path, tmp_path: Path) -> None:
    """Their NPIs are made up (NPI323); with that rule relaxed the listings can be read off the files."""
    exports = open_directory(tmp_path, str(examples / "*.json"), ", rules: {npi_shape: warn}")
    found = {(r["npi"], r["taxonomy_code"], r["location_id"]): r for r in rows(exports)}
    assert set(found) == {
        ("NPI999", "207Q00000X", "HospLoc2"),
        ("NPI78", "207Q00000X", "HospLoc1"),
        ("NPI456", "207X00000X", "HospLoc1"),
        ("NPI456", "207X00000X", "HospLoc2"),
        ("NPI-ORGA", "3336C0003X", "PharmLoc1"),
        ("NPI-ORGA", "3336C0003X", "PharmLoc2"),
        ("NPI-ORGA", "3336C0004X", "PharmLoc1"),
        ("NPI3233", "207R00000X", "HansSoloClinic"),
        ("NPI323", "207R00000X", "HospLoc1"),
    }
    assert {r["network_id"] for r in found.values()} == {"AcmeofCTStdNet"}
    assert found["NPI3233", "207R00000X", "HansSoloClinic"]["accepting_new_patients"] is False
    reasons = accounts(exports)
    assert {k: reasons[k] for k in ("no_network", "missing:zip", "missing:npi")} == {
        "no_network": 1,  # ConnHIEAffil
        "missing:zip": 2,  # CounselorRole1, PharmChainAffil3
        "missing:npi": 4,  # AnonRole, JoeSmithRole2, JoeSmithRole3 with two specialties
    }


def test_examples_as_one_bundle_and_as_ndjson(examples: Path, tmp_path: Path) -> None:
    read = [json.loads(p.read_text(encoding="utf-8")) for p in sorted(examples.glob("*.json"))]
    relaxed = ", rules: {npi_shape: warn}"
    single = rows(open_directory(tmp_path, str(examples / "*.json"), relaxed))
    assert rows(directory(tmp_path, *read, entry=relaxed)) == single
    (tmp_path / "plan.ndjson").write_text("\n".join(map(json.dumps, read)), encoding="utf-8")
    assert rows(open_directory(tmp_path, "plan.ndjson", relaxed)) == single


def test_the_oracle_agrees(examples: Path) -> None:
    pytest.importorskip("fhir.resources")
    from fhir.resources.R4B import get_fhir_model_class

    for path in sorted(examples.glob("*.json")):
        [found] = read_resources(path)
        model = get_fhir_model_class(found.body["resourceType"]).model_validate_json(path.read_bytes())
        assert getattr(model, "id", None) == found.body["id"]


# ---- fuzzing ----


def check_accounts(folder: Path, content: bytes) -> None:
    """The file is refused in one sentence, or every resource of it is accounted for."""
    (folder / "plan.json").write_bytes(content)
    try:
        resources = list(read_resources(folder / "plan.json"))
        exports = open_directory(folder, "plan.json")
    except ExportError:
        return
    accounts(exports)
    listings = [f for f in resources if f.body.get("resourceType") in ("PractitionerRole", "OrganizationAffiliation")]
    [file] = exports.files[exports.files["table"] == "directory"].to_dict("records")
    assert file["rows_read"] >= len(resources)
    assert file["rows_read"] == len(resources) if not listings else True


SEED = bundle(role(), affiliation(), doctor(), place(), organization(1), organization(2), service(1, "virtual"))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([json.dumps(SEED).encode(), json.dumps(SEED, indent=1).encode()]), EDITS)
def test_fuzz(tmp_path: Path, seed: bytes, edits: list[tuple[int, int, bytes]]) -> None:
    check_accounts(tmp_path, mutate(seed, edits))
