"""OON use by county and specialty, gaps ranked by it, and parity with its intervals."""

import random
from collections import defaultdict
from datetime import date
from decimal import Decimal
from math import inf, sqrt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binom, binomtest
from scipy.stats.contingency import relative_risk

from sca_analysis.courses import cost_courses
from sca_analysis.demand import RANKING, count_without_county, describe_demand, measure_demand, rank_gaps
from sca_analysis.parity import (
    BENEFITS,
    SCREENING,
    SETTINGS,
    describe_parity,
    measure_parity,
    ratio_interval,
    share_interval,
)
from sca_analysis.standards import load_taxonomy
from sca_analysis.tables import DEMAND, PARITY
from tests.folders import claim, listing, open_tables, span

AS_OF = date(2026, 6, 30)
AUGUSTA, PORTLAND, BANGOR = "04330", "04101", "04401"
KENNEBEC, CUMBERLAND, PENOBSCOT = "23011", "23005", "23019"
PSYCHIATRY, SKIN, COUNSELLOR = "2084P0800X", "207N00000X", "101YM0800X"
Z = 1.959963984540054  # 97.5% point of the normal distribution


def out(member, provider, day="2026-01-15", **columns):
    return claim(member, provider, day, **({"network_status": "out", "taxonomy_code": PSYCHIATRY} | columns))


def demand_of(folder, claims, members):
    exports = open_tables(folder, claims=claims, directory=[listing(1)], members=members)
    return measure_demand(exports, AS_OF)


def cell(demand, county=KENNEBEC, specialty="Psychiatry"):
    [row] = demand[(demand["county_fips"] == county) & (demand["specialty"] == specialty)].to_dict("records")
    return row


# --- a folder of chance, and the same figures by a plain loop ---

HOMES = {"M0": AUGUSTA, "M1": AUGUSTA, "M2": PORTLAND, "M3": PORTLAND, "M4": BANGOR, "M5": BANGOR, "M6": "00000"}
COUNTY = {AUGUSTA: KENNEBEC, PORTLAND: CUMBERLAND, BANGOR: PENOBSCOT}
MENTAL = {PSYCHIATRY, "2084P0804X", "103TC0700X", COUNSELLOR}
OTHER = {SKIN, "207RC0000X", "363LF0000X"}
PLACES = {"21": "inpatient", "56": "inpatient", "23": "emergency", "11": "outpatient office", "10": "outpatient office"}
PLACES |= {"2": "outpatient office", "22": "outpatient other", "53": "outpatient other", "99": "unknown"}


def random_lines(seed, lines=300):
    chance = random.Random(seed)
    rows = []
    for _ in range(lines):
        status = chance.choice([None, "paid", "paid", "denied", "reversed"])
        rows.append(
            claim(
                f"M{chance.randrange(8)}",
                50 + chance.randrange(9),
                date(2025 + chance.randrange(2), chance.choice([1, 6, 7]), chance.choice([1, 2, 30])),
                taxonomy_code=chance.choice([*sorted(MENTAL), *sorted(OTHER), "999999999X"]),
                diagnosis_code=chance.choice([None, None, "F32.1", "f1020", "I10", "Z00.00", "296.2", "F00", "G31.84"]),
                place_of_service=chance.choice([None, "xx", *PLACES]),
                billed_amount=Decimal(chance.randrange(10**6)).scaleb(-2),
                paid_amount=chance.choice([None, None, Decimal(chance.randrange(10**5)).scaleb(-2)]),
                claim_status=status,
                network_status=chance.choice(["in", "in", "out"]),
            )
        )
    return rows


def visits_by_loop(rows):
    """The visits of the twelve months: their lines by member, provider and day."""
    visits = defaultdict(list)
    for row in rows:
        if row["claim_status"] != "reversed" and "2025-07-01" <= row["service_date"] <= "2026-06-30":
            visits[row["member_id"], row["provider_npi"], row["service_date"]].append(row)
    return visits


