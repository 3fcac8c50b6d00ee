"""Courses of treatment: every cost column against `sca quote` of the same visits, and every rule by hand."""

import random
import tempfile
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import groupby
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sca_analysis.costs import ARRANGEMENTS
from sca_analysis.courses import Collection, cost_courses, summarize_specialties
from sca_analysis.errors import CaseError
from sca_analysis.gaps import find_gaps
from sca_analysis.quotes import quote, read_case
from sca_analysis.tables import COURSES
from tests.folders import claim, listing, npi, open_tables, span

AS_OF, FIRST = date(2026, 6, 30), date(2025, 7, 1)
PARTS = ("plan_paid", "member_cost_share", "balance_bill")
COSTS = [f"{part}_{a}" for part in ("plan_paid", "member_total", "provider_net") for a in ARRANGEMENTS]
CENT = Decimal("0.01")


def tier(deductible="0.00", coinsurance="0.20", copay=None, applies=True, most=None):
    return {
        "deductible": deductible,
        "coinsurance": coinsurance,
        "copay": copay,
        "deductible_applies": applies,
        "out_of_pocket_max": most,
    }


def benefit_row(network="A", year=None, start="01-01", in_network=None, out_of_network=None):
    """Return a row of benefits; without OON tier all its columns are blank."""
    row = {"network_id": network, "plan_year": year, "plan_year_start": start}
    for name, one in (("in_network", in_network or tier()), ("out_of_network", out_of_network or {})):
        row |= {f"{name}_{k}": v for k, v in one.items()}
    return row


def agreement(member, provider, rate, **columns):
    row = {"case_id": f"S-{member}", "member_id": member, "provider_npi": npi(provider), "requested_date": "2025-01-01"}
    row |= {"procedure_code": None, "decision": "approved", "agreed_rate": rate, "sessions_authorized": None}
    return row | {"effective_date": None, "expiry_date": None} | columns


def quoted(visits, row, fee, rate, collection, **terms):
    """Return, in cents, what `sca quote` says of visits in the twelve months: {arrangement: [plan, share, bill]}.

    ``visits`` are (day, units) of one plan year and network, ``row`` is their row of benefits.
    """
    tiers = {
        name: None if row.get(f"{name}_deductible") is None else {k: row[f"{name}_{k}"] for k in tier()}
        for name in ("in_network", "out_of_network")
    }
    case = {
        "billed_per_unit": fee["billed"],
        "in_network_rate": fee["in_network_rate"],
        "out_of_network_allowed": fee["out_of_network_allowed"],
        "visits": [{"date": day.isoformat(), "units": units} for day, units in visits],
        "agreement": {"rate": rate} | dict.fromkeys(("sessions_authorized", "effective_date", "expiry_date")) | terms,
        "benefits": {"plan_year_start": row["plan_year_start"], **tiers},
        "collection_rate": {"cost_share": str(collection.cost_share), "balance_bill": str(collection.balance_bill)},
    }
    answer = quote(read_case(case))["arrangements"]
    return {
        a: [
            sum(Decimal(v[part]) for v in answer[a]["visits"] if date.fromisoformat(v["date"]) >= FIRST)
            for part in PARTS
        ]
        for a in ARRANGEMENTS
    }


def total(parts: Sequence[dict], collection=Collection()):  # noqa: B008 - immutable
    """Return the nine cost columns of parts of a course; what the provider nets is rounded once."""
    costs = {}
    for a in ARRANGEMENTS:
        plan, share, bill = (sum((p[a][i] for p in parts), start=Decimal(0)) for i in range(3))
        costs[f"plan_paid_{a}"], costs[f"member_total_{a}"] = plan, share + bill
        collected = collection.cost_share * share + collection.balance_bill * bill
        costs[f"provider_net_{a}"] = plan + collected.quantize(CENT, ROUND_HALF_UP)
    return costs


def costs_of(courses, member):
    [row] = courses[courses["member_id"] == member].to_dict("records")
    assert pd.isna(row["not_costed"]), row["not_costed"]
    return {c: row[c] for c in COSTS}


# --- random courses ---------------------------------------------------------------------------------------------------

