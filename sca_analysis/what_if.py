"""One case with other inputs: what each side pays or gets, where the deal lies, how sure that is.

In: a case as a file has it, the inputs that a person changed, the rates they may point to (``Anchors``).
Out: the changed case as a file, and its ``Outcome``, whose figures are those of ``quotes.quote`` to the cent.

The fee is a rate of a unit [USD] or, where rates depend on the procedure, a percentage of what is billed.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Any

import numpy as np

from sca_analysis import costs
from sca_analysis.break_even import NO_RATE, break_even_percents, break_even_rates
from sca_analysis.casefile import Accumulator, Case, TierBenefits, read_case
from sca_analysis.costs import NO_LIMIT
from sca_analysis.errors import CaseError
from sca_analysis.medicare import percent_of_medicare
from sca_analysis.quotes import as_arrays
from sca_analysis.scenarios import Basis, References, Uncertainty, change_visits, find_rate, repeat_case, simulate

#: A rate of a unit [USD]: one, or one for each procedure code.
Rate = Decimal | Mapping[str, Decimal]
#: P10, P50 and P90 [USD] of the measures of ``scenarios.MEASURES``.
Ranges = Mapping[str, Sequence[Decimal]]
PARTIES = {"plan_paid": "plan", "member_total": "member", "provider_net": "provider"}
#: How far inputs may lie from what is set: shares of it (visits, OON allowed) and of what is collected.
SPREAD = {
    "visits": (Decimal("0.5"), Decimal("1.5")),
    "out_of_network_allowed": (Decimal("0.75"), Decimal("1.25")),
    "cost_share_collected": (Decimal("0.85"), Decimal("1.05")),
    "balance_bill_collected": (Decimal("0.35"), Decimal("1.2")),
}
SPREAD_WORDS = (
    "visits 50% to 150% of what is set, OON allowed 75% to 125%, cost share collected 85% to 105%, balance bill "
    "collected 35% to 120% (never above all of it); triangular, likeliest as set, drawn independently; the fee is "
    "as set"
)
#: Draws of a range: so few that it follows a slider; the standard error of a percentile is about 3% of the range.
DRAWS = 1_000
MEDICARE = "Medicare"
#: Rates that a fee is compared with, in words.
ANCHORS = ("in-network rate", MEDICARE, "OON allowed", "usual charge")
_CENT = Decimal("0.01")
_TOTALS = ("billed", "allowed", "deductible", "member_cost_share", "plan_paid", "balance_bill")


@dataclass(frozen=True)
class Anchors:
    """Rates of a unit of the case's procedures that fees are compared with and OON bases point to."""

    medicare_rate: Rate | None = None
    usual_charge: Rate | None = None
    charge_percentiles: Mapping[int, Rate] = field(default_factory=dict)
    charges: int = 0  # visits behind the percentiles; 0 where a person gave them


@dataclass(frozen=True)
class TierInputs:
    """Benefits of one tier; None: there is none of it."""

    deductible: Decimal | None  # [USD]
    coinsurance: Decimal | None  # [%]
    copay: Decimal | None  # [USD]
    out_of_pocket_max: Decimal | None  # [USD]


@dataclass(frozen=True)
class Inputs:
    """What may be changed in a case."""

    fee: Decimal | None  # of all visits, [USD a unit] or [% of billed]; None: as the case has it
    visits: int
    sessions: int | None  # authorised by the agreement, None: no limit; not read where there are several
    cost_share: Decimal  # collected [%]
    balance_bill: Decimal  # collected [%]
    in_network: TierInputs
    out_of_network: TierInputs | None  # None: no OON benefits
    oon_basis: Basis | None = None  # None: the OON allowed amount is as the case has it


@dataclass(frozen=True)
class Mark:
    """The visit at which a deductible or maximum was reached; 0: before the first."""

    arrangement: str
    tier: str
    limit: str  # deductible or out_of_pocket_max
    visit: int
    amount: int  # the limit [cents]


@dataclass(frozen=True)
class AtRate:
    """What an agreement at another rate would come to [cents]."""

    rate_of: str  # in words
    rate: Decimal  # [USD a unit] or [% of billed]
    plan_paid: int
    member_total: int
    provider_net: int


