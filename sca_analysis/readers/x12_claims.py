"""X12 837 claims, professional, institutional and dental (004010X096-98, 005010X222-224): one row a service line.

A line is an LX with its SV1, SV2 or SV3. What the columns are, where the guides leave a choice:

- ``claim_id`` is CLM01, which stays in ``submitted_claim_id``. A replacement or void (CLM05-3 = 7 or 8) takes the
  number in REF*F8 instead where a claim of the same file has it. Else REF*F8, in ``original_reference``, may be of
  another file or the payer's own number: ``remittances`` looks for both.
- ``line_number`` is LX01; the provider's own number of a line, REF*6R, is in ``line_reference``.
- ``claim_version`` is the date of the transaction (BHT04, else GS04) and the frequency code, YYYYMMDD0F, so
  that of two submissions the later counts. A void is ``reversed``; otherwise the status is blank.
- ``member_id`` is NM109 of the subscriber. A dependant has NM109 of its own, or else the subscriber's with a
  mark made of the given name (``x12_rows.mark_of``).
- ``provider_npi`` is the rendering provider of the line, else of the claim, else the billing provider, as the
  guides say. One that is named without an NPI leaves it blank: the biller did not render. An institution
  bills for itself: attending and operating physicians are not taken. ``taxonomy_code`` is of the same provider.
- ``service_date`` is the first day of DTP*472 of the line, else of the claim, else of the statement (434).
- ``procedure_code`` has no modifiers (they are in ``modifiers``); an institutional line without HCPCS code has
  ``R`` and its revenue code. ``diagnosis_code`` is the ICD-10-CM code that the line points to first, or the
  principal one, with its dot; ICD-9-CM codes (before October 2015) are in ``icd9_code``, for the column is ICD-10.
- ``place_of_service`` is the line's, else the claim's; a bill type of an institution is none.
- ``units`` counts units or days; minutes of anaesthesia and amounts of a drug are not units, and left blank.
- ``network_status`` is ``out`` where a repricer cannot identify the provider as a participant (HCP13 = T1) or says
  out of network (35), or names why an out-of-network service is considered (HCP15; X12 data elements 901 and
  1527). No code of HCP says that a provider is in network.
- ``allowed_amount`` and ``paid_amount`` are blank: a claim is a submission. HCP02 is in ``repriced_amount``.

Loops of other payers (SBR after CLM, to the first LX) say nothing of this claim.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import duckdb

from sca_analysis.readers.source import Malformed, Raw, Source, quote
from sca_analysis.readers.x12 import Guide, State, at, recognise_kind, walk
from sca_analysis.readers.x12_rows import (
    LINE_REFERENCE,
    first_day,
    is_date,
    mark_of,
    open_rows,
    procedure_of,
    raw_of,
    refuse_options,
    split_composite,
)
from sca_analysis.tables import Table

FORMAT = "x12-837"
#: Canonical columns, then the reader's own, which ``columns`` and ``keep`` of exports.yaml may name.
COLUMNS = (
    "claim_id",
    "line_number",
    "claim_version",
    "member_id",
    "provider_npi",
    "taxonomy_code",
    "service_date",
    "procedure_code",
    "diagnosis_code",
    "place_of_service",
    "units",
    "billed_amount",
    "claim_status",
    "network_status",
    "member_zip",
    "modifiers",
    "revenue_code",
    "icd9_code",
    "frequency_code",
    "original_reference",
    "submitted_claim_id",
    "line_reference",
    "billing_npi",
    "filing_indicator",
    "repriced_amount",
)
# fmt: off
PASSED = frozenset({  # segments of the guides that hold nothing of use here
    "CUR", "PER", "N2", "N3", "CL1", "DN1", "DN2", "PWK", "CN1", "AMT", "K3", "NTE", "CR1", "CR2", "CR3", "CR4",
    "CR5", "CR6", "CR7", "CRC", "QTY", "CAS", "OI", "MIA", "MOA", "SV4", "SV5", "SV6", "SV7", "MEA", "PS1", "HSD",
    "IMM", "LIN", "CTP", "SVD", "LQ", "FRM", "TOO", "UR", "LS", "LE",
})
# fmt: on
_OUT = frozenset({"T1", "35"})  # reject reasons of a repricer
_NOT_UNITS = frozenset({"MJ", "F2", "ML", "GR", "ME"})
_ICD_10, _ICD_9 = frozenset({"ABK", "ABF"}), frozenset({"BK", "BF"})
#: Other lists of HI, which a diagnosis pointer does not count: procedures, conditions, occurrences, DRG.
# fmt: off
_OTHER_LISTS = frozenset({
    "ABJ", "ABN", "APR", "BBQ", "BBR", "BE", "BG", "BH", "BI", "BJ", "BN", "BO", "BP", "BQ", "BR", "CAH", "DR", "NDC",
    "PR", "TC", "TQ",
})
# fmt: on


@dataclass
class _Person:
    """A provider, subscriber or patient: identifier, and taxonomy code or ZIP, and day of birth."""

    id: str = ""
    more: str = ""
    born: str = ""


@dataclass
class Claim:
    """What precedes the lines of a claim; ``spoilt`` is why none of them can be relied on."""

    place: int
    number: str = ""
    facility: str = ""
    frequency: str = ""
    original: str = ""
    rendering: _Person | None = None
    diagnoses: list[tuple[str, str]] = field(default_factory=list)
    dates: dict[str, str] = field(default_factory=dict)
    network: str = ""
    repriced: str = ""
    spoilt: str = ""
    lines: int = 0
    last_number: int = 0
    in_other_payer: bool = False


@dataclass
class _Line:
    """One service line while its segments come."""

    place: int
    number: str = ""
    service: list[str] = field(default_factory=list)  # SV1, SV2 or SV3
    rendering: _Person | None = None
    date: str = ""
    reference: str = ""
    network: str = ""
    repriced: str = ""
    spoilt: str = ""


@dataclass
class HierarchyState(State):
    """Where in the hierarchy the file is; ``on_claim``, if any, is told of each claim's end and accounts for it."""

    date: str = ""  # BHT04
    billing: _Person = field(default_factory=_Person)
    subscriber: _Person = field(default_factory=_Person)
    patient: _Person | None = None
    filing: str = ""
    entity: str = ""
    spoilt: str = ""  # why claims up to the next HL cannot be relied on
    claim: Claim | None = None
    line: _Line | None = None
    on_claim: "Callable[[HierarchyState, Claim], None] | None" = None