CENTS = st.integers(1, 40000).map(lambda c: f"{c // 100}.{c % 100:02d}")
ROUND = st.sampled_from(["0.00", "50.00", "150.00", "500.00", "33.33"])


@st.composite
def tiers(draw):
    copay = draw(st.none() | st.sampled_from(["0.00", "25.00", "60.50"]))
    share = st.sampled_from(["0", "0.2", "0.333333", "0.505", "1"])
    most = st.none() | st.sampled_from(["0.00", "400.00", "1000.01", "3000.00"])
    return tier(draw(ROUND), draw(share), copay, draw(st.booleans()), draw(most))


@st.composite
def plans(draw):
    """Networks A and B, each with its benefits of every year or of each, and its own plan year."""
    rows = []
    for network in "AB":
        start = draw(st.sampled_from(["01-01", "07-01", "04-15"]))
        for year in draw(st.sampled_from([[None], [2024, 2025, 2026], [2024, None]])):
            oon = draw(st.none() | tiers())
            rows.append(benefit_row(network, year, start, draw(tiers()), oon))
    return rows


@st.composite
def courses_of_one(draw, number):
    member = f"M{number}"
    day = st.dates(date(2024, 3, 1), date(2026, 7, 31)) | st.sampled_from([FIRST, FIRST - timedelta(1), AS_OF])
    days = sorted(draw(st.sets(day, min_size=1, max_size=14)))
    fee = {
        "billed": draw(CENTS),
        "in_network_rate": draw(CENTS),
        "out_of_network_allowed": draw(CENTS),
        "usual_charge": draw(CENTS),
    }
    switch = draw(st.none() | st.dates(date(2024, 6, 1), date(2026, 6, 1)))
    terms = None
    if draw(st.booleans()):
        first, last = draw(
            st.sampled_from(
                [
                    (None, None),
                    (date(2024, 4, 1), None),
                    (date(2025, 3, 1), date(2025, 9, 30)),
                    (date(2025, 10, 1), date(2026, 12, 31)),
                    (None, date(2026, 1, 31)),
                    (date(2023, 1, 1), date(2024, 6, 30)),  # over before it could matter
                    (date(2026, 7, 1), None),  # not begun
                ]
            )
        )
        terms = {"effective_date": first, "expiry_date": last}
        terms |= {"sessions_authorized": draw(st.none() | st.integers(0, 8)), "rate": draw(CENTS)}
        terms["decision"] = draw(st.sampled_from(["approved", "approved", "approved", "denied", None]))
    return {
        "member": member,
        "provider": 100 + number,
        "procedure": f"9{number:04d}",
        "fee": fee,
        "visits": [(d, draw(st.sampled_from(["1", "2", "1.5", "0.333"]))) for d in days],
        "switch": switch,
        "terms": terms,
    }


def network_on(course, day):
    return "B" if course["switch"] is None or day >= course["switch"] else "A"


def tables_of(plan, courses):
    """Return the tables of the exports that say all this."""
    tables = {"claims": [], "members": [], "fees": [], "agreements": [], "benefits": plan, "directory": [listing(1)]}
    for c in courses:
        billed = Decimal(c["fee"]["billed"])
        tables["claims"] += [
            claim(
                c["member"],
                c["provider"],
                day,
                procedure_code=c["procedure"],
                units=units,
                billed_amount=(billed * Decimal(units)).quantize(CENT, ROUND_HALF_UP),
            )
            for day, units in c["visits"]
        ]
        if c["switch"] is None:
            tables["members"].append(span(c["member"], network_id="B"))
        else:
            before = c["switch"] - timedelta(1)
            tables["members"].append(span(c["member"], network_id="A", termination_date=before))
            tables["members"].append(span(c["member"], network_id="B", effective_date=c["switch"]))
        rates = {k: v for k, v in c["fee"].items() if k != "billed"}
        tables["fees"].append({"procedure_code": c["procedure"], **rates})
        if c["terms"]:
            row = agreement(c["member"], c["provider"], c["terms"]["rate"], procedure_code=c["procedure"])
            tables["agreements"].append(row | {k: c["terms"][k] for k in row if k in c["terms"]})
    if not tables["agreements"]:
        del tables["agreements"]
    return tables


