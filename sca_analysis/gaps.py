"""Where are the gaps? Specialties without a usable in-network provider for the members of a county.

In: members covered on a date, the directory, claims of twelve months, and the time-and-distance
standard (42 CFR 422.116). Out: the gap table, one row a county and specialty of the standard,
also where nobody is listed. Members are grouped by place first, so cost grows with places.
"""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import narwhals as nw
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial import cKDTree

from sca_analysis import places
from sca_analysis.claims import in_span, window
from sca_analysis.exports import Exports, to_pandas
from sca_analysis.standards import load_counties, load_standards, required_providers, specialty_of
from sca_analysis.tables import GAPS

Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

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


def find_gaps(exports: Exports, as_of: date, county_standards: pd.DataFrame | None = None) -> Gaps:
    """Return the gap table of an exports folder on a day.

    Parameters
    ----------
    exports : Exports
    as_of : date
        Members covered and directory rows active on this day count; claims of the twelve months
        that end on it tell who was seen.
    county_standards : DataFrame, optional
        county_fips, specialty, max_miles and required_providers of single counties, as
        ``readers.cms_reference`` reads them: each number given takes the place of the county type's.

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
    rows = active_rows(exports, as_of)
    rows["is_seen"] = rows["npi"].isin(seen_providers(exports, as_of))
    networks = [_none(n) for n in members["network_id"].unique()]
    by_specialty = dict(tuple(rows.groupby("specialty")))
    # also where nobody is listed
    listings = {s: _list_active(by_specialty.get(s, rows[:0]), networks) for s in standard["specialty"].unique()}
    lines = {t: part.sort_values("specialty").to_dict("records") for t, part in standard.groupby("county_type")}
    own = _by_cell(county_standards, members["county_fips"])
    counted = [
        _count_row(county, listings[line["specialty"]], line | own.get((county.fips, line["specialty"]), {}))
        for county in _group_homes(members[is_placed])
        for line in lines.get(county.county_type, [])
    ]
    # a standard may set no minimum number, and there may be no nearest row: blanks, not floats
    table = pd.DataFrame(counted, columns=list(GAPS.names)).astype(
        {"required_providers": "Int64", "nearest_miles": "Float64"}
    )
    return Gaps(
        table=table,
        as_of=as_of,
        members=int(members["members"].sum()),
        members_not_placed=int(members.loc[~is_placed, "members"].sum()),
        rows_not_placed=int(rows.loc[rows["latitude"].isna(), "rows"].sum()),
    )


def place_members(exports: Exports, as_of: date) -> pd.DataFrame:
    """Return the members covered on a day, counted by place and network.

    Returns
    -------
    DataFrame
        latitude, longitude [degrees], x, y, z (unit sphere), county_fips, network_id, members; one
        row a place and network. A member with several spans on the day counts once, by the one
        that began last.
        Coordinates come from the export or else the centre of the ZIP; the county from the export
        or else the ZIP or else, without either, the ZIP nearest to the coordinates.

    """
    where = ["zip", "latitude", "longitude", "county_fips", "network_id"]
    grouped = to_pandas(
        exports.table("members")
        .filter(in_span(nw.lit(as_of), "effective_date", "termination_date"))
        .unique(["member_id"], keep="last", order_by=["effective_date", "network_id", "zip"])
        .group_by(*where)
        .agg(members=nw.len())
        .sort(*where)
    )
    return _locate(grouped).drop(columns="zip")


def homes_on(exports: Exports, days: pd.DataFrame) -> pd.DataFrame:
    """Return where members lived, each on a day of its own.

    Parameters
    ----------
    exports : Exports
    days : DataFrame
        member_id and day, one row a home wanted.

    Returns
    -------
    DataFrame
        The rows of ``days`` with zip, latitude, longitude and county_fips, by the coverage span
        that began last up to the day or, where none had begun, by the first.

    """
    members = days["member_id"].unique().tolist()
    spans = to_pandas(
        exports.table("members")
        .filter(nw.col("member_id").is_in(members))
        .select("member_id", "zip", "latitude", "longitude", "county_fips", "effective_date", "network_id")
        .sort("effective_date", "network_id", "zip")
    )
    mine = days.reset_index(names="number").merge(spans, on="member_id", how="left")
    has_begun = mine["effective_date"].isna() | (mine["effective_date"] <= mine["day"])
    best_first = pd.concat([mine[has_begun][::-1], mine[~has_begun]])
    homes = best_first.drop_duplicates("number").set_index("number")[["zip", "latitude", "longitude", "county_fips"]]
    return days.join(_locate(homes)[list(homes)])


def active_rows(exports: Exports, as_of: date) -> pd.DataFrame:
    """Return the directory rows active on a day: npi, network_id, specialty, place, panel.

    Rows that agree in all of these are one, and ``rows`` says how many they were. ``is_closed`` is
    True only where the row says that no new patients are taken; ``is_unknown`` where it says
    nothing, which counts as accepting.
    """
    alike = ["npi", "network_id", "zip", "taxonomy_code", "latitude", "longitude", "accepting_new_patients"]
    rows = to_pandas(
        exports.table("directory")
        .filter(in_span(nw.lit(as_of), "effective_date", "termination_date"))
        .group_by(*alike)
        .agg(rows=nw.len())
        .sort(*alike)
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


@dataclass(frozen=True)
class _County:
    """The homes of a county by network (None = blank): places on the unit sphere, and the members at each."""

    fips: str
    name: str
    county_type: str
    homes: dict[str | None, tuple[places.Floats, Integers]]


@dataclass(frozen=True)
class _Sites:
    """The rows of a specialty that are active for the members of one network."""

    active: Integers  # numbers of the rows
    placed: Integers  # of those, the rows with a known place: one for each point of the tree
    tree: cKDTree
    open_tree: cKDTree  # those of the points where the panel is not closed


@dataclass(frozen=True)
class _Listing:
    """The active rows of a specialty, as arrays, and by network of the members those that count for them."""

    npi: Integers  # a number for each provider
    is_closed: Flags
    is_unknown: Flags
    is_seen: Flags
    sites: dict[str | None, _Sites]

    def count(self, rows: Flags) -> int:
        """Return the number of distinct providers among some of the rows."""
        return int(np.count_nonzero(np.bincount(self.npi[rows])))


def _group_homes(homes: pd.DataFrame) -> Iterator[_County]:
    """Yield the counties with their homes, in order of their FIPS codes."""
    for fips, county in homes.groupby("county_fips", sort=True):
        first = county.iloc[0]
        parts = county.groupby("network_id", sort=True, dropna=False)
        by_network = {_none(k): (part[_VECTOR].to_numpy(), part["members"].to_numpy(np.int64)) for k, part in parts}
        yield _County(str(fips), f"{first['county_name']}, {first['state']}", first["county_type"], by_network)


def _list_active(rows: pd.DataFrame, networks: list[str | None]) -> _Listing:
    """Return the active rows of a specialty, and which of them count for the members of each network."""
    points, is_located = rows[_VECTOR].to_numpy(), rows["latitude"].notna().to_numpy()
    is_closed = rows["is_closed"].to_numpy()
    theirs = rows["network_id"].to_numpy(dtype=object)
    sites = {}
    for network in networks:
        # a blank on either side matches
        is_active = pd.isna(theirs) | (theirs == network) | np.full(len(rows), network is None)
        placed = np.flatnonzero(is_active & is_located)
        is_open = ~is_closed[placed]
        trees = cKDTree(points[placed]), cKDTree(points[placed[is_open]])
        sites[network] = _Sites(np.flatnonzero(is_active), placed, *trees)
    is_unknown, is_seen = rows["is_unknown"].to_numpy(), rows["is_seen"].to_numpy()
    return _Listing(pd.factorize(rows["npi"])[0], is_closed, is_unknown, is_seen, sites)


def _by_cell(county_standards: pd.DataFrame | None, counties: pd.Series) -> dict[tuple[str, str], dict[Hashable, Any]]:
    """Return the numbers that are given for some counties, by county and specialty."""
    if county_standards is None:
        return {}
    columns = ["max_miles", "required_providers"]
    rows = county_standards[county_standards["county_fips"].isin(counties)].set_index(["county_fips", "specialty"])
    given = rows[columns].astype(object).dropna(how="all").to_dict("index")
    return {key: {k: v for k, v in cell.items() if pd.notna(v)} | {"is_county": True} for key, cell in given.items()}


def _none(network: str | None) -> str | None:
    """Return None for a blank of any kind: NaN and NA do not equal themselves as keys."""
    return None if pd.isna(network) else network


def _count_row(county: _County, listing: _Listing, standard: dict[Hashable, Any]) -> tuple[object, ...]:
    """Return one row of the gap table."""
    max_miles = float(standard["max_miles"])
    is_listed, in_range = np.zeros((2, len(listing.npi)), dtype=np.bool_)
    nearest: list[places.Floats] = []
    nearest_listed: list[places.Floats] = []
    for network, (spots, _) in county.homes.items():
        sites = listing.sites[network]
        is_listed[sites.active] = True
        in_range[sites.placed] |= places.within_miles(spots, sites.tree, max_miles)
        nearest.append(places.nearest_miles(spots, sites.open_tree))
        nearest_listed.append(places.nearest_miles(spots, sites.tree))
    weights = np.concatenate([members for _, members in county.homes.values()])
    miles = np.concatenate(nearest)
    members = int(weights.sum())
    within = int(weights[miles <= max_miles].sum())
    within_listed = int(weights[np.concatenate(nearest_listed) <= max_miles].sum())
    accepting = in_range & ~listing.is_closed
    counts = {
        "listed": listing.count(is_listed),
        "in_range": listing.count(in_range),
        "accepting": listing.count(accepting),
        "seen_in_claims": listing.count(accepting & listing.is_seen),
    }
    unknown = listing.count(in_range & listing.is_unknown)
    needed = standard.get("required_providers")
    if needed is None:
        needed = required_providers(members, standard["providers_per_1000"])
    share = standard["required_share"]
    return (
        county.fips,
        county.name,
        county.county_type,
        standard["specialty"],
        members,
        *counts.values(),
        within / members,
        share,
        max_miles,
        needed,
        _weighted_median(miles, weights),
        _decide(within, within_listed, members, share, counts, needed),
        _explain(within, members, max_miles, share, counts, needed, unknown)
        + ("; CMS county criteria" if standard.get("is_county") else ""),
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
        return f"nobody is listed in the network for {members:,} member{'s' if members != 1 else ''}"
    text = (
        f"{within:,} of {members:,} members within {max_miles:g} miles of a usable row "
        f"({float(share * 100):g}% required); {counts['listed']} listed, {counts['in_range']} in range, "
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
