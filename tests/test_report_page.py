"""The page of a report: drawn, sorted, searched, printed and read aloud offline, in light and dark."""

import json
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import plotly.graph_objects as go
import pytest
from playwright.sync_api import Browser, Page

from sca_analysis.charts import draw_gaps, finish
from sca_analysis.display import show_table
from sca_analysis.errors import ReportError
from sca_analysis.page import FIGURE, render
from sca_analysis.pdf import BROWSERS, print_pdf
from tests.browser import find_barriers
from tests.renew_picture import measure_picture, take_report

ROWS = 40
DRAWN = "() => document.querySelectorAll('figure .main-svg[role=img]').length === 3"
# contrast (WCAG 2, 1.4.3) of every word that stands on the paper of a figure, written apart from the page's own
CONTRASTS = """() => {
  const rgb = c => c.match(/[0-9.]+/g).slice(0, 3).map(Number);
  const lum = c => rgb(c).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : Math.pow((v + .055) / 1.055, 2.4))
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const paper = getComputedStyle(document.body).backgroundColor;
  const words = '.gtitle, .gtitle-subtitle, .xtitle, .ytitle, .xtick text, .ytick text, .legendtext, ' +
    '.annotation-text, .cbaxis text, .cbtitle text, .scatterlayer .textpoint text';
  return [...document.querySelectorAll('figure')].flatMap(f => [...f.querySelectorAll(words)]).map(e => {
    const pair = [lum(getComputedStyle(e).fill), lum(paper)].sort((a, b) => b - a);
    return [e.textContent, (pair[0] + .05) / (pair[1] + .05)];
  });
}"""


def make_rows() -> pd.DataFrame:
    """Rows of every kind, with blanks in each column but the first, in no order."""
    chance = random.Random(7)
    few: Any = [None] * 5
    amounts = [Decimal(chance.randint(-900_000, 900_000)) / 100 for _ in range(ROWS - 5)] + few
    dates = [date(2026, 6, 30) - timedelta(chance.randint(0, 800)) for _ in range(ROWS - 5)] + few
    words = [f"case {chance.randint(1, 200)}" for _ in range(ROWS - 5)] + few
    for column in (amounts, dates, words):
        chance.shuffle(column)
    return pd.DataFrame(
        {
            "course_id": [f"C{i:05}" for i in chance.sample(range(ROWS), ROWS)],
            "billed": pd.Series(amounts, dtype=pd.ArrowDtype(__import__("pyarrow").decimal128(12, 2))),
            "service_date": pd.Series(dates, dtype="object"),
            "note": words,
            "share": [f"{chance.randint(0, 120)}%" for _ in range(ROWS)],
        }
    )


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return make_rows()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, rows: pd.DataFrame) -> Path:
    """A page of three figures and three tables under two headings of the same name and a third."""
    gaps = pd.DataFrame(
        {
            "county": ["Coos, NH", "Oxford, ME"] * 2,
            "specialty": ["Neurology"] * 2 + ["Psychiatry"] * 2,
            "status": ["met", "too_far", "closed", "no_provider"],
            "reason": ["", "far", "closed", "nobody"],
        }
    )
    lines = go.Figure(go.Scatter(x=[1, 2], y=[3, 1], mode="lines+text", text=["a", "b"], textfont={"color": "#1a6d9e"}))
    lines.update_traces(line={"color": "#08306b"}).add_annotation(x=1, y=3, text="note", font={"color": "#555555"})
    place = go.Figure(go.Scattergeo(lon=[-70], lat=[44], mode="markers+text", text=["here"]))
    place.update_layout(geo={"visible": False, "bgcolor": "#ffffff"})
    figures = [
        draw_gaps(gaps, "Source: a test; 4 cells."),
        finish(lines, "Lines &#36;5 fall", "Source: lines, 2 points.", 400),
        finish(place, "One place", "Source: places.", 400),
    ]
    outputs = [{FIGURE: json.loads(figure.to_json())} for figure in figures]
    outputs += [{"text/html": show_table(frame, caption, most).data} for frame, caption, most in (
        (rows, "Courses; all", ROWS), (rows, "Courses; some", 20), (rows.head(3), "Courses; three", 3),
    )]  # fmt: skip
    outputs.append({"text/html": show_table(rows.head(0), "Nothing").data})
    book = nbformat.v4.new_notebook()
    book.cells = [nbformat.v4.new_markdown_cell("# Title\n\nA [link](#Same)\n\n## Same\n\nWords.")]
    book.cells += [nbformat.v4.new_code_cell("", outputs=[nbformat.v4.new_output("display_data", o)]) for o in outputs]
    book.cells += [nbformat.v4.new_markdown_cell("## Same"), nbformat.v4.new_markdown_cell("## Is it true?")]
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render(book, "SCA report"), encoding="utf-8")
    return path


