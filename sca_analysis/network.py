"""On what adequacy is measured: homes of members, active directory rows, and the standard in force.

In: the exports of a plan and a day. Out: ``Network``, which the gap table and everything beside it is
made from; what-ifs change its rows and ask again. Members are grouped by place, so cost grows with places.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from sca_analysis import places
from sca_analysis.claims import in_span, window
from sca_analysis.errors import ParameterError
from sca_analysis.exports import Exports, read_table, to_pandas
from sca_analysis.readers.cms_reference import read_county_standards
from sca_analysis.standards import (
    MEDICARE_ADVANTAGE,
    STANDARDS,
    Kind,
    facility_types_without_code,
    load_counties,
    load_standards,
    specialty_of,
)
from sca_analysis.tables import STANDARDS as STANDARDS_TABLE
from sca_analysis.travel import DriveTimes

VECTOR = ["x", "y", "z"]  # of a place on the unit sphere
_PLACE = ["zip", "latitude", "longitude", "county_fips"]
#: Spans of coverage in order of their beginning; the rest leaves no two in doubt, whatever the engine.
LATEST = ["effective_date", "network_id", *_PLACE]


@dataclass(frozen=True)
class Criteria:
    """What a network has to meet.

    Attributes
    ----------
    name : str
        As shown beside the figures.
    standard : DataFrame
        As ``standards.load_standards``.
    counties : DataFrame, optional
        county_fips, specialty, max_miles, max_minutes and required_providers of single counties, as
        ``readers.cms_reference`` reads them: each takes the place of the county type's.
    note : str
        What of a file could not be used; blank = nothing.

    """

    name: str
    standard: pd.DataFrame
    counties: pd.DataFrame | None = None
    note: str = ""


def choose_criteria(exports: Exports, given: str | Path | None = None, kind: Kind = "provider") -> Criteria:
    """Return the criteria that a name or a file means, with the exports' own rows laid over them.

    Parameters
    ----------
    exports : Exports
    given : str or Path, optional
        A name of ``standards.STANDARDS``; CMS's reference workbook (.xlsx), whose numbers for single counties
        count; or a table in the columns of ``tables.STANDARDS`` (CSV or Parquet), which is then the whole
        standard. Without, what ``plan: {standard: …}`` of exports.yaml says, relative to its folder, or else
        the standard of Medicare Advantage.
    kind : {"provider", "facility"}
        Specialties or facility types (42 CFR 422.116(b)).

    Raises
    ------
    ParameterError
        If it is neither a name nor a file that can be read so.
    ExportError
        If the file is not as it should be.

    """
    if given is None and exports.plan.standard:
        given = exports.plan.standard if exports.plan.standard in STANDARDS else exports.folder / exports.plan.standard
    own = exports.overrides("standards") if kind == "provider" else None
    if given is None or str(given) in STANDARDS:
        name = str(given) if given else MEDICARE_ADVANTAGE
        criteria = Criteria(STANDARDS[name], load_standards(own, name=name, kind=kind))
    else:
        criteria = _read_criteria(Path(given), own, kind)
    if kind == "provider":
        return criteria
    # a row of these would say "nobody is listed", whatever the directory holds
    untold = criteria.standard["specialty"].isin(facility_types_without_code())
    types = ", ".join(sorted(criteria.standard.loc[untold, "specialty"].unique()))
    notes = [criteria.note, f"No taxonomy code tells these facility types, so they are left out: {types}."]
    return replace(criteria, standard=criteria.standard[~untold], note=" ".join(notes[not criteria.note :]))


def _read_criteria(path: Path, own: pd.DataFrame | None, kind: Kind) -> Criteria:
    """Return the criteria of a file; errors are those of `choose_criteria`."""
    if path.suffix == ".xlsx":
        read = read_county_standards(path)
        note = ""
        if len(read.unmatched):
            states = ", ".join(sorted(set(read.unmatched["state"])))
            note = (
                f"{len(read.unmatched)} of {read.counties:,} counties of {path.name} are not used: "
                f"no county of that name is known ({states})."
            )
        name = f"{STANDARDS[MEDICARE_ADVANTAGE]}, with the numbers of {path.name}"
        return Criteria(name, load_standards(own, kind=kind), read.table, note)
    if path.name.endswith((".csv", ".csv.gz", ".parquet")):
        return Criteria(path.name, load_standards(read_table(path, STANDARDS_TABLE), replace=True, kind=kind))
    raise ParameterError(
        f"{str(path)!r} is no standard: name one of {', '.join(STANDARDS)}, or a file .xlsx (CMS's reference "
        "workbook), .csv or .parquet."
    )


@dataclass(frozen=True)
class Network:
    """The members of a plan, who is listed for them, and what the standard asks.

    Attributes
    ----------
    as_of : date
        Day on which members are covered and directory rows active.
    homes : DataFrame
        Members that could be placed, by place and network: as `place_members`, with county_name, state
        and county_type.
    rows : DataFrame
        As `active_rows`, with ``is_seen``: the provider has a claim line in the twelve months to the day.
    criteria : Criteria
    drive_times : DriveTimes, optional
        Where minutes come from; without, miles alone decide.
    members, members_not_placed : int
        Members covered on the day, and those of them that are left out: their ZIP has no known place, or
        their county no type.
    names : Series
        Name by NPI, of every provider in the directory.
    spread : callable
        Takes places and returns what searches from all of them, as ``engines.Store.spread``.

    """

    as_of: date
    homes: pd.DataFrame
    rows: pd.DataFrame
    criteria: Criteria
    drive_times: DriveTimes | None
    members: int
    members_not_placed: int
    names: pd.Series = field(default_factory=lambda: pd.Series(dtype="str"))
    spread: Callable[[places.Floats], places.Search] = field(default=places.search_from, repr=False)

    @property
    def standard(self) -> pd.DataFrame:
        """The standard of the criteria, as ``standards.load_standards``."""
        return self.criteria.standard

    def is_for_members(self, rows: pd.DataFrame) -> pd.Series:
        """Tell which rows are of a network that a member is in; a blank on either side matches."""
        ours = self.homes["network_id"]
        return rows["network_id"].isna() | rows["network_id"].isin(ours.dropna()) | bool(ours.isna().any())

    def having(self, rows: pd.DataFrame) -> "Network":
        """Return the same network with other directory rows."""
        return replace(self, rows=rows.reset_index(drop=True))

    def without(self, npis: Iterable[str]) -> "Network":
        """Return the network once providers have left it, with all of their rows."""
        return self.having(self.rows[~self.rows["npi"].isin(set(npis))])

    def joined_by(self, rows: pd.DataFrame) -> "Network":
        """Return the network once providers have joined it: rows as `active_rows`, for every network."""
        return self.having(pd.concat([self.rows, rows.assign(network_id=None)], ignore_index=True))

    def driven(self, drive_times: DriveTimes | None) -> "Network":
        """Return the same network, judged by these driving times as well as by miles."""
        return replace(self, drive_times=drive_times)


def read_network(
    exports: Exports,
    as_of: date,
    criteria: Criteria | None = None,
    *,
    drive_times: DriveTimes | None = None,
    kind: Kind = "provider",
) -> Network:
    """Return what adequacy is measured on, on a day.

    Parameters
    ----------
    exports : Exports
    as_of : date
    criteria : Criteria, optional
        As `choose_criteria`, which is asked if not given.
    drive_times : DriveTimes, optional
        If not given, those of the exports' ``travel_times``; without any, miles alone decide.
    kind : {"provider", "facility"}
        Specialties or facility types (42 CFR 422.116(b)): of which the criteria are, and the rows become.

    """
    counties = load_counties(exports.overrides("counties"))
    homes = place_members(exports, as_of).merge(counties, on="county_fips", how="left", validate="m:1")
    is_placed = homes["county_type"].notna() & homes["latitude"].notna()
    rows = active_rows(exports, as_of, kind)
    rows["is_seen"] = rows["npi"].isin(seen_providers(exports, as_of))
    times = exports.overrides("travel_times")
    if drive_times is None and times is not None:
        drive_times = DriveTimes("driving minutes of the exports", minutes=times)
    return Network(
        as_of=as_of,
        homes=homes[is_placed].reset_index(drop=True),
        rows=rows,
        criteria=criteria or choose_criteria(exports, kind=kind),
        drive_times=drive_times,
        members=int(homes["members"].sum()),
        members_not_placed=int(homes.loc[~is_placed, "members"].sum()),
        names=provider_names(exports),
        spread=exports.store.spread,
    )


def place_members(exports: Exports, as_of: date) -> pd.DataFrame:
    """Return the members covered on a day, counted by place and network.

    Returns
    -------
    DataFrame
        zip, latitude, longitude [degrees], x, y, z (unit sphere), county_fips, network_id, members;
        one row a place and network. A member with several spans on the day counts once, by the one
        that began last.
        Coordinates come from the export or else the centre of the ZIP; the county from the export
        or else the ZIP or else, without either, the ZIP nearest to the coordinates.

    """
    where = [*_PLACE, "network_id"]
    grouped = covered_members(exports, as_of).group_by(*where).agg(members=nw.len()).sort(*where)
    return locate(to_pandas(grouped))


def covered_members(exports: Exports, as_of: date) -> nw.LazyFrame[Any]:
    """Return the span that counts of each member covered on a day: of several the one that began last."""
    return (
        exports.table("members")
        .filter(in_span(nw.lit(as_of), "effective_date", "termination_date"))
        .unique(["member_id"], keep="last", order_by=LATEST)
    )


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
        The rows of ``days`` with zip, latitude, longitude, county_fips and network_id, by the coverage
        span that began last up to the day or, where none had begun, by the first.

    """
    spans = to_pandas(
        exports.table("members")
        .join(exports.lift_keys(days[["member_id"]]), on="member_id", how="inner")
        .select("member_id", *_PLACE, "effective_date", "network_id")
        .sort(*LATEST)
    )
    mine = days.reset_index(names="number").merge(spans, on="member_id", how="left")
    has_begun = mine["effective_date"].isna() | (mine["effective_date"] <= mine["day"])
    best_first = pd.concat([mine[has_begun][::-1], mine[~has_begun]])
    homes = best_first.drop_duplicates("number").set_index("number")
    homes = homes[[*_PLACE, "network_id"]]
    return days.join(locate(homes)[list(homes)])


