"""All open cases at one basis: the same as quoting case by case, and nothing left out without a word."""

from dataclasses import replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest

from sca_analysis.course_cases import build_all
from sca_analysis.courses import Collection, cost_courses
from sca_analysis.errors import ParameterError
from sca_analysis.exports import Exports
from sca_analysis.fee_words import describe_effect, describe_left_out, tabulate_effect
from sca_analysis.portfolio import PARTIES, Portfolio, as_dollars, count_left_out, load_portfolio, pay_at
from sca_analysis.quotes import quote, read_case
from tests.conftest import SAMPLE
from tests.folders import claim, open_tables, span
from tests.test_course_cases import AS_OF, BENEFITS, FEES, listing_elsewhere


@pytest.fixture(scope="module")
def sample() -> Exports:
    return Exports.open(SAMPLE)


@pytest.fixture(scope="module")
def everything(sample: Exports) -> Portfolio:
    return load_portfolio(sample, sample.last_day, None)


def total(effect: Any, column: str) -> Decimal:
    return Decimal(int(effect[effect["specialty"] == "all"].iloc[0][column])) / 100


def test_today_and_assumed_are_what_courses_cost(sample: Exports, everything: Portfolio) -> None:
    courses = cost_courses(sample, sample.last_day)
    effect = pay_at(everything, "percent_of_usual_charge", Decimal(50))
    for party in PARTIES:
        assert total(effect, f"{party}_out_of_network") == sum(courses[f"{party}_out_of_network"])
        assert total(effect, f"{party}_assumed") == sum(courses[f"{party}_sca"])


@pytest.mark.parametrize("share", ["0", "0.35", "1"])
def test_the_way_to_the_usual_charge_is_that_of_courses(sample: Exports, everything: Portfolio, share: str) -> None:
    courses = cost_courses(sample, sample.last_day, rate_share=Decimal(share))
    free = courses[courses["sca_rate_basis"] == "usual_charge"]
    agreed = everything.courses["sca_rate_basis"] == "agreed_rate"
    only = everything.courses.assign(left_out=everything.courses["left_out"].where(~agreed, "agreed"))
    portfolio = replace(everything, courses=only)
    effect = pay_at(portfolio, "way_to_usual_charge", Decimal(share) * 100)
    for party in PARTIES:
        assert total(effect, f"{party}_what_if") == sum(free[f"{party}_sca"])


@pytest.mark.parametrize(("basis", "percent"), [("percent_of_medicare", "137.5"), ("percent_of_usual_charge", "62")])
def test_one_by_one_the_quotes_come_to_the_same(tmp_path: Path, basis: str, percent: str) -> None:
    fees = [{**fee, "medicare_rate": rate} for fee, rate in zip(FEES, ("133.33", "71.17"), strict=True)]
    lines = [
        claim(member, 1, day, billed_amount=billed, procedure_code=code)
        for member in ("A1", "A2", "A3")
        for day, code, billed in (
            ("2026-02-02", "90837", "205.00"),
            ("2026-02-02", "90833", "93.33"),
            ("2026-05-12", "90837", "205.00"),
            ("2026-06-12", "90833", "60.00"),
        )
    ]
    members = [span(m) for m in ("A1", "A2", "A3")]
    exports = open_tables(
        tmp_path, claims=lines, directory=[listing_elsewhere()], members=members, benefits=[BENEFITS], fees=fees
    )
    collection = Collection(Decimal("0.9"), Decimal("0.333333"))
    portfolio = load_portfolio(exports, AS_OF, collection=collection)
    effect = pay_at(portfolio, basis, Decimal(percent))
    built = build_all(exports, AS_OF)
    known = "medicare_rate" if basis == "percent_of_medicare" else "usual_charge"
    parts = {f["procedure_code"]: Decimal(f[known]) for f in fees}
    sums = dict.fromkeys(PARTIES, Decimal(0))
    for case in built.cases.values():
        rate = {}
        for code, billed in case["billed_per_unit"].items():
            lines_of = code.split(" (")[0].split("+")
            cents = [(parts[c] * Decimal(percent) / 100).quantize(Decimal("0.01"), ROUND_HALF_UP) for c in lines_of]
            charges = {"90837": Decimal("205.00"), "90833": Decimal("93.33")}
            rate[code] = str(
                sum(min(c, charges[p]) for c, p in zip(cents, lines_of, strict=True))
                if len(lines_of) > 1
                else min(cents[0], Decimal(billed))
            )
        shares = {"cost_share": "0.9", "balance_bill": "0.333333"}
        quoted = quote(read_case({**case, "agreement": {**case["agreement"], "rate": rate}, "collection_rate": shares}))
        for party in PARTIES:
            sums[party] += Decimal(quoted["arrangements"]["sca"]["totals"][party])
    assert len(built.cases) == 3
    assert {party: total(effect, f"{party}_what_if") for party in PARTIES} == sums


