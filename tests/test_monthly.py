"""What a month says: its figures equal those reckoned anew, and it shows no small cells and no members."""

import re
from collections import Counter, defaultdict
from datetime import date
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sca_analysis.claims import service_lines
from sca_analysis.errors import ExportError, ParameterError
from sca_analysis.exports import to_pandas
from sca_analysis.monthly import (
    SMALL_CELL,
    analyse_month,
    list_limits,
    summarize,
    withhold_small_cells,
)
from sca_analysis.months import parse_month
from tests.folders import claim, listing, span, write_tables
from tests.test_courses import benefit_row, tier

BENEFITS = [benefit_row("A", in_network=tier(), out_of_network=tier("100.00", "0.40"))]
FEES = [{"procedure_code": "P", "in_network_rate": "50.00", "out_of_network_allowed": "60.00", "usual_charge": "90.00"}]


@pytest.mark.parametrize(
    ("month", "last"),
    [
        ("2026-06", date(2026, 6, 30)),
        ("2024-02", date(2024, 2, 29)),
        ("2025-02", date(2025, 2, 28)),
        ("1900-12", date(1900, 12, 31)),
    ],
)
def test_a_month_is_its_last_day(month, last):
    assert parse_month(month) == last


@pytest.mark.parametrize(
    "month",
    [
        "",
        "2026",
        "2026-6",
        "2026-00",
        "2026-13",
        "26-06",
        "2026-06-30",
        "2026/06",
        " 2026-06",
        "2026-06\n",
        "1899-12",
        "\uff12\uff10\uff12\uff16-06",
    ],
)
def test_what_is_no_month_is_refused(month):
    with pytest.raises(ParameterError, match="write it as YYYY-MM"):
        parse_month(month)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.text("0126-x", max_size=8) | st.from_regex(r"[0-9]{4}-[0-9]{2}", fullmatch=True))
def test_any_text_is_a_month_or_refused(text):
    try:
        day = parse_month(text)
    except ParameterError:
        assert not re.fullmatch(r"(19|[2-9]\d)\d\d-(0[1-9]|1[0-2])", text, re.ASCII)
    else:
        assert f"{day:%Y-%m}" == text


def make(folder, **changes):
    """Write a folder of a small plan: 12 members in Kennebec County, ME, and 3 in Suffolk County, MA."""
    tables = {
        "claims": [
            claim("K1", 1, "2026-06-05", network_id="A", network_status="in", paid_amount="33.10"),
            claim("K1", 2, "2026-05-05", network_id="A", network_status="out", procedure_code="P", paid_amount="10.20"),
            claim("K1", 2, "2026-06-06", network_id="A", network_status="out", procedure_code="P", paid_amount="0.40"),
            claim("K2", 2, "2026-06-07", network_id="A", network_status="out", procedure_code="X"),
            claim(
                "K2", 2, "2026-06-08", network_id="A", network_status="out", claim_status="denied", procedure_code="X"
            ),
            claim(
                "K2", 2, "2025-06-30", network_id="A", network_status="out", procedure_code="X", paid_amount="999.00"
            ),
        ],
        "directory": [listing(1), listing(3, zip="00000"), listing(4, zip="00000")],
        "members": [span(f"K{n}") for n in range(12)] + [span(f"T{n}", zip="02108") for n in range(3)],
        "benefits": BENEFITS,
        "fees": FEES,
    } | changes
    return write_tables(folder, **{k: v for k, v in tables.items() if v})


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return analyse_month(make(tmp_path_factory.mktemp("month")), "2026-06", identified=True)


@pytest.mark.parametrize("month", ["2025-05", "2026-07", "2025-12", "9999-12", "1900-01"])
def test_a_month_without_claims_is_refused_in_one_sentence(tmp_path, month):
    with pytest.raises(ParameterError) as raised:
        analyse_month(make(tmp_path), month)
    said = str(raised.value)
    assert month in said
    assert "2025-06 to 2026-06" in said
    assert said.endswith("choose a month in it.")
    assert said.count(". ") == 0
    assert "\n" not in said


def test_no_claims_at_all_is_refused(tmp_path):
    folder = make(tmp_path, claims=[claim("K1", 1, "no day")])
    with pytest.raises(ExportError, match="no claim line"):
        analyse_month(folder, "2026-06", identified=True)


