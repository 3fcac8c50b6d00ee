"""A case file in, its quote out: one course of treatment under the three arrangements.

Question answered: what do plan, member and provider pay or get, visit by visit, in-network, out of
network (OON) and under a single case agreement (SCA), and which rates suit all of them? In: a JSON
or YAML file (``load_case``). Out: a dictionary that is the answer of ``sca quote --json``
(``quote``) and a text for the terminal (``as_table``).

Inside a ``Case`` money is in integer cents, shares in parts per million and units of service in
thousandths, as ``costs`` wants them; in files, money is text with two decimals.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    StrictBool,
    ValidationError,
    field_validator,
    model_validator,
)

from sca_analysis import costs
from sca_analysis.costs import ARRANGEMENTS, NO_LIMIT, NO_RATE
from sca_analysis.errors import CaseError

#: Highest amount of money in a case file [USD] and of units in a visit: far above any real one.
MOST_MONEY, MOST_UNITS = Decimal("9999999.99"), Decimal(1000)

_PLAIN_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?|-?(nan|inf(inity)?)", re.IGNORECASE)
_AS_MONEY = 'give it as dollars, for example "500.00"'
_AS_SHARE = 'give it as a share from 0 to 1, for example "0.20"'
_AS_UNITS = "give it as a number above 0, for example 1"
_AS_DATE = 'give it as year-month-day, for example "2026-01-05"'
_AS_COUNT = "give it as a whole number, for example 10"
_AS_MONTH_DAY = 'give it as month-day, for example "01-01"'
_AS_OBJECT = "give it as an object with named fields"

_WORDS = {"in_network": "in-network", "out_of_network": "out of network", "sca": "agreement"}


def _number(value: object, how: str, least: Decimal, most: Decimal, decimals: int) -> int:
    """Return a number of a case file x 10^``decimals``; ``ValueError`` says what is wrong."""
    if value is None:
        raise ValueError(f"is empty: {how}")
    if isinstance(value, str) and _PLAIN_NUMBER.fullmatch(value):
        value = Decimal(value)
    if isinstance(value, bool | float) or not isinstance(value, int | Decimal):
        raise ValueError(f"is not a plain number: {how}")
    exact = Decimal(value)
    if not exact.is_finite():
        raise ValueError(f"is not a finite number: {how}")
    if exact < least:
        raise ValueError(f"is negative: {how}")
    if exact > most:
        raise ValueError(f"is above {most}: {how}")
    try:
        return costs.scale(exact, decimals, "It")
    except CaseError:
        raise ValueError(f"has more than {decimals} decimals: {how}") from None


def _money(value: object) -> int:
    """Dollars to cents."""
    return _number(value, _AS_MONEY, Decimal(0), MOST_MONEY, 2)


def _share(value: object) -> int:
    """Share from 0 to 1 to parts per million."""
    return _number(value, _AS_SHARE, Decimal(0), Decimal(1), 6)


def _count(value: object) -> int:
    """Return a whole number that is not negative."""
    if isinstance(value, str | Decimal):
        raise ValueError(f"is not a whole number: {_AS_COUNT}")
    return _number(value, _AS_COUNT, Decimal(0), Decimal(1_000_000), 0)


def _day(value: object) -> date:
    """Return a date; YAML reads dates by itself, JSON has them as text."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise ValueError(f"is no day of the calendar: {_AS_DATE}") from None
    raise ValueError(f"is {'empty' if value is None else 'not a date'}: {_AS_DATE}")


def _month_day(value: object) -> int:
    """Return month x 100 + day. 2000 is a leap year: a plan year may begin on 29 February."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{2}-[0-9]{2}", value):
        try:
            start = date.fromisoformat(f"2000-{value}")
        except ValueError:
            raise ValueError(f"is no day of the calendar: {_AS_MONTH_DAY}") from None
        return start.month * 100 + start.day
    raise ValueError(f"is not a day of the year: {_AS_MONTH_DAY}")


Money = Annotated[int, BeforeValidator(_money)]
Share = Annotated[int, BeforeValidator(_share)]
Count = Annotated[int, BeforeValidator(_count)]
Day = Annotated[date, BeforeValidator(_day)]
MonthDay = Annotated[int, BeforeValidator(_month_day)]


class _Part(BaseModel):
    """Part of a case: immutable, and an unknown field is a fault, since it may be a misspelt one."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Visit(_Part):
    """One day of service."""

    date: Day
    units: int | Decimal | str  # as the file gives it, since the quote repeats it

    @field_validator("units", mode="before")
    @classmethod
    def _check_units(cls, value: object) -> object:
        if _number(value, _AS_UNITS, Decimal(0), MOST_UNITS, 3) == 0:
            raise ValueError(f"is zero: {_AS_UNITS}")
        return value

    @property
    def thousandths(self) -> int:
        """Units of service [thousandths]."""
        return costs.scale(Decimal(self.units), 3, "units")


