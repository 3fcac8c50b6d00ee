"""The register of SCA requests and what is told from it: by hand, by brute force, and on what is planted."""

import csv
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sca_analysis.amounts import MONEY
from sca_analysis.errors import ParameterError
from sca_analysis.exports import Exports
from sca_analysis.medicare import percent_of_medicare
from sca_analysis.outcomes import build_register, list_alerts, make_or_buy, measure, withhold
from sca_analysis.register import percent_of
from sca_analysis.tables import ALERTS, MAKE_OR_BUY, MEASURES, REGISTER
from tests.conftest import SAMPLE
from tests.folders import claim, listing, npi, open_tables, span

AS_OF = date(2026, 6, 30)
FIRST = date(2025, 7, 1)
FEES = [
    {
        "procedure_code": "90837",
        "in_network_rate": "100.00",
        "medicare_rate": "120.00",
        "out_of_network_allowed": "110.00",
        "usual_charge": "200.00",
    }
]
FOLDERS = count()
EARLY_JUNE = ["2026-06-01", "2026-06-02", "2026-06-03", "2026-06-04"]


def request(case: str, member: str = "M1", provider: int = 1, **columns: Any) -> dict[str, Any]:
    row = {
        "case_id": case,
        "member_id": member,
        "provider_npi": npi(provider),
        "taxonomy_code": "103TC0700X",
        "procedure_code": "90837",
        "ground": "gap",
        "requested_date": "2026-01-01",
        "decision_date": "2026-01-10",
        "decision": "approved",
        "denial_reason": None,
        "requested_rate": "200.00",
        "agreed_rate": "150.00",
        "sessions_authorized": 4,
        "effective_date": "2026-01-10",
        "expiry_date": "2026-03-31",
    }
    return row | columns


def pending(case: str, member: str = "M1", provider: int = 1, **columns: Any) -> dict[str, Any]:
    blank = dict.fromkeys(
        ["decision_date", "decision", "agreed_rate", "sessions_authorized", "effective_date", "expiry_date"]
    )
    return request(case, member, provider, **(blank | columns))


def visit(day: str, member: str = "M1", provider: int = 1, **columns: Any) -> dict[str, Any]:
    """A visit at 200.00, allowed 150.00, of which the plan pays 120.00 and the member 30.00."""
    amounts = {"billed_amount": "200.00", "allowed_amount": "150.00", "paid_amount": "120.00", "member_amount": "30.00"}
    return claim(member, provider, day, **(amounts | columns))


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., pd.DataFrame]:
    def make(agreements: list[dict[str, Any]], claims: list[dict[str, Any]], as_of: date = AS_OF) -> pd.DataFrame:
        return build_register(open_folder(tmp_path, agreements, claims), as_of)

    return make


def open_folder(tmp_path: Path, agreements: list[dict[str, Any]], claims: list[dict[str, Any]]) -> Exports:
    return open_tables(
        tmp_path / f"f{next(FOLDERS)}",
        claims=claims or [visit("2020-01-01", "M9", 9)],
        directory=[listing(99)],
        members=[span(f"M{n}") for n in range(1, 10)],
        fees=FEES,
        **({"agreements": agreements} if agreements else {}),
    )


@pytest.fixture(scope="module")
def sample() -> Exports:
    return Exports.open(SAMPLE)


@pytest.fixture(scope="module")
def register(sample: Exports) -> pd.DataFrame:
    return build_register(sample, AS_OF)


