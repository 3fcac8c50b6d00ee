"""Case files in, quotes out: the worked examples, hand-computed cases and what is refused."""

import copy
import json
import math
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sca_analysis import quotes
from sca_analysis.errors import CaseError
from tests.test_costs import DAYS, agreements, at, courses, covers, dollars, half_up, oracle

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
    percents = result.get("break_even_percent_of_billed")
    assert tuple((percents or result["break_even_rate"]).values()) == rates
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


def test_embedded_family_meets_deductible_and_maximum_for_the_member():
    """In-network the member has 250 of his deductible left, but the family only 80; 900 of his maximum, but 120.

    In-network at 100: 80 + 20% of 20 = 84; 20; then a new plan year, with 300 left of the lesser, his own: 100.
    OON, no family: half of 120 is 60, 80 above allowed, three times: member 420, plan 180, provider 600.
    SCA at 150: 80 + 20% of 70 = 94; of 30 the 26 left to the family's maximum; 150 in the new year.
    Plan: from r = 140 the first year's shares are 120 in all, so 2r - 120 = 180 at r = 150; the new year's
    visit is all deductible. Member: 120 + 200 at most, less than 420. Provider: 3r = 600.
    """
    content = case(
        in_network_rate="100.00",
        out_of_network_allowed="120.00",
        visits=[{"date": day, "units": 1} for day in ("2026-06-01", "2026-06-08", "2027-01-04")],
        agreement=agreement(rate="150.00", effective_date=None, expiry_date=None),
        benefits={
            "in_network": tier(
                "300.00",
                "0.20",
                out_of_pocket_max="1000.00",
                family={"deductible": "600.00", "out_of_pocket_max": "1500.00", "kind": "embedded"},
            ),
            "out_of_network": tier("0.00", "0.50"),
        },
        accumulators={
            "in_network": {
                "deductible": "50.00",
                "out_of_pocket": "100.00",
                "family_deductible_used": "520.00",
                "family_out_of_pocket_used": "1380.00",
            }
        },
    )
    rows = {
        "in_network": [
            "100.00 80.00 84.00 16.00 0.00",
            "100.00 0.00 20.00 80.00 0.00",
            "100.00 100.00 100.00 0.00 0.00",
        ],
        "out_of_network": ["120.00 0.00 60.00 60.00 80.00"] * 3,
        "sca": [
            "150.00 80.00 94.00 56.00 0.00",
            "150.00 0.00 26.00 124.00 0.00",
            "150.00 150.00 150.00 0.00 0.00",
        ],
    }
    totals = {
        "in_network": ("204.00", "300.00"),
        "out_of_network": ("420.00", "600.00"),
        "sca": ("270.00", "450.00"),
    }
    check(content, rows, totals, ("150.00", "200.00", "200.00"))


def test_aggregate_family_counts_alone_for_the_deductible_but_not_for_the_maximum():
    """The family has 50 of its deductible left and 100 of its maximum; the member has 70 of his maximum.

    In-network at 90: 50 + 25% of 40 = 60; of 22.50 the 10 left to his maximum.
    OON: half of 100 is 50, 100 above allowed, twice: member 300, plan 100, provider 400.
    SCA at 130: 50 + 25% of 80 = 70, which reaches his maximum; then nothing.
    Plan: from r = 65 the shares are 70 in all, so 2r - 70 = 100 at r = 85. Member: 70 at most. Provider: 2r = 400.
    """
    family = {"deductible": "400.00", "out_of_pocket_max": "1000.00", "kind": "aggregate"}
    content = case(
        in_network_rate="90.00",
        out_of_network_allowed="100.00",
        agreement=agreement(rate="130.00"),
        benefits={
            "in_network": {"coinsurance": "0.25", "out_of_pocket_max": "500.00", "family": family},
            "out_of_network": tier("0.00", "0.50"),
        },
        accumulators={
            "in_network": {
                "deductible": "10.00",
                "out_of_pocket": "430.00",
                "family_deductible_used": "350.00",
                "family_out_of_pocket_used": "900.00",
            }
        },
    )
    rows = {
        "in_network": ["90.00 50.00 60.00 30.00 0.00", "90.00 0.00 10.00 80.00 0.00"],
        "out_of_network": ["100.00 0.00 50.00 50.00 100.00"] * 2,
        "sca": ["130.00 50.00 70.00 60.00 0.00", "130.00 0.00 0.00 130.00 0.00"],
    }
    totals = {
        "in_network": ("70.00", "180.00"),
        "out_of_network": ("300.00", "400.00"),
        "sca": ("70.00", "260.00"),
    }
    result = check(content, rows, totals, ("85.00", "200.00", "200.00"))
    # what he has met of a deductible of his own is not read
    content["benefits"]["in_network"]["deductible"] = "20.00"
    assert quotes.quote(quotes.read_case(content)) == result


