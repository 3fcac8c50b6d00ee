"""The gap table against BallTree and a loop over members: `uv run python tests/benchmarks/bench_gaps.py`.

One million members at ZIP codes and 100,000 providers of 29 specialties unless two numbers say otherwise. Each
contestant runs in a process of its own, so that its peak memory is its own; the shares of members within the
standard's distance, by county and specialty, are compared before any time is printed.
"""

import json
import resource
import subprocess
import sys
import time
from datetime import date

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree
from sklearn.neighbors import BallTree

from sca_analysis import places
from sca_analysis.gaps import tabulate
from sca_analysis.network import VECTOR, Criteria, Network
from sca_analysis.standards import load_counties, load_standards

MEMBERS, PROVIDERS, LOOPED = 1_000_000, 100_000, 20_000
CONTESTANTS = ("gap table", "BallTree", "loop over members")


def make_network(members: int, providers: int) -> Network:
    """Make up a plan over the whole country: people and providers at ZIP codes, drawn alike for the same sizes."""
    random = np.random.Generator(np.random.PCG64(1))
    zips = places._zip_table().dropna(subset=["latitude", "county_fips"])
    zips = zips[~zips["is_po_box"]].reset_index(names="zip").merge(load_counties(), on="county_fips")
    zips[VECTOR] = places.to_unit_vectors(zips["latitude"], zips["longitude"])
    homes = zips.assign(members=np.bincount(random.integers(0, len(zips), members), minlength=len(zips)))
    standard = load_standards()
    rows = zips.iloc[random.integers(0, len(zips), providers)].reset_index(drop=True)
    rows["npi"] = [f"{n:010d}" for n in range(providers)]
    rows["specialty"] = random.choice(standard["specialty"].unique(), providers)
    rows["is_closed"], rows["is_unknown"], rows["is_seen"] = random.random((3, providers)) < 0.2
    return Network(
        as_of=date(2026, 6, 30),
        homes=homes[homes["members"] > 0].assign(network_id=pd.NA).reset_index(drop=True),
        rows=rows.assign(network_id=pd.NA, rows=1, has_telehealth=False),
        criteria=Criteria("benchmark", standard),
        drive_times=None,
        members=members,
        members_not_placed=0,
    )


def share_within(network: Network, contestant: str) -> tuple[pd.Series, float]:
    """Return the share of members in range by county and specialty, and the seconds of the whole country."""
    if contestant == "gap table":
        began = time.perf_counter()
        table = tabulate(network).table
        return table.set_index(["county_fips", "specialty"])["share_within"], time.perf_counter() - began
    people = network.homes.loc[network.homes.index.repeat(network.homes["members"])].reset_index(drop=True)
    scale = 1.0
    if contestant == "loop over members":
        few = people["county_fips"].isin(
            people["county_fips"].drop_duplicates()[: max(1, 3200 * LOOPED // len(people))]
        )
        scale = len(people) / few.sum()
        people = people[few].reset_index(drop=True)
    miles = network.standard.set_index(["specialty", "county_type"])["max_miles"]
    began = time.perf_counter()
    shares = []
    for specialty, rows in network.rows[~network.rows["is_closed"]].groupby("specialty"):
        limit = people["county_type"].map(miles[specialty])
        if contestant == "BallTree":
            tree = BallTree(np.radians(rows[["latitude", "longitude"]].astype(float)), metric="haversine")
            angle, _ = tree.query(np.radians(people[["latitude", "longitude"]].astype(float)))
            nearest = angle[:, 0] * places.EARTH_RADIUS_MILES
        else:
            points = rows[VECTOR].to_numpy()
            one_by_one = cKDTree(points)
            nearest = np.array(
                [
                    places.great_circle_miles(home[None], points[one_by_one.query(home)[1]][None])[0]
                    for home in people[VECTOR].to_numpy()
                ]
            )
        near = pd.Series(nearest <= limit + 1e-9)
        shares.append(near.groupby(people["county_fips"]).mean().rename(specialty))
    table = pd.concat({s.name: s for s in shares}, names=["specialty", "county_fips"])
    return table.swaplevel(), (time.perf_counter() - began) * scale


def run(contestant: str, members: int, providers: int) -> None:
    """Print the seconds, the peak memory and the shares of one contestant as JSON."""
    network = make_network(members, providers)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    shares, seconds = share_within(network, contestant)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cells = {" ".join(key): value for key, value in shares.items()}
    print(json.dumps({"seconds": seconds, "peak": peak / 1024, "before": before / 1024, "cells": cells}))


if __name__ == "__main__":
    sizes = [int(a) for a in sys.argv[1:3]] or [MEMBERS, PROVIDERS]
    if len(sys.argv) == 4:
        run(sys.argv[3], *sizes)
        raise SystemExit
    results = {
        name: json.loads(
            subprocess.run(
                [sys.executable, __file__, *map(str, sizes), name], stdout=subprocess.PIPE, check=True
            ).stdout
        )
        for name in CONTESTANTS
    }
    ours = results["gap table"]
    for name, result in results.items():
        apart = [c for c, share in result["cells"].items() if abs(share - ours["cells"][c]) > 1e-12]
        if apart:
            raise SystemExit(f"{name} disagrees with the gap table in {len(apart)} of {len(result['cells'])} cells")
    print(f"{sizes[0]:,} members, {sizes[1]:,} providers, {len(ours['cells']):,} cells; shares equal in all compared")
    for name, result in results.items():
        note = f" (scaled from {len(result['cells']):,} cells)" if name.startswith("loop") else ""
        print(
            f"{name:<18} {result['seconds']:8.1f} s   ratio {result['seconds'] / ours['seconds']:7.1f}   "
            f"peak {result['peak']:,.0f} MiB, of which {result['before']:,.0f} before{note}"
        )
