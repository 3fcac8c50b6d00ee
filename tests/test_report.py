"""The monthly report: complete, offline, reproducible, and safe when a run fails."""

import csv
import hashlib
import json
import re
import shutil
from decimal import Decimal
from pathlib import Path

import nbformat
import openpyxl
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from sca_analysis.errors import ExportError, ParameterError, ReportError
from sca_analysis.monthly import Month
from sca_analysis.page import FIGURE, render
from sca_analysis.report import NOTEBOOK, is_current, make_report
from sca_analysis.saving import save_month
from tests.conftest import ROOT, SAMPLE

FILES = {"report.html", "report.ipynb", "tables", "tables.xlsx", "set_aside.csv", "manifest.json"}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the sample for June 2026, made once."""
    return make_report("2026-06", SAMPLE, tmp_path_factory.mktemp("reports"))


def broken_notebook(folder: Path, source: str) -> Path:
    """A monthly notebook that analyses nothing and fails in its third cell."""
    book = nbformat.v4.new_notebook(metadata=nbformat.read(NOTEBOOK, as_version=4).metadata)
    parameters = nbformat.v4.new_code_cell('month = ""\ndata = ""\nfolder = ""', metadata={"tags": ["parameters"]})
    book.cells = [parameters, nbformat.v4.new_code_cell(source)]
    path = folder / "broken.ipynb"
    nbformat.write(book, path)
    return path


def test_report_is_complete(report: Path) -> None:
    assert {p.name for p in report.iterdir()} == FILES
    tables = {p.stem for p in (report / "tables").glob("*.csv")}
    assert tables == set(openpyxl.load_workbook(report / "tables.xlsx", read_only=True).sheetnames)
    manifest = json.loads((report / "manifest.json").read_text(encoding="utf-8"))
    assert tables == set(manifest["tables"]) >= {"gaps", "courses", "cases", "spend", "files", "findings"}
    assert [p.name for p in report.parent.iterdir()] == ["2026-06"], "nothing else is left behind"


def test_page_is_whole_and_within_its_size(report: Path) -> None:
    page = (report / "report.html").read_text(encoding="utf-8")
    assert len(page.encode()) < 6_000_000
    assert page.count("plotly.js v") == 1, "plotly is there once"
    assert "require.js" not in page.split("</script>", 1)[1]
    assert "MathJax.js" not in page.split("</script>", 1)[1]


def test_manifest_says_what_it_was_made_from(report: Path, june: Month) -> None:
    manifest = json.loads((report / "manifest.json").read_text(encoding="utf-8"))
    for one in manifest["inputs"]:
        assert one["sha256"] == hashlib.sha256((SAMPLE / one["path"]).read_bytes()).hexdigest()
    assert {one["path"] for one in manifest["inputs"]} == {
        "exports.yaml",
        *(f"{t}.csv" for t in ("claims", "directory", "members", "benefits", "fees", "agreements", "entered")),
    }
    assert all(r["rows_read"] == r["accepted"] + r["set_aside"] for r in manifest["rows"])
    assert manifest["parameters"]["month"] == "2026-06"
    assert manifest["tables"]["gaps"] == len(june.gaps.table)
    assert {"python", "duckdb", "pandas", "sca-analysis"} <= set(manifest["versions"])


def test_report_of_the_same_is_current(report: Path) -> None:
    assert is_current(report, "2026-06", SAMPLE)
    assert not is_current(report, "2026-05", SAMPLE)


def test_set_aside_lists_every_row_and_no_value(report: Path) -> None:
    with (report / "set_aside.csv").open(encoding="utf-8") as stream:
        listed = {(r["path"], int(r["row"]), r["reason"]) for r in csv.DictReader(stream)}
    with (SAMPLE / "planted.csv").open(encoding="utf-8") as stream:
        planted = {
            (r["file"], int(r["row"]), r["expected"])
            for r in csv.DictReader(stream)
            if r["kind"] in ("bad_row", "duplicate_listing")
        }
    assert listed == planted


def test_tables_hold_the_same_cents_in_csv_and_xlsx(report: Path, june: Month) -> None:
    text = pd.read_csv(report / "tables" / "courses.csv", dtype=str)
    assert [Decimal(x) for x in text["billed"]] == list(june.courses["billed"])
    sheet = openpyxl.load_workbook(report / "tables.xlsx", read_only=True)["courses"]
    rows = list(sheet.iter_rows(values_only=True))
    place = rows[0].index("billed")
    assert [round(Decimal(r[place]), 2) for r in rows[1:]] == list(june.courses["billed"])


def identifiers() -> set[str]:
    """Every number, place and case of a member of the sample."""
    tables = [pd.read_csv(SAMPLE / f"{t}.csv", dtype=str) for t in ("members", "claims", "agreements", "entered")]
    columns = ("member_id", "claim_id", "case_id", "zip", "member_zip", "latitude", "longitude")
    found = {v.strip() for t in tables for c in columns if c in t for v in t[c].dropna()}
    return {v for v in found if len(v) > 4}  # a row with a wrong column has shorter ones


def test_no_output_names_a_member(report: Path, june: Month) -> None:
    known = identifiers() | set(june.cases["case_id"]) | set(june.courses["course_id"])
    assert len(known) > 19_000
    texts = {p.name: p.read_text(encoding="utf-8") for p in report.rglob("*") if p.suffix not in ("", ".xlsx")}
    book = openpyxl.load_workbook(report / "tables.xlsx", read_only=True)
    texts["tables.xlsx"] = " ".join(
        str(c) for sheet in book for row in sheet.iter_rows(values_only=True) for c in row if c is not None
    )
    assert len(texts) == 5 + len(june.tables)
    texts["report.html"] = texts["report.html"].split("plotly.js v", 1)[1].split("</script>", 1)[1]
    for name, text in texts.items():
        found = known & {*re.findall(r"[\w.-]+", text), *re.findall(r"\w+", text)}
        assert not found, f"{name} holds {len(found)} identifiers"
    assert not known & {part for path in report.rglob("*") for part in re.findall(r"\w+", path.name)}


def test_no_day_of_a_member_is_told(report: Path, june: Month) -> None:
    page = (report / "report.html").read_text(encoding="utf-8")
    days = set(re.findall(r"\b20\d\d-\d\d-\d\d\b", page.split("plotly.js v", 1)[1].split("</script>", 1)[1]))
    # the twelve months, and firsts of months on axes
    assert {d for d in days if not d.endswith("-01")} == {str(june.as_of)}


def test_the_same_input_gives_the_same_tables(shared_june: Month, tmp_path: Path, report: Path) -> None:
    save_month(shared_june, tmp_path)
    for path in (report / "tables").iterdir():
        assert path.read_bytes() == (tmp_path / "tables" / path.name).read_bytes(), path.name


def test_without_a_folder_nothing_is_written(june: Month, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_month(june, "")
    assert list(tmp_path.iterdir()) == []


def test_failing_cell_leaves_the_last_report(tmp_path: Path) -> None:
    last = tmp_path / "2026-06"
    last.mkdir()
    (last / "report.html").write_text("the last good one", encoding="utf-8")
    broken = broken_notebook(tmp_path, "{}['M0' '000001']")
    with pytest.raises(ReportError, match=r"failed in cell 3 \(`\{\}.*`\) with KeyError .*untouched") as caught:
        make_report("2026-06", SAMPLE, tmp_path, notebook=broken)
    assert "M0000001" not in str(caught.value), "a message of Python's may hold a value"
    assert (last / "report.html").read_text(encoding="utf-8") == "the last good one"
    assert {p.name for p in tmp_path.iterdir()} == {"2026-06", "2026-06.failed.ipynb", "broken.ipynb"}


def test_a_failed_notebook_has_what_its_cells_said(tmp_path: Path) -> None:
    source = "import sys\nprint(sys.modules['rfc3987_syntax'], [n for n in dir() if n in ('atexit', 'gc')])\n{}['key']"
    with pytest.raises(ReportError, match="with KeyError"):
        make_report("2026-06", SAMPLE, tmp_path, notebook=broken_notebook(tmp_path, source))
    book = nbformat.read(tmp_path / "2026-06.failed.ipynb", as_version=4)
    [said] = [o["text"] for cell in book.cells for o in cell.get("outputs", []) if o["output_type"] == "stream"]
    assert said == "None []\n"  # what the kernel runs first keeps a library out, and is in no cell's way


def test_failing_cell_passes_our_own_sentence_on(tmp_path: Path) -> None:
    source = "from sca_analysis.errors import ExportError\nraise ExportError('claims.csv is empty.')"
    with pytest.raises(ReportError, match=r"cell 3 .*: claims.csv is empty \(there is no report for it yet"):
        make_report("2026-06", SAMPLE, tmp_path, notebook=broken_notebook(tmp_path, source))
    assert not (tmp_path / "2026-06").exists()


def test_kernel_that_ends_by_itself_is_one_sentence(tmp_path: Path) -> None:
    broken = broken_notebook(tmp_path, "import os; os._exit(1)")
    with pytest.raises(ReportError, match=r"kernel ended by itself .*no report for it yet"):
        make_report("2026-06", SAMPLE, tmp_path, notebook=broken)
    assert [p.name for p in tmp_path.iterdir()] == ["broken.ipynb"]


def test_bad_parameters_fail_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="'2026-13' is no month"):
        make_report("2026-13", SAMPLE, tmp_path)
    with pytest.raises(ExportError, match="no exports folder"):
        make_report("2026-06", tmp_path / "absent", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_out_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ReportError, match="cannot be written to"):
        make_report("2026-06", SAMPLE, tmp_path / "file")


def test_text_in_outputs_is_escaped() -> None:
    book = nbformat.v4.new_notebook()
    figure = {"data": [], "layout": {"title": {"text": "</script><script>alert(1)</script>"}}}
    output = nbformat.v4.new_output("display_data", {"application/vnd.plotly.v1+json": figure})
    text = nbformat.v4.new_output("display_data", {"text/plain": "<img src=x onerror=alert(1)>"})
    book.cells = [nbformat.v4.new_code_cell("", outputs=[output, text])]
    page = render(book, "<title>")
    body = page.split("</head>", 1)[1]
    assert "<script>alert" not in body
    assert "<img" not in body
    assert "<title>&lt;title&gt;</title>" in page


def count_outputs(report: Path, kind: str, having: str = "") -> int:
    """Count what the notebook has put out for the page, by the notebook itself."""
    cells = nbformat.read(report / "report.ipynb", as_version=4).cells
    found = [o.get("data", {}) for c in cells for o in c.get("outputs", []) if "not-in-report" not in c.metadata.tags]
    return sum(having in str(data.get(kind)) for data in found if kind in data)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_opens_offline_with_every_chart_drawn(report: Path, browser: Browser, tmp_path: Path, scheme: str) -> None:
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    problems: list[str] = []
    asked: list[str] = []
    page.on("console", lambda m: problems.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: problems.append(str(e)))
    page.on("request", lambda r: asked.append(r.url) if not r.url.startswith(("file:", "data:", "blob:")) else None)
    page.goto((report / "report.html").as_uri())
    figures = page.locator("figure")
    assert figures.count() == count_outputs(report, FIGURE) > 0
    page.wait_for_function(f"document.querySelectorAll('figure .main-svg[role=img]').length === {figures.count()}")
    for i in range(figures.count()):
        figure = figures.nth(i)
        label = figure.locator(".main-svg[role=img]").get_attribute("aria-label")
        assert label
        assert "<" not in label
        assert "Source: " in label
        title = figure.locator(".gtitle").first.text_content() or ""
        assert title.replace(" ", "")[:25] == label.replace(" ", "")[:25]
    assert page.locator("h2").all_text_contents()[0].startswith("Summary")
    assert page.locator("nav a").all_text_contents() == page.locator("h2").all_text_contents()
    assert page.locator("table").count() == count_outputs(report, "text/html", "<table") > 0
    found = Axe().run(page).response["violations"]
    assert [(v["id"], v["nodes"][0]["html"]) for v in found if v["impact"] in ("serious", "critical")] == []
    page.screenshot(path=tmp_path / "report.png", full_page=True)
    assert (problems, asked) == ([], [])
    context.close()


def test_page_fits_a_narrow_window(report: Path, browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 420, "height": 800})
    page.goto((report / "report.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1"), "the page scrolls sideways"
    page.close()


def test_papermill_alone_runs_the_notebook(tmp_path: Path) -> None:
    papermill = shutil.which("papermill")
    assert papermill, "papermill is a dependency"
    import subprocess

    done = subprocess.run(
        [
            papermill,
            str(NOTEBOOK),
            str(tmp_path / "out.ipynb"),
            "-p",
            "month",
            "2026-05",
            "--cwd",
            str(NOTEBOOK.parent),
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-2000:]
