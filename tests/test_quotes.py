"""Case files in, quotes out: the worked examples, hand-computed cases and what is refused."""

import copy
import json
import math
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sca_analysis import quotes
from sca_analysis.errors import CaseError

SHARED = Path(__file__).resolve().parents[2] / "shared"
EXAMPLES = sorted(SHARED.glob("worked_examples/*.json"))


@pytest.fixture(autouse=True, scope="module")
def _raise_on_numpy_errors():
    with np.errstate(all="raise"):
        yield


def tier(deductible, coinsurance, **others):
    return {"deductible": deductible, "coinsurance": coinsurance, **others}


def case(**changes):
    """A sound case with every field; ``changes`` replace whole fields."""
    whole = {
        "name": "a case",
        "why": "for a test",
        "billed_per_unit": "200.00",
        "in_network_rate": "110.00",
        "out_of_network_allowed": "140.00",
        "visits": [{"date": "2026-01-05", "units": 1}, {"date": "2026-01-12", "units": 1}],
        "agreement": {
            "rate": "180.00",
            "sessions_authorized": 10,
            "effective_date": "2026-01-01",
            "expiry_date": "2026-12-31",
        },
        "benefits": {
            "plan_year_start": "01-01",
            "in_network": tier("100.00", "0.20", copay=None, deductible_applies=True, out_of_pocket_max="300.00"),
            "out_of_network": tier("150.00", "0.40", copay=None, deductible_applies=True, out_of_pocket_max=None),
        },
        "accumulators": {},
        "collection_rate": {"cost_share": "1.00", "balance_bill": "1.00"},
    }
    return copy.deepcopy({**whole, **changes})


def agreement(**changes):
    return {**case()["agreement"], **changes}


@pytest.mark.skipif(not EXAMPLES, reason="the shared worked examples are not beside this checkout")
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_quote_equals_worked_example(path):
    expected = json.loads(path.read_text(encoding="utf-8"))["expected"]
    assert json.dumps(quotes.quote(quotes.load_case(path))) == json.dumps(expected)


# Worked examples of our own. A row is allowed, deductible, cost share, plan paid, balance bill.


def check(content, rows, totals, rates):
    result = quotes.quote(quotes.read_case(content))
    fields = ("allowed", "deductible", "member_cost_share", "plan_paid", "balance_bill")
    for name, expected in rows.items():
        found = result["arrangements"][name]
        assert [" ".join(visit[f] for f in fields) for visit in found["visits"]] == expected
        assert (found["totals"]["member_total"], found["totals"]["provider_net"]) == totals[name]
    assert tuple(result["break_even_rate"].values()) == rates
    return result


def test_plan_year_turns_between_two_visits():
    """Plan year from 1 July, visits on 30 June and 1 July; $60 of the deductible of $100 are met.

    In-network, allowed 80: first visit 40 deductible + 25% of 40 = 50; then a new year: all 80.
    OON, allowed 60, nothing met of 50: 50 + 50% of 10 = 55 in both years; 40 above allowed.
    SCA, allowed 90: 40 + 25% of 50 = 52.50; then 90 of the new deductible.
    Provider OON: plan 10 + shares 110 + a quarter of the bills of 80 = 140.
    Plan: above 40, the first visit costs x - round(x/4): 10.00 at x = 13.34 (3.335 rounds to 3.34),
    10.01 at x = 13.35, so 53.34. Member: at the charge 40 + 15 + 100 = 155, less than 190.
    Provider: both visits at the rate, all collected: 140 / 2 = 70.
    """
    content = case(
        billed_per_unit="100.00",
        in_network_rate="80.00",
        out_of_network_allowed="60.00",
        visits=[{"date": "2026-07-01", "units": 1}, {"date": "2026-06-30", "units": 1}],
        agreement=agreement(rate="90.00"),
        benefits={
            "plan_year_start": "07-01",
            "in_network": tier("100.00", "0.25", out_of_pocket_max="1000.00"),
            "out_of_network": tier("50.00", "0.50"),
        },
        accumulators={"in_network": {"deductible": "60.00"}},
        collection_rate={"cost_share": "1", "balance_bill": "0.25"},
    )
    rows = {
        "in_network": ["80.00 40.00 50.00 30.00 0.00", "80.00 80.00 80.00 0.00 0.00"],
        "out_of_network": ["60.00 50.00 55.00 5.00 40.00", "60.00 50.00 55.00 5.00 40.00"],
        "sca": ["90.00 40.00 52.50 37.50 0.00", "90.00 90.00 90.00 0.00 0.00"],
    }
    totals = {
        "in_network": ("130.00", "160.00"),
        "out_of_network": ("190.00", "140.00"),
        "sca": ("142.50", "180.00"),
    }
    check(content, rows, totals, ("53.34", "100.00", "70.00"))


