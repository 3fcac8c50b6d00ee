"""Who is listed, and who sees patients.

In: the constants and the number of members expected. Out: providers as arrays, and the pools
from which visits choose. Where no gap is arranged, there are enough of them near enough.
"""

import math
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import combinations

import numpy as np

from sca_analysis.errors import ParameterError
from sca_analysis.sample.facts import (
    COUNTIES,
    COURSE_PLANS,
    GAPS,
    GHOST_CELL,
    GHOSTS,
    Facts,
    Ints,
)

#: NPPES has assigned none below 1003000100, so that these numbers are nobody's. [read off its public files]
FIRST_NPI, NPI_STEP, NPI_ROOM = 100_000_000, 4, 3_000_000
COVER = 0.985  # of a county's inhabitants within NEAR of the standard's distance, where there is no gap
NEAR = 0.97
TIGHT = {g.specialty for g in GAPS if g.arrangement != "few"}  # neighbours sit where the standard puts them
IN_BOTH, OUT_OF_NETWORK, HMO_ONLY = 3, 0, 2  # networks as bits: 1 = EX1, 2 = EX2


@dataclass
class Pool:
    """Providers by county and specialty: ``flat[start[c, s] : start[c, s] + count[c, s]]``."""

    flat: Ints
    start: Ints
    count: Ints


@dataclass
class Provider:
    """One provider while the directory is being drawn."""

    specialty: int
    county: int
    place: int
    networks: int
    second_place: int = -1
    accepting: str = "true"
    serves: bool = True
    foreign: bool = False  # listed in another plan's network
    effective: date | None = None
    termination: date | None = None
    kind: str = ""  # of planted.csv
    copies: int = 0


@dataclass
class Providers:
    """All providers, known by their position, and the pools of those who see patients."""

    npis: list[str]
    taxonomies: list[str]
    specialty: Ints
    county: Ints
    networks: Ints
    charge_percent: Ints
    in_network: tuple[Pool, Pool]  # EX1, EX2
    out_of_network: Pool
    hmo_only: Pool
    people: list[Provider]


@dataclass(frozen=True)
class World:
    """What all blocks of members share."""

    facts: Facts
    providers: Providers
    start: date
    end: date

    @property
    def years(self) -> list[int]:
        """Calendar years of the period, which are the plan years."""
        return list(range(self.start.year, self.end.year + 1))


def npi_of(nine: int) -> str:
    """Append the check digit (ISO Luhn over prefix 80840, 45 CFR 162.406)."""
    total = 24 + sum(d if i % 2 else sum(divmod(2 * d, 10)) for i, d in enumerate(map(int, reversed(str(nine))), 0))
    return f"{nine}{-total % 10}"


def make_providers(rng: np.random.Generator, facts: Facts, members: int, start: date, end: date) -> Providers:
    """Draw the providers.

    Parameters
    ----------
    rng : Generator
        The stream of the providers.
    facts : Facts
        The constants.
    members : int
        Members to come; numbers grow with them where the standard's ratio asks for it.
    start, end : date
        First and last day of the exports.

    Returns
    -------
    Providers

    Raises
    ------
    ParameterError
        If there are more providers than NPIs set aside for them.

    """
    people: list[Provider] = []
    for c in range(len(COUNTIES)):
        if COUNTIES[c].percent:
            for s in range(len(facts.specialties)):
                people += _cell(rng, facts, c, s, members)
    people += _out_of_network(rng, facts, members)
    people += _unusable(facts, start, end)
    if len(people) * NPI_STEP > NPI_ROOM:
        raise ParameterError("members must be smaller: there are not enough NPIs for their providers.")
    n = len(people)
    numbers = FIRST_NPI + np.arange(n) * NPI_STEP + rng.integers(0, NPI_STEP, n)
    specialty = np.array([p.specialty for p in people])
    county = np.array([p.county for p in people])
    networks = np.array([p.networks for p in people])
    serves = np.array([p.serves for p in people])
    pick = rng.integers(0, 1000, n)
    taxonomies = []
    for p, u in zip(people, pick.tolist(), strict=True):
        codes = facts.specialties[p.specialty].taxonomies
        taxonomies.append(codes[0] if u < 600 else codes[u % len(codes)])
    shape = (len(COUNTIES), len(facts.specialties))
    return Providers(
        [npi_of(int(v)) for v in numbers],
        taxonomies,
        specialty,
        county,
        networks,
        np.where(networks == OUT_OF_NETWORK, rng.integers(90, 141, n), rng.integers(85, 131, n)),
        (
            _pool(serves & (networks & 1 > 0), county, specialty, shape),
            _pool(serves & (networks & 2 > 0), county, specialty, shape),
        ),
        _pool(serves & (networks == OUT_OF_NETWORK), county, specialty, shape),
        _pool(serves & (networks == HMO_ONLY), county, specialty, shape),
        people,
    )


