"""Contracts that close a gap, servicing, what-ifs and the exception file: against brute force, and by hand."""

import re
from dataclasses import replace
from datetime import date
from fractions import Fraction
from itertools import combinations
from math import ceil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from sca_analysis.candidates import CLAIMS, OTHER_DAY, OTHER_NETWORK, REGISTRY, list_candidates
from sca_analysis.cover import Cover, choose
from sca_analysis.errors import ParameterError
from sca_analysis.exception_file import list_exceptions
from sca_analysis.exports import Exports
from sca_analysis.gaps import tabulate
from sca_analysis.network import Criteria, Network, locate, read_network
from sca_analysis.remedies import close_gap, close_gaps, compare, join, show_effect
from sca_analysis.servicing import find_care, members_behind, serve
from sca_analysis.standards import load_standards
from sca_analysis.tables import CHANGES, EXCEPTIONS, FIX, MEMBERS_BEHIND, SERVICING
from sca_analysis.travel import DriveTimes
from tests.folders import claim, listing, npi, open_tables, span

SAMPLE = Path(__file__).parents[1] / "data" / "sample"
AS_OF = date(2026, 6, 30)
PSYCHIATRY, DERMATOLOGY = "Psychiatry", "Dermatology"
KEY = ["county_fips", "specialty"]

# --- random networks: two counties, two specialties, a grid of places some miles apart --------------------------------

PLACE = st.tuples(st.integers(0, 5), st.integers(0, 5))
SHARE = st.sampled_from(["0.85", "0.9", "0.5", "1", "0.333333"])


def rows_of(given):
    """Return (number, specialty, place, is_closed, network) as directory rows."""
    rows = pd.DataFrame(
        [
            {
                "npi": npi(n),
                "network_id": network,
                "zip": "04330",
                "taxonomy_code": "2084P0800X",
                "latitude": 44.0 + at[0] / 10,
                "longitude": -70.0 + at[1] / 10,
                "rows": 1,
                "has_telehealth": False,
                "specialty": specialty,
                "is_closed": closed,
                "is_unknown": not closed,
                "county_fips": None,
                "is_seen": True,
            }
            for n, specialty, at, closed, network in given
        ],
        columns=[
            *("npi", "network_id", "zip", "taxonomy_code", "latitude", "longitude", "rows", "has_telehealth"),
            *("specialty", "is_closed", "is_unknown", "county_fips", "is_seen"),
        ],
    ).astype({"latitude": float, "longitude": float, "is_closed": bool, "is_unknown": bool, "is_seen": bool})
    return locate(rows)


def provider(numbers):
    specialty = st.sampled_from([PSYCHIATRY, PSYCHIATRY, DERMATOLOGY])
    return st.tuples(numbers, specialty, PLACE, st.booleans(), st.sampled_from([None, "A", "B"]))


@st.composite
def plans(draw):
    """Return a network and candidates of it, some of them listed already or closed."""
    homes = draw(
        st.lists(
            st.tuples(PLACE, st.integers(1, 9), st.sampled_from(["23011", "23029"]), st.sampled_from(["A", "B", None])),
            min_size=1,
            max_size=14,
            unique_by=lambda h: (h[0], h[2], h[3]),
        )
    )
    placed = pd.DataFrame(
        [
            {
                "zip": "04330",
                "latitude": 44.0 + at[0] / 10,
                "longitude": -70.0 + at[1] / 10,
                "county_fips": fips,
                "network_id": network,
                "members": members,
                "county_name": fips,
                "state": "ME",
                "county_type": "Metro",
            }
            for at, members, fips, network in homes
        ]
    )
    standard = load_standards()
    standard = standard[standard["specialty"].isin([PSYCHIATRY, DERMATOLOGY]) & (standard["county_type"] == "Metro")]
    standard = standard.assign(max_miles=draw(st.sampled_from([5.0, 8.0, 12.0])))
    standard["required_share"] = type(standard["required_share"].iloc[0])(draw(SHARE))
    standard["providers_per_1000"] = type(standard["required_share"].iloc[0])(draw(st.sampled_from(["0", "50", "90"])))
    drive_times = draw(st.sampled_from([None, DriveTimes("a table", minutes=pd.DataFrame())]))
    network = Network(
        as_of=AS_OF,
        homes=locate(placed),
        rows=rows_of(draw(st.lists(provider(st.integers(1, 5)), max_size=6))),
        criteria=Criteria("test", standard.reset_index(drop=True)),
        drive_times=drive_times,
        members=int(placed["members"].sum()),
        members_not_placed=0,
    )
    candidates = rows_of(draw(st.lists(provider(st.integers(4, 11)), max_size=10))).assign(
        source=CLAIMS, provider_name="A name", visits=3, patients=2, has_place=True
    )
    return network, candidates


