"""The list of SCA candidates: each statement S1 to S10, true where it is planted and not where it is not."""

from datetime import date
from decimal import Decimal

import pandas as pd
import pytest

from sca_analysis import grounds
from sca_analysis.cases import list_cases
from sca_analysis.courses import Collection
from sca_analysis.errors import ParameterError
from sca_analysis.exports import Exports
from sca_analysis.gaps import find_gaps
from sca_analysis.tables import CASES, ENTERED, EVIDENCE, SEARCHED
from tests.conftest import SAMPLE
from tests.folders import claim, listing, npi, open_tables, span, write_tables

DAY = date(2026, 6, 30)
BENEFITS = {
    "network_id": None,
    "in_network_deductible": "500.00",
    "in_network_coinsurance": "0.20",
    "in_network_out_of_pocket_max": "3000.00",
}
OON = {"out_of_network_deductible": "1500.00", "out_of_network_coinsurance": "0.40"}
FEE = {
    "procedure_code": "90837",
    "in_network_rate": "60.00",
    "medicare_rate": "70.00",
    "out_of_network_allowed": "65.00",
    "usual_charge": "95.00",
}
TO_USUAL = "in-network rate to usual charge, which is the ceiling in a gap (S2)"


@pytest.fixture(scope="module")
def sample():
    exports = Exports.open(SAMPLE)
    return list_cases(exports, DAY, find_gaps(exports, DAY))


@pytest.fixture(scope="module")
def planted():
    return pd.read_csv(SAMPLE / "planted.csv", dtype=str, keep_default_na=False)


def of_kind(sample, planted, kind):
    """Return the cases that the answer key lists as courses of a kind."""
    keys = planted.loc[planted["kind"] == kind, ["member_id", "npi"]].rename(columns={"npi": "provider_npi"})
    return sample.table.merge(keys, on=["member_id", "provider_npi"], how="inner")


def said(cases, case_id, statement):
    """Return the sentences of evidence of a case and statement."""
    found = cases.evidence
    return found.loc[(found["case_id"] == case_id) & (found["statement"] == statement), "evidence"].tolist()


# ---- the planted cases of the sample


def test_s1_gap(sample, planted):
    in_gap, beside = of_kind(sample, planted, "course"), of_kind(sample, planted, "weak_course")
    assert len(in_gap) > 20
    assert len(beside) > 10
    assert (beside["gap"] == "not shown").all()
    # a member near the county's edge may have somebody in range; all others have nobody, or nobody who is ever seen
    reached = in_gap["gap"] == "not shown"
    assert in_gap.loc[reached, "usable_seen"].min() > 0
    assert set(in_gap.loc[~reached, "gap"]) == {"shown", "in doubt"}
    assert reached.mean() < 0.2
    assert (in_gap.loc[in_gap["gap"] == "shown", "usable"] == 0).all()
    today = in_gap[in_gap["state"] == "not_asked"]  # others are judged on the day they were asked for
    psychiatry = today[(today["county_fips"] == "23029") & (today["specialty"] == "Psychiatry")]
    assert set(psychiatry["gap"]) == {"shown"}
    ghosts = in_gap[(in_gap["county_fips"] == "23029") & (in_gap["specialty"] == "Clinical Psychology")]
    assert set(ghosts["gap"]) == {"in doubt"}, "listed, but nobody is ever seen"


def test_s1_names_everybody_searched_and_why_each_fails(sample):
    shown = sample.table[sample.table["gap"] == "shown"]
    for case in shown.itertuples():
        searched = sample.searched[sample.searched["case_id"] == case.case_id]
        inside = searched[~searched["why_not"].str.startswith("beyond")]
        assert len(inside) == case.searched
        assert (inside["why_not"] != "").all()
        assert (inside["miles"] <= case.max_miles).all()


def test_s2_the_ceiling_is_the_usual_charge(sample):
    costed = sample.table[sample.table["rate_high"].notna()]
    assert len(costed) == len(sample.table)
    assert (costed["rate_low"] <= costed["rate_high"]).all()
    assert (costed["rate_high"] <= costed[["usual_charge", "charge"]].max(axis=1)).all()
    assert any("usual charge" in line for line in said(sample, costed["case_id"].iloc[0], "S2"))


