"""X12 837: envelopes, the hierarchy, each column, damage, real files and mutated ones.

The real files are never part of the project; where ../shared is absent those tests are skipped.
"""

import gzip
import tempfile
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sca_analysis.errors import ExportError
from sca_analysis.exports import Exports
from sca_analysis.readers import x12, x12_claims, x12_remittance
from sca_analysis.readers.x12_rows import amount_of, mark_of, split_composite
from tests.x12_files import (
    BILLER,
    DOCTOR,
    OTHER,
    aside,
    column,
    count_services,
    find_lines,
    isa,
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
HEAD = ["BHT*0019*00*1*20260105*1200*CH", "NM1*41*2*SUBMITTER*****46*1", "NM1*40*2*PLAN*****46*2"]
PROVIDER = ["HL*1**20*1", "PRV*BI*PXC*101Y00000X", f"NM1*85*2*CLINIC*****XX*{BILLER}", "N3*1 ST", "N4*AUGUSTA*ME*04330"]
SUBSCRIBER = ["HL*2*1*22*0", "SBR*P*18*******CI", "NM1*IL*1*DOE*JANE****MI*M1", "N4*BATH*ME*04530", "NM1*PR*2*PLAN"]
CLAIM = [
    "CLM*C1*200***11:B:1*Y*A*Y*Y",
    "HI*ABK:F411*ABF:M5450",
    f"NM1*82*1*ROE*R****XX*{DOCTOR}",
    "PRV*PE*PXC*103TC0700X",
]
LINES = ["LX*1", "SV1*HC:90837:95*150*UN*1***1", "DTP*472*D8*20260102", "REF*6R*A1"]
LINES += ["LX*2", "SV1*HC:90785*50*UN*2*02**2:1", "DTP*472*RD8*20260103-20260109"]
WHOLE = [*HEAD, *PROVIDER, *SUBSCRIBER, *CLAIM, *LINES]


def read(folder: Path, segments: list[str], **options: object) -> x12_claims.Raw:
    return read_raw(write(folder / "claims.837", transaction("837", *segments)), "837", **options)


def claim(*more: str, head: str = CLAIM[0], lines: list[str] = LINES) -> list[str]:
    """The claim with other segments between its CLM and its lines."""
    return [*HEAD, *PROVIDER, *SUBSCRIBER, head, *more, *lines]


def test_every_column(tmp_path: Path) -> None:
    first, second = rows(read(tmp_path, WHOLE))
    assert first == {
        "claim_id": "C1",
        "line_number": "1",
        "claim_version": "2026010501",
        "member_id": "M1",
        "provider_npi": DOCTOR,
        "taxonomy_code": "103TC0700X",
        "service_date": "20260102",
        "procedure_code": "90837",
        "diagnosis_code": "F41.1",
        "place_of_service": "11",
        "units": "1",
        "billed_amount": "150",
        "claim_status": "",
        "network_status": "",
        "member_zip": "04530",
        "modifiers": "95",
        "revenue_code": "",
        "icd9_code": "",
        "frequency_code": "1",
        "original_reference": "",
        "submitted_claim_id": "C1",
        "line_reference": "A1",
        "billing_npi": BILLER,
        "filing_indicator": "CI",
        "repriced_amount": "",
        "place": 21,
    }
    assert {k: second[k] for k in ("line_number", "service_date", "diagnosis_code", "place_of_service", "units")} == {
        "line_number": "2",
        "service_date": "20260103",
        "diagnosis_code": "M54.50",
        "place_of_service": "02",
        "units": "2",
    }
    assert second["place"] == 25
    assert second["line_reference"] == ""


# ---- envelopes ----

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"]
DELIMITERS = [
    ("*", ":", "~"),
    ("|", ">", "\n"),
    ("*", ":", "\r"),
    ("\x1d", "\x1f", "\x1c"),
    ("%", "<", "'"),
    ("\t", ":", "~"),
]


@pytest.mark.parametrize("after", ["", "\r\n", "\n    "])
@pytest.mark.parametrize(
    ("encoding", "delimiters"),
    [*((e, DELIMITERS[0]) for e in ENCODINGS), *(("utf-16", d) for d in DELIMITERS[1:])],
)
def test_the_same_rows_however_written(
    tmp_path: Path, encoding: str, delimiters: tuple[str, str, str], after: str
) -> None:
    expected = rows(read(tmp_path, WHOLE))
    path = write(tmp_path / "other.837", transaction("837", *WHOLE), delimiters, encoding, after)
    raw = read_raw(path, "837")
    assert rows(raw) == expected
    assert aside(raw) == []
    assert x12_claims.recognise(path.read_bytes(), path.name)


@pytest.mark.parametrize("chunk", [1, 2, 7, 105, 106, 107, 401])
def test_the_same_rows_in_pieces_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    text = (
        text_of(transaction("837", *WHOLE)).replace("~", "~\n~")
        + "\n-- next --\n"
        + text_of(transaction("837", *WHOLE), ("|", ">", "!"))
    )
    expected = [*rows(read(tmp_path, WHOLE))] * 2
    path = tmp_path / "two.837"
    path.write_bytes(text.encode("utf-16"))
    monkeypatch.setattr(x12, "_CHUNK", chunk)
    raw = read_raw(path, "837")
    assert rows(raw)[:2] == expected[:2]  # what is empty is no segment, and not counted
    assert [r | {"place": 0} for r in rows(raw)] == [r | {"place": 0} for r in expected]
    assert aside(raw) == []


def test_wrapped_text_gzip_and_what_stands_around(tmp_path: Path) -> None:
    expected = [r | {"place": 0} for r in rows(read(tmp_path, WHOLE))]
    text = text_of(transaction("837", *WHOLE))
    wrapped = "\r\n".join(text[i : i + 80] for i in range(0, len(text), 80))
    cases = {
        "wrapped": wrapped.encode(),
        "gzip": gzip.compress(text.encode()),
        "gzip in members": gzip.compress(text[:500].encode()) + gzip.compress(text[500:].encode()),
        "around": f"From: a\nISABEL*x\n\n{text}\n\x1a".encode(),
        "name in cp1252": text.replace("JANE", "JOS\xc9").encode("cp1252"),
        "no last terminator": text[:-1].encode(),
    }
    for what, data in cases.items():
        path = tmp_path / "other"
        path.write_bytes(data)
        raw = read_raw(path, "837")
        assert [r | {"place": 0} for r in rows(raw)] == expected, what
        assert aside(raw) == [], what


def test_a_value_outside_utf8_is_cp1252(tmp_path: Path) -> None:
    text = text_of(transaction("837", *WHOLE)).replace("*MI*M1", "*MI*M\xc91")
    path = tmp_path / "claims.837"
    for encoding in ("cp1252", "utf-8", "utf-16"):
        path.write_bytes(text.encode(encoding))
        assert column(read_raw(path, "837"), "member_id") == ["M\xc91"] * 2


def test_a_component_separator_other_than_named(tmp_path: Path) -> None:
    """The institutional examples of the guide in circulation name ^ or : and use : or >."""
    text = text_of(transaction("837", *WHOLE))
    path = tmp_path / "claims.837"
    path.write_text(isa(component="^") + text.partition("~")[2].replace(":", ">"), encoding="utf-8")
    assert rows(read_raw(path, "837")) == rows(read(tmp_path, WHOLE))


def test_an_interchange_whose_isa_is_damaged_is_still_read(tmp_path: Path) -> None:
    text = text_of(transaction("837", *WHOLE))
    path = tmp_path / "two.837"
    path.write_text(text.replace("ISA*00*", "ISA*000*") + text, encoding="utf-8")
    assert len(rows(read_raw(path, "837"))) == 4
    path.write_text(text + text.replace("ISA*00*", "ISA*000*"), encoding="utf-8")
    assert len(rows(read_raw(path, "837"))) == 4


@pytest.mark.parametrize("damage", [("ST*837*", "ST*8370*"), ("GS*HC*", "XX*HC*"), ("ST*837*0001*005010X222A1~", "")])
def test_a_damaged_envelope_does_not_hide_the_lines(tmp_path: Path, damage: tuple[str, str]) -> None:
    path = tmp_path / "claims.837"
    path.write_text(text_of(transaction("837", *WHOLE)).replace(*damage), encoding="utf-8")
    assert len(rows(read_raw(path, "837"))) == 2
    assert x12_claims.recognise(path.read_bytes(), path.name)


def test_other_transactions_are_set_aside_as_one(tmp_path: Path) -> None:
    both = [*transaction("837", *WHOLE)[:-1], *transaction("999", "AK1*HC*1", "AK9*A*1*1*1")]
    raw = read_raw(write(tmp_path / "claims.837", both), "837")
    assert len(rows(raw)) == 2
    assert aside(raw) == [(len(WHOLE) + 7, "other_transaction")]


# ---- who: member and provider ----

PATIENT = ["HL*3*2*23*0", "PAT*19", "NM1*QC*1*DOE*TIM", "N4*SACO*ME*04072"]


def test_a_dependant_has_a_mark_and_its_own_zip(tmp_path: Path) -> None:
    segments = [*HEAD, *PROVIDER, *SUBSCRIBER, *PATIENT, *CLAIM, *LINES]
    segments += ["HL*4*2*23*0", "NM1*QC*1*DOE*Tom", *CLAIM, *LINES[:4], "HL*5*1*22*0", "NM1*IL*1*X*Y****MI*M2", *CLAIM]
    segments += [*LINES[:4], "HL*6*5*23*0", *CLAIM, *LINES[:4]]
    found = rows(read(tmp_path, segments))
    marks = ["M1" + mark_of("Tim")] * 2 + ["M1" + mark_of("TOM"), "M2", ""]
    assert [r["member_id"] for r in found] == marks
    assert len(set(marks)) == 4
    assert [r["member_zip"] for r in found] == ["04072"] * 2 + ["", "", ""]


def test_a_dependant_with_an_identifier_of_its_own(tmp_path: Path) -> None:
    own = [*PATIENT[:2], "NM1*QC*1*DOE*TIM****MI*M1-02"]
    assert column(read(tmp_path, [*HEAD, *PROVIDER, *SUBSCRIBER, *own, *CLAIM, *LINES]), "member_id") == ["M1-02"] * 2


@pytest.mark.parametrize(
    ("of_claim", "of_line", "npi", "taxonomy"),
    [
        ([], [], BILLER, "101Y00000X"),
        ([f"NM1*82*1*A*B****XX*{DOCTOR}", "PRV*PE*PXC*103TC0700X"], [], DOCTOR, "103TC0700X"),
        ([f"NM1*82*1*A*B****XX*{DOCTOR}"], [], DOCTOR, ""),
        ([f"NM1*82*2*A*****XX*{BILLER}"], [], BILLER, "101Y00000X"),
        ([f"NM1*82*1*A*B****XX*{DOCTOR}"], [f"NM1*82*1*C*D****XX*{OTHER}", "PRV*PE*PXC*X"], OTHER, "X"),
        (["NM1*82*1*A*B****24*123456789"], [], "", ""),
        (["NM1*82*1*A*B"], [], "", ""),
        ([f"NM1*71*1*A*B****XX*{OTHER}", "PRV*AT*PXC*363LP0200N"], [], BILLER, "101Y00000X"),
        ([f"NM1*DN*1*A*B****XX*{OTHER}", "PRV*RF*PXC*X"], [f"NM1*DK*1*A*B****XX*{OTHER}"], BILLER, "101Y00000X"),
        (["SBR*S*18", f"NM1*82*1*A*B****XX*{OTHER}", f"NM1*85*1*A*B****XX*{OTHER}"], [], BILLER, "101Y00000X"),
    ],
)
def test_provider(tmp_path: Path, of_claim: list[str], of_line: list[str], npi: str, taxonomy: str) -> None:
    found = rows(read(tmp_path, claim(*of_claim, lines=[*LINES[:4], *of_line])))
    assert [(r["provider_npi"], r["taxonomy_code"], r["billing_npi"]) for r in found] == [(npi, taxonomy, BILLER)]


def test_a_biller_whose_loop_was_lost_has_no_taxonomy_of_the_one_before(tmp_path: Path) -> None:
    second = [f"NM1*85*2*B*****XX*{OTHER}", *SUBSCRIBER, "CLM*C9*1***11:B:1", *LINES[:4]]
    last = rows(read(tmp_path, [*WHOLE, "HL*9*1*22*0", *second]))[-1]
    assert (last["provider_npi"], last["taxonomy_code"]) == (OTHER, "")


def test_loops_of_other_payers_say_nothing(tmp_path: Path) -> None:
    other = ["SBR*S*01*******CI", "OI***Y", "NM1*IL*1*DOE*JOHN****MI*T9", "N4*X*ME*00001", "NM1*PR*2*Z", "REF*F8*9"]
    found = rows(
        read(tmp_path, claim(*CLAIM[1:], *other, "DTP*472*D8*20200101", "HI*ABK:Z00", "HCP*00*0" + "*" * 11 + "T1"))
    )
    assert [r | {"place": 0} for r in found] == [r | {"place": 0} for r in rows(read(tmp_path, WHOLE))]


# ---- what: the line ----


@pytest.mark.parametrize(
    ("line", "dates", "expected"),
    [
        ("DTP*472*D8*20260102", ["DTP*434*RD8*20251201-20251202"], "20260102"),
        ("DTP*472*RD8*20260103-20260109", [], "20260103"),
        ("DTP*472*DT*202601041530", [], "20260104"),
        ("DTP*573*D8*20260102", ["DTP*472*D8*20260111", "DTP*434*D8*20251201"], "20260111"),
        ("REF*6R*1", ["DTP*434*RD8*20251201-20251202", "DTP*435*DT*202511300800"], "20251201"),
        ("REF*6R*1", ["DTP*431*D8*20251201"], ""),
    ],
)
def test_service_date(tmp_path: Path, line: str, dates: list[str], expected: str) -> None:
    assert column(read(tmp_path, claim(*dates, lines=[*LINES[:2], line])), "service_date") == [expected]


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("SV1*HC:99213:25:59*80*UN*2*12**1", ("99213", "2", "80", "12", "25:59", "")),
        ("SV1*HC:00790*500*MJ*95***1", ("00790", "", "500", "11", "", "")),
        ("SV1*HC:J1885*9.5*F2*3", ("J1885", "", "9.5", "11", "", "")),
        ("SV2*0450*HC:99284*700.10*UN*1", ("99284", "1", "700.10", "", "", "0450")),
        ("SV2*120**1200*DA*3", ("R0120", "3", "1200", "", "", "120")),
        ("SV3*AD:D0120*45.5*22***1*****1", ("D0120", "1", "45.5", "22", "", "")),
        ("SV3*AD:D0120*45.5", ("D0120", "", "45.5", "11", "", "")),
        ("SV1*HC*1", ("", "", "1", "11", "", "")),
    ],
)
def test_service(tmp_path: Path, service: str, expected: tuple[str, ...]) -> None:
    [row] = rows(read(tmp_path, claim(lines=["LX*1", service, LINES[2]])))
    names = ("procedure_code", "units", "billed_amount", "place_of_service", "modifiers", "revenue_code")
    assert tuple(row[n] for n in names) == expected