def cell_of(table, key):
    return table.set_index(KEY).loc[key]


PROPERTY = settings(max_examples=5, deadline=None, derandomize=True, phases=[Phase.generate])


@PROPERTY
@given(plans())
def test_contracts_close_the_gap_with_the_fewest_providers(plan):
    network, candidates = plan
    before = tabulate(network).table
    steps = close_gaps(network, candidates, before)
    assert list(steps.columns) == list(FIX.names)
    failing = before.loc[before["status"] != "met", KEY].apply(tuple, axis=1).tolist()
    assert sorted(set(steps[KEY].apply(tuple, axis=1))) == failing
    # whoever is listed for all networks of a county is no candidate there
    for key, part in steps.groupby(KEY):
        networks = network.homes.loc[network.homes["county_fips"] == key[0], "network_id"].dropna().unique()
        theirs = network.rows.groupby("npi")["network_id"].agg(set)
        listed = {n for n, s in theirs.items() if all(x in s or s & {None, np.nan} for x in networks)}
        free = candidates[~candidates["npi"].isin(listed)]
        mine = sorted(free.loc[free["specialty"] == key[1], "npi"].unique())
        chosen = part["npi"].dropna().tolist()
        first = part.iloc[0]

        def status_with(npis, free=free, key=key):
            joined = join(network, free[free["npi"].isin(npis) & (free["specialty"] == key[1])])
            return cell_of(tabulate(joined).table, key)

        # each step says what a new gap table says
        for step, row in enumerate(part.itertuples(), start=1 if chosen else 0):
            after = status_with(chosen[:step])
            assert row.share_after == pytest.approx(after["share_within"], abs=1e-12)
            assert (row.accepting_after, row.status_after) == (after["accepting"], after["status"])
            assert row.step == step
        assert first["can_close"] == (status_with(mine)["status"] == "met")
        if first["can_close"]:
            assert part.iloc[-1]["status_after"] == "met"
            smallest = next(
                k
                for k in range(len(mine) + 1)
                for some in combinations(mine, k)
                if status_with(some)["status"] == "met"
            )
            assert first["at_least"] <= smallest <= len(chosen)
            assert first["is_smallest"]
            assert len(chosen) == smallest
        else:
            everyone = status_with(mine)
            assert first["share_with_all"] == pytest.approx(everyone["share_within"], abs=1e-12)
            assert first["accepting_with_all"] == everyone["accepting"]
            assert not first["is_smallest"]


@PROPERTY
@given(plans())
def test_servicing_equals_the_gap_table_without_the_provider(plan):
    network, _ = plan
    before = tabulate(network).table.set_index(KEY)
    served = serve(network)
    assert list(served.columns) == list(SERVICING.names)
    assert served["patients"].isna().all()
    for one in network.rows["npi"].unique():
        after = tabulate(network.without([one])).table.set_index(KEY)
        mine = served[served["npi"] == one].set_index(KEY)
        for key, row in before.iterrows():
            if key not in mine.index:
                # no usable row of the provider is in range
                assert after.loc[key, "accepting"] == row["accepting"]
                continue
            got, wanted = mine.loc[key], after.loc[key]
            assert got["share_within_after"] == pytest.approx(wanted["share_within"], abs=1e-12)
            assert (got["accepting_after"], got["status_after"]) == (wanted["accepting"], wanted["status"])
            assert (got["status"], got["share_within"]) == (row["status"], pytest.approx(row["share_within"]))
            alone = network.having(network.rows[network.rows["npi"] == one])
            share = tabulate(alone).table.set_index(KEY).loc[key, "share_within"]
            assert got["share_in_range"] == pytest.approx(share, abs=1e-12)
            assert got["members_in_range"] == round(share * row["members"])
            assert got["members_lost"] == round((row["share_within"] - wanted["share_within"]) * row["members"])