def test_s3_treatment_before_the_request(sample, planted):
    asked = sample.table[sample.table["state"] != "not_asked"]
    early = set(planted.loc[planted["kind"] == "treatment_before_request", "case_id"])
    # the key counts every visit; the exposure is of those OON, so continuity before the change is none
    oon = asked[~asked["case_id"].isin(of_kind(sample, planted, "continuity")["case_id"])]
    assert set(oon.loc[oon["visits_before"] > 0, "case_id"]) == early & set(oon["case_id"])
    assert (oon.loc[oon["visits_before"] > 0, "billed_before"] > 0).all()
    assert (oon["visits_before"] == 0).any()


def test_s4_affordability(sample, planted):
    without = sample.table["network_id"] == "EX2"  # has no OON benefits
    assert (sample.table.loc[without, "affordability"] == "shown").all()
    entered = sample.entered[sample.entered["fact"] == "income"].set_index("case_id")["value"]
    rest = sample.table[~without]
    told = rest[rest["case_id"].isin(entered.index)]
    assert len(told) >= 1
    for case in told.itertuples():
        too_dear = case.member_total_out_of_network / Decimal(entered[case.case_id]) >= Decimal("0.10")
        assert case.affordability == ("shown" if too_dear else "not shown")
    assert set(rest.loc[~rest["case_id"].isin(entered.index), "affordability"]) == {"to be entered"}


def test_s5_continuity(sample, planted):
    assert (of_kind(sample, planted, "continuity")["continuity"] == "shown").all()
    others = sample.table[~sample.table["case_id"].isin(of_kind(sample, planted, "continuity")["case_id"])]
    assert "shown" not in set(others["continuity"])


def test_s6_setback_is_entered_never_inferred(sample, planted):
    key = planted[planted["kind"] == "setback"].set_index("case_id")["expected"]
    found = sample.table.set_index("case_id")["setback"]
    told = found[found.index.isin(key.index)]
    assert set(told) == {"shown", "not shown"}
    assert told.to_dict() == key[key.index.isin(told.index)].to_dict()
    assert set(found[~found.index.isin(key.index)]) == {"to be entered"}


def test_s7_individual_need(sample):
    entered = sample.entered[sample.entered["fact"].isin(["language", "sub_specialty", "modality", "age_group"])]
    found = sample.table.set_index("case_id")["individual_need"]
    told = found[found.index.isin(entered["case_id"])]
    assert set(told) >= {"shown"}
    assert set(found[~found.index.isin(entered["case_id"])]) <= {"to be entered", "in doubt"}


def test_s8_papers(sample, planted):
    key = planted[planted["kind"] == "papers"].set_index("case_id")["expected"]
    asked = sample.table[sample.table["case_id"].isin(key.index)].set_index("case_id")
    papers = asked["to_enter"].str.contains("billing_commitment|license|tin|w9")
    assert papers.to_dict() == (key == "incomplete").loc[asked.index].to_dict()
    assert (asked["is_complete"] == ((asked["grounds"] != "") & ~papers)).all()
    assert not sample.table.loc[sample.table["state"] == "not_asked", "is_complete"].any()


def test_s9_costs_of_all_three(sample):
    costed = sample.table[sample.table["not_costed"].isna()]
    [plan, member, provider] = said(sample, costed["case_id"].iloc[0], "S9")
    row = costed.iloc[0]
    assert f"${row['plan_paid_sca']:,.2f}" in plan
    assert f"${row['member_total_out_of_network']:,.2f}" in member
    assert f"${row['provider_net_in_network']:,.2f}" in provider


# ---- small folders


def one_case(
    folder, *, oon=OON, agreements=(), entered=(), directory=(), claims=None, spans=None, gaps=False, **columns
):
    """Return the cases of one member with one OON provider, 10 visits in spring, and that case."""
    visits = [claim("M1", 1, f"2026-0{3 + n // 5}-{1 + n % 5:02d}", taxonomy_code="2084P0800X") for n in range(10)]
    exports = open_tables(
        folder,
        claims=[*(visits if claims is None else claims), claim("M2", 50, "2026-02-01")],
        directory=[*(directory or [listing(50, taxonomy_code="207N00000X")])],
        members=spans or [span("M1"), span("M2")],
        benefits=[BENEFITS | (oon or {})],
        fees=[FEE],
        **({"agreements": agreements} if agreements else {}),
        **({"entered": entered} if entered else {}),
    )
    cases = list_cases(exports, DAY, **columns)
    return cases, cases.table[cases.table["provider_npi"] == npi(1)].iloc[0]


def request(**columns):
    return {
        "case_id": "A1",
        "member_id": "M1",
        "provider_npi": npi(1),
        "requested_date": "2026-03-03",
        "decision": None,
    } | columns