def test_a_bill_type_is_no_place_of_service(tmp_path: Path) -> None:
    assert column(read(tmp_path, claim(head="CLM*C1*9***13:A:1")), "place_of_service") == ["", "02"]


@pytest.mark.parametrize(
    ("lists", "pointer", "expected"),
    [
        (["HI*ABK:F411*ABF:M5450"], "2", ("M54.50", "")),
        (["HI*ABK:F411*ABF:M5450"], "", ("F41.1", "")),
        (["HI*ABK:F41.1*ABF:I10"], "1", ("F41.1", "")),
        (["HI*ABK:F411*ABF:I10"], "2:1", ("I10", "")),
        (["HI*ABK:F411"], "2", ("", "")),
        (["HI*ABK:F411"], "0", ("", "")),
        (["HI*BK:30928*BF:V7389"], "2", ("", "V7389")),
        (["HI*ABJ:R05", "HI*BH:A1:D8:20260101", "HI*ABK:F411", "HI*ABF:I10:::::::Y"], "2", ("I10", "")),
        (["HI*XX:99999*ABF:F411"], "2", ("F41.1", "")),
        ([], "1", ("", "")),
    ],
)
def test_diagnosis(tmp_path: Path, lists: list[str], pointer: str, expected: tuple[str, str]) -> None:
    line = ["LX*1", f"SV1*HC:90837*1*UN*1***{pointer}", LINES[2]]
    [row] = rows(read(tmp_path, claim(*lists, lines=line)))
    assert (row["diagnosis_code"], row["icd9_code"]) == expected


