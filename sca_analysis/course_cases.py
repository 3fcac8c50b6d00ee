"""OON courses of treatment as case files: what ``sca quote``, the what-if notebook and the list of cases read.

In: exports and a day. Out: by course_id the content of a case file, as ``casefile.read_case`` takes it,
without any identifier; and why a course cannot be one.

A visit is a day with a service, as in ``courses``. Its ``procedure_code`` is the code of its line or, where a
day has several, all of them joined by +, priced together. Where one code was billed or allowed differently on
different days, the less frequent ways have a number behind the code: "99214 (2)".
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sca_analysis import costs
from sca_analysis.amounts import cents
from sca_analysis.claims import window
from sca_analysis.courses import COURSE, Collection, Gathered, as_cases, gather_visits, list_lines
from sca_analysis.errors import CaseError
from sca_analysis.exports import Exports
from sca_analysis.tables import AGREEMENTS

_BLANK = -1  # stands for an amount that is not known [cents]
_TIERS = ("in_network", "out_of_network")
_TERMS = (*COURSE, "procedure_code", "agreed_rate", "sessions_authorized", "effective_date", "expiry_date")


@dataclass(frozen=True)
class CourseCases:
    """The courses of twelve months as cases.

    Attributes
    ----------
    courses : DataFrame
        As ``courses.Gathered.courses``.
    cases : dict
        By course_id, the content of a case file.
    reasons : dict
        By course_id, why a course is not among the cases.
    rates : dict
        By course_id, ``medicare_rate`` and ``usual_charge`` in the form of a case's rates; None where one is
        not known for every procedure.

    """

    courses: pd.DataFrame
    cases: dict[str, dict[str, Any]]
    reasons: dict[str, str]
    rates: dict[str, dict[str, str | dict[str, str] | None]]


class _Line(NamedTuple):
    """One claim line; amounts in cents, ``_BLANK`` where not known."""

    procedure: str
    units: int  # [thousandths]
    billed: int
    in_network_rate: int  # of a unit, as the next three
    out_of_network_allowed: int
    medicare_rate: int
    usual_charge: int
    claimed: int  # what the claim allows the line


class _Prices(NamedTuple):
    """What a visit is rated at, a unit of it [cents]."""

    billed: int
    in_network: int
    out_of_network: int
    usual: int
    medicare: int
    agreed: tuple[int, ...]  # one for each agreement


class _Visit(NamedTuple):
    """A day with a service."""

    code: str
    units: int | str
    prices: _Prices


class _Terms(NamedTuple):
    """An approved agreement as a case file has it."""

    procedure: str | None
    rate: int  # [cents]
    sessions: int | None  # [visits] left at the start of the twelve months
    effective: str | None
    expiry: str | None


def build_cases(exports: Exports, as_of: date) -> dict[str, dict[str, Any]]:
    """Return the courses of the twelve months to a day as cases, by course_id; see ``build_all``."""
    return build_all(exports, as_of).cases


def build_case(exports: Exports, as_of: date, member_id: str, provider_npi: str) -> dict[str, Any]:
    """Return one course, that of a member with a provider, as the content of a case file; see ``build_all``.

    Raises
    ------
    CaseError
        If there is no such course in the twelve months, or it cannot be a case; without naming the member.

    """
    built = build_all(exports, as_of)
    mine = (built.courses["member_id"] == member_id) & (built.courses["provider_npi"] == provider_npi)
    if not mine.any():
        raise CaseError(
            f"this member has no out-of-network visit with this provider in the twelve months to {as_of}: "
            "check both numbers and the as-of date."
        )
    course = str(built.courses.loc[mine, "course_id"].iloc[0])
    if course in built.reasons:
        raise CaseError(f"course {course} cannot be made a case: {built.reasons[course]}.")
    return built.cases[course]


def build_all(exports: Exports, as_of: date) -> CourseCases:
    """Return every OON course of the twelve months to a day as the content of a case file.

    Notes
    -----
    Charges, fees and OON allowed amounts are those of ``courses.cost_courses``: the claim's allowed amount or,
    where blank, that of ``fees``; a denied line is allowed nothing. Benefits are those of the member's network
    on the last visit, for all visits. The accumulators hold what visits earlier in the first visit's plan year
    used, as they were billed. Agreements are those in force in the twelve months where one follows the other,
    else the latest, with the sessions left; without one, one is proposed at the usual charge (the ceiling in a
    gap, S2) for as many sessions as there were visits. Providers are taken to collect all that members owe.

    So the quote of a case equals the course's costs to the cent, but for courses (``why`` says which) whose
    benefits changed within the twelve months, whose earlier visits used the OON deductible (``cost_courses``
    asks what if those had been in-network, too), or whose agreements overlap.

    """
    gathered = gather_visits(exports, as_of)
    if gathered.courses.empty:
        return CourseCases(gathered.courses, {}, {}, {})
    days = _read_days(list_lines(exports, as_of))
    terms = _find_terms(exports, gathered, as_of)
    used = _find_used(gathered)
    mine = gathered.visits[gathered.visits["in_window"]].groupby("course_id")["benefits_row"]
    rows, several = mine.last().to_dict(), mine.nunique().gt(1).to_dict()
    tiers = [_read_benefits(row) for row in gathered.benefits.to_dict("records")]
    reasons = {str(course): str(why) for course, why in gathered.reasons.items()}
    cases: dict[str, dict[str, Any]] = {}
    rates: dict[str, dict[str, str | dict[str, str] | None]] = {}
    named = gathered.courses[["course_id", *COURSE, "specialty"]]
    for course, member, npi, specialty in named.itertuples(index=False, name=None):
        if course in reasons:
            continue
        cases[course], rates[course] = _build(
            f"{course}, {specialty}",
            days[member, npi],
            terms.get(course, []),
            tiers[rows[course]],
            used.get(course, {}),
            bool(several[course]),
        )
    return CourseCases(gathered.courses, cases, reasons, rates)


def _read_days(lines: pd.DataFrame) -> dict[tuple[str, str], list[tuple[str, list[_Line]]]]:
    """Return for each member and provider the days with their lines, in order of dates."""
    fields = ("billed_amount", "in_network_rate", "out_of_network_allowed", "medicare_rate", "usual_charge", "claimed")
    amounts = [_cents(lines[c]) for c in fields]
    units = [costs.scale(Decimal(u), 3, "units") for u in lines["units"]]
    read = [
        _Line(procedure, unit, *rest)
        for procedure, unit, *rest in zip(lines["procedure_code"], units, *amounts, strict=True)
    ]
    dates = lines["service_date"].dt.strftime("%Y-%m-%d")
    keys = zip(lines["member_id"], lines["provider_npi"], dates, strict=True)
    found: dict[tuple[str, str], list[tuple[str, list[_Line]]]] = {}
    for (member, npi, day), group in groupby(zip(keys, read, strict=True), key=lambda pair: pair[0]):
        found.setdefault((member, npi), []).append((day, [line for _, line in group]))
    return found


def _cents(amounts: pd.Series) -> list[int]:
    """Return exact dollars as cents, ``_BLANK`` where blank."""
    known = amounts.notna().to_numpy()
    found = np.full(len(amounts), _BLANK, dtype=np.int64)
    found[known] = cents(amounts[known].astype(amounts.dtype).round(2))
    return [int(amount) for amount in found]


def _find_terms(exports: Exports, gathered: Gathered, as_of: date) -> dict[str, list[_Terms]]:
    """Return by course_id its approved agreements in force in the twelve months: all in a row, or the latest."""
    first, last = (pd.Timestamp(day) for day in window(as_of))
    table = exports.frame("agreements")
    assert set(_TERMS) <= set(AGREEMENTS.names)  # noqa: S101 - a mistake of ours
    in_force = (
        (table["decision"] == "approved").fillna(False)
        & table["agreed_rate"].notna()
        & ~(table["effective_date"] > last).fillna(False)
        & ~(table["expiry_date"] < first).fillna(False)
    )
    agreed = gathered.courses[gathered.courses["sca_rate_basis"] == "agreed_rate"]
    table = table[in_force].merge(agreed[[*COURSE, "course_id"]], on=COURSE, how="inner")
    table = table.sort_values(["effective_date", "case_id"], na_position="first")
    history = gathered.visits[~gathered.visits["in_window"] & gathered.visits["covered"]]
    spent = history.groupby("case_id").size().to_dict()
    found: dict[str, list[_Terms]] = {}
    for row in table.to_dict("records"):
        limit = row["sessions_authorized"]
        begins, ends = (
            None if pd.isna(row[name]) else f"{row[name]:%Y-%m-%d}" for name in ("effective_date", "expiry_date")
        )
        one = _Terms(
            procedure=None if pd.isna(row["procedure_code"]) else row["procedure_code"],
            rate=costs.scale(Decimal(row["agreed_rate"]), 2, "agreed_rate"),
            sessions=None if pd.isna(limit) else max(0, int(limit) - spent.get(row["case_id"], 0)),
            effective=begins,
            expiry=ends,
        )
        found.setdefault(row["course_id"], []).append(one)
    return {course: terms if _is_in_a_row(terms) else terms[-1:] for course, terms in found.items()}


def _is_in_a_row(terms: Sequence[_Terms]) -> bool:
    """Tell whether agreements follow each other, for the same procedure and so at one set of prices a visit."""
    return all(
        one.procedure == following.procedure
        and one.expiry is not None
        and following.effective is not None
        and one.expiry < following.effective
        for one, following in pairwise(terms)
    )


def _find_used(gathered: Gathered) -> dict[str, dict[str, dict[str, str]]]:
    """Return by course_id what visits before the twelve months, in the first visit's plan year, used of each tier."""
    visits = gathered.visits[~gathered.visits["course_id"].isin(gathered.reasons.index)]
    visits = visits[~visits["in_window"]]
    if visits.empty:
        return {}
    # without an agreement they were OON; courses asks what if they had not been
    visits = visits.assign(covered=visits["covered"] & (visits["sca_rate_basis"] == "agreed_rate"))
    cases, at = as_cases(visits, gathered.benefits, Collection())
    courses = visits.groupby(at["case"].to_numpy())["course_id"].first()
    split = costs.compare_arrangements(cases)["sca"]
    found: dict[str, dict[str, dict[str, str]]] = {course: {} for course in courses}
    for tier, mine in (("in_network", cases.covered), ("out_of_network", ~cases.covered)):
        deductible, pocket = (
            np.where(mine, part, 0).sum(axis=1) for part in (split.deductible, split.member_cost_share)
        )
        for course, one, other in zip(courses, deductible, pocket, strict=True):
            if one or other:
                found[course][tier] = {"deductible": _dollars(int(one)), "out_of_pocket": _dollars(int(other))}
    return found


