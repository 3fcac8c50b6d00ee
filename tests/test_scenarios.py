"""Scenarios are data: golden results beside them, exact against the quote; ranges are seeded and sane."""

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sca_analysis import scenarios
from sca_analysis.errors import CaseError
from sca_analysis.monthly import Month
from sca_analysis.quotes import quote, read_case
from sca_analysis.scenarios import Basis, References, Scenario, Triangle, Uncertainty
from tests.conftest import ROOT, SAMPLE

FOLDER = ROOT / "data" / "scenarios"
NAMED = scenarios.load_scenarios(FOLDER)
REFERENCES = scenarios.load(FOLDER / "references.yml", References)
UNCERTAINTY = scenarios.load(FOLDER / "uncertainty.yml", Uncertainty)


@pytest.fixture
def case() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((ROOT / "data" / "example_case.json").read_text(encoding="utf-8"))
    return loaded


def test_golden_results_stand(case: dict[str, Any]) -> None:
    compared = scenarios.compare_scenarios(case, NAMED, REFERENCES)
    golden = (FOLDER / "golden.csv").read_text(encoding="utf-8")
    assert compared.to_csv(index=False, lineterminator="\n") == golden, (
        "look at what moved and why before you renew data/scenarios/golden.csv"
    )


@pytest.mark.parametrize("name", NAMED)
def test_each_scenario_equals_the_quote_of_its_case(name: str, case: dict[str, Any]) -> None:
    row = scenarios.compare_scenarios(case, {name: NAMED[name]}, REFERENCES).iloc[1]
    quoted = quote(read_case(scenarios.apply(NAMED[name], case, REFERENCES)))["arrangements"]
    for arrangement in ("out_of_network", "sca"):
        for total in ("plan_paid", "member_total", "provider_net"):
            assert row[f"{total}_{arrangement}"] == Decimal(quoted[arrangement]["totals"][total])
    assert row["plan_change"] == row["plan_paid_sca"] - row["plan_paid_out_of_network"]


def test_fee_bases_by_hand(case: dict[str, Any]) -> None:
    """Medicare 124.00 x 150% = 186.00; billed 210.00 x 85.5% = 179.55; the 80th percentile is 220.00."""

    def rate(**basis: Any) -> str:
        changed = scenarios.apply(Scenario(title="", fee=Basis(**basis)), case, REFERENCES)
        return str(changed["agreement"]["rate"])

    assert rate(basis="percent_of_medicare", percent=Decimal(150)) == "186.00"
    assert rate(basis="percent_of_billed", percent=Decimal("85.5")) == "179.55"
    assert rate(basis="percentile_of_charges", percentile=80) == "220.00"
    assert rate(basis="in_network") == "118.00"
    assert rate(basis="usual_charge") == "210.00"
    assert rate(basis="amount", amount=Decimal("99.5")) == "99.50"
    assert rate(basis="percent_of_medicare", percent=Decimal("0.0403225")) == "0.05", "half up"


def test_a_scenario_changes_nothing_else(case: dict[str, Any]) -> None:
    before = json.dumps(case)
    for scenario in NAMED.values():
        scenarios.apply(scenario, case, REFERENCES)
    assert json.dumps(case) == before


def test_visits_go_on_at_their_interval() -> None:
    """Visits every 7 and once 14 days: the median interval is 7, so the fifth is a week after the fourth."""
    visits = [{"date": d, "units": 1} for d in ("2026-01-06", "2026-01-13", "2026-01-20", "2026-02-03")]
    assert [v["date"] for v in scenarios.change_visits(visits, 6)][4:] == ["2026-02-10", "2026-02-17"]
    assert len(scenarios.change_visits(visits, 2)) == 2
    assert scenarios.change_visits(visits[:1], 2)[1]["date"] == "2026-01-13"