def test_family_amounts_left_out_are_those_of_this_member():
    content = case(accumulators={"in_network": {"deductible": "70.00", "out_of_pocket": "70.00"}})
    content["benefits"]["in_network"]["family"] = {"deductible": "90.00", "kind": "aggregate"}
    result = quotes.quote(quotes.read_case(content))
    assert result["arrangements"]["in_network"]["visits"][0]["deductible"] == "20.00"
    used = {"family_deductible_used": "70.00", "family_out_of_pocket_used": "70.00"}
    content["accumulators"]["in_network"] |= used
    assert quotes.quote(quotes.read_case(content)) == result


def test_copay_comes_first_then_coinsurance_on_what_remains():
    """In-network: deductible 40, copay 20, then 10%. Charge 150.

    In-network at 100: 40 + 20 + 10% of 40 = 64; then 20 + 10% of 80 = 28.
    OON: 30% of 80 is 24, 70 above allowed, twice: member 188, plan 112, provider 300.
    SCA at 125: 40 + 20 + 6.50 = 66.50; 20 + 10.50 = 30.50.
    Plan: 0.9 (r - 60) + 0.9 (r - 20) = 112 at r = 102.22: 4.222 and 8.222 round down, 38.00 + 74.00; at 102.23
    they still do, 112.02. Member: 102 at the charge. Provider: 2r = 300.
    """
    content = case(
        billed_per_unit="150.00",
        in_network_rate="100.00",
        out_of_network_allowed="80.00",
        agreement=agreement(rate="125.00"),
        benefits={
            "in_network": tier("40.00", "0.10", copay="20.00", copay_and_coinsurance=True),
            "out_of_network": tier("0.00", "0.30"),
        },
    )
    rows = {
        "in_network": ["100.00 40.00 64.00 36.00 0.00", "100.00 0.00 28.00 72.00 0.00"],
        "out_of_network": ["80.00 0.00 24.00 56.00 70.00"] * 2,
        "sca": ["125.00 40.00 66.50 58.50 0.00", "125.00 0.00 30.50 94.50 0.00"],
    }
    totals = {
        "in_network": ("92.00", "200.00"),
        "out_of_network": ("188.00", "300.00"),
        "sca": ("97.00", "250.00"),
    }
    check(content, rows, totals, ("102.22", "150.00", "150.00"))
    content["benefits"]["in_network"]["copay_and_coinsurance"] = False  # the copay instead: 40 + 20, then 20
    totals = quotes.quote(quotes.read_case(content))["arrangements"]["in_network"]["totals"]
    assert totals["member_total"] == "80.00"


def by_procedure(intake, session):
    return {"90791": intake, "90837": session}


