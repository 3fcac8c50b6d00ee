"""Where ZIP codes lie, and how far places are from providers in a straight line.

ZIP code -> centre and county; latitude and longitude -> unit vectors -> miles. Distances are
great circles on a sphere, not roads: CMS measures miles alongside driving minutes, which need a
road network.
"""

import re
import unicodedata
from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
import zipcodes
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from sca_analysis import keeping
from sca_analysis.errors import ExportError
from sca_analysis.standards import load_counties

#: Mean radius of the Earth (IUGG) in miles of 1.609344 km.
EARTH_RADIUS_MILES = 6371.0088 / 1.609344

Floats: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]
Search: TypeAlias = Callable[[cKDTree], Floats]  # the miles from places to the nearest point of a tree

# Words the ZIP list puts around a county's name, which counties.csv leaves out.
_AROUND_COUNTY = re.compile(
    r"^(city and borough|municipality) of "
    r"| (county|parish|city and borough|borough|census area|municipality|municipio)$"
)
# The ZIP list names no county here, and no standard ZIP of the state could stand in.
_ISLANDS = {
    "AS": {"Pago Pago": "60010"},
    "MP": {"Rota": "69100", "Saipan": "69110", "Tinian": "69120"},
    "VI": {"Christiansted": "78010", "Frederiksted": "78010", "Kingshill": "78010"}
    | {"St John": "78020", "St Thomas": "78030"},
}
_GUAM = "66010"  # one county to the Census


def locate_zips(zips: pd.Series) -> pd.DataFrame:
    """Return centre and county of ZIP codes.

    Parameters
    ----------
    zips : Series
        ZIP codes as text; of a ZIP+4 the first five digits count.

    Returns
    -------
    DataFrame
        ``latitude`` and ``longitude`` [degrees], ``county_fips`` and ``is_po_box``, with the
        index of ``zips``; NA where the ZIP is unknown. Military ZIPs have neither centre nor
        county.

    Notes
    -----
    Assumption: a ZIP counts wholly for the county the ZIP list names. Where it names none that
    is known, the county is that of the nearest standard ZIP (no PO box, no single company) of
    the same state.

    """
    five = zips.astype("string").str.strip().str[:5]
    return _zip_table().reindex(five).set_axis(zips.index)


def has_location(latitude: ArrayLike, longitude: ArrayLike) -> Mask:
    """Tell which coordinates [degrees] can be used: present, in range, and not 0, 0.

    Exports write 0, 0, a point in the Atlantic, where they mean unknown.
    """
    lat, lon = np.asarray(latitude, dtype=np.float64), np.asarray(longitude, dtype=np.float64)
    usable: Mask = (np.abs(lat) <= 90) & (np.abs(lon) <= 180) & ((lat != 0) | (lon != 0))
    return usable


def to_unit_vectors(latitude: ArrayLike, longitude: ArrayLike) -> Floats:
    """Return points on the unit sphere, shape (n, 3), of coordinates in degrees.

    Raises
    ------
    ExportError
        If a coordinate is missing or out of range; drop those with `has_location` before.

    """
    lat, lon = (np.atleast_1d(np.asarray(x, dtype=np.float64)) for x in (latitude, longitude))
    if bad := int(np.sum(~((np.abs(lat) <= 90) & (np.abs(lon) <= 180)))):
        raise ExportError(
            f"{bad} of {lat.size} coordinates are missing or out of range; "
            "correct latitude and longitude, or leave them blank to use the centre of the ZIP."
        )
    phi, theta = np.radians(lat), np.radians(lon)
    return np.stack([np.cos(phi) * np.cos(theta), np.cos(phi) * np.sin(theta), np.sin(phi)], axis=1)


def great_circle_miles(a: Floats, b: Floats) -> Floats:
    """Return the miles from each point of ``a`` to the point of ``b`` in the same row.

    ``a`` and ``b`` are unit vectors of shape (n, 3), or (1, 3) against all of the other. Half
    the angle as an arc tangent stays exact where an arc cosine (near) or an arc sine of the
    chord (antipodes) loses half of its digits.
    """
    apart, together = np.linalg.norm(a - b, axis=-1), np.linalg.norm(a + b, axis=-1)
    miles: Floats = 2 * EARTH_RADIUS_MILES * np.arctan2(apart, together)
    return miles


def nearest_miles(places: Floats, targets: Floats | cKDTree, workers: int = 1) -> Floats:
    """Return the miles from each place to the nearest target; inf if there is no target.

    ``targets`` may be a tree over unit vectors, so that one tree serves several calls. ``workers`` are the cores that
    search at once, -1 = all.
    """
    tree = targets if isinstance(targets, cKDTree) else cKDTree(targets)
    if tree.n == 0 or len(places) == 0:
        return np.full(len(places), np.inf)
    _, nearest = tree.query(places, workers=workers)
    return great_circle_miles(places, np.asarray(tree.data)[nearest])