def test_sessions_run_out_without_oon_benefits():
    """Charge 50, copay 15, maximum 25, two of three visits authorised, no OON benefits.

    In-network, allowed 30: 15, then the 10 left below the maximum, then nothing.
    OON: three bills of 50; half is collected: 75.
    SCA at 40: shares 15 and 10, plan 25 and 30, the third visit billed 50:
    provider 55 + 80% of 25 + half of 50 = 100.
    Plan: pays nothing while the copay takes all and the maximum is not reached: 2 x 12.50 = 25.
    Member: 25 + 50 at most, less than 150. Provider: above 12.50 the plan pays 2r - 25, so
    2r - 25 + 20 + 25 = 75 at r = 27.50.
    """
    content = case(
        billed_per_unit="50.00",
        in_network_rate="30.00",
        out_of_network_allowed=None,
        visits=[{"date": day, "units": 1} for day in ("2026-03-02", "2026-03-02", "2026-03-03")],
        agreement=agreement(rate="40.00", sessions_authorized=2),
        benefits={
            "in_network": {"deductible": "0.00", "copay": "15.00", "out_of_pocket_max": "25.00"},
            "out_of_network": None,
        },
        collection_rate={"cost_share": "0.8", "balance_bill": "0.5"},
    )
    rows = {
        "in_network": [
            "30.00 0.00 15.00 15.00 0.00",
            "30.00 0.00 10.00 20.00 0.00",
            "30.00 0.00 0.00 30.00 0.00",
        ],
        "out_of_network": ["0.00 0.00 0.00 0.00 50.00"] * 3,
        "sca": ["40.00 0.00 15.00 25.00 0.00", "40.00 0.00 10.00 30.00 0.00", "0.00 0.00 0.00 0.00 50.00"],
    }
    totals = {
        "in_network": ("25.00", "85.00"),
        "out_of_network": ("150.00", "75.00"),
        "sca": ("75.00", "100.00"),
    }
    result = check(content, rows, totals, ("12.50", "50.00", "27.50"))
    covered = [visit["covered_by_agreement"] for visit in result["arrangements"]["sca"]["visits"]]
    assert covered == [True, True, False]


def test_half_cents_round_up_with_a_bargaining_zone():
    """One visit of 1.5 units at 33.33: billed 49.995, so 50.00.

    In-network 20.01 x 1.5 = 30.015, so 30.02; share 0.333333 of it 10.0066, so 10.01; no deductible.
    OON 45.00: 10% is 4.50, 5.00 above allowed and never collected: the provider gets 45.00.
    SCA 29.99 x 1.5 = 44.985, so 44.99; share 14.9966, so 15.00.
    Plan: even 50.00 costs it 33.33, less than 40.50, so up to the charge. Member: 28.50 (rate 19.00)
    costs 9.50; 19.01 x 1.5 = 28.515, so 28.52, costs 9.51. Provider: 45.00 from 30.00.
    """
    content = case(
        billed_per_unit="33.33",
        in_network_rate="20.01",
        out_of_network_allowed="30.00",
        visits=[{"date": "2026-01-05", "units": Decimal("1.5")}],
        agreement=agreement(rate="29.99", sessions_authorized=None, effective_date=None, expiry_date=None),
        benefits={
            "in_network": tier("10.00", "0.333333", deductible_applies=False),
            "out_of_network": tier("0.00", "0.10"),
        },
        collection_rate={"cost_share": "1", "balance_bill": "0"},
    )
    rows = {
        "in_network": ["30.02 0 10.01 20.01 0.00"],
        "out_of_network": ["45.00 0.00 4.50 40.50 5.00"],
        "sca": ["44.99 0 15.00 29.99 0.00"],
    }
    totals = {
        "in_network": ("10.01", "30.02"),
        "out_of_network": ("9.50", "45.00"),
        "sca": ("15.00", "44.99"),
    }
    result = check(content, rows, totals, ("33.33", "19.00", "30.00"))
    assert result["arrangements"]["sca"]["visits"][0]["units"] == 1.5
    assert result["arrangements"]["sca"]["totals"]["deductible"] == "0.00"
    assert "Bargaining zone: 30.00 (provider) to 33.33 (plan) a unit." in quotes.as_table(result)


