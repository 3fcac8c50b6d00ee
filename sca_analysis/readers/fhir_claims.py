"""FHIR ExplanationOfBenefit (R4) as claims: CARIN Blue Button, CMS Blue Button 2 and BCDA, also their STU3 names.

A row is an item of an ExplanationOfBenefit, or one without items. Every other resource of the file
(Patient, Coverage, Practitioner, Organization …) is a row that is not selected, by its ``resource_type``;
what claims need of it is looked up, in all files that the same glob of ``exports.yaml`` gives.

- claim_id: the identifier of type ``uc`` (CARIN: unique claim id), else Blue Button's claim id, else the
  first identifier, else the id. line_number: ``sequence``. claim_version: ``created``, as a number
  YYYYMMDDhhmmss in UTC, so that of two states of a claim the one made later counts.
- claim_status: ``reversed`` where the status is cancelled, or another claim replaces this one (``related``:
  replacedby here, or prior in a claim of the same file or, of many small files, of the entry); ``denied`` where
  a denial reason stands and nothing was allowed or paid, or Medicare's carrier denied payment.
- provider_npi: who rendered or performed the item (``careTeamSequence``, else any of the care team), else
  ``provider``. taxonomy_code: the NUCC code beside it, else the only one of its Practitioner.
- member_id: the identifier in ``patient``, else the id that it refers to.
- billed, allowed, paid: submitted, eligible, benefit (else paidtoprovider and paidtopatient). member_amount:
  deductible, coinsurance and copay, else memberliability. An item has its own amounts only; the amounts of
  the claim count for a claim of one item (or none) that has none. Money is in USD.
- network_status: ``benefitpaymentstatus`` of the item, else of the claim; where it says neither in nor out,
  ``renderingnetworkstatus``, then ``billingnetworkstatus``.
- procedure_code: CPT, HCPCS or CDT; revenue codes and NDCs are none. diagnosis_code: ICD-10-CM, the item's
  first, else the principal one, else the first.

Set aside: ``not_a_claim`` (use is no claim, or the status draft or entered-in-error), ``not_adjudicated``
(outcome queued or error), ``amounts_disagree`` (two amounts of one category), ``not_in_usd``, and damage.
Further columns to map under ``columns`` or to ``keep`` by: see ``OWN``.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa

from sca_analysis.readers.fhir import Found, Json, read_resources, siblings, types_in
from sca_analysis.readers.fhir_references import (
    NUCC,
    codes_of,
    codings,
    day_of,
    describe,
    index,
    key_of,
    nodes,
    npi_of,
    raw_of,
    refuse_options,
    text,
    write_rows,
)
from sca_analysis.readers.source import Malformed, Raw, Source, name, quote
from sca_analysis.tables import CLAIMS, Table

_CLAIM = "ExplanationOfBenefit"
_SEEN = frozenset((_CLAIM, "Coverage", "Patient", "RelatedPerson", "Practitioner", "Organization"))
_REFERRED = frozenset(("Practitioner", "PractitionerRole", "Organization", "Patient", "Coverage"))
#: Columns beside the canonical ones.
OWN = (
    "resource_type",
    "resource_id",
    "claim_type",  # professional, institutional, oral, pharmacy, vision
    "revenue_code",
    "ndc",
    "billing_npi",  # of `provider`
    "member_number",  # of the Coverage or Patient: subscriberId, or the identifier of type MB
    "coverage_network",
    "benefit_payment_status",
    "rendering_network_status",
    "billing_network_status",
)
_KEYS = ("provider", "billing", "patient", "coverage", "replaces")
_WRITTEN = [c for c in CLAIMS.names if c not in ("member_zip", "network_id")]
_SCHEMA = pa.schema(
    [("file", pa.int64()), ("place", pa.int64())] + [(n, pa.string()) for n in (*_WRITTEN, *OWN, *_KEYS)]
)
_ACTIVE_ROLES = ("rendering", "performing", "primary")
_OTHER_ROLES = ("referring", "supervising", "supervisor", "assist", "pcp", "prescribing", "other", "otheroperating")
_MOST = re.compile(r"-?\d{1,15}(\.\d{1,10})?")
_PROCEDURE = re.compile(r"[0-9A-Z]\d{3}[0-9A-Z]")
_PROCEDURES = ("cpt", "hcpcs", "cdt", "113883.6.12", "113883.6.285", "113883.6.13")
_STATUS = {"innetwork": "in", "outofnetwork": "out"}
# categories of HL7 and CARIN, with the variables of Blue Button's first version (and BCDA's) that say the same
_CATEGORIES = {
    "line_sbmtd_chrg_amt": "submitted",
    "rev_cntr_tot_chrg_amt": "submitted",
    "line_alowd_chrg_amt": "eligible",
    "line_nch_pmt_amt": "benefit",
    "rev_cntr_pmt_amt_amt": "benefit",
    "line_prvdr_pmt_amt": "paidtoprovider",
    "rev_cntr_prvdr_pmt_amt": "paidtoprovider",
    "line_bene_pmt_amt": "paidtopatient",
    "rev_cntr_bene_pmt_amt": "paidtopatient",
    "line_bene_ptb_ddctbl_amt": "deductible",
    "rev_cntr_cash_ddctbl_amt": "deductible",
    "line_coinsrnc_amt": "coinsurance",
    "rev_cntr_coinsrnc_wge_adjstd_c": "coinsurance",
}
_AMOUNTS = {*_CATEGORIES.values(), "copay", "memberliability"}

Row = dict[str, object]


def read_claims(con: duckdb.DuckDBPyConnection, path: Path, table: Table, source: Source, work: Path) -> Raw:
    """Map a file of ExplanationOfBenefit resources onto ``claims``; see the module.

    Raises
    ------
    ExportError
        If the table is another one, exports.yaml asks for what is not here, or the file is no FHIR in JSON.

    """
    return read_all(con, [path], table, source, work)


def read_all(con: duckdb.DuckDBPyConnection, paths: Sequence[Path], table: Table, source: Source, work: Path) -> Raw:
    """Map several files, in their order, as ``read_claims`` one."""
    refuse_options(table, CLAIMS, source, "fhir-eob")
    malformed: list[Malformed] = []
    found = (row | {"file": n} for n, path in enumerate(paths) for row in _rows(path, malformed, n))
    rows = write_rows(_SCHEMA, found, work)
    scan = f"read_parquet({quote(str(rows))})"
    [(referring,)] = con.execute(f"SELECT count(*) FROM {scan} WHERE resource_type = {quote(_CLAIM)}").fetchall()
    looked_up = index(con, siblings(paths[0], source.path) if referring else [], _REFERRED, work)
    is_row = f"resource_type = {quote(_CLAIM)}"
    joined = f"({_join(scan, looked_up)})"
    several = len(paths) > 1
    return raw_of(paths[0], table, source, "fhir-eob", joined, is_row, OWN, malformed, several=several)


def recognise(head: bytes, name: str) -> bool:
    """Tell by its first bytes whether a file listed under ``claims`` holds FHIR resources of this reader."""
    del name
    return bool(types_in(head) & _SEEN)


def _join(rows: str, looked_up: str) -> str:
    """SQL for the canonical and own columns of each row, references resolved."""
    plain = ", ".join(f"r.{name(c)}" for c in (*_WRITTEN, *OWN) if c not in _RESOLVED)
    resolved = ", ".join(f"{sql} AS {name(c)}" for c, sql in _RESOLVED.items())
    joined = " ".join(f"LEFT JOIN {looked_up} {k} ON {k}.key = r.{name(k)}" for k in _KEYS if k != "replaces")
    return (
        f"SELECT r.file, r.place, {plain}, {resolved}, CAST(NULL AS VARCHAR) AS network_id FROM {rows} r {joined} "
        f"LEFT JOIN {looked_up} person ON person.key = provider.target LEFT JOIN (SELECT DISTINCT replaces AS old "
        f"FROM {rows} WHERE replaces IS NOT NULL) replaced ON replaced.old = r.claim_id ORDER BY r.file, r.place"
    )


_RESOLVED = {
    "provider_npi": "coalesce(nullif(r.provider_npi, ''), nullif(provider.npi, ''), nullif(person.npi, ''))",
    "billing_npi": "coalesce(nullif(r.billing_npi, ''), nullif(billing.npi, ''))",
    "taxonomy_code": (
        "coalesce(nullif(r.taxonomy_code, ''), CASE WHEN len(provider.taxonomy) = 1 THEN provider.taxonomy[1] END, "
        "CASE WHEN len(person.taxonomy) = 1 THEN person.taxonomy[1] END)"
    ),
    "member_zip": "nullif(patient.zip, '')",
    "member_number": "coalesce(nullif(coverage.member_number, ''), nullif(patient.member_number, ''))",
    "coverage_network": "nullif(coverage.network, '')",
    "claim_status": "CASE WHEN replaced.old IS NOT NULL THEN 'reversed' ELSE r.claim_status END",
}


def _rows(path: Path, malformed: list[Malformed], file: int = 0) -> Iterator[Row]:
    """Yield the rows of a file, and put what is none into ``malformed``."""
    for found in read_resources(path):
        if found.reason:
            malformed.append(Malformed(found.place, found.reason, file=file))
        elif found.body["resourceType"] != _CLAIM:
            yield {"place": found.place, "resource_type": found.body["resourceType"]}
        else:
            yield from _lines(found, malformed, file)


def _lines(found: Found, malformed: list[Malformed], file: int) -> Iterator[Row]:
    """Yield a row for each item of a claim, or one for a claim without items."""
    claim = found.body
    given = claim.get("item")
    items = given if isinstance(given, list) else [given] if given is not None else []
    shared = _shared(found)
    why = _reason(claim)
    for one in items or [{}]:
        try:
            if why or not isinstance(one, dict):
                raise _SetAsideError(why or "malformed_record")
            yield shared | _line(claim, one, alone=len(items) < 2, no_items=not items)
        except _SetAsideError as error:
            malformed.append(Malformed(found.place, str(error), file=file))


class _SetAsideError(ValueError):
    """An item that is no claim line that can be relied on; the text is the reason."""


def _reason(claim: Json) -> str:
    if text(claim, "use") not in ("", "claim") or text(claim, "status") in ("draft", "entered-in-error"):
        return "not_a_claim"
    return "not_adjudicated" if text(claim, "outcome") in ("queued", "error") else ""


def _shared(found: Found) -> Row:
    """The columns that all lines of a claim share."""
    claim = found.body
    patient = claim.get("patient")
    billing = _provider(claim, claim.get("provider"))
    insured = sorted(nodes(claim, "insurance"), key=lambda i: i.get("focal") is not True)
    prior = [one for one in nodes(claim, "related") if "prior" in _codes(one.get("relationship"))]
    old = [text(one, "reference", "value") or text(one, "claim", "identifier", "value") for one in prior]
    return {
        "place": found.place,
        "resource_type": _CLAIM,
        "resource_id": text(claim, "id"),
        "claim_id": _claim_id(claim),
        "claim_version": _version(text(claim, "created")),
        "member_id": _value(nodes(patient, "identifier")) or key_of(patient).rpartition("/")[2],
        "claim_type": next((c for s, c in codings(claim.get("type")) if s.endswith("claim-type")), ""),
        "billing_npi": billing[0],
        "billing": billing[1],
        "patient": key_of(patient),
        "coverage": next((k for one in insured if (k := key_of(one.get("coverage")))), ""),
        "replaces": next((o for o in old if o), None),
    }


def _line(claim: Json, item: Json, *, alone: bool, no_items: bool) -> Row:
    """The columns of one item; ``alone`` may take the amounts of the claim."""
    said = _adjudicated(nodes(item, "adjudication"))
    if not said.keys() & _AMOUNTS and alone:
        said = _adjudicated([*nodes(claim, "total"), *nodes(claim, "adjudication")])
    paid = _single(said, "benefit")
    if not paid:
        paid = _sum([_single(said, k) for k in ("paidtoprovider", "paidtopatient")])
    allowed = _single(said, "eligible")
    npi, provider, taxonomy = _rendering(claim, item)
    product = item.get("productOrService") or item.get("service")
    status = _network(item, claim)
    period = "billablePeriod" if no_items else "servicedPeriod"
    serviced = text(item, "servicedDate") or text(item, period, "start") or text(claim, "billablePeriod", "start")
    return {
        "line_number": "0" if no_items else text(item, "sequence"),
        "provider_npi": npi,
        "provider": provider,
        "taxonomy_code": taxonomy,
        "service_date": day_of(serviced),
        "procedure_code": _procedure(product),
        "diagnosis_code": _diagnosis(claim, item),
        "place_of_service": _place_of_service(item.get("locationCodeableConcept")),
        "units": text(item, "quantity", "value"),
        "billed_amount": _single(said, "submitted"),
        "allowed_amount": allowed,
        "paid_amount": paid,
        "member_amount": _member_amount(said),
        "claim_status": _status(claim, item, allowed, paid),
        "network_status": next((v for s in status.values() if (v := _STATUS.get(s, ""))), ""),
        "revenue_code": next((c for s, c in codings(item.get("revenue")) if "revenuecodes" in s), ""),
        "ndc": next((c for s, c in codings(product) if s.endswith("sid/ndc")), ""),
        **status,
    }


def _claim_id(claim: Json) -> str:
    given = nodes(claim, "identifier")
    unique = [i for i in given if "uc" in _codes(i.get("type"))]
    return (
        _value(unique)
        or _value([i for i in given if text(i, "system").endswith("/clm_id")])
        or (_value(given) or text(claim, "id"))
    )


def _value(identifiers: Sequence[Json]) -> str:
    return next((v for one in identifiers if (v := text(one, "value").strip())), "")


def _codes(concept: object) -> set[str]:
    return {code for _, code in codings(concept)}


def _version(created: str) -> str:
    """``created`` as a number, in UTC where it says its zone."""
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return ""
    return f"{moment.astimezone(UTC) if moment.tzinfo else moment:%Y%m%d%H%M%S}"


def _adjudicated(entries: Sequence[Json]) -> dict[str, list[str]]:
    """Return the distinct amounts of each category, of which there should be one."""
    found: dict[str, list[str]] = {}
    for one in entries:
        value = text(one, "amount", "value")
        currency = text(one, "amount", "currency") or text(one, "amount", "code")
        names = {code.rpartition("/")[2].lower() for _, code in codings(one.get("category"))}
        for category in {_CATEGORIES.get(n, n) for n in names} & _AMOUNTS:
            if value and currency not in ("", "USD"):
                raise _SetAsideError("not_in_usd")
            amounts = found.setdefault(category, [])
            if value and all(_differ(value, a) for a in amounts):
                amounts.append(value)
    return {k: v for k, v in found.items() if v}


def _differ(one: str, other: str) -> bool:
    numbers = _MOST.fullmatch(one) and _MOST.fullmatch(other)
    return Decimal(one) != Decimal(other) if numbers else one != other


def _single(said: dict[str, list[str]], category: str) -> str:
    """Return the one amount of a category, blank without any."""
    amounts = said.get(category, [])
    if len(amounts) > 1:
        raise _SetAsideError("amounts_disagree")
    return amounts[0] if amounts else ""


def _sum(amounts: Sequence[str]) -> str:
    """Add amounts exactly; one that is no plain number stands for all, to be set aside by the rules."""
    given = [a for a in amounts if a]
    odd = next((a for a in given if not _MOST.fullmatch(a)), "")
    return odd or (str(sum(map(Decimal, given), Decimal(0))) if given else "")


def _member_amount(said: dict[str, list[str]]) -> str:
    parts = [said[k] for k in ("deductible", "coinsurance", "copay") if k in said]
    if parts and all(len(p) == 1 for p in parts):
        return _sum([p[0] for p in parts])
    liability = said.get("memberliability", [])  # where a part has two amounts, or there is none
    return liability[0] if len(liability) == 1 else ""


def _provider(claim: Json, reference: object) -> tuple[str, str]:
    """Return the NPI that a reference holds or its contained resource does, else the key to look up."""
    given = text(reference, "reference")
    if npi := npi_of(reference):
        return npi, ""
    if given.startswith("#"):
        own = next((c for c in nodes(claim, "contained") if text(c, "id") in (given[1:], given)), {})
        return npi_of(own), key_of(own.get("practitioner"))
    return "", key_of(reference)


def _rendering(claim: Json, item: Json) -> tuple[str, str, str]:
    """Return NPI, key and taxonomy code of who rendered an item, else of the claim's provider."""
    team = nodes(claim, "careTeam")
    given = item.get("careTeamSequence", item.get("careTeamLinkId"))
    linked = [str(g) for g in given] if isinstance(given, list) else []
    own = [m for m in team if text(m, "sequence") in linked]
    candidates = [m for role in _ACTIVE_ROLES for m in own if role in _roles(m)]
    candidates += [m for m in own if not _roles(m) & {*_OTHER_ROLES}]
    if not own:
        candidates = [m for role in _ACTIVE_ROLES for m in team if role in _roles(m)]
    for member in candidates:
        npi, key = _provider(claim, member.get("provider"))
        if npi or key:
            return (
                npi,
                key,
                next(iter(codes_of(member, "qualification", NUCC)), "")
                or _contained_taxonomy(claim, member.get("provider")),
            )
    npi, key = _provider(claim, claim.get("provider"))
    return npi, key, _contained_taxonomy(claim, claim.get("provider"))


