"""Who is in range of whom: for each county and specialty, the places of members and the rows of the directory.

In: a ``Network``. Out: counties with their homes, listings with search trees, and the pairs of home and row
within the standard's miles (and minutes, where the network has drive times).
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial import cKDTree

from sca_analysis import places, travel
from sca_analysis.network import VECTOR, Network
from sca_analysis.travel import DriveTimes

Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
Line = dict[Hashable, Any]  # one row of the standard
_APART = 10.0  # no two places on the unit sphere are further apart than 2


@dataclass(frozen=True)
class Homes:
    """The homes of a county whose members are of one network: places on the unit sphere, members, names of places."""

    spots: places.Floats
    members: Integers
    keys: npt.NDArray[np.object_]  # as the drive times name places
    numbers: Integers  # of the rows of Network.homes


@dataclass(frozen=True)
class County:
    """A county with members: its homes by network (None = blank), and its lines of the standard."""

    fips: str
    name: str
    county_type: str
    homes: dict[str | None, Homes]
    lines: list[Line]

    @cached_property
    def weights(self) -> Integers:
        """The members at each home, network by network."""
        return np.concatenate([part.members for part in self.homes.values()])

    @cached_property
    def numbers(self) -> Integers:
        """The numbers of the rows of Network.homes, in the same order."""
        return np.concatenate([part.numbers for part in self.homes.values()])


@dataclass(frozen=True)
class Sites:
    """The rows of a listing that are active for the members of one network."""

    active: Integers  # numbers of the rows within the listing
    placed: Integers  # of those, the rows with a known place: one for each point of the tree
    tree: cKDTree
    open_tree: cKDTree  # those of the points where the panel is not closed


@dataclass(frozen=True)
class Listing:
    """The active rows of a specialty, as arrays, and by network of the members those that count for them."""

    specialty: str
    rows: Integers  # numbers of the rows of Network.rows
    npi: Integers  # a number for each provider
    is_closed: Flags
    is_unknown: Flags
    is_seen: Flags
    keys: npt.NDArray[np.object_]
    sites: dict[str | None, Sites]

    def count(self, rows: Flags) -> int:
        """Return the number of distinct providers among some of the rows."""
        return int(np.count_nonzero(np.bincount(self.npi[rows])))


class Pairs(NamedTuple):
    """Homes and rows in range of each other.

    ``home`` numbers the homes of the county, network by network; ``row`` the rows of the listing; ``miles``
    are great circles; ``estimated`` counts pairs within the miles whose minutes no table gave.
    """

    home: Integers
    row: Integers
    miles: places.Floats
    estimated: int
    looked_up: int


class Sweep(NamedTuple):
    """Who is in range in every county, of one specialty.

    ``miles`` to the nearest usable row, ``near`` (a usable row is in range) and ``near_listed`` (any row is) have
    one value a row of Network.homes; ``county`` and ``row`` are the pairs of a county and a row of the listing
    in range of at least one member of it; ``looked_up`` and ``estimated`` as in `Pairs`.
    """

    miles: places.Floats
    near: Flags
    near_listed: Flags
    county: Integers
    row: Integers
    looked_up: int
    estimated: int


class Atlas:
    """All counties of a network, prepared so that one search serves all of them.

    ``counties`` are those of `group_homes`; ``county`` numbers the county of each row of Network.homes.
    """

    def __init__(self, network: Network) -> None:
        """Group the homes of a network by county and network."""
        self.counties = list(group_homes(network))
        self.drive_times = network.drive_times
        self.county = np.zeros(len(network.homes), dtype=np.int64)
        for number, county in enumerate(self.counties):
            self.county[county.numbers] = number
        self._parts = {
            _none(network_id): _Part(
                part[VECTOR].to_numpy(), part.index.to_numpy(np.int64), self.county[part.index], network.spread
            )
            for network_id, part in network.homes.groupby("network_id", dropna=False)
        }

    def sweep(self, listing: Listing, lines: Sequence[Line | None]) -> Sweep:
        """Search the range of every county that has a line of the standard for the specialty of the listing."""
        radius = np.array(
            [
                np.nan if line is None else search_radius(county, line, self.drive_times)
                for county, line in zip(self.counties, lines, strict=True)
            ]
        )
        miles = np.full(len(self.county), np.inf)
        for network_id, part in self._parts.items():
            miles[part.homes] = part.nearest_miles(listing.sites[network_id].open_tree)
        if self.drive_times is not None and self.drive_times.minutes is not None:
            return self._sweep_pairs(listing, lines, miles)
        found = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]  # also of nobody
        found += [part.in_range(listing.sites[network_id], radius) for network_id, part in self._parts.items()]
        county, row = (np.concatenate(part) for part in zip(*found, strict=True))
        limit = radius[self.county]
        near = miles <= limit
        near_listed = near.copy()
        for network_id, part in self._parts.items():
            sites = listing.sites[network_id]
            if sites.tree.n > sites.open_tree.n:  # closed panels may reach those whom no open one does
                far = np.flatnonzero(~near[part.homes] & ~np.isnan(limit[part.homes]))
                home = part.homes[far]
                near_listed[home] = part.miles_of(far, sites.tree) <= limit[home]
        return Sweep(miles, near, near_listed, county, row, 0, 0)

    def _sweep_pairs(self, listing: Listing, lines: Sequence[Line | None], miles: places.Floats) -> Sweep:
        """Search by pairs of home and row, since minutes are given for pairs."""
        near, near_listed = np.zeros((2, len(self.county)), dtype=np.bool_)
        counties, rows = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        looked_up = estimated = 0
        for number, (county, line) in enumerate(zip(self.counties, lines, strict=True)):
            if line is None:
                continue
            pairs = find_pairs(county, listing, line, self.drive_times)
            looked_up, estimated = looked_up + pairs.looked_up, estimated + pairs.estimated
            near_listed[county.numbers[pairs.home]] = True
            near[county.numbers[pairs.home[~listing.is_closed[pairs.row]]]] = True
            rows.append(np.unique(pairs.row))
            counties.append(np.full(len(rows[-1]), number))
        return Sweep(miles, near, near_listed, np.concatenate(counties), np.concatenate(rows), looked_up, estimated)


class _Part:
    """The homes whose members are of one network: a circle around those of each county, and one tree of all.

    The tree has a fourth axis that keeps the counties further apart than any two places are, so that the home
    of a given county nearest to a row is found without a tree for each county.
    """

    def __init__(
        self,
        spots: places.Floats,
        homes: Integers,
        county: Integers,
        spread: Callable[[places.Floats], places.Search],
    ) -> None:
        """Draw the circles and build the tree: places on the unit sphere, their numbers and those of their counties."""
        self.spots, self.homes, self.nearest_miles = spots, homes, spread(spots)
        self.numbers, inverse, counts = np.unique(county, return_inverse=True, return_counts=True)
        sums = [np.bincount(inverse, axis) for axis in spots.T]
        self.centres = np.stack(sums, axis=1) / counts[:, None]
        self.reach = np.zeros(len(counts))
        np.maximum.at(self.reach, inverse, np.linalg.norm(spots - self.centres[inverse], axis=1))
        self.tree = cKDTree(np.column_stack([spots, county * _APART]))

    def miles_of(self, some: Integers, tree: cKDTree) -> places.Floats:
        """Return the miles from some of the homes to the nearest point of a tree."""
        if 2 * len(some) > len(self.spots):  # many: as all are searched, which may be on many machines
            return self.nearest_miles(tree)[some]
        return places.nearest_miles(self.spots[some], tree, workers=-1)

    def in_range(self, sites: Sites, radius: places.Floats) -> tuple[Integers, Integers]:
        """Return the pairs of county and row in range of a home of the county; ``radius`` [miles] by county."""
        asked = np.flatnonzero(~np.isnan(radius[self.numbers]))
        none = np.zeros(0, dtype=np.int64)
        if not len(asked) or not sites.tree.n:
            return none, none
        # a chord is shorter than its arc, so this circle is never too small; the surplus covers rounding
        wide = self.reach[asked] + radius[self.numbers[asked]] / places.EARTH_RADIUS_MILES
        found = sites.tree.query_ball_point(self.centres[asked], wide * (1 + 1e-9) + 1e-12, workers=-1)
        county = np.repeat(self.numbers[asked], [len(f) for f in found])
        if not len(county):
            return none, none
        point = np.concatenate([np.asarray(f, dtype=np.int64) for f in found])
        where = np.asarray(sites.tree.data)[point]
        _, home = self.tree.query(np.column_stack([where, county * _APART]), workers=-1)
        near = places.great_circle_miles(where, self.spots[home]) <= radius[county]
        return county[near], sites.placed[point[near]]


def group_homes(network: Network) -> Iterator[County]:
    """Yield the counties with members, in order of their FIPS codes."""
    standard = network.standard
    lines = {t: part.sort_values("specialty").to_dict("records") for t, part in standard.groupby("county_type")}
    own = _by_cell(network)
    homes = network.homes
    spots, members = homes[VECTOR].to_numpy(), homes["members"].to_numpy(np.int64)
    keys = _place_keys(homes, network.drive_times)
    columns = [homes[c].to_numpy(dtype=object) for c in ("county_fips", "county_name", "state", "county_type")]
    county_code, _ = pd.factorize(homes["county_fips"], sort=True)
    network_code, networks = pd.factorize(homes["network_id"], sort=True, use_na_sentinel=True)
    network_code = np.where(network_code < 0, len(networks), network_code)  # a blank comes last
    names = [*networks, None]
    # numpy, not a groupby of frames: there are thousands of counties with a few homes each
    order = np.lexsort((network_code, county_code))
    code = county_code[order]
    for at in np.split(order, np.flatnonzero(np.diff(code)) + 1) if len(order) else []:
        fips, name, state, county_type = (column[at[0]] for column in columns)
        theirs = np.split(at, np.flatnonzero(np.diff(network_code[at])) + 1)
        yield County(
            fips=str(fips),
            name=f"{name}, {state}",
            county_type=county_type,
            homes={
                names[network_code[part[0]]]: Homes(spots[part], members[part], keys[part], part) for part in theirs
            },
            lines=[
                line | given if (given := own.get((fips, line["specialty"]))) else line
                for line in lines.get(county_type, [])
            ],
        )


def list_rows(network: Network, specialties: Sequence[str]) -> dict[str, Listing]:
    """Return the active rows of each specialty, also where there are none."""
    networks = [_none(n) for n in network.homes["network_id"].unique()]
    by_specialty = dict(tuple(network.rows.groupby("specialty")))
    nobody = network.rows[:0]
    keys = _place_keys(network.rows, network.drive_times)
    return {s: _list_active(s, by_specialty.get(s, nobody), networks, keys) for s in specialties}


def find_pairs(county: County, listing: Listing, line: Line, drive_times: DriveTimes | None) -> Pairs:
    """Return the pairs of a county's homes and a specialty's rows that are in range of each other."""
    radius = search_radius(county, line, drive_times)
    found: list[tuple[Integers, Integers, places.Floats]] = []
    before = 0
    for network_id, homes in county.homes.items():
        sites = listing.sites[network_id]
        home, point, miles = places.pairs_within(homes.spots, sites.tree, radius)
        found.append((home + before, sites.placed[point], miles))
        before += len(homes.spots)
    home, row, miles = (np.concatenate(part) for part in zip(*found, strict=True))
    limit = line["max_minutes"]
    if drive_times is None or drive_times.minutes is None or pd.isna(limit):
        return Pairs(home, row, miles, 0, 0)
    names = np.concatenate([homes.keys for homes in county.homes.values()])
    minutes = drive_times.look_up(names[home], listing.keys[row])
    unknown = np.isnan(minutes)
    minutes[unknown] = travel.estimate_minutes(miles[unknown], county.county_type, drive_times.band)
    near = minutes <= limit
    return Pairs(home[near], row[near], miles[near], int(unknown.sum()), len(unknown))


def list_places(network: Network) -> pd.DataFrame:
    """Return origin and destination, as ``travel.point_key``, of every home and row within the standard's miles."""
    specialties = [str(s) for s in network.standard["specialty"].unique()]
    listings = list_rows(network, specialties)
    homes, rows = (
        travel.point_key(frame["latitude"], frame["longitude"]).to_numpy(dtype=object)
        for frame in (network.homes, network.rows)
    )
    parts = []
    for county in group_homes(network):
        for line in county.lines:
            listing = listings[line["specialty"]]
            pairs = find_pairs(county, listing, line, None)
            both = {"origin": homes[county.numbers[pairs.home]], "destination": rows[listing.rows[pairs.row]]}
            parts.append(pd.DataFrame(both).drop_duplicates())
    empty = pd.DataFrame({"origin": [], "destination": []}, dtype="object")
    return pd.concat([empty, *parts]).drop_duplicates(ignore_index=True)


