"""What closes a gap: whom to contract, whom it helps, and what a change of the network does.

In: a ``Network``, its gap table and candidates. Out: the fewest contracts that make a county and specialty
meet the standard, and the change in every row of the gap table.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil

import numpy as np
import pandas as pd

from sca_analysis.cells import Cell, cells, join
from sca_analysis.cover import Choice, Cover, choose
from sca_analysis.errors import ParameterError
from sca_analysis.gaps import Gaps, decide, required_of, tabulate
from sca_analysis.network import Network
from sca_analysis.reach import Flags
from sca_analysis.tables import CHANGES, FIX

KEY = ["county_fips", "specialty"]


@dataclass(frozen=True)
class Fix:
    """The contracts that close a gap, or how far contracts could go.

    Attributes
    ----------
    steps : DataFrame
        Columns of ``tables.FIX``: one row a contract, in the order of what each adds; one row with
        step 0 where no candidate helps or nothing is lacking.
    can_close : bool
    is_smallest : bool
        Whether it is proved that no smaller set of these candidates closes the gap.
    at_least : int
        Number of contracts without which no set closes it [providers]; 0 where none does.
    ratio : float
        Greedy choice takes at most ratio times the smallest number (``cover.choose``).
    effect : DataFrame
        Columns of ``tables.CHANGES``: every row of the gap table that these contracts change.

    """

    steps: pd.DataFrame
    can_close: bool
    is_smallest: bool
    at_least: int
    ratio: float
    effect: pd.DataFrame


def close_gap(
    network: Network,
    candidates: pd.DataFrame,
    county_fips: str,
    specialty: str,
    sources: Collection[str] = ("claims",),
) -> Fix:
    """Return the smallest set of candidates found whose contracting makes a county and specialty ``met``.

    Parameters
    ----------
    network : Network
    candidates : DataFrame
        As `candidates.list_candidates`.
    county_fips, specialty : str
        A row of the gap table.
    sources : collection of str
        Which candidates, by their source.

    Raises
    ------
    ParameterError
        If no members of that county are covered, or the standard does not name the specialty.

    """
    steps = _list_steps(network, candidates, [(county_fips, specialty)], sources)
    if steps.empty:
        raise ParameterError(
            f"no row {county_fips}, {specialty} in the gap table: name a county with members and a specialty of it."
        )
    first = steps.iloc[0]
    return Fix(
        steps=steps,
        can_close=bool(first["can_close"]),
        is_smallest=bool(first["is_smallest"]),
        at_least=int(first["at_least"]),
        ratio=float(first["greedy_ratio"]),
        effect=show_effect(network, candidates, steps["npi"].dropna()),
    )


def close_gaps(
    network: Network, candidates: pd.DataFrame, gaps_table: pd.DataFrame, sources: Collection[str] = ("claims",)
) -> pd.DataFrame:
    """Return the contracts that close each gap by itself, for every row of a gap table that is not met.

    Parameters
    ----------
    network, candidates, sources
        As in `close_gap`.
    gaps_table : DataFrame
        ``tabulate(network).table``, or the rows of it that matter.

    Returns
    -------
    DataFrame
        Columns of ``tables.FIX``, sorted by county, specialty and step. One contract may stand in several
        gaps: to see what several do together, hand their NPIs to `show_effect`.

    """
    failing = gaps_table.loc[gaps_table["status"] != "met", KEY]
    return _list_steps(network, candidates, list(failing.itertuples(index=False, name=None)), sources)


def show_effect(
    network: Network, candidates: pd.DataFrame, npis: Iterable[str], *, only_changed: bool = True
) -> pd.DataFrame:
    """Return what contracting providers changes in the gap table (columns of ``tables.CHANGES``), by making it anew."""
    joining = candidates[candidates["npi"].isin(set(npis))]
    standard = network.standard[network.standard["specialty"].isin(joining["specialty"].dropna())]
    part = replace(network, criteria=replace(network.criteria, standard=standard)) if only_changed else network
    return compare(tabulate(part), tabulate(join(part, joining)), only_changed=only_changed)


def compare(before: Gaps, after: Gaps, *, only_changed: bool = True) -> pd.DataFrame:
    """Return the change between two gap tables of the same members, row by row.

    Parameters
    ----------
    before, after : Gaps
        Such as ``tabulate(network)`` and ``tabulate(network.without(npis))``.
    only_changed : bool
        Leave out rows in which nothing but the wording is different.

    Returns
    -------
    DataFrame
        Columns of ``tables.CHANGES``, sorted by county and specialty. A row of one table alone is blank
        on the side of the other. ``members_gained`` is net; where providers only leave, or only join, it
        is the number of members who lose (below 0) or gain their only usable provider in range.

    """
    names = ["county", "county_type", "members", "required_share", "required_providers"]
    compared = ["listed", "in_range", "accepting", "seen_in_claims", "share_within", "nearest_miles", "status"]
    sides = [g.table.set_index(KEY) for g in (before, after)]
    old, new = (side[compared].add_suffix(f"_{word}") for side, word in zip(sides, ("before", "after"), strict=True))
    table = sides[0][names].combine_first(sides[1][names]).join(old).join(new).sort_index().reset_index()
    within = [(table[f"share_within_{w}"] * table["members"]).astype("Float64").round() for w in ("before", "after")]
    table["members_gained"] = (within[1] - within[0]).astype("Int64")
    counts = [f"{c}_{w}" for c in compared[:4] for w in ("before", "after")]
    table = table.astype(dict.fromkeys([*counts, "members", "required_providers"], "Int64"))
    if only_changed:
        is_same = pd.Series(True, table.index)
        for column in compared:
            a, b = table[f"{column}_before"], table[f"{column}_after"]
            is_same &= a.isna() & b.isna() | a.eq(b).fillna(False)
        table = table[~is_same.astype(bool)]
    return table[list(CHANGES.names)].reset_index(drop=True)


def _list_steps(
    network: Network, candidates: pd.DataFrame, wanted: list[tuple[str, str]], sources: Collection[str]
) -> pd.DataFrame:
    chosen_from = candidates[candidates["source"].isin(sources)]
    rows: list[dict[str, object]] = []
    helped: dict[tuple[str, str], int] = {}
    for cell in cells(network, chosen_from, wanted):
        npis, cover = _pose(cell)
        for npi in npis:
            helped[cell.line["specialty"], npi] = helped.get((cell.line["specialty"], npi), 0) + 1
        rows += _describe(cell, npis, cover, choose(cover))
    about = ["provider_name", "source", "visits", "patients"]
    who = ["specialty", "npi"]
    table = pd.DataFrame(rows, columns=[c for c in FIX.names if c not in (*about, "gaps_helped")])
    known = chosen_from.drop_duplicates(who)[[*who, *about]]
    helps = pd.DataFrame([(*key, n) for key, n in helped.items()], columns=[*who, "gaps_helped"])
    text = dict.fromkeys(who, "string")
    for given in (known, helps):
        table = table.astype(text).merge(given.astype(text), on=who, how="left", validate="m:1")
    counts = ["visits", "patients", "members_gained", "gaps_helped", "required_providers"]
    table = table.astype(dict.fromkeys(counts, "Int64"))
    return table.sort_values([*KEY, "step"], ignore_index=True)[list(FIX.names)]


def _pose(cell: Cell) -> tuple[list[str], Cover]:
    """Return the candidates that help a cell, in order, and what each adds."""
    pairs, weights = cell.pairs, cell.county.weights
    is_served = cell.is_served
    accepting = set(cell.npis[pairs.row[cell.usable[pairs.row]]])
    members = int(weights.sum())
    needed = required_of(cell.line, members) or 0
    lacking_members = max(ceil(Fraction(cell.line["required_share"]) * members) - int(weights[is_served].sum()), 0)
    lacking_providers = max(needed - len(accepting), 0)
    offered = cell.is_new[pairs.row] & ~cell.listing.is_closed[pairs.row]
    home, who = pairs.home[offered], cell.npis[pairs.row[offered]].astype(str)
    names = np.unique(who)
    counts = ~np.isin(names, sorted(accepting))
    helps = np.isin(names, np.unique(who[~is_served[home]])) if lacking_members else np.zeros(len(names), np.bool_)
    helps |= counts if lacking_providers else False
    names, counts = names[helps], counts[helps]
    kept = np.isin(who, names) & ~is_served[home]
    number = np.searchsorted(names, who[kept])
    unique = np.unique(np.stack([number, home[kept]]), axis=1) if kept.any() else np.zeros((2, 0), dtype=np.int64)
    left_out = np.where(is_served, 0, weights)
    return names.tolist(), Cover(unique[0], unique[1], left_out, counts, lacking_members, lacking_providers)


def _describe(cell: Cell, npis: list[str], cover: Cover, choice: Choice) -> list[dict[str, object]]:
    """Return the rows of ``tables.FIX`` of one cell, without what is known of the providers."""
    pairs, weights = cell.pairs, cell.county.weights
    members, share = int(weights.sum()), cell.line["required_share"]
    needed = required_of(cell.line, members)
    is_own = cell.is_own[pairs.row]

    def reached(rows: Flags) -> int:
        return int(weights[np.unique(pairs.home[rows])].sum())

    def status_with(contracts: Collection[str]) -> tuple[int, int, str]:
        listed = is_own | np.isin(cell.npis[pairs.row].astype(str), sorted(contracts))
        usable = listed & ~cell.listing.is_closed[pairs.row]
        within, accepting = reached(usable), len(set(cell.npis[pairs.row[usable]]))
        in_range = len(set(cell.npis[pairs.row[listed]]))
        return within, accepting, decide(within, reached(listed), members, share, accepting, in_range, needed)

    before, _, status = status_with([])
    all_within, all_accepting, _ = status_with(npis)
    same = {
        "county_fips": cell.county.fips,
        "county": cell.county.name,
        "specialty": cell.line["specialty"],
        "members": members,
        "status": status,
        "required_share": share,
        "required_providers": needed,
        "can_close": choice.closes,
        "is_smallest": choice.closes and choice.at_least == len(choice.chosen),
        "at_least": choice.at_least,
        "greedy_ratio": choice.ratio,
        "candidates": len(npis),
        "share_with_all": all_within / members,
        "accepting_with_all": all_accepting,
    }
    rows: list[dict[str, object]] = []
    for step in range(len(choice.chosen) + 1):
        within, accepting, after = status_with([npis[c] for c in choice.chosen[:step]])
        rows.append(
            same
            | {
                "step": step,
                "npi": npis[choice.chosen[step - 1]] if step else None,
                "members_gained": within - before if step else None,
                "share_after": within / members,
                "accepting_after": accepting,
                "status_after": after,
            }
        )
        before = within
    return rows[1:] or rows
