"""Is the directory true? Each listing beside what the claims and the other listings say of it.

In: the directory as exported, a ``Network`` and the claims of its twelve months. Out: one row a listed
provider and specialty with the visits seen and the patients to be expected, and one row a finding. A listing
without claims is no proof of a ghost: how many patients it should have had decides what can be said.
"""

import narwhals as nw
import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from sca_analysis.claims import window
from sca_analysis.exports import Exports, to_pandas
from sca_analysis.network import LATEST, Network, locate
from sca_analysis.reach import find_pairs, group_homes, list_rows
from sca_analysis.standards import load_taxonomy, specialty_of
from sca_analysis.tables import LISTING_FINDINGS, LISTINGS

#: Share of false alarms accepted among the listings called unseen beyond chance [Benjamini and Hochberg 1995].
FALSE_ALARMS = 0.05
SEEN = "seen"
UNLIKELY = "unseen, unlikely by chance"
CHANCE = "unseen, may be chance"
NOBODY = "unseen, no patients expected"

_PLACE = ["zip", "latitude", "longitude", "county_fips", "network_id"]
_WORDS = {
    "ghost": "listed as taking new patients, without a claim in twelve months, and chance is an unlikely reason",
    "unseen": "listed as taking new patients, without a claim in twelve months; that may be chance",
    "terminated": "every listing has ended",
    "seen_after_end": "claims after every listing had ended: the directory may be behind",
    "not_yet_effective": "every listing begins later",
    "wrong_network": "listed on the day only in networks that no member is in",
    "closed_panel": "every active listing is closed to new patients",
    "duplicate": "active listings that repeat provider, network, specialty and place",
    "several_specialties": "active listings under several specialties of the standard",
    "several_places": "active listings at several places: one provider, counted once",
    "several_npis": "same name, specialty and ZIP under several NPIs",
    "no_specialty": "taxonomy code outside the standard: counted for no specialty",
    "organization": "taxonomy code of a group or facility: counted as no provider",
    "not_placed": "ZIP without a known place: in range of nobody",
    "deactivated": "NPI no longer in use by the registry, yet listed as active",
}


def judge_listings(exports: Exports, network: Network) -> pd.DataFrame:
    """Return each provider listed for the members on the day, with what claims could be expected and were seen.

    Parameters
    ----------
    exports : Exports
    network : Network
        Its rows are the listings; its standard gives the range.

    Returns
    -------
    DataFrame
        Columns of ``tables.LISTINGS``, by specialty and NPI.

    Notes
    -----
    Patients to be expected: patients of a specialty with a visit to a listed provider, by the place of their
    home, shared equally among the listed providers in range of it. The chance of none is
    (1 + d x)^(-1/d) for x patients expected, with the dispersion d between the providers of the specialty
    (moments; 0 gives the Poisson's exp(-x)). Providers without claims widen d, so the test errs on
    the side of chance. The verdict *unlikely by chance* keeps the share of false alarms at ``FALSE_ALARMS``
    over all unseen listings that were tested.

    """
    rows = network.rows.dropna(subset=["specialty"])
    rows = rows[network.is_for_members(rows)]
    use = _use(exports, network, rows)
    keys = ["npi", "specialty"]
    listed = rows.groupby(keys, as_index=False).agg(
        listings=("rows", "sum"),
        places=("zip", "nunique"),
        is_closed=("is_closed", "all"),
        panel_unknown=("is_unknown", "all"),
    )
    table = listed.merge(use.groupby(keys, as_index=False)[["patients", "visits"]].sum(), on=keys, how="left")
    table[["patients", "visits"]] = table[["patients", "visits"]].fillna(0).astype("int64")
    table = table.merge(_last_visits(exports, network), on="npi", how="left")
    table = table.merge(_expect(network, use), on=keys, how="left")
    table["expected_patients"] = table["expected_patients"].fillna(0.0)
    totals = table.groupby("specialty")[["patients", "visits"]].transform("sum")
    per_patient = (totals["visits"] / totals["patients"].where(totals["patients"] > 0)).astype("float64").fillna(0.0)
    table["expected_visits"] = table["expected_patients"] * per_patient
    table["chance_of_none"] = _chance_of_none(table)
    table["verdict"] = _verdicts(table)
    table["provider_name"] = table["npi"].map(network.names)
    return table[list(LISTINGS.names)].sort_values(["specialty", "npi"], ignore_index=True)