@PROPERTY
@given(plans(), st.data())
def test_changes_add_up(plan, data):
    network, candidates = plan
    leaving = data.draw(st.sets(st.sampled_from(sorted(network.rows["npi"].unique()) or [npi(1)])))
    before, after = tabulate(network), tabulate(join(network.without(leaving), candidates))
    table = compare(before, after, only_changed=False)
    assert list(table.columns) == list(CHANGES.names)
    assert len(table) == len(before.table)
    for side, gaps in (("before", before), ("after", after)):
        for column in ("listed", "in_range", "accepting", "seen_in_claims", "status"):
            assert table[f"{column}_{side}"].tolist() == gaps.table[column].tolist()
    within = [(g.table["share_within"] * g.table["members"]).sum() for g in (before, after)]
    assert table["members_gained"].sum() == round(within[1] - within[0])
    changed = compare(before, after)
    columns = ["listed", "in_range", "accepting", "seen_in_claims", "share_within", "nearest_miles", "status"]
    is_same = [
        a == b or (a[5] is b[5] is None and a[:5] + a[6:] == b[:5] + b[6:])
        for a, b in zip(
            *(
                [tuple(None if pd.isna(v) else v for v in row) for row in g.table[columns].itertuples(index=False)]
                for g in (before, after)
            ),
            strict=True,
        )
    ]
    assert len(changed) == is_same.count(False)
    assert compare(before, before).empty


def test_order_of_rows_does_not_matter():
    network, candidates = crossed()
    table = tabulate(network).table
    again = network.having(network.rows[::-1])
    pd.testing.assert_frame_equal(
        close_gaps(network, candidates, table), close_gaps(again, candidates[::-1], table[::-1]), check_exact=True
    )
    pd.testing.assert_frame_equal(serve(join(network, candidates)), serve(join(again, candidates[::-1])))


# --- the cover by itself ----------------------------------------------------------------------------------------------


@st.composite
def covers(draw):
    candidates, homes = draw(st.integers(0, 8)), draw(st.integers(1, 12))
    pairs = draw(st.sets(st.tuples(st.integers(0, max(candidates - 1, 0)), st.integers(0, homes - 1)), max_size=30))
    pairs = sorted(pairs) if candidates else []
    members = np.array(draw(st.lists(st.integers(1, 20), min_size=homes, max_size=homes)))
    return Cover(
        candidate=np.array([c for c, _ in pairs], dtype=np.int64),
        home=np.array([h for _, h in pairs], dtype=np.int64),
        members=members,
        counts=np.array(draw(st.lists(st.booleans(), min_size=candidates, max_size=candidates)), dtype=bool),
        lacking_members=draw(st.integers(0, int(members.sum()))),
        lacking_providers=draw(st.integers(0, 3)),
    )


@settings(max_examples=200, deadline=None, derandomize=True)
@given(covers())
def test_choice_is_smallest_by_brute_force(cover):
    reach = {c: set() for c in range(len(cover.counts))}
    for c, h in zip(cover.candidate.tolist(), cover.home.tolist(), strict=True):
        reach[c].add(h)

    def closes(some):
        served = set().union(*(reach[c] for c in some))
        members = sum(int(cover.members[h]) for h in served)
        providers = sum(bool(cover.counts[c]) for c in some)
        return members >= cover.lacking_members and providers >= cover.lacking_providers

    found = choose(cover)
    assert len(set(found.chosen)) == len(found.chosen)
    sizes = [k for k in range(len(reach) + 1) for some in combinations(reach, k) if closes(some)]
    assert found.closes == bool(sizes)
    if sizes:
        assert closes(found.chosen)
        assert len(found.chosen) == min(sizes) == found.at_least
    else:
        assert found.at_least == 0
    gains = [min(sum(cover.members[h] for h in reach[c]), cover.lacking_members) for c in reach]
    gains = [g + (bool(cover.counts[c]) if cover.lacking_providers else 0) for c, g in enumerate(gains)]
    assert found.ratio == pytest.approx(
        float(sum(Fraction(1, n) for n in range(1, int(max(gains, default=0)) + 1)) or 1)
    )


