"""The array engine against the same rules written case by case with Decimal."""

import time
from dataclasses import replace
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sca_analysis import costs
from sca_analysis.errors import CaseError

CENT = Decimal("0.01")
SIDES = ("plan", "member", "provider")


@pytest.fixture(autouse=True, scope="module")
def _raise_on_numpy_errors():
    with np.errstate(all="raise"):
        yield


# The oracle: one visit after the other, dollars as Decimal, dates as dates.


def half_up(amount):
    return amount.quantize(CENT, ROUND_HALF_UP)


def covers(course):
    """Which visits the agreement covers."""
    used, covered = 0, []
    for visit in course["visits"]:
        inside = course["effective"] <= visit["date"] <= course["expiry"] and used < course["sessions"]
        used += inside
        covered.append(inside)
    return covered


def oracle(course, arrangement, rate=None):
    """Rows (allowed, deductible, cost share, balance bill) and (plan, member, provider) totals."""
    rate = course["rate"] if rate is None else rate
    tiers = {"in_network": course["in_network"], "out_of_network": course["out_of_network"]}
    used = {name: (t["deductible_used"], t["pocket_used"]) for name, t in tiers.items() if t}
    previous, rows = None, []
    for visit, covered in zip(course["visits"], covers(course), strict=True):
        day, start = visit["date"], course["start"]
        year = day.year if (day.month, day.day) >= start else day.year - 1
        if previous is not None and year != previous:
            used = dict.fromkeys(used, (Decimal(0), Decimal(0)))
        previous = year
        name = arrangement if arrangement != "sca" else "in_network" if covered else "out_of_network"
        unit_rate = {"in_network": course["in_network_rate"], "out_of_network": course["oon_rate"]}[name]
        if arrangement == "sca" and covered:
            unit_rate = rate
        billed, tier = visit["billed"], tiers[name]
        if tier is None:
            rows.append((Decimal(0), Decimal(0), Decimal(0), billed))
            continue
        allowed = min(billed, half_up(unit_rate * visit["units"]))
        met, pocket = used[name]
        deductible = min(allowed, max(tier["deductible"] - met, 0)) if tier["applies"] else Decimal(0)
        rest = allowed - deductible
        share = half_up(tier["coinsurance"] * rest) if tier["copay"] is None else min(tier["copay"], rest)
        share += deductible
        if tier["max"] is not None:
            share = min(share, max(tier["max"] - pocket, 0))
        used[name] = (met + deductible, pocket + share)
        rows.append((allowed, deductible, share, billed - allowed if name == "out_of_network" else Decimal(0)))
    plan, share, bill = (sum(x) for x in zip(*((a - s, s, b) for a, _, s, b in rows), strict=True))
    net = half_up(plan + course["collected"][0] * share + course["collected"][1] * bill)
    return rows, (plan, share + bill, net)


def brute_force(course):
    """The break-even rates by trying every cent."""
    oon = oracle(course, "out_of_network")[1]
    cents = range(int(course["charge"] * 100) + 1)
    sca = [oracle(course, "sca", Decimal(c) / 100)[1] for c in cents]
    plan = max((c for c in cents if sca[c][0] <= oon[0]), default=costs.NO_RATE)
    member = max((c for c in cents if sca[c][1] <= oon[1]), default=costs.NO_RATE)
    provider = min((c for c in cents if sca[c][2] >= oon[2]), default=costs.NO_RATE)
    return plan, member, provider


# Courses to try, and how they become arrays.


def dollars(most, least=0):
    return st.integers(least, most).map(lambda cents: Decimal(cents) / 100)


SHARES = st.one_of(
    st.sampled_from(["0", "0.2", "0.5", "1"]).map(Decimal),
    st.integers(0, 10**6).map(lambda p: Decimal(p) / 10**6),
)
DAYS = st.integers(0, 800).map(lambda d: date(2027, 1, 1) + timedelta(days=d))  # with 29 February 2028


def tiers(most):
    return st.fixed_dictionaries(
        {
            "deductible": dollars(most * 2),
            "coinsurance": SHARES,
            "copay": st.none() | dollars(most),
            "applies": st.booleans(),
            "max": st.none() | dollars(most * 4),
            "deductible_used": dollars(most),
            "pocket_used": dollars(most),
        }
    )