def test_a_repricer_says_out_of_network(tmp_path: Path) -> None:
    """HCP13 T1 or 35 rejects the provider, HCP15 excepts a service out of network; a price says neither."""
    reject, exception, price = "HCP*00*0**R" + "*" * 9 + "T1", "HCP*10*90" + "*" * 13 + "2", "HCP*03*70*10*R"
    assert column(read(tmp_path, claim(reject)), "network_status") == ["out", "out"]
    assert column(read(tmp_path, claim(reject.replace("T1", "35"))), "network_status") == ["out", "out"]
    assert column(read(tmp_path, claim(reject.replace("T1", "T2"))), "network_status") == ["", ""]  # the payer
    assert column(read(tmp_path, claim(price)), "network_status") == ["", ""]
    lines = [*LINES[:4], exception, *LINES[4:], price]
    found = rows(read(tmp_path, claim(price, lines=lines)))
    assert [(r["network_status"], r["repriced_amount"]) for r in found] == [("out", "90"), ("", "70")]


def test_replacement_and_void_meet_their_original(tmp_path: Path) -> None:
    segments = WHOLE + [
        s
        for f, c in (("7", "C2"), ("8", "C3"), ("7", "C4"))
        for s in (f"CLM*{c}*200***11:B:{f}", f"REF*F8*{'C1' if c < 'C4' else 'ICN9'}", *LINES[:4])
    ]
    found = rows(read(tmp_path, segments))
    assert [(r["claim_id"], r["claim_version"], r["claim_status"]) for r in found] == [
        ("C1", "2026010501", ""),
        ("C1", "2026010501", ""),
        ("C1", "2026010507", ""),
        ("C1", "2026010508", "reversed"),
        ("C4", "2026010507", ""),
    ]
    assert [r["original_reference"] for r in found] == ["", "", "C1", "C1", "ICN9"]