def _contained_taxonomy(claim: Json, reference: object) -> str:
    given = text(reference, "reference")
    own = [c for c in nodes(claim, "contained") if given.startswith("#") and text(c, "id") == given[1:]]
    found = describe(own[0]).get("taxonomy") if own else None
    return found[0] if isinstance(found, list) and len(found) == 1 else ""


def _roles(member: Json) -> set[str]:
    return {c.lower() for c in _codes(member.get("role"))}


def _procedure(concept: object) -> str:
    """Return the first CPT, HCPCS or CDT code; a code without a system must have their shape."""
    for system, code in codings(concept):
        if any(s in system for s in _PROCEDURES) or (not system and _PROCEDURE.fullmatch(code)):
            return code
    return ""


def _diagnosis(claim: Json, item: Json) -> str:
    given = item.get("diagnosisSequence", item.get("diagnosisLinkId"))
    linked = [str(g) for g in given] if isinstance(given, list) else []
    listed = nodes(claim, "diagnosis")
    if linked:
        order: Callable[[Json], int] = lambda d: linked.index(text(d, "sequence"))  # noqa: E731
        ordered = sorted((d for d in listed if text(d, "sequence") in linked), key=order)
    else:
        ordered = sorted(listed, key=lambda d: not any("principal" in _codes(t) for t in nodes(d, "type")))
    for one in ordered:
        for system, code in codings(one.get("diagnosisCodeableConcept")):
            if "icd-10" in system and "pcs" not in system and code:
                return code
    return ""