def procedures_case(**changes):
    """An intake and a session on one day, a session the week after."""
    whole = {
        "billed_per_unit": by_procedure("300.00", "200.00"),
        "in_network_rate": by_procedure("150.00", "110.00"),
        "out_of_network_allowed": by_procedure("180.00", "120.00"),
        "visits": [
            {"date": "2026-01-05", "units": 1, "procedure_code": "90791"},
            {"date": "2026-01-05", "units": 1, "procedure_code": "90837"},
            {"date": "2026-01-12", "units": 1, "procedure_code": "90837"},
        ],
        "agreement": agreement(rate=by_procedure("240.00", "170.00")),
        "benefits": {"in_network": tier("100.00", "0.20"), "out_of_network": tier("50.00", "0.50")},
        "collection_rate": {"cost_share": "1.00", "balance_bill": "0.50"},
    }
    return case(**{**whole, **changes})


def test_rates_by_procedure_break_even_at_a_percentage_of_billed():
    """Deductible 100, then 20%, in-network; 50, then 50%, OON; half of balance bills is collected.

    In-network: 100 + 20% of 50 = 110; 20% of 110 = 22, twice.
    OON: 50 + half of 130 = 115, 120 above allowed; 60 and 80, twice: plan 185, provider 185 + 235 + 140 = 560.
    SCA: 100 + 20% of 140 = 128; 20% of 170 = 34, twice.
    Plan, p% of 300, 200 and 200: 80% of 7p - 100 is 185 at p = 47.32: 141.96 and 94.64 allowed, the plan pays
    33.57 + 2 x 75.71 = 184.99; at 47.33 it is 33.59 + 2 x 75.73 = 185.05. Member: 220 at 100%, less than 515.
    Provider: 7p = 560 at p = 80.
    """
    rows = {
        "in_network": ["150.00 100.00 110.00 40.00 0.00", *["110.00 0.00 22.00 88.00 0.00"] * 2],
        "out_of_network": ["180.00 50.00 115.00 65.00 120.00", *["120.00 0.00 60.00 60.00 80.00"] * 2],
        "sca": ["240.00 100.00 128.00 112.00 0.00", *["170.00 0.00 34.00 136.00 0.00"] * 2],
    }
    totals = {
        "in_network": ("154.00", "370.00"),
        "out_of_network": ("515.00", "560.00"),
        "sca": ("196.00", "580.00"),
    }
    content = procedures_case()
    result = check(content, rows, totals, ("47.32", "100.00", "80.00"))
    assert result["break_even_rate"] is None
    assert [v["procedure_code"] for v in result["arrangements"]["sca"]["visits"]] == ["90791", "90837", "90837"]
    text = quotes.as_table(result, quotes.read_case(content))
    assert "Break-even percentages of what is billed, agreement against out of network:" in text
    assert "gets no less from 80.00%" in text
    # At 80% of 700: 560 allowed, 100 deductible, 20% of 460: the plan pays 368. At 100%: 600 less 120.
    assert text.splitlines()[-2].split()[-2:] == ["80.00%", "368.00"]
    assert text.splitlines()[-1].split()[-2:] == ["several", "480.00"]


def test_bargaining_zone_of_percentages():
    content = procedures_case(collection_rate={"cost_share": "1.00", "balance_bill": "0.00"})
    content["benefits"]["in_network"] = tier("0.00", "0.90")
    text = quotes.as_table(quotes.quote(quotes.read_case(content)))
    assert "Bargaining zone: 60.00% (provider) to 100.00% (plan) of what is billed." in text


def test_one_agreed_rate_for_all_procedures_breaks_even_at_a_rate():
    """One charge and one agreed rate: units are alike, though in-network rates differ."""
    content = procedures_case(billed_per_unit="200.00", out_of_network_allowed="120.00", agreement=agreement())
    result = quotes.quote(quotes.read_case(content))
    assert result["break_even_rate"]["plan"] is not None
    assert "break_even_percent_of_billed" not in result


