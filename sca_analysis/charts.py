"""Figures. In: result tables. Out: plotly figures whose title is the finding, source below.

Colours are those of Okabe and Ito (2008), told apart by people with colour-blind eyes; no status
or arrangement is told by colour alone.
"""

from itertools import pairwise

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from sca_analysis.phrases import month
from sca_analysis.privacy import has_few_side, say_part

STATUS_COLOURS = {
    "met": "#009E73",
    "closed": "#F0E442",
    "too_few": "#56B4E9",
    "too_far": "#E69F00",
    "no_provider": "#D55E00",
}
STATUS_LETTERS = {"met": "", "closed": "c", "too_few": "f", "too_far": "d", "no_provider": "n"}
STATUS_WORDS = {
    "met": "met",
    "closed": "c closed panels",
    "too_few": "f too few",
    "too_far": "d too far",
    "no_provider": "n no provider",
}
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999999")
# of lines, for letters in their colour that can be read on white
DARKER = {"#E69F00": "#8a5f00", "#009E73": "#00694c", "#CC79A7": "#96346b", "#56B4E9": "#1a6d9e", "#999999": "#555555"}
DARKER |= {"#D55E00": "#a84900"}
_PARTIES = {"plan_paid": "Plan pays", "member_total": "Members pay", "provider_net": "Providers receive"}


def draw_gaps(gaps: pd.DataFrame, source: str) -> go.Figure:
    """Return the heat map of status by specialty and county.

    Parameters
    ----------
    gaps : DataFrame
        Columns of ``tables.GAPS``.
    source : str
        Plan, period and denominator, shown under the chart.

    """
    statuses = list(STATUS_COLOURS)
    codes = gaps.assign(code=gaps["status"].map(statuses.index))
    codes["letter"] = codes["status"].map(STATUS_LETTERS)
    grid, reasons, letters = (
        codes.pivot_table(index="specialty", columns="county", values=v, aggfunc="first")
        for v in ("code", "reason", "letter")
    )
    steps = np.linspace(0, 1, len(statuses) + 1)
    scale = [
        (edge, STATUS_COLOURS[status]) for status, band in zip(statuses, pairwise(steps), strict=True) for edge in band
    ]
    figure = go.Figure(
        go.Heatmap(
            z=grid.to_numpy(),
            x=list(grid.columns),
            y=list(grid.index),
            customdata=reasons.to_numpy(),
            text=letters.to_numpy(),
            texttemplate="%{text}",
            hovertemplate="%{y}, %{x}<br>%{customdata}<extra></extra>",
            colorscale=scale,
            zmin=-0.5,
            zmax=len(statuses) - 0.5,
            xgap=1,
            ygap=1,
            colorbar={
                "tickvals": list(range(len(statuses))),
                "ticktext": [STATUS_WORDS[s] for s in statuses],
                "title": "status",
            },
        )
    )
    failing = int((gaps["status"] != "met").sum())
    title = f"{failing} of {len(gaps)} county-specialty cells do not meet the standard"
    figure.update_yaxes(autorange="reversed", title="specialty (42 CFR 422.116)")
    figure.update_xaxes(title="county", tickangle=-35)
    return finish(figure, title, source, height=180 + 22 * len(grid))


