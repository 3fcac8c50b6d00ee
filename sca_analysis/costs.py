"""What a course of treatment costs plan, member and provider, exact to the cent.

Question answered: how is each visit split in-network, out of network (OON) and under a single
case agreement (SCA), and up to which rate is the SCA the better choice? In: ``Cases``, arrays for
many courses at once. Out: one ``Split`` for each arrangement, and ``BreakEven`` rates.

Everything is an integer, so that no cent is lost: money in cents, shares (coinsurance, collection
rates) in parts per million (ppm), units of service in thousandths. Rounding is half up. The rules
numbered in comments are those of "Money, visit by visit" in the project's domain rules:

1. allowed = the lesser of billed and unit rate x units; 2. the deductible comes first, where it
applies; 3. of the rest a copay, or else coinsurance; 4. never beyond the out-of-pocket maximum;
5. OON, what is billed above allowed is the member's; 6. without OON benefits the plan pays nothing
there; 7. a visit that the agreement does not cover is OON, and each tier keeps its accumulators.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from sca_analysis.errors import CaseError

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Dates = npt.NDArray[np.datetime64]

MILLION = 1_000_000  # [ppm]; the whole, as a share
THOUSAND = 1_000  # [thousandths]; one unit of service
#: Largest amount a visit may have [cents]: its product with a share in ppm still fits 64 bits.
LARGEST_AMOUNT = 1_000_000_000_000
#: Stands for "no out-of-pocket maximum" [cents] and for "no limit of sessions" [visits].
NO_LIMIT = 2**60
#: Stands for "no rate does" among the break-even rates [cents].
NO_RATE = -1

ARRANGEMENTS = ("in_network", "out_of_network", "sca")

_BY_VISIT = {"visit", "plan_year", "covered", "units", "billed", *(f"{a}_allowed" for a in ARRANGEMENTS)}
#: Largest value where it is not LARGEST_AMOUNT, so that no product leaves 64 bits.
_MOST = {
    "coinsurance": MILLION,
    "cost_share_collected": MILLION,
    "balance_bill_collected": MILLION,
    "out_of_pocket_max": NO_LIMIT,
    "units": 10_000 * THOUSAND,
    "charge": LARGEST_AMOUNT // 10,
}


@dataclass(frozen=True)
class Tier:
    """The benefits of one tier, in-network or OON, for each case.

    All arrays have shape (n_cases,).
    """

    deductible: Integers  # of a plan year [cents]
    coinsurance: Integers  # the member's share after the deductible [ppm]
    copay: Integers  # of a visit; instead of coinsurance where has_copay [cents]
    has_copay: Flags
    deductible_applies: Flags
    out_of_pocket_max: Integers  # most the member pays in a plan year; NO_LIMIT = none [cents]
    deductible_used: Integers  # accumulator before the first visit, in its plan year [cents]
    out_of_pocket_used: Integers  # likewise [cents]


@dataclass(frozen=True)
class Cases:
    """Many courses of treatment, each a row of visits in date order, padded at the end.

    Arrays "by visit" have shape (n_cases, n_visits), the others (n_cases,). A padded cell is False
    in ``visit``; what the other arrays hold there does not matter. A visit with several claim lines
    has the sums of its lines as amounts.

    Raises
    ------
    ValueError
        If shapes or types do not fit, or padding comes before a visit: a mistake of the caller.
    CaseError
        If an amount is negative or so large that the arithmetic would not be exact.

    """

    visit: Flags  # by visit: is there one?
    plan_year: Integers  # by visit; see plan_years
    covered: Flags  # by visit: does the agreement cover it? see cover_visits
    units: Integers  # by visit; only break_even_rates reads it [thousandths]
    billed: Integers  # by visit [cents]
    in_network_allowed: Integers  # by visit [cents]
    out_of_network_allowed: Integers  # by visit [cents]
    sca_allowed: Integers  # by visit [cents]
    in_network: Tier
    out_of_network: Tier
    has_out_of_network: Flags  # False: no OON benefits, and the OON tier is not read
    cost_share_collected: Integers  # what the provider collects of cost shares [ppm]
    balance_bill_collected: Integers  # what the provider collects of balance bills [ppm]
    charge: Integers  # billed per unit, the highest break-even rate to consider [cents]

    def __post_init__(self) -> None:
        """Refuse arrays that would broadcast or overflow without a word."""
        if self.visit.ndim != 2:
            raise ValueError("Cases.visit must have shape (n_cases, n_visits)")
        if np.any(self.visit[:, 1:] & ~self.visit[:, :-1]):
            raise ValueError("Cases.visit must be padded after the last visit, not before one")
        for name, array in _arrays(self):
            shape = self.visit.shape if name in _BY_VISIT else self.visit.shape[:1]
            if array.shape != shape or array.dtype not in (np.dtype(np.int64), np.dtype(np.bool_)):
                raise ValueError(f"Cases.{name} must have shape {shape}, as int64 or bool")
            most = _MOST.get(name.rpartition(".")[2], LARGEST_AMOUNT)
            wrong = (array < 0) | (array > most)
            if np.any(wrong & self.visit if name in _BY_VISIT else wrong):
                raise CaseError(f"{name} of a case is negative or too large: correct it, or leave the case out.")


@dataclass(frozen=True)
class Split:
    """How the bills are split under one arrangement.

    Arrays by visit have shape (n_cases, n_visits), totals (n_cases,); zero in padded cells. [cents]
    """

    billed: Integers
    allowed: Integers
    deductible: Integers
    member_cost_share: Integers  # deductible part, copay and coinsurance
    plan_paid: Integers
    balance_bill: Integers
    member_total: Integers  # total: cost share and balance bill
    provider_net: Integers  # total: plan paid and what is collected of the member


@dataclass(frozen=True)
class BreakEven:
    """Break-even rates of a unit, each of shape (n_cases,); ``NO_RATE`` where none does [cents]."""

    plan: Integers  # highest at which the SCA costs the plan no more than OON
    member: Integers  # highest at which the SCA costs the member no more than OON
    provider: Integers  # lowest at which the SCA brings the provider no less than OON


def scale(value: Decimal, decimals: int, name: str) -> int:
    """Return ``value`` x 10^``decimals`` as an integer: dollars (2), shares (6), units (3).

    Raises
    ------
    CaseError
        If the value is not finite or has more decimals: rounding it would invent a figure.

    """
    if not value.is_finite():
        raise CaseError(f"{name} is not a finite number: correct it.")
    sign, digits, exponent = value.normalize().as_tuple()
    assert isinstance(exponent, int)  # noqa: S101 - finite, for mypy
    if exponent < -decimals:
        raise CaseError(f"{name} has more than {decimals} decimals: round it.")
    size: int = int("".join(map(str, digits))) * 10 ** (exponent + decimals)
    return -size if sign else size


def allow(billed: Integers, rate: Integers, units: Integers) -> Integers:
    """Return the allowed amount of visits: the lesser of billed and rate x units (rule 1), in cents.

    Parameters
    ----------
    billed, rate, units : arrays that broadcast
        Charge of the visit [cents], rate of a unit [cents], units of service [thousandths].

    """
    lesser: Integers = np.minimum(billed, multiply(rate, units))
    return lesser


def multiply(rate: Integers, units: Integers) -> Integers:
    """Return rate of a unit [cents] x units [thousandths], rounded half up to whole cents."""
    return _round_half_up(rate * units, THOUSAND)


def plan_years(dates: Dates, start: Integers) -> Integers:
    """Return the calendar year in which the plan year of each date began.

    Parameters
    ----------
    dates : array of datetime64[D]
        Dates of service.
    start : array that broadcasts with ``dates``
        First day of the plan year as month x 100 + day: 101 is 1 January. A plan year from
        29 February begins on 1 March where there is no such day.

    """
    months = dates.astype("datetime64[M]")
    count = months.astype(np.int64)  # since January 1970
    month_day = (count % 12 + 1) * 100 + (dates.astype("datetime64[D]") - months).astype(np.int64) + 1
    years: Integers = count // 12 + 1970 - (month_day < start)
    return years


def cover_visits(visit: Flags, dates: Dates, effective: Dates, expiry: Dates, sessions: Integers) -> Flags:
    """Tell which visits the agreement covers (rule 7). Shape (n_cases, n_visits).

    Parameters
    ----------
    visit, dates : arrays, shape (n_cases, n_visits)
        As in ``Cases``; dates in order within a case.
    effective, expiry : arrays of datetime64[D], shape (n_cases,)
        First and last day of the agreement, both included; NaT = open.
    sessions : array, shape (n_cases,)
        Visits authorised, used in date order by visits within the dates. ``NO_LIMIT`` = all.

    """
    first, last = effective[:, None], expiry[:, None]
    within = visit & ((dates >= first) | np.isnat(first)) & ((dates <= last) | np.isnat(last))
    covered: Flags = within & (np.cumsum(within, axis=1) <= sessions[:, None])
    return covered


def adjudicate(tier: Tier, allowed: Integers, plan_year: Integers) -> tuple[Integers, Integers]:
    """Return the deductible part and the cost share of each visit (rules 2 to 4), in cents.

    Parameters
    ----------
    tier : Tier
        Benefits and accumulators of each case.
    allowed : array, shape (n_cases, n_visits)
        Allowed amounts in date order, zero where there is no visit. [cents]
    plan_year : array, shape (n_cases, n_visits)
        Number of the plan year of each visit: accumulators are as given until it first changes, and
        start at zero with each change.

    """
    # Visits are walked one by one: stored so that one visit of all cases lies together in memory.
    deductible, cost_share = np.empty_like(allowed.T, order="C"), np.empty_like(allowed.T, order="C")
    columns = iter(np.ascontiguousarray(allowed.T))
    for number, (part, share) in enumerate(_walk(tier, columns, _resets(plan_year))):
        deductible[number], cost_share[number] = part, share
    return deductible.T, cost_share.T


def compare_arrangements(cases: Cases) -> dict[str, Split]:
    """Split every visit in-network, OON and under the SCA; keys as in ``ARRANGEMENTS``."""
    billed = np.where(cases.visit, cases.billed, 0)
    allowed = np.where(cases.visit, cases.in_network_allowed, 0)
    part, share = adjudicate(cases.in_network, allowed, cases.plan_year)
    in_network = _total(cases, billed, allowed, part, share, np.zeros_like(billed))
    uncovered = replace(cases, covered=np.zeros_like(cases.covered))
    out_of_network = _total(cases, billed, *_adjudicate_uncovered(uncovered))
    # Rule 7: the tiers accumulate apart and a visit without an allowed amount moves nothing, so
    # the covered visits in one tier and the others in the other add up to the whole.
    allowed = np.where(cases.visit & cases.covered, cases.sca_allowed, 0)
    part, share = adjudicate(cases.in_network, allowed, cases.plan_year)
    oon_allowed, oon_part, oon_share, bill = _adjudicate_uncovered(cases)
    sca = _total(cases, billed, allowed + oon_allowed, part + oon_part, share + oon_share, bill)
    return dict(zip(ARRANGEMENTS, (in_network, out_of_network, sca), strict=True))


def select_visits(cases: Cases, split: Split, visits: Flags) -> Split:
    """Return a split with the amounts and totals of some of its visits alone, shape (n_cases, n_visits).

    What each visit costs still depends on all visits before it: they moved the accumulators.
    """
    parts = (split.billed, split.allowed, split.deductible, split.member_cost_share, split.balance_bill)
    return _total(cases, *(np.where(visits, part, 0) for part in parts))


def break_even_rates(cases: Cases, out_of_network: Split | None = None) -> BreakEven:
    """Find the rates of a unit, from 0 to ``charge``, up to or from which the SCA matches OON.

    Parameters
    ----------
    cases : Cases
        ``sca_allowed`` is not read: it is what the search varies.
    out_of_network : Split, optional
        The split of these cases OON, where the caller has it already.

    Notes
    -----
    Bisection on the exact split. It is exact because no total under the SCA falls when the rate
    rises: in a plan year the deductible parts of all visits together are min(allowed, left), so the
    rest of each visit never shrinks; of a larger rest neither the copay or rounded coinsurance nor
    what remains of it for the plan is smaller, and the maximum caps the year's sum.

    """
    oon = compare_arrangements(cases)["out_of_network"] if out_of_network is None else out_of_network
    billed, units = np.ascontiguousarray(cases.billed.T), np.ascontiguousarray(cases.units.T)
    covered = np.ascontiguousarray((cases.visit & cases.covered).T)
    resets = _resets(cases.plan_year)
    # Visits that are not covered do not depend on the rate: their totals are fixed.
    oon_allowed, _, oon_share, bill = _adjudicate_uncovered(cases)
    fixed_plan, fixed_share = (oon_allowed - oon_share).sum(axis=1), oon_share.sum(axis=1)
    fixed_bill = bill.sum(axis=1)

    def split_at(rate: Integers) -> tuple[Integers, Integers]:
        """Return what plan and member (cost share) pay in all at a rate of each case [cents]."""
        plan, member = fixed_plan.copy(), fixed_share.copy()
        columns = [np.where(c, allow(b, rate, u), 0) for b, u, c in zip(billed, units, covered, strict=True)]
        for amount, (_, share) in zip(columns, _walk(cases.in_network, columns, resets), strict=True):
            plan += amount - share
            member += share
        return plan, member

    def suits_plan(rate: Integers) -> Flags:
        suits: Flags = split_at(rate)[0] <= oon.plan_paid.sum(axis=1)
        return suits

    def suits_member(rate: Integers) -> Flags:
        suits: Flags = split_at(rate)[1] + fixed_bill <= oon.member_total
        return suits

    def fails_provider(rate: Integers) -> Flags:
        fails: Flags = _net(cases, *split_at(rate), fixed_bill) < oon.provider_net
        return fails

    lowest = _highest(cases.charge, fails_provider) + 1
    provider = np.where(lowest > cases.charge, NO_RATE, lowest)
    return BreakEven(_highest(cases.charge, suits_plan), _highest(cases.charge, suits_member), provider)


def _adjudicate_uncovered(cases: Cases) -> tuple[Integers, Integers, Integers, Integers]:
    """Return allowed, deductible part, cost share and balance bill of visits without agreement."""
    outside = cases.visit & ~cases.covered
    # Rule 6: without OON benefits nothing is allowed there, and so nothing is shared or paid.
    allowed = np.where(outside & cases.has_out_of_network[:, None], cases.out_of_network_allowed, 0)
    part, share = adjudicate(cases.out_of_network, allowed, cases.plan_year)
    return allowed, part, share, np.where(outside, cases.billed - allowed, 0)  # rule 5


def _walk(tier: Tier, columns: Iterable[Integers], resets: list[Flags]) -> Iterator[tuple[Integers, Integers]]:
    """Yield deductible part and cost share of one visit of all cases after the other [cents]."""
    whole = np.where(tier.deductible_applies, tier.deductible, 0)
    deductible_left = np.maximum(whole - tier.deductible_used, 0)
    pocket_left = np.maximum(tier.out_of_pocket_max - tier.out_of_pocket_used, 0)
    for allowed, reset in zip(columns, resets, strict=True):
        if reset.any():
            deductible_left = np.where(reset, whole, deductible_left)
            pocket_left = np.where(reset, tier.out_of_pocket_max, pocket_left)
        deductible = np.minimum(allowed, deductible_left)  # rule 2
        rest = allowed - deductible
        coinsurance = _round_half_up(rest * tier.coinsurance, MILLION)
        share = np.where(tier.has_copay, np.minimum(tier.copay, rest), coinsurance)  # rule 3
        cost_share = np.minimum(deductible + share, pocket_left)  # rule 4
        deductible_left = deductible_left - deductible
        pocket_left = pocket_left - cost_share
        yield deductible, cost_share


def _resets(plan_year: Integers) -> list[Flags]:
    """Tell, visit by visit, in which cases a plan year begins that is not the first visit's.

    Padding may look like a new year: with nothing allowed after it, that changes nothing.
    """
    years = np.ascontiguousarray(plan_year.T)
    return [np.zeros(len(plan_year), dtype=np.bool_), *(years[1:] != years[:-1])][: len(years)]


def _arrays(cases: Cases) -> Iterator[tuple[str, Integers | Flags]]:
    """Yield the name and the array of every field, those of the tiers included."""
    for field in fields(cases):
        value = getattr(cases, field.name)
        if isinstance(value, Tier):
            yield from ((f"{field.name}.{part.name}", getattr(value, part.name)) for part in fields(Tier))
        else:
            yield field.name, value


def _total(
    cases: Cases, billed: Integers, allowed: Integers, deductible: Integers, share: Integers, bill: Integers
) -> Split:
    """Return the split with its totals over the visits of each case."""
    plan_paid = allowed - share
    shares, bills = share.sum(axis=1), bill.sum(axis=1)
    net = _net(cases, plan_paid.sum(axis=1), shares, bills)
    return Split(billed, allowed, deductible, share, plan_paid, bill, shares + bills, net)


def _net(cases: Cases, plan: Integers, share: Integers, bill: Integers) -> Integers:
    """Return what reaches the provider, rounded once, in cents.

    Whole millions are taken out first: a total over many visits times ppm may not fit 64 bits.
    """
    parts = ((share, cases.cost_share_collected), (bill, cases.balance_bill_collected))
    whole = sum(amount // MILLION * collected for amount, collected in parts)
    rest = sum(amount % MILLION * collected for amount, collected in parts)
    net: Integers = plan + whole + _round_half_up(np.asarray(rest), MILLION)
    return net


def _highest(ceiling: Integers, holds: Callable[[Integers], Flags]) -> Integers:
    """Return the highest rate in 0 ... ceiling at which ``holds``; -1 if it does not at 0.

    ``holds`` must not come true again above a rate at which it is false.
    """
    low, high = np.full_like(ceiling, -1), ceiling + 1  # holds below, fails above
    while (open_ := high - low > 1).any():
        middle = (low + high) // 2
        good = holds(np.maximum(middle, 0))
        low, high = np.where(open_ & good, middle, low), np.where(open_ & ~good, middle, high)
    return low


def _round_half_up(numerator: Integers, denominator: int) -> Integers:
    """Divide integers that are not negative, rounding halves up."""
    rounded: Integers = (numerator + denominator // 2) // denominator
    return rounded
