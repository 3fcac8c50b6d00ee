"""Who serves whom: for each county, specialty and provider, who is in range, who went there, and who is not served.

In: a ``Network`` and, for patients and visits, claims of the twelve months. Out: the servicing-provider table,
the members behind a row of the gap table, and where members went for care.
"""

from datetime import date
from typing import Any

import narwhals as nw
import numpy as np
import numpy.typing as npt
import pandas as pd

from sca_analysis import places
from sca_analysis.candidates import name_specialties
from sca_analysis.cells import cells
from sca_analysis.claims import visit_lines, window
from sca_analysis.errors import ParameterError
from sca_analysis.exports import Exports, to_pandas
from sca_analysis.gaps import decide, required_of
from sca_analysis.network import VECTOR, Network, covered_members, locate
from sca_analysis.reach import County, Flags, Integers, Line, Listing, find_pairs, group_homes, list_rows
from sca_analysis.standards import Kind
from sca_analysis.tables import MEMBERS_BEHIND, SERVICING

_HOME = ["zip", "latitude", "longitude", "county_fips"]
_PLACE = [*_HOME, "network_id"]


def serve(network: Network, care: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return for each county and specialty the usable providers in range, and what is lost if one leaves.

    Parameters
    ----------
    network : Network
    care : DataFrame, optional
        As `find_care`, of the same exports and day; without, patients and visits are blank.

    Returns
    -------
    DataFrame
        Columns of ``tables.SERVICING``, sorted by county, specialty and NPI. What is left is that of
        ``tabulate(network.without([npi]))``, each provider leaving alone. Rows that the standard does not ask
        for, and providers in range of nobody or closed wherever they are in range, are in none.

    """
    listings = list_rows(network, network.standard["specialty"].unique())
    npis = network.rows["npi"].to_numpy(dtype=object)
    parts = [
        _count_cell(county, listings[line["specialty"]], line, network, npis)
        for county in group_homes(network)
        for line in county.lines
    ]
    columns = [c for c in SERVICING.names if c not in ("provider_name", "patients", "visits")]
    filled = [part for part in parts if len(part["npi"])]
    # one frame of long arrays: a frame a cell would take most of the time
    table = pd.DataFrame({c: np.concatenate([part[c] for part in filled]) if filled else [] for c in columns})
    counts = ["patients", "visits"]
    if care is not None:
        key = ["county_fips", "specialty", "npi"]
        went = care.groupby(key, as_index=False).agg(patients=("member", "nunique"), visits=("visits", "sum"))
        text = dict.fromkeys(key, "string")
        table = table.astype(text).merge(went.astype(text), on=key, how="left", validate="1:1")
        table[counts] = table[counts].fillna(0)
    table["provider_name"] = table["npi"].map(network.names)
    table = table.reindex(columns=list(SERVICING.names)).astype(dict.fromkeys(counts, "Int64"))
    return table.sort_values(["county_fips", "specialty", "npi"], ignore_index=True)


def find_care(exports: Exports, as_of: date, kind: Kind = "provider") -> pd.DataFrame:
    """Return where the members covered on a day went in the twelve months to it. For use inside the plan only.

    Returns
    -------
    DataFrame
        One row a member, provider, specialty and network status: member (a number within this run),
        county_fips and x, y, z (unit sphere, NaN = no known place) of the home on the day, npi, specialty
        (NA = not in the standard), is_out_of_network, visits (days; reversed lines left out, denied kept; OON
        where one line of the day is).

    """
    first, last = window(as_of)
    visits = (
        visit_lines(exports, first, last)
        .group_by("member_id", "provider_npi", "service_date")
        .agg(taxonomy_code=nw.col("taxonomy_code").max(), is_out_of_network=nw.col("is_out_of_network").any())
    )
    grouped = to_pandas(
        visits.group_by("member_id", "provider_npi", "taxonomy_code", "is_out_of_network")
        .agg(visits=nw.len())
        .join(covered_members(exports, as_of).select("member_id", *_HOME), on="member_id", how="inner")
        .sort("member_id", "provider_npi", "taxonomy_code", "is_out_of_network")
    )
    grouped = grouped.rename(columns={"provider_npi": "npi"})
    grouped["specialty"] = name_specialties(exports, grouped, kind)["specialty"]
    raw = grouped[_HOME].drop_duplicates(ignore_index=True)
    located = pd.concat([raw.add_suffix("_given"), locate(raw)[["county_fips", *VECTOR]]], axis=1)
    given = [f"{c}_given" for c in _HOME]
    care = grouped.rename(columns=dict(zip(_HOME, given, strict=True))).merge(located, on=given, how="left")
    care["member"] = pd.factorize(care["member_id"])[0]
    key = ["member", "county_fips", *VECTOR, "npi", "specialty", "is_out_of_network"]
    return care.groupby(key, dropna=False, as_index=False)["visits"].sum()


def members_behind(exports: Exports, network: Network, county_fips: str, specialty: str) -> pd.DataFrame:
    """Return the members of a county with the way to their nearest provider. For use inside the plan only.

    Parameters
    ----------
    exports : Exports
        From which the network was read.
    network : Network
    county_fips, specialty : str
        A row of the gap table.

    Returns
    -------
    DataFrame
        Columns of ``tables.MEMBERS_BEHIND``: every member that the gap table counts there, those without a
        usable provider in range first, farthest first, then by member. Miles are straight lines, NaN where
        there is no such row; ``is_within`` also asks for the minutes, where the network has drive times.

    Raises
    ------
    ParameterError
        If there is no such row.

    """
    cell = next(cells(network, network.rows[:0], [(county_fips, specialty)]), None)
    if cell is None:
        raise ParameterError(
            f"no row {county_fips}, {specialty} in the gap table: name a county with members and a specialty of it."
        )
    parts = [(homes, cell.listing.sites[n]) for n, homes in cell.county.homes.items()]
    here = network.homes[network.homes["county_fips"] == county_fips].reset_index(drop=True)
    homes = here.loc[cell.county.numbers, _PLACE].assign(
        nearest_miles=np.concatenate([places.nearest_miles(homes.spots, s.open_tree) for homes, s in parts]),
        nearest_listed_miles=np.concatenate([places.nearest_miles(homes.spots, s.tree) for homes, s in parts]),
        is_within=cell.is_served,
    )
    covered = covered_members(exports, network.as_of).select("member_id", *_PLACE)
    raw = to_pandas(covered.select(*_PLACE).unique())
    located = locate(raw)[_PLACE].add_suffix("_located")
    keys = pd.concat([raw, located], axis=1)
    keys = keys[keys["county_fips_located"] == county_fips]
    zips = keys["zip"].dropna().unique().tolist()  # so that few members of other counties come here
    members = to_pandas(covered.filter(nw.col("zip").is_null() | nw.col("zip").is_in(zips)))
    found = members.merge(keys, on=_PLACE, how="inner").drop(columns=_PLACE)
    found.columns = found.columns.str.removesuffix("_located")
    # two ways of writing an address may be one place
    found = found.merge(homes.drop_duplicates(_PLACE), on=_PLACE, how="inner", validate="m:1")
    found[["nearest_miles", "nearest_listed_miles"]] = found[["nearest_miles", "nearest_listed_miles"]].replace(
        np.inf, np.nan
    )
    found = found.assign(specialty=specialty, county_fips=county_fips)
    order = ["is_within", "nearest_miles", "member_id"]
    found = found.sort_values(order, ascending=[True, False, True], na_position="first", ignore_index=True)
    return found[list(MEMBERS_BEHIND.names)]


def _count_cell(
    county: County, listing: Listing, line: Line, network: Network, npis: npt.NDArray[np.object_]
) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of the rows of one county and specialty."""
    pairs = find_pairs(county, listing, line, network.drive_times)
    weights = county.weights
    members, providers = int(weights.sum()), int(listing.npi.max(initial=-1)) + 1
    who = listing.npi[pairs.row]
    is_open = ~listing.is_closed[pairs.row]
    reach, lost, within = _count_members(pairs.home[is_open], who[is_open], weights, providers)
    _, lost_listed, within_listed = _count_members(pairs.home, who, weights, providers)
    here = np.unique(who[is_open])
    in_range, accepting, needed = len(np.unique(who)), len(here), required_of(line, members)
    share = line["required_share"]
    is_first = np.unique(listing.npi, return_index=True)[1]
    # the same few numbers come again and again
    left = np.stack([within - lost[here], within_listed - lost_listed[here]], axis=1)
    kinds, kind = np.unique(left, axis=0, return_inverse=True)
    after = [decide(int(w), int(x), members, share, accepting - 1, in_range - 1, needed) for w, x in kinds]
    same = {
        "county_fips": county.fips,
        "county": county.name,
        "specialty": line["specialty"],
        "members": members,
        "share_within": within / members,
        "accepting_after": accepting - 1,
        "status": decide(within, within_listed, members, share, accepting, in_range, needed),
    }
    return {column: np.full(len(here), value) for column, value in same.items()} | {
        "npi": npis[listing.rows[is_first[here]]],
        "members_in_range": reach[here],
        "share_in_range": reach[here] / members,
        "members_lost": lost[here],
        "share_within_after": (within - lost[here]) / members,
        "status_after": np.array(after, dtype=object)[kind.ravel()],
    }


def _count_members(home: Integers, who: Integers, weights: Integers, providers: int) -> tuple[Integers, Integers, int]:
    """Return members in range of each provider, those in range of it alone, and those in range of any."""
    together = np.sort(home * max(providers, 1) + who)
    is_new: Flags = np.ones(len(together), dtype=np.bool_)
    is_new[1:] = together[1:] != together[:-1]  # several rows of a provider count once
    home, who = np.divmod(together[is_new], max(providers, 1))
    choices = np.bincount(home, minlength=len(weights))
    alone = choices[home] == 1
    # sums of members stay whole numbers: floats are exact to 2**53
    reach = np.bincount(who, weights[home], providers).astype(np.int64)
    lost = np.bincount(who[alone], weights[home[alone]], providers).astype(np.int64)
    return reach, lost, int(weights[choices > 0].sum())