@dataclass(frozen=True)
class Outcome:
    """What a case comes to. Amounts in cents."""

    case: Case
    is_percent: bool  # fee and break-even are percentages of what is billed
    fee: Decimal  # [USD a unit] or [% of billed, of the covered visits together]
    covered: int  # visits under the agreement
    totals: Mapping[str, Mapping[str, int]]  # by arrangement, then as in a quote
    break_even: Mapping[str, Decimal | None]  # plan, member, provider; in the unit of the fee
    cumulative: Mapping[str, Mapping[str, Sequence[int]]]  # by arrangement, plan and member after each visit
    marks: Sequence[Mark]
    rates: Sequence["AtRate"]

    @property
    def zone(self) -> tuple[Decimal, Decimal] | None:
        """The bargaining zone: the provider's break-even to the plan's; None where it is empty."""
        low, high = self.break_even["provider"], self.break_even["plan"]
        return None if low is None or high is None or low > high else (low, high)


def read_inputs(content: Mapping[str, Any]) -> Inputs:
    """Return the inputs of a case as it is.

    Raises
    ------
    CaseError
        If the case is not sound.

    """
    case = read_case(content)
    rates = [rate for terms in case.terms for rate in (terms.rate, terms.telehealth_rate) if rate is not None]
    is_one = not isinstance(rates[0], dict) and rates.count(rates[0]) == len(rates)
    out = case.benefits.out_of_network
    return Inputs(
        fee=Decimal(rates[0]).scaleb(-2) if is_one and not case.is_rated_by_procedure else None,  # type: ignore[arg-type]
        visits=len(case.visits),
        sessions=case.terms[-1].sessions_authorized,
        cost_share=_as_percent(case.collection_rate.cost_share),
        balance_bill=_as_percent(case.collection_rate.balance_bill),
        in_network=_read_tier(case.benefits.in_network),
        out_of_network=None if out is None else _read_tier(out),
    )


def change(content: Mapping[str, Any], inputs: Inputs, anchors: Anchors | None = None) -> dict[str, Any]:
    """Return a case, as a file has it, with other inputs; what is not an input stays as it is.

    Raises
    ------
    CaseError
        If an OON basis points to a rate that is not known, or OON benefits lack an allowed amount.

    """
    changed = {key: value for key, value in content.items() if key not in ("agreement", "agreements")}
    terms = content.get("agreements") or [content["agreement"]]
    if inputs.fee is not None:
        rate = _set_fee(content, terms, inputs.fee)
        # one fee for all visits, as the break-even rates have it: so none of its own for telehealth
        terms = [{**{k: v for k, v in one.items() if k != "telehealth_rate"}, "rate": rate} for one in terms]
    if len(terms) == 1:
        changed["agreement"] = {**terms[0], "sessions_authorized": inputs.sessions}
    else:
        changed["agreements"] = terms
    changed["visits"] = change_visits(content["visits"], inputs.visits)
    given = content["benefits"]
    oon = None
    if inputs.out_of_network is not None:
        oon = _change_tier(given.get("out_of_network") or {}, inputs.out_of_network)
    changed["benefits"] = {
        **given,
        "in_network": _change_tier(given["in_network"], inputs.in_network),
        "out_of_network": oon,
    }
    if inputs.oon_basis is not None:
        changed["out_of_network_allowed"] = resolve(inputs.oon_basis, content, anchors or Anchors())
    if oon is not None and changed["out_of_network_allowed"] is None:
        raise CaseError("with OON benefits the plan allows an amount: choose what it is based on.")
    changed["collection_rate"] = {
        "cost_share": str(inputs.cost_share / 100),
        "balance_bill": str(inputs.balance_bill / 100),
    }
    return changed


def resolve(basis: Basis, content: Mapping[str, Any], anchors: Anchors) -> str | dict[str, str]:
    """Return what the plan allows OON a unit, as a case file has it.

    Raises
    ------
    CaseError
        If the basis points to a rate that is not known.

    """
    rate = find_rate(
        basis,
        as_rate(content["in_network_rate"]),
        as_rate(content["billed_per_unit"]),
        anchors.medicare_rate,
        anchors.usual_charge,
        anchors.charge_percentiles,
    )
    if rate is None:
        which = f"the {basis.percentile}th percentile of charges" if basis.percentile else "Medicare's rate"
        raise CaseError(f"{which} is not known for this case: choose another basis.")
    return _as_text(_times(rate, Decimal(100) if basis.percent is None else basis.percent))