def _read_benefits(row: dict[Any, Any]) -> dict[str, Any]:
    """Return a row of ``tables.BENEFITS`` as a case file has it."""
    benefits: dict[str, Any] = {"plan_year_start": row["plan_year_start"]}
    for tier in _TIERS:
        given = {field: row[f"{tier}_{field}"] for field in ("deductible", "coinsurance", "copay", "out_of_pocket_max")}
        known = {field: _plain(value) for field, value in given.items() if pd.notna(value)}
        flag = row[f"{tier}_deductible_applies"]
        benefits[tier] = {
            "deductible": known.get("deductible", "0.00"),
            "coinsurance": known.get("coinsurance"),
            "copay": known.get("copay"),
            "deductible_applies": True if pd.isna(flag) else bool(flag),
            "out_of_pocket_max": known.get("out_of_pocket_max"),
        }
        if tier == "out_of_network" and not known:
            benefits[tier] = None
    return benefits


def _build(
    name: str,
    days: list[tuple[str, list[_Line]]],
    terms: list[_Terms],
    benefits: dict[str, Any],
    used: dict[str, dict[str, str]],
    has_several_benefits: bool,
) -> tuple[dict[str, Any], dict[str, str | dict[str, str] | None]]:
    """Return the content of a case file, and the rates that it may be compared with."""
    visits = [(day, _price(lines, terms)) for day, lines in days]
    codes = _name_codes([visit for _, visit in visits])
    kinds = {code: prices for (_, prices), code in codes.items()}

    def rate(amounts: Sequence[int]) -> str | dict[str, str]:
        texts = [_dollars(amount) for amount in amounts]
        return texts[0] if len(kinds) == 1 else dict(zip(kinds, texts, strict=True))

    agreements = [
        {
            "rate": rate([prices.agreed[number] for prices in kinds.values()]),
            "sessions_authorized": one.sessions,
            "effective_date": one.effective,
            "expiry_date": one.expiry,
        }
        for number, one in enumerate(terms)
    ] or [
        {
            "rate": rate([prices.usual for prices in kinds.values()]),
            "sessions_authorized": len(days),
            "effective_date": None,
            "expiry_date": None,
        }
    ]
    oon = rate([prices.out_of_network for prices in kinds.values()])
    medicare = [prices.medicare for prices in kinds.values()]
    rates = {
        "medicare_rate": None if _BLANK in medicare else rate(medicare),
        "usual_charge": rate([prices.usual for prices in kinds.values()]),
    }
    case = {
        "name": name,
        "why": _explain(codes, bool(terms), bool(used), has_several_benefits),
        "billed_per_unit": rate([prices.billed for prices in kinds.values()]),
        "in_network_rate": rate([prices.in_network for prices in kinds.values()]),
        "out_of_network_allowed": None if benefits["out_of_network"] is None else oon,
        "visits": [
            {"date": day, "units": visit.units, "procedure_code": codes[visit.code, visit.prices]}
            for day, visit in visits
        ],
        **({"agreement": agreements[0]} if len(agreements) == 1 else {"agreements": agreements}),
        "benefits": benefits,
        "accumulators": used,
        "collection_rate": {"cost_share": "1.00", "balance_bill": "1.00"},
    }
    return case, rates