def search_from(places: Floats) -> Search:
    """Return `nearest_miles` from these places, for one tree of targets after another, on all cores."""
    return partial(nearest_miles, places, workers=-1)


def pairs_within(
    places: Floats, targets: Floats | cKDTree, max_miles: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Return every pair of a place and a target within ``max_miles`` (inclusive): their numbers, and the miles."""
    tree = targets if isinstance(targets, cKDTree) else cKDTree(targets)
    none = np.zeros(0, dtype=np.int64)
    if tree.n == 0 or len(places) == 0:
        return none, none, np.zeros(0)
    # the chord of the distance, with a surplus for rounding; half the Earth away everything is in range
    chord = 2 * np.sin(min(max_miles / EARTH_RADIUS_MILES, np.pi) / 2) * (1 + 1e-9) + 1e-12
    near = cKDTree(places).sparse_distance_matrix(tree, chord, output_type="ndarray")
    order = np.lexsort((near["j"], near["i"]))
    place, target = near["i"][order].astype(np.int64), near["j"][order].astype(np.int64)
    miles = great_circle_miles(places[place], np.asarray(tree.data)[target])
    inside = miles <= max_miles
    return place[inside], target[inside], miles[inside]


@cache
def _zip_table() -> pd.DataFrame:
    """Return latitude, longitude, county_fips and is_po_box of every known ZIP code."""
    decides = [version("zipcodes").encode(), Path(__file__).read_bytes(), load_counties().to_csv().encode()]
    return keeping.recall("zips", decides, _place_zips)  # a second's work


def _place_zips() -> pd.DataFrame:
    columns = ["zip_code", "zip_code_type", "city", "state", "county", "lat", "long"]
    listed = zipcodes.list_all()  # type: ignore[no-untyped-call]
    zips = pd.DataFrame.from_records(listed, columns=columns).set_index("zip_code")
    degrees = zips[["lat", "long"]].astype("float64")
    located = has_location(degrees["lat"], degrees["long"])  # the list, too, writes 0, 0 for unknown
    zips[["latitude", "longitude"]] = degrees[located].reindex(zips.index)
    zips["county_fips"] = _named_county(zips)
    standard = (zips["zip_code_type"] == "STANDARD") & zips["county_fips"].notna() & located
    missing = zips["county_fips"].isna() & (zips["zip_code_type"] != "MILITARY") & located
    for state, rows in zips[missing].groupby("state"):
        known = zips[standard & (zips["state"] == state)]
        if len(known):  # none in Palau, Micronesia and the Marshall Islands, which are no counties
            tree = cKDTree(to_unit_vectors(known["latitude"], known["longitude"]))
            _, nearest = tree.query(to_unit_vectors(rows["latitude"], rows["longitude"]))
            zips.loc[rows.index, "county_fips"] = known["county_fips"].to_numpy()[nearest]
    zips["is_po_box"] = (zips["zip_code_type"] == "PO BOX").astype("boolean")
    zips["county_fips"] = zips["county_fips"].astype("string")
    return zips[["latitude", "longitude", "county_fips", "is_po_box"]]


def _named_county(zips: pd.DataFrame) -> pd.Series:
    """Return the FIPS code of the county named in each row, NA where none is or it is unknown."""
    counties = load_counties()
    known = {
        (state, _county_key(name)): fips
        for state, name, fips in counties[["state", "county_name", "county_fips"]].itertuples(index=False)
    }

    def fips_of(state: str, county: str, city: str) -> str | None:
        key = _county_key(county)
        # "Suffolk City" is Suffolk, but "Richmond City" is not Richmond (county).
        fips = known.get((state, key)) or known.get((state, key.removesuffix("city")))
        return fips or _ISLANDS.get(state, {}).get(city) or (_GUAM if state == "GU" else None)

    rows = zips[["state", "county", "city"]].itertuples(index=False)
    return pd.Series([fips_of(*row) for row in rows], index=zips.index, dtype="object")


@cache  # 42,789 ZIPs name some 3,200 counties
def _county_key(name: str) -> str:
    """Reduce a county's name to what is equal in every spelling: no accents, St. for Saint."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().casefold()
    plain = _AROUND_COUNTY.sub("", plain)
    return re.sub(r"[^a-z]", "", re.sub(r"\bsaint(e?)\b", r"st\1", plain))


def nearest_counties(places: Floats) -> NDArray[np.object_]:
    """Return the county of the standard ZIP nearest to each place (unit vectors).

    Assumption, for places without a ZIP: a home near a county line may fall on its other side.
    """
    zips = _zip_table()
    zips = zips[zips["latitude"].notna() & zips["county_fips"].notna() & ~zips["is_po_box"]]
    _, nearest = cKDTree(to_unit_vectors(zips["latitude"], zips["longitude"])).query(places)
    counties: NDArray[np.object_] = zips["county_fips"].to_numpy(dtype=object)[nearest]
    return counties
