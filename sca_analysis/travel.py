"""How long the drive takes: looked up where someone measured it, else estimated from straight-line miles.

42 CFR 422.116(d) sets miles and minutes, both to be met. Minutes need a road network, which no export holds:
they come from a table of the user's, from an OSRM server that the user runs, or from an estimate whose
assumptions (speeds and detours by county type) are data with their source, and a range.
"""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sca_analysis.errors import ExportError, ParameterError
from sca_analysis.standards import load_drive_speeds

Band = Literal["fast", "likely", "slow"]
BANDS: tuple[Band, ...] = ("fast", "likely", "slow")
#: Places of one request to an OSRM server: the most that it takes unless told otherwise (max-table-size).
OSRM_PLACES = 100
_TIMEOUT = 60  # seconds for one request
_COLUMNS = {
    "fast": ("detour_low", "miles_per_hour_high"),
    "likely": ("detour", "miles_per_hour"),
    "slow": ("detour_high", "miles_per_hour_low"),
}


@dataclass(frozen=True)
class DriveTimes:
    """Where driving minutes come from.

    Attributes
    ----------
    source : str
        In words, as shown beside the figures.
    by : {"zip", "point"}
        Whether origin and destination of ``minutes`` are ZIP codes or `point_key`s.
    band : {"fast", "likely", "slow"}
        Which end of the range of speeds and detours an estimate takes.
    minutes : DataFrame, optional
        origin, destination, minutes. A pair that is not in it is estimated; without a table, all are.

    """

    source: str
    by: Literal["zip", "point"] = "zip"
    band: Band = "likely"
    minutes: pd.DataFrame | None = None

    def look_up(self, origins: NDArray[np.object_], destinations: NDArray[np.object_]) -> NDArray[np.float64]:
        """Return the minutes of each pair, NaN where the table has none, inf where no road leads there."""
        if self.minutes is None or self.minutes.empty:
            return np.full(len(origins), np.nan)
        table = self._table
        where = table.index.get_indexer(pd.MultiIndex.from_arrays([origins, destinations]))
        return np.where(where >= 0, table.to_numpy()[where], np.nan)

    @cached_property
    def _table(self) -> pd.Series:
        """The minutes by origin and destination, the quickest where a pair is given twice."""
        pairs = pd.DataFrame(self.minutes).groupby(["origin", "destination"], sort=False)
        return pairs["minutes"].min().astype("float64")


def estimated(band: Band = "likely") -> DriveTimes:
    """Return drive times that are all estimated, at one end of the range or in its middle."""
    return DriveTimes(f"estimated from straight-line miles, {band} end" if band != "likely" else "estimated", band=band)


def estimate_minutes(miles: NDArray[np.float64], county_type: str, band: Band = "likely") -> NDArray[np.float64]:
    """Return the minutes that straight-line miles take in a county type: miles x detour / mph x 60."""
    return miles * _minutes_per_mile(county_type, band)


def reach_in_minutes(minutes: float, county_type: str, band: Band = "likely") -> float:
    """Return the straight-line miles that an estimate puts within some minutes."""
    return minutes / _minutes_per_mile(county_type, band)


def point_key(latitude: pd.Series, longitude: pd.Series) -> pd.Series:
    """Return places as text, ``lon,lat`` to five decimals (a metre), as OSRM takes them."""
    return longitude.map("{:.5f}".format) + "," + latitude.map("{:.5f}".format)


def ask_osrm(url: str, pairs: pd.DataFrame) -> DriveTimes:
    """Return the driving minutes of pairs of places from an OSRM server's table service.

    Parameters
    ----------
    url : str
        Address of the server, such as ``http://localhost:5000``; its profile is ``driving``.
    pairs : DataFrame
        origin and destination as `point_key`s.

    Raises
    ------
    ParameterError
        If the address is none of http or https.
    ExportError
        If the server does not answer, or with something else than a table of durations.

    """
    if not url.startswith(("http://", "https://")):
        raise ParameterError(f"{url!r} is no address of an OSRM server: write it like http://localhost:5000.")
    found = []
    wanted = pairs.drop_duplicates()
    for origin, part in wanted.groupby("origin", sort=True):
        ends = part["destination"].tolist()
        for start in range(0, len(ends), OSRM_PLACES - 1):
            some = ends[start : start + OSRM_PLACES - 1]
            seconds = _ask(url, str(origin), some)
            found.append(pd.DataFrame({"origin": origin, "destination": some, "minutes": seconds / 60}))
    table = pd.concat(found) if found else pd.DataFrame(columns=["origin", "destination", "minutes"])
    return DriveTimes("driving minutes of an OSRM server", by="point", minutes=table)


def _ask(url: str, origin: str, destinations: list[str]) -> NDArray[np.float64]:
    """Return seconds from one place to others; inf where no road leads."""
    places = ";".join([origin, *destinations])
    request = f"{url.rstrip('/')}/table/v1/driving/{places}?sources=0&annotations=duration"
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310 - http(s), checked above
            given = json.load(answer)
        seconds = np.array([np.inf if s is None else float(s) for s in given["durations"][0][1:]])
    except (OSError, urllib.error.URLError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ExportError(
            f"the OSRM server at {url} gave no table of driving times: check the address, that it runs, and that "
            f"it takes {OSRM_PLACES} places a request (max-table-size)."
        ) from error
    if len(seconds) != len(destinations):
        raise ExportError(f"the OSRM server at {url} answered for {len(seconds)} of {len(destinations)} places.")
    return seconds


@cache
def _minutes_per_mile(county_type: str, band: Band) -> float:
    speeds = load_drive_speeds().set_index("county_type")
    detour, speed = (float(speeds.loc[county_type, c]) for c in _COLUMNS[band])
    return detour / speed * 60
