"""A case file in, a checked ``Case`` out: one course of treatment, its agreement and benefits.

Question answered: is this case sound, and if not, which field is to be corrected? In: a JSON or YAML
file (``load_case``) or its content (``read_case``). Out: a ``Case``, or a ``CaseError`` of one sentence.

Inside a ``Case`` money is in integer cents, shares in parts per million and units of service in
thousandths, as ``costs`` wants them; in files, money is text with two decimals. Fields with a default
may be left out; without them a case means what it meant before there were any.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticKnownError

from sca_analysis import costs
from sca_analysis.errors import CaseError

#: Highest amount of money in a case file [USD] and of units in a visit: far above any real one.
MOST_MONEY, MOST_UNITS = Decimal("9999999.99"), Decimal(1000)

#: Longest case file that is read: a case of 500 visits has 100,000. [bytes]
MOST_BYTES = 10_000_000
_MOST_SHOWN = 60  # characters of a name in a message

_PLAIN_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?|-?(nan|inf(inity)?)", re.IGNORECASE)
_AS_MONEY = 'give it as dollars, for example "500.00"'
_AS_SHARE = 'give it as a share from 0 to 1, for example "0.20"'
_AS_UNITS = "give it as a number above 0, for example 1"
_AS_DATE = 'give it as year-month-day, for example "2026-01-05"'
_AS_COUNT = "give it as a whole number, for example 10"
_AS_MONTH_DAY = 'give it as month-day, for example "01-01"'
_AS_OBJECT = "give it as an object with named fields"
_AS_CODE = 'give it as text, for example "90837"'
_AS_KIND = 'give it as "embedded" or "aggregate"'

#: Default of a field that may be left out only where another field allows it.
_ABSENT: Any = object()


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


def _rate(value: object) -> int | dict[str, int]:
    """Dollars to cents: one amount, or one for each procedure code."""
    if not isinstance(value, Mapping):
        return _money(value)
    if not value:
        raise ValueError("names no procedure code: add one with its rate")
    rates = {}
    for code, amount in value.items():
        try:
            rates[_code(code)] = _money(amount)
        except ValueError as error:
            about = f"of procedure {_shorten(code)}" if isinstance(code, str) else "has a procedure code that"
            raise ValueError(f"{about} {error}") from None
    return rates


def _code(value: object) -> str:
    """Return a procedure code; a number would lose its leading zeros."""
    if not isinstance(value, str) or not value.strip() or value != value.encode("utf-8", "replace").decode("utf-8"):
        raise ValueError(f"is not text: {_AS_CODE}")
    return value


Money = Annotated[int, BeforeValidator(_money)]
Rate = Annotated[int | dict[str, int], BeforeValidator(_rate)]
Code = Annotated[str, BeforeValidator(_code)]
Share = Annotated[int, BeforeValidator(_share)]
Count = Annotated[int, BeforeValidator(_count)]
Day = Annotated[date, BeforeValidator(_day)]
MonthDay = Annotated[int, BeforeValidator(_month_day)]


class _Part(BaseModel):
    """Part of a case: immutable, and an unknown field is a fault, since it may be a misspelt one."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Visit(_Part):
    """One service; several may share a day, and each uses a session."""

    date: Day
    units: int | Decimal | str  # as the file gives it, since the quote repeats it
    procedure_code: Code | None = None  # needed where a rate is given by procedure
    telehealth: StrictBool = False

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

    def at(self, rate: int | dict[str, int] | None) -> int:
        """Return the rate of a unit of this visit [cents]; zero where there is none."""
        return rate[self.procedure_code or ""] if isinstance(rate, dict) else rate or 0


class Agreement(_Part):
    """The SCA. Null stands for no limit of sessions, and for an open date."""

    rate: Rate  # of a unit [cents]
    telehealth_rate: Rate | None = None  # likewise, of telehealth visits; null: the same rate
    sessions_authorized: Count | None  # [visits]
    effective_date: Day | None
    expiry_date: Day | None
    decision_date: Day | None = None  # given: visits before it were billed OON and are re-adjudicated

    @model_validator(mode="after")
    def _check_dates(self) -> Self:
        if self.effective_date and self.expiry_date and self.expiry_date < self.effective_date:
            raise ValueError("has an expiry_date before its effective_date: correct one of them")
        return self

    def includes(self, day: date) -> bool:
        """Tell whether a day is within the dates, both included."""
        return (self.effective_date or date.min) <= day <= (self.expiry_date or date.max)

    def rate_for(self, visit: Visit) -> int | dict[str, int]:
        """Return the agreed rate, or that of telehealth where there is one and the visit is such."""
        return self.rate if self.telehealth_rate is None or not visit.telehealth else self.telehealth_rate


