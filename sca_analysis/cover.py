"""The fewest providers whose contracting serves enough members: a partial cover with a second count.

In: which candidate reaches which home, members at each home, and how many members and providers are lacking.
Out: the candidates chosen, in order of what each adds, and how few could do at best. Knows nothing of tables.
"""

from dataclasses import dataclass
from functools import cached_property
from math import fsum

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array, csr_array, hstack

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

#: Branch-and-bound stops after as many nodes (not seconds, so that a run repeats exactly), and does not
#: start on more pairs of candidate and group of homes than this.
MAX_NODES = 2_000
MAX_PAIRS = 100_000


@dataclass(frozen=True)
class Cover:
    """Candidates, the homes that lack a provider in range, and what is lacking.

    Attributes
    ----------
    candidate, home : array of int
        Pairs in range of each other, each once; candidates are numbered in order of preference among equals.
    members : array of int
        Members at each home.
    counts : array of bool
        For each candidate, whether it adds one to the number of providers.
    lacking_members, lacking_providers : int
        To be served and to be counted, none below 0.

    """

    candidate: Integers
    home: Integers
    members: Integers
    counts: Flags
    lacking_members: int
    lacking_providers: int

    @cached_property
    def reach(self) -> "csr_array":
        """Candidates x homes, 1 where in range."""
        ones = np.ones(len(self.candidate), dtype=np.int64)
        return csr_array((ones, (self.candidate, self.home)), shape=(len(self.counts), len(self.members)))

    def gains(self, is_served: Flags, lacking_members: int, lacking_providers: int) -> Integers:
        """Return what each candidate adds on top of the homes served: members and one provider, as far as lacking."""
        members = self.reach @ np.where(is_served, 0, self.members)
        gains: Integers = np.minimum(members, lacking_members) + (self.counts if lacking_providers > 0 else 0)
        return gains

    def served(self, chosen: list[int]) -> Flags:
        """Tell which homes some candidates serve together."""
        return np.asarray(self.reach[chosen].sum(axis=0)).ravel() > 0

    def left(self, chosen: list[int]) -> tuple[int, int]:
        """Return how many members and providers are lacking once some candidates are contracted."""
        members = int(self.members[self.served(chosen)].sum())
        providers = int(self.counts[chosen].sum())
        return max(self.lacking_members - members, 0), max(self.lacking_providers - providers, 0)

    def closes(self, chosen: list[int]) -> bool:
        """Tell whether nothing is lacking once some candidates are contracted."""
        return self.left(chosen) == (0, 0)


@dataclass(frozen=True)
class Choice:
    """The candidates chosen.

    Attributes
    ----------
    chosen : list of int
        In order of what each adds; where nothing closes the gap, all that still add something.
    closes : bool
        Whether they serve and count enough.
    at_least : int
        No smaller set can; equal to the number chosen where that is the smallest. 0 where nothing closes the gap.
    ratio : float
        The guarantee of greedy choice for this instance: at most ratio times as many as the smallest set.

    """

    chosen: list[int]
    closes: bool
    at_least: int
    ratio: float


def choose(cover: Cover) -> Choice:
    """Return few candidates that close a gap, and how few could.

    Notes
    -----
    What a set adds, min(members served, lacking) + min(providers, lacking), is a whole number, never falls
    as the set grows, and adds less the later it comes (monotone and submodular). So greedy choice takes at
    most H(d) = 1 + 1/2 + ... + 1/d times the smallest number, d being the most that one candidate adds:
    L. A. Wolsey, "An analysis of the greedy algorithm for the submodular set covering problem",
    Combinatorica 2 (1982) 385-393; for partial cover alone P. Slavik, "Improved performance of the greedy
    algorithm for partial cover", Information Processing Letters 64 (1997) 251-254. A candidate that those
    after it made needless is then dropped, which cannot harm the guarantee.

    What is known of this instance says more: after any of the greedy steps, as many further candidates are
    needed as it takes of the largest single gains to add up to what is lacking, and no fewer can do in all.
    Where that leaves doubt, an integer programme (HiGHS, by way of SciPy) looks for a smaller set or proves
    that there is none; of sets of equal size the greedy one is kept.

    """
    chosen, at_least, most = _choose_greedily(cover)
    ratio = fsum(1 / n for n in range(1, max(most, 1) + 1))  # sum() adds floats in another way from Python 3.12 on
    if not cover.closes(chosen):
        return Choice(chosen, closes=False, at_least=0, ratio=ratio)
    for one in list(chosen):
        others = [c for c in chosen if c != one]
        if cover.closes(others):
            chosen = others
    if at_least < len(chosen):
        chosen, at_least = _search(cover, chosen, at_least)
    return Choice(_order(cover, chosen), closes=True, at_least=at_least, ratio=ratio)


