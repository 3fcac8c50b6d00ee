"""Where are the gaps? Specialties without a usable in-network provider for the members of a county.

In: a ``Network`` (members on a day, active directory rows, the standard). Out: the gap table, one row a
county and specialty of the standard, also where nobody is listed (42 CFR 422.116).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd

from sca_analysis import places
from sca_analysis.exports import Exports
from sca_analysis.network import Criteria, Network, read_network
from sca_analysis.reach import Atlas, Integers, Line, Listing, Sweep, list_rows
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
    specialties = [str(s) for s in network.standard["specialty"].unique()]
    listings = list_rows(network, specialties)  # also where nobody is listed
    atlas = Atlas(network)
    weights = network.homes["members"].to_numpy(np.int64)
    by_county = [{line["specialty"]: line for line in county.lines} for county in atlas.counties]
    rows: list[tuple[object, ...]] = []
    looked_up = estimated = 0
    for specialty in specialties:
        lines = [lines.get(specialty) for lines in by_county]
        sweep = atlas.sweep(listings[specialty], lines)
        looked_up, estimated = looked_up + sweep.looked_up, estimated + sweep.estimated
        rows += _count_rows(atlas, listings[specialty], lines, sweep, weights)
    # a standard may set no minimum number, and there may be no nearest row: blanks, not floats
    table = pd.DataFrame(rows, columns=list(GAPS.names)).astype(
        {"required_providers": "Int64", "nearest_miles": "Float64"}
    )
    return Gaps(
        table=table.sort_values(["county_fips", "specialty"], ignore_index=True),
        as_of=network.as_of,
        members=network.members,
        members_not_placed=network.members_not_placed,
        rows_not_placed=int(network.rows.loc[network.rows["latitude"].isna(), "rows"].sum()),
        pairs=looked_up,
        pairs_estimated=estimated,
    )


def _count_rows(
    atlas: Atlas, listing: Listing, lines: Sequence[Line | None], sweep: Sweep, weights: Integers
) -> Iterator[tuple[object, ...]]:
    """Yield the rows of one specialty, county by county."""
    n = len(atlas.counties)
    members, within, within_listed = (
        np.bincount(atlas.county[flags], weights[flags], minlength=n).astype(np.int64).tolist()
        for flags in (np.ones(len(weights), dtype=np.bool_), sweep.near, sweep.near_listed)
    )
    is_open, is_seen = ~listing.is_closed[sweep.row], listing.is_seen[sweep.row]
    in_range, accepting, seen, unknown = (
        _count_providers(sweep.county[flags], listing.npi[sweep.row[flags]], n)
        for flags in (np.ones_like(is_open), is_open, is_open & is_seen, listing.is_unknown[sweep.row])
    )
    median = _weighted_medians(atlas.county, sweep.miles, weights, n)
    listed: dict[tuple[str | None, ...], int] = {}
    for i, (county, line) in enumerate(zip(atlas.counties, lines, strict=True)):
        if line is None:
            continue
        networks = tuple(county.homes)
        if networks not in listed:
            active = np.concatenate([listing.sites[network_id].active for network_id in networks])
            listed[networks] = len(np.unique(listing.npi[active]))
        counts = {
            "listed": listed[networks],
            "in_range": in_range[i],
            "accepting": accepting[i],
            "seen_in_claims": seen[i],
        }
        needed = required_of(line, members[i])
        share = line["required_share"]
        reason = _explain(within[i], members[i], _limits(line, atlas.drive_times), share, counts, needed, unknown[i])
        yield (
            county.fips,
            county.name,
            county.county_type,
            line["specialty"],
            members[i],
            *counts.values(),
            within[i] / members[i],
            share,
            float(line["max_miles"]),
            needed,
            median[i],
            decide(within[i], within_listed[i], members[i], share, accepting[i], in_range[i], needed),
            reason + ("; CMS county criteria" if line.get("is_county") else ""),
        )


def _limits(line: Line, drive_times: DriveTimes | None) -> str:
    """Return what is in range, in words."""
    limits = [f"{line['max_miles']:g} miles"] if pd.notna(line["max_miles"]) else []
    if pd.notna(line["max_minutes"]) and (drive_times or not limits):
        limits.append(f"{line['max_minutes']:g} minutes ({drive_times.source if drive_times else 'estimated'})")
    return " and ".join(limits)


def _count_providers(county: Integers, npi: Integers, n: int) -> list[int]:
    """Return the number of distinct providers of each county."""
    many = int(npi.max(initial=0)) + 1
    counts: list[int] = np.bincount(np.unique(county * many + npi) // many, minlength=n).tolist()
    return counts


def list_distances(network: Network, specialty: str) -> pd.DataFrame:
    """Return how far members live from the nearest usable row of a specialty.

    Parameters
    ----------
    network : Network
    specialty : str

    Returns
    -------
    DataFrame
        county, county_type, specialty, miles (inf = no usable row), members, max_miles, required_share: one row a
        place and network; of places with few members, not for sharing.

    """
    listing = list_rows(network, [specialty])[specialty]
    atlas = Atlas(network)
    lines = [next((x for x in c.lines if x["specialty"] == specialty), None) for c in atlas.counties]
    sweep = atlas.sweep(listing, lines)
    table = pd.DataFrame(
        {"number": atlas.county, "miles": sweep.miles, "members": network.homes["members"].to_numpy(np.int64)}
    )
    counties = pd.DataFrame(
        {
            "county": c.name,
            "county_type": c.county_type,
            "specialty": specialty,
            "max_miles": line["max_miles"] if line else np.nan,
            "required_share": line["required_share"] if line else None,
        }
        for c, line in zip(atlas.counties, lines, strict=True)
    )
    found = table.join(counties, on="number").dropna(subset=["max_miles"])
    columns = ["county", "county_type", "specialty", "miles", "members", "max_miles", "required_share"]
    return found[columns].reset_index(drop=True)


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


def _weighted_medians(county: Integers, miles: places.Floats, weights: Integers, n: int) -> list[float | None]:
    """Return by county the distance within which at least half of the members live; None without a provider."""
    order = np.lexsort((miles, county))
    sums = np.cumsum(weights[order])
    totals = np.bincount(county, weights, minlength=n).astype(np.int64)
    before = np.cumsum(totals) - totals
    has_half = 2 * (sums - before[county[order]]) >= totals[county[order]]
    found, first = np.unique(county[order][has_half], return_index=True)
    middle = np.full(n, np.inf)
    middle[found] = miles[order][has_half][first]
    return [float(m) if np.isfinite(m) else None for m in middle]
