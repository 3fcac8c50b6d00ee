"""What stands before any member is drawn: places, specialties, rates, benefits and planted gaps.

ZIP codes and coordinates are those of the PyPI package ``zipcodes`` (type STANDARD, active);
their weights are hundreds of inhabitants (Census estimate 2023). County types, distances and
provider ratios are those of the CMS adequacy reference workbook for 2026. Procedure, diagnosis
and taxonomy codes are real; every rate beside Medicare's, and every person, is made up.
"""

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

COUNTY_TYPES = ("large metro", "metro", "micro", "rural", "ceac")
NETWORKS = ("EX1", "EX2")  # a PPO with OON benefits, an HMO without
FOREIGN_NETWORK = "EX9"  # of another plan: its listings must not count
PLAN_NAME = "Example Health Plan (synthetic)"


@dataclass(frozen=True)
class County:
    """One county and its share of the members; 0 percent: a fixed handful, for suppression."""

    fips: str
    name: str
    state: str
    county_type: str
    percent: int


COUNTIES = (
    County("25025", "Suffolk", "MA", "large metro", 38),
    County("23005", "Cumberland", "ME", "metro", 20),
    County("23011", "Kennebec", "ME", "metro", 13),
    County("23017", "Oxford", "ME", "micro", 9),
    County("23029", "Washington", "ME", "rural", 8),
    County("33007", "Coos", "NH", "rural", 6),
    County("23021", "Piscataquis", "ME", "ceac", 6),
    County("23023", "Sagadahoc", "ME", "micro", 0),
)
SMALL_COUNTY_MEMBERS = 7  # below 11, the smallest cell that CMS lets one publish
TRAVEL_COUNTY = "23005"  # where members go whose own county has nobody in-network


@dataclass(frozen=True)
class Gap:
    """A county and specialty whose in-network providers are arranged, and the status that follows."""

    specialty: str
    county_fips: str
    arrangement: str  # none, closed (every panel), few (half the number needed) or hmo_only
    status: str  # expected in the gap table; met: neighbours reach the members, so that it is no gap
    note: str


GAPS = (
    Gap("Psychiatry", "23029", "none", "no_provider", "listed only as terminated, not yet effective or in EX9"),
    Gap("Neurology", "23029", "hmo_only", "too_far", "in range only in the directory of EX2"),
    Gap("Dermatology", "33007", "none", "too_far", "nobody in the county; neighbours reach a small part of it"),
    Gap("Psychiatry", "33007", "closed", "closed", "every panel in the county is closed to new patients"),
    Gap(
        "Clinical Psychology",
        "23011",
        "closed",
        "closed",
        "every panel in the county is closed to new patients",
    ),
    Gap("Primary Care", "25025", "few", "too_few", "providers at two places each; half the number needed"),
    Gap("Dermatology", "23017", "none", "met", "nobody in the county; neighbours reach enough of it"),
    Gap(
        "Psychiatry",
        "23017",
        "closed",
        "met",
        "panels in the county are closed; neighbours reach enough of it",
    ),
)
GHOST_CELL = ("Clinical Psychology", "23029")  # listed, accepting, in range; nobody is ever seen
GHOSTS = (  # single ghosts beside providers who do see patients
    ("Dermatology", "23005"),
    ("Psychiatry", "23011"),
    ("Clinical Social Work", "23005"),
    ("Neurology", "23021"),
)


@dataclass(frozen=True)
class CoursePlan:
    """Where OON courses of treatment happen, in members per 1,000 of the county."""

    specialty: str
    county_fips: str
    per_1000: int
    kind: str  # course: in a gap; weak_course: in-network providers are in range


COURSE_PLANS = (
    CoursePlan("Psychiatry", "23029", 75, "course"),
    CoursePlan("Clinical Psychology", "23029", 60, "course"),
    CoursePlan("Neurology", "23029", 40, "course"),
    CoursePlan("Dermatology", "33007", 70, "course"),
    CoursePlan("Psychiatry", "33007", 90, "course"),
    CoursePlan("Clinical Psychology", "23011", 45, "course"),
    CoursePlan("Clinical Social Work", "23005", 18, "weak_course"),
    CoursePlan("Clinical Psychology", "25025", 10, "weak_course"),
    CoursePlan("Psychiatry", "23005", 8, "weak_course"),
    CoursePlan("Psychiatry", "23017", 35, "weak_course"),
)
COURSE_PROCEDURES = {  # first visit, every other visit, line beside it or "", choice of days between visits
    "Clinical Psychology": ("90791", "90837", "", (7, 7, 14)),
    "Clinical Social Work": ("90791", "90834", "", (7, 7, 14)),
    "Psychiatry": ("90792", "99214", "90836", (7, 14, 14)),
    "Dermatology": ("99204", "99214", "", (28, 35, 42)),
    "Neurology": ("99204", "99214", "", (28, 35, 42)),
}
TALKING = ("Clinical Psychology", "Clinical Social Work", "Psychiatry", "Mental Health Counselor")

