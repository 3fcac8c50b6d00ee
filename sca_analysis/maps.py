"""Maps. In: result tables by county or place. Out: plotly figures that need no network.

The shapes are given to the figure (``shapes``) and the base map is off. plotly.js asks its maker's server for a base
map all the same where the first trace of a map has a ``locationmode``, as every choropleth has; so the outlines of
the states come first. A test in a browser holds that nothing is asked for.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from sca_analysis.charts import STATUS_COLOURS, STATUS_LETTERS, STATUS_WORDS, finish
from sca_analysis.errors import ParameterError
from sca_analysis.shapes import find_bounds, find_centres, load_county_shapes, load_state_shapes

#: Most counties that are labelled; of more, the labels would hide the map. [counties]
LABELLED = 40

# From light to dark, so that more is darker to every eye and in print; ColorBrewer's Blues.
_SCALE = ("#f7fbff", "#c6dbef", "#6baed6", "#2171b5", "#08306b")
# What lies far across water is drawn beside the rest, at a scale of its own.
_APART = {"02": "Alaska", "15": "Hawaii", "72": "Caribbean", "78": "Caribbean", "60": "Samoa", "66": "Marianas"}
_APART["69"] = "Marianas"
#: Kinds of places of `draw_providers`: words, symbol and colour, so that none is told by colour alone.
KINDS = {
    "usable": ("usable", "circle", "#0072B2"),
    "not_seen": ("usable, but not seen in claims", "diamond", "#E69F00"),
    "closed": ("closed to new patients", "square", "#000000"),
    "out_of_network": ("out of network", "x", "#D55E00"),
}
_MEMBERS = "#7a7a7a"
# letters are dark on light counties and light on dark ones, with a halo where they reach over a border
_INK, _PALE = "#1a1a1a", "#ffffff"
_HALOS = {_INK: ", ".join(["0 0 3px #fff"] * 4), _PALE: ", ".join(["0 0 3px #08306b"] * 3)}


def draw_gap_map(gaps: pd.DataFrame, source: str, specialty: str | None = None) -> go.Figure:
    """Return the map of counties by the number of specialties that fail or, of one specialty, by status.

    Parameters
    ----------
    gaps : DataFrame
        county_fips, county, specialty, status and reason of ``tables.GAPS``.
    source : str
        Plan, day and number of members, shown under the title.
    specialty : str, optional
        Without one, the specialties that fail are counted, and listed on hovering.

    Raises
    ------
    ParameterError
        If there are gaps, but none of the specialty.

    Notes
    -----
    Counties that no shape is known of are counted under the title. Up to ``LABELLED`` counties bear the number
    or the letter of their status.

    """
    table = gaps if specialty is None else gaps[gaps["specialty"] == specialty]
    if table.empty and len(gaps):
        raise ParameterError(f"the gap table has no specialty {specialty!r}: choose one of its own.")
    counties = _count_failing(table) if specialty is None else _read_status(table)
    most = int(counties["value"].max()) if len(counties) else 0
    is_dark = (counties["value"] > 0.6 * most) & (specialty is None)
    counties["ink"] = np.where(is_dark, _PALE, _INK)
    figure = go.Figure()
    missing: list[str] = []
    regions = _split(counties)
    for number, part in enumerate(regions):
        missing += _add_region(figure, part, number, len(regions), is_labelled=len(counties) <= LABELLED)
    failing, of = int((counties["value"] > 0).sum()), f"{len(counties):,} counties with members"
    if specialty is None:
        figure.update_layout(coloraxis=_count_axis(most))
        title = f"In {failing:,} of {of}, at least one of {table['specialty'].nunique()} specialties fails the standard"
    else:
        figure.update_layout(coloraxis=_status_axis())
        title = f"{specialty} fails the standard in {failing:,} of {of}"
    note = f" No shape is known of {len(missing)} of these counties, which are not drawn." if missing else ""
    figure = finish(
        figure, title if len(counties) else "No county to map", source + note, height=600 if len(regions) < 2 else 760
    )
    return figure.update_layout(margin={"b": 10})


def draw_providers(places: pd.DataFrame, homes: pd.DataFrame, source: str, least: int) -> go.Figure:
    """Return the map of where providers and members are.

    Parameters
    ----------
    places : DataFrame
        latitude, longitude [degrees], providers and kind, one of ``KINDS``.
    homes : DataFrame
        latitude, longitude [degrees], county_fips and members, as ``network.place_members`` counts them; the
        counties are outlined, and rows of one point are added up.
    source : str
        Plan, day, specialty.
    least : int
        A point with fewer members is not drawn, but counted under the title.

    Raises
    ------
    ParameterError
        If a kind is none of ``KINDS``.

    """
    if unknown := set(places["kind"]) - set(KINDS):
        raise ParameterError(f"{len(unknown)} kinds of places are not one of {', '.join(KINDS)}.")
    where = ["latitude", "longitude"]
    points = homes.groupby(where, as_index=False)["members"].sum()
    drawn = points[points["members"] >= least]
    shapes, _ = load_county_shapes(homes["county_fips"].dropna())
    figure = go.Figure()
    figure.add_trace(_outline(load_state_shapes(*_frame(shapes, 0.6)), 1.2))
    figure.add_trace(_outline(shapes, 0.6))
    _add_points(figure, drawn, "members", "members", ("circle", _MEMBERS), 30, opacity=0.35)
    west, south, east, north = _frame(shapes)
    inside = places[places["longitude"].between(west, east) & places["latitude"].between(south, north)]
    for kind, (words, symbol, colour) in KINDS.items():
        mine = inside[inside["kind"] == kind].groupby(where, as_index=False)["providers"].sum()
        if len(mine):
            _add_points(figure, mine, "providers", words, (symbol, colour), 20)
    figure.update_layout(
        geo=_geo(shapes), legend={"orientation": "h", "y": 0, "yanchor": "top", "itemsizing": "constant"}
    )
    usable, total = (int(p["providers"].sum()) for p in (inside[inside["kind"].isin(["usable", "not_seen"])], inside))
    title = f"{usable:,} of {total:,} listings of providers on this map are usable"
    note = f"{source} {int(drawn['members'].sum()):,} members are drawn; a provider is listed at each of its places."
    if few := int(points["members"].sum() - drawn["members"].sum()):
        words = f"{few:,}" if few >= least else f"Fewer than {least}"
        note += f" {words} members at points with fewer than {least} are not drawn."
    if outside := len(places) - len(inside):
        note += f" {outside:,} places lie outside of the map or nobody knows where."
    return finish(figure, title, note, height=640).update_layout(margin={"b": 40})


def _count_failing(table: pd.DataFrame) -> pd.DataFrame:
    """Return county_fips, county, value (specialties that fail), label and hover text of each county."""
    rows, listed = [], 20 if table["county_fips"].nunique() <= 200 else 5  # a page has a size
    for (fips, county), part in table.groupby(["county_fips", "county"], sort=True):
        names = sorted(part.loc[part["status"] != "met", "specialty"])
        text = f"<b>{county}</b><br>{len(names)} of {len(part)} specialties fail"
        text += f":<br>{'<br>'.join(names[:listed])}" if names else ""
        text += f"<br>and {len(names) - listed} more" if len(names) > listed else ""
        rows.append((fips, county, len(names), str(len(names)), text))
    return pd.DataFrame(rows, columns=["county_fips", "county", "value", "label", "text"])


def _read_status(table: pd.DataFrame) -> pd.DataFrame:
    """Return the same columns for one specialty: value is the place in STATUS_COLOURS, label the letter."""
    value, letter = (table["status"].map(m) for m in (list(STATUS_COLOURS).index, STATUS_LETTERS))
    text = "<b>" + table["county"] + "</b><br>" + table["status"].map(STATUS_WORDS) + "<br>" + table["reason"]
    return table[["county_fips", "county"]].assign(value=value, label=letter, text=text)


def _split(counties: pd.DataFrame) -> list[pd.DataFrame]:
    """Return the counties by region, the region with most counties first."""
    regions = counties["county_fips"].str[:2].map(_APART).fillna("")
    return [counties[regions == name] for name in regions.value_counts().index]


def _add_region(figure: go.Figure, part: pd.DataFrame, number: int, regions: int, *, is_labelled: bool) -> list[str]:
    """Draw the counties of a region into a map of its own, and return those without a shape."""
    geo = f"geo{number + 1}" if number else "geo"
    shapes, missing = load_county_shapes(part["county_fips"])
    drawn = part[~part["county_fips"].isin(missing)]
    if drawn.empty:
        return missing
    figure.add_trace(_outline(load_state_shapes(*_frame(shapes, 0.6)), 1.2).update(geo=geo))
    figure.add_choropleth(
        geojson=shapes,
        locations=drawn["county_fips"],
        z=drawn["value"],
        text=drawn["text"],
        hovertemplate="%{text}<extra></extra>",
        coloraxis="coloraxis",
        marker={"line": {"color": "#8a8a8a", "width": 0.7 if len(drawn) < 400 else 0.2}},
        geo=geo,
    )
    if is_labelled:
        centres = find_centres(shapes)
        longitude, latitude = zip(*(centres[f] for f in drawn["county_fips"]), strict=True)
        names = drawn["county"].str.split(",").str[0]
        label = names + np.where(drawn["label"] == "", "", "<br>" + drawn["label"])
        figure.add_scattergeo(
            lon=longitude,
            lat=latitude,
            text=label,
            mode="text",
            textfont={"size": 12, "color": drawn["ink"], "shadow": drawn["ink"].map(_HALOS)},
            hoverinfo="skip",
            showlegend=False,
            geo=geo,
        )
    figure.update_layout({geo: _geo(shapes) | {"domain": _domain(number, regions)}})
    return missing


def _domain(number: int, regions: int) -> dict[str, list[float]]:
    """Return where a region is drawn: the first above, the others in a row below it."""
    if regions == 1:
        return {"x": [0, 1], "y": [0, 1]}
    if number == 0:
        return {"x": [0, 1], "y": [0.26, 1]}
    width = min(1 / (regions - 1), 0.3)
    return {"x": [(number - 1) * width, number * width], "y": [0, 0.24]}


def _frame(shapes: dict[str, Any], margin: float = 0.04) -> tuple[float, float, float, float]:
    """Return west, south, east and north of shapes with a margin, as a share of the longer side."""
    west, south, east, north = find_bounds(shapes)
    pad = margin * max(east - west, north - south)
    return west - pad, max(south - pad, -89.0), east + pad, min(north + pad, 89.0)


def _geo(shapes: dict[str, Any]) -> dict[str, Any]:
    """Return a map that shows the shapes without distorting their areas, and no base map."""
    west, south, east, north = _frame(shapes)
    tall = (north - south) / 6
    projection = {
        "type": "conic equal area",
        "rotation": {"lon": (west + east) / 2},
        "parallels": [south + tall, north - tall],
    }
    ranges = {"lonaxis": {"range": [west, east]}, "lataxis": {"range": [south, north]}}
    return {"visible": False, "bgcolor": "#ffffff", "projection": projection, **ranges}


def _outline(shapes: dict[str, Any], width: float) -> go.Scattergeo:
    """Return the borders of shapes as one line with breaks."""
    rings = list(_rings(shapes))
    points = np.concatenate([np.vstack([ring, [[np.nan, np.nan]]]) for ring in rings]) if rings else np.zeros((1, 2))
    longitude, latitude = points.astype("float32").T
    line = {"width": width, "color": "#6a6a6a"}
    return go.Scattergeo(lon=longitude, lat=latitude, mode="lines", line=line, hoverinfo="skip", showlegend=False)


def _rings(shapes: dict[str, Any]) -> Iterator[Any]:
    for feature in shapes["features"]:
        coordinates = feature["geometry"]["coordinates"]
        for polygon in coordinates if feature["geometry"]["type"] == "MultiPolygon" else [coordinates]:
            yield from polygon


def _add_points(
    figure: go.Figure,
    points: pd.DataFrame,
    count: str,
    name: str,
    look: tuple[str, str],
    largest: float,
    opacity: float = 0.9,
) -> None:
    """Draw points of which the area grows with a count, but none too small to see."""
    counts = points[count].to_numpy(dtype="float64")
    symbol, colour = look
    figure.add_scattergeo(
        lon=points["longitude"],
        lat=points["latitude"],
        mode="markers",
        name=name,
        customdata=points[count],
        hovertemplate=f"%{{customdata:,}} {count}<extra>{name}</extra>",
        marker={
            "symbol": symbol,
            "color": colour,
            "size": np.maximum(largest * np.sqrt(counts / max(counts.max(initial=0), 1)), 7).round(1),
            "line": {"width": 0.8, "color": "#ffffff"},
            "opacity": opacity,
        },
    )


def _count_axis(most: int) -> dict[str, Any]:
    scale = [(n / (len(_SCALE) - 1), colour) for n, colour in enumerate(_SCALE)]
    bar = {"title": "specialties<br>that fail", "tickformat": "d", "len": 0.8}
    return {"colorscale": scale, "cmin": 0, "cmax": max(most, 1), "colorbar": bar | ({"dtick": 1} if most < 8 else {})}


def _status_axis() -> dict[str, Any]:
    steps = np.linspace(0, 1, len(STATUS_COLOURS) + 1)
    bands = zip(STATUS_COLOURS.values(), pairwise(steps), strict=True)
    bar = {"tickvals": list(range(len(STATUS_COLOURS))), "ticktext": list(STATUS_WORDS.values()), "title": "status"}
    scale = [(edge, colour) for colour, band in bands for edge in band]
    return {"colorscale": scale, "cmin": -0.5, "cmax": len(STATUS_COLOURS) - 0.5, "colorbar": bar | {"len": 0.8}}