def read_claims(con: duckdb.DuckDBPyConnection, path: Path, table: Table, source: Source, work: Path) -> Raw:
    """Map the service lines of an 837 onto ``claims``; see the module.

    Set aside by the place of their LX, or of the CLM where a claim has no lines: ``no_service_line`` (a
    claim or LX without a service), ``claim_header_lost`` (lines without their CLM), ``line_number_repeated``
    (LX01 does not rise within the claim), ``malformed_segment`` (a loop whose NM1 does not say whose it
    is) and what ``x12`` lists.

    Raises
    ------
    ExportError
        If the file is no X12 837, or exports.yaml asks for what is not here.

    """
    del con
    refuse_options(table, source, FORMAT)
    with open_rows(work, COLUMNS) as (rows, write):
        state = HierarchyState(write)
        walk(path, source.encoding, _guide(state), state)
    scan = f"read_parquet({quote(str(rows))})"
    originals = f"SELECT claim_id FROM {scan} WHERE frequency_code NOT IN ('7', '8')"
    is_known = f"frequency_code IN ('7', '8') AND original_reference <> '' AND original_reference IN ({originals})"
    number = f"CASE WHEN {is_known} THEN original_reference ELSE claim_id END"
    relation = f"(SELECT * REPLACE ({number} AS claim_id) FROM {scan})"
    replaces = "CASE WHEN frequency_code IN ('7', '8') THEN nullif(original_reference, '') END"
    numbers = {"number": "submitted_claim_id", "original": replaces, "reference": LINE_REFERENCE}
    return raw_of(path, table, source, FORMAT, relation, state, COLUMNS, **numbers)


def recognise(head: bytes, name: str) -> bool:
    """Say whether a file that begins with ``head`` (bytes, at most 64 KiB are looked at) is an 837."""
    del name
    return recognise_kind(head, "837", "HC", frozenset({"CLM", "SV1", "SV2", "SV3"}))


def _guide(state: HierarchyState) -> Guide:
    return Guide("837", "HC", handlers_of(state), PASSED, partial(lose, state), partial(end, state))


def handlers_of(state: HierarchyState) -> dict[str, Callable[[list[str], int], None]]:
    """Return what each segment does, as of ``Guide``."""
    handlers = {
        "BHT": _bht,
        "HL": _hl,
        "PRV": _prv,
        "SBR": _sbr,
        "PAT": _pat,
        "NM1": _nm1,
        "N4": _n4,
        "DMG": _dmg,
        "REF": _ref,
        "CLM": _clm,
        "DTP": _dtp,
        "HI": _hi,
        "HCP": _hcp,
        "LX": _lx,
        "SV1": _service,
        "SV2": _service,
        "SV3": _service,
    }
    return {code: partial(handler, state) for code, handler in handlers.items()}


# ---- the hierarchy: billing provider, subscriber, patient ----


def _bht(state: HierarchyState, e: list[str], place: int) -> None:
    end(state, "truncated", place)
    state.date = at(e, 4)