def test_a_replacement_that_names_no_original_keeps_its_number(tmp_path: Path) -> None:
    without_number = [s.replace("CLM*C1*", "CLM**") for s in WHOLE]
    assert column(read(tmp_path, [*without_number, "CLM*C2*200***11:B:7", *LINES[:4]]), "claim_id") == ["", "", "C2"]


def test_the_newest_version_counts(tmp_path: Path) -> None:
    replacement = [s.replace("11:B:1", "11:B:7").replace("*150*", "*120*") for s in WHOLE]
    write(tmp_path / "a.837", transaction("837", *WHOLE))
    write(tmp_path / "b.837", transaction("837", replacement[0].replace("20260105", "20260106"), *replacement[1:]))
    exports = open_x12(tmp_path, "path: '*.837', format: x12-837")
    assert sorted(exports.frame("claims")["billed_amount"]) == [D(50), D(120)]
    assert len(exports.frame("claim_versions")) == 4
    assert exports.set_aside.empty


def test_exports_yaml_maps_the_own_columns(tmp_path: Path) -> None:
    write(tmp_path / "a.837", transaction("837", *WHOLE))
    own = "columns: {claim_id: [billing_npi, claim_id]}, constants: {network_id: N1}, keep: {modifiers: '95'}"
    exports = open_x12(tmp_path, f"path: a.837, format: x12-837, {own}")
    assert exports.frame("claims")[["claim_id", "network_id"]].to_numpy().tolist() == [[f"{BILLER} C1", "N1"]]
    assert exports.set_aside[["row", "reason"]].to_numpy().tolist() == [[25, "not_selected:modifiers"]]


