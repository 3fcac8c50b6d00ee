"""Cases to choose from in the what-if notebook: the courses of an exports folder, or one that a person types in.

In: exports and a day, or a few figures. Out: the content of case files, with the rates that fees are compared with.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from sca_analysis.course_cases import CourseCases, build_all
from sca_analysis.errors import ParameterError
from sca_analysis.exports import Exports
from sca_analysis.standards import load_counties
from sca_analysis.what_if import Anchors, Rate, as_rate


@dataclass(frozen=True)
class CaseLibrary:
    """The OON courses of an exports folder as cases to choose from.

    Attributes
    ----------
    table : DataFrame
        course_id, specialty, county, visits; no identifiers. Only courses that can be a case.
    built : CourseCases
    percentiles, visits : mapping
        As ``find_percentiles``.

    """

    table: pd.DataFrame
    built: CourseCases
    percentiles: Mapping[str, Mapping[int, Decimal]]
    visits: Mapping[str, int]


def load_library(exports: Exports, as_of: date) -> CaseLibrary:
    """Return the OON courses of the twelve months to a day as cases to choose from, the most billed first."""
    built = build_all(exports, as_of)
    counties = load_counties()
    named = counties["county_name"] + ", " + counties["state"]
    names = dict(zip(counties["county_fips"], named, strict=True))
    table = built.courses[built.courses["course_id"].isin(built.cases)]
    table = (
        table[["course_id", "specialty", "visits"]]
        .assign(county=table["county_fips"].map(names).fillna("not known"))
        .reset_index(drop=True)
    )
    return CaseLibrary(table, built, *find_percentiles(built.cases))


def pick(library: CaseLibrary, course_id: str) -> tuple[dict[str, Any], Anchors]:
    """Return a course as the content of a case file, and the rates that it is compared with.

    Raises
    ------
    ParameterError
        If there is no such course, or it cannot be a case.

    """
    if course_id in library.built.reasons:
        raise ParameterError(f"course {course_id} cannot be costed: {library.built.reasons[course_id]}.")
    if course_id not in library.built.cases:
        raise ParameterError(f"there is no course {course_id[:20]!r}: give a number of the list, such as C00001.")
    case = library.built.cases[course_id]
    return case, anchor_course(case, library.built.rates[course_id], library.percentiles, library.visits)


def type_case(
    charge: Decimal,
    in_network_rate: Decimal,
    out_of_network_allowed: Decimal,
    visits: int,
    benefits: Mapping[str, Any],
    first: date,
    days_between: int = 7,
) -> dict[str, Any]:
    """Return a case that a person typed in, as a file has it.

    Parameters
    ----------
    charge, in_network_rate, out_of_network_allowed : Decimal
        Of a session, that is one unit [USD].
    visits : int
    benefits : mapping
        As in a case file.
    first : date
        First visit.
    days_between : int
        Days between visits.

    Notes
    -----
    The agreement proposed is at the charge, for all visits; the provider collects all that the member owes.

    """
    return {
        "name": "typed in",
        "billed_per_unit": f"{charge:.2f}",
        "in_network_rate": f"{in_network_rate:.2f}",
        "out_of_network_allowed": f"{out_of_network_allowed:.2f}",
        "visits": [{"date": (first + timedelta(days=days_between * n)).isoformat(), "units": 1} for n in range(visits)],
        "agreement": {
            "rate": f"{charge:.2f}",
            "sessions_authorized": visits,
            "effective_date": None,
            "expiry_date": None,
        },
        "benefits": dict(benefits),
        "accumulators": {},
        "collection_rate": {"cost_share": "1.00", "balance_bill": "1.00"},
    }


def find_percentiles(cases: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, dict[int, Decimal]], Counter[str]]:
    """Return by procedure code the charges a unit of OON visits at P50, P80 and P90 [USD], and visits by code.

    Parameters
    ----------
    cases : mapping
        As ``course_cases.CourseCases.cases``; the number behind a code, which marks another charge, is dropped.

    """
    charges: dict[str, Counter[Decimal]] = {}
    for case in cases.values():
        billed = as_rate(case["billed_per_unit"])
        for code, visits in Counter(visit["procedure_code"] for visit in case["visits"]).items():
            charge = billed[code] if isinstance(billed, Mapping) else billed
            charges.setdefault(_plain_code(code), Counter())[charge] += visits
    found: dict[str, dict[int, Decimal]] = {}
    for code, counted in charges.items():
        ordered, total = sorted(counted.items()), counted.total()
        below = np.cumsum([n for _, n in ordered])
        found[code] = {p: ordered[int(np.searchsorted(below, total * p / 100))][0] for p in (50, 80, 90)}
    return found, Counter({code: counted.total() for code, counted in charges.items()})


def anchor_course(
    case: Mapping[str, Any],
    rates: Mapping[str, Any],
    percentiles: Mapping[str, Mapping[int, Decimal]],
    visits: Mapping[str, int],
) -> Anchors:
    """Return the anchors of a case that was made of a course.

    Parameters
    ----------
    case, rates : mapping
        Of ``course_cases.CourseCases``.
    percentiles, visits : mapping
        As ``find_percentiles`` returned them.

    """
    codes = list(dict.fromkeys(visit["procedure_code"] for visit in case["visits"]))
    by_code = isinstance(case["billed_per_unit"], Mapping)

    def percentile(p: int) -> Rate:
        return {c: percentiles[_plain_code(c)][p] for c in codes} if by_code else percentiles[_plain_code(codes[0])][p]

    medicare, usual = rates["medicare_rate"], rates["usual_charge"]
    return Anchors(
        medicare_rate=None if medicare is None else as_rate(medicare),
        usual_charge=None if usual is None else as_rate(usual),
        charge_percentiles={p: percentile(p) for p in (50, 80, 90)},
        charges=sum(visits[code] for code in {_plain_code(c) for c in codes}),
    )


def _plain_code(code: str) -> str:
    return code.split(" (")[0]