def test_visits_outside_the_dates_use_no_session():
    content = case(
        visits=[{"date": f"2026-01-{day}", "units": 1} for day in ("05", "06", "07", "08", "09")],
        agreement=agreement(sessions_authorized=2, effective_date="2026-01-06", expiry_date="2026-01-08"),
    )
    content["benefits"]["in_network"]["deductible_applies"] = False
    visits = quotes.quote(quotes.read_case(content))["arrangements"]["sca"]["visits"]
    assert [visit["covered_by_agreement"] for visit in visits] == [False, True, True, False, False]
    # The OON deductible of 150 comes first, the in-network one never; OON allows 140 a visit.
    assert [visit["deductible"] for visit in visits] == ["140.00", "0", "0", "10.00", "0.00"]


@settings(max_examples=20, deadline=None)
@given(st.permutations([(f"2026-0{month}-15", month) for month in range(1, 9)]))
def test_order_of_visits_in_the_file_does_not_matter(days):
    def result(pairs):
        visits = [{"date": day, "units": units} for day, units in pairs]
        content = case(visits=visits, agreement=agreement(sessions_authorized=4))
        return json.dumps(quotes.quote(quotes.read_case(content)))

    assert result(days) == result(sorted(days))


def test_visits_of_one_day_keep_the_order_given():
    content = case(visits=[{"date": "2026-01-06", "units": 3}, *({"date": "2026-01-05", "units": u} for u in (2, 1))])
    assert [visit.units for visit in quotes.read_case(content).visits] == [2, 1, 3]


def test_many_cases_at_once_equal_each_alone():
    contents = [case(), case(visits=case()["visits"][:1]), case(billed_per_unit="90.00")]
    cases = [quotes.read_case(content) for content in contents]
    together = quotes.costs.compare_arrangements(quotes.as_arrays(cases))["sca"].provider_net
    alone = [quotes.quote(c)["arrangements"]["sca"]["totals"]["provider_net"] for c in cases]
    assert [quotes.format_cents(int(net)) for net in together] == alone


# Files


def write(folder, text, name="x.json"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_load_case_reads_json_yaml_and_worked_examples_alike(tmp_path):
    content = case(visits=[{"date": "2026-01-05", "units": 1.5}], billed_per_unit=200.1)
    loaded = quotes.load_case(write(tmp_path, json.dumps(content)))
    assert loaded.billed_per_unit == 20_010
    assert loaded.visits[0].units == Decimal("1.5")
    assert quotes.load_case(write(tmp_path, "\ufeff" + json.dumps({"case": content, "expected": {}}))) == loaded
    text = json.dumps(content).replace('"2026-01-05"', "2026-01-05").replace('"0.20"', "0.20")
    assert quotes.load_case(write(tmp_path, text, "x.YAML")) == loaded


def test_yaml_merges_and_reads_decimals_exactly(tmp_path):
    text = """
billed_per_unit: 200.00
in_network_rate: 1_10.00
out_of_network_allowed: 140
visits: [&visit {date: 2026-01-05, units: 1}, {<<: *visit, date: 2026-01-12}]
agreement: {rate: 180.00, sessions_authorized: 10, effective_date: 2026-01-01, expiry_date: 2026-12-31}
benefits:
  plan_year_start: 01-01
  in_network: &tier {deductible: 100.00, coinsurance: 0.20, out_of_pocket_max: 300.00}
  out_of_network: {<<: *tier, deductible: 150.00, coinsurance: 0.40, out_of_pocket_max: null}
collection_rate: {cost_share: 1, balance_bill: 1.0}
"""
    expected = quotes.read_case(case(name="", why=""))
    assert quotes.load_case(write(tmp_path, text, "x.yml")) == expected


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("{", "x.json", "case x.json is not valid JSON: correct line 1."),
        ('{"name": "a",\n "name": "b"}', "x.json", "case x.json: name is given twice: remove one."),
        ("name: a\nname: b", "x.yaml", "case x.yaml: name is given twice: remove one."),
        ("name: [", "x.yaml", "case x.yaml is not valid YAML: correct line 1."),
        ("name: !!python/object:os.system x", "x.yaml", "case x.yaml is not valid YAML: correct line 1."),
        ("date: 2026-02-30", "x.yml", "case x.yml cannot be read as data: check its numbers and dates."),
        ("1" * 5000, "x.json", "case x.json cannot be read as data: check its numbers and dates."),
        ("[" * 100_000, "x.json", "case x.json cannot be read as data: check its numbers and dates."),
        (
            "[]",
            "x.json",
            "case x.json: the content has the wrong form: give it as an object with named fields.",
        ),
        ("", "x.yaml", "case x.yaml: the content is missing: add it as an object with named fields."),
    ],
)
def test_load_case_refuses_files_that_are_no_data(tmp_path, text, name, message):
    with pytest.raises(CaseError) as raised:
        quotes.load_case(write(tmp_path, text, name))
    assert str(raised.value) == message