def plan_year(row, day):
    month, first = map(int, row["plan_year_start"].split("-"))
    return day.year - ((day.month, day.day) < (month, first))


def benefits_on(plan, network, day):
    """Return the row of benefits of a network on a day, None without, and the plan year; that of the year first."""
    rows = [r for r in plan if r["network_id"] == network and r["plan_year"] in (plan_year(r, day), None)]
    if not rows:
        return None, day.year
    row = max(rows, key=lambda r: r["plan_year"] is not None)
    return plan.index(row), plan_year(row, day)


def second_reckoning(plan, course, collection):
    """Return the nine costs of a course: one quote for each network and plan year."""
    terms, fee = course["terms"], course["fee"]
    is_agreed = (
        terms is not None
        and terms["decision"] == "approved"
        and (terms["effective_date"] or date.min) <= AS_OF
        and (terms["expiry_date"] or date.max) >= FIRST
    )
    dates = {k: terms[k] for k in ("effective_date", "expiry_date")} if is_agreed else {}
    used, parts = 0, []
    visits = [v for v in course["visits"] if v[0] <= AS_OF]
    for (row, _), group in groupby(visits, key=lambda v: benefits_on(plan, network_on(course, v[0]), v[0])):
        some = list(group)
        sessions = {}
        if is_agreed and terms["sessions_authorized"] is not None:
            sessions["sessions_authorized"] = max(terms["sessions_authorized"] - used, 0)
        if some[-1][0] >= FIRST:
            rate = terms["rate"] if is_agreed else fee["usual_charge"]
            parts.append(quoted(some, plan[row], fee, rate, collection, **sessions, **dates))
        if is_agreed:
            first, last = dates["effective_date"] or date.min, dates["expiry_date"] or date.max
            used += sum(first <= day <= last for day, _ in some)
    return total(parts, collection), is_agreed


# a failing example is shown as it was found: to shrink it would take minutes
@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)
@given(st.data(), st.randoms(use_true_random=False))
def test_costs_equal_quotes_of_the_same_visits(data, shuffle):
    plan = data.draw(plans())
    courses = [data.draw(courses_of_one(number)) for number in range(8)]
    shares = st.sampled_from(["1", "0.9", "0.333333", "0.005"])
    collection = Collection(Decimal(data.draw(shares)), Decimal(data.draw(shares)))
    tables = tables_of(plan, courses)
    for name, rows in tables.items():
        if name != "benefits":
            shuffle.shuffle(rows)
    with tempfile.TemporaryDirectory() as folder:
        exports = open_tables(Path(folder), **tables)
        found = cost_courses(exports, AS_OF, collection=collection)
    inside = {c["member"]: [v for v in c["visits"] if FIRST <= v[0] <= AS_OF] for c in courses}
    assert sorted(found["member_id"]) == sorted(m for m, visits in inside.items() if visits)
    assert list(found.columns) == list(COURSES.names)
    rows = {r["member_id"]: r for r in found.to_dict("records")}
    for course in courses:
        if not (visits := inside[course["member"]]):
            continue
        row = rows[course["member"]]
        wanted, is_agreed = second_reckoning(plan, course, collection)
        assert costs_of(found, course["member"]) == wanted, course
        assert row["sca_rate_basis"] == ("agreed_rate" if is_agreed else "usual_charge")
        assert row["visits"] == len(visits)
        assert row["network_id"] == network_on(course, visits[-1][0])
        assert (row["first_visit_date"].date(), row["last_visit_date"].date()) == (visits[0][0], visits[-1][0])
        billed = Decimal(course["fee"]["billed"])
        assert row["billed"] == sum((billed * Decimal(u)).quantize(CENT, ROUND_HALF_UP) for _, u in visits)
    assert found["course_id"].tolist() == [f"C{n:05d}" for n in range(1, len(found) + 1)]
    assert found["billed"].tolist() == sorted(found["billed"], reverse=True)


# --- by hand: every member a story of its own, in one folder ----------------------------------------------------------

