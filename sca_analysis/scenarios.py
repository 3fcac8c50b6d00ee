"""What if fee, visits, benefits or OON basis were different, and how sure is a figure.

In: a case as ``quotes`` reads it and scenarios as data files. Out: one row a scenario; P10, P50 and
P90 from a seeded simulation over stated distributions; a tornado of what moves a figure most.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any, Literal, Self, TypeVar

import narwhals as nw
import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sca_analysis import costs
from sca_analysis.amounts import money
from sca_analysis.casefile import Case, read_case, read_file
from sca_analysis.claims import visit_lines, window
from sca_analysis.errors import CaseError
from sca_analysis.exports import Exports, to_pandas
from sca_analysis.medicare import percent_of_medicare
from sca_analysis.quotes import as_arrays

#: Draws of a simulation: the standard error of a percentile is then below 1% of its range.
DRAWS = 10_000
PERCENTILES = (10, 50, 90)
MEASURES = {
    "plan_paid_out_of_network": "plan, OON",
    "plan_paid_sca": "plan, SCA",
    "plan_change": "plan, SCA less OON",
    "member_total_out_of_network": "member, OON",
    "member_total_sca": "member, SCA",
    "member_change": "member, SCA less OON",
    "provider_net_out_of_network": "provider, OON",
    "provider_net_sca": "provider, SCA",
    "provider_change": "provider, SCA less OON",
}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Basis(_Part):
    """How a rate of a unit is set: an amount, or a percentage or percentile of something known."""

    basis: Literal[
        "amount", "in_network", "usual_charge", "percent_of_medicare", "percent_of_billed", "percentile_of_charges"
    ]
    amount: Decimal | None = None  # [USD]
    percent: Decimal | None = None  # [%]
    percentile: int | None = None

    @model_validator(mode="after")
    def _needs_its_figure(self) -> Self:
        needed = {"amount": "amount", "percentile_of_charges": "percentile"}.get(self.basis)
        needed = needed or ("percent" if self.basis.startswith("percent_of") else None)
        if needed and getattr(self, needed) is None:
            raise ValueError(f"{self.basis} needs a {needed}")
        return self


class Visits(_Part):
    """How many visits: a count, or a percentage of those of the case, rounded half up."""

    count: int | None = Field(default=None, ge=1)
    percent: Decimal | None = Field(default=None, gt=0)


class Scenario(_Part):
    """One named scenario: what it changes in a case; all else stays as it is."""

    title: str
    why: str = ""
    fee: Basis | None = None  # the agreed rate
    visits: Visits | None = None
    out_of_network: Basis | None = None  # what the plan allows OON
    no_out_of_network_benefits: bool = False
    benefits: dict[str, Any] = Field(default_factory=dict)  # merged into the case's
    collection_rate: dict[str, Any] = Field(default_factory=dict)


class References(_Part):
    """Rates [USD] that a scenario may point to, a unit of the case's procedure."""

    medicare_rate: Decimal | None = None  # physician fee schedule of the locality
    usual_charge: Decimal | None = None
    charge_percentiles: dict[int, Decimal] = Field(default_factory=dict)
    charges: int = 0  # claim lines behind the percentiles; 0 where a person gave them


#: A rate of a unit: one amount or, in ``what_if``, one for each procedure.
Known = TypeVar("Known")


class Triangle(_Part):
    """A triangular distribution: the least, likeliest and largest value."""

    low: Decimal
    likely: Decimal
    high: Decimal

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.low <= self.likely <= self.high:
            raise ValueError("low, likely and high have to be in order")
        return self


class Uncertainty(_Part):
    """What is not known for sure; without a distribution an input is as the case has it."""

    visits: Triangle | None = None  # [visits]
    out_of_network_allowed: Triangle | None = None  # of a unit [USD]
    agreed_rate: Triangle | None = None  # of a unit [USD]
    cost_share_collected: Triangle | None = None  # [0-1]
    balance_bill_collected: Triangle | None = None  # [0-1]