class Agreement(_Part):
    """The SCA. Null stands for no limit of sessions, and for an open date."""

    rate: Money  # of a unit [cents]
    sessions_authorized: Count | None  # [visits]
    effective_date: Day | None
    expiry_date: Day | None

    @model_validator(mode="after")
    def _check_dates(self) -> Self:
        if self.effective_date and self.expiry_date and self.expiry_date < self.effective_date:
            raise ValueError("has an expiry_date before its effective_date: correct one of them")
        return self


class TierBenefits(_Part):
    """Benefits of one tier. The deductible is that of a plan year. Units: cents, ppm."""

    deductible: Money
    coinsurance: Share | None = None
    copay: Money | None = None  # null: coinsurance applies
    deductible_applies: StrictBool = True
    out_of_pocket_max: Money | None = None  # null: there is none

    @model_validator(mode="after")
    def _check_share(self) -> Self:
        if self.copay is None and self.coinsurance is None:
            raise ValueError(f"has neither coinsurance nor copay: add coinsurance; {_AS_SHARE}")
        return self


class Benefits(_Part):
    """Benefits of both tiers; ``out_of_network`` null: the plan has no OON benefits."""

    plan_year_start: MonthDay = 101  # month x 100 + day
    in_network: TierBenefits
    out_of_network: TierBenefits | None


class Accumulator(_Part):
    """What the member has met of a tier before the first visit, in its plan year [cents]."""

    deductible: Money = 0
    out_of_pocket: Money = 0


class Accumulators(_Part):
    """Accumulators of both tiers; what is missing is zero."""

    in_network: Accumulator = Accumulator()
    out_of_network: Accumulator = Accumulator()


class CollectionRate(_Part):
    """Shares that the provider collects of what the member owes [ppm]."""

    cost_share: Share
    balance_bill: Share


class Case(_Part):
    """One course of treatment, its agreement and the benefits of the member.

    Visits are kept in date order, those of one day in the order given.
    """

    name: str = ""
    why: str = ""
    billed_per_unit: Money
    in_network_rate: Money
    out_of_network_allowed: Money | None  # null only where the plan has no OON benefits
    visits: tuple[Visit, ...]
    agreement: Agreement
    benefits: Benefits
    accumulators: Accumulators = Accumulators()
    collection_rate: CollectionRate

    @field_validator("visits")
    @classmethod
    def _check_visits(cls, visits: tuple[Visit, ...]) -> tuple[Visit, ...]:
        if not visits:
            raise ValueError("is empty: add at least one visit")
        return tuple(sorted(visits, key=lambda visit: visit.date))

    @model_validator(mode="after")
    def _check_oon_allowed(self) -> Self:
        if self.benefits.out_of_network is not None and self.out_of_network_allowed is None:
            raise ValueError(f"out_of_network_allowed is empty, but the plan has OON benefits: {_AS_MONEY}")
        return self