def demand_by_loop(rows):
    specialty = load_taxonomy().set_index("taxonomy_code")["specialty"].dropna().to_dict()
    cells = defaultdict(lambda: [set(), set(), 0, 0, Decimal(0), Decimal(0), []])
    for (member, _, _), lines in visits_by_loop(rows).items():
        code = max(line["taxonomy_code"] for line in lines)
        one = cells[COUNTY.get(HOMES.get(member)), specialty.get(code, "not in the standard")]
        oon = [line for line in lines if line["network_status"] == "out"]
        one[0].add(member)
        one[1] |= {member} if oon else set()
        one[2] += 1
        one[3] += bool(oon)
        one[4] += sum(line["billed_amount"] for line in lines)
        one[5] += sum(line["billed_amount"] for line in oon)
        one[6] += [line["paid_amount"] for line in oon if line["paid_amount"] is not None]
    return {k: (len(a), len(b), c, d, e, f, sum(g) if g else None) for k, (a, b, c, d, e, f, g) in cells.items()}


def parity_by_loop(rows):
    cells = defaultdict(lambda: [set(), set(), 0, 0, 0])
    for (member, _, _), lines in visits_by_loop(rows).items():
        # 296.2 is of ICD-9, and so no diagnosis here; F00 is of the ICD, but not of F01-F99
        known = [d.upper() for line in lines if (d := line["diagnosis_code"]) and d != "296.2"]
        codes = {line["taxonomy_code"] for line in lines} & (MENTAL | OTHER)
        if known:
            benefit = "MH/SUD" if any(d.startswith("F") and d != "F00" for d in known) else "M/S"
        else:
            benefit = "MH/SUD" if codes & MENTAL else "M/S" if codes else "unknown"
        found = {PLACES.get(line["place_of_service"], "unknown") for line in lines}
        for setting in ("all", next(s for s in SETTINGS if s in found)):
            one = cells[setting, benefit]
            is_out = any(line["network_status"] == "out" for line in lines)
            one[0].add(member)
            one[1] |= {member} if is_out else set()
            one[2] += 1
            one[3] += not known and benefit != "unknown"
            one[4] += is_out
    return {k: (len(a), len(b), c, d, e) for k, (a, b, c, d, e) in cells.items()}


@pytest.fixture(scope="module", params=[1, 2, 3])
def chance(request, tmp_path_factory):
    rows = random_lines(request.param)
    members = [span(m, zip=z) for m, z in HOMES.items()]  # M7 is in claims only
    folder = tmp_path_factory.mktemp("chance")
    return rows, open_tables(folder, claims=rows, directory=[listing(1)], members=members)


def test_demand_equals_the_plain_loop(chance):
    rows, exports = chance
    demand = measure_demand(exports, AS_OF)
    columns = [c for c in DEMAND.names[3:] if c != "share_of_visits"]
    found = {
        (None if pd.isna(r["county_fips"]) else r["county_fips"], r["specialty"]): tuple(
            None if pd.isna(r[c]) else r[c] for c in columns
        )
        for r in demand.to_dict("records")
    }
    assert found == demand_by_loop(rows)
    assert list(demand) == list(DEMAND.names)
    assert len(found) == len(demand)
    shares = demand["out_of_network_visits"].to_numpy(float) / demand["visits"].to_numpy(float)
    assert demand["share_of_visits"].to_numpy(float) == pytest.approx(shares)


def test_demand_adds_up_to_all_lines(chance):
    _, exports = chance
    demand = measure_demand(exports, AS_OF)
    kept = (
        "FROM claims WHERE service_date BETWEEN '2025-07-01' AND '2026-06-30' "
        "AND claim_status IS DISTINCT FROM 'reversed'"
    )
    [(visits, billed)] = exports.connection.execute(
        f"SELECT count(DISTINCT (member_id, provider_npi, service_date)), sum(billed_amount) {kept}"
    ).fetchall()
    [(lost,)] = exports.connection.execute(
        f"SELECT count(DISTINCT (member_id, provider_npi, service_date)) {kept} AND member_id IN ('M6', 'M7')"
    ).fetchall()
    assert (demand["visits"].sum(), demand["billed"].sum()) == (visits, billed)
    assert count_without_county(demand) == lost > 0


def test_out_of_network_visits_are_those_of_the_courses(chance):
    _, exports = chance
    demand, courses = measure_demand(exports, AS_OF), cost_courses(exports, AS_OF)
    assert demand["out_of_network_visits"].sum() == courses["visits"].sum()
    assert demand["out_of_network_billed"].sum() == courses["billed"].sum()


