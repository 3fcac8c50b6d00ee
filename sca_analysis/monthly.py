"""What a month says: every table of the monthly report, and the summary in plain words.

In: an exports folder and a month. Out: ``Month``, whose tables the notebook shows and the report
writes. All figures in the words are computed here from those tables.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path

import narwhals as nw
import pandas as pd

from sca_analysis import engines, phrases
from sca_analysis.adequacy import Adequacy, measure_adequacy
from sca_analysis.changes import (
    Standing,
    compare_months,
    count_behind,
    find_people,
    list_moved_cases,
    list_moved_cells,
    take_standing,
    tell_actions,
    tell_changes,
)
from sca_analysis.claims import count_if, monthly_spend, window
from sca_analysis.compliance import count_met
from sca_analysis.contracting import make_or_buy
from sca_analysis.courses import range_specialties, summarize_specialties
from sca_analysis.errors import ParameterError
from sca_analysis.estimates import calibration, estimate_agreements
from sca_analysis.exports import Exports, to_pandas
from sca_analysis.gaps import Gaps
from sca_analysis.months import parse_month
from sca_analysis.outcomes import measure
from sca_analysis.privacy import (
    SMALL_CELL,
    has_few_side,
    is_few,
    say_count,
    say_each,
    say_part,
    say_rows,
    say_some,
    withhold_few,
    withhold_small_cells,
)
from sca_analysis.pseudonyms import find_key
from sca_analysis.shared_tables import Behind, share

_OF_MOVED = ["county_fips", "county", "specialty", "status_before", "status_after"]  # what tells of no member


@dataclass(frozen=True)
class Month:
    """One month of a plan: its exports, gaps, courses of treatment, cases, agreements and OON spend.

    Attributes
    ----------
    month : str
        YYYY-MM.
    first, as_of : date
        First day of the twelve months, and last day of the month.
    adequacy : Adequacy
    standing, before : Standing
        How the plan stands on the last day, and stood a month before (None without claims of that month), of which
        no rates are told.
    ranges : DataFrame
        As ``courses.range_specialties``.
    spend : DataFrame
        As ``claims.monthly_spend``, over the twelve months.
    is_identified : bool
        Whether tables, words and charts are as the plan sees them, for its own use, and not to be shared.

    """

    month: str
    first: date
    as_of: date
    adequacy: Adequacy
    standing: Standing
    before: Standing | None
    ranges: pd.DataFrame
    spend: pd.DataFrame
    is_identified: bool = False

    @property
    def courses(self) -> pd.DataFrame:
        """The OON courses of treatment: columns of ``tables.COURSES``."""
        return self.standing.courses

    @property
    def cases(self) -> pd.DataFrame:
        """The SCA candidates: columns of ``tables.CASES``, member ids in them."""
        return self.standing.cases.table

    @cached_property
    def measures(self) -> pd.DataFrame:
        """The figures on requests and agreements of the twelve months: columns of ``tables.MEASURES``."""
        return measure(self.standing.register, self.first, self.as_of)

    @cached_property
    def estimates(self) -> pd.DataFrame:
        """What agreements were expected to cost, and did: columns of ``tables.ESTIMATES``."""
        return estimate_agreements(self.exports, self.as_of)

    @property
    def exports(self) -> Exports:
        """The exports that all of it was made from."""
        return self.adequacy.exports

    @property
    def gaps(self) -> Gaps:
        """The gap table."""
        return self.adequacy.gaps

    @cached_property
    def source(self) -> str:
        """The plan, period and denominator of the figures, as shown under a chart."""
        return (
            f"Source: exports of {self.exports.plan.name}; claims {self.first:%Y-%m-%d} to {self.as_of:%Y-%m-%d}, "
            f"{say_count(self.gaps.members)} members covered on {self.as_of:%Y-%m-%d}."
        )

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables of the report by name: as they may be shared, unless the month is identified."""
        if self.is_identified:
            return self._internal
        behind = Behind(self.people, self.courses, count_behind(self.before, self.standing))
        return share(self._internal, self.adequacy, behind, find_key(), self.as_of.year)

    @property
    def spelled(self) -> str:
        """The month as it is written, June 2026."""
        return phrases.month(self.as_of)

    @property
    def use(self) -> str:
        """What the report may be used for, in a sentence that stands at its head."""
        if self.is_identified:
            return "**Identified**: rows on single patients, for the plan's own use; not to be shared outside it."
        return (
            "De-identified: in rows on single patients, cases and providers have pseudonyms, days are years and "
            f"counties are states (45 CFR 164.514(b)(2)); figures on fewer than {SMALL_CELL} people are withheld, with "
            "others from which they could be reckoned, and blank. `sca report --identified` shows all of it."
        )

    @property
    def fewest(self) -> int:
        """The smallest count of people that may be told; 0 in an identified month."""
        return 0 if self.is_identified else SMALL_CELL

    @property
    def people(self) -> pd.Series:
        """The member of each case and request, by its number."""
        return find_people(self.before, self.standing)

    @cached_property
    def _internal(self) -> dict[str, pd.DataFrame]:
        """The tables as the plan sees them: no member ids, but rows on single patients with days and counties."""
        files = self.exports.files.assign(
            reasons=["; ".join(f"{k}: {v}" for k, v in r.items()) for r in self.exports.files["reasons"]]
        )
        adequacy, few = self.adequacy, ["out_of_network_visits", "out_of_network_billed", "out_of_network_paid"]
        statuses = [c for c in adequacy.evidence if c.startswith("status_")]
        return {
            "gaps": withhold_small_cells(self.gaps.table),
            "compliance": withhold_few(adequacy.compliance, "members", ["share_within"]),
            "gaps_by_demand": withhold_few(
                withhold_few(adequacy.ranked, "members", ["patients", "visits", "billed", *few]),
                "out_of_network_patients",
                [*few, "share_of_visits"],
                of="patients",
            ),
            "evidence": adequacy.evidence[["county_fips", "county", "specialty", *statuses]],
            "listing_findings": adequacy.findings,
            "parity": withhold_few(
                adequacy.parity,
                "out_of_network_patients",
                ["share_of_patients", "share_low", "share_high", "out_of_network_visits", "share_of_visits"],
                of="patients",
            ),
            "courses": self.courses.drop(columns="member_id"),
            "month_changes": compare_months(self.before, self.standing),
            "moved_cells": list_moved_cells(self.before, self.standing)[_OF_MOVED],
            "moved_cases": list_moved_cases(self.before, self.standing),
            "alerts": self.standing.alerts,
            "cases": self.cases.drop(columns="member_id"),
            "case_evidence": self.standing.cases.evidence,
            "register": self.standing.register.drop(columns="member_id"),
            "measures": self.measures,
            "estimates": self.estimates,
            "calibration": calibration(self.estimates),
            "make_or_buy": make_or_buy(self.standing.register, self.exports, self.as_of),
            "specialties": summarize_specialties(self.courses),
            "ranges": self.ranges,
            "spend": self.spend.assign(month=self.spend["month"].dt.strftime("%Y-%m")),
            "files": files,
            "findings": self.exports.findings,
        }


