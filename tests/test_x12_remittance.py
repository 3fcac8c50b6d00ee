"""X12 835: each column, versions, balance, damage, real files and mutated ones.

The real files are never part of the project; where ../shared is absent those tests are skipped.
"""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sca_analysis.errors import ExportError
from sca_analysis.readers import x12_claims, x12_remittance
from sca_analysis.readers.source import Raw
from sca_analysis.readers.x12_rows import mark_of
from tests.test_x12 import check_mutation, mutations
from tests.x12_files import (
    BILLER,
    DOCTOR,
    OTHER,
    aside,
    column,
    count_services,
    open_x12,
    read_raw,
    rows,
    split_text,
    sum_elements,
    text_of,
    transaction,
    write,
)

D = Decimal
HEAD = [
    "BPR*I*150*C*ACH" + "*" * 12 + "20260201",
    "TRN*1*1*1",
    "DTM*405*20260131",
    "N1*PR*PLAN",
    f"N1*PE*CLINIC*XX*{BILLER}",
]
CLAIM = [
    "LX*1",
    "CLP*C1*1*200*150*30*12*ICN1*11*1",
    "NM1*QC*1*DOE*JANE****MI*M1",
    f"NM1*82*1*ROE*R****XX*{DOCTOR}",
    "DTM*232*20260101",
]
FIRST = [
    "SVC*HC:90837:95*150*110**1",
    "DTM*472*20260102",
    "CAS*CO*45*20",
    "CAS*PR*2*15**3*5",
    "REF*6R*A1",
    "AMT*B6*130",
]
SECOND = ["SVC*HC:90785*50*40", "CAS*PR*1*10"]
WHOLE = [*HEAD, *CLAIM, *FIRST, *SECOND]


def read(folder: Path, segments: list[str], **options: object) -> Raw:
    return read_raw(write(folder / "paid.835", transaction("835", *segments)), "835", **options)


def paid(folder: Path, *line: str, head: str = CLAIM[1]) -> dict[str, str]:
    """The one row of a claim with the one line given."""
    [row] = rows(read(folder, [*HEAD, CLAIM[0], head, *CLAIM[2:], *line]))
    return row


def test_every_column(tmp_path: Path) -> None:
    first, second = rows(read(tmp_path, WHOLE))
    assert first == {
        "claim_id": "C1",
        "line_number": "A1",
        "claim_version": "2026020150",
        "member_id": "M1",
        "provider_npi": DOCTOR,
        "service_date": "20260102",
        "procedure_code": "90837",
        "units": "1",
        "billed_amount": "150",
        "allowed_amount": "130",
        "paid_amount": "110",
        "member_amount": "20",
        "claim_status": "paid",
        "modifiers": "95",
        "revenue_code": "",
        "submitted_procedure": "",
        "claim_status_code": "1",
        "line_reference": "A1",
        "payer_claim_number": "ICN1",
        "payee_npi": BILLER,
        "filing_indicator": "12",
        "frequency_code": "1",
        "adjustments": "CO-45:20 PR-2:15 PR-3:5",
        "claim_adjustments": "",
        "balance": "",
        "place": 14,
    }
    assert (second["line_number"], second["service_date"], second["units"], second["place"]) == (
        "2",
        "20260101",
        "",
        20,
    )
    assert (second["allowed_amount"], second["member_amount"], second["adjustments"]) == ("50", "10", "PR-1:10")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *((code, "paid") for code in ("1", "2", "3", "19", "20", "21")),
        *(("4", "denied"), ("22", "reversed"), ("25", "25"), ("23", "23"), ("", "")),
    ],
)
def test_status(tmp_path: Path, status: str, expected: str) -> None:
    assert paid(tmp_path, "SVC*HC:1*1*1", head=f"CLP*C1*{status}*1*1")["claim_status"] == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (["SVC*HC:1*150*0", "CAS*CO*197*150"], "denied"),  # no authorisation
        (["SVC*HC:1*150*0", "CAS*PR*96*150"], "denied"),
        (["SVC*HC:1*150*0", "CAS*CO*45*50", "CAS*CO*16*100"], "denied"),
        (["SVC*HC:1*150*0", "CAS*CO*16*150", "AMT*B6*0"], "denied"),
        (["SVC*HC:1*150*0", "CAS*CO*16*150", "AMT*B6*.01"], "paid"),  # something was allowed
        (["SVC*HC:1*150*0.01", "CAS*CO*16*149.99"], "paid"),
        (["SVC*HC:1*150*0", "CAS*PR*1*100", "CAS*CO*16*50"], "paid"),  # the deductible takes it all
        (["SVC*HC:1*150*0", "CAS*PR*1*150"], "paid"),
        (["SVC*HC:1*150*0", "CAS*CO*45*150"], "paid"),
        (["SVC*HC:1*150*0", "CAS*OA*23*150"], "paid"),  # another payer has paid
        (["SVC*HC:1*150*0", "CAS*OA*100*150"], "paid"),  # the patient was paid
        (["SVC*HC:1*150*0", "CAS*CO*24*150"], "paid"),  # capitation
        (["SVC*HC:1*0*0"], "paid"),
        (["SVC*HC:1*0*0", "CAS*CO*16*10", "CAS*CO*94*-10"], "paid"),
        (["SVC*HC:1*-150*0", "CAS*CO*16*-150"], "paid"),  # negative, but no reversal: a rule sets it aside
        ([], "paid"),
    ],
)
def test_a_denial_is_processed_with_its_reasons(tmp_path: Path, line: list[str], expected: str) -> None:
    assert paid(tmp_path, *line, head="CLP*C1*1*150*0")["claim_status"] == expected


