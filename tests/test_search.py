"""Who was there for one patient on one day: against a search row by row, written differently."""

from datetime import date, timedelta
from math import asin, cos, radians, sin, sqrt

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sca_analysis.network import VECTOR, Criteria, choose_criteria, locate
from sca_analysis.search import BEYOND, find_limits, search_providers, shorten
from tests.folders import claim, listing, npi, open_tables, span

DAY = date(2026, 6, 30)
LATITUDES = ("44.3", "44.35", "44.6", "45.2")


def wanted(**columns):
    """Return one search: psychiatry at 44.3, -69.8 on the day, in network EX1, within 30 miles."""
    row = {
        "case_id": "S1",
        "provider_npi": npi(77),
        "specialty": "Psychiatry",
        "day": pd.Timestamp(DAY),
        "network_id": "EX1",
        "max_miles": 30.0,
    }
    row |= {"zip": "04330", "latitude": 44.3, "longitude": -69.8, "county_fips": None} | columns
    return locate(pd.DataFrame([row])).assign(county_fips="23011")


def open_directory(folder, rows, claims=()):
    """Return exports whose directory is ``rows``."""
    return open_tables(folder, claims=[claim("M1", 99), *claims], directory=rows, members=[span("M1")])


def at(latitude, **columns):
    """Return the columns of a row at a place north of the home."""
    return {"latitude": latitude, "longitude": "-69.8", "zip": "04330"} | columns


def haversine(latitude):
    """Return the miles from the home to a place of the same longitude and a half formula away from ours."""
    a, b = radians(44.3), radians(float(latitude))
    return 2 * 6371.0088 / 1.609344 * asin(sqrt(sin((b - a) / 2) ** 2 + cos(a) * cos(b) * 0))


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({}, ""),
        ({"network_id": "EX1"}, ""),
        ({"network_id": "EX2"}, "in another network, EX2"),
        ({"termination_date": "2026-06-29"}, "left the network on 2026-06-29"),
        ({"termination_date": "2026-06-30"}, ""),
        ({"effective_date": "2026-07-01"}, "not yet in the network, from 2026-07-01"),
        ({"effective_date": "2026-06-30"}, ""),
        ({"accepting_new_patients": "false"}, "closed to new patients"),
        ({"accepting_new_patients": "true"}, ""),
        ({"network_id": "EX2", "accepting_new_patients": "false"}, "in another network, EX2"),
        ({"taxonomy_code": "2084P0804X"}, ""),  # a child psychiatrist is a psychiatrist
    ],
)
def test_why_a_row_does_not_count(tmp_path, columns, why):
    exports = open_directory(tmp_path / "e", [listing(1, **at("44.35", **columns))])
    [row] = search_providers(exports, wanted()).to_dict("records")
    assert (row["why_not"], row["is_usable"], row["npi"]) == (why, why == "", npi(1))
    assert row["provider_name"] == "Provider 1"


def test_other_specialties_are_not_searched(tmp_path):
    exports = open_directory(tmp_path / "e", [listing(1, **at("44.35", taxonomy_code="207N00000X"))])
    assert search_providers(exports, wanted()).empty


def test_nearest_beyond_are_named_only_where_nobody_is_usable(tmp_path):
    far = [listing(n, **at("45.2")) for n in range(2, 8)]
    alone = open_directory(tmp_path / "a", [*far, listing(9, **at("44.35", accepting_new_patients="false"))])
    found = search_providers(alone, wanted())
    assert (found["why_not"] == "beyond 30 miles").sum() == BEYOND
    served = open_directory(tmp_path / "b", [*far, listing(1, **at("44.35"))])
    assert search_providers(served, wanted())["npi"].tolist() == [npi(1)]


def test_the_row_nearest_to_being_usable_stands_for_a_provider(tmp_path):
    rows = [
        listing(1, **at("44.31", network_id="EX9")),
        listing(1, **at("44.35", termination_date="2026-01-31")),
        listing(2, **at("44.31", accepting_new_patients="false")),
        listing(2, **at("44.36")),
    ]
    found = search_providers(open_directory(tmp_path / "e", rows), wanted()).set_index("npi")
    assert found["why_not"].to_dict() == {npi(2): "", npi(1): "left the network on 2026-01-31"}
    assert found.loc[npi(2), "miles"] == pytest.approx(haversine("44.36"), abs=1e-9)


@pytest.mark.parametrize(
    ("day", "seen"),
    [("2026-06-30", True), ("2025-07-01", True), ("2025-06-30", False), ("2026-07-01", False)],
)
def test_last_claim_is_of_the_twelve_months_to_the_day(tmp_path, day, seen):
    exports = open_directory(tmp_path / "e", [listing(1, **at("44.35"))], [claim("M2", 1, day)])
    [last] = search_providers(exports, wanted())["last_visit_date"]
    assert last == pd.Timestamp(day) if seen else pd.isna(last)