def fact(name, value, **columns):
    return {
        "case_id": "A1",
        "fact": name,
        "value": value,
        "entered_by": "the clinic",
        "entered_on": "2026-04-01",
    } | columns


@pytest.mark.parametrize(
    ("columns", "state"),
    [
        ({}, "pending"),
        ({"decision": "pending"}, "pending"),
        ({"decision": "denied", "decision_date": "2026-03-20"}, "denied"),
        ({"decision": "denied", "decision_date": "2026-07-01"}, "pending"),
        ({"decision": "withdrawn"}, "withdrawn"),
        ({"decision": "approved", "agreed_rate": "80.00", "expiry_date": "2026-06-30"}, "agreed"),
        ({"decision": "approved", "agreed_rate": "80.00", "expiry_date": "2026-06-29"}, "ended"),
        ({"requested_date": "2026-07-01"}, "not_asked"),
    ],
)
def test_state_is_that_of_the_day(tmp_path, columns, state):
    rows = [request(**columns)]
    folder = write_tables(
        tmp_path / "e",
        claims=[claim("M1", 1, "2026-03-01", network_status="out"), claim("M1", 1, "2026-07-01")],
        directory=[listing(50)],
        members=[span("M1")],
        agreements=rows,
    )
    cases = list_cases(Exports.open(folder), DAY)
    assert cases.table["state"].tolist() == [state]
    assert (cases.table["case_id"].iloc[0] == "A1") == (state != "not_asked")


def test_a_request_without_visits_is_a_case_while_it_is_open(tmp_path):
    wanted = [request(provider_npi=npi(7), taxonomy_code="2084P0800X", case_id="A7")]
    wanted.append(wanted[0] | {"provider_npi": npi(8), "case_id": "A8", "procedure_code": "90837"})
    cases, _ = one_case(tmp_path / "e", agreements=wanted)
    row = cases.find("A7")
    assert (row["specialty"], row["visits"], row["state"]) == ("Psychiatry", 0, "pending")
    assert row["not_costed"] == "no OON visits in the twelve months"
    assert row[["rate_low", "rate_high", "charge"]].isna().all()
    assert row["rate_basis"] == "no OON visits to reckon from, and there is no in-network rate or charge to go by"
    named = cases.find("A8")  # it says for which procedure, so that there are fees to go by
    assert named["rate_basis"] == f"no OON visits to reckon from: {TO_USUAL}"
    assert (named["rate_low"], named["rate_high"]) == (Decimal("60.00"), Decimal("95.00"))
    assert cases.table["case_id"].tolist()[1:] == ["A7", "A8"], "nothing is known to be at stake, so they come last"
    denied = [request(provider_npi=npi(7), case_id="A7", decision="denied", decision_date="2026-03-04")]
    cases, _ = one_case(tmp_path / "f", agreements=denied)
    with pytest.raises(ParameterError, match="'A7' is no case as of 2026-06-30"):
        cases.find("A7")


def test_a_request_without_visits_has_the_gap_of_its_county(tmp_path):
    exports = open_tables(
        tmp_path / "e",
        claims=[claim("M1", 1, "2026-03-01", network_status="out")],
        directory=[listing(50, taxonomy_code="207N00000X")],
        members=[span("M1")],
        agreements=[request(provider_npi=npi(7), taxonomy_code="2084P0800X", case_id="A7")],
    )
    cases = list_cases(exports, DAY, find_gaps(exports, DAY))
    assert cases.requests.loc["A7", "gap_status"] == "no_provider"
    row_of_gaps = "The county's row of the gap table for Psychiatry on 2026-06-30 is no_provider."
    assert said(cases, "A7", "S1")[1:] == [row_of_gaps]


def test_gap_is_that_of_the_request_date(tmp_path):
    there = [listing(9, effective_date="2026-04-01")]
    _, before = one_case(tmp_path / "a", directory=there, agreements=[request()])
    _, after = one_case(tmp_path / "b", directory=there, agreements=[request(requested_date="2026-04-02")])
    assert (before["gap"], before["usable"]) == ("shown", 0)
    assert (after["gap"], after["usable"], after["usable_seen"]) == ("in doubt", 1, 0)


def test_a_usable_provider_who_is_seen_is_no_gap(tmp_path):
    visits = [
        claim("M1", 1, "2026-03-01", taxonomy_code="2084P0800X", network_status="out"),
        claim("M2", 9, "2026-05-01"),
    ]
    _, row = one_case(tmp_path / "e", directory=[listing(9)], claims=visits)
    assert (row["gap"], row["usable_seen"]) == ("not shown", 1)


