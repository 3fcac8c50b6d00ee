"""What changed since the month before: cells of the gap table, cases, requests, spend.

In: two standings of a plan, each as of the last day of a month. Out: the figures side by side, the cells and cases
that moved, and sentences for the summary.
"""

from dataclasses import dataclass
from datetime import date

import pandas as pd

from sca_analysis.alerts import list_alerts
from sca_analysis.cases import CaseList, list_cases
from sca_analysis.courses import cost_courses
from sca_analysis.exports import Exports
from sca_analysis.gaps import Gaps, find_gaps
from sca_analysis.grounds import SHOWN
from sca_analysis.network import Criteria
from sca_analysis.phrases import count, month
from sca_analysis.privacy import say_count, say_each, say_part
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


def take_standing(exports: Exports, as_of: date, criteria: Criteria, gaps: Gaps | None = None) -> Standing:
    """Return how the plan stood on a day; what the exports say of later days does not count.

    Parameters
    ----------
    exports : Exports
    as_of : date
    criteria : Criteria
        As ``network.choose_criteria``.
    gaps : Gaps, optional
        The gap table of the day, where the caller has it.

    """
    gaps = find_gaps(exports, as_of, criteria) if gaps is None else gaps
    courses = cost_courses(exports, as_of, gaps)
    register = build_register(exports, as_of)
    return Standing(
        as_of=as_of,
        gaps=gaps,
        courses=courses,
        register=register,
        cases=list_cases(exports, as_of, gaps, criteria, courses=courses, register=register),
        alerts=list_alerts(register, as_of),
    )


def compare_months(before: Standing | None, now: Standing) -> pd.DataFrame:
    """Return the figures of two standings side by side.

    Returns
    -------
    DataFrame
        Columns of ``tables.MONTH_CHANGES``; before and change are blank where there is no month before.

    """
    after = _figures(now)
    earlier = _figures(before) if before else {}
    rows = [
        (name, unit, earlier.get(name, (pd.NA, ""))[0], value, value - earlier[name][0] if name in earlier else pd.NA)
        for name, (value, unit) in after.items()
    ]
    table = pd.DataFrame(rows, columns=list(MONTH_CHANGES.names))
    return table.astype({"before": "Int64", "now": "Int64", "change": "Int64"})


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
    """Return what changed, in sentences for the summary; counts of cases below ``fewest`` are withheld."""
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
    stayed = moved[~is_new & ~is_gone]
    new, gone, other = (
        say_count(int(some.sum()), fewest) for some in (is_new, is_gone, stayed["state"] != stayed["state_before"])
    )
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
        Smallest count of people told; above 0, no case and no day is named either.

    """
    alerts, cases = now.alerts, now.cases.table
    by_whom = alerts["who"].value_counts().rename(index="for {}".format)
    is_open = cases["state"].isin(["not_asked", "pending"]) & (cases["grounds"] != "")
    ready = int((is_open & cases["is_complete"]).sum())
    if fewest:
        some = (
            f"{say_count(len(alerts), fewest)} actions: {say_each(by_whom, fewest)}"
            if len(alerts)
            else "Nothing is due"
        )
        return [
            f"**What to do on agreements.** {some}.",
            f"**What to do on cases.** Complete, of the undecided cases with a ground shown: "
            f"{say_part(ready, int(is_open.sum()), fewest)}.",
        ]
    lines = []
    if len(alerts):
        words = say_each(by_whom, fewest)
        soonest = alerts.iloc[0]
        is_late = pd.Timestamp(soonest["due_date"]) < pd.Timestamp(now.as_of)
        lines.append(
            f"**What to do on agreements.** {count(len(alerts), 'action')}: {words}. The first "
            f"{'was' if is_late else 'is'} due on {soonest['due_date']:%Y-%m-%d}: "
            f"{soonest['alert'].replace('_', ' ')}, case {soonest['case_id']}."
        )
    else:
        lines.append("**What to do on agreements.** Nothing is due.")
    first = ", ".join(f"{r.case_id} ({r.specialty}, {r.grounds})" for r in cases[is_open].head(most).itertuples())
    lines.append(
        f"**What to do on cases.** {count(int(is_open.sum()), 'undecided case')} with a ground shown; complete: "
        f"{ready}." + (f" First by rank: {first}." if first else "")
    )
    return lines


def _figures(standing: Standing) -> dict[str, tuple[int, str]]:
    """Return the figures that are followed from month to month, with their units."""
    table, cases, register = standing.gaps.table, standing.cases.table, standing.register
    return {
        "members covered": (standing.gaps.members, "members"),
        "cells of the gap table": (len(table), "cells"),
        "cells that do not meet the standard": (int((table["status"] != "met").sum()), "cells"),
        "out-of-network courses of 12 months": (len(standing.courses), "courses"),
        "cases": (len(cases), "cases"),
        "cases with a ground shown": (int((cases["grounds"] != "").sum()), "cases"),
        "cases with a gap shown": (int((cases["gap"] == SHOWN).sum()), "cases"),
        "cases never asked for": (int((cases["state"] == "not_asked").sum()), "cases"),
        "requests made so far": (len(register), "requests"),
        "requests pending": (int((register["state"] == "pending").sum()), "requests"),
        "agreements in force": (int(register["state"].isin(["in_force", "used_up"]).sum()), "agreements"),
        "actions due": (len(standing.alerts), "actions"),
    }