def search_radius(county: County, line: Line, drive_times: DriveTimes | None) -> float:
    """Return the straight-line miles that are in range: the standard's or, if less, what its minutes reach."""
    miles = float(line["max_miles"])
    if pd.isna(line["max_minutes"]) or (pd.notna(miles) and (drive_times is None or drive_times.minutes is not None)):
        return miles
    band = drive_times.band if drive_times else "likely"
    # a rule may set minutes alone: then the estimate is all there is
    return float(np.fmin(miles, travel.reach_in_minutes(float(line["max_minutes"]), county.county_type, band)))


def _list_active(
    specialty: str, rows: pd.DataFrame, networks: list[str | None], keys: npt.NDArray[np.object_]
) -> Listing:
    points, is_located = rows[VECTOR].to_numpy(), rows["latitude"].notna().to_numpy()
    is_closed = rows["is_closed"].to_numpy()
    theirs = rows["network_id"].to_numpy(dtype=object)
    sites = {}
    for network_id in networks:
        # a blank on either side matches
        is_active = pd.isna(theirs) | (theirs == network_id) | np.full(len(rows), network_id is None)
        placed = np.flatnonzero(is_active & is_located)
        is_open = ~is_closed[placed]
        trees = cKDTree(points[placed]), cKDTree(points[placed[is_open]])
        sites[network_id] = Sites(np.flatnonzero(is_active), placed, *trees)
    return Listing(
        specialty=specialty,
        rows=rows.index.to_numpy(np.int64),
        npi=pd.factorize(rows["npi"])[0],
        is_closed=is_closed,
        is_unknown=rows["is_unknown"].to_numpy(),
        is_seen=rows["is_seen"].to_numpy(),
        keys=keys[rows.index],
        sites=sites,
    )


