"""The requests for an SCA as an export, and what is planted in them and in the courses."""

from typing import Any

import numpy as np

from sca_analysis.sample import text
from sca_analysis.sample.courses import APPROVED, DENIED, PENDING, Courses
from sca_analysis.sample.facts import COUNTIES, NETWORKS
from sca_analysis.sample.members import CHANGED, Members, days
from sca_analysis.sample.planted import Planted
from sca_analysis.sample.providers import World
from sca_analysis.sample.visits import Visits

DECISIONS = ("approved", "denied", "withdrawn", "pending")  # in the order of courses.APPROVED ...
DENIALS = (
    "in-network provider available",
    "rate above the highest in-network rate",
    "request after treatment began",
    "documents missing",
)
GROUNDS = ("gap", "affordability", "continuity", "setback", "individual_need")
GROUND_WEIGHTS = {
    "course": (60, 16, 0, 8, 16),
    "weak_course": (0, 45, 0, 25, 30),
    "continuity": (0, 0, 1, 0, 0),
}


def agreements_csv(
    world: World, members: Members, courses: Courses, visits: Visits, first_case: int, planted: Planted
) -> tuple[bytes, int]:
    """Return the requests of a block in order of their dates, and their number; list what is planted."""
    facts, providers, last = world.facts, world.providers, days(world.end)
    rows = np.flatnonzero(courses.asked)
    rows = rows[np.argsort(courses.requested[rows], kind="stable")]
    n = len(rows)
    decision, approved = courses.decision[rows], courses.decision[rows] == APPROVED
    open_case = decision == PENDING
    ground = np.array(grounds_of(courses, rows.tolist()), dtype=np.int64)
    cases = [f"SCA{first_case + i:06d}" for i in range(n)]
    columns: dict[str, Any] = {
        "case_id": text.codes("SCA", first_case + np.arange(n), 6),
        "member_id": text.codes("M", members.first + courses.member[rows], 7),
        "provider_npi": text.words(providers.npis, courses.provider[rows]),
        "taxonomy_code": text.words(providers.taxonomies, courses.provider[rows]),
        "procedure_code": text.words(facts.procedures, courses.procedure[rows]),
        "ground": text.words(list(GROUNDS), ground),
        "requested_date": text.dates(courses.requested[rows]),
        "decision_date": text.dates(courses.decided[rows], open_case),
        "decision": text.words(list(DECISIONS), decision, open_case & (rows % 2 == 0)),
        "denial_reason": text.words(list(DENIALS), rows % len(DENIALS), decision != DENIED),
        "requested_rate": text.money(courses.asked_cents[rows]),
        "agreed_rate": text.money(courses.agreed_cents[rows], ~approved),
        "sessions_authorized": text.numbers(courses.sessions[rows], ~approved),
        "effective_date": text.dates(courses.effective[rows], ~approved),
        "expiry_date": text.dates(courses.expiry[rows], ~approved),
    }
    for case, i in zip(cases, rows.tolist(), strict=True):
        keys = {
            "npi": providers.npis[courses.provider[i]],
            "member_id": f"M{members.first + courses.member[i]:07d}",
            "case_id": case,
        }
        mine = visits.day[visits.course == i]
        if len(mine) and mine.min() < courses.requested[i]:
            planted.add("treatment_before_request", **keys)
        if courses.decision[i] != APPROVED:
            continue
        used = int(((mine >= courses.effective[i]) & (mine <= courses.expiry[i])).sum())
        if used > courses.sessions[i]:
            planted.add("sessions_over", **keys, note=f"{used} visits in the term; {courses.sessions[i]} authorised")
        if courses.expiry[i] < last:
            after = int((mine > courses.expiry[i]).sum())
            planted.add("expired", **keys, note=f"{after} visits after the last day")
        if courses.balance_billed[i] and used:
            planted.add("balance_billed", **keys, note="member_amount holds the balance bill")
    return text.to_csv(columns), n


def list_courses(world: World, members: Members, courses: Courses, visits: Visits, planted: Planted) -> None:
    """Add the OON courses of a block to the answer key, with the visits that took place OON."""
    facts, providers = world.facts, world.providers
    out = ~visits.in_network & (visits.course >= 0)
    number = np.bincount(visits.course[out], minlength=len(courses))
    for i in np.flatnonzero(number).tolist():
        if courses.kind[i] == "in_network":
            continue
        m = courses.member[i]
        planted.add(
            courses.kind[i],
            npi=providers.npis[courses.provider[i]],
            member_id=f"M{members.first + m:07d}",
            specialty=facts.specialties[courses.specialty[i]].name,
            county_fips=COUNTIES[members.county[m]].fips,
            network_id=NETWORKS[members.network[m, 1 if members.kind[m] == CHANGED else 0]],
            note=f"{number[i]} OON visits",
        )


def grounds_of(courses: Courses, rows: list[int]) -> list[int]:
    """Return the ground, as a position in ``GROUNDS``, on which an SCA is asked for each of some courses."""
    return [_take(GROUND_WEIGHTS[courses.kind[i]], int(courses.first_day[i] * 7 + i * 13)) for i in rows]


def _take(weights: tuple[int, ...], number: int) -> int:
    """Position of a whole number, however large, among weights."""
    rest = number % sum(weights)
    for i, w in enumerate(weights):
        rest -= w
        if rest < 0:
            return i
    return len(weights) - 1
