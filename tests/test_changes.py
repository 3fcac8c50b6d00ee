"""What changed since the month before, and the charts of cases: computed from the tables, naming no member."""

import pandas as pd

from sca_analysis import case_charts, changes
from sca_analysis.monthly import Month, summarize
from sca_analysis.tables import MONTH_CHANGES, MOVED_CASES


def test_figures_of_two_months_side_by_side(june: Month) -> None:
    table = changes.compare_months(june.before, june.standing).set_index("measure")
    assert (table["now"] - table["before"] == table["change"]).all()
    asked = june.standing.register["requested_date"]
    assert table.loc["requests made so far", "change"] == (asked > pd.Timestamp(june.before.as_of)).sum()
    assert table.loc["cases", "now"] == len(june.cases)
    assert table.loc["members covered", "now"] == june.gaps.members
    assert list(changes.compare_months(None, june.standing)) == list(MONTH_CHANGES.names)
    assert changes.compare_months(None, june.standing)["before"].isna().all()


def test_the_month_before_is_that_month_as_it_stood(june: Month) -> None:
    assert str(june.before.as_of) == "2026-05-31"
    again = changes.take_standing(june.exports, june.before.as_of, june.adequacy.network.criteria)
    ranges = ["rate_low", "rate_high", "rate_basis"]  # which nobody compares, and take half of the work
    pd.testing.assert_frame_equal(again.cases.table.drop(columns=ranges), june.before.cases.table.drop(columns=ranges))
    plain = changes.take_standing(june.exports, june.before.as_of, june.adequacy.network.criteria, with_ranges=False)
    pd.testing.assert_frame_equal(plain.cases.table, june.before.cases.table)
    assert june.before.cases.table[ranges].replace("", None).isna().all(axis=None)
    assert again.cases.table["rate_low"].notna().any()


def test_cases_that_moved(june: Month) -> None:
    moved = changes.list_moved_cases(june.before, june.standing).set_index("case_id")
    assert list(moved.reset_index()) == list(MOVED_CASES.names)
    register = june.standing.register.set_index("case_id")
    new = register.index[register["requested_date"] > pd.Timestamp(june.before.as_of)]
    assert len(new) >= 2
    assert (moved.loc[new, "state"] == "pending").all()
    assert set(moved.loc[new, "state_before"]) <= {"not_asked", "new"}
    assert ((moved["state"] != moved["state_before"]) | (moved["grounds"] != moved["grounds_before"])).all()
    assert changes.list_moved_cases(june.standing, june.standing).empty
    assert changes.list_moved_cases(None, june.standing).empty


def test_cells_that_moved(june: Month) -> None:
    moved = changes.list_moved_cells(june.before, june.standing)
    assert (moved["status_before"] != moved["status_after"]).all()
    assert changes.list_moved_cells(None, june.standing).empty


def test_summary_says_what_to_do_first(june: Month) -> None:
    lines = summarize(june).splitlines()
    alerts = june.standing.alerts
    assert lines[0].startswith(f"- **What to do on agreements.** {len(alerts)} action")
    assert alerts["case_id"].iloc[0] in lines[0]
    assert lines[1].startswith("- **What to do on cases.**")
    assert lines[2].startswith("- **Since May 2026.**")
    assert changes.tell_changes(None, june.standing) == [
        "**Since last month.** There are no claims of the month before, so nothing is compared."
    ]
    assert not [member for member in june.cases["member_id"] if member in summarize(june)]


def test_charts_of_cases_are_computed_and_name_nobody(june: Month) -> None:
    cases, searched = june.cases, june.standing.cases.searched
    figures = [
        case_charts.draw_grounds(cases, june.source),
        case_charts.draw_search(cases, searched, june.source),
        case_charts.draw_rates(cases, june.source),
        case_charts.draw_stake(cases, june.source),
    ]
    shown = int((cases["grounds"] != "").sum())
    assert figures[0].layout.title.text.startswith(f"{shown} of {len(cases)} cases show at least one ground")
    assert sum(sum(bar.x) for bar in figures[0].data) == 5 * len(cases)
    in_gap = cases.loc[cases["gap"] == "shown", "case_id"]
    inside = searched[searched["case_id"].isin(in_gap) & ~searched["why_not"].str.startswith("beyond")]
    assert sum(sum(bar.x) for bar in figures[1].data) == len(inside)
    for figure in figures:
        text = figure.to_json()
        assert june.exports.plan.name in figure.layout.title.subtitle.text.replace("<br>", " ")
        assert not [member for member in cases["member_id"] if member in text]
        assert "$" not in text


def test_charts_of_no_cases(june: Month) -> None:
    nobody, nothing = june.cases[:0], june.standing.cases.searched[:0]
    assert case_charts.draw_search(nobody, nothing, "x").layout.title.text == "No case shows a gap"
    assert case_charts.draw_rates(nobody, "x").layout.title.text == "No case has a rate to go by"
    assert case_charts.draw_grounds(nobody, "x").layout.title.text.startswith("0 of 0 cases")
    assert "0 of 0 cases" in case_charts.draw_stake(nobody, "x").layout.title.text
