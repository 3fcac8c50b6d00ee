"""Shapes of counties and states for maps, from files that are installed with the package `plotly-geo`.

County FIPS -> GeoJSON, thinned to what a screen can show. Nothing is fetched: the Census Bureau's
cartographic boundary files of 2016 (1:500,000) lie in that package.
"""

import json
import math
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import shapefile
import shapely
import shapely.affinity
import shapely.geometry
from numpy.typing import NDArray

from sca_analysis.errors import ParameterError

#: Width of the drawing that thinned shapes are made for: on one that wide, no border is off by more than
#: a pixel. [pixels]
PIXELS = 1500

# The same land under the code that it had until 2015 (Census, substantial changes to counties).
_RENAMED = {"02270": "02158", "46113": "46102"}
_ALASKA, _ALASKA_EAST = "02", -129.0  # [degrees]


def load_county_shapes(fips: Iterable[str], tolerance: float | None = None) -> tuple[dict[str, Any], list[str]]:
    """Return the shapes of counties as GeoJSON, and the counties that have none.

    Parameters
    ----------
    fips : iterable of str
        State and county FIPS, five digits; repeated ones count once.
    tolerance : float, optional
        How far a border may be off. [degrees] By default the extent of the counties divided by ``PIXELS``, so
        that a few counties are fine and all of the country small.

    Returns
    -------
    dict
        FeatureCollection, sorted; ``id`` of a feature is its FIPS as asked for. Neighbours share their thinned
        border, every county keeps an area, and outer rings run clockwise, as plotly wants them (RFC 7946
        has it the other way round; a ring the wrong way would fill the globe). Longitudes west of the 180th
        meridian go on below -180, so that Alaska is in one piece.
    list of str
        Counties without a shape, sorted: those newer than 2016 (Chugach, Copper River, the planning regions of
        Connecticut), and codes that are none.

    Raises
    ------
    ParameterError
        If ``tolerance`` is not positive.

    """
    wanted = sorted(set(fips))
    places = _index()
    found = [f for f in wanted if _RENAMED.get(f, f) in places]
    geometries = _read([places[_RENAMED.get(f, f)] for f in found])
    return _collect(found, geometries, tolerance), sorted(set(wanted) - set(found))


def load_state_shapes(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    """Return the shapes of the states in a rectangle [degrees], cut off at its edges, as `load_county_shapes` does."""
    names, geometries = [], []
    with _open("state") as reader:
        for record in reader.iterRecords(fields=["GEOID"]):
            if record["GEOID"] == _ALASKA and west > _ALASKA_EAST:
                continue  # its rectangle goes around the globe, and it is most of the file
            shape = reader.shape(record.oid, bbox=None if record["GEOID"] == _ALASKA else (west, south, east, north))
            if shape is not None:
                names.append(record["GEOID"])
                geometries.append(_join_sides(shapely.geometry.shape(shape.__geo_interface__)))
    cut = shapely.clip_by_rect(np.array(geometries, dtype=object), west, south, east, north)
    inside = [n for n, geometry in enumerate(cut) if geometry.area > 0]
    tolerance = max(east - west, north - south) / PIXELS
    return _collect([names[n] for n in inside], cut[inside], tolerance)


def find_bounds(shapes: dict[str, Any]) -> tuple[float, float, float, float]:
    """Return west, south, east and north of shapes [degrees]; of none, those of the contiguous states."""
    if not shapes["features"]:
        return -125.0, 24.0, -66.0, 50.0
    west, south, east, north = shapely.total_bounds(_geometries(shapes))
    return float(west), float(south), float(east), float(north)


def find_centres(shapes: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Return longitude and latitude of a point well inside of each shape, where a label fits best [degrees]."""
    # of several islands the largest is labelled
    return {
        feature["id"]: shapely.maximum_inscribed_circle(_largest(geometry), tolerance=0.01).coords[0]
        for feature, geometry in zip(shapes["features"], _geometries(shapes), strict=True)
    }


def _collect(names: Sequence[str], geometries: NDArray[Any], tolerance: float | None) -> dict[str, Any]:
    """Thin geometries and write them as a FeatureCollection."""
    if tolerance is not None and not tolerance > 0:
        raise ParameterError(f"the tolerance of shapes is {tolerance:g} degrees: it must be above 0.")
    features = []
    if names:
        west, south, east, north = shapely.total_bounds(geometries)
        thinned = _thin(geometries, tolerance or max(east - west, north - south) / PIXELS)
        features = [
            {"type": "Feature", "id": name, "properties": {}, "geometry": json.loads(text)}
            for name, text in zip(names, shapely.to_geojson(thinned), strict=True)
        ]
    return {"type": "FeatureCollection", "features": features}


def _thin(geometries: NDArray[Any], tolerance: float) -> NDArray[Any]:
    """Simplify borders that are shared alike on both sides, drop specks, and round to fewer digits."""
    # a speck is an island or a hole too small to see; the largest piece always stays
    speck = (2 * tolerance) ** 2
    kept = [
        shapely.multipolygons([p for p in shapely.get_parts(g) if p.area >= speck] or [_largest(g)]) for g in geometries
    ]
    simple = shapely.coverage_simplify(kept, tolerance)
    grid = 10.0 ** math.floor(math.log10(tolerance))
    rounded = shapely.set_precision(simple, grid)
    # a city smaller than the grid keeps the shape that it has
    fine = [r if not r.is_empty else shapely.set_precision(s, 1e-4) for r, s in zip(rounded, simple, strict=True)]
    return shapely.orient_polygons(fine, exterior_cw=True)  # type: ignore[no-any-return]


def _largest(geometry: Any) -> Any:
    return max(shapely.get_parts(geometry), key=lambda part: part.area)


def _geometries(shapes: dict[str, Any]) -> NDArray[Any]:
    return shapely.from_geojson([json.dumps(f["geometry"]) for f in shapes["features"]])  # type: ignore[no-any-return]


@cache
def _index() -> dict[str, int]:
    """Return the record of each county by FIPS."""
    with _open("county") as reader:
        return {record["GEOID"]: number for number, record in enumerate(reader.iterRecords(fields=["GEOID"]))}


def _read(records: Sequence[int]) -> NDArray[Any]:
    """Return the geometries of counties, by record."""
    with _open("county") as reader:
        geometries = [shapely.geometry.shape(reader.shape(n).__geo_interface__) for n in records]
    return np.array([_join_sides(g) for g in geometries], dtype=object)


def _join_sides(geometry: Any) -> Any:
    """Move what lies east of the 180th meridian west of it, where a geometry is on both sides."""
    if geometry.bounds[2] - geometry.bounds[0] <= 180:
        return geometry
    moved = [shapely.affinity.translate(p, -360) if p.bounds[0] > 0 else p for p in geometry.geoms]
    return shapely.union_all(moved)


def _open(kind: str) -> shapefile.Reader:
    folder = files("_plotly_geo").joinpath("package_data")
    name = f"cb_2016_us_{kind}_500k"
    streams = {part: folder.joinpath(f"{name}.{part}").open("rb") for part in ("shp", "shx", "dbf")}
    return shapefile.Reader(**streams)