class FamilyBenefits(_Part):
    """Deductible and maximum of all members of a family together, in a plan year [cents]."""

    kind: Literal["embedded", "aggregate"]
    deductible: Money | None  # null: there is none, where it is embedded
    out_of_pocket_max: Money | None = None  # null: there is none

    @model_validator(mode="after")
    def _check_deductible(self) -> Self:
        if self.kind == "aggregate" and self.deductible is None:
            raise ValueError(f"is aggregate, but its deductible is empty: {_AS_MONEY}")
        return self


class TierBenefits(_Part):
    """Benefits of one tier. The deductible is that of a plan year. Units: cents, ppm."""

    family: FamilyBenefits | None = None  # the first field: the check of the next one reads it
    deductible: Money | None = Field(default=_ABSENT, validate_default=True)  # may lack where family is aggregate
    coinsurance: Share | None = None
    copay: Money | None = None  # null: coinsurance applies
    copay_and_coinsurance: StrictBool = False  # true: the copay, then coinsurance on what remains
    deductible_applies: StrictBool = True
    out_of_pocket_max: Money | None = None  # null: there is none

    @field_validator("deductible", mode="before")
    @classmethod
    def _check_deductible(cls, value: object, info: ValidationInfo) -> object:
        family = info.data.get("family", _ABSENT)  # absent if it has a fault of its own
        if family is _ABSENT or (family is not None and family.kind == "aggregate"):
            return None if value is _ABSENT else value
        if value is _ABSENT:
            raise PydanticKnownError("missing")
        return _money(None) if value is None else value  # refused, as before there were families

    @model_validator(mode="after")
    def _check_share(self) -> Self:
        if self.copay is None and self.coinsurance is None:
            raise ValueError(f"has neither coinsurance nor copay: add coinsurance; {_AS_SHARE}")
        if self.copay_and_coinsurance and self.copay is None:
            raise ValueError(f"has copay_and_coinsurance, but no copay: add copay; {_AS_MONEY}")
        if self.copay_and_coinsurance and self.coinsurance is None:
            raise ValueError(f"has copay_and_coinsurance, but no coinsurance: add coinsurance; {_AS_SHARE}")
        return self


class Benefits(_Part):
    """Benefits of both tiers; ``out_of_network`` null: the plan has no OON benefits."""

    plan_year_start: MonthDay = 101  # month x 100 + day
    in_network: TierBenefits
    out_of_network: TierBenefits | None


class Accumulator(_Part):
    """What the member has met of a tier before the first visit, in its plan year [cents].

    The family's amounts are those of all members together, this one included: where they are left
    out, no other member has used any.
    """

    deductible: Money = 0
    out_of_pocket: Money = 0
    family_deductible_used: Money | None = None
    family_out_of_pocket_used: Money | None = None

    @model_validator(mode="after")
    def _check_family(self) -> Self:
        for name, family, own in (
            ("family_deductible_used", self.family_deductible_used, self.deductible),
            ("family_out_of_pocket_used", self.family_out_of_pocket_used, self.out_of_pocket),
        ):
            if family is not None and family < own:
                raise ValueError(f"has a {name} below what this member alone has used: correct one of them")
        return self


class Accumulators(_Part):
    """Accumulators of both tiers; what is missing is zero."""

    in_network: Accumulator = Accumulator()
    out_of_network: Accumulator = Accumulator()


class CollectionRate(_Part):
    """Shares that the provider collects of what the member owes [ppm]."""

    cost_share: Share
    balance_bill: Share


