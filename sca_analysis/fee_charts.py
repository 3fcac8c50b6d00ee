"""The figures of the what-if notebook, drawn once and then moved. In: outcomes of ``what_if``; out: plotly figures.

``new_figure`` lays the panels out and ``move_figure`` sets what each trace shows. A figure is here what plotly's script
reads, a dictionary: to set its parts through plotly's own classes takes four times as long, at every move. Axes are
fixed by what is billed, so that a moving fee does not move them.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs
from plotly.subplots import make_subplots

from sca_analysis.charts import short
from sca_analysis.what_if import ANCHORS, PARTIES, Mark, Outcome, Ranges

#: ``data``, a list of traces, and ``layout``.
Figure = dict[str, Any]

_COLOURS = {"in_network": "#999999", "out_of_network": "#D55E00", "sca": "#0072B2"}
_NAMES = {"in_network": "in-network", "out_of_network": "OON", "sca": "agreement"}
_PATTERNS = {"in_network": ".", "out_of_network": "/", "sca": ""}
_SIDES = ("Plan<br>pays", "Member<br>pays", "Provider<br>receives")
_LINES = [(a, p) for a in ("out_of_network", "sca") for p in ("plan", "member")]
#: Rows of the axis of rates, the lowest first: break-even rates by side, then the rates of ``ANCHORS``.
_BREAK_EVEN = {
    "member": "member pays no more up to",
    "plan": "plan pays no more up to",
    "provider": "provider gets no less from",
}
_ROWS = ("bargaining zone", *_BREAK_EVEN.values(), *reversed(ANCHORS))
#: Share of the width that the names of these rows take.
_NAMES_WIDTH = 0.22
#: Room above the largest bar for its label, and right of the highest rate for its own.
_ROOM = 1.22


def new_figure(outcome: Outcome, ranges: Ranges | None = None) -> Figure:
    """Return the panels of a case: totals, cumulative cost by visit, and the axis of rates."""
    figure = make_subplots(
        rows=2,
        cols=2,
        specs=[[{}, {}], [{"colspan": 2}, None]],
        row_heights=[0.55, 0.45],
        column_widths=[0.5, 0.5],
        horizontal_spacing=0.09,
        vertical_spacing=0.26,
        subplot_titles=("Totals of the course [USD]", "Paid up to each visit [USD]", "Where the deal lies"),
    )
    whisker = {"type": "data", "symmetric": False, "color": "#1a1a1a", "thickness": 1.2, "width": 4}
    for arrangement, colour in _COLOURS.items():
        figure.add_bar(
            name=_NAMES[arrangement],
            marker={"color": colour, "pattern": {"shape": _PATTERNS[arrangement], "fgcolor": "white", "size": 5}},
            error_y={**whisker, "visible": arrangement != "in_network"},
            hovertemplate="%{x}, " + _NAMES[arrangement] + ": &#36;%{y:,.2f}<extra></extra>",
            row=1,
            col=1,
        )
    for arrangement, party in _LINES:
        figure.add_scatter(
            mode="lines",
            name=f"{party}, {_NAMES[arrangement]}",
            line={"color": _COLOURS[arrangement], "dash": "solid" if party == "plan" else "dot", "width": 2.5},
            hovertemplate="visit %{x}: &#36;%{y:,.2f}<extra>" + f"{party}, {_NAMES[arrangement]}</extra>",
            row=1,
            col=2,
        )
    for limit, symbol in (("deductible", "diamond"), ("maximum", "square")):
        figure.add_scatter(
            mode="markers",
            name=f"{limit} reached",
            marker={"symbol": symbol, "size": 11, "color": "white", "line": {"color": "#1a1a1a", "width": 2}},
            hovertemplate="%{text}<extra></extra>",
            row=1,
            col=2,
        )
    row = {"row": 2, "col": 1}
    plain: dict[str, Any] = {
        "showlegend": False,
        "hoverinfo": "skip",
        "cliponaxis": False,
        "textposition": "middle right",
    }
    figure.add_scatter(mode="lines+text", line={"color": "#009E73", "width": 12}, **plain, **row)
    for colour in ("#1a1a1a", "#777777"):
        figure.add_scatter(mode="markers+text", marker={"size": 11, "color": colour, "opacity": 1}, **plain, **row)
    blue = _COLOURS["sca"]
    plain |= {"textposition": "top center", "textfont": {"size": 13, "color": blue}}
    figure.add_scatter(mode="lines+text", line={"color": blue, "width": 3}, **plain, **row)
    figure.update_layout(
        template="plotly_white",
        height=720,
        barmode="group",
        bargap=0.25,
        font={"size": 13, "color": "#1a1a1a"},
        margin={"l": 70, "r": 20, "t": 40, "b": 50},
        legend={"orientation": "h", "x": 0, "y": 0.52, "yanchor": "top", "font": {"size": 12}},
        uirevision="constant",
        autosize=True,
    )
    figure.update_xaxes(tickangle=0, row=1, col=1)
    figure.update_yaxes(tickprefix="&#36;", tickformat=",.0f", row=1, col=1)
    figure.update_yaxes(tickprefix="&#36;", tickformat=",.0f", row=1, col=2)
    figure.update_xaxes(title="visit", row=1, col=2)
    figure.update_yaxes(
        tickvals=list(range(len(_ROWS))),
        ticktext=list(_ROWS),
        range=[-0.6, len(_ROWS) + 0.3],
        zeroline=False,
        **row,
    )
    # room for the names of the rows: a margin that fits itself is reckoned anew at every move, for all panels
    figure.update_xaxes(zeroline=False, domain=[_NAMES_WIDTH, 1], **row)
    figure.layout.annotations[2].x = (_NAMES_WIDTH + 1) / 2
    _keep_simple(figure)
    plain_figure: Figure = figure.to_plotly_json()
    move_figure(plain_figure, outcome, ranges)
    return plain_figure


def _keep_simple(figure: go.Figure) -> None:
    """Do without what is made anew at every move and serves nobody here.

    The search for labels that reach past their panel, since ours have room, and the handles to zoom and shift axes,
    whose ranges follow the figures.
    """
    figure.update_xaxes(ticklabeloverflow="allow", fixedrange=True)
    figure.update_yaxes(ticklabeloverflow="allow", fixedrange=True)
    figure.update_layout(dragmode=False)


def move_figure(figure: Figure, outcome: Outcome, ranges: Ranges | None = None) -> None:
    """Show an outcome in the panels of ``new_figure``.

    Parameters
    ----------
    figure : Figure
    outcome : Outcome
    ranges : mapping, optional
        As ``what_if.find_ranges``: drawn as whiskers from P10 to P90; none, while they are not known.

    """
    _move_totals(figure, outcome, ranges)
    _move_course(figure, outcome)
    _move_axis(figure, outcome)


def _move_totals(figure: Figure, outcome: Outcome, ranges: Ranges | None) -> None:
    highest = outcome.totals["sca"]["billed"] / 100
    for number, arrangement in enumerate(_COLOURS):
        totals = [outcome.totals[arrangement][party] / 100 for party in PARTIES]
        bar = figure["data"][number]
        bar |= {"x": _SIDES, "y": totals}
        if ranges is None or arrangement == "in_network":
            bar["error_y"] |= {"array": [0, 0, 0], "arrayminus": [0, 0, 0]}
            continue
        found = [ranges[f"{party}_{arrangement}"] for party in PARTIES]
        # a whisker from P10 to P90; it may lie wholly on one side of the figure as set
        bar["error_y"] |= {
            "array": [max(0.0, float(r[2]) - total) for r, total in zip(found, totals, strict=True)],
            "arrayminus": [max(0.0, total - float(r[0])) for r, total in zip(found, totals, strict=True)],
        }
        highest = max(highest, *(float(r[2]) for r in found))
    _keep_steady(figure["layout"]["yaxis"], highest * _ROOM)


def _keep_steady(axis: dict[str, Any], top: float) -> None:
    """Keep an axis where its top still fits, so that bars can be compared while a slider moves."""
    last = axis.get("range", (0, 0))[1]
    if not 0.75 * last <= top <= last:
        axis["range"] = (0, max(top, 1))


def _move_course(figure: Figure, outcome: Outcome) -> None:
    visits = [*range(len(outcome.case.visits) + 1)]
    paid = {(a, p): [0, *(cents / 100 for cents in outcome.cumulative[a][p])] for a, p in _LINES}
    for number, line in enumerate(_LINES, start=3):
        figure["data"][number] |= {"x": visits, "y": paid[line]}
    for number, limit in ((7, "deductible"), (8, "out_of_pocket_max")):
        marks = [m for m in outcome.marks if m.limit == limit and m.arrangement != "in_network"]
        figure["data"][number] |= {
            "x": [mark.visit for mark in marks],
            "y": [paid[mark.arrangement, "member"][mark.visit] for mark in marks],
            "text": [say_mark(mark) for mark in marks],
        }
    figure["layout"]["xaxis2"]["range"] = (0, visits[-1] * 1.03)
    _keep_steady(figure["layout"]["yaxis2"], max(max(line) for line in paid.values()) * 1.05)


def say_mark(mark: Mark) -> str:
    """Say when a deductible or maximum was reached."""
    tier = "in-network" if mark.tier == "in_network" else "OON"
    limit = "deductible" if mark.limit == "deductible" else "out-of-pocket maximum"
    when = f"reached with visit {mark.visit}" if mark.visit else "reached before the first visit"
    under = "under the agreement" if mark.arrangement == "sca" else "out of network"
    return f"{under}: {tier} {limit} of {short(mark.amount / 100)} {when}"


def _move_axis(figure: Figure, outcome: Outcome) -> None:
    def words(rate: Decimal) -> str:
        return f"{rate:,.1f}%" if outcome.is_percent else f"&#36;{rate:,.2f}"

    zone, break_even, compared, fee = figure["data"][9:13]
    found = outcome.zone
    zone["x"] = [0.0, 0.0] if found is None else [float(rate) for rate in found]
    empty = " empty: no rate serves plan and provider as well as OON"
    zone |= {"y": [0, 0], "text": ["", empty if found is None else f" {words(found[0])} to {words(found[1])}"]}
    rates = [outcome.break_even[side] for side in _BREAK_EVEN]
    _point(break_even, rates, [" no rate" if rate is None else f" {words(rate)}" for rate in rates], first=1)
    break_even["marker"]["symbol"] = ["triangle-left", "triangle-left", "triangle-right"]
    known = {at.rate_of: at.rate for at in outcome.rates}
    rates = [known.get(anchor) for anchor in reversed(ANCHORS)]
    _point(compared, rates, [" not known, or none" if rate is None else f" {words(rate)}" for rate in rates], first=4)
    at_fee = float(outcome.fee)
    fee |= {"x": [at_fee, at_fee], "y": [-0.6, len(_ROWS) - 0.4], "text": ["", f"this fee {words(outcome.fee)}"]}
    axis = figure["layout"]["xaxis3"]
    axis["title"] = {"text": "% of what is billed" if outcome.is_percent else "rate of a unit [USD]"}
    _keep_steady(axis, max([at_fee, *compared["x"], *break_even["x"], 1.0]) * 1.15)


def _point(trace: dict[str, Any], rates: Sequence[Decimal | None], words: list[str], first: int) -> None:
    """Mark rates in rows from ``first`` on; one that is not known has words and no mark."""
    trace |= {"x": [float(rate or 0) for rate in rates], "y": [first + n for n in range(len(rates))], "text": words}
    trace["marker"]["size"] = [0 if rate is None else 11 for rate in rates]


def load_script() -> str:
    """Return plotly's script."""
    return str(get_plotlyjs())


