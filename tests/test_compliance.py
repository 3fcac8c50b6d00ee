"""The plan as a whole, and the gap table asked again of other evidence."""

from datetime import date
from decimal import Decimal

import pandas as pd
import pytest

from sca_analysis.compliance import (
    compare_drive_times,
    compare_evidence,
    count_met,
    credit_telehealth,
    summarize_compliance,
)
from sca_analysis.gaps import STATUSES, tabulate
from sca_analysis.network import read_network
from sca_analysis.tables import COMPLIANCE
from tests.folders import claim, listing, open_tables, span

AS_OF = date(2026, 6, 30)
PSYCHIATRY = "Psychiatry"


def psychiatry(compared: pd.DataFrame) -> pd.Series:
    return compared.set_index("specialty").loc[PSYCHIATRY]


def test_every_cell_is_counted_once_in_each_scope(june):
    table = summarize_compliance(june.gaps.table)
    assert list(table.columns) == list(COMPLIANCE.names)
    assert (table["cells"] == table[list(STATUSES)].sum(axis=1)).all()
    for scope in ("plan", "county type", "county", "specialty"):
        part = table[table["scope"] == scope]
        assert part["cells"].sum() == len(june.gaps.table)
        assert part["met"].sum() == (june.gaps.table["status"] == "met").sum()
    plan = table.iloc[0]
    assert plan["members"] == june.gaps.members - june.gaps.members_not_placed
    by_hand = (june.gaps.table["share_within"] * june.gaps.table["members"]).sum() / june.gaps.table["members"].sum()
    assert plan["share_within"] == pytest.approx(by_hand)
    assert (table.loc[table["scope"] == "specialty", "members"] == plan["members"]).all()


def test_an_empty_gap_table_has_nothing_to_comply_with(june):
    table = summarize_compliance(june.gaps.table[:0])
    assert table["cells"].tolist() == [0]
    assert table["share_within"].isna().all()


def test_three_ways_listed_accepting_seen(tmp_path):
    exports = open_tables(
        tmp_path,
        claims=[claim("M1", 1, "2026-01-01")],
        directory=[
            listing(1, accepting_new_patients=False),  # closed, yet seen
            listing(2, accepting_new_patients=True),  # open, never seen
        ],
        members=[span("M1")],
    )
    network = read_network(exports, AS_OF)
    row = psychiatry(compare_evidence(network, tabulate(network)))
    assert row["status_as_listed"] == "met"
    assert row["providers_as_listed"] == 2
    assert row["status_as_accepting"] == "met"
    assert row["providers_as_accepting"] == 1
    assert row["status_as_seen"] == "closed"  # the only one seen is closed
    assert row["share_as_seen"] == 0


def test_evidence_can_only_shrink(june):
    network = read_network(june.exports, june.as_of)
    compared = compare_evidence(network, june.gaps)
    assert (compared["share_as_listed"] >= compared["share_as_accepting"]).all()
    assert (compared["share_as_accepting"] >= compared["share_as_seen"]).all()
    met = count_met(compared)
    assert met["as_listed"] >= met["as_accepting"] >= met["as_seen"]
    # the planted cell in which everybody is a ghost
    planted = compared.set_index(["county_fips", "specialty"]).loc[("23029", "Clinical Psychology")]
    assert (planted["status_as_accepting"], planted["status_as_seen"]) == ("met", "no_provider")


def test_slower_drives_meet_less(june):
    network = read_network(june.exports, june.as_of)
    compared = compare_drive_times(network, june.gaps)
    met = count_met(compared)
    assert met["by_miles"] >= met["fast_drives"] >= met["likely_drives"] >= met["slow_drives"]
    assert (compared["share_by_miles"] >= compared["share_fast_drives"]).all()


@pytest.mark.parametrize(("telehealth", "status"), [(True, "met"), (False, "too_far"), (None, "too_far")])
def test_telehealth_lowers_the_share_required_by_its_credit(tmp_path, telehealth, status):
    near, far = [span(f"M{i}") for i in range(16)], [span(f"F{i}", zip="04654", county_fips="23011") for i in range(4)]
    exports = open_tables(
        tmp_path,
        claims=[claim("M1", 1)],
        directory=[listing(1, telehealth=telehealth), listing(2, taxonomy_code="207T00000X", telehealth=True)],
        members=near + far,
    )
    network = read_network(exports, AS_OF)
    assert psychiatry(tabulate(network).table)["status"] == "too_far"  # 80% of a metro county, 90% required
    credited = tabulate(credit_telehealth(network)).table
    assert psychiatry(credited)["status"] == status
    assert psychiatry(credited)["required_share"] == Decimal("0.80" if telehealth else "0.90")
    # neurosurgery has no credit
    assert credited.set_index("specialty").loc["Neurosurgery", "required_share"] == Decimal("0.90")
