"""What-if logic: its figures are those of `sca quote`, and what cannot be read is refused with a sentence."""

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sca_analysis import entries, scenarios
from sca_analysis.case_library import load_library, pick, type_case
from sca_analysis.casefile import load_case, read_file
from sca_analysis.errors import CaseError, ParameterError
from sca_analysis.exports import Exports
from sca_analysis.fee_words import describe_outcome, describe_zone
from sca_analysis.kept import Kept, as_csv, as_file, as_table, keep
from sca_analysis.quotes import quote, read_case
from sca_analysis.scenarios import Basis
from sca_analysis.what_if import (
    PARTIES,
    Anchors,
    Inputs,
    Outcome,
    TierInputs,
    anchor_references,
    as_percent_of_medicare,
    change,
    find_ranges,
    measure,
    read_inputs,
)
from tests.conftest import ROOT, SAMPLE, SHARED

CASE = read_file(ROOT / "data" / "example_case.json")
KNOWN = anchor_references(scenarios.load(ROOT / "data" / "scenarios" / "references.yml", scenarios.References))
BY_CODE: dict[str, Any] = {
    **CASE,
    "billed_per_unit": {"A": "210.00", "B": "95.50"},
    "in_network_rate": {"A": "118.00", "B": "60.00"},
    "out_of_network_allowed": {"A": "150.00", "B": "70.00"},
    "visits": [{**v, "procedure_code": "AB"[n % 2]} for n, v in enumerate(CASE["visits"])],
    "agreement": {**CASE["agreement"], "rate": {"A": "185.00", "B": "80.00"}},
}
BY_CODE_KNOWN = Anchors(medicare_rate={"A": Decimal("124.00"), "B": Decimal("55.00")})


def assert_as_quoted(outcome: Outcome, quoted: dict[str, Any]) -> None:
    """All figures of an outcome are those of a quote."""
    for name, part in quoted["arrangements"].items():
        for total, amount in part["totals"].items():
            assert outcome.totals[name][total] == round(Decimal(amount) * 100), (name, total)
        paid = [0, 0]
        for number, visit in enumerate(part["visits"]):
            paid[0] += round(Decimal(visit["plan_paid"]) * 100)
            paid[1] += round((Decimal(visit["member_cost_share"]) + Decimal(visit["balance_bill"])) * 100)
            assert [outcome.cumulative[name][side][number] for side in ("plan", "member")] == paid
    found = quoted["break_even_rate"] or quoted["break_even_percent_of_billed"]
    assert {side: None if f is None else str(f) for side, f in outcome.break_even.items()} == found
    assert outcome.is_percent == (quoted["break_even_rate"] is None)


amounts = st.integers(0, 40_000).map(lambda cents: Decimal(cents) / 100)
percents = st.integers(0, 100).map(Decimal)
tiers = st.builds(
    TierInputs,
    deductible=st.integers(0, 3000).map(Decimal),
    coinsurance=percents,
    copay=st.none() | amounts,
    out_of_pocket_max=st.none() | st.integers(0, 9000).map(Decimal),
)
bases = st.one_of(
    st.none(),
    st.builds(lambda a: Basis(basis="amount", amount=a), amounts),
    st.builds(lambda p: Basis(basis="percent_of_medicare", percent=p), percents),
    st.builds(lambda p: Basis(basis="percent_of_billed", percent=p), percents),
)
inputs = st.builds(
    Inputs,
    fee=st.none() | percents,
    visits=st.integers(1, 60),
    sessions=st.none() | st.integers(0, 60),
    cost_share=percents,
    balance_bill=percents,
    in_network=tiers,
    out_of_network=st.none() | tiers,
    oon_basis=bases,
)