def find_faults(exports: Exports, network: Network, listings: pd.DataFrame) -> pd.DataFrame:
    """Return what is doubtful in the directory: columns of ``tables.LISTING_FINDINGS``, one row a finding.

    Parameters
    ----------
    exports : Exports
    network : Network
    listings : DataFrame
        As `judge_listings`.

    """
    rows = to_pandas(exports.table("directory")).rename(columns={"taxonomy_code": "code"})
    rows["specialty"] = specialty_of(rows["code"])
    day = pd.Timestamp(network.as_of)
    rows["has_begun"] = rows["effective_date"].isna() | (pd.to_datetime(rows["effective_date"]) <= day)
    rows["has_ended"] = rows["termination_date"].notna() & (pd.to_datetime(rows["termination_date"]) < day)
    rows["is_active"] = rows["has_begun"] & ~rows["has_ended"]
    rows["is_ours"] = network.is_for_members(rows)
    active = rows[rows["is_active"] & rows["is_ours"]]
    others = rows[rows["is_ours"] & ~rows["npi"].isin(active["npi"])]
    ended = others[others["has_ended"]]
    located = locate(active[["zip", "latitude", "longitude"]].assign(county_fips=pd.NA))
    active = active.assign(place=located["latitude"].astype("string") + " " + located["longitude"].astype("string"))
    unseen = listings[~listings["is_closed"] & (listings["visits"] == 0)]
    elsewhere = rows[rows["is_active"] & ~rows["npi"].isin(rows.loc[rows["is_ours"], "npi"])]
    alike = ["npi", "network_id", "code", "zip", "latitude", "longitude", "location_id"]
    named = active.dropna(subset=["specialty"])
    same_name = named.groupby([named["provider_name"].str.casefold(), "specialty", "zip"])["npi"].transform("nunique")
    entities = load_taxonomy().set_index("taxonomy_code")["entity"]
    entity = active["code"].str.strip().str.upper().map(entities)
    parts = {
        "ghost": unseen[unseen["verdict"] == UNLIKELY],
        "unseen": unseen[unseen["verdict"] != UNLIKELY],
        "terminated": ended,
        "seen_after_end": _seen_after_end(exports, network, ended),
        "not_yet_effective": others[~others["has_begun"] & ~others["npi"].isin(ended["npi"])],
        "wrong_network": elsewhere,
        "closed_panel": listings[listings["is_closed"]],
        "duplicate": active[active.duplicated(alike, keep=False)],
        "several_specialties": _several(named, "specialty"),
        "several_places": _several(active, "place"),
        "several_npis": named[same_name > 1],
        "no_specialty": active[active["specialty"].isna() & (entity == "individual")],
        "organization": active[entity == "group_or_facility"],
        "not_placed": active[located["latitude"].isna()],
        "deactivated": active[active["npi"].isin(_deactivated(exports, network))],
    }
    found = [
        part.groupby("npi", as_index=False)
        .agg(specialty=("specialty", _join), rows=("npi", "size"))
        .assign(finding=finding, meaning=_WORDS[finding])
        for finding, part in parts.items()
        if len(part)
    ]
    found += _repeats_set_aside(exports)
    if not found:
        return pd.DataFrame(columns=list(LISTING_FINDINGS.names))
    table = pd.concat(found, ignore_index=True)
    table["provider_name"] = table["npi"].map(network.names)
    kinds = pd.Categorical(table["finding"], list(_WORDS), ordered=True)
    table = table.assign(order=kinds).sort_values(["order", "npi"], ignore_index=True)
    return table[list(LISTING_FINDINGS.names)]


def count_faults(findings: pd.DataFrame, providers: int) -> pd.DataFrame:
    """Return finding, providers, of_providers and meaning, also of the kinds that were looked for and not found."""
    counts = findings.groupby("finding")["npi"].nunique()
    return pd.DataFrame(
        {
            "finding": list(_WORDS),
            "providers": [int(counts.get(kind, 0)) for kind in _WORDS],
            "of_providers": providers,
            "meaning": list(_WORDS.values()),
        }
    )


def _use(exports: Exports, network: Network, rows: pd.DataFrame) -> pd.DataFrame:
    """Return npi, specialty, home (number of the row of Network.homes, -1 = elsewhere), patients and visits.

    A provider listed under several specialties counts its visits under each. Homes are those of the coverage
    span that began last.
    """
    first, last = window(network.as_of)
    homes = exports.table("members").unique(["member_id"], keep="last", order_by=LATEST)
    used = (
        exports.table("claims")
        .filter(nw.col("service_date").is_between(first, last))
        .select("member_id", "service_date", npi="provider_npi")
        .unique()
        .group_by("member_id", "npi")
        .agg(visits=nw.len())
        .join(homes.select("member_id", *_PLACE), on="member_id", how="left")
        .group_by("npi", *_PLACE)
        .agg(patients=nw.len(), visits=nw.col("visits").sum())
    )
    use = locate(to_pandas(used)).astype({"patients": "int64", "visits": "int64"})
    # a place may stand in several rows: with its county given, and with the county of its ZIP
    numbered = network.homes[_PLACE].drop_duplicates().reset_index(names="home")
    use = use.merge(numbered, on=_PLACE, how="left")
    use["home"] = use["home"].fillna(-1).astype("int64")
    return use.merge(rows[["npi", "specialty"]].drop_duplicates(), on="npi")[
        ["npi", "specialty", "home", "patients", "visits"]
    ]


