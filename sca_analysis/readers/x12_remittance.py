"""X12 835 remittances (004010X091, 005010X221): one row of ``claims`` a service payment (SVC).

What the columns are, where the guide leaves a choice:

- ``claim_id`` is CLP01, the provider's number of the claim as submitted in CLM01; the payer's, CLP07, is in
  ``payer_claim_number``. A claim paid as a whole, without SVC, is one row, its line number 0; it has no
  procedure, so that a rule sets it aside unless ``exports.yaml`` relaxes it.
- ``line_number`` is REF*6R, the provider's number of the line, else the ordinal of the SVC in its claim. A line
  that the payer split comes several times under one number: its parts are ``number``, ``number.2`` and so on.
- ``claim_version`` is the payment date (BPR16, else DTM*405, else GS04) and 50 plus two for each reversal of the
  claim before it in the file, YYYYMMDD5N: a later payment counts, and of one day a correction after its reversal.
- ``member_id`` is the patient's (NM1*QC NM109), else the subscriber's (NM1*IL) with, the patient being another,
  the mark of the given name that the 837 reader makes too. A corrected identifier (NM1*74) is not taken.
- ``provider_npi`` is the rendering provider of the line (REF*HPI), else of the claim (NM1*82), else the payee;
  one that is named without an NPI leaves it blank.
- ``service_date`` is DTM*472 of the line, else the first day of its range (150), else of the claim's (232).
- ``procedure_code`` is SVC01 as adjudicated, ``R`` and the revenue code where there is none; the code that
  was submitted, where another (SVC06), is in ``submitted_procedure``.
- ``units`` is SVC05; blank means one (TR3 005010X221A1, SVC05).
- ``allowed_amount`` is AMT*B6. Without it, it is billed less contractual adjustments (reasons 45, in 4010 also
  42) where all other adjustments are the patient's deductible, coinsurance or copay (1, 2, 3) or sequestration
  (253), which lower the payment only; where another reason stands, it does not follow and is blank.
- ``member_amount`` is the sum of the adjustments of group PR, a balance bill (PR-45) or non-covered charge
  included, as the line shows. Adjustments of a claim as a whole count for its line where it has one only.
- ``claim_status``: CLP02 22 is reversed (amounts are negative), 4 is denied. From 5010 on, 4 is left for patients
  whom the payer does not know, and a denial is "processed" (1-3, 19-21) with its reasons (X12 RFI 1423, 1885): a line
  with a charge of which nothing is paid, allowed (AMT*B6) or the patient's cost share is denied where an adjustment
  gives another reason than a contract, another payer, capitation or payment to the patient (``_NO_REFUSAL``). All
  other lines so processed are paid. Any other code, such as a predetermination (25), pays nothing and stands as it
  is: a rule sets the line aside.
- ``adjustments`` lists group-reason:amount of the line, ``claim_adjustments`` those of its claim.
- ``balance`` is ``line`` or ``claim`` where charge less adjustments is not what was paid (TR3 1.10.2.1).

Payments to a provider as a whole (PLB) are no claims and are passed over.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path

import duckdb

from sca_analysis.readers.source import Malformed, Raw, Source, quote
from sca_analysis.readers.x12 import Guide, State, at, recognise_kind, walk
from sca_analysis.readers.x12_rows import (
    LINE_REFERENCE,
    amount_of,
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

FORMAT = "x12-835"
#: Canonical columns, then the reader's own, which ``columns`` and ``keep`` of exports.yaml may name.
COLUMNS = (
    "claim_id",
    "line_number",
    "claim_version",
    "member_id",
    "provider_npi",
    "service_date",
    "procedure_code",
    "units",
    "billed_amount",
    "allowed_amount",
    "paid_amount",
    "member_amount",
    "claim_status",
    "modifiers",
    "revenue_code",
    "submitted_procedure",
    "claim_status_code",
    "line_reference",
    "payer_claim_number",
    "payee_npi",
    "filing_indicator",
    "frequency_code",
    "adjustments",
    "claim_adjustments",
    "balance",
)
# fmt: off
_PASSED = frozenset({  # segments of the guide that hold nothing of use here
    "NTE", "TRN", "CUR", "N2", "N3", "N4", "PER", "RDM", "LX", "TS3", "TS2", "MIA", "MOA", "QTY", "LQ", "PLB",
})
# fmt: on
_STATUS = {
    **dict.fromkeys(("1", "2", "3", "19", "20", "21"), "paid"),
    "4": "denied",
    "22": "reversed",
}
_CONTRACTUAL, _LOWER_PAYMENT = frozenset({"45", "42"}), frozenset({"1", "2", "3", "253"})
_COST_SHARE = frozenset({"1", "2", "3", "66"})
#: Reasons that pay nothing, or less, of a service that is not refused: contract, cost share, a payer before,
#: capitation, excess, payment to the patient, a negotiated discount, sequestration. [X12 claim adjustment reason codes]
_NO_REFUSAL = _CONTRACTUAL | _COST_SHARE | {"23", "24", "94", "100", "131", "253"}
_MOST_LINES = 10_000  # of a claim, before they are written without the claim's balance; the guide has 999

Adjustment = tuple[str, str, Decimal]  # group, reason, USD


@dataclass
class _Line:
    """One service payment while its segments come."""

    place: int
    service: list[str] = field(default_factory=list)
    dates: dict[str, str] = field(default_factory=dict)
    adjustments: list[Adjustment] = field(default_factory=list)
    reference: str = ""
    npi: str = ""
    allowed: str = ""
    spoilt: str = ""


@dataclass
class _Claim:
    """A claim payment with its lines; ``spoilt`` is why none of them can be relied on."""

    place: int
    elements: list[str]
    reversals: int = 0
    references: Counter[str] = field(default_factory=Counter)
    patient: str = ""
    given_name: str = ""
    subscriber: str = ""
    npi: str | None = None
    dates: dict[str, str] = field(default_factory=dict)
    adjustments: list[Adjustment] = field(default_factory=list)
    lines: list[_Line] = field(default_factory=list)
    written: int = 0
    spoilt: str = ""


@dataclass
class _State(State):
    """The payment, and the claim that is open."""

    date: str = ""  # BPR16
    produced: str = ""  # DTM*405
    payee: str = ""
    claim: _Claim | None = None
    spoilt: str = ""  # why lines up to the next CLP cannot be relied on
    reversals: Counter[str] = field(default_factory=Counter)


def read_remittance(con: duckdb.DuckDBPyConnection, path: Path, table: Table, source: Source, work: Path) -> Raw:
    """Map the service payments of an 835 onto ``claims``; see the module.

    Set aside by the place of their SVC: ``claim_header_lost`` (payments without their CLP),
    ``malformed_segment`` (an adjustment that is no amount) and what ``x12`` lists.

    Raises
    ------
    ExportError
        If the file is no X12 835, or exports.yaml asks for what is not here.

    """
    del con
    refuse_options(table, source, FORMAT)
    with open_rows(work, COLUMNS) as (rows, write):
        state = _State(write)
        walk(path, source.encoding, _guide(state), state)
    scan, original = f"read_parquet({quote(str(rows))})", "nullif(payer_claim_number, '')"
    return raw_of(path, table, source, FORMAT, scan, state, COLUMNS, original=original, reference=LINE_REFERENCE)


def recognise(head: bytes, name: str) -> bool:
    """Say whether a file that begins with ``head`` (bytes, at most 64 KiB are looked at) is an 835."""
    del name
    return recognise_kind(head, "835", "HP", frozenset({"CLP", "SVC"}))


def _guide(state: _State) -> Guide:
    handlers = {
        "BPR": _bpr,
        "DTM": _dtm,
        "N1": _n1,
        "CLP": _clp,
        "CAS": _cas,
        "NM1": _nm1,
        "SVC": _svc,
        "REF": _ref,
        "AMT": _amt,
    }
    bound = {code: partial(handler, state) for code, handler in handlers.items()}
    return Guide("835", "HP", bound, _PASSED, partial(_lose, state), partial(_end, state))


# ---- the payment ----


def _bpr(state: _State, e: list[str], place: int) -> None:
    _end(state, "truncated", place)
    state.date = at(e, 16)


def _n1(state: _State, e: list[str], place: int) -> None:
    if state.claim:  # the payee of the next payment: its ST and BPR were lost
        _end(state, "truncated", place)
    if at(e, 1) == "PE":
        state.payee = at(e, 4) if at(e, 3) == "XX" else ""


def _dtm(state: _State, e: list[str], place: int) -> None:
    claim = state.claim
    if claim is None:
        if at(e, 1) == "405":
            state.produced = at(e, 2)
    else:
        of = claim.lines[-1].dates if claim.lines else claim.dates
        of[at(e, 1)] = first_day("D8", at(e, 2))


# ---- the claim ----


def _clp(state: _State, e: list[str], place: int) -> None:
    _close(state)
    number = at(e, 1)
    reversals = 2 * state.reversals[number] if number in state.reversals else 0
    if at(e, 2) == "22":
        state.reversals[number] += 1
        reversals += 1
    state.spoilt = "" if state.spoilt != "segment_too_long" else state.spoilt
    state.claim = _Claim(place, e, reversals)


def _nm1(state: _State, e: list[str], place: int) -> None:
    claim = state.claim
    if claim is None:
        return
    if claim.lines:  # names stand before the lines: they are of a claim whose CLP was lost
        _close(state)
        state.spoilt = "claim_header_lost"
        return
    code, identifier = at(e, 1), at(e, 9)
    if code == "QC":
        claim.patient, claim.given_name = identifier, at(e, 4) or at(e, 3)
    elif code == "IL":
        claim.subscriber = identifier
    elif code == "82":
        claim.npi = identifier if at(e, 8) == "XX" else ""
    elif not code:
        claim.spoilt = "malformed_segment"


def _cas(state: _State, e: list[str], place: int) -> None:
    of: _Claim | _Line | None = state.claim and (state.claim.lines[-1] if state.claim.lines else state.claim)
    if of is None:
        return
    group = at(e, 1)
    for i in range(2, min(len(e), 20), 3):
        reason, amount = at(e, i), amount_of(at(e, i + 1))
        if amount is None:
            of.spoilt = "malformed_segment"
        elif amount:
            of.adjustments.append((group, reason, amount))


# ---- the line ----


def _svc(state: _State, e: list[str], place: int) -> None:
    if state.claim is None:
        state.units += 1
        state.malformed.append(Malformed(place, state.spoilt or "claim_header_lost"))
        return
    if len(state.claim.lines) >= _MOST_LINES:
        _write(state, state.claim, is_whole=False)
    state.claim.lines.append(_Line(place, e, spoilt=state.spoilt))


def _ref(state: _State, e: list[str], place: int) -> None:
    if state.claim and state.claim.lines:
        line = state.claim.lines[-1]
        if at(e, 1) == "6R":
            line.reference = at(e, 2)
        elif at(e, 1) == "HPI":
            line.npi = at(e, 2)


def _amt(state: _State, e: list[str], place: int) -> None:
    if state.claim and state.claim.lines and at(e, 1) == "B6":
        state.claim.lines[-1].allowed = at(e, 2)


def _close(state: _State) -> None:
    claim, state.claim = state.claim, None
    if claim:
        _write(state, claim, is_whole=True)


def _write(state: _State, claim: _Claim, *, is_whole: bool) -> None:
    """Write the lines that a claim has so far, or the claim itself where it has none."""
    lines = claim.lines
    if not lines and not claim.written:
        whole = ["SVC", "", at(claim.elements, 3), at(claim.elements, 4)]
        lines = [_Line(claim.place, whole, adjustments=claim.adjustments)]
    alone = is_whole and len(lines) == 1 and not claim.written and bool(claim.lines)
    balance = "claim" if is_whole and not claim.written and not _is_balanced(claim) else ""
    for line in lines:
        state.units += 1
        claim.written += 1
        if reason := line.spoilt or claim.spoilt:
            state.malformed.append(Malformed(line.place, reason))
        else:
            state.write(_row(state, claim, line, balance, alone))
    claim.lines = []


def _is_balanced(claim: _Claim) -> bool:
    """Say whether a claim's charge less all its adjustments is its payment; amounts that are none balance nothing."""
    charge, paid = amount_of(at(claim.elements, 3)), amount_of(at(claim.elements, 4))
    every = [*claim.adjustments, *(a for line in claim.lines for a in line.adjustments)]
    adjusted = sum((amount for *_, amount in every), Decimal(0))
    return charge is not None and paid is not None and charge - adjusted == paid