class Case(_Part):
    """One course of treatment, its agreements and the benefits of the member.

    Visits are kept in date order, those of one day in the order given.
    """

    name: str = ""
    why: str = ""
    billed_per_unit: Rate
    in_network_rate: Rate
    out_of_network_allowed: Rate | None  # null only where the plan has no OON benefits
    visits: tuple[Visit, ...]
    agreements: tuple[Agreement, ...] = ()  # instead of agreement: renewals, one after the other
    agreement: Agreement | None = Field(default=_ABSENT, validate_default=True)  # null only where agreements are given
    benefits: Benefits
    accumulators: Accumulators = Accumulators()
    collection_rate: CollectionRate

    @property
    def terms(self) -> tuple[Agreement, ...]:
        """All agreements, in date order."""
        return self.agreements or ((self.agreement,) if self.agreement else ())

    @property
    def is_rated_by_procedure(self) -> bool:
        """Whether the charge or an agreed rate depends on the procedure: there is no one rate of a unit."""
        rates = [self.billed_per_unit, *(r for t in self.terms for r in (t.rate, t.telehealth_rate))]
        return any(isinstance(rate, dict) for rate in rates)

    def find_terms(self, visit: Visit) -> Agreement | None:
        """Return the agreement whose dates hold a visit, if one does."""
        return next((terms for terms in self.terms if terms.includes(visit.date)), None)

    @field_validator("visits")
    @classmethod
    def _check_visits(cls, visits: tuple[Visit, ...]) -> tuple[Visit, ...]:
        if not visits:
            raise ValueError("is empty: add at least one visit")
        return tuple(sorted(visits, key=lambda visit: visit.date))

    @field_validator("agreements")
    @classmethod
    def _check_agreements(cls, agreements: tuple[Agreement, ...]) -> tuple[Agreement, ...]:
        if not agreements:
            raise ValueError("is empty: add at least one agreement")
        for number, (one, following) in enumerate(pairwise(agreements), 1):
            both = f"{number} and {number + 1}"
            if one.expiry_date is None or following.effective_date is None:
                raise ValueError(f"{both} leave a date between them open: give expiry_date and effective_date")
            if following.effective_date <= one.expiry_date:
                is_later = one.effective_date is None or one.effective_date <= following.effective_date
                raise ValueError(f"{both} {'overlap' if is_later else 'are not in date order'}: correct their dates")
        return agreements

    @field_validator("agreement", mode="before")
    @classmethod
    def _check_agreement(cls, value: object, info: ValidationInfo) -> object:
        is_given = value is not None and value is not _ABSENT
        if info.data.get("agreements", True):  # True: they have a fault of their own
            if is_given:
                raise ValueError("and agreements are both given: remove one of them")
            return None
        if not is_given:
            raise PydanticKnownError("missing")
        return value

    @model_validator(mode="after")
    def _check_oon_allowed(self) -> Self:
        if self.benefits.out_of_network is not None and self.out_of_network_allowed is None:
            raise ValueError(f"out_of_network_allowed is empty, but the plan has OON benefits: {_AS_MONEY}")
        return self

    @model_validator(mode="after")
    def _check_procedures(self) -> Self:
        """Refuse a procedure without a rate where one is needed, rather than take it as zero."""
        for visit in self.visits:
            for name, rate in self._rates_of(visit):
                if not isinstance(rate, dict):
                    continue
                if visit.procedure_code is None:
                    raise ValueError(f"{name} is given by procedure, but a visit has no procedure_code: add it")
                if visit.procedure_code not in rate:
                    raise ValueError(f"{name} has no rate for procedure {_shorten(visit.procedure_code)}: add it")
        return self

    @model_validator(mode="after")
    def _check_families(self) -> Self:
        for name in ("in_network", "out_of_network"):
            tier, used = getattr(self.benefits, name), getattr(self.accumulators, name)
            has_used = used.family_deductible_used is not None or used.family_out_of_pocket_used is not None
            if has_used and tier is not None and tier.family is None:
                raise ValueError(
                    f"accumulators.{name} has amounts of the family, but benefits.{name} has no family: add it"
                )
        return self

    def _rates_of(self, visit: Visit) -> list[tuple[str, object]]:
        """Return the rates that a visit needs, by the name of their field."""
        rates: list[tuple[str, object]] = [
            ("billed_per_unit", self.billed_per_unit),
            ("in_network_rate", self.in_network_rate),
        ]
        if self.benefits.out_of_network is not None:
            rates.append(("out_of_network_allowed", self.out_of_network_allowed))
        for number, terms in enumerate(self.terms, 1):
            if terms.includes(visit.date):
                rate = terms.rate_for(visit)
                field = "rate" if rate is terms.rate else "telehealth_rate"
                where = f"{field} of agreement {number}" if self.agreements else f"agreement.{field}"
                rates.append((where, rate))
        return rates


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
    return read_case(read_file(path), Path(path).name)