OON = tier("0.00", "0.40")
BENEFITS = [
    benefit_row("A", 2025, out_of_network=OON),
    benefit_row("A", 2026, out_of_network=OON),
    benefit_row("NO_OON", out_of_network=None),
    benefit_row("NO_SHARE", in_network=tier(coinsurance=None), out_of_network=OON),
    benefit_row("NO_OON_SHARE", out_of_network=tier("100.00", None)),
    benefit_row("SHORT", 2025, "01-01", tier("0.00", "0.10"), OON),
    benefit_row("SHORT", 2026, "07-01", tier("0.00", "0.30"), OON),
]
FEES = [
    {"procedure_code": "P", "in_network_rate": "50.00", "out_of_network_allowed": "60.00", "usual_charge": "90.00"},
    {"procedure_code": "P", "locality": "01", "in_network_rate": "1.00", "usual_charge": "1.00"},
    {"procedure_code": "P", "locality": "02", "in_network_rate": "2.00", "usual_charge": "2.00"},
    {"procedure_code": "Q", "in_network_rate": "20.00", "out_of_network_allowed": "30.00", "usual_charge": "40.00"},
    {"procedure_code": "NO_IN", "out_of_network_allowed": "60.00", "usual_charge": "90.00"},
    {"procedure_code": "NO_OUT", "in_network_rate": "50.00", "usual_charge": "90.00"},
    {"procedure_code": "NO_USUAL", "in_network_rate": "50.00", "out_of_network_allowed": "60.00"},
]


def p(day="2026-01-10", **columns):
    return {"day": day, "procedure_code": "P"} | columns


#: The lines of each story (all 100.00), in network A unless said. P in full: in-network 50, OON 60, usual charge 90.
STORIES = {
    "plain": [p()],
    "own allowed": [p(allowed_amount="80.00")],
    "allowed above billed": [p(allowed_amount="800.00")],
    "denied": [p(claim_status="denied", allowed_amount="80.00")],
    "denied beside paid": [p(claim_status="denied"), p()],
    "reversed beside paid": [p(claim_status="reversed"), p()],
    "reversed alone": [p(claim_status="reversed")],
    "in network beside out": [p(network_status="in"), p(network_status="out")],
    "two procedures": [p(), p(procedure_code="Q")],
    "no usual charge": [p(procedure_code="NO_USUAL")],
    "no in-network rate": [p(procedure_code="NO_IN"), p()],
    "no fee at all": [p(procedure_code="X")],
    "no OON allowed": [p(procedure_code="NO_OUT")],
    "no OON fee, own allowed": [p(procedure_code="NO_OUT", allowed_amount="60.00")],
    "no OON fee, no OON benefits": [p(procedure_code="NO_OUT", network_id="NO_OON")],
    "no OON benefits": [p(network_id="NO_OON")],
    "no benefits": [p(network_id="C")],
    "no network": [p(network_id=None)],
    "no benefits of the year before": [p("2024-12-31"), p()],
    "no rate in the year before": [p("2025-12-31", procedure_code="X"), p()],
    "no rate before the window": [p("2025-02-01", procedure_code="X"), p("2025-08-01"), p()],
    "no share": [p(network_id="NO_SHARE")],
    "no OON share": [p(network_id="NO_OON_SHARE")],
    "no units": [p(units="0"), p("2026-02-01")],
    "units below zero": [p(units="-1")],
    "first year, from January": [p("2025-12-31", network_id="SHORT")],
    "between the years": [p("2026-02-01", network_id="SHORT")],
    # agreements
    "agreed": [p()],
    "agreed for another procedure": [p()],
    "agreed for one of two": [p(), p(procedure_code="Q")],
    "two agreements by procedure": [p(), p("2026-01-11", procedure_code="Q")],
    "agreed without a rate": [p()],
    "agreed and over": [p("2025-08-01")],
    "renewed": [p("2025-08-01"), p("2025-10-01"), p("2026-02-01")],
    "sessions used long ago": [p("2023-05-01"), p("2026-01-10"), p("2026-01-11")],
    "other provider agreed": [p()],
}
AGREEMENTS = [
    agreement("agreed", 1, "70.00"),
    agreement("agreed for another procedure", 1, "70.00", procedure_code="Q"),
    agreement("agreed for one of two", 1, "15.00", procedure_code="Q"),
    agreement("two agreements by procedure", 1, "70.00", procedure_code="P", effective_date="2025-01-01"),
    agreement(
        "two agreements by procedure", 1, "15.00", procedure_code="Q", effective_date="2025-02-01", case_id="S-Q"
    ),
    agreement("agreed without a rate", 1, None),
    agreement("agreed and over", 1, "70.00", effective_date="2025-01-01", expiry_date="2025-06-30"),
    agreement("renewed", 1, "70.00", effective_date="2025-07-01", expiry_date="2025-08-31"),
    agreement("renewed", 1, "80.00", effective_date="2026-01-01", expiry_date="2026-12-31", case_id="S-R"),
    agreement("sessions used long ago", 1, "70.00", effective_date="2023-01-01", sessions_authorized=2),
    agreement("other provider agreed", 2, "70.00"),
]
for _number, _row in enumerate(AGREEMENTS):
    _row["case_id"] = f"S{_number}"