def test_greedy_choice_alone_is_within_its_bound_and_not_always_smallest(monkeypatch):
    # two rows of homes: greedy takes columns, the widest first, where one candidate a row would do
    columns = [(0, h) for h in (0, 1, 2, 3, 6, 7, 8, 9)] + [(1, h) for h in (4, 10)] + [(2, h) for h in (5, 11)]
    rows = [(3, h) for h in range(6)] + [(4, h) for h in range(6, 12)]
    pairs = np.array(columns + rows)
    cover = Cover(pairs[:, 0], pairs[:, 1], np.ones(12, dtype=np.int64), np.ones(5, dtype=bool), 12, 0)
    assert (choose(cover).chosen, choose(cover).at_least) == ([3, 4], 2)
    monkeypatch.setattr("sca_analysis.cover.MAX_PAIRS", 0)
    greedy = choose(cover)
    assert (greedy.chosen, greedy.closes, greedy.at_least) == ([0, 1, 2], True, 2)
    assert greedy.ratio == pytest.approx(sum(1 / n for n in range(1, 9)))


def test_of_equals_the_first_and_needless_ones_are_dropped(monkeypatch):
    monkeypatch.setattr("sca_analysis.cover.MAX_PAIRS", 0)  # no search after the greedy choice

    def cover(pairs, members, lacking):
        pairs = np.array(pairs)
        counts = np.ones(pairs[:, 0].max() + 1, dtype=bool)
        return Cover(pairs[:, 0], pairs[:, 1], np.array(members), counts, lacking, 0)

    assert choose(cover([(0, 0), (1, 0)], [5], 5)).chosen == [0]
    # the largest first, which the two others then make needless
    found = choose(cover([(0, 0), (0, 1), (1, 0), (1, 2), (2, 1), (2, 3)], [3, 3, 2, 2], 10))
    assert found.chosen == [1, 2]
    assert found.at_least == 2


# --- by hand: exports ------------------------------------------------------------------------------------------------

FAR = {"latitude": 46.9, "longitude": -68.0}  # Presque Isle, some 180 miles from Augusta
UNKNOWN = {"zip": "00000"}


def crossed():
    """Return a network of four homes without providers, and candidates in range of one, two and three of them."""
    homes = pd.DataFrame(
        {
            "zip": "04330",
            "latitude": [44.0, 44.1, 44.2, 44.3],
            "longitude": -70.0,
            "county_fips": "23011",
            "network_id": "A",
            "members": [10, 10, 10, 10],
            "county_name": "Kennebec",
            "state": "ME",
            "county_type": "Metro",
        }
    )
    standard = load_standards()
    standard = standard[(standard["specialty"] == PSYCHIATRY) & (standard["county_type"] == "Metro")]
    network = Network(AS_OF, locate(homes), rows_of([]), Criteria("t", standard.assign(max_miles=8.0)), None, 40, 0)
    given = [(1, 0), (2, 1), (3, 2), (4, 3), (5, 5)]
    candidates = rows_of([(n, PSYCHIATRY, (at, 0), False, None) for n, at in given])
    return network, candidates.assign(source=CLAIMS, provider_name="A", visits=1, patients=1, has_place=True)


def test_the_middle_ones_come_first():
    network, candidates = crossed()
    fix = close_gap(network, candidates, "23011", PSYCHIATRY)
    # the two middle ones reach three homes each: 30, and then the last 10; 90% of 40 need all four homes
    assert fix.steps["npi"].tolist() == [npi(2), npi(3)]
    assert fix.steps["members_gained"].tolist() == [30, 10]
    assert fix.steps["share_after"].tolist() == [0.75, 1.0]
    assert fix.steps["status_after"].tolist() == ["too_far", "met"]
    assert fix.steps["gaps_helped"].tolist() == [1, 1]
    assert (fix.can_close, fix.is_smallest, fix.at_least) == (True, True, 2)
    assert fix.steps["candidates"].tolist() == [4, 4]  # the fifth reaches nobody
    [change] = fix.effect.to_dict("records")
    assert (change["status_before"], change["status_after"], change["members_gained"]) == ("no_provider", "met", 40)
    assert (change["accepting_before"], change["accepting_after"]) == (0, 2)


def test_no_set_closes_it_and_it_says_how_far_all_get():
    network, candidates = crossed()
    fix = close_gap(network, candidates[:1], "23011", PSYCHIATRY)
    assert not fix.can_close
    assert (fix.at_least, fix.is_smallest) == (0, False)
    assert fix.steps[["share_with_all", "accepting_with_all"]].to_numpy().tolist() == [[0.5, 1]]
    assert fix.steps["status_after"].tolist() == ["too_far"]
    nobody = close_gap(network, candidates[:0], "23011", PSYCHIATRY)
    assert nobody.steps[["step", "share_after"]].to_numpy().tolist() == [[0, 0]]
    assert nobody.effect.empty
    of_registry = close_gap(network, candidates.assign(source=REGISTRY), "23011", PSYCHIATRY)
    assert not of_registry.can_close
    assert close_gap(network, candidates.assign(source=REGISTRY), "23011", PSYCHIATRY, [REGISTRY]).can_close


