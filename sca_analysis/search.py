"""Which providers of a specialty were there for one patient on one day, and why each of the others does not count.

In: wanted searches (a home, a network, a specialty, a day) and the whole directory, rows of other days and
networks included. Out: one row a search and provider, the best of its directory rows, with the reason.
"""

from collections.abc import Iterator

import narwhals as nw
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial import cKDTree

from sca_analysis import places
from sca_analysis.claims import as_days, window
from sca_analysis.exports import Exports, to_pandas
from sca_analysis.network import VECTOR, Criteria, judge_panels, locate, provider_names
from sca_analysis.standards import load_counties, load_taxonomy, specialty_of
from sca_analysis.tables import SEARCHED

#: Providers beyond the standard's distance that are named, where a search finds nobody usable within it.
BEYOND = 3
_ROW = ["npi", "taxonomy_code", "network_id", "zip", "latitude", "longitude", "effective_date", "termination_date"]
_ALIKE = [*_ROW, "accepting_new_patients", "telehealth", "languages"]


def find_limits(exports: Exports, criteria: Criteria, wanted: pd.DataFrame) -> pd.Series:
    """Return the standard's maximum distance of each search [miles]; NaN where none is set or the county is unknown.

    Parameters
    ----------
    exports : Exports
    criteria : Criteria
        A county's own number comes before that of its county type.
    wanted : DataFrame
        county_fips and specialty.

    """
    counties = load_counties(exports.overrides("counties"))
    types = wanted["county_fips"].map(counties.set_index("county_fips")["county_type"])
    keys = pd.DataFrame({"specialty": wanted["specialty"], "county_type": types})
    standard = criteria.standard[["specialty", "county_type", "max_miles"]]
    limits = keys.merge(standard, on=["specialty", "county_type"], how="left", validate="m:1")["max_miles"]
    limits = pd.to_numeric(limits).set_axis(wanted.index).astype("float64")
    if criteria.counties is None:
        return limits
    own = criteria.counties[["county_fips", "specialty", "max_miles"]].dropna()
    given = wanted[["county_fips", "specialty"]].merge(own, how="left", validate="m:1")["max_miles"]
    return pd.to_numeric(given).set_axis(wanted.index).astype("float64").fillna(limits)


def search_providers(exports: Exports, wanted: pd.DataFrame) -> pd.DataFrame:
    """Return every provider of the specialty within the distance, and the nearest beyond it where none is usable.

    Parameters
    ----------
    exports : Exports
    wanted : DataFrame
        One row a search: case_id, provider_npi (the provider asked for, who is not searched), specialty, day,
        network_id (NA = of every network), x, y, z (home on the unit sphere, NaN = no known place) and max_miles
        (NaN = no standard). Those without place or standard find nobody.

    Returns
    -------
    DataFrame
        Columns of ``tables.SEARCHED``, sorted by case_id, usable ones first, then by obstacle and miles. Of the rows
        of a provider the one nearest to being usable counts: closed to new patients; ended, or not yet begun, on
        the day; of another network; beyond the distance. Of several such, the one nearest to the home.
        Miles are straight lines. Minutes are not asked for: a provider in range by miles alone counts as in range.

    """
    rows = _read_directory(exports, wanted["specialty"].dropna().unique().tolist())
    parts = [part for _, part in _search_specialties(wanted, rows)]
    columns = ["case_id", "npi", "taxonomy_code", "miles", "languages", "telehealth", "is_usable", "why_not", "day"]
    columns += ["obstacle"]
    found = pd.concat(parts)[columns] if parts else pd.DataFrame(columns=columns)
    found = found.sort_values(["case_id", "obstacle", "miles", "npi", "taxonomy_code", "why_not"])
    found = found.drop_duplicates(["case_id", "npi"]).reset_index(drop=True)
    found["last_visit_date"] = _last_seen(exports, found["npi"], found["day"])
    found["provider_name"] = found["npi"].map(provider_names(exports))
    found["is_usable"] = found["is_usable"].astype(bool)
    return found[list(SEARCHED.names)]


def shorten(searched: pd.DataFrame, most: int = 10) -> pd.DataFrame:
    """Return the nearest ``most`` usable and the nearest ``most`` other providers of each search."""
    return searched[searched.groupby(["case_id", "is_usable"]).cumcount() < most].reset_index(drop=True)


def name_obstacles(why_not: pd.Series) -> pd.Series:
    """Return the reasons of ``tables.SEARCHED`` without the network, day or distance that each names."""
    return why_not.str.replace(r"(, .*| on .*)", "", regex=True)


def _read_directory(exports: Exports, specialties: list[str]) -> pd.DataFrame:
    """Return the directory rows of some specialties, of every day and network, each place once."""
    taxonomy = load_taxonomy()
    codes = taxonomy.loc[taxonomy["specialty"].isin(specialties), "taxonomy_code"].tolist()
    directory = exports.table("directory").filter(nw.col("taxonomy_code").is_in(codes)).select(*_ALIKE).unique()
    rows = to_pandas(directory.sort(*_ALIKE))
    rows["specialty"] = specialty_of(rows["taxonomy_code"])
    for day, blank in (("effective_date", "1800-01-01"), ("termination_date", "9999-12-31")):
        rows[day] = as_days(rows[day]).fillna(pd.Timestamp(blank))
    rows = locate(judge_panels(rows).assign(county_fips=pd.NA))
    return rows[rows["latitude"].notna()].reset_index(drop=True)


