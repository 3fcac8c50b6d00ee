"""Figures of the cases: grounds, why listed providers do not count, the room for a rate.

In: the tables of ``cases``. Out: plotly figures whose title is the finding, source below; a case is shown by its
number, never by its member.
"""

import pandas as pd
import plotly.graph_objects as go

from sca_analysis.charts import finish, short, withhold_chart
from sca_analysis.grounds import DOUBT, ENTER, GROUNDS, NOT_SHOWN, SHOWN, UNKNOWN
from sca_analysis.privacy import find_few, is_few, lump, say_part, say_some, sentence
from sca_analysis.search import name_obstacles

_FINDINGS = {SHOWN: "#0072B2", DOUBT: "#E69F00", ENTER: "#CC79A7", UNKNOWN: "#56B4E9", NOT_SHOWN: "#BBBBBB"}
_WORDS = {
    "gap": "gap (S1)",
    "continuity": "continuity (S5)",
    "affordability": "affordability (S4)",
    "setback": "setback (S6)",
    "individual_need": "individual need (S7)",
}
_RATES = (
    ("medicare_rate", "Medicare", "triangle-up", "#009E73"),
    ("out_of_network_allowed", "OON allowed", "square", "#E69F00"),
    ("charge", "median charge of this provider", "x", "#D55E00"),
)


def draw_grounds(cases: pd.DataFrame, source: str, fewest: int = 0) -> go.Figure:
    """Return how many cases show each ground, leave it in doubt, or wait for somebody to enter it.

    Parameters
    ----------
    cases : DataFrame
        Columns of ``tables.CASES``.
    source : str
    fewest : int
        Members below which a bar is not drawn, nor the next smallest that would give it away.

    """
    figure = go.Figure()
    labels = [_WORDS[g] for g in reversed(GROUNDS)]
    counted = pd.DataFrame(
        [
            (g, finding, int((cases[g] == finding).sum()), frozenset(cases.loc[cases[g] == finding, "member_id"]))
            for g in reversed(GROUNDS)
            for finding in _FINDINGS
        ],
        columns=["ground", "finding", "cases", "members"],
    )
    few = find_few(counted, "members", totals=(("ground",), ("finding",)), fewest=fewest)
    counted["cases"] = counted["cases"].where(~few, 0)
    for finding, colour in _FINDINGS.items():
        counts = counted.loc[counted["finding"] == finding, "cases"].tolist()
        figure.add_bar(
            y=labels,
            x=counts,
            name=finding,
            orientation="h",
            marker={"color": colour, "line": {"color": "white", "width": 1}},
            text=[str(n) if n else "" for n in counts],
            textposition="inside",
            insidetextanchor="middle",
            hovertemplate="%{y}: %{x} cases<extra>" + finding + "</extra>",
        )
    figure.update_layout(
        barmode="stack", legend={"orientation": "h", "y": -0.25, "yanchor": "top", "traceorder": "normal"}
    )
    figure.update_xaxes(title="cases")
    some = say_part(cases["grounds"] != "", cases["member_id"], fewest)
    ready = say_some(cases["is_complete"], cases["member_id"], fewest)
    title = sentence(f"{some} cases show at least one ground; {ready} are complete")
    if few.any():
        source += f" Not drawn: {few.sum()} bars of fewer than {fewest} members, or that would give them away."
    return finish(figure, title, source, height=400)


def draw_search(cases: pd.DataFrame, searched: pd.DataFrame, source: str, fewest: int = 0) -> go.Figure:
    """Return why the providers listed in range of cases with a gap do not count.

    Parameters
    ----------
    cases, searched : DataFrame
        Columns of ``tables.CASES`` and ``tables.SEARCHED``.
    source : str
    fewest : int
        Members with cases with a gap of a specialty below which it is not named, nor anything drawn of all of them.

    """
    in_gap = cases.loc[cases["gap"] == SHOWN, ["case_id", "specialty", "member_id"]]
    in_gap["specialty"] = lump(in_gap["specialty"], in_gap["member_id"], fewest)
    if is_few(in_gap["member_id"], fewest):
        return withhold_chart("Why listed providers do not count is withheld", source, fewest)
    rows = searched[~searched["why_not"].str.startswith("beyond")].merge(in_gap, on="case_id")
    kind = name_obstacles(rows["why_not"])
    counts = pd.crosstab(rows["specialty"], kind)
    figure = go.Figure()
    for colour, reason in zip(("#0072B2", "#E69F00", "#009E73", "#CC79A7"), counts.columns, strict=False):
        figure.add_bar(
            y=list(counts.index),
            x=counts[reason].tolist(),
            name=str(reason),
            orientation="h",
            marker_color=colour,
            hovertemplate="%{y}: %{x}<extra>" + str(reason) + "</extra>",
        )
    figure.update_layout(barmode="stack", legend={"orientation": "h", "y": -0.3, "yanchor": "top"})
    figure.update_xaxes(title="providers found in range of a case, each once a case")
    figure.update_yaxes(autorange="reversed")
    if rows.empty:
        title = "No provider is listed in range of any case with a gap" if len(in_gap) else "No case shows a gap"
    else:
        top = kind.value_counts()
        title = (
            f"Around {len(in_gap)} cases with nobody usable, {len(rows)} listings were searched: most are "
            f"{top.index[0]} ({top.iloc[0]} of {len(rows)})"
        )
    return finish(figure, title, source, height=220 + 40 * max(len(counts), 1))