def measure(content: Mapping[str, Any], anchors: Anchors | None = None) -> Outcome:
    """Return what a case comes to.

    Raises
    ------
    CaseError
        If the case is not sound; one sentence that names the field.

    """
    case = read_case(content)
    one = as_arrays([case])
    found = _find_break_even(_without_rate(content), case.is_rated_by_procedure)
    compared = list(_compare_with(case, one, anchors or Anchors(), found))
    many = replace(
        repeat_case(one, 1 + len(compared)),
        sca_allowed=np.concatenate([one.sca_allowed, *(allowed for _, _, allowed in compared)]),
    )
    splits = costs.compare_arrangements(many)
    plan = splits["sca"].plan_paid.sum(axis=1)
    rates = [
        AtRate(words, rate, int(plan[n]), int(splits["sca"].member_total[n]), int(splits["sca"].provider_net[n]))
        for n, (words, rate, _) in enumerate(compared, 1)
    ]
    agreed = case.terms[-1].rate
    return Outcome(
        case=case,
        is_percent=case.is_rated_by_procedure,
        fee=_average(case, one, one.sca_allowed)
        if case.is_rated_by_procedure or isinstance(agreed, dict)
        else Decimal(agreed).scaleb(-2),
        covered=int(one.covered.sum()),
        totals={name: _add_up(split) for name, split in splits.items()},
        break_even=found,
        cumulative={name: _accumulate(split) for name, split in splits.items()},
        marks=[*_find_marks(case, one, splits)],
        rates=rates,
    )


def find_ranges(content: Mapping[str, Any], seed: int = 1, draws: int = DRAWS) -> Ranges:
    """Return P10, P50 and P90 of the measures of ``scenarios.MEASURES`` [USD] over ``SPREAD``, the fee being as set."""
    case = read_case(content)
    collected = case.collection_rate
    centre = {
        "visits": Decimal(len(case.visits)),
        "out_of_network_allowed": Decimal(100),  # percent of what is set
        "cost_share_collected": Decimal(collected.cost_share) / costs.MILLION,
        "balance_bill_collected": Decimal(collected.balance_bill) / costs.MILLION,
    }
    triangles = {}
    for name, likely in centre.items():
        low, high = (likely * share for share in SPREAD[name])
        if name.endswith("collected"):
            high = min(high, Decimal(1))
        if name == "visits":
            low, high = max(Decimal(1), low), high.to_integral_value(ROUND_CEILING)
        triangles[name] = {"low": low, "likely": likely, "high": high}
    table = simulate(content, Uncertainty.model_validate(triangles), seed, draws, relative=True)
    return {row.measure: (row.p10, row.p50, row.p90) for row in table.itertuples()}


def anchor_references(references: References) -> Anchors:
    """Return the anchors of a case that a person gave, with its references."""
    return Anchors(references.medicare_rate, references.usual_charge, references.charge_percentiles, references.charges)


def as_percent_of_medicare(outcome: Outcome, anchors: Anchors) -> Decimal | None:
    """Return the fee as a percentage of Medicare's rate [%, to 0.1]; None where that is not known."""
    if outcome.is_percent:
        medicare = next((at.rate for at in outcome.rates if at.rate_of == MEDICARE), None)
        return percent_of_medicare(outcome.fee, medicare)
    rate = anchors.medicare_rate
    return None if isinstance(rate, Mapping) else percent_of_medicare(outcome.fee, rate)


def as_rate(given: Any) -> Rate:
    """Return a rate of a case file as exact numbers."""
    return {k: Decimal(str(v)) for k, v in given.items()} if isinstance(given, Mapping) else Decimal(str(given))


def _as_text(rate: Rate) -> str | dict[str, str]:
    return {code: f"{one:.2f}" for code, one in rate.items()} if isinstance(rate, Mapping) else f"{rate:.2f}"


