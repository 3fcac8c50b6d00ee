"""The file behind an exception request: who is nearby and not contracted, and where members went for care.

In: a ``Network``, its gap table, candidates and care. Out: for each failing county and specialty, the providers
that are not contracted with room for the reason, which a person enters, and the pattern of care as a sentence.
"""

from collections.abc import Collection
from datetime import date

import numpy as np
import pandas as pd

from sca_analysis import places
from sca_analysis.cells import Cell, cells
from sca_analysis.claims import window
from sca_analysis.network import VECTOR, Network
from sca_analysis.tables import EXCEPTIONS

KEY = ["county_fips", "specialty"]
#: A number of patients from 1 to one less is not shown in words (CMS cell size suppression policy).
LEAST_PATIENTS = 11
#: Of the providers beyond the standard, as many of the nearest are listed.
BEYOND = 3


def list_exceptions(
    network: Network, candidates: pd.DataFrame, gaps_table: pd.DataFrame, care: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return the providers nearby who are not contracted, for each row of a gap table that is not met.

    Parameters
    ----------
    network : Network
    candidates : DataFrame
        As `candidates.list_candidates`: of every source.
    gaps_table : DataFrame
        ``tabulate(network).table``, or the rows of it that matter.
    care : DataFrame, optional
        As `servicing.find_care`; without, there is no pattern of care.

    Returns
    -------
    DataFrame
        Columns of ``tables.EXCEPTIONS``, sorted by county and specialty, then those in range first, by miles
        and NPI. Where nobody is known, one row with a blank NPI. A candidate without a known place stands
        in a county whose members went there. Miles are straight lines.

    Notes
    -----
    42 CFR 422.116(f): a plan may ask for an exception where providers are not available for it to meet the
    criteria and access is in line with the local pattern of care. CMS's form of such a request (CMS-10237)
    asks for the providers not contracted within the criteria and, apart, for those beyond that are nearer than
    the nearest contracted one, with the reason for each.

    """
    failing = gaps_table[gaps_table["status"] != "met"]
    status = {(r.county_fips, r.specialty): r.status for r in failing[[*KEY, "status"]].itertuples(index=False)}
    known = _known_places(network, candidates)
    parts = []
    for cell in cells(network, candidates, status):
        fips, specialty = cell.county.fips, cell.line["specialty"]
        went = None if care is None else care[(care["county_fips"] == fips) & (care["specialty"] == specialty)]
        found = _list_nearby(cell)
        if went is not None:
            found = pd.concat([found, _without_place(candidates, specialty, went)], ignore_index=True)
        if found.empty:
            found = pd.DataFrame({"npi": [None]})
        parts.append(
            found.assign(
                county_fips=fips,
                county=cell.county.name,
                specialty=specialty,
                status=status[fips, specialty],
                max_miles=cell.line["max_miles"],
                pattern_of_care=None if went is None else _describe_care(network.as_of, cell, went, known),
            )
        )
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*KEY, "npi"])
    about = ["provider_name", "source", "visits", "patients"]
    who = ["specialty", "npi"]
    text = dict.fromkeys(who, "string")
    facts = candidates.drop_duplicates(who)[[*who, *about]].astype(text)
    table = table.astype(text).merge(facts, on=who, how="left", validate="m:1")
    table["reason_not_contracted"] = ""
    table = table.reindex(columns=list(EXCEPTIONS.names))
    flags, counts = ["is_in_range", "is_nearer"], ["members_in_range", "visits", "patients"]
    table = table.astype(
        dict.fromkeys(flags, "boolean") | dict.fromkeys(counts, "Int64") | {"nearest_miles": "Float64"}
    )
    table["is_beyond"] = ~table["is_in_range"].fillna(False)
    order = [*KEY, "is_beyond", "nearest_miles", "npi"]
    return table.sort_values(order, ignore_index=True).drop(columns="is_beyond")


def _list_nearby(cell: Cell) -> pd.DataFrame:
    """Return npi, zip, miles and members of the candidates in range of a county, and of the nearest beyond."""
    county, listing, pairs = cell.county, cell.listing, cell.pairs
    points = np.full((len(listing.rows), 3), np.nan)
    for sites in listing.sites.values():
        points[sites.placed] = sites.tree.data
    rows = np.flatnonzero(cell.is_new & ~np.isnan(points[:, 0]))
    spots = np.concatenate([homes.spots for homes in county.homes.values()])
    offered = cell.is_new[pairs.row]
    reach = pd.DataFrame({"npi": cell.npis[pairs.row[offered]], "home": pairs.home[offered]}).drop_duplicates()
    reach["members_in_range"] = county.weights[reach["home"]]
    members = reach.groupby("npi")["members_in_range"].sum()
    found = pd.DataFrame(
        {
            "npi": cell.npis[rows],
            "zip": cell.zips[rows],
            "row": rows,
            "nearest_miles": places.nearest_miles(points[rows], spots),
        }
    )
    found = found.sort_values(["nearest_miles", "npi", "zip"]).drop_duplicates("npi", ignore_index=True)
    found["members_in_range"] = found["npi"].map(members).fillna(0).astype("Int64")
    found["is_in_range"] = found["members_in_range"] > 0
    beyond = found[~found["is_in_range"]].head(BEYOND)
    found = pd.concat([found[found["is_in_range"]], beyond], ignore_index=True)
    is_waiting = ~cell.is_served
    usable = cell.usable
    own = {n: sites.placed[usable[sites.placed]] for n, sites in listing.sites.items()}
    own_miles = np.concatenate([places.nearest_miles(h.spots, points[own[n]]) for n, h in county.homes.items()])
    found["is_nearer"] = [
        bool((places.great_circle_miles(spots[is_waiting], points[[row]]) < own_miles[is_waiting]).any())
        for row in found["row"]
    ]
    return found.drop(columns="row")


def _without_place(candidates: pd.DataFrame, specialty: str, went: pd.DataFrame) -> pd.DataFrame:
    """Return the candidates that nobody can place, where members of the county went to them."""
    lost = ~candidates["has_place"] & (candidates["specialty"] == specialty) & candidates["npi"].isin(went["npi"])
    return candidates.loc[lost.fillna(False), ["npi", "zip"]].drop_duplicates("npi")


def _known_places(network: Network, candidates: pd.DataFrame) -> pd.DataFrame:
    """Return npi and place of all providers that are listed or might be."""
    rows = pd.concat([f[["npi", *VECTOR]] for f in (network.rows, candidates)])
    return rows.dropna(subset=VECTOR).drop_duplicates(ignore_index=True)


def _describe_care(as_of: date, cell: Cell, went: pd.DataFrame, known: pd.DataFrame) -> str:
    """Return where the members of a county went for a specialty, in words that are fit to be shared."""
    first, last = window(as_of)
    members = int(cell.county.weights.sum())
    number = f"{members:,}" if members >= LEAST_PATIENTS else f"fewer than {LEAST_PATIENTS}"
    whose = f"Of {number} members in {cell.county.name} covered on {as_of}"
    what = f"for {cell.line['specialty']} in the twelve months from {first} to {last}"
    standard = _name_standard(cell)
    if went.empty:
        return f"{whose}, none had a visit {what} that claims show; {standard}."
    sides = [went[went["is_out_of_network"] == side] for side in (False, True)]
    inside, outside = (_count(side) for side in sides)
    total = "some had visits" if _is_few(sides) else _count(went)
    text = f"{whose}, {total} {what}: {inside} in network, and {outside} out of network"
    if went["member"].nunique() < LEAST_PATIENTS:
        return f"{text}; too few to show how far they went; {standard}."
    miles = went.reset_index(names="number").merge(known, on="npi", suffixes=("", "_theirs"))
    theirs = miles[[f"{c}_theirs" for c in VECTOR]].to_numpy(dtype=float)
    miles["miles"] = places.great_circle_miles(miles[VECTOR].to_numpy(dtype=float), theirs)
    nearest = miles.dropna(subset="miles").groupby("number")["miles"].min()
    placed = went.reset_index(names="number").merge(nearest.rename("miles"), left_on="number", right_index=True)
    if placed["member"].nunique() < LEAST_PATIENTS:
        return f"{text}; the places of too many of the providers are unknown to show how far they went; {standard}."
    middle, most = (_quantile(placed["miles"], placed["visits"], q) for q in (0.5, 0.9))
    text += f"; half of the visits were to providers at most {middle:.1f} miles from home, 90% at most {most:.1f} miles"
    lacking = len(placed) < len(went)
    text += " (straight line to the nearest known place of the provider"
    text += "; visits to providers without one are left out)" if lacking else ")"
    return f"{text}; {standard}."


def _name_standard(cell: Cell) -> str:
    """Return what the standard asks for, in words."""
    limits = [(cell.line["max_miles"], "miles"), (cell.line["max_minutes"], "minutes")]
    within = " and ".join(f"{limit:g} {unit}" for limit, unit in limits if pd.notna(limit))
    return f"the standard asks for a provider within {within} of {float(cell.line['required_share']):.0%} of members"


def _count(went: pd.DataFrame) -> str:
    """Return patients and visits in words, without numbers where the patients are few."""
    patients, visits = went["member"].nunique(), int(went["visits"].sum())
    if not patients:
        return "none had visits"
    if patients < LEAST_PATIENTS:
        return f"fewer than {LEAST_PATIENTS} had visits"
    return f"{patients:,} had {visits:,} visits"


def _is_few(sides: Collection[pd.DataFrame]) -> bool:
    """Tell whether exactly one side is hidden, so that the total would give it away."""
    few = [0 < side["member"].nunique() < LEAST_PATIENTS for side in sides]
    return few.count(True) == 1


def _quantile(values: pd.Series, weights: pd.Series, share: float) -> float:
    """Return the value at or below which at least a share of the weights lies."""
    order = values.argsort(kind="stable")
    added = weights.iloc[order].to_numpy(dtype=float).cumsum()
    return float(values.iloc[order].iloc[int(np.argmax(added >= share * added[-1]))])