def active_rows(exports: Exports, as_of: date, kind: Kind = "provider") -> pd.DataFrame:
    """Return the directory rows active on a day: npi, network_id, specialty, place, panel, telehealth.

    Rows that agree in all of these are one, and ``rows`` says how many they were. ``is_closed`` is
    True only where the row says that no new patients are taken; ``is_unknown`` where it says
    nothing, which counts as accepting. ``has_telehealth`` is True where one of them says so.
    """
    alike = ["npi", "network_id", "zip", "taxonomy_code", "latitude", "longitude", "accepting_new_patients"]
    rows = to_pandas(
        exports.table("directory")
        .filter(in_span(nw.lit(as_of), "effective_date", "termination_date"))
        .group_by(*alike)
        .agg(rows=nw.len(), has_telehealth=nw.col("telehealth").fill_null(False).any())
        .sort(*alike)
    )
    rows["specialty"] = specialty_of(rows["taxonomy_code"], kind)
    return locate(judge_panels(rows).assign(county_fips=pd.NA))


def judge_panels(rows: pd.DataFrame) -> pd.DataFrame:
    """Return directory rows with is_closed and is_unknown, as in `active_rows`, for accepting_new_patients."""
    panel = rows["accepting_new_patients"]
    is_closed = panel.eq(False).fillna(False).astype(bool)
    return rows.drop(columns="accepting_new_patients").assign(is_closed=is_closed, is_unknown=panel.isna())


