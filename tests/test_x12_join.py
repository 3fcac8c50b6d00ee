"""An 835 joined to its 837: one row a line, completed from the submission, by whichever number it is named."""

from decimal import Decimal
from pathlib import Path

import pytest

from sca_analysis.exports import Exports
from tests.x12_files import BILLER, DOCTOR, open_x12, transaction, write

D = Decimal
SUBMITTED = [
    "BHT*0019*00*1*20260105*1200*CH",
    "HL*1**20*1",
    f"NM1*85*2*CLINIC*****XX*{BILLER}",
    "HL*2*1*22*0",
    "SBR*P*18",
    "NM1*IL*1*DOE*JANE****MI*M1",
    "N4*BATH*ME*04530",
    "CLM*C1*250***11:B:1",
    "HI*ABK:F411",
    f"NM1*82*1*ROE*R****XX*{DOCTOR}",
    "PRV*PE*PXC*103TC0700X",
    *("LX*1", "SV1*HC:90837*150*UN*1***1", "DTP*472*D8*20260102", "REF*6R*A1"),
    *("LX*2", "SV1*HC:90785*50*UN*1***1", "DTP*472*D8*20260102", "REF*6R*A2"),
    *("LX*3", "SV1*HC:90785*50*UN*1***1", "DTP*472*D8*20260102", "REF*6R*A3"),
]
HEAD = ["BPR*I*150*C*ACH" + "*" * 12 + "20260201", "N1*PR*PLAN", f"N1*PE*CLINIC*XX*{BILLER}", "LX*1"]
CLAIM = ["CLP*C1*1*250*210*0", "NM1*QC*1*DOE*JANE****MI*00M1"]
PAID = [
    ("SVC*HC:90837*150*130", "A1"),
    ("SVC*HC:90785*50*40", "A2"),
    ("SVC*HC:90785*50*40", "A3"),
]


def join(folder: Path, payments: list[str], head: list[str] = HEAD) -> Exports:
    write(folder / "a.837", transaction("837", *SUBMITTED))
    write(folder / "b.835", transaction("835", *head, *payments))
    return open_x12(folder, "path: b.835, format: x12-835", "path: a.837, format: x12-837")


def paid(number: str | None = "6R", lines: list[tuple[str, str]] = PAID) -> list[str]:
    """The claim as paid, each line named by the provider's number, by LX01, or not at all."""
    found = list(CLAIM)
    for n, (service, reference) in enumerate(lines, start=1):
        named = {"6R": reference, "LX": str(n), None: ""}[number]
        found += [service, "DTM*472*20260102", *([f"REF*6R*{named}"] if named else [])]
    return found


@pytest.mark.parametrize("number", ["6R", "LX", None])
def test_one_row_a_line(tmp_path: Path, number: str | None) -> None:
    exports = join(tmp_path, paid(number))
    claims = exports.frame("claims").sort_values("line_number")
    assert list(claims["line_number"]) == ["1", "2", "3"]
    assert list(claims["paid_amount"]) == [D(130), D(40), D(40)]
    for column, value in (
        ("member_id", "M1"),
        ("provider_npi", DOCTOR),
        ("taxonomy_code", "103TC0700X"),
        ("diagnosis_code", "F41.1"),
        ("place_of_service", "11"),
        ("member_zip", "04530"),
    ):
        assert set(claims[column]) == {value}, column
    assert exports.set_aside.empty
    assert len(exports.frame("claim_versions")) == 6
    found = exports.findings.set_index("rule")["rows"]
    assert found["remittance_joined"] == 3
    assert "remittance_without_line" not in found


def test_order_of_equal_lines_does_not_matter_by_number(tmp_path: Path) -> None:
    changed = [PAID[2], ("SVC*HC:90785*50*30", "A2"), PAID[0]]
    claims = join(tmp_path, paid("6R", changed)).frame("claims").set_index("line_number")
    assert claims["paid_amount"].to_dict() == {"1": D(130), "2": D(30), "3": D(40)}


def test_what_only_the_submission_says_completes_a_payment(tmp_path: Path) -> None:
    """Neither payee nor patient is identified: alone both rows would be set aside."""
    bare = [s for s in paid() if not s.startswith("NM1")]
    head = [*HEAD[:2], "N1*PE*CLINIC*FI*123456789", HEAD[3]]
    exports = join(tmp_path, bare, head)
    assert exports.set_aside.empty
    assert set(exports.frame("claims")["member_id"]) == {"M1"}


def test_a_negative_payment_is_still_set_aside(tmp_path: Path) -> None:
    bare = [s.replace("*50*40", "*50*-40") for s in paid() if not s.startswith("NM1")]
    reasons = join(tmp_path, bare).set_aside["reason"]
    assert set(reasons) == {"missing:member_id"}
    assert len(reasons) == 2


def test_reversal_and_correction(tmp_path: Path) -> None:
    reversal = [s.replace("*150*130", "*-150*-130") for s in paid(lines=PAID[:1])]
    reversal[0] = "CLP*C1*22*-250*-210*0"
    exports = join(tmp_path, [*paid(), *reversal])
    claims = exports.frame("claims").set_index("line_number")
    assert claims["claim_status"].to_dict() == {"1": "reversed", "2": "paid", "3": "paid"}
    correction = [s.replace("*150*130", "*150*99") for s in paid(lines=PAID[:1])]
    claims = join(tmp_path, [*paid(), *reversal, *correction]).frame("claims").set_index("line_number")
    assert claims["paid_amount"].to_dict() == {"1": D(99), "2": D(40), "3": D(40)}


def test_a_line_that_was_not_submitted_supersedes_none(tmp_path: Path) -> None:
    exports = join(tmp_path, paid(None, [("SVC*HC:99999*250*210", "")]))
    claims = exports.frame("claims").set_index("line_number")
    assert list(claims.index) == ["835-1", "1", "2", "3"]
    assert exports.findings.set_index("rule").loc["remittance_without_line", "rows"] == 1


def test_parts_of_a_split_line_both_count(tmp_path: Path) -> None:
    split = [("SVC*HC:90837*100*80", "A1"), ("SVC*HC:90837*50*50", "A1"), *PAID[1:]]
    claims = join(tmp_path, paid("6R", split)).frame("claims").set_index("line_number")
    assert claims["billed_amount"].to_dict() == {"1": D(100), "A1.2": D(50), "2": D(50), "3": D(50)}
    assert set(claims["diagnosis_code"]) == {"F41.1"}


def test_either_alone_is_as_it_was(tmp_path: Path) -> None:
    write(tmp_path / "b.835", transaction("835", *HEAD, *paid()))
    claims = open_x12(tmp_path, "path: b.835, format: x12-835").frame("claims")
    assert sorted(claims["line_number"]) == ["A1", "A2", "A3"]
    assert set(claims["member_id"]) == {"00M1"}
