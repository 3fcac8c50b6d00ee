"""The array engine against the same rules written case by case with Decimal."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sca_analysis import costs
from sca_analysis.break_even import NO_RATE, break_even_percents, break_even_rates
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


def agreements(course):
    """The agreements in date order: the first, whose fields are the course's, and renewals."""
    return [course, *course.get("renewals", [])]


def find_agreements(course):
    """The agreement that covers each visit, or None."""
    used, found = {}, []
    for visit in course["visits"]:
        inside = None
        for number, terms in enumerate(agreements(course)):
            if terms["effective"] <= visit["date"] <= terms["expiry"] and used.get(number, 0) < terms["sessions"]:
                used[number] = used.get(number, 0) + 1
                inside = terms
        found.append(inside)
    return found


def covers(course):
    """Which visits an agreement covers."""
    return [terms is not None for terms in find_agreements(course)]


def at(rate, visit):
    """The rate of a visit, where there is one for each procedure."""
    return rate[visit["code"]] if isinstance(rate, dict) else rate


def agreed_rate(terms, visit):
    telehealth = terms.get("telehealth_rate")
    return at(telehealth if visit.get("telehealth") and telehealth is not None else terms["rate"], visit)


def oracle(course, arrangement, rate=None, percent=None):
    """Rows (allowed, deductible, cost share, balance bill) and (plan, member, provider) totals."""
    tiers = {"in_network": course["in_network"], "out_of_network": course["out_of_network"]}
    used = {}
    for name, tier in tiers.items():
        if tier is not None:
            family = tier["family"] or {"deductible_used": Decimal(0), "pocket_used": Decimal(0)}
            used[name] = [
                tier["deductible_used"],
                tier["pocket_used"],
                family["deductible_used"],
                family["pocket_used"],
            ]
    previous, rows = None, []
    for visit, terms in zip(course["visits"], find_agreements(course), strict=True):
        day, start = visit["date"], course["start"]
        year = day.year if (day.month, day.day) >= start else day.year - 1
        if previous is not None and year != previous:
            used = {name: [Decimal(0)] * 4 for name in used}
        previous = year
        name = arrangement if arrangement != "sca" else "in_network" if terms is not None else "out_of_network"
        billed, tier = visit["billed"], tiers[name]
        if tier is None:
            rows.append((Decimal(0), Decimal(0), Decimal(0), billed))
            continue
        unit_rate = at({"in_network": course["in_network_rate"], "out_of_network": course["oon_rate"]}[name], visit)
        if arrangement == "sca" and terms is not None:
            unit_rate = agreed_rate(terms, visit) if rate is None else rate
        allowed = min(billed, half_up(unit_rate * visit["units"]))
        if percent is not None and arrangement == "sca" and terms is not None:
            allowed = half_up(billed * percent / 100)
        family, (met, pocket, family_met, family_pocket) = tier["family"], used[name]
        left = max(tier["deductible"] - met, 0)
        if family and family["aggregate"]:
            left = max(family["deductible"] - family_met, 0)
        elif family and family["deductible"] is not None:
            left = min(left, max(family["deductible"] - family_met, 0))
        deductible = min(allowed, left) if tier["applies"] else Decimal(0)
        rest = allowed - deductible
        if tier["copay"] is None:
            share = half_up(tier["coinsurance"] * rest)
        elif tier["both"]:
            copay = min(tier["copay"], rest)
            share = copay + half_up(tier["coinsurance"] * (rest - copay))
        else:
            share = min(tier["copay"], rest)
        share += deductible
        if tier["max"] is not None:
            share = min(share, max(tier["max"] - pocket, 0))
        if family and family["max"] is not None:
            share = min(share, max(family["max"] - family_pocket, 0))
        used[name] = [met + deductible, pocket + share, family_met + deductible, family_pocket + share]
        rows.append((allowed, deductible, share, billed - allowed if name == "out_of_network" else Decimal(0)))
    plan, share, bill = (sum(x) for x in zip(*((a - s, s, b) for a, _, s, b in rows), strict=True))
    net = half_up(plan + course["collected"][0] * share + course["collected"][1] * bill)
    return rows, (plan, share + bill, net)