# ---- damage ----


def without(*dropped: str) -> list[str]:
    return [s for s in WHOLE if s not in dropped]


@pytest.mark.parametrize(
    ("segments", "kept", "expected"),
    [
        (without("LX*2"), ["1", ""], []),  # a rule sets a line without number aside
        (without(LINES[1]), ["2"], [(21, "no_service_line")]),
        (without(*LINES), [], [(17, "no_service_line")]),
        (without(CLAIM[0]), [], [(20, "claim_header_lost"), (24, "claim_header_lost")]),
        ([*WHOLE, "LX*2", *LINES[1:3]], ["1", "2"], [(28, "line_number_repeated")]),
        ([*WHOLE[:-1], "X?P*472"], ["1"], [(25, "unknown_segment")]),
        ([*WHOLE[:17], "NM1**1*X*Y", *WHOLE[17:]], [], [(22, "malformed_segment"), (26, "malformed_segment")]),
        ([*WHOLE[:17], "ZZZ*1", *WHOLE[17:]], [], [(22, "unknown_segment"), (26, "unknown_segment")]),
        ([*HEAD, "ZZZ*1", *WHOLE[3:]], ["1", "2"], [(7, "unknown_segment")]),
        ([*WHOLE[:10], "ZZZ*1", *WHOLE[10:]], [], [(n, "unknown_segment") for n in (14, 22, 26)]),
        ([*WHOLE, "ST*837*2"], ["1"], [(25, "truncated")]),
        ([*WHOLE, "IEA*1*1"], ["1"], [(25, "truncated")]),
    ],
)  # fmt: skip
def test_the_smallest_unit_is_set_aside(
    tmp_path: Path, segments: list[str], kept: list[str], expected: list[tuple[int, str]]
) -> None:
    raw = read(tmp_path, segments)
    assert column(raw, "line_number") == kept
    assert aside(raw) == expected