@pytest.fixture(scope="module")
def planted() -> list[dict[str, str]]:
    with (SAMPLE / "planted.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def row_of(register: pd.DataFrame, case: str = "A") -> "pd.Series[Any]":
    return register.set_index("case_id").loc[case]


# What is planted in the sample


def test_s3_treatment_before_request_is_found_and_no_other(
    register: pd.DataFrame, planted: list[dict[str, str]]
) -> None:
    known = {p["case_id"] for p in planted if p["kind"] == "treatment_before_request"}
    assert len(known) == 25
    assert set(register.loc[register["visits_before_request"] > 0, "case_id"]) == known


def test_s10_sessions_over_are_found_with_their_counts(register: pd.DataFrame, planted: list[dict[str, str]]) -> None:
    known = {p["case_id"]: p["note"] for p in planted if p["kind"] == "sessions_over"}
    found = register[register["visits_over_sessions"] > 0]
    notes = found["sessions_used"].astype(str) + " visits in the term; " + found["sessions_authorized"].astype(str)
    assert dict(zip(found["case_id"], notes + " authorised", strict=True)) == known


def test_s10_expired_agreements_are_found_with_the_visits_after(
    sample: Exports, register: pd.DataFrame, planted: list[dict[str, str]]
) -> None:
    known = {p["case_id"]: int(p["note"].split()[0]) for p in planted if p["kind"] == "expired"}
    expired = register[register["state"] == "expired"].set_index("case_id")
    assert set(expired.index) == set(known)
    # the key counts a visit that was billed and then reversed; the register does not
    claims = sample.frame("claims")
    for case, row in expired.iterrows():
        mine = (claims["member_id"] == row["member_id"]) & (claims["provider_npi"] == row["provider_npi"])
        after = claims[mine & (claims["service_date"] > row["expiry_date"])]
        by_day = after["claim_status"].eq("reversed").groupby(after["service_date"]).all()
        assert row["visits_after_expiry"] + by_day.sum() == known[str(case)]
    assert known["SCA000025"] - expired.loc["SCA000025", "visits_after_expiry"] == 1, "the one reversed visit"


def test_s10_balance_bills_are_found_and_no_other(register: pd.DataFrame, planted: list[dict[str, str]]) -> None:
    known = {p["case_id"] for p in planted if p["kind"] == "balance_billed"}
    assert set(register.loc[register["lines_balance_billed"] > 0, "case_id"]) == known


def test_sample_is_billed_at_the_agreed_rate(register: pd.DataFrame) -> None:
    assert register["rated_lines_known"].sum() > 100
    assert register["lines_allowed_above"].sum() == register["lines_allowed_below"].sum() == 0


def test_sample_alerts_are_what_is_planted(register: pd.DataFrame, planted: list[dict[str, str]]) -> None:
    alerts = list_alerts(register, AS_OF)
    by_kind = alerts.groupby("alert")["case_id"].agg(set)
    known = pd.DataFrame(planted).groupby("kind")["case_id"].agg(set)
    assert by_kind["balance_billed"] == known["balance_billed"]
    assert by_kind["treatment_after_expiry"] <= known["expired"]
    assert by_kind["sessions_over"] <= known["sessions_over"]
    assert set(by_kind.index) == {
        "balance_billed",
        "treatment_after_expiry",
        "sessions_over",
        "decision_pending",
        "expiring",
    }


def test_no_member_is_named_in_alerts_or_measures(register: pd.DataFrame) -> None:
    members = set(register["member_id"])
    for table in (list_alerts(register, AS_OF), measure(register, FIRST, AS_OF)):
        text = table.to_csv()
        assert not [m for m in members if m in text]


# The register, by hand


def test_columns_are_those_declared(register: pd.DataFrame) -> None:
    assert tuple(register.columns) == REGISTER.names
    assert register["case_id"].is_unique


def test_sessions_are_days_within_the_dates(build: Callable[..., pd.DataFrame]) -> None:
    days = ["2026-01-09", "2026-01-10", "2026-01-10", "2026-02-01", "2026-03-31", "2026-04-01"]
    row = row_of(build([request("A")], [visit(d) for d in days]))
    assert (row["sessions_used"], row["sessions_left"], row["visits_over_sessions"]) == (3, 1, 0)  # both ends count
    assert row["visits_after_expiry"] == 1
    assert row["billed_after_expiry"] == Decimal("200.00")
    assert row["state"] == "expired"


def test_reversed_lines_are_no_session_and_denied_ones_are(build: Callable[..., pd.DataFrame]) -> None:
    lines = [
        visit("2026-01-11", claim_status="reversed"),
        visit("2026-01-12", claim_status="denied", allowed_amount="0.00", paid_amount="0.00"),
        visit("2026-01-13"),
    ]
    row = row_of(build([request("A")], lines))
    assert (row["sessions_used"], row["sessions_denied"]) == (2, 1)


def test_denied_line_of_another_procedure_is_no_session_denied(build: Callable[..., pd.DataFrame]) -> None:
    row = row_of(build([request("A")], [visit("2026-01-12", claim_status="denied", procedure_code="90791")]))
    assert (row["sessions_used"], row["sessions_denied"]) == (1, 0)


@pytest.mark.parametrize(
    ("columns", "state"),
    [
        ({"decision": "denied"}, "denied"),
        ({"decision": "withdrawn"}, "withdrawn"),
        ({"decision": "pending"}, "pending"),
        ({"decision": None, "decision_date": None}, "pending"),
        ({"decision_date": "2026-07-01"}, "pending"),  # after the day
        ({"effective_date": "2026-07-01", "expiry_date": "2026-08-01"}, "not_begun"),
        ({"expiry_date": "2026-06-30"}, "in_force"),  # the last day counts
        ({"expiry_date": "2026-06-29"}, "expired"),
        ({"expiry_date": None}, "in_force"),
        ({"expiry_date": "2026-12-31", "sessions_authorized": 1}, "used_up"),
        ({"expiry_date": "2026-12-31", "sessions_authorized": None}, "in_force"),
    ],
)
def test_state(build: Callable[..., pd.DataFrame], columns: dict[str, Any], state: str) -> None:
    row = row_of(build([request("A", **columns)], [visit("2026-02-01")]))
    assert row["state"] == state
    if state == "pending":
        assert row[["decision_date", "agreed_rate", "expiry_date", "sessions_authorized"]].isna().all()
        assert row["days_pending"] == 180  # 1 January to 30 June
    if state == "denied":
        assert pd.isna(row["agreed_rate"])


def test_rates_as_percentages(build: Callable[..., pd.DataFrame]) -> None:
    row = row_of(build([request("A")], []))
    # 150 of 200 asked, 100 in-network, 120 of Medicare, 200 usual
    percents = [row[f"agreed_percent_of_{n}"] for n in ("requested_rate", "in_network_rate", "medicare_rate")]
    assert percents == [Decimal("75.0"), Decimal("150.0"), Decimal("125.0")]
    assert row["agreed_percent_of_usual_charge"] == Decimal("75.0")


@given(st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**7)), min_size=1, max_size=30))
def test_percent_is_that_of_medicare_module(pairs: list[tuple[int, int]]) -> None:
    rates = [(Decimal(a) / 100, Decimal(b) / 100) for a, b in pairs]
    above, below = (pd.Series([r[i] for r in rates], dtype=MONEY) for i in (0, 1))
    found = [None if pd.isna(v) else v for v in percent_of(above, below)]
    assert found == [percent_of_medicare(a, b) for a, b in rates]