def draw_spend(spend: pd.DataFrame, source: str, most: int = 6) -> go.Figure:
    """Return the monthly OON amounts billed, by specialty; beyond ``most``, specialties are one.

    Parameters
    ----------
    spend : DataFrame
        As ``claims.monthly_spend`` returns it [USD]; amounts that are blank are withheld.
    source : str
    most : int

    """
    out = spend[spend["is_out_of_network"]].assign(billed=spend["billed"].astype("Float64"))
    withheld = int(out["billed"].isna().sum())
    out = out[out["billed"].notna()].astype({"billed": "float64"}).assign(month=lambda o: pd.to_datetime(o["month"]))
    largest = out.groupby("specialty")["billed"].sum().sort_values(ascending=False)
    named = list(largest.index[:most])
    out["shown"] = out["specialty"].where(out["specialty"].isin(named), "all others")
    monthly = out.pivot_table(index="month", columns="shown", values="billed", aggfunc="sum", fill_value=0.0)
    figure = go.Figure()
    for colour, specialty in zip(PALETTE, [n for n in (*named, "all others") if n in monthly], strict=False):
        figure.add_bar(
            x=monthly.index,
            y=monthly[specialty],
            name=specialty,
            marker_color=colour,
            hovertemplate="%{x|%B %Y}: &#36;%{y:,.0f}<extra>" + specialty + "</extra>",
        )
    figure.update_layout(barmode="stack", legend={"orientation": "h", "y": -0.2, "yanchor": "top"})
    figure.update_yaxes(title="billed out of network [USD a month]", tickprefix="&#36;")
    figure.update_xaxes(title="month of service", type="date", dtick="M1", tickformat="%b %y")
    title = _spend_finding(monthly)
    if withheld:  # what is left says nothing of how a month compares with others
        title = (
            f"Behind {len(out)} of {len(out) + withheld} amounts of a month and specialty are enough patients to show"
        )
    return finish(figure, title, source, height=460)


def draw_costs(courses: pd.DataFrame, source: str, fewest: int = 0) -> go.Figure:
    """Return the step from OON to SCA for plan, members and providers, over all costed courses.

    Parameters
    ----------
    courses : DataFrame
        Columns of ``tables.COURSES``; courses without costs are left out and counted in the note.
    source : str
    fewest : int
        Members below which nothing is drawn, here and in what is left out.

    """
    is_costed = courses["not_costed"].isna()
    costed = courses[is_costed]
    if has_few_side(is_costed, courses["member_id"], fewest):
        return withhold_chart("What SCAs would change is withheld", source, fewest)
    figure = make_subplots(rows=1, cols=3, subplot_titles=list(_PARTIES.values()), shared_yaxes=True)
    totals = {p: [to_dollars(costed[f"{p}_{a}"]) for a in ("out_of_network", "sca")] for p in _PARTIES}
    for column, (oon, sca) in enumerate(totals.values(), start=1):
        figure.add_trace(
            go.Waterfall(
                x=["OON", "change", "SCA"],
                y=[oon, sca - oon, None],
                measure=["absolute", "relative", "total"],
                text=[short(oon), short(sca - oon, sign=True), short(sca)],
                textposition="outside",
                cliponaxis=False,
                increasing={"marker": {"color": "#E69F00"}},
                decreasing={"marker": {"color": "#56B4E9"}},
                totals={"marker": {"color": "#0072B2"}},
                hovertemplate="%{x}: &#36;%{y:,.2f}<extra></extra>",
                showlegend=False,
            ),
            row=1,
            col=column,
        )
    figure.update_yaxes(title="USD, 12 months", tickprefix="&#36;", col=1)
    plan, member = (round(totals[p][1] - totals[p][0]) for p in ("plan_paid", "member_total"))
    title = (
        f"Under SCAs at the rate assumed, members would pay {short(abs(member))} {'less' if member < 0 else 'more'} "
        f"and the plan {short(abs(plan))} {'more' if plan > 0 else 'less'} than OON"
    )
    note = f"{source} {say_part(is_costed, courses['member_id'], fewest)} courses could be costed."
    return finish(figure, title if len(costed) else "No course of treatment could be costed", note, height=430)


