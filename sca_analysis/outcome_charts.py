"""Figures on what came of SCA requests. In: register and estimates. Out: figures whose title is the finding.

Looks are those of ``charts``; nothing is told by colour alone, and no figure names a member or a case.
"""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from sca_analysis.charts import PALETTE, finish, withhold_chart
from sca_analysis.errors import ParameterError
from sca_analysis.privacy import OTHERS, find_few, has_few_side, is_few, lump, say_part, say_rows, sentence, tally

DECISIONS = {"approved": ("#009E73", ""), "denied": ("#D55E00", "/"), "withdrawn": ("#999999", ".")}
_MEASURES = {
    "visits": "visits",
    "sessions": "sessions authorised and used",
    "plan_paid": "plan payment [USD]",
    "cost_share": "member cost share [USD]",
}


def draw_decisions(register: pd.DataFrame, source: str, fewest: int = 0) -> go.Figure:
    """Return the decisions by month, as they went.

    Parameters
    ----------
    register : DataFrame
        Columns of ``tables.REGISTER``; requests that are pending are counted in the note.
    source : str
        Plan, period and denominator, shown under the title.
    fewest : int
        Members below which a bar is not drawn, nor the next smallest that would give it away.

    """
    decided = register[register["decision"].isin(list(DECISIONS)) & register["decision_date"].notna()]
    months = decided["decision_date"].dt.to_period("M")
    figure = go.Figure()
    title = "No request was decided"
    if len(decided):
        span = pd.period_range(months.min(), months.max(), freq="M")
        cells = tally(decided.assign(month=months), decided["member_id"], ["month", "decision"])
        few = find_few(cells, "people", totals=(("month",), ("decision",)), fewest=fewest)
        shown = cells[~few].pivot_table(index="month", columns="decision", values="rows", observed=True).reindex(span)
        for name, (colour, pattern) in DECISIONS.items():
            counts = shown.get(name, pd.Series(0, span)).fillna(0).astype("int64")
            figure.add_bar(
                x=span.to_timestamp(),
                y=counts.to_numpy(),
                name=name,
                marker={"color": colour, "pattern": {"shape": pattern, "fgopacity": 0.35}},
                text=[f"{n}" if n else "" for n in counts],
                textposition="inside",
                hovertemplate="%{x|%B %Y}: %{y:,}<extra>" + name + "</extra>",
            )
    figure.update_layout(barmode="stack", legend={"orientation": "h", "y": -0.2, "yanchor": "top"})
    figure.update_xaxes(title="month of the decision", type="date", dtick="M1", tickformat="%b %y")
    figure.update_yaxes(title="decisions [requests a month]", tickformat=",d", rangemode="tozero")
    judged = decided[decided["decision"] != "withdrawn"]
    is_approved, members = judged["decision"] == "approved", judged["member_id"]
    is_told = len(judged) and not has_few_side(is_approved, members, fewest)
    share = f" ({is_approved.mean():.0%})" if is_told else ""
    if len(decided):
        title = sentence(f"{say_part(is_approved, members, fewest)} requests decided were approved{share}")
    withdrawn = say_rows(decided.loc[decided["decision"] == "withdrawn", "member_id"], fewest)
    pending = say_rows(register.loc[register["decision"] == "pending", "member_id"], fewest)
    note = (
        f"{source} {sentence(withdrawn)} {'request' if withdrawn == '1' else 'requests'} withdrawn, {pending} pending."
    )
    if fewest and len(decided) and few.any():
        note += f" Not drawn: {few.sum()} bars of fewer than {fewest} members, or that would give them away."
        if few.all():
            return withhold_chart(title, note, fewest)
    return finish(figure, title, note, height=420)


def draw_days(register: pd.DataFrame, source: str) -> go.Figure:
    """Return how many days approved and denied requests took to be decided, with median and P90.

    Parameters
    ----------
    register : DataFrame
        Columns of ``tables.REGISTER``.
    source : str

    """
    judged = register["decision"].isin(["approved", "denied"])
    days = register.loc[judged, "days_to_decision"].dropna().astype("float64")
    figure = go.Figure()
    if days.empty:
        return finish(figure, "No request was decided", source, height=300)
    middle, late = np.quantile(days, [0.5, 0.9])
    values, counts = np.unique(days, return_counts=True)
    figure.add_bar(
        x=values, y=counts, marker_color=PALETTE[0], hovertemplate="%{x} days: %{y:,} requests<extra></extra>"
    )
    for name, at, side in (("median", middle, "right"), ("P90", late, "left")):
        figure.add_vline(x=at, line={"dash": "dash", "color": "#333333"}, annotation_text=f"{name} {at:g} days")
        figure.layout.annotations[-1].update(font_size=12, yanchor="bottom", y=1, xanchor=side, showarrow=False)
    figure.update_xaxes(title="days from request to decision", rangemode="tozero")
    figure.update_yaxes(title="requests", tickformat=",d", rangemode="tozero")
    title = f"Half of {len(days)} decisions took {middle:g} days or fewer, one in ten took {late:g} or more"
    return finish(figure, title, source, height=400)