def _row(state: _State, claim: _Claim, line: _Line, balance: str, alone: bool) -> tuple[str | int, ...]:
    e, head = line.service, claim.elements
    procedure = split_composite(at(e, 1), state.component)
    billed, paid = at(e, 2), at(e, 3)
    adjustments = [*line.adjustments, *claim.adjustments] if alone else line.adjustments
    charge, payment = amount_of(billed), amount_of(paid)
    adjusted = sum((a for *_, a in line.adjustments), Decimal(0))
    if not balance and (charge is None or payment is None or charge - adjusted != payment) and claim.lines:
        balance = "" if alone else "line"
    day = next((d for d in (state.date, state.produced, state.group_date) if is_date(d)), "")
    rendering = line.npi or (state.payee if claim.npi is None else claim.npi)
    code, own = at(head, 2), [at(split_composite(at(e, 6), state.component), 1)]
    return (
        at(head, 1),
        _number(claim, line),
        f"{day}{min(50 + claim.reversals, 99)}" if day else "",
        claim.patient or (claim.subscriber and claim.subscriber + mark_of(claim.given_name)),
        rendering,
        next((d for d in (line.dates.get("472"), line.dates.get("150"), claim.dates.get("232")) if d), ""),
        procedure_of(procedure, at(e, 4)),
        at(e, 5),
        billed,
        line.allowed or _allowed(code, charge, adjustments),
        paid,
        _plain(sum((a for group, _, a in adjustments if group == "PR"), Decimal(0))),
        _status(code, charge, payment, amount_of(line.allowed), adjustments or claim.adjustments),
        ":".join(m.strip() for m in procedure[2:6] if m.strip()),
        at(e, 4),
        own[0],
        code,
        line.reference,
        at(head, 7),
        state.payee,
        at(head, 6),
        at(head, 9),
        _listed(line.adjustments if claim.lines else []),
        _listed(claim.adjustments),
        balance,
        line.place,
    )


