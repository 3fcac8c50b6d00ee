"""Figures on adequacy. In: result tables. Out: plotly figures whose title is the finding, source below.

Looks are those of ``charts``; no status or kind is told by colour alone.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from sca_analysis.charts import DARKER, PALETTE, STATUS_WORDS, finish, short, to_dollars
from sca_analysis.errors import ParameterError


class _Line(NamedTuple):
    """A cumulative distribution of distance: sorted miles, shares of members within, and the standard."""

    name: str
    miles: np.ndarray[Any, np.dtype[np.float64]]
    shares: np.ndarray[Any, np.dtype[np.float64]]
    max_miles: float
    required: float

    def share_at(self, miles: float) -> float:
        reached = int(np.searchsorted(self.miles, miles, side="right"))
        return float(self.shares[reached - 1]) if reached else 0.0

    @property
    def within(self) -> float:
        return self.share_at(self.max_miles)

    @property
    def is_met(self) -> bool:
        return self.within >= self.required - 1e-12

    def steps(self, end: float) -> tuple[list[float], list[float]]:
        """Return the corners of the line from 0 to ``end`` miles."""
        inside = self.miles <= end
        return [0.0, *self.miles[inside], end], [0.0, *self.shares[inside], self.share_at(end)]


def draw_distances(distances: pd.DataFrame, source: str, by: str = "county", most: int = 6) -> go.Figure:
    """Return the cumulative share of members by miles to the nearest usable provider, beside the standard.

    Parameters
    ----------
    distances : DataFrame
        county, specialty, miles (inf = no usable provider at all), members, max_miles and required_share; one
        row a place of members, of which ``by`` tells the lines apart.
    source : str
    by : {"county", "specialty"}
    most : int
        Lines drawn, those furthest below the standard first; the others are counted under the title.

    Raises
    ------
    ParameterError
        If a line has more than one maximum distance or required share, so that it mixes standards.

    """
    if by not in ("county", "specialty"):
        raise ParameterError(f"distances are told apart by county or specialty, not by {by!r}.")
    lines = [_accumulate(str(name), part) for name, part in distances.groupby(by, sort=True)]
    lines = sorted(lines, key=lambda line: line.within - line.required)  # worst first
    shown = lines[:most]
    figure = go.Figure()
    end = max([2 * line.max_miles for line in shown], default=1.0)
    ends = _spread([line.share_at(end) for line in shown], 0.055)
    for colour, line, y in zip(PALETTE * 2, shown, ends, strict=False):
        miles, shares = line.steps(end)
        figure.add_scatter(
            x=miles,
            y=shares,
            mode="lines",
            line={"shape": "hv", "color": colour, "width": 2.5},
            hovertemplate="%{y:.1%} of members within %{x:.1f} miles<extra>" + line.name + "</extra>",
            showlegend=False,
        )
        figure.add_scatter(
            x=[line.max_miles],
            y=[line.within],
            mode="markers",
            marker={"symbol": "circle" if line.is_met else "x", "size": 11, "color": colour},
            hovertemplate=f"standard: {line.required:.0%} within {line.max_miles:g} miles<extra>{line.name}</extra>",
            showlegend=False,
        )
        words = f"{line.name}: {_floor(line.within)} within {line.max_miles:g} mi"
        figure.add_annotation(
            {"x": 1, "xref": "paper", "xanchor": "left", "y": y, "xshift": 6, "showarrow": False, "text": words}
            | {"font": {"color": DARKER.get(colour, colour), "size": 12}, "align": "left"}
        )
    for share in sorted({line.required for line in shown}):
        words = f"required: {share:.0%}"
        figure.add_hline(y=share, line={"dash": "dash", "color": "#555555", "width": 1.2}, annotation_text=words)
        figure.layout.annotations[-1].update(x=0, xanchor="left", yanchor="bottom", font_size=12)
    for limit in sorted({line.max_miles for line in shown})[:4]:
        figure.add_vline(
            x=limit, line={"dash": "dot", "color": "#555555", "width": 1.2}, annotation_text=f"{limit:g} mi"
        )
        figure.layout.annotations[-1].update(y=0, yanchor="bottom", xanchor="left", font_size=12)
    figure.update_xaxes(title="miles to the nearest usable provider, straight line", range=[0, end])
    figure.update_yaxes(title="members within [share]", range=[0, 1.03], tickformat=".0%")
    short = sum(not line.is_met for line in lines)
    words = "counties" if by == "county" else "specialties"
    title = f"In {short} of {len(lines)} {words}, too few members are within the maximum distance of the standard"
    note = f"{source} Dot: requirement met; cross: not. Members without any usable provider count as beyond all miles."
    if len(lines) > most:
        note += f" Drawn: the {most} of {len(lines)} that are furthest below it."
    figure = finish(figure, title if lines else "No members whose distance is known", note, height=500)
    return figure.update_layout(margin={"r": 16 + round(6.3 * max((len(line.name) + 20 for line in shown), default=0))})


def draw_adequacy(compared: pd.DataFrame, source: str, most: int = 15) -> go.Figure:
    """Return how many cells meet the standard as listed, as accepting and as seen in claims.

    Parameters
    ----------
    compared : DataFrame
        As ``compliance.compare_evidence``; a column may leave out its ``status_``.
    source : str
    most : int
        Specialties drawn, those that lose most cells first.

    """
    compared = compared.rename(columns=lambda name: name.removeprefix("status_"))
    views = {"as_listed": "as listed", "as_accepting": "as accepting", "as_seen": "as seen in claims"}
    met = pd.DataFrame({view: compared[view] == "met" for view in views})
    counts = met.groupby(compared["specialty"]).sum()
    lost = (counts["as_listed"] - counts["as_seen"]).sort_values(ascending=False, kind="stable")
    drawn = counts.loc[lost.index[lost != 0][:most]][::-1]
    figure = make_subplots(
        rows=1,
        cols=2,
        column_widths=[0.34, 0.66],
        horizontal_spacing=0.22,
        subplot_titles=["all cells", "counties that meet it, by specialty that changes"],
    )
    totals = [int(met[view].sum()) for view in views]
    figure.add_bar(
        x=list(views.values()),
        y=totals,
        text=[f"{n:,}<br>{_floor(n / max(len(met), 1))}" for n in totals],
        textposition="outside",
        cliponaxis=False,
        marker_color=[PALETTE[2], PALETTE[4], PALETTE[0]],
        hovertemplate="%{x}: %{y:,} cells meet the standard<extra></extra>",
        showlegend=False,
        row=1,
        col=1,
    )
    figure.update_yaxes(
        title=f"cells that meet the standard, of {len(met):,}", range=[0, max(len(met), 1) * 1.12], col=1
    )
    for specialty, row in drawn.iterrows():
        x = [row.min(), row.max()]
        line = {"color": "#bbbbbb", "width": 2}
        figure.add_scatter(
            x=x, y=[specialty] * 2, mode="lines", line=line, hoverinfo="skip", showlegend=False, row=1, col=2
        )
    looks = zip(
        views, ("circle-open", "square", "diamond"), (PALETTE[2], PALETTE[4], PALETTE[0]), (18, 11, 8), strict=True
    )
    for view, symbol, colour, size in looks:
        figure.add_scatter(
            x=drawn[view],
            y=drawn.index,
            mode="markers",
            name=views[view],
            marker={"symbol": symbol, "color": colour, "size": size, "line": {"width": 3 if "open" in symbol else 0}},
            hovertemplate="%{y}: %{x} counties<extra>" + views[view] + "</extra>",
            row=1,
            col=2,
        )
    figure.update_xaxes(
        rangemode="tozero", title=f"counties, of {compared['county'].nunique():,}", tickformat="d", col=2
    )
    figure.update_layout(legend={"orientation": "h", "x": 1, "xanchor": "right", "y": -0.18, "yanchor": "top"})
    listed, accepting, seen = (f"{n:,}" for n in totals)
    title = f"{listed} of {len(met):,} cells meet the standard as listed, {accepting} as accepting, {seen} as seen"
    note = f"{source} Not seen in claims is no proof that a provider sees nobody."
    if (left := int((lost != 0).sum()) - len(drawn)) > 0:
        note += f" {left} more specialties change and are not drawn."
    return finish(figure, title, note, height=max(430, 250 + 24 * len(drawn)))


def draw_parity(parity: pd.DataFrame, source: str) -> go.Figure:
    """Return the share of patients who go out of network by setting and benefit, with 95% intervals.

    Parameters
    ----------
    parity : DataFrame
        Columns of ``tables.PARITY``; a row whose share is blank is not drawn, but its place is kept.
    source : str

    """
    settings = list(dict.fromkeys(parity["setting"]))[::-1]
    figure = go.Figure()
    looks = {"MH/SUD": ("circle", PALETTE[5], 0.14), "M/S": ("square", PALETTE[0], -0.14)}
    for benefit, (symbol, colour, shift) in looks.items():
        rows = parity[(parity["benefit"] == benefit) & parity["share_of_patients"].notna()]
        share, low, high = (
            rows[c].astype("float64").to_numpy() for c in ("share_of_patients", "share_low", "share_high")
        )
        figure.add_scatter(
            x=share,
            y=[settings.index(s) + shift for s in rows["setting"]],
            mode="markers",
            name=benefit,
            marker={"symbol": symbol, "size": 11, "color": colour},
            error_x={"type": "data", "symmetric": False, "array": high - share, "arrayminus": share - low},
            customdata=np.column_stack([rows["out_of_network_patients"], rows["patients"], low, high]),
            hovertemplate="%{customdata[0]:,} of %{customdata[1]:,} patients, %{x:.1%} "
            "(95% interval %{customdata[2]:.1%} to %{customdata[3]:.1%})<extra>" + benefit + "</extra>",
        )
    patients = parity.pivot_table(index="setting", columns="benefit", values="patients", aggfunc="first")
    labels = [f"{s}<br>{_denominators(patients, s)}" for s in settings]
    figure.update_yaxes(tickvals=list(range(len(settings))), ticktext=labels, range=[-0.6, len(settings) - 0.4])
    figure.update_xaxes(title="patients with a visit OON [share], 95% interval", tickformat=".0%", rangemode="tozero")
    figure.update_layout(legend={"orientation": "h", "y": -0.16, "yanchor": "top"})
    note = f"{source} A screening figure, no finding of a parity violation. Below each setting: MH/SUD, then M/S."
    return finish(figure, _parity_finding(parity), note, height=240 + 62 * len(settings))


def draw_demand(ranked: pd.DataFrame, source: str, most: int = 15) -> go.Figure:
    """Return the failing cells by patients who went out of network and what they were billed.

    Parameters
    ----------
    ranked : DataFrame
        county, specialty, status, out_of_network_patients and out_of_network_billed [USD] as
        ``demand.rank_gaps`` returns them, most affected first; blank figures are withheld ones.
    source : str
    most : int
        Cells drawn; those without a patient OON are not.

    """
    affected = ranked[ranked["out_of_network_patients"].fillna(1) > 0]
    top = affected.head(most)[::-1]
    labels = [f"{r.specialty}, {r.county} ({STATUS_WORDS[r.status]})" for r in top.itertuples()]
    figure = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.04)
    panels = (
        ("out_of_network_patients", "patients OON", "", PALETTE[0]),
        ("out_of_network_billed", "billed OON [USD]", "&#36;", PALETTE[1]),
    )
    for column, (name, heading, sign, colour) in enumerate(panels, start=1):
        amounts = top[name].astype("Float64")
        figure.add_bar(
            x=amounts.fillna(0).astype("float64"),
            y=labels,
            orientation="h",
            text=["withheld" if pd.isna(a) else f"{sign}{a:,.0f}" for a in amounts],
            textposition="outside",
            cliponaxis=False,
            marker_color=colour,
            hovertemplate="%{y}: %{text}<extra>" + heading + "</extra>",
            showlegend=False,
            row=1,
            col=column,
        )
        room = 1.25 * float(amounts.max()) if amounts.notna().any() else 1.0
        figure.update_xaxes(title=heading, range=[0, max(room, 1)], tickprefix=sign, nticks=5, row=1, col=column)
    known = affected["out_of_network_billed"].dropna()
    title = f"In {len(affected):,} of {len(ranked):,} failing cells patients went out of network,"
    title += f" billed {short(to_dollars(known))}"
    note = source + (f" Drawn: the first {len(top)}." if len(affected) > len(top) else "")
    note += " Some figures are withheld and are not in the sum." if len(known) < len(affected) else ""
    return finish(
        figure,
        title if len(affected) else "No patient of a failing cell went out of network",
        note,
        height=210 + 30 * len(top),
    )


def _accumulate(name: str, part: pd.DataFrame) -> _Line:
    if len(part[["max_miles", "required_share"]].drop_duplicates()) > 1:
        raise ParameterError(f"the distances of {name} mix several standards: choose one specialty, or one county.")
    by_miles = part.groupby("miles")["members"].sum().sort_index()
    shares = by_miles.cumsum().to_numpy(dtype="float64") / max(float(by_miles.sum()), 1)
    first = part.iloc[0]
    return _Line(
        name,
        by_miles.index.to_numpy(dtype="float64"),
        shares,
        float(first["max_miles"]),
        float(first["required_share"]),
    )


def _spread(heights: Sequence[float], gap: float) -> list[float]:
    """Return heights for labels in the same order, at least ``gap`` apart and below the top."""
    order = sorted(range(len(heights)), key=lambda n: -heights[n])
    placed, above = [0.0] * len(heights), 1.02 + gap
    for n in order:
        above = placed[n] = min(heights[n], above - gap)
    short = max(0.0, -min(placed, default=0.0))  # pushed below the axis: move all up
    return [p + short for p in placed]


def _floor(share: float) -> str:
    """Return a share as a percentage that is not rounded up: 89.96% does not read as 90%."""
    return f"{math.floor(share * 1000 + 1e-9) / 10:g}%"


def _denominators(patients: pd.DataFrame, setting: str) -> str:
    counts = [patients[b].get(setting) if b in patients else None for b in ("MH/SUD", "M/S")]
    return " and ".join("withheld" if n is None or pd.isna(n) else f"{n:,.0f}" for n in counts) + " patients"


def _parity_finding(parity: pd.DataFrame) -> str:
    rows = parity[(parity["setting"] == "all") & (parity["benefit"] == "MH/SUD") & parity["ratio"].notna()]
    if rows.empty:
        return "Out-of-network use of mental health and medical/surgical patients"
    row = rows.iloc[0]
    high = f"to {row['ratio_high']:.2f}" if pd.notna(row["ratio_high"]) else "without a high end"
    return (
        f"MH/SUD patients went OON {row['ratio']:.2f} times as often as M/S patients "
        f"(95% interval {row['ratio_low']:.2f} {high})"
    )