def test_exposure_before_the_request(tmp_path):
    _, row = one_case(tmp_path / "e", agreements=[request(requested_date="2026-03-03")])
    assert (row["visits_before"], row["billed_before"]) == (2, Decimal("200.00"))


@pytest.mark.parametrize(
    ("income", "finding"), [("9000.00", "shown"), ("9010.00", "not shown"), ("0", "shown"), (None, "to be entered")]
)
def test_affordable_is_below_a_tenth_of_the_income(tmp_path, income, finding):
    # ten visits of $100: allowed $65 each, all of it deductible, and $35 balance bill: $1,000 in all
    rows = [fact("income", income)] if income else []
    _, row = one_case(tmp_path / "e", agreements=[request()], entered=rows)
    assert row["member_total_out_of_network"] == Decimal("1000.00")
    if income == "9000.00":
        assert row["affordability"] == "shown"
    elif income == "9010.00":
        _, edge = one_case(tmp_path / "f", agreements=[request()], entered=[fact("income", "10000.00")])
        _, above = one_case(tmp_path / "g", agreements=[request()], entered=[fact("income", "10000.01")])
        assert (edge["affordability"], above["affordability"]) == ("shown", "not shown")
    else:
        assert row["affordability"] == finding


def test_no_oon_benefits_is_affordability(tmp_path):
    _, row = one_case(tmp_path / "e", oon=None)
    assert row["affordability"] == "shown"
    assert row["grounds"] == "gap; affordability"


@pytest.mark.parametrize(
    ("began", "finding"),
    [("2026-03-02", "shown"), ("2026-03-01", "to be entered"), ("2025-12-01", "not shown")],
)
def test_continuity_is_a_coverage_that_began_after_the_treatment(tmp_path, began, finding):
    spans = [span("M1", network_id="EX1", effective_date=began), span("M2")]
    if finding == "shown":
        spans.append(span("M1", network_id="EX0", termination_date="2026-03-01"))
    _, row = one_case(tmp_path / "e", spans=spans)
    assert row["continuity"] == finding


def test_a_renewal_in_the_same_network_is_no_change(tmp_path):
    spans = [
        span("M1", network_id="EX1", effective_date="2024-01-01", termination_date="2026-03-31"),
        span("M1", network_id="EX1", effective_date="2026-04-01"),
        span("M2"),
    ]
    _, row = one_case(tmp_path / "e", spans=spans)
    assert row["continuity"] == "not shown"
    spans[1] = span("M1", network_id="EX1", effective_date="2026-04-03")  # a day without coverage
    _, row = one_case(tmp_path / "f", spans=spans)
    assert row["continuity"] == "shown"


def test_continuity_when_the_provider_left_the_network(tmp_path):
    visits = [claim("M1", 1, day, taxonomy_code="2084P0800X") for day in ("2026-01-10", "2026-03-31", "2026-05-02")]
    left = [listing(1, network_id="EX1", termination_date="2026-03-31")]
    spans = [span("M1", network_id="EX1", effective_date="2020-01-01"), span("M2")]
    cases, row = one_case(tmp_path / "e", directory=left, claims=visits, spans=spans)
    assert row["continuity"] == "shown"
    assert any("listed in the member's network until 2026-03-31" in s for s in said(cases, row["case_id"], "S5"))


def test_treatment_long_past_is_not_under_way(tmp_path):
    spans = [span("M1", effective_date="2025-09-01", network_id="EX1"), span("M2")]
    days = ("2025-08-01", "2025-09-15", "2025-10-01")
    visits = [claim("M1", 1, day, taxonomy_code="2084P0800X", network_status="out") for day in days]
    _, row = one_case(tmp_path / "e", claims=visits, spans=spans)
    assert row["continuity"] == "not shown"


