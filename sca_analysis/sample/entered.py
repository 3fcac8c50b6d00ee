"""What people entered about the requests: facts that no claim shows, for some cases and not for others."""

from collections.abc import Iterator

import numpy as np

from sca_analysis.sample.agreements import GROUNDS, grounds_of
from sca_analysis.sample.courses import APPROVED, DENIED, Courses
from sca_analysis.sample.planted import Planted

INCOMES = (26_000, 38_000, 62_000, 95_000, 240_000)  # of a household a year [USD, made up]
REASONS = ("two relapses after earlier changes of therapist", "trauma treatment in its working-through phase")
NEEDS = (("language", "Spanish"), ("sub_specialty", "2084P0804X"), ("modality", "EMDR"), ("age_group", "under 12"))
STAFF = ("case management", "intake desk")


def entered_csv(courses: Courses, first_case: int, planted: Planted) -> bytes:
    """Return the facts entered for the requests of a block, in order of the cases; list what is planted."""
    order = np.flatnonzero(courses.asked)
    order = order[np.argsort(courses.requested[order], kind="stable")]
    lines = []
    for n, i in enumerate(order.tolist()):
        case = f"SCA{first_case + n:06d}"
        day = np.datetime64(int(courses.requested[i]), "D")
        for fact, value, who in _facts(courses, i, planted, case):
            lines.append(f"{case},{fact},{value},{who},{day}\n")
    return "".join(lines).encode()


def _facts(courses: Courses, i: int, planted: Planted, case: str) -> Iterator[tuple[str, str, str]]:
    """Yield fact, value and who entered it; chosen by the numbers of the course, so that no draw is used up."""
    choice = int(courses.first_day[i] * 3 + i * 11 + courses.provider[i])
    ground = GROUNDS[grounds_of(courses, [i])[0]]
    staff = STAFF[choice % 2]
    if ground == "setback":
        says = choice % 4 != 0
        planted.add("setback", case_id=case, expected="shown" if says else "not shown")
        yield "setback", "yes" if says else "no", "treating clinician"
        yield "setback_reason", REASONS[choice % 2] if says else "the clinician sees no risk", "treating clinician"
    if ground == "affordability":
        yield "income", f"{INCOMES[choice % 5]}.00", "the member"
    if ground == "individual_need":
        yield *NEEDS[choice % 4], staff
    if ground == "continuity" and choice % 2:
        yield "treatment_began", str(np.datetime64(int(courses.first_day[i]) - 200, "D")), "the provider"
    is_complete = courses.decision[i] == APPROVED or (courses.decision[i] != DENIED and choice % 3 == 0)
    planted.add("papers", case_id=case, expected="complete" if is_complete else "incomplete")
    if is_complete or choice % 2:
        yield "billing_commitment", "yes", "the provider"
        yield "license", f"ME X{1000 + choice % 9000}", "the provider"
    if is_complete:
        yield "tin", f"00-{1000000 + choice % 9_000_000:07d}", "the provider"  # no TIN begins with 00
        yield "w9", "yes", staff