@pytest.fixture(scope="module")
def stories(tmp_path_factory):
    claims = [
        claim(name, 1, **({"network_id": "A", "network_status": "out"} | line))
        for name, lines in STORIES.items()
        for line in lines
    ]
    exports = open_tables(
        tmp_path_factory.mktemp("stories"),
        claims=claims,
        directory=[listing(1), listing(1, zip="04901")],
        members=[span(name) for name in STORIES],
        benefits=BENEFITS,
        fees=FEES,
        agreements=AGREEMENTS,
    )
    return cost_courses(exports, AS_OF)


def nine(in_network, out_of_network, sca, bill):
    """Return the nine costs of allowed amounts, at 20% in-network and 40% OON; everything is collected."""
    amounts = [Decimal(x) for x in (in_network, out_of_network, sca)]
    shares = [Decimal("0.2"), Decimal("0.4"), Decimal("0.2")]
    plan = [a * (1 - s) for a, s in zip(amounts, shares, strict=True)]
    member = [a * s + b for a, s, b in zip(amounts, shares, (0, Decimal(bill), 0), strict=True)]
    net = [p + m for p, m in zip(plan, member, strict=True)]
    return dict(zip(COSTS, [*plan, *member, *net], strict=True))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("plain", nine(50, 60, 90, 40)),
        ("own allowed", nine(50, 80, 90, 20)),
        ("allowed above billed", nine(50, 100, 90, 0)),
        ("denied", nine(50, 0, 90, 100)),
        ("denied beside paid", nine(100, 60, 180, 140)),
        ("reversed beside paid", nine(50, 60, 90, 40)),
        ("in network beside out", nine(50, 60, 90, 40)),
        ("two procedures", nine(70, 90, 130, 110)),
        ("no usual charge", nine(50, 60, 100, 40)),
        ("no OON fee, own allowed", nine(50, 60, 90, 40)),
        ("no OON fee, no OON benefits", nine(50, 0, 90, 100)),
        ("no OON benefits", nine(50, 0, 90, 100)),
        ("no benefits of the year before", nine(50, 60, 90, 40)),
        ("agreed", nine(50, 60, 70, 40)),
        ("agreed for another procedure", nine(50, 60, 90, 40)),
        ("agreed for one of two", nine(70, 90, 105, 110)),
        ("two agreements by procedure", nine(70, 90, 85, 110)),
        ("agreed without a rate", nine(50, 60, 90, 40)),
        ("agreed and over", nine(50, 60, 90, 40)),
        ("other provider agreed", nine(50, 60, 90, 40)),
    ],
)
def test_story(stories, name, wanted):
    assert costs_of(stories, name) == wanted


def test_plan_year_is_that_of_the_row_of_benefits(stories):
    found = costs_of(stories, "first year, from January")
    assert (found["member_total_in_network"], found["plan_paid_in_network"]) == (5, 45)


def test_each_visit_is_under_the_agreement_of_its_day(stories):
    # 70 agreed, then none in force (OON: 60 allowed, 40 billed beyond), then 80 agreed
    found = costs_of(stories, "renewed")
    assert found["plan_paid_sca"] == Decimal("56") + Decimal("36") + Decimal("64")
    assert found["member_total_sca"] == Decimal("14") + Decimal("24") + Decimal("40") + Decimal("16")