def _choose_greedily(cover: Cover) -> tuple[list[int], int, int]:
    """Return candidates by largest gain, a lower bound of any set that closes the gap, and the largest gain."""
    chosen: list[int] = []
    is_served = np.zeros(len(cover.members), dtype=np.bool_)
    at_least = most = 0
    while True:
        members, providers = cover.left(chosen)
        if not members and not providers:
            return chosen, at_least, most
        gains = cover.gains(is_served, members, providers)
        gains[chosen] = 0
        if not len(gains) or not gains.any():
            return chosen, at_least, most
        most = max(most, int(gains.max()))
        at_least = max(at_least, providers, _fewest(gains, members + providers))
        if members:
            at_least = max(at_least, _fewest(cover.gains(is_served, members, 0), members))
        best = int(np.argmax(gains))  # of equals the first
        chosen.append(best)
        is_served |= cover.served([best])


def _fewest(gains: Integers, lacking: int) -> int:
    """Return how many of the largest gains add up to what is lacking; all, where they do not."""
    added = np.cumsum(np.sort(gains)[::-1])
    return min(int(np.searchsorted(added, lacking)) + 1, len(gains))


def _order(cover: Cover, chosen: list[int]) -> list[int]:
    """Put candidates in the order of what each adds."""
    ordered: list[int] = []
    while len(ordered) < len(chosen):
        gains = cover.gains(cover.served(ordered), *cover.left(ordered))
        rest = sorted(set(chosen) - set(ordered))
        ordered.append(rest[int(np.argmax(gains[rest]))])
    return ordered


def _search(cover: Cover, chosen: list[int], at_least: int) -> tuple[list[int], int]:
    """Return a smaller set and a better bound where an integer programme finds them.

    Least sum of x, where a group of homes counts as served (y) only if a candidate in range is chosen.
    """
    groups: dict[tuple[int, ...], int] = {}
    columns = cover.reach.tocsc()
    for home in range(len(cover.members)):
        near = tuple(np.sort(columns.indices[columns.indptr[home] : columns.indptr[home + 1]]).tolist())
        if near:
            groups[near] = groups.get(near, 0) + int(cover.members[home])
    if sum(len(near) for near in groups) > MAX_PAIRS:
        return chosen, at_least
    n, m = len(cover.counts), len(groups)
    group = np.repeat(np.arange(m), [len(near) for near in groups])
    near_by = coo_array((np.ones(len(group)), (group, [c for near in groups for c in near])), shape=(m, n))
    minus = coo_array((-np.ones(m), (np.arange(m), np.arange(m))), shape=(m, m))
    constraints = [
        LinearConstraint(np.concatenate([np.ones(n), np.zeros(m)]), lb=at_least),
        LinearConstraint(np.concatenate([cover.counts.astype(float), np.zeros(m)]), lb=cover.lacking_providers),
        LinearConstraint(np.concatenate([np.zeros(n), np.array(list(groups.values()))]), lb=cover.lacking_members),
    ]
    if m:
        constraints.append(LinearConstraint(hstack([near_by, minus]).tocsr(), lb=0))
    found = milp(
        np.concatenate([np.ones(n), np.zeros(m)]),
        integrality=np.concatenate([np.ones(n), np.zeros(m)]),
        bounds=Bounds(0, 1),
        constraints=constraints,
        options={"node_limit": MAX_NODES, "mip_rel_gap": 0},
    )
    if found.x is not None:
        smaller = np.flatnonzero(found.x[:n] > 0.5).tolist()
        if len(smaller) < len(chosen) and cover.closes(smaller):  # checked in whole numbers
            chosen = smaller
    bound = getattr(found, "mip_dual_bound", None)
    if bound is not None and np.isfinite(bound):
        at_least = max(at_least, int(np.ceil(bound - 1e-6)))
    return chosen, min(at_least, len(chosen))
