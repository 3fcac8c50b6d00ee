"""The gap table against BallTree, PySAL access and scipy: `uv run python tests/benchmarks/bench_gaps.py`.

One million members at ZIP codes and 100,000 providers of 29 specialties unless it is said otherwise; with
`--own-places` every member lives at a place of his or her own. Each contestant runs in a process of its own, so that
its peak memory is its own; the shares of members within the standard's distance, by county and specialty, are
compared before any time is printed. Who would take too long works on some counties, and its time is scaled by their
members. PySAL's access takes part where it is installed: `uv run --with access python tests/benchmarks/bench_gaps.py`.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import time
from datetime import date

import numpy as np
import pandas as pd
from record import peak_memory, record
from scipy.spatial import cKDTree
from sklearn.neighbors import BallTree

from sca_analysis import places
from sca_analysis.gaps import tabulate
from sca_analysis.network import VECTOR, Criteria, Network
from sca_analysis.standards import load_counties, load_standards

#: Contestants, and the members they work on at most.
CONTESTANTS = {
    "gap table": None,
    "BallTree": 200_000,
    "PySAL access": 200_000,
    "scipy, all members at once": 200_000,
    "scipy, member by member": 20_000,
}
_COUNTIES = 3200
_SPREAD = 0.05  # degrees around the centre of a ZIP code within which own places lie


def make_network(members: int, providers: int, specialties: int = 29, own_places: bool = False) -> Network:
    """Make up a plan over the whole country: people and providers around ZIP codes, drawn alike for the same sizes."""
    random = np.random.Generator(np.random.PCG64(1))
    zips = places._zip_table().dropna(subset=["latitude", "county_fips"])
    zips = zips[~zips["is_po_box"]].reset_index(names="zip").merge(load_counties(), on="county_fips")
    drawn = random.integers(0, len(zips), members)
    if own_places:
        homes = _spread(zips.iloc[drawn].reset_index(drop=True), random).assign(members=1)
    else:
        homes = zips.assign(members=np.bincount(drawn, minlength=len(zips)))
    standard = _of_specialties(load_standards(), specialties)
    rows = _spread(zips.iloc[random.integers(0, len(zips), providers)].reset_index(drop=True), random)
    rows["npi"] = [f"{n:010d}" for n in range(providers)]
    rows["specialty"] = random.choice(standard["specialty"].unique(), providers)
    rows["is_closed"], rows["is_unknown"], rows["is_seen"] = random.random((3, providers)) < 0.2
    homes[VECTOR] = places.to_unit_vectors(homes["latitude"], homes["longitude"])
    rows[VECTOR] = places.to_unit_vectors(rows["latitude"], rows["longitude"])
    return Network(
        as_of=date(2026, 6, 30),
        homes=homes[homes["members"] > 0].assign(network_id=pd.NA).reset_index(drop=True),
        rows=rows.assign(network_id=pd.NA, rows=1, has_telehealth=False),
        criteria=Criteria("benchmark", standard),
        drive_times=None,
        members=members,
        members_not_placed=0,
    )


def _spread(people: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    moved = random.uniform(-_SPREAD, _SPREAD, (2, len(people)))
    return people.assign(latitude=people["latitude"] + moved[0], longitude=people["longitude"] + moved[1])


def _of_specialties(standard: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return the standard with as many specialties, more than it has by taking them again under another name."""
    names = list(standard["specialty"].unique())
    parts = []
    for number in range(count):
        again, name = divmod(number, len(names))
        part = standard[standard["specialty"] == names[name]]
        parts.append(part.assign(specialty=names[name] + (f" {again + 1}" if again else "")))
    return pd.concat(parts, ignore_index=True)