def _place_keys(frame: pd.DataFrame, drive_times: DriveTimes | None) -> npt.NDArray[np.object_]:
    """Return how the drive times name the place of each row; blanks where nobody asks."""
    if drive_times is None or drive_times.minutes is None:
        return np.full(len(frame), None, dtype=object)
    by_zip = drive_times.by == "zip"
    keys = frame["zip"].str[:5] if by_zip else travel.point_key(frame["latitude"], frame["longitude"])
    return np.asarray(keys, dtype=object)


def _by_cell(network: Network) -> dict[tuple[Hashable, str], Line]:
    """Return the numbers that are given for single counties, by county and specialty."""
    table = network.criteria.counties
    if table is None:
        return {}
    columns = [c for c in ("max_miles", "max_minutes", "required_providers") if c in table]
    rows = table[table["county_fips"].isin(network.homes["county_fips"])].set_index(["county_fips", "specialty"])
    given = rows[columns].astype(object).dropna(how="all").to_dict("index")
    return {key: {k: v for k, v in cell.items() if pd.notna(v)} | {"is_county": True} for key, cell in given.items()}


def _none(network_id: str | None) -> str | None:
    """Return None for a blank of any kind: NaN and NA do not equal themselves as keys."""
    return None if pd.isna(network_id) else network_id