def brute_force(course):
    """The break-even rates by trying every cent."""
    cents = range(int(course["charge"] * 100) + 1)
    return break_even(course, [oracle(course, "sca", Decimal(c) / 100)[1] for c in cents])


def brute_force_percents(course):
    """The break-even percentages by trying every hundredth of a percent."""
    known, sca = {}, []
    for hundredths in range(10_001):
        percent = Decimal(hundredths) / 100
        allowed = tuple(half_up(v["billed"] * percent / 100) for v in course["visits"])
        if allowed not in known:
            known[allowed] = oracle(course, "sca", percent=percent)[1]
        sca.append(known[allowed])
    return break_even(course, sca)


def break_even(course, sca):
    """The figures from totals at each figure from zero on."""
    oon = oracle(course, "out_of_network")[1]
    plan = max((c for c, totals in enumerate(sca) if totals[0] <= oon[0]), default=NO_RATE)
    member = max((c for c, totals in enumerate(sca) if totals[1] <= oon[1]), default=NO_RATE)
    provider = min((c for c, totals in enumerate(sca) if totals[2] >= oon[2]), default=NO_RATE)
    return plan, member, provider


# Courses to try, and how they become arrays.


def dollars(most, least=0):
    return st.integers(least, most).map(lambda cents: Decimal(cents) / 100)


SHARES = st.one_of(
    st.sampled_from(["0", "0.2", "0.5", "1"]).map(Decimal),
    st.integers(0, 10**6).map(lambda p: Decimal(p) / 10**6),
)
DAYS = st.integers(0, 800).map(lambda d: date(2027, 1, 1) + timedelta(days=d))  # with 29 February 2028


def families(most):
    """What others and this member have used together is at least what tiers() lets him use."""
    return st.fixed_dictionaries(
        {
            "aggregate": st.booleans(),
            "deductible": dollars(most * 4),
            "max": st.none() | dollars(most * 6),
            "deductible_used": dollars(most * 2, most),
            "pocket_used": dollars(most * 3, most),
        }
    ) | st.fixed_dictionaries(
        {
            "aggregate": st.just(False),
            "deductible": st.none(),
            "max": dollars(most * 6),
            "deductible_used": dollars(most * 2, most),
            "pocket_used": dollars(most * 3, most),
        }
    )