def _hl(state: HierarchyState, e: list[str], place: int) -> None:
    _close_claim(state)
    level = at(e, 3)
    if state.spoilt != "segment_too_long" or level == "20":
        state.spoilt = ""
    state.entity, state.patient = "", None
    if level != "23":
        state.subscriber, state.filing = _Person(), ""
    if level == "23":
        state.patient = _Person()
    elif level != "22":
        state.billing = _Person()
    if level not in ("20", "22", "23"):
        state.spoilt = state.spoilt or "malformed_segment"


def _sbr(state: HierarchyState, e: list[str], place: int) -> None:
    if state.claim and not state.line and not state.claim.lines:
        state.claim.in_other_payer = True
        return
    _close_claim(state)  # after a line, only a lost HL can stand before it
    state.subscriber, state.patient, state.filing, state.entity = _Person(), None, at(e, 9), ""


def _pat(state: HierarchyState, e: list[str], place: int) -> None:
    if state.claim:  # likewise
        _close_claim(state)
        state.patient, state.entity = _Person(), ""


def _nm1(state: HierarchyState, e: list[str], place: int) -> None:
    code, identifier = at(e, 1), at(e, 9)
    if not code:
        lose(state, "malformed_segment", place)
    state.entity = code
    npi = _Person(identifier if at(e, 8) == "XX" else "")
    if state.line:
        if code == "82":
            state.line.rendering = npi
    elif state.claim:
        if state.claim.in_other_payer:
            state.entity = ""
        elif code == "82":
            state.claim.rendering = npi
    elif code == "85":
        npi.more = "" if state.billing.id else state.billing.more  # PRV stands before it
        state.billing = npi
    elif code == "IL":
        state.subscriber, state.patient = _Person(identifier), state.patient and _Person()
    elif code == "QC":
        given = at(e, 4) or at(e, 3)
        state.patient = _Person(identifier or (state.subscriber.id and state.subscriber.id + mark_of(given)))


def _prv(state: HierarchyState, e: list[str], place: int) -> None:
    code = at(e, 3)
    if state.line or state.claim:
        provider = state.line.rendering if state.line else state.claim and state.claim.rendering
        if state.entity == "82" and provider:
            provider.more = code
    elif at(e, 1) == "BI":
        state.billing.more = code


def _n4(state: HierarchyState, e: list[str], place: int) -> None:
    if state.claim or state.line:
        return
    if state.entity == "IL":
        state.subscriber.more = at(e, 3)
    elif state.entity == "QC" and state.patient:
        state.patient.more = at(e, 3)


def _dmg(state: HierarchyState, e: list[str], place: int) -> None:
    if state.claim or state.line or at(e, 1) != "D8":
        return
    if state.entity == "IL":
        state.subscriber.born = at(e, 2)
    elif state.entity == "QC" and state.patient:
        state.patient.born = at(e, 2)


# ---- the claim ----


def _clm(state: HierarchyState, e: list[str], place: int) -> None:
    _close_claim(state)
    state.entity = ""
    facility = split_composite(at(e, 5), state.component)
    place_of_service = at(facility, 0) if at(facility, 1) != "A" else ""
    state.claim = Claim(place, at(e, 1), place_of_service, at(facility, 2), spoilt=state.spoilt)


def _ref(state: HierarchyState, e: list[str], place: int) -> None:
    if state.entity:
        return
    if state.line:
        if at(e, 1) == "6R":
            state.line.reference = at(e, 2)
    elif state.claim and not state.claim.in_other_payer and at(e, 1) == "F8":
        state.claim.original = at(e, 2)


def _dtp(state: HierarchyState, e: list[str], place: int) -> None:
    if state.line:
        if at(e, 1) == "472":
            state.line.date = first_day(at(e, 2), at(e, 3))
    elif state.claim and not state.claim.in_other_payer and at(e, 1) in ("472", "434"):
        state.claim.dates[at(e, 1)] = first_day(at(e, 2), at(e, 3))


def _hi(state: HierarchyState, e: list[str], place: int) -> None:
    if not state.claim or state.line or state.claim.in_other_payer:
        return
    for text in e[1:]:
        qualifier, *codes = split_composite(text.strip(), state.component)
        if qualifier not in _OTHER_LISTS:  # one of an unknown list still holds its place
            state.claim.diagnoses.append((qualifier, at(codes, 0)))


def _hcp(state: HierarchyState, e: list[str], place: int) -> None:
    of = state.line or state.claim
    if of and not (isinstance(of, Claim) and of.in_other_payer):
        of.network = "out" if at(e, 13) in _OUT or at(e, 15) else ""
        of.repriced = at(e, 2)


# ---- the line ----


def _lx(state: HierarchyState, e: list[str], place: int) -> None:
    _close_line(state)
    state.entity = ""
    state.line = _Line(place, at(e, 1))