@st.composite
def courses(draw, most=30_000, visits=6):
    charge = draw(dollars(most))
    days = sorted(draw(st.lists(DAYS, min_size=1, max_size=visits)))
    units = [draw(st.sampled_from(["1", "2", "0.5", "1.333"]).map(Decimal)) for _ in days]
    effective, expiry = sorted(draw(st.tuples(DAYS, DAYS)))
    if draw(st.booleans()):
        effective, expiry = date.min, date.max
    return {
        "charge": charge,
        "visits": [{"date": d, "units": u, "billed": half_up(charge * u)} for d, u in zip(days, units, strict=True)],
        "in_network_rate": draw(dollars(most)),
        "oon_rate": draw(dollars(most)),
        "rate": draw(dollars(most)),
        "in_network": draw(tiers(most)),
        "out_of_network": draw(st.none() | tiers(most)),
        "sessions": draw(st.integers(0, visits)),
        "effective": effective,
        "expiry": expiry,
        "start": draw(st.sampled_from([(1, 1), (7, 1), (2, 29), (3, 1), (12, 31)])),
        "collected": draw(st.tuples(SHARES, SHARES)),
    }


def integers(values, factor=100):
    return np.array([int(v * factor) for v in values], dtype=np.int64)


def tier_arrays(parts):
    nothing = dict.fromkeys(("deductible", "coinsurance", "deductible_used", "pocket_used"), Decimal(0))
    parts = [p or {**nothing, "copay": None, "applies": True, "max": None} for p in parts]
    return costs.Tier(
        deductible=integers(p["deductible"] for p in parts),
        coinsurance=integers((p["coinsurance"] for p in parts), 10**6),
        copay=integers(p["copay"] or 0 for p in parts),
        has_copay=np.array([p["copay"] is not None for p in parts]),
        deductible_applies=np.array([p["applies"] for p in parts]),
        out_of_pocket_max=np.array([costs.NO_LIMIT if p["max"] is None else int(p["max"] * 100) for p in parts]),
        deductible_used=integers(p["deductible_used"] for p in parts),
        out_of_pocket_used=integers(p["pocket_used"] for p in parts),
    )


def arrays(many):
    width = max(len(c["visits"]) for c in many) + 1  # at least one padded cell in each row
    padded = [c["visits"] + [None] * (width - len(c["visits"])) for c in many]
    visit = np.array([[v is not None for v in row] for row in padded])
    pad = {"date": date(1999, 9, 9), "units": Decimal(7), "billed": Decimal(777)}  # must not matter

    def by_visit(field, factor):
        return np.array([integers(((v or pad)[field] for v in row), factor) for row in padded])

    dates = np.array([[(v or pad)["date"] for v in row] for row in padded], dtype="datetime64[D]")
    billed, units = by_visit("billed", 100), by_visit("units", 1000)

    def allowed(field):
        return costs.allow(billed, integers(c[field] for c in many)[:, None], units)

    open_end = [(c["effective"], c["expiry"]) if c["expiry"] < date.max else ("NaT", "NaT") for c in many]
    return costs.Cases(
        visit=visit,
        plan_year=costs.plan_years(dates, np.array([[c["start"][0] * 100 + c["start"][1]] for c in many])),
        covered=costs.cover_visits(
            visit,
            dates,
            np.array([e for e, _ in open_end], dtype="datetime64[D]"),
            np.array([e for _, e in open_end], dtype="datetime64[D]"),
            np.array([c["sessions"] for c in many]),
        ),
        units=units,
        billed=billed,
        in_network_allowed=allowed("in_network_rate"),
        out_of_network_allowed=allowed("oon_rate"),
        sca_allowed=allowed("rate"),
        in_network=tier_arrays([c["in_network"] for c in many]),
        out_of_network=tier_arrays([c["out_of_network"] for c in many]),
        has_out_of_network=np.array([c["out_of_network"] is not None for c in many]),
        cost_share_collected=integers((c["collected"][0] for c in many), 10**6),
        balance_bill_collected=integers((c["collected"][1] for c in many), 10**6),
        charge=integers(c["charge"] for c in many),
    )


