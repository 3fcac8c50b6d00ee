"""Visits that are alike, one after another, are split in one step.

Most courses are many visits at one fee. Of a run of visits of one plan year with one allowed amount, the deductible
takes the first, one is split between deductible and the rest, and all others cost the same; the maximum caps their sum.
So the totals follow exactly, to the cent, without a walk over the visits (rules 2 to 4 of ``costs``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sca_analysis.costs import MILLION, Flags, Integers, Terms, find_resets


@dataclass(frozen=True)
class Runs:
    """The runs of many courses, in date order, padded with runs of no visits.

    Arrays have shape (n_runs, n_cases).
    """

    first: Integers  # number of the first visit of the run
    count: Integers  # visits in it
    resets: list[Flags | None]  # by run: where a plan year begins with it; None = nowhere

    def take(self, by_visit: Integers) -> Integers:
        """Return an array by visit, shape (n_visits, n_cases), at the first visit of each run."""
        taken: Integers = np.take_along_axis(by_visit, self.first, axis=0)
        return taken


def find_runs(visit: Flags, plan_year: Integers, alike: Sequence[npt.NDArray[np.generic]]) -> Runs:
    """Return the runs of visits.

    Parameters
    ----------
    visit : array, shape (n_visits, n_cases)
        Is there a visit? Padded at the end of a case.
    plan_year : array of the same shape
    alike : sequence of arrays of the same shape
        What the visits of a run share, beside their plan year.

    """
    begins = visit.copy()
    begins[1:] &= np.logical_or.reduce([a[1:] != a[:-1] for a in (plan_year, *alike)])
    number = np.cumsum(begins, axis=0) - 1
    case, place = np.nonzero(begins.T)
    shape = (max(int(number.max(initial=-1)) + 1, 1), visit.shape[1])
    first, count = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    run = number[place, case]
    first[run, case] = place
    last_of_case = np.append(case[1:] != case[:-1], [True] * bool(len(case)))
    after = np.where(last_of_case, visit.sum(axis=0)[case], np.append(place[1:], 0)[: len(place)])
    count[run, case] = after - place
    years = np.take_along_axis(plan_year, first, axis=0)
    # padding takes the year of the run before it, so that no year seems to begin there
    for row in range(1, len(years)):
        years[row] = np.where(count[row] > 0, years[row], years[row - 1])
    return Runs(first, count, find_resets(years))


def share_of_runs(terms: Terms, allowed: Integers, runs: Runs) -> Integers:
    """Return the cost share of all visits of each run together [cents].

    Parameters
    ----------
    terms : Terms
        Benefits and accumulators of each case.
    allowed : array, shape (n_runs, n_cases)
        Allowed amount of each visit of a run. [cents]
    runs : Runs

    """
    shares = np.empty_like(allowed)
    deductible_left, pocket_left = terms.deductible_left.copy(), terms.out_of_pocket_left.copy()
    for amount, count, share, reset in zip(allowed, runs.count, shares, runs.resets, strict=True):
        if reset is not None:
            np.copyto(deductible_left, terms.deductible, where=reset)
            np.copyto(pocket_left, terms.out_of_pocket, where=reset)
        part = np.minimum(amount * count, deductible_left)
        met = np.minimum(deductible_left // np.maximum(amount, 1), count)  # visits that the deductible takes whole
        rest = np.where(met < count, part - met * amount, 0)  # what it takes of the next
        others = np.maximum(count - met - 1, 0)
        split = np.where(met < count, rest + _beyond(terms, amount - rest), 0)
        np.minimum(met * amount + split + others * _beyond(terms, amount), pocket_left, out=share)
        deductible_left -= part
        pocket_left -= share
    return shares


def _beyond(terms: Terms, rest: Integers) -> Integers:
    """Return copay and coinsurance of what the deductible leaves of a visit, rounded half up [cents]."""
    fixed = np.minimum(rest, terms.copay)
    share: Integers = fixed + ((rest - fixed) * terms.coinsurance + MILLION // 2) // MILLION
    return share