def test_reasons_of_the_claim_deny_its_lines_that_have_none(tmp_path: Path) -> None:
    segments = ["CLP*C1*1*200*0", "CAS*CO*29*200", "NM1*QC*1*DOE*JANE****MI*M1", "SVC*HC:1*150*0", "SVC*HC:2*50*0"]
    assert column(read(tmp_path, [*HEAD, *segments]), "claim_status") == ["denied", "denied"]
    assert [r["claim_status"] for r in rows(read(tmp_path, [*HEAD, *segments[:3]]))] == ["denied"]


@pytest.mark.parametrize(
    ("service", "adjustments", "allowed", "member"),
    [
        ("150*110", ["CO*45*20", "PR*1*20"], "130", "20"),
        ("150*150", [], "150", "0"),
        ("150*100", ["PI*45*20", "PR*1*10**2*10**3*10"], "130", "30"),
        ("150*88.5", ["CO*45*20", "CO*253*1.5", "PR*3*40"], "130", "40"),  # sequestration lowers the payment only
        ("150*100", ["PR*45*50"], "100", "50"),  # a balance bill
        ("150*0", ["CO*29*150"], "", "0"),  # too late: what would have been allowed is not said
        ("150*0", ["PR*96*150"], "", "150"),
        ("150*50", ["OA*23*100"], "", "0"),  # another payer came first
        ("56.70*56.52", ["CO*42*0.18*0"], "56.52", "0"),  # 4010
        ("150*150", ["CO*29*0", "CO*45*0"], "150", "0"),  # nothing was adjusted
        ("-150*-110", ["CO*45*-20", "PR*1*-20"], "-130", "-20"),
        ("150*110", ["CO*45*20*1*45*.50", "PR*1*19.50"], "129.50", "19.50"),
    ],
)
def test_allowed_and_member_amount(
    tmp_path: Path, service: str, adjustments: list[str], allowed: str, member: str
) -> None:
    row = paid(tmp_path, f"SVC*HC:1*{service}", *(f"CAS*{a}" for a in adjustments))
    assert (row["allowed_amount"], row["member_amount"]) == (allowed, member)


def test_a_denied_claim_allows_nothing_that_is_known(tmp_path: Path) -> None:
    row = paid(tmp_path, "SVC*HC:1*150*0", "CAS*CO*45*150", head="CLP*C1*4*150*0")
    assert (row["claim_status"], row["allowed_amount"]) == ("denied", "")
    assert paid(tmp_path, "SVC*HC:1*150*0", "AMT*B6*90", head="CLP*C1*4*150*0")["allowed_amount"] == "90"


def test_adjustments_of_the_claim_count_for_its_only_line(tmp_path: Path) -> None:
    of_claim = [*HEAD, CLAIM[0], "CLP*C1*1*150*100*30", "CAS*PR*3*30", "CAS*CO*45*20", *CLAIM[2:]]
    [row] = rows(read(tmp_path, [*of_claim, "SVC*HC:1*150*100"]))
    assert (row["allowed_amount"], row["member_amount"], row["balance"]) == ("130", "30", "")
    assert (row["adjustments"], row["claim_adjustments"]) == ("", "PR-3:30 CO-45:20")
    found = rows(read(tmp_path, [*of_claim, "SVC*HC:1*50*50", "SVC*HC:2*100*100"]))
    assert [(r["member_amount"], r["claim_adjustments"]) for r in found] == [("0", "PR-3:30 CO-45:20")] * 2


