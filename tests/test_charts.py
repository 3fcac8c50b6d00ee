"""Figures: the title is a finding computed from the table, the source is below it, nothing names a member."""

import numpy as np
import plotly.graph_objects as go
import pytest

from sca_analysis import charts
from sca_analysis.monthly import Month


@pytest.fixture(scope="module")
def figures(june: Month) -> dict[str, go.Figure]:
    return {
        "gaps": charts.draw_gaps(june.tables["gaps"], june.source),
        "spend": charts.draw_spend(june.spend, june.source),
        "costs": charts.draw_costs(june.courses, june.source),
        "candidates": charts.draw_candidates(june.courses, june.source),
        "set_aside": charts.draw_set_aside(june.exports.files, june.source),
    }


def test_every_figure_has_finding_and_source(figures: dict[str, go.Figure], june: Month) -> None:
    for figure in figures.values():
        assert figure.layout.title.text
        assert june.exports.plan.name in figure.layout.title.subtitle.text.replace("<br>", " ")


def test_titles_are_computed(figures: dict[str, go.Figure], june: Month) -> None:
    failing = (june.gaps.table["status"] != "met").sum()
    assert figures["gaps"].layout.title.text.startswith(f"{failing} of {len(june.gaps.table)} county-specialty cells")
    aside, read = june.exports.files["set_aside"].sum(), june.exports.files["rows_read"].sum()
    assert figures["set_aside"].layout.title.text.startswith(f"{aside:,} of {read:,} rows read were set aside")


def test_waterfall_adds_up(figures: dict[str, go.Figure], june: Month) -> None:
    plan = figures["costs"].data[0]
    assert plan.y[0] == pytest.approx(float(sum(june.courses["plan_paid_out_of_network"])))
    assert plan.y[0] + plan.y[1] == pytest.approx(float(sum(june.courses["plan_paid_sca"])))


def test_spend_bars_add_up_to_the_table(figures: dict[str, go.Figure], june: Month) -> None:
    drawn = sum(float(sum(bar.y)) for bar in figures["spend"].data)
    assert drawn == pytest.approx(float(sum(june.spend.loc[june.spend["is_out_of_network"], "billed"])))


def test_no_figure_names_a_member_or_pairs_dollar_signs(figures: dict[str, go.Figure], june: Month) -> None:
    members = set(june.courses["member_id"])
    for figure in figures.values():
        text = figure.to_json()
        assert not [m for m in members if m in text]
        assert "$" not in text, "MathJax, where a notebook has it, would read what stands between two as a formula"


def test_status_is_not_told_by_colour_alone(figures: dict[str, go.Figure]) -> None:
    [heat] = figures["gaps"].data
    assert ((np.array(heat.text) != "") == (np.array(heat.z) != 0)).all()


def test_empty_tables_draw(june: Month) -> None:
    nothing = june.courses.iloc[:0]
    assert charts.draw_costs(nothing, "").layout.title.text == "No course of treatment could be costed"
    assert charts.draw_candidates(nothing, "").layout.title.text == "No course of treatment could be costed"
    assert charts.draw_spend(june.spend.iloc[:0], "").layout.title.text.startswith("No out-of-network claims")
    charts.draw_gaps(june.gaps.table.iloc[:0], "")
    charts.draw_set_aside(june.exports.files.iloc[:0], "")