def test_sessions_count_from_the_first_day_of_the_agreement(stories):
    # one of two sessions was used in 2023
    found = costs_of(stories, "sessions used long ago")
    assert found["plan_paid_sca"] == Decimal("56") + Decimal("36")


@pytest.mark.parametrize(
    ("name", "basis"),
    [
        ("plain", "usual_charge"),
        ("agreed", "agreed_rate"),
        ("renewed", "agreed_rate"),
        ("agreed without a rate", "usual_charge"),
        ("agreed and over", "usual_charge"),
        ("other provider agreed", "usual_charge"),
    ],
)
def test_rate_basis(stories, name, basis):
    assert stories.loc[stories["member_id"] == name, "sca_rate_basis"].tolist() == [basis]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no in-network rate", "no in-network rate for procedure NO_IN"),
        ("no fee at all", "no OON allowed amount for procedure X"),
        ("no OON allowed", "no OON allowed amount for procedure NO_OUT"),
        ("no benefits", "no benefits for the member's network and plan year"),
        ("no network", "no benefits for the member's network and plan year"),
        ("between the years", "no benefits for the member's network and plan year"),
        ("no rate before the window", "no OON allowed amount for procedure X"),
        ("no rate in the year before", "no OON allowed amount for procedure X"),
        ("no share", "no in-network coinsurance or copay in benefits"),
        ("no OON share", "no OON coinsurance or copay in benefits"),
        ("no units", "a line has a negative amount, or units that are not above zero"),
        ("units below zero", "a line has a negative amount, or units that are not above zero"),
    ],
)
def test_why_a_course_is_not_costed(stories, name, reason):
    [row] = stories[stories["member_id"] == name].to_dict("records")
    assert row["not_costed"] == reason
    assert all(pd.isna(row[c]) for c in COSTS)
    assert row["billed"] > 0


def test_one_row_a_course_and_reversed_lines_are_no_visits(stories):
    assert sorted(stories["member_id"]) == sorted(set(STORIES) - {"reversed alone"})
    visits = stories.set_index("member_id")["visits"]
    assert visits["denied beside paid"] == visits["in network beside out"] == visits["two procedures"] == 1
    assert visits["renewed"] == 3
    assert visits["sessions used long ago"] == 2
    assert list(stories.columns) == list(COURSES.names)


def test_summary_adds_up(stories):
    summary = summarize_specialties(stories)
    [row] = summary.to_dict("records")
    assert row["specialty"] == "Psychiatry"
    assert row["courses"] == len(stories)
    assert row["costed"] == stories["not_costed"].isna().sum()
    assert row["visits"] == stories["visits"].sum()
    assert row["billed"] == sum(stories["billed"])
    for column in COSTS:
        assert row[column] == sum(stories[column].dropna())


def test_summary_of_courses_without_costs_is_blank_not_zero(stories):
    courses = stories.assign(specialty=stories["not_costed"].fillna("costed"))
    summary = summarize_specialties(courses).set_index("specialty")
    assert summary.loc["costed", "plan_paid_sca"] == sum(stories["plan_paid_sca"].dropna())
    assert summary.drop("costed")[COSTS].isna().all(axis=None)
    assert (summary.drop("costed")["billed"] > 0).all()
    assert summary["billed"].tolist() == sorted(summary["billed"], reverse=True)
    assert sum(summary["courses"]) == len(stories)


# --- what is missing, and where ---------------------------------------------------------------------------------------


def one_course(folder, **tables):
    given = {"claims": [claim("M1", 1, network_status="out", procedure_code="P", network_id="A")]}
    given |= {"directory": [listing(1)], "members": [span("M1")], "benefits": BENEFITS, "fees": FEES} | tables
    return open_tables(folder, **{k: v for k, v in given.items() if v})


@pytest.mark.parametrize(
    ("missing", "reason"),
    [("benefits", "no benefits in these exports"), ("fees", "no OON allowed amount for procedure P")],
)
def test_a_missing_file_is_the_reason(tmp_path, missing, reason):
    courses = cost_courses(one_course(tmp_path, **{missing: None}), AS_OF)
    assert courses["not_costed"].tolist() == [reason]
    assert list(courses.columns) == list(COURSES.names)
    assert pd.isna(summarize_specialties(courses)["plan_paid_sca"]).all()