@pytest.mark.parametrize(
    ("head", "line", "expected"),
    [
        ("CLP*C1*1*150*110", ["SVC*HC:1*150*110", "CAS*CO*45*40"], ""),
        ("CLP*C1*1*150*111", ["SVC*HC:1*150*110", "CAS*CO*45*40"], "claim"),
        ("CLP*C1*1*150*x", ["SVC*HC:1*150*110", "CAS*CO*45*40"], "claim"),
        ("CLP*C1*1*150*110", ["SVC*HC:1*100*110", "CAS*CO*45*-10", "SVC*HC:2*50*0", "CAS*CO*45*50"], ""),
        ("CLP*C1*1*150*110", ["SVC*HC:1*100*110", "CAS*CO*45*0", "SVC*HC:2*50*0", "CAS*CO*45*40"], "line"),
    ],
)
def test_balance(tmp_path: Path, head: str, line: list[str], expected: str) -> None:
    found = rows(read(tmp_path, [*HEAD, CLAIM[0], head, *CLAIM[2:], *line]))
    assert {r["balance"] for r in found} == {expected}


@pytest.mark.parametrize(
    ("names", "line", "expected"),
    [
        (["NM1*QC*1*A*B****MI*M1"], [], ("M1", BILLER)),
        (["NM1*QC*1*A*Tim", "NM1*IL*1*A*C****MI*M9"], [], ("M9" + mark_of("TIM"), BILLER)),
        (["NM1*QC*1*A*B", "NM1*74*1*A*B****C*M7"], [], ("", BILLER)),
        (["NM1*QC*1*A*B****MI*M1", f"NM1*82*1*A*B****XX*{DOCTOR}"], [f"REF*HPI*{OTHER}"], ("M1", OTHER)),
        (["NM1*QC*1*A*B****MI*M1", "NM1*82*1*A*B****FI*123456789"], [], ("M1", "")),
        (["NM1*QC*1*A*B****MI*M1", f"NM1*TT*2*PLAN*****XX*{OTHER}"], [], ("M1", BILLER)),
    ],
)
def test_member_and_provider(tmp_path: Path, names: list[str], line: list[str], expected: tuple[str, str]) -> None:
    [row] = rows(read(tmp_path, [*HEAD, *CLAIM[:2], *names, FIRST[0], *line]))
    assert (row["member_id"], row["provider_npi"]) == expected


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        (["DTM*472*20260103"], "20260103"),
        (["DTM*150*20260104", "DTM*151*20260105"], "20260104"),
        (["DTM*151*20260105", "DTM*036*20260106"], "20260101"),
    ],
)
def test_service_date(tmp_path: Path, dates: list[str], expected: str) -> None:
    assert paid(tmp_path, FIRST[0], *dates)["service_date"] == expected


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("SVC*HC:90837:95:GT*1*1**2", ("90837", "2", "95:GT", "", "")),
        ("SVC*HC>90837>95*1*1", ("90837", "", "95", "", "")),
        ("SVC*NU:450*1*1", ("R0450", "", "", "", "")),
        ("SVC*HC:99284*1*1*0450*1", ("99284", "1", "", "0450", "")),
        ("SVC*HC:99213*1*1**1*HC:99215", ("99213", "1", "", "", "99215")),
    ],
)
def test_service(tmp_path: Path, service: str, expected: tuple[str, ...]) -> None:
    row = paid(tmp_path, service)
    names = ("procedure_code", "units", "modifiers", "revenue_code", "submitted_procedure")
    assert tuple(row[n] for n in names) == expected


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (["BPR*I" + "*" * 15 + "20260201", "DTM*405*20260131"], "2026020150"),
        (["BPR*I*1", "DTM*405*20260131"], "2026013150"),
        (["BPR*I" + "*" * 15 + "soon"], "2026010550"),
    ],
)
def test_version_is_the_payment_date(tmp_path: Path, head: list[str], expected: str) -> None:
    assert column(read(tmp_path, [*head, *CLAIM, *FIRST]), "claim_version") == [expected]


