"""The tables of a month as they may be shared: rows of one patient de-identified, counts of few withheld.

In: the tables as the plan sees them, and who is behind a case. Out: the same tables, the same columns, less in them.
What is withheld of a table is chosen against the totals that the report itself gives: of all rows, of a county, of a
specialty, of a month. Whoever has other totals, or last month's report, may know more.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from sca_analysis.adequacy import Adequacy
from sca_analysis.compliance import SCOPES
from sca_analysis.outcomes import withhold
from sca_analysis.privacy import (
    SMALL_CELL,
    any_few,
    blank,
    deidentify,
    find_few,
    has_few_side,
    is_few,
    lump,
    withhold_small_cells,
)
from sca_analysis.tables import ALERTS, CASES, COURSES, ESTIMATES, EVIDENCE, MOVED_CASES, REGISTER

Frames = Mapping[str, pd.DataFrame]
#: Tables of the report in which a row is of one patient.
OF_ONE_PATIENT = {
    "courses": COURSES,
    "moved_cases": MOVED_CASES,
    "alerts": ALERTS,
    "cases": CASES,
    "case_evidence": EVIDENCE,
    "register": REGISTER,
    "estimates": ESTIMATES,
}
_DEMAND = ["visits", "billed", "out_of_network_visits", "out_of_network_billed", "out_of_network_paid"]


@dataclass(frozen=True)
class Behind:
    """Who is behind the rows of a month.

    Attributes
    ----------
    people : Series
        Member by number of a case or request.
    courses : DataFrame
        The courses with their members, in the order of the table of courses.
    changes : DataFrame
        Members behind the figures of two months, as ``changes.count_behind``.

    """

    people: pd.Series
    courses: pd.DataFrame
    changes: pd.DataFrame


def share(tables: Frames, adequacy: Adequacy, behind: Behind, key: bytes, year: int) -> dict[str, pd.DataFrame]:
    """Return the tables of a month as they may be shared.

    Parameters
    ----------
    tables : mapping of DataFrame
        As the plan sees them, by name.
    adequacy : Adequacy
        Where the counts of members are.
    behind : Behind
    key : bytes
        Of the pseudonyms, as ``pseudonyms.find_key``.
    year : int
        Year of the as-of date.

    """
    people, courses = behind.people, behind.courses
    rules: dict[str, Callable[[], pd.DataFrame]] = {
        "gaps": lambda: _share_gaps(adequacy.gaps.table),
        "compliance": lambda: _share_compliance(adequacy.compliance, adequacy.gaps.table),
        "gaps_by_demand": lambda: _share_demand(adequacy.ranked),
        "parity": lambda: _share_parity(adequacy.parity),
        "month_changes": lambda: _share_changes(tables["month_changes"], behind.changes),
        "measures": lambda: _share_measures(tables["measures"]),
        "calibration": lambda: _share_calibration(tables["calibration"], tables["estimates"], people),
        "make_or_buy": lambda: _share_contracts(tables["make_or_buy"]),
        "specialties": lambda: _share_specialties(tables["specialties"], courses),
        "ranges": lambda: _share_specialties(tables["ranges"], courses),
        "spend": lambda: _share_spend(tables["spend"]),
    }
    shared = {name: rules[name]() if name in rules else frame for name, frame in tables.items()}
    for name, declared in OF_ONE_PATIENT.items():
        frame = tables[name]
        shared[name] = deidentify(frame, declared, key, year)
        if "specialty" in frame:
            members = (
                frame["case_id"].map(people).fillna(frame["case_id"]) if "case_id" in frame else courses["member_id"]
            )
            shared[name]["specialty"] = lump(frame["specialty"], members)
    return shared


def _share_gaps(gaps: pd.DataFrame) -> pd.DataFrame:
    return withhold_small_cells(gaps, _few_counties(gaps))


def _few_counties(gaps: pd.DataFrame) -> list[str]:
    """Return the counties with few members, and those that would give them away: all members are told elsewhere."""
    counties = gaps.drop_duplicates("county_fips")
    counties = counties.assign(state=counties["county"].str[-2:])
    few = find_few(counties, "members", totals=((), ("state",), ("county_type",)))
    return [str(fips) for fips in counties.loc[few, "county_fips"]]


def _share_compliance(compliance: pd.DataFrame, gaps: pd.DataFrame) -> pd.DataFrame:
    """Withhold the members of counties withheld, and shares from which that of one cell could be reckoned."""
    shown = _share_gaps(gaps)
    hidden = find_few(compliance, "members", totals=())
    names = gaps.loc[shown["members"].isna(), "county"].unique()
    hidden |= (compliance["scope"] == "county") & compliance["name"].isin(names)
    outside = (gaps["members"] - (gaps["share_within"] * gaps["members"]).round()).astype("float64")
    cells = shown["share_within"].isna() & gaps["share_within"].notna()
    told = hidden.copy()
    for place, row in compliance.iterrows():
        column = SCOPES.get(row["scope"])
        mine = cells & (gaps[column] == row["name"] if column else True)
        told[place] |= mine.any() and (mine.sum() == 1 or outside[mine].sum() < SMALL_CELL)
    return blank(blank(compliance, hidden, ["members"]), told, ["share_within"])


def _share_demand(ranked: pd.DataFrame) -> pd.DataFrame:
    """Withhold patients of a county and specialty, and apart from them those out of network."""
    all_hidden = find_few(ranked, "members", totals=()) | find_few(ranked, "patients", totals=())
    out_hidden = all_hidden | find_few(ranked, "out_of_network_patients", totals=(), of="patients")
    shown = blank(ranked, out_hidden, ["out_of_network_patients", "share_of_visits", *_DEMAND[2:]])
    return blank(shown, all_hidden, ["members", "patients", *_DEMAND[:2]])


def _share_parity(parity: pd.DataFrame) -> pd.DataFrame:
    """Withhold settings with few; the ratio of a row tells the share of its neighbour, so both go."""
    few, all_hidden = (pd.Series(False, index=parity.index) for _ in range(2))
    # visits of the settings add up to those of all, which are a row of their own
    for part, totals in (
        (parity[parity["setting"] == "all"], ()),
        (parity[parity["setting"] != "all"], (("benefit",),)),
    ):
        all_hidden[part.index] = find_few(part, "patients", totals)
        few[part.index] = all_hidden[part.index] | find_few(part, "out_of_network_patients", totals, of="patients")
    beside = few.groupby(parity["setting"]).transform("any")
    shown = blank(parity, beside, ["ratio", "ratio_low", "ratio_high"])
    columns = ["out_of_network_patients", "share_of_patients", "share_low", "share_high", "out_of_network_visits"]
    shown = blank(shown, few, [*columns, "share_of_visits"])
    return blank(shown, all_hidden, ["patients", "visits", "visits_by_specialty"])


def _share_changes(changes: pd.DataFrame, members: pd.DataFrame) -> pd.DataFrame:
    """Withhold figures of few members, and the month before where the change tells of few."""
    # members themselves are counted, not what they have; and a change of so few things is of so few members
    of_members, of_cells = changes["unit"] == "members", changes["unit"] == "cells"
    counts = members[["before", "now"]].where(~of_members, changes[["before", "now"]])
    few = any_few([counts["before"], counts["now"]])
    moved = any_few([members["moved"], changes["change"].abs()]) & ~of_cells
    return blank(blank(changes, few | moved, ["before", "change"]), few, ["now"])


def _share_measures(measures: pd.DataFrame) -> pd.DataFrame:
    """Withhold as `outcomes.withhold`; a reason of denial that few were given may name one, so it goes."""
    shown = withhold(measures, SMALL_CELL)
    return shown[(shown["scope"] != "denial_reason") | shown["patients"].notna()].reset_index(drop=True)


def _share_calibration(calibration: pd.DataFrame, estimates: pd.DataFrame, people: pd.Series) -> pd.DataFrame:
    """Withhold where few members are behind the agreements, those within or outside, or those not known."""
    finished = estimates[estimates["is_finished"].astype(bool)]
    who = finished["case_id"].map(people).fillna(finished["case_id"])
    few = []
    for row in calibration.itertuples():
        part = finished if row.basis == "all" else finished[finished["basis"] == row.basis]
        within = part[f"{row.measure}_within"]
        parts = (within.notna(), within.isna(), within.eq(True).fillna(False), within.eq(False).fillna(False))
        few.append(any(is_few(who[part.index[some.to_numpy(dtype=bool)]]) for some in parts))
    hidden = pd.Series(few, index=calibration.index, dtype=bool)
    return blank(calibration, hidden, [c for c in calibration if c not in ("measure", "basis")])


def _share_contracts(contracts: pd.DataFrame) -> pd.DataFrame:
    """Withhold where few patients have agreements; a provider of few is not named."""
    few = find_few(contracts, "patients", totals=(("scope",), ("scope", "specialty"), ("scope", "county_fips")))
    kept = ["scope", "specialty", "county_fips", "provider_npi", "reason"]
    shown = blank(contracts, few, [c for c in contracts if c not in kept])
    shown["reason"] = contracts["reason"].where(~few, f"fewer than {SMALL_CELL} patients here or elsewhere: withheld")
    return shown[~(few & (contracts["scope"] == "provider"))].reset_index(drop=True)


def _share_specialties(summed: pd.DataFrame, courses: pd.DataFrame) -> pd.DataFrame:
    """Withhold specialties with few patients, or few with costs; the row of all stays if it has enough."""
    parts = [courses if name == "all" else courses[courses["specialty"] == name] for name in summed["specialty"]]
    counted = summed.assign(patients=[frozenset(part["member_id"]) for part in parts])
    one_side = [has_few_side(part["not_costed"].isna(), part["member_id"]) for part in parts]
    few = pd.Series(one_side, index=summed.index, dtype=bool)
    whole = counted["specialty"] == "all"
    for part, totals in ((counted[whole], ()), (counted[~whole], ((),))):
        few[part.index] = find_few(part, "patients", totals, also=few[part.index])
    return blank(summed, few, [c for c in summed if c != "specialty"])


def _share_spend(spend: pd.DataFrame) -> pd.DataFrame:
    few = find_few(spend, "patients", totals=(("is_out_of_network",), ("month", "is_out_of_network")))
    return blank(spend, few, ["patients", "lines", "billed", "paid"])