def _price(lines: Sequence[_Line], terms: Sequence[_Terms]) -> _Visit:
    """Return the lines of a day as one visit: a unit of the one line, or the day as one unit."""
    agreed = [[_agreed(line, one) for one in terms] for line in lines]
    if len(lines) == 1 and (prices := _price_unit(lines[0], agreed[0])) is not None:
        units = Decimal(lines[0].units) / costs.THOUSAND
        return _Visit(lines[0].procedure, int(units) if units == int(units) else str(units.normalize()), prices)

    def allow(rates: Sequence[int]) -> int:
        return sum(
            line.billed if rate == _BLANK else _allow(line, rate) for line, rate in zip(lines, rates, strict=True)
        )

    prices = _Prices(
        billed=sum(line.billed for line in lines),
        in_network=allow([line.in_network_rate for line in lines]),
        out_of_network=sum(
            min(line.claimed, line.billed) if line.claimed != _BLANK else _allow_fee(line) for line in lines
        ),
        usual=allow([line.usual_charge for line in lines]),
        medicare=_add_medicare(lines),
        agreed=tuple(allow([rates[number] for rates in agreed]) for number in range(len(terms))),
    )
    return _Visit("+".join(line.procedure for line in lines), 1, prices)


def _price_unit(line: _Line, agreed: Sequence[int]) -> _Prices | None:
    """Return what a unit of a line is rated at; None where it is no whole number of cents."""
    charge, rest = divmod(line.billed * costs.THOUSAND, line.units)
    claimed, left = divmod(line.claimed * costs.THOUSAND, line.units) if line.claimed != _BLANK else (_BLANK, 0)
    if rest or left:
        return None
    oon = claimed if claimed != _BLANK else max(line.out_of_network_allowed, 0)
    usual = charge if line.usual_charge == _BLANK else line.usual_charge
    at = tuple(usual if rate == _BLANK else rate for rate in agreed)
    return _Prices(charge, line.in_network_rate, oon, usual, line.medicare_rate, at)