def test_a_correction_counts_after_its_reversal(tmp_path: Path) -> None:
    reversal = ["CLP*C1*22*-150*-110*-20", CLAIM[2], "SVC*HC:90837*-150*-110**-1", *FIRST[1:2], "REF*6R*A1"]
    correction = ["CLP*C1*1*150*120*10", CLAIM[2], "SVC*HC:90837*150*120**1", *FIRST[1:2], "REF*6R*A1"]
    write(tmp_path / "a.835", transaction("835", *HEAD, *CLAIM, *FIRST))
    later = [s.replace("20260201", "20260301") for s in HEAD]
    path = write(tmp_path / "b.835", transaction("835", *later, *reversal, *correction))
    assert column(read_raw(path, "835"), "claim_version") == ["2026030151", "2026030152"]
    exports = open_x12(tmp_path, "path: '*.835', format: x12-835")
    assert exports.set_aside.empty
    assert exports.frame("claims")[["paid_amount", "claim_status"]].to_numpy().tolist() == [[D(120), "paid"]]
    assert list(exports.frame("claim_versions")["paid_amount"]) == [D(110), D(-110), D(120)]
    write(tmp_path / "b.835", transaction("835", *later, *reversal))
    exports = open_x12(tmp_path, "path: '*.835', format: x12-835")
    assert list(exports.frame("claims")["claim_status"]) == ["reversed"]


def test_parts_of_a_line_that_the_payer_split(tmp_path: Path) -> None:
    parts = [s for amount in ("100*80", "50*30") for s in (f"SVC*HC:90837*{amount}", "REF*6R*A1")]
    assert column(read(tmp_path, [*HEAD, *CLAIM, *parts, *SECOND]), "line_number") == ["A1", "A1.2", "3"]


def test_a_claim_paid_as_a_whole(tmp_path: Path) -> None:
    """It is one row; without a procedure a rule sets it aside, unless exports.yaml relaxes the rule."""
    raw = read(tmp_path, [*HEAD, *CLAIM[:2], "CAS*PR*1*30", "CAS*CO*45*20", *CLAIM[2:]])
    [row] = rows(raw)
    assert (row["line_number"], row["billed_amount"], row["paid_amount"], row["member_amount"]) == (
        "0",
        "200",
        "150",
        "30",
    )
    assert (row["procedure_code"], row["service_date"], row["place"], row["balance"]) == ("", "20260101", 10, "")
    exports = open_x12(tmp_path, "path: paid.835, format: x12-835")
    assert exports.set_aside[["row", "reason"]].to_numpy().tolist() == [[10, "missing:procedure_code"]]
    relaxed = "path: paid.835, format: x12-835, rules: {'missing:procedure_code': warn}"
    assert len(open_x12(tmp_path, relaxed).frame("claims")) == 1


def test_payments_to_a_provider_are_no_claims(tmp_path: Path) -> None:
    raw = read(tmp_path, [*WHOLE, f"PLB*{BILLER}*20261231*WO:1*12.5"])
    assert (len(rows(raw)), aside(raw)) == (2, [])


# ---- damage ----


@pytest.mark.parametrize(
    ("segments", "kept", "expected"),
    [
        ([*HEAD, *FIRST, *CLAIM, *FIRST], ["A1"], [(9, "claim_header_lost")]),
        ([*WHOLE, *CLAIM[2:], *FIRST], ["A1", "2"], [(25, "claim_header_lost")]),
        ([*WHOLE[:-1], "CAS*PR*1*ten"], ["A1"], [(20, "malformed_segment")]),
        ([*WHOLE[:-1], "CAX*PR*1*10"], ["A1"], [(20, "unknown_segment")]),
        ([*HEAD, *CLAIM[:3], "X", *CLAIM[3:], *FIRST, *SECOND], [], [(15, "unknown_segment"), (21, "unknown_segment")]),
        ([*HEAD, "XY*1", *CLAIM, *FIRST], ["A1"], [(9, "unknown_segment")]),
        ([*HEAD, "XLP*C0*SVC:1", *CLAIM, *FIRST], ["A1"], [(9, "unknown_segment")]),
        ([*WHOLE[:7], "NM1**1*A", *WHOLE[7:]], [], [(15, "malformed_segment"), (21, "malformed_segment")]),
        ([*WHOLE, "ST*835*2"], ["A1"], [(20, "truncated")]),
        ([*HEAD, *CLAIM, "ST*835*2"], [], [(10, "truncated")]),
        ([*WHOLE, *HEAD], ["A1"], [(20, "truncated")]),
        ([*HEAD, "SE*7*0001", *CLAIM, *FIRST, *SECOND, "ISA*00"], ["A1"], [(21, "truncated")]),
    ],
)
def test_the_smallest_unit_is_set_aside(
    tmp_path: Path, segments: list[str], kept: list[str], expected: list[tuple[int, str]]
) -> None:
    raw = read(tmp_path, segments)
    assert column(raw, "line_number") == kept
    assert aside(raw) == expected