def test_each_search_has_its_own_day(tmp_path):
    exports = open_directory(
        tmp_path / "e",
        [listing(1, **at("44.35", effective_date="2026-01-01", termination_date="2026-03-31"))],
        [claim("M2", 1, "2026-02-01")],
    )
    days = {"A": "2025-12-31", "B": "2026-02-15", "C": "2026-04-01"}
    searches = pd.concat([wanted(case_id=c, day=pd.Timestamp(d)) for c, d in days.items()], ignore_index=True)
    found = search_providers(exports, searches).set_index("case_id")
    assert found["why_not"].to_dict() == {
        "A": "not yet in the network, from 2026-01-01",
        "B": "",
        "C": "left the network on 2026-03-31",
    }
    assert found["last_visit_date"].notna().to_dict() == {"A": False, "B": True, "C": True}


def test_the_provider_asked_for_is_not_searched(tmp_path):
    rows = [listing(1, **at("44.35")), listing(77, **at("44.31", network_id="EX2")), listing(77, **at("45.2"))]
    exports = open_directory(tmp_path / "e", rows)
    assert search_providers(exports, wanted())["npi"].tolist() == [npi(1)]
    assert set(search_providers(exports, wanted(provider_npi=npi(1)))["npi"]) == {npi(77)}


def test_no_place_and_no_standard_find_nobody(tmp_path):
    exports = open_directory(tmp_path / "e", [listing(1, **at("44.35"))])
    assert search_providers(exports, wanted(max_miles=float("nan"))).empty
    assert search_providers(exports, wanted().assign(**dict.fromkeys(VECTOR, float("nan")))).empty


def test_shorten_keeps_the_nearest_of_both_kinds(tmp_path):
    rows = [listing(n, **at(f"44.3{n}")) for n in range(1, 6)]
    rows += [listing(n, **at(f"44.3{n - 5}", network_id="EX2")) for n in range(6, 10)]
    found = shorten(search_providers(open_directory(tmp_path / "e", rows), wanted()), 2)
    assert found["npi"].tolist() == [npi(1), npi(2), npi(6), npi(7)]


def test_limits_are_those_of_the_county_or_else_of_its_type(tmp_path):
    exports = open_directory(tmp_path / "e", [listing(1)])
    criteria = choose_criteria(exports)
    asked = pd.DataFrame(
        {
            "county_fips": ["23011", "23029", None, "23011"],
            "specialty": ["Psychiatry", "Psychiatry", "Psychiatry", "Astrology"],
        }
    )
    miles = find_limits(exports, criteria, asked).tolist()
    assert miles[:2] == [30.0, 60.0]
    assert all(pd.isna(m) for m in miles[2:])
    own = pd.DataFrame({"county_fips": ["23011"], "specialty": ["Psychiatry"], "max_miles": [12.0]})
    with_own = Criteria("own", criteria.standard, own)
    assert find_limits(exports, with_own, asked).tolist()[:2] == [12.0, 60.0]


NETWORKS = st.sampled_from([None, "EX1", "EX2"])
DAYS = st.sampled_from([None, DAY - timedelta(1), DAY, DAY + timedelta(1)])
ROWS = st.lists(
    st.tuples(
        st.integers(1, 4), st.sampled_from(LATITUDES), NETWORKS, DAYS, DAYS, st.sampled_from([None, "true", "false"])
    ),
    max_size=8,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, network=NETWORKS, limit=st.sampled_from([2.0, 30.0, 100.0]))
def test_equals_a_search_row_by_row(tmp_path_factory, rows, network, limit):
    rows = [r for r in rows if not (r[3] and r[4] and r[4] < r[3])]
    listed = [
        listing(n, **at(lat, network_id=net, effective_date=begin, termination_date=end, accepting_new_patients=panel))
        for n, lat, net, begin, end, panel in rows
    ] or [listing(99, taxonomy_code="207N00000X")]
    exports = open_directory(tmp_path_factory.mktemp("e"), listed)
    found = search_providers(exports, wanted(network_id=network, max_miles=limit))
    usable: dict[str, float] = {}
    others: set[str] = set()
    for n, lat, net, begin, end, panel in rows:
        miles = haversine(lat)
        if miles > limit:
            continue
        good = (
            (net is None or network is None or net == network)
            and (begin is None or begin <= DAY)
            and (end is None or end >= DAY)
            and panel != "false"
        )
        if good:
            usable[npi(n)] = min(miles, usable.get(npi(n), 999))
        else:
            others.add(npi(n))
    within = found[~found["why_not"].str.startswith("beyond")]
    assert within.loc[within["is_usable"], "npi"].tolist() == sorted(usable, key=lambda n: (usable[n], n))
    assert within.loc[within["is_usable"], "miles"].tolist() == pytest.approx(sorted(usable.values()), abs=1e-9)
    assert set(within.loc[~within["is_usable"], "npi"]) == others - set(usable)
    assert found["npi"].is_unique