def _times(rate: Rate, percent: Decimal) -> Rate:
    """Return a percentage of a rate, rounded half up to cents."""
    if isinstance(rate, Mapping):
        return {code: (one * percent / 100).quantize(_CENT, ROUND_HALF_UP) for code, one in rate.items()}
    return (rate * percent / 100).quantize(_CENT, ROUND_HALF_UP)


def _set_fee(content: Mapping[str, Any], terms: Sequence[Mapping[str, Any]], fee: Decimal) -> str | dict[str, str]:
    """Return a fee as a rate of the case file: an amount or, by procedure, a percentage of each charge."""
    billed = as_rate(content["billed_per_unit"])
    codes = {code for one in terms for code in (one["rate"] if isinstance(one["rate"], Mapping) else {})}
    if not isinstance(billed, Mapping) and not codes:
        return f"{fee:.2f}"
    if not isinstance(billed, Mapping):
        billed = dict.fromkeys(sorted(codes), billed)
    return _as_text(_times(billed, fee))


def _read_tier(tier: TierBenefits) -> TierInputs:
    def dollars(cents: int | None) -> Decimal | None:
        return None if cents is None else Decimal(cents).scaleb(-2)

    coinsurance = None if tier.coinsurance is None else _as_percent(tier.coinsurance)
    return TierInputs(dollars(tier.deductible), coinsurance, dollars(tier.copay), dollars(tier.out_of_pocket_max))


def _as_percent(ppm: int) -> Decimal:
    """Return a share [ppm] in percent, without zeros behind."""
    percent = Decimal(ppm) / 10_000
    return percent.quantize(Decimal(1)) if percent == int(percent) else percent.normalize()


def _change_tier(given: Mapping[str, Any], inputs: TierInputs) -> dict[str, Any]:
    def text(amount: Decimal | None) -> str | None:
        return None if amount is None else f"{amount:.2f}"

    return {
        **given,
        "deductible": text(inputs.deductible),
        "coinsurance": None if inputs.coinsurance is None else str(inputs.coinsurance / 100),
        "copay": text(inputs.copay),
        "out_of_pocket_max": text(inputs.out_of_pocket_max),
    }


def _without_rate(content: Mapping[str, Any]) -> str:
    """Return a case as text with its fee left out: the break-even rates do not depend on it."""
    terms = [
        {**{k: v for k, v in one.items() if k != "telehealth_rate"}, "rate": "0.00"}
        for one in (content.get("agreements") or [content["agreement"]])
    ]
    rest = {k: v for k, v in content.items() if k not in ("agreement", "agreements", "name", "why")}
    rest |= {"agreement": terms[0]} if len(terms) == 1 else {"agreements": terms}
    return json.dumps(rest, default=str)


@lru_cache(maxsize=256)
def _find_break_even(text: str, is_percent: bool) -> Mapping[str, Decimal | None]:
    """Return the break-even figures of a case, as ``quotes.quote`` has them."""
    cases = as_arrays([read_case(json.loads(text))])
    found = break_even_percents(cases) if is_percent else break_even_rates(cases)
    sides = (("plan", found.plan), ("member", found.member), ("provider", found.provider))
    return {side: None if f[0] == NO_RATE else Decimal(int(f[0])).scaleb(-2) for side, f in sides}


def _compare_with(
    case: Case, one: costs.Cases, anchors: Anchors, found: Mapping[str, Decimal | None]
) -> Iterator[tuple[str, Decimal, costs.Integers]]:
    """Yield rates that a fee is compared with: in words, the rate, and what it allows each visit [cents]."""
    by_fields: list[tuple[str, Any]] = [("in-network rate", case.in_network_rate), (MEDICARE, anchors.medicare_rate)]
    if case.benefits.out_of_network is not None:
        by_fields.append(("OON allowed", case.out_of_network_allowed))
    by_fields.append(("usual charge", anchors.usual_charge or case.billed_per_unit))
    for words, rate in by_fields:
        if rate is None:
            continue
        in_cents = rate if isinstance(rate, int) else _in_cents(rate)
        by_visit = np.array([[visit.at(in_cents) for visit in case.visits]], dtype=np.int64)
        allowed = costs.allow(one.billed, by_visit, one.units)
        if isinstance(in_cents, int) and not case.is_rated_by_procedure:
            yield words, Decimal(in_cents).scaleb(-2), allowed
        else:
            yield words, _average(case, one, allowed), allowed
    for side, words in (("provider", "least the provider needs"), ("plan", "most that suits the plan")):
        figure = found[side]
        if figure is not None:
            whole = np.array(int(figure * 100), dtype=np.int64)
            at = costs.take_percent(one.billed, whole)
            yield words, figure, at if case.is_rated_by_procedure else costs.allow(one.billed, whole, one.units)


