"""The widgets as a person uses them: under Voila, by mouse, keyboard and typing."""

import base64
import json
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import nbformat
import pytest
from playwright.sync_api import Browser, Page

from sca_analysis import scenarios
from sca_analysis.case_library import CaseLibrary, load_library
from sca_analysis.controls import FeeTalk, PortfolioTalk
from sca_analysis.exports import Exports
from sca_analysis.portfolio import load_portfolio
from sca_analysis.quotes import quote, read_case
from sca_analysis.what_if import Anchors, anchor_references
from tests.browser import find_barriers, serve, visit
from tests.conftest import ROOT, SAMPLE
from tests.renew_picture import measure_picture, take_widgets

NOTEBOOK = ROOT / "notebooks" / "04_what_if_fees.ipynb"
EXAMPLE = ROOT / "data" / "example_case.json"
#: The shapes of the bars of a figure: they are drawn after the words have changed.
BARS = "figure => [...document.querySelectorAll(figure + ' .barlayer path')].map(p => p.getAttribute('d')).join()"
FINDING = ".sca-finding >> nth=0"


@pytest.fixture(scope="module")
def library() -> CaseLibrary:
    exports = Exports.open(SAMPLE)
    return load_library(exports, exports.last_day)


@pytest.fixture
def talk(library: CaseLibrary) -> FeeTalk:
    known = scenarios.load(ROOT / "data" / "scenarios" / "references.yml", scenarios.References)
    return FeeTalk(EXAMPLE, anchor_references(known), library)


def totals(html: str) -> list[str]:
    """The amounts under the agreement in the table of totals."""
    rows = re.findall(r"<tr><th scope=\"row\">.*?</tr>", html)
    return [re.findall(r"<td>([^<]*)</td>", row)[2].replace(",", "") for row in rows]


def quoted(content: dict[str, Any]) -> list[str]:
    found = quote(read_case(content))["arrangements"]["sca"]["totals"]
    return [found[party] for party in ("plan_paid", "member_total", "provider_net")]


def test_a_move_and_a_typed_value_do_the_same(talk: FeeTalk) -> None:
    talk._fee_slider.value = 150.0
    assert talk.content["agreement"]["rate"] == "150.00"
    assert talk._fields["fee"].text.value == "150.00"
    moved = talk._totals.value
    assert totals(moved) == quoted(talk.content)
    talk._fields["fee"].text.value = "160.40"
    assert (talk._fields["fee"].value, talk._fee_slider.value) == (Decimal("160.40"), 160.0)
    talk._fields["fee"].text.value = "$150.00"
    assert (talk._totals.value, talk._fee_slider.value) == (moved, 150.0)


def test_nonsense_is_refused_beside_the_field_and_the_figures_stay(talk: FeeTalk) -> None:
    before = talk._totals.value, talk.content
    for name, text in (("fee", "<b>lots</b>"), ("visits", "0"), ("cost_share", "120"), ("in_network_deductible", "x")):
        talk._fields[name].text.value = text
        assert "sca-refused" in talk._fields[name].refused.value
        assert "<b>" not in talk._fields[name].refused.value
        assert (talk._totals.value, talk.content) == before
    talk._fields["fee"].text.value = "150"
    assert talk._fields["fee"].refused.value == ""


def test_what_contradicts_is_said_and_the_figures_stay(talk: FeeTalk) -> None:
    before = talk._totals.value
    talk._fields["in_network_coinsurance"].text.value = ""
    assert "neither coinsurance nor copay" in talk._problem.value
    assert talk._totals.value == before
    talk._fields["in_network_copay"].text.value = "30"
    assert talk._problem.value == ""
    assert totals(talk._totals.value) == quoted(talk.content)


def test_oon_basis_and_benefits(talk: FeeTalk) -> None:
    talk._basis.value = "% of Medicare"
    assert talk.content["out_of_network_allowed"] == "173.60"
    talk._basis.value = "percentile of charges (50, 80 or 90)"
    assert talk.content["out_of_network_allowed"] == "220.00"
    talk._fields["basis"].text.value = "70"
    assert "write one of 50, 80, 90" in talk._fields["basis"].refused.value
    talk._basis.value = "an amount a unit [USD]"
    talk._fields["basis"].text.value = "110"
    assert talk.content["out_of_network_allowed"] == "110.00"
    talk._has_oon.value = False
    assert talk.content["benefits"]["out_of_network"] is None
    talk._load(*talk._first)
    assert talk.content["out_of_network_allowed"] == "150.00"
    assert talk._has_oon.value