def tiers(most):
    return st.fixed_dictionaries(
        {
            "both": st.booleans(),
            "family": st.none() | families(most),
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


def limits(values):
    return np.array([costs.NO_LIMIT if v is None else int(v * 100) for v in values], dtype=np.int64)


def tier_arrays(parts):
    nothing = dict.fromkeys(("deductible", "coinsurance", "deductible_used", "pocket_used"), Decimal(0))
    nothing |= {"copay": None, "both": False, "applies": True, "max": None, "family": None}
    parts = [p or nothing for p in parts]
    none = {"aggregate": False, "deductible": None, "max": None, "deductible_used": 0, "pocket_used": 0}
    families = [p["family"] or none for p in parts]
    family = costs.Family(
        deductible=limits(f["deductible"] for f in families),
        out_of_pocket_max=limits(f["max"] for f in families),
        is_aggregate=np.array([f["aggregate"] for f in families]),
        deductible_used=integers(f["deductible_used"] for f in families),
        out_of_pocket_used=integers(f["pocket_used"] for f in families),
    )
    return costs.Tier(
        deductible=integers(p["deductible"] for p in parts),
        coinsurance=integers((p["coinsurance"] for p in parts), 10**6),
        copay=integers(p["copay"] or 0 for p in parts),
        has_copay=np.array([p["copay"] is not None for p in parts]),
        deductible_applies=np.array([p["applies"] for p in parts]),
        out_of_pocket_max=limits(p["max"] for p in parts),
        deductible_used=integers(p["deductible_used"] for p in parts),
        out_of_pocket_used=integers(p["pocket_used"] for p in parts),
        # None where no case has any, as in cases that know nothing of them
        copay_and_coinsurance=np.array([p["both"] for p in parts]) if any(p["both"] for p in parts) else None,
        family=family if any(p["family"] for p in parts) else None,
    )


def arrays(many):
    width = max(len(c["visits"]) for c in many) + 1  # at least one padded cell in each row
    padded = [c["visits"] + [None] * (width - len(c["visits"])) for c in many]
    visit = np.array([[v is not None for v in row] for row in padded])
    pad = {"date": date(1999, 9, 9), "units": Decimal(-7), "billed": Decimal(-777)}  # must not matter

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


BLOCKS = st.sampled_from([1, 2, costs._BLOCK])  # cases computed together: must not matter


@settings(max_examples=150, deadline=None)
@given(MANY, BLOCKS)
def test_compare_arrangements_equals_oracle(many, block):
    cases = arrays(many)
    with mock.patch.object(costs, "_BLOCK", block):
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
@given(st.lists(courses(most=250, visits=4), min_size=1, max_size=2), BLOCKS)
def test_break_even_rates_equal_brute_force_over_all_cents(many, block):
    with mock.patch.object(costs, "_BLOCK", block):
        found = break_even_rates(arrays(many))
    for number, course in enumerate(many):
        assert tuple(int(getattr(found, side)[number]) for side in SIDES) == brute_force(course)


@settings(max_examples=15, deadline=None)
@given(st.lists(courses(most=250, visits=3), min_size=1, max_size=2))
def test_break_even_percents_equal_brute_force_over_all_hundredths(many):
    found = break_even_percents(arrays(many))
    for number, course in enumerate(many):
        assert tuple(int(getattr(found, side)[number]) for side in SIDES) == brute_force_percents(course)


@settings(max_examples=40, deadline=None)
@given(MANY, st.data())
def test_selected_visits_keep_their_amounts_and_their_totals_add_up(many, data):
    """Totals of the visits chosen, from the oracle's rows; what is chosen and the rest make the whole."""
    cases = arrays(many)
    chosen = np.array(data.draw(st.lists(st.lists(st.booleans(), min_size=7, max_size=7), min_size=4, max_size=4)))
    chosen = chosen[: len(many), : cases.visit.shape[1]]
    for name, split in costs.compare_arrangements(cases).items():
        part, rest = costs.select_visits(cases, split, chosen), costs.select_visits(cases, split, ~chosen)
        for field in ("billed", "allowed", "deductible", "member_cost_share", "plan_paid", "balance_bill"):
            assert (getattr(part, field) == np.where(chosen, getattr(split, field), 0)).all()
            assert (getattr(part, field) + getattr(rest, field) == getattr(split, field)).all()
        assert (part.member_total + rest.member_total == split.member_total).all()
        for number, course in enumerate(many):
            rows = [row for row, is_chosen in zip(oracle(course, name)[0], chosen[number], strict=False) if is_chosen]
            plan, share, bill = (sum(x) for x in zip((0, 0, 0), *((a - s, s, b) for a, _, s, b in rows), strict=True))
            net = half_up(plan + course["collected"][0] * share + course["collected"][1] * bill)
            assert (part.member_total[number], part.provider_net[number]) == ((share + bill) * 100, net * 100)


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


def test_selected_visit_still_depends_on_the_visits_before_it():
    """Two visits at 180, deductible 100, 20% after it: the second alone costs 36, for the first met the deductible."""
    cases = one_course()
    sca = costs.compare_arrangements(cases)["sca"]
    second = costs.select_visits(cases, sca, np.array([[False, True, False]]))
    assert second.deductible.tolist() == [[0, 0, 0]]
    assert second.member_total.tolist() == [3_600]
    assert second.provider_net.tolist() == [18_000]


def test_no_cases_have_no_costs():
    cases = one_course()
    tier = costs.Tier(**{n: a[:0] for n, a in vars(cases.in_network).items() if a is not None})
    nothing = {n: a[:0] for n, a in vars(cases).items() if not isinstance(a, costs.Tier)}
    cases = costs.Cases(**nothing, in_network=tier, out_of_network=tier)
    assert costs.compare_arrangements(cases)["sca"].allowed.shape == (0, 3)
    assert break_even_rates(cases).plan.tolist() == []


def one_course(**changes):
    tier = {
        "both": False,
        "family": None,
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


def with_family(cases, **changes):
    """The course with a family's accumulators in-network, in cents."""
    return replace(cases, in_network=replace(cases.in_network, family=family(**changes)))


def test_of_an_aggregate_deductible_only_the_family_counts():
    """Of the family's 3,000, 2,890 are used: of two visits at 180 it takes 110, not his own 100."""
    cases = with_family(one_course(), is_aggregate=True, deductible=300_000, deductible_used=289_000)
    split = costs.compare_arrangements(cases)["sca"]
    assert split.deductible.tolist() == [[11_000, 0, 0]]
    assert split.member_cost_share.tolist() == [[11_000 + 1_400, 3_600, 0]]


def test_of_an_embedded_deductible_the_first_that_is_met_counts():
    """The member's own 100 are met before the family's 110, and the family's 60 before his own 100."""
    for left, taken in ((11_000, 10_000), (6_000, 6_000)):
        cases = with_family(one_course(), deductible=300_000, deductible_used=300_000 - left)
        assert costs.compare_arrangements(cases)["sca"].deductible.tolist() == [[taken, 0, 0]]


def test_a_new_plan_year_begins_with_the_whole_deductible_of_the_family():
    """Two visits at 180, in December and in January: 110 are left of the family's 150, and then again all 150."""
    visit = {"units": Decimal(1), "billed": Decimal(200)}
    visits = [visit | {"date": date(2026, 12, 30)}, visit | {"date": date(2027, 1, 2)}]
    cases = one_course(visits=visits, expiry=date(2027, 12, 31))
    cases = with_family(cases, is_aggregate=True, deductible=15_000, deductible_used=4_000)
    assert costs.compare_arrangements(cases)["sca"].deductible.tolist() == [[11_000, 15_000, 0]]


def test_nothing_more_is_owed_once_the_family_has_reached_its_maximum():
    """Of the family's 5,000, 4,880 are paid: of 116 and 36 the member owes 116 and 4, and in a new year all again."""
    visit = {"units": Decimal(1), "billed": Decimal(200)}
    days = (date(2026, 11, 30), date(2026, 12, 30), date(2027, 1, 2))
    cases = one_course(visits=[visit | {"date": day} for day in days], expiry=date(2027, 12, 31))
    cases = with_family(cases, out_of_pocket_max=500_000, out_of_pocket_used=488_000)
    assert costs.compare_arrangements(cases)["sca"].member_cost_share.tolist() == [[11_600, 400, 11_600, 0]]


def test_a_copay_takes_the_place_of_all_coinsurance():
    """Whatever the visit costs: a copay of 25, at 8,000 allowed and 20% coinsurance, is 25 to the cent."""
    cases = one_course()
    tier = replace(cases.in_network, copay=np.array([2_500]), has_copay=np.array([True]), deductible=np.array([0]))
    _, share = costs.adjudicate(tier, np.array([[800_000]]), np.array([[2026]]))
    assert share.tolist() == [[2_500]]


def test_amounts_are_whole_cents_of_64_bits():
    for split in costs.compare_arrangements(one_course()).values():
        assert {array.dtype for array in vars(split).values()} == {np.dtype(np.int64)}
    cases = one_course()
    parts = costs.adjudicate(cases.in_network, cases.sca_allowed * cases.visit, cases.plan_year)
    assert [part.dtype for part in parts] == [np.dtype(np.int64)] * 2


def test_provider_break_even_is_none_where_no_rate_brings_enough():
    cases = one_course(out_of_network=None, collected=(Decimal("0.5"), Decimal(1)))
    assert break_even_rates(cases).provider.tolist() == [NO_RATE]


def test_totals_do_not_overflow_at_the_largest_amounts():
    cases = one_course()
    big = np.where(cases.visit, costs.LARGEST_AMOUNT, 0)
    cases = replace(cases, billed=big, sca_allowed=big)
    split = costs.compare_arrangements(cases)["sca"]
    after_deductible = 2 * costs.LARGEST_AMOUNT - 10_000
    assert split.plan_paid.sum() == after_deductible * 8 // 10
    assert split.provider_net.tolist() == [2 * costs.LARGEST_AMOUNT]


def family(**changes):
    given = {"deductible": costs.NO_LIMIT, "out_of_pocket_max": costs.NO_LIMIT, "is_aggregate": False}
    given |= {"deductible_used": 0, "out_of_pocket_used": 0}
    return costs.Family(**{name: np.atleast_1d(value) for name, value in (given | changes).items()})


WRONG = "of a case is negative or too large: correct it, or leave the case out."
OF_A_CASE = "must have shape (1,), as int64 or bool"


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"billed": lambda c: -c.billed}, CaseError, f"billed {WRONG}"),
        ({"billed": lambda c: c.billed * costs.LARGEST_AMOUNT}, CaseError, f"billed {WRONG}"),
        ({"charge": lambda c: c.charge - 10**9}, CaseError, f"charge {WRONG}"),
        ({"charge": lambda c: c.charge.astype(float)}, ValueError, f"Cases.charge {OF_A_CASE}"),
        ({"charge": lambda c: np.array([1, 2])}, ValueError, f"Cases.charge {OF_A_CASE}"),
        ({"units": lambda c: c.units[:, 1:]}, ValueError, "Cases.units must have shape (1, 3), as int64 or bool"),
        ({"visit": lambda c: ~c.visit}, ValueError, "Cases.visit must be padded after the last visit, not before one"),
        ({"visit": lambda c: c.visit[0]}, ValueError, "Cases.visit must have shape (n_cases, n_visits)"),
        (
            {"in_network": lambda c: replace(c.in_network, coinsurance=np.array([10**7]))},
            CaseError,
            f"in_network.coinsurance {WRONG}",
        ),
        (
            {"in_network": lambda c: replace(c.in_network, copay_and_coinsurance=np.array([1.0]))},
            ValueError,
            f"Cases.in_network.copay_and_coinsurance {OF_A_CASE}",
        ),
        (
            {"out_of_network": lambda c: replace(c.out_of_network, family=family(deductible_used=-1))},
            CaseError,
            f"out_of_network.family.deductible_used {WRONG}",
        ),
        (
            {"out_of_network": lambda c: replace(c.out_of_network, family=family(out_of_pocket_max=[1, 2]))},
            ValueError,
            f"Cases.out_of_network.family.out_of_pocket_max {OF_A_CASE}",
        ),
    ],
)
def test_cases_refuse_what_would_go_wrong_unseen(changes, error, message):
    cases = one_course()
    with pytest.raises(error) as raised:
        replace(cases, **{name: change(cases) for name, change in changes.items()})
    assert str(raised.value) == message


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


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("0.001", "rate has more than 2 decimals: round it."),
        ("1E-30", "rate has more than 2 decimals: round it."),
        ("NaN", "rate is not a finite number: correct it."),
        ("Infinity", "rate is not a finite number: correct it."),
    ],
)
def test_scale_refuses_what_it_would_have_to_round(value, message):
    with pytest.raises(CaseError) as raised:
        costs.scale(Decimal(value), 2, "rate")
    assert str(raised.value) == message


def test_plan_year_from_29_february_begins_on_1_march_in_common_years():
    dates = np.array(["2027-02-28", "2027-03-01", "2028-02-28", "2028-02-29"], dtype="datetime64[D]")
    assert costs.plan_years(dates, np.array([229])).tolist() == [2026, 2027, 2027, 2028]


def test_adjudicate_takes_100_000_cases():
    """How fast it is, against the plain loop, is for tests/benchmarks/bench_costs.py to say."""
    cases = one_course()
    given = {name: array for name, array in vars(cases.in_network).items() if array is not None}
    tier = costs.Tier(**{name: np.repeat(array, 100_000) for name, array in given.items()})
    allowed = np.full((100_000, 52), 18_000)
    _, share = costs.adjudicate(tier, allowed, np.full((100_000, 52), 2026))
    assert share[-1].sum() == 10_000 + (52 * 18_000 - 10_000) // 5
