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


def submission(number: str, frequency: str = "1", original: str = "", day: str = "20260105") -> list[str]:
    """The claim of ``SUBMITTED`` with its first line, under another number."""
    named = [f"REF*F8*{original}"] if original else []
    head = [f"BHT*0019*00*1*{day}*1200*CH", *SUBMITTED[1:7], f"CLM*{number}*150***11:B:{frequency}"]
    return [*head, *named, *SUBMITTED[8:14]]


def payment(number: str, payer_number: str, amount: str, day: str) -> list[str]:
    head = [HEAD[0].replace("20260201", day), *HEAD[1:]]
    return [*head, f"CLP*{number}*1*150*{amount}*0*12*{payer_number}", "SVC*HC:90837*150*" + amount, "DTM*472*20260102"]


def versions(folder: Path, submissions: list[list[str]], payments: list[list[str]]) -> Exports:
    """Each transaction in a file of its own."""
    for kind, found in (("837", submissions), ("835", payments)):
        for n, segments in enumerate(found):
            write(folder / f"{n}.{kind}", transaction(kind, *segments))
    return open_x12(folder, *(f"path: '*.{k}'" for k, found in (("835", payments), ("837", submissions)) if found))


def test_a_replacement_in_another_file_names_its_original_s_own_number(tmp_path: Path) -> None:
    exports = versions(tmp_path, [submission("C1"), submission("C1B", "7", "C1", "20260205")], [])
    assert list(exports.frame("claim_versions")["claim_id"]) == ["C1", "C1"]
    assert list(exports.frame("claims")["claim_version"]) == [2026020507]


def test_a_replacement_names_the_payer_s_number_and_is_paid_under_its_own(tmp_path: Path) -> None:
    """Three versions, each known by the payer's number of the one before, are one claim of which the last counts."""
    submissions = [submission("C1"), submission("C2", "7", "P1", "20260205"), submission("C3", "7", "P2", "20260305")]
    payments = [payment("C1", "P1", "10", "20260201"), payment("C2", "P2", "20", "20260301")]
    exports = versions(tmp_path, submissions, [*payments, payment("C3", "P3", "30", "20260401")])
    [claim] = exports.frame("claims").to_dict("records")
    assert (claim["claim_id"], claim["line_number"], claim["paid_amount"]) == ("C1", "1", D(30))
    assert len(exports.frame("claim_versions")) == 6
    assert set(exports.frame("claim_versions")["claim_id"]) == {"C1"}


def test_numbers_that_lead_nowhere_stay(tmp_path: Path) -> None:
    """To no claim, to two claims, or in a circle."""
    submissions = [submission("C2", "7", "P9"), submission("C3", "8", "P1"), submission("C5", "7", "C6")]
    submissions += [submission("C6", "7", "C5")]
    payments = [payment("A", "P1", "10", "20260201"), payment("B", "P1", "20", "20260202")]
    exports = versions(tmp_path, submissions, payments)
    assert sorted(exports.frame("claim_versions")["claim_id"]) == ["C2", "C3", "C5", "C6"]


def test_a_number_given_anew_is_another_claim(tmp_path: Path) -> None:
    """The provider used the replacement's number again for a claim that replaces nothing."""
    submissions = [submission("C1"), submission("C2", "7", "C1"), submission("C2")]
    exports = versions(tmp_path, submissions, [])
    assert sorted(exports.frame("claim_versions")["claim_id"]) == ["C1", "C1", "C2"]
