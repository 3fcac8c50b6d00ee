"""What changed since the month before: cells of the gap table, cases, requests, spend.

In: two standings of a plan, each as of the last day of a month. Out: the figures side by side, the cells and cases
that moved, and sentences for the summary.
"""

from dataclasses import dataclass
from datetime import date

import pandas as pd
from pandas.api.typing import NAType

from sca_analysis.alerts import list_alerts
from sca_analysis.cases import CaseList, list_cases
from sca_analysis.courses import cost_courses
from sca_analysis.exports import Exports
from sca_analysis.gaps import Gaps, find_gaps
from sca_analysis.grounds import SHOWN
from sca_analysis.network import Criteria
from sca_analysis.phrases import count, month
from sca_analysis.privacy import say_each, say_part, say_rows
from sca_analysis.register import build_register
from sca_analysis.remedies import compare
from sca_analysis.tables import MONTH_CHANGES, MOVED_CASES


@dataclass(frozen=True)
class Standing:
    """How a plan stood on a day: its gap table, cases, requests and what needed action."""

    as_of: date
    gaps: Gaps
    courses: pd.DataFrame
    register: pd.DataFrame
    cases: CaseList
    alerts: pd.DataFrame

    @property
    def people(self) -> pd.Series:
        """The member of each case and request, by its number."""
        found = pd.concat([f.set_index("case_id")["member_id"] for f in (self.cases.table, self.register)])
        return found[~found.index.duplicated()]


def take_standing(
    exports: Exports, as_of: date, criteria: Criteria, gaps: Gaps | None = None, with_ranges: bool = True
) -> Standing:
    """Return how the plan stood on a day; what the exports say of later days does not count.

    Parameters
    ----------
    exports : Exports
    as_of : date
    criteria : Criteria
        As ``network.choose_criteria``.
    gaps : Gaps, optional
        The gap table of the day, where the caller has it.
    with_ranges : bool
        Whether a range of rates is suggested for each case, as of ``cases.list_cases``.

    """
    gaps = find_gaps(exports, as_of, criteria) if gaps is None else gaps
    courses = cost_courses(exports, as_of, gaps)
    register = build_register(exports, as_of)
    return Standing(
        as_of=as_of,
        gaps=gaps,
        courses=courses,
        register=register,
        cases=list_cases(exports, as_of, gaps, criteria, courses=courses, register=register, with_ranges=with_ranges),
        alerts=list_alerts(register, as_of),
    )


def find_people(before: Standing | None, now: Standing) -> pd.Series:
    """Return the member of each case of two standings, by its number."""
    found = pd.concat([s.people for s in (now, before) if s])
    return found[~found.index.duplicated()]


def compare_months(before: Standing | None, now: Standing) -> pd.DataFrame:
    """Return the figures of two standings side by side.

    Returns
    -------
    DataFrame
        Columns of ``tables.MONTH_CHANGES``; before and change are blank where there is no month before.

    """
    after = _figures(now)
    earlier = _figures(before) if before else dict.fromkeys(after, _Figure("", pd.NA, None))
    rows = [
        (name, f.unit, earlier[name].value, f.value, f.value - earlier[name].value if before else pd.NA)
        for name, f in after.items()
    ]
    table = pd.DataFrame(rows, columns=list(MONTH_CHANGES.names))
    return table.astype({"before": "Int64", "now": "Int64", "change": "Int64"})


def count_behind(before: Standing | None, now: Standing) -> pd.DataFrame:
    """Return how many members are behind the figures of `compare_months`, row for row.

    Returns
    -------
    DataFrame
        ``before``, ``now`` and ``moved``: those behind what is counted in one of the two months alone. Where no
        member is behind a figure it is blank, as is what has no month before. [members]

    """
    earlier = _figures(before) if before else {}
    rows = []
    for name, figure in _figures(now).items():
        here, there = figure.rows, earlier[name].rows if before else None
        moved = None
        if here is not None and there is not None:
            moved = pd.concat([there[~there.index.isin(here.index)], here[~here.index.isin(there.index)]])
        rows.append([pd.NA if r is None else r.nunique() for r in (there, here, moved)])
    return pd.DataFrame(rows, columns=["before", "now", "moved"], dtype="Int64")


def list_moved_cells(before: Standing | None, now: Standing) -> pd.DataFrame:
    """Return the cells of the gap table whose status is another than a month before: columns of ``tables.CHANGES``."""
    moved = compare(before.gaps if before else now.gaps, now.gaps)
    return moved[moved["status_before"] != moved["status_after"]].reset_index(drop=True)


def list_moved_cases(before: Standing | None, now: Standing) -> pd.DataFrame:
    """Return the cases that are new, gone, or in another state or on other grounds than a month before.

    Returns
    -------
    DataFrame
        Columns of ``tables.MOVED_CASES``, by rank now; those gone last. A case that was asked for since then has the
        number of the request now; it is found again by member and provider.

    """
    key = ["member_id", "provider_npi"]
    shown = [*key, "case_id", "specialty", "state", "grounds"]
    new = now.cases.table[[*shown, "rank", "at_stake"]]
    old = (before or now).cases.table[shown]
    both = old.merge(new, on=key, how="outer", suffixes=("_before", ""))
    both = both.assign(
        case_id=both["case_id"].fillna(both["case_id_before"]),
        specialty=both["specialty"].fillna(both["specialty_before"]),
        state=both["state"].fillna("no longer a case"),
        state_before=both["state_before"].fillna("new"),
    )
    for column in ("grounds", "grounds_before"):
        both[column] = both[column].fillna("")
    is_moved = (both["state"] != both["state_before"]) | (both["grounds"] != both["grounds_before"])
    return both[is_moved].sort_values(["rank", "case_id"], ignore_index=True)[list(MOVED_CASES.names)]