def test_a_month_is_twelve_months_to_its_last_day(small):
    assert (small.first, small.as_of) == (date(2025, 7, 1), date(2026, 6, 30))
    assert small.gaps.as_of == small.as_of
    assert small.spend["month"].min() >= pd.Timestamp(small.first)
    assert small.courses["first_visit_date"].min() >= pd.Timestamp(small.first)
    assert "2025-07-01 to 2026-06-30" in small.source
    assert "15 members covered on 2026-06-30" in small.source


def test_summary_of_the_small_plan(small):
    said = summarize(small)
    # 2 of 29 specialties x 2 counties: psychiatry in Kennebec, and nobody near Boston
    assert "1 of 58 county-specialty cells (2 counties, 29 specialties) meet the standard; 57 do not" in said
    assert "57 no usable provider in range" in said
    assert "in Kennebec, ME (12 members)" in said
    assert "$300.00 billed and $10.60 paid by the plan on paid OON lines" in said
    assert "2 OON courses of treatment, 0 of them in a county and specialty with a gap" in said
    # 60 + 60 allowed OON, 100 deductible, then 40%: members owe 108 and 80 balance bill, the plan pays 12
    assert (
        "1 of 2 courses could be costed. OON, their members owe $188.00, denied lines in full, and the plan pays $12.00"
        in said
    )
    assert (
        "$20.00 at the in-network rate and $36.00 at the rate assumed, and the plan would pay $80.00 and $144.00"
        in said
    )
    assert "agreed one for 0 courses" in said


def figures(text):
    return [Decimal(x.replace(",", "")) for x in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]


def test_summary_of_the_sample_equals_figures_reckoned_anew(june):
    said = dict(re.findall(r"- \*\*(.+?)\*\* (.+)", summarize(june)))
    gaps, courses, files = june.gaps.table, june.courses, june.exports.files

    read, accepted, aside = (sum(files[c]) for c in ("rows_read", "accepted", "set_aside"))
    assert read == accepted + aside
    share = Decimal(str(round(aside / read * 100, 2)))
    assert figures(said["Input."]) == [read, len(files), accepted, aside, share]

    statuses = Counter(gaps["status"])
    told = figures(said["Gaps."])
    assert told[:2] == [statuses["met"], len(gaps)]
    assert told[2:5] == [len(set(gaps["county"])), len(set(gaps["specialty"])), len(gaps) - statuses["met"]]
    assert told[5:] == [statuses[s] for s in sorted(statuses) if s != "met"]

    lines = to_pandas(service_lines(june.exports, june.first, june.as_of)).to_dict("records")
    out = [r for r in lines if r["is_out_of_network"] and r["claim_status"] == "paid"]
    billed = sum(r["billed_amount"] for r in out)
    paid = sum(r["paid_amount"] for r in out if not pd.isna(r["paid_amount"]))
    pairs = {
        (r["member_id"], r["provider_npi"]) for r in lines if r["is_out_of_network"] and r["claim_status"] != "reversed"
    }
    status = {(r["county_fips"], r["specialty"]): r["status"] for r in gaps.to_dict("records")}
    in_gap = sum(status.get((r["county_fips"], r["specialty"]), "met") != "met" for r in courses.to_dict("records"))
    assert figures(said["Out of network."]) == [billed, paid, len(pairs), in_gap]

    costed = [r for r in courses.to_dict("records") if pd.isna(r["not_costed"])]
    total = defaultdict(Decimal)
    for row in costed:
        for column, value in row.items():
            if isinstance(value, Decimal):
                total[column] += value
    assert figures(said["Costs."]) == [
        len(costed),
        len(courses),
        total["member_total_out_of_network"],
        total["plan_paid_out_of_network"],
        total["member_total_in_network"],
        total["member_total_sca"],
        total["plan_paid_in_network"],
        total["plan_paid_sca"],
        sum(r["sca_rate_basis"] == "agreed_rate" for r in costed),
    ]


def test_spend_of_the_sample_is_the_spend_of_its_summary(june):
    out = june.spend[june.spend["is_out_of_network"]]
    assert f"${sum(out['billed']):,.2f} billed" in summarize(june)
    assert out["month"].nunique() <= 12


@pytest.mark.parametrize("which", ["june", "small"])
def test_no_table_shows_members(request, which):
    month = request.getfixturevalue(which)
    ids = set(month.exports.frame("members")["member_id"])
    for name, table in month.tables.items():
        assert "member_id" not in table, name
        shown = set(table.astype("string").to_numpy().ravel()) | {str(c) for c in table.columns}
        assert not shown & ids, name
    text = summarize(month) + list_limits(month) + month.source
    assert not ids & set(re.findall(r"\w+", text))