def _search_specialties(wanted: pd.DataFrame, rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    can_search = wanted[VECTOR].notna().all(axis=1) & wanted["max_miles"].notna()
    by_specialty = dict(tuple(rows.groupby("specialty")))
    for specialty, searches in wanted[can_search].groupby("specialty"):
        if specialty in by_specialty:
            yield str(specialty), _search(searches.reset_index(drop=True), by_specialty[specialty])


def _search(searches: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs of searches and rows of one specialty: within the distance, and the nearest usable beyond."""
    rows = rows.reset_index(drop=True)
    tree, spots = cKDTree(rows[VECTOR].to_numpy()), searches[VECTOR].to_numpy(dtype=float)
    parts = []
    for limit, same in searches.groupby("max_miles"):
        search, row, miles = places.pairs_within(spots[same.index], tree, float(limit))
        parts.append(_judge(searches, rows, same.index.to_numpy()[search], row, miles))
    near = pd.concat(parts)
    served = near.loc[near["is_usable"], "case_id"]
    alone = searches.index[~searches["case_id"].isin(served)].to_numpy()
    return pd.concat([near, *_nearest_beyond(searches, rows, tree, alone)])


def _nearest_beyond(
    searches: pd.DataFrame, rows: pd.DataFrame, tree: cKDTree, alone: npt.NDArray[np.int64]
) -> Iterator[pd.DataFrame]:
    """Yield the providers nearest to some searches that would be usable but for the distance."""
    spots = searches[VECTOR].to_numpy(dtype=float)
    wide = 8 * BEYOND
    while len(alone):
        wide = min(wide, len(rows))
        _, nearest = tree.query(spots[alone], k=[*range(1, wide + 1)])
        search, row = np.repeat(alone, wide), nearest.ravel()
        miles = places.great_circle_miles(spots[search], rows[VECTOR].to_numpy()[row])
        judged = _judge(searches, rows, search, row, miles)
        limit = searches["max_miles"].to_numpy()[judged["number"]]
        beyond = judged[judged["is_usable"] & (judged["miles"] > limit)].sort_values(["number", "miles", "npi"])
        beyond = beyond.drop_duplicates(["number", "npi"])
        beyond = beyond[beyond.groupby("number").cumcount() < BEYOND]
        found = beyond["number"].value_counts().reindex(alone, fill_value=0).to_numpy()
        done = alone[(found == BEYOND) | (wide == len(rows))]
        words = searches["max_miles"].map("beyond {:g} miles".format)
        beyond = beyond[beyond["number"].isin(done)]
        yield beyond.assign(is_usable=False, why_not=beyond["number"].map(words), obstacle=5)
        alone = alone[~np.isin(alone, done)]
        wide *= 4


def _judge(
    searches: pd.DataFrame,
    rows: pd.DataFrame,
    search: npt.NDArray[np.int64],
    row: npt.NDArray[np.int64],
    miles: places.Floats,
) -> pd.DataFrame:
    """Return pairs of searches and rows with the reason why each does not count; blank where it does."""
    others = rows["npi"].to_numpy(dtype=object)[row] != searches["provider_npi"].to_numpy(dtype=object)[search]
    search, row, miles = search[others], row[others], miles[others]
    mine = searches.loc[search, ["case_id", "day", "network_id"]].reset_index(drop=True).assign(number=search)
    pairs = rows.iloc[row].reset_index(drop=True).rename(columns={"network_id": "row_network"}).join(mine)
    other = pairs["row_network"].notna() & pairs["network_id"].notna() & (pairs["row_network"] != pairs["network_id"])
    reasons = [
        other,
        pairs["termination_date"] < pairs["day"],
        pairs["effective_date"] > pairs["day"],
        pairs["is_closed"],
    ]
    words = [
        "in another network, " + pairs["row_network"].astype("string").fillna(""),
        "left the network on " + pairs["termination_date"].dt.strftime("%Y-%m-%d"),
        "not yet in the network, from " + pairs["effective_date"].dt.strftime("%Y-%m-%d"),
        pd.Series("closed to new patients", index=pairs.index),
    ]
    flags = [np.asarray(reason, dtype=np.bool_) for reason in reasons]
    why = np.select(flags, [word.to_numpy(dtype=object) for word in words], "")
    obstacle = np.select(flags, [4, 2, 3, 1], 0)
    return pairs.assign(miles=miles, why_not=why, obstacle=obstacle, is_usable=obstacle == 0)


def _last_seen(exports: Exports, npis: pd.Series, days: pd.Series) -> pd.Series:
    """Return the last claim of each provider in the twelve months to its day; NaT where there is none."""
    if npis.empty:
        return pd.Series(dtype="datetime64[us]")
    days = as_days(days)
    first = window(days.min().date())[0]
    claims = exports.table("claims").filter(
        nw.col("service_date").is_between(first, days.max().date()),
        nw.col("provider_npi").is_in(npis.unique().tolist()),
    )
    seen = to_pandas(claims.select("provider_npi", "service_date").unique())
    seen["service_date"] = as_days(seen["service_date"])
    asked = pd.DataFrame({"provider_npi": npis.astype("string"), "day": days, "number": npis.index})
    last = pd.merge_asof(
        asked.sort_values("day"),
        seen.astype({"provider_npi": "string"}).sort_values("service_date"),
        left_on="day",
        right_on="service_date",
        by="provider_npi",
    ).set_index("number")["service_date"]
    last = last.reindex(npis.index)
    begins = days.map({day: pd.Timestamp(window(day.date())[0]) for day in days.unique()})
    return last.where(last >= begins)