def analyse_month(data: str | Path, month: str, engine: str = engines.DEFAULT, identified: bool = False) -> Month:
    """Read an exports folder and return what it says about a month.

    Parameters
    ----------
    data : str or Path
        Exports folder.
    month : str
        YYYY-MM; figures are as of its last day, over the twelve months that end on it.
    engine : str
        What works on the tables, of ``engines.ENGINES``; the figures are the same.
    identified : bool
        Rows on single patients as the plan sees them; without, all is as it may be shared (`privacy`).

    Raises
    ------
    ParameterError
        If the month is not written so, or the exports have no claims in it.
    ExportError
        If the exports cannot be used.

    """
    as_of = parse_month(month)
    if not identified:
        find_key()  # says at once if there is none to be had
    exports = Exports.open(data, engine)
    first, _ = window(as_of)
    day = nw.col("service_date")
    found = to_pandas(
        exports.table("claims").select(
            lines=count_if(day.is_between(as_of.replace(day=1), as_of)), oldest=day.min(), newest=day.max()
        )
    )
    [lines, oldest, newest] = found.iloc[0]
    if pd.isna(lines) or not lines:
        exports.last_day  # noqa: B018 - says so if there are no claims at all
        raise ParameterError(
            f"there are no claims in {month}: {data} covers {oldest:%Y-%m} to {newest:%Y-%m}; choose a month in it."
        )
    adequacy = measure_adequacy(exports, as_of)
    criteria = adequacy.network.criteria
    earlier = as_of.replace(day=1) - timedelta(days=1)
    return Month(
        month=month,
        first=first,
        as_of=as_of,
        adequacy=adequacy,
        standing=take_standing(exports, as_of, criteria, adequacy.gaps),
        before=take_standing(exports, earlier, criteria, with_ranges=False) if oldest.date() <= earlier else None,
        ranges=range_specialties(exports, as_of),
        spend=monthly_spend(exports, first, as_of),
        is_identified=identified,
    )