def draw_candidates(courses: pd.DataFrame, source: str, most: int = 15) -> go.Figure:
    """Return what members pay OON and would pay under an SCA, for the largest differences.

    Parameters
    ----------
    courses : DataFrame
        Columns of ``tables.COURSES``; the label is the course, never the member.
    source : str
    most : int

    """
    costed = courses[courses["not_costed"].isna()]
    oon, sca = (costed[f"member_total_{a}"].astype("float64") for a in ("out_of_network", "sca"))
    saving = (oon - sca).sort_values(ascending=False, kind="stable")
    top = costed.loc[saving.index[:most]][::-1]
    labels = [
        f"{r.course_id} {r.specialty}"
        + (f" ({r.gap_status})" if pd.notna(r.gap_status) and r.gap_status != "met" else "")
        for r in top.itertuples()
    ]
    figure = go.Figure()
    for name, amounts, colour, symbol in (
        ("OON", oon, "#D55E00", "circle"),
        ("SCA", sca, "#0072B2", "diamond"),
    ):
        figure.add_scatter(
            x=amounts[top.index],
            y=labels,
            mode="markers",
            name=f"member pays, {name}",
            marker={"color": colour, "size": 11, "symbol": symbol},
            hovertemplate="%{y}: &#36;%{x:,.2f}<extra>" + name + "</extra>",
        )
    for label, a, b in zip(labels, oon[top.index], sca[top.index], strict=True):
        figure.add_shape(type="line", x0=a, x1=b, y0=label, y1=label, line={"color": "#999999"}, layer="below")
    figure.update_xaxes(title="member's total, 12 months [USD]", tickprefix="&#36;", rangemode="tozero")
    figure.update_layout(legend={"orientation": "h", "y": -0.2, "yanchor": "top"})
    worst = saving.iloc[0] if len(saving) else 0.0
    title = (
        f"The member with most to gain from an SCA would pay {short(worst)} less"
        if len(top)
        else "No course of treatment could be costed"
    )
    return finish(figure, title, source, height=200 + 26 * len(top))


def draw_ranges(ranges: pd.DataFrame, source: str) -> go.Figure:
    """Return the P10, P50 and P90 of what changes for plan, member and provider under an SCA.

    Parameters
    ----------
    ranges : DataFrame
        As ``scenarios.simulate`` returns it; the measures that end in ``_change`` are drawn. [USD]
    source : str
        Says the distributions and the number of draws.

    """
    change = ranges[ranges["measure"].str.endswith("_change")][::-1]
    low, middle, high = (change[p].astype("float64").to_numpy() for p in ("p10", "p50", "p90"))
    figure = go.Figure(
        go.Scatter(
            x=middle,
            y=change["meaning"],
            mode="markers",
            marker={"size": 12, "color": PALETTE[0]},
            error_x={"type": "data", "symmetric": False, "array": high - middle, "arrayminus": middle - low},
            customdata=np.column_stack([low, high]),
            hovertemplate="%{y}: P10 %{customdata[0]:,.0f}, P50 %{x:,.0f}, P90 %{customdata[1]:,.0f}<extra></extra>",
        )
    )
    figure.add_vline(x=0, line={"color": "#999999"})
    figure.update_xaxes(title="change from OON to SCA [USD]; dot P50, line P10 to P90", tickprefix="&#36;")
    plan = change.set_index("measure").loc["plan_change"]
    title = f"The SCA costs the plan {short(float(plan['p10']), sign=True)} to {short(float(plan['p90']), sign=True)}"
    return finish(figure, f"{title} against OON (P10 to P90)", source, height=330)


def draw_tornado(tornado: pd.DataFrame, measure: str, source: str) -> go.Figure:
    """Return the bars from the low to the high end of each uncertain input, the widest on top.

    Parameters
    ----------
    tornado : DataFrame
        As ``scenarios.rank_inputs`` returns it. [USD]
    measure : str
        What is measured, in words.
    source : str

    """
    table = tornado[::-1]
    low, high = (table[c].astype("float64") for c in ("at_low", "at_high"))
    names = [n.replace("_", " ") for n in table["input"]]
    figure = go.Figure(
        go.Bar(
            x=high - low,
            base=low,
            y=names,
            orientation="h",
            marker_color=PALETTE[0],
            customdata=table[["low", "high", "at_low", "at_high"]].astype(str),
            text=[f"{a} to {b}" for a, b in zip(table["low"], table["high"], strict=True)],
            textposition="inside",
            hovertemplate="%{y}: %{customdata[2]} at %{customdata[0]}; %{customdata[3]} at %{customdata[1]}"
            "<extra></extra>",
        )
    )
    figure.update_xaxes(title=f"{measure} [USD], all other inputs at their likeliest", tickprefix="&#36;")
    widest = tornado.iloc[0]
    title = f"{widest['input'].replace('_', ' ').capitalize()} moves it most: by {short(float(widest['swing']))}"
    return finish(figure, title, source, height=240 + 30 * len(table))