def provider_names(exports: Exports) -> pd.Series:
    """Return a name of each NPI in the directory, on any day: of several the first in order."""
    names = exports.table("directory").group_by("npi").agg(provider_name=nw.col("provider_name").min())
    return to_pandas(names).set_index("npi")["provider_name"]


def seen_providers(exports: Exports, as_of: date) -> pd.Series:
    """Return the NPIs with a claim line in the twelve months to a day, whatever came of the line."""
    first, last = window(as_of)
    lines = exports.table("claims").filter(nw.col("service_date").is_between(first, last))
    return to_pandas(lines.select("provider_npi").unique())["provider_npi"]


def locate(frame: pd.DataFrame) -> pd.DataFrame:
    """Fill blank coordinates and counties from the ZIP, or the county from the coordinates."""
    zips = places.locate_zips(frame["zip"])
    located = frame.copy()
    latitude, longitude = (frame[axis].to_numpy(dtype=float, na_value=np.nan) for axis in ("latitude", "longitude"))
    given = places.has_location(latitude, longitude)  # half a pair of coordinates is none
    located["latitude"] = zips["latitude"].where(~given, latitude)
    located["longitude"] = zips["longitude"].where(~given, longitude)
    found = places.has_location(located["latitude"], located["longitude"])
    located[VECTOR] = np.nan
    vectors = places.to_unit_vectors(located.loc[found, "latitude"], located.loc[found, "longitude"])
    located.loc[found, VECTOR] = vectors
    located["county_fips"] = frame["county_fips"].astype("string").fillna(zips["county_fips"])
    lost = (located["county_fips"].isna() & found).to_numpy()
    if lost.any():
        located.loc[lost, "county_fips"] = places.nearest_counties(located.loc[lost, VECTOR].to_numpy())
    return located