def test_facts_entered_count_from_the_day_they_were_entered(tmp_path):
    rows = [
        fact("setback", "yes", entered_on="2026-04-01"),
        fact("setback", "no", entered_on="2026-04-05"),
        fact("setback", "yes", entered_on="2026-07-01"),
        fact("w9", "no"),
        fact("setback", "yes", case_id="ELSEWHERE"),
    ]
    cases, row = one_case(tmp_path / "e", agreements=[request()], entered=rows[:2] + rows[3:])
    assert row["setback"] == "not shown"
    assert "w9" in row["to_enter"].split("; ")
    assert cases.notes == ["1 facts were entered for cases that are not in the list as of 2026-06-30."]
    latest = cases.entered[["case_id", "fact", "value"]].to_numpy().tolist()
    assert latest == [["A1", "w9", "no"], ["A1", "setback", "no"]]  # in the order in which they were entered
    assert cases.entered.index.tolist() == [0, 1]
    assert list(cases.entered) == list(ENTERED.names)
    assert said(cases, "A1", "S6") == ["Starting over would not set the patient back."]


def test_complete_when_a_ground_is_shown_and_the_papers_are_there(tmp_path):
    papers = [fact(name, "yes") for name in grounds.PAPERS]
    _, row = one_case(tmp_path / "e", oon=None, agreements=[request(requested_rate="90.00")], entered=papers)
    assert row["is_complete"]
    assert row["to_enter"] == "setback; individual need"
    refused = [*papers[1:], fact("billing_commitment", "no")]
    _, row = one_case(tmp_path / "f", oon=None, agreements=[request()], entered=refused)
    assert not row["is_complete"]


@pytest.mark.parametrize(
    ("listed", "finding"), [("English", "shown"), ("English;Spanish", "not shown"), (None, "in doubt")]
)
def test_language_that_nobody_usable_lists(tmp_path, listed, finding):
    _, row = one_case(
        tmp_path / "e",
        agreements=[request()],
        entered=[fact("language", "spanish")],
        directory=[listing(9, languages=listed)],
    )
    assert row["individual_need"] == finding


def test_bargaining_zone_where_balance_bills_are_not_collected(tmp_path):
    _, row = one_case(tmp_path / "e", collection=Collection(balance_bill=Decimal("0.2")))
    # the plan pays nothing OON: all is deductible
    no_zone = "no rate serves plan and provider as well as OON does, if the provider collects 20% of balance bills"
    assert row["rate_basis"] == f"{no_zone}: {TO_USUAL}"
    assert (row["rate_low"], row["rate_high"]) == (Decimal("60.00"), Decimal("95.00"))
    cases, row = one_case(
        tmp_path / "f",
        oon={"out_of_network_deductible": "0.00", "out_of_network_coinsurance": "0.10"},
        collection=Collection(balance_bill=Decimal("0.2")),
    )
    # a visit OON: plan 58.50, member 6.50 + 35 of balance bill, provider 65 + 7 = 72. Ten under an SCA at 100:
    # 500 of deductible, then 80% of 500 = 400, which is less than the plan's 585: it agrees to any rate
    assert (row["rate_low"], row["rate_high"]) == (Decimal("72.00"), Decimal("100.00"))
    assert row["rate_basis"] == (
        "bargaining zone: the provider's break-even to the plan's, SCA against OON, if the provider collects 20% of "
        "balance bills"
    )
    assert (
        "The provider would get $600.00 at the in-network rate, $720.00 OON and $950.00"
        in said(cases, row["case_id"], "S9")[2]
    )


def test_a_bargaining_zone_may_be_a_single_rate(tmp_path):
    """Nobody shares costs and no balance bill is collected: at what OON pays, 65, both are as well off, and only so."""
    free = {"out_of_network_deductible": "0.00", "out_of_network_coinsurance": "0.00"}
    free |= {"in_network_deductible": "0.00", "in_network_coinsurance": "0.00"}
    _, row = one_case(tmp_path / "e", oon=free, collection=Collection(balance_bill=Decimal(0)))
    assert (row["rate_low"], row["rate_high"]) == (Decimal("65.00"), Decimal("65.00"))
    assert row["rate_basis"].startswith("bargaining zone: ")


def test_no_bargaining_zone_where_no_rate_brings_the_provider_as_much(tmp_path):
    """Without OON benefits the member owes the whole bill, all collected; of a cost share the provider gets half."""
    _, row = one_case(tmp_path / "e", oon=None, collection=Collection(cost_share=Decimal("0.5")))
    no_zone = "no rate serves plan and provider as well as OON does, if the provider collects 100% of balance bills"
    assert row["rate_basis"] == f"{no_zone}: {TO_USUAL}"
    assert (row["rate_low"], row["rate_high"]) == (Decimal("60.00"), Decimal("95.00"))