def test_load_case_refuses_files_that_are_no_text(tmp_path):
    (tmp_path / "x.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CaseError, match="not text in UTF-8"):
        quotes.load_case(tmp_path / "x.json")
    with pytest.raises(CaseError, match="No such file"):
        quotes.load_case(tmp_path / "absent.json")
    with pytest.raises(CaseError, match="cannot be read"):
        quotes.load_case(tmp_path)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_load_case_names_the_field_that_is_not_finite(tmp_path, number):
    text = json.dumps(case(in_network_rate="@")).replace('"@"', number)
    with pytest.raises(CaseError, match="in_network_rate is not a finite number"):
        quotes.load_case(write(tmp_path, text))
    text = text.replace(number, ".nan" if number == "NaN" else number[:-8] + ".inf")
    with pytest.raises(CaseError, match="in_network_rate is not a finite number"):
        quotes.load_case(write(tmp_path, text, "x.yaml"))


MISSING = object()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("benefits.in_network.deductible", MISSING, 'is missing: add it as dollars, for example "500.00".'),
        ("agreement", MISSING, "is missing: add it as an object with named fields."),
        ("agreement", None, "is missing: add it as an object with named fields."),
        ("benefits.out_of_network", MISSING, "is missing: add it as an object with named fields, or as null"),
        ("collection_rate.cost_share", MISSING, "is missing: add it as a share from 0 to 1"),
        ("agreement.expiry_date", MISSING, "is missing: add it as year-month-day"),
        ("agreement.sessions_authorized", MISSING, "is missing: add it as a whole number"),
        ("billed_per_unit", None, "is empty: give it as dollars"),
        ("billed_per_unit", "-0.01", "is negative"),
        ("billed_per_unit", "$200", "is not a plain number"),
        ("billed_per_unit", "1,200.00", "is not a plain number"),
        ("billed_per_unit", "", "is not a plain number"),
        ("billed_per_unit", True, "is not a plain number"),
        ("billed_per_unit", 200.5, "is not a plain number"),
        ("billed_per_unit", math.nan, "is not a plain number"),
        ("billed_per_unit", "nan", "is not a finite number"),
        ("billed_per_unit", "200.001", "has more than 2 decimals"),
        ("billed_per_unit", "1" * 400, "is above 9999999.99"),
        ("billed_per_unit", [], "is not a plain number"),
        ("agreement.rate", Decimal("1E-400"), "has more than 2 decimals"),
        ("benefits.in_network.coinsurance", "1.01", "is above 1: give it as a share"),
        ("benefits.in_network.coinsurance", "-0.2", "is negative"),
        ("benefits.in_network.coinsurance", "0.1234567", "has more than 6 decimals"),
        ("benefits.in_network", {"deductible": "1.00"}, "has neither coinsurance nor copay"),
        ("benefits.in_network.deductible_applies", "yes", "is not true or false"),
        ("benefits.in_network.out_of_pocket_max", "-1.00", "is negative"),
        ("benefits.in_network.name", "gold", "is not a known field: remove it or correct its name."),
        ("benefits.plan_year_start", "02-30", "is no day of the calendar"),
        ("benefits.plan_year_start", "1 January", "is not a day of the year"),
        ("collection_rate.balance_bill", "1.5", "is above 1"),
        ("accumulators.in_network", {"out_of_pocket": "-5"}, ".out_of_pocket is negative"),
        ("accumulators.in_network", {"oop": "5"}, ".oop is not a known field"),
        ("agreement.sessions_authorized", -1, "is negative"),
        ("agreement.sessions_authorized", "ten", "is not a whole number"),
        ("agreement.expiry_date", "2025-12-31", "agreement has an expiry_date before its effective_date"),
        ("agreement.expiry_date", "12/31/2026", "is not a date"),
        ("agreement.expiry_date", "2026-02-29", "is no day of the calendar"),
        ("out_of_network_allowed", None, "is empty, but the plan has OON benefits"),
        ("visits", [], "is empty: add at least one visit."),
        ("visits", "2026-01-05", "has the wrong form: give it as a list"),
        (
            "visits",
            [{"date": "2026-01-05", "units": 0}],
            "units of visit 1 is zero: give it as a number above 0",
        ),
        ("visits", [{"date": "2026-01-05", "units": -1}], "units of visit 1 is negative"),
        ("visits", [{"date": "2026-01-05", "units": "0.0001"}], "units of visit 1 has more than 3 decimals"),
        ("visits", [{"date": "2026-01-05", "units": 1}, {"units": 1}], "date of visit 2 is missing"),
        ("visits", [3], "visit 1 has the wrong form: give it as an object"),
        ("rate", "1.00", "is not a known field"),
        ("name", 3, "is not text"),
    ],
)
def test_read_case_names_the_field_and_the_fault(path, value, message):
    content = case()
    *parents, last = path.split(".")
    part = content
    for parent in parents:
        part = part[parent]
    if value is MISSING:
        del part[last]
    else:
        part[last] = value
    with pytest.raises(CaseError) as raised:
        quotes.read_case(content, "x.json")
    text = str(raised.value)
    assert text.startswith("case x.json: ")
    assert text.endswith(".")
    assert message in text
    assert path in text or path == "visits" or message.startswith("agreement")