@pytest.mark.parametrize("which", ["june", "small"])
def test_small_cells_are_withheld_in_every_table_that_shows_members(request, which):
    month = request.getfixturevalue(which)
    for name, table in month.tables.items():
        for column in (c for c in table if "members" in c):
            shown = table[column].dropna()
            assert not shown.between(1, SMALL_CELL - 1).any(), (name, column)
    gaps = month.tables["gaps"]
    within = (gaps["share_within"] * gaps["members"]).round()
    assert not within.between(1, SMALL_CELL - 1).any()
    assert not (gaps["members"] - within).between(1, SMALL_CELL - 1).any()
    assert gaps["status"].equals(month.gaps.table["status"])
    for reason in gaps["reason"]:
        for count in re.findall(r"(\d[\d,]*) (?:of [\d,]+ )?members", reason.replace(f"fewer than {SMALL_CELL}", "")):
            assert count == "0" or int(count.replace(",", "")) >= SMALL_CELL, reason


def test_small_cells_by_hand():
    columns = ["members", "share_within", "nearest_miles", "required_providers", "status", "reason"]
    rows = [
        (10, 0.5, 3.0, 1, "too_far", "5 of 10 members"),
        (11, 1.0, 3.0, 1, "met", "11 of 11 members"),
        (11, 0.0, None, 1, "no_provider", "0 of 11 members"),
        (100, 0.1, 3.0, 1, "too_far", "10 of 100 members"),
        (100, 0.9, 3.0, 1, "met", "90 of 100 members"),  # 10 live outside
        (100, 0.89, 3.0, 1, "too_far", "89 of 100 members"),
        (100, 0.11, 3.0, 1, "too_far", "11 of 100 members"),
        (1, 1.0, 3.0, 1, "met", "1 of 1 members"),
    ]
    gaps = pd.DataFrame(rows, columns=columns).astype({"required_providers": "Int64"})
    shown = withhold_small_cells(gaps)
    assert shown["members"].isna().tolist() == [True, False, False, False, False, False, False, True]
    assert shown["share_within"].isna().tolist() == [True, False, False, True, True, False, False, True]
    assert shown["reason"].str.contains("withheld").tolist() == shown["share_within"].isna().tolist()
    assert shown["required_providers"].isna().tolist() == shown["members"].isna().tolist()
    assert shown["status"].tolist() == gaps["status"].tolist()
    assert gaps["members"].tolist() == [row[0] for row in rows], "the table itself stays whole"


def test_summary_names_no_small_county(small):
    assert "Suffolk" not in summarize(small)


def test_limits_say_what_is_missing(tmp_path, small):
    assert "No `agreements` in these exports: no agreed rates" in list_limits(small)
    assert "Courses hold denied lines too" in list_limits(small)
    assert "No `benefits`" not in list_limits(small)
    assert "2 active directory rows have no known place" in list_limits(small)
    assert "could not be placed" not in list_limits(small)
    bare = analyse_month(make(tmp_path, members=None, benefits=None, fees=None), "2026-06", identified=True)
    said = list_limits(bare)
    for table in ("members", "benefits", "fees", "agreements"):
        assert f"No `{table}` in these exports" in said
    # the claims have no ZIP: nobody can be placed, and two people are too few to be counted
    assert "Fewer than 11 of fewer than 11 members could not be placed" in said
    assert "fewer than 11 members covered" in bare.source
    summary = summarize(bare)
    assert "so the gap table is empty" in summary
    assert "No course could be costed: no benefits in these exports" in summary


def test_an_unknown_amount_is_not_zero_dollars(tmp_path):
    claims = [
        claim("K1", 2, "2026-06-07", network_status="out"),
        claim("K1", 1, "2026-06-07", network_status="in", paid_amount="5.00"),
    ]
    assert "an unknown amount paid by the plan" in summarize(
        analyse_month(make(tmp_path, claims=claims), "2026-06", identified=True)
    )


def test_a_month_without_out_of_network_lines(tmp_path):
    claims = [claim("K1", 1, "2026-06-07", network_status="in")]
    month = analyse_month(make(tmp_path, claims=claims), "2026-06", identified=True)
    said = summarize(month)
    assert "$0.00 billed and $0.00 paid" in said
    assert "0 OON courses" in said
    assert "No course could be costed." in said
    assert month.tables["specialties"].empty
