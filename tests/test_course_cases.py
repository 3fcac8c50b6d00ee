"""Courses as case files: their quotes are the costs of the courses, where both ask the same."""

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sca_analysis.course_cases import CourseCases, build_all, build_case, build_cases
from sca_analysis.courses import cost_courses
from sca_analysis.errors import CaseError
from sca_analysis.exports import Exports
from sca_analysis.quotes import quote, read_case
from tests.conftest import SAMPLE
from tests.folders import claim, npi, open_tables, span

AS_OF = date(2026, 6, 30)
BENEFITS = {
    "network_id": None,
    "plan_year": None,
    "in_network_deductible": "300.00",
    "in_network_coinsurance": "0.20",
    "in_network_out_of_pocket_max": "1000.00",
    "out_of_network_deductible": "500.00",
    "out_of_network_coinsurance": "0.40",
    "out_of_network_out_of_pocket_max": "4000.00",
}
FEES = [
    {
        "procedure_code": "90837",
        "in_network_rate": "120.00",
        "out_of_network_allowed": "150.00",
        "usual_charge": "210.00",
    },
    {"procedure_code": "90833", "in_network_rate": "60.00", "out_of_network_allowed": "70.00", "usual_charge": "95.00"},
]
TOTALS = {"plan_paid": "plan_paid", "member_total": "member_total", "provider_net": "provider_net"}
ARRANGEMENTS = ("in_network", "out_of_network", "sca")
ANOTHER_YEAR = "those of the plan year before"
EARLIER = "earlier in the plan year"


@pytest.fixture(scope="module")
def sample() -> Exports:
    return Exports.open(SAMPLE)


@pytest.fixture(scope="module")
def built(sample: Exports) -> CourseCases:
    return build_all(sample, sample.last_day)


@pytest.fixture(scope="module")
def courses(sample: Exports) -> pd.DataFrame:
    return cost_courses(sample, sample.last_day).set_index("course_id")


def one_course(folder: Path, lines: list[dict[str, Any]], **tables: Any) -> tuple[dict[str, Any], pd.Series]:
    """The case and the costs of the one course that the lines make."""
    given = {"members": [span("A1")], "benefits": [BENEFITS], "fees": FEES} | tables
    exports = open_tables(folder, claims=lines, directory=[listing_elsewhere()], **given)
    [(course, case)] = build_cases(exports, AS_OF).items()
    assert case == build_case(exports, AS_OF, "A1", npi(1))
    return case, cost_courses(exports, AS_OF).set_index("course_id").loc[course]


def listing_elsewhere() -> dict[str, Any]:
    return {"npi": npi(99), "provider_name": "Another", "taxonomy_code": "2084P0800X", "zip": "04330"}


def differences(case: dict[str, Any], course: pd.Series) -> list[str]:
    """The arrangements in which the quote of a case is not what the course costs."""
    totals = {name: part["totals"] for name, part in quote(read_case(case))["arrangements"].items()}
    return [
        a
        for a in ARRANGEMENTS
        if any(Decimal(totals[a][ours]) != course[f"{theirs}_{a}"] for ours, theirs in TOTALS.items())
    ]


def test_every_course_is_a_case_or_has_a_reason(built: CourseCases, courses: pd.DataFrame) -> None:
    assert set(built.cases) | set(built.reasons) == set(courses.index)
    assert set(built.reasons) == set(courses.index[courses["not_costed"].notna()])


def test_quotes_are_the_costs_of_the_courses(built: CourseCases, courses: pd.DataFrame) -> None:
    alike = 0
    for course, case in built.cases.items():
        differs = differences(case, courses.loc[course])
        if ANOTHER_YEAR in case["why"]:
            continue
        assert "out_of_network" not in differs, course
        if EARLIER not in case["why"]:
            assert not differs, course
            alike += 1
    assert alike > 40


def test_visits_and_charges_are_those_of_the_courses(built: CourseCases, courses: pd.DataFrame) -> None:
    for course, case in built.cases.items():
        assert len(case["visits"]) == courses.loc[course, "visits"]
        billed = quote(read_case(case))["arrangements"]["out_of_network"]["totals"]["billed"]
        assert Decimal(billed) == courses.loc[course, "billed"]


def test_no_identifier_is_in_a_case(built: CourseCases, sample: Exports) -> None:
    text = json.dumps(built.cases)
    for member in set(sample.frame("members")["member_id"]) | set(built.courses["provider_npi"]):
        assert member not in text


def test_a_day_with_two_services_is_one_visit_with_one_copay(tmp_path: Path) -> None:
    copay = BENEFITS | {"out_of_network_copay": "50.00", "out_of_network_deductible_applies": "false"}
    lines = [
        claim("A1", 1, "2026-02-02", billed_amount="200.00"),
        claim("A1", 1, "2026-02-02", billed_amount="90.00", procedure_code="90833"),
        claim("A1", 1, "2026-02-09", billed_amount="200.00"),
    ]
    case, course = one_course(tmp_path, lines, benefits=[copay])
    assert [v["procedure_code"] for v in case["visits"]] == ["90833+90837", "90837"]
    assert case["billed_per_unit"] == {"90837": "200.00", "90833+90837": "290.00"} | {}
    assert case["agreement"]["rate"] == {"90833+90837": "290.00", "90837": "210.00"}
    assert differences(case, course) == []


