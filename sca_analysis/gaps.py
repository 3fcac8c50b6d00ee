"""Where are the gaps? Specialties without a usable in-network provider for the members of a county.

In: a ``Network`` (members on a day, active directory rows, the standard). Out: the gap table, one row a
county and specialty of the standard, also where nobody is listed (42 CFR 422.116).
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pandas as pd

from sca_analysis import places
from sca_analysis.exports import Exports
from sca_analysis.network import Criteria, Network, read_network
from sca_analysis.reach import County, Flags, Line, Listing, find_pairs, group_homes, list_rows, search_radius
from sca_analysis.standards import required_providers
from sca_analysis.tables import GAPS
from sca_analysis.travel import DriveTimes

STATUSES = ("met", "closed", "no_provider", "too_far", "too_few")


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
    pairs, pairs_estimated : int
        Pairs of home and row within the miles whose minutes were asked of a table of drive times, and those
        of them that it does not hold, so that their minutes are estimated.

    """

    table: pd.DataFrame
    as_of: date
    members: int
    members_not_placed: int
    rows_not_placed: int
    pairs: int = 0
    pairs_estimated: int = 0


def find_gaps(exports: Exports, as_of: date, criteria: Criteria | None = None) -> Gaps:
    """Return the gap table of an exports folder on a day: `read_network`, then `tabulate`."""
    return tabulate(read_network(exports, as_of, criteria))


def tabulate(network: Network) -> Gaps:
    """Return the gap table of a network.

    Notes
    -----
    Distances are great circles between the coordinates given or, without them, the centres of
    ZIP codes. Where the network has drive times, a row is in range within the miles and the minutes of
    the standard, both. The minimum number of providers is providers_per_1000 x members of the county
    in these exports / 1,000, rounded up; CMS takes Medicare beneficiaries instead (422.116(e)).

    """
    # also where nobody is listed
    specialties = network.standard["specialty"].unique()
    listings = list_rows(network, specialties)
    counted = [
        _count_row(county, listings[line["specialty"]], line, network.drive_times)
        for county in group_homes(network)
        for line in county.lines
    ]
    # a standard may set no minimum number, and there may be no nearest row: blanks, not floats
    table = pd.DataFrame([row for row, _, _ in counted], columns=list(GAPS.names)).astype(
        {"required_providers": "Int64", "nearest_miles": "Float64"}
    )
    return Gaps(
        table=table,
        as_of=network.as_of,
        members=network.members,
        members_not_placed=network.members_not_placed,
        rows_not_placed=int(network.rows.loc[network.rows["latitude"].isna(), "rows"].sum()),
        pairs=sum(n for _, n, _ in counted),
        pairs_estimated=sum(n for _, _, n in counted),
    )


def _count_row(
    county: County, listing: Listing, line: Line, drive_times: DriveTimes | None
) -> tuple[tuple[object, ...], int, int]:
    """Return one row of the gap table, and of the pairs of home and row how many were looked up and estimated."""
    max_miles = float(line["max_miles"])
    is_listed = np.zeros(len(listing.npi), dtype=np.bool_)
    for network_id in county.homes:
        is_listed[listing.sites[network_id].active] = True
    weights = county.weights
    miles = np.concatenate(
        [places.nearest_miles(homes.spots, listing.sites[n].open_tree) for n, homes in county.homes.items()]
    )
    looked_up = estimated = 0
    if drive_times is None or drive_times.minutes is None:
        near, near_listed, in_range = _reach_by_miles(county, listing, line, drive_times, miles)
    else:
        pairs = find_pairs(county, listing, line, drive_times)
        looked_up, estimated = pairs.looked_up, pairs.estimated
        near, near_listed = np.zeros((2, len(weights)), dtype=np.bool_)
        in_range = np.zeros(len(listing.npi), dtype=np.bool_)
        near_listed[pairs.home] = True
        near[pairs.home[~listing.is_closed[pairs.row]]] = True
        in_range[pairs.row] = True
    members, within, within_listed = int(weights.sum()), int(weights[near].sum()), int(weights[near_listed].sum())
    accepting = in_range & ~listing.is_closed
    counts = {
        "listed": listing.count(is_listed),
        "in_range": listing.count(in_range),
        "accepting": listing.count(accepting),
        "seen_in_claims": listing.count(accepting & listing.is_seen),
    }
    unknown = listing.count(in_range & listing.is_unknown)
    needed = required_of(line, members)
    share = line["required_share"]
    limits = [f"{max_miles:g} miles"] if pd.notna(max_miles) else []
    if pd.notna(line["max_minutes"]) and (drive_times or not limits):
        limits.append(f"{line['max_minutes']:g} minutes ({drive_times.source if drive_times else 'estimated'})")
    row = (
        county.fips,
        county.name,
        county.county_type,
        line["specialty"],
        members,
        *counts.values(),
        within / members,
        share,
        max_miles,
        needed,
        _weighted_median(miles, weights),
        decide(within, within_listed, members, share, counts["accepting"], counts["in_range"], needed),
        _explain(within, members, " and ".join(limits), share, counts, needed, unknown)
        + ("; CMS county criteria" if line.get("is_county") else ""),
    )
    return row, looked_up, estimated


def _reach_by_miles(
    county: County, listing: Listing, line: Line, drive_times: DriveTimes | None, miles: places.Floats
) -> tuple[Flags, Flags, Flags]:
    """Tell which homes have an open row and any row in range, and which rows: by trees, without the pairs."""
    radius = search_radius(county, line, drive_times)
    in_range = np.zeros(len(listing.npi), dtype=np.bool_)
    near_listed: list[Flags] = []
    for network_id, homes in county.homes.items():
        sites = listing.sites[network_id]
        in_range[sites.placed] |= places.within_miles(homes.spots, sites.tree, radius)
        near_listed.append(places.nearest_miles(homes.spots, sites.tree) <= radius)
    return miles <= radius, np.concatenate(near_listed), in_range


def required_of(line: Line, members: int) -> int | None:
    """Return the least number of providers that a line of the standard asks for ``members``; None = none set."""
    given = line.get("required_providers")
    return required_providers(members, line["providers_per_1000"]) if given is None else given


def decide(
    within: int, within_listed: int, members: int, share: Decimal, accepting: int, in_range: int, needed: int | None
) -> str:
    """Return the first status that applies; shares are compared exactly, as counts of members.

    Parameters
    ----------
    within, within_listed, members : int
        Members in range of a usable row, of any active row, and all of the county.
    share : Decimal
        Share of members that the standard requires.
    accepting, in_range : int
        Distinct providers in range: usable, and all.
    needed : int, optional
        Least number of providers.

    """
    enough = share * members
    least = needed or 0
    if within >= enough and accepting >= least:
        return "met"
    if within_listed >= enough and in_range >= least:
        return "closed"
    if within == 0:
        return "no_provider"
    return "too_far" if within < enough else "too_few"


def _explain(
    within: int,
    members: int,
    distance: str,
    share: Decimal,
    counts: dict[str, int],
    needed: int | None,
    unknown: int,
) -> str:
    """Return the figures behind a status in one sentence."""
    if not counts["listed"]:
        return f"nobody is listed in the network for {members:,} member{'s' if members != 1 else ''}"
    text = (
        f"{within:,} of {members:,} members within {distance} of a usable row "
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
