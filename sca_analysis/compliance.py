"""Whether the plan meets the standard as a whole, and how much of that rests on what a directory says.

In: a ``Network`` and its gap table. Out: the compliance table (cells met and failed, for the plan, by county
type, county and specialty), and the gap table asked again of other evidence: as listed, as accepting, as
seen in claims; with the telehealth credit; with driving times.
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

import pandas as pd

from sca_analysis.gaps import STATUSES, Gaps, tabulate
from sca_analysis.network import Network
from sca_analysis.tables import COMPLIANCE
from sca_analysis.travel import BANDS, estimated

SCOPES = {"county type": "county_type", "county": "county", "specialty": "specialty"}


def summarize_compliance(gaps: pd.DataFrame) -> pd.DataFrame:
    """Return how many county-specialty cells meet the standard: columns of ``tables.COMPLIANCE``.

    Parameters
    ----------
    gaps : DataFrame
        Columns of ``tables.GAPS``.

    Returns
    -------
    DataFrame
        First the plan, then each county type, county and specialty. ``members`` counts each member once;
        ``share_within`` is over the members of all its cells, each member once a specialty.

    """
    parts = [_count("plan", "whole plan", gaps)]
    for scope, column in SCOPES.items():
        parts += [_count(scope, str(name), part) for name, part in gaps.groupby(column, sort=True)]
    return pd.DataFrame(parts, columns=list(COMPLIANCE.names))


def compare_evidence(network: Network, gaps: Gaps) -> pd.DataFrame:
    """Return the gap table three ways: as listed, as accepting (the gap table) and as seen in claims.

    *As listed* takes closed panels for open; *as seen* counts only usable rows of providers with a claim in the
    twelve months, whoever the patient was. The truth lies between *seen* and *accepting*: a provider without
    claims may not have been needed.
    """
    listed = network.having(network.rows.assign(is_closed=False))
    seen = network.having(network.rows[network.rows["is_seen"]])
    return set_beside({"as_listed": tabulate(listed), "as_accepting": gaps, "as_seen": tabulate(seen)})


def compare_drive_times(network: Network, gaps: Gaps) -> pd.DataFrame:
    """Return the gap table by miles alone and by miles and estimated minutes: fast, likely and slow drives.

    Speeds and detours are assumptions of ``reference/drive_speeds.csv``; the standard asks for both miles
    and minutes (42 CFR 422.116(d)).
    """
    by_band = {f"{band}_drives": tabulate(network.driven(estimated(band))) for band in BANDS}
    return set_beside({"by_miles": gaps} | by_band)


def credit_telehealth(network: Network) -> Network:
    """Return the network with the required shares less the telehealth credit of 42 CFR 422.116(d)(5).

    The credit counts for a specialty that has one where a listed provider of it, in any network of the plan,
    offers telehealth. Whether these are the additional telehealth benefits of 422.135 no export says.
    """
    offering = network.rows.loc[network.rows["has_telehealth"].astype(bool), "specialty"].dropna().unique()
    standard = network.standard.copy()
    credited = [
        share - (credit or Decimal(0)) if specialty in offering else share
        for share, credit, specialty in standard[["required_share", "telehealth_credit", "specialty"]].itertuples(
            index=False
        )
    ]
    standard["required_share"] = pd.Series(credited, index=standard.index, dtype=object)
    return replace(network, criteria=replace(network.criteria, standard=standard))


def set_beside(variants: Mapping[str, Gaps]) -> pd.DataFrame:
    """Return county_fips, county, specialty, members, and of each variant status_, share_ and providers_.

    Parameters
    ----------
    variants : mapping of str to Gaps
        Gap tables of the same members under the same standard.

    """
    [first, *_] = variants.values()
    columns = ["county_fips", "county", "county_type", "specialty", "members"]
    table = first.table[columns].copy()
    for name, gaps in variants.items():
        table[f"status_{name}"] = gaps.table["status"]
        table[f"share_{name}"] = gaps.table["share_within"]
        table[f"providers_{name}"] = gaps.table["accepting"]
    return table


def count_met(compared: pd.DataFrame) -> pd.Series:
    """Return by variant of `set_beside` how many cells are met."""
    statuses = compared.filter(regex="^status_")
    return (statuses == "met").sum().rename(lambda name: name.removeprefix("status_"))


def _count(scope: str, name: str, cells: pd.DataFrame) -> tuple[object, ...]:
    statuses = cells["status"].value_counts()
    counts = [int(statuses.get(status, 0)) for status in STATUSES]
    members = int(cells.drop_duplicates("county_fips")["members"].sum())
    everybody = int(cells["members"].sum())
    within = float((cells["share_within"] * cells["members"]).sum())
    return (scope, name, len(cells), *counts, members, within / everybody if everybody else None)
