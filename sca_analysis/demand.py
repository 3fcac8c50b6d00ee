"""Who goes out of network, where and at what cost.

In: claim lines of the twelve months to a day, members and the gap table. Out: visits, patients and
money by county and specialty; failing cells of the gap table ranked by them. Claims are
added up in the engine: what comes to pandas grows with places, not with claims.
"""

from datetime import date
from typing import Any

import narwhals as nw
import pandas as pd

from sca_analysis import places
from sca_analysis.amounts import MONEY
from sca_analysis.claims import count_if, visit_lines, window
from sca_analysis.exports import Exports, to_pandas
from sca_analysis.network import locate
from sca_analysis.standards import load_counties, load_taxonomy
from sca_analysis.tables import DEMAND

#: How `rank_gaps` ranks, in words for a report.
RANKING = "patients who went out of network, then the amount billed out of network, then members of the county"
VISIT = ["member_id", "provider_npi", "service_date"]
_HOME = ["county_fips", "zip", "latitude", "longitude"]
COUNTS = ["patients", "out_of_network_patients", "visits", "out_of_network_visits"]
_AMOUNTS = ["billed", "out_of_network_billed", "out_of_network_paid"]
_OUTSIDE = "not in the standard"


def measure_demand(exports: Exports, as_of: date) -> pd.DataFrame:
    """Return patients, visits and money in and out of network by county and specialty.

    Parameters
    ----------
    exports : Exports
    as_of : date
        Last day of the twelve months.

    Returns
    -------
    DataFrame
        Columns of ``tables.DEMAND``, sorted by them; money exact [USD].

    Notes
    -----
    A visit is a member with a provider on a day; reversed lines are left out and denied ones kept,
    as in ``courses.cost_courses``. It is OON where one of its lines is, and its specialty is that of
    the last in order of the taxonomy codes of its lines. A member counts for one county, the home
    at the last visit of the twelve months, also with visits from an earlier home. Members
    without a known home are in rows with a blank county, so that visits and money add up.

    """
    first, last = window(as_of)
    is_out, billed, paid = (nw.col(c) for c in ("is_out_of_network", "billed_amount", "paid_amount"))
    visits = (
        visit_lines(exports, first, last)
        .group_by(*VISIT)
        .agg(
            taxonomy_code=nw.col("taxonomy_code").max(),
            is_out_of_network=is_out.any(),
            billed=billed.sum(),
            out_of_network_billed=nw.when(is_out).then(billed).sum(),
            out_of_network_paid=nw.when(is_out).then(paid).sum(),
            known=nw.when(is_out).then(paid).count(),
        )
    )
    sums = [*_AMOUNTS, "known"]
    patients = (
        visits.with_columns(specialty=_specialty())
        .group_by("member_id", "specialty")
        .agg(visits=nw.len(), out_of_network_visits=count_if(is_out), **{c: nw.col(c).sum() for c in sums})
    )
    grouped = to_pandas(
        patients.join(_last_homes(exports, first, last), on="member_id", how="left")
        .group_by(*_HOME, "specialty")
        .agg(
            patients=nw.len(),
            out_of_network_patients=count_if(nw.col("out_of_network_visits") > 0),
            **{c: nw.col(c).sum() for c in ("visits", "out_of_network_visits", *sums)},
        )
    ).astype(dict.fromkeys([*COUNTS, "known"], "Int64") | dict.fromkeys(_AMOUNTS, MONEY))
    grouped["county_fips"] = locate(grouped)["county_fips"]
    cells = grouped.groupby(["county_fips", "specialty"], dropna=False, as_index=False)
    table = cells[[*COUNTS, *_AMOUNTS, "known"]].sum()
    table = table.astype(dict.fromkeys(_AMOUNTS, MONEY))  # Arrow's sums are wider
    table["out_of_network_paid"] = table["out_of_network_paid"].where(table["known"] > 0)
    table["out_of_network_billed"] = table["out_of_network_billed"].fillna(0)
    table["share_of_visits"] = share_of(table["out_of_network_visits"], table["visits"])
    counties = load_counties(exports.overrides("counties")).set_index("county_fips")
    names = (counties["county_name"] + ", " + counties["state"]).astype("string")
    table["county"] = table["county_fips"].map(names).astype("string")
    return table.sort_values(["county_fips", "specialty"], ignore_index=True)[list(DEMAND.names)]


def count_without_county(demand: pd.DataFrame) -> int:
    """Return the visits of a table of `measure_demand` that are in no county [visits]."""
    return int(demand.loc[demand["county_fips"].isna(), "visits"].sum())


def rank_gaps(gaps: pd.DataFrame, demand: pd.DataFrame) -> pd.DataFrame:
    """Return the cells of a gap table that fail, with their demand, most affected first.

    The order is that of ``RANKING``, then county and specialty. A patient is affected who went OON for
    a specialty that the network lacks at home; those who went nowhere are in no claims.

    Parameters
    ----------
    gaps : DataFrame
        Columns of ``tables.GAPS``.
    demand : DataFrame
        Of the same exports and day, as from `measure_demand`.

    Returns
    -------
    DataFrame
        county_fips, county, specialty, status and members of ``gaps``, then the counts, share and
        amounts of ``tables.DEMAND``. A cell without claims stays, with zeros; its share of visits
        and its amount paid are blank.

    """
    key = ["county_fips", "specialty"]
    failing = gaps.loc[gaps["status"] != "met", ["county_fips", "county", "specialty", "status", "members"]]
    ranked = failing.astype({"county_fips": "string"}).merge(
        demand[demand["county_fips"].notna()].drop(columns="county"), on=key, how="left", validate="1:1"
    )
    zeros = dict.fromkeys([*COUNTS, "billed", "out_of_network_billed"], 0)
    ranked = ranked.fillna(zeros).astype(dict.fromkeys(COUNTS, "Int64") | dict.fromkeys(_AMOUNTS, MONEY))
    by = ["out_of_network_patients", "out_of_network_billed", "members"]
    return ranked.sort_values([*by, *key], ascending=[False, False, False, True, True], ignore_index=True)


