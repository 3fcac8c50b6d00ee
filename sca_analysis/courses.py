"""Out-of-network courses of treatment, and what each costs under the three arrangements.

In: claim lines of the twelve months to a day, fees, benefits, agreements and the gap table. Out:
one row a course (a member with an OON provider), in-network, OON and SCA side by side.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any

import narwhals as nw
import numpy as np
import numpy.typing as npt
import pandas as pd

from sca_analysis import costs
from sca_analysis.amounts import MONEY, cents, money
from sca_analysis.claims import at_rate, half_up, in_span, visit_lines, window
from sca_analysis.exports import Exports, to_pandas
from sca_analysis.gaps import Gaps
from sca_analysis.medicare import percent_of_medicare
from sca_analysis.network import homes_on
from sca_analysis.standards import specialty_of
from sca_analysis.tables import COURSES

COURSE = ["member_id", "provider_npi"]
_ALLOWED = ("in_network_allowed", "out_of_network_allowed", "sca_allowed")
_PARTS = ("plan_paid", "member_total", "provider_net")
# a network and plan year is a case of its own: its benefits are its own, its accumulators begin at zero
_CASE = ["course_id", "benefits_row", "plan_year"]


@dataclass(frozen=True)
class Gathered:
    """What the costs of courses are reckoned from.

    Attributes
    ----------
    courses : DataFrame
        One row a course: ``tables.COURSES`` without its cost columns; the largest billed amount first.
    visits : DataFrame
        One row a visit (a day with a service) in order of dates, earlier ones of the same plan year included:
        course_id, service_date, billed and three allowed amounts (blank where a rate is missing) [USD],
        case_id of the agreement, covered, benefits_row, plan_year, in_window.
    benefits : DataFrame
        ``tables.BENEFITS``, which ``benefits_row`` points into; -1 = none.
    reasons : Series
        By course_id, why a course cannot be costed.

    """

    courses: pd.DataFrame
    visits: pd.DataFrame
    benefits: pd.DataFrame
    reasons: pd.Series


@dataclass(frozen=True)
class Collection:
    """What a provider collects of what members owe, as shares (0-1); all of it unless said."""

    cost_share: Decimal = Decimal(1)
    balance_bill: Decimal = Decimal(1)


def cost_courses(
    exports: Exports,
    as_of: date,
    gaps: Gaps | None = None,
    collection: Collection | None = None,
    rate_share: Decimal = Decimal(1),
) -> pd.DataFrame:
    """Return every OON course of treatment of the twelve months with its costs.

    Parameters
    ----------
    exports : Exports
    as_of : date
        Last day of the twelve months.
    gaps : Gaps, optional
        Gives each course the status of its county and specialty.
    collection : Collection, optional
    rate_share : Decimal
        Where no rate was agreed: how far the SCA rate lies on the way from the in-network rate (0)
        to the usual charge (1).

    Returns
    -------
    DataFrame
        Columns of ``tables.COURSES``, the largest billed amount first; money exact [USD].

    Notes
    -----
    A visit is a day with a service; reversed lines are left out, and a denied line is allowed
    nothing OON. OON allowed is the claim's or, where blank, that of ``fees``. The SCA rate is the
    agreed rate where an approved agreement was in force in the twelve months: then visits outside
    its dates or past its sessions are OON, and other procedures within it are at the usual charge.
    Without one it is the usual charge, the ceiling in a true gap (S2), as if an SCA had covered
    every visit. Deductibles and maxima count this course's visits since the plan year began; other
    claims of the member are not counted, so member shares are upper bounds early in the year.

    """
    courses, visits = _find_courses(exports, as_of, gaps)
    return _cost(exports, as_of, courses, visits, collection or Collection(), rate_share)


def summarize_specialties(courses: pd.DataFrame) -> pd.DataFrame:
    """Return courses, visits and costs by specialty; only costed courses count in the costs.

    Returns
    -------
    DataFrame
        specialty, courses, costed, visits, billed and the nine cost columns of ``tables.COURSES``.

    """
    amounts = [c for c in courses.columns if c.startswith(_PARTS)]
    grouped = courses.assign(costed=courses["not_costed"].isna()).groupby("specialty", as_index=False)
    summary = grouped.agg(courses=("course_id", "count"), costed=("costed", "sum"), visits=("visits", "sum"))
    sums = grouped[["billed", *amounts]].sum(min_count=1)  # blank, not zero, where no course is costed
    sums = sums.astype(dict.fromkeys(["billed", *amounts], MONEY))  # Arrow's sums are too wide to be subtracted
    return summary.merge(sums, on="specialty", how="left", validate="1:1").sort_values(
        ["billed", "specialty"], ascending=[False, True], ignore_index=True
    )


def range_specialties(exports: Exports, as_of: date) -> pd.DataFrame:
    """Return what SCAs would change for plan and members by specialty, as P10, P50 and P90.

    Returns
    -------
    DataFrame
        specialty, courses, costed, billed, and plan_change and member_change at p10, p50 and p90:
        SCA less OON. [USD, exact]; the specialty "all" last.

    Notes
    -----
    Where no rate was agreed, it is uniform between the in-network rate and the usual charge, at the
    same point for all courses. The totals rise with the rate, so their percentiles are the totals
    at 10%, 50% and 90% of the way. Rates that move apart from course to course would give a narrower
    range; the assumption errs on the wide side.

    """
    parts = []
    found, visits = _find_courses(exports, as_of, None)
    for percent in (10, 50, 90):
        courses = _cost(exports, as_of, found, visits, Collection(), Decimal(percent) / 100)
        everything = pd.concat(
            [summarize_specialties(courses), summarize_specialties(courses.assign(specialty="all"))], ignore_index=True
        )
        for party, total in (("plan", "plan_paid"), ("member", "member_total")):
            change = everything[f"{total}_sca"] - everything[f"{total}_out_of_network"]
            parts.append(change.rename(f"{party}_change_p{percent}"))
    named = everything[["specialty", "courses", "costed", "billed"]]
    return pd.concat([named, *sorted(parts, key=lambda p: str(p.name).startswith("member"))], axis=1)


def rate_procedures(exports: Exports, as_of: date) -> pd.DataFrame:
    """Return the fees of the procedures billed OON in the twelve months, each as a percentage of Medicare's.

    Returns
    -------
    DataFrame
        procedure_code, lines, billed [USD], medicare_rate, then in_network_rate, out_of_network_allowed
        and usual_charge, each [USD a unit] with its percent_of_medicare [%]; most billed first. Blank
        where the fee table says nothing.

    """
    lines = _oon_lines(exports, *window(as_of))
    billed = to_pandas(lines.group_by("procedure_code").agg(lines=nw.len(), billed=nw.col("billed_amount").sum()))
    fees = exports.frame("fees")
    fees = fees[fees["locality"].isna()].drop(columns="locality")
    table = billed.merge(fees, on="procedure_code", how="left", validate="1:1")
    for rate in ("in_network_rate", "out_of_network_allowed", "usual_charge"):
        pairs = zip(table[rate], table["medicare_rate"], strict=True)
        percent = [None if pd.isna(r) or pd.isna(m) else percent_of_medicare(r, m) for r, m in pairs]
        table.insert(table.columns.get_loc(rate) + 1, f"{rate}_percent_of_medicare", percent)
    return table.sort_values(["billed", "procedure_code"], ascending=[False, True], ignore_index=True)


def gather_visits(exports: Exports, as_of: date, gaps: Gaps | None = None) -> Gathered:
    """Return the OON courses of the twelve months with their visits and benefits, not yet costed."""
    courses, visits = _find_courses(exports, as_of, gaps)
    benefits = exports.frame("benefits")
    visits = _assign_benefits(visits, benefits, window(as_of)[0]).reset_index(drop=True)
    return Gathered(courses, visits, benefits, _why_not_costed(visits, benefits, "benefits" in exports.missing))


def list_lines(exports: Exports, as_of: date, first: date | None = None) -> pd.DataFrame:
    """Return the claim lines behind the courses of the twelve months, with what they are rated at.

    Parameters
    ----------
    exports : Exports
    as_of : date
    first : date, optional
        First day, where it is not that of the twelve months.

    Returns
    -------
    DataFrame
        member_id, provider_npi, service_date, procedure_code, units [1], billed_amount [USD], then rates of a
        unit as in ``tables.FEES`` and ``claimed``, what the claim allows the line (a denied one nothing) [USD];
        blank where it is not known. In order of course, day and procedure.

    """
    lines = _rate_lines(exports, first or window(as_of)[0], as_of)
    rates = ("in_network_rate", "medicare_rate", "out_of_network_allowed", "usual_charge", "claimed")
    listed = [*COURSE, "service_date", "procedure_code", "units", "billed_amount", *rates]
    return to_pandas(lines.select(*listed).sort(*COURSE, "service_date", "procedure_code", "billed_amount"))


def as_cases(visits: pd.DataFrame, benefits: pd.DataFrame, collection: Collection) -> tuple[costs.Cases, pd.DataFrame]:
    """Return visits as the arrays that ``costs`` takes: one row for each course, benefits and plan year.

    Parameters
    ----------
    visits : DataFrame
        As ``Gathered.visits``, those of costed courses alone; at least one.
    benefits : DataFrame
    collection : Collection

    Returns
    -------
    Cases
    DataFrame
        ``case`` and ``place``: the row and the column of each visit, in the order of ``visits``.

    """
    group = visits.groupby(_CASE, sort=True)
    at = group.ngroup().to_numpy(), group.cumcount().to_numpy()
    return _as_cases(visits, benefits, at, collection), pd.DataFrame({"case": at[0], "place": at[1]})


def tell_oon_benefits(exports: Exports, networks: pd.Series, day: date) -> pd.Series:
    """Return for each network whether the plan has OON benefits on a day; NA where no benefits are known."""
    benefits = exports.frame("benefits")
    days = pd.DataFrame({"network_id": networks.to_numpy(dtype=object), "service_date": pd.Timestamp(day)})
    row, _ = find_benefits(days, benefits)
    flags = np.append(_has_oon(benefits), False)[row.to_numpy()]
    return pd.Series(flags, index=networks.index, dtype="boolean").where((row >= 0).to_numpy())


def _find_courses(exports: Exports, as_of: date, gaps: Gaps | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the courses of the twelve months, without costs, and their visits, earlier ones included."""
    first, last = window(as_of)
    approved = _approved(exports, window(first)[0], last)
    visits = _find_visits(exports, approved, _begin_history(approved, first), last)
    in_window = visits["service_date"] >= pd.Timestamp(first)
    courses = _describe(exports, visits[in_window], gaps)
    courses["sca_rate_basis"] = np.where(_has_agreement(courses, approved, first), "agreed_rate", "usual_charge")
    mine = courses[[*COURSE, "course_id", "sca_rate_basis"]]
    visits = visits.merge(mine, on=COURSE, how="inner", validate="m:1")
    visits["covered"] = _cover(visits, approved)
    return courses, visits


