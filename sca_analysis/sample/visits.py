"""Who sees whom, and when: ordinary visits and those of courses, one claim each."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from sca_analysis.sample.courses import Courses
from sca_analysis.sample.facts import COUNTIES, GAPS, TRAVEL_COUNTY, Bools, Facts, Ints, choose, to_weekday
from sca_analysis.sample.members import STAYED, Members, days
from sca_analysis.sample.providers import Pool, Providers, World

#: Weights of 0, 1, 2 ... ordinary visits a member and period.
VISITS = (9, 7, 7, 8, 8, 8, 8, 7, 7, 6, 5, 4, 4, 3, 2, 2, 1, 1, 1, 1, 1)
USUAL_PERCENT = 80  # of visits go to the member's usual provider of the specialty
OON_PERCENT_IN_GAP = 45  # of ordinary visits of a specialty that the county lacks; the rest travel
URGENT_CARE_PERCENT = 60  # of visits for primary care where it is short
MISSED_PERCENT = 6  # of appointments of a course


@dataclass
class Visits:
    """Visits of a block in order of their dates: one claim each."""

    member: Ints
    day: Ints
    specialty: Ints
    provider: Ints
    course: Ints  # -1 = none
    first_of_course: Bools
    network: Ints  # of the member on the day
    in_network: Bools


def make_visits(
    rng: np.random.Generator, world: World, members: Members, courses: Courses, every_provider: bool
) -> Visits:
    """Draw all visits of a block and drop those on days without coverage or after the end.

    ``every_provider`` adds a few visits to each provider who sees patients, so that only the
    planted ghosts are never seen.
    """
    facts, providers = world.facts, world.providers
    first, last = days(world.start), days(world.end)
    member = np.repeat(np.arange(len(members)), choose(rng, np.array(VISITS), len(members)))
    day = to_weekday(first + rng.integers(0, last - first + 1, len(member)))
    specialty = choose(rng, np.array([s.visit_weight for s in facts.specialties]), len(member))
    specialty = _urgent_care(rng, facts, members, member, specialty)
    network = _network(members, member, day)
    provider = _usual(rng, world, members, member, specialty, network)
    parts = [(member, day, specialty, provider, np.full(len(member), -1), np.zeros(len(member), dtype=bool))]
    if len(courses):
        parts.append(_course_visits(rng, courses))
    if every_provider:
        parts.append(_seen(rng, members, providers, last))
    columns = [np.concatenate([p[i] for p in parts]) for i in range(6)]
    network = _network(members, columns[0], columns[1])
    order = np.lexsort((columns[3], columns[0], columns[1]))
    columns, network = [c[order] for c in columns], network[order]
    keep = (network >= 0) & (columns[1] >= first) & (columns[1] <= last) & (columns[3] >= 0)
    member, day, specialty, provider, course, first_of_course = (c[keep] for c in columns)
    network = network[keep]
    in_network = (providers.networks[provider] >> network) & 1 > 0
    return Visits(member, day, specialty, provider, course, first_of_course, network, in_network)


def _course_visits(rng: np.random.Generator, courses: Courses) -> tuple[Any, ...]:
    course = np.repeat(np.arange(len(courses)), courses.visits)
    order = np.arange(len(course)) - (np.cumsum(courses.visits) - courses.visits)[course]
    kept = (rng.integers(0, 100, len(course)) >= MISSED_PERCENT) | (order == 0)  # some appointments are missed
    course, order = course[kept], order[kept]
    day = courses.first_day[course] + order * courses.interval[course]
    return (
        courses.member[course],
        day,
        courses.specialty[course],
        courses.provider[course],
        course,
        order == 0,
    )


def _seen(rng: np.random.Generator, members: Members, providers: Providers, last: int) -> tuple[Any, ...]:
    """Two visits in the last 12 months to every in-network provider, by members of the network and county."""
    loyal = np.flatnonzero(members.kind == STAYED)
    found: list[tuple[int, int]] = []
    for k, pool in enumerate(providers.in_network):
        for c in range(len(COUNTIES)):
            mine = loyal[(members.county[loyal] == c) & (members.network[loyal, 0] == k)]
            here = np.concatenate([pool.flat[a : a + n] for a, n in zip(pool.start[c], pool.count[c], strict=True)])
            if len(mine):
                found += zip(mine[rng.integers(0, len(mine), len(here))].tolist(), here.tolist(), strict=True)
    member = np.array([m for m, _ in found], dtype=np.int64)
    provider = np.array([p for _, p in found], dtype=np.int64)
    day = to_weekday(last - rng.integers(2, 360, len(found)))
    return (
        member, day, providers.specialty[provider], provider,
        np.full(len(found), -1), np.zeros(len(found), dtype=bool),
    )  # fmt: skip


def _urgent_care(rng: np.random.Generator, facts: Facts, members: Members, member: Ints, specialty: Ints) -> Ints:
    """Send many members to urgent care whose county has too few primary care providers."""
    short = [facts.county(g.county_fips) for g in GAPS if g.specialty == "Primary Care"]
    goes = rng.integers(0, 100, len(member)) < URGENT_CARE_PERCENT
    goes &= (specialty == facts.specialty("Primary Care")) & np.isin(members.county[member], short)
    return np.where(goes, facts.specialty("Emergency Medicine"), specialty)


def _usual(
    rng: np.random.Generator, world: World, members: Members, member: Ints, specialty: Ints, network: Ints
) -> Ints:
    """Choose a provider: mostly the member's usual one; far away or OON where the county has none."""
    facts, providers = world.facts, world.providers
    county = members.county[member]
    usual = ((members.first + member) * 2654435761 + specialty * 40503) % 4294967296 // 256
    turn = np.where(rng.integers(0, 100, len(member)) < USUAL_PERCENT, usual, rng.integers(0, 1 << 24, len(member)))
    wants_out = rng.integers(0, 100, len(member)) < OON_PERCENT_IN_GAP
    travel = facts.county(TRAVEL_COUNTY)
    provider = np.full(len(member), -1)
    for k, pool in enumerate(providers.in_network):
        here = (network == k) & (pool.count[county, specialty] > 0)
        provider[here] = _at(pool, county, specialty, turn, here)
        none = (network == k) & ~here
        out = none & wants_out & (providers.out_of_network.count[county, specialty] > 0)
        provider[out] = _at(providers.out_of_network, county, specialty, turn, out)
        far = none & ~out & (pool.count[travel, specialty] > 0)
        provider[far] = _at(pool, np.full(len(member), travel), specialty, turn, far)
    return provider


def _at(pool: Pool, county: Ints, specialty: Ints, turn: Ints, rows: Bools) -> Ints:
    c, s = county[rows], specialty[rows]
    return pool.flat[pool.start[c, s] + turn[rows] % pool.count[c, s]]


def _network(members: Members, member: Ints, day: Ints) -> Ints:
    span = members.span_on(member, day)
    return np.where(span >= 0, members.network[member, span], -1)
