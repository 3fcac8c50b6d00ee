"""What is billed and what becomes of it: claim lines, their amounts and their versions.

Whole cents throughout. An in-network line: allowed = min(billed, contracted rate x units), the
member pays deductible, then copay or coinsurance up to the out-of-pocket maximum, the plan the
rest. OON lines run against the OON benefits, or are denied where the plan has none. Lines under
an agreement are allowed at the agreed rate and share costs as in-network. A copay is taken on
the first line of a claim; reversals do not give back what they counted towards a deductible.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from sca_analysis.sample import text
from sca_analysis.sample.courses import APPROVED, Courses
from sca_analysis.sample.facts import BENEFITS, COURSE_PROCEDURES, NETWORKS, Bools, Facts, Ints, Tier
from sca_analysis.sample.members import Members
from sca_analysis.sample.providers import World
from sca_analysis.sample.visits import Visits

PAID, DENIED, REVERSED = range(3)
STATUSES = ("paid", "denied", "reversed")
DENIED_OON_PERCENT = 85  # of OON claims of a network without OON benefits
DENIED_IN_PERMILLE = 9  # of other claims
ADJUSTED_PERMILLE, REVERSED_PERMILLE = 20, 10
ALLOWED_BLANK_PERCENT = 40  # of OON lines
PLACES_OF_SERVICE = ("11", "10", "02", "22", "20")
OFFICE, TELEHEALTH_HOME, TELEHEALTH, HOSPITAL, URGENT_CARE = range(5)


@dataclass
class Lines:
    """Claim lines of a block, one version each."""

    claim: Ints  # position of the visit
    line: Ints
    procedure: Ints
    units: Ints
    billed: Ints
    allowed: Ints
    paid: Ints
    member: Ints
    status: Ints
    agreement: Bools


def make_lines(rng: np.random.Generator, world: World, courses: Courses, visits: Visits) -> Lines:
    """Bill every visit and adjudicate the lines against the benefits of their plan year."""
    facts, providers = world.facts, world.providers
    claim, line, procedure, units = _bill(rng, facts, visits)
    charge = facts.rates["usual_charge"][procedure] * providers.charge_percent[visits.provider[claim]] // 100
    charge = np.where(charge >= 2000, (charge + 50) // 100 * 100, charge)
    billed = charge * units
    n = len(visits.member)
    under = _under_agreement(facts, courses, visits, claim, procedure)
    in_tier = visits.in_network[claim] | under
    without_oon = np.array([BENEFITS[k][0][1] is None for k in NETWORKS])[visits.network]
    denied_claim = np.where(
        ~visits.in_network & without_oon,
        rng.integers(0, 100, n) < DENIED_OON_PERCENT,
        rng.integers(0, 1000, n) < DENIED_IN_PERMILLE,
    )
    denied = denied_claim[claim] & ~under
    in_tier |= ~denied & without_oon[claim]  # an exception is paid as in-network
    rate = np.where(
        visits.in_network[claim],
        facts.rates["in_network_rate"][procedure],
        facts.rates["out_of_network_allowed"][procedure],
    )
    course = visits.course[claim]
    if len(courses):
        rate = np.where(under, courses.agreed_cents[course], rate)
    allowed = np.where(denied, 0, np.minimum(billed, rate * units))
    member = _share(visits, claim, line, allowed, in_tier, world.years)
    paid = allowed - member
    if len(courses):
        balance = under & courses.balance_billed[course]
        member = member + np.where(balance, billed - allowed, 0)
    return Lines(claim, line, procedure, units, billed, allowed, paid, member, np.where(denied, DENIED, PAID), under)


def claims_csv(
    rng: np.random.Generator, world: World, members: Members, visits: Visits, lines: Lines, first_claim: int
) -> tuple[bytes, Ints, Ints]:
    """Return the rows of a block by date, which of them may be spoilt, and which of those are dear."""
    facts, providers = world.facts, world.providers
    src, version, status, amounts = _versions(rng, visits, lines)
    order = np.lexsort((version, lines.line[src], lines.claim[src]))
    src, version, status = src[order], version[order], status[order]
    billed, allowed, paid, member = (a[order] for a in amounts)
    claim, v = lines.claim[src], len(visits.member)
    out = ~visits.in_network[claim]
    allowed_blank = out & ~lines.agreement[src] & (rng.integers(0, 100, len(lines.claim)) < ALLOWED_BLANK_PERCENT)[src]
    status_blank = (rng.integers(0, 100, v) < 5)[claim] & (status == PAID)
    network_blank = (rng.integers(0, 100, v) < 20)[claim]
    units_blank = (rng.integers(0, 100, v) < 4)[claim] & (lines.units[src] == 1)
    codes, upper = _diagnoses(facts)
    person = (members.first + visits.member) * 7919 + visits.specialty * 104729 + (rng.integers(0, 4, v) == 0)
    diagnosis = upper[visits.specialty] + person % (upper[visits.specialty + 1] - upper[visits.specialty])
    columns: dict[str, Any] = {
        "claim_id": text.codes("C", first_claim + claim, 9),
        "line_number": text.numbers(lines.line[src]),
        "claim_version": text.numbers(version),
        "member_id": text.codes("M", members.first + visits.member[claim], 7),
        "provider_npi": text.words(providers.npis, visits.provider[claim]),
        "taxonomy_code": text.words(providers.taxonomies, visits.provider[claim], (rng.integers(0, 100, v) < 8)[claim]),
        "service_date": text.dates(visits.day[claim]),
        "procedure_code": text.words(facts.procedures, lines.procedure[src]),
        "diagnosis_code": text.words(codes, diagnosis[claim], (rng.integers(0, 100, v) < 3)[claim]),
        "place_of_service": text.words(list(PLACES_OF_SERVICE), _place(rng, facts, visits)[claim]),
        "units": text.numbers(lines.units[src], units_blank),
        "billed_amount": text.money(billed),
        "allowed_amount": text.money(allowed, allowed_blank),
        "paid_amount": text.money(paid),
        "member_amount": text.money(member),
        "claim_status": text.words(list(STATUSES), status, status_blank),
        "network_status": text.words(["in", "out"], out.astype(np.int64), network_blank),
        "network_id": text.words(list(NETWORKS), visits.network[claim], (rng.integers(0, 100, v) < 50)[claim]),
        "member_zip": text.words(
            facts.places.zips, members.place[visits.member[claim]], (rng.integers(0, 100, v) < 8)[claim]
        ),
    }
    versions = np.bincount(claim, weights=version > 1, minlength=v)[claim]
    plain = (status == PAID) & ~status_blank & ~out & (versions == 0) & (visits.course[claim] < 0)
    return text.to_csv(columns), np.flatnonzero(plain), np.flatnonzero(plain & (allowed >= 2000))


def _bill(rng: np.random.Generator, facts: Facts, visits: Visits) -> tuple[Ints, Ints, Ints, Ints]:
    n = len(visits.member)
    procedure, units = _from_menu(rng, facts, 1, visits.specialty)
    second = np.array([s.second_line_percent for s in facts.specialties])[visits.specialty] > rng.integers(0, 100, n)
    second &= facts.menu[2][4][visits.specialty] > 0
    beside, beside_units = _from_menu(rng, facts, 2, np.where(second, visits.specialty, 0))
    for name, (first, every, addition, _) in COURSE_PROCEDURES.items():
        rows = (visits.course >= 0) & (visits.specialty == facts.specialty(name))
        index = facts.procedure_index
        procedure = np.where(rows, np.where(visits.first_of_course, index[first], index[every]), procedure)
        units = np.where(rows, 1, units)
        second = np.where(rows, bool(addition) & ~visits.first_of_course, second)
        if addition:
            beside = np.where(rows, index[addition], beside)
            beside_units = np.where(rows, 1, beside_units)
    extra = np.flatnonzero(second)
    return (
        np.concatenate([np.arange(n), extra]),
        np.concatenate([np.ones(n, dtype=np.int64), np.full(len(extra), 2)]),
        np.concatenate([procedure, beside[extra]]),
        np.concatenate([units, beside_units[extra]]),
    )


def _from_menu(rng: np.random.Generator, facts: Facts, line: int, specialty: Ints) -> tuple[Ints, Ints]:
    procedure, units, upper, before, total = facts.menu[line]
    drawn = before[specialty] + rng.integers(0, np.maximum(total[specialty], 1))
    at = np.minimum(np.searchsorted(upper, drawn, side="right"), len(upper) - 1)
    return procedure[at], units[at]


def _under_agreement(facts: Facts, courses: Courses, visits: Visits, claim: Ints, procedure: Ints) -> Bools:
    """Lines at the agreed rate: procedure and date as agreed, sessions not used up."""
    under = np.zeros(len(claim), dtype=bool)
    if not len(courses):
        return under
    course = visits.course[claim]
    agreed = courses.asked & (courses.decision == APPROVED)
    day = visits.day[claim]
    fits = np.flatnonzero(
        (course >= 0)
        & agreed[course]
        & ~visits.in_network[claim]
        & (procedure == courses.procedure[course])
        & (courses.effective[course] <= day)
        & (day <= courses.expiry[course])
    )
    fits = fits[np.lexsort((day[fits], course[fits]))]
    rank = _rank(course[fits])
    under[fits[rank < courses.sessions[course[fits]]]] = True
    return under


def _share(visits: Visits, claim: Ints, line: Ints, allowed: Ints, in_tier: Bools, years: list[int]) -> Ints:
    """Cost share of the member, line by line in order of dates, with accumulators by plan year and tier."""
    year = visits.day[claim].astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + 1970
    terms = _terms(years)
    key = ((visits.member[claim] * len(years) + year - years[0]) * 2 + in_tier) * len(NETWORKS) + visits.network[claim]
    order = np.lexsort((line, claim, visits.day[claim], key))
    key, group = np.unique(key[order], return_inverse=True)
    term = terms[key % len(NETWORKS), key // (2 * len(NETWORKS)) % len(years), key // len(NETWORKS) % 2]
    deductible, maximum = term[:, 0].copy(), term[:, 4].copy()
    share = np.zeros(len(claim), dtype=np.int64)
    rank = _rank(group)
    by_rank = np.argsort(rank, kind="stable")
    bounds = np.searchsorted(rank[by_rank], np.arange(rank.max(initial=-1) + 2))
    for a, b in pairwise(bounds.tolist()):  # the n-th line of every group at once
        at = by_rank[a:b]
        rows, g = order[at], group[at]
        first = np.where(term[g, 3] == 1, np.minimum(allowed[rows], deductible[g]), 0)
        rest = allowed[rows] - first
        copay = np.where(line[rows] == 1, np.minimum(term[g, 2], rest), 0)
        cost = np.minimum(first + np.where(term[g, 2] >= 0, copay, (rest * term[g, 1] + 50) // 100), maximum[g])
        share[rows] = cost
        deductible[g] -= first
        maximum[g] -= cost
    return share


def _terms(years: list[int]) -> Ints:
    """Benefits by network, year and tier (0 OON, 1 in-network); copay -1 = none."""
    terms = np.zeros((len(NETWORKS), len(years), 2, 5), dtype=np.int64)
    for k, name in enumerate(NETWORKS):
        for y in range(len(years)):
            inside, outside = benefits_of(name, y)
            for tier, t in ((1, inside), (0, outside or inside)):
                terms[k, y, tier] = (t[0], t[1], -1 if t[2] is None else t[2], int(t[3]), t[4])
    return terms


def benefits_of(network: str, year: int) -> tuple[Tier, Tier | None]:
    """Benefits of a network in the n-th plan year; the last known ones go on."""
    return BENEFITS[network][min(year, len(BENEFITS[network]) - 1)]


def _versions(rng: np.random.Generator, visits: Visits, lines: Lines) -> tuple[Ints, Ints, Ints, list[Ints]]:
    """Return rows, version, status and amounts of every version of the lines."""
    n = len(visits.member)
    fate = rng.integers(0, 1000, n)
    free = ~np.isin(np.arange(n), lines.claim[lines.agreement | (lines.status == DENIED)])
    adjusted = (fate < ADJUSTED_PERMILLE) & free
    reversed_ = (fate >= 1000 - REVERSED_PERMILLE) & free
    was_denied = rng.integers(0, 10, n) < 3
    final = np.arange(len(lines.claim))
    before = np.flatnonzero(adjusted[lines.claim])
    undone = np.flatnonzero(reversed_[lines.claim])
    src = np.concatenate([final, before, undone])
    version = np.concatenate(
        [np.where(adjusted[lines.claim], 2, 1), np.ones(len(before), dtype=np.int64), np.full(len(undone), 2)]
    )
    first_denied = was_denied[lines.claim[before]]
    status = np.concatenate([lines.status, np.where(first_denied, DENIED, PAID), np.full(len(undone), REVERSED)])
    allowed_before = np.where(first_denied, 0, lines.allowed[before] * 9 // 10)
    member_before = np.minimum(lines.member[before], allowed_before)
    amounts = [
        np.concatenate([lines.billed, lines.billed[before], -lines.billed[undone]]),
        np.concatenate([lines.allowed, allowed_before, -lines.allowed[undone]]),
        np.concatenate([lines.paid, allowed_before - member_before, -lines.paid[undone]]),
        np.concatenate([lines.member, member_before, -lines.member[undone]]),
    ]
    return src, version, status, amounts


def _place(rng: np.random.Generator, facts: Facts, visits: Visits) -> Ints:
    n = len(visits.member)
    u = rng.integers(0, 100, n)
    percent = np.array([s.telehealth_percent for s in facts.specialties])[visits.specialty]
    place = np.where(u < percent, np.where(u % 6 == 0, TELEHEALTH, TELEHEALTH_HOME), np.where(u > 94, HOSPITAL, OFFICE))
    return np.where(visits.specialty == facts.specialty("Emergency Medicine"), URGENT_CARE, place)


def _diagnoses(facts: Facts) -> tuple[list[str], Ints]:
    codes = [d for s in facts.specialties for d in s.diagnoses]
    return codes, np.cumsum([0, *(len(s.diagnoses) for s in facts.specialties)])


def _rank(sorted_keys: Ints) -> Ints:
    """Position of each element among its equals, in sorted keys."""
    n = len(sorted_keys)
    if not n:
        return np.zeros(0, dtype=np.int64)
    begins = np.flatnonzero(np.r_[True, sorted_keys[1:] != sorted_keys[:-1]])
    return np.arange(n) - np.repeat(begins, np.diff(np.r_[begins, n]))