def test_a_claim_with_more_lines_than_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lines are written as they come, so that memory does not grow with them, and are not balanced."""
    monkeypatch.setattr(x12_remittance, "_MOST_LINES", 3)
    raw = read(tmp_path, [*HEAD, *CLAIM, *(s for _ in range(8) for s in SECOND)])
    assert column(raw, "line_number") == [str(n) for n in range(1, 9)]
    assert set(column(raw, "balance")) == {""}


def test_another_kind_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "paid.835", transaction("837", "BHT*0019*00*1*20260105", "CLM*C1*1"))
    with pytest.raises(ExportError, match=r"^paid.835 is no X12 835: it holds 837; correct its format"):
        read_raw(path, "835")
    assert not x12_remittance.recognise(path.read_bytes(), "a")
    assert x12_claims.recognise(path.read_bytes(), "a")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(mutations(text_of(transaction("835", *WHOLE))))
def test_mutated_remittances_lose_no_line(text: str) -> None:
    check_mutation(text, "835")


cents = st.integers(0, 99_999).map(lambda c: D(c).scaleb(-2))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(cents, cents, cents), min_size=1, max_size=6))
def test_amounts_add_up(tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[D, D, D]]) -> None:
    """Of lines paid, cut by contract and left to the member, the charge and the allowed amount follow."""
    total = sum((sum(line, D(0)) for line in lines), D(0))
    claim = ["LX*1", f"CLP*C1*1*{total}*{sum(p for p, _, _ in lines)}", CLAIM[2]]
    claim += [s for p, c, m in lines for s in (f"SVC*HC:1*{p + c + m}*{p}", f"CAS*CO*45*{c}", f"CAS*PR*3*{m}")]
    found = rows(read(tmp_path_factory.mktemp("835"), [*HEAD, *claim]))
    assert [(D(r["allowed_amount"]), D(r["paid_amount"]), D(r["member_amount"])) for r in found] == [
        (p + m, p, m) for p, _, m in lines
    ]
    assert {r["balance"] for r in found} == {""}


# ---- the real files ----

REAL = [("835_DeIdent_01.dat", 365), ("Example1.txt", 10), ("ExampleFromNth.txt", 91)]


@pytest.mark.parametrize(("name", "lines"), REAL, ids=[name for name, _ in REAL])
def test_real_remittances(shared_exports: Path, tmp_path: Path, name: str, lines: int) -> None:
    """Payments by segment count; charges and payments by element."""
    path = shared_exports / "claims" / "x12-835" / name
    segments = split_text(path.read_bytes())
    assert count_services(segments, "835") == lines
    copy = tmp_path / name
    copy.write_bytes(path.read_bytes())
    raw = read_raw(copy, "835")
    assert (len(rows(raw)), aside(raw)) == (lines, [])
    with_lines = [r for r in rows(raw) if r["line_number"] != "0"]
    assert sum(D(r["billed_amount"] or 0) for r in with_lines) == sum_elements(segments, {"SVC": 2})
    assert sum(D(r["paid_amount"] or 0) for r in with_lines) == sum_elements(segments, {"SVC": 3})
    patient = sum(D(amount or 0) for s in segments if s[:2] == ["CAS", "PR"] for amount in s[3::3] if s[0] == "CAS")
    assert sum(D(r["member_amount"]) for r in rows(raw)) == patient
    exports = open_x12(tmp_path, f"path: {path}, format: x12-835")
    [file] = exports.files[exports.files["table"] == "claims"].to_dict("records")
    assert file["rows_read"] == file["accepted"] + file["set_aside"] == lines
    assert x12_remittance.recognise(path.read_bytes()[:65536], name)
    assert not x12_claims.recognise(path.read_bytes()[:65536], name)