@pytest.mark.parametrize("cell", [("23011", "Alchemy"), ("99999", PSYCHIATRY)])
def test_a_row_that_is_not_there_is_refused(tmp_path, cell):
    network, candidates = crossed()
    with pytest.raises(ParameterError, match="gap table"):
        close_gap(network, candidates, *cell)
    exports = open_tables(tmp_path, claims=[claim("M1", 1)], directory=[listing(1)], members=[span("M1")])
    with pytest.raises(ParameterError, match="gap table"):
        members_behind(exports, network, *cell)


def test_one_contract_helps_several_counties():
    network, candidates = crossed()
    homes = network.homes.assign(county_fips=["23011", "23011", "23029", "23029"], county_type="Metro")
    network = replace(network, homes=homes)
    wide = candidates[1:2]
    steps = close_gaps(network, candidates, tabulate(network).table)
    # 20 members each: of four candidates the second and third reach both homes of one and one of the other
    assert steps["npi"].tolist() == [npi(1), npi(3)]
    assert steps["gaps_helped"].tolist() == [1, 2]
    effect = show_effect(network, candidates, wide["npi"])
    assert effect["county_fips"].tolist() == ["23011", "23029"]
    assert effect["members_gained"].tolist() == [20, 10]
    assert len(show_effect(network, candidates, [], only_changed=False)) == 2


def test_candidates_come_from_claims_directory_and_registry(tmp_path):
    directory = [
        listing(1, network_id="A"),
        listing(2, network_id="B"),
        listing(3, network_id="A", termination_date="2026-01-31"),
        listing(3, network_id="A", termination_date="2025-01-31", zip="04654"),
        listing(4, network_id="A", effective_date="2026-09-01"),
        listing(9, network_id="A"),
        listing(10, network_id="B", accepting_new_patients=False),
    ]
    providers = [
        {"npi": npi(5), "zip": "04330", "taxonomy_code": "207N00000X", "provider_name": "Five"},
        {"npi": npi(5), "zip": "04654", "taxonomy_code": "2084P0800X", "provider_name": "Five"},
        {"npi": npi(6), "zip": "04330", "taxonomy_code": "2084P0800X", "deactivation_date": "2026-06-30"},
        {"npi": npi(7), "zip": "04330", "taxonomy_code": "2084P0800X", "deactivation_date": "2026-07-01"},
        {"npi": npi(8), "zip": "00000", "taxonomy_code": "2084P0800X"},
        {"npi": npi(11), "zip": "04330", "taxonomy_code": "101YM0800X"},  # a counsellor: outside the standard
        {"npi": npi(2), "zip": "04654", "taxonomy_code": "2084P0800X"},
        {"npi": npi(3), "zip": "00000", "taxonomy_code": "2084P0800X"},
    ]
    out = {"network_status": "out"}
    claims = [
        claim("M1", 5, "2026-01-01", taxonomy_code="2084P0804X", **out),
        claim("M1", 5, "2026-01-01", **out),
        claim("M2", 5, "2026-01-02", taxonomy_code="2084P0800X", **out),
        claim("M2", 8, "2026-01-02", **out),
        claim("M2", 6, "2026-01-02", **out),
        claim("M2", 12, "2026-01-02", **out),  # known to nobody
        claim("M2", 9, "2025-07-01", **out),  # listed by now
        claim("M2", 1, "2026-01-02"),
        claim("M2", 7, "2025-06-30", **out),  # before the twelve months
        claim("M2", 7, "2026-01-02", claim_status="reversed", **out),
    ]
    members = [span("M1", network_id="A"), span("M2", network_id="A")]
    exports = open_tables(tmp_path, claims=claims, directory=directory, providers=providers, members=members)
    found = list_candidates(exports, AS_OF)
    assert not found.duplicated(["npi", "specialty", "zip"]).any()
    by_npi = dict(tuple(found.groupby("npi")))
    sources = {n: by_npi[npi(n)]["source"].unique().tolist() for n in range(1, 13) if npi(n) in by_npi}
    assert sources == {
        2: [OTHER_NETWORK],
        3: [OTHER_DAY],
        4: [OTHER_DAY],
        5: [CLAIMS],
        7: [REGISTRY],
        8: [CLAIMS],
        9: [CLAIMS],
        10: [OTHER_NETWORK],
        12: [CLAIMS],
    }
    five = by_npi[npi(5)]
    assert five["specialty"].tolist() == [PSYCHIATRY, PSYCHIATRY]  # two places
    assert five["zip"].tolist() == ["04330", "04654"]
    assert five[["visits", "patients"]].drop_duplicates().to_numpy().tolist() == [[2, 2]]
    assert five["provider_name"].unique().tolist() == ["Five"]
    assert by_npi[npi(2)]["zip"].tolist() == ["04654"]  # of the registry, before the directory
    assert by_npi[npi(3)]["zip"].tolist() == ["04330"]  # the registry's cannot be found: the row that ended last
    assert not by_npi[npi(8)]["has_place"].any()
    assert by_npi[npi(8)]["specialty"].tolist() == [PSYCHIATRY]
    assert by_npi[npi(12)][["has_place", "visits"]].to_numpy().tolist() == [[False, 1]]
    assert by_npi[npi(12)]["specialty"].isna().all()
    assert not by_npi[npi(9)]["lacks_network"].any()
    assert by_npi[npi(10)]["is_closed"].all()
    assert not found.loc[found["npi"] != npi(10), "is_closed"].any()
    network = read_network(exports, AS_OF)
    assert tabulate(join(network, found)).table["listed"].sum() > tabulate(network).table["listed"].sum()
    assert list_candidates(exports, date(2024, 6, 30))["source"].eq(CLAIMS).sum() == 0