def test_off_rate_lines_are_told_apart(build: Callable[..., pd.DataFrame]) -> None:
    lines = [
        visit("2026-01-11"),  # at the rate
        visit("2026-01-12", allowed_amount="170.00"),  # 20 above
        visit("2026-01-13", allowed_amount="140.00", units="1"),  # 10 below
        visit("2026-01-14", units="2", billed_amount="280.00", allowed_amount="280.00"),  # lesser of 280 and 300
        visit("2026-01-15", allowed_amount="500.00"),  # fifth visit of four: OON
    ]
    row = row_of(build([request("A")], lines))
    assert (row["rated_lines"], row["rated_lines_known"]) == (4, 4)
    assert (row["lines_allowed_above"], row["allowed_above"]) == (1, Decimal("20.00"))
    assert (row["lines_allowed_below"], row["allowed_below"]) == (1, Decimal("10.00"))
    assert (row["lines_billed_above"], row["billed_above"]) == (3, Decimal("150.00"))  # 3 x (200 - 150)
    assert (row["lines_billed_below"], row["billed_below"]) == (1, Decimal("20.00"))  # 300 - 280
    assert row["visits_over_sessions"] == 1


def test_blank_allowed_is_not_known_and_other_procedures_have_no_rate(build: Callable[..., pd.DataFrame]) -> None:
    lines = [visit("2026-01-11", allowed_amount=None), visit("2026-01-12", procedure_code="90791")]
    row = row_of(build([request("A")], lines))
    assert (row["rated_lines"], row["rated_lines_known"], row["lines_allowed_below"]) == (1, 0, 0)
    assert (row["balance_lines"], row["balance_lines_known"]) == (2, 1)


def test_balance_bill_is_what_exceeds_the_cost_share(build: Callable[..., pd.DataFrame]) -> None:
    lines = [
        visit("2026-01-11", member_amount="80.00"),  # 50 above 150 - 120
        visit("2026-01-12", member_amount="10.00"),  # less than the share is no balance bill
        visit("2026-01-13", member_amount=None),  # unknown
        visit("2026-04-13", member_amount="80.00"),  # after the agreement
    ]
    row = row_of(build([request("A")], lines))
    assert (row["balance_lines"], row["balance_lines_known"]) == (3, 2)
    assert (row["lines_balance_billed"], row["balance_billed"]) == (1, Decimal("50.00"))


def test_renewal_covers_visits_after_expiry(build: Callable[..., pd.DataFrame]) -> None:
    second = request("B", requested_date="2026-03-20", effective_date="2026-04-11", expiry_date="2026-05-31")
    lines = [visit(d) for d in ("2026-02-01", "2026-04-05", "2026-04-20", "2026-06-15")]
    table = build([request("A"), second], lines)
    a, b = row_of(table), row_of(table, "B")
    assert (a["visits_after_expiry"], b["visits_after_expiry"]) == (1, 1)  # 5 April, 15 June
    assert (b["renewal_of"], b["renewal_gap_days"], a["renewed_by"]) == ("A", 10, "B")  # 1 to 10 April
    assert pd.isna(a["renewal_of"])
    assert pd.isna(b["renewed_by"])
    assert b["visits_before_request"] == 0  # 1 February was under A


def test_overlapping_renewal_has_a_negative_gap_and_takes_the_visits(build: Callable[..., pd.DataFrame]) -> None:
    second = request("B", requested_date="2026-02-20", effective_date="2026-03-22", expiry_date="2026-05-31")
    table = build([request("A"), second], [visit("2026-03-25")])
    assert row_of(table, "B")["renewal_gap_days"] == -10  # 22 to 31 March
    assert (row_of(table)["sessions_used"], row_of(table, "B")["sessions_used"]) == (0, 1)


