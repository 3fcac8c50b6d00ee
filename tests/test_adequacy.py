"""Adequacy as it is asked for: by the command with its options, and against another search on a real directory."""

import csv
import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.neighbors import BallTree

from sca_analysis.adequacy import Adequacy, list_points, measure_adequacy
from sca_analysis.exports import Exports
from sca_analysis.gaps import list_distances, tabulate
from sca_analysis.monthly import Month
from sca_analysis.network import VECTOR, locate, read_network
from sca_analysis.places import EARTH_RADIUS_MILES
from sca_analysis.privacy import withhold_few
from sca_analysis.standards import STANDARDS, load_counties
from sca_analysis.tables import CHANGES, COMPLIANCE, FIX, LISTINGS
from tests.conftest import ROOT, SAMPLE
from tests.folders import npi
from tests.test_cli import fails, run


@pytest.fixture(scope="module")
def adequacy(june: Month) -> Adequacy:
    return june.adequacy


def test_shares_equal_those_of_balltree_on_a_real_directory(shared_exports: Path) -> None:
    exports = Exports.open(ROOT / "tests" / "exports" / "medicare_carrier")
    people = pd.read_csv(shared_exports / "geo" / "census_zip_population_2023.csv", dtype={"ZIP_CLEAN": "str"})
    homes = people.rename(columns={"ZIP_CLEAN": "zip", "population": "members"}).query("members > 0")
    homes = locate(homes.reset_index(drop=True).assign(latitude=np.nan, longitude=np.nan, county_fips=pd.NA))
    homes = homes.merge(load_counties(), on="county_fips").dropna(subset=["latitude"])
    homes = homes[homes["state"].isin(["CT", "RI", "MA"])].assign(network_id=pd.NA).reset_index(drop=True)
    network = replace(read_network(exports, exports.last_day), homes=homes, members=int(homes["members"].sum()))
    table = tabulate(network).table.set_index(["county_fips", "specialty"])
    assert len(table) == 29 * homes["county_fips"].nunique()
    limits = network.standard.set_index(["specialty", "county_type"])["max_miles"]
    compared = 0
    for specialty, rows in network.rows.dropna(subset=["latitude"]).groupby("specialty"):
        tree = BallTree(
            np.radians(rows.loc[~rows["is_closed"], ["latitude", "longitude"]].astype(float)), metric="haversine"
        )
        angle, _ = tree.query(np.radians(homes[["latitude", "longitude"]].astype(float)))
        near = angle[:, 0] * EARTH_RADIUS_MILES <= homes["county_type"].map(limits[specialty])
        weights = homes["members"].groupby(homes["county_fips"]).sum()
        shares = (homes["members"] * near).groupby(homes["county_fips"]).sum() / weights
        ours = table.xs(specialty, level="specialty")["share_within"]
        assert ours.to_dict() == pytest.approx(shares.to_dict())
        compared += len(ours)
    assert compared > 500
    assert 0 < (table["status"] == "met").sum() < len(table)