def test_courses_files_and_typed_cases_are_chosen(talk: FeeTalk) -> None:
    talk._specialty.value = "Neurology"
    course = talk._course.options[1][1]
    talk._course.value = course
    assert talk.content["name"].startswith(course)
    assert totals(talk._totals.value) == quoted(talk.content)
    talk._number.value = "c00099999"
    assert "there is no course" in talk._problem.value
    talk._number.value = "C00001"
    assert talk.content["name"].startswith("C00001")
    talk._load_upload({"new": ({"name": "mine.json", "content": memoryview(b"{}")},)})
    assert "case mine.json" in talk._problem.value
    talk._load_upload({"new": ({"name": "mine.json", "content": memoryview(EXAMPLE.read_bytes())},)})
    assert talk.content["name"] == "weekly-psychotherapy-half-year"
    talk._new["charge"].text.value = "300"
    talk._use_typed()
    assert talk.content["billed_per_unit"] == "300.00"
    talk._new["charge"].text.value = "dear"
    talk._use_typed()
    assert "Charge a session is not usable" in talk._typed_problem.value


def test_scenarios_are_kept_cleared_and_saved(talk: FeeTalk) -> None:
    talk._name.value = "as it is <now>"
    talk._keep()
    talk._fee_slider.value = 120.0
    talk._keep()
    talk._name.value = "scenario 2"
    talk._keep()
    assert "kept already" in talk._keep_problem.value
    assert [one.name for one in talk.kept] == ["as it is <now>", "scenario 2"]
    assert "as it is &lt;now&gt;" in talk._kept_table.value
    links = re.findall(r'download="([^"]+)" href="data:[^;]+;base64,([^"]+)"', talk._files.value)
    files = {name: base64.b64decode(data).decode() for name, data in links}
    assert quoted(json.loads(files["case.json"])) == totals(talk._totals.value)
    assert len(files["scenarios.csv"].splitlines()) == 3
    talk._clear()
    assert "No scenario is kept" in talk._kept_table.value


def test_every_course_of_the_sample_can_be_talked_about(talk: FeeTalk, library: CaseLibrary) -> None:
    for course in library.table["course_id"].iloc[::8]:
        talk._pick(course)
        assert totals(talk._totals.value) == quoted(library.built.cases[course]), course
        talk._fee_slider.value = 60.0
        assert totals(talk._totals.value) == quoted(talk.content), course


def test_portfolio_follows_basis_and_percentage() -> None:
    exports = Exports.open(SAMPLE)
    talk = PortfolioTalk(load_portfolio(exports, exports.last_day))
    before = talk._finding.value
    talk._slider.value = 200.0
    assert talk._finding.value != before
    talk._basis.value = "way_to_usual_charge"
    assert talk._percent.value == Decimal(50)
    talk._percent.text.value = "101"
    assert "above 100%" in talk._percent.refused.value
    assert "No course is left out" in talk._left.value or "ended: no visit" in talk._left.value


def test_a_case_without_references_or_courses() -> None:
    talk = FeeTalk(EXAMPLE, Anchors())
    talk._basis.value = "% of Medicare"
    assert "Medicare&#x27;s rate is not known" in talk._problem.value


def shown_case(page: Page, fee: str) -> dict[str, Any]:
    """The case that the page exports: it follows the fee once the slider rests."""
    has_fee = "fee => atob(document.querySelector('a[download=\"case.json\"]').href.split(',')[1]).includes(fee)"
    page.wait_for_function(has_fee, arg=f'"rate": "{fee}"')
    data = page.locator('a[download="case.json"]').get_attribute("href") or ""
    content: dict[str, Any] = json.loads(base64.b64decode(data.split(",", 1)[1]))
    return content


def assert_shown_is_quoted(page: Page, fee: str, tmp_path: Path) -> None:
    """What is on the page is what `sca quote` says of the file that the page exports."""
    page.wait_for_function("fee => document.querySelector('.sca-finding').textContent.includes(fee)", arg=f"${fee}")
    content = shown_case(page, fee)
    assert content["agreement"]["rate"] == fee
    path = tmp_path / "case.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    command = [str(Path(sys.executable).parent / "sca"), "quote", str(path), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    theirs = json.loads(done.stdout)["arrangements"]["sca"]["totals"]
    html = page.locator(".sca-what-if table").first.evaluate("node => node.outerHTML")
    assert totals(html) == [theirs[party] for party in ("plan_paid", "member_total", "provider_net")]