def test_every_column_of_a_case(tmp_path):
    """Ten visits of $100, asked for after the second: of $600 in-network and $950 under an SCA the first $500 are
    deductible and a fifth of the rest is the member's; OON the deductible takes all that is allowed."""
    cases, row = one_case(tmp_path / "e", agreements=[request()])
    no_zone = "no rate serves plan and provider as well as OON does, if the provider collects 100% of balance bills"
    text = {
        "case_id": "A1",
        "member_id": "M1",
        "provider_npi": npi(1),
        "specialty": "Psychiatry",
        "county_fips": "23011",
        "procedure_code": "90837",
        "state": "pending",
        "grounds": "gap",
        "to_enter": "income; setback; individual need; billing_commitment; license; tin; w9; rate_asked",
        "rate_basis": f"{no_zone}: {TO_USUAL}",
        "gap": "shown",
        "affordability": "to be entered",
        "continuity": "not known",  # since when the member is covered is blank
        "setback": "to be entered",
        "individual_need": "to be entered",
    }
    days = {"asked_on": "2026-03-03", "first_visit_date": "2026-03-01", "last_visit_date": "2026-04-05"}
    numbers = {"rank": 1, "visits": 10, "visits_before": 2, "searched": 0, "usable": 0, "usable_seen": 0}
    money = {
        "billed": "1000.00",
        "billed_before": "200.00",
        "at_stake": "410.00",
        "plan_paid_in_network": "80.00",
        "plan_paid_out_of_network": "0.00",
        "plan_paid_sca": "360.00",
        "member_total_in_network": "520.00",
        "member_total_out_of_network": "1000.00",
        "member_total_sca": "590.00",
        "provider_net_in_network": "600.00",
        "provider_net_out_of_network": "1000.00",
        "provider_net_sca": "950.00",
        "charge": "100.00",
        "rate_low": "60.00",
        "rate_high": "95.00",
    } | {name: FEE[name] for name in FEE if name != "procedure_code"}
    blank = dict.fromkeys(["network_id", "nearest_usable_miles", "not_costed"])
    expected = text | {name: pd.Timestamp(day) for name, day in days.items()} | numbers | blank
    expected |= {name: Decimal(amount) for name, amount in money.items()}
    expected |= {"max_miles": 30.0, "is_complete": False}
    assert {name: None if pd.isna(value) else value for name, value in row.items()} == expected
    assert (cases.as_of, len(cases.table), cases.entered_elsewhere, cases.notes) == (DAY, 1, 0, [])
    assert cases.standard.startswith("Medicare Advantage, 42 CFR 422.116")
    assert list(cases.evidence["statement"]) == ["S1", *["S2"] * 2, "S3", "S4", *["S5"] * 2, "S7", "S8", *["S9"] * 3]


def test_ranked_by_the_rule_stated(sample):
    table = sample.table
    assert table["rank"].tolist() == list(range(1, len(table) + 1))
    key = [
        (r.state == "agreed", r.gap != "shown", r.continuity != "shown", -len([g for g in r.grounds.split("; ") if g]))
        for r in table.itertuples()
    ]
    assert key == sorted(key)
    same = table[(table["state"] != "agreed") & (table["grounds"] == "gap; affordability")]
    assert same["at_stake"].is_monotonic_decreasing


def test_columns_and_no_member_in_the_evidence(sample):
    assert list(sample.table) == list(CASES.names)
    assert list(sample.evidence) == list(EVIDENCE.names)
    assert list(sample.searched) == list(SEARCHED.names)
    text = "\n".join(sample.evidence["evidence"]) + "\n".join(sample.evidence["source"])
    assert not any(member in text for member in sample.table["member_id"])
    assert sample.table["case_id"].is_unique


def test_nothing_after_the_day_is_looked_at(tmp_path):
    """The list of a day is that of a folder from which all that came later was cut away."""
    day = date(2026, 2, 28)
    whole = Exports.open(SAMPLE)
    tables = {}
    for name, column in (("claims", "service_date"), ("agreements", "requested_date"), ("entered", "entered_on")):
        frame = pd.read_csv(SAMPLE / f"{name}.csv", dtype=str, keep_default_na=False)
        tables[name] = frame[frame[column] <= "2026-02-28"]
    for name in ("directory", "members", "benefits", "fees"):
        tables[name] = pd.read_csv(SAMPLE / f"{name}.csv", dtype=str, keep_default_na=False)
    for name, frame in tables.items():
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    cut = Exports.open(tmp_path)
    left, right = list_cases(whole, day), list_cases(cut, day)
    pd.testing.assert_frame_equal(left.table, right.table)
    pd.testing.assert_frame_equal(left.evidence, right.evidence)