def _cell(rng: np.random.Generator, facts: Facts, c: int, s: int, members: int) -> list[Provider]:
    """Draw those of a county and specialty: enough by number and distance, unless a gap is arranged."""
    county, specialty = COUNTIES[c], facts.specialties[s]
    gap = next((g for g in GAPS if (g.specialty, g.county_fips) == (specialty.name, county.fips)), None)
    arrangement = gap.arrangement if gap else ""
    if arrangement == "none":
        return []
    expected = members * county.percent / 100
    needed = math.ceil(specialty.per_1000 * expected / 1000)
    if arrangement == "few":
        return _too_few(facts, c, s, max(1, needed // 2))
    hubs = _hubs(facts, c, specialty.miles[county.county_type] * NEAR)
    ghostly = (specialty.name, county.fips) == GHOST_CELL
    people = [
        Provider(
            s,
            c,
            place,
            HMO_ONLY if arrangement == "hmo_only" else IN_BOTH,
            accepting="false" if arrangement == "closed" else "" if rng.integers(0, 8) == 0 else "true",
            serves=not ghostly,
            kind="ghost" if ghostly else "",
        )
        for place in hubs * (max(3, needed) if ghostly else 1)
    ]
    if ghostly or arrangement == "hmo_only":
        return people
    busy = specialty.visit_weight >= 30 and county.percent >= 10
    more = max(math.ceil(1.3 * needed) - len(hubs), 1 if busy else 0)
    here = np.flatnonzero(facts.places.county == c)
    weight = facts.places.weight[here]
    if specialty.name in TIGHT:
        here = np.array(hubs)
        weight = facts.places.weight[here]
    for place, u in zip(_draw(rng, here, weight, more), rng.integers(0, 100, more).tolist(), strict=True):
        closed = arrangement == "closed" or u % 10 == 0
        networks = IN_BOTH if u < 60 else 1 if u < 80 else HMO_ONLY
        people.append(Provider(s, c, place, networks, accepting="false" if closed else "true" if u % 5 else ""))
    if specialty.name in ("Clinical Psychology", "Clinical Social Work") and county.percent >= 10:
        closed = "false" if arrangement == "closed" else "true"
        people.append(Provider(s, c, int(here[weight.argmax()]), HMO_ONLY, accepting=closed))
    for p, u in zip(people, rng.integers(0, 100, len(people)).tolist(), strict=True):
        if u < 12:
            p.second_place = _draw(rng, here, weight, 1)[0]
    if (specialty.name, county.fips) in GHOSTS:
        people.append(Provider(s, c, hubs[0], IN_BOTH, serves=False, kind="ghost"))
    return people


def _too_few(facts: Facts, c: int, s: int, number: int) -> list[Provider]:
    """Place too few providers at two places each, which together reach most of the county."""
    weight, near = _neighbours(facts, c, facts.specialties[s].miles[COUNTIES[c].county_type] * NEAR)
    reach = {(a, b): sum(weight[x] for x in near[a] | near[b]) for a, b in combinations(weight, 2)}
    first, second = max(reach, key=lambda pair: reach[pair])
    return [Provider(s, c, first, IN_BOTH, second_place=second) for _ in range(number)]


def _out_of_network(rng: np.random.Generator, facts: Facts, members: int) -> list[Provider]:
    """Draw the OON providers of the planned courses; the first in a gap is in another plan's network."""
    people = []
    for plan in COURSE_PLANS:
        c, s = facts.county(plan.county_fips), facts.specialty(plan.specialty)
        here = np.flatnonzero(facts.places.county == c)
        number = 3 + members * COUNTIES[c].percent * plan.per_1000 // 1_500_000
        for i, place in enumerate(_draw(rng, here, facts.places.weight[here], number)):
            foreign = i == 0 and plan.kind == "course"
            people.append(
                Provider(s, c, place, OUT_OF_NETWORK, foreign=foreign, kind="other_network_only" if foreign else "")
            )
    return people


def _unusable(facts: Facts, start: date, end: date) -> list[Provider]:
    """Add listings in the planted gaps that have ended or have not begun."""
    people = []
    for name, fips in (("Psychiatry", "23029"), ("Dermatology", "33007")):
        c, s = facts.county(fips), facts.specialty(name)
        here = np.flatnonzero(facts.places.county == c)
        place = int(here[facts.places.weight[here].argmax()])
        people += [
            Provider(s, c, place, IN_BOTH, serves=False, effective=date(start.year - 6, 1, 1),
                     termination=end - timedelta(days=273), kind="terminated"),
            Provider(s, c, place, IN_BOTH, serves=False, effective=end + timedelta(days=63),
                     kind="not_yet_effective"),
        ]  # fmt: skip
    return people


def _hubs(facts: Facts, c: int, miles: float) -> list[int]:
    """Fewest places (greedily) within ``miles`` of which nearly all inhabitants of the county live."""
    weight, near = _neighbours(facts, c, miles)
    total, covered, hubs = sum(weight.values()), set[int](), list[int]()
    while sum(weight[b] for b in covered) < COVER * total:
        best = max(weight, key=lambda a: (sum(weight[b] for b in near[a] - covered), weight[a], -a))
        hubs.append(best)
        covered |= near[best]
    return hubs


def _neighbours(facts: Facts, c: int, miles: float) -> tuple[dict[int, int], dict[int, set[int]]]:
    """Weight of every place of a county, and the places of the county within ``miles`` of it."""
    here = np.flatnonzero(facts.places.county == c).tolist()
    near = {a: {b for b in here if facts.places.miles(a, b) <= miles} for a in here}
    return dict(zip(here, facts.places.weight[here].tolist(), strict=True)), near


def _draw(rng: np.random.Generator, here: Ints, weight: Ints, number: int) -> list[int]:
    upper = np.cumsum(weight)
    return [int(v) for v in here[np.searchsorted(upper, rng.integers(0, upper[-1], number), side="right")]]


def _pool(keep: np.ndarray, county: Ints, specialty: Ints, shape: tuple[int, int]) -> Pool:
    cell = county * shape[1] + specialty
    chosen = np.flatnonzero(keep)
    flat = chosen[np.argsort(cell[chosen], kind="stable")]
    count = np.bincount(cell[chosen], minlength=shape[0] * shape[1])
    return Pool(flat, (np.cumsum(count) - count).reshape(shape), count.reshape(shape))