def test_candidates_of_the_directory_of_members_with_several_networks(tmp_path):
    directory = [listing(1, network_id="A"), listing(2), listing(3, network_id="A"), listing(3, network_id="B")]
    members = [span("M1", network_id="A"), span("M2", network_id="B"), span("M3", network_id=None)]
    exports = open_tables(tmp_path, claims=[claim("M1", 1)], directory=directory, members=members)
    assert list_candidates(exports, AS_OF)[["npi", "source"]].to_numpy().tolist() == [[npi(1), OTHER_NETWORK]]


def test_members_behind_a_gap_add_up_to_it(tmp_path):
    members = [
        span("M1"),
        span("M2", county_fips="23011"),  # the same place, written otherwise
        span("M3", county_fips="23011", **FAR),
        span("M4", county_fips="23011", network_id="A", **FAR),
        span("M5", zip="04654"),  # another county
        span("M6", effective_date="2026-07-01"),
        span("M7", network_id="A"),
    ]
    directory = [
        listing(1, network_id="B"),  # for M1, M2 and M3, whose network is blank
        listing(2, network_id="A", accepting_new_patients=False),
        listing(3, network_id="A", **FAR),
    ]
    exports = open_tables(tmp_path, claims=[claim("M1", 1)], directory=directory, members=members)
    network = read_network(exports, AS_OF)
    found = members_behind(exports, network, "23011", PSYCHIATRY)
    assert list(found.columns) == list(MEMBERS_BEHIND.names)
    row = cell_of(tabulate(network).table, ("23011", PSYCHIATRY))
    assert len(found) == row["members"] == 5
    assert found["is_within"].mean() == row["share_within"]
    assert found["member_id"].tolist() == ["M7", "M1", "M2", "M3", "M4"]
    assert found["is_within"].tolist() == [False, True, True, True, True]
    assert found.loc[0, "nearest_miles"] > 150
    assert found.loc[0, "nearest_listed_miles"] == 0
    none = members_behind(exports, network, "23011", DERMATOLOGY)
    assert none["nearest_miles"].isna().all()
    assert not none["is_within"].any()
    minutes = pd.DataFrame({"origin": ["04330"], "destination": ["04330"], "minutes": [999.0]})
    slow = network.driven(DriveTimes("a table", minutes=minutes))
    assert not members_behind(exports, slow, "23011", PSYCHIATRY)["is_within"].any()


def test_totals_of_every_row_equal_the_gap_table(sample_network):
    exports, network, table = sample_network
    for row in table[table["status"] != "met"].itertuples():
        found = members_behind(exports, network, row.county_fips, row.specialty)
        assert len(found) == row.members
        assert found["is_within"].sum() == round(row.share_within * row.members)
        assert found["member_id"].is_unique