def read_file(path: str | Path) -> Any:
    """Return the case that a file holds, unchecked; numbers with decimals stay exact.

    Raises
    ------
    CaseError
        If the file cannot be read as JSON or YAML.

    """
    path = Path(path)
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe or a device may never end
            raise CaseError(f"case {path.name} is a pipe or a device: write it to a file first.")
        if path.is_file() and path.stat().st_size > MOST_BYTES:
            raise CaseError(f"case {path.name} has over {MOST_BYTES:,} bytes, which no case has: check the path.")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise CaseError(f"case {path.name} is not text in UTF-8: save it as UTF-8.") from None
    except OSError as error:
        reason = error.strerror or "it cannot be opened"
        raise CaseError(f"case {_shorten(path.name)} cannot be read ({reason}): check the path.") from None
    except CaseError:
        raise
    except ValueError:
        raise CaseError("the path of the case holds a NUL byte: correct it.") from None
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
    return _unwrap(content)


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
    content = _unwrap(content)
    about = f"case {name}:" if name else "case:"
    try:
        return Case.model_validate(content)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        others = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise CaseError(f"{about} {_describe(faults[0])}{others}.") from None


def _unwrap(content: Any) -> Any:
    """Return the case of a worked example, which has what is expected beside it."""
    is_example = isinstance(content, Mapping) and "case" in content and set(content) <= {"case", "expected"}
    return content["case"] if is_example else content


_HOW = {
    "date": _AS_DATE,
    "effective_date": f"{_AS_DATE}, or null if open",
    "expiry_date": f"{_AS_DATE}, or null if open",
    "units": _AS_UNITS,
    "sessions_authorized": f"{_AS_COUNT}, or null if unlimited",
    "decision_date": _AS_DATE,
    "agreements": "give it as a list of objects with the fields of an agreement, in date order",
    "kind": _AS_KIND,
    "procedure_code": _AS_CODE,
    "cost_share": _AS_SHARE,
    "balance_bill": _AS_SHARE,
    "visits": "give it as a list of objects with date and units",
    "out_of_network": f"{_AS_OBJECT}, or as null if the plan has no OON benefits",
} | dict.fromkeys(("agreement", "benefits", "in_network", "accumulators", "collection_rate", "family"), _AS_OBJECT)


def _shorten(name: str) -> str:
    """Return a name of a file or field on one line, as text that can be written, and not all of one far too long."""
    line = " ".join(name.encode("utf-8", "replace").decode("utf-8").split())
    return line if len(line) <= _MOST_SHOWN else f"{line[:_MOST_SHOWN]}…"


def _describe(fault: Mapping[str, Any]) -> str:
    """Return a sentence without full stop: which field, what is wrong, what to do."""
    path = [_shorten(str(part)) for part in fault["loc"]]
    if path[:1] in (["visits"], ["agreements"]) and len(path) > 1:  # people count from one
        where = " of ".join([*path[2:][::-1], f"{path[0][:-1]} {int(path[1]) + 1}"])
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


class _ExactLoader(yaml.SafeLoader):
    """YAML as ``yaml.safe_load`` reads it, but decimals stay exact and no key may come twice."""

    def exact(self, node: yaml.ScalarNode) -> Decimal:
        """Read a number with decimals; .inf and .nan too, so that the message can name the field."""
        text = self.construct_scalar(node).replace("_", "")
        return Decimal(text.replace(".", "") if text[-1].isalpha() else text)

    def unique(self, node: yaml.MappingNode) -> dict[Any, Any]:
        """Read a mapping; ``<<`` merges first, so that it may be overridden as YAML allows."""
        merge = "tag:yaml.org,2002:merge"
        if not all(isinstance(key, yaml.ScalarNode) for key, _ in node.value):
            raise yaml.constructor.ConstructorError(problem_mark=node.start_mark)
        _unique([(self.construct_object(key, deep=True), None) for key, _ in node.value if key.tag != merge])
        self.flatten_mapping(node)
        return self.construct_mapping(node, deep=True)


_ExactLoader.add_constructor("tag:yaml.org,2002:float", _ExactLoader.exact)
_ExactLoader.add_constructor("tag:yaml.org,2002:map", _ExactLoader.unique)


def _unique(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    """Return the pairs of a mapping; of two equal keys one would be lost without a word."""
    found = dict(pairs)
    if len(found) < len(pairs):
        [(first, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise CaseError(f"{_shorten(str(first))} is given twice: remove one.")
    return found