def draw_rates(register: pd.DataFrame, source: str, fewest: int = 0) -> go.Figure:
    """Return where agreed rates lie between in-network rate and usual charge, by specialty.

    Parameters
    ----------
    register : DataFrame
        Columns of ``tables.REGISTER``; agreements whose three rates are known are drawn, a dot each.
    source : str
    fewest : int
        Members below which nothing is drawn, or a specialty is not named.

    """
    agreed = register[register["decision"] == "approved"]
    known = agreed[agreed[["agreed_rate", "in_network_rate", "usual_charge"]].notna().all(axis=1)]
    low, rate, high = (known[c].astype("float64") for c in ("in_network_rate", "agreed_rate", "usual_charge"))
    known = known.assign(way=(rate - low) / (high - low))[(high > low).to_numpy()]
    if fewest:
        if is_few(known["member_id"], fewest):
            return withhold_chart("Where agreed rates lie is withheld", source, fewest)
        known = known.assign(specialty=lump(known["specialty"], known["member_id"], fewest))
        if (known["specialty"] == OTHERS).all():
            known = known.assign(specialty="all specialties")
    figure = go.Figure()
    medians = known.groupby("specialty")["way"].median().sort_values(kind="stable")
    for i, specialty in enumerate(medians.index):
        part = known[known["specialty"] == specialty]
        figure.add_scatter(
            x=part["way"],
            y=i + 0.22 * np.sin(np.arange(len(part)) * 2.4),  # apart, the same in every run
            mode="markers",
            marker={"size": 9, "color": PALETTE[0], "opacity": 0.55},
            customdata=np.column_stack(
                [part[c].astype(str) for c in ("agreed_rate", "in_network_rate", "usual_charge")]
            ),
            hovertemplate="agreed %{customdata[0]}, in-network %{customdata[1]}, usual %{customdata[2]}<extra></extra>",
            name="agreement",
            showlegend=i == 0,
        )
    figure.add_scatter(
        x=medians,
        y=list(range(len(medians))),
        mode="markers",
        marker={"symbol": "line-ns-open", "size": 30, "color": "#333333", "line": {"width": 3}},
        hovertemplate="median %{x:.0%}<extra></extra>",
        name="median",
    )
    counts = known["specialty"].value_counts()
    labels = [f"{s} ({counts[s]:,})" for s in medians.index]
    title = "specialty (agreements)" if len(medians) > 1 else None  # beside one row it has no room
    figure.update_yaxes(tickvals=list(range(len(medians))), ticktext=labels, title=title)
    figure.update_xaxes(title="way from the in-network rate (0%) to the usual charge (100%)", tickformat=".0%")
    below = -max(0.25, 65 / (47 + 48 * len(medians)))  # of the plot's height: under the title of its axis
    figure.update_layout(legend={"orientation": "h", "y": below, "yanchor": "top"})
    title = "No agreed rate can be compared with in-network rate and usual charge"
    if len(known):
        title = f"The median of {len(known)} agreed rates lies {known['way'].median():.0%} of the way from the "
        title += "in-network rate to the usual charge"
    are_known = say_part(agreed.index.to_series().isin(known.index), agreed["member_id"], fewest)
    note = f"{source} Rates are known for {are_known} agreements."
    return finish(figure, title, note, height=220 + 48 * len(medians))


def draw_sessions(register: pd.DataFrame, source: str, fewest: int = 0) -> go.Figure:
    """Return sessions used against those authorised, an agreement that has ended each.

    Parameters
    ----------
    register : DataFrame
        Columns of ``tables.REGISTER``.
    source : str
    fewest : int
        Members below which nothing is drawn.

    """
    ended = register[(register["state"] == "expired") & register["sessions_authorized"].notna()]
    limit, used = ended["sessions_authorized"].astype("int64"), ended["sessions_used"].astype("int64")
    over = used > limit
    if is_few(ended["member_id"], fewest):
        return withhold_chart("How many sessions were used is withheld", source, fewest)
    figure = go.Figure()
    most = int(max([*limit, *used, 1]))
    figure.add_scatter(
        x=[0, most], y=[0, most], mode="lines", line={"dash": "dash", "color": "#555555"}, name="used = authorised"
    )
    for name, rows, colour, symbol in (
        ("within the sessions", ~over, PALETTE[0], "circle"),
        ("more than authorised", over, "#D55E00", "x"),
    ):
        figure.add_scatter(
            x=limit[rows],
            y=used[rows],
            mode="markers",
            name=name,
            marker={"size": 10, "color": colour, "symbol": symbol, "opacity": 0.7},
            hovertemplate="%{y} of %{x} sessions used<extra></extra>",
        )
    figure.update_xaxes(title="sessions authorised [visits]", rangemode="tozero")
    figure.update_yaxes(title="visits within the dates", rangemode="tozero")
    figure.update_layout(legend={"orientation": "h", "y": -0.2, "yanchor": "top"})
    total, allowed = int(np.minimum(used, limit).sum()), int(limit.sum())
    title = "No agreement with a number of sessions has ended"
    if len(ended):
        title = f"Agreements that ended used {total} of {allowed} sessions authorised ({total / max(allowed, 1):.0%}); "
        title += f"{say_part(over, ended['member_id'], fewest)} went past them"
    return finish(figure, title, source, height=460)