def _number(claim: _Claim, line: _Line) -> str:
    """Return the number of a line; of a line that the payer split, the second part is ``reference.2``."""
    if not line.reference:
        return str(claim.written) if claim.lines else "0"
    claim.references[line.reference] += 1
    repeat = claim.references[line.reference]
    return line.reference if repeat == 1 else f"{line.reference}.{repeat}"


def _allowed(code: str, charge: Decimal | None, adjustments: Sequence[Adjustment]) -> str:
    """Return what was allowed where the adjustments say it, else a blank."""
    others = [a for a in adjustments if a[1] not in _CONTRACTUAL]
    if charge is None or code == "4" or any(reason not in _LOWER_PAYMENT for _, reason, _ in others):
        return ""
    return _plain(charge - sum((a for _, reason, a in adjustments if reason in _CONTRACTUAL), Decimal(0)))


def _status(
    code: str,
    charge: Decimal | None,
    payment: Decimal | None,
    allowed: Decimal | None,
    adjustments: Sequence[Adjustment],
) -> str:
    """Return paid, denied or reversed; the code itself where it is none of a payment."""
    status = _STATUS.get(code, code)
    refused = sum((a for _, reason, a in adjustments if reason not in _NO_REFUSAL), Decimal(0))
    shared = any(a > 0 for _, reason, a in adjustments if reason in _COST_SHARE)
    is_refused = (
        bool(charge) and charge is not None and charge > 0 and refused > 0 and not (payment or allowed or shared)
    )
    return "denied" if status == "paid" and is_refused else status


def _listed(adjustments: Sequence[Adjustment]) -> str:
    return " ".join(f"{group}-{reason}:{_plain(amount)}" for group, reason, amount in adjustments)


def _plain(amount: Decimal) -> str:
    return format(amount, "f")


def _lose(state: _State, reason: str, place: int) -> None:
    """Note that a segment was lost: of the line, else of the claim, else of all up to the next claim."""
    claim = state.claim
    if claim:
        of: _Claim | _Line = claim.lines[-1] if claim.lines and reason != "segment_too_long" else claim
        of.spoilt = of.spoilt or reason
    elif reason != "segment_too_long":  # which is set aside as it is
        state.malformed.append(Malformed(place, reason))
    if reason == "segment_too_long":
        state.spoilt = reason


def _end(state: _State, reason: str, place: int) -> None:
    if reason and state.claim:
        of: _Claim | _Line = state.claim.lines[-1] if state.claim.lines else state.claim
        of.spoilt = of.spoilt or reason
    _close(state)
    state.date, state.produced, state.payee, state.spoilt = "", "", "", ""
