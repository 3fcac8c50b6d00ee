"""Figures: the title is a finding computed from the table, the source is below it, nothing names a member."""

import math
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sca_analysis import charts, network_charts
from sca_analysis.errors import ParameterError
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


def distances(rows: list[tuple[str, float, int, float, float]]) -> pd.DataFrame:
    columns = ["county", "miles", "members", "max_miles", "required_share"]
    return pd.DataFrame(rows, columns=columns).assign(specialty="Psychiatry")


def test_distances_count_everybody() -> None:
    rows = [("A", 5.0, 50, 10.0, 0.9), ("A", 10.0, 40, 10.0, 0.9), ("A", math.inf, 10, 10.0, 0.9)]
    rows += [("B", 1.0, 899, 10.0, 0.9), ("B", 10.1, 101, 10.0, 0.9)]
    figure = network_charts.draw_distances(distances(rows), "Source: test.")
    assert figure.layout.title.text.startswith("In 1 of 2 counties, too few members")
    b, b_at, a, a_at = figure.data
    assert (list(a.x), list(a.y)) == ([0, 5, 10, 20], [0, 0.5, 0.9, 0.9]), (
        "the ten without a provider are never reached"
    )
    assert (list(b.x), list(b.y)) == ([0, 1, 10.1, 20], [0, 0.899, 1, 1])
    assert (a_at.y[0], a_at.marker.symbol) == (0.9, "circle"), "the maximum is inclusive"
    assert (b_at.y[0], b_at.marker.symbol) == (0.899, "x")
    words = [n.text for n in figure.layout.annotations]
    assert {"B: 89.9% within 10 mi", "A: 90% within 10 mi", "required: 90%", "10 mi"} == set(words)


@settings(deadline=None, max_examples=40)  # a figure takes its time
@given(st.lists(st.tuples(st.floats(0, 50) | st.just(math.inf), st.integers(1, 500)), min_size=1, max_size=20))
def test_distances_agree_with_counting(homes: list[tuple[float, int]]) -> None:
    figure = network_charts.draw_distances(distances([("A", miles, n, 20.0, 0.85) for miles, n in homes]), "")
    line, at = figure.data
    total = sum(n for _, n in homes)
    for x, y in zip(line.x, line.y, strict=True):
        assert y == pytest.approx(sum(n for miles, n in homes if miles <= x) / total) or x == 0
    within = sum(n for miles, n in homes if miles <= 20)
    assert (at.marker.symbol == "circle") == (100 * within >= 85 * total)


def test_distances_of_mixed_standards_are_refused() -> None:
    with pytest.raises(ParameterError, match="distances of A mix several standards"):
        network_charts.draw_distances(distances([("A", 1.0, 5, 10.0, 0.9), ("A", 1.0, 5, 30.0, 0.9)]), "")
    with pytest.raises(ParameterError, match="by county or specialty"):
        network_charts.draw_distances(distances([("A", 1.0, 5, 10.0, 0.9)]), "", by="state")


@given(st.lists(st.floats(0, 1), max_size=8))
def test_labels_keep_apart_and_in_order(heights: list[float]) -> None:
    placed = network_charts._spread(heights, 0.06)
    ordered = [placed[n] for n in sorted(range(len(heights)), key=lambda n: -heights[n])]
    assert all(a - b >= 0.06 - 1e-9 for a, b in pairwise(ordered))
    assert all(p >= -1e-9 for p in placed)