def test_telehealth_visits_have_their_own_rate():
    """Two visits, the second by telehealth: agreed at 180 and 90; in-network 110 and OON 140 for both.

    In-network: 100 + 20% of 10 = 102; 22. OON: 140 of the deductible of 150; 10 + 40% of 130 = 62; 60 above
    allowed, twice. SCA: 100 + 20% of 80 = 116; 20% of 90 = 18.
    Break-even is one rate for both visits. Plan: 80% of 2r - 100 is 78 at r = 98.75; at 98.76 it is 78.02.
    """
    content = case(
        visits=[
            {"date": "2026-01-05", "units": 1, "telehealth": False},
            {"date": "2026-01-12", "units": 1, "telehealth": True},
        ],
        agreement=agreement(telehealth_rate="90.00"),
    )
    rows = {
        "in_network": ["110.00 100.00 102.00 8.00 0.00", "110.00 0.00 22.00 88.00 0.00"],
        "out_of_network": ["140.00 140.00 140.00 0.00 60.00", "140.00 10.00 62.00 78.00 60.00"],
        "sca": ["180.00 100.00 116.00 64.00 0.00", "90.00 0.00 18.00 72.00 0.00"],
    }
    totals = {
        "in_network": ("124.00", "220.00"),
        "out_of_network": ("322.00", "400.00"),
        "sca": ("134.00", "270.00"),
    }
    result = check(content, rows, totals, ("98.75", "200.00", "200.00"))
    assert [v.get("telehealth") for v in result["arrangements"]["sca"]["visits"]] == [None, True]
    content["agreement"]["telehealth_rate"] = None  # the agreed rate then
    assert quotes.quote(quotes.read_case(content))["arrangements"]["sca"]["totals"]["allowed"] == "360.00"


def test_visits_before_the_decision_are_readjudicated():
    """Three visits in January; the agreement is from 1 January, decided on the day of the third.

    OON: members' shares and bills 140 + 60 and 62 + 60, the plan 0 and 78. SCA: shares 116 and 36, the plan 64
    and 144. For the two before the decision the plan pays 208 - 78 = 130 more, the member gets 322 - 152 = 170.
    With one session, the second is OON either way, but now it is the first OON visit: share 140, bill 60, the
    plan pays nothing. So the plan pays 64 - 78 = -14 more, the member gets 322 - 116 - 200 = 6.
    """
    days = [{"date": f"2026-01-{day}", "units": 1} for day in ("05", "12", "19")]
    content = case(visits=days, agreement=agreement(decision_date="2026-01-19"))
    result = quotes.quote(quotes.read_case(content))
    assert result["retroactive"] == {"visits": 2, "plan_paid_change": "130.00", "member_refund": "170.00"}
    text = quotes.as_table(result)
    assert "Of these, 2 came before the decision." in text
    assert "the plan pays in addition 130.00, the member gets back 170.00." in text
    content["agreement"]["sessions_authorized"] = 1
    result = quotes.quote(quotes.read_case(content))
    assert result["retroactive"] == {"visits": 1, "plan_paid_change": "-14.00", "member_refund": "6.00"}
    content["agreement"]["decision_date"] = "2025-12-20"  # before the first day: nothing to re-adjudicate
    result = quotes.quote(quotes.read_case(content))
    assert result["retroactive"] == {"visits": 0, "plan_paid_change": "0.00", "member_refund": "0.00"}
    assert "retroactive" not in quotes.quote(quotes.read_case(case(visits=days)))


