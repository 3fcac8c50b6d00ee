"""What if the agreements of all open courses were paid at one basis, such as 150% of Medicare.

In: exports and a day. Out: ``Portfolio``, arrays ready to be priced; ``pay_at`` gives what plan, members and
providers would pay or get, by specialty, against out of network (OON) as it is and against the rates agreed
or assumed. It prices the visits of twelve months again; it does not say how many visits there will be.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from sca_analysis import costs
from sca_analysis.amounts import cents, money
from sca_analysis.courses import COURSE, Collection, as_cases, gather_visits, list_lines
from sca_analysis.errors import ParameterError
from sca_analysis.exports import Exports
from sca_analysis.runs import Runs, find_runs, share_of_runs

#: What a rate may be a percentage of, in words.
BASES = {
    "percent_of_medicare": "% of Medicare",
    "percent_of_usual_charge": "% of the usual charge",
    "way_to_usual_charge": "% of the way from the in-network rate to the usual charge",
}
PARTIES = ("plan_paid", "member_total", "provider_net")
#: A course is open if its last visit is not longer ago [days].
OPEN_DAYS = 90
_Z90 = 1.2816  # quantile of the normal distribution: P10 and P90 lie so many standard deviations off
_CHUNK = 4_096  # courses priced together: their runs of visits stay in the processor's cache


#: Columns of the distinct kinds of line, see ``_read_lines``.
_BILLED, _UNITS, _MEDICARE, _USUAL = range(4)


@dataclass(frozen=True)
class _Chunk:
    """Courses of about the same length; arrays by run of visits have shape (n_runs, n_cases), amounts are in cents."""

    course: costs.Integers  # number of the course of each case
    terms: costs.Terms
    runs: Runs
    covered: costs.Flags
    chosen: costs.Flags  # covered, and within the twelve months: visits before only move accumulators
    in_network: costs.Integers
    cell: costs.Integers  # of each line of the first visit of a run: its run, counted row by row
    kind: costs.Integers  # of each such line


@dataclass(frozen=True)
class _Unchanged:
    """What is the same at every percentage of a basis: the courses priced, by specialty, and sums of them [cents]."""

    order: costs.Integers  # numbers of the courses priced, sorted by specialty
    starts: costs.Integers  # where each specialty begins among them
    today: costs.Integers  # of each, shape (n_priced, 3)
    today_totals: costs.Integers  # by specialty and of all, shape (n_specialties + 1, 3)
    assumed_totals: costs.Integers
    head: dict[str, Any]  # specialty, courses and visits of each row


@dataclass(frozen=True)
class Portfolio:
    """The courses of twelve months, ready to be priced at another basis.

    Attributes
    ----------
    courses : DataFrame
        One row a course: course_id, specialty, visits, billed [USD], sca_rate_basis, left_out (why it is not
        priced; blank = priced), lacks_medicare (not priced where the basis is Medicare's rate).
    collection : Collection
    kinds : array, shape (n_kinds, 4)
        Distinct lines: billed, units [thousandths], Medicare's rate and usual charge of a unit (-1 = not known).
    chunks : sequence
        The courses priced, by length.
    today, assumed : arrays, shape (n_courses, 3)
        Plan pays, member pays, provider receives: OON, and under an SCA at the rate agreed or, without an
        agreement, at the usual charge; as ``courses.cost_courses`` [cents].
    fixed : array, shape (n_courses, 3)
        Plan, cost share and balance bill of the visits that no agreement covers, whatever the rate [cents].

    """

    courses: pd.DataFrame
    collection: Collection
    kinds: costs.Integers
    chunks: Sequence[_Chunk]
    today: costs.Integers
    assumed: costs.Integers
    fixed: costs.Integers

    @cached_property
    def codes(self) -> costs.Integers:
        """Number of the specialty of each course."""
        found: costs.Integers = self._factors[0].astype(np.int64)
        return found

    @cached_property
    def specialties(self) -> np.ndarray[Any, Any]:
        """Names of the specialties by their numbers."""
        names: np.ndarray[Any, Any] = self._factors[1].to_numpy(dtype=object)
        return names

    @cached_property
    def _factors(self) -> Any:
        return pd.factorize(self.courses["specialty"], sort=True)

    @cached_property
    def order(self) -> costs.Integers:
        """The courses sorted by specialty."""
        return np.argsort(self.codes, kind="stable")

    def unchanged(self, basis: str) -> "_Unchanged":
        """Return what no percentage of a basis changes, found once."""
        if basis not in self._unchanged:
            self._unchanged[basis] = _find_unchanged(self, basis)
        return self._unchanged[basis]

    @cached_property
    def _unchanged(self) -> "dict[str, _Unchanged]":
        return {}


def load_portfolio(
    exports: Exports, as_of: date, open_days: int | None = OPEN_DAYS, collection: Collection | None = None
) -> Portfolio:
    """Return the OON courses of the twelve months to a day, ready to be priced.

    Parameters
    ----------
    exports : Exports
    as_of : date
    open_days : int, optional
        A course whose last visit is longer ago is ended and left out; None keeps all.
    collection : Collection, optional
        What providers collect of what members owe; all of it unless given.

    """
    collection = collection or Collection()
    gathered = gather_visits(exports, as_of)
    courses = gathered.courses[["course_id", "specialty", "visits", "billed", "sca_rate_basis"]].copy()
    courses["left_out"] = courses["course_id"].map(gathered.reasons).astype("string")
    if open_days is not None:
        ended = gathered.courses["last_visit_date"] < pd.Timestamp(as_of - timedelta(days=open_days))
        courses["left_out"] = courses["left_out"].where(~ended, f"ended: no visit in the {open_days} days to {as_of}")
    courses["lacks_medicare"] = False
    number = pd.Series(np.arange(len(courses)), index=courses["course_id"])
    priced = gathered.visits["course_id"].isin(courses.loc[courses["left_out"].isna(), "course_id"])
    visits = gathered.visits[priced].reset_index(drop=True)
    if visits.empty:
        nothing = np.zeros((len(courses), 3), dtype=np.int64)
        return Portfolio(courses, collection, np.zeros((0, 4), dtype=np.int64), [], nothing, nothing, nothing)
    line_visit, line_kind, kinds = _read_lines(exports, as_of, visits)
    course = number[visits["course_id"]].to_numpy()
    lacking = visits["covered"].to_numpy()[line_visit] & (kinds[line_kind, _MEDICARE] < 0)
    courses.loc[np.unique(course[line_visit[lacking]]), "lacks_medicare"] = True
    cases, at = as_cases(visits, gathered.benefits, collection)
    row, place = at["case"].to_numpy(), at["place"].to_numpy()
    inside = np.zeros(cases.visit.shape, dtype=np.bool_)
    inside[row, place] = visits["in_window"].to_numpy()
    of_case = np.zeros(len(cases.visit), dtype=np.int64)
    of_case[row] = course
    today, assumed, fixed = _price_today(cases, inside, of_case, len(courses), collection)
    marks = np.zeros(cases.visit.shape, dtype=np.int64)
    marks[row, place] = _mark_visits(line_visit, line_kind, len(visits), len(kinds))
    lines = row[line_visit], place[line_visit], line_kind
    chunks = _cut(cases, inside, marks, of_case, lines)
    return Portfolio(courses, collection, kinds, chunks, today, assumed, fixed)


def pay_at(portfolio: Portfolio, basis: str, percent: Decimal) -> pd.DataFrame:
    """Return what paying every SCA at one basis would do, by specialty.

    Parameters
    ----------
    portfolio : Portfolio
    basis : str
        One of ``BASES``.
    percent : Decimal
        [%, at most two decimals]

    Returns
    -------
    DataFrame
        specialty ("all" last), courses, visits, then for each of ``PARTIES`` its total out_of_network, assumed
        and what_if, and low and high: the P10 and P90 of what_if less out_of_network. Whole cents (int64).
        Courses that cannot be priced are not in it: ``count_left_out`` has them.

    Raises
    ------
    ParameterError
        If basis or percentage are not usable.

    Notes
    -----
    Every visit that an agreement covers (all, where none was approved) is allowed the lesser of its charge and
    the rate x units. Where the usual charge of a procedure is not known, what was billed stands for it.

    The visits are those of the past; the range is that of the sum if such courses came about again by chance,
    as many in the mean, independently (a compound Poisson sum, normal approximation: rough below some 30 courses).

    """
    if basis not in BASES:
        raise ParameterError(f"{basis!r} is no basis: choose one of {', '.join(BASES)}.")
    hundredths = costs.scale(percent, 2, "the percentage")
    if not 0 <= hundredths <= 10 * costs.WHOLE_PERCENT:
        raise ParameterError("the percentage is below 0 or above 1000: give one in between.")
    if basis == "way_to_usual_charge" and hundredths > costs.WHOLE_PERCENT:
        raise ParameterError("the way to the usual charge ends at 100%: give 0 to 100.")
    what_if = _price_at(portfolio, basis, hundredths)
    return _add_up(portfolio, what_if, basis)


def as_dollars(effect: pd.DataFrame) -> pd.DataFrame:
    """Return what ``pay_at`` returned with amounts as exact dollars instead of cents."""
    amounts = {c: money(effect[c].to_numpy()) for c in effect.columns if c.startswith(PARTIES)}
    return effect.assign(**{name: dollars.set_axis(effect.index) for name, dollars in amounts.items()})


def count_left_out(portfolio: Portfolio, basis: str) -> pd.DataFrame:
    """Return the courses that are not priced at a basis: reason, courses, visits, billed [USD]; most billed first."""
    courses = portfolio.courses
    reason = courses["left_out"].astype(object)
    if basis == "percent_of_medicare":
        lacks = courses["left_out"].isna() & courses["lacks_medicare"]
        reason = reason.where(~lacks, "Medicare's rate is not known for one of its procedures")
    left = courses.assign(reason=reason)[reason.notna()]
    grouped = left.groupby("reason", as_index=False).agg(
        courses=("course_id", "count"), visits=("visits", "sum"), billed=("billed", "sum")
    )
    return grouped.sort_values(["billed", "reason"], ascending=[False, True], ignore_index=True)


def _is_priced(portfolio: Portfolio, basis: str) -> costs.Flags:
    courses = portfolio.courses
    lacks = courses["lacks_medicare"].to_numpy(dtype=np.bool_) & (basis == "percent_of_medicare")
    priced: costs.Flags = courses["left_out"].isna().to_numpy(dtype=np.bool_) & ~lacks
    return priced


def _read_lines(
    exports: Exports, as_of: date, visits: pd.DataFrame
) -> tuple[costs.Integers, costs.Integers, costs.Integers]:
    """Return the visit and the kind of each line, and the distinct kinds."""
    lines = list_lines(exports, as_of, visits["service_date"].min().date())
    numbered = visits[[*COURSE, "service_date"]].assign(visit=np.arange(len(visits)))
    lines = lines.merge(numbered, on=[*COURSE, "service_date"], how="inner", validate="m:1")
    units = np.array([costs.scale(Decimal(u), 3, "units") for u in lines["units"]], dtype=np.int64)
    columns = [cents(lines["billed_amount"]), units, _cents(lines["medicare_rate"]), _cents(lines["usual_charge"])]
    kinds, kind = np.unique(np.column_stack(columns), axis=0, return_inverse=True)
    return lines["visit"].to_numpy(dtype=np.int64), kind.reshape(-1).astype(np.int64), kinds


def _cents(rates: pd.Series) -> costs.Integers:
    """Return rates as cents, -1 where blank."""
    found = np.full(len(rates), -1, dtype=np.int64)
    known = rates.notna().to_numpy()
    found[known] = cents(rates[known])
    return found


def _price_today(
    cases: costs.Cases, inside: costs.Flags, of_case: costs.Integers, n_courses: int, collection: Collection
) -> tuple[costs.Integers, costs.Integers, costs.Integers]:
    """Return by course the totals OON and under an SCA as assumed, and the parts that no rate changes."""
    splits = costs.compare_arrangements(cases)

    def parts(split: costs.Split, chosen: costs.Flags) -> costs.Integers:
        by_visit = (split.plan_paid, split.member_cost_share, split.balance_bill)
        by_case = np.column_stack([np.where(chosen, amounts, 0).sum(axis=1) for amounts in by_visit])
        found = np.zeros((n_courses, 3), dtype=np.int64)
        np.add.at(found, of_case, by_case)
        return found

    return (
        _total(parts(splits["out_of_network"], inside), collection),
        _total(parts(splits["sca"], inside), collection),
        parts(splits["sca"], inside & ~cases.covered),
    )


def _total(parts: costs.Integers, collection: Collection) -> costs.Integers:
    """Return what plan and member pay and the provider receives, of plan, cost share and balance bill."""
    plan, share, bill = parts.T
    collected = share * costs.scale(collection.cost_share, 6, "collection rate")
    collected = collected + bill * costs.scale(collection.balance_bill, 6, "collection rate")
    return np.column_stack([plan, share + bill, plan + (collected + costs.MILLION // 2) // costs.MILLION])


def _mark_visits(line_visit: costs.Integers, line_kind: costs.Integers, n_visits: int, n_kinds: int) -> costs.Integers:
    """Return a number for each visit, the same for visits of the same kinds of line.

    It is the sum of a 64-bit number drawn for each kind: two different visits share it once in 2^64.
    """
    drawn = np.random.Generator(np.random.PCG64(1)).integers(0, 2**64, n_kinds, dtype=np.uint64)
    marks = np.zeros(n_visits, dtype=np.uint64)
    np.add.at(marks, line_visit, drawn[line_kind])
    return marks.view(np.int64)


def _cut(
    cases: costs.Cases,
    inside: costs.Flags,
    marks: costs.Integers,
    of_case: costs.Integers,
    lines: tuple[costs.Integers, costs.Integers, costs.Integers],
) -> list[_Chunk]:
    """Return the cases in chunks, the longest first, their visits as runs of alike ones."""
    row, place, kind = lines
    length = cases.visit.sum(axis=1)
    order = np.argsort(-length, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    terms = costs.read_terms(cases.in_network)
    chunks = []
    for start in range(0, len(order), _CHUNK):
        rows = order[start : start + _CHUNK]
        width = int(length[rows[0]])
        visit, covered, within = (a[rows, :width].T.copy() for a in (cases.visit, cases.covered, inside))
        year, mark, in_network = (a[rows, :width].T.copy() for a in (cases.plan_year, marks, cases.in_network_allowed))
        runs = find_runs(visit, year, (covered, within, mark, in_network))
        run_at = np.full(visit.shape, -1, dtype=np.int64)  # of the first visits alone
        run, case = np.nonzero(runs.count)
        run_at[runs.first[run, case], case] = run
        mine = np.nonzero((rank[row] >= start) & (rank[row] < start + _CHUNK))[0]
        case = rank[row[mine]] - start
        at = run_at[place[mine], case]
        has_visits, is_first = runs.count > 0, at >= 0
        covered = np.take_along_axis(covered, runs.first, axis=0) & has_visits
        chunks.append(
            _Chunk(
                course=of_case[rows],
                terms=terms.take(rows),
                runs=runs,
                covered=covered,
                chosen=covered & np.take_along_axis(within, runs.first, axis=0),
                in_network=runs.take(in_network),
                cell=at[is_first] * len(rows) + case[is_first],
                kind=kind[mine[is_first]],
            )
        )
    return chunks


def _price_at(portfolio: Portfolio, basis: str, hundredths: int) -> costs.Integers:
    """Return by course the totals under SCAs paid at a basis, shape (n_courses, 3) [cents]."""
    is_way = basis == "way_to_usual_charge"
    column = _MEDICARE if basis == "percent_of_medicare" else _USUAL
    by_kind = _allow(portfolio.kinds, column, costs.WHOLE_PERCENT if is_way else hundredths)
    parts = portfolio.fixed.copy()
    for chunk in portfolio.chunks:
        shape = chunk.covered.shape
        flat = np.zeros(shape[0] * shape[1], dtype=np.int64)
        np.add.at(flat, chunk.cell, by_kind[chunk.kind])
        allowed = flat.reshape(shape)
        if is_way:  # as courses.cost_courses goes it: visit by visit, up from the in-network rate
            way = np.maximum(allowed - chunk.in_network, 0) * hundredths
            allowed = np.minimum(chunk.in_network, allowed) + (way + costs.WHOLE_PERCENT // 2) // costs.WHOLE_PERCENT
        allowed = np.where(chunk.covered, allowed, 0)
        share = share_of_runs(chunk.terms, allowed, chunk.runs)
        paid = np.where(chunk.chosen, allowed * chunk.runs.count - share, 0).sum(axis=0)
        np.add.at(parts[:, 0], chunk.course, paid)
        np.add.at(parts[:, 1], chunk.course, np.where(chunk.chosen, share, 0).sum(axis=0))
    return _total(parts, portfolio.collection)


def _allow(kinds: costs.Integers, column: int, hundredths: int) -> costs.Integers:
    """Return what each kind of line is allowed at a percentage of a rate; unknown, at one of what was billed."""
    billed, rate = kinds[:, _BILLED], kinds[:, column]
    at = costs.take_percent(np.maximum(rate, 0), np.array(hundredths))
    allowed = costs.allow(billed, at, kinds[:, _UNITS])
    whole = np.minimum(billed, costs.take_percent(billed, np.array(hundredths)))
    return np.where(rate >= 0, allowed, whole)


def _add_up(portfolio: Portfolio, what_if: costs.Integers, basis: str) -> pd.DataFrame:
    """Return the totals of the courses priced at a basis by specialty and of all."""
    same = portfolio.unchanged(basis)
    what_if = what_if[same.order]
    change = (what_if - same.today).astype(np.float64)
    totals = _sums(what_if, same.starts)
    half = np.rint(_Z90 * np.sqrt(_sums(change * change, same.starts))).astype(np.int64)
    columns: dict[str, Any] = dict(same.head)
    for number, party in enumerate(PARTIES):
        today, assumed, then = (t[:, number] for t in (same.today_totals, same.assumed_totals, totals))
        columns |= {f"{party}_out_of_network": today, f"{party}_assumed": assumed, f"{party}_what_if": then}
        columns |= {f"{party}_low": then - today - half[:, number], f"{party}_high": then - today + half[:, number]}
    table = pd.DataFrame(columns)
    return table[table["courses"] > 0].reset_index(drop=True)


def _find_unchanged(portfolio: Portfolio, basis: str) -> _Unchanged:
    courses, chosen = portfolio.courses, _is_priced(portfolio, basis)
    # sorted by specialty, sums are of slices: exact, and a tenth of the work of adding course by course
    order = portfolio.order[chosen[portfolio.order]]
    code = portfolio.codes[order]
    starts = np.flatnonzero(np.diff(code, prepend=-1))
    visits = courses["visits"].to_numpy(dtype=np.int64)[order]
    today = portfolio.today[order]
    return _Unchanged(
        order=order,
        starts=starts,
        today=today,
        today_totals=_sums(today, starts),
        assumed_totals=_sums(portfolio.assumed[order], starts),
        head={
            "specialty": [*portfolio.specialties[code[starts]], "all"],
            "courses": _sums(np.ones_like(visits), starts),
            "visits": _sums(visits, starts),
        },
    )


def _sums(values: np.ndarray[Any, Any], starts: costs.Integers) -> np.ndarray[Any, Any]:
    """Return the sums of slices of rows that begin at ``starts``, and the sum of all behind them."""
    parts = np.add.reduceat(values, starts, axis=0) if len(starts) else values[:0]
    return np.concatenate([parts, parts.sum(axis=0, keepdims=True)])