@pytest.mark.parametrize(
    "segment", ["LX*2", "SV1*HC:90785*50*UN*2*02**2:1", "HL*2*1*22*0", "CLM*C1*200***11:B:1*Y*A*Y*Y"]
)
@pytest.mark.parametrize(
    ("terminator", "after", "left"),
    [
        ("~", "\n  ", "\n  "),
        ("~", "\r\n", "\r\n"),
        ("\r", "\n", "\n"),
        ("~", "\n  ", "   "),
        ("~", "", "  "),
        ("~", "\n  ", "*\n  "),
    ],
)
def test_a_line_end_or_indentation_stands_in_for_a_terminator(
    tmp_path: Path, segment: str, terminator: str, after: str, left: str
) -> None:
    path = tmp_path / "lost.837"
    text = text_of(transaction("837", *WHOLE), ("*", ":", terminator), after)
    damaged = text.replace(f"{terminator}{after}{segment}", f"{left}{segment}")
    path.write_bytes(damaged.encode())
    assert damaged.count(terminator) < text.count(terminator)
    raw = read_raw(path, "837")
    assert (rows(raw), aside(raw)) == (rows(read(tmp_path, WHOLE)), [])


def test_a_segment_that_swallowed_a_line_is_set_aside_too(tmp_path: Path) -> None:
    raw = read(tmp_path, [*WHOLE[:-3], "LX SV1*HC:90785*50", WHOLE[-1]])
    assert column(raw, "line_number") == []
    assert aside(raw) == [(21, "unknown_segment"), (25, "unknown_segment")]


def test_a_lost_loop_takes_no_claim_to_the_member_before(tmp_path: Path) -> None:
    """Without its HL the next subscriber still is one; without its NM1 there is none, and a rule sets it aside."""
    second = ["HL*3*1*22*0", "SBR*P*18*******CI", "NM1*IL*1*ROE*ANN****MI*M2", *CLAIM, *LINES[:4]]
    whole = column(read(tmp_path, WHOLE + second), "member_id")
    assert whole == ["M1", "M1", "M2"]
    assert column(read(tmp_path, WHOLE + second[1:]), "member_id") == whole
    assert column(read(tmp_path, WHOLE + second[:2] + second[3:]), "member_id") == ["M1", "M1", ""]
    dependant = ["PAT*19", "NM1*QC*1*DOE*TIM", *CLAIM, *LINES[:4]]
    assert column(read(tmp_path, WHOLE + dependant), "member_id") == ["M1", "M1", "M1" + mark_of("TIM")]


def test_a_segment_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have held anything: lines up to the next billing provider or transaction are not relied on."""
    monkeypatch.setattr(x12, "MAX_SEGMENT", 2000)
    monkeypatch.setattr(x12, "_CHUNK", 512)
    next_subscriber = ["HL*3*1*22*0", SUBSCRIBER[2], *CLAIM, *LINES[:4]]
    segments = [*WHOLE, f"NTE*ADD*{'x' * 9000}", *next_subscriber, *PROVIDER, *SUBSCRIBER, *CLAIM, *LINES]
    raw = read(tmp_path, segments)
    assert column(raw, "line_number") == ["1", "1", "2"]
    assert aside(raw) == [(n, "segment_too_long") for n in (25, 28, 35)]


@pytest.mark.parametrize(("longer", "expected"), [(0, []), (1, [(25, "segment_too_long"), (28, "segment_too_long")])])
def test_the_longest_segment_that_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, longer: int, expected: list[tuple[int, str]]
) -> None:
    monkeypatch.setattr(x12, "MAX_SEGMENT", 2000)
    monkeypatch.setattr(x12, "_CHUNK", 512)
    assert aside(read(tmp_path, [*WHOLE, "NTE*ADD*".ljust(2000 + longer, "x")])) == expected


def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one terminator in 4 MiB, no more than the limit of a segment is held."""
    monkeypatch.setattr(x12, "MAX_SEGMENT", 10_000)
    monkeypatch.setattr(x12, "_CHUNK", 4096)
    path = tmp_path / "long.837"
    path.write_text(isa() + "x" * 4_000_000 + "~" + text_of(transaction("837", *WHOLE)), encoding="utf-8")
    held = [sum(map(len, block.segments)) for block in x12.read_blocks(path, None)]
    assert max(held) < 10_000
    raw = read_raw(path, "837")
    assert len(rows(raw)) == 2
    assert aside(raw)[0] == (2, "segment_too_long")


TEXT = text_of(transaction("837", *WHOLE))


@settings(max_examples=100, deadline=None)
@given(st.integers(len(isa()), len(TEXT) - 1))
def test_cut_anywhere_keeps_what_was_complete(length: int) -> None:
    """A line is complete when its successor or the SE began; one row tells of the cut."""
    text = TEXT[:length]
    complete = max(text.count("~LX") - 1, 0) + ("~SE" in text)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cut.837"
        path.write_text(text, encoding="utf-8")
        try:
            raw = read_raw(path, "837")
        except ExportError:
            assert "~ST*837" not in text
            return
        found, lost = rows(raw), aside(raw)
    assert len(found) == complete
    ended = "~IEA" in text
    assert [reason for _, reason in lost] == [] if ended else ["truncated"]