def draw_estimates(
    estimates: pd.DataFrame,
    source: str,
    measure: str = "visits",
    most: int = 60,
    fewest: int = 0,
    people: pd.Series | None = None,
) -> go.Figure:
    """Return the range estimated at the decision beside what came of it, a finished agreement each.

    Parameters
    ----------
    estimates : DataFrame
        Columns of ``tables.ESTIMATES``.
    source : str
    measure : {"visits", "sessions", "plan_paid", "cost_share"}
    most : int
        Agreements drawn: evenly chosen in the order of their P50 where there are more. All count in the title.
    fewest : int
        Members below which nothing is drawn.
    people : Series, optional
        Member by number of a case; without, an agreement counts as a member of its own, so that is for ``fewest`` 0.

    Raises
    ------
    ParameterError
        If the measure is another.

    """
    if measure not in _MEASURES:
        raise ParameterError(f"measure must be one of {', '.join(_MEASURES)}; {measure!r} is none.")
    finished = estimates[estimates["is_finished"].astype(bool)]
    is_known = finished[f"{measure}_within"].notna()
    who = finished["case_id"] if people is None else finished["case_id"].map(people)
    known = finished[is_known]
    if is_few(who[is_known], fewest):
        return withhold_chart("Whether estimates were right is withheld", source, fewest)
    columns = [f"{measure}_{end}" for end in ("p50", "p10", "p90", "actual")]
    known = known.sort_values(columns, kind="stable")
    step = np.unique(np.linspace(0, max(len(known) - 1, 0), min(most, len(known))).round().astype(int))
    drawn = known.iloc[step]
    middle, low, high, actual = (drawn[c].astype("float64").to_numpy() for c in columns)
    place = np.arange(1, len(drawn) + 1)
    figure = go.Figure(
        go.Scatter(
            x=place,
            y=middle,
            mode="markers",
            marker={"symbol": "line-ew-open", "size": 10, "color": "#555555"},
            error_y={"type": "data", "symmetric": False, "array": high - middle, "arrayminus": middle - low, "width": 0,
                     "color": "#777777", "thickness": 5},
            customdata=np.column_stack([low, high]) if len(drawn) else None,
            hovertemplate="P10 %{customdata[0]:,.0f}, P50 %{y:,.0f}, P90 %{customdata[1]:,.0f}<extra></extra>",
            name="estimated, P10 to P90",
        )
    )  # fmt: skip
    inside = drawn[f"{measure}_within"].to_numpy(dtype=bool)
    for name, rows, colour, symbol in (
        ("actual, within", inside, PALETTE[0], "circle"),
        ("actual, outside", ~inside, "#D55E00", "x"),
    ):
        figure.add_scatter(
            x=place[rows],
            y=actual[rows],
            mode="markers",
            name=name,
            marker={"size": 9, "color": colour, "symbol": symbol},
            hovertemplate="actual %{y:,.0f}<extra></extra>",
        )
    figure.update_xaxes(title="agreements that have ended, by P50", showticklabels=False)
    figure.update_yaxes(title=_MEASURES[measure], rangemode="tozero")
    figure.update_layout(legend={"orientation": "h", "y": -0.12, "yanchor": "top"})
    within, who_known = known[f"{measure}_within"].astype(bool), who[known.index]
    title = "No agreement that has ended has an estimate"
    if len(known):
        title = f"{_MEASURES[measure].split(' [')[0].capitalize()}: {say_part(within, who_known, fewest)} agreements "
        is_told = not has_few_side(within, who_known, fewest)
        share = f"({within.mean():.0%}) " if is_told else ""
        title += f"{share}came out within P10 to P90 of their estimate; 80% would be ideal"
    note = f"{source} {say_part(is_known, who, fewest)} agreements that have ended could be estimated."
    if len(drawn) < len(known):
        note += f" Drawn: {len(drawn)} of them."
    return finish(figure, title, note, height=440)
