"""Where are the gaps? Specialties without a usable in-network provider for the members of a county.

In: members covered on a date, the directory, claims of twelve months, and the time-and-distance
standard (42 CFR 422.116). Out: the gap table, one row a county and specialty of the standard,
also where nobody is listed. Members are grouped by place first, so cost grows with places.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import narwhals as nw
import numpy as np
import numpy.typing as npt
import pandas as pd

from sca_analysis import places
from sca_analysis.claims import in_span, window
from sca_analysis.exports import Exports, to_pandas
from sca_analysis.standards import load_counties, load_standards, required_providers, specialty_of
from sca_analysis.tables import GAPS

Flags = npt.NDArray[np.bool_]

STATUSES = ("met", "closed", "no_provider", "too_far", "too_few")
_VECTOR = ["x", "y", "z"]  # of a place on the unit sphere


@dataclass(frozen=True)
class Gaps:
    """The gap table and what it leaves out.

    Attributes
    ----------
    table : DataFrame
        Columns of ``tables.GAPS``, sorted by county and specialty.
    as_of : date
        Day on which members are covered and directory rows active.
    members : int
        Members covered on that day.
    members_not_placed : int
        Of those, members left out: their ZIP has no known place, or their county no type.
    rows_not_placed : int
        Active directory rows whose ZIP has no known place: listed, but in range of nobody.

    """

    table: pd.DataFrame
    as_of: date
    members: int
    members_not_placed: int
    rows_not_placed: int


def find_gaps(exports: Exports, as_of: date) -> Gaps:
    """Return the gap table of an exports folder on a day.

    Parameters
    ----------
    exports : Exports
    as_of : date
        Members covered and directory rows active on this day count; claims of the twelve months
        that end on it tell who was seen.

    Notes
    -----
    Distances are great circles between the coordinates given or, without them, the centres of
    ZIP codes. The minimum number of providers is providers_per_1000 x members of the county in
    these exports / 1,000, rounded up; CMS takes Medicare beneficiaries instead (422.116(e)).

    """
    counties = load_counties(exports.overrides("counties"))
    standard = load_standards(exports.overrides("standards"))
    members = place_members(exports, as_of)
    members = members.merge(counties, on="county_fips", how="left", validate="m:1")
    is_placed = members["county_type"].notna() & members["latitude"].notna()
    homes = members[is_placed].reset_index(drop=True)
    rows = active_rows(exports, as_of)
    rows["is_seen"] = rows["npi"].isin(seen_providers(exports, as_of))
    counted = [_count_row(*part) for part in _county_by_specialty(homes, rows, standard)]
    # a standard may set no minimum number, and there may be no nearest row: blanks, not floats
    table = pd.DataFrame(counted, columns=list(GAPS.names)).astype(
        {"required_providers": "Int64", "nearest_miles": "Float64"}
    )
    return Gaps(
        table=table,
        as_of=as_of,
        members=int(members["members"].sum()),
        members_not_placed=int(members.loc[~is_placed, "members"].sum()),
        rows_not_placed=int(rows["latitude"].isna().sum()),
    )


def place_members(exports: Exports, as_of: date) -> pd.DataFrame:
    """Return the members covered on a day, counted by place and network.

    Returns
    -------
    DataFrame
        latitude, longitude [degrees], x, y, z (unit sphere), county_fips, network_id, members; one
        row a place and network. A member with several spans on the day counts once, by the one that began last.
        Coordinates come from the export or else the centre of the ZIP; the county from the export
        or else the ZIP or else, without either, the ZIP nearest to the coordinates.

    """
    where = ["zip", "latitude", "longitude", "county_fips", "network_id"]
    grouped = to_pandas(
        exports.table("members")
        .filter(in_span(nw.lit(as_of), "effective_date", "termination_date"))
        .unique(["member_id"], keep="last", order_by=["effective_date", "network_id"])
        .group_by(*where)
        .agg(members=nw.len())
        .sort(*where)
    )
    return _locate(grouped).drop(columns="zip")


def last_homes(exports: Exports) -> pd.DataFrame:
    """Return member_id, place and county_fips of every member, by the coverage span that began last."""
    return _locate(
        to_pandas(
            exports.table("members")
            .unique(["member_id"], keep="last", order_by=["effective_date", "network_id"])
            .select("member_id", "zip", "latitude", "longitude", "county_fips")
            .sort("member_id")
        )
    )


def active_rows(exports: Exports, as_of: date) -> pd.DataFrame:
    """Return the directory rows active on a day: npi, network_id, specialty, place, panel.

    ``is_closed`` is True only where the row says that no new patients are taken;
    ``is_unknown`` where it says nothing, which counts as accepting.
    """
    rows = to_pandas(
        exports.table("directory")
        .filter(in_span(nw.lit(as_of), "effective_date", "termination_date"))
        .select("npi", "taxonomy_code", "network_id", "zip", "latitude", "longitude", "accepting_new_patients")
        .unique()
        .sort("npi", "network_id", "zip", "taxonomy_code", "latitude", "longitude", "accepting_new_patients")
    )
    rows["specialty"] = specialty_of(rows["taxonomy_code"])
    panel = rows.pop("accepting_new_patients")
    rows["is_closed"] = panel.eq(False).fillna(False).astype(bool)
    rows["is_unknown"] = panel.isna()
    return _locate(rows.assign(county_fips=pd.NA))


def seen_providers(exports: Exports, as_of: date) -> pd.Series:
    """Return the NPIs with a claim line in the twelve months to a day, whatever came of the line."""
    first, last = window(as_of)
    lines = exports.table("claims").filter(nw.col("service_date").is_between(first, last))
    return to_pandas(lines.select("provider_npi").unique())["provider_npi"]


def _county_by_specialty(
    homes: pd.DataFrame, rows: pd.DataFrame, standard: pd.DataFrame
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame, pd.Series]]:
    """Yield the homes of a county, the rows of a specialty active for them, and the standard."""
    by_specialty = dict(tuple(rows.groupby("specialty", sort=True)))
    nobody = rows.iloc[:0]
    for _, county in homes.groupby("county_fips", sort=True):
        networks = county["network_id"].unique()
        everyone = pd.isna(networks).any()
        for _, line in standard[standard["county_type"] == county["county_type"].iloc[0]].iterrows():
            theirs = by_specialty.get(line["specialty"], nobody)
            if not everyone:
                theirs = theirs[theirs["network_id"].isna() | theirs["network_id"].isin(networks)]
            yield county, theirs, line


def _count_row(homes: pd.DataFrame, rows: pd.DataFrame, standard: pd.Series) -> tuple[object, ...]:
    """Return one row of the gap table."""
    max_miles = float(standard["max_miles"])
    weights = homes["members"].to_numpy()
    members = int(weights.sum())
    nearest, nearest_listed = np.full((2, len(homes)), np.inf)
    in_range = np.zeros(len(rows), dtype=bool)
    closed, located = rows["is_closed"].to_numpy(), rows["latitude"].notna().to_numpy()
    for mine, theirs in _by_network(homes, rows):
        spots, sites = homes.loc[mine, _VECTOR].to_numpy(), rows[_VECTOR].to_numpy()
        theirs = theirs & located
        nearest[mine] = places.nearest_miles(spots, sites[theirs & ~closed])
        nearest_listed[mine] = places.nearest_miles(spots, sites[theirs])
        in_range[theirs] |= places.within_miles(spots, sites[theirs], max_miles)
    within = int(weights[nearest <= max_miles].sum())
    within_listed = int(weights[nearest_listed <= max_miles].sum())
    counts = {
        "listed": rows["npi"].nunique(),
        "in_range": rows.loc[in_range, "npi"].nunique(),
        "accepting": rows.loc[in_range & ~closed, "npi"].nunique(),
        "seen_in_claims": rows.loc[in_range & ~closed & rows["is_seen"], "npi"].nunique(),
    }
    unknown = rows.loc[in_range & rows["is_unknown"], "npi"].nunique()
    needed = required_providers(members, standard["providers_per_1000"])
    share = standard["required_share"]
    status = _decide(within, within_listed, members, share, counts, needed)
    county = homes.iloc[0]
    return (
        county["county_fips"],
        f"{county['county_name']}, {county['state']}",
        county["county_type"],
        standard["specialty"],
        members,
        *counts.values(),
        within / members,
        share,
        max_miles,
        needed,
        _weighted_median(nearest, weights),
        status,
        _explain(within, members, max_miles, share, counts, needed, unknown),
    )


def _by_network(homes: pd.DataFrame, rows: pd.DataFrame) -> Iterator[tuple[Flags, Flags]]:
    """Yield, for each network of the homes, the homes in it and the rows active for it."""
    for network in homes["network_id"].unique():
        if pd.isna(network):
            yield homes["network_id"].isna().to_numpy(), np.ones(len(rows), dtype=bool)
        else:
            theirs = rows["network_id"].isna() | (rows["network_id"] == network)
            yield (
                (homes["network_id"] == network).fillna(False).to_numpy(dtype=bool),
                theirs.to_numpy(dtype=bool),
            )


def _decide(
    within: int, within_listed: int, members: int, share: Decimal, counts: dict[str, int], needed: int | None
) -> str:
    """Return the first status that applies; shares are compared exactly, as counts of members."""
    enough = share * members
    least = needed or 0
    if within >= enough and counts["accepting"] >= least:
        return "met"
    if within_listed >= enough and counts["in_range"] >= least:
        return "closed"
    if within == 0:
        return "no_provider"
    return "too_far" if within < enough else "too_few"


def _explain(
    within: int,
    members: int,
    max_miles: float,
    share: Decimal,
    counts: dict[str, int],
    needed: int | None,
    unknown: int,
) -> str:
    """Return the figures behind a status in one sentence."""
    if not counts["listed"]:
        return f"nobody is listed in the network for {members:,} members"
    text = (
        f"{within:,} of {members:,} members within {max_miles:g} miles of a usable row "
        f"({share:.0%} required); {counts['listed']} listed, {counts['in_range']} in range, "
        f"{counts['accepting']} accepting"
    )
    text += f" ({needed} required)" if needed else ""
    text += f", {unknown} of those in range with unknown panel" if unknown else ""
    text += "; none of those accepting seen in claims" if counts["accepting"] and not counts["seen_in_claims"] else ""
    return text


def _weighted_median(miles: npt.NDArray[np.float64], weights: npt.NDArray[np.int64]) -> float | None:
    """Return the distance within which at least half of the members lie; None without a provider."""
    order = np.argsort(miles, kind="stable")
    reached = np.cumsum(weights[order]) * 2 >= weights.sum()
    middle = float(miles[order][np.argmax(reached)])
    return middle if np.isfinite(middle) else None


def _locate(frame: pd.DataFrame) -> pd.DataFrame:
    """Fill blank coordinates and counties from the ZIP, or the county from the coordinates."""
    zips = places.locate_zips(frame["zip"])
    located = frame.copy()
    latitude, longitude = (frame[axis].to_numpy(dtype=float, na_value=np.nan) for axis in ("latitude", "longitude"))
    given = places.has_location(latitude, longitude)  # half a pair of coordinates is none
    located["latitude"] = zips["latitude"].where(~given, latitude)
    located["longitude"] = zips["longitude"].where(~given, longitude)
    found = places.has_location(located["latitude"], located["longitude"])
    located[_VECTOR] = np.nan
    vectors = places.to_unit_vectors(located.loc[found, "latitude"], located.loc[found, "longitude"])
    located.loc[found, _VECTOR] = vectors
    located["county_fips"] = frame["county_fips"].astype("string").fillna(zips["county_fips"])
    lost = (located["county_fips"].isna() & found).to_numpy()
    if lost.any():
        located.loc[lost, "county_fips"] = places.nearest_counties(located.loc[lost, _VECTOR].to_numpy())
    return located