MANY = st.lists(courses(), min_size=1, max_size=4)


@settings(max_examples=100, deadline=None)
@given(MANY)
def test_compare_arrangements_equals_oracle(many):
    cases = arrays(many)
    splits = costs.compare_arrangements(cases)
    assert tuple(splits) == costs.ARRANGEMENTS
    for number, course in enumerate(many):
        count = len(course["visits"])
        assert cases.covered[number, :count].tolist() == covers(course)
        for name, split in splits.items():
            rows, (plan, member, net) = oracle(course, name)
            for amounts, column in zip(
                (split.allowed, split.deductible, split.member_cost_share, split.balance_bill),
                zip(*rows, strict=True),
                strict=True,
            ):
                assert amounts[number, :count].tolist() == [int(c * 100) for c in column]
                assert not amounts[number, count:].any()
            assert split.plan_paid[number].sum() == plan * 100
            assert split.member_total[number] == member * 100
            assert split.provider_net[number] == net * 100


@settings(max_examples=60, deadline=None)
@given(st.lists(courses(most=250, visits=4), min_size=1, max_size=2))
def test_break_even_rates_equal_brute_force_over_all_cents(many):
    found = costs.break_even_rates(arrays(many))
    for number, course in enumerate(many):
        assert tuple(int(getattr(found, side)[number]) for side in SIDES) == brute_force(course)


@settings(max_examples=40, deadline=None)
@given(MANY)
def test_splits_add_up_and_stay_within_the_maximum(many):
    cases = arrays(many)
    for name, split in costs.compare_arrangements(cases).items():
        assert (split.plan_paid + split.member_cost_share == split.allowed).all()
        assert (split.plan_paid >= 0).all()
        assert (split.allowed <= split.billed).all()
        if name != "sca":
            assert (split.billed - split.allowed == split.balance_bill).all() or name == "in_network"
            most = getattr(cases, name).out_of_pocket_max
            for row, years, visits, cap in zip(
                split.member_cost_share, cases.plan_year, cases.visit, most, strict=True
            ):
                assert all(row[visits & (years == year)].sum() <= cap for year in set(years[visits]))


@settings(max_examples=40, deadline=None)
@given(MANY, st.integers(0, 30_000))
def test_higher_rate_lowers_no_total(many, more):
    cases = arrays(many)
    higher = replace(cases, sca_allowed=np.minimum(cases.billed, cases.sca_allowed + more))
    low, high = (costs.compare_arrangements(c)["sca"] for c in (cases, higher))
    assert (high.plan_paid.sum(axis=1) >= low.plan_paid.sum(axis=1)).all()
    assert (high.member_total >= low.member_total).all()
    assert (high.provider_net >= low.provider_net).all()


@settings(max_examples=30, deadline=None)
@given(MANY)
def test_oon_and_sca_agree_where_rates_and_tiers_do(many):
    cases = arrays([{**c, "out_of_network": c["in_network"], "rate": c["oon_rate"]} for c in many])
    splits = costs.compare_arrangements(replace(cases, covered=cases.visit))
    for field in ("allowed", "deductible", "member_cost_share", "plan_paid"):
        assert (getattr(splits["sca"], field) == getattr(splits["out_of_network"], field)).all()


@settings(max_examples=30, deadline=None)
@given(MANY)
def test_agreement_that_covers_nothing_is_oon(many):
    cases = arrays([{**c, "sessions": 0} for c in many])
    splits = costs.compare_arrangements(cases)
    for field in ("allowed", "deductible", "member_cost_share", "plan_paid", "balance_bill", "provider_net"):
        assert (getattr(splits["sca"], field) == getattr(splits["out_of_network"], field)).all()


@settings(max_examples=30, deadline=None)
@given(MANY)
def test_cases_do_not_touch_each_other(many):
    together = costs.compare_arrangements(arrays(many))["sca"]
    alone = [costs.compare_arrangements(arrays([c]))["sca"].provider_net[0] for c in many]
    assert together.provider_net.tolist() == alone