def _last_visits(exports: Exports, network: Network) -> pd.DataFrame:
    """Return npi and last_visit_date, up to the day."""
    return to_pandas(
        exports.table("claims")
        .filter(nw.col("service_date") <= network.as_of)
        .select("service_date", npi="provider_npi")
        .group_by("npi")
        .agg(last_visit_date=nw.col("service_date").max())
    )


def _expect(network: Network, use: pd.DataFrame) -> pd.DataFrame:
    """Return npi, specialty, expected_patients and members_in_range, of the listings in range of anybody."""
    demand = use[use["home"] >= 0].groupby(["specialty", "home"])["patients"].sum()
    specialties = [str(s) for s in network.standard["specialty"].unique()]
    listings = list_rows(network, specialties)
    wanted = {s: np.zeros(len(network.homes)) for s in specialties}
    for (specialty, home), patients in demand.items():
        if specialty in wanted:
            wanted[specialty][home] = patients
    size = {s: int(listing.npi.max(initial=-1)) + 1 for s, listing in listings.items()}
    expected = {s: np.zeros(n) for s, n in size.items()}
    members = {s: np.zeros(n, dtype=np.int64) for s, n in size.items()}
    for county in group_homes(network):
        at = county.numbers
        for line in county.lines:
            specialty = line["specialty"]
            listing = listings[specialty]
            pairs = find_pairs(county, listing, line, network.drive_times)
            if not len(pairs.home):
                continue
            # one pair a home and provider, however many of its places are in range
            home, provider = np.unique(np.stack([pairs.home, listing.npi[pairs.row]]), axis=1)
            share = wanted[specialty][at][home] / np.bincount(home, minlength=len(at))[home]
            expected[specialty] += np.bincount(provider, share, size[specialty])
            np.add.at(members[specialty], provider, county.weights[home])
    npis = network.rows["npi"].to_numpy(dtype=object)
    found = []
    for specialty, listing in sorted(listings.items()):
        first_row = listing.rows[np.unique(listing.npi, return_index=True)[1]]
        reached = members[specialty] > 0
        columns = {"npi": npis[first_row[reached]], "specialty": specialty}
        figures = {"expected_patients": expected[specialty][reached], "members_in_range": members[specialty][reached]}
        found.append(pd.DataFrame(columns | figures))
    kinds = {"npi": "str", "specialty": "str", "expected_patients": "float64", "members_in_range": "int64"}
    table = pd.concat(found) if found else pd.DataFrame(columns=list(kinds))
    return table.astype(kinds).sort_values(["npi", "specialty"], ignore_index=True)


def _chance_of_none(table: pd.DataFrame) -> pd.Series:
    """Return the chance that a listing sees no patient, with the dispersion of its specialty."""
    x, y = table["expected_patients"], table["patients"]
    surplus = ((y - x) ** 2 - x).groupby(table["specialty"]).transform("sum")
    squares = (x**2).groupby(table["specialty"]).transform("sum")
    d = (surplus / squares.where(squares > 0)).fillna(0.0).clip(lower=0.0)
    wide = d > 1e-9
    return np.exp(-x).where(~wide, (1 + d * x) ** (-1 / d.where(wide, 1.0)))


def _verdicts(table: pd.DataFrame) -> pd.Series:
    verdict = pd.Series(SEEN, index=table.index)
    unseen = table["visits"] == 0
    verdict[unseen] = NOBODY
    tested = unseen & (table["expected_patients"] > 0)
    if tested.any():
        adjusted = false_discovery_control(table.loc[tested, "chance_of_none"])
        verdict[tested] = np.where(adjusted <= FALSE_ALARMS, UNLIKELY, CHANCE)
    return verdict


def _several(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the rows of providers with more than one value of a column."""
    return rows[rows.groupby("npi")[column].transform("nunique") > 1]


def _seen_after_end(exports: Exports, network: Network, ended: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of providers with a claim after the end of the last of them."""
    last = ended["npi"].map(_last_visits(exports, network).set_index("npi")["last_visit_date"])
    end = pd.to_datetime(ended["termination_date"]).groupby(ended["npi"]).transform("max")
    return ended[pd.to_datetime(last) > end]


def _join(values: pd.Series) -> str:
    return "; ".join(sorted(values.dropna().unique()))


def _deactivated(exports: Exports, network: Network) -> pd.Series:
    ended = exports.table("providers").filter(nw.col("deactivation_date") <= network.as_of)
    return to_pandas(ended.select("npi").unique())["npi"]


def _repeats_set_aside(exports: Exports) -> list[pd.DataFrame]:
    """Return the duplicates that the check had set aside already, as findings."""
    repeats = exports.repeats("directory")
    if repeats.empty:
        return []
    repeats = repeats.assign(specialty=specialty_of(repeats["taxonomy_code"]))
    found = repeats.groupby("npi", as_index=False).agg(specialty=("specialty", _join), rows=("npi", "size"))
    return [found.assign(finding="duplicate", meaning="rows that repeat another one: set aside on reading")]
