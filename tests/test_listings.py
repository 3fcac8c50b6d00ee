"""The directory beside the claims: every planted doubt is found, and chance is reckoned with."""

import math
from datetime import date

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sca_analysis.listings import CHANCE, NOBODY, SEEN, UNLIKELY, count_faults, find_faults, judge_listings
from sca_analysis.network import read_network
from sca_analysis.tables import LISTING_FINDINGS, LISTINGS
from tests.folders import claim, listing, npi, open_tables, span

AS_OF = date(2026, 6, 30)


@pytest.fixture(scope="module")
def planted(june):
    return pd.read_csv(june.exports.folder / "planted.csv", dtype="str")


@pytest.fixture(scope="module")
def judged(june):
    network = read_network(june.exports, june.as_of)
    table = judge_listings(june.exports, network)
    return table, find_faults(june.exports, network, table)


def npis(rows: pd.DataFrame) -> set[str]:
    return set(rows["npi"])


def test_every_planted_ghost_is_unseen_and_nobody_else(judged, planted):
    table, faults = judged
    ghosts = npis(planted[planted["kind"] == "ghost"])
    assert npis(table[table["verdict"] != SEEN]) == ghosts
    assert npis(faults[faults["finding"].isin(["ghost", "unseen"])]) == ghosts
    # a neurologist whom two patients would be expected to see is no ghost yet
    assert len(npis(faults[faults["finding"] == "ghost"])) == len(ghosts) - 1


@pytest.mark.parametrize(
    ("kind", "finding"),
    [
        ("terminated", "terminated"),
        ("not_yet_effective", "not_yet_effective"),
        ("other_network_only", "wrong_network"),
        ("duplicate_listing", "duplicate"),
    ],
)
def test_what_was_planted_in_the_directory_is_named(judged, planted, kind, finding):
    _, faults = judged
    assert npis(faults[faults["finding"] == finding]) == npis(planted[planted["kind"] == kind])


def test_columns_and_counts(june, judged):
    table, faults = judged
    assert list(table.columns) == list(LISTINGS.names)
    assert list(faults.columns) == list(LISTING_FINDINGS.names)
    assert not table.duplicated(["npi", "specialty"]).any()
    counts = count_faults(faults, table["npi"].nunique()).set_index("finding")["providers"]
    assert counts.to_dict() == {kind: faults.loc[faults["finding"] == kind, "npi"].nunique() for kind in counts.index}
    assert june.exports.repeats("directory")["npi"].tolist()
    # nobody is expected twice: all patients of a specialty with somebody in range, and no more
    sums = table.groupby("specialty")[["expected_patients", "patients"]].sum()
    assert (sums["expected_patients"] <= sums["patients"] + 1e-9).all()


USE = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4), st.integers(1, 28)), min_size=1, max_size=30)
PLACES = {0: "04330", 1: "04330", 2: "04401", 3: "04401", 4: "04101", 5: "04654"}


@settings(max_examples=8, deadline=None, derandomize=True)
@given(USE, st.lists(st.tuples(st.integers(1, 4), st.sampled_from(sorted(set(PLACES.values())))), min_size=1))
def test_patients_expected_equal_a_second_reckoning(tmp_path_factory, use, listed):
    exports = open_tables(
        tmp_path_factory.mktemp("listings"),
        claims=[claim(f"M{m}", p, date(2026, 5, day)) for m, p, day in use],
        directory=[listing(p, zip=place) for p, place in listed],
        members=[span(f"M{m}", zip=place) for m, place in PLACES.items()],
    )
    network = read_network(exports, AS_OF)
    table = judge_listings(exports, network).set_index("npi")
    miles = network.standard.set_index(["specialty", "county_type"])["max_miles"]
    points = {z: tuple(p) for z, *p in network.homes[["zip", "x", "y", "z"]].itertuples(index=False)}
    points |= {z: tuple(p) for z, *p in network.rows[["zip", "x", "y", "z"]].itertuples(index=False)}
    types = network.homes.set_index("zip")["county_type"]
    expected = dict.fromkeys((npi(p) for p, _ in listed), 0.0)
    for member, place in PLACES.items():
        near = set()
        for provider, theirs in listed:
            dot = min(1.0, sum(a * b for a, b in zip(points[place], points[theirs], strict=True)))
            if math.acos(dot) * 6371.0088 / 1.609344 <= miles["Psychiatry", types[place]]:
                near.add(npi(provider))
        patients = len({p for m, p, _ in use if m == member} & {p for p, _ in listed})
        for one in near:
            expected[one] += patients / len(near)
    assert table["expected_patients"].to_dict() == pytest.approx(expected)
    seen = {npi(p): len({m for m, q, _ in use if q == p}) for p, _ in listed}
    assert table["patients"].to_dict() == seen
    assert table["visits"].to_dict() == {npi(p): len({(m, d) for m, q, d in use if q == p}) for p, _ in listed}