@pytest.fixture(scope="module")
def sample_network():
    exports = Exports.open(SAMPLE)
    network = read_network(exports, exports.last_day)
    return exports, network, tabulate(network).table


def care_tables(inside, outside, **columns):
    """Return tables of a county with so many patients in and out of network: the first by provider 1, others by 2."""
    claims = [claim(f"M{n}", 1, "2026-01-01", network_status="in") for n in range(inside)]
    claims += [
        claim(f"M{100 + n}", 2, f"2026-01-{d:02d}", network_status="out") for n in range(outside) for d in (1, 2)
    ]
    claims.append(claim("M200", 2, "2025-06-30", network_status="out"))
    return {
        "claims": claims,
        "directory": [listing(1, **FAR)],
        "providers": [{"npi": npi(2), "zip": "04330", "taxonomy_code": "2084P0800X", "provider_name": "Two"} | columns],
        "members": [span(f"M{n}") for n in (*range(20), *range(100, 120), 200)],
    }


@pytest.mark.parametrize(
    ("inside", "outside", "shown", "hidden"),
    [
        (12, 15, ["27 had 42 visits", "12 had 12 visits in network", "15 had 30 visits out"], ["fewer than 11"]),
        (
            3,
            15,
            ["some had visits", "fewer than 11 had visits in network", "15 had 30 visits out"],
            [r"\b3\b", "18", "33"],
        ),
        (
            12,
            3,
            ["some had visits", "12 had 12 visits in", "fewer than 11 had visits out"],
            [r"\b3\b", r"\b15\b", "18"],
        ),
        (6, 7, ["13 had 20 visits", "fewer than 11 had visits in network, and fewer"], [r"\b6\b", r"\b7\b", "14"]),
        (
            0,
            5,
            ["some had visits", "none had visits in", "fewer than 11 had visits out", "too few to show"],
            [r"\b5\b", r"\b10\b", "miles from"],
        ),
        (0, 0, ["none had a visit"], ["fewer"]),
    ],
)
def test_the_pattern_of_care_hides_few_patients(tmp_path, inside, outside, shown, hidden):
    exports = open_tables(tmp_path, **care_tables(inside, outside))
    network = read_network(exports, AS_OF)
    table = tabulate(network).table
    found = list_exceptions(
        network, list_candidates(exports, AS_OF), table[table["specialty"] == PSYCHIATRY], find_care(exports, AS_OF)
    )
    assert list(found.columns) == list(EXCEPTIONS.names)
    text = found["pattern_of_care"].iloc[0]
    figures = text.split("Of 41 members in Kennebec, ME covered on 2026-06-30, ")[1]
    figures = figures.replace("from 2025-07-01 to 2026-06-30", "").split("; the standard")[0]
    assert all(words in figures for words in shown), figures
    assert not any(re.search(words, figures) for words in hidden), figures
    assert text.endswith("the standard asks for a provider within 30 miles and 45 minutes of 90% of members.")


def test_the_pattern_of_care_says_how_far_visits_went(tmp_path):
    tables = care_tables(12, 15)
    exports = open_tables(tmp_path, **tables)
    network = read_network(exports, AS_OF)
    table = tabulate(network).table
    args = network, list_candidates(exports, AS_OF), table[table["specialty"] == PSYCHIATRY]
    text = list_exceptions(*args, find_care(exports, AS_OF))["pattern_of_care"].iloc[0]
    # 30 of 42 visits in Augusta, 12 in Presque Isle
    middle, most = re.search(r"at most ([\d.]+) miles from home, 90% at most ([\d.]+) miles", text).groups()
    assert float(middle) == 0
    assert 180 < float(most) < 210
    assert "left out" not in text
    assert list_exceptions(*args)["pattern_of_care"].isna().all()
    (tmp_path / "lost").mkdir()
    lost = open_tables(tmp_path / "lost", **care_tables(12, 15, zip="00000"))
    candidates = list_candidates(lost, AS_OF)
    found = list_exceptions(network, candidates, args[2], find_care(lost, AS_OF))
    assert "left out" in found["pattern_of_care"].iloc[0]
    assert found["npi"].tolist() == [npi(2)]  # of unknown place, but members went there
    assert found["nearest_miles"].isna().all()
    assert list_exceptions(network, candidates, args[2])["npi"].isna().tolist() == [True]