@pytest.mark.parametrize(("case", "known"), [(CASE, KNOWN), (BY_CODE, BY_CODE_KNOWN)], ids=["one rate", "by procedure"])
@settings(max_examples=25, deadline=None)
@given(given_inputs=inputs)
def test_the_exported_case_quotes_as_shown(case: dict[str, Any], known: Anchors, given_inputs: Inputs) -> None:
    changed = change(case, given_inputs, known)
    shown = measure(changed, known)
    assert_as_quoted(shown, quote(read_case(json.loads(as_file(changed)))))


@pytest.mark.parametrize("case", [CASE, BY_CODE], ids=["one rate", "by procedure"])
def test_a_case_as_it_is_stays_as_it_is(case: dict[str, Any]) -> None:
    same = change(case, read_inputs(case))
    assert quote(read_case(same)) == quote(read_case(case))
    assert read_inputs(same) == read_inputs(case)


def test_worked_examples_are_as_expected() -> None:
    examples = sorted((SHARED / "worked_examples").glob("*.json"))
    if not examples:
        pytest.skip("the worked examples (../shared/worked_examples) are not here")
    for path in examples:
        example = read_file(path)
        case = example.get("case", example) if isinstance(example, dict) else example
        assert_as_quoted(measure(case), quote(read_case(case)))
        assert_as_quoted(measure(change(case, read_inputs(case))), quote(read_case(case)))


def test_a_file_on_disk_is_read_by_the_command(tmp_path: Path) -> None:
    changed = change(CASE, replace(read_inputs(CASE), fee=Decimal("150.25"), visits=40, sessions=30), KNOWN)
    path = tmp_path / "case.json"
    path.write_text(as_file(changed), encoding="utf-8")
    assert_as_quoted(measure(changed, KNOWN), quote(load_case(path)))


def test_inputs_do_what_the_scenarios_do() -> None:
    now = read_inputs(CASE)
    for name, inputs_ in {
        "fee_150_percent_of_medicare": replace(now, fee=Decimal(186)),
        "oon_140_percent_of_medicare": replace(now, oon_basis=Basis(basis="percent_of_medicare", percent=Decimal(140))),
        "oon_80th_percentile": replace(now, oon_basis=Basis(basis="percentile_of_charges", percentile=80)),
        "oon_none": replace(now, out_of_network=None),
        "visits_year": replace(now, visits=52),
        "collection_poor": replace(now, cost_share=Decimal(70), balance_bill=Decimal(20)),
    }.items():
        scenario = scenarios.load(ROOT / "data" / "scenarios" / f"{name}.yaml", scenarios.Scenario)
        references = scenarios.load(ROOT / "data" / "scenarios" / "references.yml", scenarios.References)
        theirs = quote(read_case(scenarios.apply(scenario, CASE, references)))
        assert_as_quoted(measure(change(CASE, inputs_, KNOWN), KNOWN), theirs)


def test_marks_are_the_visits_at_which_nothing_is_left() -> None:
    shown = measure(CASE, KNOWN)
    visits = quote(read_case(CASE))["arrangements"]["out_of_network"]["visits"]
    [mark] = [m for m in shown.marks if m.arrangement == "out_of_network"]
    paid = [Decimal(v["deductible"]) for v in visits]
    assert sum(paid[: mark.visit]) == Decimal("1600.00") > sum(paid[: mark.visit - 1])
    tight = change(
        CASE, replace(read_inputs(CASE), in_network=TierInputs(*map(Decimal, (100, 50)), None, Decimal(300)))
    )
    [most] = [m for m in measure(tight).marks if m.arrangement == "sca" and m.limit == "out_of_pocket_max"]
    shares = [Decimal(v["member_cost_share"]) for v in quote(read_case(tight))["arrangements"]["sca"]["visits"]]
    assert sum(shares[: most.visit]) == 300 > sum(shares[: most.visit - 1])


def test_a_limit_used_up_before_is_marked_at_the_start() -> None:
    used = {**CASE, "accumulators": {"out_of_network": {"deductible": "1600.00", "out_of_pocket": "1600.00"}}}
    assert [m.visit for m in measure(used).marks if m.arrangement == "out_of_network"] == [0]