def summarize(month: Month) -> str:
    """Return the summary as Markdown: what to do, what changed, then gaps, cases, costs, outcomes and input."""
    lines = (
        *tell_actions(month.standing, fewest=month.fewest),
        *tell_changes(month.before, month.standing, month.fewest),
        *_about_gaps(month),
        *_about_courses(month),
        *_about_outcomes(month),
        _about_input(month),
    )
    return "\n".join(f"- {line}" for line in lines)


def list_limits(month: Month) -> str:
    """Return, as Markdown, what these figures leave out or assume, given what was missing."""
    gaps, exports = month.gaps, month.exports
    lines = [
        "A directory row is a listing. It does not prove that the provider sees patients there, and a provider "
        "not seen in claims may simply not have been needed.",
        f"The standard is {month.adequacy.network.criteria.name}. "
        "Distances are straight lines between coordinates or centres of ZIP codes"
        + (", not drives." if month.adequacy.network.drive_times is None else "; minutes are those of the exports."),
        "The minimum number of providers is reckoned on the members in these exports; CMS reckons it on Medicare "
        "beneficiaries of the county (42 CFR 422.116(e)).",
        "Costs count the deductible and the out-of-pocket maximum from the visits of a course alone: other claims "
        "of the member are not counted, so cost shares are upper bounds and what the plan pays is a lower one.",
        "The SCA rate is the agreed rate where an approved agreement was in force, else the usual charge, which is "
        "the most a provider can ask in a true gap: that rate is a ceiling, not an estimate of a deal.",
        "Courses hold denied lines too, with nothing allowed out of network and all that is billed owed by the member, "
        "so more is billed on courses than on paid OON lines. What the plan pays on them is reckoned from benefits, "
        "not read from the claims.",
        "Providers are assumed to collect all that members owe.",
    ]
    if gaps.members_not_placed:
        lines.append(
            f"{say_count(gaps.members_not_placed).capitalize()} of {say_count(gaps.members)} members could not be "
            "placed in a county of known type and are in no row of the gap table."
        )
    if gaps.rows_not_placed:
        lines.append(f"{gaps.rows_not_placed:,} active directory rows have no known place and are in range of nobody.")
    effects = {
        "members": "members are those seen in claims; people without claims are left out",
        "benefits": "no course of treatment can be costed",
        "fees": "there is no in-network rate, so no course of treatment can be costed",
        "agreements": "no agreed rates; every SCA is reckoned at the usual charge",
    }
    lines += [f"No `{t}` in these exports: {effects[t]}." for t in exports.missing if t in effects]
    return "\n".join(f"- {line}" for line in lines)


def _about_input(month: Month) -> str:
    files = month.exports.files
    read, aside = int(files["rows_read"].sum()), int(files["set_aside"].sum())
    left = sum(n for reasons in files["reasons"] for r, n in reasons.items() if r.startswith("not_selected"))
    chosen = f", of which {left:,} because exports.yaml keeps other rows" if left else ""
    return (
        f"**Input.** {read:,} rows were read from {len(files)} files: {read - aside:,} accepted, {aside:,} set "
        f"aside with a reason each ({aside / read:.2%}){chosen}."
    )


def _about_gaps(month: Month) -> list[str]:
    table = month.gaps.table
    if table.empty:
        return ["**Gaps.** No member could be placed in a county, so the gap table is empty."]
    failing = table[table["status"] != "met"]
    words = {"no_provider": "no usable provider in range", "too_far": "too far for too many members"}
    words |= {"too_few": "too few providers", "closed": "enough only if closed panels counted"}
    parts = [f"{n} {words[s]}" for s, n in failing["status"].value_counts().sort_index().items()]
    lines = [
        f"**Gaps.** {len(table) - len(failing)} of {len(table)} county-specialty cells "
        f"({table['county_fips'].nunique()} counties, {table['specialty'].nunique()} specialties) meet the standard"
        + (f"; {len(failing)} do not: {', '.join(parts)}." if parts else ".")
    ]
    shown = month.tables["gaps"].loc[failing.index]
    shown = shown[(shown["members"] >= SMALL_CELL).fillna(False)].sort_values(
        ["members", "county", "specialty"], ascending=[False, True, True]
    )
    if len(shown):
        worst = "; ".join(f"{r.specialty} in {r.county} ({r.members:,} members)" for r in shown.head(3).itertuples())
        lines.append(f"**Largest of these by members of the county.** {worst}.")
    met = count_met(month.adequacy.evidence)
    lines.append(
        f"**How far the directory is borne out.** {met['as_listed']} cells meet the standard as listed, "
        f"{met['as_accepting']} counting open panels, {met['as_seen']} counting only providers seen in twelve months "
        "of claims. The truth lies between the last two."
    )
    unseen = table[(table["accepting"] > 0) & (table["seen_in_claims"] == 0) & (table["status"] == "met")]
    if len(unseen):
        lines.append(
            f"**On paper only?** In {len(unseen)} of the cells that meet the standard, none of the providers in range "
            "was seen in twelve months of claims. That is a reason to call them, no proof of a gap."
        )
    return lines


