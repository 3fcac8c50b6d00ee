"""ZIP codes to places; distances against published values, properties and brute force."""

import math

import numpy as np
import pandas as pd
import pytest
import zipcodes
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from sca_analysis import places
from sca_analysis.errors import ExportError

HALF_WAY_ROUND = math.pi * places.EARTH_RADIUS_MILES

latitudes = st.floats(-90, 90)
longitudes = st.floats(-180, 180)
points = st.tuples(latitudes, longitudes)
# Within the United States, where every distance in question lies.
us_points = st.tuples(st.floats(17, 72), st.floats(-180, -64))


def vector(point):
    return places.to_unit_vectors(*point)


def vectors(many):
    return places.to_unit_vectors([p[0] for p in many], [p[1] for p in many])


def miles(a, b):
    return places.great_circle_miles(vector(a), vector(b)).item()


def haversine_miles(a, b):
    """Oracle in plain Python."""
    lat1, lon1, lat2, lon2 = map(math.radians, (*a, *b))
    h = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * places.EARTH_RADIUS_MILES * math.asin(min(1.0, math.sqrt(h)))


def test_a_degree_of_latitude_is_an_arc_of_the_mean_radius():
    assert miles((40, -100), (41, -100)) == pytest.approx(math.pi / 180 * 6371.0088 / 1.609344, rel=1e-13)


def test_near_points_keep_their_digits():
    step = 1e-9  # degrees: a tenth of a millimetre
    assert miles((40, -100), (40 + step, -100)) == pytest.approx(math.radians(step) * 3958.761, rel=1e-4)


def test_antipodes_are_half_way_round_and_so_are_their_neighbours():
    assert miles((40, -100), (-40, 80)) == pytest.approx(HALF_WAY_ROUND, rel=1e-15)
    step = 1e-6  # degrees
    off = HALF_WAY_ROUND - miles((0, 0), (step, 180))
    assert off == pytest.approx(math.radians(step) * places.EARTH_RADIUS_MILES, rel=1e-4)


def test_the_date_line_and_the_poles_are_no_edges():
    assert miles((52, 179.9), (52, -179.9)) < 10
    assert miles((90, 0), (90, 123)) == pytest.approx(0, abs=1e-9)


@given(points, points)
def test_distance_is_symmetric_and_bounded(a, b):
    assert miles(a, b) == miles(b, a)
    assert 0 <= miles(a, b) <= HALF_WAY_ROUND * (1 + 1e-15)


@given(points)
def test_distance_to_itself_is_zero(a):
    assert miles(a, a) == 0


@given(points, points, points)
def test_no_detour_is_shorter(a, b, c):
    assert miles(a, c) <= miles(a, b) + miles(b, c) + 1e-9


@given(us_points, us_points)
def test_distance_equals_the_haversine(a, b):
    assert miles(a, b) == pytest.approx(haversine_miles(a, b), rel=1e-9, abs=1e-9)


@given(st.lists(us_points, min_size=1, max_size=20), st.lists(us_points, min_size=1, max_size=20))
def test_nearest_equals_brute_force(some, targets):
    got = places.nearest_miles(vectors(some), vectors(targets))
    brute = [min(miles(p, t) for t in targets) for p in some]
    assert got == pytest.approx(brute, rel=1e-9, abs=1e-9)


def within_miles(some, targets, limit):
    """Tell for each target whether it is in a pair with one of the places."""
    size = targets.n if isinstance(targets, cKDTree) else len(targets)
    return np.isin(np.arange(size), places.pairs_within(some, targets, limit)[1])


@given(
    st.lists(us_points, min_size=1, max_size=20),
    st.lists(us_points, min_size=1, max_size=20),
    st.floats(0, 3000),
)
@example([(40.0, -100.0)], [(40.0, -100.0)], 0.0)
def test_within_equals_brute_force(some, targets, limit):
    got = within_miles(vectors(some), vectors(targets), limit)
    brute = [min(miles(p, t) for p in some) for t in targets]
    # Whoever lies on the very limit may fall on either side by rounding.
    assert all(g == (b <= limit) for g, b in zip(got, brute, strict=True) if abs(b - limit) > 1e-9)


@given(points, points)
def test_within_includes_the_limit(a, b):
    assert within_miles(vector(a), vector(b), miles(a, b)).tolist() == [True]


def test_many_random_places_equal_brute_force():
    rng = np.random.default_rng(20260630)
    some = places.to_unit_vectors(rng.uniform(25, 49, 400), rng.uniform(-124, -67, 400))
    targets = places.to_unit_vectors(rng.uniform(25, 49, 300), rng.uniform(-124, -67, 300))
    table = places.great_circle_miles(some[:, None, :], targets[None, :, :])
    np.testing.assert_allclose(places.nearest_miles(some, targets), table.min(axis=1), rtol=1e-12)
    for limit in (10, 60, 3000):
        np.testing.assert_array_equal(within_miles(some, targets, limit), table.min(axis=0) <= limit)