def new_portfolio_figure(effect: pd.DataFrame) -> Figure:
    """Return the bars of what paying at a basis changes by specialty, for plan, members and providers."""
    figure = make_subplots(
        rows=1, cols=3, subplot_titles=("Plan pays", "Members pay", "Providers receive"), shared_yaxes=True
    )
    for column in (1, 2, 3):
        for name, colour, shape in (
            ("against OON today", "#0072B2", ""),
            ("against the rate agreed or assumed", "#E69F00", "/"),
        ):
            figure.add_bar(
                orientation="h",
                name=name,
                legendgroup=name,
                showlegend=column == 1,
                marker={"color": colour, "pattern": {"shape": shape, "fgcolor": "white", "size": 5}},
                hovertemplate="%{y}: &#36;%{x:,.0f}<extra>" + name + "</extra>",
                row=1,
                col=column,
            )
        figure.update_xaxes(
            tickformat="$~s",  # the sign goes before the dollar
            title="change [USD]",
            nticks=4,
            tickangle=0,
            zerolinecolor="#1a1a1a",
            row=1,
            col=column,
        )
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.update_layout(
        template="plotly_white",
        height=220 + 34 * len(effect),
        bargap=0.25,
        font={"size": 13, "color": "#1a1a1a"},
        margin={"l": 10, "r": 20, "t": 40, "b": 110},
        legend={"orientation": "h", "x": 0, "yref": "container", "y": 0, "yanchor": "bottom"},
    )
    _keep_simple(figure)
    plain_figure: Figure = figure.to_plotly_json()
    move_portfolio_figure(plain_figure, effect)
    return plain_figure


def move_portfolio_figure(figure: Figure, effect: pd.DataFrame) -> None:
    """Show the effect of another basis, as ``portfolio.pay_at`` returns it; the row of all is left to the table."""
    rows = effect[effect["specialty"] != "all"]
    names = rows["specialty"].tolist()
    for number, party in enumerate(PARTIES):
        for place, base in enumerate(("out_of_network", "assumed")):
            change = (rows[f"{party}_what_if"] - rows[f"{party}_{base}"]) / 100
            figure["data"][2 * number + place] |= {"x": change.tolist(), "y": names}