def test_read_case_counts_further_faults():
    content = case(billed_per_unit="-1", in_network_rate="-1", name=3)
    with pytest.raises(CaseError, match=r"name is not text.* \(and 2 more\)\.$"):
        quotes.read_case(content)


def test_rate_above_the_charge_is_no_fault():
    result = quotes.quote(quotes.read_case(case(agreement=agreement(rate="999.00"))))
    assert result["arrangements"]["sca"]["totals"]["allowed"] == "400.00"


def test_copay_alone_needs_no_coinsurance_and_missing_accumulators_are_zero():
    content = case()
    del content["accumulators"], content["name"], content["why"]
    content["benefits"]["in_network"] = {"deductible": "0.00", "copay": "35.00"}
    result = quotes.quote(quotes.read_case(content))
    assert result["arrangements"]["in_network"]["totals"]["member_cost_share"] == "70.00"


# Text


def test_as_table_shows_totals_rates_and_what_opens_an_empty_zone():
    loaded = quotes.read_case(case())
    text = quotes.as_table(quotes.quote(loaded), loaded)
    assert "member total" in text
    assert "covers 2 of 2 visits." in text
    assert "Bargaining zone: empty." in text
    assert "duty to give access" in text
    # At the usual charge: 400 allowed, 100 deductible, 20% of 300: the plan pays 240.
    assert text.splitlines()[-1].split() == ["agreement,", "usual", "charge", "200.00", "240.00"]


def test_as_table_says_where_no_rate_serves_the_provider():
    content = case(out_of_network_allowed=None, collection_rate={"cost_share": "0.1", "balance_bill": "1"})
    content["benefits"]["out_of_network"] = None
    loaded = quotes.read_case(content)
    result = quotes.quote(loaded)
    assert result["break_even_rate"]["provider"] is None
    text = quotes.as_table(result, loaded)
    assert "gets less at every rate" in text
    assert "none" in text