def test_no_x12_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "claims.837"
    for data in (b"", b"claim_id,member_id\nC1,M1\n", b"\x00" * 9000, b"ISA*00*", gzip.compress(b"x" * 9000)):
        path.write_bytes(data)
        assert not x12_claims.recognise(data, path.name)
        with pytest.raises(ExportError, match=r"^claims.837 is not X12: no ISA segment begins it"):
            read_raw(path, "837")


@pytest.mark.parametrize("end", ["*:*", "*::", "**~", "*:", "*:G", "*A~", ""])
def test_delimiters_that_cannot_be_are_refused(tmp_path: Path, end: str) -> None:
    """Such as after an ISA whose terminator was lost: read on, each element would be a segment."""
    text = text_of(transaction("837", *WHOLE))
    (tmp_path / "claims.837").write_text(text.replace("*:~", f"{end}", 1), encoding="utf-8")
    with pytest.raises(ExportError, match="is not X12"):
        read_raw(tmp_path / "claims.837", "837")


def test_another_kind_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "claims.837", transaction("835", "BPR*I*1", "CLP*C1*1*1*1"))
    with pytest.raises(ExportError, match=r"^claims.837 is no X12 837: it holds 835; correct its format"):
        read_raw(path, "837")
    assert not x12_claims.recognise(path.read_bytes(), "a")
    assert x12_remittance.recognise(path.read_bytes(), "a")


def test_a_zip_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(x12, "_CHUNK", 4096)
    path = tmp_path / "claims.837.gz"
    path.write_bytes(gzip.compress(isa().encode() + b" " * 20_000_000))
    with pytest.raises(ExportError, match="unpacks to more than 400 times its size"):
        read_raw(path, "837")


def test_a_gzip_that_is_cut_ends_there(tmp_path: Path) -> None:
    data = gzip.compress(TEXT.encode() * 50)
    path = tmp_path / "claims.837.gz"
    path.write_bytes(data[:-60])
    raw = read_raw(path, "837")
    assert 0 < len(rows(raw)) < 100
    assert [reason for _, reason in aside(raw)] == ["truncated"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"skip_rows": 1}, "has no use for skip_rows"),
        ({"delimiter": "|"}, "has no use for delimiter"),
        ({"encoding": "klingon"}, "encoding 'klingon' of claims.837 is not known"),
        ({"encoding": "hex"}, "encoding 'hex' of claims.837 is not known"),
        ({"columns": {"units": "minutes"}}, "there is no column 'minutes'"),
    ],
)
def test_options_without_use_are_refused(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(ExportError, match=message):
        read(tmp_path, WHOLE, **options)


def test_only_for_claims(tmp_path: Path) -> None:
    write(tmp_path / "a.837", transaction("837", *WHOLE))
    open_x12(tmp_path, "path: a.837, format: x12-837")
    config = tmp_path / "exports.yaml"
    config.write_text(config.read_text() + "members: {path: a.837, format: x12-835}\n")
    with pytest.raises(ExportError, match="members: format x12-835 is for claims only"):
        Exports.open(tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", D(1)),
        ("-.5", D("-0.5")),
        ("12.50", D("12.50")),
        ("", D(0)),
        ("1e5", None),
        ("NaN", None),
        ("1_0", None),
        ("٣", None),
    ],
)
def test_amounts(text: str, expected: D | None) -> None:
    assert amount_of(text) == expected


def test_composites() -> None:
    assert split_composite("HC:90837", ":") == ["HC", "90837"]
    assert split_composite("HC>90837>95", ":") == ["HC", "90837", "95"]
    assert split_composite("1.5", ":") == ["1.5"]
    assert split_composite("", ":") == [""]


# ---- fuzz ----


@st.composite
def mutations(draw: st.DrawFn, text: str = TEXT) -> str:
    """The file with a few cuts, swapped or foreign characters and repeated or lost segments."""
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, max(len(text) - 2, 0)))
        match draw(st.sampled_from(["cut", "swap", "put", "drop", "repeat", "lose"])):
            case "cut":
                text = text[: max(at, 110)]
            case "swap":
                text = text[:at] + text[at + 1 : at + 2] + text[at : at + 1] + text[at + 2 :]
            case "put":
                text = text[:at] + draw(st.text(max_size=4)) + text[at:]
            case "drop":
                text = text[:at] + text[at + draw(st.integers(1, 9)) :]
            case "repeat":
                segments = text.split("~")
                which = draw(st.integers(0, len(segments) - 1))
                text = "~".join([*segments[: which + 1], *segments[which:]])
            case _:
                segments = text.split("~")
                del segments[draw(st.integers(0, len(segments) - 1))]
                text = "~".join(segments)
    return text