def test_renewals_have_their_own_rates_and_sessions():
    """January agreed at 180 with two sessions, of which one is used; from February 150 with one session.

    In-network: 100 + 20% of 10 = 102; 22; 22. OON: 140; 10 + 40% of 130 = 62; 56; each with 60 above allowed.
    SCA: 100 + 20% of 80 = 116; 20% of 150 = 30; the last is OON, its first visit there: all 140 deductible.
    Plan, one rate for both: 80% of 2r - 100 is 162 at r = 151.25; at 151.26 it is 162.02.
    Member: 360 at the charge, less than 438. Provider: 2r + 200 = 600.
    """
    content = case(
        visits=[{"date": f"2026-{day}", "units": 1} for day in ("01-31", "02-01", "02-09")],
        agreements=[
            agreement(sessions_authorized=2, effective_date=None, expiry_date="2026-01-31"),
            agreement(rate="150.00", sessions_authorized=1, effective_date="2026-02-01", expiry_date=None),
        ],
    )
    del content["agreement"]
    rows = {
        "in_network": ["110.00 100.00 102.00 8.00 0.00", *["110.00 0.00 22.00 88.00 0.00"] * 2],
        "out_of_network": [
            "140.00 140.00 140.00 0.00 60.00",
            "140.00 10.00 62.00 78.00 60.00",
            "140.00 0.00 56.00 84.00 60.00",
        ],
        "sca": [
            "180.00 100.00 116.00 64.00 0.00",
            "150.00 0.00 30.00 120.00 0.00",
            "140.00 140.00 140.00 0.00 60.00",
        ],
    }
    totals = {
        "in_network": ("146.00", "330.00"),
        "out_of_network": ("438.00", "600.00"),
        "sca": ("346.00", "530.00"),
    }
    result = check(content, rows, totals, ("151.25", "200.00", "200.00"))
    covered = [visit["covered_by_agreement"] for visit in result["arrangements"]["sca"]["visits"]]
    assert covered == [True, True, False]
    text = quotes.as_table(result, quotes.read_case(content))
    assert "covers 2 of 3 visits; the others are out of network." in text
    assert ["agreement,", "rate", "as", "given", "several", "184.00"] in [line.split() for line in text.splitlines()]
    # one agreement in a list is the same as one on its own
    one = case()
    listed = {**case(agreements=[one["agreement"]]), "agreement": None}
    assert quotes.quote(quotes.read_case(listed)) == quotes.quote(quotes.read_case(one))


# Everything together, against the oracle of the engine.


@st.composite
def rich_courses(draw, most=3_000):
    """Courses with rates by procedure, telehealth, renewals and decision dates."""
    rates = dollars(most) | st.fixed_dictionaries({"90791": dollars(most), "90837": dollars(most)})
    course = draw(courses(most=most, visits=5))
    names = ("charge", "in_network_rate", "oon_rate", "rate")
    course |= {name: draw(rates) for name in names if draw(st.booleans())}
    terms = [course]
    if draw(st.booleans()):
        days = sorted(draw(st.lists(DAYS, min_size=4, max_size=4, unique=True)))
        course |= {"effective": draw(st.sampled_from([days[0], date.min])), "expiry": days[1]}
        renewal = {"effective": days[2], "expiry": draw(st.sampled_from([days[3], date.max]))}
        terms.append({**renewal, "rate": draw(rates), "sessions": draw(st.integers(0, 3))})
    for one in terms:
        one |= {"telehealth_rate": draw(st.none() | rates), "decision": draw(st.none() | DAYS)}
    for visit in course["visits"]:
        visit |= {"code": draw(st.sampled_from(["90791", "90837"])), "telehealth": draw(st.booleans())}
        visit["billed"] = half_up(at(course["charge"], visit) * visit["units"])
    return {**course, "renewals": terms[1:]}


def as_text(amount):
    if isinstance(amount, dict):
        return {code: as_text(rate) for code, rate in amount.items()}
    return None if amount is None else f"{amount:.2f}"


def as_tier(part):
    if part is None:
        return None
    content = {
        "deductible": as_text(part["deductible"]),
        "coinsurance": f"{part['coinsurance']:f}",
        "copay": as_text(part["copay"]),
        "copay_and_coinsurance": part["both"] and part["copay"] is not None,
        "deductible_applies": part["applies"],
        "out_of_pocket_max": as_text(part["max"]),
    }
    if family := part["family"]:
        content["family"] = {
            "deductible": as_text(family["deductible"]),
            "out_of_pocket_max": as_text(family["max"]),
            "kind": "aggregate" if family["aggregate"] else "embedded",
        }
        if family["aggregate"]:
            del content["deductible"]
    return content