def test_adequacy_counts_cells() -> None:
    rows = [("A", "Psychiatry", "met", "met", "met"), ("B", "Psychiatry", "met", "closed", "too_few")]
    rows += [
        ("A", "Neurology", "met", "met", "too_far"),
        ("B", "Neurology", "no_provider", "no_provider", "no_provider"),
    ]
    rows += [("A", "Cardiology", "met", "met", "met"), ("B", "Cardiology", "met", "met", "met")]
    compared = pd.DataFrame(rows, columns=["county", "specialty", "as_listed", "as_accepting", "as_seen"])
    figure = network_charts.draw_adequacy(compared, "Source: test.")
    assert figure.layout.title.text == "5 of 6 cells meet the standard as listed, 4 as accepting, 3 as seen"
    assert list(figure.data[0].y) == [5, 4, 3]
    listed, accepting, seen = (t for t in figure.data if t.type == "scatter" and t.mode == "markers")
    assert list(listed.y) == ["Psychiatry", "Neurology"], "a specialty that does not change is not drawn"
    assert (list(listed.x), list(accepting.x), list(seen.x)) == ([2, 1], [1, 1], [1, 0])
    assert "1 more specialties change" in network_charts.draw_adequacy(compared, "", most=1).layout.title.subtitle.text


def test_parity_has_intervals_and_keeps_the_place_of_what_is_withheld() -> None:
    rows = [("all", "MH/SUD", 100, 20, 0.2, 0.13, 0.29, 2.0, 1.3, pd.NA), ("all", "M/S", 500, 50, 0.1, 0.08, 0.13)]
    rows += [("inpatient", "MH/SUD", pd.NA, pd.NA, pd.NA, pd.NA, pd.NA), ("inpatient", "M/S", 80, 8, 0.1, 0.05, 0.19)]
    columns = [
        "setting",
        "benefit",
        "patients",
        "out_of_network_patients",
        "share_of_patients",
        "share_low",
        "share_high",
    ]
    padded = [(*row, *[pd.NA] * (10 - len(row))) for row in rows]
    parity = pd.DataFrame(padded, columns=[*columns, "ratio", "ratio_low", "ratio_high"]).convert_dtypes()
    figure = network_charts.draw_parity(parity, "Source: test.")
    assert "2.00 times as often" in figure.layout.title.text
    assert "1.30 without a high end" in figure.layout.title.text
    mental, other = figure.data
    assert list(mental.x) == [0.2]
    assert mental.x[0] - mental.error_x.arrayminus[0] == pytest.approx(0.13)
    assert other.x[0] + other.error_x.array[0] == pytest.approx(0.13)
    assert list(figure.layout.yaxis.ticktext) == [
        "inpatient<br>withheld and 80 patients",
        "all<br>100 and 500 patients",
    ]
    assert "no finding of a parity violation" in figure.layout.title.subtitle.text.replace("<br>", " ")


def test_demand_shows_cells_with_patients_and_exact_money() -> None:
    rows = [("A", "Neurology", "too_far", 30, Decimal("100.10")), ("B", "Neurology", "closed", pd.NA, None)]
    rows += [("A", "Psychiatry", "no_provider", 5, Decimal("0.20")), ("C", "Neurology", "closed", 0, Decimal(0))]
    columns = ["county", "specialty", "status", "out_of_network_patients", "out_of_network_billed"]
    ranked = pd.DataFrame(rows, columns=columns).astype({"out_of_network_patients": "Int64"})
    figure = network_charts.draw_demand(ranked, "Source: test.")
    assert figure.layout.title.text == "In 3 of 4 failing cells patients went out of network, billed &#36;100"
    patients, billed = figure.data
    assert list(patients.text) == ["5", "withheld", "30"], "most affected on top"
    assert list(billed.x) == [0.2, 0, 100.1]
    assert patients.y[2] == "Neurology, A (d too far)"
    note = figure.layout.title.subtitle.text
    assert "withheld and are not in the sum" in note
    assert "$" not in figure.to_json()
    nothing = network_charts.draw_demand(ranked.iloc[3:], "")
    assert nothing.layout.title.text == "No patient of a failing cell went out of network"


def test_empty_network_tables_draw() -> None:
    network_charts.draw_distances(distances([]), "")
    columns = ["county", "specialty", "as_listed", "as_accepting", "as_seen"]
    network_charts.draw_adequacy(pd.DataFrame(columns=columns, dtype="str"), "")