def test_voila_app_by_mouse_keyboard_and_typing(browser: Browser, tmp_path: Path) -> None:
    with serve(["voila", str(NOTEBOOK)], tmp_path) as address:
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        problems, asked = visit(page, address)
        page.wait_for_selector(".sca-figure-portfolio .main-svg", timeout=180_000)
        page.wait_for_selector('.sca-slider-fee .noUi-handle[aria-label="Fee"]')
        assert_shown_is_quoted(page, "185.00", tmp_path)

        handle = page.locator(".sca-slider-fee .noUi-handle")
        handle.focus()
        bars = page.evaluate(BARS, ".sca-figure-case")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        assert_shown_is_quoted(page, "187.00", tmp_path)
        page.wait_for_function(f"before => ({BARS})('.sca-figure-case') !== before", arg=bars)

        box = handle.bounding_box()
        assert box
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] - 60, box["y"] + box["height"] / 2, steps=5)
        page.mouse.up()
        page.wait_for_timeout(800)
        dragged = page.get_by_label("Fee [USD a unit]").input_value()
        assert Decimal(dragged) < 170
        assert_shown_is_quoted(page, dragged, tmp_path)

        field = page.get_by_label("Fee [USD a unit]")
        field.fill("142.75")
        field.press("Enter")
        assert_shown_is_quoted(page, "142.75", tmp_path)
        field.fill("a lot")
        field.press("Enter")
        page.wait_for_selector("text=Fee is not a number")
        assert_shown_is_quoted(page, "142.75", tmp_path)

        page.get_by_text("Keep this scenario").click()
        page.wait_for_selector('a[download="scenarios.csv"]')
        with page.expect_download() as download:
            page.locator('a[download="scenarios.csv"]').click()
        assert Path(download.value.path()).read_text(encoding="utf-8").startswith("scenario,fee")

        handle = page.locator(".sca-slider-percent .noUi-handle")
        bars = page.evaluate(BARS, ".sca-figure-portfolio")
        before = page.locator(".sca-finding").nth(1).inner_text()
        handle.focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_function("b => document.querySelectorAll('.sca-finding')[1].innerText !== b", arg=before)
        page.wait_for_function(f"before => ({BARS})('.sca-figure-portfolio') !== before", arg=bars)
        page.screenshot(path=tmp_path / "voila.png")
        assert page.locator("a.modebar-btn, .modebar-group").count() == 0, "plotly's buttons, one of which sends data"
        take_widgets(page, tmp_path / "what_if.png")
        widths = "plots => plots.map(plot => plot.clientWidth / plot.closest('.sca-what-if').clientWidth)"
        case, portfolio = page.locator(".js-plotly-plot").evaluate_all(widths)
        assert case > 0.5, "the charts do not take their room"
        assert portfolio > 0.9, "the charts do not take their room"
        width, height, size = measure_picture(tmp_path / "what_if.png")
        assert 1200 < width <= 1400
        assert 1200 < height < 2500
        assert size > 80_000, "next to nothing is on it"
        page.get_by_role("button", name="Type in a case").click()  # what is folded away is looked at as well
        assert find_barriers(page) == []
        assert (problems, asked) == ([], [])
        page.close()


def test_dark_app_can_be_read(browser: Browser, tmp_path: Path) -> None:
    book = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "python3"}})
    code = f"""from sca_analysis.controls import FeeTalk
from sca_analysis.what_if import Anchors
talk = FeeTalk({str(EXAMPLE)!r}, Anchors())
talk._fields["fee"].text.value = "a lot"
talk._basis.value = "% of Medicare"
talk._keep()
talk.box"""
    book.cells = [nbformat.v4.new_markdown_cell("# Fees"), nbformat.v4.new_code_cell(code)]
    nbformat.write(book, tmp_path / "dark.ipynb")
    with serve(["voila", str(tmp_path / "dark.ipynb"), "--theme=dark"], tmp_path) as address:
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        visit(page, address)
        page.wait_for_selector(".sca-figure-case .main-svg", timeout=60_000)
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 17, 17)"
        page.get_by_role("button", name="Type in a case").click()
        page.screenshot(path=tmp_path / "dark.png", full_page=True)
        assert find_barriers(page) == []
        page.close()