def as_accumulator(part):
    content = {"deductible": as_text(part["deductible_used"]), "out_of_pocket": as_text(part["pocket_used"])}
    if family := part["family"]:
        content["family_deductible_used"] = as_text(family["deductible_used"])
        content["family_out_of_pocket_used"] = as_text(family["pocket_used"])
    return content


def as_agreement(terms):
    return {
        "rate": as_text(terms["rate"]),
        "telehealth_rate": as_text(terms["telehealth_rate"]),
        "sessions_authorized": terms["sessions"],
        "effective_date": None if terms["effective"] == date.min else terms["effective"].isoformat(),
        "expiry_date": None if terms["expiry"] == date.max else terms["expiry"].isoformat(),
        "decision_date": terms["decision"] and terms["decision"].isoformat(),
    }


def as_content(course):
    """The case file of a course."""
    renewed = {"agreements": [as_agreement(terms) for terms in agreements(course)]}
    tiers = {name: course[name] for name in ("in_network", "out_of_network")}
    return {
        "billed_per_unit": as_text(course["charge"]),
        "in_network_rate": as_text(course["in_network_rate"]),
        "out_of_network_allowed": as_text(course["oon_rate"]),
        "visits": [
            {
                "date": visit["date"].isoformat(),
                "units": visit["units"],
                "procedure_code": visit["code"],
                "telehealth": visit["telehealth"],
            }
            for visit in course["visits"]
        ],
        **(renewed if course["renewals"] else {"agreement": as_agreement(course)}),
        "benefits": {"plan_year_start": "{:02d}-{:02d}".format(*course["start"])}
        | {name: as_tier(part) for name, part in tiers.items()},
        "accumulators": {name: as_accumulator(part) for name, part in tiers.items() if part is not None},
        "collection_rate": {
            "cost_share": f"{course['collected'][0]:f}",
            "balance_bill": f"{course['collected'][1]:f}",
        },
    }


def holds(side, sca, oon):
    """Whether the agreement serves a side no worse than OON, from the totals of plan, member and provider."""
    index = ("plan", "member", "provider").index(side)
    return sca[index] >= oon[index] if side == "provider" else sca[index] <= oon[index]


@settings(max_examples=150, deadline=None)
@given(rich_courses())
def test_quote_equals_oracle(course):
    result = quotes.quote(quotes.read_case(as_content(course)))
    rows, totals = {}, {}
    for name, found in result["arrangements"].items():
        rows[name], totals[name] = oracle(course, name)
        fields = ("allowed", "deductible", "member_cost_share", "balance_bill")
        assert [tuple(Decimal(visit[field]) for field in fields) for visit in found["visits"]] == rows[name]
        sums = [Decimal(found["totals"][field]) for field in ("plan_paid", "member_total", "provider_net")]
        assert sums == list(totals[name])
    covered = covers(course)
    assert [visit["covered_by_agreement"] for visit in result["arrangements"]["sca"]["visits"]] == covered

    rates = [course["charge"], *(r for t in agreements(course) for r in (t["rate"], t["telehealth_rate"]))]
    is_percent = any(isinstance(rate, dict) for rate in rates)
    figures = result["break_even_percent_of_billed" if is_percent else "break_even_rate"]
    ceiling, cent = Decimal(100) if is_percent else course["charge"], Decimal("0.01")
    for side, figure in figures.items():

        def is_good(figure, side=side):
            sca = oracle(course, "sca", **{"percent" if is_percent else "rate": figure})[1]
            return holds(side, sca, totals["out_of_network"])

        lowest, highest = (ceiling, Decimal(0)) if side == "provider" else (Decimal(0), ceiling)
        beyond = -cent if side == "provider" else cent
        if figure is None:
            assert not is_good(lowest)
        else:
            assert is_good(Decimal(figure))
            assert Decimal(figure) == highest or not is_good(Decimal(figure) + beyond)

    assert ("retroactive" in result) == any(terms["decision"] for terms in agreements(course))
    if "retroactive" in result:
        by_visit = zip(course["visits"], covered, rows["out_of_network"], rows["sca"], strict=True)
        again = [
            (is_covered, oon, sca)
            for visit, is_covered, oon, sca in by_visit
            for terms in agreements(course)
            if terms["effective"] <= visit["date"] <= terms["expiry"]
            and terms["decision"] is not None
            and visit["date"] < terms["decision"]
        ]
        assert result["retroactive"] == {
            "visits": sum(is_covered for is_covered, _, _ in again),
            "plan_paid_change": f"{sum((sca[0] - sca[2] - oon[0] + oon[2] for _, oon, sca in again), Decimal(0)):.2f}",
            "member_refund": f"{sum((oon[2] + oon[3] - sca[2] - sca[3] for _, oon, sca in again), Decimal(0)):.2f}",
        }