def test_parity_equals_the_plain_loop(chance):
    rows, exports = chance
    parity = measure_parity(exports, AS_OF)
    wanted = parity_by_loop(rows)
    columns = ["patients", "out_of_network_patients", "visits", "visits_by_specialty", "out_of_network_visits"]
    found = {(r["setting"], r["benefit"]): tuple(r[c] for c in columns) for r in parity.to_dict("records")}
    assert {k: v for k, v in found.items() if v[0]} == wanted
    assert {b for _, b in found} <= set(BENEFITS)
    assert {(s, b) for s in ("all", *SETTINGS) for b in BENEFITS[:2]} <= set(found)
    assert list(parity) == list(PARITY.names)


def test_parity_and_demand_count_the_same_visits(chance):
    _, exports = chance
    demand, parity = measure_demand(exports, AS_OF), measure_parity(exports, AS_OF)
    for rows in (parity[parity["setting"] == "all"], parity[parity["setting"] != "all"]):
        assert rows["visits"].sum() == demand["visits"].sum()
        assert rows["out_of_network_visits"].sum() == demand["out_of_network_visits"].sum()


# --- visits, money and homes, case by case ---


def test_a_visit_is_a_day_with_a_provider(tmp_path):
    lines = [
        out("a", 60),
        out("a", 60, network_status="in"),  # the same visit: a line of it is OON
        out("a", 60, "2026-01-16", network_status="in"),
        out("a", 61, network_status="in"),
        out("a", 60, "2026-01-17", claim_status="reversed"),
        out("a", 60, "2026-01-18", claim_status="denied", billed_amount="7.00"),
        out("a", 60, "2025-07-01", billed_amount="1.00"),
        out("a", 60, "2025-06-30"),
        out("a", 60, "2026-06-30", billed_amount="2.00"),
        out("a", 60, "2026-07-01"),
    ]
    row = cell(demand_of(tmp_path, lines, [span("a")]))
    assert (row["patients"], row["out_of_network_patients"]) == (1, 1)
    assert (row["visits"], row["out_of_network_visits"]) == (6, 4)
    assert (row["billed"], row["out_of_network_billed"]) == (Decimal("410.00"), Decimal("110.00"))
    assert row["county"] == "Kennebec, ME"


def test_paid_is_blank_where_no_line_out_of_network_says_it(tmp_path):
    lines = [
        out("a", 60),
        out("a", 61, network_status="in", paid_amount="5.00"),
        out("a", 62, taxonomy_code=SKIN, paid_amount="0.00"),
    ]
    demand = demand_of(tmp_path, lines, [span("a")])
    assert pd.isna(cell(demand)["out_of_network_paid"])
    assert cell(demand, specialty="Dermatology")["out_of_network_paid"] == Decimal("0.00")


def on(first, last=None):
    return {"effective_date": first, "termination_date": last}


HOME_CASES = {
    "the ZIP": ([span("a", zip=PORTLAND)], CUMBERLAND),
    "the county of the file before the ZIP": ([span("a", zip=PORTLAND, county_fips=PENOBSCOT)], PENOBSCOT),
    "the ZIP before the coordinates": ([span("a", zip=PORTLAND, latitude=44.8, longitude=-68.77)], CUMBERLAND),
    "coordinates where the ZIP is unknown": ([span("a", zip="00000", latitude=44.8, longitude=-68.77)], PENOBSCOT),
    "neither": ([span("a", zip="00000")], None),
    "half a pair of coordinates": ([span("a", zip="00000", latitude=44.8)], None),
    "moved before the last visit": (
        [span("a", **on(None, "2026-01-31")), span("a", zip=PORTLAND, **on("2026-02-01"))],
        CUMBERLAND,
    ),
    "moved on the day of the last visit": (
        [span("a", **on(None, "2026-02-28")), span("a", zip=PORTLAND, **on("2026-03-01"))],
        CUMBERLAND,
    ),
    "moved after the last visit": (
        [span("a", **on("2020-01-01", "2026-03-01")), span("a", zip=PORTLAND, **on("2026-03-02"))],
        KENNEBEC,
    ),
    "left before the last visit": ([span("a", zip=PORTLAND, **on(None, "2025-12-31"))], CUMBERLAND),
    "not covered yet: the first span": (
        [span("a", zip=PORTLAND, **on("2026-06-02")), span("a", **on("2026-06-01"))],
        KENNEBEC,
    ),
    "no member of the file": ([span("b")], None),
}