def test_exceptions_list_who_is_near_and_the_three_nearest_beyond(tmp_path):
    near, beyond = {"latitude": 44.3, "longitude": -69.8}, [(44.9, -69.8), (45.0, -69.8), (45.1, -69.8), (45.2, -69.8)]
    psychiatrist = {"taxonomy_code": "2084P0800X"}
    providers = [{"npi": npi(n), "zip": "04330", **psychiatrist, **near} for n in (5, 4)]
    providers.append({"npi": npi(5), "zip": "04654", **psychiatrist})  # a second place, farther away
    providers += [
        {"npi": npi(10 + n), "zip": "04901", **psychiatrist, "latitude": a, "longitude": b}
        for n, (a, b) in enumerate(beyond)
    ]
    providers.append({"npi": npi(1), "zip": "04330", **psychiatrist, **near})  # contracted, in Presque Isle
    tables = {
        "claims": [claim("M1", 4, network_status="out"), claim("M2", 4, network_status="out")],
        "directory": [listing(1, **FAR), listing(2, latitude=45.05, longitude=-69.8)],
        "members": [span("M1"), span("M2"), span("M3", zip="04654")],
        "providers": providers,
    }
    exports = open_tables(tmp_path, **tables)
    network = read_network(exports, AS_OF)
    table = tabulate(network).table
    key = (table["county_fips"] == "23011") & (table["specialty"] == PSYCHIATRY)
    found = list_exceptions(network, list_candidates(exports, AS_OF), table[key])
    assert found["npi"].tolist() == [npi(4), npi(5), npi(10), npi(11), npi(12)]
    assert found["is_in_range"].tolist() == [True, True, False, False, False]
    assert found["is_nearer"].tolist() == [
        True,
        True,
        True,
        True,
        False,
    ]  # the network's is between the second and third
    assert found["members_in_range"].tolist() == [2, 2, 0, 0, 0]
    assert found["source"].tolist() == [CLAIMS, *[REGISTRY] * 4]
    assert found["patients"].tolist() == [2, 0, 0, 0, 0]
    assert found["zip"].tolist()[:2] == ["04330", "04330"]
    assert found["nearest_miles"].is_monotonic_increasing
    assert set(found["reason_not_contracted"]) == {""}
    met = table.assign(status="met")
    assert list_exceptions(network, list_candidates(exports, AS_OF), met).empty
    assert list_exceptions(network, list_candidates(exports, AS_OF), met).columns.tolist() == list(EXCEPTIONS.names)


def test_servicing_counts_the_patients_of_the_county(tmp_path):
    claims = [
        claim("M1", 1, "2026-01-01"),
        claim("M1", 1, "2026-01-01"),
        claim("M1", 1, "2026-01-02"),
        claim("M2", 1, "2026-01-02"),
        claim("M2", 1, "2026-01-03", claim_status="reversed"),
        claim("M3", 1, "2026-01-02"),  # of another county
        claim("M9", 1, "2026-01-02"),  # not covered any more
        claim("M1", 1, "2025-06-30"),
    ]
    members = [span("M1"), span("M2"), span("M3", zip="04654"), span("M9", termination_date="2026-02-01")]
    directory = [listing(1), listing(2, accepting_new_patients=False)]
    exports = open_tables(tmp_path, claims=claims, directory=directory, members=members)
    network = read_network(exports, AS_OF)
    found = serve(network, find_care(exports, AS_OF))
    [row] = found[found["county_fips"] == "23011"].to_dict("records")
    assert (row["npi"], row["patients"], row["visits"]) == (npi(1), 2, 3)
    assert (row["members_in_range"], row["members_lost"], row["accepting_after"]) == (2, 2, 0)
    assert (row["status"], row["status_after"]) == ("met", "closed")
    nobody = serve(network.having(network.rows[:0]), find_care(exports, AS_OF))
    assert nobody.empty
    assert list(nobody.columns) == list(SERVICING.names)


def test_the_share_required_is_counted_exactly():
    network, candidates = crossed()
    homes = network.homes.assign(members=[9, 1, 0, 0])[:2]
    network = replace(network, homes=homes)
    far = candidates.assign(latitude=candidates["latitude"])
    steps = close_gaps(network, far, tabulate(network).table)
    assert ceil(Fraction(9, 10) * 10) == 9
    assert steps["npi"].tolist() == [npi(1)]