@dataclass(frozen=True)
class _Inputs:
    """Values of the uncertain inputs, one for each draw."""

    visits: costs.Integers  # [visits]
    out_of_network_allowed: costs.Integers  # [cents]
    agreed_rate: costs.Integers  # [cents]
    cost_share_collected: costs.Integers  # [ppm]
    balance_bill_collected: costs.Integers  # [ppm]


_SCALES = {
    "visits": 1,
    "out_of_network_allowed": 100,
    "agreed_rate": 100,
    "cost_share_collected": costs.MILLION,
    "balance_bill_collected": costs.MILLION,
}


def load(path: str | Path, model: type[BaseModel]) -> Any:
    """Return a data file (YAML) as a ``Scenario``, ``References`` or ``Uncertainty``.

    Raises
    ------
    CaseError
        If the file cannot be read or holds something else; names file and field.
    """
    try:
        return model.model_validate(read_file(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise CaseError(f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}; correct it.") from error


def find_references(exports: Exports, as_of: date, procedure_code: str) -> References:
    """Return what an exports folder knows of the rates of a procedure.

    Medicare's rate and the usual charge are those of ``fees``. The percentiles are of the amounts billed
    a unit in the twelve months to ``as_of``, by all providers, reversed lines left out; each is an amount
    that was billed [USD, rounded half up to cents]. ``charges`` says on how many lines they rest.
    """
    fees = exports.frame("fees")
    fees = fees[(fees["procedure_code"] == procedure_code) & fees["locality"].isna()]
    lines = to_pandas(
        visit_lines(exports, *window(as_of))
        .filter(
            nw.col("procedure_code") == procedure_code,
            nw.col("units") > 0,
            nw.col("billed_amount") > 0,
        )
        .select("billed_amount", "units")
    )
    charges = sorted(b / u for b, u in zip(lines["billed_amount"], lines["units"], strict=True))
    return References(
        medicare_rate=_first(fees["medicare_rate"]),
        usual_charge=_first(fees["usual_charge"]),
        charge_percentiles={p: _cents(charges[ceil(len(charges) * p / 100) - 1]) for p in (50, 80, 90) if charges},
        charges=len(charges),
    )


def load_scenarios(folder: str | Path) -> dict[str, Scenario]:
    """Return the scenarios of a folder by file name, in order of the names.

    Raises
    ------
    CaseError
        If one cannot be read, or there are none.
    """
    found = {p.stem: load(p, Scenario) for p in sorted(Path(folder).glob("*.yaml"))}
    if not found:
        raise CaseError(f"{folder} holds no scenario (*.yaml): name the folder that does.")
    return found


def apply(scenario: Scenario, case: Mapping[str, Any], references: References) -> dict[str, Any]:
    """Return a case, as a file has it, with what the scenario changes.

    Raises
    ------
    CaseError
        If the scenario points to a reference that is not known.
    """
    changed: dict[str, Any] = {**case, "name": scenario.title}
    if scenario.fee:
        rate = _resolve(scenario.fee, case, references)
        if case.get("agreements"):
            changed["agreements"] = [{**terms, "rate": rate} for terms in case["agreements"]]
        else:
            changed["agreement"] = {**case["agreement"], "rate": rate}
    if scenario.out_of_network:
        changed["out_of_network_allowed"] = _resolve(scenario.out_of_network, case, references)
    if scenario.visits:
        changed["visits"] = change_visits(case["visits"], _count(scenario.visits, len(case["visits"])))
    changed["benefits"] = _merge(case["benefits"], scenario.benefits)
    if scenario.no_out_of_network_benefits:
        changed["benefits"]["out_of_network"] = None
    changed["collection_rate"] = {**case["collection_rate"], **scenario.collection_rate}
    return changed


def change_visits(visits: Sequence[Mapping[str, Any]], count: int) -> list[dict[str, Any]]:
    """Return the first ``count`` visits; where there are fewer, the last goes on at the usual interval.

    The usual interval is the median of days between visits, a week where there is but one visit.
    """
    ordered = sorted((dict(v) for v in visits), key=lambda v: str(v["date"]))
    days = [date.fromisoformat(str(v["date"])) for v in ordered]
    interval = timedelta(days=max(1, round(median([(b - a).days for a, b in pairwise(days)] or [7]))))
    while len(ordered) < count:
        days.append(days[-1] + interval)
        ordered.append({**ordered[-1], "date": days[-1].isoformat()})
    return ordered[:count]


def compare_scenarios(
    case: Mapping[str, Any], scenarios: Mapping[str, Scenario], references: References
) -> pd.DataFrame:
    """Return one row a scenario, the case as given first.

    Returns
    -------
    DataFrame
        scenario, visits, agreed_rate, percent_of_medicare (NA where Medicare's rate is not known)
        and the nine figures of ``MEASURES``. [USD, exact]
    """
    changed = {"as given": dict(case)} | {n: apply(s, case, references) for n, s in scenarios.items()}
    cases = [read_case(c, n) for n, c in changed.items()]
    measured = _measure(as_arrays(cases))
    rates = [c.terms[-1].rate for c in cases]
    medicare = references.medicare_rate
    return pd.DataFrame(
        {
            "scenario": list(changed),
            "visits": [len(c.visits) for c in cases],
            # of renewals the last; several rates by procedure have no one figure
            "agreed_rate": [None if isinstance(r, dict) else Decimal(r).scaleb(-2) for r in rates],
            "percent_of_medicare": [
                None if isinstance(r, dict) or not medicare else percent_of_medicare(Decimal(r).scaleb(-2), medicare)
                for r in rates
            ],
            **{name: money(amounts) for name, amounts in measured.items()},
        }
    )


def simulate(
    case: Mapping[str, Any], uncertainty: Uncertainty, seed: int, draws: int = DRAWS, relative: bool = False
) -> pd.DataFrame:
    """Return P10, P50 and P90 of each measure over the stated distributions.

    Parameters
    ----------
    case : mapping
        As a file has it.
    uncertainty : Uncertainty
        Inputs are drawn independently of each other.
    seed : int
        The same seed gives the same figures.
    draws : int
    relative : bool
        The two rates are drawn as percentages of the case's own [%], so that it may have several, by procedure or
        by agreement. No visit is allowed more than is billed.

    Returns
    -------
    DataFrame
        measure, meaning, p10, p50, p90. [USD; each an amount that was drawn, not between two]
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    base, likely = _spread(case, uncertainty, relative)
    inputs = {}
    for name in _SCALES:
        chance = rng.random(draws)  # drawn for every input, so that adding one does not move the others
        triangle = getattr(uncertainty, name)
        inputs[name] = _draw(triangle, chance, _SCALES[name]) if triangle else np.repeat(getattr(likely, name), draws)
    measured = _measure(_with(base, _Inputs(**inputs), relative))
    table = {
        f"p{p}": money(np.array([_percentile(a, p) for a in measured.values()], dtype=np.int64)) for p in PERCENTILES
    }
    return pd.DataFrame({"measure": list(measured), "meaning": [MEASURES[m] for m in measured], **table})


def rank_inputs(case: Mapping[str, Any], uncertainty: Uncertainty, measure: str = "plan_change") -> pd.DataFrame:
    """Return a tornado: the measure at the low and high end of each input, all others at their likeliest.

    Returns
    -------
    DataFrame
        input, low, high (of the input), at_low, at_high, swing [USD], the largest swing first.
    """
    base, likely = _spread(case, uncertainty)
    named = [(n, t) for n in _SCALES if (t := getattr(uncertainty, n)) is not None]
    if not named:
        raise CaseError("the uncertainty holds no distribution: give one, such as visits: {low, likely, high}.")
    ends = {f.name: np.repeat(getattr(likely, f.name), 2 * len(named)) for f in fields(_Inputs)}
    for number, (name, triangle) in enumerate(named):
        ends[name][2 * number : 2 * number + 2] = [_scaled(v, _SCALES[name]) for v in (triangle.low, triangle.high)]
    amounts = _measure(_with(base, _Inputs(**ends)))[measure]
    at_low, at_high = amounts[0::2], amounts[1::2]
    table = pd.DataFrame(
        {
            "input": [n for n, _ in named],
            "low": [str(t.low) for _, t in named],
            "high": [str(t.high) for _, t in named],
            "at_low": money(at_low),
            "at_high": money(at_high),
            "swing": money(np.abs(at_high - at_low)),
        }
    )
    return table.iloc[np.argsort(-np.abs(at_high - at_low), kind="stable")].reset_index(drop=True)


def find_rate(
    basis: Basis,
    in_network: Known,
    billed: Known,
    medicare: Known | None,
    usual_charge: Known | None,
    percentiles: Mapping[int, Known],
) -> Known | Decimal | None:
    """Return the rate that a basis points to, before its percentage; None where it is not known.

    Parameters
    ----------
    basis : Basis
    in_network, billed, medicare, usual_charge : Decimal, or Decimal by procedure code
        Rates of a unit that it may point to [USD]; without a usual charge, what is billed stands in.
    percentiles : mapping
        Charges by percentile, likewise.

    """
    known: dict[str, Known | Decimal | None] = {
        "amount": basis.amount,
        "in_network": in_network,
        "usual_charge": usual_charge or billed,
        "percent_of_medicare": medicare,
        "percent_of_billed": billed,
        "percentile_of_charges": percentiles.get(basis.percentile or -1),
    }
    return known[basis.basis]


def _resolve(basis: Basis, case: Mapping[str, Any], references: References) -> str:
    """Return the rate of a unit as a case file has it."""
    rate = find_rate(
        basis,
        _dollars(case["in_network_rate"]),
        _dollars(case["billed_per_unit"]),
        references.medicare_rate,
        references.usual_charge,
        references.charge_percentiles,
    )
    if rate is None:
        which = f"the {basis.percentile}th percentile of charges" if basis.percentile else "the Medicare rate"
        raise CaseError(f"a scenario needs {which}, which the references do not give: add it there.")
    if basis.percent is not None:
        rate = rate * basis.percent / 100
    return str(_cents(rate))


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


def _first(fees: pd.Series) -> Decimal | None:
    known = fees.dropna()
    return Decimal(known.iloc[0]) if len(known) else None


def _dollars(value: object) -> Decimal:
    return Decimal(str(value))


def _count(visits: Visits, now: int) -> int:
    if visits.count is not None:
        return visits.count
    return max(1, int((now * (visits.percent or Decimal(100)) / 100).quantize(Decimal(1), ROUND_HALF_UP)))


def _merge(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in patch.items():
        inner = merged.get(key)
        merged[key] = _merge(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return merged


def _spread(case: Mapping[str, Any], uncertainty: Uncertainty, relative: bool = False) -> tuple[costs.Cases, _Inputs]:
    """Return the case with as many visits as may come, and its inputs at their likeliest, each an array of one."""
    most = max(len(case["visits"]), int(uncertainty.visits.high) if uncertainty.visits else 0)
    longest: Case = read_case({**case, "visits": change_visits(case["visits"], most)})
    oon, terms = longest.out_of_network_allowed or 0, longest.terms
    rate = terms[0].rate
    if relative:
        oon = rate = costs.WHOLE_PERCENT
    elif longest.is_rated_by_procedure or len(terms) > 1 or isinstance(oon, dict) or isinstance(rate, dict):
        raise CaseError("a range needs a case with one agreement and one rate of a unit: split the case by procedure.")
    given = {
        "visits": Decimal(len(case["visits"])),
        "out_of_network_allowed": Decimal(oon) / 100,
        "agreed_rate": Decimal(rate) / 100,
        "cost_share_collected": Decimal(longest.collection_rate.cost_share) / costs.MILLION,
        "balance_bill_collected": Decimal(longest.collection_rate.balance_bill) / costs.MILLION,
    }
    likely = {
        name: np.array([_scaled(t.likely if (t := getattr(uncertainty, name)) else given[name], scale)])
        for name, scale in _SCALES.items()
    }
    return as_arrays([longest]), _Inputs(**likely)


def _with(base: costs.Cases, inputs: _Inputs, relative: bool = False) -> costs.Cases:
    """Return one case a draw: ``base`` with the inputs drawn; ``relative``, the rates as hundredths of a percent."""
    n = len(inputs.visits)
    many: costs.Cases = repeat_case(base, n)
    visit = np.arange(base.visit.shape[1]) < inputs.visits[:, None]
    oon, sca = inputs.out_of_network_allowed[:, None], inputs.agreed_rate[:, None]
    if relative:
        oon_allowed, sca_allowed = (
            np.minimum(many.billed, costs.take_percent(amounts, percent))
            for amounts, percent in ((many.out_of_network_allowed, oon), (many.sca_allowed, sca))
        )
    else:
        oon_allowed, sca_allowed = (costs.allow(many.billed, rate, many.units) for rate in (oon, sca))
    return replace(
        many,
        visit=visit,
        covered=many.covered & visit,
        out_of_network_allowed=oon_allowed,
        sca_allowed=sca_allowed,
        cost_share_collected=inputs.cost_share_collected,
        balance_bill_collected=inputs.balance_bill_collected,
    )


def repeat_case(part: Any, n: int) -> Any:
    """Return arrays of one case, those of its tiers included, for ``n`` cases."""
    values = {f.name: getattr(part, f.name) for f in fields(part)}
    return type(part)(
        **{
            name: value
            if value is None
            else np.repeat(value, n, axis=0)
            if isinstance(value, np.ndarray)
            else repeat_case(value, n)
            for name, value in values.items()
        }
    )


def _measure(cases: costs.Cases) -> dict[str, costs.Integers]:
    """Return the nine figures of ``MEASURES`` for each case, in cents."""
    splits = costs.compare_arrangements(cases)
    measured: dict[str, costs.Integers] = {}
    for party in ("plan_paid", "member_total", "provider_net"):
        # plan paid is by visit, the other two are totals already
        oon, sca = (
            amounts.sum(axis=1) if (amounts := getattr(splits[a], party)).ndim == 2 else amounts
            for a in ("out_of_network", "sca")
        )
        measured |= {f"{party}_out_of_network": oon, f"{party}_sca": sca, f"{party.split('_')[0]}_change": sca - oon}
    return measured


def _draw(triangle: Triangle, chance: np.ndarray, scale: int) -> costs.Integers:
    """Return values of a triangular distribution by its inverse, as whole numbers of the scale."""
    low, likely, high = (float(v) for v in (triangle.low, triangle.likely, triangle.high))
    if high == low:
        return np.full(len(chance), _scaled(triangle.low, scale), dtype=np.int64)
    turn = (likely - low) / (high - low)
    left = low + np.sqrt(chance * (high - low) * (likely - low))
    right = high - np.sqrt((1 - chance) * (high - low) * (high - likely))
    drawn: costs.Integers = np.rint(np.where(chance < turn, left, right) * scale).astype(np.int64)
    return drawn


def _scaled(value: Decimal, scale: int) -> int:
    return int((value * scale).to_integral_value(ROUND_HALF_UP))


def _percentile(amounts: costs.Integers, percent: int) -> int:
    """Return the smallest amount that at least ``percent`` of the draws do not exceed."""
    return int(np.percentile(amounts, percent, method="inverted_cdf"))