def test_verdicts_follow_what_was_to_be_expected(tmp_path):
    members = [span(f"M{i}") for i in range(40)]
    exports = open_tables(
        tmp_path,
        claims=[claim(f"M{i}", 1 + i % 3) for i in range(40)] + [claim("M1", 7)],
        directory=[
            *(listing(p) for p in (1, 2, 3, 4)),  # ten patients each to be expected: the fourth sees none
            listing(5, zip="04654"),  # a hundred miles away from everybody
            listing(7, taxonomy_code="207N00000X"),
            listing(8, taxonomy_code="207N00000X"),  # half a patient to be expected
        ],
        members=members,
    )
    network = read_network(exports, AS_OF)
    table = judge_listings(exports, network)
    verdicts = table.set_index("npi")["verdict"]
    assert verdicts[[npi(p) for p in (1, 4, 5, 8)]].tolist() == [SEEN, UNLIKELY, NOBODY, CHANCE]
    found = find_faults(exports, network, table).set_index("npi")["finding"]
    assert found[npi(4)] == "ghost"
    assert found[npi(5)] == found[npi(8)] == "unseen"


def test_doubts_by_hand(tmp_path):
    exports = open_tables(
        tmp_path,
        claims=[claim("M1", 1, "2026-06-01"), claim("M1", 2, "2026-06-01")],
        directory=[
            listing(1, termination_date="2026-03-31"),
            listing(2, effective_date="2020-01-01", location_id="L1"),
            listing(2, effective_date="2021-01-01", location_id="L1"),
            listing(3, network_id="B"),
            listing(4, effective_date="2026-07-01"),
            listing(5, accepting_new_patients=False),
            listing(6),
            listing(6, zip="04101"),
            listing(7),
            listing(7, taxonomy_code="207N00000X"),
            listing(8, taxonomy_code="101YM0800X"),
            listing(9, taxonomy_code="261QM0801X"),
            listing(10, zip="00000"),
            listing(11),
            listing(12, provider_name="Same Name"),
            listing(13, provider_name="SAME NAME"),
        ],
        members=[span("M1", network_id="A")],
        providers=[{"npi": npi(11), "zip": "04330", "deactivation_date": "2026-06-30"}],
    )
    network = read_network(exports, AS_OF)
    faults = find_faults(exports, network, judge_listings(exports, network))
    found = faults.groupby("finding")["npi"].agg(set).to_dict()
    del found["unseen"]
    assert found == {
        "terminated": {npi(1)},
        "seen_after_end": {npi(1)},
        "duplicate": {npi(2)},
        "wrong_network": {npi(3)},
        "not_yet_effective": {npi(4)},
        "closed_panel": {npi(5)},
        "several_places": {npi(6)},
        "several_specialties": {npi(7)},
        "no_specialty": {npi(8)},
        "organization": {npi(9)},
        "not_placed": {npi(10)},
        "deactivated": {npi(11)},
        "several_npis": {npi(12), npi(13)},
    }


def test_no_listing_and_no_doubt(tmp_path):
    exports = open_tables(
        tmp_path, claims=[claim("M1", 1)], directory=[listing(1, network_id="B")], members=[span("M1", network_id="A")]
    )
    network = read_network(exports, AS_OF)
    table = judge_listings(exports, network)
    assert table.empty
    assert list(table.columns) == list(LISTINGS.names)
    assert find_faults(exports, network, table)["finding"].tolist() == ["wrong_network"]
