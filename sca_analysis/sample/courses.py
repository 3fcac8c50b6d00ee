"""Who is in treatment for weeks or months, and for whom an SCA was asked.

A course is one member with one provider. OON courses arise in the planted gaps, beside them
(weak candidates), and where a change of insurer cut a course off from the provider's network
(continuity of care); some members are in treatment in-network.
"""

from dataclasses import dataclass

import numpy as np

from sca_analysis.sample.facts import (
    COUNTIES,
    COURSE_PLANS,
    COURSE_PROCEDURES,
    TALKING,
    Bools,
    Ints,
    choose,
    to_weekday,
)
from sca_analysis.sample.members import CHANGED, STAYED, Members, changeover, days
from sca_analysis.sample.providers import Pool, World

IN_NETWORK_COURSES_PER_1000 = 26
CONTINUITY_PERCENT = 18  # of the members who changed their insurer
AGREEMENT_PERCENT = 34  # of OON courses
LONG_PERCENT = 40  # of courses of talking therapy: they go on to the end
BALANCE_BILLED_PERCENT = 25  # of agreements
SESSIONS = (10, 12, 20, 26, 52)
TERMS_DAYS = (60, 90, 120, 180, 365)
APPROVED, DENIED, WITHDRAWN, PENDING = range(4)
DECISION_WEIGHTS = (62, 20, 7, 11)


@dataclass
class Courses:
    """Courses of a block, with the agreement asked for, if any."""

    member: Ints
    specialty: Ints
    provider: Ints
    first_day: Ints
    interval: Ints
    visits: Ints
    kind: list[str]
    asked: Bools
    decision: Ints
    requested: Ints  # days since 1970-01-01, like all dates here
    decided: Ints
    effective: Ints
    expiry: Ints
    sessions: Ints
    agreed_cents: Ints
    asked_cents: Ints
    procedure: Ints
    balance_billed: Bools

    def __len__(self) -> int:
        """Courses in the block."""
        return len(self.member)


def make_courses(rng: np.random.Generator, world: World, members: Members) -> Courses:
    """Draw the courses of a block; every member has one at most."""
    facts, providers = world.facts, world.providers
    chosen: list[tuple[int, int, int, str]] = []  # member, specialty, provider, kind
    order = rng.permutation(len(members))
    order = order[np.isin(members.kind[order], (CHANGED, STAYED))]
    switchers = order[members.kind[order] == CHANGED]
    loyal = order[members.kind[order] == STAYED]
    _continuity(rng, world, members, switchers, chosen)
    for c in range(len(COUNTIES)):
        mine = loyal[members.county[loyal] == c]
        at = 0
        for plan in COURSE_PLANS:
            if facts.county(plan.county_fips) != c:
                continue
            s = facts.specialty(plan.specialty)
            pool = providers.out_of_network
            number = (len(mine) * plan.per_1000 + 500) // 1000
            group = mine[at : at + number]
            if plan.specialty == "Neurology":  # the gap is EX1's alone
                group = group[members.network[group, 0] == 0]
            at += number
            chosen += [
                (int(m), s, p, plan.kind) for m, p in zip(group, _pick(rng, pool, c, s, len(group)), strict=True)
            ]
        number = (len(mine) * IN_NETWORK_COURSES_PER_1000 + 500) // 1000
        for m in mine[at : at + number].tolist():
            s = facts.specialty(TALKING[int(rng.integers(0, 3))])
            pool = providers.in_network[members.network[m, 0]]
            if pool.count[c, s]:
                chosen.append((m, s, _pick(rng, pool, c, s, 1)[0], "in_network"))
    return _schedule(rng, world, chosen)