def test_the_folder_of_all_tables(tmp_path: Path, adequacy: Adequacy) -> None:
    result = run("gaps", "--data", SAMPLE, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert "for internal use" in result.stderr
    written = {p.stem: p for p in (tmp_path / "out" / "tables").iterdir()}
    assert set(written) == set(adequacy.tables)
    for name, frame in adequacy.tables.items():
        rows = list(csv.reader(written[name].open(encoding="utf-8", newline="")))
        assert rows[0] == list(frame.columns)
        assert len(rows) == len(frame) + 1
    assert (tmp_path / "out" / "tables.xlsx").stat().st_size > 10_000
    assert list(adequacy.compliance) == list(COMPLIANCE.names)
    assert list(adequacy.listings) == list(LISTINGS.names)
    assert list(adequacy.fix) == list(FIX.names)


def test_each_planted_gap_has_its_fix_or_says_that_it_has_none(adequacy: Adequacy) -> None:
    fix = adequacy.fix.set_index(["county_fips", "specialty"])
    failing = adequacy.gaps.table.query("status != 'met'").set_index(["county_fips", "specialty"])
    assert set(fix.index) == set(failing.index)
    assert fix["can_close"].sum() == 5
    for (county, specialty), row in fix[fix["can_close"]].iterrows():
        rows = adequacy.candidates[adequacy.candidates["npi"] == row["npi"]]
        columns = list(adequacy.network.rows)
        after = tabulate(adequacy.network.joined_by(rows[columns])).table.set_index(["county_fips", "specialty"])
        assert after.loc[(county, specialty), "status"] == "met"


def test_what_if_by_command(adequacy: Adequacy) -> None:
    leaving = adequacy.servicing.query("status == 'met' and status_after != 'met'").iloc[0]
    rows = json.loads(run("gaps", "--data", SAMPLE, "--without", leaving["npi"], "--json").stdout)
    assert list(rows[0]) == list(CHANGES.names)
    [row] = [r for r in rows if (r["county_fips"], r["specialty"]) == (leaving["county_fips"], leaving["specialty"])]
    assert row["status_before"] == "met"
    assert row["status_after"] == leaving["status_after"]
    joining = adequacy.fix.query("can_close").iloc[0]
    rows = json.loads(run("gaps", "--data", SAMPLE, "--with", joining["npi"], "--json").stdout)
    [row] = [r for r in rows if (r["county_fips"], r["specialty"]) == (joining["county_fips"], joining["specialty"])]
    assert row["status_after"] == "met"
    assert "is not listed in the network" in fails("gaps", "--data", SAMPLE, "--without", npi(999_999))
    assert "cannot join" in fails("gaps", "--data", SAMPLE, "--with", leaving["npi"])


def test_members_behind_a_row(adequacy: Adequacy) -> None:
    result = run("gaps", "--data", SAMPLE, "--members", "23029:psychiatry")
    rows = list(csv.DictReader(StringIO(result.stdout)))
    row = adequacy.gaps.table.set_index(["county_fips", "specialty"]).loc[("23029", "Psychiatry")]
    assert len(rows) == row["members"]
    assert sum(r["is_within"] == "True" for r in rows) == round(row["share_within"] * row["members"])
    assert "is no row of the gap table" in fails("gaps", "--data", SAMPLE, "--members", "23029:Wizardry")


@pytest.mark.parametrize("name", STANDARDS)
def test_standards_by_name(name: str) -> None:
    result = run("gaps", "--data", SAMPLE, "--standards", name)
    assert result.exit_code == 0, result.stderr
    assert STANDARDS[name] in result.stdout


def test_standards_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text(
        "specialty,county_type,max_miles,required_share\npsychiatry,Rural,500,0.5\n", encoding="utf-8"
    )
    rows = json.loads(run("gaps", "--data", SAMPLE, "--standards", tmp_path / "own.csv", "--json").stdout)
    assert {(r["specialty"], r["max_miles"], r["status"]) for r in rows} == {("Psychiatry", 500.0, "met")}
    (tmp_path / "bad.csv").write_text("specialty,county_type,max_miles,required_share\nPsychiatry,Rural,far,0.5\n")
    assert "first row 2 (not_a_number:max_miles)" in fails(
        "gaps", "--data", SAMPLE, "--standards", tmp_path / "bad.csv"
    )
    assert "there is no file" in fails("gaps", "--data", SAMPLE, "--standards", tmp_path / "absent.csv")
    assert "is no standard" in fails("gaps", "--data", SAMPLE, "--standards", "utopia")


def test_standard_and_minutes_of_the_exports_themselves(tmp_path: Path) -> None:
    for file in SAMPLE.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    zips = sorted({row["zip"] for row in csv.DictReader((SAMPLE / "directory.csv").open(encoding="utf-8"))})
    homes = {row["zip"][:5] for row in csv.DictReader((SAMPLE / "members.csv").open(encoding="utf-8"))}
    pairs = [f"{home},{z},{999 if z == '04654' else 1}" for home in sorted(homes) if len(home) == 5 for z in zips]
    (tmp_path / "travel.csv").write_text("\n".join(["origin,destination,minutes", *pairs]) + "\n", encoding="utf-8")
    config = (tmp_path / "exports.yaml").read_text(encoding="utf-8")
    config = config.replace("(synthetic)}", "(synthetic), standard: minnesota}")
    (tmp_path / "exports.yaml").write_text(f"{config}travel_times: [{{path: travel.csv}}]\n", encoding="utf-8")
    exports = Exports.open(tmp_path)
    found = measure_adequacy(exports, exports.last_day)
    assert found.network.criteria.name == STANDARDS["minnesota"]
    assert found.gaps.pairs > 0
    assert "minutes (driving minutes of the exports)" in found.gaps.table["reason"].iloc[0]
    assert len(found.notes) == (found.gaps.pairs_estimated > 0)


def test_drive_times_by_command(tmp_path: Path, adequacy: Adequacy) -> None:
    rows = json.loads(run("gaps", "--data", SAMPLE, "--drive-times", "estimate", "--json").stdout)
    likely = [r["status"] == "met" for r in rows]
    assert sum(likely) == (adequacy.drives["status_likely_drives"] == "met").sum()
    (tmp_path / "times.csv").write_text("origin,destination,minutes\n04330,04101,-5\n", encoding="utf-8")
    assert "row 2 (negative_number:minutes)" in fails("gaps", "--data", SAMPLE, "--drive-times", tmp_path / "times.csv")
    (tmp_path / "times.csv").write_text("origin,destination,minutes\n04330,04101,5\n", encoding="utf-8")
    result = run("gaps", "--data", SAMPLE, "--drive-times", tmp_path / "times.csv")
    assert "have no driving time given: theirs is estimated." in result.stderr


def test_facility_types_that_no_code_tells_are_left_out() -> None:
    result = run("gaps", "--data", SAMPLE, "--facilities", "--json")
    assert "they are left out: Cardiac Catheterization Services" in result.stderr
    specialties = {r["specialty"] for r in json.loads(result.stdout)}
    assert "Acute Inpatient Hospitals" in specialties
    assert "Cardiac Surgery Program" not in specialties


def test_points_and_distances_of_a_specialty(adequacy: Adequacy) -> None:
    points = list_points(adequacy, "Psychiatry")
    listed = adequacy.network.rows
    listed = listed[(listed["specialty"] == "Psychiatry") & adequacy.network.is_for_members(listed)]
    ours = points[points["kind"] != "out_of_network"]
    assert ours["providers"].sum() == len(listed[["npi", "latitude", "longitude"]].drop_duplicates())
    assert (points["kind"] == "out_of_network").any()
    distances = list_distances(adequacy.network, "Psychiatry")
    assert distances["members"].sum() == adequacy.gaps.members
    within = distances[distances["miles"] <= distances["max_miles"]].groupby("county")["members"].sum()
    gaps = adequacy.gaps.table.query("specialty == 'Psychiatry'").set_index("county")
    assert within.to_dict() == {c: round(r.share_within * r.members) for c, r in gaps.iterrows() if r.share_within}
    assert np.isfinite(distances["miles"]).all()
    assert set(VECTOR) <= set(adequacy.network.homes)


def test_few_people_are_withheld_on_either_side() -> None:
    frame = pd.DataFrame({"part": [0, 1, 10, 11, 90, 100], "all": [100] * 6, "money": range(6)})
    shown = withhold_few(frame, "part", ["money"], of="all")
    assert shown["part"].tolist() == [0, pd.NA, pd.NA, 11, pd.NA, 100]
    assert shown["money"].isna().tolist() == [False, True, True, False, True, False]
    assert withhold_few(frame, "part", [])["part"].isna().sum() == 2