def test_no_case_at_all(tmp_path):
    exports = open_tables(
        tmp_path / "e", claims=[claim("M1", 1, network_status="in")], directory=[listing(1)], members=[span("M1")]
    )
    cases = list_cases(exports, DAY, find_gaps(exports, DAY))
    assert list(cases.table) == list(CASES.names)
    assert cases.table.empty
    assert cases.table["is_complete"].dtype == bool  # so that `not complete` can be asked of no case too
    assert cases.missing.empty
    assert cases.summary.to_numpy().sum() == 0


def test_case_numbers_depend_on_the_key(monkeypatch):
    from sca_analysis.pseudonyms import KEY, pseudonym

    monkeypatch.delenv(KEY, raising=False)
    plain = pseudonym("P", "M1", "1")
    assert plain == pseudonym("P", "M1", "1") != pseudonym("P", "M11", "")
    monkeypatch.setenv(KEY, "secret")
    assert pseudonym("P", "M1", "1") != plain
    assert pseudonym("P", "M1", "1").startswith("P")


def test_s10_what_came_of_the_agreement(sample, planted):
    over = set(planted.loc[planted["kind"] == "sessions_over", "case_id"])
    ended = set(planted.loc[planted["kind"] == "expired", "case_id"])
    states = sample.table.set_index("case_id")["state"].to_dict()
    for case, state in states.items():
        told = said(sample, case, "S10")
        if state in ("not_asked", "pending", "denied", "withdrawn"):
            assert told == []
        else:
            assert "sessions used up to 2026-06-30" in told[0]
        assert (state == "ended") == (case in ended), case
        assert state == "used_up" or case not in over - ended, case


# ---- the range of rates without benefits, and what the list says as a whole


@pytest.fixture(scope="module")
def rated(tmp_path_factory):
    """The cases of six members with one OON provider, by member; nobody's benefits are known."""
    fees = [
        FEE,
        FEE | {"locality": "NY-01", "usual_charge": "999.00"},
        FEE | {"procedure_code": "NO-USUAL", "usual_charge": None},
        FEE | {"procedure_code": "LOW-USUAL", "usual_charge": "55.00"},
        FEE | {"procedure_code": "NO-RATE", "in_network_rate": None},
    ]
    units = {"member": "M5", "procedure_code": "P", "units": "1"}
    visits = [
        {"member": "M1"},
        {"member": "M2", "procedure_code": "NO-USUAL", "billed_amount": "88.00"},
        {"member": "M3", "procedure_code": "LOW-USUAL"},
        {"member": "M4", "procedure_code": "NO-RATE"},
        # 850.00 of P, at 140, 130, 125, 120, 110 and 100 a unit, and 849.99 of another
        units | {"billed_amount": "130.00"},
        units | {"billed_amount": "250.00", "units": "2"},
        units | {"billed_amount": "110.00"},
        units | {"billed_amount": "100.00"},
        units | {"billed_amount": "140.00"},
        units | {"billed_amount": "120.00"},
        units | {"billed_amount": "0.00", "units": "0"},  # no unit, so no charge of one
        units | {"procedure_code": "90837", "billed_amount": "849.99"},
        units | {"procedure_code": "Q", "billed_amount": "900.00", "network_status": "in"},
        units | {"procedure_code": "Q", "billed_amount": "900.00", "day": "2025-06-30"},  # before the twelve months
        {"member": "M6", "procedure_code": "S"},
        {"member": "M6", "procedure_code": "R"},
    ]
    common = {"provider": 1, "taxonomy_code": "2084P0800X", "network_status": "out"}
    claims = [claim(**common | {"day": f"2026-03-{n:02d}"} | visit) for n, visit in enumerate(visits, start=1)]
    members = [span(f"M{n}") for n in range(1, 7)]
    folder = tmp_path_factory.mktemp("rated")
    exports = open_tables(folder, claims=claims, directory=[listing(50)], members=members, fees=fees)
    return list_cases(exports, DAY)


