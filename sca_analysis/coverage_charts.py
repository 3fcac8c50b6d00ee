"""How far the columns of the tables read are filled. In: ``Exports.coverage``. Out: a plotly figure."""

import pandas as pd
import plotly.graph_objects as go

from sca_analysis.charts import PALETTE, finish


def draw_coverage(coverage: pd.DataFrame, source: str) -> go.Figure:
    """Return the share of accepted rows in which each column that is not always filled is filled.

    Columns of one table stand together.

    Parameters
    ----------
    coverage : DataFrame
        As ``Exports.coverage``: table, column, filled [rows], rows, share_filled [0-1].
    source : str
        Plan, shown under the chart.

    """
    partly = coverage[coverage["filled"] < coverage["rows"]]
    figure = go.Figure()
    for number, (table, part) in enumerate(partly.groupby("table", sort=False)):
        figure.add_bar(
            x=part["share_filled"],
            y=[part["table"].tolist(), part["column"].tolist()],
            name=str(table),
            orientation="h",
            marker_color=PALETTE[number % len(PALETTE)],
            text=[_share(n, of) for n, of in zip(part["filled"], part["rows"], strict=True)],
            textposition="outside",
            cliponaxis=False,
            customdata=part[["filled", "rows"]],
            hovertemplate="%{customdata[0]:,d} of %{customdata[1]:,d} rows<extra>" + str(table) + "</extra>",
            showlegend=False,
        )
    figure.update_xaxes(title="share of accepted rows with a value", range=[0, 1.08], tickformat=".0%")
    figure.update_yaxes(autorange="reversed", dividerwidth=0)
    empty, full = int((partly["filled"] == 0).sum()), len(coverage) - len(partly)
    title = f"{full} of {len(coverage)} columns are filled in every row, {empty} in none"
    figure.update_layout(bargap=0.25)
    return finish(
        figure, title, f"{source} Columns that are not filled in every row.", height=200 + 19 * max(len(partly), 3)
    )


def _share(filled: int, rows: int) -> str:
    """Return a share as a whole percentage that is 0 or 100 only where it is."""
    if filled == 0:
        return "empty"
    percent = round(100 * filled / rows)
    return "<1%" if percent == 0 else ">99%" if percent == 100 else f"{percent}%"