def _add_medicare(lines: Sequence[_Line]) -> int:
    """Return what Medicare pays for the services of a day; blank where it is not known for one of them."""
    if any(line.medicare_rate == _BLANK for line in lines):
        return _BLANK
    return sum((line.medicare_rate * line.units + costs.THOUSAND // 2) // costs.THOUSAND for line in lines)


def _agreed(line: _Line, terms: _Terms) -> int:
    """Return the rate of a unit of a line under an agreement: the usual charge for another procedure."""
    return terms.rate if terms.procedure in (None, line.procedure) else line.usual_charge


def _allow_fee(line: _Line) -> int:
    """Return what ``fees`` allows a line OON; zero where nothing is known, which a plan without OON benefits may."""
    return _allow(line, max(line.out_of_network_allowed, 0))


def _allow(line: _Line, rate: int) -> int:
    """Return the lesser of billed and rate x units, rounded half up; as ``costs.allow``, of one line [cents]."""
    return min(line.billed, (rate * line.units + costs.THOUSAND // 2) // costs.THOUSAND)


def _name_codes(visits: Sequence[_Visit]) -> dict[tuple[str, _Prices], str]:
    """Return a name for each code and its prices: the code itself for the most frequent, else with a number."""
    counted = Counter((visit.code, visit.prices) for visit in visits)
    named: dict[tuple[str, _Prices], str] = {}
    seen: Counter[str] = Counter()
    for (code, prices), _ in counted.most_common():  # of equally many, the first seen comes first
        seen[code] += 1
        named[code, prices] = code if seen[code] == 1 else f"{code} ({seen[code]})"
    return named


def _explain(
    codes: dict[tuple[str, _Prices], str], is_agreed: bool, has_history: bool, has_several_benefits: bool
) -> str:
    """Say where the figures of a case come from, and where they differ from those of the course."""
    words = ["Made from claims, fees and benefits; providers are taken to collect all that members owe."]
    if not is_agreed:
        words.append("No agreement was approved: the rate proposed is the usual charge, the ceiling in a gap.")
    if any("+" in code for code, _ in codes):
        words.append("Codes joined by + are services of one day, priced together.")
    if any(name != code for (code, _), name in codes.items()):
        words.append("A number behind a code marks the same service at another charge or allowed amount.")
    if has_history:
        words.append("Visits earlier in the plan year had used part of deductible or maximum, as billed.")
    if has_several_benefits:
        words.append("The benefits of the last visit stand for all visits, also those of the plan year before.")
    return " ".join(words)


def _plain(value: Decimal) -> str:
    """Return a number with at least two decimals: 0.200000 is "0.20"."""
    shortest = value.normalize()
    rounded = value.quantize(Decimal("0.01"))
    return str(rounded if rounded == shortest else shortest)


def _dollars(amount: int) -> str:
    return f"{Decimal(amount).scaleb(-2):.2f}"