def _in_cents(rate: Any) -> int | dict[str, int]:
    if isinstance(rate, Mapping):
        return {code: one if isinstance(one, int) else int(one * 100) for code, one in rate.items()}
    return int(rate * 100)


def _average(case: Case, one: costs.Cases, allowed: costs.Integers) -> Decimal:
    """Return an allowed amount of the covered visits together, or of all: [% of billed] or [USD a unit]."""
    chosen = one.covered if one.covered.any() else one.visit
    per = one.billed if case.is_rated_by_procedure else one.units
    whole = int(per[chosen].sum())
    unit = 100 if case.is_rated_by_procedure else 10  # cents a thousandth of a unit are tens of dollars
    return (Decimal(unit * int(allowed[chosen].sum())) / whole).quantize(_CENT, ROUND_HALF_UP) if whole else Decimal(0)


def _add_up(split: costs.Split) -> dict[str, int]:
    """Return the totals of the first case, named as in a quote [cents]."""
    totals = {name: int(getattr(split, name)[0].sum()) for name in _TOTALS}
    return totals | {"member_total": int(split.member_total[0]), "provider_net": int(split.provider_net[0])}


def _accumulate(split: costs.Split) -> dict[str, list[int]]:
    """Return what plan and member have paid of the first case after each visit [cents]."""
    member = split.member_cost_share[0] + split.balance_bill[0]
    return {"plan": np.cumsum(split.plan_paid[0]).tolist(), "member": np.cumsum(member).tolist()}


def _find_marks(case: Case, one: costs.Cases, splits: Mapping[str, costs.Split]) -> Iterator[Mark]:
    """Yield the visits at which a deductible or a maximum was reached, in every plan year."""
    covered = one.covered[0]
    years = one.plan_year[0]
    everywhere = np.ones_like(covered)
    for arrangement, tier_name, mine in (
        ("in_network", "in_network", everywhere),
        ("out_of_network", "out_of_network", everywhere),
        ("sca", "in_network", covered),
        ("sca", "out_of_network", ~covered),
    ):
        tier = getattr(case.benefits, tier_name)
        if tier is None or not mine.any():
            continue
        used = getattr(case.accumulators, tier_name)
        split = splits[arrangement]
        for limit, amounts in (("deductible", split.deductible[0]), ("out_of_pocket_max", split.member_cost_share[0])):
            if limit == "deductible" and not tier.deductible_applies:
                continue
            whole, left = _limit_of(tier, used, limit)
            if whole >= NO_LIMIT or whole == 0:
                continue
            for year in np.unique(years):
                room = left if year == years[0] else whole
                added = np.cumsum(np.where(mine & (years == year), amounts, 0))
                if room <= 0:
                    yield Mark(arrangement, tier_name, limit, 0, whole)
                elif added[-1] >= room:
                    yield Mark(arrangement, tier_name, limit, int(np.searchsorted(added, room)) + 1, whole)


def _limit_of(tier: TierBenefits, used: Accumulator, limit: str) -> tuple[int, int]:
    """Return deductible or maximum of a plan year, and what is left of it before the first visit [cents].

    The lesser of the member's own and the family's, see ``costs.Family``.
    """
    own = getattr(tier, limit)
    short = limit.removesuffix("_max")
    limits = [] if own is None else [(own, own - getattr(used, short))]
    if tier.family is not None:
        if limit == "deductible" and tier.family.kind == "aggregate":
            limits = []
        of_family = getattr(tier.family, limit)
        spent = getattr(used, f"family_{short}_used")
        if of_family is not None:
            limits.append((of_family, of_family - (getattr(used, short) if spent is None else spent)))
    return (min(w for w, _ in limits), min(left for _, left in limits)) if limits else (NO_LIMIT, NO_LIMIT)
