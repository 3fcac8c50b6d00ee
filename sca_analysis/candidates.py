"""Whom to contract: providers outside the network, from claims, the directory and a registry.

In: exports and a day. Out: one row a provider, specialty and place, with the columns of directory rows, so
that a what-if can let them join a ``Network``.
"""

from datetime import date

import narwhals as nw
import numpy as np
import pandas as pd

from sca_analysis.claims import in_span, visit_lines, window
from sca_analysis.exports import Exports, to_pandas
from sca_analysis.network import covered_members, judge_panels, locate, seen_providers
from sca_analysis.standards import Kind, specialty_of

CLAIMS, OTHER_NETWORK, OTHER_DAY, REGISTRY = SOURCES = (
    "claims",
    "directory of another network",
    "directory of another day",
    "registry",
)
_PLACE = ["npi", "zip", "latitude", "longitude"]


def list_candidates(exports: Exports, as_of: date, kind: Kind = "provider") -> pd.DataFrame:
    """Return providers that the plan could contract, at every place known of them.

    Parameters
    ----------
    exports : Exports
    as_of : date
        Last day of the twelve months of claims, and the day on which directory rows are active.
    kind : {"provider", "facility"}
        Specialties or facility types (42 CFR 422.116(b)).

    Returns
    -------
    DataFrame
        One row a provider, specialty and place, sorted by them. The columns of ``network.active_rows`` and
        ``is_seen``, then

        provider_name
            As the directory has it, else the registry; NA where neither does.
        source
            The first that applies: "claims" (an OON line in the twelve months, reversed lines left out);
            "directory of another network" (a row active on the day, but for some network of the
            members none); "directory of another day" (rows, none of them active); "registry".
        has_place
            False where no place is known: in range of nobody, but kept.
        lacks_network
            False where a directory row is active for every network of the members: seen OON, and listed by now.
        visits, patients
            OON, with members of the plan, by specialty: member and day, and distinct members.

    Notes
    -----
    The specialty is that of the claims or, where those say none of the standard, of the directory or else the
    registry; NA where none does. Places are those of ``providers`` or, where it has none that can be placed,
    of the directory: the rows active on the day, in whatever network, or else those that ended last. A
    place says where a provider may be reached, not that patients are seen there. The panel is closed
    where all active rows say so. NPIs that are deactivated on the day are left out.

    """
    directory = _read_directory(exports, as_of, kind)
    registry = to_pandas(exports.table("providers").sort("npi", "taxonomy_code", "zip"))
    registry["specialty"] = specialty_of(registry["taxonomy_code"], kind)
    gone = set(registry.loc[registry["deactivation_date"] <= pd.Timestamp(as_of), "npi"])
    claimed = _read_claims(exports, as_of, kind)
    active = directory[directory["is_active"]]
    covered = to_pandas(covered_members(exports, as_of).select("network_id").unique())["network_id"]
    complete = listed_for_all(active, list(covered))
    listed = directory[~directory["npi"].isin([*claimed["npi"], *complete])]
    registered = registry[~registry["npi"].isin([*claimed["npi"], *directory["npi"]]) & registry["specialty"].notna()]
    found = pd.concat(
        [
            claimed.assign(source=CLAIMS),
            listed.assign(source=np.where(listed["npi"].isin(active["npi"]), OTHER_NETWORK, OTHER_DAY)),
            registered.assign(source=REGISTRY),
        ],
        ignore_index=True,
    ).drop_duplicates(["npi", "specialty"])[["npi", "specialty", "taxonomy_code", "source", "visits", "patients"]]
    found = found[~found["npi"].isin(gone)].merge(_find_places(directory, registry), on="npi", how="left")
    found = locate(found.assign(county_fips=pd.NA))
    names = pd.concat([directory, registry]).dropna(subset="provider_name").drop_duplicates("npi")
    panel = active.groupby("npi").agg(
        is_closed=("is_closed", "all"), is_unknown=("is_unknown", "all"), has_telehealth=("telehealth", "any")
    )
    found = found.join(panel, on="npi").assign(
        network_id=pd.NA,
        rows=1,
        is_seen=found["npi"].isin(seen_providers(exports, as_of)),
        provider_name=found["npi"].map(names.set_index("npi")["provider_name"]).astype("string"),
        has_place=found["latitude"].notna(),
        lacks_network=~found["npi"].isin(complete),
    )
    unknown_panel = found["is_closed"].isna()
    found["is_closed"] = found["is_closed"].eq(True).fillna(False).astype(bool)
    found["is_unknown"] = found["is_unknown"].eq(True).fillna(False).astype(bool) | unknown_panel
    found["has_telehealth"] = found["has_telehealth"].eq(True).fillna(False).astype(bool)
    found[["visits", "patients"]] = found[["visits", "patients"]].fillna(0).astype("Int64")
    return found.sort_values(["npi", "specialty", "zip", "latitude", "longitude"], ignore_index=True)