def tell_changes(before: Standing | None, now: Standing, fewest: int = 0) -> list[str]:
    """Return what changed, in sentences for the summary; cases of fewer members than ``fewest`` are not counted."""
    if before is None:
        return ["**Since last month.** There are no claims of the month before, so nothing is compared."]
    last_month = month(before.as_of)
    cells = list_moved_cells(before, now)
    worse = cells[(cells["status_before"] == "met") & (cells["status_after"] != "met")]
    better = cells[(cells["status_before"] != "met") & (cells["status_after"] == "met")]
    parts = [f"Cells of the gap table that no longer meet the standard: {len(worse)}, that do now: {len(better)}"]
    if len(worse):
        parts[0] += f" (first {worse['specialty'].iloc[0]} in {worse['county'].iloc[0]})"
    moved = list_moved_cases(before, now)
    is_new, is_gone = moved["state_before"] == "new", moved["state"] == "no longer a case"
    people = moved["case_id"].map(find_people(before, now))
    is_other = ~is_new & ~is_gone & (moved["state"] != moved["state_before"])
    new, gone, other = (say_rows(people[some], fewest) for some in (is_new, is_gone, is_other))
    parts.append(f"new cases: {new}, no longer cases: {gone}, in another state: {other}")
    return [f"**Since {last_month}.** {'; '.join(parts)}."]


def tell_actions(now: Standing, most: int = 3, fewest: int = 0) -> list[str]:
    """Return what needs action, by whom, in sentences for the summary.

    Parameters
    ----------
    now : Standing
    most : int
        Cases named.
    fewest : int
        Smallest count of members told; above 0, no case and no day is named either.

    """
    alerts, cases = now.alerts, now.cases.table
    people = alerts["case_id"].map(now.people)
    words = say_each("for " + alerts["who"], people, fewest)
    undecided = cases[cases["state"].isin(["not_asked", "pending"]) & (cases["grounds"] != "")]
    is_ready = undecided["is_complete"].astype(bool)
    if fewest:
        some = f"{say_rows(people, fewest)} actions: {words}" if len(alerts) else "Nothing is due"
        return [
            f"**What to do on agreements.** {some}.",
            f"**What to do on cases.** Complete, of the undecided cases with a ground shown: "
            f"{say_part(is_ready, undecided['member_id'], fewest)}.",
        ]
    lines = []
    if len(alerts):
        soonest = alerts.iloc[0]
        is_late = pd.Timestamp(soonest["due_date"]) < pd.Timestamp(now.as_of)
        lines.append(
            f"**What to do on agreements.** {count(len(alerts), 'action')}: {words}. The first "
            f"{'was' if is_late else 'is'} due on {soonest['due_date']:%Y-%m-%d}: "
            f"{soonest['alert'].replace('_', ' ')}, case {soonest['case_id']}."
        )
    else:
        lines.append("**What to do on agreements.** Nothing is due.")
    first = ", ".join(f"{r.case_id} ({r.specialty}, {r.grounds})" for r in undecided.head(most).itertuples())
    lines.append(
        f"**What to do on cases.** {count(len(undecided), 'undecided case')} with a ground shown; complete: "
        f"{is_ready.sum()}." + (f" First by rank: {first}." if first else "")
    )
    return lines


@dataclass(frozen=True)
class _Figure:
    """What is followed from month to month: unit, value, and the member of each thing counted (None: no people)."""

    unit: str
    value: int | NAType
    rows: "pd.Series | None"


def _figures(standing: Standing) -> dict[str, _Figure]:
    """Return the figures that are followed from month to month."""
    table, cases, register = standing.gaps.table, standing.cases.table, standing.register
    alerts = standing.alerts.assign(member_id=standing.alerts["case_id"].map(standing.people))

    def number(unit: str, value: int) -> _Figure:
        return _Figure(unit, value, None)

    def rows(unit: str, frame: pd.DataFrame, key: list[str]) -> _Figure:
        return _Figure(unit, len(frame), frame.set_index(key)["member_id"])

    def some_cases(is_counted: "pd.Series[bool]") -> _Figure:
        pair = cases.loc[is_counted, ["member_id", "provider_npi"]]  # its number changes when it is asked for
        return rows("cases", pair.assign(member=pair["member_id"]), ["member", "provider_npi"])

    in_force = register["state"].isin(["in_force", "used_up"])
    return {
        "members covered": number("members", standing.gaps.members),
        "cells of the gap table": number("cells", len(table)),
        "cells that do not meet the standard": number("cells", int((table["status"] != "met").sum())),
        "out-of-network courses of 12 months": rows("courses", standing.courses, ["course_id"]),
        "cases": some_cases(cases["state"].notna()),
        "cases with a ground shown": some_cases(cases["grounds"] != ""),
        "cases with a gap shown": some_cases(cases["gap"] == SHOWN),
        "cases never asked for": some_cases(cases["state"] == "not_asked"),
        "requests made so far": rows("requests", register, ["case_id"]),
        "requests pending": rows("requests", register[register["state"] == "pending"], ["case_id"]),
        "agreements in force": rows("agreements", register[in_force], ["case_id"]),
        "actions due": rows("actions", alerts, ["case_id", "alert"]),
    }