def describe_demand(ranked: pd.DataFrame, demand: pd.DataFrame, as_of: date, least: int) -> str:
    """Say in plain words how far members of failing cells go out of network, and where most.

    Parameters
    ----------
    ranked, demand : DataFrame
        As from `rank_gaps` and `measure_demand`.
    as_of : date
        Last day of their twelve months.
    least : int
        Counts of members from 1 to one less are not shown, nor the figures beside them.

    """
    period = say_period(as_of)
    if ranked.empty:
        return f"No county and specialty fails the standard, so no out-of-network visits of {period} lie in a gap."
    out = ranked[ranked["out_of_network_visits"] > 0]
    cells = f"the {len(ranked):,} county-specialty cells that fail the standard"
    if out.empty:
        return f"In {period}, no patient of {cells} went out of network for that specialty."
    if out["out_of_network_patients"].max() < least:
        return (
            f"In {period}, patients went out of network in {len(out):,} of {cells}, in each of them fewer than "
            f"{least}: figures withheld."
        )
    visits, everywhere = (int(t["out_of_network_visits"].sum()) for t in (out, demand))
    lost = count_without_county(demand)
    worst = out[out["out_of_network_patients"] >= least].head(3)
    named = "; ".join(
        f"{r['specialty']} in {r['county']} ({say_part(r, least)} patients, ${r['out_of_network_billed']:,.2f})"
        for _, r in worst.iterrows()
    )
    return (
        f"{visits:,} of the plan's {everywhere:,} out-of-network visits of {period} ({visits / everywhere:.1%}), "
        f"${sum(out['out_of_network_billed']):,.2f} billed, were those of patients in {len(out):,} of {cells}"
        + (f"; {lost:,} visit{'s' if lost > 1 else ''} of patients without a known county in no cell" if lost else "")
        + f". Ranked by {RANKING}, first: {named}."
    )


def _specialty() -> nw.Expr:
    """Return the specialty that a taxonomy code counts for, as ``standards.specialty_of``, but in the engine."""
    taxonomy = load_taxonomy().dropna(subset="specialty")
    return nw.coalesce(
        *(
            nw.when(nw.col("taxonomy_code").is_in(codes.tolist())).then(nw.lit(specialty))
            for specialty, codes in taxonomy.groupby("specialty")["taxonomy_code"]
        ),
        nw.lit(_OUTSIDE),
    )


def _last_homes(exports: Exports, first: date, last: date) -> nw.LazyFrame[Any]:
    """Return the home of each member at the last visit of a period: what of it tells the county, the rest blank.

    The coverage span counts that began last up to the day or, where none had begun, the first. Blanks
    keep the rows few: coordinates are kept only where neither the span nor its ZIP names a county.
    """
    visits = exports.table("claims").filter(
        nw.col("service_date").is_between(first, last), nw.col("claim_status").fill_null("paid") != "reversed"
    )
    members = exports.table("members")
    spans = members.select("member_id", *_HOME, "effective_date", "network_id").join(
        visits.group_by("member_id").agg(day=nw.col("service_date").max()), on="member_id", how="inner"
    )
    has_begun = nw.col("effective_date").is_null() | (nw.col("effective_date") <= nw.col("day"))
    order = ["effective_date", "network_id", "zip", "county_fips", "latitude", "longitude"]
    begun = spans.filter(has_begun).unique(["member_id"], keep="last", order_by=order)
    later = spans.filter(~has_begun).unique(["member_id"], keep="first", order_by=order)
    homes = nw.concat([begun, later.join(begun.select("member_id"), on="member_id", how="anti")])
    zips = to_pandas(members.select("zip").unique())["zip"].dropna()
    lost = zips[places.locate_zips(zips)["county_fips"].isna()].tolist()
    no_county = nw.col("county_fips").is_null()
    no_zip = no_county & (nw.col("zip").is_null() | nw.col("zip").is_in(["", *lost]))
    return homes.select(
        "member_id",
        "county_fips",
        zip=nw.when(no_county).then(nw.col("zip")),
        latitude=nw.when(no_zip).then(nw.col("latitude")),
        longitude=nw.when(no_zip).then(nw.col("longitude")),
    )


def share_of(part: pd.Series, whole: pd.Series) -> pd.Series:
    """Return a share, 0-1, blank where there is nothing to share."""
    return (part / whole.where(whole > 0)).astype("Float64")


def say_period(as_of: date) -> str:
    """Return the twelve months to a day in words."""
    first, last = window(as_of)
    return f"the twelve months from {first} to {last}"


def is_shown(row: "pd.Series[Any]", least: int) -> bool:
    """Tell whether neither those OON nor the others are so few that the figure would point at them."""
    part, whole = int(row["out_of_network_patients"]), int(row["patients"])
    return not (0 < part < least or 0 < whole - part < least)


def say_part(row: "pd.Series[Any]", least: int) -> str:
    """Return patients OON of all patients in words that are fit to be shared."""
    part, whole = int(row["out_of_network_patients"]), int(row["patients"])
    if 0 < whole < least:
        return f"some of fewer than {least}"
    if 0 < part < least:
        return f"fewer than {least} of {whole:,}"
    if 0 < whole - part < least:
        return f"all but fewer than {least} of {whole:,}"
    return f"{part:,} of {whole:,}"
