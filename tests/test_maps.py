"""Maps: each county drawn, nothing fetched, no small count of members shown."""

import json
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
import pytest
from playwright.sync_api import Browser
from plotly.offline import get_plotlyjs

from sca_analysis.errors import ParameterError
from sca_analysis.maps import KINDS, LABELLED, draw_gap_map, draw_providers
from sca_analysis.standards import load_counties

DETROIT = {"26099": "Macomb, MI", "26125": "Oakland, MI", "26163": "Wayne, MI"}
FAILING = {("26125", "Neurology"): "too_far", ("26125", "Psychiatry"): "no_provider", ("26163", "Psychiatry"): "closed"}


def gap_rows(counties: dict[str, str], failing: dict[tuple[str, str], str]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            (fips, name, specialty, failing.get((fips, specialty), "met"), "the figures behind it")
            for fips, name in counties.items()
            for specialty in ("Cardiology", "Neurology", "Psychiatry")
        ],
        columns=["county_fips", "county", "specialty", "status", "reason"],
    )


@pytest.fixture
def gaps() -> pd.DataFrame:
    return gap_rows(DETROIT, FAILING)


@pytest.fixture
def homes() -> pd.DataFrame:
    rows = [
        (42.4, -83.1, "26163", 7),
        (42.4, -83.1, "26163", 5),
        (42.6, -83.3, "26125", 10),
        (42.7, -82.9, "26099", 300),
    ]
    return pd.DataFrame(rows, columns=["latitude", "longitude", "county_fips", "members"])


@pytest.fixture
def places() -> pd.DataFrame:
    rows = [(42.40, -83.10, 3, "usable"), (42.41, -83.1, 2, "closed"), (42.60, -83.3, 1, "not_seen")]
    rows += [(42.65, -83.0, 4, "out_of_network"), (30.0, -90.0, 5, "out_of_network"), (None, None, 1, "usable")]
    return pd.DataFrame(rows, columns=["latitude", "longitude", "providers", "kind"])


def draw(browser: Browser, folder: Path, figure: go.Figure) -> dict[str, object]:
    """Open a figure without network; return what was drawn, asked for and complained of."""
    content = json.loads(figure.to_json())
    drawing = f"Plotly.newPlot('f', {json.dumps(content['data'])}, {json.dumps(content['layout'])})"
    page_text = f"<meta charset=utf-8><figure id=f></figure><script>{get_plotlyjs()}</script>"
    (folder / "map.html").write_text(
        f"{page_text}<script>{drawing}.then(() => window.done = 1)</script>", encoding="utf-8"
    )
    context = browser.new_context(offline=True, viewport={"width": 1200, "height": 800})
    page = context.new_page()
    asked: list[str] = []
    problems: list[str] = []
    page.on("console", lambda m: problems.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: problems.append(str(e)))
    page.on("request", lambda r: asked.append(r.url) if not r.url.startswith(("file:", "data:", "blob:")) else None)
    page.goto((folder / "map.html").as_uri())
    page.wait_for_function("window.done")
    boxes = page.evaluate("[...document.querySelectorAll('.choroplethlocation')].map(p => p.getBBox())"
                          ".map(b => [b.width, b.height])")  # fmt: skip
    texts = page.evaluate("[...document.querySelectorAll('.geolayer text')].map(t => t.textContent)")
    points = page.evaluate("document.querySelectorAll('.geolayer path.point').length")
    context.close()
    return {"boxes": boxes, "texts": texts, "points": points, "asked": asked, "problems": problems}


def test_counts_and_status_are_those_of_the_table(gaps: pd.DataFrame) -> None:
    figure = draw_gap_map(gaps, "Source: test; 900 members.")
    assert figure.layout.title.text.startswith("In 2 of 3 counties with members, at least one of 3 specialties")
    assert figure.layout.title.subtitle.text == "Source: test; 900 members."
    _, counties, labels = figure.data
    assert dict(zip(counties.locations, counties.z, strict=True)) == {"26099": 0, "26125": 2, "26163": 1}
    assert "Neurology<br>Psychiatry" in counties.text[1]
    assert list(labels.text) == ["Macomb<br>0", "Oakland<br>2", "Wayne<br>1"]
    one = draw_gap_map(gaps, "", "Psychiatry")
    assert one.layout.title.text == "Psychiatry fails the standard in 2 of 3 counties with members"
    assert list(one.data[2].text) == ["Macomb", "Oakland<br>n", "Wayne<br>c"], "no status by colour alone"


