"""The list of SCA candidates: which out-of-network treatments deserve an agreement, on what grounds, at which rates.

In: exports, a day, a gap table. Out: ``CaseList``: one row a case with its grounds, costs and range of rates, ranked;
the evidence sentence by sentence; the providers searched. Rows on single patients: for use inside the plan only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from functools import partial
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from sca_analysis.amounts import MONEY
from sca_analysis.break_even import NO_RATE, break_even_percents
from sca_analysis.claims import visit_lines, window
from sca_analysis.course_cases import build_cases
from sca_analysis.courses import COURSE, Collection, cost_courses, tell_oon_benefits
from sca_analysis.errors import ParameterError
from sca_analysis.exports import Exports, to_pandas
from sca_analysis.gaps import Gaps
from sca_analysis.grounds import (
    FINDINGS,
    GROUNDS,
    SHOWN,
    Facts,
    Judged,
    count_searched,
    is_complete,
    judge,
    list_evidence,
    tell_money,
)
from sca_analysis.history import gather, read_entered
from sca_analysis.network import Criteria, choose_criteria
from sca_analysis.quotes import as_arrays, read_case
from sca_analysis.register import build_register
from sca_analysis.search import find_limits, search_providers
from sca_analysis.tables import CASES, EVIDENCE, SEARCHED

#: How cases are ranked, in words.
RANKING = (
    "Cases without an agreement in force come first; of these, those with a gap shown, then those with continuity "
    "shown, then by the number of grounds shown, then by money at stake (the member's total OON less that under an "
    "SCA), then by the amount billed. Nothing is weighed or scored."
)
_FEES = ["in_network_rate", "medicare_rate", "out_of_network_allowed", "usual_charge"]
_CENT = Decimal("0.01")


@dataclass(frozen=True)
class CaseList:
    """The cases of a day.

    Attributes
    ----------
    as_of : date
    standard : str
        Name of the standard whose distances were searched.
    table : DataFrame
        Columns of ``tables.CASES``, by rank.
    evidence : DataFrame
        Columns of ``tables.EVIDENCE``.
    searched : DataFrame
        Columns of ``tables.SEARCHED``: every provider of the specialty in range, and the nearest beyond.
    entered : DataFrame
        Columns of ``tables.ENTERED``: the latest of each fact.
    entered_elsewhere : int
        Facts entered for cases that are not in the list.
    requests : DataFrame
        Row by case_id of what was last asked for, as ``history.gather``.

    """

    as_of: date
    standard: str
    table: pd.DataFrame
    evidence: pd.DataFrame
    searched: pd.DataFrame
    entered: pd.DataFrame
    entered_elsewhere: int
    requests: pd.DataFrame

    @property
    def notes(self) -> list[str]:
        """What the list leaves out, one sentence each."""
        if not self.entered_elsewhere:
            return []
        return [f"{self.entered_elsewhere} facts were entered for cases that are not in the list as of {self.as_of}."]

    @property
    def summary(self) -> pd.DataFrame:
        """How many cases have each finding, by ground."""
        counts = {g: self.table[g].value_counts() for g in GROUNDS}
        return pd.DataFrame(counts).T.reindex(columns=list(FINDINGS)).fillna(0).astype("int64")

    @property
    def missing(self) -> pd.DataFrame:
        """The facts that are still to be entered, and for how many cases, of those that are not agreed."""
        is_open = self.table["state"] != "agreed"
        facts = self.table.loc[is_open, "to_enter"].str.split("; ").explode()
        counts = facts[facts != ""].value_counts().rename_axis("fact").reset_index(name="cases")
        counts["of_cases"] = int(is_open.sum())
        return counts.sort_values(["cases", "fact"], ascending=[False, True], ignore_index=True)

    def find(self, case_id: str) -> pd.Series:
        """Return the row of a case.

        Raises
        ------
        ParameterError
            If there is none of that number.

        """
        found = self.table[self.table["case_id"] == case_id]
        if found.empty:
            raise ParameterError(
                f"{case_id!r} is no case as of {self.as_of}: `sca cases` lists them with their numbers."
            )
        return found.iloc[0]


def list_cases(
    exports: Exports,
    as_of: date,
    gaps: Gaps | None = None,
    criteria: Criteria | None = None,
    collection: Collection | None = None,
    courses: pd.DataFrame | None = None,
    register: pd.DataFrame | None = None,
    with_ranges: bool = True,
) -> CaseList:
    """Return the SCA candidates of a day.

    Parameters
    ----------
    exports : Exports
    as_of : date
        Last day of the twelve months; nothing later is looked at.
    gaps : Gaps, optional
        Gives the status of a case's county and specialty.
    criteria : Criteria, optional
        The standard whose distance is searched: as ``network.choose_criteria``, which is asked if not given.
    collection : Collection, optional
        What providers collect of what members owe: all of it unless given.
    courses : DataFrame, optional
        `courses.cost_courses` of the same, where the caller has it.
    register : DataFrame, optional
        `register.build_register` of the same day, likewise.
    with_ranges : bool
        Whether a range of rates is suggested, which is most of the work; without, its columns are blank.

    Notes
    -----
    A case is a member and an OON provider: a course of the twelve months, or a request that is pending or in force.
    Its grounds are judged on the day of the latest request or, where none was made, on the as-of date.

    """
    courses = cost_courses(exports, as_of, gaps, collection) if courses is None else courses
    known = gather(exports, as_of, courses, build_register(exports, as_of) if register is None else register)
    criteria = criteria or choose_criteria(exports)
    known["max_miles"] = find_limits(exports, criteria, known)
    if gaps is not None and len(known):
        status = gaps.table.set_index(["county_fips", "specialty"])["status"].to_dict()
        keys = zip(known["county_fips"], known["specialty"], strict=True)
        known["gap_status"] = pd.Series([status.get(key) for key in keys], index=known.index, dtype="string")
    searched = search_providers(exports, known)
    known = known.join(count_searched(known, searched))
    entered = read_entered(exports, as_of)
    judged = _judge_all(exports, as_of, known, searched, entered)
    table = _rate(exports, as_of, known, (collection or Collection()) if with_ranges else None)
    table = _describe(table, judged)
    for row in table.to_dict("records"):
        tell_money({str(k): v for k, v in row.items()}, judged[row["case_id"]])
    rows = list_evidence({case: judged[case] for case in table["case_id"]})
    return CaseList(
        as_of=as_of,
        standard=criteria.name,
        table=table[list(CASES.names)],
        evidence=pd.DataFrame([*rows], columns=list(EVIDENCE.names)),
        searched=searched[list(SEARCHED.names)],
        entered=entered[entered["case_id"].isin(table["case_id"])].reset_index(drop=True),
        entered_elsewhere=int((~entered["case_id"].isin(table["case_id"])).sum()),
        requests=known.set_index("case_id", drop=False),
    )


def _judge_all(
    exports: Exports, as_of: date, known: pd.DataFrame, searched: pd.DataFrame, entered: pd.DataFrame
) -> dict[str, Judged]:
    """Return the findings and evidence of every case, by case_id."""
    ids = searched["case_id"].to_numpy(dtype=object)  # in order
    facts: dict[str, dict[str, Mapping[str, Any]]] = {}
    for fact in entered.to_dict("records"):
        facts.setdefault(fact["case_id"], {})[fact["fact"]] = {str(k): v for k, v in fact.items()}
    has_oon = tell_oon_benefits(exports, known["network_id"], as_of)
    judged = {}
    for row, oon in zip(known.to_dict("records"), has_oon, strict=True):
        ends = np.searchsorted(ids, row["case_id"], "left"), np.searchsorted(ids, row["case_id"], "right")
        judged[row["case_id"]] = judge(
            Facts(
                row={str(k): v for k, v in row.items()},
                usable=partial(_usable, searched, slice(*ends)),
                entered=facts.get(row["case_id"], {}),
                has_oon_benefits=None if pd.isna(oon) else bool(oon),
                as_of=as_of,
            )
        )
    return judged


def _usable(searched: pd.DataFrame, rows: slice) -> pd.DataFrame:
    """Return the usable ones among some rows of the search."""
    theirs = searched.iloc[rows]
    return theirs[theirs["is_usable"]]


def _describe(table: pd.DataFrame, judged: Mapping[str, Judged]) -> pd.DataFrame:
    """Add grounds, what is missing and the money at stake, and rank the cases."""
    cases = [judged[case] for case in table["case_id"]]
    found = pd.DataFrame({g: [one.findings[g] for one in cases] for g in GROUNDS}, index=table.index, dtype="string")
    table = table.join(found).assign(
        grounds=pd.array(["; ".join(g for g in GROUNDS if one.findings[g] == SHOWN) for one in cases], dtype="string"),
        to_enter=pd.array(["; ".join(dict.fromkeys(one.to_enter)) for one in cases], dtype="string"),
        is_complete=np.array([is_complete(one) for one in cases], dtype=np.bool_),
        at_stake=table["member_total_out_of_network"] - table["member_total_sca"],
        visits=table["visits"].fillna(0).astype("int64"),
        not_costed=table["not_costed"].where(table["course_id"].notna(), "no OON visits in the twelve months"),
    )
    order = pd.DataFrame(
        {
            "is_agreed": table["state"] == "agreed",
            "gap": table["gap"] != SHOWN,
            "continuity": table["continuity"] != SHOWN,
            "few": -(table[list(GROUNDS)] == SHOWN).to_numpy(dtype=bool).sum(axis=1),
            "stake": _falling(table["at_stake"]),
            "billed": _falling(table["billed"]),
            "case_id": table["case_id"],
        }
    ).sort_values(["is_agreed", "gap", "continuity", "few", "stake", "billed", "case_id"])
    ranked = table.loc[order.index].reset_index(drop=True)
    return ranked.assign(rank=np.arange(1, len(ranked) + 1))


def _falling(amounts: pd.Series) -> pd.Series:
    """Return a key that sorts the largest amount first and blanks last; for order alone, so a float will do."""
    return -pd.Series([-np.inf if pd.isna(a) else float(a) for a in amounts], index=amounts.index, dtype="float64")


def _rate(exports: Exports, as_of: date, known: pd.DataFrame, collection: Collection | None) -> pd.DataFrame:
    """Add the procedure that the rates are of, its fees and charge, and the range of rates suggested (None: blank)."""
    main = _main_procedures(exports, as_of, known)
    table = known.drop(columns="procedure_code").merge(main, on=COURSE, how="left", validate="1:1")
    table["procedure_code"] = table["procedure_code"].fillna(known["procedure_code"].reset_index(drop=True))
    fees = exports.frame("fees")
    fees = fees[fees["locality"].isna()][["procedure_code", *_FEES]]
    table = table.merge(fees, on="procedure_code", how="left", validate="m:1").set_axis(known.index)
    ranges: list[tuple[Decimal | None, Decimal | None, str]] = [(None, None, "")] * len(table)
    if collection:
        zones = _find_zones(exports, as_of, collection)
        ranges = [_suggest(row, zones.get(row["course_id"]), collection) for row in table.to_dict("records")]
    table[["rate_low", "rate_high", "rate_basis"]] = pd.DataFrame(
        ranges, index=table.index, columns=["rate_low", "rate_high", "rate_basis"]
    )
    return table.astype({"rate_low": MONEY, "rate_high": MONEY})


def _main_procedures(exports: Exports, as_of: date, known: pd.DataFrame) -> pd.DataFrame:
    """Return the procedure most billed of each pair in the twelve months, and the median charge of a unit."""
    lines = to_pandas(
        visit_lines(exports, *window(as_of))
        .filter(nw.col("is_out_of_network"), nw.col("units") > 0)
        .join(exports.lift_keys(known[COURSE]), on=COURSE, how="inner")
        .select(*COURSE, "procedure_code", "billed_amount", "units")
    )
    lines["charge"] = [(b / u).quantize(_CENT) for b, u in zip(lines["billed_amount"], lines["units"], strict=True)]
    key = [*COURSE, "procedure_code"]
    sums = lines.groupby(key, as_index=False)[["billed_amount"]].sum()
    top = sums.sort_values(["billed_amount", "procedure_code"], ascending=[False, True]).drop_duplicates(COURSE)
    ordered = lines.merge(top[key], on=key).sort_values("charge")
    # the middle charge, of two the lower: a charge that was billed
    place = ordered.groupby(COURSE).cumcount()
    count = ordered.groupby(COURSE)["charge"].transform("size")
    middle = ordered[place == (count - 1) // 2][[*COURSE, "charge"]]
    return top[key].merge(middle, on=COURSE, validate="1:1").astype({"charge": MONEY})


def _find_zones(
    exports: Exports, as_of: date, collection: Collection
) -> dict[str, tuple[Decimal | None, Decimal | None]]:
    """Return by course_id the provider's and the plan's break-even, each as a share of what is billed; None = none."""
    built = build_cases(exports, as_of)
    rates = {"cost_share": str(collection.cost_share), "balance_bill": str(collection.balance_bill)}
    if not built:
        return {}
    cases = [read_case({**case, "collection_rate": rates}, course) for course, case in built.items()]
    found = break_even_percents(as_arrays(cases))

    def share(hundredths: int) -> Decimal | None:
        return None if hundredths == NO_RATE else Decimal(int(hundredths)) / 10_000

    pairs = zip(found.provider, found.plan, strict=True)
    return {course: (share(low), share(high)) for course, (low, high) in zip(built, pairs, strict=True)}


def _suggest(
    row: Mapping[Any, Any], zone: tuple[Decimal | None, Decimal | None] | None, collection: Collection
) -> tuple[Decimal | None, Decimal | None, str]:
    """Return the range of rates of a unit of the main procedure, and where it comes from.

    The bargaining zone against OON where there is one; else from the in-network rate to the usual charge (or the
    charge billed, where no usual charge is known): the plan's alternative in a gap is not OON at its allowed amount,
    but the duty to give access (S2).
    """
    charge, least = row["charge"], row["in_network_rate"]
    ceiling = row["usual_charge"] if pd.notna(row["usual_charge"]) else charge
    why = "no OON visits to reckon from"
    collected = f"if the provider collects {collection.balance_bill:.0%} of balance bills"
    if zone is not None and pd.notna(charge):
        low, high = (
            None if share is None else (charge * share).quantize(_CENT, rounding)
            for share, rounding in zip(zone, (ROUND_CEILING, ROUND_FLOOR), strict=True)
        )
        if low is not None and high is not None and low <= high:
            return low, high, f"bargaining zone: the provider's break-even to the plan's, SCA against OON, {collected}"
        why = f"no rate serves plan and provider as well as OON does, {collected}"
    elif pd.notna(row["course_id"]):
        why = "break-even rates could not be found"
    if pd.isna(least) or pd.isna(ceiling):
        return None, None, f"{why}, and there is no in-network rate or charge to go by"
    return (
        min(least, ceiling),
        ceiling,
        f"{why}: in-network rate to usual charge, which is the ceiling in a gap (S2)",
    )