@pytest.fixture(scope="module")
def homes(tmp_path_factory):
    """Each case with a member and a specialty of its own, all in one folder."""
    codes = load_taxonomy().dropna(subset="specialty").drop_duplicates("specialty")
    lines, members, specialty = [], [], {}
    for name, code, kind in zip(HOME_CASES, codes["taxonomy_code"], codes["specialty"], strict=False):
        days = [("2025-08-01", None), ("2026-03-01", "denied"), ("2026-05-01", "reversed")]
        lines += [out(name, 60, day, claim_status=status, taxonomy_code=code) for day, status in days]
        members += [row | {"member_id": name if row["member_id"] == "a" else "b"} for row in HOME_CASES[name][0]]
        specialty[name] = kind
    folder = tmp_path_factory.mktemp("homes")
    exports = open_tables(folder, claims=lines, directory=[listing(1)], members=members)
    courses = cost_courses(exports, AS_OF).set_index("member_id")["county_fips"]
    return measure_demand(exports, AS_OF).set_index("specialty"), courses, specialty


@pytest.mark.parametrize("name", HOME_CASES)
def test_home_is_that_of_the_last_visit(homes, name):
    demand, courses, specialty = homes
    row = demand.loc[specialty[name]]
    assert (None if pd.isna(row["county_fips"]) else row["county_fips"]) == HOME_CASES[name][1]
    assert (row["patients"], row["visits"]) == (1, 2)
    assert pd.isna(row["county_fips"]) == pd.isna(courses[name])
    assert pd.isna(row["county_fips"]) or row["county_fips"] == courses[name]  # as the course has it


def test_without_a_members_file_the_claims_tell_the_home(tmp_path):
    exports = open_tables(tmp_path, claims=[out("a", 60, member_zip=BANGOR)], directory=[listing(1)])
    assert measure_demand(exports, AS_OF)["county_fips"].tolist() == [PENOBSCOT]


def test_no_claims_in_the_twelve_months(tmp_path):
    exports = open_tables(tmp_path, claims=[out("a", 60)], directory=[listing(1)], members=[span("a")])
    demand, parity = measure_demand(exports, date(2020, 1, 31)), measure_parity(exports, date(2020, 1, 31))
    assert demand.empty
    assert list(demand) == list(DEMAND.names)
    assert len(parity) == 2 * (1 + len(SETTINGS))
    assert (parity["visits"] == 0).all()
    assert parity[["share_of_patients", "share_low", "share_of_visits", "ratio", "ratio_high"]].isna().all(axis=None)
    assert "0 of 0 patients" in describe_parity(parity, date(2020, 1, 31), 11)
    assert rank_gaps(GAPS, demand)["visits"].tolist() == [0] * 4


# --- ranking ---

GAPS = pd.DataFrame(
    [
        (KENNEBEC, "Kennebec, ME", "Psychiatry", "too_far", 90),
        (KENNEBEC, "Kennebec, ME", "Dermatology", "met", 90),
        (CUMBERLAND, "Cumberland, ME", "Psychiatry", "too_few", 80),
        (PENOBSCOT, "Penobscot, ME", "Psychiatry", "closed", 70),
        (PENOBSCOT, "Penobscot, ME", "Dermatology", "no_provider", 70),
    ],
    columns=["county_fips", "county", "specialty", "status", "members"],
).assign(reason="")


def people(prefix, number, zip_code, billed, **columns):
    members = [span(f"{prefix}{n}", zip=zip_code) for n in range(number)]
    return [out(m["member_id"], 60, billed_amount=billed, **columns) for m in members], members


@pytest.fixture(scope="module")
def ranked(tmp_path_factory):
    parts = [
        people("k", 12, AUGUSTA, "10.00"),
        people("c", 12, PORTLAND, "20.00"),
        people("p", 2, BANGOR, "900.00"),
        people("q", 30, BANGOR, "5.00", network_status="in", taxonomy_code=SKIN),
        people("x", 1, "00000", "5.00"),
        people("d", 1, AUGUSTA, "5.00", taxonomy_code=SKIN),
    ]
    demand = demand_of(tmp_path_factory.mktemp("r"), [c for p in parts for c in p[0]], [m for p in parts for m in p[1]])
    return rank_gaps(GAPS, demand), demand


