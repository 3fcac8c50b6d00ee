"""Up to which rate an agreement is the better choice for plan and member, and from which for the provider.

In: ``Cases``. Out: ``BreakEven``, rates of a unit or shares of what is billed, exact to the cent and the hundredth of a
percent.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from sca_analysis.costs import (
    THOUSAND,
    WHOLE_PERCENT,
    Block,
    Cases,
    Flags,
    Integers,
    Split,
    allow,
    compare_arrangements,
    net_of,
    take_blocks,
    take_percent,
)
from sca_analysis.runs import find_runs, share_of_runs

#: Stands for "no rate does" among the break-even rates [cents] and percentages.
NO_RATE = -1

#: What a figure of each case makes the allowed amounts of visits, from what they are billed and their units.
_AllowIn = Callable[[Integers, Integers], Callable[[Integers], Integers]]


@dataclass(frozen=True)
class BreakEven:
    """Break-even rates of a unit [cents], or shares of what is billed [hundredths of a percent].

    Each of shape (n_cases,); ``NO_RATE`` where none does.
    """

    plan: Integers  # highest at which the SCA costs the plan no more than OON
    member: Integers  # highest at which the SCA costs the member no more than OON
    provider: Integers  # lowest at which the SCA brings the provider no less than OON


def break_even_rates(cases: Cases, out_of_network: Split | None = None) -> BreakEven:
    """Find the rates of a unit, from 0 to ``charge``, up to or from which the SCA matches OON.

    Parameters
    ----------
    cases : Cases
        ``sca_allowed`` is not read: it is what the search varies, one rate for all covered visits.
    out_of_network : Split, optional
        The split of these cases OON, where the caller has it already.

    Notes
    -----
    Bisection on the exact split. It is exact because no total under the SCA falls when the rate
    rises: in a plan year the deductible parts of all visits together are min(allowed, left), so the
    rest of each visit never shrinks; of a larger rest neither the copay or rounded coinsurance nor
    what remains of it for the plan is smaller, and the maximum caps the year's sum. A family's
    accumulators only make what is left of either smaller.

    """

    def allow_in(billed: Integers, units: Integers) -> Callable[[Integers], Integers]:
        if (units == THOUSAND).all():  # a visit of one unit, by far the most, needs no product
            return lambda rate: np.minimum(billed, rate)
        return lambda rate: allow(billed, rate, units)

    return _break_even(cases, out_of_network, cases.charge, allow_in)


def break_even_percents(cases: Cases, out_of_network: Split | None = None) -> BreakEven:
    """Find the shares of what is billed, 0 to 100%, up to or from which the SCA matches OON.

    For agreements whose rate depends on the procedure, so that there is no one rate of a unit: each
    covered visit is allowed the same percentage of its charge. See ``break_even_rates``.
    """
    ceiling = np.full(len(cases.visit), WHOLE_PERCENT, dtype=np.int64)
    return _break_even(cases, out_of_network, ceiling, lambda billed, _: lambda percent: take_percent(billed, percent))


def _break_even(cases: Cases, out_of_network: Split | None, ceiling: Integers, allow_in: _AllowIn) -> BreakEven:
    """Find break-even figures from 0 to ``ceiling``."""
    oon = compare_arrangements(cases)["out_of_network"] if out_of_network is None else out_of_network
    oon_plan = oon.plan_paid.sum(axis=1)
    found = BreakEven(*(np.empty_like(ceiling) for _ in fields(BreakEven)))
    for block in take_blocks(cases):
        rows = block.rows
        targets = oon_plan[rows], oon.member_total[rows], oon.provider_net[rows]
        figures = _search_block(block, targets, ceiling[rows], allow_in)
        found.plan[rows], found.member[rows], found.provider[rows] = figures
    return found


def _search_block(
    block: Block, out_of_network: tuple[Integers, Integers, Integers], ceiling: Integers, allow_in: _AllowIn
) -> tuple[Integers, Integers, Integers]:
    """Find the figures of plan, member and provider that match their totals OON, by three bisections."""
    oon_plan, oon_member, oon_net = out_of_network
    covered = block.visit & block.turn(block.cases.covered)
    billed, units = block.turn(block.cases.billed), block.turn(block.cases.units)
    # Visits that are not covered do not depend on the figure: their totals are fixed.
    uncovered = block.adjudicate_uncovered(block.visit & ~covered, billed)
    fixed_allowed, _, fixed_share, fixed_bill = (part.sum(axis=0) for part in uncovered)
    # What is not covered moves nothing in-network: it is billed nothing there, in units of any number.
    billed, units = np.where(covered, billed, 0), np.where(covered, units, THOUSAND)
    runs = find_runs(block.visit, block.turn(block.cases.plan_year), (billed, units))
    allow_at = allow_in(runs.take(billed), np.where(runs.count > 0, runs.take(units), THOUSAND))

    def split_at(figure: Integers) -> tuple[Integers, Integers]:
        """Return what plan and member (cost share) pay in all at a figure of each case [cents]."""
        allowed = allow_at(figure)
        share = share_of_runs(block.in_network, allowed, runs).sum(axis=0) + fixed_share
        return (allowed * runs.count).sum(axis=0) + fixed_allowed - share, share

    def suits_plan(figure: Integers) -> Flags:
        suits: Flags = split_at(figure)[0] <= oon_plan
        return suits

    def suits_member(figure: Integers) -> Flags:
        suits: Flags = split_at(figure)[1] + fixed_bill <= oon_member
        return suits

    def fails_provider(figure: Integers) -> Flags:
        fails: Flags = net_of(block.cases, block.rows, *split_at(figure), fixed_bill) < oon_net
        return fails

    lowest = _highest(ceiling, fails_provider) + 1
    provider = np.where(lowest > ceiling, NO_RATE, lowest)
    return _highest(ceiling, suits_plan), _highest(ceiling, suits_member), provider


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