def _cost(
    exports: Exports,
    as_of: date,
    courses: pd.DataFrame,
    visits: pd.DataFrame,
    collection: Collection,
    rate_share: Decimal,
) -> pd.DataFrame:
    """Return the courses with their costs."""
    first, _ = window(as_of)
    costed = _split(exports, visits.assign(sca_allowed=_between(visits, rate_share)), first, collection)
    return courses.merge(costed, on="course_id", how="left", validate="1:1")[list(COURSES.names)]


def _between(visits: pd.DataFrame, share: Decimal) -> pd.Series:
    """Return the SCA amounts with the rate ``share`` of the way up from the in-network rate, where none was agreed."""
    low, high = visits["in_network_allowed"], visits["sca_allowed"]
    moves = (visits["sca_rate_basis"] == "usual_charge") & (low < high).fillna(False)
    if share == 1 or not moves.any():
        return high
    from_, to = cents(low[moves]), cents(high[moves])
    part = costs.scale(share, 6, "rate share")
    moved = money(from_ + ((to - from_) * part + costs.MILLION // 2) // costs.MILLION)
    between = high.copy()
    between[moves] = moved.to_numpy()
    return between


def _approved(exports: Exports, first: date, last: date) -> pd.DataFrame:
    """Return the approved agreements with a rate that were in force on some day of a period."""
    return to_pandas(
        exports.table("agreements")
        .filter(
            nw.col("decision") == "approved",
            ~nw.col("agreed_rate").is_null(),
            nw.col("effective_date").is_null() | (nw.col("effective_date") <= last),
            nw.col("expiry_date").is_null() | (nw.col("expiry_date") >= first),
        )
        .select(*COURSE, "case_id", "sessions_authorized", "effective_date", "expiry_date")
        .sort("case_id")
    )


def _begin_history(approved: pd.DataFrame, first: date) -> date:
    """Return the day from which visits count: towards accumulators a year back, or towards sessions."""
    limited = approved["sessions_authorized"].notna()
    begun = approved.loc[limited, "effective_date"].fillna(pd.Timestamp(1900, 1, 1)).min()
    plan_year = window(first)[0]
    return plan_year if pd.isna(begun) else min(plan_year, begun.date())


def _oon_lines(exports: Exports, first: date, last: date) -> nw.LazyFrame[Any]:
    """Return the OON claim lines of a period without reversed ones, denied ones included."""
    return visit_lines(exports, first, last).filter(nw.col("is_out_of_network"))


def _rate_lines(exports: Exports, first: date, last: date) -> nw.LazyFrame[Any]:
    """Return the OON claim lines of a period with the fees of their procedures and what the claim allows."""
    fees = exports.table("fees").filter(nw.col("locality").is_null()).drop("locality")
    claimed = nw.when(nw.col("claim_status") == "denied").then(nw.lit(0)).otherwise(nw.col("allowed_amount"))
    lines = _oon_lines(exports, first, last).join(fees, on="procedure_code", how="left")
    return lines.with_columns(claimed=claimed)


def _find_visits(exports: Exports, approved: pd.DataFrame, first: date, last: date) -> pd.DataFrame:
    """Return the OON visits of a period with billed and allowed amounts of each arrangement."""
    cases = approved["case_id"].tolist()  # the same ones whenever the days are the same
    rows = exports.store.keep(f"oon_visits {first} {last}", partial(_sum_visits, exports, cases, first, last))
    return to_pandas(rows.sort(*COURSE, "service_date"))


def _sum_visits(exports: Exports, cases: list[str], first: date, last: date) -> nw.LazyFrame[Any]:
    """Return one row an OON visit of a period."""
    lines = _join_agreements(exports, _rate_lines(exports, first, last), cases)
    billed, units = nw.col("billed_amount"), nw.col("units")
    rated = {
        "in_network_allowed": at_rate("in_network_rate"),
        "out_of_network_allowed": nw.coalesce("claimed", at_rate("out_of_network_allowed")),
        "sca_allowed": nw.coalesce(at_rate("agreed_rate"), at_rate("usual_charge"), billed),
    }
    lines = lines.with_columns(
        # lesser of billed and rate x units, rounded half up; a blank rate stays blank
        **{
            n: nw.when(rate < billed).then(half_up(rate)).when(rate >= billed).then(billed).cast(nw.Decimal(18, 2))
            for n, rate in rated.items()
        },
        is_unusable=(units <= 0)
        | (billed < 0)
        | nw.any_horizontal(*(r < 0 for r in rated.values()), ignore_nulls=True),
    )
    return lines.group_by(*COURSE, "service_date").agg(
        billed=billed.sum(),
        **{n: nw.col(n).sum() for n in _ALLOWED},
        **{f"unrated_{n}": nw.when(nw.col(n).is_null()).then(nw.col("procedure_code")).min() for n in _ALLOWED},
        is_unusable=nw.col("is_unusable").any(),
        taxonomy_code=nw.col("taxonomy_code").max(),
        network_id=nw.col("network_id").max(),
        case_id=nw.col("case_id").max(),
    )


def _join_agreements(exports: Exports, lines: nw.LazyFrame[Any], cases: list[str]) -> nw.LazyFrame[Any]:
    """Add the agreement in force on the day of each line, and its rate where it names the procedure or none.

    Of several in force, one that names the procedure comes first, then the one that began last.
    """
    service = [*COURSE, "service_date", "procedure_code"]
    terms = (
        exports.table("agreements")
        .filter(nw.col("case_id").is_in(cases))
        .select(*COURSE, "case_id", "agreed_rate", "effective_date", "expiry_date", agreed_procedure="procedure_code")
    )
    in_force = (
        exports.table("claims")
        .select(*service)
        .join(terms, on=COURSE, how="inner")
        .filter(in_span(nw.col("service_date"), "effective_date", "expiry_date"))
        .with_columns(
            fit=nw.when(nw.col("agreed_procedure") == nw.col("procedure_code"))
            .then(nw.lit(2))
            .when(nw.col("agreed_procedure").is_null())
            .then(nw.lit(1))
            .otherwise(nw.lit(0))
        )
        .unique(service, keep="last", order_by=["fit", "effective_date", "case_id"])
        .select(*service, "case_id", agreed_rate=nw.when(nw.col("fit") > 0).then(nw.col("agreed_rate")))
    )
    return lines.join(in_force, on=service, how="left")


def _has_agreement(courses: pd.DataFrame, approved: pd.DataFrame, first: date) -> npt.NDArray[np.bool_]:
    """Tell which courses had an approved agreement in force on some day of the twelve months."""
    recent = approved[approved["expiry_date"].isna() | (approved["expiry_date"] >= pd.Timestamp(first))]
    pairs = set(recent[COURSE].itertuples(index=False, name=None))
    return np.array([pair in pairs for pair in courses[COURSE].itertuples(index=False, name=None)], dtype=np.bool_)


def _describe(exports: Exports, visits: pd.DataFrame, gaps: Gaps | None) -> pd.DataFrame:
    """Return one row a course: who, where, when, how often, how much billed."""
    grouped = visits.groupby(COURSE, as_index=False, sort=True)
    courses = grouped.agg(
        first_visit_date=("service_date", "min"),
        last_visit_date=("service_date", "max"),
        visits=("service_date", "count"),
        taxonomy_code=("taxonomy_code", "max"),
        network_id=("network_id", "last"),
    ).merge(grouped[["billed"]].sum(), on=COURSE, how="left", validate="1:1")
    courses["specialty"] = specialty_of(courses.pop("taxonomy_code")).fillna("not in the standard")
    last_visits = courses[["member_id"]].assign(day=courses["last_visit_date"])
    courses["county_fips"] = homes_on(exports, last_visits)["county_fips"]
    status = {} if gaps is None else gaps.table.set_index(["county_fips", "specialty"])["status"].to_dict()
    courses["gap_status"] = [status.get(k) for k in zip(courses["county_fips"], courses["specialty"], strict=True)]
    courses = courses.sort_values(["billed", *COURSE], ascending=[False, True, True], ignore_index=True)
    courses["course_id"] = [f"C{n:05d}" for n in range(1, len(courses) + 1)]
    return courses


def _split(exports: Exports, visits: pd.DataFrame, first: date, collection: Collection) -> pd.DataFrame:
    """Return the nine cost columns of each course, or why there are none."""
    benefits = exports.frame("benefits")
    visits = _assign_benefits(visits, benefits, first)
    reasons = _why_not_costed(visits, benefits, "benefits" in exports.missing)
    visits = visits[~visits["course_id"].isin(reasons.index)].reset_index(drop=True)
    uncosted = reasons.rename("not_costed").rename_axis("course_id").reset_index()
    columns = [f"{part}_{a}" for part in _PARTS for a in costs.ARRANGEMENTS]
    if visits.empty:
        return uncosted.reindex(columns=["course_id", *columns, "not_costed"])
    group = visits.groupby(_CASE, sort=True)
    at = group.ngroup().to_numpy(), group.cumcount().to_numpy()
    cases = _as_cases(visits, benefits, at, collection)
    inside = _by_visit(at, visits["in_window"].to_numpy())
    course_of = group["course_id"].first().to_numpy()
    dollars: dict[str, pd.Series] = {}
    for arrangement, split in costs.compare_arrangements(cases).items():
        part = costs.select_visits(cases, split, inside)
        parts = {"plan": part.plan_paid, "share": part.member_cost_share, "bill": part.balance_bill}
        summed = pd.DataFrame({n: p.sum(axis=1) for n, p in parts.items()}).groupby(course_of).sum()
        dollars[f"plan_paid_{arrangement}"] = money(summed["plan"].to_numpy())
        dollars[f"member_total_{arrangement}"] = money((summed["share"] + summed["bill"]).to_numpy())
        dollars[f"provider_net_{arrangement}"] = money(_net(summed, collection))
    costed = pd.DataFrame(dollars)[columns].assign(course_id=np.unique(course_of))
    return pd.concat([costed, uncosted], ignore_index=True)


def _assign_benefits(visits: pd.DataFrame, benefits: pd.DataFrame, first: date) -> pd.DataFrame:
    """Add the benefits and plan year of each visit; a plan year without a visit in the twelve months is left out."""
    row, plan_year = find_benefits(visits, benefits)
    in_window = visits["service_date"] >= pd.Timestamp(first)
    visits = visits.assign(benefits_row=row, plan_year=plan_year, in_window=in_window)
    return visits[in_window.groupby([visits[c] for c in _CASE]).transform("any")]


def _net(summed: pd.DataFrame, collection: Collection) -> npt.NDArray[np.int64]:
    """Return what reaches the provider of each course, rounded half up once [cents]."""
    share, bill = (costs.scale(c, 6, "collection rate") for c in (collection.cost_share, collection.balance_bill))
    # Python integers: a total times ppm may not fit 64 bits
    collected = summed["share"].astype(object) * share + summed["bill"].astype(object) * bill
    rounded = (collected + costs.MILLION // 2) // costs.MILLION
    net: npt.NDArray[np.int64] = summed["plan"].to_numpy() + rounded.to_numpy(dtype=np.int64)
    return net


def find_benefits(visits: pd.DataFrame, benefits: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Return the row of ``benefits`` for each visit (-1 = none) and the plan year it lies in.

    A row of the member's network and the visit's plan year comes first, then one with a blank
    plan year, then those with a blank network. The plan year is reckoned from each row's start.
    """
    dates = visits["service_date"].to_numpy(dtype="datetime64[D]")
    networks = visits["network_id"].to_numpy(dtype=object, na_value=None)
    found = np.full(len(visits), -1, dtype=np.int64)
    years = costs.plan_years(dates, np.array(101))
    # from the least to the most fitting row, so that the last to fit counts
    for row in benefits.sort_values(["network_id", "plan_year"], na_position="first").itertuples():
        year = costs.plan_years(dates, np.array(int(row.plan_year_start.replace("-", ""))))
        fits = (networks == row.network_id) | pd.isna(row.network_id)
        if pd.notna(row.plan_year):
            fits &= year == row.plan_year
        found[fits], years[fits] = row.Index, year[fits]
    return pd.Series(found, index=visits.index), pd.Series(years, index=visits.index)


def _why_not_costed(visits: pd.DataFrame, benefits: pd.DataFrame, no_file: bool) -> pd.Series:
    """Return a reason by course_id for the courses that cannot be costed; the last found counts."""
    row = visits["benefits_row"].to_numpy()
    has_oon = np.append(_has_oon(benefits), True)[row]  # row -1, none, takes what is appended
    lacking = pd.Series(pd.NA, index=visits.index, dtype="string")
    for tier, words, amount, is_needed in (
        ("in_network", "in-network", "rate", True),
        ("out_of_network", "OON", "allowed amount", has_oon),
    ):
        procedure = visits[f"unrated_{tier}_allowed"]
        no_rate = procedure.notna() & is_needed
        lacking[no_rate] = f"no {words} {amount} for procedure " + procedure[no_rate].astype("string")
        no_share = benefits[[f"{tier}_coinsurance", f"{tier}_copay"]].isna().all(axis=1).to_numpy(dtype=np.bool_)
        lacking[np.append(no_share, False)[row] & is_needed] = f"no {words} coinsurance or copay in benefits"
    lacking[visits["is_unusable"]] = "a line has a negative amount, or units that are not above zero"
    lacking[row < 0] = (
        "no benefits in these exports" if no_file else "no benefits for the member's network and plan year"
    )
    return lacking.dropna().groupby(visits["course_id"]).first()


def _has_oon(benefits: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Tell which rows have OON benefits: any OON column filled, but for the flag, which has a default."""
    out = [c for c in benefits.columns if c.startswith("out_of_network") and not c.endswith("deductible_applies")]
    flags: npt.NDArray[np.bool_] = benefits[out].notna().any(axis=1).to_numpy(dtype=np.bool_)
    return flags


def _cover(visits: pd.DataFrame, approved: pd.DataFrame) -> pd.Series:
    """Tell which visits an agreement covers; in a course without one, as if an SCA covered all."""
    limits = approved.set_index("case_id")["sessions_authorized"]
    sessions = limits.reindex(visits["case_id"]).fillna(costs.NO_LIMIT).to_numpy(dtype=np.int64)
    number = visits.groupby([*COURSE, "case_id"]).cumcount()
    is_within = visits["case_id"].notna() & (number < sessions)
    return (visits["sca_rate_basis"] == "usual_charge") | is_within


def _as_cases(
    visits: pd.DataFrame,
    benefits: pd.DataFrame,
    at: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    collection: Collection,
) -> costs.Cases:
    """Return the visits as arrays of cases; ``at`` is the case and place of each visit."""
    case, place = at
    first = np.flatnonzero(place == 0)[np.argsort(case[place == 0])]
    mine = benefits.iloc[visits["benefits_row"].to_numpy()[first]]
    n = len(first)

    def share(value: Decimal) -> npt.NDArray[np.int64]:
        return np.full(n, costs.scale(value, 6, "collection rate"), dtype=np.int64)

    return costs.Cases(
        visit=_by_visit(at, np.ones(len(visits), dtype=np.bool_)),
        plan_year=_by_visit(at, visits["plan_year"].to_numpy()),
        covered=_by_visit(at, visits["covered"].to_numpy()),
        units=_by_visit(at, np.full(len(visits), costs.THOUSAND)),
        billed=_by_visit(at, cents(visits["billed"])),
        in_network_allowed=_by_visit(at, cents(visits["in_network_allowed"])),
        out_of_network_allowed=_by_visit(at, cents(visits["out_of_network_allowed"])),
        sca_allowed=_by_visit(at, cents(visits["sca_allowed"])),
        in_network=_as_tier(mine, "in_network"),
        out_of_network=_as_tier(mine, "out_of_network"),
        has_out_of_network=_has_oon(mine),
        cost_share_collected=share(collection.cost_share),
        balance_bill_collected=share(collection.balance_bill),
        charge=np.zeros(n, dtype=np.int64),
    )


def _as_tier(benefits: pd.DataFrame, tier: str) -> costs.Tier:
    """Return one tier of the benefits as arrays; blank amounts are none, a blank maximum no limit."""

    def amount(column: str) -> npt.NDArray[np.int64]:
        return cents(benefits[f"{tier}_{column}"].fillna(Decimal(0)))

    most = benefits[f"{tier}_out_of_pocket_max"].isna().to_numpy()
    nothing = np.zeros(len(benefits), dtype=np.int64)
    return costs.Tier(
        deductible=amount("deductible"),
        coinsurance=np.array(
            [0 if pd.isna(r) else costs.scale(Decimal(r), 6, "coinsurance") for r in benefits[f"{tier}_coinsurance"]],
            dtype=np.int64,
        ),
        copay=amount("copay"),
        has_copay=benefits[f"{tier}_copay"].notna().to_numpy(),
        deductible_applies=benefits[f"{tier}_deductible_applies"].fillna(True).to_numpy(dtype=np.bool_),
        out_of_pocket_max=np.where(most, costs.NO_LIMIT, amount("out_of_pocket_max")),
        deductible_used=nothing,
        out_of_pocket_used=nothing,
    )


def _by_visit(at: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]], values: npt.NDArray[np.generic]) -> np.ndarray:
    """Return values of visits as an array (cases, visits), zero where there is no visit."""
    case, place = at
    array = np.zeros((case.max() + 1, place.max() + 1), dtype=values.dtype)
    array[at] = values
    return array