def test_a_tree_may_serve_several_calls():
    some, targets = vectors([(40, -100), (41, -100)]), vectors([(40, -101), (30, -90)])
    tree = cKDTree(targets)
    np.testing.assert_array_equal(places.nearest_miles(some, tree), places.nearest_miles(some, targets))
    assert within_miles(some, tree, 60).tolist() == [True, False]


def test_nobody_there():
    none, one = places.to_unit_vectors([], []), vector((40, -100))
    assert places.nearest_miles(one, none).tolist() == [math.inf]
    assert places.nearest_miles(none, one).tolist() == []
    assert within_miles(none, one, 10).tolist() == [False]
    assert within_miles(one, none, 10).tolist() == []


@pytest.mark.parametrize("bad", [(math.nan, -100), (40, math.nan), (90.1, 0), (40, -180.5), (math.inf, 0)])
def test_unusable_coordinates_are_refused_and_can_be_masked(bad):
    assert places.has_location([40, bad[0]], [-100, bad[1]]).tolist() == [True, False]
    with pytest.raises(ExportError, match="1 of 2 coordinates"):
        places.to_unit_vectors([40, bad[0]], [-100, bad[1]])


def test_blank_and_zero_coordinates_are_no_location():
    lat, lon = pd.Series([0.0, None, 0.0], dtype="Float64"), pd.Series([0.0, -71.0, -71.0], dtype="Float64")
    assert places.has_location(lat, lon).tolist() == [False, False, True]


def test_no_unusable_point_gets_into_a_tree():
    with pytest.raises(ValueError, match="finite"):
        places.nearest_miles(vector((40, -100)), np.array([[np.nan, 0, 0]]))
    with pytest.raises(ValueError, match="finite"):
        places.nearest_miles(np.array([[np.nan, 0, 0]]), vector((40, -100)))


@pytest.mark.parametrize(
    ("zip_code", "county_fips", "is_po_box"),
    [
        ("02139", "25017", False),
        ("02108", "25025", False),
        ("02139-4307", "25017", False),
        ("21201", "24510", False),  # Baltimore, the city
        ("63101", "29510", False),  # St. Louis, the city
        ("23219", "51760", False),  # Richmond, the city
        ("22572", "51159", False),  # Richmond, the county
        ("60601", "17031", False),
        ("99501", "02020", False),  # Municipality of Anchorage
        ("87901", "35051", False),
        ("00802", "78030", False),  # no county in the list
        ("96913", "66010", False),
        ("20001", "11001", False),
        ("99686", "02063", False),
        ("00737", "72035", True),  # Cayey: a PO box may be nearer to a county the list misplaces
    ],
)
def test_locate_zips(zip_code, county_fips, is_po_box):
    row = places.locate_zips(pd.Series([zip_code], index=["m"])).loc["m"]
    assert row["county_fips"] == county_fips
    assert row["is_po_box"] == is_po_box
    assert places.has_location(row["latitude"], row["longitude"])


def test_unknown_zips_stay_blank_and_rows_keep_their_index():
    got = places.locate_zips(pd.Series(["99999", None, "", "02139", "02139"], index=[3, 1, 4, 1, 5]))
    assert got.index.tolist() == [3, 1, 4, 1, 5]
    assert got.notna().all(axis=1).tolist() == [False, False, False, True, True]
    assert got.iloc[:3].isna().all(axis=None)


def test_military_zips_have_no_place():
    got = places.locate_zips(pd.Series(["09007", "96201", "34002"]))
    assert got[["latitude", "longitude", "county_fips"]].isna().all(axis=None)


def test_nearly_every_zip_has_a_county():
    listed = pd.DataFrame(zipcodes.list_all()).query("zip_code_type != 'MILITARY'").reset_index(drop=True)
    got = places.locate_zips(listed["zip_code"])
    assert len(listed) == 41_966
    assert got["county_fips"].notna().sum() >= 41_918
    assert got["latitude"].isna().sum() <= 52
    assert got["is_po_box"].sum() == (listed["zip_code_type"] == "PO BOX").sum()


def test_a_zip_without_known_county_takes_that_of_the_nearest_standard_zip_of_its_state():
    listed = {z["zip_code"]: z for z in zipcodes.list_all()}
    assert listed["33191"]["county"] == ""  # Miami, a company's own ZIP
    assert (listed["24619"]["state"], listed["24619"]["county"]) == (
        "VA",
        "McDowell County",
    )  # of West Virginia
    got = places.locate_zips(pd.Series(["33191", "24619"]))["county_fips"]
    assert got[0] == "12086"
    assert got[1].startswith("51")
