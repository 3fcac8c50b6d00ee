"""What claims before a decision foretell: distributions against brute force, and no look ahead."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sca_analysis import estimates as module
from sca_analysis.estimates import calibration, estimate_agreements
from sca_analysis.exports import Exports
from sca_analysis.tables import ESTIMATES
from tests.conftest import SAMPLE
from tests.folders import claim, listing, npi, open_tables, span

AS_OF = date(2026, 6, 30)
DECIDED = date(2026, 1, 10)
FORETOLD = [f"{m}_p{p}" for m in module.MEASURES for p in module.PERCENTILES]
FEES = [
    {
        "procedure_code": "90837",
        "in_network_rate": "100.00",
        "medicare_rate": "120.00",
        "out_of_network_allowed": "110.00",
        "usual_charge": "200.00",
    }
]
BENEFITS = [
    {
        "network_id": None,
        "plan_year": None,
        "plan_year_start": "01-01",
        "in_network_deductible": "300.00",
        "in_network_coinsurance": "0.20",
        "in_network_out_of_pocket_max": "3000.00",
        "out_of_network_deductible": "500.00",
        "out_of_network_coinsurance": "0.40",
        "out_of_network_out_of_pocket_max": "6000.00",
    }
]


def visit(day: date, member: str, provider: int = 1, **columns: Any) -> dict[str, Any]:
    amounts = {"billed_amount": "200.00", "allowed_amount": "150.00", "paid_amount": "120.00", "member_amount": "30.00"}
    return claim(member, provider, day, **(amounts | {"network_status": "out"} | columns))


def weekly(member: str, first: date, number: int) -> list[dict[str, Any]]:
    return [visit(first + timedelta(weeks=n), member) for n in range(number)]


def history() -> list[dict[str, Any]]:
    """Twelve weekly courses of 2025: the n-th lasts 5 + n visits."""
    return [line for n in range(12) for line in weekly(f"H{n}", date(2025, 2, 3), 5 + n)]


def agreement(**columns: Any) -> dict[str, Any]:
    row = {
        "case_id": "A",
        "member_id": "M1",
        "provider_npi": npi(1),
        "taxonomy_code": "103TC0700X",
        "procedure_code": "90837",
        "requested_date": "2026-01-01",
        "decision_date": str(DECIDED),
        "decision": "approved",
        "agreed_rate": "150.00",
        "sessions_authorized": 8,
        "effective_date": str(DECIDED),
        "expiry_date": "2026-05-31",
    }
    return row | columns


def estimate(tmp_path: Path, claims: list[dict[str, Any]], name: str = "f", **columns: Any) -> pd.DataFrame:
    members = sorted({line["member_id"] for line in claims} | {"M1"})
    exports = open_tables(
        tmp_path / name,
        claims=[line | {"taxonomy_code": "103TC0700X"} for line in claims],
        directory=[listing(99)],
        members=[span(m) for m in members],
        fees=FEES,
        benefits=BENEFITS,
        agreements=[agreement(**columns)],
    )
    return estimate_agreements(exports, AS_OF)


# Distributions


@settings(max_examples=15, deadline=None)
@given(
    m=st.integers(0, 12), kept=st.floats(0.5, 30), missed=st.floats(0.5, 5), a=st.floats(0.5, 5), b=st.floats(0.5, 40)
)
def test_chances_are_those_of_simulated_courses(m: int, kept: float, missed: float, a: float, b: float) -> None:
    slots = np.full((1, 5), m)
    [found] = module._distribute(slots, *(np.array([v]) for v in (kept, missed, a, b)))
    assert found.sum() == pytest.approx(1)
    assert (found >= -1e-12).all()
    rng = np.random.default_rng(1)
    n = 20_000
    attended = rng.binomial(m, rng.beta(kept, missed, n))
    lasting = rng.geometric(np.maximum(rng.beta(a, b, n), 1e-9))  # visits until the course ends, 1 at least
    simulated = np.bincount(np.minimum(attended, np.minimum(lasting, m)), minlength=m + 1) / n
    assert np.abs(np.cumsum(found) - np.cumsum(simulated)).max() < 0.02


def test_chance_of_ending_is_found_again() -> None:
    rng = np.random.default_rng(3)
    lengths = rng.geometric(rng.beta(2.0, 18.0, 4000)) - 1
    stops, goes_on = module._fit_ends(np.minimum(lengths, 30), lengths < 30)
    assert stops / (stops + goes_on) == pytest.approx(0.1, abs=0.02)
    assert stops == pytest.approx(2.0, rel=0.3)


def test_mixture_of_intervals_is_their_mean() -> None:
    one = np.array([8.0]), np.array([1.0]), np.array([1.0]), np.array([20.0])
    mixed = module._distribute(np.array([[2, 6]]), *one)[0]
    alone = [module._distribute(np.array([[m]]), *one)[0] for m in (2, 6)]
    assert mixed == pytest.approx((np.pad(alone[0], (0, 4)) + alone[1]) / 2)


# What is used


def test_too_little_history_gives_no_estimate(tmp_path: Path) -> None:
    row = estimate(tmp_path, weekly("M1", date(2025, 11, 3), 9)).iloc[0]
    assert row[FORETOLD].isna().all()
    assert "fewer than 10 courses" in row["not_costed"]
    assert row["visits_actual"] == 0


def test_estimate_of_a_weekly_course_by_hand(tmp_path: Path) -> None:
    claims = history() + weekly("M1", date(2025, 11, 3), 9)  # the last on 29 December
    row = estimate(tmp_path, claims).iloc[0]
    assert (row["basis"], row["interval_days"]) == ("course", 7.0)
    # appointments from 10 January to 31 May: 142 days, 21 of them
    assert 1 <= row["visits_p10"] <= row["visits_p50"] <= row["visits_p90"] <= 21
    assert row["sessions_p90"] == min(row["visits_p90"], 8)

    # at 150 a visit: 300 deductible, then the plan pays 80%: 0, 0, 120, 120 ... up to the eighth; then OON,
    # of 110 allowed 500 of deductible first, then 60%
    def plan(n: int) -> float:
        covered, beyond = min(n, 8), max(n - 8, 0)
        oon = 0.6 * max(110 * beyond - 500, 0)
        return 120.0 * max(covered - 2, 0) + oon

    for p in (10, 50, 90):
        assert float(row[f"plan_paid_p{p}"]) == pytest.approx(plan(int(row[f"visits_p{p}"])), abs=0.05)
    assert row["not_costed"] is None or pd.isna(row["not_costed"])


def test_claims_in_network_before_have_used_the_deductible(tmp_path: Path) -> None:
    mine = weekly("M1", date(2025, 11, 3), 9)
    amounts = {"network_status": "in", "billed_amount": "300.00", "allowed_amount": "300.00"}
    other = [visit(date(2026, 1, 5), "M1", 2, paid_amount="0.00", member_amount="300.00", **amounts)]
    without = estimate(tmp_path, history() + mine, "a").iloc[0]
    used = estimate(tmp_path, history() + mine + other, "b").iloc[0]
    assert without["visits_p50"] == used["visits_p50"]
    assert used["plan_paid_p50"] > without["plan_paid_p50"]


def test_actual_is_what_claims_say(tmp_path: Path) -> None:
    claims = history() + weekly("M1", date(2025, 11, 3), 9) + weekly("M1", date(2026, 1, 12), 10)
    row = estimate(tmp_path, claims).iloc[0]
    assert (row["visits_actual"], row["sessions_actual"]) == (10, 8)
    assert float(row["plan_paid_actual"]) == 1200.0  # ten lines at 120
    assert float(row["cost_share_actual"]) == 300.0
    assert row["visits_within"] == (row["visits_p10"] <= 10 <= row["visits_p90"])


def test_unfinished_agreement_has_no_actual(tmp_path: Path) -> None:
    claims = history() + weekly("M1", date(2025, 11, 3), 9)
    row = estimate(tmp_path, claims, expiry_date="2026-07-01").iloc[0]
    assert not row["is_finished"]
    assert row[["visits_actual", "visits_within", "plan_paid_actual"]].isna().all()
    assert row["visits_p50"] > 0


def test_blank_paid_amount_is_not_known(tmp_path: Path) -> None:
    late = [visit(date(2026, 2, 2), "M1", paid_amount=None)]
    row = estimate(tmp_path, history() + weekly("M1", date(2025, 11, 3), 9) + late).iloc[0]
    assert pd.isna(row["plan_paid_actual"])
    assert pd.isna(row["plan_paid_within"])
    assert row["visits_actual"] == 1


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    later=st.lists(
        st.tuples(st.integers(0, 170), st.sampled_from(["M1", "H0", "H1", "N1"]), st.sampled_from(["in", "out"])),
        max_size=25,
    )
)
def test_later_claims_change_no_estimate(tmp_path: Path, later: list[tuple[int, str, str]]) -> None:
    known = history() + weekly("M1", date(2025, 11, 3), 9)
    after = [visit(DECIDED + timedelta(days=d), m, network_status=s) for d, m, s in later]
    cut = estimate(tmp_path, known, "cut")
    whole = estimate(tmp_path, known + after, "whole")
    assert whole[FORETOLD].astype(str).equals(cut[FORETOLD].astype(str))


# On the sample


@pytest.fixture(scope="module")
def sample() -> pd.DataFrame:
    return estimate_agreements(Exports.open(SAMPLE), AS_OF)


def test_sample_estimates_are_ordered_and_complete(sample: pd.DataFrame) -> None:
    assert tuple(sample.columns) == ESTIMATES.names
    told = sample[sample["visits_p50"].notna()]
    for name in module.MEASURES:
        low, middle, high = (told[f"{name}_p{p}"] for p in (10, 50, 90))
        assert (low <= middle).all()
        assert (middle <= high).all()
    assert sample["not_costed"].isna().sum() == len(told)


def test_calibration_counts(sample: pd.DataFrame) -> None:
    table = calibration(sample).set_index(["measure", "basis"])
    finished = sample[sample["is_finished"].astype(bool)]
    for name in module.MEASURES:
        row = table.loc[(name, "all")]
        assert row["finished"] == len(finished) == 10
        assert row["within"] + row["below"] + row["above"] == row["known"]
        assert row["share_low"] <= row["share_within"] <= row["share_high"]


def test_calibration_by_hand() -> None:
    table = pd.DataFrame({"is_finished": [True] * 4 + [False], "basis": ["course"] * 5})
    for name in module.MEASURES:
        table[f"{name}_p10"], table[f"{name}_p90"] = 2, 4
        table[f"{name}_actual"] = pd.array([1, 2, 4, 5, None], dtype="Int64")
        table[f"{name}_within"] = pd.array([False, True, True, False, None], dtype="boolean")
    row = calibration(table).iloc[0]
    assert (row["finished"], row["known"], row["within"], row["below"], row["above"]) == (4, 4, 2, 1, 1)
    assert row["share_within"] == 0.5
    assert (round(row["share_low"], 3), round(row["share_high"], 3)) == (0.15, 0.85)  # Wilson, 2 of 4
