"""Out-of-network courses of treatment, and what each costs under the three arrangements.

In: claim lines of the twelve months to a day, fees, benefits, agreements and the gap table. Out:
one row a course (a member with an OON provider), in-network, OON and SCA side by side.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import narwhals as nw
import numpy as np
import numpy.typing as npt
import pandas as pd

from sca_analysis import costs
from sca_analysis.amounts import cents, money
from sca_analysis.claims import service_lines, window
from sca_analysis.exports import Exports, to_pandas
from sca_analysis.gaps import Gaps, last_homes
from sca_analysis.standards import specialty_of
from sca_analysis.tables import COURSES

COURSE = ["member_id", "provider_npi"]
_ALLOWED = ("in_network_allowed", "out_of_network_allowed", "sca_allowed")
_PARTS = ("plan_paid", "member_total", "provider_net")


@dataclass(frozen=True)
class Collection:
    """What a provider collects of what members owe, as shares (0-1); all of it unless said."""

    cost_share: Decimal = Decimal(1)
    balance_bill: Decimal = Decimal(1)


def cost_courses(
    exports: Exports, as_of: date, gaps: Gaps | None = None, collection: Collection | None = None
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

    Returns
    -------
    DataFrame
        Columns of ``tables.COURSES``, the largest billed amount first; money exact [USD].

    Notes
    -----
    A visit is a day with a service; reversed lines are left out, and a denied line is allowed
    nothing OON. OON allowed is the claim's or, where blank, that of ``fees``. The SCA rate is the
    agreed rate where an agreement was approved (its dates and sessions hold) and else the usual
    charge, the ceiling in a true gap (S2), as if an SCA had covered every visit. Deductibles and
    maxima count this course's visits since the plan year began; other claims of the member are
    not counted, so member shares are upper bounds early in the year.

    """
    first, last = window(as_of)
    visits = _find_visits(exports, window(first)[0], last)
    in_window = visits["service_date"] >= pd.Timestamp(first)
    courses = _describe(exports, visits[in_window], gaps)
    visits = visits.merge(courses[[*COURSE, "course_id"]], on=COURSE, how="inner", validate="m:1")
    costed = _split(exports, visits, first, collection or Collection())
    courses = courses.merge(costed, on="course_id", how="left", validate="1:1")
    return courses[list(COURSES.names)]


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
    sums = grouped[["billed", *amounts]].sum()
    return summary.merge(sums, on="specialty", how="left", validate="1:1").sort_values(
        ["billed", "specialty"], ascending=[False, True], ignore_index=True
    )


def _find_visits(exports: Exports, first: date, last: date) -> pd.DataFrame:
    """Return the OON visits of a period with billed and allowed amounts of each arrangement."""
    lines = service_lines(exports, first, last).filter(
        nw.col("is_out_of_network"), nw.col("claim_status") != "reversed"
    )
    fees = exports.table("fees").filter(nw.col("locality").is_null()).drop("locality")
    lines = lines.join(fees, on="procedure_code", how="left")
    lines = _join_agreements(exports, lines)
    billed, units = nw.col("billed_amount"), nw.col("units")
    claimed = nw.when(nw.col("claim_status") == "denied").then(nw.lit(0)).otherwise(nw.col("allowed_amount"))
    rated = {
        "in_network_allowed": nw.col("in_network_rate") * units,
        "out_of_network_allowed": nw.coalesce(claimed, nw.col("out_of_network_allowed") * units),
        "sca_allowed": nw.coalesce(nw.col("agreed_rate") * units, nw.col("usual_charge") * units, billed),
    }
    lines = lines.with_columns(
        # lesser of billed and rate x units, rounded half up; a blank rate stays blank
        **{
            n: nw.when(rate < billed).then(rate.round(2)).when(rate >= billed).then(billed).cast(nw.Decimal(18, 2))
            for n, rate in rated.items()
        }
    )
    visits = lines.group_by(*COURSE, "service_date").agg(
        billed=billed.sum(),
        units=units.sum(),
        **{n: nw.col(n).sum() for n in _ALLOWED},
        **{f"unrated_{n}": nw.col(n).is_null().sum() for n in _ALLOWED},
        unrated_procedure=nw.when(nw.col("in_network_allowed").is_null())
        .then(nw.col("procedure_code"))
        .otherwise(None)
        .min(),
        taxonomy_code=nw.col("taxonomy_code").max(),
        network_id=nw.col("network_id").max(),
        case_id=nw.col("case_id").max(),
    )
    return to_pandas(visits.sort(*COURSE, "service_date"))


