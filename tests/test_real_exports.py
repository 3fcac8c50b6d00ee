"""Two real exports by others, each by an exports.yaml of its own: checked, analysed, reported.

The files are never part of the project; where ../shared is absent these tests are skipped.
"""

import csv
import json
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner
from playwright.sync_api import Browser

from sca_analysis.cli import main
from sca_analysis.exports import Exports
from sca_analysis.report import make_report
from tests.conftest import ROOT

CONFIGURATIONS = ROOT / "tests" / "exports"
# configuration, its newest month, and rows by table: read, accepted
REAL = {
    "synthea": ("2024-02", {"claims": (5228, 1545), "members": (27, 27), "directory": (166, 166)}),
    "medicare_carrier": ("2021-05", {"claims": (221, 221), "members": (3, 2), "directory": (2000, 2000)}),
}


@pytest.mark.parametrize("name", REAL)
def test_check_reconciles(name: str, shared_exports: Path) -> None:
    result = CliRunner().invoke(main, ["check", "--data", str(CONFIGURATIONS / name), "--json"])
    assert result.exit_code == 0, result.stderr
    files = json.loads(result.stdout)["files"]
    assert {f["table"]: (f["rows_read"], f["accepted"]) for f in files} == REAL[name][1]
    assert all(
        f["rows_read"] == f["accepted"] + f["set_aside"] == f["accepted"] + sum(f["reasons"].values()) for f in files
    )


def test_synthea_billed_is_the_sum_of_its_charges(shared_exports: Path) -> None:
    with (shared_exports / "claims/synthea/claims_transactions.csv").open(encoding="utf-8", newline="") as stream:
        charges = [Decimal(r["AMOUNT"]) for r in csv.DictReader(stream) if r["TYPE"] == "CHARGE"]
    claims = Exports.open(CONFIGURATIONS / "synthea").frame("claims")
    assert sum(claims["billed_amount"]) == sum(c.quantize(Decimal("0.01")) for c in charges)
    assert claims["diagnosis_code"].notna().any(), "the diagnosis comes from the joined claims file"


def test_carrier_allowed_is_the_sum_of_its_lines(shared_exports: Path) -> None:
    with (shared_exports / "claims/rif-synthetic/carrier.csv").open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream, delimiter="|"))
    claims = Exports.open(CONFIGURATIONS / "medicare_carrier").frame("claims")
    assert sum(claims["allowed_amount"]) == sum(Decimal(r["LINE_ALOWD_CHRG_AMT"]) for r in lines)
    assert f"{claims['service_date'].min():%d-%b-%Y}" in {r["LINE_1ST_EXPNS_DT"] for r in lines}


@pytest.mark.parametrize("name", REAL)
def test_report_says_what_the_exports_lack(name: str, shared_exports: Path, browser: Browser, tmp_path: Path) -> None:
    folder = make_report(REAL[name][0], CONFIGURATIONS / name, tmp_path)
    page = browser.new_page()
    page.goto((folder / "report.html").as_uri())
    page.wait_for_function("document.querySelectorAll('figure .main-svg').length > 0")
    text = page.locator("main").inner_text()
    assert "No benefits in these exports: no course of treatment can be costed." in text
    assert "No agreements in these exports" in text
    drawn = [f.locator(".main-svg").count() > 0 for f in page.locator("figure").all()]
    assert drawn == [True] * 15
    page.close()