def draw_set_aside(files: pd.DataFrame, source: str) -> go.Figure:
    """Return the rows set aside by reason and table.

    Parameters
    ----------
    files : DataFrame
        As ``Exports.files``.
    source : str

    """
    rows = [(f.table, reason, n) for f in files.itertuples() for reason, n in f.reasons.items()]
    counts = pd.DataFrame(rows, columns=["table", "reason", "rows"]).groupby(["table", "reason"], as_index=False).sum()
    figure = go.Figure()
    for colour, (table, part) in zip(PALETTE, counts.groupby("table"), strict=False):
        part = part.sort_values("rows")
        figure.add_bar(x=part["rows"], y=part["reason"], name=str(table), orientation="h", marker_color=colour)
    figure.update_layout(barmode="stack")
    figure.update_xaxes(title="rows set aside", rangemode="tozero", tickformat=",d")
    aside, read = int(files["set_aside"].sum()), int(files["rows_read"].sum())
    title = f"{aside:,} of {read:,} rows read were set aside ({aside / max(read, 1):.2%})"
    return finish(figure, title, source, height=220 + 22 * counts["reason"].nunique())


def _spend_finding(monthly: pd.DataFrame) -> str:
    total = monthly.sum(axis=1)
    if total.empty:
        return "No out-of-network claims in these months"
    last, before = total.index[-1], total.iloc[:-1].mean()
    words = f"{short(total.iloc[-1])} was billed out of network in {month(last)}"
    if len(total) < 2 or not before:
        return words
    change = total.iloc[-1] / before - 1
    side = "above" if change >= 0 else "below"
    return f"{words}, {abs(change):.0%} {side} the mean of the {len(total) - 1} months before"


def withhold_chart(title: str, source: str, fewest: int) -> go.Figure:
    """Return what stands in the place of a chart of so few people that it may not be shared."""
    figure = go.Figure(layout={"xaxis": {"visible": False}, "yaxis": {"visible": False}})
    words = f"Fewer than {fewest} patients are behind a part of this chart, so it is not drawn."
    figure.add_annotation(text=words, showarrow=False, x=0.5, y=0.5, xref="paper", yref="paper", font={"size": 14})
    return finish(figure, title, source, height=260)


def finish(figure: go.Figure, title: str, source: str, height: int) -> go.Figure:
    """Give a figure its finding as title, its source below it, and a plain look."""
    figure.update_layout(
        title={
            "text": _wrap(title, 100),
            "subtitle": {"text": _wrap(source, 150), "font": {"size": 12, "color": "#555555"}},
            "x": 0,
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "pad": {"t": 12, "l": 10},
            "font": {"size": 17, "color": "#1a1a1a"},
        },
        template="plotly_white",
        height=height,
        margin={"l": 10, "r": 10, "t": 110, "b": 60},
        font={"size": 13, "color": "#1a1a1a"},
        modebar={"remove": ["sendChartToCloud"]},  # plotly offers to upload a chart unless told not to
    )
    return figure.update_yaxes(automargin=True).update_xaxes(automargin=True)


def _wrap(text: str, width: int) -> str:
    lines: list[str] = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "<br>".join(lines)


def to_dollars(amounts: pd.Series) -> float:
    """Add exact amounts up first; a chart needs no cents, but no drift either."""
    return float(sum(amounts.dropna(), start=0))


def short(dollars: float, sign: bool = False) -> str:
    """Return an amount in whole dollars, as a chart writes it."""
    prefix = "-" if dollars < 0 else "+" if sign else ""
    # a pair of dollar signs would be read as mathematics; the entity is shown as the sign
    return f"{prefix}&#36;{abs(dollars):,.0f}"