def listed_for_all(active: pd.DataFrame, networks: list[str | None]) -> set[str]:
    """Return the NPIs that have an active row for each of some networks; a blank on either side matches."""
    if active.empty:
        return set()
    everywhere = set(active["npi"])
    for network_id in networks:
        if not pd.isna(network_id):
            everywhere &= set(active.loc[active["network_id"].isna() | (active["network_id"] == network_id), "npi"])
    return everywhere


def name_specialties(exports: Exports, seen: pd.DataFrame, kind: Kind) -> pd.DataFrame:
    """Return specialty and taxonomy_code of rows with npi and taxonomy_code.

    Where the code says no specialty of the standard, the provider's first code that does counts, of the
    directory or else the registry; NA where there is none.
    """
    given = pd.concat(
        [
            to_pandas(exports.table(name).select("npi", "taxonomy_code").unique().sort("npi", "taxonomy_code"))
            for name in ("directory", "providers")
        ]
    )
    given["specialty"] = specialty_of(given["taxonomy_code"], kind)
    known = given.dropna(subset="specialty").drop_duplicates("npi").set_index("npi")
    named = pd.DataFrame({"specialty": specialty_of(seen["taxonomy_code"], kind)})
    is_blank = named["specialty"].isna() & seen["npi"].isin(known.index)
    named["taxonomy_code"] = seen["taxonomy_code"].astype("string")
    for column in ("specialty", "taxonomy_code"):
        named[column] = named[column].mask(is_blank, seen["npi"].map(known[column]).astype("string"))
    return named


def _read_directory(exports: Exports, as_of: date, kind: Kind) -> pd.DataFrame:
    """Return all directory rows, whether active on the day, those of a provider that are nearest to it first."""
    rows = to_pandas(
        exports.table("directory")
        .with_columns(is_active=in_span(nw.lit(as_of), "effective_date", "termination_date"))
        .sort("npi", "taxonomy_code", "network_id", "location_id", "zip", "effective_date")
    )
    rows["specialty"] = specialty_of(rows["taxonomy_code"], kind)
    rows = judge_panels(rows)
    rows["telehealth"] = rows["telehealth"].fillna(False).astype(bool)
    day = pd.Timestamp(as_of)
    ended = (day - rows["termination_date"]).where(rows["termination_date"] < day)
    rows["days_off"] = ended.fillna(rows["effective_date"] - day).dt.days.where(~rows["is_active"].astype(bool), 0)
    return rows.sort_values(["npi", "days_off"], kind="stable", ignore_index=True)


def _read_claims(exports: Exports, as_of: date, kind: Kind) -> pd.DataFrame:
    """Return npi, specialty, taxonomy_code, visits and patients OON in the twelve months."""
    first, last = window(as_of)
    visits = (
        visit_lines(exports, first, last)
        .filter(nw.col("is_out_of_network"))
        .group_by("member_id", "provider_npi", "service_date")
        .agg(taxonomy_code=nw.col("taxonomy_code").max())
    )
    seen = to_pandas(
        visits.group_by("member_id", "provider_npi", "taxonomy_code")
        .agg(visits=nw.len())
        .sort("provider_npi", "taxonomy_code", "member_id")
    ).rename(columns={"provider_npi": "npi"})
    seen[["specialty", "taxonomy_code"]] = name_specialties(exports, seen, kind)
    return seen.groupby(["npi", "specialty"], dropna=False, as_index=False).agg(
        taxonomy_code=("taxonomy_code", "min"), visits=("visits", "sum"), patients=("member_id", "nunique")
    )


def _find_places(directory: pd.DataFrame, registry: pd.DataFrame) -> pd.DataFrame:
    """Return npi, zip, latitude and longitude of every place known of a provider."""
    nearest = directory[directory["days_off"] == directory.groupby("npi")["days_off"].transform("min")]
    given = pd.concat([registry[_PLACE], nearest[_PLACE]], keys=[0, 1], names=["rank", None]).reset_index("rank")
    is_placed = locate(given.reset_index(drop=True).assign(county_fips=pd.NA))["latitude"].notna().to_numpy()
    given["rank"] += np.where(is_placed, 0, 2)  # a place that cannot be found is better than none
    best = given[given["rank"] == given.groupby("npi")["rank"].transform("min")]
    return best[_PLACE].drop_duplicates()