def test_in_network_visits_need_no_agreement(build: Callable[..., pd.DataFrame]) -> None:
    lines = [
        visit("2025-12-01", network_status="in"),
        visit("2025-12-02", network_status="out"),
        visit("2026-05-01", network_status="in"),
    ]
    row = row_of(build([request("A")], lines))
    assert (row["visits_before_request"], row["oon_visits_before_request"]) == (2, 1)
    assert (row["billed_before_request"], row["oon_billed_before_request"]) == (Decimal("400.00"), Decimal("200.00"))
    assert row["visits_after_expiry"] == 0


# Brute force and properties

DAYS = st.integers(0, 120).map(lambda n: date(2026, 1, 1) + timedelta(days=n))


@st.composite
def folders(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    agreements = []
    for n in range(draw(st.integers(1, 5))):
        asked = draw(DAYS)
        decided = asked + timedelta(days=draw(st.integers(0, 20)))
        begins = decided - timedelta(days=draw(st.integers(-10, 10)))
        decision = draw(st.sampled_from(["approved", "approved", "denied", "withdrawn", None]))
        ends = begins + timedelta(days=draw(st.integers(0, 60)))
        agreements.append(
            request(
                f"A{n}",
                draw(st.sampled_from(["M1", "M2"])),
                draw(st.integers(1, 2)),
                requested_date=str(asked),
                decision=decision,
                decision_date=None if decision is None else str(decided),
                effective_date=str(begins) if decision == "approved" else None,
                expiry_date=str(ends) if decision == "approved" else None,
                agreed_rate="150.00" if decision == "approved" else None,
                sessions_authorized=draw(st.integers(1, 5)) if decision == "approved" else None,
                denial_reason="papers" if decision == "denied" else None,
            )
        )
    claims = [
        visit(
            str(draw(DAYS)),
            draw(st.sampled_from(["M1", "M2"])),
            draw(st.integers(1, 2)),
            claim_status=draw(st.sampled_from(["paid", "paid", "denied", "reversed"])),
            network_status=draw(st.sampled_from(["out", "out", "in"])),
            allowed_amount=draw(st.sampled_from(["150.00", "160.00", "120.00", None])),
            member_amount=draw(st.sampled_from(["30.00", "90.00", None])),
        )
        for _ in range(draw(st.integers(1, 25)))
    ]
    return agreements, claims


def count_by_hand(agreements: list[dict[str, Any]], claims: list[dict[str, Any]], as_of: date) -> dict[str, Any]:
    """Sessions, visits before and after, request by request and day by day."""
    today = str(as_of)
    known = [a for a in agreements if a["requested_date"] <= today]
    approved = [a for a in known if a["decision"] == "approved" and a["decision_date"] <= today]

    def same(a: dict[str, Any], c: dict[str, Any]) -> bool:
        return (a["member_id"], a["provider_npi"]) == (c["member_id"], c["provider_npi"])

    def covers(a: dict[str, Any], c: dict[str, Any]) -> bool:
        return same(a, c) and a["effective_date"] <= c["service_date"] <= a["expiry_date"]

    seen = [c for c in claims if c["service_date"] <= today and c["claim_status"] != "reversed"]
    result: dict[str, Any] = {a["case_id"]: {"used": set(), "after": set(), "before": set()} for a in known}
    for c in seen:
        mine = [a for a in approved if covers(a, c)]
        if mine:
            best = max(mine, key=lambda a: (a["effective_date"], a["case_id"]))
            result[best["case_id"]]["used"].add(c["service_date"])
        elif c["network_status"] == "out":
            over = [a for a in approved if same(a, c) and a["expiry_date"] < c["service_date"]]
            if over:
                last = max(over, key=lambda a: (a["expiry_date"], a["case_id"]))
                result[last["case_id"]]["after"].add(c["service_date"])
        for a in known:
            others = [b for b in mine if b["case_id"] != a["case_id"]]
            if same(a, c) and c["service_date"] < a["requested_date"] and not others:
                result[a["case_id"]]["before"].add(c["service_date"])
    return {case: {k: len(v) for k, v in days.items()} for case, days in result.items()}


def cut_after(
    agreements: list[dict[str, Any]], claims: list[dict[str, Any]], as_of: date
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return a folder from which all that happened after a day was cut away."""
    today = str(as_of)
    undecided = ["decision", "decision_date", "denial_reason", "agreed_rate", "sessions_authorized"]
    blank = dict.fromkeys([*undecided, "effective_date", "expiry_date"])
    left = [
        a | (blank if a["decision_date"] and a["decision_date"] > today else {})
        for a in agreements
        if a["requested_date"] <= today
    ]
    return left, [c for c in claims if c["service_date"] <= today]


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(folder=folders(), as_of=DAYS)
def test_register_is_what_brute_force_counts_and_does_not_look_ahead(
    tmp_path: Path, folder: tuple[list[dict[str, Any]], list[dict[str, Any]]], as_of: date
) -> None:
    table = build_register(open_folder(tmp_path, *folder), as_of)
    known = count_by_hand(*folder, as_of)
    columns = {"used": "sessions_used", "after": "visits_after_expiry", "before": "visits_before_request"}
    found = {r["case_id"]: {k: int(r[c]) for k, c in columns.items()} for r in table.to_dict("records")}
    assert found == known
    # counts add up
    limit = table["sessions_authorized"].fillna(0)
    has = table["sessions_authorized"].notna()
    within = np.minimum(table["sessions_used"], limit)[has]
    assert (within + table["visits_over_sessions"][has] == table["sessions_used"][has]).all()
    assert (within + table["sessions_left"][has] == limit[has]).all()
    assert (table["rated_lines_known"] <= table["rated_lines"]).all()
    assert (table["lines_balance_billed"] <= table["balance_lines_known"]).all()
    # nothing after the day is looked at
    earlier = build_register(open_folder(tmp_path, *cut_after(*folder, as_of)), as_of)
    assert table.astype(str).equals(earlier.astype(str))


# Twenty requests by hand


def hand_register() -> pd.DataFrame:
    """Twenty requests of twenty members, written out; what is not said is blank or zero."""
    rows: list[dict[str, Any]] = []

    def add(case: int, decision: str, asked: str, days: int | None, **columns: Any) -> None:
        decided = pd.Timestamp(asked) + pd.Timedelta(days=days) if days is not None else pd.NaT
        rows.append(
            {
                "case_id": f"C{case:02d}",
                "member_id": f"X{case:02d}",
                "provider_npi": "1",
                "ground": "gap" if case <= 12 else "continuity",
                "specialty": "Psychiatry" if case % 2 else "Clinical Psychology",
                "decision": decision,
                "state": columns.pop("state", decision),
                "requested_date": pd.Timestamp(asked),
                "decision_date": decided,
                "days_to_decision": days,
            }
            | columns
        )

    # 9 approved, days 4 6 8 10 12 14 16 18 20; agreed of in-network 110 ... 150
    spans = [
        # state, sessions authorised, used, days to expiry, visits after expiry
        ("expired", 10, 10, -60, 0),
        ("expired", 10, 5, -40, 3),
        ("expired", 20, 15, -20, 0),
        ("expired", 20, 22, -10, 1),
        ("in_force", 10, 2, 20, 0),
        ("in_force", 10, 9, 45, 0),
        ("used_up", 10, 12, 60, 0),
        ("in_force", 10, 1, 61, 0),
        ("in_force", 10, 0, 200, 0),
    ]
    for n, (state, limit, used, left, after) in enumerate(spans, start=1):
        add(
            n,
            "approved",
            "2026-01-01",
            2 + 2 * n,
            state=state,
            sessions_authorized=limit,
            sessions_used=used,
            visits_over_sessions=max(used - limit, 0),
            days_to_expiry=left,
            effective_date=pd.Timestamp("2026-01-15"),
            expiry_date=pd.Timestamp(AS_OF) + pd.Timedelta(days=left),
            agreed_percent_of_in_network_rate=Decimal(105 + 5 * n),
            visits_after_expiry=after,
            billed_after_expiry=Decimal(200 * after),
            rated_lines=10,
            rated_lines_known=8,
            lines_allowed_above=2 if n == 5 else 0,
            allowed_above=Decimal("31.50") if n == 5 else Decimal(0),
            lines_allowed_below=1 if n == 6 else 0,
            allowed_below=Decimal("7.25") if n == 6 else Decimal(0),
            balance_lines=10,
            balance_lines_known=8,
            lines_balance_billed=3 if n == 7 else 0,
            balance_billed=Decimal("99.90") if n == 7 else Decimal(0),
            renewal_of="C00" if n == 3 else None,
            renewal_gap_days=4 if n == 3 else None,
            visits_before_request=2 if n <= 6 else 0,
            oon_visits_before_request=2 if n <= 4 else 0,
            oon_billed_before_request=Decimal(400 if n <= 4 else 0),
        )
    # 5 denied, days 5 10 15 20 25
    for n, reason in enumerate(["papers", "papers", "papers", "rate", "rate"], start=10):
        add(n, "denied", "2026-02-01", 5 * (n - 9), denial_reason=reason)
    # 2 withdrawn, 3 pending for 10, 20 and 60 days, and one approved before the period
    add(15, "withdrawn", "2026-03-01", 3)
    add(16, "withdrawn", "2026-03-01", 9)
    for n, waits in ((17, 10), (18, 20), (19, 60)):
        add(n, "pending", str(AS_OF - timedelta(days=waits)), None, days_pending=waits)
    add(20, "denied", "2025-01-01", 30, denial_reason="papers")
    table = pd.DataFrame(rows).reindex(columns=list(REGISTER.names))
    for column in REGISTER.columns:
        if column.default == "0":
            table[column.name] = table[column.name].fillna(0)
    money = [c.name for c in REGISTER.columns if c.unit == "USD"]
    dates = [c.name for c in REGISTER.columns if c.name.endswith("_date")]
    table = table.astype(dict.fromkeys(money, MONEY)).astype(dict.fromkeys(dates, "datetime64[ns]"))
    counts = [c.name for c in REGISTER.columns if c.unit in ("days", "visits", "lines")]
    return table.astype(dict.fromkeys(counts, "Int64"))


# measure: value, low, high, numerator, denominator
BY_HAND: dict[tuple[str, str], tuple[str | None, str | None, str | None, int, int]] = {
    ("all", "requests"): ("19", None, None, 19, 19),  # all but the one of 2025-01-01
    ("all", "begun_before_request"): ("31.6", "15.4", "54.0", 6, 19),  # 6/19; Wilson by its formula
    ("all", "oon_before_request"): ("21.1", "8.5", "43.3", 4, 19),
    ("all", "oon_billed_before_request"): ("1600.00", None, None, 4, 19),  # 4 x 400
    ("all", "approved"): ("64.3", "38.8", "83.7", 9, 14),  # 9 approved, 5 denied; 2 withdrawn left out
    ("all", "withdrawn"): ("2", None, None, 2, 2),
    # 4 5 6 8 10 10 12 14 15 16 18 20 20 25: median (12+14)/2; P10 at 1.3: 5 + .3 x 1; P90 at 11.7: 20
    ("all", "days_to_decision"): ("13.0", "5.3", "20.0", 14, 14),
    ("all", "days_pending"): ("20.0", "12.0", "52.0", 3, 3),  # 10 20 60: 10 + .2 x 10, 20 + .8 x 40
    ("all", "agreed_of_in_network_rate"): ("130.0", "114.0", "146.0", 9, 9),  # 110 ... 150 by 5
    ("all", "agreed_of_medicare_rate"): (None, None, None, 0, 9),  # none known
    ("all", "renewals"): ("11.1", "2.0", "43.5", 1, 9),
    ("all", "renewal_gap_days"): ("4.0", "4.0", "4.0", 1, 1),
    ("all", "in_force"): ("5", None, None, 5, 5),
    # 100 50 75 110: sorted 50 75 100 110: median 87.5, P10 at .3: 57.5, P90 at 2.7: 107
    ("all", "sessions_used"): ("87.5", "57.5", "107.0", 4, 4),
    ("all", "sessions_over"): ("22.2", "6.3", "54.7", 2, 9),  # C04 by 2, C07 by 2
    ("all", "off_rate_lines"): ("4.2", None, None, 3, 72),  # (2 + 1) / (9 x 8)
    ("all", "off_rate_above"): ("31.50", None, None, 1, 9),
    ("all", "off_rate_below"): ("7.25", None, None, 1, 9),
    ("all", "balance_billed"): ("11.1", "2.0", "43.5", 1, 9),
    ("all", "balance_billed_amount"): ("99.90", None, None, 1, 9),
    ("all", "balance_lines_known"): ("80.0", None, None, 72, 90),
    ("all", "treated_after_expiry"): ("50.0", "15.0", "85.0", 2, 4),
    ("all", "billed_after_expiry"): ("800.00", None, None, 2, 4),  # (3 + 1) x 200
    ("papers", "denied"): ("60.0", "23.1", "88.2", 3, 5),
    ("rate", "denied"): ("40.0", "11.8", "76.9", 2, 5),
    ("30 days", "expiring"): ("20.0", "3.6", "62.4", 1, 5),  # 20
    ("60 days", "expiring"): ("60.0", "23.1", "88.2", 3, 5),  # 20 45 60
    ("90 days", "expiring"): ("80.0", "37.6", "96.4", 4, 5),  # and 61
    ("gap", "approved"): ("75.0", "46.8", "91.1", 9, 12),
    ("continuity", "approved"): ("0.0", "0.0", "65.8", 0, 2),
    ("Psychiatry", "approved"): ("71.4", "35.9", "91.8", 5, 7),  # C01 03 05 07 09 of these and C11 C13
}


def test_measures_equal_the_hand_computed_ones() -> None:
    measures = measure(hand_register(), FIRST, AS_OF)
    assert tuple(measures.columns) == MEASURES.names
    assert not measures.duplicated(["scope", "group", "measure"]).any()
    found = measures.set_index(["group", "measure"])
    for key, known in BY_HAND.items():
        row = found.loc[key]
        shown = [None if pd.isna(row[c]) else str(row[c]) for c in ("value", "low", "high")]
        assert (*shown, row["numerator"], row["denominator"]) == known, key
    everything = set(found.loc["all"].index) if "all" in found.index else set()
    told = {m for g, m in BY_HAND if g == "all"}
    assert everything - told <= {"agreed_of_requested_rate", "agreed_of_usual_charge"}


def test_groups_add_up_to_all() -> None:
    measures = measure(hand_register(), FIRST, AS_OF)
    for name in ("requests", "approved", "withdrawn", "in_force", "off_rate_lines", "balance_billed_amount"):
        mine = measures[measures["measure"] == name]
        whole = mine[mine["scope"] == "all"].iloc[0]
        for scope in ("ground", "specialty"):
            part = mine[mine["scope"] == scope]
            assert part["numerator"].sum() == whole["numerator"]
            assert part["denominator"].sum() == whole["denominator"]


def test_period_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ParameterError, match="ends on 2026-06-30 before it begins on 2026-07-01"):
        measure(hand_register(), date(2026, 7, 1), AS_OF)


def test_no_requests_at_all(tmp_path: Path) -> None:
    exports = open_folder(tmp_path, [request("A", requested_date="2026-06-30")], [])
    empty = build_register(exports, date(2026, 1, 1))
    assert empty.empty
    assert tuple(empty.columns) == REGISTER.names
    measures = measure(empty, FIRST, AS_OF)
    assert measures.set_index("measure").loc["requests", "value"] == 0
    assert list_alerts(empty, AS_OF).empty
    assert make_or_buy(empty, exports, AS_OF).empty


def test_withheld_are_few_patients_and_what_gives_them_away() -> None:
    measures = measure(hand_register(), FIRST, AS_OF)
    shown = withhold(measures, 11)
    whole = shown[shown["scope"] == "all"].set_index("measure")
    assert whole.loc["requests", "value"] == 19
    assert pd.isna(whole.loc["approved", "value"])  # 9 patients
    assert "withheld" in whole.loc["approved", "note"]
    assert whole.loc["off_rate_above", "note"].startswith("fewer than 11")
    # gap has 12 requests in the period, continuity 7: 12 would give 7 away
    grounds = shown[(shown["measure"] == "requests") & (shown["scope"] == "ground")]
    assert grounds["value"].isna().all()
    for column in ("patients", "patients_of"):
        assert not shown[column].between(1, 10).any()
    assert withhold(measures, 1).equals(measures.assign(note=measures["note"]))


# Alerts


def alert_kinds(table: pd.DataFrame) -> set[str]:
    return set(table["alert"])


@pytest.mark.parametrize(
    ("columns", "days", "kinds"),
    [
        ({"expiry_date": "2026-07-30"}, ["2026-06-20"], {"expiring"}),  # in 30 days
        ({"expiry_date": "2026-07-31"}, ["2026-06-20"], set()),  # in 31
        ({"expiry_date": "2026-06-30"}, ["2026-06-20"], {"expiring"}),
        ({"expiry_date": "2026-07-30"}, ["2026-05-16"], {"expiring"}),  # last visit 45 days ago
        ({"expiry_date": "2026-07-30"}, ["2026-05-15"], set()),  # 46: no longer going on
        (
            {"expiry_date": "2026-12-31", "sessions_authorized": 5},
            EARLY_JUNE,
            {"sessions_nearly_used"},
        ),
        ({"expiry_date": "2026-12-31", "sessions_authorized": 6}, EARLY_JUNE, set()),
        (
            {"expiry_date": "2026-12-31", "sessions_authorized": 3},
            EARLY_JUNE,
            {"sessions_over"},
        ),
        ({"expiry_date": "2026-06-10"}, ["2026-06-01", "2026-06-20"], {"treatment_after_expiry"}),
        ({"expiry_date": "2026-06-10"}, ["2026-06-01"], set()),
        ({"decision": "denied"}, ["2026-06-20"], set()),
    ],
)
def test_alerts(build: Callable[..., pd.DataFrame], columns: dict[str, Any], days: list[str], kinds: set[str]) -> None:
    table = build([request("A", **columns)], [visit(d) for d in days])
    alerts = list_alerts(table, AS_OF)
    assert alert_kinds(alerts) == kinds
    assert tuple(alerts.columns) == ALERTS.names


@pytest.mark.parametrize(
    ("asked", "days", "late"),
    [("2026-06-23", None, False), ("2026-06-22", None, True), ("2025-12-31", None, True), ("2026-06-22", 10, False)],
)
def test_pending_is_late_after_the_days_allowed(
    build: Callable[..., pd.DataFrame], asked: str, days: int | None, late: bool
) -> None:
    alerts = list_alerts(build([pending("A", requested_date=asked)], []), AS_OF, pending_days=days)
    assert (alert_kinds(alerts) == {"decision_pending"}) == late
    if late:
        allowed = 14 if asked < "2026" else 7
        assert alerts["due_date"].iloc[0] == pd.Timestamp(asked) + pd.Timedelta(days=allowed)


def test_renewal_that_is_pending_silences_the_expiry(build: Callable[..., pd.DataFrame]) -> None:
    table = build(
        [request("A", expiry_date="2026-07-10"), pending("B", requested_date="2026-06-28")], [visit("2026-06-20")]
    )
    assert alert_kinds(list_alerts(table, AS_OF)) == set()


def test_alerts_on_amounts(build: Callable[..., pd.DataFrame]) -> None:
    lines = [
        visit("2026-01-11", member_amount="80.00"),
        visit("2026-01-12", allowed_amount="170.00", paid_amount="140.00"),
        visit("2026-01-13", claim_status="denied"),
    ]
    alerts = list_alerts(build([request("A")], lines), AS_OF).set_index("alert")
    assert set(alerts.index) == {"balance_billed", "off_rate", "denied_within_agreement"}
    assert alerts.loc["balance_billed", "amount"] == Decimal("50.00")
    assert alerts.loc["off_rate", "amount"] == Decimal("20.00")
    assert alerts.loc["off_rate", "who"] == "claims"
    assert (alerts["due_date"] == pd.Timestamp(AS_OF)).all()


def test_sessions_run_out_at_the_pace_so_far(build: Callable[..., pd.DataFrame]) -> None:
    days = ["2026-05-26", "2026-06-02", "2026-06-09", "2026-06-16", "2026-06-23"]
    columns = {"expiry_date": "2026-12-31", "sessions_authorized": 6}
    alerts = list_alerts(build([request("A", **columns)], [visit(d) for d in days]), AS_OF)
    assert alerts["due_date"].iloc[0] == pd.Timestamp("2026-06-30")  # a week after the fifth


def test_alert_parameters_are_checked() -> None:
    with pytest.raises(ParameterError, match="percentage must lie from 1 to 100"):
        list_alerts(hand_register(), AS_OF, used_percent=0)


# Make or buy


@pytest.fixture
def repeated(tmp_path: Path) -> tuple[pd.DataFrame, Exports]:
    """Three agreements with one provider, four sessions each at 150 against 100, and one denied request."""
    agreements = [request(f"A{n}", f"M{n}") for n in range(1, 4)]
    agreements += [request("D", "M4", decision="denied"), request("E", "M5", provider=2, agreed_rate="90.00")]
    days = ["2026-01-11", "2026-01-12", "2026-01-13", "2026-01-14", "2026-01-15"]  # the fifth is past the four
    claims = [visit(d, f"M{n}") for d in days for n in range(1, 4)] + [visit("2026-01-11", "M5", 2)]
    exports = open_folder(tmp_path, agreements, claims)
    return build_register(exports, AS_OF), exports


def test_make_or_buy_by_hand(repeated: tuple[pd.DataFrame, Exports]) -> None:
    table = make_or_buy(*repeated, AS_OF)
    assert tuple(table.columns) == MAKE_OR_BUY.names
    provider = table[table["scope"] == "provider"]
    assert len(provider) == 1  # the second has one agreement
    row = provider.iloc[0]
    assert (row["agreements"], row["requests"], row["patients"], row["sessions"]) == (3, 4, 3, 12)
    assert row["at_agreed_rate"] == Decimal("1800.00")  # 12 x 150
    assert row["above_in_network"] == Decimal("600.00")  # 12 x 50
    assert row["pays_below"] == Decimal("600.00")
    assert row["break_even_rate"] == Decimal("150.00")  # without costs, the mean agreed rate
    assert pd.isna(row["is_past"])
    assert "contracting pays if it costs less than $600.00 a year" in row["reason"]
    county = table[table["scope"] == "county"].iloc[0]
    assert county["above_in_network"] == Decimal("590.00")  # and one session at 90 against 100


@pytest.mark.parametrize(
    ("contract", "number", "is_past", "rate"),
    [
        # 600 + 4 x 25 = 700 saved by 3 agreements: 233.33 each
        ("699.99", 3, True, "100.00"),  # (1800 + 100 - 699.99) / 12 = 100.0008
        ("700.00", 4, False, "100.00"),  # equal is not cheaper
        ("2000.00", 9, False, None),  # 8.57 agreements; no rate brings 1900 - 2000 up to 0
        ("0.00", 1, True, "158.33"),  # 1900 / 12
    ],
)
def test_break_even_with_costs(
    repeated: tuple[pd.DataFrame, Exports], contract: str, number: int, is_past: bool, rate: str | None
) -> None:
    table = make_or_buy(*repeated, AS_OF, Decimal(contract), Decimal(25))
    row = table[table["scope"] == "provider"].iloc[0]
    assert row["pays_below"] == Decimal("700.00")
    assert (row["break_even_agreements"], row["is_past"]) == (number, is_past)
    assert (None if pd.isna(row["break_even_rate"]) else str(row["break_even_rate"])) == rate


def test_make_or_buy_costs_are_checked(repeated: tuple[pd.DataFrame, Exports]) -> None:
    with pytest.raises(ParameterError, match="contract_cost must be an amount"):
        make_or_buy(*repeated, AS_OF, Decimal(-1))


def test_sessions_before_the_twelve_months_do_not_count(repeated: tuple[pd.DataFrame, Exports]) -> None:
    _, exports = repeated
    later = date(2027, 1, 12)
    table = make_or_buy(build_register(exports, later), exports, later)
    assert table.loc[table["scope"] == "provider", "sessions"].iloc[0] == 6  # 13 and 14 January of three