def test_counties_without_a_shape_are_said(gaps: pd.DataFrame) -> None:
    more = pd.concat([gaps, gap_rows({"02063": "Chugach, AK", "99999": "Nowhere"}, {})])
    figure = draw_gap_map(more, "Source: test.")
    assert figure.layout.title.text.startswith("In 2 of 5 counties")
    assert "No shape is known of 2 of these counties" in figure.layout.title.subtitle.text
    assert "\nNo shape" not in draw_gap_map(gaps, "Source: test.").layout.title.subtitle.text


def test_specialty_that_is_none(gaps: pd.DataFrame) -> None:
    with pytest.raises(ParameterError, match="no specialty 'Alchemy'"):
        draw_gap_map(gaps, "", "Alchemy")


def test_empty_tables_draw(gaps: pd.DataFrame, homes: pd.DataFrame, places: pd.DataFrame) -> None:
    assert draw_gap_map(gaps.iloc[:0], "").layout.title.text == "No county to map"
    assert draw_gap_map(gaps.iloc[:0], "", "Psychiatry").layout.title.text == "No county to map"
    draw_providers(places.iloc[:0], homes.iloc[:0], "", least=11)


def test_few_members_are_counted_but_not_drawn(places: pd.DataFrame, homes: pd.DataFrame) -> None:
    figure = draw_providers(places, homes, "Source: test.", least=11)
    [members] = [t for t in figure.data if t.name == "members"]
    assert sorted(members.customdata) == [12, 300], "homes of one point are added up before they are judged"
    note = figure.layout.title.subtitle.text.replace("<br>", " ")
    assert "312 members are drawn" in note
    assert "Fewer than 11 members at points with fewer than 11 are not drawn" in note
    assert "2 places lie outside" in note
    assert figure.layout.title.text == "4 of 10 listings of providers on this map are usable"


def test_kinds_are_told_apart_by_shape_too(places: pd.DataFrame, homes: pd.DataFrame) -> None:
    figure = draw_providers(places, homes, "", least=11)
    looks = {t.name: (t.marker.symbol, t.marker.color) for t in figure.data if t.mode == "markers"}
    assert set(looks) == {"members", *(words for words, _, _ in KINDS.values())}
    del looks["members"]
    assert len({symbol for symbol, _ in looks.values()}) == len({colour for _, colour in looks.values()}) == 4
    with pytest.raises(ParameterError, match="1 kinds of places are not one of usable"):
        draw_providers(places.assign(kind="secret"), homes, "", least=11)


def test_size_of_the_whole_country() -> None:
    counties = load_counties()
    rows = gap_rows(dict(zip(counties["county_fips"], counties["county_name"], strict=True)), {})
    figure = draw_gap_map(rows, "")
    assert len(figure.to_json()) < 2_500_000
    assert len({t.geo for t in figure.data}) == 6, "contiguous states, Alaska, Hawaii and three groups of islands"
    assert not [t for t in figure.data if t.type == "scattergeo" and t.mode == "text"], (
        f"only {LABELLED} counties are labelled"
    )


def test_each_county_is_drawn_offline(browser: Browser, tmp_path: Path, gaps: pd.DataFrame) -> None:
    more = {"02020": "Anchorage, AK", "02016": "Aleutians West, AK", "15003": "Honolulu, HI", "72127": "San Juan, PR"}
    for table, specialty in ((gaps, None), (gaps, "Psychiatry"), (pd.concat([gaps, gap_rows(more, {})]), None)):
        drawn = draw(browser, tmp_path, draw_gap_map(table, "Source: test.", specialty))
        boxes = drawn["boxes"]
        assert isinstance(boxes, list)
        assert len(boxes) == table["county_fips"].nunique()
        assert all(2 < width < 900 and 2 < height < 600 for width, height in boxes), "a county too small or filling all"
        assert len({tuple(b) for b in boxes}) == len(boxes), "a county that fills its frame"
        assert (drawn["asked"], drawn["problems"]) == ([], [])
        assert "Wayne" in "".join(drawn["texts"])  # type: ignore[arg-type]


def test_places_are_drawn_offline(browser: Browser, tmp_path: Path, places: pd.DataFrame, homes: pd.DataFrame) -> None:
    drawn = draw(browser, tmp_path, draw_providers(places, homes, "Source: test.", least=11))
    assert drawn["points"] == 2 + 4, "two points of members, four places within the map"
    assert (drawn["asked"], drawn["problems"]) == ([], [])