def _service(state: HierarchyState, e: list[str], place: int) -> None:
    if state.line is None or state.line.service:  # a second service, or one without its LX
        _close_line(state)
        state.line, state.entity = _Line(place), ""
    state.line.service = e


def _close_line(state: HierarchyState) -> None:
    line, claim = state.line, state.claim
    state.line = None
    if line is None:
        return
    state.units += 1
    reason = line.spoilt or (claim.spoilt if claim else "claim_header_lost")
    if claim:
        claim.lines += 1
        if line.service and line.number.isdecimal():
            if int(line.number[:18]) <= claim.last_number:
                reason = reason or "line_number_repeated"
            claim.last_number = int(line.number[:18])
    reason = reason or ("" if line.service else "no_service_line")
    if reason or claim is None:
        state.malformed.append(Malformed(line.place, reason))
    else:
        state.write(_row(state, claim, line))


def _row(state: HierarchyState, claim: Claim, line: _Line) -> tuple[str | int, ...]:
    e, revenue, pointer, is_institutional = line.service, "", "", line.service[0] == "SV2"
    if is_institutional:
        revenue, (medical, billed, unit, units), place_of_service = at(e, 1), (at(e, i) for i in (2, 3, 4, 5)), ""
    elif e[0] == "SV1":
        medical, billed, unit, units, place_of_service, _, pointer = (at(e, i) for i in range(1, 8))
    else:
        medical, billed, unit, units, place_of_service, pointer = (
            at(e, 1),
            at(e, 2),
            "UN",
            at(e, 6),
            at(e, 3),
            at(e, 11),
        )
    procedure = split_composite(medical, state.component)
    provider = line.rendering or claim.rendering or state.billing
    if provider.id and provider.id == state.billing.id and not provider.more:
        provider = state.billing
    patient = state.patient or state.subscriber
    qualifier, code = _diagnosis(claim.diagnoses, split_composite(pointer, state.component)[0] or "1")
    day = state.date if is_date(state.date) else state.group_date
    frequency = claim.frequency if claim.frequency in tuple("123456789") else "0"
    return (
        claim.number,
        line.number,
        f"{day}0{frequency}" if is_date(day) else "",
        patient.id,
        provider.id,
        provider.more,
        line.date or claim.dates.get("472", "") or claim.dates.get("434", ""),
        procedure_of(procedure, revenue),
        _dotted(code) if qualifier in _ICD_10 else "",
        place_of_service or ("" if is_institutional else claim.facility),
        "" if unit in _NOT_UNITS else units,
        billed,
        "reversed" if claim.frequency == "8" else "",
        line.network or claim.network,
        patient.more,
        ":".join(m.strip() for m in procedure[2:6] if m.strip()),
        revenue,
        code if qualifier in _ICD_9 else "",
        claim.frequency,
        claim.original,
        claim.number,
        line.reference,
        state.billing.id,
        state.filing,
        line.repriced or claim.repriced,
        line.place,
    )


def _diagnosis(listed: list[tuple[str, str]], pointer: str) -> tuple[str, str]:
    """Return qualifier and code that a pointer, counted from 1, means; blank where there is none."""
    position = int(pointer) if pointer.isdecimal() and len(pointer) < 3 else 0
    return listed[position - 1] if 1 <= position <= len(listed) else ("", "")


def _dotted(code: str) -> str:
    """Return an ICD-10-CM code with the dot that X12 leaves out."""
    return f"{code[:3]}.{code[3:]}" if len(code) > 3 and "." not in code else code


def _close_claim(state: HierarchyState) -> None:
    _close_line(state)
    claim, state.claim = state.claim, None
    if claim and state.on_claim:
        state.on_claim(state, claim)
    elif claim and not claim.lines:
        state.units += 1
        state.malformed.append(Malformed(claim.place, claim.spoilt or "no_service_line"))


def lose(state: HierarchyState, reason: str, place: int) -> None:
    """Note that a segment was lost: of the line, else of the claim, else of the loop above."""
    if reason == "segment_too_long":  # there may have been anything in it
        for part in (state, state.claim, state.line):
            if part:
                part.spoilt = reason
    elif state.line:
        state.line.spoilt = state.line.spoilt or reason
    elif state.claim:
        state.claim.spoilt = state.claim.spoilt or reason
    else:
        state.malformed.append(Malformed(place, reason))
        state.spoilt = reason


def end(state: HierarchyState, reason: str, place: int) -> None:
    """Take a transaction's end, or its want of one, as ``Guide`` tells it."""
    if reason and state.line:
        state.line.spoilt = state.line.spoilt or reason
    elif reason and state.claim:
        state.claim.spoilt = state.claim.spoilt or reason
    _close_claim(state)
    state.date, state.billing, state.subscriber, state.patient = "", _Person(), _Person(), None
    state.filing, state.entity, state.spoilt = "", "", ""