def test_unknown_reference_is_one_sentence(case: dict[str, Any]) -> None:
    nothing = References()
    with pytest.raises(CaseError, match="needs the Medicare rate"):
        scenarios.apply(NAMED["fee_150_percent_of_medicare"], case, nothing)
    with pytest.raises(CaseError, match="needs the 80th percentile of charges"):
        scenarios.apply(NAMED["fee_80th_percentile"], case, nothing)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("title: x\nfee: {basis: amount}\n", "amount needs a amount"),
        ("title: x\nfees: {}\n", "fees: Extra inputs"),
        ("fee: {basis: in_network}\n", "title: Field required"),
        ("title: [\n", "is not valid YAML"),
        ("title: x\nvisits: {count: 0}\n", "visits.count"),
    ],
)
def test_bad_scenario_file_is_one_sentence(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(CaseError, match=r"s\.yaml") as caught:
        scenarios.load_scenarios(tmp_path)
    assert words in str(caught.value)


def test_references_come_from_fees_and_claims(june: Month) -> None:
    """The percentiles equal those of the CSV itself, read line by line: the latest versions of 12 months."""
    latest: dict[tuple[str, str], dict[str, str]] = {}
    with (SAMPLE / "claims.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            key = row["claim_id"], row["line_number"]
            if all(key) and int(row["claim_version"] or 0) >= int(latest.get(key, row)["claim_version"] or 0):
                latest[key] = row
    aside = set(june.exports.set_aside.query("table == 'claims'")["row"])
    with (SAMPLE / "claims.csv").open(encoding="utf-8", newline="") as stream:
        bad = {(r["claim_id"], r["line_number"]) for n, r in enumerate(csv.DictReader(stream), 2) if n in aside}
    charges = sorted(
        Decimal(row["billed_amount"].strip().lstrip("$").replace(",", "")) / Decimal(row["units"] or 1)
        for key, row in latest.items()
        if key not in bad
        and row["procedure_code"] == "90837"
        and row["claim_status"] != "reversed"
        and "2025-07-01" <= row["service_date"] <= "2026-06-30"
    )
    found = scenarios.find_references(june.exports, june.as_of, "90837")
    assert abs(found.charges - len(charges)) <= len(bad)
    assert found.charge_percentiles[50] == charges[-(-len(charges) * 50 // 100) - 1]
    assert found.charge_percentiles[90] == charges[-(-len(charges) * 90 // 100) - 1]
    assert found.medicare_rate == Decimal("154.29")
    assert scenarios.find_references(june.exports, june.as_of, "none") == References()


def test_folder_without_scenarios_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="holds no scenario"):
        scenarios.load_scenarios(tmp_path)


def test_simulation_repeats_with_its_seed_and_moves_with_another(case: dict[str, Any]) -> None:
    first, again = (scenarios.simulate(case, UNCERTAINTY, seed=1, draws=500) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(scenarios.simulate(case, UNCERTAINTY, seed=2, draws=500))
    assert (first["p10"] <= first["p50"]).all()
    assert (first["p50"] <= first["p90"]).all()


def test_without_uncertainty_every_draw_is_the_quote(case: dict[str, Any]) -> None:
    ranges = scenarios.simulate(case, Uncertainty(), seed=1, draws=50).set_index("measure")
    totals = quote(read_case(case))["arrangements"]["sca"]["totals"]
    assert (ranges["p10"] == ranges["p90"]).all()
    assert ranges.loc["plan_paid_sca", "p50"] == Decimal(totals["plan_paid"])


def test_simulated_share_inside_p10_p90(case: dict[str, Any]) -> None:
    """Fresh draws fall between P10 and P90 eight times in ten."""
    ranges = scenarios.simulate(case, UNCERTAINTY, seed=1).set_index("measure").loc["plan_change"]
    base, _ = scenarios._spread(case, UNCERTAINTY)
    rng = np.random.default_rng(99)
    inputs = {
        name: scenarios._draw(getattr(UNCERTAINTY, name), rng.random(2000), scale)
        for name, scale in scenarios._SCALES.items()
    }
    drawn = scenarios._measure(scenarios._with(base, scenarios._Inputs(**inputs)))["plan_change"]
    inside = np.mean((drawn >= int(ranges["p10"] * 100)) & (drawn <= int(ranges["p90"] * 100)))
    assert 0.76 < inside < 0.84


def test_tornado_by_hand(case: dict[str, Any]) -> None:
    """At the ends of the agreed rate the plan's change is that of the scenarios with these very rates."""
    only_rate = Uncertainty(agreed_rate=Triangle(low=Decimal(118), likely=Decimal(185), high=Decimal(210)))
    row = scenarios.rank_inputs(case, only_rate).iloc[0]
    compared = scenarios.compare_scenarios(case, NAMED, REFERENCES).set_index("scenario")["plan_change"]
    assert (row["at_low"], row["at_high"]) == (compared["fee_in_network"], compared["fee_usual_charge"])
    assert row["swing"] == abs(row["at_high"] - row["at_low"])
    assert list(scenarios.rank_inputs(case, UNCERTAINTY)["input"])[:1] == ["agreed_rate"]


def test_tornado_without_distributions_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(CaseError, match="holds no distribution"):
        scenarios.rank_inputs(case, Uncertainty())


@given(
    low=st.integers(0, 1000), likely=st.integers(0, 1000), high=st.integers(0, 1000), chance=st.floats(0, 1, width=32)
)
@settings(max_examples=60, deadline=None)
def test_triangle_stays_within_its_ends(low: int, likely: int, high: int, chance: float) -> None:
    low, likely, high = sorted((low, likely, high))
    triangle = Triangle(low=Decimal(low), likely=Decimal(likely), high=Decimal(high))
    [drawn] = scenarios._draw(triangle, np.array([chance]), 1)
    assert low <= drawn <= high


def test_triangle_out_of_order_is_refused() -> None:
    with pytest.raises(ValueError, match="have to be in order"):
        Triangle(low=Decimal(2), likely=Decimal(1), high=Decimal(3))