def one_course(**changes):
    tier = {
        "deductible": Decimal(100),
        "coinsurance": Decimal("0.2"),
        "copay": None,
        "applies": True,
        "max": None,
        "deductible_used": Decimal(0),
        "pocket_used": Decimal(0),
    }
    visit = {"date": date(2026, 1, 5), "units": Decimal(1), "billed": Decimal(200)}
    course = {
        "charge": Decimal(200),
        "visits": [visit, {**visit, "date": date(2026, 2, 5)}],
        "in_network_rate": Decimal(110),
        "oon_rate": Decimal(140),
        "rate": Decimal(180),
        "in_network": tier,
        "out_of_network": tier,
        "sessions": 9,
        "effective": date(2026, 1, 1),
        "expiry": date(2026, 12, 31),
        "start": (1, 1),
        "collected": (Decimal(1), Decimal(1)),
    }
    return arrays([{**course, **changes}])


def test_provider_break_even_is_none_where_no_rate_brings_enough():
    cases = one_course(out_of_network=None, collected=(Decimal("0.5"), Decimal(1)))
    assert costs.break_even_rates(cases).provider.tolist() == [costs.NO_RATE]


def test_totals_do_not_overflow_at_the_largest_amounts():
    cases = one_course()
    big = np.where(cases.visit, costs.LARGEST_AMOUNT, 0)
    cases = replace(cases, billed=big, sca_allowed=big)
    split = costs.compare_arrangements(cases)["sca"]
    after_deductible = 2 * costs.LARGEST_AMOUNT - 10_000
    assert split.plan_paid.sum() == after_deductible * 8 // 10
    assert split.provider_net.tolist() == [2 * costs.LARGEST_AMOUNT]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"billed": lambda c: -c.billed}, CaseError, "billed"),
        ({"billed": lambda c: c.billed * costs.LARGEST_AMOUNT}, CaseError, "billed"),
        ({"charge": lambda c: c.charge - 10**9}, CaseError, "charge"),
        ({"charge": lambda c: c.charge.astype(float)}, ValueError, "charge"),
        ({"charge": lambda c: np.array([1, 2])}, ValueError, "charge"),
        ({"visit": lambda c: ~c.visit}, ValueError, "padded"),
        ({"visit": lambda c: c.visit[0]}, ValueError, "shape"),
        (
            {"in_network": lambda c: replace(c.in_network, coinsurance=np.array([10**7]))},
            CaseError,
            "in_network",
        ),
    ],
)
def test_cases_refuse_what_would_go_wrong_unseen(changes, error, message):
    cases = one_course()
    with pytest.raises(error, match=message):
        replace(cases, **{name: change(cases) for name, change in changes.items()})


@pytest.mark.parametrize(
    ("value", "decimals", "expected"),
    [
        ("12.5", 2, 1250),
        ("12.50000", 2, 1250),
        ("0.123456", 6, 123456),
        ("-0.01", 2, -1),
        ("5E+2", 2, 50000),
        ("0", 3, 0),
    ],
)
def test_scale_is_exact(value, decimals, expected):
    assert costs.scale(Decimal(value), decimals, "rate") == expected


@pytest.mark.parametrize("value", ["0.001", "NaN", "Infinity", "1E-30"])
def test_scale_refuses_what_it_would_have_to_round(value):
    with pytest.raises(CaseError, match=r"^rate "):
        costs.scale(Decimal(value), 2, "rate")


def test_plan_year_from_29_february_begins_on_1_march_in_common_years():
    dates = np.array(["2027-02-28", "2027-03-01", "2028-02-28", "2028-02-29"], dtype="datetime64[D]")
    assert costs.plan_years(dates, np.array([229])).tolist() == [2026, 2027, 2027, 2028]


def test_adjudicate_is_fast():
    """100,000 cases of 52 visits; measured at about 0.1 s, the bound leaves room for a busy machine."""
    cases = one_course()
    tier = costs.Tier(**{name: np.repeat(array, 100_000) for name, array in vars(cases.in_network).items()})
    allowed = np.full((100_000, 52), 18_000)
    started = time.perf_counter()
    _, share = costs.adjudicate(tier, allowed, np.full((100_000, 52), 2026))
    assert time.perf_counter() - started < 2
    assert share[-1].sum() == 10_000 + (52 * 18_000 - 10_000) // 5