@settings(max_examples=30, deadline=None)
@given(st.lists(rich_courses(), min_size=2, max_size=3))
def test_rich_cases_at_once_equal_each_alone(many):
    cases = [quotes.read_case(as_content(course)) for course in many]
    together = quotes.costs.compare_arrangements(quotes.as_arrays(cases))["sca"].provider_net
    alone = [quotes.quote(c)["arrangements"]["sca"]["totals"]["provider_net"] for c in cases]
    assert [quotes.format_cents(int(net)) for net in together] == alone


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
    contents = [case(), case(visits=case()["visits"][:1]), case(billed_per_unit="90.00"), procedures_case()]
    # one agreement that covers the second visit alone, beside a case with two
    contents.append(case(agreement=agreement(effective_date="2026-01-06")))
    renewed = [agreement(expiry_date="2026-01-06"), agreement(effective_date="2026-01-07", sessions_authorized=0)]
    contents.append({**case(agreements=renewed), "agreement": None})
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
        ("benefits.in_network.deductible", None, 'is empty: give it as dollars, for example "500.00".'),
        (
            "benefits.in_network.copay_and_coinsurance",
            True,
            "benefits.in_network has copay_and_coinsurance, but no copay",
        ),
        ("benefits.in_network.copay_and_coinsurance", "yes", "is not true or false"),
        ("benefits.in_network.family", {"kind": "embedded"}, ".deductible is missing: add it as dollars"),
        ("benefits.in_network.family", {"deductible": "1.00"}, '.kind is missing: add it as "embedded" or "aggregate"'),
        (
            "benefits.in_network.family",
            {"deductible": "1.00", "kind": "both"},
            '.kind has the wrong form: give it as "embedded" or "aggregate".',
        ),
        (
            "benefits.in_network.family",
            {"deductible": None, "kind": "aggregate"},
            "benefits.in_network.family is aggregate, but its deductible is empty",
        ),
        (
            "accumulators.in_network",
            {"deductible": "50.00", "family_deductible_used": "49.99"},
            "has a family_deductible_used below what this member alone has used",
        ),
        (
            "accumulators.in_network",
            {"family_out_of_pocket_used": "49.99"},
            "has amounts of the family, but benefits.in_network has no family",
        ),
        ("billed_per_unit", {}, "names no procedure code"),
        ("billed_per_unit", {"90837": "-1"}, "billed_per_unit of procedure 90837 is negative"),
        ("agreement.rate", {90837: "1"}, "agreement.rate has a procedure code that is not text"),
        ("in_network_rate", {"90837": "1"}, "is given by procedure, but a visit has no procedure_code: add it."),
        (
            "visits",
            [{"date": "2026-01-05", "units": 1, "procedure_code": 90837}],
            "procedure_code of visit 1 is not text",
        ),
        (
            "visits",
            [{"date": "2026-01-05", "units": 1, "telehealth": "yes"}],
            "telehealth of visit 1 is not true or false",
        ),
        ("agreement.telehealth_rate", "-1", "is negative"),
        ("agreement.decision_date", "soon", "is not a date: give it as year-month-day"),
        ("agreements", [], "is empty: add at least one agreement"),
        ("agreements", 3, "has the wrong form: give it as a list of objects"),
        ("agreements", [{"rate": "1.00"}], "sessions_authorized of agreement 1 is missing"),
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
    assert path in text or path in ("visits", "agreements") or message.startswith(("agreement", "benefits"))