def test_rates_compared_are_quotes_of_their_own() -> None:
    for at in measure(CASE, KNOWN).rates:
        theirs = quote(read_case(change(CASE, replace(read_inputs(CASE), fee=at.rate))))["arrangements"]["sca"][
            "totals"
        ]
        for party in PARTIES:
            assert getattr(at, party) == round(Decimal(theirs[party]) * 100), at.rate_of


def test_percent_of_medicare() -> None:
    assert as_percent_of_medicare(measure(CASE, KNOWN), KNOWN) == Decimal("149.2")
    assert as_percent_of_medicare(measure(CASE), Anchors()) is None
    shown = measure(BY_CODE, BY_CODE_KNOWN)
    assert as_percent_of_medicare(shown, BY_CODE_KNOWN) == pytest.approx(
        Decimal(100 * (185 + 80)) / (124 + 55), abs=Decimal("0.1")
    )


def test_ranges_hold_what_is_set_and_repeat() -> None:
    ranges = find_ranges(CASE)
    assert ranges == find_ranges(CASE)
    for low, middle, high in ranges.values():
        assert low <= middle <= high
    total = Decimal(quote(read_case(CASE))["arrangements"]["out_of_network"]["totals"]["plan_paid"])
    assert ranges["plan_paid_out_of_network"][0] < total < ranges["plan_paid_out_of_network"][2]
    assert find_ranges(BY_CODE)


def test_relative_draws_without_spread_are_the_case() -> None:
    fixed = {"low": "100", "likely": "100", "high": "100"}
    uncertain = scenarios.Uncertainty.model_validate({"out_of_network_allowed": fixed, "agreed_rate": fixed})
    table = scenarios.simulate(BY_CODE, uncertain, 1, 10, relative=True).set_index("measure")
    totals = quote(read_case(BY_CODE))["arrangements"]["sca"]["totals"]
    assert str(table.loc["plan_paid_sca", "p50"]) == totals["plan_paid"]
    with pytest.raises(CaseError, match="a range needs a case with one agreement"):
        scenarios.simulate(BY_CODE, uncertain, 1, 10)


def test_what_is_not_known_is_said() -> None:
    now = read_inputs(CASE)
    with pytest.raises(CaseError, match="Medicare's rate is not known for this case: choose another basis"):
        change(CASE, replace(now, oon_basis=Basis(basis="percent_of_medicare", percent=Decimal(140))))
    none = change(CASE, replace(now, out_of_network=None))
    none["out_of_network_allowed"] = None
    with pytest.raises(CaseError, match="choose what it is based on"):
        change(none, now)


def test_the_zone_is_said_or_what_would_open_it() -> None:
    assert "Bargaining zone: empty" in describe_zone(measure(CASE))
    dear = measure(change(CASE, replace(read_inputs(CASE), out_of_network=None)))
    assert "a unit (provider) to" in describe_zone(dear) or dear.zone is None
    poor = measure(change(CASE, replace(read_inputs(CASE), balance_bill=Decimal(0))))
    assert poor.zone is None or poor.zone[0] <= poor.zone[1]
    assert "the plan pays &#36;3,112.00, &#36;1,912.00 more than OON" in describe_outcome(measure(CASE, KNOWN), KNOWN)


def test_scenarios_are_kept_side_by_side() -> None:
    kept: list[Kept] = []
    for name, fee in (("low", 120), ("", 150)):
        content = change(CASE, replace(read_inputs(CASE), fee=Decimal(fee)), KNOWN)
        kept = keep(kept, name, content, measure(content, KNOWN), KNOWN)
    table = as_table(kept)
    assert table["scenario"].tolist() == ["low", "scenario 2"]
    for one, row in zip(kept, table.to_dict("records"), strict=True):
        quoted = quote(read_case(json.loads(as_file(one.content))))
        assert row["plan_paid_sca"] == quoted["arrangements"]["sca"]["totals"]["plan_paid"]
        assert row["break_even_provider"] == quoted["break_even_rate"]["provider"]
    assert as_csv(kept).splitlines()[0].startswith("scenario,fee,fee_unit,percent_of_medicare,visits")
    for name, why in (("low", "kept already"), ("=1+1", "like a formula"), ("x" * 61, "more than 60")):
        with pytest.raises(ParameterError, match=why):
            keep(kept, name, kept[0].content, kept[0].outcome, KNOWN)