def _continuity(
    rng: np.random.Generator,
    world: World,
    members: Members,
    switchers: Ints,
    chosen: list[tuple[int, int, int, str]],
) -> None:
    """Choose members who changed their insurer and see a provider of the old network."""
    facts, pool = world.facts, world.providers.hmo_only
    number = max(1, len(switchers) * CONTINUITY_PERCENT // 100) if len(switchers) else 0
    for m in switchers.tolist():
        s = facts.specialty(TALKING[int(rng.integers(0, 2))])
        c = int(members.county[m])
        if number and pool.count[c, s]:
            chosen.append((m, s, _pick(rng, pool, c, s, 1)[0], "continuity"))
            number -= 1


def _schedule(rng: np.random.Generator, world: World, chosen: list[tuple[int, int, int, str]]) -> Courses:
    """Give every course its dates and, where one is asked for, its agreement."""
    facts, providers = world.facts, world.providers
    n = len(chosen)
    member, specialty, provider = (np.array([c[i] for c in chosen], dtype=np.int64) for i in range(3))
    kind = [c[3] for c in chosen]
    first, last, turn = days(world.start), days(world.end), days(changeover(world.start, world.end))
    intervals = {facts.specialty(s): p[3] for s, p in COURSE_PROCEDURES.items()}
    which = rng.integers(0, 3, n)
    interval = np.array(
        [intervals[s][w] for s, w in zip(specialty.tolist(), which.tolist(), strict=True)], dtype=np.int64
    )
    talking = interval <= 14
    number = np.where(talking, rng.integers(6, 45, n), rng.integers(6, 13, n))
    long = talking & (rng.integers(0, 100, n) < LONG_PERCENT)
    number = np.where(long, np.where(interval == 7, rng.integers(50, 61, n), rng.integers(30, 39, n)), number)
    span = number * interval
    latest = np.maximum(1, last - first - np.minimum(span, 60 * talking + span * ~talking))
    begin = first + rng.integers(0, latest, n)
    begin = np.where(long, np.maximum(first + 6, last - span - rng.integers(-20, 8, n)), begin)
    continuity = np.array([k == "continuity" for k in kind], dtype=bool)
    interval = np.where(continuity, 7, interval)
    begin = np.where(continuity, np.maximum(first, turn - rng.integers(90, 220, n)), begin)
    number = np.where(continuity, np.minimum(60, (last - begin) // 7 + 1), number)
    begin = to_weekday(begin)
    out = np.array([k != "in_network" for k in kind], dtype=bool)
    ask = out & (rng.integers(0, 100, n) < AGREEMENT_PERCENT + 40 * continuity)
    decision = choose(rng, np.array(DECISION_WEIGHTS), n)
    requested = begin + rng.integers(-25, 75, n)
    requested = np.where(continuity, turn + rng.integers(-20, 21, n), requested)
    requested = np.where(decision == PENDING, last - rng.integers(3, 36, n), np.clip(requested, first, last - 36))
    decided = requested + rng.integers(4, 30, n)
    effective = np.where(rng.integers(0, 100, n) < 70, decided, requested)
    effective = np.where(continuity, np.maximum(effective, turn), effective)
    expiry = effective + np.array(TERMS_DAYS)[rng.integers(0, len(TERMS_DAYS), n)] - 1
    sessions = np.array(SESSIONS)[rng.integers(0, len(SESSIONS), n)]
    names = {facts.specialty(s): facts.procedure_index[p[1]] for s, p in COURSE_PROCEDURES.items()}
    procedure = np.array([names[s] for s in specialty.tolist()], dtype=np.int64)
    rate, charge = facts.rates["in_network_rate"][procedure], facts.rates["usual_charge"][procedure]
    asked_cents = _dollars(charge * providers.charge_percent[provider] // 100)
    agreed_cents = np.minimum(asked_cents, _dollars(rate + (charge - rate) * rng.integers(20, 101, n) // 100))
    balance = rng.integers(0, 100, n) < BALANCE_BILLED_PERCENT
    return Courses(
        member, specialty, provider, begin, interval, number, kind, ask, decision, requested, decided,
        effective, expiry, sessions, agreed_cents, asked_cents, procedure, balance,
    )  # fmt: skip


def _pick(rng: np.random.Generator, pool: Pool, c: int, s: int, number: int) -> list[int]:
    at = pool.start[c, s] + rng.integers(0, max(1, pool.count[c, s]), number)
    return [int(v) for v in pool.flat[at]] if number else []


def _dollars(cents: Ints) -> Ints:
    return (cents + 50) // 100 * 100