@pytest.mark.parametrize(
    ("member", "low", "high", "basis"),
    [
        ("M1", "60.00", "95.00", f"break-even rates could not be found: {TO_USUAL}"),
        # what was billed is the ceiling; the ceiling holds for the in-network rate too
        ("M2", "60.00", "88.00", f"break-even rates could not be found: {TO_USUAL}"),
        ("M3", "55.00", "55.00", f"break-even rates could not be found: {TO_USUAL}"),
        ("M4", None, None, "break-even rates could not be found, and there is no in-network rate or charge to go by"),
    ],
)
def test_without_benefits_the_range_is_that_of_the_fees(rated, member, low, high, basis):
    row = rated.table.set_index("member_id").loc[member]
    found = [None if pd.isna(row[c]) else str(row[c]) for c in ("rate_low", "rate_high")]
    assert found == [low, high]
    assert row["rate_basis"] == basis


def test_the_fee_of_the_plan_and_no_localitys_counts(rated):
    row = rated.table.set_index("member_id").loc["M1"]
    fees = ["in_network_rate", "medicare_rate", "out_of_network_allowed", "usual_charge"]
    assert [str(row[fee]) for fee in fees] == ["60.00", "70.00", "65.00", "95.00"]


def test_the_rates_are_of_the_procedure_most_billed_at_its_middle_charge(rated):
    """Of an even number of charges the lower of the middle ones; of two procedures billed alike the first by code."""
    table = rated.table.set_index("member_id")
    assert (table.loc["M5", "procedure_code"], table.loc["M5", "charge"]) == ("P", Decimal("120.00"))
    assert (table.loc["M6", "procedure_code"], table.loc["M6", "charge"]) == ("R", Decimal("100.00"))


def test_cases_alike_are_ranked_by_what_is_billed_and_then_by_number(rated):
    """Nobody's costs are known, so nothing is at stake that could tell them apart."""
    table = rated.table
    assert [str(b) for b in table["billed"]] == ["1699.99", "200.00", "100.00", "100.00", "100.00", "88.00"]
    alike = table["case_id"].tolist()[2:5]
    assert alike == sorted(alike)
    assert table["rank"].tolist() == [1, 2, 3, 4, 5, 6]
    assert table.index.tolist() == [0, 1, 2, 3, 4, 5]
    assert table["at_stake"].isna().all()


def test_more_at_stake_comes_first_and_an_agreement_in_force_last(tmp_path):
    """One visit of 300 is worth more than one of 200, whatever is billed; what is agreed needs nobody's work."""
    members = {"M1": "200.00", "M2": "300.00", "M3": "900.00"}
    agreed = request(member_id="M3", decision="approved", agreed_rate="80.00", decision_date="2026-03-03")
    visit = {"taxonomy_code": "2084P0800X", "network_status": "out"}
    exports = open_tables(
        tmp_path / "e",
        claims=[claim(member, 1, "2026-03-05", **visit, billed_amount=billed) for member, billed in members.items()],
        directory=[listing(50)],
        members=[span(member) for member in members],
        benefits=[BENEFITS | OON],
        fees=[FEE],
        agreements=[agreed | {"expiry_date": "2026-12-31"}],
    )
    cases = list_cases(exports, DAY, find_gaps(exports, DAY))
    table = cases.table
    assert table["member_id"].tolist() == ["M2", "M1", "M3"]
    assert table["state"].tolist() == ["not_asked", "not_asked", "agreed"]
    # all is deductible: OON the whole bill, under an SCA at the usual charge 95, or at 80 as agreed
    assert table["at_stake"].tolist() == [Decimal("205.00"), Decimal("105.00"), Decimal("820.00")]
    assert cases.requests["gap_status"].tolist() == ["met"] * 3, "the county has a psychiatrist"
    assert sorted(cases.requests["case_id"]) == sorted(cases.requests.index) == sorted(table["case_id"])

    missing = cases.missing
    assert list(missing) == ["fact", "cases", "of_cases"]
    assert missing.index.tolist() == list(range(len(missing)))
    assert set(missing["of_cases"]) == {2}, "what is agreed needs no facts"
    assert missing["cases"].max() == 2
    counts = list(zip(-missing["cases"], missing["fact"], strict=True))
    assert counts == sorted(counts), "what is missing most comes first"

    assert list(cases.summary) == list(grounds.FINDINGS)
    assert cases.summary.index.tolist() == list(grounds.GROUNDS)
    assert (cases.summary.sum(axis=1) == 3).all()
    assert cases.summary.loc["setback", "to be entered"] == 3
    assert (cases.summary.dtypes == "int64").all()
    assert cases.notes == []


def test_an_unknown_number_is_said_to_be_no_case(rated):
    with pytest.raises(ParameterError) as raised:
        rated.find("nope")
    assert str(raised.value) == "'nope' is no case as of 2026-06-30: `sca cases` lists them with their numbers."