def test_courses_of_exports_are_cases_without_identifiers() -> None:
    exports = Exports.open(SAMPLE)
    library = load_library(exports, exports.last_day)
    assert list(library.table.columns) == ["course_id", "specialty", "visits", "county"]
    for course in library.table["course_id"].head(20):
        content, anchors = pick(library, course)
        basis = Basis(basis="percentile_of_charges", percentile=80)
        changed = change(
            content,
            replace(read_inputs(content), oon_basis=basis, out_of_network=read_inputs(CASE).out_of_network),
            anchors,
        )
        assert_as_quoted(measure(changed, anchors), quote(read_case(changed)))
    with pytest.raises(ParameterError, match="there is no course"):
        pick(library, "C99999")


def test_a_case_is_typed_in() -> None:
    typed = type_case(Decimal(200), Decimal(120), Decimal(150), 3, CASE["benefits"], date(2026, 1, 5), 14)
    assert [v["date"] for v in typed["visits"]] == ["2026-01-05", "2026-01-19", "2026-02-02"]
    assert measure(typed).totals["sca"]["allowed"] == 60_000


@pytest.mark.parametrize(
    ("text", "value"),
    [("185", "185.00"), (" $1,234.50 ", "1234.50"), (".5", "0.50"), ("0", "0.00"), ("12.30", "12.30")],
)
def test_amounts_are_read_as_people_write_them(text: str, value: str) -> None:
    assert str(entries.read_amount(text, "Fee")) == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "Fee is empty"),
        ("abc", "Fee is not a number"),
        ("1,2,3", "Fee is not a number"),
        ("-5", "Fee is negative"),
        ("1.234", "more than two decimals"),
        ("10000000", "Fee is above 9,999,999.99"),
        ("1e5", "Fee is not a number"),
        ("NaN", "Fee is not a number"),
        ("١٢", "Fee is not a number"),
        ("<b>", "Fee is not a number"),
    ],
)
def test_nonsense_is_refused_with_a_sentence(text: str, why: str) -> None:
    with pytest.raises(ParameterError, match=why) as caught:
        entries.read_amount(text, "Fee")
    assert str(caught.value).endswith(".")


def test_other_entries() -> None:
    assert entries.read_percent("80%", "Share") == 80
    assert entries.read_count("24", "Visits") == 24
    assert entries.read_optional_count("", "Sessions") is None
    assert entries.read_optional_amount(" ", "Copay") is None
    assert entries.read_optional_percent("", "Coinsurance") is None
    assert entries.read_day("2026-01-05") == date(2026, 1, 5)
    assert entries.read_percentile("80", (50, 80)) == 80
    for read, why in (
        (lambda: entries.read_percent("101", "Share"), "above 100%"),
        (lambda: entries.read_percent("1.234", "Share"), "more than two decimals"),
        (lambda: entries.read_count("2.5", "Visits"), "not a whole number"),
        (lambda: entries.read_count("0", "Visits"), "out of range"),
        (lambda: entries.read_count("501", "Visits"), "out of range"),
        (lambda: entries.read_day("5 January"), "is not a day"),
        (lambda: entries.read_percentile("70", (50, 80)), "write one of 50, 80"),
        (lambda: entries.read_percentile("70", ()), "no percentile"),
    ):
        with pytest.raises(ParameterError, match=why):
            read()


@given(st.text(max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (entries.read_amount, entries.read_percent, entries.read_count):
        try:
            value = read(text, "It")
        except ParameterError:
            continue
        assert value >= 0