def test_specialties_add_up_to_all(everything: Portfolio) -> None:
    effect = pay_at(everything, "percent_of_medicare", Decimal(150))
    parts, whole = effect[effect["specialty"] != "all"], effect[effect["specialty"] == "all"].iloc[0]
    for column in (
        "courses",
        "visits",
        *(f"{p}_{w}" for p in PARTIES for w in ("out_of_network", "assumed", "what_if")),
    ):
        assert parts[column].sum() == whole[column]
    for party in PARTIES:
        change = effect[f"{party}_what_if"] - effect[f"{party}_out_of_network"]
        assert ((effect[f"{party}_low"] <= change) & (change <= effect[f"{party}_high"])).all()


def test_paying_more_never_costs_the_plan_less(everything: Portfolio) -> None:
    paid = [
        total(pay_at(everything, "percent_of_medicare", Decimal(p)), "plan_paid_what_if") for p in range(0, 400, 50)
    ]
    assert paid == sorted(paid)


def test_what_cannot_be_rated_is_counted_apart(tmp_path: Path) -> None:
    lines = [
        claim("A1", 1, "2026-06-01"),
        claim("A2", 1, "2026-06-01", procedure_code="90833"),
        claim("A3", 1, "2026-01-01", billed_amount="70.00"),
        claim("A4", 1, "2026-06-01", procedure_code="99999"),
    ]
    fees = [{**FEES[0], "medicare_rate": "130.00"}, FEES[1]]
    members = [span(m) for m in ("A1", "A2", "A3", "A4")]
    exports = open_tables(
        tmp_path, claims=lines, directory=[listing_elsewhere()], members=members, benefits=[BENEFITS], fees=fees
    )
    portfolio = load_portfolio(exports, AS_OF)
    left = count_left_out(portfolio, "percent_of_medicare")
    assert dict(zip(left["reason"], left["courses"], strict=True)) == {
        "Medicare's rate is not known for one of its procedures": 1,
        "ended: no visit in the 90 days to 2026-06-30": 1,
        "no OON allowed amount for procedure 99999": 1,
    }
    assert pay_at(portfolio, "percent_of_medicare", Decimal(100)).iloc[-1]["courses"] == 1
    assert pay_at(portfolio, "percent_of_usual_charge", Decimal(100)).iloc[-1]["courses"] == 2
    assert int(left["courses"].sum()) + 1 == len(portfolio.courses)
    assert "Medicare&#x27;s rate is not known" in describe_left_out(left)


def test_no_course_at_all(tmp_path: Path) -> None:
    exports = open_tables(tmp_path, claims=[claim("A1", 1)], directory=[listing_elsewhere()], fees=FEES)
    portfolio = load_portfolio(exports, AS_OF)
    effect = pay_at(portfolio, "percent_of_medicare", Decimal(100))
    assert effect.empty
    assert "No open course" in describe_effect(effect, "percent_of_medicare", Decimal(100))
    assert tabulate_effect(effect)


def test_bad_parameters_are_refused(everything: Portfolio) -> None:
    for basis, percent, why in (
        ("fair", "1", "is no basis"),
        ("percent_of_medicare", "-1", "below 0 or above 1000"),
        ("percent_of_medicare", "1001", "below 0 or above 1000"),
        ("way_to_usual_charge", "101", "ends at 100%"),
    ):
        with pytest.raises(ParameterError, match=why):
            pay_at(everything, basis, Decimal(percent))


def test_words_and_dollars(everything: Portfolio, sample: Exports) -> None:
    assert sample.last_day == date(2026, 6, 30)
    effect = pay_at(everything, "percent_of_medicare", Decimal(150))
    assert "over 104 open courses with 1,796 visits" in describe_effect(effect, "percent_of_medicare", Decimal(150))
    dollars = as_dollars(effect)["plan_paid_what_if"]
    assert [int(d * 100) for d in dollars] == effect["plan_paid_what_if"].tolist()
