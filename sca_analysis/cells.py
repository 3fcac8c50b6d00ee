"""Rows of the gap table opened up: the homes, the network's own rows and those of candidates, and who is in range.

In: a ``Network`` and, for a what-if, candidates. Out: one ``Cell`` a county and specialty that is asked for.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from sca_analysis.candidates import listed_for_all
from sca_analysis.network import Network
from sca_analysis.reach import County, Flags, Line, Listing, Pairs, find_pairs, group_homes, list_rows


@dataclass(frozen=True)
class Cell:
    """A county and specialty of a network that candidates have joined.

    Attributes
    ----------
    is_own, is_new : array of bool
        The rows of the listing that are the network's own, and those of candidates that are not contracted
        yet for every network of the county. The others are in no pair.
    npis, zips : array of str
        Provider and ZIP of each row of the listing.

    """

    county: County
    line: Line
    listing: Listing
    pairs: Pairs
    is_own: Flags
    is_new: Flags
    npis: npt.NDArray[np.object_]
    zips: npt.NDArray[np.object_]

    @property
    def usable(self) -> Flags:
        """Which rows of the network itself are open to new patients."""
        return self.is_own & ~self.listing.is_closed

    @property
    def is_served(self) -> Flags:
        """Which homes have a usable row of the network itself in range."""
        is_served = np.zeros(len(self.county.weights), dtype=np.bool_)
        is_served[self.pairs.home[self.usable[self.pairs.row]]] = True
        return is_served


def join(network: Network, candidates: pd.DataFrame) -> Network:
    """Return the network once candidates have joined it, at all of their rows and for every network."""
    return network.joined_by(candidates[list(network.rows)].astype({"rows": network.rows["rows"].dtype}))


def cells(network: Network, candidates: pd.DataFrame, wanted: Iterable[tuple[str, str]]) -> Iterator[Cell]:
    """Yield some rows of the gap table, county by county, once candidates have joined the network."""
    keys = set(wanted)
    counties, specialties = {c for c, _ in keys}, sorted({s for _, s in keys})
    # what nobody asks for is left out: the work grows with what is asked
    homes = network.homes[network.homes["county_fips"].isin(counties)].reset_index(drop=True)
    own = replace(network, homes=homes).having(network.rows[network.rows["specialty"].isin(specialties)])
    joined = join(own, candidates[candidates["specialty"].isin(specialties)])
    listings = list_rows(joined, specialties)
    npis, zips = (joined.rows[c].to_numpy(dtype=object) for c in ("npi", "zip"))
    for county in group_homes(joined):
        contracted = sorted(listed_for_all(network.rows, list(county.homes)))
        for line in county.lines:
            if (county.fips, line["specialty"]) not in keys:
                continue
            listing = listings[line["specialty"]]
            pairs = find_pairs(county, listing, line, network.drive_times)
            is_own, theirs = listing.rows < len(own.rows), npis[listing.rows]
            is_new = ~is_own & ~np.isin(theirs.astype(str), contracted)
            kept = (is_own | is_new)[pairs.row]
            pairs = pairs._replace(home=pairs.home[kept], row=pairs.row[kept], miles=pairs.miles[kept])
            yield Cell(county, line, listing, pairs, is_own, is_new, theirs, zips[listing.rows])
