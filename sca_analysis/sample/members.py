"""Who is insured: members of a block with home, year of birth and coverage spans."""

from dataclasses import dataclass
from datetime import date

import numpy as np

from sca_analysis.sample import text
from sca_analysis.sample.facts import COUNTIES, NETWORKS, SMALL_COUNTY_MEMBERS, Bools, Facts, Ints, choose

OPEN = 2_900_000  # a day later than any
#: Percent who changed their insurer, renewed (spans touch), returned after a break, left, joined, stayed.
KINDS = (4, 4, 3, 8, 9, 72)
CHANGED, RENEWED, RETURNED, LEFT, JOINED, STAYED = range(6)
EX1_PERCENT = 55


@dataclass(frozen=True)
class Members:
    """Members of one block, known by their position; spans in columns 0 and 1."""

    first: int  # number of the first member, from 1
    place: Ints
    county: Ints
    kind: Ints
    birth_year: Ints
    network: Ints  # (n, 2), position in NETWORKS
    start: Ints  # (n, 2), days since 1970-01-01
    stop: Ints  # (n, 2), last day covered; OPEN = open
    second: Bools  # has a second span

    def __len__(self) -> int:
        """Members in the block."""
        return len(self.place)

    def span_on(self, member: Ints, day: Ints) -> Ints:
        """Position of the span that covers the day, -1 where none does."""
        first = (self.start[member, 0] <= day) & (day <= self.stop[member, 0])
        second = self.second[member] & (self.start[member, 1] <= day) & (day <= self.stop[member, 1])
        return np.where(first, 0, np.where(second, 1, -1))


def days(day: date) -> int:
    """Days since 1970-01-01."""
    return day.toordinal() - date(1970, 1, 1).toordinal()


def changeover(start: date, end: date) -> date:
    """Day on which some members change their insurer: the last New Year of the period, else its middle."""
    new_year = date(end.year, 1, 1)
    return new_year if new_year > start else date.fromordinal((start.toordinal() + end.toordinal()) // 2)


def make_members(rng: np.random.Generator, facts: Facts, first: int, number: int, start: date, end: date) -> Members:
    """Draw the members of a block; the very first of all live in the small county."""
    county = choose(rng, np.array([c.percent for c in COUNTIES]), number)
    if first == 1:
        county[:SMALL_COUNTY_MEMBERS] = next(i for i, c in enumerate(COUNTIES) if not c.percent)
    place = np.empty(number, dtype=np.int64)
    for c in range(len(COUNTIES)):
        mine = np.flatnonzero(county == c)
        here = np.flatnonzero(facts.places.county == c)
        place[mine] = here[choose(rng, facts.places.weight[here], len(mine))]
    kind = choose(rng, np.array(KINDS), number)
    if first == 1:
        kind[:SMALL_COUNTY_MEMBERS] = STAYED
    network = np.where(rng.integers(0, 100, number) < EX1_PERCENT, 0, 1)
    network = np.stack([network, network], axis=1)
    network[kind == CHANGED] = (1, 0)
    months = np.array([days(m) for m in _months(start, end)])
    change = days(changeover(start, end))
    begin = days(start)
    early = np.array([begin, begin, begin, days(date(start.year - 1, 1, 1)), days(date(start.year - 3, 7, 1))])
    starts = np.stack([early[rng.integers(0, len(early), number)], np.full(number, OPEN)], axis=1)
    stops = np.full((number, 2), OPEN, dtype=np.int64)
    month = months[rng.integers(2, max(3, len(months) - 1), number)]
    later = month + rng.integers(60, 130, number)
    second = (kind == CHANGED) | (kind == RENEWED) | (kind == RETURNED)
    touching = (kind == CHANGED) | (kind == RENEWED)
    stops[touching, 0] = change - 1
    starts[touching, 1] = change
    stops[kind == RETURNED, 0] = month[kind == RETURNED] - 1
    starts[kind == RETURNED, 1] = later[kind == RETURNED]
    stops[kind == LEFT, 0] = month[kind == LEFT] - 1
    starts[kind == JOINED, 0] = month[kind == JOINED]
    second &= starts[:, 1] <= days(end)
    age = rng.integers(0, 66, number)
    return Members(first, place, county, kind, end.year - 1 - age, network, starts, stops, second)


def members_csv(rng: np.random.Generator, facts: Facts, members: Members) -> tuple[bytes, Ints]:
    """Return the rows of a block, and the rows of members with one span and an effective date."""
    n = len(members)
    row_of = np.repeat(np.arange(n), 1 + members.second)
    span = np.where(np.r_[False, row_of[1:] == row_of[:-1]], 1, 0)
    start, stop = members.start[row_of, span], members.stop[row_of, span]
    open_start = (rng.integers(0, 100, n) < 3)[row_of] & (members.kind[row_of] == STAYED)
    no_county = (rng.integers(0, 100, n) < 6)[row_of]
    unlocated = (rng.integers(0, 100, n) >= 15)[row_of]
    no_birth = (rng.integers(0, 100, n) < 2)[row_of]
    latitude = _near(rng, facts.places.latitude, members.place)[row_of]
    longitude = _near(rng, facts.places.longitude, members.place)[row_of]
    columns = {
        "member_id": text.codes("M", members.first + row_of, 7),
        "zip": text.words(facts.places.zips, members.place[row_of]),
        "county_fips": text.words([c.fips for c in COUNTIES], members.county[row_of], no_county),
        "latitude": text.degrees(latitude, unlocated),
        "longitude": text.degrees(longitude, unlocated),
        "network_id": text.words(list(NETWORKS), members.network[row_of, span]),
        "effective_date": text.dates(start, open_start),
        "termination_date": text.dates(stop, stop == OPEN),
        "birth_year": text.numbers(members.birth_year[row_of], no_birth),
    }
    return text.to_csv(columns), np.flatnonzero(~open_start & ~members.second[row_of])


def _near(rng: np.random.Generator, degrees: list[float], place: Ints) -> Ints:
    """Ten-thousandths of a degree, at most 0.012 degrees from the centre of the ZIP."""
    centre = np.array([round(d * 10_000) for d in degrees])
    return centre[place] + rng.integers(-120, 121, len(place))


def _months(start: date, end: date) -> list[date]:
    first = start.year * 12 + start.month - 1
    last = end.year * 12 + end.month - 1
    return [date(m // 12, m % 12 + 1, 1) for m in range(first, last + 1)]