def test_units_and_charges_that_vary_keep_their_cents(tmp_path: Path) -> None:
    lines = [
        claim("A1", 1, "2026-02-02", billed_amount="400.00", units="2"),
        claim("A1", 1, "2026-02-09", billed_amount="200.00"),
        claim("A1", 1, "2026-02-16", billed_amount="250.00", allowed_amount="111.11"),
        claim("A1", 1, "2026-02-23", billed_amount="100.00", units="3"),
        claim("A1", 1, "2026-02-24", billed_amount="200.00", claim_status="denied"),
    ]
    case, course = one_course(tmp_path, lines)
    assert [v["units"] for v in case["visits"]] == [2, 1, 1, 1, 1]
    assert [v["procedure_code"] for v in case["visits"]] == ["90837", "90837", "90837 (2)", "90837 (3)", "90837 (4)"]
    assert case["out_of_network_allowed"]["90837 (2)"] == "111.11"
    assert case["out_of_network_allowed"]["90837 (4)"] == "0.00", "denied"
    assert "at another charge" in case["why"]
    assert differences(case, course) == []


def test_one_procedure_has_one_rate_a_unit(tmp_path: Path) -> None:
    case, course = one_course(tmp_path, [claim("A1", 1, "2026-02-02", billed_amount="200.00")])
    assert (case["billed_per_unit"], case["in_network_rate"], case["out_of_network_allowed"]) == (
        "200.00",
        "120.00",
        "150.00",
    )
    assert case["agreement"] == {
        "rate": "210.00",
        "sessions_authorized": 1,
        "effective_date": None,
        "expiry_date": None,
    }
    assert differences(case, course) == []


def agreed(number: int, rate: str, first: str | None, last: str | None, **columns: Any) -> dict[str, Any]:
    return {
        "case_id": f"S{number}",
        "member_id": "A1",
        "provider_npi": npi(1),
        "requested_date": "2025-01-01",
        "decision": "approved",
        "agreed_rate": rate,
        "effective_date": first,
        "expiry_date": last,
    } | columns


MONTHLY = [f"2026-{month:02d}-10" for month in range(1, 7)]


def test_renewals_follow_each_other_and_another_procedure_is_at_the_usual_charge(tmp_path: Path) -> None:
    lines = [claim("A1", 1, day, billed_amount="250.00") for day in MONTHLY]
    lines.append(claim("A1", 1, "2026-02-20", billed_amount="99.00", procedure_code="90833"))
    first = agreed(1, "160.00", "2026-02-01", "2026-03-31", procedure_code="90837")
    then = agreed(2, "170.00", "2026-04-01", "2026-06-30", procedure_code="90837", sessions_authorized="2")
    case, course = one_course(tmp_path, lines, agreements=[first, then])
    assert [a["rate"]["90837"] for a in case["agreements"]] == ["160.00", "170.00"]
    assert [a["rate"]["90833"] for a in case["agreements"]] == ["95.00", "95.00"]
    assert differences(case, course) == []


def test_of_agreements_that_overlap_the_latest_counts(tmp_path: Path) -> None:
    lines = [claim("A1", 1, day, billed_amount="250.00") for day in MONTHLY]
    both = [agreed(1, "160.00", "2026-01-01", "2026-06-30"), agreed(2, "170.00", "2026-03-01", "2026-06-30")]
    case, _ = one_course(tmp_path, lines, agreements=both)
    assert case["agreement"]["rate"] == "170.00"


def test_sessions_and_accumulators_of_earlier_visits_count(tmp_path: Path) -> None:
    start = BENEFITS | {"plan_year_start": "04-01"}
    days = ["2025-05-01", "2025-06-01", "2025-07-01", "2025-08-01"]
    lines = [claim("A1", 1, day, billed_amount="250.00") for day in days]
    case, course = one_course(tmp_path / "none", lines, benefits=[start])
    assert case["accumulators"] == {"out_of_network": {"deductible": "300.00", "out_of_pocket": "300.00"}}
    assert "out_of_network" not in differences(case, course)
    assert EARLIER in case["why"]
    sca = agreed(1, "160.00", "2025-05-15", None, sessions_authorized="2")
    case, course = one_course(tmp_path / "agreed", lines, benefits=[start], agreements=[sca])
    assert case["agreement"]["sessions_authorized"] == 1
    assert case["accumulators"] == {
        "in_network": {"deductible": "160.00", "out_of_pocket": "160.00"},
        "out_of_network": {"deductible": "150.00", "out_of_pocket": "150.00"},
    }
    quoted = quote(read_case(case))["arrangements"]["sca"]["totals"]
    assert Decimal(quoted["plan_paid"]) == course["plan_paid_sca"]


def test_a_plan_without_oon_benefits(tmp_path: Path) -> None:
    none = {k: None if k.startswith("out_of_network") else v for k, v in BENEFITS.items()}
    case, course = one_course(tmp_path, [claim("A1", 1, "2026-02-02")], benefits=[none])
    assert case["benefits"]["out_of_network"] is None
    assert case["out_of_network_allowed"] is None
    assert differences(case, course) == []


def test_what_cannot_be_a_case_says_why(tmp_path: Path) -> None:
    exports = open_tables(tmp_path, claims=[claim("A1", 1)], directory=[listing_elsewhere()], fees=FEES)
    built = build_all(exports, AS_OF)
    assert (built.cases, built.reasons) == ({}, {"C00001": "no benefits in these exports"})
    with pytest.raises(CaseError, match="course C00001 cannot be made a case: no benefits in these exports"):
        build_case(exports, AS_OF, "A1", npi(1))
    with pytest.raises(CaseError, match="check both numbers") as caught:
        build_case(exports, AS_OF, "A2", npi(1))
    assert "A2" not in str(caught.value)


def test_no_course_is_no_case(tmp_path: Path) -> None:
    here = listing_elsewhere() | {"npi": npi(1)}
    assert build_cases(open_tables(tmp_path, claims=[claim("A1", 1)], directory=[here]), AS_OF) == {}