@pytest.mark.parametrize(
    ("dates", "message"),
    [
        (["2026-01-01", "2026-02-01", "2026-02-01", None], "agreements 1 and 2 overlap: correct their dates."),
        ([None, "2026-02-01", "2026-01-01", None], "agreements 1 and 2 overlap: correct their dates."),
        (
            ["2026-02-01", "2026-03-01", "2026-01-01", "2026-01-31"],
            "agreements 1 and 2 are not in date order: correct their dates.",
        ),
        (
            ["2026-01-01", "2026-01-31", "2026-02-01", None, "2026-03-01", None],
            "agreements 2 and 3 leave a date between them open: give expiry_date and effective_date.",
        ),
        (
            ["2026-01-01", "2026-01-31", None, None],
            "agreements 1 and 2 leave a date between them open: give expiry_date and effective_date.",
        ),
    ],
)
def test_read_case_names_the_two_agreements_that_do_not_follow_each_other(dates, message):
    spans = list(pairwise(dates))[::2]
    content = case(agreements=[agreement(effective_date=first, expiry_date=last) for first, last in spans])
    del content["agreement"]
    with pytest.raises(CaseError) as raised:
        quotes.read_case(content)
    assert str(raised.value) == f"case: {message}"


def test_read_case_refuses_an_agreement_beside_agreements():
    with pytest.raises(CaseError) as raised:
        quotes.read_case(case(agreements=[agreement()]))
    assert str(raised.value) == "case: agreement and agreements are both given: remove one of them."


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("billed_per_unit", "case: billed_per_unit has no rate for procedure 90791: add it."),
        ("in_network_rate", "case: in_network_rate has no rate for procedure 90791: add it."),
        ("out_of_network_allowed", "case: out_of_network_allowed has no rate for procedure 90791: add it."),
        ("agreement.rate", "case: agreement.rate has no rate for procedure 90791: add it."),
        ("agreement.telehealth_rate", "case: agreement.telehealth_rate has no rate for procedure 90791: add it."),
    ],
)
def test_read_case_names_field_and_code_without_a_rate(field, message):
    content = procedures_case()
    content["visits"][0]["telehealth"] = field == "agreement.telehealth_rate"
    *parents, last = field.split(".")
    (content[parents[0]] if parents else content)[last] = {"90837": "100.00"}
    with pytest.raises(CaseError) as raised:
        quotes.read_case(content)
    assert str(raised.value) == message


def test_read_case_names_the_renewal_without_a_rate():
    content = procedures_case()
    first = {**content.pop("agreement"), "expiry_date": "2026-01-10"}
    renewal = {**first, "rate": {"90791": "1.00"}, "effective_date": "2026-01-11", "expiry_date": None}
    content["agreements"] = [first, renewal]
    with pytest.raises(CaseError, match=r"rate of agreement 2 has no rate for procedure 90837: add it\.$"):
        quotes.read_case(content)


def test_a_rate_that_no_visit_needs_may_lack():
    """OON allowed without OON benefits, and the agreed rate of a visit outside the dates."""
    content = procedures_case(out_of_network_allowed={"90837": "1.00"})
    content["benefits"]["out_of_network"] = None
    content["agreement"] |= {"rate": {"90837": "170.00"}, "effective_date": "2026-01-06"}
    visits = quotes.quote(quotes.read_case(content))["arrangements"]["sca"]["visits"]
    assert [visit["allowed"] for visit in visits] == ["0.00", "0.00", "170.00"]


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