def load_case(path: str | Path) -> Case:
    """Read a case file: JSON, or YAML where the name ends in .yaml or .yml.

    Parameters
    ----------
    path : path
        The file holds the case itself or, as a worked example does, ``{"case": ...}``.

    Raises
    ------
    CaseError
        If the file cannot be read or the case is not sound; one sentence that names the field.

    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise CaseError(f"case {path.name} is not text in UTF-8: save it as UTF-8.") from None
    except OSError as error:
        reason = error.strerror or "it cannot be opened"
        raise CaseError(f"case {path.name} cannot be read ({reason}): check the path.") from None
    try:
        if path.suffix.lower() in (".yaml", ".yml"):
            content = yaml.load(text, Loader=_ExactLoader)  # noqa: S506 - a SafeLoader
        else:
            content = json.loads(text, parse_float=Decimal, parse_constant=Decimal, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise CaseError(f"case {path.name} is not valid JSON: correct line {error.lineno}.") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise CaseError(f"case {path.name} is not valid YAML: correct line {line}.") from None
    except CaseError as error:
        raise CaseError(f"case {path.name}: {error}") from None
    except (ValueError, InvalidOperation, RecursionError, yaml.YAMLError):
        raise CaseError(f"case {path.name} cannot be read as data: check its numbers and dates.") from None
    return read_case(content, path.name)


def read_case(content: object, name: str = "") -> Case:
    """Turn the content of a case file into a ``Case``.

    Parameters
    ----------
    content : mapping
        As in the worked examples; numbers with decimals as text or Decimal, never as float.
    name : str
        Name of the case in messages.

    Raises
    ------
    CaseError
        If a field is missing, unknown, out of range or contradicts another. The message names the
        first such field and never holds its value.

    """
    if isinstance(content, Mapping) and "case" in content and set(content) <= {"case", "expected"}:
        content = content["case"]
    about = f"case {name}:" if name else "case:"
    try:
        return Case.model_validate(content)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        others = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise CaseError(f"{about} {_describe(faults[0])}{others}.") from None


def as_arrays(cases: Sequence[Case]) -> costs.Cases:
    """Return the arrays that ``costs`` computes with, one row a case, in the order given."""
    most = max(len(case.visits) for case in cases)
    visit = np.array([[i < len(case.visits) for i in range(most)] for case in cases])
    units = _by_visit(cases, [[v.thousandths for v in c.visits] for c in cases])
    dates = _by_visit(cases, [[v.date.toordinal() for v in c.visits] for c in cases])
    days = (dates - date(1970, 1, 1).toordinal()).astype("datetime64[D]")
    terms = [case.agreement for case in cases]
    covered = costs.cover_visits(
        visit,
        days,
        np.array([t.effective_date for t in terms], dtype="datetime64[D]"),
        np.array([t.expiry_date for t in terms], dtype="datetime64[D]"),
        _column([NO_LIMIT if t.sessions_authorized is None else t.sessions_authorized for t in terms]),
    )
    charge = _column([case.billed_per_unit for case in cases])
    billed = costs.multiply(charge[:, None], units)

    def allow(rates: Sequence[int]) -> costs.Integers:
        return costs.allow(billed, _column(rates)[:, None], units)

    return costs.Cases(
        visit=visit,
        plan_year=costs.plan_years(days, _column([c.benefits.plan_year_start for c in cases])[:, None]),
        covered=covered,
        units=units,
        billed=billed,
        in_network_allowed=allow([case.in_network_rate for case in cases]),
        out_of_network_allowed=allow([case.out_of_network_allowed or 0 for case in cases]),
        sca_allowed=allow([t.rate for t in terms]),
        in_network=_tier([(c.benefits.in_network, c.accumulators.in_network) for c in cases]),
        out_of_network=_tier([(c.benefits.out_of_network, c.accumulators.out_of_network) for c in cases]),
        has_out_of_network=np.array([case.benefits.out_of_network is not None for case in cases]),
        cost_share_collected=_column([case.collection_rate.cost_share for case in cases]),
        balance_bill_collected=_column([case.collection_rate.balance_bill for case in cases]),
        charge=charge,
    )


def quote(case: Case) -> dict[str, Any]:
    """Split every visit under the three arrangements and find the break-even rates.

    Returns
    -------
    dict
        ``arrangements`` (by name: ``visits`` and ``totals``) and ``break_even_rate`` (``plan``,
        ``member``, ``provider``; None where no rate does). Money is text with two decimals [USD].

    """
    cases = as_arrays([case])
    splits = costs.compare_arrangements(cases)
    rates = costs.break_even_rates(cases, splits["out_of_network"])
    covered = [bool(c) for c in cases.covered[0]]
    arrangements = {}
    for name, split in splits.items():
        visits = []
        for number, visit in enumerate(case.visits):
            oon = name == "out_of_network" or (name == "sca" and not covered[number])
            tier = case.benefits.out_of_network if oon else case.benefits.in_network
            row: dict[str, Any] = {
                "date": visit.date.isoformat(),
                "units": float(visit.units) if isinstance(visit.units, Decimal) else visit.units,
            }
            for field, amounts in _amounts(split):
                row[field] = format_cents(int(amounts[0, number]))
            if tier is not None and not tier.deductible_applies:
                row["deductible"] = "0"  # not "0.00": that is how the worked examples tell it
            if name == "sca":
                row["covered_by_agreement"] = covered[number]
            visits.append(row)
        totals = {field: format_cents(int(amounts.sum())) for field, amounts in _amounts(split)}
        totals["member_total"] = format_cents(int(split.member_total[0]))
        totals["provider_net"] = format_cents(int(split.provider_net[0]))
        arrangements[name] = {"visits": visits, "totals": totals}
    return {
        "arrangements": arrangements,
        "break_even_rate": {
            side: None if rate[0] == NO_RATE else format_cents(int(rate[0]))
            for side, rate in (("plan", rates.plan), ("member", rates.member), ("provider", rates.provider))
        },
    }


def format_cents(cents: int) -> str:
    """Return an amount that is not negative as dollars with two decimals: 12345 is "123.45"."""
    return f"{cents // 100}.{cents % 100:02d}"


def _amounts(split: costs.Split) -> list[tuple[str, costs.Integers]]:
    """Return the amounts by visit with their names, in the order of the worked examples."""
    names = ("billed", "allowed", "deductible", "member_cost_share", "plan_paid", "balance_bill")
    return [(name, getattr(split, name)) for name in names]


def _column(values: Sequence[int]) -> costs.Integers:
    return np.array(values, dtype=np.int64)


def _by_visit(cases: Sequence[Case], rows: list[list[int]]) -> costs.Integers:
    """Pad rows to the longest; a pad of 1 is a harmless date and number of units."""
    most = max(map(len, rows))
    return np.array([row + [1] * (most - len(row)) for row in rows], dtype=np.int64)


def _tier(parts: Sequence[tuple[TierBenefits | None, Accumulator]]) -> costs.Tier:
    """Return the tier of all cases; zeros where a plan has none, which are not read."""
    nothing = TierBenefits.model_construct(deductible=0, coinsurance=0)
    tiers = [tier or nothing for tier, _ in parts]
    return costs.Tier(
        deductible=_column([t.deductible for t in tiers]),
        coinsurance=_column([t.coinsurance or 0 for t in tiers]),
        copay=_column([t.copay or 0 for t in tiers]),
        has_copay=np.array([t.copay is not None for t in tiers]),
        deductible_applies=np.array([t.deductible_applies for t in tiers]),
        out_of_pocket_max=_column([NO_LIMIT if t.out_of_pocket_max is None else t.out_of_pocket_max for t in tiers]),
        deductible_used=_column([used.deductible for _, used in parts]),
        out_of_pocket_used=_column([used.out_of_pocket for _, used in parts]),
    )


class _ExactLoader(yaml.SafeLoader):
    """YAML as ``yaml.safe_load`` reads it, but decimals stay exact and no key may come twice."""

    def exact(self, node: yaml.ScalarNode) -> Decimal:
        """Read a number with decimals; .inf and .nan too, so that the message can name the field."""
        text = self.construct_scalar(node).replace("_", "")
        return Decimal(text.replace(".", "") if text[-1].isalpha() else text)

    def unique(self, node: yaml.MappingNode) -> dict[Any, Any]:
        """Read a mapping; ``<<`` merges first, so that it may be overridden as YAML allows."""
        merge = "tag:yaml.org,2002:merge"
        _unique([(self.construct_object(key, deep=True), None) for key, _ in node.value if key.tag != merge])
        self.flatten_mapping(node)
        return self.construct_mapping(node, deep=True)


_ExactLoader.add_constructor("tag:yaml.org,2002:float", _ExactLoader.exact)
_ExactLoader.add_constructor("tag:yaml.org,2002:map", _ExactLoader.unique)


def _unique(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    """Return the pairs of a mapping; of two equal keys one would be lost without a word."""
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise CaseError(f"{key} is given twice: remove one.")
    return dict(pairs)


_HOW = {
    "date": _AS_DATE,
    "effective_date": f"{_AS_DATE}, or null if open",
    "expiry_date": f"{_AS_DATE}, or null if open",
    "units": _AS_UNITS,
    "sessions_authorized": f"{_AS_COUNT}, or null if unlimited",
    "cost_share": _AS_SHARE,
    "balance_bill": _AS_SHARE,
    "visits": "give it as a list of objects with date and units",
    "out_of_network": f"{_AS_OBJECT}, or as null if the plan has no OON benefits",
} | dict.fromkeys(("agreement", "benefits", "in_network", "accumulators", "collection_rate"), _AS_OBJECT)


def _describe(fault: Mapping[str, Any]) -> str:
    """Return a sentence without full stop: which field, what is wrong, what to do."""
    path = [str(part) for part in fault["loc"]]
    if path[:1] == ["visits"] and len(path) > 1:  # people count from one
        where = " of ".join([*path[2:][::-1], f"visit {int(path[1]) + 1}"])
    else:
        where = ".".join(path)
    field = path[-1] if path and not path[-1].isdigit() else ""
    how = _HOW.get(field, _AS_MONEY if path and field else _AS_OBJECT)
    kind = fault["type"]
    if kind == "value_error":
        return f"{where} {fault['ctx']['error']}".strip()
    where = where or "the content"
    if kind == "missing" or fault["input"] is None:
        return f"{where} is missing: {how.replace('give', 'add', 1)}"
    if kind == "extra_forbidden":
        return f"{where} is not a known field: remove it or correct its name"
    if kind == "bool_type":
        return f"{where} is not true or false: give it as true or false, without quotes"
    if kind == "string_type":
        return f"{where} is not text: put it in quotes"
    return f"{where} has the wrong form: {how}"


def as_table(result: Mapping[str, Any], case: Case | None = None) -> str:
    """Return a quote as text for the terminal.

    Parameters
    ----------
    result : mapping
        What ``quote`` returned. Money in [USD].
    case : Case, optional
        The case that was quoted: an empty bargaining zone is then explained with its figures.

    """
    arrangements = result["arrangements"]
    lines = [f"{'':<20}" + "".join(f"{_WORDS[name]:>16}" for name in ARRANGEMENTS)]
    for total in arrangements["sca"]["totals"]:
        amounts = (_grouped(arrangements[name]["totals"][total]) for name in ARRANGEMENTS)
        lines.append(f"{total.replace('_', ' '):<20}" + "".join(f"{amount:>16}" for amount in amounts))
    visits = arrangements["sca"]["visits"]
    covered = sum(visit["covered_by_agreement"] for visit in visits)
    rest = "" if covered == len(visits) else "; the others are out of network"
    lines += ["", f"The agreement covers {covered} of {len(visits)} visits{rest}."]

    rates = result["break_even_rate"]
    plan, member, provider = (rates[side] for side in ("plan", "member", "provider"))
    lines += [
        "",
        "Break-even rates of a unit, agreement against out of network:",
        f"  plan      {'pays no more up to ' + plan if plan else 'pays more at every rate'}",
        f"  member    {'pays no more up to ' + member if member else 'pays more at every rate'}",
        f"  provider  {'gets no less from ' + provider if provider else 'gets less at every rate'}",
        "",
    ]
    if plan is not None and provider is not None and Decimal(provider) <= Decimal(plan):
        return "\n".join([*lines, f"Bargaining zone: {provider} (provider) to {plan} (plan) a unit."])
    lines += [
        "Bargaining zone: empty. No rate serves both plan and provider as well as out of network does.",
        "What would open it: in a gap the plan's alternative is not out of network at its allowed amount,",
        "but its duty to give access. Compare with the in-network rate and the usual charge.",
    ]
    if case is not None:
        lines += ["", "The plan pays in all:", *_alternatives(result, case)]
    return "\n".join(lines)


def _alternatives(result: Mapping[str, Any], case: Case) -> list[str]:
    """Return what the plan pays at the rates that it may be compared with."""
    paid = {name: result["arrangements"][name]["totals"]["plan_paid"] for name in ARRANGEMENTS}
    oon_rate = case.out_of_network_allowed if case.benefits.out_of_network else None
    rows = [
        ("out of network", oon_rate, paid["out_of_network"]),
        ("in-network rate", case.in_network_rate, paid["in_network"]),
        ("agreement, rate as given", case.agreement.rate, paid["sca"]),
    ]
    least = result["break_even_rate"]["provider"]
    needs = [] if least is None else [("agreement, least the provider needs", round(Decimal(least) * 100))]
    for words, rate in (*needs, ("agreement, usual charge", case.billed_per_unit)):
        agreed = case.model_copy(update={"agreement": case.agreement.model_copy(update={"rate": rate})})
        rows.append((words, rate, quote(agreed)["arrangements"]["sca"]["totals"]["plan_paid"]))
    return [
        f"  {words:<36}{'none' if rate is None else _grouped(format_cents(rate)):>12}{_grouped(total):>14}"
        for words, rate, total in rows
    ]


def _grouped(amount: str) -> str:
    """Return "12345.00" as "12,345.00"."""
    return f"{Decimal(amount):,}"