def test_gaps_are_ranked_by_patients_then_money_then_members(ranked):
    table, _ = ranked
    assert list(zip(table["county_fips"], table["specialty"], strict=True)) == [
        (CUMBERLAND, "Psychiatry"),  # as many patients as in Kennebec, more money
        (KENNEBEC, "Psychiatry"),
        (PENOBSCOT, "Psychiatry"),
        (PENOBSCOT, "Dermatology"),  # failing, though nobody went out of network
    ]
    assert list(table) == ["county_fips", "county", "specialty", "status", "members", *DEMAND.names[3:]]
    assert table["out_of_network_patients"].tolist() == [12, 12, 2, 0]
    assert table["patients"].tolist() == [12, 12, 2, 30]


def test_failing_cells_without_claims_stay_with_zeros_in_order_of_members(ranked):
    nothing = rank_gaps(GAPS, ranked[1].iloc[:0])
    assert nothing["members"].tolist() == [90, 80, 70, 70]
    assert nothing["specialty"].tolist()[-2:] == ["Dermatology", "Psychiatry"]
    assert (nothing[["patients", "visits", "out_of_network_visits"]] == 0).all(axis=None)
    assert nothing["out_of_network_billed"].tolist() == [Decimal("0.00")] * 4
    assert nothing[["share_of_visits", "out_of_network_paid"]].isna().all(axis=None)


def test_words_of_the_ranking(ranked):
    text = describe_demand(*ranked, AS_OF, 11)
    assert text == (
        "26 of the plan's 28 out-of-network visits of the twelve months from 2025-07-01 to 2026-06-30 (92.9%), "
        "$2,160.00 billed, were those of patients in 3 of the 4 county-specialty cells that fail the standard; 1 visit "
        f"of patients without a known county in no cell. Ranked by {RANKING}, first: Psychiatry in Cumberland, ME "
        "(12 of 12 patients, $240.00); Psychiatry in Kennebec, ME (12 of 12 patients, $120.00)."
    )
    assert "Penobscot" in describe_demand(*ranked, AS_OF, 2)


def test_words_of_the_ranking_where_there_is_little_to_say(ranked):
    table, demand = ranked
    assert "fewer than 13: figures withheld" in describe_demand(table, demand, AS_OF, 13)
    assert "no patient" in describe_demand(table[-1:], demand, AS_OF, 11)
    assert "No county and specialty fails" in describe_demand(table[:0], demand, AS_OF, 11)


# --- which benefit, which setting ---

BENEFIT_CASES = [
    ("F32.1", SKIN, "MH/SUD"),
    ("F01", SKIN, "MH/SUD"),
    ("F99", SKIN, "MH/SUD"),
    ("F00", PSYCHIATRY, "M/S"),
    ("f1120", SKIN, "MH/SUD"),
    ("G47.00", PSYCHIATRY, "M/S"),
    ("I10", PSYCHIATRY, "M/S"),
    ("C4A.0", PSYCHIATRY, "M/S"),
    ("296.20", PSYCHIATRY, "MH/SUD"),
    ("73211009", SKIN, "M/S"),
    (None, PSYCHIATRY, "MH/SUD"),
    (None, "2084A0401X", "MH/SUD"),
    (None, "2084N0400X", "M/S"),
    (None, "103TC0700X", "MH/SUD"),
    (None, "104100000X", "MH/SUD"),
    (None, "106H00000X", "MH/SUD"),
    (None, "363LP0808X", "MH/SUD"),
    (None, "363LP0200X", "M/S"),
    (None, "283Q00000X", "MH/SUD"),
    (None, "282N00000X", "M/S"),
    (None, "999999999X", "unknown"),
    (None, None, "unknown"),
]


@pytest.fixture(scope="module")
def years(tmp_path_factory):
    """Each case with a year of its own, all in one folder."""
    lines = [
        claim("a", n, f"{2000 + n}-05-01", diagnosis_code=diagnosis, taxonomy_code=taxonomy, network_status="in")
        for n, (diagnosis, taxonomy, _) in enumerate(BENEFIT_CASES)
    ]
    return open_tables(tmp_path_factory.mktemp("years"), claims=lines, directory=[listing(1)], members=[span("a")])