def draw_rates(cases: pd.DataFrame, source: str, most: int = 15) -> go.Figure:
    """Return the range of rates suggested for the first cases by rank, beside what it may be compared with.

    Parameters
    ----------
    cases : DataFrame
        Columns of ``tables.CASES``, by rank. Rates of a unit of each case's main procedure [USD].
    source : str
    most : int

    """
    top = cases[cases["rate_high"].notna()].head(most)[::-1]
    labels = [f"{r.rank}. {r.case_id} {r.specialty} ({r.procedure_code})" for r in top.itertuples()]
    figure = go.Figure()
    for label, row in zip(labels, top.itertuples(), strict=True):
        ends = [float(row.rate_low), float(row.rate_high)]
        figure.add_scatter(
            x=ends,
            y=[label, label],
            mode="lines",
            line={"color": "#0072B2", "width": 9},
            name="range suggested",
            legendgroup="range",
            showlegend=label == labels[-1],
            hovertemplate="&#36;%{x:,.2f}<extra>range suggested</extra>",
        )
    for column, words, symbol, colour in _RATES:
        figure.add_scatter(
            x=[None if pd.isna(v) else float(v) for v in top[column]],
            y=labels,
            mode="markers",
            name=words,
            marker={"symbol": symbol, "size": 10, "color": colour, "line": {"color": "white", "width": 1}},
            hovertemplate="&#36;%{x:,.2f}<extra>" + words + "</extra>",
        )
    figure.update_xaxes(title="rate of a unit [USD]", tickprefix="&#36;", rangemode="tozero")
    figure.update_layout(legend={"orientation": "h", "y": -0.15, "yanchor": "top"})
    if top.empty:
        title = "No case has a rate to go by"
    else:
        zones = int(top["rate_basis"].str.startswith("bargaining zone").sum())
        title = (
            f"A bargaining zone against OON exists for {zones} of the first {len(top)} cases; for the others the range "
            "runs from the in-network rate to the usual charge"
        )
    return finish(figure, title, source, height=240 + 26 * len(top))


def draw_stake(cases: pd.DataFrame, source: str) -> go.Figure:
    """Return what members have at stake by specialty, with and without a ground shown.

    Parameters
    ----------
    cases : DataFrame
        Columns of ``tables.CASES``; those without costs are counted in the title.
    source : str

    """
    costed = cases[cases["at_stake"].notna()].assign(at_stake=lambda c: c["at_stake"].astype("float64"))
    costed["kind"] = costed["grounds"].ne("").map({True: "a ground is shown", False: "none is shown"})
    sums = costed.pivot_table(index="specialty", columns="kind", values="at_stake", aggfunc="sum", fill_value=0.0)
    sums = sums.loc[sums.sum(axis=1).sort_values(ascending=False).index]
    figure = go.Figure()
    for colour, kind in (("#0072B2", "a ground is shown"), ("#BBBBBB", "none is shown")):
        if kind in sums:
            figure.add_bar(
                x=list(sums.index),
                y=sums[kind],
                name=kind,
                marker_color=colour,
                hovertemplate="%{x}: &#36;%{y:,.0f}<extra>" + kind + "</extra>",
            )
    figure.update_layout(barmode="stack", legend={"orientation": "h", "y": -0.3, "yanchor": "top"})
    figure.update_yaxes(title="OON less SCA [USD a year]", tickprefix="&#36;")
    total = costed["at_stake"].sum()
    shown = costed.loc[costed["grounds"] != "", "at_stake"].sum()
    title = (
        f"Members have {short(total)} at stake in {len(costed)} of {len(cases)} cases, {short(shown)} of it where a "
        "ground is shown"
    )
    return finish(figure, title, source, height=440)
