"""Shapes of counties: which there are, whole, small, and turned so that no ring fills the globe."""

import json
import math
from itertools import pairwise

import hypothesis.strategies as st
import pytest
import shapely
from hypothesis import given, settings

from sca_analysis.errors import ParameterError
from sca_analysis.shapes import find_bounds, find_centres, load_county_shapes, load_state_shapes
from sca_analysis.standards import load_counties

COUNTIES = sorted(load_counties()["county_fips"])
DETROIT = ["26099", "26125", "26163"]


def polygons(shapes: dict) -> dict[str, shapely.Geometry]:
    return {f["id"]: shapely.from_geojson(json.dumps(f["geometry"])) for f in shapes["features"]}


def size(shapes: dict) -> int:
    return len(json.dumps(shapes, separators=(",", ":")))


def turned_area(ring: list[list[float]]) -> float:
    """Shoelace: negative where the ring runs clockwise."""
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise(ring)) / 2


@pytest.fixture(scope="module")
def country() -> tuple[dict, list[str]]:
    return load_county_shapes(COUNTIES)


def test_all_counties_but_those_newer_than_the_shapes(country: tuple[dict, list[str]]) -> None:
    shapes, missing = country
    assert missing == ["02063", "02066"], "Chugach and Copper River were one county until 2019"
    assert [f["id"] for f in shapes["features"]] == sorted(set(COUNTIES) - set(missing))
    drawn = polygons(shapes)
    assert all(p.is_valid and p.area > 0 for p in drawn.values())


def test_country_and_hundred_counties_are_small(country: tuple[dict, list[str]]) -> None:
    assert size(country[0]) < 1_200_000
    assert size(load_county_shapes(COUNTIES[1000:1100])[0]) < 300_000
    michigan = [c for c in COUNTIES if c.startswith("26")]
    assert size(load_county_shapes(michigan)[0]) < 150_000


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(COUNTIES), min_size=1, max_size=6))
def test_any_few_counties_are_whole(fips: list[str]) -> None:
    shapes, missing = load_county_shapes([*fips, fips[0]])
    assert {f["id"] for f in shapes["features"]} | set(missing) == set(fips)
    for name, polygon in polygons(shapes).items():
        assert polygon.is_valid, name
        [alone] = polygons(load_county_shapes([name], tolerance=1e-5)[0]).values()
        west, south, east, north = find_bounds(shapes)
        off = max(east - west, north - south) / 1500
        # what is lost is specks and up to a pixel along the border
        assert polygon.symmetric_difference(alone).area <= off * (alone.length + 4) + 1e-9, name
    for feature in shapes["features"]:
        geometry = feature["geometry"]
        parts = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
        assert all(turned_area(part[0]) < 0 for part in parts), "outer rings run clockwise"
        assert all(turned_area(hole) > 0 for part in parts for hole in part[1:])


def test_neighbours_share_their_border() -> None:
    oakland, wayne = (polygons(load_county_shapes(DETROIT)[0])[f] for f in ("26125", "26163"))
    assert oakland.intersection(wayne).length > 0.4
    assert oakland.intersection(wayne).area == 0


def test_few_counties_are_finer_than_many(country: tuple[dict, list[str]]) -> None:
    few, many = (polygons(s)["26163"] for s in (load_county_shapes(DETROIT)[0], country[0]))
    assert shapely.get_num_coordinates(few) > 3 * shapely.get_num_coordinates(many)


def test_known_areas() -> None:
    """Areas on the sphere, against the Census Bureau's land area of 2016 (square miles, water near the shore apart)."""
    for fips, miles in (("19107", 579.4), ("48301", 668.8), ("08031", 153.3)):
        [polygon] = polygons(load_county_shapes([fips])[0]).values()
        middle = polygon.centroid.y
        scale = 69.09**2 * math.cos(math.radians(middle))
        assert polygon.area * scale == pytest.approx(miles, rel=0.02)


def test_old_codes_of_renamed_counties_are_drawn() -> None:
    shapes, missing = load_county_shapes(["46113", "46102", "02270", "51515", "99999", "09110"])
    drawn = polygons(shapes)
    assert list(drawn) == ["02270", "46102", "46113"]
    assert drawn["46113"].equals(drawn["46102"])
    assert missing == ["09110", "51515", "99999"]


def test_alaska_is_in_one_piece() -> None:
    west, _, east, _ = find_bounds(load_county_shapes(["02016", "02020"])[0])
    assert west < -180
    assert east < -100


def test_centres_lie_inside(country: tuple[dict, list[str]]) -> None:
    centres = find_centres(country[0])
    drawn = polygons(country[0])
    assert set(centres) == set(drawn)
    assert all(drawn[f].contains(shapely.Point(centre)) for f, centre in centres.items())


def test_states_are_cut_off_at_the_frame() -> None:
    shapes = load_state_shapes(-84.0, 41.0, -82.0, 43.0)
    assert [f["id"] for f in shapes["features"]] == ["26", "39"]
    west, south, east, north = find_bounds(shapes)
    assert (west, south) >= (-84.01, 40.99)
    assert east <= -81.99
    assert north <= 43.01
    assert [f["id"] for f in load_state_shapes(-180, 50, -131, 72)["features"]] == ["02"]


def test_nothing_asked_for() -> None:
    shapes, missing = load_county_shapes([])
    assert (shapes["features"], missing, find_centres(shapes)) == ([], [], {})
    assert find_bounds(shapes)[0] == -125
    assert load_state_shapes(-40, 20, -30, 30)["features"] == []


@pytest.mark.parametrize("tolerance", [0.0, -1.0, float("nan")])
def test_tolerance_that_is_none(tolerance: float) -> None:
    with pytest.raises(ParameterError, match=r"tolerance of shapes is .* above 0"):
        load_county_shapes(DETROIT, tolerance)