def test_no_courses(tmp_path):
    exports = one_course(tmp_path, claims=[claim("M1", 1, network_status="in")])
    courses = cost_courses(exports, AS_OF, find_gaps(exports, AS_OF))
    assert courses.empty
    assert list(courses.columns) == list(COURSES.names)
    assert summarize_specialties(courses).empty


def test_gap_status_is_that_of_the_home_on_the_last_visit(tmp_path):
    members = [
        span("M1", network_id="A", termination_date="2026-03-31"),
        span("M1", network_id="A", zip="02108", effective_date="2026-04-01"),
    ]
    lines = [claim("M1", 2, day, network_status="out", procedure_code="P") for day in ("2026-01-10", "2026-02-10")]
    lines.append(claim("M2", 2, network_status="out", procedure_code="P", taxonomy_code="101YM0800X"))
    everybody = [*members, span("M2"), span("M3")]
    exports = one_course(tmp_path, claims=lines, members=everybody, directory=[listing(1, zip="02108"), listing(2)])
    gaps = find_gaps(exports, AS_OF)
    row, other = cost_courses(exports, AS_OF, gaps).to_dict("records")
    table = gaps.table.set_index(["county_fips", "specialty"])["status"]
    assert row["county_fips"] == "23011"  # and not 25025, where the member lives now
    assert row["gap_status"] == table["23011", "Psychiatry"]
    assert other["specialty"] == "not in the standard"
    assert pd.isna(other["gap_status"])


def test_provider_net_is_rounded_once_for_a_course(tmp_path):
    # of 0.05 at 10% in each of two plan years: 0.01 in all, not half a cent rounded up twice, to 0.02
    lines = [
        claim("M1", 1, d, network_status="out", procedure_code="T", network_id="T")
        for d in ("2025-12-01", "2026-01-01")
    ]
    benefits = [benefit_row("T", in_network=tier(coinsurance="1"), out_of_network=tier(coinsurance="1"))]
    fees = [
        {"procedure_code": "T", "in_network_rate": "0.05", "out_of_network_allowed": "100.00", "usual_charge": "1.00"}
    ]
    exports = one_course(tmp_path, claims=lines, benefits=benefits, fees=fees)
    tenth = Collection(Decimal("0.1"), Decimal("0.1"))
    assert cost_courses(exports, AS_OF, collection=tenth)["provider_net_in_network"].tolist() == [Decimal("0.01")]
    with pytest.raises(CaseError):
        cost_courses(exports, AS_OF, collection=Collection(Decimal("1.1")))


def test_order_of_rows_does_not_matter(tmp_path):
    chance = random.Random(1)
    tables = {
        "claims": [
            claim(
                f"M{n % 7}",
                n % 3,
                date(2025, 7, 1) + timedelta(n * 11 % 300),
                network_status="out",
                procedure_code=chance.choice("PQ"),
                network_id="A",
            )
            for n in range(120)
        ],
        "members": [span(f"M{n}") for n in range(7)],
        "agreements": [agreement(f"M{n}", n % 3, "70.00", case_id=f"S{n}", sessions_authorized=2) for n in range(7)],
        "fees": list(FEES),
        "benefits": list(BENEFITS),
    }
    found = []
    for name in "ab":
        found.append(cost_courses(one_course(tmp_path / name, **tables), AS_OF))
        for rows in tables.values():
            chance.shuffle(rows)
    pd.testing.assert_frame_equal(*found, check_exact=True)


def test_visits_of_the_plan_year_before_the_window_move_the_accumulators(tmp_path):
    # 50 of a deductible of 60 were met in April: 10 are left in July, and 20% of the other 40
    days = ("2025-03-31", "2025-04-15", "2025-07-15")
    lines = [claim("M1", 1, d, network_status="out", procedure_code="P", network_id="T") for d in days]
    benefits = [benefit_row("T", start="04-01", in_network=tier("60.00"))]
    courses = cost_courses(one_course(tmp_path, claims=lines, benefits=benefits), AS_OF)
    assert courses["member_total_in_network"].tolist() == [Decimal("18.00")]
    assert courses["visits"].tolist() == [1]
