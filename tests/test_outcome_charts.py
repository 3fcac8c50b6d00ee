"""Figures on SCA requests: titles are findings computed from the tables, nobody is named."""

import pandas as pd
import plotly.graph_objects as go
import pytest

from sca_analysis import outcome_charts as charts
from sca_analysis.errors import ParameterError
from sca_analysis.tables import ESTIMATES
from tests.test_outcomes import hand_register

SOURCE = "Source: twenty requests."


def estimates(rows: list[tuple[int, int, int, int]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["visits_p10", "visits_p50", "visits_p90", "visits_actual"])
    within = table["visits_actual"].between(table["visits_p10"], table["visits_p90"])
    table = table.assign(case_id=[f"C{n:02d}" for n in range(len(table))], visits_within=within.astype("boolean"))
    return table.reindex(columns=list(ESTIMATES.names)).assign(is_finished=True)


def test_titles_are_computed() -> None:
    register = hand_register()
    # 9 approved and 6 denied, one of them before the period: the chart draws what it is given
    figure = charts.draw_decisions(register, SOURCE)
    assert figure.layout.title.text == "9 of 15 requests decided were approved (60%)"
    assert "2 requests withdrawn, 3 pending" in figure.layout.title.subtitle.text
    assert sum(sum(bar.y) for bar in figure.data) == 17
    days = charts.draw_days(register, SOURCE)
    # 4 5 6 8 10 10 12 14 15 16 18 20 20 25 30: P90 at 12.6: 20 + .6 x 5
    assert days.layout.title.text == "Half of 15 decisions took 14 days or fewer, one in ten took 23 or more"
    sessions = charts.draw_sessions(register, SOURCE)
    # ended: 10 of 10, 5 of 10, 15 of 20, 22 of 20
    assert sessions.layout.title.text.replace("<br>", " ") == (
        "Agreements that ended used 50 of 60 sessions authorised (83%); 1 of 4 went past them"
    )


def test_rates_lie_between_in_network_and_usual() -> None:
    register = hand_register()[["decision", "specialty", "member_id"]].head(3)
    register = register.assign(agreed_rate=[100.0, 150.0, 175.0], in_network_rate=100.0, usual_charge=200.0)
    figure = charts.draw_rates(register, SOURCE)
    title = figure.layout.title.text.replace("<br>", " ")
    assert title == "The median of 3 agreed rates lies 50% of the way from the in-network rate to the usual charge"
    assert sorted(x for trace in figure.data[:-1] for x in trace.x) == [0.0, 0.5, 0.75]


def test_calibration_counts_all_and_draws_some() -> None:
    table = estimates([(2, 5, 8, 8), (2, 5, 8, 9), (0, 0, 1, 0), (3, 3, 3, 3)])
    figure = charts.draw_estimates(table, SOURCE, most=3)
    title = figure.layout.title.text.replace("<br>", " ")
    assert title == "Visits: 3 of 4 agreements (75%) came out within P10 to P90 of their estimate; 80% would be ideal"
    assert "Drawn: 3 of them" in figure.layout.title.subtitle.text.replace("<br>", " ")
    whole = charts.draw_estimates(table, SOURCE)
    assert [len(trace.x) for trace in whole.data] == [4, 3, 1]
    assert whole.data[1].marker.symbol != whole.data[2].marker.symbol


def test_unknown_measure_is_refused() -> None:
    with pytest.raises(ParameterError, match="measure must be one of visits"):
        charts.draw_estimates(estimates([(1, 1, 1, 1)]), SOURCE, "days")


def test_nothing_to_draw_says_so() -> None:
    nothing = hand_register().iloc[:0]
    figures: list[go.Figure] = [
        charts.draw_decisions(nothing, SOURCE),
        charts.draw_days(nothing, SOURCE),
        charts.draw_rates(nothing, SOURCE),
        charts.draw_sessions(nothing, SOURCE),
        charts.draw_estimates(estimates([]), SOURCE),
    ]
    assert all(figure.layout.title.text.startswith("No ") for figure in figures)


def test_no_figure_names_a_member_or_a_case() -> None:
    register = hand_register()
    drawn = [f(register, SOURCE).to_json() for f in (charts.draw_decisions, charts.draw_days, charts.draw_sessions)]
    drawn.append(charts.draw_estimates(estimates([(1, 2, 3, 4)]), SOURCE).to_json())
    names = {*register["case_id"], *register["member_id"]}
    for text in drawn:
        assert not [n for n in names if f'"{n}"' in text]
        assert "$" not in text, "MathJax would read what stands between two as a formula"