def check_mutation(text: str, kind: str) -> None:
    """No failure but a refusal, and every service segment that a plain pattern finds is accounted for."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fuzz"
        path.write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
        try:
            raw = read_raw(path, kind)
        except ExportError:
            return
        found, lost = rows(raw), aside(raw)
    start = text.find("ISA*")
    assert len(found) + len(lost) >= find_lines(text[start:] if start >= 0 else "", kind)
    places = [r["place"] for r in found] + [place for place, reason in lost if reason != "other_transaction"]
    assert len(places) - len(set(places)) <= 1


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(mutations())
def test_mutated_claims_lose_no_line(text: str) -> None:
    check_mutation(text, "837")


# ---- the real files ----

REAL = [
    ("x12-837i/Spec_3.1.1.txt", 2, "89.93"),
    ("x12-837i/Spec_3.1.2_TwoClaimsForTheSameProvider.txt", 3, "139.95"),
    ("x12-837i/Spec_3.1.3_PPORepricedClaim.txt", 2, "237.5"),
    ("x12-837i/Spec_3.1.4_OutOfNetworkRepricedClaim.txt", 1, "14.84"),
    ("x12-837p/837_DeIdent_01.dat", 235, None),
    ("x12-837p/837_DeIdent_02.dat", 66, None),
    ("x12-837p/Example1_2_And_3_Combined.txt", 11, "279.04"),
    ("x12-837p/Example1_HealthInsurance.txt", 4, "100"),
    ("x12-837p/Example2_Encounter.txt", 4, "100"),
    ("x12-837p/Example3_COB.txt", 3, "79.04"),
    ("x12-837p/MedicaidExample.txt", 10, None),
    ("x12-837p/MissingEntityCode.txt", 10, None),
    ("x12-837p/ST1309-XX.txt", 2, "360"),
    ("x12-837p/UnicodeExample.txt", 0, "0"),
]


@pytest.mark.parametrize(("name", "lines", "claimed"), REAL, ids=[name for name, *_ in REAL])
def test_real_claims(shared_exports: Path, tmp_path: Path, name: str, lines: int, claimed: str | None) -> None:
    """Service lines by segment count, charges by element; where claims are not masked, also against CLM02."""
    path = shared_exports / "claims" / name
    segments = split_text(path.read_bytes())
    assert count_services(segments, "837") == lines
    raw = read_raw_copy(path, tmp_path)
    lost = [reason for _, reason in aside(raw) if reason != "truncated"]
    assert len(rows(raw)) + len(lost) == lines
    charged = sum_elements(segments, {"SV1": 2, "SV2": 3})
    if not lost:
        assert sum((D(r["billed_amount"]) for r in rows(raw)), D(0)) == charged
    if claimed is not None:
        assert charged == sum_elements(segments, {"CLM": 2}) == D(claimed)
    exports = open_x12(tmp_path, f"path: {path}, format: x12-837")
    [file] = exports.files[exports.files["table"] == "claims"].to_dict("records")
    assert file["rows_read"] == file["accepted"] + file["set_aside"] == len(rows(raw)) + len(aside(raw))
    assert x12_claims.recognise(path.read_bytes()[:65536], path.name)
    assert not x12_remittance.recognise(path.read_bytes()[:65536], path.name)


def read_raw_copy(path: Path, folder: Path) -> x12_claims.Raw:
    copy = folder / path.name
    copy.write_bytes(path.read_bytes())
    return read_raw(copy, "837")


def test_real_files_that_are_damaged(shared_exports: Path, tmp_path: Path) -> None:
    """A file that ends within a name, and a name of which none says whose it is."""
    folder = shared_exports / "claims" / "x12-837p"
    assert aside(read_raw_copy(folder / "UnicodeExample.txt", tmp_path)) == [(6, "truncated")]
    assert [r for _, r in aside(read_raw_copy(folder / "MissingEntityCode.txt", tmp_path))] == ["malformed_segment"] * 2


def test_the_claim_that_was_repriced_out_of_network(shared_exports: Path, tmp_path: Path) -> None:
    name = "x12-837i/Spec_3.1.4_OutOfNetworkRepricedClaim.txt"
    assert column(read_raw_copy(shared_exports / "claims" / name, tmp_path), "network_status") == ["out"]