@contextmanager
def opened(browser: Browser, file: Path, **options: Any) -> Iterator[tuple[Page, list[str]]]:
    """Open the page offline; yields it, and what it complained of or asked any network for."""
    context = browser.new_context(offline=True, viewport={"width": 1200, "height": 900}, **options)
    page, problems = context.new_page(), []
    page.on("console", lambda m: problems.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: problems.append(str(e)))
    page.on("request", lambda r: problems.append(r.url) if not r.url.startswith(("file:", "data:", "blob:")) else None)
    page.goto(file.as_uri())
    if options.get("java_script_enabled", True):
        page.wait_for_function(DRAWN)
    yield page, problems
    context.close()


def column(page: Page, place: int, table: int = 0) -> list[str]:
    cells = page.locator("table").nth(table).locator(f"tbody tr:not([hidden]) td:nth-child({place + 1})")
    return [text.strip() for text in cells.all_text_contents()]


def test_policy_lets_the_page_draw_and_nothing_else(browser: Browser, file: Path) -> None:
    with opened(browser, file) as (page, problems):
        assert page.locator("figure .main-svg[role=img]").count() == 3
        assert problems == []
        assert page.evaluate("fetch('data:text/plain,x').then(() => 'sent', () => 'blocked')") == "blocked"
        assert page.evaluate("fetch('https://example.org/').then(() => 'sent', () => 'blocked')") == "blocked"
        page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))")
        page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran = 1\">')")
        page.wait_for_timeout(200)
        assert page.evaluate("window.ran") is None
        assert not [p for p in problems if p.startswith("https:")], "a request left the page"
    policy = re.findall(r'Content-Security-Policy" content="([^"]*)"', file.read_text(encoding="utf-8"))
    assert len(policy) == 1
    assert "default-src &#39;none&#39;" in policy[0]
    assert "unsafe-inline" not in policy[0].split("script-src")[1].split(";")[0]
    assert "unsafe-eval" not in policy[0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Browser, file: Path, scheme: str) -> None:
    with opened(browser, file, color_scheme=scheme) as (page, _):
        assert find_barriers(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_of_figures_can_be_read(browser: Browser, file: Path, scheme: str) -> None:
    with opened(browser, file, color_scheme=scheme) as (page, _):
        contrasts = page.evaluate(CONTRASTS)
        assert {"note", "specialty (42 CFR 422.116)", "Lines $5 fall"} <= {words for words, _ in contrasts}
        assert [(w, round(c, 2)) for w, c in contrasts if c < 4.5] == []


def test_picture_for_the_readme_is_taken(browser: Browser, file: Path, tmp_path: Path) -> None:
    take_report(browser, file, tmp_path / "report.png")
    width, height, size = measure_picture(tmp_path / "report.png")
    assert (width, height) == (1560, 1300)
    assert size > 40_000, "next to nothing is on it"


def test_no_button_of_a_figure_sends_it_elsewhere(browser: Browser, file: Path) -> None:
    with opened(browser, file) as (page, _):
        buttons = page.locator("figure .modebar-btn")
        titles = {button.get_attribute("data-title") or "" for button in buttons.all()}
        assert "Download plot as a PNG" in titles, "an image may be saved"
        words = ("cloud", "chart studio", "share", "edit", "send", "upload", "plotly.com")
        assert [t for t in titles if any(word in t.lower() for word in words)] == []
        assert page.locator("figure .modebar a[href]").count() == 0, "a link to plotly's makers"


def test_figures_follow_the_screen_to_dark_and_back(browser: Browser, file: Path) -> None:
    with opened(browser, file, color_scheme="light") as (page, problems):
        paper = "() => getComputedStyle(document.querySelector('figure .main-svg')).backgroundColor"
        line = "() => document.querySelector('.scatterlayer .js-line').style.stroke"
        first = page.evaluate(paper), page.evaluate(line)
        page.emulate_media(color_scheme="dark")
        page.wait_for_timeout(300)
        assert page.evaluate(paper) == page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert page.evaluate(line) != first[1], "a dark blue line would not be seen on dark paper"
        page.emulate_media(color_scheme="light")
        page.wait_for_timeout(300)
        assert (page.evaluate(paper), page.evaluate(line)) == first
        assert page.locator("figure .main-svg[role=img]").count() == 3, "drawn anew, they keep their names"
        assert problems == []


def test_figures_have_their_finding_and_source_as_name(browser: Browser, file: Path) -> None:
    with opened(browser, file) as (page, _):
        names = [e.get_attribute("aria-label") for e in page.locator("figure .main-svg[role=img]").all()]
        assert names[0] == "3 of 4 county-specialty cells do not meet the standard. Source: a test; 4 cells."
        assert names[1] == "Lines $5 fall. Source: lines, 2 points."


def expected(values: list[str], is_down: bool) -> list[str]:
    """Sort as a reader expects, blanks last both ways: another way than the page's."""

    def key(text: str) -> Any:
        if re.fullmatch(r"-?[\d,]+\.\d\d|\d+%", text):
            return Decimal(text.rstrip("%").replace(",", ""))
        if text.startswith("case "):
            return int(text[5:])
        return text

    blanks = [v for v in values if not v]
    return sorted((v for v in values if v), key=key, reverse=is_down) + blanks


def test_tables_sort_by_a_click(browser: Browser, file: Path, rows: pd.DataFrame) -> None:
    with opened(browser, file) as (page, problems):
        for place in range(rows.shape[1]):
            given = column(page, place)
            heading = page.locator("table").first.locator("thead th").nth(place)
            for is_down, state in ((False, "ascending"), (True, "descending")):
                heading.get_by_role("button").click()
                assert heading.get_attribute("aria-sort") == state
                assert page.locator("th[aria-sort]").count() == 1
                assert column(page, place) == expected(given, is_down), f"column {place} {state}"
            heading.get_by_role("button").click()
            assert heading.get_attribute("aria-sort") is None
            assert column(page, 0) == list(rows["course_id"]), "the third time, the order of the report"
        assert problems == []


def test_tables_sort_by_keyboard(browser: Browser, file: Path) -> None:
    with opened(browser, file) as (page, _):
        heading = page.locator("table").first.locator("thead th").nth(1)
        heading.get_by_role("button").focus()
        page.keyboard.press("Enter")
        assert heading.get_attribute("aria-sort") == "ascending"
        page.keyboard.press("Space")
        assert heading.get_attribute("aria-sort") == "descending"


def test_filter_counts_what_it_shows(browser: Browser, file: Path, rows: pd.DataFrame) -> None:
    with opened(browser, file) as (page, _):
        assert page.locator("input[type=search]").count() == 2, "a table of three rows needs none"
        field = page.get_by_label("of the table: Courses; all")
        caption = page.locator("caption").first
        assert caption.text_content() == f"Courses; all ({ROWS} rows)"
        field.fill("CASE -06-")
        wanted = [
            i
            for i, d, n in zip(*(rows[c] for c in ("course_id", "service_date", "note")), strict=True)
            if "-06-" in str(d) and "case" in str(n)
        ]
        assert 0 < len(wanted) < ROWS
        assert column(page, 0) == wanted
        assert caption.text_content() == f"Courses; all ({len(wanted)} of {ROWS} shown)"
        page.locator("table").first.get_by_role("button").first.click()
        assert column(page, 0) == sorted(wanted), "sorted, it stays filtered"
        field.fill("C00003 c0000")
        assert column(page, 0) == ["C00003"], "every word counts, in any order"
        field.fill("nowhere")
        assert caption.text_content() == f"Courses; all (0 of {ROWS} shown)"
        field.fill("")
        assert caption.text_content() == f"Courses; all ({ROWS} rows)"
        page.get_by_label("of the table: Courses; some").fill("c")
        assert (
            page.locator("caption").nth(1).text_content()
            == f"Courses; some (20 of 20 shown, the first 20 of {ROWS} rows)"
        )


def test_contents_and_skip_link_by_keyboard(browser: Browser, file: Path) -> None:
    with opened(browser, file) as (page, _):
        links = page.locator("nav a")
        assert links.all_text_contents() == page.locator("h2").all_text_contents() == ["Same", "Same", "Is it true?"]
        for link, heading in zip(links.all(), page.locator("h2").all(), strict=True):
            link.focus()
            page.keyboard.press("Enter")
            top = heading.bounding_box()
            assert top
            assert -1 <= top["y"] < 900
            assert page.evaluate("decodeURIComponent(location.hash.slice(1))") == heading.get_attribute("id")
        page.goto(file.as_uri())
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the report"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "report"


def test_page_is_of_use_without_scripts(browser: Browser, file: Path) -> None:
    with opened(browser, file, java_script_enabled=False) as (page, problems):
        assert page.locator("table").first.locator("tbody tr").count() == ROWS
        assert page.locator("nav a").count() == 3
        assert "Lines $5 fall. Source: lines" in page.locator("figure").nth(1).inner_text()
        assert problems == []


def pages_of(pdf: Path) -> list[bytes]:
    """Return the pixels of each sheet, three bytes each."""
    if shutil.which("pdftoppm") is None:
        pytest.skip("no pdftoppm: install poppler-utils to look at PDFs")
    subprocess.run(["pdftoppm", "-r", "20", str(pdf), str(pdf.with_suffix(""))], check=True)
    return [p.read_bytes().split(b"\n", 3)[3] for p in sorted(pdf.parent.glob(f"{pdf.stem}-*.ppm"))]


def test_paper_is_light_and_whole(browser: Browser, file: Path, tmp_path: Path) -> None:
    with opened(browser, file, color_scheme="dark") as (page, problems):
        page.pdf(path=tmp_path / "dark.pdf", print_background=True, prefer_css_page_size=True)
        assert page.evaluate("document.documentElement.scrollWidth <= 1200"), "after printing, as before"
        assert problems == []
    sheets = pages_of(tmp_path / "dark.pdf")
    assert len(sheets) > 2
    for sheet in sheets:
        assert sheet.count(b"\xff") > 0.6 * len(sheet), "a dark sheet"
    text = subprocess.run(["pdftotext", str(tmp_path / "dark.pdf"), "-"], capture_output=True, text=True).stdout
    assert "Show rows with" not in text
    assert all(f"C{i:05}" in text for i in range(ROWS)), "tables are whole on paper"
    assert "One place" in text, "and figures are drawn"


def test_pdf_by_the_chromium_of_this_machine(file: Path) -> None:
    if not any(shutil.which(b) for b in BROWSERS):
        pytest.skip("no Chromium: install Debian's package `chromium`")
    pdf = print_pdf(file)
    assert pdf == file.with_name("report.pdf")
    assert len(pages_of(pdf)) > 2
    text = subprocess.run(["pdftotext", str(pdf), "-"], capture_output=True, text=True).stdout
    for words in ("Lines $5 fall", "One place", "3 of 4 county-specialty cells"):
        assert words in text, "a figure is not drawn"
    assert {p.name for p in file.parent.iterdir() if not p.name.startswith("report-")} == {"report.html", "report.pdf"}


@pytest.mark.parametrize(
    ("does", "said"),
    [("exit 3", "chromium failed"), ("exit 0", "chromium failed"), ("exec sleep 20", "did not end within 1 seconds")],
)
def test_pdf_that_fails_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, said: str) -> None:
    (tmp_path / "chromium").write_text(f"#!/bin/sh\n{does}\n")
    (tmp_path / "chromium").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setattr("sca_analysis.pdf.BROWSERS", ("chromium",))
    with pytest.raises(ReportError, match=rf"^there is no PDF of .*, since {said}\.$" if "did" not in said else said):
        print_pdf(tmp_path / "report.html", timeout=1)
    assert not (tmp_path / "report.pdf").exists()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(ReportError, match=r"since none of chromium is installed\.$"):
        print_pdf(tmp_path / "report.html")