def _join_agreements(exports: Exports, lines: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
    """Add the agreement of member and provider, and its rate where it names the procedure or none."""
    approved = _approved(exports).select(*COURSE, "case_id", "agreed_rate", agreed_procedure="procedure_code")
    joined = lines.join(approved, on=COURSE, how="left")
    agreed = nw.col("agreed_procedure").is_null() | (nw.col("agreed_procedure") == nw.col("procedure_code"))
    return joined.with_columns(agreed_rate=nw.when(agreed).then(nw.col("agreed_rate")))


def _approved(exports: Exports) -> nw.LazyFrame[Any]:
    """Return the approved agreement of each member and provider that began last."""
    return (
        exports.table("agreements")
        .filter(nw.col("decision") == "approved", ~nw.col("agreed_rate").is_null())
        .unique(COURSE, keep="last", order_by=["effective_date", "case_id"])
        .select(
            *COURSE,
            "case_id",
            "procedure_code",
            "agreed_rate",
            "sessions_authorized",
            "effective_date",
            "expiry_date",
        )
    )


def _describe(exports: Exports, visits: pd.DataFrame, gaps: Gaps | None) -> pd.DataFrame:
    """Return one row a course: who, where, when, how often, how much billed."""
    grouped = visits.groupby(COURSE, as_index=False, sort=True)
    courses = grouped.agg(
        first_visit_date=("service_date", "min"),
        last_visit_date=("service_date", "max"),
        visits=("service_date", "count"),
        taxonomy_code=("taxonomy_code", "max"),
        network_id=("network_id", "last"),
        case_id=("case_id", "last"),
    ).merge(grouped[["billed"]].sum(), on=COURSE, how="left", validate="1:1")
    courses["specialty"] = specialty_of(courses.pop("taxonomy_code")).fillna("not in the standard")
    courses["sca_rate_basis"] = np.where(courses.pop("case_id").isna(), "usual_charge", "agreed_rate")
    homes = last_homes(exports)[["member_id", "county_fips"]]
    courses = courses.merge(homes, on="member_id", how="left", validate="m:1")
    status = {} if gaps is None else gaps.table.set_index(["county_fips", "specialty"])["status"].to_dict()
    courses["gap_status"] = [status.get(k) for k in zip(courses["county_fips"], courses["specialty"], strict=True)]
    courses = courses.sort_values(["billed", *COURSE], ascending=[False, True, True], ignore_index=True)
    courses["course_id"] = [f"C{n:05d}" for n in range(1, len(courses) + 1)]
    return courses


def _split(exports: Exports, visits: pd.DataFrame, first: date, collection: Collection) -> pd.DataFrame:
    """Return the nine cost columns of each course, or why there are none."""
    benefits = exports.frame("benefits")
    visits["benefits_row"], visits["plan_year"] = _find_benefits(visits, benefits)
    reasons = _why_not_costed(visits, "benefits" in exports.missing)
    visits = visits[~visits["course_id"].isin(reasons.index)].reset_index(drop=True)
    uncosted = reasons.rename("not_costed").rename_axis("course_id").reset_index()
    columns = [f"{part}_{a}" for part in _PARTS for a in costs.ARRANGEMENTS]
    if visits.empty:
        return uncosted.reindex(columns=["course_id", *columns, "not_costed"])
    visits["covered"] = _cover(exports, visits)
    # a network and plan year is a case of its own: its benefits are its own, its accumulators begin at zero
    group = visits.groupby(["course_id", "benefits_row", "plan_year"], sort=True)
    at = group.ngroup().to_numpy(), group.cumcount().to_numpy()
    cases = _as_cases(visits, benefits, at, collection)
    inside = _by_visit(at, (visits["service_date"] >= pd.Timestamp(first)).to_numpy())
    totals: dict[str, npt.NDArray[np.int64]] = {}
    for arrangement, split in costs.compare_arrangements(cases).items():
        part = costs.select_visits(cases, split, inside)
        totals[f"plan_paid_{arrangement}"] = part.plan_paid.sum(axis=1)
        totals[f"member_total_{arrangement}"] = part.member_total
        totals[f"provider_net_{arrangement}"] = part.provider_net
    summed = pd.DataFrame(totals).groupby(group["course_id"].first().to_numpy()).sum()
    dollars = pd.DataFrame({n: money(summed[n].to_numpy()) for n in columns})
    dollars.insert(0, "course_id", summed.index)
    return pd.concat([dollars, uncosted], ignore_index=True)


def _find_benefits(visits: pd.DataFrame, benefits: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Return the row of ``benefits`` for each visit (-1 = none) and the plan year it lies in.

    A row of the member's network and the visit's plan year comes first, then one with a blank
    plan year, then those with a blank network.
    """
    rows = {
        (
            row.network_id if pd.notna(row.network_id) else None,
            row.plan_year if pd.notna(row.plan_year) else None,
        ): i
        for i, row in enumerate(benefits.itertuples(index=False))
    }
    starts = {k[0]: int(benefits["plan_year_start"].iloc[i].replace("-", "")) for k, i in reversed(rows.items())}
    networks = [n if pd.notna(n) else None for n in visits["network_id"]]
    start = np.array([starts.get(n, starts.get(None, 101)) for n in networks], dtype=np.int64)
    years = costs.plan_years(visits["service_date"].to_numpy(dtype="datetime64[D]"), start)
    found = [
        next((rows[k] for k in ((n, y), (n, None), (None, y), (None, None)) if k in rows), -1)
        for n, y in zip(networks, years.tolist(), strict=True)
    ]
    return pd.Series(found, index=visits.index, dtype="int64"), pd.Series(years, index=visits.index)


def _why_not_costed(visits: pd.DataFrame, no_file: bool) -> pd.Series:
    """Return a reason by course_id for the courses that cannot be costed."""
    lacking = pd.Series(pd.NA, index=visits.index, dtype="string")
    for column, words in (
        ("unrated_in_network_allowed", "in-network rate"),
        ("unrated_out_of_network_allowed", "OON allowed amount"),
    ):
        no_rate = visits[column] > 0
        lacking[no_rate] = f"no {words} for procedure " + visits.loc[no_rate, "unrated_procedure"].fillna("(blank)")
    lacking[visits["benefits_row"] < 0] = (
        "no benefits in these exports" if no_file else "no benefits for the member's network and plan year"
    )
    return lacking.dropna().groupby(visits["course_id"]).first()


def _cover(exports: Exports, visits: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Tell which visits the approved agreement covers; without one, as if an SCA covered all."""
    approved = to_pandas(_approved(exports))
    terms = visits.merge(approved, on=COURSE, how="left", validate="m:1").groupby("course_id", sort=True)
    at = terms.ngroup().to_numpy(), terms.cumcount().to_numpy()
    first = terms[["effective_date", "expiry_date", "sessions_authorized"]].first()
    sessions = first["sessions_authorized"].fillna(costs.NO_LIMIT).to_numpy(dtype=np.int64)
    dates = _by_visit(at, visits["service_date"].to_numpy(dtype="datetime64[D]"))
    covered = costs.cover_visits(
        _by_visit(at, np.ones(len(visits), dtype=np.bool_)),
        dates,
        first["effective_date"].to_numpy(dtype="datetime64[D]"),
        first["expiry_date"].to_numpy(dtype="datetime64[D]"),
        sessions,
    )
    flags: npt.NDArray[np.bool_] = covered[at]
    return flags


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

    out = [c for c in benefits.columns if c.startswith("out_of_network") and not c.endswith("deductible_applies")]
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
        has_out_of_network=mine[out].notna().any(axis=1).to_numpy(),
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