@pytest.mark.parametrize("number", range(len(BENEFIT_CASES)), ids=[f"{d}-{t}" for d, t, _ in BENEFIT_CASES])
def test_benefit_of_a_visit(years, number):
    parity = measure_parity(years, date(2000 + number, 12, 31))
    benefit = BENEFIT_CASES[number][2]
    assert parity.loc[parity["visits"] == 1, ["setting", "benefit"]].to_numpy().tolist() == [
        ["all", benefit],
        ["unknown", benefit],
    ]


def test_every_prefix_of_mental_health_codes_is_in_the_code_set():
    from sca_analysis.parity import _MENTAL_CODES

    codes = load_taxonomy()["taxonomy_code"]
    assert [p for p in _MENTAL_CODES if not codes.str.startswith(p).any()] == []


def test_no_place_of_service_is_in_two_settings():
    from sca_analysis.parity import _PLACES

    codes = [c for part in _PLACES.values() for c in part.split()]
    assert len(codes) == len(set(codes))
    assert set(_PLACES) == set(SETTINGS[:-1])


# --- intervals ---

counts = st.integers(0, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts)
def test_share_interval_is_wilson(count):
    part, whole = count
    found = share_interval(part, whole)
    if not whole:
        assert found is None
        return
    assert found == pytest.approx(binomtest(part, whole).proportion_ci(method="wilson"), abs=1e-12)
    low, high = found
    assert 0 <= low <= part / whole <= high <= 1
    for end in (low, high):  # the ends are where the share found is 1.96 standard errors away, or 0 or 1
        away = abs(part / whole - end) / sqrt(end * (1 - end) / whole) if 1e-12 < end < 1 - 1e-12 else Z
        assert away == pytest.approx(Z, rel=1e-6)


def score_by_search(part, whole, base_part, base_whole, ratio):
    """The score of a ratio, its likeliest shares found by searching instead of the formula."""
    most = min(1.0, 1 / ratio)

    def unlikelihood(base):
        # a tiny floor under the logarithms' arguments
        terms = [(part, ratio * base), (whole - part, 1 - ratio * base)]
        terms += [(base_part, base), (base_whole - base_part, 1 - base)]
        return -sum(n * np.log(max(p, 1e-300)) for n, p in terms if n)

    base = minimize_scalar(unlikelihood, bounds=(0, most), method="bounded", options={"xatol": 1e-13}).x
    share = ratio * base
    variance = share * (1 - share) / whole + ratio**2 * base * (1 - base) / base_whole
    return (part / whole - ratio * base_part / base_whole) / sqrt(variance)


@settings(deadline=None)
@given(counts, counts)
def test_ratio_interval_is_where_the_score_is(one, two):
    found = ratio_interval(*one, *two)
    if not (one[1] and two[1] and one[0] + two[0]):
        assert found is None
        return
    low, high = found
    ratio = one[0] / one[1] / (two[0] / two[1]) if two[0] else inf
    assert 0 <= low <= ratio <= high
    assert (low == 0) == (one[0] == 0)
    assert (high == inf) == (two[0] == 0)
    if low > 0:
        assert score_by_search(*one, *two, low) == pytest.approx(Z, rel=1e-3)
    if high < inf:
        assert score_by_search(*one, *two, high) == pytest.approx(-Z, rel=1e-3)


@settings(deadline=None)
@given(counts, counts)
def test_ratio_interval_the_other_way_round(one, two):
    there, back = ratio_interval(*one, *two), ratio_interval(*two, *one)
    if there is None:
        assert back is None
        return
    assert there[0] == pytest.approx(1 / back[1] if back[1] < inf else 0)
    assert there[1] == pytest.approx(1 / back[0] if back[0] else inf)


@given(st.integers(2_000, 40_000), st.integers(2_000, 40_000))
def test_ratio_interval_of_many_is_that_of_the_logarithm(part, base_part):
    one, two = (part, 100_000), (base_part, 100_000)
    usual = relative_risk(*one, *two).confidence_interval()
    assert ratio_interval(*one, *two) == pytest.approx((usual.low, usual.high), rel=2e-3)


def test_ratio_interval_does_not_shrink_to_a_point_where_all_are_counted():
    low, high = ratio_interval(3, 3, 2, 2)
    assert low < 0.5
    assert high > 2