def _place_of_service(concept: object) -> str:
    """CMS's code of two digits; Blue Button's variable line_place_of_srvc_cd holds the same."""
    return next((c for s, c in codings(concept) if re.fullmatch(r"\d\d", c) and (not s or "place" in s)), "")


def _status(claim: Json, item: Json, allowed: str, paid: str) -> str:
    related = {c for one in nodes(claim, "related") for c in _codes(one.get("relationship"))}
    if text(claim, "status") == "cancelled" or related & {"replacedby", "replaced-by"}:
        return "reversed"
    nothing = not any(a.strip("0.-") for a in (allowed, paid))
    reasons = [*nodes(item, "adjudication"), *nodes(claim, "adjudication")]
    denial = any("denialreason" in _codes(a.get("category")) and _codes(a.get("reason")) for a in reasons)
    stated = text(claim, "disposition").strip().casefold() == "denied"
    return "denied" if _carrier_denied(claim) or (nothing and (denial or stated)) else ""


def _carrier_denied(claim: Json) -> bool:
    """Carrier Claim Payment Denial Code 0: denied (an extension, later supporting information)."""
    for one in nodes(claim, "extension"):
        if text(one, "url").endswith("/carr_clm_pmt_dnl_cd"):
            return text(one, "valueCoding", "code") == "0"
    for one in nodes(claim, "supportingInfo"):
        if "CLM_CARR_PMT_DNL_CD" in _codes(one.get("category")):
            return "0" in _codes(one.get("code"))
    return False


def _network(item: Json, claim: Json) -> dict[str, str]:
    """Return what CARIN's three statuses say, of the item else of the claim, in the order in which they count."""
    found = {}
    for column, categories in (
        ("benefit_payment_status", {"benefitpaymentstatus", "inoutnetwork"}),
        ("rendering_network_status", {"renderingnetworkstatus"}),
        ("billing_network_status", {"billingnetworkstatus"}),
    ):
        entries = [*nodes(item, "adjudication"), *nodes(claim, "adjudication")]
        said = [_codes(e.get("reason")) for e in entries if _codes(e.get("category")) & categories]
        found[column] = next((min(s) for s in said if s), "")
    return found
