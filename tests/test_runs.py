"""Visits split run by run cost what they cost one by one."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sca_analysis import costs
from sca_analysis.runs import find_runs, share_of_runs

AMOUNTS = st.sampled_from([0, 1, 99, 10_000, 12_345, 25_000, 1_000_000, 10**12])


@st.composite
def courses(draw: st.DrawFn) -> tuple[costs.Terms, costs.Integers, costs.Integers, costs.Flags]:
    """Benefits of some cases, and amounts, plan years and presence of their visits, in runs mostly."""
    n = draw(st.integers(1, 4))
    width = draw(st.integers(1, 12))

    def by_case(values: st.SearchStrategy[int]) -> costs.Integers:
        return np.array(draw(st.lists(values, min_size=n, max_size=n)), dtype=np.int64)

    left = st.sampled_from([0, 1, 5_000, 30_001, 2 * 10**12])
    terms = costs.Terms(
        deductible=by_case(left),
        out_of_pocket=by_case(left | st.just(costs.NO_LIMIT)),
        deductible_left=by_case(left),
        out_of_pocket_left=by_case(left | st.just(costs.NO_LIMIT)),
        copay=by_case(st.sampled_from([0, 0, 2_500, 20_000])),
        coinsurance=by_case(st.sampled_from([0, 1, 200_000, 333_333, 500_000, costs.MILLION])),
    )
    allowed = np.zeros((width, n), dtype=np.int64)
    year = np.zeros((width, n), dtype=np.int64)
    visit = np.zeros((width, n), dtype=np.bool_)
    for case in range(n):
        length = draw(st.integers(0, width))
        visit[:length, case] = True
        at = 0
        while at < length:
            count = draw(st.integers(1, length - at))
            allowed[at : at + count, case] = draw(AMOUNTS)
            at += count
        turns = draw(st.integers(0, width))
        year[turns:, case] = 1
    return terms, allowed, year, visit


@given(courses())
@settings(max_examples=400, deadline=None)
def test_runs_add_up_to_their_visits(given_: tuple[costs.Terms, costs.Integers, costs.Integers, costs.Flags]) -> None:
    terms, allowed, year, visit = given_
    allowed = np.where(visit, allowed, 0)
    _, one_by_one = costs.walk(terms, allowed, costs.find_resets(year))
    runs = find_runs(visit, year, (allowed,))
    together = share_of_runs(terms, runs.take(allowed), runs)
    for case in range(visit.shape[1]):
        assert runs.count[:, case].sum() == visit[:, case].sum()
        for first, count, share in zip(runs.first[:, case], runs.count[:, case], together[:, case], strict=True):
            assert share == one_by_one[first : first + count, case].sum()


def test_runs_are_as_long_as_can_be() -> None:
    visit = np.array([[True] * 6, [True, True, True, False, False, False]]).T
    year = np.array([[1, 1, 1, 2, 2, 2], [1, 1, 1, 0, 0, 0]]).T
    fee = np.array([[5, 5, 5, 5, 7, 7], [5, 5, 5, 0, 0, 0]]).T
    runs = find_runs(visit, year, (fee,))
    assert runs.first.T.tolist() == [[0, 3, 4], [0, 0, 0]]
    assert runs.count.T.tolist() == [[3, 1, 2], [3, 0, 0]]
    assert [None if reset is None else reset.tolist() for reset in runs.resets] == [None, [True, False], None]