def share_within(network: Network, contestant: str) -> tuple[pd.Series, float]:
    """Return the share of members in range by county and specialty, and the seconds of the whole country."""
    if contestant == "gap table":
        began = time.perf_counter()
        table = tabulate(network).table
        return table.set_index(["county_fips", "specialty"])["share_within"], time.perf_counter() - began
    homes, scale = network.homes, 1.0
    most = CONTESTANTS[contestant] or network.members
    if network.members > most:
        counties = homes["county_fips"].drop_duplicates()
        some = counties.sample(max(1, _COUNTIES * most // network.members), random_state=1)
        homes = homes[homes["county_fips"].isin(some)].reset_index(drop=True)
        scale = network.members / homes["members"].sum()
    people = homes if contestant == "PySAL access" else homes.loc[homes.index.repeat(homes["members"])]
    people = people.reset_index(drop=True)
    miles = network.standard.set_index(["specialty", "county_type"])["max_miles"]
    began = time.perf_counter()
    shares = []
    for specialty, rows in network.rows[~network.rows["is_closed"]].groupby("specialty"):
        limit = people["county_type"].map(miles[specialty]).to_numpy(float)
        near = _FINDERS[contestant](people, rows.reset_index(drop=True), limit)
        weight = people["members"] if contestant == "PySAL access" else pd.Series(1, index=people.index)
        both = pd.DataFrame({"near": near * weight, "all": weight}).groupby(people["county_fips"]).sum()
        shares.append((both["near"] / both["all"]).rename(specialty))
    table = pd.concat({s.name: s for s in shares}, names=["specialty", "county_fips"])
    return table.swaplevel(), (time.perf_counter() - began) * scale


def _by_ball_tree(people: pd.DataFrame, rows: pd.DataFrame, limit: np.ndarray) -> np.ndarray:
    tree = BallTree(np.radians(rows[["latitude", "longitude"]].astype(float)), metric="haversine")
    angle, _ = tree.query(np.radians(people[["latitude", "longitude"]].astype(float)))
    return angle[:, 0] * places.EARTH_RADIUS_MILES <= limit + 1e-9


def _by_access(people: pd.DataFrame, rows: pd.DataFrame, limit: np.ndarray) -> np.ndarray:
    """Count the providers in the catchment of each place, from a table of all pairs within the largest distance."""
    from access.fca import weighted_catchment

    tree = BallTree(np.radians(rows[["latitude", "longitude"]].astype(float)), metric="haversine")
    angle = (limit + 1e-9) / places.EARTH_RADIUS_MILES
    found, far = tree.query_radius(
        np.radians(people[["latitude", "longitude"]].astype(float)), angle, return_distance=True
    )
    sizes = [len(f) for f in found]
    pairs = pd.DataFrame(
        {"origin": np.concatenate(found), "dest": np.repeat(people.index, sizes), "cost": np.concatenate(far)}
    )
    supply = pd.DataFrame({"providers": 1}, index=rows.index)
    reached = weighted_catchment(supply, pairs, loc_index=True, loc_value="providers")
    return (reached.reindex(people.index, fill_value=0) > 0).to_numpy()


def _by_tree(people: pd.DataFrame, rows: pd.DataFrame, limit: np.ndarray) -> np.ndarray:
    homes, points = people[VECTOR].to_numpy(), rows[VECTOR].to_numpy()
    _, nearest = cKDTree(points).query(homes)
    return places.great_circle_miles(homes, points[nearest]) <= limit + 1e-9


def _by_loop(people: pd.DataFrame, rows: pd.DataFrame, limit: np.ndarray) -> np.ndarray:
    points = rows[VECTOR].to_numpy()
    tree = cKDTree(points)
    nearest = [
        places.great_circle_miles(home[None], points[tree.query(home)[1]][None])[0]
        for home in people[VECTOR].to_numpy()
    ]
    return np.array(nearest) <= limit + 1e-9


_FINDERS = {
    "BallTree": _by_ball_tree,
    "PySAL access": _by_access,
    "scipy, all members at once": _by_tree,
    "scipy, member by member": _by_loop,
}


def run(contestant: str, network: Network) -> None:
    """Print the seconds, the peak memory and the shares of one contestant as JSON."""
    before = peak_memory()
    shares, seconds = share_within(network, contestant)
    peak = peak_memory()
    cells = {" ".join(key): value for key, value in shares.items()}
    print(json.dumps({"seconds": seconds, "peak": peak, "before": before, "cells": cells}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("members", nargs="?", type=int, default=1_000_000)
    parser.add_argument("providers", nargs="?", type=int, default=100_000)
    parser.add_argument("--specialties", type=int, default=29)
    parser.add_argument("--own-places", action="store_true")
    parser.add_argument("--only", nargs="*", choices=CONTESTANTS, default=list(CONTESTANTS))
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    sizes = (given.members, given.providers, given.specialties, given.own_places)
    if given.child:
        run(given.child, make_network(*sizes))
        return
    names = [n for n in given.only if n != "PySAL access" or importlib.util.find_spec("access")]
    results = {}
    for name in names:
        command = [sys.executable, __file__, *sys.argv[1:], "--child", name]
        results[name] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    ours = results["gap table"]
    for name, result in results.items():
        cells = {name for name, share in result["cells"].items() if share == share}  # those with members: no NaN
        # who works on some counties has all specialties of them
        counties = {name.split()[0] for name in cells}
        expected = {name for name, share in ours["cells"].items() if share == share and name.split()[0] in counties}
        if cells != expected:
            raise SystemExit(f"{name} has {len(cells)} cells where the gap table has {len(expected)}")
        apart = [c for c in cells if not abs(result["cells"][c] - ours["cells"][c]) <= 1e-12]
        if apart:
            raise SystemExit(f"{name} disagrees with the gap table in {len(apart)} of {len(result['cells'])} cells")
    where = "at places of their own" if given.own_places else "at ZIP codes"
    what = f"{given.members:,} members {where}, {given.providers:,} providers, {given.specialties} specialties"
    print(f"{what}, {len(ours['cells']):,} cells; shares equal in all compared")
    rows = []
    for name, result in results.items():
        scaled = f" (scaled from {len(result['cells']):,} cells)" if len(result["cells"]) < len(ours["cells"]) else ""
        rows.append((name + scaled, result["seconds"], result["seconds"] / ours["seconds"], result["peak"]))
        print(
            f"{name:<27} {result['seconds']:8.1f} s   ratio {result['seconds'] / ours['seconds']:7.1f}   "
            f"peak {result['peak']:,.0f} MiB, of which {result['before']:,.0f} before{scaled}"
        )
    record(f"gaps: {what}", rows)


if __name__ == "__main__":
    main()
