"""Driving minutes: looked up, asked of a server, or estimated, and what they do to the gap table."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sca_analysis import travel
from sca_analysis.errors import ExportError, ParameterError
from sca_analysis.standards import COUNTY_TYPES, load_drive_speeds
from sca_analysis.travel import BANDS, DriveTimes, ask_osrm, estimate_minutes, point_key, reach_in_minutes

MILES = st.floats(0, 500)
TYPES = st.sampled_from(COUNTY_TYPES)


@given(MILES, TYPES, st.sampled_from(BANDS))
def test_what_an_estimate_reaches_takes_as_long(miles, county_type, band):
    minutes = float(estimate_minutes(np.array([miles]), county_type, band)[0])
    assert reach_in_minutes(minutes, county_type, band) == pytest.approx(miles)


@given(MILES, TYPES)
def test_a_slow_drive_takes_longest(miles, county_type):
    fast, likely, slow = (estimate_minutes(np.array([miles]), county_type, band)[0] for band in BANDS)
    assert fast <= likely <= slow


def test_an_estimate_is_miles_by_detour_and_speed():
    row = load_drive_speeds().set_index("county_type").loc["Rural"]
    by_hand = 12 * float(row["detour"]) / float(row["miles_per_hour"]) * 60
    assert estimate_minutes(np.array([12.0]), "Rural")[0] == pytest.approx(by_hand)


def test_a_pair_is_looked_up_in_its_direction_and_the_quickest_counts():
    rows = [("04330", "04101", 70.0), ("04330", "04101", 65.0), ("04101", "04330", 72.0)]
    drives = DriveTimes("table", minutes=pd.DataFrame(rows, columns=["origin", "destination", "minutes"]))
    found = drives.look_up(np.array(["04330", "04101", "04330"]), np.array(["04101", "04330", "04654"]))
    assert found.tolist()[:2] == [65.0, 72.0]
    assert np.isnan(found[2])


class _Server(BaseHTTPRequestHandler):
    """Answers like OSRM: one second for each unit of longitude between the places, no road to the south."""

    asked: ClassVar[list[int]] = []
    body: ClassVar[bytes | None] = None

    def do_GET(self) -> None:
        places = [p.split(",") for p in self.path.split("/driving/")[1].split("?")[0].split(";")]
        self.asked.append(len(places))
        start = float(places[0][0])
        seconds = [None if float(lat) < 0 else 60 * abs(float(lon) - start) for lon, lat in places]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(
            self.body if self.body is not None else json.dumps({"code": "Ok", "durations": [seconds]}).encode()
        )

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def server():
    _Server.asked, _Server.body = [], None
    with HTTPServer(("127.0.0.1", 0), _Server) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()


def test_an_osrm_server_is_asked_in_requests_that_it_takes(server):
    ends = [f"{i}.00000,1.00000" for i in range(1, 151)] + ["5.00000,-1.00000"]
    pairs = pd.DataFrame({"origin": "0.00000,1.00000", "destination": ends + ends})
    drives = ask_osrm(server, pairs)
    assert _Server.asked == [100, 53]  # each pair once, the origin with each request
    found = drives.look_up(np.array(["0.00000,1.00000"] * 3), np.array([ends[0], ends[149], ends[150]]))
    assert found.tolist() == [1.0, 150.0, np.inf]
    assert drives.by == "point"


@pytest.mark.parametrize("body", [b"", b"{}", b'{"durations": [[0]]}', b'{"durations": "no"}', b"[1]"])
def test_an_answer_that_is_no_table_is_said_in_a_sentence(server, body):
    _Server.body = body
    with pytest.raises(ExportError, match="OSRM server at"):
        ask_osrm(server, pd.DataFrame({"origin": ["0,1"], "destination": ["2,1"]}))


def test_an_address_that_is_none_is_refused():
    pairs = pd.DataFrame({"origin": ["0,1"], "destination": ["2,1"]})
    with pytest.raises(ParameterError, match="write it like"):
        ask_osrm("file:///etc/hosts", pairs)
    with pytest.raises(ExportError, match="gave no table"):
        ask_osrm("http://127.0.0.1:1", pairs)


def test_a_place_is_named_by_longitude_first():
    assert point_key(pd.Series([44.31]), pd.Series([-69.78])).tolist() == ["-69.78000,44.31000"]
    assert travel.OSRM_PLACES == 100
