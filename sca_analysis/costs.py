"""What a course of treatment costs plan, member and provider, exact to the cent.

Question answered: how is each visit split in-network, out of network (OON) and under a single
case agreement (SCA), and up to which rate is the SCA the better choice? In: ``Cases``, arrays for
many courses at once. Out: one ``Split`` for each arrangement, and ``BreakEven`` rates or percentages.

Everything is an integer, so that no cent is lost: money in cents, shares (coinsurance, collection
rates) in parts per million (ppm), units of service in thousandths. Rounding is half up. The rules
numbered in comments are those of "Money, visit by visit" in the project's domain rules:

1. allowed = the lesser of billed and unit rate x units; 2. the deductible comes first, where it
applies; 3. of the rest a copay, or else coinsurance, or the copay and then coinsurance on what
remains; 4. never beyond the out-of-pocket maximum; 5. OON, what is billed above allowed is the
member's; 6. without OON benefits the plan pays nothing there; 7. a visit that the agreement does not
cover is OON, and each tier keeps its accumulators. A family's accumulators: see ``Family``.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from sca_analysis.errors import CaseError

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Dates = npt.NDArray[np.datetime64]
_Scalar = TypeVar("_Scalar", bound=np.generic)

MILLION = 1_000_000  # [ppm]; the whole, as a share
THOUSAND = 1_000  # [thousandths]; one unit of service
WHOLE_PERCENT = 10_000  # [hundredths of a percent]; all of what is billed
#: Largest amount a visit may have [cents]: its product with a share in ppm still fits 64 bits.
LARGEST_AMOUNT = 1_000_000_000_000
#: Stands for "no maximum", "no family deductible" [cents] and for "no limit of sessions" [visits].
NO_LIMIT = 2**60

ARRANGEMENTS = ("in_network", "out_of_network", "sca")

_BY_VISIT = {"visit", "plan_year", "covered", "units", "billed", *(f"{a}_allowed" for a in ARRANGEMENTS)}
#: Largest value where it is not LARGEST_AMOUNT, so that no product leaves 64 bits.
_MOST = {
    "coinsurance": MILLION,
    "cost_share_collected": MILLION,
    "balance_bill_collected": MILLION,
    "out_of_pocket_max": NO_LIMIT,
    "family.deductible": NO_LIMIT,
    "units": 10_000 * THOUSAND,
    "charge": LARGEST_AMOUNT // 10,
}
#: Cases that are computed together: so many that a step outweighs its overhead, so few that all
#: their visits stay in the processor's cache.
_BLOCK = 4_096


@dataclass(frozen=True)
class Family:
    """What the members of a family share in one tier, for each case; shape (n_cases,).

    Embedded: this member's deductible is met once his own or the family's is. Aggregate: only the
    family's counts. His maximum is reached, either way, once his own or the family's is: the
    self-only limit holds for each individual (45 CFR 156.130). What he pays counts towards both.
    """

    deductible: Integers  # of a plan year, all members together; NO_LIMIT = none [cents]
    out_of_pocket_max: Integers  # likewise [cents]
    is_aggregate: Flags
    deductible_used: Integers  # by all members, this one too, before the first visit [cents]
    out_of_pocket_used: Integers  # likewise [cents]


@dataclass(frozen=True)
class Tier:
    """The benefits of one tier, in-network or OON, for each case.

    All arrays have shape (n_cases,).
    """

    deductible: Integers  # of a plan year; not read where the family's is aggregate [cents]
    coinsurance: Integers  # the member's share after the deductible [ppm]
    copay: Integers  # of a visit; instead of coinsurance where has_copay, see copay_and_coinsurance [cents]
    has_copay: Flags
    deductible_applies: Flags
    out_of_pocket_max: Integers  # most the member pays in a plan year; NO_LIMIT = none [cents]
    deductible_used: Integers  # accumulator before the first visit, in its plan year [cents]
    out_of_pocket_used: Integers  # likewise [cents]
    copay_and_coinsurance: Flags | None = None  # the copay, then coinsurance on what remains; None = nowhere
    family: Family | None = None  # None: members accumulate apart


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
    units: Integers  # by visit; only break_even reads it [thousandths]
    billed: Integers  # by visit [cents]
    in_network_allowed: Integers  # by visit [cents]
    out_of_network_allowed: Integers  # by visit [cents]
    sca_allowed: Integers  # by visit [cents]
    in_network: Tier
    out_of_network: Tier
    has_out_of_network: Flags  # False: no OON benefits, and the OON tier is not read
    cost_share_collected: Integers  # what the provider collects of cost shares [ppm]
    balance_bill_collected: Integers  # what the provider collects of balance bills [ppm]
    charge: Integers  # billed per unit, the highest break-even rate; only break_even reads it [cents]

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
            *_, part, last = ("", *name.split("."))
            most = _MOST.get(f"{part}.{last}", _MOST.get(last, LARGEST_AMOUNT))
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


def take_percent(billed: Integers, percent: Integers) -> Integers:
    """Return a share [hundredths of a percent] of what is billed, rounded half up to whole cents."""
    return _round_half_up(billed * percent, WHOLE_PERCENT)


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
    deductible, cost_share = _new_by_visit(allowed.shape), _new_by_visit(allowed.shape)
    terms = read_terms(tier)
    for rows in _blocks(len(allowed)):
        part, share = walk(terms.take(rows), _turn(allowed, rows), find_resets(_turn(plan_year, rows)))
        _put(deductible, rows, part)
        _put(cost_share, rows, share)
    return deductible, cost_share


def compare_arrangements(cases: Cases) -> dict[str, Split]:
    """Split every visit in-network, OON and under the SCA; keys as in ``ARRANGEMENTS``."""
    charges = _new_by_visit(cases.visit.shape)
    splits = {name: _new_split(charges) for name in ARRANGEMENTS}
    for block in take_blocks(cases):
        billed = np.where(block.visit, block.turn(cases.billed), 0)
        _put(charges, block.rows, billed)
        allowed = np.where(block.visit, block.turn(cases.in_network_allowed), 0)
        part, share = walk(block.in_network, allowed, block.resets)
        _fill(splits["in_network"], cases, block.rows, (allowed, part, share, None))
        _fill(splits["out_of_network"], cases, block.rows, block.adjudicate_uncovered(block.visit, billed))
        # Rule 7: the tiers accumulate apart and a visit without an allowed amount moves nothing, so
        # the covered visits in one tier and the others in the other add up to the whole.
        covered = block.visit & block.turn(cases.covered)
        allowed = np.where(covered, block.turn(cases.sca_allowed), 0)
        part, share = walk(block.in_network, allowed, block.resets)
        outside = block.visit & ~covered
        bill = None
        if outside.any():
            oon_allowed, oon_part, oon_share, bill = block.adjudicate_uncovered(outside, billed)
            allowed, part, share = allowed + oon_allowed, part + oon_part, share + oon_share
        _fill(splits["sca"], cases, block.rows, (allowed, part, share, bill))
    return splits


def select_visits(cases: Cases, split: Split, visits: Flags) -> Split:
    """Return a split with the amounts and totals of some of its visits alone, shape (n_cases, n_visits).

    What each visit costs still depends on all visits before it: they moved the accumulators.
    """
    selected = _new_split(_new_by_visit(cases.visit.shape))
    parts = (split.allowed, split.deductible, split.member_cost_share, split.balance_bill)
    for rows in _blocks(len(cases.visit)):
        chosen = _turn(visits, rows)
        _put(selected.billed, rows, np.where(chosen, split.billed[rows].T, 0))
        allowed, part, share, bill = (np.where(chosen, p[rows].T, 0) for p in parts)
        _fill(selected, cases, rows, (allowed, part, share, bill))
    return selected


@dataclass(frozen=True)
class Terms:
    """A tier as the walk reads it, each of shape (n_cases,) [cents, ppm]."""

    deductible: Integers  # left when a plan year begins
    out_of_pocket: Integers  # likewise
    deductible_left: Integers  # before the first visit
    out_of_pocket_left: Integers  # likewise
    copay: Integers  # zero where there is none
    coinsurance: Integers  # zero where a copay replaces it

    def take(self, rows: "slice | Integers") -> "Terms":
        """Return the terms of some cases."""
        return Terms(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True)
class Block:
    """Some cases, with arrays by visit turned to (n_visits, n_cases): one visit of all lies together."""

    cases: Cases
    rows: slice
    width: int  # visits of the longest course; the padding behind is skipped
    visit: Flags
    resets: list[Flags | None]
    in_network: Terms
    out_of_network: Terms

    def turn(self, array: npt.NDArray[_Scalar]) -> npt.NDArray[_Scalar]:
        """Return an array by visit of these cases, turned."""
        return _turn(array, self.rows, self.width)

    def adjudicate_uncovered(self, outside: Flags, billed: Integers) -> tuple[Integers, Integers, Integers, Integers]:
        """Return allowed, deductible part, cost share and balance bill of visits without agreement."""
        # Rule 6: without OON benefits nothing is allowed there, and so nothing is shared or paid.
        has_benefits = outside & self.cases.has_out_of_network[self.rows]
        allowed = np.where(has_benefits, self.turn(self.cases.out_of_network_allowed), 0)
        part, share = walk(self.out_of_network, allowed, self.resets)
        return allowed, part, share, np.where(outside, billed - allowed, 0)  # rule 5


def _blocks(n_cases: int) -> Iterator[slice]:
    """Yield rows of cases to compute together."""
    for start in range(0, n_cases, _BLOCK):
        yield slice(start, start + _BLOCK)


def take_blocks(cases: Cases) -> Iterator[Block]:
    """Yield the cases block by block."""
    inside, outside = read_terms(cases.in_network), read_terms(cases.out_of_network)
    for rows in _blocks(len(cases.visit)):
        width = int(cases.visit[rows].any(axis=0).sum())
        visit, resets = _turn(cases.visit, rows, width), find_resets(_turn(cases.plan_year, rows, width))
        yield Block(cases, rows, width, visit, resets, inside.take(rows), outside.take(rows))


def _turn(array: npt.NDArray[_Scalar], rows: slice, width: int | None = None) -> npt.NDArray[_Scalar]:
    """Return visits of some cases, the first ``width`` or all, as (n_visits, n_cases).

    They are walked one by one: one visit of all cases then lies together in memory.
    """
    return np.ascontiguousarray(array[rows, :width].T)


def read_terms(tier: Tier) -> Terms:
    """Return what is left of deductible and maximum, and what a visit costs after the deductible."""
    deductible, left = tier.deductible, tier.deductible - tier.deductible_used
    most, pocket_left = tier.out_of_pocket_max, tier.out_of_pocket_max - tier.out_of_pocket_used
    if (family := tier.family) is not None:
        # All that this member pays lowers what is left of his own and of the family's alike, so the
        # lesser of both at the start stays the lesser.
        own, own_left = (np.where(family.is_aggregate, NO_LIMIT, amount) for amount in (deductible, left))
        deductible = np.minimum(own, family.deductible)
        left = np.minimum(own_left, family.deductible - family.deductible_used)
        most = np.minimum(most, family.out_of_pocket_max)
        pocket_left = np.minimum(pocket_left, family.out_of_pocket_max - family.out_of_pocket_used)
    replaces = tier.has_copay
    if tier.copay_and_coinsurance is not None:
        replaces = replaces & ~tier.copay_and_coinsurance
    return Terms(
        deductible=np.where(tier.deductible_applies, deductible, 0),
        out_of_pocket=most,
        deductible_left=np.where(tier.deductible_applies, np.maximum(left, 0), 0),
        out_of_pocket_left=np.maximum(pocket_left, 0),
        copay=np.where(tier.has_copay, tier.copay, 0),
        coinsurance=np.where(replaces, 0, tier.coinsurance),
    )


def walk(terms: Terms, allowed: Integers, resets: list[Flags | None]) -> tuple[Integers, Integers]:
    """Return deductible part and cost share, (n_visits, n_cases), of turned allowed amounts [cents]."""
    deductible, cost_share = np.empty_like(allowed), np.empty_like(allowed)
    deductible_left, pocket_left = terms.deductible_left.copy(), terms.out_of_pocket_left.copy()
    has_copay = bool(terms.copay.any())
    fixed = np.empty_like(deductible_left)
    # One visit of all cases after the other, in place: making new arrays would take most of the time.
    for amount, part, share, reset in zip(allowed, deductible, cost_share, resets, strict=True):
        if reset is not None:
            np.copyto(deductible_left, terms.deductible, where=reset)
            np.copyto(pocket_left, terms.out_of_pocket, where=reset)
        np.minimum(amount, deductible_left, out=part)  # rule 2
        np.subtract(amount, part, out=share)
        if has_copay:  # rule 3
            np.minimum(share, terms.copay, out=fixed)
            share -= fixed
        share *= terms.coinsurance
        share += MILLION // 2
        share //= MILLION
        if has_copay:
            share += fixed
        share += part
        np.minimum(share, pocket_left, out=share)  # rule 4
        deductible_left -= part
        pocket_left -= share
    return deductible, cost_share


def find_resets(plan_year: Integers) -> list[Flags | None]:
    """Tell, visit by visit, in which cases a plan year begins that is not the first visit's; None = in none.

    Padding may look like a new year: with nothing allowed after it, that changes nothing.
    """
    begins = plan_year[1:] != plan_year[:-1]
    some = begins.any(axis=1)
    return [None, *(new if any_ else None for new, any_ in zip(begins, some, strict=True))][: len(plan_year)]


def _arrays(part: Cases | Tier | Family) -> Iterator[tuple[str, Integers | Flags]]:
    """Yield the name and the array of every field, those of the tiers included."""
    for field in fields(part):
        value = getattr(part, field.name)
        if isinstance(value, Tier | Family):
            yield from ((f"{field.name}.{name}", array) for name, array in _arrays(value))
        elif value is not None:
            yield field.name, value


def _new_by_visit(shape: tuple[int, ...]) -> Integers:
    """Return zeros of shape (n_cases, n_visits), stored visit by visit as the walk writes them."""
    return np.zeros(shape[::-1], dtype=np.int64).T


def _new_split(billed: Integers) -> Split:
    """Return a split to be filled block by block; what stays zero takes no memory."""
    by_visit = (_new_by_visit(billed.shape) for _ in range(5))
    return Split(billed, *by_visit, *(np.zeros(len(billed), dtype=np.int64) for _ in range(2)))


def _put(whole: Integers, rows: slice, turned: Integers) -> None:
    """Write turned amounts of a block into an array of all cases."""
    whole[rows, : len(turned)].T[:] = turned


def _fill(
    split: Split, cases: Cases, rows: slice, amounts: tuple[Integers, Integers, Integers, Integers | None]
) -> None:
    """Put turned amounts of a block into the split, with totals: allowed, deductible, share and bill, None = zero."""
    allowed, part, share, bill = amounts
    plan = allowed - share
    _put(split.allowed, rows, allowed)
    _put(split.deductible, rows, part)
    _put(split.member_cost_share, rows, share)
    _put(split.plan_paid, rows, plan)
    if bill is not None:
        _put(split.balance_bill, rows, bill)
    shares = share.sum(axis=0)
    bills = np.zeros_like(shares) if bill is None else bill.sum(axis=0)
    split.member_total[rows] = shares + bills
    split.provider_net[rows] = net_of(cases, rows, plan.sum(axis=0), shares, bills)


def net_of(cases: Cases, rows: slice, plan: Integers, share: Integers, bill: Integers) -> Integers:
    """Return what reaches the provider of some cases, rounded once, in cents.

    Whole millions are taken out first: a total over many visits times ppm may not fit 64 bits.
    """
    parts = ((share, cases.cost_share_collected[rows]), (bill, cases.balance_bill_collected[rows]))
    whole = sum(amount // MILLION * collected for amount, collected in parts)
    rest = sum(amount % MILLION * collected for amount, collected in parts)
    net: Integers = plan + whole + _round_half_up(np.asarray(rest), MILLION)
    return net


def _round_half_up(numerator: Integers, denominator: int) -> Integers:
    """Divide integers that are not negative, rounding halves up."""
    rounded: Integers = (numerator + denominator // 2) // denominator
    return rounded