@pytest.mark.parametrize(("n", "p", "m", "q"), [(12, 0.3, 25, 0.2), (30, 0.1, 60, 0.05), (15, 0.9, 10, 0.5)])
def test_intervals_hold_the_truth_as_often_as_they_say(n, p, m, q):
    """Exact coverage: the chance of all outcomes whose interval holds the truth."""
    truth, ratios, shares = p / q, 0.0, 0.0
    for i in range(n + 1):
        low, high = share_interval(i, n)
        shares += binom.pmf(i, n, p) * (low <= p <= high)
        for j in range(m + 1):
            found = ratio_interval(i, n, j, m)
            ratios += binom.pmf(i, n, p) * binom.pmf(j, m, q) * (found is None or found[0] <= truth <= found[1])
    assert 0.92 < shares < 0.99
    assert 0.935 < ratios < 0.985


def test_parity_shows_no_ratio_where_nobody_went_out_of_network(tmp_path):
    lines = [out("a", 60, "2026-01-15"), claim("b", 61, "2026-01-15", network_status="in", taxonomy_code=SKIN)]
    exports = open_tables(tmp_path, claims=lines, directory=[listing(1)], members=[span("a"), span("b")])
    parity = measure_parity(exports, AS_OF).set_index(["setting", "benefit"])
    mental = parity.loc["all", "MH/SUD"]
    assert (mental["share_of_patients"], mental["share_high"]) == (1, 1)
    assert mental["share_low"] == pytest.approx(1 / (1 + Z**2))
    assert pd.isna(mental["ratio"])
    assert 0 < mental["ratio_low"] < 1
    assert pd.isna(mental["ratio_high"])
    assert parity.loc[("all", "M/S"), ["ratio", "ratio_low", "ratio_high"]].isna().all()


# --- words about parity ---


def parity_of(folder, mental_out, mental_in, other_out, other_in, unknown=0):
    groups = [(mental_out, PSYCHIATRY, "out"), (mental_in, PSYCHIATRY, "in"), (other_out, SKIN, "out")]
    groups += [(other_in, SKIN, "in"), (unknown, "999999999X", "in")]
    people = [(f"m{g}x{n}", *rest) for g, (number, *rest) in enumerate(groups) for n in range(number)]
    lines = [claim(m, 60, "2026-01-15", taxonomy_code=code, network_status=s) for m, code, s in people]
    exports = open_tables(folder, claims=lines, directory=[listing(1)], members=[span(p[0]) for p in people])
    return measure_parity(exports, AS_OF)


def test_words_of_parity(tmp_path):
    text = describe_parity(parity_of(tmp_path, 20, 60, 25, 375, unknown=3), AS_OF, 11)
    assert text == (
        "In the twelve months from 2025-07-01 to 2026-06-30, 20 of 80 patients with mental health or substance use "
        "visits (25.0%, 95% interval 16.8% to 35.5%) and 25 of 400 patients with medical/surgical visits (6.2%, 95% "
        "interval 4.3% to 9.1%) had at least one of these out of network, a ratio of 4.00 (95% interval 2.33 to 6.74); "
        f"3 of 483 visits, without diagnosis and specialty, are in neither. {SCREENING}."
    )


@pytest.mark.parametrize(
    ("numbers", "words", "hidden"),
    [
        ((10, 60, 25, 375), "fewer than 11 of 70 patients with mental", "10 of"),
        ((60, 10, 25, 375), "all but fewer than 11 of 70 patients with mental", "60 of"),
        ((3, 4, 25, 375), "some of fewer than 11 patients with mental", "7 patients"),
        ((20, 60, 4, 375), "fewer than 11 of 379 patients with medical", "4 of"),
    ],
)
def test_few_members_are_no_figures(tmp_path, numbers, words, hidden):
    text = describe_parity(parity_of(tmp_path, *numbers), AS_OF, 11)
    assert words in text
    assert hidden not in text
    assert "ratio" not in text
    assert text.count("95% interval") == 1


def test_as_many_as_the_limit_are_figures(tmp_path):
    text = describe_parity(parity_of(tmp_path, 11, 11, 11, 11), AS_OF, 11)
    assert text.count("11 of 22 patients") == 2
    assert text.count("95% interval") == 3