def _about_courses(month: Month) -> list[str]:
    spend, courses, fewest = month.spend, month.courses, month.fewest
    out = spend[spend["is_out_of_network"]]
    members = courses["member_id"]
    if is_few(members, fewest):
        return [f"**Out of network.** Fewer than {fewest} members went out of network: their amounts are withheld."]
    billed, paid = (sum(out[c].dropna(), start=0) for c in ("billed", "paid"))
    is_known = out["paid"].notna().any() or out.empty
    in_gap = courses["gap_status"].fillna("met") != "met"
    lines = [
        f"**Out of network.** ${billed:,.2f} billed and "
        + (f"${paid:,.2f} paid by the plan" if is_known else "an unknown amount paid by the plan")
        + f" on paid OON lines of the twelve months; {len(courses)} OON courses of treatment, "
        f"{say_some(in_gap, members, fewest)} of them in a county and specialty with a gap."
    ]
    is_costed = courses["not_costed"].isna()
    costed = courses[is_costed]
    if costed.empty:
        reasons = courses["not_costed"].value_counts()
        why = f": {reasons.index[0]}" if len(reasons) else ""
        return [*lines, f"**Costs.** No course could be costed{why}."]
    known = f"**Costs.** {say_part(is_costed, members, fewest)} courses could be costed"
    if has_few_side(is_costed, members, fewest):
        return [*lines, f"{known}; amounts are withheld."]
    totals = {c: sum(costed[c], start=0) for c in costed if c.startswith(("plan_paid", "member_total"))}
    member, plan = totals["member_total_out_of_network"], totals["plan_paid_out_of_network"]
    agreed = say_some(costed["sca_rate_basis"] == "agreed_rate", costed["member_id"], fewest)
    lines.append(
        f"{known}. OON, their members owe ${member:,.2f}, "
        f"denied lines in full, and the plan pays ${plan:,.2f}. Under SCAs members would owe "
        f"${totals['member_total_in_network']:,.2f} at "
        f"the in-network rate and ${totals['member_total_sca']:,.2f} at the rate assumed, and the plan would pay "
        f"${totals['plan_paid_in_network']:,.2f} and ${totals['plan_paid_sca']:,.2f}. The rate "
        f"assumed is the agreed one for {agreed} courses and the usual charge, the ceiling, for the others."
    )
    return lines


def _about_outcomes(month: Month) -> list[str]:
    """Return what came of the requests of the twelve months."""
    register = month.standing.register
    recent = register[register["requested_date"] >= pd.Timestamp(month.first)]
    if recent.empty:
        return [
            "**Outcomes.** No SCA was asked for in the twelve months, or there is no `agreements` in these exports."
        ]
    members = recent["member_id"]
    days = recent["days_to_decision"].dropna()
    is_told = len(days) and not is_few(members[days.index], month.fewest)
    took = f"; half were decided within {days.median():g} days" if is_told else ""
    lines = [
        f"**Outcomes.** {say_rows(members, month.fewest)} SCAs were asked for in the twelve months: "
        f"{say_each(recent['decision'], members, month.fewest)}{took}."
    ]
    told = month.tables["calibration"]
    told = told[(told["basis"] == "all") & (told["known"] > 0).fillna(False)]
    if len(told):
        words = ", ".join(f"{r.measure.replace('_', ' ')} {r.within} of {r.known}" for r in told.itertuples())
        lines.append(
            "**Were estimates right?** Finished agreements between P10 and P90 of what was to be expected when "
            f"they were decided (8 of 10 would be ideal): {words}."
        )
    return lines