#: In cents: deductible, coinsurance in percent, copay, does the deductible come first, out-of-pocket maximum.
Tier = tuple[int, int, int | None, bool, int]
#: In-network and OON tier by network and plan year.
#: [assumption: figures as in the worked examples of the project; the second year costs a little more]
BENEFITS: dict[str, tuple[tuple[Tier, Tier | None], tuple[Tier, Tier | None]]] = {
    "EX1": (
        ((50000, 20, None, True, 300000), (150000, 40, None, True, 800000)),
        ((55000, 20, None, True, 320000), (160000, 40, None, True, 850000)),
    ),
    "EX2": (
        ((100000, 0, 3500, False, 400000), None),
        ((100000, 0, 4000, False, 420000), None),
    ),
}

EARTH_RADIUS_MILES = 6371.0088 / 1.609344


@dataclass(frozen=True)
class Places:
    """ZIP codes, in file order; ``county`` is the position in ``COUNTIES``."""

    zips: list[str]
    county: Ints
    weight: Ints
    latitude: list[float]
    longitude: list[float]

    def miles(self, a: int, b: int) -> float:
        """Great-circle distance between two places."""
        x1, y1, x2, y2 = (
            math.radians(v) for v in (self.latitude[a], self.longitude[a], self.latitude[b], self.longitude[b])
        )
        h = math.sin((x2 - x1) / 2) ** 2 + math.cos(x1) * math.cos(x2) * math.sin((y2 - y1) / 2) ** 2
        return 2 * EARTH_RADIUS_MILES * math.asin(math.sqrt(h))


@dataclass(frozen=True)
class Specialty:
    """One specialty: who practises it and what a visit looks like."""

    name: str
    taxonomies: list[str]
    title: str
    visit_weight: int
    second_line_percent: int
    telehealth_percent: int
    per_1000: float
    miles: dict[str, float]
    diagnoses: list[str]


@dataclass(frozen=True)
class Facts:
    """All constants, indexed: specialties and procedures are known by their position."""

    places: Places
    specialties: list[Specialty]
    specialty_index: dict[str, int]
    county_index: dict[str, int]
    procedures: list[str]
    procedure_index: dict[str, int]
    rates: dict[str, Ints]  # by column of fees.csv, in cents, by procedure
    menu: dict[int, tuple[Ints, ...]]  # line 1 or 2: as ``_menu`` returns

    def specialty(self, name: str) -> int:
        """Position of a specialty."""
        return self.specialty_index[name]

    def county(self, fips: str) -> int:
        """Position of a county."""
        return self.county_index[fips]


def load_facts() -> Facts:
    """Read the constants that lie beside this module as CSV."""
    counties = {c.fips: i for i, c in enumerate(COUNTIES)}
    rows = list(_read("places.csv"))
    places = Places(
        [r["zip"] for r in rows],
        np.array([counties[r["county_fips"]] for r in rows]),
        np.array([int(r["weight"]) for r in rows]),
        [float(r["latitude"]) for r in rows],
        [float(r["longitude"]) for r in rows],
    )
    specialties = [_specialty(r) for r in _read("specialties.csv")]
    names = {s.name: i for i, s in enumerate(specialties)}
    rates = list(_read("rates.csv"))
    procedures = [r["procedure_code"] for r in rates]
    index = {p: i for i, p in enumerate(procedures)}
    money = {
        c: np.array([round(float(r[c]) * 100) for r in rates], dtype=np.int64)
        for c in ("in_network_rate", "medicare_rate", "out_of_network_allowed", "usual_charge")
    }
    used = list(_read("procedures.csv"))
    menu = {line: _menu([r for r in used if r["line"] == str(line)], names, index) for line in (1, 2)}
    return Facts(places, specialties, names, counties, procedures, index, money, menu)


def choose(rng: np.random.Generator, weights: Ints, size: int) -> Ints:
    """Draw positions in proportion to whole-number weights, in whole numbers throughout."""
    upper = np.cumsum(weights)
    return np.searchsorted(upper, rng.integers(0, upper[-1], size), side="right")


def to_weekday(day: Ints) -> Ints:
    """Move Saturdays and Sundays to the Friday before; 1970-01-01 was a Thursday."""
    return day - np.maximum(0, (day + 3) % 7 - 4)


def _menu(rows: list[dict[str, str]], specialties: dict[str, int], procedures: dict[str, int]) -> tuple[Ints, ...]:
    """Return procedure, units and running weight of each row; weight before and in total by specialty."""
    rows = sorted(rows, key=lambda r: specialties[r["specialty"]])
    upper = np.cumsum([int(r["weight"]) for r in rows])
    total = np.zeros(len(specialties), dtype=np.int64)
    for r in rows:
        total[specialties[r["specialty"]]] += int(r["weight"])
    return (
        np.array([procedures[r["procedure_code"]] for r in rows]),
        np.array([int(r["units"]) for r in rows]),
        upper,
        np.cumsum(total) - total,
        total,
    )


def _specialty(row: dict[str, str]) -> Specialty:
    return Specialty(
        row["specialty"],
        row["taxonomy_codes"].split(),
        row["title"],
        int(row["visit_weight"]),
        int(row["second_line_percent"]),
        int(row["telehealth_percent"]),
        float(row["providers_per_1000"]),
        {t: float(row["miles_" + t.replace(" ", "_")]) for t in COUNTY_TYPES},
        row["diagnosis_codes"].split(),
    )


def _read(name: str) -> Iterable[dict[str, str]]:
    with files(__package__).joinpath(name).open(encoding="utf-8") as file:
        yield from csv.DictReader(file)
